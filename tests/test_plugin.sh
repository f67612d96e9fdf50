#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Plug-ins: the example, built by its own Makefile, runs; one that breaks every rule is refused, rule by rule.
top=$(cd "${srcdir:-.}" && pwd)
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
grep -q '^#define HAVE_DLOPEN 1' "$builddir/config.h" || { echo "SKIP: this build loads no plug-ins"; exit 77; }
make_models

cp "$top/examples/plugin/ops.c" "$top/examples/plugin/Makefile" "$work"
check "the example builds" env MAKEFLAGS= make CC="${CC:-cc}" MBR_CFLAGS="-I$top/include" ops.so
faulty()
{
    out=$1
    shift
    ${CC:-cc} -std=c11 -I"$top/include" -fPIC -shared -o "$out" "$@" "$top/tests/faulty_plugin.c"
}
check "the faulty one builds" faulty faulty.so
for how in NO_ENTRY WRONG_ABI START_FAILS TWICE; do
    check "the faulty one builds with $how" faulty $how.so -D$how
done

# --- what works ---
expect 0 'y: f32[2, 3]|{3, 6, 9, 12, 15, 18}' mbr run plug/Scale.onnx --plugin ops.so --input x=x.npy
expect 0 '{3, 6, 9, 12, 15, 18}' mbr run plug/Scale.onnx --plugin ./ops.so --input x=x.npy --passes none --threads 1
expect 0 'y: f32[2]|{6, 15}' mbr run plug/RowSum.onnx --plugin "$work/ops.so" --input x=x.npy
expect 0 'y: f32[6]|{1, 2, 3, 4, 5, 6}' mbr run plug/Positive.onnx --plugin ops.so --input x=x.npy
expect 0 'y: f32[0]' mbr run plug/Positive.onnx --plugin ops.so --input x=below.npy
expect 0 'Scale' mbr info plug/Scale.onnx --plugin ops.so
expect 0 'median' mbr bench plug/Scale.onnx --plugin ops.so --data good/test_data_set_0 --seconds 0.05
expect 0 'org.example.Scale since 1' mbr ops --plugin ops.so
expect 0 'Scale' mbr dump plug/Scale.onnx --plugin ops.so
cp plug/Scale.onnx plug/test/model.onnx
expect 0 '1 passed, 0 failed' mbr test plug/test --plugin ops.so
expect 0 '{3, 6, 9, 12, 15, 18}' mbr run plug/Scale.onnx --plugin faulty.so --plugin ops.so --input x=x.npy

# --- plug-ins that do not load ---
expect 3 'no-such.so|No such file' mbr run plug/Scale.onnx --plugin no-such.so --input x=x.npy
expect 3 'x.npy|cannot be loaded' mbr info plug/Scale.onnx --plugin x.npy
expect 3 'NO_ENTRY.so|mbr_plugin_entry' mbr info plug/Scale.onnx --plugin NO_ENTRY.so
expect 3 'WRONG_ABI.so|version 99|version 1' mbr info plug/Scale.onnx --plugin WRONG_ABI.so
expect 3 'START_FAILS.so|faulty 1.0|does not say why' mbr info plug/Scale.onnx --plugin START_FAILS.so
expect 2 'Relu|is there already' mbr info plug/Scale.onnx --plugin TWICE.so
expect 2 'Scale|is there already' mbr info plug/Scale.onnx --plugin ops.so --plugin ops.so
expect 2 '--plugin' mbr run plug/Scale.onnx --plugin
expect 3 'Scale|org.example|plug-in' mbr run plug/Scale.onnx --input x=x.npy

# --- operators that break their promises ---
refused()
{
    expect "$1" "node 'odd'|$3" mbr run "plug/$2.onnx" --plugin faulty.so --input x=x.npy
}
refused 3 Fails 'element 13 is cursed'
refused 4 Silent 'kernel failed|did not say why'
refused 3 Strange 'kernel failed'
refused 3 Reshapes 'kernel changed the shape of output 0'
refused 2 ResizesEarly 'MBR_CUSTOM_SIZED_BY_RUN'
refused 3 FickleShape 'size 4 in axis 0|planned with 3'
refused 3 FickleType 'f64|planned as f32'
refused 2 Negative 'size -5'
refused 2 Forged 'axis 0'
refused 2 Deep 'rank 99'
refused 2 StrangeType 'no type (77)'
refused 2 OtherOutput 'sets output 5'
refused 3 NoShape 'says nothing of output 0'
refused 3 ShapeFails 'a shape that it dislikes'
refused 3 Unknown 'cannot be told'
refused 3 StartFails 'an attribute that it dislikes'
refused 3 PrepareFails 'a size that it dislikes'
refused 3 NotThree 'planned with 3'
refused 3 WrongRank 'rank 2|planned with 1'
refused 3 LessThanNone 'odd'
refused 3 NeverResizes 'no shape'
finish

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Golden plans: what `mbr plan --brief` says for machines that are not here, with rates from a file. Each tests/plans/*.txt
# has comments that say why it is right, a line `# run: MODEL OPTIONS`, and what is due. Also placement files and what is
# wrong with files.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
plans=$(cd "${srcdir:-.}/tests/plans" && pwd)
make_models
MBR_CPU=base MBR_CPU_CACHES=32k,512k,32m # products are cut for caches
export MBR_CPU MBR_CPU_CACHES
if ! mbr plan layers.onnx --rates "$plans/rates.txt" --topology "core:2 pu:1" --brief >/dev/null 2>"$work/.err"; then
    if grep -q "needs hwloc" "$work/.err"; then
        echo "SKIP: there is no hwloc"
        exit 77
    fi
    cat "$work/.err"
    exit 1
fi
echo '{"devices": []}' >none.json
if ! mbr plan layers.onnx --rates "$plans/rates.txt" --devices none.json --brief >/dev/null 2>"$work/.err" &&
    grep -q "configure it with jansson" "$work/.err"; then
    echo "SKIP: this build reads no JSON"
    exit 77
fi

for golden in "$plans"/*.txt; do
    run=$(sed -n 's/^# run: //p' "$golden")
    [ -n "$run" ] || continue
    cases=$((cases + 1))
    name=$(basename "$golden")
    cp "$plans"/*.xml "$plans"/*.json "$plans"/*.pins "$plans"/*rates.txt .
    # shellcheck disable=SC2086 # options are words
    mbr plan --rates "$plans/rates.txt" $run --brief >got.txt 2>"$work/.err"
    grep -v '^#' "$golden" >want.txt
    if cmp -s got.txt want.txt; then
        echo "ok: $name"
    else
        cp got.txt "$work/.out"
        bad "the plan is another one"
        diff want.txt got.txt
    fi
done

# --- placement files ---
pins()
{
    printf '%s\n' "$1" >a.pins
}
pins 'first cpu threads=3 # of eight'
expect 0 'cpu x3' mbr plan layers.onnx --topology "core:8 pu:1" --rates "$plans/rates.txt" --placement a.pins --brief
pins 'nobody cpu'
expect 2 "line 1|no step is named 'nobody'" mbr plan layers.onnx --placement a.pins --cache off
pins '* toaster'
expect 2 "no device 'toaster'" mbr plan layers.onnx --placement a.pins --cache off
pins '* cpu threads=many'
expect 2 'NODE DEVICE' mbr plan layers.onnx --placement a.pins --cache off
expect 3 'none.pins' mbr plan layers.onnx --placement none.pins --cache off

# --- copies of weights on further nodes ---
for budget in 64M 1k; do
    cases=$((cases + 1)) name="copies in $budget"
    if ! MBR_TOPOLOGY="numa:2 core:1 pu:1" mbr info layers.onnx --cache off --replicas "$budget" --verbose \
        >"$work/.out" 2>"$work/.err"; then
        bad "it fails"
    elif grep -q 'copies of the weights on 1 further NUMA node: [1-9]' "$work/.err"; then
        if [ "$budget" = 64M ]; then echo "ok: $name"; else bad "copies beyond the budget"; fi
    elif [ "$budget" = 64M ]; then
        bad "no copies"
    else
        echo "ok: $name"
    fi
done

# --- files that are none ---
echo '<topology>' >bad.xml
expect 3 'no topology' mbr plan layers.onnx --topology bad.xml --cache off
head -c 3000 "$plans/laptop.xml" >cut.xml
expect 3 'no topology' mbr plan layers.onnx --topology cut.xml --cache off
sed 's/complete_cpuset="[^"]*"//' "$plans/board.xml" >odd.xml
cases=$((cases + 1)) name="a topology that breaks hwloc"
mbr plan layers.onnx --topology odd.xml --cache off >"$work/.out" 2>"$work/.err"
if [ $? -gt 3 ]; then bad "it broke us"; else echo "ok: $name"; fi
echo '{"devices": [{"name": "a", "gflops_f32": "fast"}]}' >bad.json
expect 3 'gflops_f32' mbr plan layers.onnx --devices bad.json --cache off
echo 'product fast' >bad.rates
expect 3 'rates, line 1' mbr plan layers.onnx --rates bad.rates

# --- pictures, JSON ---
expect 0 '"steps"|"why"|"devices"' mbr plan layers.onnx --rates "$plans/rates.txt" --json --dot a.dot --svg a.svg
check "the graph is one" grep -q '^digraph plan' a.dot
check "the picture is one" grep -q '</svg>' a.svg
mbr plan odd-names.onnx --rates "$plans/rates.txt" --json --dot odd.dot --svg odd.svg >odd.json # names that are no UTF-8
bad=$(printf '\357\277\275')
check "a picture has a mark for what is no text" grep -qF "$bad&#60;s&#62;&#38;&#34;" odd.svg
if command -v iconv >/dev/null; then
    for file in odd.svg odd.dot odd.json; do
        check "$file is UTF-8" iconv -f UTF-8 -t UTF-8 $file
    done
else
    skip "are they UTF-8: there is no iconv"
fi

# --- a body counts as often as it runs: 256 times 700 ns here ---
{
    printf '\223NUMPY\001\000\166\000'
    printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (256, 1024), }"
    head -c 1048576 /dev/zero
} >zeros.npy
mbr plan scan.onnx --input x=zeros.npy --rates "$plans/rates.txt" --threads 1 --json >scan.json
check "a body runs more than once" grep -q '"us": 1[5-9][0-9]\.' scan.json

# --- rates are kept, and made anew where the file is damaged ---
expect 0 'rates:   measured' mbr plan row.onnx --cache kept
expect 0 'rates:   kept' mbr plan row.onnx --cache kept
check "trees have a rate that was measured" sh -c "grep '^trees_masks' kept/rates-* | grep -qv ' 1$'"
for file in kept/rates-*; do
    printf 'x' | dd of="$file" bs=1 seek=200 conv=notrunc 2>/dev/null
done
expect 0 'rates:   measured' mbr plan row.onnx --cache kept
finish

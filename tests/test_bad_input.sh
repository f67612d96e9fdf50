#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Bad input of every kind: a clear message with file, node and fix, exit 3 or 4, nothing left behind.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
make_models
ln -s ../weights.bin external/link.bin
ln -s . external/link
good='good/model.onnx --input x=x.npy'

# --- files that are no models ---
expect 3 'nothing.onnx|No such file' mbr info nothing.onnx
expect 3 'directory.onnx|is a folder' mbr info directory.onnx
expect 3 'empty.onnx|is empty' mbr info empty.onnx
for other in png gzip zip text json; do
    expect 3 "$other.onnx|is not a model file|ONNX" mbr info $other.onnx
done
for k in 0 1 2 3 4 5 6 7; do
    expect 3 "random$k.onnx" mbr info random$k.onnx
done
for k in 1 2 3 4 5 6 7; do
    expect 3 "truncated$k.onnx|cut short|fetch it again" mbr info truncated$k.onnx
done
expect 3 'short.onnx|cut short|fetch it again' mbr info short.onnx
# The program without root's rights, which reach everything; false where there is no way to it.
plain=mbr
if [ "$(id -u)" = 0 ]; then
    nobody()
    {
        # shellcheck disable=SC2086 # an emulator may have arguments
        setpriv --reuid=65534 --regid=65534 --clear-groups $EMULATOR "$MBR" "$@"
    }
    plain=nobody
    chmod 755 "$work"
    nobody --version >"$work/.out" 2>&1 || plain=
fi
if [ -z "$plain" ]; then
    skip "a file that may not be read: root reads everything"
else
    cp good/model.onnx secret.onnx
    chmod 0 secret.onnx
    expect 3 'secret.onnx|Permission denied' $plain info secret.onnx
fi

# --- models from another time or place ---
expect 3 'new-ir.onnx|IR version 99|newest known|export it' mbr info new-ir.onnx
expect 3 'new-opset.onnx|version 999|newest known|export it' mbr info new-opset.onnx
expect 3 "unknown-operator.onnx|node 'magic'|Frobnicate|ai.onnx|17|mbr ops" mbr info unknown-operator.onnx
expect 3 "unknown-domain.onnx|node 'magic'|Add|com.example|mbr ops" mbr info unknown-domain.onnx

# --- graphs that break a rule ---
expect 3 "cycle.onnx|cycle|node |Relu|export the model again" mbr info cycle.onnx
expect 3 "undefined.onnx|node 'lonely' (Add)|'ghost'" mbr info undefined.onnx
expect 3 "twice.onnx|node 'other' (Neg)|'y'|unique" mbr info twice.onnx
expect 4 'deep-graphs.onnx|nested more than' mbr info deep-graphs.onnx
expect 4 'deep-types.onnx|nested more than' mbr info deep-types.onnx

# --- sizes ---
expect 3 'count.onnx|claims 1073741824 bytes|are left' mbr info count.onnx
expect 3 'count-inside.onnx|claims 4611686018427387904 bytes|only 12 are left' mbr info count-inside.onnx
expect 3 "too-few-bytes.onnx|'w'|12000000 bytes|has 12" mbr info too-few-bytes.onnx
expect 3 "overflow.onnx|'w'|product of its dimensions" mbr info overflow.onnx
expect 3 "negative.onnx|'w'|negative" mbr info negative.onnx
expect 3 "negative-input.onnx|'x'|negative" mbr info negative-input.onnx

# --- external data ---
expect 0 'y: f32[2, 3]' mbr run external/good.onnx --input x=x.npy
expect 3 "parent.onnx|'w'|'../weights.bin'|out of the model's folder" mbr info external/parent.onnx
expect 3 "absolute.onnx|'w'|/etc/passwd|absolute path" mbr info external/absolute.onnx
expect 3 "symlink.onnx|'w'|symbolic link 'link.bin'" mbr info external/symlink.onnx
expect 3 "below-symlink.onnx|'w'|symbolic link 'link'" mbr info external/below-symlink.onnx
expect 3 "missing.onnx|'w'|'nothing.bin'|No such file" mbr info external/missing.onnx
expect 3 "beyond.onnx|'w'|offset 8|'weights.bin' has only 12" mbr info external/beyond.onnx
expect 3 "negative.onnx|'w'|'-4'" mbr info external/negative.onnx
expect 3 "no-number.onnx|'w'|'four'" mbr info external/no-number.onnx
expect 3 "folder.onnx|'w'|is a folder" mbr info external/folder.onnx

# --- inputs of a run ---
expect 3 "good/model.onnx|'x' is missing|--input x=" mbr run good/model.onnx
expect 3 "two.onnx|'z' is missing|--input z=" mbr run two.onnx --input x=x.npy
expect 3 "no input 'q'|mbr info" mbr run good/model.onnx --input q=x.npy
cp -r good/test_data_set_0 extra
cp good/test_data_set_0/input_0.pb extra/input_1.pb
expect 0 'y: f32[2, 3]' mbr run good/model.onnx --data extra # its own name says that it is x
cp truncated.pb extra/input_1.pb
expect 3 'extra/input_1.pb' mbr run good/model.onnx --data extra
mkdir nameless
printf '\010\003\020\001\112\014aaaabbbbcccc' >nameless/input_1.pb
expect 3 'nameless/input_1.pb|no input 1|has 1' mbr run good/model.onnx --data nameless
expect 3 "good/model.onnx|'x'|f32|i64|convert" mbr run good/model.onnx --input x=x64.npy
expect 3 "good/model.onnx|'x'|[N, 3]|[6]" mbr run good/model.onnx --input x=flat.npy
expect 3 "good/model.onnx|'x'|[N, 3]|[3, 2]" mbr run good/model.onnx --input x=narrow.npy
expect 3 "short.npy|do not fit its shape" mbr run good/model.onnx --input x=short.npy
expect 3 "objects.npy|element type" mbr run good/model.onnx --input x=objects.npy
expect 3 "huge.npy|product of the dimensions" mbr run good/model.onnx --input x=huge.npy
expect 3 "nothing.npy|No such file" mbr run good/model.onnx --input x=nothing.npy
expect 3 "png.onnx|not a .npy file" mbr run good/model.onnx --input x=png.onnx
expect 3 "truncated.pb|cut short" mbr run good/model.onnx --input x=truncated.pb
expect 3 "nowhere|input_0.pb" mbr run good/model.onnx --data nowhere
expect 3 "x.npy|is no folder" mbr run good/model.onnx --data x.npy
expect 3 "pick.onnx|node 'pick' (Gather)|index 9|axis of 3" mbr run pick.onnx --input i=nine.npy

# --- memory ---
expect 4 "huge.onnx|node 'fill' (ConstantOfShape)|memory limit" mbr run huge.onnx --data huge --memory 100M
expect 4 "good/model.onnx|memory limit" mbr info good/model.onnx --memory 2k
expect 4 'memory limit' mbr info good/model.onnx --memory 100

# --- places that cannot be written ---
# shellcheck disable=SC2086
{
    expect 4 'x.npy' mbr run $good --save x.npy
    expect 4 'x.npy/below' mbr run $good --save x.npy/below
    mkdir -p taken/output_0.pb
    expect 4 'taken/output_0.pb|nothing was written' mbr run $good --save taken
    check "nothing is left beside it" test "$(ls -A taken)" = output_0.pb
    if [ -z "$plain" ]; then
        skip "a folder that may not be written: root writes everywhere"
    else
        mkdir closed
        chmod 555 closed
        expect 4 'closed/output_0.pb|Permission denied|nothing was written' $plain run $good --save closed
        expect 4 'closed/below|cannot be made|Permission denied' $plain run $good --save closed/below
    fi
    limited() # a file may not grow: what a full disk does to a write
    {
        text=$(
            trap '' XFSZ
            ulimit -f 0
            mbr "$@" 2>&1 >/dev/null
        )
        set -- $?
        printf '%s\n' "$text" >&2
        return "$1"
    }
    if [ -n "$EMULATOR" ]; then
        skip "a file that may not grow: not under an emulator"
    else
        expect 4 'limited/output_0.pb|File too large|nothing was written' limited run $good --save limited
        check "no part of a file is left" test -z "$(ls -A limited)"
    fi
    mkdir full
    if mount -t tmpfs -o size=4k,nr_inodes=16 none full 2>"$work/.err"; then
        head -c 4096 /dev/zero >full/filler
        expect 4 'full/output_0.pb|No space left|nothing was written' mbr run $good --save full
        check "no part of a file is left on the full disk" test "$(ls -A full)" = filler
        umount full
    else
        skip "a full disk: mounting one takes a privilege"
    fi
}
finish

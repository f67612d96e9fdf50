#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# mbr compile and the files that it leaves: what they hold, and that faulty ones are ignored and made anew.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
make_models

answer='{2.5, 0, 6, 5.5, 3, 9}'

# The run succeeds, with one line on stderr or none: what became of the cache.
runs()
{
    cases=$((cases + 1))
    name="$1"
    shift
    if "$@" >"$work/.out" 2>"$work/.err" && grep -qF "$answer" "$work/.out" && [ "$(wc -l <"$work/.err")" -le 1 ]; then
        echo "ok: $name"
    else
        bad "the answer is due, and one line at most on stderr"
    fi
}

with()
{
    mbr run good/model.onnx --input x=x.npy --cache "$1"
}

# --- usage ---
expect 2 'usage: mbr compile' mbr compile
expect 2 'where to?' mbr compile good/model.onnx
expect 2 'where to?' mbr compile good/model.onnx --cache off
expect 2 '.mbrc' mbr compile good/model.onnx -o good.bin
expect 2 'one of them' mbr compile good/model.onnx -o good.mbrc --cache folder

# --- a file ---
expect 0 'good.mbrc|"written": true' mbr compile good/model.onnx -o good.mbrc --json
expect 0 'good.mbrc|was there' mbr compile good/model.onnx -o good.mbrc
expect 0 '"written": false|"bytes"|"packed_bytes"' mbr compile good/model.onnx -o good.mbrc --json
runs "run from the file" with good.mbrc
cp good.mbrc sound.mbrc

# --- faulty ones: of no length, cut, a bit turned over at the head, in the middle, at the end ---
size=$(wc -c <sound.mbrc)
: >empty.mbrc
head -c $((size / 2)) sound.mbrc >cut.mbrc
for at in 9 $((size / 3)) $((size / 2)) $((size - 2)); do
    byte=$(od -An -tu1 -j "$at" -N 1 sound.mbrc | tr -d ' ')
    {
        head -c "$at" sound.mbrc
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\$(printf %03o $((byte ^ 16)))"
        tail -c +$((at + 2)) sound.mbrc
    } >"bit$at.mbrc"
done
for file in empty cut bit9 bit$((size / 3)) bit$((size / 2)) bit$((size - 2)); do
    cp $file.mbrc again.mbrc
    runs "run beside $file.mbrc" with $file.mbrc
    cases=$((cases + 1)) name="compile over $file.mbrc"
    if mbr compile good/model.onnx -o again.mbrc >"$work/.out" 2>"$work/.err"; then
        echo "ok: $name"
    else
        bad "fails"
    fi
    runs "run from what compile left of $file.mbrc" with again.mbrc
done

# --- a folder, and the entry of another choice of passes ---
mkdir folder
expect 0 'folder/|"written": true' mbr compile good/model.onnx --cache folder --json
runs "run from the folder" with folder
expect 0 '"written": true' mbr compile good/model.onnx --cache folder --passes none --json
runs "run from the folder again" with folder
expect 0 'folder/|was there' env MBR_CACHE=folder $EMULATOR "$MBR" compile good/model.onnx

# --- nowhere to write, nothing to read ---
expect 3 'missing.onnx' mbr compile missing.onnx -o missing.mbrc
cases=$((cases + 1)) name="compile into a folder that is a file"
: >plain
mbr compile good/model.onnx --cache plain/below >"$work/.out" 2>"$work/.err"
if [ $? = 4 ]; then echo "ok: $name"; else bad "exit status 4 is due"; fi
runs "run where nothing can be written" with plain/below
finish

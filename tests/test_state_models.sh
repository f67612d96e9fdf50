#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A model with state, silero's voice detector below $MBR_MODELS: keys that interleave give what each gives alone,
# whatever the batch, and the state matters.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"

model=
for at in ${MBR_MODELS:+"$MBR_MODELS"/silero_vad*/model.onnx}; do
    [ -f "$at" ] && model=$at
done
if [ -z "$model" ] || ! mbr --help | grep -q 'mbr decide'; then
    skip "silero's voice detector: it is not below MBR_MODELS, or this build has no runtime"
    finish
fi

cd "$work" || exit 99
cat >vad.yaml <<END
version: 1
name: vad
model: {path: $model}
inputs: {who: {type: string}, text: {type: string}}
features: [{name: ids, kind: characters, from: text, most: 576}]
tensors: [{input: input, from: ids}, {input: sr, value: 16000}]
state: {key: who, edges: [{output: stateN, input: state, axis: 1}], most: 100}
outputs: [{name: speech, output: output, column: 0}]
rules: [{then: SEEN}]
END

# Frames of 576 letters; the same four for each of three streams, and a fourth that differs.
awk 'BEGIN {
    srand(7)
    print "who,text"
    for (f = 0; f < 4; f++) {
        a = b = ""
        for (i = 0; i < 576; i++) {
            a = a sprintf("%c", 97 + int(rand() * 8))
            b = b sprintf("%c", 97 + int(rand() * 8))
        }
        print "x," a "\ny," b "\nz," a
    }
}' >frames.csv
for who in x y z; do
    awk -F, -v who=$who 'NR == 1 || $1 == who' frames.csv >$who.csv
    mbr decide vad.yaml $who.csv | awk '{ print $4 }' >alone.$who
done
scores()
{
    mbr decide vad.yaml frames.csv --batch "$1" | awk '{ print $4 }'
}
for batch in 1 2 5 12; do
    scores $batch >all.txt
    for k in 1 2 3; do
        awk -v k=$k 'NR % 3 == k % 3' all.txt >"part.$k"
    done
    check "batch $batch: streams do not mix" sh -c 'cmp part.1 alone.x && cmp part.2 alone.y && cmp part.3 alone.z'
done
check "four frames, four scores" test "$(sort -u alone.x | wc -l)" = 4
check "the state matters" sh -c '! cmp -s alone.x alone.y && cmp alone.x alone.z'
finish

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The same bits from whole models for one, two and three threads, and run after run.
# Models: the shared tabular ones where they are, the fraud product, and the folders below $MBR_MODELS.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
make_models
top=$(cd "$srcdir" && pwd)

# compare FOLDER: outputs of three runs and of larger teams are those of one thread
compare()
{
    folder=$1
    rm -rf once again teams
    expect 0 '' mbr run "$folder/model.onnx" --data "$folder/test_data_set_0" --threads 1 --save once
    mkdir again teams
    for threads in 1 2 3; do
        rm -rf again teams
        expect 0 'runs' mbr bench "$folder/model.onnx" --data "$folder/test_data_set_0" --threads $threads --seconds 0.001 \
            --save teams
        cases=$((cases + 1)) name="$folder, $threads threads"
        if diff -r once teams/test_data_set_0 >"$work/.out" 2>&1; then echo "ok: $name"; else bad "other bits"; fi
    done
}

compare "$work/good"
compare "$top/examples/fraud"
n=0
for folder in "$top/../shared/models/tabular"/*/ "$top/../shared/models/trained"/*/ ${MBR_MODELS:+"$MBR_MODELS"/*/}; do
    folder=${folder%/}
    [ -f "$folder/model.onnx" ] && [ -f "$folder/test_data_set_0/input_0.pb" ] || continue
    compare "$folder"
    n=$((n + 1))
done
[ $n -gt 0 ] || skip "the shared models: there are none in ../shared/models and MBR_MODELS"
finish

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every model that is at hand computes the same with all passes, with each of them alone, and with none.
# Models: the shared tabular and trained ones where they are, the fraud product, and the folders below $MBR_MODELS.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
make_models
top=$(cd "$srcdir" && pwd)
# shellcheck disable=SC2046 # names without blanks
set -- $(mbr run none.onnx --passes nothing 2>&1 | sed -n 's/.*the passes are: \(.*\);.*/\1/p')
[ $# -gt 0 ] || { echo "no list of passes"; exit 1; }
passes=$*

# compare MODEL DATA...: outputs without passes become what is due
compare()
{
    model=$1
    shift
    rm -rf case
    mkdir case
    ln -s "$model" case/model.onnx
    echo '{"rtol": 1e-3, "atol": 1e-4}' >case/tolerance.json
    k=0
    for data; do
        mkdir case/test_data_set_$k
        cp "$data"/input_*.pb case/test_data_set_$k/ 2>/dev/null
        expect 0 '' mbr run "$model" --data "$data" --passes none --save case/test_data_set_$k
        k=$((k + 1))
    done
    expect 0 "$k passed, 0 failed" mbr test case
    for pass in $passes; do
        expect 0 "$k passed, 0 failed" mbr test case --passes "none,+$pass"
        expect 0 "$k passed, 0 failed" mbr test case --passes "all,-$pass"
    done
}

compare "$work/good/model.onnx" "$work/good/test_data_set_0"
compare "$top/examples/fraud/model.onnx" "$top/examples/fraud/test_data_set_0"
n=0
for folder in "$top/../shared/models/tabular" ${MBR_MODELS:+"$MBR_MODELS"}; do
    for model in "$folder"/*/model.onnx; do
        [ -f "$model" ] || continue
        case $(basename "$(dirname "$model")") in
        *@*) continue ;; # the same model with other sizes
        esac
        compare "$model" "$(dirname "$model")"/test_data_set_*
        n=$((n + 1))
    done
done
[ $n -gt 0 ] || skip "the shared models: there are none in ../shared/models and MBR_MODELS"
finish

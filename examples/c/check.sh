#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The C example runs on the model of the fraud product, and refuses what is no model.
set -eu
model=${srcdir:-.}/examples/fraud/model.onnx
examples/c/run_model "$model" | grep -q "f32, [0-9]* values"
if examples/c/run_model "${srcdir:-.}/README.md" 2>example-error.txt; then
    echo "README.md passed for a model"
    exit 1
fi
grep -q README.md example-error.txt
rm -f example-error.txt

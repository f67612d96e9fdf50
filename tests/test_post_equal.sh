#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Post-processing and reasons against scikit-learn, numpy, fast-ctc-decode, ONNX Runtime and XGBoost, where Python has them; PYTHON names the interpreter.
: "${builddir:=.}" "${srcdir:=.}" "${MBR:=$builddir/mbr}" "${PYTHON:=python3}" "${POST_EQUAL:=}"
[ -z "${EMULATOR:-}" ] || { echo "SKIP: too slow for an emulator"; exit 77; }
command -v "$PYTHON" >/dev/null || { echo "SKIP: no $PYTHON"; exit 77; }
"$MBR" explain --help >/dev/null 2>&1 || { echo "SKIP: mbr has no runtime"; exit 77; }
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
# shellcheck disable=SC2086 # several arguments
exec "$PYTHON" "$srcdir/tests/post_equal.py" --mbr "$MBR" $POST_EQUAL

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Steps against scikit-learn's transformers, where Python has them; PYTHON names the interpreter, TABULAR_EQUAL more
# arguments, such as --cases 200.
: "${builddir:=.}" "${srcdir:=.}" "${PYTHON:=python3}" "${TABULAR_EQUAL:=}"
[ -z "${EMULATOR:-}" ] || { echo "SKIP: too slow for an emulator"; exit 77; }
[ -x "$builddir/tests/run_steps" ] || { echo "SKIP: built without the runtime"; exit 77; }
command -v "$PYTHON" >/dev/null || { echo "SKIP: no $PYTHON"; exit 77; }
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
# shellcheck disable=SC2086 # several arguments
exec "$PYTHON" "$srcdir/tests/tabular_equal.py" --runner "$builddir/tests/run_steps" --cases 10 $TABULAR_EQUAL

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Steps against scikit-learn's transformers, where Python has them; PYTHON names the interpreter, TABULAR_EQUAL more
# arguments, such as --cases 200.
: "${builddir:=.}" "${srcdir:=.}" "${PYTHON:=python3}" "${TABULAR_EQUAL:=}"
[ -z "${EMULATOR:-}" ] || { echo "SKIP: too slow for an emulator"; exit 77; }
[ -x "$builddir/tests/run_steps" ] || { echo "SKIP: built without the runtime"; exit 77; }
command -v "$PYTHON" >/dev/null || { echo "SKIP: no $PYTHON"; exit 77; }
PYTHONDONTWRITEBYTECODE=1
# NumPy's own vector pow for AVX-512 is some ULP beside the C library's, on which scikit-learn's answers rest elsewhere
NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
export PYTHONDONTWRITEBYTECODE NPY_DISABLE_CPU_FEATURES
# shellcheck disable=SC2086 # several arguments
exec "$PYTHON" "$srcdir/tests/tabular_equal.py" --runner "$builddir/tests/run_steps" --cases 10 $TABULAR_EQUAL

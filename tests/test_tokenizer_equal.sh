#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Tokenizers trained by Hugging Face's package, 2,000 lines each, where Python has it; TOKENIZER_EQUAL holds more
# arguments (--lines 200000). PYTHON names the interpreter.
: "${builddir:=.}" "${srcdir:=.}" "${MBR:=$builddir/mbr}" "${PYTHON:=python3}" "${TOKENIZER_EQUAL:=}"
[ -z "${EMULATOR:-}" ] || { echo "SKIP: too slow for an emulator"; exit 77; }
command -v "$PYTHON" >/dev/null || { echo "SKIP: no $PYTHON"; exit 77; }
for library in RUNTIME UTF8PROC PCRE2; do
    grep -Eq "^#define (MBR|HAVE)_$library 1" "$builddir/config.h" || { echo "SKIP: built without $library"; exit 77; }
done
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
# shellcheck disable=SC2086 # several arguments
exec "$PYTHON" "$srcdir/tests/tokenizer_equal.py" --mbr "$MBR" --lines 2000 $TOKENIZER_EQUAL

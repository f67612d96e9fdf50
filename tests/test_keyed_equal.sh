#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Steps with state by key against pandas and scipy, where Python has them. PYTHON names the interpreter, KEYED_EQUAL
# more arguments, such as --rows 20000.
: "${builddir:=.}" "${srcdir:=.}" "${MBR:=$builddir/mbr}" "${PYTHON:=python3}" "${KEYED_EQUAL:=}"
[ -z "${EMULATOR:-}" ] || { echo "SKIP: too slow for an emulator"; exit 77; }
command -v "$PYTHON" >/dev/null || { echo "SKIP: no $PYTHON"; exit 77; }
"$MBR" decide --help >/dev/null 2>&1 || { echo "SKIP: mbr has no runtime"; exit 77; }
grep -Eq "^#define HAVE_YAML 1" "$builddir/config.h" || { echo "SKIP: built without YAML"; exit 77; }
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
# shellcheck disable=SC2086 # several arguments
exec "$PYTHON" "$srcdir/tests/keyed_equal.py" --mbr "$MBR" $KEYED_EQUAL

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A thousand seeded cases of tests/differential, where Python has the packages; see its --help for more of them.
# PYTHON names the interpreter, DIFFERENTIAL more arguments.
: "${builddir:=.}" "${srcdir:=.}" "${MBR:=$builddir/mbr}" "${PYTHON:=python3}" "${DIFFERENTIAL:=}"
[ -z "${EMULATOR:-}" ] || { echo "SKIP: too slow for an emulator"; exit 77; }
command -v "$PYTHON" >/dev/null || { echo "SKIP: no $PYTHON"; exit 77; }
unset MBR_PASSES MBR_CACHE MBR_THREADS
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
# shellcheck disable=SC2086 # several arguments
exec "$PYTHON" "$srcdir/tests/differential/differential.py" --mbr "$MBR" --seed 1 --cases 1000 $DIFFERENTIAL

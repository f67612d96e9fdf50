#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Random sounds against librosa, scipy and soundfile, where Python has them; PYTHON names the interpreter, AUDIO_EQUAL
# more arguments, such as --cases 200.
: "${builddir:=.}" "${srcdir:=.}" "${MBR:=$builddir/mbr}" "${PYTHON:=python3}" "${AUDIO_EQUAL:=}"
[ -z "${EMULATOR:-}" ] || { echo "SKIP: too slow for an emulator"; exit 77; }
command -v "$PYTHON" >/dev/null || { echo "SKIP: no $PYTHON"; exit 77; }
"$MBR" audio --help >/dev/null 2>&1 || { echo "SKIP: mbr has no runtime"; exit 77; }
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
# shellcheck disable=SC2086 # several arguments
exec "$PYTHON" "$srcdir/tests/audio_equal.py" --mbr "$MBR" --cases 10 $AUDIO_EQUAL

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Sixty random sizes against Pillow and OpenCV, where Python has them; PYTHON names the interpreter, IMAGE_EQUAL more
# arguments, such as --cases 2000 --side 2000.
: "${builddir:=.}" "${srcdir:=.}" "${MBR:=$builddir/mbr}" "${PYTHON:=python3}" "${IMAGE_EQUAL:=}"
[ -z "${EMULATOR:-}" ] || { echo "SKIP: too slow for an emulator"; exit 77; }
command -v "$PYTHON" >/dev/null || { echo "SKIP: no $PYTHON"; exit 77; }
"$MBR" image --help >/dev/null 2>&1 || { echo "SKIP: mbr has no runtime"; exit 77; }
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
# shellcheck disable=SC2086 # several arguments
exec "$PYTHON" "$srcdir/tests/image_equal.py" --mbr "$MBR" --cases 60 $IMAGE_EQUAL

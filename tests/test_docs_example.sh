#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The program in docs/aggregates.md, cut out of the page, compiles against the public headers alone and prints what the
# page says it does.
: "${builddir:=.}" "${srcdir:=.}" "${CC:=cc}"
[ -z "${EMULATOR:-}" ] || { echo "SKIP: cross build"; exit 77; }
"${MBR:=$builddir/mbr}" decide --help >/dev/null 2>&1 || { echo "SKIP: mbr has no runtime"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
page=$srcdir/docs/aggregates.md
sed -n '/^    #include/,/^    }$/s/^    //p' "$page" >"$work/example.c"
# the block of sed ends at main's brace: nothing but empty lines lie between functions
sed -n '/^It prints$/,/^## /s/^    //p' "$page" >"$work/due.txt"
[ -s "$work/example.c" ] && [ -s "$work/due.txt" ] || { echo "FAIL: the page has no program, or no output"; exit 1; }
flags=$(sed -n 's/^MBR_LDFLAGS = //p' "$builddir/Makefile") # sanitizers
# shellcheck disable=SC2086 # CC and flags are several words
"$builddir/libtool" --quiet --tag=CC --mode=link $CC -std=c11 -Wall -Wextra -pedantic -Werror $flags \
    -I"$srcdir/include" -o "$work/example" "$work/example.c" "$builddir/libmbr.la" ||
    { echo "FAIL: it does not compile"; exit 1; }
"$work/example" >"$work/got.txt" || { echo "FAIL: it fails"; exit 1; }
sed 's/-nan/nan/g' "$work/got.txt" | diff "$work/due.txt" - || { echo "FAIL: it prints something else"; exit 1; }
echo "the program of docs/aggregates.md prints what the page says"

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# For scripts that test the program: sourced by them, with $MBR, $EMULATOR, $srcdir, $builddir set by make check.
set -u
LC_ALL=C
export LC_ALL
unset MBR_PASSES MBR_CACHE MBR_THREADS
: "${builddir:=.}" "${srcdir:=.}" "${MBR:=$builddir/mbr}" "${EMULATOR:=}"
work=$(mktemp -d "${TMPDIR:-/tmp}/mbr-test.XXXXXX") || exit 99
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM
cases=0
failed=0
skipped=0

mbr()
{
    # shellcheck disable=SC2086 # an emulator may have arguments
    $EMULATOR "$MBR" "$@"
}

make_models()
{
    # shellcheck disable=SC2086
    $EMULATOR "$builddir/tests/make_models" "$work" || exit 99
    cd "$work" || exit 99
}

bad()
{
    failed=$((failed + 1))
    echo "FAIL: $name: $1"
    sed 's/^/    stdout: /' "$work/.out" | head -n 5
    sed 's/^/    stderr: /' "$work/.err" | head -n 5
}

# expect STATUS WORDS COMMAND...: its exit status, and every one of the words (separated by |) in what it prints: on
# stdout for 0 and 1, else in the one line of stderr that begins "mbr: ".
expect()
{
    status=$1 words=$2
    shift 2
    cases=$((cases + 1))
    name="$*"
    "$@" >"$work/.out" 2>"$work/.err" </dev/null
    got=$?
    if [ "$got" != "$status" ]; then
        bad "exit status $got, $status is due"
        return
    fi
    if [ "$status" -le 1 ]; then
        file=$work/.out
    else
        file=$work/.err
        if [ "$(wc -l <"$file")" != 1 ] || ! grep -q '^mbr: ' "$file"; then
            bad "one line that begins 'mbr: ' is due on stderr"
            return
        fi
    fi
    if [ "$status" = 0 ] && [ -s "$work/.err" ]; then
        bad "nothing is due on stderr"
        return
    fi
    while [ -n "$words" ]; do
        word=${words%%|*}
        case $words in
        *'|'*) words=${words#*|} ;;
        *) words= ;;
        esac
        if ! grep -qF -e "$word" "$file"; then
            bad "'$word' is not in the message"
            return
        fi
    done
    echo "ok: $name"
}

# check NAME COMMAND...: the command succeeds.
check()
{
    cases=$((cases + 1))
    name=$1
    shift
    : >"$work/.out"
    if "$@" >"$work/.out" 2>"$work/.err"; then echo "ok: $name"; else bad "failed"; fi
}

skip()
{
    skipped=$((skipped + 1))
    echo "skip: $1"
}

finish()
{
    echo "$cases cases, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] || exit 1
    exit 0
}

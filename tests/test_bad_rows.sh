#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Bad rows of every kind: a message with line and reason, the fallback, and the rest goes on; what no row can be blamed
# for is refused up front.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
case $MBR in /*) ;; *) MBR=$(pwd)/$MBR ;; esac
make_models
if ! mbr --help | grep -q 'mbr decide'; then
    echo "this build has no runtime"
    exit 77
fi
cat >p.yaml <<'END'
version: 1
name: rows
model: {path: good/model.onnx}
inputs:
  id: {type: string, role: id}
  a: {type: number, min: -10, max: 10}
  b: {type: number, missing: keep}
  when: {type: time, min: 2000-01-01, max: 2100-01-01}
  kind: {type: string}
  list: {type: array, missing: keep, optional: true}
features:
  - {name: b0, kind: impute, from: b, value: 0}
  - {name: k, kind: ordinal, from: kind, values: [x, y]}
  - {name: array, kind: array, from: list, shape: [2]}
tensors: [{input: x, from: [a, b0, k]}]
outputs: [{name: y, output: y, column: 0}]
rules:
  - {name: odd, when: '1 / (a - 3) > 5', then: ODD}
  - {name: rest, then: PASS}
fallback: ASK
END
mbr decide p.yaml /dev/null >/dev/null 2>.err
if grep -q libyaml .err; then
    echo "this build reads no pipeline files"
    exit 77
fi

# row NAME REASON LINE...: the row between two sound ones gets the fallback and the reason, with its line.
row()
{
    what=$1 reason=$2
    shift 2
    {
        echo "id,a,b,when,kind"
        echo "r1,1,1,2024-01-01,x"
        printf '%b\n' "$@"
        echo "r3,1,1,2024-01-01,y"
    } >rows.csv
    mbr decide p.yaml rows.csv >said.txt 2>.err
    check "$what" sh -c 'test "$(grep -c "  PASS  " said.txt)" = 2 && test "$(wc -l <said.txt)" = 3 &&
        grep "ASK.*error: rows.csv:3: " said.txt | grep -qF -e "$1"' sh "$reason"
}

row "a quote that is not closed takes the rest" "after the closing quote" 'r2,1,1,2024-01-01,"x" y'
row "a quote inside" "a quote inside a field" 'r2,1,1,2024-01-01,x"y"'
row "too few fields" "4 fields, and the header has 5" 'r2,1,1,2024-01-01'
row "too many fields" "6 fields, and the header has 5" 'r2,1,1,2024-01-01,x,7'
row "a zero byte" "a zero byte" 'r2,1,1,2024-01-01,x\0000y'
row "no UTF-8" "column 'kind' is not valid UTF-8" 'r2,1,1,2024-01-01,\0377\0376'
row "no number" "column 'a' must be a number, not 'one'" 'r2,one,1,2024-01-01,x'
row "a comma for a point" "column 'a' must be a number, not '1,5'" 'r2,"1,5",1,2024-01-01,x'
row "infinity" "column 'b' must be" 'r2,1,inf,2024-01-01,x'
row "a number beyond all doubles" "column 'b' must be" 'r2,1,1e999,2024-01-01,x'
row "NaN where none may be" "column 'a' is missing" 'r2,nan,1,2024-01-01,x'
row "a missing value" "column 'a' is missing" 'r2,,1,2024-01-01,x'
row "out of bounds" "column 'a': 11 is above the 'max'" 'r2,11,1,2024-01-01,x'
row "no date" "column 'when' must be a time" 'r2,1,1,yesterday,x'
row "the 30th of February" "column 'when' must be a time" 'r2,1,1,2024-02-30,x'
row "an hour that there is not" "column 'when' must be a time" 'r2,1,1,2024-01-01T25:00:00Z,x'
row "a date from another age" "is below the 'min'" 'r2,1,1,0001-01-01,x'
row "a date of the far future" "is above the 'max'" 'r2,1,1,9999-12-31T23:59:59Z,x'
row "a year of five digits" "column 'when' must be a time" 'r2,1,1,12024-01-01,x'
row "an unknown category" "'z'" 'r2,1,1,2024-01-01,z'
row "a rule that divides by zero" "rule 'odd'" 'r2,3,1,2024-01-01,x'

# A quote that is left open takes what follows with it, and says where it began.
printf 'id,a,b,when,kind\nr1,1,1,2024-01-01,x\nr2,1,1,2024-01-01,"x\nr3,1,1,2024-01-01,y\n' >rows.csv
mbr decide p.yaml rows.csv >said.txt
check "a quote that is left open" grep -q 'rows.csv:3: a quoted field has no closing quote.*begins on line 3' said.txt

# A record of more than 1 MiB is passed over up to its end; just below that it is a text like any other.
row "a record that is too long" "more than a million bytes" "r2,1,1,2024-01-01,$(head -c 1100000 /dev/zero | tr '\0' x)"
row "a long one" "'xxxx" "r2,1,1,2024-01-01,$(head -c 1000000 /dev/zero | tr '\0' x)"

# JSON lines: one broken line each.
json()
{
    what=$1 reason=$2
    printf '{"id": "1", "a": 1, "b": 1, "when": "2024-01-01", "kind": "x"}\n%b\n' "$3" >rows.jsonl
    echo '{"id": "3", "a": 1, "b": null, "when": "2024-01-01", "kind": "y", "list": [1, 2]}' >>rows.jsonl
    mbr decide p.yaml rows.jsonl >said.txt 2>.err
    check "$what" sh -c 'test "$(grep -c "  PASS  " said.txt)" = 2 && test "$(wc -l <said.txt)" = 3 &&
        grep "ASK.*error: rows.jsonl:2: " said.txt | grep -qF -e "$1"' sh "$reason"
}
if mbr decide p.yaml /dev/null --format jsonl 2>&1 | grep -q jansson; then
    skip "JSON lines: this build reads none"
else
    json "JSON that is cut short" "not valid JSON" '{"id": "2", "a": 1'
    json "no object" "is not an object" '[1, 2]'
    json "a key twice" "not valid JSON" '{"id": "2", "a": 1, "a": 2}'
    json "no UTF-8 in JSON" "not valid JSON" '{"id": "\0377"}'
    json "text for a number" "column 'a' must be a number, not 'x'" '{"id": "2", "a": "x", "b": 1, "when": "2024-01-01", "kind": "x"}'
    json "a list for a number" "is a list or an object" '{"id": "2", "a": [1], "b": 1, "when": "2024-01-01", "kind": "x"}'
    json "an array of another shape" "is an array f32[3], and f32[2] is due" \
        '{"id": "2", "a": 1, "b": 1, "when": "2024-01-01", "kind": "x", "list": [1, 2, 3]}'
    json "a ragged array" "differ in length" \
        '{"id": "2", "a": 1, "b": 1, "when": "2024-01-01", "kind": "x", "list": [[1], [2, 3]]}'
fi

# --- up front ---
printf 'id,a,b,when\nr1,1,1,2024-01-01\n' >rows.csv
expect 3 "rows.csv:1: the header has no column 'kind'" mbr decide p.yaml rows.csv
printf 'id,a,a,b,when,kind\n' >rows.csv
expect 3 "rows.csv:1: the column 'a' stands in the header twice" mbr decide p.yaml rows.csv
printf 'id,a,b,when,kind,more\nr1,1,1,2024-01-01,x,9\n' >rows.csv
expect 0 'PASS' mbr decide p.yaml rows.csv
{ cat p.yaml; echo 'extra_columns: error'; } >strict.yaml
expect 3 "rows.csv:1: the pipeline has no input 'more'" mbr decide strict.yaml rows.csv
expect 3 'none.csv' mbr decide p.yaml none.csv
: >rows.csv
expect 3 'rows.csv: the file is empty' mbr decide p.yaml rows.csv
sed 's/from: \[a, b0, k\]/from: [a, b0]/' p.yaml >narrow.yaml
expect 3 "narrow.yaml:" mbr decide narrow.yaml rows.csv
sed 's/kind: ordinal/kind: ordnal/' p.yaml >misspelt.yaml
expect 3 "misspelt.yaml:13: |ordnal|ordinal" mbr decide misspelt.yaml rows.csv
sed 's/^rules:/rules: [/' p.yaml >broken.yaml
expect 3 "broken.yaml:|YAML" mbr decide broken.yaml rows.csv

# --- places that cannot be written ---
printf 'id,a,b,when,kind\nr1,1,1,2024-01-01,x\n' >rows.csv
if [ -c /dev/full ]; then
    full_output()
    {
        mbr "$@" >/dev/full
    }
    expect 4 'standard output cannot be written' full_output decide p.yaml rows.csv
    expect 3 'ordinary file' mbr decide p.yaml rows.csv --log /dev/full
else
    skip "/dev/full is not there"
fi
mkdir -p folder.log
expect 3 'folder.log' mbr decide p.yaml rows.csv --log folder.log
expect 3 'nowhere/state' mbr decide p.yaml rows.csv --state nowhere/state

# --- a clock that steps back: of rows, one late row is out of order, a longer step is a clock that was set ---
sed -e 's/then: PASS}/then: PASS}\nactions: {PASS: {cap: [{most: 2, per: 1h}], instead: HELD}}\nlimits: {clock: when}/' \
    -e '/fallback/d' p.yaml >clock.yaml
cat >rows.csv <<'END'
id,a,b,when,kind
1,1,1,2024-06-01T12:00:00Z,x
2,1,1,2024-06-01T12:00:01Z,x
3,1,1,2024-06-01T11:59:59Z,x
4,1,1,2024-05-01T12:00:00Z,x
5,1,1,2024-05-01T13:00:00Z,x
END
mbr decide clock.yaml rows.csv --log clock.log | awk '{ printf "%s ", $2 }' >said.txt
check "a late row finds no time passed, a set clock goes on" test "$(cat said.txt)" = "PASS PASS HELD HELD PASS "
expect 0 'the same bytes' mbr replay clock.yaml clock.log
finish

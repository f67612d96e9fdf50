#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# mbr decide --log and mbr replay: the same bytes again, whatever the batch; rotation; kill -9 in mid-write; a full
# disk; files that are no log; mbr policy test. MBR_TEST_KILLS (default 8) and MBR_TEST_DECISIONS (default 5820) make it longer.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
fraud=$(cd "${srcdir:-.}/tests/payments" && pwd)
case $MBR in /*) ;; *) MBR=$(pwd)/$MBR ;; esac
cd "$work" || exit 99
if ! mbr --help | grep -q 'mbr replay'; then
    echo "this build has no runtime"
    exit 77
fi
if ! mbr decide "$fraud/pipeline.yaml" "$fraud/sample.csv" >one.txt 2>.err; then
    if grep -q libyaml .err; then
        echo "this build reads no pipeline files"
        exit 77
    fi
fi
mkdir fraud
cp "$fraud"/*.yaml "$fraud"/*.onnx fraud
rows=${MBR_TEST_DECISIONS:-5820}
awk -v n="$rows" 'NR == 1 { print; next } { line[NR] = $0 } END {
    for (i = 0; i < n; i++) print line[2 + i % (NR - 1)] }' "$fraud/sample.csv" >rows.csv

# limits LOG-OPTIONS: the product with everything that remembers, and a log
limits()
{
    sed -e '/^log:/,$d' fraud/pipeline.yaml >limits.tmp
    {
        cat limits.tmp
        echo 'actions:'
        echo '  DECLINE:'
        echo '    cap: [{most: 5, per: 1h}, {most: 2, per: 1d, key: country}]'
        echo '    cool_down: {time: 10m, key: channel}'
        echo '    instead: REVIEW'
        echo '  REVIEW: {cap: {most: 50, per: 1d}, instead: APPROVE}'
        echo 'limits: {clock: timestamp, keys: 3}'
        echo "log: {path: ../log, $1}"
    } >fraud/limits.yaml
}
limits 'sync: rotate'

# --- the same bytes ---
mbr decide fraud/limits.yaml rows.csv >first.txt 2>.err
check "all rows are logged" test "$(wc -l <log)" = "$rows"
check "decisions are held back" grep -q '  cap$' first.txt
check "decisions cool down" grep -q '  cool_down$' first.txt
for batch in 1 7 256 1000; do
    expect 0 "$rows decisions of 1 files decided again: the same bytes" \
        mbr replay fraud/limits.yaml log --batch "$batch" -o again
    check "the repeated log, batch $batch" cmp log again
done
cp log whole
rm log
mbr decide fraud/limits.yaml rows.csv --batch 1 >second.txt 2>.err
check "a batch decides as row by row" cmp first.txt second.txt
expect 0 '"different": 0' mbr replay fraud/limits.yaml log --json

# --- a second process goes on: its memory begins anew, numbers go on ---
mbr decide fraud/limits.yaml "$fraud/sample.csv" >/dev/null 2>.err
check "numbers go on" grep -q "^{\"seq\":$((rows + 1))," log
expect 0 'the same bytes' mbr replay fraud/limits.yaml log
check "ids are different" test "$(grep -o '"decision":"[0-9a-f]*"' log | sort -u | wc -l)" = "$(wc -l <log)"

# --- faulty rows, their own text and the rules' ---
rm log
{
    head -n 3 "$fraud/sample.csv"
    echo 'T9,2024-04-30T01:42:46Z,12;5,EUR,DE,DE,fuel,pos,true,,30,100,0,0,0,10,5'
    echo 'T10,"broken'
} >faulty.csv
expect 0 'fallback' mbr decide fraud/limits.yaml faulty.csv
expect 0 '"cause":"input","error":"column '"'amount'" cat log
expect 0 'the same bytes' mbr replay fraud/limits.yaml log

# --- differences are found ---
sed 's/"amount":[0-9.]*/"amount":1/' whole >changed
expect 1 'differ|decision 1: ' mbr replay fraud/limits.yaml changed
sed 's/fraud >= 0.532/fraud >= 0.9/' fraud/limits.yaml >fraud/other.yaml
expect 1 'differ|"pipeline":' mbr replay fraud/other.yaml whole
expect 1 '"different": '"$rows" mbr replay fraud/other.yaml whole --json
limits 'inputs: false'
rm -f log
mbr decide fraud/limits.yaml "$fraud/sample.csv" >/dev/null 2>.err
expect 3 'holds no inputs' mbr replay fraud/limits.yaml log
expect 3 'none.ndjson' mbr replay fraud/limits.yaml none.ndjson
expect 3 'rows.csv:1: this is no record' mbr replay fraud/limits.yaml rows.csv
head -c 100000 whole >torn
limits 'sync: rotate'
expect 0 'the same bytes' mbr replay fraud/limits.yaml torn

# --- rotation ---
rm -f log
limits 'rotate: {size: 200k, records: 1000}'
mbr decide fraud/limits.yaml rows.csv --batch 100 >/dev/null 2>.err
check "full files" test -s log.000003
check "none is too large" test -z "$(find . -name 'log.0*' -size +200k)"
expect 0 "$rows decisions|the same bytes" mbr replay fraud/limits.yaml log
check "nothing is lost between files" test "$(cat log.0* log | wc -l)" = "$rows"
mbr decide fraud/limits.yaml "$fraud/sample.csv" >/dev/null 2>.err
expect 0 "$((rows + 582)) decisions|the same bytes" mbr replay fraud/limits.yaml log
rm -f log log.0*
limits 'rotate: {records: 500, keep: 2}'
mbr decide fraud/limits.yaml rows.csv --batch 100 >/dev/null 2>.err
check "old files go" test "$(find . -name 'log.0*' | wc -l)" = 2
rm -f log log.0*

# --- what is no log is left alone; one process at a time ---
limits 'sync: never'
cp rows.csv log
expect 3 'is no log of decisions' mbr decide fraud/limits.yaml "$fraud/sample.csv"
check "it is as it was" cmp rows.csv log
rm log
expect 3 'cannot be opened for writing' mbr decide fraud/pipeline.yaml "$fraud/sample.csv" --log nowhere/log
expect 3 'ordinary file' mbr decide fraud/pipeline.yaml "$fraud/sample.csv" --log /dev/null
mkfifo hold
mbr decide fraud/limits.yaml - --format csv --batch 1 <hold >/dev/null 2>.err &
holder=$!
exec 9>hold
head -n 3 "$fraud/sample.csv" >&9
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -s log ] && break
    sleep 0.5
done
expect 3 'writes this log' mbr decide fraud/limits.yaml "$fraud/sample.csv"
exec 9>&-
wait "$holder"
rm log

# --- a disk that is full: files may not grow beyond 16 blocks ---
full()
{
    (trap '' XFSZ; ulimit -f 16 && mbr decide fraud/limits.yaml "$fraud/sample.csv" --batch 1)
}
full 2>said.txt | cat >full.txt
check "a full disk refuses" grep -q 'log: the log of decisions cannot be written: ' said.txt
check "only whole lines are left" sh -c 'test -s log && tail -c 1 log | od -c | grep -q "\\\\n"'
check "what was handed out is logged" test "$(wc -l <full.txt)" -le "$(wc -l <log)"
expect 0 'the same bytes' mbr replay fraud/limits.yaml log
rm log
limits 'on_error: continue'
full 2>said.txt | cat >full.txt
check "or goes on" test "$(wc -l <full.txt)" = 582
check "and says what is lost" grep -q 'decisions could not be logged' said.txt
rm -f log

# --- kill -9 in mid-write: every decision that was handed out is in the log ---
limits 'rotate: {records: 2000}'
kills=${MBR_TEST_KILLS:-8} lost=0 done_kills=0
: >handed
while [ "$done_kills" -lt "$kills" ]; do
    "$MBR" decide fraud/limits.yaml rows.csv --batch 1 --json >out.json 2>/dev/null &
    victim=$!
    sleep "0.0$((done_kills * 7 % 10))5"
    kill -9 "$victim" 2>/dev/null
    wait "$victim" 2>/dev/null
    # whole lines only: the pipe to us may be cut anywhere
    grep -o '"decision": "[0-9a-f]\{32\}"' out.json | sed 's/.*: "//; s/"//' >>handed
    done_kills=$((done_kills + 1))
done
mbr decide fraud/limits.yaml "$fraud/sample.csv" >/dev/null 2>.err
cat log.0* log 2>/dev/null | grep -o '"decision":"[0-9a-f]*"' | sed 's/.*:"//; s/"//' | sort >logged
sort handed >handed.sorted
lost=$(comm -23 handed.sorted logged | wc -l)
echo "$kills kills, $(wc -l <handed) decisions handed out, $(wc -l <logged) logged"
check "none that was handed out is lost" test "$lost" = 0
expect 0 'the same bytes' mbr replay fraud/limits.yaml log

# --- what is remembered from call to call: two halves with --state decide as one; kill -9 while it is kept ---
rm -f log log.0*
sed '/^log:/d' fraud/limits.yaml >fraud/kept.yaml
mbr decide fraud/kept.yaml rows.csv >whole.txt
half=$((rows / 2))
head -n $((half + 1)) rows.csv >half1.csv
{ head -n 1 rows.csv; tail -n +$((half + 2)) rows.csv; } >half2.csv
{
    mbr decide fraud/kept.yaml half1.csv --state kept
    mbr decide fraud/kept.yaml half2.csv --state kept
} >halves.txt
check "two calls with --state decide as one" cmp whole.txt halves.txt
cp kept full.state
mbr decide fraud/kept.yaml rows.csv --state often --save-every 100 --batch 7 >halves.txt
check "however often it is kept" cmp often full.state
expect 2 'give that too' mbr decide fraud/kept.yaml rows.csv --save-every 5
head -c 200 full.state >cut.state
expect 3 'cut.state|cut short' mbr decide fraud/kept.yaml rows.csv --state cut.state
expect 3 'other limits' mbr decide "$fraud/pipeline.yaml" rows.csv --state full.state
(trap '' XFSZ; ulimit -f 0; mbr decide fraud/kept.yaml half1.csv --state kept 2>&1 >/dev/null) | cat >said.txt
check "a full disk leaves the state" sh -c 'cmp kept full.state && grep -q "cannot be written" said.txt && [ ! -e kept.new ]'
expect 3 'nowhere/kept' mbr decide fraud/kept.yaml half1.csv --state nowhere/kept
done_kills=0 unsound=0
rm -f kept
while [ "$done_kills" -lt "$kills" ]; do
    "$MBR" decide fraud/kept.yaml rows.csv --batch 1 --state kept --save-every 1 >/dev/null 2>&1 &
    victim=$!
    sleep "0.0$((done_kills * 3 % 10))5"
    kill -9 "$victim" 2>/dev/null
    wait "$victim" 2>/dev/null
    if [ -e kept ]; then
        mbr decide fraud/kept.yaml "$fraud/sample.csv" --state kept >/dev/null 2>.err || unsound=$((unsound + 1))
    fi
    done_kills=$((done_kills + 1))
done
check "a state is there whole after each of $kills kills" test "$unsound" = 0

# --- what is written is there whole or not at all ---
printf 'old' >page.html
(trap '' XFSZ; ulimit -f 0; mbr replay fraud/limits.yaml whole -o page.html 2>&1 >/dev/null) | cat >said.txt
check "a repeated log on a full disk" sh -c 'test "$(cat page.html)" = old && grep -q "nothing was written" said.txt'
check "no part of it is left" test -z "$(find . -name 'page.html.*')"
rm page.html

# --- a policy against the truth ---
awk -F, 'NR == FNR { truth[$1] = $5; next } FNR == 1 { print $0 ",truth"; next } { print $0 "," truth[$1] }' \
    "$fraud/expected.csv" "$fraud/sample.csv" >labelled.csv
expect 0 'ROC-AUC 0.9655|DECLINE|calibration' mbr policy test "$fraud/pipeline.yaml" labelled.csv --label truth
{
    cat "$fraud/pipeline.yaml"
    echo 'costs: {DECLINE: {fraud: 0, legit: 5}, REVIEW: {fraud: 2, legit: 2}, APPROVE: {fraud: eur, legit: 0}}'
} >fraud/costs.yaml
expect 0 '"roc_auc": 0.96|"best_threshold": ' \
    mbr policy test fraud/costs.yaml labelled.csv --label truth --html page.html --json
expect 0 '<svg|Cost of one threshold|Calibration' cat page.html
check "the page needs nothing from outside" sh -c '! grep -Eq "https?://|<script|<link|src=" page.html'
expect 2 'usage: mbr policy test' mbr policy test fraud/costs.yaml labelled.csv
expect 3 "positive label 'x'" mbr policy test fraud/costs.yaml labelled.csv --label truth --positive x
expect 3 "no column 'verity'" mbr policy test fraud/costs.yaml labelled.csv --label verity

finish

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# mbr drift: what it prints, its exit statuses, files that are damaged, a full disk, kill -9 in mid-write.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
cd "$work" || exit 99
if ! mbr --help | grep -q 'mbr drift'; then
    echo "this build has no runtime"
    exit 77
fi

# rows SEED COUNT SHIFT: numbers, a text, a score, a label
rows()
{
    awk -v seed="$1" -v n="$2" -v shift="$3" 'BEGIN {
        srand(seed)
        print "amount,country,age,score,label"
        for (i = 0; i < n; i++) {
            z = rand() + rand() + rand() + rand() - 2 + shift
            split("DE FR IT US", names, " ")
            p = rand()
            printf "%.4f,%s,%s,%.4f,%d\n", z, names[int(rand() * 4) + 1], rand() < 0.1 ? "" : int(20 + 50 * rand()), p, rand() < p
        }
    }'
}
rows 1 6000 0 >train.csv
rows 2 4000 0 >same.csv
rows 3 4000 0.5 >shifted.csv

expect 0 'mbr drift fit|mbr drift watch|mbr drift report|--webhook' mbr drift --help
expect 2 'fit, watch, merge or report' mbr drift
expect 2 'fit, watch, merge or report' mbr drift fly
expect 2 'usage: mbr drift fit' mbr drift fit train.csv
expect 2 'no option --bogus' mbr drift fit train.csv --bogus 1 -o base
expect 2 '--bins 3' mbr drift fit train.csv --bins 3 -o base
expect 3 'none.csv' mbr drift fit none.csv -o base
expect 3 "no column 'nothing'" mbr drift fit train.csv --label nothing -o base
expect 2 'reads its data twice' mbr drift fit - -o base
expect 0 '6000 rows, 4 columns; 0 faulty' mbr drift fit train.csv --score score --label label -o base

expect 0 'window 2 of 2000 rows: ok' mbr drift watch base same.csv --label label
expect 1 'alarm, from ok|amount' mbr drift watch base shifted.csv --state state --report page.html --retrain again.json
expect 0 '<svg|amount' cat page.html
expect 0 '"retrain": true|"amount"' cat again.json
check "the page needs nothing from outside" sh -c '! grep -Eq "https?://|<script|<link|src=" page.html'
expect 0 '"level": "alarm"|"timeline"' mbr drift report base state --json
expect 0 '<svg' mbr drift report base
expect 0 '' mbr drift report base state -o other.html
expect 1 '"event": "level"' mbr drift watch base shifted.csv --json

# Two halves as one; the program goes on where it stopped.
head -n 1501 shifted.csv >half1.csv
(head -n 1 shifted.csv; tail -n +1502 shifted.csv | head -n 1500) >half2.csv
expect 0 '' mbr drift watch base half1.csv --state part1
expect 0 '' mbr drift watch base half2.csv --state part2
expect 1 'window 1 of 3000 rows: alarm' mbr drift merge base part1 part2 -o both
expect 1 'window 1 of 2000 rows: alarm' mbr drift watch base half2.csv --state part1

# Input that does not fit.
cut -d, -f1,2 train.csv >narrow.csv
expect 3 "no column 'age'" mbr drift watch base narrow.csv
(head -n 1 same.csv; sed -n '2,200s/^[^,]*,/word,/p' same.csv; echo 'a,"b'; tail -n 2000 same.csv) >odd.csv
mbr drift watch base odd.csv >out 2>err
check "texts where numbers are due" grep -q 'rows are faulty' err
: >empty.csv
expect 3 'empty' mbr drift watch base empty.csv
expect 3 'empty' mbr drift fit empty.csv -o base2
echo 'a,b' >header.csv
expect 3 'none' mbr drift fit header.csv -o base2
expect 3 'this is no baseline' mbr drift watch train.csv same.csv
expect 3 'swapped' mbr drift watch state same.csv
expect 3 'swapped' mbr drift report base base
head -c 5000 base >cut
expect 3 'cut short' mbr drift watch cut same.csv
(head -c 3000 base; printf 'X'; tail -c +3002 base) >flipped
expect 3 'damaged' mbr drift watch flipped same.csv
(head -c 300 state; printf 'X'; tail -c +302 state) >flipped
expect 3 'damaged' mbr drift watch base same.csv --state flipped

# A path that cannot be written; a disk that is full (here: files may not grow).
expect 3 'cannot be written' mbr drift fit train.csv -o /nowhere/base
(trap '' XFSZ; ulimit -f 1; mbr drift fit train.csv -o full) >out 2>err
check "a baseline on a full disk" sh -c 'grep -q "cannot be written" err && [ ! -e full ] && [ ! -e full.new ]'
cp state before
(trap '' XFSZ; ulimit -f 1; mbr drift watch base same.csv --state state) >out 2>err
check "a state on a full disk" sh -c 'grep -q "cannot be written" err && cmp -s state before && [ ! -e state.new ]'

# A pipeline that watches itself: here its own rows in the order of time, and amounts from another world.
if mbr decide "$srcdir/tests/payments/pipeline.yaml" "$srcdir/tests/payments/sample.csv" >out 2>err; then
    cp -r "$srcdir/tests/payments" fraud
    chmod -R u+w fraud
    expect 0 '582 rows, 16 columns' mbr drift fit fraud/sample.csv --pipeline fraud/pipeline.yaml -o fraud/base
    # With labels beside the rows, the baseline knows how scores relate to the truth.
    cut -d, -f5 fraud/expected.csv | sed '1s/.*/was_fraud/' >labels
    paste -d, fraud/sample.csv labels >labelled.csv
    expect 0 '582 rows' mbr drift fit labelled.csv --pipeline fraud/pipeline.yaml --label was_fraud -o fraud/labelled
    expect 3 'nothing_such' mbr drift fit labelled.csv --pipeline fraud/pipeline.yaml --label nothing_such -o none
    (cat fraud/pipeline.yaml; printf '\ndrift: {baseline: labelled, window: 250, state: known}\n') >fraud/labelled.yaml
    expect 0 . mbr decide fraud/labelled.yaml fraud/sample.csv
    expect 0 '"baseline_auc": 0.96' mbr drift report fraud/labelled fraud/known --json
    printf '\ndrift:\n  baseline: base\n  window: 250\n  state: live\n  fallback: true\n' >>fraud/pipeline.yaml
    awk -F, -v OFS=, 'NR > 1 { $3 = $3 * 8 + 300 } { print }' fraud/sample.csv >fraud/shifted.csv
    expect 3 'fraud' mbr decide fraud/pipeline.yaml fraud/nothing.csv
    mbr decide fraud/pipeline.yaml fraud/shifted.csv >out 2>err
    check "the alarm puts the fallback in force" grep -q 'drift has put the fallback in force' out
    expect 0 '"level": "alarm"|amount' mbr drift report fraud/base fraud/live --json
else
    skip "pipelines need libyaml"
fi

# Killed at any moment, the state is there and sound.
(head -n 1 same.csv; while :; do tail -n +2 same.csv; done) 2>/dev/null >stream &
writer=$!
sleep 0.3
kill "$writer" 2>/dev/null
wait "$writer" 2>/dev/null
head -n 400000 stream >long.csv
rm -f stream
sound=0
for i in 1 2 3 4 5 6 7 8 9 10 11 12 last; do
    # shellcheck disable=SC2086
    $EMULATOR "$MBR" drift watch base long.csv --window 100 --state killed >/dev/null 2>&1 &
    victim=$!
    if [ "$i" != last ]; then
        sleep "0.0$((i * 7 % 10))$i"
    else # with something saved, however busy the machine is
        waits=0
        until [ -e killed ] || [ $((waits += 1)) -gt 600 ]; do sleep 0.1; done
    fi
    kill -9 "$victim" 2>/dev/null
    wait "$victim" 2>/dev/null
    if [ ! -e killed ] || mbr drift report base killed --json >/dev/null 2>err; then sound=$((sound + 1)); fi
done
check "kill -9: $sound of 13 states are sound" [ "$sound" = 13 ]
check "something was saved before the kill" [ -e killed ]
finish

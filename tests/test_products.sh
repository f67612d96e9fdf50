#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The products in examples/: what mbr decides is as good as what their trainers' own predictions were (expected.csv and
# expected.json, stored by train.py), row by row as in batches, and a world that has changed raises an alarm.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
examples=$(cd "$srcdir" && pwd)/examples || exit 99
cd "$work" || exit 99
if ! mbr --help | grep -q 'mbr decide'; then
    echo "this build has no runtime"
    exit 77
elif ! mbr decide --describe "$examples/fraud/pipeline.yaml" >/dev/null 2>err && grep -q libyaml err; then
    echo "this build reads no pipeline files"
    exit 77
fi

# stored PRODUCT KEY: a number of expected.json.
stored()
{
    sed -n "s/.*\"$2\": \([-0-9.e]*\).*/\1/p" "$examples/$1/expected.json"
}

# judge PRODUCT VALUE: as good as the trainer's, and better than the trivial answer.
judge()
{
    echo "$1: $(sed -n 's/.*"measure": "\(.*\)".*/\1/p' "$examples/$1/expected.json") $2, the trainer's $(stored "$1" trainer)," \
        "trivial $(stored "$1" trivial)"
    check "$1 is as good as its trainer's" awk -v ours="$2" -v theirs="$(stored "$1" trainer)" \
        -v most="$(stored "$1" tolerance)" 'BEGIN { d = ours - theirs; exit !(ours != "" && (d < 0 ? -d : d) <= most) }'
    check "$1 is better than what is trivial" awk -v ours="$2" -v trivial="$(stored "$1" trivial)" \
        -v margin="$(stored "$1" margin)" 'BEGIN { exit !(ours != "" && ours >= trivial + margin) }'
}

# Decisions as JSON, without their ids, which no two runs share.
json() { mbr decide "$@" --json | sed 's/, "decision": "[0-9a-f]*"//'; }

# decide PRODUCT FAULTY: decisions on its sample as JSON, in decided.json; alone as in batches; quiet, and loud when it
# should be.
decide()
{
    product=$examples/$1
    json "$product/pipeline.yaml" "$product/sample.csv" >decided.json 2>said
    check "every row of $1 gets an action" test "$(grep -vc '"action": null' decided.json)" = \
        $(($(wc -l <"$product/sample.csv") - 1))
    check "no alarm of $1 in the world that it knows" test "$(grep -c 'drift: alarm' said)" = 0
    check "$2 faulty rows of $1" test "$(grep -c '"error"' decided.json)" = "$2"
    json "$product/pipeline.yaml" "$product/sample.csv" --batch 1 >alone.json 2>said
    check "$1 decides row by row as in batches" cmp decided.json alone.json
    mbr decide "$product/pipeline.yaml" "$product/changed.csv" >changed 2>said
    check "a changed world raises an alarm of $1" grep 'drift: alarm' said
    check "the demo of $1" env MBR="$MBR" "$product/demo.sh"
}

# field NAME: of each line of decided.json its number of this name, or nothing.
field()
{
    sed "s/.*\"$1\": \"\{0,1\}\([^,}\"]*\).*/\1/; t; s/.*//" decided.json
}

# auc: of lines "score label", the chance that one with label 1 scores above one with 0.
auc()
{
    LC_ALL=C sort -g | awk '
        { score[NR] = $1; yes[NR] = $2 }
        END {
            for (i = 1; i <= NR; i = k + 1) {
                for (k = i; k < NR && score[k + 1] == score[i]; k++)
                    continue
                for (j = i; j <= k; j++)
                    if (yes[j]) {
                        sum += (i + k) / 2
                        n++
                    }
            }
            if (n && n < NR)
                printf "%.6f\n", (sum - n * (n + 1) / 2) / (n * (NR - n))
        }'
}

# --- card fraud: the score, and each action ---
decide fraud 0
sed 1d "$examples/fraud/expected.csv" >expected
field fraud >score
check "a score for each payment" test "$(grep -c . score)" = "$(wc -l <expected)"
judge fraud "$(cut -d, -f5 expected | paste -d' ' score - | auc)"
field action >action
cut -d, -f2 expected | paste -d' ' action - >pairs
check "actions of fraud are the trainer's" awk '$1 != $2 { n++ } END { exit !(NR && n <= NR / 1000) }' pairs

# --- predictive maintenance: the score of each window; before a fan has its first 64 rows it has none ---
decide maintenance 0
check "a fan warms up for 63 rows" test $((56 * 63)) = \
    "$(grep -c '"rule": "warming_up", "scores": {"failing": null' decided.json)"
expect 3 "column 'window' is missing" mbr pre "$examples/maintenance/pipeline.yaml" \
    "$examples/maintenance/sample.csv" --row 1 --save tensors
sed 1d "$examples/maintenance/expected.csv" >expected
field failing | awk -F, 'NR == FNR { wanted[$1] = $5; next } FNR in wanted { print $1, wanted[FNR] }' expected - >pairs
check "a score for each window" test "$(grep -c '^[0-9]' pairs)" = "$(wc -l <expected)"
judge maintenance "$(auc <pairs)"

# --- support chatbot: the intent, the answer, the action ---
decide chatbot 0
sed 1d "$examples/chatbot/expected.csv" >expected
field intent.label_1 >intent
judge chatbot "$(cut -d, -f7 expected | paste -d' ' intent - | awk '
    $1 == $2 { right++ }
    END { if (NR) printf "%.6f", right / NR }')"
field answer.label_1 >answer
cut -d, -f5 expected | paste -d' ' answer - >pairs
check "answers of chatbot are the trainer's" awk '$1 != $2 { n++ } END { exit !(NR && n <= NR / 500) }' pairs
sed 's/.*"reply.label_1": "\([^"]*\)".*/\1/' decided.json | paste answer - >said
paste "$examples/chatbot/answers.txt" "$examples/chatbot/replies.txt" >words
check "what chatbot writes are the answer's words" awk -F'\t' '
    NR == FNR { words[$1] = $2; next }
    words[$1] != $2 { n++ }
    END { exit !(FNR && !n) }' words said
field action >action
cut -d, -f2 expected | paste -d' ' action - >pairs
check "actions of chatbot are the trainer's" awk '$1 != $2 { n++ } END { exit !(NR && n <= NR / 200) }' pairs

# --- recommendation: the ten best, and where the item is among them that was looked at next ---
decide recommendation 0
sed 1d "$examples/recommendation/expected.csv" | cut -d, -f3 >wanted
for k in 1 2 3 4 5 6 7 8 9 10; do
    field "best.label_$k" >"rank$k"
done
paste -d' ' wanted rank1 rank2 rank3 rank4 rank5 rank6 rank7 rank8 rank9 rank10 >ranks
judge recommendation "$(awk '
    { for (k = 2; k <= 11; k++) if ($k == $1) sum += log(2) / log(k) }
    END { if (NR) printf "%.6f", sum / NR }' ranks)"
sed 1d "$examples/recommendation/expected.csv" | cut -d, -f2 >theirs
cut -d' ' -f2- ranks >ours
check "what is recommended is the trainer's" awk '
    NR == FNR { line[NR] = $0; next }
    line[FNR] != $0 { n++ }
    END { exit !(FNR && n <= FNR / 100) }' theirs ours

finish

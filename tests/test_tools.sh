#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The commands of the program: what they print, and their exit statuses.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
make_models

same()
{
    cmp "$1" "$2"
}

# --- the program itself ---
expect 0 'mbr run|mbr bench|mbr profile|mbr test|mbr info|mbr dump|mbr ops|Exit status' mbr --help
expect 0 'mbr run' mbr help
expect 0 'mbr 0.' mbr --version
expect 2 "no command 'fly'|mbr --help" mbr fly
cases=$((cases + 1)) name="mbr without arguments"
mbr >"$work/.out" 2>"$work/.err"
if [ $? = 2 ] && grep -q 'mbr run' "$work/.err" && [ ! -s "$work/.out" ]; then echo "ok: $name"; else bad "no help"; fi
for command in run bench profile test info dump ops plan; do
    expect 0 "usage: mbr $command" mbr $command --help
done
expect 0 '--data DIR|--input NAME=FILE|--save DIR|--threads N|--device NAME' mbr run --help
expect 0 '--data DIR|--seconds S|--json|--save DIR|--threads N' mbr bench --help

# --- wrong usage ---
for command in run bench profile test info dump plan; do
    expect 2 "usage: mbr $command" mbr $command
    expect 2 'no option --bogus' mbr $command --bogus 1 good/model.onnx
done
expect 2 'usage' mbr run one two
expect 2 'usage' mbr ops one
expect 2 '--threads' mbr run good/model.onnx --threads 0
expect 2 '--threads' mbr run good/model.onnx --threads many
expect 2 '--threads' mbr run good/model.onnx --threads=2x
expect 2 '--memory' mbr run good/model.onnx --memory much
expect 2 '--memory' mbr run good/model.onnx --memory 12q
expect 2 '--memory' mbr run good/model.onnx --memory 12Mb
expect 2 '--memory' mbr run good/model.onnx --memory -1
expect 2 '--seconds' mbr bench good/model.onnx --seconds 0
expect 2 '--seconds' mbr bench good/model.onnx --seconds nan
expect 2 '--device' mbr run good/model.onnx --device toaster
expect 2 '--save' mbr run good/model.onnx --save
expect 2 'NAME=FILE' mbr run good/model.onnx --input x
expect 2 "no pass 'bogus'|fold" mbr run good/model.onnx --passes bogus
expect 2 "no pass 'bogus'|fold" mbr dump good/model.onnx --stage bogus
check "a tier that there is not is said" sh -c 'MBR_CPU=bogus $EMULATOR "$MBR" info good/model.onnx 2>&1 | grep -q "MBR_CPU=bogus: there is no such tier"'
expect 2 "no pass 'bogus'|fold" env MBR_PASSES=bogus $EMULATOR "$MBR" info good/model.onnx
expect 2 '--json' mbr run good/model.onnx --json

# --- run ---
expect 0 'y: f32[2, 3]|{2.5, 0, 6, 5.5, 3, 9}' mbr run good/model.onnx --input x=x.npy
expect 0 '{2.5, 0, 6, 0, 0, 0}' mbr run good/model.onnx --data good/test_data_set_0
expect 0 '{2.5, 0, 6, 0, 0, 0}' mbr run good/model.onnx --data=good/test_data_set_0 --threads=1 --device cpu --exact
expect 0 '{2.5, 0, 6, 0, 0, 0}' mbr run --device auto --threads 2 --passes none --data good/test_data_set_0 -- good/model.onnx
expect 0 '{2.5, 0, 6, 5.5, 3, 9}' mbr run good/model.onnx --data good/test_data_set_0 --input x=x.npy
expect 0 '{2, 4, 6, 8, 10, 12}' mbr run two.onnx --input x=x.npy --input z=x.npy
expect 0 'y:' mbr run external/good.onnx --input x=x.npy --memory 10M
expect 0 '' mbr run good/model.onnx --data good/test_data_set_0 --save out/of/many
check "run --save writes what is due" same out/of/many/output_0.pb good/test_data_set_0/output_0.pb
expect 0 '' mbr run good/model.onnx --input x=good/test_data_set_0/input_0.pb --save out/of/many
check "run --save again" same out/of/many/output_0.pb good/test_data_set_0/output_0.pb
check "run --save leaves nothing else" test "$(ls out/of/many)" = output_0.pb
if [ -c /dev/full ]; then
    full()
    {
        mbr "$@" >/dev/full
    }
    expect 4 'standard output' full run good/model.onnx --input x=x.npy
    expect 4 'standard output' full info good/model.onnx
    expect 4 'standard output' full ops
    expect 4 'written' full dump good/model.onnx
fi

# --- profile ---
expect 0 'us/run|share|GFLOP/s|operator|us in steps of' mbr profile good/model.onnx --input x=x.npy --seconds 0.02
expect 0 '"wall_us": |"steps": |"op": |"calls": 1.000|"shape": ' \
    mbr profile good/model.onnx --data good/test_data_set_0 --seconds 0.02 --threads 1 --json
expect 3 "input 'x' is missing" mbr profile good/model.onnx --seconds 0.02
expect 0 'us in steps of|limits measured' mbr profile good/model.onnx --input x=x.npy --seconds 0.02 --steps
expect 0 '"nodes": |"how": "chain"|"limit_us": |"outside_us": ' \
    mbr profile good/model.onnx --input x=x.npy --seconds 0.02 --json --trace trace.json --html page.html
# Names that are no UTF-8 leave pages, pictures and JSON sound.
if command -v iconv >/dev/null; then
    sound_text()
    {
        iconv -f UTF-8 -t UTF-8 "$1" >/dev/null
    }
    mbr profile odd-names.onnx --input x=x.npy --seconds 0.02 --json --trace odd-trace.json --html odd.html >odd.json
    mbr info odd-names.onnx --json >odd-info.json
    for file in odd.json odd-trace.json odd.html odd-info.json; do
        check "$file is UTF-8" sound_text $file
    done
    bad=$(printf '\357\277\275') acute=$(printf '\303\251')
    check "JSON has a mark for each byte" grep -qF "$bad<s>&\\\"$acute$bad$bad$bad$bad$bad\\u0001" odd.json
    check "a page, too" grep -qF "$bad&lt;s&gt;&amp;&quot;" odd.html
else
    skip "names that are no UTF-8: there is no iconv"
fi
cases=$((cases + 1)) name="a profile adds up to the run"
# The nodes' times, and what lies between the steps, are the run's within 3 per cent.
if mbr profile good/model.onnx --input x=x.npy --seconds 0.05 --threads 1 --json | tr ',' '\n' | awk '
    /"wall_us"/ { wall = $NF } /"outside_us"/ { sum += $NF } /"nodes"/ { nodes = 1 } nodes && /"us"/ { sum += $NF }
    END { exit !(wall > 0 && sum > 0.97 * wall && sum < 1.03 * wall) }'; then
    echo "ok: $name"
else
    bad "it does not"
fi
cases=$((cases + 1)) name="a trace has steps and runs"
if grep -q '"ph": "X".*"name": "run 0"' trace.json && grep -q '"node": "rectify"' trace.json &&
    [ "$(tail -n 1 trace.json)" = ']}' ]; then echo "ok: $name"; else bad "it has not"; fi
cases=$((cases + 1)) name="a page needs nothing from outside"
if grep -q '<svg' page.html && grep -q 'rectify' page.html && ! grep -Eq 'https?://|src=|@import|<link' page.html; then
    echo "ok: $name"
else
    bad "it does"
fi
expect 4 'nothing was written' mbr profile good/model.onnx --input x=x.npy --seconds 0.02 --html missing/page.html

# --- bench ---
expect 0 'load|median|p99' mbr bench good/model.onnx --input x=x.npy --seconds 0.02
expect 0 '"load_ms": |"first_ms": |"median_ms": |"p99_ms": |"min_ms": |"runs": |"peak_rss_mb": |"threads": 1' \
    mbr bench good/model.onnx --input x=x.npy --seconds 0.02 --json --threads 1
cp -r good/test_data_set_0 good/test_data_set_1
expect 0 '"runs": ' mbr bench good/model.onnx --data good/test_data_set_0 --data good/test_data_set_1/ \
    --seconds 0.02 --json --save timed
for k in 0 1; do
    check "bench --save, data $k" same timed/test_data_set_$k/output_0.pb good/test_data_set_0/output_0.pb
done
expect 3 "'x' is missing" mbr bench good/model.onnx --seconds 0.02
cases=$((cases + 1)) name="a run at sizes seen before allocates nothing"
mbr bench good/model.onnx --data good/test_data_set_0 --seconds 0.02 --json >"$work/.out" 2>"$work/.err"
if grep -q '"allocations": 0}' "$work/.out"; then echo "ok: $name"; else bad "it does"; fi

# --- test ---
expect 0 '2 passed, 0 failed' mbr test good
expect 0 '3 passed, 0 failed' mbr test good loose
expect 1 "FAIL wrong|'y'|1 of 6|0 passed, 1 failed" mbr test wrong
expect 1 '3 passed, 1 failed' mbr test good wrong loose
expect 1 '3 passed, 1 failed' mbr test .
expect 1 '"passed": 3, "failed": 1' mbr test . --json
expect 3 'no model.onnx' mbr test huge
expect 3 'nowhere' mbr test nowhere
mkdir -p broken/test_data_set_0
cp png.onnx broken/model.onnx
expect 1 'FAIL broken|is not a model|0 passed, 1 failed' mbr test broken
mkdir -p bare
cp good/model.onnx bare/model.onnx
expect 1 'FAIL bare|test_data_set_0' mbr test bare

# --- info, dump, ops ---
expect 0 'x: f32[N, 3]|y: f32[N, 3]|Add|Relu|memory' mbr info good/model.onnx
expect 0 '"name": "x"|"shape": ["N", 3]|"opset": 17|"memory": ' mbr info good/model.onnx --json
expect 0 'module "good/model.onnx"|%x: f32[N, 3]|Add|Relu' mbr dump good/model.onnx --stage import
expect 0 'graph "g"' mbr dump good/model.onnx
expect 0 'ai.onnx.Conv since |ai.onnx.ml.TreeEnsembleRegressor' mbr ops
expect 0 'ai.onnx.Relu since 1 [chain: base|ai.onnx.Conv since 1 [conv: base|ai.onnx.Det since 11 [ref: base]|com.microsoft.Gelu since 1 [' mbr ops
expect 0 '"domain": "ai.onnx", "name": "Relu", "since": 1, |"types": ["f32", ' mbr ops --json
if command -v python3 >/dev/null; then
    for command in 'info good/model.onnx' 'bench good/model.onnx --input x=x.npy --seconds 0.02' ops; do
        # shellcheck disable=SC2086
        mbr $command --json >some.json
        check "JSON of mbr $command" python3 -c 'import json; json.load(open("some.json"))'
    done
fi

# --- sounds and pictures ---
if mbr --help | grep -q 'mbr audio'; then
    expect 2 '--memory' mbr audio x.wav --memory 12q
    expect 2 '--memory' mbr image x.png --memory 12Mb
    seq 1 5000 | head -c 9003 >bytes.pcm
    for what in '--resample 16000' '--resample 8000 --features power --n-fft 64 --frames-first' \
            '--features mfcc --n-fft 64 --mels 8 --mfcc 4 --top-db -1 --frames-first'; do
        # shellcheck disable=SC2086
        mbr audio bytes.pcm --pcm u8,1,44100 $what --save whole.npy
        for n in 1 7 100000; do
            # shellcheck disable=SC2086
            mbr audio bytes.pcm --pcm u8,1,44100 $what --chunk "$n" --save pieces.npy
            check "mbr audio $what in pieces of $n" cmp whole.npy pieces.npy
        done
    done
    expect 0 '3 channels at 8000 Hz, 545 samples' mbr audio bytes.pcm --pcm u8,3,44100 --resample 8000 --chunk 100
    expect 4 '767999' mbr audio bytes.pcm --pcm u8,1,44101 --resample 767999 --chunk 100
else
    skip "mbr audio: this build has no runtime"
fi

# --- decide ---
fraud=$(cd "$srcdir" && pwd)/tests/payments
if ! mbr --help | grep -q 'mbr decide'; then
    skip "mbr decide: this build has no runtime"
elif ! mbr decide "$fraud/pipeline.yaml" "$fraud/sample.csv" >decided.txt 2>"$work/.err"; then
    if grep -q libyaml "$work/.err"; then
        skip "mbr decide: this build reads no pipeline files"
    else
        check "decide on the fraud product" mbr decide "$fraud/pipeline.yaml" "$fraud/sample.csv"
    fi
else
    decide()
    {
        mbr decide "$@"
    }
    from_stdin()
    {
        cat "$1" | mbr decide "$fraud/pipeline.yaml" - --batch 1
    }
    expect 0 'usage: mbr decide|--describe|--format' decide --help
    check "a line for each row" test "$(wc -l <decided.txt)" = $(($(wc -l <"$fraud/sample.csv") - 1))
    sed 1d "$fraud/expected.csv" | cut -d, -f1,2 >due.txt
    awk '{ print $1 "," $2 }' decided.txt >got.txt
    check "the actions are those of the training script" same got.txt due.txt
    from_stdin "$fraud/sample.csv" >piped.txt
    check "rows one by one from standard input" same piped.txt decided.txt
    expect 0 '"action": "DECLINE"|"scores": {"fraud": ' decide "$fraud/pipeline.yaml" "$fraud/sample.csv" --json
    expect 0 'card-fraud|APPROVE' decide --describe "$fraud/pipeline.yaml"
    look()
    {
        mbr check "$@"
    }
    pre()
    {
        mbr pre "$@"
    }
    expect 0 'card-fraud|night: bool = expr(hour)' look "$fraud/pipeline.yaml" --html p.html --svg p.svg --dot p.dot
    expect 0 '<svg|category_rate|then DECLINE' cat p.html
    expect 0 'digraph|n0 [fillcolor| -> n2' cat p.dot
    sed 's/from: eur, offset/from: euros, offset/' "$fraud/pipeline.yaml" >wrong.yaml
    expect 3 "wrong.yaml:|there is no column 'euros'" look wrong.yaml
    expect 3 'nowhere.yaml' look nowhere.yaml
    expect 2 'usage' look
    expect 0 '' pre "$fraud/pipeline.yaml" "$fraud/sample.csv" --save pre
    expect 0 'probability: f32[582, 1]' mbr run "$fraud/model.onnx" --data pre
    expect 0 '' pre "$fraud/pipeline.yaml" "$fraud/sample.csv" --row 2 --save second
    expect 0 'f32[1, 1]  {0.955558}' mbr run "$fraud/model.onnx" --data second
    expect 3 'has no row 583' pre "$fraud/pipeline.yaml" "$fraud/sample.csv" --row 583 --save pre
    expect 2 '--row 0' pre "$fraud/pipeline.yaml" "$fraud/sample.csv" --row 0 --save pre
    expect 2 'usage' pre "$fraud/pipeline.yaml" "$fraud/sample.csv"
    expect 2 'usage' decide "$fraud/pipeline.yaml"
    expect 2 'usage' decide
    expect 2 'csv or jsonl' decide "$fraud/pipeline.yaml" "$fraud/sample.csv" --format xml
    expect 2 '--batch' decide "$fraud/pipeline.yaml" "$fraud/sample.csv" --batch 0
    expect 3 'nowhere.csv' decide "$fraud/pipeline.yaml" nowhere.csv
    expect 3 'nowhere.yaml' decide nowhere.yaml "$fraud/sample.csv"
    expect 3 'png.onnx' decide png.onnx "$fraud/sample.csv"
    expect 3 'empty.onnx|empty' decide "$fraud/pipeline.yaml" empty.onnx
    expect 3 "good: is a folder|CSV" decide "$fraud/pipeline.yaml" good
    expect 3 "good: is a folder|pipeline file" decide good "$fraud/sample.csv"
    from_folder()
    {
        mbr decide "$fraud/pipeline.yaml" - <good
    }
    expect 3 "standard input: reading failed" from_folder
    echo 'a,b' >columns.csv
    expect 3 "columns.csv:1|no column 'transaction_id'" decide "$fraud/pipeline.yaml" columns.csv
    expect 4 'memory' decide "$fraud/pipeline.yaml" "$fraud/sample.csv" --memory 10k
    { sed 1q "$fraud/sample.csv"; echo 'T1,never,much'; sed -n 2p "$fraud/sample.csv"; } >faulty.csv
    expect 0 'REVIEW  fallback  error: |T1101812' decide "$fraud/pipeline.yaml" faulty.csv
    sed '/^fallback:/d' "$fraud/pipeline.yaml" >strict.yaml
    cp "$fraud/model.onnx" model.onnx
    expect 3 'faulty.csv|1 of 2 rows got no action' decide strict.yaml faulty.csv
    rm model.onnx
fi
finish

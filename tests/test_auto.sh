#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# `--device auto`: a run and `mbr plan` have the same steps on the same devices; pins are kept to; short models look at no
# device. The device is whatever OpenCL has first, with facts that make it worth its transfers.
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
make_models
MBR_CACHE=off
export MBR_CACHE

# tensor FILE ROWS: [ROWS, 1024] of four numbers in turn
tensor()
{
    {
        printf '\223NUMPY\001\000\166\000'
        printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': ($2, 1024), }"
        printf '\000\000\200\077\000\000\000\277\000\000\200\276\000\000\000\076' >piece
        for _ in 1 2 3 4 5 6 7 8; do
            cat piece piece >twice
            mv twice piece
        done
        i=0
        while [ $i -lt "$2" ]; do
            cat piece
            i=$((i + 1))
        done
    } >"$1"
}
tensor many.npy 256
tensor one.npy 1
mbr run layers.onnx --input x=many.npy --device opencl >"$work/.out" 2>"$work/.err" || {
    echo "SKIP: there is no OpenCL device"
    exit 77
}
cat >quick.json <<'EOF'
{"devices": [{"name": "opencl:0", "gflops_f32": 100000, "memory_gbps": 2000, "launch_us": 1, "upload_us": 1,
              "download_us": 1, "upload_gbps": 20, "download_gbps": 20}]}
EOF
if ! mbr run layers.onnx --input x=many.npy --device auto --devices quick.json >"$work/.out" 2>"$work/.err" &&
    grep -q jansson "$work/.err"; then
    echo "SKIP: this build reads no JSON"
    exit 77
fi

# steps FILE: device, operator and node of each step that runs
steps()
{
    grep '"domain"' "$1" | grep -v '"calls": 0.000' |
        sed 's/.*"op": "\([^"]*\)", "node": "\([^"]*\)".*"device": "\([^"]*\)".*/\3 \1 \2/'
}

# agrees DEVICES MODEL INPUT OPTIONS...: plan and run; how many steps are on the device is due
agrees()
{
    due=$1 model=$2 input=$3
    shift 3
    cases=$((cases + 1))
    name="agrees: $model $*"
    mbr plan "$model" --input "x=$input" --device auto "$@" --json >plan.json 2>"$work/.err" &&
        mbr profile "$model" --input "x=$input" --device auto "$@" --steps --seconds 0.01 --json >run.json 2>"$work/.err"
    steps plan.json >plan.steps
    sed '/"nodes"/,$d' run.json >run.steps.json
    steps run.steps.json >run.steps
    cp plan.steps "$work/.out"
    if ! cmp -s plan.steps run.steps || [ "$(wc -l <plan.steps)" -lt 4 ]; then
        bad "the run's steps are elsewhere"
        diff plan.steps run.steps
    elif [ "$(grep -c '^opencl:0 ' plan.steps)" != "$due" ]; then
        bad "$due steps on the device are due"
        cat plan.steps
    else
        echo "ok: $name"
    fi
}
agrees 4 layers.onnx many.npy --devices quick.json
agrees 0 row.onnx one.npy
agrees 0 layers.onnx many.npy
printf '* cpu\nsecond opencl:0\n' >one.pins
agrees 1 layers.onnx many.npy --devices quick.json --placement one.pins
agrees 1 layers.onnx many.npy --placement one.pins
printf 'third cpu threads=1\n' >third.pins
agrees 3 layers.onnx many.npy --devices quick.json --placement third.pins
agrees 0 layers.onnx many.npy --placement third.pins

# --- the answer is the CPU's ---
expect 0 '' mbr run branches.onnx --input x=many.npy --device cpu --save cpu
for device in opencl:0 "auto --devices quick.json" "auto --placement one.pins"; do
    # shellcheck disable=SC2086 # options are words
    [ "$device" = "auto --placement one.pins" ] && printf 'left cpu\nright_* opencl:0\n' >one.pins
    # shellcheck disable=SC2086
    expect 0 '' mbr run branches.onnx --input x=many.npy --device $device --save other
    check "the same answer" cmp cpu/output_0.pb other/output_0.pb
done

# --- placement files ---
printf 'nobody cpu\n' >a.pins
expect 2 "line 1|no step is named 'nobody'" mbr run layers.onnx --input x=many.npy --placement a.pins
expect 2 "no step is named 'nobody'" mbr run layers.onnx --input x=many.npy --placement a.pins --device auto
printf 'first toaster\n' >a.pins
expect 2 "no device 'toaster'" mbr run layers.onnx --input x=many.npy --placement a.pins
expect 2 "no device 'toaster'" mbr run layers.onnx --input x=many.npy --placement a.pins --device auto
printf 'first cpu threads=1\n' >a.pins
expect 0 'y: f32' mbr run layers.onnx --input x=many.npy --placement a.pins
expect 3 "placement has it on the cpu" mbr run layers.onnx --input x=many.npy --placement a.pins --device opencl --strict
expect 3 'none.pins' mbr run layers.onnx --input x=many.npy --placement none.pins
expect 2 'device auto' mbr run layers.onnx --input x=many.npy --devices quick.json

# --- short models look at no device, and nothing is measured for them ---
mkdir kept
expect 0 'y: f32' mbr run row.onnx --input x=one.npy --device auto --cache kept
check "nothing is measured" test -z "$(ls kept | grep -e devices -e rates)"
expect 0 'y: f32' mbr run layers.onnx --input x=many.npy --device auto --cache kept
check "what was found is kept" test -n "$(ls kept | grep devices)"
for file in kept/devices-*; do
    printf 'x' | dd of="$file" bs=1 seek=60 conv=notrunc 2>/dev/null
done
expect 0 'y: f32' mbr run layers.onnx --input x=many.npy --device auto --cache kept
finish

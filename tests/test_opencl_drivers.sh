#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Drivers that crash, hang, exit or have no device, and no loader at all: a message and a status, in time. What was kept of
# programs is damaged, cannot be read or written, or is being written by others: the answer is the same.
top=$(cd "${srcdir:-.}" && pwd)
# shellcheck source=tests/program.sh
. "${srcdir:-.}/tests/program.sh"
grep -q '^#define HAVE_OPENCL 1' "$builddir/config.h" || { echo "SKIP: this build has no OpenCL"; exit 77; }
make_models

fake()
{
    ${CC:-cc} -std=gnu11 -fPIC -shared -o libfake_icd.so "$top/tests/fake_icd.c" &&
        echo "$work/libfake_icd.so" >fake.icd &&
        mkdir -p none/loader && ${CC:-cc} -shared -o none/loader/libOpenCL.so.1 -x c /dev/null
}
check "the fake driver builds" fake
real_vendors=${OCL_ICD_VENDORS:-} real_libraries=${LD_LIBRARY_PATH:-}
export OCL_ICD_VENDORS="$work/fake.icd" MBR_OPENCL_TIMEOUT=1 MBR_CACHE=off FAKE_ICD=none
model=good/model.onnx
if mbr info "$model" --device opencl 2>&1 | grep -q 'OpenCL loader'; then
    echo "no loader here: its drivers are not asked"
else
    expect 3 'no device' mbr info "$model" --device opencl
    FAKE_ICD=crash
    expect 3 'crashes' mbr info "$model" --device opencl
    MBR_OPENCL_TIMEOUT=soon # no number: the driver is tried all the same
    expect 3 'crashes' mbr info "$model" --device opencl
    MBR_OPENCL_TIMEOUT=1
    FAKE_ICD="exit"
    expect 3 'ends the process' mbr info "$model" --device opencl
    FAKE_ICD=hang
    expect 3 'hangs|MBR_OPENCL_TIMEOUT' mbr info "$model" --device opencl

    # --device auto: said once, the CPU does it, and it is tried again later (the file is made as old as that)
    {
        printf '\223NUMPY\001\000\166\000'
        printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (256, 1024), }"
        head -c 1048576 /dev/zero
    } >many.npy
    looks() # STATUS OF GREP: does a run say that the driver is broken?
    {
        mbr run layers.onnx --input x=many.npy --device auto --cache looked >"$work/.run" 2>&1 &&
            grep -q 'y: f32' "$work/.run" &&
            { grep -q 'tried again after 10 minutes' "$work/.run"; test $? = "$1"; }
    }
    FAKE_ICD="exit"
    check "a broken driver is named" looks 0
    check "and not tried at once" looks 1
    for file in looked/devices-*; do touch -t 200001010000 "$file"; done
    check "but later" looks 0
    for file in looked/devices-*; do touch -t 200001010000 "$file"; done
    FAKE_ICD=none
    check "then it has no device" looks 1
    for file in looked/devices-*; do touch -t 200001010000 "$file"; done
    FAKE_ICD="exit"
    check "which is kept" looks 1
fi
# a loader without its functions stands for none, ahead of the one that may be there
export LD_LIBRARY_PATH="$work/none/loader"
expect 3 'OpenCL loader' mbr info "$model" --device opencl
expect 0 'nodes' mbr info "$model" --device cpu
expect 2 'device' mbr info "$model" --device openvx
expect 2 'device' mbr info "$model" --device opencl:x
for device in opencl: opencl:-1 opencl:0x0 opencl:4294967296 'opencl:0 ' auto:0 cpu:0; do
    expect 2 'one of cpu, auto, opencl, opencl:N' mbr info "$model" --device "$device"
    MBR_DEVICE=$device
    export MBR_DEVICE
    expect 2 'one of cpu, auto, opencl, opencl:N' mbr info "$model"
    unset MBR_DEVICE
done
unset OCL_ICD_VENDORS LD_LIBRARY_PATH MBR_OPENCL_TIMEOUT
[ -z "${real_vendors:-}" ] || export OCL_ICD_VENDORS="$real_vendors"
[ -z "${real_libraries:-}" ] || export LD_LIBRARY_PATH="$real_libraries"

# --- the programs that were built ---
run()
{
    mbr run $model --input x=x.npy --device opencl --cache programs --save "$1"
}
if ! mbr run $model --input x=x.npy --save cpu >"$work/.out" 2>"$work/.err" || ! run first >"$work/.out" 2>"$work/.err"; then
    skip "no device here: no program is built"
    finish
fi
check "programs are kept" test -n "$(find programs -name '*.mbrcl')"
# each KIND COMMAND...: the command does something to every entry; then the answer is the same
each()
{
    kind=$1
    shift
    for entry in programs/*.mbrcl; do
        rm -rf "$entry"
        "$@" "$entry"
    done
    check "$kind: it runs" run again
    check "$kind: the same answer" cmp cpu/output_0.pb again/output_0.pb
}
cut() { head -c 50 /dev/zero >"$1"; }
noise() { head -c 4000 /dev/urandom >"$1"; }
loop() { ln -s "$1" "$1"; }
endless() { ln -s /dev/zero "$1"; }
each empty touch
each "cut short" cut
each noise noise
each pipes mkfifo
each "links in a ring" loop
each "without an end" endless
each folders mkdir
rm -rf programs
: >programs
check "a file instead of the folder" run again
rm programs
mkdir programs
if mount -t tmpfs -o size=16k,mode=755 none programs 2>"$work/.err"; then
    head -c 16384 /dev/zero >programs/filler
    check "a full disk" run again
    check "no part of a file is left on the full disk" test "$(ls -A programs)" = filler
    umount programs
    mount -t tmpfs -o ro,mode=755 none programs
    check "a disk that is only read" run again
    umount programs
else
    skip "a full disk: mounting one takes a privilege"
fi

# several at once, with nothing kept; then some are killed
rm -rf programs
many=
for k in 1 2 3 4; do
    run "many$k" >"many$k.out" 2>&1 &
    many="$many $!"
done
for one in $many; do check "one of several" wait "$one"; done
for k in 1 2 3 4; do check "the same answer of each" cmp cpu/output_0.pb "many$k/output_0.pb"; done
if [ -n "$EMULATOR" ]; then
    skip "kills: not under an emulator"
else
    for k in 1 2 3 4 5 6; do
        rm -rf programs
        "$MBR" run $model --input x=x.npy --device opencl --cache programs --save killed >killed.out 2>&1 &
        victim=$!
        sleep "0.0$((k * 12 % 10))$k"
        kill -9 $victim 2>/dev/null
        wait $victim 2>/dev/null
        rm -rf again
        expect 0 '' run again
        check "the same answer after a kill" cmp cpu/output_0.pb again/output_0.pb
    done
fi
finish

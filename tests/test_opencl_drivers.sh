#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Drivers that crash, hang or have no device, and no loader at all: a message and a status, in time.
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
export OCL_ICD_VENDORS="$work/fake.icd" MBR_OPENCL_TIMEOUT=1 MBR_CACHE=off FAKE_ICD=none
model=good/model.onnx
if mbr info "$model" --device opencl 2>&1 | grep -q 'OpenCL loader'; then
    echo "no loader here: its drivers are not asked"
else
    expect 3 'no device' mbr info "$model" --device opencl
    FAKE_ICD=crash
    expect 3 'crashes' mbr info "$model" --device opencl
    FAKE_ICD=hang
    expect 3 'hangs|MBR_OPENCL_TIMEOUT' mbr info "$model" --device opencl
fi
# a loader without its functions stands for none, ahead of the one that may be there
export LD_LIBRARY_PATH="$work/none/loader"
expect 3 'OpenCL loader' mbr info "$model" --device opencl
expect 0 'nodes' mbr info "$model" --device cpu
expect 2 'device' mbr info "$model" --device openvx
expect 2 'device' mbr info "$model" --device opencl:x
finish

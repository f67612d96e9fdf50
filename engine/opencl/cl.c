/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/opencl/cl.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

static const char *const files[] = { "libOpenCL.so.1", "libOpenCL.so", "/usr/local/nvidia/lib64/libOpenCL.so.1" };

static const char *const function_names[] = {
#define MBR_CL_NAME(name) #name,
    MBR_CL_FUNCTIONS(MBR_CL_NAME)
#undef MBR_CL_NAME
};

static mbr_cl functions;
static atomic_int state; /* 0: not tried, 1: somebody tries, 2: there, 3: none */

static int find(void)
{
    void *file = NULL;
    for (size_t i = 0; i < MBR_COUNT_OF(files) && !file; i++)
        file = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
    if (!file)
        return 3;
    for (size_t i = 0; i < MBR_COUNT_OF(function_names); i++) {
        void *f = dlsym(file, function_names[i]);
        if (!f) {
            dlclose(file);
            return 3;
        }
        ((void **)&functions)[i] = f; /* a struct of nothing but function pointers, as POSIX lets dlsym give them */
    }
    return 2; /* it stays open: drivers do not take well to being unloaded */
}

const mbr_cl *mbr_cl_load(mbr_error *err)
{
    int none = 0;
    if (atomic_compare_exchange_strong(&state, &none, 1))
        atomic_store(&state, find());
    while (atomic_load(&state) == 1)
        ;
    if (atomic_load(&state) == 2)
        return &functions;
    mbr_fail(err, MBR_ERR_UNSUPPORTED, "there is no OpenCL loader (libOpenCL.so.1); install one (on Debian: apt-get "
             "install ocl-icd-libopencl1) and the device's driver, or use --device cpu");
    return NULL;
}

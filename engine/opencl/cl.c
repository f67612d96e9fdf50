/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/opencl/cl.h"
#include "engine/opencl/probe.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

#ifndef MBR_NO_THREADS
#include <pthread.h>
#endif

static const char *const files[] = { "libOpenCL.so.1", "libOpenCL.so", "/usr/local/nvidia/lib64/libOpenCL.so.1" };

static const char *const function_names[] = {
#define MBR_CL_NAME(name) #name,
    MBR_CL_FUNCTIONS(MBR_CL_NAME)
#undef MBR_CL_NAME
};

static struct {
#ifndef MBR_NO_THREADS
    pthread_mutex_t lock;
#endif
    bool tried, broken;
    const char *why; /* NULL: it is there */
    char text[160];
    mbr_cl functions;
} loader = {
#ifndef MBR_NO_THREADS
    .lock = PTHREAD_MUTEX_INITIALIZER
#endif
};

const char *mbr_cl_find(mbr_cl *to)
{
    void *file = NULL;
    for (size_t i = 0; i < MBR_COUNT_OF(files) && !file; i++)
        file = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
    if (!file)
        return "there is no OpenCL loader (libOpenCL.so.1); install one (on Debian: apt-get install "
               "ocl-icd-libopencl1) and the device's driver";
    for (size_t i = 0; i < MBR_COUNT_OF(function_names); i++) {
        void *f = dlsym(file, function_names[i]);
        if (!f) {
            dlclose(file);
            return "the OpenCL loader (libOpenCL.so.1) is older than OpenCL 1.2; install another";
        }
        ((void **)to)[i] = f; /* a struct of nothing but function pointers, as POSIX lets dlsym give them */
    }
    *(void **)&to->clGetKernelSubGroupInfo = dlsym(file, "clGetKernelSubGroupInfo");
    return NULL; /* it stays open: drivers do not take well to being unloaded */
}

const mbr_cl *mbr_cl_load(mbr_error *err)
{
#ifndef MBR_NO_THREADS
    pthread_mutex_lock(&loader.lock);
#endif
    if (!loader.tried) {
        loader.why = mbr_cl_find(&loader.functions); /* loads no driver yet */
        if (!loader.why) {
            loader.why = mbr_cl_probe(loader.text, sizeof loader.text);
            loader.broken = loader.why != NULL;
        }
        loader.tried = true;
    }
    const char *why = loader.why;
#ifndef MBR_NO_THREADS
    pthread_mutex_unlock(&loader.lock);
#endif
    if (!why)
        return &loader.functions;
    mbr_fail(err, MBR_ERR_UNSUPPORTED, "OpenCL: %s (--device cpu does without)", why);
    return NULL;
}

bool mbr_cl_broken(void)
{
#ifndef MBR_NO_THREADS
    pthread_mutex_lock(&loader.lock);
#endif
    bool broken = loader.broken;
#ifndef MBR_NO_THREADS
    pthread_mutex_unlock(&loader.lock);
#endif
    return broken;
}

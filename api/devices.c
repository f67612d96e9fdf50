/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices of an environment: found by name, opened once. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "api/env.h"

#ifdef HAVE_OPENCL
#include "engine/opencl/device.h"
#endif

#include <string.h>

static mbr_status bad_name(const char *name, mbr_error *err)
{
    return mbr_fail(err, MBR_ERR_ARGUMENT, "device '%s'; one of cpu, auto, opencl, opencl:N is due", name);
}

/* The N of "opencl:N", -1: there is something else. */
static int device_index(const char *name)
{
    size_t n = strlen("opencl");
    int index = 0;
    if (strncmp(name, "opencl", n) != 0)
        return -1;
    if (name[n] == '\0')
        return 0;
    if (name[n] != ':' || name[n + 1] == '\0')
        return -1;
    for (const char *c = name + n + 1; *c; c++) {
        if (*c < '0' || *c > '9' || index >= 1000)
            return -1;
        index = index * 10 + (*c - '0');
    }
    return index;
}

static mbr_status open_device(mbr_env *env, int index, const char *cache, mbr_device **out, mbr_error *err)
{
#ifdef HAVE_OPENCL
    mbr_device *none = NULL;
    mbr_cl_device *d;
    if (index >= MBR_MOST_DEVICES)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "device opencl:%d; the last possible is opencl:%d", index,
                        MBR_MOST_DEVICES - 1);
    *out = atomic_load(&env->devices[index]);
    if (*out)
        return MBR_OK;
    MBR_TRY(mbr_cl_device_open(&env->memory, &env->log, index, cache, &d, err));
    *out = &d->base;
    if (!atomic_compare_exchange_strong(&env->devices[index], &none, *out)) { /* another thread was first */
        mbr_cl_device_close(d);
        *out = none;
    }
    return MBR_OK;
#else
    (void)env;
    (void)index;
    (void)cache;
    (void)out;
    return mbr_fail(err, MBR_ERR_UNSUPPORTED, "this build has no OpenCL (configure --enable-opencl); use --device cpu");
#endif
}

mbr_status mbr_env_device(mbr_env *env, const char *name, const char *cache, mbr_device **out, mbr_error *err)
{
    *out = NULL;
    if (!name || !*name || strcmp(name, "cpu") == 0 || strcmp(name, "auto") == 0)
        return MBR_OK;
    int index = device_index(name);
    return index < 0 ? bad_name(name, err) : open_device(env, index, cache, out, err);
}

void mbr_devices_close(mbr_env *env)
{
    for (size_t i = 0; i < MBR_MOST_DEVICES; i++) {
        mbr_device *d = atomic_load(&env->devices[i]);
        if (d)
            d->fn->free(d);
    }
}

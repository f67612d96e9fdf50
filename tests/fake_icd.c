/* SPDX-License-Identifier: BSD-2-Clause */
/* An OpenCL driver for tests/test_opencl_drivers.sh that crashes, hangs, exits or has nothing, as FAKE_ICD says. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int clIcdGetPlatformIDsKHR(unsigned n, void **platforms, unsigned *count)
{
    const char *how = getenv("FAKE_ICD");
    (void)n;
    (void)platforms;
    if (how && strcmp(how, "crash") == 0)
        abort();
    if (how && strcmp(how, "exit") == 0)
        exit(0);
    while (how && strcmp(how, "hang") == 0)
        pause();
    if (count)
        *count = 0;
    return -1001; /* CL_PLATFORM_NOT_FOUND_KHR */
}

int clGetPlatformInfo(void *platform, unsigned what, size_t room, void *to, size_t *bytes)
{
    (void)platform;
    (void)what;
    (void)room;
    (void)to;
    (void)bytes;
    return -30;
}

void *clGetExtensionFunctionAddress(const char *name)
{
    return strcmp(name, "clIcdGetPlatformIDsKHR") == 0 ? (void *)clIcdGetPlatformIDsKHR : NULL;
}

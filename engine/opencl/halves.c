/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/opencl/device.h"
#include "engine/opencl/store.h"
#include "engine/spans.h"

#include <stdio.h>

#define STEPS 512
#define WELL 1.4 /* halves that are not that much faster are not worth their rounding */

/* Elements per nanosecond, 0 where the driver fails. */
static double rate_of(mbr_cl_device *d, cl_command_queue q, cl_mem to, const char *type)
{
    const mbr_cl *cl = d->cl;
    cl_program program;
    cl_int code, steps = STEPS;
    float by = 0.5f;
    char options[16];
    mbr_error err;
    double best = 0;
    bool cpu = (d->type & CL_DEVICE_TYPE_CPU) != 0;
    size_t items = (cpu ? 16 : 1024) * (size_t)d->units, group = cpu || d->max_group < 64 ? 1 : 64;
    snprintf(options, sizeof options, "-DV=%s%d", type, cpu ? 16 : 4);
    if (mbr_cl_program_get(d, "halves", NULL, options, &program, &err) != MBR_OK)
        return 0;
    cl_kernel k = cl->clCreateKernel(program, "rate", &code);
    if (!k)
        return 0;
    code = cl->clSetKernelArg(k, 0, sizeof to, &to) | cl->clSetKernelArg(k, 1, sizeof steps, &steps) |
           cl->clSetKernelArg(k, 2, sizeof by, &by);
    for (int i = 0; i < 4 && code == CL_SUCCESS; i++) {
        uint64_t begin = mbr_spans_now();
        code = cl->clEnqueueNDRangeKernel(q, k, 1, NULL, &items, &group, 0, NULL, NULL) | cl->clFinish(q);
        double rate = (double)items / (double)(mbr_spans_now() - begin + 1);
        best = rate > best ? rate : best;
    }
    cl->clReleaseKernel(k);
    return code == CL_SUCCESS ? best : 0;
}

bool mbr_cl_fast_halves(mbr_cl_device *d)
{
    static const char *const what[] = { "fast halves?" };
    cl_int code;
    size_t bytes;
    if (d->fast_f16)
        return d->fast_f16 > 0;
    mbr_hash key = mbr_cl_store_key(d, what, MBR_COUNT_OF(what));
    signed char *kept = mbr_cl_store_read(d, key, &bytes);
    signed char fast = kept && bytes == 1 ? *kept : -1;
    cl_command_queue q = kept ? NULL : d->cl->clCreateCommandQueue(d->context, d->id, 0, &code);
    cl_mem to = q ? d->cl->clCreateBuffer(d->context, CL_MEM_WRITE_ONLY, sizeof(float), NULL, &code) : NULL;
    mbr_free(d->memory, kept);
    if (to) {
        double floats = rate_of(d, q, to, "float"), halves = rate_of(d, q, to, "half");
        fast = floats > 0 && halves > WELL * floats ? 1 : -1;
        mbr_log_at(d->log, MBR_LOG_INFO, "%s: halves are computed with at %.2f of the speed of floats", d->label,
                   floats > 0 ? halves / floats : 0);
        mbr_cl_store_write(d, key, &fast, 1);
        d->cl->clReleaseMemObject(to);
    }
    if (q)
        d->cl->clReleaseCommandQueue(q);
    d->fast_f16 = fast;
    return fast > 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/opencl/choice.h"
#include "engine/opencl/measure.h"
#include "engine/opencl/selftest.h"
#include "engine/opencl/store.h"
#include "engine/spans.h"

#include <stdio.h>

#define STEPS 512
#define MODULE "module \"m\" ir 8 opset ai.onnx 17\ngraph main"

static const struct {
    float well; /* it has to be that much faster than what is done without it */
    const char *name;
    const char *type, *chain; /* measure.h: what is timed with it and without */
} choices[MBR_CL_CHOICES] = {
    [MBR_CL_HALVES] = { 1.4f, "halves", "", "" }, /* not much faster, they are not worth their rounding */
    [MBR_CL_SUB_PRODUCTS] = { 1.05f, "products", "f32[512, 512]", "ai.onnx.MatMul@13(%v#, %v0)" },
    [MBR_CL_SUB_PRODUCTS_F16] = { 1.05f, "products of f16", "f16[512, 512]", "ai.onnx.MatMul@13(%v#, %v0)" },
    [MBR_CL_SUB_TRANSPOSED] = { 1.05f, "transposed products", "f32[512, 512]",
                                "ai.onnx.Gemm@13(%v#, %v0) {transB = 1}" },
    [MBR_CL_SUB_TRANSPOSED_F16] = { 1.05f, "transposed products of f16", "f16[512, 512]",
                                    "ai.onnx.Gemm@13(%v#, %v0) {transB = 1}" },
    [MBR_CL_SUB_SUMS] = { 1.05f, "sums", "f32[1024, 768]", "ai.onnx.Softmax@13(%v#) {axis = -1}" },
};

/* What has to come out right before anything is timed; the last one's family is that of the chain. */
static const struct {
    unsigned of; /* bits of choices */
    mbr_cl_selftest test;
} tests[] = {
    { 1u << MBR_CL_SUB_PRODUCTS | 1u << MBR_CL_SUB_TRANSPOSED,
      { "gemm",
        MODULE "(%a: f32[37, 70], %b: f32[70, 145]) -> (%y, %z, %w) {\n"
               "  %y = ai.onnx.MatMul@13(%a, %b)\n"
               "  %z = ai.onnx.Gemm@13(%a, %y) {alpha = f0.0625, transA = 1}\n"
               "  %w = ai.onnx.Gemm@13(%y, %z) {transB = 1}\n}\n", 0 } },
    { 1u << MBR_CL_SUB_PRODUCTS_F16 | 1u << MBR_CL_SUB_TRANSPOSED_F16,
      { "gemm",
        MODULE "(%a: f32[37, 70], %b: f32[70, 144]) -> (%y) {\n"
               "  %c = ai.onnx.Cast@13(%a) {to = 10}\n"
               "  %d = ai.onnx.Cast@13(%b) {to = 10}\n"
               "  %e = ai.onnx.MatMul@13(%c, %d)\n"
               "  %f = ai.onnx.Gemm@13(%e, %d) {alpha = f0.0625, transB = 1}\n"
               "  %y = ai.onnx.Cast@13(%f) {to = 1}\n}\n", 0.02f } },
    { 1u << MBR_CL_SUB_SUMS,
      { "gemm",
        MODULE "(%a: f32[2, 70], %b: f32[45, 70]) -> (%y) {\n  %y = ai.onnx.Gemm@13(%a, %b) {transB = 1}\n}\n", 0 } },
    { 1u << MBR_CL_SUB_SUMS,
      { "reduce",
        MODULE "(%a: f32[7, 300]) -> (%y, %z) {\n  %y = ai.onnx.Softmax@13(%a) {axis = -1}\n"
               "  %z = ai.onnx.ReduceMean@13(%a) {axes = [1]}\n}\n", 0 } },
};

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

/* How fast halves are, floats being 1; 0 where the driver fails. */
static double halves(mbr_cl_device *d)
{
    cl_int code;
    double ratio = 0;
    cl_command_queue q = d->cl->clCreateCommandQueue(d->context, d->id, 0, &code);
    cl_mem to = q ? d->cl->clCreateBuffer(d->context, CL_MEM_WRITE_ONLY, sizeof(float), NULL, &code) : NULL;
    if (to) {
        double floats = rate_of(d, q, to, "float");
        ratio = floats > 0 ? rate_of(d, q, to, "half") / floats : 0;
        d->cl->clReleaseMemObject(to);
    }
    if (q)
        d->cl->clReleaseCommandQueue(q);
    return ratio;
}

/* How fast the chain is with c, without being 1; 0 where it gives wrong answers or fails, -1 where memory is short. */
static double chain(mbr_cl_device *d, mbr_cl_choice c)
{
    mbr_error why;
    double ns[2];
    mbr_cl_device twin = *d; /* with all that is to be chosen, but c, left alone */
    for (int i = 0; i < MBR_CL_CHOICES; i++)
        twin.choice[i] = -1;
    for (int with = 1; with >= 0; with--) {
        twin.choice[c] = with ? 1 : -1;
        for (size_t i = 0; with && i < MBR_COUNT_OF(tests); i++) {
            if (!(tests[i].of >> c & 1))
                continue;
            twin.testing = tests[i].test.family;
            if (!mbr_cl_passes(&twin, &tests[i].test, &why)) {
                mbr_log_at(d->log, MBR_LOG_WARNING, "%s (%s, driver %s) gives wrong %s by sub-groups: %s; they are not used",
                           d->label, d->name, d->driver, choices[c].name, why.text);
                return why.status == MBR_ERR_NO_MEMORY ? -1 : 0;
            }
        }
        if (mbr_cl_step_ns(&twin, choices[c].type, choices[c].chain, 3, &ns[with], &why) != MBR_OK)
            return why.status == MBR_ERR_NO_MEMORY ? -1 : 0;
    }
    d->sub.size = twin.sub.size;
    return ns[0] / ns[1];
}

bool mbr_cl_chooses(mbr_cl_device *d, mbr_cl_choice c)
{
    size_t bytes;
    if (d->choice[c])
        return d->choice[c] > 0;
    const char *texts[] = { "choice", choices[c].name, choices[c].chain };
    mbr_hash key = mbr_cl_test_key(d, texts, MBR_COUNT_OF(texts));
    signed char *kept = mbr_cl_store_read(d, key, &bytes), is = kept && bytes == 1 ? *kept : 0;
    mbr_free(d->memory, kept);
    if (!is) {
        double ratio = c == MBR_CL_HALVES ? halves(d) : chain(d, c);
        is = ratio > choices[c].well ? 1 : -1;
        mbr_log_at(d->log, MBR_LOG_INFO, "%s: %s%s have %.2f of the speed of what does without", d->label, choices[c].name,
                   c == MBR_CL_HALVES ? "" : " by sub-groups", ratio);
        if (ratio >= 0)
            mbr_cl_store_write(d, key, &is, 1);
    }
    d->choice[c] = is;
    return is > 0;
}

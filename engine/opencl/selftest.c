/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/opencl/selftest.h"
#include "engine/frame.h"
#include "engine/opencl/frame.h"
#include "engine/opencl/program.h"
#include "engine/opencl/store.h"
#include "engine/passes/pass.h"
#include "engine/text.h"

#include <math.h>
#include <string.h>

#define MODULE "module \"self-test\" ir 8 opset ai.onnx 17\n"

/* One row a family at least, of what its kernels do most. */
const mbr_cl_selftest mbr_cl_selftests[] = {
    { "elementwise",
      MODULE "graph main(%a: f32[3, 70], %b: f32[3, 70]) -> (%y) {\n  %y: f32[3, 70] = ai.onnx.Add@14(%a, %b)\n}\n", 0 },
    { "gemm",
      MODULE "graph main(%a: f32[37, 70], %b: f32[70, 45]) -> (%y) {\n  %y: f32[37, 45] = ai.onnx.MatMul@13(%a, %b)\n}\n",
      0 },
    { "conv",
      MODULE "graph main(%x: f32[1, 12, 9, 11], %w: f32[20, 12, 3, 3], %b: f32[20], %u: f32[1, 9, 11, 8], "
             "%v: f32[8, 1, 3, 3]) -> (%y, %z) {\n"
             "  %y: f32[1, 20, 5, 11] = ai.onnx.Conv@11(%x, %w, %b) {pads = [1, 1, 1, 1], strides = [2, 1]}\n"
             "  %z: f32[1, 9, 11, 8] = mbr.Conv@1(%u, %v) {act = \"Relu\", group = 8, pads = [1, 1, 1, 1]}\n}\n",
      0 },
    { "attention",
      MODULE "graph main(%q: f32[1, 4, 37, 20], %k: f32[1, 2, 70, 20], %v: f32[1, 2, 70, 24]) -> (%y) {\n"
             "  %y: f32[1, 4, 37, 24] = mbr.Attention@1(%q, %k, %v) {k_axes = [0, 1, 3, 2], scale = f0.25}\n}\n",
      0 },
    { "pool",
      MODULE "graph main(%x: f32[1, 9, 11, 8], %u: f32[2, 3, 9, 9]) -> (%y, %z) {\n"
             "  %y: f32[1, 5, 6, 8] = mbr.MaxPool@1(%x) {kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]}\n"
             "  %z: f32[2, 3, 1, 1] = ai.onnx.GlobalAveragePool@1(%u)\n}\n",
      0 },
    { "resize",
      MODULE "graph main(%x: f32[1, 3, 5, 7]) -> (%y) {\n  const %s = f32[4] {1, 1, 2, 1.5}\n"
             "  %y: f32[1, 3, 10, 10] = ai.onnx.Resize@13(%x, _, %s) {mode = \"linear\"}\n}\n",
      0 },
    { "reduce",
      MODULE "graph main(%a: f32[7, 300]) -> (%y) {\n  %y: f32[7, 300] = ai.onnx.Softmax@13(%a) {axis = -1}\n}\n", 0 },
    { "movement",
      MODULE "graph main(%a: f32[7, 30, 5]) -> (%y) {\n"
             "  %y: f32[5, 7, 30] = ai.onnx.Transpose@13(%a) {perm = [2, 0, 1]}\n}\n", 0 },
    { "quantized",
      MODULE "graph main(%a: u8[37, 70], %z: u8[], %b: u8[70, 45]) -> (%y) {\n"
             "  %y: i32[37, 45] = ai.onnx.MatMulInteger@10(%a, %b, %z)\n}\n", 0 },
    { "sample",
      MODULE "graph main(%x: f32[2, 3, 7, 9], %g: f32[2, 5, 6, 2]) -> (%y) {\n"
             "  %y: f32[2, 3, 5, 6] = ai.onnx.GridSample@16(%x, %g)\n}\n", 0 },
    { "tokens",
      MODULE "graph main(%x: f32[2, 9, 24], %c: f32[2, 9, 3], %s: f32[2, 9, 3], %t: i64[2, 9]) -> (%y) {\n"
             "  %y: f32[2, 9, 24] = ai.onnx.RotaryEmbedding@23(%x, %c, %s) {num_heads = 4}\n}\n", 0 },
    { NULL, NULL, 0 },
};

/* --- running a graph on one side --- */

typedef struct side {
    mbr_ir_module *module;
    mbr_program *program;
    mbr_run run;
    mbr_frame *frame;
} side;

static void close_side(side *s)
{
    mbr_device *device = s->module ? s->module->device : NULL;
    if (!s->run.memory)
        return;
    mbr_frame_free(s->frame);
    mbr_run_destroy(&s->run);
    mbr_program_free(s->program);
    if (device)
        device->fn->forget(device, s->module);
    mbr_ir_module_free(s->module);
}

static mbr_status open_side(side *s, mbr_cl_device *d, const char *graph, mbr_device *on, mbr_error *err)
{
    mbr_pass_set passes;
    s->run.memory = d->memory;
    MBR_TRY(mbr_text_parse(d->memory, d->log, graph, strlen(graph), &s->module, err));
    MBR_TRY(mbr_pass_set_parse("none", &passes, err));
    MBR_TRY(mbr_passes_run(s->module, &passes, NULL, err));
    s->module->device = on;
    MBR_TRY(mbr_program_new(s->module->main, &s->program, err));
    MBR_TRY(mbr_run_init(&s->run, d->memory, NULL, 1, s->module, err));
    return mbr_frame_new(s->program, &s->run, &s->frame, err);
}

/* Small numbers of both signs that repeat late; integers from 0 to 2. */
static mbr_status new_input(mbr_cl_device *d, const mbr_ir_value *ir, uint32_t *seed, mbr_value **out, mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK];
    for (int i = 0; i < ir->type.rank; i++)
        dims[i] = mbr_dim_is_const(ir->type.dims[i]) ? ir->type.dims[i] : 1;
    MBR_TRY(mbr_value_create_tensor(d->memory, ir->type.dtype, ir->type.rank, dims, out, err));
    size_t n = mbr_value_count(*out), size = mbr_dtype_size(ir->type.dtype);
    memset((*out)->data, 0, n * size);
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        if (ir->type.dtype == MBR_DTYPE_F32)
            ((float *)(*out)->data)[i] = (float)((int)(*seed >> 16) - 32768) / 32768.0f;
        else
            ((uint8_t *)(*out)->data)[i * size] = (uint8_t)((*seed >> 16) % (ir->type.dtype == MBR_DTYPE_BOOL ? 2 : 3));
    }
    return MBR_OK;
}

static mbr_status run_sides(mbr_cl_device *d, side *a, side *b, mbr_error *err)
{
    const mbr_ir_graph *g = a->module->main;
    mbr_value *inputs[8] = { NULL };
    uint32_t seed = 1;
    mbr_status st = MBR_OK;
    for (size_t i = 0; i < g->n_inputs && i < MBR_COUNT_OF(inputs) && st == MBR_OK; i++) {
        st = new_input(d, g->inputs[i], &seed, &inputs[i], err);
        if (st == MBR_OK)
            st = mbr_frame_bind(a->frame, i, inputs[i], err);
        if (st == MBR_OK)
            st = mbr_frame_bind(b->frame, i, inputs[i], err);
    }
    if (st == MBR_OK)
        st = mbr_frame_run(a->frame, err);
    if (st == MBR_OK)
        st = mbr_frame_run(b->frame, err);
    for (size_t i = 0; i < MBR_COUNT_OF(inputs); i++)
        mbr_value_drop(inputs[i]);
    return st;
}

static bool same(const mbr_value *got, const mbr_value *want, float tolerance)
{
    if (got->dtype != MBR_DTYPE_F32 || want->dtype != MBR_DTYPE_F32)
        return mbr_value_equal(got, want);
    size_t n = mbr_value_count(want);
    const float *x = got->data, *y = want->data;
    if (mbr_value_count(got) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(x[i] - y[i]) <= tolerance * fmaxf(1.0f, fabsf(y[i]))))
            return false;
    return true;
}

/* What the row's graph makes on the device is what it makes here. Where the device declines it, nothing is said. */
static bool passes(mbr_cl_device *d, const mbr_cl_selftest *t, mbr_error *why)
{
    side ours = { 0 }, theirs = { 0 };
    mbr_cl_device twin = *d; /* the same device, but for what it takes */
    mbr_fail(why, MBR_ERR_RUN, "it gives other numbers than the CPU");
    twin.testing = t->family;
    mbr_error mine;
    mbr_status st = open_side(&ours, d, t->graph, NULL, &mine);
    if (st != MBR_OK) { /* a row that is wrong, or no memory, says nothing about the device; tests find the former */
        close_side(&ours);
        return true;
    }
    st = open_side(&theirs, d, t->graph, &twin.base, why);
    if (st == MBR_OK)
        st = run_sides(d, &ours, &theirs, why);
    const mbr_cl_frame *cf = st == MBR_OK ? (mbr_cl_frame *)mbr_frame_device(theirs.frame) : NULL;
    bool good = st == MBR_OK && !(cf && cf->lost);
    for (size_t i = 0; good && i < ours.module->main->n_outputs; i++)
        good = same(mbr_frame_output(theirs.frame, i), mbr_frame_output(ours.frame, i), t->tolerance ? t->tolerance : 1e-4f);
    close_side(&theirs);
    close_side(&ours);
    return good;
}

bool mbr_cl_family_passes(mbr_cl_device *d, const char *family)
{
    const char yes = 'y';
    mbr_error why;
    for (const mbr_cl_selftest *t = mbr_cl_selftests; t->family; t++) {
        if (strcmp(t->family, family) != 0)
            continue;
        const char *texts[] = { "test", family, t->graph };
        mbr_hash key = mbr_cl_store_key(d, texts, MBR_COUNT_OF(texts));
        for (const mbr_cl_source *s = mbr_cl_sources; s->name; s++)
            key = mbr_hash_bytes(s->text, strlen((const char *)s->text), key);
        size_t bytes;
        void *kept = mbr_cl_store_read(d, key, &bytes);
        mbr_free(d->memory, kept);
        if (kept)
            continue;
        if (!passes(d, t, &why)) {
            mbr_log_at(d->log, MBR_LOG_WARNING, "%s (%s, driver %s) fails the test of its %s kernels: %s; the CPU does what "
                       "needs them", d->label, d->name, d->driver, family, why.text);
            return false;
        }
        mbr_cl_store_write(d, key, &yes, 1);
    }
    return true;
}

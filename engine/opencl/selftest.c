/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/opencl/selftest.h"
#include "engine/opencl/frame.h"
#include "engine/opencl/program.h"
#include "engine/opencl/store.h"
#include "engine/trial.h"

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
    { "recurrent",
      MODULE "graph main(%x: f32[5, 2, 12], %w: f32[2, 80, 12], %r: f32[2, 80, 20], %b: f32[2, 160]) -> (%y) {\n"
             "  %y: f32[5, 2, 2, 20] = ai.onnx.LSTM@14(%x, %w, %r, %b) {direction = \"bidirectional\"}\n}\n", 0 },
    { NULL, NULL, 0 },
};

/* --- running a graph on one side --- */

/* Small numbers of both signs that repeat late; integers from 0 to 2. */
static mbr_status new_input(mbr_trial *t, size_t input, uint32_t *seed, mbr_error *err)
{
    mbr_dtype dtype = t->module->main->inputs[input]->type.dtype;
    MBR_TRY(mbr_trial_input(t, input, err));
    mbr_value *v = t->inputs[input];
    size_t n = mbr_value_count(v), size = mbr_dtype_size(dtype);
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        if (dtype == MBR_DTYPE_F32)
            ((float *)v->data)[i] = (float)((int)(*seed >> 16) - 32768) / 32768.0f;
        else
            ((uint8_t *)v->data)[i * size] = (uint8_t)((*seed >> 16) % (dtype == MBR_DTYPE_BOOL ? 2 : 3));
    }
    return MBR_OK;
}

/* Both read the first one's inputs. */
static mbr_status run_sides(mbr_trial *a, mbr_trial *b, mbr_error *err)
{
    const mbr_ir_graph *g = a->module->main;
    uint32_t seed = 1;
    for (size_t i = 0; i < g->n_inputs && i < MBR_TRIAL_INPUTS; i++) {
        MBR_TRY(new_input(a, i, &seed, err));
        MBR_TRY(mbr_frame_bind(b->frame, i, a->inputs[i], err));
    }
    MBR_TRY(mbr_frame_run(a->frame, err));
    return mbr_frame_run(b->frame, err);
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
bool mbr_cl_passes(mbr_cl_device *d, const mbr_cl_selftest *t, mbr_error *why)
{
    mbr_trial ours, theirs = { 0 };
    mbr_fail(why, MBR_ERR_RUN, "it gives other numbers than the CPU");
    mbr_error mine;
    mbr_status st = mbr_trial_open(&ours, d->memory, d->log, NULL, NULL, t->graph, &mine);
    if (st != MBR_OK) { /* a row that is wrong, or no memory, says nothing about the device; tests find the former */
        mbr_trial_close(&ours);
        return true;
    }
    st = mbr_trial_open(&theirs, d->memory, d->log, &d->base, NULL, t->graph, why);
    if (st == MBR_OK)
        st = run_sides(&ours, &theirs, why);
    const mbr_cl_frame *cf = st == MBR_OK ? (mbr_cl_frame *)mbr_frame_device(theirs.frame) : NULL;
    bool good = st == MBR_OK && !(cf && cf->lost);
    for (size_t i = 0; good && i < ours.module->main->n_outputs; i++)
        good = same(mbr_frame_output(theirs.frame, i), mbr_frame_output(ours.frame, i), t->tolerance ? t->tolerance : 1e-4f);
    mbr_trial_close(&theirs);
    mbr_trial_close(&ours);
    return good;
}

mbr_hash mbr_cl_test_key(const mbr_cl_device *d, const char *const *texts, size_t n)
{
    return mbr_hash_bytes(mbr_cl_text, mbr_cl_text_coded, mbr_cl_store_key(d, texts, n));
}

bool mbr_cl_family_passes(mbr_cl_device *d, const char *family)
{
    const char yes = 'y';
    mbr_error why;
    mbr_cl_device twin = *d; /* the same device, but for what it takes; choices have tests of their own */
    twin.testing = family;
    for (int i = 0; i < MBR_CL_CHOICES; i++)
        twin.choice[i] = -1;
    for (const mbr_cl_selftest *t = mbr_cl_selftests; t->family; t++) {
        if (strcmp(t->family, family) != 0)
            continue;
        const char *texts[] = { "test", family, t->graph };
        mbr_hash key = mbr_cl_test_key(d, texts, MBR_COUNT_OF(texts));
        size_t bytes;
        void *kept = mbr_cl_store_read(d, key, &bytes);
        mbr_free(d->memory, kept);
        if (kept)
            continue;
        if (!mbr_cl_passes(&twin, t, &why)) {
            mbr_log_at(d->log, MBR_LOG_WARNING, "%s (%s, driver %s) fails the test of its %s kernels: %s; the CPU does what "
                       "needs them", d->label, d->name, d->driver, family, why.text);
            return false;
        }
        mbr_cl_store_write(d, key, &yes, 1);
    }
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ten thousand random shapes through one session: once every size has been at its largest, no byte more. Shapes that
 * follow from symbols, and shapes that follow from data in the middle of a plan.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "tests/ir_text.h"

#include <math.h>
#include <stdlib.h>

#define RUNS 10000
#define MOST 24

static mbr_memory memory;

static mbr_value *filled(mbr_dtype dtype, int rank, const int64_t *dims, bool ones)
{
    mbr_value *v;
    mbr_error err;
    ck_assert_msg(mbr_value_create_tensor(&memory, dtype, rank, dims, &v, &err) == MBR_OK, "%s", err.text);
    for (size_t i = 0; i < mbr_value_count(v); i++)
        if (dtype == MBR_DTYPE_BOOL)
            ((uint8_t *)v->data)[i] = ones || random_below(2);
        else
            ((float *)v->data)[i] = ones ? 1 + (float)i : (float)random_below(4);
    return v;
}

static const char symbols[] =
    "module \"m\" ir 8 opset ai.onnx 17\n"
    "graph g (%x: f32[b, c, n], %y: f32[b, n, m]) -> (%s, %t) {\n"
    "%p = ai.onnx.MatMul@13(%x, %y)\n"
    "%s = ai.onnx.Softmax@13(%p) {axis = -1}\n"
    "%z = ai.onnx.Shape@15(%y)\nconst %one = i64[1] {-1}\nconst %i = i64[1] {2}\n"
    "%l = ai.onnx.Gather@13(%z, %i)\n%to = ai.onnx.Concat@13(%one, %l) {axis = 0}\n"
    "%f = ai.onnx.Reshape@14(%p, %to)\n%g = ai.onnx.Transpose@13(%f) {perm = [1, 0]}\n"
    "%t = ai.onnx.ReduceSum@13(%g) {keepdims = 0}\n}\n";

START_TEST(sizes_by_symbol)
{
    ir_session s;
    size_t most = 0;
    ir_open(&s, &memory, NULL, symbols, "all");
    for (int run = 0; run < RUNS; run++) {
        int64_t d[4];
        for (int k = 0; k < 4; k++)
            d[k] = run == 0 ? MOST : 1 + random_below(MOST);
        mbr_value *in[2] = { filled(MBR_DTYPE_F32, 3, (int64_t[]){ d[0], d[1], d[2] }, true),
                             filled(MBR_DTYPE_F32, 3, (int64_t[]){ d[0], d[2], d[3] }, true) };
        ir_run(&s, in);
        const mbr_value *v = mbr_frame_output(s.f, 0);
        ck_assert(v->dims[0] == d[0] && v->dims[1] == d[1] && v->dims[2] == d[3]);
        mbr_value_drop(in[0]);
        mbr_value_drop(in[1]);
        mbr_arena_reset(&s.run.arena); /* as a session does */
        size_t now = atomic_load(&memory.in_use);
        most = run == 0 ? now : most;
        ck_assert_msg(now <= most, "run %d: %zu bytes, %zu after the first", run, now, most);
    }
    ir_close(&s);
}
END_TEST

static const char data[] =
    "module \"m\" ir 8 opset ai.onnx 17\n"
    "graph g (%x: f32[r, c], %keep: bool[r], %boxes: f32[1, k, 4], %scores: f32[1, 1, k]) -> (%n, %q, %u, %d) {\n"
    "%some = ai.onnx.Compress@11(%x, %keep) {axis = 0}\n"
    "%at = ai.onnx.NonZero@13(%some)\n"
    "%n = ai.onnx.Transpose@13(%at) {perm = [1, 0]}\n"
    "%q = ai.onnx.GatherND@13(%some, %n)\n"
    "%u = ai.onnx.Unique@11(%q)\n"
    "const %most = i64[] {100}\nconst %iou = f32[] {0.5}\n"
    "%chosen = ai.onnx.NonMaxSuppression@11(%boxes, %scores, %most, %iou)\n"
    "const %two = i64[] {2}\n%which = ai.onnx.Gather@13(%chosen, %two) {axis = 1}\n"
    "%d = ai.onnx.Gather@13(%scores, %which) {axis = 2}\n}\n";

START_TEST(sizes_by_data)
{
    ir_session s;
    size_t most = 0;
    ir_open(&s, &memory, NULL, data, "all");
    for (int run = 0; run < RUNS; run++) {
        bool first = run == 0;
        int64_t r = first ? MOST : random_below(MOST + 1), c = first ? MOST : random_below(MOST + 1);
        int64_t k = first ? MOST : random_below(MOST + 1);
        mbr_value *in[4] = { filled(MBR_DTYPE_F32, 2, (int64_t[]){ r, c }, first),
                             filled(MBR_DTYPE_BOOL, 1, &r, first),
                             filled(MBR_DTYPE_F32, 3, (int64_t[]){ 1, k, 4 }, true),
                             filled(MBR_DTYPE_F32, 3, (int64_t[]){ 1, 1, k }, false) };
        for (int64_t i = 0; i < k; i++) /* apart from each other: all are kept; later, many overlap */
            for (int e = 0; e < 4; e++)
                ((float *)in[2]->data)[4 * i + e] = (float)(first ? 10 * i : random_below(6)) + (float)(e > 1 ? 5 : 0);
        ir_run(&s, in);
        int64_t count = 0, kinds = 0;
        bool seen[MOST * MOST + 1] = { false };
        for (int64_t i = 0; i < r * c; i++) {
            float x = ((float *)in[0]->data)[i];
            if (((uint8_t *)in[1]->data)[i / c] && x != 0) {
                count++;
                kinds += !seen[(int)x];
                seen[(int)x] = true;
            }
        }
        ck_assert_int_eq(mbr_frame_output(s.f, 0)->dims[0], count);
        ck_assert_int_eq(mbr_frame_output(s.f, 1)->dims[0], count);
        ck_assert_int_eq(mbr_frame_output(s.f, 2)->dims[0], kinds);
        ck_assert_int_le(mbr_frame_output(s.f, 3)->dims[2], k);
        for (int i = 0; i < 4; i++)
            mbr_value_drop(in[i]);
        mbr_arena_reset(&s.run.arena);
        size_t now = atomic_load(&memory.in_use);
        most = first ? now : most;
        ck_assert_msg(now <= most, "run %d: %zu bytes, %zu after the first", run, now, most);
    }
    ir_close(&s);
}
END_TEST

/* Only the steps are constants. */
START_TEST(slice_at_run)
{
    static const char text[] = "module \"m\" ir 8 opset ai.onnx 17\n"
                               "graph g (%x: f32[4, 6], %b: i64[2], %e: i64[2], %a: i64[2]) -> (%y) {\n"
                               "const %s = i64[2] {2, -1}\n%y = ai.onnx.Slice@13(%x, %b, %e, %a, %s)\n}\n";
    static const int64_t numbers[3][2] = { { 1, 4 }, { 6, 1 }, { 1, 0 } };
    ir_session s;
    ir_open(&s, &memory, NULL, text, "all");
    mbr_value *in[4] = { filled(MBR_DTYPE_F32, 2, (int64_t[]){ 4, 6 }, true) };
    for (int k = 0; k < 3; k++) {
        mbr_error err;
        ck_assert_int_eq(mbr_value_create_tensor(&memory, MBR_DTYPE_I64, 1, (int64_t[]){ 2 }, &in[k + 1], &err), MBR_OK);
        memcpy(in[k + 1]->data, numbers[k], sizeof numbers[k]);
    }
    ir_run(&s, in);
    const mbr_value *y = mbr_frame_output(s.f, 0); /* x[3:1:-1, 1:6:2] */
    ck_assert(y->dims[0] == 2 && y->dims[1] == 3);
    ck_assert(((float *)y->data)[0] == 20 && ((float *)y->data)[5] == 18);
    for (int k = 0; k < 4; k++)
        mbr_value_drop(in[k]);
    ir_close(&s);
}
END_TEST

static const char images[] =
    "module \"m\" ir 8 opset ai.onnx 17\n"
    "graph g (%x: f32[1, 16, h, w]) -> (%y, %z) {\n"
    "const %from = f32[] {0.0}\nconst %to = f32[] {2304.0}\nconst %by = f32[] {1.0}\n"
    "const %shape = i64[4] {16, 16, 3, 3}\n"
    "%n = ai.onnx.Range@11(%from, %to, %by)\n%s = ai.onnx.Sin@7(%n)\n"
    "%k = ai.onnx.Reshape@14(%s, %shape)\n"
    "%y = ai.onnx.Conv@11(%x, %k) {pads = [1, 1, 1, 1]}\n"
    "%z = ai.onnx.Conv@11(%x, %k) {pads = [1, 1, 1, 1], exact = 1}\n}\n";

/* Which kernel is best follows from the size of the image: weights are packed for it when it comes, once for each. */
START_TEST(kernels_by_size)
{
    static const int64_t sizes[][2] = { { 1, 1 }, { 40, 40 }, { 2, 3 }, { 40, 41 }, { 1, 1 }, { 5, 90 }, { 40, 40 } };
    ir_session s;
    bool coarser = false;
    size_t most = 0;
    ir_open(&s, &memory, NULL, images, "all");
    for (int run = 0; run < 3 * (int)(sizeof sizes / sizeof *sizes); run++) {
        const int64_t *size = sizes[run % (int)(sizeof sizes / sizeof *sizes)];
        mbr_value *in = filled(MBR_DTYPE_F32, 4, (int64_t[]){ 1, 16, size[0], size[1] }, false);
        ir_run(&s, &in);
        const mbr_value *y = mbr_frame_output(s.f, 0), *z = mbr_frame_output(s.f, 1);
        const float *got = y->data, *due = z->data;
        ck_assert(y->dims[2] == size[0] && y->dims[3] == size[1]);
        for (size_t i = 0; i < mbr_value_count(y); i++) {
            ck_assert_msg(fabsf(got[i] - due[i]) <= 1.3e-3f, "%lld x %lld: %g for %g at %zu", (long long)size[0],
                          (long long)size[1], (double)got[i], (double)due[i], i);
            coarser = coarser || got[i] != due[i];
        }
        mbr_value_drop(in);
        mbr_arena_reset(&s.run.arena);
        size_t now = atomic_load(&memory.in_use);
        most = run < (int)(sizeof sizes / sizeof *sizes) ? now : most;
        ck_assert_msg(now <= most, "run %d: %zu bytes, %zu after each size", run, now, most);
    }
    ck_assert_msg(coarser, "the size of an image never asked for Winograd");
    ir_close(&s);
}
END_TEST

static void setup(void)
{
    mbr_memory_init(&memory);
    random_seed("dynamic");
}

static void teardown(void)
{
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}

int main(void)
{
    Suite *suite = suite_create("dynamic");
    TCase *c = tcase_create("shapes");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, sizes_by_symbol);
    tcase_add_test(c, sizes_by_data);
    tcase_add_test(c, slice_at_run);
    tcase_add_test(c, kernels_by_size);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

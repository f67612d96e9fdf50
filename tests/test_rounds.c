/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bodies of Loop and Scan that run round after round on the same shapes: the same answers as C gives, whatever the state
 * is made of, and no memory from the second run on.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "tests/ir_text.h"

static mbr_memory memory;

static void setup(void)
{
    mbr_memory_init(&memory);
}

static void teardown(void)
{
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}

static mbr_value *number(mbr_dtype dtype, int rank, const int64_t *dims, double first, double step)
{
    mbr_value *v;
    mbr_error err;
    ck_assert_msg(mbr_value_create_tensor(&memory, dtype, rank, dims, &v, &err) == MBR_OK, "%s", err.text);
    for (size_t i = 0; i < mbr_value_count(v); i++) {
        double x = first + step * (double)i;
        if (dtype == MBR_DTYPE_F32)
            ((float *)v->data)[i] = (float)x;
        else if (dtype == MBR_DTYPE_I64)
            ((int64_t *)v->data)[i] = (int64_t)x;
        else
            ((uint8_t *)v->data)[i] = x != 0;
    }
    return v;
}

#define LOOP_BEGIN                                                                                                     \
    "module \"m\" ir 8 opset ai.onnx 17\n"                                                                             \
    "graph g (%trips: i64[], %x: f32[n], %y: f32[n], %w: f32[]) -> (%a, %b, %s) {\n"                                   \
    "%a, %b, %s = ai.onnx.Loop@16(%trips, _, %x, %y) {body = graph body(%i: i64[], %on: bool[], %p: f32[n], %q: f32[n])"
#define LOOP_END "}}}\n"

/* What one round does to elements p and q with weight w in iteration i: new p, new q, the slice for s, go on? */
typedef struct model {
    const char *text;
    void (*step)(int64_t i, float w, float *p, float *q, float *slice);
    int64_t stop; /* iterations after which the body's condition ends it, or -1 */
} model;

static void add_step(int64_t i, float w, float *p, float *q, float *slice)
{
    (void)i;
    *slice = *p + w;
    *q = *q * 0.5f;
    *p = *p + w;
}

static void swap_step(int64_t i, float w, float *p, float *q, float *slice)
{
    float t = *p;
    (void)i;
    (void)w;
    *slice = *q;
    *p = *q;
    *q = t;
}

static void same_step(int64_t i, float w, float *p, float *q, float *slice)
{
    (void)w;
    *slice = *p + (float)i;
    *p = *q = *slice;
}

static void constant_step(int64_t i, float w, float *p, float *q, float *slice)
{
    (void)i;
    *slice = w;
    *q = *p;
    *p = *p * w;
}

static const model models[] = {
    /* each output its own storage; the sum is state and slice */
    { LOOP_BEGIN " -> (%on, %p1, %q1, %p1) {\ncapture %w = %w\n%p1 = ai.onnx.Add@14(%p, %w)\n"
      "const %h = f32[] {0.5}\n%q1 = ai.onnx.Mul@14(%q, %h)\n" LOOP_END, add_step, -1 },
    /* outputs that are inputs, crosswise */
    { LOOP_BEGIN " -> (%on, %q, %p, %q) {\n" LOOP_END, swap_step, -1 },
    /* one value for all outputs, through views, with the iteration in it */
    { LOOP_BEGIN " -> (%on, %r, %v, %r) {\n%f = ai.onnx.Cast@13(%i) {to = 1}\n%r = ai.onnx.Add@14(%p, %f)\n"
      "%v = ai.onnx.Identity@16(%r)\n" LOOP_END, same_step, -1 },
    /* a slice that never changes; ends when three rounds are done */
    { LOOP_BEGIN " -> (%more, %p1, %p, %c) {\ncapture %w = %w\n%p1 = ai.onnx.Mul@14(%p, %w)\n"
      "%n = ai.onnx.Shape@15(%p)\n%c = ai.onnx.Expand@13(%w, %n)\nconst %two = i64[] {2}\n"
      "%more = ai.onnx.Less@13(%i, %two)\n" LOOP_END, constant_step, 3 },
};

START_TEST(loops_of_every_kind)
{
    const model *m = &models[_i];
    static const int64_t most[] = { 7, 1, 0, 2, 40, 3 };
    ir_session s;
    size_t before = 0;
    ir_open(&s, &memory, NULL, m->text, _i % 2 ? "all" : "none");
    for (int round = 0; round < 12; round++) {
        int64_t n = round < 6 ? 5 : 3, trips = most[round % 6], done = 0;
        mbr_value *inputs[4] = { number(MBR_DTYPE_I64, 0, NULL, (double)trips, 0), number(MBR_DTYPE_F32, 1, &n, 1, 1),
                                 number(MBR_DTYPE_F32, 1, &n, -1, 0.25), number(MBR_DTYPE_F32, 0, NULL, 1.5, 0) };
        float p[5], q[5], slices[40][5];
        for (int k = 0; k < n; k++) {
            p[k] = 1 + (float)k;
            q[k] = -1 + 0.25f * (float)k;
        }
        for (done = 0; done < trips && (m->stop < 0 || done < m->stop); done++)
            for (int k = 0; k < n; k++)
                m->step(done, 1.5f, &p[k], &q[k], &slices[done][k]);
        ir_run(&s, inputs);
        const mbr_value *a = mbr_frame_output(s.f, 0), *b = mbr_frame_output(s.f, 1), *c = mbr_frame_output(s.f, 2);
        ck_assert_int_eq(a->dims[0], n);
        ck_assert_int_eq(c->dims[0], done);
        ck_assert(memcmp(a->data, p, (size_t)n * sizeof *p) == 0);
        ck_assert(memcmp(b->data, q, (size_t)n * sizeof *q) == 0);
        for (int64_t i = 0; i < done; i++)
            ck_assert(memcmp((float *)c->data + i * n, slices[i], (size_t)n * sizeof *p) == 0);
        for (int k = 0; k < 4; k++)
            mbr_value_drop(inputs[k]);
        if (round == 7) /* the smaller size has been seen, too */
            before = atomic_load(&memory.in_use);
        if (round > 7 && round != 10) /* 40 slices of the smaller size fit */
            ck_assert_uint_le(atomic_load(&memory.in_use), before);
    }
    ir_close(&s);
}
END_TEST

/* The state grows by one element each round: nothing settles. */
START_TEST(a_state_that_grows)
{
    static const char text[] =
        "module \"m\" ir 8 opset ai.onnx 17\n"
        "graph g (%trips: i64[], %x: f32[n]) -> (%a) {\n"
        "%a = ai.onnx.Loop@16(%trips, _, %x) {body = graph body(%i: i64[], %on: bool[], %p) -> (%on, %r) {\n"
        "const %one = f32[1] {7}\n%r = ai.onnx.Concat@13(%p, %one) {axis = 0}\n}}}\n";
    ir_session s;
    ir_open(&s, &memory, NULL, text, "all");
    int64_t two = 2;
    mbr_value *inputs[2] = { number(MBR_DTYPE_I64, 0, NULL, 5, 0), number(MBR_DTYPE_F32, 1, &two, 1, 1) };
    ir_run(&s, inputs);
    const mbr_value *a = mbr_frame_output(s.f, 0);
    ck_assert_int_eq(a->dims[0], 7);
    ck_assert(((float *)a->data)[6] == 7 && ((float *)a->data)[1] == 2);
    mbr_value_drop(inputs[0]);
    mbr_value_drop(inputs[1]);
    ir_close(&s);
}
END_TEST

/* Never ends, but for the limit; the message says where. */
START_TEST(a_loop_without_end)
{
    static const char *const texts[] = {
        "module \"m\" ir 8 opset ai.onnx 17\n"
        "graph g (%c: bool[], %x: f32[n]) -> (%s) {\n"
        "_, %s = ai.onnx.Loop@16(_, %c, %x) {body = graph body(%i: i64[], %on: bool[], %p: f32[n]) -> (%on, %p, %p) {\n"
        "}}}\n",
        "module \"m\" ir 8 opset ai.onnx 17\n"
        "graph g (%c: bool[], %x: f32[n]) -> (%a) {\n"
        "%a = ai.onnx.Loop@16(_, %c, %x) {body = graph body(%i: i64[], %on: bool[], %p) -> (%on, %r) {\n"
        "%r = ai.onnx.Concat@13(%p, %p) {axis = 0}\n}}}\n",
    };
    ir_session s;
    mbr_error err = { 0 };
    int64_t n = 4;
    ir_open(&s, &memory, NULL, texts[_i], "all");
    mbr_value *inputs[2] = { number(MBR_DTYPE_BOOL, 0, NULL, 1, 0), number(MBR_DTYPE_F32, 1, &n, 1, 1) };
    memory.limit = atomic_load(&memory.in_use) + (1u << 20);
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(mbr_frame_bind(s.f, i, inputs[i], &err), MBR_OK);
    ck_assert_int_eq(mbr_frame_run(s.f, &err), MBR_ERR_NO_MEMORY);
    ck_assert_msg(strstr(err.text, "Loop") != NULL && strstr(err.text, "node ") != NULL, "%s", err.text);
    memory.limit = 0;
    mbr_value_drop(inputs[0]);
    mbr_value_drop(inputs[1]);
    ir_close(&s);
}
END_TEST

/* Running sums along either axis, in either direction, beside a loop that nests in the body. */
static const struct {
    int in_axis, backwards, out_axis, out_backwards;
} scans[] = { { 0, 0, 0, 0 }, { 0, 1, 0, 1 }, { 1, 0, 1, 0 }, { 1, 1, 0, 0 }, { 0, 0, 1, 1 } };

START_TEST(scans_of_every_kind)
{
    char text[1024];
    snprintf(text, sizeof text,
             "module \"m\" ir 8 opset ai.onnx 17\n"
             "graph g (%%x: f32[n], %%xs: f32[r, c]) -> (%%a, %%s) {\n"
             "%%a, %%s = ai.onnx.Scan@16(%%x, %%xs) {num_scan_inputs = 1, scan_input_axes = [%d], "
             "scan_input_directions = [%d], scan_output_axes = [%d], scan_output_directions = [%d], "
             "body = graph body(%%p: f32[n], %%e: f32[n]) -> (%%p1, %%p1) {\n%%p1 = ai.onnx.Add@14(%%p, %%e)\n}}}\n",
             scans[_i].in_axis, scans[_i].backwards, scans[_i].out_axis, scans[_i].out_backwards);
    ir_session s;
    ir_open(&s, &memory, NULL, text, "all");
    for (int64_t length = 1; length < 6; length++) {
        int64_t n = 3, dims[2];
        dims[scans[_i].in_axis] = length;
        dims[!scans[_i].in_axis] = n;
        mbr_value *inputs[2] = { number(MBR_DTYPE_F32, 1, &n, 100, 1), number(MBR_DTYPE_F32, 2, dims, 1, 1) };
        ir_run(&s, inputs);
        const mbr_value *a = mbr_frame_output(s.f, 0), *out = mbr_frame_output(s.f, 1);
        float sum[3] = { 100, 101, 102 };
        for (int64_t t = 0; t < length; t++) {
            int64_t from = scans[_i].backwards ? length - 1 - t : t, to = scans[_i].out_backwards ? length - 1 - t : t;
            for (int64_t k = 0; k < n; k++) {
                sum[k] += (float)(1 + (scans[_i].in_axis ? k * length + from : from * n + k));
                ck_assert(((float *)out->data)[scans[_i].out_axis ? k * length + to : to * n + k] == sum[k]);
            }
        }
        ck_assert(memcmp(a->data, sum, sizeof sum) == 0);
        mbr_value_drop(inputs[0]);
        mbr_value_drop(inputs[1]);
    }
    ir_close(&s);
}
END_TEST

/* A constant that gives a scalar its axis stays an operand of the chain. */
START_TEST(chains_keep_the_rank)
{
    static const char text[] = "module \"m\" ir 8 opset ai.onnx 17\n"
                               "graph g (%x: f32[]) -> (%y) {\nconst %two = f32[1] {2}\n"
                               "%a = ai.onnx.Neg@13(%x)\n%b = ai.onnx.Pow@15(%a, %two)\n%y = ai.onnx.Min@13(%b, %x)\n}\n";
    for (int k = 0; k < 2; k++) {
        ir_session s;
        ir_open(&s, &memory, NULL, text, k ? "all" : "none");
        mbr_value *x = number(MBR_DTYPE_F32, 0, NULL, -3, 0);
        ir_run(&s, &x);
        ck_assert_int_eq(mbr_frame_output(s.f, 0)->rank, 1);
        ck_assert(*(float *)mbr_frame_output(s.f, 0)->data == -3);
        mbr_value_drop(x);
        ir_close(&s);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rounds");
    TCase *c = tcase_create("rounds");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, loops_of_every_kind, 0, (int)(sizeof models / sizeof *models));
    tcase_add_test(c, a_state_that_grows);
    tcase_add_loop_test(c, a_loop_without_end, 0, 2);
    tcase_add_loop_test(c, scans_of_every_kind, 0, (int)(sizeof scans / sizeof *scans));
    tcase_add_test(c, chains_keep_the_rank);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

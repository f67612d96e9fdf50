/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Weights that hold denormals, infinities and NaN: models load and run, and every family answers as plain code does.
 * Nobody's floating-point mode is changed, and the team computes in its caller's.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "kernels/cpu.h"
#include "tests/ir_team.h"

#include <fenv.h>
#include <math.h>

/* Weights are the constants whose names begin with w; `{}` stands for their numbers, drawn by `kind`. */
typedef struct family {
    const char *name, *text;
    bool spreads;   /* Winograd: a non-finite weight may reach all of its filter's outputs */
    bool quantised; /* rounded on the way: weights of that kind only have to run */
} family;

#define IN(dims) "module \"m\" ir 10 opset ai.onnx 23\ngraph \"g\"(%x: f32[" dims "]) -> (%y) {\n"
#define CONV(dims, made, weights, attrs)                                                                               \
    IN(dims) "const %w = f32[" weights "] {}\n%y: f32[" made "] = ai.onnx.Conv@11(%x, %w) {" attrs "}\n}\n"

static const family families[] = {
    { "product, one row", IN("1, 50") "const %w = f32[50, 70] {}\n%y: f32[1, 70] = ai.onnx.MatMul@13(%x, %w)\n}\n",
      false, false },
    { "product, some rows", IN("5, 50") "const %w = f32[50, 70] {}\n%y: f32[5, 70] = ai.onnx.MatMul@13(%x, %w)\n}\n",
      false, false },
    { "product, many rows", IN("80, 50") "const %w = f32[50, 70] {}\n%y: f32[80, 70] = ai.onnx.MatMul@13(%x, %w)\n}\n",
      false, false },
    { "product, narrow", IN("40, 50") "const %w = f32[50, 3] {}\n%y: f32[40, 3] = ai.onnx.MatMul@13(%x, %w)\n}\n",
      false, false },
    { "product, bias", IN("9, 50") "const %w = f32[20, 50] {}\nconst %wb = f32[20] {}\n"
      "%y: f32[9, 20] = ai.onnx.Gemm@13(%x, %w, %wb) {transB = 1}\n}\n", false, false },
    { "convolution 3x3", CONV("1, 16, 20, 20", "1, 16, 20, 20", "16, 16, 3, 3", "pads = [1, 1, 1, 1]"), true, false },
    { "convolution 3x3, deep", CONV("1, 64, 14, 14", "1, 64, 14, 14", "64, 64, 3, 3", "pads = [1, 1, 1, 1]"), true,
      false },
    { "convolution 1x1", CONV("2, 24, 9, 9", "2, 40, 9, 9", "40, 24, 1, 1", "group = 1"), false, false },
    { "convolution 5x5", CONV("1, 8, 12, 12", "1, 24, 8, 8", "24, 8, 5, 5", "group = 1"), false, false },
    { "convolution, first layer", CONV("1, 3, 20, 20", "1, 16, 9, 9", "16, 3, 3, 3", "strides = [2, 2]"), false, false },
    { "convolution, depthwise", CONV("1, 24, 10, 10", "1, 24, 8, 8", "24, 1, 3, 3", "group = 24"), false, false },
    { "convolution, few filters", CONV("1, 12, 16, 16", "1, 2, 14, 14", "2, 12, 3, 3", "group = 1"), true, false },
    { "convolution, 1-D", CONV("1, 20, 60", "1, 32, 58", "32, 20, 3", "group = 1"), true, false },
    { "transposed convolution", IN("1, 6, 7, 7") "const %w = f32[6, 10, 2, 2] {}\n"
      "%y: f32[1, 10, 14, 14] = ai.onnx.ConvTranspose@11(%x, %w) {strides = [2, 2]}\n}\n", false, false },
    { "LSTM", IN("4, 2, 12") "const %w = f32[1, 64, 12] {}\nconst %wr = f32[1, 64, 16] {}\n"
      "%y: f32[4, 1, 2, 16], _, _ = ai.onnx.LSTM@14(%x, %w, %wr) {hidden_size = 16}\n}\n", false, false },
    { "GRU", IN("4, 2, 12") "const %w = f32[1, 48, 12] {}\nconst %wr = f32[1, 48, 16] {}\n"
      "%y: f32[4, 1, 2, 16], _ = ai.onnx.GRU@14(%x, %w, %wr) {hidden_size = 16}\n}\n", false, false },
    { "RNN", IN("4, 2, 12") "const %w = f32[1, 16, 12] {}\nconst %wr = f32[1, 16, 16] {}\n"
      "%y: f32[4, 1, 2, 16], _ = ai.onnx.RNN@14(%x, %w, %wr) {hidden_size = 16}\n}\n", false, false },
    { "layer norm", IN("6, 40") "const %w = f32[40] {}\nconst %wb = f32[40] {}\n"
      "%y: f32[6, 40] = ai.onnx.LayerNormalization@17(%x, %w, %wb) {axis = -1}\n}\n", false, false },
    { "a chain", IN("6, 40") "const %w = f32[40] {}\n%a: f32[6, 40] = ai.onnx.Mul@14(%x, %w)\n"
      "%b: f32[6, 40] = ai.onnx.Add@14(%a, %x)\n%y: f32[6, 40] = ai.onnx.Relu@14(%b)\n}\n", false, false },
    { "softmax", IN("6, 40") "const %w = f32[6, 40] {}\n%a: f32[6, 40] = ai.onnx.Add@14(%x, %w)\n"
      "%y: f32[6, 40] = ai.onnx.Softmax@13(%a)\n}\n", false, false },
    { "pools", IN("1, 8, 9, 9") "const %w = f32[8, 1, 1] {}\n%a: f32[1, 8, 9, 9] = ai.onnx.Mul@14(%x, %w)\n"
      "%b: f32[1, 8, 8, 8] = ai.onnx.AveragePool@11(%a) {kernel_shape = [2, 2]}\n"
      "%y: f32[1, 8, 1, 1] = ai.onnx.GlobalAveragePool@1(%b)\n}\n", false, false },
    { "quantised on the way", IN("6, 40") "const %w = f32[6, 40] {}\nconst %b = i8[40, 4] {... 160}\n"
      "const %bz = i8[] {0}\n%a: f32[6, 40] = ai.onnx.Add@14(%x, %w)\n"
      "%q: u8[6, 40], %s: f32[], %z: u8[] = ai.onnx.DynamicQuantizeLinear@11(%a)\n"
      "%i: i32[6, 4] = ai.onnx.MatMulInteger@10(%q, %b, %z, %bz)\n%f: f32[6, 4] = ai.onnx.Cast@13(%i) {to = 1}\n"
      "%y: f32[6, 4] = ai.onnx.Mul@14(%f, %s)\n}\n", false, true },
    { "scales of a quantised product", "module \"m\" ir 10 opset ai.onnx 23\ngraph \"g\"(%x: u8[5, 4]) -> (%y) {\n"
      "const %w = f32[] {}\nconst %z = u8[] {3}\nconst %b = i8[4, 2] {1, -2, 3, -4, 5, -6, 7, -8}\nconst %bz = i8[] {0}\n"
      "const %t = f32[] {0.5}\n%y: u8[5, 2] = ai.onnx.QLinearMatMul@10(%x, %t, %z, %b, %w, %bz, %t, %z)\n}\n", false,
      true },
};

#define N_FAMILIES (int)(sizeof families / sizeof *families)

/* --- weights --- */

enum { DENORMAL, SOME_DENORMAL, ONE_NAN, ONE_INFINITY, BOTH_INFINITIES, ALL_NAN, N_KINDS };

static const char *const kinds[] = { "denormals", "some denormals", "a NaN", "an infinity", "both infinities", "NaN" };

static float weight(int kind, size_t i, size_t n)
{
    float plain = random_real(), small = plain * 1e-39f;
    switch (kind) {
    case DENORMAL:
        return small;
    case SOME_DENORMAL:
        return i % 3 ? plain : small;
    case ONE_NAN:
        return i == n / 3 ? NAN : plain;
    case ONE_INFINITY:
        return i == n / 2 ? INFINITY : plain;
    case BOTH_INFINITIES:
        return i == n / 2 ? INFINITY : i == n / 2 + 1 ? -INFINITY : plain;
    default:
        return NAN;
    }
}

static mbr_ir_module *with_weights(const char *text, int kind)
{
    char filled[8192];
    size_t at = 0;
    for (const char *p = text; *p; p++) {
        if (p[0] == '{' && p[1] == '}') {
            const char *open = p;
            long count = 1;
            while (*open != '[')
                open--;
            for (char *end; *open != ']'; open = end + strcspn(end, ",]")) {
                long size = strtol(open + 1, &end, 10);
                count *= end > open + 1 ? size : 1;
            }
            at += (size_t)snprintf(filled + at, sizeof filled - at, "{... %ld}", count); /* zeros for now */
            p++;
        } else {
            filled[at++] = *p;
        }
        ck_assert_uint_lt(at + 32, sizeof filled);
    }
    filled[at] = '\0';
    mbr_ir_module *m = ir_parse(&memory, filled);
    for (size_t i = 0; i < m->main->n_values; i++) {
        mbr_ir_value *v = m->main->values[i];
        if (!v->constant || v->name[0] != 'w')
            continue;
        size_t n = mbr_value_count(v->constant);
        float *data = v->constant->data;
        for (size_t k = 0; k < n; k++)
            data[k] = weight(kind, k, n);
    }
    return m;
}

/* --- runs --- */

/* Loads and runs; the output is the caller's. */
static mbr_value *answer(const family *f, int kind, uint64_t state, bool plain, bool exact)
{
    ir_session s = { 0 };
    mbr_value *x, *out;
    mbr_pass_set set;
    mbr_cpu_set_mask(plain ? mbr_cpu_tiers_up_to(MBR_TIER_BASE) : MBR_TIERS_ALL);
    random_state = state;
    s.m = with_weights(f->text, kind);
    ck_assert_int_eq(mbr_pass_set_parse(plain ? "none" : "all", &set, &err), MBR_OK);
    set.exact = plain || exact;
    ck_assert_msg(mbr_passes_run(s.m, &set, NULL, &err) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_program_new(s.m->main, &s.p, &err) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(mbr_run_init(&s.run, &memory, plain ? NULL : team, plain ? 1 : 2, s.m, &err), MBR_OK);
    ck_assert_msg(mbr_frame_new(s.p, &s.run, &s.f, &err) == MBR_OK, "%s", err.text);
    random_state = state + 1;
    x = ir_input(&memory, &s, 0, NULL, 1);
    ck_assert_int_eq(mbr_frame_bind(s.f, 0, x, &err), MBR_OK);
    ck_assert_msg(mbr_frame_run(s.f, &err) == MBR_OK, "%s", err.text);
    const mbr_value *made = mbr_frame_output(s.f, 0);
    ck_assert_int_eq(mbr_value_create(&memory, made->kind, made->dtype, &out, &err), MBR_OK);
    ck_assert_int_eq(mbr_value_assign(out, made, &err), MBR_OK);
    mbr_value_drop(x);
    ir_close(&s);
    mbr_cpu_set_mask(MBR_TIERS_ALL);
    return out;
}

/* Both NaN, the same infinity, or close: denormal results within some of the smallest steps (1.4e-45; Winograd, which
   spreads, adds more of them up), so none is flushed. */
static bool agree(float got, float want, bool spread)
{
    if (isnan(got) || isnan(want))
        return isnan(want) ? isnan(got) : spread;
    if (isinf(got) || isinf(want))
        return got == want || (spread && !isfinite(got));
    return fabsf(got - want) <= 2e-4f * fabsf(want) + (fabsf(want) > 1e-30f ? 2e-4f : spread ? 4e-41f : 1e-43f);
}

static void compare(const family *f, int kind, bool exact)
{
    uint64_t state = 0x9E3779B97F4A7C15u + (uint64_t)kind;
    mbr_value *got = answer(f, kind, state, false, exact), *want = answer(f, kind, state, true, false);
    ck_assert_uint_eq(mbr_value_bytes(got), mbr_value_bytes(want));
    bool spread = f->spreads && !exact;
    for (size_t i = 0; want->dtype == MBR_DTYPE_F32 && !(f->quantised && kind > SOME_DENORMAL) &&
                       i < mbr_value_count(want); i++) {
        float a = ((float *)got->data)[i], b = ((float *)want->data)[i];
        ck_assert_msg(agree(a, b, spread), "%s, weights with %s, exact %d: element %zu is %g, not %g", f->name,
                      kinds[kind], exact, i, (double)a, (double)b);
    }
    mbr_value_drop(got);
    mbr_value_drop(want);
}

START_TEST(as_plain_code)
{
    for (int kind = 0; kind < N_KINDS; kind++) {
        compare(&families[_i], kind, false);
        compare(&families[_i], kind, true);
    }
}
END_TEST

/* --- the floating-point mode --- */

#if defined(__x86_64__)
#define HAVE_MODE 1

static unsigned long mode(void)
{
    return __builtin_ia32_stmxcsr() & ~0x3fu;
}

static void set_mode(unsigned long m)
{
    __builtin_ia32_ldmxcsr((unsigned)m);
}

#define FLUSH 0x8040u /* results and operands */
#elif defined(__aarch64__)
#define HAVE_MODE 1

static unsigned long mode(void)
{
    unsigned long m;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(m));
    return m;
}

static void set_mode(unsigned long m)
{
    __asm__ __volatile__("msr fpcr, %0" ::"r"(m));
}

#define FLUSH (1u << 24)
#endif

#ifdef HAVE_MODE
#define NOT_SEEN (~0ul)

typedef struct modes {
    unsigned long seen[64]; /* by worker */
    atomic_int tiles;
} modes;

static bool note_mode(void *user, size_t first, size_t last, int worker)
{
    modes *m = user;
    m->seen[worker] = mode();
    for (volatile int i = 0; i < 200000; i++) /* long enough for the others to come */
        continue;
    atomic_fetch_add(&m->tiles, (int)(last - first));
    return true;
}

/* The caller's mode: plain, upwards, and without denormals. */
static const struct {
    unsigned long bits;
    int rounding;
} callers[] = { { 0, FE_TONEAREST }, { 0, FE_UPWARD }, { FLUSH, FE_TONEAREST } };

START_TEST(the_callers_mode)
{
    unsigned long before = mode();
    ck_assert_int_eq(fesetround(callers[_i].rounding), 0);
    set_mode(mode() | callers[_i].bits);
    unsigned long due = mode();
    for (int f = 0; f < N_FAMILIES; f++) {
        mbr_value_drop(answer(&families[f], SOME_DENORMAL, 77, false, false));
        ck_assert_msg(mode() == due, "%s leaves %lx, not %lx", families[f].name, mode(), due);
    }
    ck_assert_int_eq(fegetround(), callers[_i].rounding);
    /* The team's threads have seen kernels by now, and another caller's mode. On a busy machine not all get a tile. */
    for (int round = 0; round < 20; round++) {
        modes m = { .tiles = 0 };
        for (int w = 0; w < 64; w++)
            m.seen[w] = NOT_SEEN;
        set_mode(round % 2 ? due : before);
        unsigned long now = mode();
        ck_assert(mbr_team_run(team, 2, 64, 1, note_mode, &m, NULL));
        ck_assert_int_eq(atomic_load(&m.tiles), 64);
        for (int w = 0; w < mbr_team_size(team); w++)
            ck_assert_msg(m.seen[w] == now || m.seen[w] == NOT_SEEN, "worker %d has %lx, not %lx", w, m.seen[w], now);
    }
    set_mode(before);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("numbers");
    TCase *t = tcase_create("numbers");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, as_plain_code, 0, N_FAMILIES);
#ifdef HAVE_MODE
    tcase_add_loop_test(t, the_callers_mode, 0, 3);
#endif
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/rnn.h"
#include "tests/kernels/check.h"

#include <string.h>

#define KERNEL(name, gru, rnn, tier)                                                                                   \
    mbr_lstm_fn mbr_##name;                                                                                            \
    mbr_gru_fn mbr_##gru;                                                                                              \
    mbr_rnn_fn mbr_##rnn;
#include "kernels/rnn.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_lstm_fn *lstm;
    mbr_gru_fn *gru;
    mbr_rnn_fn *rnn;
} rows[] = {
#define KERNEL(name, gru, rnn, tier) {#name, MBR_TIER_##tier, mbr_##name, mbr_##gru, mbr_##rnn},
#include "kernels/rnn.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static mbr_rnn_function pick(mbr_rnn_activation usual)
{
    mbr_rnn_function f = mbr_rnn_function_default(check_rand_one_in(2) ? usual
                                                                       : (mbr_rnn_activation)check_rand_range(0, 10));
    if (check_rand_one_in(3))
        f.alpha = check_rand_f32();
    return f;
}

static void lstm_case(mbr_lstm_fn *run)
{
    size_t batch = check_rand_range(1, 4), n = check_rand_range(1, 70), pad = check_rand_range(0, 3), row = n + pad;
    mbr_lstm_args a = {.hidden = n, .gates_stride = (ptrdiff_t)(4 * n + pad), .c_prev_stride = (ptrdiff_t)row};
    a.c_stride = a.h_stride = a.h2_stride = (ptrdiff_t)row;
    float *gates = check_alloc_f32_filled(batch * (4 * n + pad), CHECK_UNIFORM);
    for (size_t i = 0; i < batch * (4 * n + pad); i++)
        gates[i] *= 5.0f;
    a.gates = gates;
    float *state = check_alloc_f32_filled(batch * row, CHECK_UNIFORM);
    a.peephole = check_rand_one_in(2) ? check_alloc_f32_filled(3 * n, CHECK_UNIFORM) : NULL;
    a.clip = check_rand_one_in(3) ? 1.5f : 0.0f;
    a.input_forget = check_rand_one_in(3);
    a.f = pick(MBR_RNN_SIGMOID);
    a.g = pick(MBR_RNN_TANH);
    a.hh = pick(MBR_RNN_TANH);
    float *out[6];
    for (int k = 0; k < 6; k++) {
        out[k] = check_alloc_f32(batch * row);
        memset(out[k], 0, batch * row * sizeof(float));
    }
    check_case("lstm batch=%zu hidden=%zu f=%d g=%d h=%d", batch, n, (int)a.f.kind, (int)a.g.kind, (int)a.hh.kind);
    a.c_prev = state;
    a.c = out[0];
    a.h = out[1];
    a.h2 = out[2];
    mbr_lstm_ref(&a, 0, batch);
    memcpy(out[3], state, batch * row * sizeof(float));
    a.c_prev = a.c = out[3];
    a.h = out[4];
    a.h2 = check_rand_one_in(2) ? out[5] : NULL;
    run(&a, 0, batch);
    check_f32(out[0], out[3], batch, n, (ptrdiff_t)row, 4e-6, 4e-6);
    check_f32(out[1], out[4], batch, n, (ptrdiff_t)row, 4e-6, 4e-6);
    if (a.h2)
        check_bytes(out[4], out[5], batch * row * sizeof(float));
    check_case_end();
}

static void gru_case(mbr_gru_fn *run)
{
    size_t batch = check_rand_range(1, 4), n = check_rand_range(1, 70);
    mbr_gru_args a = {.hidden = n, .x_stride = (ptrdiff_t)(3 * n), .r_stride = (ptrdiff_t)(3 * n)};
    a.h_prev_stride = a.h_stride = a.h2_stride = (ptrdiff_t)n;
    a.x = check_alloc_f32_filled(batch * 3 * n, CHECK_UNIFORM);
    a.r = check_alloc_f32_filled(batch * 3 * n, CHECK_UNIFORM);
    a.clip = check_rand_one_in(3) ? 0.7f : 0.0f;
    a.linear_before_reset = check_rand_one_in(2);
    a.phase = a.linear_before_reset ? 0 : (int)check_rand_range(1, 2);
    a.f = pick(MBR_RNN_SIGMOID);
    a.g = pick(MBR_RNN_TANH);
    float *state = check_alloc_f32_filled(batch * n, CHECK_UNIFORM);
    float *want = check_alloc_f32(batch * n), *got = check_alloc_f32(batch * n);
    float *want_reset = check_alloc_f32(batch * n), *got_reset = check_alloc_f32(batch * n);
    check_case("gru batch=%zu hidden=%zu phase=%d f=%d g=%d", batch, n, a.phase, (int)a.f.kind, (int)a.g.kind);
    a.h_prev = state;
    a.h = want;
    a.reset = want_reset;
    mbr_gru_ref(&a, 0, batch);
    memcpy(got, state, batch * n * sizeof(float));
    a.h_prev = a.h = got;
    a.reset = got_reset;
    run(&a, 0, batch);
    if (a.phase == 1)
        check_f32(want_reset, got_reset, batch, n, (ptrdiff_t)n, 4e-6, 4e-6);
    else
        check_f32(want, got, batch, n, (ptrdiff_t)n, 4e-6, 4e-6);
    check_case_end();
}

static void rnn_case(mbr_rnn_fn *run)
{
    size_t batch = check_rand_range(1, 4), n = check_rand_range(1, 70);
    mbr_rnn_args a = {.hidden = n, .gates_stride = (ptrdiff_t)n, .h_stride = (ptrdiff_t)n, .f = pick(MBR_RNN_TANH)};
    a.gates = check_alloc_f32_filled(batch * n, CHECK_UNIFORM);
    float *want = check_alloc_f32(batch * n), *got = check_alloc_f32(batch * n);
    check_case("rnn batch=%zu hidden=%zu f=%d", batch, n, (int)a.f.kind);
    a.h = want;
    mbr_rnn_ref(&a, 0, batch);
    a.h = got;
    run(&a, 0, batch);
    check_f32(want, got, batch, n, (ptrdiff_t)n, 2e-6, 2e-6);
    check_case_end();
}

void check_rnn(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 200 && !check_failed(); i++) {
            lstm_case(rows[r].lstm);
            gru_case(rows[r].gru);
            rnn_case(rows[r].rnn);
        }
        check_end();
    }
}

typedef struct bench_case {
    mbr_lstm_fn *run;
    mbr_lstm_args args;
    size_t batch;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->args, 0, b->batch);
}

/* rnn batch= hidden=: an LSTM cell, in units a nanosecond. */
void bench_rnn(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].lstm, .batch = (size_t)bench_get(shape, "batch", 1)};
        size_t n = (size_t)bench_get(shape, "hidden", 128);
        b.args = (mbr_lstm_args){.hidden = n, .gates_stride = (ptrdiff_t)(4 * n), .c_prev_stride = (ptrdiff_t)n};
        b.args.c_stride = b.args.h_stride = (ptrdiff_t)n;
        b.args.f = mbr_rnn_function_default(MBR_RNN_SIGMOID);
        b.args.g = b.args.hh = mbr_rnn_function_default(MBR_RNN_TANH);
        b.args.gates = check_alloc_f32_filled(b.batch * 4 * n, CHECK_UNIFORM);
        b.args.c_prev = check_alloc_f32_filled(b.batch * n, CHECK_UNIFORM);
        b.args.c = check_alloc_f32(b.batch * n);
        b.args.h = check_alloc_f32(b.batch * n);
        bench_run(bench_call, &b);
        bench_report(shape, (double)(b.batch * n), "units/ns");
    }
}

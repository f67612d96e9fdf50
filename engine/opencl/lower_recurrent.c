/* SPDX-License-Identifier: BSD-2-Clause */
/* LSTM, GRU, RNN: the input's products of all time steps in one launch, then a walk through time. */
#include "engine/opencl/lower_util.h"
#include "engine/opencl/product.h"
#include "engine/ops/recurrent.h"

#include <stdio.h>
#include <string.h>

/* As in recurrent.cl. */
typedef struct recurrent {
    cl_long y_step, y_row, y_dir;
    cl_int wx_step, wx_row, state_row, state_dir;
    cl_int hidden, padded, steps, batch, backwards, before, input_forget, has;
    cl_float clip;
    cl_int kind[2][3];
    cl_float alpha[2][3], beta[2][3];
} recurrent;

/* R above which (in elements of a direction) one group's share of a GPU is too little to read it at each step. */
enum { MOST_ALONE = 1 << 18, MOST_LAUNCHES = 4096 };

/* Panels of W or R: (directions, gates) matrices of `rows` by k, transposed. */
static void fill(const mbr_value *v, size_t rows, char *to)
{
    size_t size = mbr_dtype_size(v->dtype), k = (size_t)v->dims[2], each = mbr_cl_panels(k, rows);
    for (size_t i = 0; i < mbr_value_count(v) / k; i++) {
        char *at = to + (i / rows * each + i % rows / MBR_CL_NR * MBR_CL_NR * k + i % MBR_CL_NR) * size;
        for (size_t p = 0; p < k; p++)
            memcpy(at + p * MBR_CL_NR * size, (const char *)v->data + (i * k + p) * size, size);
    }
}

static mbr_status fill_w(const mbr_step *s, void *to, size_t bytes, mbr_error *err)
{
    (void)err;
    memset(to, 0, bytes);
    fill(s->in[IN_W], (size_t)s->in[IN_W]->dims[1], to);
    return MBR_OK;
}

static mbr_status fill_r(const mbr_step *s, void *to, size_t bytes, mbr_error *err)
{
    (void)err;
    memset(to, 0, bytes);
    fill(s->in[IN_R], (size_t)s->in[IN_R]->dims[2], to);
    return MBR_OK;
}

/* `count` matrices of input `in`, of n rows, as panels; made by a launch where they are no constants. */
static mbr_cl_operand panels_of(mbr_cl_lower *l, uint32_t in, size_t count, size_t n, size_t *at)
{
    const mbr_step *s = l->step;
    const mbr_ir_value *v = s->node->inputs[in];
    size_t k = (size_t)s->in[in]->dims[2], bytes = count * mbr_cl_panels(k, n) * mbr_dtype_size(s->in[in]->dtype);
    if (v->constant && !v->is_input)
        return (mbr_cl_operand){ .from = MBR_CL_PACKED, .i = in, .bytes = bytes, .fill = in == IN_W ? fill_w : fill_r };
    mbr_cl_operand to = { .from = MBR_CL_SCRATCH, .at = *at, .bytes = bytes };
    mbr_cl_gemm g = { .batch = { 1, 1, (cl_int)count }, .b_batch = { 0, 0, (cl_long)(n * k) }, .n = (cl_int)n,
                      .k = (cl_int)k, .b_k = 1, .b_n = (cl_int)k };
    *at += (bytes + MBR_ALIGN - 1) & ~(size_t)(MBR_ALIGN - 1);
    mbr_cl_kernel(l, "gemm", "gemm_pack", s->in[in]->dtype == MBR_DTYPE_F16 ? "-DREAL -DHALF" : "-DREAL");
    mbr_cl_in(l, in);
    mbr_cl_operand_arg(l, &to);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go(l, 3, (size_t[]){ k, (n + MBR_CL_NR - 1) / MBR_CL_NR, count },
              (size_t[]){ l->device->max_group < 16 ? 1 : 16, 1, 1 });
    return to;
}

/* W x, with the first half of the bias: (directions, rows of X, gates * hidden). */
static void lower_wx(mbr_cl_lower *l, const mbr_recurrent *st, const mbr_cl_operand *wx, size_t *at)
{
    size_t n = st->gates * st->hidden;
    mbr_cl_operand x = { .from = MBR_CL_INPUT }, w = { .from = MBR_CL_INPUT, .i = IN_W },
                   bias = { .from = MBR_CL_INPUT, .i = IN_B }; /* x stands for what is absent: output 0 may be, too */
    mbr_cl_gemm g = { .batch = { 1, 1, (cl_int)st->dirs }, .m = (cl_int)(st->steps * st->batch), .n = (cl_int)n,
                      .k = (cl_int)st->input, .a_m = (cl_int)st->input, .a_k = 1, .b_k = 1, .b_n = (cl_int)st->input,
                      .c_m = (cl_int)n, .c_n = 1, .has_bias = mbr_step_has(l->step, IN_B), .bias_batch = 2 * (cl_int)n,
                      .alpha = 1, .beta = 1 };
    g.c_batch[2] = (cl_long)(st->steps * st->batch * n);
    g.b_batch[2] = (cl_long)(n * st->input);
    if (mbr_cl_by_rows(l->device)) {
        w = panels_of(l, IN_W, st->dirs, n, at);
        g.b_batch[2] = (cl_long)mbr_cl_panels(st->input, n);
    }
    mbr_cl_gemm_launch(l, &g, NULL, l->step->in[IN_X]->dtype == MBR_DTYPE_F16, &x, &w, wx, g.has_bias ? &bias : &x, &x);
}

static recurrent sizes_of(const mbr_step *s, const mbr_recurrent *st)
{
    size_t h = st->hidden;
    recurrent g = { .wx_step = st->batch_first ? 1 : (cl_int)st->batch, .wx_row = st->batch_first ? (cl_int)st->steps : 1,
                    .state_row = st->batch_first ? (cl_int)st->dirs : 1, .state_dir = st->batch_first ? 1 : (cl_int)st->batch,
                    .hidden = (cl_int)h, .padded = (cl_int)((h + 15) / 16 * 16), .steps = (cl_int)st->steps,
                    .batch = (cl_int)st->batch, .backwards = st->reverse_only, .before = st->linear_before_reset,
                    .input_forget = st->input_forget, .clip = st->clip };
    g.y_dir = (cl_long)((st->batch_first ? 1 : st->batch) * h);
    g.y_step = (cl_long)((st->batch_first ? st->dirs : st->dirs * st->batch) * h);
    g.y_row = (cl_long)((st->batch_first ? st->steps * st->dirs : 1) * h);
    static const uint32_t optional[] = { IN_B, IN_H, IN_C, IN_LENS, IN_P };
    for (unsigned i = 0; i < MBR_COUNT_OF(optional); i++)
        g.has |= mbr_step_has(s, optional[i]) << i;
    for (unsigned i = 0; i < OUTPUTS; i++)
        g.has |= mbr_step_wants(s, i) << (5 + i);
    for (int i = 0; i < 6; i++) {
        g.kind[i / 3][i % 3] = (cl_int)st->f[i / 3][i % 3].kind;
        g.alpha[i / 3][i % 3] = st->f[i / 3][i % 3].alpha;
        g.beta[i / 3][i % 3] = st->f[i / 3][i % 3].beta;
    }
    return g;
}

typedef struct walk {
    mbr_cl_operand wx, r, state;
    recurrent g;
    char options[64];
    size_t lines, parts, group;
} walk;

static void steps(mbr_cl_lower *l, const walk *w, bool begin, size_t first, size_t last, int first_phase, int last_phase)
{
    const mbr_step *s = l->step;
    static const uint32_t optional[] = { IN_B, IN_H, IN_C, IN_LENS, IN_P };
    mbr_cl_kernel(l, "recurrent", "recurrent_steps", w->options);
    mbr_cl_operand_arg(l, &w->wx);
    mbr_cl_operand_arg(l, &w->r);
    mbr_cl_operand_arg(l, &w->state);
    for (unsigned i = 0; i < MBR_COUNT_OF(optional); i++) /* any buffer for those that are absent */
        mbr_cl_in(l, mbr_step_has(s, optional[i]) ? optional[i] : IN_X);
    for (uint32_t i = 0; i < OUTPUTS; i++)
        if (mbr_step_wants(s, i))
            mbr_cl_out(l, i);
        else
            mbr_cl_in(l, IN_X);
    if (mbr_step_has(s, IN_LENS))
        mbr_cl_flag(l);
    else
        mbr_cl_in(l, IN_X);
    mbr_cl_bytes(l, &w->g, sizeof w->g);
    mbr_cl_int(l, begin);
    mbr_cl_int(l, (int64_t)first);
    mbr_cl_int(l, (int64_t)last);
    mbr_cl_int(l, first_phase);
    mbr_cl_int(l, last_phase);
    mbr_cl_go(l, 2, (size_t[]){ w->lines * w->group, w->parts }, (size_t[]){ w->group, 1 });
}

static mbr_status lower_recurrent(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_recurrent *st = s->state;
    const mbr_cl_device *d = l->device;
    bool half = s->in[IN_X]->dtype == MBR_DTYPE_F16, rows = mbr_cl_by_rows(d);
    size_t size = half ? 2 : 4, n = st->gates * st->hidden, count = st->dirs * st->steps * st->batch * n, at;
    walk w = { .parts = 1, .group = 1, .g = sizes_of(s, st) };
    if (st->batch == 0 || st->hidden == 0)
        return MBR_OK;
    if (st->input == 0)
        return mbr_cl_decline(l, "its input has no elements");
    if (count > INT32_MAX || mbr_value_count(s->in[IN_X]) > INT32_MAX || mbr_value_count(s->in[IN_W]) > INT32_MAX ||
        mbr_value_count(s->in[IN_R]) > INT32_MAX)
        return mbr_cl_decline(l, "a tensor of more than 2^31 elements");
    w.wx = (mbr_cl_operand){ .from = MBR_CL_SCRATCH, .bytes = count * size + MBR_ALIGN };
    at = (w.wx.bytes + MBR_ALIGN - 1) & ~(size_t)(MBR_ALIGN - 1);
    w.state = (mbr_cl_operand){ .from = MBR_CL_SCRATCH, .at = at,
                                .bytes = st->dirs * st->batch * 4 * (size_t)w.g.padded * sizeof(float) };
    at += w.state.bytes;
    if (st->steps)
        lower_wx(l, st, &w.wx, &at);
    w.r = panels_of(l, IN_R, st->dirs * st->gates, st->hidden, &at);
    unsigned width = !rows ? 1 : d->vector_f32 >= 16 ? 16 : d->vector_f32 >= 8 ? 8 : 4, mb = 1;
    if (rows && st->batch >= 4 && st->dirs * ((st->batch + 3) / 4) >= d->units)
        mb = 4;
    w.lines = st->dirs * ((st->batch + mb - 1) / mb);
    if (!rows)
        w.group = mbr_cl_lines(l, st->hidden, 0);
    snprintf(w.options, sizeof w.options, "-DREAL -DGATES=%d -DVF=%u -DMB=%u%s%s", (int)st->gates, width, mb,
             w.group == 1 ? " -DALONE" : "", half ? " -DHALF" : "");
    int phase = st->gates == 3 && !st->linear_before_reset ? 0 : 1;
    if (rows || n * st->hidden <= MOST_ALONE || st->steps * (size_t)(2 - phase) > MOST_LAUNCHES) {
        steps(l, &w, true, 0, st->steps, phase, 2);
        return l->status;
    }
    w.parts = (st->hidden + w.group - 1) / w.group;
    steps(l, &w, true, 0, 0, 0, 0);
    for (size_t k = 0; k < st->steps; k++)
        for (int i = phase; i < 2; i++)
            steps(l, &w, false, k, k + 1, i, i + 1);
    return l->status;
}

static bool takes_recurrent(const mbr_ir_node *n, const mbr_cl_device *d)
{
    mbr_dtype t = n->inputs[IN_X]->type.dtype;
    return (t == MBR_DTYPE_F32 || t == MBR_DTYPE_F16) && mbr_cl_takes_numbers(n, d);
}

const mbr_cl_op mbr_cl_ops_recurrent[] = {
    { "", "LSTM", takes_recurrent, lower_recurrent, 0 },
    { "", "GRU", takes_recurrent, lower_recurrent, 0 },
    { "", "RNN", takes_recurrent, lower_recurrent, 0 },
    { 0 },
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LSTM, GRU, RNN: every direction, layout, sequence length, peephole, clip.
 *
 * Phase 0 packs weights that are no constants; phase 1 multiplies W with all time steps at once; phase 2 walks through
 * time, a tile being one direction of a block of the batch. Halves are converted first, in one tile; doubles go through
 * plain code, a tile being one direction of one row.
 */
#include "base/checked.h"
#include "engine/ops/recurrent.h"
#include "kernels/gemm.h"
#include "kernels/packed.h"
#include "kernels/real.h"

#include <ctype.h>
#include <string.h>

/* All data as f32. */
typedef struct recurrent_io {
    const float *in[INPUTS];
    float *out[OUTPUTS];
    const mbr_value *lens; /* NULL: all are full */
} recurrent_io;

static size_t gates_of(const mbr_op *op)
{
    return op->param == LSTM ? 4 : op->param == GRU ? 3 : 1;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[IN_X], *r = &c->in[IN_R];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(x->dtype));
    for (uint32_t i = IN_X; i <= IN_R; i++)
        if (c->in[i].rank >= 0 && c->in[i].rank != 3)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u has rank %d, not 3", i, c->in[i].rank);
    const char *direction = mbr_attr_string(c->node, "direction", "forward");
    bool both = strcmp(direction, "bidirectional") == 0, batch_first = mbr_attr_int(c->node, "layout", 0) != 0;
    if (!both && strcmp(direction, "forward") != 0 && strcmp(direction, "reverse") != 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "direction '%s'", direction);
    int64_t hidden = mbr_attr_int(c->node, "hidden_size", 0);
    mbr_dim h = r->rank == 3 ? r->dims[2] : hidden > 0 ? hidden : MBR_DIM_UNKNOWN;
    if (hidden > 0 && mbr_dim_is_const(h) && h != hidden)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "hidden_size is %lld, the weights have %lld", (long long)hidden,
                              (long long)h);
    mbr_dim steps = x->rank == 3 ? x->dims[batch_first ? 1 : 0] : MBR_DIM_UNKNOWN;
    mbr_dim batch = x->rank == 3 ? x->dims[batch_first ? 0 : 1] : MBR_DIM_UNKNOWN, dirs = both ? 2 : 1;
    mbr_dim y[2][4] = { { steps, dirs, batch, h }, { batch, steps, dirs, h } };
    mbr_dim last[2][3] = { { dirs, batch, h }, { batch, dirs, h } };
    mbr_infer_out(c, OUT_Y, x->dtype, 4, y[batch_first]);
    for (uint32_t i = OUT_H; i < c->n_out; i++)
        mbr_infer_out(c, i, x->dtype, 3, last[batch_first]);
    return MBR_OK;
}

static bool same_text(const char *a, const char *b)
{
    while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

/* The activations of all directions; parameters are consumed in order by those that have any. */
static mbr_status read_functions(mbr_step *s, mbr_recurrent *st, mbr_error *err)
{
    static const struct {
        const char *name;
        mbr_rnn_activation kind;
        int params;
    } table[] = {
        { "Sigmoid", MBR_RNN_SIGMOID, 0 },        { "Tanh", MBR_RNN_TANH, 0 },
        { "Relu", MBR_RNN_RELU, 0 },              { "Affine", MBR_RNN_AFFINE, 2 },
        { "LeakyRelu", MBR_RNN_LEAKY_RELU, 1 },   { "ThresholdedRelu", MBR_RNN_THRESHOLDED_RELU, 1 },
        { "ScaledTanh", MBR_RNN_SCALED_TANH, 2 }, { "HardSigmoid", MBR_RNN_HARD_SIGMOID, 2 },
        { "Elu", MBR_RNN_ELU, 1 },                { "Softsign", MBR_RNN_SOFTSIGN, 0 },
        { "Softplus", MBR_RNN_SOFTPLUS, 0 },
    };
    static const char *const usual[3][3] = { { "Tanh" }, { "Sigmoid", "Tanh" }, { "Sigmoid", "Tanh", "Tanh" } };
    size_t n, n_alpha, n_beta, used_alpha = 0, used_beta = 0, each = (size_t)s->op->param + 1;
    const mbr_string *names = mbr_attr_strings(s->node, "activations", &n);
    const float *alpha = mbr_attr_floats(s->node, "activation_alpha", &n_alpha);
    const float *beta = mbr_attr_floats(s->node, "activation_beta", &n_beta);
    if (names && n != 0 && n != each * st->dirs)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "%zu activations, %zu are needed", n, each * st->dirs);
    for (size_t i = 0; i < each * st->dirs; i++) {
        char name[24];
        const char *text = usual[s->op->param][i % each];
        if (names && n) {
            size_t size = names[i].size < sizeof name - 1 ? names[i].size : sizeof name - 1;
            memcpy(name, names[i].data, size);
            name[size] = 0;
            text = name;
        }
        size_t k = 0;
        while (k < MBR_COUNT_OF(table) && !same_text(text, table[k].name))
            k++;
        if (k == MBR_COUNT_OF(table))
            return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "an activation '%s'", text);
        mbr_rnn_function *f = &st->f[i / each][i % each];
        *f = mbr_rnn_function_default(table[k].kind);
        if (table[k].params > 0 && used_alpha < n_alpha)
            f->alpha = alpha[used_alpha++];
        if (table[k].params > 1 && used_beta < n_beta)
            f->beta = beta[used_beta++];
    }
    return MBR_OK;
}

/* Lays out the packed weights. False on overflow. */
static bool layout_pack(mbr_rnn_weights *p, const mbr_op *op, size_t dirs, size_t hidden, size_t input)
{
    size_t gates = gates_of(op), at = 0, r_gates = op->param == GRU ? 2 : gates;
    const mbr_gemm_f32_kernel *kernel = mbr_gemm_f32_select(mbr_cpu_tiers());
    p->kernel = mbr_packed_kernel_number(kernel);
    size_t w = kernel->pack_size(input, gates * hidden), r = kernel->pack_size(hidden, r_gates * hidden);
    size_t r2 = op->param == GRU ? kernel->pack_size(hidden, hidden) : 0, bias = gates * hidden * sizeof(float);
    if ((!w && input && hidden) || (!r && hidden) || !mbr_round_up(bias, MBR_ALIGN, &bias) ||
        !mbr_round_up(w, MBR_ALIGN, &w) || !mbr_round_up(r, MBR_ALIGN, &r) || !mbr_round_up(r2, MBR_ALIGN, &r2))
        return false;
    for (size_t d = 0; d < dirs; d++) {
        size_t *place[] = { &p->dir[d].w, &p->dir[d].r, &p->dir[d].r2, &p->dir[d].bias, &p->dir[d].bias_r };
        size_t size[] = { w, r, r2, bias, bias };
        for (size_t i = 0; i < MBR_COUNT_OF(size); i++) {
            *place[i] = at / sizeof(float);
            if (!mbr_add_size(at, size[i], &at))
                return false;
        }
    }
    p->bytes = at;
    return true;
}

static void fill_pack(const mbr_rnn_weights *p, float *block, const mbr_op *op, size_t dirs, size_t hidden,
                      size_t input, const float *w, const float *r, const float *b)
{
    const mbr_gemm_f32_kernel *kernel = mbr_packed_kernel(p->kernel);
    size_t gates = gates_of(op), rows = gates * hidden, r_rows = op->param == GRU ? 2 * hidden : rows;
    for (size_t d = 0; d < dirs; d++) {
        const mbr_rnn_direction *q = &p->dir[d];
        kernel->pack(block + q->w, input, rows, w + d * rows * input, 1, (ptrdiff_t)input, 0, rows);
        kernel->pack(block + q->r, hidden, r_rows, r + d * rows * hidden, 1, (ptrdiff_t)hidden, 0, r_rows);
        if (op->param == GRU)
            kernel->pack(block + q->r2, hidden, hidden, r + (d * rows + r_rows) * hidden, 1, (ptrdiff_t)hidden, 0,
                            hidden);
        for (size_t i = 0; i < rows; i++) {
            float wb = b ? b[2 * d * rows + i] : 0, rb = b ? b[(2 * d + 1) * rows + i] : 0;
            block[q->bias + i] = op->param == GRU ? wb : wb + rb;
            block[q->bias_r + i] = rb;
        }
    }
}

static mbr_status check_shapes(mbr_step *s, const mbr_recurrent *st, mbr_error *err)
{
    size_t d = st->dirs, h = st->hidden, g = st->gates;
    const size_t want[INPUTS] = { st->steps * st->batch * st->input, d * g * h * st->input, d * g * h * h,
                                  2 * d * g * h, st->batch, d * st->batch * h, d * st->batch * h, 3 * d * h };
    for (uint32_t i = 0; i < INPUTS; i++) {
        if (!mbr_step_has(s, i))
            continue;
        if (mbr_value_count(s->in[i]) != want[i])
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u has %zu elements, %zu are needed", i,
                                 mbr_value_count(s->in[i]), want[i]);
        if (i != IN_LENS && s->in[i]->dtype != s->in[IN_X]->dtype)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u has elements of type %s", i,
                                 mbr_dtype_name(s->in[i]->dtype));
    }
    return MBR_OK;
}

static mbr_gemm_args wx_product(const mbr_recurrent *st)
{
    mbr_gemm_args g = MBR_GEMM_ARGS_INIT;
    g.m = st->steps * st->batch;
    g.n = st->gates * st->hidden;
    g.k = st->input;
    g.lda = (ptrdiff_t)g.k;
    g.ldc = (ptrdiff_t)g.n;
    g.b_form = MBR_GEMM_B_PACKED;
    return g;
}

/* R h' for `rows` of the batch; n columns. */
static mbr_gemm_args r_product(const mbr_recurrent *st, size_t rows, size_t n)
{
    mbr_gemm_args g = MBR_GEMM_ARGS_INIT;
    g.m = rows;
    g.n = n;
    g.k = st->hidden;
    g.lda = (ptrdiff_t)st->hidden;
    g.ldc = (ptrdiff_t)(st->gates * st->hidden);
    g.b_form = MBR_GEMM_B_PACKED;
    return g;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    mbr_recurrent *st = s->state;
    const mbr_value *x = s->in[IN_X], *r = s->in[IN_R];
    const char *direction = mbr_attr_string(s->node, "direction", "forward");
    st->gates = gates_of(s->op);
    st->dirs = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    st->reverse_only = strcmp(direction, "reverse") == 0;
    st->batch_first = mbr_attr_int(s->node, "layout", 0) != 0;
    st->hidden = (size_t)r->dims[2];
    st->input = (size_t)x->dims[2];
    st->steps = (size_t)x->dims[st->batch_first];
    st->batch = (size_t)x->dims[!st->batch_first];
    st->clip = mbr_attr_float(s->node, "clip", 0);
    st->linear_before_reset = mbr_attr_int(s->node, "linear_before_reset", 0) != 0;
    st->input_forget = mbr_attr_int(s->node, "input_forget", 0) != 0;
    MBR_TRY(check_shapes(s, st, err));
    MBR_TRY(read_functions(s, st, err));
    if (x->dtype == MBR_DTYPE_F64) {
        size_t row = st->gates * st->hidden;
        s->scratch = (row + 3 * st->hidden) * sizeof(double);
        s->tiles[0] = st->dirs * st->batch;
        s->cost_ns = (double)s->tiles[0] * (double)st->steps * (double)row * (double)(st->input + st->hidden);
        return MBR_OK;
    }
    const mbr_rnn_weights *p = s->packed;
    if (!p) {
        if (!layout_pack(&st->own_pack, s->op, st->dirs, st->hidden, st->input))
            return mbr_no_memory(err, SIZE_MAX);
        MBR_TRY(mbr_buffer_reserve(s, &st->own_weights, st->own_pack.bytes, err));
        p = &st->own_pack;
    }
    size_t row = st->gates * st->hidden, wx = st->dirs * st->steps * st->batch * row;
    MBR_TRY(mbr_buffer_reserve(s, &st->wx, wx * sizeof(float), err));
    size_t workers = (size_t)mbr_step_workers(s), blocks = (workers + st->dirs - 1) / st->dirs;
    st->block = st->batch ? (st->batch + blocks - 1) / blocks : 1;
    if (st->block < 8 && st->batch > st->block)
        st->block = st->batch < 8 ? st->batch : 8;
    mbr_gemm_args big = wx_product(st), small = r_product(st, st->block, row);
    const mbr_gemm_f32_kernel *kernel = mbr_packed_kernel(p->kernel);
    size_t g1 = kernel->scratch(&big), g2 = kernel->scratch(&small), one;
    small.m = 1;
    one = kernel->scratch(&small); /* ragged lengths: row by row */
    g2 = mbr_max_size(g2, one);
    /* gates or R h', h, c, reset */
    st->cell_scratch = st->block * (row + 3 * st->hidden) * sizeof(float);
    st->cell_scratch = (st->cell_scratch + MBR_ALIGN - 1) / MBR_ALIGN * MBR_ALIGN;
    s->scratch = st->cell_scratch + mbr_max_size(g1, g2);
    st->gemm_tiles = big.m && big.n ? kernel->tiles(&big) : 0;
    double mul = (double)(st->steps * st->batch * st->dirs) * (double)row / 20;
    if (x->dtype != MBR_DTYPE_F32) {
        size_t at = 0;
        for (size_t i = 0; i < INPUTS + OUTPUTS; i++) {
            const mbr_value *v = i < INPUTS ? mbr_step_has(s, (uint32_t)i) ? s->in[i] : NULL :
                                 mbr_step_wants(s, (uint32_t)(i - INPUTS)) ? s->out[i - INPUTS] : NULL;
            st->wide_at[i] = at;
            at += v ? mbr_value_count(v) : 0;
        }
        MBR_TRY(mbr_buffer_reserve(s, &st->wide, at * sizeof(float) + 4, err));
        s->tiles[0] = 1;
        s->cost_ns = mul * (double)(st->input + st->hidden);
        return MBR_OK;
    }
    st->gemm_per_tile = mbr_step_split(s, st->gemm_tiles * st->dirs, st->gemm_tiles ? mul * (double)st->input /
                                       (double)st->dirs / (double)st->gemm_tiles : 0);
    s->tiles[1] = s->tiles[0];
    s->cost_ns += mul * (double)st->hidden + mul * 30;
    s->phases = 3;
    s->tiles[0] = s->packed ? 0 : 1;
    s->tiles[2] = st->batch ? st->dirs * ((st->batch + st->block - 1) / st->block) : 0;
    return MBR_OK;
}

static const mbr_rnn_weights *pack_of(const mbr_step *s, const mbr_recurrent *st, const float **weights)
{
    if (!s->packed) {
        *weights = st->own_weights.data;
        return &st->own_pack;
    }
    *weights = (const float *)(const void *)((const char *)s->packed + 2 * MBR_ALIGN);
    return s->packed;
}

static void run_wx(mbr_step *s, const mbr_recurrent *st, const recurrent_io *io, void *scratch, size_t first,
                   size_t last)
{
    const float *weights;
    const mbr_rnn_weights *p = pack_of(s, st, &weights);
    const mbr_gemm_f32_kernel *kernel = mbr_packed_kernel(p->kernel);
    mbr_gemm_args g = wx_product(st);
    for (size_t d = 0; d < st->dirs; d++) {
        size_t lo = d * st->gemm_tiles, hi = lo + st->gemm_tiles;
        size_t a = first > lo ? first : lo, b = last < hi ? last : hi;
        if (a >= b)
            continue;
        g.a = io->in[IN_X];
        g.b = weights + p->dir[d].w;
        g.c = (float *)st->wx.data + d * g.m * g.n;
        g.epilogue.bias = weights + p->dir[d].bias;
        kernel->run(&g, scratch, a - lo, b - lo);
    }
}

/* One direction of rows b0 .. b0 + rows - 1, all of `length` steps. */
typedef struct walk {
    mbr_step *s;
    const mbr_recurrent *st;
    const recurrent_io *io;
    size_t dir, b0, rows, length;
    float *gates, *h, *c, *reset; /* (rows, gates * hidden), then (rows, hidden) each */
    void *gemm_scratch;
} walk;

static void multiply(const walk *w, mbr_gemm_args *g, const mbr_rnn_weights *p)
{
    const mbr_gemm_f32_kernel *kernel = mbr_packed_kernel(p->kernel);
    kernel->run(g, w->gemm_scratch, 0, kernel->tiles(g));
}

static void cell(const walk *w, const float *wx, ptrdiff_t wx_stride, float *y, ptrdiff_t y_stride)
{
    const mbr_recurrent *st = w->st;
    const float *weights;
    const mbr_rnn_weights *p = pack_of(w->s, st, &weights);
    const mbr_rnn_direction *q = &p->dir[w->dir];
    mbr_rnn_kernels k = mbr_rnn_select(mbr_cpu_tiers());
    const mbr_rnn_function *f = st->f[w->dir];
    size_t hidden = st->hidden;
    ptrdiff_t row = (ptrdiff_t)(st->gates * hidden), h = (ptrdiff_t)hidden;
    if (w->s->op->param != GRU) {
        mbr_gemm_args g = r_product(st, w->rows, (size_t)row);
        g.a = w->h;
        g.b = weights + q->r;
        g.c = w->gates;
        g.epilogue.other_is = MBR_GEMM_OTHER_ADD;
        g.epilogue.other = wx;
        g.epilogue.ld_other = wx_stride;
        multiply(w, &g, p);
    }
    if (w->s->op->param == LSTM) {
        mbr_lstm_args a = { .gates = w->gates, .c_prev = w->c, .c = w->c, .h = w->h, .h2 = y, .gates_stride = row,
                            .c_prev_stride = h, .c_stride = h, .h_stride = h, .h2_stride = y_stride, .hidden = hidden,
                            .clip = st->clip, .input_forget = st->input_forget, .f = f[0], .g = f[1], .hh = f[2] };
        a.peephole = w->io->in[IN_P] ? w->io->in[IN_P] + w->dir * 3 * hidden : NULL;
        k.lstm(&a, 0, w->rows);
    } else if (w->s->op->param == RNN) {
        mbr_rnn_args a = { .gates = w->gates, .h = w->h, .h2 = y, .gates_stride = row, .h_stride = h,
                           .h2_stride = y_stride, .hidden = hidden, .clip = st->clip, .f = f[0] };
        k.rnn(&a, 0, w->rows);
    } else {
        mbr_gemm_args zr = r_product(st, w->rows, 2 * hidden), n = r_product(st, w->rows, hidden);
        zr.a = w->h;
        zr.b = weights + q->r;
        zr.c = w->gates;
        zr.epilogue.bias = weights + q->bias_r;
        n.a = st->linear_before_reset ? w->h : w->reset;
        n.b = weights + q->r2;
        n.c = w->gates + 2 * hidden;
        n.epilogue.bias = weights + q->bias_r + 2 * hidden;
        mbr_gru_args a = { .x = wx, .r = w->gates, .h_prev = w->h, .h = w->h, .h2 = y, .reset = w->reset,
                           .x_stride = wx_stride, .r_stride = row, .h_prev_stride = h, .h_stride = h,
                           .h2_stride = y_stride, .hidden = hidden, .clip = st->clip,
                           .linear_before_reset = st->linear_before_reset, .f = f[0], .g = f[1] };
        multiply(w, &zr, p);
        if (!st->linear_before_reset) {
            a.phase = 1;
            k.gru(&a, 0, w->rows);
            a.phase = 2;
        }
        multiply(w, &n, p);
        k.gru(&a, 0, w->rows);
    }
}

/* Where (batch row, hidden 0) of an initial or final state lies. */
static size_t state_at(const mbr_recurrent *st, size_t dir, size_t b)
{
    return (st->batch_first ? b * st->dirs + dir : dir * st->batch + b) * st->hidden;
}

static void walk_through(const walk *w)
{
    const mbr_recurrent *st = w->st;
    size_t hidden = st->hidden, row = st->gates * hidden;
    bool backwards = w->dir == 1 || st->reverse_only;
    for (size_t i = 0; i < w->rows; i++) {
        const float *from[2] = { w->io->in[IN_H], w->io->in[IN_C] };
        float *to[2] = { w->h + i * hidden, w->c + i * hidden };
        for (int k = 0; k < 2; k++) {
            if (from[k])
                memcpy(to[k], from[k] + state_at(st, w->dir, w->b0 + i), hidden * sizeof(float));
            else
                memset(to[k], 0, hidden * sizeof(float));
        }
    }
    size_t x_step = st->batch_first ? 1 : st->batch, x_row = st->batch_first ? st->steps : 1;
    const float *wx = (const float *)st->wx.data + w->dir * st->steps * st->batch * row;
    /* Y: (steps, dirs, batch, hidden) or (batch, steps, dirs, hidden) */
    size_t y_step = (st->batch_first ? st->dirs : st->dirs * st->batch) * hidden;
    size_t y_row = (st->batch_first ? st->steps * st->dirs : 1) * hidden;
    float *y = w->io->out[OUT_Y];
    if (y)
        y += w->dir * (st->batch_first ? 1 : st->batch) * hidden + w->b0 * y_row;
    for (size_t k = 0; k < w->length; k++) {
        size_t t = backwards ? w->length - 1 - k : k;
        cell(w, wx + (t * x_step + w->b0 * x_row) * row, (ptrdiff_t)(x_row * row), y ? y + t * y_step : NULL,
             (ptrdiff_t)y_row);
    }
    for (size_t t = w->length; y && t < st->steps; t++)
        for (size_t i = 0; i < w->rows; i++)
            memset(y + t * y_step + i * y_row, 0, hidden * sizeof(float));
    for (size_t i = 0; i < w->rows; i++) {
        size_t at = state_at(st, w->dir, w->b0 + i);
        if (w->io->out[OUT_H])
            memcpy(w->io->out[OUT_H] + at, w->h + i * hidden, hidden * sizeof(float));
        if (w->io->out[OUT_C])
            memcpy(w->io->out[OUT_C] + at, w->c + i * hidden, hidden * sizeof(float));
    }
}

static void run_block(mbr_step *s, const mbr_recurrent *st, const recurrent_io *io, void *scratch, size_t tile)
{
    size_t b0 = tile / st->dirs * st->block, end = b0 + st->block < st->batch ? b0 + st->block : st->batch;
    walk w = { .s = s, .st = st, .io = io, .dir = tile % st->dirs, .b0 = b0, .rows = end - b0, .length = st->steps };
    w.gates = scratch;
    w.h = w.gates + st->block * st->gates * st->hidden;
    w.c = w.h + st->block * st->hidden;
    w.reset = w.c + st->block * st->hidden;
    w.gemm_scratch = (char *)scratch + st->cell_scratch;
    bool ragged = false;
    for (size_t b = b0; io->lens && b < end; b++)
        ragged |= mbr_value_int(io->lens, b) != (int64_t)st->steps;
    if (!ragged) {
        walk_through(&w);
        return;
    }
    w.rows = 1;
    for (w.b0 = b0; w.b0 < end; w.b0++) {
        w.length = (size_t)mbr_value_int(io->lens, w.b0);
        walk_through(&w);
    }
}

static mbr_status check_lengths(const mbr_step *s, const mbr_recurrent *st, mbr_error *err)
{
    for (size_t b = 0; mbr_step_has(s, IN_LENS) && b < st->batch; b++) {
        int64_t n = mbr_value_int(s->in[IN_LENS], b);
        if (n < 0 || n > (int64_t)st->steps)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "a sequence length of %lld among %zu steps", (long long)n,
                                 st->steps);
    }
    return MBR_OK;
}

/* One direction of one row of the batch, in f64. */
static void run_f64(mbr_step *s, const mbr_recurrent *st, double *scratch, size_t tile)
{
    size_t dir = tile % st->dirs, b = tile / st->dirs, n = st->hidden, rows = st->gates * n, at = state_at(st, dir, b);
    size_t x_step = (st->batch_first ? 1 : st->batch) * st->input, x_row = (st->batch_first ? st->steps : 1) * st->input;
    size_t y_step = (st->batch_first ? st->dirs : st->dirs * st->batch) * n;
    const double *in[INPUTS];
    double *out[OUTPUTS];
    for (uint32_t i = 0; i < INPUTS; i++)
        in[i] = mbr_step_has(s, i) && i != IN_LENS ? s->in[i]->data : NULL;
    for (uint32_t i = 0; i < OUTPUTS; i++)
        out[i] = mbr_step_wants(s, i) ? s->out[i]->data : NULL;
    mbr_rnn_f64_args a = { .gates = st->gates, .hidden = n, .input = st->input, .length = st->steps,
                           .backwards = dir == 1 || st->reverse_only, .linear_before_reset = st->linear_before_reset,
                           .input_forget = st->input_forget, .clip = st->clip, .f = st->f[dir],
                           .x = in[IN_X] + b * x_row, .x_step = (ptrdiff_t)x_step, .w = in[IN_W] + dir * rows * st->input,
                           .r = in[IN_R] + dir * rows * n, .h = scratch, .c = scratch + n, .scratch = scratch + 2 * n,
                           .y_step = (ptrdiff_t)y_step };
    if (mbr_step_has(s, IN_LENS))
        a.length = (size_t)mbr_value_int(s->in[IN_LENS], b);
    if (in[IN_B])
        a.b = in[IN_B] + 2 * dir * rows;
    if (in[IN_P])
        a.peephole = in[IN_P] + 3 * dir * n;
    if (out[OUT_Y])
        a.y = out[OUT_Y] + (st->batch_first ? b * st->steps * st->dirs + dir : dir * st->batch + b) * n;
    for (size_t j = 0; j < n; j++) {
        a.h[j] = in[IN_H] ? in[IN_H][at + j] : 0;
        a.c[j] = in[IN_C] ? in[IN_C][at + j] : 0;
    }
    mbr_rnn_f64(&a);
    for (size_t t = a.length; a.y && t < st->steps; t++)
        memset(a.y + t * y_step, 0, n * sizeof(double));
    if (out[OUT_H])
        memcpy(out[OUT_H] + at, a.h, n * sizeof(double));
    if (out[OUT_C])
        memcpy(out[OUT_C] + at, a.c, n * sizeof(double));
}

/* Halves: everything in one go on f32 copies. */
static mbr_status run_converted(mbr_step *s, mbr_recurrent *st, void *scratch)
{
    recurrent_io io = { .lens = mbr_step_has(s, IN_LENS) ? s->in[IN_LENS] : NULL };
    mbr_dtype t = s->in[IN_X]->dtype;
    float *wide = st->wide.data;
    for (uint32_t i = 0; i < INPUTS; i++) {
        if (!mbr_step_has(s, i) || i == IN_LENS)
            continue;
        float *to = wide + st->wide_at[i];
        for (size_t k = 0, n = mbr_value_count(s->in[i]); k < n; k++)
            to[k] = (float)mbr_real_get(t, s->in[i]->data, k);
        io.in[i] = to;
    }
    for (uint32_t i = 0; i < OUTPUTS; i++)
        io.out[i] = mbr_step_wants(s, i) ? wide + st->wide_at[INPUTS + i] : NULL;
    fill_pack(&st->own_pack, st->own_weights.data, s->op, st->dirs, st->hidden, st->input, io.in[IN_W], io.in[IN_R],
              io.in[IN_B]);
    run_wx(s, st, &io, scratch, 0, st->gemm_tiles * st->dirs);
    size_t tiles = st->batch ? st->dirs * ((st->batch + st->block - 1) / st->block) : 0;
    for (size_t i = 0; i < tiles; i++)
        run_block(s, st, &io, scratch, i);
    for (uint32_t i = 0; i < OUTPUTS; i++)
        for (size_t k = 0, n = io.out[i] ? mbr_value_count(s->out[i]) : 0; k < n; k++)
            mbr_real_set(t, s->out[i]->data, k, (double)io.out[i][k]);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    mbr_recurrent *st = s->state;
    MBR_TRY(check_lengths(s, st, err));
    if (s->in[IN_X]->dtype == MBR_DTYPE_F64) {
        for (size_t i = job->first; i < job->last; i++)
            run_f64(s, st, job->scratch, i);
        return MBR_OK;
    }
    if (s->in[IN_X]->dtype != MBR_DTYPE_F32)
        return run_converted(s, st, job->scratch);
    recurrent_io io = { .lens = mbr_step_has(s, IN_LENS) ? s->in[IN_LENS] : NULL };
    for (uint32_t i = 0; i < INPUTS; i++)
        io.in[i] = mbr_step_has(s, i) ? s->in[i]->data : NULL;
    for (uint32_t i = 0; i < OUTPUTS; i++)
        io.out[i] = mbr_step_wants(s, i) ? s->out[i]->data : NULL;
    if (job->phase == 0) {
        if (job->first < job->last && !s->packed)
            fill_pack(&st->own_pack, st->own_weights.data, s->op, st->dirs, st->hidden, st->input, io.in[IN_W], io.in[IN_R],
                      io.in[IN_B]);
    } else if (job->phase == 1) {
        size_t last = job->last * st->gemm_per_tile, all = st->gemm_tiles * st->dirs;
        run_wx(s, st, &io, job->scratch, job->first * st->gemm_per_tile, last < all ? last : all);
    } else {
        for (size_t i = job->first; i < job->last; i++)
            run_block(s, st, &io, job->scratch, i);
    }
    return MBR_OK;
}

static const mbr_value *constant_input(const mbr_ir_node *n, uint32_t i)
{
    return i < n->n_inputs && n->inputs[i] && !n->inputs[i]->is_input ? n->inputs[i]->constant : NULL;
}

static mbr_status pack(mbr_pack *p)
{
    const mbr_ir_node *n = p->node;
    const mbr_value *w = constant_input(n, IN_W), *r = constant_input(n, IN_R), *b = constant_input(n, IN_B);
    bool has_b = n->n_inputs > IN_B && n->inputs[IN_B];
    if (!w || !r || (has_b && !b) || w->dtype != MBR_DTYPE_F32 || r->dtype != MBR_DTYPE_F32 || w->rank != 3 ||
        r->rank != 3 || (b && b->dtype != MBR_DTYPE_F32))
        return MBR_OK;
    size_t dirs = strcmp(mbr_attr_string(n, "direction", "forward"), "bidirectional") == 0 ? 2 : 1;
    size_t hidden = (size_t)r->dims[2], input = (size_t)w->dims[2], rows = gates_of(n->op) * hidden;
    if (mbr_value_count(w) != dirs * rows * input || mbr_value_count(r) != dirs * rows * hidden || !hidden || !input ||
        (b && mbr_value_count(b) != 2 * dirs * rows))
        return mbr_ir_fail(n, p->err, MBR_ERR_MODEL, "the shapes of the weights do not belong together");
    mbr_rnn_weights layout = { 0 };
    size_t bytes;
    _Static_assert(sizeof(mbr_rnn_weights) <= 2 * MBR_ALIGN, "the header of the packed weights");
    if (!layout_pack(&layout, n->op, dirs, hidden, input) || !mbr_add_size(layout.bytes, 2 * MBR_ALIGN, &bytes))
        return mbr_no_memory(p->err, SIZE_MAX);
    char *block = mbr_alloc(p->memory, bytes);
    if (!block)
        return mbr_no_memory(p->err, bytes);
    *(mbr_rnn_weights *)(void *)block = layout;
    fill_pack(&layout, (float *)(void *)(block + 2 * MBR_ALIGN), n->op, dirs, hidden, input, w->data, r->data,
              b ? b->data : NULL);
    p->packed = block;
    p->bytes = bytes;
    p->packed_inputs = 1u << IN_W | 1u << IN_R | (b ? 1u << IN_B : 0);
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    mbr_recurrent *st = s->state;
    mbr_buffer_free(s, &st->own_weights);
    mbr_buffer_free(s, &st->wx);
    mbr_buffer_free(s, &st->wide);
}

#define ROW(op_name, version, most, outs, what)                                                                        \
    { .domain = "", .name = op_name, .since = version, .min_in = 3, .max_in = most, .min_out = 0, .max_out = outs,     \
      .infer = infer, .prepare = prepare, .run = run, .pack = pack, .fini = fini,                                      \
      .state_size = sizeof(mbr_recurrent), .param = what }

const mbr_op mbr_ops_recurrent[] = {
    ROW("RNN", 1, 6, 2, RNN),
    ROW("GRU", 1, 6, 2, GRU),
    ROW("LSTM", 1, 8, 3, LSTM),
    { 0 },
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* com.microsoft's QLinearAveragePool and QLinearGlobalAveragePool: exact sums, then one scaling. */
#include "engine/ops/qlinear_args.h"
#include "engine/ops/window.h"

enum { AVERAGE, GLOBAL };

#define CHANNELS 256       /* whose sums are made at once */
#define POINTS (1 << 23) /* whose sum is below 2^31 */

typedef struct state {
    mbr_window window;
    int64_t in[MBR_WINDOW_RANK], out[MBR_WINDOW_RANK];
    size_t planes, channels, per_tile; /* n * channels */
    size_t points_in, points_out;
    bool last, include_pad;
} state;

static bool channels_last(const mbr_ir_node *n)
{
    return mbr_attr_int(n, "channels_last", 0) != 0;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    MBR_TRY(mbr_qlinear_check(c, 0, 1));
    mbr_dtype y = mbr_qlinear_dtype(c, 4, 0);
    if (x->rank < 0) {
        mbr_infer_out(c, 0, y, -1, NULL);
        return MBR_OK;
    }
    if (x->rank < 3)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d", x->rank);
    int first = channels_last(c->node) ? 1 : 2;
    mbr_dim dims[MBR_MAX_RANK];
    mbr_window window;
    if (c->node->op->param == AVERAGE)
        MBR_TRY(mbr_window_read(c->node, x->rank - 2, NULL, &window, c->err));
    for (int d = 0; d < x->rank; d++) {
        bool spatial = d >= first && d < first + x->rank - 2;
        dims[d] = !spatial                         ? x->dims[d]
                  : c->node->op->param == GLOBAL ? 1
                                                   : mbr_window_out(c->dims, &window, d - first, x->dims[d]);
        if (mbr_dim_is_const(dims[d]) && dims[d] < 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the window does not fit axis %d", d);
    }
    mbr_infer_out(c, 0, y, x->rank, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    const mbr_value *x = s->in[0], *y = s->out[0];
    int rank = x->rank - 2;
    t->last = channels_last(s->node);
    t->include_pad = mbr_attr_int(s->node, "count_include_pad", 0) != 0;
    t->channels = (size_t)x->dims[t->last ? x->rank - 1 : 1];
    t->planes = (size_t)x->dims[0] * t->channels;
    t->points_in = t->points_out = 1;
    double work = 1;
    t->window = (mbr_window){ .rank = rank };
    if (s->op->param == AVERAGE)
        MBR_TRY(mbr_window_read(s->node, rank, NULL, &t->window, err));
    for (int i = 0; i < rank; i++) {
        t->in[i] = x->dims[i + (t->last ? 1 : 2)];
        t->out[i] = y->dims[i + (t->last ? 1 : 2)];
        t->points_in *= (size_t)t->in[i];
        t->points_out *= (size_t)t->out[i];
        if (s->op->param == GLOBAL) {
            t->window.kernel[i] = t->in[i];
            t->window.stride[i] = t->window.dilation[i] = 1;
        }
        work *= (double)t->window.kernel[i];
    }
    mbr_window_pads(&t->window, t->in, t->out);
    t->per_tile = mbr_step_split(s, t->planes, 2.0 * work * (double)t->points_out);
    return MBR_OK;
}

/* The sum of the window at output point `at`, and how many elements it counts. */
static int64_t add_up(const state *t, const uint8_t *x, size_t step, bool is_signed, size_t at, int64_t zero,
                      int64_t *count)
{
    const mbr_window *w = &t->window;
    int64_t start[MBR_WINDOW_RANK], offset[MBR_WINDOW_RANK] = { 0 }, sum = 0;
    *count = 0;
    for (int i = w->rank - 1; i >= 0; i--) {
        start[i] = (int64_t)(at % (size_t)t->out[i]) * w->stride[i] - w->pad_begin[i];
        at /= (size_t)t->out[i];
    }
    for (;;) {
        int64_t from = 0;
        bool inside = true;
        for (int i = 0; i < w->rank; i++) {
            int64_t p = start[i] + offset[i] * w->dilation[i];
            inside &= p >= 0 && p < t->in[i];
            from = from * t->in[i] + p;
        }
        if (inside)
            sum += is_signed ? (int64_t)(int8_t)x[(size_t)from * step] : (int64_t)x[(size_t)from * step];
        else if (t->include_pad)
            sum += zero;
        *count += inside || t->include_pad; /* ONNX Runtime counts what rounding up added, too */
        int i = w->rank - 1;
        while (i >= 0 && ++offset[i] == w->kernel[i])
            offset[i--] = 0;
        if (i < 0)
            return sum;
    }
}

/* Whole planes with their channels last, from plane `first` on: rows of bytes are added up. Returns where it stopped. */
static size_t whole_planes(const state *t, const mbr_qlinear *x, const mbr_qlinear *y, const uint8_t *from, uint8_t *to,
                           size_t first, size_t last)
{
    int32_t sums[CHANNELS];
    size_t c = first % t->channels, n = t->channels - c;
    n = n < last - first ? n : last - first;
    n = n < CHANNELS ? n : CHANNELS;
    mbr_qlinear_sums_ref(from + (first - c) * t->points_in + c, t->channels, t->points_in, x->is_signed, sums, n);
    for (size_t i = 0; i < n; i++)
        to[first + i] = mbr_qlinear_mean(x, y, sums[i], (int64_t)t->points_in);
    return first + n;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const state *t = s->state;
    mbr_qlinear x, y;
    MBR_TRY(mbr_qlinear_read(s, 1, s->in[0]->dtype, &x, err));
    MBR_TRY(mbr_qlinear_read(s, 3, s->out[0]->dtype, &y, err));
    size_t last = job->last * t->per_tile, step = t->last ? t->channels : 1;
    last = last < t->planes ? last : t->planes;
    size_t p = job->first * t->per_tile;
    if (s->op->param == GLOBAL && t->last && t->points_in < POINTS)
        while (p < last && t->points_in)
            p = whole_planes(t, &x, &y, s->in[0]->data, s->out[0]->data, p, last);
    for (; p < last && t->points_in; p++) {
        size_t n = p / t->channels, c = p % t->channels;
        const uint8_t *from = (const uint8_t *)s->in[0]->data + (t->last ? n * t->points_in * step + c : p * t->points_in);
        uint8_t *to = (uint8_t *)s->out[0]->data + (t->last ? n * t->points_out * step + c : p * t->points_out);
        for (size_t i = 0; i < t->points_out; i++) {
            int64_t count, sum = add_up(t, from, step, x.is_signed, i, x.zero, &count);
            to[i * step] = mbr_qlinear_mean(&x, &y, sum, count);
        }
    }
    return MBR_OK;
}

#define ROW(op_name, which)                                                                                            \
    { .domain = "com.microsoft", .name = op_name, .since = 1, .holes = 1 << 2, .min_in = 4, .max_in = 5,               \
      .min_out = 1, .max_out = 1, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(state),         \
      .param = which }

const mbr_op mbr_ops_qlinear_pools[] = {
    ROW("QLinearAveragePool", AVERAGE),
    ROW("QLinearGlobalAveragePool", GLOBAL),
    { 0 },
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QLinearConv, com.microsoft's with the attribute channels_last, and ConvInteger, on the 8-bit convolution of
 * kernels/qgemm.h, which works with channels last: around ONNX's own operators, data is transposed on the way in and
 * out. Phases: what has to be made first (scales, packed weights, the transposed input), the convolution, the
 * transposed output.
 */
#include "base/checked.h"
#include "engine/ops/buffer.h"
#include "engine/ops/conv_args.h"
#include "engine/ops/window.h"
#include "kernels/packed.h"
#include "kernels/qgemm.h"
#include "kernels/quantize.h"
#include "kernels/transpose.h"

#include <string.h>

enum { QLINEAR, INTEGER };

/* Places of the inputs; -1: the operator has none. */
static const struct roles {
    int x, w, x_scale, x_zero, w_scale, w_zero, y_scale, y_zero, bias;
} roles[] = {
    [QLINEAR] = { 0, 3, 1, 2, 4, 5, 6, 7, 8 },
    [INTEGER] = { 0, 1, -1, 2, -1, 3, -1, -1, -1 },
};

typedef enum phase_kind { PHASE_MAKE, PHASE_CONV, PHASE_OUT } phase_kind;

typedef struct packed_weights {
    uint32_t kernel; /* kernels/packed.h */
} packed_weights;

typedef struct state {
    const mbr_qconv_kernel *kernel;
    mbr_qconv_args conv;
    phase_kind kinds[MBR_MAX_PHASES];
    size_t units[MBR_MAX_PHASES], per_tile[MBR_MAX_PHASES];
    size_t pack_units;     /* of PHASE_MAKE: the scales, then these, then the transposition of X */
    mbr_copy_plan in, out; /* tiles 0: none */
    mbr_buffer weights, x, y, scale;
} state;

static bool channels_last(const mbr_ir_node *n)
{
    return mbr_attr_int(n, "channels_last", 0) != 0;
}

static const mbr_value *role(const mbr_step *s, int place)
{
    return place >= 0 && mbr_step_has(s, (uint32_t)place) ? s->in[place] : NULL;
}

static bool is_byte(mbr_dtype t)
{
    return t == MBR_DTYPE_U8 || t == MBR_DTYPE_I8;
}

/* Window and groups from attributes and the weight's shape. */
static mbr_status read_shape(const mbr_ir_node *n, int rank, const int64_t *w, mbr_window *window, int64_t *groups,
                             mbr_error *err)
{
    if (rank < 3 || rank > 5)
        return mbr_ir_fail(n, err, MBR_ERR_UNSUPPORTED, "a weight of rank %d; one to three spatial dimensions are possible",
                           rank);
    MBR_TRY(mbr_window_read(n, rank - 2, w + 2, window, err));
    window->ceil_mode = false;
    *groups = mbr_attr_int(n, "group", 1);
    if (*groups < 1 || w[0] < 1 || w[1] < 1 || w[0] > INT32_MAX || w[1] > INT32_MAX || w[0] % *groups ||
        *groups > INT32_MAX)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%lld groups of a weight (%lld, %lld, ...)", (long long)*groups,
                           (long long)w[0], (long long)w[1]);
    return MBR_OK;
}

static mbr_status infer(mbr_infer *c)
{
    const struct roles *r = &roles[c->node->op->param];
    const mbr_arg *x = &c->in[r->x], *w = &c->in[r->w];
    mbr_dtype y = c->node->op->param == INTEGER ? MBR_DTYPE_I32 : c->in[r->y_zero].dtype;
    if ((x->dtype && !is_byte(x->dtype)) || (w->dtype && !is_byte(w->dtype)) ||
        (c->node->op->param == QLINEAR && y && !is_byte(y)))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "a convolution of %s and %s that gives %s",
                              mbr_dtype_name(x->dtype), mbr_dtype_name(w->dtype), mbr_dtype_name(y));
    mbr_infer_out(c, 0, y, x->rank >= 0 ? x->rank : w->rank, NULL);
    if (x->rank < 0 || w->rank < 0)
        return MBR_OK;
    if (x->rank != w->rank)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d and a weight of rank %d", x->rank, w->rank);
    int64_t dims_w[MBR_MAX_RANK], groups;
    for (int i = 0; i < w->rank; i++) {
        if (!mbr_dim_is_const(w->dims[i]))
            return MBR_OK;
        dims_w[i] = w->dims[i];
    }
    mbr_window window;
    bool last = channels_last(c->node);
    MBR_TRY(read_shape(c->node, w->rank, dims_w, &window, &groups, c->err));
    mbr_dim channels = x->dims[last ? x->rank - 1 : 1], dims[MBR_MAX_RANK];
    if (mbr_dim_is_const(channels) && channels != dims_w[1] * groups)
        return mbr_infer_fail(c, c->dims ? MBR_ERR_MODEL : MBR_ERR_INPUT, "%lld channels meet a weight for %lld",
                              (long long)channels, (long long)(dims_w[1] * groups));
    dims[0] = x->dims[0];
    dims[last ? x->rank - 1 : 1] = dims_w[0];
    for (int i = 0; i < window.rank; i++) {
        mbr_dim out = mbr_window_out(c->dims, &window, i, x->dims[i + (last ? 1 : 2)]);
        if (mbr_dim_is_const(out) && (out < 0 || out > INT32_MAX))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "an output size of %lld along spatial axis %d", (long long)out, i);
        dims[i + (last ? 1 : 2)] = out;
    }
    mbr_infer_out(c, 0, y, x->rank, dims);
    return MBR_OK;
}

/* The kernel's sizes; in and out NULL while unknown. */
static void fill_args(mbr_conv_args *a, const mbr_window *w, int64_t groups, const int64_t *weight, const int64_t *in,
                      const int64_t *out)
{
    int lead = 3 - w->rank;
    memset(a, 0, sizeof *a);
    a->n = 1;
    a->channels = (size_t)(weight[1] * groups);
    a->filters = (size_t)weight[0];
    a->groups = (size_t)groups;
    a->ldx = (ptrdiff_t)a->channels;
    a->ldy = (ptrdiff_t)a->filters;
    for (int i = 0; i < 3; i++) {
        bool used = i >= lead;
        a->kernel[i] = used ? (size_t)w->kernel[i - lead] : 1;
        a->stride[i] = used ? (size_t)w->stride[i - lead] : 1;
        a->dilation[i] = used ? (size_t)w->dilation[i - lead] : 1;
        a->pad[i] = used ? (ptrdiff_t)w->pad_begin[i - lead] : 0;
        a->in[i] = !in ? 0 : used ? (size_t)in[i - lead] : 1;
        a->out[i] = !out ? 0 : used ? (size_t)out[i - lead] : 1;
    }
}

static void add_phase(mbr_step *s, state *t, int *phases, size_t *tiles, phase_kind kind, size_t units, double ns)
{
    int i = (*phases)++;
    double before = i ? s->cost_ns : 0;
    t->kinds[i] = kind;
    t->units[i] = units;
    t->per_tile[i] = mbr_step_split(s, units, units ? ns / (double)units : 0);
    tiles[i] = s->tiles[0];
    s->cost_ns += before;
}

/* A scale or zero point: one, or one for each filter where that may be. */
static mbr_status check_count(mbr_step *s, const mbr_value *v, size_t filters, const char *what, mbr_error *err)
{
    size_t n = v ? mbr_value_count(v) : 1;
    return n == 1 || n == filters ? MBR_OK
                                  : mbr_step_fail(s, err, MBR_ERR_INPUT, "%s has %zu values", what, n);
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    const struct roles *r = &roles[s->op->param];
    const packed_weights *packed = s->packed;
    const mbr_value *x = s->in[r->x], *w = s->in[r->w], *y = s->out[0], *bias = role(s, r->bias);
    bool last = channels_last(s->node);
    int first = last ? 1 : 2, phases = 0;
    mbr_window window;
    int64_t groups;
    MBR_TRY(read_shape(s->node, w->rank, w->dims, &window, &groups, err));
    if (x->dims[last ? x->rank - 1 : 1] != w->dims[1] * groups)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%lld channels meet a weight for %lld",
                             (long long)x->dims[last ? x->rank - 1 : 1], (long long)(w->dims[1] * groups));
    mbr_window_pads(&window, x->dims + first, y->dims + first);
    mbr_conv_args *a = &t->conv.shape;
    fill_args(a, &window, groups, w->dims, x->dims + first, y->dims + first);
    a->n = (size_t)x->dims[0];
    MBR_TRY(check_count(s, role(s, r->x_scale), 1, "the scale of X", err));
    MBR_TRY(check_count(s, role(s, r->x_zero), 1, "the zero point of X", err));
    MBR_TRY(check_count(s, role(s, r->y_scale), 1, "the scale of Y", err));
    MBR_TRY(check_count(s, role(s, r->y_zero), 1, "the zero point of Y", err));
    MBR_TRY(check_count(s, role(s, r->w_scale), a->filters, "the scale of W", err));
    MBR_TRY(check_count(s, role(s, r->w_zero), a->filters, "the zero point of W", err));
    if (bias && (bias->dtype != MBR_DTYPE_I32 || mbr_value_count(bias) != a->filters))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the bias has %zu elements for %zu filters", mbr_value_count(bias),
                             a->filters);
    t->kernel = packed ? mbr_packed_kernel(packed->kernel) : mbr_qconv_select(mbr_cpu_tiers(), a);
    t->conv.x_signed = x->dtype == MBR_DTYPE_I8;
    t->conv.out = (mbr_quant_out){ .type = y->dtype, .inverse_scale = 1 };
    size_t tiles[MBR_MAX_PHASES] = { 0 }, count = mbr_value_count(y), points_in = 1, points_out = 1;
    size_t size = mbr_dtype_size(y->dtype);
    for (int i = 0; i < 3; i++) {
        points_in *= a->in[i];
        points_out *= a->out[i];
    }
    t->in.tiles = t->out.tiles = 0;
    t->pack_units = 0;
    MBR_TRY(mbr_buffer_reserve(s, &t->scale, a->filters * sizeof(float), err));
    if (!packed) {
        MBR_TRY(mbr_buffer_reserve(s, &t->weights, t->kernel->pack_size(a) + 1, err));
        t->pack_units = t->kernel->pack_units(a);
    }
    if (!last && a->channels > 1 && points_in > 1) {
        mbr_transpose_plan_init(&t->in, 1, 3, (const size_t[]){ a->n, a->channels, points_in }, (const int[]){ 0, 2, 1 });
        MBR_TRY(mbr_buffer_reserve(s, &t->x, mbr_value_count(x) + 1, err));
    }
    if (!last && a->filters > 1 && points_out > 1) {
        mbr_transpose_plan_init(&t->out, size, 3, (const size_t[]){ a->n, points_out, a->filters },
                                (const int[]){ 0, 2, 1 });
        MBR_TRY(mbr_buffer_reserve(s, &t->y, count * size + 1, err));
    }
    add_phase(s, t, &phases, tiles, PHASE_MAKE, 1 + t->pack_units + t->in.tiles,
              (double)a->filters + (t->in.tiles ? 0.3 * (double)mbr_value_count(x) : 0) +
                  (packed ? 0 : (double)mbr_value_count(w)));
    double work = (double)count * (double)a->channels / (double)a->groups;
    for (int i = 0; i < 3; i++)
        work *= (double)a->kernel[i];
    add_phase(s, t, &phases, tiles, PHASE_CONV, count ? t->kernel->tiles(&t->conv) : 0,
              work / 50 + (double)count * 0.3);
    if (t->out.tiles)
        add_phase(s, t, &phases, tiles, PHASE_OUT, t->out.tiles, (double)count * 0.5);
    s->scratch = count ? t->kernel->scratch(&t->conv) : 0;
    s->phases = phases;
    memcpy(s->tiles, tiles, sizeof tiles);
    return MBR_OK;
}

/* Zero points and the scale from sums to the output. */
static void find_numbers(mbr_step *s, state *t)
{
    const struct roles *r = &roles[s->op->param];
    const mbr_value *x_scale = role(s, r->x_scale), *w_scale = role(s, r->w_scale), *y_scale = role(s, r->y_scale);
    const mbr_value *x_zero = role(s, r->x_zero), *y_zero = role(s, r->y_zero), *bias = role(s, r->bias);
    float *scale = t->scale.data;
    t->conv.x_zero = x_zero ? (int32_t)mbr_value_int(x_zero, 0) : 0;
    t->conv.out.zero = y_zero ? (int32_t)mbr_value_int(y_zero, 0) : 0;
    t->conv.out.bias = bias ? bias->data : NULL;
    t->conv.out.scale = scale;
    float from = x_scale ? (float)mbr_value_real(x_scale, 0) : 1, to = y_scale ? (float)mbr_value_real(y_scale, 0) : 1;
    bool one = !w_scale || mbr_value_count(w_scale) == 1;
    for (size_t j = 0; j < t->conv.shape.filters; j++)
        scale[j] = from * (w_scale ? (float)mbr_value_real(w_scale, one ? 0 : j) : 1) / to;
}

static void make(mbr_step *s, state *t, size_t first, size_t last)
{
    const struct roles *r = &roles[s->op->param];
    const mbr_value *w = s->in[r->w], *zero = role(s, r->w_zero);
    if (first == 0)
        find_numbers(s, t);
    size_t from = first > 1 ? first - 1 : 0, to = last - 1; /* after the numbers */
    if (from < to && from < t->pack_units)
        t->kernel->pack(&t->conv.shape, w->data, w->dtype == MBR_DTYPE_I8, zero ? zero->data : NULL,
                        zero && mbr_value_count(zero) > 1, t->weights.data, from, to < t->pack_units ? to : t->pack_units);
    from = from > t->pack_units ? from - t->pack_units : 0;
    if (to > t->pack_units && from < to - t->pack_units)
        mbr_copy_select(mbr_cpu_tiers())(&t->in, s->in[r->x]->data, t->x.data, from, to - t->pack_units);
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    size_t per = t->per_tile[job->phase], units = t->units[job->phase];
    size_t first = job->first * per, last = job->last * per < units ? job->last * per : units;
    if (first >= last)
        return MBR_OK;
    switch (t->kinds[job->phase]) {
    case PHASE_MAKE:
        make(s, t, first, last);
        break;
    case PHASE_CONV: {
        mbr_qconv_args a = t->conv;
        a.x = t->in.tiles ? t->x.data : s->in[roles[s->op->param].x]->data;
        a.w = s->packed ? (const char *)s->packed + MBR_ALIGN : t->weights.data;
        a.y = t->out.tiles ? t->y.data : s->out[0]->data;
        t->kernel->run(&a, job->scratch, first, last);
        break;
    }
    case PHASE_OUT:
        mbr_copy_select(mbr_cpu_tiers())(&t->out, t->y.data, s->out[0]->data, first, last);
        break;
    }
    return MBR_OK;
}

static const mbr_value *constant(const mbr_ir_node *n, int place)
{
    const mbr_ir_value *v = place >= 0 && (uint32_t)place < n->n_formal ? n->inputs[place] : NULL;
    return v && !v->has_default ? v->constant : NULL;
}

static mbr_status pack(mbr_pack *p)
{
    const mbr_ir_node *n = p->node;
    const struct roles *r = &roles[n->op->param];
    const mbr_value *w = constant(n, r->w), *zero = constant(n, r->w_zero);
    bool has_zero = (uint32_t)r->w_zero < n->n_formal && n->inputs[r->w_zero];
    if (!w || !is_byte(w->dtype) || w->rank < 3 || w->rank > 5 || mbr_value_count(w) == 0 || (has_zero && !zero))
        return MBR_OK;
    mbr_window window;
    int64_t groups, in[3] = { 0 }, out[3] = { 0 };
    MBR_TRY(read_shape(n, w->rank, w->dims, &window, &groups, p->err));
    if (zero && mbr_value_count(zero) != 1 && mbr_value_count(zero) != (size_t)w->dims[0])
        return MBR_OK;
    const mbr_ir_type *x = &n->inputs[r->x]->type, *y = n->outputs[0] ? &n->outputs[0]->type : NULL;
    int first = channels_last(n) ? 1 : 2;
    bool known = x->rank == w->rank && y && y->rank == w->rank;
    for (int i = 0; known && i < window.rank; i++) {
        in[i] = x->dims[first + i];
        out[i] = y->dims[first + i];
        known = mbr_dim_is_const(in[i]) && mbr_dim_is_const(out[i]);
    }
    if (known)
        mbr_window_pads(&window, in, out);
    mbr_conv_args a;
    fill_args(&a, &window, groups, w->dims, known ? in : NULL, known ? out : NULL);
    const mbr_qconv_kernel *kernel = mbr_qconv_select(mbr_cpu_tiers(), &a);
    size_t bytes = kernel->pack_size(&a);
    char *block = bytes && bytes < SIZE_MAX - MBR_ALIGN ? mbr_alloc(p->memory, bytes + MBR_ALIGN) : NULL;
    if (!block)
        return mbr_no_memory(p->err, bytes);
    *(packed_weights *)(void *)block = (packed_weights){ mbr_packed_kernel_number(kernel) };
    kernel->pack(&a, w->data, w->dtype == MBR_DTYPE_I8, zero ? zero->data : NULL, zero && mbr_value_count(zero) > 1,
                 block + MBR_ALIGN, 0, kernel->pack_units(&a));
    p->packed = block;
    p->bytes = bytes + MBR_ALIGN;
    p->packed_inputs = 1u << r->w;
    return MBR_OK;
}

const mbr_conv_args *mbr_qconv_step_args(const mbr_step *s, bool *last)
{
    *last = channels_last(s->node);
    return &((const state *)s->state)->conv.shape;
}

static void fini(mbr_step *s)
{
    state *t = s->state;
    mbr_buffer_free(s, &t->weights);
    mbr_buffer_free(s, &t->x);
    mbr_buffer_free(s, &t->y);
    mbr_buffer_free(s, &t->scale);
}

#define ROW(dom, op_name, version, least, most, which)                                                                 \
    { .domain = dom, .name = op_name, .since = version, .min_in = least, .max_in = most, .min_out = 1, .max_out = 1,   \
      .infer = infer, .prepare = prepare, .run = run, .pack = pack, .fini = fini, .state_size = sizeof(state),         \
      .param = which }

const mbr_op mbr_ops_quantized_conv[] = {
    ROW("", "QLinearConv", 10, 8, 9, QLINEAR),
    ROW("", "ConvInteger", 10, 2, 4, INTEGER),
    ROW("com.microsoft", "QLinearConv", 1, 8, 9, QLINEAR),
    { 0 },
};

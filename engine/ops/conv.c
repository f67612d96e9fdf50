/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conv, ConvTranspose, com.microsoft's FusedConv, and mbr.Conv, mbr.ConvTranspose with channels last:
 *     inputs X (n, spatial..., channels), W as ONNX has it, bias (filters), other (the output's shape)
 *     act(conv + bias (+ or *) other), other_is: "add" (before the activation, the default), "add_after", "mul_after"
 *     input_nchw = 1: X is (n, channels, spatial...)
 *     exact = 1: no Winograd
 * f32 with up to three spatial dimensions goes to the kernels of kernels/conv.h, which work with channels last: around
 * ONNX's own operators, data is transposed on the way in and out. Everything else goes to the plain convolution.
 */
#include "engine/ops/conv_args.h"
#include "engine/ops/activation.h"
#include "engine/ops/buffer.h"
#include "engine/ops/op.h"
#include "engine/ops/window.h"
#include "kernels/linear_any.h"
#include "kernels/packed.h"
#include "kernels/transpose.h"

#include <string.h>

enum { TRANSPOSED = 1, CHANNELS_LAST = 2 }; /* bits of param */

typedef enum phase_kind { PHASE_PACK, PHASE_IN, PHASE_CONV, PHASE_OUT } phase_kind;

/* What pack leaves: this header, then the weights. */
typedef struct packed_weights {
    uint32_t kernel; /* kernels/packed.h */
} packed_weights;

/* Constant weights in the form of one kernel. */
typedef struct conv_form {
    const mbr_conv_f32_kernel *kernel; /* NULL: empty */
    size_t bytes; /* as its pack_size says: tells forms of one kernel apart */
    mbr_buffer weights;
} conv_form;

enum { FORMS = 3 };

typedef struct conv_state {
    bool fast;
    const mbr_conv_f32_kernel *kernel;
    const float *w;          /* packed; NULL: nothing to multiply with */
    conv_form forms[FORMS];  /* where the sizes decide on the kernel, and come only now */
    mbr_conv_args conv;
    mbr_conv_any_args any;
    phase_kind kinds[MBR_MAX_PHASES];
    size_t units[MBR_MAX_PHASES], per_tile[MBR_MAX_PHASES];
    mbr_copy_plan in, other, out; /* transpositions; tiles 0: none */
    mbr_buffer weights, x, z, y;
} conv_state;

/* Sizes of the operator, from attributes and shapes. */
typedef struct conv_shape {
    mbr_window window;
    int spatial;      /* axis of X's first spatial dimension */
    int out_spatial;
    int64_t groups, channels, filters;
    int64_t output_padding[MBR_WINDOW_RANK], output_shape[MBR_WINDOW_RANK];
    bool has_output_shape;
} conv_shape;

static bool last_in(const mbr_ir_node *n)
{
    return (n->op->param & CHANNELS_LAST) && !mbr_attr_int(n, "input_nchw", 0);
}

static bool last_out(const mbr_ir_node *n)
{
    return (n->op->param & CHANNELS_LAST) != 0;
}

static bool is_transposed(const mbr_ir_node *n)
{
    return (n->op->param & TRANSPOSED) != 0;
}

/* w: the weight's dims, rank entries. */
static mbr_status read_shape(const mbr_ir_node *n, int rank, const int64_t *w, conv_shape *c, mbr_error *err)
{
    memset(c, 0, sizeof *c);
    if (rank < 3)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "a weight of rank %d; 3 or more is needed", rank);
    MBR_TRY(mbr_window_read(n, rank - 2, w + 2, &c->window, err));
    c->window.ceil_mode = false;
    c->spatial = last_in(n) ? 1 : 2;
    c->out_spatial = last_out(n) ? 1 : 2;
    c->groups = mbr_attr_int(n, "group", 1);
    if (c->groups < 1 || c->groups > INT32_MAX || w[0] < 1 || w[1] < 1 || w[0] > INT32_MAX || w[1] > INT32_MAX)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%lld groups of a weight (%lld, %lld, ...)", (long long)c->groups,
                           (long long)w[0], (long long)w[1]);
    if (w[0] % c->groups)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%lld groups do not divide %lld", (long long)c->groups,
                           (long long)w[0]);
    c->channels = is_transposed(n) ? w[0] : w[1] * c->groups;
    c->filters = is_transposed(n) ? w[1] * c->groups : w[0];
    if (!is_transposed(n))
        return MBR_OK;
    size_t count;
    const int64_t *v = mbr_attr_ints(n, "output_padding", &count);
    for (int i = 0; v && i < rank - 2; i++) {
        if (count != (size_t)rank - 2 || v[i] < 0 || v[i] > INT32_MAX)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "attribute output_padding does not fit");
        c->output_padding[i] = v[i];
    }
    v = mbr_attr_ints(n, "output_shape", &count);
    if (v && count > 0) {
        size_t skip = count == (size_t)rank ? 2 : 0; /* some write n and c as well */
        for (int i = 0; i < rank - 2; i++) {
            if (count - skip != (size_t)rank - 2 || v[skip + (size_t)i] < 1 || v[skip + (size_t)i] > INT32_MAX)
                return mbr_ir_fail(n, err, MBR_ERR_MODEL, "attribute output_shape does not fit");
            c->output_shape[i] = v[skip + (size_t)i];
        }
        c->has_output_shape = true;
    }
    return MBR_OK;
}

/* The output's size along spatial axis i. */
static mbr_dim out_size(mbr_dim_table *t, const conv_shape *c, bool transposed, int i, mbr_dim in)
{
    const mbr_window *w = &c->window;
    if (!transposed)
        return mbr_window_out(t, w, i, in);
    if (c->has_output_shape)
        return c->output_shape[i];
    if (w->auto_pad == MBR_AUTO_PAD_SAME_UPPER || w->auto_pad == MBR_AUTO_PAD_SAME_LOWER)
        return mbr_dim_mul(t, in, w->stride[i]);
    int64_t more = c->output_padding[i] + (w->kernel[i] - 1) * w->dilation[i] + 1 - w->pad_begin[i] - w->pad_end[i];
    return mbr_dim_add(t, mbr_dim_mul(t, mbr_dim_sub(t, in, 1), w->stride[i]), more);
}

/* Padding in front, once sizes are numbers. */
static void resolve_pads(conv_shape *c, bool transposed, const int64_t *in, const int64_t *out)
{
    mbr_window *w = &c->window;
    bool same = w->auto_pad == MBR_AUTO_PAD_SAME_UPPER || w->auto_pad == MBR_AUTO_PAD_SAME_LOWER;
    if (!transposed) {
        mbr_window_pads(w, in, out);
        return;
    }
    for (int i = 0; i < w->rank && (c->has_output_shape || same); i++) {
        int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
        int64_t total = w->stride[i] * (in[i] - 1) + c->output_padding[i] + reach - out[i];
        total = total < 0 ? 0 : total;
        w->pad_begin[i] = w->auto_pad == MBR_AUTO_PAD_SAME_UPPER ? total / 2 : total - total / 2;
        w->pad_end[i] = total - w->pad_begin[i];
    }
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0], *w = &c->in[1];
    const mbr_ir_node *n = c->node;
    if (x->dtype != MBR_DTYPE_UNDEFINED && (!mbr_dtype_is_float(x->dtype) || !mbr_matmul_any_has(x->dtype)))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s", mbr_dtype_name(x->dtype));
    if (x->dtype != MBR_DTYPE_UNDEFINED && w->dtype != MBR_DTYPE_UNDEFINED && x->dtype != w->dtype)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of type %s and a weight of type %s", mbr_dtype_name(x->dtype),
                              mbr_dtype_name(w->dtype));
    int rank = x->rank >= 0 ? x->rank : w->rank;
    mbr_infer_out(c, 0, x->dtype, rank, NULL);
    if (x->rank < 0 || w->rank < 0)
        return MBR_OK;
    if (x->rank != w->rank || x->rank < 3)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d and a weight of rank %d", x->rank, w->rank);
    int64_t dims_w[MBR_MAX_RANK];
    for (int i = 0; i < w->rank; i++) {
        if (!mbr_dim_is_const(w->dims[i]))
            return MBR_OK;
        dims_w[i] = w->dims[i];
    }
    conv_shape s;
    MBR_TRY(read_shape(n, w->rank, dims_w, &s, c->err));
    mbr_dim channels = x->dims[last_in(n) ? x->rank - 1 : 1];
    if (mbr_dim_is_const(channels) && channels != s.channels)
        return mbr_infer_fail(c, c->dims ? MBR_ERR_MODEL : MBR_ERR_INPUT, "%lld channels meet a weight for %lld",
                              (long long)channels, (long long)s.channels);
    mbr_dim dims[MBR_MAX_RANK];
    dims[0] = x->dims[0];
    dims[last_out(n) ? x->rank - 1 : 1] = s.filters;
    for (int i = 0; i < s.window.rank; i++) {
        mbr_dim out = out_size(c->dims, &s, is_transposed(n), i, x->dims[s.spatial + i]);
        if (mbr_dim_is_const(out) && (out < 0 || out > INT32_MAX))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "an output size of %lld along spatial axis %d", (long long)out, i);
        dims[s.out_spatial + i] = out;
    }
    mbr_infer_out(c, 0, x->dtype, x->rank, dims);
    return MBR_OK;
}

/* The kernel's arguments but for sizes of the data and pointers. */
static void fill_args(mbr_conv_args *a, const mbr_ir_node *n, const conv_shape *c)
{
    int lead = 3 - c->window.rank;
    memset(a, 0, sizeof *a);
    a->channels = (size_t)c->channels;
    a->filters = (size_t)c->filters;
    a->groups = (size_t)c->groups;
    a->transposed = is_transposed(n);
    a->ldx = (ptrdiff_t)a->channels;
    a->ldy = (ptrdiff_t)a->filters;
    for (int i = 0; i < 3; i++) {
        bool used = i >= lead;
        a->kernel[i] = used ? (size_t)c->window.kernel[i - lead] : 1;
        a->stride[i] = used ? (size_t)c->window.stride[i - lead] : 1;
        a->dilation[i] = used ? (size_t)c->window.dilation[i - lead] : 1;
        a->pad[i] = used ? (ptrdiff_t)c->window.pad_begin[i - lead] : 0;
    }
}

static void fill_sizes(mbr_conv_args *a, int spatial, const int64_t *in, const int64_t *out)
{
    for (int i = 0; i < 3; i++) {
        a->in[i] = i >= 3 - spatial ? (size_t)in[i - (3 - spatial)] : 1;
        a->out[i] = i >= 3 - spatial ? (size_t)out[i - (3 - spatial)] : 1;
    }
}

/* Few channels in planes: the kernels read them as they lie. */
static bool reads_planes(const mbr_ir_node *n, const conv_shape *c)
{
    return !last_in(n) && !is_transposed(n) && c->groups == 1 && (last_out(n) || c->channels <= 4);
}

static const mbr_value *constant_weight(const mbr_ir_node *n)
{
    return n->inputs[1] && !n->inputs[1]->is_input ? n->inputs[1]->constant : NULL;
}

/* What pack left: where it lies may differ from thread to thread (engine/replicas.h). */
static const float *packed_form(const mbr_step *s)
{
    return (const float *)(const void *)((const char *)s->packed + MBR_ALIGN);
}

/* Constant weights that were not packed with the model: once for each kernel that some size asks for. */
static mbr_status take_form(mbr_step *s, conv_state *st, mbr_error *err)
{
    size_t bytes = st->kernel->pack_size(&st->conv);
    conv_form *f = st->forms, *last = st->forms + FORMS - 1;
    while (f < last && f->kernel && (f->kernel != st->kernel || f->bytes != bytes))
        f++;
    if (f->kernel != st->kernel || f->bytes != bytes) {
        f->kernel = NULL;
        MBR_TRY(mbr_buffer_reserve(s, &f->weights, bytes + sizeof(float), err));
        st->kernel->pack(&st->conv, s->in[1]->data, f->weights.data, 0, st->kernel->pack_units(&st->conv));
        f->kernel = st->kernel;
        f->bytes = bytes;
    }
    st->w = f->weights.data;
    return MBR_OK;
}

/* (n, c, points) to (n, points, c), or back. */
static void plan_transpose(mbr_copy_plan *p, size_t n, size_t rows, size_t cols)
{
    size_t dims[3] = { n, rows, cols };
    mbr_transpose_plan_init(p, sizeof(float), 3, dims, (const int[]){ 0, 2, 1 });
}

static void add_phase(mbr_step *s, conv_state *st, int *phases, size_t *tiles, double *cost, phase_kind kind,
                      size_t units, double ns)
{
    int i = (*phases)++;
    st->kinds[i] = kind;
    st->units[i] = units;
    st->per_tile[i] = mbr_step_split(s, units, units ? ns / (double)units : 0);
    tiles[i] = s->tiles[0];
    *cost += s->cost_ns;
}

static mbr_status prepare_fast(mbr_step *s, conv_state *st, const conv_shape *c, const int64_t *in, const int64_t *out,
                               mbr_error *err)
{
    const mbr_ir_node *n = s->node;
    const packed_weights *packed = s->packed;
    mbr_conv_args *a = &st->conv;
    size_t tiles[MBR_MAX_PHASES], count = mbr_value_count(s->out[0]), points_in = 1, points_out = 1;
    int phases = 0;
    double cost = 0;
    fill_args(a, n, c);
    fill_sizes(a, c->window.rank, in, out);
    a->n = (size_t)s->in[0]->dims[0];
    MBR_TRY(mbr_activation_read(n, &a->epilogue.act, err));
    if (mbr_step_has(s, 3)) {
        const char *is = mbr_attr_string(n, "other_is", "add");
        a->epilogue.other_is = strcmp(is, "add_after") == 0 ? MBR_GEMM_OTHER_ADD_AFTER :
                               strcmp(is, "mul_after") == 0 ? MBR_GEMM_OTHER_MUL_AFTER : MBR_GEMM_OTHER_ADD;
        a->epilogue.ld_other = (ptrdiff_t)a->filters;
    }
    for (int i = 0; i < 3; i++) {
        points_in *= a->in[i];
        points_out *= a->out[i];
    }
    st->in.tiles = st->other.tiles = st->out.tiles = 0;
    a->x_planes = !last_in(n) && reads_planes(n, c);
    st->kernel = packed ? mbr_packed_kernel(packed->kernel) :
                          mbr_conv_f32_select(mbr_cpu_tiers(), a, mbr_attr_int(n, "exact", 0) != 0);
    if (packed) {
        st->w = packed_form(s);
    } else if (constant_weight(n)) {
        MBR_TRY(take_form(s, st, err));
    } else {
        MBR_TRY(mbr_buffer_reserve(s, &st->weights, st->kernel->pack_size(a) + sizeof(float), err));
        st->w = st->weights.data;
        add_phase(s, st, &phases, tiles, &cost, PHASE_PACK, st->kernel->pack_units(a),
                  (double)mbr_value_count(s->in[1]));
    }
    if (!last_in(n) && !a->x_planes && a->channels > 1 && points_in > 1) {
        plan_transpose(&st->in, a->n, a->channels, points_in);
        MBR_TRY(mbr_buffer_reserve(s, &st->x, mbr_value_count(s->in[0]) * sizeof(float), err));
    }
    if (!last_out(n) && a->filters > 1 && points_out > 1) {
        plan_transpose(&st->out, a->n, points_out, a->filters);
        MBR_TRY(mbr_buffer_reserve(s, &st->y, count * sizeof(float), err));
        if (mbr_step_has(s, 3)) {
            plan_transpose(&st->other, a->n, a->filters, points_out);
            MBR_TRY(mbr_buffer_reserve(s, &st->z, count * sizeof(float), err));
        }
    }
    if (st->in.tiles + st->other.tiles)
        add_phase(s, st, &phases, tiles, &cost, PHASE_IN, st->in.tiles + st->other.tiles,
                  (double)mbr_value_count(s->in[0]));
    double work = (double)count * (double)a->channels / (double)a->groups;
    for (int i = 0; i < 3; i++)
        work *= a->transposed ? (double)a->kernel[i] / (double)a->stride[i] : (double)a->kernel[i];
    s->scratch = count ? st->kernel->scratch(a) : 0;
    s->kernel = st->kernel->name;
    /* With few points the weights come from far: 20 bytes a nanosecond. */
    double far = (double)mbr_value_count(s->in[1]) * sizeof(float) / 20;
    add_phase(s, st, &phases, tiles, &cost, PHASE_CONV, count ? st->kernel->tiles(a) : 0,
              (work / 25 > far ? work / 25 : far) + (double)count * 0.3);
    if (st->out.tiles)
        add_phase(s, st, &phases, tiles, &cost, PHASE_OUT, st->out.tiles, (double)count);
    s->phases = phases;
    memcpy(s->tiles, tiles, sizeof tiles[0] * (size_t)phases);
    s->cost_ns = cost;
    return MBR_OK;
}

static void prepare_any(mbr_step *s, conv_state *st, const conv_shape *c, const int64_t *in, const int64_t *out)
{
    mbr_conv_any_args *a = &st->any;
    memset(a, 0, sizeof *a);
    a->dtype = s->in[0]->dtype;
    a->transposed = is_transposed(s->node);
    a->rank = c->window.rank;
    a->n = (size_t)s->in[0]->dims[0];
    a->in_channels = (size_t)c->channels;
    a->out_channels = (size_t)c->filters;
    a->groups = (size_t)c->groups;
    a->in_channels_last = last_in(s->node);
    a->out_channels_last = last_out(s->node);
    double work = (double)mbr_value_count(s->out[0]) * (double)c->channels / (double)c->groups;
    for (int i = 0; i < a->rank; i++) {
        a->in_dims[i] = (size_t)in[i];
        a->out_dims[i] = (size_t)out[i];
        a->kernel[i] = (size_t)c->window.kernel[i];
        a->stride[i] = (size_t)c->window.stride[i];
        a->dilation[i] = (size_t)c->window.dilation[i];
        a->pad[i] = (ptrdiff_t)c->window.pad_begin[i];
        work *= (double)a->kernel[i];
    }
    st->kinds[0] = PHASE_CONV;
    st->units[0] = mbr_value_count(s->out[0]) ? a->n * a->out_channels : 0;
    st->per_tile[0] = mbr_step_split(s, st->units[0], st->units[0] ? work * 4 / (double)st->units[0] : 0);
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    conv_state *st = s->state;
    const mbr_value *x = s->in[0], *w = s->in[1], *y = s->out[0];
    const mbr_ir_node *n = s->node;
    conv_shape c;
    MBR_TRY(read_shape(n, w->rank, w->dims, &c, err));
    if (x->dims[last_in(n) ? x->rank - 1 : 1] != c.channels)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%lld channels meet a weight for %lld",
                             (long long)x->dims[last_in(n) ? x->rank - 1 : 1], (long long)c.channels);
    if (mbr_step_has(s, 2) && (s->in[2]->dtype != x->dtype || mbr_value_count(s->in[2]) != (size_t)c.filters))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the bias has %zu elements for %lld filters",
                             mbr_value_count(s->in[2]), (long long)c.filters);
    if (mbr_step_has(s, 3) && (s->in[3]->dtype != x->dtype || s->in[3]->rank != y->rank ||
                               memcmp(s->in[3]->dims, y->dims, (size_t)y->rank * sizeof *y->dims) != 0))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the added tensor does not have the output's shape");
    resolve_pads(&c, is_transposed(n), x->dims + c.spatial, y->dims + c.out_spatial);
    st->fast = x->dtype == MBR_DTYPE_F32 && c.window.rank <= 3;
    if (st->fast)
        return prepare_fast(s, st, &c, x->dims + c.spatial, y->dims + c.out_spatial, err);
    if (mbr_step_has(s, 3) || *mbr_attr_string(n, "act", mbr_attr_string(n, "activation", "")))
        return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "a fused convolution of type %s", mbr_dtype_name(x->dtype));
    prepare_any(s, st, &c, x->dims + c.spatial, y->dims + c.out_spatial);
    return MBR_OK;
}

mbr_status mbr_conv_step_args(const mbr_step *s, mbr_conv_args *a, bool *last, mbr_error *err)
{
    const mbr_value *x = s->in[0], *w = s->in[1], *y = s->out[0];
    conv_shape c;
    MBR_TRY(read_shape(s->node, w->rank, w->dims, &c, err));
    resolve_pads(&c, is_transposed(s->node), x->dims + c.spatial, y->dims + c.out_spatial);
    fill_args(a, s->node, &c);
    fill_sizes(a, c.window.rank, x->dims + c.spatial, y->dims + c.out_spatial);
    a->n = (size_t)x->dims[0];
    a->x_planes = !last_in(s->node);
    *last = last_out(s->node);
    return MBR_OK;
}

static const void *input(const mbr_step *s, uint32_t i)
{
    return mbr_step_has(s, i) ? s->in[i]->data : NULL;
}

/* The tiles of two transpositions in one row: first X's, then the other's. */
static void run_in(mbr_step *s, const conv_state *st, size_t first, size_t last)
{
    mbr_copy_fn *copy = mbr_copy_select(mbr_cpu_tiers());
    size_t mid = st->in.tiles;
    if (first < mid)
        copy(&st->in, s->in[0]->data, st->x.data, first, last < mid ? last : mid);
    if (last > mid)
        copy(&st->other, s->in[3]->data, st->z.data, first > mid ? first - mid : 0, last - mid);
}

static void run_conv(mbr_step *s, const conv_state *st, void *scratch, size_t first, size_t last)
{
    if (!st->fast) {
        mbr_conv_any_args a = st->any;
        a.in = s->in[0]->data;
        a.weight = s->in[1]->data;
        a.bias = input(s, 2);
        a.out = s->out[0]->data;
        mbr_conv_any(&a, first, last);
        return;
    }
    mbr_conv_args a = st->conv;
    a.x = st->in.tiles ? st->x.data : s->in[0]->data;
    a.w = s->packed ? packed_form(s) : st->w;
    a.y = st->out.tiles ? st->y.data : s->out[0]->data;
    a.epilogue.bias = input(s, 2);
    a.epilogue.other = st->other.tiles ? st->z.data : input(s, 3);
    st->kernel->run(&a, scratch, first, last);
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const conv_state *st = s->state;
    size_t per = st->per_tile[job->phase], units = st->units[job->phase];
    size_t first = job->first * per, last = job->last * per < units ? job->last * per : units;
    if (first >= last)
        return MBR_OK;
    switch (st->kinds[job->phase]) {
    case PHASE_PACK:
        st->kernel->pack(&st->conv, s->in[1]->data, st->weights.data, first, last);
        break;
    case PHASE_IN:
        run_in(s, st, first, last);
        break;
    case PHASE_CONV:
        run_conv(s, st, job->scratch, first, last);
        break;
    case PHASE_OUT:
        mbr_copy_select(mbr_cpu_tiers())(&st->out, st->y.data, s->out[0]->data, first, last);
        break;
    }
    return MBR_OK;
}

static mbr_status pack(mbr_pack *p)
{
    const mbr_ir_node *n = p->node;
    const mbr_value *w = constant_weight(n);
    if (!w || w->dtype != MBR_DTYPE_F32 || w->rank < 3 || w->rank > 5 || mbr_value_count(w) == 0)
        return MBR_OK;
    conv_shape c;
    MBR_TRY(read_shape(n, w->rank, w->dims, &c, p->err));
    const mbr_ir_type *x = &n->inputs[0]->type, *y = n->outputs[0] ? &n->outputs[0]->type : NULL;
    bool known = x->rank == w->rank && y && y->rank == w->rank;
    int64_t in[3] = { 0 }, out[3] = { 0 };
    for (int i = 0; known && i < c.window.rank; i++) {
        in[i] = x->dims[c.spatial + i];
        out[i] = y->dims[c.out_spatial + i];
        known = mbr_dim_is_const(in[i]) && mbr_dim_is_const(out[i]);
    }
    mbr_conv_args a;
    if (known)
        resolve_pads(&c, is_transposed(n), in, out);
    fill_args(&a, n, &c);
    if (known)
        fill_sizes(&a, c.window.rank, in, out);
    a.n = 1;
    a.x_planes = !last_in(n) && reads_planes(n, &c);
    bool exact = mbr_attr_int(n, "exact", 0) != 0;
    const mbr_conv_f32_kernel *kernel = mbr_conv_f32_select(mbr_cpu_tiers(), &a, exact);
    if (!known) {
        static const int64_t some[3] = { 64, 64, 64 };
        mbr_conv_args sized = a;
        fill_sizes(&sized, c.window.rank, some, some);
        if (mbr_conv_f32_select(mbr_cpu_tiers(), &sized, exact) != kernel)
            return MBR_OK; /* the sizes will decide: take_form */
    }
    size_t bytes = kernel->pack_size(&a);
    char *block = bytes && bytes < SIZE_MAX - MBR_ALIGN ? mbr_alloc(p->memory, bytes + MBR_ALIGN) : NULL;
    if (!block)
        return mbr_no_memory(p->err, bytes);
    *(packed_weights *)(void *)block = (packed_weights){ mbr_packed_kernel_number(kernel) };
    kernel->pack(&a, w->data, (float *)(void *)(block + MBR_ALIGN), 0, kernel->pack_units(&a));
    p->packed = block;
    p->bytes = bytes + MBR_ALIGN;
    p->packed_inputs = 1u << 1;
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    conv_state *st = s->state;
    for (int i = 0; i < FORMS; i++)
        mbr_buffer_free(s, &st->forms[i].weights);
    mbr_buffer_free(s, &st->weights);
    mbr_buffer_free(s, &st->x);
    mbr_buffer_free(s, &st->z);
    mbr_buffer_free(s, &st->y);
}

#define ROW(dom, op_name, most, what)                                                                                  \
    { .domain = dom, .name = op_name, .since = 1, .min_in = 2, .max_in = most, .min_out = 1, .max_out = 1,             \
      .any_address = 1u << 1, .infer = infer, .prepare = prepare, .run = run, .pack = pack,                            \
      .fini = fini, .state_size = sizeof(conv_state),                                                                  \
      .param = what }

const mbr_op mbr_ops_conv[] = {
    ROW("", "Conv", 3, 0),
    ROW("", "ConvTranspose", 3, TRANSPOSED),
    ROW("com.microsoft", "FusedConv", 4, 0),
    ROW("mbr", "Conv", 4, CHANNELS_LAST),
    ROW("mbr", "ConvTranspose", 4, CHANNELS_LAST | TRANSPOSED),
    { 0 },
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QuantizeLinear and DequantizeLinear: one scale for the tensor, one for each index of an axis, or one for each block
 * along it. In memory all three are rows, dense runs of x, each of which walks its scales with step 0 or 1.
 */
#include "engine/ops/op.h"
#include "kernels/quantize.h"

enum { QUANTIZE, DEQUANTIZE };

typedef struct state {
    mbr_quantize_args args;
    size_t rows, row, last_row; /* elements of a row; of the shorter row that ends each `rows_per_axis` */
    size_t rows_per_axis;       /* rows in which the axis is covered once (blocks of the innermost axis), else 1 */
    size_t axis, blocks, block; /* sizes for the place of a row's first scale */
    size_t step, per_tile;
    bool whole;                 /* per tensor: tiles cut the run anywhere */
    bool by_block;              /* blocks of an outer axis */
} state;

/* The dtype of y as the attributes and inputs of either operator have it. */
static mbr_dtype result_dtype(const mbr_ir_node *n, int64_t which, mbr_dtype scale, const mbr_dtype *zero)
{
    int64_t wanted = mbr_attr_int(n, "output_dtype", 0);
    if (which == QUANTIZE && zero)
        return *zero;
    if (wanted > 0 && wanted < MBR_DTYPE_COUNT)
        return (mbr_dtype)wanted;
    return which == QUANTIZE ? MBR_DTYPE_U8 : n->op->since >= 19 || n->op->domain[0] ? scale : MBR_DTYPE_F32;
}

static mbr_quantize_args arguments(const mbr_ir_node *n, int64_t which, mbr_dtype x, mbr_dtype scale,
                                   const mbr_dtype *zero)
{
    int64_t precision = mbr_attr_int(n, "precision", 0);
    mbr_dtype p = precision > 0 && precision < MBR_DTYPE_COUNT ? (mbr_dtype)precision : scale;
    if (p == MBR_DTYPE_I32 || p == MBR_DTYPE_F8E8M0)
        p = MBR_DTYPE_F32;
    return (mbr_quantize_args){ .x = x, .scale = scale, .y = result_dtype(n, which, scale, zero), .precision = p,
                                .saturate = mbr_attr_int(n, "saturate", 1) != 0 };
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0], *scale = &c->in[1], *zero = mbr_infer_has(c, 2) ? &c->in[2] : NULL;
    int64_t which = c->node->op->param;
    mbr_quantize_args args = arguments(c->node, which, x->dtype, scale->dtype, zero ? &zero->dtype : NULL);
    if (x->dtype != MBR_DTYPE_UNDEFINED && scale->dtype != MBR_DTYPE_UNDEFINED &&
        !(which == QUANTIZE ? mbr_quantize_has(&args) : mbr_dequantize_has(&args)))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "no way from %s to %s with a scale of %s", mbr_dtype_name(x->dtype),
                              mbr_dtype_name(args.y), mbr_dtype_name(scale->dtype));
    if (which == DEQUANTIZE && zero && x->dtype != MBR_DTYPE_UNDEFINED && zero->dtype != x->dtype)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the zero point is %s, but the input is %s",
                              mbr_dtype_name(zero->dtype), mbr_dtype_name(x->dtype));
    int64_t wanted = mbr_attr_int(c->node, "output_dtype", 0);
    if (which == QUANTIZE && zero && wanted && wanted != (int64_t)zero->dtype)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "output_dtype is %s, but the zero point is %s",
                              mbr_dtype_name((mbr_dtype)wanted), mbr_dtype_name(zero->dtype));
    mbr_infer_out(c, 0, args.y, x->rank, x->dims);
    return MBR_OK;
}

/* The axis and its block from shapes and attributes; sets axis to -1 for one scale. */
static mbr_status granularity(const mbr_step *s, int *axis, size_t *block, mbr_error *err)
{
    const mbr_value *x = s->in[0], *scale = s->in[1];
    int64_t a = mbr_attr_int(s->node, "axis", 1), b = mbr_attr_int(s->node, "block_size", 0);
    *axis = -1;
    *block = 0;
    if (mbr_step_has(s, 2) && mbr_value_count(s->in[2]) != mbr_value_count(scale))
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "scale and zero point differ in size");
    if (b < 0)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "block_size is negative");
    if (scale->rank == 0 || (scale->rank == 1 && scale->dims[0] == 1))
        return MBR_OK;
    if (a < -x->rank || a >= x->rank)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "axis %lld of a tensor of rank %d", (long long)a, x->rank);
    *axis = (int)(a < 0 ? a + x->rank : a);
    if (scale->rank == 1 && b == 0) {
        if (scale->dims[0] != x->dims[*axis])
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "%lld scales for an axis of %lld", (long long)scale->dims[0],
                                 (long long)x->dims[*axis]);
        return MBR_OK;
    }
    if (scale->rank != x->rank)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "scales of rank %d for blocks of a tensor of rank %d", scale->rank,
                             x->rank);
    for (int i = 0; i < x->rank; i++)
        if (i != *axis && scale->dims[i] != x->dims[i])
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "the shapes of scale and input differ beside the axis");
    int64_t d = x->dims[*axis], n = scale->dims[*axis];
    if (b == 0 && n > 0)
        b = d / n + (d % n != 0); /* not said: as even as it goes */
    if (b == 0 ? d != 0 : d / b + (d % b != 0) != n)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "%lld scales for an axis of %lld in blocks of %lld", (long long)n,
                             (long long)d, (long long)b);
    *block = (size_t)b;
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    const mbr_value *x = s->in[0];
    mbr_dtype zero = mbr_step_has(s, 2) ? s->in[2]->dtype : MBR_DTYPE_UNDEFINED;
    t->args = arguments(s->node, s->op->param, x->dtype, s->in[1]->dtype, mbr_step_has(s, 2) ? &zero : NULL);
    int axis;
    size_t block, outer = 1, inner = 1, count = mbr_value_count(x);
    MBR_TRY(granularity(s, &axis, &block, err));
    t->whole = axis < 0;
    t->by_block = false;
    t->rows_per_axis = 1;
    t->step = 0;
    t->axis = t->blocks = t->block = 1;
    if (t->whole) {
        t->rows = 1;
        t->row = t->last_row = count;
        t->per_tile = mbr_step_split(s, count, 0.3);
        return MBR_OK;
    }
    for (int i = 0; i < axis; i++)
        outer *= (size_t)x->dims[i];
    for (int i = axis + 1; i < x->rank; i++)
        inner *= (size_t)x->dims[i];
    size_t d = (size_t)x->dims[axis];
    t->axis = d;
    if (count == 0) {
        t->rows = t->row = t->last_row = 0;
    } else if (block == 0 && inner > 1) {
        t->rows = outer * d;
        t->row = t->last_row = inner;
    } else if (block == 0) {
        t->rows = outer;
        t->row = t->last_row = d;
        t->step = 1;
        t->axis = 1; /* every row starts at scale 0 */
    } else if (inner == 1) {
        size_t blocks = (d + block - 1) / block;
        t->rows_per_axis = blocks;
        t->rows = outer * blocks;
        t->row = block;
        t->last_row = d - (blocks - 1) * block;
        t->axis = t->rows; /* row r has scale r */
    } else {
        t->rows = outer * d;
        t->row = t->last_row = inner;
        t->step = 1;
        t->by_block = true;
        t->block = block;
        t->blocks = (d + block - 1) / block;
    }
    t->per_tile = mbr_step_split(s, t->rows, 0.3 * (double)t->row + 5);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const state *t = s->state;
    const mbr_quantize_kernel *kernel = mbr_quantize_select(mbr_cpu_tiers());
    mbr_quantize_fn *fn = s->op->param == QUANTIZE ? kernel->quantize : kernel->dequantize;
    const char *x = s->in[0]->data, *scale = s->in[1]->data, *zero = mbr_step_has(s, 2) ? s->in[2]->data : NULL;
    char *y = s->out[0]->data;
    size_t x_size = mbr_dtype_size(t->args.x), y_size = mbr_dtype_size(t->args.y);
    size_t scale_size = mbr_dtype_size(t->args.scale);
    size_t zero_size = s->op->param == QUANTIZE ? y_size : x_size;
    size_t items = t->whole ? t->row : t->rows;
    size_t first = job->first * t->per_tile, last = job->last * t->per_tile;
    if (last > items)
        last = items;
    if (t->whole) {
        if (first < last)
            fn(&t->args, x + first * x_size, scale, zero, 0, y + first * y_size, last - first);
        return MBR_OK;
    }
    size_t span = (t->rows_per_axis - 1) * t->row + t->last_row; /* of rows_per_axis rows */
    for (size_t r = first; r < last; r++) {
        size_t in_axis = r % t->rows_per_axis;
        size_t at = r / t->rows_per_axis * span + in_axis * t->row;
        size_t n = in_axis + 1 == t->rows_per_axis ? t->last_row : t->row;
        size_t q = t->by_block ? (r / t->axis * t->blocks + r % t->axis / t->block) * t->row : r % t->axis;
        fn(&t->args, x + at * x_size, scale + q * scale_size, zero ? zero + q * zero_size : NULL, t->step,
           y + at * y_size, n);
    }
    return MBR_OK;
}

#define ROW(op_name, version, which)                                                                                   \
    { .domain = "", .name = op_name, .since = version, .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1,           \
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(state), .param = which }
#define MICROSOFT(op_name, which)                                                                                      \
    { .domain = "com.microsoft", .name = op_name, .since = 1, .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1,    \
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(state), .param = which }

const mbr_op mbr_ops_quantize_linear[] = {
    ROW("QuantizeLinear", 10, QUANTIZE), /* per tensor */
    ROW("QuantizeLinear", 13, QUANTIZE), /* axis */
    ROW("QuantizeLinear", 19, QUANTIZE), /* float8, scales of other floats */
    ROW("QuantizeLinear", 21, QUANTIZE), /* blocks, output_dtype, 4 and 16 bits */
    ROW("QuantizeLinear", 23, QUANTIZE), /* float4, precision */
    ROW("DequantizeLinear", 10, DEQUANTIZE),
    ROW("DequantizeLinear", 13, DEQUANTIZE),
    ROW("DequantizeLinear", 19, DEQUANTIZE), /* result of the scale's type */
    ROW("DequantizeLinear", 21, DEQUANTIZE),
    ROW("DequantizeLinear", 23, DEQUANTIZE), /* output_dtype */
    MICROSOFT("QuantizeLinear", QUANTIZE),
    MICROSOFT("DequantizeLinear", DEQUANTIZE),
    { 0 },
};

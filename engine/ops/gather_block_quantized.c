/* SPDX-License-Identifier: BSD-2-Clause */
/* com.microsoft's GatherBlockQuantized: Gather of a table quantised in blocks, which comes out dequantised. */
#include "engine/ops/op.h"
#include "kernels/block_quantized.h"

typedef struct state {
    mbr_block_quantized table;
    size_t outer, length, inner, count, per_tile; /* around the gathered axis, in numbers */
} state;

/* Numbers along the last axis for each byte of u8 data. */
static int64_t per_byte(const mbr_ir_node *n, mbr_dtype t)
{
    return t == MBR_DTYPE_U8 && mbr_attr_int(n, "bits", 4) == 4 ? 2 : 1;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *data = &c->in[0], *index = &c->in[1], *scale = &c->in[2];
    mbr_dim dims[MBR_MAX_RANK];
    int axis, along;
    if ((data->dtype && data->dtype != MBR_DTYPE_U8 && data->dtype != MBR_DTYPE_I4 && data->dtype != MBR_DTYPE_U4) ||
        (scale->dtype && scale->dtype != MBR_DTYPE_F32 && scale->dtype != MBR_DTYPE_F16 && scale->dtype != MBR_DTYPE_BF16))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "data of %s with scales of %s", mbr_dtype_name(data->dtype),
                              mbr_dtype_name(scale->dtype));
    int64_t bits = mbr_attr_int(c->node, "bits", 4), block = mbr_attr_int(c->node, "block_size", 128);
    if ((bits != 4 && bits != 8) || block < 16 || (block & (block - 1)) != 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%lld bits in blocks of %lld", (long long)bits, (long long)block);
    mbr_infer_out(c, 0, scale->dtype, -1, NULL);
    if (data->rank < 0 || index->rank < 0)
        return MBR_OK;
    MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "gather_axis", 0), data->rank, &axis));
    MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "quantize_axis", 1), data->rank, &along));
    int64_t each = per_byte(c->node, data->dtype);
    if (each > 1 && (along != data->rank - 1 || axis == along))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "packed bytes must be quantised along the last axis, and gathered along another");
    int rank = data->rank - 1 + index->rank, to = 0;
    if (rank > MBR_MAX_RANK)
        return mbr_infer_fail(c, MBR_ERR_LIMIT, "an output of more than %d axes", MBR_MAX_RANK);
    for (int d = 0; d < data->rank; d++) {
        if (d == axis)
            for (int i = 0; i < index->rank; i++)
                dims[to++] = index->dims[i];
        else
            dims[to++] = d == data->rank - 1 ? mbr_dim_mul(c->dims, data->dims[d], each) : data->dims[d];
    }
    mbr_infer_out(c, 0, scale->dtype, rank, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    mbr_block_quantized *b = &t->table;
    const mbr_value *data = s->in[0], *scale = s->in[2], *zero = mbr_step_has(s, 3) ? s->in[3] : NULL;
    int64_t each = per_byte(s->node, data->dtype), axis = mbr_attr_int(s->node, "gather_axis", 0);
    int64_t along = mbr_attr_int(s->node, "quantize_axis", 1);
    axis += axis < 0 ? data->rank : 0;
    along += along < 0 ? data->rank : 0;
    *b = (mbr_block_quantized){ .type = data->dtype, .packed = each > 1, .scale_type = scale->dtype, .after = 1,
                                .block = (size_t)mbr_attr_int(s->node, "block_size", 128) };
    b->zero_default = data->dtype == MBR_DTYPE_U8 ? each > 1 ? 8 : 128 : 0;
    t->outer = t->inner = 1;
    size_t scales = 1, zeros;
    for (int d = 0; d < data->rank; d++) {
        size_t n = (size_t)(data->dims[d] * (d == data->rank - 1 ? each : 1));
        if (d < axis)
            t->outer *= n;
        else if (d > axis)
            t->inner *= n;
        if (d > along)
            b->after *= n;
        if (d == axis)
            t->length = n;
        if (d == along)
            b->length = n;
        scales *= d == along ? (n + b->block - 1) / b->block : n;
    }
    b->blocks = (b->length + b->block - 1) / b->block;
    zeros = b->packed && b->blocks ? scales / b->blocks * ((b->blocks + 1) / 2) : scales;
    if (mbr_value_count(scale) != scales || (zero && (mbr_value_count(zero) != zeros || zero->dtype != data->dtype)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "scales or zero points do not fit the data");
    t->count = mbr_value_count(s->in[1]);
    t->per_tile = mbr_step_split(s, t->outer * t->count, 5.0 * (double)t->inner + 10);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const state *t = s->state;
    mbr_block_quantized b = t->table;
    b.q = s->in[0]->data;
    b.scale = s->in[2]->data;
    b.zero = mbr_step_has(s, 3) ? s->in[3]->data : NULL;
    size_t rows = t->outer * t->count, last = job->last * t->per_tile, size = mbr_dtype_size(b.scale_type);
    last = last < rows ? last : rows;
    for (size_t r = job->first * t->per_tile; r < last; r++) {
        int64_t k = mbr_value_int(s->in[1], r % t->count);
        k += k < 0 ? (int64_t)t->length : 0;
        if (k < 0 || (uint64_t)k >= t->length)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "index %lld of an axis of %zu", (long long)k, t->length);
        mbr_block_dequantize_ref(&b, (r / t->count * t->length + (size_t)k) * t->inner, t->inner,
                                 (char *)s->out[0]->data + r * t->inner * size);
    }
    return MBR_OK;
}

const mbr_op mbr_ops_gather_block_quantized[] = {
    { .domain = "com.microsoft", .name = "GatherBlockQuantized", .since = 1, .min_in = 3, .max_in = 4, .min_out = 1,
      .max_out = 1, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(state) },
    { 0 },
};

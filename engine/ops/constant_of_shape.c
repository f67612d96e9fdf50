/* SPDX-License-Identifier: BSD-2-Clause */
/* ConstantOfShape: a tensor of the given shape, full of one number. */
#include "engine/ops/op_util.h"

typedef struct fill_state {
    size_t each; /* bytes of a tile */
} fill_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_value *value = mbr_attr_tensor(c->node, "value");
    mbr_dtype type = value ? value->dtype : MBR_DTYPE_F32;
    mbr_dim dims[MBR_MAX_RANK], v[MBR_OP_CONTENT];
    size_t n;
    mbr_op_given given;
    if (value && mbr_value_count(value) != 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the value has %zu elements, it must be one", mbr_value_count(value));
    MBR_TRY(mbr_op_infer_ints(c, NULL, 0, dims, MBR_MAX_RANK, &n, &given));
    if (given != MBR_OP_KNOWN) {
        bool counted = c->in[0].rank == 1 && mbr_dim_is_const(c->in[0].dims[0]);
        mbr_infer_out(c, 0, type, counted ? (int)c->in[0].dims[0] : -1, NULL);
        return MBR_OK;
    }
    for (size_t i = 0; i < n; i++)
        if (mbr_dim_is_const(dims[i]) && dims[i] < 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the shape holds %lld", (long long)dims[i]);
    mbr_infer_out(c, 0, type, (int)n, dims);
    mbr_dim count = mbr_op_product(c, dims, (int)n);
    if (value && (mbr_dtype_is_int(type) || type == MBR_DTYPE_BOOL) && n <= 1 && mbr_dim_is_known(count) &&
        mbr_dim_is_const(count) && count <= MBR_OP_CONTENT) {
        for (mbr_dim i = 0; i < count; i++)
            v[i] = mbr_dim_const(mbr_value_int(value, 0));
        mbr_infer_set_content(c, 0, v, (size_t)count);
    }
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    fill_state *st = s->state;
    (void)err;
    st->each = mbr_op_split_bytes(s, mbr_value_bytes(s->out[0]), 64);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    static const uint64_t zero[2] = { 0, 0 };
    const fill_state *st = s->state;
    const mbr_value *value = mbr_attr_tensor(s->node, "value"), *out = s->out[0];
    size_t first, last, size = mbr_dtype_size(out->dtype);
    (void)err;
    mbr_op_items(job, st->each, mbr_value_bytes(out), &first, &last);
    if (first < last)
        mbr_fill(size, value ? value->data : zero, (char *)out->data + first, (last - first) / size);
    return MBR_OK;
}

const mbr_op mbr_ops_constant_of_shape[] = {
    { .domain = "", .name = "ConstantOfShape", .since = 9, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .content_inputs = 1, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(fill_state) },
    { 0 },
};

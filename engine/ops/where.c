/* SPDX-License-Identifier: BSD-2-Clause */
/* Where: a condition chooses between two tensors, element by element. */
#include "engine/ops/op_util.h"
#include "engine/ops/pointwise.h"

#include <string.h>

typedef struct where_state {
    mbr_op_chain chain; /* fn NULL: by element size; first: engine/opencl reads it */
    size_t each;        /* of the first axis */
} where_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *args[3] = { &c->in[0], &c->in[1], &c->in[2] };
    mbr_dim dims[MBR_MAX_RANK], k[MBR_OP_CONTENT], a[MBR_OP_CONTENT], b[MBR_OP_CONTENT];
    size_t nk, na, nb;
    int rank;
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPE_BIT(BOOL)));
    MBR_TRY(mbr_op_check_same(c, 1, 2));
    MBR_TRY(mbr_infer_broadcast(c, args, 3, &rank, dims));
    mbr_infer_out(c, 0, c->in[1].dtype, rank, dims);
    if (rank > 1 || !mbr_infer_ints(c, 0, k, MBR_OP_CONTENT, &nk) || !mbr_infer_ints(c, 1, a, MBR_OP_CONTENT, &na) ||
        !mbr_infer_ints(c, 2, b, MBR_OP_CONTENT, &nb))
        return MBR_OK;
    size_t n = nk != 1 ? nk : na != 1 ? na : nb;
    if ((nk != 1 && nk != n) || (na != 1 && na != n) || (nb != 1 && nb != n))
        return MBR_OK;
    mbr_dim v[MBR_OP_CONTENT];
    for (size_t i = 0; i < n; i++) {
        mbr_dim cond = k[nk == 1 ? 0 : i], x = a[na == 1 ? 0 : i], y = b[nb == 1 ? 0 : i];
        if (!mbr_dim_is_const(cond) && x != y)
            return MBR_OK;
        v[i] = cond == 0 ? y : x;
    }
    mbr_infer_set_content(c, 0, v, n);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    where_state *st = s->state;
    (void)err;
    st->chain.fn = NULL;
    if (s->in[1]->dtype == MBR_DTYPE_F32) {
        st->chain.chain.inputs = 3;
        st->chain.chain.outputs = st->chain.chain.length = 1;
        st->chain.chain.output_reg[0] = 3;
        st->chain.chain.code[0] = (mbr_chain_insn){ .op = MBR_CHAIN_WHERE, .dst = 3, .a = 0, .b = 1, .c = 2 };
        for (uint8_t i = 0; i < 3; i++)
            st->chain.from[i] = i;
        return mbr_op_chain_prepare(s, &st->chain, -1, err);
    }
    const mbr_value *out = s->out[0];
    for (uint32_t i = 0; i < 3; i++)
        MBR_TRY(mbr_op_check_spread(s, i, out, out->rank - s->in[i]->rank, err));
    size_t rows = out->rank ? (size_t)out->dims[0] : 1, count = mbr_value_count(out);
    st->each = count == 0 ? 1 : mbr_step_split(s, rows, (double)(count / rows) * 2.0);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const where_state *st = s->state;
    (void)err;
    if (st->chain.fn) {
        mbr_op_chain_run(s, &st->chain, job);
        return MBR_OK;
    }
    mbr_value *out = s->out[0];
    size_t dims[MBR_MAX_RANK + 1], first, last, size = mbr_dtype_size(out->dtype);
    ptrdiff_t strides[3][MBR_MAX_RANK], to[MBR_MAX_RANK];
    const char *at[3];
    int rank = mbr_op_dims(out, dims);
    mbr_op_items(job, st->each, rank ? dims[0] : 1, &first, &last);
    if (first == last || mbr_value_count(out) == 0)
        return MBR_OK;
    mbr_dense_strides(rank, dims, to);
    for (int i = 0; i < 3; i++) {
        mbr_op_strides(s->in[i], rank, strides[i]);
        ptrdiff_t skip = rank ? (ptrdiff_t)first * strides[i][0] : 0;
        at[i] = (const char *)s->in[i]->data + skip * (ptrdiff_t)(i == 0 ? 1 : size);
    }
    char *o = (char *)out->data + (rank ? (ptrdiff_t)first * to[0] * (ptrdiff_t)size : 0);
    if (rank)
        dims[0] = last - first;
    mbr_elementwise_where_ref(size, rank, dims, (const uint8_t *)at[0], strides[0], at[1], strides[1], at[2],
                              strides[2], o, to);
    return MBR_OK;
}

const mbr_op mbr_ops_where[] = {
    { .domain = "", .name = "Where", .since = 9, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_INPLACE1 | MBR_OP_CHAIN, .infer = infer, .prepare = prepare, .run = run,
      .state_size = sizeof(where_state), .param = MBR_POINTWISE_PARAM(0, MBR_CHAIN_WHERE) },
    { 0 },
};

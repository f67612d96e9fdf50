/* SPDX-License-Identifier: BSD-2-Clause */
/* Gather: slices of a tensor along one axis, picked by indices. */
#include "engine/ops/op_util.h"

#include <string.h>

typedef struct gather_state {
    size_t outer, rows, inner; /* (outer, rows, inner bytes) */
    size_t picks;              /* indices */
    size_t each;               /* picks of a tile, of outer * picks */
} gather_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0], *index = &c->in[1];
    mbr_dim dims[2 * MBR_MAX_RANK], v[MBR_OP_CONTENT];
    int64_t at[MBR_OP_CONTENT];
    size_t n, m;
    int axis;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPES_INDEX));
    if (in->rank < 0 || index->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, -1, NULL);
        return MBR_OK;
    }
    MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", 0), in->rank, &axis));
    int rank = in->rank - 1 + index->rank;
    if (rank > MBR_MAX_RANK)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "the result has rank %d, at most %d are possible", rank,
                              MBR_MAX_RANK);
    memcpy(dims, in->dims, sizeof(mbr_dim) * (size_t)axis);
    memcpy(dims + axis, index->dims, sizeof(mbr_dim) * (size_t)index->rank);
    memcpy(dims + axis + index->rank, in->dims + axis + 1, sizeof(mbr_dim) * (size_t)(in->rank - axis - 1));
    mbr_infer_out(c, 0, in->dtype, rank, dims);
    if (in->rank == 1 && mbr_infer_ints(c, 0, v, MBR_OP_CONTENT, &n) &&
        mbr_infer_const_ints(c, 1, at, MBR_OP_CONTENT, &m)) {
        mbr_dim w[MBR_OP_CONTENT];
        for (size_t i = 0; i < m; i++) {
            int64_t k = at[i] < 0 ? at[i] + (int64_t)n : at[i];
            if (k < 0 || k >= (int64_t)n)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "index %lld is outside of %zu elements", (long long)at[i], n);
            w[i] = v[k];
        }
        mbr_infer_set_content(c, 0, w, m);
    }
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    gather_state *st = s->state;
    const mbr_value *in = s->in[0];
    (void)err;
    mbr_op_around(in, mbr_op_axis(mbr_attr_int(s->node, "axis", 0), in->rank), &st->outer, &st->rows, &st->inner);
    st->inner *= mbr_dtype_size(in->dtype);
    st->picks = mbr_value_count(s->in[1]);
    st->each = mbr_step_split(s, st->outer * st->picks, 4.0 + (double)st->inner * 0.1);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const gather_state *st = s->state;
    const mbr_value *in = s->in[0], *index = s->in[1];
    size_t first, last;
    if (mbr_value_count(s->out[0]) == 0)
        return MBR_OK;
    mbr_op_items(job, st->each, st->outer * st->picks, &first, &last);
    while (first < last) {
        size_t row = first / st->picks, from = first % st->picks, to = st->picks;
        if (to > from + (last - first))
            to = from + (last - first);
        size_t met = mbr_gather_rows(mbr_bytes_at(in->data, row * st->rows * st->inner), st->rows, st->inner,
                                     index->data, index->dtype == MBR_DTYPE_I64,
                                     (char *)s->out[0]->data + row * st->picks * st->inner, from, to);
        if (met < to)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "index %lld is outside of an axis of %zu",
                                 (long long)mbr_value_int(index, met), st->rows);
        first += to - from;
    }
    return MBR_OK;
}

const mbr_op mbr_ops_gather[] = {
    { .domain = "", .name = "Gather", .since = 1, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .any_address = 1u << 0, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(gather_state) },
    { 0 },
};

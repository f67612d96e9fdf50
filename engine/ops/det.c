/* SPDX-License-Identifier: BSD-2-Clause */
/* Det, and com.microsoft's Inverse: determinants and inverses of the innermost square matrices. */
#include "engine/ops/op_util.h"

#include "kernels/det.h"

enum { DET, INVERSE };

typedef struct det_state {
    size_t matrices, n;
    size_t each;
} det_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_FLOAT));
    MBR_TRY(mbr_op_check_rank(c, 0, 2, MBR_MAX_RANK));
    if (in->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, -1, NULL);
        return MBR_OK;
    }
    mbr_dim a = in->dims[in->rank - 1], b = in->dims[in->rank - 2];
    if (mbr_dim_is_const(a) && mbr_dim_is_const(b) && a != b)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "matrices of %lld by %lld are not square", (long long)b, (long long)a);
    mbr_infer_out(c, 0, in->dtype, c->node->op->param == DET ? in->rank - 2 : in->rank, in->dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    det_state *st = s->state;
    const mbr_value *in = s->in[0];
    st->n = (size_t)in->dims[in->rank - 1];
    if (in->dims[in->rank - 2] != in->dims[in->rank - 1])
        return mbr_step_fail(s, err, MBR_ERR_RUN, "matrices of %lld by %lld are not square",
                             (long long)in->dims[in->rank - 2], (long long)in->dims[in->rank - 1]);
    st->matrices = st->n == 0 && s->op->param == INVERSE ? 0 : 1;
    for (int i = 0; i < in->rank - 2; i++)
        st->matrices *= (size_t)in->dims[i];
    s->scratch = (2 * st->n * st->n + 1) * sizeof(double);
    st->each = mbr_step_split(s, st->matrices, 10.0 + (double)st->n * (double)st->n * (double)st->n * 0.5);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const det_state *st = s->state;
    size_t first, last;
    (void)err;
    mbr_op_items(job, st->each, st->matrices, &first, &last);
    (s->op->param == DET ? mbr_det : mbr_inverse)(s->in[0]->dtype, st->n, s->in[0]->data, s->out[0]->data,
                                                  job->scratch, first, last);
    return MBR_OK;
}

const mbr_op mbr_ops_det[] = {
    { .domain = "", .name = "Det", .since = 11, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(det_state), .param = DET },
    { .domain = "com.microsoft", .name = "Inverse", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(det_state), .param = INVERSE },
    { 0 },
};

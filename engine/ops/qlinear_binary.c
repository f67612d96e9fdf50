/* SPDX-License-Identifier: BSD-2-Clause */
/* com.microsoft's QLinearAdd and QLinearMul, with broadcasting. */
#include "engine/ops/qlinear_args.h"
#include "kernels/quantize.h"

#include <string.h>

enum { ADD, MUL };

typedef struct state {
    int rank; /* of the collapsed loops; the last one is a run of the kernel */
    size_t dims[MBR_KERNEL_RANK];
    ptrdiff_t a[MBR_KERNEL_RANK], b[MBR_KERNEL_RANK];
    size_t rows, row, per_tile;
} state;

static mbr_status infer(mbr_infer *c)
{
    MBR_TRY(mbr_qlinear_check(c, 0, 1));
    MBR_TRY(mbr_qlinear_check(c, 3, 4));
    const mbr_arg *both[] = { &c->in[0], &c->in[3] };
    mbr_dim dims[MBR_MAX_RANK];
    int rank;
    MBR_TRY(mbr_infer_broadcast(c, both, 2, &rank, dims));
    mbr_infer_out(c, 0, mbr_qlinear_dtype(c, 7, 0), rank, dims);
    return MBR_OK;
}

static void broadcast_strides(const mbr_value *v, int rank, ptrdiff_t *strides)
{
    ptrdiff_t step = 1;
    for (int i = rank - 1, j = v->rank - 1; i >= 0; i--, j--) {
        strides[i] = j >= 0 && v->dims[j] != 1 ? step : 0;
        step *= j >= 0 ? (ptrdiff_t)v->dims[j] : 1;
    }
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    const mbr_value *y = s->out[0];
    ptrdiff_t *const both[] = { t->a, t->b };
    for (int i = 0; i < y->rank; i++)
        t->dims[i] = (size_t)y->dims[i];
    broadcast_strides(s->in[0], y->rank, t->a);
    broadcast_strides(s->in[3], y->rank, t->b);
    t->rank = mbr_collapse_dims(y->rank, t->dims, 2, both);
    t->row = t->rank ? t->dims[t->rank - 1] : 1;
    t->rows = t->row ? mbr_value_count(y) / t->row : 0;
    t->per_tile = mbr_step_split(s, t->rows, 3.0 * (double)t->row + 10);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const state *t = s->state;
    mbr_qlinear a, b, y;
    MBR_TRY(mbr_qlinear_read(s, 1, s->in[0]->dtype, &a, err));
    MBR_TRY(mbr_qlinear_read(s, 4, s->in[3]->dtype, &b, err));
    MBR_TRY(mbr_qlinear_read(s, 6, s->out[0]->dtype, &y, err));
    mbr_qlinear_binary_fn *fn = mbr_quantize_select(mbr_cpu_tiers())->binary;
    size_t last = job->last * t->per_tile;
    last = last < t->rows ? last : t->rows;
    bool steps_a = t->rank && t->a[t->rank - 1], steps_b = t->rank && t->b[t->rank - 1];
    for (size_t r = job->first * t->per_tile; r < last; r++) {
        ptrdiff_t at_a = 0, at_b = 0;
        size_t rest = r;
        for (int i = t->rank - 2; i >= 0; i--) {
            at_a += (ptrdiff_t)(rest % t->dims[i]) * t->a[i];
            at_b += (ptrdiff_t)(rest % t->dims[i]) * t->b[i];
            rest /= t->dims[i];
        }
        fn(s->op->param == MUL, &a, (const uint8_t *)s->in[0]->data + at_a, steps_a, &b,
           (const uint8_t *)s->in[3]->data + at_b, steps_b, &y, (uint8_t *)s->out[0]->data + r * t->row, t->row);
    }
    return MBR_OK;
}

#define ROW(op_name, which)                                                                                            \
    { .domain = "com.microsoft", .name = op_name, .since = 1, .holes = 1 << 2 | 1 << 5, .min_in = 7, .max_in =         \
      8, .min_out = 1, .max_out = 1, .infer = infer, .prepare = prepare, .run = run, .state_size =                     \
      sizeof(state), .param = which }

const mbr_op mbr_ops_qlinear_binary[] = {
    ROW("QLinearAdd", ADD),
    ROW("QLinearMul", MUL),
    { 0 },
};

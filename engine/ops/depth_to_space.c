/* SPDX-License-Identifier: BSD-2-Clause */
/* DepthToSpace and SpaceToDepth: a permutation of six axes. Mode "DCR" (depth, column, row) or "CRD". */
#include "engine/ops/op_util.h"

#include <string.h>

enum { TO_SPACE, TO_DEPTH };

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    int64_t block = mbr_attr_int(c->node, "blocksize", 0);
    const char *mode = mbr_attr_string(c->node, "mode", "DCR");
    mbr_dim dims[4];
    MBR_TRY(mbr_op_check_rank(c, 0, 4, 4));
    if (block < 1 || block > 1 << 15)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a block size of %lld", (long long)block);
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "no mode is called '%s'", mode);
    if (in->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, 4, NULL);
        return MBR_OK;
    }
    bool space = c->node->op->param == TO_SPACE;
    for (int i = 1; i < 4; i++)
        if (mbr_dim_is_const(in->dims[i]) && space == (i == 1) &&
            in->dims[i] % (space ? block * block : block) != 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %d of %lld does not divide into blocks of %lld", i,
                                  (long long)in->dims[i], (long long)block);
    dims[0] = in->dims[0];
    dims[1] = space ? mbr_dim_div(c->dims, in->dims[1], block * block)
                    : mbr_dim_mul(c->dims, in->dims[1], block * block);
    for (int i = 2; i < 4; i++)
        dims[i] = space ? mbr_dim_mul(c->dims, in->dims[i], block) : mbr_dim_div(c->dims, in->dims[i], block);
    mbr_infer_out(c, 0, in->dtype, 4, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    static const int to_space[2][6] = { { 0, 3, 4, 1, 5, 2 }, { 0, 1, 4, 2, 5, 3 } };
    static const int to_depth[2][6] = { { 0, 3, 5, 1, 2, 4 }, { 0, 1, 3, 5, 2, 4 } };
    mbr_op_copy *st = s->state;
    const mbr_value *in = s->in[0];
    size_t b = (size_t)mbr_attr_int(s->node, "blocksize", 1), n[4];
    bool crd = strcmp(mbr_attr_string(s->node, "mode", "DCR"), "CRD") == 0;
    mbr_op_dims(in, n);
    if (mbr_value_count(in) != mbr_value_count(s->out[0]))
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the axes do not divide into blocks of %zu", b);
    if (s->op->param == TO_SPACE) {
        size_t depth = n[1] / (b * b);
        size_t dcr[6] = { n[0], b, b, depth, n[2], n[3] }, cols[6] = { n[0], depth, b, b, n[2], n[3] };
        mbr_transpose_plan_init(&st->plan, mbr_dtype_size(in->dtype), 6, crd ? cols : dcr, to_space[crd]);
    } else {
        size_t dims[6] = { n[0], n[1], n[2] / b, b, n[3] / b, b };
        mbr_transpose_plan_init(&st->plan, mbr_dtype_size(in->dtype), 6, dims, to_depth[crd]);
    }
    mbr_op_copy_prepare(s, st);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    mbr_op_copy_run(s->state, s->in[0]->data, s->out[0]->data, job);
    return MBR_OK;
}

#define ROW(op_name, version, what)                                                                                    \
    { .domain = "", .name = op_name, .since = version, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,           \
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(mbr_op_copy), .param = what }

const mbr_op mbr_ops_depth_to_space[] = {
    ROW("DepthToSpace", 1, TO_SPACE),
    ROW("SpaceToDepth", 1, TO_DEPTH),
    { 0 },
};

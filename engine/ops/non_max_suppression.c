/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/checked.h"
#include "engine/ops/op.h"
#include "kernels/nms.h"

static mbr_status infer(mbr_infer *c)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (c->in[i].dtype != MBR_DTYPE_UNDEFINED && c->in[i].dtype != MBR_DTYPE_F32)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u has elements of type %s, not f32", i,
                                  mbr_dtype_name(c->in[i].dtype));
        if (c->in[i].rank >= 0 && c->in[i].rank != 3)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u has rank %d, not 3", i, c->in[i].rank);
    }
    mbr_dim dims[2] = { MBR_DIM_UNKNOWN, 3 };
    mbr_infer_out(c, 0, MBR_DTYPE_I64, 2, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    const int64_t *boxes = s->in[0]->dims, *scores = s->in[1]->dims;
    if (boxes[2] != 4 || boxes[0] != scores[0] || boxes[1] != scores[2] || boxes[1] > INT32_MAX)
        return mbr_step_fail(s, err, MBR_ERR_INPUT,
                             "boxes (%lld, %lld, %lld) and scores (%lld, %lld, %lld) do not belong together",
                             (long long)boxes[0], (long long)boxes[1], (long long)boxes[2], (long long)scores[0],
                             (long long)scores[1], (long long)scores[2]);
    s->cost_ns = (double)mbr_value_count(s->in[1]) * 50;
    return MBR_OK;
}

/* The number in an optional input of one element. */
static double number(const mbr_step *s, uint32_t i, double otherwise)
{
    return mbr_step_has(s, i) && mbr_value_count(s->in[i]) > 0 ? mbr_value_real(s->in[i], 0) : otherwise;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    size_t batch = (size_t)s->in[1]->dims[0], classes = (size_t)s->in[1]->dims[1], n = (size_t)s->in[1]->dims[2];
    double most = number(s, 2, 0);
    mbr_nms_args a = {
        .n = n,
        .most = most > 0 ? most < (double)n ? (size_t)most : n : 0,
        .centered = mbr_attr_int(s->node, "center_point_box", 0) != 0,
        .has_score_threshold = mbr_step_has(s, 4) && mbr_value_count(s->in[4]) > 0,
        .score_threshold = (float)number(s, 4, 0),
        .iou_threshold = (float)number(s, 3, 0),
    };
    size_t lists, room;
    if (!mbr_mul_size(batch, classes, &lists) || !mbr_mul_size(lists, a.most * sizeof(uint32_t), &room))
        return mbr_step_fail(s, err, MBR_ERR_NO_MEMORY, "too many boxes to select");
    void *scratch = mbr_nms_scratch(n) ? mbr_step_alloc(s, mbr_nms_scratch(n)) : NULL;
    uint32_t *selected = mbr_step_alloc(s, room);
    size_t *counts = mbr_step_alloc(s, lists * sizeof *counts);
    if (!scratch || !selected || !counts)
        return mbr_no_memory(err, room);
    size_t total = 0;
    for (size_t i = 0; i < lists; i++) {
        a.boxes = (const float *)s->in[0]->data + i / classes * n * 4;
        a.scores = (const float *)s->in[1]->data + i * n;
        counts[i] = mbr_nms(&a, scratch, selected + total);
        total += counts[i];
    }
    MBR_TRY(mbr_step_resize(s, 0, 2, (int64_t[]){ (int64_t)total, 3 }, err));
    int64_t *out = s->out[0]->data;
    for (size_t i = 0, k = 0; i < lists; i++)
        for (size_t j = 0; j < counts[i]; j++, k++) {
            *out++ = (int64_t)(i / classes);
            *out++ = (int64_t)(i % classes);
            *out++ = selected[k];
        }
    return MBR_OK;
}

const mbr_op mbr_ops_non_max_suppression[] = {
    { .domain = "", .name = "NonMaxSuppression", .since = 10, .min_in = 2, .max_in = 5, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_SIZED_BY_RUN | MBR_OP_HOST, .infer = infer, .prepare = prepare, .run = run },
    { 0 },
};

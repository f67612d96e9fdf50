/* SPDX-License-Identifier: BSD-2-Clause */
/* DynamicQuantizeLinear: f32 to u8 with the scale and zero point of the data's own range. */
#include "engine/ops/op.h"
#include "kernels/quantize.h"

#define MOST_PARTS 64

typedef struct state {
    size_t count, part, per_tile;
    float least[MOST_PARTS], greatest[MOST_PARTS]; /* of each part, from phase 0 */
} state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    if (x->dtype != MBR_DTYPE_F32 && x->dtype != MBR_DTYPE_UNDEFINED)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "an input of %s; it must be f32", mbr_dtype_name(x->dtype));
    mbr_infer_out(c, 0, MBR_DTYPE_U8, x->rank, x->dims);
    mbr_infer_out(c, 1, MBR_DTYPE_F32, 0, NULL);
    mbr_infer_out(c, 2, MBR_DTYPE_U8, 0, NULL);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    t->count = mbr_value_count(s->in[0]);
    t->per_tile = mbr_step_split(s, t->count, 0.4);
    size_t parts = t->count / 8192;
    parts = parts < 1 ? 1 : parts > MOST_PARTS ? MOST_PARTS : parts;
    t->part = (t->count + parts - 1) / parts;
    size_t quantize_tiles = s->tiles[0];
    s->phases = 2;
    s->tiles[0] = parts;
    s->tiles[1] = quantize_tiles;
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    const float *x = s->in[0]->data;
    if (job->phase == 0) {
        for (size_t i = job->first; i < job->last; i++) {
            size_t first = i * t->part, last = first + t->part;
            first = first < t->count ? first : t->count;
            last = last < t->count ? last : t->count;
            mbr_quantize_select(mbr_cpu_tiers())->range(x + first, last - first, &t->least[i], &t->greatest[i]);
        }
        return MBR_OK;
    }
    float least = 0, greatest = 0, scale;
    uint8_t zero;
    for (size_t i = 0; i < s->tiles[0]; i++) {
        least = t->least[i] < least ? t->least[i] : least;
        greatest = t->greatest[i] > greatest ? t->greatest[i] : greatest;
    }
    mbr_quantize_choose_u8(least, greatest, &scale, &zero);
    if (job->first == 0) {
        if (mbr_step_wants(s, 1))
            *(float *)s->out[1]->data = scale;
        if (mbr_step_wants(s, 2))
            *(uint8_t *)s->out[2]->data = zero;
    }
    size_t first = job->first * t->per_tile, last = job->last * t->per_tile;
    last = last < t->count ? last : t->count;
    const mbr_quantize_args args = { .x = MBR_DTYPE_F32, .scale = MBR_DTYPE_F32, .y = MBR_DTYPE_U8,
                                     .precision = MBR_DTYPE_F32 };
    if (first < last && mbr_step_wants(s, 0))
        mbr_quantize_select(mbr_cpu_tiers())->quantize(&args, x + first, &scale, &zero, 0,
                                                       (uint8_t *)s->out[0]->data + first, last - first);
    return MBR_OK;
}

const mbr_op mbr_ops_dynamic_quantize_linear[] = {
    { .domain = "", .name = "DynamicQuantizeLinear", .since = 11, .min_in = 1, .max_in = 1, .min_out = 3, .max_out = 3,
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(state) },
    { 0 },
};

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/checked.h"
#include "base/env.h"
#include "kernels/nms.h"
#include "runtime/post/post.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void mbr_boxes_from_anchors(const float *deltas, const mbr_anchor *anchors, size_t count, float centre_variance,
                            float size_variance, mbr_box *boxes)
{
    for (size_t i = 0; i < count; i++) {
        const float *d = deltas + 4 * i;
        const mbr_anchor *a = &anchors[i];
        float cx = d[0] * centre_variance * a->w + a->cx, cy = d[1] * centre_variance * a->h + a->cy;
        float w = expf(d[2] * size_variance) * a->w, h = expf(d[3] * size_variance) * a->h;
        boxes[i] = (mbr_box){ cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2 };
    }
}

/* ---- selection ---- */

typedef struct candidates {
    mbr_box *boxes;
    float *scores;
    size_t *box, *label; /* which they are */
    uint32_t *selected;
    void *scratch;
    size_t room, scratch_bytes;
    mbr_detection *found;
    size_t count, found_room;
} candidates;

static bool is_finite(const mbr_box *b)
{
    return isfinite(b->x1) && isfinite(b->y1) && isfinite(b->x2) && isfinite(b->y2);
}

static mbr_status make_room(mbr_memory *memory, candidates *c, size_t n, mbr_error *err)
{
    size_t bytes;
    if (!mbr_mul_size(n, sizeof(mbr_box) + sizeof(float) + 2 * sizeof(size_t) + sizeof(uint32_t), &bytes) ||
        n > UINT32_MAX / 2)
        return mbr_fail(err, MBR_ERR_LIMIT, "%zu boxes", n);
    c->room = n;
    c->scratch_bytes = mbr_nms_scratch(n);
    c->boxes = mbr_alloc(memory, n * sizeof *c->boxes);
    c->scores = mbr_alloc(memory, n * sizeof *c->scores);
    c->box = mbr_alloc(memory, n * sizeof *c->box);
    c->label = mbr_alloc(memory, n * sizeof *c->label);
    c->selected = mbr_alloc(memory, n * sizeof *c->selected);
    c->scratch = mbr_alloc(memory, c->scratch_bytes);
    if (!c->boxes || !c->scores || !c->box || !c->label || !c->selected || !c->scratch)
        return mbr_no_memory(err, bytes);
    return MBR_OK;
}

/* The best of the candidates, one of several classes or all of one, to those found. */
static mbr_status suppress(mbr_memory *memory, candidates *c, size_t n, const mbr_boxes_options *o, mbr_error *err)
{
    mbr_nms_args args = { .boxes = (const float *)c->boxes, .scores = c->scores, .n = n,
                          .most = o->most_per_class ? o->most_per_class : n, .iou_threshold = o->iou_threshold };
    size_t chosen = n ? mbr_nms(&args, c->scratch, c->selected) : 0;
    if (c->count + chosen > c->found_room) {
        size_t room = 2 * (c->count + chosen);
        mbr_detection *more = mbr_grow(memory, c->found, c->count * sizeof *more, room * sizeof *more);
        if (!more)
            return mbr_no_memory(err, room * sizeof *more);
        c->found = more;
        c->found_room = room;
    }
    for (size_t i = 0; i < chosen; i++) {
        uint32_t k = c->selected[i];
        c->found[c->count++] = (mbr_detection){ .box = c->box[k], .label = c->label[k], .score = c->scores[k] };
    }
    return MBR_OK;
}

static int by_score(const void *a, const void *b)
{
    const mbr_detection *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    return (x->box > y->box) - (x->box < y->box);
}

static void add_candidate(candidates *c, size_t n, const mbr_box *boxes, size_t box, size_t label, float score)
{
    c->boxes[n] = boxes[box];
    c->scores[n] = score;
    c->box[n] = box;
    c->label[n] = label;
}

mbr_status mbr_post_select(mbr_memory *memory, const mbr_box *boxes, const float *scores, size_t count, size_t classes,
                           const mbr_boxes_options *options, mbr_detection *out, size_t room, size_t *found,
                           mbr_error *err)
{
    mbr_boxes_options o = { .score_threshold = 0.5f, .iou_threshold = 0.5f };
    candidates c = { .room = 0 };
    *found = 0;
    if (options && options->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_boxes_options.size is not set; set it to "
                        "sizeof(mbr_boxes_options)");
    if (options) {
        o = (mbr_boxes_options){ 0 };
        memcpy(&o, options, mbr_min_size(options->size, sizeof o));
    }
    size_t background = o.background > 0 ? (size_t)o.background - 1 : SIZE_MAX;
    mbr_status st = count ? make_room(memory, &c, count, err) : MBR_OK;
    if (o.any_class && st == MBR_OK && count) {
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            size_t best = SIZE_MAX;
            for (size_t k = 0; k < classes; k++)
                if (k != background && scores[i * classes + k] > o.score_threshold &&
                    (best == SIZE_MAX || scores[i * classes + k] > scores[i * classes + best]))
                    best = k;
            if (best != SIZE_MAX && is_finite(&boxes[i]))
                add_candidate(&c, n++, boxes, i, best, scores[i * classes + best]);
        }
        st = suppress(memory, &c, n, &o, err);
    }
    for (size_t k = 0; !o.any_class && k < classes && st == MBR_OK && count; k++) {
        size_t n = 0;
        for (size_t i = 0; i < count && k != background; i++)
            if (scores[i * classes + k] > o.score_threshold && is_finite(&boxes[i]))
                add_candidate(&c, n++, boxes, i, k, scores[i * classes + k]);
        st = suppress(memory, &c, n, &o, err);
    }
    if (st == MBR_OK && c.count) {
        qsort(c.found, c.count, sizeof *c.found, by_score);
        *found = mbr_min_size(c.count, mbr_min_size(room, o.most ? o.most : SIZE_MAX));
        memcpy(out, c.found, *found * sizeof *out);
    }
    mbr_free(memory, c.boxes);
    mbr_free(memory, c.scores);
    mbr_free(memory, c.box);
    mbr_free(memory, c.label);
    mbr_free(memory, c.selected);
    mbr_free(memory, c.scratch);
    mbr_free(memory, c.found);
    return st;
}

mbr_status mbr_boxes_select(mbr_env *env, const mbr_box *boxes, const float *scores, size_t count, size_t classes,
                            const mbr_boxes_options *options, mbr_detection *out, size_t room, size_t *found,
                            mbr_error *err)
{
    return mbr_post_select(mbr_env_heap(env), boxes, scores, count, classes, options, out, room, found, err);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/nms.h"

#include <math.h>
#include <stdlib.h>

#define STRIPS 512
#define MOST_STRIPS 4 /* a box that touches more goes to a list that everybody looks at */
#define NONE UINT32_MAX

typedef struct candidate {
    float score;
    uint32_t box;
} candidate;

typedef struct box {
    float x0, y0, x1, y1;
} box;

/* A chosen box in the list of one strip. */
typedef struct entry {
    box b;
    uint32_t next;
} entry;

typedef struct strips {
    float low, scale;
    uint32_t heads[STRIPS + 1]; /* the last one: wide boxes */
    uint32_t used;
    entry *entries;
} strips;

static float smaller(float a, float b)
{
    return a < b ? a : b;
}

static float larger(float a, float b)
{
    return a > b ? a : b;
}

static box corners(const mbr_nms_args *a, uint32_t i)
{
    const float *b = a->boxes + 4 * (size_t)i;
    if (a->centered)
        return (box){ b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2 };
    return (box){ smaller(b[1], b[3]), smaller(b[0], b[2]), larger(b[1], b[3]), larger(b[0], b[2]) };
}

static bool overlaps(const box *p, const box *q, float threshold)
{
    float w = smaller(p->x1, q->x1) - larger(p->x0, q->x0), h = smaller(p->y1, q->y1) - larger(p->y0, q->y0);
    if (!(w > 0 && h > 0))
        return false;
    float both = w * h, area_p = (p->x1 - p->x0) * (p->y1 - p->y0), area_q = (q->x1 - q->x0) * (q->y1 - q->y0);
    float all = area_p + area_q - both;
    if (!(area_p > 0 && area_q > 0 && all > 0))
        return false;
    return both / all > threshold;
}

static int better_first(const void *x, const void *y)
{
    const candidate *p = x, *q = y;
    if (p->score != q->score)
        return p->score > q->score ? -1 : 1;
    return p->box < q->box ? -1 : p->box > q->box;
}

/* The strip of a place; places that are no numbers or outside go to the first or last. Rises with x. */
static uint32_t strip_of(const strips *s, float x)
{
    float at = (x - s->low) * s->scale;
    return at > 0 ? at < STRIPS - 1 ? (uint32_t)at : STRIPS - 1 : 0;
}

static void strips_init(strips *s, const mbr_nms_args *a, const candidate *c, size_t count, entry *entries)
{
    float low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        box b = corners(a, c[i].box);
        low = smaller(low, b.x0);
        high = larger(high, b.x1);
    }
    s->low = isfinite(low) ? low : 0;
    s->scale = isfinite(high) && high > s->low ? STRIPS / (high - s->low) : 0;
    s->used = 0;
    s->entries = entries;
    for (int i = 0; i <= STRIPS; i++)
        s->heads[i] = NONE;
}

static bool list_overlaps(const strips *s, uint32_t list, const box *b, float threshold)
{
    for (uint32_t e = s->heads[list]; e != NONE; e = s->entries[e].next)
        if (overlaps(b, &s->entries[e].b, threshold))
            return true;
    return false;
}

static void add(strips *s, uint32_t list, const box *b)
{
    s->entries[s->used] = (entry){ *b, s->heads[list] };
    s->heads[list] = s->used++;
}

size_t mbr_nms_scratch(size_t n)
{
    size_t each = sizeof(candidate) + MOST_STRIPS * sizeof(entry);
    return n > (SIZE_MAX - sizeof(strips) - 64) / each ? 0 : sizeof(strips) + 64 + n * each;
}

size_t mbr_nms(const mbr_nms_args *a, void *scratch, uint32_t *selected)
{
    strips *s = scratch;
    entry *entries = (entry *)(void *)(s + 1);
    candidate *candidates = (candidate *)(void *)(entries + MOST_STRIPS * a->n);
    size_t count = 0, chosen = 0;
    for (size_t i = 0; i < a->n; i++)
        if (!a->has_score_threshold || a->scores[i] > a->score_threshold) {
            float score = isnan(a->scores[i]) ? -INFINITY : a->scores[i];
            candidates[count++] = (candidate){ score, (uint32_t)i };
        }
    qsort(candidates, count, sizeof *candidates, better_first);
    strips_init(s, a, candidates, count, entries);
    for (size_t i = 0; i < count && chosen < a->most; i++) {
        box b = corners(a, candidates[i].box);
        uint32_t first = strip_of(s, b.x0), last = strip_of(s, b.x1);
        bool wide = last - first >= MOST_STRIPS, drop = list_overlaps(s, STRIPS, &b, a->iou_threshold);
        for (uint32_t k = first; k <= last && !drop; k++)
            drop = list_overlaps(s, k, &b, a->iou_threshold);
        if (drop)
            continue;
        selected[chosen++] = candidates[i].box;
        for (uint32_t k = first; k <= last && !wide; k++)
            add(s, k, &b);
        if (wide)
            add(s, STRIPS, &b);
    }
    return chosen;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/nms.h"

#include <math.h>
#include <stdlib.h>

typedef struct box {
    float x0, y0, x1, y1;
} box;

static box corners(const mbr_nms_args *a, uint32_t i)
{
    const float *b = a->boxes + 4 * (size_t)i;
    if (a->centered)
        return (box){ b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2 };
    return (box){ fminf(b[1], b[3]), fminf(b[0], b[2]), fmaxf(b[1], b[3]), fmaxf(b[0], b[2]) };
}

static bool overlaps(box p, box q, float threshold)
{
    float w = fminf(p.x1, q.x1) - fmaxf(p.x0, q.x0), h = fminf(p.y1, q.y1) - fmaxf(p.y0, q.y0);
    if (!(w > 0 && h > 0))
        return false;
    float both = w * h, area_p = (p.x1 - p.x0) * (p.y1 - p.y0), area_q = (q.x1 - q.x0) * (q.y1 - q.y0);
    float all = area_p + area_q - both;
    if (!(area_p > 0 && area_q > 0 && all > 0))
        return false;
    return both / all > threshold;
}

static int better_first(const void *x, const void *y)
{
    const mbr_nms_candidate *p = x, *q = y;
    if (p->score != q->score)
        return p->score > q->score ? -1 : 1;
    return p->box < q->box ? -1 : p->box > q->box;
}

size_t mbr_nms(const mbr_nms_args *a, mbr_nms_candidate *candidates, uint32_t *selected)
{
    size_t count = 0, chosen = 0;
    for (size_t i = 0; i < a->n; i++)
        if (!a->has_score_threshold || a->scores[i] > a->score_threshold) {
            float score = isnan(a->scores[i]) ? -INFINITY : a->scores[i];
            candidates[count++] = (mbr_nms_candidate){ score, (uint32_t)i };
        }
    qsort(candidates, count, sizeof *candidates, better_first);
    for (size_t i = 0; i < count && chosen < a->most; i++) {
        box b = corners(a, candidates[i].box);
        bool keep = true;
        for (size_t k = 0; k < chosen && keep; k++)
            keep = !overlaps(b, corners(a, selected[k]), a->iou_threshold);
        if (keep)
            selected[chosen++] = candidates[i].box;
    }
    return chosen;
}

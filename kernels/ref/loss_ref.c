/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/loss.h"

#include "kernels/real.h"

#include <math.h>

/* ln of the sum of e^score at one place. */
static double log_sum(const mbr_loss_args *a, size_t base)
{
    double most = -INFINITY, sum = 0;
    for (size_t c = 0; c < a->classes; c++)
        most = fmax(most, mbr_real_get(a->dtype, a->in, base + c * a->points));
    for (size_t c = 0; c < a->classes; c++)
        sum += exp(mbr_real_get(a->dtype, a->in, base + c * a->points) - most);
    return most + log(sum);
}

bool mbr_loss(const mbr_loss_args *a, int64_t *bad)
{
    double total = 0, weights = 0;
    for (size_t i = 0; i < a->n * a->points; i++) {
        size_t base = i / a->points * a->classes * a->points + i % a->points;
        int64_t t = a->target_dtype == MBR_DTYPE_I32 ? ((const int32_t *)a->target)[i]
                                                     : ((const int64_t *)a->target)[i];
        bool ignore = a->has_ignored && t == a->ignored;
        if (!ignore && (t < 0 || (uint64_t)t >= a->classes)) {
            *bad = t;
            return false;
        }
        double shift = a->scores ? log_sum(a, base) : 0, loss = 0, w = 0;
        for (size_t c = 0; a->log_prob && c < a->classes; c++) {
            size_t at = base + c * a->points;
            mbr_real_set(a->dtype, a->log_prob, at, mbr_real_get(a->dtype, a->in, at) - shift);
        }
        if (!ignore) {
            w = a->weight ? mbr_real_get(a->dtype, a->weight, (size_t)t) : 1;
            loss = -w * (mbr_real_get(a->dtype, a->in, base + (size_t)t * a->points) - shift);
        }
        if (a->reduction == MBR_LOSS_NONE)
            mbr_real_set(a->dtype, a->out, i, loss);
        total += loss;
        weights += w;
    }
    if (a->reduction != MBR_LOSS_NONE)
        mbr_real_set(a->dtype, a->out, 0, a->reduction == MBR_LOSS_MEAN ? total / weights : total);
    return true;
}

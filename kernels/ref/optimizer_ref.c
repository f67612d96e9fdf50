/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/optimizer.h"

#include "kernels/real.h"

#include <math.h>

void mbr_optimizer_step(const mbr_optimizer_args *a)
{
    double rate = a->rate, t = (double)a->step, beta = a->step > 0 ? a->beta : 1;
    if (a->what == MBR_ADAGRAD)
        rate /= 1 + t * a->decay;
    else if (a->what == MBR_ADAM && a->step > 0)
        rate *= sqrt(1 - pow(a->beta, t)) / (1 - pow(a->alpha, t));
    for (size_t i = 0; i < a->n; i++) {
        double x = mbr_real_get(a->dtype, a->x, i), v = 0, h = 0;
        double g = a->norm * x + mbr_real_get(a->dtype, a->gradient, i);
        switch (a->what) {
        case MBR_ADAGRAD:
            h = mbr_real_get(a->dtype, a->h, i) + g * g;
            x -= rate * g / (sqrt(h) + a->epsilon);
            break;
        case MBR_ADAM:
            v = a->alpha * mbr_real_get(a->dtype, a->v, i) + (1 - a->alpha) * g;
            h = a->beta * mbr_real_get(a->dtype, a->h, i) + (1 - a->beta) * (g * g);
            x = (1 - a->norm_post) * (x - rate * (v / (sqrt(h) + a->epsilon)));
            break;
        case MBR_MOMENTUM:
            v = a->alpha * mbr_real_get(a->dtype, a->v, i) + beta * g;
            x -= rate * (a->nesterov ? g + a->alpha * v : v);
            break;
        }
        if (a->new_x)
            mbr_real_set(a->dtype, a->new_x, i, x);
        if (a->new_v)
            mbr_real_set(a->dtype, a->new_v, i, v);
        if (a->new_h)
            mbr_real_set(a->dtype, a->new_h, i, h);
    }
}

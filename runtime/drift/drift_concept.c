/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/drift/drift_concept.h"

#include <math.h>
#include <string.h>

/* ---- ADWIN ---- */

#define ADWIN_DELTA 0.002
#define ADWIN_CLOCK 32 /* values between two looks */
#define ADWIN_LEAST 5  /* values on either side of a cut */
#define ADWIN_GRACE 10

static void drop_bucket(mbr_adwin *a, int r, int n)
{
    int left = a->count[r] - n;
    memmove(a->total[r], a->total[r] + n, (size_t)left * sizeof a->total[r][0]);
    memmove(a->variance[r], a->variance[r] + n, (size_t)left * sizeof a->variance[r][0]);
    a->count[r] = left;
}

static void insert(mbr_adwin *a, double x)
{
    a->width += 1.0;
    if (a->width > 1.0) {
        double d = x - a->sum / (a->width - 1.0);
        a->spread += (a->width - 1.0) * d * d / a->width;
    }
    a->sum += x;
    a->total[0][a->count[0]] = x;
    a->variance[0][a->count[0]++] = 0.0;
    a->rows = a->rows ? a->rows : 1;
    /* A row that has one bucket too many gives its two oldest to the next, as one. */
    for (int r = 0; r < a->rows && a->count[r] == MBR_ADWIN_BUCKETS; r++) {
        if (r + 1 == MBR_ADWIN_ROWS) { /* 2^40 values: the oldest are forgotten */
            drop_bucket(a, r, 2);
            break;
        }
        double n = ldexp(1.0, r), d = (a->total[r][0] - a->total[r][1]) / n;
        int to = a->count[r + 1]++;
        a->total[r + 1][to] = a->total[r][0] + a->total[r][1];
        a->variance[r + 1][to] = a->variance[r][0] + a->variance[r][1] + n * n * d * d / (2.0 * n);
        a->rows = r + 2 > a->rows ? r + 2 : a->rows;
        drop_bucket(a, r, 2);
    }
}

static bool is_cut(const mbr_adwin *a, double n0, double n1, double difference)
{
    double delta = log(2.0 * log(a->width) / ADWIN_DELTA);
    double m = 1.0 / (n0 - ADWIN_LEAST + 1.0) + 1.0 / (n1 - ADWIN_LEAST + 1.0);
    double epsilon = sqrt(2.0 * m * (a->spread / a->width) * delta) + 2.0 / 3.0 * delta * m;
    return fabs(difference) > epsilon;
}

static void forget_oldest(mbr_adwin *a)
{
    int r = a->rows - 1;
    double n = ldexp(1.0, r), total = a->total[r][0];
    a->width -= n;
    a->sum -= total;
    double d = total / n - a->sum / a->width;
    a->spread -= a->variance[r][0] + n * a->width * d * d / (n + a->width);
    a->spread = a->spread > 0.0 ? a->spread : 0.0;
    drop_bucket(a, r, 1);
    while (a->rows > 1 && a->count[a->rows - 1] == 0)
        a->rows--;
}

/* Looks for a place in the window where the means before and after it differ by too much. */
static bool has_cut(const mbr_adwin *a)
{
    double n0 = 0.0, n1 = a->width, u0 = 0.0, u1 = a->sum;
    for (int r = a->rows - 1; r >= 0; r--)
        for (int k = 0; k < a->count[r]; k++) {
            double n = ldexp(1.0, r);
            n0 += n;
            n1 -= n;
            u0 += a->total[r][k];
            u1 -= a->total[r][k];
            if (r == 0 && k == a->count[r] - 1)
                return false;
            if (n0 >= ADWIN_LEAST && n1 >= ADWIN_LEAST && is_cut(a, n0, n1, u0 / n0 - u1 / n1))
                return true;
        }
    return false;
}

bool mbr_adwin_step(mbr_adwin *a, double x)
{
    if (a->drift)
        *a = (mbr_adwin){ .rows = 1 };
    insert(a, x);
    a->ticks++;
    if (a->ticks % ADWIN_CLOCK != 0 || a->width <= ADWIN_GRACE)
        return false;
    while (has_cut(a)) {
        forget_oldest(a);
        a->drift = true;
    }
    return a->drift;
}

/* ---- DDM ---- */

#define DDM_WARM_START 30
#define DDM_WARNING 2.0
#define DDM_DRIFT 3.0

bool mbr_ddm_step(mbr_ddm *d, double x)
{
    if (d->drift)
        *d = (mbr_ddm){ 0 };
    d->n += 1.0;
    d->mean += (x - d->mean) / d->n;
    double s = sqrt(d->mean * (1.0 - d->mean) / d->n);
    if (!(d->n > DDM_WARM_START))
        return false;
    if (!d->has_least || d->mean + s <= d->least_mean + d->least_deviation) {
        d->has_least = true;
        d->least_mean = d->mean;
        d->least_deviation = s;
    }
    d->drift = d->mean + s > d->least_mean + DDM_DRIFT * d->least_deviation;
    d->warning = !d->drift && d->mean + s > d->least_mean + DDM_WARNING * d->least_deviation;
    return d->drift;
}

/* ---- Page-Hinkley, both ways ---- */

#define PH_LEAST 30
#define PH_DELTA 0.005
#define PH_THRESHOLD 50.0
#define PH_ALPHA (1.0 - 0.0001)

bool mbr_page_hinkley_step(mbr_page_hinkley *p, double x)
{
    if (p->drift)
        *p = (mbr_page_hinkley){ 0 };
    if (p->n == 0.0) {
        p->least_up = (double)INFINITY;
        p->most_down = -(double)INFINITY;
    }
    p->n += 1.0;
    p->mean += (x - p->mean) / p->n;
    double d = x - p->mean;
    p->up = PH_ALPHA * p->up + d - PH_DELTA;
    p->down = PH_ALPHA * p->down + d + PH_DELTA;
    p->least_up = p->up < p->least_up ? p->up : p->least_up;
    p->most_down = p->down > p->most_down ? p->down : p->most_down;
    if (p->n >= PH_LEAST)
        p->drift = p->up - p->least_up > PH_THRESHOLD || p->most_down - p->down > PH_THRESHOLD;
    return p->drift;
}

/* ---- all of them ---- */

void mbr_concept_init(mbr_concept *c)
{
    memset(c, 0, sizeof *c);
    c->adwin.rows = 1;
}

unsigned mbr_concept_step(mbr_concept *c, double error)
{
    bool found[MBR_CONCEPT_COUNT] = { mbr_adwin_step(&c->adwin, error), mbr_ddm_step(&c->ddm, error),
                                      mbr_page_hinkley_step(&c->page_hinkley, error) };
    unsigned set = 0;
    c->taken++;
    for (int i = 0; i < MBR_CONCEPT_COUNT; i++) {
        c->found[i] += found[i];
        set |= (unsigned)found[i] << i;
    }
    return set;
}

void mbr_concept_write(const mbr_concept *c, mbr_out *out)
{
    const mbr_adwin *a = &c->adwin;
    mbr_out_u64(out, (uint64_t)a->rows);
    for (int r = 0; r < a->rows; r++) {
        mbr_out_u64(out, (uint64_t)a->count[r]);
        mbr_out_f64s(out, a->total[r], (size_t)a->count[r]);
        mbr_out_f64s(out, a->variance[r], (size_t)a->count[r]);
    }
    mbr_out_f64s(out, (const double[]){ a->width, a->sum, a->spread }, 3);
    mbr_out_u64(out, a->ticks);
    mbr_out_u64(out, a->drift);
    const mbr_ddm *d = &c->ddm;
    mbr_out_f64s(out, (const double[]){ d->n, d->mean, d->least_mean, d->least_deviation }, 4);
    mbr_out_u64(out, (uint64_t)d->has_least | (uint64_t)d->warning << 1 | (uint64_t)d->drift << 2);
    const mbr_page_hinkley *p = &c->page_hinkley;
    mbr_out_f64s(out, (const double[]){ p->n, p->mean, p->up, p->down, p->least_up, p->most_down }, 6);
    mbr_out_u64(out, p->drift);
    mbr_out_u64(out, c->taken);
    for (int i = 0; i < MBR_CONCEPT_COUNT; i++)
        mbr_out_u64(out, c->found[i]);
}

void mbr_concept_read(mbr_concept *c, mbr_in *in)
{
    mbr_concept_init(c);
    mbr_adwin *a = &c->adwin;
    a->rows = (int)mbr_in_range(in, 1, MBR_ADWIN_ROWS);
    double width = 0.0;
    for (int r = 0; r < a->rows; r++) {
        a->count[r] = (int)mbr_in_range(in, 0, MBR_ADWIN_BUCKETS - 1);
        mbr_in_f64s(in, a->total[r], (size_t)a->count[r]);
        mbr_in_f64s(in, a->variance[r], (size_t)a->count[r]);
        width += a->count[r] * ldexp(1.0, r);
    }
    double x[6];
    mbr_in_f64s(in, x, 3);
    a->width = x[0];
    a->sum = x[1];
    a->spread = x[2];
    a->ticks = mbr_in_u64(in);
    a->drift = mbr_in_range(in, 0, 1) != 0;
    in->bad |= a->width != width || (a->rows > 1 && a->count[a->rows - 1] == 0);
    mbr_in_f64s(in, x, 4);
    c->ddm = (mbr_ddm){ .n = x[0], .mean = x[1], .least_mean = x[2], .least_deviation = x[3] };
    uint64_t bits = mbr_in_range(in, 0, 7);
    c->ddm.has_least = bits & 1;
    c->ddm.warning = bits >> 1 & 1;
    c->ddm.drift = bits >> 2 & 1;
    mbr_in_f64s(in, x, 6);
    c->page_hinkley = (mbr_page_hinkley){ x[0], x[1], x[2], x[3], x[4], x[5], mbr_in_range(in, 0, 1) != 0 };
    c->taken = mbr_in_u64(in);
    for (int i = 0; i < MBR_CONCEPT_COUNT; i++)
        c->found[i] = mbr_in_u64(in);
}

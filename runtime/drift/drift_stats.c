/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/drift/drift_stats.h"

#include "runtime/drift/drift_sketch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846

static double weight_of(const mbr_sample *s, size_t i)
{
    return s->weights ? s->weights[i] : s->each;
}

/* A merge of two samples under way, between i and n of one and k and m of the other. */
typedef struct merging {
    const double *x, *y;
    size_t i, n, k, m;
    double one_x, one_y; /* what a value weighs */
    double last, gap, most, area;
} merging;

/* Takes the next value of either side, or of both, without branches. */
static inline void merge_step(merging *s)
{
    double x = s->x[s->i], y = s->y[s->k], now = x < y ? x : y;
    double seen = now > s->last ? s->gap : 0.0; /* between equal values the distance does not count */
    s->most = seen > s->most ? seen : s->most;
    s->area += s->gap * (now - s->last);
    s->last = now;
    s->i += x <= now;
    s->k += y <= now;
    s->gap = fabs((double)(int64_t)s->i * s->one_x - (double)(int64_t)s->k * s->one_y);
}

static void merge_rest(merging *s)
{
    while (s->i < s->n && s->k < s->m)
        merge_step(s);
    while (s->i < s->n || s->k < s->m) {
        bool left = s->i < s->n;
        double now = left ? s->x[s->i] : s->y[s->k];
        s->most = now > s->last && s->gap > s->most ? s->gap : s->most;
        s->area += s->gap * (now - s->last);
        s->last = now;
        s->i += left;
        s->k += !left;
        s->gap = fabs((double)(int64_t)s->i * s->one_x - (double)(int64_t)s->k * s->one_y);
    }
    s->most = s->gap > s->most ? s->gap : s->most;
}

static size_t count_up_to(const double *x, size_t n, double most)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (x[middle] <= most)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where all values weigh the same: both halves at once, since a step waits for the one before it. */
static void plain_distances(const mbr_sample *a, const mbr_sample *b, double *ks, double *wasserstein)
{
    double middle = a->values[a->size / 2];
    size_t i = count_up_to(a->values, a->size, middle), k = count_up_to(b->values, b->size, middle);
    merging low = { .x = a->values, .y = b->values, .n = i, .m = k, .one_x = 1.0 / (double)a->size,
                    .one_y = 1.0 / (double)b->size, .last = a->values[0] };
    merging high = low;
    low.last = b->values[0] < low.last ? b->values[0] : low.last;
    high.i = i;
    high.k = k;
    high.n = a->size;
    high.m = b->size;
    high.last = middle; /* the last value of the lower half */
    high.gap = fabs((double)(int64_t)i * low.one_x - (double)(int64_t)k * low.one_y);
    while (low.i < low.n && low.k < low.m && high.i < high.n && high.k < high.m) {
        merge_step(&low);
        merge_step(&high);
    }
    merge_rest(&low);
    merge_rest(&high);
    double most = low.most > high.most ? low.most : high.most;
    *ks = most < 1.0 ? most : 1.0;
    *wasserstein = low.area + high.area;
}

void mbr_stat_distances(const mbr_sample *a, const mbr_sample *b, double *ks, double *wasserstein)
{
    *ks = *wasserstein = (double)NAN;
    if (!a->size || !b->size)
        return;
    if (!a->weights && !b->weights) {
        plain_distances(a, b, ks, wasserstein);
        return;
    }
    double in_a = 0.0, in_b = 0.0, most = 0.0, area = 0.0, last = 0.0;
    for (size_t i = 0, k = 0; i < a->size || k < b->size;) {
        bool left = k == b->size || (i < a->size && a->values[i] <= b->values[k]);
        double x = left ? a->values[i] : b->values[k];
        double gap = fabs(in_a / a->total - in_b / b->total);
        area += i + k > 0 ? gap * (x - last) : 0.0;
        last = x;
        while (i < a->size && a->values[i] <= x)
            in_a += weight_of(a, i++);
        while (k < b->size && b->values[k] <= x)
            in_b += weight_of(b, k++);
        gap = fabs(in_a / a->total - in_b / b->total);
        most = gap > most ? gap : most;
    }
    *ks = most < 1.0 ? most : 1.0;
    *wasserstein = area;
}

/* ---- distributions ---- */

/* Pelz and Good (1976): the distribution of the two-sided one-sample statistic to the fourth term in 1 / sqrt(n). */
static double kolmogorov_below(double n, double d)
{
    double z = d * sqrt(n), z2 = z * z, z4 = z2 * z2, z6 = z4 * z2;
    const double p2 = PI * PI, p4 = p2 * p2, p6 = p4 * p2;
    double k0 = 0, k1 = 0, k2 = 0, k3 = 0, more2 = 0, more3 = 0;
    for (int k = 0; k < 40; k++) {
        double h = k + 0.5, h2 = h * h, h4 = h2 * h2, h6 = h4 * h2, e = exp(-p2 * h2 / (2 * z2));
        k0 += e;
        k1 += e * (p2 * h2 - z2);
        k2 += e * (6 * z6 + 2 * z4 + p2 * (2 * z4 - 5 * z2) * h2 + p4 * (1 - 2 * z2) * h4);
        k3 += e * (-30 * z6 - 90 * z6 * z2 + p2 * (135 * z4 - 96 * z6) * h2 + p4 * (212 * z4 - 60 * z2) * h4 +
                   p6 * (5 - 30 * z2) * h6);
        double j2 = (double)(k + 1) * (k + 1), g = exp(-p2 * j2 / (2 * z2));
        more2 += g * p2 * j2;
        more3 += g * (3 * p2 * j2 * z2 - p4 * j2 * j2);
        if (e == 0.0)
            break;
    }
    double root = sqrt(2 * PI), s = sqrt(n);
    double sum = root / z * k0;
    sum += root / (6 * z4) * k1 / s;
    sum += (root / (72 * z6 * z) * k2 - root / (36 * z2 * z) * more2) / n;
    sum += (root / (6480 * z6 * z4) * k3 + root / (216 * z6) * more3) / (n * s);
    return sum;
}

double mbr_stat_ks_p(double d, double n, double m)
{
    if (!(d > 0.0) || !(n > 0.0) || !(m > 0.0))
        return isnan(d) || isnan(n) || isnan(m) ? (double)NAN : 1.0;
    double en = round(n * m / (n + m)), z = d * sqrt(en);
    en = en < 1.0 ? 1.0 : en;
    if (d >= 1.0)
        return 0.0;
    double p;
    if (z > 2.6) { /* the tail of both sides, which no longer meet; Smirnov's with Maag and Dicaire's correction */
        double shifted = d + 1.0 / (6.0 * en);
        p = 2.0 * exp(-2.0 * en * shifted * shifted);
    } else {
        p = z < 0.1 ? 1.0 : 1.0 - kolmogorov_below(en, d);
    }
    return p < 0.0 ? 0.0 : p > 1.0 ? 1.0 : p;
}

/* The regularised incomplete gamma function's upper part: a series below a + 1, a continued fraction above. */
double mbr_stat_chi2_p(double x, double freedom)
{
    double a = freedom / 2.0, y = x / 2.0;
    if (isnan(x) || !(freedom > 0.0))
        return (double)NAN;
    if (!(y > 0.0))
        return 1.0;
    if (isinf(y))
        return 0.0;
    double front = exp(a * log(y) - y - lgamma(a));
    if (y < a + 1.0) {
        double term = 1.0 / a, sum = term;
        for (int i = 1; i < 10000 && term > sum * 1e-17; i++) {
            term *= y / (a + i);
            sum += term;
        }
        double p = 1.0 - sum * front;
        return p > 0.0 ? p : 0.0;
    }
    double b = y + 1.0 - a, c = 1e300, d = 1.0 / b, h = d;
    for (int i = 1; i < 10000; i++) {
        double an = -i * (i - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (fabs(d * c - 1.0) < 1e-16)
            break;
    }
    return front * h;
}

double mbr_stat_normal_p(double z)
{
    return erfc(fabs(z) / sqrt(2.0));
}

static double log_choose(double n, double k)
{
    return lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0);
}

/* Sum of the probabilities from k on, away from the middle. */
static double tail(double k, double step, double hits, double n, double m)
{
    double least = hits > n ? hits - n : 0.0, most = hits < m ? hits : m;
    double p = exp(log_choose(m, k) + log_choose(n, hits - k) - log_choose(n + m, hits)), sum = p;
    for (int i = 0; i < 100000 && p > sum * 1e-12; i++) {
        if (step > 0.0 ? k >= most : k <= least)
            break;
        p *= step > 0.0 ? (hits - k) * (m - k) / ((k + 1.0) * (n - hits + k + 1.0))
                        : k * (n - hits + k) / ((hits - k + 1.0) * (m - k + 1.0));
        k += step;
        sum += p;
    }
    return sum;
}

double mbr_stat_share_p(uint64_t hits_n, uint64_t n, uint64_t hits_m, uint64_t m)
{
    double hits = (double)hits_n + (double)hits_m;
    if (hits == 0.0 || n == 0 || m == 0)
        return 1.0;
    double expected = hits * (double)m / ((double)n + (double)m);
    double p = 2.0 * tail((double)hits_m, (double)hits_m > expected ? 1.0 : -1.0, hits, (double)n, (double)m);
    return p < 1.0 ? p : 1.0;
}

double mbr_stat_beyond_p(uint64_t k, uint64_t n, uint64_t m)
{
    double p = 1.0;
    for (uint64_t i = 0; i < k && i < m && p > 1e-300; i++)
        p *= ((double)m - (double)i) / ((double)n + (double)m - (double)i);
    return p;
}

/* ---- shares and counts ---- */

static double filling(const double *share, size_t n)
{
    double least = (double)INFINITY;
    for (size_t i = 0; i < n; i++)
        if (share[i] > 0.0 && share[i] < least)
            least = share[i];
    return least <= 0.0001 ? least / 1e6 : 0.0001;
}

double mbr_stat_psi(const double *a, const double *b, size_t n)
{
    double fill_a = filling(a, n), fill_b = filling(b, n), sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        double x = a[i] > 0.0 ? a[i] : fill_a, y = b[i] > 0.0 ? b[i] : fill_b;
        sum += (x - y) * log(x / y);
    }
    return sum;
}

double mbr_stat_js(const double *a, const double *b, size_t n)
{
    double total_a = 0.0, total_b = 0.0, sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        total_a += a[i];
        total_b += b[i];
    }
    if (!(total_a > 0.0) || !(total_b > 0.0))
        return (double)NAN;
    for (size_t i = 0; i < n; i++) {
        double x = a[i] / total_a, y = b[i] / total_b, middle = (x + y) / 2.0;
        sum += x > 0.0 ? x * log(x / middle) : 0.0;
        sum += y > 0.0 ? y * log(y / middle) : 0.0;
    }
    return sqrt(sum > 0.0 ? sum / 2.0 : 0.0);
}

double mbr_stat_chi2(const double *a, const double *b, size_t n, double *p)
{
    double total_a = 0.0, total_b = 0.0, sum = 0.0;
    int columns = 0;
    for (size_t i = 0; i < n; i++) {
        total_a += a[i];
        total_b += b[i];
    }
    *p = (double)NAN;
    if (!(total_a > 0.0) || !(total_b > 0.0))
        return (double)NAN;
    for (size_t i = 0; i < n; i++) {
        double both = a[i] + b[i];
        if (!(both > 0.0))
            continue;
        double of_a = both * total_a / (total_a + total_b), of_b = both - of_a;
        sum += (a[i] - of_a) * (a[i] - of_a) / of_a + (b[i] - of_b) * (b[i] - of_b) / of_b;
        columns++;
    }
    *p = columns > 1 ? mbr_stat_chi2_p(sum, columns - 1) : 1.0;
    return sum;
}

double mbr_stat_chi2_fit(const double *a, const double *b, size_t n, double *p)
{
    double total_a = 0.0, total_b = 0.0, sum = 0.0;
    int columns = 0;
    for (size_t i = 0; i < n; i++) {
        total_a += a[i];
        total_b += b[i];
    }
    *p = (double)NAN;
    if (!(total_a > 0.0) || !(total_b > 0.0))
        return (double)NAN;
    for (size_t i = 0; i < n; i++) {
        if (!(a[i] + b[i] > 0.0))
            continue;
        double expected = a[i] * (total_b / total_a);
        sum += (b[i] - expected) * (b[i] - expected) / expected;
        columns++;
    }
    *p = columns > 1 ? mbr_stat_chi2_p(sum, columns - 1) : 1.0;
    return sum;
}

/* ---- many tests at once; ranks ---- */

/* Sorts places by the numbers there. Heap sort: bounded whatever the numbers are, and without a global for qsort. */
static void sort_places(size_t *order, size_t n, const double *x)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t end = n, root = n / 2; end > 1;) {
        if (root > 0) {
            root--;
        } else {
            size_t swap = order[--end];
            order[end] = order[0];
            order[0] = swap;
        }
        for (size_t at = root, child; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && x[order[child]] < x[order[child + 1]])
                child++;
            if (x[order[at]] >= x[order[child]])
                break;
            size_t swap = order[at];
            order[at] = order[child];
            order[child] = swap;
        }
    }
}

void mbr_stat_adjust(const double *p, double *adjusted, size_t *order, size_t n, bool bonferroni)
{
    sort_places(order, n, p);
    double least = 1.0;
    for (size_t i = n; i-- > 0;) {
        double corrected = p[order[i]] * (double)n / (bonferroni ? 1.0 : (double)(i + 1));
        if (bonferroni)
            least = corrected < 1.0 ? corrected : 1.0;
        else
            least = corrected < least ? corrected : least;
        adjusted[order[i]] = least;
    }
}

bool mbr_stat_ranks(const double *x, double *ranks, uint64_t *keys, size_t n)
{
    enum { PLACE = 4095 };
    for (size_t i = 0; i < n; i++) { /* the place takes the lowest bits, which decide last */
        uint64_t bits;
        memcpy(&bits, x + i, sizeof bits);
        keys[i] = (mbr_rising_bits(bits) & ~(uint64_t)PLACE) | i;
    }
    uint64_t *order = mbr_sort_bits(keys, keys + n, n, n <= 512 ? 4 : 2);
    for (size_t i = 1; i < n; i++) { /* what the upper bytes left */
        uint64_t key = order[i];
        size_t k = i;
        for (; k > 0 && x[order[k - 1] & PLACE] > x[key & PLACE]; k--)
            order[k] = order[k - 1];
        order[k] = key;
    }
    double squares = 0.0;
    size_t most = 0;
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && x[order[end] & PLACE] == x[order[i] & PLACE])
            end++;
        double rank = (double)(i + end - 1) / 2.0 - (double)(n - 1) / 2.0;
        for (size_t k = i; k < end; k++)
            ranks[order[k] & PLACE] = rank;
        squares += rank * rank * (double)(end - i);
        most = end - i > most ? end - i : most;
        i = end;
    }
    if (!(squares > 0.0) || 2 * most > n)
        return false;
    double factor = 1.0 / sqrt(squares);
    for (size_t i = 0; i < n; i++)
        ranks[i] *= factor;
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/keyed/series.h"

#include "base/checked.h"
#include "runtime/drift/drift_sketch.h"

#include <math.h>
#include <string.h>

/* ---- the latest samples: a ring behind a head ---- */

typedef struct head {
    uint64_t seen;
    double time; /* of the newest sample; NaN: none */
} head;

static inline double *samples(const void *state)
{
    return (double *)(void *)((uintptr_t)state + sizeof(head));
}

static void series_begin(const void *how, void *state)
{
    (void)how;
    *(head *)state = (head){ 0, NAN };
}

static int held(const mbr_series *s, const head *h)
{
    return h->seen < (uint64_t)s->length ? (int)h->seen : s->length;
}

static void series_write(const void *how, const void *state, mbr_out *out)
{
    const mbr_series *s = how;
    const head *h = state;
    mbr_out_u64(out, h->seen);
    mbr_out_f64(out, h->time);
    mbr_out_f64s(out, samples(state), (size_t)held(s, h) * (size_t)s->channels);
}

static void series_read(const void *how, void *state, mbr_in *in)
{
    const mbr_series *s = how;
    head *h = state;
    h->seen = mbr_in_range(in, 0, UINT64_MAX >> 1);
    h->time = mbr_in_f64(in);
    in->bad |= isinf(h->time);
    mbr_in_f64s(in, samples(state), (size_t)held(s, h) * (size_t)s->channels);
    if (in->bad)
        series_begin(how, state);
}

void mbr_series_plan(mbr_series *s, int length, int channels, double max_gap)
{
    const uint64_t shape[] = { 1, (uint64_t)length, (uint64_t)channels };
    *s = (mbr_series){ .length = length, .channels = channels, .max_gap = max_gap };
    s->kind = (mbr_store_kind){ .how = s, .digest = mbr_digest(shape, sizeof shape), .begin = series_begin,
                                .state_bytes = sizeof(head) + (size_t)length * (size_t)channels * sizeof(double),
                                .write = series_write, .read = series_read };
}

bool mbr_series_push(const mbr_series *s, void *state, double t, const double *sample)
{
    head *h = state;
    if (h->seen && fabs(t - h->time) > s->max_gap)
        h->seen = 0;
    else if (h->seen && t <= h->time)
        return false;
    size_t at = (size_t)(h->seen % (uint64_t)s->length);
    memcpy(samples(state) + at * (size_t)s->channels, sample, (size_t)s->channels * sizeof *sample);
    h->seen++;
    h->time = t;
    return true;
}

uint64_t mbr_series_seen(const void *state)
{
    return ((const head *)state)->seen;
}

int mbr_series_copy(const mbr_series *s, const void *state, int channel, double *out, size_t step)
{
    const head *h = state;
    const double *x = samples(state) + channel;
    int n = held(s, h), at = n < s->length ? 0 : (int)(h->seen % (uint64_t)s->length);
    for (int i = 0; i < n; i++) {
        out[(size_t)i * step] = x[(size_t)at * (size_t)s->channels];
        if (++at == s->length)
            at = 0;
    }
    return n;
}

double mbr_series_before(const mbr_series *s, const void *state, int channel, int k)
{
    const head *h = state;
    if (k >= held(s, h))
        return NAN;
    size_t at = (size_t)((h->seen - 1 - (uint64_t)k) % (uint64_t)s->length);
    return samples(state)[at * (size_t)s->channels + (size_t)channel];
}

/* ---- statistics ---- */

/* The k-th smallest of n; x is left in another order. */
static double select(double *x, int n, int k)
{
    int low = 0, high = n - 1;
    while (low < high) {
        double pivot = x[low + (high - low) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i <= j) {
                double y = x[i];
                x[i++] = x[j];
                x[j--] = y;
            }
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            break;
    }
    return x[k];
}

static double median(double *x, int n)
{
    double upper = select(x, n, n / 2);
    if (n % 2)
        return upper;
    double lower = x[0]; /* the largest of those before it */
    for (int i = 1; i < n / 2; i++)
        lower = x[i] > lower ? x[i] : lower;
    return lower + (upper - lower) / 2;
}

static double mean_of(const double *x, int n)
{
    double sum = 0, rest = 0;
    for (int i = 0; i < n; i++)
        sum += x[i];
    for (int i = 0; i < n; i++)
        rest += x[i] - sum / n;
    return sum / n + (isfinite(rest) ? rest / n : 0);
}

/* A value that is missing leaves its place empty. */
static double slope(const double *x, int all)
{
    double n = 0, places = 0, values = 0, above = 0, below = 0;
    for (int i = 0; i < all; i++)
        if (!isnan(x[i])) {
            n++;
            places += i;
            values += x[i];
        }
    for (int i = 0; i < all; i++)
        if (!isnan(x[i])) {
            double d = i - places / n;
            above += d * (x[i] - values / n);
            below += d * d;
        }
    return above / below;
}

static double kurtosis(const double *x, double n, double mean)
{
    double two = 0, four = 0;
    for (int i = 0; i < (int)n; i++) {
        double d = (x[i] - mean) * (x[i] - mean);
        two += d;
        four += d * d;
    }
    if (!(two > 0))
        return NAN;
    double pairs = (n - 2) * (n - 3);
    return n * (n + 1) * (n - 1) / pairs * (four / (two * two)) - 3 * (n - 1) * (n - 1) / pairs;
}

double mbr_rolling(mbr_rolling_op op, const double *x, int all, int least, double *scratch)
{
    static const int needed[] = { 1, 2, 1, 1, 1, 2, 1, 4 };
    int n = 0;
    for (int i = 0; i < all; i++) {
        scratch[n] = x[i];
        n += !isnan(x[i]);
    }
    if (n < least || n < needed[op])
        return NAN;
    double result = op == MBR_ROLLING_STD || op == MBR_ROLLING_RMS ? 0 : scratch[0], mean;
    switch (op) {
    case MBR_ROLLING_MEAN: return mean_of(scratch, n);
    case MBR_ROLLING_STD:
        mean = mean_of(scratch, n);
        for (int i = 0; i < n; i++)
            result += (scratch[i] - mean) * (scratch[i] - mean);
        return sqrt(result / (n - 1));
    case MBR_ROLLING_MIN:
        for (int i = 1; i < n; i++)
            result = scratch[i] < result ? scratch[i] : result;
        return result;
    case MBR_ROLLING_MAX:
        for (int i = 1; i < n; i++)
            result = scratch[i] > result ? scratch[i] : result;
        return result;
    case MBR_ROLLING_MEDIAN: return median(scratch, n);
    case MBR_ROLLING_SLOPE: return slope(x, all);
    case MBR_ROLLING_RMS:
        for (int i = 0; i < n; i++)
            result += scratch[i] * scratch[i];
        return sqrt(result / n);
    default: return kurtosis(scratch, n, mean_of(scratch, n));
    }
}

/* ---- resampling ---- */

typedef struct grid {
    uint64_t begun;
    double time;
} grid; /* the sample follows */

static inline double *sample_of(const void *state)
{
    return (double *)(void *)((uintptr_t)state + sizeof(grid));
}

static void grid_begin(const void *how, void *state)
{
    (void)how;
    *(grid *)state = (grid){ 0, 0 };
}

static void grid_write(const void *how, const void *state, mbr_out *out)
{
    const mbr_resample *r = how;
    const grid *g = state;
    mbr_out_u64(out, g->begun);
    mbr_out_f64(out, g->time);
    if (g->begun)
        mbr_out_f64s(out, sample_of(state), (size_t)r->channels);
}

static void grid_read(const void *how, void *state, mbr_in *in)
{
    const mbr_resample *r = how;
    grid *g = state;
    g->begun = mbr_in_range(in, 0, 1);
    g->time = mbr_in_f64(in);
    in->bad |= !isfinite(g->time);
    if (g->begun)
        mbr_in_f64s(in, sample_of(state), (size_t)r->channels);
    if (in->bad)
        grid_begin(how, state);
}

bool mbr_resample_plan(mbr_resample *r, int channels, mbr_resample_method method, double period, double max_gap)
{
    uint64_t shape[5] = { 2, (uint64_t)channels, method };
    memcpy(shape + 3, &period, sizeof period);
    memcpy(shape + 4, &max_gap, sizeof max_gap);
    *r = (mbr_resample){ .channels = channels, .method = method, .period = period, .max_gap = max_gap };
    r->kind = (mbr_store_kind){ .how = r, .digest = mbr_digest(shape, sizeof shape), .begin = grid_begin,
                                .state_bytes = sizeof(grid) + (size_t)channels * sizeof(double),
                                .write = grid_write, .read = grid_read };
    return period > 0 && max_gap >= 0 && max_gap / period <= MBR_RESAMPLE_POINTS - 1;
}

int mbr_resample_most(const mbr_resample *r)
{
    return (int)(r->max_gap / r->period) + 2;
}

/* The last point of the grid that is not after t. */
static double point_before(double period, double t)
{
    double k = floor(t / period);
    while (k * period > t)
        k--;
    while ((k + 1) * period <= t)
        k++;
    return k;
}

int mbr_resample_row(const mbr_resample *r, void *state, double t, const double *sample, double *out, double *first,
                     bool *anew)
{
    grid *g = state;
    double *before = sample_of(state);
    size_t channels = (size_t)r->channels;
    int points = 0;
    *anew = false;
    *first = NAN;
    if (!(fabs(t) / r->period < 4e15)) /* beyond, the points of the grid are not told apart */
        return 0;
    if (g->begun && fabs(t - g->time) > r->max_gap)
        g->begun = 0;
    else if (g->begun && t <= g->time)
        return 0;
    *anew = !g->begun;
    double k = point_before(r->period, t), from = g->begun ? point_before(r->period, g->time) + 1 : k;
    *first = from * r->period;
    for (; from <= k && points < mbr_resample_most(r); from++) {
        double at = from * r->period;
        if (!g->begun && at != t)
            break;
        for (size_t c = 0; c < channels; c++) {
            double part = at == t ? 1 : r->method == MBR_RESAMPLE_PREVIOUS ? 0 : (at - g->time) / (t - g->time);
            double x = part == 1 ? sample[c] : part == 0 ? before[c] : before[c] + part * (sample[c] - before[c]);
            out[(size_t)points * channels + c] = x;
        }
        points++;
    }
    g->begun = 1;
    g->time = t;
    memcpy(before, sample, channels * sizeof *before);
    return points;
}

/* ---- bands: scratch holds taper (length), samples (length), spectrum (length / 2 + 1 pairs), the transform's ---- */

void mbr_bands_plan(mbr_bands *b, int length, double rate, const double *edges, int band_count, int taper, bool centre)
{
    *b = (mbr_bands){ .length = length, .band_count = band_count, .rate = rate, .edges = edges, .taper = taper,
                      .centre = centre };
    b->dft = (mbr_dft_args){ .dtype = MBR_DTYPE_F64, .n = (size_t)length, .in_count = (size_t)length,
                             .bins = (size_t)length / 2 + 1, .in_stride = 1, .out_stride = 1, .out_complex = true };
}

size_t mbr_bands_scratch(const mbr_bands *b)
{
    size_t own = mbr_dft_scratch(b->dft.n), mine, all;
    if (!own || !mbr_mul_size(2 * b->dft.n + 2 * b->dft.bins, sizeof(double), &mine) ||
        !mbr_round_up(mine, 16, &mine) || !mbr_add_size(own, mine, &all))
        return 0;
    return all;
}

static void *transform_scratch(const mbr_bands *b, void *scratch)
{
    size_t mine = (2 * b->dft.n + 2 * b->dft.bins) * sizeof(double);
    return (uint8_t *)scratch + (mine + 15) / 16 * 16;
}

void mbr_bands_init(const mbr_bands *b, void *scratch)
{
    double *taper = scratch;
    if (b->taper == MBR_TAPER_HAMMING) /* scipy's; ONNX's has 25 / 46 instead of 0.54 */
        for (size_t i = 0; i < b->dft.n; i++)
            taper[i] = 0.54 - 0.46 * cos(6.283185307179586 * (double)i / (double)b->dft.n);
    else if (b->taper >= 0)
        mbr_taper_fill((mbr_taper)b->taper, MBR_DTYPE_F64, true, b->dft.n, taper);
    else
        for (size_t i = 0; i < b->dft.n; i++)
            taper[i] = 1;
    mbr_dft_init(&b->dft, transform_scratch(b, scratch));
}

void mbr_bands_row(const mbr_bands *b, void *scratch, const double *x, double *out)
{
    size_t n = b->dft.n;
    const double *taper = scratch;
    double *y = (double *)scratch + n, *spectrum = y + n;
    double mean = b->centre ? mean_of(x, b->length) : 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] = (x[i] - mean) * taper[i];
        squares += taper[i] * taper[i];
    }
    mbr_dft(&b->dft, transform_scratch(b, scratch), y, spectrum);
    for (int k = 0; k < b->band_count; k++)
        out[k] = isfinite(spectrum[0]) ? 0 : NAN;
    for (size_t f = 0; f < b->dft.bins; f++) {
        double re = spectrum[2 * f], im = spectrum[2 * f + 1];
        bool alone = f == 0 || 2 * f == n; /* the others stand for a mirrored one, too */
        double power = (re * re + im * im) / (squares * (double)n) * (alone ? 1 : 2);
        double hertz = (double)f * b->rate / (double)n;
        for (int k = 0; k < b->band_count; k++)
            if (hertz >= b->edges[k] && hertz < b->edges[k + 1])
                out[k] += power;
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The latest samples of one key (an asset, a channel of a machine), and what is made of them: windows, lags, rolling
 * statistics, power in bands; uneven times onto a grid. Statistics are computed from the samples anew each time, so
 * that no error gathers.
 */
#ifndef MBR_RUNTIME_SERIES_H
#define MBR_RUNTIME_SERIES_H

#include "kernels/signal.h"
#include "runtime/keyed/store.h"

/* ---- the latest samples ---- */

typedef struct mbr_series {
    int length, channels; /* samples kept, values of each */
    double max_gap;       /* seconds between two samples, either way, that make it begin anew; infinite: none */
    mbr_store_kind kind;  /* for the store; points to this object */
} mbr_series;

/* The object must stay where it is. */
void mbr_series_plan(mbr_series *s, int length, int channels, double max_gap);

/*
 * Adds a sample. t: its time, NaN without a clock. What happens to a sample that is not later than the one before:
 * within max_gap it is left out (false), beyond it the clock was set, and the series begins anew.
 */
bool mbr_series_push(const mbr_series *s, void *state, double t, const double *sample);

uint64_t mbr_series_seen(const void *state); /* samples since it began anew */

/* The samples of a channel that are there, the oldest first, `step` apart in out; their number. */
int mbr_series_copy(const mbr_series *s, const void *state, int channel, double *out, size_t step);

/* The value k samples before the newest (0: that one); NaN where there is none. */
double mbr_series_before(const mbr_series *s, const void *state, int channel, int k);

/* ---- statistics of n values; missing ones (NaN) do not count ---- */

typedef enum mbr_rolling_op {
    MBR_ROLLING_MEAN,
    MBR_ROLLING_STD,      /* of a sample, n - 1 */
    MBR_ROLLING_MIN,
    MBR_ROLLING_MAX,
    MBR_ROLLING_MEDIAN,
    MBR_ROLLING_SLOPE,    /* of the least-squares line, a sample */
    MBR_ROLLING_RMS,
    MBR_ROLLING_KURTOSIS  /* excess, without bias, as pandas; missing where all values are equal */
} mbr_rolling_op;

#define MBR_ROLLING_OPS "mean|std|min|max|median|slope|rms|kurtosis"

/* NaN where fewer than `least` values are there, or too few for the statistic. scratch: (n). */
double mbr_rolling(mbr_rolling_op op, const double *x, int n, int least, double *scratch);

/* ---- uneven times onto a grid: the multiples of a period ---- */

typedef enum mbr_resample_method { MBR_RESAMPLE_LINEAR, MBR_RESAMPLE_PREVIOUS } mbr_resample_method;

#define MBR_RESAMPLE_POINTS 4096

typedef struct mbr_resample {
    int channels;
    mbr_resample_method method;
    double period, max_gap; /* seconds; a gap above it, or a clock set back by more, begins anew */
    mbr_store_kind kind;
} mbr_resample;

/* The object must stay where it is. False: max_gap holds more than MBR_RESAMPLE_POINTS periods. */
bool mbr_resample_plan(mbr_resample *r, int channels, mbr_resample_method method, double period, double max_gap);

/* The most points of one sample. */
int mbr_resample_most(const mbr_resample *r);

/*
 * Takes a sample and gives the points of the grid that it settles: those after the sample before it, up to its own
 * time. The first sample after a gap gives its own point when it lies on the grid. A sample that is not later is left
 * out. out (points, channels); *first: time of the first point. The result is the number of points.
 * *anew: the sample is the first, or the first after a gap.
 */
int mbr_resample_row(const mbr_resample *r, void *state, double t, const double *sample, double *out, double *first,
                     bool *anew);

/* ---- power in bands of frequency ---- */

typedef struct mbr_bands {
    int length, band_count;
    double rate;           /* samples a second */
    const double *edges;   /* (band_count + 1): edges[k] <= f < edges[k + 1] */
    int taper;             /* an mbr_taper, or -1: none */
    bool centre;           /* the mean is taken off */
    mbr_dft_args dft;
} mbr_bands;

void mbr_bands_plan(mbr_bands *b, int length, double rate, const double *edges, int band_count, int taper, bool centre);

/* Bytes of scratch, 0 on overflow. mbr_bands_init fills it once. */
size_t mbr_bands_scratch(const mbr_bands *b);
void mbr_bands_init(const mbr_bands *b, void *scratch);

/*
 * The power of x (length) in each band: without a taper the bands of all frequencies add up to the mean of x * x. As
 * the sum of scipy.signal.periodogram(x, rate, window, scaling="density") times rate / length. NaN where a sample is
 * missing.
 */
void mbr_bands_row(const mbr_bands *b, void *scratch, const double *x, double *out);

#endif

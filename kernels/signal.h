/* SPDX-License-Identifier: BSD-2-Clause */
/* Fourier transforms, window functions and mel filter banks, plain C in double, but where it says so. */
#ifndef MBR_KERNELS_SIGNAL_H
#define MBR_KERNELS_SIGNAL_H

#include "kernels/view.h"
#include "mbr/dtype.h"

/*
 * One discrete Fourier transform of length n >= 1:
 *     X[k] = sum over i of x[i] e^(-2 pi i k sqrt(-1) / n);  inverse: with the other sign, divided by n
 * It reads in_count elements (the rest are 0), each times window[i] where there is one, and writes bins 0 .. bins - 1.
 * half: the input holds the first n / 2 + 1 bins of a spectrum whose other half mirrors it; the output is real.
 * Strides count elements, a complex one being a pair.
 */
typedef struct mbr_dft_args {
    mbr_dtype dtype, window_dtype;
    size_t n, in_count, bins;
    ptrdiff_t in_stride, out_stride;
    bool in_complex, out_complex, inverse, half;
    bool single; /* complex f32 is transformed in f32 where n has no factors but 2, 3 and 5; else all is in double */
    const void *window; /* (n) or NULL */
} mbr_dft_args;

/* Bytes of scratch, 0 on overflow; mbr_dft_init fills its tables once, then any number of transforms follow. */
size_t mbr_dft_scratch(size_t n);
void mbr_dft_init(const mbr_dft_args *args, void *scratch);
void mbr_dft(const mbr_dft_args *args, void *scratch, const void *in, void *out);

typedef enum mbr_taper { MBR_TAPER_HANN, MBR_TAPER_HAMMING, MBR_TAPER_BLACKMAN } mbr_taper;

/* A window of n samples; periodic: as if of n + 1 without the last. */
void mbr_taper_fill(mbr_taper kind, mbr_dtype dtype, bool periodic, size_t n, void *out);

/* out (dft_length / 2 + 1, bins): triangles, evenly spaced in mel. False when edges or rates make no sense. */
bool mbr_mel_weights(mbr_dtype dtype, int64_t bins, int64_t dft_length, int64_t sample_rate, double low, double high,
                     void *out);

#endif

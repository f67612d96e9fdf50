/* SPDX-License-Identifier: BSD-2-Clause */
/* Mel scales and banks of triangles, as librosa.filters.mel makes them: in double, rounded to f32. */
#include "runtime/audio/audio_impl.h"

#include <math.h>

/* Slaney's scale: linear below 1000 Hz, logarithmic above. */
#define LINEAR_STEP (200.0 / 3)
#define BEND_HERTZ 1000.0
#define BEND_MEL (BEND_HERTZ / LINEAR_STEP)

static double log_step(void)
{
    return log(6.4) / 27;
}

static double mel_of(double hertz, mbr_mel_scale scale)
{
    if (scale == MBR_MEL_HTK)
        return 2595 * log10(1 + hertz / 700);
    return hertz >= BEND_HERTZ ? BEND_MEL + log(hertz / BEND_HERTZ) / log_step() : hertz / LINEAR_STEP;
}

static double hertz_of(double mel, mbr_mel_scale scale)
{
    if (scale == MBR_MEL_HTK)
        return 700 * (pow(10, mel / 2595) - 1);
    return mel >= BEND_MEL ? BEND_HERTZ * exp(log_step() * (mel - BEND_MEL)) : mel * LINEAR_STEP;
}

static double edge(const mbr_features_options *o, int i)
{
    double low = mel_of(o->low, o->scale), high = mel_of(o->high, o->scale);
    return hertz_of(low + (high - low) * i / (o->mels + 1), o->scale);
}

mbr_status mbr_mel_bank(mbr_arena *arena, const mbr_features_options *o, mbr_mel_row **out, mbr_error *err)
{
    size_t bins = (size_t)o->n_fft / 2 + 1, rows = (size_t)o->mels;
    mbr_mel_row *bank = mbr_arena_calloc(arena, rows, sizeof *bank);
    float *row = mbr_arena_calloc(arena, bins, sizeof *row);
    if (!bank || !row)
        return mbr_no_memory(err, rows * sizeof *bank);
    for (int m = 0; m < o->mels; m++) {
        double low = edge(o, m), top = edge(o, m + 1), high = edge(o, m + 2);
        double scale = o->norm == MBR_MEL_NORM_SLANEY ? 2 / (high - low) : 1;
        uint32_t first = 0, last = 0; /* bins that weigh something */
        for (size_t k = 0; k < bins; k++) {
            double hertz = (double)k * o->rate / o->n_fft;
            double up = (hertz - low) / (top - low), down = (high - hertz) / (high - top);
            double w = up < down ? up : down;
            row[k] = w > 0 ? (float)((double)(float)w * scale) : 0;
            if (row[k] > 0) {
                first = last ? first : (uint32_t)k;
                last = (uint32_t)k + 1;
            }
        }
        bank[m].first = first;
        bank[m].count = last - first;
        bank[m].weights = mbr_arena_copy(arena, row + first, (last - first) * sizeof *row);
        if (!bank[m].weights)
            return mbr_no_memory(err, bins * sizeof *row);
    }
    *out = bank;
    return MBR_OK;
}

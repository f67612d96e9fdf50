/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of audio share. */
#ifndef MBR_RUNTIME_AUDIO_IMPL_H
#define MBR_RUNTIME_AUDIO_IMPL_H

#include "base/env.h"
#include "base/memory.h"
#include "mbr/audio.h"
#include "runtime/drift/drift_file.h"

struct mbr_audio {
    mbr_env *env;
    mbr_memory *memory;
    int channels, rate;
    size_t frames;
    float *samples; /* (channels, frames) */
};

/* Not zeroed. */
mbr_status mbr_audio_make(mbr_env *env, int channels, size_t frames, int rate, mbr_audio **out, mbr_error *err);

/* Room for so many floats in all, of which used are kept. */
mbr_status mbr_audio_reserve(mbr_memory *memory, float **block, size_t used, size_t count, mbr_error *err);

/* ---- another rate (audio_resample.c) ---- */

/* up / down: the rates without what they have in common. */
typedef struct mbr_phases {
    mbr_memory *memory;
    int64_t up, down, taps;
    int64_t *first; /* (up): where a phase begins, from sample (m / up) * down on */
    float *weights; /* (up, taps), in the block of first */
} mbr_phases;

/* The defaults filled in, and checked. */
mbr_status mbr_resample_read(mbr_resample_options *o, const mbr_resample_options *from, mbr_error *err);
/* From `rate`, which is not o->rate. On failure there is nothing to free. */
mbr_status mbr_phases_make(mbr_memory *memory, const mbr_resample_options *o, int rate, mbr_phases *t, mbr_error *err);
void mbr_phases_free(mbr_phases *t); /* zeroed: fine */

/* How far one channel of a sound is. All zero: at its begin. */
typedef struct mbr_resampling {
    int64_t count; /* samples that came so far */
    int64_t first; /* of them the first that is still there */
    int64_t base, phase; /* of the next result: base is a multiple of down */
} mbr_resampling;

/* Results that no later sample changes; ended: none follows, and it is all that are left. */
int64_t mbr_phases_due(const mbr_phases *t, const mbr_resampling *at, bool ended);
/* The next `due` of them; x[0] is sample at->first. */
void mbr_phases_some(const mbr_phases *t, mbr_resampling *at, const float *x, int64_t due, float *y);
/* How many samples at the front are needed no more once all that was due is taken; fewer than taps are left. */
int64_t mbr_phases_forget(const mbr_phases *t, mbr_resampling *at);

/* A sound in pieces, its samples that are still there in `held`. What is read is checked: in->bad. */
#define MBR_RESAMPLING_MOST(t) (INT64_MAX / 4 / ((t)->up > (t)->down ? (t)->up : (t)->down)) /* samples of a sound */
uint64_t mbr_resampling_digest(const mbr_phases *t, const mbr_resample_options *o);
void mbr_resampling_write(const mbr_resampling *at, const float *held, mbr_out *out);
void mbr_resampling_read(const mbr_phases *t, mbr_resampling *at, float *held, mbr_in *in); /* held: (taps) */

/* ---- frames side by side ---- */

/* Frames that go through a transform together, so that each operation is one of a vector. */
#define MBR_AUDIO_LANES 8

typedef struct mbr_lanes {
    float v[MBR_AUDIO_LANES];
} mbr_lanes;

/* Complex numbers of each lane. */
typedef struct mbr_lane_pairs {
    mbr_lanes re, im;
} mbr_lane_pairs;

/* A complex transform of n points without factors but 2, 3 and 5. */
typedef struct mbr_lane_fft {
    size_t n;
    int passes;
    uint8_t factor[40];
    float *roots; /* pairs */
} mbr_lane_fft;

bool mbr_lane_fft_fits(size_t n);
/* Floats that the roots of a transform need. */
size_t mbr_lane_fft_roots(size_t n);
/* roots: room for them, kept. */
void mbr_lane_fft_init(mbr_lane_fft *f, size_t n, float *roots);
/* Transforms x (n); y (n) is room. Returns where the result is: x or y. */
mbr_lane_pairs *mbr_lane_fft_run(const mbr_lane_fft *f, mbr_lane_pairs *x, mbr_lane_pairs *y);

/* ---- features ---- */

/* A row of a mel bank: weights of bins from first on. */
typedef struct mbr_mel_row {
    uint32_t first, count;
    const float *weights;
} mbr_mel_row;

struct mbr_features {
    mbr_env *env;
    mbr_memory *memory;
    mbr_arena arena;
    mbr_features_options o;  /* defaults filled in */
    size_t n, bins_fft;      /* n_fft, n / 2 + 1 */
    size_t pad;              /* before and behind */
    size_t bins, parts;      /* what a frame gives; parts: 2 for pairs */
    bool whole;              /* something looks at the whole sound */
    float *window;           /* (n) */
    bool packed;             /* n is even, and the transform of n / 2 points fits */
    mbr_lane_fft fft;
    float *turns;            /* pairs (n / 4 + 1): e^(-2 pi i k / n) */
    mbr_mel_row *mels;       /* (o.mels) */
    float *cosines;          /* (o.mfcc, o.mels), lifter included */
};

/* Room for one group of frames on its way; one block: mbr_free(memory, s->block). */
typedef struct mbr_features_scratch {
    void *block;
    float *frame;          /* (LANES, n): frames that reach into the padding */
    mbr_lane_pairs *x, *y; /* (bins_fft) */
    mbr_lanes *spectrum;   /* (bins_fft) */
    float *line;           /* (2 * bins_fft), of a transform by the kernel */
    void *dft;
} mbr_features_scratch;

mbr_status mbr_features_room(const mbr_features *f, mbr_features_scratch *s, mbr_error *err);

/*
 * Frames first to last - 1 of a sound of `count` samples, x[0] being sample x_first of it: spectrum, bank, logarithm;
 * neither what looks at the whole sound nor cosines. Value b of frame k goes to out[b * step_bin + (k - first) *
 * step_frame], pairs to two values there. What the frames need must be there.
 */
void mbr_features_some(const mbr_features *f, mbr_features_scratch *s, const float *x, int64_t x_first, int64_t count,
                       int64_t first, int64_t last, float *out, size_t step_bin, size_t step_frame);

/* The logarithms of a mel bank of one frame (in[b * step_in]) to mfcc. */
void mbr_features_cosines(const mbr_features *f, const float *in, size_t step_in, float *out, size_t step_out);

/* Triangles of a mel bank as rows on the arena. */
mbr_status mbr_mel_bank(mbr_arena *arena, const mbr_features_options *o, mbr_mel_row **out, mbr_error *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Audio: from a file or a microphone to the features that a model takes, as librosa computes them.
 *
 *     mbr_audio *sound, *mono, *speech;
 *     mbr_features *mel;
 *     mbr_value *input;
 *     mbr_audio_open(env, "call.wav", &sound, &err);
 *     mbr_audio_mono(sound, &mono, &err);
 *     mbr_resample_options rate = { .size = sizeof rate, .rate = 16000 };
 *     mbr_audio_resample(mono, &rate, &speech, &err);
 *     mbr_features_options how = { .size = sizeof how, .kind = MBR_FEATURES_MEL, .rate = 16000, .n_fft = 400,
 *                                  .hop = 160, .mels = 80, .log = MBR_FEATURES_LOG_DB };
 *     mbr_features_new(env, &how, &mel, &err);                  // once: tables
 *     mbr_features_audio(mel, speech, &input, &err);            // (80, frames) f32
 *     mbr_features_release(&mel);
 *     ...
 *
 * A sound is f32 samples, channel after channel, nominally -1 to 1. A step makes a new sound, which is the caller's,
 * and leaves the old one as it is. On failure *out is NULL.
 *
 * What is equal to which library is told in docs/audio.md.
 *
 * Threads: a sound and features may be used by any number of threads at once (but not while they are released); a
 * stream by one at a time. Everything runs on the calling thread.
 */
#ifndef MBR_AUDIO_H
#define MBR_AUDIO_H

#include "mbr/env.h"
#include "mbr/model.h"
#include "mbr/value.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MBR_AUDIO_MAX_CHANNELS 64
#define MBR_AUDIO_MAX_RATE 768000

typedef struct mbr_audio mbr_audio;

typedef struct mbr_audio_info {
    size_t size; /* set by the caller to sizeof(mbr_audio_info) */
    int channels, rate;
    size_t frames;  /* samples a channel */
    float *samples; /* (channels, frames) */
} mbr_audio_info;

/* How a sample lies in a file. */
typedef enum mbr_pcm {
    MBR_PCM_U8 = 0,
    MBR_PCM_S16 = 1, /* all little-endian */
    MBR_PCM_S24 = 2, /* three bytes */
    MBR_PCM_S32 = 3,
    MBR_PCM_F32 = 4,
    MBR_PCM_F64 = 5
} mbr_pcm;

/* ---- making ---- */

/* All zero. MBR_ERR_ARGUMENT for channels outside of 1 to MBR_AUDIO_MAX_CHANNELS, rates of 1 to MBR_AUDIO_MAX_RATE. */
MBR_API mbr_status mbr_audio_new(mbr_env *env, int channels, size_t frames, int rate, mbr_audio **out, mbr_error *err);
/*
 * A WAV file: PCM of 8, 16, 24 and 32 bits, floats of 32 and 64, also as WAVE_FORMAT_EXTENSIBLE; whole numbers become
 * sample / 2^(bits - 1). A data chunk of unknown length (0xFFFFFFFF, as pipes write it) goes to the end of the file.
 * MBR_ERR_FORMAT for what is broken or cut short, MBR_ERR_UNSUPPORTED for RF64, big-endian files and other codings.
 */
MBR_API mbr_status mbr_audio_open(mbr_env *env, const char *path, mbr_audio **out, mbr_error *err);
MBR_API mbr_status mbr_audio_open_memory(mbr_env *env, const void *data, size_t bytes, const char *name,
                                         mbr_audio **out, mbr_error *err);
/* Samples without a header, the channels interleaved; bytes must be whole frames. */
MBR_API mbr_status mbr_audio_open_pcm(mbr_env *env, const void *data, size_t bytes, mbr_pcm coding, int channels,
                                      int rate, mbr_audio **out, mbr_error *err);
/* Releases *audio and sets it to NULL. NULL and a pointer to NULL are fine. */
MBR_API void mbr_audio_release(mbr_audio **audio);

MBR_API void mbr_audio_tell(const mbr_audio *audio, mbr_audio_info *info);

/* ---- steps ---- */

/* The mean of the channels. */
MBR_API mbr_status mbr_audio_mono(const mbr_audio *audio, mbr_audio **out, mbr_error *err);
/* `frames` samples a channel from `first` on; zeros where the sound has none. */
MBR_API mbr_status mbr_audio_cut(const mbr_audio *audio, size_t first, size_t frames, mbr_audio **out, mbr_error *err);

/* Windowed sincs, one for each phase; the library and the name they have there. */
typedef enum mbr_resampler {
    MBR_RESAMPLE_SCIPY = 0,         /* scipy.signal.resample_poly, librosa's res_type="polyphase" */
    MBR_RESAMPLE_TORCHAUDIO = 1,    /* torchaudio.functional.resample, sinc_interp_hann */
    MBR_RESAMPLE_TORCHAUDIO_KAISER = 2 /* the same, sinc_interp_kaiser */
} mbr_resampler;

typedef struct mbr_resample_options {
    size_t size; /* sizeof(mbr_resample_options) */
    int rate;
    mbr_resampler resampler;
    int width;      /* torchaudio: lowpass_filter_width; 0: 6 */
    double rolloff; /* torchaudio; 0: 0.99 */
    double beta;    /* of the Kaiser window; 0: 5 (scipy), 14.769656459379492 (torchaudio) */
} mbr_resample_options;

/* MBR_ERR_LIMIT for a pair of rates whose table of phases would pass 64 MiB. */
MBR_API mbr_status mbr_audio_resample(const mbr_audio *audio, const mbr_resample_options *options, mbr_audio **out,
                                      mbr_error *err);

/* ---- features ---- */

typedef enum mbr_features_kind {
    MBR_FEATURES_FRAMES = 0,    /* (n_fft, frames): librosa.util.frame, without a window */
    MBR_FEATURES_STFT = 1,      /* (n_fft / 2 + 1, frames, 2): real and imaginary part */
    MBR_FEATURES_MAGNITUDE = 2, /* (n_fft / 2 + 1, frames) */
    MBR_FEATURES_POWER = 3,
    MBR_FEATURES_MEL = 4,       /* (mels, frames) */
    MBR_FEATURES_MFCC = 5       /* (mfcc, frames); MBR_FEATURES_LOG_DB and top_db 80 unless said otherwise */
} mbr_features_kind;

typedef enum mbr_window {
    MBR_WINDOW_HANN = 0, /* periodic all */
    MBR_WINDOW_HAMMING = 1,
    MBR_WINDOW_BLACKMAN = 2,
    MBR_WINDOW_ONES = 3
} mbr_window;

/* What stands before and after a sound, n_fft / 2 samples of it, so that a frame's time is its centre. */
typedef enum mbr_padding {
    MBR_PADDING_ZERO = 0,
    MBR_PADDING_REFLECT = 1,
    MBR_PADDING_EDGE = 2,
    MBR_PADDING_NONE = 3 /* the first frame begins with the first sample; a sound shorter than a frame is refused */
} mbr_padding;

typedef enum mbr_features_log {
    MBR_FEATURES_LINEAR = 0,
    MBR_FEATURES_LOG_DB = 1,      /* librosa.power_to_db: 10 log10(max(floor, x) / reference) */
    MBR_FEATURES_LOG_LN = 2,      /* ln(max(floor, x)) */
    MBR_FEATURES_LOG_LN_PLUS = 3, /* ln(x + floor) */
    MBR_FEATURES_LOG_LOG10 = 4,   /* log10(max(floor, x)) */
    MBR_FEATURES_LOG_WHISPER = 5  /* log10, cut 8 below the largest, (x + 4) / 4; without the last frame */
} mbr_features_log;

typedef enum mbr_mel_scale {
    MBR_MEL_SLANEY = 0,
    MBR_MEL_HTK = 1
} mbr_mel_scale;

typedef enum mbr_mel_norm {
    MBR_MEL_NORM_SLANEY = 0, /* triangles of equal area */
    MBR_MEL_NORM_NONE = 1
} mbr_mel_norm;

/* Zero is librosa's default, where there is one. */
typedef struct mbr_features_options {
    size_t size; /* sizeof(mbr_features_options) */
    mbr_features_kind kind;
    int rate;         /* of the sounds; 0: 22050 */
    int n_fft;        /* 0: 2048; 2 to 65536, any number */
    int hop;          /* 0: win / 4 */
    int win;          /* 0: n_fft; shorter windows stand in the middle of a frame */
    mbr_window window;
    mbr_padding padding;
    double exponent;  /* of the magnitude below a mel bank: 0: 2 (power); 1 */
    int mels;         /* 0: 128 */
    double low, high; /* Hz; high 0: rate / 2 */
    mbr_mel_scale scale;
    mbr_mel_norm norm;
    mbr_features_log log;
    double floor;     /* 0: 1e-10 */
    double reference; /* dB: 0: 1; -1: the largest value of the sound */
    double top_db;    /* dB: cut so far below the largest; 0: 80; -1: do not */
    int mfcc;         /* 0: 20 */
    double lifter;    /* 0: none */
    int frames_first; /* not 0: the other way round, (frames, mels) */
} mbr_features_options;

typedef struct mbr_features mbr_features;

/* Makes the tables. Nothing but options->size need be set. MBR_ERR_ARGUMENT says which option is wrong. */
MBR_API mbr_status mbr_features_new(mbr_env *env, const mbr_features_options *options, mbr_features **out,
                                    mbr_error *err);
MBR_API void mbr_features_release(mbr_features **features);

/* How many values a frame has, and how many frames a sound of so many samples. */
MBR_API size_t mbr_features_bins(const mbr_features *features);
MBR_API size_t mbr_features_frames(const mbr_features *features, size_t samples);

/* All frames of some samples, as f32; see mbr_features_kind for the shape. MBR_ERR_INPUT for too few samples. */
MBR_API mbr_status mbr_features_run(const mbr_features *features, const float *samples, size_t count, mbr_value **out,
                                    mbr_error *err);
/* The same of a sound of one channel, whose rate must be that of the options. */
MBR_API mbr_status mbr_features_audio(const mbr_features *features, const mbr_audio *audio, mbr_value **out,
                                      mbr_error *err);
/* The same into memory of the caller, room for `room` values. */
MBR_API mbr_status mbr_features_fill(const mbr_features *features, const float *samples, size_t count, float *values,
                                     size_t room, mbr_error *err);

/* ---- streams ---- */

/*
 * Samples as they come, in pieces of any length: the frames are those that the whole has, bit for bit. Frames that need
 * what is yet to come wait inside (n_fft samples at most, beside the pieces themselves). What looks at the whole sound
 * (top_db, reference -1, Whisper's cut) is refused by mbr_audio_stream_new: set top_db to -1.
 *
 *     mbr_audio_stream_new(mel, &s, &err);
 *     while (...) {
 *         mbr_audio_stream_push(s, samples, count, &err);
 *         mbr_audio_stream_take(s, &frames, &n);        // (n, bins)
 *     }
 *     mbr_audio_stream_end(s, &err);                    // the padding behind; then take the last frames
 */
typedef struct mbr_audio_stream mbr_audio_stream;

/* The features must outlive the stream. */
MBR_API mbr_status mbr_audio_stream_new(const mbr_features *features, mbr_audio_stream **out, mbr_error *err);
MBR_API void mbr_audio_stream_release(mbr_audio_stream **stream);
MBR_API mbr_status mbr_audio_stream_push(mbr_audio_stream *stream, const float *samples, size_t count, mbr_error *err);
/* No sample follows. MBR_ERR_INPUT when there were too few for a frame. */
MBR_API mbr_status mbr_audio_stream_end(mbr_audio_stream *stream, mbr_error *err);
/* Frames that are ready, one after the other, bins values each (pairs for an STFT); valid until the next call. */
MBR_API void mbr_audio_stream_take(mbr_audio_stream *stream, const float **frames, size_t *count);
/* As new. */
MBR_API void mbr_audio_stream_reset(mbr_audio_stream *stream);

/*
 * Another rate, of one channel whose samples come in pieces of any length, empty ones too: the result is that of
 * mbr_audio_resample of the whole, bit for bit, whatever the pieces. What waits inside is fewer samples than a phase has
 * weights (20 max(from, to) / to + 2 of scipy's), beside the largest piece and what it gave. Before a stream of
 * features:
 *
 *     mbr_audio_resampler_new(env, 44100, &rate, &r, &err);  // rate.rate: 16000
 *     while (...) {
 *         mbr_audio_resampler_push(r, samples, count, &err);
 *         mbr_audio_resampler_take(r, &even, &n);
 *         mbr_audio_stream_push(s, even, n, &err);
 *     }
 *     mbr_audio_resampler_end(r, &err);                      // then take the last samples
 */
typedef struct mbr_audio_resampler mbr_audio_resampler;

/* rate: of what comes. Errors are those of mbr_audio_resample. Where both rates are the same the samples go through. */
MBR_API mbr_status mbr_audio_resampler_new(mbr_env *env, int rate, const mbr_resample_options *options,
                                           mbr_audio_resampler **out, mbr_error *err);
MBR_API void mbr_audio_resampler_release(mbr_audio_resampler **resampler);
/* On failure it is as if it had not been called, but that samples that were taken are gone. */
MBR_API mbr_status mbr_audio_resampler_push(mbr_audio_resampler *resampler, const float *samples, size_t count,
                                            mbr_error *err);
/* No sample follows, unless it is reset. */
MBR_API mbr_status mbr_audio_resampler_end(mbr_audio_resampler *resampler, mbr_error *err);
/* Samples that are ready; valid until the next call. */
MBR_API void mbr_audio_resampler_take(mbr_audio_resampler *resampler, const float **samples, size_t *count);
/* As new. */
MBR_API void mbr_audio_resampler_reset(mbr_audio_resampler *resampler);
/*
 * Where it is as bytes, and a resampler of the same rates and options there again. MBR_ERR_ARGUMENT while samples are
 * ready that nobody has taken. The bytes may come from anywhere: MBR_ERR_FORMAT for what is damaged, MBR_ERR_INPUT for
 * those of other rates or options; the resampler is then as new.
 */
MBR_API mbr_status mbr_audio_resampler_save(const mbr_audio_resampler *resampler, mbr_write_fn write, void *user,
                                            mbr_error *err);
MBR_API mbr_status mbr_audio_resampler_restore(mbr_audio_resampler *resampler, const void *bytes, size_t size,
                                               mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* WAV files and bare samples. Every length in a file is checked against the bytes that are left. */
#include "runtime/audio/audio_impl.h"

#include "base/checked.h"
#include "base/filemap.h"

#include <string.h>

/* ---- samples ---- */

static const uint8_t coding_bytes[] = { 1, 2, 3, 4, 4, 8 };

static uint32_t u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | u16(p + 2) << 16;
}

/* One channel: a sample every step bytes. */
static void read_samples(mbr_pcm coding, const uint8_t *p, size_t step, float *to, size_t count)
{
    switch (coding) {
    case MBR_PCM_U8:
        for (size_t i = 0; i < count; i++)
            to[i] = (float)((int)p[i * step] - 128) / 128.0f;
        break;
    case MBR_PCM_S16:
        for (size_t i = 0; i < count; i++)
            to[i] = (float)(int16_t)u16(p + i * step) / 32768.0f;
        break;
    case MBR_PCM_S24:
        for (size_t i = 0; i < count; i++) {
            const uint8_t *b = p + i * step;
            to[i] = (float)(int32_t)(u16(b) << 8 | (uint32_t)b[2] << 24) / 2147483648.0f;
        }
        break;
    case MBR_PCM_S32:
        for (size_t i = 0; i < count; i++)
            to[i] = (float)(int32_t)u32(p + i * step) / 2147483648.0f;
        break;
    case MBR_PCM_F32:
        for (size_t i = 0; i < count; i++) {
            uint32_t bits = u32(p + i * step);
            memcpy(&to[i], &bits, sizeof bits);
        }
        break;
    default:
        for (size_t i = 0; i < count; i++) {
            uint64_t bits = u32(p + i * step) | (uint64_t)u32(p + i * step + 4) << 32;
            double x;
            memcpy(&x, &bits, sizeof bits);
            to[i] = (float)x;
        }
    }
}

mbr_status mbr_audio_open_pcm(mbr_env *env, const void *data, size_t bytes, mbr_pcm coding, int channels, int rate,
                              mbr_audio **out, mbr_error *err)
{
    *out = NULL;
    if ((unsigned)coding > MBR_PCM_F64 || channels < 1 || channels > MBR_AUDIO_MAX_CHANNELS)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "samples of coding %d in %d channels; there are codings 0 to %d, and at "
                        "most %d channels", (int)coding, channels, MBR_PCM_F64, MBR_AUDIO_MAX_CHANNELS);
    size_t one = coding_bytes[coding], step = one * (size_t)channels, frames = bytes / step;
    if (bytes % step)
        return mbr_fail(err, MBR_ERR_FORMAT, "%zu bytes are no whole number of frames of %zu bytes; check coding and "
                        "channels", bytes, step);
    MBR_TRY(mbr_audio_make(env, channels, frames, rate, out, err));
    for (size_t c = 0; c < (size_t)channels && frames; c++)
        read_samples(coding, (const uint8_t *)data + c * one, step, (*out)->samples + c * frames, frames);
    return MBR_OK;
}

/* ---- WAV ---- */

enum { TAG_PCM = 1, TAG_FLOAT = 3, TAG_EXTENSIBLE = 0xFFFE };

typedef struct wav_format {
    uint32_t tag, channels, rate, step, bits;
    mbr_pcm coding;
} wav_format;

/* The fmt chunk: n bytes. */
static mbr_status read_format(const uint8_t *p, size_t n, const char *name, wav_format *f, mbr_error *err)
{
    static const uint8_t guid_tail[] = { 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71 };
    if (n < 16)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: its 'fmt ' chunk has %zu bytes; at least 16 are due", name, n);
    *f = (wav_format){ .tag = u16(p), .channels = u16(p + 2), .rate = u32(p + 4), .step = u16(p + 12),
                       .bits = u16(p + 14) };
    if (f->tag == TAG_EXTENSIBLE) {
        if (n < 40 || memcmp(p + 26, guid_tail, sizeof guid_tail) != 0)
            return mbr_fail(err, n < 40 ? MBR_ERR_FORMAT : MBR_ERR_UNSUPPORTED, "%s: its extensible format is %s", name,
                            n < 40 ? "cut short" : "none of the usual ones");
        f->tag = u16(p + 24);
    }
    bool sound = true;
    if (f->tag == TAG_PCM && f->bits >= 8 && f->bits <= 32 && f->bits % 8 == 0)
        f->coding = (mbr_pcm)(f->bits / 8 - 1);
    else if (f->tag == TAG_FLOAT && (f->bits == 32 || f->bits == 64))
        f->coding = f->bits == 32 ? MBR_PCM_F32 : MBR_PCM_F64;
    else
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: coding %u of %u bits; PCM of 8, 16, 24 and 32 bits and floats "
                        "of 32 and 64 are read. Convert it, with `ffmpeg -i IN -c:a pcm_s16le OUT.wav` say", name,
                        f->tag, f->bits);
    sound = f->channels >= 1 && f->channels <= MBR_AUDIO_MAX_CHANNELS && f->rate >= 1 &&
            f->rate <= MBR_AUDIO_MAX_RATE && f->step == f->channels * coding_bytes[f->coding];
    return sound ? MBR_OK
                 : mbr_fail(err, MBR_ERR_FORMAT, "%s: %u channels at %u Hz in frames of %u bytes make no sense", name,
                            f->channels, f->rate, f->step);
}

mbr_status mbr_audio_open_memory(mbr_env *env, const void *data, size_t bytes, const char *name, mbr_audio **out,
                                 mbr_error *err)
{
    *out = NULL;
    const uint8_t *p = data, *end = p + bytes;
    wav_format f = { 0 };
    bool known = false;
    if (bytes >= 4 && (memcmp(p, "RF64", 4) == 0 || memcmp(p, "BW64", 4) == 0 || memcmp(p, "RIFX", 4) == 0))
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: is a%s file, which is not read; cut it into WAV files below 4 "
                        "GiB or convert it", name, p[3] == 'X' ? " big-endian RIFX" : "n RF64");
    if (bytes < 12 || memcmp(p, "RIFF", 4) != 0 || memcmp(p + 8, "WAVE", 4) != 0)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: is no WAV file", name);
    for (p += 12; end - p >= 8;) {
        size_t n = u32(p + 4), left = (size_t)(end - p) - 8;
        bool is_data = memcmp(p, "data", 4) == 0;
        if (is_data && n == UINT32_MAX && known) /* written to a pipe: until the end */
            n = left - left % f.step;
        if (n > left)
            return mbr_fail(err, MBR_ERR_FORMAT, "%s: is cut short: a chunk of %zu bytes, and %zu are left", name, n,
                            left);
        if (memcmp(p, "fmt ", 4) == 0) {
            MBR_TRY(read_format(p + 8, n, name, &f, err));
            known = true;
        } else if (is_data && known) {
            mbr_status st = mbr_audio_open_pcm(env, p + 8, n, f.coding, (int)f.channels, (int)f.rate, out, err);
            return st == MBR_OK ? st : mbr_fail_at(err, st, "%s: ", name);
        } else if (is_data) {
            return mbr_fail(err, MBR_ERR_FORMAT, "%s: its samples stand before their format", name);
        }
        n += n & 1 && n < left; /* chunks begin at even places */
        p += 8 + n;
    }
    return mbr_fail(err, MBR_ERR_FORMAT, "%s: has no '%s' chunk", name, known ? "data" : "fmt ");
}

mbr_status mbr_audio_open(mbr_env *env, const char *path, mbr_audio **out, mbr_error *err)
{
    *out = NULL;
    mbr_filemap map;
    MBR_TRY(mbr_filemap_open(&map, mbr_env_heap(env), path, err));
    mbr_status st = mbr_audio_open_memory(env, map.data, map.size, path, out, err);
    mbr_filemap_close(&map);
    return st;
}

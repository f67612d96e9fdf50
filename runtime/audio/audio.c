/* SPDX-License-Identifier: BSD-2-Clause */
/* The sound value, and the steps that only move samples. */
#include "runtime/audio/audio_impl.h"

#include "base/checked.h"

#include <string.h>

mbr_status mbr_audio_make(mbr_env *env, int channels, size_t frames, int rate, mbr_audio **out, mbr_error *err)
{
    *out = NULL;
    if (channels < 1 || channels > MBR_AUDIO_MAX_CHANNELS || rate < 1 || rate > MBR_AUDIO_MAX_RATE)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a sound of %d channels at %d Hz; 1 to %d channels and 1 to %d Hz are "
                        "due", channels, rate, MBR_AUDIO_MAX_CHANNELS, MBR_AUDIO_MAX_RATE);
    mbr_memory *memory = mbr_env_heap(env);
    size_t bytes = SIZE_MAX;
    mbr_audio *audio = mbr_calloc(memory, 1, sizeof *audio);
    if (!audio)
        return mbr_no_memory(err, sizeof *audio);
    *audio = (mbr_audio){ .env = env, .memory = memory, .channels = channels, .rate = rate, .frames = frames };
    if (mbr_mul_size(frames, (size_t)channels * sizeof(float), &bytes))
        audio->samples = mbr_alloc(memory, bytes);
    if (!audio->samples) {
        mbr_free(memory, audio);
        return mbr_fail(err, MBR_ERR_NO_MEMORY, "a sound of %zu samples in %d channels: %zu bytes are not to be had; "
                        "raise the memory limit or use a shorter sound", frames, channels, bytes);
    }
    *out = audio;
    return MBR_OK;
}

mbr_status mbr_audio_new(mbr_env *env, int channels, size_t frames, int rate, mbr_audio **out, mbr_error *err)
{
    MBR_TRY(mbr_audio_make(env, channels, frames, rate, out, err));
    memset((*out)->samples, 0, frames * (size_t)channels * sizeof(float));
    return MBR_OK;
}

void mbr_audio_release(mbr_audio **audio)
{
    if (!audio || !*audio)
        return;
    mbr_free((*audio)->memory, (*audio)->samples);
    mbr_free((*audio)->memory, *audio);
    *audio = NULL;
}

void mbr_audio_tell(const mbr_audio *audio, mbr_audio_info *info)
{
    mbr_audio_info all = { .size = info->size, .channels = audio->channels, .rate = audio->rate,
                           .frames = audio->frames, .samples = audio->samples };
    memcpy(info, &all, mbr_min_size(info->size, sizeof all));
}

/* numpy's mean of a short axis: a sum in f32, channel after channel, divided once. */
mbr_status mbr_audio_mono(const mbr_audio *audio, mbr_audio **out, mbr_error *err)
{
    MBR_TRY(mbr_audio_make(audio->env, 1, audio->frames, audio->rate, out, err));
    float *y = (*out)->samples;
    memcpy(y, audio->samples, audio->frames * sizeof *y);
    for (int c = 1; c < audio->channels; c++) {
        const float *x = audio->samples + (size_t)c * audio->frames;
        for (size_t i = 0; i < audio->frames; i++)
            y[i] += x[i];
    }
    if (audio->channels > 1)
        for (size_t i = 0; i < audio->frames; i++)
            y[i] /= (float)audio->channels;
    return MBR_OK;
}

mbr_status mbr_audio_cut(const mbr_audio *audio, size_t first, size_t frames, mbr_audio **out, mbr_error *err)
{
    MBR_TRY(mbr_audio_new(audio->env, audio->channels, frames, audio->rate, out, err));
    size_t there = first < audio->frames ? mbr_min_size(audio->frames - first, frames) : 0;
    for (size_t c = 0; there && c < (size_t)audio->channels; c++)
        memcpy((*out)->samples + c * frames, audio->samples + c * audio->frames + first, there * sizeof(float));
    return MBR_OK;
}

mbr_status mbr_audio_reserve(mbr_memory *memory, float **block, size_t used, size_t count, mbr_error *err)
{
    size_t bytes;
    if (!mbr_mul_size(count, sizeof **block, &bytes))
        return mbr_no_memory(err, SIZE_MAX);
    if (*block && mbr_block_bytes(*block) >= bytes)
        return MBR_OK;
    bytes += bytes < SIZE_MAX / 4 ? bytes / 2 : 0;
    void *grown = mbr_grow(memory, *block, used * sizeof **block, bytes);
    if (!grown)
        return mbr_no_memory(err, bytes);
    *block = grown;
    return MBR_OK;
}

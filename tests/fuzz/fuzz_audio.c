/* SPDX-License-Identifier: BSD-2-Clause */
/* A WAV file: the first byte says which allocation fails (255: none), the second what becomes of the sound. */
#include "base/env.h"
#include "mbr/audio.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void use(mbr_env *env, unsigned ask, const mbr_audio *audio)
{
    mbr_audio *mono = NULL, *other = NULL;
    mbr_features *f = NULL;
    mbr_value *value = NULL;
    mbr_error err;
    mbr_audio_info info = { .size = sizeof info };
    mbr_features_options o = { .size = sizeof o, .kind = (mbr_features_kind)(ask % 6), .n_fft = ask & 8 ? 31 : 32,
                               .mels = 4, .mfcc = 3, .padding = (mbr_padding)(ask >> 4 & 3) };
    mbr_resample_options r = { .size = sizeof r, .rate = 8000, .resampler = (mbr_resampler)(ask >> 6 & 1) };
    mbr_audio_tell(audio, &info);
    if (mbr_audio_mono(audio, &mono, &err) == MBR_OK && info.frames < 1 << 16 && info.rate >= 100)
        (void)mbr_audio_resample(mono, &r, &other, &err);
    o.rate = r.rate;
    if (other && mbr_features_new(env, &o, &f, &err) == MBR_OK)
        (void)mbr_features_audio(f, other, &value, &err);
    mbr_value_release(&value);
    mbr_features_release(&f);
    mbr_audio_release(&other);
    mbr_audio_release(&mono);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mbr_env_options options = { .size = sizeof options, .threads = 1, .memory_limit = (size_t)256 << 20 };
    mbr_env *env;
    mbr_audio *audio;
    mbr_error err;
    if (size < 2 || mbr_env_new(&options, &env, &err) != MBR_OK)
        return 0;
    mbr_memory *memory = mbr_env_heap(env);
    size_t before = atomic_load(&memory->in_use);
    if (data[0] != 255)
        atomic_store(&memory->fail_after, data[0]);
    mbr_status st = mbr_audio_open_memory(env, data + 2, size - 2, "fuzz.wav", &audio, &err);
    must((st == MBR_OK) == (audio != NULL));
    must(st == MBR_OK || (err.status == st && err.text[0]));
    if (audio)
        use(env, data[1], audio);
    mbr_audio_release(&audio);
    must(atomic_load(&memory->in_use) == before);
    atomic_store(&memory->fail_after, -1);
    mbr_env_release(&env);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tokenizer.json, a text and ids: the first byte says which allocation fails (255: none), the second one what is asked
 * for; a zero byte parts the file from the text.
 */
#include "base/env.h"
#include "mbr/tokenizer.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void use(mbr_tokenizer *t, unsigned ask, const char *text, size_t size)
{
    mbr_encode_options o = { .size = sizeof o, .no_special_tokens = ask & 1, .char_offsets = ask >> 1 & 1,
                             .refuse_invalid = ask >> 2 & 1, .no_truncation = ask >> 3 & 1, .no_padding = ask >> 4 & 1 };
    mbr_encoding *e;
    mbr_error err;
    size_t cut = ask & 32 ? size / 2 : size;
    if (mbr_encoding_new(t, &e, &err) != MBR_OK)
        return;
    for (int round = 0; round < 2; round++) {
        if (mbr_encoding_encode(e, text, cut, ask & 32 ? text + cut : NULL, size - cut, &o, &err) != MBR_OK)
            continue;
        must(mbr_encoding_count(e) > 0);
        for (size_t i = 0; i < mbr_encoding_count(e); i++) {
            mbr_token_list list = { .size = sizeof list };
            const char *back;
            size_t bytes;
            must(mbr_encoding_get(e, i, &list) == MBR_OK);
            (void)mbr_encoding_decode(e, list.ids, list.count, ask >> 6 & 1, &back, &bytes, NULL);
        }
    }
    mbr_encoding_release(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mbr_env_options options = { .size = sizeof options, .threads = 1, .memory_limit = (size_t)256 << 20 };
    mbr_env *env;
    mbr_tokenizer *t;
    mbr_error err;
    if (size < 2 || mbr_env_new(&options, &env, &err) != MBR_OK)
        return 0;
    mbr_memory *memory = mbr_env_heap(env);
    size_t before = atomic_load(&memory->in_use);
    const char *file = (const char *)data + 2, *end = memchr(file, 0, size - 2);
    size_t bytes = end ? (size_t)(end - file) : size - 2;
    if (data[0] != 255)
        atomic_store(&memory->fail_after, data[0]);
    mbr_status st = mbr_tokenizer_open_memory(env, file, bytes, "fuzz.json", NULL, &t, &err);
    must((st == MBR_OK) == (t != NULL));
    must(st == MBR_OK || (err.status == st && err.text[0]));
    if (t)
        use(t, data[1], end ? end + 1 : "some text, 12", end ? size - 3 - bytes : 13);
    mbr_tokenizer_release(&t);
    must(atomic_load(&memory->in_use) == before);
    atomic_store(&memory->fail_after, -1);
    mbr_env_release(&env);
    return 0;
}

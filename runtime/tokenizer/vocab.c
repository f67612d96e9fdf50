/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/checked.h"
#include "runtime/tokenizer/tokenizer_impl.h"

#include <string.h>

/* Ids above this would only be a hostile file's: the table of texts is as long as the highest. */
#define ID_MOST ((uint32_t)1 << 26)

uint64_t mbr_hash(const char *text, size_t size)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ size, w;
    for (; size >= 8; text += 8, size -= 8) {
        memcpy(&w, text, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    w = 0;
    for (size_t i = 0; i < size; i++)
        w |= (uint64_t)(unsigned char)text[i] << 8 * i;
    h = (h ^ w) * 0xc4ceb9fe1a85ec53u;
    h ^= h >> 29;
    h *= 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

static bool same(mbr_string a, const char *text, size_t size)
{
    return a.size == size && (size == 0 || memcmp(a.data, text, size) == 0);
}

uint32_t mbr_vocab_find(const mbr_vocab *v, const char *text, size_t size)
{
    for (uint32_t i = (uint32_t)mbr_hash(text, size) & v->mask; v->slots[i]; i = (i + 1) & v->mask)
        if (same(v->entries[v->slots[i] - 1].text, text, size))
            return v->entries[v->slots[i] - 1].id;
    return MBR_NO_TOKEN;
}

mbr_status mbr_vocab_build(mbr_vocab *v, mbr_arena *arena, mbr_error *err)
{
    uint32_t slots = 16;
    while (slots / 2 < v->entry_count)
        slots *= 2;
    v->slots = mbr_arena_calloc(arena, slots, sizeof *v->slots);
    if (!v->slots)
        return mbr_no_memory(err, slots * sizeof *v->slots);
    v->mask = slots - 1;
    v->most = 0;
    for (uint32_t k = 0; k < v->entry_count; k++) {
        if (v->entries[k].id >= ID_MOST)
            return mbr_fail(err, MBR_ERR_LIMIT, "a token has the id %u; %u is the highest", v->entries[k].id, ID_MOST - 1);
        if (v->entries[k].id >= v->most)
            v->most = v->entries[k].id + 1;
    }
    v->texts = mbr_arena_calloc(arena, (size_t)v->most + 1, sizeof *v->texts);
    if (!v->texts)
        return mbr_no_memory(err, v->most * sizeof *v->texts);
    for (uint32_t k = 0; k < v->entry_count; k++) {
        mbr_string text = v->entries[k].text;
        uint32_t i = (uint32_t)mbr_hash(text.data, text.size) & v->mask;
        while (v->slots[i] && !same(v->entries[v->slots[i] - 1].text, text.data, text.size))
            i = (i + 1) & v->mask;
        v->count += v->slots[i] == 0;
        v->slots[i] = k + 1; /* of twins the last one counts */
    }
    for (uint32_t i = 0; i < slots; i++)
        if (v->slots[i])
            v->texts[v->entries[v->slots[i] - 1].id] = v->entries[v->slots[i] - 1].text;
    return MBR_OK;
}

mbr_string mbr_token_text(const mbr_tokenizer *t, uint32_t id)
{
    if (id < t->id_most && t->added_of[id]) {
        const mbr_added *a = &t->added[t->added_of[id] - 1];
        return a->normalized ? a->normal : a->text;
    }
    return id < t->vocab.most ? t->vocab.texts[id] : (mbr_string){ 0 };
}

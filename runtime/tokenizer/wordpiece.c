/* SPDX-License-Identifier: BSD-2-Clause */
/* WordPiece takes the longest piece from the left, again and again; WordLevel takes whole words. */
#include "runtime/tokenizer/tokenizer_impl.h"

static mbr_status unknown(mbr_encoding *e, uint32_t size, mbr_error *err)
{
    if (e->t->unk == MBR_NO_TOKEN)
        return mbr_fail(err, MBR_ERR_RUN, "%s: the text holds a word that is unknown, and the unk_token is not in the "
                        "vocabulary", e->t->name);
    mbr_units_add(&e->units, e->t->unk, 0, size);
    return MBR_OK;
}

mbr_status mbr_wordpiece_encode(mbr_encoding *e, const char *text, uint32_t size, mbr_error *err)
{
    const mbr_wordpiece *w = &e->t->wordpiece;
    uint32_t from = e->units.count, at = 0, state = 0;
    if (size > w->most_chars && mbr_utf8_count(text, size) > w->most_chars)
        return unknown(e, size, err);
    while (at < size) {
        uint32_t end = 0, id = MBR_NO_TOKEN;
        for (uint32_t i = at; i < size && state != MBR_TRIE_NONE;) {
            state = mbr_trie_step(&w->trie, state, (unsigned char)text[i++]);
            if (state != MBR_TRIE_NONE && w->trie.units[state].value != MBR_TRIE_NONE) {
                id = w->trie.units[state].value;
                end = i;
            }
        }
        if (id == MBR_NO_TOKEN) {
            e->units.count = from;
            return unknown(e, size, err);
        }
        mbr_units_add(&e->units, id, at, end);
        at = end;
        state = w->continuing;
    }
    return MBR_OK;
}

mbr_status mbr_wordlevel_encode(mbr_encoding *e, const char *text, uint32_t size, mbr_error *err)
{
    uint32_t id = mbr_vocab_find(&e->t->vocab, text, size);
    if (id == MBR_NO_TOKEN)
        return unknown(e, size, err);
    mbr_units_add(&e->units, id, 0, size);
    return MBR_OK;
}

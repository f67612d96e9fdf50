/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The best path through the pieces of a word, by sums of doubles in the library's order: an equal sum does not replace
 * one that was found before. Unknown characters that follow each other are one token.
 */
#include "runtime/tokenizer/tokenizer_impl.h"

static mbr_status find_path(mbr_encoding *e, const char *text, uint32_t size, mbr_error *err)
{
    const mbr_unigram *m = &e->t->unigram;
    mbr_path *path = e->paths;
    for (uint32_t i = 0; i <= size; i++)
        path[i] = (mbr_path){ .from = MBR_NO_TOKEN };
    for (uint32_t at = 0, n; at < size; at += n) {
        double here = path[at].score;
        bool single = false;
        n = mbr_utf8_size((unsigned char)text[at]);
        for (uint32_t i = at, state = 0; i < size;) {
            state = mbr_trie_step(&m->trie, state, (unsigned char)text[i++]);
            if (state == MBR_TRIE_NONE)
                break;
            uint32_t id = m->trie.units[state].value;
            if (id == MBR_TRIE_NONE)
                continue;
            double score = m->scores[id] + here;
            if (path[i].from == MBR_NO_TOKEN || score > path[i].score)
                path[i] = (mbr_path){ score, at, id };
            single |= i - at == n;
        }
        if (single)
            continue;
        double score = m->unk_score + here;
        if (path[at + n].from == MBR_NO_TOKEN || score > path[at + n].score) {
            if (m->unk == MBR_NO_TOKEN)
                return mbr_fail(err, MBR_ERR_RUN, "%s: the text holds something that is unknown, and the model has no "
                                "unk_id", e->t->name);
            path[at + n] = (mbr_path){ score, at, m->unk };
        }
    }
    return MBR_OK;
}

/* A token of the path; what the vocabulary does not know as a whole falls apart into bytes, or is unknown. */
static void add(mbr_encoding *e, const char *text, uint32_t begin, uint32_t end)
{
    const mbr_unigram *m = &e->t->unigram;
    uint32_t id = mbr_vocab_find(&e->t->vocab, text + begin, end - begin);
    if (id == MBR_NO_TOKEN && m->has_fallback) {
        bool all = true;
        for (uint32_t i = begin; i < end && all; i++)
            all = m->fallback[(unsigned char)text[i]] != MBR_NO_TOKEN;
        if (all) {
            for (uint32_t i = begin; i < end; i++)
                mbr_units_add(&e->units, m->fallback[(unsigned char)text[i]], begin, end);
            return;
        }
    }
    mbr_units_add(&e->units, id == MBR_NO_TOKEN ? m->unk : id, begin, end);
    if (id == MBR_NO_TOKEN && !e->units.failed)
        e->units.items[e->units.count - 1].own_text = 1;
}

mbr_status mbr_unigram_encode(mbr_encoding *e, const char *text, uint32_t size, mbr_error *err)
{
    const mbr_unigram *m = &e->t->unigram;
    uint64_t hash = mbr_hash(text, size);
    if (mbr_cache_get(e->cache, text, size, hash, &e->units))
        return MBR_OK;
    if (size + 1 > e->path_capacity) {
        size_t bytes = 2 * ((size_t)size + 1) * sizeof *e->paths;
        mbr_path *bigger = mbr_grow(e->memory, e->paths, 0, bytes);
        if (!bigger)
            return mbr_no_memory(err, bytes);
        e->paths = bigger;
        e->path_capacity = 2 * (size + 1);
    }
    MBR_TRY(find_path(e, text, size, err));
    /* The links lead backwards: turn them round, fused where all is unknown. */
    uint32_t from = e->units.count, end = size, next = MBR_NO_TOKEN;
    while (end > 0) {
        uint32_t begin = e->paths[end].from, id = e->paths[end].id, forward = end;
        e->paths[end].from = next;
        if (id == m->unk)
            while (begin > 0 && e->paths[begin].id == m->unk)
                begin = e->paths[begin].from;
        next = forward;
        end = begin;
    }
    for (uint32_t begin = 0, at = next; at != MBR_NO_TOKEN; at = e->paths[at].from) {
        add(e, text, begin, at);
        begin = at;
    }
    if (!e->units.failed)
        mbr_cache_put(e->cache, text, size, hash, e->units.items + from, e->units.count - from);
    return MBR_OK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The "model" of a tokenizer.json: vocabulary, merges, scores. */
#include "base/checked.h"
#include "runtime/tokenizer/load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* {"token": id, ...} */
static mbr_status load_vocab(const mbr_loader *l, const mbr_json_node *model)
{
    mbr_vocab *v = &l->t->vocab;
    const mbr_json_node *n = mbr_json_get(l->j, model, "vocab");
    if (!n || n->type != MBR_JSON_OBJECT)
        return mbr_load_fail(l, MBR_ERR_MODEL, "'vocab', an object of tokens and ids, is missing");
    v->entries = mbr_arena_calloc(&l->t->arena, (size_t)n->text_size + 1, sizeof *v->entries);
    if (!v->entries)
        return mbr_no_memory(l->err, n->text_size * sizeof *v->entries);
    for (const mbr_json_node *m = mbr_json_first(l->j, n); m; m = mbr_json_next(l->j, m)) {
        uint64_t id;
        mbr_string text = mbr_json_key(l->j, m);
        if (!mbr_json_unsigned(l->j, m, UINT32_MAX - 2, &id))
            return mbr_load_fail(l, MBR_ERR_MODEL, "the id of token '%.*s' is no number from 0 to 4294967293",
                                 (int)mbr_min_size(text.size, 60), text.data);
        v->entries[v->entry_count].text = text;
        v->entries[v->entry_count++].id = (uint32_t)id;
    }
    mbr_status st = mbr_vocab_build(v, &l->t->arena, l->err);
    return st == MBR_OK ? st : mbr_fail_at(l->err, st, "%s: model: ", l->t->name);
}

/* [["token", score], ...]; ids are places. */
static mbr_status load_scores(const mbr_loader *l, const mbr_json_node *model)
{
    mbr_vocab *v = &l->t->vocab;
    mbr_unigram *m = &l->t->unigram;
    const mbr_json_node *n = mbr_json_get(l->j, model, "vocab");
    if (!n || n->type != MBR_JSON_ARRAY)
        return mbr_load_fail(l, MBR_ERR_MODEL, "'vocab', a list of tokens and scores, is missing");
    double *scores = mbr_arena_calloc(&l->t->arena, (size_t)n->text_size + 1, sizeof *scores), least = INFINITY;
    v->entries = mbr_arena_calloc(&l->t->arena, (size_t)n->text_size + 1, sizeof *v->entries);
    if (!v->entries || !scores)
        return mbr_no_memory(l->err, n->text_size * sizeof *v->entries);
    for (const mbr_json_node *k = mbr_json_first(l->j, n); k; k = mbr_json_next(l->j, k)) {
        uint32_t i = v->entry_count++;
        const mbr_json_node *text = k->type == MBR_JSON_ARRAY && k->text_size == 2 ? mbr_json_first(l->j, k) : NULL;
        if (!text || text->type != MBR_JSON_STRING || !mbr_json_double(l->j, mbr_json_next(l->j, text), &scores[i]))
            return mbr_load_fail(l, MBR_ERR_MODEL, "entry %u of 'vocab' is not [\"token\", score]", i);
        v->entries[i].text = mbr_json_string(l->j, text);
        v->entries[i].id = i;
        if (scores[i] < least)
            least = scores[i];
    }
    m->scores = scores;
    m->count = v->entry_count;
    m->unk_score = least - 10.0;
    MBR_TRY(mbr_vocab_build(v, &l->t->arena, l->err));
    for (uint32_t i = 0; i < v->entry_count; i++) /* of twins the last one's id is found, but each keeps its text */
        v->texts[i] = v->entries[i].text;
    return MBR_OK;
}

/* ---- BPE ---- */

static mbr_status add_merge(const mbr_loader *l, uint32_t rank, mbr_string a, mbr_string b, char *joined)
{
    const mbr_vocab *v = &l->t->vocab;
    mbr_bpe *m = &l->t->bpe;
    size_t cut = m->prefix.size;
    uint32_t left = mbr_vocab_find(v, a.data, a.size), right = mbr_vocab_find(v, b.data, b.size), whole = MBR_NO_TOKEN;
    if (left != MBR_NO_TOKEN && right != MBR_NO_TOKEN && b.size >= cut) {
        memcpy(joined, a.data, a.size);
        memcpy(joined + a.size, b.data + cut, b.size - cut);
        whole = mbr_vocab_find(v, joined, a.size + b.size - cut);
    }
    if (whole == MBR_NO_TOKEN)
        return mbr_load_fail(l, MBR_ERR_MODEL, "merge %u, '%.*s' and '%.*s': a part or the result is not in 'vocab'", rank,
                             (int)mbr_min_size(a.size, 40), a.data, (int)mbr_min_size(b.size, 40), b.data);
    uint64_t pair = (uint64_t)left << 32 | right;
    uint32_t i = (uint32_t)((pair * 0x9e3779b97f4a7c15u) >> 32) & m->mask;
    while (m->merges[i].pair != UINT64_MAX && m->merges[i].pair != pair)
        i = (i + 1) & m->mask;
    m->merges[i] = (mbr_merge){ pair, rank, whole };
    return MBR_OK;
}

/* ["a b", ...] or [["a", "b"], ...] */
static mbr_status load_merges(const mbr_loader *l, const mbr_json_node *model)
{
    mbr_bpe *m = &l->t->bpe;
    const mbr_json_node *n = mbr_json_get(l->j, model, "merges");
    if (!n || n->type != MBR_JSON_ARRAY)
        return mbr_load_fail(l, MBR_ERR_MODEL, "'merges', a list, is missing");
    size_t slots = 16, longest = 1;
    while (slots / 2 < n->text_size)
        slots *= 2;
    m->merges = mbr_arena_alloc_aligned(&l->t->arena, slots * sizeof *m->merges);
    if (!m->merges)
        return mbr_no_memory(l->err, slots * sizeof *m->merges);
    memset(m->merges, 0xff, slots * sizeof *m->merges);
    m->mask = (uint32_t)(slots - 1);
    for (uint32_t i = 0; i < l->t->vocab.entry_count; i++)
        longest = mbr_max_size(longest, l->t->vocab.entries[i].text.size);
    char *joined = mbr_alloc(l->t->memory, 2 * longest);
    mbr_status st = joined ? MBR_OK : mbr_no_memory(l->err, 2 * longest);
    uint32_t rank = 0;
    for (const mbr_json_node *k = mbr_json_first(l->j, n); k && st == MBR_OK; k = mbr_json_next(l->j, k)) {
        mbr_string a = { 0 }, b = { 0 };
        if (k->type == MBR_JSON_STRING) {
            mbr_string s = mbr_json_string(l->j, k);
            if (s.size >= 8 && memcmp(s.data, "#version", 8) == 0)
                continue;
            const char *blank = s.size ? memchr(s.data, ' ', s.size) : NULL;
            if (blank && !memchr(blank + 1, ' ', s.size - (size_t)(blank + 1 - s.data))) {
                a = (mbr_string){ .data = s.data, .size = (size_t)(blank - s.data) };
                b = (mbr_string){ .data = blank + 1, .size = s.size - a.size - 1 };
            }
        } else if (k->type == MBR_JSON_ARRAY && k->text_size == 2) {
            const mbr_json_node *first = mbr_json_first(l->j, k), *second = mbr_json_next(l->j, first);
            if (first->type == MBR_JSON_STRING && second->type == MBR_JSON_STRING) {
                a = mbr_json_string(l->j, first);
                b = mbr_json_string(l->j, second);
            }
        }
        if (!a.data)
            st = mbr_load_fail(l, MBR_ERR_MODEL, "merge %u is neither \"a b\" nor [\"a\", \"b\"]", rank);
        else if (a.size > longest || b.size > longest)
            st = mbr_load_fail(l, MBR_ERR_MODEL, "merge %u: a part is not in 'vocab'", rank);
        else
            st = add_merge(l, rank, a, b, joined);
        rank++;
    }
    mbr_free(l->t->memory, joined);
    return st;
}

/* "<0x00>" ... "<0xFF>" */
static void find_bytes(const mbr_vocab *v, uint32_t ids[256])
{
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        ids[i] = mbr_vocab_find(v, name, 6);
    }
}

static mbr_status load_bpe(const mbr_loader *l, const mbr_json_node *model)
{
    mbr_tokenizer *t = l->t;
    mbr_bpe *m = &t->bpe;
    mbr_string unk = { 0 };
    double dropout = 0;
    const mbr_json_node *d = mbr_json_get(l->j, model, "dropout");
    MBR_TRY(mbr_load_string(l, model, "unk_token", false, &unk));
    MBR_TRY(mbr_load_string(l, model, "continuing_subword_prefix", false, &m->prefix));
    MBR_TRY(mbr_load_string(l, model, "end_of_word_suffix", false, &m->suffix));
    MBR_TRY(mbr_load_bool(l, model, "fuse_unk", false, &m->fuse_unk));
    MBR_TRY(mbr_load_bool(l, model, "byte_fallback", false, &m->has_fallback));
    MBR_TRY(mbr_load_bool(l, model, "ignore_merges", false, &m->ignore_merges));
    if (!mbr_json_null(d) && (!mbr_json_double(l->j, d, &dropout) || dropout != 0))
        return mbr_load_fail(l, MBR_ERR_UNSUPPORTED, "dropout other than 0, which gives another answer every time");
    if (m->prefix.size > 1024 || m->suffix.size > 1024)
        return mbr_load_fail(l, MBR_ERR_LIMIT, "a prefix or suffix of more than 1024 bytes");
    MBR_TRY(load_vocab(l, model));
    MBR_TRY(load_merges(l, model));
    find_bytes(&t->vocab, m->fallback);
    m->has_unk_token = unk.data != NULL;
    m->unk = unk.data ? mbr_vocab_find(&t->vocab, unk.data, unk.size) : MBR_NO_TOKEN;
    for (unsigned i = 0; i < 256; i++) {
        char text[4];
        m->byte[i] = mbr_vocab_find(&t->vocab, text, mbr_utf8_put(text, mbr_byte_char(i)));
        if (i < 128)
            m->ascii[i] = mbr_vocab_find(&t->vocab, text, mbr_utf8_put(text, i));
    }
    uint32_t with_text = 0;
    for (uint32_t i = 0; i < t->vocab.most; i++)
        with_text += t->vocab.texts[i].data != NULL;
    m->twins = with_text != t->vocab.count;
    return MBR_OK;
}

/* ---- tries ---- */

static mbr_status build_trie(const mbr_loader *l, mbr_trie *trie)
{
    const mbr_vocab *v = &l->t->vocab;
    mbr_trie_key *keys = mbr_alloc(l->t->memory, ((size_t)v->entry_count + 1) * sizeof *keys);
    if (!keys)
        return mbr_no_memory(l->err, v->entry_count * sizeof *keys);
    for (uint32_t i = 0; i < v->entry_count; i++)
        keys[i] = (mbr_trie_key){ v->entries[i].text,
                                  mbr_vocab_find(v, v->entries[i].text.data, v->entries[i].text.size) };
    mbr_status st = mbr_trie_build(trie, l->t->memory, keys, v->entry_count, l->err);
    mbr_free(l->t->memory, keys);
    return st == MBR_OK ? st : mbr_fail_at(l->err, st, "%s: model: ", l->t->name);
}

static mbr_status load_wordpiece(const mbr_loader *l, const mbr_json_node *model)
{
    mbr_tokenizer *t = l->t;
    mbr_wordpiece *w = &t->wordpiece;
    mbr_string unk = { 0 }, prefix = { 0 };
    MBR_TRY(mbr_load_string(l, model, "unk_token", true, &unk));
    MBR_TRY(mbr_load_string(l, model, "continuing_subword_prefix", true, &prefix));
    MBR_TRY(mbr_load_u32(l, model, "max_input_chars_per_word", true, &w->most_chars));
    MBR_TRY(load_vocab(l, model));
    MBR_TRY(build_trie(l, &w->trie));
    t->unk = mbr_vocab_find(&t->vocab, unk.data, unk.size);
    for (size_t i = 0; i < prefix.size && w->continuing != MBR_TRIE_NONE; i++)
        w->continuing = mbr_trie_step(&w->trie, w->continuing, (unsigned char)prefix.data[i]);
    return MBR_OK;
}

static mbr_status load_wordlevel(const mbr_loader *l, const mbr_json_node *model)
{
    mbr_string unk = { 0 };
    MBR_TRY(mbr_load_string(l, model, "unk_token", true, &unk));
    MBR_TRY(load_vocab(l, model));
    l->t->unk = mbr_vocab_find(&l->t->vocab, unk.data, unk.size);
    return MBR_OK;
}

static mbr_status load_unigram(const mbr_loader *l, const mbr_json_node *model)
{
    mbr_unigram *m = &l->t->unigram;
    m->unk = MBR_NO_TOKEN;
    MBR_TRY(mbr_load_u32(l, model, "unk_id", false, &m->unk));
    MBR_TRY(mbr_load_bool(l, model, "byte_fallback", false, &m->has_fallback));
    MBR_TRY(load_scores(l, model));
    if (m->unk != MBR_NO_TOKEN && m->unk >= m->count)
        return mbr_load_fail(l, MBR_ERR_MODEL, "unk_id %u, and 'vocab' has %u tokens", m->unk, m->count);
    find_bytes(&l->t->vocab, m->fallback);
    return build_trie(l, &m->trie);
}

mbr_status mbr_load_model(mbr_tokenizer *t, const mbr_json_node *model, mbr_error *err)
{
    static const struct {
        const char *type;
        mbr_model_kind kind;
        mbr_status (*load)(const mbr_loader *l, const mbr_json_node *model);
    } kinds[] = { { "BPE", MBR_TM_BPE, load_bpe },
                  { "WordPiece", MBR_TM_WORDPIECE, load_wordpiece },
                  { "WordLevel", MBR_TM_WORDLEVEL, load_wordlevel },
                  { "Unigram", MBR_TM_UNIGRAM, load_unigram } };
    mbr_loader l = { .t = t, .j = &t->json, .part = "model", .err = err };
    mbr_string type = { 0 };
    if (!model || model->type != MBR_JSON_OBJECT)
        return mbr_load_fail(&l, MBR_ERR_MODEL, "is missing; is this a tokenizer.json?");
    MBR_TRY(mbr_load_string(&l, model, "type", false, &type));
    if (!type.data) { /* files of old versions do not say: the first that has all it needs */
        const char *guess = mbr_json_get(l.j, model, "merges") ? "BPE"
                            : mbr_json_get(l.j, model, "max_input_chars_per_word") ? "WordPiece"
                            : mbr_json_get(l.j, model, "unk_token") ? "WordLevel" : "Unigram";
        type = (mbr_string){ .data = guess, .size = strlen(guess) };
    }
    t->unk = MBR_NO_TOKEN;
    for (size_t i = 0; i < MBR_COUNT_OF(kinds); i++)
        if (mbr_string_is(type, kinds[i].type)) {
            t->model = kinds[i].kind;
            return kinds[i].load(&l, model);
        }
    return mbr_load_fail(&l, MBR_ERR_UNSUPPORTED, "type '%.*s'; BPE, WordPiece, WordLevel and Unigram are known",
                         (int)mbr_min_size(type.size, 40), type.data);
}

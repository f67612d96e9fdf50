/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing, and the way of a text through the steps. */
#include "base/checked.h"
#include "base/env.h"
#include "base/filemap.h"
#include "runtime/tokenizer/tokenizer_impl.h"

#include <string.h>

/* ---- tokenizer ---- */

void mbr_tokenizer_release(mbr_tokenizer **tokenizer)
{
    mbr_tokenizer *t = tokenizer ? *tokenizer : NULL;
    if (!t)
        return;
    for (uint32_t i = 0; i < t->normal_count; i++)
        mbr_regex_free(t->memory, t->normal[i].pattern);
    for (uint32_t i = 0; i < t->pre_count; i++)
        mbr_regex_free(t->memory, t->pre[i].pattern);
    for (uint32_t i = 0; i < t->decode_count; i++)
        mbr_regex_free(t->memory, t->decode[i].pattern);
    mbr_trie_destroy(&t->wordpiece.trie);
    mbr_trie_destroy(&t->unigram.trie);
    mbr_trie_destroy(&t->plain_trie);
    mbr_trie_destroy(&t->normal_trie);
    mbr_json_free_nodes(&t->json);
    mbr_free(t->memory, t->json.text);
    mbr_free(t->memory, t->unicode);
    mbr_arena_destroy(&t->arena);
    mbr_free(t->memory, t);
    *tokenizer = NULL;
}

mbr_status mbr_tokenizer_open_memory(mbr_env *env, const void *data, size_t bytes, const char *name,
                                     const mbr_tokenizer_options *options, mbr_tokenizer **out, mbr_error *err)
{
    mbr_memory *memory = mbr_env_heap(env);
    mbr_tokenizer_options o = { .size = sizeof o };
    if (options)
        memcpy(&o, options, mbr_min_size(options->size, sizeof o));
    *out = NULL;
    mbr_tokenizer *t = mbr_calloc(memory, 1, sizeof *t);
    if (!t)
        return mbr_no_memory(err, sizeof *t);
    t->memory = memory;
    mbr_arena_init(&t->arena, memory, 65536);
    t->jit = o.regex_jit != 0;
    t->no_matchers = o.no_matchers != 0;
    t->name = mbr_arena_strdup(&t->arena, name ? name : "tokenizer");
    char *text = mbr_alloc(memory, bytes + 1);
    mbr_status st = t->name && text ? MBR_OK : mbr_no_memory(err, bytes);
    if (st == MBR_OK) {
        if (bytes)
            memcpy(text, data, bytes);
        st = mbr_json_parse(&t->json, memory, text, bytes, t->name, err);
    } else {
        mbr_free(memory, text);
    }
    if (st == MBR_OK)
        st = mbr_tokenizer_load(t, err);
    if (o.truncate_to) {
        t->truncates = true; /* from the end of the longest, where the file says nothing */
        t->max_length = o.truncate_to;
    }
    mbr_json_free_nodes(&t->json);
    if (st != MBR_OK)
        mbr_tokenizer_release(&t);
    *out = t;
    return st;
}

mbr_status mbr_tokenizer_open(mbr_env *env, const char *path, const mbr_tokenizer_options *options, mbr_tokenizer **out,
                              mbr_error *err)
{
    mbr_filemap map;
    *out = NULL;
    MBR_TRY(mbr_filemap_open(&map, mbr_env_heap(env), path, err));
    mbr_status st = mbr_tokenizer_open_memory(env, map.data, map.size, path, options, out, err);
    mbr_filemap_close(&map);
    return st;
}

uint32_t mbr_tokenizer_id_count(const mbr_tokenizer *t)
{
    return t->id_most;
}

int mbr_tokenizer_find(const mbr_tokenizer *t, const char *text, size_t bytes, uint32_t *id)
{
    for (uint32_t i = t->added_count; i-- > 0;)
        if (t->added[i].text.size == bytes && memcmp(t->added[i].text.data, text, bytes) == 0) {
            *id = t->added[i].id;
            return 1;
        }
    uint32_t found = mbr_vocab_find(&t->vocab, text, bytes);
    if (found != MBR_NO_TOKEN)
        *id = found;
    return found != MBR_NO_TOKEN;
}

const char *mbr_tokenizer_text(const mbr_tokenizer *t, uint32_t id, size_t *bytes)
{
    mbr_string s = mbr_token_text(t, id);
    if (bytes)
        *bytes = s.data ? s.size : 0;
    return s.data;
}

/* ---- room ---- */

bool mbr_toks_room(mbr_toks *t, uint32_t more)
{
    if (t->count + more <= t->capacity)
        return true;
    size_t capacity = mbr_max_size(2 * (size_t)t->capacity, (size_t)t->count + more + 64);
    mbr_tok *bigger = capacity < UINT32_MAX
                          ? mbr_grow(t->memory, t->items, t->count * sizeof *bigger, capacity * sizeof *bigger)
                          : NULL;
    if (!bigger) {
        t->failed = true;
        return false;
    }
    t->items = bigger;
    t->capacity = (uint32_t)capacity;
    return true;
}

bool mbr_units_room(mbr_units *u, uint32_t more)
{
    if (u->count + more <= u->capacity)
        return true;
    size_t capacity = mbr_max_size(2 * (size_t)u->capacity, (size_t)u->count + more + 64);
    mbr_unit *bigger = capacity < UINT32_MAX
                           ? mbr_grow(u->memory, u->items, u->count * sizeof *bigger, capacity * sizeof *bigger)
                           : NULL;
    if (!bigger) {
        u->failed = true;
        return false;
    }
    u->items = bigger;
    u->capacity = (uint32_t)capacity;
    return true;
}

mbr_status mbr_encoding_new(const mbr_tokenizer *t, mbr_encoding **out, mbr_error *err)
{
    mbr_memory *memory = t->memory;
    mbr_encoding *e = mbr_calloc(memory, 1, sizeof *e);
    *out = NULL;
    if (!e)
        return mbr_no_memory(err, sizeof *e);
    e->t = t;
    e->memory = memory;
    mbr_arena_init(&e->arena, memory, 0);
    mbr_text *texts[] = { &e->repaired, &e->text[0], &e->text[1], &e->norm[0], &e->norm[1], &e->decoded[0], &e->decoded[1] };
    for (size_t i = 0; i < MBR_COUNT_OF(texts); i++)
        texts[i]->memory = memory;
    e->pieces.memory = e->fresh.memory = e->units.memory = e->toks.memory = e->out.memory = memory;
    e->match = mbr_match_new(memory);
    if (t->model == MBR_TM_BPE || t->model == MBR_TM_UNIGRAM)
        e->cache = mbr_cache_new(memory);
    if (!e->match || (!e->cache && (t->model == MBR_TM_BPE || t->model == MBR_TM_UNIGRAM))) {
        mbr_encoding_release(&e);
        return mbr_no_memory(err, sizeof *e);
    }
    *out = e;
    return MBR_OK;
}

void mbr_encoding_release(mbr_encoding **encoding)
{
    mbr_encoding *e = encoding ? *encoding : NULL;
    if (!e)
        return;
    mbr_text *texts[] = { &e->repaired, &e->text[0], &e->text[1], &e->norm[0], &e->norm[1], &e->decoded[0], &e->decoded[1] };
    for (size_t i = 0; i < MBR_COUNT_OF(texts); i++)
        mbr_text_destroy(texts[i]);
    void *blocks[] = { e->pieces.items, e->fresh.items, e->units.items, e->toks.items, e->out.items, e->symbols, e->heap,
                       e->paths, e->chars, e->parts, e->output, e->strings[0].items, e->strings[1].items };
    for (size_t i = 0; i < MBR_COUNT_OF(blocks); i++)
        mbr_free(e->memory, blocks[i]);
    mbr_cache_free(e->memory, e->cache);
    mbr_match_free(e->memory, e->match);
    mbr_arena_destroy(&e->arena);
    mbr_free(e->memory, e);
    *encoding = NULL;
}

/* ---- text in ---- */

/* Length of the well-formed sequence at s, or minus the bytes that one U+FFFD stands for. */
static int sequence_at(const unsigned char *s, size_t left)
{
    unsigned c = s[0];
    if (c < 0x80)
        return 1;
    int size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4)
        return -1;
    unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    for (int i = 1; i < size; i++) {
        if ((size_t)i >= left || s[i] < low || s[i] > high)
            return -i;
        low = 0x80;
        high = 0xbf;
    }
    return size;
}

/* Checks a text, and copies it with U+FFFD for what is broken where something is. */
static mbr_status take_text(mbr_encoding *e, const char **text, size_t *size, bool refuse, mbr_error *err)
{
    const unsigned char *s = (const unsigned char *)*text;
    size_t i = 0, n = *size;
    if (n > MBR_TEXT_MOST / 8)
        return mbr_fail(err, MBR_ERR_LIMIT, "a text of %zu bytes; %u are the most", n, MBR_TEXT_MOST / 8);
    while (i < n) {
        uint64_t w;
        if (i + 8 <= n && (memcpy(&w, s + i, 8), !(w & 0x8080808080808080u))) {
            i += 8;
            continue;
        }
        int k = sequence_at(s + i, n - i);
        if (k < 0)
            break;
        i += (size_t)k;
    }
    if (i == n)
        return MBR_OK;
    if (refuse)
        return mbr_fail(err, MBR_ERR_INPUT, "the text is not valid UTF-8 at byte %zu", i);
    mbr_text *to = &e->repaired;
    mbr_text_clear(to, false, 0);
    for (i = 0; i < n && mbr_text_room(to, 4);) {
        int k = sequence_at(s + i, n - i);
        memcpy(to->bytes + to->size, k < 0 ? "\xef\xbf\xbd" : (const char *)s + i, k < 0 ? 3 : (size_t)k);
        to->size += k < 0 ? 3 : (uint32_t)k;
        i += (size_t)(k < 0 ? -k : k);
    }
    if (to->failed)
        return mbr_no_memory(err, n);
    *text = to->bytes;
    *size = to->size;
    return MBR_OK;
}

/* Added tokens are cut out before and behind the normalizer. */
static mbr_status cut_added(mbr_encoding *e, const char *text, uint32_t size, mbr_error *err)
{
    const mbr_tokenizer *t = e->t;
    mbr_view whole = { .bytes = text, .size = size };
    e->pieces.count = e->fresh.count = 0;
    e->pieces.failed = e->fresh.failed = false;
    mbr_added_split(e, &whole, 0, size, false);
    e->work = whole;
    mbr_pieces first = e->fresh;
    e->fresh = e->pieces;
    e->pieces = first;
    if (t->normal_count == 0 && !t->has_normal)
        return e->pieces.failed ? mbr_no_memory(err, size) : MBR_OK;
    mbr_text *to = &e->text[0];
    bool copied = t->normal_count > 0;
    mbr_text_clear(to, false, 0);
    for (uint32_t k = 0; k < e->pieces.count; k++) {
        const mbr_piece p = e->pieces.items[k];
        mbr_view view = { .bytes = text + p.begin, .size = p.end - p.begin, .base = p.begin };
        uint32_t begin = to->size;
        int which = -1;
        if (!copied) {
            if (p.token == MBR_NO_TOKEN)
                mbr_added_split(e, &whole, p.begin, p.end, true);
            else
                mbr_pieces_add(&e->fresh, &whole, p.begin, p.end, p.token);
            continue;
        }
        if (p.token == MBR_NO_TOKEN) {
            MBR_TRY(mbr_normalize(t, e->match, e->norm, &view, &which, err));
            if (which >= 0)
                view = mbr_text_view(&e->norm[which]);
        }
        mbr_text_copy(to, &view, 0, view.size);
        if (to->failed)
            return mbr_no_memory(err, to->size);
        mbr_view now = mbr_text_view(to);
        if (p.token == MBR_NO_TOKEN)
            mbr_added_split(e, &now, begin, to->size, true);
        else
            mbr_pieces_add(&e->fresh, &now, begin, to->size, p.token);
    }
    if (copied)
        e->work = mbr_text_view(to);
    mbr_pieces second = e->fresh;
    e->fresh = e->pieces;
    e->pieces = second;
    return e->pieces.failed || e->fresh.failed ? mbr_no_memory(err, size) : MBR_OK;
}

/* ---- tokens out ---- */

static mbr_status encode_piece(mbr_encoding *e, const mbr_piece *p, mbr_error *err)
{
    const char *text = e->work.bytes + p->begin;
    uint32_t size = p->end - p->begin;
    switch (e->t->model) {
    case MBR_TM_BPE: return mbr_bpe_encode(e, text, size, err);
    case MBR_TM_WORDPIECE: return mbr_wordpiece_encode(e, text, size, err);
    case MBR_TM_WORDLEVEL: return mbr_wordlevel_encode(e, text, size, err);
    default: return mbr_unigram_encode(e, text, size, err);
    }
}

static void put_tokens(mbr_encoding *e, const mbr_piece *p, uint32_t word, uint32_t sequence)
{
    uint32_t size = p->end - p->begin;
    if (p->token != MBR_NO_TOKEN) {
        mbr_tok *k = mbr_toks_add(&e->toks);
        mbr_edge edge = mbr_view_span(&e->work, p->begin, p->end);
        if (k)
            *k = (mbr_tok){ .id = p->token, .type = sequence, .begin = edge.begin, .end = edge.end, .word = word,
                            .value = p->begin, .value_size = size, .attention = 1, .sequence = (uint8_t)sequence };
        return;
    }
    for (uint32_t i = 0; i < e->units.count; i++) {
        const mbr_unit *u = &e->units.items[i];
        mbr_tok *k = mbr_toks_add(&e->toks);
        mbr_edge edge = { u->begin, u->end }; /* what lies outside of the piece is told as it is, as the library does */
        if (!k)
            return;
        if (u->begin == u->end)
            edge = (mbr_edge){ p->origin + u->begin, p->origin + u->end };
        else if (u->end <= size)
            edge = mbr_view_span(&e->work, p->begin + u->begin, p->begin + u->end);
        *k = (mbr_tok){ .id = u->id, .type = sequence, .begin = edge.begin, .end = edge.end, .word = word,
                        .value = u->own_text ? p->begin + u->begin : MBR_NO_TOKEN, .value_size = u->end - u->begin,
                        .attention = 1, .sequence = (uint8_t)sequence };
    }
}

static mbr_status run_model(mbr_encoding *e, uint32_t sequence, mbr_error *err)
{
    for (uint32_t i = 0; i < e->pieces.count; i++) {
        const mbr_piece *p = &e->pieces.items[i];
        e->units.count = 0;
        if (p->token == MBR_NO_TOKEN)
            MBR_TRY(encode_piece(e, p, err));
        put_tokens(e, p, i, sequence);
    }
    return e->units.failed || e->toks.failed ? mbr_no_memory(err, e->toks.count * sizeof(mbr_tok)) : MBR_OK;
}

/* Byte offsets of the tokens behind `from` to characters. */
static mbr_status to_chars(mbr_encoding *e, uint32_t from, const char *text, uint32_t size, mbr_error *err)
{
    uint32_t count = 0;
    if (mbr_is_ascii(text, size))
        return MBR_OK;
    if (size > e->chars_capacity) {
        uint32_t *bigger = mbr_grow(e->memory, e->chars, 0, 2 * (size_t)size * sizeof *bigger);
        if (!bigger)
            return mbr_no_memory(err, 2 * (size_t)size * sizeof *bigger);
        e->chars = bigger;
        e->chars_capacity = 2 * size;
    }
    for (uint32_t i = 0; i < size; i++) {
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
        e->chars[i] = count - 1;
    }
    for (uint32_t i = from; i < e->toks.count; i++) {
        mbr_tok *k = &e->toks.items[i];
        if (k->begin >= size) /* nothing to look up: told in bytes, as the library does */
            continue;
        uint32_t begin = e->chars[k->begin];
        k->end = k->end < size ? e->chars[k->end] : k->end - 1 < size ? e->chars[k->end - 1] + 1 : begin + 2;
        k->begin = begin;
    }
    return MBR_OK;
}

static mbr_status encode_one(mbr_encoding *e, const char *text, size_t bytes, uint32_t sequence,
                             const mbr_encode_options *o, mbr_error *err)
{
    uint32_t from = e->toks.count;
    MBR_TRY(take_text(e, &text, &bytes, o->refuse_invalid != 0, err));
    MBR_TRY(cut_added(e, text, (uint32_t)bytes, err));
    MBR_TRY(mbr_pretokenize(e, err));
    MBR_TRY(run_model(e, sequence, err));
    return o->char_offsets ? to_chars(e, from, text, (uint32_t)bytes, err) : MBR_OK;
}

static mbr_status make_output_room(mbr_encoding *e, mbr_error *err)
{
    uint32_t n = e->out.count;
    if (n <= e->out_capacity)
        return MBR_OK;
    n += n / 2 + 64;
    size_t item = 3 * sizeof *e->ids + sizeof *e->spans + 3, bytes;
    char *block = mbr_mul_size(n, item, &bytes) ? mbr_alloc(e->memory, bytes) : NULL;
    if (!block)
        return mbr_no_memory(err, n * item);
    mbr_free(e->memory, e->output);
    e->output = block;
    e->out_capacity = n;
    e->spans = (mbr_token_span *)block;
    e->ids = (uint32_t *)(e->spans + n);
    e->types = e->ids + n;
    e->words = e->types + n;
    e->attention = (uint8_t *)(e->words + n);
    e->special = e->attention + n;
    e->sequence = e->special + n;
    return MBR_OK;
}

mbr_status mbr_encoding_encode(mbr_encoding *e, const char *text, size_t bytes, const char *pair, size_t pair_bytes,
                               const mbr_encode_options *options, mbr_error *err)
{
    mbr_encode_options o = { .size = sizeof o };
    if (options)
        memcpy(&o, options, mbr_min_size(options->size, sizeof o));
    if ((!text && bytes) || (!pair && pair_bytes))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a text is NULL");
    mbr_arena_reset(&e->arena);
    e->toks.count = e->part_count = 0;
    e->toks.failed = e->out.failed = e->units.failed = false;
    MBR_TRY(encode_one(e, text ? text : "", bytes, 0, &o, err));
    uint32_t split = e->toks.count;
    if (e->t->trims) { /* while the work text of this sequence is there */
        for (uint32_t i = 0; i < split; i++)
            mbr_tok_spaces(e, &e->toks.items[i]);
    }
    if (pair) {
        MBR_TRY(encode_one(e, pair, pair_bytes, 1, &o, err));
        if (e->t->trims)
            for (uint32_t i = split; i < e->toks.count; i++)
                mbr_tok_spaces(e, &e->toks.items[i]);
    }
    MBR_TRY(mbr_post_run(e, split, pair != NULL, &o, err));
    mbr_status st = make_output_room(e, err);
    if (st != MBR_OK) {
        e->part_count = 0;
        return st;
    }
    for (uint32_t i = 0; i < e->out.count; i++) {
        const mbr_tok *k = &e->out.items[i];
        e->ids[i] = k->id;
        e->types[i] = k->type;
        e->words[i] = k->word;
        e->attention[i] = k->attention;
        e->special[i] = k->special;
        e->sequence[i] = k->sequence;
        e->spans[i] = (mbr_token_span){ k->begin, k->end };
    }
    return MBR_OK;
}

size_t mbr_encoding_count(const mbr_encoding *e)
{
    return e->part_count;
}

mbr_status mbr_encoding_get(const mbr_encoding *e, size_t index, mbr_token_list *list)
{
    if (index >= e->part_count)
        return MBR_ERR_ARGUMENT;
    uint32_t from = e->parts[index].first;
    mbr_token_list whole = { .size = list->size, .count = e->parts[index].count };
    if (e->ids) {
        whole.ids = e->ids + from;
        whole.type_ids = e->types + from;
        whole.attention_mask = e->attention + from;
        whole.special_mask = e->special + from;
        whole.offsets = e->spans + from;
        whole.words = e->words + from;
        whole.sequences = e->sequence + from;
    }
    memcpy(list, &whole, mbr_min_size(list->size, sizeof whole));
    return MBR_OK;
}

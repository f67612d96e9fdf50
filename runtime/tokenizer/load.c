/* SPDX-License-Identifier: BSD-2-Clause */
/* All of a tokenizer.json but the model: each part becomes a list of steps, sequences of sequences one list. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/tokenizer/load.h"

#include "base/checked.h"
#include "runtime/rows/text.h"

#include <string.h>

#define STEPS_MOST 256 /* of one part */

mbr_status mbr_load_fail(const mbr_loader *l, mbr_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mbr_vfail(l->err, status, fmt, args);
    va_end(args);
    return mbr_fail_at(l->err, status, "%s: %s: ", l->t->name, l->part);
}

bool mbr_string_is(mbr_string s, const char *word)
{
    return s.data && mbr_text_is(s.data, s.size, word);
}

mbr_status mbr_load_bool(const mbr_loader *l, const mbr_json_node *n, const char *key, bool due, bool *out)
{
    const mbr_json_node *m = mbr_json_get(l->j, n, key);
    if (mbr_json_null(m) && !due)
        return MBR_OK;
    if (!m || (m->type != MBR_JSON_TRUE && m->type != MBR_JSON_FALSE))
        return mbr_load_fail(l, MBR_ERR_MODEL, "'%s', true or false, is missing", key);
    *out = m->type == MBR_JSON_TRUE;
    return MBR_OK;
}

mbr_status mbr_load_u32(const mbr_loader *l, const mbr_json_node *n, const char *key, bool due, uint32_t *out)
{
    const mbr_json_node *m = mbr_json_get(l->j, n, key);
    uint64_t v;
    if (mbr_json_null(m) && !due)
        return MBR_OK;
    if (!mbr_json_unsigned(l->j, m, (uint64_t)1 << 60, &v))
        return mbr_load_fail(l, MBR_ERR_MODEL, "'%s', a whole number, is missing", key);
    *out = v > UINT32_MAX - 2 ? UINT32_MAX - 2 : (uint32_t)v;
    return MBR_OK;
}

mbr_status mbr_load_string(const mbr_loader *l, const mbr_json_node *n, const char *key, bool due, mbr_string *out)
{
    const mbr_json_node *m = mbr_json_get(l->j, n, key);
    if (mbr_json_null(m) && !due)
        return MBR_OK;
    if (!m || m->type != MBR_JSON_STRING)
        return mbr_load_fail(l, MBR_ERR_MODEL, "'%s', a text, is missing", key);
    *out = mbr_json_string(l->j, m);
    return MBR_OK;
}

/* ---- lists of steps ---- */

/* The steps of a part, with sequences laid flat: `members` names the key of a sequence's list. */
static mbr_status flatten(const mbr_loader *l, const mbr_json_node *n, const char *members, const mbr_json_node **to,
                          uint32_t *count, int depth)
{
    mbr_string type = { 0 };
    if (mbr_json_null(n))
        return MBR_OK;
    MBR_TRY(mbr_load_string(l, n, "type", true, &type));
    if (!mbr_string_is(type, "Sequence")) {
        if (*count == STEPS_MOST)
            return mbr_load_fail(l, MBR_ERR_LIMIT, "more than %d steps", STEPS_MOST);
        to[(*count)++] = n;
        return MBR_OK;
    }
    const mbr_json_node *list = mbr_json_get(l->j, n, members);
    if (!list || list->type != MBR_JSON_ARRAY || depth > 8)
        return mbr_load_fail(l, MBR_ERR_MODEL, "a Sequence without the list '%s', or too many inside of each other", members);
    for (const mbr_json_node *m = mbr_json_first(l->j, list); m; m = mbr_json_next(l->j, m)) {
        if (m->type != MBR_JSON_OBJECT)
            return mbr_load_fail(l, MBR_ERR_MODEL, "something in '%s' is no object", members);
        MBR_TRY(flatten(l, m, members, to, count, depth + 1));
    }
    return MBR_OK;
}

typedef struct kind_name {
    const char *name;
    int kind;
} kind_name;

static mbr_status find_kind(const mbr_loader *l, const mbr_json_node *n, const kind_name *kinds, size_t count, int *kind)
{
    mbr_string type = { 0 };
    MBR_TRY(mbr_load_string(l, n, "type", true, &type));
    for (size_t i = 0; i < count; i++)
        if (mbr_string_is(type, kinds[i].name)) {
            *kind = kinds[i].kind;
            return MBR_OK;
        }
    return mbr_load_fail(l, MBR_ERR_UNSUPPORTED, "type '%.*s' is not known", (int)mbr_min_size(type.size, 40), type.data);
}

/* {"String": "..."} or {"Regex": "..."} */
static mbr_status load_pattern(const mbr_loader *l, const mbr_json_node *n, mbr_regex **out)
{
    mbr_tokenizer *t = l->t;
    const mbr_json_node *p = mbr_json_get(l->j, n, "pattern"), *s = mbr_json_get(l->j, p, "String");
    mbr_regex_options o = { .literal = s != NULL, .plain = t->no_matchers, .jit = t->jit };
    if (!s)
        s = mbr_json_get(l->j, p, "Regex");
    if (!s || s->type != MBR_JSON_STRING)
        return mbr_load_fail(l, MBR_ERR_MODEL, "'pattern', {\"String\": ...} or {\"Regex\": ...}, is missing");
    mbr_status st = mbr_regex_new(t->memory, t->unicode, mbr_json_string(l->j, s), &o, t->name, out, l->err);
    return st;
}

/* One character. */
static mbr_status load_char(const mbr_loader *l, const mbr_json_node *n, const char *key, mbr_string *out)
{
    MBR_TRY(mbr_load_string(l, n, key, true, out));
    if (out->size == 0 || mbr_utf8_count(out->data, (uint32_t)out->size) != 1)
        return mbr_load_fail(l, MBR_ERR_MODEL, "'%s' is not one character", key);
    return MBR_OK;
}

/* ---- normalizer ---- */

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' ? 62 : c == '/' ? 63 : -1;
}

static mbr_status load_charsmap(const mbr_loader *l, const mbr_json_node *n, mbr_charsmap *map)
{
    mbr_string s = { 0 };
    MBR_TRY(mbr_load_string(l, n, "precompiled_charsmap", true, &s));
    while (s.size && s.data[s.size - 1] == '=')
        s.size--;
    size_t bytes = 0;
    uint8_t *to = mbr_arena_alloc_aligned(&l->t->arena, s.size / 4 * 3 + 8);
    if (!to)
        return mbr_no_memory(l->err, s.size);
    uint32_t bits = 0, have = 0;
    for (size_t i = 0; i < s.size; i++) {
        int d = base64_digit(s.data[i]);
        if (d < 0)
            return mbr_load_fail(l, MBR_ERR_MODEL, "precompiled_charsmap is not base64");
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[bytes++] = (uint8_t)(bits >> have);
        }
    }
    if (bytes < 4)
        return bytes == 0 ? MBR_OK : mbr_load_fail(l, MBR_ERR_MODEL, "precompiled_charsmap is cut off");
    uint32_t size = (uint32_t)to[0] | (uint32_t)to[1] << 8 | (uint32_t)to[2] << 16 | (uint32_t)to[3] << 24;
    size -= size % 4;
    if (size > bytes - 4)
        return mbr_load_fail(l, MBR_ERR_MODEL, "precompiled_charsmap is cut off");
    uint32_t *units = mbr_arena_alloc(&l->t->arena, size + 4);
    if (!units)
        return mbr_no_memory(l->err, size);
    map->units = units;
    map->unit_count = size / 4;
    for (uint32_t i = 0; i < map->unit_count; i++) {
        const uint8_t *b = to + 4 + 4 * (size_t)i;
        units[i] = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    }
    map->texts = (const char *)to + 4 + size;
    map->text_size = (uint32_t)(bytes - 4 - size);
    if (!mbr_text_utf8(map->texts, map->text_size))
        return mbr_load_fail(l, MBR_ERR_MODEL, "the texts of precompiled_charsmap are not UTF-8");
    for (uint32_t i = 0; i < map->unit_count; i++) /* a value has to be the start of a character */
        if (units[i] >> 31) {
            uint32_t at = units[i] & 0x7fffffffu;
            if (at < map->text_size && ((unsigned char)map->texts[at] & 0xc0) == 0x80)
                return mbr_load_fail(l, MBR_ERR_MODEL, "precompiled_charsmap points into a character");
        }
    return MBR_OK;
}

static mbr_status need_tables(const mbr_loader *l, const char *what)
{
#ifdef HAVE_UTF8PROC
    (void)l;
    (void)what;
    return MBR_OK;
#else
    return mbr_load_fail(l, MBR_ERR_UNSUPPORTED, "%s needs utf8proc, which this build lacks", what);
#endif
}

static mbr_status load_normal(const mbr_loader *l, const mbr_json_node *n, mbr_normal *to)
{
    static const kind_name kinds[] = {
        { "BertNormalizer", MBR_NORMAL_BERT }, { "Bert", MBR_NORMAL_BERT }, { "Strip", MBR_NORMAL_STRIP },
        { "StripAccents", MBR_NORMAL_STRIP_ACCENTS }, { "NFC", MBR_NORMAL_NFC }, { "NFD", MBR_NORMAL_NFD },
        { "NFKC", MBR_NORMAL_NFKC }, { "NFKD", MBR_NORMAL_NFKD }, { "Lowercase", MBR_NORMAL_LOWERCASE },
        { "Nmt", MBR_NORMAL_NMT }, { "Precompiled", MBR_NORMAL_PRECOMPILED }, { "Replace", MBR_NORMAL_REPLACE },
        { "Prepend", MBR_NORMAL_PREPEND }, { "ByteLevel", MBR_NORMAL_BYTE_LEVEL },
    };
    int kind;
    MBR_TRY(find_kind(l, n, kinds, MBR_COUNT_OF(kinds), &kind));
    to->kind = (mbr_normal_kind)kind;
    switch (to->kind) {
    case MBR_NORMAL_BERT:
        MBR_TRY(mbr_load_bool(l, n, "clean_text", true, &to->clean_text));
        MBR_TRY(mbr_load_bool(l, n, "handle_chinese_chars", true, &to->chinese));
        MBR_TRY(mbr_load_bool(l, n, "lowercase", true, &to->lowercase));
        to->strip_accents = to->lowercase;
        MBR_TRY(mbr_load_bool(l, n, "strip_accents", false, &to->strip_accents));
        return to->lowercase || to->strip_accents ? need_tables(l, "BertNormalizer") : MBR_OK;
    case MBR_NORMAL_STRIP:
        MBR_TRY(mbr_load_bool(l, n, "strip_left", true, &to->left));
        return mbr_load_bool(l, n, "strip_right", true, &to->right);
    case MBR_NORMAL_NFC: case MBR_NORMAL_NFD: case MBR_NORMAL_NFKC: case MBR_NORMAL_NFKD:
        return need_tables(l, "a normal form");
    case MBR_NORMAL_LOWERCASE:
        return need_tables(l, "Lowercase");
    case MBR_NORMAL_PRECOMPILED:
        MBR_TRY(load_charsmap(l, n, &to->map));
        return need_tables(l, "Precompiled");
    case MBR_NORMAL_REPLACE:
        MBR_TRY(mbr_load_string(l, n, "content", true, &to->content));
        return load_pattern(l, n, &to->pattern);
    case MBR_NORMAL_PREPEND:
        return mbr_load_string(l, n, "prepend", true, &to->content);
    default:
        return MBR_OK;
    }
}

/* ---- pre-tokenizer ---- */

static mbr_status load_prepend(const mbr_loader *l, const mbr_json_node *n, mbr_prepend *to)
{
    mbr_string scheme = { 0 };
    bool prefix = true;
    *to = MBR_PREPEND_ALWAYS;
    MBR_TRY(mbr_load_string(l, n, "prepend_scheme", false, &scheme));
    MBR_TRY(mbr_load_bool(l, n, "add_prefix_space", false, &prefix));
    if (mbr_string_is(scheme, "never"))
        *to = MBR_PREPEND_NEVER;
    else if (mbr_string_is(scheme, "first"))
        *to = MBR_PREPEND_FIRST;
    else if (scheme.data && !mbr_string_is(scheme, "always"))
        return mbr_load_fail(l, MBR_ERR_MODEL, "prepend_scheme is not always, first or never");
    if (!prefix && *to != MBR_PREPEND_NEVER)
        return mbr_load_fail(l, MBR_ERR_MODEL, "add_prefix_space and prepend_scheme contradict each other");
    return MBR_OK;
}

static mbr_status load_behavior(const mbr_loader *l, const mbr_json_node *n, bool due, mbr_behavior *to)
{
    static const char *const names[] = { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous" };
    mbr_string s = { 0 };
    *to = MBR_SPLIT_ISOLATED;
    MBR_TRY(mbr_load_string(l, n, "behavior", due, &s));
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
        if (mbr_string_is(s, names[i])) {
            *to = (mbr_behavior)i;
            return MBR_OK;
        }
    return s.data ? mbr_load_fail(l, MBR_ERR_MODEL, "a behavior that is not known") : MBR_OK;
}

static mbr_status load_byte_level(const mbr_loader *l, const mbr_json_node *n, mbr_pre *to)
{
    static const char words[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    mbr_tokenizer *t = l->t;
    mbr_string text = { .data = words, .size = sizeof words - 1 };
    mbr_regex_options o = { .plain = t->no_matchers, .jit = t->jit };
    bool trim = true;
    to->use_regex = true;
    to->behavior = MBR_SPLIT_ISOLATED;
    MBR_TRY(mbr_load_bool(l, n, "add_prefix_space", true, &to->prefix_space));
    MBR_TRY(mbr_load_bool(l, n, "trim_offsets", true, &trim));
    MBR_TRY(mbr_load_bool(l, n, "use_regex", false, &to->use_regex));
    return to->use_regex ? mbr_regex_new(t->memory, t->unicode, text, &o, t->name, &to->pattern, l->err) : MBR_OK;
}

static mbr_status load_pre(const mbr_loader *l, const mbr_json_node *n, mbr_pre *to)
{
    static const kind_name kinds[] = {
        { "BertPreTokenizer", MBR_PRE_BERT }, { "ByteLevel", MBR_PRE_BYTE_LEVEL },
        { "CharDelimiterSplit", MBR_PRE_DELIMITER }, { "Delimiter", MBR_PRE_DELIMITER },
        { "Metaspace", MBR_PRE_METASPACE }, { "Whitespace", MBR_PRE_WHITESPACE }, { "Split", MBR_PRE_SPLIT },
        { "Punctuation", MBR_PRE_PUNCTUATION }, { "WhitespaceSplit", MBR_PRE_WHITESPACE_SPLIT },
        { "Digits", MBR_PRE_DIGITS }, { "UnicodeScripts", MBR_PRE_SCRIPTS }, { "FixedLength", MBR_PRE_FIXED_LENGTH },
    };
    mbr_tokenizer *t = l->t;
    mbr_regex_options literal = { .literal = true };
    int kind;
    MBR_TRY(find_kind(l, n, kinds, MBR_COUNT_OF(kinds), &kind));
    to->kind = (mbr_pre_kind)kind;
    switch (to->kind) {
    case MBR_PRE_BYTE_LEVEL:
        return load_byte_level(l, n, to);
    case MBR_PRE_DELIMITER:
        MBR_TRY(load_char(l, n, "delimiter", &to->replacement));
        to->behavior = MBR_SPLIT_REMOVED;
        return mbr_regex_new(t->memory, t->unicode, to->replacement, &literal, t->name, &to->pattern, l->err);
    case MBR_PRE_METASPACE:
        to->split = true;
        to->behavior = MBR_SPLIT_WITH_NEXT;
        MBR_TRY(load_char(l, n, "replacement", &to->replacement));
        MBR_TRY(mbr_load_bool(l, n, "split", false, &to->split));
        MBR_TRY(load_prepend(l, n, &to->prepend));
        return mbr_regex_new(t->memory, t->unicode, to->replacement, &literal, t->name, &to->pattern, l->err);
    case MBR_PRE_SPLIT:
        MBR_TRY(load_behavior(l, n, true, &to->behavior));
        MBR_TRY(mbr_load_bool(l, n, "invert", true, &to->invert));
        return load_pattern(l, n, &to->pattern);
    case MBR_PRE_PUNCTUATION:
        return load_behavior(l, n, false, &to->behavior);
    case MBR_PRE_WHITESPACE_SPLIT:
        to->behavior = MBR_SPLIT_REMOVED;
        return MBR_OK;
    case MBR_PRE_DIGITS:
        MBR_TRY(mbr_load_bool(l, n, "individual_digits", true, &to->each));
        to->behavior = to->each ? MBR_SPLIT_ISOLATED : MBR_SPLIT_CONTIGUOUS;
        return MBR_OK;
    case MBR_PRE_FIXED_LENGTH:
        to->length = 5;
        MBR_TRY(mbr_load_u32(l, n, "length", false, &to->length));
        return to->length ? MBR_OK : mbr_load_fail(l, MBR_ERR_MODEL, "'length' is 0");
    default:
        return MBR_OK;
    }
}

/* ---- post-processor ---- */

/* ["[SEP]", 102] */
static mbr_status load_pair(const mbr_loader *l, const mbr_json_node *n, const char *key, uint32_t *id)
{
    const mbr_json_node *m = mbr_json_get(l->j, n, key), *text = m && m->type == MBR_JSON_ARRAY && m->text_size == 2
                                                                     ? mbr_json_first(l->j, m) : NULL;
    uint64_t v;
    if (!text || text->type != MBR_JSON_STRING || !mbr_json_unsigned(l->j, mbr_json_next(l->j, text), UINT32_MAX - 2, &v))
        return mbr_load_fail(l, MBR_ERR_MODEL, "'%s', [\"token\", id], is missing", key);
    *id = (uint32_t)v;
    return MBR_OK;
}

static mbr_status load_special(const mbr_loader *l, const mbr_json_node *n, mbr_string id, mbr_post_piece *to)
{
    const mbr_json_node *all = mbr_json_get(l->j, n, "special_tokens"), *found = NULL, *ids;
    if (all && all->type == MBR_JSON_OBJECT)
        for (const mbr_json_node *m = mbr_json_first(l->j, all); m; m = mbr_json_next(l->j, m))
            if (m->key_size == id.size && memcmp(l->j->text + m->key, id.data, id.size) == 0)
                found = m;
    ids = mbr_json_get(l->j, found, "ids");
    if (!ids || ids->type != MBR_JSON_ARRAY)
        return mbr_load_fail(l, MBR_ERR_MODEL, "special_tokens lacks the token '%.*s' of a template",
                             (int)mbr_min_size(id.size, 40), id.data);
    uint32_t *list = mbr_arena_calloc(&l->t->arena, (size_t)ids->text_size + 1, sizeof *list);
    if (!list)
        return mbr_no_memory(l->err, ids->text_size * sizeof *list);
    to->ids = list;
    for (const mbr_json_node *m = mbr_json_first(l->j, ids); m; m = mbr_json_next(l->j, m)) {
        uint64_t v;
        if (!mbr_json_unsigned(l->j, m, UINT32_MAX - 2, &v))
            return mbr_load_fail(l, MBR_ERR_MODEL, "an id of special_tokens is no number");
        list[to->count++] = (uint32_t)v;
    }
    return MBR_OK;
}

static mbr_status load_template(const mbr_loader *l, const mbr_json_node *n, const char *key, mbr_post_piece **to,
                                uint32_t *count, uint32_t *added)
{
    const mbr_json_node *list = mbr_json_get(l->j, n, key);
    if (!list || list->type != MBR_JSON_ARRAY || list->text_size > STEPS_MOST)
        return mbr_load_fail(l, MBR_ERR_MODEL, "'%s', a list of at most %d pieces, is missing", key, STEPS_MOST);
    *to = mbr_arena_calloc(&l->t->arena, (size_t)list->text_size + 1, sizeof **to);
    if (!*to)
        return mbr_no_memory(l->err, list->text_size * sizeof **to);
    for (const mbr_json_node *m = mbr_json_first(l->j, list); m; m = mbr_json_next(l->j, m)) {
        mbr_post_piece *piece = &(*to)[(*count)++];
        const mbr_json_node *sequence = mbr_json_get(l->j, m, "Sequence"), *special = mbr_json_get(l->j, m, "SpecialToken");
        mbr_string id = { 0 };
        if (!sequence == !special)
            return mbr_load_fail(l, MBR_ERR_MODEL, "a piece of '%s' is neither Sequence nor SpecialToken", key);
        MBR_TRY(mbr_load_string(l, sequence ? sequence : special, "id", true, &id));
        MBR_TRY(mbr_load_u32(l, sequence ? sequence : special, "type_id", true, &piece->type));
        if (special) {
            piece->sequence = 2;
            MBR_TRY(load_special(l, n, id, piece));
            *added += piece->count;
        } else if (mbr_string_is(id, "A") || mbr_string_is(id, "B")) {
            piece->sequence = id.data[0] == 'B';
        } else {
            return mbr_load_fail(l, MBR_ERR_MODEL, "a Sequence of '%s' is neither A nor B", key);
        }
    }
    return MBR_OK;
}

static mbr_status load_post(const mbr_loader *l, const mbr_json_node *n, mbr_post *to)
{
    static const kind_name kinds[] = {
        { "TemplateProcessing", MBR_POST_TEMPLATE }, { "BertProcessing", MBR_POST_BERT },
        { "RobertaProcessing", MBR_POST_ROBERTA }, { "ByteLevel", MBR_POST_BYTE_LEVEL },
    };
    int kind;
    MBR_TRY(find_kind(l, n, kinds, MBR_COUNT_OF(kinds), &kind));
    to->kind = (mbr_post_kind)kind;
    if (to->kind == MBR_POST_TEMPLATE) {
        MBR_TRY(load_template(l, n, "single", &to->single, &to->single_count, &to->added_single));
        return load_template(l, n, "pair", &to->pair, &to->pair_count, &to->added_pair);
    }
    if (to->kind != MBR_POST_BYTE_LEVEL) {
        MBR_TRY(load_pair(l, n, "sep", &to->sep));
        MBR_TRY(load_pair(l, n, "cls", &to->cls));
    }
    if (to->kind != MBR_POST_BERT) {
        MBR_TRY(mbr_load_bool(l, n, "trim_offsets", true, &to->trim));
        MBR_TRY(mbr_load_bool(l, n, "add_prefix_space", true, &to->prefix_space));
    }
    l->t->trims |= to->trim;
    return MBR_OK;
}

/* ---- decoder ---- */

static mbr_status load_decode(const mbr_loader *l, const mbr_json_node *n, mbr_decode *to)
{
    static const kind_name kinds[] = {
        { "BPEDecoder", MBR_DECODE_BPE }, { "ByteLevel", MBR_DECODE_BYTE_LEVEL }, { "WordPiece", MBR_DECODE_WORDPIECE },
        { "Metaspace", MBR_DECODE_METASPACE }, { "CTC", MBR_DECODE_CTC }, { "Replace", MBR_DECODE_REPLACE },
        { "Fuse", MBR_DECODE_FUSE }, { "Strip", MBR_DECODE_STRIP }, { "ByteFallback", MBR_DECODE_BYTE_FALLBACK },
    };
    mbr_prepend prepend;
    int kind;
    MBR_TRY(find_kind(l, n, kinds, MBR_COUNT_OF(kinds), &kind));
    to->kind = (mbr_decode_kind)kind;
    switch (to->kind) {
    case MBR_DECODE_BPE:
        return mbr_load_string(l, n, "suffix", true, &to->text);
    case MBR_DECODE_WORDPIECE:
        MBR_TRY(mbr_load_bool(l, n, "cleanup", true, &to->cleanup));
        return mbr_load_string(l, n, "prefix", true, &to->text);
    case MBR_DECODE_METASPACE:
        MBR_TRY(load_prepend(l, n, &prepend));
        to->keep_first = prepend == MBR_PREPEND_NEVER;
        return load_char(l, n, "replacement", &to->text);
    case MBR_DECODE_CTC:
        MBR_TRY(mbr_load_bool(l, n, "cleanup", true, &to->cleanup));
        MBR_TRY(mbr_load_string(l, n, "word_delimiter_token", true, &to->word));
        return mbr_load_string(l, n, "pad_token", true, &to->text);
    case MBR_DECODE_REPLACE:
        MBR_TRY(mbr_load_string(l, n, "content", true, &to->text));
        return load_pattern(l, n, &to->pattern);
    case MBR_DECODE_STRIP:
        MBR_TRY(mbr_load_u32(l, n, "start", true, &to->start));
        MBR_TRY(mbr_load_u32(l, n, "stop", true, &to->stop));
        return load_char(l, n, "content", &to->text);
    default:
        return MBR_OK;
    }
}

/* ---- the rest ---- */

static mbr_status load_truncation(mbr_loader *l, const mbr_json_node *n)
{
    mbr_tokenizer *t = l->t;
    mbr_string s = { 0 };
    l->part = "truncation";
    if (mbr_json_null(n))
        return MBR_OK;
    t->truncates = true;
    MBR_TRY(mbr_load_u32(l, n, "max_length", true, &t->max_length));
    MBR_TRY(mbr_load_u32(l, n, "stride", true, &t->stride));
    MBR_TRY(mbr_load_string(l, n, "direction", false, &s));
    t->truncate_left = mbr_string_is(s, "Left");
    s = (mbr_string){ 0 };
    MBR_TRY(mbr_load_string(l, n, "strategy", true, &s));
    if (mbr_string_is(s, "OnlyFirst"))
        t->strategy = MBR_ONLY_FIRST;
    else if (mbr_string_is(s, "OnlySecond"))
        t->strategy = MBR_ONLY_SECOND;
    else if (!mbr_string_is(s, "LongestFirst"))
        return mbr_load_fail(l, MBR_ERR_MODEL, "strategy is not LongestFirst, OnlyFirst or OnlySecond");
    return MBR_OK;
}

static mbr_status load_padding(mbr_loader *l, const mbr_json_node *n)
{
    mbr_tokenizer *t = l->t;
    mbr_string s = { 0 };
    l->part = "padding";
    if (mbr_json_null(n))
        return MBR_OK;
    const mbr_json_node *strategy = mbr_json_get(l->j, n, "strategy");
    t->pads = true;
    if (strategy && strategy->type == MBR_JSON_OBJECT) {
        t->pad_fixed = true;
        MBR_TRY(mbr_load_u32(l, strategy, "Fixed", true, &t->pad_length));
    } else if (!strategy || strategy->type != MBR_JSON_STRING ||
               !mbr_string_is(mbr_json_string(l->j, strategy), "BatchLongest")) {
        return mbr_load_fail(l, MBR_ERR_MODEL, "strategy is neither \"BatchLongest\" nor {\"Fixed\": length}");
    }
    MBR_TRY(mbr_load_string(l, n, "direction", true, &s));
    t->pad_left = mbr_string_is(s, "Left");
    MBR_TRY(mbr_load_u32(l, n, "pad_to_multiple_of", false, &t->pad_multiple));
    MBR_TRY(mbr_load_u32(l, n, "pad_id", true, &t->pad_id));
    MBR_TRY(mbr_load_u32(l, n, "pad_type_id", true, &t->pad_type));
    return mbr_load_string(l, n, "pad_token", true, &t->pad_token);
}

static mbr_status normalize_added(mbr_tokenizer *t, mbr_added *a, mbr_match *match, mbr_text norm[2], mbr_error *err)
{
    mbr_view view = { .bytes = a->text.data, .size = (uint32_t)a->text.size };
    int which;
    a->normal = a->text;
    if (!a->normalized || t->normal_count == 0)
        return MBR_OK;
    MBR_TRY(mbr_normalize(t, match, norm, &view, &which, err));
    if (which < 0)
        return MBR_OK;
    char *copy = mbr_arena_strndup(&t->arena, norm[which].size ? norm[which].bytes : "", norm[which].size);
    if (!copy)
        return mbr_no_memory(err, norm[which].size);
    a->normal = (mbr_string){ .data = copy, .size = norm[which].size };
    return MBR_OK;
}

/* Ids are given anew: the model's where it knows the text, else the next behind all of them. What the file says is not used. */
static mbr_status load_added(mbr_loader *l, const mbr_json_node *list, mbr_match *match, mbr_text norm[2])
{
    mbr_tokenizer *t = l->t;
    l->part = "added_tokens";
    if (list && list->type != MBR_JSON_ARRAY)
        return mbr_load_fail(l, MBR_ERR_MODEL, "not a list");
    size_t room = list ? list->text_size : 0;
    uint32_t next = t->vocab.count;
    if (t->model == MBR_TM_UNIGRAM)
        next = t->unigram.count;
    t->added = mbr_arena_calloc(&t->arena, room + 1, sizeof *t->added);
    t->added_of = mbr_arena_calloc(&t->arena, mbr_max_size(t->vocab.most, (size_t)next + room) + 1, sizeof *t->added_of);
    uint32_t mask = 15;
    while (mask / 2 < room)
        mask = 2 * mask + 1;
    uint32_t *slots = mbr_arena_calloc(&t->arena, (size_t)mask + 1, sizeof *slots); /* index + 1 */
    if (!t->added || !t->added_of || !slots)
        return mbr_no_memory(l->err, room * sizeof *t->added);
    t->id_most = t->vocab.most;
    for (const mbr_json_node *n = mbr_json_first(l->j, list); n; n = mbr_json_next(l->j, n)) {
        mbr_added a = { 0 };
        MBR_TRY(mbr_load_string(l, n, "content", true, &a.text));
        MBR_TRY(mbr_load_bool(l, n, "single_word", true, &a.single_word));
        MBR_TRY(mbr_load_bool(l, n, "lstrip", true, &a.lstrip));
        MBR_TRY(mbr_load_bool(l, n, "rstrip", true, &a.rstrip));
        MBR_TRY(mbr_load_bool(l, n, "normalized", true, &a.normalized));
        MBR_TRY(mbr_load_bool(l, n, "special", true, &a.special));
        if (a.text.size == 0)
            continue;
        if (a.text.size > 65536)
            return mbr_load_fail(l, MBR_ERR_LIMIT, "a token of more than 65536 bytes");
        uint32_t slot = (uint32_t)mbr_hash(a.text.data, a.text.size) & mask;
        while (slots[slot] && (t->added[slots[slot] - 1].text.size != a.text.size ||
                               memcmp(t->added[slots[slot] - 1].text.data, a.text.data, a.text.size) != 0))
            slot = (slot + 1) & mask;
        uint32_t same = slots[slot] ? slots[slot] - 1 : t->added_count;
        slots[slot] = same + 1;
        a.id = same < t->added_count ? t->added[same].id : mbr_vocab_find(&t->vocab, a.text.data, a.text.size);
        if (a.id == MBR_NO_TOKEN)
            a.id = next++;
        mbr_status st = normalize_added(t, &a, match, norm, l->err);
        if (st != MBR_OK)
            return st;
        t->added[same] = a;
        t->added_count += same == t->added_count;
        t->added_of[a.id] = same + 1;
        if (a.id >= t->id_most)
            t->id_most = a.id + 1;
    }
    return mbr_added_build(t, l->err);
}

static mbr_status load_parts(mbr_tokenizer *t, const mbr_json_node *root, mbr_error *err)
{
    const mbr_json_node *list[STEPS_MOST];
    mbr_loader l = { .t = t, .j = &t->json, .part = "normalizer", .err = err };
    uint32_t count = 0;
    MBR_TRY(flatten(&l, mbr_json_get(l.j, root, "normalizer"), "normalizers", list, &count, 0));
    t->normal = mbr_arena_calloc(&t->arena, count + 1, sizeof *t->normal);
    if (!t->normal)
        return mbr_no_memory(err, count * sizeof *t->normal);
    for (uint32_t i = 0; i < count; i++) {
        t->normal_count++;
        MBR_TRY(load_normal(&l, list[i], &t->normal[i]));
    }
    l.part = "pre_tokenizer";
    count = 0;
    MBR_TRY(flatten(&l, mbr_json_get(l.j, root, "pre_tokenizer"), "pretokenizers", list, &count, 0));
    t->pre = mbr_arena_calloc(&t->arena, count + 1, sizeof *t->pre);
    if (!t->pre)
        return mbr_no_memory(err, count * sizeof *t->pre);
    for (uint32_t i = 0; i < count; i++) {
        t->pre_count++;
        MBR_TRY(load_pre(&l, list[i], &t->pre[i]));
    }
    t->byte_level = count && t->pre[count - 1].kind == MBR_PRE_BYTE_LEVEL && t->model == MBR_TM_BPE;
    l.part = "post_processor";
    count = 0;
    MBR_TRY(flatten(&l, mbr_json_get(l.j, root, "post_processor"), "processors", list, &count, 0));
    t->post = mbr_arena_calloc(&t->arena, count + 1, sizeof *t->post);
    if (!t->post)
        return mbr_no_memory(err, count * sizeof *t->post);
    for (uint32_t i = 0; i < count; i++) {
        t->post_count++;
        MBR_TRY(load_post(&l, list[i], &t->post[i]));
    }
    l.part = "decoder";
    count = 0;
    t->has_decoder = !mbr_json_null(mbr_json_get(l.j, root, "decoder"));
    MBR_TRY(flatten(&l, mbr_json_get(l.j, root, "decoder"), "decoders", list, &count, 0));
    t->decode = mbr_arena_calloc(&t->arena, count + 1, sizeof *t->decode);
    if (!t->decode)
        return mbr_no_memory(err, count * sizeof *t->decode);
    for (uint32_t i = 0; i < count; i++) {
        t->decode_count++;
        MBR_TRY(load_decode(&l, list[i], &t->decode[i]));
    }
    MBR_TRY(load_truncation(&l, mbr_json_get(l.j, root, "truncation")));
    return load_padding(&l, mbr_json_get(l.j, root, "padding"));
}

mbr_status mbr_tokenizer_load(mbr_tokenizer *t, mbr_error *err)
{
    const mbr_json_node *root = mbr_json_at(&t->json, 1);
    mbr_loader l = { .t = t, .j = &t->json, .part = "version", .err = err };
    mbr_string version = { 0 };
    if (root->type != MBR_JSON_OBJECT)
        return mbr_fail(err, MBR_ERR_MODEL, "%s: not an object; is this a tokenizer.json?", t->name);
    MBR_TRY(mbr_load_string(&l, root, "version", false, &version));
    if (version.data && !mbr_string_is(version, "1.0"))
        return mbr_load_fail(&l, MBR_ERR_UNSUPPORTED, "it is not 1.0");
    t->unicode = mbr_unicode_new(t->memory);
    if (!t->unicode)
        return mbr_no_memory(err, sizeof *t->unicode);
    MBR_TRY(mbr_load_model(t, mbr_json_get(&t->json, root, "model"), err));
    MBR_TRY(load_parts(t, root, err));
    mbr_text norm[2] = { { .memory = t->memory }, { .memory = t->memory } };
    mbr_match *match = mbr_match_new(t->memory);
    mbr_status st = match ? load_added(&l, mbr_json_get(&t->json, root, "added_tokens"), match, norm)
                          : mbr_no_memory(err, sizeof(void *));
    mbr_match_free(t->memory, match);
    mbr_text_destroy(&norm[0]);
    mbr_text_destroy(&norm[1]);
    return st;
}

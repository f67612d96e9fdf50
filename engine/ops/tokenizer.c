/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * com.microsoft's Tokenizer: each string becomes a row of tokens, between separators (each a regular expression, the
 * first one first) or as the matches of an expression; matches are the leftmost, longest ones. A single empty separator
 * means characters. Rows are filled up with pad_value; `mark` puts them between \2 and \3.
 */
#include "base/checked.h"
#include "engine/ops/op_util.h"
#include "engine/ops/pattern.h"

#include <string.h>

typedef struct state {
    mbr_pattern **patterns; /* (n) separators, or the one expression */
    size_t n, room;
    bool characters, matches;
} state;

/* Tokens of all strings, in memory of the run. */
typedef struct tokens {
    mbr_string *v;
    size_t n, capacity;
} tokens;

static mbr_status infer(mbr_infer *c)
{
    size_t separators;
    const mbr_string *first = mbr_attr_strings(c->node, "separators", &separators);
    const char *expression = mbr_attr_string(c->node, "tokenexp", "");
    int64_t least = mbr_attr_int(c->node, "mincharnum", 1);
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPE_BIT(STRING)));
    MBR_TRY(mbr_op_check_rank(c, 0, 1, 2));
    if (separators == 0 && !*expression)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "neither separators nor tokenexp is there");
    if (least < 1 || (separators == 1 && first[0].size == 0 && least > 1))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "mincharnum is %lld", (long long)least);
    /* of one rank more than the input, but where that has no strings: then of the same */
    mbr_infer_out(c, 0, MBR_DTYPE_STRING, -1, NULL);
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    state *st = s->state;
    size_t n;
    const mbr_string *separators = mbr_attr_strings(s->node, "separators", &n);
    const char *expression = mbr_attr_string(s->node, "tokenexp", "");
    st->matches = n == 0;
    st->characters = (n == 1 && separators[0].size == 0) || (st->matches && strcmp(expression, ".") == 0);
    if (st->characters)
        return MBR_OK;
    st->patterns = mbr_calloc(mbr_step_memory(s), n ? n : 1, sizeof *st->patterns);
    if (!st->patterns)
        return mbr_no_memory(err, n * sizeof *st->patterns);
    for (size_t i = 0; i < (n ? n : 1); i++) {
        const char *text = n ? separators[i].data : expression;
        mbr_status status = mbr_pattern_new(mbr_step_memory(s), text, n ? separators[i].size : strlen(text),
                                            &st->patterns[i], err);
        if (status != MBR_OK)
            return mbr_ir_fail_at(s->node, err, status);
        st->n = i + 1;
        st->room = mbr_max_size(st->room, mbr_pattern_room(st->patterns[i]));
    }
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    state *st = s->state;
    for (size_t i = 0; i < st->n; i++)
        mbr_pattern_free(st->patterns[i]);
    mbr_free(mbr_step_memory(s), st->patterns);
    st->patterns = NULL;
    st->n = 0;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    (void)err;
    s->scratch = ((state *)s->state)->room + 1;
    return MBR_OK;
}

static mbr_status add(mbr_step *s, tokens *t, const char *text, size_t size, mbr_error *err)
{
    if (t->n == t->capacity) {
        size_t more = t->capacity ? 2 * t->capacity : 64;
        mbr_string *v = mbr_step_alloc(s, more * sizeof *v);
        if (!v)
            return mbr_no_memory(err, more * sizeof *v);
        if (t->n)
            memcpy(v, t->v, t->n * sizeof *v);
        t->v = v;
        t->capacity = more;
    }
    t->v[t->n++] = (mbr_string){ text, size };
    return MBR_OK;
}

/* Bytes of the character at the beginning; what is no UTF-8 is one byte. */
static size_t character(const char *text, size_t size)
{
    unsigned char c = (unsigned char)text[0];
    size_t n = c < 0x80 ? 1 : c >= 0xF0 && c < 0xF8 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    for (size_t i = 1; i < n; i++)
        if (i >= size || ((unsigned char)text[i] & 0xC0) != 0x80)
            return 1;
    return n;
}

static bool long_enough(const char *text, size_t size, int64_t least)
{
    for (size_t at = 0; at < size && least > 0; least--)
        at += character(text + at, size - at);
    return least <= 0;
}

/* The leftmost match at or after *at, and its length; false: none. */
static bool search(const mbr_pattern *p, mbr_string text, size_t *at, size_t *length, void *room)
{
    for (; *at <= text.size; *at += *at < text.size ? character(text.data + *at, text.size - *at) : 1)
        if (mbr_pattern_longest(p, text.data, text.size, *at, length, room))
            return true;
    return false;
}

/* Cuts one string by one pattern: keeps the matches, or what lies between them. */
static mbr_status cut(mbr_step *s, const mbr_pattern *p, mbr_string text, bool matches, int64_t least, tokens *to,
                      void *room, mbr_error *err)
{
    size_t start = 0, at = 0, length;
    while (at < text.size && search(p, text, &at, &length, room)) {
        const char *token = text.data + (matches ? at : start);
        size_t size = matches ? length : at - start;
        if (size && long_enough(token, size, least))
            MBR_TRY(add(s, to, token, size, err));
        /* an empty match takes the next character with it */
        at += length ? length : at < text.size ? character(text.data + at, text.size - at) : 1;
        start = at;
    }
    if (!matches && start < text.size && long_enough(text.data + start, text.size - start, least))
        return add(s, to, text.data + start, text.size - start, err);
    return MBR_OK;
}

static mbr_status tokenize(mbr_step *s, mbr_string text, tokens *to, void *room, mbr_error *err)
{
    const state *st = s->state;
    int64_t least = mbr_attr_int(s->node, "mincharnum", 1);
    if (st->characters) {
        for (size_t at = 0, n; at < text.size; at += n) {
            n = character(text.data + at, text.size - at);
            MBR_TRY(add(s, to, text.data + at, n, err));
        }
        return MBR_OK;
    }
    tokens pieces = { 0 };
    MBR_TRY(add(s, &pieces, text.data, text.size, err));
    for (size_t i = 0; i < st->n; i++) {
        tokens next = { 0 };
        for (size_t k = 0; k < pieces.n; k++)
            MBR_TRY(cut(s, st->patterns[i], pieces.v[k], st->matches, least, i + 1 == st->n ? to : &next, room, err));
        pieces = next;
    }
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    const char *pad = mbr_attr_string(s->node, "pad_value", "");
    const mbr_string *text = in->data, padding = { pad, strlen(pad) };
    size_t strings = mbr_value_count(in), most = 0;
    bool mark = mbr_attr_int(s->node, "mark", 0) != 0;
    tokens all = { 0 };
    int64_t dims[3] = { in->dims[0], in->rank > 1 ? in->dims[1] : 0, 0 };
    if (strings == 0)
        return mbr_step_resize(s, 0, in->rank, (int64_t[]){ in->rank > 1 ? dims[0] : 0, 0 }, err);
    MBR_TRY(mbr_op_check_text(s, 0, err));
    size_t *ends = mbr_step_alloc(s, strings * sizeof *ends);
    if (!ends)
        return mbr_no_memory(err, strings * sizeof *ends);
    for (size_t i = 0; i < strings; i++) {
        if (mbr_step_cancelled(s))
            return mbr_step_fail(s, err, MBR_ERR_CANCELLED, "the run was cancelled");
        MBR_TRY(tokenize(s, text[i], &all, job->scratch, err));
        ends[i] = all.n;
        most = mbr_max_size(most, all.n - (i ? ends[i - 1] : 0));
    }
    size_t width = most && mark ? most + 2 : most;
    dims[in->rank] = (int64_t)width;
    MBR_TRY(mbr_step_resize(s, 0, in->rank + 1, dims, err));
    mbr_string *to = s->out[0]->data;
    for (size_t i = 0, k = 0; i < strings && width; i++) {
        mbr_string *row_end = to + width;
        if (mark)
            *to++ = (mbr_string){ "\2", 1 };
        while (k < ends[i])
            *to++ = all.v[k++];
        if (mark)
            *to++ = (mbr_string){ "\3", 1 };
        while (to < row_end)
            *to++ = padding;
    }
    return MBR_OK;
}

const mbr_op mbr_ops_tokenizer[] = {
    { .domain = "com.microsoft", .name = "Tokenizer", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_SIZED_BY_RUN | MBR_OP_HOST, .infer = infer, .init = init, .prepare = prepare, .run = run,
      .fini = fini, .state_size = sizeof(state) },
    { 0 },
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* StringConcat, StringSplit, StringNormalizer, RegexFullMatch: text, in memory of the run. */
#include "engine/ops/op_util.h"

#include "engine/ops/pattern.h"

#include <string.h>

static mbr_status take_text(mbr_step *s, size_t bytes, char **text, mbr_error *err)
{
    *text = mbr_step_alloc(s, bytes ? bytes : 1);
    return *text ? MBR_OK : mbr_no_memory(err, bytes);
}

static bool same_text(mbr_string a, mbr_string b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* --- StringConcat --- */

static mbr_status infer_concat(mbr_infer *c)
{
    const mbr_arg *args[2] = { &c->in[0], &c->in[1] };
    mbr_dim dims[MBR_MAX_RANK];
    int rank;
    for (uint32_t i = 0; i < 2; i++)
        MBR_TRY(mbr_op_check_type(c, i, MBR_TYPE_BIT(STRING)));
    MBR_TRY(mbr_infer_broadcast(c, args, 2, &rank, dims));
    mbr_infer_out(c, 0, MBR_DTYPE_STRING, rank, dims);
    return MBR_OK;
}

static mbr_status run_concat(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *out = s->out[0];
    const mbr_string *a = s->in[0]->data, *b = s->in[1]->data;
    mbr_string *to = out->data;
    size_t dims[MBR_MAX_RANK], n = mbr_value_count(out);
    ptrdiff_t as[MBR_MAX_RANK], bs[MBR_MAX_RANK];
    int rank = mbr_op_dims(out, dims);
    (void)job;
    for (uint32_t i = 0; i < 2; i++)
        MBR_TRY(mbr_op_check_spread(s, i, out, rank - s->in[i]->rank, err));
    mbr_op_strides(s->in[0], rank, as);
    mbr_op_strides(s->in[1], rank, bs);
    for (size_t i = 0; i < n; i++) {
        size_t rest = i;
        ptrdiff_t p = 0, q = 0;
        char *text;
        for (int d = rank - 1; d >= 0; d--) {
            p += (ptrdiff_t)(rest % dims[d]) * as[d];
            q += (ptrdiff_t)(rest % dims[d]) * bs[d];
            rest /= dims[d];
        }
        MBR_TRY(take_text(s, a[p].size + b[q].size, &text, err));
        if (a[p].size)
            memcpy(text, a[p].data, a[p].size);
        if (b[q].size)
            memcpy(text + a[p].size, b[q].data, b[q].size);
        to[i] = (mbr_string){ text, a[p].size + b[q].size };
    }
    return MBR_OK;
}

/* --- StringSplit --- */

static mbr_status infer_split(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim dims[MBR_MAX_RANK];
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPE_BIT(STRING)));
    if (in->rank >= MBR_MAX_RANK)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "rank %d", in->rank + 1);
    mbr_infer_out(c, 1, MBR_DTYPE_I64, in->rank, in->dims);
    if (in->rank < 0) {
        mbr_infer_out(c, 0, MBR_DTYPE_STRING, -1, NULL);
        return MBR_OK;
    }
    memcpy(dims, in->dims, sizeof dims);
    dims[in->rank] = MBR_DIM_UNKNOWN;
    mbr_infer_out(c, 0, MBR_DTYPE_STRING, in->rank + 1, dims);
    return MBR_OK;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * The parts of s, as Python's str.split cuts: at each delimiter, or at runs of white space where it is empty. parts
 * may be NULL to count.
 */
static size_t split(mbr_string s, mbr_string by, size_t most, mbr_string *parts)
{
    size_t n = 0, at = 0, begin = 0;
    if (by.size == 0) {
        for (;;) {
            while (at < s.size && is_space(s.data[at]))
                at++;
            if (at == s.size)
                return n;
            begin = at;
            while (at < s.size && (n >= most || !is_space(s.data[at])))
                at++;
            if (parts)
                parts[n] = (mbr_string){ s.data + begin, at - begin };
            n++;
        }
    }
    while (n < most && at + by.size <= s.size) {
        if (memcmp(s.data + at, by.data, by.size) != 0) {
            at++;
            continue;
        }
        if (parts)
            parts[n] = (mbr_string){ s.data + begin, at - begin };
        n++;
        begin = at += by.size;
    }
    if (parts)
        parts[n] = (mbr_string){ s.size ? s.data + begin : s.data, s.size - begin };
    return n + 1;
}

static mbr_status run_split(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    const mbr_string *from = in->data;
    const mbr_ir_attr *a = mbr_attr(s->node, "delimiter");
    mbr_string by = a && a->kind == MBR_ATTR_STRING ? a->s : (mbr_string){ "", 0 };
    int64_t limit = mbr_attr_int(s->node, "maxsplit", -1), dims[MBR_MAX_RANK];
    size_t most = limit < 0 ? SIZE_MAX : (size_t)limit, n = mbr_value_count(in), widest = 0;
    (void)job;
    MBR_TRY(mbr_op_check_text(s, 0, err));
    for (size_t i = 0; i < n; i++) {
        size_t parts = split(from[i], by, most, NULL);
        widest = parts > widest ? parts : widest;
    }
    memcpy(dims, in->dims, sizeof(int64_t) * (size_t)in->rank);
    dims[in->rank] = (int64_t)widest;
    MBR_TRY(mbr_step_resize(s, 0, in->rank + 1, dims, err));
    MBR_TRY(mbr_step_resize(s, 1, in->rank, in->dims, err));
    for (size_t i = 0; i < n; i++) {
        mbr_string *to = s->out[0] && widest ? (mbr_string *)s->out[0]->data + i * widest : NULL;
        size_t parts = split(from[i], by, most, to);
        for (size_t k = parts; to && k < widest; k++)
            to[k] = (mbr_string){ "", 0 };
        if (mbr_step_wants(s, 1))
            ((int64_t *)s->out[1]->data)[i] = (int64_t)parts;
    }
    return MBR_OK;
}

/* --- StringNormalizer --- */

/*
 * The other case of a letter: ASCII, Latin-1, Latin Extended-A, Greek, Cyrillic, whose capitals and small letters lie
 * at fixed distances; other characters stay. Both have the same length in UTF-8 but for the few that stay as well.
 */
static uint32_t change_case(uint32_t c, bool upper)
{
    static const struct {
        uint32_t first, last, distance; /* capitals; small ones are as far above */
    } blocks[] = { { 'A', 'Z', 32 },        { 0xc0, 0xd6, 32 },    { 0xd8, 0xde, 32 },   { 0x391, 0x3a1, 32 },
                   { 0x3a3, 0x3ab, 32 },    { 0x410, 0x42f, 32 },  { 0x400, 0x40f, 80 } };
    for (size_t i = 0; i < MBR_COUNT_OF(blocks); i++) {
        uint32_t by = upper ? blocks[i].distance : 0;
        if (c >= blocks[i].first + by && c <= blocks[i].last + by)
            return upper ? c - blocks[i].distance : c + blocks[i].distance;
    }
    bool even_first = (c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177);
    bool odd_first = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e);
    if (even_first || odd_first) { /* capital and small letter are neighbours */
        bool capital = even_first ? c % 2 == 0 : c % 2 == 1;
        return capital == upper ? c : upper ? c - 1 : c + 1;
    }
    return c;
}

/* text has room for s.size bytes. */
static mbr_string with_case(mbr_string s, bool upper, char *text)
{
    for (size_t i = 0; i < s.size; i++) {
        unsigned char b = (unsigned char)s.data[i];
        unsigned char next = i + 1 < s.size ? (unsigned char)s.data[i + 1] : 0;
        if (b < 0x80) {
            text[i] = (char)change_case(b, upper);
        } else if (b >> 5 == 6 && next >> 6 == 2) { /* two bytes */
            uint32_t c = change_case((b & 0x1fu) << 6 | (next & 0x3fu), upper);
            if (c < 0x80)
                c = (b & 0x1fu) << 6 | (next & 0x3fu);
            text[i++] = (char)(0xc0 | c >> 6);
            text[i] = (char)(0x80 | (c & 0x3f));
        } else {
            text[i] = (char)b;
        }
    }
    return (mbr_string){ text, s.size };
}

enum { KEEP, LOWER, UPPER };

static int action(const mbr_ir_node *node)
{
    const char *name = mbr_attr_string(node, "case_change_action", "NONE");
    return strcmp(name, "LOWER") == 0   ? LOWER
           : strcmp(name, "UPPER") == 0 ? UPPER
           : strcmp(name, "NONE") == 0  ? KEEP
                                        : -1;
}

static mbr_status infer_normalizer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim dims[2] = { in->dims[0], MBR_DIM_UNKNOWN };
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPE_BIT(STRING)));
    MBR_TRY(mbr_op_check_rank(c, 0, 1, 2));
    if (action(c->node) < 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "case_change_action must be NONE, LOWER or UPPER");
    if (in->rank == 2 && mbr_dim_is_const(dims[0]) && dims[0] != 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the first of two axes must be 1, it is %lld", (long long)dims[0]);
    if (in->rank == 1)
        dims[0] = MBR_DIM_UNKNOWN;
    mbr_infer_out(c, 0, MBR_DTYPE_STRING, in->rank, in->rank < 0 ? NULL : dims);
    return MBR_OK;
}

static mbr_status run_normalizer(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    const mbr_string *from = in->data;
    bool sensitive = mbr_attr_int(s->node, "is_case_sensitive", 0) != 0;
    size_t n_stops, n = mbr_value_count(in), kept = 0;
    const mbr_string *stops = mbr_attr_strings(s->node, "stopwords", &n_stops);
    int what = action(s->node);
    char *text;
    (void)job;
    if (in->rank == 2 && in->dims[0] != 1)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the first of two axes must be 1");
    MBR_TRY(mbr_op_check_text(s, 0, err));
    mbr_string *words = mbr_step_alloc(s, (n + 1 + n_stops) * sizeof *words), *small = words + n;
    if (!words)
        return mbr_no_memory(err, n * sizeof *words);
    for (size_t k = 0; k < n_stops; k++) {
        small[k] = stops[k];
        if (!sensitive) {
            MBR_TRY(take_text(s, stops[k].size, &text, err));
            small[k] = with_case(stops[k], false, text);
        }
    }
    for (size_t i = 0; i < n; i++) {
        mbr_string plain = from[i];
        bool stop = false;
        MBR_TRY(take_text(s, from[i].size, &text, err));
        if (!sensitive && n_stops)
            plain = with_case(from[i], false, text);
        for (size_t k = 0; k < n_stops && !stop; k++)
            stop = same_text(plain, small[k]);
        if (!stop)
            words[kept++] = what == KEEP ? from[i] : with_case(from[i], what == UPPER, text);
    }
    if (kept == 0)
        words[kept++] = (mbr_string){ "", 0 };
    int64_t dims[2] = { 1, (int64_t)kept };
    MBR_TRY(mbr_step_resize(s, 0, in->rank, dims + 2 - in->rank, err));
    memcpy(s->out[0]->data, words, kept * sizeof *words);
    return MBR_OK;
}

/* --- RegexFullMatch --- */

typedef struct regex_state {
    mbr_pattern *pattern;
} regex_state;

static mbr_status infer_regex(mbr_infer *c)
{
    const mbr_ir_attr *a = mbr_attr(c->node, "pattern");
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPE_BIT(STRING)));
    if (!a || a->kind != MBR_ATTR_STRING)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the attribute 'pattern' is absent");
    mbr_infer_out(c, 0, MBR_DTYPE_BOOL, c->in[0].rank, c->in[0].dims);
    return MBR_OK;
}

static mbr_status init_regex(mbr_step *s, mbr_error *err)
{
    regex_state *st = s->state;
    const mbr_ir_attr *a = mbr_attr(s->node, "pattern");
    mbr_status status = mbr_pattern_new(mbr_step_memory(s), a->s.data, a->s.size, &st->pattern, err);
    return status == MBR_OK ? MBR_OK : mbr_ir_fail_at(s->node, err, status);
}

static mbr_status run_regex(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const regex_state *st = s->state;
    const mbr_string *in = s->in[0]->data;
    size_t n = mbr_value_count(s->in[0]), bytes = mbr_pattern_room(st->pattern);
    void *room = mbr_step_alloc(s, bytes);
    (void)job;
    if (!room)
        return mbr_no_memory(err, bytes);
    MBR_TRY(mbr_op_check_text(s, 0, err));
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)s->out[0]->data)[i] = mbr_pattern_matches(st->pattern, in[i].data, in[i].size, room);
    return MBR_OK;
}

static void fini_regex(mbr_step *s)
{
    regex_state *st = s->state;
    mbr_pattern_free(st->pattern);
    st->pattern = NULL;
}

const mbr_op mbr_ops_string[] = {
    { .domain = "", .name = "RegexFullMatch", .since = 20, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_HOST, .infer = infer_regex, .init = init_regex, .run = run_regex, .fini = fini_regex,
      .state_size = sizeof(regex_state) },
    { .domain = "", .name = "StringConcat", .since = 20, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_HOST, .infer = infer_concat, .run = run_concat },
    { .domain = "", .name = "StringNormalizer", .since = 10, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_HOST | MBR_OP_SIZED_BY_RUN, .infer = infer_normalizer, .run = run_normalizer },
    { .domain = "", .name = "StringSplit", .since = 20, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 2,
      .flags = MBR_OP_HOST | MBR_OP_SIZED_BY_RUN, .infer = infer_split, .run = run_split },
    { 0 },
};

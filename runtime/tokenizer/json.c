/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/tokenizer/json.h"
#include "runtime/rows/text.h"

#include <string.h>

#define DEPTH_MAX 64
#define NODES_MAX ((uint32_t)1 << 28)

typedef struct reader {
    mbr_json *j;
    char *at, *end, *start;
    const char *name;
    mbr_error *err;
} reader;

static mbr_status wrong(const reader *r, const char *what)
{
    size_t line = 1;
    for (const char *s = r->start; s < r->at; s++)
        line += *s == '\n';
    return mbr_fail(r->err, MBR_ERR_FORMAT, "%s:%zu: not valid JSON: %s", r->name, line, what);
}

static void skip_blanks(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static mbr_status add_node(reader *r, uint32_t *index)
{
    mbr_json *j = r->j;
    if (j->count == j->capacity) {
        if (j->capacity >= NODES_MAX)
            return mbr_fail(r->err, MBR_ERR_LIMIT, "%s: more than %u values", r->name, NODES_MAX);
        uint32_t capacity = j->capacity ? 2 * j->capacity : 4096;
        mbr_json_node *bigger = mbr_grow(j->memory, j->nodes, j->count * sizeof *bigger, capacity * sizeof *bigger);
        if (!bigger)
            return mbr_no_memory(r->err, capacity * sizeof *bigger);
        j->nodes = bigger;
        j->capacity = capacity;
    }
    *index = j->count;
    memset(&j->nodes[j->count++], 0, sizeof *j->nodes);
    return MBR_OK;
}

static bool hex4(const char *s, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)s[i];
        unsigned digit = c - '0' <= 9 ? c - '0' : (c | 32) - 'a' <= 5 ? (c | 32) - 'a' + 10 : 16;
        if (digit > 15)
            return false;
        *code = *code << 4 | digit;
    }
    return true;
}

static char *put_code(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    }
    return to;
}

/* r->at is behind the backslash. */
static mbr_status read_escape(reader *r, char **to)
{
    static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end)
        return wrong(r, "the file ends inside a string");
    char c = *r->at++;
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
        *(*to)++ = plain[found - from];
        return MBR_OK;
    }
    uint32_t code, low;
    if (c != 'u' || r->end - r->at < 4 || !hex4(r->at, &code))
        return wrong(r, "a backslash before something that it does not escape");
    r->at += 4;
    if (code >= 0xd800 && code < 0xe000) {
        if (code >= 0xdc00 || r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u' || !hex4(r->at + 2, &low) ||
            low < 0xdc00 || low >= 0xe000)
            return wrong(r, "half of a surrogate pair");
        r->at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *to = put_code(*to, code);
    return MBR_OK;
}

/* r->at is behind the quote. */
static mbr_status read_string(reader *r, uint32_t *text, uint32_t *size)
{
    char *from = r->at, *to;
    while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20)
        r->at++;
    to = r->at;
    while (r->at < r->end && *r->at != '"') {
        if (*r->at == '\\') {
            r->at++;
            MBR_TRY(read_escape(r, &to));
        } else if ((unsigned char)*r->at < 0x20) {
            return wrong(r, "a control character inside a string");
        } else {
            *to++ = *r->at++;
        }
    }
    if (r->at == r->end)
        return wrong(r, "the file ends inside a string");
    r->at++;
    *to = '\0'; /* where the quote was, or before it */
    *text = (uint32_t)(from - r->start);
    *size = (uint32_t)(to - from);
    return MBR_OK;
}

static bool digits(reader *r)
{
    const char *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > from;
}

static mbr_status read_number(reader *r, mbr_json_node *n)
{
    char *from = r->at;
    if (*r->at == '-')
        r->at++;
    const char *whole = r->at;
    if (!digits(r) || (*whole == '0' && r->at - whole > 1))
        return wrong(r, "a value is due");
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!digits(r))
            return wrong(r, "digits are due behind the point");
    }
    if (r->at < r->end && (*r->at | 32) == 'e') {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!digits(r))
            return wrong(r, "digits are due in the exponent");
    }
    n->type = MBR_JSON_NUMBER;
    n->text = (uint32_t)(from - r->start);
    n->text_size = (uint32_t)(r->at - from);
    return MBR_OK;
}

static mbr_status read_word(reader *r, mbr_json_node *n)
{
    static const struct {
        const char *word;
        mbr_json_type type;
    } words[] = { { "null", MBR_JSON_NULL }, { "false", MBR_JSON_FALSE }, { "true", MBR_JSON_TRUE } };
    for (size_t i = 0; i < MBR_COUNT_OF(words); i++) {
        size_t size = strlen(words[i].word);
        if ((size_t)(r->end - r->at) >= size && memcmp(r->at, words[i].word, size) == 0) {
            r->at += size;
            n->type = words[i].type & 7u;
            return MBR_OK;
        }
    }
    return wrong(r, "a value is due");
}

/* A value that is no container; of one that is, only its beginning. */
static mbr_status read_value(reader *r, uint32_t index)
{
    uint32_t text, size;
    mbr_json_node *n = &r->j->nodes[index];
    if (r->at == r->end)
        return wrong(r, "the file ends where a value is due");
    switch (*r->at) {
    case '{':
    case '[':
        n->type = *r->at++ == '{' ? MBR_JSON_OBJECT : MBR_JSON_ARRAY;
        return MBR_OK;
    case '"':
        r->at++;
        MBR_TRY(read_string(r, &text, &size));
        n->type = MBR_JSON_STRING;
        n->text = text;
        n->text_size = size;
        return MBR_OK;
    case 'n':
    case 't':
    case 'f':
        return read_word(r, n);
    default:
        return read_number(r, n);
    }
}

static mbr_status read_tree(reader *r)
{
    mbr_json *j = r->j;
    struct {
        uint32_t node, last;
    } stack[DEPTH_MAX];
    uint32_t depth = 0, index, key = 0, key_size = 0;
    MBR_TRY(add_node(r, &index));
    MBR_TRY(add_node(r, &index));
    skip_blanks(r);
    MBR_TRY(read_value(r, index));
    if (j->nodes[index].type >= MBR_JSON_ARRAY) {
        stack[0].node = index;
        stack[0].last = 0;
        depth = 1;
    }
    while (depth) {
        uint32_t parent = stack[depth - 1].node, last = stack[depth - 1].last;
        bool object = j->nodes[parent].type == MBR_JSON_OBJECT;
        char close = object ? '}' : ']';
        skip_blanks(r);
        if (r->at < r->end && *r->at == close) {
            r->at++;
            depth--;
            continue;
        }
        if (last) {
            if (r->at == r->end || *r->at != ',')
                return wrong(r, object ? "',' or '}' is due" : "',' or ']' is due");
            r->at++;
            skip_blanks(r);
        }
        if (object) {
            if (r->at == r->end || *r->at != '"')
                return wrong(r, "a key in quotes is due");
            r->at++;
            MBR_TRY(read_string(r, &key, &key_size));
            skip_blanks(r);
            if (r->at == r->end || *r->at != ':')
                return wrong(r, "':' is due");
            r->at++;
            skip_blanks(r);
        }
        MBR_TRY(add_node(r, &index));
        mbr_json_node *n = &j->nodes[index];
        n->key = key;
        n->key_size = key_size;
        if (last)
            j->nodes[last].next = index & 0x1fffffffu;
        else
            j->nodes[parent].child = index;
        j->nodes[parent].text_size++;
        stack[depth - 1].last = index;
        MBR_TRY(read_value(r, index));
        if (n->type >= MBR_JSON_ARRAY) {
            if (depth == DEPTH_MAX)
                return wrong(r, "brackets are nested too deeply");
            stack[depth].node = index;
            stack[depth].last = 0;
            depth++;
        }
    }
    skip_blanks(r);
    return r->at == r->end ? MBR_OK : wrong(r, "something follows the end");
}

mbr_status mbr_json_parse(mbr_json *j, mbr_memory *memory, char *text, size_t size, const char *name, mbr_error *err)
{
    *j = (mbr_json){ .memory = memory, .text = text };
    if (size >= UINT32_MAX)
        return mbr_fail(err, MBR_ERR_LIMIT, "%s: larger than 4 GB", name);
    text[size] = '\0';
    if (!mbr_text_utf8(text, size))
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: not valid UTF-8", name);
    reader r = { .j = j, .at = text, .start = text, .end = text + size, .name = name, .err = err };
    return read_tree(&r);
}

void mbr_json_free_nodes(mbr_json *j)
{
    mbr_free(j->memory, j->nodes);
    j->nodes = NULL;
    j->count = j->capacity = 0;
}

const mbr_json_node *mbr_json_get(const mbr_json *j, const mbr_json_node *n, const char *key)
{
    const mbr_json_node *found = NULL;
    size_t size = strlen(key);
    if (!n || n->type != MBR_JSON_OBJECT)
        return NULL;
    for (const mbr_json_node *m = mbr_json_first(j, n); m; m = mbr_json_next(j, m))
        if (m->key_size == size && memcmp(j->text + m->key, key, size) == 0)
            found = m;
    return found;
}

bool mbr_json_unsigned(const mbr_json *j, const mbr_json_node *n, uint64_t most, uint64_t *out)
{
    uint64_t v = 0;
    if (!n || n->type != MBR_JSON_NUMBER || n->text_size > 18)
        return false;
    for (uint32_t i = 0; i < n->text_size; i++) {
        unsigned digit = (unsigned char)j->text[n->text + i] - (unsigned)'0';
        if (digit > 9)
            return false;
        v = 10 * v + digit;
    }
    *out = v;
    return v <= most;
}

/* Exact powers of ten, and the nearest doubles of those that are not: literals are rounded by the compiler. */
static const double powers[] = {
#define TEN(d) 1e##d##0, 1e##d##1, 1e##d##2, 1e##d##3, 1e##d##4, 1e##d##5, 1e##d##6, 1e##d##7, 1e##d##8, 1e##d##9
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
    TEN(1), TEN(2), TEN(3), TEN(4), TEN(5), TEN(6), TEN(7), TEN(8), TEN(9), TEN(10),
    TEN(11), TEN(12), TEN(13), TEN(14), TEN(15), TEN(16), TEN(17), TEN(18), TEN(19), TEN(20),
    TEN(21), TEN(22), TEN(23), TEN(24), TEN(25), TEN(26), TEN(27), TEN(28), TEN(29),
    1e300, 1e301, 1e302, 1e303, 1e304, 1e305, 1e306, 1e307, 1e308
#undef TEN
};

bool mbr_json_double(const mbr_json *j, const mbr_json_node *n, double *out)
{
    if (!n || n->type != MBR_JSON_NUMBER)
        return false;
    const char *s = j->text + n->text, *end = s + n->text_size;
    bool negative = *s == '-', point = false, full = false;
    uint64_t digits_of = 0;
    int64_t exponent = 0;
    for (s += negative; s < end && (*s | 32) != 'e'; s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        unsigned digit = (unsigned char)*s - (unsigned)'0';
        if (full || digits_of > (UINT64_MAX - digit) / 10) {
            full = true;
            exponent += !point;
        } else {
            digits_of = 10 * digits_of + digit;
            exponent -= point;
        }
    }
    if (s < end) {
        int64_t written = 0;
        bool down = s[1] == '-';
        for (s += 1 + (s[1] == '-' || s[1] == '+'); s < end; s++)
            if (written < 1000000000)
                written = 10 * written + (*s - '0');
        exponent += down ? -written : written;
    }
    double v = (double)digits_of;
    while (exponent < -308 && v != 0) {
        v /= 1e308;
        exponent += 308;
    }
    if (v != 0) {
        if (exponent > 308)
            return false;
        v = exponent < 0 ? v / powers[-exponent] : v * powers[exponent];
    }
    *out = negative ? -v : v;
    return v <= 1.7976931348623157e308;
}

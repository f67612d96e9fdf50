/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/pipeline/node.h"
#include "runtime/pipeline/expr.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

mbr_status mbr_node_fail(const mbr_reading *r, const mbr_node *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mbr_vfail(r->err, MBR_ERR_FORMAT, fmt, args);
    va_end(args);
    return mbr_fail_at(r->err, MBR_ERR_FORMAT, "%s:%d: ", r->file, at->line);
}

mbr_status mbr_node_refuse(const mbr_reading *r, const mbr_node *at, mbr_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mbr_vfail(r->err, status, fmt, args);
    va_end(args);
    return mbr_fail_at(r->err, status, "%s:%d: ", r->file, at->line);
}

const mbr_node *mbr_node_get(const mbr_node *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->items[2 * i]->text.data, key) == 0)
            return map->items[2 * i + 1];
    return NULL;
}

mbr_status mbr_node_expect(const mbr_reading *r, const mbr_node *n, mbr_node_kind kind, const char *what)
{
    static const char *const names[] = { "one value", "a list ([a, b] or lines that begin with '- ')",
                                         "a table ({key: value} or lines 'key: value')" };
    if (n->kind == kind)
        return MBR_OK;
    return mbr_node_fail(r, n, "%s must be %s", what, names[kind]);
}

/* ---- single values ---- */

mbr_status mbr_node_number(const mbr_reading *r, const mbr_node *n, const char *what, double *out)
{
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_SCALAR, what));
    if (n->quoted || !mbr_text_number(n->text.data, n->text.size, out) || isnan(*out))
        return mbr_node_fail(r, n, "%s must be a number, not '%s'", what, n->text.data);
    return MBR_OK;
}

mbr_status mbr_node_string(const mbr_reading *r, const mbr_node *n, const char *what, mbr_string *out)
{
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_SCALAR, what));
    if (!n->quoted && (n->text.size == 0 || strcmp(n->text.data, "~") == 0 || strcmp(n->text.data, "null") == 0))
        return mbr_node_fail(r, n, "%s has no value; quote it ('%s') if that is meant", what, n->text.data);
    *out = n->text;
    return MBR_OK;
}

static mbr_status read_bool(const mbr_reading *r, const mbr_node *n, const char *what, bool *out)
{
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_SCALAR, what));
    *out = strcmp(n->text.data, "true") == 0;
    if (n->quoted || (!*out && strcmp(n->text.data, "false") != 0))
        return mbr_node_fail(r, n, "%s must be true or false, not '%s'", what, n->text.data);
    return MBR_OK;
}

/* The index of text in "a|b|c", or -1. */
static int word_index(const char *words, const char *text, size_t n)
{
    for (int i = 0; words && *words; i++) {
        const char *end = strchr(words, '|');
        size_t size = end ? (size_t)(end - words) : strlen(words);
        if (size == n && memcmp(words, text, n) == 0)
            return i;
        words = end ? end + 1 : NULL;
    }
    return -1;
}

static mbr_status read_choice(const mbr_reading *r, const mbr_node *n, const char *what, const char *words, int *out)
{
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_SCALAR, what));
    *out = word_index(words, n->text.data, n->text.size);
    if (*out < 0)
        return mbr_node_fail(r, n, "%s must be one of %s, not '%s'", what, words, n->text.data);
    return MBR_OK;
}

static mbr_status read_policy(const mbr_reading *r, const mbr_node *n, const char *what, const char *words,
                              mbr_policy *out)
{
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_SCALAR, what));
    out->number = NAN;
    out->word = word_index(words, n->text.data, n->text.size); /* quoted as well: JSON has no other words */
    if (out->word >= 0)
        return MBR_OK;
    if (n->quoted || !mbr_text_number(n->text.data, n->text.size, &out->number) || isnan(out->number))
        return mbr_node_fail(r, n, "%s must be a number or one of %s, not '%s'", what, words, n->text.data);
    return MBR_OK;
}

static mbr_status read_int(const mbr_reading *r, const mbr_node *n, const char *what, int64_t *out)
{
    double d;
    MBR_TRY(mbr_node_number(r, n, what, &d));
    if (d != floor(d) || fabs(d) > 9007199254740992.0)
        return mbr_node_fail(r, n, "%s must be a whole number, not '%s'", what, n->text.data);
    *out = (int64_t)d;
    return MBR_OK;
}

static mbr_status read_numbers(const mbr_reading *r, const mbr_node *n, const char *what, mbr_numbers *out)
{
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_LIST, what));
    if (!n->count)
        return mbr_node_fail(r, n, "%s is empty", what);
    out->count = n->count;
    out->items = mbr_arena_calloc(r->arena, n->count, sizeof *out->items);
    if (!out->items)
        return mbr_no_memory(r->err, n->count * sizeof *out->items);
    for (size_t i = 0; i < n->count; i++)
        MBR_TRY(mbr_node_number(r, n->items[i], what, &out->items[i]));
    return MBR_OK;
}

mbr_status mbr_node_strings(const mbr_reading *r, const mbr_node *n, const char *what, mbr_strings *out)
{
    size_t count = n->kind == MBR_NODE_LIST ? n->count : 1;
    if (n->kind == MBR_NODE_MAP)
        return mbr_node_expect(r, n, MBR_NODE_LIST, what);
    if (!count)
        return mbr_node_fail(r, n, "%s is empty", what);
    out->count = count;
    out->items = mbr_arena_calloc(r->arena, count, sizeof *out->items);
    if (!out->items)
        return mbr_no_memory(r->err, count * sizeof *out->items);
    for (size_t i = 0; i < count; i++)
        MBR_TRY(mbr_node_string(r, n->kind == MBR_NODE_LIST ? n->items[i] : n, what, &out->items[i]));
    return MBR_OK;
}

static mbr_status read_table(const mbr_reading *r, const mbr_node *n, const char *what, mbr_table *out)
{
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_MAP, what));
    if (!n->count)
        return mbr_node_fail(r, n, "%s is empty", what);
    out->count = n->count;
    out->keys = mbr_arena_calloc(r->arena, n->count, sizeof *out->keys);
    out->values = mbr_arena_calloc(r->arena, n->count, sizeof *out->values);
    if (!out->keys || !out->values)
        return mbr_no_memory(r->err, n->count * sizeof *out->keys);
    for (size_t i = 0; i < n->count; i++) {
        out->keys[i] = n->items[2 * i]->text;
        MBR_TRY(mbr_node_number(r, n->items[2 * i + 1], what, &out->values[i]));
    }
    return MBR_OK;
}

mbr_status mbr_node_name(const mbr_reading *r, const mbr_node *n, const char *what, const char **out)
{
    mbr_string s;
    MBR_TRY(mbr_node_string(r, n, what, &s));
    if (!mbr_expr_is_name(s.data, s.size))
        return mbr_node_fail(r, n, "%s '%s' must be a letter or '_' and then letters, digits and '_', at most 63, and "
                             "no word of the expression language (and, or, not, in, true, false)", what, s.data);
    *out = s.data;
    return MBR_OK;
}

/* ---- maps ---- */

/* Appends " a, b, c" of the list to text; remembers the name nearest to key. */
static void list_names(char *text, size_t size, const mbr_param *p, const char *key, const char **near, int *best)
{
    for (; p && p->name; p++) {
        size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%s", used ? ", " : "", p->name);
        int d = mbr_text_distance(key, p->name);
        if (d < *best) {
            *best = d;
            *near = p->name;
        }
    }
}

static bool knows(const mbr_param *p, const char *key)
{
    for (; p && p->name; p++)
        if (strcmp(p->name, key) == 0)
            return true;
    return false;
}

static mbr_status check_known(const mbr_reading *r, const mbr_node *map, const char *what, const mbr_param *params,
                              const mbr_param *extra)
{
    for (size_t i = 0; i < map->count; i++) {
        const mbr_node *key = map->items[2 * i];
        if (knows(params, key->text.data) || knows(extra, key->text.data))
            continue;
        char names[256] = "";
        const char *near = NULL;
        int best = 3;
        list_names(names, sizeof names, extra, key->text.data, &near, &best);
        list_names(names, sizeof names, params, key->text.data, &near, &best);
        if (near)
            return mbr_node_fail(r, key, "%s has no key '%s'; did you mean '%s'?", what, key->text.data, near);
        return mbr_node_fail(r, key, "%s has no key '%s'; it knows: %s", what, key->text.data, names);
    }
    return MBR_OK;
}

static mbr_status read_param(const mbr_reading *r, const mbr_node *n, const char *what, const mbr_param *p, char *to)
{
    switch (p->type) {
    case MBR_PARAM_NODE:
        *(const mbr_node **)to = n;
        return MBR_OK;
    case MBR_PARAM_STRING:
        return mbr_node_string(r, n, what, (mbr_string *)to);
    case MBR_PARAM_NUMBER:
        return mbr_node_number(r, n, what, (double *)to);
    case MBR_PARAM_INT:
        return read_int(r, n, what, (int64_t *)to);
    case MBR_PARAM_BOOL:
        return read_bool(r, n, what, (bool *)to);
    case MBR_PARAM_CHOICE:
        return read_choice(r, n, what, p->words, (int *)to);
    case MBR_PARAM_POLICY:
        return read_policy(r, n, what, p->words, (mbr_policy *)to);
    case MBR_PARAM_NUMBERS:
        return read_numbers(r, n, what, (mbr_numbers *)to);
    case MBR_PARAM_STRINGS:
        return mbr_node_strings(r, n, what, (mbr_strings *)to);
    case MBR_PARAM_TABLE:
        return read_table(r, n, what, (mbr_table *)to);
    }
    return mbr_fail(r->err, MBR_ERR_INTERNAL, "parameter '%s' has no type", p->name);
}

static void set_default(const mbr_param *p, char *to)
{
    switch (p->type) {
    case MBR_PARAM_NODE:
        *(const mbr_node **)to = NULL;
        break;
    case MBR_PARAM_STRING:
        *(mbr_string *)to = (mbr_string){ NULL, 0 };
        break;
    case MBR_PARAM_NUMBER:
        *(double *)to = p->preset;
        break;
    case MBR_PARAM_INT:
        *(int64_t *)to = (int64_t)p->preset;
        break;
    case MBR_PARAM_BOOL:
        *(bool *)to = p->preset != 0;
        break;
    case MBR_PARAM_CHOICE:
        *(int *)to = (int)p->preset;
        break;
    case MBR_PARAM_POLICY:
        *(mbr_policy *)to = (mbr_policy){ .word = (int)p->preset, .number = NAN };
        break;
    case MBR_PARAM_NUMBERS:
        *(mbr_numbers *)to = (mbr_numbers){ NULL, 0 };
        break;
    case MBR_PARAM_STRINGS:
        *(mbr_strings *)to = (mbr_strings){ NULL, 0 };
        break;
    case MBR_PARAM_TABLE:
        *(mbr_table *)to = (mbr_table){ NULL, NULL, 0 };
        break;
    }
}

mbr_status mbr_node_read(const mbr_reading *r, const mbr_node *map, const char *what, const mbr_param *params,
                         const mbr_param *extra, void *to)
{
    MBR_TRY(mbr_node_expect(r, map, MBR_NODE_MAP, what));
    MBR_TRY(check_known(r, map, what, params, extra));
    for (const mbr_param *p = params; p->name; p++) {
        const mbr_node *n = mbr_node_get(map, p->name);
        char text[160];
        set_default(p, (char *)to + p->offset);
        if (!n && p->required)
            return mbr_node_fail(r, map, "%s needs the key '%s'", what, p->name);
        if (!n)
            continue;
        snprintf(text, sizeof text, "'%s' of %s", p->name, what);
        MBR_TRY(read_param(r, n, text, p, (char *)to + p->offset));
    }
    return MBR_OK;
}

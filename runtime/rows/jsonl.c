/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/rows/jsonl.h"

#include "base/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_JANSSON

#include <jansson.h>

/* Decimal text of an int64. */
#define NUMBER_TEXT 24

mbr_status mbr_jsonl_init(mbr_jsonl *j, mbr_source *source, mbr_error *err)
{
    (void)err;
    *j = (mbr_jsonl){ .memory = source->memory, .source = source };
    return MBR_OK;
}

/* The texts of lists. */
static void drop_texts(mbr_jsonl *j)
{
    for (size_t i = 0; i < j->field_count; i++)
        if (j->fields[i].kind == MBR_FIELD_NESTED)
            free((void *)(uintptr_t)j->fields[i].text);
    j->field_count = 0;
}

void mbr_jsonl_destroy(mbr_jsonl *j)
{
    if (!j->memory)
        return;
    drop_texts(j);
    json_decref(j->object);
    mbr_free(j->memory, j->text);
    mbr_free(j->memory, j->fields);
    memset(j, 0, sizeof *j);
}

static mbr_status add_text(mbr_jsonl *j, const char *s, size_t n, mbr_error *err)
{
    if (n > j->capacity - j->used) {
        size_t capacity = mbr_max_size(j->used + n, mbr_max_size(2 * j->capacity, 1024));
        char *text = mbr_grow(j->memory, j->text, j->used, capacity);
        if (!text)
            return mbr_no_memory(err, capacity);
        j->text = text;
        j->capacity = capacity;
    }
    if (n > 0) /* an empty first line has no room yet */
        memcpy(j->text + j->used, s, n);
    j->used += n;
    return MBR_OK;
}

/* The next line without its end. One that is too long is cut, which *whole tells. */
static mbr_status read_line(mbr_jsonl *j, bool *more, bool *whole, mbr_error *err)
{
    mbr_source *s = j->source;
    bool ended = false;
    j->used = 0;
    j->line = s->line;
    *more = false;
    *whole = true;
    while (!ended) {
        bool data;
        MBR_TRY(mbr_source_fill(s, &data, err));
        if (!data)
            return MBR_OK;
        *more = true;
        const char *from = s->buffer + s->at, *end = memchr(from, '\n', s->filled - s->at);
        size_t n = end ? (size_t)(end - from) : s->filled - s->at;
        if (j->used + n <= MBR_JSONL_LINE)
            MBR_TRY(add_text(j, from, n, err));
        else
            *whole = false;
        ended = end != NULL;
        s->at += n + ended;
        s->line += ended;
    }
    return MBR_OK;
}

static bool is_empty(const mbr_jsonl *j)
{
    for (size_t i = 0; i < j->used; i++)
        if (j->text[i] != ' ' && j->text[i] != '\t' && j->text[i] != '\r')
            return false;
    return true;
}

static void take_value(mbr_field *f, char *text, json_t *value)
{
    f->kind = MBR_FIELD_NUMBER;
    switch (json_typeof(value)) {
    case JSON_STRING:
        f->kind = MBR_FIELD_TEXT;
        f->text = json_string_value(value);
        f->text_size = json_string_length(value);
        break;
    case JSON_INTEGER:
        f->number = (double)json_integer_value(value);
        f->text_size = (size_t)snprintf(text, NUMBER_TEXT, "%lld", (long long)json_integer_value(value));
        f->text = text;
        break;
    case JSON_REAL:
        f->number = json_real_value(value);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        f->number = json_is_true(value);
        break;
    case JSON_ARRAY:
        f->kind = MBR_FIELD_NESTED;
        f->text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17));
        f->text_size = f->text ? strlen(f->text) : 0;
        break;
    case JSON_OBJECT:
        f->kind = MBR_FIELD_NESTED;
        break;
    default:
        f->kind = MBR_FIELD_MISSING;
        break;
    }
}

/* Fields and, behind them, room for the text of each whole number. */
static mbr_status take_fields(mbr_jsonl *j, mbr_error *err)
{
    json_t *object = j->object, *value;
    const char *name;
    size_t count = json_object_size(object), bytes;
    if (count > j->field_capacity) {
        if (!mbr_mul_size(count, sizeof *j->fields + NUMBER_TEXT, &bytes))
            return mbr_no_memory(err, SIZE_MAX);
        mbr_field *fields = mbr_alloc(j->memory, bytes);
        if (!fields)
            return mbr_no_memory(err, bytes);
        mbr_free(j->memory, j->fields);
        j->fields = fields;
        j->field_capacity = count;
    }
    char *texts = (char *)(j->fields + j->field_capacity);
    size_t i = 0;
    json_object_foreach(object, name, value) {
        memset(&j->fields[i], 0, sizeof j->fields[i]);
        j->fields[i].name = name;
        take_value(&j->fields[i], texts + i * NUMBER_TEXT, value);
        j->field_count = ++i;
    }
    return MBR_OK;
}

mbr_status mbr_jsonl_next(mbr_jsonl *j, bool *more, mbr_error *err)
{
    bool whole;
    json_error_t problem;
    drop_texts(j);
    j->fault = NULL;
    json_decref(j->object);
    j->object = NULL;
    do
        MBR_TRY(read_line(j, more, &whole, err));
    while (*more && whole && is_empty(j));
    if (!*more)
        return MBR_OK;
    if (!whole) {
        j->fault = "the line has more than a million bytes";
        return MBR_OK;
    }
    json_t *object = json_loadb(j->text, j->used, JSON_REJECT_DUPLICATES, &problem);
    j->object = object;
    if (!object) {
        snprintf(j->fault_text, sizeof j->fault_text, "not valid JSON at byte %d: %s", problem.position, problem.text);
        j->fault = j->fault_text;
        return MBR_OK;
    }
    if (!json_is_object(object)) {
        j->fault = "the line is not an object: {\"column\": value, ...}";
        return MBR_OK;
    }
    return take_fields(j, err);
}

#else

mbr_status mbr_jsonl_init(mbr_jsonl *j, mbr_source *source, mbr_error *err)
{
    (void)source;
    memset(j, 0, sizeof *j);
    return mbr_fail(err, MBR_ERR_UNSUPPORTED, "this build cannot read JSON lines; build with jansson, or use CSV");
}

void mbr_jsonl_destroy(mbr_jsonl *j)
{
    (void)j;
}

mbr_status mbr_jsonl_next(mbr_jsonl *j, bool *more, mbr_error *err)
{
    (void)j;
    *more = false;
    return mbr_fail(err, MBR_ERR_INTERNAL, "JSON lines are not part of this build");
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/pipeline/column.h"

#include <stdio.h>
#include <string.h>

const char *mbr_col_type_name(mbr_col_type type)
{
    static const char *const names[] = { "number", "bool", "time", "string" };
    return names[type];
}

int mbr_scope_find(const mbr_scope *s, const char *name, size_t n)
{
    for (int i = 0; i < s->count; i++)
        if (mbr_text_is(name, n, s->cols[i].name))
            return i;
    return -1;
}

const char *mbr_scope_near(const mbr_scope *s, const char *name)
{
    const char *near = NULL;
    int best = 3;
    for (int i = 0; i < s->count; i++) {
        int d = mbr_text_distance(name, s->cols[i].name);
        if (d < best) {
            best = d;
            near = s->cols[i].name;
        }
    }
    return near;
}

mbr_status mbr_scope_add(mbr_scope *s, const mbr_col *col, int *index, mbr_error *err)
{
    if (s->count == MBR_MAX_COLUMNS)
        return mbr_fail(err, MBR_ERR_LIMIT, "more than %d columns", MBR_MAX_COLUMNS);
    if (col->width < 1 || col->width > MBR_MAX_WIDTH)
        return mbr_fail(err, MBR_ERR_LIMIT, "column '%s' would be %d values wide; at most %d", col->name, col->width,
                        MBR_MAX_WIDTH);
    if (s->count == s->capacity) {
        int capacity = s->capacity ? 2 * s->capacity : 32;
        mbr_col *cols = mbr_arena_calloc(s->arena, (size_t)capacity, sizeof *cols);
        if (!cols)
            return mbr_no_memory(err, (size_t)capacity * sizeof *cols);
        if (s->count)
            memcpy(cols, s->cols, (size_t)s->count * sizeof *cols);
        s->cols = cols;
        s->capacity = capacity;
    }
    *index = s->count;
    s->cols[s->count++] = *col;
    return MBR_OK;
}

void mbr_rows_fail(mbr_rows *rows, int row, const char *fmt, ...)
{
    char text[400];
    va_list args;
    if (rows->fault[row])
        return;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t bytes = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    char *copy = mbr_pool_alloc(&rows->pool, bytes + 1);
    if (copy) {
        while (bytes && !mbr_text_utf8(text, bytes)) /* the cut may fall into a character */
            bytes--;
        memcpy(copy, text, bytes);
        copy[bytes] = '\0';
    }
    rows->fault[row] = copy ? copy : "the row is faulty, and there is no memory to say why";
}

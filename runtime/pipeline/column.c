/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/pipeline/column.h"

#include "base/checked.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *mbr_col_type_name(mbr_col_type type)
{
    static const char *const names[] = { "number", "bool", "time", "string", "tensor" };
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

size_t mbr_col_bytes(const mbr_col *col)
{
    if (col->type == MBR_COL_TENSOR)
        return sizeof(mbr_cell);
    return col->type == MBR_COL_STRING ? sizeof(mbr_string) : sizeof(double) * (size_t)col->width;
}

void mbr_rows_clear(mbr_rows *rows, int index)
{
    const mbr_col *col = &rows->cols[index];
    mbr_lane *lane = &rows->lanes[index];
    if (col->type == MBR_COL_STRING || col->type == MBR_COL_TENSOR)
        memset(lane->str, 0, (size_t)rows->count * mbr_col_bytes(col));
    else
        for (int i = 0; i < rows->count * col->width; i++)
            lane->num[i] = NAN;
}

/* ---- tensors ---- */

size_t mbr_cell_count(const mbr_cell *cell)
{
    size_t n;
    return mbr_shape_count(cell->dims, cell->rank, &n) ? n : SIZE_MAX;
}

void mbr_shape_text(mbr_dtype dtype, int rank, const int64_t *dims, char *text, size_t size)
{
    int used = snprintf(text, size, "%s", mbr_dtype_name(dtype));
    if (rank < 0)
        return;
    for (int i = 0; i <= rank && used >= 0 && (size_t)used < size; i++) {
        const char *before = i == 0 ? "[" : i == rank ? "" : ", ";
        if (i == rank)
            used += snprintf(text + used, size - (size_t)used, "%s]", i == 0 ? "[" : "");
        else if (dims[i] < 0)
            used += snprintf(text + used, size - (size_t)used, "%s?", before);
        else
            used += snprintf(text + used, size - (size_t)used, "%s%lld", before, (long long)dims[i]);
    }
}

void *mbr_rows_cell(mbr_rows *rows, int row, int col, int rank, const int64_t *dims)
{
    mbr_cell *cell = &rows->lanes[col].cell[row];
    size_t bytes, one = mbr_dtype_size(rows->cols[col].dtype);
    cell->data = NULL;
    cell->rank = rank;
    if (rank)
        memcpy(cell->dims, dims, (size_t)rank * sizeof *dims);
    size_t count = mbr_cell_count(cell);
    if (count == SIZE_MAX || !mbr_mul_size(count, one, &bytes) || bytes > MBR_CELL_BYTES) {
        char shape[160];
        mbr_shape_text(rows->cols[col].dtype, rank, dims, shape, sizeof shape);
        mbr_rows_fail(rows, row, "column '%s' would be a tensor %s, larger than %zu bytes", rows->cols[col].name, shape,
                      MBR_CELL_BYTES);
        return NULL;
    }
    cell->data = mbr_pool_alloc(&rows->pool, bytes + !bytes);
    if (!cell->data)
        mbr_rows_fail(rows, row, "out of memory: the tensor of column '%s' needs %zu bytes", rows->cols[col].name,
                      bytes);
    return cell->data;
}

void mbr_rows_fail(mbr_rows *rows, int row, const char *fmt, ...)
{
    char text[400];
    va_list args;
    if (rows->fault[row])
        return;
    /* The text stands in the log of decisions, and a replay under another locale repeats it. */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), old = plain ? uselocale(plain) : (locale_t)0;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (plain) {
        uselocale(old);
        freelocale(plain);
    }
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

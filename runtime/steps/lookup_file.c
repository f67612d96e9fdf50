/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/steps/lookup_file.h"

#include "base/checked.h"
#include "base/filemap.h"
#include "runtime/pipeline/pipeline_impl.h"
#include "runtime/rows/csv.h"

#include <math.h>
#include <string.h>

typedef struct table_reader {
    const mbr_reading *r;
    mbr_lookup_file *f;
    const char *path;
    mbr_filemap map;
    size_t at;      /* byte that is read next */
    size_t *column; /* (values.count + 1) of the file; the key's first */
    size_t rows, room;
} table_reader;

static ptrdiff_t read_map(void *user, void *to, size_t bytes)
{
    table_reader *t = user;
    bytes = mbr_min_size(bytes, t->map.size - t->at);
    memcpy(to, t->map.data + t->at, bytes);
    t->at += bytes;
    return (ptrdiff_t)bytes;
}

static mbr_status find_columns(table_reader *t, const mbr_csv *csv)
{
    for (size_t k = 0; k <= t->f->values.count; k++) {
        const mbr_string *name = k ? &t->f->values.items[k - 1] : &t->f->key;
        size_t i = 0;
        while (i < csv->field_count && !(csv->fields[i].size == name->size &&
                                         memcmp(csv->fields[i].data, name->data, name->size) == 0))
            i++;
        if (i == csv->field_count)
            return mbr_node_fail(t->r, t->f->at, "step '%s': %s has no column '%s' in its first line", t->f->step,
                                 t->path, name->data);
        t->column[k] = i;
    }
    return MBR_OK;
}

/* Counts the records, or, where there is room for them, keeps them. */
static mbr_status read_record(table_reader *t, const mbr_csv *csv)
{
    const mbr_lookup_file *f = t->f;
    if (!t->room) {
        t->rows++;
        return MBR_OK;
    }
    for (size_t k = 0; k <= f->values.count; k++) {
        mbr_string field = csv->fields[t->column[k]];
        double *x = f->numbers + t->rows * f->values.count + k - 1;
        if (k == 0) {
            char *copy = mbr_arena_strndup(t->r->arena, field.data ? field.data : "", field.size);
            if (!copy)
                return mbr_no_memory(t->r->err, field.size);
            f->keys.items[t->rows] = (mbr_string){ copy, field.size };
            continue;
        }
        field = mbr_text_trim(field.data, field.size);
        *x = NAN;
        if (field.size && !mbr_text_number(field.data, field.size, x))
            return mbr_node_fail(t->r, f->at, "step '%s': %s:%llu: '%.*s' in column '%s' is no number", f->step,
                                 t->path, (unsigned long long)csv->line, (int)mbr_min_size(field.size, 60), field.data,
                                 f->values.items[k - 1].data);
    }
    t->rows++;
    return MBR_OK;
}

static mbr_status read_all(table_reader *t)
{
    mbr_csv csv;
    mbr_source source;
    bool more = true;
    size_t columns = 0;
    t->at = t->rows = 0;
    MBR_TRY(mbr_source_open(&source, t->r->arena->memory, read_map, t, t->r->err));
    mbr_csv_init(&csv, &source, ',');
    mbr_status st = mbr_source_skip_mark(&source, t->r->err);
    while (st == MBR_OK) {
        MBR_TRY_GOTO(mbr_csv_next(&csv, &more, t->r->err), end);
        if (!more)
            break;
        if (csv.fault || (columns && csv.field_count != columns))
            st = mbr_node_fail(t->r, t->f->at, "step '%s': %s:%llu: %s", t->f->step, t->path,
                               (unsigned long long)csv.line, csv.fault ? csv.fault
                               : "the record has more or fewer fields than the first line");
        else if (!columns)
            st = find_columns(t, &csv);
        else
            st = read_record(t, &csv);
        columns = columns ? columns : csv.field_count;
    }
    if (st == MBR_OK && (!columns || !t->rows))
        st = mbr_node_fail(t->r, t->f->at, "step '%s': %s has no records", t->f->step, t->path);
end:
    mbr_csv_destroy(&csv);
    mbr_source_close(&source);
    return st;
}

mbr_status mbr_lookup_read(const mbr_reading *r, mbr_lookup_file *f)
{
    table_reader t = { .r = r, .f = f, .path = mbr_pipeline_beside(r->arena, r->file, f->path) };
    size_t width = f->values.count, cells;
    if (width > MBR_MAX_WIDTH)
        return mbr_node_fail(r, f->at, "step '%s': more than %d values", f->step, MBR_MAX_WIDTH);
    t.column = mbr_arena_calloc(r->arena, width + 1, sizeof *t.column);
    if (!t.path || !t.column)
        return mbr_no_memory(r->err, width * sizeof *t.column);
    mbr_status st = mbr_filemap_open(&t.map, r->arena->memory, t.path, r->err);
    if (st != MBR_OK)
        return mbr_fail_at(r->err, st, "%s:%d: step '%s': ", r->file, f->at->line, f->step);
    st = read_all(&t);
    if (st == MBR_OK) {
        t.room = t.rows;
        f->keys.count = t.rows;
        f->keys.items = mbr_arena_calloc(r->arena, t.rows, sizeof *f->keys.items);
        f->numbers = mbr_mul_size(t.rows, width, &cells) ? mbr_arena_calloc(r->arena, cells, sizeof *f->numbers) : NULL;
        st = f->keys.items && f->numbers ? read_all(&t) : mbr_no_memory(r->err, t.rows * sizeof *f->keys.items);
    }
    mbr_filemap_close(&t.map);
    return st;
}

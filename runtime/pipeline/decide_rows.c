/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of files, streams and callers into batches: parsing, checking, defaults. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/pipeline/decider.h"
#include "runtime/rows/jsonl.h"

#include "base/checked.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the texts of a row: its record, in which one may become six, is one that a log takes. */
#define MOST_TEXT (4 << 20)

/* ---- one field ---- */

mbr_string mbr_decider_keep_text(mbr_decider *d, int row, const char *text, size_t n)
{
    char *copy = n < SIZE_MAX ? mbr_pool_alloc(&d->rows.pool, n + 1) : NULL;
    if (!copy) {
        mbr_rows_fail(&d->rows, row, "out of memory");
        return (mbr_string){ NULL, 0 };
    }
    if (n)
        memcpy(copy, text, n);
    copy[n] = '\0';
    return (mbr_string){ copy, n };
}

static void put_string(mbr_decider *d, int row, const mbr_input *in, const mbr_field *f)
{
    if (f->kind == MBR_FIELD_NUMBER && !f->text)
        mbr_rows_fail(&d->rows, row, "column '%s' is text, and %.17g is a number; quote it", in->name, f->number);
    else if (f->text_size > MOST_TEXT - d->heads[row].texts)
        mbr_rows_fail(&d->rows, row, "column '%s': the texts of the row have more than %d bytes", in->name, MOST_TEXT);
    else if (!mbr_text_utf8(f->text, f->text_size) || memchr(f->text, 0, f->text_size))
        mbr_rows_fail(&d->rows, row, "column '%s' is not valid UTF-8 text", in->name);
    else {
        d->heads[row].texts += f->text_size;
        d->rows.lanes[in->col].str[row] = mbr_decider_keep_text(d, row, f->text, f->text_size);
    }
}

static bool parse_bool(const char *s, size_t n, double *out)
{
    static const char *const words[] = { "false", "true", "no", "yes", "0", "1", "f", "t", "n", "y" };
    char lower[6];
    if (n >= sizeof lower)
        return false;
    for (size_t i = 0; i < n; i++)
        lower[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
    for (size_t i = 0; i < MBR_COUNT_OF(words); i++)
        if (mbr_text_is(lower, n, words[i])) {
            *out = (double)(i & 1);
            return true;
        }
    return false;
}

/* The number in a text field of the input's type. NaN: missing. */
static bool parse_text(const mbr_input *in, const char *s, size_t n, double *out)
{
    if (in->type == MBR_COL_BOOL)
        return parse_bool(s, n, out);
    if (in->type == MBR_COL_TIME && in->format == MBR_TIME_ISO)
        return mbr_text_time(s, n, out);
    if (!mbr_text_number(s, n, out))
        return false;
    if (in->format == MBR_TIME_EPOCH_MS)
        *out /= 1000;
    return true;
}

static const char *expectation(const mbr_input *in)
{
    if (in->type == MBR_COL_BOOL)
        return "true or false";
    if (in->type == MBR_COL_TIME && in->format == MBR_TIME_ISO)
        return "a time such as 2024-02-29T12:30:00Z";
    return in->type == MBR_COL_TIME ? "a time as a number since 1970" : "a number";
}

static void put_number(mbr_decider *d, int row, const mbr_input *in, const mbr_field *f)
{
    double x = f->number;
    if (f->kind == MBR_FIELD_TEXT) {
        mbr_string s = mbr_text_trim(f->text, f->text_size);
        if (!s.size)
            return;
        if (!parse_text(in, s.data, s.size, &x)) {
            bool shown = mbr_text_utf8(s.data, s.size);
            mbr_rows_fail(&d->rows, row, "column '%s' must be %s, not '%.*s'", in->name, expectation(in),
                          shown ? (int)mbr_min_size(s.size, 60) : 1, shown ? s.data : "?");
            return;
        }
    } else if (in->type == MBR_COL_TIME && in->format == MBR_TIME_EPOCH_MS) {
        x /= 1000;
    }
    if (isnan(x))
        return;
    if (isinf(x) || (in->type == MBR_COL_BOOL && x != 0 && x != 1))
        mbr_rows_fail(&d->rows, row, "column '%s' must be %s, not %g", in->name, expectation(in), x);
    else if (x < in->min || x > in->max)
        mbr_rows_fail(&d->rows, row, "column '%s': %.17g is %s of the pipeline, %.17g", in->name, x,
                      x < in->min ? "below the 'min'" : "above the 'max'", x < in->min ? in->min : in->max);
    else
        d->rows.lanes[in->col].num[row] = x;
}

/* Whether a text stands for a missing value. */
static bool means_missing(const mbr_pipeline *p, const mbr_field *f)
{
    if (f->kind != MBR_FIELD_TEXT)
        return f->kind == MBR_FIELD_MISSING;
    for (size_t i = 0; i < p->missing.count; i++)
        if (p->missing.items[i].size == f->text_size &&
            memcmp(p->missing.items[i].data, f->text, f->text_size) == 0)
            return true;
    return f->text_size == 0;
}

void mbr_decider_put(mbr_decider *d, int row, int input, const mbr_field *field)
{
    const mbr_input *in = &d->pipeline->inputs[input];
    if (means_missing(d->pipeline, field))
        return;
    mbr_field list = { .name = field->name, .kind = MBR_FIELD_TEXT, .text = field->text, .text_size = field->text_size };
    if (field->kind == MBR_FIELD_NESTED && in->array && field->text)
        put_string(d, row, in, &list);
    else if (field->kind == MBR_FIELD_NESTED)
        mbr_rows_fail(&d->rows, row, "column '%s' is a list or an object; it must be a single value", in->name);
    else if (in->type == MBR_COL_STRING)
        put_string(d, row, in, field);
    else
        put_number(d, row, in, field);
}

/* ---- one row ---- */

int mbr_decider_begin_row(mbr_decider *d, uint64_t number, uint64_t line)
{
    const mbr_pipeline *p = d->pipeline;
    int row = d->rows.count++;
    d->heads[row] = (mbr_row_head){ .row = number, .line = line };
    d->rows.fault[row] = NULL;
    for (int i = 0; i < p->input_count; i++) {
        mbr_lane *lane = &d->rows.lanes[p->inputs[i].col];
        if (p->inputs[i].type == MBR_COL_STRING)
            lane->str[row] = (mbr_string){ NULL, 0 };
        else
            lane->num[row] = NAN;
    }
    return row;
}

void mbr_decider_put_fields(mbr_decider *d, int row, const mbr_field *fields, size_t count)
{
    const mbr_pipeline *p = d->pipeline;
    for (size_t i = 0; i < count; i++) {
        const char *name = fields[i].name ? fields[i].name : "";
        size_t input = mbr_names_find(&p->input_names, name, strlen(name));
        if (input != SIZE_MAX)
            mbr_decider_put(d, row, (int)input, &fields[i]);
        else if (p->refuse_extra)
            mbr_rows_fail(&d->rows, row, "the pipeline has no input '%.60s'",
                          mbr_text_utf8(name, strlen(name)) ? name : "?");
    }
}

void mbr_decider_end_row(mbr_decider *d, int row)
{
    const mbr_pipeline *p = d->pipeline;
    for (int i = 0; i < p->input_count; i++) {
        const mbr_input *in = &p->inputs[i];
        mbr_lane *lane = &d->rows.lanes[in->col];
        bool text = in->type == MBR_COL_STRING;
        if (in->keep || (text ? lane->str[row].data != NULL : !isnan(lane->num[row])))
            continue;
        if (!in->has_default)
            mbr_rows_fail(&d->rows, row, "column '%s' is missing", in->name);
        else if (text)
            lane->str[row] = in->text;
        else
            lane->num[row] = in->number;
    }
}

/* ---- streams ---- */

typedef struct stream {
    mbr_decider *d;
    mbr_source source;
    mbr_decision_fn fn;
    void *user;
    mbr_read_fn read;
    void *read_user;
    mbr_decide_totals totals;
    uint64_t row;
} stream;

static mbr_status flush(stream *s, mbr_error *err)
{
    if (s->d->rows.count) {
        MBR_TRY(mbr_decider_run_batch(s->d, err));
        MBR_TRY(mbr_decider_give_batch(s->d, s->fn, s->user, &s->totals, err));
    }
    mbr_decider_begin_batch(s->d);
    return MBR_OK;
}

static mbr_status finish_row(stream *s, int row, mbr_error *err)
{
    mbr_decider_end_row(s->d, row);
    return s->d->rows.count == s->d->batch ? flush(s, err) : MBR_OK;
}

/* Which input each column of the header is; -1: none. */
static mbr_status map_header(const stream *s, const mbr_csv *csv, int *to, mbr_error *err)
{
    const mbr_pipeline *p = s->d->pipeline;
    const char *name = s->d->source_name;
    for (size_t i = 0; i < csv->field_count; i++) {
        mbr_string title = mbr_text_trim(csv->fields[i].data, csv->fields[i].size);
        size_t input = mbr_names_find(&p->input_names, title.data, title.size);
        to[i] = input == SIZE_MAX ? -1 : (int)input;
        if (input == SIZE_MAX && p->refuse_extra)
            return mbr_fail(err, MBR_ERR_INPUT, "%s:%llu: the pipeline has no input '%.*s'; add it, or say "
                            "'extra_columns: ignore'", name, (unsigned long long)csv->line,
                            (int)mbr_min_size(title.size, 60), title.data);
        for (size_t k = 0; k < i; k++)
            if (to[i] >= 0 && to[k] == to[i])
                return mbr_fail(err, MBR_ERR_INPUT, "%s:%llu: the column '%s' stands in the header twice", name,
                                (unsigned long long)csv->line, p->inputs[to[i]].name);
    }
    for (int i = 0; i < p->input_count; i++) {
        bool found = p->inputs[i].optional;
        for (size_t k = 0; k < csv->field_count; k++)
            found |= to[k] == i;
        if (!found)
            return mbr_fail(err, MBR_ERR_INPUT, "%s:%llu: the header has no column '%s'; add it, or say "
                            "'optional: true' of that input", name, (unsigned long long)csv->line, p->inputs[i].name);
    }
    return MBR_OK;
}

static mbr_status decide_records(stream *s, mbr_csv *csv, const int *to, size_t columns, mbr_error *err)
{
    for (;;) {
        bool more;
        MBR_TRY(mbr_csv_next(csv, &more, err));
        if (!more)
            return flush(s, err);
        int row = mbr_decider_begin_row(s->d, ++s->row, csv->line);
        if (csv->fault && csv->fault_line != csv->line)
            mbr_rows_fail(&s->d->rows, row, "%s (on line %llu; the record begins on line %llu)", csv->fault,
                          (unsigned long long)csv->fault_line, (unsigned long long)csv->line);
        else if (csv->fault)
            mbr_rows_fail(&s->d->rows, row, "%s", csv->fault);
        else if (csv->field_count != columns)
            mbr_rows_fail(&s->d->rows, row, "%zu fields, and the header has %zu", csv->field_count, columns);
        for (size_t i = 0; !csv->fault && i < csv->field_count && i < columns; i++) {
            mbr_field f = { .kind = MBR_FIELD_TEXT, .text = csv->fields[i].data, .text_size = csv->fields[i].size };
            if (to[i] >= 0)
                mbr_decider_put(s->d, row, to[i], &f);
        }
        MBR_TRY(finish_row(s, row, err));
    }
}

static mbr_status decide_csv(stream *s, mbr_error *err)
{
    mbr_csv csv;
    bool more;
    int *to = NULL;
    mbr_csv_init(&csv, &s->source, s->d->pipeline->delimiter);
    mbr_status st = mbr_csv_next(&csv, &more, err);
    if (st == MBR_OK && !more)
        st = mbr_fail(err, MBR_ERR_FORMAT, "the file is empty; the first line must name the columns");
    if (st == MBR_OK && csv.fault)
        st = mbr_fail(err, MBR_ERR_FORMAT, "line %llu: %s", (unsigned long long)csv.fault_line, csv.fault);
    size_t columns = csv.field_count;
    if (st != MBR_OK) {
        if (!s->source.failed) /* our caller says that */
            mbr_fail_at(err, st, "%s: ", s->d->source_name);
        goto end;
    }
    to = mbr_calloc(s->d->memory, columns + 1, sizeof *to);
    if (!to) {
        st = mbr_no_memory(err, columns * sizeof *to);
        goto end;
    }
    MBR_TRY_GOTO(map_header(s, &csv, to, err), end);
    st = decide_records(s, &csv, to, columns, err);
end:
    mbr_free(s->d->memory, to);
    mbr_csv_destroy(&csv);
    return st;
}

static mbr_status decide_jsonl(stream *s, mbr_error *err)
{
    mbr_jsonl json;
    bool more = true;
    mbr_status st = mbr_jsonl_init(&json, &s->source, err);
    while (st == MBR_OK) {
        MBR_TRY_GOTO(mbr_jsonl_next(&json, &more, err), end);
        if (!more)
            break;
        int row = mbr_decider_begin_row(s->d, ++s->row, json.line);
        if (json.fault)
            mbr_rows_fail(&s->d->rows, row, "%s", json.fault);
        mbr_decider_put_fields(s->d, row, json.fields, json.field_count);
        st = finish_row(s, row, err);
    }
    if (st == MBR_OK)
        st = flush(s, err);
end:
    mbr_jsonl_destroy(&json);
    return st;
}

static mbr_rows_format format_of_name(const char *name)
{
    static const struct {
        const char *end;
        mbr_rows_format format;
    } ends[] = { { ".csv", MBR_ROWS_CSV }, { ".json", MBR_ROWS_JSONL }, { ".jsonl", MBR_ROWS_JSONL },
                 { ".ndjson", MBR_ROWS_JSONL } };
    size_t n = strlen(name);
    for (size_t i = 0; i < MBR_COUNT_OF(ends); i++) {
        size_t k = strlen(ends[i].end);
        if (n >= k && strcmp(name + n - k, ends[i].end) == 0)
            return ends[i].format;
    }
    return MBR_ROWS_AUTO;
}

/* By the first byte that is not white. */
static mbr_rows_format format_of_text(const mbr_source *s)
{
    size_t i = s->at;
    while (i < s->filled && memchr(" \t\r\n", s->buffer[i], 4))
        i++;
    return i < s->filled && s->buffer[i] == '{' ? MBR_ROWS_JSONL : MBR_ROWS_CSV;
}

/* Time spent in the caller's reader is nobody's. */
static ptrdiff_t read_apart(void *user, void *to, size_t bytes)
{
    stream *s = user;
    uint64_t begin = s->d->clock ? mbr_clock_now() : 0;
    ptrdiff_t n = s->read(s->read_user, to, bytes);
    if (s->d->clock)
        mbr_clock_wait(s->d->clock, mbr_clock_now() - begin);
    return n;
}

mbr_status mbr_decider_reader(mbr_decider *d, const char *name, mbr_read_fn read, void *read_user,
                              mbr_rows_format format, mbr_decision_fn fn, void *user, mbr_decide_totals *totals,
                              mbr_error *err)
{
    if (!d || !read)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_reader: the decider or the reader is NULL");
    stream s = { .d = d, .fn = fn, .user = user, .read = read, .read_user = read_user,
                 .totals = { .size = sizeof s.totals } };
    d->source_name = name ? name : "input";
    mbr_decider_begin_batch(d);
    mbr_status st = mbr_source_open(&s.source, d->memory, read_apart, &s, err);
    if (st == MBR_OK)
        st = mbr_source_skip_mark(&s.source, err);
    if (format == MBR_ROWS_AUTO)
        format = format_of_name(d->source_name);
    if (st == MBR_OK && format == MBR_ROWS_AUTO)
        format = format_of_text(&s.source);
    if (st == MBR_OK)
        st = format == MBR_ROWS_JSONL ? decide_jsonl(&s, err) : decide_csv(&s, err);
    if (st != MBR_OK && s.source.failed)
        mbr_fail_at(err, st, "%s: ", d->source_name);
    mbr_source_close(&s.source);
    mbr_decider_begin_batch(d);
    d->source_name = "";
    if (totals) {
        s.totals.size = totals->size;
        memcpy(totals, &s.totals, mbr_min_size(totals->size, sizeof s.totals));
    }
    return st;
}

typedef struct row_file {
    FILE *f;
    int error; /* errno of the read that failed */
} row_file;

static ptrdiff_t read_stdio(void *user, void *to, size_t bytes)
{
    row_file *rows = user;
    errno = 0;
    size_t n = fread(to, 1, bytes, rows->f);
    if (n > 0 || !ferror(rows->f))
        return (ptrdiff_t)n;
    rows->error = errno;
    return -1;
}

mbr_status mbr_decider_file(mbr_decider *d, const char *path, mbr_rows_format format, mbr_decision_fn fn, void *user,
                            mbr_decide_totals *totals, mbr_error *err)
{
    if (!d || !path)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_file: the decider or the path is NULL");
    row_file rows = { .f = fopen(path, "rb") };
    if (!rows.f)
        return mbr_fail(err, MBR_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    mbr_status st = mbr_decider_reader(d, path, read_stdio, &rows, format, fn, user, totals, err);
    fclose(rows.f);
    if (rows.error == EISDIR)
        return mbr_fail(err, MBR_ERR_IO, "%s: is a folder; give a file of rows, CSV or JSON lines", path);
    if (rows.error && st == MBR_ERR_IO)
        return mbr_fail(err, st, "%s: cannot be read: %s", path, strerror(rows.error));
    return st;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/rows/csv.h"
#include "base/checked.h"

#include <string.h>

/* ---- the buffered source ---- */

mbr_status mbr_source_open(mbr_source *s, mbr_memory *memory, mbr_read_fn read, void *user, mbr_error *err)
{
    *s = (mbr_source){ .memory = memory, .read = read, .user = user, .line = 1 };
    s->buffer = mbr_alloc(memory, MBR_SOURCE_BYTES);
    return s->buffer ? MBR_OK : mbr_no_memory(err, MBR_SOURCE_BYTES);
}

void mbr_source_close(mbr_source *s)
{
    mbr_free(s->memory, s->buffer);
    s->buffer = NULL;
}

/* Reads more behind what is there. */
static mbr_status read_more(mbr_source *s, mbr_error *err)
{
    ptrdiff_t n = s->read(s->user, s->buffer + s->filled, MBR_SOURCE_BYTES - s->filled);
    s->failed = n < 0 || (size_t)n > MBR_SOURCE_BYTES - s->filled;
    if (s->failed)
        return mbr_fail(err, MBR_ERR_IO, "reading failed after line %llu", (unsigned long long)s->line);
    s->filled += (size_t)n;
    s->ended = n == 0;
    return MBR_OK;
}

mbr_status mbr_source_fill(mbr_source *s, bool *more, mbr_error *err)
{
    if (s->at == s->filled && !s->ended) {
        s->at = s->filled = 0;
        MBR_TRY(read_more(s, err));
    }
    *more = s->at < s->filled;
    return MBR_OK;
}

mbr_status mbr_source_skip_mark(mbr_source *s, mbr_error *err)
{
    while (s->filled < 3 && !s->ended)
        MBR_TRY(read_more(s, err));
    if (s->filled >= 2 && (memcmp(s->buffer, "\xff\xfe", 2) == 0 || memcmp(s->buffer, "\xfe\xff", 2) == 0))
        return mbr_fail(err, MBR_ERR_FORMAT, "the text is UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8");
    if (s->filled >= 3 && memcmp(s->buffer, "\xef\xbb\xbf", 3) == 0)
        s->at = 3;
    return MBR_OK;
}

/* ---- records ---- */

typedef enum state {
    FIELD_START,
    PLAIN,
    QUOTED,
    QUOTE_SEEN, /* a quote inside quotes: the end of the field, or half of a doubled one */
    AFTER_CR,
    SKIP        /* a broken record: up to the end of the line */
} state;

void mbr_csv_init(mbr_csv *c, mbr_source *source, char delimiter)
{
    *c = (mbr_csv){ .memory = source->memory, .source = source, .delimiter = delimiter };
}

void mbr_csv_destroy(mbr_csv *c)
{
    mbr_free(c->memory, c->text);
    mbr_free(c->memory, c->fields);
    mbr_free(c->memory, c->ends);
    c->text = NULL;
    c->fields = NULL;
    c->ends = NULL;
}

static mbr_status add_text(mbr_csv *c, const char *s, size_t n, mbr_error *err)
{
    if (n > c->capacity - c->used) {
        size_t capacity = mbr_max_size(c->used + n, mbr_max_size(2 * c->capacity, 1024));
        char *text = mbr_grow(c->memory, c->text, c->used, capacity);
        if (!text)
            return mbr_no_memory(err, capacity);
        c->text = text;
        c->capacity = capacity;
    }
    if (n > 0)
        memcpy(c->text + c->used, s, n);
    c->used += n;
    return MBR_OK;
}

static mbr_status end_field(mbr_csv *c, mbr_error *err)
{
    if (c->field_count == c->field_capacity) {
        size_t capacity = c->field_capacity ? 2 * c->field_capacity : 64;
        mbr_string *fields = mbr_grow(c->memory, c->fields, c->field_count * sizeof *fields, capacity * sizeof *fields);
        if (!fields)
            return mbr_no_memory(err, capacity * sizeof *fields);
        c->fields = fields;
        size_t *ends = mbr_grow(c->memory, c->ends, c->field_count * sizeof *ends, capacity * sizeof *ends);
        if (!ends)
            return mbr_no_memory(err, capacity * sizeof *ends);
        c->ends = ends;
        c->field_capacity = capacity;
    }
    c->ends[c->field_count++] = c->used;
    return MBR_OK;
}

static state break_record(mbr_csv *c, const char *why)
{
    c->fault = why;
    c->fault_line = c->source->line;
    return SKIP;
}

/* How many bytes from s on need no thought in this state. */
static size_t plain_run(state st, const char *s, size_t n, char delimiter)
{
    size_t i = 0;
    if (st == PLAIN)
        while (i < n && s[i] != delimiter && s[i] != '\n' && s[i] != '\r' && s[i] != '"' && s[i])
            i++;
    else if (st == QUOTED)
        while (i < n && s[i] != '"' && s[i] != '\n' && s[i])
            i++;
    else if (st == SKIP)
        while (i < n && s[i] != '\n')
            i++;
    return i;
}

/* One byte that ends something. *done: the record is complete. Does not count lines. */
static mbr_status take_byte(mbr_csv *c, char b, state *st, bool *done, mbr_error *err)
{
    if (b == '\0' && *st != SKIP) {
        *st = break_record(c, "a zero byte; this is not a text file, or it is damaged");
        return MBR_OK;
    }
    switch (*st) {
    case FIELD_START:
    case PLAIN:
        if (b == '"') {
            c->quoted |= *st == FIELD_START;
            *st = *st == FIELD_START ? QUOTED
                : break_record(c, "a quote inside a field that does not begin with one; quote the whole field and "
                                  "double the quotes in it");
            return MBR_OK;
        }
        break;
    case QUOTED:
        if (b != '"')
            return add_text(c, &b, 1, err);
        *st = QUOTE_SEEN;
        return MBR_OK;
    case QUOTE_SEEN:
        if (b == '"') {
            *st = QUOTED;
            return add_text(c, &b, 1, err);
        }
        if (b != c->delimiter && b != '\n' && b != '\r') {
            *st = break_record(c, "text after the closing quote of a field; a quote inside quotes must be doubled");
            return MBR_OK;
        }
        break;
    case AFTER_CR:
        if (b != '\n') {
            *st = break_record(c, "a carriage return without a line feed; quote the field, or convert the line ends");
            return MBR_OK;
        }
        *done = true;
        return end_field(c, err);
    case SKIP:
        *done = b == '\n';
        return MBR_OK;
    }
    if (b == c->delimiter) {
        *st = FIELD_START;
        return end_field(c, err);
    }
    if (b == '\r') {
        *st = AFTER_CR;
        return MBR_OK;
    }
    if (b == '\n') {
        *done = true;
        return end_field(c, err);
    }
    *st = PLAIN;
    return add_text(c, &b, 1, err);
}

/* What the end of the input means for a record that has begun. */
static mbr_status finish(mbr_csv *c, state st, mbr_error *err)
{
    if (st == QUOTED) {
        break_record(c, "a quoted field has no closing quote before the end of the file");
        return MBR_OK;
    }
    return st == SKIP ? MBR_OK : end_field(c, err);
}

static mbr_status read_record(mbr_csv *c, bool *begun, mbr_error *err)
{
    mbr_source *s = c->source;
    state st = FIELD_START;
    bool done = false;
    while (!done) {
        bool more;
        MBR_TRY(mbr_source_fill(s, &more, err));
        if (!more)
            return *begun ? finish(c, st, err) : MBR_OK;
        *begun = true;
        size_t run = plain_run(st, s->buffer + s->at, s->filled - s->at, c->delimiter);
        if (run && st != SKIP)
            MBR_TRY(add_text(c, s->buffer + s->at, run, err));
        s->at += run;
        if (s->at < s->filled) {
            char b = s->buffer[s->at];
            MBR_TRY(take_byte(c, b, &st, &done, err));
            s->at++;
            s->line += b == '\n';
        }
        if (st != SKIP && (c->used > MBR_CSV_RECORD || c->field_count > MBR_CSV_FIELDS))
            st = break_record(c, "the record has more than a million bytes or 65536 fields; is a quote left open?");
    }
    return MBR_OK;
}

mbr_status mbr_csv_next(mbr_csv *c, bool *more, mbr_error *err)
{
    do {
        c->used = c->field_count = 0;
        c->fault = NULL;
        c->quoted = false;
        c->line = c->source->line;
        *more = false;
        MBR_TRY(read_record(c, more, err));
        /* An empty line is one empty field; one in quotes is a record. */
    } while (*more && !c->fault && c->field_count == 1 && c->used == 0 && !c->quoted);
    if (c->fault)
        c->field_count = 0;
    for (size_t i = 0, begin = 0; i < c->field_count; begin = c->ends[i++]) {
        c->fields[i].data = c->text ? c->text + begin : "";
        c->fields[i].size = c->ends[i] - begin;
    }
    return MBR_OK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of rows into a fit or a monitor. A fit reads its file twice: first to see what the columns are. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/drift/drift_impl.h"

#include "base/checked.h"
#include "base/env.h"
#include "runtime/rows/jsonl.h"
#include "runtime/rows/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SNIFF_ROWS 1000

/* ---- a file of rows ---- */

typedef struct table {
    mbr_memory *memory;
    const char *path;
    int fd;
    bool is_json, opened;
    mbr_source source;
    mbr_csv csv;
    mbr_jsonl jsonl;
    uint64_t faulty;
} table;

static ptrdiff_t read_fd(void *user, void *to, size_t bytes)
{
    ssize_t n;
    do
        n = read(*(int *)user, to, bytes);
    while (n < 0 && errno == EINTR);
    return n;
}

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), k = strlen(end);
    return n >= k && strcmp(path + n - k, end) == 0;
}

static void close_table(table *t)
{
    if (t->is_json)
        mbr_jsonl_destroy(&t->jsonl);
    else if (t->opened)
        mbr_csv_destroy(&t->csv);
    if (t->source.buffer)
        mbr_source_close(&t->source);
    if (t->fd > STDERR_FILENO)
        close(t->fd);
}

static mbr_status open_table(table *t, mbr_memory *memory, const char *path, const mbr_drift_file_options *o,
                             mbr_error *err)
{
    *t = (table){ .memory = memory, .path = path, .fd = STDIN_FILENO };
    if (strcmp(path, "-") != 0) {
        t->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (t->fd < 0)
            return mbr_fail(err, MBR_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    }
    t->is_json = o->json_lines > 0 || (o->json_lines == 0 && (ends_with(path, ".jsonl") || ends_with(path, ".ndjson") ||
                                                              ends_with(path, ".json")));
    mbr_status st = mbr_source_open(&t->source, memory, read_fd, &t->fd, err);
    if (st == MBR_OK)
        st = mbr_source_skip_mark(&t->source, err);
    if (st == MBR_OK && t->is_json)
        st = mbr_jsonl_init(&t->jsonl, &t->source, err);
    if (st == MBR_OK && !t->is_json)
        mbr_csv_init(&t->csv, &t->source, o->delimiter ? o->delimiter : ',');
    t->opened = st == MBR_OK;
    if (st != MBR_OK) {
        t->is_json = t->is_json && t->opened;
        close_table(t);
        return mbr_fail_at(err, st, "%s: ", path);
    }
    return MBR_OK;
}

/* ---- the columns that are wanted ---- */

typedef enum use {
    USE_NUMBER,
    USE_CATEGORY,
    USE_TIME
} use;

typedef struct wanted {
    const char *name;
    use use;
    bool optional;
    size_t from; /* field of a CSV record; SIZE_MAX: it is not there */
    bool other;  /* sniffing: a text that is no number has been seen */
} wanted;

typedef struct wish {
    mbr_arena arena;
    wanted *items;
    size_t count, capacity;
} wish;

static size_t find_wanted(const wish *w, const char *name, size_t n)
{
    for (size_t i = 0; i < w->count; i++)
        if (mbr_text_is(name, n, w->items[i].name))
            return i;
    return SIZE_MAX;
}

static mbr_status add_wanted(wish *w, const char *name, size_t n, use as, mbr_error *err)
{
    if (w->count == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : 64;
        wanted *items = mbr_arena_calloc(&w->arena, capacity, sizeof *items);
        if (!items)
            return mbr_no_memory(err, capacity * sizeof *items);
        if (w->count)
            memcpy(items, w->items, w->count * sizeof *items);
        w->items = items;
        w->capacity = capacity;
    }
    char *copy = mbr_arena_strndup(&w->arena, name, n);
    if (!copy)
        return mbr_no_memory(err, n + 1);
    w->items[w->count++] = (wanted){ .name = copy, .use = as, .from = SIZE_MAX };
    return MBR_OK;
}

/* Reads the header of a CSV file. take_all: every column is wanted. */
static mbr_status read_header(table *t, wish *w, bool take_all, mbr_error *err)
{
    bool more;
    MBR_TRY(mbr_csv_next(&t->csv, &more, err));
    if (!more || t->csv.fault)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: %s", t->path, more ? t->csv.fault : "the file is empty; a header with "
                        "the names of the columns is due");
    for (size_t i = 0; i < t->csv.field_count; i++) {
        mbr_string name = mbr_text_trim(t->csv.fields[i].data, t->csv.fields[i].size);
        size_t at = find_wanted(w, name.data, name.size);
        if (at == SIZE_MAX && take_all) {
            if (!name.size || !mbr_text_utf8(name.data, name.size) || memchr(name.data, 0, name.size))
                return mbr_fail(err, MBR_ERR_INPUT, "%s: column %zu has no name, or one that is not UTF-8", t->path,
                                i + 1);
            MBR_TRY(add_wanted(w, name.data, name.size, USE_NUMBER, err));
            at = w->count - 1;
        }
        if (at == SIZE_MAX)
            continue;
        if (w->items[at].from != SIZE_MAX)
            return mbr_fail(err, MBR_ERR_INPUT, "%s: column '%s' is there twice", t->path, w->items[at].name);
        w->items[at].from = i;
    }
    for (size_t i = 0; i < w->count; i++)
        if (w->items[i].from == SIZE_MAX && !w->items[i].optional)
            return mbr_fail(err, MBR_ERR_INPUT, "%s: there is no column '%s', which the baseline has", t->path,
                            w->items[i].name);
    return MBR_OK;
}

/* The next sound row as a field for each wanted column. */
static mbr_status next_row(table *t, const wish *w, mbr_field *fields, bool *more, mbr_error *err)
{
    for (;;) {
        MBR_TRY(t->is_json ? mbr_jsonl_next(&t->jsonl, more, err) : mbr_csv_next(&t->csv, more, err));
        if (!*more)
            return MBR_OK;
        if (t->is_json ? t->jsonl.fault != NULL : t->csv.fault != NULL) {
            t->faulty++;
            continue;
        }
        bool sound = true;
        for (size_t i = 0; i < w->count; i++) {
            fields[i] = (mbr_field){ .kind = MBR_FIELD_MISSING };
            size_t from = w->items[i].from;
            if (t->is_json || from == SIZE_MAX)
                continue;
            sound = sound && from < t->csv.field_count;
            if (!sound)
                break;
            mbr_string text = t->csv.fields[from];
            if (text.size)
                fields[i] = (mbr_field){ .kind = MBR_FIELD_TEXT, .text = text.data, .text_size = text.size };
        }
        for (size_t k = 0; t->is_json && k < t->jsonl.field_count; k++) {
            const mbr_field *f = &t->jsonl.fields[k];
            /* Objects of one program have one order: look there first. */
            size_t i = k < w->count && strcmp(w->items[k].name, f->name) == 0 ? k
                                                                              : find_wanted(w, f->name, strlen(f->name));
            if (i != SIZE_MAX && f->kind != MBR_FIELD_NESTED)
                fields[i] = *f;
        }
        if (sound)
            return MBR_OK;
        t->faulty++;
    }
}

/* ---- batches ---- */

typedef struct batch {
    const wish *wish;
    double *numbers;        /* (count, MBR_DRIFT_BLOCK) */
    mbr_string *texts;      /* (count, MBR_DRIFT_BLOCK) */
    mbr_drift_cells *cells; /* (count) */
    mbr_pool pool;
    size_t rows;
} batch;

static mbr_status begin_batch(batch *b, const wish *w, mbr_memory *memory, mbr_arena *arena, mbr_error *err)
{
    *b = (batch){ .wish = w };
    mbr_pool_init(&b->pool, memory);
    b->numbers = mbr_arena_calloc(arena, w->count + 1, MBR_DRIFT_BLOCK * sizeof *b->numbers);
    b->texts = mbr_arena_calloc(arena, w->count + 1, MBR_DRIFT_BLOCK * sizeof *b->texts);
    b->cells = mbr_arena_calloc(arena, w->count + 1, sizeof *b->cells);
    if (!b->numbers || !b->texts || !b->cells)
        return mbr_no_memory(err, (w->count + 1) * MBR_DRIFT_BLOCK * sizeof *b->texts);
    for (size_t i = 0; i < w->count; i++) {
        b->cells[i].numbers = w->items[i].use == USE_CATEGORY ? NULL : b->numbers + i * MBR_DRIFT_BLOCK;
        b->cells[i].texts = w->items[i].use == USE_CATEGORY ? b->texts + i * MBR_DRIFT_BLOCK : NULL;
    }
    return MBR_OK;
}

/* False where a text is no number. */
static bool number_of(const mbr_field *f, use as, double *x)
{
    *x = f->kind == MBR_FIELD_NUMBER ? f->number : (double)NAN;
    if (f->kind != MBR_FIELD_TEXT)
        return true;
    mbr_string text = mbr_text_trim(f->text, f->text_size);
    if (mbr_text_number(text.data, text.size, x) || text.size == 0)
        return true;
    static const char *const infinite[] = { "inf", "+inf", "-inf", "Infinity", "-Infinity" };
    for (size_t i = 0; i < MBR_COUNT_OF(infinite); i++)
        if (mbr_text_is(text.data, text.size, infinite[i])) {
            *x = infinite[i][0] == '-' ? -(double)INFINITY : (double)INFINITY;
            return true;
        }
    *x = (double)NAN;
    return as == USE_TIME && mbr_text_time(text.data, text.size, x);
}

static mbr_status put_row(batch *b, const mbr_field *fields, uint64_t *faulty, mbr_error *err)
{
    bool sound = true;
    for (size_t i = 0; i < b->wish->count; i++) {
        size_t at = i * MBR_DRIFT_BLOCK + b->rows;
        const mbr_field *f = &fields[i];
        if (b->wish->items[i].use != USE_CATEGORY) {
            sound = number_of(f, b->wish->items[i].use, &b->numbers[at]) && sound;
            continue;
        }
        char number[40];
        mbr_string text = { f->text, f->text_size };
        if (f->kind == MBR_FIELD_NUMBER && !f->text_size) {
            mbr_words w = { .text = number, .capacity = sizeof number };
            mbr_words_number(&w, f->number);
            text = (mbr_string){ number, w.used };
        }
        b->texts[at] = (mbr_string){ 0 };
        if (f->kind == MBR_FIELD_MISSING)
            continue;
        char *copy = mbr_pool_alloc(&b->pool, text.size + 1);
        if (!copy)
            return mbr_no_memory(err, text.size + 1);
        memcpy(copy, text.size ? text.data : "", text.size);
        copy[text.size] = '\0';
        b->texts[at] = (mbr_string){ copy, text.size };
    }
    *faulty += !sound;
    b->rows++;
    return MBR_OK;
}

static void empty_batch(batch *b)
{
    b->rows = 0;
    mbr_pool_reset(&b->pool);
}

/* ---- names in options ---- */

/* Whether the name is among those that commas separate; its place there. */
static bool is_listed(const char *list, const char *name, size_t *place)
{
    for (size_t i = 0; list; i++) {
        const char *end = strchr(list, ',');
        mbr_string one = mbr_text_trim(list, end ? (size_t)(end - list) : strlen(list));
        if (mbr_text_is(one.data, one.size, name)) {
            if (place)
                *place = i;
            return true;
        }
        list = end ? end + 1 : NULL;
    }
    return false;
}

static mbr_status check_list(const wish *w, const char *list, const char *path, mbr_error *err)
{
    while (list) {
        const char *end = strchr(list, ',');
        mbr_string one = mbr_text_trim(list, end ? (size_t)(end - list) : strlen(list));
        if (find_wanted(w, one.data, one.size) == SIZE_MAX)
            return mbr_fail(err, MBR_ERR_INPUT, "%s: there is no column '%.*s'", path, (int)mbr_min_size(one.size, 100),
                            one.data);
        list = end ? end + 1 : NULL;
    }
    return MBR_OK;
}

static mbr_status read_file_options(mbr_drift_file_options *o, const mbr_drift_file_options *from, mbr_error *err)
{
    memset(o, 0, sizeof *o);
    if (from && from->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_drift_file_options.size is not set");
    if (from)
        memcpy(o, from, mbr_min_size(from->size, sizeof *o));
    return MBR_OK;
}

/* ---- fitting ---- */

/* All columns of a file, and which are numbers as far as the first rows tell. */
static mbr_status sniff(mbr_memory *memory, const char *path, const mbr_drift_file_options *o, wish *w, mbr_error *err)
{
    table t;
    bool more = true;
    MBR_TRY(open_table(&t, memory, path, o, err));
    mbr_status st = t.is_json ? MBR_OK : read_header(&t, w, true, err);
    mbr_field *fields = NULL;
    for (int row = 0; st == MBR_OK && more && row < SNIFF_ROWS; row++) {
        if (t.is_json) {
            st = mbr_jsonl_next(&t.jsonl, &more, err);
            for (size_t k = 0; st == MBR_OK && more && !t.jsonl.fault && k < t.jsonl.field_count; k++) {
                const mbr_field *f = &t.jsonl.fields[k];
                double x;
                size_t at = find_wanted(w, f->name, strlen(f->name));
                if (f->kind == MBR_FIELD_NESTED)
                    continue;
                if (at == SIZE_MAX) {
                    st = add_wanted(w, f->name, strlen(f->name), USE_NUMBER, err);
                    at = w->count - 1;
                }
                if (st == MBR_OK)
                    w->items[at].other |= !number_of(f, USE_NUMBER, &x);
            }
            continue;
        }
        if (!fields)
            fields = mbr_arena_calloc(&w->arena, w->count + 1, sizeof *fields);
        st = fields ? next_row(&t, w, fields, &more, err) : mbr_no_memory(err, w->count * sizeof *fields);
        for (size_t i = 0; st == MBR_OK && more && i < w->count; i++) {
            double x;
            w->items[i].other |= !number_of(&fields[i], USE_NUMBER, &x);
        }
    }
    close_table(&t);
    if (st == MBR_OK && w->count == 0)
        st = mbr_fail(err, MBR_ERR_INPUT, "%s: there are no columns", path);
    return st;
}

/* Features in the order of the file, then outputs in the order that was asked for, then the label. */
static mbr_status order_columns(const wish *all, const mbr_drift_file_options *o, const char *path, wish *w,
                                mbr_drift_column **columns, mbr_error *err)
{
    MBR_TRY(check_list(all, o->outputs, path, err));
    MBR_TRY(check_list(all, o->categories, path, err));
    MBR_TRY(check_list(all, o->label, path, err));
    MBR_TRY(check_list(all, o->time, path, err));
    if (all->count > MBR_DRIFT_MAX_COLUMNS)
        return mbr_fail(err, MBR_ERR_INPUT, "%s: %zu columns; %d are possible", path, all->count, MBR_DRIFT_MAX_COLUMNS);
    *columns = mbr_arena_calloc(&w->arena, all->count + 1, sizeof **columns);
    if (!*columns)
        return mbr_no_memory(err, all->count * sizeof **columns);
    size_t outputs = 0;
    for (const char *s = o->outputs; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL)
        outputs++;
    /* Rounds: features; each output; the label. */
    for (size_t round = 0; round < outputs + 2; round++)
        for (size_t i = 0; i < all->count; i++) {
            const wanted *from = &all->items[i];
            size_t place = 0;
            bool output = is_listed(o->outputs, from->name, &place), label = is_listed(o->label, from->name, NULL);
            bool skip = is_listed(o->ignore, from->name, NULL) || is_listed(o->time, from->name, NULL);
            if (skip || round != (label ? outputs + 1 : output ? place + 1 : 0))
                continue;
            bool category = !label && (from->other || is_listed(o->categories, from->name, NULL));
            MBR_TRY(add_wanted(w, from->name, strlen(from->name), category ? USE_CATEGORY : USE_NUMBER, err));
            (*columns)[w->count - 1] = (mbr_drift_column){
                w->items[w->count - 1].name, category ? MBR_DRIFT_CATEGORY : MBR_DRIFT_NUMBER,
                label ? MBR_DRIFT_LABEL : output ? MBR_DRIFT_OUTPUT : MBR_DRIFT_FEATURE
            };
        }
    return MBR_OK;
}

static mbr_status fit_rows(table *t, wish *w, mbr_drift_fit *fit, mbr_error *err)
{
    batch b;
    bool more = true;
    mbr_field *fields = mbr_arena_calloc(&w->arena, w->count + 1, sizeof *fields);
    mbr_status st = fields ? begin_batch(&b, w, t->memory, &w->arena, err) : mbr_no_memory(err, sizeof *fields);
    if (st != MBR_OK)
        return st;
    if (!t->is_json)
        st = read_header(t, w, false, err);
    while (st == MBR_OK && more) {
        st = next_row(t, w, fields, &more, err);
        if (st == MBR_OK && more)
            st = put_row(&b, fields, &t->faulty, err);
        if (st == MBR_OK && (b.rows == MBR_DRIFT_BLOCK || !more)) {
            st = mbr_drift_fit_rows(fit, b.cells, b.rows, err);
            empty_batch(&b);
        }
    }
    mbr_pool_destroy(&b.pool);
    return st;
}

mbr_status mbr_drift_fit_file(mbr_env *env, const char *path, const mbr_drift_fit_options *how,
                              const mbr_drift_file_options *file, mbr_drift_baseline **out, uint64_t *faulty,
                              mbr_error *err)
{
    mbr_drift_file_options o;
    mbr_drift_fit_options fit_options = { .size = sizeof fit_options };
    mbr_memory *memory = mbr_env_heap(env);
    mbr_drift_fit *fit = NULL;
    mbr_drift_column *columns;
    table t;
    *out = NULL;
    MBR_TRY(read_file_options(&o, file, err));
    if (strcmp(path, "-") == 0)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a fit reads its data twice; give it a file");
    if (how && how->size >= sizeof(size_t))
        memcpy(&fit_options, how, mbr_min_size(how->size, sizeof fit_options));
    wish all = { 0 }, w = { 0 };
    mbr_arena_init(&all.arena, memory, 0);
    mbr_arena_init(&w.arena, memory, 0);
    mbr_status st = sniff(memory, path, &o, &all, err);
    if (st == MBR_OK)
        st = order_columns(&all, &o, path, &w, &columns, err);
    if (st == MBR_OK) {
        fit_options.size = sizeof fit_options;
        fit_options.columns = columns;
        fit_options.column_count = (int)w.count;
        st = mbr_drift_fit_new(env, &fit_options, &fit, err);
    }
    if (st == MBR_OK)
        st = open_table(&t, memory, path, &o, err);
    if (st == MBR_OK) {
        st = fit_rows(&t, &w, fit, err);
        if (faulty)
            *faulty = t.faulty;
        close_table(&t);
    }
    if (st == MBR_OK)
        st = mbr_drift_fit_finish(fit, out, err);
    mbr_drift_fit_release(&fit);
    mbr_arena_destroy(&all.arena);
    mbr_arena_destroy(&w.arena);
    return st;
}

/* ---- monitoring ---- */

static mbr_status give_batch(mbr_drift_monitor *m, batch *b, size_t label, double time, mbr_error *err)
{
    const mbr_drift_baseline *base = m->baseline;
    MBR_TRY(mbr_drift_monitor_rows(m, b->cells, b->rows, time, err));
    for (size_t r = 0; label != SIZE_MAX && base->score >= 0 && r < b->rows; r++)
        MBR_TRY(mbr_drift_monitor_outcome(m, b->numbers[(size_t)base->score * MBR_DRIFT_BLOCK + r],
                                          b->numbers[label * MBR_DRIFT_BLOCK + r], err));
    empty_batch(b);
    return MBR_OK;
}

static mbr_status monitor_rows(mbr_drift_monitor *m, table *t, wish *w, size_t label, size_t time, mbr_error *err)
{
    batch b;
    bool more = true;
    double now = (double)NAN;
    mbr_field *fields = mbr_arena_calloc(&w->arena, w->count + 1, sizeof *fields);
    mbr_status st = fields ? begin_batch(&b, w, t->memory, &w->arena, err) : mbr_no_memory(err, sizeof *fields);
    if (st != MBR_OK)
        return st;
    while (st == MBR_OK && more) {
        st = next_row(t, w, fields, &more, err);
        double then = now;
        if (st == MBR_OK && more && time != SIZE_MAX) {
            double x;
            if (number_of(&fields[time], USE_TIME, &x) && isfinite(x))
                then = x;
        }
        bool full = b.rows == MBR_DRIFT_BLOCK || !more || !(then == now || (isnan(then) && isnan(now)));
        if (st == MBR_OK && full && b.rows)
            st = give_batch(m, &b, label, now, err);
        now = then;
        if (st == MBR_OK && more)
            st = put_row(&b, fields, &t->faulty, err);
    }
    mbr_pool_destroy(&b.pool);
    return st;
}

mbr_status mbr_drift_monitor_file(mbr_drift_monitor *m, const char *path, const mbr_drift_file_options *file,
                                  uint64_t *faulty, mbr_error *err)
{
    mbr_drift_file_options o;
    size_t label = SIZE_MAX, time = SIZE_MAX;
    wish w = { 0 };
    table t;
    MBR_TRY(read_file_options(&o, file, err));
    mbr_arena_init(&w.arena, m->memory, 0);
    mbr_status st = MBR_OK;
    for (int i = 0; st == MBR_OK && i < m->baseline->col_count; i++) {
        const mbr_base_col *c = &m->baseline->cols[i];
        st = add_wanted(&w, c->name, strlen(c->name), c->type == MBR_DRIFT_NUMBER ? USE_NUMBER : USE_CATEGORY, err);
    }
    if (st == MBR_OK && o.label) {
        label = w.count;
        st = add_wanted(&w, o.label, strlen(o.label), USE_NUMBER, err);
    }
    if (st == MBR_OK && o.time) {
        time = w.count;
        st = add_wanted(&w, o.time, strlen(o.time), USE_TIME, err);
    }
    if (st == MBR_OK)
        st = open_table(&t, m->memory, path, &o, err);
    if (st == MBR_OK) {
        st = t.is_json ? MBR_OK : read_header(&t, &w, false, err);
        if (st == MBR_OK)
            st = monitor_rows(m, &t, &w, label, time, err);
        if (faulty)
            *faulty = t.faulty;
        close_table(&t);
    }
    mbr_arena_destroy(&w.arena);
    return st;
}

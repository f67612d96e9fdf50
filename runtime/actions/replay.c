/* SPDX-License-Identifier: BSD-2-Clause */
/* A log decided again, record by record, and compared byte for byte. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/actions/actions.h"

#include "base/checked.h"
#include "base/env.h"
#include "mbr/decision_log.h"
#include "runtime/rows/csv.h"
#include "runtime/tokenizer/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_BATCH 256
#define MOST_STREAMS 64

/* A decider of the log. */
typedef struct stream {
    uint64_t id, used; /* used: when last, to let go of the one that is done longest */
    mbr_decider *d;
} stream;

/* A record that waits for its batch. */
typedef struct waiting {
    uint64_t seq, line;
    size_t at, size; /* of its text in `texts` */
} waiting;

typedef struct replay {
    mbr_pipeline *p;
    mbr_replay_options o;
    mbr_replay_result r;
    mbr_memory *memory;
    stream streams[MOST_STREAMS];
    int stream_count;
    stream *now;          /* whose records wait */
    waiting *waits;       /* (batch) */
    int wait_count, batch;
    mbr_line texts;       /* of what waits */
    mbr_line made;
    uint64_t next, turn;
    uint64_t let_go;      /* the latest decider that had to make room */
    const char *file;
    uint64_t line;
} replay;

/* ---- one record as a tree ---- */

static bool whole(const mbr_json *j, const mbr_json_node *n, uint64_t *out)
{
    return n && n->type == MBR_JSON_NUMBER && mbr_json_unsigned(j, n, UINT64_C(1) << 53, out);
}

static mbr_status broken(const replay *r, mbr_error *err, const char *what)
{
    return mbr_fail(err, MBR_ERR_FORMAT, "%s:%llu: this is no record of a decision: %s", r->file,
                    (unsigned long long)r->line, what);
}

static mbr_cause cause_of(const mbr_json *j, const mbr_json_node *n)
{
    for (int i = 1; n && n->type == MBR_JSON_STRING && i < MBR_CAUSE_COUNT; i++) {
        mbr_string s = mbr_json_string(j, n);
        if (mbr_text_is(s.data, s.size, mbr_cause_name((mbr_cause)i)))
            return (mbr_cause)i;
    }
    return MBR_CAUSE_NONE;
}

/* Puts an input back as it was, past all parsing. */
static mbr_status put_input(replay *r, int row, const mbr_json *j, const mbr_json_node *n, mbr_error *err)
{
    mbr_decider *d = r->now->d;
    mbr_string key = mbr_json_key(j, n), s = mbr_json_string(j, n);
    size_t input = mbr_names_find(&r->p->input_names, key.data, key.size);
    if (input == SIZE_MAX)
        return mbr_fail(err, MBR_ERR_INPUT, "%s:%llu: the pipeline has no input '%.*s'; the log is another pipeline's",
                        r->file, (unsigned long long)r->line, (int)mbr_min_size(key.size, 60), key.data);
    const mbr_input *in = &r->p->inputs[input];
    mbr_lane *lane = &d->rows.lanes[in->col];
    if (in->type == MBR_COL_STRING && n->type == MBR_JSON_STRING)
        lane->str[row] = mbr_decider_keep_text(d, row, s.data, s.size);
    else if (in->type == MBR_COL_BOOL && (n->type == MBR_JSON_TRUE || n->type == MBR_JSON_FALSE))
        lane->num[row] = n->type == MBR_JSON_TRUE;
    else if (in->type == MBR_COL_STRING || n->type != MBR_JSON_NUMBER ||
             !mbr_text_number(s.data, s.size, &lane->num[row]))
        return mbr_fail(err, MBR_ERR_INPUT, "%s:%llu: input '%s' is no %s in the log; the log is another pipeline's",
                        r->file, (unsigned long long)r->line, in->name, mbr_col_type_name(in->type));
    return MBR_OK;
}

/* What comes from outside: which row it was, when, and what befell it before or beside the steps. */
static mbr_status put_head(replay *r, int row, const mbr_json *j, const mbr_json_node *root, mbr_error *err)
{
    mbr_decider *d = r->now->d;
    mbr_row_head *head = &d->heads[row];
    const mbr_json_node *time = mbr_json_get(j, root, "time"), *line = mbr_json_get(j, root, "line");
    const mbr_json_node *error = mbr_json_get(j, root, "error");
    mbr_cause cause = cause_of(j, mbr_json_get(j, root, "cause"));
    double seconds;
    if (!time || time->type != MBR_JSON_STRING || !mbr_text_time(j->text + time->text, time->text_size, &seconds))
        return broken(r, err, "it has no 'time'");
    head->time = (int64_t)llround(seconds * 1e6);
    if (!whole(j, mbr_json_get(j, root, "row"), &head->row) || (line && !whole(j, line, &head->line)))
        return broken(r, err, "it has no 'row'");
    if (cause == MBR_CAUSE_DRIFT || cause == MBR_CAUSE_INPUT || cause == MBR_CAUSE_LATE || cause == MBR_CAUSE_MODEL)
        head->cause = cause;
    if (head->cause == MBR_CAUSE_NONE || head->cause == MBR_CAUSE_DRIFT)
        return MBR_OK;
    if (!error || error->type != MBR_JSON_STRING)
        return broken(r, err, "it has a cause and no 'error'");
    mbr_string s = mbr_decider_keep_text(d, row, j->text + error->text, error->text_size);
    if (head->cause == MBR_CAUSE_INPUT && s.data)
        mbr_rows_fail(&d->rows, row, "%s", s.data);
    else
        head->late = s.data;
    return MBR_OK;
}

/* ---- batches ---- */

static void differ(replay *r, const waiting *w, const char *log, const char *made, size_t log_size, size_t made_size)
{
    mbr_replay_result *q = &r->r;
    if (q->different++)
        return;
    size_t at = 0, shown;
    while (at < log_size && at < made_size && log[at] == made[at])
        at++;
    size_t from = at; /* the key that it is in */
    while (from > 0 && at - from < 60 && strncmp(log + from, ",\"", 2) != 0)
        from--;
    shown = 160;
    q->seq = w->seq;
    q->line = w->line;
    snprintf(q->file, sizeof q->file, "%s", r->file);
    snprintf(q->what, sizeof q->what, "the log has %.*s, the replay %.*s", (int)mbr_min_size(shown, log_size - from),
             log + from, (int)mbr_min_size(shown, made_size > from ? made_size - from : 0), made + from);
    for (char *s = q->what; *s; s++)
        if ((unsigned char)*s < ' ')
            *s = ' ';
    for (size_t n = strlen(q->what); n && !mbr_text_utf8(q->what, n);)
        q->what[--n] = '\0';
}

static mbr_status decide_waiting(replay *r, mbr_error *err)
{
    if (!r->wait_count)
        return MBR_OK;
    mbr_decider *d = r->now->d;
    MBR_TRY(mbr_decider_run_batch(d, err));
    for (int i = 0; i < r->wait_count; i++) {
        const waiting *w = &r->waits[i];
        d->actions->next = w->seq; /* its number gives its id */
        r->made.used = 0;
        if (!mbr_decider_make(d, i))
            return mbr_no_memory(err, sizeof(mbr_reason));
        mbr_decider_number(d, i, w->seq);
        mbr_decider_write_head(d, i, w->seq, r->now->id, &r->made);
        mbr_decider_write_rest(d, i, &r->made);
        if (r->made.failed)
            return mbr_no_memory(err, r->made.capacity);
        const char *log = r->texts.text + w->at;
        if (r->made.used != w->size || memcmp(log, r->made.text, w->size) != 0)
            differ(r, w, log, r->made.text, w->size, r->made.used);
        mbr_status st = r->o.write ? r->o.write(r->o.user, r->made.text, r->made.used) : MBR_OK;
        if (st != MBR_OK)
            return mbr_fail(err, st, "the repeated log cannot be written");
    }
    r->wait_count = 0;
    r->texts.used = 0;
    mbr_decider_begin_batch(d);
    return MBR_OK;
}

/* The decider of a stream; a new one where the stream begins. */
static mbr_status find_stream(replay *r, uint64_t id, bool begins, mbr_error *err)
{
    stream *found = NULL;
    for (int i = 0; i < r->stream_count; i++)
        if (r->streams[i].id == id)
            found = &r->streams[i];
    if (found && (found == r->now || !begins)) {
        if (found != r->now)
            MBR_TRY(decide_waiting(r, err));
        found->used = ++r->turn;
        r->now = found;
        return MBR_OK;
    }
    MBR_TRY(decide_waiting(r, err));
    if (!found && !begins && r->let_go && id >= r->r.first && id <= r->let_go && mbr_pipeline_remembers(r->p))
        return mbr_fail(err, MBR_ERR_LIMIT, "%s:%llu: more than %d deciders write to this log at once, and what the one that "
                        "began with decision %llu remembers is gone; give deciders logs of their own", r->file,
                        (unsigned long long)r->line, MOST_STREAMS, (unsigned long long)id);
    if (!found) {
        found = &r->streams[0];
        for (int i = 1; i < r->stream_count; i++)
            if (r->streams[i].used < found->used)
                found = &r->streams[i];
        if (r->stream_count < MOST_STREAMS)
            found = &r->streams[r->stream_count++];
    }
    if (found->d && found->id > r->let_go)
        r->let_go = found->id;
    mbr_decider_release(&found->d);
    r->now = NULL;
    mbr_decider_options o = { .size = sizeof o, .batch = r->batch, .threads = r->o.threads, .log_path = "" };
    MBR_TRY(mbr_decider_new_quiet(r->p, &o, &found->d, err));
    mbr_decider_begin_batch(found->d);
    found->id = id;
    found->used = ++r->turn;
    r->now = found;
    return MBR_OK;
}

static mbr_status take_tree(replay *r, const mbr_json *j, const char *text, size_t n, mbr_error *err)
{
    const mbr_json_node *root = mbr_json_at(j, 1), *inputs = mbr_json_get(j, root, "inputs");
    uint64_t seq, id;
    if (root->type != MBR_JSON_OBJECT || !whole(j, mbr_json_get(j, root, "seq"), &seq) ||
        !whole(j, mbr_json_get(j, root, "stream"), &id))
        return broken(r, err, "it has no 'seq' or no 'stream'");
    if (!inputs || inputs->type != MBR_JSON_OBJECT)
        return mbr_fail(err, MBR_ERR_INPUT, "%s:%llu: the record holds no inputs ('inputs: false' of 'log'), so that it "
                        "cannot be decided again", r->file, (unsigned long long)r->line);
    r->r.first = r->r.records ? r->r.first : seq;
    if (r->r.records && seq != r->next) {
        if (seq < r->next)
            return broken(r, err, "its number is not above the one before");
        r->r.gaps += seq - r->next;
    }
    r->next = seq + 1;
    MBR_TRY(find_stream(r, id, id == seq, err));
    mbr_decider *d = r->now->d;
    int row = mbr_decider_begin_row(d, seq, 0);
    MBR_TRY(put_head(r, row, j, root, err));
    for (const mbr_json_node *m = mbr_json_first(j, inputs); m; m = mbr_json_next(j, m))
        MBR_TRY(put_input(r, row, j, m, err));
    r->waits[r->wait_count++] = (waiting){ .seq = seq, .line = r->line, .at = r->texts.used, .size = n };
    mbr_line_bytes(&r->texts, text, n);
    if (r->texts.failed)
        return mbr_no_memory(err, n);
    r->r.records++;
    return d->rows.count == d->batch ? decide_waiting(r, err) : MBR_OK;
}

/* A line with its end. */
static mbr_status take_line(replay *r, const char *text, size_t n, mbr_error *err)
{
    mbr_json j = { .memory = r->memory };
    char *copy = mbr_alloc(r->memory, n + 1);
    if (!copy)
        return mbr_no_memory(err, n + 1);
    memcpy(copy, text, n);
    mbr_status st = mbr_json_parse(&j, r->memory, copy, n, r->file, err);
    if (st == MBR_ERR_FORMAT)
        st = broken(r, err, "it is no JSON");
    if (st == MBR_OK)
        st = take_tree(r, &j, text, n, err);
    mbr_json_free_nodes(&j);
    mbr_free(r->memory, j.text);
    return st;
}

/* ---- files ---- */

static ptrdiff_t read_stdio(void *user, void *to, size_t bytes)
{
    size_t n = fread(to, 1, bytes, user);
    return n > 0 || !ferror((FILE *)user) ? (ptrdiff_t)n : -1;
}

static mbr_status take_lines(replay *r, mbr_source *source, mbr_error *err)
{
    mbr_line line = { .memory = r->memory };
    mbr_status st = MBR_OK;
    bool more = true;
    while (st == MBR_OK) {
        st = mbr_source_fill(source, &more, err);
        if (st != MBR_OK || !more)
            break;
        const char *from = source->buffer + source->at, *end = memchr(from, '\n', source->filled - source->at);
        size_t n = end ? (size_t)(end - from) + 1 : source->filled - source->at;
        mbr_line_bytes(&line, from, n);
        source->at += n;
        if (line.failed)
            st = mbr_no_memory(err, line.used);
        else if (line.used > MBR_LOG_MOST_RECORD)
            st = broken(r, err, "it is too long");
        else if (end) {
            r->line++;
            st = take_line(r, line.text, line.used, err);
            line.used = 0;
        }
    }
    mbr_line_free(&line); /* what has no end was being written when the process died */
    return st;
}

static mbr_status take_file(replay *r, const char *path, mbr_error *err)
{
    mbr_source source;
    FILE *f = fopen(path, "rb");
    if (!f)
        return mbr_fail(err, MBR_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    r->file = path;
    r->line = 0;
    mbr_status st = mbr_source_open(&source, r->memory, read_stdio, f, err);
    if (st == MBR_OK)
        st = take_lines(r, &source, err);
    if (st == MBR_OK)
        st = decide_waiting(r, err);
    if (st != MBR_OK && source.failed)
        st = mbr_fail(err, MBR_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    mbr_source_close(&source);
    fclose(f);
    r->r.files++;
    return st;
}

static mbr_status take_files(replay *r, const char *path, mbr_error *err)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    char *name = mbr_alloc(r->memory, strlen(path) + 24);
    mbr_status st = name ? mbr_log_files(r->memory, path, &numbers, &count, err) : mbr_no_memory(err, strlen(path));
    for (size_t i = 0; st == MBR_OK && i < count; i++) {
        mbr_log_file_name(name, path, numbers[i]);
        st = take_file(r, name, err);
    }
    if (st == MBR_OK)
        st = take_file(r, path, err);
    mbr_free(r->memory, numbers);
    mbr_free(r->memory, name);
    return st;
}

mbr_status mbr_replay(mbr_pipeline *pipeline, const char *path, const mbr_replay_options *options,
                      mbr_replay_result *result, mbr_error *err)
{
    replay r = { .p = pipeline };
    if (!pipeline || !path || !result || result->size < sizeof(size_t) || (options && options->size < sizeof(size_t)))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_replay: a pointer is NULL, or a size is not set");
    if (options)
        memcpy(&r.o, options, mbr_min_size(options->size, sizeof r.o));
    if (r.o.batch < 0 || r.o.batch > 4096)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a batch of %d rows: it must be 1 to 4096, or 0", r.o.batch);
    r.memory = pipeline->memory;
    r.batch = r.o.batch ? r.o.batch : DEFAULT_BATCH;
    r.texts.memory = r.made.memory = r.memory;
    r.waits = mbr_calloc(r.memory, (size_t)r.batch, sizeof *r.waits);
    mbr_pipeline_know_model(pipeline);
    mbr_status st = r.waits ? take_files(&r, path, err) : mbr_no_memory(err, (size_t)r.batch * sizeof *r.waits);
    for (int i = 0; i < r.stream_count; i++)
        mbr_decider_release(&r.streams[i].d);
    mbr_free(r.memory, r.waits);
    mbr_line_free(&r.texts);
    mbr_line_free(&r.made);
    r.r.size = result->size;
    memcpy(result, &r.r, mbr_min_size(result->size, sizeof r.r));
    return st;
}

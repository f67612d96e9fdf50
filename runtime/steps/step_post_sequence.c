/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps over sequences: CTC, spans of an answer, tokens to text. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/steps/step_post.h"

#include "mbr/tokenizer.h"
#include "runtime/pipeline/element.h"
#include "runtime/pipeline/pipeline_impl.h"
#include "runtime/post/post.h"

#include <math.h>
#include <string.h>

/* ---- ctc ---- */

enum { LOGITS, LOG_PROBABILITIES, PROBABILITIES };

typedef struct ctc {
    mbr_strings labels;
    mbr_string labels_file;
    int64_t blank, beam;
    int input;
} ctc;

const mbr_param mbr_params_ctc[] = {
    { .name = "labels", .type = MBR_PARAM_STRINGS, .offset = offsetof(ctc, labels) },
    { .name = "labels_file", .type = MBR_PARAM_STRING, .offset = offsetof(ctc, labels_file) },
    { .name = "blank", .type = MBR_PARAM_INT, .offset = offsetof(ctc, blank) },
    { .name = "beam", .type = MBR_PARAM_INT, .offset = offsetof(ctc, beam), .preset = 1 },
    { .name = "input", .type = MBR_PARAM_CHOICE, .words = "logits|log_probabilities|probabilities",
      .offset = offsetof(ctc, input) },
    { .name = NULL }
};

mbr_status mbr_compile_ctc(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    ctc *p = s->params;
    const mbr_col *from = &c->scope->cols[s->from[0]];
    MBR_TRY(mbr_post_check(c, at, s));
    MBR_TRY(mbr_post_labels(c, at, s, &p->labels, &p->labels_file));
    if (!p->labels.count)
        return mbr_node_fail(&c->read, at, "step '%s' needs 'labels' or 'labels_file': a text for each symbol, in "
                             "their order, also one for the blank", s->name);
    if (p->blank < 0 || (size_t)p->blank >= p->labels.count)
        return mbr_node_fail(&c->read, at, "step '%s': 'blank' must be the number of a label, from 0 on", s->name);
    if (p->beam < 1 || p->beam > 1000)
        return mbr_node_fail(&c->read, at, "step '%s': 'beam' must be 1 (greedy) to 1000", s->name);
    if (from->rank >= 1 && from->dims[from->rank - 1] >= 0 && (size_t)from->dims[from->rank - 1] != p->labels.count)
        return mbr_node_fail(&c->read, at, "step '%s': %zu labels, and '%s' has %lld symbols a frame", s->name,
                             p->labels.count, from->name, (long long)from->dims[from->rank - 1]);
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_STRING, .width = 1 };
    return mbr_step_part(c, s, "score") ? MBR_OK : c->read.err->status;
}

/* Logarithms of probabilities. */
static void normalise(const ctc *p, const float *x, size_t frames, size_t symbols, float *y)
{
    for (size_t t = 0; t < frames; t++, x += symbols, y += symbols) {
        double max = -(double)INFINITY, sum = 0;
        for (size_t k = 0; k < symbols && p->input == LOGITS; k++)
            max = (double)x[k] > max ? (double)x[k] : max;
        for (size_t k = 0; k < symbols && p->input == LOGITS; k++)
            sum += x[k] == x[k] ? exp((double)x[k] - max) : 0;
        double shift = p->input == LOGITS ? max + log(sum) : 0;
        for (size_t k = 0; k < symbols; k++)
            y[k] = p->input == PROBABILITIES ? logf(x[k]) : (float)((double)x[k] - shift);
    }
}

/* The labels of a sequence as one text. */
static mbr_string spell(mbr_rows *rows, const mbr_strings *labels, const uint32_t *ids, size_t n)
{
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        bytes += labels->items[ids[i]].size;
    char *text = mbr_pool_alloc(&rows->pool, bytes + 1);
    for (size_t i = 0; text && i < n; i++) {
        const mbr_string *l = &labels->items[ids[i]];
        memcpy(text + at, l->data, l->size);
        at += l->size;
    }
    if (text)
        text[at] = '\0';
    return (mbr_string){ text, text ? bytes : 0 };
}

static void decode_frames(const mbr_step *s, mbr_rows *rows, int row)
{
    const ctc *p = s->params;
    mbr_string *text = &rows->lanes[s->out].str[row];
    double *score = &rows->lanes[s->outs[1]].num[row];
    *text = (mbr_string){ NULL, 0 };
    *score = (double)NAN;
    mbr_row_floats v = mbr_post_floats(s, rows, s->from[0], row);
    size_t symbols = p->labels.count, frames = v.count / symbols, n = 0;
    if (!v.data || rows->fault[row])
        return;
    if (v.rank < 2 || (size_t)v.dims[v.rank - 1] != symbols || frames * symbols != v.count) {
        mbr_rows_fail(rows, row, "step '%s': a tensor (frames, %zu) is due", s->name, symbols);
        return;
    }
    float *chances = mbr_pool_alloc(&rows->pool, (v.count + 1) * sizeof *chances);
    uint32_t *ids = mbr_pool_alloc(&rows->pool, (frames + 1) * sizeof *ids);
    mbr_error err = { 0 };
    if (!chances || !ids) {
        mbr_rows_fail(rows, row, "step '%s': out of memory", s->name);
        return;
    }
    normalise(p, v.data, frames, symbols, chances);
    if (p->beam == 1)
        n = mbr_ctc_greedy(chances, frames, symbols, (size_t)p->blank, ids, score);
    else if (mbr_post_beam(rows->pool.memory, chances, frames, symbols, (size_t)p->blank, (size_t)p->beam, ids, &n,
                           score, &err) != MBR_OK)
        mbr_rows_fail(rows, row, "step '%s': %s", s->name, err.text);
    *text = spell(rows, &p->labels, ids, n);
    if (!text->data)
        mbr_rows_fail(rows, row, "step '%s': out of memory", s->name);
}

void mbr_run_ctc(const mbr_step *s, mbr_rows *rows)
{
    for (int i = 0; i < rows->count; i++)
        decode_frames(s, rows, i);
}

/* ---- span: where an answer begins and ends ---- */

typedef struct span {
    int64_t longest;
    mbr_string mask, offsets, text;
    int mask_col, offsets_col, text_col; /* made by compile */
} span;

const mbr_param mbr_params_span[] = {
    { .name = "longest", .type = MBR_PARAM_INT, .offset = offsetof(span, longest), .preset = 30 },
    { .name = "mask", .type = MBR_PARAM_STRING, .offset = offsetof(span, mask) },
    { .name = "offsets", .type = MBR_PARAM_STRING, .offset = offsetof(span, offsets) },
    { .name = "text", .type = MBR_PARAM_STRING, .offset = offsetof(span, text) },
    { .name = NULL }
};

mbr_status mbr_compile_span(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    span *p = s->params;
    MBR_TRY(mbr_post_check(c, at, s));
    MBR_TRY(mbr_post_column(c, at, s, "mask", &p->mask, MBR_TYPES_VALUES, &p->mask_col));
    MBR_TRY(mbr_post_column(c, at, s, "offsets", &p->offsets, MBR_TYPES_VALUES, &p->offsets_col));
    MBR_TRY(mbr_post_column(c, at, s, "text", &p->text, MBR_TYPES_STRING, &p->text_col));
    if (p->longest < 1 || p->longest > 1000000)
        return mbr_node_fail(&c->read, at, "step '%s': 'longest' must be 1 to 1000000", s->name);
    if ((p->text_col < 0) != (p->offsets_col < 0))
        return mbr_node_fail(&c->read, at, "step '%s': 'text' and 'offsets' (bytes where each token begins and ends) "
                             "belong together", s->name);
    const char *name = mbr_step_part_name(c, s, "start");
    *out = (mbr_col){ .name = name, .line = out->line, .type = MBR_COL_NUMBER, .width = 1 };
    if (!name || !mbr_step_part(c, s, "end") || !mbr_step_part(c, s, "score"))
        return c->read.err->status;
    if (p->text_col < 0)
        return MBR_OK;
    mbr_col *text = mbr_step_part(c, s, "text");
    if (!text)
        return c->read.err->status;
    text->type = MBR_COL_STRING;
    return MBR_OK;
}

static bool starts_character(const mbr_string *s, size_t at)
{
    return at == s->size || ((unsigned char)s->data[at] & 0xC0) != 0x80;
}

/* The part of the text from the first token to the last. */
static void quote(const mbr_step *s, mbr_rows *rows, int row, size_t from, size_t to)
{
    const span *p = s->params;
    const mbr_string *whole = &rows->lanes[p->text_col].str[row];
    mbr_row_doubles o = mbr_post_doubles(s, rows, p->offsets_col, row);
    if (!o.data || !whole->data)
        return;
    double a = 2 * to + 1 < o.count ? o.data[2 * from] : -1, b = a >= 0 ? o.data[2 * to + 1] : -1;
    if (!(a >= 0 && b >= a && b <= (double)whole->size) || !starts_character(whole, (size_t)a) ||
        !starts_character(whole, (size_t)b)) {
        mbr_rows_fail(rows, row, "step '%s': the offsets of tokens %zu to %zu do not lie in the text", s->name, from,
                      to);
        return;
    }
    size_t n = (size_t)b - (size_t)a;
    char *copy = mbr_pool_alloc(&rows->pool, n + 1);
    if (!copy) {
        mbr_rows_fail(rows, row, "step '%s': out of memory", s->name);
        return;
    }
    memcpy(copy, whole->data + (size_t)a, n);
    copy[n] = '\0';
    rows->lanes[s->outs[3]].str[row] = (mbr_string){ copy, n };
}

static void find_span(const mbr_step *s, mbr_rows *rows, int row)
{
    const span *p = s->params;
    double score;
    size_t from, to;
    for (int k = 0; k < 3; k++)
        rows->lanes[s->outs[k]].num[row] = (double)NAN;
    if (p->text_col >= 0)
        rows->lanes[s->outs[3]].str[row] = (mbr_string){ NULL, 0 };
    mbr_row_doubles a = mbr_post_doubles(s, rows, s->from[0], row), b = mbr_post_doubles(s, rows, s->from[1], row);
    mbr_row_doubles mask = { 0 };
    if (p->mask_col >= 0)
        mask = mbr_post_doubles(s, rows, p->mask_col, row);
    if (!a.data || !b.data || rows->fault[row] || (p->mask_col >= 0 && !mask.data))
        return;
    if (a.count != b.count || (mask.data && mask.count != a.count)) {
        mbr_rows_fail(rows, row, "step '%s': starts, ends and mask must be as many; they are %zu, %zu and %zu", s->name,
                      a.count, b.count, mask.data ? mask.count : a.count);
        return;
    }
    unsigned char *allowed = mask.data ? mbr_pool_alloc(&rows->pool, mask.count + 1) : NULL;
    if (mask.data && !allowed) {
        mbr_rows_fail(rows, row, "step '%s': out of memory", s->name);
        return;
    }
    for (size_t i = 0; allowed && i < mask.count; i++)
        allowed[i] = mask.data[i] > 0;
    if (!mbr_best_span(a.data, b.data, allowed, a.count, (size_t)p->longest, &from, &to, &score))
        return;
    rows->lanes[s->outs[0]].num[row] = (double)from;
    rows->lanes[s->outs[1]].num[row] = (double)to;
    rows->lanes[s->outs[2]].num[row] = score;
    if (p->text_col >= 0)
        quote(s, rows, row, from, to);
}

void mbr_run_span(const mbr_step *s, mbr_rows *rows)
{
    for (int i = 0; i < rows->count; i++)
        find_span(s, rows, i);
}

/* ---- detokenize: ids to text ---- */

typedef struct detokenize {
    mbr_string path, end;
    bool special;
    mbr_tokenizer *tokenizer; /* made by compile */
    uint32_t end_id;
    bool has_end;
} detokenize;

const mbr_param mbr_params_detokenize[] = {
    { .name = "tokenizer", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(detokenize, path) },
    { .name = "end", .type = MBR_PARAM_STRING, .offset = offsetof(detokenize, end) },
    { .name = "special", .type = MBR_PARAM_BOOL, .offset = offsetof(detokenize, special) },
    { .name = NULL }
};

mbr_status mbr_compile_detokenize(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    detokenize *p = s->params;
    MBR_TRY(mbr_post_check(c, at, s));
    const char *path = mbr_pipeline_beside(c->read.arena, c->read.file, p->path.data);
    if (!path)
        return mbr_no_memory(c->read.err, p->path.size);
    mbr_status st = mbr_tokenizer_open(c->env, path, NULL, &p->tokenizer, c->read.err);
    if (st != MBR_OK)
        return mbr_fail_at(c->read.err, st, "%s:%d: step '%s': ", c->read.file, at->line, s->name);
    p->has_end = p->end.data != NULL;
    if (p->has_end && !mbr_tokenizer_find(p->tokenizer, p->end.data, p->end.size, &p->end_id))
        return mbr_node_fail(&c->read, at, "step '%s': the tokenizer has no token '%s'", s->name, p->end.data);
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_STRING, .width = 1 };
    return MBR_OK;
}

void mbr_drop_detokenize(const mbr_step *s)
{
    detokenize *p = s->params;
    mbr_tokenizer_release(&p->tokenizer);
}

static void detokenize_row(const mbr_step *s, mbr_rows *rows, int row, mbr_encoding *e)
{
    const detokenize *p = s->params;
    mbr_row_doubles v = mbr_post_doubles(s, rows, s->from[0], row);
    const char *text;
    size_t n = 0, bytes;
    mbr_error err = { 0 };
    rows->lanes[s->out].str[row] = (mbr_string){ NULL, 0 };
    if (!v.data || rows->fault[row])
        return;
    uint32_t *ids = mbr_pool_alloc(&rows->pool, (v.count + 1) * sizeof *ids);
    for (; ids && n < v.count; n++) {
        double id = v.data[n];
        if (!(id >= 0 && id < 4294967295.0 && id == floor(id))) {
            if (isnan(id) && rows->cols[s->from[0]].type != MBR_COL_TENSOR) {
                if (!n)
                    return;
                break; /* missing values of a wide column end the list; where there are no others, so is the text */
            }
            mbr_rows_fail(rows, row, "step '%s': %g is no token", s->name, id);
            return;
        }
        ids[n] = (uint32_t)id;
        if (p->has_end && ids[n] == p->end_id)
            break;
    }
    char *copy = NULL;
    if (ids && mbr_encoding_decode(e, ids, n, !p->special, &text, &bytes, &err) == MBR_OK) {
        copy = mbr_pool_alloc(&rows->pool, bytes + 1);
        if (copy)
            memcpy(copy, text, bytes + 1);
    }
    if (copy)
        rows->lanes[s->out].str[row] = (mbr_string){ copy, bytes };
    else
        mbr_rows_fail(rows, row, "step '%s': %s", s->name, err.status == MBR_OK ? "out of memory" : err.text);
}

void mbr_run_detokenize(const mbr_step *s, mbr_rows *rows)
{
    const detokenize *p = s->params;
    mbr_encoding *e = NULL;
    mbr_error err = { 0 };
    mbr_status st = mbr_encoding_new(p->tokenizer, &e, &err);
    for (int i = 0; i < rows->count; i++) {
        if (st == MBR_OK) {
            detokenize_row(s, rows, i, e);
            continue;
        }
        rows->lanes[s->out].str[i] = (mbr_string){ NULL, 0 };
        mbr_rows_fail(rows, i, "step '%s': %s", s->name, err.text);
    }
    mbr_encoding_release(&e);
}

_Static_assert(sizeof(ctc) <= MBR_STEP_PARAMS && sizeof(span) <= MBR_STEP_PARAMS &&
               sizeof(detokenize) <= MBR_STEP_PARAMS, "room for parameters");

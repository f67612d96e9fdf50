/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps over embeddings: pooling, length 1, nearest neighbours. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/steps/step_post.h"

#include "mbr/post.h"
#include "runtime/pipeline/pipeline_impl.h"

#include <math.h>
#include <string.h>

/* ---- pool: the vectors of a sequence to one ---- */

enum { MEAN, FIRST, MOST, LAST };

typedef struct pool {
    int method;
    int64_t width;
} pool;

const mbr_param mbr_params_pool[] = {
    { .name = "method", .type = MBR_PARAM_CHOICE, .words = "mean|first|max|last", .offset = offsetof(pool, method) },
    { .name = "width", .type = MBR_PARAM_INT, .offset = offsetof(pool, width) },
    { .name = NULL }
};

mbr_status mbr_compile_pool(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    pool *p = s->params;
    const mbr_col *from = &c->scope->cols[s->from[0]];
    MBR_TRY(mbr_post_check(c, at, s));
    int64_t width = from->rank >= 2 ? from->dims[from->rank - 1] : -1;
    if (from->type != MBR_COL_TENSOR || (from->rank >= 0 && from->rank < 2))
        return mbr_node_fail(&c->read, at, "step '%s': pool reads a tensor (tokens, width), and perhaps a mask",
                             s->name);
    if (width < 0 && !p->width)
        return mbr_node_fail(&c->read, at, "step '%s' needs the key 'width': that of '%s' is not known", s->name,
                             from->name);
    if (width >= 0 && p->width && p->width != width)
        return mbr_node_fail(&c->read, at, "step '%s': 'width' is %lld, and vectors of '%s' have %lld values", s->name,
                             (long long)p->width, from->name, (long long)width);
    p->width = width >= 0 ? width : p->width;
    if (p->width < 1 || p->width > MBR_MAX_WIDTH)
        return mbr_node_fail(&c->read, at, "step '%s': vectors must have 1 to %d values", s->name, MBR_MAX_WIDTH);
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_NUMBER, .width = (int)p->width };
    return MBR_OK;
}

static void pool_row(const mbr_step *s, mbr_rows *rows, int row)
{
    const pool *p = s->params;
    size_t width = (size_t)p->width, taken = 0;
    double *y = mbr_step_out(s, rows) + (size_t)row * width;
    for (size_t k = 0; k < width; k++)
        y[k] = (double)NAN;
    mbr_row_floats v = mbr_post_floats(s, rows, s->from[0], row);
    mbr_row_doubles mask = { 0 };
    if (s->from_count > 1)
        mask = mbr_post_doubles(s, rows, s->from[1], row);
    if (!v.data || rows->fault[row] || (s->from_count > 1 && !mask.data))
        return;
    size_t tokens = v.count / width;
    if (v.rank < 2 || (size_t)v.dims[v.rank - 1] != width || tokens * width != v.count ||
        (mask.data && mask.count != tokens)) {
        mbr_rows_fail(rows, row, "step '%s': a tensor (tokens, %zu)%s is due", s->name, width,
                      mask.data ? " and a mask of as many tokens" : "");
        return;
    }
    for (size_t t = 0; t < tokens; t++) {
        const float *x = v.data + t * width;
        if (mask.data && !(mask.data[t] > 0))
            continue;
        for (size_t k = 0; k < width; k++) {
            double e = (double)x[k];
            if (!taken || p->method == LAST || (p->method == MOST && e > y[k]))
                y[k] = e;
            else if (p->method == MEAN)
                y[k] += e;
        }
        taken++;
        if (p->method == FIRST)
            break;
    }
    for (size_t k = 0; k < width && p->method == MEAN && taken; k++)
        y[k] /= (double)taken;
}

void mbr_run_pool(const mbr_step *s, mbr_rows *rows)
{
    for (int i = 0; i < rows->count; i++)
        pool_row(s, rows, i);
}

/* ---- l2_normalize: x / max(length, 1e-12) ---- */

const mbr_param mbr_params_l2_normalize[] = { { .name = NULL } };

void mbr_run_l2_normalize(const mbr_step *s, mbr_rows *rows)
{
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    int width = rows->cols[s->out].width;
    for (int i = 0; i < rows->count; i++, x += width, y += width) {
        double sum = 0;
        for (int k = 0; k < width; k++)
            sum += x[k] * x[k];
        double length = sqrt(sum);
        for (int k = 0; k < width; k++)
            y[k] = x[k] / (length < 1e-12 ? 1e-12 : length);
    }
}

/* ---- nearest: the most similar rows of a table ---- */

typedef struct nearest {
    mbr_string table, labels_file;
    mbr_strings labels;
    int64_t k;
    int metric;
    mbr_vectors *vectors; /* made by compile */
} nearest;

const mbr_param mbr_params_nearest[] = {
    { .name = "table", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(nearest, table) },
    { .name = "labels", .type = MBR_PARAM_STRINGS, .offset = offsetof(nearest, labels) },
    { .name = "labels_file", .type = MBR_PARAM_STRING, .offset = offsetof(nearest, labels_file) },
    { .name = "k", .type = MBR_PARAM_INT, .offset = offsetof(nearest, k), .preset = 1 },
    { .name = "metric", .type = MBR_PARAM_CHOICE, .words = "cosine|dot|euclidean",
      .offset = offsetof(nearest, metric) },
    { .name = NULL }
};

mbr_status mbr_compile_nearest(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    nearest *p = s->params;
    const mbr_reading *r = &c->read;
    const mbr_col *from = &c->scope->cols[s->from[0]];
    MBR_TRY(mbr_post_check(c, at, s));
    MBR_TRY(mbr_post_labels(c, at, s, &p->labels, &p->labels_file));
    const char *path = mbr_pipeline_beside(r->arena, r->file, p->table.data);
    if (!path)
        return mbr_no_memory(r->err, p->table.size);
    mbr_status st = mbr_vectors_open(c->env, path, (mbr_metric)p->metric, &p->vectors, r->err);
    if (st != MBR_OK)
        return mbr_fail_at(r->err, st, "%s:%d: step '%s': ", r->file, at->line, s->name);
    size_t width = mbr_post_width(from), rows = mbr_vectors_count(p->vectors);
    if (width && width != mbr_vectors_width(p->vectors))
        return mbr_node_fail(r, at, "step '%s': '%s' has %zu values a row, and the vectors of the table %zu", s->name,
                             from->name, width, mbr_vectors_width(p->vectors));
    if (p->labels.count && p->labels.count != rows)
        return mbr_node_fail(r, at, "step '%s': %zu labels for a table of %zu vectors", s->name, p->labels.count, rows);
    return mbr_post_ranks(c, at, s, p->k < 0 ? 0 : (size_t)p->k, p->labels.count != 0, out);
}

void mbr_drop_nearest(const mbr_step *s)
{
    nearest *p = s->params;
    mbr_vectors_release(&p->vectors);
}

/* All rows at once: a block of the table serves them while it is in the cache. */
void mbr_run_nearest(const mbr_step *s, mbr_rows *rows)
{
    const nearest *p = s->params;
    size_t width = mbr_vectors_width(p->vectors), k = (size_t)p->k, n = (size_t)rows->count;
    float *query = mbr_pool_alloc(&rows->pool, (n * width + 1) * sizeof *query);
    size_t *index = mbr_pool_alloc(&rows->pool, (n * k + 1) * sizeof *index);
    double *score = mbr_pool_alloc(&rows->pool, (n * k + 1) * sizeof *score);
    bool fine = query && index && score;
    for (int i = 0; i < rows->count; i++) {
        mbr_row_floats v = { 0 };
        if (!fine)
            mbr_rows_fail(rows, i, "step '%s': out of memory", s->name);
        else if (!rows->fault[i])
            v = mbr_post_floats(s, rows, s->from[0], i);
        if (v.data && v.count != width) {
            mbr_rows_fail(rows, i, "step '%s': %zu values, and the vectors of the table have %zu", s->name, v.count,
                          width);
            v.data = NULL;
        }
        for (size_t w = 0; fine && w < width; w++)
            query[(size_t)i * width + w] = v.data ? v.data[w] : NAN;
    }
    fine = fine && mbr_vectors_nearest(p->vectors, query, n, k, index, score, NULL) == MBR_OK;
    for (int i = 0; i < rows->count; i++)
        for (size_t r = 0; r < k; r++) {
            size_t at = (size_t)i * k + r;
            mbr_post_put_rank(s, rows, i, r, &p->labels, fine ? index[at] : SIZE_MAX, fine ? score[at] : 0);
        }
}

_Static_assert(sizeof(nearest) <= MBR_STEP_PARAMS, "room for parameters");

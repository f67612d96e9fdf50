/* SPDX-License-Identifier: BSD-2-Clause */
/* Exact nearest neighbours among the rows of a mapped table. */
#include "base/checked.h"
#include "base/env.h"
#include "kernels/dots.h"
#include "runtime/post/post.h"

#include <math.h>

#define BLOCK_BYTES 131072 /* of the table, that all queries pass while it is in the cache */
#define QUERIES 16         /* at once */
#define MOST_BLOCK 512     /* rows of a block */

struct mbr_vectors {
    mbr_memory *memory;
    mbr_npy table;
    mbr_metric metric;
    float *norms; /* (rows) cosine: 1 / length; euclidean: length squared; else NULL */
    mbr_dots_fn *dots;
};

static double length_squared(const float *x, size_t n)
{
    double sum[4] = { 0 };
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++)
            sum[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < n; i++)
        sum[0] += (double)x[i] * (double)x[i];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

mbr_status mbr_vectors_open(mbr_env *env, const char *path, mbr_metric metric, mbr_vectors **out, mbr_error *err)
{
    mbr_memory *memory = mbr_env_heap(env);
    *out = NULL;
    mbr_vectors *v = mbr_calloc(memory, 1, sizeof *v);
    if (!v)
        return mbr_no_memory(err, sizeof *v);
    v->memory = memory;
    v->metric = metric;
    v->dots = mbr_dots_best();
    mbr_status st = mbr_npy_open(memory, path, &v->table, err);
    if (st == MBR_OK && metric != MBR_METRIC_DOT) {
        v->norms = mbr_calloc(memory, v->table.rows + 1, sizeof *v->norms);
        if (!v->norms)
            st = mbr_no_memory(err, v->table.rows * sizeof *v->norms);
    }
    for (size_t r = 0; st == MBR_OK && v->norms && r < v->table.rows; r++) {
        double square = length_squared(v->table.data + r * v->table.width, v->table.width);
        v->norms[r] = (float)(metric == MBR_METRIC_EUCLIDEAN ? square : square > 0 ? 1 / sqrt(square) : 0);
    }
    if (st == MBR_OK)
        *out = v;
    else
        mbr_vectors_release(&v);
    return st;
}

void mbr_vectors_release(mbr_vectors **vectors)
{
    if (!vectors || !*vectors)
        return;
    mbr_vectors *v = *vectors;
    *vectors = NULL;
    mbr_npy_close(v->memory, &v->table);
    mbr_free(v->memory, v->norms);
    mbr_free(v->memory, v);
}

size_t mbr_vectors_count(const mbr_vectors *v)
{
    return v->table.rows;
}

size_t mbr_vectors_width(const mbr_vectors *v)
{
    return v->table.width;
}

/* The score of a row from its product with the query; norm: of the query. */
static double score_of(const mbr_vectors *v, size_t row, float dot, double norm)
{
    if (v->metric == MBR_METRIC_DOT)
        return (double)dot;
    if (v->metric == MBR_METRIC_COSINE)
        return (double)dot * (double)v->norms[row] * norm;
    double square = (double)v->norms[row] + norm - 2 * (double)dot;
    return square > 0 ? -sqrt(square) : square == square ? 0 : square;
}

/* Into the k best so far, which end with SIZE_MAX. */
static void keep(size_t k, size_t *index, double *score, size_t row, double s)
{
    if (!(s == s) || (index[k - 1] != SIZE_MAX && !(s > score[k - 1])))
        return;
    size_t at = k - 1;
    for (; at && (index[at - 1] == SIZE_MAX || s > score[at - 1]); at--) {
        index[at] = index[at - 1];
        score[at] = score[at - 1];
    }
    index[at] = row;
    score[at] = s;
}

mbr_status mbr_vectors_nearest(const mbr_vectors *v, const float *query, size_t queries, size_t k, size_t *index,
                               double *score, mbr_error *err)
{
    float dots[QUERIES * MOST_BLOCK];
    double norms[QUERIES];
    size_t width = v->table.width, rows = v->table.rows, block = BLOCK_BYTES / (width * sizeof(float));
    block = block < 4 ? 4 : block > MOST_BLOCK ? MOST_BLOCK : block & ~(size_t)3;
    if (!k)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_vectors_nearest: k is 0");
    for (size_t i = 0; i < queries * k; i++) {
        index[i] = SIZE_MAX;
        score[i] = (double)NAN;
    }
    for (size_t first = 0; first < queries; first += QUERIES) {
        size_t n = mbr_min_size(QUERIES, queries - first);
        for (size_t q = 0; q < n; q++) {
            double square = length_squared(query + (first + q) * width, width);
            norms[q] = v->metric == MBR_METRIC_EUCLIDEAN ? square : square > 0 ? 1 / sqrt(square) : square;
        }
        for (size_t from = 0; from < rows; from += block) {
            size_t count = mbr_min_size(block, rows - from);
            v->dots(v->table.data + from * width, count, width, query + first * width, n, dots);
            for (size_t q = 0; q < n; q++)
                for (size_t r = 0; r < count; r++)
                    keep(k, index + (first + q) * k, score + (first + q) * k, from + r,
                         score_of(v, from + r, dots[q * count + r], norms[q]));
        }
    }
    return MBR_OK;
}

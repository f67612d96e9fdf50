/* SPDX-License-Identifier: BSD-2-Clause */
/* A baseline from its bytes, which is how all of them are made, and what is asked of it. */
#include "runtime/drift/drift_impl.h"

#include "base/checked.h"
#include "base/env.h"
#include "base/filemap.h"
#include "runtime/drift/drift_stats.h"
#include "runtime/rows/text.h"

#include <stdio.h>
#include <string.h>

/* ---- reading ---- */

static void *take_array(mbr_drift_baseline *b, size_t count, size_t size, mbr_status *st, mbr_error *err)
{
    void *p = mbr_arena_calloc(&b->arena, count + 1, size);
    if (!p)
        *st = mbr_no_memory(err, (count + 1) * size);
    return p;
}

static bool rises(const double *x, size_t n, bool strictly)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || (i > 0 && (strictly ? x[i - 1] >= x[i] : x[i - 1] > x[i])))
            return false;
    return true;
}

static mbr_status read_number(mbr_drift_baseline *b, mbr_base_col *c, mbr_in *in, mbr_error *err)
{
    mbr_status st = MBR_OK;
    c->infinite = mbr_in_range(in, 0, c->rows - c->missing);
    c->values = c->rows - c->missing - c->infinite;
    c->least = mbr_in_f64(in);
    c->greatest = mbr_in_f64(in);
    c->mean = mbr_in_f64(in);
    c->deviation = mbr_in_f64(in);
    c->logarithmic = mbr_in_range(in, 0, 1) != 0;
    c->bins = (int)mbr_in_range(in, 1, MBR_DRIFT_MAX_BINS);
    c->lo = mbr_in_f64(in);
    c->scale = mbr_in_f64(in);
    if (!isfinite(c->lo) || !isfinite(c->scale) || !(c->scale > 0.0))
        in->bad = true;
    c->counts = take_array(b, (size_t)c->bins + 3, sizeof *c->counts, &st, err);
    MBR_TRY(st);
    uint64_t left = c->rows;
    for (int i = 0; i < c->bins + 3; i++) {
        c->counts[i] = mbr_in_range(in, 0, left);
        left -= c->counts[i];
    }
    c->rank_error = mbr_in_f64(in);
    c->quantile_count = mbr_in_count(in, SIZE_MAX / 16, 8);
    c->quantiles = take_array(b, c->quantile_count, sizeof *c->quantiles, &st, err);
    MBR_TRY(st);
    mbr_in_f64s(in, c->quantiles, c->quantile_count);
    bool sound = c->quantile_count <= c->values && (c->quantile_count > 0) == (c->values > 0) &&
                 rises(c->quantiles, c->quantile_count, false) && c->rank_error >= 0.0 && c->rank_error < 0.5 &&
                 (c->rank_error > 0.0 || c->quantile_count == c->values);
    if (c->values > 0)
        sound = sound && isfinite(c->least) && isfinite(c->greatest) && c->least <= c->greatest && isfinite(c->mean) &&
                c->deviation >= 0.0 && isfinite(c->deviation);
    in->bad |= !sound || left != 0;
    return MBR_OK;
}

static mbr_status read_category(mbr_drift_baseline *b, mbr_base_col *c, mbr_in *in, mbr_error *err)
{
    mbr_status st = MBR_OK;
    c->name_count = mbr_in_count(in, MBR_DRIFT_MAX_NAMES, 16);
    c->slot_count = 16;
    while (c->slot_count < 2 * c->name_count)
        c->slot_count *= 2;
    c->names = take_array(b, c->name_count, sizeof *c->names, &st, err);
    c->name_counts = take_array(b, c->name_count, sizeof *c->name_counts, &st, err);
    c->slots = take_array(b, c->slot_count, sizeof *c->slots, &st, err);
    MBR_TRY(st);
    uint64_t left = c->rows - c->missing;
    for (size_t i = 0; i < c->name_count; i++) {
        mbr_string name = mbr_in_text(in, MBR_DRIFT_TEXT);
        if (!mbr_text_utf8(name.data, name.size))
            in->bad = true;
        c->names[i].data = mbr_arena_strndup(&b->arena, name.data, name.size);
        c->names[i].size = name.size;
        if (!c->names[i].data)
            return mbr_no_memory(err, name.size + 1);
        c->name_counts[i] = mbr_in_range(in, 0, left);
        left -= c->name_counts[i];
        if (mbr_base_col_find(c, name.data, name.size) < i)
            in->bad = true;
        size_t at = mbr_digest(name.data, name.size) & (c->slot_count - 1);
        while (c->slots[at])
            at = (at + 1) & (c->slot_count - 1);
        c->slots[at] = (uint32_t)i + 1;
    }
    c->other = mbr_in_range(in, 0, left);
    left -= c->other;
    c->invalid = mbr_in_range(in, left, left);
    return MBR_OK;
}

static mbr_status read_calibration(mbr_drift_baseline *b, mbr_in *in, mbr_error *err)
{
    mbr_calibration *q = &b->calibration;
    mbr_status st = MBR_OK;
    size_t n = mbr_in_count(in, MBR_DRIFT_KNOTS, 16);
    if (n == 0)
        return MBR_OK;
    q->score = take_array(b, n, sizeof *q->score, &st, err);
    q->chance = take_array(b, n, sizeof *q->chance, &st, err);
    MBR_TRY(st);
    q->count = n;
    mbr_in_f64s(in, q->score, n);
    mbr_in_f64s(in, q->chance, n);
    double x[5];
    mbr_in_f64s(in, x, 5);
    q->labelled = x[0];
    q->accuracy = x[1];
    q->auc = x[2];
    q->confidence = x[3];
    q->confidence_variance = x[4];
    in->bad |= !rises(q->score, n, true) || !rises(q->chance, n, false) || !(q->chance[0] >= 0.0) ||
               !(q->chance[n - 1] <= 1.0) || !(q->labelled >= 1.0) || !(q->confidence_variance >= 0.0) || b->score < 0;
    return MBR_OK;
}

static mbr_status read_columns(mbr_drift_baseline *b, mbr_in *in, mbr_error *err)
{
    mbr_status st = MBR_OK;
    b->col_count = (int)mbr_in_count(in, MBR_DRIFT_MAX_COLUMNS, 32);
    b->rows = mbr_in_u64(in);
    b->threshold = mbr_in_f64(in);
    b->score = (int)mbr_in_range(in, 0, (uint64_t)b->col_count) - 1;
    b->cols = take_array(b, (size_t)b->col_count, sizeof *b->cols, &st, err);
    MBR_TRY(st);
    in->bad |= b->col_count == 0 || !isfinite(b->threshold);
    for (int i = 0; i < b->col_count && !in->bad; i++) {
        mbr_base_col *c = &b->cols[i];
        mbr_string name = mbr_in_text(in, 65536);
        c->name = mbr_arena_strndup(&b->arena, name.data, name.size);
        if (!c->name)
            return mbr_no_memory(err, name.size + 1);
        in->bad |= name.size == 0 || !mbr_text_utf8(name.data, name.size);
        c->type = (mbr_drift_type)mbr_in_range(in, MBR_DRIFT_NUMBER, MBR_DRIFT_CATEGORY);
        c->role = (mbr_drift_role)mbr_in_range(in, MBR_DRIFT_FEATURE, MBR_DRIFT_OUTPUT);
        c->rows = mbr_in_range(in, b->rows, b->rows);
        c->missing = mbr_in_range(in, 0, c->rows);
        MBR_TRY(c->type == MBR_DRIFT_NUMBER ? read_number(b, c, in, err) : read_category(b, c, in, err));
        for (int k = 0; k < i; k++)
            in->bad |= strcmp(b->cols[k].name, c->name) == 0;
    }
    if (b->score >= 0 && !in->bad)
        in->bad |= b->cols[b->score].type != MBR_DRIFT_NUMBER;
    return MBR_OK;
}

static mbr_status read_content(mbr_drift_baseline *b, mbr_in *in, mbr_error *err)
{
    mbr_status st = MBR_OK;
    MBR_TRY(read_columns(b, in, err));
    b->related_count = (int)mbr_in_count(in, MBR_DRIFT_RELATED, 8);
    size_t pairs = (size_t)b->related_count * (size_t)(b->related_count ? b->related_count - 1 : 0) / 2;
    b->related = take_array(b, (size_t)b->related_count, sizeof *b->related, &st, err);
    b->correlations = take_array(b, pairs, sizeof *b->correlations, &st, err);
    MBR_TRY(st);
    for (int i = 0; i < b->related_count; i++) {
        b->related[i] = (int)mbr_in_range(in, 0, (uint64_t)(b->col_count > 0 ? b->col_count - 1 : 0));
        in->bad |= !in->bad && b->cols[b->related[i]].type != MBR_DRIFT_NUMBER;
    }
    b->related_rows = mbr_in_f64(in);
    mbr_in_f64s(in, b->correlations, pairs);
    for (size_t i = 0; i < pairs; i++)
        in->bad |= fabs(b->correlations[i]) > 1.000001;
    return read_calibration(b, in, err);
}

mbr_status mbr_drift_baseline_open_memory(mbr_env *env, const void *data, size_t bytes, const char *name,
                                          mbr_drift_baseline **out, mbr_error *err)
{
    *out = NULL;
    mbr_memory *memory = mbr_env_heap(env);
    mbr_in in;
    uint64_t digest;
    MBR_TRY(mbr_in_begin(&in, MBR_DRIFT_KIND_BASELINE, data, bytes, name, &digest, err));
    mbr_drift_baseline *b = mbr_calloc(memory, 1, sizeof *b);
    if (!b)
        return mbr_no_memory(err, sizeof *b);
    b->memory = memory;
    b->env = env;
    b->digest = digest;
    atomic_init(&b->references, 1);
    mbr_arena_init(&b->arena, memory, 0);
    mbr_status st = read_content(b, &in, err);
    if (st == MBR_OK && (in.bad || in.left))
        st = mbr_fail(err, MBR_ERR_FORMAT, "%s: the content of this baseline contradicts itself; make it anew", name);
    if (st == MBR_OK) {
        b->bytes = mbr_alloc(memory, bytes);
        b->byte_count = bytes;
        if (b->bytes)
            memcpy(b->bytes, data, bytes);
        else
            st = mbr_no_memory(err, bytes);
    }
    if (st != MBR_OK) {
        mbr_drift_baseline_release(&b);
        return st;
    }
    *out = b;
    return MBR_OK;
}

mbr_status mbr_drift_baseline_open(mbr_env *env, const char *path, mbr_drift_baseline **out, mbr_error *err)
{
    mbr_filemap map;
    *out = NULL;
    MBR_TRY(mbr_filemap_open(&map, mbr_env_heap(env), path, err));
    mbr_status st = mbr_drift_baseline_open_memory(env, map.data, map.size, path, out, err);
    mbr_filemap_close(&map);
    return st;
}

mbr_status mbr_drift_baseline_save(const mbr_drift_baseline *b, const char *path, mbr_error *err)
{
    return mbr_write_atomically(path, b->bytes, b->byte_count, true, err);
}

void mbr_drift_baseline_retain(mbr_drift_baseline *b)
{
    atomic_fetch_add(&b->references, 1);
}

void mbr_drift_baseline_release(mbr_drift_baseline **baseline)
{
    if (!baseline || !*baseline)
        return;
    mbr_drift_baseline *b = *baseline;
    *baseline = NULL;
    if (atomic_fetch_sub(&b->references, 1) != 1)
        return;
    mbr_arena_destroy(&b->arena);
    mbr_free(b->memory, b->bytes);
    mbr_free(b->memory, b);
}

/* ---- looking inside ---- */

int mbr_drift_baseline_column_count(const mbr_drift_baseline *b)
{
    return b->col_count;
}

int mbr_drift_baseline_column(const mbr_drift_baseline *b, int index, mbr_drift_column *column)
{
    if (index < 0 || index >= b->col_count)
        return 0;
    const mbr_base_col *c = &b->cols[index];
    *column = (mbr_drift_column){ c->name, c->type, c->role };
    return 1;
}

uint64_t mbr_drift_baseline_rows(const mbr_drift_baseline *b)
{
    return b->rows;
}

bool mbr_drift_text(const char *text, size_t size, char *room, mbr_string *out)
{
    enum { KEPT = 200 };
    *out = (mbr_string){ text, size };
    if (!mbr_text_utf8(text, size) || memchr(text, 0, size))
        return false;
    if (size <= MBR_DRIFT_TEXT)
        return true;
    size_t n = KEPT;
    while (((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    memcpy(room, text, n);
    n += (size_t)snprintf(room + n, MBR_DRIFT_TEXT - n, "...#%016llx", (unsigned long long)mbr_digest(text, size));
    *out = (mbr_string){ room, n };
    return true;
}

size_t mbr_base_col_find(const mbr_base_col *c, const char *text, size_t size)
{
    return mbr_base_col_find_digest(c, mbr_digest(text, size), text, size);
}

size_t mbr_base_col_find_digest(const mbr_base_col *c, uint64_t digest, const char *text, size_t size)
{
    size_t at = digest & (c->slot_count - 1);
    for (; c->slots[at]; at = (at + 1) & (c->slot_count - 1)) {
        const mbr_string *name = &c->names[c->slots[at] - 1];
        if (name->size == size && memcmp(name->data, text, size) == 0)
            return c->slots[at] - 1;
    }
    return c->name_count;
}

double mbr_base_col_edge(const mbr_base_col *c, int bin)
{
    return mbr_histogram_value(c->logarithmic, c->lo + bin / c->scale);
}

double mbr_calibrate(const mbr_calibration *c, double score)
{
    size_t low = 0, high = c->count - 1;
    if (!(score > c->score[0]))
        return c->chance[0];
    if (score >= c->score[high])
        return c->chance[high];
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (c->score[middle] <= score)
            low = middle;
        else
            high = middle;
    }
    double part = (score - c->score[low]) / (c->score[high] - c->score[low]);
    return c->chance[low] + part * (c->chance[high] - c->chance[low]);
}

/* ---- samples ---- */

mbr_status mbr_correlating_begin(mbr_correlating *c, mbr_memory *memory, size_t n, int related_count, mbr_error *err)
{
    size_t k = (size_t)related_count;
    c->n = n;
    c->ranks = mbr_alloc(memory, (k * n + n + 1) * sizeof *c->ranks);
    c->keys = mbr_alloc(memory, (2 * n + 1) * sizeof *c->keys);
    c->sound = mbr_calloc(memory, k + 1, sizeof *c->sound);
    if (c->ranks && c->keys && c->sound)
        return MBR_OK;
    mbr_correlating_end(c, memory);
    return mbr_no_memory(err, (k + 1) * n * sizeof *c->ranks);
}

void mbr_correlating_column(mbr_correlating *c, const double *cells, size_t width, const int *related, int related_count,
                            int column, double *triangle)
{
    size_t n = c->n, i = (size_t)column;
    double *values = c->ranks + (size_t)related_count * n;
    const double *a = c->ranks + i * n;
    for (size_t r = 0; r < n; r++) {
        double x = cells[r * width + (size_t)related[i]];
        values[r] = isnan(x) ? -(double)INFINITY : x;
    }
    c->sound[i] = n > 3 && mbr_stat_ranks(values, c->ranks + i * n, c->keys, n);
    for (size_t h = 0; h < i; h++) {
        const double *b = c->ranks + h * n;
        double sums[4] = { 0.0, 0.0, 0.0, 0.0 }; /* so that additions do not wait for each other */
        bool both = c->sound[i] && c->sound[h];
        size_t r = 0;
        for (; both && r + 4 <= n; r += 4)
            for (int l = 0; l < 4; l++)
                sums[l] += a[r + l] * b[r + l];
        for (; both && r < n; r++)
            sums[0] += a[r] * b[r];
        triangle[i * (i - 1) / 2 + h] = both ? sums[0] + sums[1] + sums[2] + sums[3] : (double)NAN;
    }
}

void mbr_correlating_end(mbr_correlating *c, mbr_memory *memory)
{
    mbr_free(memory, c->ranks);
    mbr_free(memory, c->keys);
    mbr_free(memory, c->sound);
    *c = (mbr_correlating){ 0 };
}

mbr_status mbr_drift_correlate(mbr_memory *memory, const double *cells, size_t width, size_t n, const int *related,
                               int related_count, double *triangle, mbr_error *err)
{
    mbr_correlating c;
    MBR_TRY(mbr_correlating_begin(&c, memory, n, related_count, err));
    for (int i = 0; i < related_count; i++)
        mbr_correlating_column(&c, cells, width, related, related_count, i, triangle);
    mbr_correlating_end(&c, memory);
    return MBR_OK;
}

void mbr_reservoir_init(mbr_reservoir *r, size_t size, uint64_t seed)
{
    *r = (mbr_reservoir){ .size = size, .random = mbr_random_start(seed), .w = 1.0 };
}

static void skip(mbr_reservoir *r)
{
    r->w *= exp(log(mbr_random_unit(&r->random)) / (double)r->size);
    double gap = floor(log(mbr_random_unit(&r->random)) / log1p(-r->w));
    r->next += gap < 1e15 ? (uint64_t)gap + 1 : (uint64_t)1e15;
}

size_t mbr_reservoir_next(mbr_reservoir *r)
{
    uint64_t row = r->seen++;
    if (row < r->size) {
        r->count++;
        if (row + 1 == r->size) {
            r->next = row;
            skip(r);
        }
        return (size_t)row;
    }
    if (row != r->next)
        return SIZE_MAX;
    skip(r);
    return (size_t)(mbr_random_bits(&r->random) % r->size);
}

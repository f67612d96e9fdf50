/* SPDX-License-Identifier: BSD-2-Clause */
/* Collects the training data and writes a baseline of it. */
#include "runtime/drift/drift_impl.h"

#include "base/checked.h"
#include "base/env.h"
#include "runtime/drift/drift_stats.h"
#include "runtime/rows/text.h"

#include <stdlib.h>
#include <string.h>

#define FIT_WHOLE 100000    /* values that are kept as they are: up to here histogram and quantiles are exact */
#define FIT_NAMES 16384     /* slots of category counts */
#define FIT_PAIRS 100000    /* sampled pairs of score and label */
#define LOG_RATIO 20.0      /* a column of positive numbers whose quantiles differ by more gets a logarithmic axis */

typedef struct fit_col {
    const char *name;
    mbr_drift_type type;
    mbr_drift_role role;
    uint64_t missing, infinite, invalid;
    double least, greatest, mean, squares; /* Welford's */
    uint64_t values;
    mbr_sketch sketch;
    mbr_tally tally;
} fit_col;

struct mbr_drift_fit {
    mbr_memory *memory;
    mbr_env *env;
    mbr_arena arena;
    mbr_drift_fit_options options;
    fit_col *cols; /* (col_count) */
    int col_count, score, label; /* -1: none */
    uint64_t rows;
    double *sample; /* (MBR_DRIFT_BASE_SAMPLE, col_count) */
    mbr_reservoir reservoir;
    double *pairs;  /* (FIT_PAIRS, 2): score, label */
    mbr_reservoir pair_reservoir;
};

static mbr_status read_fit_options(mbr_drift_fit_options *o, const mbr_drift_fit_options *from, mbr_error *err)
{
    memset(o, 0, sizeof *o);
    if (!from || from->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_drift_fit_options.size is not set, or there are no options");
    memcpy(o, from, mbr_min_size(from->size, sizeof *o));
    o->bins = o->bins ? o->bins : 64;
    o->categories = o->categories ? o->categories : 64;
    o->whole = o->whole ? o->whole : 2048;
    o->threshold = o->threshold != 0.0 ? o->threshold : 0.5;
    if (o->column_count < 1 || o->column_count > MBR_DRIFT_MAX_COLUMNS || !o->columns)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%d columns; 1 to %d are due", o->column_count, MBR_DRIFT_MAX_COLUMNS);
    if (o->bins < 4 || o->bins > MBR_DRIFT_MAX_BINS)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%d bins; 4 to %d are due", o->bins, MBR_DRIFT_MAX_BINS);
    if (o->categories < 2 || o->categories > MBR_DRIFT_MAX_NAMES)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%d categories; 2 to %d are due", o->categories, MBR_DRIFT_MAX_NAMES);
    if (!isfinite(o->threshold))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "the threshold of the score is not a number");
    return MBR_OK;
}

static mbr_status add_column(mbr_drift_fit *f, int index, mbr_error *err)
{
    const mbr_drift_column *from = &f->options.columns[index];
    fit_col *c = &f->cols[index];
    if (!from->name || !*from->name || !mbr_text_utf8(from->name, strlen(from->name)))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "column %d has no name, or one that is not UTF-8", index + 1);
    for (int i = 0; i < index; i++)
        if (strcmp(f->cols[i].name, from->name) == 0)
            return mbr_fail(err, MBR_ERR_ARGUMENT, "column '%s' is there twice", from->name);
    if ((unsigned)from->type > MBR_DRIFT_CATEGORY || (unsigned)from->role > MBR_DRIFT_LABEL)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "column '%s' has no valid type or role", from->name);
    bool number = from->type == MBR_DRIFT_NUMBER;
    if (from->role == MBR_DRIFT_LABEL && (!number || f->label >= 0))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "column '%s': the label is one column of numbers, 0 or 1", from->name);
    c->name = mbr_arena_strdup(&f->arena, from->name);
    if (!c->name)
        return mbr_no_memory(err, strlen(from->name) + 1);
    c->type = from->type;
    c->role = from->role;
    c->least = (double)INFINITY;
    c->greatest = -(double)INFINITY;
    if (from->role == MBR_DRIFT_LABEL)
        f->label = index;
    else if (from->role == MBR_DRIFT_OUTPUT && number && f->score < 0)
        f->score = index;
    size_t whole = mbr_max_size(FIT_WHOLE, f->options.whole);
    mbr_sketch_init(&c->sketch, f->memory, number ? whole : 0, f->options.seed + (uint64_t)index);
    return number ? MBR_OK : mbr_tally_init(&c->tally, f->memory, FIT_NAMES, err);
}

mbr_status mbr_drift_fit_new(mbr_env *env, const mbr_drift_fit_options *options, mbr_drift_fit **out, mbr_error *err)
{
    mbr_drift_fit_options o;
    *out = NULL;
    MBR_TRY(read_fit_options(&o, options, err));
    mbr_memory *memory = mbr_env_heap(env);
    mbr_drift_fit *f = mbr_calloc(memory, 1, sizeof *f);
    if (!f)
        return mbr_no_memory(err, sizeof *f);
    f->memory = memory;
    f->env = env;
    f->options = o;
    f->score = f->label = -1;
    mbr_arena_init(&f->arena, memory, 0);
    size_t n = (size_t)o.column_count;
    f->cols = mbr_arena_calloc(&f->arena, n, sizeof *f->cols);
    f->sample = mbr_calloc(memory, n, MBR_DRIFT_BASE_SAMPLE * sizeof *f->sample);
    f->pairs = mbr_alloc(memory, (size_t)2 * FIT_PAIRS * sizeof *f->pairs);
    mbr_reservoir_init(&f->reservoir, MBR_DRIFT_BASE_SAMPLE, o.seed + 1);
    mbr_reservoir_init(&f->pair_reservoir, FIT_PAIRS, o.seed + 2);
    mbr_status st = f->cols && f->sample && f->pairs ? MBR_OK : mbr_no_memory(err, n * sizeof *f->cols);
    for (; st == MBR_OK && f->col_count < o.column_count; f->col_count++)
        st = add_column(f, f->col_count, err);
    if (st == MBR_OK && f->col_count == 1 && f->label == 0)
        st = mbr_fail(err, MBR_ERR_ARGUMENT, "there is no column but the label");
    if (st != MBR_OK) {
        mbr_drift_fit_release(&f);
        return st;
    }
    f->options.columns = NULL;
    *out = f;
    return MBR_OK;
}

void mbr_drift_fit_release(mbr_drift_fit **fit)
{
    if (!fit || !*fit)
        return;
    mbr_drift_fit *f = *fit;
    *fit = NULL;
    for (int i = 0; f->cols && i < f->options.column_count; i++) {
        if (f->cols[i].sketch.memory)
            mbr_sketch_destroy(&f->cols[i].sketch);
        mbr_tally_destroy(&f->cols[i].tally);
    }
    mbr_free(f->memory, f->sample);
    mbr_free(f->memory, f->pairs);
    mbr_arena_destroy(&f->arena);
    mbr_free(f->memory, f);
}

/* ---- taking rows ---- */

static mbr_status take_numbers(fit_col *c, const mbr_drift_cells *cells, size_t first, size_t n, mbr_error *err)
{
    double x[MBR_DRIFT_BLOCK] = { 0.0 };
    size_t stride = cells->stride ? cells->stride : 1;
    for (size_t i = 0; i < n; i++)
        x[i] = cells->numbers[(first + i) * stride];
    MBR_TRY(mbr_sketch_add(&c->sketch, x, n, err));
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            c->missing += isnan(x[i]) != 0;
            c->infinite += isnan(x[i]) == 0;
            continue;
        }
        double d = x[i] - c->mean;
        c->mean += d / (double)++c->values;
        c->squares += d * (x[i] - c->mean);
        c->least = x[i] < c->least ? x[i] : c->least;
        c->greatest = x[i] > c->greatest ? x[i] : c->greatest;
    }
    return MBR_OK;
}

static mbr_status take_texts(fit_col *c, const mbr_drift_cells *cells, size_t first, size_t n, mbr_error *err)
{
    char room[MBR_DRIFT_TEXT];
    size_t stride = cells->stride ? cells->stride : 1;
    for (size_t i = 0; i < n; i++) {
        const mbr_string *text = &cells->texts[(first + i) * stride];
        mbr_string counted;
        if (!text->data)
            c->missing++;
        else if (!mbr_drift_text(text->data, text->size, room, &counted))
            c->invalid++;
        else
            MBR_TRY(mbr_tally_add(&c->tally, counted.data, counted.size, 1, err));
    }
    return MBR_OK;
}

static double number_at(const mbr_drift_cells *cells, size_t row)
{
    return cells->numbers[row * (cells->stride ? cells->stride : 1)];
}

mbr_status mbr_drift_fit_rows(mbr_drift_fit *f, const mbr_drift_cells *cells, size_t rows, mbr_error *err)
{
    for (int i = 0; i < f->col_count; i++)
        if (rows && (f->cols[i].type == MBR_DRIFT_NUMBER ? !cells[i].numbers : !cells[i].texts))
            return mbr_fail(err, MBR_ERR_ARGUMENT, "column '%s' has no %s", f->cols[i].name,
                            f->cols[i].type == MBR_DRIFT_NUMBER ? "numbers" : "texts");
    for (size_t first = 0; first < rows; first += MBR_DRIFT_BLOCK) {
        size_t n = mbr_min_size(rows - first, MBR_DRIFT_BLOCK);
        for (int i = 0; i < f->col_count; i++)
            MBR_TRY(f->cols[i].type == MBR_DRIFT_NUMBER ? take_numbers(&f->cols[i], &cells[i], first, n, err)
                                                        : take_texts(&f->cols[i], &cells[i], first, n, err));
        for (size_t r = first; r < first + n; r++) {
            size_t at = mbr_reservoir_next(&f->reservoir);
            for (int i = 0; at != SIZE_MAX && i < f->col_count; i++)
                f->sample[at * (size_t)f->col_count + (size_t)i] =
                    f->cols[i].type == MBR_DRIFT_NUMBER ? number_at(&cells[i], r) : 0.0;
            if (f->score < 0 || f->label < 0)
                continue;
            double score = number_at(&cells[f->score], r), label = number_at(&cells[f->label], r);
            if (!isfinite(score) || isnan(label))
                continue;
            if (label != 0.0 && label != 1.0)
                return mbr_fail(err, MBR_ERR_INPUT, "label %g of row %llu is not 0 or 1", label,
                                (unsigned long long)(f->rows + (r - first) + 1));
            at = mbr_reservoir_next(&f->pair_reservoir);
            if (at != SIZE_MAX) {
                f->pairs[2 * at] = score;
                f->pairs[2 * at + 1] = label;
            }
        }
        f->rows += n;
    }
    return MBR_OK;
}

/* ---- the baseline ---- */

/* The value below which a share of the sample lies. */
static double quantile(const mbr_sample *s, double share)
{
    double at = 0.0;
    for (size_t i = 0; i < s->size; i++) {
        at += s->weights[i];
        if (at >= share * s->total)
            return s->values[i];
    }
    return s->values[s->size - 1];
}

/* Where the bins lie: the middle 99 % of the values, on the axis that shows them better. */
static void choose_axis(mbr_base_col *c, const mbr_sample *s, int bins)
{
    double lo = 0.0, hi = 1.0;
    c->bins = bins;
    if (s->size) {
        lo = quantile(s, 0.005);
        hi = quantile(s, 0.995);
        double middle = quantile(s, 0.5), low = quantile(s, 0.05);
        c->logarithmic = low > 0.0 && lo > 0.0 && hi / middle > LOG_RATIO;
        lo = mbr_histogram_key(c->logarithmic, lo);
        hi = mbr_histogram_key(c->logarithmic, hi);
    }
    double least = fabs(lo) * 1e-9 + 1e-300;
    if (!(hi - lo > least)) {
        double room = fabs(lo) > 1e-6 ? fabs(lo) * 0.5 : 0.5;
        lo -= room;
        hi += room;
    }
    c->lo = lo;
    c->scale = bins / (hi - lo);
    if (!(c->scale > 0.0) || !isfinite(c->scale) || !isfinite(c->lo)) { /* a range that has no width in doubles */
        c->lo = -0x1p1000;
        c->scale = bins * 0x1p-1001;
    }
}

static mbr_status write_number(mbr_drift_fit *f, fit_col *from, mbr_out *out, mbr_error *err)
{
    mbr_base_col c = { .rows = f->rows };
    size_t n = mbr_sketch_size(&from->sketch), counts = (size_t)f->options.bins + 3;
    double *items = mbr_alloc(f->memory, (2 * n + f->options.whole + 1) * sizeof *items);
    uint64_t *tables = mbr_calloc(f->memory, MBR_HISTOGRAM_TABLES * counts, sizeof *tables);
    mbr_status st = items && tables ? mbr_sketch_items(&from->sketch, items, items + n, err)
                                    : mbr_no_memory(err, 2 * n * sizeof *items);
    if (st != MBR_OK)
        goto done;
    double *weights = items + n, *kept = items + 2 * n;
    mbr_sample s = { items, weights, n, 1.0, (double)from->sketch.count };
    choose_axis(&c, &s, f->options.bins);
    mbr_histogram_args a = { .logarithmic = c.logarithmic, .bins = c.bins, .lo = c.lo, .scale = c.scale,
                             .least = -(double)INFINITY, .greatest = (double)INFINITY, .counts = tables };
    /* Items of one weight at a time, so that the kernel's own rounding puts them into bins. */
    for (size_t i = 0; i < n; i++) {
        size_t end = i + 1;
        a.x = items + i;
        if (weights[i] == 1.0) {
            while (end < n && weights[end] == 1.0)
                end++;
            a.n = end - i;
            mbr_histogram_best()(&a);
            i = end - 1;
            continue;
        }
        double at = (mbr_histogram_key(c.logarithmic, items[i]) - c.lo) * c.scale + 1.0;
        tables[at < 1.0 ? 0 : at >= c.bins + 1 ? c.bins + 1 : (int)at] += (uint64_t)weights[i];
    }
    bool exact = mbr_sketch_is_whole(&from->sketch);
    size_t keep = exact && n <= f->options.whole ? n : mbr_min_size(f->options.whole, n);
    bool whole = exact && keep == n;
    /* The middles of equal parts. */
    double reached = 0.0;
    for (size_t i = 0, k = 0; k < keep; k++) {
        double rank = ((double)k + 0.5) / (double)keep * s.total;
        while (i + 1 < n && reached + weights[i] < rank)
            reached += weights[i++];
        kept[k] = whole ? items[k] : items[i];
    }
    mbr_out_u64(out, from->infinite);
    double nothing = (double)NAN, count = (double)from->values;
    mbr_out_f64(out, from->values ? from->least : nothing);
    mbr_out_f64(out, from->values ? from->greatest : nothing);
    double mean = from->mean, deviation = sqrt(from->squares / count);
    if (!isfinite(mean) || !isfinite(deviation)) { /* beyond doubles: something between, and no less than it can be */
        mean = from->least / 2.0 + from->greatest / 2.0;
        deviation = from->greatest / 2.0 - from->least / 2.0;
    }
    mbr_out_f64(out, from->values ? mean : nothing);
    mbr_out_f64(out, from->values ? deviation : nothing);
    mbr_out_u64(out, c.logarithmic);
    mbr_out_u64(out, (uint64_t)c.bins);
    mbr_out_f64(out, c.lo);
    mbr_out_f64(out, c.scale);
    for (size_t i = 0; i < counts; i++) {
        uint64_t x = tables[i] + tables[counts + i];
        /* Infinities stand in the outer bins; of which sign they were is not known, nor of use. */
        mbr_out_u64(out, i == counts - 1 ? from->missing : i == counts - 2 ? x + from->infinite : x);
    }
    mbr_out_f64(out, whole ? 0.0 : 0.5 / (double)keep + (exact ? 0.0 : MBR_SKETCH_ERROR));
    mbr_out_u64(out, keep);
    mbr_out_f64s(out, kept, keep);
done:
    mbr_free(f->memory, items);
    mbr_free(f->memory, tables);
    return st;
}

static mbr_status write_category(mbr_drift_fit *f, fit_col *from, mbr_out *out, mbr_error *err)
{
    const mbr_tally_slot **slots = mbr_alloc(f->memory, (from->tally.used + 1) * sizeof *slots);
    if (!slots)
        return mbr_no_memory(err, (from->tally.used + 1) * sizeof *slots);
    mbr_tally_sorted(&from->tally, slots);
    size_t n = mbr_min_size(from->tally.used, (size_t)f->options.categories);
    uint64_t named = 0;
    mbr_out_u64(out, n);
    for (size_t i = 0; i < n; i++) {
        mbr_out_text(out, slots[i]->text, slots[i]->size);
        mbr_out_u64(out, slots[i]->count);
        named += slots[i]->count;
    }
    mbr_out_u64(out, from->tally.total - named);
    mbr_out_u64(out, from->invalid);
    mbr_free(f->memory, slots);
    return MBR_OK;
}

static mbr_status write_related(mbr_drift_fit *f, mbr_out *out, mbr_error *err)
{
    int related[MBR_DRIFT_RELATED], place[MBR_DRIFT_RELATED], n = 0;
    for (int i = 0, at = 0; i < f->col_count; i++) {
        if (f->cols[i].role == MBR_DRIFT_LABEL)
            continue;
        if (f->cols[i].type == MBR_DRIFT_NUMBER && n < MBR_DRIFT_RELATED) {
            related[n] = i;
            place[n++] = at;
        }
        at++;
    }
    size_t pairs = n > 1 ? (size_t)n * (size_t)(n - 1) / 2 : 0;
    double *triangle = mbr_alloc(f->memory, (pairs + 1) * sizeof *triangle);
    if (!triangle)
        return mbr_no_memory(err, (pairs + 1) * sizeof *triangle);
    mbr_status st = mbr_drift_correlate(f->memory, f->sample, (size_t)f->col_count, f->reservoir.count, related, n,
                                        triangle, err);
    mbr_out_u64(out, (uint64_t)n);
    for (int i = 0; i < n; i++)
        mbr_out_u64(out, (uint64_t)place[i]);
    mbr_out_f64(out, (double)f->reservoir.count);
    mbr_out_f64s(out, triangle, pairs);
    mbr_free(f->memory, triangle);
    return st;
}

static int by_score(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (x[0] > y[0]) - (x[0] < y[0]);
}

/* Isotonic regression of labels on scores: pools neighbours that fall (PAVA). Gives both ends of each pool as knots. */
static size_t isotonic(const double *pairs, size_t n, double *sums, double *knots, double *chances)
{
    size_t pools = 0, count = 0;
    /* sums: of a pool its first pair, weight and total */
    for (size_t i = 0; i < n;) {
        size_t end = i;
        double total = 0.0;
        for (; end < n && pairs[2 * end] == pairs[2 * i]; end++)
            total += pairs[2 * end + 1];
        double *pool = sums + 3 * pools++;
        pool[0] = (double)i;
        pool[1] = (double)(end - i);
        pool[2] = total;
        while (pools > 1 && pool[2] / pool[1] <= pool[-1] / pool[-2]) {
            pool[-2] += pool[1];
            pool[-1] += pool[2];
            pool -= 3;
            pools--;
        }
        i = end;
    }
    for (size_t p = 0; p < pools; p++) {
        const double *pool = sums + 3 * p;
        size_t first = (size_t)pool[0], last = first + (size_t)pool[1] - 1;
        knots[count] = pairs[2 * first];
        chances[count++] = pool[2] / pool[1];
        if (pairs[2 * last] > pairs[2 * first]) {
            knots[count] = pairs[2 * last];
            chances[count++] = pool[2] / pool[1];
        }
    }
    return count;
}

static double curve_area(const double *pairs, size_t n)
{
    double yes = 0.0, no = 0.0, area = 0.0;
    for (size_t i = 0; i < n;) { /* from the lowest score on: each yes beats the no below it */
        double y = 0.0, z = 0.0;
        double score = pairs[2 * i];
        for (; i < n && pairs[2 * i] == score; i++) {
            y += pairs[2 * i + 1];
            z += 1.0 - pairs[2 * i + 1];
        }
        area += y * (no + z / 2.0);
        yes += y;
        no += z;
    }
    return yes > 0.0 && no > 0.0 ? area / (yes * no) : (double)NAN;
}

static mbr_status write_calibration(mbr_drift_fit *f, mbr_out *out, mbr_error *err)
{
    size_t n = f->pair_reservoir.count;
    if (n < 10) {
        mbr_out_u64(out, 0);
        return MBR_OK;
    }
    double *room = mbr_alloc(f->memory, 7 * n * sizeof *room);
    if (!room)
        return mbr_no_memory(err, 7 * n * sizeof *room);
    double *pairs = f->pairs, *knots = room + 3 * n, *chances = room + 5 * n;
    qsort(pairs, n, 2 * sizeof *pairs, by_score);
    size_t count = isotonic(pairs, n, room, knots, chances);
    if (count > MBR_DRIFT_KNOTS) { /* every so many of them: both still rise */
        for (size_t i = 0; i < MBR_DRIFT_KNOTS; i++) {
            size_t from = i * (count - 1) / (MBR_DRIFT_KNOTS - 1);
            knots[i] = knots[from];
            chances[i] = chances[from];
        }
        count = MBR_DRIFT_KNOTS;
    }
    mbr_calibration q = { .count = count, .score = knots, .chance = chances };
    double right = 0.0, sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < n; i++) {
        bool yes = pairs[2 * i] >= f->options.threshold;
        double chance = mbr_calibrate(&q, pairs[2 * i]), sure = yes ? chance : 1.0 - chance;
        right += yes == (pairs[2 * i + 1] == 1.0);
        sum += sure;
        squares += sure * sure;
    }
    double mean = sum / (double)n, variance = squares / (double)n - mean * mean;
    mbr_out_u64(out, count);
    mbr_out_f64s(out, knots, count);
    mbr_out_f64s(out, chances, count);
    mbr_out_f64s(out, (const double[]){ (double)n, right / (double)n, curve_area(pairs, n), mean,
                                        variance > 0.0 ? variance : 0.0 }, 5);
    mbr_free(f->memory, room);
    return MBR_OK;
}

static mbr_status write_baseline(mbr_drift_fit *f, mbr_out *out, mbr_error *err)
{
    int places = f->col_count - (f->label >= 0);
    int score = f->score < 0 ? 0 : f->score + 1 - (f->label >= 0 && f->label < f->score);
    mbr_out_u64(out, (uint64_t)places);
    mbr_out_u64(out, f->rows);
    mbr_out_f64(out, f->options.threshold);
    mbr_out_u64(out, (uint64_t)score);
    for (int i = 0; i < f->col_count; i++) {
        fit_col *c = &f->cols[i];
        if (c->role == MBR_DRIFT_LABEL)
            continue;
        mbr_out_text(out, c->name, strlen(c->name));
        mbr_out_u64(out, c->type);
        mbr_out_u64(out, c->role);
        mbr_out_u64(out, f->rows);
        mbr_out_u64(out, c->missing);
        MBR_TRY(c->type == MBR_DRIFT_NUMBER ? write_number(f, c, out, err) : write_category(f, c, out, err));
    }
    MBR_TRY(write_related(f, out, err));
    MBR_TRY(write_calibration(f, out, err));
    return mbr_out_end(out, NULL, err);
}

mbr_status mbr_drift_fit_finish(mbr_drift_fit *f, mbr_drift_baseline **out, mbr_error *err)
{
    *out = NULL;
    if (f->rows < 2)
        return mbr_fail(err, MBR_ERR_INPUT, "a baseline needs rows, and there %s; look at the file and its format",
                        f->rows ? "is only one" : "are none");
    mbr_out bytes = { 0 };
    mbr_out_begin(&bytes, f->memory, MBR_DRIFT_KIND_BASELINE);
    mbr_status st = write_baseline(f, &bytes, err);
    if (st == MBR_OK)
        st = mbr_drift_baseline_open_memory(f->env, bytes.data, bytes.used, "the new baseline", out, err);
    mbr_out_free(&bytes);
    return st;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The open window of a monitor: rows come into a block, a full block is counted column by column. */
#include "runtime/drift/drift_impl.h"

#include "base/checked.h"
#include "runtime/rows/text.h"

#include <string.h>

#define STRANGE_SLOTS 256 /* of texts that the baseline does not name */

/* ---- windows ---- */

mbr_status mbr_window_init(mbr_window *w, mbr_memory *memory, const mbr_drift_baseline *b, uint64_t seed,
                           mbr_error *err)
{
    size_t n = (size_t)b->col_count;
    memset(w, 0, sizeof *w);
    w->memory = memory;
    w->cols = mbr_calloc(memory, n, sizeof *w->cols);
    w->sample = mbr_calloc(memory, n, MBR_DRIFT_SAMPLE * sizeof *w->sample);
    if (!w->cols || !w->sample)
        return mbr_no_memory(err, n * MBR_DRIFT_SAMPLE * sizeof *w->sample);
    for (size_t i = 0; i < n; i++) {
        const mbr_base_col *base = &b->cols[i];
        mbr_live_col *c = &w->cols[i];
        bool number = base->type == MBR_DRIFT_NUMBER;
        c->count_count = number ? MBR_HISTOGRAM_TABLES * (size_t)(base->bins + 3) : base->name_count + 2;
        c->counts = mbr_calloc(memory, c->count_count, sizeof *c->counts);
        if (!c->counts)
            return mbr_no_memory(err, c->count_count * sizeof *c->counts);
        if (!number)
            MBR_TRY(mbr_tally_init(&c->strange, memory, STRANGE_SLOTS, err));
    }
    mbr_reservoir_init(&w->reservoir, MBR_DRIFT_SAMPLE, seed);
    mbr_window_clear(w, b);
    return MBR_OK;
}

void mbr_window_destroy(mbr_window *w, const mbr_drift_baseline *b)
{
    for (int i = 0; w->cols && i < b->col_count; i++) {
        mbr_free(w->memory, w->cols[i].counts);
        mbr_tally_destroy(&w->cols[i].strange);
    }
    if (w->memory) {
        mbr_free(w->memory, w->cols);
        mbr_free(w->memory, w->sample);
    }
    memset(w, 0, sizeof *w);
}

void mbr_window_clear(mbr_window *w, const mbr_drift_baseline *b)
{
    w->rows = 0;
    w->begin = w->end = (double)NAN;
    for (int i = 0; i < b->col_count; i++) {
        mbr_live_col *c = &w->cols[i];
        mbr_live_col empty = { .smallest = (double)INFINITY, .largest = -(double)INFINITY, .counts = c->counts,
                               .count_count = c->count_count };
        if (c->strange.slots)
            mbr_tally_clear(&c->strange);
        empty.strange = c->strange;
        *c = empty;
        memset(c->counts, 0, c->count_count * sizeof *c->counts);
    }
    mbr_reservoir_init(&w->reservoir, MBR_DRIFT_SAMPLE, mbr_random_bits(&w->reservoir.random));
    memset(&w->quality, 0, sizeof w->quality);
}

uint64_t mbr_live_count(const mbr_live_col *c, const mbr_base_col *base, size_t i)
{
    uint64_t n = c->counts[i];
    if (base->type == MBR_DRIFT_NUMBER)
        for (size_t t = 1; t < MBR_HISTOGRAM_TABLES; t++)
            n += c->counts[t * (size_t)(base->bins + 3) + i];
    return n;
}

/* ---- a full block ---- */

static void count_quality(mbr_live_quality *q, const mbr_drift_baseline *b, const double *score, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(score[i]))
            continue;
        double chance = mbr_calibrate(&b->calibration, score[i]);
        bool yes = score[i] >= b->threshold;
        double sure = yes ? chance : 1.0 - chance;
        q->rows++;
        *(yes ? &q->tp : &q->fn) += chance;
        *(yes ? &q->fp : &q->tn) += 1.0 - chance;
        q->confidence += sure;
        q->confidence_squares += sure * sure;
        int bin = (int)(chance * (MBR_DRIFT_SCORE_BINS - 1) + 0.5);
        q->yes[bin] += chance;
        q->no[bin] += 1.0 - chance;
    }
}

static void count_numbers(mbr_drift_monitor *m, int index)
{
    const mbr_base_col *base = &m->baseline->cols[index];
    mbr_live_col *c = &m->open.cols[index];
    mbr_histogram_args a = { .x = m->block + (size_t)index * MBR_DRIFT_STRIDE, .n = m->fill,
                             .logarithmic = base->logarithmic, .bins = base->bins, .lo = base->lo,
                             .scale = base->scale, .least = base->least, .greatest = base->greatest,
                             .shift = base->values ? base->mean : 0.0, .counts = c->counts, .smallest = c->smallest,
                             .largest = c->largest };
    memcpy(a.sum, c->sum, sizeof a.sum);
    memcpy(a.squares, c->squares, sizeof a.squares);
    m->histogram(&a);
    memcpy(c->sum, a.sum, sizeof a.sum);
    memcpy(c->squares, a.squares, sizeof a.squares);
    c->infinite += a.infinite;
    c->below += a.below;
    c->above += a.above;
    c->smallest = a.smallest;
    c->largest = a.largest;
}

mbr_status mbr_drift_flush(mbr_drift_monitor *m, mbr_error *err)
{
    const mbr_drift_baseline *b = m->baseline;
    mbr_window *w = &m->open;
    mbr_status st = MBR_OK;
    size_t n = m->fill, width = (size_t)b->col_count;
    for (int i = 0; i < b->col_count; i++) {
        const double *x = m->block + (size_t)i * MBR_DRIFT_STRIDE;
        mbr_live_col *c = &w->cols[i];
        if (!m->texts[i]) {
            count_numbers(m, i);
            /* Without memory the quantiles lack these values; everything else is complete. */
            mbr_status added = mbr_sketch_add(&m->sketches[i], x, n, err);
            st = st == MBR_OK ? added : st;
            continue;
        }
        for (size_t r = 0; r < n; r++) {
            if (isnan(x[r]))
                c->missing++;
            else
                c->counts[(size_t)x[r]]++;
        }
    }
    if (b->calibration.count)
        count_quality(&w->quality, b, m->block + (size_t)b->score * MBR_DRIFT_STRIDE, n);
    for (size_t r = 0; r < n; r++) {
        size_t at = mbr_reservoir_next(&w->reservoir);
        for (size_t i = 0; at != SIZE_MAX && i < width; i++)
            w->sample[at * width + i] = m->block[i * MBR_DRIFT_STRIDE + r];
    }
    w->rows += n;
    m->fill = 0;
    return st;
}

/* ---- windows of several ---- */

/* Of two samples of a and b rows one of both: places are drawn from either as often as it has rows. */
static void mix_samples(mbr_window *to, const mbr_window *from, size_t width)
{
    mbr_reservoir *r = &to->reservoir;
    size_t mine = r->count, others = from->reservoir.count;
    double a = (double)r->seen, b = (double)from->reservoir.seen;
    uint64_t *random = &r->random;
    if (mine + others <= r->size) {
        if (others)
            memcpy(to->sample + mine * width, from->sample, others * width * sizeof *to->sample);
        r->count = mine + others;
    } else {
        /* As many of theirs as their share of the rows, at least what fills the sample up. */
        size_t theirs = (size_t)((double)r->size * b / (a + b) + mbr_random_unit(random));
        theirs = mbr_min_size(mbr_max_size(theirs, r->size - mine), others);
        size_t from_at = (size_t)(mbr_random_bits(random) % others), at = mine;
        for (size_t i = 0; i < theirs; i++, at++) {
            if (at == r->size)
                at = 0;
            memcpy(to->sample + at * width, from->sample + (from_at + i) % others * width, width * sizeof *to->sample);
        }
        r->count = r->size;
    }
    r->seen += from->reservoir.seen;
    if (r->count == r->size) {
        /* The weight that a reservoir of so many rows has on average; the next row is drawn from there. */
        r->w = (double)r->size / (double)(r->seen + 1);
        r->next = r->seen + (uint64_t)(log(mbr_random_unit(random)) / log1p(-(r->w < 1.0 ? r->w : 0.5)));
    }
}

mbr_status mbr_drift_absorb(mbr_drift_monitor *m, mbr_drift_monitor *from, mbr_error *err)
{
    const mbr_drift_baseline *b = m->baseline;
    mbr_window *to = &m->open, *w = &from->open;
    MBR_TRY(mbr_drift_flush(m, err));
    MBR_TRY(mbr_drift_flush(from, err));
    if (!w->rows)
        return MBR_OK;
    /* What can fail first, each column whole. */
    for (int i = 0; i < b->col_count; i++)
        MBR_TRY(b->cols[i].type == MBR_DRIFT_NUMBER
                    ? mbr_sketch_merge(&m->sketches[i], &from->sketches[i], err)
                    : mbr_tally_merge(&to->cols[i].strange, &w->cols[i].strange, err));
    for (int i = 0; i < b->col_count; i++) {
        mbr_live_col *c = &to->cols[i];
        const mbr_live_col *f = &w->cols[i];
        c->missing += f->missing;
        c->infinite += f->infinite;
        c->below += f->below;
        c->above += f->above;
        for (int k = 0; k < MBR_HISTOGRAM_LANES; k++) {
            c->sum[k] += f->sum[k];
            c->squares[k] += f->squares[k];
        }
        c->smallest = f->smallest < c->smallest ? f->smallest : c->smallest;
        c->largest = f->largest > c->largest ? f->largest : c->largest;
        for (size_t k = 0; k < c->count_count; k++)
            c->counts[k] += f->counts[k];
    }
    mix_samples(to, w, (size_t)b->col_count);
    mbr_live_quality *q = &to->quality;
    const mbr_live_quality *f = &w->quality;
    q->rows += f->rows;
    q->tp += f->tp;
    q->fp += f->fp;
    q->tn += f->tn;
    q->fn += f->fn;
    q->confidence += f->confidence;
    q->confidence_squares += f->confidence_squares;
    for (int i = 0; i < MBR_DRIFT_SCORE_BINS; i++) {
        q->yes[i] += f->yes[i];
        q->no[i] += f->no[i];
    }
    to->rows += w->rows;
    to->begin = w->begin < to->begin || isnan(to->begin) ? w->begin : to->begin;
    to->end = w->end > to->end || isnan(to->end) ? w->end : to->end;
    return MBR_OK;
}

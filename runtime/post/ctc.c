/* SPDX-License-Identifier: BSD-2-Clause */
/* Connectionist temporal classification: frames of symbol probabilities to a sequence. */
#include "base/checked.h"
#include "base/env.h"
#include "runtime/post/post.h"

#include <math.h>
#include <string.h>

size_t mbr_ctc_greedy(const float *frames, size_t count, size_t symbols, size_t blank, uint32_t *out, double *score)
{
    size_t found = 0, before = SIZE_MAX;
    double sum = 0;
    for (size_t t = 0; t < count; t++) {
        const float *f = frames + t * symbols;
        size_t best = SIZE_MAX;
        for (size_t k = 0; k < symbols; k++)
            if (f[k] == f[k] && (best == SIZE_MAX || f[k] > f[best]))
                best = k;
        sum += best == SIZE_MAX ? (double)NAN : (double)f[best];
        if (best != before && best != blank && best != SIZE_MAX)
            out[found++] = (uint32_t)best;
        before = best;
    }
    if (score)
        *score = sum;
    return found;
}

/* ---- beam ---- */

#define NOBODY UINT32_MAX

/* A prefix: its last symbol, the prefix before that. The children of one are a list. */
typedef struct prefix {
    uint32_t parent, symbol, child, sibling;
} prefix;

/* A prefix in the beam: what alignments to it that end in a blank, and in its last symbol, sum up to. */
typedef struct beam {
    uint32_t prefix;
    double blank, symbol; /* logarithms */
} beam;

/* What a prefix becomes in the next frame: itself (symbol NOBODY), or with one symbol more. */
typedef struct next {
    uint32_t beam, symbol;
    double blank, ends, all;
} next;

typedef struct search {
    mbr_memory *memory;
    prefix *prefixes;
    size_t count, room;
    beam *beams;
    next *best;   /* (width) descending */
    size_t width, beam_count, best_count;
} search;

/* log(exp(a) + exp(b)) */
static double join(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;
    return low == -(double)INFINITY ? high : high + log1p(exp(low - high));
}

static void offer(search *s, uint32_t from, uint32_t symbol, double blank, double ends)
{
    next n = { .beam = from, .symbol = symbol, .blank = blank, .ends = ends, .all = join(blank, ends) };
    if (!(n.all > -(double)INFINITY) || (s->best_count == s->width && !(n.all > s->best[s->width - 1].all)))
        return;
    size_t at = s->best_count < s->width ? s->best_count++ : s->width - 1;
    for (; at && n.all > s->best[at - 1].all; at--)
        s->best[at] = s->best[at - 1];
    s->best[at] = n;
}

/* The prefix with one symbol more; NOBODY: out of memory. */
static uint32_t extend(search *s, uint32_t parent, uint32_t symbol)
{
    for (uint32_t k = s->prefixes[parent].child; k != NOBODY; k = s->prefixes[k].sibling)
        if (s->prefixes[k].symbol == symbol)
            return k;
    if (s->count == s->room) {
        size_t room = 2 * s->room;
        prefix *more = room < NOBODY ? mbr_grow(s->memory, s->prefixes, s->count * sizeof *more, room * sizeof *more)
                                     : NULL;
        if (!more)
            return NOBODY;
        s->prefixes = more;
        s->room = room;
    }
    uint32_t k = (uint32_t)s->count++;
    s->prefixes[k] = (prefix){ .parent = parent, .symbol = symbol, .child = NOBODY,
                               .sibling = s->prefixes[parent].child };
    s->prefixes[parent].child = k;
    return k;
}

/* log probability; NaN counts as impossible */
static double chance(float x)
{
    return x == x ? (double)x : -(double)INFINITY;
}

static mbr_status advance(search *s, const float *f, size_t symbols, size_t blank, mbr_error *err)
{
    s->best_count = 0;
    for (size_t i = 0; i < s->beam_count; i++) {
        const beam *b = &s->beams[i];
        uint32_t last = s->prefixes[b->prefix].symbol;
        double all = join(b->blank, b->symbol);
        double ends = last == NOBODY ? -(double)INFINITY : b->symbol + chance(f[last]);
        /* the same prefix, made of its parent and the last symbol */
        for (size_t k = 0; k < s->beam_count && last != NOBODY; k++)
            if (s->beams[k].prefix == s->prefixes[b->prefix].parent) {
                const beam *parent = &s->beams[k];
                double from = s->prefixes[parent->prefix].symbol == last ? parent->blank
                                                                         : join(parent->blank, parent->symbol);
                ends = join(ends, from + chance(f[last]));
            }
        offer(s, (uint32_t)i, NOBODY, all + chance(f[blank]), ends);
    }
    for (size_t i = 0; i < s->beam_count; i++) {
        const beam *b = &s->beams[i];
        uint32_t last = s->prefixes[b->prefix].symbol;
        double all = join(b->blank, b->symbol);
        for (size_t k = 0; k < symbols; k++) {
            if (k == blank)
                continue;
            double ends = (k == last ? b->blank : all) + chance(f[k]);
            if (s->best_count == s->width && !(ends > s->best[s->width - 1].all))
                continue;
            bool there = false; /* as a beam of its own, done above */
            for (uint32_t c = s->prefixes[b->prefix].child; c != NOBODY && !there; c = s->prefixes[c].sibling)
                for (size_t j = 0; s->prefixes[c].symbol == k && j < s->beam_count; j++)
                    there |= s->beams[j].prefix == c;
            if (!there)
                offer(s, (uint32_t)i, (uint32_t)k, -(double)INFINITY, ends);
        }
    }
    beam *after = s->beams + s->width; /* the other half */
    for (size_t i = 0; i < s->best_count; i++) {
        const next *n = &s->best[i];
        uint32_t p = s->beams[n->beam].prefix;
        if (n->symbol != NOBODY)
            p = extend(s, p, n->symbol);
        if (p == NOBODY)
            return mbr_no_memory(err, s->room * sizeof *s->prefixes);
        after[i] = (beam){ .prefix = p, .blank = n->blank, .symbol = n->ends };
    }
    memcpy(s->beams, after, s->best_count * sizeof *after);
    s->beam_count = s->best_count;
    return MBR_OK;
}

mbr_status mbr_post_beam(mbr_memory *memory, const float *frames, size_t count, size_t symbols, size_t blank,
                         size_t width, uint32_t *out, size_t *found, double *score, mbr_error *err)
{
    search s = { .memory = memory, .width = width, .room = 256, .count = 1, .beam_count = 1 };
    mbr_status st = MBR_OK;
    *found = 0;
    if (blank >= symbols || !width || width > 10000)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a beam of %zu over %zu symbols with blank %zu", width, symbols, blank);
    s.prefixes = mbr_alloc(memory, s.room * sizeof *s.prefixes);
    s.beams = mbr_alloc(memory, 2 * width * sizeof *s.beams);
    s.best = mbr_alloc(memory, width * sizeof *s.best);
    if (!s.prefixes || !s.beams || !s.best)
        MBR_TRY_GOTO(mbr_no_memory(err, width * sizeof *s.beams), end);
    s.prefixes[0] = (prefix){ .parent = NOBODY, .symbol = NOBODY, .child = NOBODY, .sibling = NOBODY };
    s.beams[0] = (beam){ .prefix = 0, .blank = 0, .symbol = -(double)INFINITY };
    for (size_t t = 0; t < count && s.beam_count; t++)
        MBR_TRY_GOTO(advance(&s, frames + t * symbols, symbols, blank, err), end);
    if (score)
        *score = s.beam_count ? join(s.beams[0].blank, s.beams[0].symbol) : (double)NAN;
    if (s.beam_count) {
        size_t n = 0;
        for (uint32_t p = s.beams[0].prefix; p; p = s.prefixes[p].parent)
            n++;
        *found = n;
        for (uint32_t p = s.beams[0].prefix; p; p = s.prefixes[p].parent)
            out[--n] = s.prefixes[p].symbol;
    }
end:
    mbr_free(memory, s.prefixes);
    mbr_free(memory, s.beams);
    mbr_free(memory, s.best);
    return st;
}

mbr_status mbr_ctc_beam(mbr_env *env, const float *frames, size_t count, size_t symbols, size_t blank, size_t width,
                        uint32_t *out, size_t *found, double *score, mbr_error *err)
{
    return mbr_post_beam(mbr_env_heap(env), frames, count, symbols, blank, width, out, found, score, err);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/drift/drift_sketch.h"

#include "base/checked.h"
#include "kernels/histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- sorting ---- */

#define SMALL_SORT 48
#define LEAST_ROOM 32 /* of a level */
#define RADIX 256
#define RADIX_ROUNDS 8

static void sort_few(double *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double v = x[i];
        size_t k = i;
        for (; k > 0 && x[k - 1] > v; k--)
            x[k] = x[k - 1];
        x[k] = v;
    }
}

static inline uint64_t from_rising(uint64_t key)
{
    return key ^ (key >> 63 ? (uint64_t)1 << 63 : ~(uint64_t)0);
}

/* Merges runs of equal length, twice as long each round, from pieces that are sorted by insertion. */
static void sort_some(double *x, double *spare, size_t n)
{
    enum { RUN = 24 };
    for (size_t i = 0; i < n; i += RUN)
        sort_few(x + i, n - i < RUN ? n - i : RUN);
    double *from = x, *to = spare;
    for (size_t run = RUN; run < n; run *= 2) {
        for (size_t i = 0; i < n; i += 2 * run) {
            size_t a = i, middle = mbr_min_size(i + run, n), b = middle, end = mbr_min_size(i + 2 * run, n);
            for (size_t k = i; k < end; k++) {
                bool left = b >= end || (a < middle && from[a] <= from[b]);
                to[k] = left ? from[a] : from[b];
                a += left;
                b += !left;
            }
        }
        double *swap = from;
        from = to;
        to = swap;
    }
    if (from != x)
        memcpy(x, from, n * sizeof *x);
}

uint64_t *mbr_sort_bits(uint64_t *a, uint64_t *b, size_t n, int first)
{
    uint32_t counts[RADIX_ROUNDS][RADIX];
    memset(counts[first], 0, (size_t)(RADIX_ROUNDS - first) * sizeof *counts);
    for (size_t i = 0; i < n; i++)
        for (int r = first; r < RADIX_ROUNDS; r++)
            counts[r][a[i] >> 8 * r & (RADIX - 1)]++;
    for (int r = first; r < RADIX_ROUNDS; r++) {
        uint32_t *c = counts[r], at = 0;
        if (c[a[0] >> 8 * r & (RADIX - 1)] == n)
            continue; /* the same byte everywhere */
        for (size_t d = 0; d < RADIX; d++) {
            uint32_t next = at + c[d];
            c[d] = at;
            at = next;
        }
        for (size_t i = 0; i < n; i++)
            b[c[a[i] >> 8 * r & (RADIX - 1)]++] = a[i];
        uint64_t *swap = a;
        a = b;
        b = swap;
    }
    return a;
}

/* Puts right what is nearly sorted; false where that is too much work. */
static bool sort_nearly(uint64_t *a, size_t n)
{
    size_t moves = 0;
    for (size_t i = 1; i < n; i++) {
        uint64_t v = a[i];
        size_t k = i;
        for (; k > 0 && a[k - 1] > v; k--)
            a[k] = a[k - 1];
        a[k] = v;
        moves += i - k;
        if (moves > 4 * n)
            return false;
    }
    return true;
}

void mbr_sort_doubles(double *x, double *spare, size_t n)
{
    if (n <= SMALL_SORT) {
        sort_few(x, n);
        return;
    }
    if (n < 256) {
        sort_some(x, spare, n);
        return;
    }
    /* Doubles as integers that rise with them. Both arrays are ours, and memcpy is how their type changes. */
    uint64_t bits;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        bits = mbr_rising_bits(bits);
        memcpy(x + i, &bits, sizeof bits);
    }
    uint64_t *a = (uint64_t *)(void *)x, *b = (uint64_t *)(void *)spare;
    /* The upper half (sign, exponent, 20 bits) nearly always decides. */
    uint64_t *sorted = mbr_sort_bits(a, b, n, 4);
    if (!sort_nearly(sorted, n))
        sorted = mbr_sort_bits(sorted, sorted == a ? b : a, n, 0);
    for (size_t i = 0; i < n; i++) {
        bits = from_rising(sorted[i]);
        memcpy(x + i, &bits, sizeof bits);
    }
}

static bool all_equal(const double *x, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (x[i] != x[0])
            return false;
    return true;
}

#define CROWD 24 /* values of a bucket that insertion still sorts quickly */

void mbr_sort_along(const mbr_sort_axis *axis, const double *x, double *out, double *spare, size_t n)
{
    mbr_sort_axis a = *axis;
    double last = (double)a.buckets + 1.0;
    for (size_t i = 0; i < n; i++) {
        double at = (mbr_histogram_key(a.logarithmic, x[i]) - a.lo) * a.scale + 1.0;
        at = at > 0.0 ? at : 0.0;
        a.places[i] = (int32_t)(at < last ? at : last);
    }
    memset(a.counts, 0, ((size_t)a.buckets + 2) * sizeof *a.counts);
    for (size_t i = 0; i < n; i++)
        a.counts[a.places[i]]++;
    uint32_t begin = 0;
    for (int b = 0; b < a.buckets + 2; b++) {
        uint32_t count = a.counts[b];
        a.counts[b] = begin;
        begin += count;
    }
    for (size_t i = 0; i < n; i++)
        out[a.counts[a.places[i]]++] = x[i];
    /* Each bucket's place is now its end. Crowded ones first, so that insertion has short ways everywhere. */
    begin = 0;
    for (int b = 0; b < a.buckets + 2; b++) {
        uint32_t end = a.counts[b];
        if (end - begin > CROWD && !all_equal(out + begin, end - begin))
            mbr_sort_doubles(out + begin, spare, end - begin);
        begin = end;
    }
    sort_few(out, n);
}

/* ---- quantiles ---- */

void mbr_sketch_init(mbr_sketch *s, mbr_memory *memory, size_t whole, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->memory = memory;
    s->whole = whole < UINT32_MAX ? whole : UINT32_MAX;
    s->random = mbr_random_start(seed);
}

void mbr_sketch_destroy(mbr_sketch *s)
{
    for (int h = 0; h < MBR_SKETCH_LEVELS; h++)
        mbr_free(s->memory, s->level[h].items);
    mbr_free(s->memory, s->spare);
    memset(s, 0, sizeof *s);
}

void mbr_sketch_clear(mbr_sketch *s)
{
    for (int h = 0; h < MBR_SKETCH_LEVELS; h++)
        s->level[h].count = 0;
    s->count = s->at = s->pick = 0;
    s->levels = s->bits = 0;
    s->sampled = s->sample;
}

/* Room of levels: k at the top, two thirds of the one above further down. */
void mbr_sketch_set_levels(mbr_sketch *s, int levels)
{
    double room = MBR_SKETCH_K;
    s->levels = levels;
    for (int h = levels - 1; h >= 0; h--) {
        s->room[h] = room > LEAST_ROOM ? (uint32_t)room : LEAST_ROOM;
        room *= 2.0 / 3.0;
    }
}

static mbr_status reserve(mbr_sketch *s, mbr_sketch_level *l, size_t count, mbr_error *err)
{
    if (count <= l->capacity)
        return MBR_OK;
    size_t most = mbr_max_size(s->whole, 2 * MBR_SKETCH_K), bytes;
    size_t capacity = mbr_max_size(count, mbr_min_size(2 * l->capacity, most));
    double *items = NULL;
    if (mbr_mul_size(capacity, sizeof *items, &bytes))
        items = mbr_grow(s->memory, l->items, l->count * sizeof *items, bytes);
    if (!items)
        return mbr_no_memory(err, capacity * sizeof *items);
    l->items = items;
    l->capacity = capacity;
    return MBR_OK;
}

static mbr_status reserve_spare(mbr_sketch *s, size_t count, mbr_error *err)
{
    if (count <= s->spare_count)
        return MBR_OK;
    double *spare = mbr_alloc(s->memory, count * sizeof *spare);
    if (!spare)
        return mbr_no_memory(err, count * sizeof *spare);
    mbr_free(s->memory, s->spare);
    s->spare = spare;
    s->spare_count = count;
    return MBR_OK;
}

/* Merges n sorted items into a sorted level that has room for them. */
static void merge_sorted(mbr_sketch_level *l, const double *x, size_t n)
{
    size_t a = l->count, at = a + n;
    l->count = at;
    while (n > 0) {
        if (a > 0 && l->items[a - 1] > x[n - 1])
            l->items[--at] = l->items[--a];
        else
            l->items[--at] = x[--n];
    }
}

/* Halves a full level into the one above. Nothing has changed when it fails. */
static mbr_status compact(mbr_sketch *s, int h, mbr_error *err)
{
    mbr_sketch_level *l = &s->level[h];
    if (h + 1 == MBR_SKETCH_LEVELS)
        return mbr_fail(err, MBR_ERR_LIMIT, "a sketch has taken too many values");
    size_t pairs = l->count / 2;
    MBR_TRY(reserve(s, &s->level[h + 1], s->level[h + 1].count + pairs, err));
    if (h == 0) {
        MBR_TRY(reserve_spare(s, l->count, err));
        mbr_sort_doubles(l->items, s->spare, l->count);
    }
    /* An odd item stays behind: the least or the largest, whichever the coin says. */
    uint64_t coin = mbr_random_bits(&s->random);
    size_t from = l->count % 2 && coin >> 62 & 1, offset = coin >> 63;
    double stays = l->count % 2 ? l->items[from ? 0 : l->count - 1] : 0.0;
    for (size_t i = 0; i < pairs; i++)
        l->items[i] = l->items[from + 2 * i + offset];
    merge_sorted(&s->level[h + 1], l->items, pairs);
    l->count %= 2;
    if (l->count)
        l->items[0] = stays;
    if (h + 2 > s->levels)
        mbr_sketch_set_levels(s, h + 2);
    size_t room = s->room[h];
    if (l->capacity > 4 * room) { /* shrinking may fail: then it stays large */
        double *items = mbr_alloc(s->memory, 2 * room * sizeof *items);
        if (items) {
            items[0] = stays;
            mbr_free(s->memory, l->items);
            l->items = items;
            l->capacity = 2 * room;
        }
    }
    return MBR_OK;
}

/* Halves full levels from the first on; cascade: only as far as one gives to the next. */
static mbr_status compact_full(mbr_sketch *s, bool cascade, mbr_error *err)
{
    for (int h = 0; h < s->levels; h++) {
        bool full = false;
        while (s->level[h].count >= s->room[h]) {
            MBR_TRY(compact(s, h, err));
            full = true;
        }
        if (cascade && !full)
            break;
    }
    return MBR_OK;
}

/* ---- samples ---- */

/* Of each two neighbours one stays. */
static void thin(mbr_sketch *s)
{
    mbr_sketch_level *l = &s->level[0];
    for (size_t i = 0; i < l->count / 2; i++)
        l->items[i] = l->items[2 * i + (mbr_random_bits(&s->random) >> 63)];
    if (l->count % 2) /* who has no neighbour stays half the time */
        l->items[l->count / 2] = l->items[l->count - 1];
    l->count = l->count / 2 + (l->count % 2 && mbr_random_bits(&s->random) >> 63);
    s->count = l->count;
    s->bits++;
    s->at = s->pick = 0;
}

static mbr_status sample(mbr_sketch *s, const double *x, size_t n, mbr_error *err)
{
    mbr_sketch_level *l = &s->level[0];
    for (size_t i = 0; i < n;) {
        if (s->at == 0) {
            while (l->count >= s->whole && s->bits < 62)
                thin(s);
            s->pick = s->bits ? mbr_random_bits(&s->random) >> (64 - s->bits) : 0;
        }
        size_t group = (size_t)1 << s->bits, take = mbr_min_size(group - s->at, n - i);
        if (s->pick >= s->at && s->pick - s->at < take && isfinite(x[i + (s->pick - s->at)])) {
            MBR_TRY(reserve(s, l, mbr_max_size(l->count + 1, mbr_min_size(s->whole, 64)), err));
            l->items[l->count++] = x[i + (s->pick - s->at)];
            s->count = l->count;
        }
        i += take;
        s->at = s->at + take == group ? 0 : s->at + take;
    }
    return MBR_OK;
}

static mbr_status merge_samples(mbr_sketch *s, const mbr_sketch *from, mbr_error *err)
{
    mbr_sketch_level *l = &s->level[0];
    if (s->levels > 0 || from->levels > 0)
        return mbr_fail(err, MBR_ERR_INPUT, "one of the two windows is a sample, the other a sketch: give both monitors the "
                        "same options");
    /* Theirs are thinned on their way where they stand for fewer values. */
    while (s->bits < from->bits)
        thin(s);
    int fewer = s->bits - from->bits;
    MBR_TRY(reserve(s, l, l->count + from->level[0].count + 1, err));
    for (size_t i = 0; i < from->level[0].count; i++) {
        l->items[l->count] = from->level[0].items[i];
        l->count += fewer == 0 || mbr_random_bits(&s->random) >> (64 - fewer) == 0;
    }
    while (l->count > s->whole && s->bits < 62)
        thin(s);
    s->count = l->count;
    s->sampled = true;
    return MBR_OK;
}

mbr_status mbr_sketch_add(mbr_sketch *s, const double *x, size_t n, mbr_error *err)
{
    if (s->sampled && s->levels == 0 && s->bits > 0)
        return sample(s, x, n, err);
    while (n > 0) {
        mbr_sketch_level *l = &s->level[0];
        if (s->sampled && s->levels == 0 && l->count >= s->whole)
            return sample(s, x, n, err);
        if (s->levels == 0 && l->count == s->whole)
            mbr_sketch_set_levels(s, 1);
        if (s->levels > 0)
            MBR_TRY(compact_full(s, true, err));
        size_t room = s->levels == 0 ? s->whole : s->room[0];
        size_t take = mbr_min_size(room - l->count, n), count = l->count;
        MBR_TRY(reserve(s, l, mbr_max_size(count + take, mbr_min_size(room, 64)), err));
        for (size_t i = 0; i < take; i++) {
            l->items[count] = x[i];
            count += isfinite(x[i]) != 0;
        }
        s->count += count - l->count;
        l->count = count;
        x += take;
        n -= take;
    }
    return MBR_OK;
}

mbr_status mbr_sketch_merge(mbr_sketch *s, const mbr_sketch *from, mbr_error *err)
{
    if (s->bits > 0 || from->bits > 0)
        return merge_samples(s, from, err);
    if (from->levels == 0)
        return mbr_sketch_add(s, from->level[0].items, from->level[0].count, err);
    if (s->levels == 0)
        mbr_sketch_set_levels(s, 1);
    for (int h = 0; h < from->levels; h++) {
        const mbr_sketch_level *f = &from->level[h];
        mbr_sketch_level *l = &s->level[h];
        if (f->count)
            MBR_TRY(reserve(s, l, l->count + f->count, err));
        if (h > 0)
            merge_sorted(l, f->items, f->count);
        else if (f->count)
            memcpy(l->items + l->count, f->items, f->count * sizeof *f->items);
        l->count += h == 0 ? f->count : 0;
        s->count += (uint64_t)f->count << h;
        if (h + 1 > s->levels)
            mbr_sketch_set_levels(s, h + 1);
    }
    return compact_full(s, false, err);
}

size_t mbr_sketch_size(const mbr_sketch *s)
{
    size_t size = s->level[0].count;
    for (int h = 1; h < s->levels; h++)
        size += s->level[h].count;
    return size;
}

mbr_status mbr_sketch_items(mbr_sketch *s, double *values, double *weights, mbr_error *err)
{
    mbr_sketch_level *low = &s->level[0];
    MBR_TRY(reserve_spare(s, mbr_max_size(low->count, 1), err));
    mbr_sort_doubles(low->items, s->spare, low->count);
    size_t n = low->count;
    if (n)
        memcpy(values, low->items, n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        weights[i] = 1.0;
    for (int h = 1; h < s->levels; h++) {
        const mbr_sketch_level *l = &s->level[h];
        size_t a = n, b = l->count, at = a + b;
        n = at;
        while (b > 0) {
            at--;
            if (a > 0 && values[a - 1] > l->items[b - 1]) {
                values[at] = values[--a];
                weights[at] = weights[a];
            } else {
                values[at] = l->items[--b];
                weights[at] = ldexp(1.0, h);
            }
        }
    }
    return MBR_OK;
}

/* ---- frequent texts ---- */

uint64_t mbr_digest(const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t h = 0x9E3779B97F4A7C15u ^ size * 0xC2B2AE3D27D4EB4Fu;
    while (size > 0) {
        /* Little-endian words: each step is a bijection of h and of the word, so no change of one word goes unseen. */
        uint64_t w = 0;
        size_t n = size < 8 ? size : 8;
        if (n == 8)
            w = (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
                (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
        else
            for (size_t i = 0; i < n; i++)
                w |= (uint64_t)p[i] << 8 * i;
        h = (h ^ w) * 0x9FB21C651E98DF25u;
        h ^= h >> 32;
        p += n;
        size -= n;
    }
    h *= 0xD6E8FEB86659FD93u;
    return h ^ h >> 32;
}

mbr_status mbr_tally_init(mbr_tally *t, mbr_memory *memory, size_t slots, mbr_error *err)
{
    *t = (mbr_tally){ .memory = memory, .slot_count = 16 };
    while (t->slot_count < slots)
        t->slot_count *= 2;
    t->slots = mbr_calloc(memory, t->slot_count, sizeof *t->slots);
    return t->slots ? MBR_OK : mbr_no_memory(err, t->slot_count * sizeof *t->slots);
}

void mbr_tally_clear(mbr_tally *t)
{
    for (size_t i = 0; t->used && i < t->slot_count; i++) {
        mbr_free(t->memory, t->slots[i].text);
        t->slots[i] = (mbr_tally_slot){ 0 };
    }
    t->used = 0;
    t->lost = t->total = 0;
}

void mbr_tally_destroy(mbr_tally *t)
{
    if (t->slots)
        mbr_tally_clear(t);
    mbr_free(t->memory, t->slots);
    mbr_free(t->memory, t->spare);
    t->slots = t->spare = NULL;
}

static int by_count(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static size_t find_slot(const mbr_tally *t, uint64_t digest, const char *text, size_t size)
{
    size_t i = digest & (t->slot_count - 1);
    while (t->slots[i].text &&
           (t->slots[i].digest != digest || t->slots[i].size != size || memcmp(t->slots[i].text, text, size) != 0))
        i = (i + 1) & (t->slot_count - 1);
    return i;
}

/* Where most texts came a few times, as they do where they are new, nothing is sorted. */
static mbr_status median_count(const mbr_tally *t, uint64_t *median, mbr_error *err)
{
    enum { FEW = 32 };
    size_t few[FEW] = { 0 }, n = 0, below = 0;
    for (size_t i = 0; i < t->slot_count; i++)
        if (t->slots[i].text && t->slots[i].count < FEW)
            few[t->slots[i].count]++;
    for (uint64_t count = 0; count < FEW; count++) {
        below += few[count];
        if (below > t->used / 2) {
            *median = count;
            return MBR_OK;
        }
    }
    uint64_t *counts = mbr_alloc(t->memory, t->used * sizeof *counts);
    if (!counts)
        return mbr_no_memory(err, t->used * sizeof *counts);
    for (size_t i = 0; i < t->slot_count; i++)
        if (t->slots[i].text)
            counts[n++] = t->slots[i].count;
    qsort(counts, n, sizeof *counts, by_count);
    *median = counts[n / 2];
    mbr_free(t->memory, counts);
    return MBR_OK;
}

/* Takes the median count off all. */
static mbr_status purge(mbr_tally *t, mbr_error *err)
{
    uint64_t median;
    if (!t->spare)
        t->spare = mbr_calloc(t->memory, t->slot_count, sizeof *t->spare);
    if (!t->spare)
        return mbr_no_memory(err, t->slot_count * sizeof *t->spare);
    MBR_TRY(median_count(t, &median, err));
    mbr_tally old = *t;
    t->slots = t->spare;
    t->spare = NULL;
    t->used = 0;
    t->lost += median;
    for (size_t i = 0; i < old.slot_count; i++) {
        mbr_tally_slot *s = &old.slots[i];
        if (!s->text)
            continue;
        if (s->count <= median) {
            mbr_free(t->memory, s->text);
            continue;
        }
        s->count -= median;
        t->slots[find_slot(t, s->digest, s->text, s->size)] = *s;
        t->used++;
    }
    memset(old.slots, 0, t->slot_count * sizeof *old.slots);
    t->spare = old.slots;
    return MBR_OK;
}

mbr_status mbr_tally_add(mbr_tally *t, const char *text, size_t size, uint64_t count, mbr_error *err)
{
    return mbr_tally_add_digest(t, mbr_digest(text, size), text, size, count, err);
}

mbr_status mbr_tally_add_digest(mbr_tally *t, uint64_t digest, const char *text, size_t size, uint64_t count,
                                mbr_error *err)
{
    size_t at = find_slot(t, digest, text, size);
    if (!t->slots[at].text) {
        if (t->used >= t->slot_count / 4 * 3) {
            MBR_TRY(purge(t, err));
            at = find_slot(t, digest, text, size);
        }
        char *copy = mbr_alloc(t->memory, size + 1);
        if (!copy)
            return mbr_no_memory(err, size + 1);
        memcpy(copy, text, size);
        copy[size] = '\0';
        t->slots[at] = (mbr_tally_slot){ .text = copy, .size = (uint32_t)size, .digest = digest };
        t->used++;
    }
    t->slots[at].count += count;
    t->total += count;
    return MBR_OK;
}

mbr_status mbr_tally_merge(mbr_tally *t, const mbr_tally *from, mbr_error *err)
{
    for (size_t i = 0; i < from->slot_count; i++)
        if (from->slots[i].text)
            MBR_TRY(mbr_tally_add(t, from->slots[i].text, from->slots[i].size, from->slots[i].count, err));
    t->lost += from->lost;
    return MBR_OK;
}

static int by_frequency(const void *a, const void *b)
{
    const mbr_tally_slot *x = *(const mbr_tally_slot *const *)a, *y = *(const mbr_tally_slot *const *)b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->text, y->text);
}

void mbr_tally_sorted(const mbr_tally *t, const mbr_tally_slot **out)
{
    size_t n = 0;
    for (size_t i = 0; i < t->slot_count; i++)
        if (t->slots[i].text)
            out[n++] = &t->slots[i];
    qsort(out, n, sizeof *out, by_frequency);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/keyed/aggregate.h"

#include "base/checked.h"
#include "runtime/drift/drift_sketch.h"

#include <math.h>
#include <string.h>

/* What a state begins with. The entries are in the order of their times, and their spans do not overlap. */
typedef struct head {
    uint32_t used;
    uint32_t merged; /* 0: each entry is one row; the arrays of what only merged entries need are then not filled */
} head;

static inline double *doubles(const void *state, size_t at)
{
    return (double *)(void *)((uintptr_t)state + at);
}

static inline uint32_t *counts(const void *state, size_t at)
{
    return (uint32_t *)(void *)((uintptr_t)state + at);
}

static inline uint64_t *words(const void *state, size_t at)
{
    return (uint64_t *)(void *)((uintptr_t)state + at);
}

/* ---- planning ---- */

static void begin(const void *how, void *state)
{
    const mbr_aggregate *a = how;
    memset(state, 0, sizeof(head));
    memset(words(state, a->mark_used), 0, (size_t)a->mark_count * sizeof(uint64_t));
}

static void write_state(const void *how, const void *state, mbr_out *out);
static void read_state(const void *how, void *state, mbr_in *in);

static int window_index(mbr_aggregate *a, double window)
{
    int at = 0;
    while (at < a->window_count && a->windows[at] < window)
        at++;
    if (at < a->window_count && a->windows[at] == window)
        return at;
    if (a->window_count == MBR_AGGREGATE_WINDOWS)
        return -1;
    memmove(a->windows + at + 1, a->windows + at, (size_t)(a->window_count++ - at) * sizeof *a->windows);
    a->windows[at] = window;
    return at;
}

static unsigned entry_of(mbr_aggregate_op op)
{
    switch (op) {
    case MBR_AGGREGATE_STD: return MBR_ENTRY_SQUARES;
    case MBR_AGGREGATE_MIN:
    case MBR_AGGREGATE_MAX: return MBR_ENTRY_RANGE;
    case MBR_AGGREGATE_LAST: return MBR_ENTRY_LAST;
    default: return 0;
    }
}

static size_t place(size_t *bytes, size_t each, int n)
{
    size_t at = *bytes;
    *bytes += (each * (size_t)n + 7) / 8 * 8;
    return at;
}

static void lay_out(mbr_aggregate *a)
{
    size_t b = sizeof(head);
    int n = a->events;
    a->mark_used = place(&b, sizeof(uint64_t), a->mark_count);
    a->newest = place(&b, sizeof(double), n);
    for (int v = 0; v < a->number_count; v++)
        a->sum[v] = place(&b, sizeof(double), n);
    for (int m = 0; m < a->mark_count; m++) {
        a->mark_time[m] = place(&b, sizeof(double), n);
        a->mark_id[m] = place(&b, sizeof(uint64_t), n);
    }
    a->oldest = place(&b, sizeof(double), n); /* from here on: read only where entries were merged */
    a->rows = place(&b, sizeof(uint32_t), n);
    for (int v = 0; v < a->number_count; v++) {
        a->count[v] = place(&b, sizeof(uint32_t), n);
        a->squares[v] = a->entries[v] & MBR_ENTRY_SQUARES ? place(&b, sizeof(double), n) : 0;
        a->low[v] = a->entries[v] & MBR_ENTRY_RANGE ? place(&b, sizeof(double), n) : 0;
        a->high[v] = a->entries[v] & MBR_ENTRY_RANGE ? place(&b, sizeof(double), n) : 0;
        a->last[v] = a->entries[v] & MBR_ENTRY_LAST ? place(&b, sizeof(double), n) : 0;
    }
    a->bytes = b;
}

mbr_status mbr_aggregate_plan(mbr_aggregate *a, const mbr_aggregate_want *wants, int want_count, int number_count,
                              int mark_count, int events, mbr_error *err)
{
    memset(a, 0, sizeof *a);
    if (want_count > MBR_AGGREGATE_MOST || number_count > MBR_AGGREGATE_VALUES || mark_count > MBR_AGGREGATE_VALUES)
        return mbr_fail(err, MBR_ERR_LIMIT, "aggregates of one key: at most %d, of at most %d columns",
                        MBR_AGGREGATE_MOST, MBR_AGGREGATE_VALUES);
    if (events < 4 || events > MBR_AGGREGATE_EVENTS)
        return mbr_fail(err, MBR_ERR_LIMIT, "%d events a key: it must be 4 to %d", events, MBR_AGGREGATE_EVENTS);
    a->events = events;
    a->number_count = number_count;
    a->mark_count = mark_count;
    a->want_count = want_count;
    for (int i = 0; i < want_count; i++) {
        const mbr_aggregate_want *w = &wants[i];
        bool earlier = w->op == MBR_AGGREGATE_LAST || w->op == MBR_AGGREGATE_SINCE_LAST;
        if (w->value < 0 && w->op != MBR_AGGREGATE_COUNT && w->op != MBR_AGGREGATE_RATE &&
            w->op != MBR_AGGREGATE_SINCE_LAST)
            return mbr_fail(err, MBR_ERR_ARGUMENT, "this aggregate needs a value");
        if (!(w->window > 0) || (isinf(w->window) && !earlier))
            return mbr_fail(err, MBR_ERR_LIMIT, "an aggregate needs a window longer than 0 seconds");
        if (!isinf(w->window) && window_index(a, w->window) < 0)
            return mbr_fail(err, MBR_ERR_LIMIT, "aggregates of one key: at most %d different windows",
                            MBR_AGGREGATE_WINDOWS);
    }
    for (int i = 0; i < want_count; i++) {
        const mbr_aggregate_want *w = &wants[i];
        a->wants[i] = *w;
        a->window_of[i] = isinf(w->window) ? -1 : window_index(a, w->window);
        if (w->value >= 0 && w->op != MBR_AGGREGATE_DISTINCT) {
            a->entries[w->value] |= entry_of(w->op);
            for (int k = 0; k < a->window_count; k++)
                if (k == a->window_of[i])
                    a->ops[w->value][k] |= (uint8_t)entry_of(w->op);
        }
    }
    a->reach = a->window_count ? a->windows[a->window_count - 1] : 0;
    lay_out(a);
    uint64_t shape[4 + MBR_AGGREGATE_WINDOWS + MBR_AGGREGATE_VALUES] = {
        (uint64_t)events, (uint64_t)number_count, (uint64_t)mark_count, (uint64_t)a->window_count
    };
    memcpy(shape + 4, a->windows, sizeof a->windows);
    for (int v = 0; v < number_count; v++)
        shape[4 + MBR_AGGREGATE_WINDOWS + v] = a->entries[v];
    a->kind = (mbr_store_kind){ .how = a, .state_bytes = a->bytes, .digest = mbr_digest(shape, sizeof shape),
                                .begin = begin, .write = write_state, .read = read_state };
    return MBR_OK;
}

/* ---- looking back ---- */

/* What lies in one window of one column. */
typedef struct part {
    double count, sum, low, high, squares; /* squares: of distances to the mean */
} part;

/* The entries of the state that a row at t sees: those before `end`, and from begin[w] on those wholly in window w. */
typedef struct view {
    const void *state;
    double t;
    int end, begin[MBR_AGGREGATE_WINDOWS];
    bool merged;
} view;

static void look(const mbr_aggregate *a, const void *state, double t, view *v)
{
    const head *h = state;
    const double *newest = doubles(state, a->newest), *oldest = h->merged ? doubles(state, a->oldest) : newest;
    int at = (int)h->used;
    while (at > 0 && newest[at - 1] > t)
        at--;
    v->state = state;
    v->t = t;
    v->merged = h->merged != 0;
    v->end = at;
    for (int w = 0; w < a->window_count; w++) {
        double from = t - a->windows[w];
        while (at > 0 && oldest[at - 1] > from)
            at--;
        v->begin[w] = at;
    }
}

/* Of the n rows of a merged entry that ends of a window cut: how many lie in (from, t]. */
static double share(const mbr_aggregate *a, const view *v, int k, double from)
{
    double first = doubles(v->state, a->oldest)[k], last = doubles(v->state, a->newest)[k];
    double n = counts(v->state, a->rows)[k], span = last - first;
    if (last <= from || first > v->t)
        return 0;
    if (first > from && last <= v->t)
        return n;
    double inner = n - 2, left = first > from ? first : from, right = last < v->t ? last : v->t;
    double in = nearbyint(inner * ((right - left) / span));
    return in + (first > from) + (last <= v->t);
}

/* The entries that window w cuts: the one before its begin, and the one that holds t. */
static int cut_entries(const mbr_aggregate *a, const view *v, int w, int k[2], double n[2])
{
    int found = 0;
    if (!v->merged)
        return 0;
    double from = v->t - a->windows[w];
    for (int side = 0; side < 2; side++) {
        int at = side ? v->end : v->begin[w] - 1;
        if (at < 0 || at >= (int)((const head *)v->state)->used)
            continue;
        double in = share(a, v, at, from);
        if (in > 0) {
            k[found] = at;
            n[found++] = in;
        }
    }
    return found;
}

static double rows_in(const mbr_aggregate *a, const view *v, int w)
{
    if (!v->merged)
        return v->end - v->begin[w];
    const uint32_t *rows = counts(v->state, a->rows);
    int k[2];
    double sum = 0, n[2];
    for (int i = v->begin[w]; i < v->end; i++)
        sum += rows[i];
    for (int i = cut_entries(a, v, w, k, n); i-- > 0;)
        sum += n[i];
    return sum;
}

static inline void add_range(part *p, double low, double high)
{
    p->low = low < p->low ? low : p->low;
    p->high = high > p->high ? high : p->high;
}

/* Squares about the mean of p, of entries first to end - 1. */
static double squares_about(const mbr_aggregate *a, const view *v, int c, int first, int end, double mean)
{
    const double *x = doubles(v->state, a->sum[c]);
    double squares = 0;
    if (!v->merged) {
        for (int i = first; i < end; i++) {
            double d = x[i] - mean;
            squares += isnan(d) ? 0 : d * d;
        }
        return squares;
    }
    const uint32_t *n = counts(v->state, a->count[c]);
    const double *own = doubles(v->state, a->squares[c]);
    for (int i = first; i < end; i++)
        if (n[i]) {
            double d = x[i] / n[i] - mean;
            squares += own[i] + n[i] * d * d;
        }
    return squares;
}

/* Adds what windows cut out of merged entries. */
static void add_cut(const mbr_aggregate *a, const view *v, int c, int w, part *p)
{
    int k[2];
    double rows[2], in[2], mean[2];
    int cut = cut_entries(a, v, w, k, rows), n = 0;
    for (int i = 0; i < cut; i++) {
        double all = counts(v->state, a->count[c])[k[i]];
        double some = nearbyint(all * rows[i] / counts(v->state, a->rows)[k[i]]);
        if (!(some > 0))
            continue;
        k[n] = k[i];
        in[n] = some;
        mean[n] = doubles(v->state, a->sum[c])[k[i]] / all;
        p->count += some;
        p->sum += mean[n++] * some;
        if (a->low[c])
            add_range(p, doubles(v->state, a->low[c])[k[i]], doubles(v->state, a->high[c])[k[i]]);
    }
    for (int i = 0; i < n && a->squares[c]; i++) {
        double d = mean[i] - p->sum / p->count, part_in = in[i] / counts(v->state, a->count[c])[k[i]];
        p->squares += doubles(v->state, a->squares[c])[k[i]] * part_in + in[i] * d * d;
    }
}

/* All windows of one column in one pass from the newest entry to the oldest. */
static void gather(const mbr_aggregate *a, const view *v, int c, part *parts)
{
    const double *x = doubles(v->state, a->sum[c]);
    bool ranges = v->merged && a->low[c];
    const double *low = ranges ? doubles(v->state, a->low[c]) : x, *high = ranges ? doubles(v->state, a->high[c]) : x;
    const uint32_t *n = v->merged ? counts(v->state, a->count[c]) : NULL;
    part p = { .low = INFINITY, .high = -INFINITY };
    int at = v->end;
    for (int w = 0; w < a->window_count; w++) {
        if (n) {
            for (; at > v->begin[w]; at--)
                if (n[at - 1]) {
                    p.count += n[at - 1];
                    p.sum += x[at - 1];
                    add_range(&p, low[at - 1], high[at - 1]);
                }
        } else {
            for (; at > v->begin[w]; at--) {
                double y = x[at - 1];
                bool there = !isnan(y);
                p.count += there;
                p.sum += there ? y : 0;
                add_range(&p, y, y); /* no comparison holds for NaN */
            }
        }
        parts[w] = p;
        if (v->merged)
            add_cut(a, v, c, w, &parts[w]);
        if (a->ops[c][w] & MBR_ENTRY_SQUARES && parts[w].count > 0)
            parts[w].squares += squares_about(a, v, c, v->begin[w], v->end, parts[w].sum / parts[w].count);
    }
}

/* The same with the row itself. */
static part with_current(part p, double x)
{
    if (isnan(x))
        return p;
    double d = p.count > 0 ? x - p.sum / p.count : 0;
    p.squares += d * d * (p.count / (p.count + 1));
    p.count++;
    p.sum += x;
    add_range(&p, x, x);
    return p;
}

static double of_part(mbr_aggregate_op op, const part *p, double window)
{
    switch (op) {
    case MBR_AGGREGATE_COUNT: return p->count;
    case MBR_AGGREGATE_RATE: return p->count / window;
    case MBR_AGGREGATE_SUM: return p->sum;
    case MBR_AGGREGATE_MEAN: return p->count > 0 ? p->sum / p->count : NAN;
    case MBR_AGGREGATE_MIN: return p->count > 0 ? p->low : NAN;
    case MBR_AGGREGATE_MAX: return p->count > 0 ? p->high : NAN;
    default: return p->count > 1 ? sqrt(p->squares / (p->count - 1)) : NAN;
    }
}

/* The newest value, or row, before the row that looks. */
static double of_last(const mbr_aggregate *a, const view *v, const mbr_aggregate_want *want)
{
    const double *newest = doubles(v->state, a->newest);
    double from = v->t - want->window;
    if (want->value < 0)
        return v->end > 0 && newest[v->end - 1] > from ? v->t - newest[v->end - 1] : NAN;
    const double *x = doubles(v->state, v->merged && a->last[want->value] ? a->last[want->value] : a->sum[want->value]);
    for (int i = v->end; i > 0 && newest[i - 1] > from; i--)
        if (v->merged ? counts(v->state, a->count[want->value])[i - 1] != 0 : !isnan(x[i - 1]))
            return want->op == MBR_AGGREGATE_LAST ? x[i - 1] : v->t - newest[i - 1];
    return NAN;
}

/* How many marks were last seen in the window; `at` is where the row's own mark stands, or -1. */
static double of_marks(const mbr_aggregate *a, const view *v, const mbr_aggregate_want *want, uint64_t own)
{
    const double *seen = doubles(v->state, a->mark_time[want->value]);
    const uint64_t *id = words(v->state, a->mark_id[want->value]);
    int used = (int)words(v->state, a->mark_used)[want->value];
    double from = v->t - want->window, n = 0;
    bool found = own == 0 || !want->current;
    while (used > 0 && seen[used - 1] > v->t)
        used--;
    for (; used > 0 && seen[used - 1] > from; used--, n++)
        found |= id[used - 1] == own;
    return n + !found;
}

/* ---- taking a row in ---- */

/* Calls `doing` for each array of the entries; 8 or 4 bytes an element. */
typedef void (*array_fn)(uint8_t *array, size_t each, int used, int at, int n);

static void for_arrays(const mbr_aggregate *a, void *state, array_fn doing, int at, int n)
{
    const head *h = state;
    int used = (int)h->used;
    uint8_t *base = state;
    doing(base + a->newest, 8, used, at, n);
    for (int c = 0; c < a->number_count; c++)
        doing(base + a->sum[c], 8, used, at, n);
    if (!h->merged)
        return;
    doing(base + a->oldest, 8, used, at, n);
    doing(base + a->rows, 4, used, at, n);
    for (int c = 0; c < a->number_count; c++) {
        const size_t more[] = { a->squares[c], a->low[c], a->high[c], a->last[c] };
        doing(base + a->count[c], 4, used, at, n);
        for (size_t i = 0; i < MBR_COUNT_OF(more); i++)
            if (more[i])
                doing(base + more[i], 8, used, at, n);
    }
}

/* Takes n elements out from `at` on. */
static void close_gap(uint8_t *array, size_t each, int used, int at, int n)
{
    memmove(array + (size_t)at * each, array + (size_t)(at + n) * each, (size_t)(used - at - n) * each);
}

/* Makes room for n at `at`. */
static void open_gap(uint8_t *array, size_t each, int used, int at, int n)
{
    memmove(array + (size_t)(at + n) * each, array + (size_t)at * each, (size_t)(used - at) * each);
}

/* One row as an entry, in the arrays that merged entries need. */
static void put_single(const mbr_aggregate *a, void *state, int k)
{
    doubles(state, a->oldest)[k] = doubles(state, a->newest)[k];
    counts(state, a->rows)[k] = 1;
    for (int c = 0; c < a->number_count; c++) {
        double x = doubles(state, a->sum[c])[k];
        bool there = !isnan(x);
        counts(state, a->count[c])[k] = there;
        x = there ? x : 0;
        doubles(state, a->sum[c])[k] = x;
        if (a->squares[c])
            doubles(state, a->squares[c])[k] = 0;
        if (a->low[c])
            doubles(state, a->low[c])[k] = doubles(state, a->high[c])[k] = x;
        if (a->last[c])
            doubles(state, a->last[c])[k] = x;
    }
}

/* Entry `from` into entry `to`; the newer of them gives the last value. Their times are the caller's. */
static void merge_values(const mbr_aggregate *a, void *state, int to, int from, bool newer)
{
    uint32_t *rows = counts(state, a->rows);
    rows[to] = rows[from] > UINT32_MAX - rows[to] ? UINT32_MAX : rows[to] + rows[from];
    for (int c = 0; c < a->number_count; c++) {
        uint32_t *n = counts(state, a->count[c]);
        double *sum = doubles(state, a->sum[c]);
        if (!n[from])
            continue;
        if (a->squares[c]) {
            double *q = doubles(state, a->squares[c]), x = n[to], y = n[from];
            double d = n[to] ? sum[from] / y - sum[to] / x : 0;
            q[to] += q[from] + d * d * (x * y / (x + y));
        }
        if (a->low[c]) {
            double *low = doubles(state, a->low[c]), *high = doubles(state, a->high[c]);
            low[to] = n[to] && low[to] < low[from] ? low[to] : low[from];
            high[to] = n[to] && high[to] > high[from] ? high[to] : high[from];
        }
        if (a->last[c] && (newer || !n[to]))
            doubles(state, a->last[c])[to] = doubles(state, a->last[c])[from];
        sum[to] += sum[from];
        n[to] = n[from] > UINT32_MAX - n[to] ? UINT32_MAX : n[to] + n[from];
    }
}

/* The pair whose span is the least part of a window that is yet to cut it. The newest entry stays alone. */
static int cheapest_pair(const mbr_aggregate *a, const void *state, double now)
{
    const double *newest = doubles(state, a->newest), *oldest = doubles(state, a->oldest);
    int best = 0, w = a->window_count - 1;
    double least = INFINITY;
    for (int k = 0; k + 2 < (int)((const head *)state)->used; k++) {
        double age = now - newest[k + 1];
        while (w > 0 && a->windows[w - 1] > age)
            w--;
        double harm = (newest[k + 1] - oldest[k]) / (w >= 0 ? a->windows[w] : 1);
        if (harm < least) {
            least = harm;
            best = k;
        }
    }
    return best;
}

static void make_room(const mbr_aggregate *a, void *state, double now)
{
    head *h = state;
    const double *newest = doubles(state, a->newest);
    int gone = 0;
    if (newest[h->used - 1] <= now - a->reach) /* out of its reach are all: its time may be wrong */
        now = newest[h->used - 1];
    while (gone + 1 < (int)h->used && newest[gone] <= now - a->reach)
        gone++;
    if (gone) {
        for_arrays(a, state, close_gap, 0, gone);
        h->used -= (uint32_t)gone;
        return;
    }
    if (!h->merged) {
        h->merged = 1;
        for (int k = 0; k < (int)h->used; k++)
            put_single(a, state, k);
    }
    int k = cheapest_pair(a, state, now);
    merge_values(a, state, k, k + 1, true);
    doubles(state, a->newest)[k] = newest[k + 1];
    for_arrays(a, state, close_gap, k + 1, 1);
    h->used--;
}

static void take_row(const mbr_aggregate *a, void *state, double t, const double *numbers)
{
    head *h = state;
    double *newest = doubles(state, a->newest);
    if ((int)h->used == a->events)
        make_room(a, state, t);
    int at = (int)h->used;
    while (at > 0 && newest[at - 1] > t)
        at--;
    bool inside = h->merged && at < (int)h->used && doubles(state, a->oldest)[at] < t;
    int k = inside ? (int)h->used : at; /* a row inside of a merged entry stands behind the last for a moment */
    if (!inside && at < (int)h->used)
        for_arrays(a, state, open_gap, at, 1);
    newest[k] = t;
    for (int c = 0; c < a->number_count; c++)
        doubles(state, a->sum[c])[k] = numbers[c];
    if (h->merged)
        put_single(a, state, k);
    if (inside)
        merge_values(a, state, at, k, false);
    else
        h->used++;
}

static void take_mark(const mbr_aggregate *a, void *state, int m, double t, uint64_t mark)
{
    double *seen = doubles(state, a->mark_time[m]);
    uint64_t *id = words(state, a->mark_id[m]), *count = &words(state, a->mark_used)[m];
    int used = (int)*count, from = used - 1, to;
    while (from >= 0 && id[from] != mark)
        from--;
    if (from >= 0 && seen[from] >= t)
        return;
    if (from < 0 && used == a->events) {
        if (t < seen[0])
            return;
        from = 0;
    }
    if (from < 0) { /* a new entry, which moves to its place from the end */
        from = used;
        *count = (uint64_t)(used + 1);
        for (to = used; to > 0 && seen[to - 1] > t; to--) {
            seen[to] = seen[to - 1];
            id[to] = id[to - 1];
        }
    } else {
        for (to = from; to + 1 < used && seen[to + 1] <= t; to++) {
            seen[to] = seen[to + 1];
            id[to] = id[to + 1];
        }
    }
    seen[to] = t;
    id[to] = mark;
}

void mbr_aggregate_row(const mbr_aggregate *a, void *state, double t, const double *numbers, const uint64_t *marks,
                       double *out)
{
    part parts[MBR_AGGREGATE_VALUES][MBR_AGGREGATE_WINDOWS];
    view v;
    look(a, state, t, &v);
    for (int c = 0; c < a->number_count; c++)
        gather(a, &v, c, parts[c]);
    for (int i = 0; i < a->want_count; i++) {
        const mbr_aggregate_want *w = &a->wants[i];
        if (w->op == MBR_AGGREGATE_DISTINCT) {
            out[i] = of_marks(a, &v, w, marks[w->value]);
        } else if (w->op == MBR_AGGREGATE_LAST || w->op == MBR_AGGREGATE_SINCE_LAST) {
            out[i] = of_last(a, &v, w);
        } else if (w->value < 0) {
            double n = rows_in(a, &v, a->window_of[i]) + w->current;
            out[i] = w->op == MBR_AGGREGATE_COUNT ? n : n / w->window;
        } else {
            part p = parts[w->value][a->window_of[i]];
            if (w->current)
                p = with_current(p, numbers[w->value]);
            out[i] = of_part(w->op, &p, w->window);
        }
    }
    take_row(a, state, t, numbers);
    for (int m = 0; m < a->mark_count; m++)
        if (marks[m])
            take_mark(a, state, m, t, marks[m]);
}

/* ---- bytes ---- */

static void write_counts(mbr_out *out, const uint32_t *n, size_t used)
{
    for (size_t i = 0; i < used; i++)
        mbr_out_u64(out, n[i]);
}

static void write_state(const void *how, const void *state, mbr_out *out)
{
    const mbr_aggregate *a = how;
    const head *h = state;
    mbr_out_u64(out, h->used);
    mbr_out_u64(out, h->merged);
    mbr_out_f64s(out, doubles(state, a->newest), h->used);
    for (int c = 0; c < a->number_count; c++)
        mbr_out_f64s(out, doubles(state, a->sum[c]), h->used);
    if (h->merged) {
        mbr_out_f64s(out, doubles(state, a->oldest), h->used);
        write_counts(out, counts(state, a->rows), h->used);
    }
    for (int c = 0; c < a->number_count && h->merged; c++) {
        const size_t more[] = { a->squares[c], a->low[c], a->high[c], a->last[c] };
        write_counts(out, counts(state, a->count[c]), h->used);
        for (size_t i = 0; i < MBR_COUNT_OF(more); i++)
            if (more[i])
                mbr_out_f64s(out, doubles(state, more[i]), h->used);
    }
    for (int m = 0; m < a->mark_count; m++) {
        size_t used = (size_t)words(state, a->mark_used)[m];
        mbr_out_u64(out, used);
        mbr_out_f64s(out, doubles(state, a->mark_time[m]), used);
        for (size_t i = 0; i < used; i++)
            mbr_out_u64(out, words(state, a->mark_id[m])[i]);
    }
}

/* Times must be finite and ascending. */
static void read_times(mbr_in *in, double *t, size_t n)
{
    mbr_in_f64s(in, t, n);
    for (size_t i = 0; i < n; i++)
        in->bad |= !isfinite(t[i]) || (i > 0 && t[i] < t[i - 1]);
}

static void read_counts(mbr_in *in, uint32_t *n, size_t used, uint32_t least)
{
    for (size_t i = 0; i < used; i++)
        n[i] = (uint32_t)mbr_in_range(in, least, UINT32_MAX);
}

static void read_merged(const mbr_aggregate *a, void *state, size_t n, mbr_in *in)
{
    const double *newest = doubles(state, a->newest), *oldest = doubles(state, a->oldest);
    uint32_t *rows = counts(state, a->rows);
    read_times(in, doubles(state, a->oldest), n);
    read_counts(in, rows, n, 1);
    for (size_t i = 0; i < n; i++)
        in->bad |= oldest[i] > newest[i] || (rows[i] == 1 && oldest[i] < newest[i]) ||
                   (i > 0 && oldest[i] < newest[i - 1]);
    for (int c = 0; c < a->number_count; c++) {
        const size_t more[] = { a->squares[c], a->low[c], a->high[c], a->last[c] };
        uint32_t *count = counts(state, a->count[c]);
        read_counts(in, count, n, 0);
        for (size_t i = 0; i < n; i++)
            in->bad |= count[i] > rows[i];
        for (size_t i = 0; i < MBR_COUNT_OF(more); i++)
            if (more[i])
                mbr_in_f64s(in, doubles(state, more[i]), n);
    }
}

static void read_state(const void *how, void *state, mbr_in *in)
{
    const mbr_aggregate *a = how;
    head *h = state;
    size_t n = (size_t)mbr_in_range(in, 0, (uint64_t)a->events);
    bool merged = mbr_in_range(in, 0, 1) != 0;
    read_times(in, doubles(state, a->newest), n);
    for (int c = 0; c < a->number_count; c++)
        mbr_in_f64s(in, doubles(state, a->sum[c]), n);
    if (merged)
        read_merged(a, state, n, in);
    for (int m = 0; m < a->mark_count; m++) {
        size_t used = (size_t)mbr_in_range(in, 0, (uint64_t)a->events);
        read_times(in, doubles(state, a->mark_time[m]), used);
        for (size_t i = 0; i < used; i++)
            words(state, a->mark_id[m])[i] = mbr_in_range(in, 1, UINT64_MAX);
        words(state, a->mark_used)[m] = in->bad ? 0 : used;
    }
    h->used = in->bad ? 0 : (uint32_t)n;
    h->merged = merged && !in->bad;
}

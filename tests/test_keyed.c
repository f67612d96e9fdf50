/* SPDX-License-Identifier: BSD-2-Clause */
/* State by key: the store against a plain list, its bytes and files, aggregates against a plain look at all rows. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/keyed/aggregate.h"
#include "runtime/drift/drift_sketch.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static mbr_memory memory;
static mbr_error err;

static void setup(void)
{
    mbr_memory_init(&memory);
    memset(&err, 0, sizeof err);
}

static void teardown(void)
{
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}

/* ---- the store: a state is one number ---- */

static void begin_number(const void *how, void *state)
{
    (void)how;
    *(uint64_t *)state = 0;
}

static void write_number(const void *how, const void *state, mbr_out *out)
{
    (void)how;
    mbr_out_u64(out, *(const uint64_t *)state);
}

static void read_number(const void *how, void *state, mbr_in *in)
{
    (void)how;
    *(uint64_t *)state = mbr_in_u64(in);
}

static const mbr_store_kind numbers = { .state_bytes = 8, .digest = 7, .begin = begin_number, .write = write_number,
                                        .read = read_number };

static void open_store(mbr_store *s, size_t keys)
{
    mbr_store_limits l = { .keys = keys, .key_bytes = 24 };
    ck_assert_msg(mbr_store_open(s, &memory, &numbers, &l, &err) == MBR_OK, "%s", err.text);
}

static uint64_t *take(mbr_store *s, const char *key, double now)
{
    return mbr_store_take(s, key, strlen(key), mbr_store_hash(s, key, strlen(key)), now);
}

static const uint64_t *peek(const mbr_store *s, const char *key)
{
    return mbr_store_peek(s, key, strlen(key), mbr_store_hash(s, key, strlen(key)));
}

START_TEST(store_equals_a_list)
{
    enum { KEYS = 37, NAMES = 120, TURNS = 40000 };
    static struct { int name; uint64_t value; } list[KEYS + 1]; /* the oldest first */
    int n = 0;
    mbr_store s;
    random_seed("store");
    open_store(&s, KEYS);
    size_t allocations = atomic_load(&memory.count);
    for (int turn = 0; turn < TURNS; turn++) {
        char key[24];
        int name = random_below(NAMES), at = 0;
        snprintf(key, sizeof key, "key-%d", name);
        while (at < n && list[at].name != name)
            at++;
        bool forget = random_below(10) == 0;
        if (forget) {
            ck_assert_int_eq(mbr_store_forget(&s, key, strlen(key)), at < n);
            if (at < n)
                memmove(&list[at], &list[at + 1], (size_t)(--n - at) * sizeof list[0]);
            continue;
        }
        uint64_t value = at < n ? list[at].value : 0;
        if (at == n && n == KEYS)
            at = 0;
        if (at < n)
            memmove(&list[at], &list[at + 1], (size_t)(--n - at) * sizeof list[0]);
        uint64_t *state = take(&s, key, NAN);
        ck_assert_uint_eq(*state, value);
        *state = value + (uint64_t)turn + 1;
        list[n].name = name;
        list[n++].value = *state;
        ck_assert_uint_eq(s.used, (size_t)n);
    }
    for (int i = 0; i < n; i++) {
        char key[24];
        snprintf(key, sizeof key, "key-%d", list[i].name);
        ck_assert_ptr_nonnull(peek(&s, key));
        ck_assert_uint_eq(*peek(&s, key), list[i].value);
    }
    ck_assert_uint_eq(atomic_load(&memory.count), allocations);
    ck_assert_uint_gt(s.evicted, 1000);
    mbr_store_close(&s);
}
END_TEST

START_TEST(store_limits)
{
    mbr_store s;
    mbr_store_limits l = { .keys = 1000, .key_bytes = 8, .bytes = 20000 };
    size_t keys;
    size_t bytes = mbr_store_bytes(&numbers, &l, &keys);
    ck_assert_uint_gt(bytes, 10000);
    ck_assert_uint_le(bytes, 20000);
    ck_assert_int_eq(mbr_store_open(&s, &memory, &numbers, &l, &err), MBR_OK);
    ck_assert_uint_eq(s.capacity, keys);
    ck_assert_ptr_null(take(&s, "nine byte", NAN));
    ck_assert_ptr_nonnull(take(&s, "8 bytes!", NAN));
    ck_assert_ptr_nonnull(take(&s, "", NAN));
    mbr_store_close(&s);
    l.bytes = 10;
    ck_assert_int_eq(mbr_store_open(&s, &memory, &numbers, &l, &err), MBR_ERR_LIMIT);
    l = (mbr_store_limits){ .keys = 0 };
    ck_assert_int_eq(mbr_store_open(&s, &memory, &numbers, &l, &err), MBR_ERR_LIMIT);
    l.keys = MBR_STORE_MOST_KEYS + 1;
    ck_assert_int_eq(mbr_store_open(&s, &memory, &numbers, &l, &err), MBR_ERR_LIMIT);
    l.keys = 100;
    for (long fail = 0; fail < 3; fail++) {
        atomic_store(&memory.fail_after, fail);
        ck_assert_int_eq(mbr_store_open(&s, &memory, &numbers, &l, &err), MBR_ERR_NO_MEMORY);
        ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
    }
    atomic_store(&memory.fail_after, -1);
}
END_TEST

START_TEST(store_expiry)
{
    mbr_store s;
    mbr_store_limits l = { .keys = 4, .expiry = 60 };
    ck_assert_int_eq(mbr_store_open(&s, &memory, &numbers, &l, &err), MBR_OK);
    *take(&s, "a", 100) = 5;
    ck_assert_uint_eq(*take(&s, "a", 160), 5);
    ck_assert_uint_eq(*take(&s, "a", 50), 5);   /* a clock that steps back */
    ck_assert_uint_eq(*take(&s, "a", 220), 5);  /* 60 after the latest */
    ck_assert_uint_eq(*take(&s, "a", NAN), 5);
    ck_assert_uint_eq(*take(&s, "a", 280.5), 0);
    ck_assert_uint_eq(s.expired, 1);
    mbr_store_close(&s);
}
END_TEST

/* Bytes of a store of `n` keys "k0" ..., whose values are made of `salt`. */
static void snapshot_of(int n, uint64_t salt, mbr_out *out)
{
    mbr_store s;
    open_store(&s, 64);
    for (int i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        *take(&s, key, i) = salt * 1000003 + (uint64_t)i;
    }
    mbr_snapshot_begin(out, &memory);
    mbr_store_write(&s, out);
    ck_assert_int_eq(mbr_snapshot_end(out, &err), MBR_OK);
    mbr_store_close(&s);
}

static mbr_status restore(mbr_store *s, const uint8_t *data, size_t n)
{
    mbr_in in;
    MBR_TRY(mbr_snapshot_open(&in, data, n, "bytes", &err));
    MBR_TRY(mbr_store_read(s, &in, "bytes", &err));
    return mbr_snapshot_close(&in, "bytes", &err);
}

START_TEST(snapshot_round_trip)
{
    mbr_out out = { 0 }, again = { 0 };
    mbr_store s;
    snapshot_of(40, 3, &out);
    open_store(&s, 64);
    ck_assert_msg(restore(&s, out.data, out.used) == MBR_OK, "%s", err.text);
    ck_assert_uint_eq(s.used, 40);
    ck_assert_uint_eq(*peek(&s, "k39"), 3 * 1000003 + 39);
    mbr_snapshot_begin(&again, &memory);
    mbr_store_write(&s, &again);
    ck_assert_int_eq(mbr_snapshot_end(&again, &err), MBR_OK);
    ck_assert_uint_eq(again.used, out.used);
    ck_assert_int_eq(memcmp(again.data, out.data, out.used), 0);
    mbr_store_close(&s);
    open_store(&s, 10); /* a smaller store: the newest stay */
    ck_assert_int_eq(restore(&s, out.data, out.used), MBR_OK);
    ck_assert_uint_eq(s.used, 10);
    ck_assert_ptr_null(peek(&s, "k29"));
    ck_assert_ptr_nonnull(peek(&s, "k30"));
    s.kind.digest++;
    ck_assert_int_eq(restore(&s, out.data, out.used), MBR_ERR_INPUT);
    ck_assert_uint_eq(s.used, 0);
    mbr_store_close(&s);
    mbr_out_free(&out);
    mbr_out_free(&again);
}
END_TEST

START_TEST(snapshot_hostile)
{
    mbr_out out = { 0 };
    mbr_store s;
    snapshot_of(5, 1, &out);
    open_store(&s, 64);
    uint8_t *copy = mbr_alloc(&memory, out.used + 1);
    ck_assert_ptr_nonnull(copy);
    for (size_t n = 0; n < out.used; n++)
        ck_assert_int_eq(restore(&s, out.data, n), MBR_ERR_FORMAT);
    for (size_t bit = 0; bit < 8 * out.used; bit++) {
        memcpy(copy, out.data, out.used);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(restore(&s, copy, out.used), MBR_ERR_FORMAT);
        ck_assert_uint_eq(s.used, 0);
    }
    /* The checksum fits and the content does not. */
    for (size_t at = 24; at + 8 <= out.used - 8; at += 8) {
        memcpy(copy, out.data, out.used);
        memset(copy + at, 0xff, 8);
        uint64_t digest = mbr_digest(copy, out.used - 8);
        for (int i = 0; i < 8; i++)
            copy[out.used - 8 + (size_t)i] = (uint8_t)(digest >> 8 * i);
        mbr_status st = restore(&s, copy, out.used);
        ck_assert(st == MBR_OK || st == MBR_ERR_FORMAT || st == MBR_ERR_INPUT);
    }
    mbr_free(&memory, copy);
    mbr_store_close(&s);
    mbr_out_free(&out);
}
END_TEST

/* A child writes snapshots until it is killed: what is there is always one of them, complete, never an older one. */
START_TEST(snapshot_survives_kill)
{
    char path[] = "test_keyed.XXXXXX";
    int fd = mkstemp(path);
    uint64_t last = 0;
    ck_assert_int_ge(fd, 0);
    close(fd);
    mbr_store s;
    open_store(&s, 3000);
    for (int round = 0; round < 25; round++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            for (uint64_t version = last + 1;; version++) {
                for (int i = 0; i < 2000; i++) {
                    char key[16];
                    snprintf(key, sizeof key, "k%d", i);
                    *take(&s, key, NAN) = version;
                }
                if (mbr_store_save(&s, path, false, NULL) != MBR_OK)
                    _exit(1);
            }
        }
        usleep((useconds_t)(20000 + round * 731));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        mbr_store_clear(&s);
        mbr_status st = mbr_store_load(&s, path, &err);
        if (last == 0 && st != MBR_OK) /* the empty file of mkstemp: not one was finished */
            continue;
        ck_assert_msg(st == MBR_OK, "%s", err.text);
        ck_assert_uint_eq(s.used, 2000);
        uint64_t version = *peek(&s, "k0");
        ck_assert_uint_ge(version, last);
        for (int i = 0; i < 2000; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%d", i);
            ck_assert_uint_eq(*peek(&s, key), version);
        }
        last = version;
    }
    ck_assert_uint_gt(last, 0);
    char temporary[64];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    unlink(temporary);
    unlink(path);
    ck_assert_int_eq(mbr_store_load(&s, path, &err), MBR_ERR_IO);
    ck_assert_int_eq(mbr_store_save(&s, "no-such-folder/x", false, &err), MBR_ERR_IO);
    mbr_store_close(&s);
}
END_TEST

/* ---- aggregates against a look at all rows ---- */

enum { MOST = 400 };

typedef struct past {
    double t[MOST], x[MOST][2];
    uint64_t mark[MOST];
    int n;
} past;

static double expected(const past *p, const mbr_aggregate_want *w, double t, const double *x, uint64_t mark)
{
    double count = 0, sum = 0, low = INFINITY, high = -INFINITY, squares = 0, mean, last = NAN, since = NAN;
    double newest = -INFINITY;
    bool numbers_of = w->op != MBR_AGGREGATE_DISTINCT && w->value >= 0;
    int distinct = 0;
    for (int pass = 0; pass < 2; pass++) {
        mean = count > 0 ? sum / count : 0;
        for (int i = 0; i <= p->n; i++) {
            bool own = i == p->n;
            double at = own ? t : p->t[i], y = numbers_of ? (own ? x[w->value] : p->x[i][w->value]) : 0;
            if (!(at > t - w->window && at <= t) || isnan(y) || (own && !w->current && pass >= 0))
                continue;
            if (pass) {
                squares += (y - mean) * (y - mean);
                continue;
            }
            count++;
            sum += y;
            low = fmin(low, y);
            high = fmax(high, y);
            if (!own && at >= newest) {
                newest = at;
                last = y;
                since = t - at;
            }
        }
    }
    for (int i = 0; i < p->n + w->current && w->op == MBR_AGGREGATE_DISTINCT; i++) {
        bool own = i == p->n;
        uint64_t m = own ? mark : p->mark[i];
        double at = own ? t : p->t[i];
        bool fresh = m && at > t - w->window && at <= t;
        for (int k = 0; k < i; k++)
            fresh = fresh && !(p->mark[k] == m && p->t[k] > t - w->window && p->t[k] <= t);
        distinct += fresh;
    }
    switch (w->op) {
    case MBR_AGGREGATE_COUNT: return count;
    case MBR_AGGREGATE_RATE: return count / w->window;
    case MBR_AGGREGATE_SUM: return sum;
    case MBR_AGGREGATE_MEAN: return count > 0 ? sum / count : NAN;
    case MBR_AGGREGATE_MIN: return count > 0 ? low : NAN;
    case MBR_AGGREGATE_MAX: return count > 0 ? high : NAN;
    case MBR_AGGREGATE_STD: return count > 1 ? sqrt(squares / (count - 1)) : NAN;
    case MBR_AGGREGATE_DISTINCT: return distinct;
    case MBR_AGGREGATE_LAST: return last;
    default: return since;
    }
}

static bool near(double a, double b, double tolerance)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= tolerance * (1 + fabs(b));
}

static int draw_wants(mbr_aggregate_want *wants, int n)
{
    static const double windows[] = { 10, 60, 300, 1000 };
    for (int i = 0; i < n; i++) {
        mbr_aggregate_op op = (mbr_aggregate_op)random_below(MBR_AGGREGATE_RATE + 1);
        bool none = op == MBR_AGGREGATE_COUNT || op == MBR_AGGREGATE_SINCE_LAST || op == MBR_AGGREGATE_RATE;
        int value = op == MBR_AGGREGATE_DISTINCT ? 0 : none ? random_below(3) - 1 : random_below(2);
        wants[i] = (mbr_aggregate_want){ op, value, windows[random_below(4)], random_below(2) };
    }
    return n;
}

typedef struct stream {
    double clock, x[2];
    uint64_t mark;
} stream;

/* Times in steps, equal ones, now and then far back or ahead. late: 0 for ascending times. */
static double next_row(stream *s, int late)
{
    static const double steps[] = { 0, 0.25, 1, 7, 40, 500 };
    s->clock += steps[random_below(6)];
    s->x[0] = random_below(7) ? 1e6 + (double)random_real() : NAN;
    s->x[1] = random_below(3) ? (double)random_real() * 100 : NAN;
    s->mark = (uint64_t)random_below(9);
    int kind = late ? random_below(12) : 99;
    return kind == 0 ? s->clock - random_below(1200) : kind == 1 ? s->clock + 1e9 : kind == 2 ? -1e9 : s->clock;
}

static void check_exact(int late, bool bytes)
{
    static mbr_aggregate a, other;
    static past p;
    for (int round = 0; round < 60; round++) {
        mbr_aggregate_want wants[12];
        int n = draw_wants(wants, 1 + random_below(12));
        double out[12];
        stream s = { .clock = 1.7e9 };
        p.n = 0;
        ck_assert_msg(mbr_aggregate_plan(&a, wants, n, 2, 1, MOST, &err) == MBR_OK, "%s", err.text);
        ck_assert_int_eq(mbr_aggregate_plan(&other, wants, n, 2, 1, MOST, &err), MBR_OK);
        void *state = mbr_alloc(&memory, a.bytes);
        ck_assert_ptr_nonnull(state);
        a.kind.begin(&a, state);
        for (int row = 0; row < 250; row++) {
            double t = next_row(&s, late);
            mbr_aggregate_row(&a, state, t, s.x, &s.mark, out);
            for (int i = 0; i < n; i++) {
                double want = expected(&p, &wants[i], t, s.x, s.mark);
                if (late && wants[i].op == MBR_AGGREGATE_DISTINCT)
                    ck_assert_msg(out[i] <= want, "distinct %g, at most %g", out[i], want);
                else
                    ck_assert_msg(near(out[i], want, 1e-9), "round %d row %d: op %d of %d in %g: %.17g, expected %.17g",
                                  round, row, (int)wants[i].op, wants[i].value, wants[i].window, out[i], want);
            }
            p.t[p.n] = t;
            p.mark[p.n] = s.mark;
            memcpy(p.x[p.n++], s.x, sizeof s.x);
            if (bytes && row % 50 == 49) { /* through bytes and back */
                mbr_out written = { .memory = &memory };
                a.kind.write(&a, state, &written);
                memset(state, 0xa5, a.bytes);
                other.kind.begin(&other, state);
                mbr_in in = { .data = written.data, .left = written.used };
                other.kind.read(&other, state, &in);
                ck_assert(!in.bad && in.left == 0);
                mbr_out_free(&written);
            }
        }
        mbr_free(&memory, state);
    }
}

START_TEST(aggregates_exact)
{
    random_seed("exact");
    check_exact(0, false);
}
END_TEST

/* expected() gives a late row the newest by time and, of equal times, the last to come: as the entries do. */
START_TEST(aggregates_late)
{
    random_seed("late");
    check_exact(1, true);
}
END_TEST

/* More rows than entries: within what the entry at a window's begin can be wrong by. */
START_TEST(aggregates_merged)
{
    static const mbr_aggregate_want wants[] = {
        { MBR_AGGREGATE_COUNT, -1, 100, false }, { MBR_AGGREGATE_COUNT, -1, 2000, false },
        { MBR_AGGREGATE_SUM, 0, 100, true }, { MBR_AGGREGATE_SUM, 0, 2000, false },
        { MBR_AGGREGATE_MEAN, 0, 2000, false }, { MBR_AGGREGATE_STD, 0, 2000, false },
        { MBR_AGGREGATE_MIN, 0, 2000, false }, { MBR_AGGREGATE_LAST, 0, INFINITY, false },
        { MBR_AGGREGATE_SINCE_LAST, -1, 2000, false }, { MBR_AGGREGATE_DISTINCT, 0, 2000, true },
    };
    enum { ROWS = 30000, EVENTS = 32 };
    static double t[ROWS], x[ROWS];
    static mbr_aggregate a;
    int n = (int)MBR_COUNT_OF(wants);
    random_seed("merged");
    ck_assert_int_eq(mbr_aggregate_plan(&a, wants, n, 1, 1, EVENTS, &err), MBR_OK);
    void *state = mbr_alloc(&memory, a.bytes);
    a.kind.begin(&a, state);
    double clock = 1e9, worst[2] = { 0, 0 };
    for (int row = 0; row < ROWS; row++) {
        double out[MBR_COUNT_OF(wants)];
        uint64_t mark = 1 + (uint64_t)random_below(20);
        clock += -log(1 - (double)random_below(1 << 20) / (1 << 20)) * (row / 5000 % 2 ? 0.5 : 8); /* calm and busy */
        t[row] = clock;
        x[row] = 50 + (double)random_real();
        mbr_aggregate_row(&a, state, clock, &x[row], &mark, out);
        if (row == 0)
            continue;
        double window[] = { 100, 2000 };
        for (int w = 0; w < 2; w++) {
            double count = 0, sum = 0, least = INFINITY, slack = 0;
            for (int i = row - 1; i >= 0 && t[i] > clock - window[w] * 1.15; i--) {
                bool in = t[i] > clock - window[w];
                count += in;
                sum += in ? x[i] : 0;
                least = in && x[i] < least ? x[i] : least;
                slack += t[i] < clock - window[w] * 0.85;
            }
            ck_assert_msg(fabs(out[w] - count) <= slack, "count in %g: %g, %g +- %g", window[w], out[w], count, slack);
            ck_assert_double_eq(out[w], floor(out[w]));
            double own = w ? 0 : x[row];
            ck_assert_msg(fabs(out[2 + w] - own - sum) <= slack * 51 + 1e-6, "sum in %g", window[w]);
            worst[w] += count > 100 ? fabs(out[w] - count) / count : 0;
            if (w) {
                ck_assert(count == 0 || out[4] == 0 || (out[4] > 48.9 && out[4] < 51.1));
                ck_assert(isnan(out[5]) || out[5] < 1.5);
                ck_assert(count == 0 || out[6] <= least);
            }
        }
        ck_assert_double_eq(out[7], x[row - 1]);
        ck_assert(near(out[8], clock - t[row - 1], 1e-12));
        ck_assert_double_le(out[9], 20);
        ck_assert_double_ge(out[9], 1);
    }
    printf("merged: mean errors of counts %.4f and %.4f\n", worst[0] / ROWS, worst[1] / ROWS);
    ck_assert_double_lt(worst[0] / ROWS, 0.02);
    ck_assert_double_lt(worst[1] / ROWS, 0.01);
    mbr_free(&memory, state);
}
END_TEST

/* Merged entries whose rows all lie in the window lose nothing but places in time. */
START_TEST(merged_inside_is_exact)
{
    static const mbr_aggregate_want wants[] = {
        { MBR_AGGREGATE_COUNT, 0, 1e6, true }, { MBR_AGGREGATE_SUM, 0, 1e6, true }, { MBR_AGGREGATE_STD, 0, 1e6, true },
        { MBR_AGGREGATE_MIN, 0, 1e6, true }, { MBR_AGGREGATE_MAX, 0, 1e6, true }, { MBR_AGGREGATE_LAST, 0, 1e6, true },
        { MBR_AGGREGATE_COUNT, -1, 1e6, true },
    };
    static mbr_aggregate a;
    static past p;
    random_seed("inside");
    ck_assert_int_eq(mbr_aggregate_plan(&a, wants, (int)MBR_COUNT_OF(wants), 1, 0, 8, &err), MBR_OK);
    void *state = mbr_alloc(&memory, a.bytes);
    for (int round = 0; round < 20; round++) {
        double out[MBR_COUNT_OF(wants)];
        a.kind.begin(&a, state);
        p.n = 0;
        for (int row = 0; row < 300; row++) {
            /* Some late ones, which fall into merged entries; the newest entry is always one row. */
            double x[2] = { random_below(5) ? 1e4 + (double)random_real() : NAN, 0 };
            double t = row + (row % 7 == 3 ? -20.5 : 0);
            mbr_aggregate_row(&a, state, t, x, NULL, out);
            for (size_t i = 0; i < MBR_COUNT_OF(wants) && t == row; i++) {
                double want = expected(&p, &wants[i], t, x, 0);
                ck_assert_msg(near(out[i], want, 1e-9), "row %d op %d: %.17g, expected %.17g", row, (int)wants[i].op,
                              out[i], want);
            }
            p.t[p.n] = t;
            memcpy(p.x[p.n++], x, sizeof x);
            if (row % 40 == 39) {
                mbr_out written = { .memory = &memory };
                a.kind.write(&a, state, &written);
                memset(state, 0xa5, a.bytes);
                a.kind.begin(&a, state);
                mbr_in in = { .data = written.data, .left = written.used };
                a.kind.read(&a, state, &in);
                ck_assert(!in.bad && in.left == 0);
                mbr_out_free(&written);
            }
        }
    }
    mbr_free(&memory, state);
}
END_TEST

/* Also where there is no room for it: it takes the place of none that later rows look back at. */
START_TEST(the_future_disturbs_nobody)
{
    static const mbr_aggregate_want want = { MBR_AGGREGATE_COUNT, -1, 100, false };
    static mbr_aggregate a;
    double out;
    ck_assert_int_eq(mbr_aggregate_plan(&a, &want, 1, 0, 0, 8, &err), MBR_OK);
    void *state = mbr_alloc(&memory, a.bytes);
    a.kind.begin(&a, state);
    for (int row = 0; row < 8; row++)
        mbr_aggregate_row(&a, state, row, NULL, NULL, &out);
    mbr_aggregate_row(&a, state, 1e12, NULL, NULL, &out);
    ck_assert_double_eq(out, 0);
    mbr_aggregate_row(&a, state, 8, NULL, NULL, &out);
    ck_assert_double_eq(out, 8);
    mbr_aggregate_row(&a, state, 9, NULL, NULL, &out);
    ck_assert_double_eq(out, 9);
    mbr_free(&memory, state);
}
END_TEST

START_TEST(wants_are_checked)
{
    static mbr_aggregate a;
    mbr_aggregate_want w = { MBR_AGGREGATE_SUM, 0, 60, false };
    ck_assert_int_eq(mbr_aggregate_plan(&a, &w, 1, 1, 0, 3, &err), MBR_ERR_LIMIT);
    ck_assert_int_eq(mbr_aggregate_plan(&a, &w, 1, 1, 0, MBR_AGGREGATE_EVENTS + 1, &err), MBR_ERR_LIMIT);
    w.window = NAN;
    ck_assert_int_eq(mbr_aggregate_plan(&a, &w, 1, 1, 0, 8, &err), MBR_ERR_LIMIT);
    w.window = INFINITY;
    ck_assert_int_eq(mbr_aggregate_plan(&a, &w, 1, 1, 0, 8, &err), MBR_ERR_LIMIT);
    w.op = MBR_AGGREGATE_LAST;
    ck_assert_int_eq(mbr_aggregate_plan(&a, &w, 1, 1, 0, 8, &err), MBR_OK);
    w.value = -1;
    ck_assert_int_eq(mbr_aggregate_plan(&a, &w, 1, 1, 0, 8, &err), MBR_ERR_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keyed");
    TCase *tc = tcase_create("store");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, store_equals_a_list);
    tcase_add_test(tc, store_limits);
    tcase_add_test(tc, store_expiry);
    tcase_add_test(tc, snapshot_round_trip);
    tcase_add_test(tc, snapshot_hostile);
    tcase_add_test(tc, snapshot_survives_kill);
    suite_add_tcase(suite, tc);
    tc = tcase_create("aggregates");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, aggregates_exact);
    tcase_add_test(tc, aggregates_late);
    tcase_add_test(tc, aggregates_merged);
    tcase_add_test(tc, merged_inside_is_exact);
    tcase_add_test(tc, the_future_disturbs_nobody);
    tcase_add_test(tc, wants_are_checked);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

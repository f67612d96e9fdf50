/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps with state by key: batches against single rows, groups, faults, saved state; the statistics of samples. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/audio.h"
#include "runtime/keyed/series.h"
#include "runtime/keyed/store.h"
#include "runtime/pipeline/element.h"
#include "runtime/pipeline/node.h"
#include "tests/pipeline_rows.h"
#include "tests/random.h"

#include <math.h>
#include <stdlib.h>

/* ---- series ---- */

static bool near(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-12 * (1 + fabs(b));
}

START_TEST(statistics)
{
    static const double x[] = { 4, NAN, 1, 3, 3, 10 };
    static const double want[] = { 4.2, 3.4205262752974139, 1, 10, 3, 14.2 / 14.8, 5.196152422706632,
                                   3.328950252027172 };
    double scratch[6];
    for (int op = 0; op <= MBR_ROLLING_KURTOSIS; op++) {
        double got = mbr_rolling((mbr_rolling_op)op, x, 6, 5, scratch);
        ck_assert_msg(fabs(got - want[op]) < 1e-12, "op %d: %.17g", op, got);
        ck_assert(isnan(mbr_rolling((mbr_rolling_op)op, x, 6, 6, scratch)));
    }
    /* Large values whose squares do not hold their differences. */
    static const double large[] = { 1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4 };
    ck_assert(near(mbr_rolling(MBR_ROLLING_STD, large, 4, 4, scratch), 1.2909944487358056));
    ck_assert(near(mbr_rolling(MBR_ROLLING_SLOPE, large, 4, 4, scratch), 1));
    ck_assert(near(mbr_rolling(MBR_ROLLING_MEDIAN, large, 4, 4, scratch), 1e9 + 2.5));
    ck_assert(near(mbr_rolling(MBR_ROLLING_KURTOSIS, large, 4, 4, scratch), -1.2));
    static const double same[] = { 5, 5, 5, 5 };
    ck_assert(isnan(mbr_rolling(MBR_ROLLING_KURTOSIS, same, 4, 4, scratch)));
    ck_assert_double_eq(mbr_rolling(MBR_ROLLING_STD, same, 4, 4, scratch), 0);
}
END_TEST

START_TEST(medians)
{
    static double x[200], y[200], scratch[200];
    random_seed("medians");
    for (int round = 0; round < 2000; round++) {
        int n = 1 + random_below(200);
        for (int i = 0; i < n; i++)
            y[i] = x[i] = random_below(2) ? (double)random_real() : random_below(5);
        for (int i = 1; i < n; i++)
            for (int k = i; k > 0 && y[k] < y[k - 1]; k--) {
                double z = y[k];
                y[k] = y[k - 1];
                y[k - 1] = z;
            }
        ck_assert(near(mbr_rolling(MBR_ROLLING_MEDIAN, x, n, 1, scratch), (y[(n - 1) / 2] + y[n / 2]) / 2));
    }
}
END_TEST

START_TEST(grids)
{
    mbr_resample r;
    double state[8], out[64], first, x;
    bool anew;
    ck_assert(!mbr_resample_plan(&r, 1, MBR_RESAMPLE_LINEAR, 1, MBR_RESAMPLE_POINTS));
    ck_assert(!mbr_resample_plan(&r, 1, MBR_RESAMPLE_LINEAR, 0, 10));
    ck_assert(mbr_resample_plan(&r, 1, MBR_RESAMPLE_LINEAR, 10, 35));
    r.kind.begin(&r, state);
#define ROW(t, value) (x = value, mbr_resample_row(&r, state, t, &x, out, &first, &anew))
    ck_assert_int_eq(ROW(105, 1), 0);
    ck_assert(anew);
    ck_assert_int_eq(ROW(125, 5), 2);
    ck_assert(!anew && first == 110 && out[0] == 2 && out[1] == 4);
    ck_assert_int_eq(ROW(125, 7), 0); /* not later */
    ck_assert_int_eq(ROW(120, 7), 0);
    ck_assert_int_eq(ROW(130, 6), 1);
    ck_assert(first == 130 && out[0] == 6);
    ck_assert_int_eq(ROW(165, NAN), 3); /* 140 to 160: nothing known between */
    ck_assert(isnan(out[0]) && !anew);
    ck_assert_int_eq(ROW(201, 1), 0); /* a gap */
    ck_assert(anew);
    ck_assert_int_eq(ROW(100, 9), 1); /* a clock set back, onto the grid */
    ck_assert(anew && first == 100 && out[0] == 9);
    ck_assert_int_eq(ROW(1e300, 9), 0);
    ck_assert_int_eq(ROW(-15, 2), 0);
    ck_assert_int_eq(ROW(5, 4), 2); /* before 1970 */
    ck_assert(first == -10 && out[0] == 2.5 && out[1] == 3.5);
    ck_assert(mbr_resample_plan(&r, 1, MBR_RESAMPLE_PREVIOUS, 10, 35));
    r.kind.begin(&r, state);
    ck_assert_int_eq(ROW(100, 1), 1);
    ck_assert_int_eq(ROW(120, 5), 2);
    ck_assert(out[0] == 1 && out[1] == 5);
#undef ROW
}
END_TEST

START_TEST(bands)
{
    enum { N = 64 };
    static const double edges[] = { 0, 5, 20, 33 };
    double x[N], out[3], mean = 0;
    mbr_bands b;
    for (int centre = 0; centre < 2; centre++)
        for (int taper = -1; taper < 2; taper++) {
            mbr_bands_plan(&b, N, 64, edges, 3, taper, centre != 0);
            void *scratch = malloc(mbr_bands_scratch(&b));
            ck_assert_ptr_nonnull(scratch);
            mbr_bands_init(&b, scratch);
            for (int i = 0; i < N; i++)
                x[i] = 3 + 2 * sin(2 * 3.14159265358979323846 * 10 * i / N) + ((i & 1) ? -0.5 : 0.5);
            mbr_bands_row(&b, scratch, x, out);
            mean = 0;
            for (int i = 0; i < N; i++)
                mean += x[i] * x[i] / N;
            if (taper < 0) /* constant 3, amplitude 2 at 10 Hz, 0.5 at half the rate */
                ck_assert(fabs(out[0] - (centre ? 0 : 9)) < 1e-12 && fabs(out[1] - 2) < 1e-12 &&
                          fabs(out[2] - 0.25) < 1e-12);
            else
                ck_assert(fabs(out[1] - 2) < 1e-9);
            if (!centre && taper < 0)
                ck_assert(near(out[0] + out[1] + out[2], mean));
            x[7] = NAN;
            mbr_bands_row(&b, scratch, x, out);
            ck_assert(isnan(out[0]) && isnan(out[2]));
            free(scratch);
        }
}
END_TEST

#ifdef HAVE_YAML

/* ---- steps ---- */

enum { ROWS = 240, MOST_STEPS = 24, COLS = 5 };

static const char *const cards[] = { "a", "bb", "ccc", "a card with a long name that is too long for a key", NULL };
static double when[ROWS], amount[ROWS], place[ROWS];
static const char *card[ROWS], *shop[ROWS];

static bench b;
static mbr_step steps[MOST_STEPS];
static void *states[MOST_STEPS];
static int step_count;
static void *shared;

static void draw_rows(void)
{
    static const char *const shops[] = { "x", "y", "z", "", NULL };
    double clock = 1.7e9;
    for (int i = 0; i < ROWS; i++) {
        clock += random_below(4) * 7.5;
        when[i] = random_below(20) ? random_below(15) ? clock : clock - 300 : NAN;
        amount[i] = random_below(9) ? (double)random_real() * 100 : NAN;
        place[i] = random_below(3);
        card[i] = cards[random_below(12) ? random_below(3) : 3 + random_below(2)];
        shop[i] = shops[random_below(5)];
    }
}

static void open_scope(void)
{
    static const double none[BENCH_ROWS];
    static const char *const no_texts[BENCH_ROWS];
    bench_open(&b);
    bench_numbers(&b, "when", MBR_COL_TIME, 1, BENCH_ROWS, none);
    bench_numbers(&b, "amount", MBR_COL_NUMBER, 1, BENCH_ROWS, none);
    bench_numbers(&b, "place", MBR_COL_NUMBER, 1, BENCH_ROWS, none);
    bench_texts(&b, "card", BENCH_ROWS, no_texts);
    bench_texts(&b, "shop", BENCH_ROWS, no_texts);
    step_count = 0;
    shared = NULL;
    b.rows.states = states;
}

static mbr_status compile(const char *text)
{
    mbr_compiling c = { .read = { .arena = &b.arena, .file = "p.yaml", .err = &b.err }, .scope = &b.scope,
                        .steps = step_count, .shared = &shared };
    mbr_node *n;
    b.err = (mbr_error){ 0 };
    MBR_TRY(mbr_yaml_read(&c.read, text, strlen(text), &n));
    return mbr_step_compile(&c, n, &steps[step_count]);
}

static void add(const char *text)
{
    ck_assert_msg(compile(text) == MBR_OK, "%s: %s", text, b.err.text);
    mbr_step *s = &steps[step_count++];
    for (int i = 0; i < s->out_count; i++)
        bench_lane(&b, s->outs[i]);
}

static void begin_states(void)
{
    for (int i = 0; i < step_count; i++)
        if (steps[i].kind->keeper)
            ck_assert_msg(steps[i].kind->keeper->begin(&steps[i], &b.memory, &states[i], &b.err) == MBR_OK, "%s",
                          b.err.text);
}

static void end_states(void)
{
    for (int i = 0; i < step_count; i++)
        if (steps[i].kind->keeper)
            steps[i].kind->keeper->end(&steps[i], states[i]);
}

/* What the steps made of a row, as numbers: cells by their elements. */
typedef struct made {
    double x[160];
    int n;
    bool faulty;
} made;

static void collect(int row, made *m)
{
    m->n = 0;
    m->faulty = b.fault[row] != NULL;
    for (int col = COLS; col < b.scope.count; col++) {
        const mbr_col *c = &b.scope.cols[col];
        if (c->type == MBR_COL_TENSOR) {
            const mbr_cell *cell = &b.lanes[col].cell[row];
            size_t count = cell->data ? mbr_cell_count(cell) : 0;
            m->x[m->n++] = cell->data ? (double)count : -1;
            for (size_t i = 0; i < count && i < 8; i++)
                m->x[m->n++] = mbr_element_load(c->dtype, cell->data, i);
            continue;
        }
        for (int w = 0; w < c->width; w++)
            m->x[m->n++] = b.lanes[col].num[row * c->width + w];
    }
    ck_assert_int_le(m->n, (int)MBR_COUNT_OF(m->x));
}

/* Rows first to end - 1, in batches of at most `batch`. */
static void run_rows(int first, int end, int batch, made *m)
{
    for (; first < end; first += b.rows.count) {
        b.rows.count = end - first < batch ? end - first : batch;
        mbr_pool_reset(&b.rows.pool);
        memset(b.fault, 0, sizeof b.fault);
        for (int i = 0; i < b.rows.count; i++) {
            int r = first + i;
            b.lanes[0].num[i] = when[r];
            b.lanes[1].num[i] = amount[r];
            b.lanes[2].num[i] = place[r];
            b.lanes[3].str[i] = (mbr_string){ card[r], card[r] ? strlen(card[r]) : 0 };
            b.lanes[4].str[i] = (mbr_string){ shop[r], shop[r] ? strlen(shop[r]) : 0 };
            if (r % 17 == 5)
                mbr_rows_fail(&b.rows, i, "broken");
        }
        for (int i = 0; i < step_count; i++)
            steps[i].kind->run(&steps[i], &b.rows);
        for (int i = 0; i < b.rows.count; i++)
            collect(i, &m[first + i]);
    }
}

static void expect_same(const made *x, const made *y, int first, int end)
{
    for (int r = first; r < end; r++) {
        ck_assert_int_eq(x[r].n, y[r].n);
        ck_assert_int_eq(x[r].faulty, y[r].faulty);
        for (int i = 0; i < x[r].n; i++)
            ck_assert_msg((isnan(x[r].x[i]) && isnan(y[r].x[i])) || x[r].x[i] == y[r].x[i],
                          "row %d value %d: %.17g and %.17g", r, i, x[r].x[i], y[r].x[i]);
    }
}

static void add_steps(void)
{
    add("{name: n, kind: aggregate, key: card, time: when, op: count, window: 1m}");
    add("{name: card2, kind: aggregate, key: [card, place], time: when, keys: 4, expire: 90s, events: 4, columns: {"
        "sum: {op: sum, value: amount, window: 30s}, std: {op: std, value: amount, window: 1h, include_current: false},"
        "shops: {op: distinct, value: shop, window: 2m}, since: {op: since_last}}}");
    add("{name: last, kind: aggregate, key: card, time: when, op: last, value: amount}");
    add("{name: w, kind: window, from: [amount, place], key: card, length: 3, hop: 2, layout: channels_first}");
    add("{name: l, kind: lag, from: amount, key: card, lags: [0, 1, 3]}");
    add("{name: r, kind: rolling, from: [amount, place], key: card, time: when, max_gap: 2m, length: 5, min_samples: 2,"
        " ops: [mean, kurtosis]}");
    add("{name: f, kind: fft_bands, from: place, length: 8, hop: 3, rate: 8, bands: [0, 1, 5], taper: hann}");
    add("{name: g, kind: resample, from: place, key: card, time: when, period: 10s, max_gap: 5m}");
    add("{name: gl, kind: lag, from: place, key: card, time: when, period: 10s, max_gap: 5m, method: previous,"
        " lags: [2]}");
}

/* Steps over what is in a tensor: windows of a card, and numbers put together. */
static void add_tensor_steps(void)
{
    add("{name: w, kind: window, from: [amount, place], key: card, length: 9, hop: 2, dtype: f64}");
    add("{name: wc, kind: window, from: [amount, place], key: card, length: 9, layout: channels_first, dtype: f64}");
    add("{name: r, kind: rolling, from: w, ops: [mean, median], min_samples: 2}");
    add("{name: rc, kind: rolling, from: wc, axis: 1, length: 4, ops: [max, slope]}");
    add("{name: rh, kind: rolling, from: w, length: 4, min_samples: 1, hop: 5, ops: std}");
    add("{name: f, kind: fft_bands, from: wc, axis: 1, rate: 8, bands: [0, 1, 5], taper: hamming}");
    add("{name: fh, kind: fft_bands, from: w, length: 8, hop: 1, rate: 8, bands: [0, 1, 5]}");
    add("{name: l, kind: lag, from: w, lags: [0, 8]}");
    add("{name: lh, kind: lag, from: w, lags: [0, 1], hop: 7}");
    add("{name: ww, kind: window, from: w, length: 3, dtype: f64}");
    add("{name: wh, kind: window, from: wc, axis: 1, length: 3, hop: 3, layout: channels_first}");
}

/* The same statistics of the same samples, once row by row and once out of the window. */
START_TEST(tensors_say_what_rows_say)
{
    static made rows[ROWS], windows[ROWS];
    static const char *const how[][2] = {
        { "kind: rolling, ops: [mean, std, min, max, median, slope, rms, kurtosis], min_samples: 3",
          "length: 12, from: [amount, place], key: card" },
        { "kind: fft_bands, rate: 12, bands: [0, 1, 2, 6], taper: hann",
          "length: 12, from: [amount, place], key: card" },
        { "kind: lag, lags: [0, 3, 11]", "from: [amount, place], key: card" },
    };
    random_seed("tensors");
    draw_rows();
    for (size_t k = 0; k < MBR_COUNT_OF(how); k++)
        for (int axis = 0; axis < 2; axis++) {
            char text[300];
            for (int which = 0; which < 2; which++) {
                open_scope();
                if (which) {
                    snprintf(text, sizeof text, "{name: w, kind: window, from: [amount, place], key: card, length: 12,"
                             " dtype: f64, layout: %s}", axis ? "channels_first" : "samples_first");
                    add(text);
                    snprintf(text, sizeof text, "{name: x, %s, from: w, axis: %d}", how[k][0], axis);
                } else {
                    snprintf(text, sizeof text, "{name: x, %s, %s}", how[k][0], how[k][1]);
                }
                add(text);
                begin_states();
                run_rows(0, ROWS, BENCH_ROWS, which ? windows : rows);
                end_states();
                bench_close(&b);
            }
            for (int r = 0, full = 0; r < ROWS; r++) {
                const made *w = &windows[r];
                bool there = w->x[0] >= 0; /* elements of the window, 8 of them, and ready */
                int skip = there ? 10 : 2;
                full += there;
                ck_assert(r + 1 < ROWS || full > 20);
                ck_assert_int_eq(w->n - skip, rows[r].n);
                for (int i = 0; i < rows[r].n; i++) {
                    double due = there ? rows[r].x[i] : NAN, got = w->x[skip + i];
                    ck_assert_msg((isnan(due) && isnan(got)) || due == got, "%s, axis %d, row %d, value %d: %.17g, due"
                                  " %.17g", how[k][0], axis, r, i, got, due);
                }
            }
        }
}
END_TEST

START_TEST(tensors_by_hand)
{
    static made m[ROWS];
    open_scope();
    add("{name: t, kind: tensor, from: [amount, amount, place, place, amount, place], shape: [3, 2], dtype: f64}");
    add("{name: r, kind: rolling, from: t, length: 2, hop: 1, ops: [mean, max]}");
    add("{name: l, kind: lag, from: t, axis: 1, lags: [1]}");
    add("{name: w, kind: window, from: t, length: 2, hop: 1, layout: channels_first, dtype: f64}");
    ck_assert_int_eq(b.scope.cols[steps[1].out].dims[0], 2);
    ck_assert_int_eq(b.scope.cols[steps[1].out].dims[1], 4);
    ck_assert_int_eq(b.scope.cols[steps[3].out].rank, 3);
    ck_assert_int_eq(b.scope.cols[steps[3].out].dims[0], 2);
    begin_states();
    amount[0] = 3;
    place[0] = 1;
    when[0] = 1;
    card[0] = shop[0] = "x";
    run_rows(0, 1, 1, m);
    /* samples (3 3) (1 1) (3 1) */
    static const double want[] = { 6, 3, 3, 1, 1, 3, 1, /* t, elements, of which 8 are looked at at most */
                                   8, 2, 3, 2, 3, 2, 3, 1, 1,
                                   3, 1, 3, /* channels are the columns of the other axis */
                                   8, 3, 1, 3, 1, 1, 3, 1, 1, 1 };
    ck_assert_int_eq(m[0].n, (int)MBR_COUNT_OF(want));
    for (int i = 0; i < m[0].n; i++)
        ck_assert_msg(m[0].x[i] == want[i], "value %d: %g", i, m[0].x[i]);
    end_states();
    bench_close(&b);
}
END_TEST

/* Memory for the samples of a tensor is there, or the row is faulty and the next one is not. */
START_TEST(tensors_without_memory)
{
    static made m[ROWS];
    open_scope();
    add("{name: t, kind: tensor, from: [amount, place], dtype: f64}");
    add("{name: r, kind: rolling, from: t, ops: mean}");
    begin_states();
    amount[0] = place[0] = 2;
    when[0] = 1;
    card[0] = shop[0] = "x";
    run_rows(0, 0, 1, m);
    b.rows.count = 1;
    memset(b.fault, 0, sizeof b.fault);
    b.lanes[1].num[0] = b.lanes[2].num[0] = 2;
    steps[0].kind->run(&steps[0], &b.rows);
    atomic_store(&b.memory.fail_after, 0);
    steps[1].kind->run(&steps[1], &b.rows);
    atomic_store(&b.memory.fail_after, -1);
    ck_assert_ptr_nonnull(b.fault[0]);
    ck_assert(isnan(b.lanes[steps[1].out].num[0]));
    run_rows(0, 1, 1, m);
    ck_assert(!m[0].faulty && m[0].x[3] == 2);
    end_states();
    bench_close(&b);
}
END_TEST

START_TEST(batches_and_rows)
{
    static void (*const add[])(void) = { add_steps, add_tensor_steps };
    static made one[ROWS], eight[ROWS];
    random_seed("batches");
    draw_rows();
    for (size_t i = 0; i < MBR_COUNT_OF(add); i++) {
        open_scope();
        add[i]();
        begin_states();
        run_rows(0, ROWS, 1, one);
        end_states();
        begin_states();
        run_rows(0, ROWS, BENCH_ROWS, eight);
        end_states();
        expect_same(one, eight, 0, ROWS);
        bench_close(&b);
    }
}
END_TEST

/* Steps that do not fit into one group are several: twelve windows and twelve more. */
START_TEST(more_than_a_group_holds)
{
    static made m[ROWS];
    char text[200];
    random_seed("groups");
    draw_rows();
    open_scope();
    for (int i = 0; i < 24; i++) {
        snprintf(text, sizeof text, "{name: n%d, kind: aggregate, key: card, time: when, op: count, window: %ds}", i,
                 10 + i % 23);
        add(text);
    }
    begin_states();
    run_rows(0, ROWS, BENCH_ROWS, m);
    end_states();
    for (int r = 0; r < ROWS; r++) { /* the first and the last are the same window, in different groups */
        ck_assert_int_eq(m[r].n, 24);
        ck_assert((isnan(m[r].x[0]) && isnan(m[r].x[23])) || m[r].x[0] == m[r].x[23]);
    }
    bench_close(&b);
}
END_TEST

static mbr_status keep(void *user, const char *text, size_t bytes)
{
    mbr_out *o = user;
    if (o->used + bytes > o->capacity)
        return MBR_ERR_NO_MEMORY;
    memcpy(o->data + o->used, text, bytes);
    o->used += bytes;
    return MBR_OK;
}

START_TEST(saved_and_restored)
{
    static made whole[ROWS], parts[ROWS];
    static uint8_t bytes[MOST_STEPS][1 << 18];
    mbr_out out[MOST_STEPS];
    random_seed("saved");
    draw_rows();
    open_scope();
    add_steps();
    begin_states();
    run_rows(0, ROWS, 8, whole);
    end_states();
    begin_states();
    run_rows(0, ROWS / 2, 8, parts);
    for (int i = 0; i < step_count; i++) {
        out[i] = (mbr_out){ .data = bytes[i], .capacity = sizeof bytes[i] };
        ck_assert_int_eq(steps[i].kind->keeper->save(&steps[i], states[i], keep, &out[i], &b.err), MBR_OK);
    }
    end_states();
    begin_states();
    for (int i = 0; i < step_count; i++)
        ck_assert_msg(steps[i].kind->keeper->restore(&steps[i], states[i], out[i].data, out[i].used, &b.err) == MBR_OK,
                      "%s: %s", steps[i].name, b.err.text);
    run_rows(ROWS / 2, ROWS, 8, parts);
    expect_same(whole, parts, 0, ROWS);
    /* Of another step, cut, flipped. */
    ck_assert_int_ne(steps[3].kind->keeper->restore(&steps[3], states[3], out[4].data, out[4].used, &b.err), MBR_OK);
    for (int i = 0; i < step_count; i++) {
        if (!out[i].used)
            continue;
        ck_assert_int_eq(steps[i].kind->keeper->restore(&steps[i], states[i], out[i].data, out[i].used - 1, &b.err),
                         MBR_ERR_FORMAT);
        out[i].data[out[i].used / 2] ^= 4;
        ck_assert_int_eq(steps[i].kind->keeper->restore(&steps[i], states[i], out[i].data, out[i].used, &b.err),
                         MBR_ERR_FORMAT);
    }
    end_states();
    bench_close(&b);
}
END_TEST

START_TEST(values_by_hand)
{
    static made m[ROWS];
    open_scope();
    add("{name: c, kind: aggregate, key: card, time: when, op: count, window: 10s}");
    add("{name: e, kind: aggregate, key: card, time: when, op: sum, value: amount, window: 10s,"
        " include_current: false}");
    add("{name: s, kind: aggregate, key: card, time: when, op: since_last}");
    add("{name: w, kind: window, from: amount, key: card, length: 2, dtype: f64}");
    add("{name: l, kind: lag, from: amount, key: card, time: when, lags: [1]}");
    begin_states();
    for (int i = 0; i < 6; i++) {
        when[i] = 100 + 5 * i;
        amount[i] = i + 1;
        place[i] = 0;
        card[i] = i == 3 ? NULL : "k";
        shop[i] = "x";
    }
    when[4] = 108; /* late */
    run_rows(0, 5, 8, m);
    static const double want[5][8] = { /* c e s, w, its elements and ready or ready alone, l */
        { 1, 0, NAN, -1, 0, NAN },
        { 2, 1, 5, 2, 1, 2, 1, 1 },
        { 2, 2, 5, 2, 2, 3, 1, 2 },
        { NAN, NAN, NAN, -1, 0, NAN },
        { 3, 3, 3, 2, 3, 5, 1, NAN },
    };
    for (int r = 0; r < 5; r++)
        for (int i = 0; i < m[r].n; i++)
            ck_assert_msg((isnan(m[r].x[i]) && isnan(want[r][i])) || m[r].x[i] == want[r][i], "row %d value %d: %g", r,
                          i, m[r].x[i]);
    /* One store for all three: the first step's. */
    ck_assert_ptr_eq(states[1], steps[1].params);
    ck_assert_ptr_eq(states[2], steps[2].params);
    card[6] = "a key of more than the forty bytes that a key has";
    when[6] = 200;
    run_rows(6, 7, 8, m);
    ck_assert(m[6].faulty);
    ck_assert_ptr_nonnull(strstr(b.fault[0] ? b.fault[0] : "", "key_bytes: 49"));
    end_states();
    bench_close(&b);
}
END_TEST

/* ---- sounds in pieces ---- */

enum { SOUND = 700, PIECES = 60, CALLS = 2 };

/* Pieces of two calls, one after the other, as arrays of numbers; how long each is. */
static char pieces[PIECES][4000];
static float sounds[CALLS][SOUND];
static int lengths[PIECES], call_of[PIECES];

static int draw_pieces(void)
{
    int at[CALLS] = { 0, 0 }, n = 0;
    for (int c = 0; c < CALLS; c++)
        for (int i = 0; i < SOUND; i++)
            sounds[c][i] = random_real();
    for (; (at[0] < SOUND || at[1] < SOUND) && n < PIECES; n++) {
        int c = at[0] == SOUND ? 1 : at[1] == SOUND ? 0 : random_below(CALLS);
        int count = n >= PIECES - 2 ? SOUND : random_below(5) ? random_below(60) : random_below(2);
        size_t used = (size_t)snprintf(pieces[n], sizeof pieces[n], "[");
        count = count < SOUND - at[c] ? count : SOUND - at[c];
        count = count < 150 ? count : 150;
        for (int i = 0; i < count; i++)
            used += (size_t)snprintf(pieces[n] + used, sizeof pieces[n] - used, "%s%.9g", i ? "," : "",
                                     (double)sounds[c][at[c] + i]);
        snprintf(pieces[n] + used, sizeof pieces[n] - used, "]");
        lengths[n] = count;
        call_of[n] = c;
        at[c] += count;
    }
    return n;
}

/* Rows first to end - 1, one at a time; what the step gives goes to out[call], *used of it. */
static void run_pieces(int first, int end, bool last, float (*out)[4 * SOUND], size_t *used)
{
    for (int r = first; r < end; r++) {
        b.rows.count = 1;
        mbr_pool_reset(&b.rows.pool);
        b.fault[0] = NULL;
        const char *name = call_of[r] ? "second" : "first";
        b.lanes[3].str[0] = (mbr_string){ name, strlen(name) };
        b.lanes[4].str[0] = (mbr_string){ pieces[r], strlen(pieces[r]) };
        b.lanes[COLS].num[0] = last;
        for (int i = 0; i < step_count; i++)
            steps[i].kind->run(&steps[i], &b.rows);
        ck_assert_msg(!b.fault[0], "%s", b.fault[0]);
        const mbr_cell *cell = &b.lanes[steps[1].out].cell[0];
        ck_assert_ptr_nonnull(cell->data);
        size_t n = mbr_cell_count(cell);
        ck_assert_uint_le(used[call_of[r]] + n, 4 * SOUND);
        if (n)
            memcpy(out[call_of[r]] + used[call_of[r]], cell->data, n * sizeof(float));
        used[call_of[r]] += n;
    }
}

static void open_pieces(const char *step)
{
    static const double none[BENCH_ROWS];
    open_scope();
    bench_numbers(&b, "over", MBR_COL_BOOL, 1, BENCH_ROWS, none);
    add("{name: x, kind: array, from: shop, shape: [-1]}");
    add(step);
    begin_states();
}

/* What comes out is the whole sound at the other rate, bit for bit, also when the state is saved in between. */
START_TEST(another_rate_by_key)
{
    static const char *const how[] = { "from_rate: 11025, rate: 16000",
                                       "from_rate: 16000, rate: 8000, resampler: torchaudio",
                                       "from_rate: 8000, rate: 8000" };
    static const int rates[][2] = { { 11025, 16000 }, { 16000, 8000 }, { 8000, 8000 } };
    static float out[CALLS][4 * SOUND];
    static uint8_t bytes[1 << 16];
    mbr_env *env;
    mbr_env_options options = { .size = sizeof options, .threads = 1 };
    random_seed("pieces");
    ck_assert_int_eq(mbr_env_new(&options, &env, &b.err), MBR_OK);
    for (size_t k = 0; k < MBR_COUNT_OF(how); k++)
        for (int saved = 0; saved < 2; saved++) {
            char text[200];
            size_t used[CALLS] = { 0, 0 };
            int n = draw_pieces(), half = n / 2, sent[CALLS] = { 0, 0 };
            snprintf(text, sizeof text, "{name: y, kind: resample_audio, from: x, key: card, last: over, %s}", how[k]);
            open_pieces(text);
            run_pieces(0, half, false, out, used);
            if (saved) {
                mbr_out o = { .data = bytes, .capacity = sizeof bytes };
                const mbr_step_keeper *keeper = steps[1].kind->keeper;
                ck_assert_int_eq(keeper->save(&steps[1], states[1], keep, &o, &b.err), MBR_OK);
                end_states();
                begin_states();
                ck_assert_int_eq(keeper->restore(&steps[1], states[1], bytes, o.used - 1, &b.err), MBR_ERR_FORMAT);
                ck_assert_msg(keeper->restore(&steps[1], states[1], bytes, o.used, &b.err) == MBR_OK, "%s", b.err.text);
            }
            run_pieces(half, n, false, out, used);
            for (int r = 0; r < n; r++)
                sent[call_of[r]] += lengths[r];
            for (int c = 0; c < CALLS; c++) { /* an empty last piece, and the key begins anew */
                strcpy(pieces[0], "[]");
                call_of[0] = c;
                run_pieces(0, 1, true, out, used);
                mbr_audio *sound, *due;
                mbr_audio_info info = { .size = sizeof info };
                mbr_resample_options o = { .size = sizeof o, .rate = rates[k][1],
                                           .resampler = k == 1 ? MBR_RESAMPLE_TORCHAUDIO : MBR_RESAMPLE_SCIPY };
                ck_assert_int_eq(mbr_audio_open_pcm(env, sounds[c], (size_t)sent[c] * sizeof(float), MBR_PCM_F32, 1,
                                                    rates[k][0], &sound, &b.err), MBR_OK);
                ck_assert_int_eq(mbr_audio_resample(sound, &o, &due, &b.err), MBR_OK);
                mbr_audio_tell(due, &info);
                ck_assert_uint_eq(info.frames, used[c]);
                ck_assert(memcmp(info.samples, out[c], used[c] * sizeof(float)) == 0);
                run_pieces(0, 1, true, out, used);
                ck_assert_uint_eq(info.frames, used[c]);
                mbr_audio_release(&sound);
                mbr_audio_release(&due);
            }
            end_states();
            mbr_drop_resample_audio(&steps[1]);
            bench_close(&b);
        }
    mbr_env_release(&env);
}
END_TEST

/* Each allocation of the state and of a row is refused in turn; a row without memory leaves the sound as it was. */
START_TEST(another_rate_without_memory)
{
    static float out[CALLS][4 * SOUND], want[CALLS][4 * SOUND];
    size_t used[CALLS] = { 0, 0 }, due[CALLS] = { 0, 0 };
    random_seed("pieces");
    int n = draw_pieces();
    open_pieces("{name: y, kind: resample_audio, from: x, key: card, from_rate: 11025}");
    run_pieces(0, n, false, want, due);
    end_states();
    mbr_status st = MBR_ERR_NO_MEMORY;
    for (long fail = 0; st != MBR_OK; fail++) {
        atomic_store(&b.memory.fail_after, fail);
        st = steps[1].kind->keeper->begin(&steps[1], &b.memory, &states[1], &b.err);
        atomic_store(&b.memory.fail_after, -1);
        ck_assert_int_lt(fail, 20);
    }
    b.rows.count = 1;
    for (int r = 0; r < n; r++) {
        const char *name = call_of[r] ? "second" : "first";
        mbr_pool_reset(&b.rows.pool);
        b.fault[0] = NULL;
        b.lanes[3].str[0] = (mbr_string){ name, strlen(name) };
        b.lanes[4].str[0] = (mbr_string){ pieces[r], strlen(pieces[r]) };
        steps[0].kind->run(&steps[0], &b.rows);
        atomic_store(&b.memory.fail_after, 0);
        steps[1].kind->run(&steps[1], &b.rows); /* faulty, or all that it needed was there */
        atomic_store(&b.memory.fail_after, -1);
        if (!b.fault[0]) {
            size_t count = mbr_cell_count(&b.lanes[steps[1].out].cell[0]);
            if (count)
                memcpy(out[call_of[r]] + used[call_of[r]], b.lanes[steps[1].out].cell[0].data, count * sizeof(float));
            used[call_of[r]] += count;
            continue;
        }
        run_pieces(r, r + 1, false, out, used);
    }
    for (int c = 0; c < CALLS; c++) {
        ck_assert_uint_eq(used[c], due[c]);
        ck_assert(memcmp(out[c], want[c], used[c] * sizeof(float)) == 0);
    }
    end_states();
    mbr_drop_resample_audio(&steps[1]);
    bench_close(&b);
}
END_TEST

START_TEST(complaints)
{
    static const char *const bad[][2] = {
        { "{name: n, kind: aggregate, key: card, time: when, op: count}", "'window'" },
        { "{name: n, kind: aggregate, key: card, time: when, window: 1h}", "'op'" },
        { "{name: n, kind: aggregate, key: card, time: when, op: sum, window: 1h}", "'value'" },
        { "{name: n, kind: aggregate, key: card, time: when, op: sum, window: 1h, value: shop}", "'shop' is a string" },
        { "{name: n, kind: aggregate, key: card, time: shop, op: count, window: 1h}", "'shop' is a string" },
        { "{name: n, kind: aggregate, key: crad, time: when, op: count, window: 1h}", "did you mean 'card'" },
        { "{name: n, kind: aggregate, key: card, time: when, op: count, window: 1y}", "not '1y'" },
        { "{name: n, kind: aggregate, key: card, time: when, op: count, window: 0s}", "not '0s'" },
        { "{name: n, kind: aggregate, key: card, time: when, op: count, window: 1h, events: 2}", "'events'" },
        { "{name: n, kind: aggregate, key: card, time: when, op: count, window: 1h, columns: {a: {op: count}}}",
          "stand there" },
        { "{name: n, kind: aggregate, key: card, time: when, columns: {a: {op: count, windw: 1h}}}", "window" },
        { "{name: n, kind: window, from: amount, length: 0}", "samples" },
        { "{name: n, kind: window, from: amount, length: 100000000}", "samples" },
        { "{name: n, kind: window, from: amount, length: 4, hop: 0}", "'hop'" },
        { "{name: n, kind: window, from: amount, length: 4, period: 1s}", "'time'" },
        { "{name: n, kind: window, from: amount, length: 4, period: 1s, time: when}", "'max_gap'" },
        { "{name: n, kind: lag, from: amount, lags: [1.5]}", "whole" },
        { "{name: n, kind: rolling, from: amount, length: 4, ops: [mode]}", "no op 'mode'" },
        { "{name: n, kind: rolling, from: amount, length: 4, min_samples: 5, ops: mean}", "'min_samples'" },
        { "{name: n, kind: fft_bands, from: amount, length: 4, rate: 1, bands: [1, 0]}", "ascending" },
        { "{name: n, kind: fft_bands, from: amount, length: 4, rate: 0, bands: [0, 1]}", "'rate'" },
        { "{name: n, kind: resample, from: amount, time: when}", "'period'" },
        { "{name: n, kind: window, from: amount}", "'length'" },
        { "{name: n, kind: rolling, from: amount, length: 4, hop: 2, ops: mean}", "'hop' is of the samples in a" },
        { "{name: n, kind: rolling, from: amount, length: 4, axis: 0, ops: mean}", "'axis' is of a tensor" },
        { "{name: n, kind: rolling, from: [amount, t], length: 2, ops: mean}", "one tensor or numbers" },
        { "{name: n, kind: rolling, from: t, key: card, ops: mean}", "take 'key'" },
        { "{name: n, kind: rolling, from: t, time: when, ops: mean}", "take 'key'" },
        { "{name: n, kind: rolling, from: t, axis: 2, ops: mean}", "'axis'" },
        { "{name: n, kind: rolling, from: t, axis: -1, ops: mean}", "'axis'" },
        { "{name: n, kind: rolling, from: t, length: 4, ops: mean}", "1 to 3 are due" },
        { "{name: n, kind: rolling, from: t, length: -1, ops: mean}", "1 to 3 are due" },
        { "{name: n, kind: rolling, from: t, hop: 1, ops: mean}", "'length'" },
        { "{name: n, kind: rolling, from: t, length: 2, hop: 0, ops: mean}", "'hop'" },
        { "{name: n, kind: rolling, from: t, min_samples: 4, ops: mean}", "'min_samples'" },
        { "{name: n, kind: rolling, from: g, axis: 1, ops: mean}", "the same number in every row" },
        { "{name: n, kind: fft_bands, from: g, rate: 1, bands: [0, 1]}", "'length'" },
        { "{name: n, kind: window, from: g}", "'length'" },
        { "{name: n, kind: rolling, from: shop, length: 4, ops: mean}", "numbers or tensors" },
        { "{name: n, kind: rolling, from: deep, ops: mean}", "of one dimension, or of two" },
        { "{name: n, kind: resample, from: t, time: when, period: 1s, max_gap: 1m}", "'t' is a tensor" },
        { "{name: n, kind: resample_audio, from: t, from_rate: 8000}", "f32[?]" },
        { "{name: n, kind: resample_audio, from: sound, from_rate: 0}", "'from_rate'" },
        { "{name: n, kind: resample_audio, from: sound, from_rate: 8000, rate: 800000}", "'from_rate'" },
        { "{name: n, kind: resample_audio, from: sound}", "from_rate" },
        { "{name: n, kind: resample_audio, from: sound, from_rate: 44101, rate: 767999}", "too large" },
        { "{name: n, kind: resample_audio, from: sound, from_rate: 8000, last: amount}", "cannot be used here" },
        { "{name: n, kind: resample_audio, from: sound, from_rate: 8000, resampler: soxr}", "resampler" },
        { "{name: n, kind: lag, from: amount, lags: [1], expire: 1h}", "'time'" },
        { "{name: n, kind: lag, from: amount, lags: [1], key: card, keys: -1}", "'keys'" },
    };
    open_scope();
    add("{name: t, kind: tensor, from: [amount, amount, place, place, amount, place], shape: [3, 2]}");
    add("{name: sound, kind: array, from: shop, shape: [-1]}");
    add("{name: deep, kind: tensor, from: [amount, place], shape: [1, 1, 2]}");
    add("{name: g, kind: resample, from: place, key: card, time: when, period: 10s, max_gap: 5m}");
    for (size_t i = 0; i < MBR_COUNT_OF(bad); i++) {
        ck_assert_msg(compile(bad[i][0]) != MBR_OK, "%s", bad[i][0]);
        ck_assert_msg(strstr(b.err.text, bad[i][1]) && strstr(b.err.text, "p.yaml:1"), "%s: %s", bad[i][0], b.err.text);
    }
    bench_close(&b);
}
END_TEST

/* Each allocation in turn is refused. */
START_TEST(without_memory)
{
    open_scope();
    add_steps();
    for (int i = 0; i < step_count; i++) {
        const mbr_step_keeper *k = steps[i].kind->keeper;
        size_t before = atomic_load(&b.memory.in_use);
        mbr_status st = MBR_ERR_NO_MEMORY;
        for (long fail = 0; st != MBR_OK; fail++) {
            void *state = NULL;
            atomic_store(&b.memory.fail_after, fail);
            st = k->begin(&steps[i], &b.memory, &state, &b.err);
            atomic_store(&b.memory.fail_after, -1);
            ck_assert(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
            if (st == MBR_OK)
                k->end(&steps[i], state);
            ck_assert_uint_eq(atomic_load(&b.memory.in_use), before);
            ck_assert_int_lt(fail, 20);
        }
    }
    bench_close(&b);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("steps_keyed");
    TCase *tc = tcase_create("series");
    tcase_add_test(tc, statistics);
    tcase_add_test(tc, medians);
    tcase_add_test(tc, grids);
    tcase_add_test(tc, bands);
    suite_add_tcase(suite, tc);
#ifdef HAVE_YAML
    tc = tcase_create("steps");
    tcase_add_test(tc, batches_and_rows);
    tcase_add_test(tc, tensors_say_what_rows_say);
    tcase_add_test(tc, another_rate_by_key);
    tcase_add_test(tc, another_rate_without_memory);
    tcase_add_test(tc, tensors_by_hand);
    tcase_add_test(tc, tensors_without_memory);
    tcase_add_test(tc, more_than_a_group_holds);
    tcase_add_test(tc, saved_and_restored);
    tcase_add_test(tc, values_by_hand);
    tcase_add_test(tc, complaints);
    tcase_add_test(tc, without_memory);
    suite_add_tcase(suite, tc);
#endif
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

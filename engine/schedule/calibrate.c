/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measuring rates: for each family one operator at two sizes, through the very code that runs it in a model, so that what
 * an operator does around its kernel is in the rate. Shortest of several tries: whatever else runs only adds time.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "engine/limits.h"
#include "engine/schedule/kept.h"
#include "engine/schedule/rates.h"
#include "engine/spans.h"
#include "engine/trial.h"
#include "kernels/cpu.h"
#include "kernels/tree.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ALL_NS 1500000000.0 /* what has no rate by then keeps its default */
#define EACH_NS 4000000.0   /* tries of one sample, but at least LEAST_TRIES */
#define LEAST_TRIES 4
#define LEAST_BASE 10.0     /* of a step */
#define ROUNDS_NS 5000.0
#define QUIET 0.8 /* of the processor time that the measurement asked for; clocks of other threads are a few ms late */
#define BUSY_S 600.0 /* for so long rates from beside other jobs are kept */

/* In the text # is a size; $ is `times` times it, 0: its square; & is 16 times that: how many elements a constant has. */
typedef struct sample {
    mbr_work_family family;
    int small, large, times;
    const char *input, *body;
} sample;

#define AXES "k_axes = [0, 2, 3, 1], q_axes = [0, 2, 1, 3], v_axes = [0, 2, 1, 3], y_axes = [0, 2, 1, 3]"
#define SQUARE(type) "const %w = " type "[#, #] {... $}\n"
#define CONV(more) "%y = mbr.Conv@1(%x, %w) {dilations = [1, 1], " more "}"
#define THREE "kernel_shape = [3, 3], pads = [1, 1, 1, 1]"
#define SCALE "const %s = f32[] {0.1}\nconst %z = u8[] {3}\n"
#define QCONV(more) "%y = com.microsoft.QLinearConv@1(%x, %s, %z, %w, %s, %i, %s, %z) {channels_last = 1, " more "}"

static const sample samples[] = {
    { MBR_WORK_PRODUCT, 16, 256, 0, "f32[#, #]", SQUARE("f32") "%y = ai.onnx.MatMul@13(%x, %w)" },
    { MBR_WORK_PRODUCT_FEW, 16, 256, 0, "f32[6, #]", SQUARE("f32") "%y = ai.onnx.MatMul@13(%x, %w)" },
    { MBR_WORK_PRODUCT_ROW, 16, 320, 0, "f32[1, #]", SQUARE("f32") "%y = ai.onnx.MatMul@13(%x, %w)" },
    { MBR_WORK_CONV, 32, 192, 0, "f32[1, 14, 14, #]",
      "const %w = f32[#, #, 1, 1] {... $}\n" CONV("group = 1, kernel_shape = [1, 1]") },
    { MBR_WORK_CONV_FIRST, 32, 160, 0, "f32[1, 3, #, #]",
      "const %w = f32[32, 3, 3, 3] {... 864}\n" CONV("group = 1, input_nchw = 1, strides = [2, 2], " THREE) },
    { MBR_WORK_CONV_NARROW, 8, 40, 0, "f32[1, #, #, 16]",
      "const %w = f32[8, 16, 3, 3] {... 1152}\n" CONV("group = 1, " THREE) },
    { MBR_WORK_CONV_DEPTHWISE, 7, 28, 0, "f32[1, #, #, 128]",
      "const %w = f32[128, 1, 3, 3] {... 1152}\n" CONV("group = 128, " THREE) },
    { MBR_WORK_CONV_WINOGRAD, 16, 48, 0, "f32[1, #, #, 64]",
      "const %w = f32[64, 64, 3, 3] {... 36864}\n" CONV("group = 1, " THREE) },
    { MBR_WORK_CONV_DOT, 8, 48, 0, "f32[1, #, #, 16]",
      "const %w = f32[1, 16, 3, 3] {... 144}\n" CONV("group = 1, " THREE) },
    { MBR_WORK_ATTENTION, 16, 128, 0, "f32[1, #, 8, 64]", "%y = mbr.Attention@1(%x, %x, %x) {scale = f0.125, " AXES "}" },
    { MBR_WORK_RECURRENT, 4, 32, 0, "f32[#, 1, 64]",
      "const %w = f32[1, 256, 64] {... 16384}\n%y = ai.onnx.LSTM@14(%x, %w, %w) {hidden_size = 64}" },
    { MBR_WORK_QPRODUCT, 16, 256, 0, "u8[#, #]", SQUARE("i8") "%y = ai.onnx.MatMulInteger@10(%x, %w)" },
    { MBR_WORK_QCONV, 8, 192, 0, "u8[1, 14, 14, #]",
      SCALE "const %w = i8[#, #, 1, 1] {... $}\nconst %i = i8[] {0}\n" QCONV("kernel_shape = [1, 1]") },
    { MBR_WORK_QCONV_DEPTHWISE, 7, 28, 0, "u8[1, #, #, 128]",
      SCALE "const %w = i8[128, 1, 3, 3] {... 1152}\nconst %i = i8[] {0}\n" QCONV("group = 128, " THREE) },
    { MBR_WORK_NBITS, 8, 512, 16, "f32[1, 512]",
      "const %w = u8[#, 16, 16] {... &}\nconst %s = f32[$] {... $}\n"
      "%y = com.microsoft.MatMulNBits@1(%x, %w, %s) {K = 512, N = #, bits = 4, block_size = 32}" },
    { MBR_WORK_POINTWISE, 1024, 24000, 0, "f32[#]", "%y = ai.onnx.Add@14(%x, %x)" },
    { MBR_WORK_CHAIN, 1024, 24000, 0, "f32[#]",
      "%y = mbr.Chain@1(%x, %x, %x) {code = [1, 3, 0, 1, 0, 1, 4, 3, 2, 0], imm = f[0, 0, 0, 0], out = [4], types = [1]}" },
    { MBR_WORK_FUNCTION, 1024, 24000, 0, "f32[#]", "%y = ai.onnx.Tanh@13(%x)" },
    { MBR_WORK_SOFTMAX, 4, 256, 0, "f32[#, 128]", "%y = ai.onnx.Softmax@13(%x)" },
    { MBR_WORK_NORM, 2, 64, 0, "f32[#, 512]",
      "const %w = f32[512] {... 512}\n%y = ai.onnx.LayerNormalization@17(%x, %w, %w)" },
    { MBR_WORK_REDUCE, 2, 64, 0, "f32[#, 512]", "%y = ai.onnx.ReduceMean@13(%x) {axes = [1]}" },
    { MBR_WORK_POOL, 8, 28, 0, "f32[1, #, #, 64]", "%y = mbr.MaxPool@1(%x) {" THREE "}" },
    { MBR_WORK_COPY, 4, 256, 0, "f32[#, 64]", "%y = ai.onnx.Concat@13(%x, %x) {axis = 1}" },
    { MBR_WORK_TRANSPOSE, 16, 256, 0, "f32[#, 64]", "%y = ai.onnx.Transpose@13(%x) {perm = [1, 0]}" },
    { MBR_WORK_PICK, 8, 512, 0, "i64[#]", "const %w = f32[1000, 64] {... 64000}\n%y = ai.onnx.Gather@13(%w, %x)" },
    { MBR_WORK_QUANTIZE, 1024, 48000, 0, "f32[#]", SCALE "%y = ai.onnx.QuantizeLinear@13(%x, %s, %z)" },
};

/* Whose values no core's own cache has room for, and whose arithmetic takes about as long as they do. */
static const sample far_sample = { MBR_WORK_CONV, 192, 0, 0, "f32[1, #, #, 64]",
                                   "const %w = f32[32, 64, 1, 1] {... 2048}\n"
                                   CONV("group = 1, kernel_shape = [1, 1]") };

/* Steps as models have many, at two sizes: what is left of a core's speed where others have their part. */
static const sample team_sample = { MBR_WORK_CONV, 96, 288, 0, "f32[1, 24, 32, #]",
                                    "const %w = f32[#, #, 1, 1] {... $}\n"
                                    CONV("group = 1, kernel_shape = [1, 1]") };

/* The graph as text, with the sizes put in. */
static void write_text(const sample *s, int size, char *text, size_t room)
{
    const char *parts[] = { "module \"rates\" ir 8 opset ai.onnx 20 opset com.microsoft 1\ngraph g(%x: ", s->input,
                            ") -> (%y) {\n", s->body, "\n}\n" };
    size_t at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (const char *c = parts[i]; *c && at + 16 < room; c++) {
            int count = size * (s->times ? s->times : size);
            if (*c == '#' || *c == '$' || *c == '&')
                at += (size_t)snprintf(text + at, room - at, "%d", *c == '#' ? size : *c == '$' ? count : 16 * count);
            else
                text[at++] = *c;
        }
    text[at] = '\0';
}

/* Of the processor time that `threads` threads asked for since then: the share that they had, the rest had other jobs. */
typedef struct watch {
    double processor, clock;
} watch;

static watch watch_begin(void)
{
    struct timespec t;
    bool known = clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0;
    return (watch){ known ? (double)t.tv_sec * 1e9 + (double)t.tv_nsec : 0, (double)mbr_spans_now() };
}

static double watch_share(watch begin, int threads)
{
    watch now = watch_begin();
    double had = now.processor - begin.processor;
    return had > 0 ? had / (threads * (now.clock - begin.clock)) : 1;
}

/* A step of a sample. */
typedef struct timing {
    double ns;     /* its shortest time as a step among others; on a team the usual time of a run */
    double beside; /* what a run costs beside it */
} timing;

/* On a team to wait for others is never at its shortest for all steps of a run: so it is the usual time there. */
static mbr_status time_sample(mbr_memory *memory, mbr_team *team, const sample *s, int size, mbr_work *w, timing *t,
                              mbr_error *err)
{
    char text[768];
    mbr_trial b;
    bool settled = false;
    double run = 1e30, sum = 0;
    int i = 0;
    write_text(s, size, text, sizeof text);
    mbr_status st = mbr_trial_open(&b, memory, NULL, NULL, team, text, err);
    if (st == MBR_OK)
        st = mbr_trial_start(&b, err);
    if (st == MBR_OK)
        st = mbr_frame_settle(b.frame, &settled, err);
    settled = settled && !team;
    t->ns = 1e30;
    int rounds = 1;
    uint64_t begin = mbr_spans_now();
    for (; st == MBR_OK && (i < LEAST_TRIES || (double)(mbr_spans_now() - begin) < EACH_NS); i++) {
        bool whole = !settled || i % 8 == 0;
        uint64_t start = mbr_spans_now();
        for (int k = 0; k < (whole ? 1 : rounds) && st == MBR_OK; k++)
            st = whole ? mbr_frame_run(b.frame, err) : mbr_frame_round(b.frame, err);
        double took = (double)(mbr_spans_now() - start) / (whole ? 1 : rounds);
        run = whole && took < run ? took : run;
        sum += took;
        t->ns = (!whole || !settled) && took < t->ns ? took : t->ns;
        rounds = run < ROUNDS_NS ? (int)(ROUNDS_NS / run) : 1; /* the clock's own time is not to count */
    }
    if (st == MBR_OK) {
        t->ns = team ? sum / i : t->ns;
        t->beside = run - t->ns;
        mbr_work_of(mbr_frame_step(b.frame, 0), w);
        if (w->family != s->family)
            st = mbr_fail(err, MBR_ERR_INTERNAL, "a sample of %s is work of %s", mbr_work_names[s->family],
                          mbr_work_names[w->family]);
    }
    mbr_trial_close(&b);
    return st;
}

/* The two sizes of a sample: what was the shortest so far. */
typedef struct timed {
    double units[2], ns[2];
} timed;

static mbr_status measure_family(mbr_memory *memory, const sample *s, timed *t, mbr_rates *r, mbr_error *err)
{
    timing now;
    for (int i = 1; i >= 0; i--) {
        mbr_work w;
        MBR_TRY(time_sample(memory, NULL, s, i ? s->large : s->small, &w, &now, err));
        t->units[i] = w.units;
        t->ns[i] = t->ns[i] > 0 && t->ns[i] < now.ns ? t->ns[i] : now.ns;
    }
    if (s->family == MBR_WORK_POINTWISE && now.beside > 0)
        r->run_ns = now.beside;
    return MBR_OK;
}

/* --- trees --- */

#define TREES 64
#define FEATURES 16
#define ROWS 64

/* Trees have no sample: enough of them would be a long text. These are full, or chains of branches with a leaf each. */
static void plant(mbr_arena *a, size_t each, bool chain, mbr_tree_source *s, bool *enough)
{
    size_t n = TREES * each;
    uint32_t seed = 1, leaves = 0;
    uint8_t *mode = mbr_arena_alloc(a, n);
    int32_t *numbers = mbr_arena_calloc(a, 4 * n + TREES, sizeof *numbers), *root = numbers + 4 * n;
    uint32_t *first = mbr_arena_alloc(a, (n + 1) * sizeof *first);
    double *value = mbr_arena_calloc(a, 2 * n, sizeof *value);
    *enough = mode && numbers && first && value;
    for (size_t i = 0; i < n && *enough; i++) {
        size_t at = i % each;
        bool leaf = chain ? at % 2 || at + 1 == each : at >= each / 2;
        seed = seed * 1664525u + 1013904223u;
        mode[i] = leaf ? MBR_TREE_LEAF : MBR_TREE_LEQ;
        numbers[i] = (int32_t)(seed >> 28) % FEATURES;
        value[i] = value[n + i] = (double)(seed >> 16 & 127) / 128;
        numbers[n + i] = leaf ? 0 : (int32_t)(i + (chain ? 0 : at) + 1);
        numbers[2 * n + i] = leaf ? 0 : (int32_t)(i + (chain ? 0 : at) + 2);
        first[i] = leaves;
        leaves += leaf;
        first[i + 1] = leaves;
        root[i / each] = (int32_t)(i / each * each);
    }
    *s = (mbr_tree_source){ .nodes = n, .trees = TREES, .features = FEATURES, .targets = 1, .mode = mode,
                            .feature = numbers, .true_child = numbers + n, .false_child = numbers + 2 * n, .root = root,
                            .weight_target = numbers + 3 * n, .weight_first = first, .value = value,
                            .weight = value + n };
}

/* `rows` at a time of ROWS. */
static mbr_status measure_trees(mbr_memory *memory, mbr_tree_way due, size_t each, size_t rows, mbr_rates *r,
                                mbr_error *err)
{
    mbr_arena a;
    mbr_tree_source s;
    mbr_tree_shape shape;
    size_t node;
    bool enough;
    float x[ROWS * FEATURES];
    double y[ROWS], ns, least = 1e30;
    mbr_tree_cost cost;
    mbr_arena_init(&a, memory, 64 * 1024);
    plant(&a, each, due == MBR_TREE_JUMPS, &s, &enough);
    void *work = enough ? mbr_arena_alloc(&a, mbr_tree_work(&s)) : NULL;
    void *layout = work && mbr_tree_measure(&s, work, &shape, &node) == MBR_TREE_OK ?
                   mbr_arena_alloc(&a, shape.bytes) : NULL;
    if (layout) {
        const mbr_tree_ensemble *e = mbr_tree_prepare(&s, &shape, work, layout);
        mbr_tree_fn *fn = mbr_tree_select(mbr_cpu_tiers());
        uint32_t seed = 1;
        for (size_t i = 0; i < ROWS * FEATURES; i++)
            x[i] = (float)((seed = seed * 1664525u + 1013904223u) >> 8) / 16777216.0f;
        mbr_tree_costs(e, &cost);
        for (int i = 0; i < 16; i++) {
            uint64_t t = mbr_spans_now();
            for (size_t k = 0; k < ROWS; k += rows)
                fn(e, x, FEATURES, y, k, k + rows);
            double took = (double)(mbr_spans_now() - t) * (double)rows / ROWS;
            least = took < least ? took : least;
        }
        if (mbr_tree_way_of(&cost, mbr_cpu_tiers(), rows, &ns) == due)
            r->each[MBR_WORK_TREES + due] = least / ns;
    }
    mbr_arena_destroy(&a);
    return layout ? MBR_OK : mbr_no_memory(err, sizeof x);
}

static void fit(const sample *s, const timed *t, mbr_rates *r)
{
    double each = (t->ns[1] - t->ns[0]) / (t->units[1] - t->units[0]), base = t->ns[0] - each * t->units[0];
    if (!(each > 0) || base < LEAST_BASE) { /* the small one was disturbed, or costs nothing beside its units */
        base = LEAST_BASE;
        each = t->ns[1] > base ? (t->ns[1] - base) / t->units[1] : t->ns[1] / t->units[1];
    }
    r->base[s->family] = base;
    r->each[s->family] = each;
}

/* --- the team --- */

#define TILE_NS 20000 /* longer than it takes to come */

static bool wait_a_while(void *user, size_t first, size_t last, int worker)
{
    uint64_t begin = mbr_spans_now();
    (void)user;
    (void)worker;
    while (mbr_spans_now() - begin < TILE_NS * (last - first))
        continue;
    return true;
}

/* What it costs that a step runs on several threads: each has one piece, and all last equally long. */
static double team_ns(mbr_team *team, int workers)
{
    double best = 1e30;
    mbr_team_begin(team);
    for (int i = 0; i < 100; i++) {
        uint64_t t = mbr_spans_now();
        mbr_team_run(team, workers, (size_t)workers, 1, wait_a_while, NULL, NULL);
        double ns = (double)(mbr_spans_now() - t) - TILE_NS;
        best = ns < best ? ns : best;
    }
    mbr_team_end(team);
    return best;
}

static mbr_status measure_team(mbr_team *team, mbr_memory *memory, mbr_rates *r, mbr_error *err)
{
    mbr_limits_measured one, all;
    mbr_team *alone;
    int n = mbr_team_size(team);
    MBR_TRY(mbr_team_new(memory, 1, &alone, err));
    mbr_status st = mbr_limits_measure(alone, memory, &one, err);
    mbr_team_free(alone);
    MBR_TRY(st);
    all = one;
    for (int i = 0; i < 3 && n > 1; i++) { /* again where another job seems to have had a core meanwhile */
        MBR_TRY(mbr_limits_measure(team, memory, &all, err));
        if (all.flops > 0.8 * n * one.flops)
            break;
    }
    for (int i = 0; i < MBR_NEAR_COUNT; i++) {
        r->read[i] = one.read[i] * 1e-9;
        r->read_all[i] = (all.read[i] > one.read[i] ? all.read[i] : one.read[i]) * 1e-9;
    }
    double scale = all.flops / one.flops / n;
    r->shared_bytes = one.shared;
    r->scale = scale > 1 ? 1 : scale < 0.3 ? 0.3 : scale;
    if (n > 1) {
        double two = team_ns(team, 2), many = team_ns(team, n);
        r->wake_ns = two > 100 ? two : 100;
        r->join_ns = n > 2 && many > two ? (many - two) / (n - 2) : two / 10;
    }
    return MBR_OK;
}

/* What the arithmetic of steps keeps of its speed: beside what it reads, and on a team. */
static mbr_status measure_shares(mbr_team *team, mbr_memory *memory, mbr_rates *r, mbr_error *err)
{
    timing t;
    double one[2], all[2] = { 1e30, 1e30 };
    mbr_work w, works[2];
    int n = mbr_team_size(team);
    mbr_status st = time_sample(memory, NULL, &far_sample, far_sample.small, &w, &t, err);
    if (st == MBR_OK)
        mbr_rates_overlap(r, &w, t.ns);
    for (int k = 0; k < 2 && st == MBR_OK && n > 1; k++) {
        st = time_sample(memory, NULL, &team_sample, k ? team_sample.large : team_sample.small, &works[k], &t, err);
        one[k] = t.ns;
    }
    if (st != MBR_OK || n == 1)
        return st;
    mbr_team_begin(team);
    watch begin = watch_begin();
    for (int i = 0; i < 8 && st == MBR_OK; i++) { /* again and again: another job may have a core meanwhile */
        int k = i % 2;
        st = time_sample(memory, team, &team_sample, k ? team_sample.large : team_sample.small, &w, &t, err);
        all[k] = t.ns < all[k] ? t.ns : all[k];
    }
    double share = watch_share(begin, n);
    mbr_team_end(team);
    MBR_TRY(st);
    r->quiet = share < r->quiet ? share : r->quiet;
    mbr_rates_share(r, works, n, one, all);
    return MBR_OK;
}

mbr_status mbr_rates_measure(mbr_team *team, mbr_memory *memory, mbr_rates *r, mbr_error *err)
{
    watch begin = watch_begin();
    mbr_rates_default(r);
    timed times[MBR_COUNT_OF(samples)] = { 0 };
    for (size_t i = 0; i < 2 * MBR_COUNT_OF(samples) && (double)mbr_spans_now() - begin.clock < ALL_NS; i++) {
        size_t k = i % MBR_COUNT_OF(samples); /* twice, with time between: whatever else runs comes and goes */
        mbr_status st = measure_family(memory, &samples[k], &times[k], r, err);
        /* a family whose sample another kernel takes on this machine keeps its default */
        if (st != MBR_OK && st != MBR_ERR_INTERNAL && st != MBR_ERR_UNSUPPORTED)
            return st;
        if (st == MBR_OK)
            fit(&samples[k], &times[k], r);
    }
    MBR_TRY(measure_trees(memory, MBR_TREE_WALK, 511, ROWS, r, err));
    MBR_TRY(measure_trees(memory, MBR_TREE_MASKS, 63, ROWS, r, err));
    MBR_TRY(measure_trees(memory, MBR_TREE_JUMPS, 63, 1, r, err));
    double share = watch_share(begin, 1);
    r->quiet = share < 1 ? share : 1;
    MBR_TRY(measure_team(team, memory, r, err));
    mbr_status st = measure_shares(team, memory, r, err);
    if (st != MBR_OK && st != MBR_ERR_INTERNAL && st != MBR_ERR_UNSUPPORTED)
        return st;
    r->source = "measured";
    return MBR_OK;
}

/* --- keeping them --- */

mbr_status mbr_rates_get(mbr_team *team, mbr_memory *memory, const mbr_log *log, const char *folder, mbr_rates *r,
                         mbr_error *err)
{
    char key[160], text[3500];
    mbr_cpu_caches c = mbr_cpu_caches_get();
    mbr_kept kept;
    snprintf(key, sizeof key, "families %d.3 tiers %x caches %u %u %u threads %d", MBR_WORK_COUNT,
             mbr_cpu_tiers(), c.l1d, c.l2, c.l3, mbr_team_size(team));
    mbr_kept_find(&kept, "rates", key, folder);
    mbr_rates_default(r);
    if (mbr_kept_off(folder))
        return MBR_OK;
    if (mbr_kept_read(&kept, text, sizeof text) && mbr_rates_parse(r, text, NULL) == MBR_OK &&
        (r->quiet >= QUIET || mbr_kept_age(&kept) < BUSY_S)) {
        r->source = "kept";
        return MBR_OK;
    }
    MBR_TRY(mbr_rates_measure(team, memory, r, err));
    if (r->quiet < QUIET)
        mbr_log_at(log, MBR_LOG_INFO, "rates: measured with %.0f %% of the processor time, beside other jobs: kept for %.0f "
                   "minutes", 100 * r->quiet, BUSY_S / 60);
    mbr_rates_print(r, text, sizeof text);
    mbr_kept_write(&kept, text, log);
    return MBR_OK;
}

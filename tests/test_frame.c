/* SPDX-License-Identifier: BSD-2-Clause */
/* The symbolic plan and its frames: random graphs at random sizes, memory, cancelling. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/program.h"
#include "tests/ir_team.h"

#include <stdarg.h>
#ifndef MBR_NO_THREADS
#include <pthread.h>
#include <time.h>
#endif

/* --- random graphs over [n, m], [n, 1] and the like --- */

#define MOST_VALUES 48

typedef struct random_graph {
    char text[16384];
    size_t size;
    int n;                      /* values %v0 ... */
    int shape[MOST_VALUES];     /* 0: [n, m], 1: [m, n], 2: [n, 1], 3: [n, (2 * m)] */
    bool read[MOST_VALUES];
} random_graph;

static const char *const shapes[] = { "n, m", "m, n", "n, 1", "n, (m * 2)" };

MBR_PRINTF(2, 3) static void say(random_graph *g, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g->size += (size_t)vsnprintf(g->text + g->size, sizeof g->text - g->size, fmt, args);
    va_end(args);
    ck_assert_uint_lt(g->size, sizeof g->text);
}

static int pick(random_graph *g, int shape)
{
    for (int tries = 0; tries < 40; tries++) {
        int v = random_below(g->n);
        if (g->shape[v] == shape) {
            g->read[v] = true;
            return v;
        }
    }
    g->read[0] = true;
    return 0;
}

/* One node of some sort; its output is value g->n. */
static void add_node(random_graph *g)
{
    static const char *const unary[] = { "Relu@1", "Neg@1", "Tanh@1", "Identity@1", "Sigmoid@1" },
                             *const binary[] = { "Add@7", "Mul@7", "Sub@7" };
    int v = g->n, kind = random_below(10), a = pick(g, random_below(4)), shape = g->shape[a];
    if (kind < 3) {
        say(g, "  %%v%d = ai.onnx.%s(%%v%d)\n", v, unary[random_below(5)], a);
    } else if (kind < 6) {
        int b = pick(g, shape);
        say(g, "  %%v%d = ai.onnx.%s(%%v%d, %%v%d)\n", v, binary[random_below(3)], a, g->shape[b] == shape ? b : a);
    } else if (kind == 6 && shape < 2) {
        say(g, "  %%v%d = ai.onnx.Transpose@1(%%v%d) {perm = [1, 0]}\n", v, a);
        shape = 1 - shape;
    } else if (kind == 7 && shape == 0) {
        say(g, "  %%v%d = ai.onnx.ReduceMean@1(%%v%d) {axes = [1]}\n", v, a);
        shape = 2;
    } else if (kind == 8 && shape == 0) {
        say(g, "  %%v%d = ai.onnx.Concat@4(%%v%d, %%v%d) {axis = 1}\n", v, a, a);
        shape = 3;
    } else if (shape == 0) {
        int b = pick(g, 2);
        say(g, "  %%v%d = ai.onnx.Add@7(%%v%d, %%v%d)\n", v, a, g->shape[b] == 2 ? b : a);
    } else {
        say(g, "  %%v%d = ai.onnx.Softmax@13(%%v%d)\n", v, a);
    }
    g->shape[v] = shape;
    g->n++;
}

static void make_graph(random_graph *g)
{
    char nodes[sizeof g->text];
    memset(g, 0, sizeof *g);
    g->n = 4;
    for (int i = 0; i < 4; i++)
        g->shape[i] = i;
    int n = 5 + random_below(MOST_VALUES - 9);
    while (g->n < n)
        add_node(g);
    memcpy(nodes, g->text, g->size + 1);
    g->size = 0;
    say(g, "module \"random\" ir 8 opset ai.onnx 17\ngraph \"g\"(");
    for (int i = 0; i < 4; i++)
        say(g, "%s%%v%d: f32[%s]", i ? ", " : "", i, shapes[i]);
    say(g, ") -> (%%v%d", g->n - 1);
    for (int i = 4; i < g->n - 1; i++)
        if (!g->read[i] || random_below(12) == 0)
            say(g, ", %%v%d", i);
    say(g, ") {\n%s}\n", nodes);
}

/* Of two values of the slab that are alive at once, none reaches into the other. Lives are found here by plain means. */
static void check_slab(const ir_session *s)
{
    const mbr_program *p = s->p;
    int *first = calloc(p->n_values, sizeof *first), *last = calloc(p->n_values, sizeof *last);
    ck_assert(first && last);
    for (uint32_t v = 0; v < p->n_values; v++)
        first[v] = -1;
    for (uint32_t k = 0; k < p->n_steps; k++)
        for (uint32_t i = 0; i < p->steps[k].n_in + p->steps[k].n_out; i++) {
            uint32_t v = i < p->steps[k].n_in ? p->steps[k].in[i] : p->steps[k].out[i - p->steps[k].n_in];
            if (v == MBR_NO_VALUE)
                continue;
            while (p->values[v].place == MBR_PLACE_ALIAS)
                v = p->values[v].root;
            first[v] = first[v] < 0 ? (int)k : first[v];
            last[v] = (int)k;
        }
    for (uint32_t i = 0; i < p->n_slab; i++)
        for (uint32_t j = 0; j < i; j++) {
            uint32_t a = p->slab_order[i], b = p->slab_order[j];
            const mbr_value *x = mbr_frame_value(s->f, a), *y = mbr_frame_value(s->f, b);
            if (first[a] > last[b] || first[b] > last[a])
                continue;
            const char *xa = x->data, *ya = y->data;
            ck_assert_msg(xa + mbr_value_bytes(x) <= ya || ya + mbr_value_bytes(y) <= xa, "%s and %s overlap",
                          p->values[a].ir->name, p->values[b].ir->name);
        }
    free(first);
    free(last);
}

static void inputs_of(const ir_session *s, int64_t n, int64_t m, mbr_value **inputs)
{
    const ir_size sizes[] = { { "n", n }, { "m", m }, { 0 } };
    for (size_t i = 0; i < s->m->main->n_inputs; i++)
        inputs[i] = ir_input(&memory, s, i, sizes, 1);
}

static void drop(mbr_value **inputs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mbr_value_drop(inputs[i]);
}

START_TEST(random_graphs_at_random_sizes)
{
    static random_graph g;
    random_seed("frame");
    for (int round = 0; round < 60; round++) {
        make_graph(&g);
        ir_session lasting;
        mbr_value *inputs[4];
        ir_open(&lasting, &memory, team, g.text, "all");
        for (int size = 0; size < 8; size++) {
            ir_session fresh;
            ir_open(&fresh, &memory, NULL, g.text, "none");
            inputs_of(&fresh, random_below(size < 4 ? 6 : 60), random_below(40) + (size & 1), inputs);
            ir_run(&lasting, inputs);
            ir_run(&fresh, inputs);
            check_slab(&lasting);
            check_slab(&fresh);
            for (size_t i = 0; i < fresh.m->main->n_outputs; i++)
                ck_assert_msg(ir_close_enough(mbr_frame_output(lasting.f, i), mbr_frame_output(fresh.f, i)),
                              "output %zu differs in\n%s", i, g.text);
            drop(inputs, 4);
            ir_close(&fresh);
        }
        ir_close(&lasting);
    }
}
END_TEST

START_TEST(sizes_seen_before_take_no_memory)
{
    static random_graph g;
    random_seed("frame");
    for (int round = 0; round < 10; round++) {
        make_graph(&g);
        ir_session s;
        mbr_value *small[4], *large[4];
        ir_open(&s, &memory, team, g.text, "all");
        inputs_of(&s, 3, 5, small);
        inputs_of(&s, 50, 40, large);
        ir_run(&s, small);
        ir_run(&s, large);
        size_t before = atomic_load(&memory.count), held = atomic_load(&memory.in_use);
        for (int i = 0; i < 20; i++)
            ir_run(&s, i & 1 ? small : large);
        ck_assert_uint_eq(atomic_load(&memory.count), before);
        mbr_value *other[4];
        inputs_of(&s, 49, 39, other); /* a size never seen, but smaller: only its inputs are new */
        before = atomic_load(&memory.count);
        ir_run(&s, other);
        ck_assert_uint_eq(atomic_load(&memory.count), before);
        drop(other, 4);
        ck_assert_uint_eq(atomic_load(&memory.in_use), held);
        drop(small, 4);
        drop(large, 4);
        ir_close(&s);
    }
}
END_TEST

START_TEST(a_thousand_shapes_do_not_pile_up)
{
    static random_graph g;
    ir_session s;
    mbr_value *inputs[4];
    random_seed("frame");
    make_graph(&g);
    ir_open(&s, &memory, team, g.text, "all");
    inputs_of(&s, 64, 64, inputs);
    ir_run(&s, inputs);
    drop(inputs, 4);
    size_t held = atomic_load(&memory.in_use);
    for (int i = 0; i < 1000; i++) {
        inputs_of(&s, random_below(65), random_below(65), inputs);
        ir_run(&s, inputs);
        drop(inputs, 4);
    }
    ck_assert_uint_le(atomic_load(&memory.in_use), held);
    ir_close(&s);
}
END_TEST

static const char *two_inputs = "module \"m\" ir 8 opset ai.onnx 17\n"
                                "graph \"g\"(%x: f32[n, 4], %z: f32[n, 4]) -> (%y) {\n"
                                "  %a: f32[n, 4] = ai.onnx.Add@7(%x, %z)\n"
                                "  %y: f32[n, 4] = ai.onnx.Softmax@13(%a)\n"
                                "}\n";

START_TEST(what_does_not_fit_is_refused)
{
    ir_session s;
    ir_open(&s, &memory, NULL, two_inputs, "none");
    const ir_size three[] = { { "n", 3 }, { 0 } }, five[] = { { "n", 5 }, { 0 } };
    mbr_value *x = ir_input(&memory, &s, 0, three, 1), *z = ir_input(&memory, &s, 1, five, 1);
    ck_assert_int_eq(mbr_frame_run(s.f, &err), MBR_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "'x' is missing"));
    ck_assert_int_eq(mbr_frame_bind(s.f, 0, x, &err), MBR_OK);
    ck_assert_int_eq(mbr_frame_run(s.f, &err), MBR_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "'z' is missing"));
    ck_assert_int_eq(mbr_frame_bind(s.f, 1, z, &err), MBR_OK);
    ck_assert_int_eq(mbr_frame_run(s.f, &err), MBR_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "dimension 'n' is 3 in another input"));
    mbr_value *both[] = { x, x };
    ir_run(&s, both); /* and it may be used again */
    drop(both, 1);
    mbr_value_drop(z);
    ir_close(&s);
}
END_TEST

/* Where an unknown size meets a known one the plan takes it for equal, or 1; a run finds out. */
START_TEST(sizes_that_the_plan_takes_for_granted_are_checked)
{
    static const char *const bodies[] = {
        "  const %w = f32[6, 4] {... 24}\n  %y = ai.onnx.Add@7(%x, %w)\n",
        "  const %w = f32[6, 1] {... 6}\n  %a = ai.onnx.Tanh@1(%x)\n  %y = ai.onnx.Mul@7(%w, %a)\n",
        "  const %w = f32[6, 4] {... 24}\n  %y = ai.onnx.Max@13(%x, %w, %w)\n",
        "  const %w = f32[6, 4] {... 24}\n  %c = ai.onnx.Less@9(%x, %w)\n  %y = ai.onnx.Where@9(%c, %w, %x)\n",
        "  const %w = i32[6, 4] {... 24}\n  %i = ai.onnx.Cast@13(%x) {to = 6}\n  %y = ai.onnx.Sub@14(%i, %w)\n",
        "  const %s = i64[2] {6, 4}\n  %y = ai.onnx.Reshape@14(%x, %s)\n",
        "  const %s = i64[2] {6, 4}\n  %a = ai.onnx.Neg@1(%x)\n  %b = ai.onnx.Reshape@14(%a, %s)\n"
        "  %y = ai.onnx.Exp@13(%b)\n",
        "  const %s = i64[2] {6, 4}\n  %y = ai.onnx.Expand@8(%x, %s)\n",
        "  const %w = f32[1, 4] {... 4}\n  %a = ai.onnx.Concat@4(%x, %w) {axis = 0}\n"
        "  const %v = f32[7, 1] {... 7}\n  %y = ai.onnx.Add@7(%a, %v)\n",
        "  const %w = f32[6, 2] {... 12}\n  %y = ai.onnx.Gemm@13(%x, %w) {transA = 1}\n",
        "  const %w = f32[6] {... 6}\n  %t = ai.onnx.Transpose@1(%x) {perm = [1, 0]}\n  %y = ai.onnx.Sub@7(%t, %w)\n",
    };
    char text[1000];
    for (size_t b = 0; b < MBR_COUNT_OF(bodies); b++)
        for (int all = 0; all < 2; all++)
            for (int64_t n = 2; n < 20; n += n > 7 ? 5 : 1) {
                ir_session s;
                snprintf(text, sizeof text, "%s%s}\n",
                         "module \"m\" ir 8 opset ai.onnx 17\ngraph \"g\"(%x: f32[n, 4]) -> (%y) {\n", bodies[b]);
                ir_open(&s, &memory, NULL, text, all ? "all" : "none");
                const ir_size size[] = { { "n", n }, { 0 } };
                mbr_value *x = ir_input(&memory, &s, 0, size, 1);
                ck_assert_int_eq(mbr_frame_bind(s.f, 0, x, &err), MBR_OK);
                mbr_status st = mbr_frame_run(s.f, &err);
                if (n == 6)
                    ck_assert_msg(st == MBR_OK, "%s: %s", bodies[b], err.text);
                else
                    ck_assert_msg(st == MBR_ERR_INPUT || st == MBR_ERR_RUN, "n of %d was accepted by\n%s", (int)n,
                                  bodies[b]);
                mbr_value_drop(x);
                ir_close(&s);
            }
}
END_TEST

START_TEST(sizes_that_follow_from_others_are_checked)
{
    ir_session s;
    ir_open(&s, &memory, NULL, "module \"m\" ir 8 opset ai.onnx 17\n"
            "graph \"g\"(%x: f32[n, 4], %z: f32[(n * 2), 4]) -> (%y) {\n"
            "  %y: f32[(n * 3), 4] = ai.onnx.Concat@4(%x, %z) {axis = 0}\n"
            "}\n", "none");
    const ir_size three[] = { { "n", 3 }, { 0 } }, four[] = { { "n", 4 }, { 0 } };
    mbr_value *x = ir_input(&memory, &s, 0, three, 1), *z = ir_input(&memory, &s, 1, three, 1);
    mbr_value *wrong = ir_input(&memory, &s, 1, four, 1);
    ck_assert_int_eq(mbr_frame_bind(s.f, 0, x, &err), MBR_OK);
    ck_assert_int_eq(mbr_frame_bind(s.f, 1, wrong, &err), MBR_OK);
    ck_assert_int_eq(mbr_frame_run(s.f, &err), MBR_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "(n * 2) is 6"));
    mbr_value *both[] = { x, z };
    ir_run(&s, both);
    ck_assert_int_eq(mbr_frame_output(s.f, 0)->dims[0], 9);
    drop(both, 2);
    mbr_value_drop(wrong);
    ir_close(&s);
}
END_TEST

/* Where a step looks follows from a size that neither its input nor its output has. */
START_TEST(content_that_no_size_shows)
{
    ir_session s;
    ir_open(&s, &memory, NULL, "module \"m\" ir 8 opset ai.onnx 17\n"
            "graph \"g\"(%t: f32[8, 2], %x: f32[n]) -> (%y) {\n"
            "  const %one = i64[1] {1}\n  const %axis = i64[1] {0}\n"
            "  %n = ai.onnx.Shape@15(%x)\n"
            "  %to = ai.onnx.Add@14(%n, %one)\n"
            "  %y = ai.onnx.Slice@13(%t, %n, %to, %axis)\n"
            "}\n", "all");
    const ir_size any[] = { { 0 } };
    mbr_value *t = ir_input(&memory, &s, 0, any, 1);
    for (int64_t n = 3; n < 8; n++) {
        const ir_size size[] = { { "n", n }, { 0 } };
        mbr_value *in[] = { t, ir_input(&memory, &s, 1, size, 1) };
        ir_run(&s, in);
        ck_assert_mem_eq(mbr_frame_output(s.f, 0)->data, (const float *)t->data + 2 * n, 2 * sizeof(float));
        mbr_value_drop(in[1]);
    }
    mbr_value_drop(t);
    ir_close(&s);
}
END_TEST

START_TEST(the_slab_has_a_limit)
{
    static random_graph g;
    ir_session s;
    mbr_value *inputs[4], *large[4];
    random_seed("frame");
    do
        make_graph(&g);
    while (g.n < 30);
    ir_open(&s, &memory, NULL, g.text, "none");
    inputs_of(&s, 2, 2, inputs);
    inputs_of(&s, 200, 200, large);
    ir_run(&s, inputs);
    s.run.slab_limit = 40000;
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(mbr_frame_bind(s.f, i, large[i], &err), MBR_OK);
    if (mbr_frame_prepare(s.f, &err) != MBR_OK) { /* a graph of nothing but outputs has no slab */
        ck_assert_int_eq(err.status, MBR_ERR_LIMIT);
        ck_assert_ptr_nonnull(strstr(err.text, "limit is 40000"));
    } else {
        ck_assert_uint_le(mbr_frame_slab_bytes(s.f), 40000);
    }
    ir_run(&s, inputs);
    drop(inputs, 4);
    drop(large, 4);
    ir_close(&s);
}
END_TEST

START_TEST(outputs_may_go_to_the_callers_memory)
{
    ir_session s;
    float place[12];
    mbr_value out;
    ir_open(&s, &memory, NULL, two_inputs, "all");
    const ir_size three[] = { { "n", 3 }, { 0 } }, four[] = { { "n", 4 }, { 0 } };
    mbr_value *x = ir_input(&memory, &s, 0, three, 1), *large = ir_input(&memory, &s, 0, four, 1);
    mbr_value *inputs[] = { x, x };
    mbr_value_init(&out, &memory, MBR_KIND_TENSOR, MBR_DTYPE_F32);
    out.data = place;
    out.capacity = sizeof place;
    ck_assert_int_eq(mbr_frame_bind_output(s.f, 0, &out, &err), MBR_OK);
    ir_run(&s, inputs);
    ck_assert_ptr_eq(mbr_frame_output(s.f, 0), &out);
    ck_assert_ptr_eq(out.data, place);
    ck_assert_int_eq(out.dims[0], 3);
    float sum = place[0] + place[1] + place[2] + place[3];
    ck_assert(sum > 0.999f && sum < 1.001f);
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(mbr_frame_bind(s.f, i, large, &err), MBR_OK);
    ck_assert_int_eq(mbr_frame_run(s.f, &err), MBR_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "needs 64 bytes"));
    ck_assert_int_eq(mbr_frame_bind_output(s.f, 0, NULL, &err), MBR_OK);
    mbr_value *larger[] = { large, large };
    ir_run(&s, larger);
    ck_assert_int_eq(mbr_frame_output(s.f, 0)->dims[0], 4);
    mbr_value_drop(x);
    mbr_value_drop(large);
    ir_close(&s);
}
END_TEST

/* An operator writes its outputs whether they are read or not. */
START_TEST(outputs_that_nobody_reads)
{
    static const char *const texts[] = {
        "  const %k = i64[1] {2}\n"
        "  %v: f32[n, 2], %y: i64[n, 2] = ai.onnx.TopK@11(%x, %k)\n",
        "  const %k = i64[1] {2}\n"
        "  %y: f32[n, 2], %i: i64[n, 2] = ai.onnx.TopK@11(%x, %k)\n",
        "  %q: u8[n, 4], %y: f32[], %z: u8[] = ai.onnx.DynamicQuantizeLinear@11(%x)\n",
        "  %y: u8[n, 4], %s: f32[], %z: u8[] = ai.onnx.DynamicQuantizeLinear@11(%x)\n",
        "  %d: f32[n, 4], %y: bool[n, 4] = ai.onnx.Dropout@13(%x)\n",
        "  %y: f32[n, 4], %m: bool[n, 4] = ai.onnx.Dropout@13(%x)\n",
        "  %a: f32[n, 2], %y: f32[n, 2] = ai.onnx.Split@2(%x) {axis = 1}\n",
        "  const %scale = f32[4] {1, 1, 1, 1}\n"
        "  %a: f32[n, 4], %y: f32[n, 1], %i: f32[n, 1] = ai.onnx.LayerNormalization@17(%x, %scale)\n",
    };
    for (size_t t = 0; t < MBR_COUNT_OF(texts); t++) {
        char one[2000], all[2000], outputs[16] = "";
        for (const char *c = texts[t]; (c = strchr(c, '%')); c++) { /* the line of the operator names them first */
            const char *line = strstr(texts[t], "@"), *from = c;
            if (from < line && from[2] == ':')
                snprintf(outputs + strlen(outputs), sizeof outputs - strlen(outputs), "%s%.2s", *outputs ? ", " : "", c);
        }
        const char *head = "module \"m\" ir 8 opset ai.onnx 17\ngraph \"g\"(%x: f32[n, 4]) -> (";
        snprintf(one, sizeof one, "%s%%y) {\n%s}\n", head, texts[t]);
        snprintf(all, sizeof all, "%s%s) {\n%s}\n", head, outputs, texts[t]);
        ir_session few, full;
        ir_open(&few, &memory, NULL, one, "all");
        ir_open(&full, &memory, NULL, all, "all");
        ck_assert_uint_gt(full.m->main->n_outputs, 1);
        const ir_size three[] = { { "n", 3 }, { 0 } };
        mbr_value *x = ir_input(&memory, &few, 0, three, 1);
        ir_run(&few, &x);
        ir_run(&full, &x);
        size_t y = 0;
        while (strcmp(full.m->main->outputs[y]->name, "y") != 0)
            y++;
        ck_assert_msg(ir_close_enough(mbr_frame_output(few.f, 0), mbr_frame_output(full.f, y)), "%s", one);
        mbr_value_drop(x);
        ir_close(&few);
        ir_close(&full);
    }
}
END_TEST

#ifndef MBR_NO_THREADS

static void *cancel_soon(void *arg)
{
    mbr_run *run = arg;
    nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
    atomic_store(&run->cancelled, true);
    return NULL;
}

/* A loop that would go on for hours, and one long product after the other. */
START_TEST(a_weight_of_several_products_is_packed_once)
{
    static const float ones[2] = { 1, 1 }; /* times w: (4, 6), then (22, 32) */
    ir_session s;
    ir_open(&s, &memory, NULL,
            "module \"m\" ir 8 opset ai.onnx 17\n"
            "graph \"g\"(%x: f32[n, 2]) -> (%y) {\n"
            "  const %w = f32[2, 2] {1, 2, 3, 4}\n"
            "  %a = ai.onnx.MatMul@13(%x, %w)\n"
            "  %b = ai.onnx.MatMul@13(%a, %w)\n"
            "  %y = ai.onnx.MatMul@13(%b, %w)\n}\n", "none");
    const mbr_program *p = mbr_frame_program(s.f);
    const void *of[4];
    size_t n = 0, own = 0;
    for (uint32_t k = 0; k < p->n_steps; k++) {
        if (!p->steps[k].op->pack)
            continue;
        ck_assert_uint_lt(n, 4);
        of[n++] = p->steps[k].packed;
        own += !p->steps[k].packed_shared;
    }
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(own, 1);
    ck_assert(of[0] && of[1] == of[0] && of[2] == of[0]);
    mbr_value *x;
    ck_assert_int_eq(mbr_value_create_tensor(&memory, MBR_DTYPE_F32, 2, (int64_t[]){ 1, 2 }, &x, NULL), MBR_OK);
    memcpy(x->data, ones, sizeof ones);
    ir_run(&s, &x);
    const float *y = mbr_frame_output(s.f, 0)->data;
    ck_assert(y[0] == 22 * 1 + 32 * 3 && y[1] == 22 * 2 + 32 * 4);
    mbr_value_drop(x);
    ir_close(&s);
}
END_TEST

START_TEST(a_weight_in_two_layouts_is_packed_twice)
{
    ir_session s;
    ir_open(&s, &memory, NULL,
            "module \"m\" ir 8 opset ai.onnx 17\n"
            "graph \"g\"(%x: f32[n, 2]) -> (%a, %b) {\n"
            "  const %w = f32[2, 2] {1, 2, 3, 4}\n"
            "  %a = ai.onnx.MatMul@13(%x, %w)\n"
            "  %b = mbr.MatMul@1(%x, %w) {transB = 1}\n}\n", "none");
    const mbr_program *p = mbr_frame_program(s.f);
    ck_assert(p->steps[0].packed && p->steps[1].packed && p->steps[0].packed != p->steps[1].packed);
    ir_close(&s);
}
END_TEST

START_TEST(a_run_can_be_cancelled_from_another_thread)
{
    static const char *const texts[] = {
        "module \"m\" ir 8 opset ai.onnx 17\n"
        "graph \"g\"(%x: f32[n, n]) -> (%y) {\n"
        "  const %trips = i64[] {1000000000000}\n"
        "  const %go = bool[] {1}\n"
        "  %y: f32[n, n] = ai.onnx.Loop@16(%trips, %go, %x) {body = graph \"b\"(%i: i64[], %c: bool[], %v: f32[n, n]) -> "
        "(%d, %w) {\n"
        "    %d: bool[] = ai.onnx.Identity@1(%c)\n"
        "    %w: f32[n, n] = ai.onnx.Tanh@1(%v)\n"
        "  }}\n"
        "}\n",
        "module \"m\" ir 8 opset ai.onnx 17\n"
        "graph \"g\"(%x: f32[n, n]) -> (%y) {\n"
        "  %a: f32[n, n] = ai.onnx.MatMul@1(%x, %x)\n"
        "  %b: f32[n, n] = ai.onnx.MatMul@1(%a, %x)\n"
        "  %c: f32[n, n] = ai.onnx.MatMul@1(%b, %x)\n"
        "  %y: f32[n, n] = ai.onnx.MatMul@1(%c, %x)\n"
        "}\n",
    };
    for (int t = 0; t < 2; t++) {
        ir_session s;
        pthread_t other;
        ir_open(&s, &memory, team, texts[t], "all");
        const ir_size sizes[] = { { "n", t ? 1500 : 8 }, { 0 } };
        mbr_value *x = ir_input(&memory, &s, 0, sizes, 1);
        ck_assert_int_eq(mbr_frame_bind(s.f, 0, x, &err), MBR_OK);
        ck_assert_int_eq(pthread_create(&other, NULL, cancel_soon, &s.run), 0);
        ck_assert_int_eq(mbr_frame_run(s.f, &err), MBR_ERR_CANCELLED);
        ck_assert_int_eq(pthread_join(other, NULL), 0);
        atomic_store(&s.run.cancelled, false);
        mbr_value_drop(x);
        ir_close(&s);
    }
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *tc = tcase_create("frame");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, random_graphs_at_random_sizes);
    tcase_add_test(tc, sizes_seen_before_take_no_memory);
    tcase_add_test(tc, a_thousand_shapes_do_not_pile_up);
    tcase_add_test(tc, what_does_not_fit_is_refused);
    tcase_add_test(tc, sizes_that_the_plan_takes_for_granted_are_checked);
    tcase_add_test(tc, sizes_that_follow_from_others_are_checked);
    tcase_add_test(tc, content_that_no_size_shows);
    tcase_add_test(tc, the_slab_has_a_limit);
    tcase_add_test(tc, outputs_may_go_to_the_callers_memory);
    tcase_add_test(tc, outputs_that_nobody_reads);
#ifndef MBR_NO_THREADS
    tcase_add_test(tc, a_weight_of_several_products_is_packed_once);
    tcase_add_test(tc, a_weight_in_two_layouts_is_packed_twice);
    tcase_add_test(tc, a_run_can_be_cancelled_from_another_thread);
#endif
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

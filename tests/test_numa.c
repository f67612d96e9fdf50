/* SPDX-License-Identifier: BSD-2-Clause */
/* Teams on several NUMA nodes, which this machine need not have: MBR_TOPOLOGY tells of them. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/replicas.h"
#include "engine/schedule/machine.h"
#include "engine/spans.h"
#include "engine/topology.h"
#include "tests/ir_text.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define TWO_NODES "numa:2 core:1 pu:1"

static mbr_memory memory;
static mbr_team *team;
static mbr_error err;

static void setup(void)
{
    mbr_memory_init(&memory);
    setenv("MBR_TOPOLOGY", TWO_NODES, 1);
    ck_assert_int_eq(mbr_team_new(&memory, 2, &team, &err), MBR_OK);
}

static void teardown(void)
{
    mbr_team_free(team);
    team = NULL;
    ck_assert_uint_eq(memory.in_use, 0);
}

/* --- threads --- */

START_TEST(nodes_of_threads)
{
    mbr_team *more;
    int first = mbr_team_node(team, 0);
    ck_assert_int_eq(mbr_team_nodes(team), 2);
    ck_assert_int_eq(first, 0);
    ck_assert_int_eq(mbr_team_node(team, 1), 1);
    setenv("MBR_TOPOLOGY", "numa:4 core:2 pu:2", 1);
    for (int threads = 1; threads <= 9; threads++) {
        ck_assert_int_eq(mbr_team_new(&memory, threads, &more, &err), MBR_OK);
        int nodes = threads > 8 ? 4 : (threads + 1) / 2;
        ck_assert_int_eq(mbr_team_nodes(more), nodes);
        for (int i = 0; i < threads; i++)
            ck_assert_int_eq(mbr_team_node(more, i), i % 8 / 2);
        mbr_team_free(more);
    }
    setenv("MBR_TOPOLOGY", "core:4 pu:1", 1); /* one node */
    ck_assert_int_eq(mbr_team_new(&memory, 4, &more, &err), MBR_OK);
    ck_assert_int_eq(mbr_team_nodes(more), 1);
    ck_assert_int_eq(mbr_team_node(more, 3), 0);
    mbr_team_free(more);
}
END_TEST

typedef struct places {
    atomic_int cpus; /* bit i: the helper may use processor i */
    atomic_bool seen;
} places;

static bool look_where(void *user, size_t first, size_t last, int worker)
{
    places *p = user;
    (void)first, (void)last;
    if (worker == 1) {
        cpu_set_t set;
        int cpus = 0;
        if (sched_getaffinity(0, sizeof set, &set) == 0)
            for (int i = 0; i < 8; i++)
                cpus |= CPU_ISSET(i, &set) ? 1 << i : 0;
        atomic_store(&p->cpus, cpus);
        atomic_store(&p->seen, true);
    }
    for (uint64_t end = mbr_spans_now() + 1000000; !atomic_load(&p->seen) && mbr_spans_now() < end;)
        continue;
    return true;
}

/* A helper stays on its node; the caller is where it was. */
START_TEST(helpers_are_bound)
{
    if (!mbr_topology_allows(0) || !mbr_topology_allows(1) || sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return; /* the processors of the description are not to be had */
    cpu_set_t before, after;
    places p = { 0 };
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    int here = sched_getcpu();
    mbr_team_free(team);
    ck_assert_int_eq(mbr_team_new(&memory, 2, &team, &err), MBR_OK);
    int moved = sched_getcpu();
    for (int i = 0; i < 10000 && !atomic_load(&p.seen); i++)
        mbr_team_run(team, 2, 2, 1, look_where, &p, NULL);
    ck_assert(atomic_load(&p.seen));
    int cpus = atomic_load(&p.cpus);
    if (here == moved && here < 2)
        ck_assert_int_eq(cpus, here ? 1 : 2); /* the node that the team was not made on */
    else
        ck_assert(cpus == 1 || cpus == 2);
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert(CPU_EQUAL(&before, &after));
}
END_TEST

/* --- copies of weights --- */

#define HEAD "module \"m\" ir 8 opset ai.onnx 17\n"
static const char *const graphs[] = {
    HEAD "graph \"g\"(%x: f32[n, 300], %w: f32[300, 500]) -> (%y) {\n%y: f32[n, 500] = ai.onnx.MatMul@13(%x, %w)\n}\n",
    HEAD "graph \"g\"(%x: f32[n, 8, 24, 24], %w: f32[40, 8, 3, 3]) -> (%y) {\n"
         "%y: f32[n, 40, 24, 24] = ai.onnx.Conv@11(%x, %w) {pads = [1, 1, 1, 1]}\n}\n",
    HEAD "graph \"g\"(%x: f32[n, 5, 40], %w: f32[1, 128, 40], %r: f32[1, 128, 32]) -> (%y) {\n"
         "%y: f32[n, 1, 5, 32], _, _ = ai.onnx.LSTM@14(%x, %w, %r) {hidden_size = 32}\n}\n",
    HEAD "graph \"g\"(%x: f32[n, 40], %w: f32[40, 50], %v: f32[50, 40], %c: i64[], %t: bool[]) -> (%y) {\n"
         "%y: f32[n, 40] = ai.onnx.Loop@13(%c, %t, %x) {body = graph \"b\"(%i: i64[], %u: bool[], %s: f32[n, 40]) -> "
         "(%u, %o) {\ncapture %w = %w\ncapture %v = %v\n"
         "%h: f32[n, 50] = ai.onnx.MatMul@13(%s, %w)\n%p: f32[n, 40] = ai.onnx.MatMul@13(%h, %v)\n"
         "%o: f32[n, 40] = ai.onnx.Tanh@13(%p)\n}}\n}\n",
};

/* Inputs beside x become constants with random numbers. */
static void open_constant(ir_session *s, const char *text)
{
    s->m = ir_parse(&memory, text);
    mbr_ir_graph *g = s->m->main;
    for (size_t i = 1; i < g->n_inputs; i++) {
        ir_session shape = { .m = s->m };
        mbr_value *v = ir_input(&memory, &shape, i, NULL, 2);
        if (v->dtype == MBR_DTYPE_I64)
            ((int64_t *)v->data)[0] = 3;
        if (v->dtype == MBR_DTYPE_BOOL)
            ((uint8_t *)v->data)[0] = 1;
        ck_assert_int_eq(mbr_ir_set_constant(g->inputs[i], v, &err), MBR_OK);
        g->inputs[i]->is_input = false;
    }
    g->n_inputs = 1;
    ir_passes(s->m, "all");
    ck_assert_msg(mbr_program_new(s->m->main, &s->p, &err) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(mbr_run_init(&s->run, &memory, team, 2, s->m, &err), MBR_OK);
    ck_assert_msg(mbr_frame_new(s->p, &s->run, &s->f, &err) == MBR_OK, "%s", err.text);
}

static mbr_value *copy_of(const mbr_value *v)
{
    mbr_value *copy;
    ck_assert_int_eq(mbr_value_create_tensor(&memory, v->dtype, v->rank, v->dims, &copy, &err), MBR_OK);
    memcpy(copy->data, v->data, mbr_value_bytes(v));
    return copy;
}

static bool same_bytes(const mbr_value *a, const mbr_value *b)
{
    return mbr_value_bytes(a) == mbr_value_bytes(b) && memcmp(a->data, b->data, mbr_value_bytes(a)) == 0;
}

/* What packed: the step's own, or the first of a body's. */
static const mbr_program_step *packed_step(const mbr_program *p, const mbr_program **of)
{
    for (uint32_t i = 0; i < p->n_steps; i++) {
        *of = p;
        if (p->steps[i].packed)
            return &p->steps[i];
        for (uint32_t b = 0; b < p->steps[i].n_bodies; b++) {
            const mbr_program_step *s = packed_step(p->steps[i].bodies[b].program, of);
            if (s)
                return s;
        }
    }
    return NULL;
}

START_TEST(a_copy_on_each_node)
{
    random_seed("numa");
    for (int rounds = 0; rounds < 2; rounds++) {
        ir_session s;
        size_t bytes, all;
        const mbr_program *of;
        open_constant(&s, graphs[_i]);
        mbr_value *x = ir_input(&memory, &s, 0, NULL, 37);
        ir_run(&s, &x);
        mbr_value *want = copy_of(mbr_frame_output(s.f, 0));
        ck_assert_int_eq(mbr_replicas_make(s.p, team, 64, &bytes, &err), MBR_OK); /* too small a budget */
        ck_assert_uint_eq(bytes, 0);
        const mbr_program_step *step = packed_step(s.p, &of);
        ck_assert_ptr_nonnull(step);
        ck_assert_ptr_eq(mbr_replica(of, step, 1), step->packed);
        ck_assert_int_eq(mbr_replicas_make(s.p, team, 1 << 24, &all, &err), MBR_OK);
        ck_assert_uint_ge(all, s.p->packed_bytes);
        ck_assert_ptr_eq(mbr_replica(of, step, 0), step->packed);
        ck_assert_ptr_ne(mbr_replica(of, step, 1), step->packed);
        ck_assert_mem_eq(mbr_replica(of, step, 1), step->packed, step->packed_bytes);
        for (int run = 0; run < 20; run++) {
            ir_run(&s, &x);
            ck_assert(same_bytes(mbr_frame_output(s.f, 0), want));
        }
        mbr_value_drop(want);
        mbr_value_drop(x);
        ir_close(&s);
    }
}
END_TEST

/* The second thread does read its own: what is wrong there shows in the answer. */
START_TEST(each_thread_reads_its_own)
{
    ir_session s;
    size_t bytes;
    const mbr_program *of;
    random_seed("numa");
    open_constant(&s, graphs[0]);
    mbr_value *x = ir_input(&memory, &s, 0, NULL, 4000);
    ck_assert_int_eq(mbr_replicas_make(s.p, team, 1 << 24, &bytes, &err), MBR_OK);
    ir_run(&s, &x);
    mbr_value *want = copy_of(mbr_frame_output(s.f, 0));
    const mbr_program_step *step = packed_step(s.p, &of);
    memset((char *)(uintptr_t)mbr_replica(of, step, 1) + MBR_ALIGN, 0, step->packed_bytes - MBR_ALIGN);
    bool differs = false;
    for (int run = 0; run < 2000 && !differs; run++) {
        ir_run(&s, &x);
        differs = !same_bytes(mbr_frame_output(s.f, 0), want);
    }
    ck_assert(differs);
    mbr_value_drop(want);
    mbr_value_drop(x);
    ir_close(&s);
}
END_TEST

START_TEST(copies_for_which_there_is_no_memory)
{
    ir_session s;
    size_t bytes;
    mbr_status st = MBR_ERR_NO_MEMORY;
    open_constant(&s, graphs[0]);
    for (long fail = 0; st != MBR_OK; fail++) {
        ck_assert_int_lt(fail, 20);
        atomic_store(&memory.fail_after, fail);
        st = mbr_replicas_make(s.p, team, 1 << 24, &bytes, &err);
        atomic_store(&memory.fail_after, -1);
        ck_assert(st == MBR_OK || (st == MBR_ERR_NO_MEMORY && bytes == 0 && !s.p->replicas));
    }
    ck_assert_uint_gt(bytes, 0);
    ir_close(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("numa");
    TCase *tc = tcase_create("numa");
    tcase_add_checked_fixture(tc, setup, teardown);
    bool told = mbr_topology_hwloc(TWO_NODES) == 2; /* else there is no hwloc to read descriptions */
#ifdef MBR_NO_THREADS
    told = false;
#endif
    if (told) {
        tcase_add_test(tc, nodes_of_threads);
        tcase_add_test(tc, helpers_are_bound);
        tcase_add_loop_test(tc, a_copy_on_each_node, 0, (int)MBR_COUNT_OF(graphs));
        tcase_add_test(tc, each_thread_reads_its_own);
        tcase_add_test(tc, copies_for_which_there_is_no_memory);
    }
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (!told)
        puts("SKIP: needs threads and hwloc");
    return told ? failed != 0 : 77;
}

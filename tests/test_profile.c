/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Profiles: every node of a model is found again in the step that does its work, with the passes that took it there;
 * the nodes' costs add up to the steps'; spans lie within their steps.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/limits.h"
#include "engine/profile.h"
#include "engine/schedule/kept.h"
#include "engine/schedule/rates.h"
#include "mbr/mbr.h"
#include "tests/ir_team.h"
#include "tests/onnx_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct profiled {
    ir_session s;
    mbr_profile *p;
    mbr_value *inputs[4];
} profiled;

static void run_text(profiled *r, const char *text, const char *passes, const ir_size *sizes, int runs)
{
    ir_open(&r->s, &memory, team, text, passes);
    for (size_t i = 0; i < r->s.m->main->n_inputs; i++) {
        r->inputs[i] = ir_input(&memory, &r->s, i, sizes, 1);
        ck_assert_msg(mbr_frame_bind(r->s.f, i, r->inputs[i], &err) == MBR_OK, "%s", err.text);
    }
    ck_assert_msg(mbr_profile_new(r->s.f, &r->p, &err) == MBR_OK, "%s", err.text);
    for (int i = 0; i < runs; i++)
        ck_assert_msg(mbr_frame_run(r->s.f, &err) == MBR_OK, "%s", err.text);
}

static void done(profiled *r)
{
    mbr_profile_free(r->p);
    for (size_t i = 0; i < r->s.m->main->n_inputs; i++)
        mbr_value_drop(r->inputs[i]);
    ir_close(&r->s);
}

static const mbr_profile_origin *node(const profiled *r, const char *name)
{
    for (size_t i = 0; i < mbr_profile_origin_count(r->p); i++) {
        const mbr_profile_origin *o = mbr_profile_origin_at(r->p, i);
        if (o->node && strcmp(o->node->name, name) == 0)
            return o;
    }
    ck_abort_msg("there is no node %s", name);
}

/* Costs of the nodes add up to those of the steps, and nobody has a part of nothing. */
static void check_sums(profiled *r)
{
    mbr_profile_cost rows = { 0 }, nodes = { 0 };
    size_t n = mbr_profile_origins(r->p);
    for (size_t i = 0; i < n; i++) {
        const mbr_profile_origin *o = mbr_profile_origin_at(r->p, i);
        nodes.ns += o->cost.ns;
        nodes.flop += o->cost.flop;
        nodes.bytes += o->cost.bytes;
        nodes.weight_bytes += o->cost.weight_bytes;
        if (o->entry == MBR_NO_ENTRY)
            ck_assert_double_eq(o->cost.ns, 0);
        ck_assert_ptr_nonnull(o->how);
    }
    for (size_t i = 0; i < mbr_profile_count(r->p); i++) {
        const mbr_profile_cost *c = &mbr_profile_at(r->p, i)->cost;
        rows.ns += c->ns;
        rows.flop += c->flop;
        rows.bytes += c->bytes;
        rows.weight_bytes += c->weight_bytes;
        ck_assert_double_le(c->weight_bytes, c->bytes);
    }
    ck_assert_double_gt(rows.ns, 0);
    ck_assert_double_eq_tol(nodes.ns, rows.ns, 1e-6 * rows.ns);
    ck_assert_double_eq_tol(nodes.flop, rows.flop, 1e-6 * rows.flop);
    ck_assert_double_eq_tol(nodes.bytes, rows.bytes, 1e-6 * rows.bytes);
    ck_assert_double_eq_tol(nodes.weight_bytes, rows.weight_bytes, 1e-6 * rows.weight_bytes + 1e-6);
}

#define HEAD "module \"m\" ir 8 opset ai.onnx 20\n"

/* The convolution has it all; the transpositions around it are its own; what follows shares a chain. */
static const char fused[] = HEAD
    "graph \"g\"(%x: f32[n, 4, 8, 8]) -> (%y) {\n"
    "  const %w = f32[4, 4, 1, 1] {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7}\n"
    "  const %s = f32[4] {1, 2, 3, 4}\n"
    "  const %one = f32[] {1}\n"
    "  const %two = f32[] {2}\n"
    "  %i: f32[n, 4, 8, 8] = ai.onnx.Identity@1(%x) \"same\"\n"
    "  %c: f32[n, 4, 8, 8] = ai.onnx.Conv@1(%i, %w) \"conv\"\n"
    "  %b: f32[n, 4, 8, 8] = ai.onnx.BatchNormalization@9(%c, %s, %s, %s, %s) \"norm\"\n"
    "  %r: f32[n, 4, 8, 8] = ai.onnx.Relu@1(%b) \"relu\"\n"
    "  %k: f32[] = ai.onnx.Add@7(%one, %two) \"known\"\n"
    "  %a: f32[n, 4, 8, 8] = ai.onnx.Exp@13(%r) \"exp\"\n"
    "  %m: f32[n, 4, 8, 8] = ai.onnx.Mul@7(%a, %k) \"mul\"\n"
    "  %d: f32[n, 4, 8, 8] = ai.onnx.Mul@7(%a, %k) \"again\"\n"
    "  %u: f32[n, 4, 8, 8] = ai.onnx.Neg@1(%a) \"unused\"\n"
    "  %y: f32[n, 4, 8, 8] = ai.onnx.Add@7(%m, %d) \"sum\"\n"
    "}\n";

START_TEST(nodes_are_found_again)
{
    profiled r;
    run_text(&r, fused, "all", NULL, 3);
    check_sums(&r);
    const mbr_profile_origin *conv = node(&r, "conv"), *exp = node(&r, "exp");
    ck_assert_uint_ne(conv->entry, MBR_NO_ENTRY);
    ck_assert_str_eq(mbr_profile_at(r.p, conv->entry)->node->op->name, "Conv");
    ck_assert_double_eq(conv->part, 1);
    ck_assert_str_eq(conv->how, "layout");
    ck_assert_uint_eq(node(&r, "norm")->entry, conv->entry);
    ck_assert_double_eq(node(&r, "norm")->part, 0);
    ck_assert_ptr_nonnull(strstr(node(&r, "norm")->how, "batchnorm"));
    ck_assert_uint_eq(node(&r, "relu")->entry, conv->entry);
    ck_assert_ptr_nonnull(strstr(node(&r, "relu")->how, "epilogue"));
    ck_assert_str_eq(node(&r, "known")->how, "fold");
    ck_assert_uint_eq(node(&r, "known")->entry, MBR_NO_ENTRY);
    ck_assert_str_eq(node(&r, "unused")->how, "dce");
    ck_assert_str_eq(node(&r, "same")->how, "identity");
    /* the chain: three nodes do something, the fourth does what another does */
    ck_assert_ptr_nonnull(strstr(exp->how, "chain"));
    ck_assert_str_eq(mbr_profile_at(r.p, exp->entry)->node->op->name, "Chain");
    ck_assert_uint_eq(node(&r, "sum")->entry, exp->entry);
    ck_assert_double_eq_tol(exp->part, 1.0 / 3, 1e-9);
    ck_assert_double_eq(node(&r, "again")->part + node(&r, "mul")->part, exp->part);
    done(&r);
}
END_TEST

/* Without passes every node is its own step. */
START_TEST(nodes_as_they_are)
{
    profiled r;
    run_text(&r, fused, "none", NULL, 2);
    check_sums(&r);
    for (size_t i = 0; i < mbr_profile_origin_count(r.p); i++) {
        const mbr_profile_origin *o = mbr_profile_origin_at(r.p, i);
        ck_assert_ptr_nonnull(o->node);
        if (o->entry == MBR_NO_ENTRY)
            continue;
        ck_assert_ptr_eq(mbr_profile_at(r.p, o->entry)->node, o->node);
        ck_assert_double_eq(o->part, 1);
    }
    done(&r);
}
END_TEST

START_TEST(rules_are_named)
{
    profiled r;
    run_text(&r, HEAD "graph \"g\"(%x: f32[n, 64]) -> (%y) {\n"
             "  const %root = f32[] {1.4142135}\n  const %one = f32[] {1}\n  const %half = f32[] {0.5}\n"
             "  %a: f32[n, 64] = ai.onnx.Div@7(%x, %root) \"div\"\n"
             "  %b: f32[n, 64] = ai.onnx.Erf@13(%a) \"erf\"\n"
             "  %c: f32[n, 64] = ai.onnx.Add@7(%b, %one) \"add\"\n"
             "  %d: f32[n, 64] = ai.onnx.Mul@7(%x, %c) \"mul\"\n"
             "  %y: f32[n, 64] = ai.onnx.Mul@7(%d, %half) \"halve\"\n}\n", "all", NULL, 2);
    static const char *const names[] = { "div", "erf", "add", "mul", "halve" };
    check_sums(&r);
    for (size_t i = 0; i < 5; i++) {
        const mbr_profile_origin *o = node(&r, names[i]);
        ck_assert_msg(strstr(o->how, "gelu") != NULL, "%s: %s", names[i], o->how);
        ck_assert_double_eq_tol(o->part, 0.2, 1e-9);
    }
    done(&r);
}
END_TEST

/* Shapes need no step, and reshaping moves nothing. */
START_TEST(what_costs_nothing)
{
    profiled r;
    run_text(&r, HEAD "graph \"g\"(%x: f32[n, 2, 3]) -> (%y) {\n"
             "  const %at = i64[1] {0}\n  const %rest = i64[1] {-1}\n"
             "  %s: i64[3] = ai.onnx.Shape@15(%x) \"shape\"\n"
             "  %g: i64[1] = ai.onnx.Gather@13(%s, %at) \"gather\"\n"
             "  %t: i64[2] = ai.onnx.Concat@13(%g, %rest) {axis = 0} \"concat\"\n"
             "  %v: f32[n, 6] = ai.onnx.Reshape@14(%x, %t) \"reshape\"\n"
             "  %y: f32[n, 6] = ai.onnx.Softmax@13(%v) \"softmax\"\n}\n", "all", NULL, 2);
    check_sums(&r);
    static const char *const names[] = { "shape", "gather", "concat" };
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(node(&r, names[i])->entry, MBR_NO_ENTRY);
    ck_assert_str_eq(node(&r, "reshape")->how, "view");
    ck_assert_str_eq(node(&r, "softmax")->how, "");
    done(&r);
}
END_TEST

/* The nodes of a body count with its steps, as often as it ran. */
START_TEST(bodies)
{
    profiled r;
    run_text(&r, HEAD "graph \"g\"(%x: f32[4]) -> (%y) {\n"
             "  const %trips = i64[] {5}\n"
             "  %y: f32[4] = ai.onnx.Loop@16(%trips, _, %x) {body = graph \"b\"(%i: i64[], %on: bool[], %s: f32[4]) -> "
             "(%on, %t) {\n"
             "    %t: f32[4] = ai.onnx.Tanh@13(%s) \"tanh\"\n"
             "  }} \"loop\"\n}\n", "all", NULL, 3);
    check_sums(&r);
    const mbr_profile_origin *tanh = node(&r, "tanh");
    ck_assert_uint_eq(mbr_profile_at(r.p, tanh->entry)->calls, 15);
    ck_assert_uint_eq(mbr_profile_at(r.p, node(&r, "loop")->entry)->calls, 3);
    mbr_profile_reset(r.p);
    ck_assert_uint_eq(mbr_profile_at(r.p, tanh->entry)->calls, 0);
    done(&r);
}
END_TEST

START_TEST(spans_lie_in_their_steps)
{
    profiled r;
    run_text(&r, HEAD "graph \"g\"(%x: f32[n, 256, 256], %w: f32[256, 256]) -> (%y) {\n"
             "  %a: f32[n, 256, 256] = ai.onnx.MatMul@13(%x, %w) \"product\"\n"
             "  %y: f32[n, 256, 256] = ai.onnx.Softmax@13(%a) \"softmax\"\n}\n", "all",
             (const ir_size[]){ { "n", 4 }, { 0 } }, 1);
    ck_assert_ptr_null(mbr_profile_spans(r.p));
    ck_assert_int_eq(mbr_profile_record(r.p, 1000, &err), MBR_OK);
    ck_assert_msg(mbr_frame_run(r.s.f, &err) == MBR_OK, "%s", err.text);
    const mbr_spans *s = mbr_profile_spans(r.p);
    ck_assert_int_eq(s->rows, mbr_team_size(team) + MBR_SPANS_DEVICE);
    const mbr_span *whole = &s->spans[(size_t)(s->rows - 1) * s->room];
    size_t steps = s->n[s->rows - 1], tiles = 0;
    ck_assert_uint_eq(steps, mbr_profile_count(r.p));
    for (int w = 0; w < s->rows - MBR_SPANS_STEPS; w++)
        for (size_t i = 0; i < s->n[w]; i++) {
            const mbr_span *x = &s->spans[(size_t)w * s->room + i];
            size_t k = 0;
            while (k < steps && whole[k].entry != x->entry)
                k++;
            ck_assert_uint_lt(k, steps);
            ck_assert_uint_ge(x->begin, whole[k].begin);
            ck_assert_uint_le(x->end, whole[k].end);
            ck_assert_uint_ge(x->end, x->begin);
            tiles += x->tiles;
        }
    ck_assert_uint_gt(tiles, 1);
    ck_assert_int_eq(mbr_profile_record(r.p, 1, &err), MBR_OK); /* what does not fit is dropped */
    ck_assert_msg(mbr_frame_run(r.s.f, &err) == MBR_OK, "%s", err.text);
    s = mbr_profile_spans(r.p);
    for (int w = 0; w < s->rows; w++)
        ck_assert_uint_le(s->n[w], 1);
    ck_assert_int_eq(mbr_profile_record(r.p, 0, &err), MBR_OK);
    ck_assert_ptr_null(mbr_profile_spans(r.p));
    done(&r);
}
END_TEST

START_TEST(limits_are_plausible)
{
    mbr_limits_measured l;
    ck_assert_int_eq(mbr_limits_measure(team, &memory, &l, &err), MBR_OK);
    ck_assert_double_gt(l.flops, 1e6);
    for (int i = 0; i < MBR_LEVELS; i++) {
        ck_assert_double_gt(l.read[i], 1e6);
        ck_assert_uint_gt(l.bytes[i], i ? l.bytes[i - 1] / 2 : 0);
    }
    ck_assert_uint_gt(l.shared, l.bytes[MBR_LEVEL_SHARED] / 2);
    ck_assert_uint_lt(l.shared, l.bytes[MBR_LEVEL_MEMORY] + 1);
}
END_TEST

/* What rates take from a step's time is what they then say of it. */
START_TEST(rates_learn_from_steps)
{
    const mbr_work far = { .family = MBR_WORK_CONV, .units = 1e6, .bytes = 64e6 };
    mbr_work w[2] = { far, far };
    mbr_rates r;
    mbr_rates_default(&r);
    double most = mbr_rates_estimate(&r, &far, 0);
    r.overlap = 0.01;
    double least_hidden = mbr_rates_estimate(&r, &far, 0);
    ck_assert_double_gt(least_hidden, most);
    mbr_rates_overlap(&r, &far, (most + least_hidden) / 2);
    ck_assert_double_eq_tol(r.overlap, 0.505, 1e-6);
    ck_assert_double_eq_tol(mbr_rates_estimate(&r, &far, 0), (most + least_hidden) / 2, 1);

    w[0].bytes = w[1].bytes = 0;
    const double one[2] = { 1e5, 1e6 };
    const double all[2] = { 1e5 / 1.6 + 5000 + r.join_ns, 1e6 / 1.6 + 5000 + r.join_ns };
    mbr_rates_share(&r, w, 2, one, all);
    ck_assert_double_eq_tol(r.scale, 0.8, 1e-6);

    r.own_bytes = 1 << 20; /* weights of a row's product are parted: two cores' caches hold what one's does not */
    const mbr_work row = { .family = MBR_WORK_PRODUCT_ROW, .bytes = 1.5e6, .weight_bytes = 1.5e6, .tiles = 64 };
    const mbr_work rows = { .family = MBR_WORK_PRODUCT, .bytes = 1.5e6, .weight_bytes = 1.5e6, .tiles = 64 };
    const mbr_core cores[2] = { { .speed = 1 }, { .speed = 1 } };
    mbr_team_choice parted = mbr_team_choose(&r, cores, 2, &row, 0, false);
    ck_assert_int_eq(parted.threads, 2);
    ck_assert_double_lt(parted.ns, mbr_rates_estimate(&r, &row, 0) / 2);
    ck_assert_double_gt(mbr_team_choose(&r, cores, 2, &rows, 0, false).ns, parted.ns);

    mbr_work near = far; /* data of one and a half caches are partly there */
    near.units = 0;
    double ns[3];
    for (int i = 0; i < 3; i++) {
        near.bytes = (0.5 + i) * (double)r.own_bytes;
        ns[i] = mbr_rates_estimate(&r, &near, 0) / near.bytes;
    }
    ck_assert_double_lt(ns[0], ns[1]);
    ck_assert_double_lt(ns[1], ns[2]);
}
END_TEST

/* Rates from beside other jobs are kept for a while, others for good. */
START_TEST(rates_of_a_busy_machine_expire)
{
    char folder[] = "/tmp/mbr-rates-XXXXXX", text[3500];
    mbr_rates r;
    mbr_kept kept;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(mbr_rates_get(team, &memory, NULL, folder, &r, &err), MBR_OK);
    ck_assert_str_eq(r.source, "measured");
    ck_assert_double_gt(r.quiet, 0);
    ck_assert_double_le(r.quiet, 1);
    DIR *d = opendir(folder);
    ck_assert_ptr_nonnull(d);
    kept.path[0] = '\0';
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        if (strncmp(e->d_name, "rates-", 6) == 0)
            snprintf(kept.path, sizeof kept.path, "%s/%s", folder, e->d_name);
    closedir(d);
    FILE *f = fopen(kept.path, "re");
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(kept.key, sizeof kept.key, f));
    fclose(f);
    kept.key[strcspn(kept.key, "\n")] = '\0';

    const struct { double quiet; time_t age; const char *source; } cases[] = {
        { 1, 30, "kept" }, { 1, 86400, "kept" }, { 0.5, 30, "kept" }, { 0.5, 3600, "measured" }, { 0.5, -3600, "measured" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        time_t then = time(NULL) - cases[i].age;
        struct timespec times[2] = { { .tv_sec = then }, { .tv_sec = then } };
        r.quiet = cases[i].quiet;
        mbr_rates_print(&r, text, sizeof text);
        mbr_kept_write(&kept, text, NULL);
        ck_assert_int_eq(utimensat(AT_FDCWD, kept.path, times, 0), 0);
        mbr_rates again;
        ck_assert_int_eq(mbr_rates_get(team, &memory, NULL, folder, &again, &err), MBR_OK);
        ck_assert_msg(strcmp(again.source, cases[i].source) == 0, "case %zu: %s", i, again.source);
    }
    ck_assert_int_eq(unlink(kept.path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* The same through the public interface, and what it refuses. */
START_TEST(public_interface)
{
    static const int64_t dims[] = { -1, 3, -2 };
    static const float x[] = { 1, -2, 3, -4, 5, -6 };
    wire g = { 0 }, in = wire_value_info("x", 1, dims), out = wire_value_info("y", 1, dims);
    wire_add_node(&g, "double", "Add", "x x", "a");
    wire_add_node(&g, "", "Relu", "a", "y");
    wire_text(&g, 2, "g");
    wire_message(&g, 11, &in);
    wire_message(&g, 12, &out);
    wire model = wire_model(8, 17, &g);
    mbr_env *env;
    mbr_model *m;
    mbr_session *s;
    mbr_value *v;
    ck_assert_int_eq(mbr_env_new(NULL, &env, &err), MBR_OK);
    ck_assert_msg(mbr_model_open_memory(env, model.data, model.size, NULL, &m, &err) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(mbr_session_new(m, NULL, &s, &err), MBR_OK);
    ck_assert_int_eq(mbr_tensor_new(env, MBR_DTYPE_F32, 2, (const int64_t[]){ 2, 3 }, &v, &err), MBR_OK);
    memcpy(mbr_tensor_data(v), x, sizeof x);
    ck_assert_int_eq(mbr_session_bind_input(s, 0, v, &err), MBR_OK);
    mbr_profile_node n = { .size = sizeof n };
    mbr_profile_span span = { .size = sizeof span };
    ck_assert_int_eq(mbr_session_profile_node_count(s), 0);
    ck_assert_int_eq(mbr_session_profile_node(s, 0, &n, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_session_profile_spans(s, 10, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_session_profile_start(s, &err), MBR_OK);
    ck_assert_int_eq(mbr_session_profile_spans(s, 10, &err), MBR_OK);
    ck_assert_msg(mbr_session_run(s, &err) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(mbr_session_profile_node_count(s), 2);
    double ns = 0;
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(mbr_session_profile_node(s, i, &n, &err) == MBR_OK, "%s", err.text);
        ck_assert_str_eq(n.op, i ? "Relu" : "Add");
        ck_assert_str_eq(n.node, i ? "y" : "double"); /* without a name, what it makes */
        ck_assert_str_eq(n.how, "chain");
        ns += n.ns;
    }
    mbr_profile_row row = { .size = sizeof row };
    ck_assert_int_eq(mbr_session_profile_row(s, n.row, &row, &err), MBR_OK);
    ck_assert_double_eq_tol(row.ns, ns, 1);
    ck_assert_int_eq(mbr_session_profile_node(s, 2, &n, &err), MBR_ERR_ARGUMENT);
    n.size = 0;
    ck_assert_int_eq(mbr_session_profile_node(s, 0, &n, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_session_profile_span_count(s), 1);
    ck_assert_int_eq(mbr_session_profile_span(s, 0, &span, &err), MBR_OK);
    ck_assert_int_eq(span.worker, -1);
    ck_assert_double_ge(span.end_ns, span.begin_ns);
    ck_assert_int_eq(mbr_session_profile_span(s, 1, &span, &err), MBR_ERR_ARGUMENT);
    mbr_limits limits = { 0 };
    ck_assert_int_eq(mbr_env_measure(env, &limits, &err), MBR_ERR_ARGUMENT);
    mbr_session_release(&s);
    mbr_value_release(&v);
    mbr_model_release(&m);
    mbr_env_release(&env);
    wire_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("profile");
    TCase *t = tcase_create("profile");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, nodes_are_found_again);
    tcase_add_test(t, nodes_as_they_are);
    tcase_add_test(t, rules_are_named);
    tcase_add_test(t, what_costs_nothing);
    tcase_add_test(t, bodies);
    tcase_add_test(t, spans_lie_in_their_steps);
    tcase_add_test(t, limits_are_plausible);
    tcase_add_test(t, rates_learn_from_steps);
    tcase_add_test(t, rates_of_a_busy_machine_expire);
    tcase_add_test(t, public_interface);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

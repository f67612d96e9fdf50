/* SPDX-License-Identifier: BSD-2-Clause */
/* Building and editing graphs: uses, order, captures, and the checks that find what is broken. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "tests/ir_text.h"

static mbr_memory memory;
static mbr_error err;

static void setup(void)
{
    mbr_memory_init(&memory);
}

static void teardown(void)
{
    ck_assert_uint_eq(memory.in_use, 0);
}

#define OK(call) ck_assert_msg((call) == MBR_OK, "%s: %s", #call, err.text)

static mbr_ir_value *value(mbr_ir_graph *g, const char *name)
{
    mbr_ir_value *v = mbr_ir_find(g, name);
    ck_assert_msg(v != NULL, "no value %s", name);
    return v;
}

static mbr_ir_node *maker(mbr_ir_graph *g, const char *name)
{
    return value(g, name)->producer;
}

static void becomes(const mbr_ir_module *m, const char *text)
{
    OK(mbr_ir_check(m, &err));
    char *now = ir_print(m);
    ck_assert_str_eq(now, text);
    free(now);
}

#define HEAD "module \"m\" ir 8 opset ai.onnx 17\n"

static const char diamond[] = HEAD "graph \"g\"(%x: f32[n, 2]) -> (%d) {\n"
                                   "  const %w = f32[2] {1, 2}\n"
                                   "  %a: f32[n, 2] = ai.onnx.Relu@1(%x)\n"
                                   "  %b: f32[n, 2] = ai.onnx.Add@7(%a, %w)\n"
                                   "  %c: f32[n, 2] = ai.onnx.Mul@7(%a, %b)\n"
                                   "  %d: f32[n, 2] = ai.onnx.Sub@7(%c, %a)\n"
                                   "}\n";

START_TEST(uses_are_counted)
{
    mbr_ir_module *m = ir_parse(&memory, diamond);
    mbr_ir_graph *g = m->main;
    ck_assert_uint_eq(value(g, "x")->uses, 1);
    ck_assert_uint_eq(value(g, "w")->uses, 1);
    ck_assert_uint_eq(value(g, "a")->uses, 3);
    ck_assert_uint_eq(value(g, "d")->uses, 1); /* the graph's output */
    ck_assert(value(g, "d")->is_output);
    ck_assert_ptr_eq(mbr_ir_single_user(value(g, "b")), maker(g, "c"));
    ck_assert_ptr_eq(mbr_ir_single_user(value(g, "x")), maker(g, "a"));
    ck_assert_ptr_null(mbr_ir_single_user(value(g, "a")));
    ck_assert_ptr_null(mbr_ir_single_user(value(g, "d")));
    mbr_ir_set_input(maker(g, "c"), 0, value(g, "x"));
    ck_assert_uint_eq(value(g, "a")->uses, 2);
    ck_assert_uint_eq(value(g, "x")->uses, 2);
    mbr_ir_set_input(maker(g, "c"), 0, value(g, "x")); /* again: nothing changes */
    ck_assert_uint_eq(value(g, "x")->uses, 2);
    OK(mbr_ir_check(m, &err));
    mbr_ir_module_free(m);
}
END_TEST

START_TEST(uses_are_replaced)
{
    mbr_ir_module *m = ir_parse(&memory, diamond);
    mbr_ir_graph *g = m->main;
    mbr_ir_replace_uses(value(g, "a"), value(g, "x"));
    ck_assert_uint_eq(value(g, "a")->uses, 0);
    ck_assert_uint_eq(value(g, "x")->uses, 4); /* Relu still reads it */
    mbr_ir_node_remove(maker(g, "a"));
    ck_assert_uint_eq(value(g, "x")->uses, 3);
    mbr_ir_replace_uses(value(g, "d"), value(g, "c")); /* an output of the graph */
    ck_assert(!value(g, "d")->is_output && value(g, "c")->is_output);
    ck_assert_ptr_eq(g->outputs[0], value(g, "c"));
    mbr_ir_node_remove(maker(g, "d"));
    becomes(m, HEAD "graph \"g\"(%x: f32[n, 2]) -> (%c) {\n"
                    "  const %w = f32[2] {1, 2}\n"
                    "  %b: f32[n, 2] = ai.onnx.Add@7(%x, %w)\n"
                    "  %c: f32[n, 2] = ai.onnx.Mul@7(%x, %b)\n"
                    "}\n");
    mbr_ir_module_free(m);
}
END_TEST

START_TEST(an_output_may_repeat_and_be_an_input)
{
    mbr_ir_module *m = ir_parse(&memory, HEAD "graph \"g\"(%x: f32[n]) -> (%y, %x, %y) {\n"
                                              "  %y: f32[n] = ai.onnx.Neg@1(%x)\n"
                                              "}\n");
    mbr_ir_graph *g = m->main;
    ck_assert_uint_eq(value(g, "x")->uses, 2);
    ck_assert_uint_eq(value(g, "y")->uses, 2);
    mbr_ir_replace_uses(value(g, "y"), value(g, "x"));
    for (size_t i = 0; i < 3; i++)
        ck_assert_ptr_eq(g->outputs[i], value(g, "x"));
    ck_assert_uint_eq(value(g, "x")->uses, 4);
    mbr_ir_node_remove(g->first);
    ck_assert_uint_eq(value(g, "x")->uses, 3);
    ck_assert_ptr_null(g->first);
    ck_assert_ptr_null(g->last);
    OK(mbr_ir_check(m, &err));
    mbr_ir_module_free(m);
}
END_TEST

START_TEST(nodes_are_put_moved_and_removed)
{
    mbr_ir_module *m = ir_parse(&memory, diamond);
    mbr_ir_graph *g = m->main;
    mbr_ir_node *neg, *last;
    OK(mbr_ir_node_new(g, maker(g, "c"), "", "Neg", 0, "here", (mbr_ir_value *[]){ value(g, "b") }, 1, NULL, 1, &neg,
                       &err));
    ck_assert_ptr_eq(neg->next, maker(g, "c"));
    ck_assert_ptr_eq(neg->prev, maker(g, "b"));
    OK(mbr_ir_set_tensor_type(neg->outputs[0], MBR_DTYPE_F32, 2, value(g, "x")->type.dims, &err));
    mbr_ir_set_input(maker(g, "c"), 1, neg->outputs[0]);
    OK(mbr_ir_node_new(g, NULL, "", "Identity", 0, "", (mbr_ir_value *[]){ value(g, "x") }, 1, NULL, 1, &last, &err));
    ck_assert_ptr_eq(g->last, last);
    mbr_ir_node_move_before(last, g->first);
    ck_assert_ptr_eq(g->first, last);
    ck_assert_ptr_eq(g->last, maker(g, "d"));
    OK(mbr_ir_check(m, &err));
    mbr_ir_node_remove(last);
    ck_assert_ptr_eq(g->first, maker(g, "a"));
    ck_assert_ptr_null(g->first->prev);
    mbr_ir_node_move_before(neg, maker(g, "b")); /* before what it reads */
    ck_assert_int_ne(mbr_ir_check(m, &err), MBR_OK);
    mbr_ir_node_move_before(neg, maker(g, "c"));
    becomes(m, HEAD "graph \"g\"(%x: f32[n, 2]) -> (%d) {\n"
                    "  const %w = f32[2] {1, 2}\n"
                    "  %a: f32[n, 2] = ai.onnx.Relu@1(%x)\n"
                    "  %b: f32[n, 2] = ai.onnx.Add@7(%a, %w)\n"
                    "  %%0: f32[n, 2] = ai.onnx.Neg@1(%b) \"here\"\n"
                    "  %c: f32[n, 2] = ai.onnx.Mul@7(%a, %%0)\n"
                    "  %d: f32[n, 2] = ai.onnx.Sub@7(%c, %a)\n"
                    "}\n");
    mbr_ir_module_free(m);
}
END_TEST

START_TEST(names_and_operators_are_checked)
{
    mbr_ir_module *m = ir_parse(&memory, diamond);
    mbr_ir_graph *g = m->main;
    mbr_ir_value *v, *x = value(g, "x");
    mbr_ir_node *n;
    ck_assert_int_eq(mbr_ir_value_new(g, "a", &v, &err), MBR_ERR_MODEL);
    ck_assert_ptr_nonnull(strstr(err.text, "'a'"));
    OK(mbr_ir_value_new(g, NULL, &v, &err));
    ck_assert_ptr_eq(mbr_ir_find(g, v->name), v);
    ck_assert_ptr_null(mbr_ir_find(g, "nobody"));
    ck_assert_int_eq(mbr_ir_node_new(g, NULL, "", "Frobnicate", 0, "node 7", &x, 1, NULL, 1, &n, &err),
                     MBR_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "Frobnicate"));
    ck_assert_ptr_nonnull(strstr(err.text, "node 7"));
    ck_assert_int_eq(mbr_ir_node_new(g, NULL, "nowhere", "Add", 1, "", &x, 1, NULL, 1, &n, &err), MBR_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "nowhere"));
    ck_assert_int_eq(mbr_ir_node_new(g, NULL, "", "Add", 0, "few", &x, 1, NULL, 1, &n, &err), MBR_ERR_MODEL);
    ck_assert_ptr_nonnull(strstr(err.text, "few"));
    mbr_ir_module_free(m);
}
END_TEST

START_TEST(attributes_are_replaced)
{
    mbr_ir_module *m = ir_parse(&memory, diamond);
    mbr_ir_node *n = m->main->first;
    const int64_t axes[] = { 3, 1 };
    size_t count;
    OK(mbr_ir_attr_int(n, "k", 5, &err));
    OK(mbr_ir_attr_ints(n, "axes", axes, 2, &err));
    OK(mbr_ir_attr_string(n, "mode", "linear", 6, &err));
    ck_assert_int_eq(mbr_attr_int(n, "k", 0), 5);
    OK(mbr_ir_attr_float(n, "k", 0.5f, &err));
    ck_assert_uint_eq(n->n_attrs, 3);
    ck_assert_int_eq(mbr_attr_int(n, "k", 7), 7); /* of another kind: as if absent */
    ck_assert(mbr_attr_float(n, "k", 0) == 0.5f);
    ck_assert_int_eq(mbr_attr_ints(n, "axes", &count)[1], 1);
    ck_assert_uint_eq(count, 2);
    ck_assert_ptr_null(mbr_attr_ints(n, "mode", &count));
    ck_assert_uint_eq(count, 0);
    ck_assert_str_eq(mbr_attr_string(n, "mode", ""), "linear");
    ck_assert_str_eq(mbr_attr_string(n, "none", "otherwise"), "otherwise");
    ck_assert_ptr_null(mbr_attr_graph(n, "mode"));
    mbr_ir_module_free(m);
}
END_TEST

/* --- subgraphs --- */

static const char branches[] = HEAD "graph \"g\"(%c: bool[], %x: f32[n], %z: f32[n]) -> (%y) {\n"
                                    "  %a: f32[n] = ai.onnx.Neg@1(%x)\n"
                                    "  %y: f32[n] = ai.onnx.If@16(%c) {then_branch = graph \"t\"() -> (%r) {\n"
                                    "    capture %a = %a\n"
                                    "    capture %z = %z\n"
                                    "    %s: f32[n] = ai.onnx.Abs@1(%z)\n"
                                    "    %r: f32[n] = ai.onnx.Relu@1(%a)\n"
                                    "  }, else_branch = graph \"e\"() -> (%r) {\n"
                                    "    capture %a = %a\n"
                                    "    %r: f32[n] = ai.onnx.Abs@1(%a)\n"
                                    "  }}\n"
                                    "}\n";

START_TEST(captures_are_uses)
{
    mbr_ir_module *m = ir_parse(&memory, branches);
    mbr_ir_graph *g = m->main, *t = mbr_attr_graph(maker(g, "y"), "then_branch"),
                 *e = mbr_attr_graph(maker(g, "y"), "else_branch");
    ck_assert_ptr_eq(t->owner, maker(g, "y"));
    ck_assert_uint_eq(value(g, "a")->uses, 2);
    ck_assert_uint_eq(value(g, "z")->uses, 1);
    mbr_ir_replace_uses(value(g, "a"), value(g, "x"));
    ck_assert_uint_eq(value(g, "a")->uses, 0);
    ck_assert_ptr_eq(t->owner->inputs[t->capture_slots[0]], value(g, "x"));
    ck_assert_ptr_eq(e->owner->inputs[e->capture_slots[0]], value(g, "x"));
    mbr_ir_node_remove(maker(g, "a"));
    OK(mbr_ir_check(m, &err));

    ck_assert(!mbr_ir_drop_captures(t)); /* z is still read, by a dead node */
    mbr_ir_node_remove(maker(t, "s"));
    ck_assert(mbr_ir_drop_captures(t));
    ck_assert_uint_eq(value(g, "z")->uses, 0);
    ck_assert_uint_eq(t->n_captures, 1);
    ck_assert_uint_eq(maker(g, "y")->n_inputs, 3); /* the condition, and what is left of captures */
    ck_assert_ptr_eq(e->owner->inputs[e->capture_slots[0]], value(g, "x")); /* its slot has moved */
    ck_assert(!mbr_ir_drop_captures(t));
    becomes(m, HEAD "graph \"g\"(%c: bool[], %x: f32[n], %z: f32[n]) -> (%y) {\n"
                    "  %y: f32[n] = ai.onnx.If@16(%c) {then_branch = graph \"t\"() -> (%r) {\n"
                    "    capture %a = %x\n"
                    "    %r: f32[n] = ai.onnx.Relu@1(%a)\n"
                    "  }, else_branch = graph \"e\"() -> (%r) {\n"
                    "    capture %a = %x\n"
                    "    %r: f32[n] = ai.onnx.Abs@1(%a)\n"
                    "  }}\n"
                    "}\n");
    mbr_ir_module_free(m);
}
END_TEST

START_TEST(a_capture_is_made_once)
{
    mbr_ir_module *m = ir_parse(&memory, branches);
    mbr_ir_graph *g = m->main, *t = mbr_attr_graph(maker(g, "y"), "then_branch");
    mbr_ir_value *again, *fresh, *other;
    OK(mbr_ir_capture(t, value(g, "a"), &again, &err));
    ck_assert_ptr_eq(again, value(t, "a"));
    ck_assert_uint_eq(value(g, "a")->uses, 2);
    OK(mbr_ir_capture(t, value(g, "x"), &fresh, &err));
    ck_assert(fresh->is_capture && fresh->graph == t);
    ck_assert_uint_eq(value(g, "x")->uses, 2); /* Neg and the capture */
    ck_assert_ptr_eq(t->owner->inputs[t->capture_slots[2]], value(g, "x"));
    OK(mbr_ir_capture_as(t, value(g, "x"), "second", &other, &err));
    ck_assert_ptr_ne(other, fresh);
    ck_assert_str_eq(other->name, "second");
    mbr_ir_set_input(maker(t, "r"), 0, fresh);
    OK(mbr_ir_check(m, &err));
    ck_assert(mbr_ir_drop_captures(t)); /* a, and the second one of x */
    ck_assert_uint_eq(value(g, "a")->uses, 1);
    ck_assert_uint_eq(value(g, "x")->uses, 2);
    OK(mbr_ir_check(m, &err));
    mbr_ir_module_free(m);
}
END_TEST

/* A dead node two graphs down keeps values of all graphs above alive, until the passes have seen it. */
START_TEST(dead_captures_go_through_every_graph)
{
    mbr_ir_module *m = ir_parse(&memory, HEAD
        "graph \"g\"(%c: bool[], %x: f32[n], %z: f32[n]) -> (%y) {\n"
        "  %a: f32[n] = ai.onnx.Neg@1(%z)\n"
        "  %y: f32[n] = ai.onnx.If@16(%c) {then_branch = graph \"t\"() -> (%r) {\n"
        "    capture %c = %c\n"
        "    capture %x = %x\n"
        "    capture %a = %a\n"
        "    %r: f32[n] = ai.onnx.If@16(%c) {then_branch = graph \"tt\"() -> (%s) {\n"
        "      capture %x = %x\n"
        "      capture %a = %a\n"
        "      %dead: f32[n] = ai.onnx.Abs@1(%a)\n"
        "      %s: f32[n] = ai.onnx.Abs@1(%x)\n"
        "    }, else_branch = graph \"te\"() -> (%s) {\n"
        "      capture %x = %x\n"
        "      %s: f32[n] = ai.onnx.Relu@1(%x)\n"
        "    }}\n"
        "  }, else_branch = graph \"e\"() -> (%r) {\n"
        "    capture %x = %x\n"
        "    %r: f32[n] = ai.onnx.Abs@1(%x)\n"
        "  }}\n"
        "}\n");
    ir_passes(m, "none,+dce");
    ck_assert_uint_eq(value(m->main, "z")->uses, 0);
    ck_assert_uint_eq(value(m->main, "x")->uses, 2);
    ck_assert_ptr_eq(m->main->first, maker(m->main, "y"));
    char *text = ir_print(m);
    ck_assert_ptr_null(strstr(text, "%a"));
    ck_assert_ptr_null(strstr(text, "%dead"));
    free(text);
    mbr_ir_module_free(m);
}
END_TEST

START_TEST(what_is_broken_is_found)
{
    mbr_ir_module *m = ir_parse(&memory, branches);
    mbr_ir_graph *g = m->main, *t = mbr_attr_graph(maker(g, "y"), "then_branch");
    mbr_ir_value *x = value(g, "x");
    OK(mbr_ir_check(m, &err));
    x->uses++;
    ck_assert_int_eq(mbr_ir_check(m, &err), MBR_ERR_INTERNAL);
    x->uses--;
    OK(mbr_ir_check(m, &err));
    maker(t, "r")->inputs[0] = x; /* of the graph around */
    ck_assert_int_eq(mbr_ir_check(m, &err), MBR_ERR_INTERNAL);
    maker(t, "r")->inputs[0] = value(t, "a");
    OK(mbr_ir_check(m, &err));
    mbr_ir_node *a = maker(g, "a");
    value(g, "a")->producer = NULL;
    ck_assert_int_eq(mbr_ir_check(m, &err), MBR_ERR_INTERNAL);
    value(g, "a")->producer = a;
    t->owner = a;
    ck_assert_int_eq(mbr_ir_check(m, &err), MBR_ERR_INTERNAL);
    t->owner = maker(g, "y");
    OK(mbr_ir_check(m, &err));
    mbr_ir_module_free(m);
}
END_TEST

/* A graph of Relu after Relu, edited at random: the invariants hold after each step. */
START_TEST(random_edits)
{
    random_seed("ir");
    for (int round = 0; round < 30; round++) {
        mbr_ir_module *m = ir_parse(&memory, diamond);
        mbr_ir_graph *g = m->main;
        for (int step = 0; step < 120; step++) {
            mbr_ir_node *nodes[400], *n = NULL;
            int count = 0;
            for (mbr_ir_node *k = g->first; k && count < 400; k = k->next)
                nodes[count++] = k;
            int at = random_below(count);
            mbr_ir_value *earlier = at ? nodes[random_below(at)]->outputs[0] : g->inputs[0];
            switch (random_below(4)) {
            case 0:
                OK(mbr_ir_node_new(g, nodes[at], "", "Relu", 0, "", &earlier, 1, NULL, 1, &n, &err));
                break;
            case 1:
                mbr_ir_set_input(nodes[at], (uint32_t)random_below((int)nodes[at]->n_inputs), earlier);
                break;
            case 2:
                mbr_ir_replace_uses(nodes[at]->outputs[0], earlier);
                break;
            default:
                if (!nodes[at]->outputs[0]->uses && count > 1)
                    mbr_ir_node_remove(nodes[at]);
            }
            ck_assert_msg(mbr_ir_check(m, &err) == MBR_OK, "round %d, step %d: %s", round, step, err.text);
        }
        char *text = ir_print(m);
        mbr_ir_module_free(m);
        m = ir_parse(&memory, text);
        becomes(m, text);
        free(text);
        mbr_ir_module_free(m);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ir");
    TCase *tc = tcase_create("ir");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, uses_are_counted);
    tcase_add_test(tc, uses_are_replaced);
    tcase_add_test(tc, an_output_may_repeat_and_be_an_input);
    tcase_add_test(tc, nodes_are_put_moved_and_removed);
    tcase_add_test(tc, names_and_operators_are_checked);
    tcase_add_test(tc, attributes_are_replaced);
    tcase_add_test(tc, captures_are_uses);
    tcase_add_test(tc, a_capture_is_made_once);
    tcase_add_test(tc, dead_captures_go_through_every_graph);
    tcase_add_test(tc, what_is_broken_is_found);
    tcase_add_test(tc, random_edits);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

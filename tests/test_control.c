/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * If, Loop and Scan: no trips at all, bodies in bodies, values from outside, shapes that change on the way. A case is
 * a graph and the runs of one session, each with what is given and what is due, as constants of the text form. Each is
 * run as it is and through all passes, over and over: the blocks of a loop's state change hands, so it takes a few
 * rounds until each is large enough, and then no run takes memory any more.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "tests/ir_text.h"

#define MOST_RUNS 6
#define ROUNDS 6

typedef struct control_case {
    const char *name;
    const char *graph;
    struct {
        const char *given, *due; /* or, where `due` has no constants, words of the message of failure */
    } runs[MOST_RUNS];
} control_case;

/* Adds i and w in each trip; s is what v was before. */
#define COUNTING \
    "graph \"b\"(%i: i64[], %go: bool[], %v: f32[n]) -> (%on, %next, %v) {\n" \
    "    capture %w = %w\n" \
    "    %f: f32[] = ai.onnx.Cast@13(%i) {to = 1}\n" \
    "    %a: f32[n] = ai.onnx.Add@7(%v, %f)\n" \
    "    %next: f32[n] = ai.onnx.Add@7(%a, %w)\n" \
    "    %on: bool[] = ai.onnx.Identity@1(%go)\n" \
    "  }"

static const control_case cases[] = {
    { "loop: as many trips as told",
      "graph \"g\"(%m: i64[], %x: f32[n], %w: f32[n]) -> (%y, %s) {\n"
      "  %y, %s = ai.onnx.Loop@16(%m, _, %x) {body = " COUNTING "}\n"
      "}\n",
      { { "const %m = i64[] {3} const %x = f32[2] {0, 1} const %w = f32[2] {10, 20}",
          "const %y = f32[2] {33, 64} const %s = f32[3, 2] {0, 1, 10, 21, 21, 42}" },
        { "const %m = i64[] {0} const %x = f32[2] {5, 6} const %w = f32[2] {0, 0}",
          "const %y = f32[2] {5, 6} const %s = f32[0, 2] {}" },
        { "const %m = i64[] {-4} const %x = f32[1] {5} const %w = f32[1] {0}",
          "const %y = f32[1] {5} const %s = f32[0, 1] {}" },
        { "const %m = i64[] {1} const %x = f32[3] {1, 2, 3} const %w = f32[3] {1, 1, 1}",
          "const %y = f32[3] {2, 3, 4} const %s = f32[1, 3] {1, 2, 3}" },
        { "const %m = i64[] {2} const %x = f32[0] {} const %w = f32[0] {}",
          "const %y = f32[0] {} const %s = f32[2, 0] {}" } } },
    { "loop: a condition from outside",
      "graph \"g\"(%c: bool[], %x: f32[n], %w: f32[n]) -> (%y, %s) {\n"
      "  const %m = i64[] {2}\n"
      "  %y, %s = ai.onnx.Loop@16(%m, %c, %x) {body = " COUNTING "}\n"
      "}\n",
      { { "const %c = bool[] {0} const %x = f32[1] {4} const %w = f32[1] {1}",
          "const %y = f32[1] {4} const %s = f32[0, 1] {}" },
        { "const %c = bool[] {1} const %x = f32[1] {4} const %w = f32[1] {1}",
          "const %y = f32[1] {7} const %s = f32[2, 1] {4, 5}" } } },
    { "loop: the body ends it",
      "graph \"g\"(%x: f32[], %most: f32[]) -> (%y, %s) {\n"
      "  %y, %s = ai.onnx.Loop@16(_, _, %x) {body = graph \"b\"(%i: i64[], %go: bool[], %v: f32[]) -> (%on, "
      "%next, %i) {\n"
      "    capture %most = %most\n"
      "    %next: f32[] = ai.onnx.Add@7(%v, %v)\n"
      "    %on: bool[] = ai.onnx.Less@9(%next, %most)\n"
      "  }}\n"
      "}\n",
      { { "const %x = f32[] {1} const %most = f32[] {100}", "const %y = f32[] {128} const %s = i64[7] {0, 1, 2, "
          "3, 4, 5, 6}" },
        { "const %x = f32[] {1} const %most = f32[] {0}", "const %y = f32[] {2} const %s = i64[1] {0}" } } },
    { "loop: state that grows",
      "graph \"g\"(%m: i64[], %x: f32[n]) -> (%y, %size) {\n"
      "  %y = ai.onnx.Loop@16(%m, _, %x) {body = graph \"b\"(%i: i64[], %go: bool[], %v: f32[k]) -> (%go, %next) {\n"
      "    capture %x = %x\n"
      "    %next = ai.onnx.Concat@4(%v, %x) {axis = 0}\n"
      "  }}\n"
      "  %size = ai.onnx.Shape@1(%y)\n"
      "}\n",
      { { "const %m = i64[] {2} const %x = f32[2] {1, 2}",
          "const %y = f32[6] {1, 2, 1, 2, 1, 2} const %size = i64[1] {6}" },
        { "const %m = i64[] {0} const %x = f32[3] {1, 2, 3}", "const %y = f32[3] {1, 2, 3} const %size = i64[1] {3}" },
        { "const %m = i64[] {3} const %x = f32[1] {7}", "const %y = f32[4] {7, 7, 7, 7} const %size = i64[1] {4}" } } },
    { "loop: state that gains an axis",
      "graph \"g\"(%m: i64[], %x: f32[n]) -> (%y) {\n"
      "  const %zero = i64[1] {0}\n"
      "  %y = ai.onnx.Loop@16(%m, _, %x) {body = graph \"b\"(%i: i64[], %go: bool[], %v) -> (%go, %next) {\n"
      "    capture %zero = %zero\n"
      "    %next = ai.onnx.Unsqueeze@13(%v, %zero)\n"
      "  }}\n"
      "}\n",
      { { "const %m = i64[] {2} const %x = f32[2] {1, 2}", "const %y = f32[1, 1, 2] {1, 2}" },
        { "const %m = i64[] {0} const %x = f32[2] {1, 2}", "const %y = f32[2] {1, 2}" } } },
    { "loop: slices that differ cannot be stacked",
      "graph \"g\"(%m: i64[], %x: f32[n]) -> (%s) {\n"
      "  %y, %s = ai.onnx.Loop@16(%m, _, %x) {body = graph \"b\"(%i: i64[], %go: bool[], %v: f32[k]) -> (%go, "
      "%next, %v) {\n"
      "    capture %x = %x\n"
      "    %next = ai.onnx.Concat@4(%v, %x) {axis = 0}\n"
      "  }}\n"
      "}\n",
      { { "const %m = i64[] {2} const %x = f32[2] {1, 2}", "changes its shape" },
        { "const %m = i64[] {1} const %x = f32[2] {1, 2}", "const %s = f32[1, 2] {1, 2}" } } },
    { "loop: states change places",
      "graph \"g\"(%m: i64[], %x: f32[n], %z: f32[n]) -> (%a, %b, %c) {\n"
      "  %a, %b, %c = ai.onnx.Loop@16(%m, _, %x, %z, %x) {body = graph \"b\"(%i: i64[], %go: bool[], %p: f32[n], "
      "%q: f32[n], %r: f32[n]) -> (%go, %q, %p, %sum) {\n"
      "    %sum: f32[n] = ai.onnx.Sub@7(%p, %r)\n"
      "  }}\n"
      "}\n",
      { { "const %m = i64[] {1} const %x = f32[2] {1, 2} const %z = f32[2] {3, 4}",
          "const %a = f32[2] {3, 4} const %b = f32[2] {1, 2} const %c = f32[2] {0, 0}" },
        { "const %m = i64[] {2} const %x = f32[2] {1, 2} const %z = f32[2] {3, 4}",
          "const %a = f32[2] {1, 2} const %b = f32[2] {3, 4} const %c = f32[2] {3, 4}" },
        { "const %m = i64[] {3} const %x = f32[1] {1} const %z = f32[1] {3}",
          "const %a = f32[1] {3} const %b = f32[1] {1} const %c = f32[1] {-2}" } } },
    { "loop: one value becomes several states, a state comes from outside",
      "graph \"g\"(%m: i64[], %x: f32[n], %z: f32[n]) -> (%a, %b, %c) {\n"
      "  %a, %b, %c = ai.onnx.Loop@16(%m, _, %x, %x, %x) {body = graph \"b\"(%i: i64[], %go: bool[], %p: f32[n], "
      "%q: f32[n], %r: f32[n]) -> (%go, %s, %s, %z) {\n"
      "    capture %z = %z\n"
      "    %s: f32[n] = ai.onnx.Add@7(%p, %r)\n"
      "  }}\n"
      "}\n",
      { { "const %m = i64[] {2} const %x = f32[2] {1, 2} const %z = f32[2] {10, 20}",
          "const %a = f32[2] {12, 24} const %b = f32[2] {12, 24} const %c = f32[2] {10, 20}" },
        { "const %m = i64[] {0} const %x = f32[2] {1, 2} const %z = f32[2] {10, 20}",
          "const %a = f32[2] {1, 2} const %b = f32[2] {1, 2} const %c = f32[2] {1, 2}" } } },
    { "loop: only the slices are read",
      "graph \"g\"(%m: i64[], %x: f32[n]) -> (%s) {\n"
      "  const %w = f32[1] {1}\n"
      "  %y, %s = ai.onnx.Loop@16(%m, _, %x) {body = " COUNTING "}\n"
      "}\n",
      { { "const %m = i64[] {2} const %x = f32[1] {0}", "const %s = f32[2, 1] {0, 1}" },
        { "const %m = i64[] {0} const %x = f32[1] {0}", "const %s = f32[0, 1] {}" } } },
    { "loops in loops, values from two graphs up",
      "graph \"g\"(%m: i64[], %k: i64[], %x: f32[n], %w: f32[n]) -> (%y, %all) {\n"
      "  %y, %all = ai.onnx.Loop@16(%m, _, %x) {body = graph \"outer\"(%i: i64[], %go: bool[], %v: f32[n]) -> "
      "(%go, %u, %each) {\n"
      "    capture %k = %k\n"
      "    capture %w = %w\n"
      "    %u, %each = ai.onnx.Loop@16(%k, _, %v) {body = graph \"inner\"(%j: i64[], %on: bool[], %t: f32[n]) "
      "-> (%on, %r, %ij) {\n"
      "      capture %w = %w\n"
      "      capture %i = %i\n"
      "      %r: f32[n] = ai.onnx.Add@7(%t, %w)\n"
      "      %ij: i64[] = ai.onnx.Add@7(%i, %j)\n"
      "    }}\n"
      "  }}\n"
      "}\n",
      { { "const %m = i64[] {2} const %k = i64[] {3} const %x = f32[2] {0, 1} const %w = f32[2] {1, 2}",
          "const %y = f32[2] {6, 13} const %all = i64[2, 3] {0, 1, 2, 1, 2, 3}" },
        { "const %m = i64[] {3} const %k = i64[] {1} const %x = f32[1] {0} const %w = f32[1] {1}",
          "const %y = f32[1] {3} const %all = i64[3, 1] {0, 1, 2}" },
        { "const %m = i64[] {2} const %k = i64[] {0} const %x = f32[1] {5} const %w = f32[1] {1}",
          "const %y = f32[1] {5} const %all = i64[2, 0] {}" } } },
    { "if: branches of other shapes, one of them a value from outside",
      "graph \"g\"(%c: bool[], %x: f32[n]) -> (%y, %size) {\n"
      "  %y = ai.onnx.If@16(%c) {then_branch = graph \"t\"() -> (%r) {\n"
      "    capture %x = %x\n"
      "    %r = ai.onnx.Concat@4(%x, %x) {axis = 0}\n"
      "  }, else_branch = graph \"e\"() -> (%x) {\n"
      "    capture %x = %x\n"
      "  }}\n"
      "  %size = ai.onnx.Shape@1(%y)\n"
      "}\n",
      { { "const %c = bool[] {1} const %x = f32[2] {1, 2}", "const %y = f32[4] {1, 2, 1, 2} const %size = i64[1] {4}" },
        { "const %c = bool[] {0} const %x = f32[2] {1, 2}", "const %y = f32[2] {1, 2} const %size = i64[1] {2}" },
        { "const %c = bool[] {1} const %x = f32[0] {}", "const %y = f32[0] {} const %size = i64[1] {0}" } } },
    { "if: an output twice, a constant, and one that nobody reads",
      "graph \"g\"(%c: bool[], %x: f32[n]) -> (%p, %q, %r) {\n"
      "  %p, %q, %r, %dead = ai.onnx.If@16(%c) {then_branch = graph \"t\"() -> (%n, %n, %k, %n) {\n"
      "    capture %x = %x\n"
      "    const %k = f32[1] {7}\n"
      "    %n: f32[n] = ai.onnx.Neg@1(%x)\n"
      "  }, else_branch = graph \"e\"() -> (%x, %x, %k, %x) {\n"
      "    capture %x = %x\n"
      "    const %k = f32[1] {8}\n"
      "  }}\n"
      "}\n",
      { { "const %c = bool[] {1} const %x = f32[2] {1, 2}",
          "const %p = f32[2] {-1, -2} const %q = f32[2] {-1, -2} const %r = f32[1] {7}" },
        { "const %c = bool[] {0} const %x = f32[2] {1, 2}",
          "const %p = f32[2] {1, 2} const %q = f32[2] {1, 2} const %r = f32[1] {8}" } } },
    { "if in a loop, turn and turn about",
      "graph \"g\"(%m: i64[], %x: f32[n]) -> (%y) {\n"
      "  const %two = i64[] {2}\n"
      "  const %zero = i64[] {0}\n"
      "  %y = ai.onnx.Loop@16(%m, _, %x) {body = graph \"b\"(%i: i64[], %go: bool[], %v: f32[k]) -> (%go, %next) {\n"
      "    capture %two = %two\n"
      "    capture %zero = %zero\n"
      "    capture %x = %x\n"
      "    %mod: i64[] = ai.onnx.Mod@10(%i, %two)\n"
      "    %even: bool[] = ai.onnx.Equal@7(%mod, %zero)\n"
      "    %next = ai.onnx.If@16(%even) {then_branch = graph \"t\"() -> (%r) {\n"
      "      capture %v = %v\n"
      "      capture %x = %x\n"
      "      %r = ai.onnx.Concat@4(%v, %x) {axis = 0}\n"
      "    }, else_branch = graph \"e\"() -> (%r) {\n"
      "      capture %v = %v\n"
      "      %r = ai.onnx.Neg@1(%v)\n"
      "    }}\n"
      "  }}\n"
      "}\n",
      { { "const %m = i64[] {3} const %x = f32[1] {1}", "const %y = f32[3] {-1, -1, 1}" },
        { "const %m = i64[] {2} const %x = f32[2] {1, 2}", "const %y = f32[4] {-1, -2, -1, -2}" },
        { "const %m = i64[] {0} const %x = f32[2] {1, 2}", "const %y = f32[2] {1, 2}" } } },
    { "if: a condition of several elements",
      "graph \"g\"(%c: bool[k], %x: f32[n]) -> (%y) {\n"
      "  %y = ai.onnx.If@16(%c) {then_branch = graph \"t\"() -> (%r) {\n"
      "    capture %x = %x\n"
      "    %r: f32[n] = ai.onnx.Neg@1(%x)\n"
      "  }, else_branch = graph \"e\"() -> (%x) {\n"
      "    capture %x = %x\n"
      "  }}\n"
      "}\n",
      { { "const %c = bool[2] {1, 1} const %x = f32[1] {1}", "condition" },
        { "const %c = bool[1] {1} const %x = f32[1] {1}", "const %y = f32[1] {-1}" } } },
    { "scan: sums on the way",
      "graph \"g\"(%s: f32[n], %x: f32[t, n], %w: f32[n]) -> (%last, %sums) {\n"
      "  %last, %sums = ai.onnx.Scan@9(%s, %x) {num_scan_inputs = 1, body = graph \"b\"(%a: f32[n], %e: f32[n]) "
      "-> (%r, %o) {\n"
      "    capture %w = %w\n"
      "    %p: f32[n] = ai.onnx.Mul@7(%e, %w)\n"
      "    %r: f32[n] = ai.onnx.Add@7(%a, %p)\n"
      "    %o: f32[n] = ai.onnx.Neg@1(%r)\n"
      "  }}\n"
      "}\n",
      { { "const %s = f32[2] {0, 0} const %x = f32[3, 2] {1, 2, 3, 4, 5, 6} const %w = f32[2] {1, 10}",
          "const %last = f32[2] {9, 120} const %sums = f32[3, 2] {-1, -20, -4, -60, -9, -120}" },
        { "const %s = f32[2] {7, 8} const %x = f32[0, 2] {} const %w = f32[2] {1, 1}",
          "const %last = f32[2] {7, 8} const %sums = f32[0, 2] {}" },
        { "const %s = f32[1] {1} const %x = f32[2, 1] {1, 2} const %w = f32[1] {1}",
          "const %last = f32[1] {4} const %sums = f32[2, 1] {-2, -4}" } } },
    { "scan: backwards, along other axes",
      "graph \"g\"(%x: f32[n, t], %z: f32[t]) -> (%a, %b) {\n"
      "  %a, %b = ai.onnx.Scan@9(%x, %z) {num_scan_inputs = 2, scan_input_axes = [1, 0], scan_input_directions "
      "= [1, 0], "
      "scan_output_axes = [1, 0], scan_output_directions = [0, 1], body = graph \"b\"(%p: f32[n], %q: f32[]) -> "
      "(%r, %q) {\n"
      "    %r: f32[n] = ai.onnx.Add@7(%p, %q)\n"
      "  }}\n"
      "}\n",
      { { "const %x = f32[2, 3] {1, 2, 3, 4, 5, 6} const %z = f32[3] {10, 20, 30}",
          "const %a = f32[2, 3] {13, 22, 31, 16, 25, 34} const %b = f32[3] {30, 20, 10}" },
        { "const %x = f32[1, 1] {1} const %z = f32[1] {10}", "const %a = f32[1, 1] {11} const %b = f32[1] {10}" } } },
    { "scan: lengths that differ",
      "graph \"g\"(%x: f32[t], %z: f32[u]) -> (%a) {\n"
      "  %a = ai.onnx.Scan@9(%x, %z) {num_scan_inputs = 2, body = graph \"b\"(%p: f32[], %q: f32[]) -> (%r) {\n"
      "    %r: f32[] = ai.onnx.Add@7(%p, %q)\n"
      "  }}\n"
      "}\n",
      { { "const %x = f32[2] {1, 2} const %z = f32[3] {1, 2, 3}", "length" },
        { "const %x = f32[2] {1, 2} const %z = f32[2] {1, 2}", "const %a = f32[2] {2, 4}" } } },
    { "scan in a loop",
      "graph \"g\"(%m: i64[], %x: f32[t]) -> (%y) {\n"
      "  const %zero = f32[] {0}\n"
      "  %y = ai.onnx.Loop@16(%m, _, %x) {body = graph \"b\"(%i: i64[], %go: bool[], %v: f32[t]) -> (%go, %sums) {\n"
      "    capture %zero = %zero\n"
      "    %l, %sums = ai.onnx.Scan@9(%zero, %v) {num_scan_inputs = 1, body = graph \"s\"(%a: f32[], %e: f32[]) "
      "-> (%r, %r) {\n"
      "      %r: f32[] = ai.onnx.Add@7(%a, %e)\n"
      "    }}\n"
      "  }}\n"
      "}\n",
      { { "const %m = i64[] {2} const %x = f32[4] {1, 1, 1, 1}", "const %y = f32[4] {1, 3, 6, 10}" },
        { "const %m = i64[] {1} const %x = f32[2] {5, 6}", "const %y = f32[2] {5, 11}" },
        { "const %m = i64[] {0} const %x = f32[2] {5, 6}", "const %y = f32[2] {5, 6}" } } },
};

static mbr_memory memory;

static void setup(void)
{
    mbr_memory_init(&memory);
}

static void teardown(void)
{
    ck_assert_uint_eq(memory.in_use, 0);
}

static mbr_ir_module *constants(const char *text)
{
    char whole[2000];
    snprintf(whole, sizeof whole, "module \"v\" ir 8 opset ai.onnx 17 graph \"v\"() -> () {\n%s\n}\n", text);
    return ir_parse(&memory, whole);
}

/* What came out, as text; freed with free(). */
static char *printed(const mbr_value *v)
{
    mbr_ir_module *m = constants("");
    mbr_ir_value *c;
    mbr_value *copy;
    mbr_error err;
    ck_assert_int_eq(mbr_value_create(&memory, v->kind, v->dtype, &copy, &err), MBR_OK);
    ck_assert_int_eq(mbr_value_assign(copy, v, &err), MBR_OK);
    ck_assert_int_eq(mbr_ir_constant(m->main, copy, &c, &err), MBR_OK);
    ck_assert_int_eq(mbr_ir_add_output(m->main, c, &err), MBR_OK);
    char *text = ir_print(m);
    mbr_ir_module_free(m);
    return text;
}

static void check_outputs(const ir_session *s, const control_case *c, int run)
{
    mbr_ir_module *due = constants(c->runs[run].due);
    for (size_t i = 0; i < s->m->main->n_outputs; i++) {
        const char *name = s->m->main->output_names ? s->m->main->output_names[i] : s->m->main->outputs[i]->name;
        const mbr_ir_value *wanted = mbr_ir_find(due->main, name);
        const mbr_value *v = mbr_frame_output(s->f, i);
        ck_assert_msg(wanted != NULL, "%s: nothing is said of %s", c->name, name);
        if (ir_close_enough(v, wanted->constant))
            continue;
        char *text = printed(v);
        ck_assert_msg(false, "%s: run %d, output %s: got\n%sdue are %s", c->name, run, name, text, c->runs[run].due);
    }
    mbr_ir_module_free(due);
}

static void one_run(ir_session *s, const control_case *c, int run)
{
    mbr_ir_module *given = constants(c->runs[run].given);
    mbr_error err = { 0 };
    for (size_t i = 0; i < s->m->main->n_inputs; i++) {
        const mbr_ir_value *v = mbr_ir_find(given->main, s->m->main->inputs[i]->name);
        ck_assert_msg(v != NULL, "%s: no %s is given", c->name, s->m->main->inputs[i]->name);
        ck_assert_msg(mbr_frame_bind(s->f, i, v->constant, &err) == MBR_OK, "%s: %s", c->name, err.text);
    }
    size_t before = atomic_load(&memory.count);
    mbr_status st = mbr_frame_run(s->f, &err);
    mbr_arena_reset(&s->run.arena);
    before = atomic_load(&memory.count) - before;
    if (strstr(c->runs[run].due, "const")) {
        ck_assert_msg(st == MBR_OK, "%s: run %d: %s", c->name, run, err.text);
        check_outputs(s, c, run);
    } else {
        ck_assert_msg(st != MBR_OK && strstr(err.text, c->runs[run].due), "%s: run %d: %s", c->name, run,
                      st ? err.text : "it was accepted");
    }
    mbr_ir_module_free(given);
    atomic_store(&memory.count, before); /* what the run took */
}

START_TEST(a_case)
{
    const control_case *c = &cases[_i];
    char text[8000];
    snprintf(text, sizeof text, "module \"m\" ir 8 opset ai.onnx 17\n%s", c->graph);
    for (int all = 0; all < 2; all++) {
        ir_session s;
        ir_open(&s, &memory, NULL, text, all ? "all" : "none");
        for (int round = 0; round < ROUNDS; round++)
            for (int run = 0; run < MOST_RUNS && c->runs[run].given; run++) {
                one_run(&s, c, run);
                ck_assert_msg(round < ROUNDS - 1 || atomic_load(&memory.count) == 0,
                              "%s: run %d takes memory though all sizes were seen", c->name, run);
            }
        ir_close(&s);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *tc = tcase_create("control");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_case, 0, (int)MBR_COUNT_OF(cases));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What operators say of shapes and of the numbers of shape tensors before any run: rows of IR text with the type, or the
 * numbers, that the value %r must get. And what they refuse.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/infer.h"
#include "engine/text.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *inputs, *body;
    const char *expect; /* "(b, 64)" is the shape of %r, "{b, 64}" its numbers; other text is part of a failure */
} rows[] = {
    /* chains that exporters write */
    { "%x: f32[b, s, 768]",
      "%s = ai.onnx.Shape@13(%x)\nconst %i = i64[] {0}\nconst %z = i64[1] {0}\n"
      "%b = ai.onnx.Gather@13(%s, %i)\n%u = ai.onnx.Unsqueeze@13(%b, %z)\n"
      "const %t = i64[2] {-1, 64}\n%r = ai.onnx.Concat@13(%u, %t) {axis = 0}",
      "{b, -1, 64}" },
    { "%x: f32[b, s, 768]",
      "const %t = i64[4] {0, 0, 12, -1}\n%r = ai.onnx.Reshape@14(%x, %t)", "(b, s, 12, 64)" },
    { "%x: f32[b, 12, s, 64]",
      "const %t = i64[2] {-1, 64}\n%r = ai.onnx.Reshape@14(%x, %t)", "(((b * s) * 12), 64)" },
    { "%x: f32[b, 3]", "const %s = i64[1] {1}\nconst %e = i64[1] {-1}\nconst %a = i64[1] {0}\n"
                       "%r = ai.onnx.Slice@13(%x, %s, %e, %a)", "(((((b + -1) max 0) - (b min 1)) max 0), 3)" },
    { "%x: f32[b, 3]", "const %s = i64[1] {0}\nconst %e = i64[1] {9223372036854775807}\n"
                       "%r = ai.onnx.Slice@13(%x, %s, %e)", "(b, 3)" },
    { "%x: f32[b, 3]", "const %s = i64[1] {-1}\nconst %e = i64[1] {-9223372036854775807}\nconst %a = i64[1] {1}\n"
                       "const %t = i64[1] {-1}\n%r = ai.onnx.Slice@13(%x, %s, %e, %a, %t)", "(b, 3)" },
    { "%x: f32[b, 10]", "const %s = i64[1] {7}\nconst %e = i64[1] {1}\nconst %a = i64[1] {1}\n"
                        "const %t = i64[1] {-3}\n%r = ai.onnx.Slice@13(%x, %s, %e, %a, %t)", "(b, 2)" },
    { "%x: f32[b, 3]",
      "%s = ai.onnx.Shape@13(%x)\nconst %m = i64[2] {-1, 3}\n%e = ai.onnx.Equal@13(%m, %s)\n"
      "%r = ai.onnx.Where@9(%e, %m, %s)", "{b, 3}" },
    { "%x: f32[b, 3]",
      "%s = ai.onnx.Shape@15(%x) {end = 1}\nconst %one = i64[1] {1}\n%p = ai.onnx.Add@14(%s, %one)\n"
      "const %two = i64[1] {2}\n%r = ai.onnx.Div@14(%p, %two)", "{((b + 1) / 2)}" },
    { "", "const %a = i64[2] {-7, 7}\nconst %b = i64[1] {2}\n%r = ai.onnx.Div@14(%a, %b)", "{-3, 3}" },
    { "", "const %a = i64[2] {-7, 7}\nconst %b = i64[1] {3}\n%r = ai.onnx.Mod@13(%a, %b)", "{2, 1}" },
    { "", "const %a = i64[2] {-7, 7}\nconst %b = i64[1] {3}\n%r = ai.onnx.Mod@13(%a, %b) {fmod = 1}",
      "{-1, 1}" },
    { "%x: f32[b, 3]", "%r = ai.onnx.Size@13(%x)", "{(b * 3)}" },
    { "%x: f32[b, 3, 4]", "%s = ai.onnx.Shape@13(%x)\n%r = ai.onnx.ReduceProd@13(%s) {keepdims = 0}",
      "{(b * 12)}" },
    { "%x: f32[b, 3]",
      "%s = ai.onnx.Shape@13(%x)\n%a, %r = ai.onnx.Split@13(%s) {axis = 0}", "{3}" },
    { "%x: f32[b]", "%s = ai.onnx.Shape@13(%x)\n%n = ai.onnx.Squeeze@13(%s)\nconst %z = i64[] {0}\n"
                    "const %o = i64[] {1}\n%r = ai.onnx.Range@11(%z, %n, %o)", "(b)" },
    { "", "const %z = i64[] {3}\nconst %l = i64[] {-4}\nconst %o = i64[] {-3}\n%r = ai.onnx.Range@11(%z, %l, %o)",
      "{3, 0, -3}" },
    { "%x: f32[b, 1]", "const %s = i64[3] {2, 1, 5}\n%r = ai.onnx.Expand@13(%x, %s)", "(2, b, 5)" },
    { "%x: f32[b, 4]", "const %n = i64[2] {2, 3}\n%r = ai.onnx.Tile@13(%x, %n)", "((b * 2), 12)" },
    { "%x: f32[b, 4]", "const %p = i64[4] {1, 0, 1, -2}\n%r = ai.onnx.Pad@13(%x, %p)",
      "((b + 2), 2)" },
    { "%x: f32[b, 4], %y: f32[c, 1]", "%r = ai.onnx.Add@14(%x, %y)", "((b bc c), 4)" },
    { "%x: f32[2, 3, 4], %y: f32[3]", "%r = ai.onnx.Add@6(%x, %y) {broadcast = 1, axis = 1}", "(2, 3, 4)" },
    { "%x: f32[b, 5], %i: i64[2, k]", "%r = ai.onnx.Gather@13(%x, %i) {axis = 1}", "(b, 2, k)" },
    { "%x: f32[b, 5, 6], %i: i64[b, 3, 1]", "%r = ai.onnx.GatherND@13(%x, %i) {batch_dims = 1}", "(b, 3, 6)" },
    { "%x: f32[b, 9]", "const %k = i64[1] {4}\n%r, %i = ai.onnx.TopK@11(%x, %k)", "(b, 4)" },
    { "%x: i64[b]", "const %d = i64[] {7}\nconst %v = f32[2] {0, 1}\n%r = ai.onnx.OneHot@11(%x, %d, %v)",
      "(b, 7)" },
    { "%x: f32[b, i, d], %y: f32[b, j, d]", "%r = ai.onnx.Einsum@12(%x, %y) {equation = \"bid,bjd->bij\"}",
      "(b, i, j)" },
    { "%x: f32[b, i, 4], %y: f32[4, 4]", "%r = ai.onnx.Einsum@12(%x, %y) {equation = \"...k,kn\"}", "(b, i, 4)" },
    { "%x: f32[b, 8, h, w]", "%r = ai.onnx.DepthToSpace@13(%x) {blocksize = 2}",
      "(b, 2, (h * 2), (w * 2))" },
    { "%x: f32[b, 3, 1]", "const %a = i64[1] {-1}\n%r = ai.onnx.Squeeze@13(%x, %a)", "(b, 3)" },
    { "%x: f32[b, 3, 4]", "%r = ai.onnx.Flatten@13(%x) {axis = -1}", "((b * 3), 4)" },
    { "%x: f32[b, 3, 4]", "const %a = i64[1] {1}\n%r = ai.onnx.ReduceSum@13(%x, %a) {keepdims = 0}", "(b, 4)" },
    { "%x: f32[b, 3, 4]", "%r = ai.onnx.ArgMax@13(%x) {axis = 1}", "(b, 1, 4)" },
    /* unknown inputs give unknown outputs */
    { "%x: f32[b, 3], %t: i64[3]", "%r = ai.onnx.Reshape@14(%x, %t)", "(?, ?, ?)" },
    { "%x: f32[b, 3], %t: i64[n]", "%r = ai.onnx.Reshape@14(%x, %t)", "?" },
    { "%x: f32[b, 3], %s: i64[1], %e: i64[1]", "%r = ai.onnx.Slice@13(%x, %s, %e)", "(?, ?)" },
    { "%x: f32[b, 3], %a: i64[1]", "%r = ai.onnx.ReduceSum@13(%x, %a)", "(?, ?)" },
    { "%x: f32[b, 3]", "%r = ai.onnx.NonZero@13(%x)", "(2, ?)" },
    /* refusals */
    { "%x: f32[2, 3]", "const %t = i64[2] {-1, -1}\n%r = ai.onnx.Reshape@14(%x, %t)", "-1 twice" },
    { "%x: f32[2, 3]", "const %t = i64[2] {4, 2}\n%r = ai.onnx.Reshape@14(%x, %t)", "6 elements" },
    { "%x: f32[2, 3]", "%r = ai.onnx.Transpose@13(%x) {perm = [0, 0]}", "listed twice" },
    { "%x: f32[2, 3], %y: f32[2, 4]", "%r = ai.onnx.Concat@13(%x, %y) {axis = 0}", "axis 1" },
    { "%x: f32[2, 3], %y: f32[4]", "%r = ai.onnx.Add@14(%x, %y)", "Add" },
    { "%x: f32[2, 3], %y: i64[3]", "%r = ai.onnx.Add@14(%x, %y)", "one type" },
    { "%x: f32[2, 3]", "const %a = i64[1] {1}\n%r = ai.onnx.Squeeze@13(%x, %a)", "size 3" },
    { "%x: f32[2, 3]", "const %s = i64[1] {0}\nconst %e = i64[1] {1}\nconst %a = i64[1] {0}\n"
                       "const %t = i64[1] {0}\n%r = ai.onnx.Slice@13(%x, %s, %e, %a, %t)", "step of 0" },
    { "%x: f32[2, 3]", "const %k = i64[1] {4}\n%r, %i = ai.onnx.TopK@11(%x, %k)", "4 first of 3" },
    { "%x: f32[2, 3]", "%r = ai.onnx.Einsum@12(%x) {equation = \"ij->ik\"}", "in no operand" },
    { "%x: f32[2, 3]", "%r = ai.onnx.Einsum@12(%x) {equation = \"ijk\"}", "rank" },
    { "%x: string[2]", "%r = ai.onnx.Abs@13(%x)", "string" },
    { "%x: f32[2, 3]", "%r = ai.onnx.Cast@13(%x) {to = 99}", "no type" },
    { "%x: f32[2, 3]", "%r, %q = ai.onnx.Split@13(%x, %w) {axis = 0}\n", "%w" },
};

static void print_dims(const mbr_dim_table *t, const mbr_dim *d, size_t n, char open, char close, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "%c", open);
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s", i ? ", " : "");
        used += (size_t)mbr_dim_print(t, d[i], text + used, size - used);
    }
    snprintf(text + used, size - used, "%c", close);
}

START_TEST(shapes)
{
    mbr_memory memory;
    mbr_error err = { 0 };
    mbr_ir_module *m = NULL;
    char text[2048], got[512] = "?";
    const char *expect = rows[_i].expect;
    mbr_memory_init(&memory);
    snprintf(text, sizeof text, "module \"t\" ir 10 opset ai.onnx 21\ngraph \"main\"(%s) -> (%%r) {\n%s\n}\n",
             rows[_i].inputs, rows[_i].body);
    mbr_status st = mbr_text_parse(&memory, NULL, text, strlen(text), &m, &err);
    if (st == MBR_OK)
        st = mbr_infer_graph(m->main, &err);
    if (!strchr("({?", expect[0])) {
        ck_assert_msg(st != MBR_OK, "row %d was accepted:\n%s", _i, text);
        ck_assert_msg(strstr(err.text, expect) != NULL, "row %d: '%s' is not in: %s", _i, expect, err.text);
    } else {
        ck_assert_msg(st == MBR_OK, "row %d: %s\n%s", _i, err.text, text);
        const mbr_ir_value *r = mbr_ir_find(m->main, "r");
        ck_assert_ptr_nonnull(r);
        if (expect[0] == '{') {
            ck_assert_msg(r->content != NULL, "row %d: the numbers are not known\n%s", _i, text);
            print_dims(&m->dims, r->content, r->n_content, '{', '}', got, sizeof got);
        } else if (r->type.rank >= 0) {
            print_dims(&m->dims, r->type.dims, (size_t)r->type.rank, '(', ')', got, sizeof got);
        }
        ck_assert_msg(strcmp(expect, got) == 0, "row %d: %s instead of %s\n%s", _i, got, expect, text);
    }
    mbr_ir_module_free(m);
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}
END_TEST

/* The allocations of parsing and inference fail one by one. */
START_TEST(no_memory)
{
    mbr_memory memory;
    mbr_error err = { 0 };
    char text[2048];
    mbr_memory_init(&memory);
    snprintf(text, sizeof text, "module \"t\" ir 10 opset ai.onnx 21\ngraph \"main\"(%s) -> (%%r) {\n%s\n}\n",
             rows[_i].inputs, rows[_i].body);
    for (long k = 0; k < 10000; k++) {
        mbr_ir_module *m = NULL;
        atomic_store(&memory.fail_after, k);
        mbr_status st = mbr_text_parse(&memory, NULL, text, strlen(text), &m, &err);
        if (st == MBR_OK)
            st = mbr_infer_graph(m->main, &err);
        bool all = atomic_load(&memory.fail_after) > 0;
        atomic_store(&memory.fail_after, -1);
        mbr_ir_module_free(m);
        ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
        if (all || (st != MBR_OK && st != MBR_ERR_NO_MEMORY))
            return;
    }
    ck_abort_msg("row %d never ends", _i);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops_shapes");
    TCase *c = tcase_create("shapes");
    tcase_add_loop_test(c, shapes, 0, (int)MBR_COUNT_OF(rows));
    tcase_add_loop_test(c, no_memory, 0, (int)MBR_COUNT_OF(rows));
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

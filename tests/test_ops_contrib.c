/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operators of com.microsoft: each row is a node on constants, run with all passes and with none; %r is what it makes,
 * derived by hand. Where shapes and options multiply, a comparison with ONNX Runtime was made once, not here.
 */
#include "tests/ir_text.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *body;
    const char *expect; /* "type[dims] {numbers}", or part of a failure's message */
} rows[] = {
    /* attention: one key, then a past beside it that weighs the same */
    { "const %x = f32[1, 1, 1] {2}\nconst %w = f32[1, 3] {1, 1, 3}\nconst %b = f32[3] {0, 0, 1}\n"
      "%r = com.microsoft.Attention@1(%x, %w, %b) {num_heads = 1}", "f32[1, 1, 1] {7}" },
    { "const %x = f32[1, 1, 1] {2}\nconst %w = f32[1, 3] {0, 1, 3}\nconst %p = f32[2, 1, 1, 1, 1] {5, 2}\n"
      "%r, %q = com.microsoft.Attention@1(%x, %w, _, _, %p) {num_heads = 1}", "f32[1, 1, 1] {4}" },
    { "const %x = f32[1, 1, 1] {2}\nconst %w = f32[1, 3] {0, 1, 3}\nconst %p = f32[2, 1, 1, 1, 1] {5, 2}\n"
      "%q, %r = com.microsoft.Attention@1(%x, %w, _, _, %p) {num_heads = 1}", "f32[2, 1, 1, 2, 1] {5, 2, 2, 6}" },
    { "const %x = f32[1, 2, 1] {2, 4}\nconst %w = f32[1, 3] {0, 1, 1}\n"
      "%r = com.microsoft.Attention@1(%x, %w) {num_heads = 1, unidirectional = 1}", "f32[1, 2, 1] {2, 3}" },
    { "const %x = f32[1, 2, 1] {2, 4}\nconst %w = f32[1, 3] {0, 1, 1}\nconst %m = i32[2] {2, 1}\n"
      "%r = com.microsoft.Attention@1(%x, %w, _, %m) {num_heads = 1}", "f32[1, 2, 1] {4, 4}" },
    { "const %x = f32[1, 1, 1] {2}\nconst %w = f32[1, 4] {1, 1, 3, 4}\n"
      "%r = com.microsoft.Attention@1(%x, %w) {num_heads = 1, qkv_hidden_sizes = [1, 1, 2]}", "f32[1, 1, 2] {6, 8}" },
    { "const %x = f32[1, 1, 1] {2}\nconst %w = f32[1, 3] {1, 1, 3}\n%r = com.microsoft.Attention@1(%x, %w)", "num_heads" },
    /* 3 and 1 are 1 above and below their mean */
    { "const %i = i32[1, 2] {1, 0}\nconst %s = i32[1, 2] {0, 1}\nconst %w = f32[2, 2] {9, 9, 1, 1}\n"
      "const %p = f32[3, 2] {1, 0, -9, -10, 7, 7}\nconst %t = f32[2, 2] {1, 0, 1, 0}\nconst %g = f32[2] {1, 2}\n"
      "const %b = f32[2] {0, 1}\n%r = com.microsoft.EmbedLayerNormalization@1(%i, %s, %w, %p, %t, %g, %b)",
      "f32[1, 2, 2] {1, -1, 1, -1}" },
    { "const %i = i32[2, 2] {1, 0, 0, 0}\nconst %w = f32[2, 1] {9, 8}\nconst %p = f32[2, 1] {1, 0}\n"
      "const %g = f32[1] {1}\nconst %b = f32[1] {0}\nconst %m = i32[2, 2] {1, 0, 1, 1}\n"
      "_, %r = com.microsoft.EmbedLayerNormalization@1(%i, _, %w, %p, _, %g, %b, %m)", "i32[2] {1, 2}" },
    { "const %i = i32[1, 2] {1, 0}\nconst %w = f32[2, 1] {9, 8}\nconst %p = f32[4, 1] {1, 0, 3, 5}\n"
      "const %g = f32[1] {1}\nconst %b = f32[1] {0}\nconst %q = i32[1, 2] {3, 2}\n"
      "_, _, %r = com.microsoft.EmbedLayerNormalization@1(%i, _, %w, %p, _, %g, %b, _, %q)", "f32[1, 2, 1] {13, 12}" },
    { "const %i = i32[1, 1] {0}\nconst %w = f32[1, 1] {9}\nconst %g = f32[1] {1}\n"
      "%r = com.microsoft.EmbedLayerNormalization@1(%i, _, %w, _, _, %g, %g)", "input 3 is missing" },
    /* products */
    { "const %a = f32[1, 2] {1, 2}\nconst %b = f32[2, 2] {1, -1, 1, -1}\n"
      "%r = com.microsoft.FusedGemm@1(%a, %b) {activation = \"LeakyRelu\", activation_alpha = f0.5}", "f32[1, 2] {3, -1.5}" },
    { "const %a = f32[1, 2] {1, 2}\nconst %b = f32[2, 2] {1, -1, 1, -1}\nconst %c = f32[2] {1, 1}\n"
      "%r = com.microsoft.FusedGemm@1(%a, %b, %c) {activation = \"ThresholdedRelu\", activation_alpha = f6, alpha = f2}",
      "f32[1, 2] {7, 0}" },
    { "const %a = f32[2, 1] {1, 2}\nconst %b = f32[2, 2] {1, -1, 1, -1}\n"
      "%r = com.microsoft.TransposeMatMul@1(%a, %b) {transA = 1}", "f32[1, 2] {3, -3}" },
    { "const %a = f32[2, 2] {2, 0, 0, 4}\n%r = com.microsoft.Inverse@1(%a)", "f32[2, 2] {0.5, 0, 0, 0.25}" },
    { "const %a = f64[1, 2, 2] {0, 1, 2, 0}\n%r = com.microsoft.Inverse@1(%a)", "f64[1, 2, 2] {0, 0.5, 1, 0}" },
    { "const %a = f32[2, 3] {1, 2, 3, 4, 5, 6}\n%r = com.microsoft.Inverse@1(%a)", "not square" },
    { "const %a = f32[1, 2] {0, 0}\nconst %b = f32[2, 2] {3, 4, 0, 0}\n"
      "%r = com.microsoft.CDist@1(%a, %b) {metric = \"euclidean\"}", "f32[1, 2] {5, 0}" },
    { "const %a = f32[1, 2] {0, 0}\nconst %b = f32[2, 2] {3, 4, 0, 0}\n%r = com.microsoft.CDist@1(%a, %b)",
      "f32[1, 2] {25, 0}" },
    { "const %a = f32[1, 2] {0, 0}\n%r = com.microsoft.CDist@1(%a, %a) {metric = \"yule\"}", "metric 'yule'" },
    /* movement */
    { "const %a = f32[2, 2] {1, 2, 3, 4}\n%r = com.microsoft.Trilu@1(%a) {upper = 0}", "f32[2, 2] {1, 0, 3, 4}" },
    { "const %a = i64[] {3}\nconst %b = i64[] {6}\n%r = com.microsoft.Range@1(%a, %b)", "i64[3] {3, 4, 5}" },
    { "const %a = f32[] {1}\nconst %b = f32[] {2.5}\n%r = com.microsoft.Range@1(%a, %b)", "f32[2] {1, 2}" },
    { "const %a = f32[2, 2] {1, 2, 3, 4}\nconst %i = i64[1, 2] {1, 0}\n%r = com.microsoft.GatherND@1(%a, %i)", "f32[1] {3}" },
    { "const %a = f32[2] {1, 2}\nconst %p = i64[2] {1, 0}\n%r = com.microsoft.Pad@1(%a, %p)", "f32[3] {0, 1, 2}" },
    { "const %a = f32[6] {2, 1, 1, 3, 4, 3}\n%r = com.microsoft.Unique@1(%a)", "f32[4] {2, 1, 3, 4}" },
    { "const %a = f32[6] {2, 1, 1, 3, 4, 3}\n_, _, %r = com.microsoft.Unique@1(%a)", "i64[4] {1, 2, 2, 1}" },
    { "const %a = u8[1, 2, 2, 2] {1, 8, 2, 7, 3, 6, 4, 5}\n"
      "%r = com.microsoft.NhwcMaxPool@1(%a) {kernel_shape = [2, 2]}", "u8[1, 1, 1, 2] {4, 8}" },
    /* bytes: zero points in the middle may be left out */
    { "const %x = i8[2] {0, 20}\nconst %s = f32[] {0.1}\nconst %t = f32[] {0.05}\n"
      "%r = com.microsoft.QLinearLeakyRelu@1(%x, %s, _, %t)", "i8[2] {0, 40}" },
    { "const %x = i8[2] {0, 20}\nconst %s = f32[] {0.5}\nconst %z = i8[] {1}\n"
      "%r = com.microsoft.QLinearAdd@1(%x, %s, _, %x, %s, _, %s, %z)", "i8[2] {1, 41}" },
    { "const %c = bool[2] {1, 0}\nconst %x = u8[2] {10, 10}\nconst %y = u8[1] {7}\nconst %s = f32[] {0.5}\n"
      "const %t = f32[] {1}\nconst %z = u8[] {2}\n"
      "%r = com.microsoft.QLinearWhere@1(%c, %x, %s, %z, %y, %t, %z, %s, %z)", "u8[2] {10, 12}" },
    { "const %x = u8[2, 2] {2, 4, 6, 8}\nconst %s = f32[] {0.5}\nconst %z = u8[] {0}\n"
      "%r = com.microsoft.QLinearReduceMean@1(%x, %s, %z, %s, %z) {axes = [1], keepdims = 0}", "u8[2] {3, 7}" },
    { "const %x = u8[2] {2, 4}\nconst %s = f32[] {0.5}\n%r = com.microsoft.QLinearReduceMean@1(%x, %s)", "input 3 is missing" },
    /* nothing goes in, so the gates are half open and nothing comes out */
    { "const %x = f32[1, 1, 1] {1}\nconst %w = u8[1, 1, 4] {128, 128, 128, 128}\nconst %s = f32[1] {0.5}\n"
      "const %z = u8[1] {128}\nconst %c = f32[1, 1, 1] {0}\n"
      "%r = com.microsoft.DynamicQuantizeLSTM@1(%x, %w, %w, _, _, _, %c, _, %s, %z, %s, %z) {hidden_size = 1}",
      "f32[1, 1, 1, 1] {0}" },
    /* text */
    { "const %a = string[2] {\"ab c\", \"d\"}\n%r = com.microsoft.Tokenizer@1(%a) {mark = 0, mincharnum = 1, "
      "pad_value = \"#\", separators = [\" \"]}", "string[2, 2] {\"ab\", \"c\", \"d\", \"#\"}" },
    { "const %a = string[1] {\"äb\"}\n%r = com.microsoft.Tokenizer@1(%a) {mark = 0, mincharnum = 1, pad_value = \"#\", "
      "separators = [\"\"]}", "string[1, 2] {\"ä\", \"b\"}" },
    { "const %a = string[1] {\"aaa\"}\n%r = com.microsoft.Tokenizer@1(%a) {mincharnum = 1, tokenexp = \"a|aa\"}",
      "string[1, 2] {\"aa\", \"a\"}" },
    { "const %a = string[1] {\"aXXXb cc\"}\n%r = com.microsoft.Tokenizer@1(%a) {mincharnum = 2, "
      "separators = [\"XX\", \" \"]}", "string[1, 2] {\"Xb\", \"cc\"}" },
    { "const %a = string[2] {\"\", \" \"}\n%r = com.microsoft.Tokenizer@1(%a) {mark = 1, mincharnum = 1, "
      "separators = [\" \"]}", "string[2, 0] {}" },
    { "const %a = string[1] {\"a\"}\n%r = com.microsoft.Tokenizer@1(%a) {mincharnum = 1}", "neither separators nor tokenexp" },
};

/* Runs the row with those passes; the output's text form, or "". */
static mbr_status evaluate(mbr_memory *memory, int row, const char *passes, char **printed, mbr_error *err)
{
    char text[2048];
    mbr_ir_module *m = NULL;
    mbr_program *p = NULL;
    mbr_frame *f = NULL;
    mbr_run run;
    mbr_pass_set set;
    bool running = false;
    *printed = NULL;
    snprintf(text, sizeof text, "module \"t\" ir 10 opset ai.onnx 21\ngraph \"main\"() -> (%%r) {\n%s\n}\n",
             rows[row].body);
    mbr_status st = mbr_text_parse(memory, NULL, text, strlen(text), &m, err);
    if (st == MBR_OK)
        st = mbr_pass_set_parse(passes, &set, err);
    if (st == MBR_OK)
        st = mbr_passes_run(m, &set, NULL, err);
    if (st == MBR_OK)
        st = mbr_program_new(m->main, &p, err);
    if (st == MBR_OK) {
        st = mbr_run_init(&run, memory, NULL, 1, m, err);
        running = st == MBR_OK;
    }
    if (st == MBR_OK)
        st = mbr_frame_new(p, &run, &f, err);
    if (st == MBR_OK)
        st = mbr_frame_run(f, err);
    mbr_value *copy = NULL;
    if (st == MBR_OK) {
        const mbr_value *made = mbr_frame_output(f, 0);
        st = mbr_value_create(memory, made->kind, made->dtype, &copy, err);
        if (st == MBR_OK)
            st = mbr_value_assign(copy, made, err);
    }
    mbr_frame_free(f);
    if (running)
        mbr_run_destroy(&run);
    mbr_program_free(p);
    mbr_ir_module_free(m);
    m = NULL;
    if (st == MBR_OK && atomic_load(&memory->fail_after) < 0) { /* printed as a constant of a graph of its own */
        mbr_ir_graph *g;
        mbr_ir_value *v;
        ck_assert_int_eq(mbr_ir_module_new(memory, NULL, "out", &m, err), MBR_OK);
        ck_assert_int_eq(mbr_ir_graph_new(m, "main", &g, err), MBR_OK);
        ck_assert_int_eq(mbr_ir_constant(g, copy, &v, err), MBR_OK);
        ck_assert_int_eq(mbr_ir_add_output(g, v, err), MBR_OK);
        copy = NULL;
        *printed = ir_print(m);
        mbr_ir_module_free(m);
    }
    mbr_value_drop(copy);
    return st;
}

static void check_row(int row, const char *passes)
{
    mbr_memory memory;
    mbr_error err = { 0 };
    char *printed;
    const char *expect = rows[row].expect;
    mbr_memory_init(&memory);
    mbr_status st = evaluate(&memory, row, passes, &printed, &err);
    if (strstr(expect, "] {")) {
        ck_assert_msg(st == MBR_OK, "%s\n%s", rows[row].body, err.text);
        ck_assert_msg(strstr(printed, expect) != NULL, "%s\n(%s) made\n%s, not %s", rows[row].body, passes, printed,
                      expect);
    } else {
        ck_assert_msg(st != MBR_OK, "%s\nshould fail", rows[row].body);
        ck_assert_msg(strstr(err.text, expect) != NULL, "%s, not %s", err.text, expect);
    }
    free(printed);
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}

START_TEST(values)
{
    check_row(_i, "all");
    check_row(_i, "none");
}
END_TEST

START_TEST(no_memory)
{
    mbr_memory memory;
    mbr_error err;
    char *printed;
    mbr_status st = MBR_ERR_NO_MEMORY;
    if (!strstr(rows[_i].expect, "] {"))
        return;
    for (int after = 0; st != MBR_OK && after < 2000; after++) {
        mbr_memory_init(&memory);
        atomic_store(&memory.fail_after, after);
        st = evaluate(&memory, _i, "none", &printed, &err);
        ck_assert_msg(st == MBR_OK || st == MBR_ERR_NO_MEMORY, "%s\nallocation %d: %s", rows[_i].body, after, err.text);
        ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
        free(printed);
    }
    ck_assert_int_eq(st, MBR_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("com.microsoft");
    TCase *cases = tcase_create("com.microsoft");
    tcase_add_loop_test(cases, values, 0, MBR_COUNT_OF(rows));
    tcase_add_loop_test(cases, no_memory, 0, MBR_COUNT_OF(rows));
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

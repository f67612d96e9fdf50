/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What operators compute, where the conformance suite does not look: old versions, odd corners, failures, and
 * allocations that fail one by one. A row is one node on constants; %r is what it makes.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/ops/pattern.h"
#include "tests/ir_text.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *body;
    const char *expect; /* "type[dims] {numbers}", or part of a failure's message */
} rows[] = {
    /* the second tensor from an axis on, before version 7 */
    { "const %a = f32[2, 3] {0, 0, 0, 10, 10, 10}\nconst %b = f32[2] {1, 2}\n"
      "%r = ai.onnx.Add@6(%a, %b) {broadcast = 1, axis = 0}", "f32[2, 3] {1, 1, 1, 12, 12, 12}" },
    { "const %a = i32[2, 2] {1, 2, 3, 4}\nconst %b = i32[2] {10, 20}\n"
      "%r = ai.onnx.Mul@6(%a, %b) {broadcast = 1, axis = 0}", "i32[2, 2] {10, 20, 60, 80}" },
    { "const %a = i32[3] {7, -7, 7}\nconst %b = i32[3] {2, 2, -2}\n%r = ai.onnx.Div@14(%a, %b)", "i32[3] {3, -3, -3}" },
    { "const %a = i32[2] {7, 1}\nconst %b = i32[2] {2, 0}\n%r = ai.onnx.Div@14(%a, %b)", "divided by zero" },
    { "const %a = f32[3] {2, nan, -2}\nconst %b = f32[1] {nan}\n%r = ai.onnx.Max@13(%a, %b)", "f32[3] {nan, nan, nan}" },
    { "const %a = f32[3] {5, nan, -5}\nconst %l = f32[] {-1}\nconst %h = f32[] {1}\n%r = ai.onnx.Clip@13(%a, %l, %h)",
      "f32[3] {1, nan, -1}" },
    { "const %a = f32[3] {5, 0, -5}\n%r = ai.onnx.Clip@6(%a) {max = f2}", "f32[3] {2, 0, -5}" },
    { "const %a = i64[3] {5, 0, -5}\nconst %h = i64[] {1}\n%r = ai.onnx.Clip@13(%a, _, %h)", "i64[3] {1, 0, -5}" },
    { "const %a = i64[2] {2, 3}\nconst %b = i64[2] {10, -1}\n%r = ai.onnx.Pow@15(%a, %b)", "i64[2] {1024, 0}" },
    { "const %a = u8[2] {200, 100}\nconst %b = u8[2] {100, 100}\n%r = ai.onnx.Add@14(%a, %b)", "u8[2] {44, 200}" },
    { "const %a = f32[2, 2, 2] {1, 2, 3, 4, 5, 6, 7, 8}\nconst %b = f32[2] {-1, 2}\n%r = ai.onnx.PRelu@6(%a, %b)",
      "f32[2, 2, 2] {1, 2, 3, 4, 5, 6, 7, 8}" },
    { "const %a = string[2] {\"ab\", \"\"}\nconst %b = string[1] {\"\"}\n%r = ai.onnx.Equal@19(%a, %b)", "bool[2] {0, 1}" },
    /* movement */
    { "const %a = string[4] {\"a\", \"b\", \"c\", \"d\"}\nconst %s = i64[1] {-1}\nconst %e = i64[1] {-9}\n"
      "const %x = i64[1] {0}\nconst %t = i64[1] {-2}\n%r = ai.onnx.Slice@13(%a, %s, %e, %x, %t)",
      "string[2] {\"d\", \"b\"}" },
    { "const %a = i8[5] {0, 1, 2, 3, 4}\n%r = ai.onnx.Slice@1(%a) {starts = [-4], ends = [-1]}", "i8[3] {1, 2, 3}" },
    { "const %a = i16[3] {1, 2, 3}\nconst %p = i64[2] {5, 4}\n%r = ai.onnx.Pad@19(%a, %p) {mode = \"reflect\"}",
      "i16[12] {2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3}" },
    { "const %a = i16[3] {1, 2, 3}\nconst %p = i64[2] {4, 2}\n%r = ai.onnx.Pad@19(%a, %p) {mode = \"wrap\"}",
      "i16[9] {3, 1, 2, 3, 1, 2, 3, 1, 2}" },
    { "const %a = f32[2, 2] {1, 2, 3, 4}\nconst %p = i64[4] {-1, 1, 0, 0}\nconst %v = f32[] {9}\n"
      "%r = ai.onnx.Pad@13(%a, %p, %v)", "f32[1, 3] {9, 3, 4}" },
    { "const %a = f32[2] {1, 2}\n%r = ai.onnx.Pad@2(%a) {pads = [1, 1], value = f0.5}", "f32[4] {0.5, 1, 2, 0.5}" },
    { "const %a = f32[2] {1, 2}\nconst %t = f32[] {2}\nconst %x = f32[] {0}\n%r = ai.onnx.Tile@6(%a, %t)", "integers" },
    { "const %a = i32[2, 1] {1, 2}\nconst %t = i64[2] {2, 3}\n%r = ai.onnx.Tile@13(%a, %t)",
      "i32[4, 3] {1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2}" },
    { "const %a = f32[3] {1, 2, 3}\nconst %i = i64[2] {-1, 3}\n%r = ai.onnx.Gather@13(%a, %i)", "index 3 is outside" },
    { "const %a = f32[3] {1, 2, 3}\nconst %i = i64[1] {-4}\n%r = ai.onnx.GatherElements@13(%a, %i)", "index -4" },
    { "const %a = f32[2, 2] {1, 2, 3, 4}\nconst %i = i64[1, 2] {1, 2}\n%r = ai.onnx.GatherND@13(%a, %i)", "tuple 0" },
    { "const %a = f32[4] {1, 2, 3, 4}\nconst %i = i64[3] {1, 1, -1}\nconst %u = f32[3] {10, 20, nan}\n"
      "%r = ai.onnx.ScatterElements@18(%a, %i, %u) {reduction = \"add\"}", "f32[4] {1, 32, 3, nan}" },
    { "const %a = f32[2] {1, 2}\nconst %i = i64[1, 1] {2}\nconst %u = f32[1] {3}\n%r = ai.onnx.ScatterND@13(%a, %i, %u)",
      "tuple 0" },
    { "const %a = f32[4] {1, 2, 3, 4}\nconst %k = bool[3] {0, 1, 1}\n%r = ai.onnx.Compress@11(%a, %k)", "f32[2] {2, 3}" },
    /* squares vanish as those of f32 do */
    { "const %a = f32[2] {1e-40, 0}\n%r = ai.onnx.LpNormalization@1(%a)", "f32[2] {0, 0}" },
    /* nearest copies: texts, and integers that no double holds */
    { "const %a = string[1, 1, 1, 3] {\"a\", \"b\", \"c\"}\nconst %g = f32[1, 1, 4, 2] {-1, 0, 0, 0, 0.9, 0, 3, 0}\n"
      "%r = ai.onnx.GridSample@20(%a, %g) {mode = \"nearest\", align_corners = 1}",
      "string[1, 1, 1, 4] {\"a\", \"b\", \"c\", \"\"}" },
    { "const %a = i64[1, 1, 1, 2] {9007199254740993, -9007199254740993}\nconst %g = f32[1, 1, 3, 2] {1, 0, -1, 0, -9, 0}\n"
      "%r = ai.onnx.GridSample@20(%a, %g) {mode = \"nearest\", align_corners = 1}",
      "i64[1, 1, 1, 3] {-9007199254740993, 9007199254740993, 0}" },
    { "const %a = string[1, 1, 1, 1] {\"a\"}\nconst %g = f32[1, 1, 1, 2] {0, 0}\n%r = ai.onnx.GridSample@20(%a, %g)",
      "cannot be interpolated" },
    /* version 10 rounds up where it shrinks; the mode of versions 11 and 12 rounds as nearest_mode says */
    { "const %a = f32[4] {1, 2, 3, 4}\nconst %s = f32[1] {0.6}\n%r = ai.onnx.Resize@10(%a, %s)", "f32[2] {1, 3}" },
    { "const %a = f32[2] {1, 2}\nconst %s = f32[1] {2}\n%r = ai.onnx.Upsample@9(%a, %s)", "f32[4] {1, 1, 2, 2}" },
    { "const %a = f32[4] {1, 2, 3, 4}\nconst %s = i64[1] {3}\n%r = ai.onnx.Resize@11(%a, _, _, %s) "
      "{coordinate_transformation_mode = \"tf_half_pixel_for_nn\"}", "f32[3] {2, 3, 4}" },
    { "const %a = f32[] {3}\n%r = ai.onnx.Flatten@13(%a)", "f32[1, 1] {3}" },
    /* numbers */
    /* as the reference: NaN is passed over, but stays the first of a window where windows leap */
    { "const %a = f32[1, 1, 6] {1, nan, 2, nan, 3, 1}\n%r = ai.onnx.MaxPool@12(%a) {kernel_shape = [2]}",
      "f32[1, 1, 5] {1, 2, 2, 3, 3}" },
    { "const %a = f32[1, 1, 4] {nan, 5, 5, nan}\n%r, %i = ai.onnx.MaxPool@12(%a) {kernel_shape = [2], strides = [2]}",
      "f32[1, 1, 2] {nan, 5}" },
    { "const %a = f32[0, 3] {}\nconst %x = i64[1] {0}\n%r = ai.onnx.ReduceMax@18(%a, %x) {keepdims = 0}",
      "f32[3] {-inf, -inf, -inf}" },
    { "const %a = f32[2, 2] {1, 2, 3, 4}\nconst %x = i64[0] {}\n"
      "%r = ai.onnx.ReduceSumSquare@18(%a, %x) {noop_with_empty_axes = 1}", "f32[2, 2] {1, 4, 9, 16}" },
    { "const %a = f32[4] {2, 7, 7, 1}\n%r = ai.onnx.ArgMax@13(%a) {select_last_index = 1, keepdims = 0}", "i64[] {2}" },
    { "const %a = f64[3] {-inf, -inf, -inf}\n%r = ai.onnx.Softmax@13(%a)", "f64[3] {nan, nan, nan}" },
    { "const %a = f32[2, 1, 2] {0, 0, 0, 0}\n%r = ai.onnx.Softmax@11(%a) {axis = 1}",
      "f32[2, 1, 2] {0.5, 0.5, 0.5, 0.5}" },
    { "const %a = i32[4] {1, 2, 3, 4}\nconst %x = i32[] {-1}\n%r = ai.onnx.CumSum@14(%a, %x) {exclusive = 1, reverse = 1}",
      "i32[4] {9, 7, 4, 0}" },
    { "const %a = f32[5] {3, nan, 1, 3, 2}\nconst %k = i64[1] {3}\n%r, %i = ai.onnx.TopK@11(%a, %k)",
      "f32[3] {nan, 3, 3}" },
    { "const %a = u64[3] {18446744073709551615, 0, 9223372036854775808}\nconst %k = i64[1] {3}\n"
      "_, %r = ai.onnx.TopK@11(%a, %k) {largest = 0}", "i64[3] {1, 2, 0}" },
    { "const %a = f32[3] {0, -0, nan}\n%r = ai.onnx.NonZero@13(%a)", "i64[1, 1] {2}" },
    { "const %a = string[4] {\"b\", \"a\", \"b\", \"\"}\n%r = ai.onnx.Unique@11(%a)", "string[3] {\"\", \"a\", \"b\"}" },
    { "const %i = i64[3] {1, -1, 7}\nconst %d = f32[] {3}\nconst %v = i32[2] {5, 9}\n%r = ai.onnx.OneHot@11(%i, %d, %v)",
      "i32[3, 3] {5, 9, 5, 5, 5, 9, 5, 5, 5}" },
    { "const %a = f32[2, 2] {1, 2, 3, 4}\n%r = ai.onnx.Einsum@12(%a) {equation = \"ii\"}", "f32[] {5}" },
    { "const %a = f32[2, 2] {1, 2, 3, 4}\nconst %b = f32[2, 2] {1, 0, 0, 1}\n"
      "%r = ai.onnx.Einsum@12(%a, %b) {equation = \"ij,kj->ki\"}", "f32[2, 2] {1, 3, 2, 4}" },
    { "const %a = i32[2] {3, 4}\nconst %b = i32[3] {1, 2, 3}\n%r = ai.onnx.Einsum@12(%a, %b) {equation = \"i,j->ji\"}",
      "i32[3, 2] {3, 4, 6, 8, 9, 12}" },
    { "const %a = f32[2, 2] {0, 1, 1, 0}\n%r = ai.onnx.Det@11(%a)", "f32[] {-1}" },
    { "const %s = f32[] {1}\nconst %l = f32[] {2}\nconst %d = f32[] {0}\n%r = ai.onnx.Range@11(%s, %l, %d)", "steps of 0" },
    { "const %a = f32[2] {-3, 4}\nconst %x = i64[0] {}\n%r = ai.onnx.ReduceL2@18(%a, %x) {noop_with_empty_axes = 1}",
      "f32[2] {3, 4}" },
    { "const %a = u64[] {18446744073709551615}\n%r = ai.onnx.Abs@13(%a)", "u64[] {18446744073709551615}" },
    { "const %a = u64[1] {18446744073709549568}\n%r = ai.onnx.Shrink@9(%a)", "u64[1] {18446744073709549568}" },
    { "const %a = i16[4] {-4, -1, 0, 9}\n%r = ai.onnx.Erf@13(%a)", "i16[4] {-1, 0, 0, 1}" },
    { "const %a = f32[3] {-inf, inf, nan}\n%r = ai.onnx.Clip@6(%a) {max = f2}", "f32[3] {-3.4028235e+38, 2, nan}" },
    /* infinity times nothing */
    { "const %a = f32[4] {-inf, inf, -200, -0}\n%r = ai.onnx.Gelu@20(%a)", "f32[4] {nan, inf, -0, -0}" },
    { "const %a = f32[4] {-inf, inf, -200, -0}\n%r = ai.onnx.Gelu@20(%a) {approximate = \"tanh\"}", "f32[4] {nan, inf, -0, -0}" },
    { "const %a = f32[4] {-inf, inf, -200, -0}\n%r = ai.onnx.Swish@24(%a)", "f32[4] {nan, inf, -0, -0}" },
    { "const %a = f32[4] {-inf, inf, -200, -0}\n%r = ai.onnx.Mish@22(%a)", "f32[4] {nan, inf, -0, -0}" },
    { "const %a = f32[2] {-0, 0}\n%r = ai.onnx.Tanh@13(%a)", "f32[2] {-0, 0}" },
    { "const %a = f64[3] {-inf, inf, -0}\n%r = ai.onnx.Gelu@20(%a)", "f64[3] {nan, inf, -0}" },
    { "const %a = f32[1, 2, 2] {-1, 1, -1, 1}\nconst %s = f32[2] {inf, 1}\nconst %b = f32[2] {0, 0}\n"
      "%r = ai.onnx.InstanceNormalization@6(%a, %s, %b) {epsilon = f0}", "f32[1, 2, 2] {-inf, inf, -1, 1}" },
    { "const %a = i32[1, 1, 3, 1] {1, 2, 3}\nconst %n = i64[4] {1, 1, 5, 1}\n"
      "%r = ai.onnx.Resize@19(%a, _, _, %n) {coordinate_transformation_mode = \"align_corners\", nearest_mode = \"ceil\"}",
      "i32[1, 1, 5, 1] {1, 2, 2, 3, 3}" },
    { "const %a = i32[1, 1, 7, 1] {0, 1, 2, 3, 4, 5, 6}\nconst %n = i64[4] {1, 1, 2, 1}\n"
      "%r = ai.onnx.Resize@19(%a, _, _, %n) {coordinate_transformation_mode = \"asymmetric\", nearest_mode = "
      "\"round_prefer_ceil\"}", "i32[1, 1, 2, 1] {0, 4}" },
    { "const %a = i32[2] {-2147483648, 7}\nconst %b = i32[2] {-1, -1}\n%r = ai.onnx.Div@14(%a, %b)",
      "i32[2] {-2147483648, -7}" },
    { "const %a = i64[1] {-9223372036854775808}\nconst %b = i64[1] {-1}\n%r = ai.onnx.Mod@13(%a, %b)", "i64[1] {0}" },
    { "const %a = i8[1] {-128}\nconst %b = i8[1] {-1}\n%r = ai.onnx.Mod@13(%a, %b) {fmod = 1}", "i8[1] {0}" },
    { "const %a = i64[1] {-9223372036854775808}\nconst %b = i64[1] {-1}\n%r = ai.onnx.Div@14(%a, %b)",
      "i64[1] {-9223372036854775808}" },
    { "const %a = i64[1] {-9223372036854775808}\nconst %b = i64[1] {-1}\n%r = ai.onnx.Mod@13(%a, %b)", "i64[1] {0}" },
    { "const %a = i8[1] {-128}\nconst %b = i8[1] {-1}\n%r = ai.onnx.Mod@13(%a, %b) {fmod = 1}", "i8[1] {0}" },
    /* text and numbers */
    { "const %a = f32[7] {0.1, 1, -0, 1e20, 1e-7, nan, -inf}\n%r = ai.onnx.Cast@13(%a) {to = 8}",
      "string[7] {\"0.1\", \"1.0\", \"-0.0\", \"1e+20\", \"1e-07\", \"NaN\", \"-INF\"}" },
    { "const %a = string[5] {\"3.5\", \"-1e3\", \"INF\", \"nan\", \" 7 \"}\n%r = ai.onnx.Cast@13(%a) {to = 1}",
      "f32[5] {3.5, -1000, inf, nan, 7}" },
    { "const %a = string[2] {\"9223372036854775807\", \"-3.7\"}\n%r = ai.onnx.Cast@13(%a) {to = 7}",
      "i64[2] {9223372036854775807, -3}" },
    { "const %a = string[1] {\"3,5\"}\n%r = ai.onnx.Cast@13(%a) {to = 1}", "'3,5' is no number" },
    { "const %a = f32[2] {1, 0.5}\n%r = ai.onnx.Cast@1(%a) {to = \"BOOL\"}", "bool[2] {1, 1}" },
    { "const %a = string[2] {\"a b  c\", \" x \"}\n%r, %n = ai.onnx.StringSplit@20(%a) {maxsplit = 1}",
      "string[2, 2] {\"a\", \"b  c\", \"x\", \"\"}" },
    { "const %a = string[3] {\"Ärger\", \"THE\", \"Οδός\"}\n%r = ai.onnx.StringNormalizer@10(%a) "
      "{case_change_action = \"LOWER\", is_case_sensitive = 0, stopwords = [\"the\"]}", "string[2] {\"ärger\", \"οδός\"}" },
    { "const %a = string[2] {\"ab\", \"a\"}\n%r = ai.onnx.RegexFullMatch@20(%a) {pattern = \"(\"}", "without an end" },
    /* bytes that are no UTF-8 */
    { "const %a = string[1] {\"\xff\"}\n%r = ai.onnx.StringNormalizer@10(%a) {case_change_action = \"LOWER\"}",
      "no UTF-8 from byte" },
    { "const %a = string[1] {\"A\xc3\"}\n%r = ai.onnx.StringNormalizer@10(%a) {case_change_action = \"UPPER\", "
      "stopwords = [\"b\"], is_case_sensitive = 0}", "no UTF-8 from byte" },
    { "const %a = string[1] {\"a\xed\xa0\x80\"}\n%r = ai.onnx.RegexFullMatch@20(%a) {pattern = \".*\"}", "no UTF-8 from byte" },
    { "const %a = string[1] {\"\xf8\x88\"}\n%r, %n = ai.onnx.StringSplit@20(%a)", "no UTF-8 from byte" },
    { "const %a = string[1] {\"a\xff\"}\n%r = com.microsoft.Tokenizer@1(%a) {mark = 0, pad_value = \"\", mincharnum = 1, "
      "tokenexp = \".\"}", "no UTF-8 from byte" },
    /* an empty list beside the one that counts */
    { "const %a = f32[2] {2, 3}\n%r = ai.onnx.ml.LabelEncoder@2(%a) {keys_int64s = [], keys_floats = f[1, 2], "
      "values_int64s = [], values_floats = f[10, 20], default_float = f5}", "f32[2] {20, 5}" },
};

/* Evaluates the row's node; the value's text form, or "". */
static mbr_status evaluate(mbr_memory *memory, int row, char **printed, mbr_error *err)
{
    char text[2048];
    mbr_ir_module *m = NULL;
    mbr_value *outputs[2] = { NULL, NULL };
    *printed = NULL;
    snprintf(text, sizeof text, "module \"t\" ir 10 opset ai.onnx 21\ngraph \"main\"() -> (%%r) {\n%s\n}\n",
             rows[row].body);
    mbr_status st = mbr_text_parse(memory, NULL, text, strlen(text), &m, err);
    if (st == MBR_OK)
        st = mbr_infer_graph(m->main, err);
    if (st == MBR_OK)
        st = mbr_eval_node(m->main->last, outputs, err);
    if (st == MBR_OK) {
        mbr_ir_value *constant;
        int wanted = outputs[0] == NULL;
        mbr_value *first = outputs[wanted];
        outputs[wanted] = NULL;
        st = mbr_ir_constant(m->main, first, &constant, err);
        if (st == MBR_OK)
            st = mbr_ir_add_output(m->main, constant, err); /* what nobody uses is not printed */
    }
    if (st == MBR_OK && atomic_load(&memory->fail_after) < 0)
        *printed = ir_print(m);
    for (int i = 0; i < 2; i++)
        mbr_value_drop(outputs[i]);
    mbr_ir_module_free(m);
    return st;
}

START_TEST(values)
{
    mbr_memory memory;
    mbr_error err = { 0 };
    char *printed;
    const char *expect = rows[_i].expect;
    mbr_memory_init(&memory);
    mbr_status st = evaluate(&memory, _i, &printed, &err);
    if (strstr(expect, "] {")) {
        ck_assert_msg(st == MBR_OK, "row %d: %s", _i, err.text);
        ck_assert_msg(strstr(printed, expect) != NULL, "row %d: '%s' is not in\n%s", _i, expect, printed);
    } else {
        ck_assert_msg(st != MBR_OK, "row %d was accepted", _i);
        ck_assert_msg(strstr(err.text, expect) != NULL, "row %d: '%s' is not in: %s", _i, expect, err.text);
    }
    free(printed);
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}
END_TEST

START_TEST(no_memory)
{
    mbr_memory memory;
    mbr_error err = { 0 };
    char *printed;
    mbr_memory_init(&memory);
    for (long k = 0; k < 10000; k++) {
        atomic_store(&memory.fail_after, k);
        mbr_status st = evaluate(&memory, _i, &printed, &err);
        bool all = atomic_load(&memory.fail_after) > 0;
        atomic_store(&memory.fail_after, -1);
        ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
        if (all || (st != MBR_OK && st != MBR_ERR_NO_MEMORY))
            return;
    }
    ck_abort_msg("row %d never ends", _i);
}
END_TEST

/* --- patterns --- */

static const struct {
    const char *pattern, *text;
    int matches; /* -1: no pattern */
} patterns[] = {
    { "", "", 1 },
    { "", "a", 0 },
    { "a*", "aaaa", 1 },
    { "(a*)*", "aaab", 0 },
    { "(a|ab)(c|bcd)", "abcd", 1 },
    { "[^a-c]+", "xyz", 1 },
    { "[^a-c]+", "xbz", 0 },
    { "[]a]+", "]a]", 1 },
    { "[a-]+", "a-a", 1 },
    { "\\d{2,3}", "12", 1 },
    { "\\d{2,3}", "1234", 0 },
    { "\\d{2,}", "123456", 1 },
    { "a{2}", "aa", 1 },
    { "a{,2}", "a{,2}", 1 },
    { "x{0}y", "y", 1 },
    { "(?i)straSSe", "STRAsse", 1 },
    { "(?i:a)b", "Ab", 1 },
    { "(?i:a)b", "AB", 0 },
    { "a.c", "a\nc", 0 },
    { "(?s)a.c", "a\nc", 1 },
    { "^abc$", "abc", 1 },
    { "a\\b.b", "a b", 1 },
    { "a\\bb", "ab", 0 },
    { "\xc3\xa4+", "\xc3\xa4\xc3\xa4", 1 },
    { ".", "\xe2\x82\xac", 1 },
    { "[\xce\xb1-\xcf\x89]+", "\xce\xb1\xce\xb2", 1 },
    { "\\x41\\x{42}", "AB", 1 },
    { "[[:alpha:]_][[:^punct:]]*", "_a1", 1 },
    { "(?P<name>a)(?:b)", "ab", 1 },
    { "a+?b??", "aab", 1 },
    { "a|b|c|", "", 1 },
    { "(", "", -1 },
    { ")", "", -1 },
    { "*a", "", -1 },
    { "[b-a]", "", -1 },
    { "a{3,2}", "", -1 },
    { "a{2000}", "", -1 },
    { "\\q", "", -1 },
    { "((((((x{100}){100}){100}){100}){100}){100})", "", -1 },
    { "(((((((){1000}){1000}){1000}){1000}){1000}){1000})", "", -1 },
};

START_TEST(pattern)
{
    mbr_memory memory;
    mbr_error err = { 0 };
    mbr_pattern *p;
    mbr_memory_init(&memory);
    mbr_status st = mbr_pattern_new(&memory, patterns[_i].pattern, strlen(patterns[_i].pattern), &p, &err);
    if (patterns[_i].matches < 0) {
        ck_assert_msg(st != MBR_OK && p == NULL, "'%s' was accepted", patterns[_i].pattern);
    } else {
        ck_assert_msg(st == MBR_OK, "'%s': %s", patterns[_i].pattern, err.text);
        void *room = malloc(mbr_pattern_room(p));
        ck_assert_ptr_nonnull(room);
        ck_assert_msg(mbr_pattern_matches(p, patterns[_i].text, strlen(patterns[_i].text), room) ==
                          (patterns[_i].matches != 0),
                      "'%s' on '%s'", patterns[_i].pattern, patterns[_i].text);
        free(room);
    }
    mbr_pattern_free(p);
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}
END_TEST

/* What stalls engines that go back: here it is linear. */
START_TEST(long_text)
{
    mbr_memory memory;
    mbr_error err;
    mbr_pattern *p;
    char text[5000];
    mbr_memory_init(&memory);
    memset(text, 'a', sizeof text);
    ck_assert_int_eq(mbr_pattern_new(&memory, "(a|a)*(a|a)*b", 13, &p, &err), MBR_OK);
    void *room = malloc(mbr_pattern_room(p));
    ck_assert_ptr_nonnull(room);
    ck_assert(!mbr_pattern_matches(p, text, sizeof text, room));
    text[sizeof text - 1] = 'b';
    ck_assert(mbr_pattern_matches(p, text, sizeof text, room));
    free(room);
    mbr_pattern_free(p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops_values");
    TCase *c = tcase_create("values");
    tcase_add_loop_test(c, values, 0, (int)MBR_COUNT_OF(rows));
    tcase_add_loop_test(c, no_memory, 0, (int)MBR_COUNT_OF(rows));
    tcase_add_loop_test(c, pattern, 0, (int)MBR_COUNT_OF(patterns));
    tcase_add_test(c, long_text);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "importers/importer.h"
#include "tests/ir_text.h"

#include <dirent.h>

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

/* What it prints is what it parsed. */
static void same(const char *text)
{
    mbr_ir_module *m = ir_parse(&memory, text);
    char *again = ir_print(m);
    ck_assert_str_eq(again, text);
    free(again);
    mbr_ir_module_free(m);
}

START_TEST(a_small_graph)
{
    same("module \"fraud.onnx\" ir 8 opset ai.onnx 17\n"
         "graph \"main\"(%x: f32[batch, 30]) -> (%y) {\n"
         "  const %w = f32[2] {1.5, -0}\n"
         "  %t: f32[batch, 2] = ai.onnx.Gemm@1(%x, %w, _) {transB = 1, alpha = f1.5} \"node name\"\n"
         "  %y: f32[batch, 2] = ai.onnx.Relu@1(%t)\n"
         "}\n");
}
END_TEST

START_TEST(types_of_every_kind)
{
    same("module \"m\" ir 0\n"
         "graph \"g\"(%a: f32[], %b: i64[*], %c: seq(f32[n, ?]), %d: opt(seq(string)), %e: map(i64, f32), %f: undefined[*]) -> "
         "(%a, %a) {\n}\n");
    same("module \"m\" ir 0\n"
         "graph \"g\"(%a: f32[n, (n + 1), ((n * m) / 2), (n - m), (n min m), (n max m), (n bc m), (n % 3)], "
         "%b: f32[m, \"past + 1\", -1]) -> (%a) {\n}\n");
}
END_TEST

START_TEST(constants_of_every_type)
{
    same("module \"m\" ir 0 opset ai.onnx 17\n"
         "graph \"g\"(%x: f32[3], %d: f32[2]) -> (%y, %d) {\n"
         "  default %d = f32[2] {1, 2}\n"
         "  const %a = f32[3] {1e-35, nan, -inf}\n"
         "  const %b = f64[1] {0.1}\n"
         "  const %c = f16[2] {0.5, 65504}\n"
         "  const %e = bf16[2] {-1, 3.140625}\n"
         "  const %f = f8e4m3fn[2] {1.75, -448}\n"
         "  const %h = i8[2] {-128, 127}\n"
         "  const %i = u8[1] {255}\n"
         "  const %j = i16[1] {-7}\n"
         "  const %k = u32[1] {4000000000}\n"
         "  const %l = i64[1] {-9223372036854775808}\n"
         "  const %m = u64[2] {18446744073709551615, 9223372036854775808}\n"
         "  const %n = bool[2] {1, 0}\n"
         "  const %o = string[3] {\"a \\\"quoted\\\" \\\\ one\", \"\", \"\\x0a\\x00\"}\n"
         "  const %p = i4[2] {-8, 7}\n"
         "  const %q = f32[0] {}\n"
         "  const %r = f32[100] {... 100}\n"
         "  %y: f32[3] = ai.onnx.Sum@1(%x, %a)\n"
         "  %z = ai.onnx.SequenceConstruct@11(%b, %c, %e, %f, %h, %i, %j, %k, %l, %m, %n, %o, %p, %q, %r)\n"
         "}\n");
}
END_TEST

START_TEST(attributes_of_every_kind)
{
    same("module \"m\" ir 0 opset ai.onnx 17\n"
         "graph \"g\"(%x: f32[3]) -> (%y) {\n"
         "  %y = ai.onnx.Identity@1(%x) {a = -5, b = f-0.25, c = \"text \\\\ \\x01\", d = [1, -2], e = [], f = f[1, nan], "
         "g = [\"x\", \"\"], h = [\"\" 0], i = tensor i64[2] {3, 4}, j = type seq(f32[n]), k = f[]}\n"
         "}\n");
}
END_TEST

START_TEST(names_that_are_not_plain)
{
    same("module \"m\" ir 0 opset ai.onnx 17\n"
         "graph \"a \\\"name\\\"\"(%\"two words\": f32[n], %x:0: f32[n], %\"end:\": f32[n]) -> (%\"\xC3\xA4\") {\n"
         "  %%1 = ai.onnx.Add@7(%\"two words\", %x:0)\n"
         "  %\"\xC3\xA4\" = ai.onnx.Add@7(%%1, %\"end:\")\n"
         "}\n");
}
END_TEST

START_TEST(subgraphs_capture)
{
    const char *text = "module \"m\" ir 8 opset ai.onnx 17\n"
                       "graph \"g\"(%c: bool[], %x: f32[n]) -> (%y) {\n"
                       "  const %w = f32[1] {2}\n"
                       "  %y: f32[n] = ai.onnx.If@16(%c) {then_branch = graph \"t\"() -> (%z) {\n"
                       "    capture %inner = %x\n"
                       "    capture %w = %w\n"
                       "    %z: f32[n] = ai.onnx.Mul@7(%inner, %w)\n"
                       "  }, else_branch = graph \"e\"() -> (%z) {\n"
                       "    capture %x = %x\n"
                       "    %z: f32[n] = ai.onnx.Neg@1(%x)\n"
                       "  }}\n"
                       "}\n";
    mbr_ir_module *m = ir_parse(&memory, text);
    const mbr_ir_node *n = m->main->first;
    const mbr_ir_graph *t = mbr_attr_graph(n, "then_branch");
    ck_assert_uint_eq(n->n_formal, 1);
    ck_assert_uint_eq(n->n_inputs, 4);
    ck_assert_uint_eq(t->n_captures, 2);
    ck_assert_ptr_eq(n->inputs[t->capture_slots[0]], mbr_ir_find(m->main, "x"));
    ck_assert_ptr_eq(t->captures[1]->constant, mbr_ir_find(m->main, "w")->constant);
    ck_assert_uint_eq(t->scope, 1);
    char *again = ir_print(m);
    ck_assert_str_eq(again, text);
    free(again);
    mbr_ir_module_free(m);
}
END_TEST

START_TEST(what_is_parsed_runs)
{
    static const char text[] = "module \"m\" # a comment\n"
                               "opset ai.onnx 17\n"
                               "graph g (%c: bool[],%x: f32[n])->(%y){ const %w=f32[1]{2}\n"
                               "%y = ai.onnx.If@16(%c) {then_branch = graph t() -> (%z) { capture %x=%x capture %w=%w\n"
                               "%z = ai.onnx.Mul@7(%x, %w) }, else_branch = graph e() -> (%z) { capture %x=%x\n"
                               "%z = ai.onnx.Neg@1(%x) }} }";
    ir_session s;
    ir_open(&s, &memory, NULL, text, "all");
    for (int c = 0; c < 2; c++) {
        mbr_value *inputs[2] = { ir_input(&memory, &s, 0, NULL, 5), ir_input(&memory, &s, 1, NULL, 5) };
        *(uint8_t *)inputs[0]->data = (uint8_t)c;
        ir_run(&s, inputs);
        const mbr_value *y = mbr_frame_output(s.f, 0);
        ck_assert_int_eq(y->dims[0], 5);
        for (int i = 0; i < 5; i++)
            ck_assert(((float *)y->data)[i] == ((float *)inputs[1]->data)[i] * (c ? 2 : -1));
        mbr_value_drop(inputs[0]);
        mbr_value_drop(inputs[1]);
    }
    ir_close(&s);
}
END_TEST

START_TEST(mistakes_are_told_with_their_place)
{
#define BEGIN "module \"m\" opset ai.onnx 17\ngraph \"g\"(%x: f32[n]) -> (%y) {\n"
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "", "line 1, column 1: 'module' is due" },
        { "module m", "line 1, column 8: '\"' is due" },
        { "module \"m", "column 9: a text without a closing quote" },
        { "module \"m\" opset ai.onnx 0 graph", "version 0 of a domain" },
        { "module \"m\"\ngraph \"g\"(%x f32[2]) -> () {}", "line 2, column 14: ',' is due" },
        { "module \"m\"\ngraph \"g\"(%x: f33[2]) -> () {}", "'f33' is no element type" },
        { "module \"m\"\ngraph \"g\"(%x: f32[2]) -> (%y) {}", "gives %y, which nothing" },
        { "module \"m\"\ngraph \"g\"(%x: f32[(n ^ 2)]) -> () {}", "an operator on sizes is due" },
        { "module \"m\"\ngraph \"g\"(%x: f32[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]) -> () {}", "more than 16 dimensions" },
        { "module \"m\"\ngraph \"g\"(%x: f32[1], %x: f32[1]) -> () {}", "line 2, column 25: m: the name 'x'" },
        { BEGIN "  %y = ai.onnx.Relu@1(%q)\n}\n", "line 3, column 25: there is no value %q before this" },
        { BEGIN "  %y = ai.onnx.Frob@6(%x)\n}\n", "line 3, column 26: m: node '': operator Frob" },
        { BEGIN "  %y = Relu@1(%x)\n}\n", "'Relu' is no operator" },
        { BEGIN "  %y = ai.onnx.Relu(%x)\n}\n", "'@' is due" },
        { BEGIN "  %y = ai.onnx.Relu@1(%x, %x)\n}\n", "2 inputs; version 1" },
        { BEGIN "  %y = ai.onnx.Relu@1(%x) {a = }\n}\n", "a number is due" },
        { BEGIN "  %y = ai.onnx.Relu@1(%x) {a = 12b}\n}\n", "'12b' is no whole number" },
        { BEGIN "  %y = ai.onnx.Relu@1(%x) {a = \"\\xg0\"}\n}\n", "two hexadecimal digits" },
        { BEGIN "  const %c = f32[2] {1}\n}\n", "',' is due" },
        { BEGIN "  const %c = f32[2] {... 3}\n}\n", "2 elements are due" },
        { BEGIN "  const %c = f32[n] {}\n}\n", "the sizes of a constant are numbers" },
        { BEGIN "  const %c = f32[-1] {}\n}\n", "sizes cannot be negative" },
        { BEGIN "  const %c = f32[1099511627776, 1099511627776] {}\n}\n", "overflows" },
        { BEGIN "  const %c = u8[1] {99999999999999999999}\n}\n", "no whole number" },
        { BEGIN "  capture %c = %x\n}\n", "nothing to capture" },
        { BEGIN "  default %c = f32[1] {1}\n}\n", "there is no value %c" },
        { BEGIN "  %y = ai.onnx.Relu@1(%x)\n} rest", "line 4, column 3: something follows" },
        { BEGIN "  %y = ai.onnx.Relu@1(%x)\n", "is due" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mbr_ir_module *m = NULL;
        mbr_status st = mbr_text_parse(&memory, NULL, cases[i].text, strlen(cases[i].text), &m, &err);
        ck_assert_msg(st != MBR_OK, "it parsed: %s", cases[i].text);
        ck_assert_ptr_null(m);
        ck_assert_msg(strstr(err.text, cases[i].message) != NULL, "%s\nis the message for %s\n%s is due", err.text,
                      cases[i].text, cases[i].message);
    }
}
END_TEST

START_TEST(nesting_is_capped)
{
    static char text[200000];
    mbr_ir_module *m;
    size_t n = (size_t)sprintf(text, "module \"m\" graph \"g\"(%%x: f32[");
    memset(text + n, '(', 100000);
    ck_assert_int_eq(mbr_text_parse(&memory, NULL, text, n + 100000, &m, &err), MBR_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "parentheses"));
    n = (size_t)sprintf(text, "module \"m\" graph \"g\"(%%x: ");
    for (int i = 0; i < 30000; i++)
        n += (size_t)sprintf(text + n, "seq(");
    ck_assert_int_eq(mbr_text_parse(&memory, NULL, text, n, &m, &err), MBR_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "nested"));
}
END_TEST

/* Every text that is cut short or has a byte changed is refused or parsed, and nothing is left behind. */
START_TEST(damaged_texts)
{
    static const char sound[] = "module \"m\" ir 8 opset ai.onnx 17\n"
                                "graph \"g\"(%c: bool[], %x: f32[n, (n + 1)]) -> (%y) {\n"
                                "  const %w = f32[2] {2, -1e5}\n"
                                "  %y: f32[n] = ai.onnx.If@16(%c) {then_branch = graph \"t\"() -> (%w) {\n"
                                "    capture %w = %w\n"
                                "  }, else_branch = graph \"e\"() -> (%z) {\n"
                                "    capture %x = %x\n"
                                "    %z: f32[n] = ai.onnx.Neg@1(%x) {a = [1, 2], b = \"s\\x41\", c = f[1], d = f2}\n"
                                "  }} \"name\"\n"
                                "}\n";
    char text[sizeof sound];
    mbr_ir_module *m;
    random_seed("text");
    for (size_t n = 0; n < sizeof sound - 1; n++)
        if (mbr_text_parse(&memory, NULL, sound, n, &m, &err) == MBR_OK)
            mbr_ir_module_free(m);
    for (int round = 0; round < 20000; round++) {
        memcpy(text, sound, sizeof sound);
        for (int k = random_below(3); k >= 0; k--)
            text[random_below(sizeof sound - 1)] = "%\"()[]{}=,:.\\ \n019-fx_@#"[random_below(24)];
        if (mbr_text_parse(&memory, NULL, text, sizeof sound - 1, &m, &err) == MBR_OK)
            mbr_ir_module_free(m);
        ck_assert_uint_eq(memory.in_use, 0);
    }
    for (long allowed = 0; allowed < 1000; allowed++) {
        atomic_store(&memory.fail_after, allowed);
        mbr_status st = mbr_text_parse(&memory, NULL, sound, sizeof sound - 1, &m, &err);
        atomic_store(&memory.fail_after, -1);
        if (st == MBR_OK) {
            mbr_ir_module_free(m);
            break;
        }
        ck_assert_int_eq(st, MBR_ERR_NO_MEMORY);
        ck_assert_uint_eq(memory.in_use, 0);
    }
}
END_TEST

/* --- the shared models, where they are --- */

static int n_models;

/* Print, parse, print: the second and third text are the same, and say the same as the first. */
static void round_trip(const char *path, const char *stage)
{
    mbr_ir_module *m;
    mbr_pass_set set;
    if (mbr_import_file(&memory, NULL, NULL, path, &m, &err) != MBR_OK)
        return;
    ck_assert_int_eq(mbr_pass_set_parse("all", &set, &err), MBR_OK);
    ck_assert_msg(mbr_passes_run(m, &set, stage, &err) == MBR_OK, "%s", err.text);
    char *first = ir_print(m);
    mbr_ir_module_free(m);
    m = ir_parse(&memory, first);
    char *second = ir_print(m);
    mbr_ir_module_free(m);
    m = ir_parse(&memory, second);
    char *third = ir_print(m);
    mbr_ir_module_free(m);
    if (strcmp(second, third) != 0 || strlen(first) != strlen(second)) {
        size_t at = 0;
        const char *a = strcmp(second, third) != 0 ? third : first;
        while (a[at] && a[at] == second[at])
            at++;
        at -= at < 60 ? at : 60;
        ck_abort_msg("%s (%s):\n%.200s\nis parsed and printed as\n%.200s", path, stage, a + at, second + at);
    }
    free(first);
    free(second);
    free(third);
    n_models++;
}

static void each_model(const char *folder)
{
    char path[4096];
    DIR *d = opendir(folder);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        size_t n = strlen(e->d_name);
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s%s", folder, e->d_name,
                 n > 5 && strcmp(e->d_name + n - 5, ".onnx") == 0 ? "" : "/model.onnx");
        FILE *f = fopen(path, "rb");
        if (!f)
            continue;
        fseek(f, 0, SEEK_END);
        bool small = ftell(f) < 40 << 20;
        fclose(f);
        if (small) {
            round_trip(path, "import");
            round_trip(path, NULL);
        }
    }
    if (d)
        closedir(d);
}

START_TEST(shared_models)
{
    const char *source = getenv("srcdir"), *models = getenv("MBR_MODELS");
    char path[4096];
    static const char *const folders[] = { "examples", "../shared/models/tabular", "../shared/models/trained" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", source ? source : ".", folders[i]);
        each_model(path);
    }
    if (models)
        each_model(models);
    printf("text: %d graphs of models\n", n_models);
    ck_assert_int_ge(n_models, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tc = tcase_create("text");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_small_graph);
    tcase_add_test(tc, types_of_every_kind);
    tcase_add_test(tc, constants_of_every_type);
    tcase_add_test(tc, attributes_of_every_kind);
    tcase_add_test(tc, names_that_are_not_plain);
    tcase_add_test(tc, subgraphs_capture);
    tcase_add_test(tc, what_is_parsed_runs);
    tcase_add_test(tc, mistakes_are_told_with_their_place);
    tcase_add_test(tc, nesting_is_capped);
    tcase_add_test(tc, damaged_texts);
    tcase_add_test(tc, shared_models);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each file of tests/passes: comments, a line "passes NAME,...", a graph, a line "becomes", and the graph that these
 * passes make of it. Both must also compute the same. MBR_UPDATE=1 writes the second graph anew.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/passes/rules.h"
#include "tests/ir_text.h"

#include <dirent.h>

#define MOST_CASES 256
#define MARK "\nbecomes\n"

static mbr_memory memory;
static char *paths[MOST_CASES];
static int n_paths;

static void setup(void)
{
    mbr_memory_init(&memory);
}

static void teardown(void)
{
    ck_assert_uint_eq(memory.in_use, 0);
}

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s cannot be read", path);
    char *text = calloc(1, 1 << 20);
    ck_assert_ptr_nonnull(text);
    size_t n = fread(text, 1, (1 << 20) - 1, f);
    ck_assert_uint_gt(n, 0);
    fclose(f);
    return text;
}

/* "none,+a,+b" from the line of passes, and where the graph begins. */
static char *passes_of(const char *path, char *text, char **begin)
{
    char *line = text;
    while (*line == '#')
        line = strchr(line, '\n') + 1;
    ck_assert_msg(strncmp(line, "passes ", 7) == 0, "%s: a line of passes is due", path);
    char *end = strchr(line, '\n');
    size_t n = (size_t)(end - line) - 7;
    char *list = calloc(1, n + 6);
    ck_assert_ptr_nonnull(list);
    snprintf(list, n + 6, "none,%.*s", (int)n, line + 7);
    *begin = end + 1;
    return list;
}

static void same_answers(const char *path, const char *text, const char *passes)
{
    for (int64_t size = 1; size < 12; size += 3) {
        ir_session plain, fused;
        mbr_value *inputs[8];
        ir_open(&plain, &memory, NULL, text, "none");
        ir_open(&fused, &memory, NULL, text, passes);
        size_t n = plain.m->main->n_inputs;
        ck_assert_uint_le(n, 8);
        for (size_t i = 0; i < n; i++)
            inputs[i] = ir_input(&memory, &plain, i, NULL, size);
        ir_run(&plain, inputs);
        ir_run(&fused, inputs);
        ir_run(&fused, inputs); /* once more, with all memory in its place */
        for (size_t i = 0; i < plain.m->main->n_outputs; i++)
            ck_assert_msg(ir_close_enough(mbr_frame_output(fused.f, i), mbr_frame_output(plain.f, i)),
                          "%s: output %zu differs with passes %s and sizes of %d", path, i, passes, (int)size);
        for (size_t i = 0; i < n; i++)
            mbr_value_drop(inputs[i]);
        ir_close(&plain);
        ir_close(&fused);
    }
}

START_TEST(a_pass)
{
    const char *path = paths[_i];
    char *text = read_text(path), *begin, *passes = passes_of(path, text, &begin), *after = strstr(begin, MARK);
    random_seed(path);
    if (after) {
        after[1] = '\0';
        after += strlen(MARK);
    }
    mbr_ir_module *m = ir_parse(&memory, begin);
    ir_passes(m, passes);
    char *got = ir_print(m);
    mbr_ir_module_free(m);
    if (getenv("MBR_UPDATE")) {
        FILE *f = fopen(path, "wb");
        ck_assert_ptr_nonnull(f);
        fprintf(f, "%s%s%s", text, &MARK[1], got);
        fclose(f);
    } else {
        ck_assert_msg(after && strcmp(got, after) == 0, "%s\nbecomes\n%s\n%s is due", path, got, after ? after : "nothing");
    }
    same_answers(path, begin, passes);
    same_answers(path, begin, "all");
    free(got);
    free(passes);
    free(text);
}
END_TEST

/* Is there a file NAME.txt, or NAME_... .txt? */
static bool has_file(const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; i < n_paths; i++) {
        const char *file = strrchr(paths[i], '/') + 1;
        if (strncmp(file, name, n) == 0 && (file[n] == '.' || file[n] == '_'))
            return true;
    }
    return false;
}

START_TEST(every_pass_has_a_file)
{
    for (const mbr_pass *p = mbr_pass_table; p->name; p++)
        ck_assert_msg(has_file(p->name), "there is no tests/passes/%s.txt; add one that shows what the pass does",
                      p->name);
}
END_TEST

START_TEST(every_rule_has_a_file)
{
    for (const char *const *text = mbr_rule_texts; *text; text++) {
        char name[64] = "rules_";
        ck_assert_int_eq(sscanf(*text, "rule %50s", name + strlen(name)), 1);
        ck_assert_msg(has_file(name), "there is no tests/passes/%s.txt; add one that shows what the rule does", name);
    }
}
END_TEST

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void)
{
    setenv("MBR_CPU_CACHES", "32k,512k,32m", 1); /* some passes ask what stays in them */
    const char *source = getenv("srcdir");
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/tests/passes", source ? source : ".");
    DIR *d = opendir(folder);
    struct dirent *e;
    while (d && (e = readdir(d)) && n_paths < MOST_CASES) {
        size_t n = strlen(e->d_name), size = strlen(folder) + n + 2;
        if (n < 5 || strcmp(e->d_name + n - 4, ".txt") != 0 || !(paths[n_paths] = malloc(size)))
            continue;
        snprintf(paths[n_paths++], size, "%s/%s", folder, e->d_name);
    }
    if (d)
        closedir(d);
    qsort(paths, (size_t)n_paths, sizeof *paths, by_name);
    Suite *suite = suite_create("passes");
    TCase *tc = tcase_create("passes");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_pass, 0, n_paths);
    tcase_add_test(tc, every_pass_has_a_file);
    tcase_add_test(tc, every_rule_has_a_file);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    for (int i = 0; i < n_paths; i++)
        free(paths[i]);
    return failed != 0;
}

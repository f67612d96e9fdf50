/* SPDX-License-Identifier: BSD-2-Clause */
/* mbr pre: the pre-processing of a pipeline alone; mbr check: a pipeline looked at without any row. */
#include "mbr/onnx.h"
#include "mbr/pipeline.h"
#include "tools/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static mbr_status print_text(void *user, const char *text, size_t bytes)
{
    return fwrite(text, 1, bytes, user) == bytes ? MBR_OK : MBR_ERR_IO;
}

/* ---- mbr pre ---- */

static const char pre_help[] =
    "usage: mbr pre PIPELINE INPUT --save DIR [--row N] [--format csv|jsonl]\n\n"
    "Writes the tensors that the model would take: output_K.pb, and the same as input_K.pb, so that DIR is a folder\n"
    "for mbr run --data; K counts the inputs of the model. All rows are stacked, or one is taken; a faulty row is\n"
    "refused. "
    "INPUT - is standard input.\n";

typedef struct saving {
    mbr_env *env;
    const char *folder;
    bool failed; /* and said why */
    mbr_error err;
} saving;

static mbr_status save(void *user, int input, const char *name, const mbr_value *tensor)
{
    saving *s = user;
    void *data;
    size_t bytes;
    mbr_status st = mbr_value_to_onnx(s->env, tensor, name, &data, &bytes, &s->err);
    if (st != MBR_OK)
        return st;
    for (int i = 0; i < 2 && !s->failed; i++) {
        char file[40];
        snprintf(file, sizeof file, "%s_%d.pb", i ? "input" : "output", input);
        char *path = join_path(s->folder, file);
        s->failed = !path || !write_file(path, data, bytes);
        free(path);
    }
    mbr_bytes_release(s->env, data);
    return s->failed ? MBR_ERR_IO : MBR_OK;
}

static ptrdiff_t read_stdin(void *user, void *to, size_t bytes)
{
    (void)user;
    return read(STDIN_FILENO, to, bytes);
}

static int open_pipeline(const char *path, mbr_env **env, mbr_pipeline **pipeline)
{
    const command_options o = { 0 };
    mbr_error err;
    int st = open_env(&o, env);
    if (st == EXIT_DONE && mbr_pipeline_open(*env, path, NULL, pipeline, &err) != MBR_OK)
        st = fail_with(&err);
    return st;
}

static int run_pre(int argc, char **argv)
{
    const char *given[2] = { NULL, NULL }, *folder = NULL, *row = NULL, *format = NULL;
    int n = 0;
    for (int i = 0; i < argc; i++) {
        const char **to = strcmp(argv[i], "--save") == 0     ? &folder
                          : strcmp(argv[i], "--row") == 0    ? &row
                          : strcmp(argv[i], "--format") == 0 ? &format
                                                             : NULL;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(pre_help, stdout);
            return EXIT_DONE;
        }
        if (to && i + 1 == argc)
            return fail_usage("%s: its value is missing", argv[i]);
        if (to)
            *to = argv[++i];
        else if (argv[i][0] == '-' && argv[i][1])
            return fail_usage("mbr pre has no option %s", argv[i]);
        else if (n < 2)
            given[n++] = argv[i];
        else
            return fail_usage("mbr pre takes a pipeline and an input");
    }
    char *end = NULL;
    unsigned long long number = row ? strtoull(row, &end, 10) : 0;
    if (n < 2 || !folder)
        return fail_usage("usage: mbr pre PIPELINE INPUT --save DIR");
    if (row && (*end || !number || row[0] == '-'))
        return fail_usage("--row %s: a row number from 1 is due", row);
    if (format && strcmp(format, "csv") != 0 && strcmp(format, "jsonl") != 0)
        return fail_usage("--format %s: csv or jsonl is due", format);
    saving s = { .folder = folder };
    mbr_pipeline *pipeline = NULL;
    mbr_decider *decider = NULL;
    mbr_decider_options options = { .size = sizeof options, .batch = row ? 0 : 4096, .log_path = "" };
    int st = open_pipeline(given[0], &s.env, &pipeline);
    if (st == EXIT_DONE && !make_folder(folder))
        st = EXIT_RESOURCES;
    if (st == EXIT_DONE && mbr_decider_new(pipeline, &options, &decider, &s.err) != MBR_OK)
        st = fail_with(&s.err);
    mbr_rows_format rows = !format ? MBR_ROWS_AUTO : strcmp(format, "csv") == 0 ? MBR_ROWS_CSV : MBR_ROWS_JSONL;
    bool piped = st == EXIT_DONE && strcmp(given[1], "-") == 0;
    if (st == EXIT_DONE && mbr_decider_tensors(decider, piped ? "standard input" : given[1], piped ? read_stdin : NULL,
                                               NULL, rows, number, save, &s, &s.err) != MBR_OK)
        st = s.failed ? EXIT_RESOURCES : fail_with(&s.err);
    mbr_decider_release(&decider);
    mbr_pipeline_release(&pipeline);
    mbr_env_release(&s.env);
    return st;
}

const command command_pre = {
    .name = "pre",
    .synopsis = "PIPELINE INPUT --save DIR [--row N] [--format NAME]",
    .what = "runs the pre-processing of a pipeline alone and writes the tensors",
    .run_raw = run_pre,
};

/* ---- mbr check ---- */

static const char check_help[] =
    "usage: mbr check PIPELINE [--html FILE] [--svg FILE] [--dot FILE]\n\n"
    "Opens a pipeline and its model, checks types and shapes from end to end without running anything, and prints the\n"
    "steps; --html, --svg and --dot also draw them. 0: sound; 3: not, and the message says where and what to do.\n";

static int draw(const mbr_pipeline *pipeline, mbr_picture how, const char *path)
{
    mbr_error err;
    char *temporary;
    FILE *f = begin_file(path, &temporary);
    if (!f)
        return EXIT_RESOURCES;
    mbr_status st = mbr_pipeline_draw(pipeline, how, print_text, f, &err);
    if (!end_file(f, path, temporary, st == MBR_OK))
        return EXIT_RESOURCES;
    return st == MBR_OK ? EXIT_DONE : fail_with(&err);
}

static int run_check(int argc, char **argv)
{
    static const char *const options[] = { "--svg", "--dot", "--html" };
    const char *path = NULL, *pictures[3] = { NULL, NULL, NULL };
    mbr_env *env = NULL;
    mbr_pipeline *pipeline = NULL;
    mbr_error err;
    for (int i = 0; i < argc; i++) {
        int k = 0;
        while (k < 3 && strcmp(argv[i], options[k]) != 0)
            k++;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(check_help, stdout);
            return EXIT_DONE;
        }
        if (k < 3 && i + 1 == argc)
            return fail_usage("%s: its value is missing", argv[i]);
        if (k < 3)
            pictures[k] = argv[++i];
        else if (argv[i][0] == '-' || path)
            return fail_usage("mbr check takes one pipeline; %s is not expected", argv[i]);
        else
            path = argv[i];
    }
    if (!path)
        return fail_usage("usage: mbr check PIPELINE");
    int st = open_pipeline(path, &env, &pipeline);
    if (st == EXIT_DONE && mbr_pipeline_describe(pipeline, print_text, stdout, &err) != MBR_OK)
        st = fail_with(&err);
    for (int k = 0; k < 3 && st == EXIT_DONE; k++)
        if (pictures[k])
            st = draw(pipeline, (mbr_picture)k, pictures[k]);
    mbr_pipeline_release(&pipeline);
    mbr_env_release(&env);
    return st;
}

const command command_check = {
    .name = "check",
    .synopsis = "PIPELINE [--html FILE] [--svg FILE] [--dot FILE]",
    .what = "checks a pipeline without running it, and draws it",
    .run_raw = run_check,
};

/* SPDX-License-Identifier: BSD-2-Clause */
#include "mbr/explain.h"
#include "mbr/pipeline.h"
#include "tools/command.h"

#include <math.h>
#include <string.h>

static const char help[] =
    "mbr explain says what the reasons of a pipeline's decisions rest on\n\n"
    "  mbr explain MODEL                        which node is explained, and how its leaves are weighed\n"
    "  mbr explain fit PIPELINE ROWS -o FILE    counts how rows of training data go through the trees (linear models:\n"
    "                                           means of the features), for `reasons: {learned: FILE}`\n\n"
    "  --format NAME   csv or jsonl; default: by the file's name\n"
    "  --json          of MODEL\n";

typedef struct args {
    const char *positional[3], *output, *format;
    int count;
    bool json;
} args;

static int parse(int argc, char **argv, args *a)
{
    for (int i = 0; i < argc; i++) {
        bool takes = strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--format") == 0;
        if (takes && i + 1 == argc)
            return fail_usage("%s needs a value", argv[i]);
        if (strcmp(argv[i], "-o") == 0)
            a->output = argv[++i];
        else if (takes)
            a->format = argv[++i];
        else if (strcmp(argv[i], "--json") == 0)
            a->json = true;
        else if (argv[i][0] == '-')
            return fail_usage("mbr explain: there is no option %s", argv[i]);
        else if (a->count == 3)
            return fail_usage("mbr explain: too many arguments");
        else
            a->positional[a->count++] = argv[i];
    }
    return EXIT_DONE;
}

static int show(const args *a, mbr_env *env)
{
    static const char *const weights[] = { "uniform", "hits", "rows" };
    mbr_error err;
    mbr_model *model = NULL;
    mbr_explainer *e = NULL;
    mbr_explainer_facts f = { .size = sizeof f };
    if (mbr_model_open(env, a->positional[0], NULL, &model, &err) != MBR_OK ||
        mbr_explainer_new(model, NULL, &e, &err) != MBR_OK) {
        mbr_model_release(&model);
        return fail_with(&err);
    }
    mbr_explainer_get_facts(e, &f);
    if (a->json) {
        printf("{\"node\": ");
        print_json_string(stdout, f.node);
        printf(", \"op\": \"%s\", \"features\": %d, \"trees\": %d, \"base\": ", f.op, f.features, f.trees);
        isfinite(f.base) ? printf("%.17g", f.base) : printf("null");
        printf(", \"weights\": \"%s\"}\n", weights[f.weights]);
    } else {
        printf("%s '%s': %d features, ", f.op, f.node, f.features);
        if (f.trees)
            printf("%d trees, leaves weighed by %s\n", f.trees,
                   f.weights == MBR_EXPLAIN_HITS ? "nodes_hitrates" : "number: all alike");
        else
            puts("linear");
        printf("base %.9g\n", f.base);
    }
    mbr_explainer_release(&e);
    mbr_model_release(&model);
    return EXIT_DONE;
}

static int fit(const args *a, mbr_env *env)
{
    mbr_error err;
    mbr_pipeline *pipeline = NULL;
    mbr_pipeline_options options = { .size = sizeof options, .fitting = 1 };
    mbr_rows_format format = MBR_ROWS_AUTO;
    uint64_t rows = 0;
    if (a->count != 3 || !a->output)
        return fail_usage("usage: mbr explain fit PIPELINE ROWS -o FILE");
    if (a->format && strcmp(a->format, "csv") != 0 && strcmp(a->format, "jsonl") != 0)
        return fail_usage("--format %s: csv or jsonl is due", a->format);
    if (a->format)
        format = a->format[0] == 'c' ? MBR_ROWS_CSV : MBR_ROWS_JSONL;
    int st = EXIT_DONE;
    if (mbr_pipeline_open(env, a->positional[1], &options, &pipeline, &err) != MBR_OK ||
        mbr_explain_fit(pipeline, a->positional[2], format, a->output, &rows, &err) != MBR_OK)
        st = fail_with(&err);
    else
        printf("%s: learned from %llu rows\n", a->output, (unsigned long long)rows);
    mbr_pipeline_release(&pipeline);
    return st;
}

static int run(int argc, char **argv)
{
    args a = { .count = 0 };
    mbr_env *env = NULL;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return EXIT_DONE;
        }
    int st = parse(argc, argv, &a);
    if (st != EXIT_DONE)
        return st;
    if (!a.count)
        return fail_usage("mbr explain: a model or `fit` is due; `mbr explain --help` tells more");
    command_options o = { .threads = 1 };
    st = open_env(&o, &env);
    if (st != EXIT_DONE)
        return st;
    st = strcmp(a.positional[0], "fit") == 0 ? fit(&a, env)
         : a.count > 1 ? fail_usage("usage: mbr explain MODEL, or mbr explain fit PIPELINE ROWS -o FILE")
                       : show(&a, env);
    mbr_env_release(&env);
    return st;
}

const command command_explain = {
    .name = "explain",
    .synopsis = "MODEL | fit PIPELINE ROWS -o FILE",
    .what = "what reason codes rest on: counts training rows in a model's trees",
    .help = help,
    .run_raw = run,
};

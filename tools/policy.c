/* SPDX-License-Identifier: BSD-2-Clause */
#include "mbr/policy.h"
#include "tools/command.h"

#include <string.h>

static mbr_status write_text(void *user, const char *text, size_t bytes)
{
    return fwrite(text, 1, bytes, user) == bytes ? MBR_OK : MBR_ERR_IO;
}

static int report(const command_options *o, const mbr_policy_test *test)
{
    mbr_error err;
    if (o->html) {
        char *temporary;
        FILE *f = begin_file(o->html, &temporary);
        mbr_status st = f ? mbr_policy_test_html(test, write_text, f, &err) : MBR_ERR_IO;
        if (!f || !end_file(f, o->html, temporary, st == MBR_OK))
            return EXIT_RESOURCES;
        if (st != MBR_OK)
            return fail_with(&err);
    }
    mbr_status st = o->json ? mbr_policy_test_json(test, write_text, stdout, &err)
                            : mbr_policy_test_text(test, write_text, stdout, &err);
    return st == MBR_OK ? EXIT_DONE : fail_with(&err);
}

static int test(const command_options *o, mbr_env *env)
{
    mbr_error err;
    mbr_pipeline *pipeline = NULL;
    mbr_policy_test *found = NULL;
    mbr_model_options model = { .size = sizeof model, .passes = o->passes, .exact = o->exact };
    mbr_pipeline_options options = { .size = sizeof options, .model_options = &model, .label = o->label };
    mbr_policy_options how = { .size = sizeof how, .positive = o->positive, .batch = o->batch };
    if (o->format && strcmp(o->format, "csv") != 0 && strcmp(o->format, "jsonl") != 0)
        return fail_usage("--format %s: csv or jsonl is due", o->format);
    if (o->format)
        how.format = o->format[0] == 'c' ? MBR_ROWS_CSV : MBR_ROWS_JSONL;
    int st = EXIT_DONE;
    if (mbr_pipeline_open(env, o->positional[1], &options, &pipeline, &err) != MBR_OK ||
        mbr_policy_test_file(pipeline, o->positional[2], &how, &found, &err) != MBR_OK)
        st = fail_with(&err);
    else
        st = report(o, found);
    mbr_policy_test_release(&found);
    mbr_pipeline_release(&pipeline);
    return st;
}

static int run(const command_options *o)
{
    mbr_env *env = NULL;
    if (strcmp(o->positional[0], "test") != 0 || !o->label)
        return fail_usage("usage: mbr policy test PIPELINE ROWS --label COLUMN");
    int st = open_env(o, &env);
    if (st == EXIT_DONE)
        st = test(o, env);
    mbr_env_release(&env);
    return st;
}

const command command_policy = {
    .name = "policy",
    .synopsis = "test PIPELINE ROWS --label COLUMN [--positive LABEL] [--json] [--html FILE] [options]",
    .what = "tests a pipeline's actions against rows whose truth is known",
    .help = "Prints what each action met, what it costs by the section `costs`, ROC-AUC, precision and recall at\n"
            "thresholds, the threshold that would cost the least, and the calibration of the main score.\n",
    .accepts = OPT_JSON | OPT_FORMAT | OPT_BATCH | OPT_LABEL | OPT_THREADS | OPT_PASSES,
    .min_positional = 3,
    .max_positional = 3,
    .run = run,
};

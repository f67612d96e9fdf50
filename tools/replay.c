/* SPDX-License-Identifier: BSD-2-Clause */
#include "mbr/decision_log.h"
#include "tools/command.h"

#include <string.h>

typedef struct copying {
    FILE *f;
    progress progress;
    uint64_t count;
} copying;

static mbr_status copy_line(void *user, const char *text, size_t bytes)
{
    copying *c = user;
    show_progress(&c->progress, ++c->count);
    return !c->f || fwrite(text, 1, bytes, c->f) == bytes ? MBR_OK : MBR_ERR_IO;
}

static void print_result(const command_options *o, const mbr_replay_result *r)
{
    if (o->json) {
        printf("{\"records\": %llu, \"files\": %llu, \"first\": %llu, \"gaps\": %llu, \"different\": %llu",
               (unsigned long long)r->records, (unsigned long long)r->files, (unsigned long long)r->first,
               (unsigned long long)r->gaps, (unsigned long long)r->different);
        if (r->different) {
            printf(", \"seq\": %llu, \"line\": %llu, \"file\": ", (unsigned long long)r->seq,
                   (unsigned long long)r->line);
            print_json_string(stdout, r->file);
            printf(", \"what\": ");
            print_json_string(stdout, r->what);
        }
        puts("}");
        return;
    }
    printf("%llu decisions of %llu files decided again", (unsigned long long)r->records, (unsigned long long)r->files);
    if (!r->different)
        puts(": the same bytes");
    else
        printf(": %llu differ\nfirst %s:%llu, decision %llu: %s\n", (unsigned long long)r->different, r->file,
               (unsigned long long)r->line, (unsigned long long)r->seq, r->what);
    if (r->first > 1)
        printf("the log begins with decision %llu: what was remembered before it is not known\n",
               (unsigned long long)r->first);
    if (r->gaps)
        printf("%llu decisions are missing from the log\n", (unsigned long long)r->gaps);
}

static int replay(const command_options *o, mbr_pipeline *pipeline)
{
    mbr_error err;
    copying c = { .progress = { .what = "decisions" } };
    mbr_replay_options options = { .size = sizeof options, .batch = o->batch, .threads = o->threads,
                                   .write = copy_line, .user = &c };
    mbr_replay_result result = { .size = sizeof result };
    char *temporary;
    if (o->output && !(c.f = begin_file(o->output, &temporary)))
        return EXIT_RESOURCES;
    mbr_status st = mbr_replay(pipeline, o->positional[1], &options, &result, &err);
    end_progress(&c.progress);
    if (c.f && !end_file(c.f, o->output, temporary, st == MBR_OK))
        return EXIT_RESOURCES;
    if (st != MBR_OK)
        return fail_with(&err);
    print_result(o, &result);
    return result.different ? EXIT_MISMATCH : EXIT_DONE;
}

static int run(const command_options *o)
{
    mbr_env *env = NULL;
    mbr_pipeline *pipeline = NULL;
    mbr_error err;
    int st = open_env(o, &env);
    if (st != EXIT_DONE)
        return st;
    mbr_model_options model = { .size = sizeof model, .passes = o->passes, .exact = o->exact };
    mbr_pipeline_options options = { .size = sizeof options, .model_options = &model };
    st = mbr_pipeline_open(env, o->positional[0], &options, &pipeline, &err) == MBR_OK ? replay(o, pipeline)
                                                                                      : fail_with(&err);
    mbr_pipeline_release(&pipeline);
    mbr_env_release(&env);
    return st;
}

const command command_replay = {
    .name = "replay",
    .synopsis = "PIPELINE LOG [-o FILE] [--batch N] [--json] [options]",
    .what = "decides a log of decisions again and compares it byte by byte",
    .help = "LOG is the present file; the full ones beside it (LOG.000001, ...) come first. Ends with status 1 and the first\n"
            "difference where the pipeline, the model or the library would decide otherwise now.\n",
    .accepts = OPT_JSON | OPT_BATCH | OPT_OUTPUT | OPT_THREADS | OPT_PASSES,
    .min_positional = 2,
    .max_positional = 2,
    .run = run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
#include "mbr/deadline.h"
#include "mbr/decision_log.h"
#include "tools/command.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct printing {
    const mbr_pipeline *pipeline;
    bool json, reasons;
    progress progress;
    const mbr_decider *decider;
    const char *state;    /* where what it remembers is kept; NULL: nowhere */
    uint64_t every, kept; /* rows between two; the row of the last */
    mbr_error err;        /* why it could not be */
    bool failed;
} printing;

static void print_text_member(const char *name, const char *text)
{
    if (!text)
        return;
    printf(", \"%s\": ", name);
    print_json_string(stdout, text);
}

/* One line a row: id, action, score, rule; or the reason why there is none. */
static mbr_status print_decision(void *user, const mbr_decision *d)
{
    printing *p = user;
    double score = d->score_count ? d->scores[0] : NAN;
    show_progress(&p->progress, d->row);
    if (!p->json) {
        if (d->id)
            printf("%s", d->id);
        else
            printf("row %llu", (unsigned long long)d->row);
        printf("  %s", d->action ? d->action : "-");
        if (!isnan(score))
            printf("  %.6f", score);
        if (d->rule)
            printf("  %s", d->rule);
        for (int i = 0; i < d->text_count; i++) {
            printf("%s", i ? ", " : "  ");
            d->texts[i] ? print_json_string(stdout, d->texts[i]) : (void)putchar('-');
        }
        if (d->cause && !d->error)
            printf("  %s", d->cause);
        for (int i = 0; p->reasons && i < d->reason_count; i++)
            printf("%s%s (%+.3f)", i ? ", " : "  because: ", d->reasons[i].name, d->reasons[i].contribution);
        if (d->error)
            printf("  error: %s", d->error);
        putchar('\n');
        return ferror(stdout) ? MBR_ERR_IO : MBR_OK;
    }
    printf("{\"row\": %llu", (unsigned long long)d->row);
    if (d->id) {
        printf(", \"id\": ");
        print_json_string(stdout, d->id);
    }
    printf(", \"action\": ");
    d->action ? print_json_string(stdout, d->action) : (void)printf("null");
    if (d->rule) {
        printf(", \"rule\": ");
        print_json_string(stdout, d->rule);
    }
    for (int i = 0; i < d->score_count; i++) {
        printf("%s", i ? ", " : ", \"scores\": {");
        print_json_string(stdout, mbr_pipeline_score_name(p->pipeline, i));
        isfinite(d->scores[i]) ? printf(": %.9g", d->scores[i]) : printf(": null");
    }
    printf("%s", d->score_count ? "}" : "");
    for (int i = 0; i < d->text_count; i++) {
        printf("%s", i ? ", " : ", \"texts\": {");
        print_json_string(stdout, mbr_pipeline_text_name(p->pipeline, i));
        printf(": ");
        d->texts[i] ? print_json_string(stdout, d->texts[i]) : (void)printf("null");
    }
    printf("%s", d->text_count ? "}" : "");
    for (int i = 0; p->reasons && i < d->reason_count; i++) {
        printf("%s{\"name\": ", i ? ", " : ", \"reasons\": [");
        print_json_string(stdout, d->reasons[i].name);
        printf(", \"contribution\": %.9g}%s", d->reasons[i].contribution, i + 1 == d->reason_count ? "]" : "");
    }
    print_text_member("decision", d->decision_id);
    print_text_member("cause", d->cause);
    print_text_member("error", d->error);
    puts("}");
    return ferror(stdout) ? MBR_ERR_IO : MBR_OK;
}

static mbr_status keep_state(printing *p)
{
    mbr_status st = p->state ? mbr_decider_save(p->decider, p->state, &p->err) : MBR_OK;
    p->failed = st != MBR_OK;
    return st;
}

/* What is remembered by now is of the whole batch, as is what the log holds. */
static mbr_status keep_and_print(void *user, const mbr_decision *d)
{
    printing *p = user;
    if (p->every && d->row > p->kept + p->every) {
        p->kept = d->row - 1;
        mbr_status st = keep_state(p);
        if (st != MBR_OK)
            return st;
    }
    return print_decision(user, d);
}

static mbr_status print_text(void *user, const char *text, size_t bytes)
{
    (void)user;
    return fwrite(text, 1, bytes, stdout) == bytes ? MBR_OK : MBR_ERR_IO;
}

/* Where the pages of a report go: into memory, since a file is there whole or not at all. */
typedef struct page {
    char *text;
    size_t bytes;
} page;

static mbr_status add_text(void *user, const char *text, size_t bytes)
{
    page *p = user;
    char *more = realloc(p->text, p->bytes + bytes + 1);
    if (!more)
        return MBR_ERR_NO_MEMORY;
    memcpy(more + p->bytes, text, bytes);
    p->text = more;
    p->bytes += bytes;
    return MBR_OK;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static int report(const mbr_decider *decider, const char *path)
{
    mbr_error err;
    page p = { NULL, 0 };
    mbr_report_format format = ends_with(path, ".json") ? MBR_REPORT_JSON : ends_with(path, ".html") ? MBR_REPORT_HTML
                                                                                                     : MBR_REPORT_TEXT;
    int st = EXIT_DONE;
    if (mbr_decider_report(decider, format, add_text, &p, &err) != MBR_OK)
        st = fail_with(&err);
    else if (!*path)
        fwrite(p.text, 1, p.bytes, stderr);
    else if (!write_file(path, p.text, p.bytes))
        st = EXIT_RESOURCES;
    free(p.text);
    return st;
}

static ptrdiff_t read_stdin(void *user, void *to, size_t bytes)
{
    (void)user;
    return read(STDIN_FILENO, to, bytes);
}

static int decide(const command_options *o, mbr_pipeline *pipeline)
{
    mbr_error err;
    mbr_decider *decider = NULL;
    mbr_decider_options options = { .size = sizeof options, .batch = o->batch, .threads = o->threads,
                                    .times = o->report != NULL, .log_path = o->log };
    mbr_decide_totals totals = { .size = sizeof totals };
    printing p = { .pipeline = pipeline, .json = o->json, .reasons = o->reasons, .progress = { .what = "decisions" } };
    mbr_log_facts facts = { .size = sizeof facts };
    p.state = o->state;
    p.every = o->state ? (uint64_t)o->save_every : 0;
    mbr_rows_format format = MBR_ROWS_AUTO;
    if (o->format && strcmp(o->format, "csv") == 0)
        format = MBR_ROWS_CSV;
    else if (o->format && strcmp(o->format, "jsonl") == 0)
        format = MBR_ROWS_JSONL;
    else if (o->format)
        return fail_usage("--format %s: csv or jsonl is due", o->format);
    if (o->save_every && !o->state)
        return fail_usage("--save-every N: says how often --state FILE is written; give that too");
    if (mbr_decider_new(pipeline, &options, &decider, &err) != MBR_OK)
        return fail_with(&err);
    p.decider = decider;
    if (o->state && (access(o->state, F_OK) == 0 || errno != ENOENT) &&
        mbr_decider_restore(decider, o->state, &err) != MBR_OK) {
        mbr_decider_release(&decider);
        return fail_with(&err);
    }
    const char *input = o->positional[1];
    mbr_status st = strcmp(input, "-") == 0
                        ? mbr_decider_reader(decider, "standard input", read_stdin, NULL, format, keep_and_print, &p,
                                             &totals, &err)
                        : mbr_decider_file(decider, input, format, keep_and_print, &p, &totals, &err);
    if (st == MBR_OK)
        st = keep_state(&p);
    int reported = o->report && st == MBR_OK ? report(decider, o->report) : EXIT_DONE;
    end_progress(&p.progress);
    (void)mbr_decider_log_facts(decider, &facts);
    if (facts.lost)
        fprintf(stderr, "mbr: %s: %llu decisions could not be logged\n", facts.path, (unsigned long long)facts.lost);
    mbr_decider_release(&decider);
    if (st == MBR_ERR_IO && ferror(stdout)) {
        say_error("standard output cannot be written; is the disk full?");
        return EXIT_RESOURCES;
    }
    if (st != MBR_OK)
        return fail_with(p.failed ? &p.err : &err);
    if (totals.undecided)
        return fail_input("%s: %llu of %llu rows got no action; their lines above say why", input,
                          (unsigned long long)totals.undecided, (unsigned long long)totals.rows);
    return reported;
}

static int run(const command_options *o)
{
    mbr_env *env = NULL;
    mbr_pipeline *pipeline = NULL;
    mbr_error err;
    if (o->n_positional < 2 && !o->describe)
        return fail_usage("usage: mbr decide PIPELINE INPUT");
    int st = open_env(o, &env);
    if (st != EXIT_DONE)
        return st;
    mbr_model_options model = { .size = sizeof model, .passes = o->passes, .exact = o->exact };
    mbr_pipeline_options options = { .size = sizeof options, .model_options = &model };
    if (mbr_pipeline_open(env, o->positional[0], &options, &pipeline, &err) != MBR_OK)
        st = fail_with(&err);
    else if (o->describe)
        st = mbr_pipeline_describe(pipeline, print_text, NULL, &err) == MBR_OK ? EXIT_DONE : fail_with(&err);
    else
        st = decide(o, pipeline);
    mbr_pipeline_release(&pipeline);
    mbr_env_release(&env);
    return st;
}

const command command_decide = {
    .name = "decide",
    .synopsis = "PIPELINE INPUT [--json] [--reasons] [--format NAME] [--log FILE] [--state FILE] [--report[=FILE]] [options]",
    .what = "reads rows of CSV or JSON lines and prints an action for each",
    .help = "INPUT - is standard input. One line a row: id, action, score, the rule that fired, texts. A faulty row\n"
            "gets the pipeline's fallback action and a message; the rest goes on.\n",
    .accepts = OPT_JSON | OPT_FORMAT | OPT_BATCH | OPT_DESCRIBE | OPT_REASONS | OPT_LOG | OPT_THREADS | OPT_PASSES |
               OPT_REPORT,
    .min_positional = 1,
    .max_positional = 2,
    .run = run,
};

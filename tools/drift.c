/* SPDX-License-Identifier: BSD-2-Clause */
/* mbr drift: its verbs have options of their own, so that it reads its arguments itself. */
#include "mbr/drift.h"
#include "tools/command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct args {
    const char *positional[64];
    int count;
    const char *output, *state, *label, *scores, *categories, *ignore, *time, *format, *page, *pipeline;
    double window, seconds, warn, alarm, threshold;
    long bins, names, whole, clear;
    bool json, verbose, bonferroni, judge_rest;
    mbr_drift_action actions[32];
    int action_count;
    const char *argv[32][2];
} args;

static const char help[] =
    "usage: mbr drift VERB ...\n\n"
    "  mbr drift fit DATA -o BASELINE        makes a baseline of the data that the model was trained on\n"
    "  mbr drift watch BASELINE DATA         holds rows against it, window by window (- is standard input)\n"
    "  mbr drift merge BASELINE STATE... -o STATE   several windows as one, judged\n"
    "  mbr drift report BASELINE [STATE] [-o PAGE]  a page (HTML), or JSON with --json\n\n"
    "fit and watch (DATA is CSV with a header, or JSON lines):\n"
    "  --score NAME,...     outputs of the model, the score first    --label NAME   column with the truth, 0 or 1\n"
    "  --categories NAME,...  columns of codes                       --ignore NAME,...  columns that are left out\n"
    "  --time NAME          column with the time of a row            --format csv|jsonl\n"
    "fit:\n"
    "  --pipeline FILE      columns are the pipeline's inputs and scores, as its section `drift` wants them\n"
    "  --bins N             of a histogram; default 64               --names N      categories kept by name; default 64\n"
    "  --whole N            values of a column kept as they are; default 2048\n"
    "  --threshold X        of the score; default 0.5\n"
    "watch:\n"
    "  --window N           rows of a window; default 2000; 0: all are one     --seconds S  or by time\n"
    "  --whole N            values a column that a window keeps; default 10000\n"
    "  --state FILE         goes on where it stopped                 --report PAGE  as of mbr drift report\n"
    "  --warn P, --alarm P  chance of a false one in a window; default 0.005 and 0.001\n"
    "  --clear N            quiet windows until the level falls; default 3\n"
    "  --bonferroni         instead of Benjamini and Hochberg        --rest  judges the last, shorter window too\n"
    "  --command PROGRAM, --webhook URL, --retrain FILE   set off by an alarm; may be repeated\n"
    "  --json               one object a line: events, and at the end the report\n\n"
    "Exit status of watch and merge: 0 no alarm, 1 alarm at the end; else as everywhere.\n";

/* ---- arguments ---- */

static bool parse_number(const char *text, double least, double most, double *x)
{
    char *end;
    *x = strtod(text, &end);
    return end != text && !*end && *x >= least && *x <= most;
}

static int add_action(args *a, mbr_drift_action_kind kind, const char *value)
{
    if (a->action_count == 32)
        return fail_usage("more than 32 actions");
    mbr_drift_action *action = &a->actions[a->action_count];
    *action = (mbr_drift_action){ .kind = kind, .target = value };
    a->argv[a->action_count][0] = value;
    action->argv = a->argv[a->action_count++];
    return EXIT_DONE;
}

static int set_value(args *a, const char *name, const char *value)
{
    static const struct {
        const char *name;
        size_t offset;
    } texts[] = { { "-o", offsetof(args, output) }, { "--state", offsetof(args, state) },
                  { "--label", offsetof(args, label) }, { "--score", offsetof(args, scores) },
                  { "--categories", offsetof(args, categories) }, { "--ignore", offsetof(args, ignore) },
                  { "--time", offsetof(args, time) }, { "--format", offsetof(args, format) },
                  { "--report", offsetof(args, page) },
                  { "--pipeline", offsetof(args, pipeline) } };
    static const struct {
        const char *name;
        size_t offset;
        double least, most;
        bool whole;
    } numbers[] = { { "--window", offsetof(args, window), 0, 1e15, false },
                    { "--seconds", offsetof(args, seconds), 1e-3, 1e12, false },
                    { "--warn", offsetof(args, warn), 1e-12, 0.5, false },
                    { "--alarm", offsetof(args, alarm), 1e-12, 0.5, false },
                    { "--threshold", offsetof(args, threshold), -1e300, 1e300, false },
                    { "--bins", offsetof(args, bins), 4, 1024, true },
                    { "--names", offsetof(args, names), 2, 4096, true },
                    { "--whole", offsetof(args, whole), 1, 1e9, true },
                    { "--clear", offsetof(args, clear), 1, 1e6, true } };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(name, texts[i].name) == 0) {
            *(const char **)((char *)a + texts[i].offset) = value;
            return EXIT_DONE;
        }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(name, numbers[i].name) == 0) {
            double x;
            if (!parse_number(value, numbers[i].least, numbers[i].most, &x))
                return fail_usage("%s %s: a number from %g to %g is due", name, value, numbers[i].least,
                                  numbers[i].most);
            if (numbers[i].whole)
                *(long *)((char *)a + numbers[i].offset) = (long)x;
            else
                *(double *)((char *)a + numbers[i].offset) = x;
            return EXIT_DONE;
        }
    if (strcmp(name, "--command") == 0)
        return add_action(a, MBR_DRIFT_ACTION_COMMAND, value);
    if (strcmp(name, "--webhook") == 0)
        return add_action(a, MBR_DRIFT_ACTION_WEBHOOK, value);
    if (strcmp(name, "--retrain") == 0)
        return add_action(a, MBR_DRIFT_ACTION_RETRAIN, value);
    return fail_usage("mbr drift has no option %s", name);
}

static int parse(int argc, char **argv, args *a)
{
    a->window = NAN;
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        if (arg[0] != '-' || strcmp(arg, "-") == 0) {
            if (a->count == 64)
                return fail_usage("too many arguments");
            a->positional[a->count++] = arg;
        } else if (strcmp(arg, "--json") == 0) {
            a->json = true;
        } else if (strcmp(arg, "--verbose") == 0) {
            a->verbose = true;
        } else if (strcmp(arg, "--bonferroni") == 0) {
            a->bonferroni = true;
        } else if (strcmp(arg, "--rest") == 0) {
            a->judge_rest = true;
        } else {
            char name[32];
            const char *value = arg[1] == '-' ? strchr(arg, '=') : NULL;
            size_t n = value ? (size_t)(value - arg) : strlen(arg);
            if (n >= sizeof name)
                return fail_usage("mbr drift has no option %s", arg);
            memcpy(name, arg, n);
            name[n] = '\0';
            if (!value && i + 1 == argc)
                return fail_usage("%s: its value is missing, or mbr drift does not have it", arg);
            int st = set_value(a, name, value ? value + 1 : argv[++i]);
            if (st != EXIT_DONE)
                return st;
        }
    }
    return EXIT_DONE;
}

static int file_options(const args *a, mbr_drift_file_options *o)
{
    *o = (mbr_drift_file_options){ .size = sizeof *o, .label = a->label, .outputs = a->scores,
                                   .categories = a->categories, .ignore = a->ignore, .time = a->time };
    if (a->format && strcmp(a->format, "csv") == 0)
        o->json_lines = -1;
    else if (a->format && strcmp(a->format, "jsonl") == 0)
        o->json_lines = 1;
    else if (a->format)
        return fail_usage("--format %s: csv or jsonl is due", a->format);
    return EXIT_DONE;
}

/* ---- output ---- */

static void tell(void *user, const mbr_drift_event *e)
{
    const args *a = user;
    if (a->json)
        puts(e->json);
    else if (e->kind == MBR_DRIFT_EVENT_PROBLEM)
        say_error("%s", e->message);
    else
        puts(e->message);
    fflush(stdout);
}

static mbr_status print_text(void *user, const char *text, size_t bytes)
{
    return fwrite(text, 1, bytes, user) == bytes ? MBR_OK : MBR_ERR_IO;
}

/* One line of JSON: the library's has line ends for readers. */
static mbr_status print_line(void *user, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (putc(text[i] == '\n' ? ' ' : text[i], user) == EOF)
            return MBR_ERR_IO;
    return MBR_OK;
}

static int write_report(const args *a, const char *path, const mbr_drift_baseline *baseline,
                        const mbr_drift_monitor *monitor)
{
    mbr_error err;
    char *temporary;
    FILE *f = path ? begin_file(path, &temporary) : stdout;
    if (!f)
        return EXIT_RESOURCES;
    mbr_status st = a->json ? mbr_drift_report_json(baseline, monitor, path ? print_text : print_line, f, &err)
                            : mbr_drift_report_html(baseline, monitor, print_text, f, &err);
    if (!path) {
        if (a->json)
            putchar('\n');
        return st == MBR_OK ? EXIT_DONE : fail_with(&err);
    }
    if (!end_file(f, path, temporary, st == MBR_OK))
        return EXIT_RESOURCES;
    return st == MBR_OK ? EXIT_DONE : fail_with(&err);
}

/* ---- verbs ---- */

static void print_fit(const args *a, const mbr_drift_baseline *baseline, uint64_t faulty)
{
    if (!a->json)
        printf("%s: %llu rows, %d columns; %llu faulty rows\n", a->output,
               (unsigned long long)mbr_drift_baseline_rows(baseline), mbr_drift_baseline_column_count(baseline),
               (unsigned long long)faulty);
}

static int fit_pipeline(const args *a, mbr_env *env, const mbr_drift_fit_options *how)
{
    mbr_error err;
    mbr_pipeline *pipeline = NULL;
    mbr_drift_baseline *baseline = NULL;
    uint64_t faulty = 0;
    if (a->scores || a->categories || a->ignore || a->time)
        return fail_usage("with --pipeline the columns are the pipeline's; leave --score, --categories and the like out");
    mbr_rows_format format = !a->format ? MBR_ROWS_AUTO : a->format[0] == 'c' ? MBR_ROWS_CSV : MBR_ROWS_JSONL;
    mbr_pipeline_options options = { .size = sizeof options, .label = a->label };
    mbr_status st = mbr_pipeline_open(env, a->pipeline, &options, &pipeline, &err);
    if (st == MBR_OK)
        st = mbr_drift_fit_pipeline(pipeline, a->positional[1], format, how, &baseline, &faulty, &err);
    if (st == MBR_OK)
        st = mbr_drift_baseline_save(baseline, a->output, &err);
    if (st == MBR_OK)
        print_fit(a, baseline, faulty);
    mbr_drift_baseline_release(&baseline);
    mbr_pipeline_release(&pipeline);
    return st == MBR_OK ? EXIT_DONE : fail_with(&err);
}

static int fit(const args *a, mbr_env *env)
{
    mbr_error err;
    mbr_drift_baseline *baseline = NULL;
    mbr_drift_file_options file;
    uint64_t faulty = 0;
    if (a->count != 2 || !a->output)
        return fail_usage("usage: mbr drift fit DATA -o BASELINE");
    int st = file_options(a, &file);
    if (st != EXIT_DONE)
        return st;
    mbr_drift_fit_options how = { .size = sizeof how, .bins = (int)a->bins, .categories = (int)a->names,
                                  .whole = (size_t)a->whole, .threshold = a->threshold };
    if (a->pipeline)
        return fit_pipeline(a, env, &how);
    if (mbr_drift_fit_file(env, a->positional[1], &how, &file, &baseline, &faulty, &err) != MBR_OK ||
        mbr_drift_baseline_save(baseline, a->output, &err) != MBR_OK) {
        mbr_drift_baseline_release(&baseline);
        return fail_with(&err);
    }
    print_fit(a, baseline, faulty);
    mbr_drift_baseline_release(&baseline);
    return EXIT_DONE;
}

static mbr_drift_options monitor_options(args *a)
{
    mbr_drift_options o = { .size = sizeof o, .window_seconds = a->seconds, .whole = (size_t)a->whole,
                            .control = a->bonferroni ? MBR_DRIFT_BONFERRONI : MBR_DRIFT_BENJAMINI_HOCHBERG,
                            .warn = a->warn, .alarm = a->alarm, .clear_after = (int)a->clear, .state_path = a->state,
                            .actions = a->actions, .action_count = a->action_count, .on_event = tell, .user = a };
    if (!isnan(a->window))
        o.window_rows = a->window > 0.0 ? (uint64_t)a->window : UINT64_MAX;
    return o;
}

static int finish(args *a, const mbr_drift_baseline *baseline, const mbr_drift_monitor *monitor)
{
    int st = EXIT_DONE;
    if (a->page) {
        args html = *a;
        html.json = false;
        st = write_report(&html, a->page, baseline, monitor);
    }
    if (st == EXIT_DONE && a->json)
        st = write_report(a, NULL, baseline, monitor);
    if (st == EXIT_DONE && mbr_drift_monitor_level(monitor) == MBR_DRIFT_ALARM)
        st = EXIT_MISMATCH;
    return st;
}

static int watch(args *a, mbr_drift_baseline *baseline)
{
    mbr_error err;
    mbr_drift_monitor *monitor = NULL;
    mbr_drift_file_options file;
    uint64_t faulty = 0;
    if (a->count != 3)
        return fail_usage("usage: mbr drift watch BASELINE DATA");
    int st = file_options(a, &file);
    if (st != EXIT_DONE)
        return st;
    mbr_drift_options o = monitor_options(a);
    bool rest = a->judge_rest || o.window_rows == UINT64_MAX;
    if (mbr_drift_monitor_new(baseline, &o, &monitor, &err) != MBR_OK ||
        mbr_drift_monitor_file(monitor, a->positional[2], &file, &faulty, &err) != MBR_OK ||
        (rest && mbr_drift_monitor_close_window(monitor, &err) != MBR_OK))
        st = fail_with(&err);
    else
        st = finish(a, baseline, monitor);
    if (faulty && (st == EXIT_DONE || st == EXIT_MISMATCH))
        say_error("%s: %llu rows are faulty: broken lines, or texts where numbers are due", a->positional[2],
                  (unsigned long long)faulty);
    mbr_drift_monitor_release(&monitor);
    return st;
}

static int merge(args *a, mbr_drift_baseline *baseline)
{
    mbr_error err;
    mbr_drift_monitor *monitor = NULL;
    if (a->count < 3 || !a->output)
        return fail_usage("usage: mbr drift merge BASELINE STATE... -o STATE");
    a->state = NULL;
    a->window = 0.0;
    mbr_drift_options o = monitor_options(a);
    mbr_status st = mbr_drift_monitor_new(baseline, &o, &monitor, &err);
    for (int i = 2; st == MBR_OK && i < a->count; i++)
        st = mbr_drift_monitor_merge_file(monitor, a->positional[i], &err);
    if (st == MBR_OK)
        st = mbr_drift_monitor_close_window(monitor, &err);
    if (st == MBR_OK)
        st = mbr_drift_monitor_save(monitor, a->output, &err);
    int result = st == MBR_OK ? finish(a, baseline, monitor) : fail_with(&err);
    mbr_drift_monitor_release(&monitor);
    return result;
}

static int report(args *a, mbr_drift_baseline *baseline)
{
    mbr_error err;
    mbr_drift_monitor *monitor = NULL;
    if (a->count < 2 || a->count > 3)
        return fail_usage("usage: mbr drift report BASELINE [STATE] [-o PAGE]");
    mbr_drift_options o = { .size = sizeof o };
    if (a->count == 3 && (mbr_drift_monitor_new(baseline, &o, &monitor, &err) != MBR_OK ||
                          mbr_drift_monitor_restore(monitor, a->positional[2], &err) != MBR_OK)) {
        mbr_drift_monitor_release(&monitor);
        return fail_with(&err);
    }
    int st = write_report(a, a->output, baseline, monitor);
    mbr_drift_monitor_release(&monitor);
    return st;
}

static int run(int argc, char **argv)
{
    static args a;
    mbr_env *env = NULL;
    mbr_error err;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return EXIT_DONE;
        }
    int st = parse(argc, argv, &a);
    if (st != EXIT_DONE)
        return st;
    const char *verb = a.count ? a.positional[0] : "";
    command_options o = { .threads = 1, .verbose = a.verbose };
    st = open_env(&o, &env);
    if (st != EXIT_DONE)
        return st;
    mbr_drift_baseline *baseline = NULL;
    if (strcmp(verb, "fit") == 0) {
        st = fit(&a, env);
    } else if (strcmp(verb, "watch") != 0 && strcmp(verb, "merge") != 0 && strcmp(verb, "report") != 0) {
        st = fail_usage("mbr drift: fit, watch, merge or report is due; `mbr drift --help` tells more");
    } else if (a.count < 2) {
        st = fail_usage("mbr drift %s: the baseline is missing; `mbr drift --help` tells more", verb);
    } else if (mbr_drift_baseline_open(env, a.positional[1], &baseline, &err) != MBR_OK) {
        st = fail_with(&err);
    } else {
        st = verb[0] == 'w' ? watch(&a, baseline) : verb[0] == 'm' ? merge(&a, baseline) : report(&a, baseline);
    }
    mbr_drift_baseline_release(&baseline);
    mbr_env_release(&env);
    return st;
}

const command command_drift = {
    .name = "drift",
    .synopsis = "fit|watch|merge|report ...",
    .what = "tells when live data stops looking like the training data",
    .help = help,
    .run_raw = run,
};

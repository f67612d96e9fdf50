/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "tools/command.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const command *const commands[] = {
    &command_run, &command_bench, &command_profile, &command_test, &command_info, &command_dump, &command_ops,
    &command_compile, &command_plan,
#ifdef MBR_RUNTIME
    &command_audio,
    &command_decide, &command_drift, &command_explain, &command_image, &command_tokenize,
    &command_policy, &command_replay, &command_pre, &command_check,
#endif
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands)

void say_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("mbr: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

int fail_with(const mbr_error *err)
{
    say_error("%s", err->text);
    switch (err->status) {
    case MBR_ERR_NO_MEMORY:
    case MBR_ERR_LIMIT:
        return EXIT_RESOURCES;
    case MBR_ERR_ARGUMENT:
        return EXIT_USAGE;
    default:
        return EXIT_BAD_INPUT;
    }
}

int fail_usage(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("mbr: ", stderr);
    vfprintf(stderr, fmt, args);
    fputs("; `mbr --help` lists the commands\n", stderr);
    va_end(args);
    return EXIT_USAGE;
}

int fail_input(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("mbr: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return EXIT_BAD_INPUT;
}

static void print_help(FILE *to)
{
    fprintf(to, "mbr %s - runs trained models and turns their scores into decisions\n\n", mbr_version());
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  mbr %-8s %s\n", commands[i]->name, commands[i]->what);
    fputs("\n`mbr COMMAND --help` tells the options of a command.\n"
          "Environment: MBR_CPU=base|avx2|avx512|... lowers the CPU tier, MBR_PASSES selects passes (see mbr dump),\n"
          "MBR_CACHE=off|DIR keeps packed weights for the next time (see mbr compile).\n"
          "Exit status: 0 done, 1 a comparison found a mismatch, 2 wrong usage, 3 bad input or model, 4 out of "
          "resources.\n",
          to);
}

static void print_command_help(const command *c)
{
    printf("usage: mbr %s %s\n\n%s\n", c->name, c->synopsis, c->what);
    if (*c->help)
        printf("\n%s", c->help);
    puts("");
    if (c->accepts & OPT_DATA)
        puts("  --data DIR         read the inputs from DIR/input_K.pb (ONNX's serialised tensors)");
    if (c->accepts & OPT_INPUT)
        puts("  --input NAME=FILE  read one input from a .npy or .pb file; may be repeated");
    if (c->accepts & OPT_SAVE)
        puts("  --save DIR         write the outputs to output_K.pb");
    if (c->accepts & OPT_THREADS)
        puts("  --threads N        size of the thread team; default: what affinity mask and cgroup allow\n"
             "  --memory BYTES     refuse to use more memory (suffixes k, M, G)\n"
             "  --device NAME      cpu, opencl, opencl:N or auto; default: MBR_DEVICE, else cpu\n"
             "  --strict           fail where a step does not run on the device\n"
             "  --plugin FILE      load operators from a shared object; may be repeated\n"
             "  --cache DIR        keep packed weights and plans there; default: MBR_CACHE, else off");
    if (c->accepts & OPT_SECONDS)
        puts("  --seconds S        how long to measure; default 1");
    if (c->accepts & OPT_PASSES)
        puts("  --passes LIST      which passes run: none, all, -NAME, +NAME, separated by commas\n"
             "  --exact            no kernels that spread non-finite values (Winograd)");
    if (c->accepts & OPT_STAGE)
        puts("  --stage PASS       stop after that pass; `import` shows what the importer made");
    if (c->accepts & OPT_FORMAT)
        puts("  --format NAME      csv or jsonl; default: by the file's name");
    if (c->accepts & OPT_BATCH)
        puts("  --batch N          rows per run of the model; default 256");
    if (c->accepts & OPT_DESCRIBE)
        puts("  --describe         print the pipeline's inputs, steps, scores and rules, and stop");
    if (c->accepts & OPT_REASONS)
        puts("  --reasons          print why, where the pipeline has `reasons`");
    if (c->accepts & OPT_REPORT)
        puts("  --report[=FILE]    print how long the stages took, or write it: .json, .html, else text");
    if (c->accepts & OPT_PROFILE)
        puts("  --steps            a line for each step of the program instead of each node of the model\n"
             "  --trace FILE       write when which thread worked on what, for Perfetto or chrome://tracing\n"
             "  --html FILE        write a page with a roofline picture and tables");
    if (c->accepts & (OPT_PLAN | OPT_PLACE))
        puts("  --devices FILE     devices beside the processor, as JSON; with --device auto instead of what was measured\n"
             "  --placement FILE   lines `NODE DEVICE [threads=N]` that pin nodes (names may hold * and ?)\n"
             "  --replicas BYTES   memory for copies of the weights on further NUMA nodes (suffixes k, M, G)");
    if (c->accepts & OPT_PLAN)
        puts("  --topology FILE    the machine: an XML file of hwloc's (lstopo FILE.xml), or a description such as\n"
             "                     \"package:2 core:8 pu:2\"; default: this machine\n"
             "  --rates FILE       rates of the cores as text; default: this machine's, measured once\n"
             "  --size N           size of the free dimensions of inputs that no data gives; default 1\n"
             "  --brief            decisions only, no figures\n"
             "  --dot FILE, --svg FILE  write a picture");
    if (c->accepts & OPT_COMPILE)
        puts("  -o FILE            write one file (.mbrc), for --cache FILE, instead of a folder\n"
             "  --verify           look at the content of the model, whatever its date");
    if (c->accepts & OPT_TOKENS)
        puts("  --ids              print one line of ids for each text\n"
             "  --pairs            a tab parts a line into two texts\n"
             "  --zero             texts end with a zero byte, not with their line\n"
             "  --decode           lines hold ids; print their text (--special: special tokens too)");
    if (c->accepts & OPT_LABEL)
        puts("  --label COLUMN     of ROWS, which holds the truth\n"
             "  --positive LABEL   what is looked for; default: the first class of `costs`, or 1, true, yes\n"
             "  --html FILE        write a page with the curves");
    if (c->accepts & OPT_OUTPUT)
        puts("  -o FILE            write the repeated log there");
    if (c->accepts & OPT_LOG)
        puts("  --log FILE         append each decision to FILE, see `mbr replay`; default: what the pipeline says\n"
             "  --state FILE       go on with what an earlier call remembered; it is kept there at the end, and\n"
             "  --save-every N     after every N rows");
    if (c->accepts & OPT_JSON)
        puts("  --json             print JSON");
    puts("  --verbose          show the library's log on stderr");
}

/* --- options --- */

bool parse_size(const char *text, size_t *size)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || !(v >= 0) || v > 1e18)
        return false;
    if (*end == 'k' || *end == 'K')
        v *= 1024.0;
    else if (*end == 'M')
        v *= 1024.0 * 1024.0;
    else if (*end == 'G')
        v *= 1024.0 * 1024.0 * 1024.0;
    else if (*end)
        return false;
    if (*end && end[1])
        return false;
    *size = v < 1e18 ? (size_t)v : (size_t)1000000000000000000;
    return true;
}

static bool parse_int(const char *text, int least, int most, int *v)
{
    char *end;
    long x = strtol(text, &end, 10);
    if (end == text || *end || x < least || x > most)
        return false;
    *v = (int)x;
    return true;
}

/* Where the file that an option of `plan` names is kept; NULL: it is none of them. */
static const char **plan_option(command_options *o, const char *name)
{
    return strcmp(name, "topology") == 0 ? &o->topology : strcmp(name, "devices") == 0 ? &o->devices :
           strcmp(name, "placement") == 0 ? &o->placement : strcmp(name, "rates") == 0 ? &o->rates :
           strcmp(name, "dot") == 0 ? &o->dot : strcmp(name, "svg") == 0 ? &o->svg : NULL;
}

static int set_option(const command *c, command_options *o, const char *name, const char *value)
{
    if (strcmp(name, "data") == 0 && (c->accepts & OPT_DATA)) {
        if (o->n_data == MOST_DATA)
            return fail_usage("more than %d --data", MOST_DATA);
        o->data[o->n_data++] = value;
    } else if (strcmp(name, "input") == 0 && (c->accepts & OPT_INPUT)) {
        if (o->n_named == MOST_NAMED)
            return fail_usage("more than %d --input", MOST_NAMED);
        o->named[o->n_named++] = value;
    } else if (strcmp(name, "save") == 0 && (c->accepts & OPT_SAVE)) {
        o->save = value;
    } else if (strcmp(name, "threads") == 0 && (c->accepts & OPT_THREADS)) {
        if (!parse_int(value, 1, 1024, &o->threads))
            return fail_usage("--threads %s: a number from 1 to 1024 is due", value);
    } else if (strcmp(name, "plugin") == 0 && (c->accepts & OPT_THREADS)) {
        if (o->n_plugins == MOST_DATA)
            return fail_usage("more than %d --plugin", MOST_DATA);
        o->plugins[o->n_plugins++] = value;
    } else if (strcmp(name, "memory") == 0 && (c->accepts & OPT_THREADS)) {
        if (!parse_size(value, &o->memory))
            return fail_usage("--memory %s: a number of bytes is due, such as 200M", value);
    } else if (strcmp(name, "device") == 0 && (c->accepts & OPT_THREADS)) {
        if (strcmp(value, "cpu") != 0 && strcmp(value, "auto") != 0 && strncmp(value, "opencl", 6) != 0)
            return fail_usage("--device %s: one of cpu, auto, opencl, opencl:N is due", value);
        o->device = value;
    } else if (strcmp(name, "seconds") == 0 && (c->accepts & OPT_SECONDS)) {
        char *end;
        o->seconds = strtod(value, &end);
        if (end == value || *end || !(o->seconds > 0) || o->seconds > 86400)
            return fail_usage("--seconds %s: a positive number is due", value);
    } else if (strcmp(name, "cache") == 0 && (c->accepts & OPT_THREADS)) {
        o->cache = value;
    } else if (strcmp(name, "output") == 0 && (c->accepts & (OPT_COMPILE | OPT_OUTPUT))) {
        o->output = value;
    } else if (strcmp(name, "passes") == 0 && (c->accepts & OPT_PASSES)) {
        o->passes = value;
    } else if (strcmp(name, "stage") == 0 && (c->accepts & OPT_STAGE)) {
        o->stage = value;
    } else if (strcmp(name, "format") == 0 && (c->accepts & OPT_FORMAT)) {
        o->format = value;
    } else if (strcmp(name, "batch") == 0 && (c->accepts & OPT_BATCH)) {
        if (!parse_int(value, 1, 4096, &o->batch))
            return fail_usage("--batch %s: a number from 1 to 4096 is due", value);
    } else if (c->accepts & OPT_PLAN && strcmp(name, "size") == 0) {
        if (!parse_int(value, 0, 1 << 24, &o->free_size))
            return fail_usage("--size %s: a number from 0 to %d is due", value, 1 << 24);
    } else if (c->accepts & OPT_PLACE && strcmp(name, "replicas") == 0) {
        if (!parse_size(value, &o->replicas))
            return fail_usage("--replicas %s: a number of bytes is due, such as 200M", value);
    } else if (c->accepts & OPT_PLACE && strcmp(name, "devices") == 0) {
        o->devices = value;
    } else if (c->accepts & OPT_PLACE && strcmp(name, "placement") == 0) {
        o->placement = value;
    } else if (c->accepts & OPT_PLAN && plan_option(o, name)) {
        *plan_option(o, name) = value;
    } else if (strcmp(name, "report") == 0 && (c->accepts & OPT_REPORT)) {
        o->report = value;
    } else if (strcmp(name, "label") == 0 && (c->accepts & OPT_LABEL)) {
        o->label = value;
    } else if (strcmp(name, "positive") == 0 && (c->accepts & OPT_LABEL)) {
        o->positive = value;
    } else if (strcmp(name, "log") == 0 && (c->accepts & OPT_LOG)) {
        o->log = value;
    } else if (strcmp(name, "state") == 0 && (c->accepts & OPT_LOG)) {
        o->state = value;
    } else if (strcmp(name, "save-every") == 0 && (c->accepts & OPT_LOG)) {
        if (!parse_int(value, 1, 1000000000, &o->save_every))
            return fail_usage("--save-every %s: a number of rows is due", value);
    } else if (strcmp(name, "trace") == 0 && (c->accepts & OPT_PROFILE)) {
        o->trace = value;
    } else if (strcmp(name, "html") == 0 && (c->accepts & (OPT_PROFILE | OPT_LABEL))) {
        o->html = value;
    } else {
        return fail_usage("mbr %s has no option --%s", c->name, name);
    }
    return EXIT_DONE;
}

static bool set_switch(const command *c, command_options *o, const char *name)
{
    if (strcmp(name, "json") == 0 && (c->accepts & OPT_JSON))
        o->json = true;
    else if (strcmp(name, "exact") == 0 && (c->accepts & OPT_PASSES))
        o->exact = true;
    else if (strcmp(name, "strict") == 0 && (c->accepts & OPT_THREADS))
        o->strict = true;
    else if (strcmp(name, "describe") == 0 && (c->accepts & OPT_DESCRIBE))
        o->describe = true;
    else if (strcmp(name, "reasons") == 0 && (c->accepts & OPT_REASONS))
        o->reasons = true;
    else if (strcmp(name, "report") == 0 && (c->accepts & OPT_REPORT))
        o->report = "";
    else if (strcmp(name, "steps") == 0 && (c->accepts & OPT_PROFILE))
        o->steps = true;
    else if (strcmp(name, "verify") == 0 && (c->accepts & OPT_COMPILE))
        o->verify = true;
    else if (strcmp(name, "ids") == 0 && (c->accepts & OPT_TOKENS))
        o->ids = true;
    else if (strcmp(name, "pairs") == 0 && (c->accepts & OPT_TOKENS))
        o->pairs = true;
    else if (strcmp(name, "decode") == 0 && (c->accepts & OPT_TOKENS))
        o->decode = true;
    else if (strcmp(name, "zero") == 0 && (c->accepts & OPT_TOKENS))
        o->zero = true;
    else if (strcmp(name, "special") == 0 && (c->accepts & OPT_TOKENS))
        o->special = true;
    else if (strcmp(name, "brief") == 0 && (c->accepts & OPT_PLAN))
        o->brief = true;
    else if (strcmp(name, "verbose") == 0)
        o->verbose = true;
    else
        return false;
    return true;
}

static int parse(const command *c, int argc, char **argv, command_options *o)
{
    bool options = true;
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        if (options && strcmp(arg, "--") == 0) {
            options = false;
        } else if (options && strcmp(arg, "-o") == 0 && (c->accepts & (OPT_COMPILE | OPT_OUTPUT))) {
            if (i + 1 == argc)
                return fail_usage("-o: its value is missing");
            o->output = argv[++i];
        } else if (options && strncmp(arg, "--", 2) == 0) {
            char name[32];
            const char *value = strchr(arg, '=');
            size_t n = value ? (size_t)(value - arg - 2) : strlen(arg + 2);
            if (n >= sizeof name)
                return fail_usage("mbr %s has no option %s", c->name, arg);
            memcpy(name, arg + 2, n);
            name[n] = '\0';
            if (!value && set_switch(c, o, name))
                continue;
            if (!value && i + 1 == argc)
                return fail_usage("%s: its value is missing, or mbr %s does not have it", arg, c->name);
            int st = set_option(c, o, name, value ? value + 1 : argv[++i]);
            if (st != EXIT_DONE)
                return st;
        } else if (o->n_positional == MOST_NAMED) {
            return fail_usage("too many arguments");
        } else {
            o->positional[o->n_positional++] = arg;
        }
    }
    if (o->n_positional < c->min_positional || o->n_positional > c->max_positional)
        return fail_usage("usage: mbr %s %s", c->name, c->synopsis);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    static command_options o;
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("mbr %s\n", mbr_version());
        return EXIT_DONE;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const command *c = commands[i];
        if (strcmp(argv[1], c->name) != 0)
            continue;
        for (int k = 2; k < argc && !c->run_raw; k++)
            if (strcmp(argv[k], "--help") == 0) {
                print_command_help(c);
                return EXIT_DONE;
            }
        o.seconds = 1.0;
        int st = c->run_raw ? c->run_raw(argc - 2, argv + 2) : parse(c, argc - 2, argv + 2, &o);
        if (st == EXIT_DONE && !c->run_raw)
            st = c->run(&o);
        if (fflush(stdout) != 0 && st == EXIT_DONE) {
            say_error("standard output cannot be written; is the disk full?");
            return EXIT_RESOURCES;
        }
        return st;
    }
    return fail_usage("there is no command '%s'", argv[1]);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands of `mbr` share: options, errors, files, data folders, JSON. */
#ifndef MBR_TOOLS_COMMAND_H
#define MBR_TOOLS_COMMAND_H

#include "mbr/mbr.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses, the same for every command. */
enum { EXIT_DONE = 0, EXIT_MISMATCH = 1, EXIT_USAGE = 2, EXIT_BAD_INPUT = 3, EXIT_RESOURCES = 4 };

/* --- options, the same names everywhere --- */

#define MOST_DATA 64
#define MOST_NAMED 256

typedef struct command_options {
    const char *positional[MOST_NAMED]; /* MODEL, DIR ..., PIPELINE INPUT */
    int n_positional;
    const char *data[MOST_DATA];        /* --data, in order */
    int n_data;
    const char *named[MOST_NAMED];      /* --input NAME=FILE */
    int n_named;
    const char *plugins[MOST_DATA];     /* --plugin, in order */
    int n_plugins;
    const char *save, *passes, *device, *stage, *format, *cache, *output;
    int threads, batch, save_every;
    double seconds;
    size_t memory;                      /* --memory BYTES, with k, M or G; 0: no limit */
    bool json, exact, strict, verbose, quiet, describe, steps, verify, progress, ids, pairs, decode,
        special, zero, reasons;
    const char *trace, *html, *log, *state, *label, *positive;
    const char *topology, *devices, *placement, *rates, *dot, *svg; /* of plan */
    int free_size;
    size_t replicas;
    bool brief;
    const char *report;                 /* --report [FILE]; "": standard error; NULL: none */
} command_options;

/* Bits of what a command accepts. */
enum {
    OPT_DATA = 1 << 0, OPT_INPUT = 1 << 1, OPT_SAVE = 1 << 2, OPT_THREADS = 1 << 3, OPT_SECONDS = 1 << 4,
    OPT_JSON = 1 << 5, OPT_PASSES = 1 << 6, OPT_STAGE = 1 << 7, OPT_FORMAT = 1 << 8, OPT_BATCH = 1 << 9,
    OPT_DESCRIBE = 1 << 10, OPT_PROFILE = 1 << 11, OPT_COMPILE = 1 << 12,
    OPT_TOKENS = 1 << 13, OPT_REASONS = 1 << 14, OPT_REPORT = 1 << 15, OPT_LOG = 1 << 16,
    OPT_OUTPUT = 1 << 17, OPT_LABEL = 1 << 18, OPT_PLAN = 1 << 19, OPT_PLACE = 1 << 20
};

typedef struct command {
    const char *name;
    const char *synopsis; /* after the name */
    const char *what;     /* one line */
    const char *help;     /* the rest of --help */
    unsigned accepts;
    int min_positional, max_positional;
    int (*run)(const command_options *o);
    int (*run_raw)(int argc, char **argv); /* instead of all that: a command that reads its arguments itself */
} command;

extern const command command_run, command_bench, command_profile, command_test, command_info, command_dump, command_ops,
    command_audio,
    command_compile, command_plan, command_decide, command_drift, command_explain, command_image, command_tokenize,
    command_policy, command_replay, command_pre, command_check;

/* --- errors: one line on stderr that begins "mbr: " --- */

int fail_with(const mbr_error *err);                         /* the exit status that fits */
int fail_usage(const char *fmt, ...);
int fail_input(const char *fmt, ...);
void say_error(const char *fmt, ...);

/* --- environment and model of a command --- */

/* Both, from the options; returns an exit status, and has said why when it is not EXIT_DONE. */
int open_env(const command_options *o, mbr_env **env);
int open_model(const command_options *o, mbr_env *env, const char *path, mbr_model **model);
/* The device is to be chosen: by the options, or by MBR_DEVICE. */
bool is_automatic(const command_options *o);
/* A text file of at most 16 MiB as a string, from malloc; NULL after a message. */
char *read_text(const char *path);

#define MOST_DEVICES 15
/* Devices from a JSON file. Their names live until drop_devices(*text), due after a failure too. An exit status. */
int read_devices(const char *path, mbr_plan_device *devices, int *n, void **text);
void drop_devices(void *text);

/* Without the cache: where it matters what became of the file's own nodes. */
int open_model_afresh(const command_options *o, mbr_env *env, const char *path, mbr_model **model);

/* A number of bytes with k, M or G behind it; 0 is a number, too. False: it is none. */
bool parse_size(const char *text, size_t *size);

/* --- files --- */

/* Whole content of a file, freed with free(); NULL after say_error. */
void *read_file(const char *path, size_t *bytes);
void *read_small(const char *path, size_t *bytes); /* of what people write: none has more than 16 MiB */
/* Writes to a temporary name beside the file and renames, so that no partial file is left. False after say_error. */
bool write_file(const char *path, const void *data, size_t bytes);

/* The same piece by piece: NULL after a message. end_file says what failed; keep false: there is no file after all. */
FILE *begin_file(const char *path, char **temporary); /* a device, pipe or link is written in place: *temporary NULL */
bool end_file(FILE *f, const char *path, char *temporary, bool keep);
bool make_folder(const char *path); /* and those above it */
char *join_path(const char *folder, const char *name); /* freed with free(); NULL when out of memory */

/* --- data folders and tensors --- */

/* One value for each model input. */
typedef struct value_set {
    mbr_value **values; /* (count) NULL: not given */
    int count;
} value_set;

/* input_K.pb of a folder: K counts inputs; a message whose name is an input's goes there instead. */
int load_folder(mbr_env *env, const mbr_model *model, const char *folder, value_set *set);
/* Turns a tensor of u16 into bf16 of the same bits where the model declares bf16. */
int take_as(mbr_env *env, mbr_dtype declared, mbr_value **value);
/* NAME=FILE.npy or NAME=FILE.pb */
int load_named(mbr_env *env, const mbr_model *model, const char *arg, value_set *set);
bool value_set_new(value_set *set, int count);
void value_set_free(value_set *set);
/* Every input that has no default is there; path is the model's. */
int require_inputs(const mbr_model *model, const char *path, const value_set *set);
int bind_set(mbr_session *session, const value_set *set);
/* output_K.pb for each output */
int save_outputs(mbr_env *env, const mbr_model *model, const mbr_session *session, const char *folder);
int load_npy(mbr_env *env, const char *path, mbr_value **out);

/* What a command measures: the model of the first argument, a session, and the inputs: one set a --data, else one. */
typedef struct loaded {
    mbr_env *env;
    mbr_model *model;
    mbr_session *session;
    value_set sets[MOST_DATA];
    int n_sets;
    double load_ms; /* open to ready */
} loaded;

int load_all(const command_options *o, loaded *l); /* an exit status; unload_all in any case */
void unload_all(loaded *l);

/* The reason why two values differ, NULL when they agree within the tolerances. Text in static storage. */
const char *compare_values(const mbr_value *got, const mbr_value *want, double rtol, double atol);

/* --- JSON, and text of a page --- */

void print_json_string(FILE *f, const char *s);
/* Writes the character at s, or U+FFFD for a byte that is no UTF-8 (names in models are any bytes); the bytes it took. */
size_t put_character(FILE *f, const char *s);

/* --- long work: a line on stderr, where that is a terminal and stdout is not --- */

typedef struct progress {
    const char *what; /* "decisions" */
    double begun, shown;
    bool off, any;
} progress;

void show_progress(progress *p, uint64_t count); /* cheap: may be called for each of them */
void end_progress(progress *p);

/* --- measuring --- */

double now_ms(void);
double peak_rss_mb(void); /* VmHWM of this process; 0 where the system does not tell */

#endif

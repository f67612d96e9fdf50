/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "tools/command.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct tally {
    int passed, failed;
    bool json;
    double open_ms, run_ms; /* of the case at hand; a run includes its session */
    bool resources; /* something failed for want of memory */
} tally;

static void verdict(tally *t, const char *folder, int set, const char *reason)
{
    if (reason)
        t->failed++;
    else
        t->passed++;
    if (t->json) {
        printf("{\"case\": ");
        print_json_string(stdout, folder);
        printf(", \"data_set\": %d, \"passed\": %s, \"open_ms\": %.3f, \"run_ms\": %.3f", set,
               reason ? "false" : "true", t->open_ms, t->run_ms);
        if (reason) {
            printf(", \"reason\": ");
            print_json_string(stdout, reason);
        }
        printf("}\n");
    } else if (reason) {
        printf("FAIL %s, data set %d: %s\n", folder, set, reason);
    }
}

/* {"rtol": 1e-3, "atol": 1e-7}: two numbers by name; the defaults are ONNX's. */
static void read_tolerance(const char *folder, double *rtol, double *atol)
{
    char text[512];
    *rtol = 1e-3;
    *atol = 1e-7;
    char *path = join_path(folder, "tolerance.json");
    FILE *f = path ? fopen(path, "r") : NULL;
    free(path);
    if (!f)
        return;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    const char *r = strstr(text, "\"rtol\""), *a = strstr(text, "\"atol\"");
    if (r && (r = strchr(r, ':')))
        *rtol = strtod(r + 1, NULL);
    if (a && (a = strchr(a, ':')))
        *atol = strtod(a + 1, NULL);
}

/* NULL: the outputs of the session agree with output_K.pb of the folder. */
static const char *check_outputs(mbr_env *env, const mbr_model *model, const mbr_session *session, const char *folder,
                                 double rtol, double atol)
{
    static char reason[512];
    mbr_error err;
    int seen = 0;
    for (int k = 0; k < mbr_model_output_count(model); k++) {
        mbr_port port = { .size = sizeof port };
        char file[32];
        size_t bytes;
        snprintf(file, sizeof file, "output_%d.pb", k);
        char *path = join_path(folder, file);
        if (!path || access(path, F_OK) != 0) {
            free(path);
            continue;
        }
        seen++;
        void *data = read_file(path, &bytes);
        free(path);
        mbr_value *want = NULL;
        if (!data || mbr_model_output(model, k, &port, &err) != MBR_OK ||
            mbr_value_from_onnx(env, port.kind, data, bytes, &want, NULL, &err) != MBR_OK) {
            free(data);
            snprintf(reason, sizeof reason, "output %d: the expected value cannot be read", k);
            return reason;
        }
        free(data);
        if (take_as(env, port.dtype, &want) != EXIT_DONE) {
            mbr_value_release(&want);
            return "out of memory";
        }
        const char *difference = compare_values(mbr_session_output(session, k), want, rtol, atol);
        mbr_value_release(&want);
        if (difference) {
            snprintf(reason, sizeof reason, "output '%s': %s", port.name, difference);
            return reason;
        }
    }
    return seen ? NULL : "there is no output_K.pb to compare with";
}

static const char *run_set(mbr_env *env, mbr_model *model, const char *folder, double rtol, double atol, tally *t)
{
    static mbr_error err;
    mbr_session *session = NULL;
    value_set set = { 0 };
    const char *reason = "the inputs cannot be read";
    double start = now_ms();
    if (mbr_session_new(model, NULL, &session, &err) != MBR_OK)
        return err.text;
    t->run_ms = now_ms() - start;
    if (value_set_new(&set, mbr_model_input_count(model)) &&
        load_folder(env, model, folder, &set) == EXIT_DONE && bind_set(session, &set) == EXIT_DONE) {
        start = now_ms();
        mbr_status st = mbr_session_run(session, &err);
        t->run_ms += now_ms() - start;
        t->resources |= st == MBR_ERR_NO_MEMORY || st == MBR_ERR_LIMIT;
        reason = st == MBR_OK ? check_outputs(env, model, session, folder, rtol, atol) : err.text;
    }
    value_set_free(&set);
    mbr_session_release(&session);
    return reason;
}

static int test_folder(const command_options *o, mbr_env *env, const char *folder, tally *t)
{
    mbr_error err;
    mbr_model *model = NULL;
    double rtol, atol;
    mbr_model_options options = { .size = sizeof options, .passes = o->passes, .exact = o->exact,
                                  .device = o->device, .device_only = o->strict };
    char *path = join_path(folder, "model.onnx");
    if (!path)
        return fail_input("out of memory");
    int sets = 0;
    read_tolerance(folder, &rtol, &atol);
    t->open_ms = now_ms();
    mbr_status st = mbr_model_open(env, path, &options, &model, &err);
    t->open_ms = now_ms() - t->open_ms;
    t->run_ms = 0;
    free(path);
    for (int k = 0; k < 1000; k++) {
        char name[48];
        struct stat info;
        snprintf(name, sizeof name, "test_data_set_%d", k);
        char *data = join_path(folder, name);
        bool there = data && stat(data, &info) == 0 && S_ISDIR(info.st_mode);
        if (there) {
            sets++;
            verdict(t, folder, k, st == MBR_OK ? run_set(env, model, data, rtol, atol, t) : err.text);
        }
        free(data);
        if (!there)
            break;
    }
    if (sets == 0)
        verdict(t, folder, 0, st == MBR_OK ? "there is no test_data_set_0" : err.text);
    mbr_model_release(&model);
    return EXIT_DONE;
}

/* A folder with a model is tested; one without is searched for folders that have one. */
static int visit(const command_options *o, mbr_env *env, const char *folder, int depth, tally *t)
{
    char *path = join_path(folder, "model.onnx");
    bool model = path && access(path, F_OK) == 0;
    free(path);
    if (model)
        return test_folder(o, env, folder, t);
    struct dirent **entries = NULL;
    int n = depth < 8 ? scandir(folder, &entries, NULL, alphasort) : 0;
    if (n < 0)
        return fail_input("%s: the folder cannot be read", folder);
    int st = EXIT_DONE;
    for (int i = 0; i < n; i++) {
        struct stat info;
        char *below = entries[i]->d_name[0] == '.' ? NULL : join_path(folder, entries[i]->d_name);
        if (below && st == EXIT_DONE && stat(below, &info) == 0 && S_ISDIR(info.st_mode))
            st = visit(o, env, below, depth + 1, t);
        free(below);
        free(entries[i]);
    }
    free(entries);
    return st;
}

static int run(const command_options *o)
{
    mbr_env *env = NULL;
    tally t = { .json = o->json };
    int st = open_env(o, &env);
    for (int i = 0; i < o->n_positional && st == EXIT_DONE; i++)
        st = visit(o, env, o->positional[i], 0, &t);
    mbr_env_release(&env);
    if (st != EXIT_DONE)
        return st;
    if (t.passed + t.failed == 0)
        return fail_input("no model.onnx below the given folders");
    if (t.json)
        printf("{\"passed\": %d, \"failed\": %d}\n", t.passed, t.failed);
    else
        printf("%d passed, %d failed\n", t.passed, t.failed);
    return t.failed == 0 ? EXIT_DONE : t.resources ? EXIT_RESOURCES : EXIT_MISMATCH;
}

const command command_test = {
    .name = "test",
    .synopsis = "DIR... [--json] [options]",
    .what = "runs model folders on their test data and compares",
    .help = "A model folder holds model.onnx, test_data_set_N/{input,output}_K.pb and perhaps tolerance.json\n"
            "(rtol, atol; else 1e-3 and 1e-7). Folders without a model are searched.\n",
    .accepts = OPT_THREADS | OPT_JSON | OPT_PASSES,
    .min_positional = 1,
    .max_positional = MOST_NAMED,
    .run = run,
};

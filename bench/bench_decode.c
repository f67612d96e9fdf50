/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-decode MODEL [--steps N] [--past P] [--threads N]
 * What it costs that the past grows: decoding steps of one token whose past is one longer each time (as state: each
 * present_* or present.* output becomes the past of the next step), beside steps of a fixed past, which is as long as
 * the growing one is on average. The two take turns, so that an hour that is slow is slow for both. The model is a
 * decoder as Optimum exports it: input_ids, attention_mask, perhaps position_ids, past_key_values.I.key and .value.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "mbr/mbr.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_INPUTS 512

typedef struct driver {
    mbr_session *session;
    mbr_value *values[MOST_INPUTS];
} driver;

static mbr_env *env;
static mbr_model *model;
static mbr_error err;
static int present[MOST_INPUTS]; /* the output that becomes this past, -1: the input is no past */
static mbr_port inputs[MOST_INPUTS];

static void need(mbr_status st)
{
    if (st == MBR_OK)
        return;
    fprintf(stderr, "bench-decode: %s\n", err.text);
    exit(3);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int present_of(const char *name)
{
    char want[256];
    if (strncmp(name, "past_key_values.", 16) != 0)
        return -1;
    for (int i = 0; i < mbr_model_output_count(model); i++) {
        mbr_port p = { .size = sizeof p };
        need(mbr_model_output(model, i, &p, &err));
        snprintf(want, sizeof want, "present.%s", name + 16);
        if (strcmp(p.name, want) == 0)
            return i;
    }
    return -1;
}

/* Of the run after `past` tokens: the mask is one longer than they are. */
static void shape(driver *d, int i, int64_t past)
{
    mbr_port p = inputs[i];
    int64_t dims[MBR_MAX_RANK];
    for (int k = 0; k < p.rank; k++)
        dims[k] = p.dims[k] >= 0 ? p.dims[k] : 1;
    if (strcmp(p.name, "attention_mask") == 0)
        dims[1] = past + 1;
    else if (present[i] >= 0)
        dims[2] = past;
    if (!d->values[i])
        need(mbr_tensor_new(env, p.dtype, p.rank, dims, &d->values[i], &err));
    else
        need(mbr_tensor_set_shape(d->values[i], p.rank, dims, &err));
}

static void fill(driver *d, int i, int64_t past)
{
    mbr_port p = inputs[i];
    size_t n = mbr_tensor_count(d->values[i]);
    if (p.dtype == MBR_DTYPE_I64)
        for (size_t k = 0; k < n; k++)
            ((int64_t *)mbr_tensor_data(d->values[i]))[k] = strcmp(p.name, "attention_mask") == 0 ? 1 :
                                                            strcmp(p.name, "position_ids") == 0 ? past : 17;
    else if (p.dtype == MBR_DTYPE_F32)
        for (size_t k = 0; k < n; k++)
            ((float *)mbr_tensor_data(d->values[i]))[k] = (float)(k * 2654435761u % 1000) / 1000 - 0.5f;
}

static void start(driver *d, int64_t past, bool grows)
{
    need(mbr_session_new(model, NULL, &d->session, &err));
    for (int i = 0; i < mbr_model_input_count(model); i++) {
        shape(d, i, past);
        fill(d, i, past);
        need(mbr_session_bind_input(d->session, i, d->values[i], &err));
        if (grows && present[i] >= 0)
            need(mbr_session_bind_state(d->session, present[i], i, &err));
    }
}

static double step(driver *d, int64_t past, bool grows)
{
    double t = now_ms();
    for (int i = 0; i < mbr_model_input_count(model); i++) {
        if (present[i] >= 0)
            continue;
        if (grows) {
            shape(d, i, past);
            fill(d, i, past);
        }
        need(mbr_session_bind_input(d->session, i, d->values[i], &err));
    }
    need(mbr_session_run(d->session, &err));
    return now_ms() - t;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The mean of the faster three quarters: what others on the machine took falls out. */
static double typical(double *times, int n)
{
    double sum = 0;
    int kept = n - n / 4;
    qsort(times, (size_t)n, sizeof *times, by_time);
    for (int i = 0; i < kept; i++)
        sum += times[i];
    return sum / kept;
}

static void drop(driver *d)
{
    mbr_session_release(&d->session);
    for (int i = 0; i < MOST_INPUTS; i++)
        mbr_value_release(&d->values[i]);
}

int main(int argc, char **argv)
{
    static driver grows, fixed;
    int steps = 512, past = 1;
    mbr_env_options options = { .size = sizeof options };
    for (int i = 2; i + 1 < argc; i += 2) {
        int v = (int)strtol(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--steps") == 0)
            steps = v;
        else if (strcmp(argv[i], "--past") == 0)
            past = v;
        else if (strcmp(argv[i], "--threads") == 0)
            options.threads = v;
    }
    if (argc < 2 || argc % 2 || steps < 4 || past < 1) {
        fprintf(stderr, "usage: bench-decode MODEL [--steps N] [--past P] [--threads N]\n");
        return 2;
    }
    need(mbr_env_new(&options, &env, &err));
    need(mbr_model_open(env, argv[1], NULL, &model, &err));
    if (mbr_model_input_count(model) > MOST_INPUTS) {
        fprintf(stderr, "bench-decode: more than %d inputs\n", MOST_INPUTS);
        return 3;
    }
    for (int i = 0; i < mbr_model_input_count(model); i++) {
        inputs[i].size = sizeof inputs[i];
        need(mbr_model_input(model, i, &inputs[i], &err));
        present[i] = present_of(inputs[i].name);
    }
    double *a = malloc((size_t)steps * sizeof *a), *b = malloc((size_t)steps * sizeof *b);
    if (!a || !b)
        return 4;
    int64_t middle = past + steps / 2;
    start(&grows, past, true);
    start(&fixed, middle, false);
    for (int i = 0; i < 4; i++)
        step(&fixed, middle, false);
    for (int i = 0; i < steps; i++) {
        a[i] = step(&grows, past + i, true);
        b[i] = step(&fixed, middle, false);
    }
    double with = typical(a, steps), without = typical(b, steps);
    printf("%s, %d threads: %d steps from %d tokens %.3f ms each, at %d tokens %.3f ms, %+.2f %%\n", argv[1],
           mbr_env_threads(env), steps, past, with, (int)middle, without, 100 * (with / without - 1));
    free(a);
    free(b);
    drop(&grows);
    drop(&fixed);
    mbr_model_release(&model);
    mbr_env_release(&env);
    return 0;
}

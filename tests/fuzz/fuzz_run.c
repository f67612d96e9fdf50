/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model bytes all the way through the public API: open, plan, bind small inputs, run twice. The first byte chooses the
 * passes, the second one which allocation fails (255: none); files that are no models for fuzz_onnx.c are skipped.
 * A run that takes long is cancelled, as a program with a deadline would do it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/mbr.h"
#include "tests/fuzz/fuzz.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define LONG_US 200000
#define MOST_ELEMENTS 4096

static mbr_session *volatile running;
static long left; /* allocations that still succeed; negative: all */

static void must(int holds)
{
    if (!holds)
        abort();
}

static void *take(void *user, size_t bytes)
{
    (void)user;
    if (left == 0)
        return NULL;
    left -= left > 0;
    return malloc(bytes);
}

static void leave(void *user, void *block)
{
    (void)user;
    free(block);
}

static void too_long(int signal)
{
    (void)signal;
    if (running)
        mbr_session_cancel(running);
}

/* A tensor for an input: free axes are 2, numbers count up. NULL where the input is none, or too large. */
static mbr_value *make_input(mbr_env *env, const mbr_port *port)
{
    int64_t dims[MBR_MAX_RANK];
    mbr_value *v;
    size_t count = 1;
    if (port->kind != MBR_KIND_TENSOR)
        return NULL;
    for (int i = 0; i < port->rank; i++) {
        dims[i] = port->dims[i] < 0 ? 2 : port->dims[i];
        if ((uint64_t)dims[i] > MOST_ELEMENTS || (count *= (size_t)dims[i]) > MOST_ELEMENTS)
            return NULL;
    }
    if (mbr_tensor_new(env, port->dtype, port->rank < 0 ? 0 : port->rank, dims, &v, NULL) != MBR_OK)
        return NULL;
    if (port->dtype == MBR_DTYPE_F32)
        for (size_t i = 0; i < count; i++)
            ((float *)mbr_tensor_data(v))[i] = (float)i - 2;
    return v;
}

static void run(mbr_env *env, mbr_model *model)
{
    enum { MOST_INPUTS = 16 };
    mbr_value *inputs[MOST_INPUTS] = { NULL };
    mbr_session_options options = { .size = sizeof options, .memory_limit = (size_t)16 << 20 };
    mbr_session *session;
    mbr_error err = { 0 };
    if (mbr_session_new(model, &options, &session, &err) != MBR_OK) {
        must(session == NULL && err.text[0]);
        return;
    }
    int n = mbr_model_input_count(model);
    for (int i = 0; i < n && i < MOST_INPUTS; i++) {
        mbr_port port = { .size = sizeof port };
        if (mbr_model_input(model, i, &port, &err) != MBR_OK)
            continue;
        inputs[i] = make_input(env, &port);
        if (inputs[i])
            (void)mbr_session_bind_input(session, i, inputs[i], &err);
    }
    for (int round = 0; round < 2; round++) {
        const struct itimerval soon = { .it_value.tv_usec = LONG_US, .it_interval.tv_usec = LONG_US }, never = { 0 };
        running = session;
        setitimer(ITIMER_REAL, &soon, NULL);
        mbr_status st = mbr_session_run(session, &err);
        setitimer(ITIMER_REAL, &never, NULL);
        running = NULL;
        must(st == MBR_OK || (err.status == st && err.text[0] && st != MBR_ERR_INTERNAL));
        for (int i = 0; st == MBR_OK && i < mbr_model_output_count(model); i++)
            must(mbr_session_output(session, i) != NULL);
    }
    mbr_session_release(&session);
    for (int i = 0; i < MOST_INPUTS; i++)
        mbr_value_release(&inputs[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || data[0] % 6 >= 2)
        return 0;
    signal(SIGALRM, too_long);
    mbr_env_options options = { .size = sizeof options, .threads = 1, .memory_limit = (size_t)64 << 20, .alloc = take,
                                .release = leave };
    mbr_model_options how = { .size = sizeof how, .passes = data[0] % 6 ? "all" : "none" };
    mbr_env *env;
    mbr_model *model;
    mbr_error err = { 0 };
    left = data[1] == 255 ? -1 : data[1] * 4L;
    if (mbr_env_new(&options, &env, &err) != MBR_OK)
        return 0;
    mbr_memory_use before, after;
    mbr_env_memory(env, &before);
    mbr_status st = mbr_model_open_memory(env, data + 2, size - 2, &how, &model, &err);
    must((st == MBR_OK) == (model != NULL));
    must(st == MBR_OK || (err.status == st && err.text[0] && st != MBR_ERR_INTERNAL));
    if (model)
        run(env, model);
    mbr_model_release(&model);
    mbr_env_memory(env, &after);
    must(after.in_use == before.in_use);
    mbr_env_release(&env);
    return 0;
}

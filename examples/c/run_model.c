/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens a model, feeds every input with zeros (free dimensions at 1), runs it once and prints the outputs' shapes.
 *
 *     cc run_model.c $(pkg-config --cflags --libs mbr) -o run_model && ./run_model model.onnx
 */
#include <mbr/mbr.h>

#include <stdio.h>

enum { MOST_INPUTS = 64 };

static mbr_status run(mbr_env *env, const char *path, mbr_error *err)
{
    mbr_model *model = NULL;
    mbr_session *session = NULL;
    mbr_value *inputs[MOST_INPUTS] = { NULL };
    mbr_status st = mbr_model_open(env, path, NULL, &model, err);
    if (st == MBR_OK)
        st = mbr_session_new(model, NULL, &session, err);
    int count = st == MBR_OK ? mbr_model_input_count(model) : 0;
    for (int i = 0; i < count && i < MOST_INPUTS && st == MBR_OK; i++) {
        mbr_port port = { .size = sizeof port };
        st = mbr_model_input(model, i, &port, err);
        for (int d = 0; d < port.rank; d++)
            if (port.dims[d] < 0)
                port.dims[d] = 1;
        if (st == MBR_OK)
            st = mbr_tensor_new(env, port.dtype, port.rank, port.dims, &inputs[i], err); /* zeros; ours to release */
        if (st == MBR_OK)
            st = mbr_session_bind_input(session, i, inputs[i], err); /* borrowed by the session */
    }
    if (st == MBR_OK)
        st = mbr_session_run(session, err);
    for (int i = 0; st == MBR_OK && i < mbr_model_output_count(model); i++) {
        mbr_port port = { .size = sizeof port };
        const mbr_value *y = mbr_session_output(session, i); /* the session's, until its next run */
        st = mbr_model_output(model, i, &port, err);
        printf("%s: %s, %zu values\n", port.name, mbr_dtype_name(mbr_tensor_dtype(y)), mbr_tensor_count(y));
    }
    mbr_session_release(&session);
    for (int i = 0; i < MOST_INPUTS; i++)
        mbr_value_release(&inputs[i]);
    mbr_model_release(&model);
    return st;
}

int main(int argc, char **argv)
{
    mbr_env *env = NULL;
    mbr_error err;
    if (argc != 2) {
        fprintf(stderr, "usage: run_model MODEL\n");
        return 2;
    }
    if (mbr_env_new(NULL, &env, &err) != MBR_OK || run(env, argv[1], &err) != MBR_OK) {
        fprintf(stderr, "%s\n", err.text);
        mbr_env_release(&env);
        return 3;
    }
    mbr_env_release(&env);
    return 0;
}

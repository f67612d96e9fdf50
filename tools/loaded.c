/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/command.h"

int load_all(const command_options *o, loaded *l)
{
    mbr_error err;
    int st = open_env(o, &l->env);
    if (st != EXIT_DONE)
        return st;
    double t = now_ms();
    st = open_model(o, l->env, o->positional[0], &l->model);
    if (st != EXIT_DONE)
        return st;
    if (mbr_session_new(l->model, NULL, &l->session, &err) != MBR_OK)
        return fail_with(&err);
    l->load_ms = now_ms() - t;
    l->n_sets = o->n_data ? o->n_data : 1;
    for (int i = 0; i < l->n_sets && st == EXIT_DONE; i++) {
        if (!value_set_new(&l->sets[i], mbr_model_input_count(l->model)))
            return EXIT_RESOURCES;
        if (o->n_data)
            st = load_folder(l->env, l->model, o->data[i], &l->sets[i]);
        for (int k = 0; k < o->n_named && st == EXIT_DONE; k++)
            st = load_named(l->env, l->model, o->named[k], &l->sets[i]);
        if (st == EXIT_DONE)
            st = require_inputs(l->model, o->positional[0], &l->sets[i]);
    }
    return st;
}

void unload_all(loaded *l)
{
    mbr_session_release(&l->session);
    for (int i = 0; i < l->n_sets; i++)
        value_set_free(&l->sets[i]);
    mbr_model_release(&l->model);
    mbr_env_release(&l->env);
}

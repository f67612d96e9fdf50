/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices of an environment: found by name, opened once; and what of a model would run on one. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "api/env.h"

#ifdef HAVE_OPENCL
#include "engine/opencl/device.h"
#endif

#include "engine/schedule/work.h"

#include <string.h>

static mbr_status bad_name(const char *name, mbr_error *err)
{
    return mbr_fail(err, MBR_ERR_ARGUMENT, "device '%s'; one of cpu, auto, opencl, opencl:N is due", name);
}

/* The N of "opencl:N", -1: there is something else. */
static int device_index(const char *name)
{
    size_t n = strlen("opencl");
    int index = 0;
    if (strncmp(name, "opencl", n) != 0)
        return -1;
    if (name[n] == '\0')
        return 0;
    if (name[n] != ':' || name[n + 1] == '\0')
        return -1;
    for (const char *c = name + n + 1; *c; c++) {
        if (*c < '0' || *c > '9' || index >= 1000)
            return -1;
        index = index * 10 + (*c - '0');
    }
    return index;
}

static mbr_status open_device(mbr_env *env, int index, const char *cache, mbr_device **out, mbr_error *err)
{
#ifdef HAVE_OPENCL
    mbr_device *none = NULL;
    mbr_cl_device *d;
    if (index >= MBR_MOST_DEVICES)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "device opencl:%d; the last possible is opencl:%d", index,
                        MBR_MOST_DEVICES - 1);
    *out = atomic_load(&env->devices[index]);
    if (*out)
        return MBR_OK;
    MBR_TRY(mbr_cl_device_open(&env->memory, &env->log, index, cache, &d, err));
    *out = &d->base;
    if (!atomic_compare_exchange_strong(&env->devices[index], &none, *out)) { /* another thread was first */
        mbr_cl_device_close(d);
        *out = none;
    }
    return MBR_OK;
#else
    (void)env;
    (void)index;
    (void)cache;
    (void)out;
    return mbr_fail(err, MBR_ERR_UNSUPPORTED, "this build has no OpenCL (configure --enable-opencl); use --device cpu");
#endif
}

mbr_status mbr_env_device(mbr_env *env, const char *name, const char *cache, mbr_device **out, mbr_error *err)
{
    *out = NULL;
    if (!name || !*name || strcmp(name, "cpu") == 0 || strcmp(name, "auto") == 0)
        return MBR_OK;
    int index = device_index(name);
    return index < 0 ? bad_name(name, err) : open_device(env, index, cache, out, err);
}

void mbr_devices_close(mbr_env *env)
{
    for (size_t i = 0; i < MBR_MOST_DEVICES; i++) {
        mbr_device *d = atomic_load(&env->devices[i]);
        if (d)
            d->fn->free(d);
    }
}

/* --- what runs where --- */

typedef struct trial {
    mbr_run run;
    mbr_frame *frame;
    mbr_value **inputs; /* (n_inputs) of the graph */
} trial;

static mbr_status bind_trial(const mbr_model *m, trial *t, int64_t free_size, mbr_error *err)
{
    const mbr_ir_graph *g = m->module->main;
    int64_t *sizes = mbr_calloc(&m->env->memory, m->module->dims.n + 1, sizeof *sizes);
    t->inputs = mbr_calloc(&m->env->memory, g->n_inputs + 1, sizeof *t->inputs);
    mbr_status st = t->inputs && sizes ? MBR_OK : mbr_no_memory(err, g->n_inputs * sizeof *t->inputs);
    for (size_t i = 0; st == MBR_OK && i < m->module->dims.n; i++)
        sizes[i] = free_size;
    if (st == MBR_OK)
        st = mbr_dim_table_eval(&m->module->dims, g->scope, sizes, err);
    for (size_t i = 0; i < g->n_inputs && st == MBR_OK; i++) {
        const mbr_ir_value *ir = g->inputs[i];
        int64_t dims[MBR_MAX_RANK];
        if (ir->has_default)
            continue;
        if (ir->type.kind != MBR_KIND_TENSOR || ir->type.rank < 0) {
            st = mbr_fail(err, MBR_ERR_UNSUPPORTED, "input '%s' has no shape before a run", ir->name);
            break;
        }
        for (int d = 0; d < ir->type.rank; d++)
            dims[d] = mbr_dim_is_known(ir->type.dims[d]) ? mbr_dim_value(ir->type.dims[d], sizes) : free_size;
        st = mbr_value_create_tensor(&m->env->memory, ir->type.dtype, ir->type.rank, dims, &t->inputs[i], err);
        if (st == MBR_OK)
            st = mbr_frame_bind(t->frame, i, t->inputs[i], err);
    }
    mbr_free(&m->env->memory, sizes);
    return st;
}

static void tell_steps(const mbr_model *m, const trial *t, mbr_placement *all, mbr_placed_step_fn fn, void *user)
{
    mbr_device_frame *df = mbr_frame_device(t->frame);
    for (uint32_t k = 0; k < m->program->n_steps; k++) {
        const mbr_program_step *ps = &m->program->steps[k];
        const mbr_step *s = mbr_frame_step(t->frame, k);
        if (ps->in_place || (!s->op->run && !ps->dynamic))
            continue;
        const char *why = df && ps->on_device ? m->device->fn->why(df, k) : NULL;
        mbr_work work = { .flop = 0 };
        if (!ps->dynamic) /* else its sizes are not known yet */
            mbr_work_of(s, &work);
        mbr_placed_step one = { .size = sizeof one, .op = s->op->name, .node = s->node->name ? s->node->name : "",
                                .on_device = df && m->device->fn->has(df, k), .flop = work.flop,
                                .why = why ? why : ps->dynamic ? "its sizes follow from data" : "" };
        all->steps++;
        all->flop += one.flop;
        all->device_steps += one.on_device != 0;
        all->device_flop += one.on_device ? one.flop : 0;
        if (fn)
            fn(user, &one);
    }
}

mbr_status mbr_model_get_placement(const mbr_model *m, int64_t free_size, mbr_placement *placement,
                                   mbr_placed_step_fn fn, void *user, mbr_error *err)
{
    trial t = { .frame = NULL };
    if (placement->size < sizeof placement->size)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_placement.size is not set");
    mbr_placement all = { .size = placement->size, .device = m->device ? m->device->name : "cpu" };
    MBR_TRY(mbr_run_init(&t.run, &m->env->memory, NULL, 1, m->module, err));
    mbr_status st = mbr_frame_new(m->program, &t.run, &t.frame, err);
    if (st == MBR_OK)
        st = bind_trial(m, &t, free_size, err);
    if (st == MBR_OK)
        st = mbr_frame_prepare(t.frame, err);
    if (st == MBR_OK) {
        tell_steps(m, &t, &all, fn, user);
        memcpy(placement, &all, placement->size < sizeof all ? placement->size : sizeof all);
    }
    mbr_frame_free(t.frame);
    mbr_run_destroy(&t.run);
    for (size_t i = 0; t.inputs && i < m->module->main->n_inputs; i++)
        mbr_value_drop(t.inputs[i]);
    mbr_free(&m->env->memory, t.inputs);
    return st;
}

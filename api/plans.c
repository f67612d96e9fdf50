/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/auto.h"
#include "mbr/plan.h"

#include <string.h>

struct mbr_plan {
    mbr_env *env;
    mbr_machine machine;
    mbr_rates rates;
    mbr_run run;           /* of the frame that the plan has for itself */
    mbr_frame *frames[2];  /* NULL: the session's; the second one is of the model's variant for a device */
    mbr_value **inputs;    /* (n_inputs) made up, for what is not bound */
    int n_inputs;
    mbr_session *session;
    mbr_schedule schedule;
    mbr_plan_row *rows;    /* (schedule.n) */
    mbr_plan_device *devices;
    int n_devices;
    double *us;            /* (places) */
    const char **names;    /* (places) */
    size_t packed_bytes;
    char text[320];
};

void mbr_plan_release(mbr_plan **plan)
{
    if (!plan || !*plan)
        return;
    mbr_plan *p = *plan;
    mbr_memory *memory = &p->env->memory;
    *plan = NULL;
    mbr_schedule_free(&p->schedule);
    mbr_frame_free(p->frames[0]);
    mbr_frame_free(p->frames[1]);
    if (p->run.memory)
        mbr_run_destroy(&p->run);
    for (int i = 0; p->inputs && i < p->n_inputs; i++)
        mbr_value_drop(p->inputs[i]);
    mbr_machine_free(memory, &p->machine);
    mbr_free(memory, p->inputs);
    mbr_free(memory, p->devices);
    mbr_free(memory, p);
}

/* A value of the shape that the model declares, zeros, free dimensions at `size`. */
static mbr_status make_input(mbr_plan *p, const mbr_model *m, const mbr_ir_value *ir, const int64_t *dims,
                             mbr_value **out, mbr_error *err)
{
    int64_t sizes[MBR_MAX_RANK];
    if (ir->type.kind != MBR_KIND_TENSOR)
        return mbr_value_create(&p->env->memory, ir->type.kind, ir->type.dtype, out, err);
    for (int d = 0; d < ir->type.rank; d++) {
        sizes[d] = dims[m->module->dims.n];
        if (mbr_dim_is_known(ir->type.dims[d]))
            sizes[d] = mbr_dim_value(ir->type.dims[d], dims);
        sizes[d] = sizes[d] < 0 ? 0 : sizes[d];
    }
    MBR_TRY(mbr_value_create_tensor(&p->env->memory, ir->type.dtype, ir->type.rank < 0 ? 0 : ir->type.rank, sizes, out,
                                    err));
    if (ir->type.dtype != MBR_DTYPE_STRING)
        memset((*out)->data, 0, mbr_value_bytes(*out));
    return MBR_OK;
}

/* A frame of the plan's own, and values of made-up sizes for what the session has not bound. */
static mbr_status open_frame(mbr_plan *p, const mbr_session *s, int64_t free_size, mbr_error *err)
{
    const mbr_model *m = s->model;
    const mbr_dim_table *t = &m->module->dims;
    mbr_memory *memory = &p->env->memory;
    int64_t *dims = mbr_calloc(memory, t->n + 1, sizeof *dims);
    p->inputs = mbr_calloc(memory, (size_t)m->n_inputs + 1, sizeof *p->inputs);
    if (!dims || !p->inputs) {
        mbr_free(memory, dims);
        return mbr_no_memory(err, t->n * sizeof *dims);
    }
    p->n_inputs = m->n_inputs;
    mbr_status st = MBR_OK;
    for (size_t i = 0; i <= t->n; i++)
        dims[i] = free_size;
    for (int i = 0; i < m->n_inputs; i++) { /* sizes that bound inputs give hold for the others */
        const mbr_ir_value *ir = m->module->main->inputs[m->inputs[i]];
        for (int d = 0; s->bound[i] && ir->type.kind == MBR_KIND_TENSOR && d < ir->type.rank; d++)
            if (mbr_dim_is_expr(ir->type.dims[d]))
                dims[mbr_dim_index(ir->type.dims[d])] = s->bound[i]->dims[d];
    }
    MBR_TRY_GOTO(mbr_dim_table_eval(t, m->module->main->scope, dims, err), end);
    MBR_TRY_GOTO(mbr_run_init(&p->run, memory, NULL, 1, m->module, err), end);
    MBR_TRY_GOTO(mbr_frame_new(m->program, &p->run, &p->frames[0], err), end);
    for (int i = 0; i < m->n_inputs; i++) {
        const mbr_ir_value *ir = m->module->main->inputs[m->inputs[i]];
        if (!s->bound[i] && !ir->has_default)
            MBR_TRY_GOTO(make_input(p, m, ir, dims, &p->inputs[i], err), end);
    }
end:
    mbr_free(memory, dims);
    return st;
}

static mbr_status bind_inputs(void *user, mbr_frame *f, mbr_error *err)
{
    const mbr_plan *p = user;
    const mbr_session *s = p->session;
    for (int i = 0; i < p->n_inputs; i++)
        if (s->bound[i] || p->inputs[i])
            MBR_TRY(mbr_frame_bind(f, s->model->inputs[i], s->bound[i] ? s->bound[i] : p->inputs[i], err));
    return MBR_OK;
}

/* Device structs may be older than ours. */
static mbr_status take_devices(mbr_plan *p, const mbr_plan_options *o, mbr_error *err)
{
    if (o->n_devices < 0 || o->n_devices > MBR_PLACE_DEVICES)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%d devices; at most %d make sense", o->n_devices, MBR_PLACE_DEVICES);
    p->devices = mbr_calloc(&p->env->memory, (size_t)o->n_devices + 1, sizeof *p->devices);
    if (!p->devices)
        return mbr_no_memory(err, (size_t)o->n_devices * sizeof *p->devices);
    const char *at = (const char *)o->devices;
    for (int i = 0; i < o->n_devices; i++) {
        size_t size = ((const mbr_plan_device *)at)->size;
        if (!mbr_options_read(&p->devices[i], sizeof *p->devices, at, size))
            return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_plan_device.size is not set");
        mbr_device_complete(&p->devices[i]);
        at += size;
    }
    p->n_devices = o->n_devices;
    return MBR_OK;
}

static mbr_status take_rates(mbr_plan *p, const mbr_plan_options *o, mbr_error *err)
{
    const mbr_rates *rates;
    mbr_rates_default(&p->rates);
    if (o->rates)
        return mbr_rates_parse(&p->rates, o->rates, err);
    MBR_TRY(mbr_env_rates(p->env, o->cache_dir, &rates, err));
    p->rates = *rates;
    return MBR_OK;
}

static mbr_status fill_rows(mbr_plan *p, mbr_error *err)
{
    const mbr_schedule *s = &p->schedule;
    mbr_arena *a = &p->schedule.arena;
    size_t places = (size_t)s->n_places;
    p->rows = mbr_arena_calloc(a, (size_t)s->n + 1, sizeof *p->rows);
    p->us = mbr_arena_calloc(a, places, sizeof *p->us);
    p->names = mbr_arena_calloc(a, places, sizeof *p->names);
    if (!p->rows || !p->us || !p->names)
        return mbr_no_memory(err, (size_t)s->n * sizeof *p->rows);
    for (size_t i = 0; i < places; i++) {
        p->us[i] = s->busy_ns[i] / 1e3;
        p->names[i] = i ? mbr_arena_strdup(a, p->devices[i - 1].name) : "cpu";
        if (!p->names[i])
            return mbr_no_memory(err, 1);
    }
    for (int i = 0; i < s->n; i++) {
        const mbr_schedule_step *x = &s->steps[i];
        const mbr_ir_node *n = x->step->node;
        const mbr_value *out = x->step->n_out ? x->step->out[0] : NULL;
        bool tensor = out && x->sized && out->kind == MBR_KIND_TENSOR && out->dtype != MBR_DTYPE_UNDEFINED;
        p->rows[i] = (mbr_plan_row){
            .domain = *n->op->domain ? n->op->domain : "ai.onnx", .op = n->op->name,
            .node = n->name && *n->name ? n->name : n->n_outputs && n->outputs[0] ? n->outputs[0]->name : "",
            .kernel = x->step->kernel ? x->step->kernel : "", .device = p->names[x->device], .device_index = x->device,
            .threads = x->threads, .why = x->why, .begin_us = x->begin_ns / 1e3, .us = x->ns / 1e3,
            .transfer_us = x->transfer_ns / 1e3,
            .cpu_us = x->cpu_ns / 1e3, .device_us = x->device_ns / 1e3, .transfer_bytes = x->transfer_bytes,
            .flop = x->work.flop, .bytes = x->work.bytes, .weight_bytes = x->work.weight_bytes,
            .rank = tensor ? out->rank : -1, .dims = tensor ? out->dims : NULL, .inputs = x->inputs,
            .n_inputs = x->n_inputs };
    }
    return MBR_OK;
}

static mbr_status plan_frame(mbr_plan *p, const mbr_plan_options *o, mbr_error *err)
{
    const mbr_session *s = p->session;
    const mbr_schedule_options so = { .machine = &p->machine, .rates = &p->rates, .devices = p->devices,
                                      .n_devices = p->n_devices, .threads = o->threads,
                                      .pins = o->placement ? o->placement : s->model->pins,
                                      .replica_bytes = o->replica_bytes };
    if (!s->ran) {
        MBR_TRY(bind_inputs(p, p->frames[0], err));
        MBR_TRY(mbr_frame_prepare(p->frames[0], err));
    }
    return mbr_schedule_new(&p->env->memory, &so, s->ran ? s->frame : p->frames[0], s->ran, &p->schedule, err);
}

/* What a session of the model would choose. */
static mbr_status plan_choice(mbr_plan *p, const mbr_plan_options *o, mbr_error *err)
{
    mbr_choice c = { .model = p->session->model, .run = &p->run, .frames = { p->frames[0] }, .bind = bind_inputs,
                     .user = p, .pins = o->placement ? o->placement : p->session->model->pins, .planned = true };
    p->run.workers = p->session->run.workers;
    mbr_status st = mbr_choose(&c, err);
    p->frames[1] = c.frames[1];
    if (c.scheduled)
        p->schedule = c.schedule;
    MBR_TRY(st);
    p->n_devices = c.which;
    p->devices[0].name = c.which ? c.device : NULL;
    return MBR_OK;
}

mbr_status mbr_session_plan(mbr_session *s, const mbr_plan_options *options, mbr_plan **out, mbr_error *err)
{
    mbr_plan_options o;
    *out = NULL;
    if (!mbr_options_read(&o, sizeof o, options, options ? options->size : 0))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_plan_options.size is not set; set it to sizeof(mbr_plan_options)");
    mbr_env *env = s->model->env;
    mbr_plan *p = mbr_calloc(&env->memory, 1, sizeof *p);
    if (!p)
        return mbr_no_memory(err, sizeof *p);
    p->env = env;
    mbr_status st = take_devices(p, &o, err);
    MBR_TRY_GOTO(st, error);
    MBR_TRY_GOTO(mbr_machine_read(&env->memory, o.topology, &p->machine, err), error);
    MBR_TRY_GOTO(take_rates(p, &o, err), error);
    bool choose = s->model->automatic && !o.n_devices && !o.topology && !o.rates;
    if (o.topology && p->machine.l2) { /* its caches, not those of this machine */
        p->rates.own_bytes = p->machine.l2;
        p->rates.shared_bytes = p->machine.l3 > p->machine.l2 ? p->machine.l3 : p->machine.l2;
    }
    p->session = s;
    if (!s->ran || choose)
        MBR_TRY_GOTO(open_frame(p, s, o.free_size > 0 ? o.free_size : 1, err), error);
    st = choose ? plan_choice(p, &o, err) : plan_frame(p, &o, err);
    MBR_TRY_GOTO(st, error);
    MBR_TRY_GOTO(fill_rows(p, err), error);
    p->packed_bytes = s->model->program->packed_bytes;
    mbr_machine_text(&p->machine, p->text, sizeof p->text);
    *out = p;
    return MBR_OK;
error:
    mbr_plan_release(&p);
    return st;
}

int mbr_plan_count(const mbr_plan *p)
{
    return p->schedule.n;
}

mbr_status mbr_plan_at(const mbr_plan *p, int index, mbr_plan_row *row, mbr_error *err)
{
    if (index < 0 || index >= p->schedule.n || row->size < sizeof row->size)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "step %d of a plan that has %d, or the row's size is not set", index,
                        p->schedule.n);
    mbr_plan_row r = p->rows[index];
    r.size = row->size;
    memcpy(row, &r, row->size < sizeof r ? row->size : sizeof r);
    return MBR_OK;
}

mbr_status mbr_plan_get_totals(const mbr_plan *p, mbr_plan_totals *totals, mbr_error *err)
{
    const mbr_schedule *s = &p->schedule;
    if (totals->size < sizeof totals->size)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_plan_totals.size is not set");
    mbr_plan_totals t = { .size = totals->size, .machine = p->text, .team = s->team, .weights = s->weights,
                          .rates = p->rates.source, .threads = s->threads, .us = s->ns / 1e3, .cpu_us = s->cpu_ns / 1e3,
                          .n_devices = s->n_places, .devices = p->names, .busy_us = p->us,
                          .weight_bytes = s->weight_bytes, .activation_bytes = s->activation_bytes, .steps = s->count,
                          .flop = s->flop, .packed_bytes = (double)p->packed_bytes,
                          .transfer_bytes = s->transfer_bytes, .replica_bytes = s->replica_bytes };
    memcpy(totals, &t, totals->size < sizeof t ? totals->size : sizeof t);
    return MBR_OK;
}

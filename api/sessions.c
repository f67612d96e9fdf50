/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/auto.h"

#include <string.h>

static void model_keep(mbr_model *m)
{
    atomic_fetch_add(&m->refs, 1);
}

mbr_status mbr_session_new(mbr_model *model, const mbr_session_options *options, mbr_session **out, mbr_error *err)
{
    mbr_session_options o;
    mbr_memory *memory = &model->env->memory;
    *out = NULL;
    if (!mbr_options_read(&o, sizeof o, options, options ? options->size : 0))
        return mbr_fail(err, MBR_ERR_ARGUMENT,
                        "mbr_session_options.size is not set; set it to sizeof(mbr_session_options)");
    mbr_session *s = mbr_calloc(memory, 1, sizeof *s);
    if (!s)
        return mbr_no_memory(err, sizeof *s);
    model_keep(model);
    s->model = model;
    size_t n = (size_t)model->n_inputs + 1;
    int team = mbr_team_size(model->env->team);
    mbr_status st = mbr_run_init(&s->run, memory, model->env->team,
                                 o.threads > 0 && o.threads < team ? o.threads : team, model->module, err);
    MBR_TRY_GOTO(st, error);
    s->run.slab_limit = o.memory_limit;
    s->states = mbr_calloc(memory, n, sizeof *s->states);
    s->state_outputs = mbr_calloc(memory, n, sizeof *s->state_outputs);
    s->bound = mbr_calloc(memory, n, sizeof *s->bound);
    s->carried = mbr_calloc(memory, n, sizeof *s->carried);
    s->appends = mbr_calloc(memory, n, sizeof *s->appends);
    if (!s->states || !s->state_outputs || !s->bound || !s->carried || !s->appends) {
        st = mbr_no_memory(err, n * sizeof *s->states);
        goto error;
    }
    for (size_t i = 0; i < n; i++)
        s->state_outputs[i] = -1;
    s->considered = -1;
    MBR_TRY_GOTO(mbr_frame_new(model->program, &s->run, &s->frames[0], err), error);
    s->frame = s->frames[0];
    if (!model->automatic)
        MBR_TRY_GOTO(mbr_place_pins(model, s->frame, err), error);
    *out = s;
    return MBR_OK;
error:
    mbr_session_release(&s);
    return st;
}

void mbr_session_release(mbr_session **session)
{
    if (!session || !*session)
        return;
    mbr_session *s = *session;
    mbr_model *model = s->model;
    mbr_memory *memory = &model->env->memory;
    *session = NULL;
    mbr_profile_free(s->profile);
    mbr_frame_free(s->frames[0]);
    mbr_frame_free(s->frames[1]);
    mbr_run_destroy(&s->run);
    for (int i = 0; s->states && i < model->n_inputs; i++)
        mbr_value_drop(s->states[i]);
    mbr_free(memory, s->states);
    mbr_free(memory, s->state_outputs);
    mbr_free(memory, s->bound);
    mbr_free(memory, s->carried);
    mbr_free(memory, s->appends);
    mbr_free(memory, s);
    mbr_model_release(&model);
}

static const mbr_ir_value *input_of(const mbr_session *s, int index)
{
    return s->model->module->main->inputs[s->model->inputs[index]];
}

static mbr_status check_index(const mbr_session *s, int index, mbr_error *err)
{
    if (index < 0 || index >= s->model->n_inputs)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%s: input %d; the model has %d", s->model->module->file, index,
                        s->model->n_inputs);
    return MBR_OK;
}

static const char *kind_name(mbr_kind kind)
{
    static const char *const names[] = { "a tensor", "a sequence", "an optional", "a map" };
    return names[kind];
}

static mbr_status check_fit(const mbr_session *s, const mbr_ir_value *ir, const mbr_value *v, mbr_error *err)
{
    const char *file = s->model->module->file;
    const mbr_dim_table *t = &s->model->module->dims;
    char shape[256], dim[64];
    size_t at = 0;
    if (v->kind != ir->type.kind)
        return mbr_fail(err, MBR_ERR_INPUT, "%s: input '%s' is %s; the value given is %s", file, ir->name,
                        kind_name(ir->type.kind), kind_name(v->kind));
    if (v->kind != MBR_KIND_TENSOR)
        return MBR_OK;
    if (v->dtype != ir->type.dtype && ir->type.dtype)
        return mbr_fail(err, MBR_ERR_INPUT, "%s: input '%s' is of type %s; the tensor given is %s; convert it", file,
                        ir->name, mbr_dtype_name(ir->type.dtype), mbr_dtype_name(v->dtype));
    bool fits = ir->type.rank < 0 || v->rank == ir->type.rank;
    for (int d = 0; d < ir->type.rank && fits; d++)
        fits = !mbr_dim_is_const(ir->type.dims[d]) || ir->type.dims[d] == v->dims[d];
    if (fits)
        return MBR_OK;
    shape[0] = '\0';
    for (int d = 0; d < ir->type.rank && at < sizeof shape - sizeof dim - 4; d++) {
        mbr_dim_print(t, ir->type.dims[d], dim, sizeof dim);
        memcpy(shape + at, d ? ", " : "", d ? 2 : 0);
        at += d ? 2 : 0;
        memcpy(shape + at, dim, strlen(dim) + 1);
        at += strlen(dim);
    }
    char got[256];
    at = 0;
    got[0] = '\0';
    for (int d = 0; d < v->rank && at < sizeof got - sizeof dim - 4; d++) {
        mbr_dim_print(NULL, v->dims[d], dim, sizeof dim);
        memcpy(got + at, d ? ", " : "", d ? 2 : 0);
        at += d ? 2 : 0;
        memcpy(got + at, dim, strlen(dim) + 1);
        at += strlen(dim);
    }
    return mbr_fail(err, MBR_ERR_INPUT, "%s: input '%s' wants shape [%s]; the tensor given is [%s]", file, ir->name,
                    shape, got);
}

mbr_status mbr_session_bind_input(mbr_session *s, int index, const mbr_value *value, mbr_error *err)
{
    MBR_TRY(check_index(s, index, err));
    if (value)
        MBR_TRY(check_fit(s, input_of(s, index), value, err));
    s->bound[index] = value;
    s->carried[index] = MBR_CARRIED_NOT;
    return MBR_OK;
}

mbr_status mbr_session_bind_output(mbr_session *s, int index, mbr_value *value, mbr_error *err)
{
    if (index < 0 || index >= mbr_model_output_count(s->model))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%s: output %d; the model has %d", s->model->module->file, index,
                        mbr_model_output_count(s->model));
    return mbr_frame_bind_output(s->frame, (size_t)index, value, err);
}

mbr_status mbr_session_bind_state(mbr_session *s, int output, int input, mbr_error *err)
{
    MBR_TRY(check_index(s, input, err));
    if (output >= mbr_model_output_count(s->model))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%s: output %d; the model has %d", s->model->module->file, output,
                        mbr_model_output_count(s->model));
    if (output >= 0) {
        const mbr_ir_value *from = s->model->module->main->outputs[output], *to = input_of(s, input);
        if (from->type.kind != to->type.kind || (from->type.dtype && from->type.dtype != to->type.dtype))
            return mbr_fail(err, MBR_ERR_ARGUMENT, "%s: output '%s' cannot feed input '%s': their types differ",
                            s->model->module->file, from->name, to->name);
        if (!s->states[input])
            MBR_TRY(mbr_value_create(&s->model->env->memory, to->type.kind, to->type.dtype, &s->states[input], err));
    }
    if (s->state_outputs[input] >= 0)
        mbr_frame_lend(s->frame, (size_t)s->state_outputs[input], NULL);
    s->state_outputs[input] = output < 0 ? -1 : output;
    s->carried[input] = MBR_CARRIED_NOT;
    s->appends[input] = output >= 0 && mbr_frame_appends(s->frame, (size_t)output, s->model->inputs[input]);
    return MBR_OK;
}

mbr_status mbr_session_save_state(const mbr_session *s, int input, mbr_value **out, mbr_error *err)
{
    *out = NULL;
    MBR_TRY(check_index(s, input, err));
    const mbr_value *now = s->carried[input] ? s->states[input] : s->bound[input];
    if (s->carried[input])
        mbr_value_close_up(s->states[input]);
    if (!now)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%s: input '%s' has no state yet", s->model->module->file,
                        input_of(s, input)->name);
    return mbr_value_copy(s->model->env, now, out, err);
}

mbr_status mbr_session_restore_state(mbr_session *s, int input, const mbr_value *value, mbr_error *err)
{
    MBR_TRY(check_index(s, input, err));
    if (s->state_outputs[input] < 0)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%s: input '%s' has no state edge; call mbr_session_bind_state first",
                        s->model->module->file, input_of(s, input)->name);
    MBR_TRY(check_fit(s, input_of(s, input), value, err));
    MBR_TRY(mbr_value_assign(s->states[input], value, err));
    s->carried[input] = MBR_CARRIED_COPY;
    return MBR_OK;
}

static mbr_status bind_all(void *user, mbr_frame *f, mbr_error *err)
{
    mbr_session *s = user;
    for (int i = 0; i < s->model->n_inputs; i++) {
        const mbr_ir_value *ir = input_of(s, i);
        const mbr_value *v = s->carried[i] ? s->states[i] : s->bound[i];
        if (!v) {
            if (ir->has_default)
                continue;
            return mbr_fail(err, MBR_ERR_INPUT, "%s: input '%s' is missing; bind a value to it",
                            s->model->module->file, ir->name);
        }
        MBR_TRY(mbr_frame_bind(f, s->model->inputs[i], v, err));
        if (s->appends[i]) /* a state that stays longer than one run is worth it */
            mbr_frame_lend(s->frame, (size_t)s->state_outputs[i],
                           s->carried[i] == MBR_CARRIED_MOVED ? s->states[i] : NULL);
    }
    return MBR_OK;
}

/* A state stays dense from now on. */
static void stop_appending(mbr_session *s, int input)
{
    mbr_value_close_up(s->states[input]);
    s->appends[input] = false;
    mbr_frame_lend(s->frame, (size_t)s->state_outputs[input], NULL);
}

static double input_bytes(const mbr_session *s)
{
    double bytes = 1;
    for (int i = 0; i < s->model->n_inputs; i++) {
        const mbr_value *v = s->carried[i] ? s->states[i] : s->bound[i];
        bytes += v && v->kind == MBR_KIND_TENSOR ? (double)mbr_value_bytes(v) : 0;
    }
    return bytes;
}

/* Which frame runs, where the model leaves that open; a profile stays with the one that it is of. */
static mbr_status choose(mbr_session *s, mbr_error *err)
{
    double bytes = input_bytes(s);
    if (s->profile || (s->considered > 0 && bytes < 2 * s->considered && bytes * 2 > s->considered))
        return MBR_OK;
    mbr_choice c = { .model = s->model, .run = &s->run, .frames = { s->frames[0], s->frames[1] }, .bind = bind_all,
                     .user = s, .pins = s->model->pins };
    mbr_frame_take_over(s->frames[0], s->frame);
    mbr_status st = mbr_choose(&c, err);
    s->frames[1] = c.frames[1];
    for (int i = 0; i < s->model->n_inputs && s->frames[1]; i++) /* devices know dense values only */
        if (s->appends[i])
            stop_appending(s, i);
    if (c.scheduled)
        mbr_schedule_free(&c.schedule);
    s->frame = s->frames[st == MBR_OK ? c.which : 0];
    s->considered = st == MBR_OK ? bytes : -1;
    return st;
}

/* The output becomes the state: its memory where that is the frame's, which gets the state's for the next run. */
static mbr_status carry(mbr_session *s, int input, mbr_error *err)
{
    int output = s->state_outputs[input];
    mbr_value *to = s->states[input];
    for (int i = 0; i < input; i++)
        if (s->state_outputs[i] == output) { /* it went there */
            mbr_value_close_up(s->states[i]);
            MBR_TRY(mbr_value_assign(to, s->states[i], err));
            s->carried[input] = MBR_CARRIED_COPY;
            return MBR_OK;
        }
    const void *data = mbr_frame_output(s->frame, (size_t)output)->data;
    MBR_TRY(mbr_frame_swap_output(s->frame, (size_t)output, to, err));
    s->carried[input] = to->data == data ? MBR_CARRIED_MOVED : MBR_CARRIED_COPY;
    return MBR_OK;
}

mbr_status mbr_session_run(mbr_session *s, mbr_error *err)
{
    atomic_store_explicit(&s->run.cancelled, false, memory_order_relaxed);
    s->run.unlooked = 0.0;
    s->ran = false;
    mbr_arena_reset(&s->run.arena);
    if (s->model->automatic)
        MBR_TRY(choose(s, err));
    MBR_TRY(bind_all(s, s->frame, err));
    bool team = mbr_frame_wants_team(s->frame);
    if (team)
        mbr_team_begin(s->run.team);
    mbr_status st = mbr_frame_run(s->frame, err);
    if (team)
        mbr_team_end(s->run.team);
    if (st != MBR_OK)
        return st;
    for (int i = 0; i < s->model->n_inputs; i++)
        if (s->state_outputs[i] >= 0)
            MBR_TRY(carry(s, i, err));
    s->ran = true;
    return MBR_OK;
}

const mbr_value *mbr_session_output(const mbr_session *s, int index)
{
    if (!s->ran || index < 0 || index >= mbr_model_output_count(s->model))
        return NULL;
    for (int i = 0; i < s->model->n_inputs; i++)
        if (s->state_outputs[i] == index && s->carried[i] == MBR_CARRIED_MOVED) {
            if (s->states[i]->room) /* who looks at it will look again */
                stop_appending((mbr_session *)(uintptr_t)s, i);
            return s->states[i];
        }
    return mbr_frame_output(s->frame, (size_t)index);
}

void mbr_session_cancel(mbr_session *session)
{
    atomic_store_explicit(&session->run.cancelled, true, memory_order_relaxed);
}

void mbr_session_set_deadline(mbr_session *session, uint64_t nanoseconds)
{
    session->run.deadline = nanoseconds;
}

mbr_status mbr_session_get_bill(mbr_session *s, mbr_bill *bill, mbr_error *err)
{
    mbr_model_facts facts = { .size = sizeof facts };
    if (bill->size < sizeof bill->size)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_bill.size is not set");
    MBR_TRY(mbr_model_get_facts(s->model, &facts, err));
    MBR_TRY(bind_all(s, s->frame, err));
    MBR_TRY(mbr_frame_prepare(s->frame, err));
    mbr_bill b = { .size = bill->size, .weight_bytes = facts.weight_bytes, .packed_bytes = facts.packed_bytes,
                   .activation_bytes = s->run.slab_bytes,
                   .scratch_bytes = s->run.scratch_each * (size_t)s->run.workers };
    memcpy(bill, &b, bill->size < sizeof b ? bill->size : sizeof b);
    return MBR_OK;
}

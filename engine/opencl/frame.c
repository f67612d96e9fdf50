/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/opencl/frame.h"
#include "engine/opencl/lower.h"
#include "engine/opencl/selftest.h"
#include "base/checked.h"

#include <stdio.h>
#include <string.h>

#define IO_ALIGN 256

static mbr_cl_frame *of(const mbr_device_frame *df)
{
    return (mbr_cl_frame *)(uintptr_t)df;
}

/* --- buffers --- */

static void drop_buffer(mbr_cl_device *d, mbr_cl_buffer *b)
{
    if (b->mem)
        d->cl->clReleaseMemObject(b->mem);
    *b = (mbr_cl_buffer){ .made = b->made + 1 };
}

mbr_status mbr_cl_buffer_need(mbr_cl_device *d, mbr_cl_buffer *b, size_t bytes, mbr_error *err)
{
    cl_int code;
    if (b->mem && bytes <= b->bytes)
        return MBR_OK;
    drop_buffer(d, b);
    if (bytes > d->max_alloc)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: %zu bytes in one piece are more than it gives", d->label, bytes);
    b->mem = d->cl->clCreateBuffer(d->context, CL_MEM_READ_WRITE, bytes ? bytes : 1, NULL, &code);
    if (!b->mem)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: no room for %zu bytes: %s", d->label, bytes,
                        mbr_cl_error_name(code));
    b->bytes = bytes;
    return MBR_OK;
}

/* The slab: the host's own where memory is shared. */
static mbr_status need_slab(mbr_cl_frame *cf, mbr_error *err)
{
    mbr_cl_device *d = cf->d;
    const mbr_slab *slab = mbr_frame_slab(cf->f);
    cl_int code;
    if (!d->unified || slab->bytes == 0)
        return mbr_cl_buffer_need(d, &cf->slab, slab->bytes, err);
    if (cf->slab.mem && cf->slab.host == slab->data && cf->slab.bytes == slab->bytes)
        return MBR_OK;
    drop_buffer(d, &cf->slab);
    if (slab->bytes <= d->max_alloc)
        cf->slab.mem = d->cl->clCreateBuffer(d->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, slab->bytes,
                                             slab->data, &code);
    if (!cf->slab.mem)
        return mbr_cl_buffer_need(d, &cf->slab, slab->bytes, err);
    cf->slab.bytes = slab->bytes;
    cf->slab.host = slab->data;
    return MBR_OK;
}

/* --- life --- */

static void close_frame(mbr_device_frame *df)
{
    mbr_cl_frame *cf = of(df);
    if (!cf)
        return;
    const mbr_cl *cl = cf->d->cl;
    (void)mbr_cl_run_wait(df, NULL);
    for (uint32_t k = 0; cf->steps && k < cf->p->n_steps; k++)
        mbr_cl_drop_launches(cf, &cf->steps[k]);
    drop_buffer(cf->d, &cf->slab);
    drop_buffer(cf->d, &cf->io);
    drop_buffer(cf->d, &cf->scratch);
    drop_buffer(cf->d, &cf->flag);
    for (uint32_t v = 0; cf->own && v < cf->p->n_values; v++)
        drop_buffer(cf->d, &cf->own[v]);
    if (cf->queue)
        cl->clReleaseCommandQueue(cf->queue);
    if (cf->copies)
        cl->clReleaseCommandQueue(cf->copies);
    mbr_arena_destroy(&cf->arena);
    mbr_free(cf->d->memory, cf);
}

/* Views show another value's bytes as they are; an operator that works in place has new bytes at an old place. */
static void find_canonical(mbr_cl_frame *cf)
{
    const mbr_program *p = cf->p;
    for (uint32_t v = 0; v < p->n_values; v++) {
        uint32_t c = v;
        while (p->values[c].place == MBR_PLACE_ALIAS && p->values[c].ir->producer &&
               (p->values[c].ir->producer->op->flags & MBR_OP_VIEW))
            c = p->values[c].root;
        cf->canon[v] = c;
    }
}

static mbr_status open_frame(mbr_device *device, mbr_frame *f, mbr_device_frame **out, mbr_error *err)
{
    mbr_cl_device *d = (mbr_cl_device *)device;
    const mbr_program *p = mbr_frame_program(f);
    cl_int code;
    *out = NULL;
    mbr_cl_frame *cf = mbr_calloc(d->memory, 1, sizeof *cf);
    if (!cf)
        return mbr_no_memory(err, sizeof *cf);
    *cf = (mbr_cl_frame){ .device = device, .d = d, .f = f, .p = p };
    mbr_arena_init(&cf->arena, d->memory, 32 * 1024);
    cf->places = mbr_arena_calloc(&cf->arena, p->n_values + 1, sizeof *cf->places);
    cf->own = mbr_arena_calloc(&cf->arena, p->n_values + 1, sizeof *cf->own);
    cf->canon = mbr_arena_calloc(&cf->arena, p->n_values + 1, sizeof *cf->canon);
    cf->where = mbr_arena_calloc(&cf->arena, p->n_values + 1, sizeof *cf->where);
    cf->rooms = mbr_arena_calloc(&cf->arena, p->n_values + 1, sizeof *cf->rooms);
    cf->moved = mbr_arena_calloc(&cf->arena, p->n_values + 1, sizeof *cf->moved);
    cf->wanted = mbr_arena_calloc(&cf->arena, p->n_values + 1, sizeof *cf->wanted);
    cf->maker = mbr_arena_calloc(&cf->arena, p->n_values + 1, sizeof *cf->maker);
    cf->arrives = mbr_arena_calloc(&cf->arena, p->n_values + 1, sizeof *cf->arrives);
    cf->transfers = mbr_arena_calloc(&cf->arena, 2 * (p->n_values + (size_t)1), sizeof *cf->transfers);
    cf->done = mbr_arena_calloc(&cf->arena, p->n_steps + 1, sizeof *cf->done);
    cf->flight = mbr_arena_calloc(&cf->arena, p->n_steps + 1, sizeof *cf->flight);
    cf->steps = mbr_arena_calloc(&cf->arena, p->n_steps + 1, sizeof *cf->steps);
    mbr_status st = cf->places && cf->own && cf->canon && cf->where && cf->rooms && cf->moved && cf->wanted &&
                            cf->maker && cf->arrives && cf->transfers && cf->done && cf->flight && cf->steps
                        ? MBR_OK : mbr_no_memory(err, p->n_values);
    if (st == MBR_OK) {
        cf->queue = d->cl->clCreateCommandQueue(d->context, d->id, 0, &code);
        if (cf->queue)
            cf->copies = d->cl->clCreateCommandQueue(d->context, d->id, 0, &code);
        if (!cf->copies)
            st = mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s gives no queue: %s", d->label, mbr_cl_error_name(code));
    }
    if (st != MBR_OK) {
        close_frame((mbr_device_frame *)cf);
        return st;
    }
    find_canonical(cf);
    *out = (mbr_device_frame *)cf;
    return MBR_OK;
}

/* --- places --- */

static mbr_status copy_constant(void *user, void *to, size_t bytes, mbr_error *err)
{
    (void)err;
    if (bytes)
        memcpy(to, ((const mbr_value *)user)->data, bytes);
    return MBR_OK;
}

static bool step_on_device(const mbr_program_step *ps)
{
    return ps->on_device && !ps->dynamic;
}

/* Constants that steps of the device read as they lie are uploaded when a lowering asks for them (lower.c). */
mbr_status mbr_cl_constant(mbr_cl_frame *cf, uint32_t v, mbr_cl_place *place, mbr_error *err)
{
    const mbr_value *data = mbr_frame_value(cf->f, v);
    *place = (mbr_cl_place){ 0 };
    return mbr_cl_keep(cf->d, cf->p->module, cf->p->values[v].ir->constant, 0, mbr_value_bytes(data), copy_constant,
                       (void *)(uintptr_t)data, &place->mem, err);
}

static bool is_io(const mbr_program_value *v)
{
    return v->place == MBR_PLACE_BOUND || v->place == MBR_PLACE_OUTPUT || v->place == MBR_PLACE_CONTENT;
}

/* Places in the buffer of inputs and outputs. */
static mbr_status lay_out_io(mbr_cl_frame *cf, size_t *total, mbr_error *err)
{
    for (uint32_t v = 0; v < cf->p->n_values; v++) {
        const mbr_value *value = mbr_frame_value(cf->f, v);
        if (!is_io(&cf->p->values[v]) || value->kind != MBR_KIND_TENSOR || value->dtype == MBR_DTYPE_STRING)
            continue;
        size_t bytes = mbr_value_bytes(value), *room = &cf->rooms[v];
        if (bytes > *room || *room == 0) {
            bool grows = *room > 0;
            if (!mbr_add_size(bytes, grows ? bytes / 4 : bytes ? 0 : 1, room) || !mbr_round_up(*room, IO_ALIGN, room))
                return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: sizes overflow", cf->d->label);
        }
        cf->places[v].at = *total;
        if (!mbr_add_size(*total, *room, total))
            return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: sizes overflow", cf->d->label);
    }
    return MBR_OK;
}

static mbr_status place_values(mbr_cl_frame *cf, mbr_error *err)
{
    const mbr_program *p = cf->p;
    const mbr_slab *slab = mbr_frame_slab(cf->f);
    size_t io = 0;
    MBR_TRY(need_slab(cf, err));
    MBR_TRY(lay_out_io(cf, &io, err));
    MBR_TRY(mbr_cl_buffer_need(cf->d, &cf->io, io, err));
    for (uint32_t v = 0; v < p->n_values; v++) {
        const mbr_value *value = mbr_frame_value(cf->f, v);
        if (value->kind != MBR_KIND_TENSOR || value->dtype == MBR_DTYPE_STRING)
            cf->places[v] = (mbr_cl_place){ 0 };
        else if (p->values[v].place == MBR_PLACE_SLAB)
            cf->places[v] = (mbr_cl_place){ cf->slab.mem, (size_t)((const char *)value->data - slab->data) };
        else if (is_io(&p->values[v]))
            cf->places[v].mem = cf->io.mem;
        else
            cf->places[v] = (mbr_cl_place){ 0 };
    }
    for (uint32_t v = 0; v < p->n_values; v++)
        if (p->values[v].place == MBR_PLACE_ALIAS)
            cf->places[v] = cf->places[mbr_program_root(p, v)];
    return MBR_OK;
}

/* A view of a constant, or the constant itself. */
const mbr_ir_value *mbr_cl_constant_of(const mbr_cl_frame *cf, uint32_t v)
{
    uint32_t r = mbr_program_root(cf->p, v);
    return cf->p->values[r].place == MBR_PLACE_CONST ? cf->p->values[r].ir : NULL;
}

static bool touches_moved(const mbr_cl_frame *cf, const mbr_program_step *ps)
{
    for (uint32_t i = 0; i < ps->n_in; i++)
        if (ps->in[i] != MBR_NO_VALUE && cf->moved[ps->in[i]])
            return true;
    for (uint32_t i = 0; i < ps->n_out; i++)
        if (ps->out[i] != MBR_NO_VALUE && cf->moved[ps->out[i]])
            return true;
    return false;
}

/* Lowers what the new sizes and places touch; afterwards, where scratch has grown into a new buffer, what uses it. */
static mbr_status lower_steps(mbr_cl_frame *cf, mbr_error *err)
{
    const mbr_program *p = cf->p;
    mbr_error why;
    for (uint32_t k = 0; k < p->n_steps; k++)
        if (step_on_device(&p->steps[k]) &&
            (!cf->lowered || mbr_frame_step_moved(cf->f, k) || touches_moved(cf, &p->steps[k])))
            MBR_TRY(mbr_cl_lower_step(cf, k, mbr_frame_step(cf->f, k), err));
    if (cf->scratch_needed <= cf->scratch.bytes)
        return MBR_OK;
    if (mbr_cl_buffer_need(cf->d, &cf->scratch, cf->scratch_needed, &why) != MBR_OK)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s", why.text);
    for (uint32_t k = 0; k < p->n_steps; k++)
        if (step_on_device(&p->steps[k]) && cf->steps[k].scratch)
            MBR_TRY(mbr_cl_lower_step(cf, k, mbr_frame_step(cf->f, k), err));
    return MBR_OK;
}

static mbr_status lay_out(mbr_device_frame *df, mbr_error *err)
{
    mbr_cl_frame *cf = of(df);
    const mbr_program *p = cf->p;
    mbr_error why;
    if (cf->lost)
        return MBR_OK;
    (void)mbr_cl_run_wait(df, NULL);
    mbr_cl_place *before = mbr_alloc(cf->d->memory, (p->n_values + 1) * sizeof *before);
    if (!before)
        return mbr_no_memory(err, p->n_values * sizeof *before);
    memcpy(before, cf->places, p->n_values * sizeof *before);
    unsigned made = cf->slab.made + cf->io.made;
    mbr_status st = place_values(cf, &why);
    for (uint32_t v = 0; v < p->n_values; v++)
        cf->moved[v] = before[v].mem != cf->places[v].mem || before[v].at != cf->places[v].at;
    mbr_free(cf->d->memory, before);
    cf->lowered = cf->lowered && made == cf->slab.made + cf->io.made;
    if (st == MBR_OK)
        st = lower_steps(cf, &why);
    cf->lowered = st == MBR_OK;
    if (st == MBR_ERR_NO_MEMORY)
        return mbr_fail(err, st, "%s", why.text);
    if (st != MBR_OK) {
        for (uint32_t k = 0; k < p->n_steps; k++)
            cf->steps[k].on = false;
        mbr_log_at(cf->d->log, MBR_LOG_WARNING, "%s; the CPU runs these sizes", why.text);
    }
    return MBR_OK;
}

/* --- late steps --- */

/* A value that has no place by the plan gets memory of its own. */
static bool place_own(mbr_cl_frame *cf, uint32_t v)
{
    const mbr_value *value = mbr_frame_value(cf->f, v);
    mbr_error why;
    if (v == MBR_NO_VALUE || cf->p->values[v].place == MBR_PLACE_NONE || mbr_cl_constant_of(cf, v))
        return true;
    if (value->kind != MBR_KIND_TENSOR || value->dtype == MBR_DTYPE_STRING)
        return false;
    if (cf->p->values[v].place != MBR_PLACE_OWN)
        return cf->places[v].mem != NULL;
    if (cf->canon[v] != v)
        return true; /* a view */
    if (mbr_cl_buffer_need(cf->d, &cf->own[v], mbr_value_bytes(value), &why) != MBR_OK)
        return false;
    cf->places[v] = (mbr_cl_place){ cf->own[v].mem, 0 };
    return true;
}

static bool late(mbr_device_frame *df, size_t k)
{
    mbr_cl_frame *cf = of(df);
    const mbr_program_step *ps = &cf->p->steps[k];
    mbr_step *s = mbr_frame_step(cf->f, k);
    mbr_cl_step *cs = &cf->steps[k];
    mbr_error why;
    cs->on = false;
    if (cf->lost)
        return false;
    for (uint32_t i = 0; i < ps->n_in; i++)
        if (!place_own(cf, ps->in[i]))
            return false;
    if (s->op->flags & MBR_OP_VIEW) {
        uint32_t in = ps->in[0], out = ps->out[0];
        if (mbr_cl_constant_of(cf, in) || cf->p->values[out].place != MBR_PLACE_OWN)
            return false;
        cf->canon[out] = cf->canon[in];
        cf->places[out] = cf->places[in];
        cs->n = 0;
        return cs->on = true;
    }
    for (uint32_t i = 0; i < ps->n_out; i++)
        if (!place_own(cf, ps->out[i]))
            return false;
    if (mbr_cl_lower_step(cf, k, s, &why) != MBR_OK || cf->scratch_needed > cf->scratch.bytes)
        cs->on = false;
    return cs->on;
}

static bool takes(const mbr_device *device, const mbr_ir_node *n)
{
    mbr_cl_device *d = (mbr_cl_device *)(uintptr_t)device;
    const char *family;
    const mbr_cl_op *op = mbr_cl_op_find(n, &family);
    return op && op->takes(n, d) && mbr_cl_family_works(d, family);
}

static const char *why(const mbr_device_frame *df, size_t step)
{
    const mbr_cl_step *cs = &of(df)->steps[step];
    return cs->on ? NULL : cs->why;
}

static void forget(mbr_device *device, const void *model)
{
    mbr_cl_forget((mbr_cl_device *)device, model);
}

static void free_device(mbr_device *device)
{
    mbr_cl_device_close((mbr_cl_device *)device);
}

const mbr_device_functions mbr_cl_frame_functions = { .takes = takes, .open = open_frame, .close = close_frame,
                                                      .lay_out = lay_out, .begin = mbr_cl_run_begin,
                                                      .has = mbr_cl_run_has, .run = mbr_cl_run_step,
                                                      .fetch = mbr_cl_run_fetch, .wrote = mbr_cl_run_wrote,
                                                      .wait = mbr_cl_run_wait, .finish = mbr_cl_run_finish,
                                                      .why = why, .late = late,
                                                      .forget = forget, .free = free_device };

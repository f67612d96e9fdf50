/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run of a frame's steps. Launches go to one queue in order, and nobody waits for them but who needs what they make:
 * the CPU goes on with its own steps meanwhile. Transfers go to a second queue, so that they overlap what computes;
 * events tie the two together.
 *
 * Who must wait for whom, beside those who read what was made:
 * - The plan gives the bytes of a value to others when its last reader has begun, in the order of the program. So a step
 *   of the CPU waits for transfers that still read host memory where it will write, and, where the slab is shared, for
 *   the last launch that touches those bytes. A launch waits for transfers that still read device memory where it will
 *   write.
 * - Inputs have places of their own; transfers of them wait for nothing. Other values go up in the order of launches.
 *
 * What the CPU wanted in the last run is brought in this one as soon as it is made. Where the CPU has had no step in the
 * last run, launches leave no events behind; whoever then has to wait for one waits for all.
 */
#include "engine/opencl/frame.h"
#include "engine/opencl/trace.h"
#include "engine/opencl/lower.h"

#include <string.h>

#define MOST_WAITS 32

static mbr_cl_frame *of(const mbr_device_frame *df)
{
    return (mbr_cl_frame *)(uintptr_t)df;
}

static mbr_status device_fail(mbr_cl_frame *cf, const char *what, cl_int code, mbr_error *err)
{
    cf->lost = true;
    return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: %s failed: %s", cf->d->label, what, mbr_cl_error_name(code));
}

static mbr_status check(mbr_cl_frame *cf, const char *what, cl_int code, mbr_error *err)
{
    return code == CL_SUCCESS ? MBR_OK : device_fail(cf, what, code, err);
}

void mbr_cl_run_begin(mbr_device_frame *df)
{
    mbr_cl_frame *cf = of(df);
    memset(cf->where, MBR_CL_ON_HOST, cf->p->n_values);
    cf->flagged = false;
    cf->mixed = cf->mixing;
    cf->mixing = false;
    mbr_cl_trace_begin(cf);
}

bool mbr_cl_run_has(const mbr_device_frame *df, size_t step)
{
    const mbr_cl_frame *cf = of(df);
    return !cf->lost && cf->steps[step].on;
}

/* --- waiting --- */

static void forget_flight(mbr_cl_frame *cf)
{
    const mbr_cl *cl = cf->d->cl;
    for (uint32_t i = 0; i < cf->n_flight; i++)
        if (cf->done[cf->flight[i]]) {
            cl->clReleaseEvent(cf->done[cf->flight[i]]);
            cf->done[cf->flight[i]] = NULL;
        }
    for (uint32_t i = 0; i < cf->n_transfers; i++) {
        cl->clReleaseEvent(cf->transfers[i].event);
        cf->arrives[cf->transfers[i].value] = NULL;
    }
    cf->n_flight = cf->reached = cf->n_transfers = 0;
}

static cl_int finish(const mbr_cl_frame *cf)
{
    cl_int code = cf->d->cl->clFinish(cf->queue), copied = cf->d->cl->clFinish(cf->copies);
    return code != CL_SUCCESS ? code : copied;
}

mbr_status mbr_cl_run_wait(mbr_device_frame *df, mbr_error *err)
{
    mbr_cl_frame *cf = of(df);
    if (!cf->busy)
        return MBR_OK;
    cf->busy = false;
    cl_int code = finish(cf);
    if (code != CL_SUCCESS) /* the memory that it may still write to is about to go: one more try */
        (void)finish(cf);
    mbr_cl_trace_take(cf, code == CL_SUCCESS);
    forget_flight(cf);
    return check(cf, "a run", code, err);
}

/* Step k, and with it all that were started before it. */
static mbr_status wait_step(mbr_cl_frame *cf, uint32_t k, mbr_error *err)
{
    const mbr_cl *cl = cf->d->cl;
    uint32_t at = cf->n_flight;
    while (at > cf->reached && cf->flight[at - 1] != k)
        at--;
    if (at == cf->reached)
        return MBR_OK; /* it has ended */
    cl_int code = cf->done[k] ? cl->clWaitForEvents(1, &cf->done[k]) : cl->clFinish(cf->queue);
    cf->reached = cf->done[k] ? at : cf->n_flight;
    return check(cf, "a run", code, err);
}

typedef struct range {
    const char *from, *to;
} range;

/* Bytes of a value in host memory. */
static range host_range(const mbr_cl_frame *cf, uint32_t v)
{
    const mbr_value *value = mbr_frame_value(cf->f, v);
    size_t bytes = value->kind == MBR_KIND_TENSOR && value->dtype != MBR_DTYPE_STRING ? mbr_value_bytes(value) : 0;
    return (range){ value->data, bytes ? (const char *)value->data + bytes : value->data };
}

static bool overlap(range a, range b)
{
    return a.from < b.to && b.from < a.to;
}

static bool writes_over(const mbr_cl_frame *cf, const mbr_program_step *ps, range bytes)
{
    for (uint32_t i = 0; i < ps->n_out; i++)
        if (ps->out[i] != MBR_NO_VALUE && overlap(host_range(cf, ps->out[i]), bytes))
            return true;
    return false;
}

static bool touches(const mbr_cl_frame *cf, const mbr_program_step *writer, uint32_t step)
{
    const mbr_program_step *ps = &cf->p->steps[step];
    for (uint32_t i = 0; i < ps->n_in + ps->n_out; i++) {
        uint32_t v = i < ps->n_in ? ps->in[i] : ps->out[i - ps->n_in];
        if (v != MBR_NO_VALUE && cf->places[v].mem == cf->slab.mem && writes_over(cf, writer, host_range(cf, v)))
            return true;
    }
    return false;
}

/* Where a step of the CPU will write, nothing is to be read or written any more. */
static mbr_status clear_outputs(mbr_cl_frame *cf, const mbr_program_step *ps, mbr_error *err)
{
    for (uint32_t i = cf->n_flight; cf->slab.host && i > cf->reached; i--)
        if (touches(cf, ps, cf->flight[i - 1])) {
            MBR_TRY(wait_step(cf, cf->flight[i - 1], err));
            break;
        }
    for (uint32_t i = 0; i < cf->n_transfers; i++) {
        mbr_cl_transfer *t = &cf->transfers[i];
        if (!t->ended && writes_over(cf, ps, host_range(cf, t->value))) {
            t->ended = true;
            MBR_TRY(check(cf, "a transfer", cf->d->cl->clWaitForEvents(1, &t->event), err));
        }
    }
    return MBR_OK;
}

/* --- transfers --- */

static bool is_shared(const mbr_cl_frame *cf, uint32_t v)
{
    return cf->slab.host && cf->places[v].mem == cf->slab.mem;
}

static void note_transfer(mbr_cl_frame *cf, uint32_t c, bool up, cl_event event, uint64_t begun)
{
    cf->arrives[c] = event;
    mbr_cl_trace_note(cf, event, cf->now, true, begun);
    cf->transfers[cf->n_transfers++] = (mbr_cl_transfer){ .value = c, .event = event, .up = up };
}

/* Shared memory is mapped for the time that the driver may want to move bytes between caches. */
static mbr_status map_around(mbr_cl_frame *cf, uint32_t v, bool up, mbr_error *err)
{
    cl_int code;
    cl_event event = NULL;
    size_t bytes = mbr_value_bytes(mbr_frame_value(cf->f, v));
    const mbr_cl *cl = cf->d->cl;
    uint64_t begun = mbr_cl_trace_now(cf);
    void *at = cl->clEnqueueMapBuffer(cf->copies, cf->slab.mem, CL_TRUE, up ? CL_MAP_WRITE : CL_MAP_READ,
                                      cf->places[v].at, bytes, 0, NULL, NULL, &code);
    if (at)
        code = cl->clEnqueueUnmapMemObject(cf->copies, cf->slab.mem, at, 0, NULL, &event);
    MBR_TRY(check(cf, "mapping", code, err));
    note_transfer(cf, cf->canon[v], up, event, begun);
    if (up)
        cl->clFlush(cf->copies);
    else
        cf->arrives[cf->canon[v]] = NULL; /* it is there */
    return MBR_OK;
}

/* Brings a value to the device or to the host, where it is not there yet, or on its way. */
static mbr_status bring(mbr_cl_frame *cf, uint32_t v, uint8_t to, mbr_error *err)
{
    uint32_t c = cf->canon[v];
    const mbr_value *value = mbr_frame_value(cf->f, v);
    const mbr_cl *cl = cf->d->cl;
    const mbr_cl_place *place = &cf->places[v];
    size_t bytes = mbr_value_bytes(value);
    bool up = to == MBR_CL_ON_DEVICE;
    cl_event event = NULL;
    cl_int code;
    if ((cf->where[c] & to) || (up && mbr_cl_constant_of(cf, v)))
        return MBR_OK;
    cf->where[c] |= to;
    cf->wanted[c] = cf->wanted[c] || !up;
    if (bytes == 0)
        return MBR_OK;
    cf->busy = true;
    if (is_shared(cf, v)) {
        if (!up)
            MBR_TRY(wait_step(cf, cf->maker[c], err));
        return map_around(cf, v, up, err);
    }
    uint64_t begun = mbr_cl_trace_now(cf);
    if (up) { /* where other values were, the launches' order tells when they are gone */
        mbr_place of_root = cf->p->values[mbr_program_root(cf->p, v)].place;
        bool alone = of_root == MBR_PLACE_BOUND || of_root == MBR_PLACE_CONTENT;
        cl_command_queue queue = alone ? cf->copies : cf->queue;
        code = cl->clEnqueueWriteBuffer(queue, place->mem, CL_FALSE, place->at, bytes, value->data, 0, NULL, &event);
        if (code == CL_SUCCESS && queue == cf->copies)
            code = cl->clFlush(queue); /* a launch will wait for it */
    } else {
        cl_event made = cf->done[cf->maker[c]];
        if (made)
            cl->clFlush(cf->queue);
        code = cl->clEnqueueReadBuffer(made ? cf->copies : cf->queue, place->mem, CL_FALSE, place->at, bytes, value->data,
                                       made != NULL, made ? &made : NULL, &event);
    }
    MBR_TRY(check(cf, up ? "a transfer to the device" : "a transfer from the device", code, err));
    note_transfer(cf, c, up, event, begun);
    return MBR_OK;
}

/* --- steps --- */

/* What the first launch of a step has to wait for beside those before it. */
static mbr_status list_waits(mbr_cl_frame *cf, const mbr_program_step *ps, cl_event *waits, cl_uint *n, mbr_error *err)
{
    *n = 0;
    for (uint32_t i = 0; i < cf->n_transfers; i++) {
        mbr_cl_transfer *t = &cf->transfers[i];
        bool waits_for = false;
        if (t->ended || t->ordered)
            continue;
        for (uint32_t k = 0; t->up && k < ps->n_in && !waits_for; k++)
            waits_for = ps->in[k] != MBR_NO_VALUE && cf->canon[ps->in[k]] == t->value;
        for (uint32_t k = 0; !t->up && k < ps->n_out && !waits_for; k++) {
            uint32_t v = ps->out[k];
            const mbr_cl_place *a = v == MBR_NO_VALUE ? NULL : &cf->places[v], *b = &cf->places[t->value];
            waits_for = a && a->mem == b->mem &&
                        a->at < b->at + mbr_value_bytes(mbr_frame_value(cf->f, t->value)) &&
                        b->at < a->at + mbr_value_bytes(mbr_frame_value(cf->f, v));
        }
        if (!waits_for)
            continue;
        t->ordered = true; /* all launches from now on come after it */
        if (*n < MOST_WAITS)
            waits[(*n)++] = t->event;
        else
            MBR_TRY(check(cf, "a transfer", cf->d->cl->clWaitForEvents(1, &t->event), err));
    }
    return MBR_OK;
}

static mbr_status lower_flag(mbr_cl_frame *cf, mbr_error *err)
{
    static const cl_int none = 0;
    cf->flagged = true;
    return check(cf, "a transfer to the device",
                 cf->d->cl->clEnqueueWriteBuffer(cf->queue, cf->flag.mem, CL_FALSE, 0, sizeof none, &none, 0, NULL, NULL),
                 err);
}

static mbr_status launch(mbr_cl_frame *cf, size_t k, bool leaves_event, mbr_error *err)
{
    const mbr_cl_step *cs = &cf->steps[k];
    cl_event waits[MOST_WAITS];
    cl_uint n = 0;
    if (cs->n)
        MBR_TRY(list_waits(cf, &cf->p->steps[k], waits, &n, err));
    for (unsigned i = 0; i < cs->n; i++) {
        const mbr_cl_launch *l = &cs->launches[i];
        bool last = i + 1 == cs->n && leaves_event;
        cl_event *event = cf->tracing ? &cf->traced : last ? &cf->done[k] : NULL;
        uint64_t begun = mbr_cl_trace_now(cf);
        cl_int code = cf->d->cl->clEnqueueNDRangeKernel(cf->queue, l->kernel, l->dims, NULL, l->global,
                                                        l->local, n, n ? waits : NULL, event);
        MBR_TRY(check(cf, l->name, code, err));
        n = 0;
        if (cf->tracing) {
            mbr_cl_trace_note(cf, cf->traced, (uint32_t)k, false, begun);
            if (last)
                cf->done[k] = cf->traced;
            else
                cf->d->cl->clReleaseEvent(cf->traced);
        }
    }
    cf->flight[cf->n_flight++] = (uint32_t)k;
    return MBR_OK;
}

mbr_status mbr_cl_run_step(mbr_device_frame *df, size_t k, mbr_error *err)
{
    mbr_cl_frame *cf = of(df);
    const mbr_program_step *ps = &cf->p->steps[k];
    const mbr_cl_step *cs = &cf->steps[k];
    bool wanted = false;
    cf->now = (uint32_t)k;
    for (uint32_t i = 0; i < ps->n_in; i++)
        if (ps->in[i] != MBR_NO_VALUE && cf->places[ps->in[i]].mem)
            MBR_TRY(bring(cf, ps->in[i], MBR_CL_ON_DEVICE, err));
    for (uint32_t i = 0; i < ps->n_out; i++)
        wanted = wanted || (ps->out[i] != MBR_NO_VALUE && cf->wanted[cf->canon[ps->out[i]]]);
    cf->busy = true;
    if (cs->flags && !cf->flagged)
        MBR_TRY(lower_flag(cf, err));
    MBR_TRY(launch(cf, k, cf->mixed || wanted, err));
    for (uint32_t i = 0; i < ps->n_out; i++) {
        uint32_t v = ps->out[i];
        if (v == MBR_NO_VALUE || cf->canon[v] != v)
            continue;
        cf->where[v] = MBR_CL_ON_DEVICE;
        cf->maker[v] = (uint32_t)k;
        if (cf->wanted[v] && cf->done[k] && !is_shared(cf, v))
            MBR_TRY(bring(cf, v, MBR_CL_ON_HOST, err));
    }
    return MBR_OK;
}

/* May sizes follow from it? */
static bool tells_sizes(const mbr_step *s, uint32_t i)
{
    return i < 32 && (s->op->content_inputs >> i & 1 || (s->in[i] && mbr_value_bytes(s->in[i]) <= 4096));
}

/* Brings a value to the host, and waits until it is there. */
static mbr_status await(mbr_cl_frame *cf, uint32_t v, mbr_error *err)
{
    uint32_t c = cf->canon[v];
    MBR_TRY(bring(cf, v, MBR_CL_ON_HOST, err));
    cl_event event = cf->arrives[c];
    cf->arrives[c] = NULL;
    for (uint32_t i = 0; event && i < cf->n_transfers; i++)
        if (cf->transfers[i].event == event) {
            if (cf->transfers[i].up)
                return MBR_OK; /* the host has it anyway */
            cf->transfers[i].ended = true;
        }
    return event ? check(cf, "a transfer from the device", cf->d->cl->clWaitForEvents(1, &event), err) : MBR_OK;
}

mbr_status mbr_cl_run_fetch(mbr_device_frame *df, const mbr_step *s, bool all, mbr_error *err)
{
    mbr_cl_frame *cf = of(df);
    const mbr_program_step *ps = &cf->p->steps[mbr_step_index(s)];
    if (cf->lost)
        return MBR_OK;
    cf->now = (uint32_t)mbr_step_index(s);
    for (uint32_t i = 0; i < ps->n_in; i++)
        if (ps->in[i] != MBR_NO_VALUE && (all || tells_sizes(s, i)))
            MBR_TRY(await(cf, ps->in[i], err));
    if (!all)
        return MBR_OK;
    cf->mixing = true;
    if (cf->n_flight > cf->reached)
        MBR_TRY(check(cf, "a run", cf->d->cl->clFlush(cf->queue), err)); /* it is to work while the CPU does */
    return clear_outputs(cf, ps, err);
}

void mbr_cl_run_wrote(mbr_device_frame *df, const mbr_step *s)
{
    mbr_cl_frame *cf = of(df);
    const mbr_program_step *ps = &cf->p->steps[mbr_step_index(s)];
    for (uint32_t i = 0; i < ps->n_out; i++)
        if (ps->out[i] != MBR_NO_VALUE && cf->canon[ps->out[i]] == ps->out[i])
            cf->where[ps->out[i]] = MBR_CL_ON_HOST;
}

/* Did a kernel meet an error? */
static mbr_status read_flag(mbr_cl_frame *cf, mbr_error *err)
{
    cl_int met = 0;
    if (!cf->flagged)
        return MBR_OK;
    cl_int code = cf->d->cl->clEnqueueReadBuffer(cf->queue, cf->flag.mem, CL_TRUE, 0, sizeof met, &met, 0, NULL, NULL);
    MBR_TRY(check(cf, "a transfer from the device", code, err));
    return met ? mbr_fail(err, MBR_ERR_RUN, "%s met an index out of range or a zero divisor", cf->d->label) : MBR_OK;
}

mbr_status mbr_cl_run_finish(mbr_device_frame *df, mbr_error *err)
{
    mbr_cl_frame *cf = of(df);
    const mbr_ir_graph *g = cf->p->graph;
    MBR_TRY(read_flag(cf, err));
    for (size_t i = 0; i < g->n_outputs && !cf->lost; i++)
        MBR_TRY(bring(cf, g->outputs[i]->id, MBR_CL_ON_HOST, err));
    return mbr_cl_run_wait(df, err);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/opencl/trace.h"
#include "engine/spans.h"

/* Device frames are of main graphs, whose steps are the first entries of a profile. */
struct mbr_cl_note {
    cl_event event; /* with a reference of its own */
    uint32_t step;
    bool transfer;
    uint64_t begun;
};

static void replace_queue(mbr_cl_frame *cf, cl_command_queue *queue, bool times)
{
    cl_int code;
    cl_command_queue fresh = cf->d->cl->clCreateCommandQueue(cf->d->context, cf->d->id,
                                                             times ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    if (!fresh)
        return; /* the old one does */
    cf->d->cl->clReleaseCommandQueue(*queue);
    *queue = fresh;
    cf->tracing = times;
}

void mbr_cl_trace_begin(mbr_cl_frame *cf)
{
    const mbr_spans *spans = mbr_frame_spans(cf->f);
    if (!spans == !cf->tracing)
        return;
    cf->tracing = false;
    if (spans && !cf->notes) {
        cf->most_notes = 4 * (size_t)cf->p->n_steps + cf->p->n_values;
        cf->notes = mbr_arena_calloc(&cf->arena, cf->most_notes, sizeof *cf->notes);
    }
    if (spans && !cf->notes)
        return; /* no room: the run goes on without */
    replace_queue(cf, &cf->copies, spans != NULL);
    replace_queue(cf, &cf->queue, spans != NULL);
}

uint64_t mbr_cl_trace_now(const mbr_cl_frame *cf)
{
    return cf->tracing ? mbr_spans_now() : 0;
}

void mbr_cl_trace_note(mbr_cl_frame *cf, cl_event event, uint32_t step, bool transfer, uint64_t begun)
{
    if (!cf->tracing || cf->n_notes == cf->most_notes || cf->d->cl->clRetainEvent(event) != CL_SUCCESS)
        return;
    cf->notes[cf->n_notes++] = (mbr_cl_note){ .event = event, .step = step, .transfer = transfer, .begun = begun };
}

static bool read_time(const mbr_cl_frame *cf, cl_event event, cl_profiling_info what, cl_ulong *t)
{
    return cf->d->cl->clGetEventProfilingInfo(event, what, sizeof *t, t, NULL) == CL_SUCCESS;
}

/* The device's clock is another one: the command was given to the queue at one moment of both. */
static void add_span(mbr_cl_frame *cf, mbr_spans *spans, const mbr_cl_note *n)
{
    cl_ulong given, begin, end;
    if (!read_time(cf, n->event, CL_PROFILING_COMMAND_QUEUED, &given) ||
        !read_time(cf, n->event, CL_PROFILING_COMMAND_START, &begin) ||
        !read_time(cf, n->event, CL_PROFILING_COMMAND_END, &end) || begin < given || end < begin)
        return;
    const mbr_span span = { .entry = n->step, .begin = n->begun + (begin - given), .end = n->begun + (end - given),
                            .tiles = 1 };
    mbr_spans_put(spans, n->transfer ? MBR_SPANS_TRANSFERS : MBR_SPANS_DEVICE, span);
}

void mbr_cl_trace_take(mbr_cl_frame *cf, bool well)
{
    mbr_spans *spans = mbr_frame_spans(cf->f);
    for (size_t i = 0; i < cf->n_notes; i++) {
        if (well && spans)
            add_span(cf, spans, &cf->notes[i]);
        cf->d->cl->clReleaseEvent(cf->notes[i].event);
    }
    cf->n_notes = 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "engine/profile.h"
#include "base/checked.h"
#include "engine/schedule/work.h"

#include <string.h>
#include <time.h>

#define MOST_NESTED 64

uint64_t mbr_spans_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The entries of one program: its steps lie one after the other. */
typedef struct part {
    const mbr_program *program;
    size_t first;
} part;

struct mbr_profile {
    mbr_frame *frame;
    mbr_memory *memory;
    mbr_arena arena;              /* all arrays but the spans */
    part *parts;
    size_t n_parts;
    mbr_profile_entry *entries;
    size_t n;
    mbr_profile_origin *origins;
    size_t n_origins;
    size_t *with;                 /* (n) entry whose origins an entry counts with */
    mbr_profile_cost *sums;       /* (n) for mbr_profile_origins */
    double since;                 /* when the time began that is not yet in an entry */
    size_t stack[MOST_NESTED];    /* entries of the steps that run now, outermost first */
    double own_ns[MOST_NESTED];   /* of their present call */
    uint64_t begun[MOST_NESTED];  /* while spans are recorded */
    int depth;
    mbr_spans spans;              /* rows 0: not recording */
};

static double now_ns(void)
{
    return (double)mbr_spans_now();
}

static void count_steps(const mbr_program *p, size_t *parts, size_t *steps)
{
    ++*parts;
    *steps += p->n_steps;
    for (uint32_t k = 0; k < p->n_steps; k++)
        for (uint32_t b = 0; b < p->steps[k].n_bodies; b++)
            count_steps(p->steps[k].bodies[b].program, parts, steps);
}

static void add_steps(mbr_profile *f, const mbr_program *p)
{
    size_t first = f->n;
    f->parts[f->n_parts++] = (part){ p, first };
    f->n += p->n_steps;
    for (uint32_t k = 0; k < p->n_steps; k++) {
        f->entries[first + k] = (mbr_profile_entry){ .node = p->steps[k].node, .rank = -1,
                                                     .in_place = p->steps[k].in_place };
        for (uint32_t b = 0; b < p->steps[k].n_bodies; b++)
            add_steps(f, p->steps[k].bodies[b].program);
    }
}

static void add_cost(mbr_profile_cost *to, const mbr_profile_cost *c, double share)
{
    to->ns += c->ns * share;
    to->flop += c->flop * share;
    to->bytes += c->bytes * share;
    to->weight_bytes += c->weight_bytes * share;
}

static void begin_step(mbr_profile *f, const mbr_step *s)
{
    const mbr_program *p = mbr_frame_program(s->frame);
    size_t i = 0;
    while (i < f->n_parts && f->parts[i].program != p)
        i++;
    if (i < f->n_parts && f->depth < MOST_NESTED) {
        f->stack[f->depth] = f->parts[i].first + mbr_step_index(s);
        f->own_ns[f->depth] = 0;
        f->spans.entry = (uint32_t)f->stack[f->depth];
        f->begun[f->depth] = f->spans.rows ? mbr_spans_now() : 0;
    }
    f->depth++;
}

static void end_step(mbr_profile *f, const mbr_step *s)
{
    f->depth--;
    if (f->depth >= MOST_NESTED)
        return;
    mbr_profile_entry *e = &f->entries[f->stack[f->depth]];
    const mbr_value *out = s->n_out > 0 ? s->out[0] : NULL;
    mbr_work w;
    mbr_work_of(s, &w);
    mbr_profile_cost c = { .flop = w.flop, .bytes = w.bytes, .weight_bytes = w.weight_bytes };
    double own = f->own_ns[f->depth];
    e->cost.ns += own;
    e->least_ns = e->calls && e->least_ns < own ? e->least_ns : own;
    e->calls++;
    e->kernel = s->kernel;
    e->where = mbr_frame_where(s->frame, mbr_step_index(s));
    add_cost(&e->cost, &c, 1);
    e->rank = out && out->kind == MBR_KIND_TENSOR ? out->rank : -1;
    for (int d = 0; d < e->rank; d++)
        e->dims[d] = out->dims[d];
    if (f->spans.rows)
        mbr_spans_add(&f->spans, f->spans.rows - 1, (uint32_t)f->stack[f->depth], 0, f->begun[f->depth], 1);
    if (f->depth)
        f->spans.entry = (uint32_t)f->stack[f->depth - 1];
}

static void on_step(void *user, const mbr_step *s, bool begin)
{
    mbr_profile *f = user;
    double t = now_ns();
    if (f->depth > 0 && f->depth <= MOST_NESTED)
        f->own_ns[f->depth - 1] += t - f->since;
    if (begin)
        begin_step(f, s);
    else
        end_step(f, s);
    f->since = now_ns();
}

mbr_status mbr_profile_new(mbr_frame *frame, mbr_profile **out, mbr_error *err)
{
    const mbr_program *p = mbr_frame_program(frame);
    mbr_memory *memory = mbr_frame_memory(frame);
    size_t parts = 0, steps = 0;
    *out = NULL;
    count_steps(p, &parts, &steps);
    mbr_profile *f = mbr_calloc(memory, 1, sizeof *f);
    if (!f)
        return mbr_no_memory(err, sizeof *f);
    f->frame = frame;
    f->memory = memory;
    mbr_arena_init(&f->arena, memory, 16 * 1024);
    f->parts = mbr_arena_calloc(&f->arena, parts, sizeof *f->parts);
    f->entries = mbr_arena_calloc(&f->arena, steps + 1, sizeof *f->entries);
    f->with = mbr_arena_calloc(&f->arena, steps + 1, sizeof *f->with);
    f->sums = mbr_arena_calloc(&f->arena, steps + 1, sizeof *f->sums);
    f->origins = mbr_arena_calloc(&f->arena, mbr_origins_count(p->module, steps) + 1, sizeof *f->origins);
    mbr_status st = MBR_OK;
    if (!f->parts || !f->entries || !f->with || !f->sums || !f->origins)
        st = mbr_no_memory(err, steps * sizeof *f->entries);
    MBR_TRY_GOTO(st, error);
    add_steps(f, p);
    MBR_TRY_GOTO(mbr_origins_find(&f->arena, p->module, f->entries, f->n, f->origins, &f->n_origins, f->with, err),
                 error);
    mbr_frame_set_hook(frame, on_step, f);
    *out = f;
    return MBR_OK;
error:
    mbr_profile_free(f);
    return st;
}

void mbr_profile_free(mbr_profile *p)
{
    if (!p)
        return;
    mbr_frame_set_hook(p->frame, NULL, NULL);
    mbr_profile_record(p, 0, NULL);
    mbr_arena_destroy(&p->arena);
    mbr_free(p->memory, p);
}

void mbr_profile_reset(mbr_profile *p)
{
    p->depth = 0;
    for (size_t i = 0; i < p->n; i++) {
        p->entries[i].calls = 0;
        p->entries[i].cost = (mbr_profile_cost){ 0 };
    }
}

size_t mbr_profile_count(const mbr_profile *p)
{
    return p->n;
}

const mbr_profile_entry *mbr_profile_at(const mbr_profile *p, size_t i)
{
    return &p->entries[i];
}

size_t mbr_profile_origin_count(const mbr_profile *p)
{
    return p->n_origins;
}

size_t mbr_profile_origins(mbr_profile *p)
{
    memset(p->sums, 0, p->n * sizeof *p->sums);
    for (size_t i = 0; i < p->n; i++)
        add_cost(&p->sums[p->with[i]], &p->entries[i].cost, 1);
    for (size_t i = 0; i < p->n_origins; i++) {
        mbr_profile_origin *o = &p->origins[i];
        o->cost = (mbr_profile_cost){ 0 };
        if (o->entry != MBR_NO_ENTRY)
            add_cost(&o->cost, &p->sums[o->entry], o->part);
    }
    return p->n_origins;
}

const mbr_profile_origin *mbr_profile_origin_at(const mbr_profile *p, size_t i)
{
    return &p->origins[i];
}

mbr_status mbr_profile_record(mbr_profile *p, size_t room, mbr_error *err)
{
    mbr_spans *s = &p->spans;
    mbr_frame_record(p->frame, NULL);
    mbr_free(p->memory, s->n);
    mbr_free(p->memory, s->spans);
    *s = (mbr_spans){ 0 };
    if (!room)
        return MBR_OK;
    int rows = mbr_frame_workers(p->frame) + MBR_SPANS_DEVICE;
    size_t bytes;
    if (!mbr_mul_size((size_t)rows, room, &bytes) || !mbr_mul_size(bytes, sizeof *s->spans, &bytes))
        return mbr_no_memory(err, SIZE_MAX);
    s->n = mbr_calloc(p->memory, (size_t)rows, sizeof *s->n);
    s->spans = mbr_alloc(p->memory, bytes);
    if (!s->n || !s->spans) {
        mbr_profile_record(p, 0, NULL);
        return mbr_no_memory(err, bytes);
    }
    s->room = room;
    s->rows = rows;
    mbr_frame_record(p->frame, s);
    return MBR_OK;
}

const mbr_spans *mbr_profile_spans(const mbr_profile *p)
{
    return p->spans.rows ? &p->spans : NULL;
}

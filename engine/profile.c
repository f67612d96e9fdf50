/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "engine/profile.h"
#include "base/checked.h"

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

static double elements(const mbr_value *v)
{
    return v && v->kind == MBR_KIND_TENSOR && v->rank >= 0 ? (double)mbr_value_count(v) : 0;
}

static double bytes_of(const mbr_value *v)
{
    return v && v->kind == MBR_KIND_TENSOR && v->rank >= 0 && v->dtype != MBR_DTYPE_STRING
               ? (double)mbr_value_bytes(v) : 0;
}

static int64_t from_last(const mbr_value *v, int d)
{
    return v && v->rank >= d ? v->dims[v->rank - d] : 0;
}

/* Multiplications and additions of products, convolutions, attention and recurrent layers; one operation an element of
   the output for the rest. */
static double work_of(const mbr_step *s)
{
    const char *name = s->op->name;
    const mbr_value *a = s->n_in > 0 ? s->in[0] : NULL, *out = s->n_out > 0 ? s->out[0] : NULL;
    double n = elements(out);
    bool quantised = strncmp(name, "QLinear", 7) == 0 || strcmp(name, "QGemm") == 0;
    const mbr_value *b = s->n_in > (quantised ? 3u : 1u) ? s->in[quantised ? 3 : 1] : NULL;
    const mbr_value *c = s->n_in > 2 ? s->in[2] : NULL;
    if (!b || b->rank < 1 || !a || a->rank < 1)
        return n;
    if (strcmp(name, "LSTM") == 0 || strcmp(name, "GRU") == 0 || strcmp(name, "RNN") == 0)
        return 2 * (elements(a) / (double)(from_last(a, 1) ? from_last(a, 1) : 1)) * (elements(b) + elements(c));
    if (n == 0)
        return n;
    if (strstr(name, "ConvTranspose"))
        return b->dims[0] ? 2 * elements(a) * elements(b) / (double)b->dims[0] : n;
    if (strstr(name, "Conv"))
        return b->dims[0] ? 2 * n * elements(b) / (double)b->dims[0] : n;
    if (strstr(name, "MatMulNBits"))
        return 2 * n * (double)a->dims[a->rank - 1];
    if (strstr(name, "MatMul") || strstr(name, "Gemm")) {
        bool trans = mbr_attr_int(s->node, "transA", 0) != 0;
        return 2 * n * (double)from_last(a, trans && a->rank > 1 ? 2 : 1);
    }
    if (strstr(name, "Attention"))
        return 4 * n * (double)from_last(b, 2);
    return n;
}

static mbr_profile_cost cost_of(const mbr_step *s)
{
    mbr_profile_cost c = { .flop = work_of(s) };
    bool picks = strncmp(s->op->name, "Gather", 6) == 0 || strcmp(s->op->name, "Slice") == 0;
    double made = s->n_out ? bytes_of(s->out[0]) : 0;
    for (uint32_t i = 0; i < s->n_in; i++) {
        double bytes = bytes_of(s->in[i]);
        if (picks && i == 0 && bytes > made) /* reads what it takes */
            bytes = made;
        const mbr_ir_value *v = i < s->node->n_inputs ? s->node->inputs[i] : NULL;
        c.bytes += bytes;
        c.weight_bytes += v && v->constant && !v->has_default ? bytes : 0;
    }
    for (uint32_t i = 0; i < s->n_out; i++)
        c.bytes += bytes_of(s->out[i]);
    return c;
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
    mbr_profile_cost c = cost_of(s);
    e->calls++;
    e->kernel = s->kernel;
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
        f->entries[f->stack[f->depth - 1]].cost.ns += t - f->since;
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
    int rows = mbr_frame_workers(p->frame) + 1;
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

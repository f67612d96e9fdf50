/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "engine/profile.h"

#include <string.h>
#include <time.h>

#define MOST_NESTED 64

/* The entries of one program: its steps lie one after the other. */
typedef struct part {
    const mbr_program *program;
    size_t first;
} part;

struct mbr_profile {
    mbr_frame *frame;
    mbr_memory *memory;
    part *parts;
    size_t n_parts;
    mbr_profile_entry *entries;
    size_t n;
    double since;                 /* when the time began that is not yet in an entry */
    size_t stack[MOST_NESTED];    /* entries of the steps that run now, outermost first */
    int depth;
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
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
        f->entries[first + k] = (mbr_profile_entry){ .node = p->steps[k].node, .rank = -1 };
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

/* Multiplications and additions of products and convolutions; one operation an element of the output for the rest. */
static double work_of(const mbr_step *s)
{
    const char *name = s->op->name;
    const mbr_value *a = s->n_in > 0 ? s->in[0] : NULL, *out = s->n_out > 0 ? s->out[0] : NULL;
    double n = elements(out);
    bool quantised = strncmp(name, "QLinear", 7) == 0 || strcmp(name, "QGemm") == 0;
    const mbr_value *b = s->n_in > (quantised ? 3u : 1u) ? s->in[quantised ? 3 : 1] : NULL;
    if (!b || b->rank < 1 || !a || a->rank < 1 || n == 0)
        return n;
    if (strstr(name, "ConvTranspose"))
        return b->dims[0] ? 2 * elements(a) * elements(b) / (double)b->dims[0] : n;
    if (strstr(name, "Conv"))
        return b->dims[0] ? 2 * n * elements(b) / (double)b->dims[0] : n;
    if (strstr(name, "MatMulNBits"))
        return 2 * n * (double)a->dims[a->rank - 1];
    if (strstr(name, "MatMul") || strstr(name, "Gemm")) {
        int64_t rows = 0;
        bool trans = mbr_attr_int(s->node, "transA", 0) != 0 && a->rank == 2;
        rows = trans ? a->dims[0] : a->dims[a->rank - 1];
        return 2 * n * (double)rows;
    }
    return n;
}

static void on_step(void *user, const mbr_step *s, bool begin)
{
    mbr_profile *f = user;
    double t = now_ns();
    if (f->depth > 0 && f->depth <= MOST_NESTED)
        f->entries[f->stack[f->depth - 1]].ns += t - f->since;
    if (begin) {
        const mbr_program *p = mbr_frame_program(s->frame);
        size_t i = 0;
        while (i < f->n_parts && f->parts[i].program != p)
            i++;
        if (i < f->n_parts && f->depth < MOST_NESTED)
            f->stack[f->depth] = f->parts[i].first + mbr_step_index(s);
        f->depth++;
        f->since = now_ns();
        return;
    }
    f->depth--;
    if (f->depth < MOST_NESTED) {
        mbr_profile_entry *e = &f->entries[f->stack[f->depth]];
        const mbr_value *out = s->n_out > 0 ? s->out[0] : NULL;
        e->calls++;
        e->kernel = s->kernel;
        e->flop += work_of(s);
        for (uint32_t i = 0; i < s->n_in; i++)
            e->bytes += bytes_of(s->in[i]);
        for (uint32_t i = 0; i < s->n_out; i++)
            e->bytes += bytes_of(s->out[i]);
        e->rank = out && out->kind == MBR_KIND_TENSOR ? out->rank : -1;
        for (int d = 0; d < e->rank; d++)
            e->dims[d] = out->dims[d];
    }
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
    f->parts = mbr_calloc(memory, parts, sizeof *f->parts);
    f->entries = mbr_calloc(memory, steps + 1, sizeof *f->entries);
    if (!f->parts || !f->entries) {
        mbr_free(memory, f->parts);
        mbr_free(memory, f->entries);
        mbr_free(memory, f);
        return mbr_no_memory(err, steps * sizeof *f->entries);
    }
    add_steps(f, p);
    mbr_frame_set_hook(frame, on_step, f);
    *out = f;
    return MBR_OK;
}

void mbr_profile_free(mbr_profile *p)
{
    if (!p)
        return;
    mbr_frame_set_hook(p->frame, NULL, NULL);
    mbr_free(p->memory, p->parts);
    mbr_free(p->memory, p->entries);
    mbr_free(p->memory, p);
}

void mbr_profile_reset(mbr_profile *p)
{
    p->depth = 0;
    for (size_t i = 0; i < p->n; i++) {
        mbr_profile_entry *e = &p->entries[i];
        e->calls = 0;
        e->ns = e->flop = e->bytes = 0;
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

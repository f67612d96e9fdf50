/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/deadline/clock.h"

#include "base/checked.h"

#include <string.h>
#include <time.h>

#define LEAST_KNOWN 20 /* calls of a size before anything is concluded */
#define UPDATE_EVERY 16

uint64_t mbr_clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

mbr_clock *mbr_clock_new(mbr_memory *memory, const mbr_latency *latency)
{
    mbr_clock *c = mbr_calloc(memory, 1, sizeof *c);
    if (!c)
        return NULL;
    c->latency = *latency;
    for (int i = 0; i < MBR_STAGE_COUNT; i++)
        mbr_hdr_init(&c->stage[i], memory);
    return c;
}

void mbr_clock_free(mbr_clock *c, mbr_memory *memory)
{
    for (int i = 0; c && i < MBR_STAGE_COUNT; i++)
        mbr_hdr_destroy(&c->stage[i]);
    mbr_free(memory, c);
}

void mbr_clock_merge(mbr_clock *c, const mbr_clock *from)
{
    for (int i = 0; i < MBR_STAGE_COUNT; i++) {
        mbr_hdr_merge(&c->stage[i], &from->stage[i]);
        c->misses[i] += from->misses[i];
    }
    c->calls += from->calls;
    c->rows += from->rows;
    c->refused += from->refused;
    c->cut += from->cut;
    c->over += from->over;
}

uint64_t mbr_latency_budget(const mbr_latency *l, int rows)
{
    uint64_t all = l->per_row * (uint64_t)rows;
    return all > l->budget ? all : l->budget;
}

/* ---- recent calls ---- */

static int class_of(int rows)
{
    int class = rows > 1 ? 32 - __builtin_clz((unsigned)rows - 1) : 0;
    return class < MBR_CLOCK_CLASSES ? class : MBR_CLOCK_CLASSES - 1;
}

/* The k-th largest of n values, k from 1 and small. */
static uint64_t kth_largest(const uint32_t *x, uint32_t n, uint32_t k)
{
    uint32_t top[MBR_CLOCK_RECENT], held = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = held < k ? held++ : k;
        if (at == k && x[i] <= top[--at])
            continue;
        for (; at > 0 && top[at - 1] < x[i]; at--)
            top[at] = top[at - 1];
        top[at] = x[i];
    }
    return top[k - 1];
}

static void remember(mbr_clock *c, uint64_t call, uint64_t rest)
{
    mbr_recent *r = &c->recent[class_of(c->row_count)];
    if (c->probe && !c->late) /* times have changed: what was known is void */
        *r = (mbr_recent){ 0 };
    r->call[r->next] = call < UINT32_MAX ? (uint32_t)call : UINT32_MAX;
    r->rest[r->next] = rest < UINT32_MAX ? (uint32_t)rest : UINT32_MAX;
    r->next = (r->next + 1) % MBR_CLOCK_RECENT;
    r->taken++;
    if (r->taken < LEAST_KNOWN || (r->taken % UPDATE_EVERY && r->taken != LEAST_KNOWN))
        return;
    uint32_t n = r->taken < MBR_CLOCK_RECENT ? r->taken : MBR_CLOCK_RECENT;
    uint32_t above = (uint32_t)((1.0 - c->latency.quantile) * n) + 1;
    r->likely_call = kth_largest(r->call, n, above);
    r->likely_rest = kth_largest(r->rest, n, above);
    r->taken = r->taken > UINT32_MAX / 2 ? MBR_CLOCK_RECENT : r->taken;
}

/* ---- calls ---- */

void mbr_clock_begin(mbr_clock *c, bool single)
{
    c->begin = c->last = mbr_clock_now();
    c->waited = c->model_begin = c->deadline = c->budget = 0;
    c->late = c->probe = false;
    c->row_count = 0;
    c->timed = !single || c->turn++ % MBR_CLOCK_EVERY == 0;
    if (c->timed)
        memset(c->took, 0, sizeof c->took);
}

void mbr_clock_wait(mbr_clock *c, uint64_t ns)
{
    c->waited += ns;
    c->last += ns;
}

/* Whether what is likely to be needed is more than there is; but now and then it is tried all the same, lest a clock
   that refuses everything never learns that times have changed. */
static bool hopeless(mbr_clock *c, uint64_t now, uint64_t likely)
{
    if (!c->deadline || c->latency.measure_only)
        return false;
    if (now >= c->deadline)
        return true;
    if (now + likely <= c->deadline || c->probe)
        return false;
    if (++c->since_refusal < MBR_CLOCK_PROBE)
        return true;
    c->since_refusal = 0;
    c->probe = true;
    return false;
}

bool mbr_clock_admit(mbr_clock *c, int rows)
{
    mbr_clock_lap(c, MBR_STAGE_READ);
    c->row_count = rows;
    c->budget = c->own_budget ? c->own_budget : mbr_latency_budget(&c->latency, rows);
    if (!c->budget)
        return true;
    c->deadline = c->begin + c->waited + c->budget;
    /* A single row is parsed in no time: that the clock was asked when it began will do. */
    if (!hopeless(c, c->last, c->recent[class_of(rows)].likely_call))
        return true;
    c->late = true;
    c->refused++;
    return false;
}

bool mbr_clock_admit_model(mbr_clock *c)
{
    uint64_t limit = c->latency.stages[MBR_STAGE_MODEL];
    if (c->timed)
        mbr_clock_lap(c, MBR_STAGE_FEATURES);
    if (!c->deadline && !limit)
        return true;
    uint64_t now = c->timed ? c->last : mbr_clock_now(), likely = c->recent[class_of(c->row_count)].likely_rest;
    c->model_begin = now;
    if (limit && (!c->deadline || now + limit < c->deadline))
        c->deadline = now + limit;
    if (!hopeless(c, now, likely))
        return true;
    mbr_clock_cut(c);
    return false;
}

void mbr_clock_cut(mbr_clock *c)
{
    c->late = true;
    c->cut++;
}

static void take(mbr_clock *c, mbr_stage stage, uint64_t ns)
{
    mbr_hdr_add(&c->stage[stage], ns);
    c->misses[stage] += c->latency.stages[stage] && ns > c->latency.stages[stage];
}

void mbr_clock_end(mbr_clock *c)
{
    uint64_t now = mbr_clock_now();
    uint64_t call = now - c->begin - c->waited;
    c->calls++;
    c->rows += (uint64_t)c->row_count;
    mbr_hdr_add(&c->stage[MBR_STAGE_CALL], call);
    if (c->budget && call > c->budget) {
        c->misses[MBR_STAGE_CALL]++;
        c->over += !c->late;
    }
    if (c->model_begin)
        remember(c, call, now - c->model_begin);
    if (!c->timed || (c->late && !c->model_begin))
        return;
    for (int i = MBR_STAGE_READ; i < MBR_STAGE_CALL; i++) {
        uint64_t took = c->took[i];
        if (took || i != MBR_STAGE_MODEL || !c->late) /* a model that was not begun took nothing */
            take(c, (mbr_stage)i, took);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/schedule/place.h"

#include <string.h>

#define FAR_FACTOR 1.6     /* a transfer to a device of another NUMA node takes so much longer */
#define WORTH 0.98         /* a stretch moves beside others where the run then takes at most this share */
#define MOST_TRIES 600     /* of whole runs */
#define MEMORY_TRIES 12

static double up_ns(const mbr_place_problem *p, int d, double bytes)
{
    const mbr_plan_device *v = &p->devices[d - 1];
    double far = p->node >= 0 && v->node >= 0 && v->node != p->node ? FAR_FACTOR : 1;
    return v->unified ? v->upload_us * 1e3 : v->upload_us * 1e3 + far * bytes / v->upload_gbps;
}

static double down_ns(const mbr_place_problem *p, int d, double bytes)
{
    const mbr_plan_device *v = &p->devices[d - 1];
    double far = p->node >= 0 && v->node >= 0 && v->node != p->node ? FAR_FACTOR : 1;
    return v->unified ? v->download_us * 1e3 : v->download_us * 1e3 + far * bytes / v->download_gbps;
}

double mbr_transfer_ns(const mbr_place_problem *p, int from, int to, double bytes)
{
    if (from == to)
        return 0;
    return (from ? down_ns(p, from, bytes) : 0) + (to ? up_ns(p, to, bytes) : 0);
}

/* --- the run as the devices' queues have it --- */

typedef struct walk {
    double *ready; /* (n_values * (n_devices + 1)) when a value is on a device; negative: it is not */
} walk;

static double *ready_at(const mbr_place_problem *p, const walk *w, uint32_t value, int device)
{
    return &w->ready[(size_t)value * (size_t)(p->n_devices + 1) + (size_t)device];
}

/* When the run ends, and with that when each step begins, what is transferred, who is busy. */
static double walk_run(mbr_place_problem *p, const walk *w)
{
    double free_at[MBR_PLACE_DEVICES + 1] = { 0 }, end = 0;
    size_t n = (size_t)p->n_values * (size_t)(p->n_devices + 1);
    for (size_t i = 0; i < n; i++)
        w->ready[i] = -1;
    for (uint32_t v = 0; v < p->n_values; v++)
        if (p->values[v].producer == MBR_NO_STEP)
            *ready_at(p, w, v, 0) = 0;
    memset(p->busy_ns, 0, sizeof p->busy_ns);
    p->transfer_bytes = 0;
    for (uint32_t k = 0; k < p->n_steps; k++) {
        mbr_place_step *s = &p->steps[k];
        double begin = free_at[s->device];
        s->transfer_bytes = s->transfer_ns = 0;
        for (uint32_t i = 0; i < s->n_in; i++) {
            const mbr_place_value *v = &p->values[s->in[i]];
            double *here = ready_at(p, w, s->in[i], s->device);
            if (v->constant)
                continue;
            if (*here < 0) {
                int from = v->producer == MBR_NO_STEP ? 0 : p->steps[v->producer].device;
                double ns = mbr_transfer_ns(p, from, s->device, v->bytes);
                *here = *ready_at(p, w, s->in[i], from) + ns;
                s->transfer_bytes += v->bytes;
                s->transfer_ns += ns;
            }
            begin = *here > begin ? *here : begin;
        }
        double ns = s->view ? 0 : s->ns[s->device];
        s->begin_ns = begin;
        s->end_ns = begin + ns;
        if (!s->view)
            free_at[s->device] = s->end_ns;
        p->busy_ns[s->device] += ns;
        p->transfer_bytes += s->transfer_bytes;
        end = s->end_ns > end ? s->end_ns : end;
        for (uint32_t i = 0; i < s->n_out; i++) {
            const mbr_place_value *v = &p->values[s->out[i]];
            *ready_at(p, w, s->out[i], s->device) = s->end_ns;
            double back = v->output ? s->end_ns + mbr_transfer_ns(p, s->device, 0, v->bytes) : 0;
            p->transfer_bytes += v->output && s->device ? v->bytes : 0;
            end = back > end ? back : end;
        }
    }
    p->end_ns = end;
    return end;
}

/* --- regions --- */

static bool may_go(const mbr_place_step *s, int d)
{
    return s->view || (s->ns[d] >= 0 && (s->pin < 0 || s->pin == d));
}

/* Moves the best set of the steps that are on the processor to device d. weight: what a byte of weights there costs. */
static mbr_status cut_for(mbr_memory *memory, mbr_place_problem *p, int d, double weight, bool *moves, mbr_error *err)
{
    uint32_t reads = 0, n = p->n_steps;
    for (uint32_t k = 0; k < n; k++)
        reads += p->steps[k].n_in;
    /* nodes: steps, for each value one that stands for "somebody reads it there" and one for "here"; the two ends */
    uint32_t up = n, down = up + p->n_values, source = down + p->n_values, target = source + 1;
    mbr_cut *c;
    MBR_TRY(mbr_cut_new(memory, target + 1, 2 * n + 2 * reads + 3 * p->n_values, &c, err));
    for (uint32_t k = 0; k < n; k++) {
        const mbr_place_step *s = &p->steps[k];
        bool there = may_go(s, d) && (s->view || s->device == 0);
        double stay = s->view ? 0 : s->ns[s->device], go = s->view ? 0 : s->ns[d] + weight * s->weight_bytes;
        mbr_cut_edge(c, source, k, there ? go : -1, 0);
        mbr_cut_edge(c, k, target, s->pin == d ? -1 : stay, 0);
        for (uint32_t i = 0; i < s->n_in; i++) {
            if (p->values[s->in[i]].constant)
                continue;
            mbr_cut_edge(c, up + s->in[i], k, -1, 0);
            mbr_cut_edge(c, k, down + s->in[i], -1, 0);
        }
    }
    for (uint32_t v = 0; v < p->n_values; v++) {
        const mbr_place_value *x = &p->values[v];
        if (x->constant)
            continue;
        uint32_t from = x->producer == MBR_NO_STEP ? source : x->producer;
        mbr_cut_edge(c, from, up + v, up_ns(p, d, x->bytes), 0);
        if (x->producer != MBR_NO_STEP)
            mbr_cut_edge(c, down + v, from, down_ns(p, d, x->bytes), 0);
        if (x->output)
            mbr_cut_edge(c, source, down + v, -1, 0);
    }
    mbr_cut_least(c, source, target, moves);
    mbr_cut_free(c);
    return MBR_OK;
}

static double weights_on(const mbr_place_problem *p, int d)
{
    double bytes = 0;
    for (uint32_t k = 0; k < p->n_steps; k++)
        bytes += p->steps[k].device == d ? p->steps[k].weight_bytes : 0;
    return bytes;
}

static double largest_on(const mbr_place_problem *p, int d)
{
    double bytes = 0;
    for (uint32_t k = 0; k < p->n_steps; k++)
        if (p->steps[k].device == d && p->steps[k].bytes > bytes)
            bytes = p->steps[k].bytes;
    return bytes;
}

static bool fits(const mbr_place_problem *p, int d)
{
    double room = d ? p->devices[d - 1].memory_bytes : 0;
    return room <= 0 || weights_on(p, d) + 2 * largest_on(p, d) <= room;
}

/* Raises the price of weights until what is moved fits the device. */
static mbr_status take_region(mbr_memory *memory, mbr_place_problem *p, const walk *w, int d, bool *moves, int *before,
                              mbr_error *err)
{
    double weight = 0, end = walk_run(p, w);
    for (uint32_t k = 0; k < p->n_steps; k++)
        before[k] = p->steps[k].device;
    for (int i = 0;; i++) {
        MBR_TRY(cut_for(memory, p, d, weight, moves, err));
        for (uint32_t k = 0; k < p->n_steps; k++)
            p->steps[k].device = moves[k] ? d : before[k];
        if (fits(p, d) || i == MEMORY_TRIES)
            break;
        weight = weight > 0 ? weight * 4 : 1e-4;
    }
    for (uint32_t k = 0; k < p->n_steps; k++)
        if (weight > 0 && !moves[k] && p->steps[k].weight_bytes > 0 && p->steps[k].ns[d] >= 0 &&
            p->steps[k].ns[d] < p->steps[k].ns[0])
            p->steps[k].why = MBR_WHY_MEMORY;
    bool pinned = false;
    for (uint32_t k = 0; k < p->n_steps; k++)
        pinned = pinned || p->steps[k].pin == d;
    if ((walk_run(p, w) > end || !fits(p, d)) && !pinned)
        for (uint32_t k = 0; k < p->n_steps; k++)
            p->steps[k].device = before[k];
    return MBR_OK;
}

/* --- beside each other --- */

/* The step that alone reads all that k writes; MBR_NO_STEP: there is none. readers: (n_values), last reader and count. */
static uint32_t only_reader(const mbr_place_problem *p, uint32_t k, const uint32_t *reader, const uint32_t *count)
{
    const mbr_place_step *s = &p->steps[k];
    uint32_t v = s->n_out == 1 ? s->out[0] : 0;
    return s->n_out == 1 && count[v] == 1 && !p->values[v].output ? reader[v] : MBR_NO_STEP;
}

/* How many steps' values k reads. */
static uint32_t sources(const mbr_place_problem *p, uint32_t k)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->steps[k].n_in; i++)
        n += !p->values[p->steps[k].in[i]].constant;
    return n;
}

static bool move_stretch(mbr_place_problem *p, const uint32_t *next, uint32_t first, int from, int to)
{
    for (uint32_t k = first; k != MBR_NO_STEP; k = next[k])
        if (p->steps[k].device != from || !may_go(&p->steps[k], to))
            return false;
    for (uint32_t k = first; k != MBR_NO_STEP; k = next[k])
        p->steps[k].device = to;
    return true;
}

/* Stretches: steps of which each is the only reader of the one before, and reads nothing else. */
static mbr_status try_beside(mbr_memory *memory, mbr_place_problem *p, const walk *w, mbr_error *err)
{
    uint32_t *reader = mbr_calloc(memory, (size_t)p->n_values * 2 + (size_t)p->n_steps + 1, sizeof *reader);
    if (!reader)
        return mbr_no_memory(err, p->n_values * sizeof *reader);
    uint32_t *count = reader + p->n_values, *next = count + p->n_values;
    for (uint32_t k = 0; k < p->n_steps; k++)
        for (uint32_t i = 0; i < p->steps[k].n_in; i++) {
            reader[p->steps[k].in[i]] = k;
            count[p->steps[k].in[i]]++;
        }
    for (uint32_t k = 0; k < p->n_steps; k++) {
        next[k] = only_reader(p, k, reader, count);
        if (next[k] != MBR_NO_STEP && sources(p, next[k]) != 1)
            next[k] = MBR_NO_STEP;
    }
    double best = walk_run(p, w);
    int tries = 0;
    for (bool moved = true; moved && tries < MOST_TRIES;) {
        moved = false;
        for (uint32_t k = 0; k < p->n_steps && tries < MOST_TRIES; k++) {
            bool first = !p->steps[k].view;
            for (uint32_t i = 0; i < p->steps[k].n_in && first; i++) {
                uint32_t before = p->values[p->steps[k].in[i]].producer;
                first = before == MBR_NO_STEP || next[before] != k;
            }
            int from = p->steps[k].device;
            for (int to = 0; to <= p->n_devices && first; to++) {
                if (to == from || !move_stretch(p, next, k, from, to))
                    continue;
                tries++;
                double end = walk_run(p, w);
                if (end < best * WORTH && fits(p, to)) {
                    best = end;
                    moved = true;
                    for (uint32_t j = k; j != MBR_NO_STEP; j = next[j])
                        p->steps[j].why = MBR_WHY_BESIDE;
                    break;
                }
                move_stretch(p, next, k, to, from);
            }
        }
    }
    mbr_free(memory, reader);
    return MBR_OK;
}

static void give_reasons(mbr_place_problem *p)
{
    for (uint32_t k = 0; k < p->n_steps; k++) {
        mbr_place_step *s = &p->steps[k];
        int able = 0, best = s->device;
        for (int d = 0; d <= p->n_devices; d++) {
            able += s->ns[d] >= 0;
            best = s->ns[d] >= 0 && (s->ns[best] < 0 || s->ns[d] < s->ns[best]) ? d : best;
        }
        if (s->view)
            s->why = MBR_WHY_VIEW;
        else if (s->pin >= 0)
            s->why = MBR_WHY_PINNED;
        else if (p->n_devices == 0)
            s->why = MBR_WHY_ONLY;
        else if (able == 1)
            s->why = MBR_WHY_UNSUPPORTED;
        else if (s->why != MBR_WHY_BESIDE && s->why != MBR_WHY_MEMORY)
            s->why = best == s->device ? MBR_WHY_FASTER : MBR_WHY_REGION;
    }
}

mbr_status mbr_place_steps(mbr_memory *memory, mbr_place_problem *p, mbr_error *err)
{
    size_t slots = (size_t)p->n_values * (size_t)(p->n_devices + 1) + 1;
    size_t nodes = (size_t)p->n_steps + 2 * (size_t)p->n_values + 2;
    walk w = { .ready = mbr_calloc(memory, slots, sizeof *w.ready) };
    bool *moves = mbr_calloc(memory, nodes, sizeof *moves);
    int *before = mbr_calloc(memory, (size_t)p->n_steps + 1, sizeof *before);
    mbr_status st = MBR_OK;
    if (!w.ready || !moves || !before)
        st = mbr_no_memory(err, slots * sizeof *w.ready);
    for (uint32_t k = 0; k < p->n_steps && st == MBR_OK; k++) {
        p->steps[k].device = 0;
        p->steps[k].why = MBR_WHY_FASTER;
    }
    if (st == MBR_OK)
        p->cpu_end_ns = walk_run(p, &w);
    for (int d = 1; d <= p->n_devices && st == MBR_OK; d++)
        st = take_region(memory, p, &w, d, moves, before, err);
    if (st == MBR_OK && p->n_devices)
        st = try_beside(memory, p, &w, err);
    if (st == MBR_OK) {
        walk_run(p, &w);
        give_reasons(p);
    }
    mbr_free(memory, w.ready);
    mbr_free(memory, moves);
    mbr_free(memory, before);
    return st;
}

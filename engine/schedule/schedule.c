/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/schedule/schedule.h"
#include "base/checked.h"
#include "engine/schedule/pins.h"

#include <stdio.h>
#include <string.h>

/* --- devices --- */

double mbr_device_share(mbr_device_rate rate)
{
    /* products and convolutions, the rest of what computes, its memory */
    return rate == MBR_DEVICE_PRODUCT ? 0.6 : rate == MBR_DEVICE_OTHER ? 0.25 : 0.8;
}

void mbr_device_complete(mbr_plan_device *d)
{
    const mbr_plan_device usual = { .gflops_f32 = 1000, .memory_gbps = 50, .launch_us = 8, .upload_gbps = 8,
                                    .download_gbps = 8, .upload_us = 15, .download_us = 15 };
#define DEFAULT(field) d->field = d->field > 0 ? d->field : usual.field
    DEFAULT(gflops_f32);
    DEFAULT(memory_gbps);
    DEFAULT(launch_us);
    DEFAULT(upload_gbps);
    DEFAULT(download_gbps);
    DEFAULT(upload_us);
    DEFAULT(download_us);
    d->gflops_f16 = d->gflops_f16 > 0 ? d->gflops_f16 : d->gflops_f32;
    d->name = d->name ? d->name : "device";
}

double mbr_device_ns(const mbr_plan_device *d, const mbr_work *w, bool half)
{
    bool dense = w->family <= MBR_WORK_CONV_DOT || w->family == MBR_WORK_QPRODUCT || w->family == MBR_WORK_QCONV;
    double peak = half ? d->gflops_f16 : d->gflops_f32;
    double compute = w->flop / (peak * mbr_device_share(dense ? MBR_DEVICE_PRODUCT : MBR_DEVICE_OTHER));
    double memory = w->bytes / (d->memory_gbps * mbr_device_share(MBR_DEVICE_STREAM));
    return d->launch_us * 1e3 + (compute > memory ? compute : memory);
}

static bool is_numeric(const mbr_value *v)
{
    return !v || (v->kind == MBR_KIND_TENSOR && v->dtype != MBR_DTYPE_STRING);
}

static bool device_can(const mbr_schedule_options *o, const mbr_program_step *ps, const mbr_step *s, const mbr_work *w,
                       int device)
{
    double most = o->devices[device].max_alloc_bytes;
    if (ps->dynamic || (s->op->flags & (MBR_OP_HOST | MBR_OP_CONTROL | MBR_OP_RANDOM | MBR_OP_ANY_KIND)) || !s->op->run)
        return false;
    for (uint32_t i = 0; i < s->n_in + s->n_out; i++) {
        const mbr_value *v = i < s->n_in ? s->in[i] : s->out[i - s->n_in];
        if (!is_numeric(v) || (v && most > 0 && (double)mbr_value_bytes(v) > most))
            return false;
    }
    if (o->supports)
        return o->supports(o->user, s, w, device);
    return w->family != MBR_WORK_OTHER && w->family != MBR_WORK_PLAIN &&
           (w->family < MBR_WORK_TREES || w->family > MBR_WORK_TREES_JUMPS) && w->family != MBR_WORK_RECURRENT;
}

/* --- the model's side of the problem --- */

typedef struct builder {
    const mbr_schedule_options *o;
    const mbr_frame *f;
    const mbr_program *p;
    mbr_arena *arena;
    mbr_work *works;          /* (n_steps) */
    mbr_team_choice *teams;   /* (n_steps) */
    int *pin_threads;         /* (n_steps) 0: none */
    mbr_place_problem problem;
    mbr_plan_device *devices; /* complete */
    mbr_core *cores;          /* (n_cores) of the team, the preferred first */
    int n_cores;
    double weights;           /* bytes of all that a run reads */
    bool copies;
    bool ran;
} builder;

/* How often a body runs: what the step makes of its last output. A loop that only hands its state on: once. */
static double trips_of(const mbr_step *s, const mbr_frame *body)
{
    const mbr_ir_graph *g = mbr_frame_program(body)->graph;
    const mbr_value *made = g->n_outputs ? mbr_frame_value(body, g->outputs[g->n_outputs - 1]->id) : NULL;
    const mbr_value *all = s->n_out ? s->out[s->n_out - 1] : NULL;
    if (!made || !all || made->kind != MBR_KIND_TENSOR || all->kind != MBR_KIND_TENSOR || mbr_value_count(made) == 0)
        return 1;
    double trips = (double)mbr_value_count(all) / (double)mbr_value_count(made);
    return trips > 1 ? trips : 1;
}

/* How long bodies take: on one core, and with as many as there are pieces. */
typedef struct body_time {
    double ns, alone;
} body_time;

/* The bodies' steps, with the sizes of their last run, each body once before that; of an If's two the longer that ran. */
static body_time body_time_of(const builder *b, const mbr_frame *f, size_t step)
{
    const mbr_program_step *ps = &mbr_frame_program(f)->steps[step];
    body_time all = { 0 };
    for (uint32_t i = 0; i < ps->n_bodies; i++) {
        const mbr_frame *body = mbr_frame_body(f, step, i);
        body_time one = { 0 };
        if (body && b->ran && !mbr_frame_prepared(body))
            continue;
        for (uint32_t k = 0; body && k < mbr_frame_program(body)->n_steps; k++) {
            mbr_work w;
            mbr_work_of(mbr_frame_step(body, k), &w);
            double ns = mbr_rates_estimate(b->o->rates, &w, b->weights);
            body_time inner = body_time_of(b, body, k);
            one.ns += ns + inner.ns;
            one.alone += ns / (w.tiles > 1 ? w.tiles : 1) + inner.alone;
        }
        bool either = strcmp(ps->op->name, "If") == 0;
        double trips = body && b->ran && !either ? trips_of(mbr_frame_step(f, step), body) : 1;
        one.ns *= trips;
        one.alone *= trips;
        if (either && one.ns > all.ns)
            all = one;
        if (!either)
            all = (body_time){ all.ns + one.ns, all.alone + one.alone };
    }
    return all;
}

static bool is_fixed(const mbr_program_value *v)
{
    return v->place == MBR_PLACE_CONST || v->place == MBR_PLACE_CONTENT || v->place == MBR_PLACE_NONE;
}

static mbr_status read_values(builder *b, mbr_error *err)
{
    const mbr_program *p = b->p;
    mbr_place_value *values = mbr_arena_calloc(b->arena, (size_t)p->n_values + 1, sizeof *values);
    if (!values)
        return mbr_no_memory(err, p->n_values * sizeof *values);
    for (uint32_t v = 0; v < p->n_values; v++) {
        const mbr_value *x = mbr_frame_value(b->f, v);
        bool tensor = x->kind == MBR_KIND_TENSOR && x->dtype != MBR_DTYPE_STRING && x->dtype != MBR_DTYPE_UNDEFINED;
        values[v] = (mbr_place_value){ .producer = MBR_NO_STEP, .constant = is_fixed(&p->values[v]),
                                       .bytes = tensor ? (double)mbr_value_bytes(x) : 0 };
    }
    for (uint32_t k = 0; k < p->n_steps; k++)
        for (uint32_t i = 0; i < p->steps[k].n_out; i++)
            if (p->steps[k].out[i] != MBR_NO_VALUE)
                values[p->steps[k].out[i]].producer = k;
    for (size_t i = 0; i < p->graph->n_outputs; i++)
        values[p->graph->outputs[i]->id].output = true;
    b->problem.values = values;
    b->problem.n_values = p->n_values;
    return MBR_OK;
}

static mbr_status present(builder *b, const uint32_t *from, uint32_t n, const uint32_t **to, uint32_t *n_to,
                          mbr_error *err)
{
    uint32_t *list = mbr_arena_alloc(b->arena, ((size_t)n + 1) * sizeof *list);
    if (!list)
        return mbr_no_memory(err, n * sizeof *list);
    *to = list;
    for (uint32_t i = 0; i < n; i++)
        if (from[i] != MBR_NO_VALUE)
            list[(*n_to)++] = from[i];
    return MBR_OK;
}

static mbr_status read_steps(builder *b, mbr_error *err)
{
    const mbr_program *p = b->p;
    size_t n = (size_t)p->n_steps + 1;
    b->works = mbr_arena_calloc(b->arena, n, sizeof *b->works);
    b->teams = mbr_arena_calloc(b->arena, n, sizeof *b->teams);
    b->pin_threads = mbr_arena_calloc(b->arena, n, sizeof *b->pin_threads);
    b->problem.steps = mbr_arena_calloc(b->arena, n, sizeof *b->problem.steps);
    double *counted = mbr_arena_calloc(b->arena, (size_t)p->n_values + 1, sizeof *counted);
    if (!counted || !b->works || !b->teams || !b->pin_threads || !b->problem.steps)
        return mbr_no_memory(err, n * sizeof *b->problem.steps);
    b->problem.n_steps = p->n_steps;
    for (uint32_t k = 0; k < p->n_steps; k++) {
        const mbr_program_step *ps = &p->steps[k];
        const mbr_step *s = mbr_frame_step(b->f, k);
        mbr_place_step *to = &b->problem.steps[k];
        mbr_work *w = &b->works[k];
        to->pin = -1;
        to->view = !s->op->run || (ps->in_place && !ps->dynamic);
        MBR_TRY(present(b, ps->in, ps->n_in, &to->in, &to->n_in, err));
        MBR_TRY(present(b, ps->out, ps->n_out, &to->out, &to->n_out, err));
        mbr_work_of(s, w);
        for (uint32_t i = 0; i < to->n_in; i++) { /* each once; of tables only what is taken */
            uint32_t v = to->in[i];
            double bytes = b->problem.values[v].bytes < w->weight_bytes ? b->problem.values[v].bytes : w->weight_bytes;
            if (b->p->values[v].place != MBR_PLACE_CONST || bytes <= counted[v])
                continue;
            b->weights += bytes - counted[v];
            counted[v] = bytes;
        }
        if (ps->n_bodies) { /* the operator's own guess is for whoever splits its tiles */
            w->family = MBR_WORK_OTHER;
            body_time body = body_time_of(b, b->f, k);
            w->units = body.ns;
            w->tiles = body.alone > 0 ? body.ns / body.alone : 1; /* its steps split themselves */
        }
        to->weight_bytes = w->weight_bytes;
        for (uint32_t i = 0; i < to->n_out; i++)
            to->bytes += b->problem.values[to->out[i]].bytes;
        for (int d = 0; d < b->problem.n_devices; d++) {
            bool half = s->n_out && s->out[0] && s->out[0]->dtype == MBR_DTYPE_F16;
            to->ns[d + 1] = device_can(b->o, ps, s, w, d) ? mbr_device_ns(&b->devices[d], w, half) : -1;
        }
    }
    return MBR_OK;
}

/* --- pins --- */

static const char *device_name(void *user, int i)
{
    const builder *b = user;
    return i < b->problem.n_devices ? b->devices[i].name : NULL;
}

static bool step_can(void *user, uint32_t k, int device)
{
    const builder *b = user;
    return b->problem.steps[k].ns[device + 1] >= 0;
}

static mbr_status read_pins(builder *b, mbr_error *err)
{
    int *devices = mbr_arena_calloc(b->arena, (size_t)b->p->n_steps + 1, sizeof *devices);
    const mbr_pins pins = { .p = b->p, .device = device_name, .can = step_can, .user = b, .devices = devices,
                            .threads = b->pin_threads };
    if (!devices)
        return mbr_no_memory(err, b->p->n_steps * sizeof *devices);
    MBR_TRY(mbr_pins_read(&pins, b->o->pins, err));
    for (uint32_t k = 0; k < b->p->n_steps; k++)
        b->problem.steps[k].pin = devices[k];
    return MBR_OK;
}

/* --- the team --- */

/* The machine's cores with those of `nodes` nodes from `first` on, at most `most`; their number. */
static int pick_cores(const builder *b, int first, int nodes, int most, mbr_core *to)
{
    const mbr_machine *m = b->o->machine;
    int n = 0;
    for (int i = 0; i < m->n_cores && n < most; i++)
        if ((m->cores[i].node - first + m->nodes) % m->nodes < nodes)
            to[n++] = m->cores[i];
    return n;
}

static double choose_teams(builder *b)
{
    double ns = 0;
    for (uint32_t k = 0; k < b->p->n_steps; k++) {
        int most = b->pin_threads[k] && b->pin_threads[k] < b->n_cores ? b->pin_threads[k] : b->n_cores;
        b->teams[k] = mbr_team_choose(b->o->rates, b->cores, most, &b->works[k], b->weights, b->copies);
        b->problem.steps[k].ns[0] = b->problem.steps[k].view ? 0 : b->teams[k].ns;
        ns += b->problem.steps[k].ns[0];
    }
    return ns;
}

/* Which nodes the team lies on: every number of them from each one that may matter, with copies of the weights where
   they fit; devices see their steps meanwhile where transfers to them are short. */
static mbr_status choose_nodes(builder *b, mbr_memory *memory, mbr_schedule *out, mbr_error *err)
{
    const mbr_machine *m = b->o->machine;
    int most = mbr_machine_threads(m), best_first = 0, best_nodes = 0;
    double best = 1e300;
    most = b->o->threads > 0 && b->o->threads < most ? b->o->threads : most;
    b->cores = mbr_arena_calloc(b->arena, (size_t)m->n_cores + 1, sizeof *b->cores);
    if (!b->cores)
        return mbr_no_memory(err, (size_t)m->n_cores * sizeof *b->cores);
    for (int first = 0; first < m->nodes; first++) {
        bool matters = first == 0;
        for (int d = 0; d < b->problem.n_devices; d++)
            matters = matters || b->devices[d].node == first;
        for (int nodes = 1; nodes <= m->nodes && matters; nodes++) {
            b->copies = nodes > 1 && b->weights * (nodes - 1) <= b->o->replica_bytes;
            b->n_cores = pick_cores(b, first, nodes, most, b->cores);
            if (b->n_cores == 0)
                continue;
            double ns = choose_teams(b);
            b->problem.node = first;
            if (b->problem.n_devices) {
                MBR_TRY(mbr_place_steps(memory, &b->problem, err));
                ns = b->problem.end_ns;
            }
            if (ns < best * 0.99) {
                best = ns;
                best_first = first;
                best_nodes = nodes;
            }
        }
    }
    b->copies = best_nodes > 1 && b->weights * (best_nodes - 1) <= b->o->replica_bytes;
    b->n_cores = pick_cores(b, best_first, best_nodes, most, b->cores);
    b->problem.node = best_first;
    choose_teams(b);
    out->replica_bytes = b->copies ? b->weights * (best_nodes - 1) : 0;
    char text[320];
    int at = snprintf(text, sizeof text, "%d core%s", b->n_cores, b->n_cores == 1 ? "" : "s");
    if (m->nodes > 1)
        at += best_nodes == 1 ? snprintf(text + at, sizeof text - (size_t)at, " of node %d", best_first) :
              snprintf(text + at, sizeof text - (size_t)at, " of %d nodes from node %d on", best_nodes, best_first);
    bool near = false;
    for (int d = 0; d < b->problem.n_devices; d++)
        near = near || (best_first && b->devices[d].node == best_first);
    if (near)
        at += snprintf(text + at, sizeof text - (size_t)at, ", where the device is");
    int first_cpu = b->cores[0].cpu, last_cpu = b->cores[0].cpu;
    for (int i = 0; i < b->n_cores; i++) {
        first_cpu = b->cores[i].cpu < first_cpu ? b->cores[i].cpu : first_cpu;
        last_cpu = b->cores[i].cpu > last_cpu ? b->cores[i].cpu : last_cpu;
    }
    snprintf(text + at, sizeof text - (size_t)at, ", processors %d to %d; one thread a core", first_cpu, last_cpu);
    out->team = mbr_arena_strdup(b->arena, text);
    if (m->nodes == 1)
        snprintf(text, sizeof text, "in the one memory that there is");
    else if (b->copies)
        snprintf(text, sizeof text, "a copy on each of %d nodes", best_nodes);
    else if (best_nodes > 1)
        snprintf(text, sizeof text, "on node %d; copies on the others would need %.1f MB", best_first,
                 b->weights * (best_nodes - 1) / 1e6);
    else
        snprintf(text, sizeof text, "on node %d, as the team", best_first);
    out->weights = mbr_arena_strdup(b->arena, text);
    return out->team && out->weights ? MBR_OK : mbr_no_memory(err, sizeof text);
}

/* --- the answer --- */

static const char *team_reason(const builder *b, const mbr_work *w, const mbr_team_choice *t)
{
    bool smt = false;
    for (int i = 0; i < b->n_cores; i++)
        smt = smt || b->cores[i].threads > 1;
    switch (t->why) {
    case MBR_TEAM_ALONE:
        return "the only core";
    case MBR_TEAM_ALL:
        return smt && w->family <= MBR_WORK_CONV_DOT ? "all cores; two threads of one would share its multipliers" :
               "all cores";
    case MBR_TEAM_SHORT:
        return "too short to wake others";
    case MBR_TEAM_ONE_PIECE:
        return "one piece of work";
    case MBR_TEAM_PIECES:
        return "as many cores as pieces";
    case MBR_TEAM_MEMORY:
        return "more cores would wait for memory";
    case MBR_TEAM_CACHE:
        return "cores of one cache; others would fetch from it";
    case MBR_TEAM_NODE:
        return "cores of one node; others would read its memory";
    case MBR_TEAM_KIND:
        return "fast cores; slow ones would be last";
    case MBR_TEAM_SYNC:
        return "more cores would take longer to come together";
    }
    return "";
}

static const char *place_reason(const mbr_place_step *s)
{
    switch (s->why) {
    case MBR_WHY_PINNED:
        return "pinned";
    case MBR_WHY_UNSUPPORTED:
        return s->device ? "" : "no device does it";
    case MBR_WHY_FASTER:
        return s->device ? "faster there, transfers included" : "faster here";
    case MBR_WHY_REGION:
        return s->device ? "its neighbours are there" : "transfers would cost more than the device wins";
    case MBR_WHY_BESIDE:
        return "beside another device's work";
    case MBR_WHY_MEMORY:
        return s->device ? "faster there, transfers included" : "the device's memory is full";
    case MBR_WHY_ONLY:
    case MBR_WHY_VIEW:
        break;
    }
    return "";
}

/* The entries that a step reads, through views. rows: (n_steps) entry of a step, -1: a view. */
static void add_sources(const builder *b, const int *rows, uint32_t k, int *to, int *n, int most)
{
    const mbr_place_step *s = &b->problem.steps[k];
    for (uint32_t i = 0; i < s->n_in; i++) {
        uint32_t from = b->problem.values[s->in[i]].producer;
        if (from == MBR_NO_STEP || *n >= most)
            continue;
        if (rows[from] < 0) {
            add_sources(b, rows, from, to, n, most);
            continue;
        }
        bool known = false;
        for (int j = 0; j < *n; j++)
            known = known || to[j] == rows[from];
        if (!known)
            to[(*n)++] = rows[from];
    }
}

static mbr_status fill_steps(const builder *b, mbr_schedule *out, mbr_error *err)
{
    size_t n = (size_t)b->p->n_steps + 1;
    int *rows = mbr_arena_calloc(b->arena, n, sizeof *rows), *places = mbr_arena_calloc(b->arena, n, sizeof *places);
    out->steps = mbr_arena_calloc(b->arena, n, sizeof *out->steps);
    if (!rows || !places || !out->steps)
        return mbr_no_memory(err, n * sizeof *out->steps);
    for (uint32_t k = 0; k < b->p->n_steps; k++) {
        const mbr_place_step *s = &b->problem.steps[k];
        const mbr_program_step *ps = &b->p->steps[k];
        places[k] = s->device;
        rows[k] = s->view ? -1 : out->n;
        if (s->view)
            continue;
        mbr_schedule_step *to = &out->steps[out->n++];
        const char *why = place_reason(s), *team = s->device ? "" : team_reason(b, &b->works[k], &b->teams[k]);
        char text[200];
        snprintf(text, sizeof text, "%s%s%s", why, *why && *team ? "; " : "",
                 ps->dynamic && !b->ran ? "only a run tells its size" : ps->n_bodies ? "its body's steps share the team" :
                 team);
        *to = (mbr_schedule_step){ .index = k, .step = mbr_frame_step(b->f, k), .work = b->works[k],
                                   .device = s->device, .threads = s->device ? 0 : b->teams[k].threads,
                                   .begin_ns = s->begin_ns, .ns = s->end_ns - s->begin_ns,
                                   .transfer_ns = s->transfer_ns,
                                   .cpu_ns = s->ns[0], .transfer_bytes = s->transfer_bytes,
                                   .sized = !ps->dynamic || b->ran };
        for (int d = 1; d <= b->problem.n_devices; d++)
            if (s->ns[d] >= 0 && (to->device_ns <= 0 || s->ns[d] < to->device_ns))
                to->device_ns = s->ns[d];
        int list[64];
        add_sources(b, rows, k, list, &to->n_inputs, 64);
        to->inputs = mbr_arena_copy(b->arena, list, (size_t)to->n_inputs * sizeof *list + 1);
        to->why = mbr_arena_strdup(b->arena, text);
        if (!to->why || !to->inputs)
            return mbr_no_memory(err, sizeof text);
        out->threads = to->threads > out->threads ? to->threads : out->threads;
    }
    out->devices_of = places;
    out->threads_of = b->pin_threads;
    return MBR_OK;
}

/* What lives at once on each device, and what else each has to do. */
static mbr_status add_totals(const builder *b, mbr_schedule *out, mbr_error *err)
{
    size_t places = (size_t)b->problem.n_devices + 1;
    double *numbers = mbr_arena_calloc(b->arena, 6 * places, sizeof *numbers);
    uint32_t *last = mbr_arena_calloc(b->arena, (size_t)b->problem.n_values + 1, sizeof *last);
    if (!numbers || !last)
        return mbr_no_memory(err, 6 * places * sizeof *numbers);
    double *live = numbers + 5 * places;
    out->n_places = (int)places;
    out->busy_ns = numbers;
    out->weight_bytes = numbers + places;
    out->activation_bytes = numbers + 2 * places;
    out->count = numbers + 3 * places;
    out->flop = numbers + 4 * places;
    for (uint32_t k = 0; k < b->problem.n_steps; k++)
        for (uint32_t i = 0; i < b->problem.steps[k].n_in; i++)
            last[b->problem.steps[k].in[i]] = k;
    for (uint32_t k = 0; k < b->problem.n_steps; k++) {
        const mbr_place_step *s = &b->problem.steps[k];
        out->count[s->device] += !s->view;
        out->flop[s->device] += s->view ? 0 : b->works[k].flop;
        out->weight_bytes[s->device] += s->weight_bytes;
        if (s->view)
            continue;
        live[s->device] += s->bytes;
        if (live[s->device] > out->activation_bytes[s->device])
            out->activation_bytes[s->device] = live[s->device];
        for (uint32_t i = 0; i < s->n_in; i++) {
            const mbr_place_value *v = &b->problem.values[s->in[i]];
            if (last[s->in[i]] == k && v->producer != MBR_NO_STEP && !b->problem.steps[v->producer].view)
                live[b->problem.steps[v->producer].device] -= v->bytes;
        }
    }
    for (size_t d = 0; d < places; d++)
        out->busy_ns[d] = b->problem.busy_ns[d];
    return MBR_OK;
}

mbr_status mbr_schedule_new(mbr_memory *memory, const mbr_schedule_options *o, const mbr_frame *f, bool ran,
                            mbr_schedule *out, mbr_error *err)
{
    builder b = { .o = o, .f = f, .p = mbr_frame_program(f), .arena = &out->arena, .ran = ran };
    memset(out, 0, sizeof *out);
    mbr_arena_init(&out->arena, memory, 64 * 1024);
    mbr_status st = MBR_OK;
    if (o->n_devices < 0 || o->n_devices > MBR_PLACE_DEVICES)
        st = mbr_fail(err, MBR_ERR_ARGUMENT, "%d devices; at most %d make sense", o->n_devices, MBR_PLACE_DEVICES);
    MBR_TRY_GOTO(st, error);
    b.devices = mbr_arena_calloc(b.arena, (size_t)o->n_devices + 1, sizeof *b.devices);
    if (!b.devices)
        st = mbr_no_memory(err, sizeof *b.devices);
    MBR_TRY_GOTO(st, error);
    for (int d = 0; d < o->n_devices; d++) {
        b.devices[d] = o->devices[d];
        mbr_device_complete(&b.devices[d]);
    }
    b.problem.devices = b.devices;
    b.problem.n_devices = o->n_devices;
    MBR_TRY_GOTO(read_values(&b, err), error);
    MBR_TRY_GOTO(read_steps(&b, err), error);
    MBR_TRY_GOTO(read_pins(&b, err), error);
    MBR_TRY_GOTO(choose_nodes(&b, memory, out, err), error);
    MBR_TRY_GOTO(mbr_place_steps(memory, &b.problem, err), error);
    MBR_TRY_GOTO(fill_steps(&b, out, err), error);
    MBR_TRY_GOTO(add_totals(&b, out, err), error);
    out->ns = b.problem.end_ns + o->rates->run_ns;
    out->cpu_ns = b.problem.cpu_end_ns + o->rates->run_ns;
    out->transfer_bytes = b.problem.transfer_bytes;
    return MBR_OK;
error:
    mbr_schedule_free(out);
    return st;
}

void mbr_schedule_free(mbr_schedule *s)
{
    mbr_arena_destroy(&s->arena);
    memset(s, 0, sizeof *s);
}

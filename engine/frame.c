/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/frame_parts.h"
#include "base/checked.h"
#include "engine/device.h"
#include "engine/replicas.h"
#include "engine/spans.h"

#include <string.h>

/* Between two looks at the cancel flag. */
#define CANCEL_NS 200000.0
/* Between two looks at the clock, where there is a deadline. */
#define LOOK_NS 50000.0

/* --- the run --- */

void mbr_run_drop_slab(mbr_run *run, mbr_slab *slab)
{
    run->slab_bytes -= slab->bytes;
    mbr_free(run->memory, slab->data);
    slab->data = NULL;
    slab->bytes = 0;
    slab->moves++;
}

mbr_status mbr_run_init(mbr_run *run, mbr_memory *memory, mbr_team *team, int workers, const mbr_ir_module *m,
                        mbr_error *err)
{
    memset(run, 0, sizeof *run);
    run->memory = memory;
    run->team = team;
    run->workers = team && workers > 0 ? workers : team ? mbr_team_size(team) : 1;
    atomic_init(&run->cancelled, false);
    mbr_arena_init(&run->arena, memory, 16 * 1024);
    run->dims = mbr_calloc(memory, m->dims.n + 1, sizeof *run->dims);
    run->n_dims = m->dims.n;
    return run->dims ? MBR_OK : mbr_no_memory(err, m->dims.n * sizeof *run->dims);
}

mbr_status mbr_run_room(mbr_run *run, const mbr_ir_module *m, mbr_error *err)
{
    if (m->dims.n <= run->n_dims)
        return MBR_OK;
    int64_t *more = mbr_grow(run->memory, run->dims, (run->n_dims + 1) * sizeof *more, (m->dims.n + 1) * sizeof *more);
    if (!more)
        return mbr_no_memory(err, m->dims.n * sizeof *more);
    run->dims = more;
    run->n_dims = m->dims.n;
    return MBR_OK;
}

void mbr_run_destroy(mbr_run *run)
{
    mbr_free(run->memory, run->dims);
    mbr_free(run->memory, run->scratch);
    mbr_run_drop_slab(run, &run->body_slab);
    mbr_arena_destroy(&run->arena);
    run->dims = NULL;
    run->scratch = NULL;
}

mbr_status mbr_run_need_scratch(mbr_run *run, size_t each, mbr_error *err)
{
    size_t total;
    if (each <= run->scratch_each)
        return MBR_OK;
    if (!mbr_round_up(each, 4096, &each) || !mbr_mul_size(each, (size_t)run->workers, &total))
        return mbr_fail(err, MBR_ERR_LIMIT, "scratch memory of a step overflows");
    char *fresh = mbr_alloc(run->memory, total);
    if (!fresh)
        return mbr_no_memory(err, total);
    mbr_free(run->memory, run->scratch);
    run->scratch = fresh;
    run->scratch_each = each;
    return MBR_OK;
}

/* --- life --- */

static void note_relinked(mbr_frame *f)
{
    const mbr_program *p = f->p;
    for (uint32_t v = 0; v < p->n_values; v++) {
        if (p->values[v].place != MBR_PLACE_ALIAS || !p->values[v].planned)
            continue;
        uint32_t r = mbr_program_root(p, v);
        if (p->values[r].place == MBR_PLACE_BOUND || p->values[r].place == MBR_PLACE_OUTPUT)
            f->relinked[f->n_relinked++] = v;
    }
}

static uint64_t follows_of(mbr_dim d)
{
    return mbr_dim_is_expr(d) ? MBR_FOLLOWS_EXPR(mbr_dim_index(d)) : 0;
}

/* What the sizes and numbers of values, and with them what steps prepare, follow from. */
static void note_follows(mbr_frame *f)
{
    const mbr_program *p = f->p;
    for (uint32_t v = 0; v < p->n_values; v++) {
        const mbr_program_value *pv = &p->values[v];
        const mbr_ir_value *ir = pv->ir;
        f->follows[v] = MBR_FOLLOWS_NONE | (pv->planned || pv->place == MBR_PLACE_CONST ? 0 : MBR_FOLLOWS_RUN);
        for (int d = 0; ir && d < ir->type.rank; d++)
            f->follows[v] |= follows_of(ir->type.dims[d]);
        for (size_t i = 0; ir && ir->content && i < ir->n_content; i++)
            f->follows[v] |= follows_of(ir->content[i]);
    }
    for (uint32_t k = 0; k < p->n_steps; k++) {
        const mbr_program_step *ps = &p->steps[k];
        f->step_follows[k] = MBR_FOLLOWS_NONE | (ps->dynamic || ps->n_bodies ? MBR_FOLLOWS_RUN : 0);
        for (uint32_t i = 0; i < ps->n_in + ps->n_out; i++) {
            uint32_t v = i < ps->n_in ? ps->in[i] : ps->out[i - ps->n_in];
            f->step_follows[k] |= v == MBR_NO_VALUE ? 0 : f->follows[v];
        }
    }
    for (uint32_t v = 0; v < p->n_values; v++)
        if (p->values[v].place == MBR_PLACE_ALIAS && p->values[v].planned) {
            uint32_t r = mbr_program_root(p, v);
            f->views[2 * f->n_views] = v;
            f->views[2 * f->n_views++ + 1] = r;
            f->follows[v] |= f->follows[r];
        }
}

static mbr_status alloc_arrays(mbr_frame *f, mbr_error *err)
{
    const mbr_program *p = f->p;
    const mbr_ir_graph *g = p->graph;
    mbr_arena *a = &f->arena;
    f->values = mbr_arena_calloc(a, p->n_values + 1, sizeof *f->values);
    f->seen = mbr_arena_calloc(a, p->module->dims.n + 1, sizeof *f->seen);
    f->follows = mbr_arena_calloc(a, p->n_values + 1, sizeof *f->follows);
    f->step_follows = mbr_arena_calloc(a, p->n_steps + 1, sizeof *f->step_follows);
    f->views = mbr_arena_calloc(a, p->n_values + 1, 2 * sizeof *f->views);
    if (f->values) /* first, so that mbr_frame_free may clear them */
        for (uint32_t v = 0; v < p->n_values; v++)
            mbr_value_init(&f->values[v], f->run->memory, MBR_KIND_TENSOR, MBR_DTYPE_UNDEFINED);
    f->own_outputs = mbr_arena_calloc(a, g->n_outputs + 1, sizeof *f->own_outputs);
    if (f->own_outputs)
        for (size_t i = 0; i < g->n_outputs; i++)
            mbr_value_init(&f->own_outputs[i], f->run->memory, MBR_KIND_TENSOR, MBR_DTYPE_UNDEFINED);
    f->steps = mbr_arena_calloc(a, p->n_steps + 1, sizeof *f->steps);
    f->bodies = mbr_arena_calloc(a, p->n_steps + 1, sizeof *f->bodies);
    f->started = mbr_arena_calloc(a, p->n_steps + 1, sizeof *f->started);
    f->states = mbr_arena_alloc_aligned(a, p->state_bytes + 1);
    f->ends = mbr_arena_calloc(a, p->n_values + 1, sizeof *f->ends);
    f->rooms = mbr_arena_calloc(a, p->n_values + 1, sizeof *f->rooms);
    f->relinked = mbr_arena_calloc(a, p->n_values + 1, sizeof *f->relinked);
    f->outputs = mbr_arena_calloc(a, g->n_outputs + 1, sizeof *f->outputs);
    f->lent = mbr_arena_calloc(a, g->n_outputs + 1, sizeof *f->lent);
    f->bound = mbr_arena_calloc(a, g->n_inputs + g->n_captures + 1, sizeof *f->bound);
    size_t most = 1;
    for (uint32_t k = 0; k < p->n_steps; k++)
        if (p->steps[k].dynamic)
            most = mbr_max_size(most, (size_t)p->steps[k].n_in + p->steps[k].n_out);
    f->args = mbr_arena_alloc(a, most * sizeof *f->args);
    if (!f->values || !f->own_outputs || !f->steps || !f->bodies || !f->started || !f->states || !f->ends ||
        !f->rooms || !f->seen || !f->follows || !f->step_follows || !f->views ||
        !f->relinked || !f->outputs || !f->lent || !f->bound || !f->args)
        return mbr_no_memory(err, p->n_values * sizeof *f->values);
    memset(f->states, 0, p->state_bytes + 1);
    for (size_t i = 0; i < g->n_outputs; i++)
        f->outputs[i] = &f->own_outputs[i];
    return MBR_OK;
}

static mbr_status start_step(mbr_frame *f, uint32_t k, mbr_error *err)
{
    const mbr_program_step *ps = &f->p->steps[k];
    mbr_step *s = &f->steps[k];
    mbr_value **pointers = mbr_arena_calloc(&f->arena, (size_t)ps->n_in + ps->n_out + 1, sizeof *pointers);
    if (!pointers)
        return mbr_no_memory(err, sizeof *pointers);
    *s = (mbr_step){ .op = ps->op, .node = ps->node, .frame = f, .n_in = ps->n_in, .n_out = ps->n_out, .in = pointers,
                     .out = pointers + ps->n_in, .state = f->states + ps->state_offset, .packed = ps->packed };
    for (uint32_t i = 0; i < ps->n_in; i++)
        s->in[i] = ps->in[i] == MBR_NO_VALUE ? NULL : &f->values[ps->in[i]];
    for (uint32_t i = 0; i < ps->n_out; i++)
        s->out[i] = ps->out[i] == MBR_NO_VALUE ? NULL : &f->values[ps->out[i]];
    if (ps->n_bodies) {
        f->bodies[k] = mbr_arena_calloc(&f->arena, ps->n_bodies, sizeof **f->bodies);
        if (!f->bodies[k])
            return mbr_no_memory(err, sizeof **f->bodies);
        for (uint32_t b = 0; b < ps->n_bodies; b++) {
            MBR_TRY(mbr_frame_new(ps->bodies[b].program, f->run, &f->bodies[k][b], err));
            if (ps->op->flags & MBR_OP_BODY_FORGETS)
                f->bodies[k][b]->slab = &f->run->body_slab;
        }
    }
    f->started[f->n_started++] = k;
    return ps->op->init ? ps->op->init(s, err) : MBR_OK;
}

mbr_status mbr_frame_new(const mbr_program *p, mbr_run *run, mbr_frame **out, mbr_error *err)
{
    mbr_frame *f = mbr_calloc(run->memory, 1, sizeof *f);
    *out = NULL;
    if (!f)
        return mbr_no_memory(err, sizeof *f);
    f->p = p;
    f->run = run;
    f->slab = &f->own_slab;
    mbr_arena_init(&f->arena, run->memory, 64 * 1024);
    mbr_status st = alloc_arrays(f, err);
    for (uint32_t v = 0; v < p->n_values && st == MBR_OK; v++) {
        const mbr_ir_value *ir = p->values[v].ir;
        if (!ir)
            continue;
        f->values[v].kind = ir->type.kind;
        f->values[v].dtype = ir->type.dtype;
        f->values[v].key = ir->type.key;
        if (ir->constant) { /* a default stands until something is bound */
            mbr_value_alias(&f->values[v], ir->constant);
            f->values[v].items = ir->constant->items;
            f->values[v].n_items = ir->constant->n_items;
        }
    }
    if (st == MBR_OK) {
        note_relinked(f);
        note_follows(f);
    }
    bool on_device = false;
    for (uint32_t k = 0; k < p->n_steps && st == MBR_OK; k++) {
        st = start_step(f, k, err);
        on_device |= p->steps[k].on_device || p->steps[k].late;
    }
    mbr_device *device = p->module->device;
    if (st == MBR_OK && (on_device || (device && p->module->device_only && !p->graph->owner)))
        st = mbr_frame_open_device(f, device, err);
    if (st != MBR_OK) {
        mbr_frame_free(f);
        return st;
    }
    *out = f;
    return MBR_OK;
}

void mbr_frame_free(mbr_frame *f)
{
    if (!f)
        return;
    const mbr_program *p = f->p;
    if (f->device)
        p->module->device->fn->close(f->device);
    for (uint32_t i = 0; i < f->n_started; i++) {
        mbr_step *s = &f->steps[f->started[i]];
        if (s->op->fini)
            s->op->fini(s);
    }
    for (uint32_t k = 0; f->bodies && k < p->n_steps; k++)
        for (uint32_t b = 0; f->bodies[k] && b < p->steps[k].n_bodies; b++)
            mbr_frame_free(f->bodies[k][b]);
    for (uint32_t v = 0; f->values && v < p->n_values; v++) {
        if (p->values[v].place == MBR_PLACE_CONST || p->values[v].place == MBR_PLACE_BOUND) {
            f->values[v].items = NULL;
            f->values[v].n_items = 0;
        }
        mbr_value_clear(&f->values[v]);
    }
    for (size_t i = 0; f->own_outputs && i < p->graph->n_outputs; i++)
        mbr_value_clear(&f->own_outputs[i]);
    mbr_run_drop_slab(f->run, &f->own_slab);
    mbr_arena_destroy(&f->arena);
    mbr_free(f->run->memory, f);
}

void mbr_frame_set_hook(mbr_frame *f, mbr_step_hook hook, void *user)
{
    f->hook = hook;
    f->hook_user = user;
    for (uint32_t k = 0; k < f->p->n_steps; k++)
        for (uint32_t b = 0; b < f->p->steps[k].n_bodies; b++)
            mbr_frame_set_hook(f->bodies[k][b], hook, user);
}

void mbr_frame_take_over(mbr_frame *f, const mbr_frame *from)
{
    f->ready = false;
    for (size_t i = 0; i < f->p->graph->n_outputs; i++)
        f->outputs[i] = from->outputs[i] == &from->own_outputs[i] ? &f->own_outputs[i] : from->outputs[i];
}

void mbr_frame_record(mbr_frame *f, struct mbr_spans *spans)
{
    f->run->spans = spans;
}

struct mbr_spans *mbr_frame_spans(const mbr_frame *f)
{
    return f->run->spans;
}

int mbr_frame_workers(const mbr_frame *f)
{
    return f->run->workers;
}

bool mbr_frame_wants_team(const mbr_frame *f)
{
    return f->wants_team && f->run->workers > 1;
}

const mbr_program *mbr_frame_program(const mbr_frame *f)
{
    return f->p;
}

mbr_memory *mbr_frame_memory(const mbr_frame *f)
{
    return f->run->memory;
}

mbr_frame *mbr_frame_body(const mbr_frame *f, size_t i, size_t b)
{
    return f->bodies[i] && b < f->p->steps[i].n_bodies ? f->bodies[i][b] : NULL;
}

bool mbr_frame_prepared(const mbr_frame *f)
{
    return f->prepared;
}

size_t mbr_step_index(const mbr_step *s)
{
    return (size_t)(s - s->frame->steps);
}

/* --- binding --- */

static mbr_status bind_value(mbr_frame *f, const mbr_ir_value *ir, bool *bound, const mbr_value *v, mbr_error *err)
{
    mbr_value *slot = &f->values[ir->id];
    if (v->kind != MBR_KIND_TENSOR) {
        slot->kind = v->kind;
        slot->dtype = v->dtype;
        slot->key = v->key;
        slot->items = v->items;
        slot->n_items = v->n_items;
        *bound = true;
        return MBR_OK;
    }
    if (ir->type.rank >= 0 && v->rank != ir->type.rank)
        return mbr_fail(err, MBR_ERR_INPUT, "%s: input '%s' has rank %d; the model wants rank %d",
                        f->p->module->file, ir->name, v->rank, ir->type.rank);
    if (!*bound || slot->rank != v->rank || slot->dtype != v->dtype)
        f->ready = f->prepared = false;
    else if (memcmp(slot->dims, v->dims, (size_t)v->rank * sizeof *v->dims) != 0)
        f->ready = false;
    mbr_value_alias(slot, v);
    *bound = true;
    return MBR_OK;
}

mbr_status mbr_frame_bind(mbr_frame *f, size_t input, const mbr_value *v, mbr_error *err)
{
    return bind_value(f, f->p->graph->inputs[input], &f->bound[input], v, err);
}

mbr_status mbr_subframe_bind_captures(mbr_step *s, mbr_frame *f, mbr_error *err)
{
    const mbr_ir_graph *g = f->p->graph;
    for (size_t i = 0; i < g->n_captures; i++) {
        const mbr_value *v = s->in[g->capture_slots[i]];
        if (f->p->values[g->captures[i]->id].place == MBR_PLACE_BOUND && v)
            MBR_TRY(bind_value(f, g->captures[i], &f->bound[g->n_inputs + i], v, err));
    }
    return MBR_OK;
}

mbr_status mbr_frame_bind_output(mbr_frame *f, size_t i, mbr_value *v, mbr_error *err)
{
    const mbr_ir_value *ir = f->p->graph->outputs[i];
    if (v && (v->kind != ir->type.kind || (ir->type.dtype && v->dtype != ir->type.dtype)))
        return mbr_fail(err, MBR_ERR_INPUT, "%s: output '%s' is %s; the value bound to it is %s", f->p->module->file,
                        ir->name, mbr_dtype_name(ir->type.dtype), mbr_dtype_name(v->dtype));
    f->outputs[i] = v ? v : &f->own_outputs[i];
    return MBR_OK;
}

bool mbr_frame_appends(const mbr_frame *f, size_t output, size_t input)
{
    const mbr_program *p = f->p;
    const mbr_ir_graph *g = p->graph;
    uint32_t in = g->inputs[input]->id, out = g->outputs[output]->id;
    bool makes = false;
    if (f->device || p->values[out].place != MBR_PLACE_OUTPUT)
        return false;
    for (uint32_t v = 0; v < p->n_values; v++)
        if (p->values[v].place == MBR_PLACE_ALIAS && (mbr_program_root(p, v) == in || mbr_program_root(p, v) == out))
            return false;
    for (size_t i = 0; i < g->n_outputs; i++)
        if (g->outputs[i]->id == in || (i != output && g->outputs[i]->id == out))
            return false;
    for (uint32_t k = 0; k < p->n_steps; k++) {
        const mbr_program_step *s = &p->steps[k];
        uint32_t slot = UINT32_MAX; /* of the input that the output is appended to here */
        for (uint32_t i = 0; i < s->op->appends.n && s->op->appends.out + i < s->n_out && !s->dynamic; i++)
            if (s->out[s->op->appends.out + i] == out)
                slot = s->op->appends.in + i;
        makes = makes || (slot < s->n_in && s->in[slot] == in);
        for (uint32_t i = 0; i < s->n_in; i++) {
            bool can = i < 32 && (s->op->roomy_inputs >> i & 1) && !s->dynamic;
            if ((s->in[i] == in && i != slot) || (s->in[i] == out && !can))
                return false;
        }
    }
    return makes;
}

void mbr_frame_lend(mbr_frame *f, size_t output, const mbr_value *state)
{
    f->lent[output] = f->outputs[output] == &f->own_outputs[output] ? state : NULL;
}

/* --- running a step --- */

typedef struct team_job {
    mbr_step *s;
    int phase;
    char *scratch;
    size_t scratch_each;
    atomic_int status;
    mbr_error *err;      /* of whoever fails first */
} team_job;

bool mbr_run_stopped(mbr_run *run)
{
    if (run->deadline && mbr_spans_now() >= run->deadline)
        atomic_store_explicit(&run->cancelled, true, memory_order_relaxed);
    return atomic_load_explicit(&run->cancelled, memory_order_relaxed);
}

bool mbr_run_stopped_after(mbr_run *run, double cost_ns)
{
    run->unlooked += cost_ns > MBR_LEAST_NS ? cost_ns : MBR_LEAST_NS;
    if (run->unlooked < LOOK_NS)
        return atomic_load_explicit(&run->cancelled, memory_order_relaxed);
    run->unlooked = 0.0;
    return mbr_run_stopped(run);
}

static bool run_tiles(void *user, size_t first, size_t last, int worker)
{
    team_job *t = user;
    mbr_error local;
    const mbr_frame *f = t->s->frame;
    mbr_step here, *s = t->s;
    mbr_job job = { t->phase, first, last, worker, t->scratch + (size_t)worker * t->scratch_each };
    if (mbr_run_stopped(f->run))
        return false;
    mbr_spans *spans = f->run->spans;
    uint64_t begin = spans ? mbr_spans_now() : 0;
    if (f->p->replicas && f->run->team) { /* a thread reads the weights of its own node */
        here = *s;
        here.packed = mbr_replica(f->p, &f->p->steps[s - f->steps], mbr_team_node(f->run->team, worker));
        s = &here;
    }
    mbr_status st = s->op->run(s, &job, &local);
    if (spans)
        mbr_spans_add(spans, worker, spans->entry, t->phase, begin, last - first);
    if (st == MBR_OK)
        return true;
    int none = MBR_OK;
    if (atomic_compare_exchange_strong(&t->status, &none, (int)st) && t->err)
        *t->err = local;
    return false;
}

mbr_status mbr_frame_cancelled(const mbr_frame *f, mbr_error *err)
{
    bool late = f->run->deadline && mbr_spans_now() >= f->run->deadline;
    return mbr_fail(err, MBR_ERR_CANCELLED, late ? "%s: the run's time was up" : "%s: the run was cancelled",
                    f->p->module->file);
}

/* Threads that a step may have. */
static int workers_for(const mbr_frame *f, const mbr_step *s)
{
    int most = f->threads ? f->threads[s - f->steps] : 0;
    return most > 0 && most < f->run->workers ? most : f->run->workers;
}

static mbr_status run_phase(mbr_frame *f, mbr_step *s, int phase, mbr_error *err)
{
    mbr_run *run = f->run;
    int workers = workers_for(f, s);
    size_t tiles = s->tiles[phase];
    if (tiles == 0)
        return MBR_OK;
    if (tiles == 1 || s->cost_ns < CANCEL_NS) {
        if (tiles == 1 || workers == 1 || s->cost_ns < MBR_TEAM_WORTH_NS) {
            mbr_job job = { phase, 0, tiles, 0, run->scratch };
            return s->op->run(s, &job, err);
        }
    }
    team_job t = { .s = s, .phase = phase, .scratch = run->scratch, .scratch_each = run->scratch_each, .err = err };
    atomic_init(&t.status, MBR_OK);
    /* enough pieces to balance, each short enough for a look at the cancel flag */
    size_t pieces = (size_t)(s->cost_ns / CANCEL_NS) + 1;
    pieces = mbr_max_size(pieces, (size_t)workers * 4);
    size_t grain = mbr_max_size(tiles / pieces, 1);
    bool done = true;
    if (run->team && workers > 1) {
        done = mbr_team_run(run->team, workers, tiles, grain, run_tiles, &t, &run->cancelled);
    } else {
        for (size_t at = 0; at < tiles && done; at += grain)
            done = run_tiles(&t, at, mbr_min_size(at + grain, tiles), 0);
    }
    if (done)
        return MBR_OK;
    mbr_status st = (mbr_status)atomic_load(&t.status);
    return st != MBR_OK ? st : mbr_frame_cancelled(f, err);
}

mbr_status mbr_frame_run_phases(mbr_frame *f, mbr_step *s, mbr_error *err)
{
    for (int phase = 0; phase < s->phases; phase++)
        MBR_TRY(run_phase(f, s, phase, err));
    return MBR_OK;
}

/* --- steps whose shapes only the run tells --- */

static void arg_of_value(const mbr_program_value *pv, const mbr_value *v, mbr_arg *a)
{
    memset(a, 0, sizeof *a);
    a->present = true;
    a->kind = v->kind;
    a->dtype = v->dtype;
    a->key = v->key;
    a->rank = -1;
    if (v->kind == MBR_KIND_TENSOR) {
        a->rank = v->rank;
        for (int d = 0; d < v->rank; d++)
            a->dims[d] = v->dims[d];
        a->data = v;
    } else {
        a->data = v;
        a->item = pv->ir ? pv->ir->type.item : NULL;
    }
}

mbr_status mbr_frame_infer(mbr_frame *f, const mbr_program_step *ps, mbr_step *s, mbr_error *err)
{
    mbr_arg *args = f->args;
    if (s->op->flags & MBR_OP_CONTROL)
        return MBR_OK; /* its bodies are inferred when they were planned; its run sizes the outputs */
    mbr_infer c = { .node = s->node, .err = err, .n_in = s->n_in, .n_out = s->n_out, .in = args,
                    .out = args + s->n_in };
    int64_t numbers[8][64];
    size_t used = 0;
    for (uint32_t i = 0; i < s->n_in; i++) {
        if (!s->in[i]) {
            memset(&args[i], 0, sizeof args[i]);
            args[i].rank = -1;
            continue;
        }
        const mbr_program_value *pv = &f->p->values[ps->in[i]];
        arg_of_value(pv, s->in[i], &args[i]);
        if (pv->place == MBR_PLACE_NONE || (pv->ir->content && pv->place != MBR_PLACE_CONTENT && !pv->ir->constant)) {
            /* its numbers are known though nothing made its data */
            size_t n = 0;
            if (used < MBR_COUNT_OF(numbers) &&
                mbr_step_ints(s, i, numbers[used], MBR_COUNT_OF(numbers[0]), &n, NULL) == MBR_OK) {
                args[i].content = numbers[used++];
                args[i].n_content = n;
            }
            if (pv->place == MBR_PLACE_NONE) {
                args[i].data = NULL;
                args[i].rank = pv->ir->type.rank;
                args[i].dtype = pv->ir->type.dtype;
                for (int d = 0; d < args[i].rank; d++)
                    args[i].dims[d] = mbr_dim_value(pv->ir->type.dims[d], f->run->dims);
            }
        }
    }
    for (uint32_t i = 0; i < s->n_out; i++) {
        memset(&c.out[i], 0, sizeof c.out[i]);
        c.out[i].rank = -1;
        c.out[i].present = s->out[i] != NULL;
    }
    if (s->op->infer)
        MBR_TRY(s->op->infer(&c));
    for (uint32_t i = 0; i < s->n_out; i++) {
        if (!s->out[i])
            continue;
        const mbr_arg *a = &c.out[i];
        mbr_value *v = s->out[i];
        if (a->kind != v->kind)
            mbr_value_empty(v);
        v->kind = a->kind;
        v->key = a->key;
        if (a->dtype)
            v->dtype = a->dtype;
        if (a->kind != MBR_KIND_TENSOR || (i == 0 && (s->op->flags & MBR_OP_VIEW)))
            continue;
        bool known = a->rank >= 0;
        for (int d = 0; d < a->rank; d++)
            known &= mbr_dim_is_const(a->dims[d]);
        if (known && f->p->values[ps->out[i]].place == MBR_PLACE_OWN) {
            mbr_status st = mbr_value_resize(v, v->dtype, a->rank, a->dims, err);
            if (st != MBR_OK)
                return mbr_ir_fail_at(s->node, err, st);
        } else if (!known && !(s->op->flags & (MBR_OP_SIZED_BY_RUN | MBR_OP_CONTROL))) {
            return mbr_step_fail(s, err, MBR_ERR_RUN, "the shape of output %u cannot be told from its inputs", i);
        }
    }
    if ((s->op->flags & MBR_OP_VIEW) && s->out[0]->kind == MBR_KIND_TENSOR) {
        mbr_value *v = s->out[0];
        v->data = s->in[0]->data;
        v->capacity = s->in[0]->capacity;
        v->dtype = c.out[0].dtype ? c.out[0].dtype : s->in[0]->dtype;
        v->rank = c.out[0].rank;
        for (int d = 0; d < v->rank; d++)
            v->dims[d] = c.out[0].dims[d];
        if (v->rank < 0)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "the shape of its output cannot be told from its inputs");
        size_t bytes;
        mbr_status st = mbr_shape_bytes(v->dtype, v->rank, v->dims, &bytes, err);
        if (st != MBR_OK)
            return mbr_ir_fail_at(s->node, err, st);
    }
    return MBR_OK;
}

/* A view of a container shares its items. */
static mbr_status view_items(mbr_step *s, mbr_error *err)
{
    mbr_value *out = s->out[0];
    const mbr_value *in = s->in[0];
    mbr_value_empty(out);
    out->kind = in->kind;
    out->dtype = in->dtype;
    out->key = in->key;
    for (size_t i = 0; i < in->n_items; i++)
        MBR_TRY(mbr_value_push(out, in->items[i], err));
    return MBR_OK;
}

mbr_status mbr_frame_run_dynamic(mbr_frame *f, const mbr_program_step *ps, mbr_step *s, mbr_error *err)
{
    MBR_TRY(mbr_frame_infer(f, ps, s, err));
    if (!s->op->run)
        return s->out[0]->kind != MBR_KIND_TENSOR ? view_items(s, err) : mbr_frame_prepare_step(f, s, err);
    MBR_TRY(mbr_frame_prepare_step(f, s, err));
    return mbr_frame_run_phases(f, s, err);
}

/* --- the run --- */

/* The axis along which the node appends to what becomes v. */
static int append_axis(const mbr_ir_value *v)
{
    int64_t axis = v->producer->op->appends.axis ? v->producer->op->appends.axis : mbr_attr_int(v->producer, "axis", 0);
    return (int)(axis < 0 ? axis + v->type.rank : axis);
}

/* An output that is appended to: behind what is there already, else with room for the next ones. */
static mbr_status open_roomy(mbr_value *out, const mbr_value *shape, const mbr_value *state, int axis, mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK], n = shape->dims[axis];
    bool fits = state->room == 0 && state->dims[axis] == n; /* a cache that was made as long as it gets */
    if (fits || (state->room >= n && state->room_axis == axis)) {
        mbr_value_alias(out, state);
        out->dims[axis] = n;
        return MBR_OK;
    }
    memcpy(dims, shape->dims, sizeof dims);
    dims[axis] = n + n / 2 + 16;
    if (n > INT32_MAX || mbr_value_resize(out, shape->dtype, shape->rank, dims, NULL) != MBR_OK)
        return mbr_value_resize(out, shape->dtype, shape->rank, shape->dims, err);
    out->room_axis = axis;
    out->room = dims[axis];
    out->dims[axis] = n;
    return MBR_OK;
}

static mbr_status open_outputs(mbr_frame *f, mbr_error *err)
{
    const mbr_program *p = f->p;
    for (size_t i = 0; i < p->graph->n_outputs; i++) {
        uint32_t v = p->graph->outputs[i]->id, r = mbr_program_root(p, v);
        if (p->values[r].place != MBR_PLACE_OUTPUT || p->values[r].output != i)
            continue;
        const mbr_value *shape = &f->values[v];
        mbr_value *out = f->outputs[i];
        if (f->lent[i]) {
            MBR_TRY(open_roomy(out, shape, f->lent[i], append_axis(p->values[v].ir), err));
        } else if (out->own || out == &f->own_outputs[i]) {
            MBR_TRY(mbr_value_resize(out, shape->dtype, shape->rank, shape->dims, err));
        } else { /* the caller's memory */
            size_t bytes = mbr_value_bytes(shape);
            if (bytes > out->capacity)
                return mbr_fail(err, MBR_ERR_INPUT, "%s: output '%s' needs %zu bytes; the tensor bound to it has %zu",
                                p->module->file, p->values[v].ir->name, bytes, out->capacity);
            mbr_value_alias(out, &(mbr_value){ .kind = MBR_KIND_TENSOR, .dtype = shape->dtype, .rank = 0,
                                               .data = out->data, .capacity = out->capacity });
            out->rank = shape->rank;
            memcpy(out->dims, shape->dims, (size_t)shape->rank * sizeof *shape->dims);
        }
        f->values[r].data = out->data;
        f->values[r].capacity = out->capacity;
        f->values[r].room = out->room;
        f->values[r].room_axis = out->room_axis;
    }
    for (uint32_t i = 0; i < f->n_relinked; i++) {
        uint32_t v = f->relinked[i], r = mbr_program_root(p, v);
        f->values[v].data = f->values[r].data;
        f->values[v].capacity = f->values[r].capacity;
    }
    return MBR_OK;
}

bool mbr_frame_in_storage(const mbr_frame *f, size_t i)
{
    const mbr_program *p = f->p;
    uint32_t r = mbr_program_root(p, p->graph->outputs[i]->id);
    return p->values[r].place == MBR_PLACE_OUTPUT && p->values[r].output == i;
}

static mbr_status close_outputs(mbr_frame *f, mbr_error *err)
{
    const mbr_program *p = f->p;
    for (size_t i = 0; i < p->graph->n_outputs; i++) {
        uint32_t v = p->graph->outputs[i]->id;
        bool bound = f->outputs[i] != &f->own_outputs[i];
        if (mbr_frame_in_storage(f, i) || (!bound && p->values[v].place == MBR_PLACE_OWN))
            continue;
        const mbr_value *from = &f->values[v];
        mbr_value *to = f->outputs[i];
        if (bound && !to->own && to->data) { /* the caller's memory: no growth */
            if (from->kind != MBR_KIND_TENSOR || mbr_value_bytes(from) > to->capacity)
                return mbr_fail(err, MBR_ERR_INPUT, "%s: output '%s' does not fit into the tensor bound to it",
                                p->module->file, p->values[v].ir->name);
            to->rank = from->rank;
            memcpy(to->dims, from->dims, (size_t)from->rank * sizeof *from->dims);
            if (mbr_value_bytes(from))
                memcpy(to->data, from->data, mbr_value_bytes(from));
            continue;
        }
        MBR_TRY(mbr_value_assign(to, from, err));
    }
    return MBR_OK;
}

mbr_status mbr_frame_run(mbr_frame *f, mbr_error *err)
{
    const mbr_program *p = f->p;
    MBR_TRY(mbr_frame_prepare(f, err));
    MBR_TRY(open_outputs(f, err));
    if (f->device) {
        bool failed = false;
        mbr_status st = mbr_frame_run_placed(f, &failed, err);
        if (st == MBR_OK)
            return close_outputs(f, err);
        if (!failed || p->module->device_only)
            return st;
        mbr_log_at(p->module->log, MBR_LOG_WARNING, "%s: %s: the CPU runs it all again", p->module->file,
                   err ? err->text : p->module->device->name);
    }
    for (uint32_t k = 0; k < p->n_steps; k++) {
        const mbr_program_step *ps = &p->steps[k];
        mbr_step *s = &f->steps[k];
        if (ps->in_place && !ps->dynamic)
            continue;
        if (f->hook)
            f->hook(f->hook_user, s, true);
        mbr_status st = MBR_OK;
        if (ps->dynamic)
            st = mbr_frame_run_dynamic(f, ps, s, err);
        else if (!s->op->run)
            mbr_frame_view_now(s);
        else if (s->phases == 1 && s->tiles[0] == 1)
            st = s->op->run(s, &(mbr_job){ 0, 0, 1, 0, f->run->scratch }, err);
        else
            st = mbr_frame_run_phases(f, s, err);
        if (f->hook)
            f->hook(f->hook_user, s, false);
        if (st != MBR_OK)
            return mbr_frame_blame(s, st, err);
        if (mbr_run_stopped_after(f->run, s->cost_ns))
            return mbr_frame_cancelled(f, err);
    }
    return close_outputs(f, err);
}

/* --- outputs --- */

const mbr_value *mbr_frame_output(const mbr_frame *f, size_t i)
{
    uint32_t v = f->p->graph->outputs[i]->id;
    if (f->outputs[i] == &f->own_outputs[i] && !mbr_frame_in_storage(f, i) && f->p->values[v].place == MBR_PLACE_OWN)
        return &f->values[v];
    return f->outputs[i];
}

mbr_status mbr_frame_swap_output(mbr_frame *f, size_t i, mbr_value *into, mbr_error *err)
{
    mbr_value *from = (mbr_value *)mbr_frame_output(f, i);
    if (f->lent[i] == into && from->data == into->data) { /* appended in place */
        memcpy(into->dims, from->dims, sizeof into->dims);
        from->data = from->own;
        from->capacity = mbr_block_bytes(from->own);
        from->room = 0;
        return MBR_OK;
    }
    bool again = false; /* the same value comes out a second time: leave it there */
    for (size_t j = 0; j < f->p->graph->n_outputs; j++)
        again |= j != i && f->p->graph->outputs[j] == f->p->graph->outputs[i];
    if (again || from->kind != MBR_KIND_TENSOR || !from->own || from->data != from->own ||
        from->dtype == MBR_DTYPE_STRING || f->outputs[i] != &f->own_outputs[i])
        return mbr_value_assign(into, from, err);
    mbr_value_empty(into);
    void *own = into->own;
    size_t capacity = mbr_block_bytes(own);
    into->kind = MBR_KIND_TENSOR;
    into->dtype = from->dtype;
    into->rank = from->rank;
    memcpy(into->dims, from->dims, (size_t)from->rank * sizeof *from->dims);
    into->room_axis = from->room_axis;
    into->room = from->room;
    from->room = 0;
    into->own = into->data = from->own;
    into->capacity = from->capacity;
    from->own = from->data = own;
    from->capacity = capacity;
    if (from->own == NULL)
        from->rank = 0;
    return MBR_OK;
}

/* --- folding --- */

#define GIVE_AWAY_BYTES ((size_t)1 << 12)

/* A weight in another layout need not be copied once more: a tensor in memory of its own hands it over. */
static bool give_away(mbr_value *to, mbr_value *from)
{
    size_t bytes = from->kind == MBR_KIND_TENSOR && from->dtype != MBR_DTYPE_STRING ? mbr_value_bytes(from) : 0;
    if (bytes < GIVE_AWAY_BYTES || !from->own || from->data != from->own || from->memory != to->memory ||
        from->capacity / 2 > bytes)
        return false;
    to->rank = from->rank;
    memcpy(to->dims, from->dims, (size_t)from->rank * sizeof *from->dims);
    to->own = to->data = from->own;
    to->capacity = from->capacity;
    from->own = from->data = NULL;
    from->capacity = 0;
    return true;
}

mbr_status mbr_eval_node(mbr_ir_node *n, mbr_value **outputs, mbr_error *err)
{
    mbr_program *p = NULL;
    mbr_frame *f = NULL;
    mbr_run run;
    memset(outputs, 0, n->n_outputs * sizeof *outputs);
    mbr_status st = mbr_run_init(&run, n->graph->module->memory, NULL, 1, n->graph->module, err);
    MBR_TRY_GOTO(st, error);
    MBR_TRY_GOTO(mbr_program_of_node(n, &p, err), error);
    MBR_TRY_GOTO(mbr_frame_new(p, &run, &f, err), error);
    MBR_TRY_GOTO(mbr_frame_run_dynamic(f, &p->steps[0], &f->steps[0], err), error);
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        if (!n->outputs[i])
            continue;
        mbr_value *from = f->steps[0].out[i];
        MBR_TRY_GOTO(mbr_value_create(run.memory, from->kind, from->dtype, &outputs[i], err), error);
        if (!give_away(outputs[i], from))
            MBR_TRY_GOTO(mbr_value_assign(outputs[i], from, err), error);
    }
    mbr_frame_free(f);
    mbr_program_free(p);
    mbr_run_destroy(&run);
    return MBR_OK;
error:
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        mbr_value_drop(outputs[i]);
        outputs[i] = NULL;
    }
    mbr_frame_free(f);
    mbr_program_free(p);
    mbr_run_destroy(&run);
    return st;
}

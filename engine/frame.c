/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/frame.h"
#include "engine/device.h"
#include "base/checked.h"
#include "engine/spans.h"

#include <string.h>

/* Steps shorter than this are not worth waking the team. */
#define TEAM_WORTH_NS 15000.0
/* Between two looks at the cancel flag. */
#define CANCEL_NS 200000.0
/* Between two looks at the clock, where there is a deadline: steps have at least LEAST_NS for what their cost leaves out. */
#define LOOK_NS 50000.0
#define LEAST_NS 500.0

/* What sizes follow from: a bit for each expression over symbols (some share one), and two more. */
#define FOLLOWS_EXPR(i) (UINT64_C(1) << (i) % 62)
#define FOLLOWS_RUN (UINT64_C(1) << 62)  /* from more than the plan knows */
#define FOLLOWS_NONE (UINT64_C(1) << 63) /* all do: it moves before the first time */

/* Values whose data moves with an input or output: it and its planned aliases. */
typedef struct frame_link {
    mbr_value **values; /* (n) */
    uint32_t n;
} frame_link;

struct mbr_frame {
    const mbr_program *p;
    mbr_run *run;
    mbr_value *values;      /* (p->n_values) */
    mbr_step *steps;        /* (p->n_steps) */
    mbr_frame ***bodies;    /* (p->n_steps) each (n_bodies), NULL where there are none */
    uint32_t *started;      /* steps whose init ran: for fini */
    uint32_t n_started;
    char *states;
    mbr_slab own_slab;
    mbr_slab *slab;         /* its own, or the one that it shares */
    unsigned slab_moves;    /* of the slab, when sizes and offsets were worked out */
    size_t slab_used;
    size_t *ends, *rooms;   /* (p->n_values) of slab values: where they end, and bytes they take */
    mbr_value **outputs;    /* (n_outputs) where output i is written: own_outputs[i] or the caller's */
    mbr_value *own_outputs; /* (n_outputs) */
    bool *bound;            /* (n_inputs + n_captures) */
    bool wants_team;        /* some step is worth it */
    bool ready;             /* sizes and offsets hold for what is bound */
    bool prepared;          /* all steps are, for the sizes that were seen */
    int64_t *seen;          /* (expressions) the sizes that all was laid out and prepared for */
    uint64_t *follows;      /* (values) what their sizes and content follow from */
    uint64_t *step_follows; /* (steps) the same of all that a step reads and writes */
    uint32_t *views;        /* (2 n_views) planned aliases and their roots */
    uint32_t n_views;
    uint32_t *relinked;     /* (n_relinked) planned aliases of bound values and outputs: their data moves between runs */
    uint32_t n_relinked;
    frame_link *links;      /* (n_inputs + n_outputs) once settled; none for an output without storage of its own */
    mbr_step **round;       /* (n_round) steps that a round runs */
    uint32_t n_round;
    mbr_device_frame *device; /* NULL: the CPU runs all steps */
    mbr_step_hook hook;
    void *hook_user;
    mbr_arena arena;        /* the arrays above */
    mbr_arg *args;          /* room for the inference of a dynamic step: as many as the largest has inputs and outputs */
};

/* --- the run --- */

static void drop_slab(mbr_run *run, mbr_slab *slab)
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
    return run->dims ? MBR_OK : mbr_no_memory(err, m->dims.n * sizeof *run->dims);
}

void mbr_run_destroy(mbr_run *run)
{
    mbr_free(run->memory, run->dims);
    mbr_free(run->memory, run->scratch);
    drop_slab(run, &run->body_slab);
    mbr_arena_destroy(&run->arena);
    run->dims = NULL;
    run->scratch = NULL;
}

static mbr_status need_scratch(mbr_run *run, size_t each, mbr_error *err)
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
    return mbr_dim_is_expr(d) ? FOLLOWS_EXPR(mbr_dim_index(d)) : 0;
}

/* What the sizes and numbers of values, and with them what steps prepare, follow from. */
static void note_follows(mbr_frame *f)
{
    const mbr_program *p = f->p;
    for (uint32_t v = 0; v < p->n_values; v++) {
        const mbr_program_value *pv = &p->values[v];
        const mbr_ir_value *ir = pv->ir;
        f->follows[v] = FOLLOWS_NONE | (pv->planned || pv->place == MBR_PLACE_CONST ? 0 : FOLLOWS_RUN);
        for (int d = 0; ir && d < ir->type.rank; d++)
            f->follows[v] |= follows_of(ir->type.dims[d]);
        for (size_t i = 0; ir && ir->content && i < ir->n_content; i++)
            f->follows[v] |= follows_of(ir->content[i]);
    }
    for (uint32_t k = 0; k < p->n_steps; k++) {
        const mbr_program_step *ps = &p->steps[k];
        f->step_follows[k] = FOLLOWS_NONE | (ps->dynamic || ps->n_bodies ? FOLLOWS_RUN : 0);
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
    f->bound = mbr_arena_calloc(a, g->n_inputs + g->n_captures + 1, sizeof *f->bound);
    size_t most = 1;
    for (uint32_t k = 0; k < p->n_steps; k++)
        if (p->steps[k].dynamic)
            most = mbr_max_size(most, (size_t)p->steps[k].n_in + p->steps[k].n_out);
    f->args = mbr_arena_alloc(a, most * sizeof *f->args);
    if (!f->values || !f->own_outputs || !f->steps || !f->bodies || !f->started || !f->states || !f->ends ||
        !f->rooms || !f->seen || !f->follows || !f->step_follows || !f->views ||
        !f->relinked || !f->outputs || !f->bound || !f->args)
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

/* A device that does not let us in leaves everything to the CPU, where that is allowed. */
static mbr_status open_device(mbr_frame *f, mbr_device *device, mbr_error *err)
{
    const mbr_ir_module *m = f->p->module;
    mbr_error why;
    mbr_status st = device->fn->open(device, f, &f->device, &why);
    if (st == MBR_OK)
        return MBR_OK;
    if (st == MBR_ERR_NO_MEMORY || m->device_only)
        return mbr_fail(err, st, "%s", why.text);
    mbr_log_at(m->log, MBR_LOG_WARNING, "%s: %s: the CPU runs it", m->file, why.text);
    return MBR_OK;
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
        st = open_device(f, device, err);
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
    drop_slab(f->run, &f->own_slab);
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

void mbr_frame_record(mbr_frame *f, struct mbr_spans *spans)
{
    f->run->spans = spans;
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

/* --- sizes --- */

static mbr_status bind_symbols(mbr_frame *f, const mbr_ir_value *ir, mbr_error *err)
{
    const mbr_dim_table *t = &f->p->module->dims;
    const mbr_value *v = &f->values[ir->id];
    if (ir->type.kind != MBR_KIND_TENSOR)
        return MBR_OK;
    for (int d = 0; d < ir->type.rank; d++) {
        mbr_dim want = ir->type.dims[d];
        if (mbr_dim_is_const(want)) {
            if (want != v->dims[d])
                return mbr_fail(err, MBR_ERR_INPUT, "%s: input '%s', axis %d: size %lld; the model wants %lld",
                                f->p->module->file, ir->name, d, (long long)v->dims[d], (long long)want);
            continue;
        }
        if (!mbr_dim_is_known(want) || mbr_dim_scope(t, want) != f->p->graph->scope)
            continue;
        size_t at = mbr_dim_index(want);
        const mbr_dim_expr *e = &t->exprs[at];
        if (e->op != MBR_DIM_SYMBOL)
            continue;
        if (f->run->dims[at] < 0) {
            f->run->dims[at] = v->dims[d];
        } else if (f->run->dims[at] != v->dims[d]) {
            return mbr_fail(err, MBR_ERR_INPUT,
                            "%s: input '%s', axis %d: size %lld, but dimension '%s' is %lld in another input; they "
                            "must agree",
                            f->p->module->file, ir->name, d, (long long)v->dims[d], e->name ? e->name : "?",
                            (long long)f->run->dims[at]);
        }
    }
    return MBR_OK;
}

/* The axes of an input whose sizes follow from those of others, as text may declare them. */
static mbr_status check_computed(const mbr_frame *f, const mbr_ir_value *ir, mbr_error *err)
{
    const mbr_dim_table *t = &f->p->module->dims;
    const mbr_value *v = &f->values[ir->id];
    char text[128];
    if (ir->type.kind != MBR_KIND_TENSOR)
        return MBR_OK;
    for (int d = 0; d < ir->type.rank; d++) {
        mbr_dim want = ir->type.dims[d];
        if (!mbr_dim_is_expr(want) || mbr_dim_scope(t, want) != f->p->graph->scope ||
            mbr_dim_value(want, f->run->dims) == v->dims[d])
            continue;
        mbr_dim_print(t, want, text, sizeof text);
        return mbr_fail(err, MBR_ERR_INPUT, "%s: input '%s', axis %d: size %lld; with the other inputs at their sizes, "
                        "%s is %lld", f->p->module->file, ir->name, d, (long long)v->dims[d], text,
                        (long long)mbr_dim_value(want, f->run->dims));
    }
    return MBR_OK;
}

static mbr_status eval_symbols(mbr_frame *f, mbr_error *err)
{
    const mbr_ir_graph *g = f->p->graph;
    const mbr_dim_table *t = &f->p->module->dims;
    for (size_t i = 0; i < t->n; i++)
        if (t->exprs[i].op == MBR_DIM_SYMBOL && t->exprs[i].scope == g->scope)
            f->run->dims[i] = -1;
    for (size_t i = 0; i < g->n_inputs; i++) {
        const mbr_ir_value *ir = g->inputs[i];
        if (!f->bound[i] && !ir->has_default && (ir->uses || g == f->p->module->main))
            return mbr_fail(err, MBR_ERR_INPUT, "%s: input '%s' is missing; bind a value to it", f->p->module->file,
                            ir->name);
        MBR_TRY(bind_symbols(f, ir, err));
    }
    for (size_t i = 0; i < g->n_captures; i++)
        if (f->bound[g->n_inputs + i])
            MBR_TRY(bind_symbols(f, g->captures[i], err));
    for (size_t i = 0; i < t->n; i++)
        if (t->exprs[i].op == MBR_DIM_SYMBOL && t->exprs[i].scope == g->scope && f->run->dims[i] < 0)
            f->run->dims[i] = 0; /* of an input that is not used */
    MBR_TRY(mbr_dim_table_eval(t, g->scope, f->run->dims, err));
    for (size_t i = 0; i < g->n_inputs; i++)
        if (f->bound[i])
            MBR_TRY(check_computed(f, g->inputs[i], err));
    return MBR_OK;
}

static mbr_status set_dims(mbr_frame *f, uint32_t v, size_t *bytes, mbr_error *err)
{
    const mbr_ir_value *ir = f->p->values[v].ir;
    mbr_value *slot = &f->values[v];
    slot->dtype = ir->type.dtype;
    slot->rank = ir->type.rank;
    for (int d = 0; d < slot->rank; d++)
        slot->dims[d] = mbr_dim_value(ir->type.dims[d], f->run->dims);
    mbr_status st = mbr_shape_bytes(slot->dtype, slot->rank, slot->dims, bytes, err);
    if (st != MBR_OK && ir->producer)
        return mbr_ir_fail(ir->producer, err, st,
                           "the shapes of its inputs do not fit each other, or its output would have an impossible size");
    return st;
}

static void write_content(mbr_frame *f, uint32_t v)
{
    const mbr_ir_value *ir = f->p->values[v].ir;
    mbr_value *slot = &f->values[v];
    size_t size = mbr_dtype_size(slot->dtype);
    for (size_t i = 0; i < ir->n_content; i++) {
        int64_t x = mbr_dim_value(ir->content[i], f->run->dims);
        int8_t x8 = (int8_t)x;
        int16_t x16 = (int16_t)x;
        int32_t x32 = (int32_t)x;
        const void *bytes = size == 1 ? (void *)&x8 : size == 2 ? (void *)&x16 : size == 4 ? (void *)&x32 : (void *)&x;
        memcpy((char *)slot->data + i * size, bytes, size);
    }
}

static mbr_status grow_slab(mbr_frame *f, size_t bytes, mbr_error *err)
{
    mbr_run *run = f->run;
    mbr_slab *slab = f->slab;
    if (bytes <= slab->bytes)
        return MBR_OK;
    size_t want = mbr_max_size(bytes, slab->bytes + slab->bytes / 2);
    if (run->slab_limit) {
        size_t others = run->slab_bytes - slab->bytes;
        if (bytes > run->slab_limit || others > run->slab_limit - bytes)
            return mbr_fail(err, MBR_ERR_LIMIT, "%s: the run needs %zu bytes of activations; the session's limit is %zu",
                            f->p->module->file, others + bytes, run->slab_limit);
        want = mbr_min_size(want, run->slab_limit - others);
    }
    drop_slab(run, slab);
    slab->data = mbr_alloc(run->memory, want);
    if (!slab->data) {
        want = bytes;
        slab->data = mbr_alloc(run->memory, want);
    }
    if (!slab->data)
        return mbr_no_memory(err, want);
    slab->bytes = want;
    run->slab_bytes += want;
    return MBR_OK;
}

/* Places in the slab, after some value's room is another. */
static mbr_status lay_out_slab(mbr_frame *f, mbr_error *err)
{
    const mbr_program *p = f->p;
    size_t top = 0, end;
    for (uint32_t k = 0; k < p->n_slab; k++) {
        uint32_t v = p->slab_order[k];
        size_t at = 0;
        for (uint32_t i = 0; i < p->values[v].n_below; i++)
            at = mbr_max_size(at, f->ends[p->values[v].below[i]]);
        if (!mbr_add_size(at, f->rooms[v], &end))
            return mbr_fail(err, MBR_ERR_LIMIT, "%s: the activations' size overflows", p->module->file);
        f->ends[v] = end;
        top = mbr_max_size(top, end);
    }
    f->slab_used = top;
    return grow_slab(f, top, err);
}

/* Who ran out of memory; other failures say so themselves. */
static mbr_status blame(const mbr_step *s, mbr_status st, mbr_error *err)
{
    return st == MBR_ERR_NO_MEMORY ? mbr_ir_fail_at(s->node, err, st) : st;
}

static mbr_status prepare_step(mbr_frame *f, mbr_step *s, mbr_error *err)
{
    s->phases = 1;
    for (int i = 0; i < MBR_MAX_PHASES; i++)
        s->tiles[i] = 1;
    s->scratch = 0;
    s->cost_ns = 0;
    s->kernel = NULL;
    if (s->op->prepare) {
        mbr_status st = s->op->prepare(s, err);
        if (st != MBR_OK)
            return blame(s, st, err);
    }
    f->wants_team = f->wants_team || s->cost_ns >= TEAM_WORTH_NS;
    return blame(s, need_scratch(f->run, s->scratch, err), err);
}

/* A view shows all elements of what it is a view of: a plan takes that for granted where it knows one side only. */
static mbr_status check_view(const mbr_frame *f, uint32_t v, mbr_error *err)
{
    const mbr_value *view = &f->values[v], *of = &f->values[f->p->values[v].root];
    const mbr_ir_node *n = f->p->values[v].ir->producer;
    if (mbr_value_bytes(view) == mbr_value_bytes(of))
        return MBR_OK;
    return mbr_ir_fail(n, err, MBR_ERR_INPUT, "%zu elements do not fit a shape of %zu", mbr_value_count(of),
                       mbr_value_count(view));
}

/* What has other sizes than were seen. */
static uint64_t moved_since(const mbr_frame *f)
{
    uint64_t moved = FOLLOWS_RUN;
    if (!f->prepared)
        return UINT64_MAX;
    for (size_t i = 0; i < f->p->module->dims.n; i++)
        moved |= f->seen[i] != f->run->dims[i] ? FOLLOWS_EXPR(i) : 0;
    return moved;
}

/* Sizes of the values that follow from what has moved. Tells whether places in the slab do. */
static mbr_status size_values(mbr_frame *f, uint64_t moved, bool *shift, mbr_error *err)
{
    const mbr_program *p = f->p;
    for (uint32_t v = 0; v < p->n_values; v++) {
        if (!(f->follows[v] & moved))
            continue;
        const mbr_program_value *pv = &p->values[v];
        size_t bytes, room;
        if (!pv->planned || pv->place == MBR_PLACE_NONE || pv->place == MBR_PLACE_CONST ||
            pv->place == MBR_PLACE_BOUND)
            continue;
        MBR_TRY(set_dims(f, v, &bytes, err));
        if (pv->place == MBR_PLACE_CONTENT || pv->place == MBR_PLACE_OWN)
            MBR_TRY(mbr_value_resize(&f->values[v], f->values[v].dtype, f->values[v].rank, f->values[v].dims, err));
        if (pv->place == MBR_PLACE_CONTENT)
            write_content(f, v);
        if (pv->place != MBR_PLACE_SLAB)
            continue;
        if (!mbr_round_up(bytes, MBR_ALIGN, &room))
            return mbr_fail(err, MBR_ERR_LIMIT, "%s: the activations' size overflows", p->module->file);
        *shift |= room != f->rooms[v];
        f->rooms[v] = room;
        f->values[v].capacity = bytes;
    }
    return MBR_OK;
}

/*
 * A decoder's past grows with each step, while its weights push all this out of the caches: only what follows from a size
 * that is another than before is looked at.
 */
static mbr_status lay_out(mbr_frame *f, mbr_error *err)
{
    const mbr_program *p = f->p;
    MBR_TRY(eval_symbols(f, err));
    uint64_t moved = moved_since(f);
    bool shift = !f->prepared;
    f->prepared = false; /* until all of it is */
    MBR_TRY(size_values(f, moved, &shift, err));
    if (shift)
        MBR_TRY(lay_out_slab(f, err));
    shift = shift || f->slab_moves != f->slab->moves;
    f->slab_moves = f->slab->moves;
    for (uint32_t k = 0; k < p->n_slab && shift; k++) {
        uint32_t v = p->slab_order[k];
        f->values[v].data = f->slab->data + (f->ends[v] - f->rooms[v]);
    }
    for (uint32_t k = 0; k < f->n_views; k++) {
        uint32_t v = f->views[2 * k], r = f->views[2 * k + 1];
        if (!shift && !(f->follows[v] & moved))
            continue;
        f->values[v].data = f->values[r].data;
        f->values[v].capacity = f->values[r].capacity;
        MBR_TRY(check_view(f, v, err));
    }
    for (uint32_t k = 0; k < p->n_steps; k++) {
        if (!(f->step_follows[k] & moved))
            continue;
        const mbr_program_step *ps = &p->steps[k];
        bool nothing = ps->in_place && p->values[mbr_program_root(p, ps->in[0])].place == MBR_PLACE_NONE;
        if (!ps->dynamic && !nothing)
            MBR_TRY(prepare_step(f, &f->steps[k], err));
        for (uint32_t b = 0; b < ps->n_bodies; b++)
            f->bodies[k][b]->ready = false; /* its sizes may follow from ours */
    }
    if (f->device)
        MBR_TRY(p->module->device->fn->lay_out(f->device, err));
    memcpy(f->seen, f->run->dims, p->module->dims.n * sizeof *f->seen);
    f->ready = f->prepared = true;
    return MBR_OK;
}

/* Sizes and offsets hold, and the slab is where it was when they were worked out. */
static bool laid_out(const mbr_frame *f)
{
    return f->ready && f->slab_moves == f->slab->moves;
}

mbr_status mbr_frame_prepare(mbr_frame *f, mbr_error *err)
{
    return laid_out(f) ? MBR_OK : lay_out(f, err);
}

const mbr_slab *mbr_frame_slab(const mbr_frame *f)
{
    return f->slab;
}

mbr_device_frame *mbr_frame_device(const mbr_frame *f)
{
    return f->device;
}

mbr_step *mbr_frame_step(const mbr_frame *f, size_t k)
{
    return &f->steps[k];
}

size_t mbr_frame_slab_bytes(const mbr_frame *f)
{
    return f->slab_used;
}

const mbr_value *mbr_frame_value(const mbr_frame *f, uint32_t v)
{
    return &f->values[v];
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

/* Cancelled, or out of time: then it is cancelled for all threads. */
static bool stopped(mbr_run *run)
{
    if (run->deadline && mbr_spans_now() >= run->deadline)
        atomic_store_explicit(&run->cancelled, true, memory_order_relaxed);
    return atomic_load_explicit(&run->cancelled, memory_order_relaxed);
}

/* The same after a step, by the thread that runs the steps; many short ones share a look at the clock. */
static bool stopped_after(mbr_run *run, double cost_ns)
{
    run->unlooked += cost_ns > LEAST_NS ? cost_ns : LEAST_NS;
    if (run->unlooked < LOOK_NS)
        return atomic_load_explicit(&run->cancelled, memory_order_relaxed);
    run->unlooked = 0.0;
    return stopped(run);
}

static bool run_tiles(void *user, size_t first, size_t last, int worker)
{
    team_job *t = user;
    mbr_error local;
    mbr_job job = { t->phase, first, last, worker, t->scratch + (size_t)worker * t->scratch_each };
    if (stopped(t->s->frame->run))
        return false;
    mbr_spans *spans = t->s->frame->run->spans;
    uint64_t begin = spans ? mbr_spans_now() : 0;
    mbr_status st = t->s->op->run(t->s, &job, &local);
    if (spans)
        mbr_spans_add(spans, worker, spans->entry, t->phase, begin, last - first);
    if (st == MBR_OK)
        return true;
    int none = MBR_OK;
    if (atomic_compare_exchange_strong(&t->status, &none, (int)st) && t->err)
        *t->err = local;
    return false;
}

static mbr_status cancelled(const mbr_frame *f, mbr_error *err)
{
    bool late = f->run->deadline && mbr_spans_now() >= f->run->deadline;
    return mbr_fail(err, MBR_ERR_CANCELLED, late ? "%s: the run's time was up" : "%s: the run was cancelled",
                    f->p->module->file);
}

static mbr_status run_phase(mbr_frame *f, mbr_step *s, int phase, mbr_error *err)
{
    mbr_run *run = f->run;
    size_t tiles = s->tiles[phase];
    if (tiles == 0)
        return MBR_OK;
    if (tiles == 1 || s->cost_ns < CANCEL_NS) {
        if (tiles == 1 || run->workers == 1 || s->cost_ns < TEAM_WORTH_NS) {
            mbr_job job = { phase, 0, tiles, 0, run->scratch };
            return s->op->run(s, &job, err);
        }
    }
    team_job t = { .s = s, .phase = phase, .scratch = run->scratch, .scratch_each = run->scratch_each, .err = err };
    atomic_init(&t.status, MBR_OK);
    /* enough pieces to balance, each short enough for a look at the cancel flag */
    size_t pieces = (size_t)(s->cost_ns / CANCEL_NS) + 1;
    pieces = mbr_max_size(pieces, (size_t)run->workers * 4);
    size_t grain = mbr_max_size(tiles / pieces, 1);
    bool done = true;
    if (run->team && run->workers > 1) {
        done = mbr_team_run(run->team, run->workers, tiles, grain, run_tiles, &t, &run->cancelled);
    } else {
        for (size_t at = 0; at < tiles && done; at += grain)
            done = run_tiles(&t, at, mbr_min_size(at + grain, tiles), 0);
    }
    if (done)
        return MBR_OK;
    mbr_status st = (mbr_status)atomic_load(&t.status);
    return st != MBR_OK ? st : cancelled(f, err);
}

static mbr_status run_phases(mbr_frame *f, mbr_step *s, mbr_error *err)
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

static mbr_status infer_now(mbr_frame *f, const mbr_program_step *ps, mbr_step *s, mbr_error *err)
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

static mbr_status run_dynamic(mbr_frame *f, const mbr_program_step *ps, mbr_step *s, mbr_error *err)
{
    MBR_TRY(infer_now(f, ps, s, err));
    if (!s->op->run)
        return s->out[0]->kind != MBR_KIND_TENSOR ? view_items(s, err) : prepare_step(f, s, err);
    MBR_TRY(prepare_step(f, s, err));
    return run_phases(f, s, err);
}

/* A planned view of a value that the run sizes or places. */
static void view_now(mbr_step *s)
{
    s->out[0]->data = s->in[0]->data;
    s->out[0]->capacity = s->in[0]->capacity;
}

/* --- the run --- */

static mbr_status open_outputs(mbr_frame *f, mbr_error *err)
{
    const mbr_program *p = f->p;
    for (size_t i = 0; i < p->graph->n_outputs; i++) {
        uint32_t v = p->graph->outputs[i]->id, r = mbr_program_root(p, v);
        if (p->values[r].place != MBR_PLACE_OUTPUT || p->values[r].output != i)
            continue;
        const mbr_value *shape = &f->values[v];
        mbr_value *out = f->outputs[i];
        if (out->own || out == &f->own_outputs[i]) {
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
    }
    for (uint32_t i = 0; i < f->n_relinked; i++) {
        uint32_t v = f->relinked[i], r = mbr_program_root(p, v);
        f->values[v].data = f->values[r].data;
        f->values[v].capacity = f->values[r].capacity;
    }
    return MBR_OK;
}

/* True where output i was written straight into its storage. */
static bool in_storage(const mbr_frame *f, size_t i)
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
        if (in_storage(f, i) || (!bound && p->values[v].place == MBR_PLACE_OWN))
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

/* --- with a device --- */

static mbr_status run_on_cpu(mbr_frame *f, const mbr_program_step *ps, mbr_step *s, mbr_error *err)
{
    if (ps->dynamic)
        return run_dynamic(f, ps, s, err);
    if (s->op->run)
        return run_phases(f, s, err);
    view_now(s);
    return MBR_OK;
}

static mbr_status not_on_device(const mbr_frame *f, const mbr_step *s, size_t k, mbr_error *err)
{
    const mbr_device *device = f->p->module->device;
    const char *why = device->fn->why(f->device, k);
    return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "it does not run on %s%s%s, and nothing else was allowed",
                         device->name, why && *why ? ": " : "", why ? why : "");
}

/* A step whose shapes are known now that it is reached. */
static mbr_status place_late(mbr_frame *f, size_t k, bool *there, bool *failed, mbr_error *err)
{
    const mbr_device_functions *fn = f->p->module->device->fn;
    mbr_status st = fn->fetch(f->device, &f->steps[k], false, err);
    *failed = st != MBR_OK;
    MBR_TRY(st);
    MBR_TRY(infer_now(f, &f->p->steps[k], &f->steps[k], err));
    MBR_TRY(prepare_step(f, &f->steps[k], err));
    *there = fn->late(f->device, k);
    return MBR_OK;
}

/* Step k, on either. *failed: the device did, and with it what it had. */
static mbr_status run_placed_step(mbr_frame *f, uint32_t k, bool there, bool *failed, mbr_error *err)
{
    const mbr_device_functions *fn = f->p->module->device->fn;
    const mbr_program_step *ps = &f->p->steps[k];
    mbr_step *s = &f->steps[k];
    mbr_status st;
    if (there) {
        st = fn->run(f->device, k, err);
        if (st == MBR_OK && f->hook) /* its time is its own */
            st = fn->wait(f->device, err);
        *failed = st != MBR_OK;
        return st;
    }
    st = s->op->run || ps->dynamic ? fn->fetch(f->device, s, true, err) : MBR_OK;
    *failed = st != MBR_OK;
    if (st == MBR_OK)
        st = run_on_cpu(f, ps, s, err);
    fn->wrote(f->device, s);
    return st;
}

static mbr_status run_placed_steps(mbr_frame *f, bool *failed, mbr_error *err)
{
    const mbr_program *p = f->p;
    const mbr_device_functions *fn = p->module->device->fn;
    fn->begin(f->device);
    for (uint32_t k = 0; k < p->n_steps; k++) {
        const mbr_program_step *ps = &p->steps[k];
        mbr_step *s = &f->steps[k];
        bool there = fn->has(f->device, k);
        if (ps->in_place && !ps->dynamic)
            continue;
        if (ps->late) {
            mbr_status late = place_late(f, k, &there, failed, err);
            if (late != MBR_OK)
                return blame(s, late, err);
        }
        if (!there && p->module->device_only && (s->op->run || ps->dynamic))
            return not_on_device(f, s, k, err);
        if (f->hook)
            f->hook(f->hook_user, s, true);
        mbr_status st = run_placed_step(f, k, there, failed, err);
        if (f->hook)
            f->hook(f->hook_user, s, false);
        if (st != MBR_OK)
            return blame(s, st, err);
        if (stopped_after(f->run, there ? LEAST_NS : s->cost_ns))
            return cancelled(f, err);
    }
    mbr_status st = fn->finish(f->device, err);
    *failed = st != MBR_OK;
    return st;
}

/* As mbr_frame_run, where a device does some of the steps. However it ends, the device has let go of all memory. */
static mbr_status run_placed(mbr_frame *f, bool *failed, mbr_error *err)
{
    mbr_status st = run_placed_steps(f, failed, err);
    if (st != MBR_OK)
        (void)f->p->module->device->fn->wait(f->device, NULL);
    return st;
}

mbr_status mbr_frame_run(mbr_frame *f, mbr_error *err)
{
    const mbr_program *p = f->p;
    MBR_TRY(mbr_frame_prepare(f, err));
    MBR_TRY(open_outputs(f, err));
    if (f->device) {
        bool failed = false;
        mbr_status st = run_placed(f, &failed, err);
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
            st = run_dynamic(f, ps, s, err);
        else if (!s->op->run)
            view_now(s);
        else if (s->phases == 1 && s->tiles[0] == 1)
            st = s->op->run(s, &(mbr_job){ 0, 0, 1, 0, f->run->scratch }, err);
        else
            st = run_phases(f, s, err);
        if (f->hook)
            f->hook(f->hook_user, s, false);
        if (st != MBR_OK)
            return blame(s, st, err);
        if (stopped_after(f->run, s->cost_ns))
            return cancelled(f, err);
    }
    return close_outputs(f, err);
}

/* --- rounds --- */

static mbr_status link_values(mbr_frame *f, uint32_t root, frame_link *link, mbr_error *err)
{
    const mbr_program *p = f->p;
    link->values = mbr_arena_calloc(&f->arena, (size_t)f->n_relinked + 1, sizeof *link->values);
    if (!link->values)
        return mbr_no_memory(err, sizeof *link->values);
    link->values[link->n++] = &f->values[root];
    for (uint32_t k = 0; k < f->n_relinked; k++) {
        if (mbr_program_root(p, f->relinked[k]) == root)
            link->values[link->n++] = &f->values[f->relinked[k]];
    }
    return MBR_OK;
}

static mbr_status make_links(mbr_frame *f, mbr_error *err)
{
    const mbr_program *p = f->p;
    const mbr_ir_graph *g = p->graph;
    frame_link *links = mbr_arena_calloc(&f->arena, g->n_inputs + g->n_outputs + 1, sizeof *links);
    f->round = mbr_arena_calloc(&f->arena, (size_t)p->n_steps + 1, sizeof *f->round);
    if (!links || !f->round)
        return mbr_no_memory(err, sizeof *links);
    for (size_t i = 0; i < g->n_inputs; i++)
        MBR_TRY(link_values(f, g->inputs[i]->id, &links[i], err));
    for (size_t i = 0; i < g->n_outputs; i++) {
        if (in_storage(f, i))
            MBR_TRY(link_values(f, mbr_program_root(p, g->outputs[i]->id), &links[g->n_inputs + i], err));
    }
    f->n_round = 0;
    for (uint32_t k = 0; k < p->n_steps; k++)
        if (!p->steps[k].in_place)
            f->round[f->n_round++] = &f->steps[k];
    f->links = links;
    return MBR_OK;
}

mbr_status mbr_frame_settle(mbr_frame *f, bool *settled, mbr_error *err)
{
    const mbr_program *p = f->p;
    *settled = laid_out(f) && !f->device;
    for (uint32_t k = 0; k < p->n_steps && *settled; k++)
        *settled = !p->steps[k].dynamic;
    for (size_t i = 0; i < p->graph->n_outputs && *settled; i++) {
        const mbr_value *v = &f->values[p->graph->outputs[i]->id];
        *settled = v->kind == MBR_KIND_TENSOR && v->dtype != MBR_DTYPE_STRING &&
                   f->outputs[i] == &f->own_outputs[i] && p->values[p->graph->outputs[i]->id].place != MBR_PLACE_OWN;
    }
    if (*settled && !f->links)
        MBR_TRY(make_links(f, err));
    *settled = *settled && !f->hook; /* which wants to see the steps of whole runs */
    return MBR_OK;
}

bool mbr_frame_fits(const mbr_frame *f, size_t i, const mbr_value *v)
{
    const mbr_value *slot = &f->values[f->p->graph->inputs[i]->id];
    return slot->kind == MBR_KIND_TENSOR && v->kind == MBR_KIND_TENSOR && slot->dtype == v->dtype &&
           slot->rank == v->rank && memcmp(slot->dims, v->dims, (size_t)v->rank * sizeof *v->dims) == 0;
}

void mbr_frame_point_input(mbr_frame *f, size_t i, const void *data)
{
    const frame_link *link = &f->links[i];
    for (uint32_t k = 0; k < link->n; k++)
        link->values[k]->data = (void *)(uintptr_t)data; /* read only, as every input of a frame */
}

bool mbr_frame_point_output(mbr_frame *f, size_t i, void *data)
{
    const frame_link *link = &f->links[f->p->graph->n_inputs + i];
    for (uint32_t k = 0; k < link->n; k++)
        link->values[k]->data = data;
    return link->n > 0;
}

static mbr_status round_step(mbr_frame *f, mbr_step *s, mbr_error *err)
{
    mbr_status st = MBR_OK;
    if (!s->op->run)
        view_now(s);
    else if (s->phases == 1 && s->tiles[0] == 1)
        st = s->op->run(s, &(mbr_job){ 0, 0, 1, 0, f->run->scratch }, err);
    else
        st = run_phases(f, s, err);
    return st == MBR_OK ? st : blame(s, st, err);
}

mbr_status mbr_frame_round(mbr_frame *f, mbr_error *err)
{
    for (uint32_t k = 0; k < f->n_round; k++)
        MBR_TRY(round_step(f, f->round[k], err));
    return MBR_OK;
}

mbr_status mbr_frame_round_step(mbr_frame *f, uint32_t k, mbr_error *err)
{
    if (f->hook)
        f->hook(f->hook_user, f->round[k], true);
    mbr_status st = round_step(f, f->round[k], err);
    if (f->hook)
        f->hook(f->hook_user, f->round[k], false);
    return st;
}

const mbr_value *mbr_frame_made(const mbr_frame *f, size_t i)
{
    return &f->values[f->p->graph->outputs[i]->id];
}

/* --- outputs --- */

const mbr_value *mbr_frame_output(const mbr_frame *f, size_t i)
{
    uint32_t v = f->p->graph->outputs[i]->id;
    if (f->outputs[i] == &f->own_outputs[i] && !in_storage(f, i) && f->p->values[v].place == MBR_PLACE_OWN)
        return &f->values[v];
    return f->outputs[i];
}

mbr_status mbr_frame_swap_output(mbr_frame *f, size_t i, mbr_value *into, mbr_error *err)
{
    mbr_value *from = (mbr_value *)mbr_frame_output(f, i);
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
    into->own = into->data = from->own;
    into->capacity = from->capacity;
    from->own = from->data = own;
    from->capacity = capacity;
    if (from->own == NULL)
        from->rank = 0;
    return MBR_OK;
}

/* --- what operators ask --- */

mbr_status mbr_step_fail(const mbr_step *s, mbr_error *err, mbr_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mbr_vfail(err, status, fmt, args);
    va_end(args);
    return mbr_ir_fail_at(s->node, err, status);
}

bool mbr_step_known(const mbr_step *s, uint32_t i)
{
    const mbr_ir_value *ir = i < s->n_in ? s->node->inputs[i] : NULL;
    return ir && ((ir->constant && !ir->has_default) || ir->content);
}

mbr_status mbr_step_ints(const mbr_step *s, uint32_t i, int64_t *v, size_t max, size_t *n, mbr_error *err)
{
    const mbr_ir_value *ir = i < s->n_in ? s->node->inputs[i] : NULL;
    const mbr_frame *f = s->frame;
    *n = 0;
    if (!ir)
        return mbr_step_fail(s, err, MBR_ERR_INTERNAL, "input %u is absent", i);
    if (ir->content) {
        if (ir->n_content > max)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "input %u has %zu numbers; at most %zu make sense", i,
                                 ir->n_content, max);
        for (size_t k = 0; k < ir->n_content; k++)
            v[k] = mbr_dim_value(ir->content[k], f->run->dims);
        *n = ir->n_content;
        return MBR_OK;
    }
    const mbr_value *data = s->in[i];
    if (data->kind != MBR_KIND_TENSOR || !(mbr_dtype_is_int(data->dtype) || data->dtype == MBR_DTYPE_BOOL))
        return mbr_step_fail(s, err, MBR_ERR_RUN, "input %u is %s; integers are due", i, mbr_dtype_name(data->dtype));
    size_t count = mbr_value_count(data);
    if (count > max)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "input %u has %zu numbers; at most %zu make sense", i, count, max);
    for (size_t k = 0; k < count; k++)
        v[k] = mbr_value_int(data, k);
    *n = count;
    return MBR_OK;
}

int64_t mbr_step_size(const mbr_step *s, mbr_dim d, int64_t otherwise)
{
    if (!mbr_dim_is_known(d))
        return otherwise;
    int64_t size = mbr_dim_value(d, s->frame->run->dims);
    return size < 0 ? otherwise : size;
}

mbr_status mbr_step_resize(mbr_step *s, uint32_t i, int rank, const int64_t *dims, mbr_error *err)
{
    mbr_value *v = s->out[i];
    if (!v)
        return MBR_OK;
    mbr_status st = mbr_value_resize(v, v->dtype, rank, dims, err);
    return st == MBR_OK ? st : mbr_ir_fail_at(s->node, err, st);
}

void *mbr_step_alloc(mbr_step *s, size_t bytes)
{
    return mbr_arena_alloc(&s->frame->run->arena, bytes);
}

mbr_memory *mbr_step_memory(const mbr_step *s)
{
    return s->frame->run->memory;
}

int mbr_step_workers(const mbr_step *s)
{
    return s->frame->run->workers;
}

bool mbr_step_cancelled(const mbr_step *s)
{
    return stopped(s->frame->run);
}

size_t mbr_step_split(mbr_step *s, size_t n, double ns_each)
{
    size_t each = ns_each > 0 && ns_each * (double)n > 20000.0 ? (size_t)(20000.0 / ns_each) : n;
    if (each == 0)
        each = 1;
    s->cost_ns = ns_each * (double)n;
    s->tiles[0] = n ? (n + each - 1) / each : 0;
    return each;
}

mbr_frame *mbr_step_subframe(mbr_step *s, const char *attr)
{
    mbr_frame *f = s->frame;
    size_t k = (size_t)(s - f->steps);
    const mbr_program_step *ps = &f->p->steps[k];
    for (uint32_t b = 0; b < ps->n_bodies; b++)
        if (strcmp(ps->bodies[b].attr, attr) == 0)
            return f->bodies[k][b];
    return NULL;
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
    MBR_TRY_GOTO(run_dynamic(f, &p->steps[0], &f->steps[0], err), error);
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

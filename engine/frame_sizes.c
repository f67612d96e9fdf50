/* SPDX-License-Identifier: BSD-2-Clause */
/* What follows from the sizes of what is bound: shapes, places in the slab, what steps prepare. */
#include "engine/frame_parts.h"
#include "base/checked.h"
#include "engine/device.h"

#include <string.h>

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
    mbr_run_drop_slab(run, slab);
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

mbr_status mbr_frame_blame(const mbr_step *s, mbr_status st, mbr_error *err)
{
    return st == MBR_ERR_NO_MEMORY ? mbr_ir_fail_at(s->node, err, st) : st;
}

mbr_status mbr_frame_prepare_step(mbr_frame *f, mbr_step *s, mbr_error *err)
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
            return mbr_frame_blame(s, st, err);
    }
    f->wants_team = f->wants_team || s->cost_ns >= MBR_TEAM_WORTH_NS;
    return mbr_frame_blame(s, mbr_run_need_scratch(f->run, s->scratch, err), err);
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
    uint64_t moved = MBR_FOLLOWS_RUN;
    if (!f->prepared)
        return UINT64_MAX;
    for (size_t i = 0; i < f->p->module->dims.n; i++)
        moved |= f->seen[i] != f->run->dims[i] ? MBR_FOLLOWS_EXPR(i) : 0;
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
    uint64_t moved = f->moved = moved_since(f);
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
            MBR_TRY(mbr_frame_prepare_step(f, &f->steps[k], err));
        for (uint32_t b = 0; b < ps->n_bodies; b++)
            f->bodies[k][b]->ready = false; /* its sizes may follow from ours */
    }
    if (f->device)
        MBR_TRY(p->module->device->fn->lay_out(f->device, err));
    memcpy(f->seen, f->run->dims, p->module->dims.n * sizeof *f->seen);
    f->ready = f->prepared = true;
    return MBR_OK;
}

bool mbr_frame_laid_out(const mbr_frame *f)
{
    return f->ready && f->slab_moves == f->slab->moves;
}

mbr_status mbr_frame_prepare(mbr_frame *f, mbr_error *err)
{
    return mbr_frame_laid_out(f) ? MBR_OK : lay_out(f, err);
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

bool mbr_frame_step_moved(const mbr_frame *f, size_t k)
{
    return f->step_follows[k] & f->moved;
}

size_t mbr_frame_slab_bytes(const mbr_frame *f)
{
    return f->slab_used;
}

const mbr_value *mbr_frame_value(const mbr_frame *f, uint32_t v)
{
    return &f->values[v];
}

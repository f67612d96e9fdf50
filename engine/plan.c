/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Planning. Placement in the slab works on sizes at likely values of the symbols (largest first, lowest fit, in the
 * manner of XNNPACK's planner), but what is kept is not the offsets: it is, for each value, which values alive at the
 * same time ended up below it. At run time its offset is the highest end of those. That is right for all sizes, since
 * of two values alive at once one always lies above the other, exact for the sizes planned with, and costs one pass.
 */
#include "engine/program.h"
#include "engine/device.h"
#include "engine/replicas.h"
#include "engine/team.h"
#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

/* What a free dimension is taken as when places are chosen. */
#define LIKELY_SIZE 128

typedef struct planner {
    mbr_program *p;
    mbr_ir_graph *g;
    mbr_error *err;
    uint32_t *first, *last; /* (n_values) life of roots, in steps */
    uint8_t *needed;        /* (n_values) its data is read */
    size_t *likely;         /* (n_values) bytes of roots at likely sizes */
    int64_t *sizes;         /* (dims.n) likely values of the symbols */
} planner;

static bool known_tensor(const mbr_ir_value *v)
{
    if (v->type.kind != MBR_KIND_TENSOR || v->type.rank < 0 || !v->type.dtype)
        return false;
    for (int d = 0; d < v->type.rank; d++)
        if (!mbr_dim_is_known(v->type.dims[d]))
            return false;
    return true;
}

/* A shape tensor that needs no step: the frame writes it from the symbols. */
static bool is_content(const mbr_ir_value *v)
{
    return v->content && known_tensor(v) && v->producer &&
           (mbr_dtype_is_int(v->type.dtype) || v->type.dtype == MBR_DTYPE_BOOL);
}

/* The numbers of input i reach the step without its data. */
static bool content_known(const mbr_ir_node *n, uint32_t i)
{
    return i < 32 && (n->op->content_inputs >> i & 1) && n->inputs[i] && n->inputs[i]->content;
}

/* Sizes of its outputs are found before it runs, and the device has a kernel, or there is nothing to run. */
static bool is_late(const mbr_ir_node *n, const mbr_device *device)
{
    if (n->op->flags & (MBR_OP_SIZED_BY_RUN | MBR_OP_CONTROL))
        return false;
    for (uint32_t i = 0; i < n->n_inputs + n->n_outputs; i++) {
        const mbr_ir_value *v = i < n->n_inputs ? n->inputs[i] : n->outputs[i - n->n_inputs];
        if (v && (v->type.kind != MBR_KIND_TENSOR || v->type.dtype == MBR_DTYPE_STRING))
            return false;
    }
    return n->op->run ? device->fn->takes(device, n) : (n->op->flags & MBR_OP_VIEW) != 0;
}

/* An output that nobody reads is left out where the operator can do without it. */
static bool is_made(const mbr_ir_node *n, uint32_t i)
{
    return n->outputs[i] && (n->outputs[i]->uses || i < n->op->min_out);
}

static bool is_dynamic(const mbr_ir_node *n)
{
    if (n->op->flags & (MBR_OP_SIZED_BY_RUN | MBR_OP_CONTROL | MBR_OP_ANY_KIND)) {
        bool tensors = !(n->op->flags & (MBR_OP_SIZED_BY_RUN | MBR_OP_CONTROL));
        for (uint32_t i = 0; tensors && i < n->n_inputs; i++)
            tensors = !n->inputs[i] || n->inputs[i]->type.kind == MBR_KIND_TENSOR;
        for (uint32_t i = 0; tensors && i < n->n_outputs; i++)
            tensors = !n->outputs[i] || n->outputs[i]->type.kind == MBR_KIND_TENSOR;
        if (!tensors)
            return true;
    }
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const mbr_ir_value *v = n->inputs[i];
        if (!v)
            continue;
        if (!v->constant && !known_tensor(v))
            return true;
        if (i < 32 && (n->op->content_inputs >> i & 1) && !v->content && (!v->constant || v->has_default))
            return true;
    }
    for (uint32_t i = 0; i < n->n_outputs; i++)
        if (n->outputs[i] && !known_tensor(n->outputs[i]))
            return true;
    return false;
}

/* --- steps --- */

static mbr_status make_bodies(planner *pl, mbr_program_step *s)
{
    const mbr_ir_node *n = s->node;
    for (uint32_t i = 0; i < n->n_attrs; i++)
        s->n_bodies += n->attrs[i].kind == MBR_ATTR_GRAPH;
    if (!s->n_bodies)
        return MBR_OK;
    s->bodies = mbr_arena_calloc(&pl->p->arena, s->n_bodies, sizeof *s->bodies);
    if (!s->bodies) {
        s->n_bodies = 0;
        return mbr_no_memory(pl->err, sizeof *s->bodies);
    }
    uint32_t k = 0;
    for (uint32_t i = 0; i < n->n_attrs; i++)
        if (n->attrs[i].kind == MBR_ATTR_GRAPH) {
            s->bodies[k].attr = n->attrs[i].name;
            MBR_TRY(mbr_program_new(n->attrs[i].graph, &s->bodies[k].program, pl->err));
            pl->p->packed_bytes += s->bodies[k].program->packed_bytes;
            k++;
        }
    return MBR_OK;
}

/* Copies of weights below this stay: freeing them would only leave holes. */
#define LET_GO_BYTES ((size_t)1 << 16)

/* The plain form of a packed weight is not read again by these steps: pages of the file go, and a copy when nobody else
   wants it. */
static void let_go(mbr_ir_module *m, const mbr_ir_value *v, uint32_t steps)
{
    mbr_value *data = (mbr_value *)(uintptr_t)v->constant;
    size_t bytes = mbr_value_bytes(data);
    if (m->give_back)
        m->give_back(m->source, data->data, bytes);
    bool alone = v->uses == steps && !v->is_capture && !v->is_input && atomic_load(&data->refs) == 1;
    if (alone && bytes >= LET_GO_BYTES && data->own && data->data == data->own && data->dtype != MBR_DTYPE_STRING) {
        mbr_free(data->memory, data->own);
        data->own = data->data = NULL;
        data->capacity = 0;
    }
}

/* Aligns the constant inputs but those in the mask. */
static mbr_status align_inputs(const planner *pl, const mbr_program_step *s, uint32_t but)
{
    for (uint32_t i = 0; i < s->node->n_inputs; i++)
        if (i >= 32 || !(but >> i & 1))
            MBR_TRY(mbr_ir_align(s->node->inputs[i], pl->err));
    return MBR_OK;
}

/* --- packing: all steps at once, on the team --- */

typedef struct packing {
    mbr_ir_module *module;
    struct pack_job {
        mbr_program_step *step;
        uint32_t steps; /* that use what it makes */
        mbr_pack pack;
        mbr_status status;
        mbr_error err;
    } *jobs;
} packing;

/* What was packed long ago is used where it lies. */
static mbr_status thaw(mbr_program *p, mbr_program_step *s, mbr_error *err)
{
    const mbr_ir_node *n = s->node;
    mbr_pack pack = { .node = n, .memory = p->memory, .packed = (void *)(uintptr_t)n->packed, .bytes = n->packed_bytes,
                      .err = err };
    if (s->op->thaw)
        MBR_TRY(s->op->thaw(&pack));
    s->packed = pack.packed;
    s->packed_bytes = n->packed_bytes;
    s->packed_inputs = n->packed_inputs;
    p->packed_bytes += n->packed_bytes;
    return MBR_OK;
}

static bool pack_some(void *user, size_t first, size_t last, int worker)
{
    const packing *all = user;
    (void)worker;
    for (size_t k = first; k < last; k++) {
        struct pack_job *job = &all->jobs[k];
        job->pack.err = &job->err;
        job->status = job->step->op->pack(&job->pack);
        if (job->status != MBR_OK)
            return false;
        for (uint32_t i = 0; i < 32 && i < job->step->node->n_inputs; i++) {
            const mbr_ir_value *v = job->step->node->inputs[i];
            bool packed = (job->pack.packed_inputs >> i & 1) && !job->step->on_device; /* which reads the plain form */
            if (packed && v && v->constant && v->constant->kind == MBR_KIND_TENSOR)
                let_go(all->module, v, job->steps);
        }
    }
    return true;
}

/* What a device runs is not packed for the CPU: that can do without, should it come to that. */
static bool is_packed(const mbr_program_step *s)
{
    return s->op->pack && (!s->on_device || s->node->graph->module->device_may);
}

/* A weight that several nodes read; they may pack the same of it. */
static bool has_shared_weight(const mbr_ir_node *n)
{
    bool any = false;
    for (uint32_t i = 0; i < n->n_inputs && (n->op->flags & MBR_OP_PACKS_ALIKE); i++) {
        const mbr_ir_value *v = n->inputs[i];
        any |= v && v->uses > 1 && v->constant && !v->has_default;
    }
    return any;
}

static bool packs_alike(const mbr_ir_node *a, const mbr_ir_node *b)
{
    bool alike = a->op == b->op && a->n_inputs == b->n_inputs && a->n_attrs == b->n_attrs;
    for (uint32_t i = 0; i < a->n_inputs && alike; i++) {
        const mbr_value *x = a->inputs[i] ? a->inputs[i]->constant : NULL;
        alike = x == (b->inputs[i] ? b->inputs[i]->constant : NULL) && (!x || a->inputs[i] == b->inputs[i]);
    }
    for (uint32_t i = 0; i < a->n_attrs && alike; i++)
        alike = mbr_ir_attr_equal(&a->attrs[i], &b->attrs[i]);
    return alike;
}

/* The job that packs what n would pack, among the first `n_jobs`. */
static struct pack_job *same_job(const packing *all, size_t n_jobs, const mbr_ir_node *n)
{
    for (size_t i = 0; i < n_jobs && has_shared_weight(n); i++)
        if (packs_alike(all->jobs[i].step->node, n))
            return &all->jobs[i];
    return NULL;
}

static mbr_status pack_steps(planner *pl)
{
    mbr_program *p = pl->p;
    mbr_team *team = p->module->team;
    packing all = { .module = p->module };
    size_t n = 0;
    mbr_status st = MBR_OK;
    for (uint32_t k = 0; k < p->n_steps; k++) {
        MBR_TRY(align_inputs(pl, &p->steps[k], p->steps[k].on_device ? 0 : p->steps[k].op->any_address));
        if (p->steps[k].node->packed)
            MBR_TRY(thaw(p, &p->steps[k], pl->err));
        else
            n += is_packed(&p->steps[k]);
    }
    if (n == 0)
        return MBR_OK;
    all.jobs = mbr_calloc(p->memory, n, sizeof *all.jobs);
    if (!all.jobs)
        return mbr_no_memory(pl->err, n * sizeof *all.jobs);
    n = 0;
    for (uint32_t k = 0; k < p->n_steps; k++)
        if (is_packed(&p->steps[k]) && !p->steps[k].node->packed) {
            struct pack_job *same = same_job(&all, n, p->steps[k].node);
            p->steps[k].packed_shared = same != NULL;
            if (same) {
                same->steps++;
                continue;
            }
            all.jobs[n].step = &p->steps[k];
            all.jobs[n].steps = 1;
            all.jobs[n++].pack = (mbr_pack){ .node = p->steps[k].node, .memory = p->memory };
        }
    if (team && n > 1 && mbr_team_size(team) > 1)
        mbr_team_run(team, mbr_team_size(team), n, 1, pack_some, &all, NULL);
    else
        pack_some(&all, 0, n, 0);
    for (size_t k = 0; k < n; k++) {
        struct pack_job *job = &all.jobs[k];
        job->step->packed = job->pack.packed;
        job->step->packed_bytes = job->pack.bytes;
        job->step->packed_inputs = job->pack.packed_inputs;
        p->packed_bytes += job->pack.bytes;
        if (job->status != MBR_OK && st == MBR_OK) {
            st = job->status;
            if (pl->err)
                *pl->err = job->err;
        }
    }
    for (uint32_t k = 0; k < p->n_steps; k++)
        if (p->steps[k].packed_shared) {
            const mbr_program_step *first = same_job(&all, n, p->steps[k].node)->step;
            p->steps[k].packed = first->packed;
            p->steps[k].packed_bytes = first->packed_bytes;
            p->steps[k].packed_inputs = first->packed_inputs;
        }
    for (uint32_t k = 0; k < p->n_steps && st == MBR_OK; k++)
        if (is_packed(&p->steps[k]) && !p->steps[k].node->packed)
            st = align_inputs(pl, &p->steps[k], p->steps[k].packed_inputs);
    mbr_free(p->memory, all.jobs);
    return st;
}

static mbr_status make_step(planner *pl, mbr_program_step *s, mbr_ir_node *n)
{
    mbr_program *p = pl->p;
    s->node = n;
    s->op = n->op;
    s->n_in = n->n_inputs;
    s->n_out = n->n_outputs;
    uint32_t *in = mbr_arena_alloc(&p->arena, ((size_t)s->n_in + s->n_out + 1) * sizeof *in);
    if (!in)
        return mbr_no_memory(pl->err, sizeof *in);
    uint32_t *out = in + s->n_in;
    for (uint32_t i = 0; i < s->n_in; i++)
        in[i] = n->inputs[i] ? n->inputs[i]->id : MBR_NO_VALUE;
    for (uint32_t i = 0; i < s->n_out; i++)
        out[i] = is_made(n, i) ? n->outputs[i]->id : MBR_NO_VALUE;
    s->in = in;
    s->out = out;
    s->dynamic = is_dynamic(n);
    const mbr_device *device = p->module->device;
    s->late = device && !n->graph->owner && s->dynamic && is_late(n, device);
    s->on_device = device && !n->graph->owner && !s->dynamic && n->op->run && device->fn->takes(device, n);
    s->state_offset = p->state_bytes;
    p->state_bytes += (n->op->state_size + 15) & ~(size_t)15;
    p->n_pointers += (size_t)s->n_in + s->n_out;
    return make_bodies(pl, s);
}

/* Whose data is read or written, from the outputs backwards. Fills `needed` and counts the steps that have to run. */
static size_t find_needed(planner *pl)
{
    size_t steps = 0;
    for (size_t i = 0; i < pl->g->n_outputs; i++)
        pl->needed[pl->g->outputs[i]->id] = 1;
    for (mbr_ir_node *n = pl->g->last; n; n = n->prev) {
        bool wanted = false;
        for (uint32_t i = 0; i < n->n_outputs; i++) {
            const mbr_ir_value *v = n->outputs[i];
            wanted |= v && pl->needed[v->id] && !is_content(v);
        }
        n->mark = wanted;
        if (!wanted)
            continue;
        steps++;
        for (uint32_t i = 0; i < n->n_outputs; i++) /* it is written, read or not */
            if (is_made(n, i))
                pl->needed[n->outputs[i]->id] = 1;
        for (uint32_t i = 0; i < n->n_inputs; i++)
            if (n->inputs[i] && !content_known(n, i))
                pl->needed[n->inputs[i]->id] = 1;
    }
    return steps;
}

/* --- places --- */

static mbr_place first_place(const planner *pl, const mbr_ir_value *v)
{
    if (v->constant && !v->has_default)
        return MBR_PLACE_CONST;
    if (v->is_input || v->is_capture)
        return MBR_PLACE_BOUND;
    if (!pl->needed[v->id])
        return MBR_PLACE_NONE;
    if (is_content(v))
        return MBR_PLACE_CONTENT;
    if (!v->producer)
        return MBR_PLACE_NONE;
    return MBR_PLACE_OWN; /* the step that makes it may improve on this */
}

static bool same_dims(const mbr_ir_value *a, const mbr_ir_value *b)
{
    return a->type.rank == b->type.rank && mbr_dtype_size(a->type.dtype) == mbr_dtype_size(b->type.dtype) &&
           a->type.dtype != MBR_DTYPE_STRING && b->type.dtype != MBR_DTYPE_STRING &&
           (a->type.rank == 0 || memcmp(a->type.dims, b->type.dims, (size_t)a->type.rank * sizeof(mbr_dim)) == 0);
}

/* Last step at which each root is read, aliases by views included. */
static void find_lives(planner *pl)
{
    mbr_program *p = pl->p;
    for (uint32_t k = 0; k < p->n_steps; k++) {
        const mbr_program_step *s = &p->steps[k];
        for (uint32_t i = 0; i < s->n_out; i++)
            if (s->out[i] != MBR_NO_VALUE) {
                uint32_t r = mbr_program_root(p, s->out[i]);
                if (r == s->out[i])
                    pl->first[r] = k;
                if (pl->last[r] < k)
                    pl->last[r] = k;
            }
        for (uint32_t i = 0; i < s->n_in; i++)
            if (s->in[i] != MBR_NO_VALUE) {
                uint32_t r = mbr_program_root(p, s->in[i]);
                if (pl->last[r] < k)
                    pl->last[r] = k;
            }
    }
    for (size_t i = 0; i < pl->g->n_outputs; i++)
        pl->last[mbr_program_root(p, pl->g->outputs[i]->id)] = p->n_steps;
}

static void place_step(planner *pl, mbr_program_step *s)
{
    mbr_program *p = pl->p;
    bool view = s->op->flags & MBR_OP_VIEW;
    for (uint32_t i = 0; i < s->n_out; i++) {
        if (s->out[i] == MBR_NO_VALUE || p->values[s->out[i]].place != MBR_PLACE_OWN)
            continue;
        mbr_program_value *v = &p->values[s->out[i]];
        v->planned = known_tensor(v->ir);
        if (i == 0 && view && !s->dynamic) {
            v->place = MBR_PLACE_ALIAS;
            v->root = s->in[0];
            s->in_place = p->values[mbr_program_root(p, s->in[0])].place != MBR_PLACE_OWN;
        } else if (!s->dynamic && v->planned && v->ir->type.dtype != MBR_DTYPE_STRING) {
            v->place = MBR_PLACE_SLAB;
        }
    }
}

/* Lets outputs take over the bytes of inputs that die at the step. Needs lives; keeps them right. */
static void share_in_place(planner *pl)
{
    mbr_program *p = pl->p;
    for (uint32_t k = 0; k < p->n_steps; k++) {
        mbr_program_step *s = &p->steps[k];
        if (!(s->op->flags & (MBR_OP_INPLACE0 | MBR_OP_INPLACE1)) || s->n_out == 0 || s->out[0] == MBR_NO_VALUE)
            continue;
        mbr_program_value *out = &p->values[s->out[0]];
        for (uint32_t i = 0; i < 2 && i < s->n_in && out->place == MBR_PLACE_SLAB; i++) {
            if (!(s->op->flags & (i ? MBR_OP_INPLACE1 : MBR_OP_INPLACE0)) || s->in[i] == MBR_NO_VALUE)
                continue;
            uint32_t r = mbr_program_root(p, s->in[i]);
            bool twice = false; /* another input with the same bytes would be overwritten while it is read */
            for (uint32_t j = 0; j < s->n_in; j++)
                twice |= j != i && s->in[j] != MBR_NO_VALUE && mbr_program_root(p, s->in[j]) == r;
            if (twice || p->values[r].place != MBR_PLACE_SLAB || pl->last[r] != k ||
                !same_dims(p->values[s->in[i]].ir, out->ir))
                continue;
            out->place = MBR_PLACE_ALIAS;
            out->root = r;
            pl->last[r] = pl->last[s->out[0]];
        }
    }
}

/* Roots of graph outputs get the output's storage, where they are not outputs already. */
static void place_outputs(planner *pl)
{
    mbr_program *p = pl->p;
    for (size_t i = 0; i < pl->g->n_outputs; i++) {
        mbr_program_value *r = &p->values[mbr_program_root(p, pl->g->outputs[i]->id)];
        if (r->place == MBR_PLACE_SLAB) {
            r->place = MBR_PLACE_OUTPUT;
            r->output = (uint32_t)i;
        }
    }
}

/* --- the slab --- */

/* Bytes of a tensor at given sizes of the symbols, a whole number of cache lines, at least one; capped, not wrapped. */
static size_t dims_bytes(const mbr_ir_value *ir, const int64_t *sizes)
{
    double bytes = (double)mbr_dtype_size(ir->type.dtype);
    for (int d = 0; d < ir->type.rank; d++) {
        int64_t n = mbr_dim_value(ir->type.dims[d], sizes);
        bytes *= n > 0 ? (double)n : 1.0;
    }
    if (bytes > 1e15)
        return (size_t)1000000000000000;
    return ((size_t)(bytes < 1 ? 1 : bytes) + MBR_ALIGN - 1) & ~(size_t)(MBR_ALIGN - 1);
}

static void likely_sizes(planner *pl)
{
    mbr_program *p = pl->p;
    const mbr_dim_table *t = &p->module->dims;
    for (size_t i = 0; i < t->n; i++)
        if (t->exprs[i].op == MBR_DIM_SYMBOL)
            pl->sizes[i] = LIKELY_SIZE;
    for (uint32_t scope = 0; scope <= pl->g->scope; scope++)
        if (mbr_dim_table_eval(t, scope, pl->sizes, NULL) != MBR_OK)
            break;
    for (uint32_t v = 0; v < p->n_values; v++)
        if (p->values[v].place == MBR_PLACE_SLAB)
            pl->likely[v] = dims_bytes(p->values[v].ir, pl->sizes);
}

static bool alive_together(const planner *pl, uint32_t a, uint32_t b)
{
    return pl->first[a] <= pl->last[b] && pl->first[b] <= pl->last[a];
}

typedef struct by_size {
    size_t bytes;
    uint32_t value;
} by_size;

static int larger_first(const void *a, const void *b)
{
    const by_size *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->value < y->value ? -1 : x->value > y->value;
}

typedef struct placed {
    size_t offset, end;
    uint32_t value;
} placed;

static int lower_first(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

/* Puts each value into the lowest gap among those alive with it; done[] stays sorted by offset. */
static void fit_all(const planner *pl, const by_size *order, uint32_t n, placed *done)
{
    for (uint32_t k = 0; k < n; k++) {
        uint32_t v = order[k].value;
        size_t at = 0, bytes = (order[k].bytes + MBR_ALIGN - 1) & ~(size_t)(MBR_ALIGN - 1);
        for (uint32_t i = 0; i < k; i++) {
            if (!alive_together(pl, v, done[i].value))
                continue;
            if (done[i].offset >= at + bytes)
                break;
            if (done[i].end > at)
                at = done[i].end;
        }
        uint32_t i = k;
        while (i > 0 && (done[i - 1].offset > at)) {
            done[i] = done[i - 1];
            i--;
        }
        done[i] = (placed){ at, at + bytes, v };
    }
}

/* For each placed value: those alive with it that lie directly below (what they sit on is implied). */
static mbr_status keep_order(planner *pl, const placed *done, uint32_t n)
{
    mbr_program *p = pl->p;
    uint32_t *below = mbr_alloc(p->memory, (n + 1) * sizeof *below);
    if (!below)
        return mbr_no_memory(pl->err, n * sizeof *below);
    mbr_status st = MBR_OK;
    for (uint32_t i = 0; i < n && st == MBR_OK; i++) {
        mbr_program_value *v = &p->values[done[i].value];
        uint32_t count = 0;
        for (uint32_t j = 0; j < i; j++)
            if (alive_together(pl, done[i].value, done[j].value))
                below[count++] = done[j].value;
        v->n_below = count;
        v->below = mbr_arena_copy(&p->arena, below, (count ? count : 1) * sizeof *below);
        if (!v->below)
            st = mbr_no_memory(pl->err, count * sizeof *below);
        p->slab_order[i] = done[i].value;
    }
    mbr_free(p->memory, below);
    return st;
}

static mbr_status plan_slab(planner *pl)
{
    mbr_program *p = pl->p;
    uint32_t n = 0;
    for (uint32_t v = 0; v < p->n_values; v++)
        n += p->values[v].place == MBR_PLACE_SLAB;
    by_size *order = mbr_calloc(p->memory, n + 1, sizeof *order);
    placed *done = mbr_calloc(p->memory, n + 1, sizeof *done);
    p->slab_order = mbr_arena_calloc(&p->arena, n + 1, sizeof *p->slab_order);
    mbr_status st = MBR_OK;
    if (!order || !done || !p->slab_order) {
        st = mbr_no_memory(pl->err, n * sizeof *done);
    } else {
        likely_sizes(pl);
        for (uint32_t v = 0, k = 0; v < p->n_values; v++)
            if (p->values[v].place == MBR_PLACE_SLAB)
                order[k++] = (by_size){ pl->likely[v], v };
        qsort(order, n, sizeof *order, larger_first);
        fit_all(pl, order, n, done);
        qsort(done, n, sizeof *done, lower_first);
        p->n_slab = n;
        st = keep_order(pl, done, n);
    }
    mbr_free(p->memory, order);
    mbr_free(p->memory, done);
    return st;
}

/* --- all together --- */

static mbr_status plan(planner *pl)
{
    mbr_program *p = pl->p;
    mbr_ir_graph *g = pl->g;
    size_t steps = find_needed(pl);
    p->steps = mbr_arena_calloc(&p->arena, steps + 1, sizeof *p->steps);
    p->values = mbr_arena_calloc(&p->arena, p->n_values + 1, sizeof *p->values);
    if (!p->steps || !p->values)
        return mbr_no_memory(pl->err, steps * sizeof *p->steps);
    for (uint32_t v = 0; v < p->n_values; v++) {
        p->values[v].ir = g->values[v];
        p->values[v].root = v;
        p->values[v].place = first_place(pl, g->values[v]);
        p->values[v].planned = known_tensor(g->values[v]);
    }
    for (mbr_ir_node *n = g->first; n; n = n->next)
        if (n->mark) {
            mbr_status st = make_step(pl, &p->steps[p->n_steps], n);
            p->n_steps++; /* so that what it packed is freed on failure */
            if (st != MBR_OK)
                return st;
            place_step(pl, &p->steps[p->n_steps - 1]);
        }
    MBR_TRY(pack_steps(pl));
    find_lives(pl);
    share_in_place(pl);
    place_outputs(pl);
    return plan_slab(pl);
}

static mbr_status program_alloc(mbr_ir_graph *g, mbr_program **out, mbr_error *err)
{
    mbr_memory *memory = g->module->memory;
    mbr_program *p = mbr_calloc(memory, 1, sizeof *p);
    *out = p;
    if (!p)
        return mbr_no_memory(err, sizeof *p);
    p->memory = memory;
    mbr_arena_init(&p->arena, memory, 32 * 1024);
    p->graph = g;
    p->module = g->module;
    p->n_values = (uint32_t)g->n_values;
    return MBR_OK;
}

mbr_status mbr_program_new(mbr_ir_graph *g, mbr_program **out, mbr_error *err)
{
    mbr_program *p;
    mbr_memory *memory = g->module->memory;
    MBR_TRY(program_alloc(g, &p, err));
    size_t n = g->n_values + 1;
    planner pl = { .p = p, .g = g, .err = err };
    pl.first = mbr_calloc(memory, n, sizeof *pl.first);
    pl.last = mbr_calloc(memory, n, sizeof *pl.last);
    pl.needed = mbr_calloc(memory, n, sizeof *pl.needed);
    pl.likely = mbr_calloc(memory, n, sizeof *pl.likely);
    pl.sizes = mbr_calloc(memory, g->module->dims.n + 1, sizeof *pl.sizes);
    mbr_status st = pl.first && pl.last && pl.needed && pl.likely && pl.sizes ? plan(&pl) : mbr_no_memory(err, n * 8);
    mbr_free(memory, pl.first);
    mbr_free(memory, pl.last);
    mbr_free(memory, pl.needed);
    mbr_free(memory, pl.likely);
    mbr_free(memory, pl.sizes);
    if (st != MBR_OK) {
        mbr_program_free(p);
        p = NULL;
    }
    *out = p;
    return st;
}

/* Values are numbered inputs first here, not by id, so that folding costs nothing that grows with the graph. */
mbr_status mbr_program_of_node(mbr_ir_node *n, mbr_program **out, mbr_error *err)
{
    mbr_program *p;
    MBR_TRY(program_alloc(n->graph, &p, err));
    p->n_values = n->n_inputs + n->n_outputs;
    p->values = mbr_arena_calloc(&p->arena, p->n_values + 1, sizeof *p->values);
    p->steps = mbr_arena_calloc(&p->arena, 1, sizeof *p->steps);
    uint32_t *index = mbr_arena_calloc(&p->arena, p->n_values + 1, sizeof *index);
    mbr_status st = p->values && p->steps && index ? MBR_OK : mbr_no_memory(err, p->n_values * sizeof *p->values);
    if (st == MBR_OK) {
        planner pl = { .p = p, .g = n->graph, .err = err };
        for (uint32_t i = 0; i < p->n_values; i++) {
            bool input = i < n->n_inputs;
            const mbr_ir_value *v = input ? n->inputs[i] : n->outputs[i - n->n_inputs];
            index[i] = v ? i : MBR_NO_VALUE;
            p->values[i] = (mbr_program_value){ .ir = v, .root = i, .place = !v      ? MBR_PLACE_NONE
                                                                    : input ? MBR_PLACE_CONST
                                                                            : MBR_PLACE_OWN };
        }
        p->n_steps = 1;
        st = make_step(&pl, &p->steps[0], n);
        if (st == MBR_OK)
            st = pack_steps(&pl);
        p->steps[0].dynamic = true;
        p->steps[0].in = index;
        p->steps[0].out = index + n->n_inputs;
    }
    if (st != MBR_OK) {
        mbr_program_free(p);
        p = NULL;
    }
    *out = p;
    return st;
}

void mbr_program_free(mbr_program *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->n_steps; i++) {
        if (p->steps[i].packed != p->steps[i].node->packed && !p->steps[i].packed_shared)
            mbr_free(p->memory, (void *)(uintptr_t)p->steps[i].packed);
        for (uint32_t k = 0; k < p->steps[i].n_bodies; k++)
            mbr_program_free(p->steps[i].bodies[k].program);
    }
    mbr_replicas_free(p);
    mbr_arena_destroy(&p->arena);
    mbr_free(p->memory, p);
}

size_t mbr_program_step_count(const mbr_program *p)
{
    size_t n = p->n_steps;
    for (uint32_t i = 0; i < p->n_steps; i++)
        for (uint32_t k = 0; k < p->steps[i].n_bodies; k++)
            n += mbr_program_step_count(p->steps[i].bodies[k].program);
    return n;
}

size_t mbr_program_activation_bytes(const mbr_program *p, int64_t size)
{
    const mbr_dim_table *t = &p->module->dims;
    int64_t *sizes = mbr_calloc(p->memory, t->n + 1, sizeof *sizes);
    size_t *ends = mbr_calloc(p->memory, p->n_values + 1, sizeof *ends);
    size_t top = 0, outputs = 0;
    for (size_t i = 0; sizes && ends && i < t->n; i++)
        if (t->exprs[i].op == MBR_DIM_SYMBOL)
            sizes[i] = size;
    for (uint32_t scope = 0; sizes && ends && scope <= p->graph->scope; scope++)
        if (mbr_dim_table_eval(t, scope, sizes, NULL) != MBR_OK)
            break;
    for (uint32_t k = 0; sizes && ends && k < p->n_slab; k++) {
        const mbr_program_value *v = &p->values[p->slab_order[k]];
        size_t at = 0;
        for (uint32_t i = 0; i < v->n_below; i++)
            at = mbr_max_size(at, ends[v->below[i]]);
        ends[p->slab_order[k]] = at + dims_bytes(v->ir, sizes);
        top = mbr_max_size(top, ends[p->slab_order[k]]);
    }
    for (uint32_t v = 0; sizes && ends && v < p->n_values; v++)
        if (p->values[v].place == MBR_PLACE_OUTPUT)
            outputs += dims_bytes(p->values[v].ir, sizes);
    mbr_free(p->memory, sizes);
    mbr_free(p->memory, ends);
    return top + outputs;
}

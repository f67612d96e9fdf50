/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/custom.h"

#include "base/checked.h"

#include <stdio.h>
#include <string.h>

typedef struct custom_shape {
    int rank;
    int64_t dims[MBR_MAX_RANK];
} custom_shape;

typedef struct custom_state {
    void *state;          /* the caller's */
    bool started;
    custom_shape *shapes; /* (n_out) as prepare found them: the kernel must leave them so */
} custom_state;

static const mbr_custom *custom_of(const mbr_ir_node *n)
{
    return (const mbr_custom *)(const void *)n->op;
}

/* What a callback returned, as a status with a message about its node. */
static mbr_status blame(const mbr_ir_node *n, const char *what, mbr_status st, const mbr_error *said, mbr_error *err)
{
    if (st == MBR_OK)
        return MBR_OK;
    if ((int)st < 0 || st > MBR_ERR_INTERNAL)
        st = MBR_ERR_RUN;
    if (said->text[0])
        mbr_fail(err, st, "%s", said->text);
    else
        mbr_fail(err, st, "its %s failed (%s) and did not say why", what, mbr_status_name(st));
    return mbr_ir_fail_at(n, err, st);
}

/* --- shapes --- */

static bool size_is_valid(const mbr_infer *c, int64_t d)
{
    if (!mbr_dim_is_known(d) || (mbr_dim_is_const(d) && d >= 0))
        return true;
    return mbr_dim_is_expr(d) && c->dims && mbr_dim_index(d) < c->dims->n;
}

mbr_status mbr_custom_say(mbr_custom_call *call, uint32_t i, mbr_dtype dtype, int rank, const int64_t *dims,
                          mbr_error *err)
{
    mbr_infer *c = call->infer;
    if (!c)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "only a shape function sets types and shapes");
    if (i >= c->n_out)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "its shape function sets output %u; the node has %u", (unsigned)i,
                        (unsigned)c->n_out);
    if (mbr_dtype_size(dtype) == 0)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "its shape function gives output %u no type (%d)", (unsigned)i,
                        (int)dtype);
    if (rank < -1 || rank > MBR_MAX_RANK)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "its shape function gives output %u rank %d", (unsigned)i, rank);
    for (int d = 0; d < rank && dims; d++)
        if (!size_is_valid(c, dims[d]))
            return mbr_fail(err, MBR_ERR_ARGUMENT, "its shape function gives output %u size %lld in axis %d",
                            (unsigned)i, (long long)dims[d], d);
    mbr_infer_out(c, i, dtype, rank, dims);
    return MBR_OK;
}

/* While a model is planned: sizes that the rest of the plan may rely on must be ones that are checked at the run. */
static void keep_what_holds(const mbr_custom *op, mbr_infer *c)
{
    bool whole = !(op->spec.flags & MBR_CUSTOM_SIZED_BY_RUN);
    for (uint32_t i = 0; i < c->n_out; i++) {
        whole &= !c->out[i].present || c->out[i].rank >= 0;
        for (int d = 0; c->out[i].present && d < c->out[i].rank; d++)
            whole &= mbr_dim_is_known(c->out[i].dims[d]);
    }
    for (uint32_t i = 0; i < c->n_out && !whole; i++)
        for (int d = 0; c->out[i].present && d < c->out[i].rank; d++)
            if (!mbr_dim_is_const(c->out[i].dims[d]))
                c->out[i].dims[d] = MBR_DIM_UNKNOWN;
}

/* During a run: the same as was said while the model was planned. */
static mbr_status compare_plan(const mbr_ir_node *n, uint32_t i, mbr_dtype dtype, int rank, const int64_t *dims,
                               const char *who, mbr_error *err)
{
    const mbr_ir_type *t = &n->outputs[i]->type;
    if (dtype != t->dtype && t->dtype)
        return mbr_fail(err, MBR_ERR_RUN, "its %s makes output %u %s; it was planned as %s", who, (unsigned)i,
                        mbr_dtype_name(dtype), mbr_dtype_name(t->dtype));
    if (rank >= 0 && t->rank >= 0 && rank != t->rank)
        return mbr_fail(err, MBR_ERR_RUN, "its %s gives output %u rank %d; it was planned with %d", who, (unsigned)i,
                        rank, t->rank);
    for (int d = 0; d < rank && t->rank >= 0; d++)
        if (mbr_dim_is_const(t->dims[d]) && mbr_dim_is_const(dims[d]) && t->dims[d] != dims[d])
            return mbr_fail(err, MBR_ERR_RUN, "its %s gives output %u size %lld in axis %d; it was planned with %lld",
                            who, (unsigned)i, (long long)dims[d], d, (long long)t->dims[d]);
    return MBR_OK;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_custom *op = custom_of(c->node);
    mbr_custom_call call = { .op = op, .node = c->node, .infer = c };
    mbr_error said = { 0 };
    mbr_error *err = c->err;
    for (uint32_t i = 0; i < c->n_in; i++)
        if (c->in[i].present && c->in[i].kind != MBR_KIND_TENSOR)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u is no tensor", (unsigned)i);
    MBR_TRY(blame(c->node, "shape function", op->spec.shape(&call, &said), &said, err));
    for (uint32_t i = 0; i < c->n_out; i++) {
        if (!c->out[i].present)
            continue;
        if (!c->out[i].dtype)
            return mbr_infer_fail(c, MBR_ERR_RUN, "its shape function says nothing of output %u", (unsigned)i);
        mbr_status st = c->dims ? MBR_OK : compare_plan(c->node, i, c->out[i].dtype, c->out[i].rank, c->out[i].dims,
                                                        "shape function", err);
        if (st != MBR_OK)
            return mbr_ir_fail_at(c->node, err, st);
    }
    if (c->dims)
        keep_what_holds(op, c);
    return MBR_OK;
}

/* --- the life of a step --- */

static mbr_status init(mbr_step *s, mbr_error *err)
{
    const mbr_custom *op = custom_of(s->node);
    custom_state *st = s->state;
    mbr_custom_call call = { .op = op, .node = s->node, .step = s, .starting = true };
    mbr_error said = { 0 };
    st->shapes = mbr_calloc(mbr_step_memory(s), (size_t)s->n_out + 1, sizeof *st->shapes);
    if (!st->shapes)
        return mbr_no_memory(err, s->n_out * sizeof *st->shapes);
    if (!op->spec.start)
        return MBR_OK;
    MBR_TRY(blame(s->node, "start function", op->spec.start(&call, &st->state, &said), &said, err));
    st->started = true;
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    const mbr_custom *op = custom_of(s->node);
    custom_state *st = s->state;
    if (st->started && op->spec.stop)
        op->spec.stop(st->state, op->spec.user);
    mbr_free(mbr_step_memory(s), st->shapes);
    st->started = false;
    st->shapes = NULL;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    const mbr_custom *op = custom_of(s->node);
    custom_state *st = s->state;
    mbr_custom_call call = { .op = op, .node = s->node, .step = s, .state = st->state };
    mbr_custom_work work = { .size = sizeof work, .tiles = 1 };
    mbr_error said = { 0 };
    for (uint32_t i = 0; i < s->n_out; i++)
        if (s->out[i]) {
            st->shapes[i].rank = s->out[i]->rank;
            memcpy(st->shapes[i].dims, s->out[i]->dims, sizeof st->shapes[i].dims);
        }
    if (!op->spec.prepare)
        return MBR_OK;
    MBR_TRY(blame(s->node, "prepare function", op->spec.prepare(&call, &work, &said), &said, err));
    if (!(work.tile_ns >= 0))
        return mbr_step_fail(s, err, MBR_ERR_RUN, "its prepare function estimates %g ns a tile", work.tile_ns);
    s->scratch = work.scratch;
    if (op->spec.flags & MBR_CUSTOM_SIZED_BY_RUN)
        return MBR_OK;
    s->tiles[0] = work.tiles;
    s->cost_ns = work.tile_ns > 0 ? work.tile_ns * (double)work.tiles : 1000.0 * (double)work.tiles;
    return MBR_OK;
}

/* A kernel that reshapes its output would break the plan for all that follow. */
static mbr_status check_shapes(mbr_step *s, mbr_error *err)
{
    const custom_state *st = s->state;
    for (uint32_t i = 0; i < s->n_out; i++) {
        const custom_shape *was = &st->shapes[i];
        mbr_value *v = s->out[i];
        if (!v || (v->rank == was->rank && memcmp(v->dims, was->dims, (size_t)was->rank * sizeof *was->dims) == 0))
            continue;
        v->rank = was->rank;
        memcpy(v->dims, was->dims, sizeof was->dims);
        return mbr_step_fail(s, err, MBR_ERR_RUN, "its kernel changed the shape of output %u, which its shape function "
                             "had said", (unsigned)i);
    }
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_custom *op = custom_of(s->node);
    custom_state *st = s->state;
    mbr_custom_call call = { .op = op, .node = s->node, .step = s, .state = st->state };
    mbr_error said;
    bool sized = op->spec.flags & MBR_CUSTOM_SIZED_BY_RUN;
    said.text[0] = '\0';
    for (uint32_t i = 0; i < s->n_out && sized; i++)
        st->shapes[i].rank = -1; /* until it is resized */
    mbr_status status = op->spec.run(&call, job->first, job->last, job->scratch, &said);
    if (status != MBR_OK)
        return blame(s->node, "kernel", status, &said, err);
    for (uint32_t i = 0; i < s->n_out && sized; i++)
        if (s->out[i] && st->shapes[i].rank < 0)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "its kernel gave output %u no shape (mbr_custom_resize)",
                                 (unsigned)i);
    return check_shapes(s, err);
}

/* What the shape function says of output i now that everything is known. */
static mbr_status ask_again(mbr_custom_call *call, uint32_t i, mbr_arg *says, mbr_error *err)
{
    mbr_step *s = call->step;
    mbr_arg *args = mbr_step_alloc(s, ((size_t)s->n_in + s->n_out) * sizeof *args);
    if (!args)
        return mbr_no_memory(err, sizeof *args);
    memset(args, 0, ((size_t)s->n_in + s->n_out) * sizeof *args);
    for (uint32_t k = 0; k < s->n_in; k++) {
        const mbr_value *v = s->in[k];
        args[k].rank = -1;
        if (!v)
            continue;
        args[k] = (mbr_arg){ .present = true, .dtype = v->dtype, .rank = v->rank, .data = v };
        memcpy(args[k].dims, v->dims, (size_t)v->rank * sizeof *v->dims);
    }
    for (uint32_t k = 0; k < s->n_out; k++)
        args[s->n_in + k] = (mbr_arg){ .present = s->out[k] != NULL, .rank = -1 };
    mbr_infer c = { .node = s->node, .err = err, .n_in = s->n_in, .n_out = s->n_out, .in = args,
                    .out = args + s->n_in };
    mbr_custom_call shape = { .op = call->op, .node = s->node, .infer = &c };
    MBR_TRY(call->op->spec.shape(&shape, err));
    *says = c.out[i];
    return MBR_OK;
}

mbr_status mbr_custom_size_output(mbr_custom_call *call, uint32_t i, int rank, const int64_t *dims, mbr_error *err)
{
    mbr_step *s = call->step;
    mbr_arg says = { .rank = -1 };
    if (!s || call->starting || !(call->op->spec.flags & MBR_CUSTOM_SIZED_BY_RUN))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "only the kernel of an operator with MBR_CUSTOM_SIZED_BY_RUN sets shapes");
    if (i >= s->n_out || rank < 0 || rank > MBR_MAX_RANK)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "its kernel gives output %u rank %d; the node has %u outputs",
                        (unsigned)i, rank, (unsigned)s->n_out);
    if (!s->out[i])
        return MBR_OK;
    MBR_TRY(compare_plan(s->node, i, s->out[i]->dtype, rank, dims, "kernel", err));
    MBR_TRY(ask_again(call, i, &says, err));
    bool agrees = says.rank < 0 || says.rank == rank;
    for (int d = 0; d < says.rank && agrees; d++)
        agrees = !mbr_dim_is_const(says.dims[d]) || says.dims[d] == dims[d];
    if (!agrees)
        return mbr_fail(err, MBR_ERR_RUN, "its kernel gives output %u another shape than its shape function said",
                        (unsigned)i);
    MBR_TRY(mbr_value_resize(s->out[i], s->out[i]->dtype, rank, dims, err));
    custom_shape *now = &((custom_state *)s->state)->shapes[i];
    now->rank = rank;
    memcpy(now->dims, dims, (size_t)rank * sizeof *dims);
    return MBR_OK;
}

/* --- the list --- */

const mbr_op *mbr_custom_find(const mbr_custom_ops *ops, const char *domain, const char *name, int version)
{
    const mbr_op *best = NULL;
    for (const mbr_custom *o = ops ? ops->first : NULL; o; o = o->next)
        if (o->row.since <= version && (!best || o->row.since > best->since) && strcmp(o->row.name, name) == 0 &&
            strcmp(o->row.domain, domain) == 0)
            best = &o->row;
    return best;
}

static bool library_has(const char *domain, const char *name)
{
    const mbr_op *op;
    for (size_t i = 0; (op = mbr_op_at(i)); i++)
        if (strcmp(op->name, name) == 0 && strcmp(op->domain, domain) == 0)
            return true;
    return strcmp(domain, "mbr") == 0;
}

static bool count_is_valid(int least, int most)
{
    return least >= 0 && least < MBR_OP_MANY && (most == MBR_CUSTOM_MANY || (most >= least && most < MBR_OP_MANY));
}

mbr_status mbr_custom_add(mbr_custom_ops *ops, mbr_memory *memory, const mbr_custom_op *spec, mbr_error *err)
{
    const char *domain = spec->domain && strcmp(spec->domain, "ai.onnx") != 0 ? spec->domain : "";
    int since = spec->since ? spec->since : 1;
    if (!spec->name || !*spec->name || !spec->shape || !spec->run)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a custom operator needs a name, a shape function and a kernel");
    if (since < 1 || !count_is_valid(spec->min_inputs, spec->max_inputs) ||
        !count_is_valid(spec->min_outputs, spec->max_outputs) || spec->max_outputs == 0)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "custom operator %s: impossible numbers of inputs or outputs, or version %d",
                        spec->name, since);
    if (spec->flags & ~(unsigned)(MBR_CUSTOM_SIZED_BY_RUN | MBR_CUSTOM_RANDOM | MBR_CUSTOM_IN_PLACE))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "custom operator %s: flags %#x are not known to this library", spec->name,
                        spec->flags);
    const mbr_op *there = mbr_custom_find(ops, domain, spec->name, since);
    if (library_has(domain, spec->name) || (there && there->since == since))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "operator %s of domain '%s', version %d, is there already", spec->name,
                        *domain ? domain : "ai.onnx", since);
    size_t a = strlen(domain) + 1, b = strlen(spec->name) + 1;
    mbr_custom *o = mbr_calloc(memory, 1, sizeof *o);
    char *text = mbr_alloc(memory, a + b);
    if (!o || !text) {
        mbr_free(memory, o);
        mbr_free(memory, text);
        return mbr_no_memory(err, sizeof *o + a + b);
    }
    memcpy(text, domain, a);
    memcpy(text + a, spec->name, b);
    o->text = text;
    o->spec = *spec;
    o->spec.domain = text;
    o->spec.name = text + a;
    o->row = (mbr_op){ .domain = o->spec.domain, .name = o->spec.name, .since = since, .infer = infer, .init = init,
                       .prepare = prepare, .run = run, .fini = fini, .state_size = sizeof(custom_state) };
    o->row.min_in = (uint8_t)spec->min_inputs;
    o->row.max_in = (uint8_t)(spec->max_inputs == MBR_CUSTOM_MANY ? MBR_OP_MANY : spec->max_inputs);
    o->row.min_out = (uint8_t)spec->min_outputs;
    o->row.max_out = (uint8_t)(spec->max_outputs == MBR_CUSTOM_MANY ? MBR_OP_MANY : spec->max_outputs);
    if (spec->flags & MBR_CUSTOM_SIZED_BY_RUN)
        o->row.flags |= MBR_OP_SIZED_BY_RUN;
    if (!spec->prepare || (spec->flags & MBR_CUSTOM_SIZED_BY_RUN))
        o->row.flags |= MBR_OP_HOST;
    if (spec->flags & MBR_CUSTOM_RANDOM)
        o->row.flags |= MBR_OP_RANDOM;
    if (spec->flags & MBR_CUSTOM_IN_PLACE)
        o->row.flags |= MBR_OP_INPLACE0;
    o->next = ops->first;
    ops->first = o;
    return MBR_OK;
}

void mbr_custom_drop(mbr_custom_ops *ops, mbr_memory *memory, const mbr_custom *keep)
{
    while (ops->first && ops->first != keep) {
        mbr_custom *o = ops->first;
        ops->first = o->next;
        if (o->spec.release)
            o->spec.release(o->spec.user);
        mbr_free(memory, o->text);
        mbr_free(memory, o);
    }
}

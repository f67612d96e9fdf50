/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loop: runs its body while a condition holds, at most a number of times.
 * Body: (iteration, condition, state...) -> (condition, state..., scan outputs...).
 *
 * The state lives in two sets of values that keep their storage from run to run: an iteration reads one and its
 * results go to the other, for an output of the body may well be one of its inputs.
 */
#include "engine/ops/control.h"

#include <string.h>

/* The slices of a scan output, one after the other. */
typedef struct pile {
    char *data;
    size_t bytes, capacity;
    mbr_dtype dtype;
    int rank;
    int64_t dims[MBR_MAX_RANK]; /* of a slice */
} pile;

typedef struct state {
    size_t n_state, n_scan;
    mbr_value *sets[2]; /* (n_state) each */
    pile *piles;        /* (n_scan) */
    mbr_value iteration, condition;
} state;

/* Is the body's condition the one it was given, or constantly true? */
static bool condition_stays(const mbr_ir_graph *g)
{
    const mbr_ir_value *v = g->outputs[0];
    while (v->producer && strcmp(v->producer->op->name, "Identity") == 0 && v->producer->inputs[0])
        v = v->producer->inputs[0];
    if (v->constant)
        return v->constant->kind == MBR_KIND_TENSOR && v->constant->dtype == MBR_DTYPE_BOOL &&
               mbr_value_count(v->constant) == 1 && *(const uint8_t *)v->constant->data;
    return v == g->inputs[1];
}

/* The number of iterations where it is sure, else unknown. */
static mbr_dim trip_count(const mbr_infer *c, const mbr_ir_graph *g)
{
    mbr_dim trips;
    int64_t cond = 1;
    size_t n;
    if (!mbr_infer_ints(c, 0, &trips, 1, &n) || n != 1 || !condition_stays(g))
        return MBR_DIM_UNKNOWN;
    if (mbr_infer_has(c, 1) && (!mbr_infer_const_ints(c, 1, &cond, 1, &n) || n != 1))
        return MBR_DIM_UNKNOWN;
    return cond ? mbr_dim_max(c->dims, trips, 0) : 0;
}

/* The first two inputs of the body are scalars, or tensors of one element if the file says so. */
static mbr_status feed_scalar(mbr_infer *c, mbr_ir_graph *g, size_t i, mbr_dtype dtype)
{
    const mbr_ir_value *v = g->inputs[i];
    mbr_arg a = { .present = true, .kind = MBR_KIND_TENSOR, .dtype = dtype, .rank = v->type.rank == 1, .dims = { 1 } };
    return mbr_infer_feed(c, g, i, &a);
}

static mbr_status infer(mbr_infer *c)
{
    mbr_ir_graph *g;
    MBR_TRY(mbr_control_graph(c, "body", &g));
    if (c->node->n_formal < 2 || g->n_inputs != c->node->n_formal)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the body has %zu inputs, the node %u", g->n_inputs, c->node->n_formal);
    size_t n_state = g->n_inputs - 2;
    if (g->n_outputs < n_state + 1 || c->n_out > g->n_outputs - 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the body has %zu outputs, which does not fit %zu loop-carried values "
                              "and %u outputs of the node",
                              g->n_outputs, n_state, c->n_out);
    for (size_t i = 0; i < n_state; i++)
        if (!c->in[i + 2].present)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the initial value of '%s' is missing", g->inputs[i + 2]->name);
    mbr_arg *carried = c->in + 2; /* widened in place: nobody reads the inputs after this */
    MBR_TRY(feed_scalar(c, g, 0, MBR_DTYPE_I64));
    MBR_TRY(feed_scalar(c, g, 1, MBR_DTYPE_BOOL));
    MBR_TRY(mbr_control_fixpoint(c, g, carried, n_state, 2, 1));
    mbr_dim trips = trip_count(c, g);
    bool runs = mbr_dim_is_known(trips) && mbr_dim_lower_bound(c->dims, trips) > 0;
    for (uint32_t i = 0; i < c->n_out; i++) {
        mbr_arg *out = &c->out[i];
        if (!out->present)
            continue;
        mbr_control_result(c, g, i + 1, out);
        out->content = NULL;
        if (i < n_state) {
            bool changed = false;
            if (!runs)
                MBR_TRY(out->kind == carried[i].kind
                            ? mbr_control_join(c, out, &carried[i], g->outputs[i + 1]->name, &changed)
                            : MBR_OK);
            continue;
        }
        if (out->kind != MBR_KIND_TENSOR)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "scan output '%s' is no tensor", g->outputs[i + 1]->name);
        if (out->rank == MBR_MAX_RANK)
            return mbr_infer_fail(c, MBR_ERR_LIMIT, "a scan output of more than %d axes", MBR_MAX_RANK);
        if (out->rank >= 0) {
            memmove(out->dims + 1, out->dims, (size_t)out->rank * sizeof *out->dims);
            out->dims[0] = trips;
            out->rank++;
        }
    }
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    mbr_memory *memory = mbr_step_memory(s);
    const mbr_ir_graph *g = mbr_attr_graph(s->node, "body");
    size_t n_state = g->n_inputs - 2, n_scan = g->n_outputs - 1 - n_state;
    mbr_value_init(&t->iteration, memory, MBR_KIND_TENSOR, MBR_DTYPE_I64);
    mbr_value_init(&t->condition, memory, MBR_KIND_TENSOR, MBR_DTYPE_BOOL);
    t->sets[0] = mbr_calloc(memory, 2 * n_state + 1, sizeof(mbr_value));
    t->piles = mbr_calloc(memory, n_scan + 1, sizeof *t->piles);
    if (!t->sets[0] || !t->piles)
        return mbr_no_memory(err, 2 * n_state * sizeof(mbr_value));
    t->sets[1] = t->sets[0] + n_state;
    t->n_state = n_state;
    t->n_scan = n_scan;
    for (size_t i = 0; i < n_state; i++)
        for (int k = 0; k < 2; k++)
            mbr_value_init(&t->sets[k][i], memory, g->inputs[i + 2]->type.kind, g->inputs[i + 2]->type.dtype);
    const int64_t one = 1;
    MBR_TRY(mbr_value_resize(&t->iteration, MBR_DTYPE_I64, g->inputs[0]->type.rank == 1, &one, err));
    return mbr_value_resize(&t->condition, MBR_DTYPE_BOOL, g->inputs[1]->type.rank == 1, &one, err);
}

static void fini(mbr_step *s)
{
    state *t = s->state;
    mbr_memory *memory = mbr_step_memory(s);
    for (size_t i = 0; i < 2 * t->n_state; i++)
        mbr_value_clear(&t->sets[0][i]);
    for (size_t i = 0; i < t->n_scan; i++)
        mbr_free(memory, t->piles[i].data);
    mbr_free(memory, t->sets[0]);
    mbr_free(memory, t->piles);
    if (t->iteration.memory)
        mbr_value_clear(&t->iteration);
    if (t->condition.memory)
        mbr_value_clear(&t->condition);
}

/* Puts a slice on its pile. */
static mbr_status pile_up(mbr_step *s, pile *p, const mbr_value *v, bool first, mbr_error *err)
{
    if (v->kind != MBR_KIND_TENSOR)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "a scan output is no tensor");
    if (first) {
        if (v->rank >= MBR_MAX_RANK)
            return mbr_step_fail(s, err, MBR_ERR_LIMIT, "a scan output of more than %d axes", MBR_MAX_RANK);
        p->bytes = 0;
        p->dtype = v->dtype;
        p->rank = v->rank;
        memcpy(p->dims, v->dims, sizeof p->dims);
    } else if (v->rank != p->rank || v->dtype != p->dtype ||
               memcmp(v->dims, p->dims, (size_t)v->rank * sizeof *v->dims) != 0) {
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "a scan output changes its shape from one iteration to the next");
    }
    size_t bytes = mbr_value_bytes(v);
    if (bytes > PTRDIFF_MAX - p->bytes)
        return mbr_step_fail(s, err, MBR_ERR_LIMIT, "a scan output grows beyond all memory");
    if (p->bytes + bytes > p->capacity) {
        size_t room = p->capacity + p->capacity / 2;
        room = room < p->bytes + bytes ? p->bytes + bytes : room;
        char *data = mbr_grow(mbr_step_memory(s), p->data, p->bytes, room);
        if (!data)
            return mbr_no_memory(err, room);
        p->data = data;
        p->capacity = room;
    }
    MBR_TRY(mbr_control_copy(s, v->dtype, p->data + p->bytes, v->data, mbr_value_count(v), err));
    p->bytes += bytes;
    return MBR_OK;
}

/* Scan outputs become outputs of the step. */
static mbr_status unload(mbr_step *s, int64_t trips, mbr_error *err)
{
    state *t = s->state;
    for (size_t k = 0; k < t->n_scan; k++) {
        uint32_t i = (uint32_t)(t->n_state + k);
        pile *p = &t->piles[k];
        int64_t dims[MBR_MAX_RANK];
        if (!mbr_step_wants(s, i))
            continue;
        if (trips == 0) { /* what the plan knows of a slice */
            const mbr_ir_type *type = &s->node->outputs[i]->type;
            p->rank = type->rank < 1 ? 0 : type->rank - 1;
            for (int d = 0; d < p->rank; d++)
                p->dims[d] = mbr_step_size(s, type->dims[d + 1], 0);
            p->bytes = 0;
        } else if (p->dtype != s->out[i]->dtype) {
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "scan output %zu is %s; it was to be %s", k,
                                 mbr_dtype_name(p->dtype), mbr_dtype_name(s->out[i]->dtype));
        }
        dims[0] = trips;
        memcpy(dims + 1, p->dims, (size_t)p->rank * sizeof *dims);
        MBR_TRY(mbr_step_resize(s, i, p->rank + 1, dims, err));
        if (p->bytes)
            memcpy(s->out[i]->data, p->data, p->bytes);
    }
    return MBR_OK;
}

/*
 * Rounds: as many iterations as come in a row once the shapes of the state have settled, between two sets of buffers,
 * with nothing bound and nothing sized. sets[trips & 1] is the state.
 */
static mbr_status run_rounds(mbr_step *s, struct mbr_frame *f, int64_t most, int64_t *trips, bool *holds, mbr_error *err)
{
    state *t = s->state;
    bool settled;
    MBR_TRY(mbr_control_rounds(t->sets[*trips & 1], t->sets[(*trips & 1) ^ 1], t->n_state, f, 2, &settled, err));
    if (!settled)
        return MBR_OK;
    int64_t *iteration = t->iteration.data;
    uint8_t *condition = t->condition.data;
    const mbr_value *goes_on = mbr_frame_made(f, 0);
    mbr_frame_point_input(f, 0, iteration);
    mbr_frame_point_input(f, 1, condition);
    for (; *holds && *trips < most; ++*trips) {
        if (mbr_step_cancelled(s))
            return MBR_ERR_CANCELLED;
        const mbr_value *from = t->sets[*trips & 1], *to = t->sets[(*trips & 1) ^ 1];
        *iteration = *trips;
        *condition = 1;
        MBR_TRY(mbr_control_round(from, to, t->n_state, f, 2, 1, err));
        *holds = *(const uint8_t *)goes_on->data != 0;
        for (size_t k = 0; k < t->n_scan; k++)
            if (mbr_step_wants(s, (uint32_t)(t->n_state + k)))
                MBR_TRY(pile_up(s, &t->piles[k], mbr_frame_made(f, t->n_state + 1 + k), false, err));
    }
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    state *t = s->state;
    const mbr_ir_graph *g = mbr_attr_graph(s->node, "body");
    int64_t most = INT64_MAX, trips = 0;
    bool holds = true;
    if (mbr_step_has(s, 0)) {
        size_t n;
        MBR_TRY(mbr_step_ints(s, 0, &most, 1, &n, err));
        if (n != 1)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "the trip count must be one number");
    }
    if (mbr_step_has(s, 1))
        MBR_TRY(mbr_control_condition(s, s->in[1], &holds, err));
    struct mbr_frame *f = mbr_step_subframe(s, "body");
    MBR_TRY(mbr_subframe_bind_captures(s, f, err));
    for (; holds && trips < most; trips++) {
        if (trips == 1 || trips == 2) /* the second time where the initial state had other shapes */
            MBR_TRY(run_rounds(s, f, most, &trips, &holds, err));
        if (!holds || trips == most)
            break;
        if (mbr_step_cancelled(s))
            return MBR_ERR_CANCELLED;
        mbr_value *from = t->sets[trips & 1], *to = t->sets[(trips & 1) ^ 1];
        *(int64_t *)t->iteration.data = trips;
        *(uint8_t *)t->condition.data = holds;
        MBR_TRY(mbr_frame_bind(f, 0, &t->iteration, err));
        MBR_TRY(mbr_frame_bind(f, 1, &t->condition, err));
        for (size_t i = 0; i < t->n_state; i++) {
            const mbr_value *v = trips ? &from[i] : s->in[i + 2];
            mbr_kind kind = g->inputs[i + 2]->type.kind;
            if (trips == 0 && v->kind != kind) {
                MBR_TRY(mbr_control_carry(&from[i], v, kind, err));
                v = &from[i];
            }
            MBR_TRY(mbr_frame_bind(f, i + 2, v, err));
        }
        MBR_TRY(mbr_frame_run(f, err));
        MBR_TRY(mbr_control_condition(s, mbr_frame_output(f, 0), &holds, err));
        for (size_t i = 0; i < t->n_state; i++)
            MBR_TRY(mbr_control_carry_output(&to[i], f, i + 1, g->inputs[i + 2]->type.kind, err));
        for (size_t k = 0; k < t->n_scan; k++)
            if (mbr_step_wants(s, (uint32_t)(t->n_state + k)))
                MBR_TRY(pile_up(s, &t->piles[k], mbr_frame_output(f, t->n_state + 1 + k), trips == 0, err));
    }
    for (size_t i = 0; i < t->n_state; i++)
        MBR_TRY(mbr_control_deliver(s, (uint32_t)i, trips ? &t->sets[trips & 1][i] : s->in[i + 2], err));
    return unload(s, trips, err);
}

/* Trip count and condition may both be absent: infer checks that their places are there. */
#define ROW(version)                                                                                                   \
    { .domain = "", .name = "Loop", .since = version, .min_in = 0, .max_in = MBR_OP_MANY, .min_out = 1,                \
      .max_out = MBR_OP_MANY, .flags = MBR_CONTROL_FLAGS, .infer = infer, .init = init, .run = run, .fini = fini,      \
      .state_size = sizeof(state) }

const mbr_op mbr_ops_loop[] = {
    ROW(1),
    ROW(11), /* state may change its shape */
    ROW(13), /* sequences */
    ROW(16), /* optionals */
    { 0 },
};

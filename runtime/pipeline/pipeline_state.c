/* SPDX-License-Identifier: BSD-2-Clause */
/* The section `state`: which outputs of the model are inputs of its next run, for each key. */
#include "runtime/pipeline/pipeline_impl.h"

#include "base/checked.h"
#include "runtime/pipeline/element.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_KEYS 1024
#define MOST_KEYS 16777216
#define DEFAULT_BYTES ((int64_t)64 << 20)

typedef struct edge_keys {
    mbr_string output, input;
    mbr_policy initial;
    mbr_numbers shape;
    int64_t axis;
} edge_keys;

static const mbr_param edge_params[] = {
    { .name = "output", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(edge_keys, output) },
    { .name = "input", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(edge_keys, input) },
    { .name = "initial", .type = MBR_PARAM_POLICY, .words = "zeros", .offset = offsetof(edge_keys, initial) },
    { .name = "shape", .type = MBR_PARAM_NUMBERS, .offset = offsetof(edge_keys, shape) },
    { .name = "axis", .type = MBR_PARAM_INT, .offset = offsetof(edge_keys, axis) },
    { .name = NULL }
};

/* The shape of the first state of one key, with 1 on the axis of rows. */
static mbr_status first_shape(const mbr_reading *r, const mbr_node *n, const edge_keys *keys, const mbr_port *port,
                              mbr_edge *edge)
{
    if (keys->shape.count && port->rank >= 0 && keys->shape.count != (size_t)port->rank)
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "'shape' of state '%s' has %zu dimensions, the model's input "
                               "has %d", edge->name, keys->shape.count, port->rank);
    if (!keys->shape.count && port->rank < 0)
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "state '%s' needs 'shape': the model does not say one", edge->name);
    if (keys->shape.count > MBR_MAX_RANK)
        return mbr_node_fail(r, n, "'shape' of state '%s' has more than %d dimensions", edge->name, MBR_MAX_RANK);
    edge->rank = keys->shape.count ? (int)keys->shape.count : port->rank;
    if (keys->axis < -1 || keys->axis >= edge->rank)
        return mbr_node_fail(r, n, "'axis' of state '%s' must be that of the rows, 0 to %d, or -1 where there is none",
                             edge->name, edge->rank - 1);
    edge->axis = (int)keys->axis;
    for (int i = 0; i < edge->rank; i++) {
        int64_t declared = port->rank < 0 ? -1 : port->dims[i];
        double given = keys->shape.count ? keys->shape.items[i] : declared < 0 ? 0 : (double)declared;
        if (i == edge->axis)
            given = 1;
        if (!(given >= 0 && given <= 2147483647.0 && given == floor(given)) ||
            (i != edge->axis && declared >= 0 && declared != (int64_t)given))
            return mbr_node_refuse(r, n, MBR_ERR_INPUT, "dimension %d of state '%s' cannot be %g in the model", i,
                                   edge->name, given);
        if (i == edge->axis && declared > 1)
            return mbr_node_refuse(r, n, MBR_ERR_INPUT, "axis %d of state '%s' is fixed at %lld in the model, and can "
                                   "not be that of the rows; say 'axis: -1' where there is none", i, edge->name,
                                   (long long)declared);
        edge->dims[i] = (int64_t)given;
        edge->free[i] = declared < 0;
    }
    return MBR_OK;
}

static mbr_status read_edge(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, mbr_edge *edge)
{
    edge_keys keys;
    mbr_port in = { .size = sizeof in }, out = { .size = sizeof out };
    MBR_TRY(mbr_node_read(r, n, "an edge of 'state'", edge_params, NULL, &keys));
    edge->name = keys.input.data;
    edge->input = mbr_model_find_input(p->model, edge->name);
    edge->output = mbr_model_find_output(p->model, keys.output.data);
    if (edge->input < 0 || edge->output < 0)
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "the model has no %s '%s'", edge->input < 0 ? "input" : "output",
                               edge->input < 0 ? edge->name : keys.output.data);
    for (const mbr_edge *other = p->state->edges; other < edge; other++)
        if (other->input == edge->input)
            return mbr_node_fail(r, n, "the input '%s' has two edges in 'state'", edge->name);
    MBR_TRY(mbr_model_input(p->model, edge->input, &in, r->err));
    MBR_TRY(mbr_model_output(p->model, edge->output, &out, r->err));
    if (in.kind != MBR_KIND_TENSOR || out.kind != MBR_KIND_TENSOR || in.dtype != out.dtype ||
        in.dtype == MBR_DTYPE_STRING || !mbr_dtype_size(in.dtype))
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "output '%s' (%s) cannot become input '%s' (%s)", keys.output.data,
                               mbr_dtype_name(out.dtype), edge->name, mbr_dtype_name(in.dtype));
    edge->dtype = in.dtype;
    edge->initial = keys.initial.word == 0 ? 0 : keys.initial.number;
    if (edge->initial != 0 && !(mbr_element_numeric(in.dtype) && mbr_element_holds(in.dtype, edge->initial)))
        return mbr_node_fail(r, n, "'initial' of state '%s' cannot be a value of %s", edge->name,
                             mbr_dtype_name(in.dtype));
    MBR_TRY(first_shape(r, n, &keys, &in, edge));
    if (edge->axis < 0 || (in.rank >= 0 && in.dims[edge->axis] == 1))
        p->single = true;
    return MBR_OK;
}

typedef struct state_keys {
    mbr_string key, time;
    const mbr_node *edges;
    int64_t most, bytes;
    double expires;
} state_keys;

static const mbr_param state_params[] = {
    { .name = "key", .type = MBR_PARAM_STRING, .offset = offsetof(state_keys, key) },
    { .name = "edges", .type = MBR_PARAM_NODE, .required = true, .offset = offsetof(state_keys, edges) },
    { .name = "most", .type = MBR_PARAM_INT, .offset = offsetof(state_keys, most), .preset = DEFAULT_KEYS },
    { .name = "bytes", .type = MBR_PARAM_INT, .offset = offsetof(state_keys, bytes), .preset = (double)DEFAULT_BYTES },
    { .name = "time", .type = MBR_PARAM_STRING, .offset = offsetof(state_keys, time) },
    { .name = "expires", .type = MBR_PARAM_NUMBER, .offset = offsetof(state_keys, expires) },
    { .name = NULL }
};

static mbr_status find_column(const mbr_compiling *c, const mbr_node *n, const char *key, const mbr_string *name,
                              int *col)
{
    *col = -1;
    if (!name->data)
        return MBR_OK;
    *col = mbr_scope_find(c->scope, name->data, name->size);
    if (*col < 0)
        return mbr_node_fail(&c->read, n, "'%s' of 'state': there is no column '%s'", key, name->data);
    return MBR_OK;
}

mbr_status mbr_pipeline_read_state(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *n)
{
    const mbr_reading *r = &c->read;
    state_keys keys;
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_read(r, n, "'state'", state_params, NULL, &keys));
    MBR_TRY(mbr_node_expect(r, keys.edges, MBR_NODE_LIST, "'edges' of 'state'"));
    if (!keys.edges->count || keys.edges->count > MBR_MAX_EDGES)
        return mbr_node_fail(r, keys.edges, "'edges' of 'state' must have 1 to %d entries", MBR_MAX_EDGES);
    if (keys.most < 1 || keys.most > MOST_KEYS || keys.bytes < 1)
        return mbr_node_fail(r, n, "'most' of 'state' must be 1 to %d keys, and 'bytes' of one key at least 1",
                             MOST_KEYS);
    if (mbr_node_get(n, "expires") && !(keys.expires > 0))
        return mbr_node_fail(r, n, "'expires' of 'state' must be above 0 seconds");
    mbr_model_state *s = mbr_arena_calloc(r->arena, 1, sizeof *s);
    if (!s)
        return mbr_no_memory(r->err, sizeof *s);
    p->state = s;
    s->most = (size_t)keys.most;
    s->bytes = (size_t)keys.bytes;
    s->expires = keys.expires > 0 ? keys.expires : INFINITY;
    MBR_TRY(find_column(c, n, "key", &keys.key, &s->key));
    MBR_TRY(find_column(c, n, "time", &keys.time, &s->time));
    if (s->key >= 0 && (c->scope->cols[s->key].width != 1 || c->scope->cols[s->key].type == MBR_COL_TENSOR))
        return mbr_node_fail(r, n, "'key' of 'state': '%s' is not a single text or number", keys.key.data);
    if (s->time >= 0 && c->scope->cols[s->time].type != MBR_COL_TIME)
        return mbr_node_fail(r, n, "'time' of 'state': '%s' is a %s", keys.time.data,
                             mbr_col_type_name(c->scope->cols[s->time].type));
    s->edges = mbr_arena_calloc(r->arena, keys.edges->count, sizeof *s->edges);
    if (!s->edges)
        return mbr_no_memory(r->err, keys.edges->count * sizeof *s->edges);
    for (; (size_t)s->count < keys.edges->count; s->count++)
        MBR_TRY(read_edge(p, r, keys.edges->items[s->count], &s->edges[s->count]));
    return MBR_OK;
}

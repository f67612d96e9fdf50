/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stretch of nodes whose values would leave the cache between one and the next, because a batch is large, becomes one
 * mbr.BySample that carries each sample through all of them.
 *
 * The price is that weights are read once a sample: nodes with much more weights than values stay outside. What a sample
 * gives never depends on its batch, so the answers are the same bits.
 */
#include "engine/infer.h"
#include "engine/ops/op.h"
#include "engine/passes/pass.h"
#include "kernels/cpu.h"

#include <string.h>

#define LIKELY_BATCH 8 /* where the plan does not know it */
#define MOST_BORDER 64  /* values that enter a stretch, or leave it */
#define MOST_NODES 256  /* of a stretch: finding its readers takes the square of it */

/* Operators that work on each sample of the first axis alone, beside the elementwise ones. */
static const char *const separable_ops[] = { "Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool",
                                             "GlobalMaxPool", "Chain" };

typedef struct stretch {
    mbr_ir_node *first, *end; /* from first up to before end */
    mbr_dim samples;
    int nodes;
    double weights;           /* bytes */
} stretch;

typedef struct border {
    size_t n;
    mbr_ir_value *outer[MOST_BORDER], *inner[MOST_BORDER];
} border;

static bool is_constant(const mbr_ir_value *v)
{
    return v->constant && !v->has_default;
}

/* Bytes of one sample; 0: no value that a stretch may handle. */
static double sample_bytes(const mbr_ir_value *v, mbr_dim samples)
{
    if (v->type.kind != MBR_KIND_TENSOR || v->type.rank < 2 || v->type.dims[0] != samples || v->has_default)
        return 0;
    double bytes = (double)mbr_dtype_size(v->type.dtype);
    for (int d = 1; d < v->type.rank; d++) {
        if (!mbr_dim_is_const(v->type.dims[d]))
            return 0;
        bytes *= (double)v->type.dims[d];
    }
    return bytes;
}

static bool separable(const mbr_ir_node *n)
{
    size_t rank;
    const int64_t *perm = mbr_attr_ints(n, "perm", &rank);
    if ((n->op->flags & MBR_OP_CHAIN) != 0)
        return true;
    if (mbr_node_is(n, "", "Concat"))
        return mbr_attr_int(n, "axis", 0) > 0;
    if (mbr_node_is(n, "", "Transpose"))
        return perm && rank > 0 && perm[0] == 0;
    for (size_t i = 0; i < MBR_COUNT_OF(separable_ops) && strcmp(n->op->domain, "mbr") == 0; i++)
        if (strcmp(n->op->name, separable_ops[i]) == 0)
            return true;
    return false;
}

/* May n join a stretch of that batch? Tells its bytes. */
static bool may_join(const mbr_ir_node *n, mbr_dim samples, double *weights, double *values)
{
    *weights = *values = 0;
    if (!separable(n) || n->n_formal != n->n_inputs || n->n_inputs > MOST_BORDER)
        return false;
    int rank = n->outputs[0] ? n->outputs[0]->type.rank : -1;
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        double bytes = n->outputs[i] ? sample_bytes(n->outputs[i], samples) : 0;
        if (bytes == 0 || n->outputs[i]->type.rank != rank)
            return false;
        *values += bytes;
    }
    bool conv = strcmp(n->op->name, "Conv") == 0 || strcmp(n->op->name, "ConvTranspose") == 0;
    bool elementwise = (n->op->flags & MBR_OP_CHAIN) || strcmp(n->op->name, "Chain") == 0 ||
                       strcmp(n->op->name, "Concat") == 0;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const mbr_ir_value *v = n->inputs[i];
        if (!v)
            continue;
        if (is_constant(v)) { /* an operand of the same rank must not have a sample for each of the batch */
            bool aligned = v->constant->rank >= rank || mbr_attr(n, "axis"); /* old versions align at an axis */
            if (elementwise && aligned && (v->constant->rank != rank || v->constant->dims[0] != 1))
                return false;
            *weights += (double)mbr_value_bytes(v->constant);
            continue;
        }
        double bytes = sample_bytes(v, samples);
        if (bytes == 0 || v->type.rank != rank || (conv && (i == 1 || i == 2)))
            return false;
        *values += bytes;
    }
    return *values > 0;
}

static double l2_of(const mbr_cpu_caches *c)
{
    return c->l2 ? c->l2 : 512 * 1024;
}

/* Somebody outside of the stretch reads v. */
static bool read_outside(const stretch *s, const mbr_ir_value *v)
{
    uint32_t inside = 0;
    for (const mbr_ir_node *n = s->first; n != s->end; n = n->next)
        for (uint32_t i = 0; i < n->n_inputs; i++)
            inside += n->inputs[i] == v;
    return v->uses > inside;
}

/* Bytes of a sample's largest value that nobody outside reads. */
static double widest_inside(const stretch *s)
{
    double widest = 0;
    for (const mbr_ir_node *n = s->first; n != s->end; n = n->next)
        for (uint32_t i = 0; i < n->n_outputs; i++) {
            double bytes = sample_bytes(n->outputs[i], s->samples);
            if (bytes > widest && !read_outside(s, n->outputs[i]))
                widest = bytes;
        }
    return widest;
}

static bool made_inside(const stretch *s, const mbr_ir_value *v)
{
    for (const mbr_ir_node *n = s->first; n != s->end; n = n->next)
        if (n == v->producer)
            return true;
    return false;
}

/* Few enough values enter and leave. */
static bool has_room(const stretch *s)
{
    size_t in = 0, out = 0;
    for (const mbr_ir_node *n = s->first; n != s->end; n = n->next) {
        for (uint32_t i = 0; i < n->n_inputs; i++)
            in += n->inputs[i] && !is_constant(n->inputs[i]) && !made_inside(s, n->inputs[i]);
        for (uint32_t i = 0; i < n->n_outputs; i++)
            out += read_outside(s, n->outputs[i]);
    }
    return in <= MOST_BORDER && out <= MOST_BORDER;
}

static bool worth_it(const stretch *s, const mbr_cpu_caches *caches)
{
    double l2 = l2_of(caches), l3 = caches->l3 ? caches->l3 : 4 * l2;
    double batch = mbr_dim_is_const(s->samples) ? (double)s->samples : LIKELY_BATCH;
    return s->nodes > 1 && batch > 1 && s->weights < l3 / 4 && batch * widest_inside(s) > l3 / 2 &&
           has_room(s);
}

/* The longest stretch from n on. spare: bytes of weights that a sample may read again for nothing. */
static stretch stretch_from(mbr_ir_node *n, double spare)
{
    stretch s = { .first = n, .end = n, .samples = MBR_DIM_UNKNOWN };
    if (n->n_outputs && n->outputs[0] && n->outputs[0]->type.kind == MBR_KIND_TENSOR && n->outputs[0]->type.rank > 1)
        s.samples = n->outputs[0]->type.dims[0];
    if (!mbr_dim_is_known(s.samples))
        return s;
    for (; s.end && s.nodes < MOST_NODES; s.end = s.end->next) {
        double weights, values;
        if (!may_join(s.end, s.samples, &weights, &values) || weights > values + spare)
            break;
        s.weights += weights;
        s.nodes++;
    }
    return s;
}

/* --- moving a stretch into a body --- */

static mbr_status type_of_sample(mbr_ir_value *to, const mbr_ir_value *from, mbr_error *err)
{
    mbr_dim dims[MBR_MAX_RANK];
    memcpy(dims, from->type.dims, (size_t)from->type.rank * sizeof *dims);
    dims[0] = mbr_dim_const(1);
    return mbr_ir_set_tensor_type(to, from->type.dtype, from->type.rank, dims, err);
}

static mbr_ir_value *inner_of(const border *b, const mbr_ir_value *outer)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->outer[i] == outer)
            return b->inner[i];
    return NULL;
}

/* What stands in the body for `outer`, made outside of the stretch: an input, or the same constant. */
static mbr_status enter(mbr_ir_graph *body, border *in, mbr_ir_value *outer, mbr_ir_value **inner, mbr_error *err)
{
    *inner = inner_of(in, outer);
    if (*inner)
        return MBR_OK;
    if (is_constant(outer))
        return mbr_ir_constant(body, mbr_value_retain((mbr_value *)(uintptr_t)outer->constant), inner, err);
    MBR_TRY(mbr_ir_value_new(body, NULL, inner, err));
    MBR_TRY(type_of_sample(*inner, outer, err));
    in->outer[in->n] = outer;
    in->inner[in->n++] = *inner;
    return mbr_ir_add_input(body, *inner, err);
}

/* A node of the stretch, again in the body. made: (values of the graph) what stands in the body for a value. */
static mbr_status copy_node(mbr_ir_graph *body, const mbr_ir_node *n, mbr_ir_value **made, border *in, mbr_error *err)
{
    mbr_ir_value *inputs[MOST_BORDER];
    mbr_ir_node *copy;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        inputs[i] = n->inputs[i] ? made[n->inputs[i]->id] : NULL;
        if (n->inputs[i] && !inputs[i])
            MBR_TRY(enter(body, in, n->inputs[i], &inputs[i], err));
    }
    MBR_TRY(mbr_ir_node_new(body, NULL, n->op->domain, n->op->name, n->op->since, n->name, inputs, n->n_inputs, NULL,
                            n->n_outputs, &copy, err));
    copy->opset = n->opset;
    copy->origin = n->origin;
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        MBR_TRY(type_of_sample(copy->outputs[i], n->outputs[i], err));
        made[n->outputs[i]->id] = copy->outputs[i];
    }
    return mbr_ir_attrs_copy(copy, n, err);
}

static mbr_status enclose(mbr_ir_graph *g, const stretch *s, mbr_ir_value **made, mbr_error *err)
{
    mbr_ir_graph *body;
    mbr_ir_node *by_sample;
    border in = { 0 }, out = { 0 };
    MBR_TRY(mbr_ir_graph_new(g->module, "samples", &body, err));
    for (mbr_ir_node *n = s->first; n != s->end; n = n->next)
        MBR_TRY(copy_node(body, n, made, &in, err));
    for (mbr_ir_node *n = s->first; n != s->end; n = n->next)
        for (uint32_t i = 0; i < n->n_outputs; i++)
            if (read_outside(s, n->outputs[i])) {
                out.outer[out.n++] = n->outputs[i];
                MBR_TRY(mbr_ir_add_output(body, made[n->outputs[i]->id], err));
            }
    MBR_TRY(mbr_ir_node_new(g, s->first, "mbr", "BySample", 1, NULL, in.outer, in.n, NULL, out.n, &by_sample, err));
    MBR_TRY(mbr_ir_attr_graph(by_sample, "body", body, err));
    by_sample->origin = s->first->origin;
    MBR_TRY(mbr_infer_node(by_sample, err));
    for (size_t i = 0; i < out.n; i++)
        mbr_ir_replace_uses(out.outer[i], by_sample->outputs[i]);
    mbr_ir_node *last = s->end ? s->end->prev : g->last;
    for (mbr_ir_node *n = last, *prev; n != by_sample; n = prev) {
        prev = n->prev;
        mbr_ir_node_remove(n);
    }
    return MBR_OK;
}

mbr_status mbr_pass_batch(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    mbr_cpu_caches caches = mbr_cpu_caches_get();
    mbr_status st = MBR_OK;
    if (g != g->module->main)
        return MBR_OK;
    for (mbr_ir_node *n = g->first, *next; n && st == MBR_OK; n = next) {
        stretch s = stretch_from(n, l2_of(&caches) / 4);
        next = s.end == n ? n->next : s.end;
        if (!worth_it(&s, &caches))
            continue;
        mbr_ir_value **made = mbr_calloc(g->module->memory, g->n_values, sizeof *made);
        st = made ? enclose(g, &s, made, err) : mbr_no_memory(err, g->n_values * sizeof *made);
        mbr_free(g->module->memory, made);
        *changed = true;
    }
    return st;
}

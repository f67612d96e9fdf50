/* SPDX-License-Identifier: BSD-2-Clause */
/* Explainers: which node of a model, where its features come from, linear models, and what was learned, as a file. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "api/env.h"
#include "api/explain_impl.h"

#include "base/checked.h"
#include "base/filemap.h"
#include "base/hash.h"
#include "engine/ops/ml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- which node ---- */

typedef enum shape {
    NOT_ONE,
    TREE_CLASSIFIER,
    TREE_REGRESSOR,
    TREE_5,
    LINEAR_CLASSIFIER,
    LINEAR_REGRESSOR,
    PRODUCT /* Gemm, MatMul */
} shape;

static const struct {
    const char *domain, *name;
    shape shape;
} explained[] = {
    { "ai.onnx.ml", "TreeEnsembleClassifier", TREE_CLASSIFIER },
    { "ai.onnx.ml", "TreeEnsembleRegressor", TREE_REGRESSOR },
    { "ai.onnx.ml", "TreeEnsemble", TREE_5 },
    { "ai.onnx.ml", "LinearClassifier", LINEAR_CLASSIFIER },
    { "ai.onnx.ml", "LinearRegressor", LINEAR_REGRESSOR },
    { "", "Gemm", PRODUCT },
    { "", "MatMul", PRODUCT },
};

static shape shape_of(const mbr_ir_node *n)
{
    for (size_t i = 0; i < MBR_COUNT_OF(explained); i++)
        if (strcmp(n->op->name, explained[i].name) == 0 && strcmp(n->op->domain, explained[i].domain) == 0)
            return explained[i].shape;
    return NOT_ONE;
}

static bool is_op(const mbr_ir_node *n, const char *name)
{
    return strcmp(n->op->name, name) == 0;
}

/* A product whose answer goes through another one, or a convolution, is a layer and no linear model. */
static bool is_layer(const mbr_ir_graph *g, const mbr_ir_node *n, mbr_memory *memory, bool *out_of_memory)
{
    bool *reached = mbr_calloc(memory, g->n_values + 1, sizeof *reached), layer = false;
    *out_of_memory = !reached;
    if (!reached)
        return true;
    for (uint32_t i = 0; i < n->n_outputs; i++)
        if (n->outputs[i])
            reached[n->outputs[i]->id] = true;
    for (const mbr_ir_node *m = n->next; m; m = m->next) {
        bool reads = false;
        for (uint32_t i = 0; i < m->n_inputs; i++)
            reads |= m->inputs[i] && m->inputs[i]->graph == g && reached[m->inputs[i]->id];
        if (!reads)
            continue;
        layer |= shape_of(m) != NOT_ONE || is_op(m, "Conv");
        for (uint32_t i = 0; i < m->n_outputs; i++)
            if (m->outputs[i])
                reached[m->outputs[i]->id] = true;
    }
    mbr_free(memory, reached);
    return layer;
}

/* ---- where its features come from ---- */

typedef struct tracing {
    const mbr_model *model;
    const mbr_ir_module *module;
    mbr_origin *origins; /* (room) or NULL: only counting */
    size_t room;
    mbr_error *err;
} tracing;

static mbr_status not_traced(const tracing *t, const mbr_ir_value *v)
{
    return mbr_fail(t->err, MBR_ERR_UNSUPPORTED, "%s: the features come from '%s'%s%s, which is no input of the model; "
                    "Concat, Cast, Flatten, Identity, Imputer and Scaler may lie between", t->module->file, v->name,
                    v->producer ? " of " : "", v->producer ? v->producer->op->name : "");
}

static mbr_status add_pre(const tracing *t, const mbr_ir_node *n, size_t from, size_t to)
{
    size_t na, nb;
    bool scale = is_op(n, "Scaler");
    float replaced = mbr_attr_float(n, "replaced_value_float", 0);
    const float *a, *b;
    if (scale) {
        a = mbr_attr_floats(n, "offset", &na);
        b = mbr_attr_floats(n, "scale", &nb);
    } else {
        b = mbr_attr_floats(n, "imputed_value_floats", &nb);
        a = &replaced;
        na = 1;
    }
    for (size_t i = from; i < to && t->origins; i++) {
        mbr_origin *o = &t->origins[i];
        size_t k = i - from;
        if (!a || !b || !na || !nb || (na > 1 && k >= na) || (nb > 1 && k >= nb) || o->n_pre == MBR_EXPLAIN_PRE)
            return mbr_ir_fail(n, t->err, MBR_ERR_UNSUPPORTED, "its numbers do not fit the features to be explained");
        o->pre[o->n_pre].kind = scale ? MBR_PRE_SCALE : MBR_PRE_IMPUTE;
        o->pre[o->n_pre].a = a[na > 1 ? k : 0];
        o->pre[o->n_pre++].b = b[nb > 1 ? k : 0];
    }
    return MBR_OK;
}

/* Origins of the features of v, from the *at-th on. */
static mbr_status trace(const tracing *t, const mbr_ir_value *v, size_t *at, int depth)
{
    const mbr_ir_node *n = v->producer;
    size_t from = *at;
    if (v->is_input && v->graph->owner == NULL) {
        int input = mbr_model_find_input(t->model, v->name);
        int rank = v->type.rank;
        if (input < 0 || rank < 1)
            return not_traced(t, v);
        size_t width = 1;
        for (int d = rank > 1 ? 1 : 0; d < rank; d++) {
            if (!mbr_dim_is_const(v->type.dims[d]) || v->type.dims[d] < 1 || v->type.dims[d] > MBR_EXPLAIN_WIDTH ||
                (width *= (size_t)v->type.dims[d]) > MBR_EXPLAIN_WIDTH)
                return mbr_fail(t->err, MBR_ERR_UNSUPPORTED, "%s: the input '%s' does not say how many values a row "
                                "has (at most %d), and features cannot be told apart", t->module->file, v->name,
                                MBR_EXPLAIN_WIDTH);
        }
        if (from + width > MBR_EXPLAIN_WIDTH)
            return mbr_fail(t->err, MBR_ERR_LIMIT, "%s: more than %d features", t->module->file, MBR_EXPLAIN_WIDTH);
        for (size_t i = 0; i < width && t->origins && from + i < t->room; i++)
            t->origins[from + i] = (mbr_origin){ .input = input, .element = (int)i };
        *at += width;
        return MBR_OK;
    }
    if (!n || depth == 64)
        return not_traced(t, v);
    if (is_op(n, "Concat")) {
        int64_t axis = mbr_attr_int(n, "axis", 0);
        if (axis != 1 && axis != -1)
            return not_traced(t, v);
        for (uint32_t i = 0; i < n->n_inputs; i++)
            MBR_TRY(trace(t, n->inputs[i], at, depth + 1));
        return MBR_OK;
    }
    bool pre = is_op(n, "Scaler") || is_op(n, "Imputer");
    if (!pre && !is_op(n, "Identity") && !is_op(n, "Cast") && !is_op(n, "Flatten"))
        return not_traced(t, v);
    if (is_op(n, "Cast")) {
        int64_t to = mbr_attr_int(n, "to", 0);
        if (to != MBR_DTYPE_F32 && to != MBR_DTYPE_F64)
            return not_traced(t, v);
    }
    MBR_TRY(trace(t, n->inputs[0], at, depth + 1));
    return pre ? add_pre(t, n, from, *at) : MBR_OK;
}

/* Is what the node reads f64? */
static bool reads_wide(const mbr_ir_value *v)
{
    for (int hop = 0; hop < 64 && v->producer; hop++) {
        const mbr_ir_node *n = v->producer;
        if (is_op(n, "Cast"))
            return mbr_attr_int(n, "to", 0) == MBR_DTYPE_F64;
        if (!is_op(n, "Identity") && !is_op(n, "Flatten") && !is_op(n, "Concat"))
            return false;
        v = n->inputs[0];
    }
    return v->type.dtype == MBR_DTYPE_F64;
}

static mbr_status find_features(mbr_explainer *e, const mbr_model *model, const mbr_ir_node *n, mbr_error *err)
{
    tracing t = { .model = model, .module = n->graph->module, .err = err };
    size_t at = 0;
    MBR_TRY(trace(&t, n->inputs[0], &at, 0));
    t.origins = e->origins = mbr_arena_calloc(&e->arena, at + 1, sizeof *e->origins);
    if (!e->origins)
        return mbr_no_memory(err, at * sizeof *e->origins);
    e->features = t.room = at;
    at = 0;
    MBR_TRY(trace(&t, n->inputs[0], &at, 0));
    e->plain = true;
    for (size_t i = 0; i < e->features; i++)
        e->plain &= e->origins[i].n_pre == 0;
    e->wide = reads_wide(n->inputs[0]);
    return MBR_OK;
}

/* The only node that can be explained, or that of the name. */
static mbr_status find_node(const mbr_ir_module *m, const char *name, const mbr_ir_node **out, mbr_error *err)
{
    const mbr_ir_node *found = NULL;
    for (const mbr_ir_node *n = m->main->first; n; n = n->next) {
        shape s = shape_of(n);
        bool no_memory = false;
        if (s == NOT_ONE || (name && strcmp(n->name, name) != 0))
            continue;
        if (s == PRODUCT && (!n->inputs[1]->constant || is_layer(m->main, n, m->memory, &no_memory))) {
            if (no_memory)
                return mbr_no_memory(err, m->main->n_values);
            continue;
        }
        if (found)
            return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: '%s' and '%s' could both be explained; say which",
                            m->file, found->name, n->name);
        found = n;
    }
    if (!found && name)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: there is no node '%s' that can be explained: trees, or a linear "
                        "model", m->file, name);
    if (!found)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: the model has neither trees nor a linear model, whose scores "
                        "could be put down to features", m->file);
    *out = found;
    return MBR_OK;
}

/* The target by the options (from 1 on; 0: by itself) among `count`. */
static mbr_status choose(const mbr_ir_node *n, int wanted, size_t count, size_t *target, mbr_error *err)
{
    if (wanted < 0 || (size_t)wanted > count)
        return mbr_ir_fail(n, err, MBR_ERR_ARGUMENT, "there is no target %d; it has %zu", wanted, count);
    if (!wanted && count > 2)
        return mbr_ir_fail(n, err, MBR_ERR_ARGUMENT, "it has %zu targets; say which is to be explained", count);
    *target = wanted ? (size_t)wanted - 1 : count - 1;
    return MBR_OK;
}

/* ---- the file of what was learned ---- */

#define MAGIC "MBREXPL1"
#define BYTE_ORDER_MARK 0x01020304u

typedef struct learned_head {
    char magic[8];
    uint32_t order, features;
    uint64_t nodes, rows, digest, check; /* check: a hash of what follows */
} learned_head;

/* Behind the head: means, f64 (features), then counts, u32 (nodes). */
typedef struct learned {
    mbr_filemap map;
    learned_head head;
    double *mean;     /* (features), the block */
    uint32_t *counts; /* (nodes) */
} learned;

static uint64_t check_of(const void *data, size_t bytes)
{
    mbr_hash h = mbr_hash_bytes(data, bytes, (mbr_hash){ 3, 4 });
    return h.a ^ h.b;
}

static mbr_status read_learned(const mbr_explainer *e, const char *path, learned *l, mbr_error *err)
{
    learned_head *h = &l->head;
    MBR_TRY(mbr_filemap_open(&l->map, e->memory, path, err));
    if (l->map.size < sizeof *h || memcmp(l->map.data, MAGIC, 8) != 0)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: this is no file of `mbr explain fit`", path);
    memcpy(h, l->map.data, sizeof *h);
    if (h->order != BYTE_ORDER_MARK)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: it was written on a machine of another byte order; fit again", path);
    if (h->features != e->features || h->nodes != e->nodes || h->digest != e->digest)
        return mbr_fail(err, MBR_ERR_MODEL, "%s: it was made for another model; run `mbr explain fit` again", path);
    size_t mean_bytes = e->features * sizeof(double), bytes = mean_bytes + e->nodes * sizeof(uint32_t);
    if (l->map.size - sizeof *h != bytes || check_of(l->map.data + sizeof *h, bytes) != h->check)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: it is cut short or damaged; run `mbr explain fit` again", path);
    l->mean = mbr_alloc(e->memory, bytes + 1);
    if (!l->mean)
        return mbr_no_memory(err, bytes);
    memcpy(l->mean, l->map.data + sizeof *h, bytes);
    l->counts = (uint32_t *)(void *)((char *)l->mean + mean_bytes);
    return MBR_OK;
}

static void free_learned(const mbr_explainer *e, learned *l)
{
    mbr_free(e->memory, l->mean);
    mbr_filemap_close(&l->map);
}

mbr_status mbr_explainer_save(const mbr_explainer *e, const char *path, mbr_error *err)
{
    char temporary[1024];
    if (!e || !path || !e->sum)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_explainer_save: the explainer was not made with `learning`");
    if (!mbr_file_replaceable(path))
        return mbr_fail(err, MBR_ERR_IO, "%s: is no ordinary file; give another name", path);
    size_t mean_bytes = e->features * sizeof(double), bytes = mean_bytes + e->nodes * sizeof(uint32_t);
    char *data = mbr_alloc(e->memory, bytes + 1);
    if (!data)
        return mbr_no_memory(err, bytes);
    for (size_t i = 0; i < e->features; i++) {
        double mean = e->rows ? e->sum[i] / (double)e->rows : 0;
        memcpy(data + i * sizeof mean, &mean, sizeof mean);
    }
    if (e->counts)
        memcpy(data + mean_bytes, e->counts, e->nodes * sizeof *e->counts);
    learned_head h = { .order = BYTE_ORDER_MARK, .features = (uint32_t)e->features, .nodes = e->nodes, .rows = e->rows,
                       .digest = e->digest, .check = check_of(data, bytes) };
    memcpy(h.magic, MAGIC, 8);
    int n = snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    FILE *f = n > 0 && (size_t)n < sizeof temporary ? fopen(temporary, "wb") : NULL;
    bool fine = f && fwrite(&h, sizeof h, 1, f) == 1 && (!bytes || fwrite(data, bytes, 1, f) == 1);
    int why = (size_t)n < sizeof temporary ? errno : ENAMETOOLONG;
    if (f && fclose(f) != 0 && fine) {
        why = errno;
        fine = false;
    }
    if (fine && rename(temporary, path) != 0) {
        why = errno;
        fine = false;
    }
    if (f && !fine)
        remove(temporary);
    mbr_free(e->memory, data);
    return fine ? MBR_OK : mbr_fail(err, MBR_ERR_IO, "%s: cannot be written: %s", path, strerror(why));
}

/* ---- linear models ---- */

/* Coefficients and intercept of one target, however the node holds them. */
static mbr_status read_linear(mbr_explainer *e, const mbr_ir_node *n, shape kind, int wanted, mbr_error *err)
{
    size_t target, scores, count, intercepts = 0;
    e->coefficient = mbr_arena_calloc(&e->arena, e->features + 1, sizeof *e->coefficient);
    e->mean = mbr_arena_calloc(&e->arena, e->features + 1, sizeof *e->mean);
    if (!e->coefficient || !e->mean)
        return mbr_no_memory(err, e->features * sizeof *e->coefficient);
    if (kind != PRODUCT) {
        const float *b = mbr_attr_floats(n, "intercepts", &intercepts), *a = mbr_attr_floats(n, "coefficients", &count);
        scores = count / e->features;
        if (!a || !scores || count % e->features || (intercepts && intercepts != scores))
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu coefficients and %zu intercepts for %zu features", count,
                               intercepts, e->features);
        MBR_TRY(choose(n, wanted, scores, &target, err));
        for (size_t i = 0; i < e->features; i++)
            e->coefficient[i] = (double)a[target * e->features + i];
        e->base = intercepts ? (double)b[target] : 0;
        return MBR_OK;
    }
    const mbr_value *w = n->inputs[1]->constant, *bias = NULL;
    double alpha = 1, beta = 1;
    bool turned = false;
    if (is_op(n, "Gemm")) {
        alpha = (double)mbr_attr_float(n, "alpha", 1);
        beta = (double)mbr_attr_float(n, "beta", 1);
        turned = mbr_attr_int(n, "transB", 0) != 0;
        if (mbr_attr_int(n, "transA", 0) != 0)
            return mbr_ir_fail(n, err, MBR_ERR_UNSUPPORTED, "its rows lie in columns");
        if (n->n_inputs > 2 && n->inputs[2]) {
            bias = n->inputs[2]->constant;
            if (!bias)
                return mbr_ir_fail(n, err, MBR_ERR_UNSUPPORTED, "its bias is no constant");
        }
    } else { /* an Add of a constant behind it */
        const mbr_ir_node *add = mbr_ir_single_user(n->outputs[0]);
        if (add && is_op(add, "Add"))
            bias = add->inputs[add->inputs[0] == n->outputs[0]]->constant;
    }
    if (w->kind != MBR_KIND_TENSOR || !mbr_dtype_is_float(w->dtype) || w->rank != 2 ||
        (size_t)w->dims[turned] != e->features || (bias && !mbr_dtype_is_float(bias->dtype)))
        return mbr_ir_fail(n, err, MBR_ERR_UNSUPPORTED, "its weights are no matrix for %zu features", e->features);
    MBR_TRY(mbr_ir_align(n->inputs[1], err));
    w = n->inputs[1]->constant;
    scores = (size_t)w->dims[!turned];
    MBR_TRY(choose(n, wanted, scores, &target, err));
    for (size_t i = 0; i < e->features; i++)
        e->coefficient[i] = alpha * mbr_value_real(w, turned ? target * e->features + i : i * scores + target);
    size_t biases = bias ? mbr_value_count(bias) : 0;
    if (biases > 1 && biases != scores)
        return mbr_ir_fail(n, err, MBR_ERR_UNSUPPORTED, "its bias has %zu values for %zu targets", biases, scores);
    if (biases && !bias->any_address)
        e->base = beta * mbr_value_real(bias, biases > 1 ? target : 0);
    else if (biases) {
        float b;
        if (bias->dtype != MBR_DTYPE_F32)
            return mbr_ir_fail(n, err, MBR_ERR_UNSUPPORTED, "its bias is of %s", mbr_dtype_name(bias->dtype));
        memcpy(&b, (const char *)bias->data + (biases > 1 ? target : 0) * sizeof b, sizeof b);
        e->base = beta * (double)b;
    }
    return MBR_OK;
}

static uint64_t linear_digest(const mbr_explainer *e)
{
    return check_of(e->coefficient, e->features * sizeof *e->coefficient);
}

/* ---- trees ---- */

static mbr_status read_trees(mbr_explainer *e, const mbr_ir_node *n, shape kind, int wanted, size_t *target,
                             mbr_error *err)
{
    mbr_tree_attrs *t = &e->attrs;
    size_t targets = 0;
    e->has_attrs = true;
    if (kind == TREE_CLASSIFIER) {
        mbr_ml_labels labels;
        MBR_TRY(mbr_ml_labels_read(n, "classlabels_int64s", &labels, err));
        targets = labels.n;
        MBR_TRY(mbr_tree_attrs_read(n, "class", targets, e->memory, t, err));
    } else if (kind == TREE_REGRESSOR) {
        int64_t count = mbr_attr_int(n, "n_targets", 0);
        if (count < 1 || count > MBR_TREE_MOST_TARGETS)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "n_targets is %lld", (long long)count);
        targets = (size_t)count;
        MBR_TRY(mbr_tree_attrs_read(n, "target", targets, e->memory, t, err));
    } else {
        MBR_TRY(mbr_tree_attrs_read_5(n, e->memory, t, err));
        targets = t->source.targets;
    }
    if (t->source.features > e->features)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "the trees ask for %zu features, and a row has %zu",
                           t->source.features, e->features);
    if (kind == TREE_CLASSIFIER && targets == 2 && t->used_targets == 1) { /* it stands for the second class */
        if (wanted != 0 && wanted != 2)
            return mbr_ir_fail(n, err, MBR_ERR_ARGUMENT, "its trees score the second class alone, not target %d",
                               wanted);
        *target = t->votes[0] == MBR_TREE_VOTES_NEVER;
    } else {
        MBR_TRY(choose(n, wanted, targets, target, err));
    }
    e->base = t->n_base == 1 ? t->base[0] : *target < t->n_base ? t->base[*target] : 0;
    e->nodes = t->source.nodes;
    e->digest = mbr_explain_trees_digest(&t->source);
    return MBR_OK;
}

/* ---- making and releasing ---- */

static mbr_status make(mbr_explainer *e, const mbr_model *model, const mbr_ir_module *module,
                       const mbr_explainer_options *o, mbr_error *err)
{
    const mbr_ir_node *n = NULL;
    size_t target = 0;
    learned l = { .map = { .data = NULL } };
    MBR_TRY(find_node(module, o->node, &n, err));
    shape kind = shape_of(n);
    bool linear = kind >= LINEAR_CLASSIFIER;
    e->node = mbr_arena_strdup(&e->arena, n->name);
    e->op = n->op->name;
    if (!e->node)
        return mbr_no_memory(err, strlen(n->name));
    MBR_TRY(find_features(e, model, n, err));
    if (linear) {
        MBR_TRY(read_linear(e, n, kind, o->target, err));
        e->digest = linear_digest(e);
    } else {
        MBR_TRY(read_trees(e, n, kind, o->target, &target, err));
    }
    mbr_status st = o->learned ? read_learned(e, o->learned, &l, err) : MBR_OK;
    if (st == MBR_OK && o->learned)
        e->rows = l.head.rows;
    if (st == MBR_OK && o->learned && linear) {
        e->weights = MBR_EXPLAIN_ROWS;
        memcpy(e->mean, l.mean, e->features * sizeof *e->mean);
        for (size_t i = 0; i < e->features; i++)
            e->base += e->coefficient[i] * e->mean[i];
    }
    if (st == MBR_OK && !linear)
        st = mbr_explain_trees_make(e, n, target, l.counts, o->learning != 0, err);
    free_learned(e, &l);
    if (st == MBR_OK && o->learning) {
        e->rows = 0;
        e->sum = mbr_arena_calloc(&e->arena, e->features + 1, sizeof *e->sum);
        if (!e->sum)
            st = mbr_no_memory(err, e->features * sizeof *e->sum);
    }
    return st;
}

mbr_status mbr_explainer_new(mbr_model *model, const mbr_explainer_options *options, mbr_explainer **out,
                             mbr_error *err)
{
    mbr_explainer_options o;
    mbr_ir_module *module = NULL;
    if (!out)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_explainer_new: out is NULL");
    *out = NULL;
    if (!model)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_explainer_new: the model is NULL");
    if (!mbr_options_read(&o, sizeof o, options, options ? options->size : 0))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_explainer_options.size is not set; set it to "
                        "sizeof(mbr_explainer_options)");
    mbr_memory *memory = &model->env->memory;
    mbr_explainer *e = mbr_calloc(memory, 1, sizeof *e);
    if (!e)
        return mbr_no_memory(err, sizeof *e);
    e->memory = memory;
    mbr_arena_init(&e->arena, memory, 0);
    /* from the file: what passes and the cache leave of the nodes need not have their attributes */
    mbr_status st = mbr_model_import(model, &module, err);
    if (st == MBR_OK)
        st = make(e, model, module, &o, err);
    mbr_ir_module_free(module);
    if (st == MBR_OK)
        *out = e;
    else
        mbr_explainer_release(&e);
    return st;
}

void mbr_explainer_release(mbr_explainer **explainer)
{
    if (!explainer || !*explainer)
        return;
    mbr_explainer *e = *explainer;
    *explainer = NULL;
    if (e->has_attrs)
        mbr_tree_attrs_free(&e->attrs);
    mbr_arena_destroy(&e->arena);
    mbr_free(e->memory, e);
}

/* ---- using ---- */

void mbr_explainer_get_facts(const mbr_explainer *e, mbr_explainer_facts *facts)
{
    mbr_explainer_facts f = { .size = facts->size, .node = e->node, .op = e->op, .features = (int)e->features,
                              .trees = mbr_explain_trees_count(e), .base = e->base, .weights = e->weights,
                              .rows = e->rows };
    memcpy(facts, &f, facts->size < sizeof f ? facts->size : sizeof f);
}

mbr_status mbr_explainer_feature(const mbr_explainer *e, int feature, int *input, int *element)
{
    if (!e || feature < 0 || (size_t)feature >= e->features)
        return MBR_ERR_ARGUMENT;
    *input = e->origins[feature].input;
    *element = e->origins[feature].element;
    return MBR_OK;
}

void mbr_explain_row(const mbr_explainer *e, const double *values, double *contributions, double *score)
{
    double sum = e->base;
    if (e->coefficient) {
        for (size_t i = 0; i < e->features; i++)
            contributions[i] = e->coefficient[i] * (mbr_explain_value(e, values, i) - e->mean[i]);
    } else {
        memset(contributions, 0, e->features * sizeof *contributions);
        mbr_explain_trees_row(e, values, contributions);
    }
    for (size_t i = 0; score && i < e->features; i++)
        sum += contributions[i];
    if (score)
        *score = sum;
}

mbr_status mbr_explainer_learn(mbr_explainer *e, const double *values, mbr_error *err)
{
    if (!e || !values || !e->sum)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_explainer_learn: a pointer is NULL, or the explainer was not made with "
                        "`learning`");
    if (e->rows == UINT32_MAX)
        return mbr_fail(err, MBR_ERR_LIMIT, "mbr_explainer_learn: %llu rows are enough", (unsigned long long)e->rows);
    e->rows++;
    for (size_t i = 0; i < e->features; i++) {
        double x = mbr_explain_value(e, values, i);
        if (isfinite(x))
            e->sum[i] += x;
    }
    if (e->counts)
        mbr_explain_trees_learn(e, values);
    return MBR_OK;
}

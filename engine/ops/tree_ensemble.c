/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TreeEnsembleClassifier, TreeEnsembleRegressor and TreeEnsemble. The attributes become kernels/tree.h's layout once,
 * when the model is planned. What the specification leaves open about classifiers (two classes with one set of
 * scores, classes without votes) is as ONNX Runtime has it.
 */
#include "base/checked.h"
#include "base/half.h"
#include "engine/coded.h"
#include "engine/ops/ml.h"
#include "engine/ops/tree_source.h"

#include <string.h>

enum { CLASSIFIER, REGRESSOR, ENSEMBLE };

/* Arrays of the file from this size on give their pages back once they are read. */
#define GIVE_BACK_BYTES ((size_t)1 << 16)

/* Rows of a tile at least, where there are as many: a tree is fetched once for all of them. */
#define LEAST_ROWS 64

/* Shared by all sessions: what pack makes. */
typedef struct forest {
    const void *self;         /* where this lay when it was made */
    mbr_tree_ensemble *trees;
    mbr_tree_ensemble *voted; /* gives not 0 where a row got a vote, for targets that not all rows vote for; or NULL */
    uint8_t *votes;           /* (targets), see tree_source.h */
    double *base;             /* (n_base) the classifier's, else NULL */
    size_t targets, features, n_base;
    mbr_tree_cost cost;
    mbr_post_transform post;
    bool wide;                /* rows and scores in f64 */
    bool one_set, positive;   /* two classes, and votes for one of them only; no negative weight */
} forest;

typedef struct state {
    mbr_ml_labels labels;
    size_t rows, columns, per_tile;
    bool convert;
    mbr_tree_fn *fn;
} state;

static bool reads_wide(const mbr_ir_node *n)
{
    return n->inputs[0] && n->inputs[0]->type.dtype == MBR_DTYPE_F64;
}

/* --- inference --- */

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    mbr_dim dims[2] = { MBR_DIM_UNKNOWN, 0 };
    if (c->node->op->param != ENSEMBLE || x->dtype != MBR_DTYPE_F16)
        MBR_TRY(mbr_ml_check_features(c, 0));
    dims[0] = mbr_ml_rows_dim(x);
    if (c->node->op->param == CLASSIFIER) {
        mbr_ml_labels labels;
        MBR_TRY(mbr_ml_labels_read(c->node, "classlabels_int64s", &labels, c->err));
        dims[1] = (mbr_dim)labels.n;
        mbr_infer_out(c, 0, mbr_ml_labels_dtype(&labels), 1, dims);
        mbr_infer_out(c, 1, MBR_DTYPE_F32, 2, dims);
        return MBR_OK;
    }
    dims[1] = mbr_attr_int(c->node, "n_targets", 0);
    if (dims[1] < 1 || dims[1] > MBR_TREE_MOST_TARGETS)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "n_targets is %lld; 1 to %d are due", (long long)dims[1],
                              MBR_TREE_MOST_TARGETS);
    mbr_infer_out(c, 0, c->node->op->param == ENSEMBLE ? x->dtype : MBR_DTYPE_F32, 2, dims);
    return MBR_OK;
}

/* --- packing --- */

static mbr_status tree_fault(const mbr_ir_node *n, mbr_tree_fault fault, size_t node, mbr_error *err)
{
    static const char *const reasons[] = {
        [MBR_TREE_BAD_CHILD] = "leads to a node that is not there",
        [MBR_TREE_SHARED_NODE] = "is reached on two ways; that is no tree",
        [MBR_TREE_BAD_FEATURE] = "asks for a feature that is not there",
        [MBR_TREE_BAD_TARGET] = "votes for a class or target that is not there",
        [MBR_TREE_BAD_MODE] = "has a mode that this operator does not know",
        [MBR_TREE_BAD_ROOT] = "is the number of a tree without a root, or of a root that is not there",
        [MBR_TREE_TOO_LARGE] = "belongs to an ensemble beyond 2^31 nodes or weights",
    };
    return mbr_ir_fail(n, err, fault == MBR_TREE_TOO_LARGE ? MBR_ERR_LIMIT : MBR_ERR_MODEL, "node %zu %s", node,
                       reasons[fault]);
}

/* The same trees with a weight of 1 everywhere, and the highest vote. */
static mbr_status count_votes(mbr_tree_attrs *t, mbr_tree_source *voted, mbr_error *err)
{
    size_t n = t->source.weight_first[t->source.nodes];
    double *ones = mbr_arena_alloc(&t->arena, (n + 1) * sizeof *ones);
    if (!ones)
        return mbr_no_memory(err, n * sizeof *ones);
    for (size_t i = 0; i < n; i++)
        ones[i] = 1;
    *voted = t->source;
    voted->weight = ones;
    voted->aggregate = MBR_TREE_MAX;
    voted->base = NULL;
    return MBR_OK;
}

static mbr_status build(mbr_pack *p, mbr_tree_attrs *t, bool classifier)
{
    const mbr_ir_node *n = p->node;
    mbr_tree_source *s = &t->source, voted = { 0 };
    bool sometimes = false;
    s->f64 = reads_wide(n);
    if (!classifier && t->n_base) {
        if (t->n_base != s->targets)
            return mbr_ir_fail(n, p->err, MBR_ERR_MODEL, "%zu base_values for %zu targets", t->n_base, s->targets);
        s->base = t->base;
    }
    if (classifier && t->n_base > s->targets)
        return mbr_ir_fail(n, p->err, MBR_ERR_MODEL, "%zu base_values for %zu classes", t->n_base, s->targets);
    for (size_t k = 0; classifier && k < s->targets; k++)
        sometimes |= t->votes[k] == MBR_TREE_VOTES_SOMETIMES;
    if (sometimes)
        MBR_TRY(count_votes(t, &voted, p->err));
    size_t work_bytes = mbr_tree_work(s), node = 0, total;
    if (work_bytes == 0)
        return tree_fault(n, MBR_TREE_TOO_LARGE, 0, p->err);
    void *work = mbr_arena_alloc(&t->arena, work_bytes);
    if (!work)
        return mbr_no_memory(p->err, work_bytes);
    mbr_tree_shape shape, voted_shape = { 0 };
    mbr_tree_fault fault = MBR_TREE_OK;
    if (sometimes) /* first, for prepare wants the work of its own measure */
        fault = mbr_tree_measure(&voted, work, &voted_shape, &node);
    if (fault == MBR_TREE_OK)
        fault = mbr_tree_measure(s, work, &shape, &node);
    if (fault != MBR_TREE_OK)
        return tree_fault(n, fault, node, p->err);
    /* forest | trees | voted | votes | base, each aligned */
    const size_t sizes[] = { sizeof(forest), shape.bytes, voted_shape.bytes, classifier ? s->targets : 0,
                             classifier ? t->n_base * sizeof(double) : 0 };
    size_t at[MBR_COUNT_OF(sizes)];
    total = 0;
    for (size_t i = 0; i < MBR_COUNT_OF(sizes); i++) {
        at[i] = total;
        if (!mbr_add_size(total, sizes[i], &total) || !mbr_round_up(total, MBR_ALIGN, &total))
            return mbr_ir_fail(n, p->err, MBR_ERR_LIMIT, "the ensemble is too large");
    }
    char *m = mbr_alloc(p->memory, total);
    if (!m)
        return mbr_no_memory(p->err, total);
    p->packed = m;
    p->bytes = total;
    forest *f = (forest *)(void *)m;
    *f = (forest){ .self = m, .targets = s->targets, .features = s->features, .wide = s->f64,
                   .n_base = classifier ? t->n_base : 0,
                   .one_set = s->targets == 2 && t->used_targets == 1, .positive = !t->negative };
    f->trees = mbr_tree_prepare(s, &shape, work, m + at[1]);
    mbr_tree_costs(f->trees, &f->cost);
    f->voted = NULL;
    if (sometimes && mbr_tree_measure(&voted, work, &voted_shape, &node) == MBR_TREE_OK)
        f->voted = mbr_tree_prepare(&voted, &voted_shape, work, m + at[2]);
    if (classifier) {
        f->votes = (uint8_t *)m + at[3];
        memcpy(f->votes, t->votes, s->targets);
        f->base = t->n_base ? (double *)(void *)(m + at[4]) : NULL;
        if (t->n_base)
            memcpy(f->base, t->base, t->n_base * sizeof *t->base);
    }
    return mbr_ml_post_transform(n, &f->post, p->err);
}

/* The pages of the file that large arrays are in: what the layout is made of has been read. */
static void give_back(const mbr_ir_node *n)
{
    const mbr_ir_module *m = n->graph->module;
    for (uint32_t i = 0; m->give_back && i < n->n_attrs; i++)
        if (n->attrs[i].kind == MBR_ATTR_CODED && n->attrs[i].coded->bytes >= GIVE_BACK_BYTES)
            m->give_back(m->source, n->attrs[i].coded->data, n->attrs[i].coded->bytes);
}

static mbr_status pack(mbr_pack *p)
{
    const mbr_ir_node *n = p->node;
    mbr_tree_attrs t;
    mbr_status st;
    if (n->op->param == CLASSIFIER) {
        mbr_ml_labels labels;
        MBR_TRY(mbr_ml_labels_read(n, "classlabels_int64s", &labels, p->err));
        st = mbr_tree_attrs_read(n, "class", labels.n, p->memory, &t, p->err);
    } else if (n->op->param == REGRESSOR) {
        st = mbr_tree_attrs_read(n, "target", (size_t)mbr_attr_int(n, "n_targets", 0), p->memory, &t, p->err);
    } else {
        st = mbr_tree_attrs_read_5(n, p->memory, &t, p->err);
    }
    if (st == MBR_OK) {
        give_back(n);
        st = build(p, &t, n->op->param == CLASSIFIER);
    }
    mbr_tree_attrs_free(&t);
    return st;
}

/* A forest that lies elsewhere than it was made: its heads are copied, the trees are read in place. */
static mbr_status thaw(mbr_pack *p)
{
    const forest *from = p->packed;
    const size_t head = (sizeof(forest) + MBR_ALIGN - 1) & ~(size_t)(MBR_ALIGN - 1);
    uintptr_t moved = (uintptr_t)from - (uintptr_t)from->self;
    char *m = mbr_alloc(p->memory, head + 2 * (size_t)MBR_TREE_HEAD);
    if (!m)
        return mbr_no_memory(p->err, head + 2 * (size_t)MBR_TREE_HEAD);
    forest *f = (forest *)(void *)m;
    *f = *from;
    f->trees = mbr_tree_move((const void *)((uintptr_t)from->trees + moved), moved, m + head);
    if (f->voted)
        f->voted = mbr_tree_move((const void *)((uintptr_t)from->voted + moved), moved, m + head + MBR_TREE_HEAD);
    f->votes = f->votes ? (void *)((uintptr_t)f->votes + moved) : NULL;
    f->base = f->base ? (void *)((uintptr_t)f->base + moved) : NULL;
    p->packed = m;
    return MBR_OK;
}

/* --- running --- */

static mbr_status init(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    return s->op->param == CLASSIFIER ? mbr_ml_labels_read(s->node, "classlabels_int64s", &t->labels, err) : MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    static const char *const ways[MBR_TREE_WAYS] = { "tree_walk", "tree_masks", "tree_jumps" };
    state *t = s->state;
    const forest *f = s->packed;
    const mbr_value *x = s->in[0];
    t->fn = mbr_tree_select(mbr_cpu_tiers());
    t->rows = mbr_ml_rows(x);
    t->columns = mbr_ml_columns(x);
    if (t->columns < f->features && t->rows)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "rows of %zu features; the trees ask for %zu", t->columns,
                             f->features);
    t->convert = x->dtype != (f->wide ? MBR_DTYPE_F64 : MBR_DTYPE_F32);
    double ns;
    s->kernel = ways[mbr_tree_way_of(&f->cost, mbr_cpu_tiers(), t->rows, &ns)];
    t->per_tile = mbr_step_split(s, t->rows, t->rows ? ns / (double)t->rows * (f->voted ? 2 : 1) : 0);
    if (t->per_tile < LEAST_ROWS) {
        t->per_tile = LEAST_ROWS;
        s->tiles[0] = (t->rows + LEAST_ROWS - 1) / LEAST_ROWS;
    }
    /* for a block of rows: scores, what voted, features; a row of scores in f32 */
    size_t each;
    if (!mbr_mul_size(f->targets, f->voted ? 2 : 1, &each) ||
        !mbr_add_size(each, t->convert ? t->columns : 0, &each) ||
        !mbr_mul_size(each, LEAST_ROWS * sizeof(double), &s->scratch) ||
        !mbr_add_size(s->scratch, f->targets * sizeof(float), &s->scratch))
        return mbr_step_fail(s, err, MBR_ERR_LIMIT, "rows of %zu features", t->columns);
    return MBR_OK;
}

/* The sum of a row's scores and base: rounded once, unless rows are f64. */
static double settle(const forest *f, double sum)
{
    return f->wide ? sum : (double)(float)sum;
}

static bool has_vote(const forest *f, const double *voted, size_t row, size_t k)
{
    return f->votes[k] == MBR_TREE_VOTES_ALWAYS ||
           (f->votes[k] == MBR_TREE_VOTES_SOMETIMES && voted[row * f->targets + k] != 0);
}

/* ONNX Runtime leaves a single score as it is, but for PROBIT. */
static void transform(const forest *f, float *z)
{
    if (f->targets > 1 || f->post == MBR_POST_PROBIT)
        mbr_post_transform_ref(f->post, z, f->targets);
}

/* More than two classes, or one: the best that got a vote. */
static size_t classify_many(const forest *f, const double *scores, const double *voted, size_t row, float *z)
{
    size_t best = SIZE_MAX;
    double most = 0;
    for (size_t k = 0; k < f->targets; k++) {
        double v = settle(f, scores[row * f->targets + k] + (k < f->n_base ? f->base[k] : 0));
        bool has = has_vote(f, voted, row, k) || k < f->n_base;
        if (has && (best == SIZE_MAX || v > most)) {
            best = k;
            most = v;
        }
        z[k] = has ? (float)v : 0.0f;
    }
    transform(f, z);
    return best == SIZE_MAX ? 0 : best;
}

/* Two classes. Votes may be for both, or for one whose score stands for the second class. */
static size_t classify_two(const forest *f, const double *scores, const double *voted, size_t row, float *z)
{
    double a = scores[2 * row], b = scores[2 * row + 1];
    bool has_a = has_vote(f, voted, row, 0), has_b = has_vote(f, voted, row, 1), two = true;
    if (f->n_base == 2) {
        if (has_b) {
            b = f->base[1] + a;
            a = -b;
        } else {
            b += f->base[1];
            a += f->base[0];
            has_a = true;
        }
    } else {
        if (f->n_base == 1)
            a += f->base[0];
        two = has_b;
    }
    a = settle(f, a);
    b = settle(f, b);
    double decides = has_b ? b : has_a ? a : 0;
    bool second = decides > (f->one_set && f->positive ? 0.5 : 0);
    if (two) {
        z[0] = has_a ? (float)a : 0.0f;
        z[1] = has_b ? (float)b : 0.0f;
        mbr_post_transform_ref(f->post, z, 2);
        return second;
    }
    z[1] = (float)a;
    if (f->post == MBR_POST_PROBIT)
        z[0] = z[1] = mbr_probit((float)a);
    else if (f->post == MBR_POST_LOGISTIC) {
        z[0] = mbr_logistic(-(float)a);
        z[1] = mbr_logistic((float)a);
    } else {
        z[0] = f->one_set && f->positive ? 1.0f - (float)a : -(float)a;
    }
    return second;
}

/* One row of targets, in f32 unless nothing happens to the f64 that the trees gave. */
static void put_targets(const forest *f, const double *scores, size_t row, float *z, mbr_value *y, size_t at)
{
    size_t n = f->targets;
    if (y->dtype == MBR_DTYPE_F64 && f->wide && f->post == MBR_POST_NONE) {
        memcpy((double *)y->data + at * n, scores + row * n, n * sizeof(double));
        return;
    }
    for (size_t k = 0; k < n; k++)
        z[k] = (float)scores[row * n + k];
    transform(f, z);
    for (size_t k = 0; k < n; k++)
        if (y->dtype == MBR_DTYPE_F64)
            ((double *)y->data)[at * n + k] = z[k];
        else if (y->dtype == MBR_DTYPE_F16)
            ((uint16_t *)y->data)[at * n + k] = mbr_f32_to_f16(z[k]);
        else
            ((float *)y->data)[at * n + k] = z[k];
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const state *t = s->state;
    const forest *f = s->packed;
    const mbr_value *x = s->in[0];
    double *scores = job->scratch, *voted = f->voted ? scores + LEAST_ROWS * f->targets : NULL;
    double *features = (voted ? voted : scores) + LEAST_ROWS * f->targets;
    float *z = (float *)(features + (t->convert ? LEAST_ROWS * t->columns : 0));
    size_t real = f->wide ? sizeof(double) : sizeof(float);
    size_t last = job->last * t->per_tile;
    last = last < t->rows ? last : t->rows;
    for (size_t first = job->first * t->per_tile; first < last; first += LEAST_ROWS) {
        size_t n = last - first < LEAST_ROWS ? last - first : LEAST_ROWS;
        const void *rows = (const char *)x->data + first * t->columns * real;
        if (t->convert) {
            mbr_ml_load(x, first * t->columns, n * t->columns, f->wide, features);
            rows = features;
        }
        t->fn(f->trees, rows, (ptrdiff_t)t->columns, scores, 0, n);
        if (voted)
            t->fn(f->voted, rows, (ptrdiff_t)t->columns, voted, 0, n);
        for (size_t r = 0; r < n; r++) {
            if (s->op->param != CLASSIFIER) {
                put_targets(f, scores, r, z, s->out[0], first + r);
                continue;
            }
            float *row = mbr_step_wants(s, 1) ? (float *)s->out[1]->data + (first + r) * f->targets : z;
            size_t label = f->targets == 2 ? classify_two(f, scores, voted, r, row)
                                           : classify_many(f, scores, voted, r, row);
            if (mbr_step_wants(s, 0))
                mbr_ml_labels_put(&t->labels, label, s->out[0], first + r);
        }
    }
    return MBR_OK;
}

#define ROW(op_name, version, outputs, which)                                                                          \
    { .domain = "ai.onnx.ml", .name = op_name, .since = version, .min_in = 1, .max_in = 1, .min_out = 1,               \
      .max_out = outputs, .infer = infer, .init = init, .prepare = prepare, .run = run, .pack = pack,                  \
      .thaw = thaw, .state_size = sizeof(state), .param = which }

/* Version 5 deprecates the first two, yet files go on using them. */
const mbr_op mbr_ops_tree_ensemble[] = {
    ROW("TreeEnsembleClassifier", 1, 2, CLASSIFIER),
    ROW("TreeEnsembleClassifier", 3, 2, CLASSIFIER), /* numbers in f64 tensors */
    ROW("TreeEnsembleRegressor", 1, 1, REGRESSOR),
    ROW("TreeEnsembleRegressor", 3, 1, REGRESSOR),
    ROW("TreeEnsemble", 5, 1, ENSEMBLE),
    { 0 },
};

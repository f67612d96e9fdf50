/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MatMul, Gemm, com.microsoft's FusedMatMul, and the fused mbr.MatMul:
 *     act(alpha * A B + bias (+ or *) other)
 * mbr.MatMul: inputs A, B, bias (n), other (broadcasts to the output); attributes transA, transB, alpha, act,
 * act_alpha, act_beta, and other_is: "add" (before the activation, the default), "add_after" or "mul_after".
 *
 * Each operand is a view: dims and strides, transposition being a swap. f32 goes to the packed kernels, B packed
 * while the model is planned when it is a constant; other types go to the plain product.
 */
#include "engine/ops/activation.h"
#include "engine/ops/buffer.h"
#include "kernels/gemm.h"
#include "kernels/linear_any.h"
#include "kernels/packed.h"
#include "kernels/transpose.h"

#include "base/checked.h"

#include <string.h>

enum { MATMUL, GEMM }; /* param; MATMUL reads the attributes of its fused forms, which ONNX's lacks */

#define OPERANDS 4 /* a, b, c = the output, other */
enum { A, B, OUT, OTHER };

/* What pack leaves: this header, then the matrices. */
typedef struct packed_b {
    uint32_t kernel; /* kernels/packed.h */
    size_t each;     /* floats of one */
} packed_b;

typedef struct matmul_state {
    bool fast;
    mbr_gemm_args gemm;
    const mbr_gemm_f32_kernel *kernel;
    mbr_matmul_any_args any;
    int batch_rank; /* of the plain product */
    size_t batch[MBR_KERNEL_RANK];
    ptrdiff_t strides[OPERANDS][MBR_KERNEL_RANK];
    size_t tiles, per_tile;
    /* A, where its rows are not dense: copied first */
    bool copy_a;
    mbr_copy_plan copy;
    size_t copy_per_tile;
    mbr_buffer copied;
} matmul_state;

typedef struct view {
    int rank;
    size_t dims[MBR_KERNEL_RANK];
    ptrdiff_t strides[MBR_KERNEL_RANK];
} view;

/* The order of an operand's axes: trans swaps the last two, trans_batch moves the first one before the last. */
static void order_axes(int rank, bool trans, bool trans_batch, int *axes)
{
    for (int i = 0; i < rank; i++)
        axes[i] = i;
    if (trans_batch && rank > 2) {
        for (int i = 0; i < rank - 2; i++)
            axes[i] = i + 1;
        axes[rank - 2] = 0;
    }
    if (trans && rank > 1) {
        int t = axes[rank - 1];
        axes[rank - 1] = axes[rank - 2];
        axes[rank - 2] = t;
    }
}

static void operand_axes(const mbr_ir_node *n, bool b, int rank, int *axes)
{
    order_axes(rank, mbr_attr_int(n, b ? "transB" : "transA", 0) != 0,
               mbr_attr_int(n, b ? "transBatchB" : "transBatchA", 0) != 0, axes);
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *a = &c->in[0], *b = &c->in[1];
    bool gemm = c->node->op->param != MATMUL;
    if (a->dtype != MBR_DTYPE_UNDEFINED && !mbr_matmul_any_has(a->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s", mbr_dtype_name(a->dtype));
    if (a->dtype != MBR_DTYPE_UNDEFINED && b->dtype != MBR_DTYPE_UNDEFINED && a->dtype != b->dtype)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "operands of type %s and %s", mbr_dtype_name(a->dtype),
                              mbr_dtype_name(b->dtype));
    if (strcmp(c->node->op->domain, "mbr") == 0 && a->dtype != MBR_DTYPE_UNDEFINED && a->dtype != MBR_DTYPE_F32)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s", mbr_dtype_name(a->dtype));
    mbr_infer_out(c, 0, a->dtype, -1, NULL);
    if (a->rank < 0 || b->rank < 0)
        return MBR_OK;
    if (a->rank == 0 || b->rank == 0 || (gemm && (a->rank != 2 || b->rank != 2)))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "operands of rank %d and %d", a->rank, b->rank);
    int axes_a[MBR_MAX_RANK], axes_b[MBR_MAX_RANK];
    operand_axes(c->node, false, a->rank, axes_a);
    operand_axes(c->node, true, b->rank, axes_b);
    mbr_dim k = a->dims[axes_a[a->rank - 1]], k2 = b->dims[b->rank > 1 ? axes_b[b->rank - 2] : 0];
    if (mbr_dim_is_const(k) && mbr_dim_is_const(k2) && k != k2)
        return mbr_infer_fail(c, c->dims ? MBR_ERR_MODEL : MBR_ERR_INPUT, "inner sizes %lld and %lld differ",
                              (long long)k, (long long)k2);
    mbr_arg batch_a = { .rank = a->rank > 2 ? a->rank - 2 : 0 }, batch_b = { .rank = b->rank > 2 ? b->rank - 2 : 0 };
    for (int i = 0; i < batch_a.rank; i++)
        batch_a.dims[i] = a->dims[axes_a[i]];
    for (int i = 0; i < batch_b.rank; i++)
        batch_b.dims[i] = b->dims[axes_b[i]];
    const mbr_arg *both[] = { &batch_a, &batch_b };
    mbr_dim dims[MBR_MAX_RANK];
    int rank;
    MBR_TRY(mbr_infer_broadcast(c, both, 2, &rank, dims));
    if (a->rank > 1 && rank < MBR_MAX_RANK)
        dims[rank++] = a->dims[axes_a[a->rank - 2]];
    if (b->rank > 1 && rank < MBR_MAX_RANK)
        dims[rank++] = b->dims[axes_b[b->rank - 1]];
    mbr_infer_out(c, 0, a->dtype, rank, dims);
    return MBR_OK;
}

/* A matrix or batch of matrices as a view of rank 2 at least. */
static view make_view(const mbr_step *s, bool b)
{
    const mbr_value *v = s->in[b];
    view w = { .rank = v->rank };
    int axes[MBR_MAX_RANK];
    size_t dims[MBR_KERNEL_RANK] = { 0 };
    ptrdiff_t strides[MBR_KERNEL_RANK] = { 0 };
    for (int i = 0; i < v->rank; i++)
        dims[i] = (size_t)v->dims[i];
    mbr_dense_strides(v->rank, dims, strides);
    operand_axes(s->node, b, v->rank, axes);
    for (int i = 0; i < v->rank; i++) {
        w.dims[i] = dims[axes[i]];
        w.strides[i] = strides[axes[i]];
    }
    if (v->rank == 1) { /* a row for A, a column for B */
        w.rank = 2;
        w.dims[!b] = w.dims[0];
        w.strides[!b] = w.strides[0];
        w.dims[b] = 1;
        w.strides[b] = 0;
    }
    return w;
}

/* Strides with which v broadcasts to out's shape, times out's leading dims; false: it does not. */
static bool broadcast_to(const mbr_value *v, int rank, const size_t *dims, ptrdiff_t *strides)
{
    ptrdiff_t step = 1;
    if (v->rank > rank)
        return false;
    for (int i = rank - 1, j = v->rank - 1; i >= 0; i--, j--) {
        strides[i] = 0;
        if (j < 0 || v->dims[j] == 1)
            continue;
        if ((size_t)v->dims[j] != dims[i])
            return false;
        strides[i] = step;
        step *= (ptrdiff_t)v->dims[j];
    }
    return true;
}

/*
 * Collapses [batch..., m] as all operands walk it: the last dimension becomes the rows when B does not move along it.
 * dims, strides: rank entries. Fills gemm's m, batch and strides; false when the batch has too many dimensions.
 */
static bool fold_batch(matmul_state *st, int rank, size_t *dims, ptrdiff_t (*strides)[MBR_KERNEL_RANK])
{
    ptrdiff_t *walk[OPERANDS] = { strides[A], strides[B], strides[OUT], strides[OTHER] };
    rank = mbr_collapse_dims(rank, dims, OPERANDS, walk);
    mbr_gemm_args *g = &st->gemm;
    g->m = 1;
    if (rank > 0 && strides[B][rank - 1] == 0) {
        rank--;
        g->m = dims[rank];
        g->lda = strides[A][rank];
        g->ldc = strides[OUT][rank];
        g->epilogue.ld_other = strides[OTHER][rank];
    }
    st->batch_rank = rank;
    memcpy(st->batch, dims, sizeof st->batch);
    memcpy(st->strides, strides, sizeof st->strides);
    if (rank > MBR_GEMM_BATCH_DIMS)
        return false;
    for (int i = 0; i < MBR_GEMM_BATCH_DIMS; i++) {
        g->batch[i] = i < rank ? dims[i] : 1;
        g->a_batch[i] = i < rank ? strides[A][i] : 0;
        g->b_batch[i] = i < rank ? strides[B][i] : 0;
        g->c_batch[i] = i < rank ? strides[OUT][i] : 0;
        g->other_batch[i] = i < rank ? strides[OTHER][i] : 0;
    }
    return true;
}

/* Where Gemm's C goes: bias, per-row bias or other. False: it takes the plain path. */
static bool place_c(const mbr_value *c, size_t m, size_t n, mbr_gemm_epilogue *e, bool *is_other)
{
    int64_t rows = c->rank > 1 ? c->dims[c->rank - 2] : 1, cols = c->rank > 0 ? c->dims[c->rank - 1] : 1;
    *is_other = false;
    if (rows == 1 && (size_t)cols == n)
        return true;
    if ((size_t)rows == m && cols == 1) {
        e->bias_per_row = true;
        return true;
    }
    *is_other = (size_t)rows == m && (size_t)cols == n;
    return *is_other;
}

/* Gives the step a buffer for a dense copy of A. */
static mbr_status plan_copy(mbr_step *s, matmul_state *st, view *a, mbr_error *err)
{
    ptrdiff_t dense[MBR_KERNEL_RANK];
    size_t bytes = mbr_dims_count(a->rank, a->dims) * sizeof(float);
    mbr_dense_strides(a->rank, a->dims, dense);
    mbr_copy_plan_init(&st->copy, sizeof(float), a->rank, a->dims, a->strides, dense);
    memcpy(a->strides, dense, sizeof dense);
    return mbr_buffer_reserve(s, &st->copied, bytes, err);
}

/* Which kernel, how B lies, how the batch folds; fast no more if the kernels cannot. out_dims: [batch..., m]. */
static mbr_status plan_fast(mbr_step *s, matmul_state *st, view *a, const view *b, int rank, const size_t *out_dims,
                            mbr_error *err)
{
    const packed_b *packed = s->packed;
    mbr_gemm_args *g = &st->gemm;
    int last = a->rank - 1;
    st->kernel = packed ? mbr_packed_kernel(packed->kernel) : mbr_gemm_f32_select(mbr_cpu_tiers());
    st->copy_a = a->strides[last] != 1 && a->dims[last] > 1;
    view plain = *a;
    if (st->copy_a)
        MBR_TRY(plan_copy(s, st, a, err));
    size_t dims[MBR_KERNEL_RANK];
    ptrdiff_t strides[OPERANDS][MBR_KERNEL_RANK] = { { 0 } };
    memcpy(dims, out_dims, sizeof dims);
    for (int i = 0, x = a->rank - 1 - rank, y = b->rank - 1 - rank; i < rank; i++, x++, y++) {
        strides[A][i] = x >= 0 && a->dims[x] != 1 ? a->strides[x] : 0;
        strides[B][i] = y >= 0 && i < rank - 1 && b->dims[y] != 1 ? b->strides[y] : 0;
    }
    if (packed) { /* matrices follow each other in the order of B's batch dimensions */
        ptrdiff_t step = (ptrdiff_t)packed->each;
        for (int i = rank - 2, y = b->rank - 3; i >= 0 && y >= 0; i--, y--) {
            strides[B][i] = b->dims[y] != 1 ? step : 0;
            step *= (ptrdiff_t)b->dims[y];
        }
    }
    ptrdiff_t step = (ptrdiff_t)g->n;
    for (int i = rank - 1; i >= 0; i--) {
        strides[OUT][i] = step;
        step *= (ptrdiff_t)dims[i];
    }
    if (g->epilogue.other_is != MBR_GEMM_OTHER_NONE) {
        size_t full[MBR_KERNEL_RANK];
        ptrdiff_t other[MBR_KERNEL_RANK];
        memcpy(full, dims, sizeof full);
        full[rank] = g->n;
        const mbr_value *v = s->in[s->op->param == MATMUL ? 3 : 2];
        if (v->dtype != MBR_DTYPE_F32 || !broadcast_to(v, rank + 1, full, other) || (other[rank] != 1 && g->n > 1))
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "the added tensor does not fit the product");
        memcpy(strides[OTHER], other, (size_t)rank * sizeof *other);
    }
    if (packed) {
        g->b_form = MBR_GEMM_B_PACKED;
    } else if (b->strides[b->rank - 1] == 1 || b->dims[b->rank - 1] <= 1) {
        g->b_form = MBR_GEMM_B_ROWS;
        g->ldb = b->strides[b->rank - 2];
    } else if (b->strides[b->rank - 2] == 1 || b->dims[b->rank - 2] <= 1) {
        g->b_form = MBR_GEMM_B_COLS;
        g->ldb = b->strides[b->rank - 1];
    } else {
        st->fast = false;
    }
    if (!fold_batch(st, rank, dims, strides))
        st->fast = false;
    if (!st->fast) {
        st->copy_a = false;
        *a = plain;
    }
    return MBR_OK;
}

static void plan_any(mbr_step *s, matmul_state *st, const view *a, const view *b, int rank, const size_t *dims)
{
    mbr_matmul_any_args *p = &st->any;
    p->dtype = s->in[0]->dtype;
    p->k = a->dims[a->rank - 1];
    p->m = a->dims[a->rank - 2];
    p->n = b->dims[b->rank - 1];
    p->a_row = a->strides[a->rank - 2];
    p->a_col = a->strides[a->rank - 1];
    p->b_row = b->strides[b->rank - 2];
    p->b_col = b->strides[b->rank - 1];
    p->alpha = (double)mbr_attr_float(s->node, "alpha", 1);
    p->beta = (double)mbr_attr_float(s->node, "beta", 1);
    p->act = st->gemm.epilogue.act;
    st->batch_rank = rank - 1;
    memcpy(st->batch, dims, sizeof st->batch);
    memset(st->strides, 0, sizeof st->strides);
    for (int i = 0, x = a->rank - 1 - rank, y = b->rank - 1 - rank; i < rank - 1; i++, x++, y++) {
        st->strides[A][i] = x >= 0 && a->dims[x] != 1 ? a->strides[x] : 0;
        st->strides[B][i] = y >= 0 && b->dims[y] != 1 ? b->strides[y] : 0;
    }
}

static mbr_gemm_other other_of(const mbr_ir_node *n)
{
    const char *is = mbr_attr_string(n, "other_is", "add");
    return strcmp(is, "add_after") == 0 ? MBR_GEMM_OTHER_ADD_AFTER :
           strcmp(is, "mul_after") == 0 ? MBR_GEMM_OTHER_MUL_AFTER : MBR_GEMM_OTHER_ADD;
}

/* The parts that come after the product. Sets st->fast to false when only the plain path can do them. */
static mbr_status plan_epilogue(mbr_step *s, matmul_state *st, size_t m, size_t n, mbr_error *err)
{
    mbr_gemm_epilogue *e = &st->gemm.epilogue;
    MBR_TRY(mbr_activation_read(s->node, &e->act, err));
    if (s->op->param == MATMUL) {
        if (mbr_step_has(s, 2) && (s->in[2]->dtype != MBR_DTYPE_F32 || mbr_value_count(s->in[2]) != n))
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "the bias has %zu elements for %zu columns",
                                 mbr_value_count(s->in[2]), n);
        if (mbr_step_has(s, 3))
            e->other_is = other_of(s->node);
        return MBR_OK;
    }
    float beta = mbr_attr_float(s->node, "beta", 1);
    if (!mbr_step_has(s, 2) || beta == 0)
        return MBR_OK;
    const mbr_value *c = s->in[2];
    size_t dims[2] = { m, n };
    ptrdiff_t strides[2];
    if (c->dtype != s->in[0]->dtype || !broadcast_to(c, 2, dims, strides))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "C does not broadcast to %zu x %zu", m, n);
    st->any.c_row = strides[0];
    st->any.c_col = strides[1];
    bool is_other;
    if (beta != 1 || !place_c(c, m, n, e, &is_other))
        st->fast = false;
    else if (is_other)
        e->other_is = MBR_GEMM_OTHER_ADD;
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    matmul_state *st = s->state;
    const mbr_value *out = s->out[0];
    view a = make_view(s, false), b = make_view(s, true);
    size_t m = a.dims[a.rank - 2], n = b.dims[b.rank - 1], k = a.dims[a.rank - 1];
    if (k != b.dims[b.rank - 2])
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "inner sizes %zu and %zu differ", k, b.dims[b.rank - 2]);
    st->gemm = (mbr_gemm_args)MBR_GEMM_ARGS_INIT;
    memset(&st->any, 0, sizeof st->any);
    st->gemm.n = n;
    st->gemm.k = k;
    st->gemm.alpha = mbr_attr_float(s->node, "alpha", 1);
    st->fast = s->in[0]->dtype == MBR_DTYPE_F32;
    st->copy_a = false;
    MBR_TRY(plan_epilogue(s, st, m, n, err));
    /* [batch..., m] of the output */
    size_t dims[MBR_KERNEL_RANK] = { 0 };
    int rank = 0, batch_rank = (a.rank > b.rank ? a.rank : b.rank) - 2;
    for (; rank < batch_rank; rank++)
        dims[rank] = (size_t)out->dims[rank];
    dims[rank++] = m;
    size_t count = mbr_value_count(out);
    double ns;
    if (st->fast)
        MBR_TRY(plan_fast(s, st, &a, &b, rank, dims, err));
    if (st->fast) {
        st->tiles = count ? st->kernel->tiles(&st->gemm) : 0;
        s->scratch = count ? st->kernel->scratch(&st->gemm) : 0;
        s->kernel = st->kernel->name;
        ns = (double)count * (double)k / 25 + (double)k * (double)n / 4;
    } else {
        if (s->packed || (s->op->param == MATMUL && s->n_in > 2))
            return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "this form of a fused product");
        plan_any(s, st, &a, &b, rank, dims);
        st->tiles = count ? mbr_dims_count(rank, dims) : 0;
        ns = (double)count * (double)k * 2.5;
    }
    st->per_tile = mbr_step_split(s, st->tiles, st->tiles ? ns / (double)st->tiles : 0);
    if (st->copy_a) {
        s->phases = 2;
        s->tiles[1] = s->tiles[0];
        double cost = s->cost_ns;
        st->copy_per_tile = mbr_step_split(s, st->copy.tiles,
                                           (double)mbr_dims_count(a.rank, a.dims) / (double)st->copy.tiles);
        s->cost_ns += cost;
    }
    return MBR_OK;
}

static void run_any(mbr_step *s, const matmul_state *st, size_t first, size_t last)
{
    mbr_matmul_any_args p = st->any;
    size_t size = mbr_dtype_size(p.dtype);
    const char *a = s->in[0]->data, *b = s->in[1]->data;
    char *out = s->out[0]->data;
    bool has_c = s->op->param != MATMUL && mbr_step_has(s, 2) && p.beta != 0;
    p.c = has_c ? s->in[2]->data : NULL;
    while (first < last) {
        size_t matrix = first / p.m, row = first % p.m, rest = matrix;
        size_t end = last - first < p.m - row ? row + last - first : p.m;
        ptrdiff_t at_a = 0, at_b = 0;
        for (int i = st->batch_rank - 1; i >= 0; i--) {
            ptrdiff_t x = (ptrdiff_t)(rest % st->batch[i]);
            rest /= st->batch[i];
            at_a += x * st->strides[A][i];
            at_b += x * st->strides[B][i];
        }
        p.a = a + at_a * (ptrdiff_t)size;
        p.b = b + at_b * (ptrdiff_t)size;
        p.out = out + matrix * p.m * p.n * size;
        mbr_matmul_any(&p, row, end);
        first += end - row;
    }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    matmul_state *st = s->state;
    if (st->copy_a && job->phase == 0) {
        size_t last = job->last * st->copy_per_tile;
        mbr_copy_select(mbr_cpu_tiers())(&st->copy, s->in[0]->data, st->copied.data, job->first * st->copy_per_tile,
                                         last < st->copy.tiles ? last : st->copy.tiles);
        return MBR_OK;
    }
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile;
    last = last < st->tiles ? last : st->tiles;
    if (first >= last)
        return MBR_OK;
    if (!st->fast) {
        run_any(s, st, first, last);
        return MBR_OK;
    }
    mbr_gemm_args g = st->gemm;
    g.a = st->copy_a ? st->copied.data : s->in[0]->data;
    g.b = s->packed ? (const float *)((const char *)s->packed + MBR_ALIGN) : s->in[1]->data;
    g.c = s->out[0]->data;
    if (s->op->param == MATMUL) {
        g.epilogue.bias = mbr_step_has(s, 2) ? s->in[2]->data : NULL;
        g.epilogue.other = mbr_step_has(s, 3) ? s->in[3]->data : NULL;
    } else if (mbr_step_has(s, 2) && mbr_attr_float(s->node, "beta", 1) != 0) {
        if (g.epilogue.other_is != MBR_GEMM_OTHER_NONE)
            g.epilogue.other = s->in[2]->data;
        else
            g.epilogue.bias = s->in[2]->data;
    }
    st->kernel->run(&g, job->scratch, first, last);
    return MBR_OK;
}

/* Will prepare surely take the fast path, whatever the shapes? Only then may the plain weight go. */
static bool always_fast(const mbr_ir_node *n)
{
    if (n->op->param == MATMUL)
        return true;
    if (n->n_inputs < 3 || !n->inputs[2] || mbr_attr_float(n, "beta", 1) == 0)
        return true;
    const mbr_ir_type *c = &n->inputs[2]->type, *b = &n->inputs[1]->type;
    if (mbr_attr_float(n, "beta", 1) != 1 || c->rank < 1 || c->rank > 2 || b->rank != 2)
        return false;
    mbr_dim cols = b->dims[mbr_attr_int(n, "transB", 0) ? 0 : 1];
    return c->dims[c->rank - 1] == cols && (c->rank == 1 || c->dims[0] == 1);
}

/* Bytes of a transposed B that are packed before their pages go back: a large one never lies in memory twice. */
#define PACK_BYTES ((size_t)8 << 20)

static void pack_matrix(const mbr_ir_node *n, const mbr_gemm_f32_kernel *kernel, float *packed, size_t k, size_t cols,
                        const char *b, ptrdiff_t stride_p, ptrdiff_t stride_j)
{
    const mbr_ir_module *m = n->graph->module;
    size_t column = k * sizeof(float), step = cols;
    bool slices = stride_p == 1 && m->give_back && cols * column > 2 * PACK_BYTES;
    if (slices)
        step = (PACK_BYTES / column / kernel->nr + 1) * kernel->nr;
    for (size_t j = 0; j < cols; j += step) {
        size_t end = cols - j < step ? cols : j + step;
        kernel->pack(packed, k, cols, (const float *)(const void *)b, stride_p, stride_j, j, end);
        if (slices)
            m->give_back(m->source, b + j * column, (end - j) * column);
    }
}

static mbr_status pack(mbr_pack *p)
{
    const mbr_ir_node *n = p->node;
    const mbr_value *b = n->inputs[1] && !n->inputs[1]->is_input ? n->inputs[1]->constant : NULL;
    if (!b || b->dtype != MBR_DTYPE_F32 || mbr_value_count(b) == 0 || !always_fast(n) ||
        mbr_attr_int(n, "transBatchB", 0))
        return MBR_OK;
    const mbr_gemm_f32_kernel *kernel = mbr_gemm_f32_select(mbr_cpu_tiers());
    bool trans = b->rank > 1 && mbr_attr_int(n, "transB", 0) != 0;
    size_t last = (size_t)b->dims[b->rank - 1], before = b->rank > 1 ? (size_t)b->dims[b->rank - 2] : 0;
    size_t k = b->rank == 1 || trans ? last : before, cols = b->rank == 1 ? 1 : trans ? before : last;
    size_t matrices = mbr_value_count(b) / (k * cols), each = kernel->pack_size(k, cols);
    ptrdiff_t stride_p = b->rank == 1 || trans ? 1 : (ptrdiff_t)last, stride_j = trans ? (ptrdiff_t)last : 1;
    size_t bytes;
    if (each == 0 || !mbr_mul_size(each, matrices, &bytes) || !mbr_add_size(bytes, MBR_ALIGN, &bytes))
        return mbr_no_memory(p->err, SIZE_MAX);
    char *block = mbr_alloc(p->memory, bytes);
    if (!block)
        return mbr_no_memory(p->err, bytes);
    *(packed_b *)(void *)block = (packed_b){ .kernel = mbr_packed_kernel_number(kernel),
                                             .each = each / sizeof(float) };
    for (size_t i = 0; i < matrices; i++)
        pack_matrix(n, kernel, (float *)(void *)(block + MBR_ALIGN + i * each), k, cols,
                    (const char *)b->data + i * k * cols * sizeof(float), stride_p, stride_j);
    p->packed = block;
    p->bytes = bytes;
    p->packed_inputs = 1u << 1;
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    matmul_state *st = s->state;
    mbr_buffer_free(s, &st->copied);
}

#define ROW(dom, op_name, version, most, what)                                                                         \
    { .domain = dom, .name = op_name, .since = version, .min_in = 2, .max_in = most, .min_out = 1, .max_out = 1,       \
      .flags = MBR_OP_PACKS_ALIKE, .any_address = 1u << 1, .infer = infer, .prepare = prepare, .run = run,             \
      .pack = pack, .fini = fini, .state_size = sizeof(matmul_state),                                                  \
      .param = what }

/* Gemm 1 and 6 had an attribute broadcast for C; all that it allowed is what broadcasting allows. */
const mbr_op mbr_ops_matmul[] = {
    ROW("", "MatMul", 1, 2, MATMUL),
    ROW("", "Gemm", 1, 3, GEMM),
    ROW("mbr", "MatMul", 1, 4, MATMUL),
    ROW("com.microsoft", "FusedMatMul", 1, 2, MATMUL),
    { 0 },
};

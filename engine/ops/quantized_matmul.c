/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Products of quantised matrices: MatMulInteger, QLinearMatMul, and com.microsoft's MatMulIntegerToFloat,
 * DynamicQuantizeMatMul and QGemm. They differ in where their inputs stand and in what becomes of a sum.
 *
 * Bytes with one zero point and scale for A go to the packed kernels; the rest to the plain product. Phases: the range
 * of A (DynamicQuantizeMatMul), the numbers that scales and zero points give, packing of B and quantising of A where
 * they are due, the product.
 */
#include "base/checked.h"
#include "engine/ops/buffer.h"
#include "kernels/packed.h"
#include "kernels/qgemm.h"
#include "kernels/qmatmul_any.h"
#include "kernels/quantize.h"

#include <string.h>

enum { INTEGER, QLINEAR, TO_FLOAT, DYNAMIC, QGEMM };

/* Places of the inputs; -1: the operator has none. */
static const struct roles {
    int a, b, a_scale, a_zero, b_scale, b_zero, bias, y_scale, y_zero;
} roles[] = {
    [INTEGER] = { 0, 1, -1, 2, -1, 3, -1, -1, -1 },  [QLINEAR] = { 0, 3, 1, 2, 4, 5, -1, 6, 7 },
    [TO_FLOAT] = { 0, 1, 2, 4, 3, 5, 6, -1, -1 },    [DYNAMIC] = { 0, 1, -1, -1, 2, 3, 4, -1, -1 },
    [QGEMM] = { 0, 3, 1, 2, 4, 5, 6, 7, 8 },
};

#define BATCH_RANK (MBR_MAX_RANK - 2)

typedef enum phase_kind { PHASE_RANGE, PHASE_NUMBERS, PHASE_MAKE, PHASE_PRODUCT } phase_kind;

/* What pack leaves: this header, then the matrices. */
typedef struct packed_b {
    uint32_t kernel; /* kernels/packed.h */
    size_t each;     /* bytes of one */
} packed_b;

/* Scale or zero point of an operand. */
typedef struct numbers {
    size_t n, step; /* how many; 1: one for each row or column */
    bool by_matrix; /* one for each row or column of each matrix */
    void *v;        /* float or double */
} numbers;

typedef struct state {
    bool fast, packs, trans_a, trans_b;
    const mbr_qgemm_kernel *kernel;
    mbr_qgemm_args gemm;
    mbr_qmatmul_any_args any;
    phase_kind kinds[MBR_MAX_PHASES];
    size_t units[MBR_MAX_PHASES], per_tile[MBR_MAX_PHASES];
    /* matrices of the output, and how the operands walk along (in elements) */
    size_t m, n, k;
    int batch_rank;
    size_t batch[BATCH_RANK];
    ptrdiff_t a_batch[BATCH_RANK], b_batch[BATCH_RANK];
    size_t b_matrices, pack_units, a_count, a_units; /* units of PHASE_MAKE: first packing, then quantising */
    numbers a_scale, a_zero, b_scale, b_zero;
    mbr_buffer b_packed, a_bytes, memory; /* memory: the numbers, the combined scales and the bias */
    float *scale;                     /* (n) for the packed kernels */
    int32_t *bias;                    /* (n), where it has another layout */
    float least, greatest, a_step;    /* DYNAMIC: range and scale of A */
    uint8_t a_null;
} state;

#define MAKE_CHUNK 8192

static const mbr_value *role(const mbr_step *s, int place)
{
    return place >= 0 && mbr_step_has(s, (uint32_t)place) ? s->in[place] : NULL;
}

/* --- inference --- */

static mbr_dtype result_dtype(const mbr_infer *c, const struct roles *r)
{
    switch (c->node->op->param) {
    case INTEGER:
        return MBR_DTYPE_I32;
    case QLINEAR:
        return c->in[r->y_zero].dtype;
    case QGEMM:
        return mbr_infer_has(c, (uint32_t)r->y_zero)    ? c->in[r->y_zero].dtype
               : mbr_infer_has(c, (uint32_t)r->y_scale) ? MBR_DTYPE_U8
                                                        : MBR_DTYPE_F32;
    default:
        return c->in[r->b_scale].dtype;
    }
}

static mbr_status infer(mbr_infer *c)
{
    const struct roles *r = &roles[c->node->op->param];
    const mbr_arg *a = &c->in[r->a], *b = &c->in[r->b];
    bool gemm = c->node->op->param == QGEMM, dynamic = c->node->op->param == DYNAMIC;
    bool ta = gemm && mbr_attr_int(c->node, "transA", 0), tb = gemm && mbr_attr_int(c->node, "transB", 0);
    mbr_dtype y = result_dtype(c, r), a_type = dynamic ? MBR_DTYPE_U8 : a->dtype;
    if (a_type && b->dtype && y &&
        (!mbr_qmatmul_any_has(a_type, b->dtype, y) || (dynamic && a->dtype != MBR_DTYPE_F32)))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "a product of %s and %s that gives %s", mbr_dtype_name(a->dtype),
                              mbr_dtype_name(b->dtype), mbr_dtype_name(y));
    mbr_infer_out(c, 0, y, -1, NULL);
    if (a->rank < 0 || b->rank < 0)
        return MBR_OK;
    if (a->rank == 0 || b->rank == 0 || (gemm && (a->rank != 2 || b->rank != 2)))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "operands of rank %d and %d", a->rank, b->rank);
    mbr_dim k = a->dims[ta ? a->rank - 2 : a->rank - 1], k2 = b->dims[b->rank > 1 && !tb ? b->rank - 2 : b->rank - 1];
    if (mbr_dim_is_const(k) && mbr_dim_is_const(k2) && k != k2)
        return mbr_infer_fail(c, c->dims ? MBR_ERR_MODEL : MBR_ERR_INPUT, "inner sizes %lld and %lld differ",
                              (long long)k, (long long)k2);
    mbr_arg batch_a = { .rank = a->rank > 2 ? a->rank - 2 : 0 }, batch_b = { .rank = b->rank > 2 ? b->rank - 2 : 0 };
    memcpy(batch_a.dims, a->dims, sizeof a->dims);
    memcpy(batch_b.dims, b->dims, sizeof b->dims);
    const mbr_arg *both[] = { &batch_a, &batch_b };
    mbr_dim dims[MBR_MAX_RANK];
    int rank;
    MBR_TRY(mbr_infer_broadcast(c, both, 2, &rank, dims));
    if (a->rank > 1)
        dims[rank++] = a->dims[ta ? a->rank - 1 : a->rank - 2];
    if (b->rank > 1)
        dims[rank++] = b->dims[tb ? b->rank - 2 : b->rank - 1];
    mbr_infer_out(c, 0, y, rank, dims);
    return MBR_OK;
}

/* --- prepare --- */

/* How a scale or zero point of `rows` rows (or columns) in `matrices` matrices goes along. */
static mbr_status measure(mbr_step *s, const mbr_value *v, size_t rows, size_t matrices, const char *what, numbers *to,
                          mbr_error *err)
{
    size_t n = v ? mbr_value_count(v) : 1;
    *to = (numbers){ .n = n, .step = n != 1, .by_matrix = n != 1 && n != rows };
    if (n != 1 && n != rows && n != rows * matrices)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%s has %zu values for %zu rows or columns", what, n, rows);
    return MBR_OK;
}

/* Batch dimensions of the output, and the operands' strides along them. */
static void walk_batch(state *t, const mbr_value *a, const mbr_value *b, const mbr_value *y)
{
    int a_lead = a->rank > 2 ? a->rank - 2 : 0, b_lead = b->rank > 2 ? b->rank - 2 : 0;
    int rank = a_lead > b_lead ? a_lead : b_lead;
    ptrdiff_t a_step = (ptrdiff_t)(t->m * t->k), b_step = (ptrdiff_t)(t->k * t->n);
    ptrdiff_t strides_a[BATCH_RANK], strides_b[BATCH_RANK];
    size_t dims[BATCH_RANK];
    t->b_matrices = 1;
    for (int i = rank - 1, x = a_lead - 1, z = b_lead - 1; i >= 0; i--, x--, z--) {
        dims[i] = (size_t)y->dims[i];
        strides_a[i] = x >= 0 && a->dims[x] != 1 ? a_step : 0;
        strides_b[i] = z >= 0 && b->dims[z] != 1 ? b_step : 0;
        a_step *= x >= 0 ? (ptrdiff_t)a->dims[x] : 1;
        b_step *= z >= 0 ? (ptrdiff_t)b->dims[z] : 1;
        t->b_matrices *= z >= 0 ? (size_t)b->dims[z] : 1;
    }
    ptrdiff_t *const both[] = { strides_a, strides_b };
    t->batch_rank = mbr_collapse_dims(rank, dims, 2, both);
    memcpy(t->batch, dims, sizeof dims);
    memcpy(t->a_batch, strides_a, sizeof strides_a);
    memcpy(t->b_batch, strides_b, sizeof strides_b);
}

/* Can the packed kernels do it? */
static bool can_be_fast(const mbr_step *s, const state *t, const mbr_value *a, const mbr_value *b, const mbr_value *y)
{
    const struct roles *r = &roles[s->op->param];
    const mbr_value *c = role(s, r->bias);
    bool bytes = (a->dtype == MBR_DTYPE_U8 || a->dtype == MBR_DTYPE_I8 || s->op->param == DYNAMIC) &&
                 (b->dtype == MBR_DTYPE_U8 || b->dtype == MBR_DTYPE_I8);
    bool result = y->dtype == MBR_DTYPE_I32 || y->dtype == MBR_DTYPE_F32 || y->dtype == MBR_DTYPE_U8 ||
                  y->dtype == MBR_DTYPE_I8;
    bool bias = s->op->param != QGEMM || !c || mbr_value_count(c) == 1 ||
                (mbr_value_count(c) == t->n && c->dims[c->rank - 1] == (int64_t)t->n);
    return bytes && result && bias && !t->trans_a && t->a_scale.n == 1 && t->a_zero.n == 1 && !t->b_scale.by_matrix &&
           !t->b_zero.by_matrix && t->batch_rank <= MBR_GEMM_BATCH_DIMS;
}

static void add_phase(mbr_step *s, state *t, int *phases, size_t *tiles, phase_kind kind, size_t units, double ns)
{
    int i = (*phases)++;
    double before = i ? s->cost_ns : 0;
    t->kinds[i] = kind;
    t->units[i] = units;
    t->per_tile[i] = mbr_step_split(s, units, units ? ns / (double)units : 0);
    if (kind == PHASE_RANGE || kind == PHASE_NUMBERS) { /* whole, on one thread */
        t->per_tile[i] = units;
        s->tiles[0] = 1;
    }
    tiles[i] = s->tiles[0];
    s->cost_ns += before;
}

/* Fills gemm from the shapes. A single B lets the batch be rows of A. */
static void plan_gemm(state *t, const mbr_value *a, const mbr_value *y, const mbr_step *s)
{
    const packed_b *packed = s->packed;
    mbr_qgemm_args *g = &t->gemm;
    *g = (mbr_qgemm_args)MBR_QGEMM_ARGS_INIT;
    t->kernel = packed ? mbr_packed_kernel(packed->kernel) : mbr_qgemm_select(mbr_cpu_tiers());
    g->m = t->m;
    g->n = t->n;
    g->k = t->k;
    g->a_signed = a->dtype == MBR_DTYPE_I8;
    g->lda = (ptrdiff_t)t->k;
    g->ldc = (ptrdiff_t)t->n;
    g->out.type = y->dtype;
    g->out.inverse_scale = 1;
    int rank = t->batch_rank;
    if (rank > 0 && t->b_batch[rank - 1] == 0 && t->a_batch[rank - 1] == (ptrdiff_t)(t->m * t->k)) {
        rank--;
        g->m *= t->batch[rank];
    }
    size_t each = packed ? packed->each : t->kernel->pack_size(t->k, t->n), matrix = t->k * t->n;
    ptrdiff_t c = (ptrdiff_t)(g->m * t->n);
    for (int i = rank - 1; i >= 0; i--) {
        g->batch[i] = t->batch[i];
        g->a_batch[i] = t->a_batch[i];
        g->b_batch[i] = t->b_batch[i] / (ptrdiff_t)(matrix ? matrix : 1) * (ptrdiff_t)each;
        g->c_batch[i] = c;
        c *= (ptrdiff_t)t->batch[i];
    }
}

/* Memory for the numbers, the combined scales and a bias for every column. */
static mbr_status place_numbers(mbr_step *s, state *t, mbr_error *err)
{
    size_t doubles = t->a_zero.n + t->b_zero.n, floats = t->a_scale.n + t->b_scale.n + t->n, bytes;
    if (!mbr_mul_size(doubles + floats, sizeof(double), &bytes) || !mbr_add_size(bytes, t->n * sizeof(int32_t), &bytes))
        return mbr_no_memory(err, SIZE_MAX);
    MBR_TRY(mbr_buffer_reserve(s, &t->memory, bytes, err));
    double *d = t->memory.data;
    t->a_zero.v = d;
    t->b_zero.v = d + t->a_zero.n;
    float *f = (float *)(d + doubles);
    t->a_scale.v = f;
    t->b_scale.v = f + t->a_scale.n;
    t->scale = f + t->a_scale.n + t->b_scale.n;
    t->bias = (int32_t *)(void *)(t->scale + t->n);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    const struct roles *r = &roles[s->op->param];
    const mbr_value *a = s->in[r->a], *b = s->in[r->b], *y = s->out[0];
    bool gemm = s->op->param == QGEMM, dynamic = s->op->param == DYNAMIC;
    size_t tiles[MBR_MAX_PHASES] = { 0 }, count = mbr_value_count(y);
    t->trans_a = gemm && mbr_attr_int(s->node, "transA", 0);
    t->trans_b = gemm && mbr_attr_int(s->node, "transB", 0);
    t->m = a->rank > 1 ? (size_t)a->dims[t->trans_a ? a->rank - 1 : a->rank - 2] : 1;
    t->k = (size_t)a->dims[t->trans_a ? a->rank - 2 : a->rank - 1];
    t->n = b->rank > 1 ? (size_t)b->dims[t->trans_b ? b->rank - 2 : b->rank - 1] : 1;
    if ((size_t)b->dims[b->rank > 1 && !t->trans_b ? b->rank - 2 : b->rank - 1] != t->k)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the inner sizes differ");
    walk_batch(t, a, b, y);
    size_t a_matrices = t->m && t->k ? mbr_value_count(a) / (t->m * t->k) : 1;
    MBR_TRY(measure(s, role(s, r->a_scale), t->m, a_matrices, "the scale of A", &t->a_scale, err));
    MBR_TRY(measure(s, role(s, r->a_zero), t->m, a_matrices, "the zero point of A", &t->a_zero, err));
    MBR_TRY(measure(s, role(s, r->b_scale), t->n, t->b_matrices, "the scale of B", &t->b_scale, err));
    MBR_TRY(measure(s, role(s, r->b_zero), t->n, t->b_matrices, "the zero point of B", &t->b_zero, err));
    const mbr_value *c = role(s, r->bias);
    if (c && !gemm && (c->dtype != MBR_DTYPE_F32 || mbr_value_count(c) != t->n))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the bias has %zu elements for %zu columns", mbr_value_count(c), t->n);
    if (c && gemm && (c->dtype != MBR_DTYPE_I32 || c->rank > 2 ||
                      (c->rank > 0 && c->dims[c->rank - 1] != 1 && c->dims[c->rank - 1] != (int64_t)t->n) ||
                      (c->rank > 1 && c->dims[0] != 1 && c->dims[0] != (int64_t)t->m)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "C does not broadcast to %zu x %zu", t->m, t->n);
    MBR_TRY(place_numbers(s, t, err));
    t->fast = can_be_fast(s, t, a, b, y);
    if (!t->fast && s->packed)
        return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "this form of a product with packed weights");
    int phases = 0;
    t->a_count = dynamic ? mbr_value_count(a) : 0;
    t->a_units = (t->a_count + MAKE_CHUNK - 1) / MAKE_CHUNK;
    t->pack_units = 0;
    t->packs = t->fast && !s->packed;
    if (t->fast)
        plan_gemm(t, a, y, s);
    if (t->packs) {
        size_t each = t->kernel->pack_size(t->k, t->n), bytes;
        if ((each == 0 && t->k && t->n) || !mbr_mul_size(each, t->b_matrices, &bytes))
            return mbr_no_memory(err, SIZE_MAX);
        MBR_TRY(mbr_buffer_reserve(s, &t->b_packed, bytes + 1, err));
        t->pack_units = t->b_matrices * ((t->n + t->kernel->nr - 1) / t->kernel->nr);
    }
    if (dynamic) {
        MBR_TRY(mbr_buffer_reserve(s, &t->a_bytes, t->a_count + 1, err));
        add_phase(s, t, &phases, tiles, PHASE_RANGE, 1, (double)t->a_count * 0.3);
    }
    add_phase(s, t, &phases, tiles, PHASE_NUMBERS, 1, (double)t->n);
    if (t->pack_units + t->a_units)
        add_phase(s, t, &phases, tiles, PHASE_MAKE, t->pack_units + t->a_units,
                  (double)t->a_count * 0.4 + (t->packs ? (double)mbr_value_count(b) : 0));
    size_t rows = count ? count / t->n : 0;
    s->scratch = 0;
    if (t->fast) {
        size_t units = count ? t->kernel->tiles(&t->gemm) : 0;
        add_phase(s, t, &phases, tiles, PHASE_PRODUCT, units, (double)count * (double)t->k / 50);
        s->scratch = count ? t->kernel->scratch(&t->gemm) : 0;
    } else {
        add_phase(s, t, &phases, tiles, PHASE_PRODUCT, rows, (double)count * (double)t->k * 4);
    }
    s->phases = phases;
    memcpy(s->tiles, tiles, sizeof tiles);
    return MBR_OK;
}

/* --- run --- */

/* Scales and zero points as numbers, and what the packed kernels make of them. */
static void find_numbers(mbr_step *s, state *t)
{
    const struct roles *r = &roles[s->op->param];
    const mbr_value *a_scale = role(s, r->a_scale), *b_scale = role(s, r->b_scale), *y_scale = role(s, r->y_scale);
    const mbr_value *a_zero = role(s, r->a_zero), *b_zero = role(s, r->b_zero), *y_zero = role(s, r->y_zero);
    float *as = t->a_scale.v, *bs = t->b_scale.v;
    double *az = t->a_zero.v, *bz = t->b_zero.v;
    float alpha = s->op->param == QGEMM ? mbr_attr_float(s->node, "alpha", 1) : 1;
    if (s->op->param == DYNAMIC)
        mbr_quantize_choose_u8(t->least, t->greatest, &t->a_step, &t->a_null);
    for (size_t i = 0; i < t->a_scale.n; i++)
        as[i] = alpha * (s->op->param == DYNAMIC ? t->a_step : a_scale ? (float)mbr_value_real(a_scale, i) : 1.0f);
    for (size_t i = 0; i < t->b_scale.n; i++)
        bs[i] = b_scale ? (float)mbr_value_real(b_scale, i) : 1.0f;
    for (size_t i = 0; i < t->a_zero.n; i++)
        az[i] = s->op->param == DYNAMIC ? (double)t->a_null : a_zero ? mbr_value_real(a_zero, i) : 0;
    for (size_t i = 0; i < t->b_zero.n; i++)
        bz[i] = b_zero ? mbr_value_real(b_zero, i) : 0;
    float to = y_scale ? (float)mbr_value_real(y_scale, 0) : 1.0f;
    t->any.y_scale = to;
    t->any.y_zero = y_zero ? (float)mbr_value_real(y_zero, 0) : 0;
    if (!t->fast)
        return;
    t->gemm.a_zero = (int32_t)az[0];
    t->gemm.out.zero = (int32_t)t->any.y_zero;
    for (size_t j = 0; j < t->n; j++)
        t->scale[j] = as[0] * bs[j * t->b_scale.step] / to;
    t->gemm.out.scale = t->scale;
    const mbr_value *c = role(s, r->bias);
    if (c && s->op->param != QGEMM)
        t->gemm.out.real_bias = c->data;
    if (c && s->op->param == QGEMM) {
        bool one = mbr_value_count(c) == 1;
        for (size_t j = 0; j < t->n; j++)
            t->bias[j] = ((const int32_t *)c->data)[one ? 0 : j];
        t->gemm.out.bias = t->bias;
    }
}

/* Packs panels of B, then quantises chunks of A. */
static void make(mbr_step *s, state *t, size_t first, size_t last)
{
    const struct roles *r = &roles[s->op->param];
    const mbr_value *b = s->in[r->b], *zero = role(s, r->b_zero);
    size_t panels = t->kernel && t->b_matrices ? t->pack_units / t->b_matrices : 0;
    for (; first < last && first < t->pack_units; first++) {
        size_t matrix = first / panels, from = first % panels * t->kernel->nr, to = from + t->kernel->nr;
        const mbr_qgemm_b what = { .is_signed = b->dtype == MBR_DTYPE_I8,
                                   .b = (const char *)b->data + matrix * t->k * t->n,
                                   .stride_p = t->trans_b ? 1 : (ptrdiff_t)t->n,
                                   .stride_j = t->trans_b ? (ptrdiff_t)t->k : 1,
                                   .zero = zero ? zero->data : NULL,
                                   .zero_step = t->b_zero.step };
        t->kernel->pack((char *)t->b_packed.data + matrix * t->kernel->pack_size(t->k, t->n), t->k, t->n, &what, from,
                        to < t->n ? to : t->n);
    }
    static const mbr_quantize_args args = { .x = MBR_DTYPE_F32, .scale = MBR_DTYPE_F32, .y = MBR_DTYPE_U8,
                                            .precision = MBR_DTYPE_F32 };
    for (; first < last; first++) {
        size_t at = (first - t->pack_units) * MAKE_CHUNK;
        size_t n = t->a_count - at < MAKE_CHUNK ? t->a_count - at : MAKE_CHUNK;
        mbr_quantize_select(mbr_cpu_tiers())->quantize(&args, (const float *)s->in[r->a]->data + at, &t->a_step, &t->a_null, 0,
                         (uint8_t *)t->a_bytes.data + at, n);
    }
}

/* Rows of the plain product. */
static void run_any(mbr_step *s, const state *t, size_t first, size_t last)
{
    const struct roles *r = &roles[s->op->param];
    const mbr_value *a = s->in[r->a], *b = s->in[r->b], *c = role(s, r->bias), *y = s->out[0];
    mbr_qmatmul_any_args p = t->any;
    p.n = t->n;
    p.k = t->k;
    p.a_type = s->op->param == DYNAMIC ? MBR_DTYPE_U8 : a->dtype;
    p.b_type = b->dtype;
    p.y_type = y->dtype;
    p.a_row = t->trans_a ? 1 : (ptrdiff_t)t->k;
    p.a_col = t->trans_a ? (ptrdiff_t)t->m : 1;
    p.b_row = t->trans_b ? 1 : (ptrdiff_t)t->n;
    p.b_col = t->trans_b ? (ptrdiff_t)t->k : 1;
    p.a_zero_step = t->a_zero.step;
    p.b_zero_step = t->b_zero.step;
    p.a_scale_step = t->a_scale.step;
    p.b_scale_step = t->b_scale.step;
    if (c && s->op->param == QGEMM) {
        p.bias = c->data;
        p.bias_col = c->rank > 0 && c->dims[c->rank - 1] != 1;
        p.bias_row = c->rank > 1 && c->dims[0] != 1 ? (ptrdiff_t)c->dims[c->rank - 1] : 0;
    } else if (c) {
        p.real_bias = c->data;
    }
    while (first < last) {
        size_t matrix = first / t->m, row = first % t->m, rest = matrix;
        size_t end = last - first < t->m - row ? row + last - first : t->m;
        ptrdiff_t at_a = 0, at_b = 0;
        for (int i = t->batch_rank - 1; i >= 0; i--) {
            ptrdiff_t x = (ptrdiff_t)(rest % t->batch[i]);
            rest /= t->batch[i];
            at_a += x * t->a_batch[i];
            at_b += x * t->b_batch[i];
        }
        size_t size = t->k * t->n, a_row = (size_t)at_a / (t->k ? t->k : 1), b_matrix = (size_t)at_b / (size ? size : 1);
        p.a = (const char *)(s->op->param == DYNAMIC ? t->a_bytes.data : a->data) + at_a;
        p.b = (const char *)b->data + at_b;
        p.y = (char *)y->data + matrix * t->m * t->n * mbr_dtype_size(y->dtype);
        p.a_zero = (const double *)t->a_zero.v + (t->a_zero.by_matrix ? a_row : 0);
        p.a_scale = (const float *)t->a_scale.v + (t->a_scale.by_matrix ? a_row : 0);
        p.b_zero = (const double *)t->b_zero.v + (t->b_zero.by_matrix ? b_matrix * t->n : 0);
        p.b_scale = (const float *)t->b_scale.v + (t->b_scale.by_matrix ? b_matrix * t->n : 0);
        mbr_qmatmul_any_ref(&p, row, end);
        first += end - row;
    }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    const struct roles *r = &roles[s->op->param];
    size_t per = t->per_tile[job->phase], units = t->units[job->phase];
    size_t first = job->first * per, last = job->last * per < units ? job->last * per : units;
    if (first >= last)
        return MBR_OK;
    switch (t->kinds[job->phase]) {
    case PHASE_RANGE:
        mbr_quantize_select(mbr_cpu_tiers())->range(s->in[r->a]->data, t->a_count, &t->least, &t->greatest);
        break;
    case PHASE_NUMBERS:
        find_numbers(s, t);
        break;
    case PHASE_MAKE:
        make(s, t, first, last);
        break;
    case PHASE_PRODUCT:
        if (!t->fast) {
            run_any(s, t, first, last);
            break;
        }
        mbr_qgemm_args g = t->gemm;
        g.a = s->op->param == DYNAMIC ? t->a_bytes.data : s->in[r->a]->data;
        g.b = s->packed ? (const char *)s->packed + MBR_ALIGN : t->b_packed.data;
        g.c = s->out[0]->data;
        t->kernel->run(&g, job->scratch, first, last);
        break;
    }
    return MBR_OK;
}

/* --- packing --- */

static const mbr_value *constant(const mbr_ir_node *n, int place)
{
    const mbr_ir_value *v = place >= 0 && (uint32_t)place < n->n_formal ? n->inputs[place] : NULL;
    return v && !v->has_default ? v->constant : NULL;
}

static bool absent_or_constant(const mbr_ir_node *n, int place)
{
    return place < 0 || (uint32_t)place >= n->n_formal || !n->inputs[place] || constant(n, place);
}

/* Does A surely have one scale and zero point, whatever a run brings? */
static bool one_for_all(const mbr_ir_node *n, int place)
{
    const mbr_ir_value *v = place >= 0 && (uint32_t)place < n->n_formal ? n->inputs[place] : NULL;
    if (!v)
        return true;
    if (v->type.rank == 0)
        return true;
    for (int d = 0; d < v->type.rank; d++)
        if (v->type.dims[d] != 1)
            return false;
    return v->type.rank > 0;
}

static mbr_status pack(mbr_pack *p)
{
    const mbr_ir_node *n = p->node;
    const struct roles *r = &roles[n->op->param];
    const mbr_value *b = constant(n, r->b), *zero = constant(n, r->b_zero), *scale = constant(n, r->b_scale);
    const mbr_ir_value *a = n->inputs[r->a], *y = n->outputs[0];
    bool gemm = n->op->param == QGEMM, trans = gemm && mbr_attr_int(n, "transB", 0);
    mbr_dtype a_type = n->op->param == DYNAMIC ? MBR_DTYPE_U8 : a ? a->type.dtype : MBR_DTYPE_UNDEFINED;
    if (!b || (b->dtype != MBR_DTYPE_U8 && b->dtype != MBR_DTYPE_I8) || mbr_value_count(b) == 0 || b->rank > 5 || !y ||
        (a_type != MBR_DTYPE_U8 && a_type != MBR_DTYPE_I8) || y->type.dtype == MBR_DTYPE_F16 ||
        !absent_or_constant(n, r->b_zero) || !one_for_all(n, r->a_scale) || !one_for_all(n, r->a_zero) ||
        (gemm && mbr_attr_int(n, "transA", 0)))
        return MBR_OK;
    size_t last = (size_t)b->dims[b->rank - 1], before = b->rank > 1 ? (size_t)b->dims[b->rank - 2] : 0;
    size_t k = b->rank == 1 || trans ? last : before, cols = b->rank == 1 ? 1 : trans ? before : last;
    size_t matrices = mbr_value_count(b) / (k * cols), bytes;
    size_t zeros = zero ? mbr_value_count(zero) : 1, scales = scale ? mbr_value_count(scale) : 1;
    if ((zeros != 1 && zeros != cols) || (scales != 1 && scales != cols) || matrices > 64)
        return MBR_OK;
    if (r->b_scale >= 0 && !scale && !one_for_all(n, r->b_scale))
        return MBR_OK;
    if (gemm && (uint32_t)r->bias < n->n_formal && n->inputs[r->bias] &&
        !(n->inputs[r->bias]->type.rank == 1 && n->inputs[r->bias]->type.dims[0] == (mbr_dim)cols))
        return MBR_OK; /* C may need the plain product */
    const mbr_qgemm_kernel *kernel = mbr_qgemm_select(mbr_cpu_tiers());
    size_t each = kernel->pack_size(k, cols);
    if (each == 0 || !mbr_mul_size(each, matrices, &bytes) || !mbr_add_size(bytes, MBR_ALIGN, &bytes))
        return mbr_no_memory(p->err, SIZE_MAX);
    char *block = mbr_alloc(p->memory, bytes);
    if (!block)
        return mbr_no_memory(p->err, bytes);
    *(packed_b *)(void *)block = (packed_b){ .kernel = mbr_packed_kernel_number(kernel), .each = each };
    for (size_t i = 0; i < matrices; i++) {
        const mbr_qgemm_b what = { .is_signed = b->dtype == MBR_DTYPE_I8, .b = (const char *)b->data + i * k * cols,
                                   .stride_p = b->rank == 1 || trans ? 1 : (ptrdiff_t)last,
                                   .stride_j = trans ? (ptrdiff_t)last : 1, .zero = zero ? zero->data : NULL,
                                   .zero_step = zeros != 1 };
        kernel->pack(block + MBR_ALIGN + i * each, k, cols, &what, 0, cols);
    }
    p->packed = block;
    p->bytes = bytes;
    p->packed_inputs = 1u << r->b;
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    state *t = s->state;
    mbr_buffer_free(s, &t->b_packed);
    mbr_buffer_free(s, &t->a_bytes);
    mbr_buffer_free(s, &t->memory);
}

#define ROW(dom, op_name, version, least, most, which)                                                                 \
    { .domain = dom, .name = op_name, .since = version, .min_in = least, .max_in = most, .min_out = 1, .max_out = 1,   \
      .infer = infer, .prepare = prepare, .run = run, .pack = pack, .fini = fini, .state_size = sizeof(state),         \
      .param = which }

const mbr_op mbr_ops_quantized_matmul[] = {
    ROW("", "MatMulInteger", 10, 2, 4, INTEGER),
    ROW("", "QLinearMatMul", 10, 8, 8, QLINEAR),
    ROW("", "QLinearMatMul", 21, 8, 8, QLINEAR), /* float8, scales of other floats */
    ROW("com.microsoft", "MatMulIntegerToFloat", 1, 4, 7, TO_FLOAT),
    ROW("com.microsoft", "DynamicQuantizeMatMul", 1, 3, 5, DYNAMIC),
    ROW("com.microsoft", "QGemm", 1, 6, 9, QGEMM),
    { 0 },
};

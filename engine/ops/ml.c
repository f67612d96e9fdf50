/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/checked.h"
#include "engine/ops/ml.h"
#include "kernels/features.h"

#include <string.h>

mbr_status mbr_ml_post_transform(const mbr_ir_node *n, mbr_post_transform *kind, mbr_error *err)
{
    static const char *const names[] = { "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT" };
    const mbr_ir_attr *a = mbr_attr(n, "post_transform");
    *kind = MBR_POST_NONE;
    if (!a)
        return MBR_OK;
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
        if (a->kind == MBR_ATTR_INT ? a->i == (int64_t)i
                                    : strcmp(mbr_attr_string(n, "post_transform", ""), names[i]) == 0) {
            *kind = (mbr_post_transform)i;
            return MBR_OK;
        }
    return mbr_ir_fail(n, err, MBR_ERR_MODEL, "post_transform '%s' is none of NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO, PROBIT",
                       mbr_attr_string(n, "post_transform", "?"));
}

mbr_status mbr_ml_labels_read(const mbr_ir_node *n, const char *ints, mbr_ml_labels *labels, mbr_error *err)
{
    size_t n_ints, n_strings;
    *labels = (mbr_ml_labels){ 0 };
    const int64_t *i = mbr_attr_ints(n, ints, &n_ints);
    const mbr_string *s = mbr_attr_strings(n, "classlabels_strings", &n_strings);
    if ((n_ints > 0) == (n_strings > 0))
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "one of %s and classlabels_strings is due", ints);
    labels->ints = n_ints ? i : NULL;
    labels->strings = n_strings ? s : NULL;
    labels->n = n_ints + n_strings;
    return MBR_OK;
}

void mbr_ml_labels_put(const mbr_ml_labels *l, size_t which, mbr_value *out, size_t i)
{
    if (l->strings)
        ((mbr_string *)out->data)[i] = l->strings[which];
    else
        ((int64_t *)out->data)[i] = l->ints[which];
}

mbr_status mbr_ml_check_features(mbr_infer *c, uint32_t i)
{
    const mbr_arg *x = &c->in[i];
    switch (x->dtype) {
    case MBR_DTYPE_UNDEFINED:
    case MBR_DTYPE_F32:
    case MBR_DTYPE_F64:
    case MBR_DTYPE_I64:
    case MBR_DTYPE_I32:
        break;
    default:
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "features of %s; f32, f64, i64 or i32 are due",
                              mbr_dtype_name(x->dtype));
    }
    if (x->kind != MBR_KIND_TENSOR || x->rank == 0 || x->rank > 2)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "features of rank %d; rows of features have rank 2", x->rank);
    return MBR_OK;
}

mbr_dim mbr_ml_rows_dim(const mbr_arg *x)
{
    return x->rank < 0 ? MBR_DIM_UNKNOWN : x->rank == 2 ? x->dims[0] : 1;
}

void mbr_ml_load(const mbr_value *x, size_t first, size_t n, bool wide, void *to)
{
    float *f = to;
    double *d = to;
    if (wide) {
        for (size_t i = 0; i < n; i++)
            d[i] = mbr_value_real(x, first + i);
        return;
    }
    switch (x->dtype) {
    case MBR_DTYPE_F32:
        memcpy(f, (const float *)x->data + first, n * sizeof *f);
        break;
    case MBR_DTYPE_I64: /* not through f64: that would round twice */
        for (size_t i = 0; i < n; i++)
            f[i] = (float)((const int64_t *)x->data)[first + i];
        break;
    case MBR_DTYPE_I32:
        for (size_t i = 0; i < n; i++)
            f[i] = (float)((const int32_t *)x->data)[first + i];
        break;
    default:
        for (size_t i = 0; i < n; i++)
            f[i] = (float)mbr_value_real(x, first + i);
        break;
    }
}

#define FEW 4 /* rows of coefficients that dot products do sooner than a panel of the product */

static size_t lines(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

mbr_status mbr_ml_product_make(mbr_ml_product *p, bool dots, mbr_memory *memory, mbr_error *err)
{
    p->memory = memory;
    if ((dots && p->n <= FEW) || p->n == 0 || p->columns == 0)
        return MBR_OK;
    p->kernel = mbr_gemm_f32_select(mbr_cpu_tiers());
    size_t size = p->kernel->pack_size(p->columns, p->n);
    p->packed = size ? mbr_alloc(memory, size) : NULL;
    if (!p->packed)
        return mbr_no_memory(err, size);
    p->kernel->pack(p->packed, p->columns, p->n, p->w, 1, (ptrdiff_t)p->columns, 0, p->n);
    return MBR_OK;
}

void mbr_ml_product_free(mbr_ml_product *p)
{
    if (p->memory)
        mbr_free(p->memory, p->packed);
}

size_t mbr_ml_product_rows(const mbr_ml_product *p)
{
    size_t wide = p->n > p->columns ? p->n : p->columns, rows = 16384 / (wide ? wide : 1);
    return rows > 60 ? 60 : rows ? rows : 1;
}

static mbr_gemm_args product_args(const mbr_ml_product *p, size_t rows)
{
    mbr_gemm_args g = MBR_GEMM_ARGS_INIT;
    g.m = rows;
    g.n = p->n;
    g.k = p->columns;
    g.lda = (ptrdiff_t)p->columns;
    g.ldc = (ptrdiff_t)p->n;
    g.b = p->packed;
    g.b_form = MBR_GEMM_B_PACKED;
    g.epilogue.bias = p->bias;
    return g;
}

size_t mbr_ml_product_scratch(const mbr_ml_product *p)
{
    size_t rows = mbr_ml_product_rows(p), own = 0;
    for (size_t m = 1; p->packed && m <= rows; m++) { /* the last rows may be cut in another way */
        mbr_gemm_args g = product_args(p, m);
        own = mbr_max_size(own, p->kernel->scratch(&g));
    }
    return (lines(rows * p->columns) + lines(rows * p->n)) * sizeof(float) + own;
}

float *mbr_ml_product_run(const mbr_ml_product *p, const mbr_value *x, size_t first, size_t rows, float alpha,
                          mbr_act act, void *scratch)
{
    size_t most = mbr_ml_product_rows(p);
    float *own = scratch, *z = own + lines(most * p->columns);
    const float *from = (const float *)x->data + first * p->columns;
    if (x->dtype != MBR_DTYPE_F32) {
        mbr_ml_load(x, first * p->columns, rows * p->columns, false, own);
        from = own;
    }
    if (p->packed) {
        mbr_gemm_args g = product_args(p, rows);
        g.a = from;
        g.c = z;
        g.alpha = alpha;
        g.epilogue.act = act;
        p->kernel->run(&g, z + lines(most * p->n), 0, p->kernel->tiles(&g));
    } else {
        mbr_features_select(mbr_cpu_tiers())->linear(from, rows, p->columns, p->w, p->n, p->bias, z);
    }
    return z;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the operators of ai.onnx.ml share: rows of features as floats, class labels, post transforms. */
#ifndef MBR_ENGINE_OPS_ML_H
#define MBR_ENGINE_OPS_ML_H

#include "engine/ops/op.h"
#include "kernels/gemm.h"
#include "kernels/post_transform.h"

/* Reads post_transform (text, or the number of TreeEnsemble 5). */
mbr_status mbr_ml_post_transform(const mbr_ir_node *n, mbr_post_transform *kind, mbr_error *err);

/* Class labels: integers or text. */
typedef struct mbr_ml_labels {
    const int64_t *ints;
    const mbr_string *strings;
    size_t n;
} mbr_ml_labels;

/* ints: the attribute's name for integers, which differs; strings are classlabels_strings. Fails when there are none. */
mbr_status mbr_ml_labels_read(const mbr_ir_node *n, const char *ints, mbr_ml_labels *labels, mbr_error *err);
static inline mbr_dtype mbr_ml_labels_dtype(const mbr_ml_labels *l)
{
    return l->strings ? MBR_DTYPE_STRING : MBR_DTYPE_I64;
}
/* Writes label `which` as element i of an output. */
void mbr_ml_labels_put(const mbr_ml_labels *l, size_t which, mbr_value *out, size_t i);

/* An input of features: f32, f64, i64 or i32 of rank 1 (one row) or 2. */
mbr_status mbr_ml_check_features(mbr_infer *c, uint32_t i);
mbr_dim mbr_ml_rows_dim(const mbr_arg *x); /* unknown where the rank is */
static inline size_t mbr_ml_rows(const mbr_value *x)
{
    return x->rank == 2 ? (size_t)x->dims[0] : 1;
}
static inline size_t mbr_ml_columns(const mbr_value *x)
{
    return x->rank == 0 ? 1 : (size_t)x->dims[x->rank - 1];
}
/* Elements from `first` on as f32 (f64 if wide), from any of those types and f16. */
void mbr_ml_load(const mbr_value *x, size_t first, size_t n, bool wide, void *to);

/* z[r][k] = alpha x[r] . w[k] + bias[k], through act: rows of features times n of coefficients. Few are not packed. */
typedef struct mbr_ml_product {
    mbr_memory *memory;
    const mbr_gemm_f32_kernel *kernel;
    const float *w, *bias; /* (n, columns), (n) or NULL: not copied */
    float *packed;         /* or NULL: dot products */
    size_t columns, n;
} mbr_ml_product;

/* p->w, bias, columns and n are set; dots: they may be few. */
mbr_status mbr_ml_product_make(mbr_ml_product *p, bool dots, mbr_memory *memory, mbr_error *err);
void mbr_ml_product_free(mbr_ml_product *p); /* of zeroed memory is fine */
/* Rows that go together, and bytes of aligned scratch for them: features as floats, results, the kernel's own. */
size_t mbr_ml_product_rows(const mbr_ml_product *p);
size_t mbr_ml_product_scratch(const mbr_ml_product *p);
/* `rows` rows of x, at most that many, from `first` on; returns z (rows, n) in scratch. alpha, act: none with dots. */
float *mbr_ml_product_run(const mbr_ml_product *p, const mbr_value *x, size_t first, size_t rows, float alpha,
                          mbr_act act, void *scratch);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the operators of ai.onnx.ml share: rows of features as floats, class labels, post transforms. */
#ifndef MBR_ENGINE_OPS_ML_H
#define MBR_ENGINE_OPS_ML_H

#include "engine/ops/op.h"
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

#endif

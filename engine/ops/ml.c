/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/ml.h"

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

/* SPDX-License-Identifier: BSD-2-Clause */
/* Constant: a tensor from whichever attribute holds it. (An importer may have made a constant of the node before.) */
#include "engine/ops/op_util.h"

#include <string.h>

static mbr_status infer(mbr_infer *c)
{
    const mbr_ir_attr *a = NULL;
    static const char *const names[] = { "value",      "sparse_value", "value_int",    "value_ints",
                                         "value_float", "value_floats", "value_string", "value_strings" };
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++) {
        const mbr_ir_attr *here = mbr_attr(c->node, names[i]);
        if (here && a)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "both '%s' and '%s' are given", a->name, here->name);
        if (here)
            a = here;
    }
    if (!a)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "it has no value attribute");
    mbr_dim dims[MBR_MAX_RANK] = { (mbr_dim)a->n };
    switch (a->kind) {
    case MBR_ATTR_TENSOR: {
        mbr_dim v[MBR_OP_CONTENT];
        for (int i = 0; i < a->tensor->rank; i++)
            dims[i] = mbr_dim_const(a->tensor->dims[i]);
        mbr_infer_out(c, 0, a->tensor->dtype, a->tensor->rank, dims);
        size_t n = mbr_value_count(a->tensor);
        if ((mbr_dtype_is_int(a->tensor->dtype) || a->tensor->dtype == MBR_DTYPE_BOOL) && n <= MBR_OP_CONTENT) {
            for (size_t i = 0; i < n; i++)
                v[i] = mbr_dim_const(mbr_value_int(a->tensor, i));
            mbr_infer_set_content(c, 0, v, n);
        }
        return MBR_OK;
    }
    case MBR_ATTR_INT: {
        mbr_dim v = mbr_dim_const(a->i);
        mbr_infer_out(c, 0, MBR_DTYPE_I64, 0, dims);
        mbr_infer_set_content(c, 0, &v, 1);
        return MBR_OK;
    }
    case MBR_ATTR_INTS: {
        mbr_dim v[MBR_OP_CONTENT];
        mbr_infer_out(c, 0, MBR_DTYPE_I64, 1, dims);
        if (a->n <= MBR_OP_CONTENT) {
            for (size_t i = 0; i < a->n; i++)
                v[i] = mbr_dim_const(a->ints[i]);
            mbr_infer_set_content(c, 0, v, a->n);
        }
        return MBR_OK;
    }
    case MBR_ATTR_FLOAT:
    case MBR_ATTR_FLOATS:
        mbr_infer_out(c, 0, MBR_DTYPE_F32, a->kind == MBR_ATTR_FLOATS, dims);
        return MBR_OK;
    case MBR_ATTR_STRING:
    case MBR_ATTR_STRINGS:
        mbr_infer_out(c, 0, MBR_DTYPE_STRING, a->kind == MBR_ATTR_STRINGS, dims);
        return MBR_OK;
    default:
        return mbr_infer_fail(c, MBR_ERR_MODEL, "attribute '%s' has a type that is no value", a->name);
    }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    mbr_value *out = s->out[0];
    (void)job;
    (void)err;
    for (uint32_t i = 0; i < s->node->n_attrs; i++) {
        const mbr_ir_attr *a = &s->node->attrs[i];
        const void *from = NULL;
        if (strcmp(a->name, "value") != 0 && strncmp(a->name, "value_", 6) != 0 && strcmp(a->name, "sparse_value") != 0)
            continue;
        switch (a->kind) {
        case MBR_ATTR_TENSOR:
            from = a->tensor->data;
            break;
        case MBR_ATTR_INT:
            from = &a->i;
            break;
        case MBR_ATTR_FLOAT:
            from = &a->f;
            break;
        case MBR_ATTR_STRING:
            from = &a->s;
            break;
        case MBR_ATTR_INTS:
            from = a->ints;
            break;
        case MBR_ATTR_FLOATS:
            from = a->floats;
            break;
        case MBR_ATTR_STRINGS:
            from = a->strings;
            break;
        default:
            break;
        }
        if (from && mbr_value_count(out) > 0)
            memcpy(out->data, from, mbr_value_bytes(out));
    }
    return MBR_OK;
}

const mbr_op mbr_ops_constant[] = {
    { .domain = "", .name = "Constant", .since = 1, .min_in = 0, .max_in = 0, .min_out = 1, .max_out = 1,
      .infer = infer, .run = run },
    { 0 },
};

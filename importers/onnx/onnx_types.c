/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/onnx/onnx_import.h"

#include <string.h>

static mbr_status element_type(int32_t number, mbr_dtype *out, mbr_error *err)
{
    if (number < 0 || number >= MBR_DTYPE_COUNT)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "the element type number %d is not known", number);
    *out = (mbr_dtype)number;
    return MBR_OK;
}

/* The name of a free axis; NULL where it says nothing. */
static const char *axis_name(const Mbr__Onnx__TensorShapeProto__Dimension *d)
{
    const char *s = d->dim_param;
    return s && s[0] && strcmp(s, "?") != 0 && strcmp(s, "None") != 0 ? s : NULL;
}

static mbr_status tensor_dims(mbr_onnx_importer *m, const Mbr__Onnx__TensorShapeProto *shape, mbr_ir_type *out,
                              mbr_error *err)
{
    if (shape->n_dim > MBR_MAX_RANK)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%zu dimensions; at most %d are supported", shape->n_dim,
                        MBR_MAX_RANK);
    out->rank = (int)shape->n_dim;
    out->dims = mbr_arena_alloc(&m->module->arena, (shape->n_dim + 1) * sizeof *out->dims);
    if (!out->dims)
        return mbr_no_memory(err, shape->n_dim * sizeof *out->dims);
    for (size_t i = 0; i < shape->n_dim; i++) {
        const Mbr__Onnx__TensorShapeProto__Dimension *d = shape->dim[i];
        if (d->has_dim_value && d->dim_value < -1) /* -1: some exporters write it for a free axis */
            return mbr_fail(err, MBR_ERR_MODEL, "dimension %zu is negative: %lld", i, (long long)d->dim_value);
        if (d->has_dim_value && d->dim_value >= 0) {
            out->dims[i] = mbr_dim_const(d->dim_value);
            continue;
        }
        const char *name = axis_name(d); /* the table keeps the pointer, and the message goes away */
        if (name && !(name = mbr_arena_strdup(&m->module->arena, name)))
            return mbr_no_memory(err, strlen(axis_name(d)) + 1);
        out->dims[i] = mbr_dim_symbol(&m->module->dims, name);
        if (!mbr_dim_is_known(out->dims[i]))
            return mbr_no_memory(err, sizeof(mbr_dim_expr));
    }
    return MBR_OK;
}

static mbr_status item_type(mbr_onnx_importer *m, const Mbr__Onnx__TypeProto *proto, mbr_kind kind, mbr_ir_type *out,
                            mbr_error *err)
{
    out->kind = kind;
    if (!proto)
        return MBR_OK;
    mbr_ir_type *item = mbr_arena_calloc(&m->module->arena, 1, sizeof *item);
    if (!item)
        return mbr_no_memory(err, sizeof *item);
    MBR_TRY(mbr_onnx_type(m, proto, false, item, err));
    out->item = item;
    if (item->kind == MBR_KIND_TENSOR)
        out->dtype = item->dtype;
    return MBR_OK;
}

/* Recursion is bounded by the depth that the pre-scan allows. */
mbr_status mbr_onnx_type(mbr_onnx_importer *m, const Mbr__Onnx__TypeProto *proto, bool with_dims, mbr_ir_type *out,
                         mbr_error *err)
{
    *out = (mbr_ir_type){ .kind = MBR_KIND_TENSOR, .rank = -1 };
    if (!proto)
        return MBR_OK;
    if (proto->opaque_type)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "the opaque type '%s' is not known",
                        mbr_onnx_text(proto->opaque_type->name));
    if (proto->sparse_tensor_type)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "sparse tensors are read as constants only, not as inputs or outputs");
    if (proto->sequence_type)
        return item_type(m, proto->sequence_type->elem_type, MBR_KIND_SEQUENCE, out, err);
    if (proto->optional_type)
        return item_type(m, proto->optional_type->elem_type, MBR_KIND_OPTIONAL, out, err);
    if (proto->map_type) {
        MBR_TRY(item_type(m, proto->map_type->value_type, MBR_KIND_MAP, out, err));
        return element_type(proto->map_type->key_type, &out->key, err);
    }
    if (!proto->tensor_type)
        return MBR_OK;
    MBR_TRY(element_type(proto->tensor_type->elem_type, &out->dtype, err));
    if (with_dims && proto->tensor_type->shape)
        return tensor_dims(m, proto->tensor_type->shape, out, err);
    return MBR_OK;
}

mbr_status mbr_onnx_axis_names(mbr_onnx_importer *m, const Mbr__Onnx__TypeProto *proto, const char *const **out,
                               mbr_error *err)
{
    *out = NULL;
    const Mbr__Onnx__TensorShapeProto *shape = proto && proto->tensor_type ? proto->tensor_type->shape : NULL;
    if (!shape || shape->n_dim > MBR_MAX_RANK)
        return MBR_OK;
    const char **names = mbr_arena_calloc(&m->module->arena, shape->n_dim + 1, sizeof *names);
    if (!names)
        return mbr_no_memory(err, shape->n_dim * sizeof *names);
    for (size_t i = 0; i < shape->n_dim; i++) {
        const char *name = axis_name(shape->dim[i]);
        if (!name)
            continue;
        names[i] = mbr_arena_strdup(&m->module->arena, name);
        if (!names[i])
            return mbr_no_memory(err, strlen(name));
    }
    *out = names;
    return MBR_OK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/env.h"
#include "importers/onnx/tensor_pb.h"

mbr_status mbr_value_from_onnx(mbr_env *env, mbr_kind kind, const void *data, size_t bytes, mbr_value **out,
                               const char **name, mbr_error *err)
{
    MBR_TRY(mbr_onnx_value_parse(&env->memory, kind, data, bytes, out, err));
    if (name)
        *name = (*out)->name;
    return MBR_OK;
}

mbr_status mbr_value_to_onnx(mbr_env *env, const mbr_value *value, const char *name, void **data, size_t *bytes,
                             mbr_error *err)
{
    uint8_t *block = NULL;
    mbr_status st = mbr_onnx_value_serialise(&env->memory, value, name, &block, bytes, err);
    *data = st == MBR_OK ? block : NULL;
    return st;
}

void mbr_bytes_release(mbr_env *env, void *data)
{
    mbr_free(&env->memory, data);
}

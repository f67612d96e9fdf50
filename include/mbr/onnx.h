/* SPDX-License-Identifier: BSD-2-Clause */
/* Values to and from ONNX's serialised TensorProto, SequenceProto, OptionalProto and MapProto. */
#ifndef MBR_ONNX_H
#define MBR_ONNX_H

#include "mbr/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Parses the bytes of a message of that kind. *name (may be NULL) receives the message's own name, allocated with the
 * value and valid as long as it. Nothing of data is kept. On success *out is the caller's.
 */
MBR_API mbr_status mbr_value_from_onnx(mbr_env *env, mbr_kind kind, const void *data, size_t bytes, mbr_value **out,
                                       const char **name, mbr_error *err);

/* Serialises a value under a name (may be NULL). *data is freed with mbr_bytes_release(env, *data). */
MBR_API mbr_status mbr_value_to_onnx(mbr_env *env, const mbr_value *value, const char *name, void **data,
                                     size_t *bytes, mbr_error *err);
MBR_API void mbr_bytes_release(mbr_env *env, void *data);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Values to and from serialised TensorProto, SequenceProto, OptionalProto and MapProto: the .pb files of test data. */
#ifndef MBR_IMPORTERS_ONNX_TENSOR_PB_H
#define MBR_IMPORTERS_ONNX_TENSOR_PB_H

#include "engine/value.h"

/*
 * Parses bytes of an untrusted file as the message of that kind. Nothing points into `data` afterwards. The value's name
 * is the message's own, or NULL. On success *out is the caller's.
 */
mbr_status mbr_onnx_value_parse(mbr_memory *memory, mbr_kind kind, const void *data, size_t bytes, mbr_value **out,
                                mbr_error *err);

/* The bytes of a value under a name (may be NULL), from mbr_alloc(memory). */
mbr_status mbr_onnx_value_serialise(mbr_memory *memory, const mbr_value *value, const char *name, uint8_t **out,
                                    size_t *bytes, mbr_error *err);

#endif

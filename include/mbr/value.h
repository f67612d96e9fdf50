/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values: what goes into a run and comes out of it.
 *
 * A value is a tensor, a sequence of values, an optional (nothing or one value) or a map (a tensor of
 * keys beside a tensor of values). It is made for an environment and must be released before it.
 *
 * Threads: a value may be read by any number of threads at once; changing it (set_shape, writing
 * through its data pointer, release) needs that nobody else uses it.
 */
#ifndef MBR_VALUE_H
#define MBR_VALUE_H

#include "mbr/dtype.h"
#include "mbr/env.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most dimensions a tensor may have. */
#define MBR_MAX_RANK 16

typedef struct mbr_value mbr_value;

typedef enum mbr_kind {
    MBR_KIND_TENSOR = 0,
    MBR_KIND_SEQUENCE = 1,
    MBR_KIND_OPTIONAL = 2,
    MBR_KIND_MAP = 3
} mbr_kind;

/*
 * A tensor with memory of its own, zeroed (strings: empty). dims may be NULL when rank is 0.
 * On success *out is the caller's; on failure it is NULL.
 */
MBR_API mbr_status mbr_tensor_new(mbr_env *env, mbr_dtype dtype, int rank, const int64_t *dims, mbr_value **out,
                                  mbr_error *err);

/*
 * A tensor over memory of the caller, `bytes` large (its capacity, at least what the shape needs), aligned to the
 * element at least (64 bytes is fastest). The memory must outlive the value and is never freed by the library.
 * Text that string elements point to is the caller's as well.
 */
MBR_API mbr_status mbr_tensor_borrow(mbr_env *env, mbr_dtype dtype, int rank, const int64_t *dims, void *data,
                                     size_t bytes, mbr_value **out, mbr_error *err);

/*
 * Gives a tensor another shape, within its capacity without allocation; an owned tensor grows when it must (its
 * content is then lost), a borrowed one fails with MBR_ERR_ARGUMENT.
 */
MBR_API mbr_status mbr_tensor_set_shape(mbr_value *tensor, int rank, const int64_t *dims, mbr_error *err);

/* Makes room for `bytes` of data ahead of time, so that later set_shape calls within it do not allocate. */
MBR_API mbr_status mbr_tensor_reserve(mbr_value *tensor, size_t bytes, mbr_error *err);

/* Copies text into element `index` of an owned string tensor. */
MBR_API mbr_status mbr_tensor_set_string(mbr_value *tensor, size_t index, const char *text, size_t size,
                                         mbr_error *err);

MBR_API mbr_dtype mbr_tensor_dtype(const mbr_value *tensor);
MBR_API int mbr_tensor_rank(const mbr_value *tensor);
MBR_API const int64_t *mbr_tensor_dims(const mbr_value *tensor); /* (rank) */
MBR_API size_t mbr_tensor_count(const mbr_value *tensor);        /* elements */
MBR_API size_t mbr_tensor_bytes(const mbr_value *tensor);        /* count * element size */
MBR_API size_t mbr_tensor_capacity(const mbr_value *tensor);     /* bytes */
MBR_API void *mbr_tensor_data(mbr_value *tensor);
MBR_API const void *mbr_tensor_const_data(const mbr_value *tensor);

MBR_API mbr_kind mbr_value_kind(const mbr_value *value);

/* Items of a sequence, 0 or 1 of an optional, 2 of a map (keys, values). Items stay owned by their container. */
MBR_API size_t mbr_value_item_count(const mbr_value *value);
MBR_API const mbr_value *mbr_value_item(const mbr_value *value, size_t index); /* NULL beyond the end */

/* An empty sequence or optional whose items are tensors of dtype; a map from key type to value type. */
MBR_API mbr_status mbr_sequence_new(mbr_env *env, mbr_dtype dtype, mbr_value **out, mbr_error *err);
MBR_API mbr_status mbr_optional_new(mbr_env *env, mbr_dtype dtype, mbr_value **out, mbr_error *err);

/* Appends a copy of item to a sequence, or fills an empty optional. */
MBR_API mbr_status mbr_value_append(mbr_value *container, const mbr_value *item, mbr_error *err);

/* A deep copy that owns everything. */
MBR_API mbr_status mbr_value_copy(mbr_env *env, const mbr_value *value, mbr_value **out, mbr_error *err);

/* Releases *value and sets it to NULL. NULL and a pointer to NULL are fine. */
MBR_API void mbr_value_release(mbr_value **value);

#ifdef __cplusplus
}
#endif

#endif

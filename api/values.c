/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/env.h"

#include <string.h>

static mbr_status check_dtype(mbr_dtype dtype, mbr_error *err)
{
    if (mbr_dtype_size(dtype) == 0)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%d is no element type", (int)dtype);
    return MBR_OK;
}

mbr_status mbr_tensor_new(mbr_env *env, mbr_dtype dtype, int rank, const int64_t *dims, mbr_value **out,
                          mbr_error *err)
{
    *out = NULL;
    MBR_TRY(check_dtype(dtype, err));
    return mbr_value_create_tensor(&env->memory, dtype, rank, dims, out, err);
}

mbr_status mbr_tensor_borrow(mbr_env *env, mbr_dtype dtype, int rank, const int64_t *dims, void *data, size_t bytes,
                             mbr_value **out, mbr_error *err)
{
    size_t need;
    *out = NULL;
    MBR_TRY(check_dtype(dtype, err));
    MBR_TRY(mbr_shape_bytes(dtype, rank, dims, &need, err));
    if (need > bytes)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "the shape needs %zu bytes; the buffer has %zu", need, bytes);
    MBR_TRY(mbr_value_create(&env->memory, MBR_KIND_TENSOR, dtype, out, err));
    (*out)->rank = rank;
    if (rank)
        memcpy((*out)->dims, dims, (size_t)rank * sizeof *dims);
    (*out)->data = data;
    (*out)->capacity = bytes;
    return MBR_OK;
}

static mbr_status want_tensor(const mbr_value *v, mbr_error *err)
{
    return v->kind == MBR_KIND_TENSOR ? MBR_OK : mbr_fail(err, MBR_ERR_ARGUMENT, "the value is no tensor");
}

mbr_status mbr_tensor_set_shape(mbr_value *tensor, int rank, const int64_t *dims, mbr_error *err)
{
    size_t need;
    MBR_TRY(want_tensor(tensor, err));
    MBR_TRY(mbr_shape_bytes(tensor->dtype, rank, dims, &need, err));
    if (need > tensor->capacity || !tensor->data) {
        if (!tensor->own)
            return mbr_fail(err, MBR_ERR_ARGUMENT, "the shape needs %zu bytes; the borrowed buffer has %zu", need,
                            tensor->capacity);
        return mbr_value_resize(tensor, tensor->dtype, rank, dims, err);
    }
    size_t used = mbr_value_bytes(tensor);
    if (tensor->own && tensor->dtype == MBR_DTYPE_STRING && need > used)
        memset((char *)tensor->data + used, 0, need - used); /* no text yet */
    tensor->rank = rank;
    if (rank)
        memcpy(tensor->dims, dims, (size_t)rank * sizeof *dims);
    return MBR_OK;
}

mbr_status mbr_tensor_reserve(mbr_value *tensor, size_t bytes, mbr_error *err)
{
    MBR_TRY(want_tensor(tensor, err));
    if (bytes <= tensor->capacity)
        return MBR_OK;
    if (!tensor->own)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a borrowed buffer of %zu bytes cannot grow to %zu", tensor->capacity,
                        bytes);
    void *fresh = mbr_grow(tensor->memory, tensor->own, mbr_value_bytes(tensor), bytes);
    if (!fresh)
        return mbr_no_memory(err, bytes);
    tensor->own = tensor->data = fresh;
    tensor->capacity = bytes;
    return MBR_OK;
}

mbr_status mbr_tensor_set_string(mbr_value *tensor, size_t index, const char *text, size_t size, mbr_error *err)
{
    MBR_TRY(want_tensor(tensor, err));
    if (tensor->dtype != MBR_DTYPE_STRING || !tensor->own)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "the value is no string tensor with memory of its own");
    if (index >= mbr_value_count(tensor))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "element %zu of a tensor of %zu", index, mbr_value_count(tensor));
    char *copy = mbr_arena_strndup(&tensor->text, text, size);
    if (!copy)
        return mbr_no_memory(err, size);
    ((mbr_string *)tensor->data)[index] = (mbr_string){ copy, size };
    return MBR_OK;
}

mbr_dtype mbr_tensor_dtype(const mbr_value *tensor)
{
    return tensor->dtype;
}

int mbr_tensor_rank(const mbr_value *tensor)
{
    return tensor->rank;
}

const int64_t *mbr_tensor_dims(const mbr_value *tensor)
{
    return tensor->dims;
}

size_t mbr_tensor_count(const mbr_value *tensor)
{
    return tensor->kind == MBR_KIND_TENSOR ? mbr_value_count(tensor) : 0;
}

size_t mbr_tensor_bytes(const mbr_value *tensor)
{
    return tensor->kind == MBR_KIND_TENSOR ? mbr_value_bytes(tensor) : 0;
}

size_t mbr_tensor_capacity(const mbr_value *tensor)
{
    return tensor->capacity;
}

void *mbr_tensor_data(mbr_value *tensor)
{
    return tensor->data;
}

const void *mbr_tensor_const_data(const mbr_value *tensor)
{
    return tensor->data;
}

mbr_kind mbr_value_kind(const mbr_value *value)
{
    return value->kind;
}

size_t mbr_value_item_count(const mbr_value *value)
{
    return value->n_items;
}

const mbr_value *mbr_value_item(const mbr_value *value, size_t index)
{
    return index < value->n_items ? value->items[index] : NULL;
}

mbr_status mbr_sequence_new(mbr_env *env, mbr_dtype dtype, mbr_value **out, mbr_error *err)
{
    return mbr_value_create(&env->memory, MBR_KIND_SEQUENCE, dtype, out, err);
}

mbr_status mbr_optional_new(mbr_env *env, mbr_dtype dtype, mbr_value **out, mbr_error *err)
{
    return mbr_value_create(&env->memory, MBR_KIND_OPTIONAL, dtype, out, err);
}

static mbr_status deep_copy(mbr_memory *memory, const mbr_value *value, mbr_value **out, mbr_error *err)
{
    MBR_TRY(mbr_value_create(memory, value->kind, value->dtype, out, err));
    mbr_status st = mbr_value_assign(*out, value, err);
    if (st != MBR_OK) {
        mbr_value_drop(*out);
        *out = NULL;
    }
    return st;
}

mbr_status mbr_value_append(mbr_value *container, const mbr_value *item, mbr_error *err)
{
    mbr_value *copy;
    if (container->kind != MBR_KIND_SEQUENCE && container->kind != MBR_KIND_OPTIONAL)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "only sequences and optionals take items");
    if (container->kind == MBR_KIND_OPTIONAL && container->n_items)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "the optional has a value already");
    MBR_TRY(deep_copy(container->memory, item, &copy, err));
    mbr_status st = mbr_value_push(container, copy, err);
    mbr_value_drop(copy);
    return st;
}

mbr_status mbr_value_copy(mbr_env *env, const mbr_value *value, mbr_value **out, mbr_error *err)
{
    return deep_copy(&env->memory, value, out, err);
}

void mbr_value_release(mbr_value **value)
{
    if (!value)
        return;
    mbr_value_drop(*value);
    *value = NULL;
}

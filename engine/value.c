/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/value.h"
#include "base/checked.h"
#include "base/half.h"

#include <string.h>

void mbr_value_init(mbr_value *v, mbr_memory *memory, mbr_kind kind, mbr_dtype dtype)
{
    memset(v, 0, sizeof *v);
    v->kind = kind;
    v->dtype = dtype;
    v->memory = memory;
    mbr_arena_init(&v->text, memory, 1024);
    atomic_init(&v->refs, 1);
}

mbr_status mbr_value_create(mbr_memory *memory, mbr_kind kind, mbr_dtype dtype, mbr_value **out, mbr_error *err)
{
    *out = mbr_alloc(memory, sizeof **out);
    if (!*out)
        return mbr_no_memory(err, sizeof **out);
    mbr_value_init(*out, memory, kind, dtype);
    return MBR_OK;
}

mbr_status mbr_value_create_tensor(mbr_memory *memory, mbr_dtype dtype, int rank, const int64_t *dims, mbr_value **out,
                                   mbr_error *err)
{
    MBR_TRY(mbr_value_create(memory, MBR_KIND_TENSOR, dtype, out, err));
    mbr_status st = mbr_value_resize(*out, dtype, rank, dims, err);
    if (st != MBR_OK) {
        mbr_value_drop(*out);
        *out = NULL;
        return st;
    }
    size_t bytes = mbr_value_bytes(*out);
    if (bytes)
        memset((*out)->data, 0, bytes);
    return MBR_OK;
}

void mbr_value_clear(mbr_value *v)
{
    mbr_value_empty(v);
    mbr_free(v->memory, v->items);
    mbr_free(v->memory, v->own);
    mbr_arena_destroy(&v->text);
    v->items = NULL;
    v->items_capacity = 0;
    v->own = v->data = NULL;
    v->capacity = 0;
}

mbr_value *mbr_value_retain(mbr_value *v)
{
    if (v)
        atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void mbr_value_drop(mbr_value *v)
{
    if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    mbr_memory *memory = v->memory;
    mbr_value_clear(v);
    mbr_free(memory, v);
}

size_t mbr_value_count(const mbr_value *v)
{
    size_t n = 1;
    for (int i = 0; i < v->rank; i++)
        n *= (size_t)v->dims[i];
    return n;
}

mbr_status mbr_shape_bytes(mbr_dtype dtype, int rank, const int64_t *dims, size_t *bytes, mbr_error *err)
{
    size_t count;
    if (rank < 0 || rank > MBR_MAX_RANK)
        return mbr_fail(err, MBR_ERR_LIMIT, "a tensor of rank %d; at most %d dimensions are possible", rank,
                        MBR_MAX_RANK);
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0)
            return mbr_fail(err, MBR_ERR_INPUT, "dimension %d is %lld; sizes cannot be negative", i,
                            (long long)dims[i]);
    if (!mbr_shape_count(dims, rank, &count) || !mbr_mul_size(count, mbr_dtype_size(dtype), bytes) ||
        *bytes > PTRDIFF_MAX)
        return mbr_fail(err, MBR_ERR_LIMIT, "the product of the dimensions overflows");
    return MBR_OK;
}

mbr_status mbr_value_resize(mbr_value *v, mbr_dtype dtype, int rank, const int64_t *dims, mbr_error *err)
{
    size_t bytes;
    MBR_TRY(mbr_shape_bytes(dtype, rank, dims, &bytes, err));
    size_t old = mbr_block_bytes(v->own);
    if (v->own && bytes <= old) {
        v->data = v->own;
        v->capacity = old;
    } else {
        size_t want = bytes > old && old ? mbr_max_size(bytes, old + old / 2) : mbr_max_size(bytes, 1);
        void *fresh = mbr_alloc(v->memory, want);
        if (!fresh && want > bytes) {
            want = mbr_max_size(bytes, 1);
            fresh = mbr_alloc(v->memory, want);
        }
        if (!fresh)
            return mbr_no_memory(err, want);
        mbr_free(v->memory, v->own);
        v->own = v->data = fresh;
        v->capacity = want;
    }
    v->dtype = dtype;
    v->rank = rank;
    v->room = 0;
    if (rank)
        memcpy(v->dims, dims, (size_t)rank * sizeof *dims);
    if (dtype == MBR_DTYPE_STRING && bytes) {
        mbr_arena_destroy(&v->text);
        memset(v->data, 0, bytes);
    }
    return MBR_OK;
}

void mbr_value_alias(mbr_value *v, const mbr_value *of)
{
    v->kind = of->kind;
    v->dtype = of->dtype;
    v->rank = of->rank;
    memcpy(v->dims, of->dims, (size_t)of->rank * sizeof *of->dims);
    v->room_axis = of->room_axis;
    v->room = of->room;
    v->data = of->data;
    v->capacity = of->capacity;
}

void mbr_value_close_up(mbr_value *v)
{
    size_t blocks = 1, bytes = mbr_dtype_size(v->dtype);
    if (v->room == 0)
        return;
    for (int d = 0; d < v->rank; d++) {
        blocks *= d < v->room_axis ? (size_t)v->dims[d] : 1;
        bytes *= d > v->room_axis ? (size_t)v->dims[d] : 1;
    }
    size_t dense = bytes * (size_t)v->dims[v->room_axis], apart = bytes * (size_t)v->room;
    for (size_t i = 1; i < blocks; i++)
        memmove((char *)v->data + i * dense, (char *)v->data + i * apart, dense);
    v->room = 0;
}

static mbr_status assign_tensor(mbr_value *to, const mbr_value *from, mbr_error *err)
{
    MBR_TRY(mbr_value_resize(to, from->dtype, from->rank, from->dims, err));
    size_t n = mbr_value_count(from);
    if (!n)
        return MBR_OK;
    if (from->dtype != MBR_DTYPE_STRING) {
        memcpy(to->data, from->data, n * mbr_dtype_size(from->dtype));
        return MBR_OK;
    }
    const mbr_string *s = from->data;
    mbr_string *d = to->data;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += s[i].size;
    char *text = mbr_arena_alloc(&to->text, bytes);
    if (!text)
        return mbr_no_memory(err, bytes);
    for (size_t i = 0; i < n; i++) {
        if (s[i].size)
            memcpy(text, s[i].data, s[i].size);
        d[i] = (mbr_string){ text, s[i].size };
        text += s[i].size;
    }
    return MBR_OK;
}

mbr_status mbr_value_assign(mbr_value *to, const mbr_value *from, mbr_error *err)
{
    if (from->kind == MBR_KIND_TENSOR) {
        mbr_value_empty(to);
        to->kind = MBR_KIND_TENSOR;
        return assign_tensor(to, from, err);
    }
    mbr_value_empty(to);
    to->kind = from->kind;
    to->dtype = from->dtype;
    to->key = from->key;
    to->rank = 0;
    for (size_t i = 0; i < from->n_items; i++) {
        mbr_value *item;
        MBR_TRY(mbr_value_create(to->memory, from->items[i]->kind, from->items[i]->dtype, &item, err));
        mbr_status st = mbr_value_assign(item, from->items[i], err);
        if (st == MBR_OK)
            st = mbr_value_push(to, item, err);
        mbr_value_drop(item);
        MBR_TRY(st);
    }
    return MBR_OK;
}

bool mbr_value_equal(const mbr_value *a, const mbr_value *b)
{
    if (a->kind != b->kind || a->dtype != b->dtype)
        return false;
    if (a->kind != MBR_KIND_TENSOR) {
        if (a->n_items != b->n_items)
            return false;
        for (size_t i = 0; i < a->n_items; i++)
            if (!mbr_value_equal(a->items[i], b->items[i]))
                return false;
        return true;
    }
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    size_t n = mbr_value_count(a);
    if (a->dtype != MBR_DTYPE_STRING)
        return n == 0 || memcmp(a->data, b->data, n * mbr_dtype_size(a->dtype)) == 0;
    const mbr_string *s = a->data, *t = b->data;
    for (size_t i = 0; i < n; i++)
        if (s[i].size != t[i].size || (s[i].size && memcmp(s[i].data, t[i].data, s[i].size)))
            return false;
    return true;
}

bool mbr_dtype_is_int(mbr_dtype t)
{
    switch (t) {
    case MBR_DTYPE_U8:
    case MBR_DTYPE_I8:
    case MBR_DTYPE_U16:
    case MBR_DTYPE_I16:
    case MBR_DTYPE_I32:
    case MBR_DTYPE_I64:
    case MBR_DTYPE_U32:
    case MBR_DTYPE_U64:
    case MBR_DTYPE_U4:
    case MBR_DTYPE_I4:
    case MBR_DTYPE_U2:
    case MBR_DTYPE_I2:
        return true;
    default:
        return false;
    }
}

bool mbr_dtype_is_float(mbr_dtype t)
{
    switch (t) {
    case MBR_DTYPE_F32:
    case MBR_DTYPE_F64:
    case MBR_DTYPE_F16:
    case MBR_DTYPE_BF16:
    case MBR_DTYPE_F8E4M3FN:
    case MBR_DTYPE_F8E4M3FNUZ:
    case MBR_DTYPE_F8E5M2:
    case MBR_DTYPE_F8E5M2FNUZ:
    case MBR_DTYPE_F8E8M0:
    case MBR_DTYPE_F4E2M1:
        return true;
    default:
        return false;
    }
}

int64_t mbr_value_int(const mbr_value *v, size_t i)
{
    switch (v->dtype) {
    case MBR_DTYPE_I64:
    case MBR_DTYPE_U64:
        return ((const int64_t *)v->data)[i];
    case MBR_DTYPE_I32:
        return ((const int32_t *)v->data)[i];
    case MBR_DTYPE_U32:
        return ((const uint32_t *)v->data)[i];
    case MBR_DTYPE_I16:
        return ((const int16_t *)v->data)[i];
    case MBR_DTYPE_U16:
        return ((const uint16_t *)v->data)[i];
    case MBR_DTYPE_I8:
    case MBR_DTYPE_I4:
    case MBR_DTYPE_I2:
        return ((const int8_t *)v->data)[i];
    case MBR_DTYPE_U8:
    case MBR_DTYPE_U4:
    case MBR_DTYPE_U2:
    case MBR_DTYPE_BOOL:
        return ((const uint8_t *)v->data)[i];
    default:
        return 0;
    }
}

double mbr_value_real(const mbr_value *v, size_t i)
{
    const uint16_t *half = v->data;
    const uint8_t *byte = v->data;
    switch (v->dtype) {
    case MBR_DTYPE_F32:
        return ((const float *)v->data)[i];
    case MBR_DTYPE_F64:
        return ((const double *)v->data)[i];
    case MBR_DTYPE_F16:
        return mbr_f16_to_f32(half[i]);
    case MBR_DTYPE_BF16:
        return mbr_bf16_to_f32(half[i]);
    case MBR_DTYPE_F8E4M3FN:
    case MBR_DTYPE_F8E4M3FNUZ:
    case MBR_DTYPE_F8E5M2:
    case MBR_DTYPE_F8E5M2FNUZ:
    case MBR_DTYPE_F8E8M0:
    case MBR_DTYPE_F4E2M1:
        return mbr_small_float_to_f64(v->dtype, byte[i]);
    case MBR_DTYPE_U64:
        return (double)((const uint64_t *)v->data)[i];
    default:
        return (double)mbr_value_int(v, i);
    }
}

mbr_status mbr_value_push(mbr_value *container, mbr_value *item, mbr_error *err)
{
    if (container->n_items == container->items_capacity) {
        size_t room = container->items_capacity ? container->items_capacity * 2 : 4, bytes;
        if (!mbr_mul_size(room, sizeof *container->items, &bytes))
            return mbr_fail(err, MBR_ERR_LIMIT, "a container of too many items");
        mbr_value **items = mbr_grow(container->memory, container->items,
                                     container->n_items * sizeof *container->items, bytes);
        if (!items)
            return mbr_no_memory(err, bytes);
        container->items = items;
        container->items_capacity = room;
    }
    container->items[container->n_items++] = mbr_value_retain(item);
    return MBR_OK;
}

void mbr_value_empty(mbr_value *container)
{
    while (container->n_items)
        mbr_value_drop(container->items[--container->n_items]);
}

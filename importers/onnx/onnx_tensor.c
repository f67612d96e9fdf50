/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/onnx/onnx_tensor.h"
#include "base/checked.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Blocks from this size on give their pages of the file back once they are copied. */
#define GIVE_BACK_BYTES ((size_t)1 << 16)

/* A sparse tensor claims its dense size without holding it; this much is believed. */
#define DENSE_MAX ((size_t)1 << 30)

mbr_status mbr_onnx_source_new(mbr_memory *memory, const char *folder, mbr_onnx_source **out, mbr_error *err)
{
    *out = NULL;
    mbr_onnx_source *s = mbr_calloc(memory, 1, sizeof *s);
    if (!s)
        return mbr_no_memory(err, sizeof *s);
    s->memory = memory;
    if (folder) {
        size_t n = strlen(folder) + 1;
        s->folder = mbr_alloc(memory, n);
        if (!s->folder) {
            mbr_onnx_source_free(s);
            return mbr_no_memory(err, n);
        }
        memcpy(s->folder, folder, n);
    }
    *out = s;
    return MBR_OK;
}

void mbr_onnx_source_free(void *source)
{
    mbr_onnx_source *s = source;
    if (!s)
        return;
    for (size_t i = 0; i < s->n_files; i++) {
        mbr_filemap_close(&s->files[i].map);
        mbr_free(s->memory, s->files[i].name);
    }
    mbr_free(s->memory, s->files);
    mbr_free(s->memory, s->folder);
    mbr_filemap_close(&s->model);
    mbr_free(s->memory, s);
}

void mbr_onnx_source_give_back(void *source, const void *data, size_t bytes)
{
    const mbr_onnx_source *s = source;
    mbr_filemap_release(&s->model, data, bytes);
    for (size_t i = 0; i < s->n_files; i++)
        mbr_filemap_release(&s->files[i].map, data, bytes);
}

const mbr_filemap *mbr_onnx_source_file(const void *source, size_t i, const char **name)
{
    const mbr_onnx_source *s = source;
    *name = i && i <= s->n_files ? s->files[i - 1].name : NULL;
    return i == 0 ? &s->model : i <= s->n_files ? &s->files[i - 1].map : NULL;
}

/* Finds or opens a file of external data. */
static mbr_status open_file(mbr_onnx_source *s, const char *name, const mbr_filemap **out, mbr_error *err)
{
    for (size_t i = 0; i < s->n_files; i++)
        if (strcmp(s->files[i].name, name) == 0) {
            *out = &s->files[i].map;
            return MBR_OK;
        }
    if (s->n_files == s->files_room) {
        size_t room = s->files_room ? 2 * s->files_room : 4;
        mbr_onnx_file *bigger = mbr_grow(s->memory, s->files, s->n_files * sizeof *bigger, room * sizeof *bigger);
        if (!bigger)
            return mbr_no_memory(err, room * sizeof *bigger);
        s->files = bigger;
        s->files_room = room;
    }
    mbr_onnx_file *f = &s->files[s->n_files];
    size_t n = strlen(name) + 1;
    f->name = mbr_alloc(s->memory, n);
    if (!f->name)
        return mbr_no_memory(err, n);
    memcpy(f->name, name, n);
    mbr_status st = mbr_filemap_open_below(&f->map, s->memory, s->folder, name, err);
    if (st != MBR_OK) {
        mbr_free(s->memory, f->name);
        return st;
    }
    s->n_files++;
    *out = &f->map;
    return MBR_OK;
}

/* A message about the tensor. */
static mbr_status fail(const Mbr__Onnx__TensorProto *t, mbr_error *err, mbr_status status, const char *fmt, ...)
    MBR_PRINTF(4, 5);
static mbr_status fail(const Mbr__Onnx__TensorProto *t, mbr_error *err, mbr_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mbr_vfail(err, status, fmt, args);
    va_end(args);
    return mbr_fail_at(err, status, "tensor '%s': ", t->name ? t->name : "");
}

unsigned mbr_onnx_bits(mbr_dtype dtype)
{
    switch (dtype) {
    case MBR_DTYPE_U2:
    case MBR_DTYPE_I2:
        return 2;
    case MBR_DTYPE_U4:
    case MBR_DTYPE_I4:
    case MBR_DTYPE_F4E2M1:
        return 4;
    case MBR_DTYPE_STRING:
        return 0;
    default:
        return (unsigned)(8 * mbr_dtype_size(dtype));
    }
}

/* The field that holds an element type when it is not raw, and how many entries of it make one element, if several. */
static unsigned typed_field(mbr_dtype dtype, size_t *entries)
{
    *entries = 1;
    switch (dtype) {
    case MBR_DTYPE_COMPLEX64:
        *entries = 2;
        return MBR_ONNX_FLOAT_DATA;
    case MBR_DTYPE_F32:
        return MBR_ONNX_FLOAT_DATA;
    case MBR_DTYPE_COMPLEX128:
        *entries = 2;
        return MBR_ONNX_DOUBLE_DATA;
    case MBR_DTYPE_F64:
        return MBR_ONNX_DOUBLE_DATA;
    case MBR_DTYPE_I64:
        return MBR_ONNX_INT64_DATA;
    case MBR_DTYPE_U32:
    case MBR_DTYPE_U64:
        return MBR_ONNX_UINT64_DATA;
    case MBR_DTYPE_STRING:
        return MBR_ONNX_STRING_DATA;
    default:
        return MBR_ONNX_INT32_DATA;
    }
}

/* Bytes that hold `count` elements in a file. */
static size_t file_bytes(mbr_dtype dtype, size_t count)
{
    unsigned bits = mbr_onnx_bits(dtype);
    return bits < 8 ? count / (8 / bits) + (count % (8 / bits) != 0) : count * (bits / 8);
}

static void unpack_bits(mbr_dtype dtype, const uint8_t *from, size_t count, uint8_t *to)
{
    unsigned bits = mbr_onnx_bits(dtype), per_byte = 8 / bits, mask = (1u << bits) - 1;
    unsigned sign = dtype == MBR_DTYPE_I4 || dtype == MBR_DTYPE_I2 ? 1u << (bits - 1) : 0;
    for (size_t i = 0; i < count; i++) {
        unsigned v = from[i / per_byte] >> (i % per_byte * bits) & mask;
        to[i] = (uint8_t)((v ^ sign) - sign);
    }
}

static mbr_status parse_number(const Mbr__Onnx__TensorProto *t, const char *key, const char *text, size_t *value,
                               mbr_error *err)
{
    size_t v = 0;
    bool sound = text && text[0] != '\0';
    for (const char *p = text; sound && *p; p++) {
        sound = *p >= '0' && *p <= '9' && mbr_mul_size(v, 10, &v) && mbr_add_size(v, (size_t)(*p - '0'), &v) &&
                v <= PTRDIFF_MAX;
    }
    if (!sound)
        return fail(t, err, MBR_ERR_MODEL, "the %s '%s' of its external data is no size in bytes", key,
                    text ? text : "");
    *value = v;
    return MBR_OK;
}

/* Where the bytes of an external tensor lie; `need` of them. */
static mbr_status external(const mbr_onnx_reader *r, const Mbr__Onnx__TensorProto *t, size_t need, const uint8_t **from,
                           mbr_error *err)
{
    const char *location = NULL;
    size_t offset = 0, length = need;
    for (size_t i = 0; i < t->n_external_data; i++) {
        const Mbr__Onnx__StringStringEntryProto *e = t->external_data[i];
        if (!e->key)
            continue;
        if (strcmp(e->key, "location") == 0)
            location = e->value;
        else if (strcmp(e->key, "offset") == 0)
            MBR_TRY(parse_number(t, "offset", e->value, &offset, err));
        else if (strcmp(e->key, "length") == 0)
            MBR_TRY(parse_number(t, "length", e->value, &length, err));
    }
    if (!location || !location[0])
        return fail(t, err, MBR_ERR_MODEL, "its data is in another file, but none is named");
    if (!r->source || !r->source->folder)
        return fail(t, err, MBR_ERR_UNSUPPORTED,
                    "its data is in the file '%s', which can only be found when the model is opened by its path",
                    location);
    if (length != need)
        return fail(t, err, MBR_ERR_MODEL, "its external data has %zu bytes by its length and %zu by its shape", length,
                    need);
    const mbr_filemap *map = NULL;
    mbr_status st = open_file(r->source, location, &map, err);
    if (st != MBR_OK)
        return mbr_fail_at(err, st, "tensor '%s': external data ", t->name ? t->name : "");
    if (offset > map->size || length > map->size - offset)
        return fail(t, err, MBR_ERR_FORMAT,
                    "%zu bytes of external data at offset %zu are wanted, but '%s' has only %zu; it is cut short or "
                    "belongs to another model",
                    length, offset, location, map->size);
    *from = map->data + offset;
    return MBR_OK;
}

static bool aligned_for(const void *p, mbr_dtype dtype)
{
    size_t size = mbr_dtype_size(dtype);
    size_t unit = dtype == MBR_DTYPE_COMPLEX64 || dtype == MBR_DTYPE_COMPLEX128 ? size / 2 : size;
    return (uintptr_t)p % unit == 0;
}

/* Any byte of a bool tensor that is not 0 counts as true. */
static void normalise_bools(uint8_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = v[i] != 0;
}

/* Fills v (dtype and shape are set, storage is not) from bytes in the file's own packing. */
static mbr_status from_bytes(const mbr_onnx_reader *r, mbr_value *v, const uint8_t *from, size_t count, mbr_error *err)
{
    size_t bytes = file_bytes(v->dtype, count);
    bool as_is = mbr_onnx_bits(v->dtype) >= 8 && v->dtype != MBR_DTYPE_BOOL;
    bool aligned = aligned_for(from, v->dtype);
    if (r->source && as_is && count && (aligned || (r->any_address && bytes >= GIVE_BACK_BYTES))) {
        v->data = (void *)(uintptr_t)from; /* constants are never written */
        v->capacity = bytes;
        v->any_address = !aligned;
        return MBR_OK;
    }
    int64_t dims[MBR_MAX_RANK];
    memcpy(dims, v->dims, sizeof dims);
    MBR_TRY(mbr_value_resize(v, v->dtype, v->rank, dims, err));
    if (count == 0)
        return MBR_OK;
    if (mbr_onnx_bits(v->dtype) < 8)
        unpack_bits(v->dtype, from, count, v->data);
    else
        memcpy(v->data, from, bytes);
    if (v->dtype == MBR_DTYPE_BOOL)
        normalise_bools(v->data, count);
    if (r->source && bytes >= GIVE_BACK_BYTES)
        mbr_onnx_source_give_back(r->source, from, bytes);
    return MBR_OK;
}

/* Fills v's storage (it is there) from int32_data; false: a broken number. */
static mbr_status from_int32(const mbr_onnx_reader *r, const mbr_onnx_spans *spans, mbr_value *v, size_t count,
                             bool *sound, mbr_error *err)
{
    unsigned field = MBR_ONNX_INT32_DATA;
    if (mbr_onnx_bits(v->dtype) < 8) {
        size_t n = file_bytes(v->dtype, count);
        int8_t *packed = mbr_alloc(r->memory, n);
        if (!packed)
            return mbr_no_memory(err, n);
        *sound = mbr_onnx_spans_i8(spans, field, packed);
        unpack_bits(v->dtype, (const uint8_t *)packed, count, v->data);
        mbr_free(r->memory, packed);
        return MBR_OK;
    }
    switch (mbr_dtype_size(v->dtype)) {
    case 1:
        *sound = mbr_onnx_spans_i8(spans, field, v->data);
        if (v->dtype == MBR_DTYPE_BOOL)
            normalise_bools(v->data, count);
        break;
    case 2:
        *sound = mbr_onnx_spans_i16(spans, field, v->data);
        break;
    default:
        *sound = mbr_onnx_spans_i32(spans, field, v->data);
        break;
    }
    return MBR_OK;
}

static mbr_status copy_text(mbr_value *v, size_t count, mbr_error *err)
{
    mbr_string *s = v->data;
    for (size_t i = 0; i < count; i++) {
        char *text = mbr_arena_strndup(&v->text, s[i].data, s[i].size);
        if (!text) {
            for (; i < count; i++)
                s[i] = (mbr_string){ "", 0 };
            return mbr_no_memory(err, 0);
        }
        s[i].data = text;
    }
    return MBR_OK;
}

/* Fills v from the field of its type. */
static mbr_status from_typed(const mbr_onnx_reader *r, const Mbr__Onnx__TensorProto *t, const mbr_onnx_spans *spans,
                             mbr_value *v, size_t count, mbr_error *err)
{
    size_t entries;
    unsigned field = typed_field(v->dtype, &entries);
    size_t have = mbr_onnx_spans_count(spans, field);
    size_t want = mbr_onnx_bits(v->dtype) % 8 ? file_bytes(v->dtype, count) : count * entries;
    if (have != want)
        return fail(t, err, MBR_ERR_MODEL, "its shape has %zu elements of type %s, which take %zu entries of data, but "
                    "there are %zu", count, mbr_dtype_name(v->dtype), want, have);
    size_t bytes;
    const uint8_t *flat = mbr_onnx_spans_flat(spans, field, &bytes);
    if (flat && (field == MBR_ONNX_FLOAT_DATA || field == MBR_ONNX_DOUBLE_DATA))
        return from_bytes(r, v, flat, count, err);
    int64_t dims[MBR_MAX_RANK];
    memcpy(dims, v->dims, sizeof dims);
    MBR_TRY(mbr_value_resize(v, v->dtype, v->rank, dims, err));
    if (count == 0)
        return MBR_OK;
    bool sound = true;
    switch (field) {
    case MBR_ONNX_FLOAT_DATA:
        mbr_onnx_spans_fixed32(spans, field, v->data);
        break;
    case MBR_ONNX_DOUBLE_DATA:
        mbr_onnx_spans_fixed64(spans, field, v->data);
        break;
    case MBR_ONNX_STRING_DATA:
        mbr_onnx_spans_strings(spans, field, v->data);
        if (!r->source)
            MBR_TRY(copy_text(v, count, err));
        return MBR_OK; /* the text is still needed */
    case MBR_ONNX_INT32_DATA:
        MBR_TRY(from_int32(r, spans, v, count, &sound, err));
        break;
    default:
        sound = v->dtype == MBR_DTYPE_U32 ? mbr_onnx_spans_i32(spans, field, v->data)
                                          : mbr_onnx_spans_i64(spans, field, v->data);
        break;
    }
    if (!sound)
        return fail(t, err, MBR_ERR_FORMAT, "its data holds a broken number; the file is damaged");
    const uint8_t *from;
    if (r->source && mbr_onnx_spans_extent(spans, field, &from, &bytes) && bytes >= GIVE_BACK_BYTES)
        mbr_onnx_source_give_back(r->source, from, bytes);
    return MBR_OK;
}

/* Type and shape, checked; *count elements. */
static mbr_status read_shape(const Mbr__Onnx__TensorProto *t, mbr_dtype *dtype, size_t *count, mbr_error *err)
{
    int32_t type = t->has_data_type ? t->data_type : 0;
    if (type <= 0)
        return fail(t, err, MBR_ERR_MODEL, "it has no element type");
    if (type >= MBR_DTYPE_COUNT)
        return fail(t, err, MBR_ERR_UNSUPPORTED, "its element type has the number %d, which is not known here", type);
    if (t->n_dims > MBR_MAX_RANK)
        return fail(t, err, MBR_ERR_UNSUPPORTED, "it has %zu dimensions; at most %d are supported", t->n_dims,
                    MBR_MAX_RANK);
    for (size_t i = 0; i < t->n_dims; i++)
        if (t->dims[i] < 0)
            return fail(t, err, MBR_ERR_MODEL, "dimension %zu is negative: %lld", i, (long long)t->dims[i]);
    size_t bytes;
    *dtype = (mbr_dtype)type;
    if (!mbr_shape_count(t->dims, (int)t->n_dims, count) ||
        !mbr_mul_size(*count, mbr_max_size(16, mbr_dtype_size(*dtype)), &bytes) || bytes > PTRDIFF_MAX)
        return fail(t, err, MBR_ERR_MODEL, "the product of its dimensions is larger than any memory");
    return MBR_OK;
}

mbr_status mbr_onnx_tensor(const mbr_onnx_reader *r, const Mbr__Onnx__TensorProto *t, mbr_value **out, mbr_error *err)
{
    *out = NULL;
    mbr_dtype dtype;
    size_t count, bytes;
    MBR_TRY(read_shape(t, &dtype, &count, err));
    const mbr_onnx_spans spans = { r->scan, t->span, t->n_span };
    const uint8_t *raw = mbr_onnx_spans_flat(&spans, MBR_ONNX_RAW_DATA, &bytes);
    bool is_external = t->has_data_location && t->data_location == 1;
    if (dtype == MBR_DTYPE_STRING && (is_external || (raw && bytes)))
        return fail(t, err, MBR_ERR_MODEL, "strings have to be in string_data");
    if (is_external) {
        bytes = file_bytes(dtype, count);
        MBR_TRY(external(r, t, bytes, &raw, err));
    } else if (raw && bytes == 0 && count) {
        raw = NULL; /* some writers add an empty one beside typed data */
    } else if (raw && dtype != MBR_DTYPE_STRING && bytes != file_bytes(dtype, count))
        return fail(t, err, MBR_ERR_MODEL, "its shape has %zu elements of type %s, which take %zu bytes, but its data "
                    "has %zu", count, mbr_dtype_name(dtype), file_bytes(dtype, count), bytes);

    mbr_value *v;
    mbr_status st = mbr_value_create(r->memory, MBR_KIND_TENSOR, dtype, &v, err);
    if (st != MBR_OK)
        return st;
    v->rank = (int)t->n_dims;
    if (t->n_dims)
        memcpy(v->dims, t->dims, t->n_dims * sizeof t->dims[0]);
    if (raw && dtype != MBR_DTYPE_STRING)
        st = from_bytes(r, v, raw, count, err);
    else
        st = from_typed(r, t, &spans, v, count, err);
    if (st != MBR_OK)
        mbr_value_drop(v);
    else
        *out = v;
    return st;
}

/* Adds the stored elements to a dense tensor that is all zero. */
static mbr_status scatter(const Mbr__Onnx__TensorProto *t, const mbr_value *values, const mbr_value *indices,
                          mbr_value *dense, mbr_error *err)
{
    size_t stored = mbr_value_count(values), size = mbr_dtype_size(values->dtype);
    size_t total = mbr_value_count(dense);
    bool linear = indices->rank == 1;
    bool fits = indices->dtype == MBR_DTYPE_I64 && values->rank == 1 &&
                (linear || (indices->rank == 2 && indices->dims[1] == dense->rank)) &&
                indices->dims[0] == (int64_t)stored;
    if (!fits)
        return fail(t, err, MBR_ERR_MODEL, "the indices of a sparse tensor must be i64 of shape [%zu] or [%zu, %d]",
                    stored, stored, dense->rank);
    const int64_t *at = indices->data;
    for (size_t i = 0; i < stored; i++) {
        uint64_t place = 0;
        bool inside = true;
        if (linear) {
            inside = at[i] >= 0 && (uint64_t)at[i] < total;
            place = (uint64_t)at[i];
        } else {
            const int64_t *p = at + i * (size_t)dense->rank;
            for (int d = 0; d < dense->rank && inside; d++) {
                inside = p[d] >= 0 && p[d] < dense->dims[d];
                place = place * (uint64_t)dense->dims[d] + (uint64_t)p[d];
            }
        }
        if (!inside)
            return fail(t, err, MBR_ERR_MODEL, "index %zu of the sparse tensor lies outside its shape", i);
        memcpy((char *)dense->data + place * size, (const char *)values->data + i * size, size);
    }
    return MBR_OK;
}

mbr_status mbr_onnx_sparse_tensor(const mbr_onnx_reader *r, const Mbr__Onnx__SparseTensorProto *t, mbr_value **out,
                                  mbr_error *err)
{
    *out = NULL;
    if (!t->values || !t->indices)
        return mbr_fail(err, MBR_ERR_MODEL, "a sparse tensor lacks its values or its indices");
    mbr_value *values = NULL, *indices = NULL, *dense = NULL;
    mbr_status st;
    Mbr__Onnx__TensorProto shape = *t->values;
    shape.n_dims = t->n_dims;
    shape.dims = t->dims;
    mbr_dtype dtype;
    size_t count;
    MBR_TRY(read_shape(&shape, &dtype, &count, err));
    if (count > DENSE_MAX / mbr_dtype_size(dtype))
        return fail(t->values, err, MBR_ERR_LIMIT, "the sparse tensor has %zu elements; at most %zu MB of them are "
                    "supported", count, DENSE_MAX >> 20);
    MBR_TRY_GOTO(mbr_onnx_tensor(r, t->values, &values, err), done);
    MBR_TRY_GOTO(mbr_onnx_tensor(r, t->indices, &indices, err), done);
    MBR_TRY_GOTO(mbr_value_create_tensor(r->memory, dtype, (int)t->n_dims, t->dims, &dense, err), done);
    MBR_TRY_GOTO(scatter(t->values, values, indices, dense, err), done);
    if (dtype == MBR_DTYPE_STRING && !r->source)
        st = copy_text(dense, count, err);
done:
    mbr_value_drop(values);
    mbr_value_drop(indices);
    if (st != MBR_OK) {
        mbr_value_drop(dense);
        dense = NULL;
    }
    *out = dense;
    return st;
}

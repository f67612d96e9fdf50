/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/order.h"

#include "base/half.h"

#include <string.h>

/* --- keys: unsigned numbers in the order of the elements --- */

static inline uint64_t key_f64(double x)
{
    uint64_t u;
    if (x != x)
        return UINT64_MAX;
    x = x == 0 ? 0 : x; /* one zero */
    memcpy(&u, &x, sizeof u);
    return u >> 63 ? ~u : u | UINT64_C(1) << 63;
}

static inline uint64_t key_of(mbr_dtype t, const void *p, size_t i)
{
    switch (t) {
    case MBR_DTYPE_F32:
        return key_f64(((const float *)p)[i]);
    case MBR_DTYPE_F64:
        return key_f64(((const double *)p)[i]);
    case MBR_DTYPE_F16:
        return key_f64(mbr_f16_to_f32(((const uint16_t *)p)[i]));
    case MBR_DTYPE_BF16:
        return key_f64(mbr_bf16_to_f32(((const uint16_t *)p)[i]));
    case MBR_DTYPE_I8:
        return (uint64_t)((const int8_t *)p)[i] ^ UINT64_C(1) << 63;
    case MBR_DTYPE_I16:
        return (uint64_t)((const int16_t *)p)[i] ^ UINT64_C(1) << 63;
    case MBR_DTYPE_I32:
        return (uint64_t)((const int32_t *)p)[i] ^ UINT64_C(1) << 63;
    case MBR_DTYPE_I64:
        return (uint64_t)((const int64_t *)p)[i] ^ UINT64_C(1) << 63;
    case MBR_DTYPE_U8:
    case MBR_DTYPE_BOOL:
        return ((const uint8_t *)p)[i];
    case MBR_DTYPE_U16:
        return ((const uint16_t *)p)[i];
    case MBR_DTYPE_U32:
        return ((const uint32_t *)p)[i];
    default:
        return ((const uint64_t *)p)[i];
    }
}

bool mbr_order_has(mbr_dtype t)
{
    switch (t) {
    case MBR_DTYPE_F32:
    case MBR_DTYPE_F64:
    case MBR_DTYPE_F16:
    case MBR_DTYPE_BF16:
    case MBR_DTYPE_I8:
    case MBR_DTYPE_I16:
    case MBR_DTYPE_I32:
    case MBR_DTYPE_I64:
    case MBR_DTYPE_U8:
    case MBR_DTYPE_BOOL:
    case MBR_DTYPE_U16:
    case MBR_DTYPE_U32:
    case MBR_DTYPE_U64:
        return true;
    default:
        return false;
    }
}

/* --- the k first --- */

typedef struct entry {
    uint64_t key; /* the smaller, the earlier */
    size_t index;
} entry;

static inline bool later(entry a, entry b)
{
    return a.key != b.key ? a.key > b.key : a.index > b.index;
}

/* A heap whose root is the latest. */
static void sift(entry *heap, size_t n, size_t i)
{
    entry e = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && later(heap[child + 1], heap[child]))
            child++;
        if (!later(heap[child], e))
            break;
        heap[i] = heap[child];
    }
    heap[i] = e;
}

size_t mbr_top_scratch(const mbr_top_args *args)
{
    return (args->k ? args->k : 1) * sizeof(entry);
}

static size_t element_size(mbr_dtype t)
{
    return mbr_dtype_size(t);
}

void mbr_top_k(const mbr_top_args *a, const void *in, void *values, int64_t *indices, void *scratch, size_t first,
               size_t last)
{
    entry *heap = scratch;
    size_t size = element_size(a->dtype), k = a->k;
    for (size_t line = first; line < last && k > 0; line++) {
        size_t outer = line / a->inner, inner = line % a->inner;
        const char *from = (const char *)in + (outer * a->axis * a->inner + inner) * size;
        for (size_t i = 0; i < a->axis; i++) {
            uint64_t key = key_of(a->dtype, from, i * a->inner);
            entry e = { a->smallest ? key : ~key, i };
            if (i < k) {
                heap[i] = e;
                if (i == k - 1)
                    for (size_t h = k / 2; h-- > 0;)
                        sift(heap, k, h);
            } else if (e.key < heap[0].key) { /* an equal one comes later */
                heap[0] = e;
                sift(heap, k, 0);
            }
        }
        size_t to = outer * k * a->inner + inner;
        for (size_t n = k; n > 0; n--) {
            entry e = heap[0];
            size_t at = to + (n - 1) * a->inner;
            if (values)
                memcpy((char *)values + at * size, from + e.index * a->inner * size, size);
            if (indices)
                indices[at] = (int64_t)e.index;
            heap[0] = heap[n - 1];
            sift(heap, n - 1 ? n - 1 : 1, 0);
        }
    }
}

/* --- not zero --- */

#define COUNT(type, test)                                                                                              \
    {                                                                                                                  \
        const type *x = in;                                                                                            \
        for (size_t i = 0; i < n; i++)                                                                                 \
            count += (test);                                                                                           \
        return count;                                                                                                  \
    }

static inline bool is_zero(mbr_dtype t, const void *p, size_t i)
{
    switch (t) {
    case MBR_DTYPE_F32:
        return ((const float *)p)[i] == 0;
    case MBR_DTYPE_F64:
        return ((const double *)p)[i] == 0;
    case MBR_DTYPE_F16:
    case MBR_DTYPE_BF16:
        return (((const uint16_t *)p)[i] & 0x7fff) == 0;
    case MBR_DTYPE_COMPLEX64:
        return ((const float *)p)[2 * i] == 0 && ((const float *)p)[2 * i + 1] == 0;
    case MBR_DTYPE_COMPLEX128:
        return ((const double *)p)[2 * i] == 0 && ((const double *)p)[2 * i + 1] == 0;
    case MBR_DTYPE_STRING:
        return ((const mbr_string *)p)[i].size == 0;
    case MBR_DTYPE_I16:
    case MBR_DTYPE_U16:
        return ((const uint16_t *)p)[i] == 0;
    case MBR_DTYPE_I32:
    case MBR_DTYPE_U32:
        return ((const uint32_t *)p)[i] == 0;
    case MBR_DTYPE_I64:
    case MBR_DTYPE_U64:
        return ((const uint64_t *)p)[i] == 0;
    case MBR_DTYPE_F8E4M3FN:
    case MBR_DTYPE_F8E5M2:
        return (((const uint8_t *)p)[i] & 0x7f) == 0;
    case MBR_DTYPE_F4E2M1:
        return (((const uint8_t *)p)[i] & 7) == 0;
    case MBR_DTYPE_F8E8M0: /* has no zero */
        return false;
    default:
        return ((const uint8_t *)p)[i] == 0;
    }
}

size_t mbr_count_nonzero(mbr_dtype dtype, const void *in, size_t n)
{
    size_t count = 0;
    switch (dtype) {
    case MBR_DTYPE_F32:
        COUNT(float, x[i] != 0)
    case MBR_DTYPE_BOOL:
    case MBR_DTYPE_U8:
    case MBR_DTYPE_I8:
        COUNT(uint8_t, x[i] != 0)
    case MBR_DTYPE_I64:
    case MBR_DTYPE_U64:
        COUNT(uint64_t, x[i] != 0)
    default:
        for (size_t i = 0; i < n; i++)
            count += !is_zero(dtype, in, i);
        return count;
    }
}

void mbr_nonzero(mbr_dtype dtype, int rank, const size_t *dims, const void *in, size_t count, int64_t *out)
{
    size_t n = mbr_dims_count(rank, dims), at[MBR_KERNEL_RANK] = { 0 }, k = 0;
    for (size_t i = 0; i < n && k < count; i++) {
        if (!is_zero(dtype, in, i)) {
            for (int d = 0; d < rank; d++)
                out[(size_t)d * count + k] = (int64_t)at[d];
            k++;
        }
        for (int d = rank - 1; d >= 0 && ++at[d] == dims[d]; d--)
            at[d] = 0;
    }
}

/* --- distinct --- */

static int compare_elements(mbr_dtype t, const void *p, size_t i, size_t j)
{
    if (t == MBR_DTYPE_STRING) {
        mbr_string a = ((const mbr_string *)p)[i], b = ((const mbr_string *)p)[j];
        size_t n = a.size < b.size ? a.size : b.size;
        int c = n ? memcmp(a.data, b.data, n) : 0;
        return c ? c : (a.size > b.size) - (a.size < b.size);
    }
    bool pair = t == MBR_DTYPE_COMPLEX64 || t == MBR_DTYPE_COMPLEX128;
    for (size_t k = 0; k <= pair; k++) { /* the real parts, then the imaginary ones */
        mbr_dtype part = !pair ? t : t == MBR_DTYPE_COMPLEX64 ? MBR_DTYPE_F32 : MBR_DTYPE_F64;
        uint64_t a = key_of(part, p, pair ? 2 * i + k : i), b = key_of(part, p, pair ? 2 * j + k : j);
        if (a != b)
            return a > b ? 1 : -1;
    }
    return 0;
}

static int compare(const mbr_unique_args *a, const void *in, size_t i, size_t j)
{
    for (size_t o = 0; o < a->outer; o++)
        for (size_t k = 0; k < a->inner; k++) {
            size_t at = o * a->axis * a->inner + k;
            int c = compare_elements(a->dtype, in, at + i * a->inner, at + j * a->inner);
            if (c)
                return c;
        }
    return 0;
}

size_t mbr_unique(const mbr_unique_args *a, const void *in, size_t *order, size_t *first, size_t *group,
                  size_t *scratch)
{
    size_t n = a->axis, groups = 0, *from = order, *to = scratch;
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t width = 1; width < n; width *= 2) { /* merge sort, bottom up: stable */
        for (size_t begin = 0; begin < n; begin += 2 * width) {
            size_t middle = begin + width < n ? begin + width : n, end = begin + 2 * width < n ? begin + 2 * width : n;
            size_t i = begin, j = middle;
            for (size_t k = begin; k < end; k++)
                to[k] = i < middle && (j >= end || compare(a, in, from[i], from[j]) <= 0) ? from[i++] : from[j++];
        }
        size_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != order)
        memcpy(order, from, n * sizeof *order);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || compare(a, in, order[i - 1], order[i]) != 0)
            first[groups++] = order[i];
        group[order[i]] = groups - 1;
    }
    return groups;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op_util.h"

#include "kernels/cpu.h"

#include <string.h>

mbr_status mbr_op_infer_ints(mbr_infer *c, const char *attr, uint32_t i, mbr_dim *v, size_t max, size_t *n,
                             mbr_op_given *given)
{
    *n = 0;
    *given = MBR_OP_ABSENT;
    if (attr) {
        size_t count;
        const int64_t *list = mbr_attr_ints(c->node, attr, &count);
        if (!mbr_attr(c->node, attr))
            return MBR_OK;
        if (count > max)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "attribute '%s' lists %zu numbers, at most %zu make sense", attr,
                                  count, max);
        for (size_t k = 0; k < count; k++)
            v[k] = mbr_dim_const(list[k]);
        *n = count;
        *given = MBR_OP_KNOWN;
        return MBR_OK;
    }
    if (!mbr_infer_has(c, i))
        return MBR_OK;
    if (c->in[i].kind != MBR_KIND_TENSOR || (c->in[i].dtype && !mbr_dtype_is_int(c->in[i].dtype)))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u must be a tensor of integers, it is %s", (unsigned)i,
                              mbr_dtype_name(c->in[i].dtype));
    if (c->in[i].rank > 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u must be a list of numbers, its rank is %d", (unsigned)i,
                              c->in[i].rank);
    if (c->in[i].rank == 1 && mbr_dim_is_const(c->in[i].dims[0]) && c->in[i].dims[0] > (mbr_dim)max)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u lists %lld numbers, at most %zu make sense", (unsigned)i,
                              (long long)c->in[i].dims[0], max);
    *given = mbr_infer_ints(c, i, v, max, n) ? MBR_OP_KNOWN : MBR_OP_UNKNOWN;
    return MBR_OK;
}

mbr_status mbr_op_infer_axes(mbr_infer *c, const char *attr, uint32_t i, int rank, uint32_t *bits, int *order, int *n,
                             mbr_op_given *given)
{
    mbr_dim v[MBR_MAX_RANK];
    size_t count;
    *bits = 0;
    *n = 0;
    MBR_TRY(mbr_op_infer_ints(c, attr, i, v, MBR_MAX_RANK, &count, given));
    if (*given != MBR_OP_KNOWN)
        return MBR_OK;
    *n = (int)count;
    for (size_t k = 0; k < count; k++) {
        int axis;
        if (rank < 0 || !mbr_dim_is_const(v[k])) {
            *given = MBR_OP_UNKNOWN;
            return MBR_OK;
        }
        MBR_TRY(mbr_infer_axis(c, v[k], rank, &axis));
        if (*bits >> axis & 1)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %lld is listed twice", (long long)v[k]);
        *bits |= UINT32_C(1) << axis;
        if (order)
            order[k] = axis;
    }
    return MBR_OK;
}

mbr_dim mbr_op_product(mbr_infer *c, const mbr_dim *dims, int n)
{
    mbr_dim p = 1;
    for (int i = 0; i < n; i++)
        p = mbr_dim_mul(c->dims, p, dims[i]);
    return p;
}

void mbr_op_pass_content(mbr_infer *c)
{
    mbr_dim v[MBR_OP_CONTENT];
    size_t n;
    if (mbr_infer_ints(c, 0, v, MBR_OP_CONTENT, &n))
        mbr_infer_set_content(c, 0, v, n);
}

mbr_status mbr_op_check_tensor(mbr_infer *c, uint32_t i)
{
    if (mbr_infer_has(c, i) && c->in[i].kind != MBR_KIND_TENSOR)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u must be a tensor", (unsigned)i);
    return MBR_OK;
}

mbr_status mbr_op_check_type(mbr_infer *c, uint32_t i, uint32_t types)
{
    MBR_TRY(mbr_op_check_tensor(c, i));
    if (mbr_infer_has(c, i) && c->in[i].dtype && !(types >> c->in[i].dtype & 1))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u is %s, a type that the operator does not take", (unsigned)i,
                              mbr_dtype_name(c->in[i].dtype));
    return MBR_OK;
}

mbr_status mbr_op_check_same(mbr_infer *c, uint32_t i, uint32_t j)
{
    MBR_TRY(mbr_op_check_tensor(c, i));
    MBR_TRY(mbr_op_check_tensor(c, j));
    if (mbr_infer_has(c, i) && mbr_infer_has(c, j) && c->in[i].dtype && c->in[j].dtype &&
        c->in[i].dtype != c->in[j].dtype)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "inputs %u and %u must have one type, they are %s and %s", (unsigned)i,
                              (unsigned)j, mbr_dtype_name(c->in[i].dtype), mbr_dtype_name(c->in[j].dtype));
    return MBR_OK;
}

mbr_status mbr_op_check_rank(mbr_infer *c, uint32_t i, int least, int most)
{
    MBR_TRY(mbr_op_check_tensor(c, i));
    if (mbr_infer_has(c, i) && c->in[i].rank >= 0 && (c->in[i].rank < least || c->in[i].rank > most))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u has rank %d, it must be %d to %d", (unsigned)i,
                              c->in[i].rank, least, most);
    return MBR_OK;
}

mbr_status mbr_op_step_ints(const mbr_step *s, const char *attr, uint32_t i, int64_t *v, size_t max, size_t *n,
                            mbr_op_given *given, mbr_error *err)
{
    *n = 0;
    *given = MBR_OP_ABSENT;
    if (attr) {
        size_t count;
        const int64_t *list = mbr_attr_ints(s->node, attr, &count);
        if (!mbr_attr(s->node, attr))
            return MBR_OK;
        if (count > max)
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "attribute '%s' lists too many numbers", attr);
        for (size_t k = 0; k < count; k++)
            v[k] = list[k];
        *n = count;
    } else if (mbr_step_has(s, i)) {
        MBR_TRY(mbr_step_ints(s, i, v, max, n, err));
    } else {
        return MBR_OK;
    }
    *given = MBR_OP_KNOWN;
    return MBR_OK;
}

mbr_status mbr_op_step_axes(const mbr_step *s, const char *attr, uint32_t i, int rank, uint32_t *bits, int *order,
                            int *n, mbr_op_given *given, mbr_error *err)
{
    int64_t v[MBR_MAX_RANK];
    size_t count;
    MBR_TRY(mbr_op_step_ints(s, attr, i, v, MBR_MAX_RANK, &count, given, err));
    *bits = 0;
    *n = (int)count;
    for (size_t k = 0; k < count; k++) {
        if (v[k] < -rank || v[k] >= rank)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "axis %lld does not exist in rank %d", (long long)v[k], rank);
        int axis = mbr_op_axis(v[k], rank);
        if (*bits >> axis & 1)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "axis %lld is listed twice", (long long)v[k]);
        *bits |= UINT32_C(1) << axis;
        if (order)
            order[k] = axis;
    }
    return MBR_OK;
}

mbr_status mbr_op_step_int(const mbr_step *s, uint32_t i, int64_t otherwise, int64_t *v, mbr_error *err)
{
    size_t n;
    *v = otherwise;
    if (!mbr_step_has(s, i))
        return MBR_OK;
    MBR_TRY(mbr_step_ints(s, i, v, 1, &n, err));
    if (n != 1)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "input %u must be one number, it has %zu", (unsigned)i, n);
    return MBR_OK;
}

int mbr_op_dims(const mbr_value *v, size_t *dims)
{
    for (int i = 0; i < v->rank; i++)
        dims[i] = (size_t)v->dims[i];
    return v->rank;
}

void mbr_op_strides_at(const mbr_value *v, int rank, int at, ptrdiff_t *strides)
{
    ptrdiff_t step = 1;
    for (int i = 0; i < rank; i++)
        strides[i] = 0;
    for (int i = v->rank - 1; i >= 0; i--) {
        if (v->dims[i] != 1 && at + i >= 0 && at + i < rank)
            strides[at + i] = step;
        step *= (ptrdiff_t)v->dims[i];
    }
}

mbr_status mbr_op_check_spread(const mbr_step *s, uint32_t i, const mbr_value *out, int at, mbr_error *err)
{
    const mbr_value *v = s->in[i];
    for (int d = 0; d < v->rank; d++) {
        int64_t size = at + d >= 0 && at + d < out->rank ? out->dims[at + d] : 1;
        if (v->dims[d] != 1 && v->dims[d] != size)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "axis %d of input %u has size %lld and does not spread over %lld; "
                                 "they must be equal, or one of them 1",
                                 d, i, (long long)v->dims[d], (long long)size);
    }
    return MBR_OK;
}

void mbr_op_around(const mbr_value *v, int axis, size_t *outer, size_t *middle, size_t *inner)
{
    *outer = *inner = 1;
    *middle = axis < v->rank ? (size_t)v->dims[axis] : 1;
    for (int i = 0; i < axis; i++)
        *outer *= (size_t)v->dims[i];
    for (int i = axis + 1; i < v->rank; i++)
        *inner *= (size_t)v->dims[i];
}

void mbr_op_copy_prepare(mbr_step *s, mbr_op_copy *k)
{
    k->fn = mbr_copy_select(mbr_cpu_tiers());
    if (k->plan.tiles == 0) {
        s->tiles[0] = 0;
        k->each = 1;
        return;
    }
    double ns = (double)mbr_value_bytes(s->out[0]) * 0.15 / (double)k->plan.tiles;
    k->each = mbr_step_split(s, k->plan.tiles, ns);
}

void mbr_op_copy_run(const mbr_op_copy *k, const void *in, void *out, const mbr_job *job)
{
    size_t first, last;
    mbr_op_items(job, k->each, k->plan.tiles, &first, &last);
    if (first < last)
        k->fn(&k->plan, (const char *)in + k->in_offset, out, first, last);
}

/* One piece of `rows` rows; small ones with moves of a fixed size. */
static void move_piece(char *whole, size_t row, char *piece, size_t bytes, size_t rows, bool join)
{
    char *to = join ? whole : piece;
    const char *from = join ? piece : whole;
    size_t to_step = join ? row : bytes, from_step = join ? bytes : row;
#define MOVES(size)                                                                                                    \
    case size:                                                                                                         \
        for (size_t r = 0; r < rows; r++)                                                                              \
            memcpy(to + r * to_step, from + r * from_step, size);                                                      \
        break;
    switch (bytes) {
        MOVES(1)
        MOVES(4)
        MOVES(8)
        MOVES(16)
        MOVES(32)
    default:
        for (size_t r = 0; r < rows; r++)
            memcpy(to + r * to_step, from + r * from_step, bytes);
    }
#undef MOVES
}

/* Rows that are moved piece by piece at a time, so that their part of the whole stays in the first cache. */
#define MOVE_BYTES 8192

bool mbr_op_pieces(void *whole, size_t row, uint32_t n, void *const *pieces, const size_t *bytes, bool join,
                   size_t first, size_t last)
{
    if (first >= last)
        return true;
    size_t r = first / row, skip = first % row; /* the first row may begin in the middle */
    size_t filled = 0, block = row && row < MOVE_BYTES ? MOVE_BYTES / row : 1;
    for (uint32_t i = 0; i < n; i++)
        filled += bytes[i];
    for (; first < last; r++, skip = 0) {
        size_t begin = first, rows = skip == 0 ? (last - first) / row : 0;
        if (rows && filled == row) {
            rows = rows < block ? rows : block;
            char *at = (char *)whole + first;
            for (uint32_t i = 0; i < n; at += bytes[i], i++)
                if (pieces[i] && bytes[i])
                    move_piece(at, row, (char *)pieces[i] + r * bytes[i], bytes[i], rows, join);
            first += rows * row;
            r += rows - 1;
            continue;
        }
        for (uint32_t i = 0; i < n && first < last; i++) {
            if (skip >= bytes[i]) {
                skip -= bytes[i];
                continue;
            }
            size_t part = bytes[i] - skip < last - first ? bytes[i] - skip : last - first;
            char *there = (char *)whole + first;
            if (pieces[i] && join)
                memcpy(there, (const char *)pieces[i] + r * bytes[i] + skip, part);
            else if (pieces[i])
                memcpy((char *)pieces[i] + r * bytes[i] + skip, there, part);
            first += part;
            skip = 0;
        }
        if (first == begin)
            return false;
    }
    return true;
}

/* Bytes of the character at p, at most n; 0: none (cut short, longer than need be, a surrogate, beyond 10FFFF). */
static size_t character(const unsigned char *p, size_t n)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t bytes = *p < 0x80 ? 1 : *p < 0xc0 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf8 ? 4 : 0;
    if (bytes < 2)
        return bytes;
    uint32_t code = *p & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if (i == n || p[i] >> 6 != 2)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    return code < least[bytes] || code > 0x10ffff || code >> 11 == 0x1b ? 0 : bytes;
}

mbr_status mbr_op_check_text(const mbr_step *s, uint32_t i, mbr_error *err)
{
    const mbr_string *text = s->in[i]->data;
    size_t count = mbr_value_count(s->in[i]);
    for (size_t k = 0; k < count; k++)
        for (size_t at = 0, bytes; at < text[k].size; at += bytes) {
            bytes = character((const unsigned char *)text[k].data + at, text[k].size - at);
            if (bytes == 0)
                return mbr_step_fail(s, err, MBR_ERR_INPUT, "string %zu is no UTF-8 from byte %zu on", k, at);
        }
    return MBR_OK;
}

size_t mbr_op_split_bytes(mbr_step *s, size_t bytes, size_t unit)
{
    size_t block = (65536 + unit - 1) / unit * unit;
    size_t blocks = bytes / block + (bytes % block != 0);
    return mbr_step_split(s, blocks, (double)block * 0.15) * block;
}

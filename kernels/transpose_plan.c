/* SPDX-License-Identifier: BSD-2-Clause */
/* Plans of strided copies, fills and gathers; independent of the instruction set. */
#include "kernels/transpose.h"

#include <string.h>

/* Bytes that one tile moves, more or less. */
#define TILE_BYTES 32768

static size_t magnitude(ptrdiff_t x)
{
    return x < 0 ? (size_t)-x : (size_t)x;
}

static void swap_dims(mbr_copy_plan *p, int a, int b)
{
    size_t d = p->dims[a];
    ptrdiff_t in = p->in_strides[a], out = p->out_strides[a];
    p->dims[a] = p->dims[b];
    p->in_strides[a] = p->in_strides[b];
    p->out_strides[a] = p->out_strides[b];
    p->dims[b] = d;
    p->in_strides[b] = in;
    p->out_strides[b] = out;
}

/* Runs of 2, 4, 8, 16 bytes that move together become one element. */
static void widen(mbr_copy_plan *p)
{
    int last = p->rank - 1;
    if (p->rank < 2 || p->in_strides[last] != (ptrdiff_t)p->size || p->out_strides[last] != (ptrdiff_t)p->size)
        return;
    size_t bytes = p->dims[last] * p->size;
    if (bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16) {
        p->size = bytes;
        p->rank--;
    }
}

void mbr_copy_plan_init(mbr_copy_plan *p, size_t size, int rank, const size_t *dims, const ptrdiff_t *in_strides,
                        const ptrdiff_t *out_strides)
{
    memset(p, 0, sizeof *p);
    p->size = size;
    p->rank = rank;
    size_t count = mbr_dims_count(rank, dims);
    for (int d = 0; d < rank; d++) {
        p->dims[d] = dims[d];
        p->in_strides[d] = in_strides[d] * (ptrdiff_t)size;
        p->out_strides[d] = out_strides[d] * (ptrdiff_t)size;
    }
    if (count == 0) {
        p->rank = 0;
        return;
    }
    /* the order of the output, outermost first; a stable sort that leaves dense outputs alone */
    for (int i = 1; i < rank; i++)
        for (int j = i; j > 0 && magnitude(p->out_strides[j - 1]) < magnitude(p->out_strides[j]); j--)
            swap_dims(p, j - 1, j);
    p->rank = mbr_collapse_dims(rank, p->dims, 2, (ptrdiff_t *const[]){p->in_strides, p->out_strides});
    widen(p);

    /* the innermost loop follows the output; the second one the input, when that is another dimension */
    p->cols = p->rows = 1;
    p->in_col = p->out_col = (ptrdiff_t)p->size;
    if (p->rank > 0) {
        int last = --p->rank;
        p->cols = p->dims[last];
        p->in_col = p->in_strides[last];
        p->out_col = p->out_strides[last];
    }
    if (p->rank > 0) {
        int row = p->rank - 1;
        if (p->in_col != (ptrdiff_t)p->size)
            for (int d = 0; d < p->rank; d++)
                if (p->in_strides[d] == (ptrdiff_t)p->size)
                    row = d;
        for (int d = row; d < p->rank - 1; d++)
            swap_dims(p, d, d + 1);
        row = --p->rank;
        p->rows = p->dims[row];
        p->in_row = p->in_strides[row];
        p->out_row = p->out_strides[row];
    } else if (p->cols * p->size > TILE_BYTES) { /* one long run: cut it into rows */
        size_t n = TILE_BYTES / p->size;
        p->rows = (p->cols + n - 1) / n;
        p->last_cols = p->cols - (p->rows - 1) * n;
        p->cols = n;
        p->in_row = p->in_col * (ptrdiff_t)n;
        p->out_row = p->out_col * (ptrdiff_t)n;
    }
    if (p->last_cols == 0)
        p->last_cols = p->cols;
    size_t row_bytes = p->cols * p->size;
    p->row_step = row_bytes >= TILE_BYTES / 8 ? 8 : TILE_BYTES / row_bytes;
    if (p->in_col == (ptrdiff_t)p->size && row_bytes >= TILE_BYTES / 8)
        p->row_step = 1 + (TILE_BYTES - 1) / row_bytes;
    else
        p->row_step = (p->row_step + 7) / 8 * 8;
    p->row_tiles = (p->rows + p->row_step - 1) / p->row_step;
    p->tiles = p->row_tiles * mbr_dims_count(p->rank, p->dims);
}

void mbr_transpose_plan_init(mbr_copy_plan *plan, size_t size, int rank, const size_t *dims, const int *perm)
{
    size_t out_dims[MBR_KERNEL_RANK];
    ptrdiff_t dense[MBR_KERNEL_RANK], in[MBR_KERNEL_RANK], out[MBR_KERNEL_RANK];
    mbr_dense_strides(rank, dims, dense);
    for (int i = 0; i < rank; i++) {
        out_dims[i] = dims[perm[i]];
        in[i] = dense[perm[i]];
    }
    mbr_dense_strides(rank, out_dims, out);
    mbr_copy_plan_init(plan, size, rank, out_dims, in, out);
}

void mbr_fill(size_t size, const void *value, void *out, size_t n)
{
    char *dst = out;
    const char *src = value;
    bool one_byte = true;
    for (size_t i = 1; i < size; i++)
        one_byte &= src[i] == src[0];
    if (n == 0)
        return;
    if (one_byte) {
        memset(dst, (unsigned char)src[0], n * size);
        return;
    }
    memcpy(dst, src, size);
    for (size_t done = 1; done < n;) { /* doubles what is there, up to pieces that stay in the cache */
        size_t more = done < 1024 ? done : 1024;
        if (more > n - done)
            more = n - done;
        memcpy(dst + done * size, dst, more * size);
        done += more;
    }
}

size_t mbr_gather_rows(const void *table, size_t table_rows, size_t row_bytes, const void *index, bool wide, void *out,
                       size_t first, size_t last)
{
    for (size_t i = first; i < last; i++) {
        int64_t k = wide ? ((const int64_t *)index)[i] : ((const int32_t *)index)[i];
        if (k < 0)
            k += (int64_t)table_rows;
        if (k < 0 || (uint64_t)k >= table_rows)
            return i;
        const char *src = (const char *)table + (size_t)k * row_bytes;
        char *dst = (char *)out + i * row_bytes;
        if (row_bytes == 4)
            memcpy(dst, src, 4);
        else if (row_bytes == 8)
            memcpy(dst, src, 8);
        else
            memcpy(dst, src, row_bytes);
    }
    return last;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner loop of depthwise convolution, channels last, for f32 and for bytes. DW_POINTS output points of a row are
 * computed at once, one vector of channels after the other. The input points that they touch are a table of pointers,
 * made once for all channels; points outside the input point at zeros. A sum is one chain over the taps, rows outside
 * the input left out.
 *
 * Bytes are converted to floats and weights are floats: with up to DW_BYTE_TAPS taps every sum of differences is a
 * whole number below 2^24, so that it is exact.
 *
 * Packed: for each MBR_VL channels, (taps, MBR_VL) weights as floats. The including file has included a vec_*.h and
 * defines DW_TILE_MACS, the products in its largest tiles.
 */
#ifndef MBR_KERNELS_CONV_DEPTHWISE_LOOP_H
#define MBR_KERNELS_CONV_DEPTHWISE_LOOP_H

#include "kernels/conv.h"

#include "base/checked.h"

#include <string.h>

#define DW_POINTS 7 /* divides 7, 14, 28, 56, 112 and wastes little elsewhere; leaves registers for weights */
#define DW_BYTE_TAPS 257

/* What x holds: constants for dw_sums. */
enum { DW_F32, DW_U8, DW_S8 };

typedef struct dw_plan {
    size_t rows, tile_rows; /* output rows (n, d, h) in all, and in a tile */
    size_t kernel_rows;     /* kernel[0] * kernel[1] */
    size_t columns;         /* pointers for each kernel row */
    size_t padded;          /* channels rounded up to vectors */
    bool shared;            /* neighbouring points share columns: column = point * stride + tap */
    size_t table_bytes, zero_bytes, sum_bytes;
} dw_plan;

/* What the inner loop reads: for each kernel row inside the input, its columns and its weights' place. */
typedef struct dw_rows {
    size_t count;
    const char **column; /* (count, columns) */
    size_t *tap;         /* (count): the first tap of the row */
    const char *zeros;   /* channels that stand for zero */
} dw_rows;

static inline size_t dw_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static dw_plan dw_plan_of(const mbr_conv_args *a)
{
    dw_plan p = {.rows = a->n * a->out[0] * a->out[1], .kernel_rows = a->kernel[0] * a->kernel[1]};
    size_t kw = a->kernel[2], sw = a->stride[2];
    p.shared = a->dilation[2] == 1 && (kw == 3 || kw == 5) && (sw == 1 || sw == 2);
    p.columns = p.shared ? (DW_POINTS - 1) * sw + kw : DW_POINTS * kw;
    p.padded = dw_up(a->channels, MBR_VL);
    double row_macs = (double)(p.kernel_rows * kw) * (double)(a->out[2] * p.padded);
    double tile = row_macs * (double)p.rows / 16;
    tile = tile > DW_TILE_MACS ? DW_TILE_MACS : tile < DW_TILE_MACS / 160 ? DW_TILE_MACS / 160 : tile;
    p.tile_rows = row_macs > 0 ? mbr_max_size(mbr_min_size((size_t)(tile / row_macs), p.rows), 1) : 1;
    p.table_bytes = dw_up(p.kernel_rows * (p.columns * sizeof(char *) + sizeof(size_t)), 64);
    p.zero_bytes = dw_up(p.padded * sizeof(float), 64);
    p.sum_bytes = dw_up(DW_POINTS * p.padded * sizeof(float), 64);
    return p;
}

static size_t dw_taps(const mbr_conv_args *a)
{
    return a->kernel[0] * a->kernel[1] * a->kernel[2];
}

static size_t dw_pack_units(const mbr_conv_args *a)
{
    return (a->channels + MBR_VL - 1) / MBR_VL;
}

static size_t dw_pack_size(const mbr_conv_args *a)
{
    size_t size;
    bool ok = mbr_mul_size(dw_pack_units(a), MBR_VL * sizeof(float), &size);
    for (int d = 0; d < 3; d++)
        ok = ok && mbr_mul_size(size, a->kernel[d], &size);
    return ok && mbr_round_up(size, 64, &size) ? size : 0;
}

/* The scratch: a table, zeros (filled with the byte `zero`), and room for sums, which is returned. */
static void *dw_layout(const dw_plan *plan, void *scratch, int zero, dw_rows *rows)
{
    char *zeros = (char *)scratch + plan->table_bytes;
    memset(zeros, zero, plan->zero_bytes);
    rows->count = 0;
    rows->column = scratch;
    rows->tap = (size_t *)(void *)(rows->column + plan->kernel_rows * plan->columns);
    rows->zeros = zeros;
    return zeros + plan->zero_bytes;
}

MBR_INLINE vf dw_load(const char *p, size_t c, size_t lanes, vf zero, const int type)
{
    if (type == DW_F32) {
        const float *x = (const float *)(const void *)p + c;
        return lanes < MBR_VL ? vf_load_n(x, lanes) : vf_load(x);
    }
    if (type == DW_U8) {
        const uint8_t *x = (const uint8_t *)p + c;
        return vf_sub(vi_to_vf(lanes < MBR_VL ? vi_load_u8_n(x, lanes) : vi_load_u8(x)), zero);
    }
    const int8_t *x = (const int8_t *)p + c;
    return vf_sub(vi_to_vf(lanes < MBR_VL ? vi_load_s8_n(x, lanes) : vi_load_s8(x)), zero);
}

/* The sums of DW_POINTS points for the vector of channels at c. kw and sw are constants; kw 0: any kernel, no sharing.
 */
MBR_INLINE void dw_sums(const dw_rows *rows, size_t columns, size_t any_kw, const float *w, size_t c, size_t lanes,
                        vf zero, vf *sum, const int kw, const int sw, const int type)
{
    MBR_UNROLL(8)
    for (int p = 0; p < DW_POINTS; p++)
        sum[p] = vf_zero();
    for (size_t r = 0; r < rows->count; r++) {
        const char *const *x = rows->column + r * columns;
        const float *wr = w + rows->tap[r] * MBR_VL;
        if (kw == 0) {
            for (size_t t = 0; t < any_kw; t++) {
                vf weight = vf_load(wr + t * MBR_VL);
                MBR_UNROLL(8)
                for (int p = 0; p < DW_POINTS; p++) {
                    vf in = dw_load(x[t * DW_POINTS + (size_t)p], c, lanes, zero, type);
                    sum[p] = vf_fma(in, weight, sum[p]);
                }
            }
            continue;
        }
        vf weight[5];
        MBR_UNROLL(8)
        for (int t = 0; t < kw; t++)
            weight[t] = vf_load(wr + t * MBR_VL);
        MBR_UNROLL(20)
        for (int j = 0; j < (DW_POINTS - 1) * sw + kw; j++) {
            vf in = dw_load(x[j], c, lanes, zero, type);
            MBR_UNROLL(8)
            for (int p = 0; p < DW_POINTS; p++)
                if (j >= p * sw && j < p * sw + kw)
                    sum[p] = vf_fma(in, weight[j - p * sw], sum[p]);
        }
    }
}

/* Fills the table for the points from ow on of the output row (b, od, oh). size: bytes of an element of x. */
static void dw_table(const mbr_conv_args *a, const dw_plan *plan, const size_t at[3], size_t ow, const void *x,
                     size_t size, dw_rows *rows)
{
    size_t kw = a->kernel[2];
    rows->count = 0;
    for (size_t r = 0; r < plan->kernel_rows; r++) {
        ptrdiff_t d = (ptrdiff_t)(at[1] * a->stride[0] + r / a->kernel[1] * a->dilation[0]) - a->pad[0];
        ptrdiff_t h = (ptrdiff_t)(at[2] * a->stride[1] + r % a->kernel[1] * a->dilation[1]) - a->pad[1];
        if (d < 0 || d >= (ptrdiff_t)a->in[0] || h < 0 || h >= (ptrdiff_t)a->in[1])
            continue;
        ptrdiff_t line = (((ptrdiff_t)(at[0] * a->in[0]) + d) * (ptrdiff_t)a->in[1] + h) * (ptrdiff_t)a->in[2];
        const char **column = rows->column + rows->count * plan->columns;
        rows->tap[rows->count++] = r * kw;
        for (size_t j = 0; j < plan->columns; j++) {
            ptrdiff_t w = plan->shared
                              ? (ptrdiff_t)(ow * a->stride[2] + j)
                              : (ptrdiff_t)((ow + j % DW_POINTS) * a->stride[2] + j / DW_POINTS * a->dilation[2]);
            w -= a->pad[2];
            column[j] = w >= 0 && w < (ptrdiff_t)a->in[2] ? (const char *)x + (line + w) * a->ldx * (ptrdiff_t)size
                                                          : rows->zeros;
        }
    }
}

#endif

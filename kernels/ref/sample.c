/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/sample.h"

#include "kernels/real.h"

#include <math.h>
#include <string.h>

/* --- GridSample --- */

/* As f32 arithmetic rounds, unless the grid is of doubles: an f64 sum or product of two f32 rounds like one in f32. */
static double rounded(const mbr_grid_sample_args *a, double x)
{
    return a->grid_dtype == MBR_DTYPE_F64 ? x : (double)(float)x;
}

static double reflect(const mbr_grid_sample_args *a, double x, double low, double high)
{
    double range = high - low;
    if (!(range > 0))
        return low;
    bool below = x < low;
    double d = below ? rounded(a, low - x) : x > high ? rounded(a, x - high) : 0;
    if (d == 0)
        return x;
    double n = trunc(rounded(a, d / range)), r = rounded(a, d - rounded(a, n * range));
    bool even = fmod(n, 2) == 0;
    return rounded(a, below == even ? low + r : high - r);
}

/* The index that tap i of an axis of size d reads; -1: a zero. */
static ptrdiff_t place(const mbr_grid_sample_args *a, double i, size_t d)
{
    double last = (double)d - 1;
    if (!(i >= 0 && i <= last)) {
        if (a->padding == MBR_GRID_ZEROS || isnan(i))
            return -1;
        if (a->padding == MBR_GRID_BORDER)
            i = i < 0 ? 0 : last;
        else
            i = trunc(a->align_corners ? reflect(a, i, 0, last) : reflect(a, i, -0.5, last + 0.5));
        i = i > 0 ? i < last ? i : last : 0; /* no NaN remains */
    }
    return (ptrdiff_t)i;
}

static void cubic_weights(double x, double *w)
{
    const double a = -0.75;
    w[0] = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
    w[1] = ((a + 2) * x - (a + 3)) * x * x + 1;
    w[2] = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1;
    w[3] = ((a * (2 - x) - 5 * a) * (2 - x) + 8 * a) * (2 - x) - 4 * a;
}

/* The pixel coordinate of a normalised one, and its padding. */
static double coordinate(const mbr_grid_sample_args *a, size_t at, size_t size)
{
    double d = (double)size, n = mbr_real_get(a->grid_dtype, a->grid, at), x;
    if (a->grid_dtype == MBR_DTYPE_F32)
        x = a->align_corners ? rounded(a, rounded(a, n + 1) / 2 * (d - 1))
                             : rounded(a, rounded(a, rounded(a, n + 1) * d) - 1) / 2;
    else
        x = rounded(a, a->align_corners ? (n + 1) / 2 * (d - 1) : ((n + 1) * d - 1) / 2);
    if (a->mode == MBR_GRID_NEAREST)
        x = rint(x);
    double low = a->align_corners ? 0 : -0.5, high = a->align_corners ? d - 1 : d - 0.5;
    if (x < low || x > high) {
        if (a->padding == MBR_GRID_BORDER)
            x = x < 0 ? 0 : d - 1;
        else if (a->padding == MBR_GRID_REFLECTION)
            x = reflect(a, x, low, high);
    }
    return x;
}

/* No arithmetic: any type, and integers beyond what a double holds. */
static void sample_nearest(const mbr_grid_sample_args *a, size_t first, size_t last)
{
    size_t plane = mbr_dims_count(a->rank, a->dims);
    for (size_t t = first; t < last; t++) {
        size_t n = t / a->points, p = t % a->points, index = 0;
        bool inside = true;
        for (int i = 0; i < a->rank; i++) {
            double x = coordinate(a, t * (size_t)a->rank + (size_t)(a->rank - 1 - i), a->dims[i]);
            ptrdiff_t pos = place(a, trunc(x), a->dims[i]);
            inside &= pos >= 0;
            index = index * a->dims[i] + (size_t)(pos < 0 ? 0 : pos);
        }
        for (size_t c = 0; c < a->channels; c++) {
            char *to = (char *)a->out + ((n * a->channels + c) * a->points + p) * a->bytes;
            if (inside)
                memcpy(to, (const char *)a->in + ((n * a->channels + c) * plane + index) * a->bytes, a->bytes);
            else
                memset(to, 0, a->bytes);
        }
    }
}

void mbr_grid_sample(const mbr_grid_sample_args *a, size_t first, size_t last)
{
    if (a->mode == MBR_GRID_NEAREST) {
        sample_nearest(a, first, last);
        return;
    }
    int taps = a->mode == MBR_GRID_LINEAR ? 2 : 4, all = 1;
    size_t plane = mbr_dims_count(a->rank, a->dims);
    for (int i = 0; i < a->rank; i++)
        all *= taps;
    for (size_t t = first; t < last; t++) {
        ptrdiff_t at[MBR_GRID_RANK][4];
        double weight[MBR_GRID_RANK][4];
        for (int i = 0; i < a->rank; i++) {
            double x = coordinate(a, t * (size_t)a->rank + (size_t)(a->rank - 1 - i), a->dims[i]);
            double floor_x = floor(x), f = x - floor_x;
            if (a->mode == MBR_GRID_LINEAR) {
                weight[i][0] = 1 - f;
                weight[i][1] = f;
            } else {
                cubic_weights(f, weight[i]);
            }
            for (int k = 0; k < taps; k++)
                at[i][k] = place(a, floor_x + k - (taps == 4), a->dims[i]);
        }
        size_t n = t / a->points, p = t % a->points;
        for (size_t v = 0; v < a->channels * a->parts; v++) {
            size_t c = v / a->parts, part = v % a->parts;
            double sum = 0;
            for (int k = 0; k < all; k++) {
                double w = 1;
                size_t index = 0;
                bool inside = true;
                for (int i = 0, rest = k; i < a->rank; i++, rest /= taps) {
                    ptrdiff_t pos = at[i][rest % taps];
                    inside &= pos >= 0;
                    index = index * a->dims[i] + (size_t)(pos < 0 ? 0 : pos);
                    w *= weight[i][rest % taps];
                }
                if (inside)
                    sum += w * mbr_real_get(a->dtype, a->in,
                                            ((n * a->channels + c) * plane + index) * a->parts + part);
            }
            mbr_real_set(a->dtype, a->out, ((n * a->channels + c) * a->points + p) * a->parts + part, sum);
        }
    }
}

/* --- DeformConv --- */

/* Bilinear, zero outside. */
static double sample2(mbr_dtype t, const void *in, size_t base, const size_t *dims, double y, double x)
{
    double h = (double)dims[0], w = (double)dims[1];
    if (!(y > -1 && y < h && x > -1 && x < w))
        return 0;
    double y0 = floor(y), x0 = floor(x), fy = y - y0, fx = x - x0, sum = 0;
    for (int k = 0; k < 4; k++) {
        double yy = y0 + (k >> 1), xx = x0 + (k & 1);
        double weight = (k >> 1 ? fy : 1 - fy) * (k & 1 ? fx : 1 - fx);
        if (yy >= 0 && yy < h && xx >= 0 && xx < w)
            sum += weight * mbr_real_get(t, in, base + (size_t)yy * dims[1] + (size_t)xx);
    }
    return sum;
}

void mbr_deform_conv(const mbr_deform_conv_args *a, size_t first, size_t last)
{
    size_t in_each = a->in_channels / a->groups, out_each = a->out_channels / a->groups;
    size_t per_offset = a->in_channels / a->offset_groups, taps = a->kernel[0] * a->kernel[1];
    size_t plane = a->in_dims[0] * a->in_dims[1], outs = a->out_dims[0] * a->out_dims[1];
    for (size_t tile = first; tile < last; tile++) {
        size_t n = tile / a->out_channels, o = tile % a->out_channels;
        for (size_t p = 0; p < outs; p++) {
            double sum = a->bias ? mbr_real_get(a->dtype, a->bias, o) : 0;
            double y0 = (double)(p / a->out_dims[1] * a->stride[0]) - (double)a->pad[0];
            double x0 = (double)(p % a->out_dims[1] * a->stride[1]) - (double)a->pad[1];
            for (size_t i = 0; i < in_each; i++) {
                size_t c = o / out_each * in_each + i, g = n * a->offset_groups + c / per_offset;
                for (size_t k = 0; k < taps; k++) {
                    size_t at = (g * taps + k) * 2 * outs + p;
                    double y = y0 + (double)(k / a->kernel[1] * a->dilation[0]) + mbr_real_get(a->dtype, a->offset, at);
                    double x = x0 + (double)(k % a->kernel[1] * a->dilation[1]) +
                               mbr_real_get(a->dtype, a->offset, at + outs);
                    double v = sample2(a->dtype, a->in, (n * a->in_channels + c) * plane, a->in_dims, y, x);
                    if (a->mask)
                        v *= mbr_real_get(a->dtype, a->mask, (g * taps + k) * outs + p);
                    sum += v * mbr_real_get(a->dtype, a->weight, (o * in_each + i) * taps + k);
                }
            }
            mbr_real_set(a->dtype, a->out, tile * outs + p, sum);
        }
    }
}

/* --- RoiAlign, MaxRoiPool --- */

/* The four weighted neighbours of a place; false: too far outside, all are 0. */
static bool neighbours(const mbr_roi_align_args *a, size_t base, double y, double x, double *v)
{
    double h = (double)a->in_dims[0], w = (double)a->in_dims[1];
    for (int k = 0; k < 4; k++)
        v[k] = 0;
    if (!(y >= -1 && y <= h && x >= -1 && x <= w))
        return false;
    y = y < 0 ? 0 : y;
    x = x < 0 ? 0 : x;
    double y0 = floor(y), x0 = floor(x), y1 = y0 + 1, x1 = x0 + 1;
    if (y0 >= h - 1)
        y = y0 = y1 = h - 1;
    if (x0 >= w - 1)
        x = x0 = x1 = w - 1;
    double fy = y - y0, fx = x - x0;
    const double ys[4] = { y0, y0, y1, y1 }, xs[4] = { x0, x1, x0, x1 };
    const double weight[4] = { (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx };
    for (int k = 0; k < 4; k++)
        v[k] = weight[k] * mbr_real_get(a->dtype, a->in, base + (size_t)ys[k] * a->in_dims[1] + (size_t)xs[k]);
    return true;
}

static double roi_bin(const mbr_roi_align_args *a, size_t base, const double *start, const double *bin,
                      const double *grid, size_t ph, size_t pw)
{
    double sum = 0;
    bool any = false;
    for (double iy = 0; iy < grid[0]; iy++)
        for (double ix = 0; ix < grid[1]; ix++) {
            double v[4];
            neighbours(a, base, start[0] + (double)ph * bin[0] + (iy + 0.5) * bin[0] / grid[0],
                       start[1] + (double)pw * bin[1] + (ix + 0.5) * bin[1] / grid[1], v);
            if (a->max) {
                double m = fmax(fmax(v[0], v[1]), fmax(v[2], v[3]));
                sum = any ? fmax(sum, m) : m;
                any = true;
            } else {
                sum += v[0] + v[1] + v[2] + v[3];
            }
        }
    double count = grid[0] * grid[1];
    return a->max ? sum : sum / (count > 1 ? count : 1);
}

void mbr_roi_align(const mbr_roi_align_args *a, size_t first, size_t last)
{
    for (size_t tile = first; tile < last; tile++) {
        size_t r = tile / a->channels, c = tile % a->channels;
        double shift = a->half_pixel ? 0.5 : 0, start[2], bin[2], grid[2];
        for (int i = 0; i < 2; i++) { /* boxes are x, y, x, y */
            start[i] = mbr_real_get(a->dtype, a->boxes, 4 * r + (size_t)(1 - i)) * a->spatial_scale - shift;
            double end = mbr_real_get(a->dtype, a->boxes, 4 * r + (size_t)(3 - i)) * a->spatial_scale - shift;
            double size = end - start[i];
            if (!a->half_pixel && !(size >= 1))
                size = 1;
            bin[i] = size / (double)a->out_dims[i];
            grid[i] = a->sampling_ratio > 0 ? (double)a->sampling_ratio : ceil(bin[i]);
            grid[i] = grid[i] > 0 ? grid[i] < 4096 ? grid[i] : 4096 : 0;
        }
        size_t base = ((size_t)a->batch[r] * a->channels + c) * a->in_dims[0] * a->in_dims[1];
        for (size_t p = 0; p < a->out_dims[0] * a->out_dims[1]; p++)
            mbr_real_set(a->dtype, a->out, tile * a->out_dims[0] * a->out_dims[1] + p,
                         roi_bin(a, base, start, bin, grid, p / a->out_dims[1], p % a->out_dims[1]));
    }
}

static size_t clip(double x, size_t most)
{
    return x > 0 ? x < (double)most ? (size_t)x : most : 0;
}

void mbr_max_roi_pool(const mbr_max_roi_pool_args *a, size_t first, size_t last)
{
    size_t outs = a->out_dims[0] * a->out_dims[1];
    for (size_t tile = first; tile < last; tile++) {
        size_t r = tile / a->channels, c = tile % a->channels;
        double start[2], bin[2];
        for (int i = 0; i < 2; i++) {
            start[i] = round(mbr_real_get(a->dtype, a->boxes, 5 * r + (size_t)(2 - i)) * a->spatial_scale);
            double end = round(mbr_real_get(a->dtype, a->boxes, 5 * r + (size_t)(4 - i)) * a->spatial_scale);
            double size = end - start[i] + 1;
            bin[i] = (size > 1 ? size : 1) / (double)a->out_dims[i];
        }
        size_t image = (size_t)mbr_real_get(a->dtype, a->boxes, 5 * r);
        size_t base = (image * a->channels + c) * a->in_dims[0] * a->in_dims[1];
        for (size_t p = 0; p < outs; p++) {
            size_t at[2] = { p / a->out_dims[1], p % a->out_dims[1] }, lo[2], hi[2];
            for (int i = 0; i < 2; i++) {
                lo[i] = clip(floor((double)at[i] * bin[i]) + start[i], a->in_dims[i]);
                hi[i] = clip(ceil((double)(at[i] + 1) * bin[i]) + start[i], a->in_dims[i]);
            }
            double most = lo[0] < hi[0] && lo[1] < hi[1] ? -INFINITY : 0;
            for (size_t y = lo[0]; y < hi[0]; y++)
                for (size_t x = lo[1]; x < hi[1]; x++)
                    most = fmax(most, mbr_real_get(a->dtype, a->in, base + y * a->in_dims[1] + x));
            mbr_real_set(a->dtype, a->out, tile * outs + p, most);
        }
    }
}

/* --- AffineGrid, Col2Im --- */

void mbr_affine_grid(const mbr_affine_grid_args *a, size_t first, size_t last)
{
    size_t points = mbr_dims_count(a->rank, a->dims), rank = (size_t)a->rank;
    for (size_t n = first; n < last; n++)
        for (size_t p = 0; p < points; p++) {
            double x[4] = { 1, 1, 1, 1 };
            size_t rest = p;
            for (int i = a->rank - 1; i >= 0; i--) { /* x[0] belongs to the last axis */
                double d = (double)a->dims[i], at = (double)(rest % a->dims[i]);
                x[a->rank - 1 - i] = a->align_corners ? (d > 1 ? 2 * at / (d - 1) : 0) - 1 : (2 * at + 1) / d - 1;
                rest /= a->dims[i];
            }
            for (size_t k = 0; k < rank; k++) {
                double sum = 0;
                for (size_t j = 0; j <= rank; j++)
                    sum += mbr_real_get(a->dtype, a->theta, (n * rank + k) * (rank + 1) + j) * (j < rank ? x[j] : 1);
                mbr_real_set(a->dtype, a->out, (n * points + p) * rank + k, sum);
            }
        }
}

void mbr_col2im(const mbr_col2im_args *a, size_t first, size_t last)
{
    size_t taps = mbr_dims_count(a->rank, a->block), blocks = mbr_dims_count(a->rank, a->blocks);
    size_t image = mbr_dims_count(a->rank, a->image);
    for (size_t plane = first; plane < last; plane++)
        for (size_t p = 0; p < image; p++) {
            double sum = 0;
            for (size_t k = 0; k < taps; k++) {
                size_t at = p, tap = k, block = 0, scale = 1;
                bool hit = true;
                for (int i = a->rank - 1; i >= 0 && hit; i--) {
                    ptrdiff_t x = (ptrdiff_t)(at % a->image[i]) + a->pad[i] -
                                  (ptrdiff_t)(tap % a->block[i] * a->dilation[i]);
                    hit = x >= 0 && x % (ptrdiff_t)a->stride[i] == 0 && (size_t)x / a->stride[i] < a->blocks[i];
                    block += hit ? (size_t)x / a->stride[i] * scale : 0;
                    scale *= a->blocks[i];
                    at /= a->image[i];
                    tap /= a->block[i];
                }
                if (hit)
                    sum += mbr_real_get(a->dtype, a->in, (plane * taps + k) * blocks + block);
            }
            mbr_real_set(a->dtype, a->out, plane * image + p, sum);
        }
}

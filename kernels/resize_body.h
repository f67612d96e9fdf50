/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resizing of one or two axes on vectors; more axes go to the reference. A file includes a vec_*.h, defines
 * MBR_RESIZE_NAME and includes this.
 */
#include "kernels/resize.h"
#include "kernels/simd/vec_common.h"

/* Columns that are blended at a time when the samples of a row are single elements. */
#define RESIZE_LINE 2048

/* Where the output row `tile` comes from: base of the unchanged dims, position on the first of two axes. */
static const float *resize_locate(const mbr_resize_plan *p, const float *in, size_t tile, size_t *position,
                                  size_t *line)
{
    size_t step = 1, base = 0;
    int last = p->axis[p->axes - 1].axis;
    *position = *line = 0;
    for (int d = p->rank - 1; d >= 0; d--) {
        if (d < last) {
            size_t i = tile % p->out_dims[d];
            tile /= p->out_dims[d];
            if (p->axes == 2 && p->axis[0].axis == d) {
                *position = i;
                *line = step;
            } else {
                base += i * step;
            }
        }
        step *= p->in_dims[d];
    }
    return in + base;
}

/* out = sum of weight[k] * rows[k], `taps` of them, over n elements. */
MBR_INLINE vf resize_blend(const float *in, const int32_t *index, const float *weight, int taps, size_t step, size_t at,
                           size_t n)
{
    vf sum = vf_zero();
    for (int k = 0; k < taps; k++) {
        const float *p = in + (size_t)index[k] * step + at;
        vf v = n == MBR_VL ? vf_load(p) : vf_load_n(p, n);
        sum = vf_fma(v, vf_set1(weight[k]), sum);
    }
    return sum;
}

static void resize_fill(float *out, float x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x;
}

/* Rows of runs of at least a few elements: every output run is a weighted sum of input runs. */
static void resize_runs(const mbr_resize_plan *p, const float *in, float *out, const int32_t *yi, const float *yw,
                        int ytaps, size_t line)
{
    const mbr_resize_axis *x = &p->axis[p->axes - 1];
    size_t inner = p->inner;
    for (size_t o = 0; o < p->row; o++, out += inner) {
        const int32_t *xi = x->index + o * (size_t)x->taps;
        const float *xw = x->weight + o * (size_t)x->taps;
        if (xi[0] < 0) {
            resize_fill(out, p->extrapolation, inner);
            continue;
        }
        for (size_t i = 0; i < inner; i += MBR_VL) {
            size_t n = inner - i < MBR_VL ? inner - i : MBR_VL;
            vf sum;
            if (ytaps == 1) {
                sum = resize_blend(in + (size_t)yi[0] * line, xi, xw, x->taps, inner, i, n);
            } else {
                sum = vf_zero();
                for (int k = 0; k < ytaps; k++) {
                    vf v = resize_blend(in + (size_t)yi[k] * line, xi, xw, x->taps, inner, i, n);
                    sum = vf_fma(v, vf_set1(yw[k]), sum);
                }
            }
            if (n == MBR_VL)
                vf_store(out + i, sum);
            else
                vf_store_n(out + i, sum, n);
        }
    }
}

/* Rows of single elements: the lines are blended first (in pieces), then sampled. */
static void resize_points(const mbr_resize_plan *p, const float *in, float *out, const int32_t *yi, const float *yw,
                          int ytaps, size_t line)
{
    const mbr_resize_axis *x = &p->axis[p->axes - 1];
    size_t width = p->in_dims[x->axis], taps = (size_t)x->taps;
    float blended[RESIZE_LINE];
    const float *src = in + (size_t)yi[0] * line;
    bool whole = width <= RESIZE_LINE;
    if (ytaps > 1 && whole) {
        for (size_t i = 0; i < width; i += MBR_VL) {
            size_t n = width - i < MBR_VL ? width - i : MBR_VL;
            vf_store_n(blended + i, resize_blend(in, yi, yw, ytaps, line, i, n), n);
        }
        src = blended;
    }
    for (size_t o = 0; o < p->row; o++) {
        const int32_t *xi = x->index + o * taps;
        const float *xw = x->weight + o * taps;
        float sum = 0.0f;
        if (xi[0] < 0) {
            out[o] = p->extrapolation;
            continue;
        }
        if (ytaps == 1 || whole) {
            for (size_t k = 0; k < taps; k++)
                sum += xw[k] * src[xi[k]];
        } else {
            for (size_t k = 0; k < taps; k++) {
                float column = 0.0f;
                for (int j = 0; j < ytaps; j++)
                    column += yw[j] * in[(size_t)yi[j] * line + (size_t)xi[k]];
                sum += xw[k] * column;
            }
        }
        out[o] = sum;
    }
}

void MBR_RESIZE_NAME(const mbr_resize_plan *p, const float *in, float *out, size_t first, size_t last)
{
    static const int32_t zero = 0;
    static const float one = 1.0f;
    if (p->axes > 0 && p->mode == MBR_RESIZE_NEAREST && !p->outside) {
        mbr_resize_nearest_any(p, sizeof *in, in, out, first, last);
        return;
    }
    if (p->axes < 1 || p->axes > 2) {
        mbr_resize_ref(p, in, out, first, last);
        return;
    }
    for (size_t t = first; t < last; t++) {
        size_t position, line;
        const float *base = resize_locate(p, in, t, &position, &line);
        float *dst = out + t * p->row * p->inner;
        const int32_t *yi = &zero;
        const float *yw = &one;
        int ytaps = 1;
        if (p->axes == 2) {
            ytaps = p->axis[0].taps;
            yi = p->axis[0].index + position * (size_t)ytaps;
            yw = p->axis[0].weight + position * (size_t)ytaps;
        }
        if (yi[0] < 0)
            resize_fill(dst, p->extrapolation, p->row * p->inner);
        else if (p->inner == 1)
            resize_points(p, base, dst, yi, yw, ytaps, line);
        else
            resize_runs(p, base, dst, yi, yw, ytaps, line);
    }
}

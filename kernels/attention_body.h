/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attention on vectors. A file includes a vec_*.h, defines MBR_ATTENTION_NAME and includes this.
 *
 * For a block of query rows and a block of keys: the keys are turned into panels of AT_COLS columns, scores = q k^T by a
 * micro-kernel of AT_ROWS x AT_COLS, then each row's maximum, exponentials and sum, then values += p v by the same
 * micro-kernel, v being read where it lies.
 */
#include "kernels/attention_layout.h"
#include "kernels/simd/math.h"
#include "kernels/simd/square.h"

#include <math.h>

#define AT_COLS (2 * MBR_VL)
#if MBR_VEC_REGS >= 32
#define AT_ROWS 12
#else
#define AT_ROWS 6
#endif

typedef struct attention_work {
    float *keys;   /* (AT panels, d, AT_COLS) */
    float *scores; /* (rows, ATTENTION_KEYS) */
    float *values; /* (rows, dv rounded up) */
    float *max, *sum;
    size_t values_stride;
} attention_work;

/* c (rows x cols) = or += a (rows x k) b (k x cols), one tile; full: cols is AT_COLS. rows and the flags are constants. */
MBR_INLINE void attention_micro(int rows, const float *a, ptrdiff_t a_stride, const float *b, ptrdiff_t b_stride,
                                float *c, ptrdiff_t c_stride, size_t k, size_t cols, bool full, bool add)
{
    vf acc[AT_ROWS][2];
    size_t n0 = cols < MBR_VL ? cols : MBR_VL, n1 = cols - n0;
    MBR_UNROLL(12)
    for (int r = 0; r < rows; r++) {
        acc[r][0] = !add ? vf_zero() : full ? vf_load(c + r * c_stride) : vf_load_n(c + r * c_stride, n0);
        acc[r][1] = !add ? vf_zero() : full ? vf_load(c + r * c_stride + MBR_VL) : vf_load_n(c + r * c_stride + n0, n1);
    }
    for (size_t i = 0; i < k; i++, b += b_stride) {
        vf b0 = full ? vf_load(b) : vf_load_n(b, n0), b1 = full ? vf_load(b + MBR_VL) : vf_load_n(b + n0, n1);
        MBR_UNROLL(12)
        for (int r = 0; r < rows; r++) {
            vf x = vf_load1(a + r * a_stride + (ptrdiff_t)i);
            acc[r][0] = vf_fma(x, b0, acc[r][0]);
            acc[r][1] = vf_fma(x, b1, acc[r][1]);
        }
    }
    MBR_UNROLL(12)
    for (int r = 0; r < rows; r++) {
        if (full) {
            vf_store(c + r * c_stride, acc[r][0]);
            vf_store(c + r * c_stride + MBR_VL, acc[r][1]);
        } else {
            vf_store_n(c + r * c_stride, acc[r][0], n0);
            vf_store_n(c + r * c_stride + n0, acc[r][1], n1);
        }
    }
}

/* All rows of a column strip. Rows left over go in fours and ones: each row's arithmetic is the same. */
MBR_INLINE void attention_strip(size_t rows, const float *a, ptrdiff_t a_stride, const float *b, ptrdiff_t b_stride,
                                float *c, ptrdiff_t c_stride, size_t k, size_t cols, bool full, bool add)
{
    size_t r = 0;
    for (; r + AT_ROWS <= rows; r += AT_ROWS, a += AT_ROWS * a_stride, c += AT_ROWS * c_stride)
        attention_micro(AT_ROWS, a, a_stride, b, b_stride, c, c_stride, k, cols, full, add);
    for (; r + 4 <= rows; r += 4, a += 4 * a_stride, c += 4 * c_stride)
        attention_micro(4, a, a_stride, b, b_stride, c, c_stride, k, cols, full, add);
    for (; r < rows; r++, a += a_stride, c += c_stride)
        attention_micro(1, a, a_stride, b, b_stride, c, c_stride, k, cols, full, add);
}

/* n keys into panels: panel[i][j] = k[j][i] for AT_COLS keys at a time; absent keys are zeros. */
static void attention_pack_keys(const float *k, ptrdiff_t stride, size_t n, size_t d, float *out)
{
    for (size_t j = 0; j < n; j += AT_COLS, out += d * AT_COLS) {
        size_t cols = n - j < AT_COLS ? n - j : AT_COLS, i = 0;
        const float *from = k + (ptrdiff_t)j * stride;
        for (; cols == AT_COLS && i + MBR_SQUARE <= d; i += MBR_SQUARE)
            for (size_t c = 0; c < AT_COLS; c += MBR_SQUARE)
                mbr_square((const char *)(from + (ptrdiff_t)c * stride + i), stride * (ptrdiff_t)sizeof *k,
                           (char *)(out + i * AT_COLS + c), AT_COLS * (ptrdiff_t)sizeof *k);
        for (; i < d; i++)
            for (size_t c = 0; c < AT_COLS; c++)
                out[i * AT_COLS + c] = c < cols ? from[(ptrdiff_t)c * stride + (ptrdiff_t)i] : 0.0f;
    }
}

/* Dot products of one query row with n keys, along d: for few rows, when panels do not pay. */
static void attention_dots(const float *q, const float *k, ptrdiff_t stride, size_t n, size_t d, float *scores)
{
    for (size_t j = 0; j < n; j += 4) {
        const float *p[4];
        vf s[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
        for (size_t c = 0; c < 4; c++)
            p[c] = k + (ptrdiff_t)(j + c < n ? j + c : j) * stride;
        size_t i = 0;
        for (; i + MBR_VL <= d; i += MBR_VL) {
            vf x = vf_load(q + i);
            for (int c = 0; c < 4; c++)
                s[c] = vf_fma(x, vf_load(p[c] + i), s[c]);
        }
        if (i < d) {
            vf x = vf_load_n(q + i, d - i);
            for (int c = 0; c < 4; c++)
                s[c] = vf_fma(x, vf_load_n(p[c] + i, d - i), s[c]);
        }
        for (size_t c = 0; c < 4 && j + c < n; c++)
            scores[j + c] = vf_sum(s[c]);
    }
}

/* out[c] += sum_j p[j] v[j][c] for one row, many columns at a time. */
static void attention_row_values(const float *p, size_t n, const float *v, ptrdiff_t stride, size_t dv, float *out)
{
    size_t c = 0;
    for (; c + 8 * MBR_VL <= dv; c += 8 * MBR_VL) {
        vf acc[8];
        for (int i = 0; i < 8; i++)
            acc[i] = vf_load(out + c + i * MBR_VL);
        for (size_t j = 0; j < n; j++) {
            vf x = vf_load1(p + j);
            const float *from = v + (ptrdiff_t)j * stride + c;
            for (int i = 0; i < 8; i++)
                acc[i] = vf_fma(x, vf_load(from + i * MBR_VL), acc[i]);
        }
        for (int i = 0; i < 8; i++)
            vf_store(out + c + i * MBR_VL, acc[i]);
    }
    for (; c < dv; c += MBR_VL) {
        size_t part = dv - c < MBR_VL ? dv - c : MBR_VL;
        vf acc = vf_load_n(out + c, part);
        for (size_t j = 0; j < n; j++)
            acc = vf_fma(vf_load1(p + j), vf_load_n(v + (ptrdiff_t)j * stride + c, part), acc);
        vf_store_n(out + c, acc, part);
    }
}

/* Scale, cap and mask n scores of a row; `seen` of them count. Returns their maximum. */
static float attention_finish_scores(const mbr_attention_args *a, const float *mask, float *s, size_t n, size_t seen)
{
    const vf scale = vf_set1(a->scale), least = vf_set1(-INFINITY);
    vf max = least;
    for (size_t j = 0; j < n; j += MBR_VL) {
        size_t part = n - j < MBR_VL ? n - j : MBR_VL, left = seen > j ? seen - j : 0;
        vf x = vf_mul(vf_load_n(s + j, part), scale);
        if (a->softcap != 0.0f)
            x = vf_mul(vf_set1(a->softcap), vf_tanh(vf_div(x, vf_set1(a->softcap))));
        if (mask && a->mask_stride[3] == 1)
            x = vf_add(x, vf_load_n(mask + j, part));
        else if (mask)
            x = vf_add(x, vf_load1(mask));
        if (left < MBR_VL)
            x = vf_select(vm_first_n(left), x, least);
        vf_store_n(s + j, x, part);
        max = vf_max(x, max);
    }
    return vf_hmax(max);
}

/* e^(s - max) in place, over n scores. Returns the sum. */
static float attention_exponentials(float *s, size_t n, float max)
{
    const vf m = vf_set1(max);
    vf sum = vf_zero();
    for (size_t j = 0; j < n; j += MBR_VL) {
        size_t part = n - j < MBR_VL ? n - j : MBR_VL;
        vf e = vf_exp(vf_sub(vf_load_n(s + j, part), m));
        vf_store_n(s + j, e, part);
        sum = vf_add(sum, part == MBR_VL ? e : vf_select(vm_first_n(part), e, vf_zero()));
    }
    return vf_sum(sum);
}

static void attention_scale_row(float *x, float by, size_t n)
{
    for (size_t c = 0; c < n; c += MBR_VL) {
        size_t part = n - c < MBR_VL ? n - c : MBR_VL;
        vf_store_n(x + c, vf_mul(vf_load_n(x + c, part), vf_set1(by)), part);
    }
}

/* Keys from .. from+n-1 into the running softmax of a row: its scores become weights, its values are scaled. */
static void attention_soften(const mbr_attention_args *a, const attention_tile *t, const attention_work *w, size_t r,
                             size_t from, size_t n)
{
    float *s = w->scores + r * ATTENTION_KEYS;
    size_t seen = attention_keys_of_row(a, t, r);
    const float *mask = t->mask;
    if (mask)
        mask += (ptrdiff_t)r * a->mask_stride[2] + (ptrdiff_t)from * a->mask_stride[3];
    float max = attention_finish_scores(a, mask, s, n, seen > from ? seen - from : 0);
    float old = w->max[r];
    max = max > old ? max : old;
    w->max[r] = max;
    if (max == -INFINITY) /* nothing yet, or NaN, which the exponentials show */
        max = 0.0f;
    float again = old == -INFINITY ? 0.0f : expf(old - max);
    w->sum[r] = w->sum[r] * again + attention_exponentials(s, n, max);
    if (again != 1.0f && from > 0)
        attention_scale_row(w->values + r * w->values_stride, again, a->dv);
}

#define AT_FEW 4 /* rows up to which keys are read as they lie */

static void attention_block(const mbr_attention_args *a, const attention_tile *t, const attention_work *w, size_t from,
                            size_t n)
{
    const float *k = t->k + (ptrdiff_t)from * a->k_stride[2], *v = t->v + (ptrdiff_t)from * a->v_stride[2];
    bool few = a->lq <= AT_FEW;
    if (few) {
        for (size_t r = 0; r < t->rows; r++)
            attention_dots(t->q + (ptrdiff_t)r * a->q_stride[2], k, a->k_stride[2], n, a->d,
                           w->scores + r * ATTENTION_KEYS);
    } else {
        attention_pack_keys(k, a->k_stride[2], n, a->d, w->keys);
        for (size_t j = 0; j < n; j += AT_COLS)
            attention_strip(t->rows, t->q, a->q_stride[2], w->keys + j * a->d, AT_COLS, w->scores + j, ATTENTION_KEYS,
                            a->d, AT_COLS, true, false);
    }
    for (size_t r = 0; r < t->rows; r++)
        attention_soften(a, t, w, r, from, n);
    if (few) {
        for (size_t r = 0; r < t->rows; r++)
            attention_row_values(w->scores + r * ATTENTION_KEYS, n, v, a->v_stride[2], a->dv,
                                 w->values + r * w->values_stride);
        return;
    }
    size_t c = 0;
    for (; c + AT_COLS <= a->dv; c += AT_COLS)
        attention_strip(t->rows, w->scores, ATTENTION_KEYS, v + c, a->v_stride[2], w->values + c,
                        (ptrdiff_t)w->values_stride, n, AT_COLS, true, true);
    if (c < a->dv)
        attention_strip(t->rows, w->scores, ATTENTION_KEYS, v + c, a->v_stride[2], w->values + c,
                        (ptrdiff_t)w->values_stride, n, a->dv - c, false, true);
}

void MBR_ATTENTION_NAME(const mbr_attention_args *args, void *scratch, size_t first, size_t last)
{
    attention_work w = {.keys = scratch};
    w.values_stride = (args->dv + 15) / 16 * 16;
    w.scores = w.keys + (args->d + 15) / 16 * 16 * ATTENTION_KEYS;
    w.values = w.scores + ATTENTION_ROWS * ATTENTION_KEYS;
    w.max = w.values + ATTENTION_ROWS * w.values_stride;
    w.sum = w.max + ATTENTION_ROWS;
    for (size_t index = first; index < last; index++) {
        attention_tile t = attention_tile_at(args, index);
        memset(w.values, 0, t.rows * w.values_stride * sizeof *w.values);
        for (size_t r = 0; r < t.rows; r++) {
            w.max[r] = -INFINITY;
            w.sum[r] = 0.0f;
        }
        for (size_t from = 0; from < t.keys; from += ATTENTION_KEYS)
            attention_block(args, &t, &w, from, t.keys - from < ATTENTION_KEYS ? t.keys - from : ATTENTION_KEYS);
        for (size_t r = 0; r < t.rows; r++) {
            float *out = t.out + (ptrdiff_t)r * args->out_stride[2];
            memcpy(out, w.values + r * w.values_stride, args->dv * sizeof *out);
            attention_scale_row(out, w.sum[r] == 0.0f ? 0.0f : 1.0f / w.sum[r], args->dv);
        }
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attention on vectors. A file includes a vec_*.h, defines MBR_ATTENTION_NAME and includes this.
 *
 * For a tile of query rows and a block of keys: the keys are turned into panels of AT_COLS columns, the values are
 * copied into such panels, for rows of theirs often lie whole pages apart. Then, for a group of rows at a time, whose
 * scores stay in the first-level cache: scores = scale q k^T by a micro-kernel of AT_ROWS x AT_COLS, each row's maximum,
 * exponentials and sum, and sums += p v by the same micro-kernel.
 */
#include "kernels/attention_layout.h"
#include "base/checked.h"
#include "kernels/simd/math.h"
#include "kernels/simd/square.h"

#include <math.h>

#define AT_COLS (2 * MBR_VL)
#if MBR_VEC_REGS >= 32
#define AT_ROWS 12
#else
#define AT_ROWS 6
#endif
#define AT_STEP (4 * MBR_VL) /* scores that are softened at a time: rows are filled up to a multiple */

typedef struct attention_work {
    const float *keys;   /* (panels, d, AT_COLS) */
    const float *panels; /* of the values: (panels, ATTENTION_KEYS, AT_COLS) */
    float *scores; /* (ATTENTION_GROUP, ATTENTION_KEYS) */
    float *values; /* (rows, dv rounded up) */
    float *max, *sum, *again; /* (rows), (rows), (ATTENTION_GROUP) */
    float *hides; /* (rows) a mask up to this one excludes a key */
    size_t values_stride;
} attention_work;

/* c (rows x AT_COLS) = scale a b, or c + a b; a (rows x k), b (k x AT_COLS) dense. rows and add are constants. */
MBR_INLINE void attention_micro(int rows, const float *a, ptrdiff_t a_stride, const float *b, float *c,
                                ptrdiff_t c_stride, size_t k, bool add, float scale)
{
    vf acc[AT_ROWS][2];
    MBR_UNROLL(12)
    for (int r = 0; r < rows; r++) {
        acc[r][0] = !add ? vf_zero() : vf_load(c + r * c_stride);
        acc[r][1] = !add ? vf_zero() : vf_load(c + r * c_stride + MBR_VL);
    }
    for (size_t i = 0; i < k; i++, b += AT_COLS) {
        vf b0 = vf_load(b), b1 = vf_load(b + MBR_VL);
        MBR_UNROLL(12)
        for (int r = 0; r < rows; r++) {
            vf x = vf_load1(a + r * a_stride + (ptrdiff_t)i);
            acc[r][0] = vf_fma(x, b0, acc[r][0]);
            acc[r][1] = vf_fma(x, b1, acc[r][1]);
        }
    }
    MBR_UNROLL(12)
    for (int r = 0; r < rows; r++) {
        vf_store(c + r * c_stride, add ? acc[r][0] : vf_mul(acc[r][0], vf_set1(scale)));
        vf_store(c + r * c_stride + MBR_VL, add ? acc[r][1] : vf_mul(acc[r][1], vf_set1(scale)));
    }
}

/* All rows of a column strip. Rows left over go in fours and ones: each row's arithmetic is the same. */
MBR_INLINE void attention_strip(size_t rows, const float *a, ptrdiff_t a_stride, const float *b, float *c,
                                ptrdiff_t c_stride, size_t k, bool add, float scale)
{
    size_t r = 0;
    for (; r + AT_ROWS <= rows; r += AT_ROWS, a += AT_ROWS * a_stride, c += AT_ROWS * c_stride)
        attention_micro(AT_ROWS, a, a_stride, b, c, c_stride, k, add, scale);
    for (; r + 4 <= rows; r += 4, a += 4 * a_stride, c += 4 * c_stride)
        attention_micro(4, a, a_stride, b, c, c_stride, k, add, scale);
    for (; r < rows; r++, a += a_stride, c += c_stride)
        attention_micro(1, a, a_stride, b, c, c_stride, k, add, scale);
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

/* n rows of values into panels: panel[j][c] = v[j][c] for AT_COLS columns at a time; absent columns are zeros. */
static void attention_pack_values(const float *v, ptrdiff_t stride, size_t n, size_t dv, float *out)
{
    for (size_t j = 0; j < n; j++, v += stride) {
        float *to = out + j * AT_COLS;
        for (size_t c = 0; c < dv; c += AT_COLS, to += ATTENTION_KEYS * AT_COLS) {
            size_t left = dv - c, n0 = left < MBR_VL ? left : MBR_VL;
            size_t n1 = left - n0 < MBR_VL ? left - n0 : MBR_VL;
            vf_store(to, n0 == MBR_VL ? vf_load(v + c) : vf_load_n(v + c, n0));
            vf_store(to + MBR_VL, n1 == MBR_VL ? vf_load(v + c + MBR_VL) : n1 ? vf_load_n(v + c + MBR_VL, n1) : vf_zero());
        }
    }
}

/* Scaled dot products of one query row with n keys, along d: for few rows, when panels do not pay. */
static void attention_dots(const float *q, const float *k, ptrdiff_t stride, size_t n, size_t d, float scale,
                           float *scores)
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
            scores[j + c] = scale * vf_sum(s[c]);
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

/* Caps and masks the scores of a row, `seen` of n, and puts -inf behind them up to a multiple of AT_STEP. */
static float attention_finish_scores(const mbr_attention_args *a, const float *mask, float *s, size_t n, size_t seen)
{
    const vf least = vf_set1(-INFINITY);
    for (size_t j = 0; j < seen && a->softcap != 0.0f; j += MBR_VL) {
        size_t part = seen - j < MBR_VL ? seen - j : MBR_VL;
        vf x = vf_div(vf_load_n(s + j, part), vf_set1(a->softcap));
        vf_store_n(s + j, vf_mul(vf_set1(a->softcap), vf_tanh(x)), part);
    }
    for (size_t j = 0; j < seen && mask; j += MBR_VL) {
        size_t part = seen - j < MBR_VL ? seen - j : MBR_VL;
        vf m = a->mask_stride[3] == 1 ? vf_load_n(mask + j, part) : vf_load1(mask);
        vf_store_n(s + j, vf_add(vf_load_n(s + j, part), m), part);
    }
    size_t end = (n + AT_STEP - 1) / AT_STEP * AT_STEP;
    for (size_t j = seen; j < end; j++)
        s[j] = -INFINITY;
    vf max[2] = { least, least };
    for (size_t j = 0; j < end; j += 2 * MBR_VL) {
        max[0] = vf_max(vf_load(s + j), max[0]);
        max[1] = vf_max(vf_load(s + j + MBR_VL), max[1]);
    }
    return vf_hmax(vf_max(max[0], max[1]));
}

/* e^(s - max) in place, over n scores up to a multiple of AT_STEP. Returns the sum. */
static float attention_exponentials(float *s, size_t n, float max)
{
    const vf m = vf_set1(max);
    vf sum[2] = { vf_zero(), vf_zero() };
    for (size_t j = 0; j < n; j += AT_STEP) {
        vf e[4];
        MBR_UNROLL(4)
        for (int i = 0; i < 4; i++)
            e[i] = vf_sub(vf_load(s + j + i * MBR_VL), m);
        vf_exp_down_many(e, 4);
        MBR_UNROLL(4)
        for (int i = 0; i < 4; i++)
            vf_store(s + j + i * MBR_VL, e[i]);
        sum[0] = vf_add(sum[0], vf_add(e[0], e[1]));
        sum[1] = vf_add(sum[1], vf_add(e[2], e[3]));
    }
    return vf_sum(vf_add(sum[0], sum[1]));
}

static void attention_scale_row(float *x, float by, size_t n)
{
    for (size_t c = 0; c < n; c += MBR_VL) {
        size_t part = n - c < MBR_VL ? n - c : MBR_VL;
        vf_store_n(x + c, vf_mul(vf_load_n(x + c, part), vf_set1(by)), part);
    }
}

/*
 * Keys from .. from+n-1 into the running softmax of rows first .. first+rows-1, at most ATTENTION_GROUP: their scores
 * become weights, their values are scaled.
 */
static void attention_soften(const mbr_attention_args *a, const attention_tile *t, const attention_work *w,
                             size_t first, size_t rows, size_t from, size_t n)
{
    for (size_t i = 0; i < rows; i++) {
        size_t r = first + i, seen = attention_keys_of_row(a, t, r);
        const float *mask = t->mask;
        if (mask)
            mask += (ptrdiff_t)r * a->mask_stride[2] + (ptrdiff_t)from * a->mask_stride[3];
        seen = seen > from ? seen - from : 0;
        float max = attention_finish_scores(a, mask, w->scores + i * ATTENTION_KEYS, n, seen < n ? seen : n);
        float old = w->max[r];
        max = max > old ? max : old;
        w->max[r] = max;
        w->again[i] = max == old ? 0.0f : old - max; /* -inf - -inf would be NaN */
    }
    for (size_t i = 0; i < rows; i += MBR_VL) {
        vf x = vf_load(w->again + i);
        vf_exp_down_many(&x, 1);
        vf_store(w->again + i, x);
    }
    for (size_t i = 0; i < rows; i++) {
        size_t r = first + i;
        float max = w->max[r] == -INFINITY ? 0.0f : w->max[r]; /* nothing yet, or NaN, which the exponentials show */
        w->sum[r] = w->sum[r] * w->again[i] + attention_exponentials(w->scores + i * ATTENTION_KEYS, n, max);
        if (w->again[i] != 1.0f && from > 0)
            attention_scale_row(w->values + r * w->values_stride, w->again[i], a->dv);
    }
}

/*
 * -inf excludes a key, and so does the lowest number that many exporters write, where the row has another key: the
 * difference of the two is so large that the weight is zero.
 */
static float attention_hiding(const mbr_attention_args *a, const attention_tile *t, size_t r)
{
    const float *mask = t->mask + (ptrdiff_t)r * a->mask_stride[2];
    for (size_t j = 0; j < attention_keys_of_row(a, t, r); j++)
        if (mask[j] > -1e37f)
            return -1e38f;
    return -INFINITY;
}

/*
 * Keys *begin .. *end - 1 of the block are all that some of the rows sees; none: both are 0. A weight of zero changes
 * neither sums nor values, and begin is a multiple of AT_STEP, so that every sum is taken in the same order.
 */
static void attention_reach(const mbr_attention_args *a, const attention_tile *t, const float *hides, size_t first,
                            size_t rows, size_t from, size_t n, size_t *begin, size_t *end)
{
    size_t low = n, high = 0;
    for (size_t r = first + rows; r-- > first && (low || high < n);) { /* later rows may see more */
        size_t seen = attention_keys_of_row(a, t, r), at = 0;
        seen = seen > from ? mbr_min_size(seen - from, n) : 0;
        if (t->mask && a->mask_stride[3] == 1) {
            const float *mask = t->mask + (ptrdiff_t)r * a->mask_stride[2] + (ptrdiff_t)from;
            while (seen > high && mask[seen - 1] <= hides[r])
                seen--;
            while (at < mbr_min_size(low, seen) && mask[at] <= hides[r])
                at++;
        }
        if (seen > at) {
            high = mbr_max_size(high, seen);
            low = mbr_min_size(low, at);
        }
    }
    *end = high;
    *begin = high ? low / AT_STEP * AT_STEP : 0;
}

/* One group of rows meets the keys of a block that it sees. */
static void attention_group(const mbr_attention_args *a, const attention_tile *t, const attention_work *whole,
                            size_t first, size_t rows, size_t from, size_t n)
{
    size_t begin, end;
    attention_work part = *whole;
    const attention_work *w = &part;
    attention_reach(a, t, whole->hides, first, rows, from, n, &begin, &end);
    if (end == 0)
        return;
    part.keys += begin * a->d;
    part.panels += begin * AT_COLS;
    from += begin;
    n = end - begin;
    const float *q = t->q + (ptrdiff_t)first * a->q_stride[2], *v = t->v + (ptrdiff_t)from * a->v_stride[2];
    float *values = w->values + first * w->values_stride;
    if (a->lq <= ATTENTION_FEW) {
        for (size_t r = 0; r < rows; r++)
            attention_dots(q + (ptrdiff_t)r * a->q_stride[2], t->k + (ptrdiff_t)from * a->k_stride[2], a->k_stride[2], n,
                           a->d, a->scale, w->scores + r * ATTENTION_KEYS);
        attention_soften(a, t, w, first, rows, from, n);
        for (size_t r = 0; r < rows; r++)
            attention_row_values(w->scores + r * ATTENTION_KEYS, n, v, a->v_stride[2], a->dv,
                                 values + r * w->values_stride);
        return;
    }
    for (size_t j = 0; j < n; j += AT_COLS)
        attention_strip(rows, q, a->q_stride[2], w->keys + j * a->d, w->scores + j, ATTENTION_KEYS, a->d, false,
                        a->scale);
    attention_soften(a, t, w, first, rows, from, n);
    for (size_t c = 0; c < a->dv; c += AT_COLS)
        attention_strip(rows, w->scores, ATTENTION_KEYS, w->panels + c * ATTENTION_KEYS, values + c,
                        (ptrdiff_t)w->values_stride, n, true, 1.0f);
}

/* n keys from `from` on, and their values. */
static void attention_pack_block(const mbr_attention_args *a, const float *k, const float *v, size_t from, size_t n,
                                 float *out)
{
    attention_pack_keys(k + (ptrdiff_t)from * a->k_stride[2], a->k_stride[2], n, a->d, out);
    attention_pack_values(v + (ptrdiff_t)from * a->v_stride[2], a->v_stride[2], n, a->dv,
                          out + attention_padded(a->d) * ATTENTION_KEYS);
}

static void attention_pack_blocks(const mbr_attention_args *a, size_t first, size_t last)
{
    size_t blocks = attention_blocks_of_head(a);
    for (size_t i = first; i < last; i++) {
        size_t from = i % blocks * ATTENTION_KEYS, n = a->lk - from < ATTENTION_KEYS ? a->lk - from : ATTENTION_KEYS;
        ptrdiff_t head = (ptrdiff_t)(i / blocks % a->kv_heads), batch = (ptrdiff_t)(i / blocks / a->kv_heads);
        attention_pack_block(a, a->k + batch * a->k_stride[0] + head * a->k_stride[1],
                             a->v + batch * a->v_stride[0] + head * a->v_stride[1], from, n,
                             a->panels + i * attention_block_floats(a));
    }
}

void MBR_ATTENTION_NAME(const mbr_attention_args *args, void *scratch, size_t first, size_t last)
{
    if (args->pack) {
        attention_pack_blocks(args, first, last);
        return;
    }
    float *own = scratch;
    attention_work w = {.values_stride = attention_padded(args->dv), .scores = own + attention_block_floats(args)};
    w.values = w.scores + ATTENTION_GROUP * ATTENTION_KEYS;
    w.max = w.values + ATTENTION_ROWS * w.values_stride;
    w.sum = w.max + ATTENTION_ROWS;
    w.hides = w.sum + ATTENTION_ROWS;
    w.again = w.hides + ATTENTION_ROWS;
    memset(w.again, 0, 2 * ATTENTION_GROUP * sizeof *w.again);
    for (size_t index = first; index < last; index++) {
        attention_tile t = attention_tile_at(args, index);
        memset(w.values, 0, t.rows * w.values_stride * sizeof *w.values);
        for (size_t r = 0; r < t.rows; r++) {
            w.max[r] = -INFINITY;
            w.sum[r] = 0.0f;
            if (t.mask && args->mask_stride[3] == 1)
                w.hides[r] = attention_hiding(args, &t, r);
        }
        for (size_t from = 0; from < t.keys; from += ATTENTION_KEYS) {
            size_t n = t.keys - from < ATTENTION_KEYS ? t.keys - from : ATTENTION_KEYS;
            w.keys = t.panels ? t.panels + from / ATTENTION_KEYS * attention_block_floats(args) : own;
            w.panels = w.keys + attention_padded(args->d) * ATTENTION_KEYS;
            size_t begin, end;
            attention_reach(args, &t, w.hides, 0, t.rows, from, n, &begin, &end);
            if (end == 0)
                continue;
            if (!t.panels && args->lq > ATTENTION_FEW)
                attention_pack_block(args, t.k, t.v, from, end, own);
            for (size_t r = 0; r < t.rows; r += ATTENTION_GROUP)
                attention_group(args, &t, &w, r, t.rows - r < ATTENTION_GROUP ? t.rows - r : ATTENTION_GROUP, from, n);
        }
        for (size_t r = 0; r < t.rows; r++) {
            float *out = t.out + (ptrdiff_t)r * args->out_stride[2], by = attention_factor_of_sum(args, w.sum[r]);
            if (by == 0.0f)
                memset(out, 0, args->dv * sizeof *out);
            else
                memcpy(out, w.values + r * w.values_stride, args->dv * sizeof *out);
            attention_scale_row(out, by, args->dv);
        }
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Products of 8-bit matrices and convolutions of 8-bit tensors, stamped out once per instruction set: the including
 * file has included a vec_*.h and defines
 *
 *   QG_MR, QG_NV, QG_EACH_ROW(X)   as for gemm_micro.h, in vectors of 32-bit sums
 *   QG_TILE_MACS                   products in a tile of about 150 us
 *   QG_NAME, QG_CONV_NAME, QG_TIER the rows of qgemm.def and qconv.def
 *   QG_BYTES                       1: the dot product takes four bytes, unsigned of A, signed of B;
 *                                  0: it takes two 16-bit numbers of each
 *   QG_A_SIGNED                    with QG_BYTES: the bytes of A are signed too
 *   qg_dot(sum, a, b)              sum + that dot product, in each lane
 *   QG_B(b)                        b as qg_dot wants it, once for all rows; or nothing
 *   QG_COPY_BYTES(to, from, n, x)  n bytes, each changed by ^ x; or nothing
 *   QG_ROUND                       a panel's k is filled up to a multiple of this, for other forms; or nothing
 *
 * A block of A is always converted into scratch: to differences from the zero point (16 bits), or to bytes of the right
 * signedness. A panel of B is QG_HEAD bytes and then (steps, QG_NR) groups of four bytes: step s holds the products p =
 * 2 s, 2 s + 1, or 4 s .. 4 s + 3. With bytes, the zero points are put right at the end: the head holds each column's
 * sum of differences and its zero point, and
 *
 *     sum (a - za) (b - zb) = sum a b - zb sum a - za sum (b - zb)
 */
#ifndef MBR_KERNELS_QGEMM_BODY_H
#define MBR_KERNELS_QGEMM_BODY_H

#include "kernels/conv_walk.h"
#include "kernels/qgemm.h"
#include "kernels/qgemm_plan.h"
#include "kernels/simd/act.h"

#include <math.h>

#define QG_NR (QG_NV * MBR_VL)
#define QG_STEP (QG_BYTES ? 4 : 2)  /* products in a step */
#define QG_WIDTH (QG_BYTES ? 1 : 2) /* bytes of an element */
#define QG_HEAD (QG_BYTES ? 2 * QG_NR * sizeof(int32_t) : 0)
#ifndef QG_ROUND
#define QG_ROUND QG_STEP /* k of a panel is filled up with zeros to a multiple */
#endif
#define QG_FLIP(is_signed, wanted) ((is_signed) == (wanted) ? 0 : 0x80) /* turns one kind of byte into the other */
#ifndef QG_B
#define QG_B(b) (b)
#endif
#ifndef QG_A_SIGNED
#define QG_A_SIGNED false
#endif
/* One copy of what is long, whatever it is called with. */
#if defined(__clang__)
#define QG_ONCE MBR_NOINLINE
#else
#define QG_ONCE __attribute__((noinline, noclone))
#endif
#ifndef QG_MOST_ROWS /* of any form that is run here */
#define QG_MOST_ROWS QG_MR
#endif

static size_t qg_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static size_t qg_panel_bytes(size_t k)
{
    return QG_HEAD + qg_up(k, QG_ROUND) / QG_STEP * QG_NR * 4;
}

QG_ONCE static qg_plan qg_plan_of(const qg_form *form, size_t m, size_t n, size_t k, size_t copies, bool gathers)
{
    return mbr_qg_plan_of(form, m, n, k, copies, QG_NR, qg_panel_bytes(k), QG_WIDTH,
                          gathers ? sizeof(conv_segment) : 0);
}

static size_t qg_plan_scratch(const qg_plan *p)
{
    return p->segment_bytes + p->a_bytes + p->acc_bytes + p->row_bytes;
}

/* ---- the inner loop ---- */

MBR_INLINE vi qg_load4(const char *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return vi_set1(x);
}

MBR_INLINE void qg_micro(const qg_tile *t, const int mr)
{
    vi sum[QG_MR][QG_NV];
    MBR_UNROLL(16)
    for (int r = 0; r < mr; r++) {
        MBR_UNROLL(4)
        for (int v = 0; v < QG_NV; v++)
            sum[r][v] = t->first ? vi_zero() : vi_load(t->acc + (r * QG_NV + v) * MBR_VL);
    }
    const char *row[(QG_MR + 2) / 3], *b = t->b;
    MBR_UNROLL(16)
    for (int g = 0; g < (mr + 2) / 3; g++)
        row[g] = t->a + 3 * g * t->lda;
    const ptrdiff_t lda = t->lda;
    const size_t end = t->steps * 4;
    for (size_t s = 0; s < end; s += 4) {
        vi bv[QG_NV];
        MBR_UNROLL(4)
        for (int v = 0; v < QG_NV; v++)
            bv[v] = QG_B(vi_load((const int32_t *)(const void *)(b + s * QG_NR + (size_t)v * MBR_VL * 4)));
        MBR_UNROLL(16)
        for (int r = 0; r < mr; r++) {
            vi av = qg_load4(row[r / 3] + (r % 3) * lda + s);
            MBR_UNROLL(4)
            for (int v = 0; v < QG_NV; v++)
                sum[r][v] = qg_dot(sum[r][v], av, bv[v]);
        }
    }
    MBR_UNROLL(16)
    for (int r = 0; r < mr; r++) {
        MBR_UNROLL(4)
        for (int v = 0; v < QG_NV; v++)
            vi_store(t->acc + (r * QG_NV + v) * MBR_VL, sum[r][v]);
    }
}

#define QG_MICRO(mr)                                                                                                   \
    static void qg_micro_##mr(const qg_tile *t)                                                                        \
    {                                                                                                                  \
        qg_micro(t, mr);                                                                                               \
    }
QG_EACH_ROW(QG_MICRO)
#undef QG_MICRO

static void qg_micro_any(const qg_tile *t, size_t mr)
{
    static void (*const rows[QG_MR])(const qg_tile *t) = {
#define QG_MICRO(mr) qg_micro_##mr,
        QG_EACH_ROW(QG_MICRO)
#undef QG_MICRO
    };
    rows[mr - 1](t);
}

static const qg_form qg_own = {QG_MR, 1, 512, QG_TILE_MACS, 0, qg_micro_any, NULL, NULL};

/* ---- the way out ---- */

/* Where the sums of a tile's columns from j on go. */
typedef struct qg_out {
    const mbr_quant_out *q;
    char *c;
    ptrdiff_t ldc; /* elements */
    size_t j;      /* column of C that the first column here is */
    const float *other;
    int32_t a_zero;          /* as A is in scratch */
    const int32_t *row_sums; /* of A, or NULL where all zero points of B are zero */
} qg_out;

MBR_INLINE vf qg_value(const mbr_quant_out *q, vf x, vf other, mbr_act_kind kind, float a, float b)
{
    if (q->other_is == MBR_GEMM_OTHER_ADD)
        x = vf_add(x, other);
    x = vf_act(x, kind, a, b);
    if (q->other_is == MBR_GEMM_OTHER_ADD_AFTER)
        x = vf_add(x, other);
    else if (q->other_is == MBR_GEMM_OTHER_MUL_AFTER)
        x = vf_mul(x, other);
    return x;
}

MBR_INLINE void qg_store_byte(char *to, vi byte, size_t n, bool u8)
{
    if (n == MBR_VL) {
        if (u8)
            vi_store_u8((uint8_t *)to, byte);
        else
            vi_store_s8((int8_t *)to, byte);
    } else if (u8)
        vi_store_u8_n((uint8_t *)to, byte, n);
    else
        vi_store_s8_n((int8_t *)to, byte, n);
}

MBR_INLINE void qg_finish_kind(const qg_out *o, const int32_t *acc, size_t ld, const int32_t *head, size_t rows,
                               size_t cols, mbr_act_kind kind, float a, float b, const mbr_dtype type)
{
    const mbr_quant_out *q = o->q;
    const bool u8 = type == MBR_DTYPE_U8;
    vf low = vf_set1(u8 ? 0 : -128), high = vf_set1(u8 ? 255 : 127), zero = vf_set1((float)q->zero);
    for (size_t j = 0; j < cols; j += MBR_VL) {
        size_t n = cols - j < MBR_VL ? cols - j : MBR_VL, at = o->j + j;
        vi add = q->bias ? vi_load_n(q->bias + at, n) : vi_zero(), b_zero = vi_zero();
        if (QG_BYTES) {
            add = vi_sub(add, vi_mul(vi_set1(o->a_zero), vi_load(head + j)));
            b_zero = vi_load(head + QG_NR + j);
        }
        const bool whole = type == MBR_DTYPE_I32;
        vf scale = whole ? vf_zero() : vf_load_n(q->scale + at, n);
        vf bias = q->real_bias && !whole ? vf_load_n(q->real_bias + at, n) : vf_zero();
        for (size_t r = 0; r < rows; r++) {
            vi sum = vi_add(vi_load(acc + r * ld + j), add);
            if (QG_BYTES && o->row_sums)
                sum = vi_sub(sum, vi_mul(vi_set1(o->row_sums[r]), b_zero));
            ptrdiff_t c = (ptrdiff_t)r * o->ldc + (ptrdiff_t)j;
            if (whole) {
                vi_store_n((int32_t *)(void *)o->c + c, sum, n);
                continue;
            }
            vf other = o->other ? vf_load_n(o->other + (ptrdiff_t)r * q->ld_other + (ptrdiff_t)j, n) : vf_zero();
            vf x = qg_value(q, vf_add(vf_mul(vi_to_vf(sum), scale), bias), other, kind, a, b);
            if (type == MBR_DTYPE_F32) {
                vf_store_n((float *)(void *)o->c + c, x, n);
                continue;
            }
            x = vf_round(vf_mul(x, vf_set1(q->inverse_scale)));
            x = vf_add(vf_select(vf_is_nan(x), vf_zero(), x), zero);
            vi byte = vf_to_vi(vf_clip(x, low, high));
            qg_store_byte(o->c + c, byte, n, u8);
        }
    }
}

/* Whether no sum that is scaled becomes a NaN. */
static bool qg_is_tame(const mbr_quant_out *q, size_t at, size_t cols)
{
    vf rest = vf_zero();
    for (size_t j = 0; j < cols; j += MBR_VL) {
        size_t n = cols - j < MBR_VL ? cols - j : MBR_VL;
        vf scale = vf_load_n(q->scale + at + j, n);
        rest = vf_add(rest, vf_sub(scale, scale));
        if (q->real_bias) {
            vf bias = vf_load_n(q->real_bias + at + j, n);
            rest = vf_add(rest, vf_sub(bias, bias));
        }
    }
    return vm_all(vf_eq(rest, vf_zero()));
}

/* The common case of qg_finish_kind: bytes, tame, nothing but clipping, which can then wait for the rounded values. */
MBR_INLINE void qg_finish_bytes(const qg_out *o, const int32_t *acc, size_t ld, const int32_t *head, size_t rows,
                                size_t cols, vf low, vf high, const bool u8)
{
    const mbr_quant_out *q = o->q;
    vf inverse = vf_set1(q->inverse_scale);
    vi zero = vi_set1(q->zero);
    for (size_t j = 0; j < cols; j += MBR_VL) {
        size_t n = cols - j < MBR_VL ? cols - j : MBR_VL, at = o->j + j;
        vi add = q->bias ? vi_load_n(q->bias + at, n) : vi_zero(), b_zero = vi_zero();
        if (QG_BYTES) {
            add = vi_sub(add, vi_mul(vi_set1(o->a_zero), vi_load(head + j)));
            b_zero = vi_load(head + QG_NR + j);
        }
        vf scale = vf_load_n(q->scale + at, n), bias = q->real_bias ? vf_load_n(q->real_bias + at, n) : vf_zero();
        char *to = o->c + j;
        for (size_t r = 0; r < rows; r++, to += o->ldc) {
            vi sum = vi_add(vi_load(acc + r * ld + j), add);
            if (QG_BYTES && o->row_sums)
                sum = vi_sub(sum, vi_mul(b_zero, vi_set1(o->row_sums[r])));
            vf x = vf_mul(vf_add(vf_mul(vi_to_vf(sum), scale), bias), inverse);
            qg_store_byte(to, vi_add(vf_to_vi(vf_min(vf_max(x, low), high)), zero), n, u8);
        }
    }
}

/*
 * Sums (rows, cols), ld between rows; head: of the panel, with QG_BYTES. What is not clipping is rare: one loop that
 * looks at the kind for each vector does for all of it.
 */
QG_ONCE static void qg_finish(const qg_out *o, const int32_t *acc, size_t ld, const int32_t *head, size_t rows,
                              size_t cols)
{
    const mbr_quant_out *q = o->q;
    mbr_act act = q->act;
    mbr_dtype type = q->type;
    float low = act.kind == MBR_ACT_RELU ? 0 : act.kind == MBR_ACT_CLIP ? act.a : -INFINITY;
    float high = act.kind == MBR_ACT_CLIP ? act.b : INFINITY;
    bool clips = act.kind <= MBR_ACT_CLIP, bytes = type == MBR_DTYPE_U8 || type == MBR_DTYPE_I8;
    if (bytes && clips && !q->other_is && low <= high && q->inverse_scale > 0 && q->inverse_scale < INFINITY &&
        qg_is_tame(q, o->j, cols)) {
        float least = (type == MBR_DTYPE_U8 ? 0 : -128) - (float)q->zero;
        vf from = vf_set1(least), to = vf_set1(least + 255), by = vf_set1(q->inverse_scale);
        from = vf_min(vf_max(vf_round(vf_mul(vf_set1(low), by)), from), to);
        to = vf_max(vf_min(vf_round(vf_mul(vf_set1(high), by)), to), vf_set1(least));
        if (type == MBR_DTYPE_U8)
            qg_finish_bytes(o, acc, ld, head, rows, cols, from, to, true);
        else
            qg_finish_bytes(o, acc, ld, head, rows, cols, from, to, false);
        return;
    }
#define KIND(kind, type) qg_finish_kind(o, acc, ld, head, rows, cols, kind, low, high, type)
    if (type == MBR_DTYPE_I32)
        KIND(MBR_ACT_NONE, MBR_DTYPE_I32);
    else if (type == MBR_DTYPE_F32 && clips)
        KIND(MBR_ACT_CLIP, MBR_DTYPE_F32);
    else
        qg_finish_kind(o, acc, ld, head, rows, cols, clips ? MBR_ACT_CLIP : act.kind, clips ? low : act.a,
                       clips ? high : act.b, type);
#undef KIND
}

/* One block of k for rows x cols; see gemm_block. */
QG_ONCE static void qg_block(const qg_form *form, const char *a, ptrdiff_t lda, const char *b, size_t panel_bytes,
                             size_t s0, size_t steps, size_t rows, size_t cols, int32_t *acc, bool first, bool last,
                             const qg_out *out)
{
    _Alignas(64) int32_t sums[QG_MOST_ROWS * QG_NR];
    qg_tile t = {.steps = steps, .lda = lda, .first = first};
    size_t size = out->q->type == MBR_DTYPE_U8 || out->q->type == MBR_DTYPE_I8 ? 1 : 4;
    size_t row_tiles = (rows + form->mr - 1) / form->mr;
    for (size_t j = 0; j < cols; j += QG_NR) {
        const char *panel = b + j / QG_NR * panel_bytes;
        t.b = panel + QG_HEAD + s0 * QG_NR * 4;
        for (size_t i = 0, r = 0; i < row_tiles; i++) {
            size_t left = rows - r, mr = qg_up((left + row_tiles - i - 1) / (row_tiles - i), form->grain);
            mr = mbr_min_size(mr, left);
            t.a = a + (ptrdiff_t)r * lda;
            t.acc = acc ? acc + (j / QG_NR * row_tiles + i) * form->mr * QG_NR : sums;
            form->micro(&t, mr);
            if (last) {
                qg_out at = *out;
                at.j += j;
                at.c += ((ptrdiff_t)r * out->ldc + (ptrdiff_t)j) * (ptrdiff_t)size;
                if (at.other)
                    at.other += (ptrdiff_t)r * out->q->ld_other + (ptrdiff_t)j;
                if (at.row_sums)
                    at.row_sums += r;
                qg_finish(&at, t.acc, QG_NR, (const int32_t *)(const void *)panel, mr, mbr_min_size(cols - j, QG_NR));
            }
            r += mr;
        }
    }
}

/* ---- the block of A ---- */

/* n bytes of A into the block, converted: differences from zero, or bytes flipped to the other signedness. */
MBR_INLINE void qg_copy(char *to, const uint8_t *from, size_t n, bool is_signed, int32_t zero)
{
#if QG_BYTES
    (void)zero;
    uint8_t flip = QG_FLIP(is_signed, QG_A_SIGNED);
#ifdef QG_COPY_BYTES
    QG_COPY_BYTES(to, from, n, flip);
#else
    for (size_t i = 0; i < n; i++)
        to[i] = (char)(from[i] ^ flip);
#endif
#else
    int16_t *t = (int16_t *)(void *)to;
    if (is_signed)
        for (size_t i = 0; i < n; i++)
            t[i] = (int16_t)((int8_t)from[i] - zero);
    else
        for (size_t i = 0; i < n; i++)
            t[i] = (int16_t)(from[i] - zero);
#endif
}

/* n elements that stand for zero. */
MBR_INLINE void qg_blank(char *to, size_t n, int32_t a_zero)
{
    memset(to, QG_BYTES ? (int)(uint8_t)a_zero : 0, n * QG_WIDTH);
}

/* After the last element of a row: zeros up to a whole step, and the row's sum where it is wanted. What follows in the
 * block meets zeros of B. */
static void qg_row_end(char *row, size_t kc, int32_t *row_sum, bool first)
{
    if (kc % QG_STEP)
        memset(row + kc * QG_WIDTH, 0, (QG_STEP - kc % QG_STEP) * QG_WIDTH);
    if (!row_sum)
        return;
    int32_t sum = first ? 0 : *row_sum;
    for (size_t i = 0; i < kc; i++)
        sum += QG_A_SIGNED ? (int32_t)(int8_t)row[i] : (int32_t)(uint8_t)row[i];
    *row_sum = sum;
}

/* A's zero point as the block has it. */
static int32_t qg_a_zero(bool is_signed, int32_t zero)
{
    if (!QG_BYTES || is_signed == QG_A_SIGNED)
        return zero;
    return is_signed ? zero + 128 : zero - 128;
}

/* ---- packing ---- */

static size_t qg_pack_size(size_t k, size_t n)
{
    size_t size = (n + QG_NR - 1) / QG_NR, rounded;
    bool ok = mbr_round_up(k, 64, &rounded) && mbr_mul_size(rounded, QG_NR * QG_WIDTH, &rounded) &&
              mbr_add_size(rounded, QG_HEAD, &rounded) && mbr_mul_size(size, rounded, &size);
    return ok ? qg_up((n + QG_NR - 1) / QG_NR * qg_panel_bytes(k), 64) : 0;
}

static int32_t qg_byte(const void *p, ptrdiff_t at, bool is_signed)
{
    return is_signed ? ((const int8_t *)p)[at] : ((const uint8_t *)p)[at];
}

/* Element p of column j of a panel, as a difference or a signed byte. */
static void qg_put(char *panel, size_t p, size_t j, int32_t value)
{
    char *at = panel + QG_HEAD + (p / QG_STEP * QG_NR + j) * 4;
#if QG_BYTES
    at[p % QG_STEP] = (char)value;
#else
    int16_t v = (int16_t)value;
    memcpy(at + p % QG_STEP * 2, &v, sizeof v);
#endif
}

/* Column j of a panel from k bytes, stride apart; p0 counts on for a panel that is filled piece by piece. */
static void qg_put_column(char *panel, size_t p0, size_t k, size_t j, const void *b, ptrdiff_t stride, bool is_signed,
                          int32_t zero)
{
    int32_t shift = QG_BYTES && !is_signed ? 128 : 0, sum = 0;
    for (size_t p = 0; p < k; p++) {
        int32_t x = qg_byte(b, (ptrdiff_t)p * stride, is_signed);
        sum += x - zero;
        qg_put(panel, p0 + p, j, QG_BYTES ? x - shift : x - zero);
    }
    if (QG_BYTES) {
        int32_t *head = (int32_t *)(void *)panel;
        head[j] += sum;
        head[QG_NR + j] = zero - shift;
    }
}

static void qg_pack(void *packed, size_t k, size_t n, const mbr_qgemm_b *b, size_t first, size_t last)
{
    for (size_t j0 = first; j0 < last; j0 += QG_NR) {
        char *panel = (char *)packed + j0 / QG_NR * qg_panel_bytes(k);
        memset(panel, 0, qg_panel_bytes(k));
        for (size_t j = j0; j < n && j < j0 + QG_NR; j++) {
            int32_t zero = b->zero ? qg_byte(b->zero, (ptrdiff_t)(j * b->zero_step), b->is_signed) : 0;
            qg_put_column(panel, 0, k, j - j0, (const char *)b->b + (ptrdiff_t)j * b->stride_j, b->stride_p,
                          b->is_signed, zero);
        }
    }
}

/* Whether a column of these panels has a zero point, so that the sums of A's rows are needed. */
static bool qg_has_zeros(const char *b, size_t panels, size_t panel_bytes)
{
    for (size_t i = 0; QG_BYTES && i < panels; i++) {
        const int32_t *zero = (const int32_t *)(const void *)(b + i * panel_bytes) + QG_NR;
        for (size_t j = 0; j < QG_NR; j++)
            if (zero[j])
                return true;
    }
    return false;
}

/* ---- the product ---- */

static qg_plan qg_plan_gemm(const qg_form *form, const mbr_qgemm_args *g)
{
    return qg_plan_of(form, g->m, g->n, g->k, g->batch[0] * g->batch[1] * g->batch[2], false);
}

static size_t qg_scratch(const qg_form *form, const mbr_qgemm_args *g)
{
    qg_plan p = qg_plan_gemm(form, g);
    return qg_plan_scratch(&p);
}

static size_t qg_tiles(const qg_form *form, const mbr_qgemm_args *g)
{
    qg_plan p = qg_plan_gemm(form, g);
    return p.m_tiles * p.n_tiles * g->batch[0] * g->batch[1] * g->batch[2];
}

QG_ONCE static void qg_run(const qg_form *form, const mbr_qgemm_args *g, void *scratch, size_t first, size_t last)
{
    qg_plan p = qg_plan_gemm(form, g);
    char *block = scratch;
    int32_t *acc = (int32_t *)(void *)(block + p.a_bytes), *row_sums = (int32_t *)(void *)((char *)acc + p.acc_bytes);
    size_t panel_bytes = qg_panel_bytes(g->k),
           size = g->out.type == MBR_DTYPE_U8 || g->out.type == MBR_DTYPE_I8 ? 1 : 4;
    if (form->begin)
        form->begin();
    for (size_t tile = first; tile < last; tile++) {
        size_t i0 = tile % p.m_tiles * p.tm, rest = tile / p.m_tiles, panel = rest % p.n_tiles * p.tn,
               j0 = panel * QG_NR;
        size_t rows = mbr_min_size(p.tm, g->m - i0), cols = mbr_min_size(p.tn * QG_NR, g->n - j0);
        ptrdiff_t a_at = (ptrdiff_t)i0 * g->lda, b_at = (ptrdiff_t)(panel * panel_bytes);
        ptrdiff_t c_at = (ptrdiff_t)i0 * g->ldc + (ptrdiff_t)j0,
                  other = (ptrdiff_t)i0 * g->out.ld_other + (ptrdiff_t)j0;
        rest /= p.n_tiles;
        for (int d = MBR_GEMM_BATCH_DIMS - 1; d >= 0; d--) {
            ptrdiff_t at = (ptrdiff_t)(rest % g->batch[d]);
            rest /= g->batch[d];
            a_at += at * g->a_batch[d];
            b_at += at * g->b_batch[d];
            c_at += at * g->c_batch[d];
            other += at * g->other_batch[d];
        }
        const uint8_t *a = (const uint8_t *)g->a + a_at;
        const char *b = (const char *)g->b + b_at;
        bool zeros = qg_has_zeros(b, (cols + QG_NR - 1) / QG_NR, panel_bytes);
        qg_out out = {.q = &g->out,
                      .c = (char *)g->c + c_at * (ptrdiff_t)size,
                      .ldc = g->ldc,
                      .j = j0,
                      .other = g->out.other_is ? g->out.other + other : NULL,
                      .a_zero = qg_a_zero(g->a_signed, g->a_zero),
                      .row_sums = zeros ? row_sums : NULL};
        for (size_t q = 0; q < p.k_blocks; q++) {
            size_t k0 = q * p.kc, kc = mbr_min_size(p.kc, g->k - k0);
            for (size_t r = 0; r < rows; r++) {
                char *row = block + (ptrdiff_t)r * p.lda;
                qg_copy(row, a + (ptrdiff_t)r * g->lda + k0, kc, g->a_signed, g->a_zero);
                qg_row_end(row, kc, zeros ? row_sums + r : NULL, q == 0);
            }
            qg_block(form, block, p.lda, b, panel_bytes, k0 / QG_STEP, (kc + QG_STEP - 1) / QG_STEP, rows, cols,
                     p.acc_bytes ? acc : NULL, q == 0, q + 1 == p.k_blocks, &out);
        }
    }
    if (form->end)
        form->end();
}

/* ---- the convolution ---- */

static bool qc_fits(const mbr_conv_args *s)
{
    return !s->transposed && !s->x_planes;
}

static size_t qc_k(const mbr_conv_args *s)
{
    return s->channels / s->groups * s->kernel[0] * s->kernel[1] * s->kernel[2];
}

static size_t qc_panels(const mbr_conv_args *s)
{
    return (s->filters / s->groups + QG_NR - 1) / QG_NR;
}

static size_t qc_pack_size(const mbr_conv_args *s)
{
    size_t size, one = qg_pack_size(qc_k(s), s->filters / s->groups);
    return one && mbr_mul_size(one, s->groups, &size) ? size : 0;
}

/* A unit is one panel of one group. */
static size_t qc_pack_units(const mbr_conv_args *s)
{
    return s->groups * qc_panels(s);
}

static void qc_pack(const mbr_conv_args *s, const void *weights, bool is_signed, const void *zero, size_t zero_step,
                    void *packed, size_t first, size_t last)
{
    size_t cg = s->channels / s->groups, og = s->filters / s->groups, k = qc_k(s), taps = k / cg, panels = qc_panels(s);
    for (size_t unit = first; unit < last; unit++) {
        size_t group = unit / panels, o0 = unit % panels * QG_NR;
        char *panel = (char *)packed + unit * qg_panel_bytes(k);
        memset(panel, 0, qg_panel_bytes(k));
        for (size_t o = o0; o < og && o < o0 + QG_NR; o++) {
            size_t filter = group * og + o;
            int32_t z = zero ? qg_byte(zero, (ptrdiff_t)(filter * zero_step), is_signed) : 0;
            for (size_t t = 0; t < taps; t++)
                qg_put_column(panel, t * cg, cg, o - o0, (const char *)weights + filter * k + t, (ptrdiff_t)taps,
                              is_signed, z);
        }
    }
}

static qg_plan qc_plan_of(const qg_form *form, const mbr_qconv_args *a)
{
    const mbr_conv_args *s = &a->shape;
    return qg_plan_of(form, s->n * s->out[0] * s->out[1] * s->out[2], s->filters / s->groups, qc_k(s), s->groups, true);
}

static size_t qc_scratch(const qg_form *form, const mbr_qconv_args *a)
{
    qg_plan p = qc_plan_of(form, a);
    return qg_plan_scratch(&p);
}

static size_t qc_tiles(const qg_form *form, const mbr_qconv_args *a)
{
    qg_plan p = qc_plan_of(form, a);
    return p.m_tiles * p.n_tiles * a->shape.groups;
}

/* Rows of the block for `points` neighbours in an output row, segment by segment; see conv_gather. */
static void qc_gather(const mbr_qconv_args *a, const conv_segment *seg, size_t count, size_t b, const ptrdiff_t q[3],
                      size_t points, char *block, ptrdiff_t lda, int32_t a_zero)
{
    const mbr_conv_args *s = &a->shape;
    ptrdiff_t in[3] = {(ptrdiff_t)s->in[0], (ptrdiff_t)s->in[1], (ptrdiff_t)s->in[2]}, step = (ptrdiff_t)s->stride[2];
    const uint8_t *x = (const uint8_t *)a->x + (ptrdiff_t)b * in[0] * in[1] * in[2] * s->ldx;
    for (size_t i = 0; i < count; i++) {
        const conv_segment *g = &seg[i];
        ptrdiff_t d = q[0] + g->step[0], h = q[1] + g->step[1], run = (ptrdiff_t)g->run;
        bool inside = d >= 0 && d < in[0] && h >= 0 && h < in[1];
        char *to = block + (ptrdiff_t)g->at * QG_WIDTH;
        for (size_t j = 0; j < points; j++, to += lda) {
            ptrdiff_t w = q[2] + g->step[2] + (ptrdiff_t)j * step;
            ptrdiff_t low = w < 0 ? mbr_min_size((size_t)-w, (size_t)run) : 0, high = w + run > in[2] ? in[2] - w : run;
            if (!inside || low >= high) {
                qg_blank(to, (size_t)run * g->unit, a_zero);
                continue;
            }
            if (low)
                qg_blank(to, (size_t)low * g->unit, a_zero);
            const uint8_t *from = x + ((d * in[1] + h) * in[2] + w + low) * s->ldx + g->offset;
            qg_copy(to + (size_t)low * g->unit * QG_WIDTH, from, (size_t)(high - low) * g->unit, a->x_signed,
                    a->x_zero);
            if (high < run)
                qg_blank(to + (size_t)high * g->unit * QG_WIDTH, (size_t)(run - high) * g->unit, a_zero);
        }
    }
}

QG_ONCE static void qc_run(const qg_form *form, const mbr_qconv_args *a, void *scratch, size_t first, size_t last)
{
    const mbr_conv_args *s = &a->shape;
    qg_plan p = qc_plan_of(form, a);
    conv_phase phase = conv_phase_of(s, 0);
    conv_segment *segments = scratch;
    char *block = (char *)scratch + p.segment_bytes;
    int32_t *acc = (int32_t *)(void *)(block + p.a_bytes), *row_sums = (int32_t *)(void *)((char *)acc + p.acc_bytes);
    size_t k = qc_k(s), panel_bytes = qg_panel_bytes(k), og = s->filters / s->groups;
    size_t size = a->out.type == MBR_DTYPE_U8 || a->out.type == MBR_DTYPE_I8 ? 1 : 4;
    size_t all = s->n * s->out[0] * s->out[1] * s->out[2];
    int32_t a_zero = qg_a_zero(a->x_signed, a->x_zero);
    if (form->begin)
        form->begin();
    for (size_t tile = first; tile < last; tile++) {
        size_t i0 = tile % p.m_tiles * p.tm, rest = tile / p.m_tiles, panel = rest % p.n_tiles * p.tn,
               group = rest / p.n_tiles;
        size_t rows = mbr_min_size(p.tm, all - i0), cols = mbr_min_size(p.tn * QG_NR, og - panel * QG_NR);
        size_t o = group * og + panel * QG_NR;
        const char *w = (const char *)a->w + (group * qc_panels(s) + panel) * panel_bytes;
        bool zeros = qg_has_zeros(w, (cols + QG_NR - 1) / QG_NR, panel_bytes);
        qg_out out = {.q = &a->out,
                      .c = (char *)a->y + ((ptrdiff_t)i0 * s->ldy + (ptrdiff_t)o) * (ptrdiff_t)size,
                      .ldc = s->ldy,
                      .j = o,
                      .a_zero = a_zero,
                      .row_sums = zeros ? row_sums : NULL,
                      .other = a->out.other_is ? a->out.other + (ptrdiff_t)i0 * a->out.ld_other + (ptrdiff_t)o : NULL};
        for (size_t i = 0; i < p.k_blocks; i++) {
            size_t k0 = i * p.kc, kc = mbr_min_size(p.kc, k - k0);
            size_t count = conv_segments(s, &phase, group, k0, kc, segments);
            for (size_t done = 0; done < rows;) {
                size_t at = i0 + done, x = at % s->out[2], line = at / s->out[2];
                size_t points = mbr_min_size(s->out[2] - x, rows - done);
                ptrdiff_t q[3] = {(ptrdiff_t)(line / s->out[1] % s->out[0] * s->stride[0]),
                                  (ptrdiff_t)(line % s->out[1] * s->stride[1]), (ptrdiff_t)(x * s->stride[2])};
                qc_gather(a, segments, count, line / (s->out[0] * s->out[1]), q, points,
                          block + (ptrdiff_t)done * p.lda, p.lda, a_zero);
                done += points;
            }
            for (size_t r = 0; r < rows; r++)
                qg_row_end(block + (ptrdiff_t)r * p.lda, kc, zeros ? row_sums + r : NULL, i == 0);
            qg_block(form, block, p.lda, w, panel_bytes, k0 / QG_STEP, (kc + QG_STEP - 1) / QG_STEP, rows, cols,
                     p.acc_bytes ? acc : NULL, i == 0, i + 1 == p.k_blocks, &out);
        }
    }
    if (form->end)
        form->end();
}

#define QG_STRING_(x) #x
#define QG_STRING(x) QG_STRING_(x)
#define QG_ROW_(name) mbr_##name
#define QG_ROW(name) QG_ROW_(name)
/* The rows of a form: gemm and conv are their names. */
#define QG_ROWS(form, gemm, conv, its_tier)                                                                            \
    static size_t form##_scratch(const mbr_qgemm_args *g)                                                              \
    {                                                                                                                  \
        return qg_scratch(&form, g);                                                                                   \
    }                                                                                                                  \
    static size_t form##_tiles(const mbr_qgemm_args *g)                                                                \
    {                                                                                                                  \
        return qg_tiles(&form, g);                                                                                     \
    }                                                                                                                  \
    static void form##_run(const mbr_qgemm_args *g, void *scratch, size_t first, size_t last)                          \
    {                                                                                                                  \
        qg_run(&form, g, scratch, first, last);                                                                        \
    }                                                                                                                  \
    static size_t form##_conv_scratch(const mbr_qconv_args *a)                                                         \
    {                                                                                                                  \
        return qc_scratch(&form, a);                                                                                   \
    }                                                                                                                  \
    static size_t form##_conv_tiles(const mbr_qconv_args *a)                                                           \
    {                                                                                                                  \
        return qc_tiles(&form, a);                                                                                     \
    }                                                                                                                  \
    static void form##_conv_run(const mbr_qconv_args *a, void *scratch, size_t first, size_t last)                     \
    {                                                                                                                  \
        qc_run(&form, a, scratch, first, last);                                                                        \
    }                                                                                                                  \
    const mbr_qgemm_kernel QG_ROW(gemm) = {QG_STRING(gemm), its_tier,       QG_NR,        qg_pack_size,                \
                                           qg_pack,         form##_scratch, form##_tiles, form##_run};                 \
    const mbr_qconv_kernel QG_ROW(conv) = {QG_STRING(conv), its_tier, qc_fits,           qc_pack_size,     qc_pack_units, \
                                           qc_pack,         form##_conv_scratch, form##_conv_tiles, form##_conv_run}

QG_ROWS(qg_own, QG_NAME, QG_CONV_NAME, QG_TIER);

#endif

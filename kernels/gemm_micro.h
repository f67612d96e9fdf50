/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner loops of the f32 matrix products, stamped out once per instruction set: the including file has included a
 * vec_*.h and defined
 *
 *   GEMM_MR          rows of the largest register tile
 *   GEMM_NV          vectors in a panel: a panel is GEMM_NR = GEMM_NV * MBR_VL columns of B
 *   GEMM_EACH_ROW(X) X(1) X(2) ... X(GEMM_MR)
 *
 * A register tile takes mr rows of A, any row stride, np panels of B, and kc steps of the sums. It begins at zero or at
 * the partial sums that an earlier block of k left (so a sum stays one chain however k is cut), and ends by leaving
 * partial sums, or by writing C when nothing more than a bias, an addition and clipping stands in between. Everything
 * else goes through gemm_finish, from the sums: both do the same operations in the same order.
 */
#ifndef MBR_KERNELS_GEMM_MICRO_H
#define MBR_KERNELS_GEMM_MICRO_H

#include "kernels/gemm.h"
#include "kernels/simd/act.h"

#define GEMM_NR (GEMM_NV * MBR_VL)
/* Panels side by side for few rows: as many sums as the largest tile has, up to four streams of B. */
#define GEMM_NP(mr) (GEMM_MR / (mr) > 4 ? 4 : GEMM_MR / (mr))
#define GEMM_NP_MAX 4
/* Where the sums leave few registers: GEMM_ROW_FENCE keeps the compiler from fetching all of A's numbers first, and
   GEMM_BY_PANEL from fetching all panels' vectors, or sums would wait in memory for their turn. */
#ifndef GEMM_ROW_FENCE
#define GEMM_ROW_FENCE (void)0
#endif
#ifndef GEMM_BY_PANEL
#define GEMM_BY_PANEL 0
#endif
/* 0 where code is to be small: all rows of convolutions are gathered. */
#ifndef GEMM_JUMPS
#define GEMM_JUMPS 1
#endif
/* A panel of which at most half the columns are there is multiplied by half its vectors: GEMM_EACH_HALF(X) then names the
   rows of such tiles, up to GEMM_HALF_MR, at most twice GEMM_MR. */
#ifdef GEMM_HALF_MR
#define GEMM_HALF_NV (GEMM_NV / 2)
#define GEMM_MOST_ROWS (GEMM_HALF_MR > GEMM_MR ? GEMM_HALF_MR : GEMM_MR)
#else
#define GEMM_MOST_ROWS GEMM_MR
#endif
#define GEMM_AHEAD 24 /* steps of B fetched ahead when it streams from memory */

/* So many steps lie side by side in a row of A; those behind them begin `by` floats from where these did. 0: none. */
typedef struct gemm_jump {
    size_t steps;
    ptrdiff_t by;
} gemm_jump;

typedef struct gemm_tile {
    size_t kc;
    const float *a;
    const gemm_jump *jumps; /* NULL: all kc steps of a row lie side by side; for gemm_micro_jumps */
    ptrdiff_t lda;
    const float *b; /* (kc, GEMM_NR), dense */
    size_t b_panel; /* floats from one panel to the next */
    const char *ahead; /* what to fetch meanwhile, ahead_step bytes a step; 0: nothing */
    size_t ahead_step;
    float *acc;     /* (mr, np * GEMM_NR) partial sums; aligned */
    bool first;     /* begin at zero */
    bool to_c;      /* end in C: all columns are there, and the fields below hold */
    float *c;
    ptrdiff_t ldc;
    const float *bias;  /* or NULL */
    const float *other; /* to add, or NULL */
    ptrdiff_t ld_other;
    float alpha, low, high;
} gemm_tile;

typedef void gemm_micro_fn(const gemm_tile *t);

/* Step p of the sums. Three rows share a pointer: base, base + lda, base + 2 lda are addressing modes. */
MBR_INLINE void gemm_step(const float *const *row, ptrdiff_t lda, const float *b, size_t b_panel, size_t p,
                          vf (*sum)[GEMM_NP_MAX * GEMM_NV], const int mr, const int np, const int nv)
{
    const int side = GEMM_BY_PANEL ? 1 : np; /* panels whose vectors are held at a time */
    MBR_UNROLL(4)
    for (int q = 0; q < np; q += side) {
        vf bv[GEMM_NP_MAX * GEMM_NV];
        MBR_UNROLL(4)
        for (int i = 0; i < side; i++) {
            MBR_UNROLL(4)
            for (int v = 0; v < nv; v++)
                bv[i * nv + v] = vf_load(b + (size_t)(q + i) * b_panel + p * GEMM_NR + (size_t)v * MBR_VL);
            if (nv == GEMM_NV && (mr * np < GEMM_MR || np > 1)) {
                MBR_UNROLL(4)
                for (int line = 0; line < (GEMM_NR + 15) / 16; line++)
                    __builtin_prefetch(b + (size_t)(q + i) * b_panel + (p + GEMM_AHEAD) * GEMM_NR + 16 * (size_t)line);
            }
        }
        MBR_UNROLL(16)
        for (int r = 0; r < mr; r++) {
            GEMM_ROW_FENCE;
            vf av = vf_load1(row[r / 3] + (r % 3) * lda + p);
            MBR_UNROLL(16)
            for (int v = 0; v < side * nv; v++)
                sum[r][q * nv + v] = vf_fma(av, bv[v], sum[r][q * nv + v]);
        }
    }
}

/* The sums as they begin. What the end will touch is on its way from now on. */
MBR_INLINE void gemm_begin(const gemm_tile *t, vf (*sum)[GEMM_NP_MAX * GEMM_NV], const int mr, const int nv)
{
    if (t->first) {
        MBR_UNROLL(16)
        for (int r = 0; r < mr; r++) {
            MBR_UNROLL(16)
            for (int v = 0; v < nv; v++)
                sum[r][v] = vf_zero();
        }
    } else {
        MBR_UNROLL(16)
        for (int r = 0; r < mr; r++) {
            MBR_UNROLL(16)
            for (int v = 0; v < nv; v++)
                sum[r][v] = vf_load(t->acc + (r * nv + v) * MBR_VL);
        }
    }
    if (!t->to_c)
        return;
    MBR_UNROLL(16)
    for (int r = 0; r < mr; r++) {
        MBR_UNROLL(4)
        for (int line = 0; line < (GEMM_NR + 15) / 16; line++) {
            __builtin_prefetch(t->c + r * t->ldc + 16 * line, 1);
            if (t->other)
                __builtin_prefetch(t->other + r * t->ld_other + 16 * line);
        }
    }
}

/* The sums into C or, partial, into acc. */
MBR_INLINE void gemm_end(const gemm_tile *t, vf (*sum)[GEMM_NP_MAX * GEMM_NV], const int mr, const int nv)
{
    if (!t->to_c) {
        MBR_UNROLL(16)
        for (int r = 0; r < mr; r++) {
            MBR_UNROLL(16)
            for (int v = 0; v < nv; v++)
                vf_store(t->acc + (r * nv + v) * MBR_VL, sum[r][v]);
        }
        return;
    }
    vf alpha = vf_set1(t->alpha), low = vf_set1(t->low), high = vf_set1(t->high);
    MBR_UNROLL(16)
    for (int v = 0; v < nv; v++) {
        vf bias = t->bias ? vf_load(t->bias + v * MBR_VL) : vf_zero();
        MBR_UNROLL(16)
        for (int r = 0; r < mr; r++) {
            vf x = vf_fma(sum[r][v], alpha, bias);
            if (t->other)
                x = vf_add(x, vf_load(t->other + r * t->ld_other + v * MBR_VL));
            vf_store(t->c + r * t->ldc + v * MBR_VL, vf_clip(x, low, high));
        }
    }
}

MBR_INLINE void gemm_rows_of(const gemm_tile *t, const float **row, const int mr)
{
    MBR_UNROLL(16)
    for (int g = 0; g < (mr + 2) / 3; g++)
        row[g] = t->a + 3 * g * t->lda;
}

MBR_INLINE void gemm_micro(const gemm_tile *t, const int mr, const int np, const int nv)
{
    vf sum[GEMM_MOST_ROWS][GEMM_NP_MAX * GEMM_NV];
    const float *row[(GEMM_MOST_ROWS + 2) / 3];
    gemm_begin(t, sum, mr, np * nv);
    gemm_rows_of(t, row, mr);
    const ptrdiff_t lda = t->lda;
    const float *b = t->b;
    const size_t b_panel = t->b_panel, kc = t->kc, ahead_step = t->ahead_step, ahead_steps = ahead_step ? kc : 0;
    const char *ahead = t->ahead;
    size_t p = 0;
    for (; np == 1 && nv == GEMM_NV && p < ahead_steps; p++) {
        __builtin_prefetch(ahead, 0, 2);
        ahead += ahead_step;
        gemm_step(row, lda, b, b_panel, p, sum, mr, np, nv);
    }
    for (; p < kc; p++)
        gemm_step(row, lda, b, b_panel, p, sum, mr, np, nv);
    gemm_end(t, sum, mr, np * nv);
}

#if GEMM_JUMPS
/* GEMM_MR rows in which A jumps. */
static void gemm_micro_jumps(const gemm_tile *t)
{
    vf sum[GEMM_MOST_ROWS][GEMM_NP_MAX * GEMM_NV];
    const float *row[(GEMM_MOST_ROWS + 2) / 3], *b = t->b;
    gemm_begin(t, sum, GEMM_MR, GEMM_NV);
    gemm_rows_of(t, row, GEMM_MR);
    for (const gemm_jump *jump = t->jumps;; jump++) {
        const ptrdiff_t lda = t->lda;
        const size_t steps = jump->steps;
        for (size_t p = 0; p < steps; p++)
            gemm_step(row, lda, b, 0, p, sum, GEMM_MR, 1, GEMM_NV);
        if (jump->by == 0)
            break;
        MBR_UNROLL(16)
        for (int g = 0; g < (GEMM_MR + 2) / 3; g++)
            row[g] += jump->by;
        b += steps * GEMM_NR;
    }
    gemm_end(t, sum, GEMM_MR, GEMM_NV);
}
#else
#define gemm_micro_jumps NULL
#endif

#define GEMM_MICRO(mr)                                                                                                 \
    static void gemm_micro_##mr(const gemm_tile *t)                                                                    \
    {                                                                                                                  \
        gemm_micro(t, mr, 1, GEMM_NV);                                                                                 \
    }
GEMM_EACH_ROW(GEMM_MICRO)
#undef GEMM_MICRO

/* By rows - 1. */
static gemm_micro_fn *const gemm_micro_one[GEMM_MR] = {
#define GEMM_MICRO(mr) gemm_micro_##mr,
    GEMM_EACH_ROW(GEMM_MICRO)
#undef GEMM_MICRO
};

#ifdef GEMM_HALF_MR
#define GEMM_MICRO(mr)                                                                                                 \
    static void gemm_micro_half_##mr(const gemm_tile *t)                                                               \
    {                                                                                                                  \
        gemm_micro(t, mr, 1, GEMM_HALF_NV);                                                                            \
    }
GEMM_EACH_HALF(GEMM_MICRO)
#undef GEMM_MICRO

/* By rows - 1. */
static gemm_micro_fn *const gemm_micro_half[GEMM_HALF_MR] = {
#define GEMM_MICRO(mr) gemm_micro_half_##mr,
    GEMM_EACH_HALF(GEMM_MICRO)
#undef GEMM_MICRO
};
#endif

/* Where sums go: a rectangle of C with its part of the epilogue. */
typedef struct gemm_out {
    float *c;
    ptrdiff_t ldc;
    const float *bias, *row_bias; /* either or none; row_bias[r] */
    const float *other;
    ptrdiff_t ld_other;
    mbr_gemm_other other_is;
    mbr_act act;
    float alpha;
} gemm_out;

/* Whether a register tile can write C by itself, and the clipping that is its activation. */
static inline bool gemm_out_is_plain(const gemm_out *o, float *low, float *high)
{
    *low = o->act.kind == MBR_ACT_RELU ? 0 : o->act.kind == MBR_ACT_CLIP ? o->act.a : -__builtin_inff();
    *high = o->act.kind == MBR_ACT_CLIP ? o->act.b : __builtin_inff();
    return !o->row_bias && o->act.kind <= MBR_ACT_CLIP && o->other_is <= MBR_GEMM_OTHER_ADD;
}

/* The part of o that begins at row r and column j. */
static inline gemm_out gemm_out_at(const gemm_out *o, size_t r, size_t j)
{
    gemm_out at = *o;
    at.c += (ptrdiff_t)r * o->ldc + (ptrdiff_t)j;
    if (at.bias)
        at.bias += j;
    if (at.row_bias)
        at.row_bias += r;
    if (at.other)
        at.other += (ptrdiff_t)r * o->ld_other + (ptrdiff_t)j;
    return at;
}

/* Where code is to be small, exponentials go one by one. */
#ifndef GEMM_FINISH_MANY
#define GEMM_FINISH_MANY 1
#endif

/* Where the next vector of a rectangle of sums is, row by row. */
typedef struct gemm_place {
    size_t r, j;
} gemm_place;

MBR_INLINE gemm_place gemm_place_next(gemm_place p, size_t cols)
{
    p.j += MBR_VL;
    return p.j < cols ? p : (gemm_place){p.r + 1, 0};
}

MBR_INLINE vf gemm_load(const float *p, size_t n)
{
    return n == MBR_VL ? vf_load(p) : vf_load_n(p, n);
}

/* A vector of sums, up to the activation. */
MBR_INLINE vf gemm_finish_before(const gemm_out *o, const float *acc, size_t ld, gemm_place p, size_t n)
{
    vf x = gemm_load(acc + p.r * ld + p.j, n), bias = vf_zero();
    if (o->bias)
        bias = gemm_load(o->bias + p.j, n);
    else if (o->row_bias)
        bias = vf_set1(o->row_bias[p.r]);
    x = vf_fma(x, vf_set1(o->alpha), bias);
    if (o->other_is == MBR_GEMM_OTHER_ADD)
        x = vf_add(x, gemm_load(o->other + (ptrdiff_t)p.r * o->ld_other + (ptrdiff_t)p.j, n));
    return x;
}

/* The same vector behind it, and into C. */
MBR_INLINE void gemm_finish_after(const gemm_out *o, vf x, gemm_place p, size_t n)
{
    float *to = o->c + (ptrdiff_t)p.r * o->ldc + (ptrdiff_t)p.j;
    if (o->other_is > MBR_GEMM_OTHER_ADD) {
        vf other = gemm_load(o->other + (ptrdiff_t)p.r * o->ld_other + (ptrdiff_t)p.j, n);
        x = o->other_is == MBR_GEMM_OTHER_ADD_AFTER ? vf_add(x, other) : vf_mul(x, other);
    }
    if (n == MBR_VL)
        vf_store(to, x);
    else
        vf_store_n(to, x, n);
}

/* Vectors one by one, to the end or to where whole ones follow again that go side by side. */
MBR_INLINE gemm_place gemm_finish_each(const gemm_out *o, const float *acc, size_t ld, size_t rows, size_t cols,
                                       gemm_place p, mbr_act_kind kind, float a, float b)
{
    do {
        size_t n = cols - p.j < MBR_VL ? cols - p.j : MBR_VL;
        gemm_finish_after(o, vf_act(gemm_finish_before(o, acc, ld, p, n), kind, a, b), p, n);
        p = gemm_place_next(p, cols);
    } while (p.r < rows && p.j != 0);
    return p;
}

/* Groups of whole vectors, while there are: side by side they fill the time that an exponential takes. */
MBR_INLINE gemm_place gemm_finish_many(const gemm_out *o, const float *acc, size_t ld, size_t rows, size_t cols,
                                       gemm_place next, mbr_act_kind kind)
{
    bool whole = cols % MBR_VL == 0; /* then a group may go on in the next row */
    size_t vectors = whole ? (rows - next.r) * (cols / MBR_VL) - next.j / MBR_VL : (cols - next.j) / MBR_VL;
    for (; vectors >= MBR_MANY; vectors -= MBR_MANY) {
        gemm_place p[MBR_MANY];
        vf x[MBR_MANY];
        MBR_UNROLL(4)
        for (int i = 0; i < MBR_MANY; i++) {
            p[i] = next;
            x[i] = gemm_finish_before(o, acc, ld, next, MBR_VL);
            next = gemm_place_next(next, cols);
        }
        vf_act_many(x, MBR_MANY, kind, o->act.a, o->act.b);
        MBR_UNROLL(4)
        for (int i = 0; i < MBR_MANY; i++)
            gemm_finish_after(o, x[i], p[i], MBR_VL);
    }
    return next;
}

/* Activations without an exponential: column by column, so that a row costs little more than the activation. */
MBR_INLINE void gemm_finish_cheap(const gemm_out *out, const float *acc, size_t ld, size_t rows, size_t cols,
                                  mbr_act_kind kind, float a, float b)
{
    const gemm_out o = *out; /* what is stored cannot be one of its numbers */
    for (size_t j = 0; j < cols; j += MBR_VL) {
        size_t n = cols - j < MBR_VL ? cols - j : MBR_VL;
        gemm_out at = o;
        at.c += j;
        at.other = o.other ? o.other + j : NULL;
        vf bias = o.bias ? gemm_load(o.bias + j, n) : vf_zero();
        for (size_t r = 0; r < rows; r++) {
            vf x = gemm_load(acc + r * ld + j, n);
            x = vf_fma(x, vf_set1(o.alpha), o.row_bias ? vf_set1(o.row_bias[r]) : bias);
            if (o.other_is == MBR_GEMM_OTHER_ADD)
                x = vf_add(x, gemm_load(at.other + (ptrdiff_t)r * o.ld_other, n));
            gemm_finish_after(&at, vf_act(x, kind, a, b), (gemm_place){r, 0}, n);
        }
    }
}

/* It is large: no copies of it for the constants of its callers. */
#if defined(__GNUC__) && !defined(__clang__)
#define GEMM_ONE_COPY __attribute__((noinline, noclone))
#else
#define GEMM_ONE_COPY __attribute__((noinline))
#endif

/* Sums (rows, cols), ld floats between rows, through the whole epilogue into C. */
GEMM_ONE_COPY static void gemm_finish(const gemm_out *o, const float *acc, size_t ld, size_t rows, size_t cols)
{
    const mbr_act_kind kind = o->act.kind;
    float low, high;
    (void)gemm_out_is_plain(o, &low, &high);
#define CHEAP(kind, a, b) gemm_finish_cheap(o, acc, ld, rows, cols, kind, a, b)
    if (kind <= MBR_ACT_CLIP) {
        CHEAP(MBR_ACT_CLIP, low, high);
    } else if (kind == MBR_ACT_LEAKY) {
        CHEAP(MBR_ACT_LEAKY, o->act.a, o->act.b);
    } else if (kind == MBR_ACT_HARD_SIGMOID) {
        CHEAP(MBR_ACT_HARD_SIGMOID, o->act.a, o->act.b);
    } else if (kind == MBR_ACT_HARD_SWISH) {
        CHEAP(MBR_ACT_HARD_SWISH, o->act.a, o->act.b);
    } else {
        gemm_place p = {0, 0};
        while (p.r < rows) {
#define MANY(kind)                                                                                                     \
    case kind:                                                                                                         \
        p = gemm_finish_many(o, acc, ld, rows, cols, p, kind);                                                         \
        break;
            switch (GEMM_FINISH_MANY ? kind : MBR_ACT_NONE) {
                MANY(MBR_ACT_SIGMOID)
                MANY(MBR_ACT_TANH)
                MANY(MBR_ACT_SILU)
                MANY(MBR_ACT_GELU)
                MANY(MBR_ACT_GELU_TANH)
            default:
                break;
            }
#undef MANY
            if (p.r < rows)
                p = gemm_finish_each(o, acc, ld, rows, cols, p, kind, o->act.a, o->act.b);
        }
    }
#undef CHEAP
}

/* A float of weights, which may lie at any address. */
MBR_INLINE float gemm_weight(const float *b, ptrdiff_t at)
{
    float x;
    memcpy(&x, (const char *)(const void *)b + at * (ptrdiff_t)sizeof x, sizeof x);
    return x;
}

/* Columns j .. j + cols - 1 of B, steps p .. p + kc - 1, into one dense (kc, GEMM_NR) panel; the missing columns are
 * zero. */
static void gemm_pack_panel(float *panel, const float *b, ptrdiff_t stride_p, ptrdiff_t stride_j, size_t kc,
                            size_t cols)
{
    if (stride_j == 1 && cols == GEMM_NR) {
        for (size_t p = 0; p < kc; p++)
            for (size_t v = 0; v < GEMM_NV; v++)
                vf_store(panel + p * GEMM_NR + v * MBR_VL,
                         vf_load(b + (ptrdiff_t)p * stride_p + (ptrdiff_t)(v * MBR_VL)));
        return;
    }
    if (cols < GEMM_NR)
        memset(panel, 0, kc * GEMM_NR * sizeof *panel);
    for (size_t p0 = 0; p0 < kc; p0 += 16) { /* a cache line of each column at a time */
        size_t p1 = p0 + 16 < kc ? p0 + 16 : kc;
        for (size_t j = 0; j < cols; j++)
            for (size_t p = p0; p < p1; p++)
                panel[p * GEMM_NR + j] = gemm_weight(b, (ptrdiff_t)p * stride_p + (ptrdiff_t)j * stride_j);
    }
}

/* Rectangles whose rows may jump: there is one inner loop for them, and none for half a panel. */
static inline bool gemm_jumps_fit(size_t rows, size_t cols)
{
#ifdef GEMM_HALF_MR
    if ((cols - 1) % GEMM_NR < GEMM_NR / 2)
        return false;
#endif
    return GEMM_JUMPS && rows % GEMM_MR == 0 && cols > 0;
}

/*
 * One block of k for a rectangle of C: rows x panels, row tiles innermost so that a panel of B stays in the first
 * cache. acc holds the partial sums of the rectangle, tile by tile; NULL when k is one block. cols: columns of C from
 * the first panel on. jumps: of A's rows, or NULL; with them gemm_jumps_fit. after: the panel that the caller
 * multiplies by next, or NULL.
 */
static void gemm_block(const float *a, ptrdiff_t lda, const gemm_jump *jumps, const float *b, size_t b_panel, size_t kc,
                       size_t rows, size_t cols, float *acc, bool first, bool last, const gemm_out *out,
                       const float *after)
{
    _Alignas(64) float sums[GEMM_MR * GEMM_NR];
    gemm_tile t = {
        .kc = kc, .lda = lda, .jumps = jumps, .first = first, .ldc = out->ldc, .ld_other = out->ld_other, .alpha = out->alpha};
    bool plain = gemm_out_is_plain(out, &t.low, &t.high);
    size_t whole_tiles = (rows + GEMM_MR - 1) / GEMM_MR;
    for (size_t j = 0; j < cols; j += GEMM_NR) {
        size_t width = cols - j < GEMM_NR ? cols - j : GEMM_NR, most = GEMM_MR, columns = GEMM_NR;
        gemm_micro_fn *const *micro = gemm_micro_one;
#ifdef GEMM_HALF_MR
        if (width <= GEMM_NR / 2) {
            micro = gemm_micro_half;
            most = GEMM_HALF_MR;
            columns = GEMM_NR / 2;
        }
#endif
        size_t row_tiles = (rows + most - 1) / most;
        /* The first row tiles fetch the next panel into the second cache, each a part. */
        size_t fetching = row_tiles < 8 ? row_tiles : 8, step = (GEMM_NR * sizeof(float) + fetching - 1) / fetching;
        t.b = b + j / GEMM_NR * b_panel;
        t.to_c = last && plain && width == columns;
        bool end = j + GEMM_NR >= cols, more = row_tiles > 1 && (!end || after);
        t.ahead = (const char *)(!end ? t.b + b_panel : after ? after : b);
        for (size_t i = 0, r = 0; i < row_tiles; i++) {
            size_t mr = (rows - r) / (row_tiles - i); /* even: no tile is left with a row or two */
            t.a = a + (ptrdiff_t)r * lda;
            t.ahead_step = more && i < fetching ? step : 0;
            t.acc = acc ? acc + j * whole_tiles * GEMM_MR + i * most * columns : sums;
            gemm_out at = gemm_out_at(out, r, j);
            t.c = at.c;
            t.bias = at.bias;
            t.other = at.other;
            (jumps ? gemm_micro_jumps : micro[mr - 1])(&t);
            t.ahead += kc * t.ahead_step;
            if (last && !t.to_c)
                gemm_finish(&at, t.acc, columns, mr, width);
            r += mr;
        }
    }
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* One row by ranks and jumps (kernels/tree_layout.h), for tree_body.h, where the instruction set shuffles bytes. */
#ifndef MBR_KERNELS_TREE_JUMP_H
#define MBR_KERNELS_TREE_JUMP_H

#include "kernels/simd/vec_common.h"
#include "kernels/tree_layout.h"

#if defined(__AVX2__) || defined(__ARM_NEON)
#define TREE_JUMPS 1

#if defined(__AVX2__)
#include <immintrin.h>
#else
#include <arm_neon.h>
#endif

#define TREE_JUMP_CHUNK 64             /* trees whose outcomes are at hand together */
#define TREE_JUMP_VECTORS (32 / MBR_VL) /* of ranks that are looked for side by side */

/* Which of 32 branches have ranks[place] > cut, a bit each. ranks: 16 for each of `tables`. */
#if defined(__AVX2__)
MBR_INLINE uint32_t tree_above(const uint8_t *place, const int8_t *cut, const int8_t *ranks, size_t tables)
{
    __m256i p = _mm256_loadu_si256((const __m256i *)(const void *)place), rank = _mm256_setzero_si256();
    for (size_t k = 0; k < tables; k++) {
        const __m128i *at = (const __m128i *)(const void *)(ranks + 16 * k);
        const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128(at));
        /* places of other tables get their highest bit set: the shuffle makes them 0 */
        const __m256i index = _mm256_adds_epu8(p, _mm256_set1_epi8(0x70));
        rank = _mm256_or_si256(rank, _mm256_shuffle_epi8(table, index));
        p = _mm256_sub_epi8(p, _mm256_set1_epi8(16));
    }
    const __m256i c = _mm256_loadu_si256((const __m256i *)(const void *)cut);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(rank, c));
}
#else
MBR_INLINE uint32_t tree_above(const uint8_t *place, const int8_t *cut, const int8_t *ranks, size_t tables)
{
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t above[2];
    for (int half = 0; half < 2; half++) {
        uint8x16_t p = vld1q_u8(place + 16 * half);
        int8x16_t rank = vdupq_n_s8(0);
        for (size_t k = 0; k < tables; k++) {
            rank = vorrq_s8(rank, vqtbl1q_s8(vld1q_s8(ranks + 16 * k), p)); /* 0 for places of other tables */
            p = vsubq_u8(p, vdupq_n_u8(16));
        }
        above[half] = vandq_u8(vcgtq_s8(rank, vld1q_s8(cut + 16 * half)), vld1q_u8(bits));
    }
    uint8x16_t sum = vpaddq_u8(above[0], above[1]);
    sum = vpaddq_u8(sum, sum);
    sum = vpaddq_u8(sum, sum);
    return vgetq_lane_u32(vreinterpretq_u32_u8(sum), 0);
}
#endif

/* Ranks of a row's values, less 128; a NaN's is the lowest in `low`, the highest in `high`. Returns whether there is one. */
static bool tree_rank_row(const mbr_tree_ensemble *e, const float *row, int8_t *low, int8_t *high)
{
    float x[TREE_PLACES];
    int32_t from[MBR_VL], rank[MBR_VL];
    bool nan = false;
    for (size_t i = 0; i < e->places; i++) {
        x[i] = row[e->place_feature[i]];
        nan |= x[i] != x[i];
    }
    for (int32_t k = 0; k < MBR_VL; k++)
        from[k] = k * (int32_t)e->room;
    const vi start = vi_load(from);
    for (size_t i = 0; i < e->places; i += 32) {
        vi at[TREE_JUMP_VECTORS];
        MBR_UNROLL(8)
        for (size_t k = 0; k < TREE_JUMP_VECTORS; k++)
            at[k] = vi_zero();
        for (size_t step = e->room / 2; step > 0; step /= 2)
            MBR_UNROLL(8)
            for (size_t k = 0; k < TREE_JUMP_VECTORS; k++) {
                const float *cuts = e->place_cuts + (i + k * MBR_VL) * e->room + step - 1;
                vm below = vf_lt(vf_gather(cuts, vi_add(start, at[k])), vf_load(x + i + k * MBR_VL));
                at[k] = vi_add(at[k], vi_select(below, vi_set1((int32_t)step), vi_zero()));
            }
        for (size_t k = 0; k < TREE_JUMP_VECTORS; k++) {
            vi_store(rank, at[k]);
            for (size_t j = 0; j < MBR_VL; j++)
                low[i + k * MBR_VL + j] = (int8_t)(rank[j] - 128);
        }
    }
    for (size_t i = 0; nan && i < e->places; i++)
        high[i] = x[i] != x[i] ? 127 : low[i];
    return nan;
}

/* Outcomes of trees first .. last-1: bits of branches without x <= t. */
MBR_INLINE void tree_outcomes_of(const mbr_tree_ensemble *e, size_t first, size_t last, const int8_t *ranks,
                                 size_t tables, uint64_t *outcomes)
{
    size_t t = first, vector = first <= e->small ? first : 2 * first - e->small;
    const uint8_t *place = e->jump_place + 32 * vector;
    const int8_t *cut = e->jump_cut + 32 * vector;
    for (; t < last && t < e->small; t++, place += 32, cut += 32)
        *outcomes++ = tree_above(place, cut, ranks, tables);
    for (; t < last; t++, place += 64, cut += 64)
        *outcomes++ = tree_above(place, cut, ranks, tables) |
                      (uint64_t)tree_above(place + 32, cut + 32, ranks, tables) << 32;
}

static MBR_NOINLINE void tree_outcomes(const mbr_tree_ensemble *e, size_t first, size_t last, const int8_t *ranks,
                                       uint64_t *outcomes)
{
    if (e->places <= 32)
        tree_outcomes_of(e, first, last, ranks, 2, outcomes);
    else
        tree_outcomes_of(e, first, last, ranks, e->places / 16, outcomes);
}

/* Where trees first .. last-1 end, all in as many steps. */
MBR_INLINE void tree_jumps_of(const mbr_tree_ensemble *e, size_t first, size_t last, const uint64_t *outcomes,
                              uint32_t *leaves, unsigned steps)
{
    for (size_t t = first; t < last; t++) {
        const tree_jump *jump = &e->jump[t];
        const uint64_t *next = e->jump_next + jump->leaf, bits = *outcomes++ ^ jump->turned;
        uint64_t leaf = (uint64_t)__builtin_ctzll(bits & jump->first);
        MBR_UNROLL(6)
        for (unsigned k = 1; k < steps; k++)
            leaf = (uint64_t)__builtin_ctzll(bits & next[leaf]);
        *leaves++ = jump->leaf + (uint32_t)leaf;
    }
}

static void tree_jumps(const mbr_tree_ensemble *e, size_t first, size_t last, const uint64_t *outcomes,
                       uint32_t *leaves, uint32_t steps)
{
    switch (steps) {
    case 1:
        tree_jumps_of(e, first, last, outcomes, leaves, 1);
        break;
    case 2:
        tree_jumps_of(e, first, last, outcomes, leaves, 2);
        break;
    case 3:
        tree_jumps_of(e, first, last, outcomes, leaves, 3);
        break;
    case 4:
        tree_jumps_of(e, first, last, outcomes, leaves, 4);
        break;
    default: /* a step at the end stays */
        tree_jumps_of(e, first, last, outcomes, leaves, TREE_STEPS);
        break;
    }
}

static void tree_jump_row(const mbr_tree_ensemble *e, const float *row, double *scores)
{
    int8_t low[TREE_PLACES], high[TREE_PLACES];
    const bool nan = tree_rank_row(e, row, low, high);
    const tree_run *run = e->runs;
    double sum = 0;
    for (size_t t = 0; t < e->trees;) {
        uint64_t outcomes[TREE_JUMP_CHUNK], others[TREE_JUMP_CHUNK];
        uint32_t leaves[TREE_JUMP_CHUNK];
        size_t first = t, last = e->trees - t < TREE_JUMP_CHUNK ? e->trees : t + TREE_JUMP_CHUNK;
        tree_outcomes(e, first, last, low, outcomes);
        if (nan) {
            tree_outcomes(e, first, last, high, others);
            for (size_t k = first; k < last; k++) {
                uint64_t holds = e->jump[k].nan_holds;
                outcomes[k - first] = (outcomes[k - first] & holds) | (others[k - first] & ~holds);
            }
        }
        while (t < last) {
            size_t end = run->last < last ? run->last : last;
            tree_jumps(e, t, end, outcomes + (t - first), leaves + (t - first), run->steps);
            run += end == run->last;
            t = end;
        }
        for (size_t k = first; k < last; k++) {
            uint32_t leaf = leaves[k - first];
            if (!e->direct)
                tree_add_leaf(e, e->jump_leaf[leaf], scores);
            else if (e->one)
                sum += (double)e->jump_value[leaf];
            else
                scores[e->roots[k].target] += (double)e->jump_value[leaf];
        }
    }
    if (e->one)
        scores[e->roots[0].target] = sum;
}

#else
#define TREE_JUMPS 0
#endif

#endif

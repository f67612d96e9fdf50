/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the bodies of kernels/qgemm_body.h and the micro-kernels apart from them share: how a product is cut into tiles,
 * and what an inner loop is given.
 */
#ifndef MBR_KERNELS_QGEMM_PLAN_H
#define MBR_KERNELS_QGEMM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Products of `mr` rows and one panel: steps s0 .. s0 + steps - 1 of it. */
typedef struct qg_tile {
    size_t steps; /* groups of four bytes */
    const char *a;
    ptrdiff_t lda; /* bytes */
    const char *b;
    int32_t *acc; /* (mr, columns of a panel) */
    bool first;   /* acc holds nothing yet */
} qg_tile;

/* A micro-kernel and what suits it. */
typedef struct qg_form {
    size_t mr, grain; /* most rows of a tile; rows that cost as much as one */
    size_t kc;        /* k is cut into blocks of at most this */
    double tile_macs; /* products in a tile of about 150 us */
    double out_macs;  /* products that take as long as a sum's way out */
    void (*micro)(const qg_tile *t, size_t mr);
    void (*begin)(void), (*end)(void); /* around the tiles of a run; or NULL */
} qg_form;

typedef struct qg_plan {
    size_t tm, tn, m_tiles, n_tiles; /* rows and panels of a tile, and how many tiles */
    size_t kc, k_blocks;
    ptrdiff_t lda; /* bytes of a row of the block */
    size_t segment_bytes, a_bytes, acc_bytes, row_bytes;
} qg_plan;

/* nr: columns of a panel of panel_bytes; width: bytes of an element of the block; segment_bytes: for each step of k, of
 * a convolution's list, or 0. */
qg_plan mbr_qg_plan_of(const qg_form *form, size_t m, size_t n, size_t k, size_t copies, size_t nr, size_t panel_bytes,
                       size_t width, size_t segment_bytes);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/qgemm_amx.h"

#include <immintrin.h>

#if !(defined(__AMX_TILE__) && defined(__AMX_INT8__)) && !(defined(__AMXTILE__) && defined(__AMXINT8__)) /* older Clang */
#error "this file needs -mamx-tile -mamx-int8"
#endif

/* What ldtilecfg reads. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* Constant: compilers do not know that the instruction reads all of it. */
static const tile_config whole = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16},
};

void mbr_qgemm_amx_begin(void)
{
    _tile_loadconfig(&whole);
}

void mbr_qgemm_amx_end(void)
{
    _tile_release();
}

#define ROW ((ptrdiff_t)(AMX_NR * sizeof(int32_t))) /* bytes of a row of sums, and of a step of B */

/* Sums in tiles 0 to 3, A in 4 and 5, B in 6 and 7. Sixteen steps of a panel are the rows of a tile of B. */
void mbr_qgemm_amx_micro(const qg_tile *t, size_t mr)
{
    const char *a = t->a, *b = t->b;
    char *acc = (char *)t->acc, *acc2 = acc + 16 * ROW;
    const char *a2 = a + 16 * t->lda;
    if (t->first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, acc, ROW);
        _tile_loadd(1, acc + 64, ROW);
        _tile_loadd(2, acc2, ROW);
        _tile_loadd(3, acc2 + 64, ROW);
    }
    if (mr > 16)
        for (size_t s = 0; s < t->steps; s += 16, a += 64, a2 += 64, b += 16 * ROW) {
            _tile_loadd(6, b, ROW);
            _tile_loadd(4, a, t->lda);
            _tile_dpbusd(0, 4, 6);
            _tile_loadd(7, b + 64, ROW);
            _tile_dpbusd(1, 4, 7);
            _tile_loadd(5, a2, t->lda);
            _tile_dpbusd(2, 5, 6);
            _tile_dpbusd(3, 5, 7);
        }
    else
        for (size_t s = 0; s < t->steps; s += 16, a += 64, b += 16 * ROW) {
            _tile_loadd(4, a, t->lda);
            _tile_loadd(6, b, ROW);
            _tile_dpbusd(0, 4, 6);
            _tile_loadd(7, b + 64, ROW);
            _tile_dpbusd(1, 4, 7);
        }
    _tile_stored(0, acc, ROW);
    _tile_stored(1, acc + 64, ROW);
    if (mr > 16) {
        _tile_stored(2, acc2, ROW);
        _tile_stored(3, acc2 + 64, ROW);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Depthwise convolution of bytes by dot products of four rows of the kernel: included after qgemm_body.h, with its way
 * out. The bytes of 64 channels in up to four input rows are interleaved once for a column, and meet the weights of
 * every output point that the column reaches; DV_POINTS neighbours are summed at a time.
 *
 * Packed: for each 64 channels the heads of two panels, then for each part, four rows and kernel column the weights
 * less their zero points of 4 x 16 channels. Differences that are no signed bytes are sums of up to three parts; how
 * many there are stands where the first head has a zero point.
 */
#ifndef MBR_KERNELS_X86_QCONV_DEPTHWISE_VNNI_H
#define MBR_KERNELS_X86_QCONV_DEPTHWISE_VNNI_H

#define DV_WIDTH 64
#define DV_POINTS 4
#define DV_BLOCK 28 /* points that go out at once */
#define DV_ROWS 16
#define DV_COLUMNS 32
#define DV_PARTS 3
#define DV_TILE 300000 /* channels of points in a tile */

static size_t dv_groups(const mbr_conv_args *s)
{
    return (s->kernel[0] * s->kernel[1] + 3) / 4;
}

static size_t dv_columns(const mbr_conv_args *s)
{
    return (DV_POINTS - 1) * s->stride[2] + (s->kernel[2] - 1) * s->dilation[2] + 1;
}

static bool dv_fits(const mbr_conv_args *s)
{
    return qc_fits(s) && s->groups == s->channels && s->filters == s->channels && s->channels > 1 &&
           dv_groups(s) <= DV_ROWS / 4 && s->stride[2] < DV_COLUMNS && s->dilation[2] < DV_COLUMNS &&
           s->kernel[2] < DV_COLUMNS && dv_columns(s) <= DV_COLUMNS;
}

static size_t dv_units(const mbr_conv_args *s)
{
    return (s->channels + DV_WIDTH - 1) / DV_WIDTH;
}

static size_t dv_unit_bytes(const mbr_conv_args *s)
{
    return 2 * QG_HEAD + DV_PARTS * dv_groups(s) * s->kernel[2] * DV_WIDTH * 4;
}

static size_t dv_pack_size(const mbr_conv_args *s)
{
    size_t size;
    return mbr_mul_size(dv_units(s), dv_unit_bytes(s), &size) ? size : 0;
}

static void dv_pack(const mbr_conv_args *s, const void *weights, bool is_signed, const void *zero, size_t zero_step,
                    void *packed, size_t first, size_t last)
{
    size_t kw = s->kernel[2], rows = s->kernel[0] * s->kernel[1], part_bytes = dv_groups(s) * kw * DV_WIDTH * 4;
    for (size_t unit = first; unit < last; unit++) {
        char *to = (char *)packed + unit * dv_unit_bytes(s);
        int32_t *head = (int32_t *)(void *)to, *parts = head + QG_NR;
        memset(to, 0, dv_unit_bytes(s));
        for (size_t i = 0; i < DV_WIDTH && unit * DV_WIDTH + i < s->channels; i++) {
            size_t c = unit * DV_WIDTH + i;
            int32_t z = zero ? qg_byte(zero, (ptrdiff_t)(c * zero_step), is_signed) : 0;
            for (size_t t = 0; t < rows * kw; t++) {
                int32_t left = qg_byte(weights, (ptrdiff_t)(c * rows * kw + t), is_signed) - z;
                char *at = to + 2 * QG_HEAD + ((t / kw / 4 * kw + t % kw) * DV_WIDTH + i) * 4 + t / kw % 4;
                head[i / QG_NR * 2 * QG_NR + i % QG_NR] += left;
                for (int32_t p = 1; left; p++, at += part_bytes) {
                    int32_t part = left < -128 ? -128 : left > 127 ? 127 : left;
                    *at = (char)part;
                    left -= part;
                    *parts = p > *parts ? p : *parts;
                }
            }
        }
    }
}

static size_t dv_scratch(const mbr_qconv_args *a)
{
    (void)a;
    return DV_BLOCK * DV_WIDTH * sizeof(int32_t);
}

static size_t dv_tile_rows(const mbr_conv_args *s)
{
    size_t rows = s->n * s->out[0] * s->out[1], row = s->out[2] * dv_units(s) * DV_WIDTH;
    return mbr_max_size(mbr_min_size(row ? DV_TILE / row : 1, (rows + 15) / 16), 1);
}

static size_t dv_tiles(const mbr_qconv_args *a)
{
    const mbr_conv_args *s = &a->shape;
    size_t rows = s->n * s->out[0] * s->out[1], tile = dv_tile_rows(s);
    return s->out[2] ? (rows + tile - 1) / tile : 0;
}

/* The input rows of an output row: those outside are the zeros, which lie still while others move along. */
typedef struct dv_rows {
    const uint8_t *at[DV_ROWS];
    ptrdiff_t moves[DV_ROWS]; /* -1 or 0 */
    uint8_t tap[DV_COLUMNS][DV_POINTS]; /* which a column is for a point; kernel[2]: none */
} dv_rows;

/* The bytes of one column in four rows of the kernel, interleaved: v[i] has channels 16 i and on. */
MBR_INLINE void dv_column(const uint8_t *const *x, size_t n, __mmask64 some, __m512i flip, __m512i *v)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i r[4];
    MBR_UNROLL(4)
    for (size_t i = 0; i < 4; i++)
        r[i] = i < n ? _mm512_permutexvar_epi32(order, _mm512_xor_si512(_mm512_maskz_loadu_epi8(some, x[i]), flip))
                     : _mm512_setzero_si512();
    __m512i low = _mm512_unpacklo_epi8(r[0], r[1]), high = _mm512_unpackhi_epi8(r[0], r[1]);
    __m512i low2 = _mm512_unpacklo_epi8(r[2], r[3]), high2 = _mm512_unpackhi_epi8(r[2], r[3]);
    v[0] = _mm512_unpacklo_epi16(low, low2);
    v[1] = _mm512_unpackhi_epi16(low, low2);
    v[2] = _mm512_unpacklo_epi16(high, high2);
    v[3] = _mm512_unpackhi_epi16(high, high2);
}

/* The sums of DV_POINTS points for 64 channels from c on; w0: the input column of the first. */
static void dv_points(const mbr_conv_args *s, const dv_rows *rows, const char *weights, size_t parts, ptrdiff_t w0,
                      size_t c, __mmask64 some, __m512i flip, const uint8_t *zeros, int32_t *sums)
{
    size_t kernel_rows = s->kernel[0] * s->kernel[1], kw = s->kernel[2], columns = dv_columns(s);
    __m512i sum[DV_POINTS][4];
    MBR_UNROLL(4)
    for (int p = 0; p < DV_POINTS; p++) {
        MBR_UNROLL(4)
        for (int v = 0; v < 4; v++)
            sum[p][v] = _mm512_setzero_si512();
    }
    for (size_t part = 0; part < parts; part++)
        for (size_t g = 0; g < kernel_rows; g += 4, weights += kw * DV_WIDTH * 4)
            for (size_t j = 0; j < columns; j++) {
                ptrdiff_t w = w0 + (ptrdiff_t)j, along = w * s->ldx + (ptrdiff_t)c;
                bool inside = w >= 0 && w < (ptrdiff_t)s->in[2];
                const uint8_t *x[4];
                MBR_UNROLL(4)
                for (size_t i = 0; i < 4; i++)
                    x[i] = inside ? rows->at[g + i] + (along & rows->moves[g + i]) : zeros;
                __m512i v[4];
                dv_column(x, kernel_rows - g < 4 ? kernel_rows - g : 4, some, flip, v);
                MBR_UNROLL(4)
                for (int p = 0; p < DV_POINTS; p++) {
                    size_t t = rows->tap[j][p];
                    if (t == kw)
                        continue;
                    const char *by = weights + t * DV_WIDTH * 4;
                    MBR_UNROLL(4)
                    for (int i = 0; i < 4; i++)
                        sum[p][i] = _mm512_dpbusd_epi32(sum[p][i], v[i], _mm512_loadu_si512(by + i * 64));
                }
            }
    MBR_UNROLL(4)
    for (int p = 0; p < DV_POINTS; p++) {
        MBR_UNROLL(4)
        for (int v = 0; v < 4; v++)
            _mm512_storeu_si512(sums + p * DV_WIDTH + v * 16, sum[p][v]);
    }
}

static void dv_taps_of(const mbr_conv_args *s, dv_rows *rows)
{
    memset(rows->tap, (int)s->kernel[2], sizeof rows->tap);
    for (size_t p = 0; p < DV_POINTS; p++)
        for (size_t t = 0; t < s->kernel[2]; t++)
            rows->tap[p * s->stride[2] + t * s->dilation[2]][p] = (uint8_t)t;
}

static void dv_rows_of(const mbr_qconv_args *a, size_t row, const uint8_t *zeros, dv_rows *rows)
{
    const mbr_conv_args *s = &a->shape;
    size_t b = row / (s->out[0] * s->out[1]), od = row / s->out[1] % s->out[0], oh = row % s->out[1];
    for (size_t r = 0; r < DV_ROWS; r++) {
        ptrdiff_t d = (ptrdiff_t)(od * s->stride[0] + r / s->kernel[1] * s->dilation[0]) - s->pad[0];
        ptrdiff_t h = (ptrdiff_t)(oh * s->stride[1] + r % s->kernel[1] * s->dilation[1]) - s->pad[1];
        bool inside = d >= 0 && d < (ptrdiff_t)s->in[0] && h >= 0 && h < (ptrdiff_t)s->in[1];
        ptrdiff_t line = (((ptrdiff_t)(b * s->in[0]) + d) * (ptrdiff_t)s->in[1] + h) * (ptrdiff_t)s->in[2];
        rows->at[r] = inside ? (const uint8_t *)a->x + line * s->ldx : zeros;
        rows->moves[r] = inside ? -1 : 0;
    }
}

static void dv_run(const mbr_qconv_args *a, void *scratch, size_t first, size_t last)
{
    const mbr_conv_args *s = &a->shape;
    size_t tile = dv_tile_rows(s), end = mbr_min_size(last * tile, s->n * s->out[0] * s->out[1]);
    size_t size = a->out.type == MBR_DTYPE_U8 || a->out.type == MBR_DTYPE_I8 ? 1 : 4;
    int32_t *sums = scratch;
    uint8_t zeros[DV_WIDTH];
    __m512i flip = _mm512_set1_epi8((char)QG_FLIP(a->x_signed, false));
    dv_rows rows;
    memset(zeros, (int)(uint8_t)a->x_zero, sizeof zeros);
    dv_taps_of(s, &rows);
    for (size_t row = first * tile; row < end; row++) {
        dv_rows_of(a, row, zeros, &rows);
        for (size_t ow = 0; ow < s->out[2]; ow += DV_BLOCK)
            for (size_t c = 0; c < s->channels; c += DV_WIDTH) {
                const char *unit = (const char *)a->w + c / DV_WIDTH * dv_unit_bytes(s);
                const int32_t *head = (const int32_t *)(const void *)unit;
                size_t points = mbr_min_size(s->out[2] - ow, DV_BLOCK), left = mbr_min_size(s->channels - c, DV_WIDTH);
                for (size_t p = 0; p < points; p += DV_POINTS)
                    dv_points(s, &rows, unit + 2 * QG_HEAD, (size_t)head[QG_NR],
                              (ptrdiff_t)((ow + p) * s->stride[2]) - s->pad[2], c, ~(__mmask64)0 >> (64 - left), flip,
                              zeros, sums + p * DV_WIDTH);
                ptrdiff_t point = (ptrdiff_t)(row * s->out[2] + ow);
                for (size_t j = 0; j < left; j += QG_NR) {
                    qg_out out = {.q = &a->out,
                                  .c = (char *)a->y + (point * s->ldy + (ptrdiff_t)(c + j)) * (ptrdiff_t)size,
                                  .ldc = s->ldy,
                                  .j = c + j,
                                  .a_zero = qg_a_zero(a->x_signed, a->x_zero),
                                  .other = a->out.other_is ? a->out.other + point * a->out.ld_other + (ptrdiff_t)(c + j)
                                                           : NULL};
                    qg_finish(&out, sums + j, DV_WIDTH, head + j / QG_NR * 2 * QG_NR, points,
                              mbr_min_size(left - j, QG_NR));
                }
            }
    }
}

const mbr_qconv_kernel QG_ROW(qconv_avx512vnni_depthwise) = {
    "qconv_avx512vnni_depthwise", QG_TIER, dv_fits, dv_pack_size, dv_units, dv_pack, dv_scratch, dv_tiles, dv_run,
};

#endif

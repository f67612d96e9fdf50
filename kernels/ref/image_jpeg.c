/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JPEG, 8 bits a sample, Huffman-coded, sequential or progressive, of one or three components. All coefficients are
 * read first; then every plane is transformed, upsampled and converted. The inverse transform, the upsampling by
 * triangles and the conversion of colours use the integer arithmetic that is usual for JPEG, so that pixels agree with
 * other decoders to the bit.
 */
#include "kernels/image.h"

#include <string.h>

typedef struct huffman {
    bool there;
    int32_t most[17];    /* largest code of a length, -1: none */
    int32_t offset[17];  /* index of a symbol less its code */
    uint8_t symbols[256];
} huffman;

typedef struct component {
    uint8_t id, h, v, quant, dc, ac;
    size_t blocks_w, blocks_h; /* of the padded plane */
    size_t width, height;      /* samples that count */
    int16_t *coefs;            /* (blocks_h, blocks_w, 64) */
    uint8_t *plane;            /* (blocks_h * 8, blocks_w * 8) */
    int pred;
} component;

typedef struct jpeg {
    const uint8_t *data;
    size_t size, at;
    size_t width, height, mcus_w, mcus_h;
    bool progressive, frame, adobe_rgb;
    uint8_t h_most, v_most;
    int n;
    component c[3];
    uint16_t quant[4][64];
    huffman codes[2][4]; /* DC, AC */
    size_t restart;
    /* bits */
    uint32_t hold;
    int have;
    bool marker; /* the entropy-coded data has ended */
    bool cut;    /* so has the file, and more bits were due */
    /* the scan */
    int scan_n, scan[3];
    int from, to, high, low;
    uint32_t run; /* blocks to go of an end-of-band run */
} jpeg;

static const uint8_t zigzag[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
};

/* --- bits --- */

static int bit(jpeg *j)
{
    if (j->have == 0) {
        uint8_t b = 0;
        j->cut |= j->at >= j->size || (j->at + 1 == j->size && j->data[j->at] == 0xff);
        if (!j->marker && j->at < j->size) {
            b = j->data[j->at];
            if (b != 0xff) {
                j->at++;
            } else if (j->at + 1 < j->size && j->data[j->at + 1] == 0) {
                j->at += 2;
            } else {
                j->marker = true; /* zeros from here on */
                b = 0;
            }
        }
        j->hold = b;
        j->have = 8;
    }
    return (int)(j->hold >> --j->have & 1);
}

static int take(jpeg *j, int n)
{
    int v = 0;
    while (n--)
        v = v << 1 | bit(j);
    return v;
}

/* n bits as a signed number: those with a leading 0 are negative. */
static int take_signed(jpeg *j, int n)
{
    int v = take(j, n);
    return n && v < 1 << (n - 1) ? v - (1 << n) + 1 : v;
}

static int symbol(jpeg *j, const huffman *h)
{
    int code = 0;
    for (int k = 1; k <= 16; k++) {
        code = code << 1 | bit(j);
        if (code <= h->most[k])
            return h->symbols[(code + h->offset[k]) & 255];
    }
    return -1;
}

/* --- segments --- */

static bool read_huffman(jpeg *j, const uint8_t *p, size_t n)
{
    while (n >= 17) {
        int kind = p[0] >> 4, id = p[0] & 15, code = 0;
        size_t count = 0;
        if (kind > 1 || id > 3)
            return false;
        huffman *h = &j->codes[kind][id];
        for (int k = 1; k <= 16; k++) {
            h->offset[k] = (int32_t)count - code;
            h->most[k] = p[k] ? code + p[k] - 1 : -1;
            if (code + p[k] > 1 << k)
                return false;
            code = (code + p[k]) << 1;
            count += p[k];
        }
        if (count > 256 || n - 17 < count)
            return false;
        memcpy(h->symbols, p + 17, count);
        h->there = true;
        p += 17 + count;
        n -= 17 + count;
    }
    return n == 0;
}

static bool read_quant(jpeg *j, const uint8_t *p, size_t n)
{
    while (n >= 65) {
        int wide = p[0] >> 4, id = p[0] & 15;
        size_t need = wide ? 129 : 65;
        if (id > 3 || wide > 1 || n < need)
            return false;
        for (int i = 0; i < 64; i++)
            j->quant[id][zigzag[i]] = wide ? (uint16_t)(p[1 + 2 * i] << 8 | p[2 + 2 * i]) : p[1 + i];
        p += need;
        n -= need;
    }
    return n == 0;
}

static bool read_frame(jpeg *j, const uint8_t *p, size_t n)
{
    if (j->frame || n < 6 || p[0] != 8 || (p[5] != 1 && p[5] != 3) || n < 6 + 3 * (size_t)p[5])
        return false;
    j->height = (size_t)p[1] << 8 | p[2];
    j->width = (size_t)p[3] << 8 | p[4];
    j->n = p[5];
    j->h_most = j->v_most = 1;
    for (int i = 0; i < j->n; i++) {
        component *c = &j->c[i];
        c->id = p[6 + 3 * i];
        c->h = p[7 + 3 * i] >> 4;
        c->v = p[7 + 3 * i] & 15;
        c->quant = p[8 + 3 * i];
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4 || c->quant > 3)
            return false;
        if (j->n == 1)
            c->h = c->v = 1;
        j->h_most = c->h > j->h_most ? c->h : j->h_most;
        j->v_most = c->v > j->v_most ? c->v : j->v_most;
    }
    if (j->width == 0 || j->height == 0)
        return false;
    j->mcus_w = (j->width + 8u * j->h_most - 1) / (8u * j->h_most);
    j->mcus_h = (j->height + 8u * j->v_most - 1) / (8u * j->v_most);
    for (int i = 0; i < j->n; i++) {
        component *c = &j->c[i];
        if (j->h_most % c->h || j->v_most % c->v)
            return false;
        c->blocks_w = j->mcus_w * c->h;
        c->blocks_h = j->mcus_h * c->v;
        c->width = (j->width * c->h + j->h_most - 1) / j->h_most;
        c->height = (j->height * c->v + j->v_most - 1) / j->v_most;
    }
    j->frame = true;
    return true;
}

static size_t scratch_of(const jpeg *j)
{
    size_t n = 16;
    for (int i = 0; i < j->n; i++)
        n += j->c[i].blocks_w * j->c[i].blocks_h * 64 * (sizeof(int16_t) + 1);
    return n + 3 * j->width;
}

/* --- blocks --- */

static bool sequential_block(jpeg *j, component *c, int16_t *b)
{
    const huffman *dc = &j->codes[0][c->dc], *ac = &j->codes[1][c->ac];
    int s = symbol(j, dc);
    if (s < 0 || s > 15)
        return false;
    c->pred = (int16_t)(c->pred + take_signed(j, s));
    b[0] = (int16_t)c->pred;
    for (int k = 1; k < 64; k++) {
        s = symbol(j, ac);
        if (s < 0)
            return false;
        if ((s & 15) == 0) {
            if (s != 0xf0)
                break;
            k += 15;
            continue;
        }
        k += s >> 4;
        if (k > 63)
            return false;
        b[zigzag[k]] = (int16_t)take_signed(j, s & 15);
    }
    return true;
}

static bool first_block(jpeg *j, component *c, int16_t *b)
{
    if (j->from == 0) {
        int s = symbol(j, &j->codes[0][c->dc]);
        if (s < 0 || s > 15)
            return false;
        c->pred = (int16_t)(c->pred + take_signed(j, s));
        b[0] = (int16_t)(c->pred * (1 << j->low));
        return true;
    }
    if (j->run > 0) {
        j->run--;
        return true;
    }
    for (int k = j->from; k <= j->to; k++) {
        int s = symbol(j, &j->codes[1][c->ac]);
        if (s < 0)
            return false;
        int r = s >> 4;
        if ((s & 15) == 0) {
            if (r < 15) {
                j->run = (1u << r) + (uint32_t)take(j, r) - 1;
                break;
            }
            k += 15;
            continue;
        }
        k += r;
        if (k > 63)
            return false;
        b[zigzag[k]] = (int16_t)(take_signed(j, s & 15) * (1 << j->low));
    }
    return true;
}

/* One more bit for a coefficient that is not zero. */
static void refine(jpeg *j, int16_t *x)
{
    if (bit(j) && !(*x & 1 << j->low))
        *x = (int16_t)(*x + (*x > 0 ? 1 << j->low : -(1 << j->low)));
}

static bool refine_block(jpeg *j, component *c, int16_t *b)
{
    if (j->from == 0) {
        if (bit(j))
            b[0] |= (int16_t)(1 << j->low);
        return true;
    }
    int k = j->from;
    for (; j->run == 0 && k <= j->to; k++) {
        int s = symbol(j, &j->codes[1][c->ac]), value = 0;
        if (s < 0)
            return false;
        int r = s >> 4;
        if ((s & 15) == 0 && r < 15) {
            j->run = (1u << r) + (uint32_t)take(j, r);
            break;
        }
        if (s & 15)
            value = bit(j) ? 1 << j->low : -(1 << j->low);
        for (; k <= j->to; k++) {
            int16_t *x = &b[zigzag[k]];
            if (*x)
                refine(j, x);
            else if (r-- == 0) {
                *x = (int16_t)value;
                break;
            }
        }
    }
    if (j->run > 0) {
        for (; k <= j->to; k++)
            if (b[zigzag[k]])
                refine(j, &b[zigzag[k]]);
        j->run--;
    }
    return true;
}

static bool any_block(jpeg *j, component *c, size_t x, size_t y)
{
    int16_t *b = c->coefs + (y * c->blocks_w + x) * 64;
    return !j->progressive ? sequential_block(j, c, b) : j->high == 0 ? first_block(j, c, b) : refine_block(j, c, b);
}

/* --- scans --- */

static bool read_scan_head(jpeg *j, const uint8_t *p, size_t n)
{
    if (n < 1 || p[0] < 1 || p[0] > j->n || n < 4 + 2 * (size_t)p[0])
        return false;
    j->scan_n = p[0];
    for (int i = 0; i < j->scan_n; i++) {
        int k = 0;
        while (k < j->n && j->c[k].id != p[1 + 2 * i])
            k++;
        if (k == j->n)
            return false;
        j->scan[i] = k;
        j->c[k].dc = p[2 + 2 * i] >> 4;
        j->c[k].ac = p[2 + 2 * i] & 15;
        if (j->c[k].dc > 3 || j->c[k].ac > 3)
            return false;
    }
    p += 1 + 2 * j->scan_n;
    j->from = j->progressive ? p[0] : 0;
    j->to = j->progressive ? p[1] : 63;
    j->high = j->progressive ? p[2] >> 4 : 0;
    j->low = j->progressive ? p[2] & 15 : 0;
    if (j->from > j->to || j->to > 63 || j->low > 13 || (j->progressive && j->from > 0 && j->scan_n > 1))
        return false;
    for (int i = 0; i < j->scan_n; i++) {
        const component *c = &j->c[j->scan[i]];
        bool need_dc = j->from == 0 && j->high == 0, need_ac = j->to > 0 && (j->from > 0 || !j->progressive);
        if ((need_dc && !j->codes[0][c->dc].there) || (need_ac && !j->codes[1][c->ac].there))
            return false;
    }
    return true;
}

static void restart(jpeg *j)
{
    j->have = 0;
    j->marker = false;
    j->run = 0;
    for (int i = 0; i < j->n; i++)
        j->c[i].pred = 0;
}

/* At a restart marker: steps over it. */
static void pass_restart(jpeg *j)
{
    while (j->at + 1 < j->size && !(j->data[j->at] == 0xff && j->data[j->at + 1] != 0 && j->data[j->at + 1] != 0xff))
        j->at++;
    if (j->at + 1 < j->size && (j->data[j->at + 1] & 0xf8) == 0xd0)
        j->at += 2;
    restart(j);
}

static bool read_scan(jpeg *j)
{
    component *only = &j->c[j->scan[0]];
    bool single = j->scan_n == 1;
    size_t w = single ? (only->width + 7) / 8 : j->mcus_w, h = single ? (only->height + 7) / 8 : j->mcus_h;
    restart(j);
    for (size_t m = 0; m < w * h; m++) {
        if (j->restart && m && m % j->restart == 0)
            pass_restart(j);
        if (single) {
            if (!any_block(j, only, m % w, m / w))
                return false;
            continue;
        }
        for (int i = 0; i < j->scan_n; i++) {
            component *c = &j->c[j->scan[i]];
            for (size_t k = 0; k < (size_t)c->h * c->v; k++)
                if (!any_block(j, c, m % w * c->h + k % c->h, m / w * c->v + k / c->h))
                    return false;
        }
    }
    return true;
}

/* Walks through the segments. head_only: stops when the frame is known. */
static bool read_segments(jpeg *j, bool head_only)
{
    int scanned = 0; /* a bit for each component */
    bool ended = false;
    for (j->at = 2; j->at + 2 <= j->size;) {
        if (j->data[j->at] != 0xff) {
            j->at++;
            continue;
        }
        uint8_t m = j->data[j->at + 1];
        if (m == 0xff || m == 0 || (m >= 0xd0 && m <= 0xd8) || m == 1) {
            j->at += m == 0xff ? 1 : 2;
            continue;
        }
        ended = m == 0xd9;
        if (ended || j->at + 4 > j->size)
            break;
        size_t n = (size_t)j->data[j->at + 2] << 8 | j->data[j->at + 3];
        const uint8_t *p = j->data + j->at + 4;
        if (n < 2 || n > j->size - j->at - 2)
            return false;
        j->at += 2 + n;
        n -= 2;
        bool good = true;
        if (m == 0xc4) {
            good = read_huffman(j, p, n);
        } else if (m == 0xdb) {
            good = read_quant(j, p, n);
        } else if (m == 0xdd) {
            j->restart = n >= 2 ? (size_t)p[0] << 8 | p[1] : 0;
        } else if (m == 0xee && n >= 12 && memcmp(p, "Adobe", 5) == 0) {
            j->adobe_rgb = p[11] == 0;
        } else if (m >= 0xc0 && m <= 0xc2) {
            j->progressive = m == 0xc2;
            if (head_only)
                return read_frame(j, p, n);
            good = j->frame; /* laid out before */
        } else if (m > 0xc2 && m < 0xd0 && m != 0xc8 && m != 0xcc) {
            return false; /* lossless, hierarchical, arithmetic */
        } else if (m == 0xda) {
            good = !head_only && read_scan_head(j, p, n) && read_scan(j) && !j->cut;
            for (int i = 0; i < j->scan_n; i++)
                scanned |= 1 << j->scan[i];
        }
        if (!good)
            return false;
    }
    /* without its end a file has all only where each component comes once */
    return scanned && (ended || (!j->progressive && scanned == (1 << j->n) - 1));
}

bool mbr_image_jpeg_probe(const uint8_t *data, size_t size, mbr_image_file *image)
{
    if (size < 4 || data[0] != 0xff || data[1] != 0xd8 || data[2] != 0xff)
        return false;
    jpeg j = { .data = data, .size = size };
    if (!read_segments(&j, true))
        return false;
    image->width = j.width;
    image->height = j.height;
    image->scratch = scratch_of(&j);
    return true;
}

/* --- pixels --- */

static uint8_t clamp(int64_t v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* One pass of the 8-point inverse transform over in[0], in[step] ...: even and odd half, 13 bits of fraction. */
static void idct8(const int64_t *in, size_t step, int64_t *out, int shift)
{
    int64_t x0 = in[0], x1 = in[step], x2 = in[2 * step], x3 = in[3 * step], x4 = in[4 * step], x5 = in[5 * step];
    int64_t x6 = in[6 * step], x7 = in[7 * step], round = (int64_t)1 << (shift - 1);
    int64_t z = (x2 + x6) * 4433, low = z - x6 * 15137, high = z + x2 * 6270;
    int64_t sum = (x0 + x4) * 8192, difference = (x0 - x4) * 8192;
    int64_t even[4] = { sum + high, difference + low, difference - low, sum - high };
    int64_t z1 = (x7 + x1) * -7373, z2 = (x5 + x3) * -20995, z5 = (x7 + x3 + x5 + x1) * 9633;
    int64_t z3 = (x7 + x3) * -16069 + z5, z4 = (x5 + x1) * -3196 + z5;
    int64_t odd[4] = { x1 * 12299 + z1 + z4, x3 * 25172 + z2 + z3, x5 * 16819 + z2 + z4, x7 * 2446 + z1 + z3 };
    for (size_t k = 0; k < 4; k++) {
        out[k * step] = (even[k] + odd[k] + round) >> shift;
        out[(7 - k) * step] = (even[k] - odd[k] + round) >> shift;
    }
}

static void transform(const jpeg *j, component *c)
{
    size_t stride = c->blocks_w * 8;
    for (size_t b = 0; b < c->blocks_w * c->blocks_h; b++) {
        int64_t x[64]; /* wide, for what broken streams hold */
        for (int i = 0; i < 64; i++)
            x[i] = (int64_t)c->coefs[b * 64 + (size_t)i] * j->quant[c->quant][i];
        for (size_t i = 0; i < 8; i++)
            idct8(x + i, 8, x + i, 11);
        for (size_t i = 0; i < 8; i++)
            idct8(x + 8 * i, 1, x + 8 * i, 18);
        uint8_t *to = c->plane + b / c->blocks_w * 8 * stride + b % c->blocks_w * 8;
        for (size_t i = 0; i < 64; i++)
            to[i / 8 * stride + i % 8] = clamp(x[i] + 128);
    }
}

/* One row of a component at the image's width: triangles for factors of 2, repetition for others. */
static void upsample(const jpeg *j, const component *c, size_t y, uint8_t *out)
{
    size_t fx = (size_t)j->h_most / c->h, fy = (size_t)j->v_most / c->v, stride = c->blocks_w * 8, row = y / fy;
    bool smooth = fx == 2 && fy <= 2 && c->width > 2, tall = fx == 1 && fy == 2;
    size_t other = y % fy == 0 ? (row > 0 ? row - 1 : 0) : row + 1 < c->height ? row + 1 : c->height - 1;
    const uint8_t *a = c->plane + row * stride, *b = c->plane + other * stride;
    for (size_t x = 0; x < j->width; x++) {
        size_t i = x / fx;
        if (tall) {
            out[x] = (uint8_t)((a[i] * 3 + b[i] + (y % 2 == 0 ? 1 : 2)) >> 2);
        } else if (!smooth) {
            out[x] = a[i];
        } else {
            /* (3 near + far) / 4, the far one being this sample itself at the edges */
            size_t far = x % 2 == 0 ? (i > 0 ? i - 1 : 0) : i + 1 < c->width ? i + 1 : i;
            if (fy == 1)
                out[x] = far == i ? a[i] : (uint8_t)((a[i] * 3 + a[far] + (x % 2 == 0 ? 1 : 2)) >> 2);
            else
                out[x] = (uint8_t)(((a[i] * 3 + b[i]) * 3 + a[far] * 3 + b[far] + (x % 2 == 0 ? 8 : 7)) >> 4);
        }
    }
}

bool mbr_image_jpeg_decode(const mbr_image_file *im, const uint8_t *data, size_t size, uint8_t *rgb, void *scratch)
{
    jpeg j = { .data = data, .size = size };
    if (!read_segments(&j, true))
        return false;
    jpeg fresh = { .data = data, .size = size, .width = j.width, .height = j.height, .mcus_w = j.mcus_w,
                   .mcus_h = j.mcus_h, .frame = true, .h_most = j.h_most, .v_most = j.v_most, .n = j.n };
    memcpy(fresh.c, j.c, sizeof j.c);
    j = fresh;
    int16_t *coefs = scratch;
    for (int i = 0; i < j.n; i++) {
        j.c[i].coefs = coefs;
        coefs += j.c[i].blocks_w * j.c[i].blocks_h * 64;
    }
    memset(scratch, 0, (size_t)((char *)coefs - (char *)scratch));
    uint8_t *bytes = (uint8_t *)coefs, *rows[3];
    for (int i = 0; i < j.n; i++) {
        j.c[i].plane = bytes;
        bytes += j.c[i].blocks_w * j.c[i].blocks_h * 64;
    }
    for (int i = 0; i < 3; i++)
        rows[i] = bytes + (size_t)i * j.width;
    if (!read_segments(&j, false))
        return false;
    for (int i = 0; i < j.n; i++)
        transform(&j, &j.c[i]);
    for (size_t y = 0; y < im->height; y++) {
        for (int i = 0; i < j.n; i++)
            upsample(&j, &j.c[i], y, rows[i]);
        for (size_t x = 0; x < im->width; x++, rgb += 3) {
            int l = rows[0][x];
            if (j.n == 1) {
                rgb[0] = rgb[1] = rgb[2] = (uint8_t)l;
            } else if (j.adobe_rgb) {
                rgb[0] = (uint8_t)l;
                rgb[1] = rows[1][x];
                rgb[2] = rows[2][x];
            } else { /* 16 bits of fraction: 1.402, 0.34414, 0.71414, 1.772 */
                int u = rows[1][x] - 128, v = rows[2][x] - 128;
                rgb[0] = clamp(l + ((91881 * v + 32768) >> 16));
                rgb[1] = clamp(l + ((-22554 * u - 46802 * v + 32768) >> 16));
                rgb[2] = clamp(l + ((116130 * u + 32768) >> 16));
            }
        }
    }
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* PNG, and the inflation of zlib streams. */
#include "kernels/image.h"

#include <stdlib.h>
#include <string.h>

/* --- inflate --- */

typedef struct bits {
    const uint8_t *data;
    size_t size, at;
    uint32_t hold;
    int have;
    bool broken; /* read past the end */
} bits;

static uint32_t take(bits *b, int n)
{
    while (b->have < n) {
        if (b->at < b->size)
            b->hold |= (uint32_t)b->data[b->at++] << b->have;
        else
            b->broken = true;
        b->have += 8;
    }
    uint32_t v = b->hold & ((1u << n) - 1);
    b->hold >>= n;
    b->have -= n;
    return v;
}

/* A canonical Huffman code: how many codes of each length, and the symbols in order. */
typedef struct code {
    uint16_t count[16], symbol[288];
} code;

static bool build(code *c, const uint8_t *lengths, size_t n)
{
    uint16_t at[16];
    memset(c->count, 0, sizeof c->count);
    for (size_t i = 0; i < n; i++)
        c->count[lengths[i]]++;
    c->count[0] = 0;
    int left = 1;
    for (int k = 1; k < 16; k++) {
        left = left * 2 - c->count[k];
        if (left < 0)
            return false;
    }
    at[1] = 0;
    for (int k = 1; k < 15; k++)
        at[k + 1] = (uint16_t)(at[k] + c->count[k]);
    for (size_t i = 0; i < n; i++)
        if (lengths[i])
            c->symbol[at[lengths[i]]++] = (uint16_t)i;
    return true;
}

static int symbol(bits *b, const code *c)
{
    int value = 0, first = 0, index = 0;
    for (int k = 1; k < 16; k++) {
        value |= (int)take(b, 1);
        if (value - first < c->count[k])
            return c->symbol[index + value - first];
        index += c->count[k];
        first = (first + c->count[k]) << 1;
        value <<= 1;
        if (b->broken)
            break;
    }
    return -1;
}

static bool read_codes(bits *b, code *literal, code *distance)
{
    static const uint8_t order[19] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
    uint8_t lengths[320] = { 0 };
    size_t n = take(b, 5) + 257, d = take(b, 5) + 1, k = take(b, 4) + 4, at = 0;
    for (size_t i = 0; i < k; i++)
        lengths[order[i]] = (uint8_t)take(b, 3);
    if (!build(literal, lengths, 19))
        return false;
    memset(lengths, 0, sizeof lengths);
    while (at < n + d) {
        int s = symbol(b, literal);
        if (s < 0 || b->broken)
            return false;
        if (s < 16) {
            lengths[at++] = (uint8_t)s;
            continue;
        }
        if (s == 16 && at == 0)
            return false;
        uint8_t v = s == 16 ? lengths[at - 1] : 0;
        size_t times = s == 16 ? 3 + take(b, 2) : s == 17 ? 3 + take(b, 3) : 11 + take(b, 7);
        if (at + times > n + d)
            return false;
        while (times--)
            lengths[at++] = v;
    }
    return n <= 286 && build(literal, lengths, n) && build(distance, lengths + n, d);
}

static void fixed_codes(code *literal, code *distance)
{
    uint8_t lengths[288];
    for (int i = 0; i < 288; i++)
        lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    build(literal, lengths, 288);
    memset(lengths, 5, 30);
    build(distance, lengths, 30);
}

static bool inflate_block(bits *b, const code *literal, const code *distance, uint8_t *out, size_t room, size_t *at)
{
    static const uint16_t base[29] = { 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83,
                                       99, 115, 131, 163, 195, 227, 258 };
    static const uint8_t more[29] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                      2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };
    for (;;) {
        int s = symbol(b, literal);
        if (s < 0 || b->broken || s > 285)
            return false;
        if (s == 256)
            return true;
        if (s < 256) {
            if (*at >= room)
                return false;
            out[(*at)++] = (uint8_t)s;
            continue;
        }
        size_t length = base[s - 257] + take(b, more[s - 257]);
        int d = symbol(b, distance);
        if (d < 0 || d > 29)
            return false;
        int extra = d < 2 ? 0 : d / 2 - 1;
        size_t back = (d < 2 ? (size_t)d : ((size_t)2 + (size_t)(d & 1)) << extra) + 1 + take(b, extra);
        if (back > *at || length > room - *at || b->broken)
            return false;
        for (; length; length--, (*at)++)
            out[*at] = out[*at - back];
    }
}

size_t mbr_inflate(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    bits b = { .data = data, .size = size, .at = 2 };
    code literal, distance;
    size_t at = 0;
    bool last = false;
    if (size < 2 || (data[0] & 15) != 8 || (data[1] & 32))
        return SIZE_MAX;
    while (!last && !b.broken) {
        last = take(&b, 1) != 0;
        uint32_t kind = take(&b, 2);
        if (kind == 0) {
            b.hold = 0;
            b.have = 0;
            size_t n = take(&b, 16);
            take(&b, 16);
            if (b.broken || n > room - at || n > b.size - b.at)
                return SIZE_MAX;
            memcpy(out + at, b.data + b.at, n);
            at += n;
            b.at += n;
            continue;
        }
        if (kind == 3 || (kind == 2 && !read_codes(&b, &literal, &distance)))
            return SIZE_MAX;
        if (kind == 1)
            fixed_codes(&literal, &distance);
        if (!inflate_block(&b, &literal, &distance, out, room, &at))
            return SIZE_MAX;
    }
    return b.broken ? SIZE_MAX : at;
}

/* --- PNG --- */

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static const struct {
    uint8_t x0, y0, dx, dy;
} passes[7] = { { 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 }, { 0, 2, 2, 4 }, { 1, 0, 2, 2 },
                { 0, 1, 1, 2 } };

/* Samples of a pixel; 0: no such colour type. */
static size_t samples_of(uint8_t type)
{
    static const uint8_t n[7] = { 1, 0, 3, 1, 2, 0, 4 };
    return type < 7 ? n[type] : 0;
}

/* Size of one pass (0 .. 6), or of the whole (-1). */
static void pass_size(const mbr_image_file *im, int pass, size_t *w, size_t *h)
{
    *w = pass < 0 ? im->width : (im->width + passes[pass].dx - 1 - passes[pass].x0) / passes[pass].dx;
    *h = pass < 0 ? im->height : (im->height + passes[pass].dy - 1 - passes[pass].y0) / passes[pass].dy;
}

static size_t raw_size(const mbr_image_file *im, const uint8_t *data)
{
    size_t bits_each = samples_of(data[25]) * data[24], all = 0, w, h;
    for (int p = data[28] ? 0 : -1; p < (data[28] ? 7 : 0); p++) {
        pass_size(im, p, &w, &h);
        all += w && h ? h * (1 + (w * bits_each + 7) / 8) : 0;
    }
    return all;
}

bool mbr_image_png_probe(const uint8_t *data, size_t size, mbr_image_file *image)
{
    static const uint8_t head[16] = { 137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82 };
    if (size < 33 || memcmp(data, head, 16) != 0)
        return false;
    image->width = be32(data + 16);
    image->height = be32(data + 20);
    uint8_t depth = data[24], type = data[25];
    bool power = depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    if (!power || samples_of(type) == 0 || (type != 0 && type != 3 && depth < 8) || (type == 3 && depth == 16) ||
        data[26] || data[27] || data[28] > 1 || image->width == 0 || image->height == 0 ||
        image->width > MBR_IMAGE_MOST_PIXELS / image->height)
        return false;
    image->scratch = size + raw_size(image, data);
    return true;
}

/* Undoes the filter of one row. step: bytes of a pixel. */
static bool unfilter(uint8_t *row, const uint8_t *above, size_t n, size_t step, uint8_t filter)
{
    for (size_t i = 0; i < n; i++) {
        int a = i >= step ? row[i - step] : 0, b = above ? above[i] : 0, c = above && i >= step ? above[i - step] : 0;
        int p = 0;
        if (filter == 1) {
            p = a;
        } else if (filter == 2) {
            p = b;
        } else if (filter == 3) {
            p = (a + b) / 2;
        } else if (filter == 4) {
            int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
            p = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
        }
        row[i] = (uint8_t)(row[i] + p);
    }
    return filter <= 4;
}

static uint8_t sample(const uint8_t *row, size_t i, int depth, bool scale)
{
    if (depth == 16)
        return row[2 * i];
    if (depth == 8)
        return row[i];
    int v = row[i * (size_t)depth / 8] >> (8 - depth - (int)(i * (size_t)depth % 8)) & ((1 << depth) - 1);
    return (uint8_t)(scale ? v * 255 / ((1 << depth) - 1) : v);
}

bool mbr_image_png_decode(const mbr_image_file *im, const uint8_t *data, size_t size, uint8_t *rgb, void *scratch)
{
    uint8_t *packed = scratch, *raw = packed + size;
    const uint8_t *palette = NULL;
    size_t n = 0, colours = 0, want = raw_size(im, data), samples = samples_of(data[25]);
    int depth = data[24];
    for (size_t at = 8; at + 12 <= size;) {
        size_t length = be32(data + at);
        if (length > size - at - 12)
            return false;
        if (memcmp(data + at + 4, "IDAT", 4) == 0) {
            memcpy(packed + n, data + at + 8, length);
            n += length;
        } else if (memcmp(data + at + 4, "PLTE", 4) == 0) {
            palette = data + at + 8;
            colours = length / 3;
        } else if (memcmp(data + at + 4, "IEND", 4) == 0) {
            break;
        }
        at += length + 12;
    }
    if (mbr_inflate(packed, n, raw, want) != want || (data[25] == 3 && !palette))
        return false;
    size_t bits_each = samples * (size_t)depth, step = bits_each < 8 ? 1 : bits_each / 8;
    for (int p = data[28] ? 0 : -1; p < (data[28] ? 7 : 0); p++) {
        size_t w, h, row;
        pass_size(im, p, &w, &h);
        row = (w * bits_each + 7) / 8;
        const uint8_t *above = NULL;
        for (size_t y = 0; w && y < h; y++, raw += row + 1) {
            if (!unfilter(raw + 1, above, row, step, raw[0]))
                return false;
            above = raw + 1;
            for (size_t x = 0; x < w; x++) {
                size_t to_x = p < 0 ? x : passes[p].x0 + x * passes[p].dx;
                size_t to_y = p < 0 ? y : passes[p].y0 + y * passes[p].dy;
                uint8_t *to = rgb + 3 * (to_y * im->width + to_x);
                for (size_t c = 0; c < 3; c++) {
                    size_t k = sample(above, x * samples + (samples >= 3 ? c : 0), depth, data[25] != 3);
                    if (palette && data[25] == 3) {
                        if (k >= colours)
                            return false;
                        k = palette[3 * k + c];
                    }
                    to[c] = (uint8_t)k;
                }
            }
        }
    }
    return true;
}

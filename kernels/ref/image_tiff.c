/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/image.h"

#include <string.h>

typedef struct tiff {
    const uint8_t *data;
    size_t size;
    bool big_endian;
    size_t directory, entries;
} tiff;

static size_t get(const tiff *t, size_t at, size_t bytes)
{
    size_t v = 0;
    if (bytes > t->size || at > t->size - bytes)
        return 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (size_t)t->data[at + i] << 8 * (t->big_endian ? bytes - 1 - i : i);
    return v;
}

/* Number i of a tag, `otherwise` where it is absent. *count: how many there are. */
static size_t tag(const tiff *t, size_t id, size_t i, size_t otherwise, size_t *count)
{
    for (size_t e = 0; e < t->entries; e++) {
        size_t at = t->directory + 2 + 12 * e;
        if (get(t, at, 2) != id)
            continue;
        size_t type = get(t, at + 2, 2), n = get(t, at + 4, 4), each = type == 1 ? 1 : type == 3 ? 2 : 4;
        if (count)
            *count = n;
        if (i >= n || (type != 1 && type != 3 && type != 4))
            return otherwise;
        return get(t, n <= 4 / each ? at + 8 + i * each : get(t, at + 8, 4) + i * each, each);
    }
    if (count)
        *count = 0;
    return otherwise;
}

static bool open_tiff(const uint8_t *data, size_t size, tiff *t)
{
    if (size < 16 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
        return false;
    *t = (tiff){ .data = data, .size = size, .big_endian = data[0] == 'M' };
    t->directory = get(t, 4, 4);
    if (t->directory > size - 2)
        return false;
    t->entries = get(t, t->directory, 2);
    return t->entries <= (size - t->directory - 2) / 12;
}

bool mbr_image_tiff_probe(const uint8_t *data, size_t size, mbr_image_file *image)
{
    tiff t;
    if (!open_tiff(data, size, &t))
        return false;
    image->width = tag(&t, 256, 0, 0, NULL);
    image->height = tag(&t, 257, 0, 0, NULL);
    size_t samples = tag(&t, 277, 0, 1, NULL), rows = tag(&t, 278, 0, image->height, NULL);
    if (image->width == 0 || image->height == 0 || image->width > MBR_IMAGE_MOST_PIXELS / image->height ||
        samples < 1 || samples > 8 || tag(&t, 258, 0, 1, NULL) != 8 || tag(&t, 284, 0, 1, NULL) != 1 || rows == 0)
        return false;
    rows = rows > image->height ? image->height : rows;
    image->scratch = rows * image->width * samples;
    return true;
}

static size_t pack_bits(const uint8_t *p, size_t n, uint8_t *out, size_t room)
{
    size_t at = 0;
    for (size_t i = 0; i < n;) {
        size_t k = p[i++];
        if (k == 128)
            continue;
        size_t times = k < 128 ? k + 1 : 257 - k;
        if (times > room - at || (k < 128 ? times > n - i : i >= n))
            break;
        if (k < 128)
            memcpy(out + at, p + i, times);
        else
            memset(out + at, p[i], times);
        i += k < 128 ? times : 1;
        at += times;
    }
    return at;
}

/* Codes of 9 to 12 bits, high bits first. Each string is remembered as where it was written, and its length. */
static size_t lzw(const uint8_t *p, size_t n, uint8_t *out, size_t room)
{
    uint32_t begin[4096], length[4096];
    size_t next = 258, at = 0, bit = 0, width = 9, last_at = 0, last = 0;
    while (bit + width <= 8 * n) {
        size_t c = 0;
        for (size_t i = 0; i < width; i++, bit++)
            c = c << 1 | (p[bit / 8] >> (7 - bit % 8) & 1);
        if (c == 257)
            break;
        if (c == 256) {
            next = 258;
            width = 9;
            last = 0;
            continue;
        }
        size_t here = at, size;
        if (c < 256) {
            size = 1;
            if (at < room)
                out[at] = (uint8_t)c;
        } else {
            bool fresh = c == next && last > 0;
            if (!fresh && c >= next)
                break;
            size_t from = fresh ? last_at : begin[c];
            size = fresh ? last + 1 : length[c];
            for (size_t i = 0; i < size && at + i < room; i++)
                out[at + i] = out[from + i];
        }
        if (size > room - at)
            break;
        at += size;
        if (last > 0 && next < 4096) {
            begin[next] = (uint32_t)last_at;
            length[next++] = (uint32_t)last + 1;
        }
        last_at = here;
        last = size;
        width = next >= 2047 ? 12 : next >= 1023 ? 11 : next >= 511 ? 10 : 9;
    }
    return at;
}

bool mbr_image_tiff_decode(const mbr_image_file *im, const uint8_t *data, size_t size, uint8_t *rgb, void *scratch)
{
    tiff t;
    if (!open_tiff(data, size, &t))
        return false;
    size_t samples = tag(&t, 277, 0, 1, NULL), rows = tag(&t, 278, 0, im->height, NULL), colours;
    size_t packing = tag(&t, 259, 0, 1, NULL), photometric = tag(&t, 262, 0, 1, NULL);
    size_t predictor = tag(&t, 317, 0, 1, NULL), row = im->width * samples;
    rows = rows > im->height ? im->height : rows;
    tag(&t, 320, 0, 0, &colours);
    if (photometric > 3 || (photometric == 2 && samples < 3) || (photometric == 3 && colours < 768))
        return false;
    for (size_t y = 0, strip = 0; y < im->height; y += rows, strip++) {
        size_t lines = im->height - y < rows ? im->height - y : rows, want = lines * row, got = 0;
        size_t from = tag(&t, 273, strip, SIZE_MAX, NULL), n = tag(&t, 279, strip, 0, NULL);
        uint8_t *p = scratch;
        if (from > size || n > size - from)
            return false;
        if (packing == 1) {
            got = n < want ? n : want;
            memcpy(p, data + from, got);
        } else if (packing == 5) {
            got = lzw(data + from, n, p, want);
        } else if (packing == 8 || packing == 32946) {
            got = mbr_inflate(data + from, n, p, want);
        } else if (packing == 32773) {
            got = pack_bits(data + from, n, p, want);
        }
        if (got != want)
            return false;
        for (size_t line = 0; line < lines; line++, p += row)
            for (size_t x = 0; x < im->width; x++, rgb += 3) {
                for (size_t c = 0; predictor == 2 && x > 0 && c < samples; c++)
                    p[x * samples + c] = (uint8_t)(p[x * samples + c] + p[(x - 1) * samples + c]);
                for (size_t c = 0; c < 3; c++) {
                    size_t v = p[x * samples + (photometric == 2 ? c : 0)];
                    rgb[c] = (uint8_t)(photometric == 0 ? 255 - v : photometric == 3 ?
                                       tag(&t, 320, c * (colours / 3) + v, 0, NULL) >> 8 : v);
                }
            }
    }
    return true;
}

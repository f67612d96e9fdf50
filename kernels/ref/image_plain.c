/* SPDX-License-Identifier: BSD-2-Clause */
/* The entry points, and the formats that hardly pack anything: BMP, PNM. */
#include "kernels/image.h"

#include <string.h>

static const struct {
    mbr_image_probe_fn *probe;
    mbr_image_decode_fn *decode;
} formats[] = {
    [MBR_IMAGE_BMP] = { mbr_image_bmp_probe, mbr_image_bmp_decode },
    [MBR_IMAGE_PNM] = { mbr_image_pnm_probe, mbr_image_pnm_decode },
    [MBR_IMAGE_PNG] = { mbr_image_png_probe, mbr_image_png_decode },
    [MBR_IMAGE_TIFF] = { mbr_image_tiff_probe, mbr_image_tiff_decode },
    [MBR_IMAGE_JPEG] = { mbr_image_jpeg_probe, mbr_image_jpeg_decode },
};

bool mbr_image_probe(const uint8_t *data, size_t size, mbr_image_file *image)
{
    for (int f = MBR_IMAGE_BMP; f <= MBR_IMAGE_JPEG; f++) {
        *image = (mbr_image_file){ .format = (mbr_image_format)f };
        if (formats[f].probe(data, size, image))
            return image->width > 0 && image->height > 0 && image->width <= MBR_IMAGE_MOST_PIXELS / image->height;
    }
    *image = (mbr_image_file){ .format = MBR_IMAGE_NONE };
    return false;
}

bool mbr_image_decode(const mbr_image_file *image, const uint8_t *data, size_t size, uint8_t *rgb, void *scratch)
{
    return formats[image->format].decode(image, data, size, rgb, scratch);
}

/* --- BMP --- */

static uint32_t le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t le16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

bool mbr_image_bmp_probe(const uint8_t *data, size_t size, mbr_image_file *image)
{
    if (size < 54 || data[0] != 'B' || data[1] != 'M' || le32(data + 14) < 40)
        return false;
    uint32_t w = le32(data + 18), h = le32(data + 22), bits = le16(data + 28), packing = le32(data + 30);
    h = h > INT32_MAX ? 0u - h : h; /* negative: rows from the top */
    if (w == 0 || h == 0 || w > INT32_MAX || h > INT32_MAX || (packing != 0 && !(packing == 3 && bits == 32)))
        return false;
    image->width = w;
    image->height = h;
    return bits == 1 || bits == 4 || bits == 8 || bits == 24 || bits == 32;
}

bool mbr_image_bmp_decode(const mbr_image_file *image, const uint8_t *data, size_t size, uint8_t *rgb, void *scratch)
{
    (void)scratch;
    size_t bits = le16(data + 28), row = (image->width * bits + 31) / 32 * 4, from = le32(data + 10);
    size_t head = 14 + (size_t)le32(data + 14), colours = le32(data + 46);
    if (colours == 0 || colours > 256)
        colours = bits <= 8 ? (size_t)1 << bits : 0;
    if (from > size || (size - from) / row < image->height ||
        (bits <= 8 && (head > size || (size - head) / 4 < colours)))
        return false;
    for (size_t y = 0; y < image->height; y++) {
        size_t line = le32(data + 22) > INT32_MAX ? y : image->height - 1 - y;
        const uint8_t *p = data + from + line * row;
        for (size_t x = 0; x < image->width; x++, rgb += 3) {
            const uint8_t *c = p + x * bits / 8;
            if (bits <= 8) {
                size_t index = (size_t)*c >> (8 - bits - x * bits % 8) & ((1u << bits) - 1);
                if (index >= colours)
                    return false;
                c = data + head + 4 * index;
            }
            rgb[0] = c[2];
            rgb[1] = c[1];
            rgb[2] = c[0];
        }
    }
    return true;
}

/* --- PNM --- */

/* The next number of the text header; comments run to the end of their line. False: none. */
static bool pnm_number(const uint8_t *data, size_t size, size_t *at, size_t *v)
{
    while (*at < size && (data[*at] <= ' ' || data[*at] == '#'))
        if (data[(*at)++] == '#')
            while (*at < size && data[*at] != '\n')
                (*at)++;
    size_t begin = *at;
    *v = 0;
    while (*at < size && data[*at] >= '0' && data[*at] <= '9' && *v < 1u << 28)
        *v = *v * 10 + (size_t)(data[(*at)++] - '0');
    return *at > begin;
}

static bool pnm_header(const uint8_t *data, size_t size, size_t *w, size_t *h, size_t *most, size_t *at)
{
    *at = 2;
    *most = 1;
    if (size < 7 || data[0] != 'P' || data[1] < '1' || data[1] > '6' || !pnm_number(data, size, at, w) ||
        !pnm_number(data, size, at, h))
        return false;
    if (data[1] != '1' && data[1] != '4' && (!pnm_number(data, size, at, most) || *most < 1 || *most > 65535))
        return false;
    return true;
}

bool mbr_image_pnm_probe(const uint8_t *data, size_t size, mbr_image_file *image)
{
    size_t most, at;
    return pnm_header(data, size, &image->width, &image->height, &most, &at);
}

bool mbr_image_pnm_decode(const mbr_image_file *image, const uint8_t *data, size_t size, uint8_t *rgb, void *scratch)
{
    (void)scratch;
    size_t w, h, most, at, channels = data[1] == '3' || data[1] == '6' ? 3 : 1;
    if (!pnm_header(data, size, &w, &h, &most, &at))
        return false;
    bool text = data[1] <= '3', bitmap = data[1] == '1' || data[1] == '4';
    size_t wide = most > 255 ? 2 : 1, row = bitmap ? (w + 7) / 8 : w * channels * wide;
    if (!text && (at++ >= size || (size - at) / (row ? row : 1) < h))
        return false;
    for (size_t y = 0; y < image->height; y++)
        for (size_t x = 0; x < image->width; x++)
            for (size_t c = 0; c < 3; c++) {
                size_t v = 0, k = x * channels + c;
                if (c >= channels) {
                    v = rgb[-1];
                } else if (text && data[1] == '1') { /* digits may stand without blanks */
                    while (at < size && data[at] != '0' && data[at] != '1')
                        at++;
                    if (at >= size)
                        return false;
                    v = data[at++] == '0' ? 255 : 0;
                } else if (text) {
                    if (!pnm_number(data, size, &at, &v))
                        return false;
                    v = (v > most ? most : v) * 255 / most;
                } else if (bitmap) {
                    v = data[at + y * row + x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
                } else {
                    const uint8_t *p = data + at + y * row + k * wide;
                    v = wide == 2 ? (size_t)p[0] << 8 | p[1] : p[0];
                    v = most == 255 ? v : (v > most ? most : v) * 255 / most;
                }
                *rgb++ = (uint8_t)v;
            }
    return true;
}

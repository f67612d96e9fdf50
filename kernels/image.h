/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoding of image files to 8-bit RGB: BMP, PNM, PNG, TIFF (8 bits a sample, uncompressed, PackBits, LZW, Deflate) and
 * JPEG (Huffman-coded, sequential and progressive). Bytes are hostile: every read is checked against the end.
 */
#ifndef MBR_KERNELS_IMAGE_H
#define MBR_KERNELS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mbr_image_format {
    MBR_IMAGE_NONE,
    MBR_IMAGE_BMP,
    MBR_IMAGE_PNM,
    MBR_IMAGE_PNG,
    MBR_IMAGE_TIFF,
    MBR_IMAGE_JPEG
} mbr_image_format;

/* Images with more pixels are refused. */
#define MBR_IMAGE_MOST_PIXELS ((size_t)1 << 28)

typedef struct mbr_image_file {
    mbr_image_format format;
    size_t width, height;
    size_t scratch; /* bytes that decode needs */
} mbr_image_file;

/* Looks at the head of a file. False: unknown, broken or too large. */
bool mbr_image_probe(const uint8_t *data, size_t size, mbr_image_file *image);

/* rgb: (height, width, 3). scratch is aligned to 16. False: broken; rgb is then undefined. */
bool mbr_image_decode(const mbr_image_file *image, const uint8_t *data, size_t size, uint8_t *rgb, void *scratch);

/* --- the formats --- */

typedef bool mbr_image_probe_fn(const uint8_t *data, size_t size, mbr_image_file *image);
typedef bool mbr_image_decode_fn(const mbr_image_file *image, const uint8_t *data, size_t size, uint8_t *rgb,
                                 void *scratch);

mbr_image_probe_fn mbr_image_bmp_probe, mbr_image_pnm_probe, mbr_image_png_probe, mbr_image_tiff_probe,
    mbr_image_jpeg_probe;
mbr_image_decode_fn mbr_image_bmp_decode, mbr_image_pnm_decode, mbr_image_png_decode, mbr_image_tiff_decode,
    mbr_image_jpeg_decode;

/* Inflates a zlib stream into at most `room` bytes; returns how many, SIZE_MAX when the stream is broken. */
size_t mbr_inflate(const uint8_t *data, size_t size, uint8_t *out, size_t room);

#endif

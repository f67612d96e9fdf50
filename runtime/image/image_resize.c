/* SPDX-License-Identifier: BSD-2-Clause */
/* Resizing: which filter does what, nearest points, and rows side by side for the loops of kernels/pixels.h. */
#include "runtime/image/image_impl.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    mbr_resize_fn *run;
    bool any_type;
} filters[] = {
    [MBR_RESIZE_PILLOW_NEAREST] = { "pillow-nearest", mbr_resize_nearest, true },
    [MBR_RESIZE_PILLOW_BOX] = { "pillow-box", mbr_resize_pillow, false },
    [MBR_RESIZE_PILLOW_BILINEAR] = { "pillow-bilinear", mbr_resize_pillow, false },
    [MBR_RESIZE_PILLOW_HAMMING] = { "pillow-hamming", mbr_resize_pillow, false },
    [MBR_RESIZE_PILLOW_BICUBIC] = { "pillow-bicubic", mbr_resize_pillow, false },
    [MBR_RESIZE_PILLOW_LANCZOS] = { "pillow-lanczos", mbr_resize_pillow, false },
    [MBR_RESIZE_OPENCV_NEAREST] = { "opencv-nearest", mbr_resize_nearest, true },
    [MBR_RESIZE_OPENCV_LINEAR] = { "opencv-linear", mbr_resize_opencv_linear, false },
    [MBR_RESIZE_OPENCV_AREA] = { "opencv-area", mbr_resize_opencv_area, false },
    [MBR_RESIZE_OPENCV_CUBIC] = { "opencv-cubic", mbr_resize_opencv_cubic, false },
};

const char *mbr_resize_filter_name(mbr_resize_filter filter)
{
    return (unsigned)filter < MBR_COUNT_OF(filters) ? filters[filter].name : NULL;
}

int mbr_resize_filter_find(const char *name, mbr_resize_filter *filter)
{
    for (size_t i = 0; i < MBR_COUNT_OF(filters); i++)
        if (strcmp(name, filters[i].name) == 0) {
            *filter = (mbr_resize_filter)i;
            return 1;
        }
    return 0;
}

/* ---- rows side by side ---- */

int mbr_lanes_rows(int channels)
{
    return channels == 1 ? 16 : channels == 2 ? 8 : 4;
}

void mbr_lanes_pack(const mbr_image *image, int y, int rows, uint8_t *lanes)
{
    size_t n = (size_t)image->width;
    int most = mbr_lanes_rows(image->channels);
    for (int r = 0; r < most; r++) {
        const uint8_t *row = mbr_image_row(image, y + (r < rows ? r : 0));
        uint8_t *to = lanes + r * (MBR_PIXELS_LANES / most);
        if (image->channels == 1) {
            for (size_t x = 0; x < n; x++)
                to[x * MBR_PIXELS_LANES] = row[x];
        } else if (image->channels == 2) {
            for (size_t x = 0; x < n; x++)
                memcpy(to + x * MBR_PIXELS_LANES, row + 2 * x, 2);
        } else if (image->channels == 4) {
            for (size_t x = 0; x < n; x++)
                memcpy(to + x * MBR_PIXELS_LANES, row + 4 * x, 4);
        } else {
            for (size_t x = 0; x + 1 < n; x++)
                memcpy(to + x * MBR_PIXELS_LANES, row + 3 * x, 4); /* with a byte of the next point */
            memcpy(to + (n - 1) * MBR_PIXELS_LANES, row + 3 * (n - 1), 3);
            to[(n - 1) * MBR_PIXELS_LANES + 3] = 0;
        }
    }
}

void mbr_lanes_unpack(const uint8_t *lanes, int width, int channels, int rows, uint8_t *row, size_t stride)
{
    size_t n = (size_t)width;
    int most = mbr_lanes_rows(channels);
    for (int r = 0; r < rows; r++, row += stride) {
        const uint8_t *from = lanes + r * (MBR_PIXELS_LANES / most);
        if (channels == 1) {
            for (size_t x = 0; x < n; x++)
                row[x] = from[x * MBR_PIXELS_LANES];
        } else if (channels == 2) {
            for (size_t x = 0; x < n; x++)
                memcpy(row + 2 * x, from + x * MBR_PIXELS_LANES, 2);
        } else if (channels == 4) {
            for (size_t x = 0; x < n; x++)
                memcpy(row + 4 * x, from + x * MBR_PIXELS_LANES, 4);
        } else {
            for (size_t x = 0; x + 1 < n; x++)
                memcpy(row + 3 * x, from + x * MBR_PIXELS_LANES, 4); /* the next point overwrites the fourth */
            memcpy(row + 3 * (n - 1), from + (n - 1) * MBR_PIXELS_LANES, 3);
        }
    }
}

/* ---- nearest ---- */

/* Which point of `from` each of `to` is; Pillow adds up its steps, OpenCV multiplies. */
static void nearest_places(mbr_resize_filter filter, int from, int to, int32_t *places)
{
    if (filter == MBR_RESIZE_PILLOW_NEAREST) {
        double step = (double)from / to, at = step * 0.5;
        for (int i = 0; i < to; i++, at += step)
            places[i] = at < from ? (int32_t)at : from - 1;
        return;
    }
    double step = 1.0 / ((double)to / from);
    for (int i = 0; i < to; i++) {
        double at = floor(i * step);
        places[i] = at < from ? (int32_t)at : from - 1;
    }
}

mbr_status mbr_resize_nearest(const mbr_image *image, const mbr_resize_options *options, mbr_image *out, mbr_error *err)
{
    size_t bytes = ((size_t)out->width + (size_t)out->height) * sizeof(int32_t);
    int32_t *across = mbr_alloc(image->memory, bytes);
    if (!across)
        return mbr_no_memory(err, bytes);
    int32_t *down = across + out->width;
    nearest_places(options->filter, image->width, out->width, across);
    nearest_places(options->filter, image->height, out->height, down);
    size_t point = image->point, n = (size_t)out->width;
    for (int y = 0; y < out->height; y++) {
        uint8_t *to = mbr_image_row(out, y);
        if (y > 0 && down[y] == down[y - 1]) {
            memcpy(to, mbr_image_row(out, y - 1), n * point);
            continue;
        }
        const uint8_t *from = mbr_image_row(image, down[y]);
        switch (point) {
        case 1:
            for (size_t x = 0; x < n; x++)
                to[x] = from[across[x]];
            break;
        case 3:
            for (size_t x = 0; x < n; x++)
                memcpy(to + 3 * x, from + 3 * (size_t)across[x], 3);
            break;
        case 4:
            for (size_t x = 0; x < n; x++)
                memcpy(to + 4 * x, from + 4 * (size_t)across[x], 4);
            break;
        default:
            for (size_t x = 0; x < n; x++)
                memcpy(to + point * x, from + point * (size_t)across[x], point);
        }
    }
    mbr_free(image->memory, across);
    return MBR_OK;
}

/* ---- alpha ---- */

/* Colours times alpha, as Pillow rounds them. */
static mbr_status premultiply(const mbr_image *image, mbr_image **out, mbr_error *err)
{
    MBR_TRY(mbr_image_make(image->env, image->width, image->height, image->channels, image->type, out, err));
    int colours = image->channels - 1;
    for (int y = 0; y < image->height; y++) {
        const uint8_t *from = mbr_image_row(image, y);
        uint8_t *to = mbr_image_row(*out, y);
        for (int x = 0; x < image->width; x++, from += image->point, to += image->point) {
            for (int c = 0; c < colours; c++) {
                unsigned product = (unsigned)from[c] * from[colours] + 128;
                to[c] = (uint8_t)((product + (product >> 8)) >> 8);
            }
            to[colours] = from[colours];
        }
    }
    return MBR_OK;
}

static void divide_by_alpha(mbr_image *image)
{
    int colours = image->channels - 1;
    for (int y = 0; y < image->height; y++) {
        uint8_t *p = mbr_image_row(image, y);
        for (int x = 0; x < image->width; x++, p += image->point) {
            unsigned alpha = p[colours];
            for (int c = 0; c < colours && alpha != 0 && alpha != 255; c++) {
                unsigned v = 255u * p[c] / alpha;
                p[c] = (uint8_t)(v > 255 ? 255 : v);
            }
        }
    }
}

/* ---- all ---- */

mbr_status mbr_image_resize(const mbr_image *image, const mbr_resize_options *options, mbr_image **out, mbr_error *err)
{
    *out = NULL;
    mbr_resize_options o = { 0 };
    if (!options || options->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_resize_options.size is not set, or there are no options");
    memcpy(&o, options, mbr_min_size(options->size, sizeof o));
    if ((unsigned)o.filter >= MBR_COUNT_OF(filters))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "there is no resize filter %d", (int)o.filter);
    if (image->type != MBR_DTYPE_U8 && !filters[o.filter].any_type)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s resizes images of 8 bits, this one is of f32",
                        filters[o.filter].name);
    MBR_TRY(mbr_image_make(image->env, o.width, o.height, image->channels, image->type, out, err));
    mbr_status st = MBR_OK;
    if (o.width == image->width && o.height == image->height) {
        for (int y = 0; y < o.height; y++)
            memcpy(mbr_image_row(*out, y), mbr_image_row(image, y), (size_t)o.width * image->point);
        return MBR_OK;
    }
    bool weigh = o.alpha && image->channels % 2 == 0 && filters[o.filter].run == mbr_resize_pillow;
    mbr_image *weighed = NULL;
    if (weigh)
        st = premultiply(image, &weighed, err);
    if (st == MBR_OK)
        st = filters[o.filter].run(weigh ? weighed : image, &o, *out, err);
    mbr_image_release(&weighed);
    if (st != MBR_OK)
        mbr_image_release(out);
    else if (weigh)
        divide_by_alpha(*out);
    return st;
}

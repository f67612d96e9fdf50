/* SPDX-License-Identifier: BSD-2-Clause */
/* Crop, pad, letterbox. */
#include "runtime/image/image_impl.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

mbr_status mbr_image_crop(const mbr_image *image, int x, int y, int width, int height, mbr_image **out, mbr_error *err)
{
    *out = NULL;
    if (x < 0 || y < 0 || width < 1 || height < 1 || width > image->width - x || height > image->height - y)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a crop of %d x %d points at (%d, %d) does not lie in an image of "
                        "%d x %d", width, height, x, y, image->width, image->height);
    MBR_TRY(mbr_image_make(image->env, width, height, image->channels, image->type, out, err));
    for (int r = 0; r < height; r++)
        memcpy(mbr_image_row(*out, r), mbr_image_row(image, y + r) + (size_t)x * image->point, (*out)->stride);
    return MBR_OK;
}

/* A point of the colour, repeated over a row. */
static void fill_row(const mbr_image *image, const double *colour, uint8_t *row)
{
    for (int c = 0; c < image->channels; c++) {
        double v = colour ? colour[c] : 0.0;
        if (image->type == MBR_DTYPE_U8) {
            row[c] = (uint8_t)(v > 0.0 ? v < 255.0 ? rint(v) : 255.0 : 0.0);
        } else {
            float f = (float)v;
            memcpy(row + (size_t)c * sizeof f, &f, sizeof f);
        }
    }
    for (size_t at = image->point; at < image->stride; at += image->point)
        memcpy(row + at, row, image->point);
}

/* Fills out with the colour and puts the image at (left, top). */
static void place(const mbr_image *image, int left, int top, const double *colour, mbr_image *out)
{
    size_t before = (size_t)left * image->point, bytes = (size_t)image->width * image->point;
    fill_row(out, colour, out->pixels);
    for (int y = 1; y < out->height; y++)
        memcpy(mbr_image_row(out, y), out->pixels, out->stride);
    for (int y = 0; y < image->height; y++)
        memcpy(mbr_image_row(out, top + y) + before, mbr_image_row(image, y), bytes);
}

mbr_status mbr_image_pad(const mbr_image *image, int left, int top, int right, int bottom, const double *colour,
                         mbr_image **out, mbr_error *err)
{
    *out = NULL;
    const int most = MBR_IMAGE_MAX_SIDE;
    if (left < 0 || top < 0 || right < 0 || bottom < 0 || left > most || top > most || right > most || bottom > most)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a border of %d, %d, %d, %d points; 0 to %d are due", left, top, right,
                        bottom, most);
    MBR_TRY(mbr_image_make(image->env, left + image->width + right, top + image->height + bottom, image->channels,
                           image->type, out, err));
    place(image, left, top, colour, *out);
    return MBR_OK;
}

static int at_least_one(double v)
{
    return v < 1.0 ? 1 : (int)v;
}

mbr_status mbr_image_letterbox(const mbr_image *image, const mbr_resize_options *options, const double *colour,
                               mbr_letterbox *placed, mbr_image **out, mbr_error *err)
{
    *out = NULL;
    mbr_resize_options o = { 0 };
    if (!options || options->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_resize_options.size is not set, or there are no options");
    memcpy(&o, options, mbr_min_size(options->size, sizeof o));
    o.size = sizeof o;
    int width = o.width, height = o.height;
    mbr_image *all, *small;
    MBR_TRY(mbr_image_make(image->env, width, height, image->channels, image->type, &all, err));
    double scale = fmin((double)width / image->width, (double)height / image->height);
    o.width = at_least_one(rint(image->width * scale));
    o.height = at_least_one(rint(image->height * scale));
    mbr_status st = mbr_image_resize(image, &o, &small, err);
    if (st != MBR_OK) {
        mbr_image_release(&all);
        return st;
    }
    mbr_letterbox where = { .left = (width - o.width) / 2, .top = (height - o.height) / 2, .width = o.width,
                            .height = o.height, .scale_x = (double)o.width / image->width,
                            .scale_y = (double)o.height / image->height };
    place(small, where.left, where.top, colour, all);
    mbr_image_release(&small);
    if (placed) {
        where.size = placed->size;
        memcpy(placed, &where, mbr_min_size(placed->size, sizeof where));
    }
    *out = all;
    return MBR_OK;
}

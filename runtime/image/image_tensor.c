/* SPDX-License-Identifier: BSD-2-Clause */
/* From an image to the numbers that a model takes. */
#include "runtime/image/image_impl.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

static mbr_status read_options(mbr_tensor_options *o, const mbr_tensor_options *from, mbr_error *err)
{
    memset(o, 0, sizeof *o);
    if (from && from->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_tensor_options.size is not set");
    if (from)
        memcpy(o, from, mbr_min_size(from->size, sizeof *o));
    o->divide = o->divide != 0.0f ? o->divide : 1.0f;
    bool sound = isfinite(o->divide);
    for (int c = 0; c < MBR_IMAGE_MAX_CHANNELS; c++) {
        o->deviation[c] = o->deviation[c] != 0.0f ? o->deviation[c] : 1.0f;
        sound = sound && isfinite(o->mean[c]) && isfinite(o->deviation[c]);
    }
    if (!sound || (o->layout != MBR_IMAGE_NCHW && o->layout != MBR_IMAGE_NHWC))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_tensor_options: a number that is not finite, or no such layout");
    return MBR_OK;
}

static float scaled(const mbr_tensor_options *o, int c, float x)
{
    return (x / o->divide - o->mean[c]) / o->deviation[c];
}

mbr_status mbr_image_fill(const mbr_image *image, const mbr_tensor_options *options, float *values, size_t count,
                          mbr_error *err)
{
    mbr_tensor_options o;
    MBR_TRY(read_options(&o, options, err));
    size_t channels = (size_t)image->channels, width = (size_t)image->width, plane = width * (size_t)image->height;
    if (count < plane * channels)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "room for %zu values; the image has %zu", count, plane * channels);
    bool first = o.layout == MBR_IMAGE_NCHW;
    size_t step = first ? 1 : channels;
    float table[256];
    for (size_t c = 0; c < channels; c++) {
        for (int v = 0; v < 256; v++)
            table[v] = scaled(&o, (int)c, (float)v);
        for (int y = 0; y < image->height; y++) {
            float *to = values + (size_t)y * width * step + (first ? c * plane : c);
            const uint8_t *row = mbr_image_row(image, y);
            if (image->type == MBR_DTYPE_U8) {
                for (size_t x = 0; x < width; x++)
                    to[x * step] = table[row[x * channels + c]];
                continue;
            }
            const float *from = (const float *)(const void *)row;
            for (size_t x = 0; x < width; x++)
                to[x * step] = scaled(&o, (int)c, from[x * channels + c]);
        }
    }
    return MBR_OK;
}

mbr_status mbr_image_tensor(const mbr_image *image, const mbr_tensor_options *options, mbr_value **out, mbr_error *err)
{
    *out = NULL;
    mbr_tensor_options o;
    MBR_TRY(read_options(&o, options, err));
    int64_t first[] = { 1, image->channels, image->height, image->width };
    int64_t last[] = { 1, image->height, image->width, image->channels };
    MBR_TRY(mbr_tensor_new(image->env, MBR_DTYPE_F32, 4, o.layout == MBR_IMAGE_NCHW ? first : last, out, err));
    mbr_status st = mbr_image_fill(image, options, mbr_tensor_data(*out), mbr_tensor_count(*out), err);
    if (st != MBR_OK)
        mbr_value_release(out);
    return st;
}

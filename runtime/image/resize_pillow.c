/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pillow's resampling: each output is a weighed sum of the points below its filter, which grows with the scale when the
 * image shrinks. Weights are made in f64, scaled to a sum of one and rounded to 22 bits; across first, to bytes, then
 * down.
 */
#include "runtime/image/image_impl.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x)
{
    x = fabs(x);
    if (x == 0.0)
        return 1.0;
    if (x >= 1.0)
        return 0.0;
    x *= PI;
    return sin(x) / x * ((double)0.54f + (double)0.46f * cos(x));
}

/* Keys' cubic with a slope of -0.5. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0)
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static double sinc(double x)
{
    if (x == 0.0)
        return 1.0;
    x *= PI;
    return sin(x) / x;
}

static double lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

static const struct {
    double (*at)(double x);
    double support;
} curves[] = {
    [MBR_RESIZE_PILLOW_BOX] = { box, 0.5 },         [MBR_RESIZE_PILLOW_BILINEAR] = { bilinear, 1.0 },
    [MBR_RESIZE_PILLOW_HAMMING] = { hamming, 1.0 }, [MBR_RESIZE_PILLOW_BICUBIC] = { bicubic, 2.0 },
    [MBR_RESIZE_PILLOW_LANCZOS] = { lanczos, 3.0 },
};

/* What one direction needs; first, taps and weights lie in one block. */
typedef struct side {
    int32_t *first, *taps, *weights;
    size_t stride;
} side;

static mbr_status make_side(mbr_memory *memory, mbr_resize_filter filter, int from, int to, side *s, mbr_error *err)
{
    double scale = (double)from / to, wide = scale < 1.0 ? 1.0 : scale, narrow = 1.0 / wide;
    double support = curves[filter].support * wide;
    s->stride = (size_t)ceil(support) * 2 + 1;
    size_t outs = (size_t)to, bytes = 0;
    double *exact = mbr_alloc(memory, s->stride * sizeof *exact);
    if (mbr_mul_size(outs * sizeof(int32_t), s->stride + 2, &bytes))
        s->first = mbr_alloc(memory, bytes);
    if (!exact || !s->first) {
        mbr_free(memory, exact);
        return mbr_no_memory(err, bytes);
    }
    s->taps = s->first + outs;
    s->weights = s->taps + outs;
    for (int o = 0; o < to; o++) {
        double centre = (o + 0.5) * scale, sum = 0.0;
        int low = (int)(centre - support + 0.5), high = (int)(centre + support + 0.5);
        low = low < 0 ? 0 : low;
        high = high > from ? from : high;
        int32_t *weights = s->weights + (size_t)o * s->stride;
        for (int i = low; i < high; i++) {
            exact[i - low] = curves[filter].at((i - centre + 0.5) * narrow);
            sum += exact[i - low];
        }
        for (int i = 0; i < high - low; i++) {
            double w = sum != 0.0 ? exact[i] / sum : exact[i];
            weights[i] = (int32_t)((w < 0.0 ? -0.5 : 0.5) + w * (1 << MBR_PIXELS_BITS));
        }
        /* Weights that round to nothing at the ends cost time for nothing. */
        while (high > low && weights[high - low - 1] == 0)
            high--;
        s->first[o] = low;
        s->taps[o] = high - low;
    }
    mbr_free(memory, exact);
    return MBR_OK;
}

static mbr_status across(const mbr_image *image, mbr_resize_filter filter, const mbr_pixels *with, mbr_image *out,
                         mbr_error *err)
{
    mbr_memory *memory = image->memory;
    side s = { 0 };
    size_t in_bytes = (size_t)image->width * MBR_PIXELS_LANES, out_bytes = (size_t)out->width * MBR_PIXELS_LANES;
    uint8_t *lanes = mbr_alloc(memory, in_bytes + out_bytes);
    mbr_status st = lanes ? make_side(memory, filter, image->width, out->width, &s, err)
                          : mbr_no_memory(err, in_bytes + out_bytes);
    if (st == MBR_OK) {
        mbr_pixels_args args = { .src = lanes, .step = MBR_PIXELS_LANES, .dst = lanes + in_bytes,
                                 .dst_step = MBR_PIXELS_LANES, .n = MBR_PIXELS_LANES, .count = (size_t)out->width,
                                 .first = s.first, .taps = s.taps, .weights = s.weights, .stride = s.stride };
        int most = mbr_lanes_rows(image->channels);
        for (int y = 0; y < image->height; y += most) {
            int rows = image->height - y < most ? image->height - y : most;
            mbr_lanes_pack(image, y, rows, lanes);
            with->fixed(&args);
            mbr_lanes_unpack(lanes + in_bytes, out->width, out->channels, rows, mbr_image_row(out, y), out->stride);
        }
    }
    mbr_free(memory, s.first);
    mbr_free(memory, lanes);
    return st;
}

static mbr_status down(const mbr_image *image, mbr_resize_filter filter, const mbr_pixels *with, mbr_image *out,
                       mbr_error *err)
{
    side s = { 0 };
    MBR_TRY(make_side(image->memory, filter, image->height, out->height, &s, err));
    mbr_pixels_args args = { .src = image->pixels, .step = image->stride, .dst = out->pixels, .dst_step = out->stride,
                             .n = (size_t)out->width * out->point, .count = (size_t)out->height, .first = s.first,
                             .taps = s.taps, .weights = s.weights, .stride = s.stride };
    with->fixed(&args);
    mbr_free(image->memory, s.first);
    return MBR_OK;
}

mbr_status mbr_resize_pillow(const mbr_image *image, const mbr_resize_options *options, mbr_image *out, mbr_error *err)
{
    mbr_resize_filter filter = options->filter;
    const mbr_pixels *with = mbr_pixels_best();
    if (out->height == image->height)
        return across(image, filter, with, out, err);
    if (out->width == image->width)
        return down(image, filter, with, out, err);
    /* Where the height shrinks, and by more than twice what the width does, Pillow 13 goes down first. */
    bool down_first = !options->across_first && image->height - out->height > 0 &&
                      image->height - out->height > 2 * (image->width - out->width);
    int width = down_first ? image->width : out->width, height = down_first ? out->height : image->height;
    mbr_image *half;
    MBR_TRY(mbr_image_make(image->env, width, height, image->channels, image->type, &half, err));
    mbr_status st = (down_first ? down : across)(image, filter, with, half, err);
    if (st == MBR_OK)
        st = (down_first ? across : down)(half, filter, with, out, err);
    mbr_image_release(&half);
    return st;
}

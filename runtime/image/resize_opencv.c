/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OpenCV's INTER_LINEAR and INTER_AREA of 8 bits. Linear: two neighbours with weights of 11 bits, across and then down,
 * with what its vector loops cut off on the way. Area, where the image shrinks in both directions: means over whole
 * points where both scales are whole numbers, else sums in f32 in the order of the points; where it grows in one, it is
 * linear with other weights.
 */
#include "runtime/image/image_impl.h"

#include "base/checked.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define LERP_ONE 2048

/* What OpenCV makes of two sizes: how many times the image grows, and one through that. */
typedef struct ratio {
    double grows, shrinks;
} ratio;

static ratio make_ratio(int from, int to)
{
    ratio r = { .grows = (double)to / from };
    r.shrinks = 1.0 / r.grows;
    return r;
}

/* True when the image shrinks by a whole number. */
static bool whole(ratio r, int *times)
{
    *times = (int)lrint(r.shrinks);
    return fabs(r.shrinks - *times) < DBL_EPSILON;
}

/* ---- linear ---- */

/* The first of the two neighbours of output o, and the weight of the second. */
static int lerp_place(int o, ratio r, bool area, float *second)
{
    int at;
    if (!area) {
        float f = (float)((o + 0.5) * r.shrinks - 0.5);
        at = (int)floorf(f);
        *second = f - (float)at;
    } else {
        at = (int)floor(o * r.shrinks);
        float f = (float)((o + 1) - (at + 1) * r.grows);
        *second = f <= 0.0f ? 0.0f : f - floorf(f);
    }
    return at;
}

static void lerp_weights(float second, int16_t weights[2])
{
    weights[0] = (int16_t)lrintf((1.0f - second) * LERP_ONE);
    weights[1] = (int16_t)lrintf(second * LERP_ONE);
}

/* Places are in bytes. At the right edge the second neighbour is the last point, so that nothing beyond is read. */
static void lerp_columns(const mbr_image *image, int to, bool area, int32_t *at, int16_t *weights)
{
    int last = image->width - 1;
    ratio r = make_ratio(image->width, to);
    for (int x = 0; x < to; x++) {
        float second;
        int i = lerp_place(x, r, area, &second);
        if (i < 0 || i >= last) {
            i = i < 0 ? 0 : last;
            second = 0.0f;
        }
        lerp_weights(second, weights + 2 * x);
        if (i == last && last > 0) {
            i--;
            weights[2 * x + 1] = weights[2 * x];
            weights[2 * x] = 0;
        }
        at[x] = (int32_t)((size_t)i * image->point);
    }
}

static mbr_status lerp(const mbr_image *image, bool area, mbr_image *out, mbr_error *err)
{
    size_t n = (size_t)out->width, values = n * out->point, row = (values + 4) * sizeof(int16_t);
    size_t tables = n * (sizeof(int32_t) + 2 * sizeof(int16_t)), bytes = tables + 2 * row;
    int32_t *at = mbr_alloc(image->memory, bytes);
    if (!at)
        return mbr_no_memory(err, bytes);
    int16_t *weights = (int16_t *)(at + n), *lines[2] = { weights + 2 * n, weights + 2 * n + values + 4 };
    int held[2] = { -1, -1 }, last = image->height - 1;
    lerp_columns(image, out->width, area, at, weights);
    const mbr_pixels *with = mbr_pixels_best();
    mbr_pixels_lerp args = { .row_bytes = (size_t)image->width * image->point,
                             .next = image->width > 1 ? image->point : 0, .channels = (size_t)image->channels,
                             .count = n, .at = at, .weights = weights };
    ratio r = make_ratio(image->height, out->height);
    for (int y = 0; y < out->height; y++) {
        float second;
        int16_t down[2];
        int i = lerp_place(y, r, area, &second);
        lerp_weights(second, down);
        for (int k = 0; k < 2; k++) {
            int from = i + k < 0 ? 0 : i + k > last ? last : i + k;
            if (held[from % 2] == from)
                continue;
            held[from % 2] = from;
            args.row = mbr_image_row(image, from);
            args.out = lines[from % 2];
            with->lerp_across(&args);
        }
        int a = i < 0 ? 0 : i > last ? last : i, b = i + 1 > last ? last : i + 1;
        with->lerp_down(lines[a % 2], lines[b % 2], down[0], down[1], mbr_image_row(out, y), values);
    }
    mbr_free(image->memory, at);
    return MBR_OK;
}

/* ---- area ---- */

static uint8_t round_even(float x)
{
    long v = lrintf(x);
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Means over blocks of kx by ky points. */
static mbr_status area_whole(const mbr_image *image, int kx, int ky, mbr_image *out, mbr_error *err)
{
    size_t c = (size_t)image->channels, n = (size_t)out->width * c, used = n * (size_t)kx;
    uint32_t *sums = mbr_alloc(image->memory, used * sizeof *sums);
    if (!sums)
        return mbr_no_memory(err, used * sizeof *sums);
    float share = 1.0f / (float)((int64_t)kx * ky);
    bool halves = kx == 2 && ky == 2 && c != 2;
    for (int y = 0; y < out->height; y++) {
        memset(sums, 0, used * sizeof *sums);
        for (int k = 0; k < ky; k++) {
            const uint8_t *row = mbr_image_row(image, y * ky + k);
            for (size_t i = 0; i < used; i++)
                sums[i] += row[i];
        }
        uint8_t *to = mbr_image_row(out, y);
        for (size_t x = 0; x < n; x += c)
            for (size_t i = 0; i < c; i++) {
                uint64_t sum = 0;
                for (size_t k = 0; k < (size_t)kx; k++)
                    sum += sums[x * (size_t)kx + k * c + i];
                to[x + i] = halves ? (uint8_t)((sum + 2) >> 2) : round_even((float)(int64_t)sum * share);
            }
    }
    mbr_free(image->memory, sums);
    return MBR_OK;
}

/* The points below each output of one direction, with their shares. */
typedef struct shares {
    int32_t *first, *taps;
    float *weights;
    size_t stride;
} shares;

static mbr_status make_shares(mbr_memory *memory, int from, int to, shares *s, mbr_error *err)
{
    double scale = make_ratio(from, to).shrinks;
    s->stride = (size_t)ceil(scale) + 2;
    size_t outs = (size_t)to, bytes = outs * (2 * sizeof(int32_t) + s->stride * sizeof(float));
    s->first = mbr_alloc(memory, bytes);
    if (!s->first)
        return mbr_no_memory(err, bytes);
    s->taps = s->first + outs;
    s->weights = (float *)(s->taps + outs);
    for (int o = 0; o < to; o++) {
        double begin = o * scale, end = begin + scale, width = fmin(scale, from - begin);
        int low = (int)ceil(begin), high = (int)floor(end), taps = 0;
        high = high < from - 1 ? high : from - 1;
        low = low < high ? low : high;
        float *weights = s->weights + (size_t)o * s->stride;
        s->first[o] = low;
        if (low - begin > 1e-3) {
            s->first[o] = low - 1;
            weights[taps++] = (float)((low - begin) / width);
        }
        for (int i = low; i < high; i++)
            weights[taps++] = (float)(1.0 / width);
        if (end - high > 1e-3)
            weights[taps++] = (float)(fmin(fmin(end - high, 1.0), width) / width);
        s->taps[o] = taps;
    }
    return MBR_OK;
}

static void unpack_real(const float *lanes, size_t width, int channels, int row, float *values)
{
    size_t c = (size_t)channels;
    lanes += row * (MBR_PIXELS_LANES / mbr_lanes_rows(channels));
    for (size_t x = 0; x < width; x++)
        for (size_t i = 0; i < c; i++)
            values[x * c + i] = lanes[x * MBR_PIXELS_LANES + i];
}

static mbr_status area_any(const mbr_image *image, mbr_image *out, mbr_error *err)
{
    mbr_memory *memory = image->memory;
    const mbr_pixels *with = mbr_pixels_best();
    size_t n = (size_t)out->width * out->point;
    size_t out_bytes = (size_t)out->width * MBR_PIXELS_LANES * sizeof(float);
    size_t in_bytes = (size_t)image->width * MBR_PIXELS_LANES, bytes = out_bytes + in_bytes + 2 * n * sizeof(float);
    shares x = { 0 }, y = { 0 };
    float *lanes_out = mbr_alloc(memory, bytes);
    mbr_status st = lanes_out ? make_shares(memory, image->width, out->width, &x, err) : mbr_no_memory(err, bytes);
    if (st == MBR_OK)
        st = make_shares(memory, image->height, out->height, &y, err);
    if (st == MBR_OK) {
        float *values = lanes_out + (size_t)out->width * MBR_PIXELS_LANES, *sums = values + n;
        uint8_t *lanes = (uint8_t *)(sums + n);
        mbr_pixels_args args = { .src = lanes, .step = MBR_PIXELS_LANES, .dst = lanes_out,
                                 .dst_step = MBR_PIXELS_LANES, .n = MBR_PIXELS_LANES, .count = (size_t)out->width,
                                 .first = x.first, .taps = x.taps, .weights = x.weights, .stride = x.stride };
        int most = mbr_lanes_rows(image->channels), begin = -1, row = -1; /* rows in lanes; the one in values */
        for (int o = 0; o < out->height; o++) {
            memset(sums, 0, n * sizeof *sums);
            for (int32_t k = 0; k < y.taps[o]; k++) {
                int need = y.first[o] + k;
                if (begin < 0 || need >= begin + most) {
                    begin = need;
                    mbr_lanes_pack(image, begin, image->height - begin < most ? image->height - begin : most, lanes);
                    with->real(&args);
                }
                if (row != need)
                    unpack_real(lanes_out, (size_t)out->width, image->channels, need - begin, values);
                row = need;
                with->add(sums, values, y.weights[(size_t)o * y.stride + (size_t)k], n);
            }
            uint8_t *to = mbr_image_row(out, o);
            for (size_t i = 0; i < n; i++)
                to[i] = round_even(sums[i]);
        }
    }
    mbr_free(memory, x.first);
    mbr_free(memory, y.first);
    mbr_free(memory, lanes_out);
    return st;
}

/* ---- which of them ---- */

mbr_status mbr_resize_opencv_area(const mbr_image *image, const mbr_resize_options *options, mbr_image *out,
                                  mbr_error *err)
{
    (void)options;
    ratio x = make_ratio(image->width, out->width), y = make_ratio(image->height, out->height);
    int kx, ky;
    if (!(x.shrinks >= 1.0 && y.shrinks >= 1.0))
        return lerp(image, true, out, err);
    bool both = whole(x, &kx) && whole(y, &ky);
    return both ? area_whole(image, kx, ky, out, err) : area_any(image, out, err);
}

mbr_status mbr_resize_opencv_linear(const mbr_image *image, const mbr_resize_options *options, mbr_image *out,
                                    mbr_error *err)
{
    int kx, ky;
    bool both = whole(make_ratio(image->width, out->width), &kx) && whole(make_ratio(image->height, out->height), &ky);
    if (both && kx == 2 && ky == 2)
        return mbr_resize_opencv_area(image, options, out, err);
    return lerp(image, false, out, err);
}

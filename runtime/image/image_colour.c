/* SPDX-License-Identifier: BSD-2-Clause */
/* Orders of channels, gray, alpha. */
#include "runtime/image/image_impl.h"

#include "base/error.h"

/* Where red, green, blue and alpha lie; -1: not there. */
static const struct {
    int channels;
    int place[4];
} orders[] = {
    [MBR_COLOUR_GRAY] = { 1, { 0, 0, 0, -1 } }, [MBR_COLOUR_RGB] = { 3, { 0, 1, 2, -1 } },
    [MBR_COLOUR_BGR] = { 3, { 2, 1, 0, -1 } },  [MBR_COLOUR_RGBA] = { 4, { 0, 1, 2, 3 } },
    [MBR_COLOUR_BGRA] = { 4, { 2, 1, 0, 3 } },
};

static const struct {
    unsigned red, green, blue, bits;
} grays[] = {
    [MBR_GRAY_PILLOW] = { 19595, 38470, 7471, 16 },
    [MBR_GRAY_OPENCV] = { 9798, 19235, 3735, 15 },
};

mbr_status mbr_image_convert(const mbr_image *image, mbr_colour from, mbr_colour to, mbr_gray gray, mbr_image **out,
                             mbr_error *err)
{
    *out = NULL;
    if ((unsigned)from >= MBR_COUNT_OF(orders) || (unsigned)to >= MBR_COUNT_OF(orders) ||
        (unsigned)gray >= MBR_COUNT_OF(grays))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "there are no colours %d, %d or no gray %d", (int)from, (int)to,
                        (int)gray);
    if (image->type != MBR_DTYPE_U8 || image->channels != orders[from].channels)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "these colours are %d channels of u8; the image has %d of %s",
                        orders[from].channels, image->channels, mbr_dtype_name(image->type));
    MBR_TRY(mbr_image_make(image->env, image->width, image->height, orders[to].channels, MBR_DTYPE_U8, out, err));
    const int *in = orders[from].place, *put = orders[to].place;
    size_t step = (size_t)image->channels, put_step = (size_t)(*out)->channels;
    bool weigh = to == MBR_COLOUR_GRAY && from != MBR_COLOUR_GRAY;
    unsigned red = grays[gray].red, green = grays[gray].green, blue = grays[gray].blue, bits = grays[gray].bits;
    for (int y = 0; y < image->height; y++) {
        const uint8_t *p = mbr_image_row(image, y);
        uint8_t *q = mbr_image_row(*out, y);
        for (int x = 0; x < image->width; x++, p += step, q += put_step) {
            if (weigh) {
                q[0] = (uint8_t)((p[in[0]] * red + p[in[1]] * green + p[in[2]] * blue + (1u << (bits - 1))) >> bits);
                continue;
            }
            for (int c = 0; c < 3; c++)
                q[put[c]] = p[in[c]];
            if (put[3] >= 0)
                q[put[3]] = in[3] >= 0 ? p[in[3]] : 255;
        }
    }
    return MBR_OK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ImageDecoder. What cannot be decoded gives an empty image, as ONNX says. */
#include "engine/ops/image_libs.h"
#include "kernels/image.h"

#include <string.h>

typedef enum pixel_format { PIXEL_RGB, PIXEL_BGR, PIXEL_GRAY, PIXEL_UNKNOWN } pixel_format;

static pixel_format format_of(const mbr_ir_node *n)
{
    static const char *const names[] = { "RGB", "BGR", "Grayscale" };
    const char *name = mbr_attr_string(n, "pixel_format", "RGB");
    for (int i = 0; i < PIXEL_UNKNOWN; i++)
        if (strcmp(name, names[i]) == 0)
            return (pixel_format)i;
    return PIXEL_UNKNOWN;
}

static mbr_status infer(mbr_infer *c)
{
    pixel_format f = format_of(c->node);
    if (f == PIXEL_UNKNOWN)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "pixel_format is '%s', not RGB, BGR or Grayscale",
                              mbr_attr_string(c->node, "pixel_format", ""));
    if (c->in[0].dtype != MBR_DTYPE_UNDEFINED && c->in[0].dtype != MBR_DTYPE_U8)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a stream of type %s, not u8", mbr_dtype_name(c->in[0].dtype));
    mbr_dim dims[3] = { MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN, f == PIXEL_GRAY ? 1 : 3 };
    mbr_infer_out(c, 0, MBR_DTYPE_U8, 3, dims);
    return MBR_OK;
}

/* By the format's library; without it by our own decoder, which knows the usual forms of most formats. */
static mbr_status decode(mbr_step *s, mbr_image_file *im, uint8_t **rgb, mbr_error *err)
{
    const uint8_t *data = s->in[0]->data;
    const char *format = "";
    size_t size = mbr_value_count(s->in[0]);
    *im = (mbr_image_file){ 0 };
    mbr_image_answer answer = mbr_image_by_library(s, data, size, &im->width, &im->height, rgb, &format);
    if (answer == MBR_IMAGE_NO_LIBRARY || answer == MBR_IMAGE_OTHER) {
        bool known = mbr_image_probe(data, size, im);
        if (!known && answer == MBR_IMAGE_NO_LIBRARY)
            return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED,
                                 "a %s image, whose library is not there; install it, or convert the image to PNG",
                                 format);
        if (!known)
            return MBR_OK;
        void *scratch = mbr_step_alloc(s, im->scratch + 1);
        *rgb = mbr_step_alloc(s, im->width * im->height * 3);
        if (!scratch || !*rgb)
            return mbr_no_memory(err, im->width * im->height * 3);
        answer = mbr_image_decode(im, data, size, *rgb, scratch) ? MBR_IMAGE_DONE : MBR_IMAGE_BROKEN;
    }
    if (answer == MBR_IMAGE_NO_MEMORY)
        return mbr_no_memory(err, im->width * im->height * 3);
    if (answer != MBR_IMAGE_DONE)
        *rgb = NULL;
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    pixel_format f = format_of(s->node);
    size_t channels = f == PIXEL_GRAY ? 1 : 3;
    mbr_image_file im;
    uint8_t *rgb = NULL;
    MBR_TRY(decode(s, &im, &rgb, err));
    if (!rgb)
        im.width = im.height = 0;
    MBR_TRY(mbr_step_resize(s, 0, 3, (int64_t[]){ (int64_t)im.height, (int64_t)im.width, (int64_t)channels }, err));
    uint8_t *to = s->out[0]->data;
    for (size_t i = 0; i < im.width * im.height; i++, rgb += 3) {
        if (f == PIXEL_GRAY) { /* 0.299 R + 0.587 G + 0.114 B, 16 bits of fraction */
            *to++ = (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 32768u) >> 16);
        } else {
            *to++ = rgb[f == PIXEL_BGR ? 2 : 0];
            *to++ = rgb[1];
            *to++ = rgb[f == PIXEL_BGR ? 0 : 2];
        }
    }
    return MBR_OK;
}

const mbr_op mbr_ops_image_decoder[] = {
    { .domain = "", .name = "ImageDecoder", .since = 20, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_SIZED_BY_RUN | MBR_OP_HOST, .infer = infer, .run = run },
    { 0 },
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* The image value. */
#include "runtime/image/image_impl.h"

#include "base/checked.h"

#include <string.h>

static mbr_status check_shape(int width, int height, int channels, mbr_dtype type, mbr_error *err)
{
    if (width < 1 || height < 1 || width > MBR_IMAGE_MAX_SIDE || height > MBR_IMAGE_MAX_SIDE)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "an image of %d x %d points; sides from 1 to %d are due", width, height,
                        MBR_IMAGE_MAX_SIDE);
    if (channels < 1 || channels > MBR_IMAGE_MAX_CHANNELS)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "an image of %d channels; 1 to %d are due", channels,
                        MBR_IMAGE_MAX_CHANNELS);
    if (type != MBR_DTYPE_U8 && type != MBR_DTYPE_F32)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "an image of type %s; u8 or f32 is due", mbr_dtype_name(type));
    return MBR_OK;
}

static mbr_status make(mbr_env *env, int width, int height, int channels, mbr_dtype type, mbr_image **out,
                       mbr_error *err)
{
    *out = NULL;
    MBR_TRY(check_shape(width, height, channels, type, err));
    mbr_memory *memory = mbr_env_heap(env);
    mbr_image *image = mbr_calloc(memory, 1, sizeof *image);
    if (!image)
        return mbr_no_memory(err, sizeof *image);
    *image = (mbr_image){ .env = env, .memory = memory, .width = width, .height = height, .channels = channels,
                          .type = type, .point = (size_t)channels * (type == MBR_DTYPE_U8 ? 1 : sizeof(float)) };
    image->stride = (size_t)width * image->point;
    *out = image;
    return MBR_OK;
}

mbr_status mbr_image_make(mbr_env *env, int width, int height, int channels, mbr_dtype type, mbr_image **out,
                          mbr_error *err)
{
    MBR_TRY(make(env, width, height, channels, type, out, err));
    size_t bytes = 0;
    if (mbr_mul_size((*out)->stride, (size_t)height, &bytes))
        (*out)->block = mbr_alloc((*out)->memory, bytes);
    (*out)->pixels = (*out)->block;
    if ((*out)->block)
        return MBR_OK;
    mbr_image_release(out);
    return mbr_fail(err, MBR_ERR_NO_MEMORY, "an image of %d x %d points: %zu bytes are not to be had; raise the memory "
                    "limit or use a smaller image", width, height, bytes);
}

mbr_status mbr_image_new(mbr_env *env, int width, int height, int channels, mbr_dtype type, mbr_image **out,
                         mbr_error *err)
{
    MBR_TRY(mbr_image_make(env, width, height, channels, type, out, err));
    memset((*out)->pixels, 0, (*out)->stride * (size_t)height);
    return MBR_OK;
}

mbr_status mbr_image_borrow(mbr_env *env, int width, int height, int channels, mbr_dtype type, void *pixels,
                            size_t stride, mbr_image **out, mbr_error *err)
{
    MBR_TRY(make(env, width, height, channels, type, out, err));
    size_t bytes;
    if (!stride)
        stride = (*out)->stride;
    if (pixels && stride >= (*out)->stride && mbr_mul_size(stride, (size_t)height, &bytes) &&
        (type == MBR_DTYPE_U8 || ((uintptr_t)pixels % sizeof(float) == 0 && stride % sizeof(float) == 0))) {
        (*out)->pixels = pixels;
        (*out)->stride = stride;
        return MBR_OK;
    }
    mbr_status st = mbr_fail(err, MBR_ERR_ARGUMENT, pixels ? "rows of an image %zu bytes apart; at least %zu are due, "
                             "and whole values" : "an image without memory (%zu, %zu)", stride, (*out)->stride);
    mbr_image_release(out);
    return st;
}

void mbr_image_release(mbr_image **image)
{
    if (!image || !*image)
        return;
    mbr_free((*image)->memory, (*image)->block);
    mbr_free((*image)->memory, *image);
    *image = NULL;
}

void mbr_image_tell(const mbr_image *image, mbr_image_info *info)
{
    mbr_image_info all = { .size = info->size, .width = image->width, .height = image->height,
                           .channels = image->channels, .type = image->type, .stride = image->stride,
                           .pixels = image->pixels };
    memcpy(info, &all, mbr_min_size(info->size, sizeof all));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Images to tensors: a path a row, through the very steps that the model was trained with. */
#include "mbr/image.h"
#include "runtime/pipeline/pipeline_impl.h"
#include "runtime/steps/step.h"

#include <math.h>
#include <string.h>

typedef struct image_params {
    mbr_string folder, filter;
    bool anywhere;
    int colours, layout, dtype;
    mbr_numbers resize, letterbox, crop, fill, mean, deviation;
    int64_t shorter;
    double divide;
    mbr_env *env; /* the rest is made by compile */
    const char *below;
    mbr_resize_filter how;
    mbr_tensor_options tensor;
} image_params;

const mbr_param mbr_params_image[] = {
    { .name = "folder", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(image_params, folder) },
    { .name = "anywhere", .type = MBR_PARAM_BOOL, .offset = offsetof(image_params, anywhere) },
    { .name = "colours", .type = MBR_PARAM_CHOICE, .words = "rgb|bgr|gray", .offset = offsetof(image_params, colours) },
    { .name = "filter", .type = MBR_PARAM_STRING, .offset = offsetof(image_params, filter) },
    { .name = "resize", .type = MBR_PARAM_NUMBERS, .offset = offsetof(image_params, resize) },
    { .name = "shorter", .type = MBR_PARAM_INT, .offset = offsetof(image_params, shorter) },
    { .name = "letterbox", .type = MBR_PARAM_NUMBERS, .offset = offsetof(image_params, letterbox) },
    { .name = "fill", .type = MBR_PARAM_NUMBERS, .offset = offsetof(image_params, fill) },
    { .name = "crop", .type = MBR_PARAM_NUMBERS, .offset = offsetof(image_params, crop) },
    { .name = "divide", .type = MBR_PARAM_NUMBER, .offset = offsetof(image_params, divide), .preset = 255 },
    { .name = "mean", .type = MBR_PARAM_NUMBERS, .offset = offsetof(image_params, mean) },
    { .name = "deviation", .type = MBR_PARAM_NUMBERS, .offset = offsetof(image_params, deviation) },
    { .name = "layout", .type = MBR_PARAM_CHOICE, .words = "chw|hwc", .offset = offsetof(image_params, layout) },
    { .name = "dtype", .type = MBR_PARAM_CHOICE, .words = "f32|u8", .offset = offsetof(image_params, dtype) },
    { .name = NULL }
};

enum { IMAGE_RGB, IMAGE_BGR, IMAGE_GRAY };
enum { PLACE_LEFT, PLACE_TOP, PLACE_SCALE_X, PLACE_SCALE_Y, PLACE_WIDTH, PLACE_HEIGHT, PLACE_VALUES };

/* ---- compiling ---- */

static mbr_status check_size(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const char *key,
                             const mbr_numbers *n)
{
    bool sound = n->count == 0 || n->count == 2;
    for (size_t i = 0; i < n->count; i++)
        sound = sound && n->items[i] >= 1 && n->items[i] <= MBR_IMAGE_MAX_SIDE && n->items[i] == floor(n->items[i]);
    if (sound)
        return MBR_OK;
    return mbr_node_fail(&c->read, at, "step '%s': '%s' must be [width, height], each 1 to %d", s->name, key,
                         MBR_IMAGE_MAX_SIDE);
}

/* One value for each channel, or one for all. */
static mbr_status spread(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const char *key,
                         const mbr_numbers *n, int channels, float *to)
{
    if (n->count > 1 && n->count != (size_t)channels)
        return mbr_node_fail(&c->read, at, "step '%s': '%s' needs one value, or one for each of the %d channels",
                             s->name, key, channels);
    for (int i = 0; n->count && i < channels; i++)
        to[i] = (float)n->items[n->count > 1 ? i : 0];
    return MBR_OK;
}

static mbr_status check_keys(const mbr_compiling *c, const mbr_node *at, mbr_step *s)
{
    image_params *p = s->params;
    const mbr_reading *r = &c->read;
    float colour[MBR_IMAGE_MAX_CHANNELS];
    int channels = p->colours == IMAGE_GRAY ? 1 : 3;
    MBR_TRY(check_size(c, at, s, "resize", &p->resize));
    MBR_TRY(check_size(c, at, s, "letterbox", &p->letterbox));
    MBR_TRY(check_size(c, at, s, "crop", &p->crop));
    if ((p->resize.count > 0) + (p->letterbox.count > 0) + (p->shorter != 0) > 1)
        return mbr_node_fail(r, at, "step '%s': 'resize', 'shorter' and 'letterbox' exclude each other", s->name);
    if (p->shorter < 0 || p->shorter > MBR_IMAGE_MAX_SIDE)
        return mbr_node_fail(r, at, "step '%s': 'shorter' must be 1 to %d points", s->name, MBR_IMAGE_MAX_SIDE);
    p->how = MBR_RESIZE_PILLOW_BILINEAR;
    if (p->filter.data && !mbr_resize_filter_find(p->filter.data, &p->how))
        return mbr_node_fail(r, at, "step '%s': there is no filter '%s'; there are pillow-nearest, -box, -bilinear, "
                             "-hamming, -bicubic, -lanczos, opencv-nearest, -linear and -area", s->name,
                             p->filter.data);
    MBR_TRY(spread(c, at, s, "fill", &p->fill, channels, colour));
    p->tensor = (mbr_tensor_options){ .size = sizeof p->tensor, .divide = (float)p->divide,
                                      .layout = p->layout ? MBR_IMAGE_NHWC : MBR_IMAGE_NCHW };
    MBR_TRY(spread(c, at, s, "mean", &p->mean, channels, p->tensor.mean));
    MBR_TRY(spread(c, at, s, "deviation", &p->deviation, channels, p->tensor.deviation));
    for (size_t i = 0; i < p->deviation.count; i++)
        if (p->deviation.items[i] == 0)
            return mbr_node_fail(r, at, "step '%s': a deviation is 0", s->name);
    if (p->divide == 0)
        return mbr_node_fail(r, at, "step '%s': 'divide' is 0", s->name);
    if (p->dtype && (p->mean.count || p->deviation.count || mbr_node_get(at, "divide")))
        return mbr_node_fail(r, at, "step '%s': bytes are taken as they are; 'divide', 'mean' and 'deviation' are of "
                             "f32", s->name);
    return MBR_OK;
}

mbr_status mbr_compile_image(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    image_params *p = s->params;
    int64_t channels = p->colours == IMAGE_GRAY ? 1 : 3, width = -1, height = -1;
    MBR_TRY(check_keys(c, at, s));
    p->env = c->env;
    p->below = mbr_pipeline_beside(c->read.arena, c->read.file, p->folder.data);
    if (!p->below)
        return mbr_no_memory(c->read.err, p->folder.size);
    const mbr_numbers *last = p->crop.count ? &p->crop : p->letterbox.count ? &p->letterbox : &p->resize;
    if (last->count) {
        width = (int64_t)last->items[0];
        height = (int64_t)last->items[1];
    }
    mbr_col *place = mbr_step_part(c, s, "place");
    if (!place)
        return MBR_ERR_NO_MEMORY;
    place->width = PLACE_VALUES;
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1, .rank = 3,
                      .dtype = p->dtype ? MBR_DTYPE_U8 : MBR_DTYPE_F32 };
    memcpy(out->dims, p->layout ? (const int64_t[]){ height, width, channels }
                                : (const int64_t[]){ channels, height, width }, 3 * sizeof *out->dims);
    return MBR_OK;
}

/* ---- one image ---- */

static void take(mbr_image **image, mbr_image *next)
{
    mbr_image_release(image);
    *image = next;
}

static mbr_status colour(const image_params *p, mbr_image **image, mbr_error *err)
{
    static const mbr_colour wanted[] = { MBR_COLOUR_RGB, MBR_COLOUR_BGR, MBR_COLOUR_GRAY };
    mbr_image_info info = { .size = sizeof info };
    mbr_image *next;
    mbr_image_tell(*image, &info);
    mbr_colour have = info.channels == 1 ? MBR_COLOUR_GRAY : info.channels == 4 ? MBR_COLOUR_RGBA : MBR_COLOUR_RGB;
    if (have == wanted[p->colours])
        return MBR_OK;
    MBR_TRY(mbr_image_convert(*image, have, wanted[p->colours],
                              p->how >= MBR_RESIZE_OPENCV_NEAREST ? MBR_GRAY_OPENCV : MBR_GRAY_PILLOW, &next, err));
    take(image, next);
    return MBR_OK;
}

static mbr_status size(const image_params *p, mbr_image **image, double *place, mbr_error *err)
{
    mbr_image_info info = { .size = sizeof info };
    mbr_resize_options o = { .size = sizeof o, .filter = p->how };
    mbr_letterbox box = { .size = sizeof box };
    mbr_image *next;
    mbr_image_tell(*image, &info);
    if (p->letterbox.count) {
        double fill[MBR_IMAGE_MAX_CHANNELS] = { 0 };
        for (int i = 0; p->fill.count && i < info.channels; i++)
            fill[i] = p->fill.items[p->fill.count > 1 ? i : 0];
        o.width = (int)p->letterbox.items[0];
        o.height = (int)p->letterbox.items[1];
        MBR_TRY(mbr_image_letterbox(*image, &o, fill, &box, &next, err));
        place[PLACE_LEFT] = box.left;
        place[PLACE_TOP] = box.top;
        place[PLACE_SCALE_X] = box.scale_x;
        place[PLACE_SCALE_Y] = box.scale_y;
        take(image, next);
        return MBR_OK;
    }
    if (p->resize.count) {
        o.width = (int)p->resize.items[0];
        o.height = (int)p->resize.items[1];
    } else if (p->shorter) { /* as torchvision's Resize(n): the longer side is cut to a whole number */
        bool wide = info.width > info.height;
        int64_t longer = p->shorter * (wide ? info.width : info.height) / (wide ? info.height : info.width);
        if (longer > MBR_IMAGE_MAX_SIDE)
            return mbr_fail(err, MBR_ERR_LIMIT, "the longer side would be %lld points", (long long)longer);
        o.width = (int)(wide ? longer : p->shorter);
        o.height = (int)(wide ? p->shorter : longer);
    } else {
        return MBR_OK;
    }
    MBR_TRY(mbr_image_resize(*image, &o, &next, err));
    place[PLACE_SCALE_X] = (double)o.width / info.width;
    place[PLACE_SCALE_Y] = (double)o.height / info.height;
    take(image, next);
    return MBR_OK;
}

/* The middle, as torchvision's CenterCrop: a side that is too short gets a black border first. */
static mbr_status crop(const image_params *p, mbr_image **image, double *place, mbr_error *err)
{
    mbr_image_info info = { .size = sizeof info };
    mbr_image *next;
    if (!p->crop.count)
        return MBR_OK;
    mbr_image_tell(*image, &info);
    int w = (int)p->crop.items[0], h = (int)p->crop.items[1];
    int more_w = w > info.width ? w - info.width : 0, more_h = h > info.height ? h - info.height : 0;
    if (more_w || more_h) {
        MBR_TRY(mbr_image_pad(*image, more_w / 2, more_h / 2, more_w - more_w / 2, more_h - more_h / 2, NULL, &next,
                              err));
        take(image, next);
        mbr_image_tell(*image, &info);
    }
    int x = (int)nearbyint((info.width - w) / 2.0), y = (int)nearbyint((info.height - h) / 2.0);
    MBR_TRY(mbr_image_crop(*image, x, y, w, h, &next, err));
    place[PLACE_LEFT] += more_w / 2 - x;
    place[PLACE_TOP] += more_h / 2 - y;
    take(image, next);
    return MBR_OK;
}

static mbr_status bring(const image_params *p, const mbr_filemap *file, const char *name, mbr_image **image,
                        double *place, mbr_error *err)
{
    mbr_image_info info = { .size = sizeof info };
    MBR_TRY(mbr_image_open_memory(p->env, file->data, file->size, name, image, err));
    mbr_image_tell(*image, &info);
    place[PLACE_LEFT] = place[PLACE_TOP] = 0;
    place[PLACE_SCALE_X] = place[PLACE_SCALE_Y] = 1;
    place[PLACE_WIDTH] = info.width;
    place[PLACE_HEIGHT] = info.height;
    MBR_TRY(colour(p, image, err));
    MBR_TRY(size(p, image, place, err));
    return crop(p, image, place, err);
}

/* ---- the tensor ---- */

/* The bytes of an image as they are. */
static void copy_bytes(const mbr_image_info *info, bool planes, uint8_t *to)
{
    size_t channels = (size_t)info->channels, width = (size_t)info->width, plane = width * (size_t)info->height;
    for (size_t y = 0; y < (size_t)info->height; y++) {
        const uint8_t *from = (const uint8_t *)info->pixels + y * info->stride;
        if (!planes)
            memcpy(to + y * width * channels, from, width * channels);
        for (size_t x = 0; planes && x < width; x++)
            for (size_t c = 0; c < channels; c++)
                to[c * plane + y * width + x] = from[x * channels + c];
    }
}

static mbr_status fill_cell(const mbr_step *s, mbr_rows *rows, int row, const mbr_image *image, mbr_error *err)
{
    const image_params *p = s->params;
    mbr_image_info info = { .size = sizeof info };
    mbr_image_tell(image, &info);
    int64_t c = info.channels, h = info.height, w = info.width;
    const int64_t dims[] = { p->layout ? h : c, p->layout ? w : h, p->layout ? c : w };
    void *data = mbr_rows_cell(rows, row, s->out, 3, dims);
    if (!data)
        return MBR_OK; /* the row knows */
    if (!p->dtype)
        return mbr_image_fill(image, &p->tensor, data, (size_t)(c * h * w), err);
    copy_bytes(&info, !p->layout, data);
    return MBR_OK;
}

void mbr_run_image(const mbr_step *s, mbr_rows *rows)
{
    const image_params *p = s->params;
    mbr_rows_clear(rows, s->out);
    mbr_rows_clear(rows, s->outs[1]);
    for (int i = 0; i < rows->count; i++) {
        const mbr_string *name = &rows->lanes[s->from[0]].str[i];
        double *place = rows->lanes[s->outs[1]].num + (size_t)i * PLACE_VALUES;
        mbr_image *image = NULL;
        mbr_error why = { 0 };
        if (rows->fault[i] || !name->data)
            continue;
        mbr_filemap file;
        if (!mbr_step_open(s, rows, i, p->below, p->anywhere, name, &file))
            continue;
        mbr_status st = bring(p, &file, name->data, &image, place, &why);
        if (st == MBR_OK)
            st = fill_cell(s, rows, i, image, &why);
        if (st != MBR_OK)
            mbr_rows_fail(rows, i, "step '%s': %s", s->name, why.text);
        mbr_image_release(&image);
        mbr_filemap_close(&file);
    }
}

_Static_assert(sizeof(image_params) <= MBR_STEP_PARAMS, "room for parameters");

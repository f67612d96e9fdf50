/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/ops/image_libs.h"

#include "kernels/image.h"

#include <stdatomic.h>
#include <string.h>

#ifdef HAVE_DLOPEN
#include <dlfcn.h>
#else
#undef HAVE_WEBP
#undef HAVE_OPENJPEG
#undef HAVE_TURBOJPEG
#undef HAVE_SPNG
#undef HAVE_TIFF
#endif

/* What a decoder is asked for. */
typedef struct request {
    mbr_step *s;
    const uint8_t *data;
    size_t size, width, height;
    uint8_t *rgb;
} request;

#if defined(HAVE_WEBP) || defined(HAVE_OPENJPEG) || defined(HAVE_TURBOJPEG) || defined(HAVE_SPNG) || defined(HAVE_TIFF)

/* Room for an image of that size; false: too large, or no memory (then rgb stays NULL and *answer says so). */
static bool take(request *r, uint64_t width, uint64_t height, mbr_image_answer *answer)
{
    *answer = MBR_IMAGE_BROKEN;
    if (width == 0 || height == 0 || width > MBR_IMAGE_MOST_PIXELS || height > MBR_IMAGE_MOST_PIXELS / width)
        return false;
    r->width = (size_t)width;
    r->height = (size_t)height;
    r->rgb = mbr_step_alloc(r->s, r->width * r->height * 3);
    if (!r->rgb)
        *answer = MBR_IMAGE_NO_MEMORY;
    return r->rgb != NULL;
}

/* --- libraries --- */

enum { UNTRIED, LOADING, THERE, MISSING };

typedef struct library {
    const char *file;
    const char *const *names; /* ended by NULL */
    void **functions;         /* one for each name */
    atomic_int state;
} library;

/* Any thread; who comes while another loads waits those milliseconds. Once there, a library stays. */
static bool there(library *l)
{
    int state = UNTRIED;
    if (atomic_compare_exchange_strong(&l->state, &state, LOADING)) {
        void *handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
        bool whole = handle != NULL;
        for (size_t i = 0; whole && l->names[i]; i++)
            whole = (l->functions[i] = dlsym(handle, l->names[i])) != NULL;
        if (handle && !whole)
            dlclose(handle);
        state = whole ? THERE : MISSING;
        atomic_store(&l->state, state);
    }
    while (state == LOADING)
        state = atomic_load(&l->state);
    return state == THERE;
}

/* A library's functions: FUNCTION(NAME) lists give a table of pointers with the types of the library's own header. */
#define POINTER(name) __typeof__(name) *name;
#define NAME(name) #name,
#define LIBRARY(id, soname, functions)                                                                                 \
    static struct id##_functions { functions(POINTER) } id;                                                            \
    static const char *const id##_names[] = { functions(NAME) NULL };                                                  \
    static library id##_library = { soname, id##_names, (void **)(void *)&id, UNTRIED };

#endif

/* --- WebP --- */

static bool is_webp(const uint8_t *d, size_t size)
{
    return size >= 16 && memcmp(d, "RIFF", 4) == 0 && memcmp(d + 8, "WEBP", 4) == 0;
}

#ifdef HAVE_WEBP
#include <webp/decode.h>

#define WEBP_FUNCTIONS(f) f(WebPGetInfo) f(WebPDecodeRGBInto)
LIBRARY(webp, "libwebp.so.7", WEBP_FUNCTIONS)

static mbr_image_answer decode_webp(request *r)
{
    int w, h;
    mbr_image_answer answer;
    if (!there(&webp_library))
        return MBR_IMAGE_NO_LIBRARY;
    if (!webp.WebPGetInfo(r->data, r->size, &w, &h))
        return MBR_IMAGE_BROKEN;
    if (!take(r, (uint64_t)w, (uint64_t)h, &answer))
        return answer;
    return webp.WebPDecodeRGBInto(r->data, r->size, r->rgb, r->width * r->height * 3, 3 * w) ? MBR_IMAGE_DONE
                                                                                             : MBR_IMAGE_BROKEN;
}
#else
#define decode_webp NULL
#endif

/* --- JPEG 2000 --- */

static bool is_jpeg2000(const uint8_t *d, size_t size)
{
    return size >= 12 && (memcmp(d, "\0\0\0\x0CjP  \r\n\x87\n", 12) == 0 || memcmp(d, "\xFF\x4F\xFF\x51", 4) == 0);
}

#ifdef HAVE_OPENJPEG
#include <openjpeg.h>

#define OPENJPEG_FUNCTIONS(f)                                                                                          \
    f(opj_create_decompress) f(opj_set_default_decoder_parameters) f(opj_setup_decoder) f(opj_read_header)             \
    f(opj_decode) f(opj_end_decompress) f(opj_destroy_codec) f(opj_image_destroy) f(opj_stream_default_create)         \
    f(opj_stream_destroy) f(opj_stream_set_user_data) f(opj_stream_set_user_data_length)                               \
    f(opj_stream_set_read_function) f(opj_stream_set_skip_function) f(opj_stream_set_seek_function)
LIBRARY(openjpeg, "libopenjp2.so.7", OPENJPEG_FUNCTIONS)

typedef struct bytes {
    const uint8_t *data;
    size_t size, at;
} bytes;

static OPJ_SIZE_T read_bytes(void *to, OPJ_SIZE_T n, void *user)
{
    bytes *b = user;
    size_t left = b->size - b->at;
    if (left == 0)
        return (OPJ_SIZE_T)-1;
    n = n < left ? n : left;
    memcpy(to, b->data + b->at, n);
    b->at += n;
    return n;
}

static OPJ_OFF_T skip_bytes(OPJ_OFF_T n, void *user)
{
    bytes *b = user;
    if (n < 0 || (uint64_t)n > b->size - b->at)
        return -1;
    b->at += (size_t)n;
    return n;
}

static OPJ_BOOL seek_bytes(OPJ_OFF_T to, void *user)
{
    bytes *b = user;
    if (to < 0 || (uint64_t)to > b->size)
        return OPJ_FALSE;
    b->at = (size_t)to;
    return OPJ_TRUE;
}

static uint8_t clamp(double v)
{
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5);
}

/* Component c at a point, in 0 .. 255; components may be coarser than the image. */
static double sample(const opj_image_t *im, uint32_t c, size_t x, size_t y)
{
    const opj_image_comp_t *p = &im->comps[c];
    size_t cx = x / p->dx, cy = y / p->dy;
    cx = cx < p->w ? cx : p->w - 1u;
    cy = cy < p->h ? cy : p->h - 1u;
    int64_t v = p->data[cy * p->w + cx];
    if (p->sgnd)
        v += (int64_t)1 << (p->prec - 1);
    return p->prec == 8 ? (double)v : (double)v * 255.0 / (double)(((int64_t)1 << p->prec) - 1);
}

static mbr_image_answer colours(request *r, const opj_image_t *im)
{
    mbr_image_answer answer;
    if (im->x1 <= im->x0 || im->y1 <= im->y0 || im->numcomps == 0)
        return MBR_IMAGE_BROKEN;
    bool grey = im->numcomps < 3, sycc = im->color_space == OPJ_CLRSPC_SYCC;
    for (uint32_t c = 0; c < (grey ? 1u : 3u); c++)
        if (!im->comps[c].data || !im->comps[c].w || !im->comps[c].h || !im->comps[c].dx || !im->comps[c].dy ||
            im->comps[c].prec < 1 || im->comps[c].prec > 31)
            return MBR_IMAGE_BROKEN;
    if (!take(r, im->x1 - im->x0, im->y1 - im->y0, &answer))
        return answer;
    for (size_t y = 0, at = 0; y < r->height; y++)
        for (size_t x = 0; x < r->width; x++, at += 3) {
            double a = sample(im, 0, x, y), b = grey ? a : sample(im, 1, x, y), c = grey ? a : sample(im, 2, x, y);
            r->rgb[at] = clamp(sycc && !grey ? a + 1.402 * (c - 128) : a);
            r->rgb[at + 1] = clamp(sycc && !grey ? a - 0.344136 * (b - 128) - 0.714136 * (c - 128) : b);
            r->rgb[at + 2] = clamp(sycc && !grey ? a + 1.772 * (b - 128) : c);
        }
    return MBR_IMAGE_DONE;
}

static mbr_image_answer decode_jpeg2000(request *r)
{
    bytes b = { r->data, r->size, 0 };
    opj_dparameters_t parameters;
    opj_image_t *image = NULL;
    mbr_image_answer answer = MBR_IMAGE_BROKEN;
    if (!there(&openjpeg_library))
        return MBR_IMAGE_NO_LIBRARY;
    opj_codec_t *codec = openjpeg.opj_create_decompress(r->data[0] ? OPJ_CODEC_J2K : OPJ_CODEC_JP2);
    opj_stream_t *stream = openjpeg.opj_stream_default_create(OPJ_TRUE);
    if (codec && stream) {
        openjpeg.opj_stream_set_user_data(stream, &b, NULL);
        openjpeg.opj_stream_set_user_data_length(stream, b.size);
        openjpeg.opj_stream_set_read_function(stream, read_bytes);
        openjpeg.opj_stream_set_skip_function(stream, skip_bytes);
        openjpeg.opj_stream_set_seek_function(stream, seek_bytes);
        openjpeg.opj_set_default_decoder_parameters(&parameters);
        /* the size is known before anything large is decoded */
        if (openjpeg.opj_setup_decoder(codec, &parameters) && openjpeg.opj_read_header(stream, codec, &image) &&
            image->x1 > image->x0 && image->y1 > image->y0 &&
            image->x1 - image->x0 <= MBR_IMAGE_MOST_PIXELS / (image->y1 - image->y0) &&
            openjpeg.opj_decode(codec, stream, image) && openjpeg.opj_end_decompress(codec, stream))
            answer = colours(r, image);
    } else {
        answer = MBR_IMAGE_NO_MEMORY;
    }
    if (image)
        openjpeg.opj_image_destroy(image);
    if (stream)
        openjpeg.opj_stream_destroy(stream);
    if (codec)
        openjpeg.opj_destroy_codec(codec);
    return answer;
}
#else
#define decode_jpeg2000 NULL
#endif

/* --- JPEG --- */

static bool is_jpeg(const uint8_t *d, size_t size)
{
    return size >= 4 && d[0] == 0xFF && d[1] == 0xD8 && d[2] == 0xFF;
}

#ifdef HAVE_TURBOJPEG
#include <turbojpeg.h>

#define TURBOJPEG_FUNCTIONS(f) f(tjInitDecompress) f(tjDecompressHeader3) f(tjDecompress2) f(tjDestroy)
LIBRARY(turbojpeg, "libturbojpeg.so.0", TURBOJPEG_FUNCTIONS)

static mbr_image_answer decode_jpeg(request *r)
{
    int w, h, subsampling, space;
    mbr_image_answer answer = MBR_IMAGE_BROKEN;
    if (!there(&turbojpeg_library))
        return MBR_IMAGE_NO_LIBRARY;
    tjhandle handle = turbojpeg.tjInitDecompress();
    if (!handle)
        return MBR_IMAGE_NO_MEMORY;
    if (turbojpeg.tjDecompressHeader3(handle, r->data, (unsigned long)r->size, &w, &h, &subsampling, &space) == 0 &&
        take(r, (uint64_t)w, (uint64_t)h, &answer))
        answer = turbojpeg.tjDecompress2(handle, r->data, (unsigned long)r->size, r->rgb, w, 0, h, TJPF_RGB,
                                         TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) == 0 ? MBR_IMAGE_DONE
                                                                                      : MBR_IMAGE_BROKEN;
    turbojpeg.tjDestroy(handle);
    return answer;
}
#else
#define decode_jpeg NULL
#endif

/* --- PNG --- */

static bool is_png(const uint8_t *d, size_t size)
{
    return size >= 8 && memcmp(d, "\x89PNG\r\n\x1A\n", 8) == 0;
}

#ifdef HAVE_SPNG
#include <spng.h>

#define SPNG_FUNCTIONS(f)                                                                                              \
    f(spng_ctx_new) f(spng_ctx_free) f(spng_set_png_buffer) f(spng_get_ihdr) f(spng_decoded_image_size)                \
    f(spng_decode_image)
LIBRARY(png, "libspng.so.0", SPNG_FUNCTIONS)

static mbr_image_answer decode_png(request *r)
{
    struct spng_ihdr head;
    size_t bytes_due;
    mbr_image_answer answer = MBR_IMAGE_BROKEN;
    if (!there(&png_library))
        return MBR_IMAGE_NO_LIBRARY;
    spng_ctx *ctx = png.spng_ctx_new(0);
    if (!ctx)
        return MBR_IMAGE_NO_MEMORY;
    if (png.spng_set_png_buffer(ctx, r->data, r->size) == 0 && png.spng_get_ihdr(ctx, &head) == 0 &&
        take(r, head.width, head.height, &answer)) {
        answer = MBR_IMAGE_BROKEN;
        if (png.spng_decoded_image_size(ctx, SPNG_FMT_RGB8, &bytes_due) == 0 &&
            bytes_due == r->width * r->height * 3 &&
            png.spng_decode_image(ctx, r->rgb, bytes_due, SPNG_FMT_RGB8, 0) == 0)
            answer = MBR_IMAGE_DONE;
    }
    png.spng_ctx_free(ctx);
    return answer;
}
#else
#define decode_png NULL
#endif

/* --- TIFF --- */

static bool is_tiff(const uint8_t *d, size_t size)
{
    return size >= 8 && (memcmp(d, "II*\0", 4) == 0 || memcmp(d, "MM\0*", 4) == 0 || memcmp(d, "II+\0", 4) == 0 ||
                         memcmp(d, "MM\0+", 4) == 0);
}

#ifdef HAVE_TIFF
#include <tiffio.h>

#define TIFF_FUNCTIONS(f)                                                                                              \
    f(TIFFOpenOptionsAlloc) f(TIFFOpenOptionsFree) f(TIFFOpenOptionsSetErrorHandlerExtR)                               \
    f(TIFFOpenOptionsSetWarningHandlerExtR) f(TIFFClientOpenExt) f(TIFFClose) f(TIFFGetField)                          \
    f(TIFFReadRGBAImageOriented)
LIBRARY(tiff, "libtiff.so.6", TIFF_FUNCTIONS)

typedef struct tiff_file {
    const uint8_t *data;
    uint64_t size, at;
} tiff_file;

static tmsize_t tiff_read(thandle_t user, void *to, tmsize_t n)
{
    tiff_file *f = user;
    uint64_t left = f->at < f->size ? f->size - f->at : 0;
    if (n < 0)
        return -1;
    if ((uint64_t)n > left)
        n = (tmsize_t)left;
    if (n)
        memcpy(to, f->data + f->at, (size_t)n);
    f->at += (uint64_t)n;
    return n;
}

static tmsize_t tiff_write(thandle_t user, void *from, tmsize_t n)
{
    (void)user;
    (void)from;
    (void)n;
    return -1;
}

static toff_t tiff_seek(thandle_t user, toff_t to, int whence)
{
    tiff_file *f = user;
    f->at = whence == SEEK_CUR ? f->at + to : whence == SEEK_END ? f->size + to : to;
    return f->at;
}

static int tiff_close(thandle_t user)
{
    (void)user;
    return 0;
}

static toff_t tiff_size(thandle_t user)
{
    return ((tiff_file *)user)->size;
}

static int say_nothing(TIFF *t, void *user, const char *module, const char *format, va_list args)
{
    (void)t;
    (void)user;
    (void)module;
    (void)format;
    (void)args;
    return 1;
}

static mbr_image_answer decode_tiff(request *r)
{
    tiff_file f = { r->data, r->size, 0 };
    uint32_t w = 0, h = 0;
    mbr_image_answer answer = MBR_IMAGE_BROKEN;
    if (!there(&tiff_library))
        return MBR_IMAGE_NO_LIBRARY;
    TIFFOpenOptions *options = tiff.TIFFOpenOptionsAlloc();
    if (!options)
        return MBR_IMAGE_NO_MEMORY;
    tiff.TIFFOpenOptionsSetErrorHandlerExtR(options, say_nothing, NULL);
    tiff.TIFFOpenOptionsSetWarningHandlerExtR(options, say_nothing, NULL);
    TIFF *t = tiff.TIFFClientOpenExt("image", "rm", &f, tiff_read, tiff_write, tiff_seek, tiff_close, tiff_size, NULL,
                                     NULL, options);
    tiff.TIFFOpenOptionsFree(options);
    if (!t)
        return MBR_IMAGE_BROKEN;
    if (tiff.TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &w) && tiff.TIFFGetField(t, TIFFTAG_IMAGELENGTH, &h) &&
        take(r, w, h, &answer)) {
        uint32_t *raster = mbr_step_alloc(r->s, r->width * r->height * sizeof *raster);
        answer = raster ? MBR_IMAGE_BROKEN : MBR_IMAGE_NO_MEMORY;
        if (raster && tiff.TIFFReadRGBAImageOriented(t, w, h, raster, ORIENTATION_TOPLEFT, 1)) {
            for (size_t i = 0; i < r->width * r->height; i++) {
                r->rgb[3 * i] = (uint8_t)TIFFGetR(raster[i]);
                r->rgb[3 * i + 1] = (uint8_t)TIFFGetG(raster[i]);
                r->rgb[3 * i + 2] = (uint8_t)TIFFGetB(raster[i]);
            }
            answer = MBR_IMAGE_DONE;
        }
    }
    tiff.TIFFClose(t);
    return answer;
}
#else
#define decode_tiff NULL
#endif

/* --- the choice --- */

mbr_image_answer mbr_image_by_library(mbr_step *s, const uint8_t *data, size_t size, size_t *width, size_t *height,
                                      uint8_t **rgb, const char **format)
{
    static const struct {
        const char *name;
        bool (*is)(const uint8_t *data, size_t size);
        mbr_image_answer (*decode)(request *r); /* NULL: built without */
    } formats[] = {
        { "JPEG", is_jpeg, decode_jpeg },
        { "PNG", is_png, decode_png },
        { "WebP", is_webp, decode_webp },
        { "TIFF", is_tiff, decode_tiff },
        { "JPEG 2000", is_jpeg2000, decode_jpeg2000 },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(formats); i++) {
        if (!formats[i].is(data, size))
            continue;
        request r = { .s = s, .data = data, .size = size };
        mbr_image_answer answer = formats[i].decode ? formats[i].decode(&r) : MBR_IMAGE_NO_LIBRARY;
        *format = formats[i].name;
        *width = r.width;
        *height = r.height;
        *rgb = r.rgb;
        return answer;
    }
    return MBR_IMAGE_OTHER;
}

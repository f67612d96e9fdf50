/* SPDX-License-Identifier: BSD-2-Clause */
/* WebP by libwebp, which is opened at run time: only its header is needed to build. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/image/image_impl.h"

#include "kernels/image.h"

#include <string.h>

#if !defined(HAVE_DLOPEN)
#undef HAVE_WEBP
#endif

bool mbr_image_is_webp(const uint8_t *data, size_t bytes)
{
    return bytes >= 16 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0;
}

#ifdef HAVE_WEBP
#include <dlfcn.h>
#include <stdatomic.h>
#include <webp/decode.h>

typedef struct webp_functions {
    __typeof__(WebPGetInfo) *size;
    __typeof__(WebPDecodeRGBInto) *decode;
} webp_functions;

/* Once there the library stays; who finds that another thread was first gives its own handle back. */
static bool find_functions(webp_functions *f)
{
    static void *_Atomic library;
    void *handle = atomic_load(&library);
    if (!handle) {
        handle = dlopen("libwebp.so.7", RTLD_NOW | RTLD_LOCAL);
        void *none = NULL;
        if (handle && !atomic_compare_exchange_strong(&library, &none, handle)) {
            dlclose(handle);
            handle = none;
        }
    }
    void *size = handle ? dlsym(handle, "WebPGetInfo") : NULL;
    void *decode = handle ? dlsym(handle, "WebPDecodeRGBInto") : NULL;
    memcpy(&f->size, &size, sizeof size);
    memcpy(&f->decode, &decode, sizeof decode);
    return size && decode;
}

mbr_status mbr_image_open_webp(mbr_env *env, const uint8_t *data, size_t bytes, const char *name, mbr_image **out,
                               mbr_error *err)
{
    webp_functions webp;
    int width, height;
    *out = NULL;
    if (!find_functions(&webp))
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: WebP needs libwebp (libwebp.so.7), which is not installed", name);
    if (!webp.size(data, bytes, &width, &height) || width < 1 || height < 1 ||
        (size_t)width > MBR_IMAGE_MOST_PIXELS / (size_t)height)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: the WebP image is broken or too large", name);
    mbr_status st = mbr_image_make(env, width, height, 3, MBR_DTYPE_U8, out, err);
    if (st != MBR_OK)
        return mbr_fail_at(err, st, "%s: ", name);
    size_t room = (*out)->stride * (size_t)height;
    if (!webp.decode(data, bytes, (*out)->pixels, room, (int)(*out)->stride)) {
        mbr_image_release(out);
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: the WebP image is broken, cut short, or an animation", name);
    }
    return MBR_OK;
}

#else

mbr_status mbr_image_open_webp(mbr_env *env, const uint8_t *data, size_t bytes, const char *name, mbr_image **out,
                               mbr_error *err)
{
    (void)env;
    (void)data;
    (void)bytes;
    *out = NULL;
    return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: this build does not decode WebP; libwebp's header was not there when it "
                    "was configured", name);
}

#endif

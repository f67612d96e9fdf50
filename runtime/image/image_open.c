/* SPDX-License-Identifier: BSD-2-Clause */
/* Images from files: PNM of bytes here, with the channels that it has; WebP by its library, all else by kernels/image.h. */
#include "runtime/image/image_impl.h"

#include "base/checked.h"
#include "base/filemap.h"
#include "kernels/image.h"

#include <string.h>

typedef struct reader {
    const uint8_t *at, *end;
} reader;

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word of a header; comments go from # to the end of the line. */
static bool next_word(reader *r, char *word, size_t room)
{
    size_t n = 0;
    while (r->at < r->end && (is_space(*r->at) || *r->at == '#'))
        if (*r->at++ == '#')
            while (r->at < r->end && *r->at != '\n')
                r->at++;
    while (r->at < r->end && !is_space(*r->at) && n + 1 < room)
        word[n++] = (char)*r->at++;
    word[n] = '\0';
    return n > 0 && r->at < r->end && is_space(*r->at);
}

/* A number of one to five digits; -1 else. */
static int next_number(reader *r)
{
    char word[8];
    int v = 0;
    if (!next_word(r, word, sizeof word) || strlen(word) > 5)
        return -1;
    for (const char *p = word; *p; p++) {
        if (*p < '0' || *p > '9')
            return -1;
        v = v * 10 + (*p - '0');
    }
    return v;
}

/* The header of a P5, P6 or P7 file of bytes (up to 255), after which r stands at its points. */
static bool pnm_header(reader *r, int *width, int *height, int *channels)
{
    char kind[4];
    int most = 0;
    if (r->end - r->at < 2 || r->at[0] != 'P' || r->at[1] < '5' || r->at[1] > '7' || !next_word(r, kind, sizeof kind))
        return false;
    if (kind[1] != '7') {
        *channels = kind[1] == '5' ? 1 : 3;
        *width = next_number(r);
        *height = next_number(r);
        most = next_number(r);
    } else {
        char word[32];
        *width = *height = *channels = -1;
        while (next_word(r, word, sizeof word) && strcmp(word, "ENDHDR") != 0) {
            if (strcmp(word, "WIDTH") == 0)
                *width = next_number(r);
            else if (strcmp(word, "HEIGHT") == 0)
                *height = next_number(r);
            else if (strcmp(word, "DEPTH") == 0)
                *channels = next_number(r);
            else if (strcmp(word, "MAXVAL") == 0)
                most = next_number(r);
            else if (strcmp(word, "TUPLTYPE") == 0)
                (void)next_word(r, word, sizeof word);
            else
                return false;
        }
    }
    r->at += r->at < r->end;
    return *width > 0 && *height > 0 && *channels > 0 && *channels <= MBR_IMAGE_MAX_CHANNELS && most == 255;
}

static mbr_status open_pnm(mbr_env *env, reader r, int width, int height, int channels, const char *name,
                           mbr_image **out, mbr_error *err)
{
    size_t bytes = (size_t)width * (size_t)height * (size_t)channels, left = (size_t)(r.end - r.at);
    if (left < bytes)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: the file is cut short: %d x %d points of %d channels are %zu bytes, "
                        "and %zu are there", name, width, height, channels, bytes, left);
    MBR_TRY(mbr_image_make(env, width, height, channels, MBR_DTYPE_U8, out, err));
    memcpy((*out)->pixels, r.at, bytes);
    return MBR_OK;
}

mbr_status mbr_image_open_memory(mbr_env *env, const void *data, size_t bytes, const char *name, mbr_image **out,
                                 mbr_error *err)
{
    *out = NULL;
    reader r = { data, (const uint8_t *)data + bytes };
    int width, height, channels;
    if (pnm_header(&r, &width, &height, &channels)) {
        mbr_status st = open_pnm(env, r, width, height, channels, name, out, err);
        return st == MBR_OK || st == MBR_ERR_FORMAT ? st : mbr_fail_at(err, st, "%s: ", name);
    }
    if (mbr_image_is_webp(data, bytes))
        return mbr_image_open_webp(env, data, bytes, name, out, err);
    mbr_image_file file = { 0 };
    if (!mbr_image_probe(data, bytes, &file) || file.width > MBR_IMAGE_MAX_SIDE || file.height > MBR_IMAGE_MAX_SIDE)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: this is no PNM, PNG, JPEG, WebP, BMP or TIFF file that can be decoded, or "
                        "its image is too large", name);
    mbr_status st = mbr_image_make(env, (int)file.width, (int)file.height, 3, MBR_DTYPE_U8, out, err);
    if (st != MBR_OK)
        return mbr_fail_at(err, st, "%s: ", name);
    mbr_memory *memory = mbr_env_heap(env);
    void *scratch = mbr_alloc(memory, file.scratch);
    if (!scratch)
        st = mbr_no_memory(err, file.scratch);
    else if (!mbr_image_decode(&file, data, bytes, (*out)->pixels, scratch))
        st = mbr_fail(err, MBR_ERR_FORMAT, "%s: the image is broken or cut short", name);
    mbr_free(memory, scratch);
    if (st != MBR_OK)
        mbr_image_release(out);
    return st;
}

mbr_status mbr_image_open(mbr_env *env, const char *path, mbr_image **out, mbr_error *err)
{
    *out = NULL;
    mbr_filemap map;
    MBR_TRY(mbr_filemap_open(&map, mbr_env_heap(env), path, err));
    mbr_status st = mbr_image_open_memory(env, map.data, map.size, path, out, err);
    mbr_filemap_close(&map);
    return st;
}

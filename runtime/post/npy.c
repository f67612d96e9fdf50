/* SPDX-License-Identifier: BSD-2-Clause */
/* numpy's files of one array. */
#include "base/checked.h"
#include "base/filemap.h"
#include "runtime/post/post.h"

#include <string.h>

#define MOST_WIDTH ((size_t)1 << 28) /* values a row: also where there are no rows, which any file can claim */

/* The text behind 'key': in the head; NULL where it does not stand there. */
static const char *value_of(const char *head, const char *key)
{
    const char *at = strstr(head, key);
    if (!at)
        return NULL;
    at += strlen(key);
    while (*at == ' ')
        at++;
    return at;
}

/* A number and what follows it, up to the next that is no blank or comma. */
static bool read_number(const char **at, size_t *out)
{
    const char *s = *at;
    size_t n = 0;
    if (*s < '0' || *s > '9')
        return false;
    for (; *s >= '0' && *s <= '9'; s++)
        if (!mbr_mul_size(n, 10, &n) || !mbr_add_size(n, (size_t)(*s - '0'), &n))
            return false;
    while (*s == ' ' || *s == ',' || *s == 'L')
        s++;
    *at = s;
    *out = n;
    return true;
}

mbr_status mbr_npy_head(const void *bytes, size_t size, size_t *begin, size_t *rows, size_t *width, mbr_error *err)
{
    const unsigned char *b = bytes;
    char head[1024];
    if (size < 12 || memcmp(b, "\x93NUMPY", 6) != 0 || b[6] < 1 || b[6] > 3)
        return mbr_fail(err, MBR_ERR_FORMAT, "this is no .npy file");
    size_t length = b[8] | (size_t)b[9] << 8, at = 10;
    if (b[6] > 1) {
        length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
        at = 12;
    }
    if (length > size - at || length >= sizeof head)
        return mbr_fail(err, MBR_ERR_FORMAT, "the head of the .npy file is cut short, or too long");
    memcpy(head, b + at, length);
    head[length] = '\0';
    *begin = at + length;
    const char *type = value_of(head, "'descr':"), *order = value_of(head, "'fortran_order':");
    const char *shape = value_of(head, "'shape':");
    if (!type || !order || !shape || *shape != '(')
        return mbr_fail(err, MBR_ERR_FORMAT, "the head of the .npy file does not tell type, order and shape");
    if (strncmp(type, "'<f4'", 5) != 0 || strncmp(order, "False", 5) != 0)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "the .npy file does not hold f32 in C order; save it with "
                        "numpy.save(path, numpy.ascontiguousarray(a, dtype='<f4'))");
    shape++;
    if (!read_number(&shape, rows) || !read_number(&shape, width) || *shape != ')')
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "the array of the .npy file must have two dimensions");
    if (*width > MOST_WIDTH)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "the rows of the .npy file have %zu values; at most %zu are read",
                        *width, MOST_WIDTH);
    size_t count, due;
    if (!mbr_mul_size(*rows, *width, &count) || !mbr_mul_size(count, sizeof(float), &due) || due > size - *begin)
        return mbr_fail(err, MBR_ERR_FORMAT, "the .npy file is shorter than its shape, (%zu, %zu), says", *rows,
                        *width);
    return MBR_OK;
}

mbr_status mbr_npy_open(mbr_memory *memory, const char *path, mbr_npy *npy, mbr_error *err)
{
    size_t begin = 0;
    *npy = (mbr_npy){ .map = mbr_calloc(memory, 1, sizeof(mbr_filemap)) };
    if (!npy->map)
        return mbr_no_memory(err, sizeof(mbr_filemap));
    MBR_TRY(mbr_filemap_open(npy->map, memory, path, err));
    mbr_status st = mbr_npy_head(npy->map->data, npy->map->size, &begin, &npy->rows, &npy->width, err);
    if (st == MBR_OK && (begin % sizeof(float) || !npy->width))
        st = mbr_fail(err, MBR_ERR_UNSUPPORTED, "its values are not aligned, or there are none");
    if (st != MBR_OK)
        return mbr_fail_at(err, st, "%s: ", path);
    npy->data = (const float *)(const void *)(npy->map->data + begin);
    return MBR_OK;
}

void mbr_npy_close(mbr_memory *memory, mbr_npy *npy)
{
    if (npy->map)
        mbr_filemap_close(npy->map);
    mbr_free(memory, npy->map);
    *npy = (mbr_npy){ .map = NULL };
}

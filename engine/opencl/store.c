/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/opencl/store.h"
#include "base/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0.1.0"
#endif

#define MOST_BYTES ((size_t)256 << 20)

typedef struct header {
    char magic[8];
    mbr_hash key;
    uint64_t bytes;
    mbr_hash sum; /* of this header with zeros here, and of the bytes */
} header;

static const char magic[8] = "MBRCL01";

/* --- the folder --- */

/* Made where it is missing, as long as the one above it is there. */
static bool is_usable(const char *folder)
{
    struct stat s;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return false;
    return stat(folder, &s) == 0 && S_ISDIR(s.st_mode) && (s.st_uid == geteuid() || s.st_uid == 0) &&
           !(s.st_mode & S_IWOTH);
}

static char *join(mbr_memory *memory, const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 1;
    char *path = mbr_alloc(memory, n);
    if (path)
        snprintf(path, n, "%s%s", a, b);
    return path;
}

/* $XDG_CACHE_HOME/mbr, else ~/.cache/mbr */
static char *user_folder(mbr_memory *memory)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool set = xdg && xdg[0] == '/';
    if (!set && (!home || home[0] != '/'))
        return NULL;
    char *above = set ? join(memory, xdg, "") : join(memory, home, "/.cache");
    if (above)
        (void)mkdir(above, 0700);
    char *folder = above ? join(memory, above, "/mbr") : NULL;
    mbr_free(memory, above);
    return folder;
}

static bool is_file_name(const char *dir)
{
    size_t n = strlen(dir);
    return n > 5 && strcmp(dir + n - 5, ".mbrc") == 0;
}

char *mbr_cl_store_folder(mbr_memory *memory, const char *dir)
{
    dir = dir ? dir : getenv("MBR_CACHE");
    if (dir && strcmp(dir, "off") == 0)
        return NULL;
    char *folder = dir && *dir && !is_file_name(dir) ? join(memory, dir, "") : user_folder(memory);
    if (folder && is_usable(folder))
        return folder;
    mbr_free(memory, folder);
    return NULL;
}

/* --- entries --- */

mbr_hash mbr_cl_store_key(const mbr_cl_device *d, const char *const *texts, size_t n)
{
    const char *const machine[] = { PACKAGE_VERSION, d->name, d->vendor, d->driver, d->version, d->platform_name };
    mbr_hash h = { n, 0 };
    for (size_t i = 0; i < MBR_COUNT_OF(machine); i++)
        h = mbr_hash_bytes(machine[i], strlen(machine[i]) + 1, h);
    for (size_t i = 0; i < n; i++)
        h = texts[i] ? mbr_hash_bytes(texts[i], strlen(texts[i]) + 1, h) : mbr_hash_bytes("", 0, h);
    return h;
}

static void path_of(const mbr_cl_device *d, mbr_hash key, const char *suffix, char *path, size_t room)
{
    snprintf(path, room, "%s/%016llx%016llx.mbrcl%s", d->folder, (unsigned long long)key.a, (unsigned long long)key.b,
             suffix);
}

static mbr_hash sum_of(const header *h, const void *data)
{
    header plain = *h;
    plain.sum = (mbr_hash){ 0, 0 };
    return mbr_hash_bytes(data, (size_t)h->bytes, mbr_hash_bytes(&plain, sizeof plain, (mbr_hash){ 0, 0 }));
}

void *mbr_cl_store_read(const mbr_cl_device *d, mbr_hash key, size_t *bytes)
{
    char path[4096];
    header h;
    struct stat s;
    void *data = NULL;
    if (!d->folder)
        return NULL;
    path_of(d, key, "", path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    bool good = fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size > 0 && mbr_read_at(fd, &h, sizeof h, 0) == sizeof h &&
                memcmp(h.magic, magic, sizeof magic) == 0 && mbr_hash_same(h.key, key) && h.bytes > 0 &&
                h.bytes <= MOST_BYTES && h.bytes == (uint64_t)s.st_size - sizeof h;
    if (good)
        data = mbr_alloc(d->memory, (size_t)h.bytes);
    good = data && mbr_read_at(fd, data, (size_t)h.bytes, sizeof h) == (ptrdiff_t)h.bytes &&
           mbr_hash_same(h.sum, sum_of(&h, data));
    close(fd);
    if (good) {
        *bytes = (size_t)h.bytes;
        return data;
    }
    mbr_free(d->memory, data);
    mbr_log_at(d->log, MBR_LOG_WARNING, "%s: %s is damaged or cut short; it is made anew", d->label, path);
    return NULL;
}

/* A file beyond the limit would bring a signal, not an error. */
static bool within_limit(size_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur;
}

void mbr_cl_store_write(const mbr_cl_device *d, mbr_hash key, const void *data, size_t bytes)
{
    char path[4096], temporary[4096], suffix[48];
    if (!d->folder || bytes == 0 || bytes > MOST_BYTES || strlen(d->folder) > sizeof path - 128 ||
        !within_limit(bytes + sizeof(header)))
        return;
    header h = { .key = key, .bytes = bytes };
    memcpy(h.magic, magic, sizeof magic);
    h.sum = sum_of(&h, data);
    /* of this process and of this device's lock, under which it is written */
    snprintf(suffix, sizeof suffix, ".%ld.%p", (long)getpid(), (const void *)d);
    path_of(d, key, "", path, sizeof path);
    path_of(d, key, suffix, temporary, sizeof temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    bool good = mbr_write_at(fd, &h, sizeof h, 0) && mbr_write_at(fd, data, bytes, sizeof h);
    good = close(fd) == 0 && good;
    if (!good || rename(temporary, path) != 0) {
        mbr_log_at(d->log, MBR_LOG_INFO, "%s: nothing can be kept in %s (%s)", d->label, d->folder, strerror(errno));
        (void)unlink(temporary);
    }
}

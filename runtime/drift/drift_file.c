/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/drift/drift_file.h"

#include "base/checked.h"
#include "base/file_io.h"
#include "base/filemap.h"
#include "runtime/drift/drift_sketch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 24
#define MAGIC "MBRDRIFT"

static void store(uint8_t *to, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(x >> 8 * i);
}

static uint64_t load(const uint8_t *from, int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++)
        x |= (uint64_t)from[i] << 8 * i;
    return x;
}

/* ---- writing ---- */

static uint8_t *room(mbr_out *o, size_t bytes)
{
    if (o->failed)
        return NULL;
    if (bytes > o->capacity - o->used) {
        size_t capacity = mbr_max_size(o->used + bytes, mbr_max_size(2 * o->capacity, 4096));
        uint8_t *data = mbr_grow(o->memory, o->data, o->used, capacity);
        if (!data) {
            o->failed = true;
            return NULL;
        }
        o->data = data;
        o->capacity = capacity;
    }
    uint8_t *at = o->data + o->used;
    o->used += bytes;
    return at;
}

void mbr_out_begin(mbr_out *o, mbr_memory *memory, mbr_drift_kind kind)
{
    if (o->memory != memory)
        *o = (mbr_out){ .memory = memory };
    o->used = 0;
    o->failed = false;
    uint8_t *head = room(o, HEAD);
    if (!head)
        return;
    memcpy(head, MAGIC, 8);
    store(head + 8, MBR_DRIFT_VERSION, 4);
    store(head + 12, kind, 4);
}

void mbr_out_u64(mbr_out *o, uint64_t x)
{
    uint8_t *at = room(o, 8);
    if (at)
        store(at, x, 8);
}

void mbr_out_f64(mbr_out *o, double x)
{
    mbr_out_f64s(o, &x, 1);
}

void mbr_out_f64s(mbr_out *o, const double *x, size_t n)
{
    uint8_t *at = room(o, n * 8);
    for (size_t i = 0; at && i < n; i++) {
        uint64_t bits;
        memcpy(&bits, x + i, sizeof bits);
        store(at + 8 * i, bits, 8);
    }
}

void mbr_out_text(mbr_out *o, const char *text, size_t size)
{
    mbr_out_u64(o, size);
    uint8_t *at = room(o, size);
    if (at && size)
        memcpy(at, text, size);
}

mbr_status mbr_out_end(mbr_out *o, uint64_t *digest, mbr_error *err)
{
    uint8_t *tail = room(o, 8);
    if (!tail)
        return mbr_no_memory(err, o->used + 8);
    store(o->data + 16, o->used - HEAD - 8, 8);
    uint64_t d = mbr_digest(o->data, o->used - 8);
    store(tail, d, 8);
    if (digest)
        *digest = d;
    return MBR_OK;
}

void mbr_out_free(mbr_out *o)
{
    mbr_free(o->memory, o->data);
    *o = (mbr_out){ 0 };
}

/* Makes the change of name last: the folder itself goes to the disk. */
static bool sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + (slash == path) : 1;
    memcpy(folder, slash ? path : ".", n);
    folder[n] = '\0';
    int fd = open(folder, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = fsync(fd) == 0 || errno == EINVAL;
    close(fd);
    return good;
}

/* The temporary file, empty and ours until it is closed: of several writers of one path each waits for the one before. */
static int open_alone(const char *temporary)
{
    for (;;) {
        struct stat mine, named;
        int fd = open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            return -1;
        while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
            continue; /* where a file system has no locks there is none */
        bool same = fstat(fd, &mine) == 0 && stat(temporary, &named) == 0 && mine.st_ino == named.st_ino &&
                    mine.st_dev == named.st_dev; /* else the one before has renamed it */
        if (same && ftruncate(fd, 0) == 0)
            return fd;
        int why = errno;
        close(fd);
        errno = why;
        if (same)
            return -1;
    }
}

mbr_status mbr_write_atomically(const char *path, const void *data, size_t bytes, bool durable, mbr_error *err)
{
    char temporary[4096];
    int n = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof temporary)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%.100s...: the path is too long", path);
    if (!mbr_file_replaceable(path))
        return mbr_fail(err, MBR_ERR_IO, "%s: is no ordinary file; give another name", path);
    int fd = open_alone(temporary);
    if (fd < 0)
        return mbr_fail(err, MBR_ERR_IO, "%s: cannot be written: %s", temporary, strerror(errno));
    bool good = mbr_write_at(fd, data, bytes, 0) && (!durable || fsync(fd) == 0) && rename(temporary, path) == 0;
    int why = errno;
    if (!good)
        unlink(temporary);
    if (close(fd) != 0 && good) {
        good = false;
        why = errno;
    }
    if (!good)
        return mbr_fail(err, MBR_ERR_IO, "%s: cannot be written: %s; what was there is as it was", path, strerror(why));
    if (durable && !sync_folder(path))
        return mbr_fail(err, MBR_ERR_IO, "%s: its folder cannot be synchronised: %s", path, strerror(errno));
    return MBR_OK;
}

/* ---- reading ---- */

mbr_status mbr_in_begin(mbr_in *in, mbr_drift_kind kind, const void *data, size_t bytes, const char *name,
                        uint64_t *digest, mbr_error *err)
{
    const uint8_t *p = data;
    const char *what = kind == MBR_DRIFT_KIND_BASELINE ? "baseline" : kind == MBR_DRIFT_KIND_STATE ? "monitor's state"
                                                                                                : "decider's state";
    *in = (mbr_in){ 0 };
    if (bytes < 16 || memcmp(p, MAGIC, 8) != 0)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: this is no %s of mbr drift", name, what);
    if (load(p + 8, 4) != MBR_DRIFT_VERSION)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: version %llu of the format is not known, this library reads %d; make "
                        "the file anew", name, (unsigned long long)load(p + 8, 4), MBR_DRIFT_VERSION);
    if (load(p + 12, 4) != kind)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: this is not a %s; are baseline and state swapped?", name, what);
    if (bytes < HEAD + 8 || load(p + 16, 8) != bytes - HEAD - 8)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: the file is cut short or has grown; make it anew", name);
    uint64_t d = load(p + bytes - 8, 8);
    if (mbr_digest(p, bytes - 8) != d)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: the file is damaged, its checksum does not fit; make it anew", name);
    if (digest)
        *digest = d;
    *in = (mbr_in){ .data = p + HEAD, .left = bytes - HEAD - 8 };
    return MBR_OK;
}

static const uint8_t *take(mbr_in *in, size_t bytes)
{
    if (in->bad || bytes > in->left) {
        in->bad = true;
        return NULL;
    }
    const uint8_t *at = in->data;
    in->data += bytes;
    in->left -= bytes;
    return at;
}

uint64_t mbr_in_u64(mbr_in *in)
{
    const uint8_t *at = take(in, 8);
    return at ? load(at, 8) : 0;
}

uint64_t mbr_in_range(mbr_in *in, uint64_t least, uint64_t most)
{
    uint64_t x = mbr_in_u64(in);
    if (x < least || x > most) {
        in->bad = true;
        return least;
    }
    return x;
}

double mbr_in_f64(mbr_in *in)
{
    double x = 0.0;
    mbr_in_f64s(in, &x, 1);
    return x;
}

void mbr_in_f64s(mbr_in *in, double *x, size_t n)
{
    size_t bytes;
    const uint8_t *at = NULL;
    if (mbr_mul_size(n, 8, &bytes))
        at = take(in, bytes);
    else
        in->bad = true;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = at ? load(at + 8 * i, 8) : 0;
        memcpy(x + i, &bits, sizeof bits);
    }
}

mbr_string mbr_in_text(mbr_in *in, size_t most)
{
    size_t n = (size_t)mbr_in_range(in, 0, most);
    const uint8_t *at = take(in, n);
    if (at && memchr(at, 0, n)) {
        in->bad = true;
        at = NULL;
    }
    return (mbr_string){ at ? (const char *)at : "", at ? n : 0 };
}

size_t mbr_in_count(mbr_in *in, size_t most, size_t each)
{
    uint64_t n = mbr_in_u64(in);
    if (n > most || n > in->left / (each ? each : 1)) {
        in->bad = true;
        return 0;
    }
    return (size_t)n;
}

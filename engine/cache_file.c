/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/cache_file.h"
#include "base/checked.h"
#include "base/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0.1.0"
#endif

static const char magic[8] = "MBRPACK";

static size_t sums_of(uint64_t payload_bytes)
{
    return (size_t)((payload_bytes + MBR_CACHE_SUM_BYTES - 1) / MBR_CACHE_SUM_BYTES);
}

/* Of the header and the checksums behind it. */
static mbr_hash hash_header(const mbr_cache_header *h, const void *sums)
{
    mbr_cache_header plain = *h;
    plain.sum = (mbr_hash){ 0, 0 };
    return mbr_hash_bytes(sums, sums_of(h->payload_bytes) * sizeof(mbr_hash),
                          mbr_hash_bytes(&plain, sizeof plain, (mbr_hash){ 0, 0 }));
}

/* --- hashes by parts, on the team --- */

typedef struct hashing {
    const uint8_t *data;
    size_t bytes;
    mbr_hash seed;
    const uint8_t *want;       /* compare with these checksums, wherever they lie; or NULL */
    mbr_hash *sums;            /* store them here; or NULL */
    const mbr_filemap *release; /* give the pages back; or NULL */
} hashing;

static bool hash_some(void *user, size_t first, size_t last, int worker)
{
    const hashing *h = user;
    (void)worker;
    for (size_t i = first; i < last; i++) {
        size_t at = i * MBR_CACHE_SUM_BYTES, n = mbr_min_size(h->bytes - at, MBR_CACHE_SUM_BYTES);
        mbr_hash got = mbr_hash_bytes(h->data + at, n, (mbr_hash){ h->seed.a, h->seed.b + i });
        if (h->sums)
            h->sums[i] = got;
        if (h->want && memcmp(h->want + i * sizeof got, &got, sizeof got) != 0)
            return false;
        if (h->release)
            mbr_filemap_release(h->release, h->data + at, n);
    }
    return true;
}

static bool hash_all(mbr_team *team, hashing *h)
{
    size_t n = sums_of(h->bytes);
    if (team && n > 1 && mbr_team_size(team) > 1)
        return mbr_team_run(team, mbr_team_size(team), n, 1, hash_some, h, NULL);
    return hash_some(h, 0, n, 0);
}

bool mbr_cache_hash(mbr_memory *memory, mbr_team *team, const mbr_filemap *map, mbr_hash seed, mbr_hash *out)
{
    size_t n = sums_of(map->size);
    hashing h = { .data = map->data, .bytes = map->size, .seed = seed, .release = map };
    h.sums = mbr_calloc(memory, n + 1, sizeof *h.sums);
    bool done = h.sums && hash_all(team, &h);
    if (done)
        *out = mbr_hash_bytes(h.sums, n * sizeof *h.sums, (mbr_hash){ seed.a ^ map->size, seed.b });
    mbr_free(memory, h.sums);
    return done;
}

/* --- reading --- */

const char *mbr_cache_verify(const mbr_filemap *map, mbr_team *team, mbr_hash machine, mbr_cache_header *header)
{
    if (map->size < sizeof *header)
        return "it is cut short";
    memcpy(header, map->data, sizeof *header);
    if (memcmp(header->magic, magic, sizeof magic) != 0)
        return "it is no file of the cache";
    const uint8_t *sums = map->data + sizeof *header;
    if (header->file_bytes != map->size || header->payload_at > map->size ||
        header->payload_bytes != map->size - header->payload_at || header->image_bytes > header->payload_bytes ||
        header->payload_at % MBR_SNAPSHOT_PAGE != 0 || header->payload_at < sizeof *header ||
        sums_of(header->payload_bytes) > (header->payload_at - sizeof *header) / sizeof(mbr_hash))
        return "it is cut short or damaged";
    if (!mbr_hash_same(header->sum, hash_header(header, sums)))
        return "it is damaged";
    if (strncmp(header->version, PACKAGE_VERSION, sizeof header->version) != 0)
        return "it was written by another version";
    if (!mbr_hash_same(header->machine, machine))
        return "it was written for another machine or other settings";
    hashing h = { .data = map->data + header->payload_at, .bytes = (size_t)header->payload_bytes, .want = sums };
    return hash_all(team, &h) ? NULL : "it is damaged";
}

/* --- writing --- */

/* The parts of the payload, and where in them we are. */
typedef struct feed {
    const mbr_snapshot *s;
    size_t at_block, done; /* block 0 is the image, 1 the padding behind it */
    size_t padding;
} feed;

static mbr_snapshot_block part(const feed *f, size_t i)
{
    if (i == 0)
        return (mbr_snapshot_block){ f->s->image, f->s->image_bytes };
    return i == 1 ? (mbr_snapshot_block){ NULL, f->padding } : f->s->blocks[i - 2];
}

/* The next bytes of the payload. */
static size_t next_bytes(feed *f, uint8_t *to, size_t room)
{
    size_t n = 0;
    while (n < room && f->at_block < f->s->n_blocks + 2) {
        mbr_snapshot_block b = part(f, f->at_block);
        size_t some = mbr_min_size(b.bytes - f->done, room - n);
        if (b.data && some)
            memcpy(to + n, (const uint8_t *)b.data + f->done, some);
        else if (some)
            memset(to + n, 0, some);
        n += some;
        f->done += some;
        if (f->done == b.bytes) {
            f->at_block++;
            f->done = 0;
        }
    }
    return n;
}

static double seconds(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_MONOTONIC, &t) == 0 ? (double)t.tv_sec + (double)t.tv_nsec * 1e-9 : 0;
}

/* All of the file. False: errno tells why. buffer: SUM_BYTES; sums: one for each of them. */
static bool write_all(int fd, const mbr_snapshot *s, mbr_cache_header *h, uint8_t *buffer, mbr_hash *sums,
                      const mbr_log *log)
{
    feed f = { .s = s, .padding = (size_t)h->payload_bytes - s->image_bytes - s->block_bytes };
    double told = seconds();
    size_t n, at = 0;
    for (size_t i = 0; (n = next_bytes(&f, buffer, MBR_CACHE_SUM_BYTES)) > 0; i++, at += n) {
        sums[i] = mbr_hash_bytes(buffer, n, (mbr_hash){ 0, i });
        if (!mbr_write_at(fd, buffer, n, h->payload_at + at))
            return false;
        if (seconds() - told > 1) {
            told = seconds();
            mbr_log_at(log, MBR_LOG_INFO, "cache: %zu of %zu MB are written", at >> 20,
                       (size_t)(h->payload_bytes >> 20));
        }
    }
    size_t n_sums = sums_of(h->payload_bytes);
    h->sum = hash_header(h, sums);
    return mbr_write_at(fd, sums, n_sums * sizeof *sums, sizeof *h) && mbr_write_at(fd, h, sizeof *h, 0) &&
           fsync(fd) == 0;
}

/* The temporary file of an entry, locked: so that no two write it, and one that a killed process left is used again.
   -1: errno tells why, EWOULDBLOCK when another process writes it. */
static int open_temporary(const char *path)
{
    struct stat mine, there;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        /* whoever held the lock before may have renamed the file: it is an entry now */
        bool same = fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
                    mine.st_dev == there.st_dev;
        if (same && ftruncate(fd, 0) == 0)
            return fd;
        if (!same)
            errno = EWOULDBLOCK;
    }
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* A file beyond the limit would bring a signal, not an error. */
static bool within_limit(uint64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur;
}

mbr_status mbr_cache_write(const char *path, const mbr_snapshot *s, mbr_cache_header *h, const mbr_log *log,
                           mbr_error *err)
{
    size_t room = strlen(path) + 5, image;
    if (!mbr_round_up(s->image_bytes, MBR_SNAPSHOT_PAGE, &image))
        return mbr_fail(err, MBR_ERR_LIMIT, "it is too large");
    memcpy(h->magic, magic, sizeof magic);
    strncpy(h->version, PACKAGE_VERSION, sizeof h->version - 1);
    h->image_bytes = s->image_bytes;
    h->payload_bytes = s->block_bytes ? image + s->block_bytes : s->image_bytes;
    size_t n_sums = sums_of(h->payload_bytes), head = sizeof *h + n_sums * sizeof(mbr_hash);
    h->payload_at = (head + MBR_SNAPSHOT_PAGE - 1) / MBR_SNAPSHOT_PAGE * MBR_SNAPSHOT_PAGE;
    h->file_bytes = h->payload_at + h->payload_bytes;
    char *temporary = mbr_alloc(s->memory, room);
    uint8_t *buffer = mbr_alloc(s->memory, MBR_CACHE_SUM_BYTES);
    mbr_hash *sums = mbr_calloc(s->memory, n_sums + 1, sizeof *sums);
    mbr_status st = MBR_OK;
    int fd = -1;
    if (!temporary || !buffer || !sums) {
        st = mbr_no_memory(err, MBR_CACHE_SUM_BYTES);
    } else if (!within_limit(h->file_bytes)) {
        st = mbr_fail(err, MBR_ERR_IO, "%s", strerror(EFBIG));
    } else {
        snprintf(temporary, room, "%s.tmp", path);
        fd = open_temporary(temporary);
        if (fd < 0)
            st = errno == EWOULDBLOCK ? mbr_fail(err, MBR_ERR_CANCELLED, "another process is writing it") :
                                        mbr_fail(err, MBR_ERR_IO, "%s", strerror(errno));
        else if (!write_all(fd, s, h, buffer, sums, log) || rename(temporary, path) != 0) {
            st = mbr_fail(err, MBR_ERR_IO, "%s", strerror(errno));
            (void)unlink(temporary);
        }
    }
    if (fd >= 0)
        close(fd);
    mbr_free(s->memory, temporary);
    mbr_free(s->memory, buffer);
    mbr_free(s->memory, sums);
    return st;
}

void mbr_cache_link(const char *name, const char *path)
{
    char now[256];
    ssize_t n = readlink(path, now, sizeof now);
    if (n == (ssize_t)strlen(name) && memcmp(now, name, (size_t)n) == 0)
        return;
    if (n >= 0)
        (void)unlink(path);
    (void)!symlink(name, path); /* without it, the content is hashed each time */
}

/* --- the salt --- */

#define SALT_BYTES sizeof(mbr_hash)

static char *salt_path(mbr_memory *memory, const char *folder, const char *suffix)
{
    size_t n = strlen(folder) + 40;
    char *path = mbr_alloc(memory, n);
    if (path)
        snprintf(path, n, "%s/salt%s", folder, suffix);
    return path;
}

static bool read_exactly(const char *path, void *to, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && read(fd, to, n) == (ssize_t)n;
    if (fd >= 0)
        close(fd);
    return done;
}

bool mbr_cache_read_salt(mbr_memory *memory, const char *folder, mbr_hash *salt)
{
    char *path = salt_path(memory, folder, "");
    bool done = path && read_exactly(path, salt, SALT_BYTES);
    mbr_free(memory, path);
    return done;
}

bool mbr_cache_make_salt(mbr_memory *memory, const char *folder, mbr_hash *salt)
{
    char suffix[32];
    mbr_hash fresh;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return false;
    if (mbr_cache_read_salt(memory, folder, salt))
        return true;
    snprintf(suffix, sizeof suffix, ".%ld", (long)getpid());
    char *path = salt_path(memory, folder, ""), *own = salt_path(memory, folder, suffix);
    if (path && own && read_exactly("/dev/urandom", &fresh, sizeof fresh)) {
        int fd = open(own, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd >= 0) {
            if (mbr_write_at(fd, &fresh, sizeof fresh, 0))
                (void)!link(own, path); /* the first one stays; where there are no links, nothing does */
            close(fd);
            (void)unlink(own);
        }
    }
    bool done = path && own && mbr_cache_read_salt(memory, folder, salt);
    mbr_free(memory, path);
    mbr_free(memory, own);
    return done;
}

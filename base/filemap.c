/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/filemap.h"
#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The longest part of a path that is looked at; longer ones fail with ENAMETOOLONG anyway. */
#define PART_MAX 255

static mbr_status read_stream(mbr_filemap *m, int fd, const char *path, mbr_error *err)
{
    size_t capacity = 1 << 16, used = 0;
    uint8_t *block = mbr_alloc(m->memory, capacity);
    if (!block)
        return mbr_no_memory(err, capacity);
    for (;;) {
        ssize_t got = read(fd, block + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            mbr_status st = mbr_fail(err, MBR_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
            mbr_free(m->memory, block);
            return st;
        }
        if (got == 0)
            break;
        used += (size_t)got;
        if (used == capacity) {
            size_t more;
            uint8_t *bigger = mbr_mul_size(capacity, 2, &more) ? mbr_grow(m->memory, block, used, more) : NULL;
            if (!bigger) {
                mbr_free(m->memory, block);
                return mbr_no_memory(err, capacity);
            }
            block = bigger;
            capacity = more;
        }
    }
    m->data = block;
    m->size = used;
    return MBR_OK;
}

static int64_t nanoseconds(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

/* Maps or reads an open file, and closes fd in any case. `path` is for messages. */
static mbr_status take(mbr_filemap *m, int fd, const char *path, bool pipes, mbr_error *err)
{
    struct stat s;
    mbr_status st = MBR_OK;
    if (fstat(fd, &s) != 0)
        st = mbr_fail(err, MBR_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    else if (S_ISDIR(s.st_mode))
        st = mbr_fail(err, MBR_ERR_IO, "%s: is a folder; give the model file inside it", path);
    else if (S_ISREG(s.st_mode)) {
        if ((uintmax_t)s.st_size > PTRDIFF_MAX)
            st = mbr_fail(err, MBR_ERR_IO, "%s: is too large for the address space", path);
        else if (s.st_size > 0) {
            void *at = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
            if (at != MAP_FAILED) {
                m->data = at;
                m->size = (size_t)s.st_size;
                m->mapped = true;
                m->id = (mbr_file_id){ .device = (uint64_t)s.st_dev, .inode = (uint64_t)s.st_ino,
                                       .size = (uint64_t)s.st_size, .modified_ns = nanoseconds(&s.st_mtim),
                                       .changed_ns = nanoseconds(&s.st_ctim) };
            } else
                st = read_stream(m, fd, path, err);
        }
    } else if (pipes && S_ISFIFO(s.st_mode))
        st = read_stream(m, fd, path, err);
    else
        st = mbr_fail(err, MBR_ERR_IO, pipes ? "%s: is neither a file nor a pipe" : "%s: is no regular file", path);
    close(fd);
    return st;
}

mbr_status mbr_filemap_open(mbr_filemap *m, mbr_memory *memory, const char *path, mbr_error *err)
{
    memset(m, 0, sizeof *m);
    m->memory = memory;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mbr_fail(err, MBR_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    mbr_status st = take(m, fd, path, true, err);
    if (st == MBR_OK && m->size == 0)
        st = mbr_fail(err, MBR_ERR_FORMAT, "%s: the file is empty; fetch it again", path);
    if (st != MBR_OK)
        mbr_filemap_close(m);
    return st;
}

mbr_status mbr_filemap_open_file(mbr_filemap *m, mbr_memory *memory, const char *path, mbr_error *err)
{
    memset(m, 0, sizeof *m);
    m->memory = memory;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return mbr_fail(err, MBR_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    return take(m, fd, path, false, err);
}

/* Opens one part of an untrusted path; never follows a link, never waits for a pipe's other end. */
static mbr_status step(int *at, const char *part, bool last, const char *name, mbr_error *err)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY);
    int next = openat(*at, part, flags);
    if (next < 0) {
        int why = errno;
        struct stat s;
        bool is_link = fstatat(*at, part, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(s.st_mode);
        if (is_link)
            return mbr_fail(err, MBR_ERR_MODEL,
                            "'%s' passes through the symbolic link '%s', which is refused because it may lead out of "
                            "the folder; put the file itself there",
                            name, part);
        return mbr_fail(err, MBR_ERR_IO, "'%s' cannot be opened: %s", name, strerror(why));
    }
    close(*at);
    *at = next;
    return MBR_OK;
}

mbr_status mbr_filemap_open_below(mbr_filemap *m, mbr_memory *memory, const char *folder, const char *name,
                                  mbr_error *err)
{
    memset(m, 0, sizeof *m);
    m->memory = memory;
    if (name[0] == '/')
        return mbr_fail(err, MBR_ERR_MODEL, "'%s' is an absolute path; it has to be relative to the model's folder",
                        name);
    int at = open(folder && folder[0] ? folder : ".", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (at < 0)
        return mbr_fail(err, MBR_ERR_IO, "%s: cannot be opened: %s", folder && folder[0] ? folder : ".",
                        strerror(errno));
    mbr_status st = MBR_OK;
    const char *part = name;
    bool last;
    do {
        char copy[PART_MAX + 1];
        size_t n = strcspn(part, "/");
        last = part[n] == '\0';
        if (n == 0)
            MBR_TRY_GOTO(mbr_fail(err, MBR_ERR_MODEL, "'%s' has an empty part; give a file name", name), error);
        if (n == 2 && part[0] == '.' && part[1] == '.')
            MBR_TRY_GOTO(mbr_fail(err, MBR_ERR_MODEL,
                                  "'%s' leads out of the model's folder; put the file next to the model", name),
                         error);
        if (n > PART_MAX)
            MBR_TRY_GOTO(mbr_fail(err, MBR_ERR_IO, "'%.64s...' cannot be opened: %s", name, strerror(ENAMETOOLONG)),
                         error);
        memcpy(copy, part, n);
        copy[n] = '\0';
        MBR_TRY_GOTO(step(&at, copy, last, name, err), error);
        part += n + 1;
    } while (!last);
    st = take(m, at, name, false, err);
    if (st != MBR_OK)
        mbr_filemap_close(m);
    return st;
error:
    close(at);
    return st;
}

void mbr_filemap_release(const mbr_filemap *m, const void *from, size_t bytes)
{
    if (!m->mapped || !mbr_filemap_holds(m, from, bytes))
        return;
    long page = sysconf(_SC_PAGESIZE);
    if (page <= 0)
        return;
    size_t unit = (size_t)page;
    size_t first = (size_t)((const uint8_t *)from - m->data), end = first + bytes;
    first = (first + unit - 1) / unit * unit;
    if (end != m->size) /* the last page of the file has nothing behind it */
        end = end / unit * unit;
    if (end > first)
        (void)madvise((void *)(uintptr_t)(m->data + first), end - first, MADV_DONTNEED);
}

bool mbr_filemap_holds(const mbr_filemap *m, const void *from, size_t bytes)
{
    uintptr_t start = (uintptr_t)m->data, at = (uintptr_t)from;
    return m->data && at >= start && at - start <= m->size && bytes <= m->size - (at - start);
}

void mbr_filemap_close(mbr_filemap *m)
{
    if (m->data && m->mapped)
        munmap((void *)(uintptr_t)m->data, m->size);
    else if (m->data && m->memory)
        mbr_free(m->memory, (void *)(uintptr_t)m->data);
    memset(m, 0, sizeof *m);
}

bool mbr_file_replaceable(const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0 || S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)) /* rename has a word for folders */
        return true;
    errno = EEXIST;
    return false;
}

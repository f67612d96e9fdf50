/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file seen as read-only bytes: mapped where the system can, read into memory otherwise (pipes).
 *
 * Mapped pages cost memory only after they are touched, and mbr_filemap_release gives them back. A file
 * that another process cuts short while it is mapped makes the next touch of the lost part fatal: replace
 * model files by renaming a new one over the old one.
 */
#ifndef MBR_BASE_FILEMAP_H
#define MBR_BASE_FILEMAP_H

#include "base/memory.h"

/* Which file, and which state of it: any change of its content changes one of these. */
typedef struct mbr_file_id {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns; /* changed: set by the system alone */
} mbr_file_id;

typedef struct mbr_filemap {
    const uint8_t *data;
    size_t size;
    bool mapped;        /* false: data is a block of memory */
    mbr_memory *memory; /* of the block; NULL: the block is the caller's */
    mbr_file_id id;     /* of a mapped file, when it was opened */
} mbr_filemap;

/* A map over bytes that the caller keeps as they are until it is closed. */
static inline mbr_filemap mbr_filemap_borrow(const void *data, size_t size)
{
    return (mbr_filemap){ .data = data, .size = size };
}

/* A map that takes over a block of memory. */
static inline mbr_filemap mbr_filemap_adopt(mbr_memory *memory, void *block, size_t size)
{
    return (mbr_filemap){ .data = block, .size = size, .memory = memory };
}

/*
 * Opens a regular file or a pipe. MBR_ERR_IO for a missing or unreadable file, a directory or a device; MBR_ERR_FORMAT
 * for an empty one. On failure *m is zeroed, and closing it is harmless.
 */
mbr_status mbr_filemap_open(mbr_filemap *m, mbr_memory *memory, const char *path, mbr_error *err);

/* Opens a regular file alone, and never waits for a pipe's other end. An empty file is allowed (size 0). */
mbr_status mbr_filemap_open_file(mbr_filemap *m, mbr_memory *memory, const char *path, mbr_error *err);

/*
 * Opens `name`, a relative path with '/' between its parts that comes from a file and is not trusted, below `folder`
 * (NULL or "": the working folder). Refused with MBR_ERR_MODEL: an absolute path, an empty or `..` part, a
 * symbolic link in any part. An empty file is allowed (size 0).
 */
mbr_status mbr_filemap_open_below(mbr_filemap *m, mbr_memory *memory, const char *folder, const char *name,
                                  mbr_error *err);

/* Gives the pages that lie wholly inside the range back to the system; they are read again when touched. */
void mbr_filemap_release(const mbr_filemap *m, const void *from, size_t bytes);

/* True when the byte range lies inside the mapping: a pointer of unknown origin may be released through this map. */
bool mbr_filemap_holds(const mbr_filemap *m, const void *from, size_t bytes);

/* Ends the mapping; zeroes *m. */
void mbr_filemap_close(mbr_filemap *m);

/* May a new file be renamed to `path`? Not over a device, a pipe or a socket: root's `-o /dev/null` would end the device
   for everybody. False sets errno. */
bool mbr_file_replaceable(const char *path);

#endif

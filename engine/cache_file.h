/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of the cache: their layout, verification, safe writing. engine/cache.h tells what they are for. */
#ifndef MBR_ENGINE_CACHE_FILE_H
#define MBR_ENGINE_CACHE_FILE_H

#include "base/hash.h"
#include "engine/snapshot_format.h"
#include "engine/team.h"
#include "kernels/packed.h"

/*
 * A file: the header, a checksum for each SUM_BYTES of payload, padding to MBR_SNAPSHOT_PAGE, the payload: the image,
 * padding, the blocks.
 */
#define MBR_CACHE_SUM_BYTES ((size_t)1 << 20)

typedef struct mbr_cache_header {
    char magic[8];
    char version[24];       /* of the library */
    uint64_t file_bytes, payload_at, payload_bytes, image_bytes;
    mbr_hash machine;       /* everything else that has to be the same */
    mbr_hash content;       /* of the model's files */
    mbr_hash ids;           /* which files they were; {0, 0}: not to be relied upon */
    mbr_hash sum;           /* of this header with zeros here, and of the checksums behind it */
} mbr_cache_header;

/* NULL when all of the file is as it was written, and for this library and machine; else the reason. */
const char *mbr_cache_verify(const mbr_filemap *map, mbr_team *team, mbr_hash machine, mbr_cache_header *header);

/* Of all bytes of a map, whose pages go back. False when out of memory. */
bool mbr_cache_hash(mbr_memory *memory, mbr_team *team, const mbr_filemap *map, mbr_hash seed, mbr_hash *out);

/* Writes an entry (machine, content and ids of the header are set) and puts it in the place of any other. Does nothing
   while another process writes the same one: MBR_ERR_CANCELLED. */
mbr_status mbr_cache_write(const char *path, const mbr_snapshot *s, mbr_cache_header *header, const mbr_log *log,
                           mbr_error *err);

/* Makes the symbolic link `path` to a file of that name beside it, in the place of any other link. */
void mbr_cache_link(const char *name, const char *path);

/* The salt of a folder. make: creates the folder and the salt where they are missing. */
bool mbr_cache_read_salt(mbr_memory *memory, const char *folder, mbr_hash *salt);
bool mbr_cache_make_salt(mbr_memory *memory, const char *folder, mbr_hash *salt);

#endif

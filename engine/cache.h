/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cache of packed weights and plans: snapshots (engine/snapshot.h) in files that are mapped and shared between
 * processes. It never fails a model: whatever is wrong with it, the model is opened as if there were none.
 *
 * A place is a folder, or a file of one entry: its name ends in ".mbrc". In a folder
 *   NAME.mbrc  an entry; NAME is a hash of the content of the model's files, the CPU tier, cache sizes and passes
 *   NAME.id    a symbolic link to an entry; NAME is a hash of which file the model is (device, inode, size, times),
 *              and the same settings. So a model that was seen before costs no look at its weights
 *   salt       random bytes that go into every hash, so that no model can be made to take another one's place
 * A link is only made when all files were last changed two seconds or more before they were read: a change within the
 * resolution of the clock of the file system would go unseen otherwise. Until then the content is hashed each time.
 *
 * An entry is written to a temporary file that the writer has locked, synced, and renamed. Every byte of it is under a
 * checksum that is verified when it is opened, at the speed of memory, by the whole team.
 * Whoever may write to the folder decides what its models answer.
 */
#ifndef MBR_ENGINE_CACHE_H
#define MBR_ENGINE_CACHE_H

#include "base/hash.h"
#include "engine/snapshot.h"
#include "engine/team.h"

#define MBR_CACHE_SUFFIX ".mbrc"

typedef struct mbr_cache {
    mbr_memory *memory;
    const mbr_log *log;
    mbr_team *team;       /* may be NULL */
    const char *place;    /* stays while the cache is used */
    uint64_t settings[2]; /* of the caller: what else the plan depends on */
    bool by_content;      /* never trusts a link */
    /* inside */
    bool is_file, salted, complained;
    mbr_hash salt, content;
    bool has_content;
    /* results: the entry that was read or written, from mbr_alloc(memory); NULL: none */
    char *entry;
    size_t entry_bytes;
    bool was_read;
} mbr_cache;

/* A model as it was stored. Both are the caller's. */
typedef struct mbr_cached {
    mbr_ir_module *module;
    mbr_op_use *uses; /* (n_uses) from mbr_alloc */
    size_t n_uses;
} mbr_cached;

/* Looks at the place; the fields above "inside" are set, the others zero. */
void mbr_cache_begin(mbr_cache *c);
void mbr_cache_end(mbr_cache *c);

/* The entry of the model file at `path`, without a look at its content. */
bool mbr_cache_find_file(mbr_cache *c, const char *path, mbr_cached *out);
/* The entry of a model in memory. */
bool mbr_cache_find_bytes(mbr_cache *c, const void *data, size_t bytes, mbr_cached *out);
/* The entry of a model that was imported from `path` (NULL: memory), by its content. Any pass comes later. */
bool mbr_cache_find_imported(mbr_cache *c, const mbr_ir_module *m, const char *path, mbr_cached *out);

/* Stores what was planned from an imported model. */
void mbr_cache_store(mbr_cache *c, const mbr_program *program, const char *path, const mbr_op_use *uses, size_t n_uses);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A planned module as bytes: the graphs after all passes, the weights as operators packed them, and those constants
 * that are still read. Reading one back costs neither parsing nor passes nor packing; what is large is used where it
 * lies. The bytes belong to one version of the library on one kind of machine and hold no addresses that matter.
 *
 * An image (everything small) is followed by blocks (everything large) at a multiple of MBR_SNAPSHOT_PAGE. Constants
 * that lie in the model's files as they are needed are referred to there.
 */
#ifndef MBR_ENGINE_SNAPSHOT_H
#define MBR_ENGINE_SNAPSHOT_H

#include "base/filemap.h"
#include "engine/ir.h"
#include "engine/program.h"

#define MBR_SNAPSHOT_PAGE 4096

/* Which operators a model used before any pass; for introspection. */
typedef struct mbr_op_use {
    const mbr_op *op;
    size_t nodes;
} mbr_op_use;

typedef struct mbr_snapshot_block {
    const void *data; /* of the module or program; NULL: zeros */
    size_t bytes;
} mbr_snapshot_block;

/* What to write, one behind the other. */
typedef struct mbr_snapshot {
    mbr_memory *memory;
    uint8_t *image;
    size_t image_bytes, image_room;
    mbr_snapshot_block *blocks; /* (n_blocks) */
    size_t n_blocks, blocks_room, block_bytes;
} mbr_snapshot;

/*
 * Takes the snapshot of a module and its program, which must stay while it is used. MBR_ERR_UNSUPPORTED: the model has
 * something that cannot be stored (operators of its environment, constants that are no tensors).
 */
mbr_status mbr_snapshot_take(mbr_snapshot *s, mbr_memory *memory, const mbr_ir_module *module,
                             const mbr_program *program,
                             const mbr_op_use *uses, size_t n_uses, mbr_error *err);
void mbr_snapshot_free(mbr_snapshot *s);

/* Files of external data that a snapshot names, in the order of mbr_ir_module.source_file from 1 on. */
typedef struct mbr_snapshot_files {
    const mbr_filemap *maps; /* (n) the model's own first */
    size_t n;
} mbr_snapshot_files;

/* The name of the i-th file of external data in an image, NULL behind the last. The image is as it was written. */
const char *mbr_snapshot_file(const uint8_t *image, size_t bytes, size_t i);

/*
 * The module of a snapshot. image, its blocks and the maps must stay while the module lives; uses (n_uses) come from
 * mbr_alloc(memory). Every number is checked against the bytes that are there: MBR_ERR_FORMAT when one does not fit.
 */
mbr_status mbr_snapshot_read(mbr_memory *memory, const mbr_log *log, const char *file, const uint8_t *bytes,
                             size_t image_bytes, size_t all_bytes, const mbr_snapshot_files *files,
                             mbr_ir_module **out, mbr_op_use **uses, size_t *n_uses, mbr_error *err);

#endif

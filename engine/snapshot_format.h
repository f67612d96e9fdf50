/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the writer and the reader of snapshots agree on. Numbers are LEB128, signed ones zigzag; text is a length, the
 * bytes and a zero; arrays are aligned to 8 and read in place. Whatever changes here, or in the structures that `pack`
 * functions leave, or in the meaning of the IR, changes MBR_SNAPSHOT_FORMAT.
 */
#ifndef MBR_ENGINE_SNAPSHOT_FORMAT_H
#define MBR_ENGINE_SNAPSHOT_FORMAT_H

#include "engine/snapshot.h"

#define MBR_SNAPSHOT_FORMAT 5

#define SNAPSHOT_OPS 512   /* different operators */
#define SNAPSHOT_DEPTH 64  /* graphs in graphs, types in types */
#define SNAPSHOT_SMALL 4096           /* arrays below lie in the image */
#define SNAPSHOT_LARGE ((size_t)1 << 16) /* blocks from here on begin on a page; constants stay in the model's file */

/* Where the data of a tensor is. */
enum { SNAPSHOT_HERE, SNAPSHOT_IN_FILE, SNAPSHOT_NO_DATA, SNAPSHOT_TEXT };

#endif

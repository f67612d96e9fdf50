/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the time of a frame's runs goes: for each step of its program and of its bodies the calls, the time without
 * that of its bodies, and an estimate of arithmetic and bytes from the shapes of the run. Attached to one frame; used
 * by the thread that runs it.
 */
#ifndef MBR_ENGINE_PROFILE_H
#define MBR_ENGINE_PROFILE_H

#include "engine/frame.h"

typedef struct mbr_profile mbr_profile;

typedef struct mbr_profile_entry {
    const mbr_ir_node *node;
    const char *kernel; /* NULL: plain code */
    uint64_t calls;
    double ns, flop, bytes; /* of all calls; bytes: inputs, weights and outputs once each */
    int rank;               /* of the first output in the last call; -1: no tensor */
    int64_t dims[MBR_MAX_RANK];
} mbr_profile_entry;

/* Rows in the order of the program, a body's after the step that it belongs to. */
mbr_status mbr_profile_new(mbr_frame *f, mbr_profile **out, mbr_error *err);
/* Detaches it from its frame; before the frame is freed. NULL is fine. */
void mbr_profile_free(mbr_profile *p);
void mbr_profile_reset(mbr_profile *p);
size_t mbr_profile_count(const mbr_profile *p);
const mbr_profile_entry *mbr_profile_at(const mbr_profile *p, size_t i);

#endif

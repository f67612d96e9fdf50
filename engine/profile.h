/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the time of a frame's runs goes: for each step of its program and of its bodies the calls, the time without
 * that of its bodies, and an estimate of arithmetic and bytes from the shapes of the run; and for each node that the
 * model had before any pass, which step does its work and what part of the step's time is counted as its own. Attached
 * to one frame; used by the thread that runs it.
 */
#ifndef MBR_ENGINE_PROFILE_H
#define MBR_ENGINE_PROFILE_H

#include "engine/frame.h"
#include "engine/spans.h"

typedef struct mbr_profile mbr_profile;

typedef struct mbr_profile_cost {
    double ns, flop, bytes, weight_bytes; /* bytes: inputs, weights and outputs once each */
} mbr_profile_cost;

typedef struct mbr_profile_entry {
    const mbr_ir_node *node;
    const char *kernel; /* NULL: plain code */
    const char *where;  /* the last call ran: "cpu", or a device's name */
    uint64_t calls;
    mbr_profile_cost cost; /* of all calls */
    double least_ns;        /* of the shortest call, those of its bodies' steps left out */
    bool in_place;          /* a view: nothing runs */
    int rank;               /* of the first output in the last call; -1: no tensor */
    int64_t dims[MBR_MAX_RANK];
} mbr_profile_entry;

#define MBR_NO_ENTRY SIZE_MAX

/*
 * An original node. A step of several nodes belongs to those of them that do the bulk of the work (products,
 * convolutions, attention ...), where there are such, else to all in equal parts; nodes that were found to change
 * nothing, or to repeat another, have no part. Steps that passes added (a transposition, say) count with the step that
 * they were added for; those that belong to none have a row of their own, without a node.
 */
typedef struct mbr_profile_origin {
    const mbr_ir_node *node; /* NULL: see above */
    size_t entry;            /* of the step that does its work; MBR_NO_ENTRY: none */
    const char *how;         /* "" it runs as it is; else passes and rules that took it, separated by commas */
    double part;             /* of the step's cost */
    mbr_profile_cost cost;
} mbr_profile_origin;

/* Rows in the order of the program, a body's after the step that it belongs to. */
mbr_status mbr_profile_new(mbr_frame *f, mbr_profile **out, mbr_error *err);
/* Detaches it from its frame; before the frame is freed. NULL is fine. */
void mbr_profile_free(mbr_profile *p);
void mbr_profile_reset(mbr_profile *p);
size_t mbr_profile_count(const mbr_profile *p);
const mbr_profile_entry *mbr_profile_at(const mbr_profile *p, size_t i);

/* The costs are those of the latest mbr_profile_origins. */
size_t mbr_profile_origin_count(const mbr_profile *p);
size_t mbr_profile_origins(mbr_profile *p);
const mbr_profile_origin *mbr_profile_origin_at(const mbr_profile *p, size_t i);

/* Records spans from now on, at most `room` a worker; 0: no longer. */
mbr_status mbr_profile_record(mbr_profile *p, size_t room, mbr_error *err);
const mbr_spans *mbr_profile_spans(const mbr_profile *p); /* NULL: not recording */

/* engine/origins.c: fills (most) rows, all of them without costs, and says how many; entry e counts with entry
   with[e]. */
size_t mbr_origins_count(const mbr_ir_module *m, size_t entries);
mbr_status mbr_origins_find(mbr_arena *arena, const mbr_ir_module *m, const mbr_profile_entry *entries, size_t n,
                            mbr_profile_origin *rows, size_t *n_rows, size_t *with, mbr_error *err);

#endif

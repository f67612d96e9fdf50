/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies of a program's packed weights, one on each further NUMA node that a team has threads on, so that a large product
 * reads its weights at the speed of every node's memory instead of one's. A copy is written by a thread of its node: memory
 * lies where it is touched first. What packing has left with addresses in it (trees) is not copied.
 */
#ifndef MBR_ENGINE_REPLICAS_H
#define MBR_ENGINE_REPLICAS_H

#include "engine/program.h"
#include "engine/team.h"

typedef struct mbr_replicas mbr_replicas;

/*
 * Makes them where the team is on several nodes and all copies together take at most `budget` bytes; *bytes says what they
 * take, 0 where there are none. Before the program's first frame; they go with the program. Fails when memory runs out: the
 * program is as it was.
 */
mbr_status mbr_replicas_make(mbr_program *p, mbr_team *team, size_t budget, size_t *bytes, mbr_error *err);
void mbr_replicas_free(mbr_program *p);

/* What step `s` packed, as a thread of that node is to read it. */
const void *mbr_replica(const mbr_program *p, const mbr_program_step *s, int node);

#endif

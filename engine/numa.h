/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * On which NUMA node each thread of a team works. On a machine of one node, or where the system does not tell, there is
 * nothing to do. Otherwise threads take the cores node by node, from the node on that the thread is on which makes
 * the team; each helper is bound to the cores of its node, so that what it touches first lies there. The calling
 * thread is the caller's, and is not bound.
 */
#ifndef MBR_ENGINE_NUMA_H
#define MBR_ENGINE_NUMA_H

#include "base/memory.h"

typedef struct mbr_numa mbr_numa;

/* For a team of so many threads, the caller being the first; NULL: all of it is on one node, or memory ran out. */
mbr_numa *mbr_numa_new(mbr_memory *memory, int threads);
void mbr_numa_free(mbr_memory *memory, mbr_numa *numa); /* NULL is fine */

/* Nodes that the threads are on; the node of a thread, 0 being the caller's. NULL: 1, and 0. */
int mbr_numa_nodes(const mbr_numa *numa);
int mbr_numa_node(const mbr_numa *numa, int thread);

/* Binds the thread that calls to the cores of this one's node; a system that refuses leaves it where it is. */
void mbr_numa_bind(const mbr_numa *numa, int thread);

#endif

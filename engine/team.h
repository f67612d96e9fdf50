/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The thread team: one per environment. The calling thread is always worker 0; helpers spin briefly between jobs
 * (longer within a run), then park, so that an idle process uses no CPU.
 *
 * Several sessions may ask at once: whoever finds the helpers busy runs its tiles alone, which is always correct.
 * Helpers compute in the caller's floating-point mode (rounding, denormals), which no thread of ours changes otherwise.
 * After a fork the child's team restarts its helpers at the first use.
 *
 * A worker's number always means the same thread, and the same part of every job's tiles comes to it first: what it
 * made in one step it finds in its own caches in the next. Who is done takes what is left of the others' parts.
 *
 * On a machine of several NUMA nodes each thread is bound to its node (engine/numa.h); elsewhere they go where the system
 * puts them.
 */
#ifndef MBR_ENGINE_TEAM_H
#define MBR_ENGINE_TEAM_H

#include "base/error.h"
#include "base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct mbr_team mbr_team;

/* Work on tiles [first, last); worker is 0 .. size - 1. False stops the whole job. */
typedef bool (*mbr_team_fn)(void *user, size_t first, size_t last, int worker);

/* threads: size with the caller; 0: what affinity mask and cgroup quota allow. Helpers start at the first use. */
mbr_status mbr_team_new(mbr_memory *memory, int threads, mbr_team **out, mbr_error *err);
void mbr_team_free(mbr_team *team); /* joins the helpers; NULL is fine */
int mbr_team_size(const mbr_team *team);
int mbr_team_nodes(const mbr_team *team);            /* NUMA nodes that its threads are on, at least 1 */
int mbr_team_node(const mbr_team *team, int worker); /* of these: 0 is the one on which the team was made */

/*
 * Runs fn over all tiles with at most `workers` threads, `grain` tiles at a time, and returns when every tile is done or
 * the job was stopped. Operators whose tiles follow each other in memory give each thread a stretch of it. cancel may be
 * NULL; when it turns true no further tile starts. True: all tiles ran.
 */
bool mbr_team_run(mbr_team *team, int workers, size_t tiles, size_t grain, mbr_team_fn fn, void *user,
                  const atomic_bool *cancel);

/*
 * Around a stretch with several jobs, such as a run: helpers wake at once and then spin up to 500 us for the next job
 * instead of 50. Any thread; calls nest and may overlap.
 */
void mbr_team_begin(mbr_team *team);
void mbr_team_end(mbr_team *team);

#endif

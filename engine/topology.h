/* SPDX-License-Identifier: BSD-2-Clause */
/* What the machine offers this process, read from the system without loading hwloc. */
#ifndef MBR_ENGINE_TOPOLOGY_H
#define MBR_ENGINE_TOPOLOGY_H

#include <stddef.h>

/* Cores that this process may use: the affinity mask, capped by the cgroup's CPU quota (rounded up). At least 1. */
int mbr_topology_cores(void);

/* Sizes in bytes of the data caches that core 0 of the mask sees; 0 where the system does not tell. */
typedef struct mbr_caches {
    size_t l1, l2, l3;
} mbr_caches;
void mbr_topology_caches(mbr_caches *caches);

#endif

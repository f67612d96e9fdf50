/* SPDX-License-Identifier: BSD-2-Clause */
/* What the machine offers this process. */
#ifndef MBR_ENGINE_TOPOLOGY_H
#define MBR_ENGINE_TOPOLOGY_H

/*
 * Cores that this process may use, at least 1: the cores of the affinity mask, capped by the cgroup's CPU quota (rounded
 * up). Read from the system's own files, which takes some 50 us; hwloc, which takes 8 to 50 ms to look around, is asked
 * where there are none, and when the environment variable MBR_TOPOLOGY names another machine: an XML file of hwloc's or
 * one of its synthetic descriptions ("package:2 core:4 pu:2"). That machine's cores all count.
 */
int mbr_topology_cores(void);

/*
 * The cores that hwloc finds in a description (as above), NULL: on this machine and in this process's mask. 0 where hwloc
 * is not there or makes nothing of it. hwloc is opened at the first use, so that nobody pays for it at the start.
 */
int mbr_topology_hwloc(const char *description);

#endif

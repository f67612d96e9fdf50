/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine as the scheduler sees it: this one (from hwloc, or from the system's own files where there is no hwloc), or
 * one that an XML file or a synthetic description of hwloc's tells of. Plain data.
 */
#ifndef MBR_ENGINE_SCHEDULE_MACHINE_H
#define MBR_ENGINE_SCHEDULE_MACHINE_H

#include "base/error.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>

#define MBR_MACHINE_NODES 64 /* NUMA nodes that are told apart */
#define MBR_SLOW_CORE 0.5    /* speed of an efficiency core where nothing tells it */

typedef struct mbr_core {
    int cpu;            /* the system's number of its first processor that may be used */
    int package, node;  /* dense numbers */
    int group;          /* cores of one number share the last cache: a die of a package of several */
    int kind;           /* 0: the fastest kind, 1: the next ... */
    int threads;        /* processors of it (SMT) that may be used */
    double speed;       /* of its arithmetic: a share of the fastest kind's */
} mbr_core;

typedef struct mbr_machine {
    mbr_core *cores;    /* (n_cores) that may be used: by kind, then node, group, number */
    int n_cores;
    int all_cores;      /* of the machine: those that may not be used, too */
    int quota;          /* cores' worth of time that the cgroup grants; 0: no limit */
    int packages, nodes, groups, kinds; /* of the cores that may be used */
    size_t l2, l3;      /* bytes: of a core, and of a group; 0: not known */
    char source[16];    /* "hwloc", "system", "described" */
} mbr_machine;

/*
 * description: NULL for this machine and this process's mask; an XML file; a synthetic description ("package:2 core:8").
 * On success the machine is the caller's. MBR_ERR_INPUT where the description is no topology, MBR_ERR_UNSUPPORTED where
 * it needs hwloc and there is none.
 */
mbr_status mbr_machine_read(mbr_memory *memory, const char *description, mbr_machine *m, mbr_error *err);
void mbr_machine_free(mbr_memory *memory, mbr_machine *m);

/* Threads of a team at most: the cores, capped by the quota. */
int mbr_machine_threads(const mbr_machine *m);

/* A line for people. */
void mbr_machine_text(const mbr_machine *m, char *text, size_t size);

/* --- for those who fill it: cores in any order, raw numbers --- */

mbr_status mbr_machine_add(mbr_memory *memory, mbr_machine *m, const mbr_core *core, mbr_error *err);
/* Sorts, makes numbers dense, works out counts. */
void mbr_machine_finish(mbr_machine *m);

/* engine/topology_hwloc.c: false where hwloc is not there; *st says whether it made something of the description. */
bool mbr_machine_from_hwloc(mbr_memory *memory, const char *description, mbr_machine *m, mbr_status *st,
                            mbr_error *err);
/* engine/topology.c */
mbr_status mbr_machine_from_system(mbr_memory *memory, mbr_machine *m, mbr_error *err);
/* Whether this process's mask has a processor; true where the system does not tell. */
bool mbr_topology_allows(int cpu);
/* Cores' worth of time that the cgroup grants, at most `cores`. */
int mbr_topology_quota(int cores);
/* The same by the files of a system that lies in the folder `root`; "": this one. */
int mbr_topology_quota_in(const char *root, int cores);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Placement: where each step of a model would run, on how many cores, why, and how long it should take, on this
 * machine or on one that is only described. Nothing of the model runs.
 *
 *     mbr_plan *plan;
 *     mbr_session_plan(session, NULL, &plan, &err);       // bound inputs give the sizes
 *     for (int i = 0; i < mbr_plan_count(plan); i++) {
 *         mbr_plan_row row = { .size = sizeof row };
 *         mbr_plan_at(plan, i, &row, &err);
 *     }
 *     mbr_plan_release(&plan);
 *
 * Threads: as a session. docs/placement.md tells how the decisions are made.
 */
#ifndef MBR_PLAN_H
#define MBR_PLAN_H

#include "mbr/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mbr_plan mbr_plan;

/* A device beside the processor's cores. Rates in units of 1e9 a second, times in microseconds; 0: a default. */
typedef struct mbr_plan_device {
    size_t size;               /* sizeof(mbr_plan_device) */
    const char *name;          /* "opencl:0"; what placement files call it */
    double gflops_f32, gflops_f16;
    double memory_gbps;        /* its own memory */
    double launch_us;          /* of a kernel */
    double upload_gbps, download_gbps; /* from and to the host's memory */
    double upload_us, download_us;     /* before the first byte */
    int unified;               /* not 0: it works in the host's memory, nothing is copied */
    double memory_bytes, max_alloc_bytes; /* 0: no limit */
    int node;                  /* NUMA node that it hangs on; -1: not known */
} mbr_plan_device;

typedef struct mbr_plan_options {
    size_t size;               /* sizeof(mbr_plan_options) */
    const char *topology;      /* an XML file of hwloc's or a synthetic description ("package:2 core:8 pu:2"); NULL: this
                                  machine */
    const mbr_plan_device *devices; /* none: for a model opened for "auto", what its sessions may choose from, and
                                  what the plan says is where such a session runs with the same inputs */
    int n_devices;
    int threads;               /* at most; 0: as many as the machine allows this process */
    const char *placement;     /* text of a placement file: lines `NODE DEVICE [threads=N]`; # begins a comment; NODE
                                  may hold * and ?. Of lines that fit a node the last counts. DEVICE: cpu or a name. NULL: the
                                  model's */
    const char *rates;         /* text of measured rates; NULL: those of the calibration of this machine, which takes up to
                                  two seconds once */
    const char *cache_dir;     /* where those are kept; NULL: MBR_CACHE, else $XDG_CACHE_HOME/mbr, ~/.cache/mbr. "off":
                                  defaults, nothing is measured */
    double replica_bytes;      /* memory that copies of weights on further NUMA nodes may take */
    int64_t free_size;         /* of free dimensions of inputs that are not bound; 0: 1 */
} mbr_plan_options;

/* On success *out is the caller's; it is to be released before the session. MBR_ERR_INPUT: the topology is none.
   MBR_ERR_ARGUMENT: the placement names what is not there. */
MBR_API mbr_status mbr_session_plan(mbr_session *session, const mbr_plan_options *options, mbr_plan **out,
                                    mbr_error *err);
MBR_API void mbr_plan_release(mbr_plan **plan);

/* A step. Strings live as long as the plan. */
typedef struct mbr_plan_row {
    size_t size;               /* set by the caller to sizeof(mbr_plan_row) */
    const char *domain, *op, *node, *kernel;
    const char *device;        /* "cpu" or a device's name */
    int device_index;          /* 0: cpu; i + 1: device i */
    int threads;               /* of the team; 0 on a device */
    const char *why;
    double begin_us, us;       /* when it starts within a run, and how long it should take */
    double transfer_us;        /* of what has to be brought before */
    double cpu_us, device_us;  /* on the team alone; on the best device, without transfers; 0: not there */
    double transfer_bytes;     /* that cross to where it runs */
    double flop, bytes, weight_bytes;
    int rank;                  /* of the first output; -1: only a run can tell */
    const int64_t *dims;
    const int *inputs;         /* (n_inputs) rows whose outputs it reads */
    int n_inputs;
} mbr_plan_row;

MBR_API int mbr_plan_count(const mbr_plan *plan);
MBR_API mbr_status mbr_plan_at(const mbr_plan *plan, int index, mbr_plan_row *row, mbr_error *err);

typedef struct mbr_plan_totals {
    size_t size;               /* set by the caller to sizeof(mbr_plan_totals) */
    const char *machine;       /* a line: packages, nodes, cores, kinds, caches, limits */
    const char *team;          /* a line: which cores, why */
    const char *weights;       /* a line: where the weights are */
    const char *rates;         /* "measured", "from the cache", "given", "defaults" */
    int threads;               /* of the largest team */
    double us;                 /* of a run */
    double cpu_us;             /* of a run on the processor's cores alone */
    int n_devices;             /* cpu included: the arrays below */
    const char *const *devices;
    const double *busy_us, *weight_bytes, *activation_bytes, *steps, *flop;
    double packed_bytes, transfer_bytes, replica_bytes;
} mbr_plan_totals;

MBR_API mbr_status mbr_plan_get_totals(const mbr_plan *plan, mbr_plan_totals *totals, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif

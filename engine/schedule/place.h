/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which device each step runs on. Plain data: who fills it may know a program (engine/schedule/schedule.c) or a test.
 *
 * A device is 0, the processor's team, or i + 1 for devices[i]. For each device the best set of steps to move is a least
 * cut of the graph: time of the steps where they run, plus transfers of values that somebody reads on the other side.
 * So whole regions move, and one only moves when it wins more than its transfers cost. What that leaves out, devices
 * that work at the same time, is then tried: stretches move to another device where the run's end comes earlier.
 */
#ifndef MBR_ENGINE_SCHEDULE_PLACE_H
#define MBR_ENGINE_SCHEDULE_PLACE_H

#include "base/error.h"
#include "base/memory.h"
#include "mbr/plan.h"

#include <stdbool.h>
#include <stdint.h>

#define MBR_PLACE_DEVICES 15
#define MBR_NO_STEP UINT32_MAX

typedef struct mbr_place_value {
    uint32_t producer;      /* MBR_NO_STEP: an input of the graph, in the host's memory */
    double bytes;
    bool constant;          /* weights: brought before the first run */
    bool output;            /* wanted in the host's memory at the end */
} mbr_place_value;

typedef enum mbr_place_why {
    MBR_WHY_ONLY,           /* there is no other device */
    MBR_WHY_PINNED,
    MBR_WHY_UNSUPPORTED,    /* no other device takes it */
    MBR_WHY_FASTER,         /* alone, with its transfers */
    MBR_WHY_REGION,         /* its neighbours are there: what it would win elsewhere is less than the transfers */
    MBR_WHY_BESIDE,         /* the other device is busy meanwhile */
    MBR_WHY_MEMORY,         /* the device's memory is full */
    MBR_WHY_VIEW            /* nothing runs */
} mbr_place_why;

typedef struct mbr_place_step {
    const uint32_t *in, *out; /* values */
    uint32_t n_in, n_out;
    double ns[MBR_PLACE_DEVICES + 1]; /* on each device; negative: it cannot */
    double weight_bytes;
    double bytes;           /* of what it writes */
    int pin;                /* -1: none */
    bool view;
    /* results */
    int device;
    mbr_place_why why;
    double begin_ns, end_ns; /* within the run; transfers lie before the beginning */
    double transfer_bytes;  /* brought for it */
    double transfer_ns;
} mbr_place_step;

typedef struct mbr_place_problem {
    mbr_place_step *steps;
    uint32_t n_steps;
    const mbr_place_value *values;
    uint32_t n_values;
    const mbr_plan_device *devices; /* complete: no zeros where a default is due */
    int n_devices;
    int node;               /* NUMA node of the team; transfers to devices of others are slower. -1: not known */
    /* results */
    double end_ns;
    double cpu_end_ns;      /* everything on the processor */
    double transfer_bytes;
    double busy_ns[MBR_PLACE_DEVICES + 1];
} mbr_place_problem;

/* Time for bytes from device `from` to device `to`; through the host's memory where both are devices. */
double mbr_transfer_ns(const mbr_place_problem *p, int from, int to, double bytes);

mbr_status mbr_place_steps(mbr_memory *memory, mbr_place_problem *p, mbr_error *err);

/* --- least cuts of a network (engine/schedule/cut.c) --- */

typedef struct mbr_cut mbr_cut;

mbr_status mbr_cut_new(mbr_memory *memory, uint32_t nodes, uint32_t edges, mbr_cut **out, mbr_error *err);
void mbr_cut_free(mbr_cut *c);
/* An edge and its price, and one for the way back. Negative: none may be cut. */
void mbr_cut_edge(mbr_cut *c, uint32_t from, uint32_t to, double price, double back);
/* sides[i]: node i is on the side of `target`. */
void mbr_cut_least(mbr_cut *c, uint32_t source, uint32_t target, bool *sides);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MBR_RUNTIME_ACTIONS_POLICY_H
#define MBR_RUNTIME_ACTIONS_POLICY_H

#include "mbr/policy.h"
#include "runtime/actions/actions.h"

#define MBR_POLICY_POINTS 101 /* of curves */
#define MBR_POLICY_BINS 10    /* of the calibration */
#define MBR_POLICY_LABELS 64

/* "This score and above is positive." */
typedef struct mbr_policy_point {
    double threshold;
    uint64_t yes, hits; /* rows at or above it; positive ones of them */
    double cost;        /* NaN without costs */
} mbr_policy_point;

typedef struct mbr_policy_bin {
    uint64_t rows, positives;
    double score; /* mean */
} mbr_policy_bin;

typedef struct mbr_policy_row {
    double score; /* NaN: none */
    double cost;  /* of the action that it got */
    int label, action; /* -1: none */
} mbr_policy_row;

struct mbr_policy_test {
    mbr_memory *memory;
    mbr_pipeline *pipeline;
    mbr_string labels[MBR_POLICY_LABELS]; /* on arena memory */
    int classes[MBR_POLICY_LABELS];       /* of the costs; -1: none */
    int label_count, positive;
    mbr_arena arena;
    mbr_policy_row *rows;
    float *costs;          /* (rows, action_count of the costs): where the truth is what it is */
    size_t count, capacity;
    uint64_t *confusion;   /* (action_count + 1, label_count); the last: no action */
    int yes, no;           /* of the costs: the actions on both sides of a threshold; -1: no costs */
    mbr_policy_point points[MBR_POLICY_POINTS];
    int point_count;
    mbr_policy_bin bins[MBR_POLICY_BINS];
    mbr_policy_facts facts;
    uint64_t scored, scored_positives;
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What this machine can do at most, measured with a team for about a tenth of a second. */
#ifndef MBR_ENGINE_LIMITS_H
#define MBR_ENGINE_LIMITS_H

#include "engine/team.h"

enum { MBR_LEVEL_CACHE, MBR_LEVEL_SHARED, MBR_LEVEL_MEMORY, MBR_LEVELS };

typedef struct mbr_limits_measured {
    const char *tier;
    double flops;             /* f32 operations a second, a fused multiply-add counting as two */
    double read[MBR_LEVELS];  /* bytes a second */
    size_t bytes[MBR_LEVELS]; /* of the data read, by all threads together */
    size_t shared;            /* bytes that are read nearly as fast as those of the shared cache: this share of it is ours */
} mbr_limits_measured;

/* What MBR_CPU says where that is the name of no tier; else NULL. */
const char *mbr_limits_unknown_tier(void);

mbr_status mbr_limits_measure(mbr_team *team, mbr_memory *memory, mbr_limits_measured *out, mbr_error *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Which families of kernels there are, and the tiers that each has kernels for in this build: for lists. */
#ifndef MBR_KERNELS_FAMILIES_H
#define MBR_KERNELS_FAMILIES_H

#include "kernels/cpu.h"

typedef enum mbr_family {
    MBR_FAMILY_NONE, /* plain C in one form */
#define FAMILY(id, name) MBR_FAMILY_##id,
#include "kernels/families.def"
#undef FAMILY
    MBR_FAMILY_COUNT
} mbr_family;

const char *mbr_family_name(mbr_family f); /* "" for NONE */
unsigned mbr_family_tiers(mbr_family f);   /* set of tiers */

#endif

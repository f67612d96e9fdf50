/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/nbits.h"

const mbr_nbits_kernel *mbr_nbits_select(unsigned tiers)
{
    const mbr_nbits_kernel *best = &mbr_nbits_ref;
#define KERNEL(name, tier, tol)                                                                                        \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = &mbr_##name;
#include "kernels/nbits.def"
#undef KERNEL
    return best;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/pixels.h"
#include "kernels/cpu.h"

#define KERNEL(name, tier) extern const mbr_pixels mbr_##name;
#include "kernels/pixels.def"
#undef KERNEL

const mbr_pixels *mbr_pixels_best(void)
{
    const mbr_pixels *best = NULL;
    unsigned tiers = mbr_cpu_tiers();
#define KERNEL(name, tier)                                                                                             \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = &mbr_##name;
#include "kernels/pixels.def"
#undef KERNEL
    return best;
}

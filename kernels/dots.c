/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/dots.h"
#include "kernels/cpu.h"

#define KERNEL(name, tier) mbr_dots_fn mbr_##name;
#include "kernels/dots.def"
#undef KERNEL

mbr_dots_fn *mbr_dots_best(void)
{
    mbr_dots_fn *best = NULL;
    unsigned tiers = mbr_cpu_tiers();
#define KERNEL(name, tier)                                                                                             \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = mbr_##name;
#include "kernels/dots.def"
#undef KERNEL
    return best;
}

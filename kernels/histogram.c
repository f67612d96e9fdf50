/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/histogram.h"
#include "kernels/cpu.h"

#define KERNEL(name, tier) mbr_histogram_fn mbr_##name;
#include "kernels/histogram.def"
#undef KERNEL

mbr_histogram_fn *mbr_histogram_best(void)
{
    mbr_histogram_fn *best = NULL;
    unsigned tiers = mbr_cpu_tiers();
#define KERNEL(name, tier)                                                                                             \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = mbr_##name;
#include "kernels/histogram.def"
#undef KERNEL
    return best;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/qgemm.h"

const mbr_qgemm_kernel *mbr_qgemm_select(unsigned tiers)
{
    const mbr_qgemm_kernel *best = &mbr_qgemm_ref;
#define KERNEL(name, tier)                                                                                             \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = &mbr_##name;
#include "kernels/qgemm.def"
#undef KERNEL
    return best;
}

const mbr_qconv_kernel *mbr_qconv_select(unsigned tiers, const mbr_conv_args *shape)
{
#define KERNEL(name, tier)                                                                                             \
    if ((tiers & MBR_TIER_BIT(MBR_TIER_##tier)) && mbr_##name.fits(shape))                                             \
        return &mbr_##name;
#include "kernels/qconv.def"
#undef KERNEL
    return &mbr_qconv_ref;
}

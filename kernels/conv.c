/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/conv.h"

const mbr_conv_f32_kernel *mbr_conv_f32_select(unsigned tiers, const mbr_conv_args *args, bool exact)
{
#define KERNEL(name, tier, tol)                                                                                        \
    if ((tiers & MBR_TIER_BIT(MBR_TIER_##tier)) && (mbr_##name.exact || !exact) && mbr_##name.fits(args))              \
        return &mbr_##name;
#include "kernels/conv.def"
#undef KERNEL
    return &mbr_conv_f32_ref;
}

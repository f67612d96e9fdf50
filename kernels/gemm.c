/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/gemm.h"

const mbr_gemm_f32_kernel *mbr_gemm_f32_select(unsigned tiers)
{
    const mbr_gemm_f32_kernel *best = &mbr_gemm_f32_ref;
#define KERNEL(name, tier, tol)                                                                                        \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = &mbr_##name;
#include "kernels/gemm.def"
#undef KERNEL
    return best;
}

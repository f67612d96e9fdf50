/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/families.h"

static const char *const names[MBR_FAMILY_COUNT] = { "",
#define FAMILY(id, name) name,
#include "kernels/families.def"
#undef FAMILY
};

/* The lists differ in what a row says besides the tier. */
static const unsigned tiers[MBR_FAMILY_COUNT] = {
    MBR_TIER_BIT(MBR_TIER_BASE), /* plain C */
#define KERNEL(name, tier, tol) | MBR_TIER_BIT(MBR_TIER_##tier)
    [MBR_FAMILY_GEMM] = 0
#include "kernels/gemm.def"
    ,
    [MBR_FAMILY_CONV] = 0
#include "kernels/conv.def"
    ,
    [MBR_FAMILY_NBITS] = 0
#include "kernels/nbits.def"
    ,
#undef KERNEL
#define KERNEL(name, tier) | MBR_TIER_BIT(MBR_TIER_##tier)
    [MBR_FAMILY_CHAIN] = 0
#include "kernels/chain.def"
    ,
    [MBR_FAMILY_SOFTMAX] = 0
#include "kernels/softmax.def"
    ,
    [MBR_FAMILY_REDUCE] = 0
#include "kernels/reduce.def"
    ,
    [MBR_FAMILY_ARG] = 0
#include "kernels/arg.def"
    ,
    [MBR_FAMILY_COPY] = 0
#include "kernels/copy.def"
    ,
    [MBR_FAMILY_CONVERT] = 0
#include "kernels/convert.def"
    ,
    [MBR_FAMILY_POOL] = 0
#include "kernels/pool.def"
    ,
    [MBR_FAMILY_RESIZE] = 0
#include "kernels/resize.def"
    ,
    [MBR_FAMILY_TREE] = 0
#include "kernels/tree.def"
    ,
    [MBR_FAMILY_ATTENTION] = 0
#include "kernels/attention.def"
    ,
    [MBR_FAMILY_QGEMM] = 0
#include "kernels/qgemm.def"
    ,
    [MBR_FAMILY_QCONV] = 0
#include "kernels/qconv.def"
    ,
    [MBR_FAMILY_QUANTIZE] = 0
#include "kernels/quantize.def"
    ,
#undef KERNEL
#define KERNEL(name, group, tier) | MBR_TIER_BIT(MBR_TIER_##tier)
    [MBR_FAMILY_NORM] = 0
#include "kernels/norm.def"
    ,
#undef KERNEL
#define KERNEL(name, gru, rnn, tier) | MBR_TIER_BIT(MBR_TIER_##tier)
    [MBR_FAMILY_RNN] = 0
#include "kernels/rnn.def"
    ,
#undef KERNEL
};

const char *mbr_family_name(mbr_family f)
{
    return names[f];
}

unsigned mbr_family_tiers(mbr_family f)
{
    return tiers[f];
}

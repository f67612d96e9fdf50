/* SPDX-License-Identifier: BSD-2-Clause */
/* The strongest kernel of every family for a set of tiers, from the families' lists. */
#include "kernels/attention.h"
#include "kernels/chain.h"
#include "kernels/convert.h"
#include "kernels/features.h"
#include "kernels/norm.h"
#include "kernels/pool.h"
#include "kernels/reduce.h"
#include "kernels/resize.h"
#include "kernels/rnn.h"
#include "kernels/softmax.h"
#include "kernels/transpose.h"
#include "kernels/tree.h"

/* The prototypes of every row. */
#define KERNEL(name, tier) mbr_chain_fn mbr_##name;
#include "kernels/chain.def"
#undef KERNEL
#define KERNEL(name, tier) mbr_convert_fn mbr_##name;
#include "kernels/convert.def"
#undef KERNEL
#define KERNEL(name, tier) extern const mbr_features mbr_##name;
#include "kernels/features.def"
#undef KERNEL
#define KERNEL(name, tier) mbr_softmax_fn mbr_##name;
#include "kernels/softmax.def"
#undef KERNEL
#define KERNEL(name, tier) mbr_reduce_fn mbr_##name;
#include "kernels/reduce.def"
#undef KERNEL
#define KERNEL(name, tier) mbr_arg_fn mbr_##name;
#include "kernels/arg.def"
#undef KERNEL
#define KERNEL(name, tier) mbr_copy_fn mbr_##name;
#include "kernels/copy.def"
#undef KERNEL
#define KERNEL(name, tier) mbr_pool_fn mbr_##name;
#include "kernels/pool.def"
#undef KERNEL
#define KERNEL(name, tier) mbr_resize_fn mbr_##name;
#include "kernels/resize.def"
#undef KERNEL
#define KERNEL(name, tier) mbr_attention_fn mbr_##name;
#include "kernels/attention.def"
#undef KERNEL
#define KERNEL(name, tier) mbr_tree_fn mbr_##name;
#include "kernels/tree.def"
#undef KERNEL
#define KERNEL(name, group, tier)                                                                                      \
    mbr_norm_fn mbr_##name;                                                                                            \
    mbr_group_norm_fn mbr_##group;
#include "kernels/norm.def"
#undef KERNEL
#define KERNEL(name, gru, rnn, tier)                                                                                   \
    mbr_lstm_fn mbr_##name;                                                                                            \
    mbr_gru_fn mbr_##gru;                                                                                              \
    mbr_rnn_fn mbr_##rnn;
#include "kernels/rnn.def"
#undef KERNEL

/* Inside a select function: the last row whose tier is in the set wins. */
#define KERNEL(name, tier)                                                                                             \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = &mbr_##name;

const mbr_features *mbr_features_select(unsigned tiers)
{
    const mbr_features *best = NULL; /* the first row is always there */
#include "kernels/features.def"
    return best;
}

#undef KERNEL
#define KERNEL(name, tier)                                                                                             \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = mbr_##name;

mbr_chain_fn *mbr_chain_select(unsigned tiers)
{
    mbr_chain_fn *best = mbr_chain_ref;
#include "kernels/chain.def"
    return best;
}

mbr_convert_fn *mbr_convert_select(unsigned tiers)
{
    mbr_convert_fn *best = mbr_convert_ref;
#include "kernels/convert.def"
    return best;
}

mbr_softmax_fn *mbr_softmax_select(unsigned tiers)
{
    mbr_softmax_fn *best = mbr_softmax_ref;
#include "kernels/softmax.def"
    return best;
}

mbr_reduce_fn *mbr_reduce_select(unsigned tiers)
{
    mbr_reduce_fn *best = mbr_reduce_ref;
#include "kernels/reduce.def"
    return best;
}

mbr_arg_fn *mbr_arg_select(unsigned tiers)
{
    mbr_arg_fn *best = mbr_arg_ref;
#include "kernels/arg.def"
    return best;
}

mbr_copy_fn *mbr_copy_select(unsigned tiers)
{
    mbr_copy_fn *best = mbr_copy_ref;
#include "kernels/copy.def"
    return best;
}

mbr_pool_fn *mbr_pool_select(unsigned tiers)
{
    mbr_pool_fn *best = mbr_pool_ref;
#include "kernels/pool.def"
    return best;
}

mbr_resize_fn *mbr_resize_select(unsigned tiers)
{
    mbr_resize_fn *best = mbr_resize_ref;
#include "kernels/resize.def"
    return best;
}

mbr_attention_fn *mbr_attention_select(unsigned tiers)
{
    mbr_attention_fn *best = mbr_attention_ref;
#include "kernels/attention.def"
    return best;
}

mbr_tree_fn *mbr_tree_select(unsigned tiers)
{
    mbr_tree_fn *best = mbr_tree_ref;
#include "kernels/tree.def"
    return best;
}

#undef KERNEL

mbr_norm_kernels mbr_norm_select(unsigned tiers)
{
    mbr_norm_kernels best = {mbr_norm_ref, mbr_group_norm_ref};
#define KERNEL(name, group, tier)                                                                                      \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = (mbr_norm_kernels){mbr_##name, mbr_##group};
#include "kernels/norm.def"
#undef KERNEL
    return best;
}

mbr_rnn_kernels mbr_rnn_select(unsigned tiers)
{
    mbr_rnn_kernels best = {mbr_lstm_ref, mbr_gru_ref, mbr_rnn_ref};
#define KERNEL(name, gru, rnn, tier)                                                                                   \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = (mbr_rnn_kernels){mbr_##name, mbr_##gru, mbr_##rnn};
#include "kernels/rnn.def"
#undef KERNEL
    return best;
}

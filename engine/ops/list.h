/* SPDX-License-Identifier: BSD-2-Clause */
/* One line a file of this folder: MBR_OPS(NAME) stands for `const mbr_op mbr_ops_NAME[]`. Sorted. */
MBR_OPS(batch_normalization)
MBR_OPS(dynamic_quantize_linear)
MBR_OPS(global_pools)
MBR_OPS(group_normalization)
MBR_OPS(identity)
MBR_OPS(if)
MBR_OPS(layer_normalization)
MBR_OPS(loop)
MBR_OPS(pools)
MBR_OPS(quantize_linear)
MBR_OPS(scan)
MBR_OPS(simple_norms)

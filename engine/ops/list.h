/* SPDX-License-Identifier: BSD-2-Clause */
/* One line a file of this folder: MBR_OPS(NAME) stands for `const mbr_op mbr_ops_NAME[]`. Sorted. */
MBR_OPS(dynamic_quantize_linear)
MBR_OPS(identity)
MBR_OPS(if)
MBR_OPS(loop)
MBR_OPS(quantize_linear)
MBR_OPS(scan)

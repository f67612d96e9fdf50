/* SPDX-License-Identifier: BSD-2-Clause */
/* One line a file of this folder: MBR_OPS(NAME) stands for `const mbr_op mbr_ops_NAME[]`. Sorted. */
MBR_OPS(identity)

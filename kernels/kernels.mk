# SPDX-License-Identifier: BSD-2-Clause
# One list for each CPU tier; headers go to the base list.
MBR_KERNELS_BASE =
MBR_KERNELS_AVX2 =
MBR_KERNELS_AVX512 =
MBR_KERNELS_AVX512VNNI =
MBR_KERNELS_AVX512BF16 =
MBR_KERNELS_NEON =

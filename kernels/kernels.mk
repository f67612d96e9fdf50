# SPDX-License-Identifier: BSD-2-Clause
# One list for each CPU tier; headers go to the base list.
MBR_KERNELS_BASE = \
    kernels/attention.h \
    kernels/chain.h \
    kernels/convert.h \
    kernels/elementwise.h \
    kernels/norm.h \
    kernels/pool.h \
    kernels/reduce.h \
    kernels/resize.h \
    kernels/rnn.h \
    kernels/softmax.h \
    kernels/transpose.h \
    kernels/tree.h \
    kernels/view.h
MBR_KERNELS_AVX2 =
MBR_KERNELS_AVX512 =
MBR_KERNELS_AVX512VNNI =
MBR_KERNELS_AVX512BF16 =
MBR_KERNELS_NEON =

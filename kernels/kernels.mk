# SPDX-License-Identifier: BSD-2-Clause
# One list for each CPU tier; headers go to the base list.
MBR_KERNELS_BASE = \
    kernels/act.h \
    kernels/attention.h \
    kernels/chain.h \
    kernels/convert.h \
    kernels/cpu.c \
    kernels/cpu.def \
    kernels/cpu.h \
    kernels/elementwise.h \
    kernels/linear_any.h \
    kernels/norm.h \
    kernels/norm_any.h \
    kernels/pool.h \
    kernels/real.h \
    kernels/reduce.h \
    kernels/ref/act_ref.h \
    kernels/resize.h \
    kernels/rnn.h \
    kernels/simd/act.h \
    kernels/simd/math.h \
    kernels/simd/vec_avx2.h \
    kernels/simd/vec_avx512.h \
    kernels/simd/vec_common.h \
    kernels/simd/vec_generic.h \
    kernels/simd/vec_neon.h \
    kernels/softmax.h \
    kernels/transpose.h \
    kernels/tree.h \
    kernels/view.h
MBR_KERNELS_AVX2 =
MBR_KERNELS_AVX512 =
MBR_KERNELS_AVX512VNNI =
MBR_KERNELS_AVX512BF16 =
MBR_KERNELS_NEON =
MBR_KERNELS_DOTPROD =
MBR_KERNELS_I8MM =

# The harness of tests/kernels and bench: the programs add check_main.c or bench_kernels.c.
MBR_CHECK_KERNELS = \
    tests/kernels/check.c \
    tests/kernels/check.h \
    tests/kernels/families.def

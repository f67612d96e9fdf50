# SPDX-License-Identifier: BSD-2-Clause
# One list for each CPU tier; headers go to the base list.
MBR_KERNELS_BASE = \
    kernels/act.h \
    kernels/arg.def \
    kernels/arg_body.h \
    kernels/attention.h \
    kernels/chain.def \
    kernels/chain.h \
    kernels/chain_body.h \
    kernels/chain_plan.c \
    kernels/chain_walk.h \
    kernels/conv.c \
    kernels/conv.def \
    kernels/conv.h \
    kernels/conv_body.h \
    kernels/convert.def \
    kernels/convert.h \
    kernels/copy.def \
    kernels/cpu.c \
    kernels/cpu.def \
    kernels/cpu.h \
    kernels/elementwise.h \
    kernels/gemm.c \
    kernels/gemm.def \
    kernels/gemm.h \
    kernels/gemm_body.h \
    kernels/gemm_micro.h \
    kernels/index.h \
    kernels/linear_any.h \
    kernels/nms.h \
    kernels/nn_select.c \
    kernels/norm.def \
    kernels/norm.h \
    kernels/norm_any.h \
    kernels/norm_body.h \
    kernels/order.h \
    kernels/pad.h \
    kernels/pool.def \
    kernels/pool.h \
    kernels/quantize.h \
    kernels/real.h \
    kernels/reduce.def \
    kernels/reduce.h \
    kernels/reduce_body.h \
    kernels/reduce_plan.c \
    kernels/ref/act_ref.h \
    kernels/ref/arg_vec.c \
    kernels/ref/chain_ref.c \
    kernels/ref/chain_vec.c \
    kernels/ref/conv_ref.c \
    kernels/ref/convert_ref.c \
    kernels/ref/element.c \
    kernels/ref/element.h \
    kernels/ref/elementwise_ref.c \
    kernels/ref/gemm_ref.c \
    kernels/ref/gemm_vec.c \
    kernels/ref/index_ref.c \
    kernels/ref/linear_any.c \
    kernels/ref/nms.c \
    kernels/ref/norm_any.c \
    kernels/ref/norm_ref.c \
    kernels/ref/norm_vec.c \
    kernels/ref/order_ref.c \
    kernels/ref/pad_ref.c \
    kernels/ref/pool_ref.c \
    kernels/ref/reduce_ref.c \
    kernels/ref/reduce_vec.c \
    kernels/ref/resize_ref.c \
    kernels/ref/scalar.h \
    kernels/ref/scan_ref.c \
    kernels/ref/softmax_f64.c \
    kernels/ref/softmax_ref.c \
    kernels/ref/softmax_vec.c \
    kernels/ref/transpose_ref.c \
    kernels/ref/tree_ref.c \
    kernels/ref/tree_walk.h \
    kernels/resize.def \
    kernels/resize.h \
    kernels/resize_plan.c \
    kernels/rnn.h \
    kernels/scan.h \
    kernels/simd/act.h \
    kernels/simd/math.h \
    kernels/simd/math_nn.h \
    kernels/simd/vec_avx2.h \
    kernels/simd/vec_avx512.h \
    kernels/simd/vec_common.h \
    kernels/simd/vec_generic.h \
    kernels/simd/vec_neon.h \
    kernels/softmax.def \
    kernels/softmax.h \
    kernels/softmax_body.h \
    kernels/transpose.h \
    kernels/transpose_plan.c \
    kernels/transpose_walk.h \
    kernels/tree.h \
    kernels/view.h
MBR_KERNELS_AVX2 = \
    kernels/x86/arg_avx2.c \
    kernels/x86/chain_avx2.c \
    kernels/x86/gemm_avx2.c \
    kernels/x86/norm_avx2.c \
    kernels/x86/reduce_avx2.c \
    kernels/x86/softmax_avx2.c
MBR_KERNELS_AVX512 = \
    kernels/x86/arg_avx512.c \
    kernels/x86/chain_avx512.c \
    kernels/x86/gemm_avx512.c \
    kernels/x86/norm_avx512.c \
    kernels/x86/reduce_avx512.c \
    kernels/x86/softmax_avx512.c
MBR_KERNELS_AVX512VNNI =
MBR_KERNELS_AVX512BF16 =
MBR_KERNELS_NEON = \
    kernels/arm/arg_neon.c \
    kernels/arm/chain_neon.c \
    kernels/arm/gemm_neon.c \
    kernels/arm/norm_neon.c \
    kernels/arm/reduce_neon.c \
    kernels/arm/softmax_neon.c
MBR_KERNELS_DOTPROD =
MBR_KERNELS_I8MM =

# The harness of tests/kernels and bench: the programs add check_main.c or bench_kernels.c.
MBR_CHECK_KERNELS = \
    tests/kernels/check.c \
    tests/kernels/check.h \
    tests/kernels/check_arg.c \
    tests/kernels/check_chain.c \
    tests/kernels/check_conv.c \
    tests/kernels/check_gemm.c \
    tests/kernels/check_norm.c \
    tests/kernels/check_reduce.c \
    tests/kernels/check_softmax.c \
    tests/kernels/families.def

# SPDX-License-Identifier: BSD-2-Clause
# One list for each CPU tier; headers go to the base list.
MBR_KERNELS_BASE =
MBR_KERNELS_BASE += kernels/act.h
MBR_KERNELS_BASE += kernels/arg.def
MBR_KERNELS_BASE += kernels/arg_body.h
MBR_KERNELS_BASE += kernels/attention.def
MBR_KERNELS_BASE += kernels/attention.h
MBR_KERNELS_BASE += kernels/attention_body.h
MBR_KERNELS_BASE += kernels/attention_layout.h
MBR_KERNELS_BASE += kernels/attention_plan.c
MBR_KERNELS_BASE += kernels/chain.def
MBR_KERNELS_BASE += kernels/chain.h
MBR_KERNELS_BASE += kernels/chain_body.h
MBR_KERNELS_BASE += kernels/chain_plan.c
MBR_KERNELS_BASE += kernels/chain_walk.h
MBR_KERNELS_BASE += kernels/conv.c
MBR_KERNELS_BASE += kernels/conv.def
MBR_KERNELS_BASE += kernels/conv.h
MBR_KERNELS_BASE += kernels/conv_body.h
MBR_KERNELS_BASE += kernels/convert.def
MBR_KERNELS_BASE += kernels/convert.h
MBR_KERNELS_BASE += kernels/convert_body.h
MBR_KERNELS_BASE += kernels/copy.def
MBR_KERNELS_BASE += kernels/copy_body.h
MBR_KERNELS_BASE += kernels/cpu.c
MBR_KERNELS_BASE += kernels/cpu.def
MBR_KERNELS_BASE += kernels/cpu.h
MBR_KERNELS_BASE += kernels/elementwise.h
MBR_KERNELS_BASE += kernels/gemm.c
MBR_KERNELS_BASE += kernels/gemm.def
MBR_KERNELS_BASE += kernels/gemm.h
MBR_KERNELS_BASE += kernels/gemm_body.h
MBR_KERNELS_BASE += kernels/gemm_micro.h
MBR_KERNELS_BASE += kernels/index.h
MBR_KERNELS_BASE += kernels/linear_any.h
MBR_KERNELS_BASE += kernels/nms.h
MBR_KERNELS_BASE += kernels/nn_select.c
MBR_KERNELS_BASE += kernels/norm.def
MBR_KERNELS_BASE += kernels/norm.h
MBR_KERNELS_BASE += kernels/norm_any.h
MBR_KERNELS_BASE += kernels/norm_body.h
MBR_KERNELS_BASE += kernels/pad.h
MBR_KERNELS_BASE += kernels/pool.def
MBR_KERNELS_BASE += kernels/pool.h
MBR_KERNELS_BASE += kernels/pool_body.h
MBR_KERNELS_BASE += kernels/quantize.h
MBR_KERNELS_BASE += kernels/real.h
MBR_KERNELS_BASE += kernels/reduce.def
MBR_KERNELS_BASE += kernels/reduce.h
MBR_KERNELS_BASE += kernels/reduce_body.h
MBR_KERNELS_BASE += kernels/reduce_plan.c
MBR_KERNELS_BASE += kernels/ref/act_ref.h
MBR_KERNELS_BASE += kernels/ref/arg_vec.c
MBR_KERNELS_BASE += kernels/ref/attention_ref.c
MBR_KERNELS_BASE += kernels/ref/attention_vec.c
MBR_KERNELS_BASE += kernels/ref/chain_ref.c
MBR_KERNELS_BASE += kernels/ref/chain_vec.c
MBR_KERNELS_BASE += kernels/ref/conv_ref.c
MBR_KERNELS_BASE += kernels/ref/convert_ref.c
MBR_KERNELS_BASE += kernels/ref/convert_vec.c
MBR_KERNELS_BASE += kernels/ref/copy_vec.c
MBR_KERNELS_BASE += kernels/ref/element.c
MBR_KERNELS_BASE += kernels/ref/element.h
MBR_KERNELS_BASE += kernels/ref/elementwise_ref.c
MBR_KERNELS_BASE += kernels/ref/gemm_ref.c
MBR_KERNELS_BASE += kernels/ref/gemm_vec.c
MBR_KERNELS_BASE += kernels/ref/index_ref.c
MBR_KERNELS_BASE += kernels/ref/linear_any.c
MBR_KERNELS_BASE += kernels/ref/nms.c
MBR_KERNELS_BASE += kernels/ref/norm_any.c
MBR_KERNELS_BASE += kernels/ref/norm_ref.c
MBR_KERNELS_BASE += kernels/ref/norm_vec.c
MBR_KERNELS_BASE += kernels/ref/pad_ref.c
MBR_KERNELS_BASE += kernels/ref/pool_ref.c
MBR_KERNELS_BASE += kernels/ref/pool_vec.c
MBR_KERNELS_BASE += kernels/ref/reduce_ref.c
MBR_KERNELS_BASE += kernels/ref/reduce_vec.c
MBR_KERNELS_BASE += kernels/ref/resize_ref.c
MBR_KERNELS_BASE += kernels/ref/resize_vec.c
MBR_KERNELS_BASE += kernels/ref/rnn_ref.c
MBR_KERNELS_BASE += kernels/ref/rnn_vec.c
MBR_KERNELS_BASE += kernels/ref/scalar.h
MBR_KERNELS_BASE += kernels/ref/softmax_f64.c
MBR_KERNELS_BASE += kernels/ref/softmax_ref.c
MBR_KERNELS_BASE += kernels/ref/softmax_vec.c
MBR_KERNELS_BASE += kernels/ref/transpose_ref.c
MBR_KERNELS_BASE += kernels/ref/tree_ref.c
MBR_KERNELS_BASE += kernels/ref/tree_vec.c
MBR_KERNELS_BASE += kernels/resize.def
MBR_KERNELS_BASE += kernels/resize.h
MBR_KERNELS_BASE += kernels/resize_body.h
MBR_KERNELS_BASE += kernels/resize_plan.c
MBR_KERNELS_BASE += kernels/rnn.def
MBR_KERNELS_BASE += kernels/rnn.h
MBR_KERNELS_BASE += kernels/rnn_body.h
MBR_KERNELS_BASE += kernels/simd/act.h
MBR_KERNELS_BASE += kernels/simd/math.h
MBR_KERNELS_BASE += kernels/simd/math_nn.h
MBR_KERNELS_BASE += kernels/simd/square.h
MBR_KERNELS_BASE += kernels/simd/vec_avx2.h
MBR_KERNELS_BASE += kernels/simd/vec_avx512.h
MBR_KERNELS_BASE += kernels/simd/vec_common.h
MBR_KERNELS_BASE += kernels/simd/vec_generic.h
MBR_KERNELS_BASE += kernels/simd/vec_neon.h
MBR_KERNELS_BASE += kernels/softmax.def
MBR_KERNELS_BASE += kernels/softmax.h
MBR_KERNELS_BASE += kernels/softmax_body.h
MBR_KERNELS_BASE += kernels/transpose.h
MBR_KERNELS_BASE += kernels/transpose_plan.c
MBR_KERNELS_BASE += kernels/transpose_walk.h
MBR_KERNELS_BASE += kernels/tree.def
MBR_KERNELS_BASE += kernels/tree.h
MBR_KERNELS_BASE += kernels/tree_body.h
MBR_KERNELS_BASE += kernels/tree_layout.h
MBR_KERNELS_BASE += kernels/tree_plan.c
MBR_KERNELS_BASE += kernels/view.h
MBR_KERNELS_BASE += kernels/attention_any.h
MBR_KERNELS_BASE += kernels/conv_depthwise_body.h
MBR_KERNELS_BASE += kernels/det.h
MBR_KERNELS_BASE += kernels/einsum.h
MBR_KERNELS_BASE += kernels/features.h
MBR_KERNELS_BASE += kernels/nbits.c
MBR_KERNELS_BASE += kernels/nbits.def
MBR_KERNELS_BASE += kernels/nbits.h
MBR_KERNELS_BASE += kernels/optimizer.h
MBR_KERNELS_BASE += kernels/order.h
MBR_KERNELS_BASE += kernels/post_transform.h
MBR_KERNELS_BASE += kernels/qconv.def
MBR_KERNELS_BASE += kernels/qgemm.c
MBR_KERNELS_BASE += kernels/qgemm.def
MBR_KERNELS_BASE += kernels/qgemm.h
MBR_KERNELS_BASE += kernels/random.h
MBR_KERNELS_BASE += kernels/ref/attention_any.c
MBR_KERNELS_BASE += kernels/ref/det_ref.c
MBR_KERNELS_BASE += kernels/ref/einsum_ref.c
MBR_KERNELS_BASE += kernels/ref/features_ref.c
MBR_KERNELS_BASE += kernels/ref/nbits_ref.c
MBR_KERNELS_BASE += kernels/ref/optimizer_ref.c
MBR_KERNELS_BASE += kernels/ref/order_ref.c
MBR_KERNELS_BASE += kernels/ref/post_transform_ref.c
MBR_KERNELS_BASE += kernels/ref/qconv_ref.c
MBR_KERNELS_BASE += kernels/ref/qgemm_ref.c
MBR_KERNELS_BASE += kernels/ref/qout_ref.h
MBR_KERNELS_BASE += kernels/ref/quantize_ref.c
MBR_KERNELS_BASE += kernels/ref/sample.c
MBR_KERNELS_BASE += kernels/ref/scan_ref.c
MBR_KERNELS_BASE += kernels/ref/svm_ref.c
MBR_KERNELS_BASE += kernels/sample.h
MBR_KERNELS_BASE += kernels/scan.h
MBR_KERNELS_BASE += kernels/svm.h
MBR_KERNELS_AVX2 =
MBR_KERNELS_AVX2 += kernels/x86/arg_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/attention_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/chain_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/convert_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/copy_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/gemm_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/norm_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/pool_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/reduce_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/resize_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/rnn_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/softmax_avx2.c
MBR_KERNELS_AVX2 += kernels/x86/tree_avx2.c
MBR_KERNELS_AVX512 =
MBR_KERNELS_AVX512 += kernels/x86/arg_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/attention_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/chain_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/convert_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/copy_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/gemm_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/norm_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/pool_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/reduce_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/resize_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/rnn_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/softmax_avx512.c
MBR_KERNELS_AVX512 += kernels/x86/tree_avx512.c
# One list for each CPU tier; headers go to the base list. Written by scripts/list-sources.
MBR_KERNELS_BASE = \
    kernels/act.h \
    kernels/arg.def \
    kernels/arg_body.h \
    kernels/attention.h \
    kernels/attention_any.h \
    kernels/chain.def \
    kernels/chain.h \
    kernels/chain_body.h \
    kernels/chain_plan.c \
    kernels/chain_walk.h \
    kernels/conv.c \
    kernels/conv.def \
    kernels/conv.h \
    kernels/conv_body.h \
    kernels/conv_depthwise_body.h \
    kernels/convert.def \
    kernels/convert.h \
    kernels/convert_body.h \
    kernels/copy.def \
    kernels/copy_body.h \
    kernels/cpu.c \
    kernels/cpu.def \
    kernels/cpu.h \
    kernels/det.h \
    kernels/einsum.h \
    kernels/elementwise.h \
    kernels/features.h \
    kernels/gemm.c \
    kernels/gemm.def \
    kernels/gemm.h \
    kernels/gemm_body.h \
    kernels/gemm_micro.h \
    kernels/index.h \
    kernels/linear_any.h \
    kernels/nbits.c \
    kernels/nbits.def \
    kernels/nbits.h \
    kernels/nms.h \
    kernels/nn_select.c \
    kernels/norm.def \
    kernels/norm.h \
    kernels/norm_any.h \
    kernels/norm_body.h \
    kernels/optimizer.h \
    kernels/order.h \
    kernels/pad.h \
    kernels/pool.def \
    kernels/pool.h \
    kernels/pool_body.h \
    kernels/post_transform.h \
    kernels/qconv.def \
    kernels/qgemm.c \
    kernels/qgemm.def \
    kernels/qgemm.h \
    kernels/quantize.h \
    kernels/random.h \
    kernels/real.h \
    kernels/reduce.def \
    kernels/reduce.h \
    kernels/reduce_body.h \
    kernels/reduce_plan.c \
    kernels/ref/act_ref.h \
    kernels/ref/arg_vec.c \
    kernels/ref/attention_any.c \
    kernels/ref/chain_ref.c \
    kernels/ref/chain_vec.c \
    kernels/ref/conv_ref.c \
    kernels/ref/convert_ref.c \
    kernels/ref/convert_vec.c \
    kernels/ref/copy_vec.c \
    kernels/ref/det_ref.c \
    kernels/ref/einsum_ref.c \
    kernels/ref/element.c \
    kernels/ref/element.h \
    kernels/ref/elementwise_ref.c \
    kernels/ref/features_ref.c \
    kernels/ref/gemm_ref.c \
    kernels/ref/gemm_vec.c \
    kernels/ref/index_ref.c \
    kernels/ref/linear_any.c \
    kernels/ref/nbits_ref.c \
    kernels/ref/nms.c \
    kernels/ref/norm_any.c \
    kernels/ref/norm_ref.c \
    kernels/ref/norm_vec.c \
    kernels/ref/optimizer_ref.c \
    kernels/ref/order_ref.c \
    kernels/ref/pad_ref.c \
    kernels/ref/pool_ref.c \
    kernels/ref/pool_vec.c \
    kernels/ref/post_transform_ref.c \
    kernels/ref/qconv_ref.c \
    kernels/ref/qgemm_ref.c \
    kernels/ref/qout_ref.h \
    kernels/ref/quantize_ref.c \
    kernels/ref/reduce_ref.c \
    kernels/ref/reduce_vec.c \
    kernels/ref/resize_ref.c \
    kernels/ref/resize_vec.c \
    kernels/ref/rnn_ref.c \
    kernels/ref/rnn_vec.c \
    kernels/ref/sample.c \
    kernels/ref/scalar.h \
    kernels/ref/scan_ref.c \
    kernels/ref/softmax_f64.c \
    kernels/ref/softmax_ref.c \
    kernels/ref/softmax_vec.c \
    kernels/ref/svm_ref.c \
    kernels/ref/transpose_ref.c \
    kernels/ref/tree_ref.c \
    kernels/ref/tree_vec.c \
    kernels/resize.def \
    kernels/resize.h \
    kernels/resize_body.h \
    kernels/resize_plan.c \
    kernels/rnn.def \
    kernels/rnn.h \
    kernels/rnn_body.h \
    kernels/sample.h \
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
    kernels/svm.h \
    kernels/transpose.h \
    kernels/transpose_plan.c \
    kernels/transpose_walk.h \
    kernels/tree.def \
    kernels/tree.h \
    kernels/tree_body.h \
    kernels/tree_layout.h \
    kernels/tree_plan.c \
    kernels/view.h
MBR_KERNELS_AVX2 = \
    kernels/x86/arg_avx2.c \
    kernels/x86/chain_avx2.c \
    kernels/x86/convert_avx2.c \
    kernels/x86/copy_avx2.c \
    kernels/x86/gemm_avx2.c \
    kernels/x86/norm_avx2.c \
    kernels/x86/pool_avx2.c \
    kernels/x86/reduce_avx2.c \
    kernels/x86/resize_avx2.c \
    kernels/x86/rnn_avx2.c \
    kernels/x86/softmax_avx2.c \
    kernels/x86/tree_avx2.c
MBR_KERNELS_AVX512 = \
    kernels/x86/arg_avx512.c \
    kernels/x86/chain_avx512.c \
    kernels/x86/convert_avx512.c \
    kernels/x86/copy_avx512.c \
    kernels/x86/gemm_avx512.c \
    kernels/x86/norm_avx512.c \
    kernels/x86/pool_avx512.c \
    kernels/x86/reduce_avx512.c \
    kernels/x86/resize_avx512.c \
    kernels/x86/rnn_avx512.c \
    kernels/x86/softmax_avx512.c \
    kernels/x86/tree_avx512.c
MBR_KERNELS_AVX512VNNI =
MBR_KERNELS_AVX512BF16 =
MBR_KERNELS_NEON =
MBR_KERNELS_NEON += kernels/arm/arg_neon.c
MBR_KERNELS_NEON += kernels/arm/attention_neon.c
MBR_KERNELS_NEON += kernels/arm/chain_neon.c
MBR_KERNELS_NEON += kernels/arm/convert_neon.c
MBR_KERNELS_NEON += kernels/arm/copy_neon.c
MBR_KERNELS_NEON += kernels/arm/gemm_neon.c
MBR_KERNELS_NEON += kernels/arm/norm_neon.c
MBR_KERNELS_NEON += kernels/arm/pool_neon.c
MBR_KERNELS_NEON += kernels/arm/reduce_neon.c
MBR_KERNELS_NEON += kernels/arm/resize_neon.c
MBR_KERNELS_NEON += kernels/arm/rnn_neon.c
MBR_KERNELS_NEON += kernels/arm/softmax_neon.c
MBR_KERNELS_NEON += kernels/arm/tree_neon.c
MBR_KERNELS_DOTPROD =
MBR_KERNELS_I8MM =

# The harness of tests/kernels and bench: the programs add check_main.c or bench_kernels.c.
MBR_CHECK_KERNELS =
MBR_CHECK_KERNELS += tests/kernels/check.c
MBR_CHECK_KERNELS += tests/kernels/check.h
MBR_CHECK_KERNELS += tests/kernels/check_arg.c
MBR_CHECK_KERNELS += tests/kernels/check_attention.c
MBR_CHECK_KERNELS += tests/kernels/check_chain.c
MBR_CHECK_KERNELS += tests/kernels/check_conv.c
MBR_CHECK_KERNELS += tests/kernels/check_convert.c
MBR_CHECK_KERNELS += tests/kernels/check_copy.c
MBR_CHECK_KERNELS += tests/kernels/check_gemm.c
MBR_CHECK_KERNELS += tests/kernels/check_norm.c
MBR_CHECK_KERNELS += tests/kernels/check_pool.c
MBR_CHECK_KERNELS += tests/kernels/check_reduce.c
MBR_CHECK_KERNELS += tests/kernels/check_resize.c
MBR_CHECK_KERNELS += tests/kernels/check_rnn.c
MBR_CHECK_KERNELS += tests/kernels/check_softmax.c
MBR_CHECK_KERNELS += tests/kernels/check_tree.c
MBR_CHECK_KERNELS += tests/kernels/families.def
MBR_CHECK_KERNELS += tests/kernels/simde.h

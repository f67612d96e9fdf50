# SPDX-License-Identifier: BSD-2-Clause
MBR_ENGINE_OPS =
MBR_ENGINE_OPS += engine/ops/activation.c
MBR_ENGINE_OPS += engine/ops/activation.h
MBR_ENGINE_OPS += engine/ops/adagrad.c
MBR_ENGINE_OPS += engine/ops/affine_grid.c
MBR_ENGINE_OPS += engine/ops/arg_max.c
MBR_ENGINE_OPS += engine/ops/array_feature_extractor.c
MBR_ENGINE_OPS += engine/ops/batch_normalization.c
MBR_ENGINE_OPS += engine/ops/binarizer.c
MBR_ENGINE_OPS += engine/ops/binary.c
MBR_ENGINE_OPS += engine/ops/cast.c
MBR_ENGINE_OPS += engine/ops/cast_map.c
MBR_ENGINE_OPS += engine/ops/clip.c
MBR_ENGINE_OPS += engine/ops/col2im.c
MBR_ENGINE_OPS += engine/ops/concat.c
MBR_ENGINE_OPS += engine/ops/constant.c
MBR_ENGINE_OPS += engine/ops/constant_of_shape.c
MBR_ENGINE_OPS += engine/ops/control.c
MBR_ENGINE_OPS += engine/ops/control.h
MBR_ENGINE_OPS += engine/ops/conv.c
MBR_ENGINE_OPS += engine/ops/cum_sum.c
MBR_ENGINE_OPS += engine/ops/deform_conv.c
MBR_ENGINE_OPS += engine/ops/depth_to_space.c
MBR_ENGINE_OPS += engine/ops/det.c
MBR_ENGINE_OPS += engine/ops/dict_vectorizer.c
MBR_ENGINE_OPS += engine/ops/dynamic_quantize_linear.c
MBR_ENGINE_OPS += engine/ops/einsum.c
MBR_ENGINE_OPS += engine/ops/expand.c
MBR_ENGINE_OPS += engine/ops/feature_vectorizer.c
MBR_ENGINE_OPS += engine/ops/gather.c
MBR_ENGINE_OPS += engine/ops/gather_elements.c
MBR_ENGINE_OPS += engine/ops/gather_nd.c
MBR_ENGINE_OPS += engine/ops/global_pools.c
MBR_ENGINE_OPS += engine/ops/grid_sample.c
MBR_ENGINE_OPS += engine/ops/group_normalization.c
MBR_ENGINE_OPS += engine/ops/identity.c
MBR_ENGINE_OPS += engine/ops/if.c
MBR_ENGINE_OPS += engine/ops/imputer.c
MBR_ENGINE_OPS += engine/ops/label_encoder.c
MBR_ENGINE_OPS += engine/ops/layer_normalization.c
MBR_ENGINE_OPS += engine/ops/linear_models.c
MBR_ENGINE_OPS += engine/ops/list.h
MBR_ENGINE_OPS += engine/ops/loop.c
MBR_ENGINE_OPS += engine/ops/matmul.c
MBR_ENGINE_OPS += engine/ops/max_unpool.c
MBR_ENGINE_OPS += engine/ops/ml.c
MBR_ENGINE_OPS += engine/ops/ml.h
MBR_ENGINE_OPS += engine/ops/ml_table.c
MBR_ENGINE_OPS += engine/ops/ml_table.h
MBR_ENGINE_OPS += engine/ops/non_max_suppression.c
MBR_ENGINE_OPS += engine/ops/non_zero.c
MBR_ENGINE_OPS += engine/ops/normalizer.c
MBR_ENGINE_OPS += engine/ops/one_hot.c
MBR_ENGINE_OPS += engine/ops/one_hot_encoder.c
MBR_ENGINE_OPS += engine/ops/op.h
MBR_ENGINE_OPS += engine/ops/op_util.c
MBR_ENGINE_OPS += engine/ops/op_util.h
MBR_ENGINE_OPS += engine/ops/optional.c
MBR_ENGINE_OPS += engine/ops/pad_op.c
MBR_ENGINE_OPS += engine/ops/pattern.c
MBR_ENGINE_OPS += engine/ops/pattern.h
MBR_ENGINE_OPS += engine/ops/pointwise.c
MBR_ENGINE_OPS += engine/ops/pointwise.h
MBR_ENGINE_OPS += engine/ops/pools.c
MBR_ENGINE_OPS += engine/ops/quantize_linear.c
MBR_ENGINE_OPS += engine/ops/random.c
MBR_ENGINE_OPS += engine/ops/range.c
MBR_ENGINE_OPS += engine/ops/reduce_op.c
MBR_ENGINE_OPS += engine/ops/registry.c
MBR_ENGINE_OPS += engine/ops/reshape.c
MBR_ENGINE_OPS += engine/ops/resize.c
MBR_ENGINE_OPS += engine/ops/reverse_sequence.c
MBR_ENGINE_OPS += engine/ops/roi_align.c
MBR_ENGINE_OPS += engine/ops/scaler.c
MBR_ENGINE_OPS += engine/ops/scan.c
MBR_ENGINE_OPS += engine/ops/sequence.c
MBR_ENGINE_OPS += engine/ops/sequence_map.c
MBR_ENGINE_OPS += engine/ops/shape.c
MBR_ENGINE_OPS += engine/ops/simple_norms.c
MBR_ENGINE_OPS += engine/ops/slice.c
MBR_ENGINE_OPS += engine/ops/softmax_op.c
MBR_ENGINE_OPS += engine/ops/split.c
MBR_ENGINE_OPS += engine/ops/string_ops.c
MBR_ENGINE_OPS += engine/ops/support_vector_machines.c
MBR_ENGINE_OPS += engine/ops/tf_idf_vectorizer.c
MBR_ENGINE_OPS += engine/ops/top_k.c
MBR_ENGINE_OPS += engine/ops/transpose_op.c
MBR_ENGINE_OPS += engine/ops/tree_ensemble.c
MBR_ENGINE_OPS += engine/ops/tree_source.c
MBR_ENGINE_OPS += engine/ops/tree_source.h
MBR_ENGINE_OPS += engine/ops/unary.c
MBR_ENGINE_OPS += engine/ops/where.c
MBR_ENGINE_OPS += engine/ops/window.c
MBR_ENGINE_OPS += engine/ops/window.h
MBR_ENGINE_OPS += engine/ops/zip_map.c
MBR_ENGINE_OPS += engine/ops/attention.c
MBR_ENGINE_OPS += engine/ops/recurrent.c
# One file for each operator, and what they share. Written by scripts/list-sources.
MBR_ENGINE_OPS = \
    engine/ops/activation.c \
    engine/ops/activation.h \
    engine/ops/adagrad.c \
    engine/ops/affine_grid.c \
    engine/ops/arg_max.c \
    engine/ops/array_feature_extractor.c \
    engine/ops/batch_normalization.c \
    engine/ops/binarizer.c \
    engine/ops/binary.c \
    engine/ops/cast.c \
    engine/ops/cast_map.c \
    engine/ops/clip.c \
    engine/ops/col2im.c \
    engine/ops/concat.c \
    engine/ops/constant.c \
    engine/ops/constant_of_shape.c \
    engine/ops/control.c \
    engine/ops/control.h \
    engine/ops/conv.c \
    engine/ops/cum_sum.c \
    engine/ops/deform_conv.c \
    engine/ops/depth_to_space.c \
    engine/ops/det.c \
    engine/ops/dict_vectorizer.c \
    engine/ops/dynamic_quantize_linear.c \
    engine/ops/einsum.c \
    engine/ops/expand.c \
    engine/ops/feature_vectorizer.c \
    engine/ops/gather.c \
    engine/ops/gather_elements.c \
    engine/ops/gather_nd.c \
    engine/ops/global_pools.c \
    engine/ops/grid_sample.c \
    engine/ops/group_normalization.c \
    engine/ops/identity.c \
    engine/ops/if.c \
    engine/ops/imputer.c \
    engine/ops/label_encoder.c \
    engine/ops/layer_normalization.c \
    engine/ops/linear_models.c \
    engine/ops/list.h \
    engine/ops/loop.c \
    engine/ops/matmul.c \
    engine/ops/max_unpool.c \
    engine/ops/ml.c \
    engine/ops/ml.h \
    engine/ops/ml_table.c \
    engine/ops/ml_table.h \
    engine/ops/non_max_suppression.c \
    engine/ops/non_zero.c \
    engine/ops/normalizer.c \
    engine/ops/one_hot.c \
    engine/ops/one_hot_encoder.c \
    engine/ops/op.h \
    engine/ops/op_util.c \
    engine/ops/op_util.h \
    engine/ops/optional.c \
    engine/ops/pad_op.c \
    engine/ops/pattern.c \
    engine/ops/pattern.h \
    engine/ops/pointwise.c \
    engine/ops/pointwise.h \
    engine/ops/pools.c \
    engine/ops/quantize_linear.c \
    engine/ops/random.c \
    engine/ops/range.c \
    engine/ops/recurrent.c \
    engine/ops/reduce_op.c \
    engine/ops/registry.c \
    engine/ops/reshape.c \
    engine/ops/resize.c \
    engine/ops/reverse_sequence.c \
    engine/ops/roi_align.c \
    engine/ops/scaler.c \
    engine/ops/scan.c \
    engine/ops/sequence.c \
    engine/ops/sequence_map.c \
    engine/ops/shape.c \
    engine/ops/simple_norms.c \
    engine/ops/slice.c \
    engine/ops/softmax_op.c \
    engine/ops/split.c \
    engine/ops/string_ops.c \
    engine/ops/support_vector_machines.c \
    engine/ops/tf_idf_vectorizer.c \
    engine/ops/top_k.c \
    engine/ops/transpose_op.c \
    engine/ops/tree_ensemble.c \
    engine/ops/tree_source.c \
    engine/ops/tree_source.h \
    engine/ops/unary.c \
    engine/ops/where.c \
    engine/ops/window.c \
    engine/ops/window.h \
    engine/ops/zip_map.c

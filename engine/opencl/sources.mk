# SPDX-License-Identifier: BSD-2-Clause
# The OpenCL device and its kernels. Written by scripts/list-sources.
MBR_OPENCL_SOURCES = \
    engine/opencl/choice.c \
    engine/opencl/choice.h \
    engine/opencl/cl.c \
    engine/opencl/cl.h \
    engine/opencl/device.c \
    engine/opencl/device.h \
    engine/opencl/frame.c \
    engine/opencl/frame.h \
    engine/opencl/lower.c \
    engine/opencl/lower.h \
    engine/opencl/lower_attention.c \
    engine/opencl/lower_conv.c \
    engine/opencl/lower_elementwise.c \
    engine/opencl/lower_gemm.c \
    engine/opencl/lower_movement.c \
    engine/opencl/lower_pool.c \
    engine/opencl/lower_quantized.c \
    engine/opencl/lower_recurrent.c \
    engine/opencl/lower_reduce.c \
    engine/opencl/lower_resize.c \
    engine/opencl/lower_sample.c \
    engine/opencl/lower_tokens.c \
    engine/opencl/lower_util.c \
    engine/opencl/lower_util.h \
    engine/opencl/measure.c \
    engine/opencl/measure.h \
    engine/opencl/probe.c \
    engine/opencl/probe.h \
    engine/opencl/product.h \
    engine/opencl/program.c \
    engine/opencl/program.h \
    engine/opencl/run.c \
    engine/opencl/selftest.c \
    engine/opencl/selftest.h \
    engine/opencl/store.c \
    engine/opencl/store.h \
    engine/opencl/trace.c \
    engine/opencl/trace.h
MBR_OPENCL_KERNELS = \
    kernels/opencl/attention.cl \
    kernels/opencl/common.cl \
    kernels/opencl/conv.cl \
    kernels/opencl/elementwise.cl \
    kernels/opencl/gemm.cl \
    kernels/opencl/gemm_sub.cl \
    kernels/opencl/halves.cl \
    kernels/opencl/movement.cl \
    kernels/opencl/norm.cl \
    kernels/opencl/pool.cl \
    kernels/opencl/quantized.cl \
    kernels/opencl/recurrent.cl \
    kernels/opencl/reduce.cl \
    kernels/opencl/resize.cl \
    kernels/opencl/sample.cl \
    kernels/opencl/softmax.cl \
    kernels/opencl/tokens.cl

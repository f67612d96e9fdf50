/* SPDX-License-Identifier: BSD-2-Clause */
/* What a step of a convolution is, for those that run it elsewhere. */
#ifndef MBR_ENGINE_OPS_CONV_ARGS_H
#define MBR_ENGINE_OPS_CONV_ARGS_H

#include "engine/ops/op.h"
#include "kernels/conv.h"

/*
 * Sizes, strides and padding of a prepared step with up to three spatial dimensions; no pointers, no epilogue. x_planes
 * says how X lies, *last whether the output's channels are last.
 */
mbr_status mbr_conv_step_args(const mbr_step *s, mbr_conv_args *a, bool *last, mbr_error *err);
/* The same of a quantised one (QLinearConv, ConvInteger); X and Y lie alike. */
const mbr_conv_args *mbr_qconv_step_args(const mbr_step *s, bool *last);

#endif

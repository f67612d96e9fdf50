/* SPDX-License-Identifier: BSD-2-Clause */
/* Activations that fused operators name in attributes. */
#ifndef MBR_ENGINE_OPS_ACTIVATION_H
#define MBR_ENGINE_OPS_ACTIVATION_H

#include "engine/ops/op.h"
#include "kernels/act.h"

/*
 * Finds an activation by its name ("Relu", "hard_swish": case and underscores do not count; "" and "none": none). The
 * parameters get ONNX's defaults. Names: Relu, Clip, LeakyRelu, Sigmoid, Tanh, Swish or SiLU, Gelu, GeluTanh, HardSigmoid,
 * HardSwish.
 */
bool mbr_activation_find(const char *name, mbr_act *act);

/*
 * Reads the attributes act, act_alpha, act_beta of mbr.* operators; where they are absent, activation,
 * activation_alpha, activation_beta, activation_params of com.microsoft's.
 */
mbr_status mbr_activation_read(const mbr_ir_node *n, mbr_act *act, mbr_error *err);

#endif

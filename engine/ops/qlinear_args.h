/* SPDX-License-Identifier: BSD-2-Clause */
/* Scale and zero point inputs of com.microsoft's operators on quantised bytes. */
#ifndef MBR_ENGINE_OPS_QLINEAR_ARGS_H
#define MBR_ENGINE_OPS_QLINEAR_ARGS_H

#include "engine/ops/op.h"
#include "kernels/qlinear.h"

/* In infer: input i must be bytes; sizes of scale and zero point (inputs scale, scale + 1) are 1 where known. */
mbr_status mbr_qlinear_check(mbr_infer *c, uint32_t i, uint32_t scale);

/* The dtype that a zero point input gives the output: that of like where it is absent. */
mbr_dtype mbr_qlinear_dtype(const mbr_infer *c, uint32_t zero, uint32_t like);

/* In run: the numbers at inputs scale and scale + 1, for bytes of that dtype. */
mbr_status mbr_qlinear_read(mbr_step *s, uint32_t scale, mbr_dtype dtype, mbr_qlinear *q, mbr_error *err);

#endif

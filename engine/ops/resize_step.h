/* SPDX-License-Identifier: BSD-2-Clause */
/* The plan of a step of a resize, for those that run it elsewhere. */
#ifndef MBR_ENGINE_OPS_RESIZE_STEP_H
#define MBR_ENGINE_OPS_RESIZE_STEP_H

#include "engine/ops/op.h"
#include "kernels/resize.h"

/* Of a prepared step; its tables lie in the *bytes at *table. NULL: its numbers are not there; late: they are by now. */
const mbr_resize_plan *mbr_resize_step_plan(mbr_step *s, bool late, const void **table, size_t *bytes);

#endif

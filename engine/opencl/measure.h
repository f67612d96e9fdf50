/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Facts of a device for the scheduler: what it says of itself, and what its kernels reach, through the code that runs
 * them in a model. Less than two seconds, programs that have to be built aside.
 */
#ifndef MBR_ENGINE_OPENCL_MEASURE_H
#define MBR_ENGINE_OPENCL_MEASURE_H

#include "engine/opencl/device.h"
#include "mbr/plan.h"

/* to->name is the device's; peak rates are such that the scheduler's shares of them are what was measured. */
mbr_status mbr_cl_measure(mbr_cl_device *d, mbr_plan_device *to, mbr_error *err);

/* Nanoseconds that one more step of a chain takes: `body` is an operator of %v#, the step before, and %v0, the first,
   all of `type` ("f32[512, 512]", "ai.onnx.MatMul@13(%v#, %v0)"). `more` steps are compared with none. */
mbr_status mbr_cl_step_ns(mbr_cl_device *d, const char *type, const char *body, int more, double *ns, mbr_error *err);

/* What the list of devices depends on, without loading any driver: which drivers are registered, which files of devices
   the system has. */
void mbr_cl_machine_key(char *text, size_t room);

#endif

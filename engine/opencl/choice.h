/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device may do in two ways, of which measuring tells the better one: what drivers say of the width of halves holds
 * for emulated ones, too, and sub-groups are offered where they are slow. Each is tested against the CPU's answers and
 * timed once, when it first matters; what came of it is kept with the programs (store.h). Inside engine/opencl/ only.
 */
#ifndef MBR_ENGINE_OPENCL_CHOICE_H
#define MBR_ENGINE_OPENCL_CHOICE_H

#include "engine/opencl/device.h"

/* Is c right on this device, and faster than what does without? Any thread. False where the device does not offer it. */
bool mbr_cl_chooses(mbr_cl_device *d, mbr_cl_choice c);

#endif

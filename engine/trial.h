/* SPDX-License-Identifier: BSD-2-Clause */
/* A graph of a few lines of text that runs outside any model: what rates are measured with, and devices tested. */
#ifndef MBR_ENGINE_TRIAL_H
#define MBR_ENGINE_TRIAL_H

#include "engine/device.h"
#include "engine/frame.h"

#define MBR_TRIAL_INPUTS 8

typedef struct mbr_trial {
    mbr_ir_module *module;
    mbr_program *program;
    mbr_run run;
    mbr_frame *frame;
    mbr_value *inputs[MBR_TRIAL_INPUTS]; /* its own */
} mbr_trial;

/*
 * On the device, or with NULL here; on the team, or with NULL on one thread. No pass rewrites the graph. Whatever comes
 * back, mbr_trial_close is due.
 */
mbr_status mbr_trial_open(mbr_trial *t, mbr_memory *memory, const mbr_log *log, mbr_device *device, mbr_team *team,
                          const char *text, mbr_error *err);
/* Zeros for its first input, whose sizes are numbers, and the first run. */
mbr_status mbr_trial_start(mbr_trial *t, mbr_error *err);
void mbr_trial_close(mbr_trial *t);

/* inputs[i]: zeros of its type and sizes, symbols taken as one; bound. */
mbr_status mbr_trial_input(mbr_trial *t, size_t i, mbr_error *err);

#endif

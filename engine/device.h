/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a frame asks of a device that runs some of its steps. The frame knows no OpenCL; engine/opencl/ implements this.
 *
 * Where the bytes of a value are: a device frame notes for each value whether host memory, device memory or both hold
 * it. A step on the device brings what it reads, a step on the CPU first has its inputs fetched; so any mixture of
 * steps is right, and one that stays on the device costs no transfer.
 *
 * Failures: a step that the device cannot do (a type, a size, a program that does not build) is found when sizes are
 * laid out, and runs on the CPU. When the device fails in the middle of a run, the frame runs everything again on the
 * CPU: inputs are never overwritten.
 *
 * Threads: a device is shared by all; a device frame belongs to its frame's thread.
 */
#ifndef MBR_ENGINE_DEVICE_H
#define MBR_ENGINE_DEVICE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mbr_frame;
struct mbr_ir_node;
struct mbr_program;
struct mbr_step;

typedef struct mbr_device mbr_device;
typedef struct mbr_device_frame mbr_device_frame;

typedef struct mbr_device_functions {
    /* At plan time: can the device do the node, as far as types, ranks and attributes tell? */
    bool (*takes)(const mbr_device *d, const struct mbr_ir_node *n);
    mbr_status (*open)(mbr_device *d, struct mbr_frame *f, mbr_device_frame **out, mbr_error *err);
    void (*close)(mbr_device_frame *df);
    /* Sizes and offsets of the frame are new (data pointers of inputs and outputs may still change). Never fails for a
       device's reasons: the steps concerned then go to the CPU. */
    mbr_status (*lay_out)(mbr_device_frame *df, mbr_error *err);
    /* Before the first step of a run: inputs are in host memory, nothing else is anywhere. */
    void (*begin)(mbr_device_frame *df);
    /* Does the device run this step at its present sizes? */
    bool (*has)(const mbr_device_frame *df, size_t step);
    /* Why it does not; NULL: it does. */
    const char *(*why)(const mbr_device_frame *df, size_t step);
    /*
     * Shapes of a step that only the run tells are set now, and it is prepared: will the device do it? (has then tells,
     * too.) What it may read beforehand is what fetch brings when not `all`.
     */
    bool (*late)(mbr_device_frame *df, size_t step);
    /* Starts the step; need not wait for its end. */
    mbr_status (*run)(mbr_device_frame *df, size_t step, mbr_error *err);
    /* The inputs of a step of the CPU are needed in host memory; afterwards `wrote` says that its outputs are there. Not
       all: those that sizes may follow from, numbers of shapes and what is small. */
    mbr_status (*fetch)(mbr_device_frame *df, const struct mbr_step *s, bool all, mbr_error *err);
    void (*wrote)(mbr_device_frame *df, const struct mbr_step *s);
    /* Nothing that was started is still under way. Always asked after a failure. */
    mbr_status (*wait)(mbr_device_frame *df, mbr_error *err);
    /* At the end: graph outputs are in host memory, nothing is in flight. */
    mbr_status (*finish)(mbr_device_frame *df, mbr_error *err);
    /* A model is gone: what it had on the device goes, too. */
    void (*forget)(mbr_device *d, const void *model);
    void (*free)(mbr_device *d);
} mbr_device_functions;

struct mbr_device {
    const mbr_device_functions *fn;
    const char *name; /* as users see it: "opencl:0" */
};

#endif

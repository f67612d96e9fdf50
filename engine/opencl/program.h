/* SPDX-License-Identifier: BSD-2-Clause */
/* What the frames of a device share: built programs and data that was uploaded once. Inside engine/opencl/ only. */
#ifndef MBR_ENGINE_OPENCL_PROGRAM_H
#define MBR_ENGINE_OPENCL_PROGRAM_H

#include "engine/opencl/device.h"

/* A file of kernels/opencl/, without its comments; the build makes the table. */
typedef struct mbr_cl_source {
    const char *name; /* NULL: the end */
    const unsigned char *text; /* ends with 0; a byte from 128 on stands for a pair of bytes */
} mbr_cl_source;

extern const mbr_cl_source mbr_cl_sources[];
extern const unsigned char mbr_cl_pairs[128][2];

mbr_status mbr_cl_shared_new(mbr_cl_device *d, mbr_error *err);
void mbr_cl_shared_free(mbr_cl_device *d);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the frames of a device share: built programs and data that was uploaded once. Inside engine/opencl/ only. */
#ifndef MBR_ENGINE_OPENCL_PROGRAM_H
#define MBR_ENGINE_OPENCL_PROGRAM_H

#include "engine/opencl/device.h"

/*
 * The files of kernels/opencl/, without their comments, each ended by a 0; the build makes them. In mbr_cl_text a byte from
 * 128 on says that byte - 124 bytes are those that begin so many bytes before as the next two say, the low one first.
 */
extern const unsigned char mbr_cl_text[];
extern const size_t mbr_cl_text_coded;     /* its bytes */
extern const size_t mbr_cl_text_bytes;     /* those of the files */
extern const char *const mbr_cl_sources[]; /* their names in the same order, then NULL */

mbr_status mbr_cl_shared_new(mbr_cl_device *d, mbr_error *err);
void mbr_cl_shared_free(mbr_cl_device *d);

#endif

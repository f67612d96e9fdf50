/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the OpenCL of this machine answer at all? Asked in a child process. Inside engine/opencl/ only. */
#ifndef MBR_ENGINE_OPENCL_PROBE_H
#define MBR_ENGINE_OPENCL_PROBE_H

#include "engine/opencl/cl.h"

/* Opens the loader and finds its functions. NULL, or what is wrong. */
const char *mbr_cl_find(mbr_cl *to);

/*
 * Drivers are loaded by clGetPlatformIDs, and one that crashes or hangs there takes its process with it. So a child
 * process does it first, for at most MBR_OPENCL_TIMEOUT seconds of the environment (else 8; 0: no child, no probe).
 *
 * The child comes from fork alone: a library has no program of its own to start. POSIX promises little to a child of a
 * process with threads, and this one calls dlopen and drivers; what may happen is that a lock which another thread held
 * at that moment stays locked, and the child hangs. (The C libraries that we know make malloc and dlopen fit for use
 * after fork.) That costs a false "it hangs", so one that ran out of time is given a second child. The parent is never
 * touched by either.
 *
 * NULL: it answered. Else what happened, in text of at least `room` bytes.
 */
const char *mbr_cl_probe(char *text, size_t room);

#endif

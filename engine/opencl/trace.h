/* SPDX-License-Identifier: BSD-2-Clause */
/* Spans of launches and transfers, by the device's own clock, while a profile records (engine/spans.h). */
#ifndef MBR_ENGINE_OPENCL_TRACE_H
#define MBR_ENGINE_OPENCL_TRACE_H

#include "engine/opencl/frame.h"

/* Before a run: queues that take times, or those that do not. Nothing is in flight. */
void mbr_cl_trace_begin(mbr_cl_frame *cf);
/* The host's clock before a command is given to a queue; 0 where nothing is traced. */
uint64_t mbr_cl_trace_now(const mbr_cl_frame *cf);
/* What was given: a launch of a step, or a transfer for it. What does not fit is dropped. */
void mbr_cl_trace_note(mbr_cl_frame *cf, cl_event event, uint32_t step, bool transfer, uint64_t begun);
/* All has ended, well or not. */
void mbr_cl_trace_take(mbr_cl_frame *cf, bool well);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reason codes: the section `reasons` of a pipeline. The contributions of the tensor's elements (mbr/explain.h) are
 * summed for each feature column, columns of one text together; the weightiest become the reasons of a decision.
 */
#ifndef MBR_RUNTIME_REASONS_H
#define MBR_RUNTIME_REASONS_H

#include "runtime/pipeline/pipeline_impl.h"

struct mbr_decider;

/* `reasons`, after the rules; NULL: there are none. */
mbr_status mbr_pipeline_read_reasons(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *reasons);
void mbr_pipeline_drop_reasons(mbr_pipeline *p);

/* The buffers of a decider. */
mbr_status mbr_decider_begin_reasons(struct mbr_decider *d, mbr_error *err);

/* Fills out->reasons, where the action asks for them. Allocates nothing. */
void mbr_decider_give_reasons(struct mbr_decider *d, int row, int action, mbr_decision *out);

#endif

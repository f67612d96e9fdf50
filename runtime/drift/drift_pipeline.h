/* SPDX-License-Identifier: BSD-2-Clause */
/* Where drift and pipelines meet: the section `drift` of a pipeline file, a monitor (or a fit) in each decider. */
#ifndef MBR_RUNTIME_DRIFT_PIPELINE_H
#define MBR_RUNTIME_DRIFT_PIPELINE_H

#include "runtime/pipeline/decider.h"

typedef struct mbr_pipeline_drift mbr_pipeline_drift;
typedef struct mbr_decider_drift mbr_decider_drift;

/* Reads the section once all columns are known; n NULL: there is none. Opens the baseline. */
mbr_status mbr_pipeline_read_drift(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n);
void mbr_pipeline_drop_drift(mbr_pipeline *p);

/* A decider's monitor, where the pipeline has drift. */
mbr_status mbr_decider_begin_drift(mbr_decider *d, mbr_error *err);
void mbr_decider_end_drift(mbr_decider *d);

/* Takes the sound rows of a batch that has run. Never fails a decision. */
void mbr_decider_watch(mbr_decider *d);

/* The alarm has put the pipeline's fallback in force. */
bool mbr_decider_falls_back(const mbr_decider *d);

#endif

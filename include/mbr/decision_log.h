/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of decisions: what a pipeline decided, of what, by which rule and model, one JSON object a line, and its
 * repetition. The section `log` of a pipeline file, or mbr_decider_options.log_path, turns it on; docs/pipeline.md
 * describes the lines.
 *
 * A decision is in the log (in the kernel: kill -9 does not lose it) before it is handed out. Deciders of one pipeline
 * may share a log; other processes are refused. A log that cannot be written ends the call with MBR_ERR_IO before
 * anything is handed out, or, by `on_error: continue`, is counted as lost.
 *
 * Where records hold their inputs, mbr_replay decides all of them again:
 *
 *     mbr_replay_result result = { .size = sizeof result };
 *     if (mbr_replay(pipeline, "decisions.ndjson", NULL, &result, &err) == MBR_OK && result.different == 0)
 *         printf("%llu decisions, the same bytes\n", (unsigned long long)result.records);
 */
#ifndef MBR_DECISION_LOG_H
#define MBR_DECISION_LOG_H

#include "mbr/pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mbr_log_facts {
    size_t size;      /* set by the caller to sizeof(mbr_log_facts) */
    const char *path; /* NULL: the decider has no log; lives as long as the decider */
    uint64_t written; /* records since the log was opened, of all deciders that share it */
    uint64_t lost;    /* decisions that were handed out and could not be logged (`on_error: continue`) */
} mbr_log_facts;

/* MBR_ERR_ARGUMENT: a pointer is NULL, or facts->size is not set. */
MBR_API mbr_status mbr_decider_log_facts(mbr_decider *decider, mbr_log_facts *facts);

typedef struct mbr_replay_options {
    size_t size;        /* sizeof(mbr_replay_options) */
    int batch;          /* as in mbr_decider_options; the result does not depend on it */
    int threads;        /* as in mbr_session_options */
    mbr_write_fn write; /* gets the repeated log, line by line; NULL: nobody */
    void *user;
} mbr_replay_options;

typedef struct mbr_replay_result {
    size_t size;        /* set by the caller to sizeof(mbr_replay_result) */
    uint64_t files;     /* read: full ones (PATH.000001, ...) and the present one */
    uint64_t records;
    uint64_t different; /* 0: the same bytes */
    uint64_t seq;       /* of the first that differs */
    uint64_t line;      /* of its file, from 1 */
    char file[256];     /* it is in */
    char what[512];     /* "action: the log has "DECLINE", the replay "REVIEW"" */
    uint64_t first;     /* number of the first record: above 1 where older files are gone, so that memory began later */
    uint64_t gaps;      /* numbers that are missing */
} mbr_replay_result;

/*
 * Decides every record of a log again, in order: its full files from the first on, then `path` itself. Times, late
 * rows, faults of the rows' own text and drift are taken from the record; all else is made anew, beginning where the decider
 * began. MBR_OK also where something differs. A last line that was cut short is passed over.
 * MBR_ERR_IO, MBR_ERR_FORMAT (no log, or a broken line), MBR_ERR_INPUT (records hold no inputs), what a run gives.
 */
MBR_API mbr_status mbr_replay(mbr_pipeline *pipeline, const char *path, const mbr_replay_options *options,
                              mbr_replay_result *result, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif

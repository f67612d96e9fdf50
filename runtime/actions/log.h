/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file that decisions are written to: lines, each one record that begins {"seq":N,"time":"...", appended by one
 * write(2) a record or a batch, so that a process that dies loses at most what was being written. A line that was cut
 * short is taken away when the file is opened again; numbers go on where they stopped. When a file is full it is
 * renamed to PATH.000001, PATH.000002, ... One process at a time; its threads share one mbr_log.
 */
#ifndef MBR_RUNTIME_ACTIONS_LOG_H
#define MBR_RUNTIME_ACTIONS_LOG_H

#include "base/memory.h"

/* No record is longer: what has no line end within it is no log. */
#define MBR_LOG_MOST_RECORD ((size_t)64 << 20)

typedef enum mbr_log_sync {
    MBR_LOG_SYNC_NEVER,  /* the kernel writes when it likes: survives kill -9, not a power cut */
    MBR_LOG_SYNC_ROTATE, /* when a file is full, and at the end */
    MBR_LOG_SYNC_ALWAYS  /* before a decision is handed out; one sync is for all threads that wait by then */
} mbr_log_sync;

typedef struct mbr_log_config {
    const char *path;
    bool inputs;           /* records hold what a decision was made of */
    bool go_on;            /* a log that cannot be written does not stop decisions */
    mbr_log_sync sync;
    uint64_t most_bytes, most_records; /* of a file; 0: no limit. A batch is never divided */
    int64_t most_age;      /* microseconds; 0: no limit */
    int keep;              /* full files; older ones are deleted; 0: all stay */
} mbr_log_config;

typedef struct mbr_log mbr_log;

/*
 * MBR_ERR_IO: it cannot be opened, written or locked. MBR_ERR_INPUT: it is there and is no log, or another process
 * writes it. config->path must live as long as the log.
 */
mbr_status mbr_log_open(mbr_memory *memory, const mbr_log_config *config, mbr_log **out, mbr_error *err);
void mbr_log_close(mbr_log **log); /* NULL and a pointer to NULL are fine */

/* Whether a path, however it is written, is that of the file now. */
bool mbr_log_is(mbr_log *log, const char *path);

const mbr_log_config *mbr_log_settings(const mbr_log *log);

/*
 * Records are numbered and written by one thread at a time: waits, and tells the number of the next record. Until
 * mbr_log_end nobody else has the log.
 */
uint64_t mbr_log_begin(mbr_log *log);

/*
 * Writes `records` whole lines and lets the next thread in; with sync always it then waits for the disk. `now`:
 * microseconds since 1970. Where it fails nothing of them is left in the file, and the status says so, unless the log
 * goes on: then the numbers are used up, and the gap tells. With records 0 it only lets the next in.
 */
mbr_status mbr_log_end(mbr_log *log, const char *text, size_t bytes, uint64_t records, int64_t now, mbr_error *err);

/* What has been written and what was lost, by this process. */
void mbr_log_counts(mbr_log *log, uint64_t *written, uint64_t *lost);

/* ---- names of full files ---- */

/* The numbers of PATH.NNNNNN, ascending, in a block of *memory that the caller frees; *count may be 0, *out NULL. */
mbr_status mbr_log_files(mbr_memory *memory, const char *path, uint64_t **out, size_t *count, mbr_error *err);

/* Room: strlen(path) + 24. */
void mbr_log_file_name(char *to, const char *path, uint64_t number);

#endif

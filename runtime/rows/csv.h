/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CSV as of RFC 4180, read as a stream: quoted fields with doubled quotes, delimiters and line ends inside quotes, LF
 * or CRLF, a UTF-8 byte order mark. A broken record is reported and skipped, the ones after it are read.
 */
#ifndef MBR_RUNTIME_CSV_H
#define MBR_RUNTIME_CSV_H

#include "base/memory.h"
#include "mbr/dtype.h"
#include "mbr/model.h"

/* The longest record, and the most fields of one. What is longer is a broken record. */
#define MBR_CSV_RECORD ((size_t)1 << 20)
#define MBR_CSV_FIELDS 65536

/* A buffered mbr_read_fn. */
typedef struct mbr_source {
    mbr_memory *memory;
    mbr_read_fn read;
    void *user;
    char *buffer;      /* (MBR_SOURCE_BYTES) */
    size_t at, filled;
    bool ended, failed; /* its end was reached; it could not be read */
    uint64_t line;     /* of the byte at `at`, from 1 */
} mbr_source;

#define MBR_SOURCE_BYTES ((size_t)64 * 1024)

mbr_status mbr_source_open(mbr_source *s, mbr_memory *memory, mbr_read_fn read, void *user, mbr_error *err);
void mbr_source_close(mbr_source *s);
/* Fills the buffer when it is empty. *more is false at the end. */
mbr_status mbr_source_fill(mbr_source *s, bool *more, mbr_error *err);
/* Passes over a UTF-8 byte order mark at the very start; a UTF-16 one is MBR_ERR_FORMAT. */
mbr_status mbr_source_skip_mark(mbr_source *s, mbr_error *err);

typedef struct mbr_csv {
    mbr_memory *memory;
    mbr_source *source;
    char delimiter;
    char *text;         /* of the fields, one after another, without terminators */
    size_t used, capacity;
    mbr_string *fields; /* (field_count), into text */
    size_t *ends;       /* (field_count), of each field in text */
    size_t field_count, field_capacity;
    uint64_t line;      /* where the record begins */
    const char *fault;  /* NULL: sound */
    uint64_t fault_line;
    bool quoted;        /* a field of the record is */
} mbr_csv;

void mbr_csv_init(mbr_csv *c, mbr_source *source, char delimiter);
void mbr_csv_destroy(mbr_csv *c);

/*
 * Reads the next record into c->fields, valid until the next call; *more is false when there is none. Empty lines are
 * passed over. A broken record gives MBR_OK with c->fault set and no fields. Fails only when reading or memory fails.
 */
mbr_status mbr_csv_next(mbr_csv *c, bool *more, mbr_error *err);

#endif

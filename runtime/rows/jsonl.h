/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON lines (NDJSON): one object a line, as fields by name. A broken line is reported, the ones after it are read. */
#ifndef MBR_RUNTIME_JSONL_H
#define MBR_RUNTIME_JSONL_H

#include "mbr/pipeline.h"
#include "runtime/rows/csv.h"

/* A field that is a list or an object: a fault where it is an input, and of no interest elsewhere. */
#define MBR_FIELD_NESTED ((mbr_field_kind)100)

/* The longest line. */
#define MBR_JSONL_LINE ((size_t)1 << 20)

typedef struct mbr_jsonl {
    mbr_memory *memory;
    mbr_source *source;
    char *text; /* the line */
    size_t used, capacity;
    void *object; /* what the fields point into */
    mbr_field *fields;
    size_t field_count, field_capacity;
    uint64_t line;
    const char *fault; /* NULL: sound */
    char fault_text[256];
} mbr_jsonl;

/* MBR_ERR_UNSUPPORTED in a build without jansson. */
mbr_status mbr_jsonl_init(mbr_jsonl *j, mbr_source *source, mbr_error *err);
void mbr_jsonl_destroy(mbr_jsonl *j);

/*
 * Reads the next object into j->fields, valid until the next call; *more is false when there is none. Empty lines are
 * passed over. null is a missing field, true and false are numbers, a whole number also comes with its text (it may be
 * a code). A broken line gives MBR_OK with j->fault set and no fields.
 */
mbr_status mbr_jsonl_next(mbr_jsonl *j, bool *more, mbr_error *err);

#endif

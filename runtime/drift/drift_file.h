/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of baselines, monitors and deciders: a head (magic, version, kind, length), the content, a digest over all before it;
 * numbers are little-endian. Written under another name and renamed. Reading is bounded by the bytes that are left:
 * whoever reads asks once, at the end, whether all was there.
 */
#ifndef MBR_RUNTIME_DRIFT_FILE_H
#define MBR_RUNTIME_DRIFT_FILE_H

#include "base/memory.h"
#include "mbr/dtype.h"

typedef enum mbr_drift_kind {
    MBR_DRIFT_KIND_BASELINE = 1,
    MBR_DRIFT_KIND_STATE = 2,
    MBR_DRIFT_KIND_DECIDER = 3 /* what a decider remembers */
} mbr_drift_kind;

#define MBR_DRIFT_VERSION 1

typedef struct mbr_out {
    mbr_memory *memory;
    uint8_t *data;
    size_t used, capacity;
    bool failed; /* out of memory */
} mbr_out;

void mbr_out_begin(mbr_out *o, mbr_memory *memory, mbr_drift_kind kind);
void mbr_out_u64(mbr_out *o, uint64_t x);
void mbr_out_f64(mbr_out *o, double x);
void mbr_out_f64s(mbr_out *o, const double *x, size_t n);
void mbr_out_text(mbr_out *o, const char *text, size_t size);
/* Completes head and digest. *digest may be NULL. */
mbr_status mbr_out_end(mbr_out *o, uint64_t *digest, mbr_error *err);
void mbr_out_free(mbr_out *o);

/* Writes data to the path by way of "path.new". durable: it is on the disk before the name changes. */
mbr_status mbr_write_atomically(const char *path, const void *data, size_t bytes, bool durable, mbr_error *err);

typedef struct mbr_in {
    const uint8_t *data;
    size_t left;
    bool bad; /* something was not there, or out of bounds: everything read since is zero */
} mbr_in;

/* Checks head and digest of a whole file and gives its content. name: of messages. */
mbr_status mbr_in_begin(mbr_in *in, mbr_drift_kind kind, const void *data, size_t bytes, const char *name,
                        uint64_t *digest, mbr_error *err);
uint64_t mbr_in_u64(mbr_in *in);
/* A number from least to most. */
uint64_t mbr_in_range(mbr_in *in, uint64_t least, uint64_t most);
double mbr_in_f64(mbr_in *in);
/* n numbers into x. */
void mbr_in_f64s(mbr_in *in, double *x, size_t n);
/* A text inside of the data, of at most `most` bytes, without zeros. */
mbr_string mbr_in_text(mbr_in *in, size_t most);
/* A count of things of which each takes at least `each` bytes here: no more than there can be. */
size_t mbr_in_count(mbr_in *in, size_t most, size_t each);

#endif

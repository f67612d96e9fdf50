/* SPDX-License-Identifier: BSD-2-Clause */
/* What a decider keeps of a model with state: the last outputs of each key, in bounded memory. */
#ifndef MBR_RUNTIME_DECIDE_STATE_H
#define MBR_RUNTIME_DECIDE_STATE_H

#include "mbr/pipeline.h"
#include "runtime/pipeline/column.h"

/* The state of one key. */
typedef struct mbr_stream {
    struct mbr_stream *chain;          /* of its hash */
    struct mbr_stream *newer, *older;  /* by last use */
    uint64_t hash, round;              /* round: of the last one that it took part in */
    double time;                       /* of its last row */
    char *key;
    size_t key_size;
    mbr_cell cells[];                  /* (edges); data NULL: the initial state */
} mbr_stream;

typedef struct mbr_streams {
    mbr_memory *memory;
    const struct mbr_model_state *how;
    mbr_stream **slots;      /* (mask + 1) */
    size_t mask, count;
    mbr_stream *newest, *oldest;
    uint64_t round, segment; /* the round that runs; the first round of the rows that are being gathered */
    mbr_value **tensors;     /* (edges) */
    mbr_stream **of_row;     /* (batch) */
} mbr_streams;

struct mbr_decider;

mbr_status mbr_decider_begin_streams(struct mbr_decider *d, mbr_error *err);
void mbr_decider_end_streams(struct mbr_decider *d);

/* Runs the n sound rows of d->sound: in order for each key, each key once a run. */
mbr_status mbr_decider_run_streams(struct mbr_decider *d, int n, mbr_error *err);

/* Whether the states of two rows can be in one run. */
bool mbr_streams_alike(const mbr_streams *s, int a, int b);

/* Around a run of rows: their states into the model and back. */
mbr_status mbr_decider_feed_streams(struct mbr_decider *d, const int *which, int n, mbr_error *err);
mbr_status mbr_decider_take_streams(struct mbr_decider *d, const int *which, int n, mbr_error *err);

/* The stream of a key; NULL where there is none. */
mbr_stream *mbr_streams_find(const mbr_streams *s, const char *key, size_t size);
/* Makes one, which must not be there; the least recently used one goes if there is no room. NULL: no memory. */
mbr_stream *mbr_streams_add(mbr_streams *s, const char *key, size_t size, double time);
void mbr_streams_drop(mbr_streams *s, mbr_stream *stream);
/* A copy of `bytes` bytes of a state into a stream. */
bool mbr_stream_put(mbr_streams *s, mbr_stream *stream, int edge, const mbr_cell *shape, const void *data,
                    size_t bytes);

#endif

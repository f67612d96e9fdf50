/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions: one stream of runs of a model.
 *
 *     mbr_session *s;
 *     mbr_session_new(model, NULL, &s, &err);
 *     mbr_session_bind_input(s, 0, x, &err);          // borrowed until bound anew
 *     mbr_session_run(s, &err);
 *     const mbr_value *y = mbr_session_output(s, 0);  // the session's, valid until its next run
 *     mbr_session_release(&s);
 *
 * Threads: a session belongs to one thread at a time; only mbr_session_cancel may come from another. Different
 * sessions, of one model too, may run at once.
 * A run at shapes seen before allocates nothing.
 */
#ifndef MBR_SESSION_H
#define MBR_SESSION_H

#include "mbr/model.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mbr_session mbr_session;

typedef struct mbr_session_options {
    size_t size;         /* sizeof(mbr_session_options) */
    int threads;         /* at most this many of the environment's team; 0: all */
    size_t memory_limit; /* bytes of activations; 0: none. A run that needs more fails before it starts */
} mbr_session_options;

/* options may be NULL. On success *out is the caller's. The session keeps the model alive. */
MBR_API mbr_status mbr_session_new(mbr_model *model, const mbr_session_options *options, mbr_session **out,
                                   mbr_error *err);

/* Frees the session and sets *session to NULL. */
MBR_API void mbr_session_release(mbr_session **session);

/*
 * Binds a value to an input until it is bound anew; NULL unbinds. The value is borrowed: it must stay alive and
 * unchanged during each run. Kind, dtype and fixed dimensions are checked here, relations between dimensions at the
 * run; MBR_ERR_INPUT says what was expected.
 */
MBR_API mbr_status mbr_session_bind_input(mbr_session *session, int index, const mbr_value *value, mbr_error *err);

/*
 * Lets a run write output `index` into a tensor of the caller, whose shape is set to what came out; it must have the
 * dtype and the capacity (an owned tensor grows). NULL: back to memory of the session.
 */
MBR_API mbr_status mbr_session_bind_output(mbr_session *session, int index, mbr_value *value, mbr_error *err);

/*
 * State: after each run, output `output` becomes the value of input `input` for the next, without a copy where the
 * storage allows. Before the first run the input must be bound to the initial state (copied at that run).
 * A state that grows (Concat of the input and what is new, as decoders make their past) has room for more and is appended
 * to in place. Who reads such an output with mbr_session_output gets it dense, and from then on pays for copies.
 * output -1 removes the edge.
 */
MBR_API mbr_status mbr_session_bind_state(mbr_session *session, int output, int input, mbr_error *err);

/* Copies the present value of a state input out (save) or in (restore); fork = save and restore into another. */
MBR_API mbr_status mbr_session_save_state(const mbr_session *session, int input, mbr_value **out, mbr_error *err);
MBR_API mbr_status mbr_session_restore_state(mbr_session *session, int input, const mbr_value *value, mbr_error *err);

/*
 * One inference. On failure the outputs are undefined and the session may be used again.
 * MBR_ERR_INPUT: an input is missing or does not fit. MBR_ERR_RUN: a value made an operator impossible; the message
 * names the node. MBR_ERR_CANCELLED, MBR_ERR_NO_MEMORY, MBR_ERR_LIMIT.
 */
MBR_API mbr_status mbr_session_run(mbr_session *session, mbr_error *err);

/* What the last successful run left; the session's, valid until its next run, bind, restore or release. */
MBR_API const mbr_value *mbr_session_output(const mbr_session *session, int index);

/* Makes the run in progress return MBR_ERR_CANCELLED at the next tile. Any thread, also a signal handler. */
MBR_API void mbr_session_cancel(mbr_session *session);

/*
 * A run that is not done by then, in nanoseconds of CLOCK_MONOTONIC, returns MBR_ERR_CANCELLED at the next tile; 0: no
 * deadline. It holds for all following runs until it is set anew, and costs nothing while there is none.
 */
MBR_API void mbr_session_set_deadline(mbr_session *session, uint64_t nanoseconds);

/*
 * The bill: bytes of activations that a run with the bound inputs would need, and estimated work, without running.
 * Shapes that only a run can tell count with what has been seen so far.
 */
typedef struct mbr_bill {
    size_t size; /* set by the caller to sizeof(mbr_bill) */
    size_t weight_bytes, packed_bytes, activation_bytes, scratch_bytes;
} mbr_bill;
MBR_API mbr_status mbr_session_get_bill(mbr_session *session, mbr_bill *bill, mbr_error *err);

/*
 * Profile: where the time of the following runs goes, one row for each step of the program in its order (the steps of
 * loop bodies after the step that they belong to). Off by default; while it is on a step costs about 0.1 us more.
 * Starting anew clears it. Rows are of the session's thread, their strings and dims live until stop or release.
 */
typedef struct mbr_profile_row {
    size_t size;          /* set by the caller to sizeof(mbr_profile_row) */
    const char *domain, *op; /* of the program: after fusion */
    const char *node;     /* name of the node in the model that it stands for; "" where it has none */
    const char *kernel;   /* "" for plain code */
    uint64_t calls;
    double ns;            /* of all calls, without the steps of its bodies */
    double flop, bytes;   /* of all calls: estimates from the shapes; bytes: inputs and outputs once each */
    int rank;             /* of the first output at the last call; -1: none */
    const int64_t *dims;
    double weight_bytes;  /* of bytes: constants of the model */
    double least_ns;      /* of the shortest call */
    const char *device;   /* where the last call ran: "cpu", "opencl:0" */
} mbr_profile_row;
MBR_API mbr_status mbr_session_profile_start(mbr_session *session, mbr_error *err);
MBR_API void mbr_session_profile_stop(mbr_session *session);
MBR_API int mbr_session_profile_count(const mbr_session *session);
MBR_API mbr_status mbr_session_profile_row(const mbr_session *session, int index, mbr_profile_row *row, mbr_error *err);

/*
 * The same by the nodes of the model as the file has them (functions put in place), those of subgraphs before the node
 * that holds them. A step that several nodes became belongs to those that do the bulk of the work (convolution, product
 * ...), where there are such, else to all in equal parts. Steps that the library added count with the node that they
 * were added for; those of no node come last, without operator and name. So the nodes' costs add up to the rows'.
 */
typedef struct mbr_profile_node {
    size_t size;             /* set by the caller to sizeof(mbr_profile_node) */
    const char *domain, *op; /* "" for what the library added */
    const char *node;        /* its name, else that of its first output */
    int row;                 /* of the step that does its work; -1: none has to */
    const char *how;         /* "" as it is; "shape": known from the inputs' shapes; "view": nothing to move; else the
                                passes and fusion rules that took it, one after the other: "gelu, epilogue" */
    double ns, flop, bytes, weight_bytes; /* its part, of all calls */
} mbr_profile_node;
MBR_API int mbr_session_profile_node_count(const mbr_session *session);
MBR_API mbr_status mbr_session_profile_node(const mbr_session *session, int index, mbr_profile_node *node,
                                            mbr_error *err);

/*
 * Spans: when which thread worked on which step, from now on until `most` were noted for a thread (0: no longer), while
 * a profile is on. For pictures of a run.
 */
typedef struct mbr_profile_span {
    size_t size;           /* set by the caller to sizeof(mbr_profile_span) */
    int row;
    int worker;            /* 0: the session's thread; -1: the step as a whole; -2: a transfer for it, from or to a
                              device; -3: a launch of it on a device */
    int phase;
    size_t tiles;          /* pieces of the step's work; a step that is not cut has no span but its whole */
    double begin_ns, end_ns; /* of the monotonic clock */
} mbr_profile_span;
MBR_API mbr_status mbr_session_profile_spans(mbr_session *session, size_t most, mbr_error *err);
MBR_API int mbr_session_profile_span_count(const mbr_session *session);
MBR_API mbr_status mbr_session_profile_span(const mbr_session *session, int index, mbr_profile_span *span,
                                            mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif

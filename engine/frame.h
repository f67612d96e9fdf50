/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames: the memory of a program in one session. Binding inputs, turning symbols into sizes and offsets, running the
 * steps. A subgraph has a frame of its own inside the step that holds it; all frames of a session share an mbr_run.
 *
 * Threads: a frame belongs to one thread at a time; only `cancelled` of its mbr_run may be set from elsewhere.
 */
#ifndef MBR_ENGINE_FRAME_H
#define MBR_ENGINE_FRAME_H

#include "engine/program.h"
#include "engine/team.h"

typedef struct mbr_frame mbr_frame;

/* Memory of activations. */
typedef struct mbr_slab {
    char *data;
    size_t bytes;
    unsigned moves; /* how often it was put elsewhere: what was laid out before that is void */
} mbr_slab;

/* What the frames of a session share. */
typedef struct mbr_run {
    mbr_memory *memory;
    mbr_team *team;        /* NULL: the calling thread alone */
    int workers;           /* at most */
    atomic_bool cancelled;
    uint64_t deadline;     /* by mbr_spans_now; 0: none */
    double unlooked;       /* estimated work of the run's thread since the clock was last asked, ns */
    size_t n_dims;
    int64_t *dims;         /* (n_dims) sizes of the symbols and expressions of the module */
    mbr_arena arena;       /* memory of host operators until the end of the run */
    char *scratch;         /* workers * scratch_each bytes */
    size_t scratch_each;
    mbr_slab body_slab;    /* of all bodies that keep nothing from one run to the next (MBR_OP_BODY_FORGETS) */
    size_t slab_bytes;     /* of all frames */
    size_t slab_limit;     /* 0: none */
    struct mbr_spans *spans; /* where pieces of steps are noted while a profile records; else NULL */
} mbr_run;

mbr_status mbr_run_init(mbr_run *run, mbr_memory *memory, mbr_team *team, int workers, const mbr_ir_module *m,
                        mbr_error *err);
void mbr_run_destroy(mbr_run *run);

/* A frame and those of its subgraphs. The program must outlive it. */
mbr_status mbr_frame_new(const mbr_program *p, mbr_run *run, mbr_frame **out, mbr_error *err);
void mbr_frame_free(mbr_frame *f); /* NULL is fine */

/* mbr_frame_bind, mbr_frame_run, mbr_frame_output, mbr_frame_swap_output: engine/ops/op.h */

/* Output i is written into v (NULL: into the frame's own storage). Borrowed. */
mbr_status mbr_frame_bind_output(mbr_frame *f, size_t i, mbr_value *v, mbr_error *err);

/*
 * Output `output` is input `input` with more behind it along an axis, and every reader of either can do with room
 * (engine/value.h). Then mbr_frame_lend, before each run: the output may have room; where `state`, which the input is
 * bound to, has enough of it, the output goes there, and mbr_frame_swap_output into `state` then only notes its new
 * size. NULL: no more.
 */
bool mbr_frame_appends(const mbr_frame *f, size_t output, size_t input);
void mbr_frame_lend(mbr_frame *f, size_t output, const mbr_value *state);

/* Evaluates sizes and offsets for what is bound, without running: the bill. */
mbr_status mbr_frame_prepare(mbr_frame *f, mbr_error *err);
const mbr_slab *mbr_frame_slab(const mbr_frame *f);
mbr_step *mbr_frame_step(const mbr_frame *f, size_t k);
struct mbr_device_frame *mbr_frame_device(const mbr_frame *f); /* engine/device.h; NULL: the CPU runs all */
size_t mbr_frame_slab_bytes(const mbr_frame *f);
/* While a device lays out: sizes or numbers that the step follows from are others than before. */
bool mbr_frame_step_moved(const mbr_frame *f, size_t k);
const mbr_value *mbr_frame_value(const mbr_frame *f, uint32_t v); /* of the program's value v; for tests and profiles */

/*
 * Where steps run and on how many threads, at most: (steps) each, of the program; either may be NULL. devices_of: 0 is the
 * CPU, all else the device where it can. threads_of: 0 is all.
 */
mbr_status mbr_frame_place(mbr_frame *f, const int *devices_of, const int *threads_of, mbr_error *err);
/* Where step k ran last: "cpu", or the device's name. */
const char *mbr_frame_where(const mbr_frame *f, size_t k);
/* Another frame has used the run's sizes: they are worked out again. It writes where `from` was told to. */
void mbr_frame_take_over(mbr_frame *f, const mbr_frame *from);
/* Room for the sizes of another module's frames. */
mbr_status mbr_run_room(mbr_run *run, const mbr_ir_module *m, mbr_error *err);

/* For profiles: called around each step when set, those of bodies too; the end comes also when the step failed. */
typedef void (*mbr_step_hook)(void *user, const mbr_step *step, bool begin);
void mbr_frame_set_hook(mbr_frame *f, mbr_step_hook hook, void *user);
void mbr_frame_record(mbr_frame *f, struct mbr_spans *spans); /* NULL: no longer */
struct mbr_spans *mbr_frame_spans(const mbr_frame *f);
int mbr_frame_workers(const mbr_frame *f);
bool mbr_frame_wants_team(const mbr_frame *f); /* a step seen so far has work for more than one thread */
const mbr_program *mbr_frame_program(const mbr_frame *f);
mbr_memory *mbr_frame_memory(const mbr_frame *f);
/* Of step i's b-th body; NULL: there is none. */
mbr_frame *mbr_frame_body(const mbr_frame *f, size_t i, size_t b);
bool mbr_frame_prepared(const mbr_frame *f); /* for some sizes; a body that never ran is not */
size_t mbr_step_index(const mbr_step *s); /* within its program */

/* Runs a node on its constant inputs and returns its outputs (n_outputs of it; NULL where not wanted), each with a
   reference of the caller's. */
mbr_status mbr_eval_node(mbr_ir_node *n, mbr_value **outputs, mbr_error *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operator table: one row for each operator and each version that changed its meaning.
 *
 * A file of engine/ops/ defines `const mbr_op mbr_ops_NAME[]`, ended by a row without a name; engine/ops/list.h names
 * the files' tables and the kernels that they run on. So a new operator costs a file and a line there.
 *
 * A node becomes a step. The life of a step in a session:
 *   init     once: reads attributes into `state`
 *   prepare  whenever a shape (or the content of a content input) is new: checks, tile counts, scratch size
 *   run      for each phase, tiles [first, last): from any thread of the team
 * infer has run before prepare, so output shapes are set and storage is there. No function keeps data pointers between
 * calls: they are read from the values at run. None allocates in run, except where the flag HOST says so.
 * `pack` runs once a model, while it is planned, when its weights are constants; what it makes is shared by all sessions.
 */
#ifndef MBR_ENGINE_OPS_OP_H
#define MBR_ENGINE_OPS_OP_H

#include "engine/infer.h"
#include "engine/ir.h"
#include "kernels/families.h"

typedef struct mbr_op mbr_op;
typedef struct mbr_step mbr_step;
struct mbr_frame;
struct mbr_expansion;

enum {
    MBR_OP_INPLACE0 = 1u << 0,  /* output 0 may use the bytes of input 0 when shape and dtype size agree */
    MBR_OP_INPLACE1 = 1u << 1,  /* ... of input 1 (both bits: either one) */
    MBR_OP_VIEW = 1u << 2,      /* output 0 is the bytes of input 0: no run at all (Reshape, Identity) */
    MBR_OP_SIZED_BY_RUN = 1u << 3, /* run sets the outputs' shapes with mbr_step_resize (NonZero, NMS ...) */
    MBR_OP_RANDOM = 1u << 4,    /* a new answer each time: not folded, not merged */
    MBR_OP_HOST = 1u << 5,      /* runs as one tile on the calling thread, may take memory from the run's arena */
    MBR_OP_CONTROL = 1u << 6,   /* holds subgraphs */
    MBR_OP_CHAIN = 1u << 7,     /* f32 elementwise: the chain pass may take it */
    MBR_OP_ANY_KIND = 1u << 8,  /* takes or gives values that are no tensors */
    MBR_OP_BODY_FORGETS = 1u << 9, /* nothing of its body's values is read after the step, and the body holds no other:
                                     such bodies share their memory */
    MBR_OP_PACKS_ALIKE = 1u << 11 /* what pack makes follows from attributes and constant inputs alone */
};

#define MBR_OP_MANY 255 /* max_in, max_out: any number */
#define MBR_MAX_PHASES 4

/* What a call of run is about. */
typedef struct mbr_job {
    int phase;
    size_t first, last;  /* tiles, first <= t < last, counts as prepare set them */
    int worker;          /* 0 .. team size - 1 */
    void *scratch;       /* step->scratch bytes, MBR_ALIGN aligned, this worker's own, undefined content */
} mbr_job;

/* Packing at plan time. */
typedef struct mbr_pack {
    const mbr_ir_node *node;
    mbr_memory *memory;
    void *packed;        /* result: from mbr_alloc(memory); freed with the model. Other processes may read it from a
                            file: it holds no addresses, or the operator has `thaw`; kernels/packed.h names kernels */
    size_t bytes;
    uint32_t packed_inputs; /* result: bit i: the constant input i is not read at run any more */
    mbr_error *err;
} mbr_pack;

struct mbr_op {
    const char *domain;   /* "" ai.onnx, "ai.onnx.ml", "com.microsoft", "mbr" (made by passes), ... */
    const char *name;
    int since;            /* first version of the domain with this meaning */
    uint8_t min_in, max_in, min_out, max_out;
    uint32_t flags;
    uint32_t content_inputs; /* bit i: of input i only shape and numbers matter, and they are read through
                                mbr_infer_ints / mbr_step_ints, so that it need not exist as data when they are known */
    uint32_t any_address; /* bit i: pack, or run where there is no pack, reads a constant input i without regard to
                             its alignment */
    mbr_status (*infer)(mbr_infer *c);
    mbr_status (*init)(mbr_step *s, mbr_error *err);    /* may be NULL */
    mbr_status (*prepare)(mbr_step *s, mbr_error *err); /* may be NULL: one tile, no scratch */
    mbr_status (*run)(mbr_step *s, const mbr_job *job, mbr_error *err); /* err: this thread's own */
    mbr_status (*pack)(mbr_pack *p);                    /* may be NULL */
    void (*fini)(mbr_step *s);                          /* frees what init or prepare took; may be NULL */
    size_t state_size;       /* bytes of step->state, zeroed before init */
    /* An operator that others make up: puts them before the node (engine/ops/expand_util.h), which is then removed. The other
       functions are not called; infer may be NULL. */
    mbr_status (*expand)(struct mbr_expansion *x);
    int64_t param;           /* the row's own: which function of a family */
    uint32_t holes;          /* bit i: input i may be left out though it lies before min_in */
    /* What pack made lies in memory that is never written, perhaps of another process and elsewhere: puts a copy of what
       has to differ into p->packed. NULL: it is used as it lies. */
    mbr_status (*thaw)(mbr_pack *p);
    uint32_t roomy_inputs;   /* bit i: input i may have room (engine/value.h) */
    /* Output out + i is input in + i with more behind it along the axis (0: the attribute `axis`), i < n. Its run sees to
       room, and to both being the same memory. */
    struct {
        uint8_t n, out, in, axis;
    } appends;
    int until;               /* last version with this meaning where the operator was then removed; 0: none */
};

struct mbr_step {
    const mbr_op *op;
    const mbr_ir_node *node;
    struct mbr_frame *frame;
    uint32_t n_in, n_out;
    mbr_value **in;          /* (n_in) NULL: absent. Shape and dtype valid from prepare on, data at run */
    mbr_value **out;         /* (n_out) NULL: not wanted */
    void *state;             /* op->state_size bytes of this session */
    const void *packed;      /* what pack made, or NULL */
    /* set by prepare: */
    int phases;              /* default 1 */
    size_t tiles[MBR_MAX_PHASES]; /* default 1 each */
    size_t scratch;          /* bytes for each worker */
    double cost_ns;          /* estimated time on one core; steps under ~20 us stay on the calling thread */
    const char *kernel;      /* name of the kernel that does most of the work, for profiles; NULL: plain code */
};

/* --- lookups --- */

/* The row for an operator at a version of its domain, NULL: unknown. "ai.onnx" is "". */
const mbr_op *mbr_op_find(const char *domain, const char *name, int version);
/* All rows, for lists: the i-th or NULL at the end. */
const mbr_op *mbr_op_at(size_t i);
/* The kernels that do most of the row's work. */
mbr_family mbr_op_family(const mbr_op *op);

/* --- for prepare and run --- */

/* A failure that names the node. */
mbr_status mbr_step_fail(const mbr_step *s, mbr_error *err, mbr_status status, const char *fmt, ...) MBR_PRINTF(4, 5);

static inline bool mbr_step_has(const mbr_step *s, uint32_t i)
{
    return i < s->n_in && s->in[i] != NULL;
}
static inline bool mbr_step_wants(const mbr_step *s, uint32_t i)
{
    return i < s->n_out && s->out[i] != NULL;
}

/* The numbers of integer input i (content or data), at most max; fails with a message if there are more. For content
   inputs this is the only way to read them. Works in prepare and in run. */
mbr_status mbr_step_ints(const mbr_step *s, uint32_t i, int64_t *v, size_t max, size_t *n, mbr_error *err);
/* The size that an expression of the graph around has in this run; `otherwise` where the plan does not know it. */
int64_t mbr_step_size(const mbr_step *s, mbr_dim d, int64_t otherwise);
/* Is input i a constant or known content now, so that prepare may rely on its numbers? Otherwise read them in run. */
bool mbr_step_known(const mbr_step *s, uint32_t i);

/* Run of a SIZED_BY_RUN operator: gives output i its shape and storage. */
mbr_status mbr_step_resize(mbr_step *s, uint32_t i, int rank, const int64_t *dims, mbr_error *err);

/* HOST operators: memory until the end of the run. NULL when out of memory. */
void *mbr_step_alloc(mbr_step *s, size_t bytes);
/* The environment's memory, for state that grows (capacity kept between runs; free it in fini). */
mbr_memory *mbr_step_memory(const mbr_step *s);
/* Workers that may run tiles of this step at once. */
int mbr_step_workers(const mbr_step *s);

/* Splits n items of about ns_each into tiles of at most ~200 us and sets tiles[0], cost_ns. Returns items per tile. */
size_t mbr_step_split(mbr_step *s, size_t n, double ns_each);

/* --- control flow: subgraphs of the node, planned once, one frame each --- */

/* The frame of the graph attribute of that name ("body", "then_branch"); it lives as long as the step. */
struct mbr_frame *mbr_step_subframe(mbr_step *s, const char *attr);
/* Feeds its captures from the step's inputs; call once a run before its first mbr_frame_run. */
mbr_status mbr_subframe_bind_captures(mbr_step *s, struct mbr_frame *f, mbr_error *err);
/* Borrowed until the next bind. */
mbr_status mbr_frame_bind(struct mbr_frame *f, size_t input, const mbr_value *v, mbr_error *err);
mbr_status mbr_frame_run(struct mbr_frame *f, mbr_error *err);
/* Valid until the frame's next run. */
const mbr_value *mbr_frame_output(const struct mbr_frame *f, size_t i);
/*
 * Moves output i into `into` (an owning value), without a copy where the frame owns the storage: the two swap storage.
 * So a loop carries state: swap the output out, bind `into` as the next input.
 */
mbr_status mbr_frame_swap_output(struct mbr_frame *f, size_t i, mbr_value *into, mbr_error *err);
/*
 * Rounds: a body that runs again on inputs of the same shapes needs nothing but new pointers. *settled says whether f
 * is such a frame, after a run of it: no shape depends on data, every output is a tensor whose size the run does not
 * choose. Then, until the next mbr_frame_bind or mbr_frame_run: point inputs and outputs to where the next round reads
 * and writes (what is not pointed stays), and mbr_frame_round.
 */
mbr_status mbr_frame_settle(struct mbr_frame *f, bool *settled, mbr_error *err);
/* The last run had a tensor of v's type and shape as input i. */
bool mbr_frame_fits(const struct mbr_frame *f, size_t i, const mbr_value *v);
void mbr_frame_point_input(struct mbr_frame *f, size_t i, const void *data);
/* False: output i has no storage of its own (an input, a constant, another output): copy mbr_frame_made's data. */
bool mbr_frame_point_output(struct mbr_frame *f, size_t i, void *data);
mbr_status mbr_frame_round(struct mbr_frame *f, mbr_error *err);
/* Step k of a round alone; also where a profile looks on, and the frame is called unsettled for that. */
mbr_status mbr_frame_round_step(struct mbr_frame *f, uint32_t k, mbr_error *err);
/* Output i of the last round. */
const mbr_value *mbr_frame_made(const struct mbr_frame *f, size_t i);

/* True once the session was cancelled or its deadline passed: return MBR_ERR_CANCELLED. Loops ask each round. */
bool mbr_step_cancelled(const mbr_step *s);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a frame, for the files engine/frame*.c alone. */
#ifndef MBR_ENGINE_FRAME_PARTS_H
#define MBR_ENGINE_FRAME_PARTS_H

#include "engine/frame.h"
#include "engine/ops/op.h"

/* Steps shorter than this are not worth waking the team. */
#define MBR_TEAM_WORTH_NS 15000.0
/* Steps have at least this for what their cost leaves out. */
#define MBR_LEAST_NS 500.0

/* What sizes follow from: a bit for each expression over symbols (some share one), and two more. */
#define MBR_FOLLOWS_EXPR(i) (UINT64_C(1) << (i) % 62)
#define MBR_FOLLOWS_RUN (UINT64_C(1) << 62)  /* from more than the plan knows */
#define MBR_FOLLOWS_NONE (UINT64_C(1) << 63) /* all do: it moves before the first time */

/* Values whose data moves with an input or output: it and its planned aliases. */
typedef struct mbr_frame_link {
    mbr_value **values; /* (n) */
    uint32_t n;
} mbr_frame_link;

struct mbr_frame {
    const mbr_program *p;
    mbr_run *run;
    mbr_value *values;      /* (p->n_values) */
    mbr_step *steps;        /* (p->n_steps) */
    mbr_frame ***bodies;    /* (p->n_steps) each (n_bodies), NULL where there are none */
    uint32_t *started;      /* steps whose init ran: for fini */
    uint32_t n_started;
    char *states;
    mbr_slab own_slab;
    mbr_slab *slab;         /* its own, or the one that it shares */
    unsigned slab_moves;    /* of the slab, when sizes and offsets were worked out */
    size_t slab_used;
    size_t *ends, *rooms;   /* (p->n_values) of slab values: where they end, and bytes they take */
    mbr_value **outputs;    /* (n_outputs) where output i is written: own_outputs[i] or the caller's */
    mbr_value *own_outputs; /* (n_outputs) */
    const mbr_value **lent; /* (n_outputs) mbr_frame_lend */
    bool *bound;            /* (n_inputs + n_captures) */
    bool wants_team;        /* some step is worth it */
    bool ready;             /* sizes and offsets hold for what is bound */
    bool prepared;          /* all steps are, for the sizes that were seen */
    uint64_t moved;         /* what the last layout found to have other sizes than the one before */
    int64_t *seen;          /* (expressions) the sizes that all was laid out and prepared for */
    uint64_t *follows;      /* (values) what their sizes and content follow from */
    uint64_t *step_follows; /* (steps) the same of all that a step reads and writes */
    uint32_t *views;        /* (2 n_views) planned aliases and their roots */
    uint32_t n_views;
    uint32_t *relinked;     /* (n_relinked) planned aliases of bound values and outputs: their data moves between runs */
    uint32_t n_relinked;
    mbr_frame_link *links;      /* (n_inputs + n_outputs) once settled; none for an output without storage of its own */
    mbr_step **round;       /* (n_round) steps that a round runs */
    uint32_t n_round;
    struct mbr_device_frame *device; /* NULL: the CPU runs all steps */
    bool *kept;             /* (steps) the CPU runs it though the device may; NULL: none */
    uint16_t *threads;      /* (steps) of the team at most, 0: all; NULL: all for each */
    mbr_step_hook hook;
    void *hook_user;
    mbr_arena arena;        /* the arrays above */
    mbr_arg *args;          /* room for the inference of a dynamic step: as many as the largest has inputs and outputs */
};

/* --- frame.c --- */

void mbr_run_drop_slab(mbr_run *run, mbr_slab *slab);
mbr_status mbr_run_need_scratch(mbr_run *run, size_t each, mbr_error *err);
/* Cancelled, or out of time: then it is cancelled for all threads. */
bool mbr_run_stopped(mbr_run *run);
/* The same after a step, by the thread that runs the steps; many short ones share a look at the clock. */
bool mbr_run_stopped_after(mbr_run *run, double cost_ns);
mbr_status mbr_frame_cancelled(const mbr_frame *f, mbr_error *err);
mbr_status mbr_frame_run_phases(mbr_frame *f, mbr_step *s, mbr_error *err);
/* Shapes of a step that only the run tells. */
mbr_status mbr_frame_infer(mbr_frame *f, const mbr_program_step *ps, mbr_step *s, mbr_error *err);
mbr_status mbr_frame_run_dynamic(mbr_frame *f, const mbr_program_step *ps, mbr_step *s, mbr_error *err);
/* True where output i was written straight into its storage. */
bool mbr_frame_in_storage(const mbr_frame *f, size_t i);

/* A planned view of a value that the run sizes or places. */
static inline void mbr_frame_view_now(mbr_step *s)
{
    s->out[0]->data = s->in[0]->data;
    s->out[0]->capacity = s->in[0]->capacity;
}

/* --- frame_sizes.c --- */

/* Sizes and offsets hold, and the slab is where it was when they were worked out. */
bool mbr_frame_laid_out(const mbr_frame *f);
mbr_status mbr_frame_prepare_step(mbr_frame *f, mbr_step *s, mbr_error *err);
/* Who ran out of memory; other failures say so themselves. */
mbr_status mbr_frame_blame(const mbr_step *s, mbr_status st, mbr_error *err);

/* --- frame_device.c --- */

/* A device that does not let us in leaves everything to the CPU, where that is allowed. */
mbr_status mbr_frame_open_device(mbr_frame *f, struct mbr_device *device, mbr_error *err);
/* As mbr_frame_run, where a device does some of the steps. However it ends, the device has let go of all memory.
   *failed: the device did, and with it what it had. */
mbr_status mbr_frame_run_placed(mbr_frame *f, bool *failed, mbr_error *err);

#endif

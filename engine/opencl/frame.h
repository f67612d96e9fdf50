/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A frame on an OpenCL device: its queue, its memory, the launches of its steps. Inside engine/opencl/ only.
 *
 * Memory: the values of the slab lie in one buffer at the offsets that the plan gave them on the host; where the device
 * shares the host's memory, that buffer is the host's slab itself. Inputs, outputs and numbers of shapes lie in a
 * second buffer, constants in buffers that all frames of the device share.
 */
#ifndef MBR_ENGINE_OPENCL_FRAME_H
#define MBR_ENGINE_OPENCL_FRAME_H

#include "engine/opencl/device.h"
#include "engine/frame.h"

typedef struct mbr_cl_launch {
    cl_program program;  /* with `name`, what the kernel was made of: the same again needs no new kernel */
    char name[48];
    cl_kernel kernel;
    cl_uint dims;
    size_t global[3], local[3];
} mbr_cl_launch;

typedef struct mbr_cl_step {
    mbr_cl_launch *launches; /* (n) of (capacity) */
    unsigned n, capacity;
    bool on;                 /* at the present sizes */
    bool flags;              /* a launch may write the frame's flag */
    bool scratch;            /* a launch uses the scratch buffer */
    cl_mem table;            /* mbr_cl_table, or NULL */
    size_t table_bytes;
    char why[96];            /* not */
} mbr_cl_step;

/* Where a value is on the device. */
typedef struct mbr_cl_place {
    cl_mem mem; /* NULL: it has none */
    size_t at;
} mbr_cl_place;

/* A buffer that grows. */
typedef struct mbr_cl_buffer {
    cl_mem mem;
    size_t bytes;
    const void *host; /* the memory that it is made of, or NULL */
    unsigned made;    /* how often: kernels know buffers by handles that a driver may give again */
} mbr_cl_buffer;

/* On its way in this run. */
typedef struct mbr_cl_transfer {
    uint32_t value;          /* canonical */
    cl_event event;
    bool up;                 /* to the device */
    bool ended;              /* somebody has waited for it */
    bool ordered;            /* launches from now on come after it */
} mbr_cl_transfer;

typedef struct mbr_cl_note mbr_cl_note; /* trace.c */

typedef struct mbr_cl_frame {
    struct mbr_device *device; /* first: what engine/device.h calls mbr_device_frame */
    mbr_cl_device *d;
    mbr_frame *f;
    const mbr_program *p;
    cl_command_queue queue, copies; /* of launches, and of transfers that overlap them */
    mbr_cl_buffer slab, io, scratch;
    mbr_cl_buffer flag;    /* an int: not 0 once a kernel met what is an error (lower.h) */
    bool flagged;          /* in this run a step might have */
    mbr_cl_place *places;  /* (n_values) */
    mbr_cl_buffer *own;    /* (n_values) of values that only the run sizes */
    size_t *rooms;         /* (n_values) bytes of a value in `io`: they grow with some to spare, so that few move */
    bool *moved;           /* (n_values) it is elsewhere than when steps were lowered last */
    uint32_t *canon;       /* (n_values) the value whose bytes and content a view shows */
    uint8_t *where;        /* (n_values) of canonical values: ON_HOST, ON_DEVICE */
    bool *wanted;          /* (n_values) canonical: the host needed it in some run */
    uint32_t *maker;       /* (n_values) canonical: the step that made it on the device */
    cl_event *arrives;     /* (n_values) canonical: its transfer, until somebody has waited for it */
    mbr_cl_transfer *transfers; /* (n_transfers) of a run: at most two a value */
    uint32_t n_transfers;
    cl_event *done;        /* (n_steps) of the last launch of a step in flight, or NULL */
    uint32_t *flight;      /* (n_flight) steps started in this run; those before `reached` have ended */
    uint32_t n_flight, reached;
    uint32_t now;          /* the step that transfers are for */
    bool mixed, mixing;    /* the CPU had steps in the last run; has in this one */
    bool tracing;          /* the queues take times */
    cl_event traced;       /* of the latest launch */
    mbr_cl_note *notes;    /* (n_notes) what is traced in this run */
    size_t n_notes, most_notes;
    mbr_cl_step *steps;    /* (n_steps) */
    size_t scratch_needed; /* by the steps lowered so far */
    bool lowered;          /* the steps are, for the places and sizes that they had then */
    bool busy;             /* something may be in flight */
    bool lost;             /* the device failed: the CPU does everything */
    mbr_arena arena;
} mbr_cl_frame;

enum { MBR_CL_ON_HOST = 1, MBR_CL_ON_DEVICE = 2 };

extern const mbr_device_functions mbr_cl_frame_functions;

/* At least bytes, or status MBR_ERR_UNSUPPORTED. Content is lost when it grows. */
mbr_status mbr_cl_buffer_need(mbr_cl_device *d, mbr_cl_buffer *b, size_t bytes, mbr_error *err);

/* Lowers step k at its present sizes; cs->on says whether the device does it. Fails when out of memory only. */
mbr_status mbr_cl_lower_step(mbr_cl_frame *cf, size_t k, mbr_step *s, mbr_error *err);

/* The constant that v is or shows, NULL: none; and its place on the device, uploaded where it is not there yet. */
const mbr_ir_value *mbr_cl_constant_of(const mbr_cl_frame *cf, uint32_t v);
mbr_status mbr_cl_constant(mbr_cl_frame *cf, uint32_t v, mbr_cl_place *place, mbr_error *err);

/* run.c: what engine/device.h asks while steps run. */
void mbr_cl_run_begin(mbr_device_frame *df);
bool mbr_cl_run_has(const mbr_device_frame *df, size_t step);
mbr_status mbr_cl_run_step(mbr_device_frame *df, size_t k, mbr_error *err);
mbr_status mbr_cl_run_fetch(mbr_device_frame *df, const mbr_step *s, bool all, mbr_error *err);
void mbr_cl_run_wrote(mbr_device_frame *df, const mbr_step *s);
mbr_status mbr_cl_run_wait(mbr_device_frame *df, mbr_error *err);
mbr_status mbr_cl_run_finish(mbr_device_frame *df, mbr_error *err);

void mbr_cl_drop_launches(mbr_cl_frame *cf, mbr_cl_step *cs);

#endif

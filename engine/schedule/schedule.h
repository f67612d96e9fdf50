/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the steps of a program run: machine (machine.h), work and rates (work.h, rates.h) and placement (place.h) put
 * together, for a frame whose sizes are known.
 */
#ifndef MBR_ENGINE_SCHEDULE_SCHEDULE_H
#define MBR_ENGINE_SCHEDULE_SCHEDULE_H

#include "engine/frame.h"
#include "engine/schedule/machine.h"
#include "engine/schedule/place.h"
#include "engine/schedule/rates.h"

/* Can device i (of the options) run the step at its present sizes? */
typedef bool (*mbr_supports_fn)(void *user, const mbr_step *s, const mbr_work *w, int device);

typedef struct mbr_schedule_options {
    const mbr_machine *machine;
    const mbr_rates *rates;
    const mbr_plan_device *devices; /* zeros mean defaults (mbr_device_complete) */
    int n_devices;
    int threads;                    /* at most; 0: what the machine allows */
    const char *pins;               /* text of a placement file, or NULL */
    double replica_bytes;
    mbr_supports_fn supports;       /* NULL: numeric tensors of the families that devices have kernels for */
    void *user;
} mbr_schedule_options;

typedef struct mbr_schedule_step {
    size_t index;           /* of the program's step */
    const mbr_step *step;
    mbr_work work;
    int device;             /* 0: the processor; i + 1: device i */
    int threads;            /* of the team; 0 on a device */
    const char *why;
    double begin_ns, ns, transfer_ns; /* transfers lie before the beginning */
    double cpu_ns, device_ns; /* device_ns: on the best device that can; 0: none */
    double transfer_bytes;
    const int *inputs;      /* (n_inputs) entries of this list that it reads, views skipped */
    int n_inputs;
    bool sized;             /* its output's shape is known */
} mbr_schedule_step;

typedef struct mbr_schedule {
    mbr_arena arena;
    mbr_schedule_step *steps; /* (n) those that run, in their order */
    int n;
    const int *devices_of;  /* (program steps) 0: the processor; i + 1: device i: for whoever runs them */
    const int *threads_of;  /* (program steps) that pins allow; 0: all */
    int threads;            /* of the largest team */
    double ns, cpu_ns;      /* of a run; of one on the processor alone */
    double transfer_bytes, replica_bytes;
    const char *team, *weights; /* lines for people */
    int n_places;           /* devices and the processor: the arrays below */
    double *busy_ns, *weight_bytes, *activation_bytes, *count, *flop;
} mbr_schedule;

/*
 * f: laid out (mbr_frame_prepare), or one that has run, which also knows what only a run can tell. MBR_ERR_ARGUMENT: the
 * pins name a node or a device that is not there.
 */
mbr_status mbr_schedule_new(mbr_memory *memory, const mbr_schedule_options *o, const mbr_frame *f, bool ran,
                            mbr_schedule *out, mbr_error *err);
void mbr_schedule_free(mbr_schedule *s);

/* Share of a device's peak that steps are taken to reach. */
typedef enum mbr_device_rate { MBR_DEVICE_PRODUCT, MBR_DEVICE_OTHER, MBR_DEVICE_STREAM } mbr_device_rate;
double mbr_device_share(mbr_device_rate rate);
/* Puts defaults in the place of zeros. */
void mbr_device_complete(mbr_plan_device *d);
/* Nanoseconds of the work on a device, its launch included. */
double mbr_device_ns(const mbr_plan_device *d, const mbr_work *w, bool half);

#endif

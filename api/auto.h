/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of a machine's devices a session uses, and for which steps. docs/placement.md tells how that is decided. */
#ifndef MBR_API_AUTO_H
#define MBR_API_AUTO_H

#include "api/env.h"
#include "engine/schedule/schedule.h"

/* Devices with their facts. Of one that is the processor itself (an OpenCL driver for CPUs) nothing is measured. */
typedef struct mbr_known {
    int n;
    bool broken; /* n is 0 because a driver did not outlive its trial */
    struct mbr_known_device {
        mbr_plan_device facts; /* its name is the one below */
        char name[24];
        bool is_cpu;
    } devices[MBR_MOST_DEVICES];
} mbr_known;

/* Rates of this machine's cores: kept, or measured once for the environment. */
mbr_status mbr_env_rates(mbr_env *env, const char *cache, const mbr_rates **rates, mbr_error *err);

/* Takes devices whose facts the caller gives; structs may be older than ours. On success *out is the caller's. */
mbr_status mbr_known_of(mbr_env *env, const mbr_plan_device *devices, int n, mbr_known **out, mbr_error *err);

/* What a choice is made for, and what it comes to. */
typedef struct mbr_choice {
    mbr_model *model;
    mbr_run *run;
    mbr_frame *frames[2];  /* of the CPU's program; of the device's, made where it comes to that */
    mbr_status (*bind)(void *user, mbr_frame *f, mbr_error *err); /* all inputs */
    void *user;
    const char *pins;      /* text, or NULL */
    int which;             /* of the frames */
    const char *device;    /* its name, NULL: none was considered */
    bool planned;          /* the schedule is made for the CPU's program, too, where no device is considered */
    mbr_schedule schedule; /* of the chosen frame where it is the device's, or planned; to be freed then */
    bool scheduled;
} mbr_choice;

/* Afterwards the chosen frame is laid out, and its steps are placed. */
mbr_status mbr_choose(mbr_choice *c, mbr_error *err);

/* The pins of a model that is not automatic, for a frame of it. */
mbr_status mbr_place_pins(const mbr_model *m, mbr_frame *f, mbr_error *err);

#endif

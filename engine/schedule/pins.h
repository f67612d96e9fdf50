/* SPDX-License-Identifier: BSD-2-Clause */
/* Placement files: lines `NODE DEVICE [threads=N]`. docs/placement.md tells what they mean. */
#ifndef MBR_ENGINE_SCHEDULE_PINS_H
#define MBR_ENGINE_SCHEDULE_PINS_H

#include "engine/program.h"

typedef struct mbr_pins {
    const mbr_program *p;
    const char *(*device)(void *user, int i); /* name of device i, from 0; NULL: there are no more. The CPU is none */
    bool (*can)(void *user, uint32_t step, int device);
    void *user;
    int *devices, *threads; /* (steps) results: -1, or 0 for the CPU, i + 1 for device i; 0, or threads at most */
} mbr_pins;

/* MBR_ERR_ARGUMENT: a node or a device is not there, or a line is none. text: NULL is none. */
mbr_status mbr_pins_read(const mbr_pins *pins, const char *text, mbr_error *err);

/* The first device other than "cpu" that the text names, cut to the room; false: there is none. */
bool mbr_pins_device(const char *text, char *name, size_t room);

#endif

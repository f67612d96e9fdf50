/* SPDX-License-Identifier: BSD-2-Clause */
/* What `mbr plan` shows, and the ways to show it. */
#ifndef MBR_TOOLS_PLAN_H
#define MBR_TOOLS_PLAN_H

#include "tools/command.h"

#define MOST_DEVICES 15

typedef struct shown_plan {
    const char *model;
    mbr_plan_row *rows;
    int n;
    mbr_plan_totals totals;
} shown_plan;

/* Devices from a JSON file. Their names live until drop_devices(*text), due after a failure too. An exit status. */
int read_devices(const char *path, mbr_plan_device *devices, int *n, void **text);
void drop_devices(void *text);

/* Pictures: an exit status. */
int write_dot(const shown_plan *p, const char *path);
int write_svg(const shown_plan *p, const char *path);

#endif

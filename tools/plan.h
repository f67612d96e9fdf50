/* SPDX-License-Identifier: BSD-2-Clause */
/* What `mbr plan` shows, and the ways to show it. */
#ifndef MBR_TOOLS_PLAN_H
#define MBR_TOOLS_PLAN_H

#include "tools/command.h"

typedef struct shown_plan {
    const char *model;
    mbr_plan_row *rows;
    int n;
    mbr_plan_totals totals;
} shown_plan;

/* Pictures: an exit status. */
int write_dot(const shown_plan *p, const char *path);
int write_svg(const shown_plan *p, const char *path);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What `mbr profile` measured, and the ways to show it. */
#ifndef MBR_TOOLS_PROFILE_H
#define MBR_TOOLS_PROFILE_H

#include "tools/command.h"

typedef struct profile {
    const command_options *o;
    loaded l;
    size_t runs;
    double wall_ns;  /* of all runs */
    double steps_ns; /* of all steps in them */
    double largest_ns;
    mbr_limits limits;
    double weight_bytes;       /* of all steps in a run: tells which level of memory they come from */
    mbr_profile_row *rows;     /* (n_rows) */
    mbr_profile_node *nodes;   /* (n_nodes) */
    int n_rows, n_nodes;
} profile;

typedef struct cost {
    double ns, flop, bytes, weight_bytes;
} cost;

cost row_cost(const mbr_profile_row *r);
cost node_cost(const mbr_profile_node *n);

/* The least time that the machine needs for it, in ns a run: arithmetic, or bytes from the level that they fit. Arithmetic
   on 8-bit integers does not count: its limit is not measured. */
double least_ns(const profile *p, const char *op, cost c);

/* "1x64x56x56"; "domain.Op" */
void shape_text(const mbr_profile_row *r, char *text, size_t size);
void op_text(const char *domain, const char *op, char *text, size_t size);

/* Runs the model a few more times. An exit status. */
int write_trace(profile *p, const char *path);
int write_html(const profile *p, const char *path);

#endif

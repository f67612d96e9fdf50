/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast this machine's cores do each family of work (engine/schedule/families.def), read memory, and come together
 * as a team. Measured on kernels, never on models: a few milliseconds for each family.
 *
 * As text, for the file that keeps them and for --rates: a line `NAME NUMBER...` each; # begins a comment; what is not
 * named keeps its default.
 */
#ifndef MBR_ENGINE_SCHEDULE_RATES_H
#define MBR_ENGINE_SCHEDULE_RATES_H

#include "base/log.h"
#include "engine/schedule/machine.h"
#include "engine/schedule/work.h"
#include "engine/team.h"

enum { MBR_NEAR_OWN, MBR_NEAR_SHARED, MBR_NEAR_MEMORY, MBR_NEAR_COUNT };

typedef struct mbr_rates {
    double base[MBR_WORK_COUNT], each[MBR_WORK_COUNT]; /* ns, and ns a unit, on one core */
    double read[MBR_NEAR_COUNT];     /* bytes a ns that one core reads: own caches, shared cache, memory */
    double read_all[MBR_NEAR_COUNT]; /* ... that all cores of a group (shared) or node (memory) read together */
    double wake_ns, join_ns;         /* to start a step on a team, and for each further thread of it */
    double scale;                    /* share of its own speed that each of many busy cores has */
    double run_ns;                   /* of a run beside its steps */
    double overlap;                  /* share of the shorter of arithmetic and memory that goes by beside the longer */
    double quiet;                    /* share of the processor time that measuring them asked for and had */
    size_t own_bytes, shared_bytes;  /* data that fit */
    const char *source;              /* "defaults", "measured", "kept", "given" */
} mbr_rates;

void mbr_rates_default(mbr_rates *r);
/* Names that are not known fail with MBR_ERR_FORMAT. */
mbr_status mbr_rates_parse(mbr_rates *r, const char *text, mbr_error *err);
/* At most `size` bytes with the terminator; returns the length. */
size_t mbr_rates_print(const mbr_rates *r, char *text, size_t size);

/* Measures on the calling thread and the team. Less than two seconds. */
mbr_status mbr_rates_measure(mbr_team *team, mbr_memory *memory, mbr_rates *r, mbr_error *err);

/*
 * What was measured on this machine before, with this version and as many threads; otherwise measures and keeps that.
 * What was measured beside other jobs is kept for ten minutes only.
 * folder: NULL for MBR_CACHE, $XDG_CACHE_HOME/mbr or ~/.cache/mbr; "off": defaults. A file that is damaged or cannot be
 * written is no failure.
 */
mbr_status mbr_rates_get(mbr_team *team, mbr_memory *memory, const mbr_log *log, const char *folder, mbr_rates *r,
                         mbr_error *err);

/* Nanoseconds of the work on one core of the fastest kind. weights: bytes of all of the model's. */
double mbr_rates_estimate(const mbr_rates *r, const mbr_work *w, double weights);

/* Takes the overlap from a step's own time, once everything else is known. */
void mbr_rates_overlap(mbr_rates *r, const mbr_work *w, double ns);

/* Takes the scale from the times of a short step and a long one, on one core of n that are equal and on all. */
void mbr_rates_share(mbr_rates *r, const mbr_work *w, int n, const double *one_ns, const double *all_ns);

/* A team for a step: how many of the cores, taken in their order. */
typedef enum mbr_team_why {
    MBR_TEAM_ALL, MBR_TEAM_SHORT, MBR_TEAM_ONE_PIECE, MBR_TEAM_PIECES, MBR_TEAM_MEMORY, MBR_TEAM_CACHE, MBR_TEAM_NODE,
    MBR_TEAM_KIND, MBR_TEAM_SYNC, MBR_TEAM_ALONE
} mbr_team_why;

typedef struct mbr_team_choice {
    int threads;
    double ns;
    mbr_team_why why;
} mbr_team_choice;

/* cores: (n) those that the team may have. copies: every node has the weights. */
mbr_team_choice mbr_team_choose(const mbr_rates *r, const mbr_core *cores, int n, const mbr_work *w, double weights,
                                bool copies);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Has the model's error changed? Three detectors on a stream of errors (1: the answer was wrong), each with the defaults
 * and in the form that the library river gives it, so that they can be compared:
 *
 *   ADWIN         Bifet and Gavalda: Learning from time-changing data with adaptive windowing, 2007
 *   DDM           Gama, Medas, Castillo, Rodrigues: Learning with drift detection, 2004
 *   Page-Hinkley  Page: Continuous inspection schemes, 1954
 */
#ifndef MBR_RUNTIME_DRIFT_CONCEPT_H
#define MBR_RUNTIME_DRIFT_CONCEPT_H

#include "runtime/drift/drift_file.h"

#define MBR_ADWIN_ROWS 40
#define MBR_ADWIN_BUCKETS 6 /* of a row, one more than stay there */

typedef struct mbr_adwin {
    int rows;            /* row r has buckets of 2^r values */
    int count[MBR_ADWIN_ROWS];
    double total[MBR_ADWIN_ROWS][MBR_ADWIN_BUCKETS], variance[MBR_ADWIN_ROWS][MBR_ADWIN_BUCKETS]; /* oldest first */
    double width, sum, spread; /* of the whole window */
    uint64_t ticks;
    bool drift; /* found with the last value: the next one begins anew */
} mbr_adwin;

typedef struct mbr_ddm {
    double n, mean, least_mean, least_deviation;
    bool has_least, warning, drift;
} mbr_ddm;

typedef struct mbr_page_hinkley {
    double n, mean, up, down, least_up, most_down;
    bool drift;
} mbr_page_hinkley;

enum { MBR_CONCEPT_ADWIN, MBR_CONCEPT_DDM, MBR_CONCEPT_PAGE_HINKLEY, MBR_CONCEPT_COUNT };

typedef struct mbr_concept {
    mbr_adwin adwin;
    mbr_ddm ddm;
    mbr_page_hinkley page_hinkley;
    uint64_t taken, found[MBR_CONCEPT_COUNT];
} mbr_concept;

void mbr_concept_init(mbr_concept *c);
/* Takes an error; a set of 1 << MBR_CONCEPT_... that found a change with it. */
unsigned mbr_concept_step(mbr_concept *c, double error);
void mbr_concept_write(const mbr_concept *c, mbr_out *out);
void mbr_concept_read(mbr_concept *c, mbr_in *in);

bool mbr_adwin_step(mbr_adwin *a, double x);
bool mbr_ddm_step(mbr_ddm *d, double x);
bool mbr_page_hinkley_step(mbr_page_hinkley *p, double x);

static inline double mbr_adwin_mean(const mbr_adwin *a)
{
    return a->width > 0.0 ? a->sum / a->width : 0.0;
}

#endif

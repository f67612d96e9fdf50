/* SPDX-License-Identifier: BSD-2-Clause */
/* What a step has to do at its present sizes: arithmetic, bytes, and the family of work whose rates tell how long it takes. */
#ifndef MBR_ENGINE_SCHEDULE_WORK_H
#define MBR_ENGINE_SCHEDULE_WORK_H

#include "engine/ops/op.h"

/* What a family's work is counted in: arithmetic, bytes, or the nanoseconds that the operator itself reckons with. */
typedef enum mbr_work_unit { MBR_UNIT_FLOP, MBR_UNIT_BYTES, MBR_UNIT_OWN } mbr_work_unit;

typedef enum mbr_work_family {
#define FAMILY(id, name, unit, base, each) MBR_WORK_##id,
#include "engine/schedule/families.def"
#undef FAMILY
    MBR_WORK_COUNT
} mbr_work_family;

typedef struct mbr_work {
    mbr_work_family family;
    double flop;         /* multiplications and additions of products, convolutions, attention and recurrent layers;
                            one operation an element of the output for the rest */
    double bytes;        /* inputs, weights and outputs once each; what is written in place, once */
    double weight_bytes; /* of them */
    double curves;       /* values that a function with an exponential is taken of behind the arithmetic */
    double units;        /* of the family */
    double tiles;        /* pieces that a team may share */
    double rows;         /* of the left side of a product */
} mbr_work;

/* After the step's prepare. */
void mbr_work_of(const mbr_step *s, mbr_work *w);

extern const char *const mbr_work_names[MBR_WORK_COUNT];
extern const mbr_work_unit mbr_work_units[MBR_WORK_COUNT];

#endif

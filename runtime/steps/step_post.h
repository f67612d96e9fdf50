/* SPDX-License-Identifier: BSD-2-Clause */
/* What the step kinds over a model's outputs share: rows of numbers from wide columns or tensors, labels, ranks. */
#ifndef MBR_RUNTIME_STEP_POST_H
#define MBR_RUNTIME_STEP_POST_H

#include "runtime/steps/step.h"

#define MBR_TYPES_VALUES (MBR_TYPES_NUMBER | MBR_TYPES_TENSOR)

/* Values of one row; missing ones of a wide column are NaN. data NULL: the tensor is missing, or there is no memory. */
typedef struct mbr_row_doubles {
    const double *data;
    size_t count;
} mbr_row_doubles;

typedef struct mbr_row_floats {
    const float *data;
    size_t count;
    int rank; /* 1 for a wide column */
    int64_t dims[MBR_MAX_RANK];
} mbr_row_floats;

mbr_row_doubles mbr_post_doubles(const mbr_step *s, mbr_rows *rows, int col, int row);
mbr_row_floats mbr_post_floats(const mbr_step *s, mbr_rows *rows, int col, int row);

/* Every tensor among the columns that a step reads holds numbers. */
mbr_status mbr_post_check(const mbr_compiling *c, const mbr_node *at, const mbr_step *s);

/* A column that a key names beside `from`; -1 where the key is not there. */
mbr_status mbr_post_column(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const char *key,
                           const mbr_string *name, unsigned types, int *out);

/* Values a row of a column, where that is known; else 0. */
size_t mbr_post_width(const mbr_col *col);

/* `labels`, or the lines of `labels_file` (relative to the pipeline). Neither: count 0. */
mbr_status mbr_post_labels(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, mbr_strings *labels,
                           const mbr_string *file);

/*
 * Columns NAME.label_1, NAME.score_1, NAME.label_2 ... for k ranks; without labels NAME.index_1 in their place. And a
 * row of them: index SIZE_MAX is none.
 */
mbr_status mbr_post_ranks(const mbr_compiling *c, const mbr_node *at, mbr_step *s, size_t k, bool labels, mbr_col *out);
void mbr_post_put_rank(const mbr_step *s, mbr_rows *rows, int row, size_t rank, const mbr_strings *labels, size_t index,
                       double score);

#endif

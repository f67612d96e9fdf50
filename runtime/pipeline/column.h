/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Columns: what inputs, feature steps, model outputs and post-processing steps make and read. While a pipeline is
 * compiled a column is a name with a type and a width; while a batch is decided it is a lane of memory, row by row.
 */
#ifndef MBR_RUNTIME_COLUMN_H
#define MBR_RUNTIME_COLUMN_H

#include "mbr/value.h"
#include "runtime/rows/text.h"

typedef enum mbr_col_type {
    MBR_COL_NUMBER = 0, /* double; NaN: missing */
    MBR_COL_BOOL = 1,   /* double, 0 or 1; NaN: missing */
    MBR_COL_TIME = 2,   /* double, seconds since 1970-01-01 UTC; NaN: missing */
    MBR_COL_STRING = 3, /* mbr_string of UTF-8; data NULL: missing */
    MBR_COL_TENSOR = 4  /* mbr_cell; data NULL: missing */
} mbr_col_type;

/* "number", "bool", "time", "string", "tensor". */
const char *mbr_col_type_name(mbr_col_type type);

typedef struct mbr_col {
    const char *name;
    mbr_col_type type;
    int width; /* values a row; 1 for strings and tensors */
    int line;  /* of the pipeline file, where it is made */
    mbr_dtype dtype;            /* of a tensor's elements */
    int rank;                   /* of a tensor, without the rows; -1: differs from row to row */
    int64_t dims[MBR_MAX_RANK]; /* -1: differs from row to row */
} mbr_col;

/* The tensor of one row. */
typedef struct mbr_cell {
    int rank;
    int64_t dims[MBR_MAX_RANK];
    void *data; /* lives as long as the batch; NULL: missing */
} mbr_cell;

/* The largest tensor of one row. */
#define MBR_CELL_BYTES ((size_t)1 << 30)

/* More columns, or a wider column, than any sensible pipeline has: a bound for what a hostile file can ask for. */
#define MBR_MAX_COLUMNS 4096
#define MBR_MAX_WIDTH 65536

/* Columns known so far. Grows on arena memory. */
typedef struct mbr_scope {
    mbr_arena *arena;
    mbr_col *cols;
    int count, capacity;
} mbr_scope;

int mbr_scope_find(const mbr_scope *s, const char *name, size_t n); /* -1: not there */
/* The column that is spelt most like the name, or NULL: for messages. */
const char *mbr_scope_near(const mbr_scope *s, const char *name);
/* Adds a column, whose name must be new. *index receives its number. */
mbr_status mbr_scope_add(mbr_scope *s, const mbr_col *col, int *index, mbr_error *err);

/* Memory of one column of a batch. */
typedef union mbr_lane {
    double *num;     /* (rows, width) */
    mbr_string *str; /* (rows) */
    mbr_cell *cell;  /* (rows) */
} mbr_lane;

/* A batch of rows. */
typedef struct mbr_rows {
    int count, capacity;
    int width_total;    /* of all number columns */
    const mbr_col *cols;
    mbr_lane *lanes;    /* (columns) */
    const char **fault; /* (rows), NULL: the row is sound; text lives in pool */
    void **states;      /* (steps of the pipeline), what stateful steps keep from batch to batch */
    mbr_pool pool;      /* texts and tensors of this batch */
} mbr_rows;

/* Bytes of one row in a lane. */
size_t mbr_col_bytes(const mbr_col *col);

/* Makes every value of the rows in a column missing. */
void mbr_rows_clear(mbr_rows *rows, int col);

/* Marks a row as faulty, unless it is already. Never fails: without memory the text is a short constant. */
void mbr_rows_fail(mbr_rows *rows, int row, const char *fmt, ...) MBR_PRINTF(3, 4);

/*
 * Gives a row of a tensor column its shape, and memory for it, not zeroed (data is not NULL even where a dimension is
 * 0). NULL after mbr_rows_fail: too large, or out of memory; the cell is then missing.
 */
void *mbr_rows_cell(mbr_rows *rows, int row, int col, int rank, const int64_t *dims);

/* How many elements a tensor has; SIZE_MAX where that is beyond all bounds or a dimension is negative. */
size_t mbr_cell_count(const mbr_cell *cell);

/* "f32[3, ?, 224]": the shape that a tensor column promises, or that one cell has. */
void mbr_shape_text(mbr_dtype dtype, int rank, const int64_t *dims, char *text, size_t size);

#endif

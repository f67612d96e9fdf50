/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Columns: what inputs, feature steps, model outputs and post-processing steps make and read. While a pipeline is
 * compiled a column is a name with a type and a width; while a batch is decided it is a lane of memory, row by row.
 */
#ifndef MBR_RUNTIME_COLUMN_H
#define MBR_RUNTIME_COLUMN_H

#include "runtime/rows/text.h"

typedef enum mbr_col_type {
    MBR_COL_NUMBER = 0, /* double; NaN: missing */
    MBR_COL_BOOL = 1,   /* double, 0 or 1; NaN: missing */
    MBR_COL_TIME = 2,   /* double, seconds since 1970-01-01 UTC; NaN: missing */
    MBR_COL_STRING = 3  /* mbr_string of UTF-8; data NULL: missing */
} mbr_col_type;

/* "number", "bool", "time", "string". */
const char *mbr_col_type_name(mbr_col_type type);

typedef struct mbr_col {
    const char *name;
    mbr_col_type type;
    int width; /* values a row; 1 for strings */
    int line;  /* of the pipeline file, where it is made */
} mbr_col;

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
} mbr_lane;

/* A batch of rows. */
typedef struct mbr_rows {
    int count, capacity;
    int width_total;    /* of all number columns */
    const mbr_col *cols;
    mbr_lane *lanes;    /* (columns) */
    const char **fault; /* (rows), NULL: the row is sound; text lives in pool */
    mbr_pool pool;      /* texts of this batch */
} mbr_rows;

/* Marks a row as faulty, unless it is already. Never fails: without memory the text is a short constant. */
void mbr_rows_fail(mbr_rows *rows, int row, const char *fmt, ...) MBR_PRINTF(3, 4);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* A scope of columns with values in it, for tests of expressions and steps without a model. */
#ifndef MBR_TESTS_PIPELINE_ROWS_H
#define MBR_TESTS_PIPELINE_ROWS_H

#include "runtime/steps/step.h"

#include <check.h>
#include <string.h>

#define BENCH_ROWS 8

typedef struct bench {
    mbr_memory memory;
    mbr_arena arena;
    mbr_scope scope;
    mbr_rows rows;
    mbr_lane lanes[64];
    const char *fault[BENCH_ROWS];
    mbr_error err;
} bench;

static inline void bench_open(bench *b)
{
    memset(b, 0, sizeof *b);
    mbr_memory_init(&b->memory);
    mbr_arena_init(&b->arena, &b->memory, 0);
    mbr_pool_init(&b->rows.pool, &b->memory);
    b->scope.arena = &b->arena;
    b->rows.lanes = b->lanes;
    b->rows.fault = b->fault;
    b->rows.capacity = BENCH_ROWS;
}

static inline void bench_close(bench *b)
{
    mbr_pool_destroy(&b->rows.pool);
    mbr_arena_destroy(&b->arena);
    ck_assert_uint_eq(atomic_load(&b->memory.in_use), 0);
}

/* Room for the lane of column `index`. */
static inline void bench_lane(bench *b, int index)
{
    const mbr_col *col = &b->scope.cols[index];
    ck_assert_int_lt(index, (int)MBR_COUNT_OF(b->lanes));
    b->rows.cols = b->scope.cols;
    b->lanes[index].num = mbr_arena_calloc(&b->arena, BENCH_ROWS, mbr_col_bytes(col));
}

static inline void bench_numbers(bench *b, const char *name, mbr_col_type type, int width, int rows, const double *x)
{
    mbr_col col = { .name = name, .type = type, .width = width, .line = 1 };
    int index;
    ck_assert_int_eq(mbr_scope_add(&b->scope, &col, &index, &b->err), MBR_OK);
    bench_lane(b, index);
    memcpy(b->lanes[index].num, x, (size_t)(rows * width) * sizeof *x);
    b->rows.count = rows;
}

/* NULL: missing. */
static inline void bench_texts(bench *b, const char *name, int rows, const char *const *x)
{
    mbr_col col = { .name = name, .type = MBR_COL_STRING, .width = 1, .line = 1 };
    int index;
    ck_assert_int_eq(mbr_scope_add(&b->scope, &col, &index, &b->err), MBR_OK);
    bench_lane(b, index);
    for (int i = 0; i < rows; i++)
        b->lanes[index].str[i] = (mbr_string){ x[i], x[i] ? strlen(x[i]) : 0 };
    b->rows.count = rows;
}

#endif

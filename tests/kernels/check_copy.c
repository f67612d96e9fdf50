/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/transpose.h"
#include "tests/kernels/check.h"

#include <string.h>

#define KERNEL(name, tier) mbr_copy_fn mbr_##name;
#include "kernels/copy.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_copy_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/copy.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)
#define RANK 5

/* Element by element, from the definition. */
static void plain_copy(size_t size, int rank, const size_t *dims, const char *in, const ptrdiff_t *is, char *out,
                       const ptrdiff_t *os)
{
    size_t n = mbr_dims_count(rank, dims);
    for (size_t i = 0; i < n; i++) {
        size_t left = i;
        ptrdiff_t a = 0, b = 0;
        for (int d = rank - 1; d >= 0; d--) {
            ptrdiff_t k = (ptrdiff_t)(left % dims[d]);
            left /= dims[d];
            a += k * is[d];
            b += k * os[d];
        }
        memcpy(out + b * (ptrdiff_t)size, in + a * (ptrdiff_t)size, size);
    }
}

static void random_dims(int rank, size_t *dims, size_t limit)
{
    size_t n = 1;
    for (int d = 0; d < rank; d++) {
        dims[d] = check_rand_one_in(3) ? check_rand_range(1, 3) : check_rand_range(1, 40);
        if (n * dims[d] > limit)
            dims[d] = 1;
        n *= dims[d];
    }
    if (rank == 1 && check_rand_one_in(2))
        dims[0] = check_rand_range(1, limit);
}

static void transpose_case(mbr_copy_fn *run)
{
    static const size_t sizes[] = {1, 2, 4, 8, 16};
    size_t size = sizes[check_rand_range(0, 4)], dims[RANK], out_dims[RANK];
    int rank = (int)check_rand_range(1, RANK), perm[RANK];
    ptrdiff_t dense[RANK], is[RANK], os[RANK];
    random_dims(rank, dims, 30000);
    for (int d = 0; d < rank; d++)
        perm[d] = d;
    for (int d = rank - 1; d > 0; d--) {
        int k = (int)check_rand_range(0, (size_t)d), t = perm[d];
        perm[d] = perm[k];
        perm[k] = t;
    }
    mbr_dense_strides(rank, dims, dense);
    for (int d = 0; d < rank; d++) {
        out_dims[d] = dims[perm[d]];
        is[d] = dense[perm[d]];
    }
    mbr_dense_strides(rank, out_dims, os);
    size_t bytes = mbr_dims_count(rank, dims) * size;
    char *in = check_alloc(bytes), *want = check_alloc(bytes), *got = check_alloc(bytes);
    check_fill_random_bytes(in, bytes);
    check_case("transpose of %zu bytes, rank %d, dims %zu %zu %zu, perm %d %d %d", size, rank, dims[0],
               rank > 1 ? dims[1] : 0, rank > 2 ? dims[2] : 0, perm[0], rank > 1 ? perm[1] : 0, rank > 2 ? perm[2] : 0);
    plain_copy(size, rank, out_dims, in, is, want, os);
    mbr_copy_plan plan;
    mbr_transpose_plan_init(&plan, size, rank, dims, perm);
    size_t cut = check_rand_range(0, plan.tiles);
    run(&plan, in, got, cut, plan.tiles);
    run(&plan, in, got, 0, cut);
    check_bytes(want, got, bytes);
    check_case_end();
}

/* A box out of a larger tensor into a box of another one: broadcast, reversed and stepped dimensions. */
static void strided_case(mbr_copy_fn *run)
{
    static const size_t sizes[] = {1, 2, 4, 8, 16};
    size_t size = sizes[check_rand_range(0, 4)], dims[RANK];
    int rank = (int)check_rand_range(0, 4);
    ptrdiff_t is[RANK], os[RANK], in_size = 1, out_size = 1, in_first = 0;
    random_dims(rank, dims, 6000);
    for (int d = rank - 1; d >= 0; d--) {
        size_t kind = check_rand_range(0, 5);
        ptrdiff_t n = (ptrdiff_t)dims[d];
        os[d] = out_size;
        out_size *= n + (ptrdiff_t)(check_rand_one_in(3) ? check_rand_range(0, 2) : 0);
        if (kind == 0) {
            is[d] = 0;
            continue;
        }
        is[d] = in_size * (kind == 1 ? -1 : kind == 2 ? 2 : 1);
        if (kind == 1)
            in_first += in_size * (n - 1);
        in_size *= n * (kind == 2 ? 2 : 1);
    }
    size_t in_bytes = (size_t)in_size * size, out_bytes = (size_t)out_size * size;
    char *in = check_alloc(in_bytes), *want = check_alloc(out_bytes), *got = check_alloc(out_bytes);
    check_fill_random_bytes(in, in_bytes);
    memset(want, 7, out_bytes);
    memset(got, 7, out_bytes);
    check_case("strided copy of %zu bytes, rank %d", size, rank);
    const char *from = in + in_first * (ptrdiff_t)size;
    plain_copy(size, rank, dims, from, is, want, os);
    mbr_copy_plan plan;
    mbr_copy_plan_init(&plan, size, rank, dims, is, os);
    run(&plan, from, got, 0, plan.tiles);
    check_bytes(want, got, out_bytes);
    check_case_end();
}

void check_copy(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 400 && !check_failed(); i++) {
            transpose_case(rows[r].run);
            strided_case(rows[r].run);
        }
        check_end();
    }
}

typedef struct bench_case {
    mbr_copy_fn *run;
    mbr_copy_plan plan;
    const void *in;
    void *out;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->plan, b->in, b->out, 0, b->plan.tiles);
}

/* copy a= b= c= size=: (a, b, c) to (a, c, b), in bytes a nanosecond (in one direction). */
void bench_copy(const bench_shape *shape)
{
    size_t dims[3] = {(size_t)bench_get(shape, "a", 1), (size_t)bench_get(shape, "b", 64),
                      (size_t)bench_get(shape, "c", 3136)};
    size_t size = (size_t)bench_get(shape, "size", 4), bytes = mbr_dims_count(3, dims) * size;
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run};
        mbr_transpose_plan_init(&b.plan, size, 3, dims, (const int[]){0, 2, 1});
        char *in = check_alloc(bytes);
        check_fill_random_bytes(in, bytes);
        b.in = in;
        b.out = check_alloc(bytes);
        bench_run(bench_call, &b);
        bench_report(shape, (double)bytes, "bytes/ns");
    }
}

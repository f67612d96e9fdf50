/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/reduce.h"
#include "tests/kernels/check.h"

#include <math.h>

#define KERNEL(name, tier) mbr_reduce_fn mbr_##name;
#include "kernels/reduce.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_reduce_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/reduce.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

/* Every output once more, from plain coordinates: the reference's own reference. */
static double plain(const float *in, int rank, const size_t *dims, uint32_t axes, size_t index, mbr_reduce_op op)
{
    size_t total = mbr_dims_count(rank, dims), count = 0;
    double sum = 0.0, product = 1.0, largest = -(double)INFINITY, least = (double)INFINITY, l1 = 0.0, square = 0.0;
    double exps = 0.0;
    for (size_t i = 0; i < total; i++) {
        size_t left = i, at = 0, coordinate[8];
        for (int d = rank - 1; d >= 0; d--) {
            coordinate[d] = left % dims[d];
            left /= dims[d];
        }
        for (int d = 0; d < rank; d++)
            if (!(axes >> d & 1))
                at = at * dims[d] + coordinate[d];
        if (at != index)
            continue;
        double x = (double)in[i];
        count++;
        sum += x;
        product *= x;
        l1 += fabs(x);
        square += x * x;
        exps += exp(x);
        largest = x > largest || isnan(x) ? x : largest;
        least = x < least || isnan(x) ? x : least;
    }
    switch (op) {
    case MBR_REDUCE_SUM: return sum;
    case MBR_REDUCE_MEAN: return sum / (double)count;
    case MBR_REDUCE_MAX: return largest;
    case MBR_REDUCE_MIN: return least;
    case MBR_REDUCE_PROD: return product;
    case MBR_REDUCE_L1: return l1;
    case MBR_REDUCE_L2: return sqrt(square);
    case MBR_REDUCE_SUM_SQUARE: return square;
    case MBR_REDUCE_LOG_SUM: return log(sum);
    default: return log(exps);
    }
}

/*
 * How far a sum in another order may be off, absolutely: each addition rounds by up to 2^-24 of a partial sum, which is
 * about the root of the terms, and so many roundings add up to about that root again.
 */
static double sum_error(size_t terms)
{
    double error = 0x1p-24 * (double)terms;
    return error > 1e-5 ? error : 1e-5;
}

static void one_case(mbr_reduce_fn *run)
{
    int rank = (int)check_rand_range(0, 4);
    size_t dims[4];
    for (int d = 0; d < rank; d++)
        dims[d] = check_rand_one_in(4) ? 1 : check_rand_range(1, 9);
    if (rank > 0 && check_rand_one_in(3))
        dims[check_rand_range(0, (size_t)rank - 1)] = check_rand_range(1, 300);
    uint32_t axes = (uint32_t)check_rand_range(0, 15) & ((1u << rank) - 1);
    mbr_reduce_op op = (mbr_reduce_op)check_rand_range(0, MBR_REDUCE_COUNT - 1);
    mbr_reduce_args a;
    mbr_reduce_plan(&a, op, MBR_DTYPE_F32, rank, dims, axes);
    size_t n = mbr_dims_count(rank, dims);
    bool special = check_rand_one_in(4) && op != MBR_REDUCE_LOG_SUM && op != MBR_REDUCE_PROD;
    float *in = check_alloc_f32_filled(n, special ? CHECK_SPECIAL : CHECK_UNIFORM);
    for (size_t i = 0; i < n && op == MBR_REDUCE_LOG_SUM; i++)
        in[i] = fabsf(in[i]) + 0.1f;
    float *want = check_alloc_f32(a.kept_count), *got = check_alloc_f32(a.kept_count);
    check_case("op=%d rank=%d dims=%zu %zu %zu %zu axes=%x", (int)op, rank, rank > 0 ? dims[0] : 0,
               rank > 1 ? dims[1] : 0, rank > 2 ? dims[2] : 0, rank > 3 ? dims[3] : 0, (unsigned)axes);
    a.in = in;
    a.out = want;
    mbr_reduce_ref(&a, 0, a.tiles);
    a.out = got;
    size_t cut = check_rand_range(0, a.tiles);
    run(&a, cut, a.tiles);
    run(&a, 0, cut);
    double abs = op == MBR_REDUCE_PROD   ? 1e-30
                 : op == MBR_REDUCE_SUM  ? sum_error(a.kept_count ? n / a.kept_count : 0)
                 : op == MBR_REDUCE_MEAN ? 1e-5
                                         : 2e-6;
    check_f32(want, got, 1, a.kept_count, 0, abs, 1e-5);
    size_t pick = check_rand_range(0, a.kept_count - 1);
    float one = (float)plain(in, rank, dims, axes, pick, op);
    check_f32(&one, want + pick, 1, 1, 1, 1e-6, 1e-6);
    check_case_end();
}

static void long_case(mbr_reduce_fn *run)
{
    size_t dims[2] = {check_rand_range(1, 40), check_rand_range(4000, 9000)};
    uint32_t axes = 1u << check_rand_range(0, 1);
    mbr_reduce_args a;
    mbr_reduce_plan(&a, (mbr_reduce_op)check_rand_range(0, 1), MBR_DTYPE_F32, 2, dims, axes);
    float *want = check_alloc_f32(a.kept_count), *got = check_alloc_f32(a.kept_count);
    a.in = check_alloc_f32_filled(dims[0] * dims[1], CHECK_UNIFORM);
    check_case("op=%d dims=%zu %zu axes=%x", (int)a.op, dims[0], dims[1], (unsigned)axes);
    a.out = want;
    mbr_reduce_ref(&a, 0, a.tiles);
    a.out = got;
    run(&a, 0, a.tiles);
    size_t terms = dims[0] * dims[1] / a.kept_count;
    check_f32(want, got, 1, a.kept_count, 0, a.op == MBR_REDUCE_SUM ? sum_error(terms) : 2e-5, 1e-5);
    check_case_end();
}

void check_reduce(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 600 && !check_failed(); i++)
            one_case(rows[r].run);
        for (int i = 0; i < 20 && !check_failed(); i++)
            long_case(rows[r].run);
        check_end();
    }
}

typedef struct bench_case {
    mbr_reduce_fn *run;
    mbr_reduce_args args;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->args, 0, b->args.tiles);
}

/* reduce op= outer= axis= inner=, in elements a nanosecond. */
void bench_reduce(const bench_shape *shape)
{
    size_t dims[3] = {(size_t)bench_get(shape, "outer", 1), (size_t)bench_get(shape, "axis", 49),
                      (size_t)bench_get(shape, "inner", 1280)};
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run};
        mbr_reduce_plan(&b.args, (mbr_reduce_op)bench_get(shape, "op", MBR_REDUCE_MEAN), MBR_DTYPE_F32, 3, dims, 2);
        size_t n = mbr_dims_count(3, dims);
        b.args.in = check_alloc_f32_filled(n, CHECK_UNIFORM);
        b.args.out = check_alloc_f32(b.args.kept_count);
        bench_run(bench_call, &b);
        bench_report(shape, (double)n, "elements/ns");
    }
}

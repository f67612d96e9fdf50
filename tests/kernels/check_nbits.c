/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/nbits.h"
#include "tests/kernels/check.h"

#include <string.h>

static const struct {
    const mbr_nbits_kernel *kernel;
    double tol;
} rows[] = {
#define KERNEL(name, tier, tol) {&mbr_##name, tol},
#include "kernels/nbits.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static mbr_nbits_b make_weights(size_t n, size_t k, size_t block, int zeros)
{
    size_t blocks = (k + block - 1) / block;
    uint8_t *q = check_alloc(n * blocks * block / 2), *zero = check_alloc(n * ((blocks + 1) / 2));
    float *scale = check_alloc_f32_filled(n * blocks, CHECK_UNIFORM), *zero_f32 = check_alloc_f32(n * blocks);
    check_fill_random_bytes(q, n * blocks * block / 2);
    check_fill_random_bytes(zero, n * ((blocks + 1) / 2));
    for (size_t i = 0; i < n * blocks; i++) {
        scale[i] *= 0.1f;
        zero_f32[i] = 7.5f + check_rand_f32();
    }
    return (mbr_nbits_b){n, k, block, q, scale, zeros == 1 ? zero : NULL, zeros == 2 ? zero_f32 : NULL};
}

static void check_one(const mbr_nbits_kernel *kernel, double tol)
{
    mbr_nbits_args g = {.m = check_rand_one_in(2) ? check_rand_range(1, 5) : check_rand_range(1, 30),
                        .n = check_rand_range(1, 4 * kernel->nr + 3),
                        .block = (size_t)16 << check_rand_range(0, 4)};
    g.k = check_rand_range(1, check_rand_one_in(4) ? 900 : 3 * g.block);
    size_t pad = check_rand_range(0, 3);
    int zeros = (int)check_rand_range(0, 2);
    g.lda = (ptrdiff_t)(g.k + pad);
    g.ldc = (ptrdiff_t)(g.n + pad);
    g.a = check_alloc_f32_filled(g.m * (size_t)g.lda, CHECK_UNIFORM);
    size_t cells = g.m * (size_t)g.ldc;
    if (check_rand_one_in(2))
        g.epilogue.bias = check_alloc_f32_filled(g.n, CHECK_UNIFORM);
    if (check_rand_one_in(3)) {
        g.epilogue.other_is = (mbr_gemm_other)check_rand_range(1, 3);
        g.epilogue.other = check_alloc_f32_filled(cells, CHECK_UNIFORM);
        g.epilogue.ld_other = g.ldc;
    }
    if (check_rand_one_in(3))
        g.epilogue.act = (mbr_act){MBR_ACT_SILU, 1, 0};
    check_case("m %zu n %zu k %zu block %zu zeros %d", g.m, g.n, g.k, g.block, zeros);
    mbr_nbits_b b = make_weights(g.n, g.k, g.block, zeros);
    void *plain = check_alloc(mbr_nbits_ref.pack_size(g.k, g.n, g.block));
    void *packed = check_alloc(kernel->pack_size(g.k, g.n, g.block));
    mbr_nbits_ref.pack(plain, &b, 0, g.n);
    size_t split = g.n / 2 / kernel->nr * kernel->nr;
    kernel->pack(packed, &b, split, g.n);
    kernel->pack(packed, &b, 0, split);
    float *want = check_alloc_f32(cells), *got = check_alloc_f32(cells), *again = check_alloc_f32(cells);
    g.b = plain;
    g.c = want;
    mbr_nbits_ref.run(&g, NULL, 0, mbr_nbits_ref.tiles(&g));
    g.b = packed;
    g.c = got;
    void *scratch = check_alloc(kernel->scratch(&g));
    for (size_t t = kernel->tiles(&g); t-- > 0;)
        kernel->run(&g, scratch, t, t + 1);
    check_f32(want, got, g.m, g.n, g.ldc, tol * (double)(g.k + 20), 1e-6);
    for (size_t i = 0; i < g.m; i++) { /* row by row, the same bits */
        mbr_nbits_args one = g;
        one.m = 1;
        one.a += (ptrdiff_t)i * g.lda;
        one.c = again + (ptrdiff_t)i * g.ldc;
        if (one.epilogue.other)
            one.epilogue.other += (ptrdiff_t)i * g.ldc;
        kernel->run(&one, check_alloc(kernel->scratch(&one)), 0, kernel->tiles(&one));
    }
    check_bytes(got, again, cells * sizeof(float));
    check_case_end();
}

void check_nbits(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (!check_begin(rows[i].kernel->name, rows[i].kernel->tier))
            continue;
        for (int n = 0; n < 300 && !check_failed(); n++)
            check_one(rows[i].kernel, rows[i].tol);
        check_end();
    }
}

typedef struct timed {
    const mbr_nbits_kernel *kernel;
    mbr_nbits_args args;
    void *scratch;
} timed;

static void call(void *context)
{
    timed *t = context;
    t->kernel->run(&t->args, t->scratch, 0, t->kernel->tiles(&t->args));
}

/* nbits m= n= k= [block=] */
void bench_nbits(const bench_shape *shape)
{
    for (size_t i = 1; i < ROWS; i++) {
        const mbr_nbits_kernel *kernel = rows[i].kernel;
        if (!bench_begin(kernel->name, kernel->tier))
            continue;
        timed t = {.kernel = kernel,
                   .args = {.m = (size_t)bench_get(shape, "m", 1),
                            .n = (size_t)bench_get(shape, "n", 576),
                            .k = (size_t)bench_get(shape, "k", 576),
                            .block = (size_t)bench_get(shape, "block", 32)}};
        mbr_nbits_args *g = &t.args;
        mbr_nbits_b b = make_weights(g->n, g->k, g->block, 0);
        void *packed = check_alloc(kernel->pack_size(g->k, g->n, g->block));
        kernel->pack(packed, &b, 0, g->n);
        g->lda = (ptrdiff_t)g->k;
        g->ldc = (ptrdiff_t)g->n;
        g->a = check_alloc_f32_filled(g->m * g->k, CHECK_UNIFORM);
        g->b = packed;
        g->c = check_alloc_f32(g->m * g->n);
        t.scratch = check_alloc(kernel->scratch(g));
        bench_run(call, &t);
        bench_report(shape, 2.0 * (double)g->m * (double)g->n * (double)g->k, "GFLOP/s");
    }
}

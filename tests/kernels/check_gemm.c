/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/gemm.h"
#include "tests/kernels/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const mbr_gemm_f32_kernel *kernel;
    double tol;
} rows[] = {
#define KERNEL(name, tier, tol) {&mbr_##name, tol},
#include "kernels/gemm.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

/* A product and all that it needs: made once, run by reference and candidate. */
typedef struct product {
    mbr_gemm_args args;
    size_t matrices, c_floats, packed_bytes;
    float *b; /* as it lies in memory */
    ptrdiff_t stride_p, stride_j;
} product;

static mbr_act random_act(void)
{
    mbr_act act = {(mbr_act_kind)check_rand_range(0, MBR_ACT_COUNT - 1), 0, 0};
    switch (act.kind) {
    case MBR_ACT_CLIP:
        act.a = -0.5f;
        act.b = 0.75f;
        break;
    case MBR_ACT_LEAKY:
        act.a = 0.1f;
        break;
    case MBR_ACT_SILU:
        act.a = 1.702f;
        break;
    case MBR_ACT_HARD_SIGMOID:
        act.a = 0.2f;
        act.b = 0.5f;
        break;
    default:
        break;
    }
    return act;
}

static size_t pick(const size_t *from, size_t count)
{
    return from[check_rand_range(0, count - 1)];
}

static size_t random_size(size_t unit)
{
    const size_t edges[] = {1, 2, unit - 1, unit, unit + 1, 2 * unit, 3 * unit - 1, 4 * unit + 1};
    return check_rand_one_in(3) ? check_rand_range(1, 5 * unit) : pick(edges, 8);
}

static float *matrices(size_t per_matrix, size_t count, check_dist dist)
{
    return check_alloc_f32_filled(per_matrix * count, dist);
}

/* Sizes, strides, an epilogue; buffers filled. */
static product make_product(const mbr_gemm_f32_kernel *kernel, check_dist dist)
{
    product p = {.args = MBR_GEMM_ARGS_INIT};
    mbr_gemm_args *g = &p.args;
    g->m = random_size(kernel->mr);
    g->n = random_size(kernel->nr);
    g->k = check_rand_one_in(30) ? 0 : check_rand_one_in(4) ? check_rand_range(1, 1100) : check_rand_range(1, 70);
    g->b_form = (mbr_gemm_b_form)check_rand_range(0, 2);
    bool batch = check_rand_one_in(4);
    size_t dims[3] = {1, 1, 1};
    if (batch)
        for (int d = 0; d < 3; d++)
            g->batch[d] = dims[d] = check_rand_range(1, 3);
    p.matrices = dims[0] * dims[1] * dims[2];
    size_t pad = check_rand_one_in(2) ? 0 : check_rand_range(1, 9);
    g->lda = (ptrdiff_t)(check_rand_one_in(5) ? (g->k + 511) / 512 * 512 : g->k + pad);
    g->ldc = (ptrdiff_t)(g->n + pad + !g->n);
    bool cols = g->b_form == MBR_GEMM_B_COLS || (g->b_form == MBR_GEMM_B_PACKED && check_rand_one_in(2));
    g->ldb = (ptrdiff_t)((cols ? g->k : g->n) + pad);
    p.stride_p = cols ? 1 : g->ldb;
    p.stride_j = cols ? g->ldb : 1;
    size_t one_a = g->m * (size_t)g->lda, one_b = (cols ? g->n : g->k) * (size_t)g->ldb, one_c = g->m * (size_t)g->ldc;
    size_t packed = kernel->pack_size(g->k, g->n) / sizeof(float);
    ptrdiff_t count = 1;
    for (int d = 2; d >= 0; d--) {
        bool shared = g->b_form == MBR_GEMM_B_PACKED || check_rand_one_in(3);
        g->a_batch[d] = count * (ptrdiff_t)one_a;
        g->b_batch[d] = shared ? 0 : count * (ptrdiff_t)one_b;
        g->c_batch[d] = g->other_batch[d] = count * (ptrdiff_t)one_c;
        count *= (ptrdiff_t)dims[d];
    }
    p.c_floats = one_c * p.matrices;
    p.packed_bytes = packed * sizeof(float);
    g->a = matrices(one_a, p.matrices, dist);
    p.b = matrices(one_b, p.matrices, dist);
    g->b = p.b;
    g->alpha = check_rand_one_in(2) ? 1.0f : 0.125f;
    mbr_gemm_epilogue *e = &g->epilogue;
    if (check_rand_one_in(2)) {
        e->bias_per_row = check_rand_one_in(4);
        e->bias = check_alloc_f32_filled(e->bias_per_row ? g->m : g->n, CHECK_UNIFORM);
    }
    if (check_rand_one_in(2))
        e->act = random_act();
    if (check_rand_one_in(3)) {
        e->other_is = (mbr_gemm_other)check_rand_range(1, 3);
        e->ld_other = check_rand_one_in(3) ? 0 : g->ldc;
        e->other = check_alloc_f32_filled(p.c_floats, CHECK_UNIFORM);
    }
    return p;
}

static void run_all(const mbr_gemm_f32_kernel *kernel, const mbr_gemm_args *g)
{
    void *scratch = check_alloc(kernel->scratch(g));
    size_t tiles = kernel->tiles(g), at = 0;
    if (check_rand_one_in(2)) { /* one by one, the last first */
        for (size_t t = tiles; t-- > 0;)
            kernel->run(g, scratch, t, t + 1);
        return;
    }
    while (at < tiles) {
        size_t end = check_rand_range(at + 1, tiles);
        kernel->run(g, scratch, at, end);
        at = end;
    }
}

static float *pack(const mbr_gemm_f32_kernel *kernel, const product *p)
{
    float *packed = check_alloc(p->packed_bytes);
    size_t n = p->args.n, split = n / 2 / kernel->nr * kernel->nr;
    kernel->pack(packed, p->args.k, n, p->b, p->stride_p, p->stride_j, split, n);
    kernel->pack(packed, p->args.k, n, p->b, p->stride_p, p->stride_j, 0, split);
    return packed;
}

static void run_reference(const product *p, float *c)
{
    mbr_gemm_args g = p->args;
    g.b_form = p->stride_j == 1 ? MBR_GEMM_B_ROWS : MBR_GEMM_B_COLS;
    g.c = c;
    if (g.epilogue.other == p->args.c && g.epilogue.other)
        g.epilogue.other = c;
    mbr_gemm_f32_ref.run(&g, NULL, 0, mbr_gemm_f32_ref.tiles(&g));
}

static void check_product(const mbr_gemm_f32_kernel *kernel, double tol, check_dist dist)
{
    product p = make_product(kernel, dist);
    mbr_gemm_args *g = &p.args;
    check_case("m %zu n %zu k %zu matrices %zu lda %td ldb %td ldc %td form %d bias %d other %d act %d", g->m, g->n,
               g->k, p.matrices, g->lda, g->ldb, g->ldc, (int)g->b_form,
               g->epilogue.bias ? 1 + g->epilogue.bias_per_row : 0, (int)g->epilogue.other_is,
               (int)g->epilogue.act.kind);
    float *want = check_alloc_f32(p.c_floats), *got = check_alloc_f32(p.c_floats), *again = check_alloc_f32(p.c_floats);
    bool in_place = g->epilogue.other && g->epilogue.ld_other == g->ldc && check_rand_one_in(2);
    if (in_place) {
        memcpy(want, g->epilogue.other, p.c_floats * sizeof(float));
        memcpy(got, g->epilogue.other, p.c_floats * sizeof(float));
        memcpy(again, g->epilogue.other, p.c_floats * sizeof(float));
        g->c = got;
        g->epilogue.other = got;
    }
    run_reference(&p, want);
    if (g->b_form == MBR_GEMM_B_PACKED)
        g->b = pack(kernel, &p);
    g->c = got;
    run_all(kernel, g);
    double abs = tol * (double)(g->k + 20);
    check_f32(want, got, p.c_floats / (size_t)g->ldc, g->n, g->ldc, abs, 1e-6);
    for (size_t i = 0; i < p.c_floats; i++) /* nothing between the rows */
        if (i % (size_t)g->ldc >= g->n && !in_place && !isnan(got[i])) {
            check_fail("wrote between the rows of C, at %zu", i);
            break;
        }
    /* Row by row, the bits are the same. */
    mbr_gemm_args one = *g;
    one.m = 1;
    for (size_t i = 0; i < g->m; i++) {
        one.a = g->a + (ptrdiff_t)i * g->lda;
        one.c = again + (ptrdiff_t)i * g->ldc;
        if (one.epilogue.bias_per_row && g->epilogue.bias)
            one.epilogue.bias = g->epilogue.bias + i;
        if (g->epilogue.other)
            one.epilogue.other = in_place ? one.c : g->epilogue.other + (ptrdiff_t)i * g->epilogue.ld_other;
        void *scratch = check_alloc(kernel->scratch(&one));
        kernel->run(&one, scratch, 0, kernel->tiles(&one));
    }
    if (dist != CHECK_SPECIAL) /* the sign and payload of a NaN are free */
        check_bytes(got, again, p.c_floats * sizeof(float));
    check_case_end();
}

void check_gemm(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        const mbr_gemm_f32_kernel *kernel = rows[i].kernel;
        if (!check_begin(kernel->name, kernel->tier))
            continue;
        if (mbr_gemm_f32_select(MBR_TIER_BIT(kernel->tier))->tier != kernel->tier)
            check_fail("not selected by its tier");
        for (int n = 0; n < 300 && !check_failed(); n++)
            check_product(kernel, rows[i].tol, n % 3 == 2 ? CHECK_SPECIAL : CHECK_UNIFORM);
        check_end();
    }
}

typedef struct timed {
    const mbr_gemm_f32_kernel *kernel;
    mbr_gemm_args args;
    void *scratch;
} timed;

static void call(void *context)
{
    timed *t = context;
    t->kernel->run(&t->args, t->scratch, 0, t->kernel->tiles(&t->args));
}

/* gemm m= n= k= [lda=] [batch=] [rows|cols] [relu|gelu|...]: B packed unless rows or cols */
void bench_gemm(const bench_shape *shape)
{
    size_t m = (size_t)bench_get(shape, "m", 128), n = (size_t)bench_get(shape, "n", 128),
           k = (size_t)bench_get(shape, "k", 128);
    size_t lda = (size_t)bench_get(shape, "lda", (long)k), batch = (size_t)bench_get(shape, "batch", 1);
    for (size_t i = 1; i < ROWS; i++) {
        const mbr_gemm_f32_kernel *kernel = rows[i].kernel;
        if (!bench_begin(kernel->name, kernel->tier))
            continue;
        timed t = {.kernel = kernel, .args = MBR_GEMM_ARGS_INIT};
        mbr_gemm_args *g = &t.args;
        g->m = m;
        g->n = n;
        g->k = k;
        g->lda = (ptrdiff_t)lda;
        g->ldc = (ptrdiff_t)n;
        g->batch[0] = batch;
        g->a_batch[0] = (ptrdiff_t)(m * lda);
        g->c_batch[0] = (ptrdiff_t)(m * n);
        g->a = check_alloc_f32_filled(m * lda * batch, CHECK_UNIFORM);
        float *b = check_alloc_f32_filled(k * n * batch, CHECK_UNIFORM);
        g->c = check_alloc_f32(m * n * batch);
        g->b = b;
        if (bench_has(shape, "rows") || bench_has(shape, "cols")) {
            g->b_form = bench_has(shape, "rows") ? MBR_GEMM_B_ROWS : MBR_GEMM_B_COLS;
            g->ldb = (ptrdiff_t)(g->b_form == MBR_GEMM_B_ROWS ? n : k);
            g->b_batch[0] = (ptrdiff_t)(n * k);
        } else {
            float *packed = check_alloc(kernel->pack_size(k, n));
            kernel->pack(packed, k, n, b, (ptrdiff_t)n, 1, 0, n);
            g->b = packed;
        }
        if (bench_has(shape, "relu"))
            g->epilogue.act.kind = MBR_ACT_RELU;
        if (bench_has(shape, "gelu"))
            g->epilogue.act.kind = MBR_ACT_GELU;
        t.scratch = check_alloc(kernel->scratch(g));
        bench_run(call, &t);
        bench_report(shape, 2.0 * (double)m * (double)n * (double)k * (double)batch, "GFLOP/s");
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/attention.h"
#include "tests/kernels/check.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define KERNEL(name, tier) mbr_attention_fn mbr_##name;
#include "kernels/attention.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_attention_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/attention.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

/* (batch, heads, length, size), or (batch, length, heads, size); returns the floats that it takes. */
static size_t lay_out(ptrdiff_t *stride, size_t batch, size_t heads, size_t length, size_t size, bool heads_inside)
{
    stride[2] = (ptrdiff_t)(heads_inside ? heads * size : size);
    stride[1] = (ptrdiff_t)(heads_inside ? size : length * size);
    stride[0] = (ptrdiff_t)(heads * length * size);
    return batch * heads * length * size;
}

static void one_case(mbr_attention_fn *run)
{
    mbr_attention_args a = {.batch = check_rand_range(1, 2), .kv_heads = check_rand_range(1, 3)};
    a.heads = a.kv_heads * check_rand_range(1, check_rand_one_in(3) ? 5 : 2);
    a.lq = check_rand_one_in(3) ? check_rand_range(1, 4) : check_rand_range(1, check_rand_one_in(6) ? 420 : 110);
    a.lk = check_rand_one_in(3) ? check_rand_range(1, 300) : check_rand_range(1, 70);
    a.d = check_rand_range(1, 70);
    a.dv = check_rand_one_in(2) ? check_rand_range(1, 70) : 64;
    a.scale = 1.0f / sqrtf((float)a.d);
    a.softcap = check_rand_one_in(4) ? 1.5f : 0.0f;
    a.empty = check_rand_one_in(2) ? NAN : 0.0f;
    a.clean = a.empty == 0.0f && check_rand_one_in(2);
    a.causal = check_rand_one_in(2);
    a.causal_offset = (ptrdiff_t)a.lk - (ptrdiff_t)a.lq;
    bool inside = check_rand_one_in(2), masked = check_rand_one_in(2);
    float *q = check_alloc_f32_filled(lay_out(a.q_stride, a.batch, a.heads, a.lq, a.d, inside), CHECK_UNIFORM);
    a.q = q;
    a.k = check_alloc_f32_filled(lay_out(a.k_stride, a.batch, a.kv_heads, a.lk, a.d, inside), CHECK_UNIFORM);
    a.v = check_alloc_f32_filled(lay_out(a.v_stride, a.batch, a.kv_heads, a.lk, a.dv, inside), CHECK_UNIFORM);
    if (masked) {
        bool per_head = check_rand_one_in(2), per_row = check_rand_one_in(2), per_key = !check_rand_one_in(4);
        a.mask_stride[3] = per_key;
        a.mask_stride[2] = per_row ? (ptrdiff_t)a.lk : 0;
        a.mask_stride[1] = per_head ? (ptrdiff_t)(a.lk * a.lq) : 0;
        size_t n = a.heads * a.lq * a.lk;
        float *mask = check_alloc_f32_filled(n, CHECK_UNIFORM);
        size_t kind = check_rand_range(0, 2), width = check_rand_range(1, a.lk);
        float low = check_rand_one_in(2) ? -INFINITY : -FLT_MAX;
        for (size_t i = 0; i < n; i++) { /* here and there; what is to come; that, and what is long past */
            size_t row = i / a.lk % a.lq, key = i % a.lk;
            if (kind ? key > row || (kind == 2 && key + width <= row) : check_rand_one_in(3))
                mask[i] = low;
        }
        a.mask = mask;
    }
    int64_t valid[2] = {(int64_t)check_rand_range(0, a.lk), (int64_t)check_rand_range(0, a.lk)};
    a.lk_of_batch = check_rand_one_in(4) ? valid : NULL;
    if (check_rand_one_in(8) && !masked)
        q[0] = NAN;
    size_t n = lay_out(a.out_stride, a.batch, a.heads, a.lq, a.dv, inside);
    float *want = check_alloc_f32(n), *got = check_alloc_f32(n);
    check_case("batch=%zu heads=%zu/%zu lq=%zu lk=%zu d=%zu dv=%zu causal=%d mask=%d", a.batch, a.heads, a.kv_heads, a.lq,
               a.lk, a.d, a.dv, a.causal, masked);
    void *scratch = check_alloc(mbr_attention_scratch(&a));
    a.out = want;
    size_t tiles = mbr_attention_tiles(&a), cut = check_rand_range(0, tiles);
    mbr_attention_ref(&a, scratch, 0, tiles);
    a.out = got;
    if (mbr_attention_panels(&a) && check_rand_one_in(2)) {
        size_t blocks = mbr_attention_blocks(&a), some = check_rand_range(0, blocks);
        a.panels = check_alloc(mbr_attention_panels(&a));
        a.pack = true;
        run(&a, NULL, some, blocks);
        run(&a, NULL, 0, some);
        a.pack = false;
    }
    run(&a, scratch, cut, tiles);
    run(&a, scratch, 0, cut);
    check_f32(want, got, 1, n, 0, 3e-6, 3e-6);
    check_case_end();
}

void check_attention(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 200 && !check_failed(); i++)
            one_case(rows[r].run);
        check_end();
    }
}

typedef struct bench_case {
    mbr_attention_fn *run;
    mbr_attention_args args;
    void *scratch;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    if (b->args.panels) {
        mbr_attention_args pack = b->args;
        pack.pack = true;
        b->run(&pack, NULL, 0, mbr_attention_blocks(&pack));
    }
    b->run(&b->args, b->scratch, 0, mbr_attention_tiles(&b->args));
}

/* attention heads= kv= lq= lk= d= [causal] */
void bench_attention(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run};
        mbr_attention_args *a = &b.args;
        a->batch = 1;
        a->heads = (size_t)bench_get(shape, "heads", 12);
        a->kv_heads = (size_t)bench_get(shape, "kv", (long)a->heads);
        a->lq = (size_t)bench_get(shape, "lq", 128);
        a->lk = (size_t)bench_get(shape, "lk", 128);
        a->d = a->dv = (size_t)bench_get(shape, "d", 64);
        a->scale = 0.125f;
        a->causal = bench_has(shape, "causal");
        a->causal_offset = (ptrdiff_t)a->lk - (ptrdiff_t)a->lq;
        a->q = check_alloc_f32_filled(lay_out(a->q_stride, 1, a->heads, a->lq, a->d, true), CHECK_UNIFORM);
        a->k = check_alloc_f32_filled(lay_out(a->k_stride, 1, a->kv_heads, a->lk, a->d, true), CHECK_UNIFORM);
        a->v = check_alloc_f32_filled(lay_out(a->v_stride, 1, a->kv_heads, a->lk, a->dv, true), CHECK_UNIFORM);
        a->out = check_alloc_f32(lay_out(a->out_stride, 1, a->heads, a->lq, a->dv, true));
        b.scratch = check_alloc(mbr_attention_scratch(a));
        b.args.panels = mbr_attention_panels(a) ? check_alloc(mbr_attention_panels(a)) : NULL;
        bench_run(bench_call, &b);
        bench_report(shape, 4.0 * (double)(a->heads * a->lq * a->lk * a->d), "GFLOP/s");
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/half.h"
#include "kernels/convert.h"
#include "tests/kernels/check.h"

#include <math.h>

#define KERNEL(name, tier) mbr_convert_fn mbr_##name;
#include "kernels/convert.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_convert_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/convert.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

/* The quiet bit and the payload of a NaN are nobody's promise. */
static bool both_nan(mbr_dtype t, const void *a, const void *b, size_t i)
{
    switch (t) {
    case MBR_DTYPE_F32:
        return isnan(((const float *)a)[i]) && isnan(((const float *)b)[i]);
    case MBR_DTYPE_F64:
        return isnan(((const double *)a)[i]) && isnan(((const double *)b)[i]);
    case MBR_DTYPE_F16:
        return isnan(mbr_f16_to_f32(((const uint16_t *)a)[i])) && isnan(mbr_f16_to_f32(((const uint16_t *)b)[i]));
    case MBR_DTYPE_BF16:
        return isnan(mbr_bf16_to_f32(((const uint16_t *)a)[i])) && isnan(mbr_bf16_to_f32(((const uint16_t *)b)[i]));
    default:
        return false;
    }
}

static void one_case(mbr_convert_fn *run, mbr_dtype from, mbr_dtype to)
{
    mbr_convert_args args = {.from = from, .to = to, .saturate = check_rand_one_in(2)};
    size_t n = check_rand_range(1, 700), in_size = mbr_dtype_size(from), out_size = mbr_dtype_size(to);
    unsigned char *in = check_alloc(n * in_size), *want = check_alloc(n * out_size), *got = check_alloc(n * out_size);
    check_fill_random_bytes(in, n * in_size);
    for (size_t i = 0; i < n; i++) {
        if (from == MBR_DTYPE_BOOL)
            in[i] &= 1;
        if (from == MBR_DTYPE_F32 && check_rand_one_in(2))
            ((float *)(void *)in)[i] = check_rand_f32() * 300.0f;
        if (from == MBR_DTYPE_F64 && check_rand_one_in(2))
            ((double *)(void *)in)[i] = (double)check_rand_f32() * 300.0;
    }
    check_case("%s to %s, n=%zu", mbr_dtype_name(from), mbr_dtype_name(to), n);
    mbr_convert_ref(&args, in, want, n);
    run(&args, in, got, n);
    for (size_t i = 0; i < n; i++)
        if (both_nan(to, want, got, i))
            for (size_t k = 0; k < out_size; k++)
                want[i * out_size + k] = got[i * out_size + k];
    check_bytes(want, got, n * out_size);
    check_case_end();
}

void check_convert(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int from = 1; from < MBR_DTYPE_COUNT; from++)
            for (int to = 1; to < MBR_DTYPE_COUNT && !check_failed(); to++)
                if (mbr_convert_has((mbr_dtype)from, (mbr_dtype)to))
                    one_case(rows[r].run, (mbr_dtype)from, (mbr_dtype)to);
        check_end();
    }
}

typedef struct bench_case {
    mbr_convert_fn *run;
    mbr_convert_args args;
    const void *in;
    void *out;
    size_t n;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->args, b->in, b->out, b->n);
}

/* convert from= to= (numbers of ONNX) n=, in elements a nanosecond. */
void bench_convert(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run, .n = (size_t)bench_get(shape, "n", 16384)};
        b.args.from = (mbr_dtype)bench_get(shape, "from", MBR_DTYPE_F16);
        b.args.to = (mbr_dtype)bench_get(shape, "to", MBR_DTYPE_F32);
        void *in = check_alloc(b.n * mbr_dtype_size(b.args.from));
        check_fill_random_bytes(in, b.n * mbr_dtype_size(b.args.from));
        b.in = in;
        b.out = check_alloc(b.n * mbr_dtype_size(b.args.to));
        bench_run(bench_call, &b);
        bench_report(shape, (double)b.n, "elements/ns");
    }
}

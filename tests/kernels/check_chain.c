/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/chain.h"
#include "base/half.h"
#include "tests/kernels/check.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define KERNEL(name, tier) mbr_chain_fn mbr_##name;
#include "kernels/chain.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_chain_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/chain.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

/* Error allowed for one operator: ulp of the result, or absolute, or a part of |a|. */
typedef struct bound {
    double ulp, abs, of_a;
} bound;

static bound op_bound(mbr_chain_op op)
{
    switch (op) {
    case MBR_CHAIN_EXP:
    case MBR_CHAIN_LOG:
    case MBR_CHAIN_TANH:
    case MBR_CHAIN_ERF:
    case MBR_CHAIN_POW:
    case MBR_CHAIN_POWI:
    case MBR_CHAIN_RPOWI:
    case MBR_CHAIN_ELU:
    case MBR_CHAIN_SELU:
    case MBR_CHAIN_SOFTPLUS:
        return (bound){4, 0, 0};
    case MBR_CHAIN_SIN:
    case MBR_CHAIN_COS:
        return (bound){4, 0x1p-40, 0};
    case MBR_CHAIN_CELU:
        return (bound){8, 0, 0}; /* the quotient a / x is rounded */
    case MBR_CHAIN_SIGMOID:
    case MBR_CHAIN_MISH:
        return (bound){4, 1.2e-36, 0};
    case MBR_CHAIN_SWISH: /* the product a x is rounded before the exponential */
        return (bound){4, 1.2e-36, 0x1p-23};
    case MBR_CHAIN_GELU:
    case MBR_CHAIN_GELU_TANH:
        return (bound){4, 1.2e-36, 0x1p-23};
    case MBR_CHAIN_FMA:
    case MBR_CHAIN_FMAI:
        return (bound){1, 0x1p-17, 0};
    case MBR_CHAIN_HARD_SIGMOID:
        return (bound){2, 0x1p-22, 0};
    case MBR_CHAIN_HARD_SWISH:
    case MBR_CHAIN_SOFTSIGN:
        return (bound){4, 0, 0x1p-22};
    default:
        return (bound){0, 0, 0};
    }
}

static bool close_enough(float want, float got, float a, bound b)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (want == got)
        return true;
    if (isinf(want) || isinf(got)) /* the largest number and infinity are neighbours */
        return b.ulp > 0 && fabsf(want) >= FLT_MAX * 0.999f && fabsf(got) >= FLT_MAX * 0.999f &&
               signbit(want) == signbit(got);
    double ulp = ldexp(1.0, (fabsf(want) < FLT_MIN ? -126 : ilogbf(want)) - 23);
    return fabs((double)want - (double)got) <= b.ulp * ulp + b.abs + b.of_a * fabs((double)a);
}

static const float special[] = {0.0f,    -0.0f,   1.0f,     -1.0f,     0.5f,    -0.5f,      1.5f,     2.5f,
                                -2.5f,   1e-45f,  -1e-45f,  1e-38f,    -1e-38f, 3.4e38f,    -3.4e38f, 88.0f,
                                88.8f,   -87.4f,  -88.5f,   -103.9f,   -104.5f, 1e10f,      -1e10f,   0.625f,
                                8388609, -8388607.5f, 16777216.0f, 3.1415927f, INFINITY, -INFINITY, NAN, -NAN};

static float random_input(void)
{
    switch (check_rand_range(0, 5)) {
    case 0:
        return special[check_rand_range(0, sizeof special / sizeof *special - 1)];
    case 1: { /* any bits; NaN is quiet, for libm's pow tells the kinds apart */
        float x = mbr_f32_from_bits((uint32_t)check_rand());
        return isnan(x) ? NAN : x;
    }
    case 2:
        return check_rand_f32() * 100.0f;
    case 3:
        return (float)check_rand_range(0, 20) * 0.5f - 5.0f;
    default:
        return check_rand_f32() * 8.0f;
    }
}

static void check_operator(mbr_chain_fn *run, mbr_chain_op op)
{
    size_t n = check_rand_range(1, 2000);
    static const float immediates[] = {0.5f, 1.0f, 2.0f, 3.0f, -1.0f, 0.0f, 1.7f, 0.2f, 6.0f};
    mbr_chain chain = {.inputs = 3, .outputs = 1, .length = 1, .output_reg = {3}};
    chain.code[0] = (mbr_chain_insn){.op = (uint8_t)op, .dst = 3, .a = 0, .b = 1, .c = 2};
    chain.code[0].x = immediates[check_rand_range(0, 8)];
    chain.code[0].y = immediates[check_rand_range(0, 8)];
    if (op == MBR_CHAIN_CELU)
        chain.code[0].x = fabsf(chain.code[0].x) + 0.1f;
    bool fused = op == MBR_CHAIN_FMA || op == MBR_CHAIN_FMAI; /* not every tier is: no overflow on the way */
    float *in[3], *want = check_alloc_f32(n), *got = check_alloc_f32(n);
    for (int k = 0; k < 3; k++) {
        in[k] = check_alloc_f32(n);
        for (size_t i = 0; i < n; i++)
            in[k][i] = fused ? check_rand_f32() * 8.0f : random_input();
    }
    check_case("%s n=%zu x=%g y=%g", mbr_chain_op_name(op), n, (double)chain.code[0].x, (double)chain.code[0].y);
    mbr_chain_space space;
    mbr_chain_space_init(&space, &chain, 1, &n, NULL, NULL);
    const void *ins[3] = {in[0], in[1], in[2]};
    mbr_chain_ref(&chain, &space, ins, (void *[]){want}, 0, space.tiles);
    run(&chain, &space, ins, (void *[]){got}, 0, space.tiles);
    bound b = op_bound(op);
    for (size_t i = 0; i < n; i++)
        if (!close_enough(want[i], got[i], in[0][i], b)) {
            check_fail("[%zu] %a %a %a: want %a got %a", i, (double)in[0][i], (double)in[1][i], (double)in[2][i],
                       (double)want[i], (double)got[i]);
            break;
        }
    check_case_end();
}

/* Programs of operators that are exact on every tier, on operands of every pattern and type. */
static void check_program(mbr_chain_fn *run)
{
    static const uint8_t exact[] = {MBR_CHAIN_ADD, MBR_CHAIN_SUB,  MBR_CHAIN_MUL,  MBR_CHAIN_MIN,  MBR_CHAIN_MAX,
                                    MBR_CHAIN_NEG, MBR_CHAIN_ABS,  MBR_CHAIN_ADDI, MBR_CHAIN_CLIP, MBR_CHAIN_WHERE,
                                    MBR_CHAIN_LT,  MBR_CHAIN_PRELU, MBR_CHAIN_RELU, MBR_CHAIN_MOV};
    static const mbr_dtype types[] = {MBR_DTYPE_F32,  MBR_DTYPE_UNDEFINED, MBR_DTYPE_F16, MBR_DTYPE_BF16, MBR_DTYPE_U8,
                                      MBR_DTYPE_I8, MBR_DTYPE_BOOL,      MBR_DTYPE_I32};
    mbr_chain c = {.inputs = (int)check_rand_range(1, 4), .outputs = (int)check_rand_range(1, 2)};
    c.length = (int)check_rand_range(0, 8);
    int written = c.inputs;
    for (int i = 0; i < c.length; i++) {
        size_t top = (size_t)written;
        mbr_chain_insn *n = &c.code[i];
        n->op = exact[check_rand_range(0, sizeof exact - 1)];
        n->a = (uint8_t)check_rand_range(0, top - 1);
        n->b = (uint8_t)check_rand_range(0, top - 1);
        n->c = (uint8_t)check_rand_range(0, top - 1);
        n->x = check_rand_f32();
        n->y = n->x + 1.0f;
        if (written > c.inputs && check_rand_one_in(3))
            n->dst = (uint8_t)check_rand_range((size_t)c.inputs, top - 1);
        else
            n->dst = (uint8_t)written++;
    }
    int rank = (int)check_rand_range(0, 4);
    size_t dims[4], count = 1;
    for (int d = 0; d < rank; d++) {
        dims[d] = check_rand_one_in(3) ? check_rand_range(1, 3) : check_rand_range(1, d == rank - 1 ? 1500 : 12);
        if (count * dims[d] > 40000)
            dims[d] = 2;
        count *= dims[d];
    }
    ptrdiff_t strides[MBR_CHAIN_INPUTS][4], out_strides[4];
    const ptrdiff_t *in_strides[MBR_CHAIN_INPUTS], *outs_strides[2] = {NULL, NULL};
    const void *in[MBR_CHAIN_INPUTS];
    void *want[2], *got[2];
    for (int i = 0; i < c.inputs; i++) {
        size_t size = 1;
        for (int d = rank - 1; d >= 0; d--) {
            bool broadcast = check_rand_one_in(3);
            strides[i][d] = broadcast ? 0 : (ptrdiff_t)size;
            if (!broadcast)
                size *= dims[d];
            if (!broadcast && check_rand_one_in(6))
                size *= 2;
        }
        if (check_rand_one_in(2)) {
            size = count;
            mbr_dense_strides(rank, dims, strides[i]);
        }
        in_strides[i] = strides[i];
        c.input_type[i] = types[check_rand_one_in(2) ? 0 : check_rand_range(0, 7)];
        float *f = check_alloc_f32_filled(size, CHECK_HALVES);
        for (size_t k = 0; k < size && c.input_type[i] == MBR_DTYPE_I32; k++)
            ((int32_t *)(void *)f)[k] = (int32_t)check_rand_range(0, 200) - 100;
        for (size_t k = 0; k < 2 * size && (c.input_type[i] == MBR_DTYPE_F16 || c.input_type[i] == MBR_DTYPE_BF16); k++)
            ((uint16_t *)(void *)f)[k] = (uint16_t)(0x3c00 + check_rand_range(0, 0x300));
        in[i] = f;
    }
    bool strided = check_rand_one_in(4);
    ptrdiff_t step = strided ? 2 : 1;
    for (int d = rank - 1; d >= 0; d--) {
        out_strides[d] = step;
        step *= (ptrdiff_t)dims[d];
    }
    for (int o = 0; o < c.outputs; o++) {
        c.output_reg[o] = (uint8_t)check_rand_range(0, (size_t)written - 1);
        c.output_type[o] = types[check_rand_one_in(2) ? 0 : check_rand_range(0, 7)];
        outs_strides[o] = strided ? out_strides : NULL;
        want[o] = check_alloc((size_t)step * 4);
        got[o] = check_alloc((size_t)step * 4);
        memset(want[o], 1, (size_t)step * 4);
        memset(got[o], 1, (size_t)step * 4);
    }
    check_case("program of %d, %d inputs, %d outputs, rank %d, %zu elements%s", c.length, c.inputs, c.outputs, rank,
               count, strided ? ", strided" : "");
    const char *wrong = mbr_chain_check(&c);
    if (wrong)
        check_fail("the program: %s", wrong);
    mbr_chain_space space;
    mbr_chain_space_init(&space, &c, rank, dims, in_strides, outs_strides);
    mbr_chain_ref(&c, &space, in, want, 0, space.tiles);
    size_t cut = check_rand_range(0, space.tiles);
    run(&c, &space, in, got, cut, space.tiles);
    run(&c, &space, in, got, 0, cut);
    for (int o = 0; o < c.outputs; o++)
        if (!check_bytes(want[o], got[o], (size_t)step * 4))
            break;
    check_case_end();
}

/* The output in the place of an input that later instructions still read. */
static void check_in_place(mbr_chain_fn *run)
{
    size_t n = check_rand_range(1, 3000);
    mbr_chain c = {.inputs = 2, .outputs = 2, .length = 3, .output_reg = {2, 4}};
    c.code[0] = (mbr_chain_insn){.op = MBR_CHAIN_ADD, .dst = 2, .a = 0, .b = 1};
    c.code[1] = (mbr_chain_insn){.op = MBR_CHAIN_MUL, .dst = 3, .a = 0, .b = 2};
    c.code[2] = (mbr_chain_insn){.op = MBR_CHAIN_SUB, .dst = 4, .a = 3, .b = 1};
    float *a = check_alloc_f32_filled(n, CHECK_HALVES), *b = check_alloc_f32_filled(n, CHECK_HALVES);
    float *sum = check_alloc_f32(n), *rest = check_alloc_f32(n);
    for (size_t i = 0; i < n; i++) {
        sum[i] = a[i] + b[i];
        rest[i] = a[i] * sum[i] - b[i];
    }
    check_case("in place, n=%zu", n);
    mbr_chain_space space;
    mbr_chain_space_init(&space, &c, 1, &n, NULL, NULL);
    run(&c, &space, (const void *[]){a, b}, (void *[]){a, b}, 0, space.tiles);
    if (check_bytes(sum, a, n * sizeof *a))
        check_bytes(rest, b, n * sizeof *b);
    check_case_end();
}

void check_chain(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int pass = 0; pass < 20 && !check_failed(); pass++)
            for (int op = 0; op < MBR_CHAIN_OP_COUNT; op++)
                check_operator(rows[r].run, (mbr_chain_op)op);
        for (int pass = 0; pass < 400 && !check_failed(); pass++)
            check_program(rows[r].run);
        for (int pass = 0; pass < 20 && !check_failed(); pass++)
            check_in_place(rows[r].run);
        check_end();
    }
}

typedef struct bench_case {
    mbr_chain_fn *run;
    mbr_chain chain;
    mbr_chain_space space;
    const void *in[3];
    void *out[1];
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->chain, &b->space, b->in, b->out, 0, b->space.tiles);
}

/* chain op=NUMBER n=ELEMENTS: one operator on dense operands, in elements a nanosecond. */
void bench_chain(const bench_shape *shape)
{
    size_t n = (size_t)bench_get(shape, "n", 16384);
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run, .chain = {.inputs = 3, .outputs = 1, .length = 1, .output_reg = {3}}};
        b.chain.code[0] =
            (mbr_chain_insn){.op = (uint8_t)bench_get(shape, "op", MBR_CHAIN_ADD), .dst = 3, .b = 1, .c = 2, .x = 1.0f};
        for (int k = 0; k < 3; k++)
            b.in[k] = check_alloc_f32_filled(n, CHECK_UNIFORM);
        b.out[0] = check_alloc_f32(n);
        mbr_chain_space_init(&b.space, &b.chain, 1, &n, NULL, NULL);
        bench_run(bench_call, &b);
        bench_report(shape, (double)n, "elements/ns");
    }
}

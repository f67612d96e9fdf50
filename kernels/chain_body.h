/* SPDX-License-Identifier: BSD-2-Clause */
/* Chains on vectors. A file includes a vec_*.h, defines MBR_CHAIN_NAME (mbr_chain_avx2 ...) and includes this. */
#include "kernels/chain.h"
#include "kernels/simd/math_nn.h"

MBR_INLINE vm chain_true(vf a)
{
    return vf_ne(a, vf_zero());
}

MBR_INLINE vf chain_bool(vm m)
{
    return vf_select(m, vf_set1(1.0f), vf_zero());
}

/* One vector of one operator; op is a constant wherever this is expanded. x and y are the immediates. */
MBR_INLINE vf chain_op(mbr_chain_op op, vf a, vf b, vf c, vf x, vf y)
{
    const vf zero = vf_zero(), one = vf_set1(1.0f);
    switch (op) {
    case MBR_CHAIN_MOV: return a;
    case MBR_CHAIN_ADD: return vf_add(a, b);
    case MBR_CHAIN_SUB: return vf_sub(a, b);
    case MBR_CHAIN_MUL: return vf_mul(a, b);
    case MBR_CHAIN_DIV: return vf_div(a, b);
    case MBR_CHAIN_MIN: return vf_min_nan(a, b);
    case MBR_CHAIN_MAX: return vf_max_nan(a, b);
    case MBR_CHAIN_FMA: return vf_fma(a, b, c);
    case MBR_CHAIN_PRELU: return vf_select(vf_lt(a, zero), vf_mul(a, b), a);
    case MBR_CHAIN_WHERE: return vf_select(chain_true(a), b, c);
    case MBR_CHAIN_ADDI: return vf_add(a, x);
    case MBR_CHAIN_SUBI: return vf_sub(a, x);
    case MBR_CHAIN_RSUBI: return vf_sub(x, a);
    case MBR_CHAIN_MULI: return vf_mul(a, x);
    case MBR_CHAIN_DIVI: return vf_div(a, x);
    case MBR_CHAIN_RDIVI: return vf_div(x, a);
    case MBR_CHAIN_MINI: return vf_min_nan(a, x);
    case MBR_CHAIN_MAXI: return vf_max_nan(a, x);
    case MBR_CHAIN_FMAI: return vf_fma(a, x, y);
    case MBR_CHAIN_MULADD: return vf_add(vf_mul(a, x), y);
    case MBR_CHAIN_CLIP: return vf_min(y, vf_max(x, a));
    case MBR_CHAIN_NEG: return vf_neg(a);
    case MBR_CHAIN_ABS: return vf_abs(a);
    case MBR_CHAIN_SQUARE: return vf_mul(a, a);
    case MBR_CHAIN_SQRT: return vf_sqrt(a);
    case MBR_CHAIN_RSQRT: return vf_div(one, vf_sqrt(a));
    case MBR_CHAIN_RECIPROCAL: return vf_div(one, a);
    case MBR_CHAIN_FLOOR: return vf_floor(a);
    case MBR_CHAIN_CEIL: return vf_ceil(a);
    case MBR_CHAIN_ROUND: return vf_round(a);
    case MBR_CHAIN_TRUNC: return vf_trunc(a);
    case MBR_CHAIN_SIGN: {
        vf size = vf_select(vf_eq(a, zero), zero, one);
        return vf_select(vf_is_nan(a), a, vf_or(size, vf_select(vf_lt(a, zero), vf_signed_zero(a), zero)));
    }
    case MBR_CHAIN_EXP: return vf_exp(a);
    case MBR_CHAIN_LOG: return vf_log(a);
    case MBR_CHAIN_SIN: return vf_sin(a);
    case MBR_CHAIN_COS: return vf_cos(a);
    case MBR_CHAIN_TANH: return vf_tanh(a);
    case MBR_CHAIN_ERF: return vf_erf(a);
    case MBR_CHAIN_SIGMOID: return vf_sigmoid(a);
    case MBR_CHAIN_RELU: return vf_max(zero, a);
    case MBR_CHAIN_LEAKY_RELU: return vf_select(vf_lt(a, zero), vf_mul(a, x), a);
    case MBR_CHAIN_THRESHOLDED_RELU: return vf_select(vf_gt(a, x), a, zero);
    case MBR_CHAIN_ELU: return vf_select(vf_lt(a, zero), vf_mul(x, vf_expm1(a)), a);
    case MBR_CHAIN_SELU: return vf_mul(y, vf_select(vf_lt(a, zero), vf_mul(x, vf_expm1(a)), a));
    case MBR_CHAIN_CELU: {
        vf e = vf_mul(x, vf_expm1(vf_div(a, x)));
        vf r = vf_add(vf_max(zero, a), vf_min(zero, e));
        return vf_select(vf_is_nan(a), a, r);
    }
    case MBR_CHAIN_SOFTPLUS: return vf_softplus(a);
    case MBR_CHAIN_SOFTSIGN: return vf_div(a, vf_add(one, vf_abs(a)));
    case MBR_CHAIN_HARD_SIGMOID: return vf_min(one, vf_max(zero, vf_fma(a, x, y)));
    case MBR_CHAIN_HARD_SWISH: {
        vf gate = vf_fma(a, vf_set1(1.0f / 6.0f), vf_set1(0.5f));
        return vf_mul(a, vf_min(one, vf_max(zero, gate)));
    }
    case MBR_CHAIN_MISH: return vf_mish(a);
    case MBR_CHAIN_SWISH: return vf_gate(a, vf_mul(a, x));
    case MBR_CHAIN_GELU: return vf_gelu(a);
    case MBR_CHAIN_GELU_TANH: return vf_gelu_tanh(a);
    case MBR_CHAIN_SHRINK: {
        vf r = vf_select(vf_gt(a, x), vf_sub(a, y), zero);
        return vf_select(vf_lt(a, vf_neg(x)), vf_add(a, y), r);
    }
    case MBR_CHAIN_EQ: return chain_bool(vf_eq(a, b));
    case MBR_CHAIN_NE: return chain_bool(vf_ne(a, b));
    case MBR_CHAIN_LT: return chain_bool(vf_lt(a, b));
    case MBR_CHAIN_LE: return chain_bool(vf_le(a, b));
    case MBR_CHAIN_GT: return chain_bool(vf_gt(a, b));
    case MBR_CHAIN_GE: return chain_bool(vf_ge(a, b));
    case MBR_CHAIN_AND: return chain_bool(vm_and(chain_true(a), chain_true(b)));
    case MBR_CHAIN_OR: return chain_bool(vm_or(chain_true(a), chain_true(b)));
    case MBR_CHAIN_XOR: {
        vm both = vm_and(chain_true(a), chain_true(b));
        return chain_bool(vm_and(vm_or(chain_true(a), chain_true(b)), vm_not(both)));
    }
    case MBR_CHAIN_NOT: return chain_bool(vf_eq(a, zero));
    case MBR_CHAIN_ISNAN: return chain_bool(vf_is_nan(a));
    case MBR_CHAIN_FMOD: return vf_fmod(a, b);
    case MBR_CHAIN_POW: /* chain_pow */
    case MBR_CHAIN_POWI:
    case MBR_CHAIN_RPOWI:
    case MBR_CHAIN_OP_COUNT: break;
    }
    return a;
}

/* Operators so long that a look at the length for each vector costs nothing: one body does for the rest, too. */
MBR_INLINE bool chain_is_long(mbr_chain_op op)
{
    switch (op) {
    case MBR_CHAIN_EXP:
    case MBR_CHAIN_LOG:
    case MBR_CHAIN_SIN:
    case MBR_CHAIN_COS:
    case MBR_CHAIN_TANH:
    case MBR_CHAIN_ERF:
    case MBR_CHAIN_SIGMOID:
    case MBR_CHAIN_ELU:
    case MBR_CHAIN_SELU:
    case MBR_CHAIN_CELU:
    case MBR_CHAIN_SOFTPLUS:
    case MBR_CHAIN_MISH:
    case MBR_CHAIN_SWISH:
    case MBR_CHAIN_GELU:
    case MBR_CHAIN_GELU_TANH:
    case MBR_CHAIN_FMOD:
        return true;
    default:
        return false;
    }
}

/* The loop of one operator over a tile. */
MBR_INLINE void chain_loop(mbr_chain_op op, int regs, float *dst, const float *a, const float *b, const float *c,
                           float ix, float iy, size_t n)
{
    const vf x = vf_set1(ix), y = vf_set1(iy);
    size_t i = 0;
    if (op == MBR_CHAIN_TANH)
        for (; i + 4 * MBR_VL <= n; i += 4 * MBR_VL) {
            vf v[4] = { vf_load(a + i), vf_load(a + i + MBR_VL), vf_load(a + i + 2 * MBR_VL), vf_load(a + i + 3 * MBR_VL) };
            vf_tanh_many(v, 4);
            for (size_t k = 0; k < 4; k++)
                vf_store(dst + i + k * MBR_VL, v[k]);
        }
    if (chain_is_long(op)) {
        for (; i < n; i += MBR_VL) {
            size_t left = n - i;
            bool whole = left >= MBR_VL;
            vf va = whole ? vf_load(a + i) : vf_load_n(a + i, left), vb = vf_zero();
            if (regs > 1)
                vb = whole ? vf_load(b + i) : vf_load_n(b + i, left);
            va = chain_op(op, va, vb, vb, x, y);
            if (whole)
                vf_store(dst + i, va);
            else
                vf_store_n(dst + i, va, left);
        }
        return;
    }
    for (; i + MBR_VL <= n; i += MBR_VL) {
        vf vb = regs > 1 ? vf_load(b + i) : vf_zero(), vc = regs > 2 ? vf_load(c + i) : vf_zero();
        vf_store(dst + i, chain_op(op, vf_load(a + i), vb, vc, x, y));
    }
    if (i < n) {
        size_t left = n - i;
        vf vb = regs > 1 ? vf_load_n(b + i, left) : vf_zero(), vc = regs > 2 ? vf_load_n(c + i, left) : vf_zero();
        vf_store_n(dst + i, chain_op(op, vf_load_n(a + i, left), vb, vc, x, y), left);
    }
}

/* Powers of elements by elements; a side whose step is 0 is one number, MBR_VL times. */
MBR_NOINLINE static void chain_pow(float *dst, const float *a, size_t a_step, const float *b, size_t b_step, size_t n)
{
    for (size_t i = 0; i < n; i += MBR_VL) {
        size_t left = n - i < MBR_VL ? n - i : MBR_VL;
        vf_store_n(dst + i, vf_pow(vf_load_n(a + i * a_step, left), vf_load_n(b + i * b_step, left)), left);
    }
}

/* Powers that are products or roots. False: none of them. */
static bool chain_powi(float *dst, const float *a, float x, size_t n)
{
    if (x == 2.0f) {
        chain_loop(MBR_CHAIN_SQUARE, 1, dst, a, a, a, 0.0f, 0.0f, n);
    } else if (x == 3.0f) {
        for (size_t i = 0; i < n; i += MBR_VL) {
            size_t left = n - i < MBR_VL ? n - i : MBR_VL;
            vf v = left == MBR_VL ? vf_load(a + i) : vf_load_n(a + i, left);
            v = vf_mul(vf_mul(v, v), v);
            if (left == MBR_VL)
                vf_store(dst + i, v);
            else
                vf_store_n(dst + i, v, left);
        }
    } else if (x == 1.0f) {
        chain_loop(MBR_CHAIN_MOV, 1, dst, a, a, a, 0.0f, 0.0f, n);
    } else if (x == -1.0f) {
        chain_loop(MBR_CHAIN_RECIPROCAL, 1, dst, a, a, a, 0.0f, 0.0f, n);
    } else if (x == 0.5f) { /* unlike sqrt: +0 at -0, infinity at -infinity */
        for (size_t i = 0; i < n; i += MBR_VL) {
            size_t left = n - i < MBR_VL ? n - i : MBR_VL;
            vf v = vf_load_n(a + i, left);
            vf r = vf_sqrt(vf_add(v, vf_zero()));
            vf_store_n(dst + i, vf_select(vf_eq(v, vf_neg(vf_inf())), vf_inf(), r), left);
        }
    } else {
        return false;
    }
    return true;
}

static void chain_exec(const mbr_chain_insn *insn, float *dst, const float *a, const float *b, const float *c, size_t n)
{
    if (insn->op == MBR_CHAIN_POW || insn->op == MBR_CHAIN_POWI || insn->op == MBR_CHAIN_RPOWI) {
        float number[MBR_VL];
        vf_store(number, vf_set1(insn->x));
        if (insn->op == MBR_CHAIN_POW)
            chain_pow(dst, a, 1, b, 1, n);
        else if (insn->op == MBR_CHAIN_RPOWI)
            chain_pow(dst, number, 0, a, 1, n);
        else if (!chain_powi(dst, a, insn->x, n))
            chain_pow(dst, a, 1, number, 0, n);
        return;
    }
    switch ((mbr_chain_op)insn->op) {
#define CASE(id, regs, imms, text)                                                                                     \
    case MBR_CHAIN_##id:                                                                                               \
        chain_loop(MBR_CHAIN_##id, regs, dst, a, b, c, insn->x, insn->y, n);                                           \
        break;
        MBR_CHAIN_OPS(CASE)
#undef CASE
    case MBR_CHAIN_OP_COUNT:
        break;
    }
}

static void chain_load(mbr_dtype t, float *dst, const void *src, size_t n);
static void chain_store(mbr_dtype t, void *dst, const float *src, size_t n);

#define MBR_CHAIN_EXEC chain_exec
#define MBR_CHAIN_LOAD chain_load
#define MBR_CHAIN_STORE chain_store
#include "kernels/chain_walk.h"

static void chain_load(mbr_dtype t, float *dst, const void *src, size_t n)
{
    const uint8_t *u8 = src;
    const uint16_t *u16 = src;
    const int32_t *i32 = src;
    size_t i = 0;
    for (; i + MBR_VL <= n; i += MBR_VL) {
        vf v;
        switch (t) {
        case MBR_DTYPE_F16: v = vf_load_f16(u16 + i); break;
        case MBR_DTYPE_BF16: v = vf_load_bf16(u16 + i); break;
        case MBR_DTYPE_U8: v = vi_to_vf(vi_load_u8(u8 + i)); break;
        case MBR_DTYPE_I8: v = vi_to_vf(vi_load_s8((const int8_t *)u8 + i)); break;
        case MBR_DTYPE_BOOL: v = chain_bool(vm_not(vi_eq(vi_load_u8(u8 + i), vi_zero()))); break;
        default: v = vi_to_vf(vi_load(i32 + i)); break;
        }
        vf_store(dst + i, v);
    }
    for (; i < n; i++)
        dst[i] = chain_load_one(t, (const char *)src + i * chain_type_size(t));
}

static void chain_store(mbr_dtype t, void *dst, const float *src, size_t n)
{
    uint8_t *u8 = dst;
    uint16_t *u16 = dst;
    size_t i = 0;
    for (; i + MBR_VL <= n && t != MBR_DTYPE_I32; i += MBR_VL) {
        vf v = vf_load(src + i);
        switch (t) {
        case MBR_DTYPE_F16: vf_store_f16(u16 + i, v); break;
        case MBR_DTYPE_BF16: vf_store_bf16(u16 + i, v); break;
        case MBR_DTYPE_BOOL: vi_store_u8(u8 + i, vi_select(chain_true(v), vi_set1(1), vi_zero())); break;
        default: /* NaN to 0, then the range, so that the conversion is defined */
            v = vf_select(vf_is_nan(v), vf_zero(), v);
            if (t == MBR_DTYPE_U8)
                vi_store_u8(u8 + i, vf_to_vi(vf_min(vf_max(v, vf_zero()), vf_set1(255.0f))));
            else
                vi_store_s8((int8_t *)u8 + i, vf_to_vi(vf_min(vf_max(v, vf_set1(-128.0f)), vf_set1(127.0f))));
            break;
        }
    }
    for (; i < n; i++)
        chain_store_one(t, (char *)dst + i * chain_type_size(t), src[i]);
}

void MBR_CHAIN_NAME(const mbr_chain *chain, const mbr_chain_space *space, const void *const *in, void *const *out,
                    size_t first, size_t last)
{
    chain_run(chain, space, in, out, first, last);
}

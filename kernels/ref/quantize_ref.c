/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/quantize.h"

#include "base/half.h"

/* Runs go through f32 buffers of this many elements. */
#define CHUNK 256

bool mbr_quantize_range(mbr_dtype dtype, int32_t *lowest, int32_t *highest)
{
    switch (dtype) {
    case MBR_DTYPE_U8: *lowest = 0, *highest = 255; return true;
    case MBR_DTYPE_I8: *lowest = -128, *highest = 127; return true;
    case MBR_DTYPE_U16: *lowest = 0, *highest = 65535; return true;
    case MBR_DTYPE_I16: *lowest = -32768, *highest = 32767; return true;
    case MBR_DTYPE_U4: *lowest = 0, *highest = 15; return true;
    case MBR_DTYPE_I4: *lowest = -8, *highest = 7; return true;
    case MBR_DTYPE_U2: *lowest = 0, *highest = 3; return true;
    case MBR_DTYPE_I2: *lowest = -2, *highest = 1; return true;
    default: return false;
    }
}

static bool is_narrow_float(mbr_dtype t)
{
    return t == MBR_DTYPE_F8E4M3FN || t == MBR_DTYPE_F8E4M3FNUZ || t == MBR_DTYPE_F8E5M2 ||
           t == MBR_DTYPE_F8E5M2FNUZ || t == MBR_DTYPE_F4E2M1;
}

static bool is_real(mbr_dtype t)
{
    return t == MBR_DTYPE_F32 || t == MBR_DTYPE_F16 || t == MBR_DTYPE_BF16 || t == MBR_DTYPE_F64;
}

static bool scale_fits(mbr_dtype t)
{
    return is_real(t) || t == MBR_DTYPE_F8E8M0 || t == MBR_DTYPE_I32;
}

bool mbr_quantize_has(const mbr_quantize_args *args)
{
    int32_t lo, hi;
    return (is_real(args->x) || args->x == MBR_DTYPE_I32) && scale_fits(args->scale) && is_real(args->precision) &&
           (mbr_quantize_range(args->y, &lo, &hi) || is_narrow_float(args->y));
}

bool mbr_dequantize_has(const mbr_quantize_args *args)
{
    int32_t lo, hi;
    return (mbr_quantize_range(args->x, &lo, &hi) || is_narrow_float(args->x) || args->x == MBR_DTYPE_I32) &&
           scale_fits(args->scale) && is_real(args->y);
}

/* v[i] = p[i] for n elements at offset `first`. */
static void load(mbr_dtype dtype, const void *p, size_t first, size_t n, float *v)
{
#define LOAD(type, expression)                                                                                         \
    do {                                                                                                               \
        const type *x = (const type *)p + first;                                                                       \
        for (size_t i = 0; i < n; i++)                                                                                 \
            v[i] = expression;                                                                                         \
    } while (0)
    switch (dtype) {
    case MBR_DTYPE_F32: LOAD(float, x[i]); break;
    case MBR_DTYPE_F64: LOAD(double, (float)x[i]); break;
    case MBR_DTYPE_F16: LOAD(uint16_t, mbr_f16_to_f32(x[i])); break;
    case MBR_DTYPE_BF16: LOAD(uint16_t, mbr_bf16_to_f32(x[i])); break;
    case MBR_DTYPE_I32: LOAD(int32_t, (float)x[i]); break;
    case MBR_DTYPE_U16: LOAD(uint16_t, (float)x[i]); break;
    case MBR_DTYPE_I16: LOAD(int16_t, (float)x[i]); break;
    case MBR_DTYPE_I8:
    case MBR_DTYPE_I4:
    case MBR_DTYPE_I2: LOAD(int8_t, (float)x[i]); break;
    case MBR_DTYPE_U8:
    case MBR_DTYPE_U4:
    case MBR_DTYPE_U2: LOAD(uint8_t, (float)x[i]); break;
    default: LOAD(uint8_t, (float)mbr_small_float_to_f64(dtype, x[i])); break;
    }
#undef LOAD
}

static void round_to(mbr_dtype dtype, float *v, size_t n)
{
    if (dtype == MBR_DTYPE_F16)
        for (size_t i = 0; i < n; i++)
            v[i] = mbr_f16_to_f32(mbr_f32_to_f16(v[i]));
    else if (dtype == MBR_DTYPE_BF16)
        for (size_t i = 0; i < n; i++)
            v[i] = mbr_bf16_to_f32(mbr_f32_to_bf16(v[i]));
}

/* Whole numbers within the type's range. */
static void store_ints(mbr_dtype dtype, const float *v, void *p, size_t first, size_t n)
{
#define STORE(type)                                                                                                    \
    do {                                                                                                               \
        type *y = (type *)p + first;                                                                                   \
        for (size_t i = 0; i < n; i++)                                                                                 \
            y[i] = (type)(int32_t)v[i];                                                                                \
    } while (0)
    switch (dtype) {
    case MBR_DTYPE_U16: STORE(uint16_t); break;
    case MBR_DTYPE_I16: STORE(int16_t); break;
    case MBR_DTYPE_I8:
    case MBR_DTYPE_I4:
    case MBR_DTYPE_I2: STORE(int8_t); break;
    default: STORE(uint8_t); break;
    }
#undef STORE
}

static void store_reals(mbr_dtype dtype, const float *v, void *p, size_t first, size_t n)
{
#define STORE(type, expression)                                                                                        \
    do {                                                                                                               \
        type *y = (type *)p + first;                                                                                   \
        for (size_t i = 0; i < n; i++)                                                                                 \
            y[i] = expression;                                                                                         \
    } while (0)
    switch (dtype) {
    case MBR_DTYPE_F32: STORE(float, v[i]); break;
    case MBR_DTYPE_F64: STORE(double, (double)v[i]); break;
    case MBR_DTYPE_F16: STORE(uint16_t, mbr_f32_to_f16(v[i])); break;
    default: STORE(uint16_t, mbr_f32_to_bf16(v[i])); break;
    }
#undef STORE
}

/* v = round(clamp(v, lo - zero, hi - zero)) + zero. The bounds stay below 2^22, so adding 1.5 * 2^23 rounds. */
static void round_and_clamp(float *v, const float *zero, size_t step, float lo, float hi, size_t n)
{
    const float magic = 12582912.0f;
    if (step == 0) {
        float z = zero[0], below = lo - z, above = hi - z;
        for (size_t i = 0; i < n; i++) {
            float x = v[i] > below ? v[i] : below;
            x = x < above ? x : above;
            v[i] = ((x + magic) - magic) + z;
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float below = lo - zero[i], above = hi - zero[i];
        float x = v[i] > below ? v[i] : below;
        x = x < above ? x : above;
        v[i] = ((x + magic) - magic) + zero[i];
    }
}

static void quantize(const mbr_quantize_args *args, const void *x, const void *scale, const void *zero, size_t step,
                     void *y, size_t n)
{
    float v[CHUNK], s[CHUNK] = { 0 }, z[CHUNK] = { 0 };
    int32_t lo = 0, hi = 0;
    bool ints = mbr_quantize_range(args->y, &lo, &hi);
    bool shifts = zero && (ints || args->y == MBR_DTYPE_F4E2M1);
    for (size_t first = 0; first < n; first += CHUNK) {
        size_t m = n - first < CHUNK ? n - first : CHUNK;
        load(args->x, x, first, m, v);
        round_to(args->precision, v, m);
        if (step || first == 0) {
            load(args->scale, scale, first * step, step ? m : 1, s);
            round_to(args->precision, s, step ? m : 1);
            if (shifts)
                load(args->y, zero, first * step, step ? m : 1, z);
        }
        if (step)
            for (size_t i = 0; i < m; i++)
                v[i] /= s[i];
        else
            for (size_t i = 0; i < m; i++)
                v[i] /= s[0];
        round_to(args->precision, v, m);
        if (ints) {
            round_and_clamp(v, z, step, (float)lo, (float)hi, m);
            store_ints(args->y, v, y, first, m);
        } else {
            for (size_t i = 0; i < m; i++)
                ((uint8_t *)y)[first + i] =
                    (uint8_t)mbr_small_float_from_f64(args->y, (double)v[i] + (double)z[i * step], args->saturate);
        }
    }
}

static void dequantize(const mbr_quantize_args *args, const void *x, const void *scale, const void *zero, size_t step,
                       void *y, size_t n)
{
    float v[CHUNK], s[CHUNK] = { 0 }, z[CHUNK] = { 0 };
    for (size_t first = 0; first < n; first += CHUNK) {
        size_t m = n - first < CHUNK ? n - first : CHUNK;
        load(args->x, x, first, m, v);
        if (step || first == 0) {
            load(args->scale, scale, first * step, step ? m : 1, s);
            if (zero)
                load(args->x, zero, first * step, step ? m : 1, z);
        }
        if (step)
            for (size_t i = 0; i < m; i++)
                v[i] = (v[i] - z[i]) * s[i];
        else
            for (size_t i = 0; i < m; i++)
                v[i] = (v[i] - z[0]) * s[0];
        store_reals(args->y, v, y, first, m);
    }
}

static void range(const float *x, size_t n, float *least, float *greatest)
{
    float lo[8] = { 0 }, hi[8] = { 0 };
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++) {
            lo[k] = x[i + k] < lo[k] ? x[i + k] : lo[k];
            hi[k] = x[i + k] > hi[k] ? x[i + k] : hi[k];
        }
    for (; i < n; i++) {
        lo[0] = x[i] < lo[0] ? x[i] : lo[0];
        hi[0] = x[i] > hi[0] ? x[i] : hi[0];
    }
    for (size_t k = 1; k < 8; k++) {
        lo[0] = lo[k] < lo[0] ? lo[k] : lo[0];
        hi[0] = hi[k] > hi[0] ? hi[k] : hi[0];
    }
    *least = lo[0];
    *greatest = hi[0];
}

void mbr_quantize_choose_u8(float least, float greatest, float *scale, uint8_t *zero)
{
    *scale = (greatest == least ? 1.0f : greatest - least) / 255.0f;
    float z = 0.0f - least / *scale;
    z = z > 0.0f ? z : 0.0f;
    z = z < 255.0f ? z : 255.0f;
    *zero = (uint8_t)((z + 12582912.0f) - 12582912.0f);
}

const mbr_quantize_kernel mbr_quantize_ref = { "quantize_ref", MBR_TIER_BASE, quantize, dequantize, range,
                                               mbr_qlinear_binary_ref };

const mbr_quantize_kernel *mbr_quantize_select(unsigned tiers)
{
    const mbr_quantize_kernel *best = &mbr_quantize_ref;
#define KERNEL(name, tier)                                                                                             \
    if (tiers & MBR_TIER_BIT(MBR_TIER_##tier))                                                                         \
        best = &mbr_##name;
#include "kernels/quantize.def"
#undef KERNEL
    return best;
}

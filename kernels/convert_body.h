/* SPDX-License-Identifier: BSD-2-Clause */
/* The casts that models make often. A file includes a vec_*.h, defines MBR_CONVERT_NAME and includes this. */
#include "base/half.h"
#include "kernels/convert.h"
#include "kernels/simd/vec_common.h"

#define CONVERT_TO_F32(name, type, load, one)                                                                          \
    static void name(const void *in, void *out, size_t n)                                                              \
    {                                                                                                                  \
        const type *s = in;                                                                                            \
        float *d = out;                                                                                                \
        size_t i = 0;                                                                                                  \
        for (; i + MBR_VL <= n; i += MBR_VL)                                                                           \
            vf_store(d + i, load);                                                                                     \
        for (; i < n; i++)                                                                                             \
            d[i] = one;                                                                                                \
    }
CONVERT_TO_F32(convert_f16_f32, uint16_t, vf_load_f16(s + i), mbr_f16_to_f32(s[i]))
CONVERT_TO_F32(convert_bf16_f32, uint16_t, vf_load_bf16(s + i), mbr_bf16_to_f32(s[i]))
CONVERT_TO_F32(convert_u8_f32, uint8_t, vi_to_vf(vi_load_u8(s + i)), (float)s[i])
CONVERT_TO_F32(convert_s8_f32, int8_t, vi_to_vf(vi_load_s8(s + i)), (float)s[i])
CONVERT_TO_F32(convert_s32_f32, int32_t, vi_to_vf(vi_load(s + i)), (float)s[i])
#undef CONVERT_TO_F32

static void convert_f32_f16(const void *in, void *out, size_t n)
{
    const float *s = in;
    uint16_t *d = out;
    size_t i = 0;
    for (; i + MBR_VL <= n; i += MBR_VL)
        vf_store_f16(d + i, vf_load(s + i));
    for (; i < n; i++)
        d[i] = mbr_f32_to_f16(s[i]);
}

static void convert_f32_bf16(const void *in, void *out, size_t n)
{
    const float *s = in;
    uint16_t *d = out;
    size_t i = 0;
    for (; i + MBR_VL <= n; i += MBR_VL)
        vf_store_bf16(d + i, vf_load(s + i));
    for (; i < n; i++)
        d[i] = mbr_f32_to_bf16(s[i]);
}

#define CONVERT_LOOP(name, from, to, expr)                                                                             \
    static void name(const void *in, void *out, size_t n)                                                              \
    {                                                                                                                  \
        const from *s = in;                                                                                            \
        to *d = out;                                                                                                   \
        for (size_t i = 0; i < n; i++) {                                                                               \
            from x = s[i];                                                                                             \
            d[i] = (to)(expr);                                                                                         \
        }                                                                                                              \
    }
CONVERT_LOOP(convert_s64_f32, int64_t, float, x)
CONVERT_LOOP(convert_f64_f32, double, float, x)
CONVERT_LOOP(convert_f32_f64, float, double, x)
CONVERT_LOOP(convert_s64_s32, int64_t, int32_t, x)
CONVERT_LOOP(convert_s32_s64, int32_t, int64_t, x)
CONVERT_LOOP(convert_u8_s64, uint8_t, int64_t, x)
CONVERT_LOOP(convert_u8_s32, uint8_t, int32_t, x)
CONVERT_LOOP(convert_f32_s64, float, int64_t, x >= -0x1p63f && x < 0x1p63f ? (int64_t)x : INT64_MIN)
CONVERT_LOOP(convert_f32_s32, float, int32_t, x >= -0x1p31f && x < 0x1p31f ? (int32_t)x : INT32_MIN)
CONVERT_LOOP(convert_f32_bool, float, uint8_t, x != 0.0f)
CONVERT_LOOP(convert_s64_bool, int64_t, uint8_t, x != 0)
CONVERT_LOOP(convert_bool_f32, uint8_t, float, x != 0)
CONVERT_LOOP(convert_bool_s64, uint8_t, int64_t, x != 0)
CONVERT_LOOP(convert_bool_s32, uint8_t, int32_t, x != 0)
#undef CONVERT_LOOP

static const struct {
    mbr_dtype from, to;
    void (*run)(const void *in, void *out, size_t n);
} convert_rows[] = {
    {MBR_DTYPE_F16, MBR_DTYPE_F32, convert_f16_f32},   {MBR_DTYPE_BF16, MBR_DTYPE_F32, convert_bf16_f32},
    {MBR_DTYPE_U8, MBR_DTYPE_F32, convert_u8_f32},     {MBR_DTYPE_I8, MBR_DTYPE_F32, convert_s8_f32},
    {MBR_DTYPE_I32, MBR_DTYPE_F32, convert_s32_f32},   {MBR_DTYPE_I64, MBR_DTYPE_F32, convert_s64_f32},
    {MBR_DTYPE_F64, MBR_DTYPE_F32, convert_f64_f32},   {MBR_DTYPE_BOOL, MBR_DTYPE_F32, convert_bool_f32},
    {MBR_DTYPE_F32, MBR_DTYPE_F16, convert_f32_f16},   {MBR_DTYPE_F32, MBR_DTYPE_BF16, convert_f32_bf16},
    {MBR_DTYPE_F32, MBR_DTYPE_F64, convert_f32_f64},   {MBR_DTYPE_F32, MBR_DTYPE_I64, convert_f32_s64},
    {MBR_DTYPE_F32, MBR_DTYPE_I32, convert_f32_s32},   {MBR_DTYPE_F32, MBR_DTYPE_BOOL, convert_f32_bool},
    {MBR_DTYPE_I64, MBR_DTYPE_I32, convert_s64_s32},   {MBR_DTYPE_I32, MBR_DTYPE_I64, convert_s32_s64},
    {MBR_DTYPE_I64, MBR_DTYPE_BOOL, convert_s64_bool}, {MBR_DTYPE_BOOL, MBR_DTYPE_I64, convert_bool_s64},
    {MBR_DTYPE_BOOL, MBR_DTYPE_I32, convert_bool_s32}, {MBR_DTYPE_U8, MBR_DTYPE_I64, convert_u8_s64},
    {MBR_DTYPE_U8, MBR_DTYPE_I32, convert_u8_s32},
};

void MBR_CONVERT_NAME(const mbr_convert_args *args, const void *in, void *out, size_t n)
{
    for (size_t r = 0; r < sizeof convert_rows / sizeof *convert_rows; r++)
        if (convert_rows[r].from == args->from && convert_rows[r].to == args->to) {
            convert_rows[r].run(in, out, n);
            return;
        }
    mbr_convert_ref(args, in, out, n);
}

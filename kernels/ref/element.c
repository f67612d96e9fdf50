/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/ref/element.h"

#include "base/half.h"

mbr_element_class mbr_element_class_of(mbr_dtype dtype)
{
    switch (dtype) {
    case MBR_DTYPE_F32:
    case MBR_DTYPE_F64:
    case MBR_DTYPE_F16:
    case MBR_DTYPE_BF16:
    case MBR_DTYPE_F8E4M3FN:
    case MBR_DTYPE_F8E4M3FNUZ:
    case MBR_DTYPE_F8E5M2:
    case MBR_DTYPE_F8E5M2FNUZ:
    case MBR_DTYPE_F4E2M1:
    case MBR_DTYPE_F8E8M0:
        return MBR_ELEMENT_FLOAT;
    case MBR_DTYPE_I8:
    case MBR_DTYPE_I16:
    case MBR_DTYPE_I32:
    case MBR_DTYPE_I64:
    case MBR_DTYPE_I4:
    case MBR_DTYPE_I2:
        return MBR_ELEMENT_SIGNED;
    case MBR_DTYPE_U8:
    case MBR_DTYPE_U16:
    case MBR_DTYPE_U32:
    case MBR_DTYPE_U64:
    case MBR_DTYPE_BOOL:
    case MBR_DTYPE_U4:
    case MBR_DTYPE_U2:
        return MBR_ELEMENT_UNSIGNED;
    default:
        return MBR_ELEMENT_NONE;
    }
}

#define LOAD(type, member, expr)                                                                                       \
    do {                                                                                                               \
        const type *s = p;                                                                                             \
        for (size_t k = 0; k < n; k++) {                                                                               \
            type v = s[(ptrdiff_t)k * stride];                                                                         \
            block->member[k] = (expr);                                                                                 \
        }                                                                                                              \
    } while (0)

void mbr_element_load(mbr_dtype dtype, const void *p, ptrdiff_t stride, size_t n, mbr_element_block *block)
{
    switch (dtype) {
    case MBR_DTYPE_F32: LOAD(float, f, v); break;
    case MBR_DTYPE_F64: LOAD(double, f, v); break;
    case MBR_DTYPE_F16: LOAD(uint16_t, f, mbr_f16_to_f32(v)); break;
    case MBR_DTYPE_BF16: LOAD(uint16_t, f, mbr_bf16_to_f32(v)); break;
    case MBR_DTYPE_I8:
    case MBR_DTYPE_I4:
    case MBR_DTYPE_I2: LOAD(int8_t, i, v); break;
    case MBR_DTYPE_I16: LOAD(int16_t, i, v); break;
    case MBR_DTYPE_I32: LOAD(int32_t, i, v); break;
    case MBR_DTYPE_I64: LOAD(int64_t, i, v); break;
    case MBR_DTYPE_U8:
    case MBR_DTYPE_U4:
    case MBR_DTYPE_U2: LOAD(uint8_t, u, v); break;
    case MBR_DTYPE_BOOL: LOAD(uint8_t, u, v != 0); break;
    case MBR_DTYPE_U16: LOAD(uint16_t, u, v); break;
    case MBR_DTYPE_U32: LOAD(uint32_t, u, v); break;
    case MBR_DTYPE_U64: LOAD(uint64_t, u, v); break;
    default: LOAD(uint8_t, f, mbr_small_float_to_f64(dtype, v)); break;
    }
}

#define STORE(type, expr)                                                                                              \
    do {                                                                                                               \
        type *d = p;                                                                                                   \
        for (size_t k = 0; k < n; k++)                                                                                 \
            d[(ptrdiff_t)k * stride] = (type)(expr);                                                                   \
    } while (0)

void mbr_element_store(mbr_dtype dtype, void *p, ptrdiff_t stride, size_t n, const mbr_element_block *block)
{
    switch (dtype) {
    case MBR_DTYPE_F32: STORE(float, block->f[k]); break;
    case MBR_DTYPE_F64: STORE(double, block->f[k]); break;
    case MBR_DTYPE_F16:
    case MBR_DTYPE_BF16: STORE(uint16_t, mbr_small_float_from_f64(dtype, block->f[k], false)); break;
    case MBR_DTYPE_I8: STORE(int8_t, block->i[k]); break;
    case MBR_DTYPE_I16: STORE(int16_t, block->i[k]); break;
    case MBR_DTYPE_I32: STORE(int32_t, block->i[k]); break;
    case MBR_DTYPE_I64: STORE(int64_t, block->i[k]); break;
    case MBR_DTYPE_I4: STORE(int8_t, ((block->i[k] & 15) ^ 8) - 8); break;
    case MBR_DTYPE_I2: STORE(int8_t, ((block->i[k] & 3) ^ 2) - 2); break;
    case MBR_DTYPE_U8: STORE(uint8_t, block->u[k]); break;
    case MBR_DTYPE_U4: STORE(uint8_t, block->u[k] & 15); break;
    case MBR_DTYPE_U2: STORE(uint8_t, block->u[k] & 3); break;
    case MBR_DTYPE_BOOL: STORE(uint8_t, block->u[k] != 0); break;
    case MBR_DTYPE_U16: STORE(uint16_t, block->u[k]); break;
    case MBR_DTYPE_U32: STORE(uint32_t, block->u[k]); break;
    case MBR_DTYPE_U64: STORE(uint64_t, block->u[k]); break;
    default: STORE(uint8_t, mbr_small_float_from_f64(dtype, block->f[k], true)); break;
    }
}

int64_t mbr_element_to_i64(double x, int bits)
{
    if (bits <= 32)
        return x > -2147483649.0 && x < 2147483648.0 ? (int64_t)x : INT32_MIN;
    return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}

uint64_t mbr_element_to_u64(double x)
{
    return x >= 0x1p63 && x < 0x1p64 ? (uint64_t)x : (uint64_t)mbr_element_to_i64(x, 64);
}

void mbr_element_to_f64(mbr_element_class from, mbr_element_block *block, size_t n)
{
    if (from == MBR_ELEMENT_SIGNED)
        for (size_t k = 0; k < n; k++)
            block->f[k] = (double)block->i[k];
    else if (from == MBR_ELEMENT_UNSIGNED)
        for (size_t k = 0; k < n; k++)
            block->f[k] = (double)block->u[k];
}

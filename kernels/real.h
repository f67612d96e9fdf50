/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Element access by type, through double: how the kernels of rare operators serve every real dtype with one body.
 * Every f32, f16, bf16, float8 and integer up to 53 bits is exact in a double, and results are rounded once.
 */
#ifndef MBR_KERNELS_REAL_H
#define MBR_KERNELS_REAL_H

#include "base/half.h"
#include "mbr/dtype.h"

#include <stddef.h>
#include <stdint.h>

static inline double mbr_real_get(mbr_dtype t, const void *p, size_t i)
{
    switch (t) {
    case MBR_DTYPE_F32: return ((const float *)p)[i];
    case MBR_DTYPE_F64: return ((const double *)p)[i];
    case MBR_DTYPE_F16: return (double)mbr_f16_to_f32(((const uint16_t *)p)[i]);
    case MBR_DTYPE_BF16: return (double)mbr_bf16_to_f32(((const uint16_t *)p)[i]);
    case MBR_DTYPE_I64: return (double)((const int64_t *)p)[i];
    case MBR_DTYPE_U64: return (double)((const uint64_t *)p)[i];
    case MBR_DTYPE_I32: return ((const int32_t *)p)[i];
    case MBR_DTYPE_U32: return ((const uint32_t *)p)[i];
    case MBR_DTYPE_I16: return ((const int16_t *)p)[i];
    case MBR_DTYPE_U16: return ((const uint16_t *)p)[i];
    case MBR_DTYPE_I8: return ((const int8_t *)p)[i];
    case MBR_DTYPE_U8:
    case MBR_DTYPE_BOOL: return ((const uint8_t *)p)[i];
    case MBR_DTYPE_F8E4M3FN:
    case MBR_DTYPE_F8E4M3FNUZ:
    case MBR_DTYPE_F8E5M2:
    case MBR_DTYPE_F8E5M2FNUZ:
    case MBR_DTYPE_F8E8M0:
    case MBR_DTYPE_F4E2M1: return mbr_small_float_to_f64(t, ((const uint8_t *)p)[i]);
    default: return 0;
    }
}

/* Integer targets truncate; the value must fit. */
static inline void mbr_real_set(mbr_dtype t, void *p, size_t i, double x)
{
    switch (t) {
    case MBR_DTYPE_F32: ((float *)p)[i] = (float)x; break;
    case MBR_DTYPE_F64: ((double *)p)[i] = x; break;
    case MBR_DTYPE_F16:
    case MBR_DTYPE_BF16: ((uint16_t *)p)[i] = mbr_small_float_from_f64(t, x, false); break;
    case MBR_DTYPE_I64: ((int64_t *)p)[i] = (int64_t)x; break;
    case MBR_DTYPE_U64: ((uint64_t *)p)[i] = (uint64_t)x; break;
    case MBR_DTYPE_I32: ((int32_t *)p)[i] = (int32_t)x; break;
    case MBR_DTYPE_U32: ((uint32_t *)p)[i] = (uint32_t)x; break;
    case MBR_DTYPE_I16: ((int16_t *)p)[i] = (int16_t)x; break;
    case MBR_DTYPE_U16: ((uint16_t *)p)[i] = (uint16_t)x; break;
    case MBR_DTYPE_I8: ((int8_t *)p)[i] = (int8_t)x; break;
    case MBR_DTYPE_U8: ((uint8_t *)p)[i] = (uint8_t)x; break;
    case MBR_DTYPE_BOOL: ((uint8_t *)p)[i] = x != 0; break;
    case MBR_DTYPE_F8E4M3FN:
    case MBR_DTYPE_F8E4M3FNUZ:
    case MBR_DTYPE_F8E5M2:
    case MBR_DTYPE_F8E5M2FNUZ:
    case MBR_DTYPE_F8E8M0:
    case MBR_DTYPE_F4E2M1: ((uint8_t *)p)[i] = (uint8_t)mbr_small_float_from_f64(t, x, true); break;
    default: break;
    }
}

#endif

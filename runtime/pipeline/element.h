/* SPDX-License-Identifier: BSD-2-Clause */
/* Elements of tensors as doubles, for the types that pipelines convert between. */
#ifndef MBR_RUNTIME_ELEMENT_H
#define MBR_RUNTIME_ELEMENT_H

#include "mbr/dtype.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool mbr_element_numeric(mbr_dtype dtype)
{
    switch (dtype) {
    case MBR_DTYPE_F32:
    case MBR_DTYPE_F64:
    case MBR_DTYPE_I64:
    case MBR_DTYPE_I32:
    case MBR_DTYPE_I16:
    case MBR_DTYPE_I8:
    case MBR_DTYPE_U8:
    case MBR_DTYPE_BOOL: return true;
    default: return false;
    }
}

static inline bool mbr_element_real(mbr_dtype dtype)
{
    return dtype == MBR_DTYPE_F32 || dtype == MBR_DTYPE_F64;
}

/* Whether a number can be an element of a numeric type. */
static inline bool mbr_element_holds(mbr_dtype dtype, double x)
{
    switch (dtype) {
    case MBR_DTYPE_I64: return x >= -9223372036854775808.0 && x < 9223372036854775808.0 && x == floor(x);
    case MBR_DTYPE_I32: return x >= -2147483648.0 && x <= 2147483647.0 && x == floor(x);
    case MBR_DTYPE_I16: return x >= -32768 && x <= 32767 && x == floor(x);
    case MBR_DTYPE_I8: return x >= -128 && x <= 127 && x == floor(x);
    case MBR_DTYPE_U8: return x >= 0 && x <= 255 && x == floor(x);
    case MBR_DTYPE_BOOL: return x == 0 || x == 1;
    default: return true;
    }
}

/* Writes a number that the type holds. */
static inline void mbr_element_store(mbr_dtype dtype, void *data, size_t at, double x)
{
    switch (dtype) {
    case MBR_DTYPE_F32: ((float *)data)[at] = (float)x; break;
    case MBR_DTYPE_F64: ((double *)data)[at] = x; break;
    case MBR_DTYPE_I64: ((int64_t *)data)[at] = (int64_t)x; break;
    case MBR_DTYPE_I32: ((int32_t *)data)[at] = (int32_t)x; break;
    case MBR_DTYPE_I16: ((int16_t *)data)[at] = (int16_t)x; break;
    case MBR_DTYPE_I8: ((int8_t *)data)[at] = (int8_t)x; break;
    case MBR_DTYPE_U8: ((uint8_t *)data)[at] = (uint8_t)x; break;
    default: ((uint8_t *)data)[at] = x != 0; break;
    }
}

static inline double mbr_element_load(mbr_dtype dtype, const void *data, size_t at)
{
    switch (dtype) {
    case MBR_DTYPE_F32: return (double)((const float *)data)[at];
    case MBR_DTYPE_F64: return ((const double *)data)[at];
    case MBR_DTYPE_I64: return (double)((const int64_t *)data)[at];
    case MBR_DTYPE_I32: return (double)((const int32_t *)data)[at];
    case MBR_DTYPE_I16: return ((const int16_t *)data)[at];
    case MBR_DTYPE_I8: return ((const int8_t *)data)[at];
    default: return ((const uint8_t *)data)[at];
    }
}

#endif

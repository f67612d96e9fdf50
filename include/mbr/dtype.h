/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Element types. The numbers are ONNX's own (TensorProto.DataType).
 *
 * In memory every element of a sub-byte type (int4, uint4, int2, uint2, float4) takes one byte:
 * integers hold their value, float4 holds its four bits in the low half. A complex element is a pair,
 * real part first. A bool is one byte, 0 or 1. A string element is an mbr_string.
 */
#ifndef MBR_DTYPE_H
#define MBR_DTYPE_H

#include "mbr/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mbr_dtype {
    MBR_DTYPE_UNDEFINED = 0,
    MBR_DTYPE_F32 = 1,
    MBR_DTYPE_U8 = 2,
    MBR_DTYPE_I8 = 3,
    MBR_DTYPE_U16 = 4,
    MBR_DTYPE_I16 = 5,
    MBR_DTYPE_I32 = 6,
    MBR_DTYPE_I64 = 7,
    MBR_DTYPE_STRING = 8,
    MBR_DTYPE_BOOL = 9,
    MBR_DTYPE_F16 = 10,
    MBR_DTYPE_F64 = 11,
    MBR_DTYPE_U32 = 12,
    MBR_DTYPE_U64 = 13,
    MBR_DTYPE_COMPLEX64 = 14,
    MBR_DTYPE_COMPLEX128 = 15,
    MBR_DTYPE_BF16 = 16,
    MBR_DTYPE_F8E4M3FN = 17,
    MBR_DTYPE_F8E4M3FNUZ = 18,
    MBR_DTYPE_F8E5M2 = 19,
    MBR_DTYPE_F8E5M2FNUZ = 20,
    MBR_DTYPE_U4 = 21,
    MBR_DTYPE_I4 = 22,
    MBR_DTYPE_F4E2M1 = 23,
    MBR_DTYPE_F8E8M0 = 24,
    MBR_DTYPE_U2 = 25,
    MBR_DTYPE_I2 = 26,
    MBR_DTYPE_COUNT = 27
} mbr_dtype;

/* One element of a string tensor: not terminated, may hold any byte. */
typedef struct mbr_string {
    const char *data;
    size_t size;
} mbr_string;

/* "f32", "i64", "string" ...; "?" for a number that is no type. Any thread. */
MBR_API const char *mbr_dtype_name(mbr_dtype dtype);

/* The type of that name, or MBR_DTYPE_UNDEFINED. */
MBR_API mbr_dtype mbr_dtype_from_name(const char *name);

/* Bytes of one element in memory; 0 for UNDEFINED and unknown numbers. */
MBR_API size_t mbr_dtype_size(mbr_dtype dtype);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"
#include "mbr/dtype.h"

#include <string.h>

static const struct {
    const char *name;
    size_t size;
} table[MBR_DTYPE_COUNT] = {
    [MBR_DTYPE_UNDEFINED] = { "undefined", 0 },
    [MBR_DTYPE_F32] = { "f32", 4 },
    [MBR_DTYPE_U8] = { "u8", 1 },
    [MBR_DTYPE_I8] = { "i8", 1 },
    [MBR_DTYPE_U16] = { "u16", 2 },
    [MBR_DTYPE_I16] = { "i16", 2 },
    [MBR_DTYPE_I32] = { "i32", 4 },
    [MBR_DTYPE_I64] = { "i64", 8 },
    [MBR_DTYPE_STRING] = { "string", sizeof(mbr_string) },
    [MBR_DTYPE_BOOL] = { "bool", 1 },
    [MBR_DTYPE_F16] = { "f16", 2 },
    [MBR_DTYPE_F64] = { "f64", 8 },
    [MBR_DTYPE_U32] = { "u32", 4 },
    [MBR_DTYPE_U64] = { "u64", 8 },
    [MBR_DTYPE_COMPLEX64] = { "c64", 8 },
    [MBR_DTYPE_COMPLEX128] = { "c128", 16 },
    [MBR_DTYPE_BF16] = { "bf16", 2 },
    [MBR_DTYPE_F8E4M3FN] = { "f8e4m3fn", 1 },
    [MBR_DTYPE_F8E4M3FNUZ] = { "f8e4m3fnuz", 1 },
    [MBR_DTYPE_F8E5M2] = { "f8e5m2", 1 },
    [MBR_DTYPE_F8E5M2FNUZ] = { "f8e5m2fnuz", 1 },
    [MBR_DTYPE_U4] = { "u4", 1 },
    [MBR_DTYPE_I4] = { "i4", 1 },
    [MBR_DTYPE_F4E2M1] = { "f4e2m1", 1 },
    [MBR_DTYPE_F8E8M0] = { "f8e8m0", 1 },
    [MBR_DTYPE_U2] = { "u2", 1 },
    [MBR_DTYPE_I2] = { "i2", 1 },
};

const char *mbr_dtype_name(mbr_dtype dtype)
{
    size_t i = (size_t)dtype;
    return i < MBR_COUNT_OF(table) ? table[i].name : "?";
}

mbr_dtype mbr_dtype_from_name(const char *name)
{
    for (size_t i = 1; i < MBR_COUNT_OF(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return (mbr_dtype)i;
    return MBR_DTYPE_UNDEFINED;
}

size_t mbr_dtype_size(mbr_dtype dtype)
{
    size_t i = (size_t)dtype;
    return i < MBR_COUNT_OF(table) ? table[i].size : 0;
}

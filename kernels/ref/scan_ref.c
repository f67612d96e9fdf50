/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/scan.h"

#include "base/half.h"

#define SCAN(name, type, sum, load, store)                                                                             \
    static void name(const mbr_scan_args *a, const type *in, type *out, size_t inner)                                  \
    {                                                                                                                  \
        for (size_t i = 0; i < inner; i++) {                                                                           \
            sum total = a->product ? (sum)1 : (sum)0;                                                                  \
            for (size_t n = 0; n < a->axis; n++) {                                                                     \
                size_t k = (a->reverse ? a->axis - 1 - n : n) * a->inner + i;                                          \
                sum before = total, x = load(in[k]);                                                                   \
                total = a->product ? (sum)(total * x) : (sum)(total + x);                                              \
                out[k] = store(a->exclusive ? before : total);                                                         \
            }                                                                                                          \
        }                                                                                                              \
    }
#define PLAIN(x) (x)

SCAN(scan_f32, float, float, PLAIN, PLAIN)
SCAN(scan_f64, double, double, PLAIN, PLAIN)
SCAN(scan_f16, uint16_t, float, mbr_f16_to_f32, mbr_f32_to_f16)
SCAN(scan_bf16, uint16_t, float, mbr_bf16_to_f32, mbr_f32_to_bf16)
/* integers wrap: unsigned arithmetic of at least their width */
SCAN(scan_8, uint8_t, uint32_t, PLAIN, (uint8_t))
SCAN(scan_16, uint16_t, uint32_t, PLAIN, (uint16_t))
SCAN(scan_32, uint32_t, uint32_t, PLAIN, PLAIN)
SCAN(scan_64, uint64_t, uint64_t, PLAIN, PLAIN)

bool mbr_scan_has(mbr_dtype t)
{
    switch (t) {
    case MBR_DTYPE_F32:
    case MBR_DTYPE_F64:
    case MBR_DTYPE_F16:
    case MBR_DTYPE_BF16:
    case MBR_DTYPE_I8:
    case MBR_DTYPE_U8:
    case MBR_DTYPE_I16:
    case MBR_DTYPE_U16:
    case MBR_DTYPE_I32:
    case MBR_DTYPE_U32:
    case MBR_DTYPE_I64:
    case MBR_DTYPE_U64:
        return true;
    default:
        return false;
    }
}

void mbr_scan(const mbr_scan_args *a, const void *in, void *out, size_t first, size_t last)
{
    for (size_t b = first; b < last; b++) {
        size_t at = b * a->axis * a->inner;
        switch (a->dtype) {
        case MBR_DTYPE_F32:
            scan_f32(a, (const float *)in + at, (float *)out + at, a->inner);
            break;
        case MBR_DTYPE_F64:
            scan_f64(a, (const double *)in + at, (double *)out + at, a->inner);
            break;
        case MBR_DTYPE_F16:
            scan_f16(a, (const uint16_t *)in + at, (uint16_t *)out + at, a->inner);
            break;
        case MBR_DTYPE_BF16:
            scan_bf16(a, (const uint16_t *)in + at, (uint16_t *)out + at, a->inner);
            break;
        case MBR_DTYPE_I8:
        case MBR_DTYPE_U8:
            scan_8(a, (const uint8_t *)in + at, (uint8_t *)out + at, a->inner);
            break;
        case MBR_DTYPE_I16:
        case MBR_DTYPE_U16:
            scan_16(a, (const uint16_t *)in + at, (uint16_t *)out + at, a->inner);
            break;
        case MBR_DTYPE_I32:
        case MBR_DTYPE_U32:
            scan_32(a, (const uint32_t *)in + at, (uint32_t *)out + at, a->inner);
            break;
        case MBR_DTYPE_I64:
        case MBR_DTYPE_U64:
            scan_64(a, (const uint64_t *)in + at, (uint64_t *)out + at, a->inner);
            break;
        default:
            break;
        }
    }
}

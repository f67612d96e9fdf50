/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/einsum.h"

#include "kernels/real.h"

static int64_t get_int(mbr_dtype t, const void *p, size_t i)
{
    switch (t) {
    case MBR_DTYPE_I64:
    case MBR_DTYPE_U64:
        return ((const int64_t *)p)[i];
    default:
        return (int64_t)mbr_real_get(t, p, i);
    }
}

static void set_int(mbr_dtype t, void *p, size_t i, int64_t v)
{
    switch (mbr_dtype_size(t)) {
    case 8:
        ((int64_t *)p)[i] = v;
        break;
    case 4:
        ((uint32_t *)p)[i] = (uint32_t)v;
        break;
    case 2:
        ((uint16_t *)p)[i] = (uint16_t)v;
        break;
    default:
        ((uint8_t *)p)[i] = (uint8_t)v;
    }
}

static bool is_real(mbr_dtype t)
{
    return t == MBR_DTYPE_F32 || t == MBR_DTYPE_F64 || t == MBR_DTYPE_F16 || t == MBR_DTYPE_BF16;
}

void mbr_einsum(const mbr_einsum_args *a, size_t first, size_t last)
{
    size_t sums = mbr_dims_count(a->summed, a->dims + a->kept);
    bool real = is_real(a->dtype);
    for (size_t o = first; o < last; o++) {
        size_t at[MBR_EINSUM_LABELS] = { 0 }, rest = o;
        ptrdiff_t pos[MBR_EINSUM_OPERANDS] = { 0 };
        for (int d = a->kept - 1; d >= 0; d--) {
            for (int k = 0; k < a->operands; k++)
                pos[k] += (ptrdiff_t)(rest % a->dims[d]) * a->strides[k][d];
            rest /= a->dims[d];
        }
        double total = 0;
        uint64_t whole = 0;
        for (size_t n = 0; n < sums; n++) {
            double x = 1;
            uint64_t w = 1;
            for (int k = 0; k < a->operands; k++)
                if (real)
                    x *= mbr_real_get(a->dtype, a->in[k], (size_t)pos[k]);
                else
                    w *= (uint64_t)get_int(a->dtype, a->in[k], (size_t)pos[k]);
            total += x;
            whole += w;
            for (int d = a->kept + a->summed - 1; d >= a->kept; d--) {
                at[d]++;
                for (int k = 0; k < a->operands; k++)
                    pos[k] += a->strides[k][d];
                if (at[d] < a->dims[d])
                    break;
                for (int k = 0; k < a->operands; k++)
                    pos[k] -= (ptrdiff_t)a->dims[d] * a->strides[k][d];
                at[d] = 0;
            }
        }
        if (real)
            mbr_real_set(a->dtype, a->out, o, total);
        else
            set_int(a->dtype, a->out, o, (int64_t)whole);
    }
}

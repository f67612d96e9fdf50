/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8-bit convolution as its definition says. Packed: (filters, channels / groups, kernel...) differences from the
 * zeros. */
#include "kernels/qgemm.h"

#include "base/checked.h"
#include "kernels/ref/qout_ref.h"

static size_t per_filter(const mbr_conv_args *s)
{
    return s->channels / s->groups * s->kernel[0] * s->kernel[1] * s->kernel[2];
}

static bool fits(const mbr_conv_args *s)
{
    (void)s;
    return true;
}

static size_t pack_size(const mbr_conv_args *s)
{
    size_t bytes;
    return mbr_mul_size(s->filters, per_filter(s), &bytes) && mbr_mul_size(bytes, 2, &bytes) &&
                   mbr_round_up(bytes, 64, &bytes)
               ? bytes
               : 0;
}

static size_t pack_units(const mbr_conv_args *s)
{
    return s->filters;
}

static void pack(const mbr_conv_args *s, const void *weights, bool is_signed, const void *zero, size_t zero_step,
                 void *packed, size_t first, size_t last)
{
    int16_t *to = packed;
    size_t each = per_filter(s);
    for (size_t o = first; o < last; o++) {
        int32_t z = zero ? mbr_q_byte(zero, (ptrdiff_t)(o * zero_step), is_signed) : 0;
        for (size_t i = o * each; i < (o + 1) * each; i++)
            to[i] = (int16_t)(mbr_q_byte(weights, (ptrdiff_t)i, is_signed) - z);
    }
}

static size_t scratch_size(const mbr_qconv_args *a)
{
    (void)a;
    return 0;
}

/* A tile is one output row. */
static size_t tiles(const mbr_qconv_args *a)
{
    return a->shape.n * a->shape.out[0] * a->shape.out[1];
}

static int32_t sum_at(const mbr_qconv_args *a, size_t b, const size_t q[3], size_t o)
{
    const mbr_conv_args *s = &a->shape;
    size_t cg = s->channels / s->groups, group = o / (s->filters / s->groups);
    size_t taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    const int16_t *w = (const int16_t *)a->w + o * cg * taps;
    uint32_t sum = 0;
    for (size_t t = 0; t < taps; t++) {
        size_t tap[3] = {t / (s->kernel[1] * s->kernel[2]), t / s->kernel[2] % s->kernel[1], t % s->kernel[2]};
        ptrdiff_t at = (ptrdiff_t)b;
        bool inside = true;
        for (int d = 0; d < 3; d++) {
            ptrdiff_t p = (ptrdiff_t)(q[d] * s->stride[d] + tap[d] * s->dilation[d]) - s->pad[d];
            inside = inside && p >= 0 && p < (ptrdiff_t)s->in[d];
            at = at * (ptrdiff_t)s->in[d] + p;
        }
        for (size_t c = 0; inside && c < cg; c++) {
            int32_t x = mbr_q_byte(a->x, at * s->ldx + (ptrdiff_t)(group * cg + c), a->x_signed);
            sum += (uint32_t)((x - a->x_zero) * w[c * taps + t]);
        }
    }
    return (int32_t)sum;
}

static void run(const mbr_qconv_args *a, void *scratch, size_t first, size_t last)
{
    const mbr_conv_args *s = &a->shape;
    (void)scratch;
    for (size_t tile = first; tile < last; tile++)
        for (size_t w = 0; w < s->out[2]; w++)
            for (size_t o = 0; o < s->filters; o++) {
                size_t q[3] = {tile / s->out[1] % s->out[0], tile % s->out[1], w};
                ptrdiff_t point = (ptrdiff_t)(tile * s->out[2] + w);
                float other = a->out.other_is ? a->out.other[point * a->out.ld_other + (ptrdiff_t)o] : 0;
                int32_t sum = sum_at(a, tile / (s->out[0] * s->out[1]), q, o);
                mbr_qout_ref(&a->out, sum, o, other, a->y, point * s->ldy + (ptrdiff_t)o);
            }
}

const mbr_qconv_kernel mbr_qconv_ref = {
    "qconv_ref", MBR_TIER_BASE, fits, pack_size, pack_units, pack, scratch_size, tiles, run,
};

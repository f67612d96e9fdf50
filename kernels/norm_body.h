/* SPDX-License-Identifier: BSD-2-Clause */
/* Norms on vectors. A file includes a vec_*.h, defines MBR_NORM_NAME and MBR_GROUP_NORM_NAME and includes this. */
#include "kernels/norm.h"
#include "kernels/simd/math.h"

#include <math.h>

/* Elements that are added in f32 before the partial sum goes to an f64. */
#define NORM_BLOCK 4096

typedef struct norm_sums {
    double sum, square; /* of x - mean, of its square */
} norm_sums;

/* Over n dense elements; `square` says whether that sum is wanted, too, and is a constant where this is expanded. */
MBR_INLINE norm_sums norm_block(const float *x, size_t n, vf mean, bool square)
{
    vf s[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()}, q[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
    size_t i = 0;
    for (; i + 4 * MBR_VL <= n; i += 4 * MBR_VL)
        for (int k = 0; k < 4; k++) {
            vf v = vf_sub(vf_load(x + i + (size_t)k * MBR_VL), mean);
            s[k] = vf_add(s[k], v);
            q[k] = square ? vf_fma(v, v, q[k]) : q[k];
        }
    for (; i < n; i += MBR_VL) {
        size_t part = n - i < MBR_VL ? n - i : MBR_VL;
        vf v = vf_sub(vf_load_n(x + i, part), mean);
        v = vf_select(vm_first_n(part), v, vf_zero());
        s[0] = vf_add(s[0], v);
        q[0] = square ? vf_fma(v, v, q[0]) : q[0];
    }
    norm_sums r = {(double)vf_sum(vf_add(vf_add(s[0], s[1]), vf_add(s[2], s[3]))), 0.0};
    if (square)
        r.square = (double)vf_sum(vf_add(vf_add(q[0], q[1]), vf_add(q[2], q[3])));
    return r;
}

static norm_sums norm_sum(const float *x, size_t n, float mean, bool square)
{
    norm_sums r = {0.0, 0.0};
    const vf m = vf_set1(mean);
    for (size_t i = 0; i < n; i += NORM_BLOCK) {
        size_t part = n - i < NORM_BLOCK ? n - i : NORM_BLOCK;
        norm_sums b = square ? norm_block(x + i, part, m, true) : norm_block(x + i, part, m, false);
        r.sum += b.sum;
        r.square += b.square;
    }
    return r;
}

/* mean is the rounded one, close to the true one; delta is what it lacks, found while the squares are added. */
typedef struct norm_stats {
    float mean;
    double delta, var;
} norm_stats;

static norm_stats norm_stats_of(const float *x, size_t n, bool rms)
{
    norm_stats st = {0.0f, 0.0, 0.0};
    if (!rms)
        st.mean = (float)(norm_sum(x, n, 0.0f, false).sum / (double)n);
    norm_sums s = norm_sum(x, n, st.mean, true);
    st.delta = rms ? 0.0 : s.sum / (double)n;
    st.var = s.square / (double)n - st.delta * st.delta;
    if (st.var < 0.0)
        st.var = 0.0;
    return st;
}

/*
 * out = ((x - mean) * inv + rest) * scale + bias, where rest makes up for the rounding of the mean. The flags say what is
 * there and are constants where this is expanded.
 */
MBR_INLINE void norm_apply(const float *x, float *out, const float *scale, const float *bias, size_t n,
                           const float *line, bool scaled, bool biased)
{
    const vf m = vf_set1(line[0]), s = vf_set1(line[1]), rest = vf_set1(line[2]);
    size_t i = 0;
    for (; i + MBR_VL <= n; i += MBR_VL) {
        vf v = vf_fma(vf_sub(vf_load(x + i), m), s, rest);
        if (scaled && biased)
            v = vf_fma(v, vf_load(scale + i), vf_load(bias + i));
        else if (scaled)
            v = vf_mul(v, vf_load(scale + i));
        else if (biased)
            v = vf_add(v, vf_load(bias + i));
        vf_store(out + i, v);
    }
    if (i < n) {
        size_t left = n - i;
        vf v = vf_fma(vf_sub(vf_load_n(x + i, left), m), s, rest);
        v = vf_mul(v, scaled ? vf_load_n(scale + i, left) : vf_set1(1.0f));
        vf_store_n(out + i, biased ? vf_add(v, vf_load_n(bias + i, left)) : v, left);
    }
}

static void norm_add(const float *a, const float *b, float *out, size_t n)
{
    size_t i = 0;
    for (; i + MBR_VL <= n; i += MBR_VL)
        vf_store(out + i, vf_add(vf_load(a + i), vf_load(b + i)));
    if (i < n)
        vf_store_n(out + i, vf_add(vf_load_n(a + i, n - i), vf_load_n(b + i, n - i)), n - i);
}

void MBR_NORM_NAME(const mbr_norm_args *args, size_t first, size_t last)
{
    size_t n = args->cols;
    for (size_t r = first; r < last; r++) {
        const float *x = args->in + r * n;
        float *out = args->out + r * n;
        if (args->residual || args->sum_out) {
            float *sum = args->sum_out ? args->sum_out + r * n : out;
            if (args->residual)
                norm_add(x, args->residual + r * n, sum, n);
            else if (sum != x)
                memcpy(sum, x, n * sizeof *x);
            x = sum;
        }
        norm_stats st = norm_stats_of(x, n, args->rms);
        double inv = 1.0 / sqrt(st.var + (double)args->epsilon);
        const float line[3] = {st.mean, (float)inv, (float)(-st.delta * inv)};
        if (args->scale && args->bias)
            norm_apply(x, out, args->scale, args->bias, n, line, true, true);
        else if (args->scale)
            norm_apply(x, out, args->scale, NULL, n, line, true, false);
        else if (args->bias)
            norm_apply(x, out, NULL, args->bias, n, line, false, true);
        else
            norm_apply(x, out, NULL, NULL, n, line, false, false);
        if (args->mean_out)
            args->mean_out[r] = (float)((double)st.mean + st.delta);
        if (args->inv_std_out)
            args->inv_std_out[r] = (float)inv;
    }
}

/* Channels last: up to this many channels go together, whole groups or a part of one. */
#define NORM_CHANNELS 64

/* Per channel, the sum over the points of (x - mean[c]) or its square; points `step` apart, n <= NORM_CHANNELS. */
static void norm_channel_sums(const float *x, size_t points, size_t step, size_t n, const float *mean, bool square,
                              double *sums)
{
    for (size_t c = 0; c < n; c++)
        sums[c] = 0.0;
    for (size_t p = 0; p < points; p += NORM_BLOCK) {
        size_t end = points - p < NORM_BLOCK ? points : p + NORM_BLOCK;
        for (size_t c = 0; c < n; c += MBR_VL) {
            size_t part = n - c < MBR_VL ? n - c : MBR_VL;
            vf m = vf_load_n(mean + c, part), s0 = vf_zero(), s1 = vf_zero();
            size_t q = p;
            for (; q + 2 <= end; q += 2) {
                vf a = vf_sub(vf_load_n(x + q * step + c, part), m), b = vf_sub(vf_load_n(x + (q + 1) * step + c, part), m);
                s0 = square ? vf_fma(a, a, s0) : vf_add(s0, a);
                s1 = square ? vf_fma(b, b, s1) : vf_add(s1, b);
            }
            if (q < end) {
                vf a = vf_sub(vf_load_n(x + q * step + c, part), m);
                s0 = square ? vf_fma(a, a, s0) : vf_add(s0, a);
            }
            float total[MBR_VL];
            vf_store(total, vf_add(s0, s1));
            for (size_t k = 0; k < part; k++)
                sums[c + k] += (double)total[k];
        }
    }
}

/* Groups `group` .. `group + count - 1` of a sample, in[point][channel]: all within NORM_CHANNELS, or just one. */
static void group_norm_last(const mbr_group_norm_args *a, size_t sample, size_t group, size_t count)
{
    size_t width = a->channels / a->groups, n = width * count, step = a->channels, points = a->spatial;
    size_t base = sample * points * step + group * width;
    float mean[NORM_CHANNELS] = {0}, scale[NORM_CHANNELS], shift[NORM_CHANNELS];
    double sums[NORM_CHANNELS];
    double total[2][NORM_CHANNELS] = {{0}}; /* of each group: sum, then sum of squares */
    size_t block = n < NORM_CHANNELS ? n : NORM_CHANNELS;
    for (int square = 0; square < 2; square++) {
        for (size_t c = 0; c < n; c += block) {
            size_t part = n - c < block ? n - c : block;
            norm_channel_sums(a->in + base + c, points, step, part, mean, square, sums);
            for (size_t k = 0; k < part; k++)
                total[square][(c + k) / width] += sums[k];
        }
        for (size_t k = 0; !square && k < block; k++)
            mean[k] = (float)(total[0][k / width] / (double)(width * points));
    }
    for (size_t c = 0; c < n; c += block) {
        size_t part = n - c < block ? n - c : block;
        for (size_t k = 0; k < part; k++) {
            size_t channel = group * width + c + k;
            double var = total[1][(c + k) / width] / (double)(width * points);
            double s = (a->scale ? (double)a->scale[channel] : 1.0) / sqrt(var + (double)a->epsilon);
            scale[k] = (float)s;
            shift[k] = a->bias ? a->bias[channel] : 0.0f;
        }
        for (size_t p = 0; p < points; p++)
            for (size_t k = 0; k < part; k += MBR_VL) {
                size_t lanes = part - k < MBR_VL ? part - k : MBR_VL, at = base + p * step + c + k;
                vf v = vf_sub(vf_load_n(a->in + at, lanes), vf_load_n(mean + k, lanes));
                v = vf_fma(v, vf_load_n(scale + k, lanes), vf_load_n(shift + k, lanes));
                vf_store_n(a->out + at, v, lanes);
            }
    }
}

void MBR_GROUP_NORM_NAME(const mbr_group_norm_args *a, size_t first, size_t last)
{
    size_t width = a->channels / a->groups, points = a->spatial;
    for (size_t t = first; t < last;) {
        size_t sample = t / a->groups, group = t % a->groups;
        if (a->channels_last) {
            size_t count = width < NORM_CHANNELS ? NORM_CHANNELS / width : 1;
            count = count < last - t ? count : last - t;
            count = count < a->groups - group ? count : a->groups - group;
            group_norm_last(a, sample, group, count);
            t += count;
            continue;
        }
        size_t base = (sample * a->channels + group * width) * points, n = width * points;
        norm_stats st = norm_stats_of(a->in + base, n, false);
        double inv = 1.0 / sqrt(st.var + (double)a->epsilon);
        for (size_t c = 0; c < width; c++) {
            size_t channel = group * width + c, from = base + c * points;
            double scale = inv * (a->scale ? (double)a->scale[channel] : 1.0);
            double lack = isfinite(scale) ? st.delta * scale : 0.0;
            float shift = (float)((a->bias ? (double)a->bias[channel] : 0.0) - lack);
            const vf m = vf_set1(st.mean), s = vf_set1((float)scale), b = vf_set1(shift);
            for (size_t i = 0; i < points; i += MBR_VL) {
                size_t part = points - i < MBR_VL ? points - i : MBR_VL;
                vf v = vf_sub(vf_load_n(a->in + from + i, part), m);
                vf_store_n(a->out + from + i, vf_fma(v, s, b), part);
            }
        }
        t++;
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The complex transform of eight signals side by side, in f32, for lengths of factors 2, 3, 4 and 5 (kernels/signal.h
 * has any length, one signal at a time). Each pass takes a factor p: p points that lie n / p apart are transformed, and
 * turned by the roots of unity that the rest needs; the results lie where the next pass wants them. The lanes are the
 * innermost loops, which compilers turn into vectors of whatever width there is.
 */
#include "runtime/audio/audio_impl.h"

#include <math.h>

#define PI 3.14159265358979323846
#define LANES MBR_AUDIO_LANES

typedef mbr_lane_pairs pairs;

/* How many factors; 0: another prime is among them. */
static int factors(size_t n, uint8_t *f)
{
    int count = 0;
    for (; n % 4 == 0; n /= 4)
        f[count++] = 4;
    for (size_t p = 2; p <= 5; p++)
        for (; n % p == 0; n /= p)
            f[count++] = (uint8_t)p;
    return n == 1 ? count : 0;
}

bool mbr_lane_fft_fits(size_t n)
{
    uint8_t f[40];
    return n > 1 && n <= 1 << 20 && factors(n, f) > 0;
}

size_t mbr_lane_fft_roots(size_t n)
{
    return 2 * n;
}

void mbr_lane_fft_init(mbr_lane_fft *f, size_t n, float *roots)
{
    f->n = n;
    f->passes = factors(n, f->factor);
    f->roots = roots;
    size_t done = 1;
    for (int k = 0; k < f->passes; k++) {
        size_t p = f->factor[k], rest = n / (done * p);
        for (size_t i = 0; i < rest; i++)
            for (size_t j = 1; j < p; j++) {
                double angle = -2 * PI * (double)(j * done * i) / (double)n;
                *roots++ = (float)cos(angle);
                *roots++ = (float)sin(angle);
            }
        done *= p;
    }
}

#define EACH_LANE for (int l = 0; l < LANES; l++)

/* to = a * w */
static inline void turn(pairs *restrict to, const float *re, const float *im, const float *w)
{
    EACH_LANE {
        to->re.v[l] = re[l] * w[0] - im[l] * w[1];
        to->im.v[l] = re[l] * w[1] + im[l] * w[0];
    }
}

static inline void pass2(const pairs *restrict x, pairs *restrict y, size_t rest, size_t done, const float *w)
{
    for (size_t i = 0; i < rest; i++, w += 2)
        for (size_t c = 0; c < done; c++) {
            const pairs *a = &x[i + rest * 2 * c], *b = a + rest;
            float re[LANES], im[LANES];
            pairs *to = &y[i + rest * c];
            EACH_LANE {
                to->re.v[l] = a->re.v[l] + b->re.v[l];
                to->im.v[l] = a->im.v[l] + b->im.v[l];
                re[l] = a->re.v[l] - b->re.v[l];
                im[l] = a->im.v[l] - b->im.v[l];
            }
            turn(to + rest * done, re, im, w);
        }
}

static inline void pass3(const pairs *restrict x, pairs *restrict y, size_t rest, size_t done, const float *w)
{
    const float s = -0.86602540378443864676f;
    for (size_t i = 0; i < rest; i++, w += 4)
        for (size_t c = 0; c < done; c++) {
            const pairs *x0 = &x[i + rest * 3 * c], *x1 = x0 + rest, *x2 = x1 + rest;
            float re1[LANES], im1[LANES], re2[LANES], im2[LANES];
            pairs *to = &y[i + rest * c];
            EACH_LANE {
                float tr = x1->re.v[l] + x2->re.v[l], ti = x1->im.v[l] + x2->im.v[l];
                float ar = x0->re.v[l] - 0.5f * tr, ai = x0->im.v[l] - 0.5f * ti;
                float br = -(x1->im.v[l] - x2->im.v[l]) * s, bi = (x1->re.v[l] - x2->re.v[l]) * s;
                to->re.v[l] = x0->re.v[l] + tr;
                to->im.v[l] = x0->im.v[l] + ti;
                re1[l] = ar + br;
                im1[l] = ai + bi;
                re2[l] = ar - br;
                im2[l] = ai - bi;
            }
            turn(to + rest * done, re1, im1, w);
            turn(to + 2 * rest * done, re2, im2, w + 2);
        }
}

static inline void pass4(const pairs *restrict x, pairs *restrict y, size_t rest, size_t done, const float *w)
{
    for (size_t i = 0; i < rest; i++, w += 6)
        for (size_t c = 0; c < done; c++) {
            const pairs *x0 = &x[i + rest * 4 * c], *x1 = x0 + rest, *x2 = x1 + rest, *x3 = x2 + rest;
            float re1[LANES], im1[LANES], re2[LANES], im2[LANES], re3[LANES], im3[LANES];
            pairs *to = &y[i + rest * c];
            EACH_LANE {
                float ar = x0->re.v[l] + x2->re.v[l], ai = x0->im.v[l] + x2->im.v[l];
                float br = x0->re.v[l] - x2->re.v[l], bi = x0->im.v[l] - x2->im.v[l];
                float cr = x1->re.v[l] + x3->re.v[l], ci = x1->im.v[l] + x3->im.v[l];
                float dr = x1->im.v[l] - x3->im.v[l], di = -(x1->re.v[l] - x3->re.v[l]);
                to->re.v[l] = ar + cr;
                to->im.v[l] = ai + ci;
                re1[l] = br + dr;
                im1[l] = bi + di;
                re2[l] = ar - cr;
                im2[l] = ai - ci;
                re3[l] = br - dr;
                im3[l] = bi - di;
            }
            turn(to + rest * done, re1, im1, w);
            turn(to + 2 * rest * done, re2, im2, w + 2);
            turn(to + 3 * rest * done, re3, im3, w + 4);
        }
}

static inline void pass5(const pairs *restrict x, pairs *restrict y, size_t rest, size_t done, const float *w)
{
    const float r1 = 0.3090169943749474241f, i1 = -0.95105651629515357212f;
    const float r2 = -0.8090169943749474241f, i2 = -0.58778525229247312917f;
    for (size_t i = 0; i < rest; i++, w += 8)
        for (size_t c = 0; c < done; c++) {
            const pairs *x0 = &x[i + rest * 5 * c], *x1 = x0 + rest, *x2 = x1 + rest, *x3 = x2 + rest, *x4 = x3 + rest;
            float re[4][LANES], im[4][LANES];
            pairs *to = &y[i + rest * c];
            EACH_LANE {
                float s1r = x1->re.v[l] + x4->re.v[l], s1i = x1->im.v[l] + x4->im.v[l];
                float d1r = x1->re.v[l] - x4->re.v[l], d1i = x1->im.v[l] - x4->im.v[l];
                float s2r = x2->re.v[l] + x3->re.v[l], s2i = x2->im.v[l] + x3->im.v[l];
                float d2r = x2->re.v[l] - x3->re.v[l], d2i = x2->im.v[l] - x3->im.v[l];
                float ar = x0->re.v[l] + r1 * s1r + r2 * s2r, ai = x0->im.v[l] + r1 * s1i + r2 * s2i;
                float br = -(i1 * d1i + i2 * d2i), bi = i1 * d1r + i2 * d2r;
                float cr = x0->re.v[l] + r2 * s1r + r1 * s2r, ci = x0->im.v[l] + r2 * s1i + r1 * s2i;
                float dr = -(i2 * d1i - i1 * d2i), di = i2 * d1r - i1 * d2r;
                to->re.v[l] = x0->re.v[l] + s1r + s2r;
                to->im.v[l] = x0->im.v[l] + s1i + s2i;
                re[0][l] = ar + br;
                im[0][l] = ai + bi;
                re[3][l] = ar - br;
                im[3][l] = ai - bi;
                re[1][l] = cr + dr;
                im[1][l] = ci + di;
                re[2][l] = cr - dr;
                im[2][l] = ci - di;
            }
            for (size_t j = 0; j < 4; j++)
                turn(to + (j + 1) * rest * done, re[j], im[j], w + 2 * j);
        }
}

pairs *mbr_lane_fft_run(const mbr_lane_fft *f, pairs *x, pairs *y)
{
    size_t done = 1;
    const float *w = f->roots;
    for (int k = 0; k < f->passes; k++) {
        size_t p = f->factor[k], rest = f->n / (done * p);
        (p == 2 ? pass2 : p == 3 ? pass3 : p == 4 ? pass4 : pass5)(x, y, rest, done, w);
        w += 2 * (p - 1) * rest;
        done *= p;
        pairs *swap = x;
        x = y;
        y = swap;
    }
    return x;
}

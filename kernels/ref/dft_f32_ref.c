/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The complex transform in single precision, for lengths of factors 2, 3 and 5. Each pass takes a factor p: p points
 * that lie n / p apart are transformed, and turned by the roots of unity that the rest of the transform needs; the
 * results lie where the next pass wants them. Factors 4 come first, but for a single 2, which comes before them: sums
 * are then rounded in the order that is usual, and what cancels leaves the usual noise.
 */
#include "kernels/ref/dft_f32.h"

#include <math.h>

#define PI 3.14159265358979323846
#define MOST_FACTORS 40

typedef mbr_cf32 cf;

/* The factors in the order of the passes; 0: another prime is among them. */
static int factors(size_t n, int *f)
{
    int count = 0;
    for (; n % 4 == 0; n /= 4)
        f[count++] = 4;
    if (n % 2 == 0) {
        n /= 2;
        f[count++] = 2;
        int first = f[0];
        f[0] = 2;
        f[count - 1] = first;
    }
    for (int p = 3; p <= 5; p += 2)
        for (; n % (size_t)p == 0; n /= (size_t)p)
            f[count++] = p;
    return n == 1 ? count : 0;
}

bool mbr_dft_f32_fits(size_t n)
{
    int f[MOST_FACTORS];
    return n > 1 && n <= INT32_MAX && factors(n, f) > 0;
}

void mbr_dft_f32_init(size_t n, bool inverse, cf *roots)
{
    int f[MOST_FACTORS], count = factors(n, f);
    size_t done = 1; /* what the passes so far have multiplied up to */
    for (int k = 0; k < count; k++) {
        size_t p = (size_t)f[k], rest = n / (done * p);
        for (size_t j = 1; j < p; j++)
            for (size_t i = 1; i < rest; i++) {
                double angle = 2 * PI * (double)(j * done * i) / (double)n;
                *roots++ = (cf){ (float)cos(angle), (float)(inverse ? sin(angle) : -sin(angle)) };
            }
        done *= p;
    }
}

static inline cf add(cf a, cf b)
{
    return (cf){ a.re + b.re, a.im + b.im };
}

static inline cf sub(cf a, cf b)
{
    return (cf){ a.re - b.re, a.im - b.im };
}

static inline cf mul(cf a, cf w)
{
    return (cf){ a.re * w.re - a.im * w.im, a.re * w.im + a.im * w.re };
}

static void points3(cf *x, float sign)
{
    const float s = sign * 0.86602540378443864676f;
    cf t0 = x[0], t1 = add(x[1], x[2]), t2 = sub(x[1], x[2]);
    cf a = { t0.re + t1.re * -0.5f, t0.im + t1.im * -0.5f }, b = { -(t2.im * s), t2.re * s };
    x[0] = add(t0, t1);
    x[1] = add(a, b);
    x[2] = sub(a, b);
}

static void points4(cf *x, float sign)
{
    cf t2 = add(x[0], x[2]), t1 = sub(x[0], x[2]), t3 = add(x[1], x[3]), t4 = sub(x[1], x[3]);
    cf turned = { -sign * t4.im, sign * t4.re };
    x[0] = add(t2, t3);
    x[1] = add(t1, turned);
    x[2] = sub(t2, t3);
    x[3] = sub(t1, turned);
}

static void points5(cf *x, float sign)
{
    const float r1 = 0.3090169943749474241f, i1 = sign * 0.95105651629515357212f;
    const float r2 = -0.8090169943749474241f, i2 = sign * 0.58778525229247312917f;
    cf t0 = x[0], t1 = add(x[1], x[4]), t4 = sub(x[1], x[4]), t2 = add(x[2], x[3]), t3 = sub(x[2], x[3]);
    cf a = { t0.re + r1 * t1.re + r2 * t2.re, t0.im + r1 * t1.im + r2 * t2.im };
    cf b = { -(i1 * t4.im + i2 * t3.im), i1 * t4.re + i2 * t3.re };
    cf c = { t0.re + r2 * t1.re + r1 * t2.re, t0.im + r2 * t1.im + r1 * t2.im };
    cf d = { -(i2 * t4.im - i1 * t3.im), i2 * t4.re - i1 * t3.re };
    x[0] = (cf){ t0.re + t1.re + t2.re, t0.im + t1.im + t2.im };
    x[1] = add(a, b);
    x[4] = sub(a, b);
    x[2] = add(c, d);
    x[3] = sub(c, d);
}

cf *mbr_dft_f32(size_t n, bool inverse, const cf *roots, cf *x, cf *y)
{
    int f[MOST_FACTORS], count = factors(n, f);
    const float sign = inverse ? 1 : -1;
    size_t done = 1;
    for (int k = 0; k < count; k++) {
        size_t p = (size_t)f[k], rest = n / (done * p);
        for (size_t c = 0; c < done; c++)
            for (size_t i = 0; i < rest; i++) {
                cf v[5];
                for (size_t j = 0; j < p; j++)
                    v[j] = x[i + rest * (j + p * c)];
                if (p == 2) {
                    cf sum = add(v[0], v[1]);
                    v[1] = sub(v[0], v[1]);
                    v[0] = sum;
                } else {
                    (p == 3 ? points3 : p == 4 ? points4 : points5)(v, sign);
                }
                for (size_t j = 0; j < p; j++)
                    y[i + rest * (c + done * j)] = i && j ? mul(v[j], roots[(j - 1) * (rest - 1) + i - 1]) : v[j];
            }
        roots += (p - 1) * (rest - 1);
        done *= p;
        cf *swap = x;
        x = y;
        y = swap;
    }
    return x;
}

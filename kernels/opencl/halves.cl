/* SPDX-License-Identifier: BSD-2-Clause */
/* How fast is arithmetic of a vector type V? Eight sums of each work-item, n steps. */
__kernel void rate(__global float *to, int n, float by)
{
    V sum[8];
#pragma unroll
    for (int i = 0; i < 8; i++)
        sum[i] = (V)(by * i);
    const V x = (V)by, y = (V)(1 - by);
    for (int k = 0; k < n; k++) {
#pragma unroll
        for (int i = 0; i < 8; i++)
            sum[i] = fma(sum[i], x, y);
    }
    for (int i = 1; i < 8; i++)
        sum[0] += sum[i];
    if (isnan((float)sum[0].x)) /* never, but the compiler does not know */
        to[0] = 0;
}

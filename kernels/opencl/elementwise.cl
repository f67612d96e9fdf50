/* SPDX-License-Identifier: BSD-2-Clause */
__kernel void add(TENSOR(const T, a), TENSOR(const T, b), TENSOR(T, y), long n)
{
    OPEN(const T, a);
    OPEN(const T, b);
    OPEN(T, y);
    long i = get_global_id(0);
    if (i < n)
        y[i] = a[i] + b[i];
}

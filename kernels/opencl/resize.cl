/* SPDX-License-Identifier: BSD-2-Clause */
/* Resize by tables of taps: up to three axes change, each with `taps` indices and weights for each of its positions. */
#ifdef PICK /* nearest: elements as they are */
#define T PICK
#define NUMBER PICK
#define LD(p, i) ((p)[i])
#define ST(v, p, i) ((p)[i] = (v))
#else
#define NUMBER float
#endif

typedef struct {
    int out[6], stride[6], axis[6]; /* strides of the input; axis: which table, or -1 */
    int taps[3], at[3], weight[3];  /* where tables begin, in ints; taps 0: no such axis */
    int count;
    float outside;
} resize;

__kernel void resize_any(TENSOR(const T, x), TENSOR(T, y), TENSOR(const int, table), const resize g)
{
    const int i = get_global_id(0);
    if (i >= g.count)
        return;
    OPEN(const T, x);
    OPEN(T, y);
    OPEN(const int, table);
    int stride[3] = { 0, 0, 0 }, from[3] = { 0, 0, 0 }, rest = i;
    for (int d = 5; d >= 0; d--) {
        const int c = rest % g.out[d];
        rest /= g.out[d];
        if (g.axis[d] < 0) {
            x += (long)c * g.stride[d];
        } else {
            stride[g.axis[d]] = g.stride[d];
            from[g.axis[d]] = c * g.taps[g.axis[d]];
        }
    }
    bool outside = false;
    for (int a = 0; a < 3; a++)
        outside |= g.taps[a] && table[g.at[a] + from[a]] < 0;
    NUMBER sum = 0;
    if (outside) {
        sum = (NUMBER)g.outside;
    } else {
        for (int a = 0; a < max(g.taps[0], 1); a++)
            for (int b = 0; b < max(g.taps[1], 1); b++)
                for (int c = 0; c < max(g.taps[2], 1); c++) {
                    const int tap[3] = { from[0] + a, from[1] + b, from[2] + c };
                    int at = 0;
#ifndef PICK
                    float weight = 1;
#endif
                    for (int j = 0; j < 3; j++)
                        if (g.taps[j]) {
                            at += table[g.at[j] + tap[j]] * stride[j];
#ifndef PICK
                            weight *= as_float(table[g.weight[j] + tap[j]]);
#endif
                        }
#ifdef PICK
                    sum = LD(x, at);
#else
                    if (weight != 0)
                        sum += weight * LD(x, at);
#endif
                }
    }
    ST(sum, y, i);
}

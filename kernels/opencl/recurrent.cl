/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LSTM, GRU and RNN, once the input's products of all time steps are there (wx, with the first half of the bias).
 *
 * -DGATES: 4 LSTM (i o f c), 3 GRU (z r h), 1 RNN. -DVF: hidden units that a work-item has at a time, 1 for groups. -DMB: rows
 * of the batch that one does together, so that r is read once for them. -DALONE: a work-item walks through time alone;
 * else a group does, or (parts of) many groups do one step a launch.
 *
 * r is in panels of 16 hidden units, (directions, gates, panels, hidden, 16). State in f32, (directions, batch, 4, padded):
 * h of even and of odd steps, c, and what GRU resets. wx may be read 16 elements past its end.
 */
#define V CAT(float, VF)
#define float1 float

typedef struct {
    long y_step, y_row, y_dir;           /* strides of Y in elements */
    int wx_step, wx_row;                 /* of wx in rows of GATES * hidden */
    int state_row, state_dir;            /* of initial and final states in rows of hidden */
    int hidden, padded, steps, batch;
    int backwards, before, input_forget; /* the first direction's; linear_before_reset */
    int has;                             /* bits, as the parameters come: b h0 c0 lens p y hn cn */
    float clip;
    int kind[2][3];
    float alpha[2][3], beta[2][3];
} recurrent;

enum { HAS_B = 1, HAS_H = 2, HAS_C = 4, HAS_LENS = 8, HAS_P = 16, HAS_Y = 32, HAS_HN = 64, HAS_CN = 128 };

/* mbr_rnn_activation */
static V function(V x, int kind, float a, float b)
{
    const V zero = 0, one = 1;
    switch (kind) {
    case 0:
        return one / (one + exp(-x));
    case 1:
        return tanh(x);
    case 2:
        return x < zero ? zero : x;
    case 3:
        return a * x + b;
    case 4:
        return x < zero ? a * x : x;
    case 5:
        return x > (V)a ? x : zero;
    case 6:
        return a * tanh(b * x);
    case 7:
        x = a * x + b;
        x = x < zero ? zero : x;
        return x > one ? one : x;
    case 8:
        return x < zero ? a * expm1(x) : x;
    case 9:
        return x / (one + fabs(x));
    default:
        return (x < zero ? zero : x) + log1p(exp(-fabs(x)));
    }
}

static V gate(V x, const recurrent *g, int dir, int f)
{
    if (g->clip > 0) {
        x = x < (V)-g->clip ? (V)-g->clip : x;
        x = x > (V)g->clip ? (V)g->clip : x;
    }
    return function(x, g->kind[dir][f], g->alpha[dir][f], g->beta[dir][f]);
}

#if VF == 1
#define WX(p) LD(p, 0)
#define SOME(p, left) LD(p, 0)
#define SOME_TO(v, p, left) ST(v, p, 0)
#define STATE(p) (*(p))
#define KEEP(v, p) *(p) = (v)
#define PANEL(p) LD(p, 0)
#else
#define WX(p) LDN(VF, p)
#define PANEL WX
#define STATE(p) CAT(vload, VF)(0, p)
#define KEEP(v, p) CAT(vstore, VF)(v, 0, p)

/* As many as there are, of a row that ends after `left`. */
static V SOME(__global const T *p, int left)
{
    float each[VF];
    if (left >= VF)
        return LDN(VF, p);
    for (int i = 0; i < VF; i++)
        each[i] = i < left ? LD(p, i) : 0.0f;
    return CAT(vload, VF)(0, each);
}

static void SOME_TO(V v, __global T *p, int left)
{
    float each[VF];
    if (left >= VF) {
        STN(VF, v, p);
        return;
    }
    CAT(vstore, VF)(v, 0, each);
    for (int i = 0; i < left; i++)
        ST(each[i], p, i);
}
#endif

/* acc[.][first .. end - 1] += r h. */
static void multiply(V acc[MB][GATES], int first, int end, __global const T *r, long r_gate, __global const float *const h[MB],
                     int n)
{
    for (int k = 0; k < n; k++, r += 16) {
        V x[GATES];
#pragma unroll
        for (int q = first; q < end; q++)
            x[q] = PANEL(r + q * r_gate);
#pragma unroll
        for (int m = 0; m < MB; m++)
#pragma unroll
            for (int q = first; q < end; q++)
                acc[m][q] = fma((V)h[m][k], x[q], acc[m][q]);
    }
}

#ifdef ALONE
#define FIRST 0
#define STEP 1
#define MEET_STATE
#else
#define FIRST LANE
#define STEP LANES
#define MEET_STATE barrier(CLK_GLOBAL_MEM_FENCE)
#endif

/*
 * Steps k0 .. k1 - 1; phases p0 .. p1 - 1 of each, 0: what GRU resets, 1: the rest. begin: the initial states first.
 * Work-items: (directions and blocks of MB rows, parts of the hidden units).
 */
__kernel void recurrent_steps(TENSOR(const T, wx), TENSOR(const T, r), TENSOR(float, state), TENSOR(const T, b),
                              TENSOR(const T, h0), TENSOR(const T, c0), TENSOR(const int, lens), TENSOR(const T, p),
                              TENSOR(T, y), TENSOR(T, hn), TENSOR(T, cn), TENSOR(int, flag), const recurrent g,
                              int begin, int k0, int k1, int p0, int p1)
{
    OPEN(const T, wx);
    OPEN(const T, r);
    OPEN(float, state);
    OPEN(const T, b);
    OPEN(const T, h0);
    OPEN(const T, c0);
    OPEN(const int, lens);
    OPEN(const T, p);
    OPEN(T, y);
    OPEN(T, hn);
    OPEN(T, cn);
    OPEN(int, flag);
    const int blocks = (g.batch + MB - 1) / MB, dir = LINE / blocks, row0 = LINE % blocks * MB, n = g.hidden;
    const int units = (n + VF - 1) / VF, part = (units + (int)get_global_size(1) - 1) / (int)get_global_size(1);
    const int u0 = get_global_id(1) * part + FIRST, u1 = min(units, (int)(get_global_id(1) + 1) * part);
    const long r_gate = (long)(n + 15) / 16 * 16 * n;
    const bool backwards = dir || g.backwards;
    __global float *mine[MB];
    long last[MB];
    int length[MB];
    for (int m = 0; m < MB; m++) {
        const int row = min(row0 + m, g.batch - 1);
        mine[m] = state + ((long)dir * g.batch + row) * 4 * g.padded;
        last[m] = ((long)row * g.state_row + (long)dir * g.state_dir) * n;
        length[m] = g.has & HAS_LENS ? lens[row] : g.steps;
        if (length[m] < 0 || length[m] > g.steps) {
            *flag = 1;
            length[m] = 0;
        }
    }
    wx += (long)dir * g.steps * g.batch * GATES * n;
    r += dir * GATES * r_gate;
    b += dir * 2 * GATES * n + GATES * n;
    p += dir * 3 * n;
    y += dir * g.y_dir;
    for (int u = u0; begin && u < u1; u += STEP) {
        const int j = u * VF, left = n - j;
        for (int m = 0; m < MB; m++) {
            const V h = g.has & HAS_H ? SOME(h0 + last[m] + j, left) : 0, c = g.has & HAS_C ? SOME(c0 + last[m] + j, left) : 0;
            KEEP(h, mine[m] + j);
            KEEP(c, mine[m] + 2 * g.padded + j);
            if (g.has & HAS_HN)
                SOME_TO(h, hn + last[m] + j, left);
            if (g.has & HAS_CN)
                SOME_TO(c, cn + last[m] + j, left);
        }
    }
    MEET_STATE;
    for (int k = k0; k < k1; k++) {
        __global const float *from[MB], *kept[MB];
        for (int m = 0; m < MB; m++) {
            from[m] = mine[m] + k % 2 * g.padded;
            kept[m] = mine[m] + 3 * g.padded;
        }
        for (int phase = p0; phase < p1; phase++) {
            for (int u = u0; u < u1; u += STEP) {
                const int j = u * VF, left = n - j;
                __global const T *panel = r + (long)j / 16 * 16 * n + j % 16;
                V acc[MB][GATES];
#pragma unroll
                for (int m = 0; m < MB; m++)
#pragma unroll
                    for (int q = 0; q < GATES; q++)
                        acc[m][q] = g.has & HAS_B ? SOME(b + q * n + j, left) : 0;
#if GATES == 3
                if (phase == 0) {
                    multiply(acc, 1, 2, panel, r_gate, from, n);
                } else if (g.before) {
                    multiply(acc, 0, 3, panel, r_gate, from, n);
                } else {
                    multiply(acc, 0, 1, panel, r_gate, from, n);
                    multiply(acc, 2, 3, panel, r_gate, kept, n);
                }
#else
                multiply(acc, 0, GATES, panel, r_gate, from, n);
#endif
#pragma unroll
                for (int m = 0; m < MB; m++) {
                    if (row0 + m >= g.batch)
                        break;
                    if (k >= length[m]) {
                        if (phase && g.has & HAS_Y)
                            SOME_TO((V)0, y + k * g.y_step + (row0 + m) * g.y_row + j, left);
                        continue;
                    }
                    const long t = backwards ? length[m] - 1 - k : k;
                    __global const T *x = wx + (t * g.wx_step + (long)(row0 + m) * g.wx_row) * GATES * n + j;
                    V h;
#if GATES == 4
                    const V old = STATE(mine[m] + 2 * g.padded + j);
                    V i = acc[m][0] + WX(x), o = acc[m][1] + WX(x + n), f = acc[m][2] + WX(x + 2 * n);
                    if (g.has & HAS_P) {
                        i += SOME(p + j, left) * old;
                        f += SOME(p + 2 * n + j, left) * old;
                    }
                    i = gate(i, &g, dir, 0);
                    f = g.input_forget ? (V)1 - i : gate(f, &g, dir, 0);
                    const V c = f * old + i * gate(acc[m][3] + WX(x + 3 * n), &g, dir, 1);
                    if (g.has & HAS_P)
                        o += SOME(p + n + j, left) * c;
                    h = gate(o, &g, dir, 0) * function(c, g.kind[dir][2], g.alpha[dir][2], g.beta[dir][2]);
                    KEEP(c, mine[m] + 2 * g.padded + j);
                    if (k == length[m] - 1 && g.has & HAS_CN)
                        SOME_TO(c, cn + last[m] + j, left);
#elif GATES == 3
                    const V old = STATE(from[m] + j);
                    V reset = 1;
                    if (g.before || phase == 0)
                        reset = gate(acc[m][1] + WX(x + n), &g, dir, 0);
                    if (phase == 0) {
                        KEEP(reset * old, mine[m] + 3 * g.padded + j);
                        continue;
                    }
                    const V z = gate(acc[m][0] + WX(x), &g, dir, 0);
                    h = ((V)1 - z) * gate(WX(x + 2 * n) + reset * acc[m][2], &g, dir, 1) + z * old;
#else
                    h = gate(acc[m][0] + WX(x), &g, dir, 0);
#endif
                    KEEP(h, mine[m] + (k + 1) % 2 * g.padded + j);
                    if (g.has & HAS_Y)
                        SOME_TO(h, y + t * g.y_step + (row0 + m) * g.y_row + j, left);
                    if (k == length[m] - 1 && g.has & HAS_HN)
                        SOME_TO(h, hn + last[m] + j, left);
                }
            }
            MEET_STATE;
        }
    }
}

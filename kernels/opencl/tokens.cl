/* SPDX-License-Identifier: BSD-2-Clause */
/* What token models do between products, in C: kernels/recurrence.h says what. -DT: type of all tensors. */
#pragma OPENCL FP_CONTRACT OFF

#ifdef ROTARY
typedef struct {
    int stride[3]; /* batch, token, head */
    int tokens, heads, size, half_, rows, interleaved, positions, count; /* positions: 0 none, 1 one, 2 each */
} rotary;

/* Work-items: (element, head, token of the batch). */
__kernel void rotary_pairs(TENSOR(const MEM(T), x), TENSOR(const MEM(T), cosine), TENSOR(const MEM(T), sine),
                     TENSOR(const long, position), TENSOR(MEM(T), y), TENSOR(int, flag), const rotary g)
{
    int k = get_global_id(0), h = get_global_id(1), i = get_global_id(2);
    OPEN(const MEM(T), x);
    OPEN(const MEM(T), cosine);
    OPEN(const MEM(T), sine);
    OPEN(const long, position);
    OPEN(MEM(T), y);
    OPEN(int, flag);
    if (k >= g.size - g.half_ || h >= g.heads || i >= g.count)
        return;
    int at = i / g.tokens * g.stride[0] + i % g.tokens * g.stride[1] + h * g.stride[2];
    long row = g.positions == 0 ? i : g.positions == 1 ? position[0] + i % g.tokens : position[i];
    if (row < 0 || row >= g.rows) {
        *flag = 1;
        return;
    }
    if (k >= g.half_) { /* the rest is copied */
        y[at + k + g.half_] = x[at + k + g.half_];
        return;
    }
    int a = at + (g.interleaved ? 2 * k : k), b = at + (g.interleaved ? 2 * k + 1 : k + g.half_);
    C re = LOAD(T, x, a), im = LOAD(T, x, b);
    C c = LOAD(T, cosine, row * g.half_ + k), s = LOAD(T, sine, row * g.half_ + k);
    SAVE(T, y, a, c * re - s * im);
    SAVE(T, y, b, s * re + c * im);
}
#endif

#ifdef TURN
typedef struct {
    int dims[3], x[3], cosine[3], sine[3], half_;
} turned;

/* A work-item has a pair: (place in the half, row, rows of the leading axes). */
__kernel void turn(TENSOR(const MEM(T), x), TENSOR(const MEM(T), cosine), TENSOR(const MEM(T), sine),
                   TENSOR(MEM(T), y), const turned g)
{
    int k = get_global_id(0), j = get_global_id(1), i = get_global_id(2), m = k + g.half_;
    OPEN(const MEM(T), x);
    OPEN(const MEM(T), cosine);
    OPEN(const MEM(T), sine);
    OPEN(MEM(T), y);
    if (k >= g.half_ || j >= g.dims[2] || i >= g.dims[0] * g.dims[1])
        return;
    int p = i / g.dims[1], q = i % g.dims[1], to = (i * g.dims[2] + j) * 2 * g.half_;
    int a = p * g.x[0] + q * g.x[1] + j * g.x[2], c = p * g.cosine[0] + q * g.cosine[1] + j * g.cosine[2];
    int s = p * g.sine[0] + q * g.sine[1] + j * g.sine[2];
    C re = LOAD(T, x, a + k), im = LOAD(T, x, a + m);
    SAVE(T, y, to + k, re * LOAD(T, cosine, c + k) - im * LOAD(T, sine, s + k));
    SAVE(T, y, to + m, im * LOAD(T, cosine, c + m) + re * LOAD(T, sine, s + m));
}
#endif

#ifdef S
typedef struct {
    int batch, steps, heads, kv_heads, dk, dv, decay_each, beta_heads, has_state;
    float scale;
} linear;

/* A work-item has a column of the state of one head, at (dk, dv) floats: (column, head of the batch). */
__kernel void linear_attention(TENSOR(const MEM(T), q), TENSOR(const MEM(T), key), TENSOR(const MEM(T), v),
                               TENSOR(const MEM(S), past), TENSOR(const MEM(T), decay), TENSOR(const MEM(T), beta),
                               TENSOR(MEM(T), y), TENSOR(MEM(S), present), TENSOR(float, state), const linear g)
{
    int j = get_global_id(0), head = get_global_id(1), h = head % g.kv_heads, group = g.heads / g.kv_heads;
    OPEN(const MEM(T), q);
    OPEN(const MEM(T), key);
    OPEN(const MEM(T), v);
    OPEN(const MEM(S), past);
    OPEN(const MEM(T), decay);
    OPEN(const MEM(T), beta);
    OPEN(MEM(T), y);
    OPEN(MEM(S), present);
    OPEN(float, state);
    if (j >= g.dv || head >= g.batch * g.kv_heads)
        return;
    size_t first = (size_t)head * g.dk * g.dv + j;
    for (int i = 0; i < g.dk; i++)
        state[first + i * g.dv] = g.has_state ? (float)LOAD(S, past, first + i * g.dv) : 0;
    for (int t = 0; t < g.steps; t++) {
        int token = head / g.kv_heads * g.steps + t;
        size_t at = (size_t)token * g.kv_heads + h;
        float got = 0, value = LOAD(T, v, at * g.dv + j);
        for (int i = 0; i < g.dk; i++) {
            float s = state[first + i * g.dv];
            if (g.decay_each)
                s *= exp((float)LOAD(T, decay, at * g.decay_each + (g.decay_each > 1 ? i : 0)));
            state[first + i * g.dv] = s;
            got += s * (float)LOAD(T, key, at * g.dk + i);
        }
        if (g.beta_heads)
            value = (float)LOAD(T, beta, token * g.beta_heads + (g.beta_heads > 1 ? h : 0)) * (value - got);
        for (int i = 0; i < g.dk; i++)
            state[first + i * g.dv] += (float)LOAD(T, key, at * g.dk + i) * value;
        for (int u = 0; u < group; u++) {
            size_t to = (size_t)token * g.heads + h * group + u;
            float sum = 0;
            for (int i = 0; i < g.dk; i++)
                sum += (float)LOAD(T, q, to * g.dk + i) * state[first + i * g.dv];
            SAVE(T, y, to * g.dv + j, g.scale * sum);
        }
    }
#ifdef PRESENT
    for (int i = 0; i < g.dk; i++)
        SAVE(S, present, first + i * g.dv, state[first + i * g.dv]);
#endif
}
#endif

#ifdef CAUSAL
/* Element k of the past and what follows it. */
#define BEFORE(k)                                                                                                      \
    ((k) >= taps - 1 ? (C)LOAD(T, x, (size_t)r * steps + (k) - (taps - 1))                                             \
                     : CAUSAL & 2 ? (C)LOAD(T, past, (size_t)r * (taps - 1) + (k)) : 0)

/* Bits of CAUSAL: 1 bias, 2 past, 4 present, 8 silu. Work-items: (step, channel of the batch). */
__kernel void causal(TENSOR(const MEM(T), x), TENSOR(const MEM(T), w), TENSOR(const MEM(T), bias),
                     TENSOR(const MEM(T), past), TENSOR(MEM(T), y), TENSOR(MEM(T), present), const int steps,
                     const int taps, const int channels, const int rows)
{
    int t = get_global_id(0), r = get_global_id(1), c = r % channels;
    OPEN(const MEM(T), x);
    OPEN(const MEM(T), w);
    OPEN(const MEM(T), bias);
    OPEN(const MEM(T), past);
    OPEN(MEM(T), y);
    OPEN(MEM(T), present);
    if (r >= rows)
        return;
    if (CAUSAL & 4 && t < taps - 1)
        SAVE(T, present, (size_t)r * (taps - 1) + t, BEFORE(t + steps));
    if (t >= steps)
        return;
    C sum = CAUSAL & 1 ? (C)LOAD(T, bias, c) : 0;
    for (int k = 0; k < taps; k++)
        sum += BEFORE(t + k) * (C)LOAD(T, w, c * taps + k);
    SAVE(T, y, (size_t)r * steps + t, CAUSAL & 8 ? sum / (1 + exp(-sum)) : sum);
}
#endif

#ifdef LOSS
/*
 * Loss of each place of (n, classes, points); bits of LOSS: 1 of scores, 2 weights, 4 log_prob, 8 each is wanted. What is
 * added up afterwards is at part: (count) losses, (count) weights.
 */
__kernel void loss(TENSOR(const MEM(T), x), TENSOR(const MEM(I), target), TENSOR(const MEM(T), weight),
                   TENSOR(MEM(T), y), TENSOR(MEM(T), log_prob), TENSOR(C, part), TENSOR(int, flag), const int count,
                   const int classes, const int points, const int has_ignored, const long ignored)
{
    int i = get_global_id(0);
    OPEN(const MEM(T), x);
    OPEN(const MEM(I), target);
    OPEN(const MEM(T), weight);
    OPEN(MEM(T), y);
    OPEN(MEM(T), log_prob);
    OPEN(C, part);
    OPEN(int, flag);
    if (i >= count)
        return;
    size_t first = (size_t)(i / points) * classes * points + i % points;
    long t = LOAD(I, target, i);
    bool skip = has_ignored && t == ignored;
    C shift = 0, v = 0, w = 0;
    if (!skip && (t < 0 || t >= classes)) {
        *flag = 1;
        skip = true;
    }
#if LOSS & 1
    C most = -INFINITY;
    for (int c = 0; c < classes; c++)
        most = fmax(most, (C)LOAD(T, x, first + (size_t)c * points));
    for (int c = 0; c < classes; c++)
        shift += exp((C)LOAD(T, x, first + (size_t)c * points) - most);
    shift = most + log(shift);
#endif
#if LOSS & 4
    for (int c = 0; c < classes; c++)
        SAVE(T, log_prob, first + (size_t)c * points, (C)LOAD(T, x, first + (size_t)c * points) - shift);
#endif
    if (!skip) {
        w = LOSS & 2 ? (C)LOAD(T, weight, t) : 1;
        v = -w * ((C)LOAD(T, x, first + t * points) - shift);
    }
#if LOSS & 8
    SAVE(T, y, i, v);
#else
    part[i] = v;
    part[count + i] = w;
#endif
}

__kernel void loss_sum(TENSOR(const C, part), TENSOR(MEM(T), y), const int count, const int mean, __local C *here)
{
    C v = 0, w = 0;
    OPEN(const C, part);
    OPEN(MEM(T), y);
    if (LINE > 0)
        return;
    for (int i = LANE; i < count; i += LANES) {
        v += part[i];
        w += part[count + i];
    }
    MEET_SUM(C, v, here);
    MEET_SUM(C, w, here);
    if (LANE == 0)
        SAVE(T, y, 0, mean ? v / w : v);
}
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Comes before every source here. A tensor is two parameters, a buffer and an offset in bytes, since many tensors share
 * one buffer:
 *
 *     __kernel void twice(TENSOR(const float, x), TENSOR(float, y), int n)
 *     {
 *         OPEN(const float, x);
 *         OPEN(float, y);
 *         ...
 *     }
 *
 * F16 is defined where the device computes with halves.
 */
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#ifdef F16
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#endif
#if defined(SUBS) && defined(cl_khr_subgroups)
#pragma OPENCL EXTENSION cl_khr_subgroups : enable
#endif

#define TENSOR(T, x) __global T *x##_base, const ulong x##_at
#define OPEN(T, x) __global T *x = (__global T *)((__global const char *)x##_base + x##_at)

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)

/* For i from 0 to n - 1, a constant: unrolled. */
#define EACH(i, n) _Pragma("unroll") for (int i = 0; i < n; i++)

/* erfc(z) of z >= 0 is t exp(this - z z) for t = 1 / (1 + z / 2), within 1.2e-7 of itself (Numerical Recipes); drivers'
   own are slow, where they are not wrong by more. */
#define ERFC_EXPONENT(t)                                                                                               \
    (-1.26551223f +                                                                                                    \
     t * (1.00002368f +                                                                                                \
          t * (0.37409196f +                                                                                           \
               t * (0.09678418f +                                                                                      \
                    t * (-0.18628806f +                                                                                \
                         t * (0.27886807f +                                                                            \
                              t * (-1.13520398f + t * (1.48851587f + t * (-0.82215223f + t * 0.17087277f)))))))))

/* ACT(float8) defines act_float8: the activations of kernels/act.h, in their order. A NaN stays a NaN. */
#define ACT(V) ACT_(V)
#define ACT_(V)                                                                                                        \
    static V act_##V(V x, int kind, float a, float b)                                                                  \
    {                                                                                                                  \
        const V zero = 0, one = 1;                                                                                     \
        switch (kind) {                                                                                                \
        case 1:                                                                                                        \
            return x < zero ? zero : x;                                                                                \
        case 2:                                                                                                        \
            x = x < (V)a ? (V)a : x;                                                                                   \
            return x > (V)b ? (V)b : x;                                                                                \
        case 3:                                                                                                        \
            return x < zero ? x * a : x;                                                                               \
        case 4:                                                                                                        \
            return one / (one + exp(-x));                                                                              \
        case 5:                                                                                                        \
            return tanh(x);                                                                                            \
        case 6:                                                                                                        \
            return x / (one + exp(-a * x));                                                                            \
        case 7: {                                                                                                      \
            const V z = fabs(x) * 0.70710678f, t = one / (one + 0.5f * z);                                             \
            const V r = t * exp(ERFC_EXPONENT(t) - z * z);                                                             \
            return 0.5f * x * (x < zero ? r : 2.0f - r);                                                               \
        }                                                                                                              \
        case 8:                                                                                                        \
            return 0.5f * x * (one + tanh(0.79788456f * (x + 0.044715f * x * x * x)));                                 \
        case 9:                                                                                                        \
            x = x * a + b;                                                                                             \
            x = x < zero ? zero : x;                                                                                   \
            return x > one ? one : x;                                                                                  \
        case 10: {                                                                                                     \
            V y = x / 6.0f + 0.5f;                                                                                     \
            y = y < zero ? zero : y;                                                                                   \
            return x * (y > one ? one : y);                                                                            \
        }                                                                                                              \
        default:                                                                                                       \
            return x;                                                                                                  \
        }                                                                                                              \
    }

/* -DREAL: what products and convolutions share. -DHALF: tensors of f16, computed in f32;
   -DBYTE=uchar or char: of those, where a kernel takes them; -DT: of any type, by its name. */
#ifdef REAL
#ifdef T
#elif defined(HALF)
#define T half
#define LD LOAD_f16
#define LD4(p) LDN(4, p)
#define ST(v, p, i) SAVE_f16(p, i, v)
#ifdef F16
#define LDN(n, p) CAT(convert_float, n)(CAT(vload, n)(0, p))
#define STN(n, v, p) CAT(vstore, n)(CAT(convert_half, n)(v), 0, p)
#else
#define LDN(n, p) CAT(vload_half, n)(0, p)
#define STN(n, v, p) CAT(vstore_half, n)(v, 0, p)
#endif
#else
#ifdef BYTE
#define T BYTE
#else
#define T float
#endif
#define LD(p, i) ((p)[i])
#define LDN(n, p) CAT(vload, n)(0, p)
#define LD4(p) (*(__global const float4 *)(p))
#define ST(v, p, i) ((p)[i] = (v))
#define STN(n, v, p) CAT(vstore, n)(v, 0, p)
#endif

/* What a product multiplies. -DFP16: halves, summed in halves over RUN steps of k (gemm.cl). */
#ifdef FP16
#define E half
#define LOAD_E LOAD_PLAIN
#define LOAD_EN(n, p) CAT(vload, n)(0, p)
#define LOAD_E4(p) LOAD_EN(4, p)
#define RUN 8
#else
#define E float
#define LOAD_E LD
#define LOAD_EN LDN
#define LOAD_E4 LD4
#endif

typedef struct {
    long a_batch[3], b_batch[3], c_batch[3], o_batch[3]; /* from one matrix to the next, along three dimensions */
    int batch[3];
    int m, n, k;
    int a_m, a_k, b_k, b_n, c_m, c_n, o_m, o_n, bias_batch;
    int has_bias, other_is, act;
    float alpha, beta, act_a, act_b;
} gemm;

/* Three dimensions each: depth, height, width. */
typedef struct {
    long x_n, y_n, y_at;         /* from sample to sample; of the first output */
    int in[3], out[3];           /* points */
    int tap[3], stride[3], step[3], start[3]; /* in = start + out * stride + tap * step */
    int tap_at, tap_w[3];        /* where a tap's weights are */
    int x[3], x_c, y[3];         /* strides */
    int channels;
} conv;

static long batch_at(const int *size, const long *stride, int z)
{
    int rest = z / size[2];
    return z % size[2] * stride[2] + rest % size[1] * stride[1] + rest / size[1] * stride[0];
}

/* Sample and output point of a row. */
static int4 point_of(const conv *w, int row)
{
    int4 p;
    p.w = row % w->out[2];
    row /= w->out[2];
    p.z = row % w->out[1];
    row /= w->out[1];
    p.y = row % w->out[0];
    p.x = row / w->out[0];
    return p;
}

static long y_of(const conv *w, int row)
{
    int4 p = point_of(w, row);
    return w->y_at + p.x * w->y_n + p.y * w->y[0] + p.z * w->y[1] + p.w * w->y[2];
}

/* The input's first point under the kernel at an output point. */
static int4 corner_of(const conv *w, int row)
{
    int4 p = point_of(w, row);
    p.y = p.y * w->stride[0] + w->start[0];
    p.z = p.z * w->stride[1] + w->start[1];
    p.w = p.w * w->stride[2] + w->start[2];
    return p;
}

/* Where tap (d, h, v) of a corner lies, -1: outside. */
static long x_of(const conv *w, int4 p, int d, int h, int v)
{
    p.y += d * w->step[0];
    p.z += h * w->step[1];
    p.w += v * w->step[2];
    bool in = p.y >= 0 && p.y < w->in[0] && p.z >= 0 && p.z < w->in[1] && p.w >= 0 && p.w < w->in[2];
    return in ? p.x * w->x_n + p.y * w->x[0] + p.z * w->x[1] + p.w * w->x[2] : -1;
}
/* One value on its way out, or the first of several in a row. */
#define EPILOGUE(V, v, bias_v, other_v)                                                                                \
    v *= g.alpha;                                                                                                      \
    if (g.has_bias)                                                                                                    \
        v += bias_v;                                                                                                   \
    V o_ = 0;                                                                                                          \
    if (g.other_is)                                                                                                    \
        o_ = other_v;                                                                                                  \
    if (g.other_is == 1)                                                                                               \
        v += g.beta * o_;                                                                                              \
    v = CAT(act_, V)(v, g.act, g.act_a, g.act_b);                                                                      \
    if (g.other_is == 2)                                                                                               \
        v += o_;                                                                                                       \
    if (g.other_is == 3)                                                                                               \
        v *= o_;

ACT(float)
#endif

/*
 * Element types by their names in mbr/dtype.h, -DT=f16: MEM(T) lies in memory, LOAD and SAVE go from it and to it by
 * what is computed with (float for halves; int and uint for narrow integers, which wrap when they are saved).
 */
#define MEM(t) CAT(MEM_, t)
#define NUM(t) CAT(NUM_, t)
#define LOAD(t, p, i) CAT(LOAD_, t)(p, i)
#define SAVE(t, p, i, v) CAT(SAVE_, t)(p, i, v)

#define MEM_f32 float
#define MEM_f64 double
#define MEM_f16 half
#define MEM_bf16 ushort
#define MEM_i8 char
#define MEM_u8 uchar
#define MEM_i16 short
#define MEM_u16 ushort
#define MEM_i32 int
#define MEM_u32 uint
#define MEM_i64 long
#define MEM_u64 ulong
#define MEM_bool uchar

#define NUM_f32 float
#define NUM_f64 double
#define NUM_f16 float
#define NUM_bf16 float
#define NUM_i8 int
#define NUM_u8 uint
#define NUM_i16 int
#define NUM_u16 uint
#define NUM_i32 int
#define NUM_u32 uint
#define NUM_i64 long
#define NUM_u64 ulong
#define NUM_bool uint

#define LOAD_PLAIN(p, i) ((p)[i])
#define LOAD_f32 LOAD_PLAIN
#define LOAD_f64 LOAD_PLAIN
#ifdef F16 /* conversions are instructions there; vload_half is a call on some CPUs */
#define LOAD_f16(p, i) ((float)(p)[i])
#define SAVE_f16(p, i, v) (p)[i] = convert_half_rte(v)
#else
#define LOAD_f16(p, i) vload_half(i, p)
#define SAVE_f16(p, i, v) vstore_half_rte(v, i, p)
#endif
#define LOAD_bf16(p, i) as_float((uint)(p)[i] << 16)
#define LOAD_i8(p, i) ((int)(p)[i])
#define LOAD_u8(p, i) ((uint)(p)[i])
#define LOAD_i16(p, i) ((int)(p)[i])
#define LOAD_u16(p, i) ((uint)(p)[i])
#define LOAD_i32 LOAD_PLAIN
#define LOAD_u32 LOAD_PLAIN
#define LOAD_i64 LOAD_PLAIN
#define LOAD_u64 LOAD_PLAIN
#define LOAD_bool(p, i) ((uint)((p)[i] != 0))

/* A number as it is once it was saved. */
#define ROUND(t, v) CAT(ROUNDED_, t)(v)
#define ROUNDED_f32(v) (v)
#define ROUNDED_f64(v) (v)
#define ROUNDED_f16(v) f16_of(v)
#define ROUNDED_bf16(v) as_float((uint)bf16_of(v) << 16)

#define SAVE_f32(p, i, v) (p)[i] = (v)
#define SAVE_f64(p, i, v) (p)[i] = (v)
#define SAVE_bf16(p, i, v) (p)[i] = bf16_of(v)
#define SAVE_i8(p, i, v) (p)[i] = (char)(v)
#define SAVE_u8(p, i, v) (p)[i] = (uchar)(v)
#define SAVE_i16(p, i, v) (p)[i] = (short)(v)
#define SAVE_u16(p, i, v) (p)[i] = (ushort)(v)
#define SAVE_i32(p, i, v) (p)[i] = (int)(v)
#define SAVE_u32(p, i, v) (p)[i] = (uint)(v)
#define SAVE_i64(p, i, v) (p)[i] = (long)(v)
#define SAVE_u64(p, i, v) (p)[i] = (ulong)(v)
#define SAVE_bool(p, i, v) (p)[i] = (v) != 0

static float f16_of(float v)
{
    ushort h;
    SAVE_f16((__private half *)&h, 0, v);
    return LOAD_f16((__private half *)&h, 0);
}

static ushort bf16_of(float v)
{
    uint b = as_uint(v);
    return (ushort)((b & 0x7fffffffu) > 0x7f800000u ? b >> 16 | 0x40 : (b + 0x7fff + (b >> 16 & 1)) >> 16);
}

/*
 * Work on lines, of which a group of work-items shares one; or, -DALONE, a work-item has one of its own. Values of the
 * lanes are brought together in local memory, whatever the sum is: MEET(float, v, here, a + b) leaves it in v.
 * MEET_SUM and MEET_MAX are for a + b and fmax(a, b), which sub-groups may have instructions for (-DSUBS): of any size, the
 * last of a group smaller than the others, or all of a small group in one.
 */
#ifdef ALONE
#define LINE get_global_id(0)
#define LANE 0
#define LANES 1
#define MEET(C, v, here, how)
#define MEET_SUM(C, v, here)
#define MEET_MAX(C, v, here)
#else
#define LINE get_group_id(0)
#define LANE ((int)get_local_id(0))
#define LANES ((int)get_local_size(0))
#define MEET(C, v, here, how)                                                                                          \
    do {                                                                                                               \
        barrier(CLK_LOCAL_MEM_FENCE);                                                                                  \
        here[LANE] = v;                                                                                                \
        for (int half_ = LANES / 2; half_ > 0; half_ /= 2) {                                                           \
            barrier(CLK_LOCAL_MEM_FENCE);                                                                              \
            if (LANE < half_) {                                                                                        \
                C a = here[LANE], b = here[LANE + half_];                                                              \
                here[LANE] = how;                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        barrier(CLK_LOCAL_MEM_FENCE);                                                                                  \
        v = here[0];                                                                                                   \
    } while (0)
#ifdef SUBS
#define MEET_SUBS(C, v, here, reduce, how)                                                                             \
    do {                                                                                                               \
        v = reduce(v);                                                                                                 \
        if (get_num_sub_groups() > 1) {                                                                                \
            barrier(CLK_LOCAL_MEM_FENCE);                                                                              \
            if (get_sub_group_local_id() == 0)                                                                         \
                here[get_sub_group_id()] = v;                                                                          \
            barrier(CLK_LOCAL_MEM_FENCE);                                                                              \
            C a = here[0];                                                                                             \
            for (uint i_ = 1; i_ < get_num_sub_groups(); i_++) {                                                       \
                C b = here[i_];                                                                                        \
                a = how;                                                                                               \
            }                                                                                                          \
            v = a;                                                                                                     \
        }                                                                                                              \
    } while (0)
#define MEET_SUM(C, v, here) MEET_SUBS(C, v, here, sub_group_reduce_add, a + b)
#define MEET_MAX(C, v, here) MEET_SUBS(C, v, here, sub_group_reduce_max, fmax(a, b))
#else
#define MEET_SUM(C, v, here) MEET(C, v, here, a + b)
#define MEET_MAX(C, v, here) MEET(C, v, here, fmax(a, b))
#endif
#endif

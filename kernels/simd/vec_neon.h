/* SPDX-License-Identifier: BSD-2-Clause */
/* The vector vocabulary (vec_generic.h says what each name means) on Advanced SIMD of AArch64: 4 lanes. */
#ifndef MBR_KERNELS_SIMD_VEC_H
#define MBR_KERNELS_SIMD_VEC_H

#ifndef __aarch64__
#error "this file is for AArch64"
#endif

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MBR_VL 4
#define MBR_VEC_NAME "neon"
#define MBR_VEC_REGS 32

typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;

static inline vm vm_first_n(size_t n)
{
    static const uint32_t on_off[8] = {~0u, ~0u, ~0u, ~0u, 0, 0, 0, 0};
    return vld1q_u32(on_off + 4 - n);
}

static inline vf vf_load(const float *p)
{
    return vld1q_f32(p);
}
static inline void vf_store(float *p, vf v)
{
    vst1q_f32(p, v);
}
static inline vf vf_load_n(const float *p, size_t n)
{
    if (n >= 4)
        return vld1q_f32(p);
    float t[4] = {0, 0, 0, 0};
    for (size_t i = 0; i < n; i++)
        t[i] = p[i];
    return vld1q_f32(t);
}
static inline void vf_store_n(float *p, vf v, size_t n)
{
    if (n >= 4) {
        vst1q_f32(p, v);
        return;
    }
    float t[4];
    vst1q_f32(t, v);
    for (size_t i = 0; i < n; i++)
        p[i] = t[i];
}
static inline vf vf_set1(float x)
{
    return vdupq_n_f32(x);
}
static inline vf vf_load1(const float *p)
{
    return vld1q_dup_f32(p);
}
static inline vf vf_zero(void)
{
    return vdupq_n_f32(0);
}
static inline vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}
static inline vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}
static inline vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
static inline vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
static inline vf vf_fnma(vf a, vf b, vf c)
{
    return vfmsq_f32(c, a, b);
}
/* A select, since fmin would not hand on the second operand when the first is NaN and the second is not. */
static inline vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline vf vf_sqrt(vf a)
{
    return vsqrtq_f32(a);
}
static inline vf vf_round(vf a)
{
    return vrndnq_f32(a);
}
static inline vf vf_floor(vf a)
{
    return vrndmq_f32(a);
}
static inline vf vf_ceil(vf a)
{
    return vrndpq_f32(a);
}
static inline vf vf_trunc(vf a)
{
    return vrndq_f32(a);
}
static inline vi vf_as_vi(vf a)
{
    return vreinterpretq_s32_f32(a);
}
static inline vf vi_as_vf(vi a)
{
    return vreinterpretq_f32_s32(a);
}
static inline vf vf_and(vf a, vf b)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}
static inline vf vf_or(vf a, vf b)
{
    return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}
static inline vf vf_xor(vf a, vf b)
{
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}

static inline vm vf_lt(vf a, vf b)
{
    return vcltq_f32(a, b);
}
static inline vm vf_le(vf a, vf b)
{
    return vcleq_f32(a, b);
}
static inline vm vf_eq(vf a, vf b)
{
    return vceqq_f32(a, b);
}
static inline vm vf_ne(vf a, vf b)
{
    return vmvnq_u32(vceqq_f32(a, b));
}
static inline vm vm_and(vm a, vm b)
{
    return vandq_u32(a, b);
}
static inline vm vm_or(vm a, vm b)
{
    return vorrq_u32(a, b);
}
static inline vm vm_not(vm a)
{
    return vmvnq_u32(a);
}
static inline int vm_any(vm a)
{
    return vmaxvq_u32(a) != 0;
}
static inline int vm_all(vm a)
{
    return vminvq_u32(a) != 0;
}
static inline vf vf_select(vm m, vf a, vf b)
{
    return vbslq_f32(m, a, b);
}
static inline vi vi_select(vm m, vi a, vi b)
{
    return vbslq_s32(m, a, b);
}

static inline vi vf_to_vi(vf a)
{
    return vcvtnq_s32_f32(a);
}
static inline vi vf_trunc_to_vi(vf a)
{
    return vcvtq_s32_f32(a);
}
static inline vf vi_to_vf(vi a)
{
    return vcvtq_f32_s32(a);
}

static inline vi vi_load(const int32_t *p)
{
    return vld1q_s32(p);
}
static inline void vi_store(int32_t *p, vi v)
{
    vst1q_s32(p, v);
}
static inline vi vi_load_n(const int32_t *p, size_t n)
{
    int32_t t[4] = {0, 0, 0, 0};
    for (size_t i = 0; i < n; i++)
        t[i] = p[i];
    return vld1q_s32(t);
}
static inline void vi_store_n(int32_t *p, vi v, size_t n)
{
    int32_t t[4];
    vst1q_s32(t, v);
    for (size_t i = 0; i < n; i++)
        p[i] = t[i];
}
static inline vi vi_set1(int32_t x)
{
    return vdupq_n_s32(x);
}
static inline vi vi_add(vi a, vi b)
{
    return vaddq_s32(a, b);
}
static inline vi vi_sub(vi a, vi b)
{
    return vsubq_s32(a, b);
}
static inline vi vi_mul(vi a, vi b)
{
    return vmulq_s32(a, b);
}
static inline vi vi_min(vi a, vi b)
{
    return vminq_s32(a, b);
}
static inline vi vi_max(vi a, vi b)
{
    return vmaxq_s32(a, b);
}
static inline vi vi_and(vi a, vi b)
{
    return vandq_s32(a, b);
}
static inline vi vi_or(vi a, vi b)
{
    return vorrq_s32(a, b);
}
static inline vi vi_xor(vi a, vi b)
{
    return veorq_s32(a, b);
}
#define vi_shl(a, n) vshlq_n_s32(a, n)
#define vi_shr(a, n) vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), n))
#define vi_sar(a, n) vshrq_n_s32(a, n)
static inline vm vi_eq(vi a, vi b)
{
    return vceqq_s32(a, b);
}
static inline vm vi_gt(vi a, vi b)
{
    return vcgtq_s32(a, b);
}

static inline vi vi_load_u8(const uint8_t *p)
{
    uint32_t w;
    memcpy(&w, p, 4);
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(w)))));
}
static inline vi vi_load_s8(const int8_t *p)
{
    uint32_t w;
    memcpy(&w, p, 4);
    return vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(w))));
}
static inline void vi_store_u8(uint8_t *p, vi v)
{
    uint16x4_t h = vqmovun_s32(v);
    uint32_t w = vget_lane_u32(vreinterpret_u32_u8(vqmovn_u16(vcombine_u16(h, h))), 0);
    memcpy(p, &w, 4);
}
static inline void vi_store_s8(int8_t *p, vi v)
{
    int16x4_t h = vqmovn_s32(v);
    uint32_t w = vget_lane_u32(vreinterpret_u32_s8(vqmovn_s16(vcombine_s16(h, h))), 0);
    memcpy(p, &w, 4);
}
static inline vf vf_load_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline void vf_store_f16(uint16_t *p, vf v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}
static inline vf vf_load_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
static inline void vi_store_low16(uint16_t *p, vi v)
{
    vst1_u16(p, vmovn_u32(vreinterpretq_u32_s32(v)));
}
static inline vf vf_gather(const float *p, vi index)
{
    int32_t i[4];
    vst1q_s32(i, index);
    float t[4] = {p[i[0]], p[i[1]], p[i[2]], p[i[3]]};
    return vld1q_f32(t);
}
static inline void vi_gather_add_f64(double *p, const double *from, vi index)
{
    int32_t i[4];
    vst1q_s32(i, index);
    for (int k = 0; k < 4; k++)
        p[k] += from[i[k]];
}

static inline float vf_sum(vf a)
{
    return vaddvq_f32(a);
}
static inline float vf_hmax(vf a)
{
    return vmaxvq_f32(a);
}
static inline float vf_hmin(vf a)
{
    return vminvq_f32(a);
}
static inline int32_t vi_sum(vi a)
{
    return vaddvq_s32(a);
}

#include "kernels/simd/vec_common.h"

#endif

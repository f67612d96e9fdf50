/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/attend.h"

#include <string.h>

void mbr_attend_strides(bool heads_inside, size_t heads, size_t rows, size_t cols, ptrdiff_t *stride)
{
    stride[0] = (ptrdiff_t)(heads * rows * cols);
    stride[1] = (ptrdiff_t)(heads_inside ? cols : rows * cols);
    stride[2] = (ptrdiff_t)(heads_inside ? heads * cols : cols);
}

void mbr_attend_cache_strides(const mbr_value *v, ptrdiff_t *stride)
{
    mbr_attend_strides(false, (size_t)v->dims[1], mbr_value_entries(v, 2), (size_t)v->dims[3], stride);
}

bool mbr_attend_wants_f32_mask(const mbr_attend *a, bool plain)
{
    return a->any.dtype == MBR_DTYPE_F32 && !plain && a->any.left < 0 && a->any.right < 0 && !a->any.one_in_sum;
}

void mbr_attend_plan(mbr_step *s, mbr_attend *a, bool plain)
{
    const mbr_attention_any_args *p = &a->any;
    size_t rows = p->batch * p->heads * p->lq;
    double work = (double)rows * (double)p->lk * (double)(p->d + p->dv);
    a->fast = mbr_attend_wants_f32_mask(a, plain) && p->dv > 0;
    if (a->fast) {
        mbr_attention_args *f = &a->one;
        memset(f, 0, sizeof *f);
        memcpy(f->q_stride, p->q_stride, sizeof p->q_stride);
        memcpy(f->k_stride, p->k_stride, sizeof p->k_stride);
        memcpy(f->v_stride, p->v_stride, sizeof p->v_stride);
        memcpy(f->out_stride, p->out_stride, sizeof p->out_stride);
        memcpy(f->mask_stride, p->mask_stride, sizeof p->mask_stride);
        f->batch = 1;
        f->heads = p->heads;
        f->kv_heads = p->kv_heads;
        f->lq = p->lq;
        f->lk = p->lk;
        f->d = p->d;
        f->dv = p->dv;
        f->scale = (float)p->scale;
        f->softcap = (float)p->softcap;
        f->causal = p->causal;
        a->tiles_of_one = rows ? mbr_attention_tiles(f) : 0;
        a->tiles = a->tiles_of_one * p->batch;
        s->scratch = a->tiles ? mbr_attention_scratch(f) : 0;
        work /= 20;
    } else {
        a->tiles = rows;
        s->scratch = (p->lk + p->dv) * sizeof(double);
        work *= 2;
    }
    a->per_tile = mbr_step_split(s, a->tiles, a->tiles ? work / (double)a->tiles : 0);
}

void mbr_attend_run(const mbr_attend *a, const mbr_attention_any_args *now, const mbr_job *job)
{
    size_t first = job->first * a->per_tile, last = job->last * a->per_tile;
    last = last < a->tiles ? last : a->tiles;
    if (!a->fast) {
        mbr_attention_any(now, job->scratch, first, last);
        return;
    }
    mbr_attention_fn *fn = mbr_attention_select(mbr_cpu_tiers());
    while (first < last) {
        size_t b = first / a->tiles_of_one, begin = first % a->tiles_of_one, end = begin + (last - first);
        end = end < a->tiles_of_one ? end : a->tiles_of_one;
        mbr_attention_args f = a->one;
        memcpy(f.k_stride, now->k_stride, sizeof f.k_stride);
        memcpy(f.v_stride, now->v_stride, sizeof f.v_stride);
        ptrdiff_t at = (ptrdiff_t)b;
        f.q = (const float *)now->q + at * f.q_stride[0];
        f.k = (const float *)now->k + at * f.k_stride[0];
        f.v = (const float *)now->v + at * f.v_stride[0];
        f.mask = now->mask ? (const float *)now->mask + at * f.mask_stride[0] : NULL;
        f.out = (float *)now->out + at * f.out_stride[0];
        if (f.panels)
            f.panels += b * (mbr_attention_panels(&f) / sizeof(float));
        f.lk_of_batch = now->keys_of_batch ? now->keys_of_batch + b : NULL;
        f.causal_offset = (ptrdiff_t)(now->offset_of_batch ? now->offset_of_batch[b] : now->offset);
        fn(&f, job->scratch, begin, end);
        first += end - begin;
    }
}

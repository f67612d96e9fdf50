/* SPDX-License-Identifier: BSD-2-Clause */
/* What operators ask of the frame that runs them. */
#include "engine/frame_parts.h"

#include <stdarg.h>
#include <string.h>

mbr_status mbr_step_fail(const mbr_step *s, mbr_error *err, mbr_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mbr_vfail(err, status, fmt, args);
    va_end(args);
    return mbr_ir_fail_at(s->node, err, status);
}

bool mbr_step_known(const mbr_step *s, uint32_t i)
{
    const mbr_ir_value *ir = i < s->n_in ? s->node->inputs[i] : NULL;
    return ir && ((ir->constant && !ir->has_default) || ir->content);
}

mbr_status mbr_step_ints(const mbr_step *s, uint32_t i, int64_t *v, size_t max, size_t *n, mbr_error *err)
{
    const mbr_ir_value *ir = i < s->n_in ? s->node->inputs[i] : NULL;
    const mbr_frame *f = s->frame;
    *n = 0;
    if (!ir)
        return mbr_step_fail(s, err, MBR_ERR_INTERNAL, "input %u is absent", i);
    if (ir->content) {
        if (ir->n_content > max)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "input %u has %zu numbers; at most %zu make sense", i,
                                 ir->n_content, max);
        for (size_t k = 0; k < ir->n_content; k++)
            v[k] = mbr_dim_value(ir->content[k], f->run->dims);
        *n = ir->n_content;
        return MBR_OK;
    }
    const mbr_value *data = s->in[i];
    if (data->kind != MBR_KIND_TENSOR || !(mbr_dtype_is_int(data->dtype) || data->dtype == MBR_DTYPE_BOOL))
        return mbr_step_fail(s, err, MBR_ERR_RUN, "input %u is %s; integers are due", i, mbr_dtype_name(data->dtype));
    size_t count = mbr_value_count(data);
    if (count > max)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "input %u has %zu numbers; at most %zu make sense", i, count, max);
    for (size_t k = 0; k < count; k++)
        v[k] = mbr_value_int(data, k);
    *n = count;
    return MBR_OK;
}

int64_t mbr_step_size(const mbr_step *s, mbr_dim d, int64_t otherwise)
{
    if (!mbr_dim_is_known(d))
        return otherwise;
    int64_t size = mbr_dim_value(d, s->frame->run->dims);
    return size < 0 ? otherwise : size;
}

mbr_status mbr_step_resize(mbr_step *s, uint32_t i, int rank, const int64_t *dims, mbr_error *err)
{
    mbr_value *v = s->out[i];
    if (!v)
        return MBR_OK;
    mbr_status st = mbr_value_resize(v, v->dtype, rank, dims, err);
    return st == MBR_OK ? st : mbr_ir_fail_at(s->node, err, st);
}

void *mbr_step_alloc(mbr_step *s, size_t bytes)
{
    return mbr_arena_alloc(&s->frame->run->arena, bytes);
}

mbr_memory *mbr_step_memory(const mbr_step *s)
{
    return s->frame->run->memory;
}

int mbr_step_workers(const mbr_step *s)
{
    return s->frame->run->workers;
}

bool mbr_step_cancelled(const mbr_step *s)
{
    return mbr_run_stopped(s->frame->run);
}

size_t mbr_step_split(mbr_step *s, size_t n, double ns_each)
{
    size_t each = ns_each > 0 && ns_each * (double)n > 20000.0 ? (size_t)(20000.0 / ns_each) : n;
    if (each == 0)
        each = 1;
    s->cost_ns = ns_each * (double)n;
    s->tiles[0] = n ? (n + each - 1) / each : 0;
    return each;
}

mbr_frame *mbr_step_subframe(mbr_step *s, const char *attr)
{
    mbr_frame *f = s->frame;
    size_t k = (size_t)(s - f->steps);
    const mbr_program_step *ps = &f->p->steps[k];
    for (uint32_t b = 0; b < ps->n_bodies; b++)
        if (strcmp(ps->bodies[b].attr, attr) == 0)
            return f->bodies[k][b];
    return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/opencl/lower.h"
#include "engine/opencl/frame.h"
#include "base/checked.h"

#include <stdio.h>
#include <string.h>

/* --- the table --- */

#define MBR_CL_DECLARE(name) extern const mbr_cl_op mbr_cl_ops_##name[];
MBR_CL_OP_TABLES(MBR_CL_DECLARE)
#undef MBR_CL_DECLARE

static const struct {
    const char *family;
    const mbr_cl_op *ops;
} tables[] = {
#define MBR_CL_TABLE(name) { #name, mbr_cl_ops_##name },
    MBR_CL_OP_TABLES(MBR_CL_TABLE)
#undef MBR_CL_TABLE
};

const mbr_cl_op *mbr_cl_op_find(const mbr_ir_node *n, const char **family)
{
    for (size_t t = 0; t < MBR_COUNT_OF(tables); t++)
        for (const mbr_cl_op *op = tables[t].ops; op->name; op++)
            if (strcmp(op->name, n->op->name) == 0 && strcmp(op->domain, n->op->domain) == 0) {
                if (family)
                    *family = tables[t].family;
                return op;
            }
    return NULL;
}

int mbr_cl_param(const mbr_cl_lower *l)
{
    return mbr_cl_op_find(l->step->node, NULL)->param;
}

const char *mbr_cl_type(mbr_dtype t)
{
    switch (t) {
    case MBR_DTYPE_F32: return "float";
    case MBR_DTYPE_F64: return "double";
    case MBR_DTYPE_F16: return "half";
    case MBR_DTYPE_I8: return "char";
    case MBR_DTYPE_U8:
    case MBR_DTYPE_BOOL: return "uchar";
    case MBR_DTYPE_I16: return "short";
    case MBR_DTYPE_U16:
    case MBR_DTYPE_BF16: return "ushort";
    case MBR_DTYPE_I32: return "int";
    case MBR_DTYPE_U32: return "uint";
    case MBR_DTYPE_I64: return "long";
    case MBR_DTYPE_U64: return "ulong";
    default: return NULL;
    }
}

/* --- launches --- */

static mbr_status stick(mbr_cl_lower *l, mbr_status st)
{
    if (l->status == MBR_OK)
        l->status = st;
    return l->status;
}

mbr_status mbr_cl_decline(mbr_cl_lower *l, const char *why)
{
    if (l->status == MBR_OK)
        snprintf(l->to->why, sizeof l->to->why, "%.*s", (int)sizeof l->to->why - 1, why);
    return stick(l, MBR_ERR_UNSUPPORTED);
}

void mbr_cl_drop_launches(mbr_cl_frame *cf, mbr_cl_step *cs)
{
    for (unsigned i = 0; i < cs->capacity; i++)
        if (cs->launches[i].kernel)
            cf->d->cl->clReleaseKernel(cs->launches[i].kernel);
    if (cs->table)
        cf->d->cl->clReleaseMemObject(cs->table);
    mbr_free(cf->d->memory, cs->launches);
    cs->launches = NULL;
    cs->table = NULL;
    cs->table_bytes = 0;
    cs->n = cs->capacity = 0;
}

static bool room_for_launch(mbr_cl_lower *l)
{
    mbr_cl_step *cs = l->to;
    if (cs->n < cs->capacity)
        return true;
    unsigned more = cs->capacity ? cs->capacity * 2 : 2;
    mbr_cl_launch *bigger = mbr_grow(l->frame->d->memory, cs->launches, cs->capacity * sizeof *bigger,
                                     more * sizeof *bigger);
    if (!bigger) {
        stick(l, mbr_no_memory(l->err, more * sizeof *bigger));
        return false;
    }
    memset(bigger + cs->capacity, 0, (more - cs->capacity) * sizeof *bigger);
    cs->launches = bigger;
    cs->capacity = more;
    return true;
}

void mbr_cl_kernel_text(mbr_cl_lower *l, const char *source, const char *text, const char *kernel, const char *options)
{
    cl_program program;
    mbr_error why;
    cl_int code = CL_SUCCESS;
    l->launch = NULL;
    if (l->status != MBR_OK || !room_for_launch(l))
        return;
    mbr_status st = mbr_cl_program_get(l->frame->d, source, text, options, &program, &why);
    if (st == MBR_ERR_NO_MEMORY) {
        stick(l, mbr_fail(l->err, st, "%s", why.text));
        return;
    }
    if (st != MBR_OK) {
        mbr_cl_decline(l, why.text);
        return;
    }
    mbr_cl_launch *launch = &l->to->launches[l->to->n];
    if (launch->kernel && (launch->program != program || strcmp(launch->name, kernel) != 0)) {
        l->frame->d->cl->clReleaseKernel(launch->kernel);
        launch->kernel = NULL;
    }
    if (!launch->kernel)
        launch->kernel = l->frame->d->cl->clCreateKernel(program, kernel, &code);
    if (!launch->kernel) {
        mbr_cl_decline(l, mbr_cl_error_name(code));
        return;
    }
    launch->program = program;
    snprintf(launch->name, sizeof launch->name, "%s", kernel);
    l->launch = launch;
    l->next_arg = 0;
}

void mbr_cl_kernel(mbr_cl_lower *l, const char *source, const char *kernel, const char *options)
{
    mbr_cl_kernel_text(l, source, NULL, kernel, options);
}

static void arg(mbr_cl_lower *l, size_t bytes, const void *value)
{
    if (l->status != MBR_OK || !l->launch)
        return;
    cl_int code = l->frame->d->cl->clSetKernelArg(l->launch->kernel, l->next_arg++, bytes, value);
    if (code != CL_SUCCESS) {
        char why[80];
        snprintf(why, sizeof why, "%s, argument %u: %s", l->launch->name, l->next_arg - 1, mbr_cl_error_name(code));
        mbr_cl_decline(l, why);
    }
}

static void tensor(mbr_cl_lower *l, cl_mem mem, size_t at)
{
    cl_ulong offset = at;
    arg(l, sizeof mem, &mem);
    arg(l, sizeof offset, &offset);
}

static void value(mbr_cl_lower *l, uint32_t v)
{
    mbr_cl_place place = l->frame->places[v];
    const mbr_ir_value *constant = mbr_cl_constant_of(l->frame, v);
    if (l->status != MBR_OK)
        return;
    if (constant) {
        mbr_error why;
        mbr_status st = mbr_cl_constant(l->frame, constant->id, &place, &why);
        if (st == MBR_ERR_NO_MEMORY)
            stick(l, mbr_fail(l->err, st, "%s", why.text));
        else if (st != MBR_OK)
            mbr_cl_decline(l, why.text);
    } else if (!place.mem) {
        mbr_cl_decline(l, "a value has no place on the device");
    }
    tensor(l, place.mem, place.at);
}

void mbr_cl_in(mbr_cl_lower *l, uint32_t i)
{
    value(l, l->frame->p->steps[mbr_step_index(l->step)].in[i]);
}

void mbr_cl_out(mbr_cl_lower *l, uint32_t i)
{
    value(l, l->frame->p->steps[mbr_step_index(l->step)].out[i]);
}

void mbr_cl_in_or_none(mbr_cl_lower *l, uint32_t i)
{
    if (mbr_step_has(l->step, i))
        mbr_cl_in(l, i);
    else
        mbr_cl_out(l, 0);
}

/* The buffer may still be too small: then all is lowered again once it has grown (frame.c). */
void mbr_cl_scratch(mbr_cl_lower *l, size_t at, size_t bytes)
{
    size_t end;
    mbr_error why;
    if (!mbr_add_size(at, bytes, &end)) {
        mbr_cl_decline(l, "scratch memory overflows");
        return;
    }
    l->to->scratch = true;
    l->frame->scratch_needed = mbr_max_size(l->frame->scratch_needed, end);
    if (!l->frame->scratch.mem && mbr_cl_buffer_need(l->frame->d, &l->frame->scratch, end, &why) != MBR_OK)
        mbr_cl_decline(l, why.text);
    tensor(l, l->frame->scratch.mem, at);
}

typedef struct filling {
    const mbr_step *step;
    mbr_cl_fill fill;
} filling;

static mbr_status fill_packed(void *user, void *to, size_t bytes, mbr_error *err)
{
    const filling *f = user;
    return f->fill(f->step, to, bytes, err);
}

void mbr_cl_packed(mbr_cl_lower *l, unsigned slot, size_t bytes, mbr_cl_fill fill)
{
    cl_mem mem = NULL;
    mbr_error why;
    filling f = { l->step, fill };
    if (l->status != MBR_OK)
        return;
    mbr_status st = mbr_cl_keep(l->frame->d, l->frame->p->module, l->step->node, slot + 1, bytes, fill_packed, &f, &mem,
                                &why);
    if (st == MBR_ERR_NO_MEMORY)
        stick(l, mbr_fail(l->err, st, "%s", why.text));
    else if (st != MBR_OK)
        mbr_cl_decline(l, why.text);
    tensor(l, mem, 0);
}

void mbr_cl_table(mbr_cl_lower *l, const void *data, size_t bytes)
{
    const mbr_cl *cl = l->frame->d->cl;
    mbr_cl_step *cs = l->to;
    cl_int code = CL_SUCCESS;
    if (l->status != MBR_OK)
        return;
    if (!cs->table || cs->table_bytes < bytes) {
        if (cs->table)
            cl->clReleaseMemObject(cs->table);
        cs->table = cl->clCreateBuffer(l->frame->d->context, CL_MEM_READ_ONLY, bytes ? bytes : 1, NULL, &code);
        cs->table_bytes = cs->table ? bytes : 0;
    }
    if (cs->table && bytes)
        code = cl->clEnqueueWriteBuffer(l->frame->queue, cs->table, CL_TRUE, 0, bytes, data, 0, NULL, NULL);
    if (code != CL_SUCCESS)
        mbr_cl_decline(l, mbr_cl_error_name(code));
    tensor(l, cs->table, 0);
}

void mbr_cl_flag(mbr_cl_lower *l)
{
    mbr_error why;
    if (mbr_cl_buffer_need(l->frame->d, &l->frame->flag, sizeof(cl_int), &why) != MBR_OK)
        mbr_cl_decline(l, why.text);
    l->to->flags = true;
    tensor(l, l->frame->flag.mem, 0);
}

void mbr_cl_int(mbr_cl_lower *l, int64_t v)
{
    cl_int x = (cl_int)v;
    if (v != x)
        mbr_cl_decline(l, "a size is beyond 32 bits");
    arg(l, sizeof x, &x);
}

void mbr_cl_long(mbr_cl_lower *l, int64_t v)
{
    cl_long x = v;
    arg(l, sizeof x, &x);
}

void mbr_cl_float(mbr_cl_lower *l, float v)
{
    arg(l, sizeof v, &v);
}

void mbr_cl_bytes(mbr_cl_lower *l, const void *bytes, size_t n)
{
    arg(l, n, bytes);
}

void mbr_cl_local(mbr_cl_lower *l, size_t bytes)
{
    if (bytes > l->device->local_bytes)
        mbr_cl_decline(l, "its local memory is too small");
    arg(l, bytes, NULL);
}

void mbr_cl_go(mbr_cl_lower *l, unsigned dims, const size_t *global, const size_t *local)
{
    mbr_cl_launch *launch = l->launch;
    size_t group = 1;
    bool empty = false;
    if (l->status != MBR_OK || !launch)
        return;
    launch->dims = dims;
    for (unsigned i = 0; i < dims; i++) {
        launch->global[i] = global[i];
        empty |= global[i] == 0;
        launch->local[i] = local[i];
        group *= local[i];
        launch->global[i] = (global[i] + local[i] - 1) / local[i] * local[i];
        if (local[i] > l->device->max_sizes[i])
            mbr_cl_decline(l, "the device's groups are too small");
    }
    if (l->status == MBR_OK) {
        size_t most = 0;
        l->frame->d->cl->clGetKernelWorkGroupInfo(launch->kernel, l->frame->d->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof most,
                                                  &most, NULL);
        if (group > most)
            mbr_cl_decline(l, "the device's groups are too small");
    }
    l->to->n += !empty;
    l->launch = NULL;
}

mbr_status mbr_cl_lower_step(mbr_cl_frame *cf, size_t k, mbr_step *s, mbr_error *err)
{
    const mbr_cl_op *op = mbr_cl_op_find(s->node, NULL);
    mbr_cl_step *cs = &cf->steps[k];
    mbr_cl_lower l = { .step = s, .device = cf->d, .err = err, .frame = cf, .to = cs,
                       .late = cf->p->steps[k].late };
    cs->on = false;
    cs->n = 0;
    cs->flags = cs->scratch = false;
    cs->why[0] = '\0';
    if (!op)
        return MBR_OK;
    mbr_status st = op->lower(&l);
    if (l.status == MBR_OK)
        l.status = st;
    if (l.status == MBR_ERR_NO_MEMORY)
        return l.status;
    cs->on = l.status == MBR_OK;
    if (!cs->on)
        mbr_log_at(cf->d->log, MBR_LOG_DEBUG, "%s: node '%s' (%s) stays on the CPU: %s", cf->d->label, s->node->name,
                   s->op->name, cs->why);
    return MBR_OK;
}

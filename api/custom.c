/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/env.h"
#include "engine/ops/custom.h"

#include <limits.h>
#include <string.h>

_Static_assert(MBR_SIZE_UNKNOWN == MBR_DIM_UNKNOWN, "sizes are dims of the engine");

mbr_status mbr_env_add_op(mbr_env *env, const mbr_custom_op *op, mbr_error *err)
{
    mbr_custom_op o;
    mbr_status st = MBR_ERR_ARGUMENT;
    if (!op || !mbr_options_read(&o, sizeof o, op, op->size))
        return mbr_fail(err, st, "mbr_custom_op.size is not set; set it to sizeof(mbr_custom_op)");
    st = mbr_custom_add(&env->ops, &env->memory, &o, err);
    if (st != MBR_OK && o.release)
        o.release(o.user);
    return st;
}

mbr_status mbr_error_set(mbr_error *err, mbr_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    mbr_vfail(err, status, format, args);
    va_end(args);
    return status;
}

/* --- what every function may ask --- */

static uint32_t input_count(const mbr_custom_call *call)
{
    return call->infer ? call->infer->n_in : call->step->n_in;
}

static uint32_t output_count(const mbr_custom_call *call)
{
    return call->infer ? call->infer->n_out : call->step->n_out;
}

void *mbr_custom_user(const mbr_custom_call *call)
{
    return call->op->spec.user;
}

void *mbr_custom_state(const mbr_custom_call *call)
{
    return call->state;
}

const char *mbr_custom_node_name(const mbr_custom_call *call)
{
    return call->node->name;
}

int mbr_custom_input_count(const mbr_custom_call *call)
{
    return (int)input_count(call);
}

int mbr_custom_output_count(const mbr_custom_call *call)
{
    return (int)output_count(call);
}

int mbr_custom_has_input(const mbr_custom_call *call, int index)
{
    uint32_t i = (uint32_t)index;
    return index >= 0 && (call->infer ? mbr_infer_has(call->infer, i) : mbr_step_has(call->step, i));
}

int mbr_custom_wants_output(const mbr_custom_call *call, int index)
{
    uint32_t i = (uint32_t)index;
    if (index < 0 || i >= output_count(call))
        return 0;
    return call->infer ? call->infer->out[i].present : mbr_step_wants(call->step, i);
}

int64_t mbr_custom_attr_int(const mbr_custom_call *call, const char *name, int64_t otherwise)
{
    return mbr_attr_int(call->node, name, otherwise);
}

float mbr_custom_attr_float(const mbr_custom_call *call, const char *name, float otherwise)
{
    return mbr_attr_float(call->node, name, otherwise);
}

const char *mbr_custom_attr_string(const mbr_custom_call *call, const char *name, const char *otherwise)
{
    return mbr_attr_string(call->node, name, otherwise);
}

const int64_t *mbr_custom_attr_ints(const mbr_custom_call *call, const char *name, size_t *count)
{
    return mbr_attr_ints(call->node, name, count);
}

const float *mbr_custom_attr_floats(const mbr_custom_call *call, const char *name, size_t *count)
{
    return mbr_attr_floats(call->node, name, count);
}

const mbr_value *mbr_custom_attr_tensor(const mbr_custom_call *call, const char *name)
{
    return mbr_attr_tensor(call->node, name);
}

mbr_dtype mbr_custom_input_dtype(const mbr_custom_call *call, int index)
{
    if (!mbr_custom_has_input(call, index))
        return MBR_DTYPE_UNDEFINED;
    return call->infer ? call->infer->in[index].dtype : call->step->in[index]->dtype;
}

int mbr_custom_input_rank(const mbr_custom_call *call, int index)
{
    if (!mbr_custom_has_input(call, index) || call->starting)
        return -1;
    return call->infer ? call->infer->in[index].rank : call->step->in[index]->rank;
}

int64_t mbr_custom_input_dim(const mbr_custom_call *call, int index, int axis)
{
    if (axis < 0 || axis >= mbr_custom_input_rank(call, index))
        return MBR_SIZE_UNKNOWN;
    return call->infer ? call->infer->in[index].dims[axis] : call->step->in[index]->dims[axis];
}

const mbr_value *mbr_custom_input(const mbr_custom_call *call, int index)
{
    if (!mbr_custom_has_input(call, index))
        return NULL;
    if (call->infer)
        return call->infer->in[index].data;
    if (!call->starting)
        return call->step->in[index];
    const mbr_ir_value *v = call->node->inputs[index];
    return v && !v->has_default ? v->constant : NULL;
}

/* --- shape --- */

int64_t mbr_custom_size(mbr_custom_call *call, mbr_size_op op, int64_t a, int64_t b)
{
    static const mbr_dim_op ops[] = {
        [MBR_SIZE_ADD] = MBR_DIM_ADD, [MBR_SIZE_SUB] = MBR_DIM_SUB, [MBR_SIZE_MUL] = MBR_DIM_MUL,
        [MBR_SIZE_DIV] = MBR_DIM_FLOOR_DIV, [MBR_SIZE_MOD] = MBR_DIM_MOD, [MBR_SIZE_MIN] = MBR_DIM_MIN,
        [MBR_SIZE_MAX] = MBR_DIM_MAX, [MBR_SIZE_BROADCAST] = MBR_DIM_BROADCAST,
    };
    mbr_dim_table *t = call->infer ? call->infer->dims : NULL;
    const int64_t of[] = { a, b };
    if ((size_t)op >= MBR_COUNT_OF(ops))
        return MBR_SIZE_UNKNOWN;
    for (int i = 0; i < 2; i++) /* a symbol of another call is none */
        if (mbr_dim_is_expr(of[i]) && (!t || mbr_dim_index(of[i]) >= t->n))
            return MBR_SIZE_UNKNOWN;
    return mbr_dim_make(t, ops[op], a, b);
}

int mbr_custom_sizes(const mbr_custom_call *call, int index, int64_t *sizes, int most)
{
    size_t n;
    if (!call->infer || index < 0 || most < 0 ||
        !mbr_infer_ints(call->infer, (uint32_t)index, sizes, (size_t)most, &n))
        return -1;
    return (int)n;
}

mbr_status mbr_custom_set_output(mbr_custom_call *call, int index, mbr_dtype dtype, int rank, const int64_t *dims,
                                 mbr_error *err)
{
    return mbr_custom_say(call, index < 0 ? UINT32_MAX : (uint32_t)index, dtype, rank, dims, err);
}

/* --- prepare and run --- */

mbr_value *mbr_custom_output(const mbr_custom_call *call, int index)
{
    return call->step && !call->starting && mbr_custom_wants_output(call, index) ? call->step->out[index] : NULL;
}

mbr_status mbr_custom_resize(mbr_custom_call *call, int index, int rank, const int64_t *dims, mbr_error *err)
{
    return mbr_custom_size_output(call, index < 0 ? UINT32_MAX : (uint32_t)index, rank, dims, err);
}

void *mbr_custom_alloc(mbr_custom_call *call, size_t bytes)
{
    return call->step && !call->starting && (call->op->row.flags & MBR_OP_HOST) ? mbr_step_alloc(call->step, bytes)
                                                                               : NULL;
}

int mbr_custom_cancelled(const mbr_custom_call *call)
{
    return call->step && mbr_step_cancelled(call->step);
}

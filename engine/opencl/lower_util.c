/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/opencl/lower_util.h"
#include "engine/opencl/choice.h"
#include "engine/opencl/frame.h"

bool mbr_cl_has_type(const mbr_cl_device *d, mbr_dtype t)
{
    return t == MBR_DTYPE_F64 ? d->f64
                              : (t >= MBR_DTYPE_F32 && t <= MBR_DTYPE_F16 && t != MBR_DTYPE_STRING) ||
                                    t == MBR_DTYPE_U32 || t == MBR_DTYPE_U64 || t == MBR_DTYPE_BF16;
}

static bool takes(const mbr_ir_node *n, const mbr_cl_device *d, bool numbers)
{
    for (uint32_t i = 0; i < n->n_inputs + n->n_outputs; i++) {
        const mbr_ir_value *v = i < n->n_inputs ? n->inputs[i] : n->outputs[i - n->n_inputs];
        if (!v)
            continue;
        mbr_dtype t = v->type.dtype;
        if (v->type.kind != MBR_KIND_TENSOR || (t && (numbers ? !mbr_cl_has_type(d, t) : t == MBR_DTYPE_STRING)))
            return false;
    }
    return true;
}

bool mbr_cl_takes_numbers(const mbr_ir_node *n, const mbr_cl_device *d)
{
    return takes(n, d, true);
}

bool mbr_cl_takes_bytes(const mbr_ir_node *n, const mbr_cl_device *d)
{
    return takes(n, d, false);
}

static size_t most(const mbr_cl_device *d, size_t group)
{
    if (group > d->max_group)
        group = d->max_group;
    return group < d->max_sizes[0] ? group : d->max_sizes[0];
}

void mbr_cl_go_flat(mbr_cl_lower *l, size_t n)
{
    size_t local = most(l->device, l->device->type & CL_DEVICE_TYPE_CPU ? 1024 : 256);
    while (local > 1 && local / 2 >= n)
        local /= 2;
    mbr_cl_go(l, 1, &n, &local);
}

void mbr_cl_go_rows(mbr_cl_lower *l, size_t x, size_t y, size_t z)
{
    size_t group = most(l->device, l->device->type & CL_DEVICE_TYPE_CPU ? 1024 : 256), local[3] = { 1, 1, 1 };
    while (local[0] < x && local[0] * 2 <= group)
        local[0] *= 2;
    while (local[1] < y && local[0] * local[1] * 2 <= group && local[1] * 2 <= l->device->max_sizes[1])
        local[1] *= 2;
    mbr_cl_go(l, 3, (size_t[]){ x, y, z }, local);
}

size_t mbr_cl_lines(const mbr_cl_lower *l, size_t length, size_t bytes)
{
    const mbr_cl_device *d = l->device;
    size_t group = 1, limit = d->type & CL_DEVICE_TYPE_CPU ? 1 : most(d, 256);
    while (group * 2 <= limit && group * 2 <= length && group * 2 * bytes <= d->local_bytes / 2)
        group *= 2;
    return group;
}

const char *mbr_cl_lines_options(const mbr_cl_lower *l, size_t group)
{
    mbr_cl_device *d = l->frame->d;
    return group == 1 ? " -DALONE" : mbr_cl_chooses(d, MBR_CL_SUB_SUMS) ? d->sub.options : "";
}

void mbr_cl_go_lines(mbr_cl_lower *l, size_t n, size_t group)
{
    if (group > 1) {
        mbr_cl_go(l, 1, (size_t[]){ n * group }, &group);
        return;
    }
    group = most(l->device, 64);
    while (group > 1 && n / group < (size_t)l->device->units * 4)
        group /= 2;
    mbr_cl_go(l, 1, &n, &group);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/window.h"

#include <string.h>

/* Copies an optional attribute of `want` integers, each in [least, 2^31). */
static mbr_status read_ints(const mbr_ir_node *n, const char *name, size_t want, int64_t least, int64_t otherwise,
                            int64_t *v, mbr_error *err)
{
    size_t count;
    const int64_t *given = mbr_attr_ints(n, name, &count);
    if (given && count != want)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "attribute %s has %zu values, %zu are needed", name, count, want);
    for (size_t i = 0; i < want; i++) {
        v[i] = given ? given[i] : otherwise;
        if (v[i] < least || v[i] > INT32_MAX)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "attribute %s holds %lld, which is not in %lld .. 2147483647",
                               name, (long long)v[i], (long long)least);
    }
    return MBR_OK;
}

mbr_status mbr_window_read(const mbr_ir_node *n, int rank, const int64_t *kernel, mbr_window *w, mbr_error *err)
{
    memset(w, 0, sizeof *w);
    if (rank < 1 || rank > MBR_WINDOW_RANK)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%d spatial dimensions, but 1 to %d are possible", rank,
                           MBR_WINDOW_RANK);
    w->rank = rank;
    size_t count;
    const int64_t *shape = mbr_attr_ints(n, "kernel_shape", &count);
    if (!kernel && !shape)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "attribute kernel_shape is missing");
    MBR_TRY(read_ints(n, "kernel_shape", (size_t)rank, 1, 1, w->kernel, err));
    for (int i = 0; kernel && i < rank; i++) {
        if (shape && shape[i] != kernel[i])
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "kernel_shape says %lld where the weight has %lld",
                               (long long)shape[i], (long long)kernel[i]);
        if (kernel[i] < 1 || kernel[i] > INT32_MAX)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "a weight with a kernel size of %lld", (long long)kernel[i]);
        w->kernel[i] = kernel[i];
    }
    MBR_TRY(read_ints(n, "strides", (size_t)rank, 1, 1, w->stride, err));
    MBR_TRY(read_ints(n, "dilations", (size_t)rank, 1, 1, w->dilation, err));
    for (int i = 0; i < rank; i++)
        if ((w->kernel[i] - 1) * w->dilation[i] >= INT32_MAX)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "a window of more than 2147483647 elements");
    const char *mode = mbr_attr_string(n, "auto_pad", "NOTSET");
    if (strcmp(mode, "NOTSET") == 0 || mode[0] == 0)
        w->auto_pad = MBR_AUTO_PAD_NOTSET;
    else if (strcmp(mode, "VALID") == 0)
        w->auto_pad = MBR_AUTO_PAD_VALID;
    else if (strcmp(mode, "SAME_UPPER") == 0)
        w->auto_pad = MBR_AUTO_PAD_SAME_UPPER;
    else if (strcmp(mode, "SAME_LOWER") == 0)
        w->auto_pad = MBR_AUTO_PAD_SAME_LOWER;
    else
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "auto_pad is '%s', not NOTSET, VALID, SAME_UPPER or SAME_LOWER",
                           mode);
    if (w->auto_pad == MBR_AUTO_PAD_NOTSET) {
        int64_t pads[2 * MBR_WINDOW_RANK];
        MBR_TRY(read_ints(n, "pads", 2 * (size_t)rank, 0, 0, pads, err));
        for (int i = 0; i < rank; i++) {
            w->pad_begin[i] = pads[i];
            w->pad_end[i] = pads[rank + i];
        }
    }
    w->ceil_mode = mbr_attr_int(n, "ceil_mode", 0) != 0;
    return MBR_OK;
}

mbr_dim mbr_window_out(mbr_dim_table *t, const mbr_window *w, int axis, mbr_dim in)
{
    int64_t s = w->stride[axis], reach = (w->kernel[axis] - 1) * w->dilation[axis] + 1;
    if (w->auto_pad == MBR_AUTO_PAD_SAME_UPPER || w->auto_pad == MBR_AUTO_PAD_SAME_LOWER)
        return mbr_dim_div(t, mbr_dim_add(t, in, s - 1), s);
    int64_t room = w->pad_begin[axis] + w->pad_end[axis] - reach;
    if (!w->ceil_mode)
        return mbr_dim_add(t, mbr_dim_div(t, mbr_dim_add(t, in, room), s), 1);
    /* rounded up, but no window starts in the padding at the end */
    mbr_dim up = mbr_dim_add(t, mbr_dim_div(t, mbr_dim_add(t, in, room + s - 1), s), 1);
    mbr_dim most = mbr_dim_add(t, mbr_dim_div(t, mbr_dim_add(t, in, w->pad_begin[axis] - 1), s), 1);
    return mbr_dim_min(t, up, most);
}

void mbr_window_pads(mbr_window *w, const int64_t *in, const int64_t *out)
{
    if (w->auto_pad != MBR_AUTO_PAD_SAME_UPPER && w->auto_pad != MBR_AUTO_PAD_SAME_LOWER)
        return;
    for (int i = 0; i < w->rank; i++) {
        int64_t total = (out[i] - 1) * w->stride[i] + (w->kernel[i] - 1) * w->dilation[i] + 1 - in[i];
        if (total < 0)
            total = 0;
        w->pad_begin[i] = w->auto_pad == MBR_AUTO_PAD_SAME_LOWER ? total - total / 2 : total / 2;
        w->pad_end[i] = total - w->pad_begin[i];
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sliding windows: what convolutions and pools share. Attributes kernel_shape, strides, dilations, pads, auto_pad and
 * ceil_mode, checked, and the sizes that come out of them.
 */
#ifndef MBR_ENGINE_OPS_WINDOW_H
#define MBR_ENGINE_OPS_WINDOW_H

#include "engine/ops/op.h"

#define MBR_WINDOW_RANK (MBR_MAX_RANK - 2)

typedef enum mbr_auto_pad {
    MBR_AUTO_PAD_NOTSET,
    MBR_AUTO_PAD_VALID,
    MBR_AUTO_PAD_SAME_UPPER,
    MBR_AUTO_PAD_SAME_LOWER
} mbr_auto_pad;

typedef struct mbr_window {
    int rank; /* spatial dimensions */
    mbr_auto_pad auto_pad;
    bool ceil_mode;
    int64_t kernel[MBR_WINDOW_RANK], stride[MBR_WINDOW_RANK], dilation[MBR_WINDOW_RANK];
    int64_t pad_begin[MBR_WINDOW_RANK], pad_end[MBR_WINDOW_RANK];
} mbr_window;

/*
 * Reads the attributes of a node for `rank` spatial dimensions. kernel: (rank) the window's size where a weight says it
 * (kernel_shape must agree, where present); NULL: kernel_shape is needed. Every size is at least 1 and below 2^31, pads
 * are not negative.
 */
mbr_status mbr_window_read(const mbr_ir_node *n, int rank, const int64_t *kernel, mbr_window *w, mbr_error *err);

/* The output size of one spatial axis; 0 or less where the window does not fit. */
mbr_dim mbr_window_out(mbr_dim_table *t, const mbr_window *w, int axis, mbr_dim in);

/* For numbers: turns auto_pad into pad_begin and pad_end, given input and output sizes. */
void mbr_window_pads(mbr_window *w, const int64_t *in, const int64_t *out);

#endif

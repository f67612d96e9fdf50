/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/pad.h"

#include "kernels/transpose.h"

#include <string.h>

void mbr_pad_plan(mbr_pad_args *args)
{
    args->unit = 1;
    while (args->rank > 1 && args->begin[args->rank - 1] == 0 &&
           args->dims[args->rank - 1] == args->out_dims[args->rank - 1])
        args->unit *= args->dims[--args->rank];
    args->rows = mbr_dims_count(args->rank - 1, args->out_dims);
}

/* Where position o of the output comes from; -1: from nowhere. */
static int64_t source(const mbr_pad_args *args, int axis, size_t o)
{
    int64_t n = (int64_t)args->dims[axis], i = (int64_t)o - args->begin[axis];
    if (i >= 0 && i < n)
        return i;
    switch (args->mode) {
    case MBR_PAD_CONSTANT:
        return -1;
    case MBR_PAD_EDGE:
        return i < 0 ? 0 : n - 1;
    case MBR_PAD_WRAP:
        i %= n;
        return i < 0 ? i + n : i;
    default:
        break;
    }
    if (n == 1)
        return 0;
    int64_t period = 2 * (n - 1);
    i %= period;
    i = i < 0 ? i + period : i;
    return i < n ? i : period - i;
}

static void row(const mbr_pad_args *args, const char *in, const void *value, char *out)
{
    int last = args->rank - 1;
    size_t bytes = args->unit * args->size, n = args->out_dims[last];
    int64_t begin = args->begin[last], end = begin + (int64_t)args->dims[last];
    size_t from = begin < 0 ? 0 : (size_t)begin > n ? n : (size_t)begin;
    size_t to = end < (int64_t)from ? from : (size_t)end > n ? n : (size_t)end;
    if (args->mode == MBR_PAD_CONSTANT) {
        mbr_fill(args->size, value, out, from * args->unit);
        mbr_fill(args->size, value, out + to * bytes, (n - to) * args->unit);
    } else {
        for (size_t o = 0; o < from; o++)
            memcpy(out + o * bytes, in + (size_t)source(args, last, o) * bytes, bytes);
        for (size_t o = to; o < n; o++)
            memcpy(out + o * bytes, in + (size_t)source(args, last, o) * bytes, bytes);
    }
    if (to > from)
        memcpy(out + from * bytes, in + (size_t)((int64_t)from - begin) * bytes, (to - from) * bytes);
}

void mbr_pad(const mbr_pad_args *args, const void *in, const void *value, void *out, size_t first, size_t last)
{
    int outer = args->rank - 1;
    size_t width = args->dims[outer] * args->unit * args->size;
    size_t out_width = args->out_dims[outer] * args->unit * args->size;
    if (out_width == 0)
        return;
    for (size_t r = first; r < last; r++) {
        size_t rest = r, at = 0, step = 1;
        bool nowhere = width == 0;
        for (int d = outer - 1; d >= 0; d--) {
            int64_t i = source(args, d, rest % args->out_dims[d]);
            rest /= args->out_dims[d];
            nowhere = nowhere || i < 0;
            at += (size_t)(i < 0 ? 0 : i) * step;
            step *= args->dims[d];
        }
        char *to = (char *)out + r * out_width;
        if (nowhere)
            mbr_fill(args->size, value, to, args->out_dims[outer] * args->unit);
        else
            row(args, (const char *)in + at * width, value, to);
    }
}

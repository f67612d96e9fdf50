/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/reduce.h"

/* Columns of a tile: a few vectors, so that the running values stay in registers or the first-level cache. */
#define STRIP 128

void mbr_reduce_plan(mbr_reduce_args *args, mbr_reduce_op op, mbr_dtype dtype, int rank, const size_t *dims,
                     uint32_t axes)
{
    args->op = op;
    args->dtype = dtype;
    args->rank = 0;
    args->kept_count = args->reduced_count = 1;
    for (int d = 0; d < rank; d++) {
        bool reduced = axes >> d & 1;
        if (reduced)
            args->reduced_count *= dims[d];
        else
            args->kept_count *= dims[d];
        if (dims[d] == 1)
            continue;
        if (args->rank > 0 && args->reduced[args->rank - 1] == reduced) {
            args->dims[args->rank - 1] *= dims[d];
        } else {
            args->dims[args->rank] = dims[d];
            args->reduced[args->rank++] = reduced;
        }
    }
    args->inner = args->rank ? args->dims[args->rank - 1] : 1;
    args->inner_reduced = args->rank == 0 || args->reduced[args->rank - 1];
    if (args->kept_count == 0) {
        args->strip = 1;
        args->tiles = 0;
    } else if (args->inner_reduced) {
        args->strip = 1;
        args->tiles = args->kept_count;
    } else {
        args->strip = args->inner < STRIP ? args->inner : STRIP;
        args->tiles = args->kept_count / args->inner * ((args->inner + args->strip - 1) / args->strip);
    }
}

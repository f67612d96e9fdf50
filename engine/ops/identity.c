/* SPDX-License-Identifier: BSD-2-Clause */
/* Identity: any kind of value, unchanged. */
#include "engine/ops/op.h"

static mbr_status infer(mbr_infer *c)
{
    mbr_arg *out = &c->out[0];
    bool wanted = out->present;
    *out = c->in[0];
    out->present = wanted;
    return MBR_OK;
}

const mbr_op mbr_ops_identity[] = {
    { .domain = "", .name = "Identity", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_VIEW | MBR_OP_ANY_KIND, .infer = infer },
    { 0 },
};

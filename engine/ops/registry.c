/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"

#include <string.h>

#define MBR_OPS(name, family) extern const mbr_op mbr_ops_##name[];
#include "engine/ops/list.h"
#undef MBR_OPS

#define MBR_OPS(name, family) mbr_ops_##name,
static const mbr_op *const tables[] = {
#include "engine/ops/list.h"
};
#undef MBR_OPS

#define MBR_OPS(name, family) MBR_FAMILY_##family,
static const uint8_t families[] = {
#include "engine/ops/list.h"
};
#undef MBR_OPS

const mbr_op *mbr_op_find(const char *domain, const char *name, int version)
{
    const mbr_op *best = NULL;
    if (strcmp(domain, "ai.onnx") == 0)
        domain = "";
    for (size_t t = 0; t < MBR_COUNT_OF(tables); t++)
        for (const mbr_op *op = tables[t]; op->name; op++)
            if (op->since <= version && (!best || op->since > best->since) && strcmp(op->name, name) == 0 &&
                strcmp(op->domain, domain) == 0)
                best = op;
    return best && best->until && version > best->until ? NULL : best;
}

const mbr_op *mbr_op_at(size_t i)
{
    for (size_t t = 0; t < MBR_COUNT_OF(tables); t++)
        for (const mbr_op *op = tables[t]; op->name; op++)
            if (i-- == 0)
                return op;
    return NULL;
}

mbr_family mbr_op_family(const mbr_op *of)
{
    if (of->flags & MBR_OP_CHAIN)
        return MBR_FAMILY_CHAIN;
    for (size_t t = 0; t < MBR_COUNT_OF(tables); t++)
        for (const mbr_op *op = tables[t]; op->name; op++)
            if (op == of)
                return (mbr_family)families[t];
    return MBR_FAMILY_NONE;
}

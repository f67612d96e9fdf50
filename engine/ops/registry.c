/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"

#include <stdatomic.h>
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

/*
 * Questions answered before, for a graph asks the same few for thousands of nodes, and there are hundreds of rows to look
 * at: version << 32 | table << 16 | row + 1. Nothing is ever wrong in it, whoever wrote last.
 */
static _Atomic uint64_t answers[256];

static _Atomic uint64_t *answer_of(const char *name, int version)
{
    uint32_t h = (uint32_t)version;
    for (const char *c = name; *c; c++)
        h = h * 31 + (uint8_t)*c;
    return &answers[(h ^ h >> 8) % MBR_COUNT_OF(answers)];
}

const mbr_op *mbr_op_find(const char *domain, const char *name, int version)
{
    const mbr_op *best = NULL;
    if (strcmp(domain, "ai.onnx") == 0)
        domain = "";
    if (version < 0)
        return NULL;
    _Atomic uint64_t *answer = answer_of(name, version);
    uint64_t known = atomic_load_explicit(answer, memory_order_relaxed), found = 0;
    if (known && known >> 32 == (uint64_t)version) {
        best = tables[known >> 16 & 0xffff] + (known & 0xffff) - 1;
        if (strcmp(best->name, name) == 0 && strcmp(best->domain, domain) == 0)
            return best;
        best = NULL;
    }
    for (size_t t = 0; t < MBR_COUNT_OF(tables); t++)
        for (const mbr_op *op = tables[t]; op->name; op++)
            if (*op->name == *name && op->since <= version && (!best || op->since > best->since) &&
                strcmp(op->name, name) == 0 && strcmp(op->domain, domain) == 0) {
                best = op;
                found = (uint64_t)version << 32 | t << 16 | (size_t)(op - tables[t] + 1);
            }
    if (!best || (best->until && version > best->until))
        return NULL;
    atomic_store_explicit(answer, found, memory_order_relaxed);
    return best;
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

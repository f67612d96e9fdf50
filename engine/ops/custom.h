/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operators that the caller registers (mbr/custom.h), as rows of the operator table: the row's functions are adapters
 * that call the caller's, and check what those say.
 */
#ifndef MBR_ENGINE_OPS_CUSTOM_H
#define MBR_ENGINE_OPS_CUSTOM_H

#include "engine/ops/op.h"
#include "mbr/custom.h"

typedef struct mbr_custom mbr_custom;

struct mbr_custom {
    mbr_op row;          /* first: a node's op is its mbr_custom */
    mbr_custom_op spec;  /* its texts are the row's */
    mbr_custom *next;
    char *text;
};

/* The operators of an environment, the latest first. */
typedef struct mbr_custom_ops {
    mbr_custom *first;
} mbr_custom_ops;

/* Exactly one of infer and step is set. */
struct mbr_custom_call {
    const mbr_custom *op;
    const mbr_ir_node *node;
    mbr_infer *infer;
    mbr_step *step;
    bool starting; /* start: inputs have no data yet */
    void *state;
};

/* NULL: not there. ops may be NULL. */
const mbr_op *mbr_custom_find(const mbr_custom_ops *ops, const char *domain, const char *name, int version);

/* Checks and copies spec; *ops owns what it makes. */
mbr_status mbr_custom_add(mbr_custom_ops *ops, mbr_memory *memory, const mbr_custom_op *spec, mbr_error *err);

/* Frees the latest operators, down to `keep` (NULL: all). */
void mbr_custom_drop(mbr_custom_ops *ops, mbr_memory *memory, const mbr_custom *keep);

/* mbr_custom_set_output, mbr_custom_resize: what they check. */
mbr_status mbr_custom_say(mbr_custom_call *call, uint32_t i, mbr_dtype dtype, int rank, const int64_t *dims,
                          mbr_error *err);
mbr_status mbr_custom_size_output(mbr_custom_call *call, uint32_t i, int rank, const int64_t *dims, mbr_error *err);

#endif

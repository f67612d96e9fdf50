/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program: a graph planned for execution. Immutable once built, shared by all sessions.
 *
 * Planning decides, once and with symbols, where each value lives, which steps run in which order, and what sits on
 * what in the slab. A session then only puts numbers for the symbols: sizes and offsets follow in one pass (frame.c).
 */
#ifndef MBR_ENGINE_PROGRAM_H
#define MBR_ENGINE_PROGRAM_H

#include "engine/ir.h"
#include "engine/ops/op.h"

typedef struct mbr_program mbr_program;

typedef enum mbr_place {
    MBR_PLACE_NONE,    /* its data is never read */
    MBR_PLACE_CONST,   /* the model's constant */
    MBR_PLACE_BOUND,   /* a graph input or capture: memory of whoever binds it */
    MBR_PLACE_SLAB,    /* an offset in the frame's slab */
    MBR_PLACE_OUTPUT,  /* storage of a graph output */
    MBR_PLACE_CONTENT, /* a shape tensor: its numbers follow from the symbols, no step makes it */
    MBR_PLACE_OWN,     /* shape known during the run only: storage of its own that grows */
    MBR_PLACE_ALIAS    /* the bytes of another value, its root */
} mbr_place;

#define MBR_NO_VALUE UINT32_MAX

typedef struct mbr_program_value {
    const mbr_ir_value *ir;
    mbr_place place;
    bool planned;           /* a tensor whose dims all follow from the symbols */
    uint32_t root;          /* ALIAS: whose bytes; otherwise the value itself */
    uint32_t output;        /* OUTPUT: which graph output's storage */
    const uint32_t *below;  /* SLAB: (n_below) values alive at the same time that lie under it */
    uint32_t n_below;
} mbr_program_value;

typedef struct mbr_program_body {
    const char *attr;       /* name of the graph attribute */
    mbr_program *program;
} mbr_program_body;

typedef struct mbr_program_step {
    const mbr_ir_node *node;
    const mbr_op *op;
    uint32_t n_in, n_out;
    const uint32_t *in, *out; /* value indices; MBR_NO_VALUE: absent */
    bool dynamic;             /* shapes are inferred when it is reached */
    bool late;                /* it is, and the device may take it then */
    bool in_place;            /* a view whose bytes are in place already: nothing to run */
    bool on_device;           /* the module's device may run it; it is not packed for the CPU (but see device_may) */
    const void *packed;       /* the node's own, or from mbr_alloc */
    size_t packed_bytes;
    bool packed_shared;       /* it belongs to a step before this one */
    size_t replica_at;        /* where it lies in a copy for another node (engine/replicas.h); 0: in none */
    uint32_t packed_inputs;   /* bit i: the constant input i is not read any more */
    mbr_program_body *bodies; /* (n_bodies) */
    uint32_t n_bodies;
    size_t state_offset;      /* into a frame's block of step states */
} mbr_program_step;

struct mbr_program {
    mbr_memory *memory;
    mbr_arena arena;
    mbr_ir_graph *graph;
    mbr_ir_module *module;
    mbr_program_value *values; /* (n_values) by IR value id */
    uint32_t n_values;
    mbr_program_step *steps;   /* (n_steps) */
    uint32_t n_steps;
    uint32_t *slab_order;      /* (n_slab) so that what lies below comes first */
    uint32_t n_slab;
    size_t state_bytes;
    size_t packed_bytes;       /* bodies included */
    size_t n_pointers;         /* of all steps: inputs and outputs */
    const struct mbr_replicas *replicas; /* NULL: all threads read what was packed */
};

/* The value whose bytes v has: itself, where it is no alias. */
static inline uint32_t mbr_program_root(const mbr_program *p, uint32_t v)
{
    while (p->values[v].place == MBR_PLACE_ALIAS)
        v = p->values[v].root;
    return v;
}

/*
 * Plans a graph whose inference is done, and packs its weights. On success *out is the caller's; it refers to the
 * graph, which must stay.
 */
mbr_status mbr_program_new(mbr_ir_graph *g, mbr_program **out, mbr_error *err);
void mbr_program_free(mbr_program *p); /* NULL is fine */

/* A program of the one node alone, fed with its constant inputs: for constant folding. */
mbr_status mbr_program_of_node(mbr_ir_node *n, mbr_program **out, mbr_error *err);

/* Bytes that the slab and the outputs take with every symbol at `size`. */
size_t mbr_program_activation_bytes(const mbr_program *p, int64_t size);

/* Steps, bodies included. */
size_t mbr_program_step_count(const mbr_program *p);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IR: an SSA graph of operators.
 *
 * A module owns everything (one arena, freed as a whole): the symbol table, the graphs, constants. A graph is a doubly
 * linked list of nodes in an order in which every value is produced before it is used. If, Loop and Scan hold
 * subgraphs in attributes. A subgraph never refers to a value of an outer graph directly: what it captures arrives as a
 * `capture`, a value of its own that is fed by an extra input of the node that holds the subgraph. So uses, dead code
 * and replacement need no special case.
 *
 * Threads: building and rewriting belong to one thread; a finished module is read by all.
 */
#ifndef MBR_ENGINE_IR_H
#define MBR_ENGINE_IR_H

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/dim.h"
#include "engine/value.h"

typedef struct mbr_ir_module mbr_ir_module;
typedef struct mbr_ir_graph mbr_ir_graph;
typedef struct mbr_ir_node mbr_ir_node;
typedef struct mbr_ir_value mbr_ir_value;
typedef struct mbr_ir_attr mbr_ir_attr;
typedef struct mbr_ir_type mbr_ir_type;
struct mbr_op;

/* --- types --- */

struct mbr_ir_type {
    mbr_kind kind;
    mbr_dtype dtype;          /* tensor: elements. map: values. container of tensors: the items' dtype */
    mbr_dtype key;            /* map */
    const mbr_ir_type *item;  /* sequence, optional: type of the items; NULL where nothing is known */
    int rank;                 /* tensor: -1 while unknown */
    mbr_dim *dims;            /* (rank); NULL while the rank is unknown */
};

/* --- attributes --- */

typedef enum mbr_attr_kind {
    MBR_ATTR_INT,
    MBR_ATTR_FLOAT,
    MBR_ATTR_STRING,
    MBR_ATTR_TENSOR,
    MBR_ATTR_GRAPH,
    MBR_ATTR_TYPE,
    MBR_ATTR_INTS,
    MBR_ATTR_FLOATS,
    MBR_ATTR_STRINGS,
    MBR_ATTR_TENSORS,
    MBR_ATTR_GRAPHS,
    MBR_ATTR_CODED /* large arrays of operators that ask for them by mbr_attr_coded: engine/coded.h */
} mbr_attr_kind;

struct mbr_ir_attr {
    const char *name;
    mbr_attr_kind kind;
    size_t n; /* elements of an array kind, else 1 */
    union {
        int64_t i;
        float f;
        mbr_string s;
        const mbr_value *tensor;
        mbr_ir_graph *graph;
        const mbr_ir_type *type;
        const int64_t *ints;     /* (n) */
        const struct mbr_coded *coded;
        const float *floats;     /* (n) */
        const mbr_string *strings; /* (n) */
        const mbr_value *const *tensors; /* (n) */
        mbr_ir_graph *const *graphs;     /* (n) */
    };
};

/* --- values --- */

typedef enum mbr_space { MBR_SPACE_HOST = 0, MBR_SPACE_DEVICE = 1 /* + number */ } mbr_space;

typedef enum mbr_storage {
    MBR_STORAGE_OWN = 0,   /* a place of its own in the slab */
    MBR_STORAGE_VIEW = 1,  /* shares the bytes of another value */
    MBR_STORAGE_STATE = 2  /* outlives the run */
} mbr_storage;

/* Affine quantisation of a value, where a pass has attached it. axis -1: per tensor; block 0: no blocks. */
typedef struct mbr_quant {
    const mbr_value *scale, *zero_point;
    int axis, block;
} mbr_quant;

struct mbr_ir_value {
    const char *name;         /* never NULL, unique in its graph */
    uint32_t id;              /* dense in its graph: index into graph->values */
    mbr_ir_graph *graph;
    mbr_ir_type type;
    mbr_ir_node *producer;    /* NULL: graph input, capture or constant */
    uint32_t producer_slot;
    uint32_t uses;            /* node inputs that name it, plus one for each graph output */
    const mbr_value *constant; /* its data, known before any run; else NULL */
    const mbr_dim *content;   /* (n_content) numbers of a small integer tensor, where inference knows them; else NULL */
    size_t n_content;
    bool is_input, is_output, is_capture;
    bool has_default;         /* a graph input whose `constant` is only its default (IR version 3 and older lists
                                 initializers as inputs): it may be bound, so it is not folded */
    mbr_space space;
    mbr_storage storage;
    const mbr_quant *quant;
    const char *const *axis_names; /* (rank) names of symbols as the file gave them, for inputs and outputs; or NULL */
};

/* --- nodes --- */

struct mbr_ir_node {
    const struct mbr_op *op;  /* the operator table's row (engine/ops/op.h) */
    const char *name;         /* as in the file, or "" */
    const char *origin;       /* names of the file's nodes that it stands for, separated by '+', for messages, profile */
    mbr_ir_graph *graph;
    mbr_ir_node *prev, *next;
    uint32_t n_inputs, n_outputs;
    uint32_t n_formal;        /* the operator's own inputs come first, captures of its subgraphs after them */
    mbr_ir_value **inputs;    /* (n_inputs) NULL: an optional one that is absent */
    mbr_ir_value **outputs;   /* (n_outputs) NULL: not wanted */
    uint32_t n_attrs;
    mbr_ir_attr *attrs;       /* (n_attrs) */
    int opset;                /* version of its domain that the file imports */
    uint32_t mark;            /* scratch for passes */
    bool removed;
    bool heir_sure;           /* heir makes what it made; else heir is the last one that read it */
    mbr_ir_node *heir;        /* which node does its work once it is removed; NULL: none, or not known */
    mbr_ir_node *made_for;    /* the node that it was put before when a pass made it */
    const char *taken_by;     /* the pass or rule that set heir, or removed it */
    mbr_ir_node *next_original;
    /* what its operator packed before the module was stored (engine/cache.h); NULL: the plan packs its weights */
    const void *packed;       /* (packed_bytes) in the module's source */
    size_t packed_bytes;
    uint32_t packed_inputs;   /* bit i: the constant input i has no data any more */
};

/* --- graphs --- */

struct mbr_ir_graph {
    mbr_ir_module *module;
    const char *name;
    mbr_ir_node *owner;       /* node that holds it; NULL: the main graph (set when the attribute is attached) */
    mbr_ir_node *first, *last;
    mbr_ir_value **values;    /* (n_values) by id */
    size_t n_values, values_capacity;
    mbr_ir_value **inputs;    /* (n_inputs) */
    size_t n_inputs;
    mbr_ir_value **outputs;   /* (n_outputs); may repeat, may be inputs or constants */
    size_t n_outputs;
    const char *const *output_names; /* (n_outputs) of the file; a pass may put another value in their place. NULL: the
                                 values' own */
    mbr_ir_value **captures;  /* (n_captures) */
    uint32_t *capture_slots;  /* (n_captures) index into owner->inputs that feeds each */
    size_t n_captures, captures_capacity;
    struct mbr_name_map *names; /* name -> value; engine/ir.c */
    uint32_t scope;           /* of its own symbols in the module's table; 0: the main graph, or none yet */
};

typedef struct mbr_opset {
    const char *domain; /* "" for ai.onnx */
    int version;
} mbr_opset;

struct mbr_ir_module {
    mbr_memory *memory;
    const mbr_log *log;
    const struct mbr_custom_ops *ops; /* operators beside the library's own (engine/ops/custom.h); NULL: none */
    mbr_arena arena;
    mbr_dim_table dims;
    mbr_ir_graph *main;
    const char *file;         /* for messages */
    const char *producer;
    int ir_version;
    mbr_opset *opsets;        /* (n_opsets) */
    size_t n_opsets;
    size_t n_nodes_in_file;
    mbr_value **owned;        /* constants with references held by the module */
    size_t n_owned, owned_capacity;
    void (*release_source)(void *source); /* called last: unmaps the file that constants point into */
    void *source;
    /* tells the source that these bytes of a constant were packed and need not stay in memory; may be NULL */
    void (*give_back)(void *source, const void *data, size_t bytes); /* from any thread */
    /* the i-th file of the source, NULL behind the last; 0 is the model's own, the others are external data: *name is
       theirs within its folder. NULL: nobody can tell */
    const struct mbr_filemap *(*source_file)(const void *source, size_t i, const char **name);
    struct mbr_device *device; /* that runs steps of the main graph (engine/device.h); NULL: the CPU runs all */
    bool device_may;       /* the CPU may be given what the device could run: its weights are packed for both */
    bool device_only;      /* a step that the device does not run is an error */
    struct mbr_team *team; /* helps to pack weights; NULL: the planning thread does it alone */
    struct mbr_rules *rules; /* of the pass `rules`, parsed as far as graphs needed them, in the arena */
    unsigned next_name;       /* for generated names */
    const char *stage;        /* the pass or rule that rewrites now; NULL while building */
    mbr_ir_node *originals;   /* the nodes before any pass, by next_original; they stay readable when removed */
    uint32_t next_scope;      /* for subgraphs; starts at 1 */
};

/* --- building --- */

/* file: a name for messages, copied. On success *out is the caller's. */
mbr_status mbr_ir_module_new(mbr_memory *memory, const mbr_log *log, const char *file, mbr_ir_module **out,
                             mbr_error *err);
void mbr_ir_module_free(mbr_ir_module *module); /* NULL is fine */

mbr_status mbr_ir_add_opset(mbr_ir_module *m, const char *domain, int version, mbr_error *err);
int mbr_ir_opset(const mbr_ir_module *m, const char *domain); /* 0: not imported; "ai.onnx" is "" */

/* The row for an operator at a version of its domain: the library's, else one of module->ops. NULL: unknown. */
const struct mbr_op *mbr_ir_find_op(const mbr_ir_module *m, const char *domain, const char *name, int version);

/* An empty graph. The first one without an owner becomes module->main. */
mbr_status mbr_ir_graph_new(mbr_ir_module *m, const char *name, mbr_ir_graph **out, mbr_error *err);

/*
 * A value of the graph. A name that is taken fails with MBR_ERR_MODEL; NULL makes a fresh name. Its type is
 * a tensor of undefined dtype and unknown rank until set.
 */
mbr_status mbr_ir_value_new(mbr_ir_graph *g, const char *name, mbr_ir_value **out, mbr_error *err);
mbr_ir_value *mbr_ir_find(const mbr_ir_graph *g, const char *name); /* NULL: none */

mbr_status mbr_ir_set_tensor_type(mbr_ir_value *v, mbr_dtype dtype, int rank, const mbr_dim *dims, mbr_error *err);
mbr_status mbr_ir_set_type(mbr_ir_value *v, const mbr_ir_type *type, mbr_error *err); /* deep copy into the arena */

/* The module holds a reference of v from now on, and takes it over, also on failure. */
mbr_status mbr_ir_own(mbr_ir_module *m, mbr_value *v, mbr_error *err);

/* Makes v a constant; the module takes over one reference of data (also on failure). Sets the type. */
mbr_status mbr_ir_set_constant(mbr_ir_value *v, mbr_value *data, mbr_error *err);
/*
 * Constants of a mapped file may lie at any address (mbr_value.any_address), so that large weights are packed from the
 * file's own bytes. Whoever reads one as numbers calls this first: it then has aligned memory of its own. The plan does
 * it for all steps but those that say they read bytes (mbr_op.any_address).
 */
mbr_status mbr_ir_align(const mbr_ir_value *v, mbr_error *err);
/* A fresh constant value in g. Takes over the reference. */
mbr_status mbr_ir_constant(mbr_ir_graph *g, mbr_value *data, mbr_ir_value **out, mbr_error *err);
/* The same from numbers: a 1-D i64 tensor. */
mbr_status mbr_ir_constant_ints(mbr_ir_graph *g, const int64_t *v, size_t n, mbr_ir_value **out, mbr_error *err);
mbr_status mbr_ir_constant_f32(mbr_ir_graph *g, float v, mbr_ir_value **out, mbr_error *err); /* scalar */

mbr_status mbr_ir_add_input(mbr_ir_graph *g, mbr_ir_value *v, mbr_error *err);
mbr_status mbr_ir_add_output(mbr_ir_graph *g, mbr_ir_value *v, mbr_error *err);

/*
 * The value that stands in g for `outer`, a value of the graph around g: an existing capture or a new one (the
 * owner's inputs are completed when the graph is attached to its node).
 */
mbr_status mbr_ir_capture(mbr_ir_graph *g, mbr_ir_value *outer, mbr_ir_value **out, mbr_error *err);
/* A new capture of that name, or of a fresh one (NULL). */
mbr_status mbr_ir_capture_as(mbr_ir_graph *g, mbr_ir_value *outer, const char *name, mbr_ir_value **out, mbr_error *err);

/*
 * Appends a node (before: NULL) or puts one before another. The operator is looked up by domain, name and version
 * (opset 0: what the module imports); an unknown one fails with MBR_ERR_UNSUPPORTED and a message that names operator,
 * domain, version and node. inputs may hold NULLs. Outputs: `outputs` may be NULL, then fresh values are
 * made; a NULL entry is an output that nobody wants.
 */
mbr_status mbr_ir_node_new(mbr_ir_graph *g, mbr_ir_node *before, const char *domain, const char *op, int opset,
                           const char *name, mbr_ir_value *const *inputs, size_t n_inputs,
                           mbr_ir_value *const *outputs, size_t n_outputs, mbr_ir_node **out, mbr_error *err);

/* Attributes; a name already there is replaced. Names, arrays and text are copied. Graphs get their owner set and their
   captures appended to the node's inputs. Tensors: one reference is taken over, also on failure. */
mbr_status mbr_ir_attr_int(mbr_ir_node *n, const char *name, int64_t v, mbr_error *err);
mbr_status mbr_ir_attr_float(mbr_ir_node *n, const char *name, float v, mbr_error *err);
mbr_status mbr_ir_attr_string(mbr_ir_node *n, const char *name, const char *s, size_t size, mbr_error *err);
mbr_status mbr_ir_attr_ints(mbr_ir_node *n, const char *name, const int64_t *v, size_t count, mbr_error *err);
mbr_status mbr_ir_attr_floats(mbr_ir_node *n, const char *name, const float *v, size_t count, mbr_error *err);
mbr_status mbr_ir_attr_strings(mbr_ir_node *n, const char *name, const mbr_string *v, size_t count, mbr_error *err);
mbr_status mbr_ir_attr_tensor(mbr_ir_node *n, const char *name, mbr_value *v, mbr_error *err);
mbr_status mbr_ir_attr_type(mbr_ir_node *n, const char *name, const mbr_ir_type *v, mbr_error *err);
mbr_status mbr_ir_attr_graph(mbr_ir_node *n, const char *name, mbr_ir_graph *g, mbr_error *err);
/* Adds an attribute as it is: arrays must live in the module's arena or source (spans of the file need no copy). */
mbr_status mbr_ir_attr_add(mbr_ir_node *n, const mbr_ir_attr *attr, mbr_error *err);
mbr_status mbr_ir_attrs_copy(mbr_ir_node *to, const mbr_ir_node *from, mbr_error *err); /* shallow; graphs excluded */

/* --- reading attributes (by name; the default where it is absent or of another kind) --- */

const mbr_ir_attr *mbr_attr(const mbr_ir_node *n, const char *name);
int64_t mbr_attr_int(const mbr_ir_node *n, const char *name, int64_t otherwise);
float mbr_attr_float(const mbr_ir_node *n, const char *name, float otherwise);
/* Terminated text (attributes are stored with a terminator). */
const char *mbr_attr_string(const mbr_ir_node *n, const char *name, const char *otherwise);
/* Same name, kind and value; graphs never are. */
bool mbr_ir_attr_equal(const mbr_ir_attr *a, const mbr_ir_attr *b);
const int64_t *mbr_attr_ints(const mbr_ir_node *n, const char *name, size_t *count); /* NULL, 0: absent */
const struct mbr_coded *mbr_attr_coded(const mbr_ir_node *n, const char *name, size_t *count);
const float *mbr_attr_floats(const mbr_ir_node *n, const char *name, size_t *count);
const mbr_string *mbr_attr_strings(const mbr_ir_node *n, const char *name, size_t *count);
const mbr_value *mbr_attr_tensor(const mbr_ir_node *n, const char *name); /* NULL: absent */
mbr_ir_graph *mbr_attr_graph(const mbr_ir_node *n, const char *name);

/* --- rewriting --- */

void mbr_ir_set_input(mbr_ir_node *n, uint32_t slot, mbr_ir_value *v); /* keeps the use counts */
mbr_status mbr_ir_add_node_input(mbr_ir_node *n, mbr_ir_value *v, mbr_error *err); /* before the captures */
/* Every reader of old (nodes, graph outputs of the same graph) reads new instead. */
void mbr_ir_replace_uses(mbr_ir_value *old, mbr_ir_value *with);
/* Unlinks a node whose outputs are unused, and drops its uses of inputs. */
void mbr_ir_node_remove(mbr_ir_node *n);
/* Captures of g that nobody in it reads, together with the inputs of its owner that feed them. True: there were some. */
bool mbr_ir_drop_captures(mbr_ir_graph *g);
/*
 * Where the work of a node went: itself while it is in a graph, else the node that took it over. NULL: nobody has to do
 * it any more. For profiles; replacing uses and removing nodes keep account of it by themselves, mbr_ir_hand_over says it
 * where they cannot see it (a node is replaced by several).
 */
const mbr_ir_node *mbr_ir_heir(const mbr_ir_node *n);
void mbr_ir_hand_over(mbr_ir_node *from, mbr_ir_node *to);
void mbr_ir_node_move_before(mbr_ir_node *n, mbr_ir_node *before);
/* The only node that reads v, NULL if there are none or several readers or v is a graph output. */
mbr_ir_node *mbr_ir_single_user(const mbr_ir_value *v);

/* Checks every invariant written above; for tests and debug builds. */
mbr_status mbr_ir_check(const mbr_ir_module *m, mbr_error *err);

/* A message about a node: "FILE: node 'NAME' (Conv): " before the text. Returns status. */
mbr_status mbr_ir_fail(const mbr_ir_node *n, mbr_error *err, mbr_status status, const char *fmt, ...)
    MBR_PRINTF(4, 5);
/* The same before a message that err already holds. */
mbr_status mbr_ir_fail_at(const mbr_ir_node *n, mbr_error *err, mbr_status status);

#endif

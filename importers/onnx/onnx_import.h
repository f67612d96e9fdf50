/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ONNX to IR, inside. onnx_model.c checks versions and opens things, onnx_graph.c makes graphs and nodes and inlines
 * functions, onnx_attr.c makes attributes and constants, onnx_types.c types, onnx_order.c sorts nodes.
 */
#ifndef MBR_IMPORTERS_ONNX_ONNX_IMPORT_H
#define MBR_IMPORTERS_ONNX_ONNX_IMPORT_H

#include "engine/ir.h"
#include "importers/importer.h"
#include "importers/onnx/onnx_names.h"
#include "importers/onnx/onnx_tensor.h"

/* The importer's row (importers/importer.h). mbr_onnx_sniff is in prescan.h. */
mbr_status mbr_onnx_import(mbr_import_source *source, mbr_ir_module **out, mbr_error *err);

/* Subgraphs in subgraphs and functions in functions, added up. */
#define MBR_ONNX_NESTING 100

/* Nodes once functions are inlined: a few nested functions can ask for any number. */
#define MBR_ONNX_MAX_NODES ((size_t)1 << 20)

typedef struct mbr_onnx_importer {
    mbr_ir_module *module;
    mbr_memory *memory;
    mbr_arena scratch; /* the parsed messages, maps, lists; gone after the import */
    mbr_onnx_scan scan;
    mbr_onnx_reader reader;
    const Mbr__Onnx__ModelProto *model;
    mbr_onnx_names functions; /* key (domain, name, overload) -> FunctionProto */
    bool fixed_defaults; /* initializers that are listed as inputs are constants all the same */
    int nesting;
    size_t nodes; /* made so far */
} mbr_onnx_importer;

struct mbr_onnx_scope;

/* A model-local function that is being inlined. */
typedef struct mbr_onnx_call {
    const Mbr__Onnx__FunctionProto *function;
    const Mbr__Onnx__NodeProto *node;     /* the one that is replaced */
    const struct mbr_onnx_scope *caller;  /* where that node stands */
    const char *path;                     /* names of the nodes on the way here, each with a '/' behind it */
} mbr_onnx_call;

/* What names mean at some place of the file. A function's body does not see the scope that calls it. */
typedef struct mbr_onnx_scope {
    mbr_onnx_names values;  /* name -> mbr_ir_value, or mbr_onnx_absent */
    mbr_onnx_names wanted;  /* name -> mbr_ir_value that its producer has to use */
    const struct mbr_onnx_scope *outer;
    const mbr_onnx_call *call; /* NULL: the model's own graph */
} mbr_onnx_scope;

/* An IR graph that is being filled, and those around it. */
typedef struct mbr_onnx_level {
    mbr_ir_graph *graph;
    const struct mbr_onnx_level *outer;
} mbr_onnx_level;

/* What the name of a function's input means when the call leaves it out. */
extern char mbr_onnx_absent[1];

/* --- onnx_graph.c --- */

/* outer scope and level: NULL for the main graph. */
mbr_status mbr_onnx_graph(mbr_onnx_importer *m, const Mbr__Onnx__GraphProto *proto, const mbr_onnx_scope *outer,
                          const mbr_onnx_level *outer_level, mbr_ir_graph **out, mbr_error *err);

/* --- onnx_attr.c --- */

/*
 * Follows a reference to an attribute of the function that a node's body is in. *attr becomes NULL where the call
 * leaves it out and there is no default; *scope is the place that its names (of a graph) belong to.
 */
mbr_status mbr_onnx_attr_resolve(const Mbr__Onnx__AttributeProto **attr, const mbr_onnx_scope **scope, mbr_error *err);

/* Adds a node's attributes. */
mbr_status mbr_onnx_attrs(mbr_onnx_importer *m, const Mbr__Onnx__NodeProto *proto, const mbr_onnx_scope *scope,
                          const mbr_onnx_level *level, mbr_ir_node *node, mbr_error *err);

/* The value of a Constant node; one reference for the caller. */
mbr_status mbr_onnx_constant(mbr_onnx_importer *m, const Mbr__Onnx__NodeProto *proto, const mbr_onnx_scope *scope,
                             mbr_value **out, mbr_error *err);

/* --- onnx_types.c --- */

/*
 * A type in the module's arena. with_dims: sizes and symbols are kept, an unnamed free axis gets a symbol of its own;
 * otherwise the rank stays open, since nobody has checked what the file says.
 */
mbr_status mbr_onnx_type(mbr_onnx_importer *m, const Mbr__Onnx__TypeProto *proto, bool with_dims, mbr_ir_type *out,
                         mbr_error *err);
/* The names of a tensor type's free axes, NULL where there are none. */
mbr_status mbr_onnx_axis_names(mbr_onnx_importer *m, const Mbr__Onnx__TypeProto *proto, const char *const **out,
                               mbr_error *err);

/* --- onnx_order.c --- */

/*
 * An order of the nodes in which each one comes after those that make its inputs, those of its subgraphs included.
 * *order is NULL when the file's own order is one. Fails when there is a cycle, naming a node of it.
 */
mbr_status mbr_onnx_order(mbr_arena *scratch, Mbr__Onnx__NodeProto *const *nodes, size_t n, const uint32_t **order,
                          mbr_error *err);

/* Text of the file that may be missing. */
static inline const char *mbr_onnx_text(const char *s)
{
    return s ? s : "";
}

#endif

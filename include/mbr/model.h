/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Models: a file turned into a planned program with packed weights. A model is immutable once open; any number of
 * sessions, in any threads, share it and its weights.
 */
#ifndef MBR_MODEL_H
#define MBR_MODEL_H

#include "mbr/env.h"
#include "mbr/value.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mbr_model mbr_model;

typedef struct mbr_model_options {
    size_t size;        /* sizeof(mbr_model_options) */
    const char *passes; /* NULL: MBR_PASSES of the environment, else all. "none", "all", or names with + or - before
                           them, separated by commas, applied in turn to the default: "-chain,-layout", "none,+fold" */
    int exact;          /* not 0: no kernel that spreads a non-finite value beyond its own outputs (Winograd) */
    const char *cache_dir; /* a folder where packed weights and plans are kept for the next time, or a file of one model
                           (".mbrc"); made where it is missing. "off": none. NULL: MBR_CACHE of the environment, else
                           none. Whoever may write there decides what the model answers. A cache that cannot be used is
                           reported as a warning to the log, and costs nothing else */
    int cache_verify;   /* not 0: the cache is asked by the whole content of the model's files, whatever their dates */
    const char *device; /* "cpu", "opencl" (its first device), "opencl:N", "auto"; NULL: MBR_DEVICE of the environment,
                           else the CPU. What the device cannot do, the CPU does. With a device the cache is not used.
                           "auto": each session decides at its first run, and when its inputs have become twice or half as
                           large, whether regions of steps move to a device */
    int device_only;    /* not 0: a step that the device does not run fails the run, naming the node and why */
    const char *placement; /* text of a placement file, which pins nodes to devices or to numbers of threads: see
                           docs/placement.md. What it names has to be there, else the session fails. NULL: none */
    const struct mbr_plan_device *devices; /* for "auto": facts of the devices that it may choose from (mbr/plan.h), instead
                           of what was measured on this machine. They are to be named as here: "opencl:0" */
    int n_devices;
    size_t replica_bytes; /* on a machine of several NUMA nodes: memory for copies of the packed weights, one on each further
                           node that the environment's threads are on. 0: all read the same. Where copies need more, there
                           are none */
} mbr_model_options;

/*
 * Opens a model file. External data is looked for beside it. options may be NULL. On success *out is the caller's.
 * Fails with MBR_ERR_IO, MBR_ERR_FORMAT, MBR_ERR_MODEL, MBR_ERR_UNSUPPORTED, MBR_ERR_NO_MEMORY or MBR_ERR_LIMIT; the
 * message names the file and, where there is one, the node.
 */
MBR_API mbr_status mbr_model_open(mbr_env *env, const char *path, const mbr_model_options *options, mbr_model **out,
                                  mbr_error *err);

/* The same from memory, which must stay as it is while the model lives. External data is refused. */
MBR_API mbr_status mbr_model_open_memory(mbr_env *env, const void *data, size_t bytes,
                                         const mbr_model_options *options, mbr_model **out, mbr_error *err);

/*
 * The same from a reader, called until it returns 0 (end) or a negative number (failure); it fills at most `bytes`
 * bytes at `to` and returns how many. The library keeps the bytes.
 */
typedef ptrdiff_t (*mbr_read_fn)(void *user, void *to, size_t bytes);
MBR_API mbr_status mbr_model_open_reader(mbr_env *env, mbr_read_fn read, void *user, const mbr_model_options *options,
                                         mbr_model **out, mbr_error *err);

/* Releases *model once its last session is gone, and sets it to NULL. */
MBR_API void mbr_model_release(mbr_model **model);

/* An input or output as the model declares it. Strings and arrays live as long as the model. */
typedef struct mbr_port {
    size_t size;       /* set by the caller to sizeof(mbr_port) */
    const char *name;
    mbr_kind kind;
    mbr_dtype dtype;   /* of the tensor, or of the items */
    int rank;          /* -1: not known before a run */
    int64_t dims[MBR_MAX_RANK];         /* -1: free */
    const char *symbols[MBR_MAX_RANK];  /* name of a free dimension, NULL where it has none */
    int optional;      /* input only: it may be left unbound (it has a default) */
} mbr_port;

MBR_API int mbr_model_input_count(const mbr_model *model);
MBR_API int mbr_model_output_count(const mbr_model *model);
MBR_API mbr_status mbr_model_input(const mbr_model *model, int index, mbr_port *port, mbr_error *err);
MBR_API mbr_status mbr_model_output(const mbr_model *model, int index, mbr_port *port, mbr_error *err);

/* The index of the input or output of that name, -1 where there is none. */
MBR_API int mbr_model_find_input(const mbr_model *model, const char *name);
MBR_API int mbr_model_find_output(const mbr_model *model, const char *name);

typedef struct mbr_model_facts {
    size_t size; /* set by the caller to sizeof(mbr_model_facts) */
    const char *producer;
    int ir_version;
    int opset;              /* of ai.onnx; 0: not imported */
    size_t nodes;           /* in the file, subgraphs included */
    size_t steps;           /* in the program */
    size_t weight_bytes;    /* constants as the file holds them */
    size_t packed_bytes;    /* weights copied into kernel layouts */
    size_t activation_bytes; /* planned for declared shapes, free dimensions taken as 1 */
    const char *cache_entry; /* file of the cache that the model was read from or written to; NULL: none */
    size_t cache_bytes;     /* of that file */
    int from_cache;         /* not 0: read, not written */
    size_t replica_bytes;   /* that copies of packed weights on further NUMA nodes take */
} mbr_model_facts;

MBR_API mbr_status mbr_model_get_facts(const mbr_model *model, mbr_model_facts *facts, mbr_error *err);

/* A step of the program, and where it would run. Texts are valid during the call. */
typedef struct mbr_placed_step {
    size_t size;            /* sizeof(mbr_placed_step) of the library */
    const char *op, *node;  /* type, and name of the node */
    int on_device;          /* not 0: the device runs it */
    double flop;
    const char *why;        /* what keeps it from the device; "" where it is on it, or the device has no kernel for it */
} mbr_placed_step;

typedef void (*mbr_placed_step_fn)(void *user, const mbr_placed_step *step);

typedef struct mbr_placement {
    size_t size;            /* set by the caller to sizeof(mbr_placement) */
    const char *device;     /* "cpu", "opencl:0"; lives as long as the model */
    size_t steps, device_steps; /* that compute or copy; views are not counted, bodies count as the step that has them */
    double flop, device_flop;
} mbr_placement;

/*
 * Where the steps of a model would run with its free dimensions at `free_size`, and how much arithmetic that is. fn, which
 * may be NULL, is called for each step. Programs of the device are built for it, as for a first run.
 */
MBR_API mbr_status mbr_model_get_placement(const mbr_model *model, int64_t free_size, mbr_placement *placement,
                                           mbr_placed_step_fn fn, void *user, mbr_error *err);

/*
 * Prints the program's IR as text (`mbr dump`), calling write piece by piece. stage is a pass name ("import" for what
 * the importer made; NULL for the final graph): the model is lowered again up to and including that pass.
 */
typedef mbr_status (*mbr_write_fn)(void *user, const char *text, size_t bytes);
MBR_API mbr_status mbr_model_dump(const mbr_model *model, const char *stage, mbr_write_fn write, void *user,
                                  mbr_error *err);

/* Calls fn once an operator type in use: domain, name, opset row, how many nodes. */
typedef void (*mbr_op_use_fn)(void *user, const char *domain, const char *name, int since, size_t nodes);
MBR_API void mbr_model_each_op(const mbr_model *model, mbr_op_use_fn fn, void *user);

/* Calls fn for every row of the operator table: an operator, and each version that changed its meaning. */
typedef void (*mbr_known_op_fn)(void *user, const char *domain, const char *name, int since);
MBR_API void mbr_each_known_op(mbr_known_op_fn fn, void *user);

/* More of such a row. Texts live as long as the environment. */
typedef struct mbr_op_row {
    size_t size;                /* sizeof(mbr_op_row) of the library */
    const char *domain, *name;
    int since;                  /* first version of the domain with this meaning */
    int until;                  /* last one where the operator was then removed; 0: none */
    int min_inputs, max_inputs; /* -1: any number */
    uint64_t types;             /* bit mbr_dtype: input 0 may have that type, as far as the operator tells before it
                                   sees a model; 0: that depends on more */
    const char *kernels;        /* family of kernels that does most of the work; "ref": plain C; "parts": it is made of
                                   other operators; "plug-in" */
    const char *tiers;          /* instruction sets that this build has those kernels for, "base avx2"; "" for parts
                                   and plug-ins. Valid during the call */
} mbr_op_row;

/* Calls fn for every row, and for those that were registered with the environment (mbr/custom.h). */
typedef void (*mbr_op_row_fn)(void *user, const mbr_op_row *row);
MBR_API mbr_status mbr_env_each_op(mbr_env *env, mbr_op_row_fn fn, void *user, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif

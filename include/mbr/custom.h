/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Custom operators: operators of a domain of your own, registered with an environment before a model that has them is
 * opened. An operator is a shape function, which says what comes out, and a kernel, which computes it:
 *
 *     static mbr_status shape(mbr_custom_call *call, mbr_error *err)
 *     {
 *         int64_t dims[MBR_MAX_RANK];
 *         int rank = mbr_custom_input_rank(call, 0);
 *         for (int d = 0; d < rank; d++)
 *             dims[d] = mbr_custom_input_dim(call, 0, d);
 *         return mbr_custom_set_output(call, 0, mbr_custom_input_dtype(call, 0), rank, dims, err);
 *     }
 *
 *     static mbr_status run(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
 *     {
 *         const mbr_value *x = mbr_custom_input(call, 0);
 *         const float *from = mbr_tensor_const_data(x);
 *         float *to = mbr_tensor_data(mbr_custom_output(call, 0));
 *         ...
 *         return MBR_OK;
 *     }
 *
 *     mbr_custom_op op = { .size = sizeof op, .domain = "org.example", .name = "Twice", .min_inputs = 1,
 *                          .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .shape = shape, .run = run };
 *     mbr_env_add_op(env, &op, &err);
 *
 * The same code can live in a shared object that a program loads: see mbr/plugin.h.
 *
 * Inputs and outputs are tensors. What a kernel is given was checked: it has the type and shape that the shape function
 * said, and the memory for them. Values inside tensors come from outside and were not: a kernel checks indices.
 * A custom operator takes part in planning, folding of constants and control flow like any other; passes that know
 * operators by name leave it alone.
 */
#ifndef MBR_CUSTOM_H
#define MBR_CUSTOM_H

#include "mbr/env.h"
#include "mbr/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One call of one of the functions below; lives as long as that call. */
typedef struct mbr_custom_call mbr_custom_call;

/* max_inputs, max_outputs: any number. */
#define MBR_CUSTOM_MANY (-1)

enum {
    /* The kernel alone knows the sizes of the outputs and sets them with mbr_custom_resize. It runs as one tile. */
    MBR_CUSTOM_SIZED_BY_RUN = 1,
    /* The same inputs may give different outputs: nothing is computed ahead of time, nothing is merged. */
    MBR_CUSTOM_RANDOM = 2,
    /* Output 0 may be put into the memory of input 0, where shape and element size agree. */
    MBR_CUSTOM_IN_PLACE = 4
};

/* What prepare decides. It comes with the defaults: one tile, no scratch. */
typedef struct mbr_custom_work {
    size_t size;    /* sizeof(mbr_custom_work) of the library */
    size_t tiles;   /* independent pieces of the work: run gets ranges of them, from several threads at once */
    double tile_ns; /* estimated time of one; 0: unknown. Work under about 15 us in all stays on one thread */
    size_t scratch; /* bytes of memory that each thread gets in run, of undefined content, aligned to 64 */
} mbr_custom_work;

/*
 * Every function gets the call, and on failure returns a status after saying why with mbr_error_set; the library adds
 * which node of which model it was. No function may keep the call or what it got from it.
 */
typedef struct mbr_custom_op {
    size_t size;        /* sizeof(mbr_custom_op) */
    const char *domain; /* as models name it, such as "org.example"; copied */
    const char *name;   /* copied */
    int since;          /* first version of the domain that has the operator with this meaning; 0: 1 */
    int min_inputs, max_inputs;   /* optional inputs in between; MBR_CUSTOM_MANY */
    int min_outputs, max_outputs;
    unsigned flags;
    /*
     * Says what comes out, from types, shapes and known numbers: mbr_custom_set_output for every output. Called while
     * a model is planned, when sizes may be symbols, and again during a run where they are known only then; it must
     * depend on nothing but its inputs and attributes. Any thread.
     */
    mbr_status (*shape)(mbr_custom_call *call, mbr_error *err);
    /* Once for each node of a session, before anything runs: reads attributes, makes *state. May be NULL. */
    mbr_status (*start)(mbr_custom_call *call, void **state, mbr_error *err);
    /* Whenever shapes are new: how to split the work. Inputs have their shape, not their content. May be NULL. */
    mbr_status (*prepare)(mbr_custom_call *call, mbr_custom_work *work, mbr_error *err);
    /* Tiles [first, last). Called by any thread, for disjoint tiles at the same time; sessions run independently. */
    mbr_status (*run)(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err);
    /* Undoes start, when the session ends. May be NULL. */
    void (*stop)(void *state, void *user);
    void *user;                  /* mbr_custom_user */
    void (*release)(void *user); /* when the environment is released, or when registration fails. May be NULL */
} mbr_custom_op;

/*
 * Registers an operator. The struct is copied. Models opened from now on may use it; no model of the environment may be
 * opened by another thread meanwhile. MBR_ERR_ARGUMENT: the struct is incomplete, or an operator of that domain, name
 * and version is there already, the library's own among them: they cannot be replaced.
 */
MBR_API mbr_status mbr_env_add_op(mbr_env *env, const mbr_custom_op *op, mbr_error *err);

/* Puts a message together, as printf does, and returns status: `return mbr_error_set(err, MBR_ERR_RUN, "...")`. */
MBR_API mbr_status mbr_error_set(mbr_error *err, mbr_status status, const char *format, ...);

/* ---- in every function ---- */

MBR_API void *mbr_custom_user(const mbr_custom_call *call);
MBR_API void *mbr_custom_state(const mbr_custom_call *call); /* NULL in shape */
MBR_API const char *mbr_custom_node_name(const mbr_custom_call *call);
MBR_API int mbr_custom_input_count(const mbr_custom_call *call);
MBR_API int mbr_custom_output_count(const mbr_custom_call *call);
MBR_API int mbr_custom_has_input(const mbr_custom_call *call, int index);   /* 0: left out */
MBR_API int mbr_custom_wants_output(const mbr_custom_call *call, int index); /* 0: nobody reads it */

/* Attributes by name; `otherwise`, or NULL, where there is none of that name and type. They live as long as the model. */
MBR_API int64_t mbr_custom_attr_int(const mbr_custom_call *call, const char *name, int64_t otherwise);
MBR_API float mbr_custom_attr_float(const mbr_custom_call *call, const char *name, float otherwise);
MBR_API const char *mbr_custom_attr_string(const mbr_custom_call *call, const char *name, const char *otherwise);
MBR_API const int64_t *mbr_custom_attr_ints(const mbr_custom_call *call, const char *name, size_t *count);
MBR_API const float *mbr_custom_attr_floats(const mbr_custom_call *call, const char *name, size_t *count);
MBR_API const mbr_value *mbr_custom_attr_tensor(const mbr_custom_call *call, const char *name);

/* Type, rank and sizes of an input: MBR_DTYPE_UNDEFINED, -1, MBR_SIZE_UNKNOWN where it is absent or not known yet. */
MBR_API mbr_dtype mbr_custom_input_dtype(const mbr_custom_call *call, int index);
MBR_API int mbr_custom_input_rank(const mbr_custom_call *call, int index);
MBR_API int64_t mbr_custom_input_dim(const mbr_custom_call *call, int index, int axis);

/*
 * An input. In run it has everything, NULL means absent. Before, NULL also means not known yet: shape and start see
 * constants, and in prepare only mbr_tensor_dtype, _rank, _dims and _count mean something.
 */
MBR_API const mbr_value *mbr_custom_input(const mbr_custom_call *call, int index);

/* ---- in shape ---- */

/*
 * Sizes: a number from 0 on, MBR_SIZE_UNKNOWN, or a negative number that stands for a symbol of the model ("batch",
 * "batch * 4"). Symbols can be handed on to an output, and calculated with by mbr_custom_size alone. Inputs of integers
 * that hold sizes (as for Reshape) are read through mbr_custom_sizes, which knows symbols too.
 */
#define MBR_SIZE_UNKNOWN INT64_MIN

typedef enum mbr_size_op {
    MBR_SIZE_ADD = 0,
    MBR_SIZE_SUB = 1,
    MBR_SIZE_MUL = 2,
    MBR_SIZE_DIV = 3, /* rounds down */
    MBR_SIZE_MOD = 4,
    MBR_SIZE_MIN = 5,
    MBR_SIZE_MAX = 6,
    MBR_SIZE_BROADCAST = 7 /* of two axes that broadcast */
} mbr_size_op;

/* MBR_SIZE_UNKNOWN when one of the two is, on overflow and on division by zero. */
MBR_API int64_t mbr_custom_size(mbr_custom_call *call, mbr_size_op op, int64_t a, int64_t b);

/* The numbers of an integer input, at most `most`; returns how many, or -1 while they are not known. */
MBR_API int mbr_custom_sizes(const mbr_custom_call *call, int index, int64_t *sizes, int most);

/* Type and shape of an output; dims NULL: no size is known, rank -1: nor how many. Outputs nobody reads are fine. */
MBR_API mbr_status mbr_custom_set_output(mbr_custom_call *call, int index, mbr_dtype dtype, int rank,
                                         const int64_t *dims, mbr_error *err);

/* ---- in prepare and run ---- */

/* The tensor to write, NULL where nobody reads it. Its shape stays as it is; in prepare its data is not there yet. */
MBR_API mbr_value *mbr_custom_output(const mbr_custom_call *call, int index);

/* Run of MBR_CUSTOM_SIZED_BY_RUN: gives an output its shape and memory. It must be one that the shape function allowed. */
MBR_API mbr_status mbr_custom_resize(mbr_custom_call *call, int index, int rank, const int64_t *dims, mbr_error *err);

/*
 * Run of an operator without prepare, or of MBR_CUSTOM_SIZED_BY_RUN: memory until the session's next run; NULL when
 * there is none left. The elements of a string output (mbr_string) point to text in such memory, or to that of inputs.
 */
MBR_API void *mbr_custom_alloc(mbr_custom_call *call, size_t bytes);

/* Not 0 once the run was cancelled: a kernel that takes long asks now and then, and returns MBR_ERR_CANCELLED. */
MBR_API int mbr_custom_cancelled(const mbr_custom_call *call);

#ifdef __cplusplus
}
#endif

#endif

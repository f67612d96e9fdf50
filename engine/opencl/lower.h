/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lowering a step to OpenCL: which kernels make its outputs, with which arguments, on how many work-items.
 *
 * A family of operators is one file engine/opencl/lower_NAME.c with a table `const mbr_cl_op mbr_cl_ops_NAME[]`, ended
 * by a row without a name and named in MBR_CL_OP_TABLES below, and one file kernels/opencl/NAME.cl.
 *
 * `takes` is asked once, while the model is planned. `lower` is called whenever the step's shapes are new, after the
 * operator's own `prepare` (engine/ops/op.h) has checked them: s->in[i] and s->out[i] have shape and dtype, constants have
 * data, mbr_step_ints reads content inputs. It writes down launches:
 *
 *     mbr_cl_kernel(l, "softmax", "softmax_rows", "-DT=float");
 *     mbr_cl_in(l, 0);
 *     mbr_cl_out(l, 0);
 *     mbr_cl_int(l, columns);
 *     mbr_cl_local(l, 256 * sizeof(float));
 *     mbr_cl_go(l, 1, (size_t[]){ rows * 256 }, (size_t[]){ 256 });
 *
 * Arguments come in the order of the kernel's parameters. Failures stick: lower returns l->status in the end. A step
 * that cannot be lowered at these sizes calls mbr_cl_decline; the CPU then does it. Launches of a step run one after
 * the other; so do steps.
 */
#ifndef MBR_ENGINE_OPENCL_LOWER_H
#define MBR_ENGINE_OPENCL_LOWER_H

#include "engine/opencl/device.h"
#include "engine/ops/op.h"

typedef struct mbr_cl_lower {
    mbr_step *step;
    const mbr_cl_device *device; /* limits: max_group, local_bytes, f16 ... */
    mbr_status status;           /* of the first call that failed */
    mbr_error *err;
    bool late;                   /* the run has come to the step: numbers of inputs are there */
    struct mbr_cl_frame *frame;  /* the rest is lower.c's own */
    struct mbr_cl_step *to;
    struct mbr_cl_launch *launch;
    unsigned next_arg;
} mbr_cl_lower;

typedef struct mbr_cl_op {
    const char *domain, *name;
    bool (*takes)(const mbr_ir_node *n, const mbr_cl_device *d);
    mbr_status (*lower)(mbr_cl_lower *l);
    int param;                   /* the row's own; found by mbr_cl_param */
} mbr_cl_op;

/* Every file's table. */
#define MBR_CL_OP_TABLES(X)                                                                                            \
    X(attention)                                                                                                       \
    X(conv)                                                                                                            \
    X(elementwise)                                                                                                     \
    X(gemm)                                                                                                            \
    X(movement)                                                                                                        \
    X(pool)                                                                                                            \
    X(quantized)                                                                                                       \
    X(recurrent)                                                                                                       \
    X(reduce)                                                                                                          \
    X(resize)                                                                                                          \
    X(sample)                                                                                                          \
    X(tokens)

/* family, may be NULL: the name of its table */
const mbr_cl_op *mbr_cl_op_find(const mbr_ir_node *n, const char **family);
int mbr_cl_param(const mbr_cl_lower *l);

/*
 * Begins a launch of kernel `kernel` of kernels/opencl/SOURCE.cl, built with `options` ("-DT=float -DACT=2"; copied; NULL:
 * none). Each different text of options is a program of its own that the driver has to build (tens to hundreds of
 * milliseconds): put types and variants there, never sizes.
 */
void mbr_cl_kernel(mbr_cl_lower *l, const char *source, const char *kernel, const char *options);
/* Like it, for source made at run time (a chain): `text` is copied; it is preceded by common.cl and `source`. */
void mbr_cl_kernel_text(mbr_cl_lower *l, const char *source, const char *text, const char *kernel, const char *options);

/* Tensors take two parameters of a kernel, TENSOR(T, x): buffer and byte offset. See kernels/opencl/common.cl. */
void mbr_cl_in(mbr_cl_lower *l, uint32_t i);
void mbr_cl_out(mbr_cl_lower *l, uint32_t i);
/* An input or output that may be absent: then any buffer is passed, which the kernel must not touch. */
void mbr_cl_in_or_none(mbr_cl_lower *l, uint32_t i);
/* Memory of the device between launches of this step: (bytes) at `at` of a block that all steps share. TENSOR. */
void mbr_cl_scratch(mbr_cl_lower *l, size_t at, size_t bytes);
/*
 * Data that is made once for a node and kept on the device for all sessions: weights in another layout, tables. `slot`
 * tells several of a node apart. fill writes (bytes) on the host, when there is no such data yet. TENSOR.
 */
typedef mbr_status (*mbr_cl_fill)(const mbr_step *s, void *to, size_t bytes, mbr_error *err);
void mbr_cl_packed(mbr_cl_lower *l, unsigned slot, size_t bytes, mbr_cl_fill fill);
/* Data that these sizes, or numbers of this run, ask for, copied now; one for a step. TENSOR. */
void mbr_cl_table(mbr_cl_lower *l, const void *data, size_t bytes);

void mbr_cl_int(mbr_cl_lower *l, int64_t v);  /* int; declines where it does not fit */
void mbr_cl_long(mbr_cl_lower *l, int64_t v); /* long */
void mbr_cl_float(mbr_cl_lower *l, float v);
void mbr_cl_bytes(mbr_cl_lower *l, const void *value, size_t bytes); /* a struct of ints or floats by value */
void mbr_cl_local(mbr_cl_lower *l, size_t bytes);                    /* __local memory */
/*
 * TENSOR(int, flag), where a kernel writes a number that is not 0 when it meets what the CPU reports as an error (an index
 * outside, a zero divisor); it goes on without reading or writing outside. The run then fails, and is done again by the
 * CPU, which says what is wrong.
 */
void mbr_cl_flag(mbr_cl_lower *l);

/* Ends the launch. global is rounded up to local, so kernels check their bounds. (Drivers choose groups badly where none
   are given: one core for a small launch, or an assertion of PoCL where groups are small.) */
void mbr_cl_go(mbr_cl_lower *l, unsigned dims, const size_t *global, const size_t *local);

/* The CPU does this step at these sizes; why is for --verbose and `mbr info`. Returns l->status. */
mbr_status mbr_cl_decline(mbr_cl_lower *l, const char *why);

/* Name of a dtype in OpenCL C ("float", "uchar"; half as storage is "half"), NULL: none. */
const char *mbr_cl_type(mbr_dtype t);

#endif

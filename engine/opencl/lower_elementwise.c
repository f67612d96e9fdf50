/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Elementwise operators and chains: a kernel is written for each form (types, code, how operands spread) from the pieces
 * of kernels/opencl/elementwise.cl. Sizes, strides and immediates are arguments, so that forms are few.
 */
#include "engine/opencl/lower_util.h"
#include "engine/ops/op_util.h"
#include "engine/ops/pointwise.h"
#include "kernels/quantize.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT 12288
#define IMMEDIATES (2 * MBR_CHAIN_CODE)

enum { UNARY, BINARY, WHERE, CLIP, CAST, CAST_LIKE, BIT_CAST, CHAIN, QUANTIZE, DEQUANTIZE };

typedef struct form {
    mbr_chain chain;            /* inputs, outputs with their types */
    const mbr_chain_space *space;
    uint8_t in[MBR_CHAIN_INPUTS], out[MBR_CHAIN_OUTPUTS]; /* slots of the step */
    float x[IMMEDIATES];
    int n_x;
    bool rounds;                /* integer outputs round and saturate, as those of chains do */
    mbr_dtype number;           /* what registers hold */
    size_t length;
    char body[TEXT / 2];        /* the code between loads and stores */
} form;

static void say(char *text, size_t size, size_t *length, const char *fmt, ...) MBR_PRINTF(4, 5);

/* A length beyond the size says that it did not fit. */
static void say(char *text, size_t size, size_t *length, const char *fmt, ...)
{
    va_list args;
    if (*length >= size)
        return;
    va_start(args, fmt);
    int n = vsnprintf(text + *length, size - *length, fmt, args);
    va_end(args);
    *length += n < 0 ? size : (size_t)n;
}

#define CODE(f, ...) say((f)->body, sizeof (f)->body, &(f)->length, __VA_ARGS__)

/* --- the kernel around the code --- */

static bool spreads(mbr_chain_pattern p)
{
    return p != MBR_CHAIN_DENSE && p != MBR_CHAIN_SCALAR;
}

static bool is_float(mbr_dtype t)
{
    return mbr_dtype_is_float(t);
}

/* Types of a byte that only casts know. */
static bool is_narrow(mbr_dtype t)
{
    return t >= MBR_DTYPE_F8E4M3FN && t < MBR_DTYPE_COUNT && t != MBR_DTYPE_F8E8M0;
}

static bool is_signed(mbr_dtype t)
{
    return t == MBR_DTYPE_I8 || t == MBR_DTYPE_I16 || t == MBR_DTYPE_I32 || t == MBR_DTYPE_I64;
}

static void save(const form *f, int i, char *text, size_t *length)
{
    mbr_dtype t = f->chain.output_type[i];
    const char *name = mbr_cl_name(t), *how = "";
    char call[16] = "";
    bool whole = t != MBR_DTYPE_BOOL && !is_float(t);
    if (f->rounds && whole)
        snprintf(call, sizeof call, "ROUND_%s", name);
    else if (is_float(f->number) && whole)
        snprintf(call, sizeof call, "TO_%s", t == MBR_DTYPE_I64 || t == MBR_DTYPE_U64 || t == MBR_DTYPE_U32 ? name : "i32");
    else if (!is_float(f->number) && t != MBR_DTYPE_F64 && is_float(t))
        how = "(float)";
    say(text, TEXT, length, "SAVE(%s, y%d, i, %s%s(r%d));\n", name, i, call, how, f->chain.output_reg[i]);
}

static mbr_status emit(mbr_cl_lower *l, form *f, const char *options, bool flag)
{
    char text[TEXT];
    size_t n = 0;
    const mbr_chain_space *s = f->space;
    const mbr_chain *c = &f->chain;
    bool flat = true;
    int rank = s->rank;
    if (s->count == 0)
        return l->status;
    for (int k = 0; k < c->inputs; k++)
        flat = flat && !spreads(s->in_pattern[k]);
    say(text, TEXT, &n, "__kernel void run(");
    for (int k = 0; k < c->inputs; k++)
        say(text, TEXT, &n, "TENSOR(const MEM(%s), a%d),", mbr_cl_name(c->input_type[k]), k);
    for (int k = 0; k < c->outputs; k++)
        say(text, TEXT, &n, "TENSOR(MEM(%s), y%d),", mbr_cl_name(c->output_type[k]), k);
    if (flag)
        say(text, TEXT, &n, "TENSOR(int, flag),");
    for (int k = 0; k < f->n_x; k++)
        say(text, TEXT, &n, "const float x%d,", k);
    if (!flat)
        for (int d = 0; d + 1 < rank; d++) /* sizes of the outer axes, strides along all */
            say(text, TEXT, &n, "const int d%d,", d);
    for (int k = 0; k < c->inputs; k++)
        for (int d = 0; spreads(s->in_pattern[k]) && d < rank; d++)
            if (s->in_strides[k][d])
                say(text, TEXT, &n, "const int s%d_%d,", k, d);
    if (flat)
        say(text, TEXT, &n, "const int n)\n{\nint i = get_global_id(0);\nif (i >= n) return;\n");
    else
        say(text, TEXT, &n, "const int n, const int rows)\n{\nint x = get_global_id(0), row = get_global_id(1);\n"
                            "if (x >= n || row >= rows) return;\nint i = row * n + x;\n");
    for (int d = rank - 2; !flat && d >= 0; d--) {
        say(text, TEXT, &n, d ? "int p%d = row %% d%d; row /= d%d;\n" : "int p0 = row;\n", d, d, d);
    }
    for (int k = 0; k < c->inputs; k++) {
        say(text, TEXT, &n, "OPEN(const MEM(%s), a%d);\nC r%d = (C)LOAD(%s, a%d, ", mbr_cl_name(c->input_type[k]), k, k,
            mbr_cl_name(c->input_type[k]), k);
        if (s->in_pattern[k] == MBR_CHAIN_DENSE)
            say(text, TEXT, &n, "i");
        else
            say(text, TEXT, &n, "0");
        for (int d = 0; spreads(s->in_pattern[k]) && d < rank; d++)
            if (d == rank - 1 && s->in_strides[k][d] == 1)
                say(text, TEXT, &n, " + x");
            else if (s->in_strides[k][d])
                say(text, TEXT, &n, d == rank - 1 ? " + x * s%d_%d" : " + p%3$d * s%1$d_%2$d", k, d, d);
        say(text, TEXT, &n, ");\n");
    }
    for (int r = c->inputs; r < MBR_CHAIN_REGS; r++)
        say(text, TEXT, &n, r == c->inputs ? "C r%d" : ", r%d", r);
    say(text, TEXT, &n, ";\n%s", f->length < sizeof f->body ? f->body : "");
    for (int k = 0; k < c->outputs; k++) {
        say(text, TEXT, &n, "OPEN(MEM(%s), y%d);\n", mbr_cl_name(c->output_type[k]), k);
        save(f, k, text, &n);
    }
    say(text, TEXT, &n, "}\n");
    if (n >= TEXT || f->length >= sizeof f->body)
        return mbr_cl_decline(l, "its code is too long");

    mbr_cl_kernel_text(l, "elementwise", text, "run", options);
    for (int k = 0; k < c->inputs; k++)
        mbr_cl_in(l, f->in[k]);
    for (int k = 0; k < c->outputs; k++)
        mbr_cl_out(l, f->out[k]);
    if (flag)
        mbr_cl_flag(l);
    for (int k = 0; k < f->n_x; k++)
        mbr_cl_float(l, f->x[k]);
    if (!flat)
        for (int d = 0; d + 1 < rank; d++)
            mbr_cl_int(l, (int64_t)s->dims[d]);
    for (int k = 0; k < c->inputs; k++)
        for (int d = 0; spreads(s->in_pattern[k]) && d < rank; d++)
            if (s->in_strides[k][d])
                mbr_cl_int(l, s->in_strides[k][d]);
    if (flat) {
        mbr_cl_int(l, (int64_t)s->count);
        mbr_cl_go_flat(l, s->count);
    } else {
        if (s->count > INT32_MAX)
            return mbr_cl_decline(l, "too large");
        mbr_cl_int(l, (int64_t)s->inner);
        mbr_cl_int(l, (int64_t)(s->count / s->inner));
        mbr_cl_go_rows(l, s->inner, s->count / s->inner, 1);
    }
    return l->status;
}

/* --- code --- */

/* A call of OP_NAME with registers and immediates; those become parameters. */
static void call(form *f, const char *name, int dst, const uint8_t *regs, int n_regs, const float *x, int n_x)
{
    CODE(f, "r%d = OP_%s(", dst, name);
    for (int i = 0; i < n_regs; i++)
        CODE(f, i ? ", r%d" : "r%d", regs[i]);
    for (int i = 0; i < n_x; i++) {
        CODE(f, ", x%d", f->n_x);
        f->x[f->n_x++] = x[i];
    }
    CODE(f, ");\n");
}

static void chain_code(form *f)
{
    for (int i = 0; i < f->chain.length; i++) {
        const mbr_chain_insn *k = &f->chain.code[i];
        const uint8_t regs[3] = { k->a, k->b, k->c };
        const float x[2] = { k->x, k->y };
        const char *name = mbr_chain_op_name((mbr_chain_op)k->op);
        int n_x = mbr_chain_op_immediates((mbr_chain_op)k->op);
        if (k->op == MBR_CHAIN_POWI) { /* products where they are exact */
            const char *exact = k->x == 1    ? "MOV"
                                : k->x == 2  ? "SQUARE"
                                : k->x == 3  ? "CUBE"
                                : k->x == -1 ? "RECIPROCAL"
                                             : NULL;
            name = exact ? exact : name;
            n_x = exact ? 0 : 1;
        }
        call(f, name, k->dst, regs, mbr_chain_op_operands((mbr_chain_op)k->op), x, n_x);
    }
}

/* A step whose state begins with a chain and its space: mbr.Chain, and what runs as one. */
static mbr_status lower_chain(mbr_cl_lower *l, const mbr_chain *chain, const mbr_chain_space *space, const uint8_t *from)
{
    form f = { .chain = *chain, .space = space, .rounds = true, .number = MBR_DTYPE_F32 };
    int wanted = 0;
    for (int i = 0; i < chain->inputs; i++) {
        f.in[i] = from ? from[i] : (uint8_t)i;
        f.chain.input_type[i] = l->step->in[f.in[i]]->dtype;
    }
    for (uint32_t i = 0; i < l->step->n_out; i++)
        if (l->step->out[i] && wanted < chain->outputs) {
            f.chain.output_type[wanted] = l->step->out[i]->dtype;
            f.out[wanted++] = (uint8_t)i;
        }
    chain_code(&f);
    return emit(l, &f, NULL, false);
}

/* --- operators of any type --- */

static const char *options_of(mbr_dtype t)
{
    switch (t) {
    case MBR_DTYPE_F64:
        return "-DC=double -DDOUBLE";
    case MBR_DTYPE_I2:
    case MBR_DTYPE_I4:
    case MBR_DTYPE_I8:
    case MBR_DTYPE_I16:
    case MBR_DTYPE_I32:
        return "-DC=int -DU=uint -DSIGNED";
    case MBR_DTYPE_I64:
        return "-DC=long -DU=ulong -DSIGNED";
    case MBR_DTYPE_U64:
        return "-DC=ulong -DU=ulong -DUNSIGNED";
    case MBR_DTYPE_U4:
    case MBR_DTYPE_U2:
    case MBR_DTYPE_BOOL:
    case MBR_DTYPE_U8:
    case MBR_DTYPE_U16:
    case MBR_DTYPE_U32:
        return "-DC=uint -DU=uint -DUNSIGNED";
    default: /* floats */
        return NULL;
    }
}

/* Inputs and output as they are, spread as numpy does. */
static mbr_status shapes(mbr_cl_lower *l, form *f, mbr_chain_space *space, uint32_t inputs)
{
    const mbr_step *s = l->step;
    size_t dims[MBR_MAX_RANK];
    ptrdiff_t strides[MBR_CHAIN_INPUTS][MBR_MAX_RANK];
    const ptrdiff_t *in[MBR_CHAIN_INPUTS], *dense = NULL;
    int rank = mbr_op_dims(s->out[0], dims);
    f->chain.inputs = (int)inputs;
    f->chain.outputs = 1;
    f->chain.output_type[0] = s->out[0]->dtype;
    f->chain.output_reg[0] = (uint8_t)inputs;
    for (uint32_t i = 0; i < inputs; i++) {
        f->in[i] = (uint8_t)i;
        f->chain.input_type[i] = s->in[i]->dtype;
        mbr_op_strides(s->in[i], rank, strides[i]);
        in[i] = strides[i];
    }
    mbr_chain_space_init(space, &f->chain, rank, dims, in, &dense);
    f->space = space;
    return l->status;
}

static mbr_status lower_unary(mbr_cl_lower *l, form *f)
{
    const mbr_step *s = l->step;
    const mbr_op *op = s->op;
    bool chains = mbr_pointwise_has_chain(op);
    mbr_unary_op what = (mbr_unary_op)mbr_pointwise_typed(op);
    mbr_dtype t = s->in[0]->dtype;
    float x[2] = { 0, 0 };
    int n_x = 0;
    const char *name = chains ? mbr_chain_op_name(mbr_pointwise_chain(op)) : op->name;
    if (!is_float(t) && what != MBR_UNARY_NEG && what != MBR_UNARY_ABS && what != MBR_UNARY_SIGN &&
        what != MBR_UNARY_NOT && what != MBR_UNARY_BITNOT && what != MBR_UNARY_RELU)
        return mbr_cl_decline(l, "not for integers");
    if (what == MBR_UNARY_GELU && strcmp(mbr_attr_string(s->node, "approximate", "none"), "tanh") == 0)
        name = "GELU_TANH";
    if (chains) {
        n_x = mbr_chain_op_immediates(mbr_pointwise_chain(op));
        mbr_pointwise_immediates(s->node, mbr_pointwise_chain(op), &x[0], &x[1]);
    } else if (what == MBR_UNARY_ISINF) {
        n_x = 2;
        x[0] = mbr_attr_int(s->node, "detect_negative", 1) != 0;
        x[1] = mbr_attr_int(s->node, "detect_positive", 1) != 0;
    }
    f->number = t;
    call(f, name, 1, (const uint8_t[]){ 0 }, 1, x, n_x);
    return emit(l, f, options_of(t), false);
}

static mbr_status lower_binary(mbr_cl_lower *l, form *f)
{
    const mbr_step *s = l->step;
    const mbr_op *op = s->op;
    mbr_binary_op what = (mbr_binary_op)mbr_pointwise_typed(op);
    mbr_dtype t = s->in[0]->dtype;
    int n = f->chain.inputs, bits = (int)mbr_dtype_size(t) * 8;
    bool whole = !is_float(t), divides = whole && (what == MBR_BINARY_DIV || what == MBR_BINARY_FMOD);
    const char *name = mbr_pointwise_has_chain(op) ? mbr_chain_op_name(mbr_pointwise_chain(op)) : op->name;
    if (op->since < 7 && op->max_in == 2)
        return mbr_cl_decline(l, "spreads as old versions do");
    if (what == MBR_BINARY_FMOD && !mbr_attr_int(s->node, "fmod", 0))
        name = "MOD";
    f->number = t;
    if (what == MBR_BINARY_POW && s->in[1]->dtype != t) {
        mbr_dtype e = s->in[1]->dtype;
        f->number = !whole ? t : !is_float(e) ? (is_signed(e) ? MBR_DTYPE_I64 : MBR_DTYPE_U64) : MBR_DTYPE_F64;
        if (!mbr_cl_has_type(l->device, f->number))
            return mbr_cl_decline(l, "the device has no f64");
    }
    if (n == 1)
        CODE(f, "r1 = r0;\n");
    for (int k = 1; k < n; k++) {
        int a = k == 1 ? 0 : n;
        if (what == MBR_BINARY_SHL)
            CODE(f, "r2 = %s(r0, r1, %d);\n",
                 strcmp(mbr_attr_string(s->node, "direction", "LEFT"), "RIGHT") == 0 ? "SHR" : "SHL", bits);
        else
            CODE(f, "r%d = OP_%s(r%d, r%d);\n", n, name, a, k);
        if (divides)
            CODE(f, "if (r%d == 0) *(__global int *)((__global char *)flag_base + flag_at) = 1;\n", k);
    }
    if (strcmp(op->name, "Mean") == 0)
        CODE(f, "r%d /= %d;\n", n, n);
    return emit(l, f, options_of(f->number), divides);
}

static mbr_status lower_clip(mbr_cl_lower *l, form *f)
{
    const mbr_step *s = l->step;
    if (s->op->since < 11)
        return mbr_cl_decline(l, "limits of another type");
    f->number = s->in[0]->dtype;
    int n = 1;
    for (uint32_t i = 1; i < 3; i++)
        if (mbr_step_has(s, i))
            f->in[n++] = (uint8_t)i;
    f->chain.output_reg[0] = 3;
    CODE(f, "r3 = r0;\n");
    for (int i = 1; i < n; i++)
        CODE(f, "r3 = %s(r3, r%d);\n", f->in[i] == 1 ? "more" : "less", i);
    return emit(l, f, options_of(f->number), false);
}

/* Limits of Clip that are there, as inputs of one element. */
static void clip_inputs(mbr_cl_lower *l, form *f, mbr_chain_space *space)
{
    const mbr_step *s = l->step;
    size_t count = mbr_value_count(s->out[0]);
    static const ptrdiff_t one = 1, still = 0;
    const ptrdiff_t *in[3] = { &one, &still, &still }, *dense = NULL;
    f->chain.inputs = 1 + mbr_step_has(s, 1) + mbr_step_has(s, 2);
    f->chain.outputs = 1;
    f->chain.output_type[0] = s->out[0]->dtype;
    for (int i = 0; i < 3; i++)
        f->chain.input_type[i] = s->in[0]->dtype;
    mbr_chain_space_init(space, &f->chain, 1, &count, in, &dense);
    f->space = space;
}

/* Unsigned integers of the same size, to move bits. */
static mbr_dtype bits_of(mbr_dtype t)
{
    static const mbr_dtype by_size[] = { [1] = MBR_DTYPE_U8, [2] = MBR_DTYPE_U16, [4] = MBR_DTYPE_U32, [8] = MBR_DTYPE_U64 };
    size_t size = mbr_dtype_size(t);
    return size <= 8 ? by_size[size] : MBR_DTYPE_UNDEFINED;
}

/* QuantizeLinear and DequantizeLinear with one scale, or one for each index of an axis. */
static mbr_status lower_quantize(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *x = s->in[0], *scale = s->in[1], *y = s->out[0];
    bool quantize = mbr_cl_param(l) == QUANTIZE, zero = mbr_step_has(s, 2);
    bool one = scale->rank == 0 || (scale->rank == 1 && scale->dims[0] == 1);
    size_t dims[MBR_MAX_RANK];
    ptrdiff_t each[MBR_MAX_RANK] = { 0 };
    const ptrdiff_t *in[3] = { NULL, each, each }, *dense = NULL;
    mbr_chain_space space;
    int32_t low, high;
    int rank = mbr_op_dims(x, dims), n = zero ? 3 : 2;
    form f = { .number = MBR_DTYPE_F32, .space = &space };
    if (scale->dtype != MBR_DTYPE_F32 || (!one && scale->rank != 1) || mbr_attr_int(s->node, "block_size", 0) ||
        mbr_attr_int(s->node, "precision", MBR_DTYPE_F32) > MBR_DTYPE_F32 || y->dtype == MBR_DTYPE_F8E8M0 ||
        (quantize && y->dtype == MBR_DTYPE_F4E2M1) || x->dtype == MBR_DTYPE_F8E8M0 || x->dtype == MBR_DTYPE_F64)
        return mbr_cl_decline(l, "scales that its kernel does not know");
    if (!one)
        each[mbr_op_axis(mbr_attr_int(s->node, "axis", 1), rank)] = 1;
    f.chain.inputs = n;
    f.chain.outputs = 1;
    f.chain.output_reg[0] = 3;
    f.chain.output_type[0] = y->dtype;
    for (int i = 0; i < n; i++) {
        f.in[i] = (uint8_t)i;
        f.chain.input_type[i] = s->in[i]->dtype;
    }
    mbr_chain_space_init(&space, &f.chain, rank, dims, in, &dense);
    if (!quantize) {
        CODE(&f, "%s* r1;\n", zero ? "r3 = (r0 - r2) " : "r3 = r0 ");
    } else {
        bool whole = mbr_quantize_range(y->dtype, &low, &high);
        CODE(&f, whole ? "r3 = rint(r0 / r1)%s;\n" : "r3 = r0 / r1%s;\n", whole && zero ? " + r2" : "");
        if (whole) /* NaN is the lowest */
            CODE(&f, "r3 = r3 >= %d ? fmin(r3, (float)%d) : %d;\n", (int)low, (int)high, (int)low);
    }
    return emit(l, &f, mbr_attr_int(s->node, "saturate", 1) ? NULL : "-DSATURATE=0", false);
}

static mbr_status lower(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_op_chain *k = s->state;
    mbr_chain_space space;
    form f = { .number = MBR_DTYPE_F32 };
    int what = mbr_cl_param(l);
    if (what == CHAIN)
        return lower_chain(l, &k->chain, &k->space, NULL);
    if (what < CAST && k->fn)
        return lower_chain(l, &k->chain, &k->space, k->from);
    uint32_t inputs = what == UNARY || what >= CAST ? 1 : s->n_in;
    if (inputs > MBR_CHAIN_INPUTS || (what != WHERE && what != BIT_CAST && !mbr_cl_has_type(l->device, s->in[0]->dtype) &&
                                       (what < CAST || !is_narrow(s->in[0]->dtype))))
        return mbr_cl_decline(l, "types or operands that the device has no kernel for");
    if (what == CLIP) {
        clip_inputs(l, &f, &space);
        return lower_clip(l, &f);
    }
    MBR_TRY(shapes(l, &f, &space, inputs));
    mbr_dtype from = s->in[0]->dtype, to = s->out[0]->dtype;
    switch (what) {
    case UNARY:
        return lower_unary(l, &f);
    case BINARY:
        return lower_binary(l, &f);
    case WHERE:
        f.number = f.chain.input_type[1] = f.chain.input_type[2] = f.chain.output_type[0] = bits_of(to);
        if (!f.number)
            return mbr_cl_decline(l, "elements of 16 bytes");
        CODE(&f, "r3 = OP_WHERE(r0, r1, r2);\n");
        return emit(l, &f, options_of(f.number), false);
    default: /* casts */
        f.number = from;
        if (from == to || what == BIT_CAST)
            f.number = f.chain.input_type[0] = f.chain.output_type[0] = bits_of(to);
        else if ((!mbr_cl_has_type(l->device, to) && !is_narrow(to)) || (from == MBR_DTYPE_F64 && is_narrow(to)))
            return mbr_cl_decline(l, "a type that the device does not have");
        if (!f.number)
            return mbr_cl_decline(l, "elements of 16 bytes");
        f.chain.output_reg[0] = 0;
        return emit(l, &f, mbr_attr_int(s->node, "saturate", 1) ? options_of(f.number) : "-DSATURATE=0", false);
    }
}

static bool takes_casts(const mbr_ir_node *n, const mbr_cl_device *d)
{
    return mbr_cl_takes_bytes(n, d);
}

/* SwiGLU is a chain but for f64. */
static bool takes_chained(const mbr_ir_node *n, const mbr_cl_device *d)
{
    return n->inputs[0]->type.dtype != MBR_DTYPE_F64 && mbr_cl_takes_numbers(n, d);
}

#define UNARY_ROWS(X)                                                                                                  \
    X(Abs) X(Acos) X(Acosh) X(Asin) X(Asinh) X(Atan) X(Atanh) X(BitwiseNot) X(Ceil) X(Celu) X(Cos) X(Cosh) X(Elu)       \
    X(Erf) X(Exp) X(Floor) X(Gelu) X(HardSigmoid) X(HardSwish) X(IsInf) X(IsNaN) X(LeakyRelu) X(Log) X(Mish) X(Neg)     \
    X(Not) X(Reciprocal) X(Relu) X(Round) X(Selu) X(Shrink) X(Sigmoid) X(Sign) X(Sin) X(Sinh) X(Softplus) X(Softsign)   \
    X(Sqrt) X(Swish) X(Tan) X(Tanh) X(ThresholdedRelu)
#define BINARY_ROWS(X)                                                                                                 \
    X(Add) X(And) X(BitShift) X(BitwiseAnd) X(BitwiseOr) X(BitwiseXor) X(Div) X(Equal) X(Greater) X(GreaterOrEqual)     \
    X(Less) X(LessOrEqual) X(Max) X(Mean) X(Min) X(Mod) X(Mul) X(Or) X(PRelu) X(Pow) X(Sub) X(Sum) X(Xor)
#define UNARY_ROW(op) { "", #op, mbr_cl_takes_numbers, lower, UNARY },
#define BINARY_ROW(op) { "", #op, mbr_cl_takes_numbers, lower, BINARY },

const mbr_cl_op mbr_cl_ops_elementwise[] = {
    UNARY_ROWS(UNARY_ROW) BINARY_ROWS(BINARY_ROW)
    { "", "BitCast", takes_casts, lower, BIT_CAST },
    { "", "Cast", takes_casts, lower, CAST },
    { "", "CastLike", takes_casts, lower, CAST_LIKE },
    { "", "Clip", mbr_cl_takes_numbers, lower, CLIP },
    { "", "DequantizeLinear", takes_casts, lower_quantize, DEQUANTIZE },
    { "", "QuantizeLinear", takes_casts, lower_quantize, QUANTIZE },
    { "com.microsoft", "DequantizeLinear", takes_casts, lower_quantize, DEQUANTIZE },
    { "com.microsoft", "QuantizeLinear", takes_casts, lower_quantize, QUANTIZE },
    { "", "SwiGLU", takes_chained, lower, UNARY },
    { "", "Where", takes_casts, lower, WHERE },
    { "mbr", "Chain", mbr_cl_takes_numbers, lower, CHAIN },
    { 0 },
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chains: any number of elementwise f32 operators as one pass over memory.
 *
 * A chain is a straight-line program on registers. It runs over an N-d space, tile by tile: a register holds one tile
 * (at most MBR_CHAIN_TILE floats) and stays in the first-level cache. Registers 0 .. inputs-1 are the inputs and are
 * read only; the rest are written by the code before they are read. Each output is a register's value at the end.
 *
 *     for every tile: for every instruction: dst = op(a, b, c, x, y), elementwise
 *
 * Arithmetic is IEEE f32, no flush to zero, except that the functions marked * are approximations with an error of at
 * most 4 ULP (see chain_test); special values (NaN, infinities, signed zeros) are as IEEE and ONNX say everywhere.
 * A value never depends on its neighbours, the tile cut or the thread, so a chain gives the same bits however it is
 * split. Comparisons give 1.0 or 0.0; as conditions, everything but 0.0 is true.
 */
#ifndef MBR_KERNELS_CHAIN_H
#define MBR_KERNELS_CHAIN_H

#include "kernels/cpu.h"
#include "kernels/view.h"
#include "mbr/dtype.h"

#define MBR_CHAIN_TILE 512
#define MBR_CHAIN_REGS 16
#define MBR_CHAIN_INPUTS 12
#define MBR_CHAIN_OUTPUTS 4
#define MBR_CHAIN_CODE 32

/*
 * Every operator: name, number of register operands, which immediates it reads (0 none, 1 x, 2 x and y), formula.
 * The list is the documentation, the names in traces and the test cases.
 */
#define MBR_CHAIN_OPS(OP)                                                                                              \
    OP(MOV, 1, 0, "a")                                                                                                 \
    OP(ADD, 2, 0, "a + b")                                                                                             \
    OP(SUB, 2, 0, "a - b")                                                                                             \
    OP(MUL, 2, 0, "a * b")                                                                                             \
    OP(DIV, 2, 0, "a / b")                                                                                             \
    OP(MIN, 2, 0, "the smaller, NaN wins")                                                                             \
    OP(MAX, 2, 0, "the larger, NaN wins")                                                                              \
    OP(POW, 2, 0, "a ^ b *")                                                                                           \
    OP(FMA, 3, 0, "a * b + c, fused if the tier can")                                                                   \
    OP(PRELU, 2, 0, "a < 0 ? a * b : a")                                                                               \
    OP(WHERE, 3, 0, "a ? b : c")                                                                                       \
    OP(ADDI, 1, 1, "a + x")                                                                                            \
    OP(SUBI, 1, 1, "a - x")                                                                                            \
    OP(RSUBI, 1, 1, "x - a")                                                                                           \
    OP(MULI, 1, 1, "a * x")                                                                                            \
    OP(DIVI, 1, 1, "a / x")                                                                                            \
    OP(RDIVI, 1, 1, "x / a")                                                                                           \
    OP(MINI, 1, 1, "the smaller of a and x, NaN wins")                                                                 \
    OP(MAXI, 1, 1, "the larger of a and x, NaN wins")                                                                  \
    OP(POWI, 1, 1, "a ^ x *; exact products for x = 2, 3, -1, 0.5 and the like")                                       \
    OP(RPOWI, 1, 1, "x ^ a *")                                                                                         \
    OP(FMAI, 1, 2, "a * x + y, fused if the tier can")                                                                  \
    OP(MULADD, 1, 2, "(a * x) + y, rounded twice")                                                                     \
    OP(CLIP, 1, 2, "min(max(a, x), y); NaN stays")                                                                     \
    OP(NEG, 1, 0, "-a")                                                                                                \
    OP(ABS, 1, 0, "|a|")                                                                                               \
    OP(SQUARE, 1, 0, "a * a")                                                                                          \
    OP(SQRT, 1, 0, "sqrt(a)")                                                                                          \
    OP(RSQRT, 1, 0, "1 / sqrt(a), both rounded")                                                                       \
    OP(RECIPROCAL, 1, 0, "1 / a")                                                                                      \
    OP(FLOOR, 1, 0, "floor(a)")                                                                                        \
    OP(CEIL, 1, 0, "ceil(a)")                                                                                          \
    OP(ROUND, 1, 0, "to the nearest integer, halves to even")                                                          \
    OP(TRUNC, 1, 0, "toward zero")                                                                                     \
    OP(SIGN, 1, 0, "-1, 0 or 1; NaN stays")                                                                            \
    OP(EXP, 1, 0, "e ^ a *")                                                                                           \
    OP(LOG, 1, 0, "ln(a) *")                                                                                           \
    OP(SIN, 1, 0, "sin(a) *")                                                                                          \
    OP(COS, 1, 0, "cos(a) *")                                                                                          \
    OP(TANH, 1, 0, "tanh(a) *")                                                                                        \
    OP(ERF, 1, 0, "erf(a) *")                                                                                          \
    OP(SIGMOID, 1, 0, "1 / (1 + e^-a) *")                                                                              \
    OP(RELU, 1, 0, "max(a, 0); NaN stays")                                                                             \
    OP(LEAKY_RELU, 1, 1, "a < 0 ? a * x : a")                                                                          \
    OP(THRESHOLDED_RELU, 1, 1, "a > x ? a : 0")                                                                        \
    OP(ELU, 1, 1, "a < 0 ? x * (e^a - 1) : a *")                                                                       \
    OP(SELU, 1, 2, "y * (a < 0 ? x * (e^a - 1) : a) *")                                                                \
    OP(CELU, 1, 1, "max(a, 0) + min(0, x * (e^(a/x) - 1)) *")                                                          \
    OP(SOFTPLUS, 1, 0, "ln(1 + e^a) *")                                                                                \
    OP(SOFTSIGN, 1, 0, "a / (1 + |a|)")                                                                                \
    OP(HARD_SIGMOID, 1, 2, "min(1, max(0, x * a + y)); NaN stays")                                                     \
    OP(HARD_SWISH, 1, 0, "a * min(1, max(0, a / 6 + 1/2))")                                                            \
    OP(MISH, 1, 0, "a * tanh(ln(1 + e^a)) *")                                                                          \
    OP(SWISH, 1, 1, "a / (1 + e^(-x a)) *; x = 1 is SiLU")                                                             \
    OP(GELU, 1, 0, "a / 2 * (1 + erf(a / sqrt 2)) *")                                                                  \
    OP(GELU_TANH, 1, 0, "a / 2 * (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3))) *")                                         \
    OP(SHRINK, 1, 2, "a < -x ? a + y : a > x ? a - y : 0")                                                             \
    OP(EQ, 2, 0, "a == b")                                                                                             \
    OP(NE, 2, 0, "a != b")                                                                                             \
    OP(LT, 2, 0, "a < b")                                                                                              \
    OP(LE, 2, 0, "a <= b")                                                                                             \
    OP(GT, 2, 0, "a > b")                                                                                              \
    OP(GE, 2, 0, "a >= b")                                                                                             \
    OP(AND, 2, 0, "a and b, as conditions")                                                                            \
    OP(OR, 2, 0, "a or b")                                                                                             \
    OP(XOR, 2, 0, "either")                                                                                            \
    OP(NOT, 1, 0, "a == 0")                                                                                            \
    OP(ISNAN, 1, 0, "a != a")                                                                                          \
    OP(FMOD, 2, 0, "fmod(a, b)")

typedef enum mbr_chain_op {
#define MBR_CHAIN_ENUM(name, regs, imms, text) MBR_CHAIN_##name,
    MBR_CHAIN_OPS(MBR_CHAIN_ENUM)
#undef MBR_CHAIN_ENUM
    MBR_CHAIN_OP_COUNT
} mbr_chain_op;

/* Unused operands are 0. dst may be one of the operands (not an input register). */
typedef struct mbr_chain_insn {
    uint8_t op; /* mbr_chain_op */
    uint8_t dst;
    uint8_t a, b, c;
    float x, y;
} mbr_chain_insn;

/*
 * Types of inputs and outputs. The registers are f32: narrower inputs widen exactly; i32 inputs round to nearest.
 * Outputs of integer type round halves to even and saturate (NaN gives 0, as QuantizeLinear wants); bool outputs are
 * value != 0; f16 and bf16 round to nearest even.
 * Allowed: F32, F16, BF16, U8, I8, BOOL, I32.
 */
typedef struct mbr_chain {
    int inputs, outputs, length;
    mbr_chain_insn code[MBR_CHAIN_CODE]; /* may be empty: a copy, broadcast or conversion */
    uint8_t output_reg[MBR_CHAIN_OUTPUTS];
    mbr_dtype input_type[MBR_CHAIN_INPUTS];   /* MBR_DTYPE_UNDEFINED stands for F32 */
    mbr_dtype output_type[MBR_CHAIN_OUTPUTS];
} mbr_chain;

/* A mistake in the program (register out of range, read before written, wrong type ...), or NULL when it is good. */
const char *mbr_chain_check(const mbr_chain *chain);

const char *mbr_chain_op_name(mbr_chain_op op);
int mbr_chain_op_operands(mbr_chain_op op);
int mbr_chain_op_immediates(mbr_chain_op op);

/*
 * The space as the kernel walks it, made by mbr_chain_space_init from plain shapes: dimensions collapsed, and every
 * operand classified. Remake it whenever a dimension changes (cheap: no allocation, a few hundred cycles).
 */
typedef enum mbr_chain_pattern {
    MBR_CHAIN_DENSE,  /* follows the space element by element: read and written in place */
    MBR_CHAIN_SCALAR, /* one value */
    MBR_CHAIN_COLUMN, /* the same in every row: a vector along the innermost dimension */
    MBR_CHAIN_ROW,    /* constant along the innermost dimension */
    MBR_CHAIN_STRIDED /* anything else */
} mbr_chain_pattern;

typedef struct mbr_chain_space {
    int rank;
    size_t count; /* elements in all */
    size_t inner; /* the innermost dimension */
    size_t tile;  /* elements of a tile: a multiple of inner, or a part of one row */
    size_t tiles;
    size_t row_tiles; /* tiles of a row when a row is larger than a tile, else 0 */
    size_t dims[MBR_KERNEL_RANK];
    ptrdiff_t in_strides[MBR_CHAIN_INPUTS][MBR_KERNEL_RANK];
    ptrdiff_t out_strides[MBR_CHAIN_OUTPUTS][MBR_KERNEL_RANK];
    mbr_chain_pattern in_pattern[MBR_CHAIN_INPUTS];
    mbr_chain_pattern out_pattern[MBR_CHAIN_OUTPUTS]; /* DENSE or STRIDED */
    int16_t direct_from[MBR_CHAIN_OUTPUTS]; /* the instruction that writes straight to the output, or -1 */
    bool plain; /* one tile of f32, no input ROW or STRIDED, every output direct: nothing to bring or to take away */
} mbr_chain_space;

/*
 * dims: the space (the broadcast shape). in_strides[i], out_strides[i]: rank strides in elements, 0 where an operand
 * is broadcast; NULL stands for dense. Outputs must not broadcast.
 */
void mbr_chain_space_init(mbr_chain_space *space, const mbr_chain *chain, int rank, const size_t *dims,
                          const ptrdiff_t *const *in_strides, const ptrdiff_t *const *out_strides);

/*
 * Tiles first .. last-1 of space->tiles. in[i] and out[i] are the first elements of the operands. An output may be the
 * same buffer as one DENSE input of the same element size; other overlap is not allowed. Reads and writes nothing past
 * the ends. Uses about 40 KB of stack.
 */
typedef void mbr_chain_fn(const mbr_chain *chain, const mbr_chain_space *space, const void *const *in, void *const *out,
                          size_t first, size_t last);

mbr_chain_fn mbr_chain_ref;
mbr_chain_fn *mbr_chain_select(unsigned tiers);

/* A guess at the cost of one element in tenths of a nanosecond, for splitting work and choosing team sizes. */
unsigned mbr_chain_cost(const mbr_chain *chain);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every chain kernel does around its arithmetic: bring the inputs of a tile into registers (in place where that
 * is possible), and the outputs to their places. A kernel includes this with MBR_CHAIN_EXEC defined as its
 *     void exec(const mbr_chain_insn *insn, float *dst, const float *a, const float *b, const float *c, size_t n)
 * and MBR_CHAIN_LOAD, MBR_CHAIN_STORE as its type conversions of n dense elements; dst may be any of a, b, c.
 */
#include "base/half.h"
#include "kernels/chain.h"

#include <string.h>

typedef struct chain_tiles {
    _Alignas(64) float reg[MBR_CHAIN_REGS][MBR_CHAIN_TILE];
} chain_tiles;

typedef struct chain_state {
    const mbr_chain *chain;
    const mbr_chain_space *space;
    const void *const *in;
    void *const *out;
    chain_tiles *tiles;
    bool filled[MBR_CHAIN_INPUTS]; /* the register already holds what every tile needs */
    ptrdiff_t held[MBR_CHAIN_INPUTS]; /* ROW: element offset of the value that the register is filled with, or -1 */
    size_t held_count[MBR_CHAIN_INPUTS];
} chain_state;

static inline size_t chain_type_size(mbr_dtype t)
{
    switch (t) {
    case MBR_DTYPE_F16:
    case MBR_DTYPE_BF16:
        return 2;
    case MBR_DTYPE_U8:
    case MBR_DTYPE_I8:
    case MBR_DTYPE_BOOL:
        return 1;
    default:
        return 4;
    }
}

static inline bool chain_is_f32(mbr_dtype t)
{
    return t == MBR_DTYPE_UNDEFINED || t == MBR_DTYPE_F32;
}

static inline float chain_load_one(mbr_dtype t, const void *p)
{
    float x;
    uint16_t h;
    int32_t i;
    switch (t) {
    case MBR_DTYPE_F16: memcpy(&h, p, 2); return mbr_f16_to_f32(h);
    case MBR_DTYPE_BF16: memcpy(&h, p, 2); return mbr_bf16_to_f32(h);
    case MBR_DTYPE_U8: return *(const uint8_t *)p;
    case MBR_DTYPE_I8: return *(const int8_t *)p;
    case MBR_DTYPE_BOOL: return *(const uint8_t *)p ? 1.0f : 0.0f;
    case MBR_DTYPE_I32: memcpy(&i, p, 4); return (float)i;
    default: memcpy(&x, p, 4); return x;
    }
}

static inline void chain_fill(float *dst, float x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = x;
}

/* `row` again and again, `inner` of it, until there are n. */
static inline void chain_repeat(float *dst, const float *row, size_t inner, size_t n)
{
    if (dst != row)
        memcpy(dst, row, inner * sizeof *dst);
    for (size_t have = inner; have < n; have *= 2)
        memcpy(dst + have, dst, (have < n - have ? have : n - have) * sizeof *dst);
}

/* n elements, `stride` apart, into dst. */
static void chain_load_run(mbr_dtype t, float *dst, const char *src, ptrdiff_t stride, size_t n)
{
    ptrdiff_t size = (ptrdiff_t)chain_type_size(t);
    if (stride == 0)
        chain_fill(dst, chain_load_one(t, src), n);
    else if (stride == 1 && chain_is_f32(t))
        memcpy(dst, src, n * sizeof *dst);
    else if (stride == 1)
        MBR_CHAIN_LOAD(t, dst, src, n);
    else
        for (size_t i = 0; i < n; i++)
            dst[i] = chain_load_one(t, src + (ptrdiff_t)i * stride * size);
}

static inline ptrdiff_t chain_row_offset(const mbr_chain_space *s, const ptrdiff_t *strides, size_t row)
{
    ptrdiff_t offset = 0;
    for (int d = s->rank - 2; d >= 0; d--) {
        offset += (ptrdiff_t)(row % s->dims[d]) * strides[d];
        row /= s->dims[d];
    }
    return offset;
}

/* The tile's piece of input i, as n dense floats: in place, or in its register. */
static const float *chain_input(chain_state *st, int i, size_t row, size_t col, size_t n)
{
    const mbr_chain_space *s = st->space;
    mbr_dtype t = st->chain->input_type[i];
    const ptrdiff_t *strides = s->in_strides[i];
    const char *base = st->in[i];
    ptrdiff_t size = (ptrdiff_t)chain_type_size(t);
    float *reg = st->tiles->reg[i];
    ptrdiff_t step = strides[s->rank - 1];
    ptrdiff_t at;
    switch (s->in_pattern[i]) {
    case MBR_CHAIN_DENSE:
        at = (ptrdiff_t)(row * s->inner + col);
        if (chain_is_f32(t))
            return (const float *)(const void *)base + at;
        MBR_CHAIN_LOAD(t, reg, base + at * size, n);
        return reg;
    case MBR_CHAIN_SCALAR:
        if (!st->filled[i])
            chain_fill(reg, chain_load_one(t, base), s->tile < s->count ? s->tile : s->count);
        st->filled[i] = true;
        return reg;
    case MBR_CHAIN_COLUMN:
        if (s->row_tiles) {
            if (chain_is_f32(t))
                return (const float *)(const void *)base + col;
            MBR_CHAIN_LOAD(t, reg, base + (ptrdiff_t)col * size, n);
            return reg;
        }
        if (!st->filled[i]) {
            chain_load_run(t, reg, base, 1, s->inner);
            chain_repeat(reg, reg, s->inner, s->tile < s->count ? s->tile : s->count);
        }
        st->filled[i] = true;
        return reg;
    default:
        break;
    }
    if (s->row_tiles) {
        at = chain_row_offset(s, strides, row);
        if (step == 1 && chain_is_f32(t))
            return (const float *)(const void *)base + at + (ptrdiff_t)col;
        if (step == 0 && st->held[i] == at && st->held_count[i] >= n)
            return reg;
        chain_load_run(t, reg, base + (at + (ptrdiff_t)col * step) * size, step, n);
        st->held[i] = at;
        st->held_count[i] = step == 0 ? n : 0;
        return reg;
    }
    for (size_t k = 0; k < n; k += s->inner, row++)
        chain_load_run(t, reg + k, base + chain_row_offset(s, strides, row) * size, step, s->inner);
    return reg;
}

static inline float chain_round_clamp(float x, float low, float high)
{
    return x != x ? 0.0f : x < low ? low : x > high ? high : rintf(x);
}

static inline void chain_store_one(mbr_dtype t, void *p, float x)
{
    uint16_t h;
    int32_t i;
    switch (t) {
    case MBR_DTYPE_F16: h = mbr_f32_to_f16(x); memcpy(p, &h, 2); break;
    case MBR_DTYPE_BF16: h = mbr_f32_to_bf16(x); memcpy(p, &h, 2); break;
    case MBR_DTYPE_U8: *(uint8_t *)p = (uint8_t)chain_round_clamp(x, 0.0f, 255.0f); break;
    case MBR_DTYPE_I8: *(int8_t *)p = (int8_t)chain_round_clamp(x, -128.0f, 127.0f); break;
    case MBR_DTYPE_BOOL: *(uint8_t *)p = x != 0.0f; break;
    case MBR_DTYPE_I32:
        i = x >= 2147483648.0f ? INT32_MAX : (int32_t)chain_round_clamp(x, -2147483648.0f, 2147483520.0f);
        memcpy(p, &i, 4);
        break;
    default: memcpy(p, &x, 4); break;
    }
}

static void chain_output(const chain_state *st, int o, size_t row, size_t col, size_t n, const float *reg)
{
    const mbr_chain_space *s = st->space;
    mbr_dtype t = st->chain->output_type[o];
    ptrdiff_t size = (ptrdiff_t)chain_type_size(t);
    char *base = st->out[o];
    if (s->out_pattern[o] == MBR_CHAIN_DENSE) {
        char *dst = base + (ptrdiff_t)(row * s->inner + col) * size;
        if (chain_is_f32(t)) {
            if ((const char *)reg != dst)
                memmove(dst, reg, n * sizeof *reg);
        } else {
            MBR_CHAIN_STORE(t, dst, reg, n);
        }
        return;
    }
    ptrdiff_t step = s->out_strides[o][s->rank - 1];
    for (size_t k = 0; k < n; row++, col = 0) {
        size_t run = s->row_tiles ? n : s->inner;
        char *dst = base + (chain_row_offset(s, s->out_strides[o], row) + (ptrdiff_t)col * step) * size;
        if (step == 1 && chain_is_f32(t))
            memcpy(dst, reg + k, run * sizeof *reg);
        else if (step == 1)
            MBR_CHAIN_STORE(t, dst, reg + k, run);
        else
            for (size_t j = 0; j < run; j++)
                chain_store_one(t, dst + (ptrdiff_t)j * step * size, reg[k + j]);
        k += run;
    }
}

static void chain_tile(chain_state *st, size_t row, size_t col, size_t n)
{
    const mbr_chain *c = st->chain;
    const mbr_chain_space *s = st->space;
    const float *reg[MBR_CHAIN_REGS] = {0};
    for (int i = 0; i < c->inputs; i++)
        reg[i] = chain_input(st, i, row, col, n);
    for (int i = 0; i < c->length; i++) {
        const mbr_chain_insn *insn = &c->code[i];
        float *dst = st->tiles->reg[insn->dst];
        for (int o = 0; o < c->outputs; o++)
            if (s->direct_from[o] == i)
                dst = (float *)st->out[o] + (row * s->inner + col);
        MBR_CHAIN_EXEC(insn, dst, reg[insn->a], reg[insn->b], reg[insn->c], n);
        reg[insn->dst] = dst;
    }
    for (int o = 0; o < c->outputs; o++)
        chain_output(st, o, row, col, n, reg[c->output_reg[o]]);
}

/* A space of one tile with nothing around the arithmetic: what a small tensor costs. */
static void chain_plain(const mbr_chain *chain, const mbr_chain_space *space, const void *const *in, void *const *out)
{
    chain_tiles tiles;
    const float *reg[MBR_CHAIN_REGS]; /* unused operands are register 0, which is an input */
    for (int i = 0; i < chain->inputs; i++) {
        reg[i] = in[i];
        if (space->in_pattern[i] == MBR_CHAIN_DENSE)
            continue;
        if (space->in_pattern[i] == MBR_CHAIN_SCALAR)
            chain_fill(tiles.reg[i], *reg[i], space->count);
        else
            chain_repeat(tiles.reg[i], reg[i], space->inner, space->count);
        reg[i] = tiles.reg[i];
    }
    for (int i = 0; i < chain->length; i++) {
        const mbr_chain_insn *insn = &chain->code[i];
        float *dst = tiles.reg[insn->dst];
        for (int o = 0; o < chain->outputs; o++)
            if (space->direct_from[o] == i)
                dst = out[o];
        MBR_CHAIN_EXEC(insn, dst, reg[insn->a], reg[insn->b], reg[insn->c], space->count);
        reg[insn->dst] = dst;
    }
}

static void chain_run(const mbr_chain *chain, const mbr_chain_space *space, const void *const *in, void *const *out,
                      size_t first, size_t last)
{
    if (space->plain && first == 0 && last == 1) {
        chain_plain(chain, space, in, out);
        return;
    }
    chain_tiles tiles;
    chain_state st = {.chain = chain, .space = space, .in = in, .out = out, .tiles = &tiles};
    for (int i = 0; i < chain->inputs; i++)
        st.held[i] = -1;
    for (size_t t = first; t < last; t++) {
        if (space->row_tiles) {
            size_t col = t % space->row_tiles * space->tile;
            size_t left = space->inner - col;
            chain_tile(&st, t / space->row_tiles, col, left < space->tile ? left : space->tile);
        } else {
            size_t from = t * space->tile;
            size_t left = space->count - from;
            chain_tile(&st, from / space->inner, 0, left < space->tile ? left : space->tile);
        }
    }
}

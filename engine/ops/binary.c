/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Elementwise functions of two and more tensors: Add ... Xor, and Min, Max, Mean, Sum of any number.
 *
 * Up to version 6 the second tensor was spread only on request (`broadcast`), from the axis `axis` on.
 */
#include "engine/ops/op_util.h"
#include "engine/ops/pointwise.h"
#include "kernels/convert.h"

#include <string.h>

#define LEFT 0x8000 /* a shift whose direction is an attribute */

typedef struct binary_state {
    mbr_op_chain chain; /* fn NULL: the typed loop; first: engine/opencl reads it */
    int op;
    int at;             /* axis where input 1 begins; -1: numpy */
    size_t each;        /* typed: of the first axis */
} binary_state;

static mbr_binary_op typed(const mbr_ir_node *node)
{
    mbr_binary_op op = (mbr_binary_op)mbr_pointwise_typed(node->op);
    if (op == MBR_BINARY_SHL && strcmp(mbr_attr_string(node, "direction", "LEFT"), "RIGHT") == 0)
        return MBR_BINARY_SHR;
    if (op == MBR_BINARY_FMOD && !mbr_attr_int(node, "fmod", 0))
        return MBR_BINARY_MOD;
    return op;
}

static bool legacy(const mbr_op *op)
{
    return op->since < 7 && op->max_in == 2 && strcmp(op->name, "PRelu") != 0;
}

/* May inputs of type t run as a chain, which computes in f32? */
static bool chains(const mbr_op *op, mbr_binary_op what, mbr_dtype t)
{
    if (!mbr_pointwise_has_chain(op) || what == MBR_BINARY_MOD)
        return false;
    if (what == MBR_BINARY_AND || what == MBR_BINARY_OR || what == MBR_BINARY_XOR)
        return t == MBR_DTYPE_BOOL;
    if (mbr_binary_gives_bool(what) && (t == MBR_DTYPE_BOOL || t == MBR_DTYPE_U8 || t == MBR_DTYPE_I8))
        return true;
    return mbr_chain_float(t);
}

/* --- inference --- */

static mbr_dim truth(mbr_infer *c, mbr_binary_op op, mbr_dim a, mbr_dim b)
{
    int64_t least = mbr_dim_lower_bound(c->dims, mbr_dim_sub(c->dims, a, b));
    int64_t most = mbr_dim_lower_bound(c->dims, mbr_dim_sub(c->dims, b, a)); /* a - b <= -most */
    bool known_ge = least >= 0, known_gt = least > 0, known_le = most >= 0, known_lt = most > 0;
    switch (op) {
    case MBR_BINARY_EQ:
        return a == b ? 1 : known_gt || known_lt ? 0 : MBR_DIM_UNKNOWN;
    case MBR_BINARY_LT:
        return known_lt ? 1 : known_ge ? 0 : MBR_DIM_UNKNOWN;
    case MBR_BINARY_LE:
        return known_le ? 1 : known_gt ? 0 : MBR_DIM_UNKNOWN;
    case MBR_BINARY_GT:
        return known_gt ? 1 : known_le ? 0 : MBR_DIM_UNKNOWN;
    case MBR_BINARY_GE:
        return known_ge ? 1 : known_lt ? 0 : MBR_DIM_UNKNOWN;
    default:
        return MBR_DIM_UNKNOWN;
    }
}

static mbr_dim number(mbr_infer *c, mbr_binary_op op, mbr_dim a, mbr_dim b)
{
    bool plain = mbr_dim_is_const(a) && mbr_dim_is_const(b);
    switch (op) {
    case MBR_BINARY_ADD:
        return mbr_dim_add(c->dims, a, b);
    case MBR_BINARY_SUB:
        return mbr_dim_sub(c->dims, a, b);
    case MBR_BINARY_MUL:
        return mbr_dim_mul(c->dims, a, b);
    case MBR_BINARY_MIN:
        return mbr_dim_min(c->dims, a, b);
    case MBR_BINARY_MAX:
        return mbr_dim_max(c->dims, a, b);
    case MBR_BINARY_DIV: /* toward zero: the floor only where the result is not negative */
        if (b == 0)
            return MBR_DIM_UNKNOWN;
        if (plain)
            return a / b;
        if (mbr_dim_lower_bound(c->dims, a) >= 0 && mbr_dim_lower_bound(c->dims, b) > 0)
            return mbr_dim_div(c->dims, a, b);
        return MBR_DIM_UNKNOWN;
    case MBR_BINARY_MOD:
        return b == 0 ? MBR_DIM_UNKNOWN : mbr_dim_make(c->dims, MBR_DIM_MOD, a, b);
    case MBR_BINARY_FMOD:
        if (b == 0)
            return MBR_DIM_UNKNOWN;
        if (plain)
            return a % b;
        if (mbr_dim_lower_bound(c->dims, a) >= 0 && mbr_dim_lower_bound(c->dims, b) > 0)
            return mbr_dim_make(c->dims, MBR_DIM_MOD, a, b);
        return MBR_DIM_UNKNOWN;
    case MBR_BINARY_AND:
        return a == 0 || b == 0 ? 0 : plain ? 1 : MBR_DIM_UNKNOWN;
    case MBR_BINARY_OR:
        return plain ? a || b : MBR_DIM_UNKNOWN;
    case MBR_BINARY_XOR:
        return plain ? !a != !b : MBR_DIM_UNKNOWN;
    default:
        return mbr_binary_gives_bool(op) ? truth(c, op, a, b) : MBR_DIM_UNKNOWN;
    }
}

static void content(mbr_infer *c, mbr_binary_op op)
{
    mbr_dim v[MBR_OP_CONTENT], w[MBR_OP_CONTENT];
    size_t n, m;
    mbr_dtype t = c->in[0].dtype;
    /* narrow and unsigned types wrap: not for the arithmetic of sizes */
    if (t != MBR_DTYPE_I64 && t != MBR_DTYPE_I32 && t != MBR_DTYPE_BOOL)
        return;
    if (!mbr_infer_ints(c, 0, v, MBR_OP_CONTENT, &n))
        return;
    for (uint32_t k = 1; k < c->n_in; k++) {
        if (!mbr_infer_ints(c, k, w, MBR_OP_CONTENT, &m) || (n != m && n != 1 && m != 1))
            return;
        if (c->in[k].rank > 1 || c->in[0].rank > 1) /* broadcasting of matrices is left to the run */
            if (n != 1 && m != 1)
                return;
        size_t count = n == 1 ? m : n;
        mbr_dim first = v[0];
        for (size_t i = 0; i < count; i++) {
            v[i] = number(c, op, n == 1 ? first : v[i], m == 1 ? w[0] : w[i]);
            if (!mbr_dim_is_known(v[i]))
                return;
        }
        n = count;
    }
    mbr_infer_set_content(c, 0, v, n);
}

static mbr_status infer_legacy(mbr_infer *c, mbr_dtype type)
{
    const mbr_arg *a = &c->in[0], *b = &c->in[1];
    bool spread = mbr_attr_int(c->node, "broadcast", 0) != 0;
    mbr_infer_out(c, 0, type, a->rank, a->dims);
    if (a->rank < 0 || b->rank < 0)
        return MBR_OK;
    int at = a->rank - b->rank;
    if (spread && mbr_attr(c->node, "axis")) {
        int64_t axis = mbr_attr_int(c->node, "axis", 0);
        at = (int)(axis < 0 && axis >= -a->rank ? axis + a->rank : axis);
        if (axis < -a->rank || axis > a->rank)
            at = -1;
    }
    if (at < 0 || at + b->rank > a->rank || (!spread && at != 0))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the second tensor (rank %d) does not fit into the first (rank %d)",
                              b->rank, a->rank);
    for (int i = 0; i < b->rank; i++)
        if (mbr_dim_is_const(a->dims[at + i]) && mbr_dim_is_const(b->dims[i]) && a->dims[at + i] != b->dims[i] &&
            !(spread && b->dims[i] == 1))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %d of the second tensor is %lld, the first has %lld", i,
                                  (long long)b->dims[i], (long long)a->dims[at + i]);
    return MBR_OK;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_op *op = c->node->op;
    mbr_binary_op what = typed(c->node);
    mbr_dtype t = c->in[0].dtype;
    bool mixed = what == MBR_BINARY_POW && op->since >= 12;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    if (what == MBR_BINARY_SHL || what == MBR_BINARY_SHR) {
        const char *direction = mbr_attr_string(c->node, "direction", "LEFT");
        if (strcmp(direction, "LEFT") != 0 && strcmp(direction, "RIGHT") != 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "direction '%s'; LEFT or RIGHT is due", direction);
    }
    for (uint32_t i = 1; i < c->n_in; i++) {
        if (!c->in[i].present)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u is absent", (unsigned)i);
        if (mixed)
            MBR_TRY(mbr_op_check_type(c, i, MBR_TYPES_NUMBER));
        else
            MBR_TRY(mbr_op_check_same(c, 0, i));
    }
    if (mixed)
        MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_NUMBER));
    bool text = t == MBR_DTYPE_STRING && what == MBR_BINARY_EQ;
    if (t && !text && !mbr_elementwise_binary_has(what, t) && !chains(op, what, t))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "it does not take tensors of %s", mbr_dtype_name(t));
    mbr_dtype type = mbr_binary_gives_bool(what) ? MBR_DTYPE_BOOL : t;
    if (legacy(op))
        return infer_legacy(c, type);
    if (what == MBR_BINARY_PRELU && op->since < 7) { /* one slope, or one for each channel (axis 1) */
        mbr_infer_out(c, 0, type, c->in[0].rank, c->in[0].dims);
        return MBR_OK;
    }
    int rank = -1;
    mbr_dim dims[MBR_MAX_RANK];
    mbr_status st = MBR_OK;
    if (c->n_in == 2) {
        const mbr_arg *args[2] = { &c->in[0], &c->in[1] };
        st = mbr_infer_broadcast(c, args, 2, &rank, dims);
    } else {
        mbr_arg sum = c->in[0];
        rank = sum.rank;
        memcpy(dims, sum.dims, sizeof dims);
        for (uint32_t i = 1; i < c->n_in && st == MBR_OK; i++) {
            const mbr_arg *args[2] = { &sum, &c->in[i] };
            st = mbr_infer_broadcast(c, args, 2, &rank, dims);
            sum.rank = rank;
            memcpy(sum.dims, dims, sizeof dims);
        }
    }
    if (st != MBR_OK)
        return st;
    if (what == MBR_BINARY_PRELU && c->in[0].rank >= 0) {
        rank = c->in[0].rank;
        memcpy(dims, c->in[0].dims, sizeof dims);
    }
    mbr_infer_out(c, 0, type, rank, dims);
    content(c, what);
    return MBR_OK;
}

/* --- steps --- */

static mbr_status init(mbr_step *s, mbr_error *err)
{
    binary_state *st = s->state;
    (void)err;
    st->op = typed(s->node);
    return MBR_OK;
}

static void place(mbr_step *s, binary_state *st)
{
    st->at = -1;
    if (legacy(s->op)) {
        int a = s->in[0]->rank, b = s->in[1]->rank;
        st->at = a - b;
        if (mbr_attr_int(s->node, "broadcast", 0) && mbr_attr(s->node, "axis"))
            st->at = mbr_op_axis(mbr_attr_int(s->node, "axis", 0), a);
    } else if (st->op == MBR_BINARY_PRELU && s->op->since < 7 && s->in[1]->rank == 1 && s->in[0]->rank > 1 &&
               s->in[1]->dims[0] == s->in[0]->dims[1]) {
        st->at = 1;
    }
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    binary_state *st = s->state;
    mbr_chain *chain = &st->chain.chain;
    mbr_dtype t = s->in[0]->dtype;
    uint32_t n = s->n_in;
    place(s, st);
    if (st->op == MBR_BINARY_PRELU)
        for (int i = 0; i < s->in[1]->rank && st->at < 0; i++) {
            int a = s->in[0]->rank - s->in[1]->rank + i;
            if (s->in[1]->dims[i] != 1 && (a < 0 || s->in[0]->dims[a] != s->in[1]->dims[i]))
                return mbr_step_fail(s, err, MBR_ERR_RUN, "the slope does not spread over the tensor");
        }
    st->chain.fn = NULL;
    float x;
    bool power = st->op == MBR_BINARY_POW && mbr_chain_float(t) && mbr_pointwise_constant(s->node, 1, &x);
    bool same = st->op != MBR_BINARY_POW || s->in[1]->dtype == t;
    if (power || (same && n <= MBR_POINTWISE_CODE && chains(s->op, (mbr_binary_op)st->op, t))) {
        mbr_chain_op op = mbr_pointwise_chain(s->op);
        uint8_t to = (uint8_t)n;
        chain->inputs = power ? 1 : (int)n;
        chain->outputs = 1;
        chain->length = 0;
        if (power) {
            to = 1;
            chain->code[chain->length++] = (mbr_chain_insn){ .op = MBR_CHAIN_POWI, .dst = to, .a = 0, .x = x };
        } else if (n == 1) {
            chain->code[chain->length++] = (mbr_chain_insn){ .op = MBR_CHAIN_MOV, .dst = to, .a = 0 };
        }
        for (uint32_t i = 1; i < n && !power; i++)
            chain->code[chain->length++] =
                (mbr_chain_insn){ .op = (uint8_t)op, .dst = to, .a = i == 1 ? 0 : to, .b = (uint8_t)i };
        if (n > 1 && strcmp(s->op->name, "Mean") == 0)
            chain->code[chain->length++] = (mbr_chain_insn){ .op = MBR_CHAIN_DIVI, .dst = to, .a = to, .x = (float)n };
        chain->output_reg[0] = to;
        for (uint32_t i = 0; i < n && i < MBR_CHAIN_INPUTS; i++)
            st->chain.from[i] = (uint8_t)i;
        return mbr_op_chain_prepare(s, &st->chain, st->at, err);
    }
    const mbr_value *out = s->out[0];
    for (uint32_t i = 0; i < n; i++)
        MBR_TRY(mbr_op_check_spread(s, i, out, i && st->at >= 0 ? st->at : out->rank - s->in[i]->rank, err));
    size_t rows = out->rank ? (size_t)out->dims[0] : 1, count = mbr_value_count(out);
    st->each = count == 0 ? 1 : mbr_step_split(s, rows, (double)(count / rows) * 3.0 * (double)(n > 1 ? n - 1 : 1));
    return MBR_OK;
}

static void equal_text(int rank, const size_t *dims, const mbr_string *a, const ptrdiff_t *as, const mbr_string *b,
                       const ptrdiff_t *bs, uint8_t *out)
{
    size_t n = mbr_dims_count(rank, dims);
    for (size_t i = 0; i < n; i++) {
        size_t rest = i;
        ptrdiff_t p = 0, q = 0;
        for (int d = rank - 1; d >= 0; d--) {
            p += (ptrdiff_t)(rest % dims[d]) * as[d];
            q += (ptrdiff_t)(rest % dims[d]) * bs[d];
            rest /= dims[d];
        }
        out[i] = a[p].size == b[q].size && (a[p].size == 0 || memcmp(a[p].data, b[q].data, a[p].size) == 0);
    }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const binary_state *st = s->state;
    if (st->chain.fn) {
        mbr_op_chain_run(s, &st->chain, job);
        return MBR_OK;
    }
    mbr_value *out = s->out[0];
    mbr_dtype t = s->in[0]->dtype;
    size_t dims[MBR_MAX_RANK + 1], first, last;
    ptrdiff_t to[MBR_MAX_RANK], as[MBR_MAX_RANK], bs[MBR_MAX_RANK];
    int rank = mbr_op_dims(out, dims);
    mbr_op_items(job, st->each, rank ? dims[0] : 1, &first, &last);
    if (first == last || mbr_value_count(out) == 0)
        return MBR_OK;
    mbr_dense_strides(rank, dims, to);
    mbr_op_strides(s->in[0], rank, as);
    ptrdiff_t skip = rank ? (ptrdiff_t)first : 0, row_to = rank ? to[0] : 0, row_a = rank ? as[0] : 0;
    if (rank)
        dims[0] = last - first;
    char *o = (char *)out->data + skip * row_to * (ptrdiff_t)mbr_dtype_size(out->dtype);
    const char *a = (const char *)s->in[0]->data + skip * row_a * (ptrdiff_t)mbr_dtype_size(t);
    unsigned met = 0;
    if (s->n_in == 1) { /* Sum and the like of a single tensor */
        if (o != a)
            memcpy(o, a, mbr_dims_count(rank, dims) * mbr_dtype_size(t));
        return MBR_OK;
    }
    for (uint32_t k = 1; k < s->n_in; k++) {
        const mbr_value *v = s->in[k];
        mbr_op_strides_at(v, rank, st->at >= 0 ? st->at : rank - v->rank, bs);
        const char *b = (const char *)v->data + (rank ? skip * bs[0] * (ptrdiff_t)mbr_dtype_size(v->dtype) : 0);
        if (st->op == MBR_BINARY_POW && v->dtype != t)
            mbr_elementwise_pow_ref(t, v->dtype, rank, dims, a, as, b, bs, o, to);
        else if (t == MBR_DTYPE_STRING)
            equal_text(rank, dims, (const mbr_string *)(const void *)a, as, (const mbr_string *)(const void *)b, bs,
                       (uint8_t *)o);
        else
            met |= mbr_elementwise_binary_ref((mbr_binary_op)st->op, t, rank, dims, a, as, b, bs, o, to);
        a = o;
        memcpy(as, to, sizeof as);
    }
    if (strcmp(s->op->name, "Mean") == 0) {
        static const ptrdiff_t still[MBR_MAX_RANK] = { 0 };
        mbr_convert_args to_t = { .from = MBR_DTYPE_F32, .to = t };
        float n = (float)s->n_in;
        uint64_t divisor;
        mbr_convert_ref(&to_t, &n, &divisor, 1);
        mbr_elementwise_binary_ref(MBR_BINARY_DIV, t, rank, dims, o, to, &divisor, still, o, to);
    }
    if (met & MBR_ELEMENTWISE_ZERO_DIVISOR)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "an integer is divided by zero");
    return MBR_OK;
}

#define NARY(op_name, version, most, typed_op, chain_op, more)                                                         \
    { .domain = "", .name = op_name, .since = version, .min_in = (most) == 2 ? 2 : 1, .max_in = most, .min_out = 1,    \
      .max_out = 1, .flags = MBR_OP_INPLACE0 | ((version) < 7 ? 0 : MBR_OP_INPLACE1) | (more), .infer = infer,         \
      .init = init, .prepare = prepare, .run = run, .state_size = sizeof(binary_state),                                \
      .param = MBR_POINTWISE_PARAM(MBR_BINARY_##typed_op, chain_op) }
#define CHAINED(name, version, op) NARY(name, version, 2, op, MBR_CHAIN_##op, MBR_OP_CHAIN)
#define TYPED(name, version, op) NARY(name, version, 2, op, MBR_POINTWISE_NO_CHAIN, 0)
#define MANY(name, op) NARY(name, 1, MBR_OP_MANY, op, MBR_CHAIN_##op, MBR_OP_CHAIN)

const mbr_op mbr_ops_binary[] = {
    CHAINED("Add", 1, ADD),
    CHAINED("Add", 7, ADD),
    CHAINED("And", 1, AND),
    CHAINED("And", 7, AND),
    TYPED("BitShift", 11, SHL),
    TYPED("BitwiseAnd", 18, BITAND),
    TYPED("BitwiseOr", 18, BITOR),
    TYPED("BitwiseXor", 18, BITXOR),
    CHAINED("Div", 1, DIV),
    CHAINED("Div", 7, DIV),
    NARY("Equal", 1, 2, EQ, MBR_CHAIN_EQ, MBR_OP_CHAIN),
    NARY("Equal", 7, 2, EQ, MBR_CHAIN_EQ, MBR_OP_CHAIN),
    NARY("Greater", 1, 2, GT, MBR_CHAIN_GT, MBR_OP_CHAIN),
    NARY("Greater", 7, 2, GT, MBR_CHAIN_GT, MBR_OP_CHAIN),
    NARY("GreaterOrEqual", 12, 2, GE, MBR_CHAIN_GE, MBR_OP_CHAIN),
    NARY("Less", 1, 2, LT, MBR_CHAIN_LT, MBR_OP_CHAIN),
    NARY("Less", 7, 2, LT, MBR_CHAIN_LT, MBR_OP_CHAIN),
    NARY("LessOrEqual", 12, 2, LE, MBR_CHAIN_LE, MBR_OP_CHAIN),
    MANY("Max", MAX),
    NARY("Mean", 1, MBR_OP_MANY, ADD, MBR_CHAIN_ADD, MBR_OP_CHAIN),
    MANY("Min", MIN),
    CHAINED("Mod", 10, FMOD),
    CHAINED("Mul", 1, MUL),
    CHAINED("Mul", 7, MUL),
    CHAINED("Or", 1, OR),
    CHAINED("Or", 7, OR),
    CHAINED("PRelu", 1, PRELU),
    CHAINED("PRelu", 7, PRELU),
    CHAINED("Pow", 1, POW),
    CHAINED("Pow", 7, POW),
    CHAINED("Pow", 12, POW),
    CHAINED("Sub", 1, SUB),
    CHAINED("Sub", 7, SUB),
    MANY("Sum", ADD),
    CHAINED("Xor", 1, XOR),
    CHAINED("Xor", 7, XOR),
    { 0 },
};

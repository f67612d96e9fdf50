/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Einsum. Two f32 operands whose axes fall into a batch, rows, columns and a contraction that the matrix product can
 * walk as they lie run there; everything else goes through the plain sum of products.
 */
#include "engine/ops/op_util.h"

#include "kernels/cpu.h"
#include "kernels/einsum.h"
#include "kernels/gemm.h"

#include <ctype.h>
#include <string.h>

#define DOTS 128 /* labels from here on stand for the axes of "..." */
#define DOT_AXES MBR_MAX_RANK

typedef struct term {
    int n;
    int labels[MBR_MAX_RANK]; /* letters, or DOTS + i: axis i of the dots, counted so that they align at the right */
} term;

typedef struct equation {
    int operands;
    term in[MBR_EINSUM_OPERANDS], out;
    int dots; /* axes that "..." stands for */
} equation;

typedef struct einsum_state {
    mbr_einsum_args args;
    mbr_gemm_args gemm;
    const mbr_gemm_f32_kernel *kernel; /* NULL: the plain sum */
    bool swapped;                      /* the product's A is operand 1 */
    size_t each;
} einsum_state;

/* Reads one term; rank -1: unknown (only possible where it has no dots). Returns what is wrong, or NULL. */
static const char *read_term(const char **text, int rank, int *dots, term *t)
{
    int letters = 0, at = -1, list[MBR_MAX_RANK];
    for (; **text && **text != ',' && strncmp(*text, "->", 2) != 0; (*text)++) {
        if (**text == ' ')
            continue;
        if (strncmp(*text, "...", 3) == 0) {
            if (at >= 0)
                return "a term has two ellipses";
            at = letters;
            *text += 2;
            continue;
        }
        if (!isalpha((unsigned char)**text))
            return "a character that is no letter";
        if (letters == MBR_MAX_RANK)
            return "a term is too long";
        list[letters++] = (unsigned char)**text;
    }
    int hidden = at < 0 ? 0 : rank >= 0 ? rank - letters : *dots;
    if (hidden < 0 || letters + hidden > MBR_MAX_RANK || (at < 0 && rank >= 0 && letters != rank))
        return "a term does not fit the rank of its operand";
    *dots = hidden > *dots ? hidden : *dots;
    t->n = 0;
    for (int i = 0; i <= letters; i++) {
        if (i == at)
            for (int k = 0; k < hidden; k++)
                t->labels[t->n++] = DOTS + DOT_AXES - hidden + k;
        if (i < letters)
            t->labels[t->n++] = list[i];
    }
    return NULL;
}

static const char *read_equation(const mbr_ir_node *node, const int *ranks, int n, equation *e)
{
    const char *text = mbr_attr_string(node, "equation", NULL), *wrong = NULL;
    int seen[DOTS + DOT_AXES] = { 0 };
    if (!text)
        return "the attribute 'equation' is absent";
    e->operands = n;
    e->dots = 0;
    for (int i = 0; i < n && !wrong; i++) {
        wrong = read_term(&text, ranks[i], &e->dots, &e->in[i]);
        if (!wrong && i + 1 < n && *text++ != ',')
            return "fewer terms than operands";
    }
    if (wrong)
        return wrong;
    if (*text == ',')
        return "more terms than operands";
    for (int i = 0; i < n; i++)
        for (int k = 0; k < e->in[i].n; k++)
            seen[e->in[i].labels[k]]++;
    e->out.n = 0;
    if (*text == '\0') { /* the dots, then what occurs once, in alphabetical order */
        for (int i = DOTS; i < DOTS + DOT_AXES; i++)
            if (seen[i])
                e->out.labels[e->out.n++] = i;
        for (int i = 0; i < DOTS && i < 'z' + 1; i++)
            if (seen[i] == 1) {
                if (e->out.n == MBR_MAX_RANK)
                    return "the result has too many axes";
                e->out.labels[e->out.n++] = i;
            }
        return NULL;
    }
    text += 2;
    int dots = e->dots;
    wrong = read_term(&text, -1, &dots, &e->out);
    if (!wrong && *text)
        wrong = "there is text after the result's term";
    for (int i = 0; i < e->out.n && !wrong; i++) {
        if (!seen[e->out.labels[i]])
            wrong = "a label of the result is in no operand";
        for (int k = 0; k < i; k++)
            if (e->out.labels[k] == e->out.labels[i])
                wrong = "a label is twice in the result";
    }
    return wrong;
}

static mbr_status infer(mbr_infer *c)
{
    equation e;
    int ranks[MBR_EINSUM_OPERANDS];
    mbr_dim sizes[DOTS + DOT_AXES], dims[MBR_MAX_RANK];
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_NUMBER));
    if (c->n_in > MBR_EINSUM_OPERANDS)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "%u operands", (unsigned)c->n_in);
    for (uint32_t i = 0; i < c->n_in; i++) {
        if (!c->in[i].present)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u is absent", (unsigned)i);
        MBR_TRY(mbr_op_check_same(c, 0, i));
        ranks[i] = c->in[i].rank;
        if (ranks[i] < 0) {
            mbr_infer_out(c, 0, c->in[0].dtype, -1, NULL);
            return MBR_OK;
        }
    }
    const char *wrong = read_equation(c->node, ranks, (int)c->n_in, &e);
    if (wrong)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "equation '%s': %s", mbr_attr_string(c->node, "equation", ""), wrong);
    for (size_t i = 0; i < MBR_COUNT_OF(sizes); i++)
        sizes[i] = 1;
    for (int i = 0; i < e.operands; i++)
        for (int k = 0; k < e.in[i].n; k++) {
            mbr_dim *size = &sizes[e.in[i].labels[k]], d = c->in[i].dims[k];
            if (mbr_dim_is_known(*size) && mbr_dim_is_const(*size) && mbr_dim_is_const(d) && *size != 1 && d != 1 &&
                *size != d)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "an axis of %lld meets one of %lld", (long long)*size,
                                      (long long)d);
            if (*size == 1 || !mbr_dim_is_known(*size) || (!mbr_dim_is_const(*size) && mbr_dim_is_const(d) && d != 1))
                *size = d == 1 && *size != 1 ? *size : d;
        }
    for (int i = 0; i < e.out.n; i++)
        dims[i] = sizes[e.out.labels[i]];
    mbr_infer_out(c, 0, c->in[0].dtype, e.out.n, dims);
    return MBR_OK;
}

/* --- the matrix product --- */

/*
 * Merges labels of a role (bit set) into one loop that the given operands walk with one stride each. False when they
 * do not merge. Labels are taken in the order of the output, or of the summed ones.
 */
static bool merge(const mbr_einsum_args *a, const bool *in_role, const ptrdiff_t *out_strides, size_t *size,
                  ptrdiff_t strides[3])
{
    *size = 1;
    strides[0] = strides[1] = strides[2] = 0;
    for (int d = a->kept + a->summed - 1; d >= 0; d--) {
        ptrdiff_t s[3] = { a->strides[0][d], a->strides[1][d], d < a->kept ? out_strides[d] : 0 };
        if (!in_role[d] || a->dims[d] == 1)
            continue;
        for (int k = 0; k < 3; k++) {
            if (*size == 1)
                strides[k] = s[k];
            else if (s[k] != strides[k] * (ptrdiff_t)*size)
                return false;
        }
        *size *= a->dims[d];
    }
    return true;
}

/* Fills st->gemm when the sum is a product of matrices as they lie. */
static bool as_product(einsum_state *st)
{
    const mbr_einsum_args *a = &st->args;
    mbr_gemm_args *g = &st->gemm;
    ptrdiff_t out[MBR_EINSUM_LABELS], m_s[3], n_s[3], k_s[3];
    bool m[MBR_EINSUM_LABELS] = { 0 }, n[MBR_EINSUM_LABELS] = { 0 }, k[MBR_EINSUM_LABELS] = { 0 };
    int batches = 0;
    if (a->operands != 2 || a->dtype != MBR_DTYPE_F32)
        return false;
    mbr_dense_strides(a->kept, a->dims, out);
    *g = (mbr_gemm_args)MBR_GEMM_ARGS_INIT;
    /* the columns are those of the operand that the innermost label of the result belongs to */
    int inner = a->kept - 1;
    while (inner >= 0 && a->dims[inner] == 1)
        inner--;
    st->swapped = inner >= 0 && a->strides[0][inner] != 0;
    int left = st->swapped, right = !st->swapped;
    for (int d = 0; d < a->kept + a->summed; d++) {
        bool l = a->strides[left][d] != 0, r = a->strides[right][d] != 0;
        if (a->dims[d] == 1)
            continue;
        if (d >= a->kept) {
            k[d] = true;
            if (!l || !r)
                return false;
        } else if (l && r) {
            if (batches == MBR_GEMM_BATCH_DIMS)
                return false;
            g->batch[batches] = a->dims[d];
            g->a_batch[batches] = a->strides[left][d];
            g->b_batch[batches] = a->strides[right][d];
            g->c_batch[batches++] = out[d];
        } else {
            m[d] = l;
            n[d] = r;
        }
    }
    if (!merge(a, m, out, &g->m, m_s) || !merge(a, n, out, &g->n, n_s) || !merge(a, k, out, &g->k, k_s))
        return false;
    bool a_ok = g->k == 1 || k_s[left] == 1, c_ok = g->n == 1 || n_s[2] == 1;
    bool rows = g->n == 1 || n_s[right] == 1, cols = g->k == 1 || k_s[right] == 1;
    if (!a_ok || !c_ok || (!rows && !cols))
        return false;
    g->lda = g->m == 1 ? (ptrdiff_t)g->k : m_s[left];
    g->ldc = g->m == 1 ? (ptrdiff_t)g->n : m_s[2];
    g->b_form = rows ? MBR_GEMM_B_ROWS : MBR_GEMM_B_COLS;
    g->ldb = rows ? (g->k == 1 ? (ptrdiff_t)g->n : k_s[right]) : (g->n == 1 ? (ptrdiff_t)g->k : n_s[right]);
    return g->ldc >= (ptrdiff_t)g->n;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    einsum_state *st = s->state;
    mbr_einsum_args *a = &st->args;
    equation e;
    int ranks[MBR_EINSUM_OPERANDS], place[DOTS + DOT_AXES];
    for (uint32_t i = 0; i < s->n_in; i++)
        ranks[i] = s->in[i]->rank;
    const char *wrong = read_equation(s->node, ranks, (int)s->n_in, &e);
    if (wrong)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "%s", wrong);
    memset(a, 0, sizeof *a);
    a->dtype = s->in[0]->dtype;
    a->operands = e.operands;
    a->kept = e.out.n;
    for (size_t i = 0; i < MBR_COUNT_OF(place); i++)
        place[i] = -1;
    for (int i = 0; i < e.out.n; i++)
        place[e.out.labels[i]] = i;
    for (int i = 0; i < MBR_EINSUM_LABELS; i++)
        a->dims[i] = 1;
    for (int i = 0; i < e.operands; i++) {
        size_t dims[MBR_MAX_RANK];
        ptrdiff_t dense[MBR_MAX_RANK];
        mbr_op_dims(s->in[i], dims);
        mbr_dense_strides(e.in[i].n, dims, dense);
        for (int k = 0; k < e.in[i].n; k++) {
            int label = e.in[i].labels[k];
            if (place[label] < 0) {
                if (a->kept + a->summed == MBR_EINSUM_LABELS)
                    return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "too many labels");
                place[label] = a->kept + a->summed++;
            }
            int p = place[label];
            if (dims[k] != 1 && a->dims[p] != 1 && dims[k] != a->dims[p])
                return mbr_step_fail(s, err, MBR_ERR_RUN, "an axis of %zu meets one of %zu", dims[k], a->dims[p]);
            if (dims[k] != 1) {
                a->dims[p] = dims[k];
                a->strides[i][p] += dense[k];
            }
        }
    }
    for (int i = 0; i < a->kept; i++)
        if ((int64_t)a->dims[i] != s->out[0]->dims[i])
            return mbr_step_fail(s, err, MBR_ERR_INTERNAL, "axis %d was planned as %lld", i,
                                 (long long)s->out[0]->dims[i]);
    size_t count = mbr_value_count(s->out[0]);
    st->kernel = NULL;
    if (count > 0 && as_product(st) && st->gemm.k > 0) {
        st->kernel = mbr_gemm_f32_select(mbr_cpu_tiers());
        size_t tiles = st->kernel->tiles(&st->gemm);
        s->scratch = st->kernel->scratch(&st->gemm);
        st->each = mbr_step_split(s, tiles, (double)count * (double)st->gemm.k * 0.03 / (double)tiles);
        return MBR_OK;
    }
    double sums = (double)mbr_dims_count(a->summed, a->dims + a->kept);
    st->each = mbr_step_split(s, count, 20.0 + sums * 8.0 * a->operands);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const einsum_state *st = s->state;
    size_t first, last;
    (void)err;
    if (st->kernel) {
        mbr_gemm_args g = st->gemm;
        g.a = s->in[st->swapped]->data;
        g.b = s->in[!st->swapped]->data;
        g.c = s->out[0]->data;
        mbr_op_items(job, st->each, st->kernel->tiles(&g), &first, &last);
        st->kernel->run(&g, job->scratch, first, last);
        return MBR_OK;
    }
    mbr_einsum_args args = st->args;
    for (int i = 0; i < args.operands; i++)
        args.in[i] = s->in[i]->data;
    args.out = s->out[0]->data;
    mbr_op_items(job, st->each, mbr_value_count(s->out[0]), &first, &last);
    mbr_einsum(&args, first, last);
    return MBR_OK;
}

const mbr_op mbr_ops_einsum[] = {
    { .domain = "", .name = "Einsum", .since = 12, .min_in = 1, .max_in = MBR_OP_MANY, .min_out = 1, .max_out = 1,
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(einsum_state) },
    { 0 },
};

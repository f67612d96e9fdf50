/* SPDX-License-Identifier: BSD-2-Clause */
/* MatMul, Gemm, FusedMatMul, mbr.MatMul; and the launches that convolutions share with them. */
#include "engine/opencl/choice.h"
#include "engine/opencl/frame.h"
#include "engine/opencl/lower_util.h"
#include "engine/opencl/product.h"
#include "engine/ops/activation.h"
#include "kernels/transpose.h"

#include <stdio.h>
#include <string.h>

enum { A, B, OUT, OTHER, OPERANDS };

bool mbr_cl_by_rows(const mbr_cl_device *d)
{
    return (d->type & CL_DEVICE_TYPE_CPU) || d->max_group < 64 || d->local_bytes < 8192;
}

void mbr_cl_operand_arg(mbr_cl_lower *l, const mbr_cl_operand *o)
{
    switch (o->from) {
    case MBR_CL_INPUT:
        mbr_cl_in(l, o->i);
        break;
    case MBR_CL_SCRATCH:
        mbr_cl_scratch(l, o->at, o->bytes);
        break;
    case MBR_CL_PACKED:
        mbr_cl_packed(l, o->i, o->bytes, o->fill);
        break;
    default:
        mbr_cl_out(l, o->from == MBR_CL_OUTPUT ? o->i : 0);
    }
}

mbr_status mbr_cl_epilogue(mbr_cl_lower *l, mbr_cl_gemm *g)
{
    mbr_act act;
    const mbr_ir_node *n = l->step->node;
    mbr_status st = mbr_activation_read(n, &act, l->err);
    if (st != MBR_OK)
        return st;
    const char *is = mbr_attr_string(n, "other_is", "add");
    g->act = (cl_int)act.kind;
    g->act_a = act.a;
    g->act_b = act.b;
    g->alpha = mbr_attr_float(n, "alpha", 1);
    g->beta = 1;
    g->other_is = !mbr_step_has(l->step, 3) ? 0 : strcmp(is, "add_after") == 0 ? 2 : strcmp(is, "mul_after") == 0 ? 3 : 1;
    return MBR_OK;
}

static bool times4(cl_int v)
{
    return v % 4 == 0;
}

static bool batches_times4(const cl_long *b)
{
    return b[0] % 4 == 0 && b[1] % 4 == 0 && b[2] % 4 == 0;
}

/* May a group read its tiles four elements at a time? */
static bool reads_fours(const mbr_cl_gemm *g, const mbr_cl_conv *conv, bool a_along_k, bool b_along_k)
{
    bool a = conv ? conv->x_c == 1 && times4(conv->channels) && times4(conv->x[0]) && times4(conv->x[1]) &&
                        times4(conv->x[2]) && conv->x_n % 4 == 0 :
             times4(a_along_k ? g->a_m : g->a_k);
    return a && times4(b_along_k ? g->b_n : g->b_k) && batches_times4(g->a_batch) && batches_times4(g->b_batch);
}

/* Tiles of 128 where that leaves work for all units, else 64, and 32 where groups are small. */
static int tile_size(const mbr_cl_device *d, const mbr_cl_gemm *g, size_t batch)
{
    if (d->max_group < 256 || d->max_sizes[0] < 16 || d->max_sizes[1] < 16 || d->local_bytes < 18000)
        return 32;
    size_t tiles = ((size_t)g->m + 127) / 128 * (((size_t)g->n + 127) / 128) * batch;
    if (tiles >= d->units)
        return 128;
    tiles = ((size_t)g->m + 63) / 64 * (((size_t)g->n + 63) / 64) * batch;
    return tiles >= d->units ? 64 : 32;
}

/*
 * Begins the launch of gemm_sub in groups of local[0] work-items. False: the device cannot, or another kernel is faster. The
 * compiler gives a kernel its sub-groups, so one that was built for another size is built again for the one that it got.
 */
static bool begin_sub(mbr_cl_lower *l, const mbr_cl_gemm *g, size_t batch, bool half, const char *common, size_t *global,
                      size_t *local)
{
    mbr_cl_device *d = l->frame->d;
    char options[192];
    cl_program program;
    bool bk = g->b_k == 1 && g->b_n != 1, fours = times4(bk ? g->b_n : g->b_k) && batches_times4(g->b_batch);
    bool blocks = fours && g->b_n == 1 && d->sub.blocks[half];
    if (d->max_group < 256 || d->max_sizes[0] < 256 ||
        !mbr_cl_chooses(d, MBR_CL_SUB_PRODUCTS + (unsigned)half + 2 * (unsigned)bk))
        return false;
    for (int tries = 0; tries < 2; tries++) {
        size_t size = d->sub.size, gn = size < 32 ? 2 : 1, gm = 256 / size / gn, cn = 4, rows, cols;
        if (256 / size > d->sub.most)
            return false;
        for (;; cn /= 2) { /* wide tiles, but some for each unit */
            rows = ((size_t)g->m + 8 * gm - 1) / (8 * gm);
            cols = ((size_t)g->n + size * cn * gn - 1) / (size * cn * gn);
            if (cn == 1 || rows * cols * batch >= d->units)
                break;
        }
        snprintf(options, sizeof options, "-DSG=%zu -DRM=8 -DCN=%zu -DGM=%zu -DGN=%zu -DAK=%d%s%s%s %s", size, cn, gm, gn,
                 g->a_k == 1, blocks ? " -DBLOCKS" : bk && fours ? " -DFOURS" : "", d->sub.required ? " -DREQUIRED" : "",
                 d->sub.options, common);
        if (mbr_cl_program_get(d, "gemm_sub", NULL, options, &program, NULL) != MBR_OK)
            return false;
        mbr_cl_kernel(l, "gemm_sub", "gemm_sub", options);
        size_t got = l->launch ? mbr_cl_sub_group_size(d, l->launch->kernel, 256) : size;
        if (got == size) {
            local[0] = 256;
            global[0] = cols * 256;
            global[1] = rows;
            return true;
        }
        if (got < 4 || got > 128 || (got & (got - 1)))
            return false;
        d->sub.size = (cl_uint)got;
    }
    return false;
}

void mbr_cl_gemm_launch(mbr_cl_lower *l, const mbr_cl_gemm *g, const mbr_cl_conv *conv, bool half,
                        const mbr_cl_operand *a, const mbr_cl_operand *b, const mbr_cl_operand *c,
                        const mbr_cl_operand *bias, const mbr_cl_operand *other)
{
    const mbr_cl_device *d = l->device;
    bool rows = mbr_cl_by_rows(d), few = !rows && !conv && g->m <= 4 && d->max_group >= 256 && d->max_sizes[0] >= 256;
    size_t m = (size_t)g->m, n = (size_t)g->n, batch = (size_t)g->batch[0] * (size_t)g->batch[1] * (size_t)g->batch[2];
    size_t global[3] = { 0, 0, batch }, local[3] = { 1, 1, 1 };
    char options[128], common[48];
    bool begun = false;
    /* a factor that makes sums smaller says that they may be beyond f16 before */
    snprintf(common, sizeof common, "-DREAL%s%s%s", conv ? " -DCONV" : "", half ? " -DHALF" : "",
             half && !few && g->alpha >= 1 && mbr_cl_chooses(l->frame->d, MBR_CL_HALVES) ? " -DFP16" : "");
    if (rows) {
        unsigned width = d->vector_f32 >= 16 ? 16 : d->vector_f32 >= 8 ? 8 : 4, mr = m == 1 ? 1 : width == 16 ? 12 : 6;
        global[0] = (m + mr - 1) / mr;
        global[1] = (n + MBR_CL_NR - 1) / MBR_CL_NR;
        snprintf(options, sizeof options, "-DVF=%u -DMR=%u %s", width, mr, common);
    } else if (few) {
        bool bk = g->b_k == 1 && g->b_n != 1;
        bool subs = bk && mbr_cl_chooses(l->frame->d, MBR_CL_SUB_SUMS);
        unsigned cols = bk && !subs ? 8 : 16;
        local[0] = 256;
        global[0] = (n + cols - 1) / cols * 256;
        global[1] = 1;
        global[2] = batch * m;
        snprintf(options, sizeof options, "-DCOLS=%u -DBK=%d%s %s", cols, bk, subs ? d->sub.options : "", common);
    } else if (!conv && begin_sub(l, g, batch, half, common, global, local)) {
        begun = true;
    } else {
        int tile = tile_size(d, g, batch), per = tile == 128 ? 8 : 4;
        bool ak = conv || g->a_k == 1, bk = !conv && g->b_k == 1 && g->b_n != 1;
        local[0] = local[1] = (size_t)(tile / per);
        global[0] = (n + (size_t)tile - 1) / (size_t)tile * local[0];
        global[1] = (m + (size_t)tile - 1) / (size_t)tile * local[1];
        snprintf(options, sizeof options, "-DTM=%d -DRM=%d -DAK=%d -DBK=%d%s %s", tile, per, ak, bk,
                 reads_fours(g, conv, ak, bk) ? " -DVEC" : "", common);
    }
    if (!begun)
        mbr_cl_kernel(l, "gemm", rows ? "gemm_rows" : few ? "gemm_few" : "gemm_tiles", options);
    mbr_cl_operand_arg(l, a);
    mbr_cl_operand_arg(l, b);
    mbr_cl_operand_arg(l, c);
    mbr_cl_operand_arg(l, bias);
    mbr_cl_operand_arg(l, other);
    mbr_cl_bytes(l, g, sizeof *g);
    if (conv)
        mbr_cl_bytes(l, conv, sizeof *conv);
    mbr_cl_go(l, 3, global, local);
}

/* --- products --- */

typedef struct view {
    int rank;
    size_t dims[MBR_KERNEL_RANK];
    ptrdiff_t strides[MBR_KERNEL_RANK];
} view;

/* A or B as matrices of rank 2 at least, with its transpositions done. */
static view view_of(const mbr_step *s, uint32_t in, bool b)
{
    const mbr_value *v = s->in[in];
    view w = { .rank = v->rank };
    size_t dims[MBR_KERNEL_RANK] = { 0 };
    ptrdiff_t strides[MBR_KERNEL_RANK] = { 0 };
    bool trans = mbr_attr_int(s->node, b ? "transB" : "transA", 0) != 0;
    bool batch = v->rank > 2 && mbr_attr_int(s->node, b ? "transBatchB" : "transBatchA", 0) != 0;
    for (int i = 0; i < v->rank; i++)
        dims[i] = (size_t)v->dims[i];
    mbr_dense_strides(v->rank, dims, strides);
    for (int i = 0; i < v->rank; i++) {
        int from = batch && i < v->rank - 2 ? i + 1 : batch && i == v->rank - 2 ? 0 : i;
        int to = trans && v->rank > 1 && i >= v->rank - 2 ? 2 * v->rank - 3 - i : i;
        w.dims[to] = dims[from];
        w.strides[to] = strides[from];
    }
    if (v->rank == 1) {
        w.rank = 2;
        w.dims[!b] = w.dims[0];
        w.strides[!b] = w.strides[0];
        w.dims[b] = 1;
        w.strides[b] = 0;
    }
    return w;
}

static mbr_status fill_panels(const mbr_step *s, void *to, size_t bytes, mbr_error *err)
{
    (void)err;
    const mbr_value *v = s->in[1];
    view b = view_of(s, 1, true);
    size_t size = mbr_dtype_size(v->dtype), k = b.dims[b.rank - 2], n = b.dims[b.rank - 1], each = mbr_cl_panels(k, n);
    memset(to, 0, bytes);
    for (size_t i = 0; i < mbr_value_count(v) / (k * n); i++)
        for (size_t j = 0; j < n; j++) {
            char *at = (char *)to + (i * each + j / MBR_CL_NR * MBR_CL_NR * k + j % MBR_CL_NR) * size;
            const char *from = (const char *)v->data + (i * k * n + j * (size_t)b.strides[b.rank - 1]) * size;
            for (size_t p = 0; p < k; p++)
                memcpy(at + p * MBR_CL_NR * size, from + p * (size_t)b.strides[b.rank - 2] * size, size);
        }
    return MBR_OK;
}

/* Strides with which v broadcasts over dims. */
static void spread(const mbr_value *v, int rank, ptrdiff_t *strides)
{
    ptrdiff_t step = 1;
    for (int i = rank - 1, j = v->rank - 1; i >= 0; i--, j--) {
        strides[i] = j < 0 || v->dims[j] == 1 ? 0 : step;
        step *= j < 0 ? 1 : (ptrdiff_t)v->dims[j];
    }
}

static bool is_constant(const mbr_ir_node *n, uint32_t i)
{
    return n->inputs[i] && n->inputs[i]->constant && !n->inputs[i]->is_input;
}

/* b in panels: made on the host where b is constant, else by a launch of its own. each: elements of a matrix. */
static mbr_cl_operand panels_of(mbr_cl_lower *l, mbr_cl_gemm *g, bool half)
{
    const mbr_step *s = l->step;
    size_t size = mbr_dtype_size(s->in[1]->dtype), each = mbr_cl_panels((size_t)g->k, (size_t)g->n), count = 1;
    if (is_constant(s->node, 1) && !mbr_attr_int(s->node, "transBatchB", 0)) {
        size_t whole = mbr_value_count(s->in[1]), matrix = (size_t)g->k * (size_t)g->n;
        for (int i = 0; i < 3; i++)
            g->b_batch[i] = g->b_batch[i] / (cl_long)matrix * (cl_long)each;
        return (mbr_cl_operand){ .from = MBR_CL_PACKED, .bytes = whole / matrix * each * size, .fill = fill_panels };
    }
    /* matrices that repeat are packed once: dims with a stride of 0 count as 1 */
    mbr_cl_gemm p = *g;
    for (int i = 2; i >= 0; i--) {
        if (g->b_batch[i] == 0)
            p.batch[i] = 1;
        g->b_batch[i] = g->b_batch[i] ? (cl_long)(count * each) : 0;
        count *= (size_t)p.batch[i];
    }
    mbr_cl_operand o = { .from = MBR_CL_SCRATCH, .bytes = count * each * size };
    mbr_cl_kernel(l, "gemm", "gemm_pack", half ? "-DREAL -DHALF" : "-DREAL");
    mbr_cl_in(l, 1);
    mbr_cl_operand_arg(l, &o);
    mbr_cl_bytes(l, &p, sizeof p);
    mbr_cl_go(l, 3, (size_t[]){ (size_t)g->k, ((size_t)g->n + MBR_CL_NR - 1) / MBR_CL_NR, count },
              (size_t[]){ l->device->max_group < 16 ? 1 : 16, 1, 1 });
    return o;
}

static void launch_any(mbr_cl_lower *l, const mbr_cl_gemm *g, const mbr_cl_operand *a, const mbr_cl_operand *b,
                       const mbr_cl_operand *c, const mbr_cl_operand *bias, const mbr_cl_operand *other)
{
    mbr_dtype t = l->step->in[0]->dtype;
    char options[64];
    snprintf(options, sizeof options, "-DREAL -DT=%s -DC=%s", mbr_dtype_name(t),
             t == MBR_DTYPE_F64 ? "double" : mbr_dtype_is_float(t) ? "float" : "long");
    mbr_cl_kernel(l, "gemm", "gemm_any", options);
    const mbr_cl_operand *all[] = { a, b, c, bias, other };
    for (size_t i = 0; i < MBR_COUNT_OF(all); i++)
        mbr_cl_operand_arg(l, all[i]);
    mbr_cl_bytes(l, g, sizeof *g);
    mbr_cl_go_rows(l, (size_t)g->n, (size_t)g->m, (size_t)g->batch[0] * (size_t)g->batch[1] * (size_t)g->batch[2]);
}

mbr_status mbr_cl_product_plan(mbr_cl_lower *l, uint32_t in_a, uint32_t in_b, uint32_t added, mbr_cl_gemm *g)
{
    const mbr_step *s = l->step;
    const mbr_value *out = s->out[0];
    view a = view_of(s, in_a, false), b = view_of(s, in_b, true);
    size_t n = b.dims[b.rank - 1], dims[MBR_KERNEL_RANK] = { 0 };
    ptrdiff_t strides[OPERANDS][MBR_KERNEL_RANK] = { { 0 } };
    g->n = (cl_int)n;
    g->k = (cl_int)a.dims[a.rank - 1];
    /* [batch..., m] of the output */
    int rank = (a.rank > b.rank ? a.rank : b.rank) - 1;
    for (int i = 0; i < rank - 1; i++)
        dims[i] = (size_t)out->dims[i];
    dims[rank - 1] = a.dims[a.rank - 2];
    ptrdiff_t step = (ptrdiff_t)n;
    for (int i = rank - 1, x = a.rank - 2, y = b.rank - 2; i >= 0; i--, x--, y--) {
        strides[A][i] = x >= 0 && a.dims[x] != 1 ? a.strides[x] : 0;
        strides[B][i] = y >= 0 && i < rank - 1 && b.dims[y] != 1 ? b.strides[y] : 0;
        strides[OUT][i] = step;
        step *= (ptrdiff_t)dims[i];
    }
    if (mbr_step_has(s, added)) {
        ptrdiff_t all[MBR_KERNEL_RANK + 1];
        if (s->in[added]->rank > rank + 1)
            return mbr_cl_decline(l, "the added tensor has more dimensions than the product");
        spread(s->in[added], rank + 1, all);
        g->o_n = (cl_int)all[rank];
        memcpy(strides[OTHER], all, (size_t)rank * sizeof *all);
    }
    ptrdiff_t *walk[OPERANDS] = { strides[A], strides[B], strides[OUT], strides[OTHER] };
    rank = mbr_collapse_dims(rank, dims, OPERANDS, walk);
    g->m = 1;
    if (rank > 0 && strides[B][rank - 1] == 0) {
        rank--;
        if (dims[rank] > INT32_MAX)
            return mbr_cl_decline(l, "a size is beyond 32 bits");
        g->m = (cl_int)dims[rank];
        g->a_m = (cl_int)strides[A][rank];
        g->c_m = (cl_int)strides[OUT][rank];
        g->o_m = (cl_int)strides[OTHER][rank];
    }
    if (rank > 3)
        return mbr_cl_decline(l, "more than three dimensions of batch");
    if (mbr_value_count(s->in[in_a]) > INT32_MAX || mbr_value_count(s->in[in_b]) > INT32_MAX ||
        mbr_value_count(out) > INT32_MAX)
        return mbr_cl_decline(l, "a tensor of more than 2^31 elements");
    for (int i = 0; i < 3; i++) {
        int from = i - 3 + rank;
        g->batch[i] = from < 0 ? 1 : (cl_int)dims[from];
        g->a_batch[i] = from < 0 ? 0 : strides[A][from];
        g->b_batch[i] = from < 0 ? 0 : strides[B][from];
        g->c_batch[i] = from < 0 ? 0 : strides[OUT][from];
        g->o_batch[i] = from < 0 ? 0 : strides[OTHER][from];
    }
    g->a_k = g->k > 1 ? (cl_int)a.strides[a.rank - 1] : 1;
    g->b_k = g->k > 1 ? (cl_int)b.strides[b.rank - 2] : (cl_int)n;
    g->b_n = n > 1 ? (cl_int)b.strides[b.rank - 1] : 1;
    g->c_n = 1;
    return MBR_OK;
}

static mbr_status lower_matmul(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    bool half = s->in[0]->dtype == MBR_DTYPE_F16, gemm = mbr_cl_param(l) != 0;
    uint32_t added = gemm ? 2 : 3;
    mbr_cl_gemm g = { 0 };
    mbr_cl_operand in = { .from = MBR_CL_INPUT }, weights = { .from = MBR_CL_INPUT, .i = 1 },
                   to = { .from = MBR_CL_OUTPUT }, none = { .from = MBR_CL_NONE }, bias = none, other = none;
    mbr_status st = mbr_cl_epilogue(l, &g);
    if (st != MBR_OK)
        return st;
    if (mbr_value_count(s->out[0]) == 0)
        return MBR_OK;
    if (gemm) {
        g.beta = mbr_attr_float(s->node, "beta", 1);
        g.other_is = mbr_step_has(s, 2) && g.beta != 0;
    } else if (mbr_step_has(s, 2)) {
        g.has_bias = 1;
        bias = (mbr_cl_operand){ .from = MBR_CL_INPUT, .i = 2 };
    }
    if (g.other_is)
        other = (mbr_cl_operand){ .from = MBR_CL_INPUT, .i = added };
    if (mbr_cl_product_plan(l, 0, 1, g.other_is ? added : s->n_in, &g) != MBR_OK)
        return l->status;
    if (!half && s->in[0]->dtype != MBR_DTYPE_F32) {
        launch_any(l, &g, &in, &weights, &to, &bias, &other);
        return l->status;
    }
    if (mbr_cl_by_rows(l->device) && g.k > 0)
        weights = panels_of(l, &g, half);
    mbr_cl_gemm_launch(l, &g, NULL, half, &in, &weights, &to, &bias, &other);
    return l->status;
}

const mbr_cl_op mbr_cl_ops_gemm[] = {
    { "", "MatMul", mbr_cl_takes_numbers, lower_matmul, 0 },
    { "", "Gemm", mbr_cl_takes_numbers, lower_matmul, 1 },
    { "mbr", "MatMul", mbr_cl_takes_numbers, lower_matmul, 0 },
    { "com.microsoft", "FusedMatMul", mbr_cl_takes_numbers, lower_matmul, 0 },
    { 0 },
};

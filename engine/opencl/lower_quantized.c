/* SPDX-License-Identifier: BSD-2-Clause */
/* Products and convolutions of bytes, weights of a few bits, and what makes bytes of an f32 tensor's own range. */
#include "engine/opencl/lower_util.h"
#include "engine/opencl/product.h"
#include "engine/ops/conv_args.h"
#include "kernels/quantize.h"

#include <stdio.h>
#include <string.h>

enum { INTEGER, QLINEAR, TO_FLOAT, DYNAMIC, QGEMM, CONV_INTEGER, CONV };

/* Places of the inputs, as in engine/ops/quantized_matmul.c and quantized_conv.c; a convolution's A is its weight. */
enum { R_A, R_B, R_A_ZERO, R_B_ZERO, R_A_SCALE, R_B_SCALE, R_Y_SCALE, R_Y_ZERO, R_BIAS, ROLES };
static const int8_t roles[][ROLES] = {
    [INTEGER] = { 0, 1, 2, 3, -1, -1, -1, -1, -1 },  [QLINEAR] = { 0, 3, 2, 5, 1, 4, 6, 7, -1 },
    [TO_FLOAT] = { 0, 1, 4, 5, 2, 3, -1, -1, 6 },    [DYNAMIC] = { 0, 1, -1, 3, -1, 2, -1, -1, 4 },
    [QGEMM] = { 0, 3, 2, 5, 1, 4, 7, 8, 6 },         [CONV_INTEGER] = { 1, 0, 3, 2, -1, -1, -1, -1, -1 },
    [CONV] = { 3, 0, 5, 2, 4, 1, 6, 7, 8 },
};

/* As in quantized.cl. */
typedef struct quant {
    cl_int az, bz, as, bs, has;
    cl_float alpha;
    cl_int low, high, groups;
} quant;

#define PARTS 64 /* of a range */

typedef struct product {
    mbr_cl_lower *l;
    mbr_cl_gemm g;
    quant q;
    mbr_cl_operand in[ROLES]; /* NONE: absent */
    mbr_dtype type[ROLES];
} product;

static size_t aligned(size_t bytes)
{
    return (bytes + 255) & ~(size_t)255;
}

/* How many numbers a role has where it has a step: rows or columns. False: more than that. */
static bool steps(const mbr_step *s, int in, cl_int each, cl_int *step)
{
    size_t n = in >= 0 && mbr_step_has(s, (uint32_t)in) ? mbr_value_count(s->in[in]) : 1;
    *step = n != 1;
    return n == 1 || n == (size_t)each;
}

static bool is_byte(mbr_dtype t)
{
    return t == MBR_DTYPE_U8 || t == MBR_DTYPE_I8;
}

static mbr_status begin(product *p, mbr_cl_lower *l, int what)
{
    const mbr_step *s = l->step;
    *p = (product){ .l = l, .q = { .alpha = 1, .groups = 1 }, .g = { .batch = { 1, 1, 1 } } };
    for (int i = 0; i < ROLES; i++) {
        int in = roles[what][i];
        bool there = in >= 0 && mbr_step_has(s, (uint32_t)in);
        p->in[i] = (mbr_cl_operand){ .from = there ? MBR_CL_INPUT : MBR_CL_NONE, .i = (unsigned)(in < 0 ? 0 : in) };
        p->type[i] = there ? s->in[in]->dtype : MBR_DTYPE_UNDEFINED;
    }
    return l->status;
}

/* The launch, once g, q's steps and the operands are there. */
static mbr_status multiply(product *p)
{
    mbr_cl_lower *l = p->l;
    mbr_dtype y = l->step->out[0]->dtype, b_scale = p->type[R_B_SCALE], a_scale = p->type[R_A_SCALE];
    int32_t low = 0, high = 0;
    bool rows = mbr_cl_by_rows(l->device) || l->device->max_group < 256;
    int out = y == MBR_DTYPE_I32 ? 0 : is_byte(y) ? 2 : 1;
    int bias = p->in[R_BIAS].from == MBR_CL_NONE ? 0 : p->type[R_BIAS] == MBR_DTYPE_I32 ? 1 : 2;
    char options[192];
    if (!is_byte(p->type[R_A]) || !is_byte(p->type[R_B]))
        return mbr_cl_decline(l, "operands that are no bytes");
    if (out == 2)
        mbr_quantize_range(y, &low, &high);
    p->q.low = low;
    p->q.high = high;
    for (int i = 0; i < 6; i++)
        p->q.has |= (p->in[R_A_ZERO + i].from != MBR_CL_NONE) << i;
    snprintf(options, sizeof options, "-DREAL -DTA=%s -DTB=%s -DTY=%s -DSA=%s -DS=%s -DTBIAS=%s -DOUT=%d -DBIAS=%d %s",
             mbr_dtype_name(p->type[R_A]), mbr_dtype_name(p->type[R_B]), mbr_dtype_name(y),
             mbr_dtype_name(a_scale ? a_scale : MBR_DTYPE_F32), mbr_dtype_name(b_scale ? b_scale : MBR_DTYPE_F32),
             mbr_dtype_name(bias ? p->type[R_BIAS] : y), out, bias,
             rows ? p->g.m == 1 ? "-DMR=1" : "-DMR=4" : l->device->int8_dot ? "-DTILE -cl-std=CL3.0" : "-DTILE");
    mbr_cl_kernel(l, "quantized", rows ? "q_rows" : "q_tiles", options);
    for (int i = 0; i < ROLES; i++)
        mbr_cl_operand_arg(l, &p->in[i]);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &p->g, sizeof p->g);
    mbr_cl_bytes(l, &p->q, sizeof p->q);
    size_t m = (size_t)p->g.m, n = (size_t)p->g.n, mr = m == 1 ? 1 : 4;
    size_t batch = (size_t)p->g.batch[0] * (size_t)p->g.batch[1] * (size_t)p->g.batch[2];
    if (rows)
        mbr_cl_go(l, 3, (size_t[]){ (m + mr - 1) / mr, (n + 15) / 16, batch }, (size_t[]){ 1, 1, 1 });
    else
        mbr_cl_go(l, 3, (size_t[]){ (n + 63) / 64 * 16, (m + 63) / 64 * 16, batch }, (size_t[]){ 16, 16, 1 });
    return l->status;
}

/* Bytes, scale and zero point of input 0 by its own range, to these places. */
static void quantise(mbr_cl_lower *l, size_t scratch, const mbr_cl_operand *y, const mbr_cl_operand *scale,
                     const mbr_cl_operand *zero)
{
    size_t n = mbr_value_count(l->step->in[0]);
    mbr_cl_operand part = { .from = MBR_CL_SCRATCH, .at = scratch, .bytes = 2 * PARTS * sizeof(float) };
    mbr_cl_kernel(l, "quantized", "q_range", "-DRANGE");
    mbr_cl_in(l, 0);
    mbr_cl_operand_arg(l, &part);
    mbr_cl_int(l, (int64_t)n);
    mbr_cl_go_flat(l, PARTS);
    mbr_cl_kernel(l, "quantized", "q_dynamic", "-DRANGE");
    mbr_cl_in(l, 0);
    mbr_cl_operand_arg(l, &part);
    mbr_cl_operand_arg(l, y);
    mbr_cl_operand_arg(l, scale);
    mbr_cl_operand_arg(l, zero);
    mbr_cl_int(l, (int64_t)n);
    mbr_cl_go_flat(l, n ? n : 1);
}

static mbr_status lower_dynamic(mbr_cl_lower *l)
{
    mbr_cl_operand y[3];
    size_t at = 0;
    for (uint32_t i = 0; i < 3; i++) {
        size_t bytes = i == 0 ? mbr_value_count(l->step->in[0]) : 4;
        y[i] = mbr_step_wants(l->step, i) ? (mbr_cl_operand){ .from = MBR_CL_OUTPUT, .i = i } :
                                            (mbr_cl_operand){ .from = MBR_CL_SCRATCH, .at = at, .bytes = bytes };
        at += aligned(bytes);
    }
    quantise(l, at, &y[0], &y[1], &y[2]);
    return l->status;
}

static mbr_status lower_product(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    int what = mbr_cl_param(l);
    const int8_t *r = roles[what];
    product p;
    MBR_TRY(begin(&p, l, what));
    if (mbr_value_count(s->out[0]) == 0)
        return l->status;
    if (what == QGEMM)
        p.q.alpha = mbr_attr_float(s->node, "alpha", 1);
    if (mbr_cl_product_plan(l, (uint32_t)r[R_A], (uint32_t)r[R_B], what == QGEMM ? (uint32_t)r[R_BIAS] : s->n_in, &p.g) !=
        MBR_OK)
        return l->status;
    bool good = steps(s, r[R_A_ZERO], p.g.m, &p.q.az) && steps(s, r[R_A_SCALE], p.g.m, &p.q.as) &&
                steps(s, r[R_B_ZERO], p.g.n, &p.q.bz) && steps(s, r[R_B_SCALE], p.g.n, &p.q.bs);
    if (!good)
        return mbr_cl_decline(l, "a scale or zero point for each matrix");
    if (what == DYNAMIC) {
        size_t bytes = aligned(mbr_value_count(s->in[0])), end = aligned(mbr_value_count(s->in[0]) + 1);
        p.in[R_A] = (mbr_cl_operand){ .from = MBR_CL_SCRATCH, .at = 0, .bytes = bytes };
        p.in[R_A_SCALE] = (mbr_cl_operand){ .from = MBR_CL_SCRATCH, .at = end, .bytes = 4 };
        p.in[R_A_ZERO] = (mbr_cl_operand){ .from = MBR_CL_SCRATCH, .at = end + 256, .bytes = 4 };
        p.type[R_A] = p.type[R_A_ZERO] = MBR_DTYPE_U8;
        p.type[R_A_SCALE] = MBR_DTYPE_F32;
        quantise(l, end + 512, &p.in[R_A], &p.in[R_A_SCALE], &p.in[R_A_ZERO]);
    }
    return multiply(&p);
}

/* Filters times the columns of the image: rows of the result are filters, as ONNX has them. */
static mbr_status lower_conv(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    int what = mbr_cl_param(l);
    const int8_t *r = roles[what];
    bool last;
    const mbr_conv_args *a = mbr_qconv_step_args(s, &last);
    const mbr_value *x = s->in[r[R_B]];
    size_t taps = mbr_dims_count(3, a->kernel), points = mbr_dims_count(3, a->out), in = mbr_dims_count(3, a->in);
    size_t each = a->channels / a->groups, rows = each * taps, filters = a->filters / a->groups, bytes;
    product p;
    mbr_cl_conv w = { .channels = (cl_int)each };
    MBR_TRY(begin(&p, l, what));
    if (mbr_value_count(s->out[0]) == 0)
        return l->status;
    bytes = a->n * a->groups * rows * points;
    if (bytes > INT32_MAX || mbr_value_count(x) > INT32_MAX || a->transposed)
        return mbr_cl_decline(l, "it is too large");
    p.g.m = (cl_int)filters;
    p.g.n = (cl_int)points;
    p.g.k = (cl_int)rows;
    p.g.batch[1] = (cl_int)a->n;
    p.g.batch[2] = p.q.groups = (cl_int)a->groups;
    p.g.a_batch[2] = (cl_long)(filters * rows);
    p.g.b_batch[1] = (cl_long)(a->groups * rows * points);
    p.g.b_batch[2] = (cl_long)(rows * points);
    p.g.c_batch[1] = (cl_long)(a->filters * points);
    p.g.c_batch[2] = (cl_long)(last ? filters : filters * points);
    p.g.o_batch[2] = (cl_long)filters;
    p.g.a_m = (cl_int)rows;
    p.g.a_k = p.g.b_n = p.g.o_m = 1;
    p.g.b_k = (cl_int)points;
    p.g.c_m = last ? 1 : (cl_int)points;
    p.g.c_n = last ? (cl_int)a->filters : 1;
    cl_int one;
    if (!steps(s, r[R_A_ZERO], (cl_int)a->filters, &p.q.az) || !steps(s, r[R_A_SCALE], (cl_int)a->filters, &p.q.as) ||
        !steps(s, r[R_B_ZERO], 1, &one))
        return mbr_cl_decline(l, "a scale or zero point for each matrix");
    cl_int step = last ? (cl_int)a->channels : 1;
    for (int i = 2; i >= 0; i--) {
        w.in[i] = (cl_int)a->in[i];
        w.out[i] = (cl_int)a->out[i];
        w.tap[i] = (cl_int)a->kernel[i];
        w.stride[i] = (cl_int)a->stride[i];
        w.step[i] = (cl_int)a->dilation[i];
        w.start[i] = (cl_int)-a->pad[i];
        w.x[i] = step;
        step *= (cl_int)a->in[i];
    }
    w.x_n = (cl_long)(in * a->channels);
    w.x_c = last ? 1 : (cl_int)in;
    mbr_cl_operand columns = { .from = MBR_CL_SCRATCH, .bytes = bytes };
    mbr_cl_kernel(l, "quantized", "q_columns", "-DREAL -DCOLUMNS");
    mbr_cl_in(l, (uint32_t)r[R_B]);
    mbr_cl_operand_arg(l, &p.in[R_B_ZERO]);
    mbr_cl_operand_arg(l, &columns);
    mbr_cl_bytes(l, &w, sizeof w);
    mbr_cl_int(l, (int64_t)a->groups);
    mbr_cl_int(l, (int64_t)points);
    mbr_cl_int(l, p.in[R_B_ZERO].from != MBR_CL_NONE);
    mbr_cl_go_rows(l, points, rows, a->n * a->groups);
    p.in[R_B] = columns;
    return multiply(&p);
}

/* --- weights of a few bits --- */

static mbr_status lower_nbits(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_ir_node *n = s->node;
    const mbr_value *a = s->in[0], *zero = mbr_step_has(s, 3) ? s->in[3] : NULL;
    int bits = (int)mbr_attr_int(n, "bits", 4);
    size_t cols = (size_t)mbr_attr_int(n, "N", 0), k = (size_t)mbr_attr_int(n, "K", 0), m = mbr_value_count(a) / k;
    size_t block = (size_t)mbr_attr_int(n, "block_size", 0), blocks = (k + block - 1) / block;
    bool half = a->dtype == MBR_DTYPE_F16, rows = mbr_cl_by_rows(l->device), bias = mbr_step_has(s, 5);
    struct {
        cl_int n, k, block, blocks, m, panels;
    } g = { (cl_int)cols, (cl_int)k, (cl_int)block, (cl_int)blocks, (cl_int)m, rows };
    char options[128];
    if (m == 0)
        return l->status;
    if (!half && a->dtype != MBR_DTYPE_F32)
        return mbr_cl_decline(l, "a type that its kernel does not take");
    if (mbr_value_bytes(s->in[1]) > INT32_MAX || mbr_value_count(a) > INT32_MAX || mbr_cl_panels(k, cols) > INT32_MAX)
        return mbr_cl_decline(l, "it is too large");
    snprintf(options, sizeof options, "-DREAL -DBITS=%d -DS=%s%s%s%s%s", bits, mbr_dtype_name(s->in[2]->dtype),
             half ? " -DHALF" : "", zero ? " -DZERO=" : "", zero ? mbr_dtype_name(zero->dtype) : "",
             zero && zero->dtype == MBR_DTYPE_U8 ? " -DPACKED_ZERO" : "");
    if (m <= 4 && bits == 4 && k % 8 == 0 && !mbr_step_has(s, 4)) {
        size_t group = mbr_cl_lines(l, k / 8, sizeof(float));
        snprintf(options + strlen(options), sizeof options - strlen(options), "%s", mbr_cl_lines_options(l, group));
        mbr_cl_kernel(l, "quantized", "nbits_rows", options);
        for (uint32_t i = 0; i < 4; i++)
            mbr_cl_in_or_none(l, i);
        mbr_cl_in_or_none(l, 5);
        mbr_cl_out(l, 0);
        mbr_cl_bytes(l, &g, sizeof g);
        mbr_cl_int(l, bias);
        mbr_cl_local(l, group * sizeof(float));
        mbr_cl_go_lines(l, cols, group);
        return l->status;
    }
    mbr_cl_operand weights = { .from = MBR_CL_SCRATCH, .bytes = mbr_cl_panels(k, cols) * (half ? 2 : 4) };
    mbr_cl_operand in = { .from = MBR_CL_INPUT }, to = { .from = MBR_CL_OUTPUT }, none = { .from = MBR_CL_NONE };
    mbr_cl_operand added = { .from = bias ? MBR_CL_INPUT : MBR_CL_NONE, .i = 5 };
    if (mbr_step_has(s, 4))
        snprintf(options + strlen(options), sizeof options - strlen(options), " -DGROUPS=%s",
                 mbr_dtype_name(s->in[4]->dtype));
    mbr_cl_kernel(l, "quantized", "nbits_unpack", options);
    for (uint32_t i = 1; i < 5; i++)
        mbr_cl_in_or_none(l, i);
    mbr_cl_operand_arg(l, &weights);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go_rows(l, k, rows ? (cols + 15) / 16 * 16 : cols, 1);
    mbr_cl_gemm p = { .batch = { 1, 1, 1 }, .m = (cl_int)m, .n = (cl_int)cols, .k = (cl_int)k, .a_m = (cl_int)k, .a_k = 1,
                      .b_k = 1, .b_n = (cl_int)k, .c_m = (cl_int)cols, .c_n = 1, .has_bias = bias, .alpha = 1 };
    mbr_cl_gemm_launch(l, &p, NULL, half, &in, &weights, &to, &added, &none);
    return l->status;
}

#define ROW(domain, name, function, param) { domain, name, mbr_cl_takes_numbers, function, param }

const mbr_cl_op mbr_cl_ops_quantized[] = {
    ROW("", "ConvInteger", lower_conv, CONV_INTEGER),
    ROW("", "DynamicQuantizeLinear", lower_dynamic, 0),
    ROW("", "MatMulInteger", lower_product, INTEGER),
    ROW("", "QLinearConv", lower_conv, CONV),
    ROW("", "QLinearMatMul", lower_product, QLINEAR),
    ROW("com.microsoft", "DynamicQuantizeMatMul", lower_product, DYNAMIC),
    ROW("com.microsoft", "MatMulIntegerToFloat", lower_product, TO_FLOAT),
    ROW("com.microsoft", "MatMulNBits", lower_nbits, 0),
    ROW("com.microsoft", "QGemm", lower_product, QGEMM),
    ROW("com.microsoft", "QLinearConv", lower_conv, CONV),
    { 0 },
};

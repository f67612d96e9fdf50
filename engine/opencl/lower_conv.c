/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conv, ConvTranspose, FusedConv, mbr.Conv, mbr.ConvTranspose. Depthwise ones have a kernel of their own, 1x1 ones are
 * products, 3x3 ones of many channels go by Winograd, the others gather their rows in the product's kernel.
 */
#include "engine/opencl/product.h"
#include "engine/ops/activation.h"
#include "engine/ops/conv_args.h"
#include "base/checked.h"

#include <stdio.h>
#include <string.h>

#define WINOGRAD_SCRATCH ((size_t)64 << 20) /* bytes at most, but for one sample */

/* As in conv.cl. */
typedef struct layout {
    cl_int groups, channels, k, n, width, panels, total;
    cl_int group, filter, channel, tap;
} layout;

typedef struct lowering {
    mbr_cl_lower *l;
    mbr_conv_args a;
    bool last; /* channels of the output */
    bool half;
    size_t size; /* of an element */
    mbr_cl_gemm g;
    mbr_cl_conv w;
    mbr_cl_operand bias, other;
} lowering;

static const mbr_cl_operand input = { .from = MBR_CL_INPUT }, output = { .from = MBR_CL_OUTPUT },
                            plain_weights = { .from = MBR_CL_INPUT, .i = 1 };

static size_t aligned(size_t bytes)
{
    return (bytes + MBR_ALIGN - 1) & ~(size_t)(MBR_ALIGN - 1);
}

static size_t taps_of(const mbr_conv_args *a)
{
    return a->kernel[0] * a->kernel[1] * a->kernel[2];
}

static bool is_depthwise(const mbr_conv_args *a)
{
    return a->groups > 1 && a->groups == a->channels && !a->transposed;
}

/* Where weights go: in panels, or in rows. False: too many. */
static bool layout_of(const mbr_conv_args *a, bool panels, layout *p)
{
    size_t taps = taps_of(a), channels = a->channels / a->groups, n = a->filters / a->groups, total;
    bool depthwise = is_depthwise(a);
    memset(p, 0, sizeof *p);
    if (depthwise) {
        channels = 1;
        n = a->filters;
    }
    size_t width = panels && !depthwise ? MBR_CL_NR : n, count = (n + width - 1) / width;
    p->groups = depthwise ? 1 : (cl_int)a->groups;
    if (!mbr_mul_size((size_t)p->groups * count * width, channels * taps, &total) || total > INT32_MAX / 2)
        return false;
    p->channels = (cl_int)channels;
    p->k = (cl_int)(channels * taps);
    p->n = (cl_int)n;
    p->width = (cl_int)width;
    p->panels = (cl_int)count;
    p->total = (cl_int)(total + (panels ? channels * taps : 0)); /* zeros behind, for what lies outside */
    p->tap = 1;
    p->group = (cl_int)(n * channels * taps);
    p->channel = (cl_int)(a->transposed ? n * taps : taps);
    p->filter = (cl_int)(a->transposed ? taps : channels * taps);
    return true;
}

static mbr_status fill_layout(const mbr_step *s, void *to, size_t bytes, bool panels, mbr_error *err)
{
    mbr_conv_args a;
    layout p;
    bool last;
    size_t size = mbr_dtype_size(s->in[1]->dtype), at = 0;
    mbr_status st = mbr_conv_step_args(s, &a, &last, err);
    if (st != MBR_OK)
        return st;
    layout_of(&a, panels, &p);
    memset(to, 0, bytes);
    for (cl_int z = 0; z < p.groups; z++)
        for (cl_int panel = 0; panel < p.panels; panel++)
            for (cl_int k = 0; k < p.k; k++)
                for (cl_int j = 0, f = panel * p.width; j < p.width; j++, f++, at++)
                    if (f < p.n)
                        memcpy((char *)to + at * size,
                               (const char *)s->in[1]->data +
                                   (size_t)(z * p.group + f * p.filter + k % p.channels * p.channel +
                                            k / p.channels * p.tap) * size, size);
    return MBR_OK;
}

static mbr_status fill_panels(const mbr_step *s, void *to, size_t bytes, mbr_error *err)
{
    return fill_layout(s, to, bytes, true, err);
}

static mbr_status fill_rows(const mbr_step *s, void *to, size_t bytes, mbr_error *err)
{
    return fill_layout(s, to, bytes, false, err);
}

static bool constant_weights(const mbr_ir_node *n)
{
    return n->inputs[1]->constant && !n->inputs[1]->is_input;
}

/* The weights laid out: once on the host where they are constant, else by a launch, `at` in the scratch memory. */
static mbr_cl_operand lay_weights(lowering *c, const layout *p, bool panels, size_t at)
{
    mbr_cl_lower *l = c->l;
    size_t bytes = (size_t)p->total * c->size;
    if (constant_weights(l->step->node))
        return (mbr_cl_operand){ .from = MBR_CL_PACKED, .bytes = bytes, .fill = panels ? fill_panels : fill_rows };
    mbr_cl_operand o = { .from = MBR_CL_SCRATCH, .at = at, .bytes = bytes };
    mbr_cl_kernel(l, "conv", "lay_weights", c->half ? "-DREAL -DHALF" : "-DREAL");
    mbr_cl_in(l, 1);
    mbr_cl_operand_arg(l, &o);
    mbr_cl_bytes(l, p, sizeof *p);
    mbr_cl_go(l, 1, (size_t[]){ (size_t)p->total }, (size_t[]){ l->device->max_group < 64 ? 1 : 64 });
    return o;
}

/* Sizes and strides of a convolution of one launch. */
static void fill_conv(lowering *c)
{
    const mbr_conv_args *a = &c->a;
    mbr_cl_conv *w = &c->w;
    size_t in = 1, out = 1, tap = 1;
    for (int i = 2; i >= 0; i--) {
        w->in[i] = (cl_int)a->in[i];
        w->out[i] = (cl_int)a->out[i];
        w->tap[i] = (cl_int)a->kernel[i];
        w->stride[i] = (cl_int)a->stride[i];
        w->step[i] = (cl_int)a->dilation[i];
        w->start[i] = (cl_int)-a->pad[i];
        w->tap_w[i] = (cl_int)tap;
        w->x[i] = (cl_int)(in * (a->x_planes ? 1 : a->channels));
        w->y[i] = (cl_int)(out * (c->last ? a->filters : 1));
        in *= a->in[i];
        out *= a->out[i];
        tap *= a->kernel[i];
    }
    w->x_n = (cl_long)(in * a->channels);
    w->y_n = (cl_long)(out * a->filters);
    w->x_c = a->x_planes ? (cl_int)in : 1;
    w->channels = (cl_int)(a->channels / a->groups);
    c->g.c_n = c->g.o_n = c->last ? 1 : (cl_int)out;
}

/* Vector width for a kernel whose work-items take channels. */
static int channel_width(const mbr_cl_device *d, size_t channels)
{
    int most = mbr_cl_by_rows(d) && d->vector_f32 >= 8 ? 8 : 4;
    while (most > 1 && (channels % (size_t)most || most == 2))
        most /= 2;
    return most;
}

static void launch_depthwise(lowering *c)
{
    mbr_cl_lower *l = c->l;
    const mbr_conv_args *a = &c->a;
    layout p;
    char options[64];
    bool planes = a->x_planes || !c->last;
    c->g.n = (cl_int)a->filters;
    c->g.k = (cl_int)(a->filters / a->groups);
    layout_of(a, false, &p);
    mbr_cl_operand b = lay_weights(c, &p, false, 0);
    int width = planes || c->g.k != 1 ? 1 : channel_width(l->device, a->filters);
    snprintf(options, sizeof options, "-DREAL -DVC=%d%s%s", width, planes ? " -DPLANES" : "", c->half ? " -DHALF" : "");
    size_t channels = a->filters / (size_t)width, points = (a->out[2] + 3) / 4;
    size_t group = mbr_cl_by_rows(l->device) ? 1 : l->device->max_group < 64 ? l->device->max_group : 64;
    mbr_cl_kernel(l, "conv", "depthwise", options);
    mbr_cl_in(l, 0);
    mbr_cl_operand_arg(l, &b);
    mbr_cl_out(l, 0);
    mbr_cl_operand_arg(l, &c->bias);
    mbr_cl_operand_arg(l, &c->other);
    mbr_cl_bytes(l, &c->g, sizeof c->g);
    mbr_cl_bytes(l, &c->w, sizeof c->w);
    mbr_cl_go(l, 3, (size_t[]){ planes ? points : channels, planes ? channels : points, a->n * a->out[0] * a->out[1] },
              (size_t[]){ group, 1, 1 });
}

/* A 1x1 convolution without stride is a product. */
static void launch_product(lowering *c, const layout *p, const mbr_cl_operand *b)
{
    const mbr_conv_args *a = &c->a;
    mbr_cl_gemm *g = &c->g;
    size_t points = a->out[0] * a->out[1] * a->out[2];
    bool fold = !a->x_planes && c->last;
    g->m = (cl_int)(fold ? points * a->n : points);
    g->a_m = a->x_planes ? 1 : (cl_int)a->channels;
    g->a_k = a->x_planes ? (cl_int)points : 1;
    g->c_m = g->o_m = c->last ? (cl_int)a->filters : 1;
    if (!fold) {
        g->batch[1] = (cl_int)a->n;
        g->a_batch[1] = c->w.x_n;
        g->c_batch[1] = g->o_batch[1] = c->w.y_n;
    }
    g->k = p->k;
    mbr_cl_gemm_launch(c->l, g, NULL, c->half, &input, b, &output, &c->bias, &c->other);
}

/* Scratch: the image channels last, with its border; then the taps of a row of the kernel count as channels. */
static mbr_cl_operand launch_image(lowering *c, size_t *end)
{
    mbr_cl_lower *l = c->l;
    const mbr_conv_args *a = &c->a;
    mbr_cl_conv from = c->w;
    size_t points = a->n, channels = a->channels;
    for (int i = 2; i >= 0; i--) {
        size_t reach = a->transposed ? a->in[i] :
                                       (a->out[i] - 1) * a->stride[i] + (a->kernel[i] - 1) * a->dilation[i] + 1;
        from.stride[i] = 1;
        from.out[i] = (cl_int)reach;
        from.start[i] = a->transposed ? 0 : c->w.start[i];
        c->w.in[i] = (cl_int)reach;
        c->w.start[i] = 0;
        c->w.x[i] = i == 2 ? (cl_int)channels : c->w.x[i + 1] * c->w.in[i + 1];
        points *= reach;
    }
    from.channels = (cl_int)channels;
    c->w.x_n = (cl_long)(points / a->n * channels);
    c->w.x_c = 1;
    mbr_cl_operand o = { .from = MBR_CL_SCRATCH, .bytes = points * channels * c->size };
    *end = aligned(o.bytes);
    mbr_cl_kernel(l, "conv", "lay_out", c->half ? "-DREAL -DHALF" : "-DREAL");
    mbr_cl_in(l, 0);
    mbr_cl_operand_arg(l, &o);
    mbr_cl_bytes(l, &from, sizeof from);
    mbr_cl_int(l, (int64_t)points);
    mbr_cl_go(l, 2, (size_t[]){ channels, points }, (size_t[]){ 1, l->device->max_group < 64 ? 1 : 64 });
    if (a->groups == 1 && a->dilation[2] == 1 && !a->transposed) {
        c->w.channels = (cl_int)(channels * a->kernel[2]);
        c->w.tap[2] = 1;
        c->w.tap_w[1] = 1;
        c->w.tap_w[0] = (cl_int)a->kernel[1];
    }
    return o;
}

/* A transposed convolution, for each residue of the output's points by the stride: those taps that meet it. */
static void launch_transposed(lowering *c, const mbr_cl_operand *x, const mbr_cl_operand *b)
{
    const mbr_conv_args *a = &c->a;
    mbr_cl_conv whole = c->w;
    for (size_t phase = 0; phase < a->stride[0] * a->stride[1] * a->stride[2]; phase++) {
        mbr_cl_conv *w = &c->w;
        size_t at[3] = { phase / a->stride[2] / a->stride[1], phase / a->stride[2] % a->stride[1],
                         phase % a->stride[2] };
        *w = whole;
        c->g.m = (cl_int)a->n;
        c->g.k = whole.channels;
        for (int i = 0; i < 3; i++) {
            cl_int s = whole.stride[i], first = -1, second = -1, taps = 0;
            for (cl_int t = 0; t < whole.tap[i]; t++)
                if (((cl_long)at[i] + a->pad[i] - (cl_long)t * whole.step[i]) % s == 0) {
                    second = first >= 0 && second < 0 ? t : second;
                    first = first < 0 ? t : first;
                    taps++;
                }
            cl_int by = second < 0 ? 1 : second - first;
            w->stride[i] = 1;
            w->tap[i] = taps;
            w->start[i] = first < 0 ? 0 : (cl_int)(((cl_long)at[i] + a->pad[i] - (cl_long)first * whole.step[i]) / s);
            w->step[i] = -(cl_int)((cl_long)by * whole.step[i] / s);
            w->tap_at += first < 0 ? 0 : first * whole.tap_w[i];
            w->tap_w[i] = by * whole.tap_w[i];
            w->out[i] = at[i] < a->out[i] ? (cl_int)((a->out[i] - at[i] + a->stride[i] - 1) / a->stride[i]) : 0;
            w->y_at += (cl_long)at[i] * whole.y[i];
            w->y[i] = whole.y[i] * s;
            c->g.m *= w->out[i];
            c->g.k *= taps;
        }
        if (c->g.m)
            mbr_cl_gemm_launch(c->l, &c->g, &c->w, c->half, x, b, &output, &c->bias, &c->other);
    }
}

/* --- Winograd --- */

static bool by_winograd(const lowering *c)
{
    const mbr_conv_args *a = &c->a;
    const mbr_ir_node *n = c->l->step->node;
    bool three = a->kernel[0] == 1 && a->kernel[1] == 3 && a->kernel[2] == 3 && a->groups == 1 && !a->transposed;
    for (int i = 0; i < 3; i++)
        three = three && a->stride[i] == 1 && a->dilation[i] == 1;
    return three && a->in[0] == 1 && a->pad[0] == 0 && a->out[0] == 1 && !a->x_planes && c->last && !c->half &&
           a->channels >= 64 && a->filters >= 64 && a->channels % 4 == 0 && a->filters % 4 == 0 && a->out[1] >= 4 &&
           a->out[2] >= 4 && constant_weights(n) && !mbr_attr_int(n, "exact", 0);
}

/* G w G^T of every filter and channel: (16, channels, filters), or 16 times panels. */
static mbr_status fill_winograd(const mbr_step *s, float *to, bool panels)
{
    const float *w = s->in[1]->data;
    size_t filters = (size_t)s->in[1]->dims[0], channels = (size_t)s->in[1]->dims[1];
    size_t width = panels ? MBR_CL_NR : filters, plane = (filters + width - 1) / width * width * channels;
    memset(to, 0, 16 * plane * sizeof *to);
    for (size_t f = 0; f < filters; f++)
        for (size_t ch = 0; ch < channels; ch++) {
            float k[9], half[4][3], *u = to + (f / width * channels + ch) * width + f % width;
            memcpy(k, (const char *)w + (f * channels + ch) * sizeof k, sizeof k);
            for (int j = 0; j < 3; j++) {
                half[0][j] = k[j];
                half[1][j] = 0.5f * (k[j] + k[3 + j] + k[6 + j]);
                half[2][j] = 0.5f * (k[j] - k[3 + j] + k[6 + j]);
                half[3][j] = k[6 + j];
            }
            for (size_t i = 0; i < 4; i++, u += 4 * plane) {
                const float *h = half[i];
                u[0] = h[0];
                u[plane] = 0.5f * (h[0] + h[1] + h[2]);
                u[2 * plane] = 0.5f * (h[0] - h[1] + h[2]);
                u[3 * plane] = h[2];
            }
        }
    return MBR_OK;
}

static mbr_status fill_winograd_panels(const mbr_step *s, void *to, size_t bytes, mbr_error *err)
{
    (void)bytes;
    (void)err;
    return fill_winograd(s, to, true);
}

static mbr_status fill_winograd_rows(const mbr_step *s, void *to, size_t bytes, mbr_error *err)
{
    (void)bytes;
    (void)err;
    return fill_winograd(s, to, false);
}

/* Some samples at a time, so that scratch memory stays small. */
static void launch_winograd(lowering *c)
{
    mbr_cl_lower *l = c->l;
    const mbr_conv_args *a = &c->a;
    bool rows = mbr_cl_by_rows(l->device);
    size_t each = (a->out[1] + 1) / 2 * ((a->out[2] + 1) / 2), group = rows ? 1 : 16;
    size_t per = WINOGRAD_SCRATCH / (16 * sizeof(float) * each * (a->channels + a->filters));
    size_t plane = rows ? mbr_cl_panels(a->channels, a->filters) : a->channels * a->filters;
    mbr_cl_operand u = { .from = MBR_CL_PACKED, .bytes = 16 * plane * sizeof(float), .i = 1,
                         .fill = rows ? fill_winograd_panels : fill_winograd_rows };
    mbr_cl_operand none = { .from = MBR_CL_NONE };
    char in[32], out[32];
    int wide_in = channel_width(l->device, a->channels), wide_out = channel_width(l->device, a->filters);
    snprintf(in, sizeof in, "-DREAL -DVC=%d", wide_in);
    snprintf(out, sizeof out, "-DREAL -DVC=%d", wide_out);
    per = per < 1 ? 1 : per;
    for (size_t n0 = 0; n0 < a->n; n0 += per) {
        size_t tiles = each * (a->n - n0 < per ? a->n - n0 : per);
        mbr_cl_operand v = { .from = MBR_CL_SCRATCH, .bytes = 16 * tiles * a->channels * sizeof(float) };
        mbr_cl_operand m = { .from = MBR_CL_SCRATCH, .at = aligned(v.bytes),
                             .bytes = 16 * tiles * a->filters * sizeof(float) };
        mbr_cl_gemm g = { .batch = { 1, 1, 16 }, .m = (cl_int)tiles, .n = (cl_int)a->filters, .k = (cl_int)a->channels,
                          .a_m = (cl_int)a->channels, .a_k = 1, .b_k = (cl_int)a->filters, .b_n = 1,
                          .c_m = (cl_int)a->filters, .c_n = 1, .alpha = 1 };
        g.a_batch[2] = (cl_long)(tiles * a->channels);
        g.b_batch[2] = (cl_long)plane;
        g.c_batch[2] = (cl_long)(tiles * a->filters);
        mbr_cl_kernel(l, "conv", "winograd_in", in);
        mbr_cl_in(l, 0);
        mbr_cl_operand_arg(l, &v);
        mbr_cl_bytes(l, &c->w, sizeof c->w);
        mbr_cl_int(l, (int64_t)n0);
        mbr_cl_int(l, (int64_t)tiles);
        mbr_cl_go(l, 2, (size_t[]){ a->channels / (size_t)wide_in, tiles }, (size_t[]){ group, 1 });
        mbr_cl_gemm_launch(l, &g, NULL, false, &v, &u, &m, &none, &none);
        mbr_cl_kernel(l, "conv", "winograd_out", out);
        mbr_cl_operand_arg(l, &m);
        mbr_cl_out(l, 0);
        mbr_cl_operand_arg(l, &c->bias);
        mbr_cl_operand_arg(l, &c->other);
        mbr_cl_bytes(l, &c->g, sizeof c->g);
        mbr_cl_bytes(l, &c->w, sizeof c->w);
        mbr_cl_int(l, (int64_t)n0);
        mbr_cl_int(l, (int64_t)tiles);
        mbr_cl_go(l, 2, (size_t[]){ a->filters / (size_t)wide_out, tiles }, (size_t[]){ group, 1 });
    }
}

/* --- the operator --- */

static void launch_general(lowering *c)
{
    mbr_cl_lower *l = c->l;
    const mbr_conv_args *a = &c->a;
    mbr_cl_gemm *g = &c->g;
    bool rows = mbr_cl_by_rows(l->device), one = taps_of(a) == 1 && !a->transposed;
    size_t end = 0, count = a->n * a->out[0] * a->out[1] * a->out[2];
    layout p;
    for (int i = 0; i < 3; i++)
        one = one && a->stride[i] == 1 && a->pad[i] == 0 && a->out[i] == a->in[i];
    layout_of(a, rows, &p);
    g->n = p.n;
    g->batch[2] = (cl_int)a->groups;
    g->a_batch[2] = (cl_long)p.channels * c->w.x_c;
    g->c_batch[2] = g->o_batch[2] = (cl_long)p.n * g->c_n;
    g->bias_batch = p.n;
    g->b_batch[2] = (cl_long)p.panels * p.width * p.k;
    g->b_n = rows ? p.k : 1; /* panels: their length, and where zeros are */
    g->b_k = rows ? p.groups * (cl_int)g->b_batch[2] : p.width;
    if (one) {
        mbr_cl_operand b = plain_weights;
        if (rows) {
            b = lay_weights(c, &p, true, 0);
        } else {
            g->b_k = 1;
            g->b_n = p.k;
        }
        launch_product(c, &p, &b);
        return;
    }
    mbr_cl_operand x = input;
    if (rows && (a->x_planes || (a->channels <= 8 && !a->transposed))) {
        x = launch_image(c, &end);
        g->a_batch[2] = p.channels;
    }
    mbr_cl_operand b = lay_weights(c, &p, rows, end);
    g->m = (cl_int)count;
    g->k = p.k;
    if (a->transposed)
        launch_transposed(c, &x, &b);
    else
        mbr_cl_gemm_launch(l, g, &c->w, c->half, &x, &b, &output, &c->bias, &c->other);
}

static mbr_status lower_conv(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    lowering c = { .l = l, .half = s->in[0]->dtype == MBR_DTYPE_F16, .size = mbr_dtype_size(s->in[0]->dtype) };
    layout p;
    mbr_status st = mbr_conv_step_args(s, &c.a, &c.last, l->err);
    if (st == MBR_OK)
        st = mbr_cl_epilogue(l, &c.g);
    if (st != MBR_OK)
        return st;
    if (mbr_value_count(s->out[0]) == 0)
        return MBR_OK;
    if (mbr_value_count(s->in[0]) > INT32_MAX / 2 || mbr_value_count(s->out[0]) > INT32_MAX / 2 ||
        !layout_of(&c.a, true, &p))
        return mbr_cl_decline(l, "a tensor of more than 2^30 elements");
    c.g.alpha = 1;
    c.g.batch[0] = c.g.batch[1] = c.g.batch[2] = 1;
    c.bias.from = c.other.from = MBR_CL_NONE;
    if (mbr_step_has(s, 2)) {
        c.g.has_bias = 1;
        c.bias = (mbr_cl_operand){ .from = MBR_CL_INPUT, .i = 2 };
    }
    if (c.g.other_is)
        c.other = (mbr_cl_operand){ .from = MBR_CL_INPUT, .i = 3 };
    fill_conv(&c);
    if (is_depthwise(&c.a)) {
        launch_depthwise(&c);
    } else if (by_winograd(&c)) {
        c.g.n = (cl_int)c.a.filters;
        launch_winograd(&c);
    } else {
        launch_general(&c);
    }
    return l->status;
}

static bool takes_conv(const mbr_ir_node *n, const mbr_cl_device *d)
{
    (void)d;
    mbr_dtype t = n->inputs[0]->type.dtype;
    int rank = n->inputs[1]->type.rank;
    return (t == MBR_DTYPE_F32 || t == MBR_DTYPE_F16) && rank >= 3 && rank <= 5;
}

const mbr_cl_op mbr_cl_ops_conv[] = {
    { "", "Conv", takes_conv, lower_conv, 0 },
    { "", "ConvTranspose", takes_conv, lower_conv, 0 },
    { "com.microsoft", "FusedConv", takes_conv, lower_conv, 0 },
    { "mbr", "Conv", takes_conv, lower_conv, 0 },
    { "mbr", "ConvTranspose", takes_conv, lower_conv, 0 },
    { 0 },
};

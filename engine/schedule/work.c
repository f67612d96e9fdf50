/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/schedule/work.h"
#include "engine/ops/activation.h"
#include "kernels/peak.h"

#include <string.h>

const char *const mbr_work_names[MBR_WORK_COUNT] = {
#define FAMILY(id, name, unit, base, each) name,
#include "engine/schedule/families.def"
#undef FAMILY
};

const mbr_work_unit mbr_work_units[MBR_WORK_COUNT] = {
#define FAMILY(id, name, unit, base, each) MBR_UNIT_##unit,
#include "engine/schedule/families.def"
#undef FAMILY
};

static double elements(const mbr_value *v)
{
    return v && v->kind == MBR_KIND_TENSOR && v->rank >= 0 ? (double)mbr_value_count(v) : 0;
}

static double bytes_of(const mbr_value *v)
{
    return v && v->kind == MBR_KIND_TENSOR && v->rank >= 0 && v->dtype != MBR_DTYPE_STRING
               ? (double)mbr_value_bytes(v) : 0;
}

static int64_t from_last(const mbr_value *v, int d)
{
    return v && v->rank >= d ? v->dims[v->rank - d] : 0;
}

static double flop_of(const mbr_step *s)
{
    const char *name = s->op->name;
    const mbr_value *a = s->n_in > 0 ? s->in[0] : NULL, *out = s->n_out > 0 ? s->out[0] : NULL;
    double n = elements(out);
    bool quantised = strncmp(name, "QLinear", 7) == 0 || strcmp(name, "QGemm") == 0;
    const mbr_value *b = s->n_in > (quantised ? 3u : 1u) ? s->in[quantised ? 3 : 1] : NULL;
    const mbr_value *c = s->n_in > 2 ? s->in[2] : NULL;
    if (!b || b->rank < 1 || !a || a->rank < 1)
        return n;
    if (strcmp(name, "LSTM") == 0 || strcmp(name, "GRU") == 0 || strcmp(name, "RNN") == 0)
        return 2 * (elements(a) / (double)(from_last(a, 1) ? from_last(a, 1) : 1)) * (elements(b) + elements(c));
    if (n == 0)
        return n;
    if (strstr(name, "ConvTranspose"))
        return b->dims[0] ? 2 * elements(a) * elements(b) / (double)b->dims[0] : n;
    if (strstr(name, "Conv"))
        return b->dims[0] ? 2 * n * elements(b) / (double)b->dims[0] : n;
    if (strstr(name, "MatMulNBits"))
        return 2 * n * (double)a->dims[a->rank - 1];
    if (strstr(name, "MatMul") || strstr(name, "Gemm")) {
        bool trans = mbr_attr_int(s->node, "transA", 0) != 0;
        return 2 * n * (double)from_last(a, trans && a->rank > 1 ? 2 : 1);
    }
    if (strstr(name, "Attention")) {
        size_t count = 0; /* of the fused operator, axis by axis: the last one that it sees of the keys is their number */
        const int64_t *axes = mbr_attr_ints(s->node, "k_axes", &count);
        bool fits = axes && count == (size_t)b->rank && axes[count - 1] >= 0 && axes[count - 1] < b->rank;
        return 4 * n * (double)(fits ? b->dims[axes[count - 1]] : from_last(b, 2));
    }
    return n;
}

static bool ends(const char *kernel, const char *with)
{
    const char *last = kernel ? strrchr(kernel, '_') : NULL;
    return last && strcmp(last + 1, with) == 0;
}

static mbr_work_family product_of(double rows)
{
    return rows >= 16 ? MBR_WORK_PRODUCT : rows >= 2 ? MBR_WORK_PRODUCT_FEW : MBR_WORK_PRODUCT_ROW;
}

static mbr_work_family conv_of(const mbr_step *s, double rows)
{
    static const struct {
        const char *end;
        mbr_work_family family;
    } kernels[] = {
        { "first", MBR_WORK_CONV_FIRST },       { "narrow", MBR_WORK_CONV_NARROW },
        { "depthwise", MBR_WORK_CONV_DEPTHWISE }, { "winograd", MBR_WORK_CONV_WINOGRAD },
        { "dot", MBR_WORK_CONV_DOT },
    };
    if (!s->kernel || ends(s->kernel, "ref"))
        return MBR_WORK_PLAIN;
    if (rows < 4)
        return product_of(rows);
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (ends(s->kernel, kernels[i].end))
            return kernels[i].family;
    return MBR_WORK_CONV;
}

/* By the operator's family of kernels, and by its name where that says too little. */
static mbr_work_family family_of(const mbr_step *s, double rows)
{
    const char *name = s->op->name;
    switch (mbr_op_family(s->op)) {
    case MBR_FAMILY_GEMM:
        return s->kernel ? product_of(rows) : MBR_WORK_PLAIN;
    case MBR_FAMILY_CONV:
        return conv_of(s, rows);
    case MBR_FAMILY_ATTENTION:
        return MBR_WORK_ATTENTION;
    case MBR_FAMILY_RNN:
        return MBR_WORK_RECURRENT;
    case MBR_FAMILY_QGEMM:
        return MBR_WORK_QPRODUCT;
    case MBR_FAMILY_QCONV:
        return mbr_attr_int(s->node, "group", 1) > 1 ? MBR_WORK_QCONV_DEPTHWISE : MBR_WORK_QCONV;
    case MBR_FAMILY_NBITS:
        return MBR_WORK_NBITS;
    case MBR_FAMILY_SOFTMAX:
        return MBR_WORK_SOFTMAX;
    case MBR_FAMILY_NORM:
        return MBR_WORK_NORM;
    case MBR_FAMILY_REDUCE:
        return MBR_WORK_REDUCE;
    case MBR_FAMILY_POOL:
        return MBR_WORK_POOL;
    case MBR_FAMILY_COPY:
        return strcmp(name, "Transpose") == 0 ? MBR_WORK_TRANSPOSE : strncmp(name, "Gather", 6) == 0 ? MBR_WORK_PICK :
               MBR_WORK_COPY;
    case MBR_FAMILY_TREE:
        return ends(s->kernel, "masks") ? MBR_WORK_TREES_MASKS : ends(s->kernel, "jumps") ? MBR_WORK_TREES_JUMPS :
               MBR_WORK_TREES;
    case MBR_FAMILY_QUANTIZE:
        return MBR_WORK_QUANTIZE;
    case MBR_FAMILY_CONVERT:
        return MBR_WORK_POINTWISE;
    case MBR_FAMILY_CHAIN:
        return strcmp(name, "Chain") == 0 ? MBR_WORK_CHAIN :
               s->n_in > 1 || strcmp(name, "Relu") == 0 || strcmp(name, "Neg") == 0 || strcmp(name, "Abs") == 0
                   ? MBR_WORK_POINTWISE : MBR_WORK_FUNCTION;
    default:
        if (strncmp(name, "Gather", 6) == 0)
            return MBR_WORK_PICK;
        if (strcmp(name, "Concat") == 0 || strcmp(name, "Split") == 0 || strcmp(name, "Slice") == 0 ||
            strcmp(name, "Pad") == 0 || strcmp(name, "Expand") == 0 || strcmp(name, "ConstantOfShape") == 0)
            return MBR_WORK_COPY;
        return MBR_WORK_OTHER;
    }
}

static double rounded(double x, double to)
{
    double whole = (double)(int64_t)((x + to - 1) / to) * to;
    return x > 0 ? whole / x : 1;
}

/* By how much kernels do more than the arithmetic that is asked for. */
static double beside(const mbr_step *s, mbr_work_family family)
{
    bool quantised = family == MBR_WORK_QCONV;
    const mbr_value *w = s->n_in > (quantised ? 3u : 1u) ? s->in[quantised ? 3 : 1] : NULL;
    const mbr_value *out = s->n_out ? s->out[0] : NULL;
    double columns = (double)from_last(out, 1);
    mbr_peak peak = { .lanes = 8 };
    mbr_peak_best(&peak);
    if (family <= MBR_WORK_PRODUCT_FEW) /* whole vectors of columns */
        return rounded(columns, 16);
    if (!w || w->rank != 4 || w->dims[0] < 1 || w->dims[1] < 1 || w->dims[3] < 1)
        return 1;
    double window = (double)(w->dims[1] * w->dims[2] * w->dims[3]);
    if (family == MBR_WORK_CONV && w->dims[2] * w->dims[3] > 1) /* what is put together for it costs like 6 filters */
        return 1 + 6 / (double)w->dims[0];
    if (family == MBR_WORK_CONV_NARROW) /* to begin a row of the window is like 8 products; whole vectors of filters */
        return (1 + 8 / (double)(w->dims[1] * w->dims[3])) * rounded(columns, peak.lanes);
    if (family == MBR_WORK_CONV_WINOGRAD) /* whole pieces of 4 x 4 */
        return rounded((double)from_last(out, 2), 4) * rounded((double)from_last(out, 3), 4);
    if (quantised) /* what a sum becomes at last costs like 64 products, to begin a row or a line of a window like 1600 */
        return (1 + 64 / window) * rounded(columns, 16) + 1600 * (1 + (double)w->dims[2]) / (window * (double)w->dims[0]);
    return 1;
}

/* Functions with exponentials that a fused activation takes. */
static double curves_of(const mbr_step *s, mbr_work_family family)
{
    mbr_act act = { MBR_ACT_NONE, 0, 0 };
    bool curved = family < MBR_WORK_PLAIN && mbr_activation_read(s->node, &act, NULL) == MBR_OK &&
                  act.kind >= MBR_ACT_SIGMOID && act.kind <= MBR_ACT_GELU_TANH;
    return curved && s->n_out ? elements(s->out[0]) : 0;
}

/* The output is where an input of the step was, or input i is one of those before it. */
static bool same_data(const mbr_step *s, uint32_t n, const mbr_value *v)
{
    for (uint32_t i = 0; v && v->data && i < n; i++)
        if (s->in[i] && s->in[i]->data == v->data)
            return true;
    return false;
}

void mbr_work_of(const mbr_step *s, mbr_work *w)
{
    const mbr_value *out = s->n_out ? s->out[0] : NULL;
    const char *name = s->op->name;
    bool picks = strncmp(name, "Gather", 6) == 0 || strcmp(name, "Slice") == 0;
    double made = bytes_of(out), rows = 0, all = 0;
    memset(w, 0, sizeof *w);
    w->flop = flop_of(s);
    for (uint32_t i = 0; i < s->n_in; i++) {
        double bytes = bytes_of(s->in[i]);
        if (picks && i == 0 && bytes > made) /* reads what it takes */
            bytes = made;
        const mbr_ir_value *v = i < s->node->n_inputs ? s->node->inputs[i] : NULL;
        all += bytes;
        w->bytes += same_data(s, i, s->in[i]) ? 0 : bytes;
        w->weight_bytes += v && v->constant && !v->has_default ? bytes : 0;
    }
    for (uint32_t i = 0; i < s->n_out; i++) {
        all += bytes_of(s->out[i]);
        w->bytes += same_data(s, s->n_in, s->out[i]) ? 0 : bytes_of(s->out[i]);
    }
    if (out && out->kind == MBR_KIND_TENSOR && out->rank > 0 && from_last(out, 1) > 0)
        rows = elements(out) / (double)from_last(out, 1);
    w->rows = rows;
    w->family = s->op->run ? family_of(s, rows) : MBR_WORK_OTHER;
    w->curves = curves_of(s, w->family);
    w->units = mbr_work_units[w->family] == MBR_UNIT_FLOP ? w->flop * beside(s, w->family) :
               mbr_work_units[w->family] == MBR_UNIT_BYTES ? all :
               s->cost_ns > 0 ? s->cost_ns : elements(s->n_in ? s->in[0] : NULL) + elements(out);
    if (w->family == MBR_WORK_PICK && w->units > 0.1 * made) /* the operator's guess is for bytes that are far */
        w->units -= 0.085 * made;
    if (w->family == MBR_WORK_CONV_WINOGRAD) { /* 36 of the transform for 9 of the filter */
        w->bytes += 3 * w->weight_bytes;
        w->weight_bytes *= 4;
    }
    for (int i = 0; i < s->phases; i++)
        if ((double)s->tiles[i] > w->tiles || w->family == MBR_WORK_RECURRENT) /* there the last one is what takes time */
            w->tiles = (double)s->tiles[i];
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resize, Upsample, and mbr.Resize: Resize with data channels last, (n, spatial..., c), while roi, scales, sizes and
 * axes keep ONNX's order (n, c, spatial...).
 */
#include "engine/ops/buffer.h"
#include "engine/ops/resize_step.h"
#include "kernels/real.h"

#include <math.h>
#include <string.h>

enum { RESIZE, RESIZE_10, UPSAMPLE, UPSAMPLE_7, UPSAMPLE_1, CHANNELS_LAST };

typedef struct resize_state {
    mbr_resize_desc desc;
    mbr_resize_plan plan;
    bool ready;      /* the plan holds for the numbers that prepare knew: nothing left to do at run */
    mbr_buffer table;
    mbr_buffer wide; /* other types than f32: input and output converted */
    size_t per_tile;
} resize_state;

/* Input slots of roi, scales, sizes; 31: none. */
static uint32_t scales_slot(const mbr_op *op)
{
    if (op->param == RESIZE || op->param == CHANNELS_LAST)
        return 2;
    return op->param == RESIZE_10 || op->param == UPSAMPLE ? 1 : 31;
}

static bool has_sizes(const mbr_op *op)
{
    return op->param == RESIZE || op->param == CHANNELS_LAST;
}

/* Where ONNX's axis i lies in memory. */
static int axis_in_memory(const mbr_op *op, int rank, int i)
{
    if (op->param != CHANNELS_LAST || i == 0)
        return i;
    return i == 1 ? rank - 1 : i - 1;
}

/* The axes that roi, scales and sizes speak of; false: an invalid attribute. */
static bool read_axes(const mbr_ir_node *n, int rank, int *axes, size_t *count)
{
    size_t given;
    const int64_t *list = mbr_attr_ints(n, "axes", &given);
    *count = list ? given : (size_t)rank;
    if (*count > (size_t)rank)
        return false;
    unsigned seen = 0;
    for (size_t i = 0; i < *count; i++) {
        int64_t axis = !list ? (int64_t)i : list[i] < 0 ? list[i] + rank : list[i];
        if (axis < 0 || axis >= rank || (seen & 1u << axis))
            return false;
        seen |= 1u << axis;
        axes[i] = (int)axis;
    }
    return true;
}

/* floor(in * scale) as a size; scale comes from an f32. */
static mbr_dim scaled(mbr_dim_table *t, mbr_dim in, double scale)
{
    if (!(scale > 0) || scale > 1e9)
        return MBR_DIM_UNKNOWN;
    if (mbr_dim_is_const(in))
        return (mbr_dim)floorf((float)in * (float)scale);
    for (int64_t q = 1; q <= 64; q++) {
        double p = scale * (double)q;
        if (p == floor(p))
            return mbr_dim_div(t, mbr_dim_mul(t, in, (int64_t)p), q);
    }
    return MBR_DIM_UNKNOWN;
}

static size_t attr_scales(const mbr_ir_node *n, double *scales)
{
    size_t count;
    const float *v = mbr_attr_floats(n, "scales", &count);
    if (n->op->param == UPSAMPLE_7 && v && count <= MBR_MAX_RANK) {
        for (size_t i = 0; i < count; i++)
            scales[i] = (double)v[i];
        return count;
    }
    if (n->op->param != UPSAMPLE_1)
        return 0;
    scales[0] = scales[1] = 1;
    scales[2] = (double)mbr_attr_float(n, "height_scale", 1);
    scales[3] = (double)mbr_attr_float(n, "width_scale", 1);
    return 4;
}

/* keep_aspect_ratio_policy: one factor for all axes, the sizes follow. */
static bool keep_aspect(const mbr_ir_node *n, size_t count, const int64_t *in, int64_t *size, double *factor)
{
    const char *policy = mbr_attr_string(n, "keep_aspect_ratio_policy", "stretch");
    bool larger = strcmp(policy, "not_smaller") == 0;
    if (!larger && strcmp(policy, "not_larger") != 0)
        return false;
    *factor = larger ? 0 : INFINITY;
    for (size_t i = 0; i < count; i++) {
        double f = in[i] ? (double)size[i] / (double)in[i] : 1;
        *factor = larger ? fmax(*factor, f) : fmin(*factor, f);
    }
    for (size_t i = 0; i < count; i++)
        size[i] = (int64_t)(*factor * (double)in[i] + 0.5);
    return true;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    const mbr_op *op = c->node->op;
    mbr_infer_out(c, 0, x->dtype, x->rank, NULL);
    if (x->rank < 0)
        return MBR_OK;
    int axes[MBR_MAX_RANK];
    size_t count, got;
    if (x->rank == 0 || !read_axes(c->node, x->rank, axes, &count))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "attribute axes does not fit an input of rank %d", x->rank);
    mbr_dim dims[MBR_MAX_RANK], sizes[MBR_MAX_RANK];
    double scales[MBR_MAX_RANK];
    memcpy(dims, x->dims, sizeof dims);
    uint32_t slot = scales_slot(op);
    bool by_size = has_sizes(op) && mbr_infer_has(c, 3) && !(c->in[3].rank == 1 && c->in[3].dims[0] == 0);
    if (by_size) {
        for (size_t i = 0; i < count; i++)
            dims[axis_in_memory(op, x->rank, axes[i])] = MBR_DIM_UNKNOWN;
        if (mbr_infer_ints(c, 3, sizes, MBR_MAX_RANK, &got)) {
            if (got != count)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "%zu sizes for %zu axes", got, count);
            int64_t in[MBR_MAX_RANK], size[MBR_MAX_RANK];
            double factor;
            bool plain = true;
            for (size_t i = 0; i < count; i++) {
                mbr_dim d = x->dims[axis_in_memory(op, x->rank, axes[i])];
                plain &= mbr_dim_is_const(d) && mbr_dim_is_const(sizes[i]);
                in[i] = d;
                size[i] = sizes[i];
            }
            bool kept = strcmp(mbr_attr_string(c->node, "keep_aspect_ratio_policy", "stretch"), "stretch") != 0;
            if (kept && plain)
                keep_aspect(c->node, count, in, size, &factor);
            for (size_t i = 0; i < count && (plain || !kept); i++) {
                if (mbr_dim_is_const(size[i]) && (size[i] < 0 || size[i] > INT32_MAX))
                    return mbr_infer_fail(c, MBR_ERR_MODEL, "a size of %lld", (long long)size[i]);
                dims[axis_in_memory(op, x->rank, axes[i])] = size[i];
            }
        }
    } else {
        got = slot == 31 ? attr_scales(c->node, scales) : 0;
        bool known = slot == 31 || (mbr_infer_has(c, slot) && mbr_infer_reals(c, slot, scales, MBR_MAX_RANK, &got));
        if (known && got != count)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "%zu scales for %zu axes", got, count);
        for (size_t i = 0; i < count; i++) {
            int at = axis_in_memory(op, x->rank, axes[i]);
            if (known && (!(scales[i] > 0) || !isfinite(scales[i])))
                return mbr_infer_fail(c, MBR_ERR_MODEL, "a scale of %g; it has to be positive", scales[i]);
            dims[at] = known ? scaled(c->dims, x->dims[at], scales[i]) : MBR_DIM_UNKNOWN;
            if (mbr_dim_is_const(dims[at]) && dims[at] > INT32_MAX)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "an output size of %lld", (long long)dims[at]);
        }
    }
    mbr_infer_out(c, 0, x->dtype, x->rank, dims);
    return MBR_OK;
}

static mbr_status read_modes(mbr_step *s, mbr_resize_desc *d, mbr_error *err)
{
    const mbr_ir_node *n = s->node;
    const char *mode = mbr_attr_string(n, "mode", "nearest");
    bool old = s->op->param != RESIZE && s->op->param != CHANNELS_LAST;
    const char *coord = mbr_attr_string(n, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel");
    const char *nearest = mbr_attr_string(n, "nearest_mode", "round_prefer_floor");
    static const struct {
        const char *name;
        mbr_resize_coord coord;
    } coords[] = {
        { "half_pixel", MBR_RESIZE_HALF_PIXEL },
        { "half_pixel_symmetric", MBR_RESIZE_HALF_PIXEL_SYMMETRIC },
        { "pytorch_half_pixel", MBR_RESIZE_PYTORCH_HALF_PIXEL },
        { "align_corners", MBR_RESIZE_ALIGN_CORNERS },
        { "asymmetric", MBR_RESIZE_ASYMMETRIC },
        { "tf_half_pixel_for_nn", MBR_RESIZE_TF_HALF_PIXEL },
        { "tf_crop_and_resize", MBR_RESIZE_TF_CROP },
    };
    static const char *const rounds[] = { "round_prefer_floor", "round_prefer_ceil", "floor", "ceil" };
    if (strcmp(mode, "nearest") == 0)
        d->mode = MBR_RESIZE_NEAREST;
    else if (strcmp(mode, "linear") == 0 || strcmp(mode, "bilinear") == 0 || strcmp(mode, "trilinear") == 0)
        d->mode = MBR_RESIZE_LINEAR;
    else if (strcmp(mode, "cubic") == 0)
        d->mode = MBR_RESIZE_CUBIC;
    else
        return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "mode '%s'", mode);
    size_t i = 0;
    while (i < MBR_COUNT_OF(coords) && strcmp(coord, coords[i].name) != 0)
        i++;
    if (i == MBR_COUNT_OF(coords))
        return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "coordinate_transformation_mode '%s'", coord);
    d->coord = coords[i].coord;
    for (i = 0; i < MBR_COUNT_OF(rounds) && strcmp(nearest, rounds[i]) != 0;)
        i++;
    if (i == MBR_COUNT_OF(rounds))
        return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "nearest_mode '%s'", nearest);
    d->nearest = old ? MBR_RESIZE_CEIL_DOWN : (mbr_resize_nearest)i;
    d->cubic_a = mbr_attr_float(n, "cubic_coeff_a", -0.75f);
    d->exclude_outside = mbr_attr_int(n, "exclude_outside", 0) != 0;
    d->antialias = mbr_attr_int(n, "antialias", 0) != 0 && d->mode != MBR_RESIZE_NEAREST;
    d->extrapolation = mbr_attr_float(n, "extrapolation_value", 0);
    return MBR_OK;
}

static bool readable(const mbr_step *s, uint32_t slot, bool at_run)
{
    return mbr_step_has(s, slot) && mbr_value_count(s->in[slot]) > 0 &&
           (at_run || (mbr_step_known(s, slot) && s->in[slot]->data));
}

/* Fills scales and roi of the desc from the inputs. At run every number is there; *all: were they now? */
static mbr_status read_numbers(mbr_step *s, mbr_resize_desc *d, bool at_run, bool *all, mbr_error *err)
{
    const mbr_op *op = s->op;
    const mbr_value *x = s->in[0];
    int axes[MBR_MAX_RANK];
    size_t count, got;
    if (!read_axes(s->node, x->rank, axes, &count))
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "attribute axes does not fit an input of rank %d", x->rank);
    *all = true;
    for (int i = 0; i < x->rank; i++) {
        d->scale[i] = d->in_dims[i] ? (float)((double)d->out_dims[i] / (double)d->in_dims[i]) : 1;
        d->roi_begin[i] = 0;
        d->roi_end[i] = 1;
    }
    uint32_t slot = scales_slot(op);
    bool by_size = has_sizes(op) && mbr_step_has(s, 3) && mbr_value_count(s->in[3]) > 0;
    double scales[MBR_MAX_RANK];
    if (by_size && strcmp(mbr_attr_string(s->node, "keep_aspect_ratio_policy", "stretch"), "stretch") != 0) {
        int64_t in[MBR_MAX_RANK] = { 0 }, size[MBR_MAX_RANK];
        double factor;
        if (at_run || mbr_step_known(s, 3)) {
            MBR_TRY(mbr_step_ints(s, 3, size, MBR_MAX_RANK, &got, err));
            if (got != count)
                return mbr_step_fail(s, err, MBR_ERR_INPUT, "%zu sizes for %zu axes", got, count);
            for (size_t i = 0; i < count; i++)
                in[i] = x->dims[axis_in_memory(op, x->rank, axes[i])];
            if (keep_aspect(s->node, count, in, size, &factor))
                for (size_t i = 0; i < count; i++)
                    d->scale[axis_in_memory(op, x->rank, axes[i])] = (float)factor;
        } else {
            *all = false;
        }
    } else if (!by_size) {
        got = slot == 31 ? attr_scales(s->node, scales) : 0;
        if (slot != 31 && readable(s, slot, at_run)) {
            const mbr_value *v = s->in[slot];
            got = mbr_value_count(v) <= MBR_MAX_RANK ? mbr_value_count(v) : 0;
            for (size_t i = 0; i < got; i++)
                scales[i] = mbr_value_real(v, i);
        } else if (slot != 31) {
            *all = false;
        }
        if (*all && got != count)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "%zu scales for %zu axes", got, count);
        for (size_t i = 0; i < got; i++)
            d->scale[axis_in_memory(op, x->rank, axes[i])] = (float)scales[i];
    }
    if (d->coord == MBR_RESIZE_TF_CROP && mbr_step_has(s, 1)) {
        const mbr_value *roi = s->in[1];
        if (mbr_value_count(roi) != 2 * count)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "roi has %zu numbers for %zu axes", mbr_value_count(roi),
                                 count);
        if (!readable(s, 1, at_run)) {
            *all = false;
            return MBR_OK;
        }
        for (size_t i = 0; i < count; i++) {
            int at = axis_in_memory(op, x->rank, axes[i]);
            d->roi_begin[at] = (float)mbr_value_real(roi, i);
            d->roi_end[at] = (float)mbr_value_real(roi, count + i);
        }
    }
    return MBR_OK;
}

/* Can elements be picked without looking at them? */
static bool picks(const resize_state *st)
{
    return st->desc.mode == MBR_RESIZE_NEAREST && st->desc.coord != MBR_RESIZE_TF_CROP;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    resize_state *st = s->state;
    mbr_resize_desc *d = &st->desc;
    const mbr_value *x = s->in[0], *y = s->out[0];
    memset(d, 0, sizeof *d);
    MBR_TRY(read_modes(s, d, err));
    d->rank = x->rank;
    for (int i = 0; i < x->rank; i++) {
        d->in_dims[i] = (size_t)x->dims[i];
        d->out_dims[i] = (size_t)y->dims[i];
    }
    if (mbr_value_count(y) == 0) {
        s->tiles[0] = 0;
        st->ready = true;
        return MBR_OK;
    }
    if (mbr_value_count(x) == 0)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "an empty input cannot become larger");
    MBR_TRY(read_numbers(s, d, false, &st->ready, err));
    size_t bytes = mbr_resize_table_size(d);
    if (!bytes)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "sizes or scales that no table can hold");
    MBR_TRY(mbr_buffer_reserve(s, &st->table, bytes, err));
    mbr_resize_plan_init(&st->plan, d, st->table.data);
    size_t in = mbr_value_count(x), out = mbr_value_count(y);
    if (!picks(st) && x->dtype != MBR_DTYPE_F32) {
        if (x->dtype == MBR_DTYPE_STRING || x->dtype == MBR_DTYPE_COMPLEX64 || x->dtype == MBR_DTYPE_COMPLEX128)
            return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "elements of type %s cannot be interpolated",
                                 mbr_dtype_name(x->dtype));
        MBR_TRY(mbr_buffer_reserve(s, &st->wide, (in + out) * sizeof(float), err));
    }
    bool alone = !st->ready || (!picks(st) && x->dtype != MBR_DTYPE_F32);
    if (alone) {
        s->tiles[0] = 1;
        s->cost_ns = (double)out * 4;
    } else {
        st->per_tile = mbr_step_split(s, st->plan.tiles, (double)out / (double)st->plan.tiles * (picks(st) ? 0.5 : 1));
    }
    return MBR_OK;
}

/* The plan by the numbers of this run. */
static mbr_status plan_now(mbr_step *s, resize_state *st, mbr_error *err)
{
    bool all;
    MBR_TRY(read_numbers(s, &st->desc, true, &all, err));
    size_t bytes = mbr_resize_table_size(&st->desc);
    if (!bytes)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "scales that no table can hold");
    MBR_TRY(mbr_buffer_reserve(s, &st->table, bytes, err));
    mbr_resize_plan_init(&st->plan, &st->desc, st->table.data);
    return MBR_OK;
}

const mbr_resize_plan *mbr_resize_step_plan(mbr_step *s, bool late, const void **table, size_t *bytes)
{
    resize_state *st = s->state;
    bool good = st->table.data && (st->ready || (late && plan_now(s, st, NULL) == MBR_OK));
    *table = st->table.data;
    *bytes = good ? mbr_resize_table_size(&st->desc) : 0;
    return good ? &st->plan : NULL;
}

static void convert_out(mbr_dtype t, const float *from, void *to, size_t n)
{
    double least = -INFINITY, most = INFINITY;
    if (mbr_dtype_is_int(t)) {
        int bits = 8 * (int)mbr_dtype_size(t);
        bool is_signed = t == MBR_DTYPE_I8 || t == MBR_DTYPE_I16 || t == MBR_DTYPE_I32 || t == MBR_DTYPE_I64;
        most = ldexp(1, bits - is_signed) - (bits > 32 ? 2048 : 1);
        least = is_signed ? -ldexp(1, bits - 1) : 0;
    }
    for (size_t i = 0; i < n; i++) {
        double v = (double)from[i];
        mbr_real_set(t, to, i, v < least ? least : v > most ? most : v);
    }
}

/* All of it on one thread: when numbers came only now, or the type needs conversion. */
static mbr_status run_alone(mbr_step *s, resize_state *st, mbr_error *err)
{
    const mbr_value *x = s->in[0], *y = s->out[0];
    if (!st->ready)
        MBR_TRY(plan_now(s, st, err));
    if (picks(st)) {
        mbr_resize_nearest_any(&st->plan, mbr_dtype_size(x->dtype), x->data, y->data, 0, st->plan.tiles);
        return MBR_OK;
    }
    mbr_resize_fn *fn = mbr_resize_select(mbr_cpu_tiers());
    if (x->dtype == MBR_DTYPE_F32) {
        fn(&st->plan, x->data, y->data, 0, st->plan.tiles);
        return MBR_OK;
    }
    size_t n = mbr_value_count(x);
    float *wide = st->wide.data;
    for (size_t i = 0; i < n; i++)
        wide[i] = (float)mbr_real_get(x->dtype, x->data, i);
    fn(&st->plan, wide, wide + n, 0, st->plan.tiles);
    convert_out(x->dtype, wide + n, y->data, mbr_value_count(y));
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    resize_state *st = s->state;
    const mbr_value *x = s->in[0], *y = s->out[0];
    if (!st->ready || (!picks(st) && x->dtype != MBR_DTYPE_F32))
        return run_alone(s, st, err);
    if (mbr_value_count(y) == 0)
        return MBR_OK;
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile;
    last = last < st->plan.tiles ? last : st->plan.tiles;
    if (picks(st) && x->dtype != MBR_DTYPE_F32)
        mbr_resize_nearest_any(&st->plan, mbr_dtype_size(x->dtype), x->data, y->data, first, last);
    else
        mbr_resize_select(mbr_cpu_tiers())(&st->plan, x->data, y->data, first, last);
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    resize_state *st = s->state;
    mbr_buffer_free(s, &st->table);
    mbr_buffer_free(s, &st->wide);
}

#define ROW(dom, op_name, version, least, most, what, last_version)                                                    \
    { .domain = dom, .name = op_name, .since = version, .min_in = least, .max_in = most, .min_out = 1, .max_out = 1,   \
      .content_inputs = (what) == RESIZE || (what) == CHANNELS_LAST ? 1u << 3 : 0, .infer = infer, .prepare = prepare, \
      .run = run, .fini = fini, .state_size = sizeof(resize_state), .param = what, .until = last_version }

const mbr_op mbr_ops_resize[] = {
    ROW("", "Resize", 10, 2, 2, RESIZE_10, 0),
    ROW("", "Resize", 11, 1, 4, RESIZE, 0),
    ROW("", "Upsample", 1, 1, 1, UPSAMPLE_1, 0),
    ROW("", "Upsample", 7, 1, 1, UPSAMPLE_7, 0),
    ROW("", "Upsample", 9, 2, 2, UPSAMPLE, 9),
    ROW("mbr", "Resize", 1, 1, 4, CHANNELS_LAST, 0),
    { 0 },
};

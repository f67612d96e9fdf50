/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RandomNormal, RandomUniform and their Like, Bernoulli, Multinomial, Dropout.
 *
 * With a seed, every run draws the same numbers; without one, each run draws others. Dropout drops nothing but when
 * training is asked for.
 */
#include "engine/ops/op_util.h"

#include "kernels/convert.h"
#include "kernels/random.h"
#include "kernels/real.h"

#include <string.h>
#include <time.h>

enum { NORMAL, UNIFORM, BERNOULLI };

typedef struct random_state {
    uint64_t seed;
    bool fixed;
} random_state;

static mbr_status init(mbr_step *s, mbr_error *err)
{
    random_state *st = s->state;
    const mbr_ir_attr *a = mbr_attr(s->node, "seed");
    struct timespec now = { 0, 0 };
    (void)err;
    if (a && a->kind == MBR_ATTR_INT) {
        st->seed = (uint64_t)a->i;
    } else if (a && a->kind == MBR_ATTR_FLOAT) {
        uint32_t bits;
        memcpy(&bits, &a->f, sizeof bits);
        st->seed = bits;
    }
    st->fixed = a && (a->kind == MBR_ATTR_INT || (a->kind == MBR_ATTR_FLOAT && a->f == a->f));
    if (!st->fixed) {
        timespec_get(&now, TIME_UTC);
        st->seed = mbr_random_mix((uint64_t)now.tv_sec * UINT64_C(1000000007) + (uint64_t)now.tv_nsec) ^
                   (uint64_t)(uintptr_t)s;
    }
    return MBR_OK;
}

/* The seed of this run. */
static uint64_t seed_now(random_state *st)
{
    return st->fixed ? st->seed : ++st->seed;
}

static mbr_status out_type(mbr_infer *c, mbr_dtype otherwise, mbr_dtype *type)
{
    int64_t t = mbr_attr_int(c->node, "dtype", 0);
    if (t < 0 || t >= MBR_DTYPE_COUNT || (t && !mbr_convert_has(MBR_DTYPE_F32, (mbr_dtype)t)))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "the type %lld", (long long)t);
    *type = t ? (mbr_dtype)t : otherwise;
    return MBR_OK;
}

static mbr_status infer_shape(mbr_infer *c)
{
    mbr_dim dims[MBR_MAX_RANK];
    mbr_dtype type;
    size_t n;
    const int64_t *shape = mbr_attr_ints(c->node, "shape", &n);
    MBR_TRY(out_type(c, MBR_DTYPE_F32, &type));
    if (!shape || n > MBR_MAX_RANK)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the attribute 'shape' is absent or too long");
    for (size_t i = 0; i < n; i++) {
        if (shape[i] < 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the shape holds %lld", (long long)shape[i]);
        dims[i] = shape[i];
    }
    mbr_infer_out(c, 0, type, (int)n, dims);
    return MBR_OK;
}

static mbr_status infer_like(mbr_infer *c)
{
    mbr_dtype type;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(out_type(c, c->in[0].dtype, &type));
    if (type == MBR_DTYPE_STRING)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "strings are not drawn");
    if (c->node->op->param == BERNOULLI)
        MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_FLOAT));
    mbr_infer_out(c, 0, type, c->in[0].rank, c->in[0].dims);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *out = s->out[0];
    uint64_t seed = seed_now(s->state);
    size_t n = mbr_value_count(out);
    double base, scale;
    (void)job;
    (void)err;
    if (s->op->param == NORMAL) {
        base = mbr_attr_float(s->node, "mean", 0.0f);
        scale = mbr_attr_float(s->node, "scale", 1.0f);
    } else {
        base = mbr_attr_float(s->node, "low", 0.0f);
        scale = (double)mbr_attr_float(s->node, "high", 1.0f) - base;
    }
    for (size_t i = 0; i < n; i++) {
        double v = s->op->param == NORMAL    ? base + scale * mbr_random_normal(seed, i)
                   : s->op->param == UNIFORM ? base + scale * mbr_random_uniform(seed, i)
                   : mbr_random_uniform(seed, i) < mbr_real_get(s->in[0]->dtype, s->in[0]->data, i) ? 1.0
                                                                                                      : 0.0;
        mbr_real_set(out->dtype, out->data, i, v);
    }
    return MBR_OK;
}

/* --- Multinomial: the inputs are logarithms of weights --- */

static mbr_status infer_multinomial(mbr_infer *c)
{
    mbr_dtype type;
    int64_t size = mbr_attr_int(c->node, "sample_size", 1);
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_FLOAT));
    MBR_TRY(mbr_op_check_rank(c, 0, 2, 2));
    MBR_TRY(out_type(c, MBR_DTYPE_I32, &type));
    if (size < 1 || (type != MBR_DTYPE_I32 && type != MBR_DTYPE_I64))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%lld samples of %s", (long long)size, mbr_dtype_name(type));
    mbr_dim dims[2] = { c->in[0].rank == 2 ? c->in[0].dims[0] : MBR_DIM_UNKNOWN, size };
    mbr_infer_out(c, 0, type, 2, dims);
    return MBR_OK;
}

static mbr_status run_multinomial(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0], *out = s->out[0];
    uint64_t seed = seed_now(s->state);
    size_t rows = (size_t)in->dims[0], classes = (size_t)in->dims[1], samples = (size_t)out->dims[1];
    (void)job;
    if (classes == 0 && rows > 0)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "there are no classes to draw from");
    for (size_t r = 0; r < rows; r++) {
        double most = -INFINITY, sum = 0;
        for (size_t k = 0; k < classes; k++)
            most = fmax(most, mbr_real_get(in->dtype, in->data, r * classes + k));
        for (size_t k = 0; k < classes; k++)
            sum += exp(mbr_real_get(in->dtype, in->data, r * classes + k) - most);
        for (size_t i = 0; i < samples; i++) {
            double left = mbr_random_uniform(seed, r * samples + i) * sum;
            size_t k = 0;
            while (k + 1 < classes && (left -= exp(mbr_real_get(in->dtype, in->data, r * classes + k) - most)) >= 0)
                k++;
            mbr_real_set(out->dtype, out->data, r * samples + i, (double)k);
        }
    }
    return MBR_OK;
}

/* --- Dropout --- */

static mbr_status infer_dropout(mbr_infer *c)
{
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_FLOAT | MBR_TYPES_FLOAT8));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPES_FLOAT | MBR_TYPES_FLOAT8));
    MBR_TRY(mbr_op_check_type(c, 2, MBR_TYPE_BIT(BOOL)));
    mbr_infer_same(c, 0, 0);
    mbr_infer_out(c, 1, c->node->op->since >= 10 ? MBR_DTYPE_BOOL : c->in[0].dtype, c->in[0].rank, c->in[0].dims);
    return MBR_OK;
}

static mbr_status run_dropout(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    mbr_value *out = s->out[0], *mask = mbr_step_wants(s, 1) ? s->out[1] : NULL;
    size_t n = mbr_value_count(in);
    int64_t training = 0;
    double ratio = 0.5;
    (void)job;
    if (s->op->since >= 12) {
        MBR_TRY(mbr_op_step_int(s, 2, 0, &training, err));
        if (mbr_step_has(s, 1) && mbr_value_count(s->in[1]) == 1)
            ratio = mbr_value_real(s->in[1], 0);
        if (training && !(ratio >= 0 && ratio < 1))
            return mbr_step_fail(s, err, MBR_ERR_RUN, "a ratio of %g", ratio);
    }
    if (!training || ratio == 0) {
        if (out && out->data != in->data && n)
            memcpy(out->data, in->data, mbr_value_bytes(in));
        for (size_t i = 0; mask && i < n; i++)
            mbr_real_set(mask->dtype, mask->data, i, 1.0);
        return MBR_OK;
    }
    uint64_t seed = seed_now(s->state);
    for (size_t i = 0; i < n; i++) {
        bool keep = mbr_random_uniform(seed, i) >= ratio;
        if (mask)
            mbr_real_set(mask->dtype, mask->data, i, keep);
        if (out)
            mbr_real_set(out->dtype, out->data, i,
                         keep ? mbr_real_get(in->dtype, in->data, i) / (1.0 - ratio) : 0.0);
    }
    return MBR_OK;
}

#define ROW(op_name, version, inputs, what, inference, runs)                                                           \
    { .domain = "", .name = op_name, .since = version, .min_in = inputs, .max_in = inputs, .min_out = 1, .max_out = 1, \
      .flags = MBR_OP_RANDOM | MBR_OP_HOST, .infer = inference, .init = init, .run = runs,                             \
      .state_size = sizeof(random_state), .param = what }
#define DROPOUT(version, most, more)                                                                                   \
    { .domain = "", .name = "Dropout", .since = version, .min_in = 1, .max_in = most, .min_out = 1, .max_out = 2,      \
      .flags = MBR_OP_HOST | MBR_OP_INPLACE0 | (more), .infer = infer_dropout, .init = init, .run = run_dropout,       \
      .state_size = sizeof(random_state) }

const mbr_op mbr_ops_random[] = {
    ROW("Bernoulli", 15, 1, BERNOULLI, infer_like, run),
    DROPOUT(1, 1, 0),
    DROPOUT(10, 1, 0),
    DROPOUT(12, 3, MBR_OP_RANDOM),
    ROW("Multinomial", 7, 1, 0, infer_multinomial, run_multinomial),
    ROW("RandomNormal", 1, 0, NORMAL, infer_shape, run),
    ROW("RandomNormalLike", 1, 1, NORMAL, infer_like, run),
    ROW("RandomUniform", 1, 0, UNIFORM, infer_shape, run),
    ROW("RandomUniformLike", 1, 1, UNIFORM, infer_like, run),
    { 0 },
};

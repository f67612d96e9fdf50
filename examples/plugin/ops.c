/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plug-in with three operators of the domain org.example, one for each way to be an operator:
 *
 *     Scale      y = factor * x, element by element: cut into tiles that run on several threads
 *     RowSum     sums over the last axis: the output has another shape, of symbols too
 *     Positive   the elements above 0: how many there are, only the run tells
 *
 * Build it with make; run a model that has them with `mbr run --plugin ./ops.so model.onnx ...`.
 */
#include "mbr/plugin.h"

#include <stdlib.h>

static const mbr_plugin_api *mbr;

static mbr_status only_f32(mbr_custom_call *call, mbr_error *err)
{
    mbr_dtype t = mbr->input_dtype(call, 0);
    if (t != MBR_DTYPE_F32 && t != MBR_DTYPE_UNDEFINED)
        return mbr->error_set(err, MBR_ERR_MODEL, "elements of type %s; only f32 is computed here", mbr->dtype_name(t));
    return MBR_OK;
}

/* ---- Scale ---- */

#define TILE 4096 /* elements: some microseconds of work */

static mbr_status scale_shape(mbr_custom_call *call, mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK];
    int rank = mbr->input_rank(call, 0);
    mbr_status st = only_f32(call, err);
    if (st != MBR_OK)
        return st;
    for (int d = 0; d < rank; d++)
        dims[d] = mbr->input_dim(call, 0, d);
    return mbr->set_output(call, 0, MBR_DTYPE_F32, rank, dims, err);
}

/* Attributes are read once. */
static mbr_status scale_start(mbr_custom_call *call, void **state, mbr_error *err)
{
    float *factor = malloc(sizeof *factor);
    if (!factor)
        return mbr->error_set(err, MBR_ERR_NO_MEMORY, "no memory for a factor");
    *factor = mbr->attr_float(call, "factor", 1.0f);
    *state = factor;
    return MBR_OK;
}

static void scale_stop(void *state, void *user)
{
    (void)user;
    free(state);
}

static mbr_status scale_prepare(mbr_custom_call *call, mbr_custom_work *work, mbr_error *err)
{
    (void)err;
    work->tiles = (mbr->tensor_count(mbr->input(call, 0)) + TILE - 1) / TILE;
    work->tile_ns = 0.25 * TILE;
    return MBR_OK;
}

static mbr_status scale_run(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    const float factor = *(const float *)mbr->state(call), *x = mbr->tensor_const_data(mbr->input(call, 0));
    mbr_value *out = mbr->output(call, 0);
    float *y = mbr->tensor_data(out);
    size_t n = mbr->tensor_count(out), end = last * TILE < n ? last * TILE : n;
    (void)scratch;
    (void)err;
    for (size_t i = first * TILE; i < end; i++)
        y[i] = factor * x[i];
    return MBR_OK;
}

/* ---- RowSum ---- */

static mbr_status row_sum_shape(mbr_custom_call *call, mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK];
    int rank = mbr->input_rank(call, 0);
    mbr_status st = only_f32(call, err);
    if (st != MBR_OK)
        return st;
    if (rank == 0)
        return mbr->error_set(err, MBR_ERR_MODEL, "a scalar has no rows");
    for (int d = 0; d < rank - 1; d++)
        dims[d] = mbr->input_dim(call, 0, d);
    return mbr->set_output(call, 0, MBR_DTYPE_F32, rank < 0 ? -1 : rank - 1, dims, err);
}

static mbr_status row_sum_run(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    const mbr_value *in = mbr->input(call, 0);
    mbr_value *out = mbr->output(call, 0);
    const float *x = mbr->tensor_const_data(in);
    float *y = mbr->tensor_data(out);
    size_t rows = mbr->tensor_count(out), width = (size_t)mbr->tensor_dims(in)[mbr->tensor_rank(in) - 1];
    (void)first;
    (void)last;
    (void)scratch;
    (void)err;
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;
        for (size_t i = 0; i < width; i++)
            sum += (double)x[r * width + i];
        y[r] = (float)sum;
    }
    return MBR_OK;
}

/* ---- Positive ---- */

static mbr_status positive_shape(mbr_custom_call *call, mbr_error *err)
{
    mbr_status st = only_f32(call, err);
    return st == MBR_OK ? mbr->set_output(call, 0, MBR_DTYPE_F32, 1, NULL, err) : st;
}

static mbr_status positive_run(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    const mbr_value *in = mbr->input(call, 0);
    const float *x = mbr->tensor_const_data(in);
    int64_t count = 0;
    (void)first;
    (void)last;
    (void)scratch;
    if (!mbr->wants_output(call, 0))
        return MBR_OK;
    for (size_t i = 0; i < mbr->tensor_count(in); i++)
        count += x[i] > 0;
    mbr_status st = mbr->resize(call, 0, 1, &count, err);
    if (st != MBR_OK)
        return st;
    float *y = mbr->tensor_data(mbr->output(call, 0));
    for (size_t i = 0; i < mbr->tensor_count(in); i++)
        if (x[i] > 0)
            *y++ = x[i];
    return MBR_OK;
}

/* ---- the plug-in ---- */

#define ONE_TO_ONE .size = sizeof(mbr_custom_op), .domain = "org.example", .since = 1, .min_inputs = 1, .max_inputs = 1, \
                   .min_outputs = 1, .max_outputs = 1

static mbr_status start(const mbr_plugin_api *api, mbr_env *env, mbr_error *err)
{
    static const mbr_custom_op ops[] = {
        { ONE_TO_ONE, .name = "Scale", .flags = MBR_CUSTOM_IN_PLACE, .shape = scale_shape, .start = scale_start,
          .prepare = scale_prepare, .run = scale_run, .stop = scale_stop },
        { ONE_TO_ONE, .name = "RowSum", .shape = row_sum_shape, .run = row_sum_run },
        { ONE_TO_ONE, .name = "Positive", .flags = MBR_CUSTOM_SIZED_BY_RUN, .shape = positive_shape,
          .run = positive_run },
    };
    mbr = api;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        mbr_status st = mbr->add_op(env, &ops[i], err);
        if (st != MBR_OK)
            return st;
    }
    return MBR_OK;
}

MBR_PLUGIN_EXPORT const mbr_plugin mbr_plugin_entry = { sizeof(mbr_plugin), MBR_PLUGIN_ABI, "example 1.0", start };

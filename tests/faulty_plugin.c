/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plug-in whose operators break every promise that mbr/custom.h asks for; tests/test_plugin.sh checks that each is
 * refused. NO_ENTRY, WRONG_ABI, START_FAILS, TWICE make plug-ins that do not load.
 */
#include "mbr/plugin.h"

static const mbr_plugin_api *mbr;

static mbr_status same_shape(mbr_custom_call *call, mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK];
    int rank = mbr->input_rank(call, 0);
    for (int d = 0; d < rank; d++)
        dims[d] = mbr->input_dim(call, 0, d);
    return mbr->set_output(call, 0, mbr->input_dtype(call, 0), rank, dims, err);
}

/* The first size of an input is known at the run: then it says something else. */
static mbr_status fickle_shape(mbr_custom_call *call, mbr_error *err)
{
    int64_t dims[2] = { mbr->input(call, 0) ? 4 : 3, MBR_SIZE_UNKNOWN };
    if (mbr->input(call, 0))
        dims[1] = 3;
    return mbr->set_output(call, 0, MBR_DTYPE_F32, 2, dims, err);
}

static mbr_status fickle_type(mbr_custom_call *call, mbr_error *err)
{
    const int64_t known[2] = { 2, 3 };
    return mbr->set_output(call, 0, mbr->input(call, 0) ? MBR_DTYPE_F64 : MBR_DTYPE_F32, 2,
                           mbr->input(call, 0) ? known : NULL, err);
}

static mbr_status negative_shape(mbr_custom_call *call, mbr_error *err)
{
    const int64_t dims[1] = { -5 };
    return mbr->set_output(call, 0, MBR_DTYPE_F32, 1, dims, err);
}

static mbr_status forged_shape(mbr_custom_call *call, mbr_error *err)
{
    const int64_t dims[1] = { INT64_MIN + 1000000 }; /* no symbol that it was given */
    return mbr->set_output(call, 0, MBR_DTYPE_F32, 1, dims, err);
}

static mbr_status deep_shape(mbr_custom_call *call, mbr_error *err)
{
    return mbr->set_output(call, 0, MBR_DTYPE_F32, 99, NULL, err);
}

static mbr_status strange_type(mbr_custom_call *call, mbr_error *err)
{
    return mbr->set_output(call, 0, (mbr_dtype)77, 1, NULL, err);
}

static mbr_status other_output(mbr_custom_call *call, mbr_error *err)
{
    return mbr->set_output(call, 5, MBR_DTYPE_F32, 1, NULL, err);
}

static mbr_status no_shape(mbr_custom_call *call, mbr_error *err)
{
    (void)call;
    (void)err;
    return MBR_OK;
}

static mbr_status shape_fails(mbr_custom_call *call, mbr_error *err)
{
    (void)call;
    return mbr->error_set(err, MBR_ERR_MODEL, "a shape that it dislikes");
}

static mbr_status three(mbr_custom_call *call, mbr_error *err)
{
    const int64_t dims[1] = { 3 };
    return mbr->set_output(call, 0, MBR_DTYPE_F32, 1, dims, err);
}

static mbr_status does_nothing(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    (void)call;
    (void)first;
    (void)last;
    (void)scratch;
    (void)err;
    return MBR_OK;
}

static mbr_status fails(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    (void)call;
    (void)first;
    (void)last;
    (void)scratch;
    return mbr->error_set(err, MBR_ERR_RUN, "element %d is cursed", 13);
}

static mbr_status fails_silently(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    (void)call;
    (void)first;
    (void)last;
    (void)scratch;
    (void)err;
    return MBR_ERR_NO_MEMORY;
}

static mbr_status fails_strangely(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    (void)call;
    (void)first;
    (void)last;
    (void)scratch;
    (void)err;
    return (mbr_status)4711;
}

static mbr_status reshapes(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    (void)first;
    (void)last;
    (void)scratch;
    (void)err;
    *(int64_t *)(uintptr_t)mbr->tensor_dims(mbr->output(call, 0)) = 1000000; /* behind the library's back */
    return MBR_OK;
}

static mbr_status makes_four(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    const int64_t dims[1] = { 4 };
    (void)first;
    (void)last;
    (void)scratch;
    return mbr->resize(call, 0, 1, dims, err);
}

static mbr_status makes_less_than_none(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    const int64_t dims[2] = { -4, 3 };
    (void)first;
    (void)last;
    (void)scratch;
    return mbr->resize(call, 0, 2, dims, err);
}

static mbr_status start_fails(mbr_custom_call *call, void **state, mbr_error *err)
{
    (void)call;
    (void)state;
    return mbr->error_set(err, MBR_ERR_MODEL, "an attribute that it dislikes");
}

static mbr_status prepare_fails(mbr_custom_call *call, mbr_custom_work *work, mbr_error *err)
{
    (void)call;
    (void)work;
    return mbr->error_set(err, MBR_ERR_RUN, "a size that it dislikes");
}

static mbr_status unknown_shape(mbr_custom_call *call, mbr_error *err)
{
    return mbr->set_output(call, 0, MBR_DTYPE_F32, 2, NULL, err);
}

static mbr_status start(const mbr_plugin_api *api, mbr_env *env, mbr_error *err)
{
#define OP(op_name, op_shape, op_run)                                                                                  \
    .size = sizeof(mbr_custom_op), .domain = "org.example", .name = op_name, .min_inputs = 1, .max_inputs = 1,         \
    .min_outputs = 1, .max_outputs = 1, .shape = op_shape, .run = op_run
    const mbr_custom_op ops[] = {
        { OP("FickleShape", fickle_shape, does_nothing) },
        { OP("FickleType", fickle_type, does_nothing) },
        { OP("Negative", negative_shape, does_nothing) },
        { OP("Forged", forged_shape, does_nothing) },
        { OP("Deep", deep_shape, does_nothing) },
        { OP("StrangeType", strange_type, does_nothing) },
        { OP("OtherOutput", other_output, does_nothing) },
        { OP("NoShape", no_shape, does_nothing) },
        { OP("ShapeFails", shape_fails, does_nothing) },
        { OP("Unknown", unknown_shape, does_nothing) },
        { OP("Fails", same_shape, fails) },
        { OP("Silent", same_shape, fails_silently) },
        { OP("Strange", same_shape, fails_strangely) },
        { OP("Reshapes", same_shape, reshapes) },
        { OP("ResizesEarly", same_shape, makes_four) },
        { OP("StartFails", same_shape, does_nothing), .start = start_fails },
        { OP("PrepareFails", same_shape, does_nothing), .prepare = prepare_fails },
        { OP("NotThree", three, makes_four), .flags = MBR_CUSTOM_SIZED_BY_RUN },
        { OP("WrongRank", three, makes_less_than_none), .flags = MBR_CUSTOM_SIZED_BY_RUN },
        { OP("LessThanNone", unknown_shape, makes_less_than_none), .flags = MBR_CUSTOM_SIZED_BY_RUN },
        { OP("NeverResizes", three, does_nothing), .flags = MBR_CUSTOM_SIZED_BY_RUN },
    };
    mbr = api;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        mbr_status st = mbr->add_op(env, &ops[i], err);
        if (st != MBR_OK)
            return st;
    }
#ifdef START_FAILS
    return MBR_ERR_UNSUPPORTED;
#endif
#ifdef TWICE
    const mbr_custom_op relu = { OP("Relu", same_shape, does_nothing), .domain = "ai.onnx" };
    return mbr->add_op(env, &relu, err);
#endif
    return MBR_OK;
}

#ifdef WRONG_ABI
#undef MBR_PLUGIN_ABI
#define MBR_PLUGIN_ABI 99
#endif
#ifdef NO_ENTRY
#define mbr_plugin_entry mbr_plugin_way_in
#endif
MBR_PLUGIN_EXPORT const mbr_plugin mbr_plugin_entry = { sizeof(mbr_plugin), MBR_PLUGIN_ABI, "faulty 1.0", start };

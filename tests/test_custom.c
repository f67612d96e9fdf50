/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Custom operators through the public API alone: what registration refuses, how often the functions are called, sizes
 * as symbols, tiles on several threads. tests/test_plugin.sh has the plug-ins, and operators that break promises.
 */
#include "mbr/mbr.h"
#include "tests/onnx_writer.h"

#include <check.h>
#include <stdatomic.h>
#include <string.h>

#define TILES 64

static struct {
    atomic_int started, stopped, prepared, tiles, released;
} seen;

/* Twice as wide: [rows, n] to [rows, 2 n]. */
static mbr_status shape(mbr_custom_call *call, mbr_error *err)
{
    int64_t dims[2] = { mbr_custom_input_dim(call, 0, 0), mbr_custom_input_dim(call, 0, 1) };
    if (mbr_custom_input_rank(call, 0) != 2)
        return mbr_error_set(err, MBR_ERR_MODEL, "rank %d", mbr_custom_input_rank(call, 0));
    ck_assert_int_eq(mbr_custom_input_count(call), 1);
    ck_assert_int_eq(mbr_custom_has_input(call, 1), 0);
    ck_assert_int_eq(mbr_custom_has_input(call, -1), 0);
    ck_assert_ptr_null(mbr_custom_output(call, 0));
    ck_assert_int_eq(mbr_custom_size(call, MBR_SIZE_MUL, 6, 7), 42);
    ck_assert_int_eq(mbr_custom_size(call, MBR_SIZE_DIV, 6, 0), MBR_SIZE_UNKNOWN);
    ck_assert_int_eq(mbr_custom_size(call, MBR_SIZE_ADD, MBR_SIZE_UNKNOWN, 0), MBR_SIZE_UNKNOWN);
    dims[1] = mbr_custom_size(call, MBR_SIZE_MUL, dims[1], 2);
    return mbr_custom_set_output(call, 0, MBR_DTYPE_F32, 2, dims, err);
}

static mbr_status start(mbr_custom_call *call, void **state, mbr_error *err)
{
    size_t n;
    (void)err;
    ck_assert_str_eq(mbr_custom_node_name(call), "wide");
    ck_assert_int_eq(mbr_custom_attr_int(call, "nothing", 7), 7);
    ck_assert_ptr_null(mbr_custom_attr_ints(call, "nothing", &n));
    ck_assert_ptr_null(mbr_custom_input(call, 0));
    *state = &seen;
    seen.started++;
    return MBR_OK;
}

static mbr_status prepare(mbr_custom_call *call, mbr_custom_work *work, mbr_error *err)
{
    (void)err;
    ck_assert_uint_eq(work->tiles, 1);
    ck_assert_int_eq(mbr_tensor_dims(mbr_custom_output(call, 0))[1], 2 * mbr_custom_input_dim(call, 0, 1));
    work->tiles = TILES;
    work->tile_ns = 50000;
    work->scratch = 64;
    seen.prepared++;
    return MBR_OK;
}

/* Tile t: elements t, t + TILES, ... of the output. */
static mbr_status run(mbr_custom_call *call, size_t first, size_t last, void *scratch, mbr_error *err)
{
    const float *x = mbr_tensor_const_data(mbr_custom_input(call, 0));
    mbr_value *out = mbr_custom_output(call, 0);
    size_t n = mbr_tensor_count(out), width = (size_t)mbr_tensor_dims(out)[1];
    (void)err;
    ck_assert_ptr_eq(mbr_custom_state(call), &seen);
    ck_assert_ptr_eq(mbr_custom_user(call), &seen.released);
    ck_assert_ptr_null(mbr_custom_alloc(call, 8)); /* not where tiles run side by side */
    memset(scratch, 0, 64);
    for (size_t t = first; t < last; t++) {
        for (size_t i = t; i < n; i += TILES)
            ((float *)mbr_tensor_data(out))[i] = x[i / width * (width / 2) + i % width / 2];
        seen.tiles++;
    }
    return MBR_OK;
}

static void stop(void *state, void *user)
{
    ck_assert_ptr_eq(state, &seen);
    ck_assert_ptr_eq(user, &seen.released);
    seen.stopped++;
}

static void release(void *user)
{
    ++*(atomic_int *)user;
}

static const mbr_custom_op wide = { .size = sizeof wide, .domain = "org.test", .name = "Wide", .min_inputs = 1,
                                    .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .shape = shape,
                                    .start = start, .prepare = prepare, .run = run, .stop = stop,
                                    .user = &seen.released, .release = release };

START_TEST(registration)
{
    mbr_env *env;
    mbr_error err;
    memset(&seen, 0, sizeof seen);
    ck_assert_int_eq(mbr_env_new(NULL, &env, &err), MBR_OK);
    struct {
        mbr_custom_op op;
        const char *why;
    } bad[] = { { wide, "size" }, { wide, "needs a name" }, { wide, "needs a name" }, { wide, "impossible" },
                { wide, "impossible" }, { wide, "flags" }, { wide, "is there already" }, { wide, "is there already" },
                { wide, "impossible" } };
    bad[0].op.size = 0;
    bad[1].op.name = "";
    bad[2].op.run = NULL;
    bad[3].op.max_inputs = 0;
    bad[4].op.max_outputs = 0;
    bad[5].op.flags = 1u << 31;
    bad[6].op.domain = "mbr";
    bad[7].op.domain = "ai.onnx";
    bad[7].op.name = "Add";
    bad[8].op.since = -1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(mbr_env_add_op(env, &bad[i].op, &err), MBR_ERR_ARGUMENT);
        ck_assert_msg(strstr(err.text, bad[i].why) != NULL, "%s", err.text);
    }
    ck_assert_int_eq(seen.released, 8); /* all but the one whose struct could not be read */
    ck_assert_int_eq(mbr_env_add_op(env, &wide, &err), MBR_OK);
    ck_assert_int_eq(mbr_env_add_op(env, &wide, &err), MBR_ERR_ARGUMENT);
    mbr_custom_op later = wide; /* another meaning from version 3 on */
    later.since = 3;
    ck_assert_int_eq(mbr_env_add_op(env, &later, &err), MBR_OK);
    ck_assert_int_eq(seen.released, 9);
    mbr_env_release(&env);
    ck_assert_int_eq(seen.released, 11);
}
END_TEST

static void run_once(mbr_session *s, mbr_env *env, int64_t rows, int64_t n)
{
    mbr_error err;
    mbr_value *x;
    ck_assert_int_eq(mbr_tensor_new(env, MBR_DTYPE_F32, 2, (int64_t[]){ rows, n }, &x, &err), MBR_OK);
    for (int64_t i = 0; i < rows * n; i++)
        ((float *)mbr_tensor_data(x))[i] = (float)i;
    ck_assert_int_eq(mbr_session_bind_input(s, 0, x, &err), MBR_OK);
    ck_assert_msg(mbr_session_run(s, &err) == MBR_OK, "%s", err.text);
    const mbr_value *y = mbr_session_output(s, 0);
    ck_assert_int_eq(mbr_tensor_dims(y)[0], rows);
    ck_assert_int_eq(mbr_tensor_dims(y)[1], 2 * n);
    for (int64_t i = 0; i < rows * n * 2; i++)
        ck_assert_float_eq(((const float *)mbr_tensor_const_data(y))[i], (float)(i / 2));
    ck_assert_int_eq(mbr_session_bind_input(s, 0, NULL, &err), MBR_OK);
    mbr_value_release(&x);
}

START_TEST(life)
{
    static const int64_t free_dims[] = { -1, -1, -2 };
    wire g = { 0 }, n = wire_node("wide", "org.test", "Wide", "x", "y");
    wire_message(&g, 1, &n);
    wire_text(&g, 2, "g");
    wire port = wire_value_info("x", MBR_DTYPE_F32, free_dims);
    wire_message(&g, 11, &port);
    port = (wire){ 0 };
    wire_text(&port, 1, "y");
    wire_message(&g, 12, &port);
    wire m = wire_model(8, 17, &g);
    wire_opset(&m, "org.test", 2);
    mbr_env *env;
    mbr_model *model;
    mbr_session *s;
    mbr_error err;
    mbr_env_options options = { .size = sizeof options, .threads = 3 };
    mbr_port out = { .size = sizeof out };
    memset(&seen, 0, sizeof seen);
    ck_assert_int_eq(mbr_env_new(&options, &env, &err), MBR_OK);
    ck_assert_int_eq(mbr_model_open_memory(env, m.data, m.size, NULL, &model, &err), MBR_ERR_UNSUPPORTED);
    mbr_custom_op later = wide; /* of a version that the model does not ask for */
    later.since = 3;
    later.shape = NULL;
    ck_assert_int_eq(mbr_env_add_op(env, &later, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_env_add_op(env, &wide, &err), MBR_OK);
    ck_assert_msg(mbr_model_open_memory(env, m.data, m.size, NULL, &model, &err) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(mbr_model_output(model, 0, &out, &err), MBR_OK);
    ck_assert_int_eq(out.rank, 2);
    ck_assert_str_eq(out.symbols[0], "N");
    ck_assert_int_eq(mbr_session_new(model, NULL, &s, &err), MBR_OK);
    ck_assert_int_eq(seen.started, 1);
    run_once(s, env, 40, 40);
    run_once(s, env, 40, 40);
    ck_assert_int_eq(seen.prepared, 1); /* the shape was new once */
    run_once(s, env, 0, 0);
    run_once(s, env, 3, 3);
    ck_assert_int_eq(seen.tiles, 4 * TILES);
    mbr_session_release(&s);
    ck_assert_int_eq(seen.stopped, seen.started);
    mbr_model_release(&model);
    mbr_env_release(&env);
    ck_assert_int_eq(seen.released, 2);
    wire_free(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("custom operators");
    TCase *cases = tcase_create("custom operators");
    tcase_add_test(cases, registration);
    tcase_add_test(cases, life);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

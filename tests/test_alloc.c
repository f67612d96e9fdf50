/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocations fail one by one, through the caller's allocator, while models are opened, sessions made and run: every
 * time the call says so, nothing crashes, and nothing stays behind.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/mbr.h"

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct heap {
    atomic_long left;  /* so many succeed; then one fails, or all do */
    bool for_good;
    atomic_long blocks; /* held */
    atomic_long asked;
} heap;

static void *take(void *user, size_t bytes)
{
    heap *h = user;
    atomic_fetch_add(&h->asked, 1);
    long left = atomic_fetch_sub(&h->left, 1);
    if (left == 0 || (left < 0 && h->for_good))
        return NULL;
    void *block = malloc(bytes);
    if (block)
        atomic_fetch_add(&h->blocks, 1);
    return block;
}

static void give(void *user, void *block)
{
    heap *h = user;
    atomic_fetch_sub(&h->blocks, 1);
    free(block);
}

/* Everything a caller does with a model, up to the first failure. */
typedef struct use {
    mbr_env *env;
    mbr_model *model;
    mbr_session *session;
    mbr_value *inputs[16], *copy, *back;
    void *bytes;
} use;

static mbr_status fill_inputs(use *u, mbr_error *err)
{
    for (int i = 0; i < mbr_model_input_count(u->model) && i < 16; i++) {
        mbr_port port = { .size = sizeof port };
        mbr_status st = mbr_model_input(u->model, i, &port, err);
        for (int d = 0; d < port.rank; d++)
            port.dims[d] = port.dims[d] < 0 ? 2 : port.dims[d];
        if (st == MBR_OK && port.kind == MBR_KIND_TENSOR)
            st = mbr_tensor_new(u->env, port.dtype, port.rank < 0 ? 1 : port.rank,
                                port.rank < 0 ? (int64_t[]){ 2 } : port.dims, &u->inputs[i], err);
        else if (st == MBR_OK && port.kind == MBR_KIND_SEQUENCE)
            st = mbr_sequence_new(u->env, port.dtype, &u->inputs[i], err);
        else if (st == MBR_OK)
            st = mbr_optional_new(u->env, port.dtype, &u->inputs[i], err);
        if (st == MBR_OK)
            st = mbr_session_bind_input(u->session, i, u->inputs[i], err);
        if (st != MBR_OK)
            return st;
    }
    return MBR_OK;
}

static mbr_status use_model(use *u, heap *h, const void *data, size_t bytes, mbr_error *err)
{
    mbr_env_options options = { .size = sizeof options, .threads = 1, .alloc = take, .release = give, .alloc_user = h };
    mbr_status st = mbr_env_new(&options, &u->env, err);
    if (st == MBR_OK)
        st = mbr_model_open_memory(u->env, data, bytes, NULL, &u->model, err);
    if (st == MBR_OK)
        st = mbr_session_new(u->model, NULL, &u->session, err);
    if (st == MBR_OK)
        st = fill_inputs(u, err);
    if (st == MBR_OK)
        st = mbr_session_run(u->session, err);
    if (st == MBR_OK)
        st = mbr_session_run(u->session, err);
    const mbr_value *out = st == MBR_OK ? mbr_session_output(u->session, 0) : NULL;
    size_t size;
    if (out)
        st = mbr_value_copy(u->env, out, &u->copy, err);
    if (out && st == MBR_OK)
        st = mbr_value_to_onnx(u->env, out, "out", &u->bytes, &size, err);
    if (out && st == MBR_OK)
        st = mbr_value_from_onnx(u->env, mbr_value_kind(out), u->bytes, size, &u->back, NULL, err);
    return st;
}

static void end_use(use *u)
{
    if (u->bytes)
        mbr_bytes_release(u->env, u->bytes);
    mbr_value_release(&u->back);
    mbr_value_release(&u->copy);
    mbr_session_release(&u->session);
    for (int i = 0; i < 16; i++)
        mbr_value_release(&u->inputs[i]);
    mbr_model_release(&u->model);
    mbr_env_release(&u->env);
}

static void fail_each(const char *name, const void *data, size_t bytes)
{
    mbr_error err;
    for (int for_good = 0; for_good < 2; for_good++) {
        mbr_status due = MBR_ERR_NO_MEMORY, st;
        long n = 0, asked = 1;
        for (; n <= asked && n < 20000; n++) {
            heap h = { .for_good = for_good };
            use u = { 0 };
            atomic_init(&h.left, n == 0 ? 1000000 : n - 1); /* the first time nothing fails: what is due */
            memset(&err, 0, sizeof err);
            st = use_model(&u, &h, data, bytes, &err);
            end_use(&u);
            ck_assert_msg(atomic_load(&h.blocks) == 0, "%s: %ld blocks are left when allocation %ld fails", name,
                          atomic_load(&h.blocks), n);
            if (n == 0) {
                due = st;
                asked = atomic_load(&h.asked);
                continue;
            }
            ck_assert_msg(st == due || st == MBR_ERR_NO_MEMORY, "%s: '%s' (%s) when allocation %ld fails", name, err.text,
                          mbr_status_name(st), n);
            ck_assert_msg(st == MBR_OK || err.text[0], "%s: no message", name);
        }
    }
}

/* Models of the fuzzer's seed corpus; two option bytes stand before each. */
static const char *const seeds[] = {
    "mlp", "conv", "if", "loop", "tree", "function", "containers", "constants", "sparse", "shapes", "unsorted", "int4",
};

START_TEST(a_seed_model)
{
    const char *source = getenv("srcdir");
    char path[4096];
    static char data[1 << 16];
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/import_%s", source ? source : ".", seeds[_i]);
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s cannot be read", path);
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    ck_assert_uint_gt(n, 2);
    fail_each(seeds[_i], data + 2, n - 2);
}
END_TEST

START_TEST(the_fraud_model)
{
    const char *source = getenv("srcdir");
    char path[4096];
    static char data[1 << 20];
    snprintf(path, sizeof path, "%s/examples/fraud/model.onnx", source ? source : ".");
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s cannot be read", path);
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    fail_each("fraud", data, n);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("alloc");
    TCase *tc = tcase_create("alloc");
    tcase_add_loop_test(tc, a_seed_model, 0, (int)(sizeof seeds / sizeof *seeds));
    tcase_add_test(tc, the_fraud_model);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

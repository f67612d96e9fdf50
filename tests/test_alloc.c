/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocations fail one by one, through the caller's allocator, while models are opened, sessions made and run: every
 * time the call says so or the answer is right, nothing crashes, and nothing stays behind. The models are the fuzzer's
 * seeds, the example product, and, where MBR_CASES names a folder of ONNX's node cases, all of those.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/mbr.h"
#include "engine/schedule/rates.h"
#include "mbr/plan.h"
#include "tests/ir_text.h"
#include "tests/opencl_leaks.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>

#define MOST_PORTS 64
#define MOST_ALLOCATIONS 20000

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

/* A model in memory, or the folder of a model with its inputs. */
typedef struct subject {
    const char *name, *folder;
    const void *data;
    size_t bytes;
    const mbr_model_options *options;
} subject;

/* Everything a caller does with a model, up to the first failure. */
typedef struct use {
    mbr_env *env;
    mbr_model *model;
    mbr_session *session;
    mbr_value *inputs[MOST_PORTS], *copies[MOST_PORTS], *back;
    void *bytes;
} use;

/* The bytes of a file, NULL where there is none; freed with free(). */
static void *read_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *data = NULL;
    size_t room = 0, n;
    *bytes = 0;
    do {
        room = 2 * room + 4096;
        data = realloc(data, room);
        ck_assert_ptr_nonnull(data);
        n = fread(data + *bytes, 1, room - *bytes, f);
        *bytes += n;
    } while (n > 0);
    fclose(f);
    return data;
}

static mbr_status read_input(use *u, const subject *s, int i, mbr_kind kind, mbr_error *err)
{
    char path[4096];
    size_t bytes;
    snprintf(path, sizeof path, "%s/test_data_set_0/input_%d.pb", s->folder, i);
    void *data = read_file(path, &bytes);
    if (!data)
        return MBR_OK; /* it has a default */
    mbr_status st = mbr_value_from_onnx(u->env, kind, data, bytes, &u->inputs[i], NULL, err);
    free(data);
    return st;
}

/* Zeros; two where an axis is free. */
static mbr_status make_tensor(use *u, const mbr_port *port, mbr_value **out, mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK] = { 2 };
    for (int d = 0; d < port->rank; d++)
        dims[d] = port->dims[d] < 0 ? 2 : port->dims[d];
    return mbr_tensor_new(u->env, port->dtype, port->rank < 0 ? 1 : port->rank, dims, out, err);
}

static mbr_status make_input(use *u, const mbr_port *port, mbr_value **out, mbr_error *err)
{
    mbr_value *item = NULL;
    if (port->kind == MBR_KIND_TENSOR)
        return make_tensor(u, port, out, err);
    mbr_status st = port->kind == MBR_KIND_SEQUENCE ? mbr_sequence_new(u->env, port->dtype, out, err)
                                                    : mbr_optional_new(u->env, port->dtype, out, err);
    if (st == MBR_OK)
        st = mbr_tensor_new(u->env, port->dtype, 2, (int64_t[]){ 2, 3 }, &item, err);
    for (int k = 0; k < (port->kind == MBR_KIND_SEQUENCE ? 2 : 1) && st == MBR_OK; k++)
        st = mbr_value_append(*out, item, err);
    mbr_value_release(&item);
    return st;
}

static mbr_status bind_inputs(use *u, const subject *s, mbr_error *err)
{
    ck_assert_int_le(mbr_model_input_count(u->model), MOST_PORTS);
    ck_assert_int_le(mbr_model_output_count(u->model), MOST_PORTS);
    for (int i = 0; i < mbr_model_input_count(u->model); i++) {
        mbr_port port = { .size = sizeof port };
        mbr_status st = mbr_model_input(u->model, i, &port, err);
        if (st == MBR_OK)
            st = s->folder ? read_input(u, s, i, port.kind, err) : make_input(u, &port, &u->inputs[i], err);
        if (st == MBR_OK && u->inputs[i])
            st = mbr_session_bind_input(u->session, i, u->inputs[i], err);
        if (st != MBR_OK)
            return st;
    }
    return MBR_OK;
}

static mbr_status look_at_output(use *u, int i, mbr_error *err)
{
    const mbr_value *out = mbr_session_output(u->session, i);
    size_t size;
    mbr_status st = mbr_value_copy(u->env, out, &u->copies[i], err);
    if (st == MBR_OK)
        st = mbr_value_to_onnx(u->env, out, "out", &u->bytes, &size, err);
    if (st == MBR_OK)
        st = mbr_value_from_onnx(u->env, mbr_value_kind(out), u->bytes, size, &u->back, NULL, err);
    if (u->bytes)
        mbr_bytes_release(u->env, u->bytes);
    u->bytes = NULL;
    mbr_value_release(&u->back);
    return st;
}

static mbr_status use_model(use *u, heap *h, const subject *s, mbr_error *err)
{
    mbr_env_options options = { .size = sizeof options, .threads = 1, .alloc = take, .release = give, .alloc_user = h };
    char path[4096];
    mbr_status st = mbr_env_new(&options, &u->env, err);
    if (st == MBR_OK && s->folder) {
        snprintf(path, sizeof path, "%s/model.onnx", s->folder);
        st = mbr_model_open(u->env, path, NULL, &u->model, err);
    } else if (st == MBR_OK) {
        st = mbr_model_open_memory(u->env, s->data, s->bytes, s->options, &u->model, err);
    }
    if (st == MBR_OK)
        st = mbr_session_new(u->model, NULL, &u->session, err);
    if (st == MBR_OK)
        st = bind_inputs(u, s, err);
    if (st == MBR_OK)
        st = mbr_session_run(u->session, err);
    if (st == MBR_OK)
        st = mbr_session_run(u->session, err);
    for (int i = 0; st == MBR_OK && i < mbr_model_output_count(u->model); i++)
        st = look_at_output(u, i, err);
    return st;
}

static void end_use(use *u)
{
    for (int i = 0; i < MOST_PORTS; i++) {
        mbr_value_release(&u->copies[i]);
        mbr_value_release(&u->inputs[i]);
    }
    mbr_session_release(&u->session);
    mbr_model_release(&u->model);
    mbr_env_release(&u->env);
}

/* What comes of it when allocation `fails` fails; due: the outputs when none does, NULL where they may be any. */
static void fail_one(const subject *s, const use *due, mbr_status due_status, long fails, bool for_good)
{
    mbr_error err = { 0 };
    heap h = { .for_good = for_good };
    use u = { 0 };
    atomic_init(&h.left, fails - 1);
    mbr_status st = use_model(&u, &h, s, &err);
    ck_assert_msg(st == due_status || st == MBR_ERR_NO_MEMORY, "%s: '%s' (%s) when allocation %ld fails%s", s->name,
                  err.text, mbr_status_name(st), fails, for_good ? " for good" : "");
    ck_assert_msg(st == MBR_OK || (err.status == st && err.text[0]), "%s: no message when allocation %ld fails", s->name,
                  fails);
    for (int i = 0; st == MBR_OK && due && i < MOST_PORTS && u.copies[i]; i++)
        ck_assert_msg(ir_close_enough(u.copies[i], due->copies[i]), "%s: output %d is another when allocation %ld fails%s",
                      s->name, i, fails, for_good ? " for good" : "");
    end_use(&u);
    ck_assert_msg(atomic_load(&h.blocks) == 0, "%s: %ld blocks are left when allocation %ld fails%s", s->name,
                  atomic_load(&h.blocks), fails, for_good ? " for good" : "");
}

/* Draws numbers that depend on what ran before. */
static void note_random(void *user, const char *domain, const char *name, int since, size_t nodes)
{
    (void)domain, (void)since, (void)nodes;
    *(bool *)user |= strncmp(name, "Random", 6) == 0 || strcmp(name, "Bernoulli") == 0;
}

static mbr_status fail_each(const subject *s)
{
    mbr_error err = { 0 };
    heap h = { 0 };
    use due = { 0 };
    bool random = false;
    atomic_init(&h.left, LONG_MAX);
    mbr_status st = use_model(&due, &h, s, &err);
    long asked = atomic_load(&h.asked);
    ck_assert_int_le(asked, MOST_ALLOCATIONS);
    if (due.model)
        mbr_model_each_op(due.model, note_random, &random);
    for (long n = 1; n <= asked; n++) {
        fail_one(s, random ? NULL : &due, st, n, false);
        fail_one(s, random ? NULL : &due, st, n, true);
    }
    end_use(&due);
    ck_assert_msg(atomic_load(&h.blocks) == 0, "%s: %ld blocks are left", s->name, atomic_load(&h.blocks));
    return st;
}

static const char *source_folder(void)
{
    const char *source = getenv("srcdir");
    return source ? source : ".";
}

/* Models of the fuzzer's seed corpus; two option bytes stand before each. */
static const char *const seeds[] = {
    "mlp", "conv", "if", "loop", "tree", "function", "containers", "constants", "sparse", "shapes", "unsorted", "int4",
    "old", "scan", "grow", "nested", "split", "texts", "words", "classes", "found", "block", "lstm", "attention",
    "cache", "bytes", "nbits", "resize",
};

START_TEST(a_seed_model)
{
    char path[4096];
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/import_%s", source_folder(), seeds[_i]);
    char *data = read_file(path, &bytes);
    ck_assert_msg(data && bytes > 2, "%s cannot be read", path);
    const subject s = { .name = seeds[_i], .data = data + 2, .bytes = bytes - 2 };
    ck_assert_int_eq(fail_each(&s), MBR_OK);
    free(data);
}
END_TEST

START_TEST(the_fraud_model)
{
    char path[4096];
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/tests/payments/model.onnx", source_folder());
    void *data = read_file(path, &bytes);
    ck_assert_msg(data != NULL, "%s cannot be read", path);
    const subject s = { .name = "fraud", .data = data, .bytes = bytes };
    ck_assert_int_eq(fail_each(&s), MBR_OK);
    free(data);
}
END_TEST

/* Rates of a machine. The later an allocation is, the longer it takes to come to it: each of the first, then fewer. */
START_TEST(rates_that_are_measured)
{
    mbr_error err = { 0 };
    mbr_rates r;
    heap h = { 0 };
    mbr_memory memory;
    mbr_team *team = NULL;
    mbr_memory_init(&memory);
    memory.alloc = take;
    memory.release = give;
    memory.user = &h;
    atomic_init(&h.left, LONG_MAX);
    ck_assert_int_eq(mbr_team_new(&memory, 2, &team, &err), MBR_OK);
    long before = atomic_load(&h.asked), blocks = atomic_load(&h.blocks);
    ck_assert_int_eq(mbr_rates_measure(team, &memory, &r, &err), MBR_OK);
    long asked = atomic_load(&h.asked) - before;
    ck_assert_int_gt(asked, 300);
    for (long n = 0; n < asked; n += 1 + n / 8) {
        err.text[0] = '\0';
        h.for_good = n % 2 != 0;
        atomic_store(&h.left, n);
        ck_assert_msg(mbr_rates_measure(team, &memory, &r, &err) == MBR_ERR_NO_MEMORY || atomic_load(&h.left) >= 0,
                      "allocation %ld of %ld fails and nobody says so: %s", n, asked, err.text);
        ck_assert_int_eq(atomic_load(&h.blocks), blocks);
    }
    atomic_store(&h.left, LONG_MAX);
    mbr_team_free(team);
    ck_assert_int_eq(atomic_load(&h.blocks), 0);
}
END_TEST

#ifdef HAVE_OPENCL
static void remove_files(const char *folder)
{
    char path[512];
    DIR *d = opendir(folder);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.')
            remove(path);
    }
    if (d)
        closedir(d);
    remove(folder);
}

/* A session that decides where it runs, between here and a device that seems to cost nothing; then one whose placement
   is given. Rates and programs are kept, or every one of these uses would measure and build. The last one looks for devices
   each time. */
START_TEST(a_session_that_decides)
{
    const mbr_plan_device facts = { .size = sizeof facts, .name = "opencl:0", .gflops_f32 = 1e6, .memory_gbps = 1e4,
                                    .launch_us = 1e-6, .upload_us = 1e-6, .download_us = 1e-6, .upload_gbps = 1e3,
                                    .download_gbps = 1e3 };
    char folder[] = "alloc-cache-XXXXXX", path[4096];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    const bool look = _i == 4;
    const mbr_model_options options = { .size = sizeof options, .device = "auto", .devices = look ? NULL : &facts,
                                        .n_devices = !look, .cache_dir = look ? "off" : folder,
                                        .placement = look || _i % 2 ? "* opencl:0\n" : NULL };
    size_t bytes = 0;
    setenv("MBR_CACHE", folder, 1);
    setenv("MBR_OPENCL_TIMEOUT", "0", 1);
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/import_%s", source_folder(), _i < 2 || look ? "mlp" : "conv");
    char *data = read_file(path, &bytes);
    ck_assert_msg(data && bytes > 2, "%s cannot be read", path);
    const subject s = { .name = path, .data = data + 2, .bytes = bytes - 2, .options = &options };
    mbr_error err;
    heap h = { 0 };
    use first = { 0 }; /* measures, and builds */
    atomic_init(&h.left, LONG_MAX);
    mbr_status st = use_model(&first, &h, &s, &err);
    ck_assert_msg(st == MBR_OK || st == MBR_ERR_UNSUPPORTED, "%s", err.text); /* the latter: no device */
    end_use(&first);
    if (st == MBR_OK)
        ck_assert_int_eq(fail_each(&s), MBR_OK);
    free(data);
    remove_files(folder);
}
END_TEST
#endif

/* A sixteenth of them at a time, so that a crash says more or less where. */
START_TEST(the_node_cases)
{
    const char *cases = getenv("MBR_CASES");
    DIR *d = cases ? opendir(cases) : NULL;
    int n = 0, good = 0;
    ck_assert_msg(!cases || d, "MBR_CASES=%s is no folder", cases);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        char folder[2048];
        if (e->d_name[0] == '.' || n++ % 16 != _i)
            continue;
        snprintf(folder, sizeof folder, "%s/%s", cases, e->d_name);
        good += fail_each(&(subject){ .name = e->d_name, .folder = folder }) == MBR_OK;
    }
    if (d)
        closedir(d);
    ck_assert_int_ge(good * 2, n / 16);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("alloc");
    TCase *tc = tcase_create("alloc");
    tcase_add_loop_test(tc, a_seed_model, 0, (int)(sizeof seeds / sizeof *seeds));
    tcase_add_test(tc, the_fraud_model);
    tcase_add_test(tc, rates_that_are_measured);
#ifdef HAVE_OPENCL
    tcase_add_loop_test(tc, a_session_that_decides, 0, 5);
#endif
    if (getenv("MBR_CASES"))
        tcase_add_loop_test(tc, the_node_cases, 0, 16);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The contracts of include/mbr/, seen from outside. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/mbr.h"
#include "tests/onnx_writer.h"

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

static mbr_env *env;
static mbr_error err;
static size_t held; /* by the environment itself */

static void setup(void)
{
    mbr_env_options options = { .size = sizeof options, .threads = 2 };
    mbr_memory_use use;
    ck_assert_msg(mbr_env_new(&options, &env, &err) == MBR_OK, "%s", err.text);
    mbr_env_memory(env, &use);
    held = use.in_use;
}

static void teardown(void)
{
    mbr_memory_use use;
    mbr_env_memory(env, &use);
    ck_assert_uint_eq(use.in_use, held);
    mbr_env_release(&env);
    ck_assert_ptr_null(env);
}

/* Says so when it fails. */
#define OK(call) ck_assert_msg((call) == MBR_OK, "%s: %s", #call, err.text)
#define FAILS(wanted, words, call)                                                                                     \
    do {                                                                                                               \
        memset(&err, 0, sizeof err);                                                                                   \
        mbr_status got_ = (call);                                                                                      \
        ck_assert_msg(got_ == (wanted), "%s gives '%s': %s", #call, mbr_status_name(got_), err.text);                  \
        ck_assert_int_eq(err.status, wanted);                                                                          \
        ck_assert_msg(strstr(err.text, words) != NULL, "'%s' is not in: %s", words, err.text);                         \
    } while (0)

/* x [N, 3], s [N, 3] -> y = x + s, t = Relu(y) */
static wire make_model(void)
{
    static const int64_t n3[] = { -1, 3, -2 };
    wire g = { 0 };
    wire_add_node(&g, "sum", "Add", "x s", "y");
    wire_add_node(&g, "cut", "Relu", "y", "t");
    wire_text(&g, 2, "g");
    for (int i = 0; i < 4; i++) {
        wire info = wire_value_info((const char *[]){ "x", "s", "y", "t" }[i], 1, n3);
        wire_message(&g, i < 2 ? 11 : 12, &info);
    }
    return wire_model(8, 17, &g);
}

static mbr_model *open_model(wire *w)
{
    mbr_model *m;
    *w = make_model();
    OK(mbr_model_open_memory(env, w->data, w->size, NULL, &m, &err));
    return m;
}

static mbr_value *tensor(int64_t n, float first)
{
    mbr_value *v;
    OK(mbr_tensor_new(env, MBR_DTYPE_F32, 2, (int64_t[]){ n, 3 }, &v, &err));
    for (int64_t i = 0; i < n * 3; i++)
        ((float *)mbr_tensor_data(v))[i] = first + (float)i;
    return v;
}

START_TEST(environments)
{
    mbr_env *e;
    mbr_env_options o = { .size = sizeof o };
    OK(mbr_env_new(NULL, &e, &err));
    ck_assert_int_ge(mbr_env_threads(e), 1);
    mbr_env_release(&e);
    mbr_env_release(&e);
    mbr_env_release(NULL);
    o.size = 0;
    FAILS(MBR_ERR_ARGUMENT, "size", mbr_env_new(&o, &e, &err));
    ck_assert_ptr_null(e);
    ck_assert_int_eq(mbr_env_new(&o, &e, NULL), MBR_ERR_ARGUMENT);
    o.size = offsetof(mbr_env_options, memory_limit); /* an older program: what it did not know is at its default */
    o.memory_limit = 1;
    OK(mbr_env_new(&o, &e, &err));
    mbr_env_release(&e);
    struct {
        mbr_env_options o;
        char more[64];
    } newer = { .o = { .size = sizeof newer, .threads = 1 } };
    OK(mbr_env_new(&newer.o, &e, &err));
    ck_assert_int_eq(mbr_env_threads(e), 1);
    mbr_env_release(&e);
    o = (mbr_env_options){ .size = sizeof o, .threads = -1 };
#ifndef MBR_NO_THREADS
    FAILS(MBR_ERR_ARGUMENT, "threads", mbr_env_new(&o, &e, &err));
#endif
    ck_assert_int_ge((int)strlen(mbr_version()), 5);
    for (int st = 0; st < 12; st++)
        ck_assert_uint_gt(strlen(mbr_status_name((mbr_status)st)), 1);
    ck_assert_ptr_nonnull(mbr_status_name((mbr_status)99));
}
END_TEST

START_TEST(element_types)
{
    for (int t = 1; t < MBR_DTYPE_COUNT; t++) {
        ck_assert_int_eq(mbr_dtype_from_name(mbr_dtype_name((mbr_dtype)t)), t);
        ck_assert_uint_gt(mbr_dtype_size((mbr_dtype)t), 0);
    }
    ck_assert_int_eq(mbr_dtype_from_name("f31"), MBR_DTYPE_UNDEFINED);
    ck_assert_uint_eq(mbr_dtype_size(MBR_DTYPE_UNDEFINED), 0);
    ck_assert_uint_eq(mbr_dtype_size((mbr_dtype)1000), 0);
    ck_assert_ptr_nonnull(mbr_dtype_name((mbr_dtype)1000));
}
END_TEST

START_TEST(tensors)
{
    mbr_value *v, *w;
    float place[6] = { 1, 2, 3, 4, 5, 6 };
    OK(mbr_tensor_new(env, MBR_DTYPE_I64, 2, (int64_t[]){ 2, 3 }, &v, &err));
    ck_assert_int_eq(mbr_value_kind(v), MBR_KIND_TENSOR);
    ck_assert_int_eq(mbr_tensor_dtype(v), MBR_DTYPE_I64);
    ck_assert_int_eq(mbr_tensor_rank(v), 2);
    ck_assert_int_eq(mbr_tensor_dims(v)[1], 3);
    ck_assert_uint_eq(mbr_tensor_count(v), 6);
    ck_assert_uint_eq(mbr_tensor_bytes(v), 48);
    ck_assert_uint_ge(mbr_tensor_capacity(v), 48);
    ck_assert_ptr_eq(mbr_tensor_data(v), mbr_tensor_const_data(v));
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(((const int64_t *)mbr_tensor_const_data(v))[i], 0);
    OK(mbr_tensor_reserve(v, 4096, &err));
    void *data = mbr_tensor_data(v);
    OK(mbr_tensor_set_shape(v, 1, (int64_t[]){ 512 }, &err));
    ck_assert_ptr_eq(mbr_tensor_data(v), data);
    OK(mbr_tensor_set_shape(v, 1, (int64_t[]){ 5000 }, &err));
    FAILS(MBR_ERR_INPUT, "negative", mbr_tensor_set_shape(v, 1, (int64_t[]){ -1 }, &err));
    ck_assert_uint_eq(mbr_tensor_count(v), 5000);
    mbr_value_release(&v);
    ck_assert_ptr_null(v);
    mbr_value_release(&v);
    mbr_value_release(NULL);

    OK(mbr_tensor_borrow(env, MBR_DTYPE_F32, 1, (int64_t[]){ 4 }, place, sizeof place, &v, &err));
    ck_assert_ptr_eq(mbr_tensor_data(v), place);
    OK(mbr_tensor_set_shape(v, 2, (int64_t[]){ 2, 3 }, &err));
    FAILS(MBR_ERR_ARGUMENT, "borrowed", mbr_tensor_set_shape(v, 1, (int64_t[]){ 7 }, &err));
    FAILS(MBR_ERR_ARGUMENT, "borrowed", mbr_tensor_reserve(v, 100, &err));
    OK(mbr_value_copy(env, v, &w, &err));
    place[0] = 9;
    ck_assert(((const float *)mbr_tensor_const_data(w))[0] == 1);
    mbr_value_release(&v);
    mbr_value_release(&w);
    ck_assert(place[5] == 6);
    FAILS(MBR_ERR_ARGUMENT, "28 bytes", mbr_tensor_borrow(env, MBR_DTYPE_F32, 1, (int64_t[]){ 7 }, place, sizeof place, &v,
                                                         &err));
    ck_assert_ptr_null(v);
    FAILS(MBR_ERR_ARGUMENT, "element type", mbr_tensor_new(env, MBR_DTYPE_UNDEFINED, 0, NULL, &v, &err));
    FAILS(MBR_ERR_LIMIT, "17", mbr_tensor_new(env, MBR_DTYPE_F32, 17, (int64_t[17]){ 0 }, &v, &err));
}
END_TEST

START_TEST(texts_and_containers)
{
    mbr_value *s, *list, *maybe, *copy;
    OK(mbr_tensor_new(env, MBR_DTYPE_STRING, 1, (int64_t[]){ 2 }, &s, &err));
    OK(mbr_tensor_set_string(s, 0, "one\0two", 7, &err));
    FAILS(MBR_ERR_ARGUMENT, "element 2", mbr_tensor_set_string(s, 2, "x", 1, &err));
    ck_assert_uint_eq(((const mbr_string *)mbr_tensor_const_data(s))[0].size, 7);
    ck_assert_uint_eq(((const mbr_string *)mbr_tensor_const_data(s))[1].size, 0);
    OK(mbr_tensor_reserve(s, 640, &err));
    OK(mbr_tensor_set_shape(s, 1, (int64_t[]){ 40 }, &err));
    for (int i = 2; i < 40; i++) /* none of them has text yet */
        ck_assert_uint_eq(((const mbr_string *)mbr_tensor_const_data(s))[i].size, 0);
    ck_assert_uint_eq(((const mbr_string *)mbr_tensor_const_data(s))[0].size, 7);

    OK(mbr_sequence_new(env, MBR_DTYPE_STRING, &list, &err));
    for (int i = 0; i < 5; i++)
        OK(mbr_value_append(list, s, &err));
    ck_assert_uint_eq(mbr_value_item_count(list), 5);
    ck_assert_ptr_null(mbr_value_item(list, 5));
    ck_assert_ptr_ne(mbr_value_item(list, 0), s);
    FAILS(MBR_ERR_ARGUMENT, "sequences and optionals", mbr_value_append(s, s, &err));
    FAILS(MBR_ERR_ARGUMENT, "no tensor", mbr_tensor_set_shape(list, 0, NULL, &err));
    ck_assert_uint_eq(mbr_tensor_count(list), 0);
    OK(mbr_optional_new(env, MBR_DTYPE_STRING, &maybe, &err));
    ck_assert_uint_eq(mbr_value_item_count(maybe), 0);
    OK(mbr_value_append(maybe, s, &err));
    FAILS(MBR_ERR_ARGUMENT, "already", mbr_value_append(maybe, s, &err));
    mbr_value_release(&s);
    OK(mbr_value_copy(env, list, &copy, &err));
    mbr_value_release(&list);
    ck_assert_int_eq(memcmp(((const mbr_string *)mbr_tensor_const_data(mbr_value_item(copy, 4)))[0].data, "one\0two", 7),
                     0);
    void *data;
    size_t bytes;
    const char *name;
    mbr_value *back;
    OK(mbr_value_to_onnx(env, copy, "list", &data, &bytes, &err));
    OK(mbr_value_from_onnx(env, MBR_KIND_SEQUENCE, data, bytes, &back, &name, &err));
    ck_assert_str_eq(name, "list");
    ck_assert_uint_eq(mbr_value_item_count(back), 5);
    ck_assert_int_eq(mbr_value_from_onnx(env, MBR_KIND_SEQUENCE, data, bytes - 1, &list, &name, NULL), MBR_ERR_FORMAT);
    ck_assert_ptr_null(list);
    mbr_bytes_release(env, data);
    mbr_bytes_release(env, NULL);
    mbr_value_release(&back);
    mbr_value_release(&maybe);
    mbr_value_release(&copy);
}
END_TEST

typedef struct piecewise {
    const wire *w;
    size_t at;
    bool fails;
} piecewise;

static ptrdiff_t read_some(void *user, void *to, size_t bytes)
{
    piecewise *p = user;
    size_t n = p->w->size - p->at;
    if (p->fails && p->at > 10)
        return -1;
    n = n < bytes ? n : bytes;
    n = n < 7 ? n : 7;
    memcpy(to, p->w->data + p->at, n);
    p->at += n;
    return (ptrdiff_t)n;
}

static void count_ops(void *user, const char *domain, const char *name, int since, size_t nodes)
{
    ck_assert_str_eq(domain, "ai.onnx");
    ck_assert(strcmp(name, "Add") == 0 || strcmp(name, "Relu") == 0);
    ck_assert_int_ge(since, 1);
    *(size_t *)user += nodes;
}

static void count_known(void *user, const char *domain, const char *name, int since)
{
    ck_assert(domain && name[0] && since >= 1);
    ++*(size_t *)user;
}

static mbr_status count_bytes(void *user, const char *text, size_t bytes)
{
    (void)text;
    *(size_t *)user += bytes;
    return *(size_t *)user > 1000000 ? MBR_ERR_IO : MBR_OK;
}

static mbr_status refuse(void *user, const char *text, size_t bytes)
{
    (void)user, (void)text, (void)bytes;
    return MBR_ERR_IO;
}

START_TEST(models)
{
    wire w = make_model();
    mbr_model *m;
    FAILS(MBR_ERR_IO, "nowhere.onnx", mbr_model_open(env, "nowhere.onnx", NULL, &m, &err));
    ck_assert_ptr_null(m);
    FAILS(MBR_ERR_FORMAT, "model in memory", mbr_model_open_memory(env, "nonsense", 8, NULL, &m, &err));
    ck_assert_ptr_null(m);
    mbr_model_options o = { .size = 0 };
    FAILS(MBR_ERR_ARGUMENT, "size", mbr_model_open_memory(env, w.data, w.size, &o, &m, &err));
    o = (mbr_model_options){ .size = sizeof o, .passes = "-nothing" };
    FAILS(MBR_ERR_ARGUMENT, "'nothing'", mbr_model_open_memory(env, w.data, w.size, &o, &m, &err));
    piecewise p = { &w, 0, true };
    ck_assert_int_eq(mbr_model_open_reader(env, read_some, &p, NULL, &m, &err), MBR_ERR_IO);
    ck_assert_ptr_null(m);
    p = (piecewise){ &w, 0, false };
    o.passes = "none";
    OK(mbr_model_open_reader(env, read_some, &p, &o, &m, &err));
    wire_free(&w); /* the library has its own copy */

    ck_assert_int_eq(mbr_model_input_count(m), 2);
    ck_assert_int_eq(mbr_model_output_count(m), 2);
    ck_assert_int_eq(mbr_model_find_input(m, "s"), 1);
    ck_assert_int_eq(mbr_model_find_input(m, "y"), -1);
    ck_assert_int_eq(mbr_model_find_output(m, "t"), 1);
    ck_assert_int_eq(mbr_model_find_output(m, "x"), -1);
    mbr_port port = { .size = sizeof port };
    OK(mbr_model_input(m, 1, &port, &err));
    ck_assert_str_eq(port.name, "s");
    ck_assert_int_eq(port.kind, MBR_KIND_TENSOR);
    ck_assert_int_eq(port.dtype, MBR_DTYPE_F32);
    ck_assert_int_eq(port.rank, 2);
    ck_assert(port.dims[0] == -1 && port.dims[1] == 3);
    ck_assert_str_eq(port.symbols[0], "N");
    ck_assert_ptr_null(port.symbols[1]);
    ck_assert_int_eq(port.optional, 0);
    port = (mbr_port){ .size = offsetof(mbr_port, dims), .rank = 7, .optional = 7 };
    OK(mbr_model_output(m, 1, &port, &err));
    ck_assert(port.rank == 2 && port.optional == 7 && strcmp(port.name, "t") == 0);
    FAILS(MBR_ERR_ARGUMENT, "input 2", mbr_model_input(m, 2, &port, &err));
    FAILS(MBR_ERR_ARGUMENT, "output -1", mbr_model_output(m, -1, &port, &err));
    mbr_model_facts facts = { .size = sizeof facts };
    OK(mbr_model_get_facts(m, &facts, &err));
    ck_assert(facts.ir_version == 8 && facts.opset == 17 && facts.nodes == 2 && facts.steps == 2);
    facts.size = 0;
    FAILS(MBR_ERR_ARGUMENT, "size", mbr_model_get_facts(m, &facts, &err));
    size_t n = 0;
    mbr_model_each_op(m, count_ops, &n);
    ck_assert_uint_eq(n, 2);
    n = 0;
    mbr_each_known_op(count_known, &n);
    ck_assert_uint_gt(n, 200);
    n = 0;
    OK(mbr_model_dump(m, NULL, count_bytes, &n, &err));
    ck_assert_uint_gt(n, 100);
    OK(mbr_model_dump(m, "import", count_bytes, &n, &err));
    FAILS(MBR_ERR_ARGUMENT, "no pass", mbr_model_dump(m, "bogus", count_bytes, &n, &err));
    ck_assert_int_eq(mbr_model_dump(m, NULL, refuse, NULL, &err), MBR_ERR_IO);
    mbr_model_release(&m);
    mbr_model_release(&m);
    mbr_model_release(NULL);
}
END_TEST

START_TEST(runs)
{
    wire w;
    mbr_model *m = open_model(&w);
    mbr_session *s;
    OK(mbr_session_new(m, NULL, &s, &err));
    mbr_model_release(&m); /* the session keeps it */
    mbr_value *x = tensor(2, 1), *z = tensor(2, -10), *other = tensor(3, 0), *ints, *flat;
    OK(mbr_tensor_new(env, MBR_DTYPE_I64, 2, (int64_t[]){ 2, 3 }, &ints, &err));
    OK(mbr_tensor_new(env, MBR_DTYPE_F32, 1, (int64_t[]){ 6 }, &flat, &err));
    ck_assert_ptr_null(mbr_session_output(s, 0));
    FAILS(MBR_ERR_INPUT, "'x' is missing", mbr_session_run(s, &err));
    FAILS(MBR_ERR_INPUT, "f32", mbr_session_bind_input(s, 0, ints, &err));
    FAILS(MBR_ERR_INPUT, "[N, 3]", mbr_session_bind_input(s, 0, flat, &err));
    FAILS(MBR_ERR_ARGUMENT, "input 2", mbr_session_bind_input(s, 2, x, &err));
    FAILS(MBR_ERR_ARGUMENT, "output 5", mbr_session_bind_output(s, 5, x, &err));
    OK(mbr_session_bind_input(s, 0, x, &err));
    OK(mbr_session_bind_input(s, 1, other, &err));
    FAILS(MBR_ERR_INPUT, "'N'", mbr_session_run(s, &err));
    OK(mbr_session_bind_input(s, 1, z, &err));
    mbr_session_cancel(s); /* nothing runs: it does not matter to the next run */
    OK(mbr_session_run(s, &err));
    const mbr_value *y = mbr_session_output(s, 0), *t = mbr_session_output(s, 1);
    ck_assert_ptr_null(mbr_session_output(s, 2));
    ck_assert_ptr_null(mbr_session_output(s, -1));
    const float *fy = mbr_tensor_const_data(y), *ft = mbr_tensor_const_data(t);
    for (int i = 0; i < 6; i++) {
        float due = 1 + (float)i + -10 + (float)i;
        ck_assert(fy[i] == due && ft[i] == (due > 0 ? due : 0));
    }
    mbr_bill bill = { .size = sizeof bill };
    OK(mbr_session_get_bill(s, &bill, &err));
    bill.size = 0;
    FAILS(MBR_ERR_ARGUMENT, "size", mbr_session_get_bill(s, &bill, &err));

    float place[6];
    mbr_value *mine;
    OK(mbr_tensor_borrow(env, MBR_DTYPE_F32, 1, (int64_t[]){ 1 }, place, sizeof place, &mine, &err));
    OK(mbr_session_bind_output(s, 1, mine, &err));
    OK(mbr_session_run(s, &err));
    ck_assert(mbr_tensor_rank(mine) == 2 && mbr_tensor_dims(mine)[0] == 2 && place[5] == 1);
    OK(mbr_session_bind_output(s, 1, NULL, &err));
    OK(mbr_session_bind_input(s, 0, NULL, &err));
    FAILS(MBR_ERR_INPUT, "'x' is missing", mbr_session_run(s, &err));
    mbr_value *all[] = { x, z, other, ints, flat, mine };
    mbr_session_release(&s);
    mbr_session_release(&s);
    mbr_session_release(NULL);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mbr_value_release(&all[i]);
    wire_free(&w);
}
END_TEST

static float state_of(mbr_session *s)
{
    mbr_value *v;
    OK(mbr_session_save_state(s, 1, &v, &err));
    float first = *(const float *)mbr_tensor_const_data(v);
    mbr_value_release(&v);
    return first;
}

START_TEST(state)
{
    wire w;
    mbr_model *m = open_model(&w);
    mbr_session *s, *fork;
    mbr_value *x = tensor(1, 1), *start = tensor(1, 0), *saved;
    OK(mbr_session_new(m, NULL, &s, &err));
    OK(mbr_session_new(m, NULL, &fork, &err));
    FAILS(MBR_ERR_ARGUMENT, "no state yet", mbr_session_save_state(s, 1, &saved, &err));
    FAILS(MBR_ERR_ARGUMENT, "no state edge", mbr_session_restore_state(s, 1, start, &err));
    FAILS(MBR_ERR_ARGUMENT, "output 2", mbr_session_bind_state(s, 2, 1, &err));
    OK(mbr_session_bind_state(s, 0, 1, &err)); /* y becomes s */
    OK(mbr_session_bind_input(s, 0, x, &err));
    FAILS(MBR_ERR_INPUT, "'s' is missing", mbr_session_run(s, &err));
    OK(mbr_session_bind_input(s, 1, start, &err));
    for (int i = 1; i <= 5; i++) {
        OK(mbr_session_run(s, &err));
        ck_assert(state_of(s) == (float)i);
        ck_assert(*(const float *)mbr_tensor_const_data(mbr_session_output(s, 0)) == (float)i);
    }
    ck_assert(*(const float *)mbr_tensor_const_data(start) == 0); /* the caller's is left alone */
    OK(mbr_session_save_state(s, 1, &saved, &err));
    OK(mbr_session_bind_state(fork, 0, 1, &err));
    OK(mbr_session_restore_state(fork, 1, saved, &err));
    mbr_value_release(&saved);
    OK(mbr_session_bind_input(fork, 0, x, &err));
    OK(mbr_session_run(fork, &err));
    OK(mbr_session_run(fork, &err));
    ck_assert(state_of(fork) == 7);
    ck_assert(state_of(s) == 5);
    OK(mbr_session_bind_input(s, 1, start, &err)); /* begins anew */
    OK(mbr_session_run(s, &err));
    ck_assert(state_of(s) == 1);
    OK(mbr_session_bind_state(s, -1, 1, &err));
    OK(mbr_session_run(s, &err));
    OK(mbr_session_run(s, &err));
    ck_assert(*(const float *)mbr_tensor_const_data(mbr_session_output(s, 0)) == 1);
    mbr_session_release(&s);
    mbr_session_release(&fork);
    mbr_model_release(&m);
    mbr_value_release(&x);
    mbr_value_release(&start);
    wire_free(&w);
}
END_TEST

/* p [2, 3, P, 4] and n, q [2, 3, N, 4] -> c: n behind p; y: softmax(q c^T) c */
static wire make_decoder(void)
{
    static const int64_t past[] = { 2, 3, -3, 4, -2 }, fresh[] = { 2, 3, -1, 4, -2 }, both[] = { 2, 3, -4, 4, -2 };
    wire g = { 0 }, concat = wire_node("", "", "Concat", "p n", "c"), swap = wire_node("", "", "Transpose", "c", "t");
    wire soft = wire_node("", "", "Softmax", "s", "w"), perm = { 0 };
    for (int i = 0; i < 2; i++) {
        wire axis = { 0 };
        wire_text(&axis, 1, "axis");
        wire_int(&axis, 3, i ? -1 : -2);
        wire_int(&axis, 20, 2);
        wire_message(i ? &soft : &concat, 5, &axis);
    }
    wire_text(&perm, 1, "perm");
    for (int i = 0; i < 4; i++)
        wire_int(&perm, 8, (const int64_t[]){ 0, 1, 3, 2 }[i]);
    wire_int(&perm, 20, 7);
    wire_message(&swap, 5, &perm);
    wire_message(&g, 1, &concat);
    wire_message(&g, 1, &swap);
    wire_add_node(&g, "", "MatMul", "q t", "s");
    wire_message(&g, 1, &soft);
    wire_add_node(&g, "", "MatMul", "w c", "y");
    wire_text(&g, 2, "g");
    for (int i = 0; i < 5; i++) {
        wire info = wire_value_info((const char *[]){ "p", "n", "q", "c", "y" }[i], 1,
                                    i == 0 ? past : i == 3 ? both : fresh);
        wire_message(&g, i < 3 ? 11 : 12, &info);
    }
    return wire_model(8, 17, &g);
}

static mbr_value *heads(int64_t rows, unsigned seed)
{
    mbr_value *v;
    OK(mbr_tensor_new(env, MBR_DTYPE_F32, 4, (int64_t[]){ 2, 3, rows, 4 }, &v, &err));
    for (int64_t i = 0; i < rows * 24; i++) {
        seed = seed * 1664525u + 1013904223u;
        ((float *)mbr_tensor_data(v))[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
    }
    return v;
}

static void same_tensors(const mbr_value *a, const mbr_value *b)
{
    ck_assert_int_eq(mbr_tensor_dims(a)[2], mbr_tensor_dims(b)[2]);
    ck_assert_mem_eq(mbr_tensor_const_data(a), mbr_tensor_const_data(b), mbr_tensor_count(a) * sizeof(float));
}

/* A past that grows in place is the past that is handed over whole, whoever looks at it and whenever. */
START_TEST(appended)
{
    wire w = make_decoder();
    mbr_model *m;
    mbr_session *grows, *plain, *fork;
    mbr_value *past = heads(2, 1), *v[2], *saved;
    mbr_memory_use use;
    int allocated = 0;
    OK(mbr_model_open_memory(env, w.data, w.size, NULL, &m, &err));
    OK(mbr_session_new(m, NULL, &grows, &err));
    OK(mbr_session_new(m, NULL, &plain, &err));
    OK(mbr_session_new(m, NULL, &fork, &err));
    OK(mbr_session_bind_state(grows, 0, 0, &err));
    OK(mbr_session_bind_state(fork, 0, 0, &err));
    OK(mbr_session_bind_input(grows, 0, past, &err));
    for (int step = 0; step < 90; step++) {
        for (int i = 0; i < 2; i++) {
            v[i] = heads(step % 20 == 7 ? 7 : 1, (unsigned)(2 * step + i + 5));
            OK(mbr_session_bind_input(grows, 1 + i, v[i], &err));
            OK(mbr_session_bind_input(plain, 1 + i, v[i], &err));
        }
        mbr_env_memory(env, &use);
        size_t before = use.allocations;
        OK(mbr_session_run(grows, &err));
        mbr_env_memory(env, &use);
        allocated += use.allocations != before;
        if (step == 30) { /* fails for its shape and changes nothing */
            mbr_value *wrong = heads(3, 1);
            OK(mbr_session_bind_input(grows, 2, wrong, &err));
            ck_assert_int_ne(mbr_session_run(grows, &err), MBR_OK);
            mbr_value_release(&wrong);
        }
        OK(mbr_session_bind_input(plain, 0, past, &err));
        OK(mbr_session_run(plain, &err));
        if (step != 30)
            same_tensors(mbr_session_output(grows, 1), mbr_session_output(plain, 1));
        mbr_value_release(&past);
        OK(mbr_value_copy(env, mbr_session_output(plain, 0), &past, &err));
        if (step == 40 || step == 41) {
            OK(mbr_session_save_state(grows, 0, &saved, &err));
            same_tensors(saved, past);
            OK(mbr_session_restore_state(step == 40 ? fork : grows, 0, saved, &err));
            mbr_value_release(&saved);
        }
        if (step == 60) {
            ck_assert_msg(allocated < 20, "%d of 60 runs took memory", allocated);
            same_tensors(mbr_session_output(grows, 0), past);
        }
        for (int i = 0; i < 2; i++)
            mbr_value_release(&v[i]);
    }
    same_tensors(mbr_session_output(grows, 0), past);
    mbr_session_release(&grows);
    mbr_session_release(&plain);
    mbr_session_release(&fork);
    mbr_model_release(&m);
    mbr_value_release(&past);
    wire_free(&w);
}
END_TEST

enum { ATTENTION, GROUP_QUERY, MULTI_HEAD, DECODERS };

static void attr(wire *node, const char *name, int64_t v)
{
    wire a = { 0 };
    wire_text(&a, 1, name);
    wire_int(&a, 3, v);
    wire_int(&a, 20, 2);
    wire_message(node, 5, &a);
}

/* past p, r [2, 3, P, 4] and q, k, v [2, N, 12] -> y, c, d by an operator that knows of its past; for one with keys of
   different numbers their numbers less one l [2], their most as the width of m, and rotary positions. */
static wire make_attention(int kind)
{
    static const char *const operands[] = { "q k v  p r", "q k v p r l t u w", "q k v    p r" };
    static const char *const names[] = { "Attention", "GroupQueryAttention", "MultiHeadAttention" };
    static const char *const ports[] = { "p", "r", "q", "k", "v", "l", "m", "u", "w", "y", "c", "d" };
    static const int64_t past[] = { 2, 3, -3, 4, -2 }, fresh[] = { 2, -1, 12, -2 }, both[] = { 2, 3, -4, 4, -2 };
    static const int64_t two[] = { 2, -2 }, mask[] = { 2, -4, -2 }, angles[] = { 1024, 2, -2 };
    const int64_t *shapes[] = { past, past, fresh, fresh, fresh, two, mask, angles, angles, fresh, both, both };
    wire g = { 0 }, n = wire_node("", kind == ATTENTION ? "" : "com.microsoft", names[kind], operands[kind], "y c d");
    attr(&n, kind == ATTENTION ? "q_num_heads" : "num_heads", 3);
    if (kind != MULTI_HEAD)
        attr(&n, "kv_num_heads", 3);
    if (kind == GROUP_QUERY) {
        wire size = wire_node("", "", "Shape", "m", "s"), cast = wire_node("", "", "Cast", "s", "t");
        attr(&size, "start", 1);
        attr(&cast, "to", 6);
        attr(&n, "do_rotary", 1);
        wire_message(&g, 1, &size);
        wire_message(&g, 1, &cast);
    }
    wire_message(&g, 1, &n);
    wire_text(&g, 2, "g");
    for (int i = 0; i < 12; i++) {
        wire info = wire_value_info(ports[i], i == 5 ? 6 : 1, shapes[i]);
        if (i < 5 || i > 8 || kind == GROUP_QUERY)
            wire_message(&g, i < 9 ? 11 : 12, &info);
        else
            wire_free(&info);
    }
    wire model = wire_model(10, 23, &g);
    wire_opset(&model, "com.microsoft", 1);
    return model;
}

static mbr_value *numbers(int rank, const int64_t *dims, unsigned seed)
{
    mbr_value *v;
    OK(mbr_tensor_new(env, MBR_DTYPE_F32, rank, dims, &v, &err));
    for (size_t i = 0; i < mbr_tensor_count(v); i++) {
        seed = seed * 1664525u + 1013904223u;
        ((float *)mbr_tensor_data(v))[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
    }
    return v;
}

static mbr_value *bind_both(mbr_session *a, mbr_session *b, int input, mbr_value *v)
{
    OK(mbr_session_bind_input(a, input, v, &err));
    OK(mbr_session_bind_input(b, input, v, &err));
    return v;
}

/* The same of operators that know of their past; a fork goes on from its own copy. */
START_TEST(appended_by_attention)
{
    wire w = make_attention(_i);
    mbr_model *m;
    mbr_session *grows, *plain, *fork;
    mbr_value *past[2] = { heads(2, 1), heads(2, 2) }, *saved;
    mbr_memory_use use;
    int allocated = 0;
    OK(mbr_model_open_memory(env, w.data, w.size, NULL, &m, &err));
    OK(mbr_session_new(m, NULL, &grows, &err));
    OK(mbr_session_new(m, NULL, &plain, &err));
    OK(mbr_session_new(m, NULL, &fork, &err));
    for (int i = 0; i < 2; i++) {
        OK(mbr_session_bind_state(grows, 1 + i, i, &err));
        OK(mbr_session_bind_state(fork, 1 + i, i, &err));
        OK(mbr_session_bind_input(grows, i, past[i], &err));
    }
    for (int step = 0; step < 512; step++) {
        int64_t tokens = step % 100 == 7 ? 7 : 1, total = mbr_tensor_dims(past[0])[2] + tokens;
        mbr_session *other = step == 301 || step == 302 ? fork : plain;
        mbr_value *v[9] = { NULL };
        for (int i = 2; i < 5; i++)
            v[i] = bind_both(grows, other, i, numbers(3, (int64_t[]){ 2, tokens, 12 }, (unsigned)(3 * step + i)));
        if (_i == GROUP_QUERY) {
            OK(mbr_tensor_new(env, MBR_DTYPE_I32, 1, (int64_t[]){ 2 }, &v[5], &err));
            ((int32_t *)mbr_tensor_data(v[5]))[0] = (int32_t)total - 1;
            ((int32_t *)mbr_tensor_data(v[5]))[1] = (int32_t)total - 1 - (step % 3 == 1);
            bind_both(grows, other, 5, v[5]);
            v[6] = bind_both(grows, other, 6, numbers(2, (int64_t[]){ 2, total }, 1));
            for (int i = 7; i < 9; i++)
                v[i] = bind_both(grows, other, i, numbers(2, (int64_t[]){ 1024, 2 }, (unsigned)i));
        }
        mbr_env_memory(env, &use);
        size_t before = use.allocations;
        OK(mbr_session_run(grows, &err));
        mbr_env_memory(env, &use);
        allocated += (int)(use.allocations - before);
        for (int i = 0; i < 2 && other == plain; i++)
            OK(mbr_session_bind_input(plain, i, past[i], &err));
        OK(mbr_session_run(other, &err));
        const mbr_value *a = mbr_session_output(grows, 0), *b = mbr_session_output(other, 0);
        ck_assert_mem_eq(mbr_tensor_const_data(a), mbr_tensor_const_data(b), mbr_tensor_count(a) * sizeof(float));
        for (int i = 0; i < 2; i++) {
            mbr_value_release(&past[i]);
            if (other == plain)
                OK(mbr_value_copy(env, mbr_session_output(plain, 1 + i), &past[i], &err));
            else
                OK(mbr_session_save_state(fork, i, &past[i], &err));
            if (step % 100 != 0 && step != 511)
                continue;
            OK(mbr_session_save_state(grows, i, &saved, &err));
            same_tensors(saved, past[i]);
            if (step == 300)
                OK(mbr_session_restore_state(fork, i, saved, &err));
            mbr_value_release(&saved);
        }
        for (int i = 0; i < 9; i++)
            mbr_value_release(&v[i]);
        if (step == 99) /* a past that is copied takes memory in most runs */
            ck_assert_msg(allocated < 40, "100 runs took memory %d times", allocated);
    }
    for (int i = 0; i < 2; i++)
        mbr_value_release(&past[i]);
    mbr_session_release(&grows);
    mbr_session_release(&plain);
    mbr_session_release(&fork);
    mbr_model_release(&m);
    wire_free(&w);
}
END_TEST

/* A cache that was made as long as it gets stays where it is. */
START_TEST(appended_in_a_whole_cache)
{
    wire w = make_attention(GROUP_QUERY);
    mbr_model *m;
    mbr_session *stays, *plain;
    mbr_value *past[2] = { heads(64, 1), heads(64, 2) };
    const void *at = NULL;
    OK(mbr_model_open_memory(env, w.data, w.size, NULL, &m, &err));
    OK(mbr_session_new(m, NULL, &stays, &err));
    OK(mbr_session_new(m, NULL, &plain, &err));
    for (int i = 0; i < 2; i++) {
        OK(mbr_session_bind_state(stays, 1 + i, i, &err));
        OK(mbr_session_bind_input(stays, i, past[i], &err));
    }
    for (int64_t total = 2; total <= 64; total++) {
        mbr_value *v[9] = { NULL };
        for (int i = 2; i < 5; i++)
            v[i] = bind_both(stays, plain, i, numbers(3, (int64_t[]){ 2, 1, 12 }, (unsigned)(3 * total + i)));
        OK(mbr_tensor_new(env, MBR_DTYPE_I32, 1, (int64_t[]){ 2 }, &v[5], &err));
        for (int i = 0; i < 2; i++)
            ((int32_t *)mbr_tensor_data(v[5]))[i] = (int32_t)total - 1 - i;
        bind_both(stays, plain, 5, v[5]);
        v[6] = bind_both(stays, plain, 6, numbers(2, (int64_t[]){ 2, total }, 1));
        for (int i = 7; i < 9; i++)
            v[i] = bind_both(stays, plain, i, numbers(2, (int64_t[]){ 1024, 2 }, (unsigned)i));
        OK(mbr_session_run(stays, &err));
        for (int i = 0; i < 2; i++)
            OK(mbr_session_bind_input(plain, i, past[i], &err));
        OK(mbr_session_run(plain, &err));
        for (int i = 0; i < 3; i++) {
            const mbr_value *a = mbr_session_output(stays, i), *b = mbr_session_output(plain, i);
            ck_assert_mem_eq(mbr_tensor_const_data(a), mbr_tensor_const_data(b), mbr_tensor_count(a) * sizeof(float));
        }
        const void *now = mbr_tensor_const_data(mbr_session_output(stays, 1));
        ck_assert(total == 2 || now == at);
        at = now;
        for (int i = 0; i < 2; i++) {
            mbr_value_release(&past[i]);
            OK(mbr_value_copy(env, mbr_session_output(plain, 1 + i), &past[i], &err));
        }
        for (int i = 0; i < 9; i++)
            mbr_value_release(&v[i]);
    }
    for (int i = 0; i < 2; i++)
        mbr_value_release(&past[i]);
    mbr_session_release(&stays);
    mbr_session_release(&plain);
    mbr_model_release(&m);
    wire_free(&w);
}
END_TEST

START_TEST(limits)
{
    wire w;
    mbr_env *small;
    mbr_model *m;
    mbr_value *v;
    mbr_env_options o = { .size = sizeof o, .threads = 1, .memory_limit = 64 * 1024 };
    OK(mbr_env_new(&o, &small, &err));
    ck_assert_int_eq(mbr_tensor_new(small, MBR_DTYPE_F32, 1, (int64_t[]){ 1 << 20 }, &v, &err), MBR_ERR_NO_MEMORY);
    ck_assert_ptr_nonnull(strstr(err.text, "memory limit"));
    w = make_model();
    mbr_status st = mbr_model_open_memory(small, w.data, w.size, NULL, &m, &err);
    ck_assert(st == MBR_ERR_NO_MEMORY && !m);
    mbr_memory_use use;
    mbr_env_memory(small, &use);
    ck_assert_uint_le(use.peak, 64 * 1024);
    mbr_env_release(&small);
    wire_free(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *tc = tcase_create("api");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, environments);
    tcase_add_test(tc, element_types);
    tcase_add_test(tc, tensors);
    tcase_add_test(tc, texts_and_containers);
    tcase_add_test(tc, models);
    tcase_add_test(tc, runs);
    tcase_add_test(tc, state);
    tcase_add_test(tc, appended);
    tcase_add_loop_test(tc, appended_by_attention, 0, DECODERS);
    tcase_add_test(tc, appended_in_a_whole_cache);
    tcase_add_test(tc, limits);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

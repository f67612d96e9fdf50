/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/onnx/onnx_tensor.h"
#include "importers/onnx/tensor_pb.h"
#include "tests/onnx_writer.h"

#include <check.h>

static mbr_memory memory;
static mbr_error err;

static void setup(void)
{
    mbr_memory_init(&memory);
    memset(&err, 0, sizeof err);
}

static void teardown(void)
{
    ck_assert_uint_eq(memory.in_use, 0);
}

static mbr_value *tensor(mbr_dtype dtype, int rank, const int64_t *dims)
{
    mbr_value *v;
    ck_assert_int_eq(mbr_value_create_tensor(&memory, dtype, rank, dims, &v, &err), MBR_OK);
    return v;
}

/* Any bits that an element of the type may have. */
static void fill(mbr_value *v)
{
    static const char *const words[] = { "", "one", "zw\xc3\xb6lf", "a\0b" };
    static const size_t lengths[] = { 0, 3, 6, 3 };
    size_t n = mbr_value_count(v), bytes = mbr_value_bytes(v);
    unsigned bits = mbr_onnx_bits(v->dtype);
    uint8_t *b = v->data;
    for (size_t i = 0; i < n && v->dtype == MBR_DTYPE_STRING; i++)
        ((mbr_string *)v->data)[i] = (mbr_string){ words[i % 4], lengths[i % 4] };
    if (v->dtype == MBR_DTYPE_STRING)
        return;
    for (size_t i = 0; i < bytes; i++)
        b[i] = (uint8_t)(i * 37 + 11);
    for (size_t i = 0; i < bytes && bits < 8; i++) {
        unsigned low = b[i] & ((1u << bits) - 1), sign = 1u << (bits - 1);
        b[i] = v->dtype == MBR_DTYPE_I4 || v->dtype == MBR_DTYPE_I2 ? (uint8_t)((low ^ sign) - sign) : (uint8_t)low;
    }
    for (size_t i = 0; i < bytes && v->dtype == MBR_DTYPE_BOOL; i++)
        b[i] &= 1;
}

/* There and back again. */
static mbr_value *round_trip(const mbr_value *v, const char *name)
{
    uint8_t *bytes;
    size_t n;
    mbr_value *back;
    ck_assert_msg(mbr_onnx_value_serialise(&memory, v, name, &bytes, &n, &err) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_onnx_value_parse(&memory, v->kind, bytes, n, &back, &err) == MBR_OK, "%s", err.text);
    memset(bytes, 0xee, n); /* nothing may point into them */
    mbr_free(&memory, bytes);
    ck_assert(mbr_value_equal(v, back));
    if (name)
        ck_assert_str_eq(back->name, name);
    else
        ck_assert_ptr_null(back->name);
    return back;
}

START_TEST(every_type_comes_back)
{
    static const int64_t shapes[][3] = { { 0 }, { 1 }, { 7 }, { 2, 3 }, { 3, 0, 2 }, { 5, 1, 3 } };
    static const int ranks[] = { 0, 1, 1, 2, 3, 3 };
    for (int dtype = 1; dtype < MBR_DTYPE_COUNT; dtype++)
        for (size_t s = 0; s < MBR_COUNT_OF(ranks); s++) {
            mbr_value *v = tensor((mbr_dtype)dtype, ranks[s], shapes[s]);
            fill(v);
            mbr_value_drop(round_trip(v, s % 2 ? "a name" : NULL));
            mbr_value_drop(v);
        }
}
END_TEST

static mbr_value *container(mbr_kind kind, mbr_dtype dtype)
{
    mbr_value *v;
    ck_assert_int_eq(mbr_value_create(&memory, kind, dtype, &v, &err), MBR_OK);
    return v;
}

static void push(mbr_value *to, mbr_value *item)
{
    ck_assert_int_eq(mbr_value_push(to, item, &err), MBR_OK);
    mbr_value_drop(item);
}

static mbr_value *map_of(mbr_dtype key, mbr_dtype dtype, int64_t n)
{
    mbr_value *m = container(MBR_KIND_MAP, dtype), *k = tensor(key, 1, &n), *v = tensor(dtype, 1, &n);
    m->key = key;
    fill(k);
    fill(v);
    push(m, k);
    push(m, v);
    return m;
}

START_TEST(containers_come_back)
{
    const int64_t dims[] = { 2, 2 };
    mbr_value *list = container(MBR_KIND_SEQUENCE, MBR_DTYPE_F32);
    for (int i = 0; i < 3; i++) {
        mbr_value *t = tensor(MBR_DTYPE_F32, i, dims);
        fill(t);
        push(list, t);
    }
    mbr_value_drop(round_trip(list, "list"));
    mbr_value *o = container(MBR_KIND_OPTIONAL, MBR_DTYPE_UNDEFINED);
    mbr_value_drop(round_trip(o, NULL));
    push(o, list);
    mbr_value_drop(round_trip(o, "optional"));
    mbr_value_drop(o);

    mbr_value *maps = container(MBR_KIND_SEQUENCE, MBR_DTYPE_UNDEFINED);
    push(maps, map_of(MBR_DTYPE_I64, MBR_DTYPE_F32, 3));
    push(maps, map_of(MBR_DTYPE_STRING, MBR_DTYPE_STRING, 4));
    push(maps, map_of(MBR_DTYPE_STRING, MBR_DTYPE_F32, 0));
    mbr_value_drop(round_trip(maps, "maps"));
    mbr_value_drop(maps);
}
END_TEST

/* Sixty sequences in each other are written in no time and read again. */
START_TEST(deep_containers)
{
    mbr_value *v = tensor(MBR_DTYPE_U8, 0, NULL);
    for (int i = 0; i < 60; i++) {
        mbr_value *outer = container(i % 2 ? MBR_KIND_OPTIONAL : MBR_KIND_SEQUENCE,
                                     i ? MBR_DTYPE_UNDEFINED : MBR_DTYPE_U8);
        push(outer, v);
        v = outer;
    }
    mbr_value_drop(round_trip(v, NULL));
    mbr_value_drop(v);
}
END_TEST

START_TEST(broken_messages)
{
    mbr_value *maps = container(MBR_KIND_SEQUENCE, MBR_DTYPE_UNDEFINED), *back;
    uint8_t *bytes;
    size_t n;
    push(maps, map_of(MBR_DTYPE_I64, MBR_DTYPE_F32, 3));
    push(maps, map_of(MBR_DTYPE_STRING, MBR_DTYPE_STRING, 2));
    ck_assert_int_eq(mbr_onnx_value_serialise(&memory, maps, "m", &bytes, &n, &err), MBR_OK);
    mbr_value_drop(maps);
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *exact = malloc(cut + 1);
        ck_assert_ptr_nonnull(exact);
        memcpy(exact, bytes, cut);
        for (int kind = MBR_KIND_TENSOR; kind <= MBR_KIND_MAP; kind++)
            if (mbr_onnx_value_parse(&memory, (mbr_kind)kind, exact, cut, &back, &err) == MBR_OK)
                mbr_value_drop(back);
        free(exact);
    }
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            if (mbr_onnx_value_parse(&memory, MBR_KIND_SEQUENCE, bytes, n, &back, &err) == MBR_OK)
                mbr_value_drop(back);
            bytes[i] ^= (uint8_t)(1u << bit);
        }
    for (long after = 0;; after++) {
        atomic_store(&memory.fail_after, after);
        mbr_status st = mbr_onnx_value_parse(&memory, MBR_KIND_SEQUENCE, bytes, n, &back, &err);
        atomic_store(&memory.fail_after, -1);
        ck_assert(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
        if (st == MBR_OK)
            break;
        ck_assert_int_lt(after, 1000);
    }
    mbr_value_drop(back);
    mbr_free(&memory, bytes);
}
END_TEST

START_TEST(messages_say_what_is_wrong)
{
    static const int64_t dims_4[] = { 4, -2 };
    mbr_value *back;
    wire t = wire_tensor("scores", MBR_DTYPE_F32, dims_4);
    wire_float(&t, 4, 1);
    ck_assert_int_eq(mbr_onnx_value_parse(&memory, MBR_KIND_TENSOR, t.data, t.size, &back, &err), MBR_ERR_MODEL);
    ck_assert_ptr_null(back);
    ck_assert(strstr(err.text, "scores") && strstr(err.text, "f32") && strstr(err.text, "there are 1"));
    wire_int(&t, 14, 1); /* external data */
    wire entry = { 0 };
    wire_text(&entry, 1, "location");
    wire_text(&entry, 2, "file");
    wire_message(&t, 13, &entry);
    ck_assert_int_eq(mbr_onnx_value_parse(&memory, MBR_KIND_TENSOR, t.data, t.size, &back, &err), MBR_ERR_UNSUPPORTED);
    wire_free(&t);

    wire map = { 0 }, values = { 0 };
    wire_int(&map, 2, MBR_DTYPE_I64);
    wire_int(&map, 3, 7);
    wire_int(&map, 3, 8);
    static const int64_t none[] = { -2 };
    t = wire_tensor("", MBR_DTYPE_F32, none);
    wire_float(&t, 4, 1);
    wire_message(&values, 3, &t);
    wire_message(&map, 5, &values);
    ck_assert_int_eq(mbr_onnx_value_parse(&memory, MBR_KIND_MAP, map.data, map.size, &back, &err), MBR_ERR_INPUT);
    ck_assert(strstr(err.text, "2 keys and 1 values"));
    wire_free(&map);
    wire list = { 0 };
    for (int dtype = MBR_DTYPE_U8; dtype <= MBR_DTYPE_I8; dtype++) {
        t = wire_tensor("", dtype, none);
        wire_bytes(&t, 9, "a", 1);
        wire_message(&list, 3, &t);
    }
    ck_assert_int_eq(mbr_onnx_value_parse(&memory, MBR_KIND_SEQUENCE, list.data, list.size, &back, &err),
                     MBR_ERR_INPUT);
    ck_assert(strstr(err.text, "item 1") && strstr(err.text, "i8") && strstr(err.text, "u8"));
    wire_free(&list);
    ck_assert_int_eq(mbr_onnx_value_parse(&memory, (mbr_kind)9, "", 0, &back, &err), MBR_ERR_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx_value");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, every_type_comes_back);
    tcase_add_test(c, containers_come_back);
    tcase_add_test(c, deep_containers);
    tcase_add_test(c, broken_messages);
    tcase_add_test(c, messages_say_what_is_wrong);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}

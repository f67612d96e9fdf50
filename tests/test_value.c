/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/value.h"

#include <check.h>
#include <string.h>

static mbr_memory memory;
static mbr_error err;

static void setup(void)
{
    mbr_memory_init(&memory);
}

static void teardown(void)
{
    ck_assert_uint_eq(memory.in_use, 0);
}

static mbr_value *tensor(mbr_dtype dtype, int rank, const int64_t *dims)
{
    mbr_value *v;
    ck_assert_msg(mbr_value_create_tensor(&memory, dtype, rank, dims, &v, &err) == MBR_OK, "%s", err.text);
    return v;
}

static mbr_value *strings(const char *a, const char *b)
{
    mbr_value *v = tensor(MBR_DTYPE_STRING, 1, (int64_t[]){ 2 });
    mbr_string *s = v->data;
    s[0] = (mbr_string){ mbr_arena_strdup(&v->text, a), strlen(a) };
    s[1] = (mbr_string){ mbr_arena_strdup(&v->text, b), strlen(b) };
    return v;
}

START_TEST(a_tensor_is_cleared)
{
    mbr_value *v = tensor(MBR_DTYPE_F64, 3, (int64_t[]){ 2, 3, 4 });
    ck_assert_uint_eq(mbr_value_count(v), 24);
    ck_assert_uint_eq(mbr_value_bytes(v), 192);
    ck_assert_uint_ge(v->capacity, 192);
    ck_assert_uint_eq((uintptr_t)v->data % MBR_ALIGN, 0);
    for (int i = 0; i < 24; i++)
        ck_assert(((double *)v->data)[i] == 0);
    mbr_value_drop(v);
    v = tensor(MBR_DTYPE_F32, 0, NULL);
    ck_assert_uint_eq(mbr_value_count(v), 1);
    mbr_value_drop(v);
    v = tensor(MBR_DTYPE_F32, 2, (int64_t[]){ 0, 7 });
    ck_assert_uint_eq(mbr_value_count(v), 0);
    ck_assert_ptr_nonnull(v->data);
    mbr_value_drop(v);
    mbr_value_drop(NULL);
}
END_TEST

START_TEST(impossible_shapes)
{
    mbr_value *v = NULL;
    size_t bytes;
    const int64_t large[] = { INT64_C(1) << 40, INT64_C(1) << 40 }, negative[] = { 3, -1 },
                  none[] = { INT64_C(1) << 40, 0, INT64_C(1) << 40 };
    ck_assert_int_eq(mbr_value_create_tensor(&memory, MBR_DTYPE_F32, 2, large, &v, &err), MBR_ERR_LIMIT);
    ck_assert_ptr_null(v);
    ck_assert_int_eq(mbr_value_create_tensor(&memory, MBR_DTYPE_F32, 2, negative, &v, &err), MBR_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "dimension 1 is -1"));
    ck_assert_int_eq(mbr_shape_bytes(MBR_DTYPE_F32, MBR_MAX_RANK + 1, large, &bytes, &err), MBR_ERR_LIMIT);
    ck_assert_int_eq(mbr_shape_bytes(MBR_DTYPE_F32, -1, NULL, &bytes, &err), MBR_ERR_LIMIT);
    ck_assert_int_eq(mbr_shape_bytes(MBR_DTYPE_F64, 1, (int64_t[]){ INT64_MAX / 4 }, &bytes, &err), MBR_ERR_LIMIT);
    ck_assert_int_eq(mbr_shape_bytes(MBR_DTYPE_F32, 3, none, &bytes, &err), MBR_OK);
    ck_assert_uint_eq(bytes, 0);
}
END_TEST

START_TEST(resizing_grows_geometrically_and_keeps)
{
    mbr_value *v = tensor(MBR_DTYPE_U8, 1, (int64_t[]){ 100 });
    size_t before = atomic_load(&memory.count);
    for (int64_t n = 100; n > 0; n -= 7) {
        ck_assert_int_eq(mbr_value_resize(v, MBR_DTYPE_U8, 1, &n, &err), MBR_OK);
        ck_assert_int_eq(v->dims[0], n);
    }
    ck_assert_uint_eq(atomic_load(&memory.count), before);
    for (int64_t n = 1; n < 100000; n++)
        ck_assert_int_eq(mbr_value_resize(v, MBR_DTYPE_U8, 1, &n, &err), MBR_OK);
    ck_assert_uint_lt(atomic_load(&memory.count), before + 40);
    atomic_store(&memory.fail_after, 0);
    ck_assert_int_eq(mbr_value_resize(v, MBR_DTYPE_U8, 1, (int64_t[]){ 1000000 }, &err), MBR_ERR_NO_MEMORY);
    atomic_store(&memory.fail_after, -1);
    ck_assert_int_eq(v->dims[0], 99999); /* as it was */
    mbr_value_drop(v);
}
END_TEST

START_TEST(an_alias_owns_nothing)
{
    mbr_value *a = tensor(MBR_DTYPE_F32, 1, (int64_t[]){ 4 });
    mbr_value view;
    mbr_value_init(&view, &memory, MBR_KIND_TENSOR, MBR_DTYPE_UNDEFINED);
    mbr_value_alias(&view, a);
    ck_assert_ptr_eq(view.data, a->data);
    ck_assert(mbr_value_equal(&view, a));
    ck_assert_int_eq(mbr_value_resize(&view, MBR_DTYPE_F32, 1, (int64_t[]){ 2 }, &err), MBR_OK);
    ck_assert_ptr_ne(view.data, a->data); /* writing to it must not write to the other */
    mbr_value_clear(&view);
    mbr_value_drop(a);
}
END_TEST

START_TEST(copies_are_deep)
{
    mbr_value *from = strings("alpha", ""), *to = tensor(MBR_DTYPE_F32, 0, NULL);
    ck_assert_int_eq(mbr_value_assign(to, from, &err), MBR_OK);
    ck_assert(mbr_value_equal(to, from));
    mbr_value_drop(from);
    ck_assert_int_eq(memcmp(((mbr_string *)to->data)[0].data, "alpha", 5), 0);
    ck_assert_uint_eq(((mbr_string *)to->data)[1].size, 0);

    mbr_value *list, *copy;
    ck_assert_int_eq(mbr_value_create(&memory, MBR_KIND_SEQUENCE, MBR_DTYPE_STRING, &list, &err), MBR_OK);
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(mbr_value_push(list, to, &err), MBR_OK);
    ck_assert_int_eq(atomic_load(&to->refs), 10);
    ck_assert_int_eq(mbr_value_create(&memory, MBR_KIND_TENSOR, MBR_DTYPE_F32, &copy, &err), MBR_OK);
    ck_assert_int_eq(mbr_value_assign(copy, list, &err), MBR_OK);
    ck_assert(mbr_value_equal(copy, list));
    ck_assert_ptr_ne(copy->items[3], list->items[3]);
    mbr_value_empty(list);
    ck_assert_int_eq(atomic_load(&to->refs), 1);
    ck_assert(!mbr_value_equal(copy, list));
    ck_assert_uint_eq(copy->n_items, 9);
    mbr_value_drop(list);
    mbr_value_drop(to);
    mbr_value_drop(copy);
}
END_TEST

START_TEST(equality_is_by_bits_and_shape)
{
    mbr_value *a = tensor(MBR_DTYPE_F32, 2, (int64_t[]){ 2, 3 }), *b = tensor(MBR_DTYPE_F32, 2, (int64_t[]){ 3, 2 }),
              *c = tensor(MBR_DTYPE_I32, 2, (int64_t[]){ 2, 3 }), *d = tensor(MBR_DTYPE_F32, 2, (int64_t[]){ 2, 3 });
    ck_assert(mbr_value_equal(a, d));
    ck_assert(!mbr_value_equal(a, b));
    ck_assert(!mbr_value_equal(a, c));
    ((float *)a->data)[5] = -0.0f;
    ck_assert(!mbr_value_equal(a, d));
    const uint32_t nan = 0x7FC00001;
    memcpy((float *)a->data + 5, &nan, 4);
    memcpy((float *)d->data + 5, &nan, 4);
    ck_assert(mbr_value_equal(a, d));
    mbr_value *s = strings("x", "yz"), *t = strings("x", "yz"), *u = strings("xy", "z");
    ck_assert(mbr_value_equal(s, t));
    ck_assert(!mbr_value_equal(s, u));
    mbr_value *all[] = { a, b, c, d, s, t, u };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mbr_value_drop(all[i]);
}
END_TEST

START_TEST(numbers_of_every_type)
{
    for (int t = 1; t < MBR_DTYPE_COUNT; t++) {
        if (t == MBR_DTYPE_STRING || t == MBR_DTYPE_COMPLEX64 || t == MBR_DTYPE_COMPLEX128)
            continue;
        mbr_value *v = tensor((mbr_dtype)t, 1, (int64_t[]){ 2 });
        if (t == MBR_DTYPE_F8E8M0) { /* powers of two: it has no zero */
            ((uint8_t *)v->data)[1] = 127;
            ck_assert(mbr_value_real(v, 1) == 1);
        } else {
            ck_assert(mbr_value_real(v, 1) == 0);
        }
        ck_assert(!(mbr_dtype_is_int((mbr_dtype)t) && mbr_dtype_is_float((mbr_dtype)t)));
        ck_assert(mbr_dtype_is_int((mbr_dtype)t) || mbr_dtype_is_float((mbr_dtype)t) || t == MBR_DTYPE_BOOL);
        mbr_value_drop(v);
    }
    mbr_value *v = tensor(MBR_DTYPE_I8, 1, (int64_t[]){ 1 });
    *(int8_t *)v->data = -3;
    ck_assert_int_eq(mbr_value_int(v, 0), -3);
    ck_assert(mbr_value_real(v, 0) == -3);
    mbr_value_drop(v);
    v = tensor(MBR_DTYPE_U32, 1, (int64_t[]){ 1 });
    *(uint32_t *)v->data = 4000000000u;
    ck_assert_int_eq(mbr_value_int(v, 0), 4000000000);
    mbr_value_drop(v);
    v = tensor(MBR_DTYPE_U64, 1, (int64_t[]){ 1 });
    *(uint64_t *)v->data = UINT64_C(1) << 63;
    ck_assert(mbr_value_real(v, 0) == 9223372036854775808.0);
    mbr_value_drop(v);
    v = tensor(MBR_DTYPE_F16, 1, (int64_t[]){ 1 });
    *(uint16_t *)v->data = 0xC100;
    ck_assert(mbr_value_real(v, 0) == -2.5);
    mbr_value_drop(v);
}
END_TEST

START_TEST(copies_when_memory_runs_out)
{
    mbr_value *from, *text = strings("first", "second"), *to;
    ck_assert_int_eq(mbr_value_create(&memory, MBR_KIND_SEQUENCE, MBR_DTYPE_STRING, &from, &err), MBR_OK);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(mbr_value_push(from, text, &err), MBR_OK);
    mbr_value_drop(text);
    mbr_status st = MBR_ERR_NO_MEMORY;
    long allowed = 0;
    for (; st != MBR_OK; allowed++) {
        ck_assert_int_eq(mbr_value_create(&memory, MBR_KIND_SEQUENCE, MBR_DTYPE_STRING, &to, &err), MBR_OK);
        atomic_store(&memory.fail_after, allowed);
        st = mbr_value_assign(to, from, &err);
        atomic_store(&memory.fail_after, -1);
        ck_assert(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
        ck_assert(st != MBR_OK || mbr_value_equal(to, from));
        mbr_value_drop(to);
    }
    ck_assert_int_gt((int)allowed, 10);
    mbr_value_drop(from);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("value");
    TCase *tc = tcase_create("value");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_tensor_is_cleared);
    tcase_add_test(tc, impossible_shapes);
    tcase_add_test(tc, resizing_grows_geometrically_and_keeps);
    tcase_add_test(tc, an_alias_owns_nothing);
    tcase_add_test(tc, copies_are_deep);
    tcase_add_test(tc, equality_is_by_bits_and_shape);
    tcase_add_test(tc, numbers_of_every_type);
    tcase_add_test(tc, copies_when_memory_runs_out);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(error_text_and_status)
{
    mbr_error err = { 0 };
    ck_assert_int_eq(mbr_fail(&err, MBR_ERR_IO, "%s: cannot open", "a.onnx"), MBR_ERR_IO);
    ck_assert_int_eq(err.status, MBR_ERR_IO);
    ck_assert_str_eq(err.text, "a.onnx: cannot open");
    ck_assert_int_eq(mbr_fail_at(&err, MBR_ERR_IO, "node '%s': ", "n"), MBR_ERR_IO);
    ck_assert_str_eq(err.text, "node 'n': a.onnx: cannot open");
    ck_assert_int_eq(mbr_fail(NULL, MBR_ERR_RUN, "nobody listens"), MBR_ERR_RUN);
    ck_assert_int_eq(mbr_fail_at(NULL, MBR_ERR_RUN, "nobody listens"), MBR_ERR_RUN);
}
END_TEST

/* A text that is too long ends after a whole UTF-8 character, wherever the cut falls. */
START_TEST(error_text_is_cut_at_a_character)
{
    static const char *const characters[] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
    for (size_t c = 0; c < MBR_COUNT_OF(characters); c++) {
        size_t width = strlen(characters[c]);
        for (size_t shift = 0; shift < width; shift++) {
            char text[2 * MBR_ERROR_TEXT];
            size_t n = 0;
            for (; n < shift; n++)
                text[n] = '.';
            for (; n < MBR_ERROR_TEXT + 8; n += width)
                memcpy(text + n, characters[c], width);
            text[n] = '\0';
            mbr_error err;
            mbr_fail(&err, MBR_ERR_FORMAT, "%s", text);
            size_t kept = strlen(err.text);
            ck_assert_uint_lt(kept, MBR_ERROR_TEXT);
            ck_assert_uint_gt(kept + width, MBR_ERROR_TEXT - 1);
            ck_assert_uint_eq((kept - shift) % width, 0);
            mbr_fail_at(&err, MBR_ERR_FORMAT, "x: ");
            kept = strlen(err.text);
            ck_assert_int_eq(strncmp(err.text, "x: ", 3), 0);
            ck_assert_uint_eq((kept - 3 - shift) % width, 0);
        }
    }
}
END_TEST

START_TEST(every_status_has_a_name)
{
    for (int s = MBR_OK; s <= MBR_ERR_INTERNAL; s++) {
        ck_assert_str_ne(mbr_status_name((mbr_status)s), "unknown status");
        for (int t = MBR_OK; t < s; t++)
            ck_assert_str_ne(mbr_status_name((mbr_status)s), mbr_status_name((mbr_status)t));
    }
    ck_assert_str_eq(mbr_status_name((mbr_status)999), "unknown status");
}
END_TEST

START_TEST(checked_arithmetic)
{
    size_t n;
    int64_t i;
    ck_assert(mbr_add_size(SIZE_MAX - 1, 1, &n) && n == SIZE_MAX);
    ck_assert(!mbr_add_size(SIZE_MAX, 1, &n));
    ck_assert(mbr_mul_size(SIZE_MAX / 3, 3, &n) && n == SIZE_MAX / 3 * 3);
    ck_assert(!mbr_mul_size(SIZE_MAX / 2 + 1, 2, &n));
    ck_assert(mbr_add_i64(INT64_MAX, INT64_MIN, &i) && i == -1);
    ck_assert(!mbr_add_i64(INT64_MAX, 1, &i));
    ck_assert(!mbr_add_i64(INT64_MIN, -1, &i));
    ck_assert(mbr_mul_i64(INT64_MIN, 1, &i) && i == INT64_MIN);
    ck_assert(!mbr_mul_i64(INT64_MIN, -1, &i));
    ck_assert(!mbr_mul_i64(INT64_MAX / 2 + 1, 2, &i));
    ck_assert(mbr_round_up(0, 64, &n) && n == 0);
    ck_assert(mbr_round_up(1, 64, &n) && n == 64);
    ck_assert(mbr_round_up(64, 64, &n) && n == 64);
    ck_assert(!mbr_round_up(SIZE_MAX - 3, 64, &n));
}
END_TEST

START_TEST(shape_counts)
{
    size_t n;
    ck_assert(mbr_shape_count(NULL, 0, &n) && n == 1);
    ck_assert(mbr_shape_count((const int64_t[]){ 2, 3, 4 }, 3, &n) && n == 24);
    ck_assert(mbr_shape_count((const int64_t[]){ INT64_MAX, 0, INT64_MAX }, 3, &n) && n == 0);
    ck_assert(!mbr_shape_count((const int64_t[]){ 0, -1 }, 2, &n));
    ck_assert(!mbr_shape_count((const int64_t[]){ INT64_C(1) << 32, INT64_C(1) << 32 }, 2, &n));
    ck_assert(!mbr_shape_count((const int64_t[]){ INT64_C(1) << 32, INT64_C(1) << 31 }, 2, &n));
}
END_TEST

START_TEST(blocks_are_aligned_and_counted)
{
    mbr_memory m;
    mbr_memory_init(&m);
    void *block[40];
    for (size_t i = 0; i < MBR_COUNT_OF(block); i++) {
        block[i] = mbr_alloc(&m, i * 7);
        ck_assert_ptr_nonnull(block[i]);
        ck_assert_uint_eq((uintptr_t)block[i] % MBR_ALIGN, 0);
        memset(block[i], 0xA5, i * 7);
        for (size_t j = 0; j < i; j++)
            ck_assert_ptr_ne(block[i], block[j]);
    }
    ck_assert_uint_eq(atomic_load(&m.count), MBR_COUNT_OF(block));
    size_t peak = atomic_load(&m.peak);
    ck_assert_uint_eq(peak, atomic_load(&m.in_use));
    for (size_t i = 0; i < MBR_COUNT_OF(block); i++)
        mbr_free(&m, block[i]);
    mbr_free(&m, NULL);
    ck_assert_uint_eq(atomic_load(&m.in_use), 0);
    ck_assert_uint_eq(atomic_load(&m.peak), peak);
    ck_assert_ptr_null(mbr_alloc(&m, SIZE_MAX));
    ck_assert_ptr_null(mbr_alloc(&m, PTRDIFF_MAX));
    ck_assert_ptr_null(mbr_calloc(&m, SIZE_MAX / 2, 3));
}
END_TEST

START_TEST(calloc_clears_and_grow_keeps)
{
    mbr_memory m;
    mbr_memory_init(&m);
    unsigned char *a = mbr_calloc(&m, 25, 4);
    ck_assert_ptr_nonnull(a);
    for (size_t i = 0; i < 100; i++) {
        ck_assert_uint_eq(a[i], 0);
        a[i] = (unsigned char)i;
    }
    atomic_store(&m.fail_after, 0);
    ck_assert_ptr_null(mbr_grow(&m, a, 100, 1000));
    atomic_store(&m.fail_after, -1);
    ck_assert_uint_eq(a[99], 99);
    a = mbr_grow(&m, a, 100, 1000);
    ck_assert_ptr_nonnull(a);
    for (size_t i = 0; i < 100; i++)
        ck_assert_uint_eq(a[i], i);
    mbr_free(&m, a);
    a = mbr_grow(&m, NULL, 0, 10);
    ck_assert_ptr_nonnull(a);
    mbr_free(&m, a);
    ck_assert_uint_eq(atomic_load(&m.in_use), 0);
}
END_TEST

START_TEST(the_limit_holds)
{
    mbr_memory m;
    mbr_memory_init(&m);
    m.limit = 10000;
    void *a = mbr_alloc(&m, 6000);
    ck_assert_ptr_nonnull(a);
    size_t held = atomic_load(&m.in_use);
    ck_assert_ptr_null(mbr_alloc(&m, 6000));
    ck_assert_uint_eq(atomic_load(&m.in_use), held);
    mbr_free(&m, a);
    a = mbr_alloc(&m, 9000);
    ck_assert_ptr_nonnull(a);
    mbr_free(&m, a);
    ck_assert_ptr_null(mbr_alloc(&m, 10000)); /* the header counts too */
    ck_assert_uint_eq(atomic_load(&m.in_use), 0);
}
END_TEST

typedef struct counting {
    size_t taken, given_back;
} counting;

/* Off by one alignment step of the worst kind that the contract allows. */
static void *counting_alloc(void *user, size_t bytes)
{
    counting *c = user;
    char *p = malloc(bytes + 16);
    if (!p)
        return NULL;
    c->taken++;
    return p + 16;
}

static void counting_release(void *user, void *block)
{
    counting *c = user;
    c->given_back++;
    free((char *)block - 16);
}

START_TEST(the_callers_allocator_is_used)
{
    counting c = { 0, 0 };
    mbr_memory m;
    mbr_memory_init(&m);
    m.alloc = counting_alloc;
    m.release = counting_release;
    m.user = &c;
    void *a = mbr_alloc(&m, 100);
    ck_assert_ptr_nonnull(a);
    ck_assert_uint_eq((uintptr_t)a % MBR_ALIGN, 0);
    ck_assert_uint_eq(c.taken, 1);
    mbr_free(&m, a);
    ck_assert_uint_eq(c.given_back, 1);
}
END_TEST

START_TEST(arena_objects)
{
    mbr_memory m;
    mbr_memory_init(&m);
    mbr_arena a;
    mbr_arena_init(&a, &m, 256);
    ck_assert_uint_eq(atomic_load(&m.count), 0);
    char *text = mbr_arena_strdup(&a, "name");
    ck_assert_str_eq(text, "name");
    char *part = mbr_arena_strndup(&a, "name of a node", 4);
    ck_assert_str_eq(part, "name");
    ck_assert_ptr_ne(part, text);
    for (size_t i = 0; i < 300; i++) {
        unsigned char *p = mbr_arena_calloc(&a, i, 1);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 16, 0);
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_eq(p[j], 0);
        memset(p, 0xFF, i);
        void *q = mbr_arena_alloc_aligned(&a, 3);
        ck_assert_uint_eq((uintptr_t)q % MBR_ALIGN, 0);
        memset(q, 0xEE, 3);
        int *copy = mbr_arena_copy(&a, &(int){ 42 }, sizeof(int));
        ck_assert_int_eq(*copy, 42);
    }
    ck_assert_str_eq(text, "name");
    ck_assert_str_eq(part, "name");
    ck_assert_ptr_null(mbr_arena_calloc(&a, SIZE_MAX / 2, 3));
    ck_assert_ptr_null(mbr_arena_alloc(&a, SIZE_MAX));
    ck_assert_ptr_null(mbr_arena_strndup(&a, "x", SIZE_MAX));
    mbr_arena_destroy(&a);
    ck_assert_uint_eq(atomic_load(&m.in_use), 0);
    ck_assert_ptr_nonnull(mbr_arena_alloc(&a, 8)); /* it may be used again */
    mbr_arena_destroy(&a);
    ck_assert_uint_eq(atomic_load(&m.in_use), 0);
}
END_TEST

/* A large object does not close the chunk that is being filled. */
START_TEST(arena_keeps_filling_its_chunk)
{
    mbr_memory m;
    mbr_memory_init(&m);
    mbr_arena a;
    mbr_arena_init(&a, &m, 1024);
    ck_assert_ptr_nonnull(mbr_arena_alloc(&a, 16));
    ck_assert_ptr_nonnull(mbr_arena_alloc(&a, 5000));
    size_t count = atomic_load(&m.count);
    ck_assert_ptr_nonnull(mbr_arena_alloc(&a, 16));
    ck_assert_uint_eq(atomic_load(&m.count), count);
    mbr_arena_destroy(&a);
}
END_TEST

/* Each allocation fails once: no crash, nothing left behind, and it succeeds when enough are granted. */
START_TEST(failing_allocations_one_by_one)
{
    bool done = false;
    long allowed = 0;
    for (; !done; allowed++) {
        mbr_memory m;
        mbr_memory_init(&m);
        atomic_store(&m.fail_after, allowed);
        mbr_arena a;
        mbr_arena_init(&a, &m, 64);
        done = true;
        for (int i = 0; i < 20 && done; i++)
            done = mbr_arena_strdup(&a, "forty characters of a name, more or less") && mbr_arena_calloc(&a, 5, 7) &&
                   mbr_arena_alloc_aligned(&a, 33);
        mbr_arena_destroy(&a);
        ck_assert_uint_eq(atomic_load(&m.in_use), 0);
        ck_assert_int_le((int)atomic_load(&m.count), (int)allowed);
    }
    ck_assert_int_gt((int)allowed, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tc = tcase_create("base");
    tcase_add_test(tc, error_text_and_status);
    tcase_add_test(tc, error_text_is_cut_at_a_character);
    tcase_add_test(tc, every_status_has_a_name);
    tcase_add_test(tc, checked_arithmetic);
    tcase_add_test(tc, shape_counts);
    tcase_add_test(tc, blocks_are_aligned_and_counted);
    tcase_add_test(tc, calloc_clears_and_grow_keeps);
    tcase_add_test(tc, the_limit_holds);
    tcase_add_test(tc, the_callers_allocator_is_used);
    tcase_add_test(tc, arena_objects);
    tcase_add_test(tc, arena_keeps_filling_its_chunk);
    tcase_add_test(tc, failing_allocations_one_by_one);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

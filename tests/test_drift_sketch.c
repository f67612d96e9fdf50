/* SPDX-License-Identifier: BSD-2-Clause */
/* Sketches: exact while whole, the rank error when not, merging; sorting; frequent texts; samples. */
#include "runtime/drift/drift_impl.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <string.h>

static mbr_memory memory;
static mbr_error err;

static double normal(void)
{
    double u = (double)((random_bits() >> 11) + 1) * 0x1p-53, v = (double)(random_bits() >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

START_TEST(sorts)
{
    static const double odd[] = { 0.0, -0.0, 1e308, -1e308, 5e-324, -5e-324, INFINITY, -INFINITY, 1.0, -1.0 };
    for (int round = 0; round < 300; round++) {
        size_t n = (size_t)random_below(round % 10 == 0 ? 5000 : 1500);
        double *x = malloc((n + 1) * sizeof *x), *y = malloc((n + 1) * sizeof *y), *spare = malloc((n + 1) * sizeof *x);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] = random_below(20) == 0 ? odd[random_below(10)] : round % 3 ? normal() : random_below(5);
        mbr_sort_doubles(x, spare, n);
        qsort(y, n, sizeof *y, rising);
        for (size_t i = 0; i < n; i++)
            ck_assert(x[i] == y[i]);
        free(x);
        free(y);
        free(spare);
    }
}
END_TEST

/* The largest difference between the ranks that a sketch gives and the true ones, as a share. */
static double rank_error(mbr_sketch *s, double *all, size_t n)
{
    size_t size = mbr_sketch_size(s);
    double *values = malloc((size + 1) * sizeof *values), *weights = malloc((size + 1) * sizeof *weights);
    ck_assert_int_eq(mbr_sketch_items(s, values, weights, &err), MBR_OK);
    qsort(all, n, sizeof *all, rising);
    double rank = 0.0, most = 0.0;
    size_t at = 0;
    for (size_t i = 0; i < size;) { /* a run of equal values: before it and after it */
        double v = values[i];
        ck_assert(i == 0 || values[i - 1] < v);
        while (at < n && all[at] < v)
            at++;
        most = fmax(most, fabs(rank - (double)at) / (double)n);
        for (; i < size && values[i] == v; i++)
            rank += weights[i];
        while (at < n && all[at] <= v)
            at++;
        most = fmax(most, fabs(rank - (double)at) / (double)n);
    }
    ck_assert(rank == (double)n);
    ck_assert_uint_eq(s->count, n);
    free(values);
    free(weights);
    return most;
}

START_TEST(ranks_are_within_the_stated_error)
{
    static const size_t sizes[] = { 1, 100, 5000, 50000, 400000, 2000000 };
    double worst = 0.0;
    for (size_t k = 0; k < MBR_COUNT_OF(sizes); k++)
        for (int kind = 0; kind < 3; kind++) {
            size_t n = sizes[k];
            mbr_sketch s;
            mbr_sketch_init(&s, &memory, k == 2 ? 5000 : 0, random_bits());
            double *all = malloc(n * sizeof *all);
            for (size_t i = 0; i < n; i++)
                all[i] = kind == 0 ? normal() : kind == 1 ? (double)i : (double)(n - i % 1000);
            for (size_t i = 0; i < n;) {
                size_t piece = (size_t)random_below(400) + 1;
                piece = piece < n - i ? piece : n - i;
                ck_assert_int_eq(mbr_sketch_add(&s, all + i, piece, &err), MBR_OK);
                i += piece;
            }
            ck_assert(mbr_sketch_is_whole(&s) == (k == 2));
            double off = rank_error(&s, all, n);
            worst = off > worst ? off : worst;
            ck_assert(!mbr_sketch_is_whole(&s) || off == 0.0);
            ck_assert_uint_lt(mbr_sketch_size(&s), 8000);
            free(all);
            mbr_sketch_destroy(&s);
        }
    printf("largest rank error: %.4f %%\n", 100.0 * worst);
    ck_assert(worst <= MBR_SKETCH_ERROR);
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}
END_TEST

START_TEST(merged_sketches_keep_the_error)
{
    enum { PARTS = 16, EACH = 60000 };
    double *all = malloc((size_t)PARTS * EACH * sizeof *all), worst = 0.0;
    for (int round = 0; round < 4; round++) {
        mbr_sketch whole;
        mbr_sketch_init(&whole, &memory, round == 3 ? 1000 : 0, random_bits());
        for (int p = 0; p < PARTS; p++) {
            mbr_sketch part;
            mbr_sketch_init(&part, &memory, round == 1 ? 100000 : 0, random_bits());
            for (int i = 0; i < EACH; i++)
                all[p * EACH + i] = normal() + (round == 2 ? p : 0);
            ck_assert_int_eq(mbr_sketch_add(&part, all + (size_t)p * EACH, EACH, &err), MBR_OK);
            ck_assert_int_eq(mbr_sketch_merge(&whole, &part, &err), MBR_OK);
            mbr_sketch_destroy(&part);
        }
        double off = rank_error(&whole, all, (size_t)PARTS * EACH);
        worst = off > worst ? off : worst;
        mbr_sketch_destroy(&whole);
    }
    printf("largest rank error of merged ones: %.4f %%\n", 100.0 * worst);
    ck_assert(worst <= MBR_SKETCH_ERROR);
    free(all);
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}
END_TEST

START_TEST(sketches_pass_over_what_is_no_number)
{
    double x[] = { NAN, 1.0, INFINITY, -INFINITY, 2.0, NAN }, v[2], w[2];
    mbr_sketch s;
    mbr_sketch_init(&s, &memory, 10, 1);
    ck_assert_int_eq(mbr_sketch_add(&s, x, 6, &err), MBR_OK);
    ck_assert_uint_eq(s.count, 2);
    ck_assert_int_eq(mbr_sketch_items(&s, v, w, &err), MBR_OK);
    ck_assert(v[0] == 1.0 && v[1] == 2.0 && w[0] == 1.0);
    mbr_sketch_clear(&s);
    ck_assert_uint_eq(mbr_sketch_size(&s), 0);
    mbr_sketch_destroy(&s);
}
END_TEST

START_TEST(sketches_survive_without_memory)
{
    double x[3000];
    for (int i = 0; i < 3000; i++)
        x[i] = normal();
    for (long fail = 0; fail < 60; fail++) {
        mbr_sketch s;
        mbr_sketch_init(&s, &memory, 500, 1);
        atomic_store(&memory.fail_after, fail);
        mbr_status st = MBR_OK;
        for (int i = 0; i < 10 && st == MBR_OK; i++)
            st = mbr_sketch_add(&s, x + i * 300, 300, &err);
        ck_assert(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
        atomic_store(&memory.fail_after, -1);
        ck_assert_int_eq(mbr_sketch_add(&s, x, 3000, &err), MBR_OK);
        double sum = 0.0, *v = malloc(mbr_sketch_size(&s) * sizeof *v), *w = malloc(mbr_sketch_size(&s) * sizeof *w);
        ck_assert_int_eq(mbr_sketch_items(&s, v, w, &err), MBR_OK);
        for (size_t i = 0; i < mbr_sketch_size(&s); i++)
            sum += w[i];
        ck_assert(sum == (double)s.count);
        free(v);
        free(w);
        mbr_sketch_destroy(&s);
    }
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}
END_TEST

START_TEST(frequent_texts_are_found)
{
    mbr_tally t, other;
    char text[32];
    ck_assert_int_eq(mbr_tally_init(&t, &memory, 1024, &err), MBR_OK);
    ck_assert_int_eq(mbr_tally_init(&other, &memory, 1024, &err), MBR_OK);
    uint64_t heavy[10] = { 0 };
    for (int i = 0; i < 400000; i++) {
        int h = random_below(20);
        if (h < 10)
            heavy[h]++;
        int n = snprintf(text, sizeof text, h < 10 ? "heavy %d" : "light %d", h < 10 ? h : random_below(100000));
        ck_assert_int_eq(mbr_tally_add(i % 2 ? &t : &other, text, (size_t)n, 1, &err), MBR_OK);
    }
    ck_assert_int_eq(mbr_tally_merge(&t, &other, &err), MBR_OK);
    const mbr_tally_slot **sorted = malloc(t.used * sizeof *sorted);
    mbr_tally_sorted(&t, sorted);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(strncmp(sorted[i]->text, "heavy", 5), 0);
        uint64_t truth = heavy[sorted[i]->text[6] - '0'];
        ck_assert(sorted[i]->count <= truth && sorted[i]->count + t.lost >= truth);
    }
    ck_assert_uint_le(t.lost, 400000 / 300);
    free(sorted);
    mbr_tally_destroy(&t);
    mbr_tally_destroy(&other);
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}
END_TEST

START_TEST(every_row_is_as_likely_in_a_sample)
{
    enum { ROWS = 1000, SIZE = 50, ROUNDS = 4000 };
    int hits[10] = { 0 };
    for (int round = 0; round < ROUNDS; round++) {
        mbr_reservoir r;
        int kept[SIZE];
        mbr_reservoir_init(&r, SIZE, random_bits());
        for (int i = 0; i < ROWS; i++) {
            size_t at = mbr_reservoir_next(&r);
            if (at != SIZE_MAX)
                kept[at] = i;
        }
        for (int i = 0; i < SIZE; i++)
            hits[kept[i] / 100]++;
    }
    for (int i = 0; i < 10; i++) /* 20000 each, deviation about 134 */
        ck_assert_msg(abs(hits[i] - 20000) < 800, "part %d: %d", i, hits[i]);
}
END_TEST

int main(void)
{
    random_seed("test_drift_sketch");
    mbr_memory_init(&memory);
    Suite *s = suite_create("drift_sketch");
    TCase *t = tcase_create("all");
    tcase_add_test(t, sorts);
    tcase_add_test(t, ranks_are_within_the_stated_error);
    tcase_add_test(t, merged_sketches_keep_the_error);
    tcase_add_test(t, sketches_pass_over_what_is_no_number);
    tcase_add_test(t, sketches_survive_without_memory);
    tcase_add_test(t, frequent_texts_are_found);
    tcase_add_test(t, every_row_is_as_likely_in_a_sample);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}

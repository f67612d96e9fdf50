/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of rules: what is wrong with one is said, with its name and the place. What they do: tests/passes. */
#include "engine/passes/rules.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static mbr_memory memory;
static mbr_arena arena;

static void setup(void)
{
    mbr_memory_init(&memory);
    mbr_arena_init(&arena, &memory, 0);
}

static void teardown(void)
{
    mbr_arena_destroy(&arena);
    ck_assert_uint_eq(memory.in_use, 0);
}

START_TEST(own_rules_parse)
{
    const mbr_rules *rules;
    mbr_error err;
    ck_assert_msg(mbr_rules_parse(&arena, mbr_rule_texts, &rules, &err) == MBR_OK, "%s", err.text);
    ck_assert_uint_gt(rules->n_ops, 0);
    ck_assert_uint_lt(arena.bytes, 96 << 10);
}
END_TEST

static uint64_t bit_of(const char *name)
{
    return mbr_rules_bit(name, strlen(name));
}

static size_t parsed(const mbr_rules *rules)
{
    size_t n = 0;
    for (size_t i = 0; i < MBR_RULE_TEXTS; i++)
        n += rules->parsed[i / 64] >> i % 64 & 1;
    return n;
}

/* Operator by operator, the first ones last, comes to what parsing all at once does. */
START_TEST(as_far_as_needed)
{
    const mbr_rules *all;
    mbr_rules *some = NULL;
    mbr_error err;
    size_t total;
    ck_assert_int_eq(mbr_rules_parse(&arena, mbr_rule_texts, &all, &err), MBR_OK);
    total = parsed(all);
    ck_assert_int_eq(mbr_rules_extend(&arena, mbr_rule_texts, bit_of("Sigmoid"), &some, &err), MBR_OK);
    ck_assert_uint_lt(parsed(some), total / 4);
    for (size_t i = all->n_ops; i > 0; i--)
        if (all->by_root[i]) /* whatever only stands inside of patterns asks for no rule */
            ck_assert_int_eq(mbr_rules_extend(&arena, mbr_rule_texts, bit_of(all->ops[i].name), &some, &err), MBR_OK);
    ck_assert_uint_eq(parsed(some), total);
    ck_assert_uint_eq(some->n_ops, all->n_ops);
    for (size_t i = 1; i <= all->n_ops; i++) {
        size_t k = 1;
        while (strcmp(some->ops[k].name, all->ops[i].name) != 0 || strcmp(some->ops[k].domain, all->ops[i].domain) != 0)
            ck_assert_uint_lt(++k, MBR_RULE_OPS + 1);
        const mbr_rule_entry *a = all->by_root[i], *b = some->by_root[k];
        for (; a && b; a = a->next, b = b->next)
            ck_assert_str_eq(a->rule->name, b->rule->name);
        ck_assert(!a && !b);
    }
}
END_TEST

START_TEST(parts_of_a_rule)
{
    static const char *const text[] = {
        "rule r %q = Pow(%x: f32, 2) | Mul(%x, %x) %m = com.microsoft.M(%q, last, const %w) {a = 1?, b = 'k'}"
        "%y = Add(%m, number %e) where row(%w, %x), matrix(%w) =>"
        "%z = Neg(%x) %y = mbr.Z@2(%z, 1e-1, %w) {c = %e, d = 2.0}",
        NULL
    };
    const mbr_rules *rules;
    mbr_error err;
    ck_assert_msg(mbr_rules_parse(&arena, text, &rules, &err) == MBR_OK, "%s", err.text);
    ck_assert_uint_eq(rules->n_ops, 4);
    const mbr_rule *r = NULL;
    for (int i = 1; i <= 4; i++)
        if (rules->by_root[i]) {
            ck_assert_str_eq(rules->ops[i].name, "Add");
            r = rules->by_root[i]->rule;
        }
    ck_assert_ptr_nonnull(r);
    ck_assert_str_eq(r->name, "r");
    /* x, w, e; Pow and Mul are not required, for each stands in for the other */
    int needed = 0, required = 0;
    for (int i = 0; i < 32; i++)
        needed += (int)(r->needs >> i & 1);
    for (int i = 0; i < 64; i++)
        required += (int)(r->required >> i & 1);
    ck_assert_int_eq(needed, 3);
    ck_assert_int_eq(required, 2);
    const mbr_rule_call *z = r->makes->next;
    ck_assert_str_eq(z->domain, "mbr");
    ck_assert_str_eq(z->name, "Z");
    ck_assert_int_eq(z->version, 2);
    ck_assert_int_eq(z->n, 3);
    ck_assert_int_eq(z->terms[1].kind, MBR_RULE_NUMBER);
    ck_assert(z->terms[1].number > 0.099 && z->terms[1].number < 0.101);
    ck_assert_str_eq(z->attrs->name, "d");
    ck_assert_int_eq(z->attrs->value.kind, MBR_RULE_NUMBER);
    ck_assert_int_eq(z->attrs->next->value.kind, MBR_RULE_VAR);
}
END_TEST

START_TEST(lists_and_sizes)
{
    static const char *const text[] = {
        "rule r %t = T(%x) {perm = %p, axis = last} %k = Mul(%t, number %f) | %t %y = M(%k, ...) {a = [0, -2], q = %q?}"
        "where %t.-1 = %x.0, %k.1 = 3, %x.rank = 4, low(%f) =>"
        "%r = R@14(%x, [0, -1, %t.1]) %y = mbr.Z(%r, ...) {..., s = %q * %f / %f, l = [2], o = %p[%q]}",
        NULL
    };
    const mbr_rules *rules;
    mbr_error err;
    ck_assert_msg(mbr_rules_parse(&arena, text, &rules, &err) == MBR_OK, "%s", err.text);
    const mbr_rule *r = NULL;
    for (int i = 1; i <= rules->n_ops; i++)
        if (rules->by_root[i]) {
            ck_assert_ptr_null(r);
            ck_assert_str_eq(rules->ops[i].name, "M");
            r = rules->by_root[i]->rule;
        }
    ck_assert_ptr_nonnull(r);
    const mbr_rule_call *m = r->vars[r->root].calls, *made = r->makes;
    ck_assert(m->rest);
    ck_assert_int_eq(m->n, 1);
    const mbr_rule_call *ways = r->vars[m->terms[0].var].calls;
    ck_assert_uint_gt(ways->op, 0);
    ck_assert_uint_eq(ways->next->op, 0);
    int conditions = 0;
    for (const mbr_rule_condition *c = r->conditions; c; c = c->next)
        conditions++;
    ck_assert_int_eq(conditions, 4);
    ck_assert_int_eq(made->terms[1].kind, MBR_RULE_INTS);
    ck_assert_int_eq(made->terms[1].n, 3);
    ck_assert_int_eq(made->terms[1].ints[1].at, -1);
    ck_assert(made->terms[1].ints[2].of_var);
    ck_assert(made->next->rest);
    ck_assert_int_eq(made->next->attrs->value.kind, MBR_RULE_PRODUCT);
    /* T and M, whatever Mul is */
    int required = 0;
    for (int i = 0; i < 64; i++)
        required += (int)(r->required >> i & 1);
    ck_assert_int_eq(required, 2);
}
END_TEST

static const struct {
    const char *text, *message;
} bad[] = {
    { "silu", "'rule' is due before 'silu'" },
    { "rule r => ", "'%' is due" },
    { "rule r %y Mul(%x)", "'=' is due before 'Mul(%x)'" },
    { "rule r %y = Mul %x", "'(' is due" },
    { "rule r %y = Mul(%x %z)", "',' is due before '%z)'" },
    { "rule r %y = Mul(%x) => %y = A(%x)", "two operands are due" },
    { "rule r %y = Neg(%y) => %y = A(%y)", "a variable defined by itself" },
    { "rule r %y = Neg(%x) %x = Neg(%y) => %x = A(%y)", "a definition of what stood before it" },
    { "rule r %y = Neg(%x: f31) => %y = A(%x)", "an unknown type" },
    { "rule r %y = Neg(%x) {a = b} => %y = A(%x)", "a number or a text is due" },
    { "rule r %y = Neg(%x) {a = 'b} ", "a text without a closing quote" },
    { "rule r %y = Neg(%x) {a = 1 => ", "'}' is due" },
    { "rule r %y = A(1, 2, 3, 4, 5, 6)", "one operand too many" },
    { "rule r %y = A(1f)", "a number is due" },
    { "rule r %y = A(%x) where line(%x, %y)", "a condition (row, columns, matrix, low, a size) is due" },
    { "rule r %y = A(%x) where row(%x, %z)", "a variable that nothing defines" },
    { "rule r %y = A(%x)", "'=>' is due" },
    { "rule r %y = A(%x) => ", "'%' is due" },
    { "rule r %y = A(%x) => %z = B(%x)", "does not end in the root" },
    { "rule r %y = A(%x) => %x = B(%y)", "a definition of what the pattern defines" },
    { "rule r %y = A(%x) => %y = B(%w)", "a variable that nothing defines" },
    { "rule r %y = A(%x) => %y = B(%y)", "a replacement that reads the root" },
    { "rule r %y = A(%x) => %y = %y", "an alias that is not alone" },
    { "rule r %y = A(%x) => %y = B(%x) {a = %x}", "an attribute from what is no number" },
    { "rule r %y = A(%x) => %y = B(%x) %z = B(%x)", "something follows the replacement" },
    { "rule r %y = A(%x) | %x => %y = B(%x)", "a root that need not be a node" },
    { "rule r %y = A(%x) | %z => %y = B(%x)", "a variable that nothing defines" },
    { "rule r %y = A(%x, ... => %y = B(%x)", "')' is due" },
    { "rule r %y = A(%x) {a = %x} => %y = B(%x)", "an attribute by the name of an operand" },
    { "rule r %y = A(%x) {a = [1, 2, 3, 4, 5, 6]} => %y = B(%x)", "one element too many" },
    { "rule r %y = A(%x) {a = [1.5]} => %y = B(%x)", "a small whole number is due" },
    { "rule r %y = A(%x) {a = [1} => %y = B(%x)", "']' is due" },
    { "rule r %y = A(%x) where %x = 3 => %y = B(%x)", "'.' is due" },
    { "rule r %y = A(%x) where %x.0 = %z.1 => %y = B(%x)", "a variable that nothing defines" },
    { "rule r %y = A(%x) => %y = B(%x, [0, %x])", "'.' is due" },
    { "rule r %y = A(%x) => %y = B(%x) {a = %x[%x]}", "an attribute from what is no number" },
};

START_TEST(bad_rules)
{
    const char *const text[] = { bad[_i].text, NULL };
    const mbr_rules *rules;
    mbr_error err;
    ck_assert_int_eq(mbr_rules_parse(&arena, text, &rules, &err), MBR_ERR_FORMAT);
    ck_assert_msg(strstr(err.text, bad[_i].message) != NULL, "%s\nsays: %s\nnot: %s", bad[_i].text, err.text,
                  bad[_i].message);
    ck_assert_msg(_i == 0 || strstr(err.text, "rule 'r'") != NULL, "%s", err.text);
}
END_TEST

START_TEST(too_many)
{
    char text[4096] = "rule r ";
    const char *const texts[] = { text, NULL };
    const mbr_rules *rules;
    mbr_error err;
    for (int i = 0; i < 30; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%%v%d = A(%%x) ", i);
    ck_assert_int_eq(mbr_rules_parse(&arena, texts, &rules, &err), MBR_ERR_FORMAT);
    ck_assert_msg(strstr(err.text, "one variable too many") != NULL, "%s", err.text);
    strcpy(text, "rule r ");
    for (int i = 0; i < 70; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s A%d(%%x) ", i ? "|" : "%y =", i);
    ck_assert_int_eq(mbr_rules_parse(&arena, texts, &rules, &err), MBR_ERR_FORMAT);
    ck_assert_msg(strstr(err.text, "one operator too many") != NULL, "%s", err.text);
}
END_TEST

START_TEST(failing_allocations)
{
    mbr_status st = MBR_ERR_NO_MEMORY;
    for (long k = 0; st == MBR_ERR_NO_MEMORY; k++) {
        mbr_arena own;
        const mbr_rules *rules;
        mbr_arena_init(&own, &memory, 256);
        memory.fail_after = k;
        st = mbr_rules_parse(&own, mbr_rule_texts, &rules, NULL);
        memory.fail_after = -1;
        mbr_arena_destroy(&own);
        ck_assert_int_lt(k, 100000);
    }
    ck_assert_int_eq(st, MBR_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rules");
    TCase *tc = tcase_create("rules");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, own_rules_parse);
    tcase_add_test(tc, as_far_as_needed);
    tcase_add_test(tc, parts_of_a_rule);
    tcase_add_test(tc, lists_and_sizes);
    tcase_add_loop_test(tc, bad_rules, 0, (int)MBR_COUNT_OF(bad));
    tcase_add_test(tc, too_many);
    tcase_add_test(tc, failing_allocations);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

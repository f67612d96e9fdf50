/* SPDX-License-Identifier: BSD-2-Clause */
/* Tiers of the processor: their names, the mask, MBR_CPU, and programs that answer alike at every one of them. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "kernels/cpu.h"
#include "tests/ir_text.h"

START_TEST(names)
{
    for (int t = 0; t < MBR_TIER_COUNT; t++) {
        ck_assert_int_eq(mbr_cpu_tier_from_name(mbr_cpu_tier_name((mbr_cpu_tier)t)), t);
        unsigned up_to = mbr_cpu_tiers_up_to((mbr_cpu_tier)t);
        ck_assert(up_to & MBR_TIER_BIT(t));
        ck_assert(up_to & MBR_TIER_BIT(MBR_TIER_BASE));
        ck_assert_uint_eq(up_to >> (t + 1), 0);
    }
    ck_assert_int_eq(mbr_cpu_tier_from_name("avx1024"), MBR_TIER_COUNT);
    ck_assert_int_eq(mbr_cpu_tier_from_name(""), MBR_TIER_COUNT);
    ck_assert_uint_eq(mbr_cpu_tiers_up_to(MBR_TIER_BASE), MBR_TIER_BIT(MBR_TIER_BASE));
    ck_assert_uint_eq(mbr_cpu_tiers_up_to(MBR_TIER_NEON) & MBR_TIER_BIT(MBR_TIER_AVX2), 0);
}
END_TEST

START_TEST(the_mask_lowers_the_tier)
{
    unsigned all = mbr_cpu_tiers();
    for (int t = 0; t < MBR_TIER_COUNT; t++) {
        mbr_cpu_set_mask(mbr_cpu_tiers_up_to((mbr_cpu_tier)t));
        ck_assert_uint_eq(mbr_cpu_tiers(), all & mbr_cpu_tiers_up_to((mbr_cpu_tier)t));
        if (all & MBR_TIER_BIT(t))
            ck_assert_int_eq(mbr_cpu_tier_best(), t);
    }
    mbr_cpu_set_mask(0);
    ck_assert_int_eq(mbr_cpu_tier_best(), MBR_TIER_BASE);
    mbr_cpu_set_mask(MBR_TIERS_ALL);
    ck_assert_uint_eq(mbr_cpu_tiers(), all);
}
END_TEST

/* Each in a process of its own: the variable is read once. */
START_TEST(the_environment_lowers_the_tier)
{
    const char *name = mbr_cpu_tier_name((mbr_cpu_tier)_i);
    ck_assert_int_eq(setenv("MBR_CPU", name, 1), 0);
    ck_assert_uint_eq(mbr_cpu_tiers() & ~mbr_cpu_tiers_up_to((mbr_cpu_tier)_i), 0);
    mbr_cpu_set_mask(MBR_TIERS_ALL); /* the mask does not raise it again */
    ck_assert_uint_eq(mbr_cpu_tiers() & ~mbr_cpu_tiers_up_to((mbr_cpu_tier)_i), 0);
}
END_TEST

START_TEST(the_environment_tells_the_caches)
{
    static const struct {
        const char *text;
        unsigned l1d, l2, l3;
    } told[] = { { "48k,2m,30m", 49152, 2097152, 31457280 }, { "32768", 32768, 0, 0 }, { ",1m", 0, 1048576, 0 } };
    ck_assert_int_eq(setenv("MBR_CPU_CACHES", told[_i].text, 1), 0);
    mbr_cpu_caches got = mbr_cpu_caches_get();
    ck_assert_uint_eq(got.l1d, told[_i].l1d);
    ck_assert_uint_eq(got.l2, told[_i].l2);
    ck_assert_uint_eq(got.l3, told[_i].l3);
}
END_TEST

/* As if nothing had been said: 3 bytes of second cache would be in the way of every product. */
START_TEST(caches_that_are_no_list_are_ignored)
{
    static const char *const told[] = { "48k,3,30m,1", "48k,3b", "lots,3", "1,3,5000000000", "1,3,99999999999999999999", "-1,3" };
    ck_assert_int_eq(setenv("MBR_CPU_CACHES", told[_i], 1), 0);
    ck_assert_uint_ne(mbr_cpu_caches_get().l2, 3);
}
END_TEST

#define HEAD "module \"m\" ir 8 opset ai.onnx 17 opset com.microsoft 1\n"
static const char *const graphs[] = {
    HEAD "graph \"g\"(%x: f32[n, 33], %w: f32[33, 37], %b: f32[37]) -> (%y, %z) {\n"
         "  %m: f32[n, 37] = ai.onnx.MatMul@13(%x, %w)\n"
         "  %a: f32[n, 37] = ai.onnx.Add@14(%m, %b)\n"
         "  %t: f32[n, 37] = ai.onnx.Tanh@13(%a)\n"
         "  %y: f32[n, 37] = ai.onnx.Softmax@13(%t)\n"
         "  %e: f32[n, 37] = ai.onnx.Erf@13(%a)\n"
         "  %z: f32[n, 37] = ai.onnx.Mul@14(%e, %y)\n"
         "}\n",
    HEAD "graph \"g\"(%x: f32[2, 8, h, 19], %k: f32[12, 8, 3, 3], %d: f32[12, 1, 3, 3], %p: f32[16, 12, 1, 1]) -> (%y) {\n"
         "  %c: f32[2, 12, h, 19] = ai.onnx.Conv@11(%x, %k) {pads = [1, 1, 1, 1]}\n"
         "  %r: f32[2, 12, h, 19] = ai.onnx.Relu@14(%c)\n"
         "  %e = ai.onnx.Conv@11(%r, %d) {group = 12, strides = [2, 2]}\n"
         "  %f = ai.onnx.Conv@11(%e, %p)\n"
         "  %g = ai.onnx.MaxPool@12(%f) {kernel_shape = [2, 2]}\n"
         "  %y = ai.onnx.AveragePool@11(%g) {kernel_shape = [3, 3], pads = [1, 1, 1, 1]}\n"
         "}\n",
    HEAD "graph \"g\"(%x: f32[n, 5, 24], %s: f32[24], %b: f32[24]) -> (%y, %u, %v) {\n"
         "  %l: f32[n, 5, 24] = ai.onnx.LayerNormalization@17(%x, %s, %b)\n"
         "  %y: f32[5, n, 24] = ai.onnx.Transpose@13(%l) {perm = [1, 0, 2]}\n"
         "  %u: f32[n, 1, 24] = ai.onnx.ReduceMean@13(%x) {axes = [1]}\n"
         "  %v: f32[n, 5, 1] = ai.onnx.ReduceMax@13(%l) {axes = [2]}\n"
         "}\n",
    HEAD "graph \"g\"(%x: f32[t, 3, 10], %w: f32[1, 32, 10], %r: f32[1, 32, 8], %gw: f32[1, 24, 10], %gr: f32[1, 24, 8]) "
         "-> (%y, %h, %g) {\n"
         "  %y: f32[t, 1, 3, 8], %h: f32[1, 3, 8], _ = ai.onnx.LSTM@14(%x, %w, %r) {hidden_size = 8}\n"
         "  _, %g: f32[1, 3, 8] = ai.onnx.GRU@14(%x, %gw, %gr) {hidden_size = 8}\n"
         "}\n",
    HEAD "graph \"g\"(%x: f32[n, 64], %b: u8[64, 17]) -> (%y) {\n"
         "  const %s = f32[] {0.02}\n"
         "  const %z = u8[] {128}\n"
         "  %q: u8[n, 64] = ai.onnx.QuantizeLinear@13(%x, %s, %z)\n"
         "  %m: i32[n, 17] = ai.onnx.MatMulInteger@10(%q, %b, %z)\n"
         "  %f: f32[n, 17] = ai.onnx.Cast@13(%m) {to = 1}\n"
         "  %y: f32[n, 17] = ai.onnx.Mul@14(%f, %s)\n"
         "}\n",
};

START_TEST(programs_answer_alike)
{
    static const int64_t sizes[] = { 1, 4, 7, 40 };
    mbr_memory memory;
    mbr_memory_init(&memory);
    random_seed("cpu");
    unsigned all = mbr_cpu_tiers();
    for (size_t k = 0; k < MBR_COUNT_OF(sizes); k++) {
        ir_session base;
        mbr_value *inputs[8];
        mbr_cpu_set_mask(MBR_TIER_BIT(MBR_TIER_BASE));
        ir_open(&base, &memory, NULL, graphs[_i], "all");
        for (size_t i = 0; i < base.m->main->n_inputs; i++)
            inputs[i] = ir_input(&memory, &base, i, NULL, sizes[k] + 3);
        ir_run(&base, inputs);
        for (int t = 1; t < MBR_TIER_COUNT; t++) {
            if (!(all & MBR_TIER_BIT(t)))
                continue;
            ir_session s;
            mbr_cpu_set_mask(mbr_cpu_tiers_up_to((mbr_cpu_tier)t));
            ir_open(&s, &memory, NULL, graphs[_i], "all");
            ir_run(&s, inputs);
            for (size_t i = 0; i < base.m->main->n_outputs; i++)
                ck_assert_msg(ir_close_enough(mbr_frame_output(s.f, i), mbr_frame_output(base.f, i)),
                              "output %zu at tier %s, sizes of %d", i, mbr_cpu_tier_name((mbr_cpu_tier)t),
                              (int)sizes[k] + 3);
            ir_close(&s);
        }
        for (size_t i = 0; i < base.m->main->n_inputs; i++)
            mbr_value_drop(inputs[i]);
        ir_close(&base);
    }
    mbr_cpu_set_mask(MBR_TIERS_ALL);
    ck_assert_uint_eq(memory.in_use, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu");
    TCase *tc = tcase_create("cpu");
    tcase_add_test(tc, names);
    tcase_add_test(tc, the_mask_lowers_the_tier);
    tcase_add_loop_test(tc, the_environment_tells_the_caches, 0, 3);
    tcase_add_loop_test(tc, caches_that_are_no_list_are_ignored, 0, 6);
    tcase_add_loop_test(tc, the_environment_lowers_the_tier, 0, MBR_TIER_COUNT);
    tcase_add_loop_test(tc, programs_answer_alike, 0, (int)MBR_COUNT_OF(graphs));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Fourier transforms of every length up to 130 against their definition: in f32 and f64, of real and complex signals. */
#include "kernels/signal.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <string.h>

#define MOST 130
#define PI 3.14159265358979323846

static double real(mbr_dtype t, const void *p, size_t i)
{
    return t == MBR_DTYPE_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}

static void check_length(size_t n, mbr_dtype dtype, bool complex, bool inverse, bool single)
{
    static double in[2 * MOST], out[2 * MOST];
    size_t parts = complex ? 2 : 1;
    for (size_t i = 0; i < n * parts; i++) {
        if (dtype == MBR_DTYPE_F32)
            ((float *)in)[i] = random_real();
        else
            in[i] = (double)random_real();
    }
    mbr_dft_args a = { .dtype = dtype, .n = n, .in_count = n, .bins = n, .in_stride = 1, .out_stride = 1,
                       .in_complex = complex, .out_complex = true, .inverse = inverse, .single = single };
    size_t bytes = mbr_dft_scratch(n);
    void *scratch = malloc(bytes);
    ck_assert_ptr_nonnull(scratch);
    mbr_dft_init(&a, scratch);
    mbr_dft(&a, scratch, in, out);
    free(scratch);
    for (size_t k = 0; k < n; k++) {
        double re = 0, im = 0;
        for (size_t i = 0; i < n; i++) {
            double angle = (inverse ? 2 : -2) * PI * (double)(i * k % n) / (double)n;
            double x = real(dtype, in, i * parts), y = complex ? real(dtype, in, 2 * i + 1) : 0;
            re += x * cos(angle) - y * sin(angle);
            im += x * sin(angle) + y * cos(angle);
        }
        double scale = inverse ? 1 / (double)n : 1;
        double most = (dtype == MBR_DTYPE_F32 ? 1e-6 : 1e-13) * (inverse ? 1 : sqrt((double)n)) * 4;
        ck_assert_msg(fabs(real(dtype, out, 2 * k) - re * scale) <= most &&
                          fabs(real(dtype, out, 2 * k + 1) - im * scale) <= most,
                      "n %zu, bin %zu, type %d, complex %d, inverse %d: %.9g %.9g, not %.9g %.9g", n, k, (int)dtype, complex,
                      inverse, real(dtype, out, 2 * k), real(dtype, out, 2 * k + 1), re * scale, im * scale);
    }
}

START_TEST(lengths)
{
    for (size_t n = 1; n <= MOST; n++) {
        check_length(n, MBR_DTYPE_F32, _i & 1, _i & 2, true);
        check_length(n, MBR_DTYPE_F32, _i & 1, _i & 2, false);
        check_length(n, MBR_DTYPE_F64, _i & 1, _i & 2, true);
    }
}
END_TEST

int main(void)
{
    random_seed("dft");
    Suite *suite = suite_create("dft");
    TCase *cases = tcase_create("dft");
    tcase_add_loop_test(cases, lengths, 0, 4);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

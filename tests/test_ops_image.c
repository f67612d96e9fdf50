/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ImageDecoder on small files of every format, whole and damaged. What a build leaves out is either decoded by our own
 * code or refused with the name of the format; no file, however damaged, is worse than an empty image.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "tests/ir_text.h"

#include <stdio.h>
#include <stdlib.h>

/* 3 by 2 pixels: red, green, blue; three others. */
#define COLOURS "u8[2, 3, 3] {255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 200, 100, 50, 0, 0, 0}"

static const uint8_t png[] = {
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 3, 0, 0, 0, 2, 8, 2, 0, 0, 0, 18, 22,
    241, 77, 0, 0, 0, 23, 73, 68, 65, 84, 120, 156, 99, 248, 207, 192, 192, 0, 193, 92, 34, 114, 39, 82, 140, 24,
    24, 24, 0, 54, 31, 4, 152, 98, 130, 55, 105, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
};
static const uint8_t tiff[] = {
    73, 73, 42, 0, 26, 0, 0, 0, 128, 63, 192, 16, 56, 20, 16, 20, 20, 15, 50, 12, 131, 40, 24, 2, 2, 0, 10, 0, 0,
    1, 3, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 1, 3, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 3, 0, 3, 0, 0, 0, 152, 0, 0, 0, 3,
    1, 3, 0, 1, 0, 0, 0, 5, 0, 0, 0, 6, 1, 3, 0, 1, 0, 0, 0, 2, 0, 0, 0, 17, 1, 4, 0, 1, 0, 0, 0, 8, 0, 0, 0, 21,
    1, 3, 0, 1, 0, 0, 0, 3, 0, 0, 0, 22, 1, 3, 0, 1, 0, 0, 0, 2, 0, 0, 0, 23, 1, 4, 0, 1, 0, 0, 0, 17, 0, 0, 0,
    28, 1, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 8, 0, 8, 0,
};
static const uint8_t webp[] = {
    82, 73, 70, 70, 64, 0, 0, 0, 87, 69, 66, 80, 86, 80, 56, 76, 52, 0, 0, 0, 47, 2, 64, 0, 0, 47, 64, 144, 109,
    179, 57, 12, 236, 254, 50, 215, 32, 147, 182, 201, 95, 255, 118, 102, 109, 100, 210, 54, 173, 135, 222, 243,
    239, 114, 243, 31, 32, 238, 228, 81, 179, 5, 2, 1, 50, 68, 139, 37, 17, 253, 143, 28,
};
static const uint8_t jpeg2000[] = {
    0, 0, 0, 12, 106, 80, 32, 32, 13, 10, 135, 10, 0, 0, 0, 20, 102, 116, 121, 112, 106, 112, 50, 32, 0, 0, 0, 0,
    106, 112, 50, 32, 0, 0, 0, 45, 106, 112, 50, 104, 0, 0, 0, 22, 105, 104, 100, 114, 0, 0, 0, 2, 0, 0, 0, 3, 0,
    3, 7, 7, 0, 0, 0, 0, 0, 15, 99, 111, 108, 114, 1, 0, 0, 0, 0, 0, 16, 0, 0, 0, 166, 106, 112, 50, 99, 255, 79,
    255, 81, 0, 47, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 3, 7, 1, 1, 7, 1, 1, 7, 1, 1, 255, 82, 0, 12, 0, 0, 0, 1, 0, 0, 4, 4, 0, 1, 255, 92, 0, 4, 64, 64,
    255, 100, 0, 37, 0, 1, 67, 114, 101, 97, 116, 101, 100, 32, 98, 121, 32, 79, 112, 101, 110, 74, 80, 69, 71,
    32, 118, 101, 114, 115, 105, 111, 110, 32, 50, 46, 53, 46, 52, 255, 144, 0, 10, 0, 0, 0, 0, 0, 46, 0, 1, 255,
    147, 223, 128, 64, 14, 42, 9, 4, 247, 141, 86, 171, 223, 128, 64, 7, 108, 40, 50, 209, 116, 217, 111, 223,
    128, 56, 6, 67, 192, 205, 28, 96, 231, 255, 217,
};
static const uint8_t jpeg[] = {
    255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 255, 219, 0, 67, 0, 16, 11, 12, 14,
    12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57,
    51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113, 121,
    112, 100, 120, 92, 101, 103, 99, 255, 192, 0, 11, 8, 0, 2, 0, 2, 1, 1, 17, 0, 255, 196, 0, 20, 0, 1, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 196, 0, 20, 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    255, 218, 0, 8, 1, 1, 0, 0, 63, 0, 63, 255, 217,
};
static const uint8_t bmp[] = {
    66, 77, 78, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 24, 0, 0, 0, 0, 0,
    24, 0, 0, 0, 196, 14, 0, 0, 196, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30, 20, 10, 50, 100, 200, 0, 0, 0, 0, 0, 0,
    0, 0, 255, 0, 255, 0, 255, 0, 0, 0, 0, 0,
};
static const uint8_t pnm[] = {
    80, 54, 10, 51, 32, 50, 10, 50, 53, 53, 10, 255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 200, 100, 50, 0, 0, 0,
};

#if defined(HAVE_WEBP) && defined(HAVE_DLOPEN)
#define WEBP COLOURS
#else
#define WEBP "a WebP image"
#endif
#if defined(HAVE_OPENJPEG) && defined(HAVE_DLOPEN)
#define JPEG2000 COLOURS
#else
#define JPEG2000 "a JPEG 2000 image"
#endif

static const struct {
    const char *name;
    const uint8_t *data;
    size_t size;
    const char *format, *expect;
} images[] = {
    { "png", png, sizeof png, "RGB", COLOURS },
    { "tiff", tiff, sizeof tiff, "RGB", COLOURS },
    { "webp", webp, sizeof webp, "RGB", WEBP },
    { "jpeg2000", jpeg2000, sizeof jpeg2000, "RGB", JPEG2000 },
    { "jpeg", jpeg, sizeof jpeg, "RGB", "u8[2, 2, 3] {128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128}" },
    { "bmp", bmp, sizeof bmp, "RGB", COLOURS },
    { "pnm", pnm, sizeof pnm, "RGB", COLOURS },
    { "png", png, sizeof png, "BGR", "u8[2, 3, 3] {0, 0, 255, 0, 255, 0, 255, 0, 0, 30, 20, 10, 50, 100, 200, 0, 0, 0}" },
    { "tiff", tiff, sizeof tiff, "Grayscale", "u8[2, 3, 1] {76, 150, 29, 18, 124, 0}" },
    { "nothing", png, 0, "RGB", "u8[0, 0, 3] {}" },
    { "text", (const uint8_t *)"Once upon a time there was", 26, "RGB", "u8[0, 0, 3] {}" },
};

/* The image as text, or NULL. */
static mbr_status decode(mbr_memory *memory, const uint8_t *data, size_t size, const char *format, char **printed,
                         mbr_error *err)
{
    static char text[8192];
    mbr_ir_module *m = NULL;
    mbr_value *out = NULL;
    size_t at = (size_t)snprintf(text, sizeof text,
                                 "module \"t\" ir 10 opset ai.onnx 21\ngraph \"main\"() -> (%%r) {\n"
                                 "const %%a = u8[%zu] {", size);
    for (size_t i = 0; i < size; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i ? ", " : "", data[i]);
    snprintf(text + at, sizeof text - at, "}\n%%r = ai.onnx.ImageDecoder@20(%%a) {pixel_format = \"%s\"}\n}\n", format);
    *printed = NULL;
    mbr_status st = mbr_text_parse(memory, NULL, text, strlen(text), &m, err);
    if (st == MBR_OK)
        st = mbr_infer_graph(m->main, err);
    if (st == MBR_OK)
        st = mbr_eval_node(m->main->last, &out, err);
    if (st == MBR_OK && atomic_load(&memory->fail_after) < 0) {
        mbr_ir_value *constant;
        ck_assert_int_eq(mbr_ir_constant(m->main, out, &constant, err), MBR_OK);
        ck_assert_int_eq(mbr_ir_add_output(m->main, constant, err), MBR_OK); /* what nobody uses is not printed */
        out = NULL;
        *printed = ir_print(m);
    }
    mbr_value_drop(out);
    mbr_ir_module_free(m);
    return st;
}

START_TEST(whole)
{
    mbr_memory memory;
    mbr_error err = { 0 };
    char *printed;
    mbr_memory_init(&memory);
    mbr_status st = decode(&memory, images[_i].data, images[_i].size, images[_i].format, &printed, &err);
    ck_assert_msg(strstr(st == MBR_OK ? printed : err.text, images[_i].expect) != NULL, "%s: %s, not %s",
                  images[_i].name, st == MBR_OK ? printed : err.text, images[_i].expect);
    free(printed);
    for (long k = 0; k < 1000 && st == MBR_OK; k++) {
        atomic_store(&memory.fail_after, k);
        mbr_status fails = decode(&memory, images[_i].data, images[_i].size, images[_i].format, &printed, &err);
        bool all = atomic_load(&memory.fail_after) > 0;
        atomic_store(&memory.fail_after, -1);
        free(printed);
        ck_assert(fails == MBR_OK || fails == MBR_ERR_NO_MEMORY);
        ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
        if (all)
            break;
    }
}
END_TEST

START_TEST(damaged)
{
    uint8_t copy[512];
    size_t size = images[_i].size;
    mbr_memory memory;
    mbr_error err;
    char *printed;
    if (!strstr(images[_i].expect, "] {"))
        return; /* built without */
    mbr_memory_init(&memory);
    ck_assert_uint_le(size, sizeof copy);
    for (size_t n = 0; n < size; n++) {
        mbr_status st = decode(&memory, images[_i].data, n, "RGB", &printed, &err);
        bool no_library = st == MBR_ERR_UNSUPPORTED && strstr(err.text, "library is not there");
        ck_assert_msg(st == MBR_OK || st == MBR_ERR_NO_MEMORY || no_library, "%s, %zu bytes: %s", images[_i].name, n,
                      err.text);
        free(printed);
    }
    for (int round = 0; round < 100; round++) {
        memcpy(copy, images[_i].data, size);
        for (int k = 0; k <= round % 3 && size; k++)
            copy[random_below((int)size)] = (uint8_t)random_below(256);
        memory.limit = (size_t)64 << 20; /* a header may ask for much */
        mbr_status st = decode(&memory, copy, size, "RGB", &printed, &err);
        ck_assert_msg(st == MBR_OK || st == MBR_ERR_NO_MEMORY || st == MBR_ERR_UNSUPPORTED, "%s: %s", images[_i].name,
                      err.text);
        free(printed);
        ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("images");
    TCase *cases = tcase_create("images");
    tcase_add_loop_test(cases, whole, 0, MBR_COUNT_OF(images));
    tcase_add_loop_test(cases, damaged, 0, MBR_COUNT_OF(images));
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

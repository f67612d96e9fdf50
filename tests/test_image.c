/* SPDX-License-Identifier: BSD-2-Clause */
/* Images: known answers of each step, what is refused, and memory that runs out. tests/image_equal.py has the peers. */
#include "mbr/image.h"

#include "base/env.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mbr_env *env;
static mbr_error err;

static void begin(void)
{
    mbr_env_options options = { .size = sizeof options, .threads = 1 };
    ck_assert_int_eq(mbr_env_new(&options, &env, &err), MBR_OK);
}

static void end(void)
{
    mbr_env_release(&env);
}

static mbr_image *of_bytes(int width, int height, int channels, const void *bytes)
{
    mbr_image *image;
    ck_assert_msg(mbr_image_borrow(env, width, height, channels, MBR_DTYPE_U8, (void *)(uintptr_t)bytes, 0, &image,
                                   &err) == MBR_OK, "%s", err.text);
    return image;
}

/* Compares and releases. */
static void is(mbr_image *image, int width, int height, int channels, const void *bytes)
{
    mbr_image_info info = { .size = sizeof info };
    mbr_image_tell(image, &info);
    ck_assert_int_eq(info.width, width);
    ck_assert_int_eq(info.height, height);
    ck_assert_int_eq(info.channels, channels);
    size_t row = (size_t)width * (size_t)channels;
    for (int y = 0; y < height; y++)
        ck_assert_mem_eq((const char *)info.pixels + (size_t)y * info.stride, (const char *)bytes + (size_t)y * row,
                         row);
    mbr_image_release(&image);
    ck_assert_ptr_null(image);
}

static mbr_status resize(const mbr_image *image, int width, int height, mbr_resize_filter filter, mbr_image **out)
{
    mbr_resize_options o = { .size = sizeof o, .width = width, .height = height, .filter = filter };
    return mbr_image_resize(image, &o, out, &err);
}

/* What Pillow 13 and OpenCV 5 say. */
START_TEST(resizes_as_the_library_does)
{
    static const uint8_t ramp[] = { 0, 10, 200, 255, 30 };
    static const struct {
        const char *filter;
        int width;
        uint8_t want[8];
    } cases[] = {
        { "pillow-nearest", 2, { 10, 255 } },
        { "pillow-nearest", 8, { 0, 0, 10, 200, 200, 255, 30, 30 } },
        { "pillow-box", 2, { 70, 143 } },
        { "pillow-box", 8, { 0, 0, 10, 200, 200, 255, 30, 30 } },
        { "pillow-bilinear", 2, { 61, 160 } },
        { "pillow-bilinear", 8, { 0, 4, 22, 141, 217, 252, 128, 30 } },
        { "pillow-hamming", 2, { 40, 166 } },
        { "pillow-hamming", 8, { 0, 4, 11, 173, 208, 255, 110, 30 } },
        { "pillow-bicubic", 2, { 59, 165 } },
        { "pillow-bicubic", 8, { 0, 0, 17, 145, 237, 255, 122, 14 } },
        { "pillow-lanczos", 2, { 63, 167 } },
        { "pillow-lanczos", 8, { 5, 0, 18, 136, 255, 255, 117, 5 } },
        { "opencv-nearest", 2, { 0, 200 } },
        { "opencv-nearest", 8, { 0, 0, 10, 10, 200, 255, 255, 30 } },
        { "opencv-linear", 2, { 8, 199 } },
        { "opencv-linear", 8, { 0, 4, 22, 141, 217, 252, 128, 30 } },
        { "opencv-area", 2, { 44, 154 } },
        { "opencv-area", 8, { 0, 4, 10, 162, 211, 255, 120, 30 } },
        { "opencv-cubic", 2, { 0, 210 } },
        { "opencv-cubic", 8, { 0, 0, 20, 139, 248, 255, 131, 9 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mbr_resize_filter filter;
        ck_assert(mbr_resize_filter_find(cases[i].filter, &filter));
        ck_assert_str_eq(mbr_resize_filter_name(filter), cases[i].filter);
        for (int turned = 0; turned < 2; turned++) {
            mbr_image *image = of_bytes(turned ? 1 : 5, turned ? 5 : 1, 1, ramp), *out;
            int n = cases[i].width;
            ck_assert_int_eq(resize(image, turned ? 1 : n, turned ? n : 1, filter, &out), MBR_OK);
            is(out, turned ? 1 : n, turned ? n : 1, 1, cases[i].want);
            mbr_image_release(&image);
        }
    }
    mbr_resize_filter filter;
    ck_assert(!mbr_resize_filter_find("pillow", &filter));
    ck_assert_ptr_null(mbr_resize_filter_name((mbr_resize_filter)99));
}
END_TEST

START_TEST(alpha_weighs_colours)
{
    static const uint8_t points[] = { 200, 0, 0, 0, 0, 100, 50, 255 }, want[] = { 0, 99, 49, 128 };
    mbr_image *image = of_bytes(2, 1, 4, points), *out;
    mbr_resize_options o = { .size = sizeof o, .width = 1, .height = 1, .filter = MBR_RESIZE_PILLOW_BOX, .alpha = 1 };
    ck_assert_int_eq(mbr_image_resize(image, &o, &out, &err), MBR_OK);
    is(out, 1, 1, 4, want);
    mbr_image_release(&image);
}
END_TEST

START_TEST(crops_pads_letterboxes)
{
    static const uint8_t points[] = { 1, 2, 3, 4, 5, 6 };
    mbr_image *image = of_bytes(3, 2, 1, points), *out;
    ck_assert_int_eq(mbr_image_crop(image, 1, 0, 2, 2, &out, &err), MBR_OK);
    is(out, 2, 2, 1, (const uint8_t[]){ 2, 3, 5, 6 });
    ck_assert_int_eq(mbr_image_crop(image, 2, 0, 2, 1, &out, &err), MBR_ERR_ARGUMENT);
    ck_assert_ptr_null(out);
    ck_assert_int_eq(mbr_image_crop(image, 2147483647, 0, 2147483647, 1, &out, &err), MBR_ERR_ARGUMENT);
    double gray = 114.0;
    ck_assert_int_eq(mbr_image_pad(image, 1, 0, 0, 1, &gray, &out, &err), MBR_OK);
    is(out, 4, 3, 1, (const uint8_t[]){ 114, 1, 2, 3, 114, 4, 5, 6, 114, 114, 114, 114 });
    ck_assert_int_eq(mbr_image_pad(image, -1, 0, 0, 0, NULL, &out, &err), MBR_ERR_ARGUMENT);
    mbr_resize_options o = { .size = sizeof o, .width = 3, .height = 5, .filter = MBR_RESIZE_OPENCV_LINEAR };
    mbr_letterbox placed = { .size = sizeof placed };
    ck_assert_int_eq(mbr_image_letterbox(image, &o, &gray, &placed, &out, &err), MBR_OK);
    is(out, 3, 5, 1, (const uint8_t[]){ 114, 114, 114, 1, 2, 3, 4, 5, 6, 114, 114, 114, 114, 114, 114 });
    ck_assert_int_eq(placed.top, 1);
    ck_assert_int_eq(placed.left, 0);
    ck_assert_int_eq(placed.height, 2);
    ck_assert_double_eq(placed.scale_x, 1.0);
    mbr_image_release(&image);
}
END_TEST

START_TEST(converts_colours)
{
    static const uint8_t points[] = { 255, 0, 0, 10, 20, 30 };
    mbr_image *image = of_bytes(2, 1, 3, points), *out;
    ck_assert_int_eq(mbr_image_convert(image, MBR_COLOUR_RGB, MBR_COLOUR_BGRA, MBR_GRAY_PILLOW, &out, &err), MBR_OK);
    is(out, 2, 1, 4, (const uint8_t[]){ 0, 0, 255, 255, 30, 20, 10, 255 });
    ck_assert_int_eq(mbr_image_convert(image, MBR_COLOUR_RGB, MBR_COLOUR_GRAY, MBR_GRAY_PILLOW, &out, &err), MBR_OK);
    is(out, 2, 1, 1, (const uint8_t[]){ 76, 18 });
    ck_assert_int_eq(mbr_image_convert(image, MBR_COLOUR_BGR, MBR_COLOUR_GRAY, MBR_GRAY_OPENCV, &out, &err), MBR_OK);
    is(out, 2, 1, 1, (const uint8_t[]){ 29, 22 });
    ck_assert_int_eq(mbr_image_convert(image, MBR_COLOUR_RGBA, MBR_COLOUR_GRAY, MBR_GRAY_PILLOW, &out, &err),
                     MBR_ERR_ARGUMENT);
    mbr_image_release(&image);
}
END_TEST

START_TEST(makes_tensors)
{
    static const uint8_t points[] = { 0, 255, 51, 102 };
    mbr_image *image = of_bytes(2, 1, 2, points);
    mbr_tensor_options o = { .size = sizeof o, .divide = 255.0f, .mean = { 0.5f, 0.0f }, .deviation = { 0.5f, 2.0f } };
    mbr_value *value;
    ck_assert_int_eq(mbr_image_tensor(image, &o, &value, &err), MBR_OK);
    const float *x = mbr_tensor_const_data(value);
    const int64_t *dims = mbr_tensor_dims(value);
    ck_assert(dims[0] == 1 && dims[1] == 2 && dims[2] == 1 && dims[3] == 2);
    ck_assert(x[0] == -1.0f && x[1] == (51.0f / 255.0f - 0.5f) / 0.5f);
    ck_assert(x[2] == 0.5f && x[3] == 102.0f / 255.0f / 2.0f);
    mbr_value_release(&value);
    o.layout = MBR_IMAGE_NHWC;
    float out[4];
    ck_assert_int_eq(mbr_image_fill(image, &o, out, 4, &err), MBR_OK);
    ck_assert(out[0] == -1.0f && out[1] == 0.5f && out[3] == 102.0f / 255.0f / 2.0f);
    ck_assert_int_eq(mbr_image_fill(image, &o, out, 3, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_image_tensor(image, NULL, &value, &err), MBR_OK);
    ck_assert(((const float *)mbr_tensor_const_data(value))[1] == 51.0f);
    mbr_value_release(&value);
    mbr_image_release(&image);
}
END_TEST

START_TEST(refuses_what_is_no_image)
{
    mbr_image *image, *out;
    uint8_t byte[4] = { 7 };
    ck_assert_int_eq(mbr_image_new(env, 0, 1, 1, MBR_DTYPE_U8, &image, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_image_new(env, 1, 65536, 1, MBR_DTYPE_U8, &image, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_image_new(env, 1, 1, 5, MBR_DTYPE_U8, &image, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_image_new(env, 1, 1, 1, MBR_DTYPE_I64, &image, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_image_borrow(env, 2, 2, 1, MBR_DTYPE_U8, byte, 1, &image, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_image_borrow(env, 2, 2, 1, MBR_DTYPE_U8, NULL, 0, &image, &err), MBR_ERR_ARGUMENT);
    image = of_bytes(1, 1, 1, byte);
    ck_assert_int_eq(resize(image, 0, 4, MBR_RESIZE_PILLOW_BOX, &out), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(resize(image, 4, -4, MBR_RESIZE_PILLOW_BOX, &out), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(resize(image, 4, 4, (mbr_resize_filter)99, &out), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_image_resize(image, NULL, &out, &err), MBR_ERR_ARGUMENT);
    mbr_image_release(&image);
    ck_assert_int_eq(mbr_image_new(env, 2, 1, 1, MBR_DTYPE_F32, &image, &err), MBR_OK);
    ck_assert_int_eq(resize(image, 3, 1, MBR_RESIZE_OPENCV_AREA, &out), MBR_ERR_UNSUPPORTED);
    ck_assert_int_eq(resize(image, 3, 1, MBR_RESIZE_OPENCV_NEAREST, &out), MBR_OK);
    mbr_image_release(&out);
    mbr_image_release(&image);
    mbr_image_release(NULL);
}
END_TEST

START_TEST(reads_pnm_and_no_broken_file)
{
    static const char *const broken[] = {
        "", "P", "P5", "P5 ", "P5 1", "P5 1 1 255", "P5 2 2 255\nabc", "P5 0 1 255\na", "P5 99999 99999 255\na",
        "P6 1 1 255\nab", "P7\nWIDTH 1\nHEIGHT 1\nDEPTH 9\nMAXVAL 255\nENDHDR\na", "P7\nWIDTH 1",
        "P7\nHUGE 1\nENDHDR\na",
        "P5 -1 1 255\na", "P5 1 1 256\na", "P5 # no end", "hello", "\211PNG\r\n\032\n", "\377\330\377", "BM",
        "P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR",
    };
    mbr_image *image;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        size_t n = strlen(broken[i]);
        char *copy = malloc(n + 1); /* so that a read beyond the end is seen */
        memcpy(copy, broken[i], n);
        char *tight = realloc(copy, n ? n : 1);
        mbr_status st = mbr_image_open_memory(env, tight, n, "x.pnm", &image, &err);
        ck_assert_msg(st == MBR_ERR_FORMAT && !image && strstr(err.text, "x.pnm"), "%zu: %s", i, err.text);
        free(tight);
    }
    static const char gray[] = "P5 # a comment\n2 1\n255\nab", four[] = "P7\nWIDTH 1\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\n"
        "TUPLTYPE RGB_ALPHA\nENDHDR\nabcdefgh";
    ck_assert_int_eq(mbr_image_open_memory(env, gray, sizeof gray - 1, "a", &image, &err), MBR_OK);
    is(image, 2, 1, 1, "ab");
    ck_assert_int_eq(mbr_image_open_memory(env, four, sizeof four - 1, "a", &image, &err), MBR_OK);
    is(image, 1, 2, 4, "abcdefgh");
    ck_assert_int_eq(mbr_image_open_memory(env, "P3 1 1 255 1 2 3 ", 17, "a", &image, &err), MBR_OK);
    is(image, 1, 1, 3, "\1\2\3");
    ck_assert_int_eq(mbr_image_open(env, "/nowhere/at.all", &image, &err), MBR_ERR_IO);
}
END_TEST

START_TEST(reads_webp_where_its_library_is)
{
    static const uint8_t file[] = {
        82, 73, 70, 70, 64, 0, 0, 0, 87, 69, 66, 80, 86, 80, 56, 76, 52, 0, 0, 0, 47, 2, 64, 0, 0, 47, 64, 144, 109,
        179, 57, 12, 236, 254, 50, 215, 32, 147, 182, 201, 95, 255, 118, 102, 109, 100, 210, 54, 173, 135, 222, 243,
        239, 114, 243, 31, 32, 238, 228, 81, 179, 5, 2, 1, 50, 68, 139, 37, 17, 253, 143, 28,
    };
    static const uint8_t points[] = { 255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 200, 100, 50, 0, 0, 0 };
    mbr_image *image;
    mbr_status st = mbr_image_open_memory(env, file, sizeof file, "a.webp", &image, &err);
    if (st == MBR_ERR_UNSUPPORTED) {
        ck_assert_msg(!image && strstr(err.text, "libwebp"), "%s", err.text);
        return;
    }
    ck_assert_msg(st == MBR_OK, "%s", err.text);
    is(image, 3, 2, 3, points);
    for (size_t n = 16; n < sizeof file; n++) { /* cut short anywhere, tight, so that a read beyond the end is seen */
        uint8_t *tight = malloc(n);
        memcpy(tight, file, n);
        st = mbr_image_open_memory(env, tight, n, "a.webp", &image, &err);
        ck_assert_msg(st == MBR_ERR_FORMAT && !image && strstr(err.text, "a.webp"), "%zu: %s", n, err.text);
        free(tight);
    }
}
END_TEST

/* Every allocation fails once; nothing stays behind. */
START_TEST(survives_without_memory)
{
    mbr_memory *heap = mbr_env_heap(env);
    uint8_t bytes[7 * 9 * 4];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37);
    mbr_image *image = of_bytes(7, 9, 4, bytes), *out;
    size_t held = atomic_load(&heap->in_use);
    for (int filter = 0; filter <= MBR_RESIZE_OPENCV_CUBIC; filter++) {
        mbr_resize_options o = { .size = sizeof o, .width = 5, .height = 4, .filter = (mbr_resize_filter)filter,
                                 .alpha = 1 };
        mbr_status st = MBR_ERR_NO_MEMORY;
        for (long left = 0; st != MBR_OK; left++) {
            ck_assert(left < 100 && st == MBR_ERR_NO_MEMORY);
            atomic_store(&heap->fail_after, left);
            st = mbr_image_letterbox(image, &o, NULL, NULL, &out, &err);
            atomic_store(&heap->fail_after, -1);
            ck_assert((st == MBR_OK) == (out != NULL));
        }
        mbr_image_release(&out);
        ck_assert_uint_eq(atomic_load(&heap->in_use), held);
    }
    mbr_image_release(&image);
    mbr_env *small;
    mbr_env_options options = { .size = sizeof options, .threads = 1, .memory_limit = 1 << 20 };
    ck_assert_int_eq(mbr_env_new(&options, &small, &err), MBR_OK);
    ck_assert_int_eq(mbr_image_new(small, 65535, 65535, 4, MBR_DTYPE_U8, &out, &err), MBR_ERR_NO_MEMORY);
    ck_assert_ptr_null(out);
    mbr_env_release(&small);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("image");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, resizes_as_the_library_does);
    tcase_add_test(t, alpha_weighs_colours);
    tcase_add_test(t, crops_pads_letterboxes);
    tcase_add_test(t, converts_colours);
    tcase_add_test(t, makes_tensors);
    tcase_add_test(t, refuses_what_is_no_image);
    tcase_add_test(t, reads_pnm_and_no_broken_file);
    tcase_add_test(t, reads_webp_where_its_library_is);
    tcase_add_test(t, survives_without_memory);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}

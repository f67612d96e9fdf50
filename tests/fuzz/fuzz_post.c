/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Post-processing of numbers that a network would never give, and heads of .npy files. The first byte chooses what is
 * done, the second one which allocation fails (255: none), the third one sizes; the rest are floats, or text.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/post/post.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 };

static void must(int holds)
{
    if (!holds)
        abort();
}

static void read_head(const uint8_t *data, size_t size, bool known)
{
    static uint8_t file[MOST + 200];
    size_t n = 0, begin, rows, width;
    mbr_error err = { 0 };
    if (known) { /* as far as the shape */
        n = (size_t)snprintf((char *)file + 10, 100, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
        memcpy(file, "\x93NUMPY\x01\x00", 8);
        n += 10;
    }
    memcpy(file + n, data, size);
    n += size;
    if (known) {
        size_t length = n - 10 < 300 ? n - 10 : 300;
        file[8] = (uint8_t)length;
        file[9] = (uint8_t)(length >> 8);
    }
    mbr_status st = mbr_npy_head(file, n, &begin, &rows, &width, &err);
    must(st == MBR_OK ? begin <= n && (!rows || width <= (n - begin) / 4 / rows) : err.text[0] != 0);
}

static void select_boxes(mbr_memory *memory, const float *x, size_t n, size_t classes)
{
    static mbr_box boxes[MOST];
    static mbr_detection found[MOST];
    size_t count = n / (4 + classes), got = 0;
    mbr_error err = { 0 };
    mbr_boxes_options o = { .size = sizeof o, .score_threshold = n ? x[0] : 0, .iou_threshold = 0.3f,
                            .any_class = n % 2 == 0, .most_per_class = n % 3, .background = (int)(n % 4) };
    for (size_t i = 0; i < count; i++)
        memcpy(&boxes[i], x + 4 * i, sizeof *boxes);
    mbr_status st = mbr_post_select(memory, boxes, x + 4 * count, count, classes, &o, found, MOST, &got, &err);
    must(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
    for (size_t i = 0; i < got; i++)
        must(found[i].box < count && found[i].label < classes && found[i].score > o.score_threshold);
}

static void decode(mbr_memory *memory, const float *x, size_t n, size_t symbols, size_t width)
{
    static uint32_t out[MOST];
    size_t frames = n / symbols, found;
    double score;
    mbr_error err = { 0 };
    frames = frames > 64 ? 64 : frames;
    mbr_status st = mbr_post_beam(memory, x, frames, symbols, symbols - 1, width, out, &found, &score, &err);
    must(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
    must(found <= frames);
    for (size_t i = 0; i < found; i++)
        must(out[i] < symbols - 1);
    must(mbr_ctc_greedy(x, frames, symbols, 0, out, &score) <= frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float x[MOST];
    static double a[MOST];
    mbr_memory memory;
    size_t from, to, index[7], n;
    double score;
    if (size < 3)
        return 0;
    mbr_memory_init(&memory);
    atomic_store(&memory.fail_after, data[1] == 255 ? -1 : data[1] % 16);
    size_t small = 1 + data[2] % 7, bytes = size - 3 < MOST ? size - 3 : MOST;
    n = bytes / sizeof(float);
    if (n)
        memcpy(x, data + 3, n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        a[i] = (double)x[i];
    switch (data[0] % 5) {
    case 0: read_head(data + 3, bytes, false); break;
    case 1: read_head(data + 3, bytes, true); break;
    case 2: select_boxes(&memory, x, n, small); break;
    case 3: decode(&memory, x, n, small + 1, small); break;
    default:
        if (mbr_best_span(a, a + n / 2, NULL, n / 2, small, &from, &to, &score))
            must(from <= to && to < n / 2 && to - from < small && !isnan(score));
        for (size_t i = 0, k = mbr_best_k(a, n, small, index); i < k; i++)
            must(index[i] < n && (!i || a[index[i - 1]] >= a[index[i]]));
    }
    must(atomic_load(&memory.in_use) == 0);
    return 0;
}

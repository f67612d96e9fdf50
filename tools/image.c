/* SPDX-License-Identifier: BSD-2-Clause */
/* mbr image: what pre-processing makes of an image, as a file to look at or to compare. */
#include "mbr/image.h"
#include "tools/command.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: mbr image IN [--resize WxH] [--filter NAME] [--alpha] [--letterbox WxH] [--crop X,Y,W,H] [--gray]\n"
    "       [--save OUT]\n\n"
    "IN is a PNM, PNG, JPEG, WebP, BMP or TIFF file; OUT is written as PNM (PGM, PPM, or PAM of two and four channels).\n"
    "The steps run in the order in which they are given; a filter holds for those after it.\n"
    "  --filter NAME     pillow-nearest, pillow-box, pillow-bilinear (default), pillow-hamming, pillow-bicubic,\n"
    "                    pillow-lanczos, opencv-nearest, opencv-linear, opencv-area, opencv-cubic\n"
    "  --alpha           the last channel is alpha and weighs the colours, as of Pillow's modes LA and RGBA\n"
    "  --across-first    Pillow's filters go across the image first, always (nearly Pillow 12.2)\n"
    "  --memory BYTES    refuse to use more memory (suffixes k, M, G)\n"
    "  --repeat N        runs the steps N times and says how long the fastest took\n";

typedef struct step {
    const char *name;
    int at[4];
    mbr_resize_filter filter;
    bool alpha, across_first;
} step;

typedef struct args {
    const char *input, *save;
    size_t memory;
    int repeat, count;
    step steps[16];
} args;

/* Whole numbers that a character separates; all of the text. */
static bool parse_numbers(const char *text, char between, int *numbers, int count)
{
    for (int i = 0; i < count; i++) {
        char *end;
        long v = strtol(text, &end, 10);
        if (end == text || v < INT_MIN || v > INT_MAX || *end != (i + 1 < count ? between : '\0'))
            return false;
        numbers[i] = (int)v;
        text = end + 1;
    }
    return true;
}

static int parse(int argc, char **argv, args *a)
{
    step now = { .filter = MBR_RESIZE_PILLOW_BILINEAR };
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        if (arg[0] != '-') {
            if (a->input)
                return fail_usage("mbr image takes one image");
            a->input = arg;
            continue;
        }
        now.name = arg + 2;
        if (strcmp(arg, "--across-first") == 0) {
            now.across_first = true;
            continue;
        }
        bool simple = strcmp(arg, "--gray") == 0;
        if (strcmp(arg, "--alpha") == 0) {
            now.alpha = true;
            continue;
        }
        const char *value = simple ? "" : i + 1 < argc ? argv[++i] : NULL;
        if (!value)
            return fail_usage("%s: its value is missing, or mbr image does not have it", arg);
        bool sized = strcmp(arg, "--resize") == 0 || strcmp(arg, "--letterbox") == 0;
        if (strcmp(arg, "--save") == 0) {
            a->save = value;
        } else if (strcmp(arg, "--filter") == 0) {
            if (!mbr_resize_filter_find(value, &now.filter))
                return fail_usage("there is no filter %s; `mbr image --help` lists them", value);
        } else if (strcmp(arg, "--memory") == 0) {
            if (!parse_size(value, &a->memory))
                return fail_usage("--memory %s: bytes are due, with k, M or G", value);
        } else if (strcmp(arg, "--repeat") == 0) {
            if (!parse_numbers(value, ',', &a->repeat, 1) || a->repeat < 1)
                return fail_usage("--repeat %s: a whole number from 1 is due", value);
        } else if (simple || sized || strcmp(arg, "--crop") == 0) {
            if (sized ? !parse_numbers(value, 'x', now.at, 2) : !simple && !parse_numbers(value, ',', now.at, 4))
                return fail_usage("%s %s: %s is due", arg, value, sized ? "WIDTHxHEIGHT" : "X,Y,WIDTH,HEIGHT");
            if (a->count == (int)(sizeof a->steps / sizeof *a->steps))
                return fail_usage("more than %d steps", a->count);
            a->steps[a->count++] = now;
        } else {
            return fail_usage("mbr image has no option %s", arg);
        }
    }
    return a->input ? EXIT_DONE : fail_usage("mbr image: which image?");
}

static mbr_status run_step(const step *s, const mbr_image *from, mbr_image **out, mbr_error *err)
{
    mbr_resize_options o = { .size = sizeof o, .width = s->at[0], .height = s->at[1], .filter = s->filter,
                             .alpha = s->alpha, .across_first = s->across_first };
    mbr_image_info info = { .size = sizeof info };
    mbr_image_tell(from, &info);
    switch (s->name[0]) {
    case 'r':
        return mbr_image_resize(from, &o, out, err);
    case 'l':
        return mbr_image_letterbox(from, &o, NULL, NULL, out, err);
    case 'c':
        return mbr_image_crop(from, s->at[0], s->at[1], s->at[2], s->at[3], out, err);
    default:
        return mbr_image_convert(from, info.channels == 1 ? MBR_COLOUR_GRAY : info.channels == 4 ? MBR_COLOUR_RGBA
                                 : MBR_COLOUR_RGB, MBR_COLOUR_GRAY, MBR_GRAY_PILLOW, out, err);
    }
}

/* All steps; *image becomes the last one's, and the first image is released unless it is kept. */
static mbr_status run_steps(const args *a, mbr_image **image, const mbr_image *keep, mbr_error *err)
{
    for (int i = 0; i < a->count; i++) {
        mbr_image *next;
        mbr_status st = run_step(&a->steps[i], *image, &next, err);
        if (st != MBR_OK)
            return st;
        if (*image != keep)
            mbr_image_release(image);
        *image = next;
    }
    return MBR_OK;
}

static bool save(const mbr_image *image, const char *path)
{
    static const char *const kinds[] = { "", "GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA" };
    mbr_image_info info = { .size = sizeof info };
    mbr_image_tell(image, &info);
    char head[128];
    int n = info.channels % 2 ? snprintf(head, sizeof head, "P%c\n%d %d\n255\n", info.channels == 1 ? '5' : '6',
                                         info.width, info.height)
                              : snprintf(head, sizeof head, "P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL 255\nTUPLTYPE "
                                         "%s\nENDHDR\n", info.width, info.height, info.channels, kinds[info.channels]);
    size_t row = (size_t)info.width * (size_t)info.channels, bytes = row * (size_t)info.height;
    char *file = malloc((size_t)n + bytes);
    if (!file) {
        say_error("%s: out of memory", path);
        return false;
    }
    memcpy(file, head, (size_t)n);
    for (int y = 0; y < info.height; y++)
        memcpy(file + n + (size_t)y * row, (const char *)info.pixels + (size_t)y * info.stride, row);
    bool ok = write_file(path, file, (size_t)n + bytes);
    free(file);
    return ok;
}

static int run(int argc, char **argv)
{
    args a = { .repeat = 1 };
    if (argc > 0 && strcmp(argv[0], "--help") == 0) {
        fputs(help, stdout);
        return EXIT_DONE;
    }
    int st = parse(argc, argv, &a);
    if (st != EXIT_DONE)
        return st;
    mbr_error err;
    mbr_env *env;
    mbr_env_options options = { .size = sizeof options, .threads = 1, .memory_limit = a.memory };
    if (mbr_env_new(&options, &env, &err) != MBR_OK)
        return fail_with(&err);
    mbr_image *input = NULL, *image = NULL;
    double best = 0;
    bool ok = mbr_image_open(env, a.input, &input, &err) == MBR_OK;
    for (int i = 0; ok && i < a.repeat; i++) {
        double start = now_ms();
        if (image != input)
            mbr_image_release(&image);
        image = input;
        ok = run_steps(&a, &image, input, &err) == MBR_OK;
        double took = now_ms() - start;
        best = i == 0 || took < best ? took : best;
    }
    st = ok ? EXIT_DONE : fail_with(&err);
    if (ok && a.repeat > 1)
        printf("%.4f ms\n", best);
    if (ok && a.save && !save(image, a.save))
        st = EXIT_BAD_INPUT;
    if (image != input)
        mbr_image_release(&image);
    mbr_image_release(&input);
    mbr_env_release(&env);
    return st;
}

const command command_image = {
    .name = "image",
    .synopsis = "IN [--resize WxH] [--filter NAME] [--save OUT] ...",
    .what = "resizes, crops and letterboxes an image as pre-processing does",
    .help = help,
    .run_raw = run,
};

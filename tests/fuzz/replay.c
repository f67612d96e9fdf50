/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a fuzz target without a fuzzer: first on each file of a folder as it is, then on mutations of them, the same ones
 * every time; what makes it abort is kept in a file. MBR_FUZZ_ROUNDS: mutations of each file (default 300); MBR_SEED:
 * another start.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FUZZ_CORPUS
#define FUZZ_CORPUS "tests/fuzz/corpus"
#endif
#define FILES_MAX 256
#define SIZE_MAX_BYTES 65536

typedef struct seed_file {
    char name[256];
    uint8_t *data;
    size_t size;
} seed_file;

static seed_file files[FILES_MAX];
static size_t n_files;
static uint64_t state;

/* What the target is looking at, for whoever finds it dead. */
static const uint8_t *now;
static size_t now_size;

/* Of a sanitizer's run time, where there is one: called before it ends the process in its own way. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void keep_input(void)
{
    FILE *out = fopen("fuzz-crash", "wb");
    if (out) {
        fwrite(now, 1, now_size, out);
        fclose(out);
    }
    static const char text[] = "the input that did it is in the file fuzz-crash\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
}

static void died(int number)
{
    keep_input();
    signal(number, SIG_DFL);
    raise(number);
}

static void look(const uint8_t *data, size_t size)
{
    now = data;
    now_size = size;
    LLVMFuzzerTestOneInput(data, size);
}

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % below;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const seed_file *)a)->name, ((const seed_file *)b)->name);
}

static int read_folder(const char *folder)
{
    DIR *d = opendir(folder);
    if (!d)
        return 0;
    for (struct dirent *e = readdir(d); e && n_files < FILES_MAX; e = readdir(d)) {
        char path[1400];
        seed_file *f = &files[n_files];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        snprintf(f->name, sizeof f->name, "%.255s", e->d_name);
        FILE *in = fopen(path, "rb");
        f->data = malloc(SIZE_MAX_BYTES);
        if (!in || !f->data)
            exit(1);
        f->size = fread(f->data, 1, SIZE_MAX_BYTES, in);
        fclose(in);
        n_files++;
    }
    closedir(d);
    qsort(files, n_files, sizeof files[0], by_name); /* folders have no order of their own */
    return n_files != 0;
}

/* One of the usual small changes, at some place. */
static size_t mutate(uint8_t *data, size_t size, size_t room)
{
    static const uint8_t telling[] = { 0, 1, 2, 0x7f, 0x80, 0xff };
    size_t at = size ? draw(size) : 0, n = 1 + draw(16);
    if (n > size - at)
        n = size - at;
    switch (draw(7)) {
    case 0:
        data[at] ^= (uint8_t)(1u << draw(8));
        break;
    case 1:
        data[at] = telling[draw(sizeof telling)];
        break;
    case 2:
        data[at] = (uint8_t)(data[at] + draw(9) - 4);
        break;
    case 3: /* cut the end */
        return at;
    case 4: /* take something out */
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    case 5: /* say something twice */
        if (size + n <= room) {
            memmove(data + at + n, data + at, size - at);
            return size + n;
        }
        break;
    default: { /* a piece of another file */
        const seed_file *f = &files[draw(n_files)];
        size_t from = f->size ? draw(f->size) : 0, length = draw(64);
        if (length > f->size - from)
            length = f->size - from;
        if (length > room - at)
            length = room - at;
        memcpy(data + at, f->data + from, length);
        return at + length > size ? at + length : size;
    }
    }
    return size;
}

int main(int argc, char **argv)
{
    const char *source = getenv("srcdir"), *rounds_text = getenv("MBR_FUZZ_ROUNDS"), *seed_text = getenv("MBR_SEED");
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/" FUZZ_CORPUS, source ? source : ".");
    if (argc > 1)
        snprintf(folder, sizeof folder, "%s", argv[1]);
    if (!read_folder(folder)) {
        printf("no files in %s\n", folder);
        return 1;
    }
    unsigned long rounds = rounds_text ? strtoul(rounds_text, NULL, 0) : 300;
    state = seed_text ? strtoull(seed_text, NULL, 0) : 0x9e3779b97f4a7c15u;
    printf("%zu files, %lu mutations each, seed 0x%llx (MBR_SEED)\n", n_files, rounds, (unsigned long long)state);
    fflush(stdout);
    signal(SIGABRT, died);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_input);
    for (size_t i = 0; i < n_files; i++)
        look(files[i].data, files[i].size);
    uint8_t *work = malloc(SIZE_MAX_BYTES);
    if (!work)
        return 1;
    for (size_t i = 0; i < n_files; i++)
        for (unsigned long r = 0; r < rounds; r++) {
            size_t size = files[i].size;
            memcpy(work, files[i].data, size);
            for (uint64_t k = 1 + draw(4); k && size; k--)
                size = mutate(work, size, SIZE_MAX_BYTES);
            uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees the end */
            if (!exact)
                return 1;
            memcpy(exact, work, size);
            look(exact, size);
            free(exact);
        }
    free(work);
    for (size_t i = 0; i < n_files; i++)
        free(files[i].data);
    return 0;
}

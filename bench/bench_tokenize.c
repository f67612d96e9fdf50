/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast texts become tokens, on the calling thread: every line of a file, with all that an encoding has (ids, types,
 * masks, offsets in characters, words).
 *
 *     bench-tokenize TOKENIZER.json LINES [REPEAT]
 *
 * Prints the seconds of CPU of the fastest of REPEAT rounds (3), the bytes and the tokens. bench/tokenizers.py compares.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "mbr/mbr.h"
#include "mbr/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what, const char *which)
{
    fprintf(stderr, "bench-tokenize: %s%s\n", what, which);
    exit(2);
}

static char *read_all(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0)
        die("cannot read ", path);
    long n = ftell(f);
    char *text = malloc((size_t)n + 1);
    rewind(f);
    if (!text || fread(text, 1, (size_t)n, f) != (size_t)n)
        die("cannot read ", path);
    fclose(f);
    *size = (size_t)n;
    return text;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4)
        die("usage: bench-tokenize TOKENIZER.json LINES [REPEAT]", "");
    int repeat = argc > 3 ? atoi(argv[3]) : 3;
    size_t size, lines = 0, tokens = 0;
    char *text = read_all(argv[2], &size);
    mbr_env *env = NULL;
    mbr_tokenizer *t = NULL;
    mbr_encoding *e = NULL;
    mbr_error err;
    mbr_env_options o = { .size = sizeof o, .threads = 1 };
    mbr_encode_options how = { .size = sizeof how, .char_offsets = 1 };
    if (mbr_env_new(&o, &env, &err) != MBR_OK || mbr_tokenizer_open(env, argv[1], NULL, &t, &err) != MBR_OK ||
        mbr_encoding_new(t, &e, &err) != MBR_OK)
        die(err.text, "");
    double best = 1e30;
    for (int k = 0; k < repeat; k++) {
        double begin = now();
        lines = tokens = 0;
        for (const char *at = text, *end = text + size; at < end; lines++) {
            const char *stop = memchr(at, '\n', (size_t)(end - at));
            mbr_token_list list = { .size = sizeof list };
            stop = stop ? stop : end;
            if (mbr_encoding_encode(e, at, (size_t)(stop - at), NULL, 0, &how, &err) != MBR_OK ||
                mbr_encoding_get(e, 0, &list) != MBR_OK)
                die(err.text, "");
            tokens += list.count;
            at = stop + 1;
        }
        double took = now() - begin;
        best = took < best ? took : best;
    }
    printf("%.6f s, %zu lines, %zu bytes, %zu tokens\n", best, lines, size, tokens);
    mbr_encoding_release(&e);
    mbr_tokenizer_release(&t);
    mbr_env_release(&env);
    free(text);
    return 0;
}

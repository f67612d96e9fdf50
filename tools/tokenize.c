/* SPDX-License-Identifier: BSD-2-Clause */
#include "mbr/tokenizer.h"
#include "tools/command.h"

#include <stdlib.h>
#include <string.h>

static void print_ids(const mbr_token_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        printf("%s%u", i ? " " : "", list->ids[i]);
    putchar('\n');
}

static void print_numbers(const char *name, const mbr_token_list *list, const uint32_t *of)
{
    printf(", \"%s\": [", name);
    for (size_t i = 0; i < list->count; i++)
        of[i] == MBR_TOKEN_NONE ? printf("%snull", i ? ", " : "") : printf("%s%u", i ? ", " : "", of[i]);
    putchar(']');
}

static void print_flags(const char *name, const mbr_token_list *list, const uint8_t *of)
{
    printf(", \"%s\": [", name);
    for (size_t i = 0; i < list->count; i++)
        printf("%s%u", i ? ", " : "", of[i]);
    putchar(']');
}

static void print_list(const mbr_tokenizer *t, const mbr_token_list *list)
{
    printf("{\"ids\": [");
    for (size_t i = 0; i < list->count; i++)
        printf("%s%u", i ? ", " : "", list->ids[i]);
    putchar(']');
    print_numbers("type_ids", list, list->type_ids);
    print_flags("attention_mask", list, list->attention_mask);
    print_flags("special_tokens_mask", list, list->special_mask);
    printf(", \"offsets\": [");
    for (size_t i = 0; i < list->count; i++)
        printf("%s[%u, %u]", i ? ", " : "", list->offsets[i].begin, list->offsets[i].end);
    putchar(']');
    print_numbers("words", list, list->words);
    printf(", \"tokens\": [");
    for (size_t i = 0; i < list->count; i++) {
        const char *text = mbr_tokenizer_text(t, list->ids[i], NULL);
        printf("%s", i ? ", " : "");
        text ? print_json_string(stdout, text) : (void)printf("null");
    }
    putchar(']');
}

static void print_json(const mbr_tokenizer *t, const mbr_encoding *e)
{
    mbr_token_list list = { .size = sizeof list };
    for (size_t i = 0; i < mbr_encoding_count(e); i++) {
        mbr_encoding_get(e, i, &list);
        printf("%s", i == 0 ? "" : i == 1 ? ", \"overflowing\": [" : ", ");
        print_list(t, &list);
        if (i)
            putchar('}');
    }
    puts(mbr_encoding_count(e) > 1 ? "]}" : "}");
}

/* Token, id and bytes, one a line; an empty line behind a text. */
static void print_tokens(const mbr_tokenizer *t, const mbr_token_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        size_t bytes;
        const char *text = mbr_tokenizer_text(t, list->ids[i], &bytes);
        printf("%7u  %4u-%-4u  ", list->ids[i], list->offsets[i].begin, list->offsets[i].end);
        fwrite(text ? text : "", 1, text ? bytes : 0, stdout);
        putchar('\n');
    }
    putchar('\n');
}

static int decode_line(const command_options *o, mbr_encoding *e, char *line)
{
    uint32_t *ids = malloc((strlen(line) / 2 + 1) * sizeof *ids);
    size_t count = 0, bytes;
    const char *text;
    mbr_error err;
    int st = EXIT_DONE;
    if (!ids) {
        say_error("out of memory");
        return EXIT_RESOURCES;
    }
    for (char *at = line, *end; st == EXIT_DONE && *(at += strspn(at, " ,[]\t")) != '\0'; at = end) {
        unsigned long id = strtoul(at, &end, 10);
        if (end == at || *at == '-' || id >= MBR_TOKEN_NONE)
            st = fail_input("'%.20s' is no token id", at);
        else
            ids[count++] = (uint32_t)id;
    }
    if (st == EXIT_DONE && mbr_encoding_decode(e, ids, count, !o->special, &text, &bytes, &err) != MBR_OK)
        st = fail_with(&err);
    if (st == EXIT_DONE) {
        fwrite(text, 1, bytes, stdout);
        putchar('\n');
    }
    free(ids);
    return st;
}

static int encode_line(const command_options *o, const mbr_tokenizer *t, mbr_encoding *e, const char *line, size_t size)
{
    mbr_encode_options options = { .size = sizeof options, .char_offsets = o->json };
    mbr_token_list list = { .size = sizeof list };
    const char *pair = memchr(line, '\t', o->pairs ? size : 0);
    size_t first = pair ? (size_t)(pair - line) : size;
    mbr_error err;
    if (mbr_encoding_encode(e, line, first, pair ? pair + 1 : NULL, pair ? size - first - 1 : 0, &options, &err) != MBR_OK)
        return fail_with(&err);
    mbr_encoding_get(e, 0, &list);
    if (o->json)
        print_json(t, e);
    else if (o->ids)
        print_ids(&list);
    else
        print_tokens(t, &list);
    return EXIT_DONE;
}

static int each_line(const command_options *o, const mbr_tokenizer *t, mbr_encoding *e, char *text, size_t size)
{
    int st = EXIT_DONE;
    for (size_t at = 0; at < size && st == EXIT_DONE;) {
        char *line = text + at, *end = memchr(line, o->zero ? '\0' : '\n', size - at);
        size_t n = end ? (size_t)(end - line) : size - at;
        at += n + 1;
        line[n] = '\0';
        st = o->decode ? decode_line(o, e, line) : encode_line(o, t, e, line, n);
    }
    return st;
}

/* All of standard input, with room for a terminator; NULL after say_error. */
static char *read_stdin(size_t *size)
{
    size_t capacity = 65536, n;
    char *text = malloc(capacity);
    for (*size = 0; text && (n = fread(text + *size, 1, capacity - *size - 1, stdin)) > 0;) {
        *size += n;
        if (*size + 1 < capacity)
            continue;
        char *bigger = realloc(text, capacity *= 2);
        if (!bigger)
            free(text);
        text = bigger;
    }
    if (!text)
        say_error("out of memory");
    return text;
}

static int run(const command_options *o)
{
    mbr_env *env = NULL;
    mbr_tokenizer *t = NULL;
    mbr_encoding *e = NULL;
    mbr_error err;
    char *text = NULL;
    size_t size = 0;
    int st = open_env(o, &env);
    if (st != EXIT_DONE)
        return st;
    if (mbr_tokenizer_open(env, o->positional[0], NULL, &t, &err) != MBR_OK || mbr_encoding_new(t, &e, &err) != MBR_OK) {
        st = fail_with(&err);
    } else if (o->n_positional < 2 || strcmp(o->positional[1], "-") == 0) {
        text = read_stdin(&size);
        st = text ? EXIT_DONE : EXIT_RESOURCES;
    } else {
        char *file = read_file(o->positional[1], &size);
        text = file ? realloc(file, size + 1) : NULL;
        if (file && !text)
            free(file);
        st = text ? EXIT_DONE : EXIT_BAD_INPUT;
    }
    if (st == EXIT_DONE)
        st = each_line(o, t, e, text, size);
    free(text);
    mbr_encoding_release(&e);
    mbr_tokenizer_release(&t);
    mbr_env_release(&env);
    return st;
}

const command command_tokenize = {
    .name = "tokenize",
    .synopsis = "TOKENIZER.json [FILE] [--ids | --json] [--pairs] [--zero] [--decode]",
    .what = "turns lines of text into token ids, or back, by a Hugging Face tokenizer",
    .help = "Without FILE (or with -) standard input is read. Each line is a text: its tokens, one a line, with ids and\n"
            "bytes; with --ids one line of ids; with --json everything that a model takes, offsets in characters.\n",
    .accepts = OPT_JSON | OPT_TOKENS,
    .min_positional = 1,
    .max_positional = 2,
    .run = run,
};

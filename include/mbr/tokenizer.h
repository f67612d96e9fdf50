/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text to token ids and back, by a tokenizer.json of Hugging Face as it is: WordPiece, BPE (plain and byte-level),
 * Unigram and WordLevel models with their normalizers, pre-tokenizers, post-processors, added tokens, truncation,
 * padding and decoders. docs/tokenizer.md tells what is equal to that library and what is refused.
 *
 *     mbr_tokenizer *t;
 *     mbr_encoding *e;
 *     mbr_token_list list = { .size = sizeof list };
 *     if (mbr_tokenizer_open(env, "tokenizer.json", NULL, &t, &err) != MBR_OK || mbr_encoding_new(t, &e, &err) != MBR_OK)
 *         fprintf(stderr, "%s\n", err.text);
 *     if (mbr_encoding_encode(e, "How are you?", 12, NULL, 0, NULL, &err) == MBR_OK) {
 *         mbr_encoding_get(e, 0, &list);               // list.ids[0] ... list.ids[list.count - 1]
 *     }
 *     mbr_encoding_release(&e);
 *     mbr_tokenizer_release(&t);
 *
 * Threads: a tokenizer is immutable once open and may be shared by any number of threads. An encoding is the room of
 * one caller: it belongs to one thread at a time; different encodings of one tokenizer may be used at once.
 */
#ifndef MBR_TOKENIZER_H
#define MBR_TOKENIZER_H

#include "mbr/env.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mbr_tokenizer mbr_tokenizer;
typedef struct mbr_encoding mbr_encoding;

/* Option structs: see mbr_env_options. */
typedef struct mbr_tokenizer_options {
    size_t size;      /* sizeof(mbr_tokenizer_options) */
    int regex_jit;    /* let PCRE2 compile regular expressions to machine code, where the system allows that; 0: no */
    int no_matchers;  /* leave even the well-known regular expressions to PCRE2 (for tests); 0: no */
    uint32_t truncate_to; /* max_length of truncation in place of the file's, special tokens included; 0: the file's */
} mbr_tokenizer_options;

/*
 * Reads a file, or bytes of one (which are copied); name stands in messages. options may be NULL. MBR_ERR_FORMAT: not
 * JSON; MBR_ERR_MODEL: not a (sound) tokenizer; MBR_ERR_UNSUPPORTED: one that needs what this build lacks (the message
 * names it). On success *out is the caller's, on failure NULL.
 */
MBR_API mbr_status mbr_tokenizer_open(mbr_env *env, const char *path, const mbr_tokenizer_options *options,
                                      mbr_tokenizer **out, mbr_error *err);
MBR_API mbr_status mbr_tokenizer_open_memory(mbr_env *env, const void *data, size_t bytes, const char *name,
                                             const mbr_tokenizer_options *options, mbr_tokenizer **out, mbr_error *err);

/* Frees it and sets *t to NULL; its encodings must have been released. NULL and a pointer to NULL are fine. */
MBR_API void mbr_tokenizer_release(mbr_tokenizer **t);

/* The highest id + 1, added tokens included. */
MBR_API uint32_t mbr_tokenizer_id_count(const mbr_tokenizer *t);

/* False where no token has that text. */
MBR_API int mbr_tokenizer_find(const mbr_tokenizer *t, const char *text, size_t bytes, uint32_t *id);

/* The text of a token, which belongs to the tokenizer and may hold zero bytes; NULL where there is no such id. */
MBR_API const char *mbr_tokenizer_text(const mbr_tokenizer *t, uint32_t id, size_t *bytes);

MBR_API mbr_status mbr_encoding_new(const mbr_tokenizer *t, mbr_encoding **out, mbr_error *err);
MBR_API void mbr_encoding_release(mbr_encoding **e);

typedef struct mbr_encode_options {
    size_t size;           /* sizeof(mbr_encode_options) */
    int no_special_tokens; /* the post-processor adds none; 0: it does */
    int char_offsets;      /* offsets count characters; 0: bytes */
    int refuse_invalid;    /* text that is not UTF-8 is MBR_ERR_INPUT; 0: each broken sequence becomes U+FFFD, as in
                              Rust's from_utf8_lossy, and offsets are those of the repaired text */
    int no_truncation;     /* leave out the truncation of the file */
    int no_padding;        /* leave out the padding of the file */
    uint32_t pad_to;       /* pad to this many tokens at least (with what the file pads with) */
} mbr_encode_options;

/*
 * Encodes a text, or a pair (pair may be NULL: none). The results stay valid until the next call with this encoding.
 * options may be NULL.
 */
MBR_API mbr_status mbr_encoding_encode(mbr_encoding *e, const char *text, size_t bytes, const char *pair,
                                       size_t pair_bytes, const mbr_encode_options *options, mbr_error *err);

typedef struct mbr_token_span {
    uint32_t begin, end;
} mbr_token_span;

#define MBR_TOKEN_NONE UINT32_MAX

/* What a model takes; all arrays have `count` elements and belong to the encoding. */
typedef struct mbr_token_list {
    size_t size;                   /* sizeof(mbr_token_list), set by the caller */
    size_t count;
    const uint32_t *ids;
    const uint32_t *type_ids;
    const uint8_t *attention_mask; /* 0 for padding */
    const uint8_t *special_mask;   /* 1 for what post-processor and padding added */
    const mbr_token_span *offsets; /* in the text (of its own sequence) */
    const uint32_t *words;         /* piece of the pre-tokenizer; MBR_TOKEN_NONE: none */
    const uint8_t *sequences;      /* 0 or 1; 255: none */
} mbr_token_list;

/* How many lists there are: the text, and what truncation cut off (each with the stride of the file). */
MBR_API size_t mbr_encoding_count(const mbr_encoding *e);

/* List 0 is the text. MBR_ERR_ARGUMENT where there is none of that index. */
MBR_API mbr_status mbr_encoding_get(const mbr_encoding *e, size_t index, mbr_token_list *list);

/*
 * Ids back to text, which belongs to the encoding until its next decode, is terminated and may hold zero bytes. Ids
 * that no token has are left out.
 */
MBR_API mbr_status mbr_encoding_decode(mbr_encoding *e, const uint32_t *ids, size_t count, int skip_special_tokens,
                                       const char **text, size_t *bytes, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tokenizer as it was read from its file, and the room of one caller. The way of a text:
 *
 *     bytes -> added tokens -> normalizer -> pre-tokenizer -> model -> truncation -> post-processor -> padding
 *
 * Between the steps there is one work text, cut into pieces that follow each other, and for each of its bytes the bytes
 * of the original that it stands for.
 */
#ifndef MBR_RUNTIME_TOKENIZER_IMPL_H
#define MBR_RUNTIME_TOKENIZER_IMPL_H

#include "mbr/tokenizer.h"
#include "runtime/tokenizer/json.h"
#include "runtime/tokenizer/regex.h"
#include "runtime/tokenizer/trie.h"
#include "runtime/tokenizer/unicode.h"

#define MBR_NO_TOKEN UINT32_MAX
#define MBR_TEXT_MOST ((uint32_t)1 << 28) /* bytes of a text, and of what a normalizer makes of it */

/* ---- text ---- */

/* Which bytes of the original. */
typedef struct mbr_edge {
    uint32_t begin, end;
} mbr_edge;

/*
 * Where `aligned` is false, byte i stands for the character of the original that holds byte i (of base + i), and both
 * have the same size. An allocation that fails leaves `failed`, and what is put after it is lost.
 */
typedef struct mbr_text {
    mbr_memory *memory;
    char *bytes;
    mbr_edge *at; /* (size) of each byte, when aligned */
    uint32_t size, capacity, at_capacity;
    uint32_t base;
    bool aligned, failed, too_long;
} mbr_text;

/* Text that belongs to somebody. */
typedef struct mbr_view {
    const char *bytes;
    const mbr_edge *at; /* NULL: not aligned */
    uint32_t size, base;
} mbr_view;

void mbr_text_clear(mbr_text *t, bool aligned, uint32_t base);
void mbr_text_destroy(mbr_text *t);
bool mbr_text_room(mbr_text *t, uint32_t more);
/* The character of `size` bytes at `i` of a view. */
static inline mbr_edge mbr_view_edge(const mbr_view *v, uint32_t i, uint32_t size)
{
    return v->at ? v->at[i] : (mbr_edge){ v->base + i, v->base + i + size };
}
void mbr_text_put(mbr_text *t, const char *bytes, uint32_t size, mbr_edge edge);
/* Bytes from..to of a view as they are; the text is aligned, or becomes so where the view is. */
void mbr_text_copy(mbr_text *t, const mbr_view *v, uint32_t from, uint32_t to);
/* The first original byte of byte `from`, and the last one's end of byte to - 1; from < to. */
mbr_edge mbr_view_span(const mbr_view *v, uint32_t from, uint32_t to);

static inline mbr_view mbr_text_view(const mbr_text *t)
{
    return (mbr_view){ t->bytes, t->aligned ? t->at : NULL, t->size, t->base };
}

/* ---- parts of a tokenizer ---- */

typedef enum mbr_normal_kind {
    MBR_NORMAL_BERT, MBR_NORMAL_STRIP, MBR_NORMAL_STRIP_ACCENTS, MBR_NORMAL_NFC, MBR_NORMAL_NFD, MBR_NORMAL_NFKC,
    MBR_NORMAL_NFKD, MBR_NORMAL_LOWERCASE, MBR_NORMAL_NMT, MBR_NORMAL_PRECOMPILED, MBR_NORMAL_REPLACE,
    MBR_NORMAL_PREPEND, MBR_NORMAL_BYTE_LEVEL
} mbr_normal_kind;

/* A compiled map of sentencepiece: a Darts double array and the texts that its values point into. */
typedef struct mbr_charsmap {
    const uint32_t *units;
    const char *texts;
    uint32_t unit_count, text_size;
} mbr_charsmap;

typedef struct mbr_normal {
    mbr_normal_kind kind;
    bool clean_text, chinese, strip_accents, lowercase; /* Bert */
    bool left, right;                                   /* Strip */
    mbr_regex *pattern;                               /* Replace */
    mbr_string content;                                 /* Replace, Prepend */
    mbr_charsmap map;
} mbr_normal;

typedef enum mbr_pre_kind {
    MBR_PRE_BERT, MBR_PRE_BYTE_LEVEL, MBR_PRE_DELIMITER, MBR_PRE_METASPACE, MBR_PRE_WHITESPACE, MBR_PRE_SPLIT,
    MBR_PRE_PUNCTUATION, MBR_PRE_WHITESPACE_SPLIT, MBR_PRE_DIGITS, MBR_PRE_SCRIPTS, MBR_PRE_FIXED_LENGTH
} mbr_pre_kind;

typedef enum mbr_behavior {
    MBR_SPLIT_REMOVED, MBR_SPLIT_ISOLATED, MBR_SPLIT_WITH_PREVIOUS, MBR_SPLIT_WITH_NEXT, MBR_SPLIT_CONTIGUOUS
} mbr_behavior;

typedef enum mbr_prepend { MBR_PREPEND_ALWAYS, MBR_PREPEND_FIRST, MBR_PREPEND_NEVER } mbr_prepend;

typedef struct mbr_pre {
    mbr_pre_kind kind;
    bool prefix_space, use_regex; /* ByteLevel */
    bool split, invert, each;     /* Metaspace; Split; Digits */
    mbr_prepend prepend;
    mbr_behavior behavior;
    mbr_regex *pattern;
    mbr_string replacement;       /* Metaspace, one character; CharDelimiterSplit: it */
    uint32_t length;              /* FixedLength */
} mbr_pre;

typedef enum mbr_model_kind { MBR_TM_BPE, MBR_TM_WORDPIECE, MBR_TM_WORDLEVEL, MBR_TM_UNIGRAM } mbr_model_kind;

/* Token texts by id, ids by text. */
typedef struct mbr_vocab {
    mbr_string *texts;   /* (most + 1) data NULL: no token has that id */
    uint32_t most;       /* the highest id + 1 */
    uint32_t count;      /* of different texts */
    uint32_t *slots;     /* (mask + 1) entry + 1 */
    uint32_t mask;
    struct mbr_vocab_entry {
        mbr_string text;
        uint32_t id;
    } *entries;          /* (entry_count) */
    uint32_t entry_count;
} mbr_vocab;

typedef struct mbr_merge {
    uint64_t pair;       /* left << 32 | right; UINT64_MAX: free */
    uint32_t rank, id;
} mbr_merge;

typedef struct mbr_bpe {
    mbr_merge *merges;   /* (mask + 1) */
    uint32_t mask;
    uint32_t byte[256];  /* of what a byte becomes in a byte-level piece; MBR_NO_TOKEN */
    uint32_t ascii[128]; /* of a character of plain text, in the middle of a word; MBR_NO_TOKEN */
    uint32_t fallback[256];
    bool has_fallback;   /* byte_fallback is on */
    bool fuse_unk, ignore_merges, has_unk_token;
    uint32_t unk;        /* MBR_NO_TOKEN: not in the vocabulary */
    mbr_string prefix, suffix;
    bool twins;          /* an id has two texts: only the heap gives what the library gives */
} mbr_bpe;

typedef struct mbr_wordpiece {
    mbr_trie trie;
    uint32_t continuing; /* state behind the prefix; MBR_TRIE_NONE */
    uint32_t most_chars, unk;
} mbr_wordpiece;

typedef struct mbr_unigram {
    mbr_trie trie;
    const double *scores;
    double unk_score;
    uint32_t unk, count;
    bool has_fallback;
    uint32_t fallback[256];
} mbr_unigram;

typedef struct mbr_added {
    mbr_string text, normal; /* as decoded: what the normalizer makes of it, if it is normalized */
    uint32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} mbr_added;

typedef enum mbr_post_kind { MBR_POST_TEMPLATE, MBR_POST_BERT, MBR_POST_ROBERTA, MBR_POST_BYTE_LEVEL } mbr_post_kind;

typedef struct mbr_post_piece {
    uint32_t sequence;   /* 0 or 1; 2: special */
    uint32_t type;
    const uint32_t *ids; /* of a special one */
    uint32_t count;
} mbr_post_piece;

typedef struct mbr_post {
    mbr_post_kind kind;
    mbr_post_piece *single, *pair;
    uint32_t single_count, pair_count, added_single, added_pair;
    uint32_t cls, sep;
    bool trim, prefix_space;
} mbr_post;

typedef enum mbr_decode_kind {
    MBR_DECODE_BPE, MBR_DECODE_BYTE_LEVEL, MBR_DECODE_WORDPIECE, MBR_DECODE_METASPACE, MBR_DECODE_CTC,
    MBR_DECODE_REPLACE, MBR_DECODE_FUSE, MBR_DECODE_STRIP, MBR_DECODE_BYTE_FALLBACK
} mbr_decode_kind;

typedef struct mbr_decode {
    mbr_decode_kind kind;
    mbr_string text;        /* suffix, prefix, replacement, pad token, content */
    mbr_string word;        /* CTC's delimiter */
    bool cleanup, keep_first; /* Metaspace: prepend_scheme never */
    uint32_t start, stop;   /* Strip */
    mbr_regex *pattern;
} mbr_decode;

struct mbr_tokenizer {
    mbr_memory *memory;
    mbr_arena arena;
    const char *name;
    mbr_json json;
    mbr_unicode *unicode;
    mbr_normal *normal;
    mbr_pre *pre;
    mbr_post *post;
    mbr_decode *decode;
    uint32_t normal_count, pre_count, post_count, decode_count;
    bool has_post, has_decoder;
    mbr_model_kind model;
    mbr_vocab vocab;
    mbr_bpe bpe;
    mbr_wordpiece wordpiece;
    mbr_unigram unigram;
    uint32_t unk;            /* of WordPiece and WordLevel; MBR_NO_TOKEN */
    mbr_added *added;
    uint32_t added_count;
    uint32_t *added_of;      /* (vocab_most) index + 1 of an added token by id */
    uint32_t id_most;        /* the highest id of all + 1 */
    mbr_trie plain_trie, normal_trie; /* values are indices of added */
    bool has_plain, has_normal;
    bool plain_first[256], normal_first[256];
    bool byte_level;         /* the last pre-tokenizer leaves bytes, which the model takes as such */
    bool trims;              /* the post-processor wants spaces counted */
    bool jit, no_matchers;
    bool truncates, truncate_left;
    uint32_t max_length, stride;
    enum { MBR_LONGEST_FIRST, MBR_ONLY_FIRST, MBR_ONLY_SECOND } strategy;
    bool pads, pad_left, pad_fixed;
    uint32_t pad_length, pad_multiple, pad_id, pad_type;
    mbr_string pad_token;
};

/* ---- one caller's room ---- */

typedef struct mbr_piece {
    uint32_t begin, end;  /* of the work text */
    uint32_t origin;      /* where it begins in the original */
    uint32_t token;       /* of an added one; MBR_NO_TOKEN: still to be encoded */
} mbr_piece;

typedef struct mbr_pieces {
    mbr_memory *memory;
    mbr_piece *items;
    uint32_t count, capacity;
    bool failed;
} mbr_pieces;

void mbr_pieces_add(mbr_pieces *p, const mbr_view *work, uint32_t begin, uint32_t end, uint32_t token);

/* A token before the post-processor. */
typedef struct mbr_tok {
    uint32_t id, type;
    uint32_t begin, end;  /* of the original */
    uint32_t word;        /* MBR_NO_TOKEN: none */
    uint32_t value;       /* begin of its text in the work text where that is not the id's; else MBR_NO_TOKEN */
    uint32_t value_size;
    uint32_t leading, trailing; /* white space of its text in characters, where a post-processor trims offsets */
    uint8_t special, attention, sequence;
} mbr_tok;

typedef struct mbr_toks {
    mbr_memory *memory;
    mbr_tok *items;
    uint32_t count, capacity;
    bool failed;
} mbr_toks;

bool mbr_toks_room(mbr_toks *t, uint32_t more);
static inline mbr_tok *mbr_toks_add(mbr_toks *t)
{
    if (t->count == t->capacity && !mbr_toks_room(t, 1))
        return NULL;
    return &t->items[t->count++];
}

/* What the model says of a piece: ids, and bytes of the piece. */
typedef struct mbr_unit {
    uint32_t id, begin, end;
    uint32_t own_text; /* 1: the text is the piece's, not the vocabulary's */
} mbr_unit;

typedef struct mbr_units {
    mbr_memory *memory;
    mbr_unit *items;
    uint32_t count, capacity;
    bool failed;
} mbr_units;

bool mbr_units_room(mbr_units *u, uint32_t more);
static inline void mbr_units_add(mbr_units *u, uint32_t id, uint32_t begin, uint32_t end)
{
    if (u->count < u->capacity || mbr_units_room(u, 1))
        u->items[u->count++] = (mbr_unit){ .id = id, .begin = begin, .end = end };
}

typedef struct mbr_cache mbr_cache;

typedef struct mbr_path {
    double score;
    uint32_t from, id;
} mbr_path;

typedef struct mbr_symbol {
    uint32_t id, size;
    uint32_t rank, merged;   /* with the next one; rank MBR_NO_TOKEN: they do not merge */
    uint32_t previous, next; /* only where there is a heap */
} mbr_symbol;

typedef struct mbr_candidate {
    uint32_t rank, at, id;
} mbr_candidate;

/* One result. */
typedef struct mbr_part {
    uint32_t first, count; /* of the output arrays */
} mbr_part;

struct mbr_encoding {
    const mbr_tokenizer *t;
    mbr_memory *memory;
    mbr_arena arena;           /* of one call */
    mbr_text repaired, text[2], norm[2];
    mbr_pieces pieces, fresh;
    mbr_view work;             /* what the pieces are of */
    mbr_units units;
    mbr_toks toks, out;
    mbr_cache *cache;
    mbr_symbol *symbols;
    mbr_candidate *heap;
    mbr_path *paths;
    uint32_t symbol_capacity, heap_capacity, path_capacity;
    mbr_match *match;
    uint32_t *chars;           /* characters before each byte of the original */
    uint32_t chars_capacity;
    mbr_part *parts;
    uint32_t part_count, part_capacity;
    void *output;              /* one block for what follows */
    uint32_t *ids, *types, *words;
    uint8_t *attention, *special, *sequence;
    mbr_token_span *spans;
    uint32_t out_capacity;
    mbr_text decoded[2];
    struct mbr_decode_list {
        mbr_string *items;
        uint32_t count, capacity;
    } strings[2];
};

/* ---- the steps ---- */

/* normalize.c. The result is in norm[*which], or nothing changed (*which is -1). */
mbr_status mbr_normalize(const mbr_tokenizer *t, mbr_match *match, mbr_text norm[2], const mbr_view *in, int *which,
                         mbr_error *err);
/* The character that stands for a byte in byte-level text, and back (-1: none). */
uint32_t mbr_byte_char(unsigned byte);
int mbr_char_byte(uint32_t c);

/* added.c */
mbr_status mbr_added_build(mbr_tokenizer *t, mbr_error *err);
/* Cuts bytes begin..end of the work text around added tokens, into e->fresh. */
void mbr_added_split(mbr_encoding *e, const mbr_view *work, uint32_t begin, uint32_t end, bool normalized);

/* pretokenize.c: cuts e->pieces of e->work. */
mbr_status mbr_pretokenize(mbr_encoding *e, mbr_error *err);

/* bpe.c, wordpiece.c, unigram.c: append to e->units. */
mbr_status mbr_bpe_encode(mbr_encoding *e, const char *text, uint32_t size, mbr_error *err);
mbr_status mbr_wordpiece_encode(mbr_encoding *e, const char *text, uint32_t size, mbr_error *err);
mbr_status mbr_wordlevel_encode(mbr_encoding *e, const char *text, uint32_t size, mbr_error *err);
mbr_status mbr_unigram_encode(mbr_encoding *e, const char *text, uint32_t size, mbr_error *err);

/* cache.c: words that were met before. NULL memory is fine: nothing is kept then. */
mbr_cache *mbr_cache_new(mbr_memory *memory);
void mbr_cache_free(mbr_memory *memory, mbr_cache *c);
uint64_t mbr_hash(const char *text, size_t size);
/* True when the word is known; its units are appended. */
bool mbr_cache_get(const mbr_cache *c, const char *text, uint32_t size, uint64_t hash, mbr_units *units);
void mbr_cache_put(mbr_cache *c, const char *text, uint32_t size, uint64_t hash, const mbr_unit *units, uint32_t count);

/* vocab.c */
mbr_status mbr_vocab_build(mbr_vocab *v, mbr_arena *arena, mbr_error *err); /* entries, entry_count are set */
uint32_t mbr_vocab_find(const mbr_vocab *v, const char *text, size_t size); /* MBR_NO_TOKEN */
/* The text of an id with the added tokens, as decoders see it; data NULL: there is none. */
mbr_string mbr_token_text(const mbr_tokenizer *t, uint32_t id);

/* load.c */
mbr_status mbr_tokenizer_load(mbr_tokenizer *t, mbr_error *err);
/* load_model.c */
mbr_status mbr_load_model(mbr_tokenizer *t, const mbr_json_node *model, mbr_error *err);

/* post.c: from the tokens of one or two sequences (the first `split` are the first one's) to e->out and e->parts. */
mbr_status mbr_post_run(mbr_encoding *e, uint32_t split, bool pair, const mbr_encode_options *o, mbr_error *err);
uint32_t mbr_post_added(const mbr_tokenizer *t, bool pair);
/* Counts the white space of a token, while the work text is there. */
void mbr_tok_spaces(const mbr_encoding *e, mbr_tok *k);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TfIdfVectorizer: counts n-grams of a pool in rows of integers or strings.
 *
 * The pool is a tree of words: a node for every beginning of an n-gram, found by (node before, word) in one hash table.
 */
#include "engine/ops/op_util.h"

#include <string.h>

typedef struct gram {
    uint32_t before; /* node, 0: the root */
    uint32_t word;   /* its place in the pool */
    int64_t id;      /* n-gram that ends here, counted from 1; 0: none */
} gram;

typedef struct tfidf_state {
    gram *nodes;      /* (n), node k + 1 is nodes[k] */
    uint32_t *slots;  /* (capacity) node or 0 */
    size_t n, capacity;
    int64_t width;    /* of an output row */
} tfidf_state;

typedef struct pool {
    const int64_t *numbers;
    const mbr_string *words;
    size_t n;
} pool;

static pool pool_of(const mbr_ir_node *node)
{
    pool p = { 0 };
    p.words = mbr_attr_strings(node, "pool_strings", &p.n);
    if (!p.n) {
        p.words = NULL;
        p.numbers = mbr_attr_ints(node, "pool_int64s", &p.n);
    }
    return p;
}

/* The number of n-grams of size k + 1, and where they begin. */
static size_t grams_of(const int64_t *counts, size_t sizes, size_t k, size_t total)
{
    int64_t end = k + 1 < sizes ? counts[k + 1] : (int64_t)total;
    return (size_t)(end - counts[k]) / (k + 1);
}

static int64_t width_of(const mbr_ir_node *node)
{
    size_t n;
    const int64_t *indexes = mbr_attr_ints(node, "ngram_indexes", &n);
    int64_t most = -1;
    for (size_t i = 0; i < n; i++)
        most = indexes[i] > most ? indexes[i] : most;
    return most + 1;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_ir_node *node = c->node;
    const mbr_arg *in = &c->in[0];
    pool p = pool_of(node);
    size_t sizes, n_indexes, n_weights, grams = 0;
    const int64_t *counts = mbr_attr_ints(node, "ngram_counts", &sizes);
    const int64_t *indexes = mbr_attr_ints(node, "ngram_indexes", &n_indexes);
    const char *mode = mbr_attr_string(node, "mode", "");
    int64_t least = mbr_attr_int(node, "min_gram_length", 0), most = mbr_attr_int(node, "max_gram_length", 0);
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_INDEX | MBR_TYPE_BIT(STRING)));
    MBR_TRY(mbr_op_check_rank(c, 0, 0, 2));
    if (in->dtype && p.n && (in->dtype == MBR_DTYPE_STRING) != (p.words != NULL))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the pool and the input differ in type");
    if (strcmp(mode, "TF") != 0 && strcmp(mode, "IDF") != 0 && strcmp(mode, "TFIDF") != 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "no mode is called '%s'", mode);
    if (least < 1 || most < least || most > (int64_t)sizes || mbr_attr_int(node, "max_skip_count", 0) < 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "n-grams of %lld to %lld words, sizes up to %zu", (long long)least,
                              (long long)most, sizes);
    for (size_t k = 0; k < sizes; k++) {
        int64_t end = k + 1 < sizes ? counts[k + 1] : (int64_t)p.n;
        if (counts[k] < 0 || end < counts[k] || end > (int64_t)p.n)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "ngram_counts does not fit a pool of %zu", p.n);
        grams += grams_of(counts, sizes, k, p.n);
    }
    if (grams > n_indexes || p.n > UINT32_MAX / 4)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%zu n-grams have %zu indexes", grams, n_indexes);
    for (size_t i = 0; i < n_indexes; i++)
        if (indexes[i] < 0 || indexes[i] > INT32_MAX)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the index %lld", (long long)indexes[i]);
    int64_t width = width_of(node);
    if (mbr_attr_floats(node, "weights", &n_weights) && n_weights && (int64_t)n_weights < width)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%zu weights for %lld columns", n_weights, (long long)width);
    mbr_dim dims[2] = { in->rank == 2 ? in->dims[0] : width, width };
    mbr_infer_out(c, 0, MBR_DTYPE_F32, in->rank < 0 ? -1 : in->rank == 2 ? 2 : 1, in->rank < 0 ? NULL : dims);
    return MBR_OK;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static uint64_t hash_text(mbr_string s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s.size; i++)
        h = (h ^ (unsigned char)s.data[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* A word of the pool, or of the input. */
typedef struct word {
    int64_t number;
    mbr_string text;
    bool is_text;
} word;

static bool same(const pool *p, uint32_t at, const word *w)
{
    if (!w->is_text)
        return p->numbers[at] == w->number;
    return p->words[at].size == w->text.size &&
           (w->text.size == 0 || memcmp(p->words[at].data, w->text.data, w->text.size) == 0);
}

/* The slot of (before, word): filled, or where it belongs. */
static size_t find(const tfidf_state *st, const pool *p, uint32_t before, const word *w)
{
    uint64_t h = mix(mix(before + UINT64_C(1)) ^ (w->is_text ? hash_text(w->text) : mix((uint64_t)w->number)));
    size_t slot = (size_t)h & (st->capacity - 1);
    for (; st->slots[slot]; slot = (slot + 1) & (st->capacity - 1)) {
        const gram *g = &st->nodes[st->slots[slot] - 1];
        if (g->before == before && same(p, g->word, w))
            break;
    }
    return slot;
}

static word pool_word(const pool *p, size_t i)
{
    return p->words ? (word){ .text = p->words[i], .is_text = true } : (word){ .number = p->numbers[i] };
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    tfidf_state *st = s->state;
    const mbr_ir_node *node = s->node;
    mbr_memory *memory = mbr_step_memory(s);
    pool p = pool_of(node);
    size_t sizes;
    const int64_t *counts = mbr_attr_ints(node, "ngram_counts", &sizes);
    int64_t least = mbr_attr_int(node, "min_gram_length", 1), most = mbr_attr_int(node, "max_gram_length", 1), id = 1;
    st->width = width_of(node);
    for (st->capacity = 16; st->capacity < 2 * p.n;)
        st->capacity *= 2;
    st->nodes = mbr_alloc(memory, (p.n + 1) * sizeof *st->nodes);
    st->slots = mbr_calloc(memory, st->capacity, sizeof *st->slots);
    if (!st->nodes || !st->slots)
        return mbr_no_memory(err, st->capacity * sizeof *st->slots);
    for (size_t k = 0; k < sizes; k++) {
        size_t grams = grams_of(counts, sizes, k, p.n), at = (size_t)counts[k];
        if ((int64_t)k + 1 < least || (int64_t)k + 1 > most) {
            id += (int64_t)grams;
            continue;
        }
        for (size_t g = 0; g < grams; g++, id++) {
            uint32_t node_at = 0;
            for (size_t i = 0; i <= k; i++, at++) {
                word w = pool_word(&p, at);
                size_t slot = find(st, &p, node_at, &w);
                if (!st->slots[slot]) {
                    st->nodes[st->n] = (gram){ .before = node_at, .word = (uint32_t)at };
                    st->slots[slot] = (uint32_t)++st->n;
                }
                node_at = st->slots[slot];
            }
            st->nodes[node_at - 1].id = id;
        }
    }
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    tfidf_state *st = s->state;
    mbr_free(mbr_step_memory(s), st->nodes);
    mbr_free(mbr_step_memory(s), st->slots);
    st->nodes = NULL;
    st->slots = NULL;
}

static void count_row(const mbr_step *s, const pool *p, size_t begin, size_t length, float *out)
{
    const tfidf_state *st = s->state;
    const mbr_value *in = s->in[0];
    size_t n_indexes;
    const int64_t *indexes = mbr_attr_ints(s->node, "ngram_indexes", &n_indexes);
    size_t least = (size_t)mbr_attr_int(s->node, "min_gram_length", 1);
    size_t most = (size_t)mbr_attr_int(s->node, "max_gram_length", 1);
    size_t skips = (size_t)mbr_attr_int(s->node, "max_skip_count", 0);
    for (size_t skip = 1; skip <= skips + 1 && skip <= length + 1; skip++) {
        for (size_t first = 0; first < length && first + skip * (least - 1) < length; first++) {
            uint32_t at = 0;
            for (size_t n = 1, i = first; n <= most && i < length; n++, i += skip) {
                word w = in->dtype == MBR_DTYPE_STRING
                             ? (word){ .text = ((const mbr_string *)in->data)[begin + i], .is_text = true }
                             : (word){ .number = mbr_value_int(in, begin + i) };
                at = st->slots[find(st, p, at, &w)];
                if (!at)
                    break;
                int64_t id = st->nodes[at - 1].id;
                if (n >= least && id)
                    out[indexes[id - 1]] += 1.0f;
            }
        }
        if (least == 1 && ++least > most) /* single words know no distance: they are counted once */
            break;
    }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const tfidf_state *st = s->state;
    const mbr_value *in = s->in[0];
    pool p = pool_of(s->node);
    float *out = s->out[0]->data;
    size_t rows = in->rank == 2 ? (size_t)in->dims[0] : 1, width = (size_t)st->width, n_weights;
    size_t length = rows ? mbr_value_count(in) / rows : 0;
    const float *weights = mbr_attr_floats(s->node, "weights", &n_weights);
    const char *mode = mbr_attr_string(s->node, "mode", "TF");
    (void)job;
    (void)err;
    if (rows * width == 0)
        return MBR_OK;
    memset(out, 0, rows * width * sizeof *out);
    for (size_t r = 0; r < rows; r++) {
        float *row = out + r * width;
        count_row(s, &p, r * length, length, row);
        for (size_t i = 0; i < width; i++) {
            float weight = weights && n_weights ? weights[i] : 1.0f;
            if (strcmp(mode, "IDF") == 0)
                row[i] = row[i] > 0 ? weight : 0.0f;
            else if (strcmp(mode, "TFIDF") == 0)
                row[i] *= weight;
        }
    }
    return MBR_OK;
}

const mbr_op mbr_ops_tf_idf_vectorizer[] = {
    { .domain = "", .name = "TfIdfVectorizer", .since = 9, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .infer = infer, .init = init, .run = run, .fini = fini, .state_size = sizeof(tfidf_state) },
    { 0 },
};

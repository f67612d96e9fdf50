/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps over categories: text (or numbers) out of a known set, and what to do with the rest. */
#include "runtime/steps/lookup_file.h"
#include "runtime/steps/step.h"

#include <math.h>
#include <string.h>

static mbr_status index_values(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const mbr_strings *values,
                               mbr_names *names)
{
    size_t twin;
    MBR_TRY(mbr_names_build(names, c->read.arena, values->items, values->count, &twin, c->read.err));
    if (twin != SIZE_MAX)
        return mbr_node_fail(&c->read, at, "step '%s': the value '%s' is listed twice", s->name,
                             values->items[twin].data);
    return MBR_OK;
}

/* A known set: texts of a text column, numbers of a number column. */
typedef struct categories {
    mbr_names names;
    double *numbers; /* (count), NULL of a text column */
    size_t count;
    size_t places;   /* values from here on share one place, the last */
} categories;

static mbr_status make_categories(const mbr_compiling *c, const mbr_node *at, const mbr_step *s,
                                  const mbr_strings *frequent, const mbr_strings *infrequent, categories *set)
{
    mbr_strings all = *frequent, *values = &all;
    if (infrequent->count) {
        all.count = frequent->count + infrequent->count;
        all.items = mbr_arena_calloc(c->read.arena, all.count, sizeof *all.items);
        if (!all.items)
            return mbr_no_memory(c->read.err, all.count * sizeof *all.items);
        for (size_t i = 0; i < all.count; i++)
            all.items[i] = i < frequent->count ? frequent->items[i] : infrequent->items[i - frequent->count];
    }
    set->places = frequent->count;
    MBR_TRY(index_values(c, at, s, values, &set->names));
    set->count = values->count;
    if (c->scope->cols[s->from[0]].type == MBR_COL_STRING)
        return MBR_OK;
    set->numbers = mbr_arena_calloc(c->read.arena, values->count, sizeof *set->numbers);
    if (!set->numbers)
        return mbr_no_memory(c->read.err, values->count * sizeof *set->numbers);
    for (size_t i = 0; i < values->count; i++)
        if (!mbr_text_number(values->items[i].data, values->items[i].size, &set->numbers[i]))
            return mbr_node_fail(&c->read, at, "step '%s' reads a number column; the value '%s' is no number", s->name,
                                 values->items[i].data);
    return MBR_OK;
}

/* The value of a row in the set; SIZE_MAX: it is missing, or not known. */
static size_t find_value(const categories *set, const mbr_step *s, const mbr_rows *rows, int row, bool *missing)
{
    if (!set->numbers) {
        const mbr_string *x = &rows->lanes[s->from[0]].str[row];
        *missing = !x->data;
        return x->data ? mbr_names_find(&set->names, x->data, x->size) : SIZE_MAX;
    }
    double x = mbr_step_in(s, rows, 0)[row];
    *missing = isnan(x);
    for (size_t i = 0; i < set->count; i++)
        if (set->numbers[i] == x)
            return i;
    return SIZE_MAX;
}

/* Its place. */
static size_t find_category(const categories *set, const mbr_step *s, const mbr_rows *rows, int row, bool *missing)
{
    size_t at = find_value(set, s, rows, row, missing);
    return at == SIZE_MAX || at < set->places ? at : set->places;
}

static void fail_category(mbr_rows *rows, int row, const mbr_step *s, bool missing)
{
    const mbr_col *col = &rows->cols[s->from[0]];
    if (missing) {
        mbr_rows_fail(rows, row, "column '%s' is missing, and step '%s' needs it", col->name, s->name);
    } else if (col->type == MBR_COL_STRING) {
        const mbr_string *x = &rows->lanes[s->from[0]].str[row];
        mbr_rows_fail(rows, row, "column '%s': the value '%.*s' is not known to step '%s'", col->name,
                      (int)(x->size > 100 ? 100 : x->size), x->data, s->name);
    } else {
        mbr_rows_fail(rows, row, "column '%s': the value %.17g is not known to step '%s'", col->name,
                      mbr_step_in(s, rows, 0)[row], s->name);
    }
}

/* ---- one_hot ---- */

typedef struct one_hot {
    mbr_strings values, infrequent;
    int unknown, missing;
    categories set;
} one_hot;

enum { ONE_HOT_ZEROS, ONE_HOT_ERROR, ONE_HOT_INFREQUENT };

const mbr_param mbr_params_one_hot[] = {
    { .name = "values", .type = MBR_PARAM_STRINGS, .required = true, .offset = offsetof(one_hot, values) },
    { .name = "infrequent", .type = MBR_PARAM_STRINGS, .offset = offsetof(one_hot, infrequent) },
    { .name = "unknown", .type = MBR_PARAM_CHOICE, .words = "zeros|error|infrequent", .offset = offsetof(one_hot, unknown),
      .preset = ONE_HOT_ERROR },
    { .name = "missing", .type = MBR_PARAM_CHOICE, .words = "zeros|error|infrequent", .offset = offsetof(one_hot, missing),
      .preset = ONE_HOT_ZEROS },
    { .name = NULL }
};

mbr_status mbr_compile_one_hot(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    one_hot *p = s->params;
    if (p->values.count >= MBR_MAX_WIDTH)
        return mbr_node_fail(&c->read, at, "step '%s': more than %d values", s->name, MBR_MAX_WIDTH - 1);
    bool asked = p->infrequent.count || p->unknown == ONE_HOT_INFREQUENT || p->missing == ONE_HOT_INFREQUENT;
    out->width = (int)p->values.count + asked;
    return make_categories(c, at, s, &p->values, &p->infrequent, &p->set);
}

void mbr_run_one_hot(const mbr_step *s, mbr_rows *rows)
{
    const one_hot *p = s->params;
    double *y = mbr_step_out(s, rows);
    memset(y, 0, mbr_step_count(s, rows) * sizeof *y);
    for (int i = 0; i < rows->count; i++) {
        bool missing;
        size_t at = find_category(&p->set, s, rows, i, &missing);
        int lost = missing ? p->missing : p->unknown;
        if (at == SIZE_MAX && lost == ONE_HOT_INFREQUENT)
            at = p->set.places;
        if (at != SIZE_MAX)
            y[(size_t)i * (size_t)rows->cols[s->out].width + at] = 1;
        else if (lost == ONE_HOT_ERROR)
            fail_category(rows, i, s, missing);
    }
}

/* ---- ordinal: the place in a list ---- */

typedef struct ordinal {
    mbr_strings values, infrequent;
    mbr_policy unknown, missing;
    categories set;
} ordinal;

enum { CATEGORY_MISSING, CATEGORY_ERROR };

const mbr_param mbr_params_ordinal[] = {
    { .name = "values", .type = MBR_PARAM_STRINGS, .required = true, .offset = offsetof(ordinal, values) },
    { .name = "infrequent", .type = MBR_PARAM_STRINGS, .offset = offsetof(ordinal, infrequent) },
    { .name = "unknown", .type = MBR_PARAM_POLICY, .words = "missing|error", .offset = offsetof(ordinal, unknown),
      .preset = CATEGORY_ERROR },
    { .name = "missing", .type = MBR_PARAM_POLICY, .words = "missing|error", .offset = offsetof(ordinal, missing),
      .preset = CATEGORY_MISSING },
    { .name = NULL }
};

mbr_status mbr_compile_ordinal(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    ordinal *p = s->params;
    out->type = MBR_COL_NUMBER;
    return make_categories(c, at, s, &p->values, &p->infrequent, &p->set);
}

/* What stands for a value that is not in the set: NaN with a word. */
static double stand_in(const mbr_step *s, mbr_rows *rows, int row, bool is_missing, const mbr_policy *unknown,
                       const mbr_policy *missing)
{
    const mbr_policy *policy = is_missing ? missing : unknown;
    if (policy->word == CATEGORY_ERROR)
        fail_category(rows, row, s, is_missing);
    return policy->number;
}

void mbr_run_ordinal(const mbr_step *s, mbr_rows *rows)
{
    const ordinal *p = s->params;
    double *y = mbr_step_out(s, rows);
    for (int i = 0; i < rows->count; i++) {
        bool missing;
        size_t at = find_category(&p->set, s, rows, i, &missing);
        y[i] = at != SIZE_MAX ? (double)at : stand_in(s, rows, i, missing, &p->unknown, &p->missing);
    }
}

/* ---- lookup: numbers for each value (rates, target and count encodings), here or in a CSV file ---- */

typedef struct lookup {
    mbr_table table;
    mbr_string file, key;
    mbr_strings value;
    mbr_policy unknown, missing;
    mbr_names names;
    double *values; /* (keys, width) */
    int width;
} lookup;

const mbr_param mbr_params_lookup[] = {
    { .name = "table", .type = MBR_PARAM_TABLE, .offset = offsetof(lookup, table) },
    { .name = "file", .type = MBR_PARAM_STRING, .offset = offsetof(lookup, file) },
    { .name = "key", .type = MBR_PARAM_STRING, .offset = offsetof(lookup, key) },
    { .name = "value", .type = MBR_PARAM_STRINGS, .offset = offsetof(lookup, value) },
    { .name = "unknown", .type = MBR_PARAM_POLICY, .words = "missing|error", .offset = offsetof(lookup, unknown),
      .preset = CATEGORY_ERROR },
    { .name = "missing", .type = MBR_PARAM_POLICY, .words = "missing|error", .offset = offsetof(lookup, missing),
      .preset = CATEGORY_MISSING },
    { .name = NULL }
};

mbr_status mbr_compile_lookup(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    lookup *p = s->params;
    bool table = p->table.count > 0, file = p->file.data != NULL;
    if (table == file || file != (p->key.data != NULL) || file != (p->value.count > 0))
        return mbr_node_fail(&c->read, at, "step '%s' needs the key 'table', or 'file', 'key' and 'value'", s->name);
    mbr_strings keys;
    if (table) {
        keys = (mbr_strings){ p->table.keys, p->table.count };
        p->values = p->table.values;
        p->width = 1;
    } else {
        mbr_lookup_file wanted = { .path = p->file.data, .key = p->key, .values = p->value, .step = s->name, .at = at };
        MBR_TRY(mbr_lookup_read(&c->read, &wanted));
        keys = wanted.keys;
        p->values = wanted.numbers;
        p->width = (int)p->value.count;
    }
    out->width = p->width;
    return index_values(c, at, s, &keys, &p->names);
}

void mbr_run_lookup(const mbr_step *s, mbr_rows *rows)
{
    const lookup *p = s->params;
    const mbr_string *x = rows->lanes[s->from[0]].str;
    double *y = mbr_step_out(s, rows);
    size_t width = (size_t)p->width;
    for (int i = 0; i < rows->count; i++, y += width) {
        size_t at = x[i].data ? mbr_names_find(&p->names, x[i].data, x[i].size) : SIZE_MAX;
        double instead = at == SIZE_MAX ? stand_in(s, rows, i, !x[i].data, &p->unknown, &p->missing) : 0;
        for (size_t k = 0; k < width; k++)
            y[k] = at == SIZE_MAX ? instead : p->values[at * width + k];
    }
}

/* ---- hash: places by MurmurHash3, as FeatureHasher ---- */

typedef struct hash_params {
    int64_t buckets;
    bool alternate;
    int tokens, make;
} hash_params;

enum { HASH_VALUES, HASH_NAMED };
enum { HASH_VECTOR, HASH_INDEX };

const mbr_param mbr_params_hash[] = {
    { .name = "buckets", .type = MBR_PARAM_INT, .required = true, .offset = offsetof(hash_params, buckets) },
    { .name = "alternate_sign", .type = MBR_PARAM_BOOL, .offset = offsetof(hash_params, alternate), .preset = 1 },
    { .name = "tokens", .type = MBR_PARAM_CHOICE, .words = "values|named", .offset = offsetof(hash_params, tokens),
      .preset = HASH_VALUES },
    { .name = "make", .type = MBR_PARAM_CHOICE, .words = "vector|index", .offset = offsetof(hash_params, make),
      .preset = HASH_VECTOR },
    { .name = NULL }
};

mbr_status mbr_compile_hash(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const hash_params *p = s->params;
    if (p->buckets < 1 || p->buckets > (p->make == HASH_VECTOR ? MBR_MAX_WIDTH : INT32_MAX))
        return mbr_node_fail(&c->read, at, "step '%s': 'buckets' must be 1 to %d", s->name,
                             p->make == HASH_VECTOR ? MBR_MAX_WIDTH : INT32_MAX);
    if (p->make == HASH_INDEX && s->from_count > 1)
        return mbr_node_fail(&c->read, at, "step '%s': an index is made of one column", s->name);
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_NUMBER,
                      .width = p->make == HASH_VECTOR ? (int)p->buckets : 1 };
    return MBR_OK;
}

/* MurmurHash3 (x86, 32 bits) over several pieces, one after the other; begins with seed 0. */
typedef struct murmur {
    uint32_t hash, word;
    size_t size;
} murmur;

static uint32_t rotate(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

static void murmur_add(murmur *m, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        m->word |= (uint32_t)(unsigned char)s[i] << 8 * (m->size++ & 3);
        if (m->size & 3)
            continue;
        m->hash = rotate(m->hash ^ rotate(m->word * 0xcc9e2d51u, 15) * 0x1b873593u, 13) * 5 + 0xe6546b64u;
        m->word = 0;
    }
}

static int32_t murmur_end(const murmur *m)
{
    uint32_t h = m->hash ^ (m->size & 3 ? rotate(m->word * 0xcc9e2d51u, 15) * 0x1b873593u : 0) ^ (uint32_t)m->size;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return (int32_t)(h ^ h >> 16);
}

void mbr_run_hash(const mbr_step *s, mbr_rows *rows)
{
    const hash_params *p = s->params;
    double *y = mbr_step_out(s, rows);
    size_t width = p->make == HASH_VECTOR ? (size_t)p->buckets : 1;
    memset(y, 0, mbr_step_count(s, rows) * sizeof *y);
    for (int i = 0; i < rows->count; i++, y += width)
        for (int k = 0; k < s->from_count; k++) {
            const mbr_string *x = &rows->lanes[s->from[k]].str[i];
            murmur m = { 0, 0, 0 };
            if (!x->data) { /* no token */
                if (p->make == HASH_INDEX)
                    y[0] = NAN;
                continue;
            }
            if (p->tokens == HASH_NAMED) {
                murmur_add(&m, rows->cols[s->from[k]].name, strlen(rows->cols[s->from[k]].name));
                murmur_add(&m, "=", 1);
            }
            murmur_add(&m, x->data, x->size);
            int64_t h = murmur_end(&m);
            int64_t at = (h < 0 ? -h : h) % p->buckets;
            if (p->make == HASH_INDEX)
                y[0] = (double)at;
            else
                y[at] += p->alternate && h < 0 ? -1 : 1;
        }
}

/* ---- cross: several texts as one; a missing part is empty ---- */

typedef struct cross {
    mbr_string separator;
} cross;

const mbr_param mbr_params_cross[] = {
    { .name = "separator", .type = MBR_PARAM_STRING, .offset = offsetof(cross, separator) },
    { .name = NULL }
};

mbr_status mbr_compile_cross(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    cross *p = s->params;
    (void)c;
    (void)at;
    if (!p->separator.data)
        p->separator = (mbr_string){ "|", 1 };
    out->type = MBR_COL_STRING;
    return MBR_OK;
}

void mbr_run_cross(const mbr_step *s, mbr_rows *rows)
{
    const cross *p = s->params;
    mbr_string *y = rows->lanes[s->out].str;
    for (int i = 0; i < rows->count; i++) {
        size_t size = p->separator.size * (size_t)(s->from_count - 1), at = 0;
        for (int k = 0; k < s->from_count; k++)
            size += rows->lanes[s->from[k]].str[i].size;
        char *text = mbr_pool_alloc(&rows->pool, size + 1);
        y[i] = (mbr_string){ text, text ? size : 0 };
        if (!text) {
            mbr_rows_fail(rows, i, "step '%s': out of memory", s->name);
            continue;
        }
        for (int k = 0; k < s->from_count; k++) {
            const mbr_string *part = &rows->lanes[s->from[k]].str[i];
            if (k)
                memcpy(text + at, p->separator.data, p->separator.size);
            at += k ? p->separator.size : 0;
            if (part->size)
                memcpy(text + at, part->data, part->size);
            at += part->size;
        }
    }
}

_Static_assert(sizeof(one_hot) <= MBR_STEP_PARAMS && sizeof(ordinal) <= MBR_STEP_PARAMS &&
               sizeof(lookup) <= MBR_STEP_PARAMS, "room for parameters");

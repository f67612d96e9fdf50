/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/ml_table.h"

#include <string.h>

#define PROBES 64 /* slots behind its own where a key may stand: a file cannot make a search long */

int64_t mbr_ml_number(double v)
{
    int64_t bits;
    if (v != v)
        return INT64_MIN;
    v += 0.0; /* -0 becomes 0 */
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

int64_t mbr_ml_key_of(const mbr_value *v, size_t i)
{
    return mbr_dtype_is_float(v->dtype) ? mbr_ml_number(mbr_value_real(v, i)) : mbr_value_int(v, i);
}

static mbr_string text_at(const mbr_ml_keys *k, size_t i)
{
    return k->strings ? k->strings[i] : ((const mbr_string *)k->tensor->data)[i];
}

static int compare_text(mbr_string a, mbr_string b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static bool comes_after(const mbr_ml_table *t, uint32_t a, uint32_t b)
{
    int order = t->text ? compare_text(text_at(&t->keys, a), text_at(&t->keys, b))
                        : (t->numbers[a] > t->numbers[b]) - (t->numbers[a] < t->numbers[b]);
    return order > 0 || (order == 0 && a > b);
}

static void sift(const mbr_ml_table *t, size_t at, size_t n)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && comes_after(t, t->order[child + 1], t->order[child]);
        if (!comes_after(t, t->order[child], t->order[at]))
            return;
        uint32_t swap = t->order[at];
        t->order[at] = t->order[child];
        t->order[child] = swap;
    }
}

/* A heap sort: the comparison needs the table, which qsort has no way to pass. */
static void sort(const mbr_ml_table *t)
{
    for (size_t i = t->n / 2; i-- > 0;)
        sift(t, i, t->n);
    for (size_t n = t->n; n-- > 1;) {
        uint32_t swap = t->order[0];
        t->order[0] = t->order[n];
        t->order[n] = swap;
        sift(t, 0, n);
    }
}

/* --- by hash --- */

static size_t hash_number(int64_t key)
{
    uint64_t h = (uint64_t)key * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 32);
}

static size_t hash_text(mbr_string s)
{
    uint64_t h = s.size;
    for (size_t i = 0; i < s.size; i++)
        h = (h ^ (uint8_t)s.data[i]) * 0x100000001B3u;
    return hash_number((int64_t)h);
}

/* Enters all keys, of equal ones the last. Returns false when they crowd. */
static bool fill_slots(mbr_ml_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t at = t->text ? hash_text(text_at(&t->keys, i)) : hash_number(t->numbers[i]), k = 0;
        for (; k < PROBES; k++) {
            uint32_t *slot = &t->slots[(at + k) & t->mask];
            bool equal = *slot && (t->text ? compare_text(text_at(&t->keys, *slot - 1), text_at(&t->keys, i)) == 0
                                           : t->numbers[*slot - 1] == t->numbers[i]);
            if (*slot && !equal)
                continue;
            *slot = (uint32_t)i + 1;
            break;
        }
        if (k == PROBES)
            return false;
    }
    return true;
}

static mbr_status make_slots(mbr_ml_table *t, mbr_error *err)
{
    size_t size = 4;
    while (size < 2 * t->n)
        size *= 2;
    t->mask = size - 1;
    t->slots = mbr_calloc(t->memory, size, sizeof *t->slots);
    if (!t->slots)
        return mbr_no_memory(err, size * sizeof *t->slots);
    if (!fill_slots(t)) {
        mbr_free(t->memory, t->slots);
        t->slots = NULL;
    }
    return MBR_OK;
}

/* Integers within a small range. */
static mbr_status make_direct(mbr_ml_table *t, mbr_error *err)
{
    int64_t low = t->numbers[0], high = low;
    for (size_t i = 1; i < t->n; i++) {
        low = t->numbers[i] < low ? t->numbers[i] : low;
        high = t->numbers[i] > high ? t->numbers[i] : high;
    }
    uint64_t less = (uint64_t)high - (uint64_t)low;
    if (less >= 4 * (uint64_t)t->n + 256)
        return MBR_OK;
    t->low = low;
    t->span = less + 1;
    t->direct = mbr_calloc(t->memory, (size_t)t->span, sizeof *t->direct);
    if (!t->direct)
        return mbr_no_memory(err, (size_t)t->span * sizeof *t->direct);
    for (size_t i = 0; i < t->n; i++)
        t->direct[(uint64_t)t->numbers[i] - (uint64_t)low] = (uint32_t)i + 1;
    return MBR_OK;
}

mbr_status mbr_ml_table_build(mbr_ml_table *t, const mbr_ml_keys *keys, mbr_memory *memory, mbr_error *err)
{
    *t = (mbr_ml_table){ .memory = memory, .keys = *keys, .n = keys->n };
    t->text = keys->strings || (keys->tensor && keys->tensor->dtype == MBR_DTYPE_STRING);
    if (t->n > UINT32_MAX / 4)
        return mbr_fail(err, MBR_ERR_LIMIT, "a table of more than 2^30 keys");
    t->order = mbr_calloc(memory, t->n + 1, sizeof *t->order);
    t->numbers = t->text ? NULL : mbr_calloc(memory, t->n + 1, sizeof *t->numbers);
    if (!t->order || (!t->text && !t->numbers))
        return mbr_no_memory(err, t->n * sizeof *t->numbers);
    for (size_t i = 0; i < t->n; i++) {
        t->order[i] = (uint32_t)i;
        if (!t->text)
            t->numbers[i] = keys->ints     ? keys->ints[i]
                            : keys->floats ? mbr_ml_number((double)keys->floats[i])
                                           : mbr_ml_key_of(keys->tensor, i);
    }
    if (!t->text && t->n)
        MBR_TRY(make_direct(t, err));
    if (t->direct)
        return MBR_OK;
    MBR_TRY(make_slots(t, err));
    if (!t->slots)
        sort(t);
    return MBR_OK;
}

void mbr_ml_table_free(mbr_ml_table *t)
{
    if (!t->memory)
        return;
    mbr_free(t->memory, t->order);
    mbr_free(t->memory, t->numbers);
    mbr_free(t->memory, t->slots);
    mbr_free(t->memory, t->direct);
}

size_t mbr_ml_table_find_number(const mbr_ml_table *t, int64_t key)
{
    if (t->direct)
        return mbr_ml_table_at(t, key);
    size_t hash = t->slots ? hash_number(key) : 0;
    for (size_t k = 0; t->slots && k < PROBES; k++) {
        uint32_t place = t->slots[(hash + k) & t->mask];
        if (!place || t->numbers[place - 1] == key)
            return place ? place - 1 : SIZE_MAX;
    }
    size_t low = 0, high = t->n; /* the first that is greater */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->numbers[t->order[middle]] <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return low && t->numbers[t->order[low - 1]] == key ? t->order[low - 1] : SIZE_MAX;
}

size_t mbr_ml_table_find_text(const mbr_ml_table *t, mbr_string key)
{
    size_t hash = t->slots ? hash_text(key) : 0;
    for (size_t k = 0; t->slots && k < PROBES; k++) {
        uint32_t place = t->slots[(hash + k) & t->mask];
        if (!place || compare_text(text_at(&t->keys, place - 1), key) == 0)
            return place ? place - 1 : SIZE_MAX;
    }
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_text(text_at(&t->keys, t->order[middle]), key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low && compare_text(text_at(&t->keys, t->order[low - 1]), key) == 0 ? t->order[low - 1] : SIZE_MAX;
}

size_t mbr_ml_table_find(const mbr_ml_table *t, const mbr_value *v, size_t i)
{
    return t->text ? mbr_ml_table_find_text(t, ((const mbr_string *)v->data)[i])
                   : mbr_ml_table_find_number(t, mbr_ml_key_of(v, i));
}

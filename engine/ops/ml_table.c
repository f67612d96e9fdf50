/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/ml_table.h"

#include <string.h>

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

mbr_status mbr_ml_table_build(mbr_ml_table *t, const mbr_ml_keys *keys, mbr_memory *memory, mbr_error *err)
{
    *t = (mbr_ml_table){ .memory = memory, .keys = *keys, .n = keys->n };
    t->text = keys->strings || (keys->tensor && keys->tensor->dtype == MBR_DTYPE_STRING);
    if (t->n > UINT32_MAX)
        return mbr_fail(err, MBR_ERR_LIMIT, "a table of more than 2^32 keys");
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
    sort(t);
    return MBR_OK;
}

void mbr_ml_table_free(mbr_ml_table *t)
{
    if (!t->memory)
        return;
    mbr_free(t->memory, t->order);
    mbr_free(t->memory, t->numbers);
}

size_t mbr_ml_table_find_number(const mbr_ml_table *t, int64_t key)
{
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

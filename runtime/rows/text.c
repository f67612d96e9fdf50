/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/rows/text.h"
#include "base/checked.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool mbr_text_is(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(s, word, n) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

mbr_string mbr_text_trim(const char *s, size_t n)
{
    while (n && is_blank(s[0]))
        s++, n--;
    while (n && is_blank(s[n - 1]))
        n--;
    return (mbr_string){ .data = s, .size = n };
}

int mbr_text_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    int row[41];
    if (na > 40 || nb > 40)
        return 99;
    for (size_t j = 0; j <= nb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

/* ---- numbers ---- */

/* More digits than this cannot change the nearest double but by being there at all. */
#define NUMBER_DIGITS 800

typedef struct decimal {
    char digits[NUMBER_DIGITS + 2]; /* significant ones; the last may stand for a tail that is not zero */
    int count;
    int64_t exponent;               /* value = digits * 10^exponent */
    bool negative;
} decimal;

static void add_digit(decimal *d, char c, bool fraction)
{
    if (d->count == 0 && c == '0') {
        d->exponent -= fraction;
        return;
    }
    if (d->count < NUMBER_DIGITS) {
        d->digits[d->count++] = c;
        d->exponent -= fraction;
        return;
    }
    if (c != '0')
        d->digits[NUMBER_DIGITS - 1] = '1'; /* odd: keeps the value off a tie and above the shorter one */
    d->exponent += !fraction;
}

static bool scan_decimal(const char *s, size_t n, decimal *d)
{
    size_t i = 0;
    bool any = false;
    d->count = 0;
    d->exponent = 0;
    d->negative = false;
    if (i < n && (s[i] == '+' || s[i] == '-'))
        d->negative = s[i++] == '-';
    for (; i < n && is_digit(s[i]); i++, any = true)
        add_digit(d, s[i], false);
    if (i < n && s[i] == '.')
        for (i++; i < n && is_digit(s[i]); i++, any = true)
            add_digit(d, s[i], true);
    if (!any)
        return false;
    if (i < n && (s[i] == 'e' || s[i] == 'E')) {
        bool minus = false, digit = false;
        int64_t e = 0;
        if (++i < n && (s[i] == '+' || s[i] == '-'))
            minus = s[i++] == '-';
        for (; i < n && is_digit(s[i]); i++, digit = true)
            if (e < 1000000)
                e = e * 10 + (s[i] - '0');
        if (!digit)
            return false;
        d->exponent += minus ? -e : e;
    }
    return i == n;
}

bool mbr_text_number(const char *s, size_t n, double *out)
{
    static const double power[23] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (n == 3 && (s[0] | 32) == 'n' && (s[1] | 32) == 'a' && (s[2] | 32) == 'n') {
        *out = NAN;
        return true;
    }
    decimal d;
    if (!scan_decimal(s, n, &d))
        return false;
    double value = 0;
    if (d.count > 0 && d.count <= 15 && d.exponent >= -22 && d.exponent <= 22) {
        /* Both factors are exact, so the one rounding is the right one. */
        int64_t whole = 0;
        for (int i = 0; i < d.count; i++)
            whole = whole * 10 + (d.digits[i] - '0');
        value = d.exponent < 0 ? (double)whole / power[-d.exponent] : (double)whole * power[d.exponent];
    } else if (d.count > 0) {
        /* Without a decimal point strtod does not depend on the locale. */
        char text[NUMBER_DIGITS + 32];
        int64_t e = d.exponent < -100000 ? -100000 : d.exponent > 100000 ? 100000 : d.exponent;
        memcpy(text, d.digits, (size_t)d.count);
        snprintf(text + d.count, sizeof text - (size_t)d.count, "e%d", (int)e);
        value = strtod(text, NULL);
        if (isinf(value))
            return false;
    }
    *out = d.negative ? -value : value;
    return true;
}

/* ---- times ---- */

int64_t mbr_days_from_date(int64_t year, int month, int day)
{
    /* Years begin in March, so that the leap day is their last; eras of 400 years repeat. */
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void mbr_date_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

/* Reads exactly `digits` digits. */
static bool take_digits(const char **s, const char *end, int digits, int *out)
{
    int value = 0;
    if (end - *s < digits)
        return false;
    for (int i = 0; i < digits; i++) {
        if (!is_digit((*s)[i]))
            return false;
        value = value * 10 + ((*s)[i] - '0');
    }
    *s += digits;
    *out = value;
    return true;
}

static bool take_char(const char **s, const char *end, char c)
{
    if (*s == end || **s != c)
        return false;
    ++*s;
    return true;
}

static bool take_offset(const char **s, const char *end, int *seconds)
{
    int hours = 0, minutes = 0;
    *seconds = 0;
    if (*s == end || take_char(s, end, 'Z') || take_char(s, end, 'z'))
        return true;
    bool minus = **s == '-';
    if (!minus && **s != '+')
        return false;
    ++*s;
    if (!take_digits(s, end, 2, &hours))
        return false;
    bool colon = take_char(s, end, ':');
    if ((colon || *s != end) && !take_digits(s, end, 2, &minutes))
        return false;
    *seconds = (hours * 60 + minutes) * (minus ? -60 : 60);
    return hours < 24 && minutes < 60;
}

bool mbr_text_time(const char *s, size_t n, double *out)
{
    static const int length[12] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const char *end = s + n;
    int year, month, day, hour = 0, minute = 0, second = 0, offset = 0;
    double fraction = 0;
    if (!take_digits(&s, end, 4, &year) || !take_char(&s, end, '-') || !take_digits(&s, end, 2, &month) ||
        !take_char(&s, end, '-') || !take_digits(&s, end, 2, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > length[month - 1] || (month == 2 && day == 29 && !leap))
        return false;
    if (s != end) {
        if (*s != 'T' && *s != 't' && *s != ' ')
            return false;
        s++;
        if (!take_digits(&s, end, 2, &hour) || !take_char(&s, end, ':') || !take_digits(&s, end, 2, &minute))
            return false;
        if (take_char(&s, end, ':')) {
            if (!take_digits(&s, end, 2, &second))
                return false;
            if (s != end && (*s == '.' || *s == ',')) {
                double unit = 1;
                if (++s == end || !is_digit(*s))
                    return false;
                for (; s != end && is_digit(*s); s++)
                    if (unit < 1e9) {
                        unit *= 10;
                        fraction = fraction * 10 + (*s - '0');
                    }
                fraction /= unit;
            }
        }
        if (hour > 23 || minute > 59 || second > 60 || !take_offset(&s, end, &offset) || s != end)
            return false;
    }
    int64_t whole = mbr_days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    *out = (double)whole + fraction;
    return true;
}

/* ---- UTF-8 ---- */

bool mbr_text_utf8(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + n;
    while (s < end) {
        unsigned c = *s++;
        if (c < 0x80)
            continue;
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || end - s < more)
            return false;
        unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (*s < low || *s > high)
            return false;
        for (s++; --more; s++)
            if ((*s & 0xc0) != 0x80)
                return false;
    }
    return true;
}

/* ---- pool ---- */

#define POOL_CHUNK ((size_t)16 * 1024)

typedef struct mbr_pool_chunk {
    struct mbr_pool_chunk *next;
    size_t size; /* of what follows */
} mbr_pool_chunk;

#define POOL_HEAD ((size_t)16) /* before the content, which stays aligned */
_Static_assert(sizeof(mbr_pool_chunk) <= POOL_HEAD, "the head of a chunk fits into its room");

void mbr_pool_init(mbr_pool *p, mbr_memory *memory)
{
    *p = (mbr_pool){ .memory = memory };
}

void mbr_pool_destroy(mbr_pool *p)
{
    for (mbr_pool_chunk *c = p->first, *next; c; c = next) {
        next = c->next;
        mbr_free(p->memory, c);
    }
    mbr_pool_init(p, p->memory);
}

void mbr_pool_reset(mbr_pool *p)
{
    p->at = p->first;
    p->used = 0;
}

void *mbr_pool_alloc(mbr_pool *p, size_t bytes)
{
    if (!mbr_round_up(bytes, 16, &bytes))
        return NULL;
    while (p->at && p->at->size - p->used < bytes && p->at->next) {
        p->at = p->at->next;
        p->used = 0;
    }
    if (!p->at || p->at->size - p->used < bytes) {
        size_t size = mbr_max_size(bytes, POOL_CHUNK), total;
        mbr_pool_chunk *c = mbr_add_size(size, POOL_HEAD, &total) ? mbr_alloc(p->memory, total) : NULL;
        if (!c)
            return NULL;
        c->size = size;
        c->next = NULL;
        if (p->at)
            p->at->next = c;
        else
            p->first = c;
        p->at = c;
        p->used = 0;
    }
    char *block = (char *)p->at + POOL_HEAD + p->used;
    p->used += bytes;
    return block;
}

/* ---- names ---- */

static size_t hash_text(const char *s, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ (h >> 32));
}

mbr_status mbr_names_build(mbr_names *t, mbr_arena *arena, const mbr_string *keys, size_t count, size_t *twin,
                           mbr_error *err)
{
    size_t size = 4;
    *twin = SIZE_MAX;
    if (count > UINT32_MAX / 4)
        return mbr_fail(err, MBR_ERR_LIMIT, "a table of %zu names is too large", count);
    while (size < count * 2)
        size *= 2;
    t->keys = keys;
    t->count = count;
    t->mask = size - 1;
    t->slots = mbr_arena_calloc(arena, size, sizeof *t->slots);
    if (!t->slots)
        return mbr_no_memory(err, size * sizeof *t->slots);
    for (size_t i = 0; i < count; i++) {
        size_t at = hash_text(keys[i].data, keys[i].size) & t->mask;
        for (; t->slots[at]; at = (at + 1) & t->mask) {
            const mbr_string *k = &keys[t->slots[at] - 1];
            if (k->size == keys[i].size && memcmp(k->data, keys[i].data, k->size) == 0) {
                *twin = i;
                return MBR_OK;
            }
        }
        t->slots[at] = (uint32_t)i + 1;
    }
    return MBR_OK;
}

size_t mbr_names_find(const mbr_names *t, const char *s, size_t n)
{
    if (!t->count)
        return SIZE_MAX;
    for (size_t at = hash_text(s, n) & t->mask; t->slots[at]; at = (at + 1) & t->mask) {
        const mbr_string *k = &t->keys[t->slots[at] - 1];
        if (k->size == n && memcmp(k->data, s, n) == 0)
            return t->slots[at] - 1;
    }
    return SIZE_MAX;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/actions/line.h"

#include "base/checked.h"
#include "runtime/rows/text.h"

#include <math.h>
#include <stdio.h>

__extension__ typedef unsigned __int128 wide;

bool mbr_line_room(mbr_line *o, size_t bytes)
{
    if (o->failed)
        return false;
    if (bytes <= o->capacity - o->used)
        return true;
    size_t capacity = mbr_max_size(mbr_max_size(o->used + bytes, 2 * o->capacity), 4096);
    char *text = mbr_grow(o->memory, o->text, o->used, capacity);
    if (!text) {
        o->failed = true;
        return false;
    }
    o->text = text;
    o->capacity = capacity;
    return true;
}

void mbr_line_free(mbr_line *o)
{
    mbr_free(o->memory, o->text);
    *o = (mbr_line){ .memory = o->memory };
}

/* ---- text ---- */

/* Not 0: one of eight bytes is a control, a quote or a backslash. */
static inline uint64_t special_bytes(uint64_t w)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t quote = w ^ ones * '"', back = w ^ ones * '\\';
    return (((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((back - ones) & ~back)) & tops;
}

void mbr_line_string(mbr_line *o, const char *text, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    size_t most;
    if (!mbr_mul_size(n, 6, &most) || most > SIZE_MAX - 2 || !mbr_line_room(o, most + 2)) {
        o->failed = true;
        return;
    }
    char *to = o->text + o->used;
    *to++ = '"';
    for (size_t i = 0; i < n; i++) {
        for (uint64_t w; n - i >= 8; i += 8, to += 8) { /* eight that need no escape */
            memcpy(&w, text + i, sizeof w);
            if (special_bytes(w))
                break;
            memcpy(to, &w, sizeof w);
        }
        if (i == n)
            break;
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            *to++ = (char)c;
            continue;
        }
        *to++ = '\\';
        switch (c) {
        case '"': case '\\': *to++ = (char)c; break;
        case '\n': *to++ = 'n'; break;
        case '\r': *to++ = 'r'; break;
        case '\t': *to++ = 't'; break;
        default:
            memcpy(to, "u00", 3);
            to[3] = digits[c >> 4];
            to[4] = digits[c & 15];
            to += 5;
            break;
        }
    }
    *to++ = '"';
    o->used = (size_t)(to - o->text);
}

void mbr_format_hash(char to[MBR_HASH_TEXT], mbr_hash h)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t half[2] = { h.a, h.b };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 16; i++)
            to[16 * k + i] = digits[half[k] >> (60 - 4 * i) & 15];
    to[32] = '\0';
}

void mbr_line_hash(mbr_line *o, mbr_hash h)
{
    char text[MBR_HASH_TEXT];
    mbr_format_hash(text, h);
    mbr_line_bytes(o, "\"", 1);
    mbr_line_bytes(o, text, 32);
    mbr_line_bytes(o, "\"", 1);
}

static void two_digits(char *to, int x)
{
    to[0] = (char)('0' + x / 10);
    to[1] = (char)('0' + x % 10);
}

void mbr_format_time(char to[MBR_TIME_TEXT], int64_t microseconds)
{
    const int64_t day = INT64_C(86400000000);
    int64_t days = microseconds / day, rest = microseconds % day, year;
    int month, date;
    if (rest < 0) {
        rest += day;
        days--;
    }
    mbr_date_from_days(days, &year, &month, &date);
    year = year < 0 ? 0 : year > 9999 ? 9999 : year;
    int seconds = (int)(rest / 1000000), micro = (int)(rest % 1000000);
    memcpy(to, "0000-00-00T00:00:00.000000Z", MBR_TIME_TEXT);
    two_digits(to, (int)(year / 100));
    two_digits(to + 2, (int)(year % 100));
    two_digits(to + 5, month);
    two_digits(to + 8, date);
    two_digits(to + 11, seconds / 3600);
    two_digits(to + 14, seconds / 60 % 60);
    two_digits(to + 17, seconds % 60);
    two_digits(to + 20, micro / 10000);
    two_digits(to + 22, micro / 100 % 100);
    two_digits(to + 24, micro % 100);
}

/* ---- numbers ---- */

static const uint64_t powers[20] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
    1000000000000, 10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
    1000000000000000000, 10000000000000000000U,
};

/* Doubles hold them exactly. */
static const double exact[23] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
};

size_t mbr_format_whole(char *to, uint64_t x)
{
    char digits[20];
    size_t at = sizeof digits;
    for (; x >= 100; x /= 100)
        two_digits(digits + (at -= 2), (int)(x % 100));
    if (x >= 10)
        two_digits(digits + (at -= 2), (int)x);
    else
        digits[--at] = (char)('0' + x);
    memcpy(to, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

/* x / 10^places, without zeros at the end. */
static size_t format_decimal(char *to, uint64_t x, int places)
{
    char digits[20];
    while (places > 0 && x % 10 == 0) {
        x /= 10;
        places--;
    }
    int n = (int)mbr_format_whole(digits, x), at = 0;
    if (places == 0) {
        memcpy(to, digits, (size_t)n);
        return (size_t)n;
    }
    if (n <= places) {
        to[at++] = '0';
        to[at++] = '.';
        for (int i = n; i < places; i++)
            to[at++] = '0';
        memcpy(to + at, digits, (size_t)n);
        return (size_t)(at + n);
    }
    memcpy(to, digits, (size_t)(n - places));
    to[n - places] = '.';
    memcpy(to + n - places + 1, digits + n - places, (size_t)places);
    return (size_t)n + 1;
}

/*
 * A fraction from 1e-5 on, below 2^52: its first 17 digits exactly rounded, which is enough to read the same double
 * back; 15 or 16 where those are. Whether they are: a whole number below 2^53 over a power of ten up to 10^22 is
 * rounded once, as reading the text is.
 */
static size_t format_fraction(char *to, double x)
{
    uint64_t bits, digits;
    memcpy(&bits, &x, sizeof bits);
    uint64_t mantissa = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    int shift = 1075 - (int)(bits >> 52); /* x = mantissa / 2^shift */
    /* As many places as the power of two below x needs: right, or one too many. At most 22, so that 127 bits do. */
    int k = 16 - (int)floor((52 - shift) * 0.30102999566398120);
    for (;; k--) {
        wide product = (wide)mantissa * powers[k > 19 ? 19 : k];
        if (k > 19)
            product *= powers[k - 19];
        wide half = (wide)1 << (shift - 1);
        wide scaled = (product + half) >> shift;
        if ((product & (half * 2 - 1)) == half && (scaled & 1))
            scaled--;
        digits = (uint64_t)scaled;
        if (scaled < powers[17])
            break;
    }
    uint64_t d15 = (digits + 50) / 100, d16 = (digits + 5) / 10;
    if (k >= 2 && (double)d15 / exact[k - 2] == x)
        return format_decimal(to, d15, k - 2);
    if (k >= 1 && d16 < UINT64_C(1) << 53 && (double)d16 / exact[k - 1] == x)
        return format_decimal(to, d16, k - 1);
    return format_decimal(to, digits, k);
}

size_t mbr_format_number(char *to, double x)
{
    size_t sign = signbit(x) != 0;
    if (sign) {
        *to++ = '-';
        x = -x;
    }
    if (x < 1e17 && x == floor(x))
        return sign + mbr_format_whole(to, (uint64_t)x);
    if (x < 1e9 && x >= 1e-6) {
        uint64_t millionths = (uint64_t)(x * 1e6 + 0.5);
        if ((double)millionths / 1e6 == x)
            return sign + format_decimal(to, millionths, 6);
    }
    if (x >= 1e-5 && x < 1e17)
        return sign + format_fraction(to, x);
    char text[MBR_NUMBER_TEXT];
    size_t n = 0, size = (size_t)snprintf(text, sizeof text, "%.17g", x);
    for (size_t i = 0; i < size; i++) { /* a locale may have another point, of more than one byte */
        char c = text[i];
        if ((c >= '0' && c <= '9') || c == 'e' || c == '-' || c == '+')
            to[n++] = c;
        else if (n && to[n - 1] != '.')
            to[n++] = '.';
    }
    return sign + n;
}

void mbr_line_number(mbr_line *o, double x)
{
    if (!isfinite(x))
        mbr_line_bytes(o, "null", 4);
    else if (mbr_line_room(o, MBR_NUMBER_TEXT))
        o->used += mbr_format_number(o->text + o->used, x);
}

void mbr_line_whole(mbr_line *o, uint64_t x)
{
    if (mbr_line_room(o, MBR_NUMBER_TEXT))
        o->used += mbr_format_whole(o->text + o->used, x);
}

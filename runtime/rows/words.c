/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/rows/words.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mbr_words_add(mbr_words *w, const char *fmt, ...)
{
    for (int round = 0; round < 2 && !w->failed; round++) {
        va_list args;
        va_start(args, fmt);
        int n = vsnprintf(w->text ? w->text + w->used : NULL, w->capacity - w->used, fmt, args);
        va_end(args);
        if (n < 0) {
            w->failed = true;
        } else if ((size_t)n < w->capacity - w->used) {
            w->used += (size_t)n;
            return;
        } else {
            size_t capacity = (w->used + (size_t)n + 1) * 2 + 256;
            char *text = mbr_grow(w->memory, w->text, w->used, capacity);
            if (!text) {
                w->failed = true;
                return;
            }
            w->text = text;
            w->capacity = capacity;
        }
    }
}

void mbr_words_json(mbr_words *w, const char *text, size_t size)
{
    mbr_words_add(w, "\"");
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            mbr_words_add(w, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            mbr_words_add(w, "\\u%04x", c);
        else
            mbr_words_add(w, "%c", c);
    }
    mbr_words_add(w, "\"");
}

void mbr_words_html(mbr_words *w, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'' || c < 0x20 || c == 0x7f)
            mbr_words_add(w, "&#%d;", c < 0x20 || c == 0x7f ? 0xfffd : c);
        else
            mbr_words_add(w, "%c", c);
    }
}

void mbr_words_number(mbr_words *w, double x)
{
    if (!isfinite(x)) {
        mbr_words_add(w, "null");
        return;
    }
    if (fabs(x) < 1e15 && x == floor(x)) {
        mbr_words_add(w, "%.0f", x);
        return;
    }
    char text[40];
    snprintf(text, sizeof text, "%.17g", x);
    double back;
    for (int digits = 1; digits < 17; digits++) { /* the shortest that reads back the same */
        char shorter[40];
        snprintf(shorter, sizeof shorter, "%.*g", digits, x);
        if (sscanf(shorter, "%lf", &back) == 1 && back == x) {
            memcpy(text, shorter, sizeof text);
            break;
        }
    }
    char *comma = strchr(text, ','); /* a locale's */
    if (comma)
        *comma = '.';
    mbr_words_add(w, "%s", text);
}

void mbr_words_free(mbr_words *w)
{
    if (w->memory)
        mbr_free(w->memory, w->text);
    *w = (mbr_words){ .memory = w->memory };
}

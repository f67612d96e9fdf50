/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/tokenizer/unicode.h"
#include "runtime/tokenizer/unicode_tables.h"

#include <string.h>
#ifdef HAVE_UTF8PROC
#include <utf8proc.h>
#endif

#define BLOCK ((uint32_t)1 << MBR_UNICODE_BLOCK)
#define BLOCKS (0x110000u >> MBR_UNICODE_BLOCK)
#define RUNS MBR_COUNT_OF(mbr_unicode_runs)

static uint32_t run_first(size_t i)
{
    return i < RUNS ? mbr_unicode_runs[i] >> 11 : 0x110000;
}

/* A block within one run is shared by all of that class; the others are written out. */
mbr_unicode *mbr_unicode_new(mbr_memory *memory)
{
    enum { CLASSES = MBR_COUNT_OF(mbr_unicode_classes) };
    _Static_assert(CLASSES <= 256, "a class fits into a byte");
    uint32_t mixed = 0;
    size_t run = 0;
    for (uint32_t b = 0; b < BLOCKS; b++) {
        while (run_first(run + 1) <= b * BLOCK)
            run++;
        mixed += run_first(run + 1) < (b + 1) * BLOCK;
    }
    mbr_unicode *u = mbr_calloc(memory, 1, sizeof *u + (size_t)(CLASSES + mixed) * BLOCK);
    if (!u)
        return NULL;
    u->classes = mbr_unicode_classes;
    for (uint32_t i = 0; i < CLASSES; i++)
        memset(u->of + (size_t)i * BLOCK, (int)i, BLOCK);
    uint16_t fresh = CLASSES;
    run = 0;
    for (uint32_t b = 0; b < BLOCKS; b++) {
        while (run_first(run + 1) <= b * BLOCK)
            run++;
        if (run_first(run + 1) >= (b + 1) * BLOCK) {
            u->block[b] = mbr_unicode_runs[run] & 2047;
            continue;
        }
        u->block[b] = fresh;
        uint8_t *of = u->of + (size_t)fresh++ * BLOCK;
        for (uint32_t c = b * BLOCK, r = (uint32_t)run; c < (b + 1) * BLOCK; c++) {
            r += run_first(r + 1) <= c;
            of[c - b * BLOCK] = mbr_unicode_runs[r] & 255;
        }
    }
    for (uint32_t c = 0; c < 128; c++)
        u->ascii[c] = u->classes[u->of[((size_t)u->block[c >> MBR_UNICODE_BLOCK] << MBR_UNICODE_BLOCK) + c % BLOCK]];
    return u;
}

uint32_t mbr_unicode_script(uint32_t c)
{
    size_t low = 0, high = MBR_COUNT_OF(mbr_unicode_scripts);
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (mbr_unicode_scripts[middle] >> 11 <= c)
            low = middle;
        else
            high = middle;
    }
    return mbr_unicode_scripts[low] & 2047;
}

bool mbr_unicode_recent(uint32_t *state, uint32_t categories, uint32_t flags, uint32_t *first, uint32_t *last)
{
    for (; *state < RUNS; ++*state) {
        uint32_t mask = mbr_unicode_classes[mbr_unicode_runs[*state] & 2047];
        if (!(mask & MBR_U_RECENT) || !((categories >> (mask >> MBR_U_CATEGORY) & 1) | (mask & flags)))
            continue;
        *first = run_first(*state);
        *last = run_first(*state + 1) - 1;
        ++*state;
        return true;
    }
    return false;
}

int mbr_unicode_lower(uint32_t c, uint32_t out[2])
{
    if (c < 128) {
        out[0] = c - 'A' < 26 ? c + 32 : c;
        return 1;
    }
    if (c == 0x130) { /* the only one that becomes two */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    for (size_t i = 0; i < MBR_COUNT_OF(mbr_unicode_lower_runs); i += 3)
        if (c >= (uint32_t)mbr_unicode_lower_runs[i] && c <= (uint32_t)mbr_unicode_lower_runs[i + 1]) {
            out[0] = (uint32_t)((int32_t)c + mbr_unicode_lower_runs[i + 2]);
            return 1;
        }
#ifdef HAVE_UTF8PROC
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
#else
    out[0] = c;
#endif
    return 1;
}

bool mbr_is_ascii(const char *text, size_t size)
{
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t w;
        memcpy(&w, text + i, 8);
        if (w & 0x8080808080808080u)
            return false;
    }
    for (; i < size; i++)
        if ((unsigned char)text[i] & 0x80)
            return false;
    return true;
}

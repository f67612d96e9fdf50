/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Truncation, special tokens, padding. A sequence is its tokens and what truncation cut off from them; post-processors
 * turn one or two sequences into a list of them, which are joined in the end: the first part of each to the result, and
 * every combination with a part that was cut off to one more list.
 */
#include "base/checked.h"
#include "runtime/tokenizer/tokenizer_impl.h"

#include <string.h>

#define LISTS_MOST 65536 /* results of one text */

typedef struct sequence {
    mbr_tok *items;      /* of the call's arena */
    uint32_t count;
    uint8_t number;      /* 255: special tokens */
    mbr_part *over;      /* (over_count) ranges of what was there before truncation */
    mbr_tok *all;        /* what over points into */
    uint32_t over_count;
} sequence;

uint32_t mbr_post_added(const mbr_tokenizer *t, bool pair)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->post_count; i++) {
        const mbr_post *p = &t->post[i];
        if (p->kind == MBR_POST_TEMPLATE)
            n += pair ? p->added_pair : p->added_single;
        else if (p->kind == MBR_POST_BERT)
            n += pair ? 3 : 2;
        else if (p->kind == MBR_POST_ROBERTA)
            n += pair ? 4 : 2;
    }
    return n;
}

/* ---- truncation ---- */

static mbr_status truncate_to(mbr_encoding *e, sequence *s, uint32_t most, mbr_error *err)
{
    const mbr_tokenizer *t = e->t;
    if (most >= s->count)
        return MBR_OK;
    s->all = s->items;
    if (most == 0) {
        s->over = mbr_arena_alloc(&e->arena, sizeof *s->over);
        if (!s->over)
            return mbr_no_memory(err, sizeof *s->over);
        s->over[0] = (mbr_part){ 0, s->count };
        s->over_count = 1;
        s->count = 0;
        return MBR_OK;
    }
    if (t->stride >= most)
        return mbr_fail(err, MBR_ERR_RUN, "%s: the stride of truncation, %u, is not below what is left of max_length, %u",
                        t->name, t->stride, most);
    uint32_t step = most - t->stride, parts = (s->count - most + step - 1) / step, total = s->count;
    if (parts > LISTS_MOST)
        return mbr_fail(err, MBR_ERR_LIMIT, "%s: truncation makes more than %u lists of this text", t->name, LISTS_MOST);
    s->over = mbr_arena_calloc(&e->arena, parts + 1, sizeof *s->over);
    if (!s->over)
        return mbr_no_memory(err, parts * sizeof *s->over);
    uint32_t count = 0;
    for (uint32_t k = 0; k <= parts; k++) {
        mbr_part p;
        if (t->truncate_left) {
            uint32_t stop = total - k * step;
            p = (mbr_part){ stop > most ? stop - most : 0, 0 };
            p.count = stop - p.first;
        } else {
            p = (mbr_part){ k * step, mbr_min_size(most, total - k * step) & UINT32_MAX };
        }
        if (k == 0) {
            s->items = s->all + p.first;
            s->count = p.count;
        } else {
            s->over[count++] = p;
        }
    }
    s->over_count = count;
    return MBR_OK;
}

static mbr_status truncate_all(mbr_encoding *e, sequence *s, bool pair, bool special, mbr_error *err)
{
    const mbr_tokenizer *t = e->t;
    uint32_t most = t->max_length, added = special ? mbr_post_added(t, pair) : 0;
    if (added > most)
        return mbr_fail(err, MBR_ERR_RUN, "%s: max_length of truncation, %u, is less than the %u special tokens", t->name,
                        most, added);
    most -= added;
    uint32_t n1 = s[0].count, n2 = pair ? s[1].count : 0;
    if (most == 0) {
        MBR_TRY(truncate_to(e, &s[0], 0, err));
        return pair ? truncate_to(e, &s[1], 0, err) : MBR_OK;
    }
    if (n1 + n2 <= most)
        return MBR_OK;
    uint32_t excess = n1 + n2 - most;
    if (t->strategy != MBR_LONGEST_FIRST) {
        int which = t->strategy == MBR_ONLY_SECOND;
        if (which && !pair)
            return mbr_fail(err, MBR_ERR_INPUT, "%s: truncation is of the second text, and there is none", t->name);
        if (s[which].count <= excess)
            return mbr_fail(err, MBR_ERR_INPUT, "%s: the text that truncation shortens is too short for max_length %u",
                            t->name, t->max_length);
        return truncate_to(e, &s[which], s[which].count - excess, err);
    }
    if (!pair)
        return truncate_to(e, &s[0], most, err);
    bool swap = n1 > n2;
    if (swap) {
        uint32_t x = n1;
        n1 = n2;
        n2 = x;
    }
    n2 = n1 > most ? n1 : mbr_max_size(n1, most - n1) & UINT32_MAX;
    if (n1 + n2 > most) {
        n1 = most / 2;
        n2 = n1 + most % 2;
    }
    MBR_TRY(truncate_to(e, &s[0], swap ? n2 : n1, err));
    return truncate_to(e, &s[1], swap ? n1 : n2, err);
}

/* ---- post-processors ---- */

void mbr_tok_spaces(const mbr_encoding *e, mbr_tok *k)
{
    const mbr_unicode *u = e->t->unicode;
    mbr_string text = k->id < e->t->vocab.most ? e->t->vocab.texts[k->id] : (mbr_string){ 0 };
    if (k->value != MBR_NO_TOKEN)
        text = (mbr_string){ .data = e->work.bytes + k->value, .size = k->value_size };
    uint32_t size = (uint32_t)text.size, n, c;
    k->leading = k->trailing = 0;
    for (uint32_t i = 0; i < size; i += n, k->leading++) {
        c = mbr_utf8_get(text.data + i, &n);
        if (c != 0x120 && !(mbr_unicode_of(u, c) & MBR_U_SPACE))
            break;
    }
    for (uint32_t i = size; i > 0; k->trailing++) {
        i = mbr_utf8_back(text.data, i);
        c = mbr_utf8_get(text.data + i, &n);
        if (c != 0x120 && !(mbr_unicode_of(u, c) & MBR_U_SPACE))
            break;
    }
}

static void trim(mbr_tok *items, uint32_t count, bool prefix_space)
{
    for (uint32_t i = 0; i < count; i++) {
        mbr_tok *k = &items[i];
        uint32_t leading = k->leading, trailing = k->trailing;
        if (leading) {
            if ((i == 0 || k->begin == 0) && prefix_space && leading == 1)
                leading = 0;
            k->begin = k->begin + leading < k->end ? k->begin + leading : k->end;
        }
        if (trailing && k->end >= trailing)
            k->end = k->end - trailing > k->begin ? k->end - trailing : k->begin;
    }
}

/* Overflowing parts share tokens with each other: each gets its own before something changes them. */
static mbr_status own_parts(mbr_encoding *e, sequence *s, mbr_error *err)
{
    size_t total = 0, at = 0;
    for (uint32_t k = 0; k < s->over_count; k++)
        total += s->over[k].count;
    if (total == 0)
        return MBR_OK;
    mbr_tok *copy = mbr_arena_calloc(&e->arena, total + s->count, sizeof *copy);
    if (!copy)
        return mbr_no_memory(err, total * sizeof *copy);
    for (uint32_t k = 0; k < s->over_count; k++) {
        memcpy(copy + at, s->all + s->over[k].first, s->over[k].count * sizeof *copy);
        s->over[k].first = (uint32_t)at;
        at += s->over[k].count;
    }
    s->all = copy;
    return MBR_OK;
}

/* Special tokens before and behind a sequence and each of its parts. */
static mbr_status surround(mbr_encoding *e, sequence *s, uint32_t before, uint32_t behind, uint32_t type, bool set_types,
                           mbr_error *err)
{
    size_t extra = (before != MBR_NO_TOKEN) + (size_t)(behind != MBR_NO_TOKEN), total = s->count + extra, at = 0;
    for (uint32_t k = 0; k < s->over_count; k++)
        total += s->over[k].count + extra;
    mbr_tok *to = mbr_arena_calloc(&e->arena, total + 1, sizeof *to);
    if (!to)
        return mbr_no_memory(err, total * sizeof *to);
    mbr_tok special = { .type = type, .word = MBR_NO_TOKEN, .value = MBR_NO_TOKEN, .special = 1, .attention = 1,
                        .sequence = 255 };
    for (uint32_t k = 0; k <= s->over_count; k++) {
        const mbr_tok *from = k ? s->all + s->over[k - 1].first : s->items;
        uint32_t count = k ? s->over[k - 1].count : s->count;
        size_t begin = at;
        if (before != MBR_NO_TOKEN) {
            special.id = before;
            to[at++] = special;
        }
        for (uint32_t i = 0; i < count; i++, at++) {
            to[at] = from[i];
            to[at].special = 0;
            if (set_types)
                to[at].type = type;
        }
        if (behind != MBR_NO_TOKEN) {
            special.id = behind;
            to[at++] = special;
        }
        if (k == 0) {
            s->count = (uint32_t)at;
        } else {
            s->over[k - 1] = (mbr_part){ (uint32_t)begin, (uint32_t)(at - begin) };
        }
    }
    s->items = s->all = to;
    return MBR_OK;
}

static mbr_status apply_template(mbr_encoding *e, const mbr_post *p, sequence **list, uint32_t *count, bool special,
                                 mbr_error *err)
{
    sequence *from = *list;
    bool pair = *count == 2;
    const mbr_post_piece *pieces = pair ? p->pair : p->single;
    uint32_t piece_count = pair ? p->pair_count : p->single_count, n = 0;
    if (*count > 2)
        return mbr_fail(err, MBR_ERR_RUN, "%s: a template behind another post-processor that adds tokens", e->t->name);
    sequence *to = mbr_arena_calloc(&e->arena, piece_count + 1, sizeof *to);
    if (!to)
        return mbr_no_memory(err, piece_count * sizeof *to);
    for (uint32_t i = 0; i < piece_count; i++) {
        const mbr_post_piece *piece = &pieces[i];
        if (piece->sequence < 2) {
            if (piece->sequence >= *count)
                return mbr_fail(err, MBR_ERR_RUN, "%s: the template of single texts names a second one", e->t->name);
            sequence *s = &to[n++];
            *s = from[piece->sequence];
            s->items = mbr_arena_calloc(&e->arena, s->count + 1, sizeof *s->items);
            if (!s->items)
                return mbr_no_memory(err, s->count * sizeof *s->items);
            if (s->count)
                memcpy(s->items, from[piece->sequence].items, s->count * sizeof *s->items);
            for (uint32_t k = 0; k < s->count; k++)
                s->items[k].type = piece->type;
        } else if (special) {
            sequence *s = &to[n++];
            s->items = mbr_arena_calloc(&e->arena, piece->count + 1, sizeof *s->items);
            if (!s->items)
                return mbr_no_memory(err, piece->count * sizeof *s->items);
            s->number = 255;
            s->count = piece->count;
            for (uint32_t k = 0; k < piece->count; k++)
                s->items[k] = (mbr_tok){ .id = piece->ids[k], .type = piece->type, .word = MBR_NO_TOKEN,
                                         .value = MBR_NO_TOKEN, .special = 1, .attention = 1, .sequence = 255 };
        }
    }
    *list = to;
    *count = n;
    return MBR_OK;
}

static mbr_status process(mbr_encoding *e, sequence **list, uint32_t *count, bool special, mbr_error *err)
{
    const mbr_tokenizer *t = e->t;
    for (uint32_t i = 0; i < t->post_count; i++) {
        const mbr_post *p = &t->post[i];
        if (p->kind == MBR_POST_TEMPLATE) {
            MBR_TRY(apply_template(e, p, list, count, special, err));
            continue;
        }
        for (uint32_t k = 0; k < *count; k++) {
            sequence *s = &(*list)[k];
            if (p->trim) {
                MBR_TRY(own_parts(e, s, err));
                trim(s->items, s->count, p->prefix_space);
                for (uint32_t o = 0; o < s->over_count; o++)
                    trim(s->all + s->over[o].first, s->over[o].count, p->prefix_space);
            }
            if (p->kind == MBR_POST_ROBERTA)
                for (uint32_t j = 0; j < s->count; j++)
                    s->items[j].type = 0;
            if (!special || p->kind == MBR_POST_BYTE_LEVEL)
                continue;
            bool roberta = p->kind == MBR_POST_ROBERTA;
            MBR_TRY(surround(e, s, k == 0 ? p->cls : roberta ? p->sep : MBR_NO_TOKEN, p->sep, roberta ? 0 : k != 0,
                             roberta, err));
        }
    }
    return MBR_OK;
}

/* ---- joining ---- */

static mbr_status new_part(mbr_encoding *e, mbr_error *err)
{
    if (e->part_count >= LISTS_MOST)
        return mbr_fail(err, MBR_ERR_LIMIT, "%s: truncation makes more than %u lists of this text", e->t->name, LISTS_MOST);
    if (e->part_count == e->part_capacity) {
        uint32_t capacity = e->part_capacity ? 2 * e->part_capacity : 4;
        mbr_part *bigger = mbr_grow(e->memory, e->parts, e->part_count * sizeof *bigger, capacity * sizeof *bigger);
        if (!bigger)
            return mbr_no_memory(err, capacity * sizeof *bigger);
        e->parts = bigger;
        e->part_capacity = capacity;
    }
    e->parts[e->part_count++] = (mbr_part){ e->out.count, 0 };
    return MBR_OK;
}

static void append(mbr_encoding *e, const mbr_tok *items, uint32_t count)
{
    if (count == 0 || !mbr_toks_room(&e->out, count))
        return;
    memcpy(e->out.items + e->out.count, items, count * sizeof *items);
    e->out.count += count;
    e->parts[e->part_count - 1].count += count;
}

/* What one result takes of each sequence: 0: its tokens; k: its part k - 1. */
static mbr_status join(mbr_encoding *e, const sequence *list, uint32_t count, const uint32_t *choice, mbr_error *err)
{
    MBR_TRY(new_part(e, err));
    for (uint32_t i = 0; i < count; i++) {
        const sequence *s = &list[i];
        if (choice && choice[i])
            append(e, s->all + s->over[choice[i] - 1].first, s->over[choice[i] - 1].count);
        else
            append(e, s->items, s->count);
    }
    return e->out.failed ? mbr_no_memory(err, e->out.count * sizeof(mbr_tok)) : MBR_OK;
}

/*
 * The library joins from the left: with every list so far that lacks something it makes one with the whole next
 * sequence and one with each of its parts, and then, with the whole so far, one with each of its parts.
 */
static mbr_status join_all(mbr_encoding *e, const sequence *list, uint32_t count, mbr_error *err)
{
    size_t over = 0;
    MBR_TRY(join(e, list, count, NULL, err));
    for (uint32_t i = 0; i < count; i++)
        over += list[i].over_count;
    if (over == 0)
        return MBR_OK;
    uint32_t *rows = NULL, row_count = 0; /* (row_count, count) choices */
    for (uint32_t i = 0; i < count; i++) {
        size_t most = ((size_t)row_count + 1) * (list[i].over_count + 1), bytes;
        uint32_t *next, n = 0;
        if (list[i].over_count == 0)
            continue;
        if (most > LISTS_MOST)
            return mbr_fail(err, MBR_ERR_LIMIT, "%s: truncation makes more than %u lists of this text", e->t->name,
                            LISTS_MOST);
        next = mbr_mul_size(most, count * sizeof *next, &bytes) ? mbr_arena_calloc(&e->arena, 1, bytes) : NULL;
        if (!next)
            return mbr_no_memory(err, most);
        for (uint32_t r = 0; r < row_count; r++)
            for (uint32_t k = 0; k <= list[i].over_count; k++, n++) {
                memcpy(next + (size_t)n * count, rows + (size_t)r * count, count * sizeof *next);
                next[(size_t)n * count + i] = k;
            }
        for (uint32_t k = 1; k <= list[i].over_count; k++, n++)
            next[(size_t)n * count + i] = k;
        rows = next;
        row_count = n;
    }
    for (uint32_t r = 0; r < row_count; r++)
        MBR_TRY(join(e, list, count, rows + (size_t)r * count, err));
    return MBR_OK;
}

static mbr_status pad(mbr_encoding *e, uint32_t least, bool by_file, mbr_error *err)
{
    const mbr_tokenizer *t = e->t;
    mbr_tok padding = { .id = t->pad_id, .type = t->pad_type, .word = MBR_NO_TOKEN, .value = MBR_NO_TOKEN, .special = 1,
                        .sequence = 255 };
    uint32_t target = by_file ? t->pad_fixed ? t->pad_length : e->parts[0].count : 0, missing = 0;
    if (by_file && t->pad_multiple && target % t->pad_multiple)
        target += t->pad_multiple - target % t->pad_multiple;
    if (target < least)
        target = least;
    if (target > MBR_TEXT_MOST)
        return mbr_fail(err, MBR_ERR_LIMIT, "%s: padding to %u tokens", t->name, target);
    for (uint32_t k = 0; k < e->part_count; k++)
        missing += e->parts[k].count < target ? target - e->parts[k].count : 0;
    if (missing == 0)
        return MBR_OK;
    if (!mbr_toks_room(&e->out, missing))
        return mbr_no_memory(err, missing * sizeof padding);
    e->out.count += missing;
    uint32_t end = e->out.count; /* from the last part back, so that nothing is overwritten */
    for (uint32_t k = e->part_count; k-- > 0;) {
        mbr_part *p = &e->parts[k];
        uint32_t more = p->count < target ? target - p->count : 0, begin = end - p->count - more;
        memmove(e->out.items + begin + (t->pad_left ? more : 0), e->out.items + p->first, p->count * sizeof padding);
        for (uint32_t i = 0; i < more; i++)
            e->out.items[begin + (t->pad_left ? 0 : p->count) + i] = padding;
        *p = (mbr_part){ begin, p->count + more };
        end = begin;
    }
    return MBR_OK;
}

mbr_status mbr_post_run(mbr_encoding *e, uint32_t split, bool pair, const mbr_encode_options *o, mbr_error *err)
{
    const mbr_tokenizer *t = e->t;
    sequence given[2] = { { .items = e->toks.items, .count = split },
                          { .items = e->toks.items + split, .count = e->toks.count - split, .number = 1 } };
    sequence *list = given;
    uint32_t count = pair ? 2 : 1;
    bool special = !o->no_special_tokens;
    e->out.count = e->part_count = 0;
    if (t->truncates && !o->no_truncation)
        MBR_TRY(truncate_all(e, given, pair, special, err));
    MBR_TRY(process(e, &list, &count, special, err));
    MBR_TRY(join_all(e, list, count, err));
    if ((t->pads && !o->no_padding) || o->pad_to)
        MBR_TRY(pad(e, o->pad_to, t->pads && !o->no_padding, err));
    return MBR_OK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Added tokens: found leftmost and longest, before the normalizer has run or behind it. */
#include "runtime/tokenizer/tokenizer_impl.h"

static mbr_status build(mbr_tokenizer *t, bool normalized, mbr_trie *trie, bool *has, bool first[256], mbr_error *err)
{
    uint32_t count = 0;
    mbr_trie_key *keys = mbr_alloc(t->memory, (t->added_count + 1) * sizeof *keys);
    if (!keys)
        return mbr_no_memory(err, t->added_count * sizeof *keys);
    for (uint32_t i = 0; i < t->added_count; i++) {
        const mbr_added *a = &t->added[i];
        mbr_string text = normalized ? a->normal : a->text;
        if (a->normalized != normalized || t->added_of[a->id] != i + 1 || text.size == 0)
            continue;
        keys[count++] = (mbr_trie_key){ text, i };
        first[(unsigned char)text.data[0]] = true;
    }
    *has = count > 0;
    mbr_status st = count ? mbr_trie_build(trie, t->memory, keys, count, err) : MBR_OK;
    mbr_free(t->memory, keys);
    return st;
}

mbr_status mbr_added_build(mbr_tokenizer *t, mbr_error *err)
{
    MBR_TRY(build(t, false, &t->plain_trie, &t->has_plain, t->plain_first, err));
    return build(t, true, &t->normal_trie, &t->has_normal, t->normal_first, err);
}

static bool is(const mbr_encoding *e, const char *text, uint32_t at, uint32_t flag)
{
    uint32_t n;
    return mbr_unicode_of(e->t->unicode, mbr_utf8_get(text + at, &n)) & flag;
}

void mbr_added_split(mbr_encoding *e, const mbr_view *work, uint32_t begin, uint32_t end, bool normalized)
{
    const mbr_tokenizer *t = e->t;
    const mbr_trie *trie = normalized ? &t->normal_trie : &t->plain_trie;
    const bool *first = normalized ? t->normal_first : t->plain_first;
    const char *text = work->bytes;
    uint32_t done = begin, at = begin;
    if (normalized ? t->has_normal : t->has_plain) {
        while (at < end) {
            uint32_t found = MBR_TRIE_NONE, stop = at;
            if (!first[(unsigned char)text[at]]) {
                at++;
                continue;
            }
            for (uint32_t i = at, state = 0; i < end;) {
                state = mbr_trie_step(trie, state, (unsigned char)text[i++]);
                if (state == MBR_TRIE_NONE)
                    break;
                if (trie->units[state].value != MBR_TRIE_NONE) {
                    found = trie->units[state].value;
                    stop = i;
                }
            }
            if (found == MBR_TRIE_NONE) {
                at++;
                continue;
            }
            const mbr_added *a = &t->added[found];
            uint32_t from = at, n;
            at = stop;
            if (a->single_word && ((from > begin && is(e, text, mbr_utf8_back(text, from), MBR_U_WORD)) ||
                                   (stop < end && is(e, text, stop, MBR_U_WORD))))
                continue;
            if (a->lstrip)
                while (from > done) {
                    uint32_t back = mbr_utf8_back(text, from);
                    if (!is(e, text, back, MBR_U_SPACE))
                        break;
                    from = back;
                }
            if (a->lstrip && from < done) /* inside of what the token before took with it */
                from = done;
            if (stop < from)
                stop = from;
            if (a->rstrip)
                while (stop < end && is(e, text, stop, MBR_U_SPACE)) {
                    mbr_utf8_get(text + stop, &n);
                    stop += n;
                }
            mbr_pieces_add(&e->fresh, work, done, from, MBR_NO_TOKEN);
            mbr_pieces_add(&e->fresh, work, from, stop, a->id);
            done = stop;
        }
    }
    mbr_pieces_add(&e->fresh, work, done, end, MBR_NO_TOKEN);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Text to token ids by a tokenizer.json. */
#include "mbr/tokenizer.h"
#include "runtime/pipeline/pipeline_impl.h"
#include "runtime/steps/step.h"

#include <string.h>

/* ---- tokens: ids, NAME.mask and NAME.types of a text or a pair; NAME.content and NAME.offsets for answers ---- */

typedef struct tokens_params {
    mbr_string tokenizer;
    int64_t most, pad_to;
    bool special;
    mbr_tokenizer *t; /* made by compile */
} tokens_params;

const mbr_param mbr_params_tokens[] = {
    { .name = "tokenizer", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(tokens_params, tokenizer) },
    { .name = "most", .type = MBR_PARAM_INT, .offset = offsetof(tokens_params, most) },
    { .name = "pad_to", .type = MBR_PARAM_INT, .offset = offsetof(tokens_params, pad_to) },
    { .name = "special", .type = MBR_PARAM_BOOL, .offset = offsetof(tokens_params, special), .preset = true },
    { .name = NULL }
};

enum { TOKEN_IDS, TOKEN_MASK, TOKEN_TYPES, TOKEN_CONTENT, TOKEN_OFFSETS, TOKEN_COLUMNS };

mbr_status mbr_compile_tokens(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    static const char *const parts[TOKEN_COLUMNS] = { NULL, "mask", "types", "content", "offsets" };
    tokens_params *p = s->params;
    const mbr_reading *r = &c->read;
    if (p->most < 0 || p->most > MBR_MAX_WIDTH || p->pad_to < 0 || p->pad_to > MBR_MAX_WIDTH)
        return mbr_node_fail(r, at, "step '%s': 'most' and 'pad_to' must be 1 to %d tokens", s->name, MBR_MAX_WIDTH);
    const char *path = mbr_pipeline_beside(r->arena, r->file, p->tokenizer.data);
    if (!path)
        return mbr_no_memory(r->err, p->tokenizer.size);
    mbr_tokenizer_options o = { .size = sizeof o, .truncate_to = (uint32_t)p->most };
    mbr_status st = mbr_tokenizer_open(c->env, path, &o, &p->t, r->err);
    if (st != MBR_OK)
        return mbr_fail_at(r->err, st, "%s:%d: step '%s': ", r->file, at->line, s->name);
    for (int i = 0; i < TOKEN_COLUMNS; i++) {
        mbr_col *col = i ? mbr_step_part(c, s, parts[i]) : out;
        if (!col)
            return MBR_ERR_NO_MEMORY;
        *col = (mbr_col){ .name = col->name, .line = col->line, .type = MBR_COL_TENSOR, .width = 1,
                          .dtype = MBR_DTYPE_I64, .rank = 1 + (i == TOKEN_OFFSETS), .dims = { -1, 2 } };
    }
    return MBR_OK;
}

void mbr_drop_tokens(const mbr_step *s)
{
    tokens_params *p = s->params;
    mbr_tokenizer_release(&p->t);
}

static mbr_status begin_tokens(const mbr_step *s, mbr_memory *memory, void **state, mbr_error *err)
{
    const tokens_params *p = s->params;
    mbr_encoding *e = NULL;
    (void)memory; /* the tokenizer's, which is the same */
    MBR_TRY(mbr_encoding_new(p->t, &e, err));
    *state = e;
    return MBR_OK;
}

static void end_tokens(const mbr_step *s, void *state)
{
    mbr_encoding *e = state;
    (void)s;
    mbr_encoding_release(&e);
}

const mbr_step_keeper mbr_keeper_tokens = { .begin = begin_tokens, .end = end_tokens };

static void put_tokens(const mbr_step *s, mbr_rows *rows, int row, const mbr_token_list *list)
{
    const int64_t dims[] = { (int64_t)list->count, 2 };
    const uint8_t last = (uint8_t)(s->from_count - 1); /* the text, or the second of a pair */
    int64_t *to[TOKEN_COLUMNS];
    for (int i = 0; i < TOKEN_COLUMNS; i++) {
        to[i] = mbr_rows_cell(rows, row, s->outs[i], 1 + (i == TOKEN_OFFSETS), dims);
        if (!to[i])
            return;
    }
    for (size_t i = 0; i < list->count; i++) {
        to[TOKEN_IDS][i] = list->ids[i];
        to[TOKEN_MASK][i] = list->attention_mask[i];
        to[TOKEN_TYPES][i] = list->type_ids[i];
        to[TOKEN_CONTENT][i] = list->sequences[i] == last && !list->special_mask[i];
        to[TOKEN_OFFSETS][2 * i] = list->offsets[i].begin;
        to[TOKEN_OFFSETS][2 * i + 1] = list->offsets[i].end;
    }
}

void mbr_run_tokens(const mbr_step *s, mbr_rows *rows)
{
    const tokens_params *p = s->params;
    mbr_encoding *e = mbr_step_state(s, rows);
    const mbr_encode_options o = { .size = sizeof o, .no_special_tokens = !p->special, .pad_to = (uint32_t)p->pad_to };
    for (int i = 0; i < TOKEN_COLUMNS; i++)
        mbr_rows_clear(rows, s->outs[i]);
    for (int i = 0; i < rows->count; i++) {
        const mbr_string *text = &rows->lanes[s->from[0]].str[i];
        const mbr_string *pair = s->from_count > 1 ? &rows->lanes[s->from[1]].str[i] : NULL;
        mbr_token_list list = { .size = sizeof list };
        mbr_error why = { 0 };
        if (rows->fault[i] || !text->data || (pair && !pair->data))
            continue;
        mbr_status st = mbr_encoding_encode(e, text->data, text->size, pair ? pair->data : NULL, pair ? pair->size : 0,
                                            &o, &why);
        if (st == MBR_OK)
            st = mbr_encoding_get(e, 0, &list);
        if (st == MBR_OK)
            put_tokens(s, rows, i, &list);
        else
            mbr_rows_fail(rows, i, "step '%s': %s", s->name, why.text);
    }
}

_Static_assert(sizeof(tokens_params) <= MBR_STEP_PARAMS, "room for parameters");

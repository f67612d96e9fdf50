/* SPDX-License-Identifier: BSD-2-Clause */
/* The section `texts`: columns that a decision carries as texts, beside its scores. */
#include "runtime/actions/actions.h"

#include <math.h>
#include <stdio.h>

/* ---- reading ---- */

/* One more text for each value of a column. */
static mbr_status add_column(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, int index)
{
    const mbr_col *col = &p->scope.cols[index];
    if (col->type == MBR_COL_TENSOR)
        return mbr_node_fail(r, n, "'texts': '%s' is a tensor; name the values of it by a step 'values'", col->name);
    if (p->text_count + col->width > MBR_MAX_COLUMNS)
        return mbr_node_fail(r, n, "'texts' would be more than %d values with '%s'", MBR_MAX_COLUMNS, col->name);
    for (int i = 0; i < p->text_count; i++)
        if (p->texts[i].col == index)
            return mbr_node_fail(r, n, "'texts': '%s' is there twice", col->name);
    for (int at = 0; at < col->width; at++) {
        char name[300];
        snprintf(name, sizeof name, "%.280s[%d]", col->name, at);
        const char *text = col->width > 1 ? mbr_arena_strdup(r->arena, name) : col->name;
        if (!text)
            return mbr_no_memory(r->err, sizeof name);
        p->texts[p->text_count++] = (mbr_text_of){ .name = text, .col = index, .at = at };
    }
    return MBR_OK;
}

/* `NAME`, or `NAME*`: all columns whose names begin so. */
static mbr_status add_named(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const mbr_string *name)
{
    int found = 0;
    if (!name->size || name->data[name->size - 1] != '*') {
        int col = mbr_scope_find(&p->scope, name->data, name->size);
        const char *near = col < 0 ? mbr_scope_near(&p->scope, name->data) : NULL;
        if (col < 0)
            return mbr_node_fail(r, n, "'texts': there is no column '%s'%s%s%s", name->data,
                                 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        return add_column(p, r, n, col);
    }
    for (int i = 0; i < p->scope.count; i++)
        if (strncmp(p->scope.cols[i].name, name->data, name->size - 1) == 0) {
            MBR_TRY(add_column(p, r, n, i));
            found++;
        }
    return found ? MBR_OK : mbr_node_fail(r, n, "'texts': no column begins as '%s' does", name->data);
}

mbr_status mbr_pipeline_read_texts(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n)
{
    mbr_strings names;
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_strings(r, n, "'texts'", &names));
    p->texts = mbr_arena_calloc(r->arena, MBR_MAX_COLUMNS, sizeof *p->texts);
    if (!p->texts)
        return mbr_no_memory(r->err, MBR_MAX_COLUMNS * sizeof *p->texts);
    for (size_t i = 0; i < names.count; i++)
        MBR_TRY(add_named(p, r, n, &names.items[i]));
    return MBR_OK;
}

/* ---- deciding ---- */

/* Copies: what columns hold need not be terminated. */
static const char *text_of(mbr_decider *d, int row, const mbr_text_of *t)
{
    const mbr_col *col = &d->rows.cols[t->col];
    const mbr_lane *lane = &d->rows.lanes[t->col];
    char text[MBR_NUMBER_TEXT];
    if (col->type == MBR_COL_STRING) {
        const mbr_string *s = &lane->str[row];
        return s->data ? mbr_decider_keep_text(d, row, s->data, s->size).data : NULL;
    }
    double x = lane->num[(size_t)row * (size_t)col->width + (size_t)t->at];
    if (!isfinite(x))
        return NULL;
    if (col->type == MBR_COL_BOOL)
        return x != 0 ? "true" : "false";
    return mbr_decider_keep_text(d, row, text, mbr_format_number(text, x)).data;
}

void mbr_decider_give_texts(mbr_decider *d, int row, mbr_decision *out)
{
    const mbr_pipeline *p = d->pipeline;
    if (!p->text_count)
        return;
    const char **texts = d->actions->texts + (size_t)row * (size_t)p->text_count;
    bool sound = !d->rows.fault[row]; /* what steps were kept from may still hold another batch */
    for (int i = 0; i < p->text_count; i++)
        texts[i] = sound ? text_of(d, row, &p->texts[i]) : NULL;
    out->texts = texts;
    out->text_count = p->text_count;
}

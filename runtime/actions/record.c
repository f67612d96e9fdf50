/* SPDX-License-Identifier: BSD-2-Clause */
/* One decision as a line of the log. Keys come in one order, so that a replay can repeat the bytes. */
#include "runtime/actions/actions.h"

#include <math.h>

static inline void add_key(mbr_line *out, const char *key)
{
    mbr_line_text(out, key); /* a constant: its length is one too */
}

static int input_count(const mbr_pipeline *p)
{
    return p->input_count - p->actions_of->extra;
}

/*
 * What the decision was made of, as bytes that do not depend on how the row was written: after each other, numbers as
 * doubles and texts with their length. The bytes go behind the text that is there, and away again.
 */
static mbr_hash digest(const mbr_decider *d, int row, mbr_line *out)
{
    const mbr_pipeline *p = d->pipeline;
    size_t begin = out->used;
    for (int i = 0; i < input_count(p); i++) {
        const mbr_lane *lane = &d->rows.lanes[p->inputs[i].col];
        if (p->inputs[i].type == MBR_COL_STRING) {
            const mbr_string *s = &lane->str[row];
            uint64_t size = s->data ? s->size : UINT64_MAX;
            mbr_line_bytes(out, (const char *)&size, sizeof size);
            if (s->data)
                mbr_line_bytes(out, s->data, s->size);
        } else {
            double x = isnan(lane->num[row]) ? NAN : lane->num[row];
            mbr_line_bytes(out, (const char *)&x, sizeof x);
        }
    }
    mbr_hash h = mbr_hash_bytes(out->failed ? "" : out->text + begin, out->failed ? 0 : out->used - begin,
                                (mbr_hash){ 0, 0 });
    out->used = begin;
    return h;
}

static void add_inputs(const mbr_decider *d, int row, mbr_line *out)
{
    const mbr_pipeline *p = d->pipeline;
    bool first = true;
    add_key(out, ",\"inputs\":{");
    for (int i = 0; i < input_count(p); i++) {
        const mbr_input *in = &p->inputs[i];
        const mbr_lane *lane = &d->rows.lanes[in->col];
        bool text = in->type == MBR_COL_STRING;
        if (text ? !lane->str[row].data : isnan(lane->num[row]))
            continue;
        mbr_line_bytes(out, first ? "\"" : ",\"", first ? 1 : 2);
        mbr_line_text(out, in->name);
        mbr_line_bytes(out, "\":", 2);
        first = false;
        if (text)
            mbr_line_string(out, lane->str[row].data, lane->str[row].size);
        else if (in->type == MBR_COL_BOOL)
            mbr_line_text(out, lane->num[row] != 0 ? "true" : "false");
        else
            mbr_line_number(out, lane->num[row]);
    }
    mbr_line_bytes(out, "}", 1);
}

static inline void add_text(mbr_line *out, const char *key, const char *text)
{
    if (!text)
        return;
    add_key(out, key);
    mbr_line_string(out, text, strlen(text));
}

static inline void add_text_or_null(mbr_line *out, const char *key, const char *text)
{
    if (text) {
        add_text(out, key, text);
        return;
    }
    add_key(out, key);
    mbr_line_bytes(out, "null", 4);
}

void mbr_decider_write_head(const mbr_decider *d, int row, uint64_t seq, uint64_t stream, mbr_line *out)
{
    char time[MBR_TIME_TEXT];
    mbr_format_time(time, d->heads[row].time);
    add_key(out, "{\"seq\":");
    mbr_line_whole(out, seq);
    add_text(out, ",\"time\":", time);
    add_text(out, ",\"decision\":", d->actions->made[row].decision_id);
    add_key(out, ",\"stream\":");
    mbr_line_whole(out, stream);
}

void mbr_decider_write_rest(const mbr_decider *d, int row, mbr_line *out)
{
    const mbr_pipeline *p = d->pipeline;
    const mbr_decision *made = &d->actions->made[row];
    add_key(out, ",\"row\":");
    mbr_line_whole(out, made->row);
    if (made->line) {
        add_key(out, ",\"line\":");
        mbr_line_whole(out, made->line);
    }
    add_text(out, ",\"id\":", made->id);
    add_key(out, p->actions_of->hashes);
    add_key(out, ",\"digest\":");
    mbr_line_hash(out, digest(d, row, out));
    if (p->actions_of->log.inputs)
        add_inputs(d, row, out);
    add_key(out, ",\"scores\":{");
    for (int i = 0; i < made->score_count; i++) {
        mbr_line_bytes(out, i ? ",\"" : "\"", i ? 2 : 1);
        mbr_line_text(out, p->scope.cols[p->scores[i]].name);
        mbr_line_bytes(out, "\":", 2);
        mbr_line_number(out, made->scores[i]);
    }
    for (int i = 0; i < made->text_count; i++) {
        add_key(out, i ? ",\"" : "},\"texts\":{\"");
        mbr_line_text(out, p->texts[i].name);
        add_text_or_null(out, "\":", made->texts[i]);
    }
    add_text_or_null(out, "},\"action\":", made->action);
    add_text(out, ",\"rule\":", made->rule);
    add_text(out, ",\"cause\":", mbr_cause_name(d->heads[row].cause));
    add_text(out, ",\"error\":", d->rows.fault[row]);
    for (int i = 0; i < made->reason_count; i++) {
        add_text(out, i ? ",{\"name\":" : ",\"reasons\":[{\"name\":", made->reasons[i].name);
        add_key(out, ",\"by\":");
        mbr_line_number(out, made->reasons[i].contribution);
        mbr_line_bytes(out, i + 1 < made->reason_count ? "}" : "}]", i + 1 < made->reason_count ? 1 : 2);
    }
    mbr_line_bytes(out, "}\n", 2);
}

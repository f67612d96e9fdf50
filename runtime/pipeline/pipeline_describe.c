/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking inside a pipeline: names, and the whole of it as text. */
#include "runtime/pipeline/pipeline_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *mbr_pipeline_name(const mbr_pipeline *p)
{
    return p->name;
}

mbr_model *mbr_pipeline_model(const mbr_pipeline *p)
{
    return p->model;
}

int mbr_pipeline_input_count(const mbr_pipeline *p)
{
    return p->input_count;
}

const char *mbr_pipeline_input_name(const mbr_pipeline *p, int index)
{
    return index >= 0 && index < p->input_count ? p->inputs[index].name : NULL;
}

const char *mbr_pipeline_input_type(const mbr_pipeline *p, int index)
{
    return index >= 0 && index < p->input_count ? mbr_col_type_name(p->inputs[index].type) : NULL;
}

int mbr_pipeline_score_count(const mbr_pipeline *p)
{
    return p->score_count;
}

const char *mbr_pipeline_score_name(const mbr_pipeline *p, int index)
{
    return index >= 0 && index < p->score_count ? p->scope.cols[p->scores[index]].name : NULL;
}

int mbr_pipeline_text_count(const mbr_pipeline *p)
{
    return p->text_count;
}

const char *mbr_pipeline_text_name(const mbr_pipeline *p, int index)
{
    return index >= 0 && index < p->text_count ? p->texts[index].name : NULL;
}

int mbr_pipeline_action_count(const mbr_pipeline *p)
{
    return p->action_count;
}

const char *mbr_pipeline_action_name(const mbr_pipeline *p, int index)
{
    return index >= 0 && index < p->action_count ? p->actions[index] : NULL;
}

/* ---- as text ---- */

typedef struct printer {
    mbr_write_fn write;
    void *user;
    mbr_error *err;
    mbr_status status; /* of the first write that failed */
} printer;

static void print(printer *to, const char *fmt, ...) MBR_PRINTF(2, 3);

static void print(printer *to, const char *fmt, ...)
{
    char text[512];
    va_list args;
    if (to->status != MBR_OK)
        return;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0)
        to->status = to->write(to->user, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    if (to->status != MBR_OK)
        mbr_fail(to->err, to->status, "writing the description of a pipeline failed");
}

static void print_columns(printer *to, const mbr_pipeline *p, const int *cols, int count)
{
    for (int i = 0; i < count; i++)
        print(to, "%s%s", i ? ", " : "", p->scope.cols[cols[i]].name);
}

static void print_type(printer *to, const mbr_col *col)
{
    char shape[160];
    mbr_shape_text(col->dtype, col->rank, col->dims, shape, sizeof shape);
    print(to, "%s", mbr_col_type_name(col->type));
    if (col->type == MBR_COL_TENSOR)
        print(to, " %s", shape);
    if (col->width > 1)
        print(to, "[%d]", col->width);
}

static void print_input(printer *to, const mbr_pipeline *p, const mbr_input *in)
{
    print(to, "    %s: %s", in->name, mbr_col_type_name(in->type));
    if (in == p->inputs + p->id)
        print(to, ", id");
    if (in->has_default && in->type == MBR_COL_STRING)
        print(to, ", default '%s'", in->text.data);
    else if (in->has_default)
        print(to, ", default %g", in->number);
    else
        print(to, ", %s", in->keep ? "may be missing" : "required");
    if (!isinf(in->min))
        print(to, ", from %.10g", in->min);
    if (!isinf(in->max))
        print(to, ", to %.10g", in->max);
    print(to, "%s\n", in->optional ? ", optional" : "");
}

static void print_steps(printer *to, const mbr_pipeline *p, const char *title, const mbr_step *steps, int count)
{
    if (count)
        print(to, "%s\n", title);
    for (int i = 0; i < count; i++) {
        const mbr_step *s = &steps[i];
        for (int k = 0; k < s->out_count; k++) {
            print(to, "%s%s: ", k ? ", " : "    ", p->scope.cols[s->outs[k]].name);
            print_type(to, &p->scope.cols[s->outs[k]]);
        }
        print(to, " = %s(", s->kind->name);
        print_columns(to, p, s->from, s->from_count);
        print(to, ")\n");
    }
}

static void print_state(printer *to, const mbr_pipeline *p)
{
    const mbr_model_state *s = p->state;
    if (!s)
        return;
    print(to, "state\n    of %s, at most %zu\n", s->key >= 0 ? p->scope.cols[s->key].name : "all rows", s->most);
    for (int i = 0; i < s->count; i++) {
        char shape[160];
        mbr_shape_text(s->edges[i].dtype, s->edges[i].rank, s->edges[i].dims, shape, sizeof shape);
        print(to, "    %s: %s at first\n", s->edges[i].name, shape);
    }
}

mbr_status mbr_pipeline_describe(const mbr_pipeline *p, mbr_write_fn write, void *user, mbr_error *err)
{
    printer to = { .write = write, .user = user, .err = err, .status = MBR_OK };
    if (!p || !write)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_pipeline_describe: the pipeline or the writer is NULL");
    print(&to, "pipeline %s\ninputs\n", p->name);
    for (int i = 0; i < p->input_count; i++)
        print_input(&to, p, &p->inputs[i]);
    print_steps(&to, p, "features", p->features, p->feature_count);
    print(&to, "tensors\n");
    for (int i = 0; i < p->feed_count; i++) {
        const mbr_feed *feed = &p->feeds[i];
        if (feed->value) {
            print(&to, "    %s: %s, always %.10g%s\n", feed->name, mbr_dtype_name(feed->dtype), feed->value->items[0],
                  feed->value->count > 1 ? ", ..." : "");
            continue;
        }
        if (feed->tensor)
            print(&to, "    %s: %s, a tensor a row%s: ", feed->name, mbr_dtype_name(feed->dtype),
                  feed->padded ? ", padded" : "");
        else
            print(&to, "    %s: %s, %d values a row: ", feed->name, mbr_dtype_name(feed->dtype), feed->width);
        print_columns(&to, p, feed->from, feed->from_count);
        print(&to, "\n");
    }
    print_state(&to, p);
    print(&to, "outputs\n");
    for (int i = 0; i < p->fetch_count; i++) {
        const mbr_fetch *fetch = &p->fetches[i];
        print(&to, "    %s: ", p->scope.cols[fetch->col].name);
        print_type(&to, &p->scope.cols[fetch->col]);
        if (p->scope.cols[fetch->col].type == MBR_COL_TENSOR)
            print(&to, " = %s\n", fetch->name);
        else
            print(&to, " = %s, from value %lld\n", fetch->name, (long long)fetch->column);
    }
    print_steps(&to, p, "post", p->posts, p->post_count);
    print(&to, "scores\n    ");
    print_columns(&to, p, p->scores, p->score_count);
    for (int i = 0; i < p->text_count; i++)
        print(&to, "%s%s", i ? ", " : "\ntexts\n    ", p->texts[i].name);
    print(&to, "\nrules\n");
    for (int i = 0; i < p->rule_count; i++)
        print(&to, "    %s (line %d): %s\n", p->rules[i].name, p->rules[i].line, p->actions[p->rules[i].action]);
    print(&to, "fallback\n    %s\n", p->fallback >= 0 ? p->actions[p->fallback] : "none: faulty rows get no action");
    return to.status;
}

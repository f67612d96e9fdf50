/* SPDX-License-Identifier: BSD-2-Clause */
/* boxes: what a detector gives, to a list of boxes in pixels or parts of the image. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/checked.h"
#include "runtime/steps/step_post.h"

#include "runtime/pipeline/pipeline_impl.h"
#include "runtime/post/post.h"

#include <math.h>
#include <string.h>

enum { CORNERS, CORNERS_YX, CENTER, ANCHORS };
enum { AS_THEY_ARE, SIGMOID, SOFTMAX };
enum { ROWS, COLUMNS };

#define MOST_BOXES 100000000

typedef struct boxes {
    int format, activation, layout;
    bool objectness, any_class;
    double score_threshold, iou_threshold;
    int64_t most, most_per_class, background;
    mbr_numbers variances, scale;
    mbr_string anchors_file;
    const mbr_node *priors;
    mbr_anchor *anchors; /* (anchor_count), made by compile */
    size_t anchor_count;
} boxes;

#define AT(field) .offset = offsetof(boxes, field)

const mbr_param mbr_params_boxes[] = {
    { .name = "format", .type = MBR_PARAM_CHOICE, .words = "corners|corners_yx|center|anchors", AT(format) },
    { .name = "activation", .type = MBR_PARAM_CHOICE, .words = "none|sigmoid|softmax", AT(activation) },
    { .name = "layout", .type = MBR_PARAM_CHOICE, .words = "rows|columns", AT(layout) },
    { .name = "objectness", .type = MBR_PARAM_BOOL, AT(objectness) },
    { .name = "any_class", .type = MBR_PARAM_BOOL, AT(any_class) },
    { .name = "score_threshold", .type = MBR_PARAM_NUMBER, AT(score_threshold), .preset = 0.5 },
    { .name = "iou_threshold", .type = MBR_PARAM_NUMBER, AT(iou_threshold), .preset = 0.5 },
    { .name = "most", .type = MBR_PARAM_INT, AT(most), .preset = 100 },
    { .name = "most_per_class", .type = MBR_PARAM_INT, AT(most_per_class) },
    { .name = "background", .type = MBR_PARAM_INT, AT(background), .preset = -1 },
    { .name = "variances", .type = MBR_PARAM_NUMBERS, AT(variances) },
    { .name = "scale", .type = MBR_PARAM_NUMBERS, AT(scale) },
    { .name = "anchors", .type = MBR_PARAM_STRING, AT(anchors_file) },
    { .name = "priors", .type = MBR_PARAM_NODE, AT(priors) },
    { .name = NULL }
};

/* ---- anchors ---- */

typedef struct prior_keys {
    mbr_numbers image, strides;
    const mbr_node *sizes;
} prior_keys;

static const mbr_param prior_params[] = {
    { .name = "image", .type = MBR_PARAM_NUMBERS, .required = true, .offset = offsetof(prior_keys, image) },
    { .name = "strides", .type = MBR_PARAM_NUMBERS, .required = true, .offset = offsetof(prior_keys, strides) },
    { .name = "sizes", .type = MBR_PARAM_NODE, .required = true, .offset = offsetof(prior_keys, sizes) },
    { .name = NULL }
};

static float part(double x)
{
    return (float)(x < 0 ? 0 : x > 1 ? 1 : x);
}

/* As RFB's and RetinaFace's generators: for each stride its cells row by row, in each the sizes; parts of the image. */
static mbr_status make_priors(const mbr_compiling *c, mbr_step *s, boxes *p)
{
    const mbr_reading *r = &c->read;
    prior_keys k;
    mbr_numbers sizes[16];
    size_t n = 0;
    MBR_TRY(mbr_node_read(r, p->priors, "'priors'", prior_params, NULL, &k));
    MBR_TRY(mbr_node_expect(r, k.sizes, MBR_NODE_LIST, "'sizes' of 'priors'"));
    if (k.image.count != 2 || k.strides.count != k.sizes->count || k.strides.count > MBR_COUNT_OF(sizes))
        return mbr_node_fail(r, p->priors, "step '%s': 'image' is [width, height], and every one of at most %zu "
                             "strides has a list in 'sizes'", s->name, MBR_COUNT_OF(sizes));
    double w = k.image.items[0], h = k.image.items[1];
    for (int pass = 0; pass < 2; pass++) {
        n = 0;
        for (size_t i = 0; i < k.strides.count; i++) {
            double stride = k.strides.items[i];
            const mbr_node *list = k.sizes->items[i];
            MBR_TRY(mbr_node_expect(r, list, MBR_NODE_LIST, "an entry of 'sizes'"));
            if (!(w >= 1 && h >= 1 && w <= 65536 && h <= 65536 && stride >= 1))
                return mbr_node_fail(r, p->priors, "step '%s': the image and the strides must be 1 to 65536", s->name);
            size_t across = (size_t)ceil(w / stride), down = (size_t)ceil(h / stride);
            for (size_t y = 0; y < down && list->count; y++)
                for (size_t x = 0; x < across; x++)
                    for (size_t q = 0; q < list->count; q++, n++) {
                        double size;
                        if (!pass) { /* the numbers once, the cells by counting */
                            n += down * across * list->count;
                            y = down;
                            x = across;
                            break;
                        }
                        MBR_TRY(mbr_node_number(r, list->items[q], "a size", &size));
                        p->anchors[n] = (mbr_anchor){ part(((double)x + 0.5) * stride / w),
                                                      part(((double)y + 0.5) * stride / h), part(size / w),
                                                      part(size / h) };
                    }
            if (n > MOST_BOXES)
                return mbr_node_fail(r, p->priors, "step '%s': more than %d anchors", s->name, MOST_BOXES);
        }
        if (!pass)
            p->anchors = mbr_arena_alloc(r->arena, (n + 1) * sizeof *p->anchors);
        if (!p->anchors)
            return mbr_no_memory(r->err, n * sizeof *p->anchors);
    }
    p->anchor_count = n;
    return MBR_OK;
}

static mbr_status read_anchors(const mbr_compiling *c, const mbr_node *at, mbr_step *s, boxes *p)
{
    mbr_npy npy = { .map = NULL };
    const char *path = mbr_pipeline_beside(c->read.arena, c->read.file, p->anchors_file.data);
    if (!path)
        return mbr_no_memory(c->read.err, p->anchors_file.size);
    mbr_status st = mbr_npy_open(c->read.arena->memory, path, &npy, c->read.err);
    if (st == MBR_OK && npy.width != 4)
        st = mbr_fail(c->read.err, MBR_ERR_FORMAT, "%s: anchors are (count, 4): centre x, y, width, height", path);
    if (st == MBR_OK) {
        p->anchor_count = npy.rows;
        p->anchors = mbr_arena_copy(c->read.arena, npy.data, npy.rows * sizeof *p->anchors);
        if (!p->anchors)
            st = mbr_no_memory(c->read.err, npy.rows * sizeof *p->anchors);
    }
    mbr_npy_close(c->read.arena->memory, &npy);
    return st == MBR_OK ? MBR_OK : mbr_fail_at(c->read.err, st, "%s:%d: step '%s': ", c->read.file, at->line, s->name);
}

mbr_status mbr_compile_boxes(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    boxes *p = s->params;
    const mbr_reading *r = &c->read;
    MBR_TRY(mbr_post_check(c, at, s));
    if ((p->variances.count && p->variances.count != 2) || (p->scale.count && p->scale.count != 2))
        return mbr_node_fail(r, at, "step '%s': 'variances' and 'scale' are two numbers each", s->name);
    if (p->most < 1 || p->most > 1000000 || p->most_per_class < 0 || p->background < -1 ||
        p->background > INT32_MAX - 1)
        return mbr_node_fail(r, at, "step '%s': 'most' must be 1 to 1000000, the other counts not negative", s->name);
    if ((p->format == ANCHORS) != (p->anchors_file.data || p->priors))
        return mbr_node_fail(r, at, "step '%s': 'format: anchors' and 'anchors' or 'priors' belong together", s->name);
    if (p->anchors_file.data && p->priors)
        return mbr_node_fail(r, at, "step '%s': 'anchors' and 'priors' exclude each other", s->name);
    if (s->from_count == 2 && (p->objectness || p->layout))
        return mbr_node_fail(r, at, "step '%s': 'objectness' and 'layout' are for one tensor of boxes and scores",
                             s->name);
    if (p->priors)
        MBR_TRY(make_priors(c, s, p));
    else if (p->anchors_file.data)
        MBR_TRY(read_anchors(c, at, s, p));
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1, .dtype = MBR_DTYPE_F32,
                      .rank = 2, .dims = { -1, 6 } };
    return mbr_step_part(c, s, "count") ? MBR_OK : r->err->status;
}

/* ---- a row ---- */

/* Coordinates and scores apart: (count, 4) and (count, classes). */
typedef struct raw {
    const float *boxes, *scores;
    size_t count, classes;
} raw;

/* One tensor of x, y, width, height, perhaps objectness, classes: a row or a column for each box. */
static const char *take_apart(const boxes *p, mbr_rows *rows, const mbr_row_floats *v, raw *o)
{
    int last = v->rank - 1;
    for (int i = 0; i < v->rank - 2; i++)
        if (v->dims[i] != 1)
            return "boxes and scores in one tensor have two dimensions";
    if (v->rank < 2)
        return "boxes and scores in one tensor have two dimensions";
    size_t head = 4 + (size_t)p->objectness, wide = (size_t)v->dims[p->layout == ROWS ? last : last - 1];
    o->count = (size_t)v->dims[p->layout == ROWS ? last - 1 : last];
    if (wide <= head)
        return "no room for scores behind the coordinates";
    o->classes = wide - head;
    float *b = mbr_pool_alloc(&rows->pool, (4 * o->count + 1) * sizeof *b);
    float *s = mbr_pool_alloc(&rows->pool, (o->classes * o->count + 1) * sizeof *s);
    if (!b || !s)
        return "out of memory";
    size_t step = p->layout == ROWS ? 1 : o->count, jump = p->layout == ROWS ? wide : 1;
    for (size_t i = 0; i < o->count; i++) {
        const float *x = v->data + i * jump;
        for (size_t k = 0; k < 4; k++)
            b[4 * i + k] = x[k * step];
        float there = p->objectness ? x[4 * step] : 1;
        if (p->objectness && p->activation == SIGMOID)
            there = 1 / (1 + expf(-there));
        for (size_t k = 0; k < o->classes; k++) {
            float score = x[(head + k) * step];
            if (p->activation == SIGMOID)
                score = 1 / (1 + expf(-score));
            s[i * o->classes + k] = p->objectness ? there * score : score;
        }
    }
    o->boxes = b;
    o->scores = s;
    return NULL;
}

/* Scores to probabilities; copies what it changes. */
static const char *activate(const boxes *p, mbr_rows *rows, raw *o)
{
    float *s = mbr_pool_alloc(&rows->pool, (o->classes * o->count + 1) * sizeof *s);
    if (!s)
        return "out of memory";
    for (size_t i = 0; i < o->count; i++) {
        const float *x = o->scores + i * o->classes;
        float *y = s + i * o->classes, max = x[0], sum = 0;
        for (size_t k = 1; k < o->classes; k++)
            max = x[k] > max ? x[k] : max;
        for (size_t k = 0; k < o->classes; k++)
            sum += y[k] = p->activation == SIGMOID ? 1 / (1 + expf(-x[k])) : expf(x[k] - max);
        for (size_t k = 0; k < o->classes && p->activation == SOFTMAX; k++)
            y[k] /= sum;
    }
    o->scores = s;
    return NULL;
}

static void to_corners(const boxes *p, const float *x, size_t count, mbr_box *to)
{
    float sx = p->scale.count ? (float)p->scale.items[0] : 1, sy = p->scale.count ? (float)p->scale.items[1] : 1;
    if (p->format == ANCHORS)
        mbr_boxes_from_anchors(x, p->anchors, count, p->variances.count ? (float)p->variances.items[0] : 0.1f,
                               p->variances.count ? (float)p->variances.items[1] : 0.2f, to);
    for (size_t i = 0; i < count; i++, x += 4) {
        if (p->format == CORNERS)
            to[i] = (mbr_box){ x[0], x[1], x[2], x[3] };
        else if (p->format == CORNERS_YX)
            to[i] = (mbr_box){ x[1], x[0], x[3], x[2] };
        else if (p->format == CENTER)
            to[i] = (mbr_box){ x[0] - x[2] / 2, x[1] - x[3] / 2, x[0] + x[2] / 2, x[1] + x[3] / 2 };
        to[i] = (mbr_box){ to[i].x1 * sx, to[i].y1 * sy, to[i].x2 * sx, to[i].y2 * sy };
    }
}

/* The reason why the row has no boxes, or NULL. */
static const char *find_raw(const mbr_step *s, mbr_rows *rows, int row, raw *o, bool *missing)
{
    const boxes *p = s->params;
    mbr_row_floats b = mbr_post_floats(s, rows, s->from[0], row), v = { 0 };
    if (s->from_count == 2)
        v = mbr_post_floats(s, rows, s->from[1], row);
    *missing = !b.data || (s->from_count == 2 && !v.data);
    if (*missing)
        return NULL;
    if (s->from_count == 1) {
        const char *why = take_apart(p, rows, &b, o);
        if (why || p->activation != SOFTMAX)
            return why;
        return activate(p, rows, o);
    }
    *o = (raw){ .boxes = b.data, .scores = v.data, .count = b.count / 4 };
    if (b.count % 4)
        return "the boxes are not four numbers each";
    o->classes = o->count ? v.count / o->count : 0;
    if (o->count && o->classes * o->count != v.count)
        return "boxes and scores are not as many";
    return p->activation && o->classes ? activate(p, rows, o) : NULL;
}

static void find_boxes(const mbr_step *s, mbr_rows *rows, int row)
{
    const boxes *p = s->params;
    raw o = { .count = 0 };
    bool missing;
    mbr_error err = { 0 };
    size_t found = 0;
    rows->lanes[s->out].cell[row].data = NULL;
    rows->lanes[s->outs[1]].num[row] = (double)NAN;
    const char *why = rows->fault[row] ? NULL : find_raw(s, rows, row, &o, &missing);
    if (rows->fault[row] || (!why && missing))
        return;
    if (!why && p->anchors && p->anchor_count != o.count) {
        mbr_rows_fail(rows, row, "step '%s': %zu boxes, and there are %zu anchors", s->name, o.count, p->anchor_count);
        return;
    }
    size_t most = mbr_min_size((size_t)p->most, o.count * o.classes); /* as many scores there are */
    mbr_box *b = mbr_pool_alloc(&rows->pool, (o.count + 1) * sizeof *b);
    mbr_detection *d = mbr_pool_alloc(&rows->pool, (most + 1) * sizeof *d);
    if (!why && (!b || !d))
        why = "out of memory";
    if (!why) {
        mbr_boxes_options options = { .size = sizeof options, .score_threshold = (float)p->score_threshold,
                                      .iou_threshold = (float)p->iou_threshold, .any_class = p->any_class,
                                      .most_per_class = (size_t)p->most_per_class, .most = (size_t)p->most,
                                      .background = (int)p->background + 1 };
        to_corners(p, o.boxes, o.count, b);
        if (mbr_post_select(rows->pool.memory, b, o.scores, o.count, o.classes, &options, d, most, &found,
                            &err) != MBR_OK)
            why = err.text;
    }
    if (why) {
        mbr_rows_fail(rows, row, "step '%s': %s", s->name, why);
        return;
    }
    const int64_t dims[] = { (int64_t)found, 6 };
    float *to = mbr_rows_cell(rows, row, s->out, 2, dims);
    for (size_t i = 0; to && i < found; i++, to += 6) {
        memcpy(to, &b[d[i].box], sizeof *b);
        to[4] = d[i].score;
        to[5] = (float)d[i].label;
    }
    rows->lanes[s->outs[1]].num[row] = (double)found;
}

void mbr_run_boxes(const mbr_step *s, mbr_rows *rows)
{
    for (int i = 0; i < rows->count; i++)
        find_boxes(s, rows, i);
}

_Static_assert(sizeof(boxes) <= MBR_STEP_PARAMS, "room for parameters");

/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps between numbers, texts and tensors. */
#include "runtime/pipeline/element.h"
#include "runtime/steps/step.h"

#include <string.h>

/* ---- tensor: numbers side by side, in a shape ---- */

typedef struct tensor_params {
    mbr_numbers shape;
    mbr_string dtype;
} tensor_params;

const mbr_param mbr_params_tensor[] = {
    { .name = "shape", .type = MBR_PARAM_NUMBERS, .offset = offsetof(tensor_params, shape) },
    { .name = "dtype", .type = MBR_PARAM_STRING, .offset = offsetof(tensor_params, dtype) },
    { .name = NULL }
};

mbr_status mbr_compile_tensor(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const tensor_params *p = s->params;
    int64_t width = 0, count = 1;
    for (int i = 0; i < s->from_count; i++)
        width += c->scope->cols[s->from[i]].width;
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1,
                      .dtype = MBR_DTYPE_F32, .rank = 1, .dims = { width } };
    if (p->dtype.data)
        out->dtype = mbr_dtype_from_name(p->dtype.data);
    if (!mbr_element_numeric(out->dtype))
        return mbr_node_fail(&c->read, at, "step '%s': 'dtype' must be f32, f64, i64, i32, i16, i8, u8 or bool",
                             s->name);
    if (!p->shape.count)
        return MBR_OK;
    if (p->shape.count > MBR_MAX_RANK)
        return mbr_node_fail(&c->read, at, "step '%s': a tensor has at most %d dimensions", s->name, MBR_MAX_RANK);
    out->rank = (int)p->shape.count;
    for (size_t i = 0; i < p->shape.count; i++) {
        double d = p->shape.items[i];
        if (!(d >= 1 && d <= width && d == floor(d)))
            count = 0;
        else
            count *= out->dims[i] = (int64_t)d;
        if (count < 1 || count > width)
            break;
    }
    if (count != width)
        return mbr_node_fail(&c->read, at, "step '%s': the columns are %lld values a row, and the product of 'shape' "
                             "is another number", s->name, (long long)width);
    return MBR_OK;
}

void mbr_run_tensor(const mbr_step *s, mbr_rows *rows)
{
    const mbr_col *out = &rows->cols[s->out];
    for (int i = 0; i < rows->count; i++) {
        void *data = mbr_rows_cell(rows, i, s->out, out->rank, out->dims);
        size_t at = 0;
        for (int k = 0; data && k < s->from_count; k++) {
            const mbr_col *col = &rows->cols[s->from[k]];
            const double *x = mbr_step_in(s, rows, k) + (size_t)i * (size_t)col->width;
            for (int w = 0; w < col->width; w++, at++) {
                bool fits = mbr_element_holds(out->dtype, x[w]);
                if (!fits)
                    mbr_rows_fail(rows, i, "step '%s': %.17g of column '%s' does not fit a tensor of %s", s->name, x[w],
                                  col->name, mbr_dtype_name(out->dtype));
                mbr_element_store(out->dtype, data, at, fits ? x[w] : 0);
            }
        }
    }
}

/* ---- values: numbers out of a tensor, in the order of memory; what it does not have is missing ---- */

typedef struct values_params {
    int64_t at, width;
} values_params;

const mbr_param mbr_params_values[] = {
    { .name = "at", .type = MBR_PARAM_INT, .offset = offsetof(values_params, at) },
    { .name = "width", .type = MBR_PARAM_INT, .offset = offsetof(values_params, width) },
    { .name = NULL }
};

mbr_status mbr_compile_values(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    values_params *p = s->params;
    const mbr_col *from = &c->scope->cols[s->from[0]];
    mbr_cell shape = { .rank = from->rank };
    memcpy(shape.dims, from->dims, sizeof shape.dims);
    size_t count = from->rank >= 0 ? mbr_cell_count(&shape) : SIZE_MAX;
    if (!mbr_element_numeric(from->dtype))
        return mbr_node_fail(&c->read, at, "step '%s': values reads numbers, and '%s' is of %s", s->name, from->name,
                             mbr_dtype_name(from->dtype));
    if (!p->width && count == SIZE_MAX)
        return mbr_node_fail(&c->read, at, "step '%s' needs the key 'width': the shape of '%s' differs from row to row",
                             s->name, from->name);
    if (p->at < 0 || p->width < 0 || p->width > MBR_MAX_WIDTH || p->at > (int64_t)MBR_CELL_BYTES ||
        (count != SIZE_MAX && (size_t)p->at + (size_t)p->width + !p->width > count))
        return mbr_node_fail(&c->read, at, "step '%s': 'at' and 'width' reach beyond column '%s'", s->name, from->name);
    size_t width = p->width ? (size_t)p->width : count - (size_t)p->at;
    if (width > MBR_MAX_WIDTH)
        return mbr_node_fail(&c->read, at, "step '%s': %zu values a row; at most %d, name some by 'at' and 'width'",
                             s->name, width, MBR_MAX_WIDTH);
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_NUMBER, .width = (int)width };
    return MBR_OK;
}

void mbr_run_values(const mbr_step *s, mbr_rows *rows)
{
    const values_params *p = s->params;
    const mbr_cell *cells = mbr_step_cells(s, rows, 0);
    mbr_dtype dtype = rows->cols[s->from[0]].dtype;
    size_t width = (size_t)rows->cols[s->out].width;
    double *y = mbr_step_out(s, rows);
    for (int i = 0; i < rows->count; i++) {
        size_t count = cells[i].data ? mbr_cell_count(&cells[i]) : 0;
        for (size_t w = 0; w < width; w++) {
            size_t at = (size_t)p->at + w;
            y[(size_t)i * width + w] = at < count ? mbr_element_load(dtype, cells[i].data, at) : NAN;
        }
    }
}

/* ---- characters: Unicode code points of a text, or their places in an alphabet, and a mask of ones ---- */

typedef struct characters_params {
    int64_t most;
    mbr_string alphabet;
} characters_params;

const mbr_param mbr_params_characters[] = {
    { .name = "most", .type = MBR_PARAM_INT, .offset = offsetof(characters_params, most), .preset = 512 },
    { .name = "alphabet", .type = MBR_PARAM_STRING, .offset = offsetof(characters_params, alphabet) },
    { .name = NULL }
};

mbr_status mbr_compile_characters(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const characters_params *p = s->params;
    if (p->most < 1 || p->most > MBR_MAX_WIDTH)
        return mbr_node_fail(&c->read, at, "step '%s': 'most' must be 1 to %d", s->name, MBR_MAX_WIDTH);
    mbr_col *mask = mbr_step_part(c, s, "mask");
    if (!mask)
        return c->read.err ? c->read.err->status : MBR_ERR_NO_MEMORY;
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1,
                      .dtype = MBR_DTYPE_I64, .rank = 1, .dims = { -1 } };
    const char *name = mask->name;
    *mask = *out;
    mask->name = name;
    return MBR_OK;
}

/* The character at *s, before end, of UTF-8; steps over it. */
static uint32_t next_character(const char **s, const char *end)
{
    const unsigned char *u = (const unsigned char *)*s;
    int more = u[0] < 0x80 ? 0 : u[0] < 0xe0 ? 1 : u[0] < 0xf0 ? 2 : 3;
    uint32_t x = more ? u[0] & (0x3fu >> more) : u[0];
    for (++*s; more && *s < end; more--, ++*s)
        x = x << 6 | ((unsigned char)**s & 0x3f);
    return x;
}

/* The place in an alphabet, from 1; 0: not there. */
static int64_t place_in(const mbr_string *alphabet, uint32_t x)
{
    int64_t place = 1;
    const char *end = alphabet->data + alphabet->size;
    for (const char *s = alphabet->data; s < end; place++)
        if (next_character(&s, end) == x)
            return place;
    return 0;
}

void mbr_run_characters(const mbr_step *s, mbr_rows *rows)
{
    const characters_params *p = s->params;
    const mbr_string *x = rows->lanes[s->from[0]].str;
    for (int i = 0; i < rows->count; i++) {
        int64_t count = 0, k = 0;
        for (size_t b = 0; b < x[i].size && count <= p->most; b++)
            count += ((unsigned char)x[i].data[b] & 0xc0) != 0x80;
        count = count > p->most ? p->most : count;
        rows->lanes[s->outs[0]].cell[i].data = rows->lanes[s->outs[1]].cell[i].data = NULL;
        if (!x[i].data)
            continue;
        int64_t *ids = mbr_rows_cell(rows, i, s->outs[0], 1, &count);
        int64_t *mask = ids ? mbr_rows_cell(rows, i, s->outs[1], 1, &count) : NULL;
        for (const char *at = x[i].data, *end = at + x[i].size; mask && k < count; k++) {
            uint32_t character = at < end ? next_character(&at, end) : 0;
            ids[k] = p->alphabet.data ? place_in(&p->alphabet, character) : character;
            mask[k] = 1;
        }
    }
}

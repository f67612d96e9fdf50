/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cast, CastLike and BitCast.
 *
 * Text: a number prints as the shortest digits that read back as the same number (numpy's way); reading takes what C
 * takes in the "C" locale, whatever the process' locale.
 */
#include "engine/ops/buffer.h"
#include "engine/ops/op_util.h"

#include "base/half.h"
#include "kernels/convert.h"
#include "kernels/cpu.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD 40 /* bytes of the longest printed number */

typedef struct cast_state {
    mbr_convert_args args;
    mbr_convert_fn *fn;
    size_t each;   /* elements of a tile */
    mbr_buffer text; /* printed numbers */
    bool reads, prints, copies;
} cast_state;

/* --- what to --- */

enum { CAST, CAST_LIKE, BIT_CAST };

static mbr_dtype target(const mbr_ir_node *node, const mbr_arg *like)
{
    static const struct {
        const char *name;
        mbr_dtype type;
    } names[] = { /* version 1 says it in words */
        { "FLOAT", MBR_DTYPE_F32 },   { "UINT8", MBR_DTYPE_U8 },      { "INT8", MBR_DTYPE_I8 },
        { "UINT16", MBR_DTYPE_U16 },  { "INT16", MBR_DTYPE_I16 },     { "INT32", MBR_DTYPE_I32 },
        { "INT64", MBR_DTYPE_I64 },   { "STRING", MBR_DTYPE_STRING }, { "BOOL", MBR_DTYPE_BOOL },
        { "FLOAT16", MBR_DTYPE_F16 }, { "DOUBLE", MBR_DTYPE_F64 },    { "UINT32", MBR_DTYPE_U32 },
        { "UINT64", MBR_DTYPE_U64 }
    };
    if (like)
        return like->dtype;
    if (node->op->since == 1) {
        const char *to = mbr_attr_string(node, "to", "");
        for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
            if (strcmp(to, names[i].name) == 0)
                return names[i].type;
        return MBR_DTYPE_UNDEFINED;
    }
    int64_t to = mbr_attr_int(node, "to", 0);
    return to > 0 && to < MBR_DTYPE_COUNT ? (mbr_dtype)to : MBR_DTYPE_UNDEFINED;
}

/* Does every number of a shape keep its value? */
static bool holds(mbr_dtype t)
{
    return t == MBR_DTYPE_I64 || t == MBR_DTYPE_I32;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim v[MBR_OP_CONTENT];
    size_t n;
    mbr_dtype to = target(c->node, c->node->op->param == CAST_LIKE ? &c->in[1] : NULL);
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_check_tensor(c, 1));
    if (to == MBR_DTYPE_UNDEFINED && c->node->op->param != CAST_LIKE)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the attribute 'to' names no type");
    if (c->node->op->param == BIT_CAST) {
        if (in->dtype && (mbr_dtype_size(in->dtype) != mbr_dtype_size(to) || in->dtype == MBR_DTYPE_STRING ||
                          to == MBR_DTYPE_STRING))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the bits of %s are none of %s", mbr_dtype_name(in->dtype),
                                  mbr_dtype_name(to));
        mbr_infer_out(c, 0, to, in->rank, in->dims);
        return MBR_OK;
    }
    bool text = in->dtype == MBR_DTYPE_STRING || to == MBR_DTYPE_STRING;
    bool complex = in->dtype == MBR_DTYPE_COMPLEX64 || in->dtype == MBR_DTYPE_COMPLEX128;
    if (in->dtype && to && in->dtype != to && (text ? complex : !mbr_convert_has(in->dtype, to)))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "from %s to %s", mbr_dtype_name(in->dtype), mbr_dtype_name(to));
    mbr_infer_out(c, 0, to, in->rank, in->dims);
    if (!mbr_infer_ints(c, 0, v, MBR_OP_CONTENT, &n))
        return MBR_OK;
    for (size_t i = 0; i < n; i++) {
        if (to == MBR_DTYPE_BOOL) {
            v[i] = mbr_dim_is_const(v[i]) ? v[i] != 0 : mbr_dim_lower_bound(c->dims, v[i]) > 0 ? 1 : MBR_DIM_UNKNOWN;
            if (!mbr_dim_is_known(v[i]))
                return MBR_OK;
        } else if (!holds(to) || (mbr_dim_is_const(v[i]) && to == MBR_DTYPE_I32 && v[i] != (int32_t)v[i])) {
            return MBR_OK;
        }
    }
    mbr_infer_set_content(c, 0, v, n);
    return MBR_OK;
}

/* --- text --- */

/* The shortest digits that read back as v, as numpy prints them: 1.0, 0.1, 1e-05, 1.5e+16 */
static size_t print_real(char *text, double v, mbr_dtype t)
{
    char digits[WORD];
    int most = t == MBR_DTYPE_F64 ? 17 : 9, precision = 1, exponent;
    if (isnan(v))
        return (size_t)snprintf(text, WORD, "NaN");
    if (isinf(v))
        return (size_t)snprintf(text, WORD, v < 0 ? "-INF" : "INF");
    for (; precision < most; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision - 1, v);
        double back = strtod(digits, NULL);
        bool same = t == MBR_DTYPE_F64   ? back == v
                    : t == MBR_DTYPE_F16 ? mbr_f16_to_f32(mbr_f32_to_f16((float)back)) == (float)v
                    : t == MBR_DTYPE_BF16 ? mbr_bf16_to_f32(mbr_f32_to_bf16((float)back)) == (float)v
                                          : (float)back == (float)v;
        if (same)
            break;
    }
    snprintf(digits, sizeof digits, "%.*e", precision - 1, v);
    exponent = atoi(strchr(digits, 'e') + 1);
    int n;
    if (exponent < -4 || exponent >= 16) {
        n = snprintf(text, WORD, "%s", digits);
    } else {
        int decimals = precision - 1 - exponent;
        n = snprintf(text, WORD, "%.*f", decimals < 1 ? 1 : decimals, v);
    }
    const char *point = localeconv()->decimal_point;
    for (char *p = text; *p; p++)
        if (*p == point[0])
            *p = '.';
    return (size_t)n;
}

static size_t print(char *text, const mbr_value *v, size_t i)
{
    if (v->dtype == MBR_DTYPE_BOOL)
        return (size_t)snprintf(text, WORD, "%d", ((const uint8_t *)v->data)[i] != 0);
    if (v->dtype == MBR_DTYPE_U64)
        return (size_t)snprintf(text, WORD, "%" PRIu64, ((const uint64_t *)v->data)[i]);
    if (mbr_dtype_is_int(v->dtype))
        return (size_t)snprintf(text, WORD, "%" PRId64, mbr_value_int(v, i));
    return print_real(text, mbr_value_real(v, i), v->dtype);
}

/* Reads a whole string as a number: *real, and *whole when it is an integer that fits. */
static bool read(mbr_string s, double *real, int64_t *whole, bool *is_whole)
{
    char text[128], *end;
    size_t n = 0;
    const char *point = localeconv()->decimal_point;
    if (s.size == 0 || s.size >= sizeof text)
        return false;
    for (size_t i = 0; i < s.size; i++)
        text[n++] = s.data[i] == '.' ? point[0] : s.data[i];
    text[n] = '\0';
    errno = 0;
    *whole = strtoll(text, &end, 10);
    *is_whole = errno == 0 && end != text && *end == '\0';
    *real = strtod(text, &end);
    while (*end == ' ' || *end == '\t' || *end == '\n' || *end == '\r')
        end++;
    return end != text && *end == '\0' && strlen(text) == n;
}

static mbr_status read_all(mbr_step *s, mbr_error *err)
{
    const cast_state *st = s->state;
    const mbr_string *in = s->in[0]->data;
    mbr_value *out = s->out[0];
    size_t n = mbr_value_count(out), size = mbr_dtype_size(out->dtype);
    for (size_t i = 0; i < n; i++) {
        double real;
        int64_t whole;
        bool is_whole;
        if (!read(in[i], &real, &whole, &is_whole))
            return mbr_step_fail(s, err, MBR_ERR_RUN, "'%.*s' is no number",
                                 (int)(in[i].size < 40 ? in[i].size : 40), in[i].data ? in[i].data : "");
        mbr_convert_args args = st->args;
        bool by_int = is_whole && mbr_dtype_is_int(out->dtype);
        args.from = by_int ? MBR_DTYPE_I64 : MBR_DTYPE_F64;
        mbr_convert_ref(&args, by_int ? (const void *)&whole : (const void *)&real, (char *)out->data + i * size, 1);
    }
    return MBR_OK;
}

/* --- steps --- */

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    cast_state *st = s->state;
    mbr_dtype from = s->in[0]->dtype, to = s->out[0]->dtype;
    size_t n = mbr_value_count(s->in[0]);
    const char *mode = mbr_attr_string(s->node, "round_mode", "up");
    st->args.from = from;
    st->args.to = to;
    st->args.saturate = mbr_attr_int(s->node, "saturate", 1) != 0;
    st->args.round = strcmp(mode, "down") == 0      ? MBR_ROUND_DOWN
                     : strcmp(mode, "nearest") == 0 ? MBR_ROUND_NEAREST
                                                    : MBR_ROUND_UP;
    st->copies = from == to || s->op->param == BIT_CAST;
    st->reads = !st->copies && from == MBR_DTYPE_STRING;
    st->prints = !st->copies && to == MBR_DTYPE_STRING;
    if (st->prints)
        MBR_TRY(mbr_buffer_reserve(s, &st->text, n * WORD, err));
    if (st->reads || st->prints)
        return MBR_OK;
    st->fn = st->copies ? NULL : mbr_convert_select(mbr_cpu_tiers());
    st->each = 4096 * mbr_step_split(s, (n + 4095) / 4096, 4096 * 0.4);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const cast_state *st = s->state;
    const mbr_value *in = s->in[0];
    mbr_value *out = s->out[0];
    size_t n = mbr_value_count(in), first, last;
    if (st->reads)
        return read_all(s, err);
    if (st->prints) {
        mbr_string *words = out->data;
        for (size_t i = 0; i < n; i++) {
            char *text = (char *)st->text.data + i * WORD;
            words[i].data = text;
            words[i].size = print(text, in, i);
        }
        return MBR_OK;
    }
    mbr_op_items(job, st->each, n, &first, &last);
    if (first == last)
        return MBR_OK;
    const void *from = mbr_bytes_at(in->data, first * mbr_dtype_size(in->dtype));
    void *to = (char *)out->data + first * mbr_dtype_size(out->dtype);
    if (!st->copies)
        st->fn(&st->args, from, to, last - first);
    else if (from != to)
        memcpy(to, from, (last - first) * mbr_dtype_size(in->dtype));
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    cast_state *st = s->state;
    mbr_buffer_free(s, &st->text);
}

#define ROW(op_name, version, inputs, what)                                                                            \
    { .domain = "", .name = op_name, .since = version, .min_in = inputs, .max_in = inputs, .min_out = 1, .max_out = 1, \
      .flags = MBR_OP_INPLACE0, .infer = infer, .prepare = prepare, .run = run, .fini = fini,                          \
      .state_size = sizeof(cast_state), .param = what }

const mbr_op mbr_ops_cast[] = {
    ROW("BitCast", 26, 1, BIT_CAST),
    ROW("Cast", 1, 1, CAST),
    ROW("Cast", 6, 1, CAST),
    ROW("CastLike", 15, 2, CAST_LIKE),
    { 0 },
};

/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/onnx/prescan.h"
#include "base/checked.h"

#include <string.h>

/* What to do with a known field. Fields that are not in the table are dropped. */
typedef enum kind {
    DROP = 0,
    NUMBER,    /* varint, kept */
    NUMBERS,   /* repeated varint, packed or not, kept */
    FLOAT,     /* fixed32, kept */
    TEXT,      /* string, kept; may not hold a NUL */
    ONE,       /* a message, at most once */
    MANY,      /* messages */
    BLOB,      /* bytes, at most once, lifted */
    BLOBS,     /* repeated bytes, lifted */
    VARINTS,   /* repeated varint, lifted */
    FIXED32,   /* repeated fixed32, lifted */
    FIXED64    /* repeated fixed64, lifted */
} kind;

typedef struct field {
    uint8_t kind;
    uint8_t message; /* of ONE and MANY */
} field;

#define FIELDS 26

static const field table[MBR_ONNX_MESSAGES][FIELDS] = {
    [MBR_ONNX_MODEL] = { [1] = { NUMBER, 0 }, [2] = { TEXT, 0 }, [3] = { TEXT, 0 }, [4] = { TEXT, 0 },
                         [5] = { NUMBER, 0 }, [7] = { ONE, MBR_ONNX_GRAPH }, [8] = { MANY, MBR_ONNX_OPERATOR_SET },
                         [25] = { MANY, MBR_ONNX_FUNCTION } },
    [MBR_ONNX_GRAPH] = { [1] = { MANY, MBR_ONNX_NODE }, [2] = { TEXT, 0 }, [5] = { MANY, MBR_ONNX_TENSOR },
                         [11] = { MANY, MBR_ONNX_VALUE_INFO }, [12] = { MANY, MBR_ONNX_VALUE_INFO },
                         [13] = { MANY, MBR_ONNX_VALUE_INFO }, [15] = { MANY, MBR_ONNX_SPARSE_TENSOR } },
    [MBR_ONNX_NODE] = { [1] = { TEXT, 0 }, [2] = { TEXT, 0 }, [3] = { TEXT, 0 }, [4] = { TEXT, 0 },
                        [5] = { MANY, MBR_ONNX_ATTRIBUTE }, [7] = { TEXT, 0 }, [8] = { TEXT, 0 } },
    [MBR_ONNX_ATTRIBUTE] = { [1] = { TEXT, 0 }, [2] = { FLOAT, 0 }, [3] = { NUMBER, 0 }, [4] = { BLOB, 0 },
                             [5] = { ONE, MBR_ONNX_TENSOR }, [6] = { ONE, MBR_ONNX_GRAPH }, [7] = { FIXED32, 0 },
                             [8] = { VARINTS, 0 }, [9] = { BLOBS, 0 }, [10] = { MANY, MBR_ONNX_TENSOR },
                             [11] = { MANY, MBR_ONNX_GRAPH }, [14] = { ONE, MBR_ONNX_TYPE },
                             [15] = { MANY, MBR_ONNX_TYPE }, [20] = { NUMBER, 0 }, [21] = { TEXT, 0 },
                             [22] = { ONE, MBR_ONNX_SPARSE_TENSOR }, [23] = { MANY, MBR_ONNX_SPARSE_TENSOR } },
    [MBR_ONNX_TENSOR] = { [1] = { NUMBERS, 0 }, [2] = { NUMBER, 0 }, [4] = { FIXED32, 0 }, [5] = { VARINTS, 0 },
                          [6] = { BLOBS, 0 }, [7] = { VARINTS, 0 }, [8] = { TEXT, 0 }, [9] = { BLOB, 0 },
                          [10] = { FIXED64, 0 }, [11] = { VARINTS, 0 }, [13] = { MANY, MBR_ONNX_STRING_PAIR },
                          [14] = { NUMBER, 0 } },
    [MBR_ONNX_SPARSE_TENSOR] = { [1] = { ONE, MBR_ONNX_TENSOR }, [2] = { ONE, MBR_ONNX_TENSOR }, [3] = { NUMBERS, 0 } },
    [MBR_ONNX_VALUE_INFO] = { [1] = { TEXT, 0 }, [2] = { ONE, MBR_ONNX_TYPE } },
    [MBR_ONNX_TYPE] = { [1] = { ONE, MBR_ONNX_TYPE_TENSOR }, [4] = { ONE, MBR_ONNX_TYPE_SEQUENCE },
                        [5] = { ONE, MBR_ONNX_TYPE_MAP }, [7] = { ONE, MBR_ONNX_TYPE_OPAQUE },
                        [8] = { ONE, MBR_ONNX_TYPE_TENSOR }, [9] = { ONE, MBR_ONNX_TYPE_OPTIONAL } },
    [MBR_ONNX_TYPE_TENSOR] = { [1] = { NUMBER, 0 }, [2] = { ONE, MBR_ONNX_SHAPE } },
    [MBR_ONNX_TYPE_SEQUENCE] = { [1] = { ONE, MBR_ONNX_TYPE } },
    [MBR_ONNX_TYPE_MAP] = { [1] = { NUMBER, 0 }, [2] = { ONE, MBR_ONNX_TYPE } },
    [MBR_ONNX_TYPE_OPTIONAL] = { [1] = { ONE, MBR_ONNX_TYPE } },
    [MBR_ONNX_TYPE_OPAQUE] = { [1] = { TEXT, 0 }, [2] = { TEXT, 0 } },
    [MBR_ONNX_SHAPE] = { [1] = { MANY, MBR_ONNX_DIMENSION } },
    [MBR_ONNX_DIMENSION] = { [1] = { NUMBER, 0 }, [2] = { TEXT, 0 } },
    [MBR_ONNX_OPERATOR_SET] = { [1] = { TEXT, 0 }, [2] = { NUMBER, 0 } },
    [MBR_ONNX_FUNCTION] = { [1] = { TEXT, 0 }, [4] = { TEXT, 0 }, [5] = { TEXT, 0 }, [6] = { TEXT, 0 },
                            [7] = { MANY, MBR_ONNX_NODE }, [9] = { MANY, MBR_ONNX_OPERATOR_SET }, [10] = { TEXT, 0 },
                            [11] = { MANY, MBR_ONNX_ATTRIBUTE }, [12] = { MANY, MBR_ONNX_VALUE_INFO },
                            [13] = { TEXT, 0 } },
    [MBR_ONNX_STRING_PAIR] = { [1] = { TEXT, 0 }, [2] = { TEXT, 0 } },
    [MBR_ONNX_SEQUENCE] = { [1] = { TEXT, 0 }, [2] = { NUMBER, 0 }, [3] = { MANY, MBR_ONNX_TENSOR },
                            [4] = { MANY, MBR_ONNX_SPARSE_TENSOR }, [5] = { MANY, MBR_ONNX_SEQUENCE },
                            [6] = { MANY, MBR_ONNX_MAP }, [7] = { MANY, MBR_ONNX_OPTIONAL } },
    [MBR_ONNX_MAP] = { [1] = { TEXT, 0 }, [2] = { NUMBER, 0 }, [3] = { VARINTS, 0 }, [4] = { BLOBS, 0 },
                       [5] = { ONE, MBR_ONNX_SEQUENCE } },
    [MBR_ONNX_OPTIONAL] = { [1] = { TEXT, 0 }, [2] = { NUMBER, 0 }, [3] = { ONE, MBR_ONNX_TENSOR },
                            [4] = { ONE, MBR_ONNX_SPARSE_TENSOR }, [5] = { ONE, MBR_ONNX_SEQUENCE },
                            [6] = { ONE, MBR_ONNX_MAP }, [7] = { ONE, MBR_ONNX_OPTIONAL } },
};

static const char *const names[MBR_ONNX_MESSAGES] = {
    [MBR_ONNX_MODEL] = "ModelProto",
    [MBR_ONNX_GRAPH] = "GraphProto",
    [MBR_ONNX_NODE] = "NodeProto",
    [MBR_ONNX_ATTRIBUTE] = "AttributeProto",
    [MBR_ONNX_TENSOR] = "TensorProto",
    [MBR_ONNX_SPARSE_TENSOR] = "SparseTensorProto",
    [MBR_ONNX_VALUE_INFO] = "ValueInfoProto",
    [MBR_ONNX_TYPE] = "TypeProto",
    [MBR_ONNX_TYPE_TENSOR] = "TypeProto.Tensor",
    [MBR_ONNX_TYPE_SEQUENCE] = "TypeProto.Sequence",
    [MBR_ONNX_TYPE_MAP] = "TypeProto.Map",
    [MBR_ONNX_TYPE_OPTIONAL] = "TypeProto.Optional",
    [MBR_ONNX_TYPE_OPAQUE] = "TypeProto.Opaque",
    [MBR_ONNX_SHAPE] = "TensorShapeProto",
    [MBR_ONNX_DIMENSION] = "TensorShapeProto.Dimension",
    [MBR_ONNX_OPERATOR_SET] = "OperatorSetIdProto",
    [MBR_ONNX_FUNCTION] = "FunctionProto",
    [MBR_ONNX_STRING_PAIR] = "StringStringEntryProto",
    [MBR_ONNX_SEQUENCE] = "SequenceProto",
    [MBR_ONNX_MAP] = "MapProto",
    [MBR_ONNX_OPTIONAL] = "OptionalProto",
};

/* Wire types. Groups (3 and 4) left protobuf long before ONNX began. */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* The length of a message in the reduced copy is written into five bytes, once it is known. */
#define LENGTH_BYTES 5

/* protobuf-c keeps lengths in an int. */
#define REDUCED_MAX ((size_t)1 << 30)

typedef struct frame {
    const uint8_t *end;
    size_t length_at; /* in the reduced copy */
    uint32_t seen;    /* bit per field that may come once */
    uint8_t message;
} frame;

typedef struct scanner {
    mbr_onnx_scan *out;
    const uint8_t *start;
    frame stack[MBR_ONNX_DEPTH];
    int depth; /* frames in use */
    mbr_error *err;
} scanner;

const uint8_t *mbr_onnx_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && at < end; shift += 7) {
        uint8_t b = *at++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *value = v;
            return at;
        }
    }
    return NULL;
}

static mbr_status broken(const scanner *s, const uint8_t *at, const char *what)
{
    return mbr_fail(s->err, MBR_ERR_FORMAT, "%s in %s at byte %zu: the file is damaged, cut short or not ONNX", what,
                    names[s->stack[s->depth - 1].message], (size_t)(at - s->start));
}

static mbr_status too_long(const scanner *s, const uint8_t *at, unsigned number, uint64_t length, size_t left)
{
    return mbr_fail(s->err, MBR_ERR_FORMAT,
                    "field %u of %s at byte %zu claims %llu bytes, but only %zu are left: the file is damaged or cut "
                    "short; fetch it again",
                    number, names[s->stack[s->depth - 1].message], (size_t)(at - s->start), (unsigned long long)length,
                    left);
}

static mbr_status put(scanner *s, const void *bytes, size_t n)
{
    mbr_onnx_scan *o = s->out;
    if (n > o->reduced_room - o->reduced_size) {
        if (n > REDUCED_MAX || o->reduced_size + n > REDUCED_MAX)
            return mbr_fail(s->err, MBR_ERR_LIMIT, "names and structure take more than %zu MB; the file is not sound",
                            REDUCED_MAX >> 20);
        size_t room = mbr_max_size(2 * o->reduced_room, o->reduced_size + n + 1024);
        uint8_t *bigger = mbr_grow(o->memory, o->reduced, o->reduced_size, room);
        if (!bigger)
            return mbr_no_memory(s->err, room);
        o->reduced = bigger;
        o->reduced_room = room;
    }
    memcpy(o->reduced + o->reduced_size, bytes, n);
    o->reduced_size += n;
    return MBR_OK;
}

static size_t encode(uint8_t *to, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        to[n++] = (uint8_t)(v | 0x80);
    to[n++] = (uint8_t)v;
    return n;
}

/* A tag, and for a varint or a length its number. */
static mbr_status put_head(scanner *s, unsigned number, unsigned wire, uint64_t v)
{
    uint8_t head[24];
    size_t n = encode(head, (uint64_t)number << 3 | wire);
    if (wire == WIRE_VARINT || wire == WIRE_BYTES)
        n += encode(head + n, v);
    if (++s->out->fields > MBR_ONNX_MAX_FIELDS)
        return mbr_fail(s->err, MBR_ERR_LIMIT, "more than %zu million names, nodes and other fields; the limit is there "
                        "because such a file is hardly a model", MBR_ONNX_MAX_FIELDS / 1000000);
    return put(s, head, n);
}

static mbr_status lift(scanner *s, unsigned number, mbr_onnx_form form, const uint8_t *from, const uint8_t *to,
                       size_t count)
{
    mbr_onnx_scan *o = s->out;
    if (o->span_count == o->span_room) {
        size_t room = o->span_room ? 2 * o->span_room : 64;
        mbr_onnx_span *bigger =
            mbr_grow(o->memory, o->spans, o->span_count * sizeof *o->spans, room * sizeof *o->spans);
        if (!bigger)
            return mbr_no_memory(s->err, room * sizeof *o->spans);
        o->spans = bigger;
        o->span_room = room;
    }
    o->spans[o->span_count] = (mbr_onnx_span){
        .data = from, .bytes = (size_t)(to - from), .count = count, .field = (uint8_t)number, .form = (uint8_t)form
    };
    return put_head(s, MBR_ONNX_SPAN_FIELD, WIRE_VARINT, o->span_count++);
}

/*
 * The runs: `at` is behind the first tag of a field whose values follow each other, each behind the same one-byte tag.
 * They return the end of the run's last value, or NULL when a value is broken.
 */
static const uint8_t *fixed_run(const uint8_t *at, const uint8_t *end, uint8_t tag, size_t width, size_t *count)
{
    if ((size_t)(end - at) < width)
        return NULL;
    const uint8_t *first = at;
    at += width;
    while ((size_t)(end - at) > width && *at == tag)
        at += width + 1;
    *count = (size_t)(at - first + 1) / (width + 1);
    return at;
}

static const uint8_t *varint_run(const uint8_t *at, const uint8_t *end, uint8_t tag, size_t *count)
{
    size_t n = 0;
    for (;;) {
        const uint8_t *from = at;
        while (at < end && *at >= 0x80)
            at++;
        if (at == end || at - from > 9)
            return NULL;
        at++;
        n++;
        if (at == end || *at != tag)
            break;
        at++;
    }
    *count = n;
    return at;
}

static const uint8_t *string_run(const uint8_t *at, const uint8_t *end, uint8_t tag, size_t *count)
{
    size_t n = 0;
    for (;;) {
        uint64_t length;
        at = mbr_onnx_varint(at, end, &length);
        if (!at || length > (size_t)(end - at))
            return NULL;
        at += length;
        n++;
        if (at == end || *at != tag)
            break;
        at++;
    }
    *count = n;
    return at;
}

/* Lifts a repeated field that begins behind its first tag; *at moves behind all of it. */
static mbr_status lift_run(scanner *s, unsigned number, unsigned wire, unsigned k, const uint8_t **at)
{
    static const struct {
        uint8_t wire, width;
    } facts[] = { [VARINTS] = { WIRE_VARINT, 0 }, [FIXED32] = { WIRE_32, 4 }, [FIXED64] = { WIRE_64, 8 } };
    const uint8_t *from = *at, *end = s->stack[s->depth - 1].end, *stop;
    uint8_t tag = (uint8_t)(number << 3 | wire); /* every lifted field has a number below 16 */
    size_t count = 0;
    mbr_onnx_form form;
    if (k == BLOBS) {
        if (wire != WIRE_BYTES)
            return broken(s, from, "a string of the wrong wire type");
        form = MBR_ONNX_STRINGS;
        stop = string_run(from, end, tag, &count);
    } else if (wire == WIRE_BYTES) { /* packed */
        uint64_t length;
        from = mbr_onnx_varint(from, end, &length);
        if (!from)
            return broken(s, *at, "a broken length");
        if (length > (size_t)(end - from))
            return too_long(s, *at, number, length, (size_t)(end - from));
        stop = from + length;
        size_t width = facts[k].width;
        if (width ? length % width != 0 : length && stop[-1] >= 0x80)
            return broken(s, from, "a packed array that ends inside a number");
        form = MBR_ONNX_PACKED;
        count = width ? (size_t)length / width : 0;
        if (length == 0) {
            *at = stop;
            return MBR_OK;
        }
    } else if (wire != facts[k].wire)
        return broken(s, from, "an array of the wrong wire type");
    else if (k == VARINTS) {
        form = MBR_ONNX_VARINTS;
        stop = varint_run(from, end, tag, &count);
    } else {
        form = k == FIXED32 ? MBR_ONNX_FIXED32 : MBR_ONNX_FIXED64;
        stop = fixed_run(from, end, tag, facts[k].width, &count);
    }
    if (!stop)
        return broken(s, from, "an array that does not end");
    *at = stop;
    return lift(s, number, form, from, stop, count);
}

/* Checks a packed payload of varints that is kept (the dimensions of a tensor: few). */
static bool sound_varints(const uint8_t *at, const uint8_t *end)
{
    uint64_t ignored;
    while (at && at < end)
        at = mbr_onnx_varint(at, end, &ignored);
    return at != NULL;
}

static mbr_status once(scanner *s, const uint8_t *at, unsigned number)
{
    frame *f = &s->stack[s->depth - 1];
    if (f->seen >> number & 1)
        return broken(s, at, "a field given twice");
    f->seen |= (uint32_t)1 << number;
    return MBR_OK;
}

static mbr_status enter(scanner *s, const uint8_t *at, unsigned number, mbr_onnx_message message, const uint8_t *end)
{
    if (s->depth == MBR_ONNX_DEPTH)
        return mbr_fail(s->err, MBR_ERR_LIMIT,
                        "%s at byte %zu is nested more than %d messages deep, which no exporter writes; the file is "
                        "not sound",
                        names[message], (size_t)(at - s->start), MBR_ONNX_DEPTH);
    MBR_TRY(put_head(s, number, WIRE_BYTES, 0));
    s->out->reduced_size--; /* that length was a stand-in */
    static const uint8_t room[LENGTH_BYTES] = { 0 };
    size_t length_at = s->out->reduced_size;
    MBR_TRY(put(s, room, LENGTH_BYTES));
    s->stack[s->depth++] = (frame){ .end = end, .length_at = length_at, .message = (uint8_t)message };
    return MBR_OK;
}

static void leave(scanner *s)
{
    const frame *f = &s->stack[--s->depth];
    if (s->depth == 0)
        return;
    uint8_t *at = s->out->reduced + f->length_at;
    size_t length = s->out->reduced_size - f->length_at - LENGTH_BYTES;
    for (int i = 0; i < LENGTH_BYTES; i++, length >>= 7)
        at[i] = (uint8_t)((length & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
}

/* A field with a length in front; *at is behind the tag and moves behind the field, or into it when it is a message. */
static mbr_status delimited(scanner *s, unsigned number, field what, const uint8_t **at)
{
    const uint8_t *end = s->stack[s->depth - 1].end, *head = *at, *from;
    uint64_t length;
    from = mbr_onnx_varint(head, end, &length);
    if (!from)
        return broken(s, head, "a broken length");
    if (length > (size_t)(end - from))
        return too_long(s, head, number, length, (size_t)(end - from));
    size_t n = (size_t)length;
    *at = from + n;
    switch (what.kind) {
    case DROP:
        return MBR_OK;
    case TEXT:
        if (n && memchr(from, 0, n))
            return broken(s, from, "a name that holds a NUL byte");
        break;
    case NUMBERS:
        if (!sound_varints(from, from + n))
            return broken(s, from, "a broken number");
        break;
    case BLOB:
        MBR_TRY(once(s, head, number));
        return lift(s, number, MBR_ONNX_BYTES, from, from + n, 1);
    case ONE:
        MBR_TRY(once(s, head, number));
        /* fall through */
    case MANY:
        *at = from;
        return enter(s, head, number, what.message, from + n);
    default:
        return broken(s, head, "a number of the wrong wire type");
    }
    MBR_TRY(put_head(s, number, WIRE_BYTES, n));
    return put(s, from, n);
}

/* One field of the innermost message; *at moves on. */
static mbr_status one_field(scanner *s, const uint8_t **at)
{
    const frame *f = &s->stack[s->depth - 1];
    const uint8_t *end = f->end, *head = *at, *from;
    uint64_t tag, value;
    from = mbr_onnx_varint(head, end, &tag);
    if (!from || tag >> 32 || tag >> 3 == 0)
        return broken(s, head, "a broken tag");
    unsigned number = (unsigned)(tag >> 3), wire = tag & 7;
    field what = { DROP, 0 };
    if (number < FIELDS)
        what = table[f->message][number];
    *at = from;
    if (what.kind >= BLOBS)
        return lift_run(s, number, wire, what.kind, at);
    switch (wire) {
    case WIRE_BYTES:
        return delimited(s, number, what, at);
    case WIRE_VARINT:
        *at = mbr_onnx_varint(from, end, &value);
        if (!*at)
            return broken(s, from, "a broken number");
        if (what.kind == NUMBER || what.kind == NUMBERS)
            return put_head(s, number, wire, value);
        break;
    case WIRE_32:
    case WIRE_64: {
        size_t width = wire == WIRE_32 ? 4 : 8;
        if ((size_t)(end - from) < width)
            return broken(s, from, "a number that is cut short");
        *at = from + width;
        if (what.kind == FLOAT && wire == WIRE_32) {
            MBR_TRY(put_head(s, number, wire, 0));
            return put(s, from, width);
        }
        break;
    }
    default:
        return broken(s, head, "an unknown wire type");
    }
    if (what.kind != DROP)
        return broken(s, head, "a field of the wrong wire type");
    return MBR_OK;
}

mbr_status mbr_onnx_scan_run(mbr_onnx_scan *out, mbr_memory *memory, const uint8_t *bytes, size_t size,
                             mbr_onnx_message root, mbr_error *err)
{
    memset(out, 0, sizeof *out);
    out->memory = memory;
    scanner s;
    s.out = out;
    s.start = bytes;
    s.err = err;
    s.depth = 1;
    s.stack[0] = (frame){ .end = bytes + size, .message = (uint8_t)root };
    const uint8_t *at = bytes;
    while (s.depth) {
        if (at == s.stack[s.depth - 1].end) {
            leave(&s);
            continue;
        }
        mbr_status st = one_field(&s, &at);
        if (st != MBR_OK) {
            mbr_onnx_scan_destroy(out);
            return st;
        }
    }
    return MBR_OK;
}

void mbr_onnx_scan_destroy(mbr_onnx_scan *s)
{
    if (s->memory) {
        mbr_free(s->memory, s->reduced);
        mbr_free(s->memory, s->spans);
    }
    memset(s, 0, sizeof *s);
}

bool mbr_onnx_sniff(const uint8_t *bytes, size_t size)
{
    const uint8_t *at = bytes, *end = bytes + size;
    bool version = false, graph = false;
    uint64_t tag, value;
    while (at < end && !graph) {
        at = mbr_onnx_varint(at, end, &tag);
        if (!at)
            return version;
        uint64_t number = tag >> 3;
        unsigned wire = tag & 7;
        bool known = (number >= 1 && number <= 8) || number == 14 || number == 20 || number == 25 || number == 26;
        if (!known || wire != (number == 1 || number == 5 ? WIRE_VARINT : WIRE_BYTES))
            return false;
        at = mbr_onnx_varint(at, end, &value);
        if (!at)
            return version;
        if (number == 1) {
            if (value == 0 || value > 1000)
                return false;
            version = true;
        } else if (number == 7)
            graph = value > 0 && (value > (size_t)(end - at) || value == 0 || (at[0] & 7) == WIRE_BYTES);
        if (wire == WIRE_BYTES) {
            if (value > (size_t)(end - at))
                return version;
            at += value;
        }
    }
    return version || graph;
}

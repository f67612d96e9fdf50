/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/onnx/onnx.pb-c.h"
#include "importers/onnx/onnx_spans.h"
#include "importers/onnx/onnx_tensor.h"
#include "tests/onnx_writer.h"

#include <check.h>
#include <stdio.h>

static const int64_t dims_n3[] = { -1, 3, -2 }, dims_3[] = { 3, -2 };

/* A model with one of nearly everything. */
static wire sample(void)
{
    static const float three[] = { 1.5f, -2, 3 };
    wire graph = { 0 }, attr = { 0 };
    wire node = wire_node("relu", "", "LeakyRelu", "x", "y");
    wire_text(&attr, 1, "alpha");
    wire_float(&attr, 2, 0.25f);
    wire_int(&attr, 20, 1);
    wire_text(&attr, 13, "documentation that is dropped");
    wire_message(&node, 5, &attr);
    wire_text(&attr, 1, "list");
    for (int i = 0; i < 5; i++)
        wire_int(&attr, 8, 1000 * i - 2000);
    for (int i = 0; i < 3; i++)
        wire_float(&attr, 7, three[i]);
    wire_text(&attr, 9, "one");
    wire_text(&attr, 9, "");
    wire_int(&attr, 20, 7);
    wire_message(&node, 5, &attr);
    wire_message(&graph, 1, &node);
    wire_text(&graph, 2, "g");
    wire w = wire_tensor("w", 1, dims_3);
    wire_bytes(&w, 9, three, sizeof three);
    wire_message(&graph, 5, &w);
    wire v = wire_tensor("v", 1, dims_3);
    wire_bytes(&v, 4, three, sizeof three); /* packed float_data */
    wire_message(&graph, 5, &v);
    wire info = wire_value_info("x", 1, dims_n3);
    wire_message(&graph, 11, &info);
    info = wire_value_info("y", 1, dims_n3);
    wire_message(&graph, 12, &info);
    wire m = wire_model(8, 17, &graph);
    wire_text(&m, 6, "more documentation");
    return m;
}

static Mbr__Onnx__ModelProto *unpack(const mbr_onnx_scan *s)
{
    return mbr__onnx__model_proto__unpack(NULL, s->reduced_size, s->reduced);
}

START_TEST(keeps_structure_and_lifts_payloads)
{
    mbr_memory memory;
    mbr_onnx_scan s;
    mbr_error err = { 0 };
    mbr_memory_init(&memory);
    wire m = sample();
    ck_assert_msg(mbr_onnx_scan_run(&s, &memory, m.data, m.size, MBR_ONNX_MODEL, &err) == MBR_OK, "%s", err.text);
    Mbr__Onnx__ModelProto *p = unpack(&s);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(p->ir_version, 8);
    ck_assert_str_eq(p->producer_name, "test");
    ck_assert_int_eq(p->opset_import[0]->version, 17);
    ck_assert_uint_eq(p->graph->n_node, 1);
    const Mbr__Onnx__NodeProto *n = p->graph->node[0];
    ck_assert_str_eq(n->op_type, "LeakyRelu");
    ck_assert(n->attribute[0]->f == 0.25f);
    const mbr_onnx_spans list = { &s, n->attribute[1]->span, n->attribute[1]->n_span };
    int64_t ints[5];
    float floats[3];
    mbr_string strings[2];
    ck_assert_uint_eq(mbr_onnx_spans_count(&list, 8), 5);
    ck_assert(mbr_onnx_spans_i64(&list, 8, ints));
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(ints[i], 1000 * i - 2000);
    ck_assert_uint_eq(mbr_onnx_spans_count(&list, 7), 3);
    mbr_onnx_spans_fixed32(&list, 7, floats);
    ck_assert(floats[0] == 1.5f && floats[1] == -2 && floats[2] == 3);
    ck_assert_uint_eq(mbr_onnx_spans_count(&list, 9), 2);
    mbr_onnx_spans_strings(&list, 9, strings);
    ck_assert(strings[0].size == 3 && memcmp(strings[0].data, "one", 3) == 0 && strings[1].size == 0);
    ck_assert_uint_eq(mbr_onnx_spans_count(&list, 4), 0);
    for (int i = 0; i < 2; i++) { /* raw_data and packed float_data lie flat in the file */
        const Mbr__Onnx__TensorProto *t = p->graph->initializer[i];
        const mbr_onnx_spans data = { &s, t->span, t->n_span };
        size_t bytes;
        const uint8_t *flat = mbr_onnx_spans_flat(&data, i ? MBR_ONNX_FLOAT_DATA : MBR_ONNX_RAW_DATA, &bytes);
        ck_assert_ptr_nonnull(flat);
        ck_assert_uint_eq(bytes, 12);
        ck_assert(flat > m.data && flat < m.data + m.size);
        ck_assert_int_eq(t->dims[0], 3);
    }
    ck_assert_str_eq(p->graph->input[0]->type->tensor_type->shape->dim[0]->dim_param, "N");
    ck_assert_uint_lt(s.reduced_size, m.size);
    mbr__onnx__model_proto__free_unpacked(p, NULL);
    mbr_onnx_scan_destroy(&s);
    ck_assert_uint_eq(memory.in_use, 0);
    wire_free(&m);
}
END_TEST

/* Scans bytes of any kind: either an error with a message, or a copy that protobuf-c can read. */
static mbr_status try_bytes(const uint8_t *bytes, size_t size, mbr_onnx_message root)
{
    mbr_memory memory;
    mbr_onnx_scan s;
    mbr_error err = { 0 };
    uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees the end */
    ck_assert_ptr_nonnull(exact);
    if (size)
        memcpy(exact, bytes, size);
    mbr_memory_init(&memory);
    mbr_status st = mbr_onnx_scan_run(&s, &memory, exact, size, root, &err);
    if (st == MBR_OK) {
        const ProtobufCMessageDescriptor *d = root == MBR_ONNX_MODEL ? &mbr__onnx__model_proto__descriptor
                                                                     : &mbr__onnx__sequence_proto__descriptor;
        ProtobufCMessage *p = protobuf_c_message_unpack(d, NULL, s.reduced_size, s.reduced);
        ck_assert_ptr_nonnull(p);
        protobuf_c_message_free_unpacked(p, NULL);
    } else {
        ck_assert_int_eq(st, err.status);
        ck_assert(err.text[0] != '\0');
    }
    (void)mbr_onnx_sniff(exact, size);
    mbr_onnx_scan_destroy(&s);
    ck_assert_uint_eq(memory.in_use, 0);
    free(exact);
    return st;
}

START_TEST(truncated_at_every_byte)
{
    wire m = sample();
    size_t refused = 0;
    for (size_t n = 0; n < m.size; n++)
        refused += try_bytes(m.data, n, MBR_ONNX_MODEL) == MBR_ERR_FORMAT;
    ck_assert_uint_gt(refused, m.size - 16); /* only a cut between two fields of the outermost message is sound */
    ck_assert_int_eq(try_bytes(m.data, m.size, MBR_ONNX_MODEL), MBR_OK);
    wire_free(&m);
}
END_TEST

START_TEST(every_byte_changed_to_every_value)
{
    wire m = sample();
    for (size_t i = 0; i < m.size; i++) {
        uint8_t was = m.data[i];
        for (unsigned v = 0; v < 256; v += 1 + (v > 8 && v < 120) * 6) {
            m.data[i] = (uint8_t)v;
            (void)try_bytes(m.data, m.size, MBR_ONNX_MODEL);
        }
        m.data[i] = was;
    }
    wire_free(&m);
}
END_TEST

START_TEST(random_bytes)
{
    const char *given = getenv("MBR_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 0x2545f4914f6cdd1d;
    printf("seed 0x%llx (MBR_SEED)\n", (unsigned long long)seed);
    uint8_t bytes[200];
    for (int round = 0; round < 20000; round++) {
        size_t n = 0;
        for (; n < sizeof bytes; n++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            if (n > (seed >> 20) % sizeof bytes)
                break;
            bytes[n] = (uint8_t)(round % 2 ? seed >> 32 : (seed >> 32) & 0x3f); /* half of them: short tags, lengths */
        }
        (void)try_bytes(bytes, n, round % 4 < 2 ? MBR_ONNX_MODEL : MBR_ONNX_SEQUENCE);
    }
}
END_TEST

/* SequenceProto in SequenceProto, `depth` messages in all. */
static wire nested(size_t depth)
{
    wire w = { 0 };
    for (size_t i = 1; i < depth; i++) { /* built from the inside: heads come in front */
        wire outer = { 0 };
        wire_message(&outer, 5, &w);
        w = outer;
    }
    return w;
}

START_TEST(depth_is_capped)
{
    wire w = nested(MBR_ONNX_DEPTH);
    ck_assert_int_eq(try_bytes(w.data, w.size, MBR_ONNX_SEQUENCE), MBR_OK);
    wire_free(&w);
    w = nested(MBR_ONNX_DEPTH + 1);
    ck_assert_int_eq(try_bytes(w.data, w.size, MBR_ONNX_SEQUENCE), MBR_ERR_LIMIT);
    wire_free(&w);
    w = nested(20000);
    ck_assert_int_eq(try_bytes(w.data, w.size, MBR_ONNX_SEQUENCE), MBR_ERR_LIMIT);
    wire_free(&w);
}
END_TEST

/* One wrong thing each, in a TensorProto inside a SequenceProto. */
static mbr_status wrong(const uint8_t *tensor, size_t n)
{
    wire w = { 0 };
    wire_bytes(&w, 3, tensor, n);
    mbr_status st = try_bytes(w.data, w.size, MBR_ONNX_SEQUENCE);
    wire_free(&w);
    return st;
}
#define WRONG(...) wrong((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

START_TEST(each_kind_of_damage)
{
    ck_assert_int_eq(WRONG(0x10, 1), MBR_OK);
    ck_assert_int_eq(WRONG(0x4a, 200, 1, 0), MBR_ERR_FORMAT);             /* raw_data longer than the file */
    ck_assert_int_eq(WRONG(0x4a, 0xff, 0xff, 0xff, 0xff, 0x7f), MBR_ERR_FORMAT);
    ck_assert_int_eq(WRONG(0x4a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), MBR_ERR_FORMAT);
    ck_assert_int_eq(WRONG(0x22, 3, 0, 0, 0), MBR_ERR_FORMAT);            /* packed floats: 3 bytes */
    ck_assert_int_eq(WRONG(0x25, 0, 0), MBR_ERR_FORMAT);                  /* a float of 2 bytes */
    ck_assert_int_eq(WRONG(0x25, 0, 0, 0, 0, 0x25, 0), MBR_ERR_FORMAT);   /* the second one */
    ck_assert_int_eq(WRONG(0x2a, 1, 0x80), MBR_ERR_FORMAT);               /* packed varints end inside one */
    ck_assert_int_eq(WRONG(0x28, 0x80), MBR_ERR_FORMAT);
    ck_assert_int_eq(WRONG(0x28, 1, 0x28, 0x80), MBR_ERR_FORMAT);
    ck_assert_int_eq(WRONG(0x32, 1, 'a', 0x32, 9, 'b'), MBR_ERR_FORMAT);  /* the second string is too long */
    ck_assert_int_eq(WRONG(0x42, 3, 'a', 0, 'b'), MBR_ERR_FORMAT);        /* a NUL in a name */
    ck_assert_int_eq(WRONG(0x40, 1), MBR_ERR_FORMAT);                     /* a name that is a number */
    ck_assert_int_eq(WRONG(0x12, 1, 1), MBR_ERR_FORMAT);                  /* a number that is bytes */
    ck_assert_int_eq(WRONG(0x4a, 0, 0x4a, 0), MBR_ERR_FORMAT);            /* raw_data twice */
    ck_assert_int_eq(WRONG(0x13), MBR_ERR_FORMAT);                        /* a group */
    ck_assert_int_eq(WRONG(0x17), MBR_ERR_FORMAT);                        /* no wire type */
    ck_assert_int_eq(WRONG(0x00, 1), MBR_ERR_FORMAT);                     /* field 0 */
    ck_assert_int_eq(WRONG(0x0a, 2, 1, 0x80), MBR_ERR_FORMAT);            /* dims end inside a number */
    ck_assert_int_eq(WRONG(0xa2, 6, 1, 5), MBR_OK);                       /* our own field 100, given by a file: dropped */
    ck_assert_int_eq(WRONG(0x91, 0), MBR_ERR_FORMAT);                     /* an unknown field cut short */
}
END_TEST

START_TEST(a_span_field_of_the_file_is_dropped)
{
    mbr_memory memory;
    mbr_onnx_scan s;
    wire w = wire_tensor("t", 1, dims_3);
    wire_int(&w, MBR_ONNX_SPAN_FIELD, 12345);
    mbr_memory_init(&memory);
    ck_assert_int_eq(mbr_onnx_scan_run(&s, &memory, w.data, w.size, MBR_ONNX_TENSOR, NULL), MBR_OK);
    Mbr__Onnx__TensorProto *t = mbr__onnx__tensor_proto__unpack(NULL, s.reduced_size, s.reduced);
    ck_assert_ptr_nonnull(t);
    ck_assert_uint_eq(t->n_span, 0);
    mbr__onnx__tensor_proto__free_unpacked(t, NULL);
    mbr_onnx_scan_destroy(&s);
    wire_free(&w);
}
END_TEST

/* A million numbers, in runs with and without tags and split by another field, come out in order. */
START_TEST(long_arrays)
{
    enum { N = 1000000 };
    mbr_memory memory;
    mbr_onnx_scan s;
    mbr_error err = { 0 };
    wire a = { 0 }, packed = { 0 };
    int64_t *want = malloc(N * sizeof *want), *got = malloc(N * sizeof *got);
    ck_assert(want && got);
    uint64_t x = 88172645463325252;
    for (size_t i = 0; i < N; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        want[i] = (int64_t)(x >> (x % 64));
    }
    size_t i = 0;
    for (; i < N / 2; i++)
        wire_int(&a, 8, want[i]);
    for (size_t k = 0; k < 1000; k++)
        wire_float(&a, 7, (float)k);
    for (; i < N / 4 * 3; i++)
        wire_varint(&packed, (uint64_t)want[i]);
    wire_message(&a, 8, &packed);
    for (; i < N; i++)
        wire_int(&a, 8, want[i]);
    mbr_memory_init(&memory);
    ck_assert_msg(mbr_onnx_scan_run(&s, &memory, a.data, a.size, MBR_ONNX_ATTRIBUTE, &err) == MBR_OK, "%s", err.text);
    ck_assert_uint_eq(s.span_count, 4);
    ck_assert_uint_lt(s.reduced_size, 64);
    uint32_t index[] = { 0, 1, 2, 3 };
    const mbr_onnx_spans spans = { &s, index, 4 };
    ck_assert_uint_eq(mbr_onnx_spans_count(&spans, 8), N);
    ck_assert(mbr_onnx_spans_i64(&spans, 8, got));
    ck_assert_int_eq(memcmp(want, got, N * sizeof *want), 0);
    ck_assert_uint_eq(mbr_onnx_spans_count(&spans, 7), 1000);
    float f[1000];
    mbr_onnx_spans_fixed32(&spans, 7, f);
    for (size_t k = 0; k < 1000; k++)
        ck_assert(f[k] == (float)k);
    mbr_onnx_scan_destroy(&s);
    wire_free(&a);
    free(want);
    free(got);
}
END_TEST

/* The checks of a packed array's inner numbers are left to the decoder. */
START_TEST(overlong_numbers_are_found)
{
    mbr_memory memory;
    mbr_onnx_scan s;
    wire a = { 0 };
    static const uint8_t eleven[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 };
    wire_bytes(&a, 8, eleven, sizeof eleven);
    mbr_memory_init(&memory);
    ck_assert_int_eq(mbr_onnx_scan_run(&s, &memory, a.data, a.size, MBR_ONNX_ATTRIBUTE, NULL), MBR_OK);
    uint32_t index = 0;
    int64_t v;
    const mbr_onnx_spans spans = { &s, &index, 1 };
    ck_assert_uint_eq(mbr_onnx_spans_count(&spans, 8), 1);
    ck_assert(!mbr_onnx_spans_i64(&spans, 8, &v));
    mbr_onnx_scan_destroy(&s);
    wire_free(&a);
    wire_tag(&a, 8, 0); /* without packing the scan sees it */
    wire_raw(&a, eleven, sizeof eleven);
    ck_assert_int_eq(mbr_onnx_scan_run(&s, &memory, a.data, a.size, MBR_ONNX_ATTRIBUTE, NULL), MBR_ERR_FORMAT);
    wire_free(&a);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    wire m = sample();
    for (long after = 0;; after++) {
        mbr_memory memory;
        mbr_onnx_scan s;
        mbr_error err = { 0 };
        mbr_memory_init(&memory);
        atomic_store(&memory.fail_after, after);
        mbr_status st = mbr_onnx_scan_run(&s, &memory, m.data, m.size, MBR_ONNX_MODEL, &err);
        mbr_onnx_scan_destroy(&s);
        ck_assert_uint_eq(memory.in_use, 0);
        if (st == MBR_OK)
            break;
        ck_assert_int_eq(st, MBR_ERR_NO_MEMORY);
        ck_assert_int_lt(after, 100);
    }
    wire_free(&m);
}
END_TEST

START_TEST(sniffs)
{
    wire m = sample();
    for (size_t n = 2; n <= m.size; n++)
        ck_assert(mbr_onnx_sniff(m.data, n));
    wire_free(&m);
    static const char *const others[] = { "", "GGUF\3\0\0\0", "\177ELF\2\1\1", "PK\3\4", "{\"a\": 1}", "\x1c\0\0\0TFL3",
                                          "\x89PNG\r\n", "#!/bin/sh\n" };
    for (size_t i = 0; i < MBR_COUNT_OF(others); i++)
        ck_assert(!mbr_onnx_sniff((const uint8_t *)others[i], strlen(others[i])));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx_prescan");
    TCase *c = tcase_create("all");
    tcase_add_test(c, keeps_structure_and_lifts_payloads);
    tcase_add_test(c, truncated_at_every_byte);
    tcase_add_test(c, every_byte_changed_to_every_value);
    tcase_add_test(c, random_bytes);
    tcase_add_test(c, depth_is_capped);
    tcase_add_test(c, each_kind_of_damage);
    tcase_add_test(c, a_span_field_of_the_file_is_dropped);
    tcase_add_test(c, long_arrays);
    tcase_add_test(c, overlong_numbers_are_found);
    tcase_add_test(c, every_allocation_may_fail);
    tcase_add_test(c, sniffs);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}

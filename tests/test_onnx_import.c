/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/ops/op.h"
#include "importers/importer.h"
#include "tests/onnx_writer.h"

#include <check.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t d_n3[] = { -1, 3, -2 }, d_3[] = { 3, -2 }, d_0[] = { -2 };
static const float three[] = { 1.5f, -2, 3 };

static mbr_memory memory;
static mbr_error err;
static mbr_ir_module *module;

/* Imports and frees the bytes; what lives on is in `module`. */
static mbr_status load_from(const wire *w, const char *folder)
{
    uint8_t *block = mbr_alloc(&memory, w->size);
    ck_assert_ptr_nonnull(block);
    memcpy(block, w->data, w->size);
    mbr_import_source source = { .memory = &memory, .name = "m.onnx", .folder = folder,
                                 .map = mbr_filemap_adopt(&memory, block, w->size) };
    memset(&err, 0, sizeof err);
    mbr_status st = mbr_import(&source, &module, &err);
    atomic_store(&memory.fail_after, -1);
    ck_assert((st == MBR_OK) == (module != NULL));
    ck_assert_ptr_null(source.map.data);
    if (st == MBR_OK)
        ck_assert_msg(mbr_ir_check(module, &err) == MBR_OK, "%s", err.text);
    else
        ck_assert_int_eq(strncmp(err.text, "m.onnx: ", 8), 0);
    return st;
}

static mbr_status load(wire *w)
{
    mbr_status st = load_from(w, NULL);
    wire_free(w);
    return st;
}

static void loads(wire *w)
{
    mbr_status st = load(w);
    ck_assert_msg(st == MBR_OK, "%s", err.text);
}

/* Refused, with every one of the words (separated by '|') in the message. */
static void refused(wire *w, mbr_status status, const char *words)
{
    mbr_status st = load(w);
    ck_assert_msg(st == status, "%s: %s", mbr_status_name(st), err.text);
    char copy[200];
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|"))
        ck_assert_msg(strstr(err.text, word) != NULL, "'%s' is not in: %s", word, err.text);
    mbr_ir_module_free(module);
}

static void setup(void)
{
    mbr_memory_init(&memory);
    module = NULL;
}

static void teardown(void)
{
    mbr_ir_module_free(module);
    ck_assert_uint_eq(memory.in_use, 0);
}

/* x [N, 3] and y around whatever nodes the caller has added. */
static wire finish(wire *graph)
{
    wire info = wire_value_info("x", 1, d_n3);
    wire_message(graph, 11, &info);
    info = wire_value_info("y", 1, d_n3);
    wire_message(graph, 12, &info);
    return wire_model(8, 17, graph);
}

static void add_weight(wire *graph, const char *name)
{
    wire w = wire_tensor(name, 1, d_3);
    wire_bytes(&w, 9, three, sizeof three);
    wire_message(graph, 5, &w);
}

static const mbr_ir_node *producer(const char *name)
{
    const mbr_ir_value *v = mbr_ir_find(module->main, name);
    ck_assert_ptr_nonnull(v);
    ck_assert_ptr_nonnull(v->producer);
    return v->producer;
}

START_TEST(a_plain_model)
{
    wire g = { 0 };
    add_weight(&g, "w");
    wire_add_node(&g, "first", "Add", "x w", "a");
    wire_add_node(&g, "", "Relu", "a", "y");
    wire m = finish(&g);
    loads(&m);
    ck_assert_str_eq(module->file, "m.onnx");
    ck_assert_str_eq(module->producer, "test");
    ck_assert_int_eq(module->ir_version, 8);
    ck_assert_int_eq(mbr_ir_opset(module, ""), 17);
    ck_assert_uint_eq(module->n_nodes_in_file, 2);
    const mbr_ir_graph *main = module->main;
    ck_assert_uint_eq(main->n_inputs, 1);
    ck_assert_uint_eq(main->n_outputs, 1);
    const mbr_ir_value *x = main->inputs[0];
    ck_assert_str_eq(x->name, "x");
    ck_assert_int_eq(x->type.rank, 2);
    ck_assert_int_eq(x->type.dtype, MBR_DTYPE_F32);
    ck_assert(mbr_dim_is_expr(x->type.dims[0]) && x->type.dims[1] == 3);
    ck_assert_str_eq(x->axis_names[0], "N");
    ck_assert_ptr_null(x->axis_names[1]);
    ck_assert_str_eq(main->outputs[0]->name, "y");
    const mbr_value *w = mbr_ir_find(main, "w")->constant;
    ck_assert_ptr_nonnull(w);
    ck_assert_int_eq(memcmp(w->data, three, sizeof three), 0);
    ck_assert_uint_eq((uintptr_t)w->data % 4, 0);
    ck_assert_str_eq(main->first->op->name, "Add");
    ck_assert_ptr_eq(main->first->inputs[1]->constant, w);
}
END_TEST

START_TEST(unsorted_nodes_are_sorted)
{
    wire g = { 0 };
    wire_add_node(&g, "third", "Relu", "b", "y");
    wire_add_node(&g, "second", "Neg", "a", "b");
    wire_add_node(&g, "first", "Relu", "x", "a");
    wire m = finish(&g);
    loads(&m);
    ck_assert_str_eq(module->main->first->name, "first");
    ck_assert_str_eq(module->main->first->next->name, "second");
    ck_assert_str_eq(module->main->last->name, "third");
}
END_TEST

START_TEST(broken_graphs)
{
    wire g = { 0 }, m;
    wire_add_node(&g, "before", "Relu", "x", "c");
    wire_add_node(&g, "round", "Add", "c b", "a");
    wire_add_node(&g, "about", "Relu", "a", "b");
    wire_add_node(&g, "after", "Relu", "b", "y");
    m = finish(&g);
    refused(&m, MBR_ERR_MODEL, "cycle|node '|(");
    ck_assert(strstr(err.text, "'round'") || strstr(err.text, "'about'"));

    wire_add_node(&g, "self", "Add", "x y", "y");
    m = finish(&g);
    refused(&m, MBR_ERR_MODEL, "cycle|'self'");

    wire_add_node(&g, "one", "Relu", "x", "y");
    wire_add_node(&g, "two", "Relu", "x", "y");
    m = finish(&g);
    refused(&m, MBR_ERR_MODEL, "'two'|'y'|two values");

    add_weight(&g, "w");
    add_weight(&g, "w");
    wire_add_node(&g, "", "Add", "x w", "y");
    m = finish(&g);
    refused(&m, MBR_ERR_MODEL, "'w'|two values");

    wire_add_node(&g, "n", "Add", "x nowhere", "y");
    m = finish(&g);
    refused(&m, MBR_ERR_MODEL, "node 'n' (Add)|'nowhere'");

    wire_add_node(&g, "n", "Relu", "x", "z");
    m = finish(&g);
    refused(&m, MBR_ERR_MODEL, "output 'y'|made by no node");

    wire_add_node(&g, "n", "Frobnicate", "x", "y");
    m = finish(&g);
    wire_opset(&m, "my.domain", 1);
    if (!mbr_op_find("", "Frobnicate", 17))
        refused(&m, MBR_ERR_UNSUPPORTED, "node 'n'|Frobnicate|ai.onnx|17");
    wire_free(&m);

    wire n = wire_node("n", "my.domain", "Frobnicate", "x", "y");
    wire_message(&g, 1, &n);
    m = finish(&g);
    wire_opset(&m, "my.domain", 3);
    refused(&m, MBR_ERR_UNSUPPORTED, "node 'n'|Frobnicate|my.domain|3");

    n = wire_node("n", "my.domain", "Frobnicate", "x", "y");
    wire_message(&g, 1, &n);
    m = finish(&g);
    refused(&m, MBR_ERR_MODEL, "node 'n'|my.domain|opset_import");
}
END_TEST

START_TEST(versions)
{
    wire g = { 0 }, m;
    wire_add_node(&g, "", "Relu", "x", "y");
    m = wire_model(99, 17, &g);
    refused(&m, MBR_ERR_UNSUPPORTED, "IR version 99|newest");
    wire_add_node(&g, "", "Relu", "x", "y");
    m = wire_model(8, 999, &g);
    refused(&m, MBR_ERR_UNSUPPORTED, "version 999|ai.onnx|newest");
    wire_add_node(&g, "", "Relu", "x", "y");
    m = wire_model(8, 0, &g);
    refused(&m, MBR_ERR_MODEL, "version 0");
    m = (wire){ 0 };
    wire_int(&m, 1, 8);
    refused(&m, MBR_ERR_FORMAT, "no graph");
    m = (wire){ 0 };
    wire_message(&m, 7, &g);
    wire_int(&m, 1, 8);
    refused(&m, MBR_ERR_FORMAT, "opset_import");
    m = (wire){ 0 };
    wire_text(&m, 1, "nonsense");
    refused(&m, MBR_ERR_FORMAT, "not a model");
}
END_TEST

/* An If whose branches read x, w and a value of the If's own graph; one branch is an outer value itself. */
START_TEST(subgraphs_capture)
{
    static const uint8_t yes = 1;
    wire g = { 0 }, then = { 0 }, other = { 0 }, a = { 0 };
    add_weight(&g, "w");
    wire cond = wire_tensor("c", MBR_DTYPE_BOOL, d_0);
    wire_bytes(&cond, 9, &yes, 1);
    wire_message(&g, 5, &cond);
    wire n = wire_node("if", "", "If", "c", "y");
    add_weight(&then, "v");
    wire_add_node(&then, "", "Add", "late v", "y"); /* the same name as the If's own output: another scope */
    wire_add_node(&then, "", "Add", "y w", "z");
    wire out = wire_value_info("z", 1, d_n3);
    wire_message(&then, 12, &out);
    out = wire_value_info("x", 1, d_n3);
    wire_message(&other, 12, &out);
    wire_text(&a, 1, "then_branch");
    wire_message(&a, 6, &then);
    wire_int(&a, 20, 5);
    wire_message(&n, 5, &a);
    wire_text(&a, 1, "else_branch");
    wire_message(&a, 6, &other);
    wire_int(&a, 20, 5);
    wire_message(&n, 5, &a);
    wire_message(&g, 1, &n);
    wire_add_node(&g, "maker", "Relu", "x", "late"); /* behind its reader in the subgraph */
    wire m = finish(&g);
    loads(&m);
    const mbr_ir_node *node = producer("y");
    ck_assert_str_eq(node->name, "if");
    ck_assert_str_eq(node->prev->name, "maker");
    ck_assert_uint_eq(node->n_formal, 1);
    const mbr_ir_graph *t = mbr_attr_graph(node, "then_branch"), *e = mbr_attr_graph(node, "else_branch");
    ck_assert(t && e && t->owner == node);
    ck_assert_uint_eq(t->n_captures, 2);
    ck_assert_str_eq(node->inputs[t->capture_slots[0]]->name, "late");
    ck_assert_str_eq(node->inputs[t->capture_slots[1]]->name, "w");
    ck_assert_uint_eq(e->n_captures, 1);
    ck_assert_ptr_eq(e->outputs[0], e->captures[0]);
    ck_assert_ptr_eq(node->inputs[e->capture_slots[0]], module->main->inputs[0]);
}
END_TEST

static wire ref_float(const char *name, const char *of)
{
    wire a = { 0 };
    wire_text(&a, 1, name);
    wire_text(&a, 21, of);
    wire_int(&a, 20, 1);
    return a;
}

static wire named_float(const char *name, float v)
{
    wire a = { 0 };
    wire_text(&a, 1, name);
    wire_float(&a, 2, v);
    wire_int(&a, 20, 1);
    return a;
}

/* inner(a; alpha = 0.5) = LeakyRelu(a, alpha), outer(a, b; beta) = inner(a; alpha = beta) + [b], second output: a. */
static void add_functions(wire *m, bool recursive)
{
    wire f = { 0 }, a;
    wire_text(&f, 1, "inner");
    wire_text(&f, 4, "a");
    wire_text(&f, 5, "r");
    wire n = wire_node("leaky", "", "LeakyRelu", "a", "r");
    a = ref_float("alpha", "alpha");
    wire_message(&n, 5, &a);
    wire_message(&f, 7, &n);
    if (recursive) {
        n = wire_node("again", "local", "outer", "a", "q");
        wire_message(&f, 7, &n);
    }
    wire_text(&f, 10, "local");
    a = named_float("alpha", 0.5f);
    wire_message(&f, 11, &a);
    wire_message(m, 25, &f);

    wire_text(&f, 1, "outer");
    wire_text(&f, 4, "a");
    wire_text(&f, 4, "b");
    wire_text(&f, 5, "s");
    wire_text(&f, 5, "a");
    wire_text(&f, 6, "beta");
    n = wire_node("call", "local", "inner", "a", "t");
    a = ref_float("alpha", "beta");
    wire_message(&n, 5, &a);
    wire_message(&f, 7, &n);
    n = wire_node("add", "", "Clip", "t b", "s");
    wire_message(&f, 7, &n);
    wire_text(&f, 10, "local");
    wire_message(m, 25, &f);
    wire_opset(m, "local", 1);
}

START_TEST(functions_are_inlined)
{
    wire g = { 0 };
    wire n = wire_node("f", "local", "outer", "x", "y same");
    wire a = named_float("beta", 0.125f);
    wire_message(&n, 5, &a);
    wire_message(&g, 1, &n);
    n = wire_node("g", "local", "outer", "same", "z"); /* without beta, which therefore takes inner's default */
    wire_message(&g, 1, &n);
    wire info = wire_value_info("z", 1, d_n3);
    wire_message(&g, 12, &info);
    wire m = finish(&g);
    add_functions(&m, false);
    loads(&m);
    const mbr_ir_node *clip = producer("y");
    ck_assert_str_eq(clip->op->name, "Clip");
    ck_assert_str_eq(clip->name, "f/add");
    ck_assert_ptr_null(clip->inputs[1]); /* b is left out */
    const mbr_ir_node *leaky = clip->inputs[0]->producer;
    ck_assert_str_eq(leaky->name, "f/call/leaky");
    ck_assert(mbr_attr_float(leaky, "alpha", -1) == 0.125f);
    ck_assert_str_eq(producer("same")->op->name, "Identity");
    leaky = producer("z")->inputs[0]->producer;
    ck_assert_str_eq(leaky->name, "g/call/leaky");
    ck_assert(mbr_attr(leaky, "alpha") == NULL || mbr_attr_float(leaky, "alpha", -1) == 0.5f);
    ck_assert_str_eq(module->main->outputs[0]->name, "z");
    ck_assert_str_eq(module->main->outputs[1]->name, "y");
}
END_TEST

START_TEST(functions_that_go_wrong)
{
    wire g = { 0 };
    wire n = wire_node("f", "local", "outer", "x", "y");
    wire_message(&g, 1, &n);
    wire m = finish(&g);
    add_functions(&m, true);
    refused(&m, MBR_ERR_MODEL, "calls itself|outer|node 'f'");

    n = wire_node("f", "local", "outer", "x x x", "y");
    wire_message(&g, 1, &n);
    m = finish(&g);
    add_functions(&m, false);
    refused(&m, MBR_ERR_MODEL, "node 'f'|3 inputs");

    n = wire_node("f", "", "LeakyRelu", "x", "y");
    wire a = ref_float("alpha", "beta");
    wire_message(&n, 5, &a);
    wire_message(&g, 1, &n);
    m = finish(&g);
    refused(&m, MBR_ERR_MODEL, "node 'f'|'alpha'|no function");

    /* each function calls the next one twice: 2^40 nodes */
    n = wire_node("f", "local", "f0", "x", "y");
    wire_message(&g, 1, &n);
    m = finish(&g);
    wire_opset(&m, "local", 1);
    for (int i = 0; i < 40; i++) {
        char name[16], next[16];
        wire f = { 0 };
        snprintf(name, sizeof name, "f%d", i);
        snprintf(next, sizeof next, "f%d", i + 1);
        wire_text(&f, 1, name);
        wire_text(&f, 4, "a");
        wire_text(&f, 5, "c");
        wire_text(&f, 10, "local");
        n = i < 39 ? wire_node("p", "local", next, "a", "b") : wire_node("p", "", "Relu", "a", "b");
        wire_message(&f, 7, &n);
        n = i < 39 ? wire_node("q", "local", next, "b", "c") : wire_node("q", "", "Relu", "b", "c");
        wire_message(&f, 7, &n);
        wire_message(&m, 25, &f);
    }
    memory.limit = (size_t)64 << 20;
    refused(&m, MBR_ERR_NO_MEMORY, "out of memory");
    memory.limit = 0;
}
END_TEST

START_TEST(defaults_and_old_inputs)
{
    for (int ir = 3; ir <= 4; ir++) {
        wire g = { 0 };
        add_weight(&g, "w");
        add_weight(&g, "v");
        wire_add_node(&g, "", "Sum", "x w v", "y");
        wire info = wire_value_info("w", 1, d_3);
        wire_message(&g, 11, &info);
        info = wire_value_info("x", 1, d_n3);
        wire_message(&g, 11, &info);
        info = wire_value_info("y", 1, d_n3);
        wire_message(&g, 12, &info);
        wire m = wire_model(ir, 8, &g);
        loads(&m);
        const mbr_ir_value *w = mbr_ir_find(module->main, "w");
        ck_assert_uint_eq(module->main->n_inputs, ir == 3 ? 1 : 2);
        ck_assert(w->constant && w->has_default == (ir == 4) && w->is_input == (ir == 4));
        mbr_ir_module_free(module);
        module = NULL;
    }
}
END_TEST

/* One constant of each way to hold data. */
START_TEST(tensors_of_all_kinds)
{
    static const struct {
        int dtype;
        int64_t count;
        unsigned field; /* of the data */
        uint8_t data[8];
        size_t bytes;
        uint8_t want[8];
    } cases[] = {
        { MBR_DTYPE_U8, 2, 9, { 1, 255 }, 2, { 1, 255 } },
        { MBR_DTYPE_U8, 2, 5, { 1, 0xff, 1 }, 3, { 1, 255 } },
        { MBR_DTYPE_BOOL, 3, 9, { 0, 2, 255 }, 3, { 0, 1, 1 } },
        { MBR_DTYPE_BOOL, 3, 5, { 0, 2, 1 }, 3, { 0, 1, 1 } },
        { MBR_DTYPE_I4, 3, 9, { 0x8f, 0x07 }, 2, { 0xff, 0xf8, 7 } },
        { MBR_DTYPE_I4, 3, 5, { 0x8f, 0x01, 0x07 }, 3, { 0xff, 0xf8, 7 } },
        { MBR_DTYPE_U4, 2, 9, { 0x8f }, 1, { 0x0f, 0x08 } },
        { MBR_DTYPE_F4E2M1, 1, 9, { 0xf5 }, 1, { 5 } },
        { MBR_DTYPE_I2, 5, 9, { 0xe4, 0x02 }, 2, { 0, 1, 0xfe, 0xff, 0xfe } },
        { MBR_DTYPE_U2, 4, 9, { 0xe4 }, 1, { 0, 1, 2, 3 } },
        { MBR_DTYPE_F16, 2, 5, { 0x80, 0x78, 1 }, 3, { 0, 0x3c, 1, 0 } },
        { MBR_DTYPE_BF16, 1, 9, { 0x80, 0x3f }, 2, { 0x80, 0x3f } },
        { MBR_DTYPE_I16, 1, 5, { 0xb0, 0xff, 0xff, 0x7f }, 4, { 0xb0, 0xff } },
        { MBR_DTYPE_U32, 1, 11, { 0x80, 1 }, 2, { 0x80, 0, 0, 0 } },
        { MBR_DTYPE_I64, 1, 7, { 5 }, 1, { 5, 0, 0, 0, 0, 0, 0, 0 } },
        { MBR_DTYPE_COMPLEX64, 1, 4, { 1, 2, 3, 4, 5, 6, 7, 8 }, 8, { 1, 2, 3, 4, 5, 6, 7, 8 } },
        { MBR_DTYPE_F64, 1, 10, { 1, 2, 3, 4, 5, 6, 7, 8 }, 8, { 1, 2, 3, 4, 5, 6, 7, 8 } },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++)
        for (int64_t more = 0; more < 2; more++) { /* the right size, and one element more than there is data for */
            wire g = { 0 };
            const int64_t dims[] = { cases[i].count + more * 8, -2 };
            wire t = wire_tensor("t", cases[i].dtype, dims);
            wire_bytes(&t, cases[i].field, cases[i].data, cases[i].bytes);
            wire_message(&g, 5, &t);
            wire_add_node(&g, "", "Relu", "x", "y");
            wire m = finish(&g);
            if (more) {
                refused(&m, MBR_ERR_MODEL, "tensor 't'");
                continue;
            }
            loads(&m);
            const mbr_value *v = mbr_ir_find(module->main, "t")->constant;
            ck_assert_int_eq(v->dtype, cases[i].dtype);
            ck_assert_msg(memcmp(v->data, cases[i].want, mbr_value_bytes(v)) == 0, "case %zu", i);
            mbr_ir_module_free(module);
            module = NULL;
        }
}
END_TEST

static wire with_tensor(wire *t)
{
    wire g = { 0 };
    wire_message(&g, 5, t);
    wire_add_node(&g, "", "Relu", "x", "y");
    return finish(&g);
}

START_TEST(impossible_tensors)
{
    static const int64_t huge[] = { INT64_MAX, INT64_MAX, 16, -2 }, minus[] = { -7, -2 }, big[] = { 1 << 30, -2 };
    static const int64_t deep[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -2 };
    wire t = wire_tensor("t", 1, huge), m = with_tensor(&t);
    refused(&m, MBR_ERR_MODEL, "tensor 't'|product");
    t = wire_tensor("t", 1, minus);
    m = with_tensor(&t);
    refused(&m, MBR_ERR_MODEL, "tensor 't'|negative: -7");
    t = wire_tensor("t", 1, big); /* claims more than the file holds: nothing may be allocated for it */
    wire_float(&t, 4, 1);
    m = with_tensor(&t);
    memory.limit = 1 << 22;
    refused(&m, MBR_ERR_MODEL, "tensor 't'|1073741824|there are 1");
    memory.limit = 0;
    t = wire_tensor("t", 1, deep);
    m = with_tensor(&t);
    refused(&m, MBR_ERR_UNSUPPORTED, "17 dimensions");
    t = wire_tensor("t", 99, d_3);
    m = with_tensor(&t);
    refused(&m, MBR_ERR_UNSUPPORTED, "99");
    t = wire_tensor("t", 0, d_3);
    m = with_tensor(&t);
    refused(&m, MBR_ERR_MODEL, "no element type");
    t = wire_tensor("t", MBR_DTYPE_STRING, d_3);
    wire_bytes(&t, 9, "abc", 3);
    m = with_tensor(&t);
    refused(&m, MBR_ERR_MODEL, "string_data");
}
END_TEST

static wire sparse(const char *name, const int64_t *at, int64_t n, int64_t rank)
{
    const int64_t one[] = { n, -2 }, two[] = { n, rank, -2 };
    wire s = { 0 }, v = wire_tensor(name, 1, one), i = wire_tensor("", MBR_DTYPE_I64, rank ? two : one);
    for (int64_t k = 0; k < n; k++)
        wire_float(&v, 4, (float)(k + 1));
    for (int64_t k = 0; k < n * (rank ? rank : 1); k++)
        wire_int(&i, 7, at[k]);
    wire_message(&s, 1, &v);
    wire_message(&s, 2, &i);
    wire_int(&s, 3, 2);
    wire_int(&s, 3, 3);
    return s;
}

START_TEST(sparse_initializers)
{
    static const int64_t linear[] = { 1, 5 }, pairs[] = { 0, 2, 1, 0 }, outside[] = { 6, 0 }, below[] = { 0, 0, -1, 1 };
    static const struct {
        const int64_t *at;
        int64_t rank;
        bool good;
        float want[6];
    } cases[] = { { linear, 0, true, { 0, 1, 0, 0, 0, 2 } },
                  { pairs, 2, true, { 0, 0, 1, 2, 0, 0 } },
                  { outside, 0, false, { 0 } },
                  { below, 2, false, { 0 } },
                  { pairs, 1, false, { 0 } } };
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        wire g = { 0 }, s = sparse("s", cases[i].at, 2, cases[i].rank);
        wire_message(&g, 15, &s);
        wire_add_node(&g, "", "Relu", "x", "y");
        wire m = finish(&g);
        if (!cases[i].good) {
            refused(&m, MBR_ERR_MODEL, "sparse|'s'");
            continue;
        }
        loads(&m);
        const mbr_value *v = mbr_ir_find(module->main, "s")->constant;
        ck_assert_int_eq(v->rank, 2);
        ck_assert_int_eq(memcmp(v->data, cases[i].want, sizeof cases[i].want), 0);
        mbr_ir_module_free(module);
        module = NULL;
    }
}
END_TEST

START_TEST(constants_are_values)
{
    wire g = { 0 }, a = { 0 };
    wire n = wire_node("k", "", "Constant", "", "k");
    wire_text(&a, 1, "value_ints");
    for (int i = 0; i < 3; i++)
        wire_int(&a, 8, i - 1);
    wire_int(&a, 20, 7);
    wire_message(&n, 5, &a);
    wire_message(&g, 1, &n);
    n = wire_node("s", "", "Constant", "", "s");
    wire_text(&a, 1, "value_string");
    wire_text(&a, 4, "text");
    wire_int(&a, 20, 3);
    wire_message(&n, 5, &a);
    wire_message(&g, 1, &n);
    wire_add_node(&g, "", "Relu", "x", "y");
    wire m = finish(&g);
    loads(&m);
    const mbr_ir_value *k = mbr_ir_find(module->main, "k");
    ck_assert_ptr_nonnull(k->constant);
    ck_assert_ptr_null(k->producer);
    ck_assert_int_eq(k->constant->rank, 1);
    ck_assert_int_eq(mbr_value_int(k->constant, 0), -1);
    const mbr_string *s = mbr_ir_find(module->main, "s")->constant->data;
    ck_assert_uint_eq(s->size, 4);
    ck_assert_int_eq(memcmp(s->data, "text", 4), 0);
}
END_TEST

static void add_pair(wire *t, const char *key, const char *value)
{
    wire p = { 0 };
    wire_text(&p, 1, key);
    wire_text(&p, 2, value);
    wire_message(t, 13, &p);
}

static wire external(const char *location, const char *offset, const char *length)
{
    wire t = wire_tensor("t", 1, d_3);
    add_pair(&t, "location", location);
    if (offset)
        add_pair(&t, "offset", offset);
    if (length)
        add_pair(&t, "length", length);
    wire_int(&t, 14, 1);
    return with_tensor(&t);
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

START_TEST(external_data)
{
    char top[] = "/tmp/mbr-onnx-XXXXXX", folder[64], path[128], target[128];
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(folder, sizeof folder, "%s/model", top);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/sub", folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    float data[8] = { 0 };
    memcpy(data + 4, three, sizeof three);
    write_file(top, "secret", data, sizeof data);
    write_file(folder, "data", data, sizeof data);
    write_file(folder, "sub/data", data, sizeof data);
    snprintf(target, sizeof target, "%s/secret", top);
    snprintf(path, sizeof path, "%s/link", folder);
    ck_assert_int_eq(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/up", folder);
    ck_assert_int_eq(symlink("..", path), 0);

    static const struct {
        const char *location, *offset, *length;
        mbr_status status;
        const char *words;
    } cases[] = {
        { "data", "16", "12", MBR_OK, "" },
        { "data", "16", NULL, MBR_OK, "" },
        { "sub/data", "16", "12", MBR_OK, "" },
        { "./data", "16", "12", MBR_OK, "" },
        { "data", "21", "12", MBR_ERR_FORMAT, "offset 21|has only 32" },
        { "data", "18446744073709551615", "12", MBR_ERR_MODEL, "offset" },
        { "data", "-1", "12", MBR_ERR_MODEL, "offset" },
        { "data", "16", "13", MBR_ERR_MODEL, "13 bytes" },
        { "data", "16", "1e9", MBR_ERR_MODEL, "length" },
        { "../secret", "16", "12", MBR_ERR_MODEL, "leads out" },
        { "sub/../../secret", "16", "12", MBR_ERR_MODEL, "leads out" },
        { "link", "16", "12", MBR_ERR_MODEL, "symbolic link" },
        { "up/secret", "16", "12", MBR_ERR_MODEL, "symbolic link" },
        { "sub", "16", "12", MBR_ERR_IO, "folder" },
        { "missing", "16", "12", MBR_ERR_IO, "missing" },
        { "", "16", "12", MBR_ERR_MODEL, "none is named" },
        { "sub//data", "16", "12", MBR_ERR_MODEL, "empty part" },
        { "data/", "16", "12", MBR_ERR_IO, "data/" },
        { "/etc/hostname", "0", "12", MBR_ERR_MODEL, "absolute" },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        wire m = external(cases[i].location, cases[i].offset, cases[i].length);
        mbr_status st = load_from(&m, folder);
        wire_free(&m);
        ck_assert_msg(st == cases[i].status, "%s: %s: %s", cases[i].location, mbr_status_name(st), err.text);
        if (st == MBR_OK) {
            const mbr_value *v = mbr_ir_find(module->main, "t")->constant;
            ck_assert_int_eq(memcmp(v->data, three, sizeof three), 0);
            ck_assert_ptr_null(v->own); /* mapped, not copied */
        } else {
            char copy[100];
            snprintf(copy, sizeof copy, "tensor 't'|%s", cases[i].words);
            for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|"))
                ck_assert_msg(strstr(err.text, word) != NULL, "'%s' is not in: %s", word, err.text);
        }
        mbr_ir_module_free(module);
        module = NULL;
    }
    wire m = external("data", "16", "12"); /* no folder: the model came from memory */
    refused(&m, MBR_ERR_UNSUPPORTED, "'data'|by its path");
    snprintf(path, sizeof path, "rm -rf '%s'", top);
    ck_assert_int_eq(system(path), 0);
}
END_TEST

/* If in If in If, as deep as the pre-scan lets through. */
START_TEST(nested_subgraphs)
{
    wire g = { 0 };
    wire_add_node(&g, "", "Relu", "x", "y");
    wire out = wire_value_info("y", 1, d_n3);
    wire_message(&g, 12, &out);
    for (int i = 0; i < 60; i++) {
        wire outer = { 0 }, a = { 0 };
        wire n = wire_node("if", "", "If", "c", "y");
        for (int branch = 0; branch < (i == 0 ? 2 : 1); branch++) {
            wire_text(&a, 1, branch ? "else_branch" : "then_branch");
            wire_bytes(&a, 6, g.data, g.size);
            wire_int(&a, 20, 5);
            wire_message(&n, 5, &a);
        }
        wire_free(&g);
        wire_message(&outer, 1, &n);
        out = wire_value_info("y", 1, d_n3);
        wire_message(&outer, 12, &out);
        g = outer;
    }
    wire c = wire_value_info("c", MBR_DTYPE_BOOL, d_0);
    wire_message(&g, 11, &c);
    c = wire_value_info("x", 1, d_n3);
    wire_message(&g, 11, &c);
    wire m = wire_model(8, 17, &g);
    loads(&m);
    int depth = 0;
    for (const mbr_ir_graph *at = module->main; at->first->n_attrs; depth++)
        at = mbr_attr_graph(at->first, "then_branch");
    ck_assert_int_eq(depth, 60);
}
END_TEST

/* The same without an end in sight, written from the outside in. */
START_TEST(nested_too_deep)
{
    enum { DEPTH = 3 * 20000 };
    static size_t sizes[DEPTH + 1]; /* of the message at each level: graph, node, attribute, graph ... */
    static const unsigned into[] = { 1, 5, 6 };
    wire head = { 0 }, m = { 0 }, tail = { 0 };
    for (int i = DEPTH - 1; i >= 0; i--) {
        head.size = 0;
        wire_tag(&head, into[i % 3], 2);
        wire_varint(&head, sizes[i + 1]);
        sizes[i] = head.size + sizes[i + 1];
    }
    wire_int(&m, 1, 8);
    wire_tag(&m, 7, 2);
    wire_varint(&m, sizes[0]);
    for (int i = 0; i < DEPTH; i++) {
        wire_tag(&m, into[i % 3], 2);
        wire_varint(&m, sizes[i + 1]);
    }
    wire_opset(&tail, "", 17);
    wire_raw(&m, tail.data, tail.size);
    wire_free(&tail);
    wire_free(&head);
    refused(&m, MBR_ERR_LIMIT, "nested");
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    wire g = { 0 };
    wire n = wire_node("f", "local", "outer", "x", "z");
    wire_message(&g, 1, &n);
    add_weight(&g, "w");
    const int64_t at[] = { 1, 5 };
    wire s = sparse("s", at, 2, 0);
    wire_message(&g, 15, &s);
    wire_add_node(&g, "", "Add", "z w", "y");
    wire m = finish(&g);
    add_functions(&m, false);
    mbr_status st = MBR_ERR_NO_MEMORY;
    for (long after = 1; st != MBR_OK; after++) {
        atomic_store(&memory.fail_after, after); /* 0 would be the file itself */
        st = load_from(&m, NULL);
        ck_assert_msg(st == MBR_OK || st == MBR_ERR_NO_MEMORY, "%s", err.text);
        if (st != MBR_OK)
            ck_assert_uint_eq(memory.in_use, 0);
        ck_assert_int_lt(after, 1000);
    }
    wire_free(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx_import");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_plain_model);
    tcase_add_test(c, unsorted_nodes_are_sorted);
    tcase_add_test(c, broken_graphs);
    tcase_add_test(c, versions);
    tcase_add_test(c, subgraphs_capture);
    tcase_add_test(c, functions_are_inlined);
    tcase_add_test(c, functions_that_go_wrong);
    tcase_add_test(c, defaults_and_old_inputs);
    tcase_add_test(c, tensors_of_all_kinds);
    tcase_add_test(c, impossible_tensors);
    tcase_add_test(c, sparse_initializers);
    tcase_add_test(c, constants_are_values);
    tcase_add_test(c, external_data);
    tcase_add_test(c, nested_subgraphs);
    tcase_add_test(c, nested_too_deep);
    tcase_add_test(c, every_allocation_may_fail);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}

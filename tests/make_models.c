/* SPDX-License-Identifier: BSD-2-Clause */
/* make_models DIR: writes the small models, sound and broken, that the tests of the program run on. */
#include "tests/onnx_writer.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define F32 1
#define I64 7
#define DEEP 20000
#define PLAN_NODES 9

static const int64_t d_n3[] = { -1, 3, -2 }, d_3[] = { 3, -2 }, d_2[] = { 2, -2 }, d_23[] = { 2, 3, -2 },
                     d_any2[] = { -1, -1, -2 };
static const float three[] = { 1.5f, -2, 3 };
static const char *folder;

static void fail(const char *path)
{
    fprintf(stderr, "make_models: %s: %s\n", path, strerror(errno));
    exit(1);
}

static void write_bytes(const char *name, const void *data, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || (size && fwrite(data, 1, size, f) != size) || fclose(f) != 0)
        fail(path);
}

/* Frees the bytes. */
static void write_wire(const char *name, wire *w)
{
    write_bytes(name, w->data, w->size);
    wire_free(w);
}

static void make_folder(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        fail(path);
}

static void add_port(wire *graph, unsigned field, const char *name, int dtype, const int64_t *dims)
{
    wire info = wire_value_info(name, dtype, dims);
    wire_message(graph, field, &info);
}

static void add_weight(wire *graph, const char *name, const int64_t *dims, const void *data, size_t bytes)
{
    wire t = wire_tensor(name, F32, dims);
    wire_bytes(&t, 9, data, bytes);
    wire_message(graph, 5, &t);
}

/* x [N, 3] and y [N, 3] around the nodes that are there. */
static wire finish(wire *graph, int ir, int opset)
{
    wire_text(graph, 2, "g");
    add_port(graph, 11, "x", F32, d_n3);
    add_port(graph, 12, "y", F32, d_n3);
    return wire_model(ir, opset, graph);
}

/* y = Relu(x + w) */
static wire plain(int ir, int opset)
{
    wire g = { 0 };
    add_weight(&g, "w", d_3, three, sizeof three);
    wire_add_node(&g, "sum", "Add", "x w", "a");
    wire_add_node(&g, "rectify", "Relu", "a", "y");
    return finish(&g, ir, opset);
}

/* The same, of nodes whose names are no UTF-8 and would break a page. */
static wire odd_names(void)
{
    wire g = { 0 };
    add_weight(&g, "w", d_3, three, sizeof three);
    wire_add_node(&g, "\xff<s>&\"\xc3\xa9\xc0\xaf\xed\xa0\x80\x01", "Add", "x w", "a");
    wire_add_node(&g, "cut \xe2\x82", "Softmax", "a", "y");
    return finish(&g, 8, 17);
}

static wire tensor_file(const char *name, int dtype, const int64_t *dims, const void *data, size_t bytes)
{
    wire t = wire_tensor(name, dtype, dims);
    wire_bytes(&t, 9, data, bytes);
    return t;
}

/* --- model folders: good (passes), wrong (an output is off), loose (off, within its tolerance.json) --- */

static void test_folder(const char *name, float off, const char *tolerance)
{
    static const float x[] = { 1, 2, 3, -4, -5, -6 };
    float y[6];
    char path[200];
    for (int i = 0; i < 6; i++) {
        float v = x[i] + three[i % 3];
        y[i] = (v > 0 ? v : 0) + (i == 2 ? off : 0);
    }
    make_folder(name);
    snprintf(path, sizeof path, "%s/test_data_set_0", name);
    make_folder(path);
    wire w = plain(8, 17);
    snprintf(path, sizeof path, "%s/model.onnx", name);
    write_wire(path, &w);
    w = tensor_file("x", F32, d_23, x, sizeof x);
    snprintf(path, sizeof path, "%s/test_data_set_0/input_0.pb", name);
    write_wire(path, &w);
    w = tensor_file("y", F32, d_23, y, sizeof y);
    snprintf(path, sizeof path, "%s/test_data_set_0/output_0.pb", name);
    write_wire(path, &w);
    if (tolerance) {
        snprintf(path, sizeof path, "%s/tolerance.json", name);
        write_bytes(path, tolerance, strlen(tolerance));
    }
}

/* a [2, 3] as numpy saves it; the header is padded so that the data is aligned. */
static void npy_file(const char *name, const char *descr, const char *shape, const void *data, size_t bytes)
{
    char head[129];
    int n = snprintf(head, sizeof head, "\x93NUMPY\x01%c\x76%c{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                     0, 0, descr, shape);
    memset(head + n, ' ', 127 - (size_t)n);
    head[127] = '\n';
    wire w = { 0 };
    wire_raw(&w, head, 128);
    wire_raw(&w, data, bytes);
    write_wire(name, &w);
}

static void sound_models(void)
{
    static const float numbers[] = { 1, 2, 3, 4, 5, 6 };
    static const int64_t far[] = { 1 << 20, 1 << 12 }, longs[] = { 1, 2, 3, 4, 5, 6 };
    test_folder("good", 0, NULL);
    test_folder("wrong", 1, NULL);
    test_folder("loose", 0.5f, "{\"rtol\": 0.0, \"atol\": 0.6}");
    npy_file("x.npy", "<f4", "(2, 3)", numbers, sizeof numbers);
    npy_file("x64.npy", "<i8", "(2, 3)", longs, sizeof longs);
    npy_file("flat.npy", "<f4", "(6,)", numbers, sizeof numbers);
    npy_file("narrow.npy", "<f4", "(3, 2)", numbers, sizeof numbers);
    npy_file("short.npy", "<f4", "(4, 3)", numbers, sizeof numbers);
    npy_file("objects.npy", "|O", "(2, 3)", numbers, sizeof numbers);
    npy_file("huge.npy", "<f4", "(9000000000000000000, 9000000000000000000)", numbers, sizeof numbers);

    wire g = { 0 };
    wire_add_node(&g, "sum", "Add", "x z", "y");
    add_port(&g, 11, "z", F32, d_n3);
    wire m = finish(&g, 8, 17);
    write_wire("two.onnx", &m);
    m = odd_names();
    write_wire("odd-names.onnx", &m);

    /* asks for 16 GB when it runs, whatever its input */
    g = (wire){ 0 };
    add_port(&g, 11, "shape", I64, d_2);
    add_port(&g, 12, "y", F32, d_any2);
    wire_add_node(&g, "fill", "ConstantOfShape", "shape", "y");
    m = wire_model(8, 17, &g);
    write_wire("huge.onnx", &m);
    wire t = tensor_file("shape", I64, d_2, far, sizeof far);
    make_folder("huge");
    write_wire("huge/input_0.pb", &t);

    /* an index that the run finds to be outside */
    static const int64_t nine = 9, d_0[] = { -2 };
    g = (wire){ 0 };
    add_port(&g, 11, "i", I64, d_0);
    add_port(&g, 12, "y", F32, d_0);
    add_weight(&g, "w", d_3, three, sizeof three);
    wire_add_node(&g, "pick", "Gather", "w i", "y");
    m = wire_model(8, 17, &g);
    write_wire("pick.onnx", &m);
    npy_file("nine.npy", "<i8", "()", &nine, sizeof nine);
}

/* --- models of operators that only plug-ins have --- */

static wire custom_model(const char *op)
{
    wire g = { 0 }, n = wire_node("odd", "org.example", op, "x", "a"), factor = { 0 };
    wire_text(&factor, 1, "factor");
    wire_float(&factor, 2, 3);
    wire_int(&factor, 20, 1);
    wire_message(&n, 5, &factor);
    wire_message(&g, 1, &n);
    wire_add_node(&g, "after", "Relu", "a", "y");
    wire_text(&g, 2, "g");
    add_port(&g, 11, "x", F32, d_n3);
    wire info = { 0 };
    wire_text(&info, 1, "y");
    wire_message(&g, 12, &info);
    wire m = wire_model(8, 17, &g);
    wire_opset(&m, "org.example", 1);
    return m;
}

static void custom_models(void)
{
    static const char *const ops[] = {
        "Scale", "RowSum", "Positive", "FickleShape", "FickleType", "Negative", "Forged", "Deep", "StrangeType",
        "OtherOutput", "NoShape", "ShapeFails", "Unknown", "Fails", "Silent", "Strange", "Reshapes", "ResizesEarly",
        "StartFails", "PrepareFails", "NotThree", "WrongRank", "LessThanNone", "NeverResizes",
    };
    static const float x[] = { 1, 2, 3, -4, -5, -6 }, y[] = { 3, 6, 9, 0, 0, 0 },
                       below[] = { -1, -2, -3, -4, -5, -6 };
    make_folder("plug");
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        char name[64];
        wire m = custom_model(ops[i]);
        snprintf(name, sizeof name, "plug/%s.onnx", ops[i]);
        write_wire(name, &m);
    }
    npy_file("below.npy", "<f4", "(2, 3)", below, sizeof below);
    make_folder("plug/test");
    make_folder("plug/test/test_data_set_0");
    wire w = tensor_file("x", F32, d_23, x, sizeof x);
    write_wire("plug/test/test_data_set_0/input_0.pb", &w);
    w = tensor_file("y", F32, d_23, y, sizeof y);
    write_wire("plug/test/test_data_set_0/output_0.pb", &w);
}

/* --- files that are no models --- */

static void other_files(void)
{
    static const char text[] = "Once upon a time there was a model that was only a story.\n";
    static const unsigned char png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R',
                                         0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xDE };
    static const unsigned char gzip[] = { 0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 0x57 };
    static const unsigned char zip[] = { 'P', 'K', 3, 4, 20, 0, 0, 0, 8, 0, 0x21, 0, 1, 2, 3, 4 };
    write_bytes("empty.onnx", "", 0);
    write_bytes("text.onnx", text, sizeof text - 1);
    write_bytes("png.onnx", png, sizeof png);
    write_bytes("gzip.onnx", gzip, sizeof gzip);
    write_bytes("zip.onnx", zip, sizeof zip);
    write_bytes("json.onnx", "{\"format\": \"onnx\"}\n", 19);
    make_folder("directory.onnx");
    for (unsigned k = 0; k < 8; k++) {
        unsigned char noise[4096];
        uint64_t state = k * 0x9E3779B97F4A7C15u + 1;
        for (size_t i = 0; i < sizeof noise; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            noise[i] = (unsigned char)(state >> 24);
        }
        char name[32];
        snprintf(name, sizeof name, "random%u.onnx", k);
        write_bytes(name, noise, sizeof noise);
    }
    wire m = plain(8, 17);
    for (size_t k = 1; k < 8; k++) {
        char name[32];
        snprintf(name, sizeof name, "truncated%zu.onnx", k);
        write_bytes(name, m.data, m.size * k / 8);
    }
    write_bytes("short.onnx", m.data, m.size - 1);
    write_bytes("truncated.pb", m.data, 20);
    wire_free(&m);
}

/* --- models that break a rule --- */

static void write_model(const char *name, wire *graph)
{
    wire m = finish(graph, 8, 17);
    write_wire(name, &m);
}

static void broken_models(void)
{
    wire m = plain(99, 17);
    write_wire("new-ir.onnx", &m);
    m = plain(8, 999);
    write_wire("new-opset.onnx", &m);

    wire g = { 0 };
    wire_add_node(&g, "magic", "Frobnicate", "x", "y");
    write_model("unknown-operator.onnx", &g);

    g = (wire){ 0 };
    wire n = wire_node("magic", "com.example", "Add", "x x", "y");
    wire_message(&g, 1, &n);
    m = finish(&g, 8, 17);
    wire_opset(&m, "com.example", 1);
    write_wire("unknown-domain.onnx", &m);

    g = (wire){ 0 };
    wire_add_node(&g, "first", "Add", "x b", "a");
    wire_add_node(&g, "second", "Relu", "a", "b");
    wire_add_node(&g, "third", "Relu", "b", "y");
    write_model("cycle.onnx", &g);

    g = (wire){ 0 };
    wire_add_node(&g, "lonely", "Add", "x ghost", "y");
    write_model("undefined.onnx", &g);

    g = (wire){ 0 };
    wire_add_node(&g, "one", "Relu", "x", "y");
    wire_add_node(&g, "other", "Neg", "x", "y");
    write_model("twice.onnx", &g);
}

/* --- sizes that do not add up --- */

static void weight_model(const char *name, const int64_t *dims, size_t bytes)
{
    wire g = { 0 };
    add_weight(&g, "w", dims, three, bytes);
    wire_add_node(&g, "sum", "Add", "x w", "y");
    write_model(name, &g);
}

static void broken_sizes(void)
{
    static const int64_t overflow[] = { INT64_C(1) << 40, INT64_C(1) << 40, -2 }, negative[] = { -7, 3, -2 },
                         many[] = { 1000000, 3, -2 };
    weight_model("overflow.onnx", overflow, sizeof three);
    weight_model("negative.onnx", negative, sizeof three);
    weight_model("too-few-bytes.onnx", many, sizeof three);

    wire g = { 0 };
    wire_add_node(&g, "", "Relu", "x", "y");
    wire_text(&g, 2, "g");
    add_port(&g, 11, "x", F32, negative);
    add_port(&g, 12, "y", F32, d_n3);
    wire m = wire_model(8, 17, &g);
    write_wire("negative-input.onnx", &m);

    /* the graph's length says 1 GB */
    m = (wire){ 0 };
    wire_int(&m, 1, 8);
    wire_tag(&m, 7, 2);
    wire_varint(&m, 1 << 30);
    wire_raw(&m, three, sizeof three);
    write_wire("count.onnx", &m);

    /* a weight's data says 2^62 bytes */
    g = (wire){ 0 };
    wire t = wire_tensor("w", F32, d_3);
    wire_tag(&t, 9, 2);
    wire_varint(&t, UINT64_C(1) << 62);
    wire_raw(&t, three, sizeof three);
    wire_message(&g, 5, &t);
    wire_add_node(&g, "sum", "Add", "x w", "y");
    write_model("count-inside.onnx", &g);
}

/* --- external data --- */

static void external_model(const char *name, const char *location, const char *offset, const char *length)
{
    const char *const keys[] = { "location", "offset", "length" }, *const values[] = { location, offset, length };
    wire g = { 0 }, t = wire_tensor("w", F32, d_3);
    for (int i = 0; i < 3; i++) {
        wire entry = { 0 };
        if (!values[i])
            continue;
        wire_text(&entry, 1, keys[i]);
        wire_text(&entry, 2, values[i]);
        wire_message(&t, 13, &entry);
    }
    wire_int(&t, 14, 1);
    wire_message(&g, 5, &t);
    wire_add_node(&g, "sum", "Add", "x w", "y");
    write_model(name, &g);
}

static void external_models(void)
{
    make_folder("external");
    write_bytes("weights.bin", three, sizeof three);
    write_bytes("external/weights.bin", three, sizeof three);
    external_model("external/good.onnx", "weights.bin", NULL, NULL);
    external_model("external/parent.onnx", "../weights.bin", NULL, NULL);
    external_model("external/absolute.onnx", "/etc/passwd", NULL, NULL);
    external_model("external/symlink.onnx", "link.bin", NULL, NULL);
    external_model("external/below-symlink.onnx", "link/weights.bin", NULL, NULL);
    external_model("external/missing.onnx", "nothing.bin", NULL, NULL);
    external_model("external/beyond.onnx", "weights.bin", "8", "12");
    external_model("external/negative.onnx", "weights.bin", "-4", "12");
    external_model("external/no-number.onnx", "weights.bin", "four", "12");
    external_model("external/folder.onnx", ".", NULL, NULL);
}

/* --- nesting: written from the inside out, back to front --- */

typedef struct nest {
    uint8_t *data;
    size_t room, at; /* the message lies at [at, room) */
} nest;

static void before(nest *n, const void *bytes, size_t size)
{
    if (size > n->at)
        abort();
    n->at -= size;
    memcpy(n->data + n->at, bytes, size);
}

/* Makes what is there the content of a field. */
static void wrap(nest *n, unsigned field)
{
    wire head = { 0 };
    wire_tag(&head, field, 2);
    wire_varint(&head, n->room - n->at);
    before(n, head.data, head.size);
    wire_free(&head);
}

static void before_wire(nest *n, wire *w)
{
    before(n, w->data, w->size);
    wire_free(w);
}

static void deep_graphs(void)
{
    nest n = { .room = (size_t)DEEP * 100 };
    n.at = n.room;
    n.data = malloc(n.room);
    if (!n.data)
        abort();
    for (int i = 0; i < DEEP; i++) { /* graph { node { If, then_branch = graph ... } } */
        wire w = { 0 };
        wrap(&n, 6);
        wire_text(&w, 1, "then_branch");
        wire_int(&w, 20, 5);
        before_wire(&n, &w);
        wrap(&n, 5);
        w = wire_node("choose", "", "If", "c", "y");
        before_wire(&n, &w);
        wrap(&n, 1);
    }
    wrap(&n, 7);
    wire m = { 0 };
    wire_int(&m, 1, 8);
    wire_opset(&m, "", 17);
    wire_raw(&m, n.data + n.at, n.room - n.at);
    write_wire("deep-graphs.onnx", &m);
    free(n.data);
}

static void deep_types(void)
{
    nest n = { .room = (size_t)DEEP * 20 };
    n.at = n.room;
    n.data = malloc(n.room);
    if (!n.data)
        abort();
    for (int i = 0; i < DEEP; i++) { /* type { sequence { type ... } } */
        wrap(&n, 1);
        wrap(&n, 4);
    }
    wire g = { 0 }, info = { 0 };
    wire_text(&info, 1, "x");
    wire_bytes(&info, 2, n.data + n.at, n.room - n.at);
    wire_message(&g, 11, &info);
    wire m = wire_model(8, 17, &g);
    write_wire("deep-types.onnx", &m);
    free(n.data);
}

/* --- for plans (tests/plans): products by one weight of 1024 x 1024, from x [rows, 1024] to y --- */

typedef struct plan_node {
    const char *name, *op, *inputs, *output;
} plan_node;

static void plan_model(const char *file, int64_t rows, const plan_node *nodes)
{
    static const float weight[1024 * 1024];
    const int64_t square[] = { 1024, 1024, -2 }, wide[] = { rows, 1024, -2 };
    wire g = { 0 };
    add_weight(&g, "w", square, weight, sizeof weight);
    for (; nodes->name; nodes++)
        wire_add_node(&g, nodes->name, nodes->op, nodes->inputs, nodes->output);
    wire_text(&g, 2, "g");
    add_port(&g, 11, "x", F32, wide);
    add_port(&g, 12, "y", F32, wide);
    wire m = wire_model(8, 17, &g);
    write_wire(file, &m);
}

static void plan_models(void)
{
    static const plan_node layers[] = {
        { "first", "MatMul", "x w", "a" }, { "gate", "Relu", "a", "b" },   { "second", "MatMul", "b w", "c" },
        { "curve", "Tanh", "c", "d" },     { "third", "MatMul", "d w", "e" }, { "shares", "Softmax", "e", "y" },
        { NULL, NULL, NULL, NULL },
    };
    static const plan_node branches[] = {
        { "left", "MatMul", "x w", "a" },   { "bend", "Tanh", "a", "b" },         { "left_end", "MatMul", "b w", "c" },
        { "right", "MatMul", "x w2", "d" }, { "right_gate", "Softmax", "d", "e" }, { "right_end", "MatMul", "e w", "f" },
        { "join", "Add", "c f", "y" },      { NULL, NULL, NULL, NULL },
    };
    plan_node two[PLAN_NODES];
    size_t n = 0;
    /* the right branch has a weight of its own, or the first products would be one */
    two[n++] = (plan_node){ "turn", "Transpose", "w", "w2" };
    for (const plan_node *b = branches; n < PLAN_NODES && (n == 1 || two[n - 1].name); b++)
        two[n++] = *b;
    plan_model("layers.onnx", 256, layers);
    plan_model("row.onnx", 1, layers);
    plan_model("branches.onnx", 256, two);
}

/* Row by row through a Tanh. */
static void scan_model(void)
{
    const int64_t row[] = { 1024, -2 }, all[] = { 256, 1024, -2 };
    wire body = { 0 }, g = { 0 }, graph = { 0 }, count = { 0 };
    wire_add_node(&body, "", "Tanh", "r", "s");
    wire_text(&body, 2, "body");
    add_port(&body, 11, "r", F32, row);
    add_port(&body, 12, "s", F32, row);
    wire_text(&graph, 1, "body");
    wire_int(&graph, 20, 5);
    wire_message(&graph, 6, &body);
    wire_text(&count, 1, "num_scan_inputs");
    wire_int(&count, 20, 2);
    wire_int(&count, 3, 1);
    wire n = wire_node("rows", "", "Scan", "x", "y");
    wire_message(&n, 5, &graph);
    wire_message(&n, 5, &count);
    wire_message(&g, 1, &n);
    wire_text(&g, 2, "g");
    add_port(&g, 11, "x", F32, all);
    add_port(&g, 12, "y", F32, all);
    wire m = wire_model(8, 17, &g);
    write_wire("scan.onnx", &m);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_models DIR\n");
        return 2;
    }
    folder = argv[1];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        fail(folder);
    sound_models();
    custom_models();
    other_files();
    broken_models();
    broken_sizes();
    external_models();
    deep_graphs();
    deep_types();
    plan_models();
    scan_model();
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ONNX importer and the reader of .pb files. The first byte chooses what the rest is, the second one which
 * allocation fails (255: none). With libFuzzer: build the library with clang and --enable-sanitizers, link this file alone with
 * -fsanitize=fuzzer; start it on tests/fuzz/corpus.
 */
#include "engine/infer.h"
#include "importers/importer.h"
#include "importers/onnx/tensor_pb.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define MODES 6

/* A mistake has to be seen in any build. */
static void must(bool holds)
{
    if (!holds)
        abort();
}

static void try_model(mbr_memory *memory, bool infer, const uint8_t *data, size_t size)
{
    mbr_import_source source = { .memory = memory, .name = "fuzz.onnx", .map = mbr_filemap_borrow(data, size) };
    mbr_error err = { 0 };
    mbr_ir_module *module;
    mbr_status st = mbr_import(&source, &module, &err);
    must((st == MBR_OK) == (module != NULL));
    must(st == MBR_OK || (err.status == st && err.text[0]));
    if (module) {
        st = mbr_ir_check(module, &err);
        must(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
        if (infer)
            (void)mbr_infer_graph(module->main, &err);
        mbr_ir_module_free(module);
    }
}

static void try_value(mbr_memory *memory, mbr_kind kind, const uint8_t *data, size_t size)
{
    mbr_error err = { 0 };
    mbr_value *value, *again;
    uint8_t *bytes;
    size_t n;
    mbr_status st = mbr_onnx_value_parse(memory, kind, data, size, &value, &err);
    must((st == MBR_OK) == (value != NULL));
    if (!value)
        return;
    st = mbr_onnx_value_serialise(memory, value, value->name, &bytes, &n, &err);
    if (st == MBR_OK) {
        st = mbr_onnx_value_parse(memory, kind, bytes, n, &again, &err);
        must(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
        /* keys come back as i64, and an empty container has no element type */
        must(st != MBR_OK || kind != MBR_KIND_TENSOR || mbr_value_equal(value, again));
        mbr_value_drop(again);
        mbr_free(memory, bytes);
    }
    mbr_value_drop(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    mbr_memory memory;
    mbr_memory_init(&memory);
    memory.limit = (size_t)64 << 20;
    if (data[1] != 255)
        atomic_store(&memory.fail_after, data[1]);
    unsigned mode = data[0] % MODES;
    if (mode < 2)
        try_model(&memory, mode == 1, data + 2, size - 2);
    else
        try_value(&memory, (mbr_kind)(mode - 2), data + 2, size - 2);
    must(atomic_load(&memory.in_use) == 0);
    return 0;
}

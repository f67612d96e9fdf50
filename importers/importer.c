/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/importer.h"
#include "importers/onnx/onnx_import.h"

#include <string.h>

static const mbr_importer importers[] = {
    { "ONNX", mbr_onnx_sniff, mbr_onnx_import },
};

mbr_status mbr_import(mbr_import_source *source, mbr_ir_module **out, mbr_error *err)
{
    *out = NULL;
    mbr_status st;
    if (source->map.size == 0)
        st = mbr_fail(err, MBR_ERR_FORMAT, "%s: the file is empty; fetch it again", source->name);
    else {
        for (size_t i = 0; i < MBR_COUNT_OF(importers); i++)
            if (importers[i].sniff(source->map.data, source->map.size))
                return importers[i].import(source, out, err);
        st = mbr_fail(err, MBR_ERR_FORMAT, "%s: is not a model file; ONNX is what can be read", source->name);
    }
    mbr_filemap_close(&source->map);
    return st;
}

mbr_status mbr_import_file(mbr_memory *memory, const mbr_log *log, const struct mbr_custom_ops *ops, const char *path,
                           mbr_ir_module **out, mbr_error *err)
{
    *out = NULL;
    mbr_import_source source = { .memory = memory, .log = log, .ops = ops, .name = path };
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    char *folder = mbr_alloc(memory, n + 1);
    if (!folder)
        return mbr_no_memory(err, n + 1);
    memcpy(folder, path, n);
    folder[n] = '\0';
    source.folder = folder;
    mbr_status st = mbr_filemap_open(&source.map, memory, path, err);
    if (st == MBR_OK)
        st = mbr_import(&source, out, err);
    mbr_free(memory, folder);
    return st;
}

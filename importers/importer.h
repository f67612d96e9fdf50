/* SPDX-License-Identifier: BSD-2-Clause */
/* Model files to IR. Each format has a folder here and a row in importer.c. */
#ifndef MBR_IMPORTERS_IMPORTER_H
#define MBR_IMPORTERS_IMPORTER_H

#include "base/filemap.h"
#include "engine/ir.h"

typedef struct mbr_import_source {
    mbr_memory *memory;
    const mbr_log *log;
    const struct mbr_custom_ops *ops; /* operators beside the library's own; NULL: none */
    const char *name;   /* for messages: the path, or "memory" */
    const char *folder; /* untrusted names of further files are looked for below it ("": the working folder);
                           NULL: refused */
    mbr_filemap map;    /* the model's bytes; taken over by the import, also when it fails */
} mbr_import_source;

typedef struct mbr_importer {
    const char *name;
    /* True when the first bytes of a file, all or some of them, are of this format, whole or damaged. */
    bool (*sniff)(const uint8_t *bytes, size_t size);
    /* Messages name the file. The module owns what it needs of the source. */
    mbr_status (*import)(mbr_import_source *source, mbr_ir_module **out, mbr_error *err);
} mbr_importer;

/* Looks at the bytes, picks the importer, runs it. On success *out is the caller's, on failure it is NULL. */
mbr_status mbr_import(mbr_import_source *source, mbr_ir_module **out, mbr_error *err);

/*
 * The same for a file: maps it, looks for further files in its folder.
 */
mbr_status mbr_import_file(mbr_memory *memory, const mbr_log *log, const struct mbr_custom_ops *ops, const char *path,
                           mbr_ir_module **out, mbr_error *err);

#endif

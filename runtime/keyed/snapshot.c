/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots: the bytes and the file of one store or several. */
#include "runtime/keyed/store.h"

#include "base/filemap.h"
#include "runtime/drift/drift_sketch.h"

#include <string.h>

/* The head is as long as that of the drift monitor's files, whose writer completes it: magic, version, length. */
#define HEAD 24
#define VERSION 1
static const char magic[8] = "MBRKEYED";

static uint64_t word(const uint8_t *p)
{
    uint64_t x = 0;
    for (int i = 0; i < 8; i++)
        x |= (uint64_t)p[i] << 8 * i;
    return x;
}

void mbr_snapshot_begin(mbr_out *out, mbr_memory *memory)
{
    if (out->memory != memory)
        *out = (mbr_out){ .memory = memory };
    out->used = 0;
    out->failed = false;
    mbr_out_u64(out, word((const uint8_t *)magic));
    mbr_out_u64(out, VERSION);
    mbr_out_u64(out, 0); /* the length, which mbr_out_end puts here */
}

mbr_status mbr_snapshot_end(mbr_out *out, mbr_error *err)
{
    return mbr_out_end(out, NULL, err);
}

mbr_status mbr_snapshot_open(mbr_in *in, const void *data, size_t bytes, const char *name, mbr_error *err)
{
    const uint8_t *p = data;
    *in = (mbr_in){ 0 };
    if (bytes < 16 || memcmp(p, magic, sizeof magic) != 0)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: this is no saved state", name);
    if (word(p + 8) != VERSION)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: version %llu of the format is not known, this library reads %d; "
                        "begin with a new state", name, (unsigned long long)word(p + 8), VERSION);
    if (bytes < HEAD + 8 || word(p + 16) != bytes - HEAD - 8)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: the file is cut short or has grown; use an older copy, or begin with "
                        "a new state", name);
    if (mbr_digest(p, bytes - 8) != word(p + bytes - 8))
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: the file is damaged, its checksum does not fit; use an older copy, "
                        "or begin with a new state", name);
    *in = (mbr_in){ .data = p + HEAD, .left = bytes - HEAD - 8 };
    return MBR_OK;
}

mbr_status mbr_snapshot_close(const mbr_in *in, const char *name, mbr_error *err)
{
    if (in->bad || in->left)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: the content makes no sense although its checksum fits; begin with "
                        "a new state", name);
    return MBR_OK;
}

mbr_status mbr_store_save(const mbr_store *s, const char *path, bool durable, mbr_error *err)
{
    mbr_out out = { 0 };
    mbr_snapshot_begin(&out, s->memory);
    mbr_store_write(s, &out);
    mbr_status st = mbr_snapshot_end(&out, err);
    if (st == MBR_OK)
        st = mbr_write_atomically(path, out.data, out.used, durable, err);
    mbr_out_free(&out);
    return st;
}

mbr_status mbr_store_load(mbr_store *s, const char *path, mbr_error *err)
{
    mbr_filemap map;
    mbr_in in;
    MBR_TRY(mbr_filemap_open(&map, s->memory, path, err));
    mbr_status st = mbr_snapshot_open(&in, map.data, map.size, path, err);
    if (st == MBR_OK)
        st = mbr_store_read(s, &in, path, err);
    if (st == MBR_OK)
        st = mbr_snapshot_close(&in, path, err);
    if (st != MBR_OK)
        mbr_store_clear(s);
    mbr_filemap_close(&map);
    return st;
}

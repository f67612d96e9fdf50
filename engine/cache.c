/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/cache.h"
#include "base/checked.h"
#include "engine/cache_file.h"
#include "kernels/cpu.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A file that was changed later than this before it was read may change again unseen. */
#define SETTLED_NS INT64_C(2000000000)

/* The files that a stored module reads from. */
typedef struct stored_source {
    mbr_memory *memory;
    mbr_filemap entry;
    mbr_filemap *maps; /* (n_maps) the model's own first */
    size_t n_maps;
} stored_source;

static void free_source(void *source)
{
    stored_source *s = source;
    if (!s)
        return;
    for (size_t i = 0; i < s->n_maps; i++)
        mbr_filemap_close(&s->maps[i]);
    mbr_free(s->memory, s->maps);
    mbr_filemap_close(&s->entry);
    mbr_free(s->memory, s);
}

static void give_back(void *source, const void *data, size_t bytes)
{
    const stored_source *s = source;
    for (size_t i = 0; i < s->n_maps; i++)
        mbr_filemap_release(&s->maps[i], data, bytes);
}

static stored_source *new_source(mbr_memory *memory, const mbr_filemap *model)
{
    stored_source *s = mbr_calloc(memory, 1, sizeof *s);
    mbr_filemap *maps = mbr_calloc(memory, 1, sizeof *maps);
    if (!s || !maps) {
        mbr_free(memory, s);
        mbr_free(memory, maps);
        return NULL;
    }
    maps[0] = *model;
    *s = (stored_source){ .memory = memory, .maps = maps, .n_maps = 1 };
    return s;
}

/* --- names --- */

static char *copy_text(mbr_memory *memory, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = mbr_alloc(memory, n);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

/* The file of that name in the folder of `path`; "" is the folder itself. */
static char *beside(mbr_memory *memory, const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0, more = strlen(name) + 1;
    char *other = mbr_alloc(memory, n + more);
    if (other) {
        memcpy(other, path, n);
        memcpy(other + n, name, more);
    }
    return other;
}

static mbr_hash hash_more(mbr_hash h, const void *data, size_t bytes)
{
    return mbr_hash_bytes(data, bytes, h);
}

/* Of all that a name stands for beside the model. */
static mbr_hash hash_settings(const mbr_cache *c)
{
    mbr_cpu_caches caches = mbr_cpu_caches_get();
    const uint64_t what[] = { c->settings[0], c->settings[1], mbr_cpu_tiers(), caches.l1d, caches.l2, caches.l3 };
    return hash_more(c->salt, what, sizeof what);
}

static char *join(mbr_memory *memory, const char *folder, const char *name, const char *suffix)
{
    size_t n = strlen(folder) + strlen(name) + strlen(suffix) + 2;
    char *path = mbr_alloc(memory, n);
    if (path)
        snprintf(path, n, "%s/%s%s", folder, name, suffix);
    return path;
}

/* PLACE/<hash>SUFFIX, or the place itself where it is a file. */
static char *name_of(const mbr_cache *c, mbr_hash h, const char *suffix)
{
    char hex[33];
    if (c->is_file)
        return copy_text(c->memory, c->place);
    snprintf(hex, sizeof hex, "%016llx%016llx", (unsigned long long)h.a, (unsigned long long)h.b);
    return join(c->memory, c->place, hex, suffix);
}

static char *entry_name(const mbr_cache *c)
{
    return name_of(c, hash_more(hash_settings(c), &c->content, sizeof c->content), MBR_CACHE_SUFFIX);
}

/* Which files these are, {0, 0} where the system does not tell. */
static mbr_hash hash_ids(const mbr_cache *c, const mbr_file_id *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!ids[i].inode || !ids[i].changed_ns)
            return (mbr_hash){ 0, 0 };
    return hash_more(hash_settings(c), ids, n * sizeof *ids);
}

/* --- content --- */

static bool hash_content(mbr_cache *c, const mbr_filemap *const *maps, size_t n)
{
    mbr_hash h = { n, c->salt.b };
    if (c->has_content)
        return true;
    for (size_t i = 0; i < n; i++) {
        mbr_hash one;
        if (!mbr_cache_hash(c->memory, c->team, maps[i], c->salt, &one))
            return false;
        h = hash_more(h, &one, sizeof one);
    }
    c->content = h;
    c->has_content = true;
    return true;
}

/* --- reading --- */

static void complain(mbr_cache *c, const char *entry, const char *why)
{
    if (!c->complained)
        mbr_log_at(c->log, MBR_LOG_WARNING, "cache: %s is not used: %s; the model is packed anew", entry, why);
    c->complained = true;
}

static mbr_hash machine_of(const mbr_cache *c)
{
    mbr_hash kernels = mbr_packed_kernels();
    mbr_cpu_caches caches = mbr_cpu_caches_get();
    const uint64_t what[] = { c->settings[0], c->settings[1], mbr_cpu_tiers(), caches.l1d, caches.l2, caches.l3,
                              kernels.a, kernels.b, sizeof(void *), sizeof(mbr_ir_node), sizeof(size_t) };
    return mbr_hash_bytes(what, sizeof what, (mbr_hash){ MBR_SNAPSHOT_FORMAT, 0 });
}

/* Opens and verifies an entry. False: none, or a log line says why not. */
static bool open_entry(mbr_cache *c, const char *path, mbr_filemap *map, mbr_cache_header *header)
{
    if (access(path, F_OK) != 0 || c->complained)
        return false;
    mbr_error err;
    if (mbr_filemap_open(map, c->memory, path, &err) != MBR_OK) {
        complain(c, path, err.text);
        return false;
    }
    const char *why = mbr_cache_verify(map, c->team, machine_of(c), header);
    if (why) {
        complain(c, path, why);
        mbr_filemap_close(map);
        return false;
    }
    return true;
}

/* Opens the files of external data that the entry names. */
static bool open_others(stored_source *s, const uint8_t *image, size_t bytes, const char *path)
{
    const char *name;
    size_t count = 0;
    while (mbr_snapshot_file(image, bytes, count))
        count++;
    if (count == 0)
        return true;
    char *folder = beside(s->memory, path, "");
    mbr_filemap *maps = mbr_grow(s->memory, s->maps, sizeof *maps, (count + 1) * sizeof *maps);
    if (maps)
        s->maps = maps;
    bool all = folder && maps;
    for (size_t i = 0; all && i < count && (name = mbr_snapshot_file(image, bytes, i)); i++) {
        all = mbr_filemap_open_below(&s->maps[s->n_maps], s->memory, folder, name, NULL) == MBR_OK;
        s->n_maps += all;
    }
    mbr_free(s->memory, folder);
    return all;
}

/* Are the files those that a link, or the entry itself, was made for? */
static bool same_files(const mbr_cache *c, const stored_source *s, const mbr_cache_header *header)
{
    mbr_file_id *ids = mbr_calloc(c->memory, s->n_maps, sizeof *ids);
    bool same = false;
    for (size_t i = 0; ids && i < s->n_maps; i++)
        ids[i] = s->maps[i].id;
    mbr_hash h = ids ? hash_ids(c, ids, s->n_maps) : (mbr_hash){ 0, 0 };
    mbr_free(c->memory, ids);
    if (h.a == 0 && h.b == 0)
        return false;
    if (mbr_hash_same(h, header->ids))
        return true;
    char *link = c->is_file ? NULL : name_of(c, h, ".id");
    struct stat at;
    if (link && stat(link, &at) == 0)
        same = (uint64_t)at.st_dev == s->entry.id.device && (uint64_t)at.st_ino == s->entry.id.inode;
    mbr_free(c->memory, link);
    return same;
}

/* Reads a verified entry; takes over the source. */
static bool read_entry(mbr_cache *c, stored_source *s, const mbr_cache_header *h, const char *entry, const char *model,
                       mbr_cached *out)
{
    mbr_error err;
    const mbr_snapshot_files files = { s->maps, s->n_maps };
    mbr_status st = mbr_snapshot_read(c->memory, c->log, model, s->entry.data + h->payload_at, h->image_bytes,
                                      h->payload_bytes, &files, &out->module, &out->uses, &out->n_uses, &err);
    if (st != MBR_OK) {
        complain(c, entry, err.text);
        free_source(s);
        return false;
    }
    out->module->source = s;
    out->module->release_source = free_source;
    out->module->give_back = give_back;
    c->content = h->content; /* the entry may have been found by a link */
    c->entry = entry_name(c);
    c->entry_bytes = s->entry.size;
    c->was_read = true;
    mbr_log_at(c->log, MBR_LOG_DEBUG, "cache: %s is used", entry);
    return true;
}

/* One way in: a path that may hold the entry of a model whose own file is `model`, which is taken over. by_content: the
   entry's content has to be the model's, else its files have to be the same. */
static bool try_entry(mbr_cache *c, const char *entry, const mbr_filemap *model, const char *path, bool by_content,
                      mbr_cached *out)
{
    mbr_cache_header header;
    mbr_filemap own = *model;
    stored_source *s = entry ? new_source(c->memory, model) : NULL;
    if (!s) {
        mbr_filemap_close(&own);
        return false;
    }
    if (!open_entry(c, entry, &s->entry, &header) ||
        !open_others(s, s->entry.data + header.payload_at, header.image_bytes, path ? path : "") ||
        (by_content ? !mbr_hash_same(header.content, c->content) : !same_files(c, s, &header))) {
        free_source(s);
        return false;
    }
    return read_entry(c, s, &header, entry, path ? path : "model in memory", out);
}

bool mbr_cache_find_file(mbr_cache *c, const char *path, mbr_cached *out)
{
    mbr_filemap model;
    memset(out, 0, sizeof *out);
    if (!c->salted || c->by_content || mbr_filemap_open(&model, c->memory, path, NULL) != MBR_OK)
        return false;
    char *entry = name_of(c, hash_ids(c, &model.id, 1), ".id");
    bool found = try_entry(c, entry, &model, path, false, out);
    mbr_free(c->memory, entry);
    return found;
}

bool mbr_cache_find_bytes(mbr_cache *c, const void *data, size_t bytes, mbr_cached *out)
{
    const mbr_filemap map = mbr_filemap_borrow(data, bytes), *maps[] = { &map };
    memset(out, 0, sizeof *out);
    if (!c->salted || !hash_content(c, maps, 1))
        return false;
    char *entry = entry_name(c);
    bool found = try_entry(c, entry, &map, NULL, true, out);
    mbr_free(c->memory, entry);
    return found;
}

/* --- the model's files, once it is imported --- */

typedef struct model_files {
    const mbr_filemap **maps; /* (n) */
    mbr_file_id *ids;         /* (n) */
    size_t n;
} model_files;

static void free_files(const mbr_cache *c, model_files *f)
{
    mbr_free(c->memory, f->maps);
    mbr_free(c->memory, f->ids);
}

/* False: nothing is held. */
static bool list_files(const mbr_cache *c, const mbr_ir_module *m, model_files *f)
{
    const char *name;
    memset(f, 0, sizeof *f);
    while (m->source_file && m->source_file(m->source, f->n, &name))
        f->n++;
    f->maps = mbr_calloc(c->memory, f->n + 1, sizeof *f->maps);
    f->ids = mbr_calloc(c->memory, f->n + 1, sizeof *f->ids);
    for (size_t i = 0; f->maps && f->ids && i < f->n; i++) {
        f->maps[i] = m->source_file(m->source, i, &name);
        f->ids[i] = f->maps[i]->id;
    }
    bool listed = f->n && f->maps && f->ids;
    if (!listed)
        free_files(c, f);
    return listed;
}

/* Have the files stayed as they were when they were opened? */
static bool unchanged(const mbr_cache *c, const mbr_ir_module *m, const char *path, const model_files *f)
{
    const char *name;
    bool same = true;
    for (size_t i = 0; same && path && i < f->n; i++) {
        mbr_filemap now;
        (void)m->source_file(m->source, i, &name);
        char *other = i ? beside(c->memory, path, name) : NULL;
        same = (!i || other) && mbr_filemap_open(&now, c->memory, i ? other : path, NULL) == MBR_OK;
        if (same) {
            same = memcmp(&now.id, &f->ids[i], sizeof now.id) == 0;
            mbr_filemap_close(&now);
        }
        mbr_free(c->memory, other);
    }
    return same;
}

/* Long enough that no later change can have the same times. */
static bool settled(const model_files *f)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return false;
    int64_t limit = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - SETTLED_NS;
    for (size_t i = 0; i < f->n; i++)
        if (!f->ids[i].inode || f->ids[i].modified_ns > limit || f->ids[i].changed_ns > limit)
            return false;
    return true;
}

/* Links which files these are to the entry: the model's file alone, and all of them. */
static void link_files(const mbr_cache *c, const model_files *f, const char *entry)
{
    for (size_t k = 0; k < (f->n > 1 ? 2u : 1u); k++) {
        char *link = c->is_file ? NULL : name_of(c, hash_ids(c, f->ids, k ? f->n : 1), ".id");
        if (link)
            mbr_cache_link(strrchr(entry, '/') + 1, link);
        mbr_free(c->memory, link);
    }
}

bool mbr_cache_find_imported(mbr_cache *c, const mbr_ir_module *m, const char *path, mbr_cached *out)
{
    model_files f;
    bool found = false;
    memset(out, 0, sizeof *out);
    bool listed = c->salted && !c->complained && list_files(c, m, &f);
    if (listed && hash_content(c, f.maps, f.n) && unchanged(c, m, path, &f)) {
        mbr_filemap model = *f.maps[0];
        char *entry = entry_name(c);
        bool there = entry && access(entry, F_OK) == 0;
        if (there && (!path || mbr_filemap_open(&model, c->memory, path, NULL) == MBR_OK))
            found = try_entry(c, entry, &model, path, true, out);
        if (found && settled(&f))
            link_files(c, &f, entry);
        mbr_free(c->memory, entry);
    }
    if (listed)
        free_files(c, &f);
    return found;
}

/* --- writing --- */

static void store(mbr_cache *c, const mbr_program *program, const char *path, const model_files *f,
                  const mbr_op_use *uses, size_t n_uses)
{
    mbr_snapshot snapshot;
    mbr_error err;
    mbr_cache_header header = { .content = c->content, .machine = machine_of(c) };
    if (settled(f))
        header.ids = hash_ids(c, f->ids, f->n);
    mbr_status st = mbr_snapshot_take(&snapshot, c->memory, program->module, program, uses, n_uses, &err);
    if (st != MBR_OK) {
        mbr_log_at(c->log, MBR_LOG_INFO, "cache: the model is not stored: %s", err.text);
        return;
    }
    char *entry = entry_name(c);
    st = entry ? mbr_cache_write(entry, &snapshot, &header, c->log, &err) : mbr_no_memory(&err, 1);
    if (st != MBR_OK) {
        mbr_log_at(c->log, MBR_LOG_WARNING, "cache: %s is not written: %s", entry ? entry : c->place, err.text);
        mbr_free(c->memory, entry);
    } else {
        c->entry = entry;
        c->entry_bytes = (size_t)header.file_bytes;
        mbr_log_at(c->log, MBR_LOG_INFO, "cache: %s is written, %zu bytes", entry, c->entry_bytes);
        if (settled(f) && unchanged(c, program->module, path, f))
            link_files(c, f, entry);
    }
    mbr_snapshot_free(&snapshot);
}

void mbr_cache_store(mbr_cache *c, const mbr_program *program, const char *path, const mbr_op_use *uses, size_t n_uses)
{
    model_files f;
    if (!c->salted && !c->is_file)
        c->salted = mbr_cache_make_salt(c->memory, c->place, &c->salt);
    if (!c->salted || !list_files(c, program->module, &f))
        mbr_log_at(c->log, MBR_LOG_WARNING, "cache: %s: the folder cannot be used", c->place);
    else {
        if (hash_content(c, f.maps, f.n) && unchanged(c, program->module, path, &f))
            store(c, program, path, &f, uses, n_uses);
        free_files(c, &f);
    }
}

/* --- the place --- */

void mbr_cache_begin(mbr_cache *c)
{
    struct stat s;
    size_t n = strlen(c->place), suffix = strlen(MBR_CACHE_SUFFIX);
    bool there = stat(c->place, &s) == 0;
    bool named = n > suffix && strcmp(c->place + n - suffix, MBR_CACHE_SUFFIX) == 0;
    c->is_file = named && !(there && S_ISDIR(s.st_mode)); /* no other file is ever written over */
    c->salted = c->is_file || (there && S_ISDIR(s.st_mode) && mbr_cache_read_salt(c->memory, c->place, &c->salt));
}

void mbr_cache_end(mbr_cache *c)
{
    mbr_free(c->memory, c->entry);
    c->entry = NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cache of packed weights: a model read from it gives the bits that it gave before; whatever is wrong with a
 * file of it, the answers stay, one log line tells, and the file is made anew. The models are the fuzzer's seeds and
 * the example product.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/hash.h"
#include "engine/cache_file.h"
#include "kernels/cpu.h"
#include "mbr/mbr.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_PORTS 64

static char folder[PATH_MAX - 512]; /* of this test: model, cache */

/* --- files --- */

static const char *at(const char *name)
{
    static char path[4][PATH_MAX];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static char *read_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s cannot be read", path);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    *bytes = (size_t)ftell(f);
    rewind(f);
    char *data = malloc(*bytes + 1);
    ck_assert_ptr_nonnull(data);
    ck_assert_uint_eq(fread(data, 1, *bytes, f), *bytes);
    fclose(f);
    return data;
}

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    ck_assert_msg(f != NULL, "%s cannot be written", path);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    ck_assert_int_eq(fclose(f), 0);
}

/* As if it had been there for a day: such files are known again without a look at their content. */
static void settle(const char *path)
{
    struct timeval then[2];
    gettimeofday(&then[0], NULL);
    then[0].tv_sec -= 86400;
    then[1] = then[0];
    ck_assert_int_eq(utimes(path, then), 0);
}

static void remove_all(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        char inner[PATH_MAX];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        if (unlink(inner) != 0)
            remove_all(inner);
    }
    if (d)
        closedir(d);
    (void)rmdir(path);
}

static size_t count_files(const char *path, const char *suffix)
{
    size_t n = 0, m = strlen(suffix);
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        n += strlen(e->d_name) > m && strcmp(e->d_name + strlen(e->d_name) - m, suffix) == 0;
    if (d)
        closedir(d);
    return n;
}

static const char *source_folder(void)
{
    const char *source = getenv("srcdir");
    return source ? source : ".";
}

static void put_model(const char *seed)
{
    char path[PATH_MAX];
    size_t bytes, skip = strcmp(seed, "fraud") == 0 ? 0 : 2; /* the fuzzer's option bytes */
    snprintf(path, sizeof path, skip ? "%s/tests/fuzz/corpus/import_%s" : "%s/examples/%s/model.onnx", source_folder(),
             seed);
    char *data = read_file(path, &bytes);
    write_file(at("model.onnx"), data + skip, bytes - skip);
    settle(at("model.onnx"));
    free(data);
}

static void begin(void)
{
    const char *tmp = getenv("TMPDIR"); /* entries are synced: memory is faster than a disk */
    if (!tmp || strlen(tmp) > 1000)
        tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/mbr-cache-XXXXXX", tmp);
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void end(void)
{
    (void)chmod(at("cache"), 0700);
    remove_all(folder);
}

/* --- using a model --- */

typedef struct heap {
    long left; /* so many succeed; negative: all */
    long blocks, asked;
} heap;

static void *take(void *user, size_t bytes)
{
    heap *h = user;
    h->asked++;
    if (h->left == 0)
        return NULL;
    h->left -= h->left > 0;
    void *block = malloc(bytes);
    h->blocks += block != NULL;
    return block;
}

static void give(void *user, void *block)
{
    ((heap *)user)->blocks--;
    free(block);
}

typedef struct answer {
    mbr_status status;
    mbr_error err;
    int warnings, from_cache;
    char entry[PATH_MAX], said[1024];
    void *bytes[MOST_PORTS]; /* outputs as ONNX writes them */
    size_t size[MOST_PORTS];
    int n;
} answer;

static void note(void *user, mbr_log_level level, const char *text)
{
    answer *a = user;
    if (level > MBR_LOG_WARNING)
        return;
    a->warnings++;
    snprintf(a->said, sizeof a->said, "%s", text);
}

/* Numbers that are no bits alike; 2 where an axis is free. */
static mbr_status fill(mbr_env *env, const mbr_port *port, mbr_value **out, mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK] = { 2 };
    size_t n = 1;
    for (int d = 0; d < port->rank; d++)
        dims[d] = port->dims[d] < 0 ? 2 : port->dims[d];
    mbr_status st = mbr_tensor_new(env, port->dtype, port->rank < 0 ? 1 : port->rank, dims, out, err);
    for (int d = 0; d < port->rank; d++)
        n *= (size_t)dims[d];
    float *f = st == MBR_OK && port->dtype == MBR_DTYPE_F32 ? (*out)->data : NULL;
    for (size_t i = 0; f && port->rank >= 0 && i < n; i++)
        f[i] = (float)((i * 37 + 11) % 101) / 64.0f - 0.7f;
    return st;
}

/* The values stay until the session is gone. */
static mbr_status bind_all(mbr_env *env, const mbr_model *model, mbr_session *session, mbr_value **values,
                           mbr_error *err)
{
    mbr_status st = MBR_OK;
    for (int i = 0; st == MBR_OK && i < mbr_model_input_count(model); i++) {
        mbr_port port = { .size = sizeof port };
        mbr_value *item = NULL;
        ck_assert_int_lt(i, MOST_PORTS);
        st = mbr_model_input(model, i, &port, err);
        if (st == MBR_OK && port.kind == MBR_KIND_TENSOR) {
            st = fill(env, &port, &values[i], err);
        } else if (st == MBR_OK) {
            st = port.kind == MBR_KIND_SEQUENCE ? mbr_sequence_new(env, port.dtype, &values[i], err) :
                                                  mbr_optional_new(env, port.dtype, &values[i], err);
            if (st == MBR_OK)
                st = mbr_tensor_new(env, port.dtype, 2, (int64_t[]){ 2, 3 }, &item, err);
            if (st == MBR_OK)
                st = mbr_value_append(values[i], item, err);
        }
        if (st == MBR_OK)
            st = mbr_session_bind_input(session, i, values[i], err);
        mbr_value_release(&item);
    }
    return st;
}

typedef struct how {
    const char *cache; /* NULL: off */
    const char *passes;
    heap *heap;
    int threads, verify;
    bool from_memory;
} how;

static mbr_status open_by(const how *w, mbr_env *env, void *data, size_t bytes, mbr_model **model, mbr_error *err)
{
    mbr_model_options mo = { .size = sizeof mo, .passes = w->passes, .cache_dir = w->cache ? w->cache : "off",
                             .cache_verify = w->verify };
    return data ? mbr_model_open_memory(env, data, bytes, &mo, model, err) :
                  mbr_model_open(env, at("model.onnx"), &mo, model, err);
}

static answer ask(const how *w)
{
    answer a = { 0 };
    mbr_env_options o = { .size = sizeof o, .threads = w->threads ? w->threads : 1, .log = note, .log_user = &a,
                          .log_level = MBR_LOG_WARNING };
    mbr_env *env = NULL;
    mbr_model *model = NULL;
    mbr_session *session = NULL;
    mbr_value *values[MOST_PORTS] = { NULL };
    size_t bytes = 0;
    char *data = w->from_memory ? read_file(at("model.onnx"), &bytes) : NULL;
    if (w->heap) {
        o.alloc = take;
        o.release = give;
        o.alloc_user = w->heap;
    }
    a.status = mbr_env_new(&o, &env, &a.err);
    if (a.status == MBR_OK)
        a.status = open_by(w, env, data, bytes, &model, &a.err);
    mbr_model_facts facts = { .size = sizeof facts };
    if (a.status == MBR_OK)
        a.status = mbr_model_get_facts(model, &facts, &a.err);
    a.from_cache = facts.from_cache;
    snprintf(a.entry, sizeof a.entry, "%s", facts.cache_entry ? facts.cache_entry : "");
    if (a.status == MBR_OK)
        a.status = mbr_session_new(model, NULL, &session, &a.err);
    if (a.status == MBR_OK)
        a.status = bind_all(env, model, session, values, &a.err);
    if (a.status == MBR_OK)
        a.status = mbr_session_run(session, &a.err);
    for (int i = 0; a.status == MBR_OK && i < mbr_model_output_count(model); i++) {
        void *text = NULL;
        a.status = mbr_value_to_onnx(env, mbr_session_output(session, i), "out", &text, &a.size[i], &a.err);
        if (a.status != MBR_OK)
            break;
        a.bytes[i] = malloc(a.size[i] + 1);
        memcpy(a.bytes[i], text, a.size[i]);
        mbr_bytes_release(env, text);
        a.n = i + 1;
    }
    mbr_session_release(&session);
    for (int i = 0; i < MOST_PORTS; i++)
        mbr_value_release(&values[i]);
    mbr_model_release(&model);
    mbr_env_release(&env);
    free(data);
    return a;
}

static void drop(answer *a)
{
    for (int i = 0; i < a->n; i++)
        free(a->bytes[i]);
}

static void same(const answer *a, const answer *b, const char *what)
{
    ck_assert_msg(a->status == MBR_OK, "%s: %s", what, a->err.text);
    ck_assert_msg(a->n == b->n, "%s: %d outputs, %d are due", what, a->n, b->n);
    for (int i = 0; i < a->n; i++)
        ck_assert_msg(a->size[i] == b->size[i] && memcmp(a->bytes[i], b->bytes[i], a->size[i]) == 0,
                      "%s: output %d is another", what, i);
}

/* The answer, which is that of `due`; read from the cache or not, with so many warnings. */
static void expect(const how *w, const answer *due, int from_cache, int warnings, const char *what)
{
    answer a = ask(w);
    same(&a, due, what);
    ck_assert_msg(a.from_cache == from_cache, "%s: %s the cache", what, a.from_cache ? "read from" : "not read from");
    ck_assert_msg(a.warnings == warnings, "%s: %d warnings, the last: %s", what, a.warnings, a.said);
    drop(&a);
}

/* --- the tests --- */

static const char *const seeds[] = {
    "mlp", "conv", "if", "loop", "tree", "function", "constants", "sparse", "shapes", "unsorted", "int4", "old", "scan",
    "grow", "nested", "split", "texts", "words", "classes", "found", "block", "lstm", "attention", "cache", "bytes",
    "nbits", "resize", "containers", "fraud",
};

START_TEST(the_same_bits)
{
    const how off = { 0 }, on = { .cache = at("cache") }, two = { .cache = on.cache, .threads = 2 };
    const how memory = { .cache = on.cache, .from_memory = true }, file = { .cache = at("one.mbrc") };
    char cache[PATH_MAX], one[PATH_MAX];
    snprintf(cache, sizeof cache, "%s", on.cache);
    snprintf(one, sizeof one, "%s", file.cache);
    how ways[] = { on, on, two, memory, file, file };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        ways[i].cache = i < 4 ? cache : one;
    put_model(seeds[_i]);
    answer due = ask(&off);
    ck_assert_msg(due.status == MBR_OK, "%s: %s", seeds[_i], due.err.text);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        expect(&ways[i], &due, i != 0 && i != 4, 0, seeds[_i]);
    ck_assert_uint_eq(count_files(cache, ".mbrc"), 1);
    ck_assert_uint_eq(count_files(cache, ".tmp"), 0);
    drop(&due);
}
END_TEST

/* Has something in each part of a file: lstm packs weights, and its image is small. */
#define DAMAGED "lstm"

START_TEST(cut_short)
{
    const char *cache = strdup(at("cache"));
    const how on = { .cache = cache };
    put_model(DAMAGED);
    answer due = ask(&on);
    size_t bytes, step;
    char *data = read_file(due.entry, &bytes);
    step = bytes / 23 + 1;
    for (size_t n = 0; n < bytes; n += n < 300 ? 37 : step) {
        write_file(due.entry, data, n);
        expect(&on, &due, 0, 1, "cut short");
        expect(&on, &due, 1, 0, "made anew");
    }
    write_file(due.entry, data, bytes - 1);
    expect(&on, &due, 0, 1, "the last byte");
    char *longer = calloc(1, bytes + 100);
    memcpy(longer, data, bytes);
    write_file(due.entry, longer, bytes + 100);
    expect(&on, &due, 0, 1, "longer");
    free(longer);
    free(data);
    free((void *)(uintptr_t)cache);
    drop(&due);
}
END_TEST

START_TEST(bits_flipped)
{
    const char *cache = strdup(at("cache"));
    const how on = { .cache = cache };
    mbr_cache_header header;
    put_model(DAMAGED);
    answer due = ask(&on);
    size_t bytes;
    char *data = read_file(due.entry, &bytes);
    memcpy(&header, data, sizeof header);
    size_t sums = sizeof header + sizeof(mbr_hash), blocks = (size_t)header.payload_at + (size_t)header.image_bytes;
    ck_assert_uint_gt(bytes, blocks);
    for (size_t i = 0; i < bytes; i += i < sums ? 7 : i < header.payload_at ? 997 : i < blocks ? 61 : bytes / 31) {
        if (i >= sums && i < header.payload_at)
            continue; /* padding: no part of anything */
        data[i] = (char)(data[i] ^ 1 << i % 8);
        write_file(due.entry, data, bytes);
        data[i] = (char)(data[i] ^ 1 << i % 8);
        expect(&on, &due, 0, 1, "a flipped bit");
    }
    expect(&on, &due, 1, 0, "made anew");
    free(data);
    free((void *)(uintptr_t)cache);
    drop(&due);
}
END_TEST

/* A sound file with another header. */
static void reseal(char *data, void (*change)(mbr_cache_header *h))
{
    mbr_cache_header h, plain;
    memcpy(&h, data, sizeof h);
    change(&h);
    plain = h;
    plain.sum = (mbr_hash){ 0, 0 };
    size_t n = (size_t)((h.payload_bytes + MBR_CACHE_SUM_BYTES - 1) / MBR_CACHE_SUM_BYTES);
    h.sum = mbr_hash_bytes(data + sizeof h, n * sizeof(mbr_hash),
                           mbr_hash_bytes(&plain, sizeof plain, (mbr_hash){ 0, 0 }));
    memcpy(data, &h, sizeof h);
}

static void other_version(mbr_cache_header *h)
{
    strcpy(h->version, "0.0.0-old");
}

static void other_machine(mbr_cache_header *h)
{
    h->machine.a ^= 1;
}

static void nothing_else(mbr_cache_header *h)
{
    (void)h;
}

START_TEST(another_version_or_machine)
{
    static void (*const changes[])(mbr_cache_header *) = { other_version, other_machine, nothing_else };
    const char *cache = strdup(at("cache"));
    const how on = { .cache = cache };
    put_model(DAMAGED);
    answer due = ask(&on);
    size_t bytes;
    for (int i = 0; i < 3; i++) {
        char *data = read_file(due.entry, &bytes);
        reseal(data, changes[i]);
        write_file(due.entry, data, bytes);
        free(data);
        expect(&on, &due, i == 2, i != 2, "another version or machine");
        expect(&on, &due, 1, 0, "made anew");
    }
    free((void *)(uintptr_t)cache);
    drop(&due);
}
END_TEST

START_TEST(the_model_changes)
{
    const char *cache = strdup(at("cache"));
    const how on = { .cache = cache }, off = { 0 }, verify = { .cache = cache, .verify = 1 };
    size_t bytes;
    put_model("mlp");
    answer due = ask(&on);
    expect(&on, &due, 1, 0, "unchanged");
    char *data = read_file(at("model.onnx"), &bytes);
    write_file(at("copy"), data, bytes);
    ck_assert_int_eq(rename(at("copy"), at("model.onnx")), 0);
    expect(&on, &due, 1, 0, "a copy has the same content");
    ck_assert_uint_eq(count_files(cache, ".mbrc"), 1);
    /* the same size, the same file, at once: by its content it is another */
    for (int i = 0; i < 8; i++) {
        data[bytes / 2 + (size_t)i] = (char)(data[bytes / 2 + (size_t)i] ^ 1);
        write_file(at("model.onnx"), data, bytes);
        answer other = ask(&off);
        if (other.status != MBR_OK) { /* no weight was hit */
            data[bytes / 2 + (size_t)i] = (char)(data[bytes / 2 + (size_t)i] ^ 1);
            write_file(at("model.onnx"), data, bytes);
            continue;
        }
        expect(&on, &other, 0, 0, "changed in place");
        expect(&on, &other, 1, 0, "and again");
        expect(&verify, &other, 1, 0, "by its content");
        drop(&other);
    }
    /* the date of a file that was changed in place is put back: the system's own date tells */
    settle(at("model.onnx"));
    answer now = ask(&on);
    same(&now, &now, "dated back");
    drop(&now);
    free(data);
    free((void *)(uintptr_t)cache);
    drop(&due);
}
END_TEST

START_TEST(tiers_and_passes)
{
    const char *cache = strdup(at("cache"));
    const how on = { .cache = cache }, plain = { .cache = cache, .passes = "none" }, off = { 0 };
    put_model("conv");
    answer due = ask(&on), slow = ask(&(how){ .passes = "none" });
    expect(&plain, &slow, 0, 0, "other passes");
    expect(&plain, &slow, 1, 0, "other passes again");
    expect(&on, &due, 1, 0, "all passes");
    unsigned tiers = mbr_cpu_tiers();
    mbr_cpu_set_mask(0);
    answer base = ask(&off);
    expect(&on, &base, mbr_cpu_tiers() == tiers, 0, "another tier");
    expect(&on, &base, 1, 0, "another tier again");
    mbr_cpu_set_mask(~0u);
    expect(&on, &due, 1, 0, "the first tier");
    drop(&base);
    drop(&slow);
    drop(&due);
    free((void *)(uintptr_t)cache);
}
END_TEST

START_TEST(writers_at_once)
{
    const char *cache = strdup(at("cache"));
    const how on = { .cache = cache }, off = { 0 };
    put_model("lstm");
    answer due = ask(&off);
    for (int round = 0; round < 8; round++) {
        pid_t child[4];
        remove_all(cache);
        for (int i = 0; i < 4; i++) {
            child[i] = fork();
            if (child[i] == 0) {
                answer a = ask(&on), b = ask(&on);
                bool good = a.status == MBR_OK && b.status == MBR_OK && a.n == due.n && b.n == due.n;
                for (int k = 0; good && k < due.n; k++)
                    good = memcmp(a.bytes[k], due.bytes[k], due.size[k]) == 0 &&
                           memcmp(b.bytes[k], due.bytes[k], due.size[k]) == 0;
                _exit(!good);
            }
            ck_assert_int_gt(child[i], 0);
        }
        for (int i = 0; i < 4; i++) {
            int status;
            ck_assert_int_eq(waitpid(child[i], &status, 0), child[i]);
            ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a writer fails: %x", (unsigned)status);
        }
        expect(&on, &due, 1, 0, "after all");
        ck_assert_uint_eq(count_files(cache, ".mbrc"), 1);
        ck_assert_uint_eq(count_files(cache, ".tmp"), 0);
    }
    free((void *)(uintptr_t)cache);
    drop(&due);
}
END_TEST

/* What a killed writer leaves is used by the next one. */
START_TEST(a_writer_was_killed)
{
    char temporary[PATH_MAX + 8];
    const char *cache = strdup(at("cache"));
    const how on = { .cache = cache };
    put_model("lstm");
    answer due = ask(&on);
    snprintf(temporary, sizeof temporary, "%s.tmp", due.entry);
    ck_assert_int_eq(rename(due.entry, temporary), 0);
    expect(&on, &due, 0, 0, "only the temporary file");
    expect(&on, &due, 1, 0, "made anew");
    ck_assert_uint_eq(count_files(cache, ".tmp"), 0);
    free((void *)(uintptr_t)cache);
    drop(&due);
}
END_TEST

START_TEST(nowhere_to_write)
{
    const char *cache = strdup(at("cache"));
    const how on = { .cache = cache }, off = { 0 };
    char model[PATH_MAX], below[PATH_MAX];
    snprintf(model, sizeof model, "%s", at("model.onnx"));
    snprintf(below, sizeof below, "%s", at("model.onnx/below"));
    put_model("mlp");
    answer due = ask(&off);
    expect(&(how){ .cache = below }, &due, 0, 1, "below a file");
    expect(&(how){ .cache = model }, &due, 0, 1, "a file that is no cache");
    ck_assert_int_eq(mkdir(cache, 0500), 0);
    if (geteuid() != 0) { /* root writes everywhere */
        expect(&on, &due, 0, 1, "a folder that cannot be written");
        ck_assert_int_eq(chmod(cache, 0700), 0);
        expect(&on, &due, 0, 0, "it can");
        ck_assert_int_eq(chmod(cache, 0500), 0);
    } else {
        ck_assert_int_eq(chmod(cache, 0700), 0);
        expect(&on, &due, 0, 0, "it can");
    }
    expect(&on, &due, 1, 0, "reading is enough");
    free((void *)(uintptr_t)cache);
    drop(&due);
}
END_TEST

/* A limit on the size of files stands for a full disk; MBR_FULL names a folder on a file system that is full. */
START_TEST(no_room)
{
    const char *cache = strdup(at("cache")), *full = getenv("MBR_FULL");
    const how on = { .cache = cache }, off = { 0 }, there = { .cache = full };
    struct rlimit old, tight;
    put_model("lstm");
    answer due = ask(&off);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = old;
    tight.rlim_cur = 4096;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    expect(&on, &due, 0, 1, "no room");
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    ck_assert_uint_eq(count_files(cache, ".mbrc"), 0);
    expect(&on, &due, 0, 0, "there is room");
    expect(&on, &due, 1, 0, "and it was used");
    if (full) {
        expect(&there, &due, 0, 1, "a full disk");
        ck_assert_uint_eq(count_files(full, ".mbrc") + count_files(full, ".tmp"), 0);
    }
    free((void *)(uintptr_t)cache);
    drop(&due);
}
END_TEST

/* Allocation k fails, and all after it: while an entry is written, and while it is read. */
START_TEST(allocations_fail)
{
    const char *cache = strdup(at("cache"));
    put_model(seeds[_i]);
    answer due = ask(&(how){ 0 });
    for (int reading = 0; reading < 2; reading++) {
        heap all = { .left = -1 };
        answer first = ask(&(how){ .cache = cache, .heap = &all });
        ck_assert_int_eq(first.from_cache, reading);
        drop(&first);
        for (long k = 0; k < all.asked; k += 1 + k / 24) {
            heap h = { .left = k };
            if (!reading)
                remove_all(cache);
            answer a = ask(&(how){ .cache = cache, .heap = &h });
            ck_assert_msg(a.status == MBR_OK || a.status == MBR_ERR_NO_MEMORY, "%s: allocation %ld: %s", seeds[_i], k,
                          a.err.text);
            if (a.status == MBR_OK)
                same(&a, &due, "short of memory");
            ck_assert_msg(h.blocks == 0, "%s: allocation %ld: %ld blocks are left", seeds[_i], k, h.blocks);
            drop(&a);
        }
        if (!reading) { /* so that it is there to be read */
            answer last = ask(&(how){ .cache = cache });
            drop(&last);
        }
    }
    drop(&due);
    free((void *)(uintptr_t)cache);
}
END_TEST

START_TEST(hashes)
{
    uint8_t bytes[300] = { 0 };
    const mbr_hash seed = { 1, 2 };
    for (size_t n = 0; n < sizeof bytes; n++) {
        mbr_hash h = mbr_hash_bytes(bytes, n, seed);
        ck_assert(!mbr_hash_same(h, mbr_hash_bytes(bytes, n + 1, seed)));
        ck_assert(!mbr_hash_same(h, mbr_hash_bytes(bytes, n, (mbr_hash){ 1, 3 })));
        for (size_t i = 0; i < n; i++)
            for (int b = 0; b < 8; b++) {
                bytes[i] = (uint8_t)(1 << b);
                ck_assert(!mbr_hash_same(h, mbr_hash_bytes(bytes, n, seed)));
                bytes[i] = 0;
            }
    }
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, begin, end);
    suite_add_tcase(suite, tc);
    return tc;
}

int main(void)
{
    const int n = (int)(sizeof seeds / sizeof *seeds);
    Suite *suite = suite_create("cache");
    TCase *tc = add_case(suite, "bits");
    tcase_add_loop_test(tc, the_same_bits, 0, n);
    tcase_add_test(tc, hashes);
    tc = add_case(suite, "files");
    tcase_add_test(tc, cut_short);
    tcase_add_test(tc, bits_flipped);
    tcase_add_test(tc, another_version_or_machine);
    tcase_add_test(tc, the_model_changes);
    tcase_add_test(tc, tiers_and_passes);
    tcase_add_test(tc, writers_at_once);
    tcase_add_test(tc, a_writer_was_killed);
    tcase_add_test(tc, nowhere_to_write);
    tcase_add_test(tc, no_room);
    tc = add_case(suite, "allocations");
    tcase_add_loop_test(tc, allocations_fail, 0, n);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/opencl/program.h"
#include "engine/opencl/selftest.h"
#include "engine/opencl/store.h"

#include <string.h>

#ifndef MBR_NO_THREADS
#include <pthread.h>
#endif

struct mbr_cl_program {
    struct mbr_cl_program *next;
    const char *name;   /* of the source */
    char *extra;        /* NULL: none */
    char *options;      /* "" for none */
    cl_program program; /* NULL: it does not build */
    char why[256];
};

/* Data that a model has on the device. */
typedef struct kept {
    struct kept *next;
    const void *owner, *key;
    unsigned slot;
    size_t bytes;
    cl_mem mem;
} kept;

#define BUCKETS 256
#define MOST_FAMILIES 32

struct mbr_cl_shared {
    mbr_cl_program *programs;
    kept *kept[BUCKETS];
    cl_command_queue queue; /* for uploads */
    struct {
        const char *name;
        bool works;
    } families[MOST_FAMILIES]; /* (n_families) those that were tested */
    size_t n_families;
#ifndef MBR_NO_THREADS
    pthread_mutex_t lock, testing; /* of the above; of families, taken first */
#endif
};

static void lock(struct mbr_cl_shared *s)
{
#ifndef MBR_NO_THREADS
    pthread_mutex_lock(&s->lock);
#else
    (void)s;
#endif
}

static void unlock(struct mbr_cl_shared *s)
{
#ifndef MBR_NO_THREADS
    pthread_mutex_unlock(&s->lock);
#else
    (void)s;
#endif
}

mbr_status mbr_cl_shared_new(mbr_cl_device *d, mbr_error *err)
{
    cl_int code;
    d->shared = mbr_calloc(d->memory, 1, sizeof *d->shared);
    if (!d->shared)
        return mbr_no_memory(err, sizeof *d->shared);
#ifndef MBR_NO_THREADS
    pthread_mutex_init(&d->shared->lock, NULL);
    pthread_mutex_init(&d->shared->testing, NULL);
#endif
    d->shared->queue = d->cl->clCreateCommandQueue(d->context, d->id, 0, &code);
    if (!d->shared->queue)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s gives no queue: %s", d->label, mbr_cl_error_name(code));
    return MBR_OK;
}

static void free_program(mbr_cl_device *d, mbr_cl_program *p)
{
    if (p->program)
        d->cl->clReleaseProgram(p->program);
    mbr_free(d->memory, p->extra);
    mbr_free(d->memory, p->options);
    mbr_free(d->memory, p);
}

void mbr_cl_shared_free(mbr_cl_device *d)
{
    struct mbr_cl_shared *s = d->shared;
    if (!s)
        return;
    while (s->programs) {
        mbr_cl_program *p = s->programs;
        s->programs = p->next;
        free_program(d, p);
    }
    mbr_cl_forget(d, NULL);
    if (s->queue)
        d->cl->clReleaseCommandQueue(s->queue);
#ifndef MBR_NO_THREADS
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->testing);
#endif
    mbr_free(d->memory, s);
    d->shared = NULL;
}

/* --- programs --- */

/* All texts, the caller's. NULL: no memory. */
static char *all_texts(mbr_memory *memory)
{
    char *texts = mbr_alloc(memory, mbr_cl_text_bytes);
    const unsigned char *c = mbr_cl_text;
    for (size_t n = 0; texts && n < mbr_cl_text_bytes; c++) {
        if (*c < 128) {
            texts[n++] = (char)*c;
            continue;
        }
        size_t end = n + *c - 124, back = c[1] + 256u * c[2];
        for (; n < end; n++)
            texts[n] = texts[n - back];
        c += 2;
    }
    return texts;
}

/* That of a source among them; NULL: there is none of that name. */
static const char *text_of(const char *texts, const char *name)
{
    const char *const *s = mbr_cl_sources;
    for (; *s && strcmp(*s, name) != 0; s++)
        texts += strlen(texts) + 1;
    return *s ? texts : NULL;
}

static char *copy(mbr_memory *memory, const char *text)
{
    size_t n = strlen(text) + 1;
    char *c = mbr_alloc(memory, n);
    return c ? memcpy(c, text, n) : NULL;
}

/* A program of an earlier process; NULL: there is none that the driver takes. */
static cl_program from_store(mbr_cl_device *d, const mbr_cl_program *p, mbr_hash key)
{
    size_t bytes = 0;
    cl_int code;
    void *binary = mbr_cl_store_read(d, key, &bytes);
    if (!binary)
        return NULL;
    const unsigned char *data = binary;
    cl_program program = d->cl->clCreateProgramWithBinary(d->context, 1, &d->id, &bytes, &data, NULL, &code);
    if (program && d->cl->clBuildProgram(program, 1, &d->id, p->options, NULL, NULL) != CL_SUCCESS) {
        d->cl->clReleaseProgram(program);
        program = NULL;
    }
    mbr_free(d->memory, binary);
    return program;
}

static void to_store(mbr_cl_device *d, cl_program program, mbr_hash key)
{
    size_t bytes = 0;
    if (!d->folder || d->cl->clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) != CL_SUCCESS ||
        bytes == 0)
        return;
    unsigned char *data = mbr_alloc(d->memory, bytes);
    if (data && d->cl->clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof data, &data, NULL) == CL_SUCCESS)
        mbr_cl_store_write(d, key, data, bytes);
    mbr_free(d->memory, data);
}

/* Builds p->program, or says in p->why what the driver has against it. */
static void build(mbr_cl_device *d, mbr_cl_program *p, const char *texts[4])
{
    /* the compiler's own macro may be there where the device has no halves */
    const char *sources[4] = { d->f16 ? "#define F16\n" : "", texts[0], texts[1], texts[2] };
    cl_uint n = p->extra ? 4 : 3;
    cl_int code;
    mbr_hash key = mbr_cl_store_key(d, texts, 4);
    p->program = from_store(d, p, key);
    if (p->program)
        return;
    mbr_log_at(d->log, MBR_LOG_INFO, "%s: building %s.cl %s", d->label, p->name, p->options);
    cl_program program = d->cl->clCreateProgramWithSource(d->context, n, sources, NULL, &code);
    if (program && (code = d->cl->clBuildProgram(program, 1, &d->id, p->options, NULL, NULL)) == CL_SUCCESS) {
        p->program = program;
        to_store(d, program, key);
        return;
    }
    strcpy(p->why, mbr_cl_error_name(code));
    if (program) {
        char *said = mbr_calloc(d->memory, 1, 65536);
        if (said && d->cl->clGetProgramBuildInfo(program, d->id, CL_PROGRAM_BUILD_LOG, 65535, said, NULL) == CL_SUCCESS) {
            strncat(p->why, ": ", sizeof p->why - strlen(p->why) - 1);
            strncat(p->why, said, sizeof p->why - strlen(p->why) - 1);
            mbr_log_at(d->log, MBR_LOG_DEBUG, "%s.cl %s: %s", p->name, p->options, said);
        }
        mbr_free(d->memory, said);
        d->cl->clReleaseProgram(program);
    }
    mbr_log_at(d->log, MBR_LOG_WARNING, "%s: %s.cl does not build (%s); the CPU does what needs it", d->label, p->name,
               p->why);
}

static mbr_cl_program *find_program(const mbr_cl_device *d, const char *name, const char *extra, const char *options)
{
    for (mbr_cl_program *p = d->shared->programs; p; p = p->next)
        if (strcmp(p->name, name) == 0 && strcmp(p->options, options) == 0 && !p->extra == !extra &&
            (!extra || strcmp(p->extra, extra) == 0))
            return p;
    return NULL;
}

static mbr_cl_program *new_program(mbr_cl_device *d, const char *name, const char *extra, const char *options)
{
    mbr_cl_program *p = mbr_calloc(d->memory, 1, sizeof *p);
    if (!p)
        return NULL;
    p->name = name;
    p->extra = extra ? copy(d->memory, extra) : NULL;
    p->options = copy(d->memory, options);
    if (!p->options || (extra && !p->extra)) {
        free_program(d, p);
        return NULL;
    }
    char *all = all_texts(d->memory);
    const char *own = all ? text_of(all, name) : NULL;
    bool there = own != NULL;
    if (there)
        build(d, p, (const char *[4]){ text_of(all, "common"), own, p->extra, p->options });
    mbr_free(d->memory, all);
    if (!there) {
        free_program(d, p);
        return NULL;
    }
    p->next = d->shared->programs;
    d->shared->programs = p;
    return p;
}

mbr_status mbr_cl_program_get(mbr_cl_device *d, const char *name, const char *extra, const char *options,
                              cl_program *out, mbr_error *err)
{
    mbr_status st = MBR_OK;
    options = options ? options : "";
    lock(d->shared);
    mbr_cl_program *p = find_program(d, name, extra, options);
    if (!p)
        p = new_program(d, name, extra, options);
    if (!p)
        st = mbr_no_memory(err, sizeof *p);
    else if (!p->program)
        st = mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: %s.cl does not build: %s", d->label, name, p->why);
    else
        *out = p->program;
    unlock(d->shared);
    return st;
}

/* --- families --- */

bool mbr_cl_family_works(mbr_cl_device *d, const char *family)
{
    struct mbr_cl_shared *s = d->shared;
    size_t i = 0;
    if (d->testing)
        return strcmp(d->testing, family) == 0;
#ifndef MBR_NO_THREADS
    pthread_mutex_lock(&s->testing);
#endif
    while (i < s->n_families && strcmp(s->families[i].name, family) != 0)
        i++;
    bool works = i < s->n_families ? s->families[i].works : mbr_cl_family_passes(d, family);
    if (i == s->n_families && i < MOST_FAMILIES) {
        s->families[i].name = family;
        s->families[i].works = works;
        s->n_families++;
    }
#ifndef MBR_NO_THREADS
    pthread_mutex_unlock(&s->testing);
#endif
    return works;
}

/* --- data --- */

static size_t bucket_of(const void *key, unsigned slot)
{
    uintptr_t h = (uintptr_t)key >> 4;
    return (size_t)((h ^ h >> 12 ^ slot * 31u) % BUCKETS);
}

static mbr_status upload(mbr_cl_device *d, kept *k, mbr_status (*fill)(void *, void *, size_t, mbr_error *), void *user,
                         mbr_error *err)
{
    const mbr_cl *cl = d->cl;
    cl_int code;
    size_t bytes = k->bytes ? k->bytes : 1;
    k->mem = cl->clCreateBuffer(d->context, CL_MEM_READ_ONLY, bytes, NULL, &code);
    if (!k->mem)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: no room for %zu bytes of weights: %s", d->label, bytes,
                        mbr_cl_error_name(code));
    void *at = cl->clEnqueueMapBuffer(d->shared->queue, k->mem, CL_TRUE, CL_MAP_WRITE, 0, bytes, 0, NULL, NULL, &code);
    mbr_status st = at ? fill(user, at, k->bytes, err) :
                         mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: weights cannot be uploaded: %s", d->label,
                                  mbr_cl_error_name(code));
    if (at) {
        cl->clEnqueueUnmapMemObject(d->shared->queue, k->mem, at, 0, NULL, NULL);
        cl->clFinish(d->shared->queue);
    }
    if (st != MBR_OK)
        cl->clReleaseMemObject(k->mem);
    return st;
}

mbr_status mbr_cl_keep(mbr_cl_device *d, const void *owner, const void *key, unsigned slot, size_t bytes,
                       mbr_status (*fill)(void *user, void *to, size_t bytes, mbr_error *err), void *user,
                       cl_mem *out, mbr_error *err)
{
    mbr_status st = MBR_OK;
    struct mbr_cl_shared *s = d->shared;
    lock(s);
    kept **at = &s->kept[bucket_of(key, slot)], *k = *at;
    while (k && (k->owner != owner || k->key != key || k->slot != slot || k->bytes != bytes))
        k = k->next;
    if (!k) {
        k = mbr_calloc(d->memory, 1, sizeof *k);
        if (!k) {
            st = mbr_no_memory(err, sizeof *k);
        } else {
            *k = (kept){ .next = *at, .owner = owner, .key = key, .slot = slot, .bytes = bytes };
            st = upload(d, k, fill, user, err);
            if (st == MBR_OK)
                *at = k;
            else
                mbr_free(d->memory, k);
        }
    }
    if (st == MBR_OK)
        *out = k->mem;
    unlock(s);
    return st;
}

void mbr_cl_forget(mbr_cl_device *d, const void *owner)
{
    struct mbr_cl_shared *s = d->shared;
    lock(s);
    for (size_t b = 0; b < BUCKETS; b++)
        for (kept **at = &s->kept[b]; *at;) {
            kept *k = *at;
            if (owner && k->owner != owner) {
                at = &k->next;
                continue;
            }
            *at = k->next;
            d->cl->clReleaseMemObject(k->mem);
            mbr_free(d->memory, k);
        }
    unlock(s);
}

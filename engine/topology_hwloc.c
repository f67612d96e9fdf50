/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/schedule/machine.h"
#include "engine/topology.h"

#include <stddef.h>

#if defined(HAVE_HWLOC) && defined(HAVE_DLOPEN)
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The name that the library has since hwloc 2.0. */
#ifdef __APPLE__
#define HWLOC_FILE "libhwloc.15.dylib"
#else
#define HWLOC_FILE "libhwloc.so.15"
#endif

#define MOST_BYTES (64 << 20) /* of a file; a large machine's has less than one MiB */

/* What we call of it. The kinds of cores came with 2.4. */
#define CALLS(X)                                                                                                       \
    X(hwloc_topology_init) X(hwloc_topology_set_xml) X(hwloc_topology_set_synthetic) X(hwloc_topology_set_flags)       \
    X(hwloc_topology_load) X(hwloc_topology_destroy) X(hwloc_topology_get_allowed_cpuset) X(hwloc_get_type_depth)      \
    X(hwloc_get_nbobjs_by_depth) X(hwloc_get_obj_by_depth) X(hwloc_bitmap_isset) X(hwloc_bitmap_next)
#define LATER_CALLS(X) X(hwloc_cpukinds_get_by_cpuset) X(hwloc_cpukinds_get_info)

typedef struct calls {
#define MEMBER(name) __typeof__(&name) name;
    CALLS(MEMBER) LATER_CALLS(MEMBER)
} calls;

static bool open_library(calls *c, void **library)
{
    static const char names[] =
#define NAME(name) #name "\0"
        CALLS(NAME) LATER_CALLS(NAME);
    size_t i = 0, needed = 0;
#define COUNT(name) +1
    needed = 0 CALLS(COUNT);
    *library = dlopen(HWLOC_FILE, RTLD_NOW | RTLD_LOCAL);
    for (const char *name = names; *library && *name; name += strlen(name) + 1, i++) {
        void *at = dlsym(*library, name);
        if (!at && i < needed) {
            dlclose(*library);
            *library = NULL;
        }
        /* a pointer to a function from one to an object: POSIX has them of one form */
        memcpy((char *)c + i * sizeof at, &at, sizeof at);
    }
    return *library != NULL;
}

static bool is_synthetic(const char *description)
{
    return strchr(description, ':') && !strchr(description, '/') && !strstr(description, ".xml");
}

/* NULL: the description is none. */
static hwloc_topology_t load(const calls *c, const char *description, unsigned long flags)
{
    hwloc_topology_t t;
    int st = 0;
    if (c->hwloc_topology_init(&t) != 0)
        return NULL;
    if (description && is_synthetic(description))
        st = c->hwloc_topology_set_synthetic(t, description);
    else if (description)
        st = c->hwloc_topology_set_xml(t, description);
    if (st == 0 && c->hwloc_topology_set_flags(t, flags) == 0 && c->hwloc_topology_load(t) == 0)
        return t;
    c->hwloc_topology_destroy(t);
    return NULL;
}

/* hwloc reads whatever opens, to its end, and does not say why one does not. */
static mbr_status check_file(const char *path, mbr_error *err)
{
    struct stat s;
    if (is_synthetic(path))
        return MBR_OK;
    if (stat(path, &s) != 0)
        return mbr_fail(err, MBR_ERR_INPUT, "%s: %s", path, strerror(errno));
    if (!S_ISREG(s.st_mode) || s.st_size > MOST_BYTES)
        return mbr_fail(err, MBR_ERR_INPUT, "%s: this is no topology; `lstopo FILE.xml` writes one", path);
    return MBR_OK;
}

/* hwloc trusts a file to be one of its own: whatever another one does to it, it does to a child of ours. */
static bool is_sound(const calls *c, const char *description)
{
    int ends[2];
    char answer;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return true;
    pid_t child = fork();
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL); /* the process's own may hold the alarm back */
        signal(SIGALRM, SIG_DFL);
        alarm(10);
        if (load(c, description, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED))
            (void)!write(ends[1], "", 1);
        _exit(0);
    }
    close(ends[1]);
    ssize_t got = 0; /* its status may be gone: a process that ignores SIGCHLD gets none */
    while (child > 0 && (got = read(ends[0], &answer, 1)) < 0 && errno == EINTR)
        continue;
    close(ends[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    return child < 0 || got == 1; /* where nobody can be sent ahead, it is tried all the same */
}

int mbr_topology_hwloc(const char *description)
{
    calls c;
    void *library;
    int cores = 0;
    if (!open_library(&c, &library))
        return 0;
    bool sound = !description || (check_file(description, NULL) == MBR_OK && is_sound(&c, description));
    hwloc_topology_t t = sound ? load(&c, description, 0) : NULL;
    if (t) {
        int depth = c.hwloc_get_type_depth(t, HWLOC_OBJ_CORE);
        if (depth < 0)
            depth = c.hwloc_get_type_depth(t, HWLOC_OBJ_PU);
        cores = depth < 0 ? 0 : (int)c.hwloc_get_nbobjs_by_depth(t, depth);
        c.hwloc_topology_destroy(t);
    }
    dlclose(library);
    return cores;
}

/* --- machines --- */

typedef struct reader {
    calls c;
    hwloc_topology_t t;
    mbr_machine *m;
    hwloc_const_bitmap_t allowed;
    bool here; /* this process's mask counts */
} reader;

/* The i-th object of a type; NULL: there are no more, or none at all. */
static hwloc_obj_t object(const reader *r, hwloc_obj_type_t type, unsigned i)
{
    int depth = r->c.hwloc_get_type_depth(r->t, type);
    if (depth == HWLOC_TYPE_DEPTH_UNKNOWN || depth == HWLOC_TYPE_DEPTH_MULTIPLE)
        return NULL;
    return r->c.hwloc_get_obj_by_depth(r->t, depth, i);
}

/* Which object of a type has the processor; 0 where none has. */
static int holder(const reader *r, hwloc_obj_type_t type, unsigned cpu)
{
    hwloc_obj_t o;
    for (unsigned i = 0; (o = object(r, type, i)); i++)
        if (o->cpuset && r->c.hwloc_bitmap_isset(o->cpuset, cpu))
            return (int)i;
    return 0;
}

static size_t cache_bytes(const reader *r, hwloc_obj_type_t type)
{
    hwloc_obj_t o = object(r, type, 0);
    return o && o->attr ? (size_t)o->attr->cache.size : 0;
}

/* Kinds come from hwloc in rising order of what they do; ours fall. */
static void set_kind(const reader *r, hwloc_obj_t core, mbr_core *to)
{
    struct hwloc_info_s *infos = NULL;
    unsigned n = 0;
    int efficiency = -1, kind;
    double capacity = 0, megahertz = 0;
    to->speed = 1;
    if (!r->c.hwloc_cpukinds_get_by_cpuset || !r->c.hwloc_cpukinds_get_info)
        return;
    kind = r->c.hwloc_cpukinds_get_by_cpuset(r->t, core->cpuset, 0);
    if (kind < 0 || r->c.hwloc_cpukinds_get_info(r->t, (unsigned)kind, NULL, &efficiency, &n, &infos, 0) != 0 ||
        efficiency < 0)
        return;
    bool slow = false;
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(infos[i].name, "LinuxCapacity") == 0)
            capacity = atof(infos[i].value);
        else if (strcmp(infos[i].name, "FrequencyMaxMHz") == 0)
            megahertz = atof(infos[i].value);
        else if (strcmp(infos[i].name, "CoreType") == 0)
            slow = strcmp(infos[i].value, "IntelAtom") == 0;
    }
    to->kind = 1000 - efficiency;
    if (capacity > 0)
        to->speed = capacity;
    else if (megahertz > 0)
        to->speed = megahertz * (slow ? MBR_SLOW_CORE : 1);
    else if (slow)
        to->speed = MBR_SLOW_CORE;
}

static mbr_status add_cores(mbr_memory *memory, reader *r, mbr_error *err)
{
    hwloc_obj_t core;
    hwloc_obj_type_t type = object(r, HWLOC_OBJ_CORE, 0) ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    hwloc_obj_type_t last = object(r, HWLOC_OBJ_L3CACHE, 0) ? HWLOC_OBJ_L3CACHE : HWLOC_OBJ_PACKAGE;
    for (unsigned i = 0; (core = object(r, type, i)); i++) {
        mbr_core to = { .cpu = -1 };
        r->m->all_cores++;
        for (int cpu = r->c.hwloc_bitmap_next(core->cpuset, -1); cpu >= 0;
             cpu = r->c.hwloc_bitmap_next(core->cpuset, cpu)) {
            if (!r->c.hwloc_bitmap_isset(r->allowed, (unsigned)cpu) || (r->here && !mbr_topology_allows(cpu)))
                continue;
            to.cpu = to.threads++ ? to.cpu : cpu;
        }
        if (!to.threads)
            continue;
        to.package = holder(r, HWLOC_OBJ_PACKAGE, (unsigned)to.cpu);
        to.node = holder(r, HWLOC_OBJ_NUMANODE, (unsigned)to.cpu) % MBR_MACHINE_NODES;
        to.group = holder(r, last, (unsigned)to.cpu);
        set_kind(r, core, &to);
        MBR_TRY(mbr_machine_add(memory, r->m, &to, err));
    }
    return MBR_OK;
}

bool mbr_machine_from_hwloc(mbr_memory *memory, const char *description, mbr_machine *m, mbr_status *st, mbr_error *err)
{
    reader r = { .m = m, .here = !description };
    void *library;
    if (!open_library(&r.c, &library))
        return false;
    *st = description ? check_file(description, err) : MBR_OK;
    if (*st != MBR_OK) {
        dlclose(library);
        return true;
    }
    bool sound = !description || is_sound(&r.c, description);
    r.t = sound ? load(&r.c, description, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) : NULL;
    if (!r.t) {
        *st = mbr_fail(err, MBR_ERR_INPUT, "%s: this is no topology; `lstopo FILE.xml` writes one",
                       description ? description : "machine");
    } else {
        r.allowed = r.c.hwloc_topology_get_allowed_cpuset(r.t);
        snprintf(m->source, sizeof m->source, "%s", description ? "described" : "hwloc");
        m->l2 = cache_bytes(&r, HWLOC_OBJ_L2CACHE);
        m->l3 = cache_bytes(&r, HWLOC_OBJ_L3CACHE);
        *st = add_cores(memory, &r, err);
        r.c.hwloc_topology_destroy(r.t);
    }
    dlclose(library);
    return true;
}
#else
int mbr_topology_hwloc(const char *description)
{
    (void)description;
    return 0;
}

bool mbr_machine_from_hwloc(mbr_memory *memory, const char *description, mbr_machine *m, mbr_status *st, mbr_error *err)
{
    (void)memory;
    (void)description;
    (void)m;
    (void)st;
    (void)err;
    return false;
}
#endif

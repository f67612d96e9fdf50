/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/topology.h"

#include <stddef.h>

#if defined(HAVE_HWLOC) && defined(HAVE_DLOPEN)
#include <dlfcn.h>
#include <hwloc.h>
#include <string.h>

/* The name that the library has since hwloc 2.0. */
#ifdef __APPLE__
#define HWLOC_FILE "libhwloc.15.dylib"
#else
#define HWLOC_FILE "libhwloc.so.15"
#endif

/* What we call of it. */
typedef struct hwloc_calls {
    int (*init)(hwloc_topology_t *topology);
    int (*set_xml)(hwloc_topology_t topology, const char *path);
    int (*set_synthetic)(hwloc_topology_t topology, const char *description);
    int (*load)(hwloc_topology_t topology);
    int (*type_depth)(hwloc_topology_t topology, hwloc_obj_type_t type);
    unsigned (*count)(hwloc_topology_t topology, int depth);
    void (*destroy)(hwloc_topology_t topology);
} hwloc_calls;

/* A pointer to a function from one to an object: POSIX has them of one form. */
static int find(void *library, const char *name, void *call)
{
    void *at = dlsym(library, name);
    memcpy(call, &at, sizeof at);
    return at != NULL;
}

static int find_all(void *library, hwloc_calls *c)
{
    return find(library, "hwloc_topology_init", &c->init) && find(library, "hwloc_topology_set_xml", &c->set_xml) &&
           find(library, "hwloc_topology_set_synthetic", &c->set_synthetic) &&
           find(library, "hwloc_topology_load", &c->load) && find(library, "hwloc_get_type_depth", &c->type_depth) &&
           find(library, "hwloc_get_nbobjs_by_depth", &c->count) &&
           find(library, "hwloc_topology_destroy", &c->destroy);
}

static int count_cores(const hwloc_calls *c, const char *description)
{
    hwloc_topology_t topology;
    int cores = 0;
    if (c->init(&topology) != 0)
        return 0;
    int st = 0;
    if (description && strchr(description, ':') && !strchr(description, '/'))
        st = c->set_synthetic(topology, description);
    else if (description)
        st = c->set_xml(topology, description);
    if (st == 0 && c->load(topology) == 0) {
        int depth = c->type_depth(topology, HWLOC_OBJ_CORE);
        if (depth < 0)
            depth = c->type_depth(topology, HWLOC_OBJ_PU);
        cores = depth < 0 ? 0 : (int)c->count(topology, depth);
    }
    c->destroy(topology);
    return cores;
}

int mbr_topology_hwloc(const char *description)
{
    hwloc_calls calls;
    void *library = dlopen(HWLOC_FILE, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return 0;
    int cores = find_all(library, &calls) ? count_cores(&calls, description) : 0;
    dlclose(library);
    return cores;
}
#else
int mbr_topology_hwloc(const char *description)
{
    (void)description;
    return 0;
}
#endif

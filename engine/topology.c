/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/topology.h"
#include "engine/schedule/machine.h"
#include "kernels/cpu.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a small system file as text; the empty string when it is not there. */
static void read_text(const char *path, char *text, size_t size)
{
    text[0] = '\0';
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    size_t n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    fclose(f);
}

static int quota_of(double quota, double period, int cores)
{
    if (quota <= 0 || period <= 0)
        return cores;
    double whole = quota / period;
    int allowed = (int)whole + (whole > (int)whole);
    return allowed < 1 ? 1 : allowed < cores ? allowed : cores;
}

int mbr_topology_quota(int cores)
{
    return mbr_topology_quota_in("", cores);
}

/* Of this process's cgroup and of all above it (version 2), or of the controller (version 1). */
int mbr_topology_quota_in(const char *root, int cores)
{
    char own[512], path[1024], text[128];
    double quota, period;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    read_text(path, own, sizeof own);
    char *v2 = strstr(own, "0::/");
    if (v2) {
        v2 += 3;
        v2[strcspn(v2, "\n")] = '\0';
        for (;;) {
            snprintf(path, sizeof path, "%s/sys/fs/cgroup%s/cpu.max", root, strcmp(v2, "/") == 0 ? "" : v2);
            read_text(path, text, sizeof text);
            if (sscanf(text, "%lf %lf", &quota, &period) == 2)
                cores = quota_of(quota, period, cores);
            char *slash = strrchr(v2, '/');
            if (!slash || slash[1] == '\0')
                break;
            slash[slash == v2] = '\0';
        }
    }
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu/cpu.cfs_quota_us", root);
    read_text(path, text, sizeof text);
    if (sscanf(text, "%lf", &quota) == 1) {
        snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu/cpu.cfs_period_us", root);
        read_text(path, text, sizeof text);
        if (sscanf(text, "%lf", &period) == 1)
            cores = quota_of(quota, period, cores);
    }
    return cores;
}

#ifdef __linux__
bool mbr_topology_allows(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof set, &set) != 0 || CPU_ISSET(cpu, &set);
}

/* Is `cpu` in a list of the system's, "0-3,8"? */
static bool in_list(const char *at, int cpu)
{
    while (*at) {
        int from, to, used = 0;
        if (sscanf(at, "%d-%d%n", &from, &to, &used) != 2 || !used) {
            if (sscanf(at, "%d%n", &from, &used) != 1 || !used)
                return false;
            to = from;
        }
        if (cpu >= from && cpu <= to)
            return true;
        at += used + (at[used] == ',');
    }
    return false;
}

static int read_number(const char *format, int cpu, int otherwise)
{
    char path[128], text[32];
    snprintf(path, sizeof path, format, cpu);
    read_text(path, text, sizeof text);
    int number;
    return sscanf(text, "%d", &number) == 1 ? number : otherwise;
}

/* The lowest of the processors that share something with this one, itself where the system does not tell. */
static int first_of(const char *format, int cpu)
{
    char path[128], text[256];
    snprintf(path, sizeof path, format, cpu);
    read_text(path, text, sizeof text);
    int first = atoi(text);
    return *text && in_list(text, cpu) ? first : cpu;
}

/*
 * Cores of the mask: of processors that share a core only the first counts, since the second one's share of the
 * arithmetic is what the first would have had. Where the system does not tell, each counts.
 */
static int mask_cores(cpu_set_t *set)
{
    int cores = 0;
    CPU_ZERO(set);
    if (sched_getaffinity(0, sizeof *set, set) != 0)
        return 0;
    cpu_set_t mask = *set;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        char path[96], text[256];
        if (!CPU_ISSET(cpu, &mask))
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        read_text(path, text, sizeof text);
        for (int other = 0; *text && other < cpu; other++)
            if (CPU_ISSET(other, &mask) && in_list(text, other))
                CPU_CLR(cpu, set);
        cores += CPU_ISSET(cpu, set) != 0;
    }
    return cores;
}

mbr_status mbr_machine_from_system(mbr_memory *memory, mbr_machine *m, mbr_error *err)
{
    cpu_set_t set;
    char atoms[256], list[256], path[96];
    mbr_cpu_caches caches = mbr_cpu_caches_get();
    snprintf(m->source, sizeof m->source, "system");
    m->l2 = caches.l2;
    m->l3 = caches.l3;
    m->all_cores = mask_cores(&set);
    read_text("/sys/devices/cpu_atom/cpus", atoms, sizeof atoms);
    for (int cpu = 0; m->all_cores > 0 && cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set))
            continue;
        mbr_core core = { .cpu = cpu, .threads = 1, .speed = 1 };
        core.package = read_number("/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu, 0);
        core.package = core.package < 0 ? 0 : core.package;
        core.group = first_of("/sys/devices/system/cpu/cpu%d/cache/index3/shared_cpu_list", cpu);
        int capacity = read_number("/sys/devices/system/cpu/cpu%d/cpu_capacity", cpu, 0);
        bool slow = *atoms && in_list(atoms, cpu);
        core.kind = capacity > 0 ? 1024 - (capacity < 1024 ? capacity : 1024) : slow;
        core.speed = capacity > 0 ? capacity / 1024.0 : slow ? MBR_SLOW_CORE : 1;
        for (int node = 0; node < MBR_MACHINE_NODES; node++) {
            snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", node);
            read_text(path, list, sizeof list);
            if (*list && in_list(list, cpu))
                core.node = node;
        }
        MBR_TRY(mbr_machine_add(memory, m, &core, err));
    }
    return MBR_OK;
}
#else
bool mbr_topology_allows(int cpu)
{
    (void)cpu;
    return true;
}

mbr_status mbr_machine_from_system(mbr_memory *memory, mbr_machine *m, mbr_error *err)
{
    mbr_cpu_caches caches = mbr_cpu_caches_get();
    snprintf(m->source, sizeof m->source, "system");
    m->l2 = caches.l2;
    m->l3 = caches.l3;
    for (int cpu = 0, n = mbr_topology_cores(); cpu < n; cpu++)
        MBR_TRY(mbr_machine_add(memory, m, &(mbr_core){ .cpu = cpu, .threads = 1, .speed = 1 }, err));
    return MBR_OK;
}
#endif

int mbr_topology_cores(void)
{
    const char *other = getenv("MBR_TOPOLOGY");
    int cores = other && *other ? mbr_topology_hwloc(other) : 0;
    if (cores > 0)
        return cores;
#ifdef __linux__
    cpu_set_t set;
    cores = mask_cores(&set);
#else
    cores = mbr_topology_hwloc(NULL);
#endif
    if (cores < 1) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        cores = online < 1 ? 1 : (int)online;
    }
    return mbr_topology_quota(cores);
}

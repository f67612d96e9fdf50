/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/topology.h"

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

/* The quota of this process's cgroup and of all above it (version 2), or of the controller (version 1). */
static int cgroup_cores(int cores)
{
    char own[512], path[640], text[128];
    double quota, period;
    read_text("/proc/self/cgroup", own, sizeof own);
    char *v2 = strstr(own, "0::/");
    if (v2) {
        v2 += 3;
        v2[strcspn(v2, "\n")] = '\0';
        for (;;) {
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", strcmp(v2, "/") == 0 ? "" : v2);
            read_text(path, text, sizeof text);
            if (sscanf(text, "%lf %lf", &quota, &period) == 2)
                cores = quota_of(quota, period, cores);
            char *slash = strrchr(v2, '/');
            if (!slash || slash[1] == '\0')
                break;
            slash[slash == v2] = '\0';
        }
    }
    read_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, sizeof text);
    if (sscanf(text, "%lf", &quota) == 1) {
        read_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", text, sizeof text);
        if (sscanf(text, "%lf", &period) == 1)
            cores = quota_of(quota, period, cores);
    }
    return cores;
}

/*
 * Cores of the mask: of processors that share a core only the first counts, since the second one's share of the
 * arithmetic is what the first would have had. Where the system does not tell, each counts.
 */
#ifdef __linux__
static int mask_cores(void)
{
    cpu_set_t set;
    int cores = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        char path[96], text[256];
        if (!CPU_ISSET(cpu, &set))
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        read_text(path, text, sizeof text);
        bool first = true;
        for (const char *at = text; *at && first;) { /* "0,4" or "0-1" */
            int from, to, used = 0;
            if (sscanf(at, "%d-%d%n", &from, &to, &used) != 2 || !used) {
                if (sscanf(at, "%d%n", &from, &used) != 1 || !used)
                    break;
                to = from;
            }
            for (int other = from; other <= to && other < cpu; other++)
                first = first && (other < 0 || !CPU_ISSET(other, &set));
            at += used + (at[used] == ',');
        }
        cores += first;
    }
    return cores;
}
#endif

int mbr_topology_cores(void)
{
    const char *other = getenv("MBR_TOPOLOGY");
    int cores = other && *other ? mbr_topology_hwloc(other) : 0;
    if (cores > 0)
        return cores;
#ifdef __linux__
    cores = mask_cores();
#else
    cores = mbr_topology_hwloc(NULL);
#endif
    if (cores < 1) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        cores = online < 1 ? 1 : (int)online;
    }
    return cgroup_cores(cores);
}

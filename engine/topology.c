/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/topology.h"

#include <sched.h>
#include <stdio.h>
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

int mbr_topology_cores(void)
{
    int cores = 0;
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cores = CPU_COUNT(&set);
#endif
    if (cores < 1) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        cores = online < 1 ? 1 : (int)online;
    }
    return cgroup_cores(cores);
}

void mbr_topology_caches(mbr_caches *caches)
{
    memset(caches, 0, sizeof *caches);
    for (int i = 0; i < 8; i++) {
        char path[96], text[32], unit = 'K';
        unsigned level = 0;
        unsigned long size = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        read_text(path, text, sizeof text);
        if (sscanf(text, "%u", &level) != 1)
            break;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i);
        read_text(path, text, sizeof text);
        if (strncmp(text, "Instruction", 11) == 0)
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        read_text(path, text, sizeof text);
        if (sscanf(text, "%lu%c", &size, &unit) < 1)
            continue;
        size_t bytes = (size_t)size * (unit == 'M' ? 1024 * 1024 : 1024);
        if (level == 1)
            caches->l1 = bytes;
        else if (level == 2)
            caches->l2 = bytes;
        else if (level == 3)
            caches->l3 = bytes;
    }
}

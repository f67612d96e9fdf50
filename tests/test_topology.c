/* SPDX-License-Identifier: BSD-2-Clause */
/* How many cores the team gets: this machine's mask, and other machines as hwloc describes them. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/schedule/machine.h"
#include "engine/team.h"
#include "engine/topology.h"

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void teardown(void)
{
    unsetenv("MBR_TOPOLOGY");
}

START_TEST(one_core_of_the_mask)
{
    cpu_set_t before, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    int all = mbr_topology_cores(), first = 0;
    ck_assert_int_ge(all, 1);
    ck_assert_int_le(all, CPU_COUNT(&before));
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_int_eq(mbr_topology_cores(), 1);
    mbr_memory memory;
    mbr_machine machine;
    mbr_team *team = NULL;
    mbr_memory_init(&memory);
    ck_assert_int_eq(mbr_team_new(&memory, 0, &team, NULL), MBR_OK); /* as many as allowed */
    ck_assert_int_eq(mbr_team_size(team), 1);
    mbr_team_free(team);
    ck_assert_int_eq(mbr_machine_read(&memory, NULL, &machine, NULL), MBR_OK);
    ck_assert_int_eq(mbr_machine_threads(&machine), 1);
    mbr_machine_free(&memory, &machine);
    ck_assert_int_eq(sched_setaffinity(0, sizeof before, &before), 0);
    ck_assert_int_eq(mbr_topology_cores(), all);
}
END_TEST

/* A file of a system that lies in a folder; its folders are made. */
static void put(const char *root, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

/* What a cgroup grants caps the cores: its own quota and those above it, in whole cores; files that say nothing do not. */
START_TEST(quotas)
{
    char root[] = "topology-XXXXXX", command[64];
    ck_assert_ptr_nonnull(mkdtemp(root));
    ck_assert_int_eq(mbr_topology_quota_in(root, 8), 8);
    put(root, "/proc/self/cgroup", "0::/outer/inner\n");
    ck_assert_int_eq(mbr_topology_quota_in(root, 8), 8);
    put(root, "/sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
    ck_assert_int_eq(mbr_topology_quota_in(root, 8), 8);
    put(root, "/sys/fs/cgroup/outer/inner/cpu.max", "250000 100000\n");
    ck_assert_int_eq(mbr_topology_quota_in(root, 8), 3);
    ck_assert_int_eq(mbr_topology_quota_in(root, 2), 2);
    put(root, "/sys/fs/cgroup/outer/cpu.max", "100000 100000\n");
    ck_assert_int_eq(mbr_topology_quota_in(root, 8), 1);
    put(root, "/sys/fs/cgroup/outer/cpu.max", "0 0\n");
    put(root, "/sys/fs/cgroup/outer/inner/cpu.max", "1000 100000\n");
    ck_assert_int_eq(mbr_topology_quota_in(root, 8), 1);
    put(root, "/proc/self/cgroup", "0::/\n");
    put(root, "/sys/fs/cgroup/cpu.max", "200000 100000\n");
    ck_assert_int_eq(mbr_topology_quota_in(root, 8), 2);
    put(root, "/proc/self/cgroup", "4:cpu,cpuacct:/\n"); /* version 1 */
    ck_assert_int_eq(mbr_topology_quota_in(root, 8), 8);
    put(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put(root, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    ck_assert_int_eq(mbr_topology_quota_in(root, 8), 8);
    put(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n");
    ck_assert_int_eq(mbr_topology_quota_in(root, 8), 2);
    snprintf(command, sizeof command, "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(a_description_that_makes_no_sense)
{
    int here = mbr_topology_cores();
    setenv("MBR_TOPOLOGY", "package:x core:", 1);
    ck_assert_int_eq(mbr_topology_cores(), here);
    setenv("MBR_TOPOLOGY", "/there/is/no/such/file.xml", 1);
    ck_assert_int_eq(mbr_topology_cores(), here);
    setenv("MBR_TOPOLOGY", "", 1);
    ck_assert_int_eq(mbr_topology_cores(), here);
}
END_TEST

#if defined(HAVE_HWLOC) && defined(HAVE_DLOPEN)
START_TEST(other_machines)
{
    static const struct {
        const char *text;
        int cores;
    } machines[] = {
        { "package:2 core:4 pu:2", 8 },
        { "package:1 l3:8 core:8 pu:2", 64 },
        { "core:3 pu:1", 3 },
        { "pu:5", 5 },
    };
    if (mbr_topology_hwloc("pu:1") == 0)
        return; /* built with its header, runs without the library */
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        setenv("MBR_TOPOLOGY", machines[i].text, 1);
        ck_assert_int_eq(mbr_topology_cores(), machines[i].cores);
    }
    ck_assert_int_ge(mbr_topology_hwloc(NULL), 1);
}
END_TEST
#endif

int main(void)
{
    Suite *s = suite_create("topology");
    TCase *t = tcase_create("topology");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, one_core_of_the_mask);
    tcase_add_test(t, quotas);
    tcase_add_test(t, a_description_that_makes_no_sense);
#if defined(HAVE_HWLOC) && defined(HAVE_DLOPEN)
    tcase_add_test(t, other_machines);
#endif
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}

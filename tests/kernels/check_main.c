/* SPDX-License-Identifier: BSD-2-Clause */
/* check-kernels [--seed N] [--family NAME] [--filter TEXT] [--cpu TIER] [--list-kernels] [--verbose] */
#include "tests/kernels/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int usage(void)
{
    fprintf(stderr, "usage: check-kernels [--seed N] [--family NAME] [--filter TEXT] [--cpu TIER] [--list-kernels] "
                    "[--verbose]\n");
    return 2;
}

int main(int argc, char **argv)
{
    const char *family = NULL, *cpu = NULL;
    const char *seed = getenv("MBR_TEST_SEED");
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--list-kernels"))
            check_opt.list = true;
        else if (!strcmp(argv[i], "--verbose"))
            check_opt.verbose = true;
        else if (!value)
            return usage();
        else if (!strcmp(argv[i], "--seed"))
            seed = argv[++i];
        else if (!strcmp(argv[i], "--family"))
            family = argv[++i];
        else if (!strcmp(argv[i], "--filter"))
            check_opt.filter = argv[++i];
        else if (!strcmp(argv[i], "--cpu"))
            cpu = argv[++i];
        else
            return usage();
    }
    check_opt.seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    if (cpu) {
        mbr_cpu_tier tier = mbr_cpu_tier_from_name(cpu);
        if (tier == MBR_TIER_COUNT || !(mbr_cpu_tiers() & MBR_TIER_BIT(tier))) {
            fprintf(stderr, "check-kernels: this machine has no tier '%s'\n", cpu);
            return tier == MBR_TIER_COUNT ? 2 : 77;
        }
        mbr_cpu_set_mask(mbr_cpu_tiers_up_to(tier));
    }
    if (!check_opt.list)
        printf("seed %" PRIu64 ", best tier %s\n", check_opt.seed, mbr_cpu_tier_name(mbr_cpu_tier_best()));
    for (size_t i = 0; i < check_family_count; i++)
        if (!family || !strcmp(family, check_families[i].name))
            check_families[i].check();
    return check_opt.list ? 0 : check_summary();
}

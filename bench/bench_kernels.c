/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-kernels [--seconds S] [--filter TEXT] [--cpu TIER] FILE...
 * Times every kernel of a family on the shapes of each file: one shape a line, the family's name and key=value pairs;
 * # begins a comment. The figure is the best of many runs: on a shared machine, 3 % is noise. Begins with the machine's
 * own limits (fused multiply-adds of one core, bytes read), so that a figure can be read as a share of them.
 */
#include "bench/peak.h"
#include "tests/kernels/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
    fprintf(stderr, "usage: bench-kernels [--seconds S] [--filter TEXT] [--cpu TIER] FILE...\n");
    return 2;
}

static int bench_file(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "bench-kernels: cannot open %s\n", path);
        return 2;
    }
    char line[512];
    int rc = 0;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "#\n")] = '\0';
        bench_shape shape = {.family = ""};
        if (sscanf(line, "%31s %255[^\n]", shape.family, shape.text) < 1)
            continue;
        size_t i = 0;
        while (i < check_family_count && strcmp(shape.family, check_families[i].name) != 0)
            i++;
        if (i == check_family_count) {
            fprintf(stderr, "bench-kernels: %s: no family '%s'\n", path, shape.family);
            rc = 2;
            break;
        }
        check_families[i].bench(&shape);
    }
    fclose(f);
    return rc;
}

int main(int argc, char **argv)
{
    int i = 1;
    for (; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
        if (!strcmp(argv[i], "--seconds"))
            check_opt.bench_seconds = strtod(argv[i + 1], NULL);
        else if (!strcmp(argv[i], "--filter"))
            check_opt.filter = argv[i + 1];
        else if (!strcmp(argv[i], "--cpu") && mbr_cpu_tier_from_name(argv[i + 1]) != MBR_TIER_COUNT)
            mbr_cpu_set_mask(mbr_cpu_tiers_up_to(mbr_cpu_tier_from_name(argv[i + 1])));
        else
            return usage();
    }
    if (i >= argc || !strncmp(argv[i], "--", 2))
        return usage();
    bench_print_peaks();
    for (; i < argc; i++) {
        int rc = bench_file(argv[i]);
        if (rc)
            return rc;
    }
    return 0;
}

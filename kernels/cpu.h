/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the processor can run: a few named tiers (cpu.def), found from CPUID, XCR0 and the auxiliary vector, never
 * from a family or model number, so that an unknown newer processor gets the best tier that it can run.
 *
 *   avx2        AVX2, FMA, F16C
 *   avx512      F, BW, DQ, VL, CD as one bundle
 *   avx512vnni  and 8-bit dot products
 *   avx512bf16  and bfloat16 dot products
 *   amx         and tile registers with 8-bit products (AMX-TILE, AMX-INT8), of which Linux asks that a process wants
 *               them: that is done once, when the tiers are found, unless MBR_CPU hides the tier
 *   neon        Advanced SIMD with half conversions (every ARMv8-A)
 *   dotprod     and 8-bit dot products
 *   i8mm        and 8-bit matrix products
 *
 * The environment variable MBR_CPU holds the name of a tier and hides every stronger one ("base" hides all). It is
 * read once. An unknown name is ignored.
 */
#ifndef MBR_KERNELS_CPU_H
#define MBR_KERNELS_CPU_H

#include <stdbool.h>

#if defined(__x86_64__) || defined(_M_X64)
#define MBR_ARCH_X86 1
#define MBR_ARCH_ARM 0
#elif defined(__aarch64__)
#define MBR_ARCH_X86 0
#define MBR_ARCH_ARM 1
#else
#define MBR_ARCH_X86 0
#define MBR_ARCH_ARM 0
#endif

/* Which tiers are compiled in: configure says it on the command line; without it, all of the architecture. */
#ifndef MBR_WITH_AVX2
#define MBR_WITH_AVX2 MBR_ARCH_X86
#endif
#ifndef MBR_WITH_AVX512
#define MBR_WITH_AVX512 MBR_ARCH_X86
#endif
#ifndef MBR_WITH_AVX512VNNI
#define MBR_WITH_AVX512VNNI MBR_ARCH_X86
#endif
#ifndef MBR_WITH_AVX512BF16
#define MBR_WITH_AVX512BF16 MBR_ARCH_X86
#endif
#ifndef MBR_WITH_AMX
#define MBR_WITH_AMX MBR_ARCH_X86
#endif
#ifndef MBR_WITH_NEON
#define MBR_WITH_NEON MBR_ARCH_ARM
#endif
#ifndef MBR_WITH_DOTPROD
#define MBR_WITH_DOTPROD MBR_ARCH_ARM
#endif
#ifndef MBR_WITH_I8MM
#define MBR_WITH_I8MM MBR_ARCH_ARM
#endif

typedef enum mbr_cpu_tier {
#define TIER(id, name, architecture, built) MBR_TIER_##id,
#include "kernels/cpu.def"
#undef TIER
    MBR_TIER_COUNT
} mbr_cpu_tier;

/* Sets of tiers. */
#define MBR_TIER_BIT(tier) (1u << (tier))
#define MBR_TIERS_ALL ((1u << MBR_TIER_COUNT) - 1)

/* The tiers that this machine runs, that are built in, and that MBR_CPU and the mask leave. BASE is always in. Any
 * thread. */
unsigned mbr_cpu_tiers(void);

/* The strongest of them. */
mbr_cpu_tier mbr_cpu_tier_best(void);

/* Lowers the set for tests and tools: what the machine has, less what is not in the mask (MBR_TIERS_ALL: everything,
 * MBR_CPU included). Not to be called while another thread chooses kernels. */
void mbr_cpu_set_mask(unsigned tiers);

/* "avx2"; the tier of a name, or MBR_TIER_COUNT. */
const char *mbr_cpu_tier_name(mbr_cpu_tier tier);
mbr_cpu_tier mbr_cpu_tier_from_name(const char *name);

/* The tier itself and the weaker ones of its architecture. */
unsigned mbr_cpu_tiers_up_to(mbr_cpu_tier tier);

/* What a processor has but does slowly: facts that choose between kernels, not whether they run. */
typedef struct mbr_cpu_quirks {
    bool slow_gather; /* a vector gather costs more than loading the elements one by one */
} mbr_cpu_quirks;

mbr_cpu_quirks mbr_cpu_quirks_get(void);

/* Sizes in bytes of one core's view of the caches; 0 where unknown. */
typedef struct mbr_cpu_caches {
    unsigned l1d, l2, l3;
} mbr_cpu_caches;

/*
 * As CPUID tells them (x86), or unknown; read once, and what MBR_CPU_CACHES says in their place: "48k,2m,30m", a size
 * left out or 0 where it is unknown. A virtual machine may have been told of caches that it shares with others, and a plan for
 * another machine is cut for that one's. Text that is no such list is ignored. Any thread.
 */
mbr_cpu_caches mbr_cpu_caches_get(void);

#endif

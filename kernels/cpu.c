/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* syscall */
#endif
#include "kernels/cpu.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if MBR_ARCH_X86
#include <cpuid.h>
#ifdef HAVE_SYS_PLATFORM_X86_H
#include <sys/platform/x86.h>
#endif
#ifdef CPU_FEATURE_ACTIVE /* the first header of that name, of glibc 2.33, calls it otherwise */
#define LIBC_KNOWS 1
#else
#define LIBC_KNOWS 0
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif MBR_ARCH_ARM && defined(__linux__)
#include <sys/auxv.h>
#endif

#define KNOWN 0x80000000u /* set in a cached word once it has been computed */

static atomic_uint found_tiers;          /* what the machine and MBR_CPU leave, with KNOWN */
static atomic_uint mask = MBR_TIERS_ALL; /* mbr_cpu_set_mask */

static const struct {
    const char *name;
    bool x86, arm, built;
} tiers[MBR_TIER_COUNT] = {
#define any 1, 1
#define x86 1, 0
#define arm 0, 1
#define TIER(id, name, architecture, built) {name, architecture, built},
#include "kernels/cpu.def"
#undef TIER
#undef any
#undef x86
#undef arm
};

#if MBR_ARCH_X86 && LIBC_KNOWS
/* The library's own macro does this with a shift into the sign bit, of which a sanitizer complains. */
static bool active(unsigned feature)
{
    const struct cpuid_feature *leaf = __x86_get_cpuid_feature_leaf(feature / 128);
    return leaf->active_array[feature % 128 / 32] >> feature % 32 & 1;
}

/* What the C library found when the program started: in a virtual machine each CPUID is a trap of 5 to 70 us. */
static unsigned detect(void)
{
    unsigned have = MBR_TIER_BIT(MBR_TIER_BASE);
#define HAS(feature) active(x86_cpu_##feature)
    if (!(HAS(AVX) && HAS(AVX2) && HAS(FMA) && HAS(F16C) && HAS(BMI1) && HAS(BMI2)))
        return have;
    have |= MBR_TIER_BIT(MBR_TIER_AVX2);
    if (!(HAS(AVX512F) && HAS(AVX512BW) && HAS(AVX512DQ) && HAS(AVX512VL) && HAS(AVX512CD)))
        return have;
    have |= MBR_TIER_BIT(MBR_TIER_AVX512);
    if (!HAS(AVX512_VNNI))
        return have;
    have |= MBR_TIER_BIT(MBR_TIER_AVX512VNNI);
    if (!HAS(AVX512_BF16))
        return have;
    have |= MBR_TIER_BIT(MBR_TIER_AVX512BF16);
    if (HAS(AMX_TILE) && HAS(AMX_INT8))
        have |= MBR_TIER_BIT(MBR_TIER_AMX);
#undef HAS
    return have;
}
#elif MBR_ARCH_X86
static unsigned bits(unsigned word, unsigned want)
{
    return (word & want) == want;
}

static unsigned long long xcr0(void)
{
    unsigned lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo | (unsigned long long)hi << 32;
}

/* The tiers of the processor, and of an operating system that saves the registers. */
static unsigned detect(void)
{
    unsigned a, b, c, d, a7, b7, c7, d7;
    unsigned have = MBR_TIER_BIT(MBR_TIER_BASE);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7))
        return have;
    if (!bits(c, bit_OSXSAVE | bit_AVX))
        return have;
    unsigned long long state = xcr0();
    if ((state & 0x6) != 0x6) /* xmm, ymm */
        return have;
    if (!bits(c, bit_FMA | bit_F16C) || !bits(b7, bit_AVX2 | bit_BMI | bit_BMI2))
        return have;
    have |= MBR_TIER_BIT(MBR_TIER_AVX2);
    if ((state & 0xe6) != 0xe6) /* opmask, zmm0-15, zmm16-31 */
        return have;
    if (!bits(b7, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL | bit_AVX512CD))
        return have;
    have |= MBR_TIER_BIT(MBR_TIER_AVX512);
    if (!bits(c7, 1u << 11)) /* AVX512_VNNI */
        return have;
    have |= MBR_TIER_BIT(MBR_TIER_AVX512VNNI);
    unsigned a71, b71, c71, d71;
    if (!(a7 >= 1 && __get_cpuid_count(7, 1, &a71, &b71, &c71, &d71) && bits(a71, 1u << 5))) /* AVX512_BF16 */
        return have;
    have |= MBR_TIER_BIT(MBR_TIER_AVX512BF16);
    if (bits(d7, 1u << 24 | 1u << 25) && (state >> 17 & 3) == 3) /* AMX-TILE, AMX-INT8; their state */
        have |= MBR_TIER_BIT(MBR_TIER_AMX);
    return have;
}
#elif MBR_ARCH_ARM
static unsigned detect(void)
{
    unsigned have = MBR_TIER_BIT(MBR_TIER_BASE) | MBR_TIER_BIT(MBR_TIER_NEON);
#if defined(__linux__)
    unsigned long cap = getauxval(AT_HWCAP), cap2 = getauxval(AT_HWCAP2);
    if (!(cap & 1ul << 20)) /* HWCAP_ASIMDDP */
        return have;
    have |= MBR_TIER_BIT(MBR_TIER_DOTPROD);
    if (cap2 & 1ul << 13) /* HWCAP2_I8MM */
        have |= MBR_TIER_BIT(MBR_TIER_I8MM);
#elif defined(__ARM_FEATURE_DOTPROD)
    have |= MBR_TIER_BIT(MBR_TIER_DOTPROD);
#endif
    return have;
}
#else
static unsigned detect(void)
{
    return MBR_TIER_BIT(MBR_TIER_BASE);
}
#endif

/* Whether the system lets this process use tile registers. Linux wants to be asked: their state is 8 KiB a thread. */
static bool may_use_tiles(void)
{
#if MBR_ARCH_X86 && defined(__linux__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

const char *mbr_cpu_tier_name(mbr_cpu_tier tier)
{
    return (unsigned)tier < MBR_TIER_COUNT ? tiers[tier].name : "?";
}

mbr_cpu_tier mbr_cpu_tier_from_name(const char *name)
{
    for (int i = 0; i < MBR_TIER_COUNT; i++)
        if (strcmp(tiers[i].name, name) == 0)
            return (mbr_cpu_tier)i;
    return MBR_TIER_COUNT;
}

unsigned mbr_cpu_tiers_up_to(mbr_cpu_tier tier)
{
    unsigned set = 0;
    for (int i = 0; i <= (int)tier && i < MBR_TIER_COUNT; i++)
        if ((tiers[i].x86 && tiers[tier].x86) || (tiers[i].arm && tiers[tier].arm))
            set |= 1u << i;
    return set;
}

unsigned mbr_cpu_tiers(void)
{
    unsigned have = atomic_load_explicit(&found_tiers, memory_order_relaxed);
    if (!have) {
        have = detect();
#ifdef MBR_TEST_SIMDE /* a test build emulates these tiers */
        have |= MBR_TIER_BIT(MBR_TIER_AVX512) | MBR_TIER_BIT(MBR_TIER_AVX512VNNI);
#endif
        for (int i = 0; i < MBR_TIER_COUNT; i++)
            if (!tiers[i].built)
                have &= ~(1u << i);
        const char *wish = getenv("MBR_CPU");
        mbr_cpu_tier top = wish ? mbr_cpu_tier_from_name(wish) : MBR_TIER_COUNT;
        if (top != MBR_TIER_COUNT)
            have &= mbr_cpu_tiers_up_to(top);
        if (have & MBR_TIER_BIT(MBR_TIER_AMX) && !may_use_tiles())
            have &= ~MBR_TIER_BIT(MBR_TIER_AMX);
        have |= KNOWN;
        atomic_store_explicit(&found_tiers, have, memory_order_relaxed);
    }
    have &= atomic_load_explicit(&mask, memory_order_relaxed);
    return have | MBR_TIER_BIT(MBR_TIER_BASE);
}

mbr_cpu_tier mbr_cpu_tier_best(void)
{
    unsigned have = mbr_cpu_tiers();
    int best = 0;
    for (int i = 0; i < MBR_TIER_COUNT; i++)
        if (have & 1u << i)
            best = i;
    return (mbr_cpu_tier)best;
}

void mbr_cpu_set_mask(unsigned set)
{
    atomic_store_explicit(&mask, set & MBR_TIERS_ALL, memory_order_relaxed);
}

mbr_cpu_quirks mbr_cpu_quirks_get(void)
{
    mbr_cpu_quirks q = {false};
#if MBR_ARCH_X86
    /* Many AVX2 processors microcode gathers, and on the others scalar loads are not far behind: one bit decides. */
    q.slow_gather = !(mbr_cpu_tiers() & MBR_TIER_BIT(MBR_TIER_AVX512));
#endif
    return q;
}

#if MBR_ARCH_X86
/* Leaf 4 (Intel) and leaf 0x8000001d (AMD) list the caches in the same form. */
static bool read_caches(unsigned leaf, mbr_cpu_caches *found)
{
    unsigned a, b, c, d;
#if LIBC_KNOWS
    if (leaf >> 31 && !CPU_FEATURE_PRESENT(SSE4A)) /* AMD and heirs: a leaf that is not there is zeros */
        return false;
#endif
    if (!(leaf >> 31 && LIBC_KNOWS) && (unsigned)__get_cpuid_max(leaf & 0x80000000u, NULL) < leaf)
        return false;
    for (unsigned i = 0; i < 16 && !found->l3; i++) { /* the third level is the last */
        __cpuid_count(leaf, i, a, b, c, d);
        unsigned type = a & 31, level = a >> 5 & 7;
        if (type == 0)
            break;
        if (type == 2) /* instructions */
            continue;
        unsigned size = ((b >> 22) + 1) * ((b >> 12 & 0x3ff) + 1) * ((b & 0xfff) + 1) * (c + 1);
        if (level == 1)
            found->l1d = size;
        else if (level == 2)
            found->l2 = size;
        else if (level == 3)
            found->l3 = size;
    }
    return found->l1d != 0;
}
#endif

/* "48k,2m,30m" into up to three sizes; false, with nothing changed, for text that is none. */
static bool caches_from_text(const char *text, mbr_cpu_caches *found)
{
    unsigned sizes[3] = {0, 0, 0};
    for (int i = 0;; i++) {
        unsigned long long size = 0;
        for (; *text >= '0' && *text <= '9' && size <= UINT_MAX; text++)
            size = 10 * size + (unsigned)(*text - '0');
        if (*text == 'k' || *text == 'm')
            size <<= *text++ == 'k' ? 10 : 20;
        if (i == 3 || size > UINT_MAX || (*text && *text != ','))
            return false;
        sizes[i] = (unsigned)size;
        if (!*text++)
            break;
    }
    *found = (mbr_cpu_caches){sizes[0], sizes[1], sizes[2]};
    return true;
}

mbr_cpu_caches mbr_cpu_caches_get(void)
{
    static atomic_uint l1d, l2, l3, known;
    mbr_cpu_caches found = {0, 0, 0};
    if (!atomic_load_explicit(&known, memory_order_acquire)) {
        const char *wish = getenv("MBR_CPU_CACHES");
        bool told = wish && *wish && caches_from_text(wish, &found);
#if MBR_ARCH_X86
        if (!told && !read_caches(0x8000001du, &found))
            read_caches(4, &found);
#else
        (void)told;
#endif
        atomic_store_explicit(&l1d, found.l1d, memory_order_relaxed);
        atomic_store_explicit(&l2, found.l2, memory_order_relaxed);
        atomic_store_explicit(&l3, found.l3, memory_order_relaxed);
        atomic_store_explicit(&known, 1, memory_order_release);
    }
    found.l1d = atomic_load_explicit(&l1d, memory_order_relaxed);
    found.l2 = atomic_load_explicit(&l2, memory_order_relaxed);
    found.l3 = atomic_load_explicit(&l3, memory_order_relaxed);
    return found;
}

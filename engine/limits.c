/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/limits.h"
#include "base/checked.h"
#include "engine/spans.h"
#include "kernels/cpu.h"
#include "kernels/peak.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FMA_ROUNDS 20000  /* about 0.1 ms */
#define PIECES 32         /* of a try, for each thread */
#define TRIES 5
#define READ_AT_LEAST ((size_t)16 << 20) /* bytes in a try */
#define READ_AT_MOST ((size_t)512 << 20) /* of a larger cache, others have their share */

typedef struct burst {
    mbr_peak peak;
    const char *data;
    size_t each, pieces, turn; /* bytes of a piece; a tile reads one of them, `turn` tiles the same */
    float sinks[64];
} burst;

const char *mbr_limits_unknown_tier(void)
{
    const char *wish = getenv("MBR_CPU");
    return wish && *wish && mbr_cpu_tier_from_name(wish) == MBR_TIER_COUNT ? wish : NULL;
}

static bool compute(void *user, size_t first, size_t last, int worker)
{
    burst *b = user;
    float s = 0;
    for (size_t i = first; i < last; i++)
        s += b->peak.fma(FMA_ROUNDS);
    b->sinks[worker & 63] = s;
    return true;
}

static bool take_in(void *user, size_t first, size_t last, int worker)
{
    burst *b = user;
    float s = 0;
    for (size_t i = first; i < last; i++)
        s += mbr_peak_read(b->data + i / b->turn % b->pieces * b->each, b->each);
    b->sinks[worker & 63] = s;
    return true;
}

/* The shortest of some tries, in seconds. */
static double best_of(mbr_team *team, size_t tiles, size_t grain, mbr_team_fn fn, burst *b)
{
    double best = 1e30;
    for (int i = 0; i < TRIES; i++) {
        uint64_t t = mbr_spans_now();
        mbr_team_run(team, mbr_team_size(team), tiles, grain, fn, b, NULL);
        double s = (double)(mbr_spans_now() - t) * 1e-9;
        best = s < best ? s : best;
    }
    return best;
}

/* Bytes a second of what the team reads together. */
static double read_rate(mbr_team *team, size_t bytes, bool own, burst *b)
{
    size_t threads = (size_t)mbr_team_size(team);
    b->pieces = own ? threads : PIECES * threads;
    b->each = bytes / b->pieces / 64 * 64;
    bytes = b->each * b->pieces;
    size_t rounds = mbr_max_size(READ_AT_LEAST / bytes, 1);
    b->turn = own ? rounds : 1; /* the own caches: a piece a thread, again and again */
    return (double)bytes * (double)rounds / best_of(team, b->pieces * rounds, b->turn, take_in, b);
}

mbr_status mbr_limits_measure(mbr_team *team, mbr_memory *memory, mbr_limits_measured *out, mbr_error *err)
{
    size_t threads = (size_t)mbr_team_size(team);
    mbr_cpu_caches caches = mbr_cpu_caches_get();
    size_t own = caches.l2 ? caches.l2 : 262144, shared = caches.l3 > own ? caches.l3 : 4 * own;
    size_t few = 8 * own * threads, half = shared / 2; /* others on the machine have the shared cache, too */
    size_t much = 4 * shared < READ_AT_MOST ? 4 * shared : READ_AT_MOST;
    const size_t sizes[MBR_LEVELS] = { own / 2 * threads, few < half ? few : half,
                                       mbr_max_size(much, mbr_max_size(2 * few, (size_t)64 << 20)) };
    char *data = mbr_calloc(memory, sizes[MBR_LEVEL_MEMORY], 1);
    if (!data)
        return mbr_no_memory(err, sizes[MBR_LEVEL_MEMORY]);
    memset(data, 1, sizes[MBR_LEVEL_MEMORY]); /* pages of its own, not the one of zeros */
    burst b = { .data = data };
    mbr_peak_best(&b.peak);
    memset(out, 0, sizeof *out);
    out->tier = b.peak.tier;
    out->flops = 2.0 * FMA_ROUNDS * MBR_PEAK_CHAINS * b.peak.lanes * PIECES * (double)threads /
                 best_of(team, PIECES * threads, 1, compute, &b);
    for (int level = 0; level < MBR_LEVELS; level++) {
        out->read[level] = read_rate(team, sizes[level], level == MBR_LEVEL_CACHE, &b);
        out->bytes[level] = b.each * b.pieces;
    }
    double least = sqrt(out->read[MBR_LEVEL_SHARED] * out->read[MBR_LEVEL_MEMORY]);
    out->shared = sizes[MBR_LEVEL_SHARED];
    for (size_t more = 2 * out->shared; more <= shared && more < sizes[MBR_LEVEL_MEMORY]; more *= 2) {
        if (read_rate(team, more, false, &b) < least)
            break;
        out->shared = more;
    }
    mbr_free(memory, data);
    return MBR_OK;
}

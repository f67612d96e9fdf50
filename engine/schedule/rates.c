/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/schedule/rates.h"
#include "kernels/cpu.h"
#include "kernels/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double bases[MBR_WORK_COUNT] = {
#define FAMILY(id, name, unit, base, each) base,
#include "engine/schedule/families.def"
#undef FAMILY
};
static const double eaches[MBR_WORK_COUNT] = {
#define FAMILY(id, name, unit, base, each) each,
#include "engine/schedule/families.def"
#undef FAMILY
};

void mbr_rates_default(mbr_rates *r)
{
    mbr_cpu_caches caches = mbr_cpu_caches_get();
    mbr_peak peak = { .lanes = 8 };
    mbr_peak_best(&peak);
    *r = (mbr_rates){ .read = { 60, 18, 10 }, .read_all = { 60, 60, 40 }, .wake_ns = 3000, .join_ns = 300, .scale = 0.95,
                      .run_ns = 300, .overlap = 1, .quiet = 1, .source = "defaults" };
    r->own_bytes = caches.l2 ? caches.l2 : 262144;
    r->shared_bytes = caches.l3 > r->own_bytes ? caches.l3 : 4 * r->own_bytes;
    for (int i = 0; i < MBR_WORK_COUNT; i++) {
        r->base[i] = bases[i];
        r->each[i] = mbr_work_units[i] == MBR_UNIT_FLOP ? eaches[i] * 8 / peak.lanes : eaches[i];
    }
}

/* --- text --- */

typedef struct field {
    const char *name;
    size_t at;
    int n;
    bool share; /* of something: not above 1 */
} field;

static const field fields[] = {
    { "read", offsetof(mbr_rates, read), MBR_NEAR_COUNT, false },
    { "read_all", offsetof(mbr_rates, read_all), MBR_NEAR_COUNT, false },
    { "wake", offsetof(mbr_rates, wake_ns), 1, false },
    { "join", offsetof(mbr_rates, join_ns), 1, false },
    { "scale", offsetof(mbr_rates, scale), 1, true },
    { "run", offsetof(mbr_rates, run_ns), 1, false },
    { "overlap", offsetof(mbr_rates, overlap), 1, true },
    { "quiet", offsetof(mbr_rates, quiet), 1, false },
};

/* A positive number; anything else is none. */
static bool take_number(const char **at, double *to)
{
    char *end;
    double v = strtod(*at, &end);
    if (end == *at || !(v >= 0) || v > 1e12)
        return false;
    *at = end;
    *to = v;
    return true;
}

/* Nothing more, or a comment. */
static bool is_end(const char *at)
{
    at += strspn(at, " \t\r");
    return *at == '\0' || *at == '\n' || *at == '#';
}

static bool take_line(mbr_rates *r, const char *name, size_t length, const char *at)
{
    for (int i = 0; i < MBR_WORK_COUNT; i++)
        if (strlen(mbr_work_names[i]) == length && strncmp(mbr_work_names[i], name, length) == 0)
            return take_number(&at, &r->base[i]) && take_number(&at, &r->each[i]) && is_end(at);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        double *to = (double *)((char *)r + fields[i].at);
        if (strlen(fields[i].name) != length || strncmp(fields[i].name, name, length) != 0)
            continue;
        for (int k = 0; k < fields[i].n; k++)
            if (!take_number(&at, &to[k]) || to[k] < 1e-6 || (fields[i].share && to[k] > 1))
                return false;
        return is_end(at);
    }
    double own, shared;
    if (length != 6 || strncmp(name, "caches", 6) != 0 || !take_number(&at, &own) || !take_number(&at, &shared) ||
        own < 1 || shared < 1 || !is_end(at))
        return false;
    r->own_bytes = (size_t)own;
    r->shared_bytes = (size_t)shared;
    return true;
}

mbr_status mbr_rates_parse(mbr_rates *r, const char *text, mbr_error *err)
{
    for (int line = 1; *text; line++) {
        size_t n = strcspn(text, "\n"), blank = strspn(text, " \t\r");
        const char *name = text + blank;
        size_t length = strcspn(name, " \t\r\n");
        if (blank < n && *name != '#' && (length >= n || !take_line(r, name, length, name + length)))
            return mbr_fail(err, MBR_ERR_FORMAT, "rates, line %d: a name and its numbers are due; docs/placement.md lists "
                            "them", line);
        text += n + (text[n] == '\n');
    }
    r->source = "given";
    return MBR_OK;
}

size_t mbr_rates_print(const mbr_rates *r, char *text, size_t size)
{
    size_t at = 0;
    for (int i = 0; i < MBR_WORK_COUNT && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s %.6g %.6g\n", mbr_work_names[i], r->base[i], r->each[i]);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const double *from = (const double *)((const char *)r + fields[i].at);
        if (at < size)
            at += (size_t)snprintf(text + at, size - at, "%s", fields[i].name);
        for (int k = 0; k < fields[i].n && at < size; k++)
            at += (size_t)snprintf(text + at, size - at, " %.6g", from[k]);
        if (at < size)
            at += (size_t)snprintf(text + at, size - at, "\n");
    }
    if (at < size)
        at += (size_t)snprintf(text + at, size - at, "caches %zu %zu\n", r->own_bytes, r->shared_bytes);
    return at < size ? at : size - 1;
}

/* --- estimates --- */

/* What a team looks like to memory. */
typedef struct spread {
    int k, groups, nodes;
    bool copies;
} spread;

static double read_ns(const mbr_rates *r, double bytes, int near, const spread *s, bool of_weights)
{
    double all = near == MBR_NEAR_OWN ? r->read[near] * s->k :
                 near == MBR_NEAR_SHARED ? r->read_all[near] * s->groups :
                 r->read_all[near] * (of_weights && !s->copies ? 1 : s->nodes);
    double rate = r->read[near] * s->k;
    return bytes / (rate < all ? rate : all);
}

/* What a cache still has of data that were there before: all that leave it some room, nothing of twice its size. */
static double found_in(double bytes, size_t room)
{
    double share = (2 - bytes / (double)room) / 1.25;
    return share > 1 ? 1 : share > 0 ? share : 0;
}

/* `bytes` of `whole`, which are all in use in turn: weights and what the same core wrote are in its own caches. */
static double fetch_ns(const mbr_rates *r, double bytes, double whole, const spread *s, bool of_weights)
{
    double own = found_in(whole, r->own_bytes) / (of_weights ? 1 : s->k), shared = (1 - own) * found_in(whole, r->shared_bytes);
    return read_ns(r, bytes * own, MBR_NEAR_OWN, s, of_weights) +
           read_ns(r, bytes * shared, MBR_NEAR_SHARED, s, of_weights) +
           read_ns(r, bytes * (1 - own - shared), MBR_NEAR_MEMORY, s, of_weights);
}

/* Weights come from where all of the model's fit, other values from where the step's own do. Products with few rows are
   parted by columns: a thread reads the same part of the weights in each run. */
static double memory_ns(const mbr_rates *r, const mbr_work *w, double weights, const spread *s)
{
    double values = w->bytes - w->weight_bytes;
    double whole = weights > w->weight_bytes ? weights : w->weight_bytes;
    bool parted = w->family == MBR_WORK_PRODUCT_ROW || w->family == MBR_WORK_PRODUCT_FEW;
    double ns = fetch_ns(r, w->weight_bytes, parted ? whole / s->k : whole, s, true) +
                fetch_ns(r, values, values, s, false);
    if (s->groups > 1) /* what other groups' cores wrote is not in this one's cache */
        ns += read_ns(r, values * (s->groups - 1) / s->groups, MBR_NEAR_MEMORY, s, false);
    return ns;
}

/* Of a function with an exponential, in what operators reckon with. */
#define CURVE_UNITS 0.9

static double compute_ns(const mbr_rates *r, const mbr_work *w)
{
    return r->base[w->family] + r->each[w->family] * w->units + r->each[MBR_WORK_FUNCTION] * CURVE_UNITS * w->curves;
}

/* A product with a row does nothing but read; rates of trees have their layout in them. */
static double together(const mbr_rates *r, const mbr_work *w, double compute, double memory)
{
    double more = compute > memory ? compute : memory, less = compute > memory ? memory : compute;
    bool apart = w->family != MBR_WORK_PRODUCT_ROW && (w->family < MBR_WORK_TREES || w->family > MBR_WORK_TREES_JUMPS);
    return more + (apart ? (1 - r->overlap) * less : 0);
}

void mbr_rates_overlap(mbr_rates *r, const mbr_work *w, double ns)
{
    double compute = compute_ns(r, w), memory = memory_ns(r, w, 0, &(spread){ 1, 1, 1, false });
    double share = (compute + memory - ns) / (compute < memory ? compute : memory);
    r->overlap = share > 1 ? 1 : share > 0.01 ? share : 0.01;
}

void mbr_rates_share(mbr_rates *r, const mbr_work *w, int n, const double *one_ns, const double *all_ns)
{
    double one[2], all[2];
    for (int i = 0; i < 2; i++) { /* without memory */
        one[i] = one_ns[i] - (1 - r->overlap) * memory_ns(r, &w[i], 0, &(spread){ 1, 1, 1, false });
        all[i] = all_ns[i] - (1 - r->overlap) * memory_ns(r, &w[i], 0, &(spread){ n, 1, 1, false });
    }
    double scale = (one[1] - one[0]) / (all[1] - all[0]) / n;
    if (!(all[1] > all[0]) || !(one[1] > one[0]))
        return;
    r->scale = scale > r->scale ? r->scale : scale > 0.3 ? scale : 0.3;
}

double mbr_rates_estimate(const mbr_rates *r, const mbr_work *w, double weights)
{
    return together(r, w, compute_ns(r, w), memory_ns(r, w, weights, &(spread){ 1, 1, 1, false }));
}

static double team_ns(const mbr_rates *r, const mbr_core *cores, int k, const mbr_work *w, double weights, bool copies,
                      bool *waits)
{
    spread s = { k, 0, 0, copies };
    uint64_t groups = 0, nodes = 0;
    double speed = 0, slowest = 1;
    for (int i = 0; i < k; i++) {
        speed += cores[i].speed;
        slowest = cores[i].speed < slowest ? cores[i].speed : slowest;
        s.groups += !(groups >> (cores[i].group & 63) & 1);
        s.nodes += !(nodes >> (cores[i].node & 63) & 1);
        groups |= (uint64_t)1 << (cores[i].group & 63);
        nodes |= (uint64_t)1 << (cores[i].node & 63);
    }
    double compute = compute_ns(r, w), memory = memory_ns(r, w, weights, &s);
    double share = compute / speed;
    if (k > 1) {
        double pieces = w->tiles > 1 ? w->tiles : 1, rounds = (double)(int64_t)((pieces + k - 1) / k);
        double even = rounds * compute / pieces / (slowest > 0 ? (slowest == 1 ? 1 : speed / k) : 1);
        share = even > share ? even : share;
        /* whoever is slow may have taken the last piece */
        share += compute / pieces * (1 / slowest - 1) * 0.5;
        share /= r->scale;
        share += r->wake_ns * (s.nodes > 1 ? 2 : s.groups > 1 ? 1.5 : 1) + r->join_ns * (k - 1) * (s.groups > 1 ? 1.5 : 1);
    }
    *waits = memory > share;
    return together(r, w, share, memory);
}

/* What keeps a team of k from being one larger. */
static mbr_team_why why_not_more(const mbr_rates *r, const mbr_core *cores, int k, const mbr_work *w, bool waits)
{
    if (w->tiles <= 1)
        return MBR_TEAM_ONE_PIECE;
    if (k == 1 && compute_ns(r, w) < 3 * (r->wake_ns + r->join_ns))
        return MBR_TEAM_SHORT;
    if (waits)
        return MBR_TEAM_MEMORY;
    if ((double)k >= w->tiles)
        return MBR_TEAM_PIECES;
    if (cores[k].kind != cores[k - 1].kind)
        return MBR_TEAM_KIND;
    if (cores[k].node != cores[k - 1].node)
        return MBR_TEAM_NODE;
    return cores[k].group != cores[k - 1].group ? MBR_TEAM_CACHE : MBR_TEAM_SYNC;
}

/* A larger team has to win this much for each doubling. */
#define TEAM_GAIN 0.97

mbr_team_choice mbr_team_choose(const mbr_rates *r, const mbr_core *cores, int n, const mbr_work *w, double weights,
                                bool copies)
{
    mbr_team_choice best = { .threads = 1 };
    bool waits, best_waits;
    best.ns = team_ns(r, cores, 1, w, weights, copies, &best_waits);
    for (int k = 2; k <= n && w->tiles > 1; k++) {
        double ns = team_ns(r, cores, k, w, weights, copies, &waits);
        if (ns < best.ns * TEAM_GAIN) {
            best = (mbr_team_choice){ .threads = k, .ns = ns };
            best_waits = waits;
        }
    }
    best.why = n == 1 ? MBR_TEAM_ALONE : best.threads == n ? MBR_TEAM_ALL :
               why_not_more(r, cores, best.threads, w, best_waits);
    return best;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/qgemm_plan.h"
#include "kernels/cpu.h"

#include "base/checked.h"

#define MIN_TILES 16
#define MOST_PARTS 32    /* along n */
/* In cycles: */
#define COPY_COST 0.08   /* a byte of A into the block */
#define STREAM_COST 0.15 /* a byte of B that is not in the second cache */
#define PRODUCT_COST (1 / 128.0)

static size_t up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static size_t parts(size_t n, size_t size)
{
    return (n + size - 1) / size;
}

/*
 * Each number of tiles along n has its number of rows, from the work that a tile should be. What it costs for a step of
 * k: A is copied for each of them, and a part of B that does not stay in the second cache is read for each tile of rows.
 * Too few tiles cost more than any of that.
 */
static void cut(qg_plan *p, const qg_form *form, size_t m, size_t panels, double cells, double wanted, size_t nr,
                size_t panel_bytes, size_t width)
{
    size_t l2 = mbr_cpu_caches_get().l2;
    double best = 0;
    for (size_t n_tiles = 1; n_tiles <= mbr_min_size(panels, MOST_PARTS); n_tiles++) {
        size_t tn = parts(panels, n_tiles);
        if (n_tiles > 1 && tn == parts(panels, n_tiles - 1))
            continue;
        size_t rows = mbr_max_size((size_t)(cells / (double)(tn * nr)), form->mr);
        size_t count = (m + rows / 2) / rows;
        size_t tm = up(parts(m, count ? count : 1), form->mr), m_tiles = parts(m, tm);
        double tiles = (double)(m_tiles * parts(panels, tn)), few = tiles < wanted ? wanted / tiles : 1;
        double cost = (double)(n_tiles * m * width) * COPY_COST;
        if (tn * panel_bytes > (l2 ? l2 : 524288) / 2)
            cost += (double)((m_tiles - 1) * panels * nr) * STREAM_COST;
        cost = (cost + (double)(m * panels * nr) * PRODUCT_COST) * few;
        if (n_tiles == 1 || cost < best) {
            best = cost;
            p->tm = tm;
            p->tn = tn;
        }
    }
    p->m_tiles = parts(m, p->tm);
    p->n_tiles = parts(panels, p->tn);
}

qg_plan mbr_qg_plan_of(const qg_form *form, size_t m, size_t n, size_t k, size_t copies, size_t nr, size_t panel_bytes,
                       size_t width, size_t segment_bytes)
{
    qg_plan p = {.k_blocks = k > form->kc ? parts(k, form->kc) : 1};
    size_t panels = parts(n, nr), steps = k ? k : 1;
    if (!m || !n || !copies)
        return p;
    p.kc = up(parts(steps, p.k_blocks), 64);
    double each = (double)steps + form->out_macs, least = form->tile_macs / 6;
    double all = (double)m * (double)(panels * nr) * each * (double)copies;
    double macs = all / MIN_TILES;
    macs = macs < least ? least : macs > form->tile_macs ? form->tile_macs : macs;
    cut(&p, form, m, panels, macs / each, all / macs / (double)copies, nr, panel_bytes, width);
    p.lda = (ptrdiff_t)(p.kc * width + 64);
    p.segment_bytes = segment_bytes ? up(p.kc * segment_bytes, 64) : 0;
    p.a_bytes = up(p.tm * (size_t)p.lda, 64);
    p.acc_bytes = p.k_blocks > 1 ? p.tm * p.tn * nr * sizeof(int32_t) : 0;
    p.row_bytes = up(p.tm * sizeof(int32_t), 64);
    return p;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The products of gemm.cl by sub-groups of SG work-items: what a group shares through local memory in gemm_tiles goes from
 * lane to lane, and nobody waits at a barrier.
 *
 * A sub-group makes RM rows of SG * CN columns: a lane has CN of them, SG apart, so that lanes read and write neighbours.
 * RM x KU elements of a are loaded by all lanes together, each RM * KU / SG of them, and then broadcast one after the
 * other; a row of b is CN loads of all lanes. A group is GM x GN sub-groups that share caches, and nothing else.
 *
 * -DAK: a's memory runs along k. -DBLOCKS: rows of b are read as blocks where all columns are there
 * (cl_intel_subgroups, of 16-bit elements cl_intel_subgroups_short); b_n is 1, rows begin at multiples of four elements.
 * -DFOURS: b's columns do, and are read four by four; where they run along k and lanes are far apart.
 * -DREQUIRED: the compiler takes SG as an order (cl_intel_required_subgroup_size). Elsewhere it is what the driver said of
 * this very kernel: whoever launches it has asked.
 */
#define KU (SG <= 8 ? 8 : 16) /* RUN divides it; it is unrolled */
#define XS (RM * KU / SG)     /* elements of a that a lane brings */
#if AK
#define ROW_OF(e) ((e) / KU)
#define K_OF(e) ((e) % KU)
#define AT(r, k) ((r) * KU + (k))
#else
#define ROW_OF(e) ((e) % RM)
#define K_OF(e) ((e) / RM)
#define AT(r, k) ((k) * RM + (r))
#endif

/* Element k of column j. */
#define ONE(j, k) LOAD_E(col[j], (long)(k) * g.b_k)
#ifdef BLOCKS
#ifdef HALF
#define BLOCK(p) (E)as_half(intel_sub_group_block_read_us((__global const ushort *)(p)))
#else
#define BLOCK(p) as_float(intel_sub_group_block_read((__global const uint *)(p)))
#endif
#define B(j, k) (whole ? BLOCK(b + (long)(k) * g.b_k + n0 + (j) * SG) : ONE(j, k))
#else
#define B ONE
#endif

/* One step of k: sum += x(r) y, for all rows. */
#define STEP(x)                                                                                                        \
    EACH(r, RM)                                                                                                        \
    {                                                                                                                  \
        const E x_ = x;                                                                                                \
        EACH(j, CN) sum[r][j] = fma(x_, y[j], sum[r][j]);                                                              \
    }

#ifdef FP16
#define FOLD                                                                                                           \
    EACH(r, RM) EACH(j, CN) acc[r][j] += (float)sum[r][j], sum[r][j] = 0;
#else
#define sum acc
#define FOLD
#endif

#ifdef REQUIRED
__attribute__((intel_reqd_sub_group_size(SG)))
#endif
__kernel __attribute__((reqd_work_group_size(SG * GM * GN, 1, 1)))
void gemm_sub(TENSOR(const T, a), TENSOR(const T, b), TENSOR(T, c), TENSOR(const T, bias), TENSOR(const T, other),
              const gemm g)
{
    const int id = get_sub_group_id(), lane = get_sub_group_local_id(), z = get_group_id(2);
    const int n0 = (get_group_id(0) * GN + id % GN) * SG * CN, m0 = (get_group_id(1) * GM + id / GN) * RM;
    if (m0 >= g.m || n0 >= g.n)
        return;
    OPEN(const T, a);
    OPEN(const T, b);
    OPEN(T, c);
    OPEN(const T, bias);
    OPEN(const T, other);
    a += batch_at(g.batch, g.a_batch, z);
    b += batch_at(g.batch, g.b_batch, z);
    /* rows and columns beyond the last are the last, until the results are written */
    __global const T *row[XS], *col[CN];
    EACH(i, XS) {
        const int e = lane + i * SG;
        row[i] = a + (long)min(m0 + ROW_OF(e), g.m - 1) * g.a_m + (long)K_OF(e) * g.a_k;
    }
    EACH(j, CN) col[j] = b + (long)min(n0 + j * SG + lane, g.n - 1) * g.b_n;
    const bool whole = n0 + SG * CN <= g.n;
    float acc[RM][CN];
#ifdef FP16
    half sum[RM][CN];
#endif
    EACH(r, RM) EACH(j, CN) acc[r][j] = sum[r][j] = 0;
    int k0 = 0;
    for (; k0 + KU <= g.k; k0 += KU) {
        E x[XS], y[CN];
#ifdef FOURS
        CAT(E, 4) y4[CN];
#endif
        EACH(i, XS) x[i] = LOAD_E(row[i], (long)k0 * g.a_k);
        EACH(k, KU) {
            EACH(j, CN) {
#ifdef FOURS
                if (k % 4 == 0)
                    y4[j] = LOAD_E4(col[j] + k0 + k);
                y[j] = k % 4 == 0 ? y4[j].x : k % 4 == 1 ? y4[j].y : k % 4 == 2 ? y4[j].z : y4[j].w;
#else
                y[j] = B(j, k0 + k);
#endif
            }
            STEP(sub_group_broadcast(x[AT(r, k) / SG], AT(r, k) % SG))
            if (k % 8 == 7) {
                FOLD
            }
        }
    }
    for (; k0 < g.k; k0++) {
        E y[CN];
        EACH(j, CN) y[j] = ONE(j, k0);
        STEP(LOAD_E(a, (long)min(m0 + r, g.m - 1) * g.a_m + (long)k0 * g.a_k))
        if (k0 % 8 == 7) {
            FOLD
        }
    }
    FOLD
    bias += g.bias_batch * z;
    c += batch_at(g.batch, g.c_batch, z);
    other += batch_at(g.batch, g.o_batch, z);
    EACH(r, RM) {
        if (m0 + r >= g.m)
            break;
        __global T *to = c + (long)(m0 + r) * g.c_m;
        __global const T *from = other + (long)(m0 + r) * g.o_m;
        EACH(j, CN) {
            const int n = n0 + j * SG + lane;
            if (n < g.n) {
                float v = acc[r][j];
                EPILOGUE(float, v, LD(bias, n), LD(from, (long)n * g.o_n))
                ST(v, to, (long)n * g.c_n);
            }
        }
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The statistics of drift on plain arrays, and the chances of them without drift. docs/drift.md defines them. */
#ifndef MBR_RUNTIME_DRIFT_STATS_H
#define MBR_RUNTIME_DRIFT_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values in rising order. weights NULL: each stands for `each` of them. */
typedef struct mbr_sample {
    const double *values, *weights;
    size_t size;
    double each, total; /* of the weights */
} mbr_sample;

/* The largest distance of the two distributions, and the area between them; NaN where one is empty. */
void mbr_stat_distances(const mbr_sample *a, const mbr_sample *b, double *ks, double *wasserstein);

/* Chance of a Kolmogorov-Smirnov distance of at least d between samples of n and m values of one distribution. */
double mbr_stat_ks_p(double d, double n, double m);

/* Chances beyond a value of the chi-squared distribution, and of the normal one on both sides. */
double mbr_stat_chi2_p(double x, double freedom);
double mbr_stat_normal_p(double z);

/*
 * Chance that of n + m things, `hits` of them marked, the m drawn hold a number of marked ones as unlikely as `drawn`:
 * twice the smaller tail of the hypergeometric distribution, 1 at most.
 */
double mbr_stat_share_p(uint64_t hits_n, uint64_t n, uint64_t hits_m, uint64_t m);

/* Chance that the k largest of n + m values all come from the m. */
double mbr_stat_beyond_p(uint64_t k, uint64_t n, uint64_t m);

/* Population stability index and Jensen-Shannon distance of shares. Empty shares are filled as evidently does it:
 * with 0.0001, or a millionth of the smallest share where that is not above 0.0001; for psi only. */
double mbr_stat_psi(const double *a, const double *b, size_t n);
double mbr_stat_js(const double *a, const double *b, size_t n);

/* The two rows of a table of counts: contingency, or the second against the shares of the first. Columns in which both
 * are 0 are left out. */
double mbr_stat_chi2(const double *a, const double *b, size_t n, double *p);
double mbr_stat_chi2_fit(const double *a, const double *b, size_t n, double *p);

/* p-values to what they are once all are looked at; bonferroni: else Benjamini and Hochberg's. order: n places. */
void mbr_stat_adjust(const double *p, double *adjusted, size_t *order, size_t n, bool bonferroni);

/* Ranks (average of equal ones) of at most 4096 numbers, standardised to mean 0 and length 1; false where nearly all
 * are equal. keys: 2 * n places. */
bool mbr_stat_ranks(const double *x, double *ranks, uint64_t *keys, size_t n);

#endif

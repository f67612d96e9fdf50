/* SPDX-License-Identifier: BSD-2-Clause */
/* The limits of one core, measured: what the figures of bench-kernels are read against. */
#ifndef MBR_BENCH_PEAK_H
#define MBR_BENCH_PEAK_H

void bench_print_peaks(void);

#endif

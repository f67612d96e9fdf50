# SPDX-License-Identifier: BSD-2-Clause
# The kernel microbenchmark; links the files that check the kernels. Built by make check or by name.
EXTRA_PROGRAMS = bench/bench-kernels
bench_bench_kernels_SOURCES = bench/bench_kernels.c bench/peak.c bench/peak.h $(MBR_CHECK_KERNELS)
bench_bench_kernels_LDADD = libmbr_all.la
EXTRA_DIST += bench/shapes bench/make_forest.py bench/overhead.py bench/peers.py bench/tree_trainers.py

# SPDX-License-Identifier: BSD-2-Clause
# The kernel microbenchmark; links the files that check the kernels. Built by make check or by name.
EXTRA_PROGRAMS = bench/bench-kernels bench/bench-gemm bench/bench-decode
bench_bench_kernels_SOURCES = bench/bench_kernels.c bench/peak.c bench/peak.h $(MBR_CHECK_KERNELS)
bench_bench_kernels_LDADD = libmbr_all.la
# Products beside other libraries, opened at run time.
bench_bench_gemm_SOURCES = bench/bench_gemm.c
bench_bench_gemm_LDADD = libmbr_all.la -ldl
# A program like any other: it decodes with the public interface alone.
bench_bench_decode_SOURCES = bench/bench_decode.c
bench_bench_decode_LDADD = libmbr_all.la
if MBR_RUNTIME
EXTRA_PROGRAMS += bench/bench-keyed bench/bench-decide bench/bench-tokenize
endif
bench_bench_keyed_SOURCES = bench/bench_keyed.c
bench_bench_keyed_LDADD = libmbr_all.la
# From a row of CSV to an action.
bench_bench_decide_SOURCES = bench/bench_decide.c
bench_bench_decide_LDADD = libmbr_all.la
bench_bench_tokenize_SOURCES = bench/bench_tokenize.c
bench_bench_tokenize_LDADD = libmbr_all.la
EXTRA_DIST += bench/shapes bench/make_forest.py bench/denormals.py bench/inner_loops.py bench/overhead.py bench/classical.py bench/auto.py bench/estimates.py bench/peers.py bench/tree_trainers.py bench/tokenizers.py bench/images.py

# SPDX-License-Identifier: BSD-2-Clause
# A unit test is one line when it is one file of the same name (tests/test_x: tests/test_x.c); else add its
# tests_test_x_SOURCES. Tests link libmbr_all.la and may look inside.
LDADD = libmbr_all.la $(CHECK_LIBS)

# Need the Check library.
MBR_UNIT_TESTS = \
    tests/test_base

# Need nothing but the library.
MBR_PLAIN_TESTS = \
    tests/kernels/check-kernels
tests_kernels_check_kernels_SOURCES = tests/kernels/check_main.c $(MBR_CHECK_KERNELS)
tests_kernels_check_kernels_LDADD = libmbr_all.la

# Shell scripts that call the program (through $MBR) or look at the tree; exit 77 is a SKIP.
MBR_SCRIPT_TESTS =

# Of the lists above: those that start threads (make check-threads, run under TSan), and those of kernels and
# base (make check-kernels, run under the emulator and once for each CPU tier).
MBR_THREAD_TESTS =
MBR_KERNEL_TESTS = tests/test_base tests/kernels/check-kernels

check_PROGRAMS += $(MBR_PLAIN_TESTS)
TESTS += $(MBR_PLAIN_TESTS) $(MBR_SCRIPT_TESTS)
if HAVE_CHECK
check_PROGRAMS += $(MBR_UNIT_TESTS)
TESTS += $(MBR_UNIT_TESTS)
else
TESTS += tests/no-check.sh
endif
EXTRA_DIST += $(MBR_SCRIPT_TESTS) tests/no-check.sh tests/conformance-floor.txt

.PHONY: check-threads check-kernels
check-threads:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(MBR_THREAD_TESTS)'
check-kernels:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(MBR_KERNEL_TESTS)'

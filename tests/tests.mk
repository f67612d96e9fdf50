# SPDX-License-Identifier: BSD-2-Clause
# A unit test is one line in MBR_UNIT_TESTS when it is one file of the same name (tests/test_x: tests/test_x.c).
# Tests link libmbr_all.la and may look inside.
LDADD = libmbr_all.la $(CHECK_LIBS)

# Need the Check library.
MBR_UNIT_TESTS = \
    tests/test_base

if HAVE_CHECK
check_PROGRAMS += $(MBR_UNIT_TESTS)
TESTS += $(MBR_UNIT_TESTS)
else
TESTS += tests/no-check.sh
endif
EXTRA_DIST += tests/no-check.sh

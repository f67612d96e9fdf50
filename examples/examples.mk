# SPDX-License-Identifier: BSD-2-Clause
# The C example of the README is built like a user's program, against the public headers and the library.
check_PROGRAMS += examples/c/run_model
examples_c_run_model_SOURCES = examples/c/run_model.c
examples_c_run_model_CPPFLAGS = -I$(top_srcdir)/include
examples_c_run_model_LDADD = libmbr.la
TESTS += examples/c/check.sh
dist_check_SCRIPTS += examples/c/check.sh
# tests/test_plugin.sh builds this one.
EXTRA_DIST += examples/plugin/Makefile examples/plugin/ops.c

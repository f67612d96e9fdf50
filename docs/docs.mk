# SPDX-License-Identifier: BSD-2-Clause
dist_man_MANS += man/mbr.1
# The page of all operators is what the program that was just built says of itself; a cross build does without it.
if !CROSS
noinst_DATA = docs/operators.md
docs/operators.md: mbr$(EXEEXT) scripts/list-operators
	$(AM_V_GEN)$(MKDIR_P) docs && $(srcdir)/scripts/list-operators ./mbr$(EXEEXT) >$@.new && mv $@.new $@
CLEANFILES += docs/operators.md
endif
EXTRA_DIST += docs/adding.md docs/aggregates.md docs/architecture.md docs/audio.md docs/conformance.md docs/drift.md \
    docs/images.md \
    docs/opencl.md docs/performance.md docs/pipeline.md docs/placement.md docs/tokenizer.md

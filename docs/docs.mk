# SPDX-License-Identifier: BSD-2-Clause
dist_man_MANS += man/mbr.1
EXTRA_DIST += docs/adding.md docs/architecture.md docs/pipeline.md

# SPDX-License-Identifier: BSD-2-Clause
EXTRA_DIST += docs/adding.md docs/architecture.md docs/pipeline.md

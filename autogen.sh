#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes configure in a clean clone.
set -e
cd "$(dirname "$0")"
mkdir -p build-aux
exec autoreconf --install --force "$@"

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Requests of a shop's visitors in, the items to show out; then a campaign among the young. MBR=program, if not build/mbr.
set -eu
cd "$(dirname "$0")"
mbr=${MBR:-../../build/mbr}
[ -x "$mbr" ] || mbr=mbr

echo "== requests: action, best score, rule, the items (some of them)"
"$mbr" decide pipeline.yaml sample.csv 2>/dev/null | awk '
    { n[$2]++; if (NR <= 10) print }
    END { printf "%d requests", NR; for (a in n) printf ", %d %s", n[a], a; print "" }'
echo "== a campaign brings young people at night: what is said of the drift"
"$mbr" decide pipeline.yaml changed.csv 2>&1 >/dev/null | grep 'drift: alarm' || { echo "no alarm"; exit 1; }

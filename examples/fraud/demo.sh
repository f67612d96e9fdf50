#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Card payments in, actions and reasons out; then a week in which the world has changed. MBR=program, if not build/mbr.
set -eu
cd "$(dirname "$0")"
mbr=${MBR:-../../build/mbr}
[ -x "$mbr" ] || mbr=mbr

echo "== payments: action, chance of fraud, rule, what raised it (some of them)"
"$mbr" decide pipeline.yaml sample.csv --reasons 2>/dev/null | awk '
    { n[$2]++; if (shown[$2]++ < ($2 == "APPROVE" ? 3 : 8)) print }
    END { printf "%d payments: %d APPROVE, %d REVIEW, %d DECLINE\n", NR, n["APPROVE"], n["REVIEW"], n["DECLINE"] }'
echo "== prices rise, shops sell by telephone, gangs try stolen cards: what is said of the drift"
"$mbr" decide pipeline.yaml changed.csv 2>&1 >/dev/null | grep 'drift: alarm' || { echo "no alarm"; exit 1; }

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Sensor rows of 56 fans in, RUN, INSPECT or STOP out; then a summer with new sensors. MBR=program, if not build/mbr.
set -eu
cd "$(dirname "$0")"
mbr=${MBR:-../../build/mbr}
[ -x "$mbr" ] || mbr=mbr

echo "== fans: where the action is not RUN, for the first time (row, action, chance of failing soon, rule)"
"$mbr" decide pipeline.yaml sample.csv 2>/dev/null | awk '
    { n[$2]++; if ($2 != "RUN" && !shown[$1 $2]++ && lines++ < 20) print }
    END { printf "%d rows: %d RUN, %d INSPECT, %d STOP\n", NR, n["RUN"], n["INSPECT"], n["STOP"] }'
echo "== a hot summer, new pressure sensors: what is said of the drift"
"$mbr" decide pipeline.yaml changed.csv 2>&1 >/dev/null | grep 'drift: alarm' || { echo "no alarm"; exit 1; }

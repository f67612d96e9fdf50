#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Messages of customers in, an answer or a hand-over out; then the day of a recall. MBR=program, if not build/mbr.
set -eu
cd "$(dirname "$0")"
mbr=${MBR:-../../build/mbr}
[ -x "$mbr" ] || mbr=mbr

echo "== messages: action, chance of the intent, rule, and the intent, the answer and its words (some of them)"
"$mbr" decide pipeline.yaml sample.csv 2>/dev/null | awk '
    { n[$2]++; if (NR <= 15) print }
    END { printf "%d messages: %d ANSWER, %d HAND_OVER\n", NR, n["ANSWER"], n["HAND_OVER"] }'
echo "== a recall is in the news: what is said of the drift"
"$mbr" decide pipeline.yaml changed.csv 2>&1 >/dev/null | grep 'drift: alarm' || { echo "no alarm"; exit 1; }

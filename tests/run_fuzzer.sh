#!/usr/bin/env bash
# run_fuzzer.sh PROGRAM: HEARTH_FUZZ_SECONDS (10) of one fuzzer, from a copy of its corpus,
# tests/corpus/NAME, and from what its make.sh adds. What it finds stays in build/fuzz/crashes.
set -euo pipefail
program=$1
name=$(basename "$program")
here=$(dirname "$(readlink -f "$0")")
crashes=$(dirname "$program")/crashes
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT

mkdir -p "$crashes"
for seeds in "$here/corpus/$name" "$here/corpus/${name#fuzz_}"; do
	[ ! -d "$seeds" ] || cp -r "$seeds/." "$corpus/"
	[ ! -x "$seeds/make.sh" ] || "$seeds/make.sh" "$corpus"
done
"$program" -max_total_time="${HEARTH_FUZZ_SECONDS:-10}" -timeout=10 -rss_limit_mb=2048 \
	-max_len=65536 -verbosity=0 -print_final_stats=1 \
	-artifact_prefix="$crashes/$name-" "$corpus"

#!/usr/bin/env bash
# run_fuzzer.sh PROGRAM: one fuzzer, from a copy of its corpus, tests/corpus/NAME, and from what its
# make.sh adds. With HEARTH_FUZZ_SECONDS that long, at random. Otherwise 20,000 inputs, the same
# each time, so that what makes it fail is the change and not luck; a slow machine may do fewer.
# What it finds stays in build/fuzz/crashes.
set -euo pipefail
program=$1
name=$(basename "$program")
here=$(dirname "$(readlink -f "$0")")
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT

for seeds in "$here/corpus/$name" "$here/corpus/${name#fuzz_}"; do
	[ ! -d "$seeds" ] || cp -r "$seeds/." "$corpus/"
	[ ! -x "$seeds/make.sh" ] || "$seeds/make.sh" "$corpus"
done
rm -f "$corpus/make.sh"
cd "$(dirname "$program")"
mkdir -p crashes

fuzz=("./$name" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -verbosity=0 -print_final_stats=1
	"-artifact_prefix=crashes/$name-")
if [ -n "${HEARTH_FUZZ_SECONDS:-}" ]; then
	"${fuzz[@]}" "-max_total_time=$HEARTH_FUZZ_SECONDS" "$corpus"
	exit
fi
# No input of these takes a second; the limit is of a clock that goes on while others have the CPU.
fuzz+=(-timeout=100)
# A list instead of a directory, whose order is its file system's. Numbers that the program
# compares get into the inputs, addresses too: so those are not random, and neither are path nor
# environment, below which the stack begins.
seeds=$(LC_ALL=C; printf '%s,' "$corpus"/*)
fixed=(setarch -R)
"${fixed[@]}" true 2>/dev/null || fixed=()
"${fixed[@]}" env -i PATH=/usr/bin:/bin "${fuzz[@]}" -seed=1 -runs=20000 -max_total_time=120 \
	"-seed_inputs=${seeds%,}"

#!/usr/bin/env bash
# make.sh DIRECTORY: links and packed files to begin fuzzing with, made as their tools make them.
set -euo pipefail
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '\0prog.debug\0\0\x78\x56\x34\x12' >"$out/link"
printf '\1../.dwz/shared.debug\0ABCDEFGHIJKLMNOPQRST' >"$out/alternate"
for check in none crc32 sha256; do
	{ printf '\2'; seq 40 | xz -0 --check="$check"; } >"$out/xz-$check"
done
{ printf '\2'; head -c 300 /bin/true | xz -0 --x86 --lzma2=preset=0 --block-size=100; } >"$out/xz-blocks"
printf 'int f(int x) { return x; }' | gcc -xc - -shared -nostdlib -s -o "$work/stripped" \
	-Wl,-z,noseparate-code,-z,max-page-size=16
seq 40 | xz -0 >"$work/xz"
objcopy --add-section .gnu_debugdata="$work/xz" "$work/stripped" "$work/mini"
objcopy --add-gnu-debuglink="$work/xz" "$work/mini" "$work/both"
{ printf '\3'; cat "$work/both"; } >"$out/elf"

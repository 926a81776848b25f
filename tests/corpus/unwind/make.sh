#!/usr/bin/env bash
# make.sh DIRECTORY: small files to begin fuzzing with, made from source: ELF files after a first
# byte f, their .eh_frame after e, their .debug_frame after d; and tables of Go's functions after g.
# The same bytes each time.
set -euo pipefail
out=$(readlink -f "$1")
tables=$(readlink -f "$(dirname "$0")/../pclntab/make.sh")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >x.c <<'END'
#include <stddef.h>
int outside(void *);
int simple(int x) { return outside(&x) * 3; }
int dynamic(size_t n) { return outside(__builtin_alloca(n)); }
int realigned(int x) { __attribute__((aligned(64))) int big[64]; big[0] = x; return outside(big); }
int branches(int x) { if (x) return 0; return outside(&x) + outside(&x); }
void handler(void);
__asm__(".text\nhandler: .cfi_startproc simple\n.cfi_signal_frame\n"
	".cfi_escape 0x0f, 4, 0x77, 0xa0, 0x01, 0x06\n.cfi_escape 0x10, 6, 3, 0x77, 0xf8, 0\n"
	".cfi_escape 0x10, 16, 3, 0x77, 0xa8, 1\nnop\n.cfi_undefined rip\nnop\n.cfi_endproc\n");
END
for options in "-O2" "-O0" "-O2 -fno-asynchronous-unwind-tables -g"; do
	name=x$(tr -d ' =' <<<"$options")
	# shellcheck disable=SC2086
	gcc $options "-fdebug-prefix-map=$dir=/src" -shared -nostdlib -fPIC -fcf-protection -Wl,-z,noseparate-code \
		-Wl,-z,max-page-size=16 -o "$name" x.c
	{ printf f && cat "$name"; } >"$out/$name"
	for section in eh_frame debug_frame; do
		objcopy -O binary --only-section=.$section --set-section-flags .$section=alloc \
			"$name" part 2>/dev/null || continue
		[ ! -s part ] || { printf "${section:0:1}" && cat part; } >"$out/$name.$section"
	done
done
"$tables" .
for table in go*; do
	{ printf g && cat "$table"; } >"$out/$table"
done

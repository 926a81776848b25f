#!/usr/bin/env bash
# make.sh DIRECTORY: small ELF files to begin fuzzing with, made from source, the same each time.
set -euo pipefail
out=$(readlink -f "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >x.c <<'END'
int outside_a(int);
int outside_b(int);
static __attribute__((noinline)) int local(int x) { return outside_a(x) * 3; }
__attribute__((weak)) int weak(int x) { return local(x) + 1; }
int _ZN4name5spaceEi(int x) { return outside_b(x) + weak(x); }
END
for target in x86_64 aarch64 i386; do
	make=(clang "--target=$target-linux-gnu" -fuse-ld=lld -nostdlib -ffreestanding -fPIC -O1
		-shared -Wl,-z,noseparate-code,-z,max-page-size=16,--build-id=sha1 x.c)
	"${make[@]}" -o "$out/$target.so"
	"${make[@]}" -Wl,-s -o "$out/$target-stripped.so"
done

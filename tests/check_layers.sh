#!/usr/bin/env bash
# check_layers.sh [ROOT]: the floors of the house (CONTRIBUTING.md). Each folder includes only
# folders below it, each outside library belongs to one folder, and each header compiles alone.
set -euo pipefail
root=${1:-$(dirname "$(readlink -f "$0")")/..}
# shellcheck source=tests/lint_files.sh
source "$(dirname "$(readlink -f "$0")")/lint_files.sh"
cd "$root"

floors="base bpf profile symbolizer storage profiler web cli"
own='#[[:space:]]*include[[:space:]]*"'
any='#[[:space:]]*include[[:space:]]*["<]'

# folder: what it may include, as paths from the root
declare -A may=(
	[base]='base/'
	[bpf]='bpf/'
	[profile]='(base|profile)/'
	[symbolizer]='(base|profile|symbolizer)/'
	[storage]='(base|profile|storage)/'
	[profiler]='(base|profile|symbolizer|profiler)/|bpf/abi\.h"|[a-z_]+\.skel\.h"'
	[web]='(base|profile|storage|web)/'
	[cli]='(base|profile|symbolizer|storage|profiler|web|cli)/'
)

# outside library: the folders that alone include it, a tab, the header names
libraries='profile	protobuf-c/|google/protobuf
symbolizer	libelf\.h|gelf\.h|lzma\.h|elfutils/|demangle\.h>|libiberty
storage	sqlite3|zdict\.h|pcre2\.h
(symbolizer|storage)	zstd\.h
profiler	bpf/(libbpf|bpf|btf)\.h
web	microhttpd
cli	getopt\.h|argp\.h'

check_own_includes()
{
	local folder=$1 file
	while read -r file; do
		grep -nE "$own" "$file" /dev/null | grep -vE "$own(${may[$folder]})" |
			sed 's/$/   (not below '"$folder"'\/; see the layers in CONTRIBUTING.md)/' || true
		# From the root, so that this check can read them.
		grep -nE "$own"'(\.\.?/|[^"/]*")' "$file" /dev/null | grep -v '\.skel\.h"' |
			sed 's/$/   (includes are spelled from the root)/' || true
	done < <(lint_files . "^$folder/.*\.[ch]\$") | sort -u
}

check_library_owners()
{
	local owner pattern
	while IFS=$'\t' read -r owner pattern; do
		lint_files . "^(${floors// /|})/.*\.[ch]\$" | grep -vE "^$owner/" |
			xargs -r -d '\n' grep -nE "$any($pattern)" /dev/null |
			sed "s#\$#   (only $owner/ may include this library)#" || true
	done <<<"$libraries"
}

# The parsers and the server live without privileges: what they need of /proc is handed to them.
check_proc_paths()
{
	lint_files . '^(symbolizer|storage|web)/.*\.[ch]$' |
		xargs -r -d '\n' grep -nE '"/proc/' /dev/null |
		sed 's|$|   (this folder never opens /proc; take a descriptor)|' || true
}

check_abi_includes()
{
	[ ! -f bpf/abi.h ] || grep -nE "$any" bpf/abi.h /dev/null | grep -v '<linux/types.h>' |
		sed 's|$|   (bpf/abi.h includes only <linux/types.h>)|' || true
}

# bpf/ but for abi.h is compiled for the kernel, with its hand-declared types.
compile_header()
{
	local header=$1 compiler="gcc -std=gnu17 -D_GNU_SOURCE -Werror=implicit-function-declaration"
	case $header in
	bpf/abi.h) ;;
	bpf/*) compiler="clang -target bpf -D__TARGET_ARCH_x86 -Wno-unused-function \
			-Wno-gnu-variable-sized-type-not-at-end \
			-I/usr/include/$(gcc -print-multiarch)" ;;
	esac
	local first
	# shellcheck disable=SC2086
	first=$(printf '#include "%s"\n' "$header" |
		$compiler -Wall -Wextra -Werror -I. -isystem "${SKELETONS:-build/release/skeletons}" \
			-fsyntax-only -x c - 2>&1 | grep -m 1 'error:') || true
	[ -z "$first" ] || echo "$header:1: does not compile alone: $first"
}
export -f compile_header

check_headers_alone()
{
	lint_files . "^(${floors// /|})/.*\.h\$" |
		xargs -r -d '\n' -P "$(nproc)" -I{} bash -c 'compile_header "$1"' - {}
}

for folder in $floors; do
	findings < <(check_own_includes "$folder")
done
findings < <(check_library_owners)
findings < <(check_proc_paths)
findings < <(check_abi_includes)
findings < <(check_headers_alone)
[ "$lint_findings" = 0 ]

#!/usr/bin/env bash
# The checkers find what they are for, and only that: each case is a small tree with one fault.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
trees=$(mktemp -d)
trap 'rm -rf "$trees"' EXIT
failed=0

# tree FILE: an otherwise empty tree whose FILE is standard input
tree()
{
	local root
	root=$(mktemp -d -p "$trees")
	mkdir -p "$root/$(dirname "$1")" "$root/base" "$root/storage"
	printf '#pragma once\nint base_ok(void);\n' >"$root/base/ok.h"
	printf '#pragma once\nint storage_ok(void);\n' >"$root/storage/ok.h"
	cat >"$root/$1"
	printf '%s' "$root"
}

# expect CHECKER RESULT FILE[:LINE] TEXT WHAT: the checker over TEXT in FILE must end in RESULT
# (clean or found) and, when found, say FILE:LINE
expect()
{
	local checker=$1 result=$2 place=$3 text=$4 what=$5 root out rc wanted
	root=$(printf '%b' "$text" | tree "${place%%:*}")
	out=$("$here/$checker" "$root" 2>&1)
	rc=$?
	wanted=$([ "$result" = clean ] && echo 0 || echo 1)
	if [ $rc != "$wanted" ] || { [ $rc = 1 ] && ! grep -qF "$place:" <<<"$out"; }; then
		echo "FAIL  $checker: $what: exit $rc, expected $wanted at $place; said: $out"
		failed=1
	fi
}

layers() { expect check_layers.sh "$@"; }
sizes() { expect check_sizes.sh "$@"; }
words() { expect check_words.sh "$@"; }

layers clean web/a.c '#include "storage/ok.h"\n' "a floor below"
layers clean base/a.c '#include <stdio.h>\n#include "base/ok.h"\n' "a neighbour"
layers found base/a.c:1 '#include "storage/ok.h"\n' "an upward include"
layers found profile/a.h:2 '#pragma once\n#include "storage/ok.h"\n' "an upward include in a header"
layers found profiler/a.c:1 '#include "storage/ok.h"\n' "the profiler knows no storage"
layers found symbolizer/a.c:1 '# include "web/b.h"\n' "an include with a space"
layers found profiler/a.c:1 '#include "bpf/compat.bpf.h"\n' "only abi.h crosses"
layers clean profiler/a.c '#include "bpf/abi.h"\n#include "sampler.skel.h"\n' "abi.h and the skeleton"
layers found base/a.c:1 '#include "ok.h"\n' "not spelled from the root"
layers found storage/a.c:1 '#include "../base/ok.h"\n' "spelled with dots"
layers clean storage/a.c '#include <sqlite3.h>\n#include <zstd.h>\n' "a library in its folder"
layers found web/a.c:1 '#include <sqlite3.h>\n' "SQLite outside storage"
layers found profiler/a.c:1 '#include <gelf.h>\n' "libelf outside the symbolizer"
layers found storage/a.c:1 '#include <protobuf-c/protobuf-c.h>\n' "protobuf outside profile"
layers found cli/a.c:1 '#include <bpf/libbpf.h>\n' "libbpf outside the profiler"
layers found cli/a.c:1 '#include <microhttpd.h>\n' "the HTTP server outside web"
layers found web/a.c:1 '#include <getopt.h>\n' "options outside cli"
layers found symbolizer/a.c:1 'const char *f = "/proc/self/maps";\n' "a /proc path in a parser"
layers clean symbolizer/a.c '/* not /proc/PID */\n' "a /proc path in a comment"
layers found bpf/abi.h:1 '#include <stdint.h>\n' "abi.h beyond linux/types.h"
layers found base/b.h:1 '#pragma once\nuint64_t f(void);\n' "a header that needs another first"

lines() { for ((i = 0; i < $1; i++)); do printf '\\tf();\\n'; done; }
sizes clean base/a.c "int a(void)\n{\n$(lines 80)}\n" "80 lines in a function"
sizes found base/a.c:2 "int a(void)\n{\n$(lines 81)}\n" "81 lines in a function"
sizes found base/a.sh:2 "a()\n{\n$(lines 81)}\n" "81 lines of shell"
sizes clean base/a.c "struct a {\n$(lines 100)};\n" "a struct is no function"
sizes clean base/a.c "$(lines 800)" "800 lines in a file"
sizes found base/a.c:801 "$(lines 801)" "801 lines in a file"

words clean base/a.c 'int n = snprintf(b, 1, "x");\n' "snprintf"
words found base/a.c:1 '\tsprintf(b, "x");\n' "sprintf"
words found base/a.c:2 '/* a\n */ int n = atoi(b);\n' "atoi after a comment"
words clean base/a.c '/* sprintf(b)\n * atoi(b) */ // strcpy(a, b)\n' "names in comments"
words clean base/a.c 'f("strcpy(a, b)");\n' "names in strings"
words clean base/a.c 'my_strcpy(a, b);\n' "another function"
words found base/a.c:1 '\tstrcat (a, b);\n' "strcat with a space"
words found base/a.c:1 '\tchar *p = alloca(9);\n' "alloca"
words found cli/a.c:1 '\tsystem("ls");\n' "a shell"
words clean tests/a.c '\tsystem("ls");\n' "a shell in a test"
words found base/a.c:1 '\tgoto out;\n' "goto in user space"
words clean bpf/a.bpf.c '\tgoto out;\n' "goto in BPF"
words found base/a.c:1 "/* TO""DO: later */\n" "a note in C"
words found docs/a.md:1 "FIX""ME\n" "a note in a document"
words found web/ui/src/a.ts:1 'e.innerHTML = name;\n' "strangers' names as HTML"

[ "$failed" = 0 ] && echo "the checkers find what they are for"
exit "$failed"

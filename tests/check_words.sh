#!/usr/bin/env bash
# check_words.sh [ROOT]: words that must not be in the code. Functions without a bound, a shell
# outside tests, goto in user space, notes about work not done, and writing to `innerHTML`.
# Comments are not searched for functions, code and comments both for notes.
set -euo pipefail
root=${1:-$(dirname "$(readlink -f "$0")")/..}
# shellcheck source=tests/lint_files.sh
source "$(dirname "$(readlink -f "$0")")/lint_files.sh"
cd "$root"

# code_only FILE...: "file:line:code" without comments and string literals
code_only()
{
	awk '
		FNR == 1 { inside = 0 }
		{
			line = $0
			gsub(/\\\\/, "", line); gsub(/\\"/, "", line)
			gsub(/'"'"'"'"'"'/, "", line)
			gsub(/"[^"]*"/, "\"\"", line)
			out = ""
			while (line != "") {
				if (inside) {
					end = index(line, "*/")
					if (!end) break
					line = substr(line, end + 2); inside = 0
					continue
				}
				block = index(line, "/*"); rest = index(line, "//")
				if (rest && (!block || rest < block)) { out = out substr(line, 1, rest - 1); break }
				if (!block) { out = out line; break }
				out = out substr(line, 1, block - 1)
				line = substr(line, block + 2); inside = 1
			}
			print FILENAME ":" FNR ":" out
		}' "$@"
}

check_c()
{
	local paths
	mapfile -t paths < <(lint_files . '\.[ch]$')
	[ ${#paths[@]} != 0 ] || return 0
	code_only "${paths[@]}" | grep -E '[^_[:alnum:]](sprintf|strcpy|strcat|atoi|alloca) *\(' |
		sed 's/$/   (no bound: use snprintf, strdup, struct buf, strtol, the heap)/' || true
	code_only "${paths[@]}" | grep -v '^tests/' |
		grep -E '[^_[:alnum:]](system|popen) *\(' |
		sed 's/$/   (no shell: start programs by their arguments)/' || true
	code_only "${paths[@]}" | grep -v '^bpf/' | grep -E '[^_[:alnum:]]goto[^_[:alnum:]]' |
		sed 's/$/   (no goto in user space: AUTO() of base\/auto.h cleans up)/' || true
}

# Spelled so that this file does not find itself.
check_notes()
{
	lint_files . '\.(c|h|py|sh|ts|tsx|css|sql|cmake|md)$|^(dev|Dockerfile)$|CMakeLists.txt$' |
		xargs -r -d '\n' grep -nwE 'TO[D]O|FIX[M]E|X[X]X' /dev/null |
		sed 's/$/   (finish it, or leave it out)/' || true
}

check_page()
{
	lint_files . '^web/ui/.*\.tsx?$' |
		xargs -r -d '\n' grep -nE '(inner|outer)HTML|insertAdjacentHTML' /dev/null |
		sed 's/$/   (names come from strangers: textContent)/' || true
}

findings < <(check_c)
findings < <(check_notes)
findings < <(check_page)
[ "$lint_findings" = 0 ]

#!/usr/bin/env bash
# check_sizes.sh [ROOT]: a function fits on a screen and a file is one idea. Functions of C and
# shell end after at most 80 lines, files after 800.
set -euo pipefail
root=${1:-$(dirname "$(readlink -f "$0")")/..}
# shellcheck source=tests/lint_files.sh
source "$(dirname "$(readlink -f "$0")")/lint_files.sh"
cd "$root"

# clang-format puts the braces of a function, and only those, alone in column 0.
measure()
{
	awk -v function_max=80 -v file_max=800 '
		FNR == 1 { open = 0 }
		FNR == file_max + 1 {
			printf "%s:%d: the file has more than %d lines\n", FILENAME, FNR, file_max
		}
		/^{$/ { open = FNR; name = last }
		/^}/ && open {
			if (FNR - open - 1 > function_max)
				printf "%s:%d: %d lines in one function, at most %d: %s\n",
				       FILENAME, open, FNR - open - 1, function_max, name
			open = 0
		}
		/^[^ \t#}{]/ { last = $0 }' "$@"
}

mapfile -t paths < <(lint_files . '(\.(c|h|sh|ts|tsx|css|sql|py)|^dev|^\.ci/run)$')
[ ${#paths[@]} = 0 ] || findings < <(measure "${paths[@]}")
[ "$lint_findings" = 0 ]

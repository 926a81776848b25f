#!/usr/bin/env bash
# lint.sh BUILD JOBS: every checker over the tree, all findings in one go as file:line: text.
# BUILD has the compile commands and the generated headers.
set -uo pipefail
build=$(readlink -f "${1:?build directory}")
jobs=${2:-2}
cd "$(dirname "$(readlink -f "$0")")/.."
# shellcheck source=tests/lint_files.sh
source tests/lint_files.sh
export SKELETONS="$build/skeletons"

failed=()
# check NAME COMMAND...
check()
{
	local name=$1 start=$SECONDS
	shift
	if "$@"; then
		echo "ok    $name ($((SECONDS - start)) s)"
	else
		echo "FAIL  $name"
		failed+=("$name")
	fi
}

format()
{
	lint_files . '\.[ch]$' | xargs -r -d '\n' -n 20 -P "$jobs" clang-format --dry-run -Werror
}

# What is compiled for the kernel has its own rules, and its own compiler to check them.
tidy()
{
	lint_files . '^(base|profile|symbolizer|storage|profiler|web|cli|tests)/.*\.c$' |
		grep -vE '^tests/(e2e|programs|fixtures)/|^tests/fuzz_' |
		xargs -r -d '\n' -n 4 -P "$jobs" \
			clang-tidy -p "$build" --quiet --warnings-as-errors='*' 2>/dev/null |
		grep -vE '^[0-9]+ warnings? (generated|treated)' | sed "s|^$PWD/||"
	return "${PIPESTATUS[2]}"
}

typescript()
{
	[ -f web/ui/package.json ] || return 0
	[ -d web/ui/node_modules ] || npm ci --prefix web/ui --silent
	npm run --prefix web/ui --silent lint
}

python_compiles()
{
	lint_files . '\.py$' | xargs -r -d '\n' python3 -c '
import ast, sys
for path in sys.argv[1:]:
    try:
        with open(path) as file:
            ast.parse(file.read(), path)
    except SyntaxError as error:
        sys.exit(f"{path}:{error.lineno}: {error.msg}")'
}

shell_parses()
{
	local path bad=0
	while read -r path; do
		bash -n "$path" || bad=1
	done < <(lint_files . '(\.sh|^dev|^\.ci/run)$')
	return $bad
}

check "format" format
check "layers, headers" tests/check_layers.sh
check "sizes" tests/check_sizes.sh
check "words" tests/check_words.sh
check "shell" shell_parses
check "python" python_compiles
check "typescript" typescript
check "clang-tidy" tidy

[ ${#failed[@]} = 0 ] || {
	echo "lint: ${failed[*]}"
	exit 1
}

# Sourced by the checkers: which files are the project's own, and how findings are printed.
# shellcheck shell=bash

# lint_files ROOT REGEX: files below ROOT whose path matches, relative to it; not what git ignores
lint_files()
{
	if git -C "$1" rev-parse --git-dir >/dev/null 2>&1; then
		git -C "$1" ls-files --cached --others --exclude-standard
	else
		(cd "$1" && find . -type f -printf '%P\n')
	fi | grep -vE '(^|/)(node_modules|build|dist)/' | grep -E "$2" |
		while read -r path; do [ ! -f "$1/$path" ] || printf '%s\n' "$path"; done | sort -u
}

lint_findings=0

# finding TEXT: one line, "file:line: what is wrong"
finding()
{
	printf '%s\n' "$1"
	lint_findings=$((lint_findings + 1))
}

# findings: the same, one per line of standard input
findings()
{
	local line
	while IFS= read -r line; do
		[ -z "$line" ] || finding "$line"
	done
}

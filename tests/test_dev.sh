#!/usr/bin/env bash
# What `./dev test` makes of results: the counts, the skips that may be, the tests that are run
# once more. ctest and all that ./dev would install or build are stand-ins here.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
failed=0

mkdir -p "$root/tests" "$root/bin"
cp "$here/../dev" "$root/dev"
echo 'test_allowed the machine may lack it' >"$root/tests/allowed_skips.txt"

stand_in()
{
	cat >"$root/bin/$1"
	chmod +x "$root/bin/$1"
}

stand_in cmake <<<'#!/bin/sh'
stand_in ninja <<<'#!/bin/sh'
stand_in npm <<<'#!/bin/sh'
printf '#!/bin/sh\necho v20.0.0\n' | stand_in node
printf '#!/bin/sh\nshift 2\nprintf "ii  %%s\\n" "$@"\n' | stand_in dpkg-query
# Reads `plan`: NAME LABEL STATUS STATUS..., a status for each time that it is run: run, fail, skip
# or notrun. What ran is in `ran`.
stand_in ctest <<'E2'
#!/usr/bin/env bash
cd "$(dirname "$0")/.." || exit 1
label="" names=.
while [ $# -gt 0 ]; do
	case $1 in
	--test-dir) preset=${2#build/}; shift ;;
	--output-junit) report=$2; shift ;;
	-L) label=$2; shift ;;
	-R) names=$2; shift ;;
	esac
	shift
done
[ "$preset" = asan ] || names=none
{
	echo '<testsuite>'
	while read -r name labels statuses; do
		[ "$label" != live ] || [ "$labels" = live ] || continue
		[[ $name =~ $names ]] || continue
		echo "$name" >>ran
		read -r -a status <<<"$statuses"
		state=${status[$(grep -cx "$name" ran) - 1]}
		case $state in
		skip) echo "<testcase name=\"$name\" status=\"notrun\"><skipped message=\"SKIP_RETURN_CODE=77\"/>" ;;
		*) echo "<testcase name=\"$name\" status=\"$state\">" ;;
		esac
		echo '</testcase>'
	done <plan
	echo '</testsuite>'
} >"$report"
E2

# expect RESULT LAST-LINE TEXT PLAN WHAT: `./dev test unit` ends so, and says TEXT
expect()
{
	local result=$1 last=$2 text=$3 plan=$4 what=$5 out rc
	rm -f "$root/ran"
	printf '%b' "$plan" >"$root/plan"
	out=$(PATH="$root/bin:$PATH" CI=true "$root/dev" test unit 2>&1)
	rc=$?
	if [ "$rc" != "$result" ] || [ "$(tail -1 <<<"$out")" != "$last" ] || ! grep -qF -- "$text" <<<"$out"; then
		echo "FAIL  $what: exit $rc, said: $out"
		failed=1
	fi
}

expect 0 "2 passed, 0 failed, 0 skipped" "" 'a live run\nb - run\n' "all well"
expect 1 "1 passed, 1 failed, 0 skipped" "" 'a live run\nb - fail run\n' "no second try"
expect 0 "2 passed, 0 failed, 0 skipped" "passed when run again: a" 'a live fail run\nb - run\n' "a second try"
expect 1 "1 passed, 1 failed, 0 skipped" "" 'a live fail fail run\nb - run\n' "no third try"
expect 1 "1 passed, 1 failed, 0 skipped" "passed when run again: a" 'a live fail run\nb - fail run\n' "each for itself"
expect 0 "3 passed, 0 failed, 0 skipped" "again: a b c" 'a live fail run\nb live fail run\nc live fail run\n' "three"
expect 1 "0 passed, 4 failed, 0 skipped" "" \
	'a live fail run\nb live fail run\nc live fail run\nd live fail run\n' "four are no chance"
expect 1 "1 passed, 1 failed, 0 skipped" "" 'a live run\nb - notrun\n' "not started is failed"
expect 0 "1 passed, 0 failed, 1 skipped" "may lack it" 'a live run\ntest_allowed live skip\n' "a skip that may be"
expect 1 "1 passed, 1 failed, 0 skipped" "does not allow it" 'a live run\nb - skip\n' "a skip that may not"
expect 1 "1 passed, 1 failed, 0 skipped" "" 'a live run\nab live fail skip\n' "skipped at last has not passed"
if grep -qx a "$root/ran" && [ "$(grep -cx a "$root/ran")" != 1 ]; then
	echo "FAIL  what passed ran again"
	failed=1
fi

[ "$failed" = 0 ] && echo "test_dev: all cases as expected"
exit "$failed"

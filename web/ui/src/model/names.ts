/*
 * names: long names of functions made short enough to read, and lines taken apart.
 *
 * Only for show: what is searched, compared and copied is the whole name.
 */

const LONG_NAME = 80;
const LONG_LIST = 12;
const MOST_DEPTH = 6; /* deeper lists are never shown */

interface List {
	readonly start: number /* behind its "<" */;
	readonly end: number /* at its ">" */;
	readonly depth: number /* 1: in no other, nor in "(...)" */;
}

/* The end of "operator<<" and the like at `at`, whose signs are no brackets; else `at`. */
function skipOperator(name: string, at: number): number {
	if (!name.startsWith("operator", at) || /\w/.test(name[at - 1] ?? "")) return at;
	const signs = /^\s*(?:<=>|<<=?|>>=?|->\*?|[<>]=?)/.exec(name.slice(at + 8, at + 14));
	return signs ? at + 8 + signs[0].length : at;
}

/* The argument lists of templates; null when the brackets are no such lists. */
function templateLists(name: string): readonly List[] | null {
	const lists: List[] = [];
	const open: number[] = [];
	let parentheses = 0;
	for (let i = 0; i < name.length; i++) {
		i = skipOperator(name, i);
		if (name[i] === "(") parentheses++;
		if (name[i] === ")") parentheses = Math.max(0, parentheses - 1);
		if (name[i] === "<") open.push(i + 1);
		if (name[i] !== ">" || name[i - 1] === "-" || name[i - 1] === "=") continue;
		const start = open.pop();
		if (start === undefined) return null;
		lists.push({ start, end: i, depth: open.length + parentheses + 1 });
	}
	return open.length === 0 ? lists.sort((a, b) => a.start - b.start) : null;
}

/* Rust's "<Vec<T> as Trait>::f" begins with a type, which says more than its arguments. */
const isArguments = (name: string, list: List): boolean =>
	/(?:[\w\]]|operator\S+ ?)$/.test(name.slice(Math.max(0, list.start - 14), list.start - 1));

/* Every long list of that depth becomes "…". */
function cutLists(name: string, lists: readonly List[], depth: number): string {
	let text = "";
	let at = 0;
	for (const { start, end } of lists.filter((l) => l.depth === depth)) {
		text += `${name.slice(at, start)}…`;
		at = end;
	}
	return text + name.slice(at);
}

/* The last "(...)" that stands in no other bracket: the types of the arguments. */
function cutParameters(name: string): string {
	let depth = 0;
	for (let i = name.lastIndexOf(")"), end = i; i >= 0; i--) {
		if (name[i] === ")") depth++;
		if (name[i] !== "(" || --depth > 0) continue;
		const inner = name.slice(i + 1, end);
		if (inner.length <= LONG_LIST || inner === "anonymous namespace") return name;
		return `${name.slice(0, i + 1)}…${name.slice(end)}`;
	}
	return name;
}

/* "std::vector<std::pair<…>>::push_back(…)": of a long name, the innermost long lists of
 * template arguments go first, then the outer ones, then the types of its own arguments. */
export function shortName(name: string): string {
	if (name.length <= LONG_NAME) return name;
	const all = templateLists(name);
	if (!all) return name;
	const lists = all.filter((l) => l.end - l.start > LONG_LIST && isArguments(name, l));
	const deepest = lists.reduce((depth, l) => Math.max(depth, l.depth), 0);
	let short = name;
	for (let depth = Math.min(deepest, MOST_DEPTH); depth > 0; depth--) {
		short = cutLists(name, lists, depth);
		if (short.length <= LONG_NAME) return short;
	}
	return cutParameters(short);
}

/* "work work.c:12" as the server names lines; place is "" when it is not known. */
export function splitLine(name: string): { readonly name: string; readonly place: string } {
	const match = /^(.+) ([^\s()<>]*\.\w+(?::\d+)?|[^\s()<>:]+:\d+)$/.exec(name);
	return match ? { name: match[1]!, place: match[2]! } : { name, place: "" };
}

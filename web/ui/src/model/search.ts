/*
 * search: which frames a text or /regular expression/ means, and how much time they hold.
 */
import type { CallTree } from "./calltree";

export type Matcher = (name: string) => boolean;
export type ParsedSearch =
	| { readonly ok: true; readonly matches: Matcher | null } /* null: nothing asked */
	| { readonly ok: false; readonly message: string };

/* "text" matches without regard to case; "/re/" and "/re/i" are JavaScript's. */
export function parseSearch(text: string): ParsedSearch {
	if (text === "") return { ok: true, matches: null };
	const re = /^\/(.+)\/([i]?)$/.exec(text);
	if (!re) {
		const needle = text.toLowerCase();
		return { ok: true, matches: (name) => name.toLowerCase().includes(needle) };
	}
	try {
		const pattern = new RegExp(re[1]!, re[2]);
		return { ok: true, matches: (name) => pattern.test(name) };
	} catch (error) {
		return { ok: false, message: error instanceof Error ? error.message : String(error) };
	}
}

export interface Matches {
	readonly byName: Uint8Array /* 1 for each name that matches; indexed as tree.names */;
	readonly frames: number /* nodes that match */;
}

/* The root matches nothing: it is no function. */
export function findMatches(tree: CallTree, matches: Matcher): Matches {
	const byName = new Uint8Array(tree.names.length);
	for (let i = 0; i < byName.length; i++) byName[i] = matches(tree.names[i]!) ? 1 : 0;
	let frames = 0;
	for (let i = 1; i < tree.count; i++) frames += byName[tree.name[i]!]!;
	return { byName, frames };
}

/* Time under matching frames below `root` (itself included). A frame below another match is
 * on the same path and counts once. */
export function matchedNs(tree: CallTree, found: Matches, root = 0): number {
	let sum = 0;
	for (let i = root; i < tree.end[root]!; ) {
		if (i > 0 && found.byName[tree.name[i]!] === 1) {
			sum += tree.nodeNs[i]!;
			i = tree.end[i]!;
		} else {
			i++;
		}
	}
	return sum;
}

/*
 * nodepath: a node of a call tree as a short text that outlives the tree.
 *
 * Four characters a level: 24 bits of the hash of the function's name. The same path is found
 * again in the tree of another time range; when it is gone, its nearest ancestor is.
 */
import type { CallTree } from "./calltree";
import { nameOf, pathOf } from "./calltree";

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CHARS = 4;

/* FNV-1a over UTF-16 units. http://www.isthe.com/chongo/tech/comp/fnv/ */
export function hashText(text: string): number {
	let hash = 0x811c9dc5;
	for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
	return hash >>> 0;
}

function encodeName(name: string): string {
	const hash = hashText(name);
	const bits = (hash ^ (hash >>> 24)) & 0xffffff;
	let text = "";
	for (let shift = 18; shift >= 0; shift -= 6) text += DIGITS[(bits >>> shift) & 63];
	return text;
}

/* "" for the root. */
export function encodePath(tree: CallTree, node: number): string {
	return pathOf(tree, node)
		.slice(1)
		.map((i) => encodeName(nameOf(tree, i)))
		.join("");
}

/* The deepest node on the path that the tree has, and whether that is the whole path. */
export function resolvePath(
	tree: CallTree,
	path: string,
): { readonly node: number; readonly whole: boolean } {
	let node = 0;
	for (let at = 0; at < path.length; at += CHARS) {
		const wanted = path.slice(at, at + CHARS);
		let child = node + 1;
		while (child < tree.end[node]! && encodeName(nameOf(tree, child)) !== wanted)
			child = tree.end[child]!;
		if (child >= tree.end[node]!) return { node, whole: false };
		node = child;
	}
	return { node, whole: true };
}

/* The same node in another tree, or null when that has none. */
export function carryNode(from: CallTree, to: CallTree, node: number): number | null {
	const found = resolvePath(to, encodePath(from, node));
	return found.whole ? found.node : null;
}

export function isPath(text: string): boolean {
	return text.length % CHARS === 0 && /^[\w-]*$/.test(text);
}

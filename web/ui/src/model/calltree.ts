/*
 * calltree: totals by call path, as columns; read from the server's binary flame table.
 *
 * Nodes are in depth-first order, so a subtree is the contiguous range [i, end[i]) and every
 * question about paths is one scan without recursion. Weights are ns. Immutable.
 * Format: docs/API.md, "Flame table".
 */

export const enum Kind {
	Root = 0,
	Native = 1,
	Kernel = 2,
	Inlined = 3,
	Jit = 4,
	Vdso = 5,
	Mark = 6,
}

export interface CallTree {
	readonly count: number;
	readonly totalNs: number;
	readonly samples: number;
	readonly fromUs: number;
	readonly untilUs: number;
	readonly maxDepth: number;
	readonly names: readonly string[];
	readonly selfNs: Float64Array;
	readonly nodeNs: Float64Array;
	readonly parent: Uint32Array;
	readonly name: Uint32Array;
	readonly mapping: Uint32Array;
	readonly nodeSamples: Uint32Array;
	readonly kind: Uint8Array;
	/* Derived. */
	readonly end: Uint32Array /* one past the last node of the subtree */;
	readonly depth: Uint16Array;
	readonly startNs: Float64Array /* left edge: siblings side by side from the parent's */;
}

export class MalformedError extends Error {}

const MAGIC = "HEARTHF1";
const HEADER_BYTES = 8 + 16 + 32;
const MAX_NODES = 5_000_000;
const MAX_DEPTH = 65_535;

class Columns {
	private offset = 0;
	constructor(private readonly bytes: ArrayBuffer) {}
	private take(size: number): number {
		const at = this.offset;
		if (at + size > this.bytes.byteLength)
			throw new MalformedError(
				`flame table ends early: ${this.bytes.byteLength} bytes, at least ${at + size} needed`,
			);
		this.offset = (at + size + 7) & ~7;
		return at;
	}
	f64(count: number): Float64Array {
		return new Float64Array(this.bytes, this.take(count * 8), count);
	}
	i64(): number {
		return Number(new DataView(this.bytes, this.take(8), 8).getBigInt64(0, true));
	}
	u32(count: number): Uint32Array {
		return new Uint32Array(this.bytes, this.take(count * 4), count);
	}
	u8(count: number): Uint8Array {
		return new Uint8Array(this.bytes, this.take(count), count);
	}
}

function decodeNames(offsets: Uint32Array, bytes: Uint8Array): string[] {
	const decoder = new TextDecoder();
	const names: string[] = [];
	for (let i = 0; i + 1 < offsets.length; i++) {
		const from = offsets[i]!;
		const to = offsets[i + 1]!;
		if (from > to || to > bytes.length)
			throw new MalformedError(`flame table: name ${i} lies outside of the names`);
		names.push(decoder.decode(bytes.subarray(from, to)));
	}
	return names;
}

type Raw = Omit<CallTree, "end" | "depth" | "startNs">;

function checkNodes(raw: Raw): void {
	const nameCount = raw.names.length;
	for (let i = 0; i < raw.count; i++) {
		if (i > 0 && raw.parent[i]! >= i)
			throw new MalformedError(`flame table: node ${i} comes before its parent`);
		if (raw.name[i]! >= nameCount || raw.mapping[i]! >= nameCount)
			throw new MalformedError(`flame table: node ${i} has a name that does not exist`);
		if (!(raw.nodeNs[i]! >= 0) || !(raw.selfNs[i]! >= 0))
			throw new MalformedError(`flame table: node ${i} has a weight that is no weight`);
	}
}

/* Fills depths and left edges; returns the greatest depth. */
function placeNodes({ count, parent, nodeNs }: Raw, depth: Uint16Array, startNs: Float64Array): number {
	const cursor = new Float64Array(count); /* where the next child of each node begins */
	const path = [0]; /* by depth: the last node seen there */
	let maxDepth = 0;
	for (let i = 1; i < count; i++) {
		const up = parent[i]!;
		const level = depth[up]! + 1;
		if (level > depth[i - 1]! + 1 || path[level - 1] !== up)
			throw new MalformedError(`flame table: node ${i} is out of depth-first order`);
		if (level > MAX_DEPTH) throw new MalformedError(`flame table: deeper than ${MAX_DEPTH}`);
		depth[i] = level;
		path[level] = i;
		maxDepth = Math.max(maxDepth, level);
		startNs[i] = cursor[up]!;
		cursor[up] = startNs[i]! + nodeNs[i]!;
		cursor[i] = startNs[i]!;
	}
	return maxDepth;
}

/* Adds the derived columns. Throws MalformedError when the nodes are not in depth-first order. */
export function deriveCallTree(raw: Raw): CallTree {
	checkNodes(raw);
	const { count, parent } = raw;
	const end = new Uint32Array(count);
	const depth = new Uint16Array(count);
	const startNs = new Float64Array(count);
	for (let i = count - 1; i >= 0; i--) {
		if (end[i]! === 0) end[i] = i + 1;
		if (i > 0 && end[parent[i]!]! < end[i]!) end[parent[i]!] = end[i]!;
	}
	const maxDepth = placeNodes(raw, depth, startNs);
	return { ...raw, maxDepth, end, depth, startNs };
}

/* The bytes of `GET /flame?format=table`. Throws MalformedError. */
export function decodeFlameTable(bytes: ArrayBuffer): CallTree {
	if (bytes.byteLength < HEADER_BYTES)
		throw new MalformedError(`flame table ends early: ${bytes.byteLength} bytes`);
	const columns = new Columns(bytes);
	const magic = new TextDecoder("latin1").decode(columns.u8(8));
	if (magic !== MAGIC)
		throw new MalformedError(`not a flame table: it begins with ${JSON.stringify(magic)}`);
	const head = columns.u32(4);
	const [count = 0, nameCount = 0, nameBytes = 0, maxDepth = 0] = head;
	if (count < 1 || count > MAX_NODES || nameCount < 1)
		throw new MalformedError(`flame table with ${count} nodes and ${nameCount} names`);
	const totalNs = columns.f64(1)[0]!;
	const samples = columns.f64(1)[0]!;
	const fromUs = columns.i64();
	const untilUs = columns.i64();
	const selfNs = columns.f64(count);
	const nodeNs = columns.f64(count);
	const parent = columns.u32(count);
	const name = columns.u32(count);
	const mapping = columns.u32(count);
	const nodeSamples = columns.u32(count);
	const offsets = columns.u32(nameCount + 1);
	const kind = columns.u8(count);
	const names = decodeNames(offsets, columns.u8(nameBytes));
	return deriveCallTree({
		count,
		totalNs,
		samples,
		fromUs,
		untilUs,
		maxDepth,
		names,
		selfNs,
		nodeNs,
		parent,
		name,
		mapping,
		nodeSamples,
		kind,
	});
}

export function nameOf(tree: CallTree, node: number): string {
	return tree.names[tree.name[node]!] ?? "";
}

export function mappingOf(tree: CallTree, node: number): string {
	return tree.names[tree.mapping[node]!] ?? "";
}

/* From the root down to the node, both included. */
export function pathOf(tree: CallTree, node: number): number[] {
	const path = [node];
	for (let i = node; i > 0; i = tree.parent[i]!) path.unshift(tree.parent[i]!);
	return path;
}

export function childrenOf(tree: CallTree, node: number): number[] {
	const children: number[] = [];
	for (let i = node + 1; i < tree.end[node]!; i = tree.end[i]!) children.push(i);
	return children;
}

/* The next (step 1) or previous (step -1) child of the same parent, or the node itself. */
export function siblingOf(tree: CallTree, node: number, step: 1 | -1): number {
	if (node === 0) return 0;
	const siblings = childrenOf(tree, tree.parent[node]!);
	return siblings[siblings.indexOf(node) + step] ?? node;
}

export function heaviestChildOf(tree: CallTree, node: number): number {
	let best = node;
	for (let i = node + 1; i < tree.end[node]!; i = tree.end[i]!)
		if (best === node || tree.nodeNs[i]! > tree.nodeNs[best]!) best = i;
	return best;
}

/*
 * flame: which boxes of a call tree a window shows, and where.
 *
 * A window is a span [x0, x1] of the tree's total, in ns, and rows [row0, row1). Only what is
 * visible is looked at: a subtree outside of the window, or thinner than a box, is skipped
 * whole. Thin neighbours become one box without a node, so that no time looks empty.
 */
import type { CallTree } from "./calltree";

export interface Window {
	readonly x0: number /* ns from the left edge of the root */;
	readonly x1: number;
}

export interface Viewport extends Window {
	readonly widthPx: number;
	readonly row0: number /* depth of the first row seen */;
	readonly row1: number /* one past the last */;
	readonly minPx: number /* thinner boxes are merged */;
}

/* Columns of `count` boxes, clipped to the viewport. */
export interface Boxes {
	readonly count: number;
	readonly node: Int32Array /* -1: several thin nodes */;
	readonly row: Uint16Array;
	readonly leftPx: Float32Array;
	readonly widthPx: Float32Array;
}

export const MERGED = -1;

class BoxList {
	count = 0;
	private room = 1024;
	node = new Int32Array(this.room);
	row = new Uint16Array(this.room);
	leftPx = new Float32Array(this.room);
	widthPx = new Float32Array(this.room);

	push(node: number, row: number, leftPx: number, widthPx: number): void {
		if (this.count === this.room) this.grow();
		this.node[this.count] = node;
		this.row[this.count] = row;
		this.leftPx[this.count] = leftPx;
		this.widthPx[this.count++] = widthPx;
	}

	private grow(): void {
		this.room *= 2;
		const copy = <T extends { set(from: T): void }>(to: T, from: T): T => (to.set(from), to);
		this.node = copy(new Int32Array(this.room), this.node);
		this.row = copy(new Uint16Array(this.room), this.row);
		this.leftPx = copy(new Float32Array(this.room), this.leftPx);
		this.widthPx = copy(new Float32Array(this.room), this.widthPx);
	}
}

/* Runs of thin boxes, one under way for each row. */
class ThinRuns {
	private readonly left: Float64Array;
	private readonly right: Float64Array;
	constructor(
		rows: number,
		private readonly out: BoxList,
		private readonly row0: number,
	) {
		this.left = new Float64Array(rows).fill(-1);
		this.right = new Float64Array(rows);
	}
	add(row: number, leftPx: number, rightPx: number): void {
		const i = row - this.row0;
		if (this.left[i]! >= 0 && leftPx - this.right[i]! < 0.5) {
			this.right[i] = rightPx;
			return;
		}
		this.flush(row);
		this.left[i] = leftPx;
		this.right[i] = rightPx;
	}
	flush(row: number): void {
		const i = row - this.row0;
		const widthPx = this.right[i]! - this.left[i]!;
		if (this.left[i]! >= 0 && widthPx >= 0.25) this.out.push(MERGED, row, this.left[i]!, widthPx);
		this.left[i] = -1;
	}
	flushAll(): void {
		for (let i = 0; i < this.left.length; i++) this.flush(i + this.row0);
	}
}

export function layoutFlame(tree: CallTree, view: Viewport): Boxes {
	const out = new BoxList();
	const thin = new ThinRuns(Math.max(0, view.row1 - view.row0), out, view.row0);
	const spanNs = view.x1 - view.x0;
	const pxPerNs = spanNs > 0 ? view.widthPx / spanNs : 0;
	for (let i = 0; i < tree.count; ) {
		const row = tree.depth[i]!;
		const start = tree.startNs[i]!;
		const width = tree.nodeNs[i]!;
		if (row >= view.row1 || start >= view.x1 || start + width <= view.x0) {
			i = tree.end[i]!;
			continue;
		}
		const leftPx = Math.max(0, (start - view.x0) * pxPerNs);
		const rightPx = Math.min(view.widthPx, (start + width - view.x0) * pxPerNs);
		const isThin = width * pxPerNs < view.minPx;
		if (row >= view.row0) {
			if (isThin) thin.add(row, leftPx, rightPx);
			else out.push(i, row, leftPx, rightPx - leftPx);
		}
		i = isThin ? tree.end[i]! : i + 1;
	}
	thin.flushAll();
	return out;
}

/* The node drawn at (ns, row), however thin, or null. */
export function nodeAt(tree: CallTree, ns: number, row: number): number | null {
	if (ns < 0 || ns >= tree.nodeNs[0]! || row < 0) return null;
	let node = 0;
	while (tree.depth[node]! < row) {
		let child = node + 1;
		while (child < tree.end[node]! && tree.startNs[child]! + tree.nodeNs[child]! <= ns)
			child = tree.end[child]!;
		if (child >= tree.end[node]! || tree.startNs[child]! > ns) return null;
		node = child;
	}
	return node;
}

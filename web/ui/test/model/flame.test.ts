import { describe, expect, test } from "vitest";
import { type CallTree, decodeFlameTable } from "../../src/model/calltree";
import { type Boxes, MERGED, type Viewport, layoutFlame, nodeAt } from "../../src/model/flame";
import { encodeFlameTable, makeRandom, makeTree } from "../mock-server/data";
import { SMALL, toArrayBuffer, tree } from "./trees";

const ALL: Viewport = { x0: 0, x1: 100, widthPx: 1000, row0: 0, row1: 10, minPx: 0.5 };

function list(boxes: Boxes): [number, number, number, number][] {
	return Array.from({ length: boxes.count }, (_, i) => [
		boxes.node[i]!,
		boxes.row[i]!,
		boxes.leftPx[i]!,
		boxes.widthPx[i]!,
	]);
}

describe("layoutFlame", () => {
	const t = tree(SMALL);
	test("the whole tree: 10 px for each ns", () => {
		expect(list(layoutFlame(t, ALL))).toEqual([
			[0, 0, 0, 1000],
			[1, 1, 0, 600],
			[2, 2, 0, 200],
			[3, 2, 200, 300],
			[4, 1, 600, 300],
			[5, 2, 600, 300],
		]);
	});
	test("zoomed to c: ancestors are clipped, others gone", () => {
		expect(list(layoutFlame(t, { ...ALL, x0: 20, x1: 50 }))).toEqual([
			[0, 0, 0, 1000],
			[1, 1, 0, 1000],
			[3, 2, 0, 1000],
		]);
	});
	test("a neighbour that only touches the window is not in it", () => {
		const nodes = list(layoutFlame(t, { ...ALL, x0: 60, x1: 90 })).map(([n]) => n);
		expect(nodes).toEqual([0, 4, 5]);
	});
	test("rows outside of the viewport are left out, but looked through", () => {
		expect(list(layoutFlame(t, { ...ALL, row0: 2, row1: 3 })).map(([n]) => n)).toEqual([2, 3, 5]);
		expect(list(layoutFlame(t, { ...ALL, row1: 1 })).map(([n]) => n)).toEqual([0]);
		expect(layoutFlame(t, { ...ALL, row1: 0 }).count).toBe(0);
	});
	test("thin neighbours become one box, with their width", () => {
		const many = tree(["all", 0, ...Array.from({ length: 1000 }, (_, i) => [`f${i}`, 1] as const)]);
		expect(list(layoutFlame(many, { ...ALL, x1: 1000, widthPx: 100 }))).toEqual([
			[0, 0, 0, 100],
			[MERGED, 1, 0, expect.closeTo(100, 3)],
		]);
	});
	test("nothing weighs anything", () => {
		expect(
			list(layoutFlame(tree(["all", 0]), { ...ALL, x1: 0 })).filter(([, , , width]) => width > 0),
		).toEqual([]);
	});
});

/* Without any cleverness: every node, then what can be seen of it. */
function layoutPlainly(t: CallTree, v: Viewport): [number, number, number, number][] {
	const scale = v.widthPx / (v.x1 - v.x0);
	const out: [number, number, number, number][] = [];
	for (let i = 0; i < t.count; i++) {
		const start = t.startNs[i]!;
		const end = start + t.nodeNs[i]!;
		if (
			t.depth[i]! < v.row0 ||
			t.depth[i]! >= v.row1 ||
			start >= v.x1 ||
			end <= v.x0 ||
			(end - start) * scale < v.minPx
		)
			continue;
		const left = Math.max(0, (start - v.x0) * scale);
		out.push([
			i,
			t.depth[i]!,
			Math.fround(left),
			Math.fround(Math.min(v.widthPx, (end - v.x0) * scale) - left),
		]);
	}
	return out;
}

describe("on a big tree", () => {
	const big = decodeFlameTable(
		toArrayBuffer(
			encodeFlameTable(
				makeTree({
					seconds: 900,
					keep: (_, wait) => wait === null,
					focus: "",
					rootBy: "",
					frames: "function",
					stacks: 6000,
				}),
				1,
				2,
			),
		),
	);
	const random = makeRandom(42);
	const views = Array.from({ length: 40 }, () => {
		const x0 = random() * big.totalNs;
		const row0 = Math.floor(random() * 6);
		return {
			x0,
			x1: x0 + 1 + random() ** 3 * (big.totalNs - x0),
			widthPx: 1400,
			row0,
			row1: row0 + 30,
			minPx: 0.5,
		};
	});
	test("agrees with a plain scan at every zoom", () => {
		expect(big.count).toBeGreaterThan(5000);
		for (const view of views)
			expect(list(layoutFlame(big, view)).filter(([n]) => n !== MERGED)).toEqual(
				layoutPlainly(big, view),
			);
	});
	test("children never outweigh their parent, and lie within it", () => {
		const astray: number[] = [];
		for (let i = 1; i < big.count; i++) {
			const up = big.parent[i]!;
			const isWithin =
				big.startNs[i]! >= big.startNs[up]! &&
				big.startNs[i]! + big.nodeNs[i]! <= big.startNs[up]! + big.nodeNs[up]!;
			if (!isWithin) astray.push(i);
		}
		expect(astray).toEqual([]);
	});
	test("what is drawn at a point is what is found there", () => {
		for (const view of views.slice(0, 10))
			for (const [n, row, left, width] of list(layoutFlame(big, view)).filter(
				([node]) => node !== MERGED,
			)) {
				const ns = view.x0 + ((left + width / 2) / view.widthPx) * (view.x1 - view.x0);
				expect(nodeAt(big, ns, row)).toBe(n);
			}
	});
});

describe("nodeAt", () => {
	const t = tree(SMALL);
	test.each([
		[0, 0, 0],
		[0, 1, 1],
		[25, 2, 3],
		[59.9, 1, 1],
		[60, 1, 4],
		[89, 2, 5],
		[50, 2, null],
		[55, 2, null],
		[95, 1, null],
		[95, 0, 0],
		[10, 3, null],
		[-1, 0, null],
		[100, 0, null],
		[10, -1, null],
	])("at %d ns, row %d: %s", (ns, row, wanted) => expect(nodeAt(t, ns, row)).toBe(wanted));
});

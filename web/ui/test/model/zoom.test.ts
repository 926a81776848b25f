import { describe, expect, test } from "vitest";
import { carryNode, encodePath, isPath, resolvePath } from "../../src/model/nodepath";
import { WHOLE, anchorOf, between, carryWindow, panBy, windowOf, zoomAt } from "../../src/model/zoom";
import { SMALL, tree } from "./trees";

const t = tree(SMALL);

describe("windows", () => {
	test("of a node and of a part of it", () => {
		expect(windowOf(t, 4)).toEqual({ x0: 60, x1: 90 });
		expect(windowOf(t, 1, { a: 0.5, b: 1 })).toEqual({ x0: 30, x1: 60 });
	});
	test.each([
		[{ x0: 0, x1: 100 }, 0, WHOLE],
		[{ x0: 20, x1: 50 }, 3, WHOLE],
		[{ x0: 60, x1: 90 }, 5, WHOLE],
		[{ x0: 10, x1: 40 }, 1, { a: 1 / 6, b: 4 / 6 }],
		[{ x0: 50, x1: 70 }, 0, { a: 0.5, b: 0.7 }],
	])("anchor of %o", (window, node, span) => {
		const found = anchorOf(t, window);
		expect(found.node).toBe(node);
		expect(found.span.a).toBeCloseTo(span.a, 6);
		expect(found.span.b).toBeCloseTo(span.b, 6);
		const back = windowOf(t, found.node, found.span);
		expect(back.x0).toBeCloseTo(window.x0, 6);
		expect(back.x1).toBeCloseTo(window.x1, 6);
	});
	test("carried to another tree: the same part of the same code, or its callers", () => {
		const later = tree(["all", 0, ["new", 40], ["a", 20, ["c", 60]]]);
		expect([3, 2, 4, 0].map((i) => carryNode(t, later, i))).toEqual([3, null, null, 0]);
		const c = carryWindow(t, later, { x0: 25, x1: 40 });
		expect([c.x0, c.x1]).toEqual([expect.closeTo(50, 6), expect.closeTo(80, 6)]);
		expect(carryWindow(t, later, { x0: 0, x1: 20 })).toEqual({ x0: 40, x1: 120 });
		expect(carryWindow(t, t, { x0: 25, x1: 40 })).toEqual({ x0: 25, x1: 40 });
	});
	test("zoom keeps the point under the pointer", () => {
		const w = zoomAt({ x0: 0, x1: 100 }, 0.25, 0.5, 100);
		expect(w).toEqual({ x0: 12.5, x1: 62.5 });
		expect(w.x0 + 0.25 * (w.x1 - w.x0)).toBe(25);
	});
	test("never out of the tree, never thinner than 1 ns", () => {
		expect(zoomAt({ x0: 40, x1: 60 }, 0.5, 100, 100)).toEqual({ x0: 0, x1: 100 });
		const thin = zoomAt({ x0: 10, x1: 12 }, 0.5, 1e-9, 100);
		expect(thin.x1 - thin.x0).toBeCloseTo(1, 9);
		expect(panBy({ x0: 10, x1: 30 }, -5, 100)).toEqual({ x0: 0, x1: 20 });
		expect(panBy({ x0: 10, x1: 30 }, 5, 100)).toEqual({ x0: 80, x1: 100 });
	});
	test("an animation begins and ends where it should, and never leaves both", () => {
		const from = { x0: 0, x1: 1e9 };
		const to = { x0: 4e8, x1: 4e8 + 10 };
		expect(between(from, to, 0)).toEqual(from);
		expect(between(from, to, 1)).toBe(to);
		for (let i = 0; i <= 20; i++) {
			const w = between(from, to, i / 20);
			expect(w.x0).toBeGreaterThanOrEqual(from.x0);
			expect(w.x0 <= to.x0 && w.x1 >= to.x1 - 1e-3).toBe(true);
		}
		expect(between({ x0: 0, x1: 10 }, { x0: 20, x1: 30 }, 0.5)).toEqual({ x0: 10, x1: 20 });
	});
});

describe("paths", () => {
	test("every node is found again, in this tree and in another with the same functions", () => {
		const other = tree(["all", 0, ["a", 1, ["A", 9], ["a", 5], ["c", 1]], ["b", 0, ["d", 3]]]);
		for (let i = 0; i < t.count; i++) {
			expect(resolvePath(t, encodePath(t, i))).toEqual({ node: i, whole: true });
			expect(resolvePath(other, encodePath(t, i)).whole).toBe(true);
		}
		expect(resolvePath(other, encodePath(t, 3)).node).toBe(4);
	});
	test("a path that is gone ends at its nearest ancestor", () => {
		const other = tree(["all", 0, ["a", 7]]);
		expect(resolvePath(other, encodePath(t, 3))).toEqual({ node: 1, whole: false });
		expect(resolvePath(other, encodePath(t, 5))).toEqual({ node: 0, whole: false });
		expect(resolvePath(other, "")).toEqual({ node: 0, whole: true });
	});
	test.each([
		["", true],
		["AbC-", true],
		["AbC_x9Yz", true],
		["AbC", false],
		["AbC!", false],
		["<b>x", false],
	])("%s is a path: %s", (text, is) => expect(isPath(text)).toBe(is));
});

import { describe, expect, test } from "vitest";
import {
	MalformedError,
	childrenOf,
	decodeFlameTable,
	heaviestChildOf,
	pathOf,
	siblingOf,
} from "../../src/model/calltree";
import { SMALL, encode, tree } from "./trees";

/* Offsets of the columns for SMALL: 6 nodes; names all, a, c, b, d and "" (the mapping): 6. */
const NODES = 6;
const AT_SELF = 56;
const AT_TOTAL = AT_SELF + NODES * 8;
const AT_PARENT = AT_TOTAL + NODES * 8;
const AT_NAME = AT_PARENT + NODES * 4;
const AT_MAPPING = AT_NAME + NODES * 4;
const AT_OFFSETS = AT_MAPPING + 2 * NODES * 4;

function broken(change: (view: DataView) => void): ArrayBuffer {
	const bytes = encode(SMALL);
	change(new DataView(bytes));
	return bytes;
}

describe("decodeFlameTable", () => {
	test("reads every column and derives ends, depths and left edges", () => {
		const t = tree(SMALL);
		expect(t.count).toBe(6);
		expect(t.totalNs).toBe(100);
		expect([t.fromUs, t.untilUs]).toEqual([1, 2]);
		expect([...t.name].map((i) => t.names[i])).toEqual(["all", "a", "a", "c", "b", "d"]);
		expect([...t.parent]).toEqual([0, 0, 1, 1, 0, 4]);
		expect([...t.nodeNs]).toEqual([100, 60, 20, 30, 30, 30]);
		expect([...t.selfNs]).toEqual([10, 10, 20, 30, 0, 30]);
		expect([...t.end]).toEqual([6, 4, 3, 4, 6, 6]);
		expect([...t.depth]).toEqual([0, 1, 2, 2, 1, 2]);
		expect([...t.startNs]).toEqual([0, 0, 0, 20, 60, 60]);
		expect(t.maxDepth).toBe(2);
	});
	test("names are UTF-8", () => {
		expect(tree(["all", 0, ["größe漢", 1]]).names).toContain("größe漢");
	});

	const bad: readonly (readonly [string, () => ArrayBuffer])[] = [
		["nothing", () => new ArrayBuffer(0)],
		["a header cut short", () => encode(SMALL).slice(0, 55)],
		["another magic", () => broken((v) => v.setUint8(7, 0x32))],
		[
			"JSON",
			() =>
				new TextEncoder().encode(`{"error":{"code":"x","message":"${"y".repeat(80)}"}}`)
					.buffer as ArrayBuffer,
		],
		["no nodes", () => broken((v) => v.setUint32(8, 0, true))],
		["far too many nodes", () => broken((v) => v.setUint32(8, 0xffffffff, true))],
		["more names than bytes", () => broken((v) => v.setUint32(12, 1_000_000, true))],
		["more bytes of names than there are", () => broken((v) => v.setUint32(16, 1_000_000, true))],
		["the last byte missing", () => encode(["all", 0, ["12345678", 1], ["abc", 1]]).slice(0, -8)],
		["a parent that comes later", () => broken((v) => v.setUint32(AT_PARENT + 4, 3, true))],
		["a node that is its own parent", () => broken((v) => v.setUint32(AT_PARENT + 8, 2, true))],
		["a subtree in two pieces", () => broken((v) => v.setUint32(AT_PARENT + 20, 1, true))],
		["a name that does not exist", () => broken((v) => v.setUint32(AT_NAME, 6, true))],
		["a mapping that does not exist", () => broken((v) => v.setUint32(AT_MAPPING + 4, 99, true))],
		["names that run backwards", () => broken((v) => v.setUint32(AT_OFFSETS + 4, 0xffff, true))],
		["a negative weight", () => broken((v) => v.setFloat64(AT_TOTAL, -1, true))],
		["a weight that is not a number", () => broken((v) => v.setFloat64(AT_SELF, NaN, true))],
	];
	test.each(bad)("refuses %s", (_, make) => {
		expect(() => decodeFlameTable(make())).toThrow(MalformedError);
	});
	test("any truncation is refused, none crashes", () => {
		const whole = encode(SMALL);
		for (let size = 0; size <= whole.byteLength - 8; size++)
			expect(() => decodeFlameTable(whole.slice(0, size))).toThrow(MalformedError);
	});
});

describe("walking", () => {
	const t = tree(SMALL);
	test("path, children, siblings", () => {
		expect(pathOf(t, 3)).toEqual([0, 1, 3]);
		expect(pathOf(t, 0)).toEqual([0]);
		expect(childrenOf(t, 0)).toEqual([1, 4]);
		expect(childrenOf(t, 5)).toEqual([]);
		expect(siblingOf(t, 1, 1)).toBe(4);
		expect(siblingOf(t, 4, 1)).toBe(4);
		expect(siblingOf(t, 1, -1)).toBe(1);
		expect(siblingOf(t, 0, 1)).toBe(0);
		expect(heaviestChildOf(t, 1)).toBe(3);
		expect(heaviestChildOf(t, 5)).toBe(5);
	});
});

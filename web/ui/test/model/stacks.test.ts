import { expect, test } from "vitest";
import { type QualityKey, qualityRows, stackQuality } from "../../src/model/stacks";

test("nothing walked", () => {
	expect(stackQuality({})).toEqual({ walked: 0, whole: 0, cut: [] });
	expect(stackQuality({ "no user stack": 7 })).toEqual({ walked: 0, whole: 0, cut: [] });
});

test("reasons, most first, without those that did not happen", () => {
	expect(
		stackQuality({ complete: 90, "too deep": 1, "no unwind info": 9, "no user stack": 5, odd: 0 }),
	).toEqual({
		walked: 100,
		whole: 90,
		cut: [
			["no unwind info", 9],
			["too deep", 1],
		],
	});
});

const TABLE = {
	rows: [
		{ name: "b", pid: 2, ends: { complete: 5, "too deep": 5 } },
		{ name: "a", pid: 3, ends: { complete: 30 } },
		{ name: "k", pid: 4, ends: { "no user stack": 9 } },
		{ name: "a", pid: 1, ends: { complete: 98, "no unwind info": 2 } },
		{ name: "c", pid: 5, ends: { complete: 30, "no user stack": 1 } },
	],
	other: {},
};

test.each<[QualityKey, boolean, string]>([
	["cut", false, "b2 a1 a3 c5"],
	["cut", true, "a3 c5 a1 b2"],
	["whole", false, "a3 c5 a1 b2"],
	["whole", true, "b2 a1 a3 c5"],
	["samples", false, "a1 a3 c5 b2"],
	["samples", true, "b2 a3 c5 a1"],
	["name", true, "a1 a3 b2 c5"],
	["name", false, "c5 b2 a3 a1"],
])("rows by %s, ascending %s", (key, ascending, wanted) => {
	const rows = qualityRows(TABLE, key, ascending);
	expect(rows.map((row) => row.name + row.pid).join(" ")).toBe(wanted);
});

test("no rows", () => {
	expect(qualityRows({ rows: [], other: { complete: 1 } }, "cut", false)).toEqual([]);
});

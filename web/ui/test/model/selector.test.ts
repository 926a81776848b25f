import { describe, expect, test } from "vitest";
import {
	type Condition,
	negated,
	parseSelector,
	selectorText,
	withCondition,
} from "../../src/model/selector";

const eq = (label: string, value: string): Condition => ({ label, op: "=", value });

describe("parseSelector", () => {
	test.each<[string, readonly Condition[]]>([
		["", []],
		["  ", []],
		["{}", []],
		[" { } ", []],
		['{comm="x"}', [eq("comm", "x")]],
		['{ comm = "x" , pid != "1" }', [eq("comm", "x"), { label: "pid", op: "!=", value: "1" }]],
		[
			'{a=~"x.*",b!~"y"}',
			[
				{ label: "a", op: "=~", value: "x.*" },
				{ label: "b", op: "!~", value: "y" },
			],
		],
		['{a="q\\"b\\\\n\\n"}', [eq("a", 'q"b\\n\n')]],
		['{a="}{,="}', [eq("a", "}{,=")]],
		['{a="",}', [eq("a", "")]],
		['{a="größe"}', [eq("a", "größe")]],
	])("%s", (text, conditions) => expect(parseSelector(text)).toEqual({ ok: true, conditions }));

	test.each<[string, number, string]>([
		["comm", 0, "{"],
		["{", 1, "a label"],
		['{comm="x"', 9, ","],
		["{=}", 1, "a label"],
		["{comm}", 5, "=, !="],
		["{comm=x}", 6, "double quotes"],
		['{comm="x}', 9, "closing quote"],
		['{comm="x\\q"}', 9, "\\n"],
		['{a="1" b="2"}', 7, ", or }"],
		['{a="1"} x', 8, "nothing after"],
		['{1a="x"}', 1, "a label"],
		['{,a="1"}', 1, "a label"],
		['{a=="1"}', 3, "double quotes"],
		['{a~"1"}', 2, "=, !="],
		["}", 0, "{"],
		['{a="1",,}', 7, "a label"],
	])("refuses %s at %d", (text, at, expected) => {
		const parsed = parseSelector(text);
		expect(parsed).toMatchObject({ ok: false, at });
		expect(!parsed.ok && parsed.message).toContain(expected);
	});
	test("text and back", () => {
		for (const value of ["", "x", 'a"b', "c\\d", "e\nf", '\\"\\n', "{},="]) {
			const conditions = [eq("l", value), { label: "m", op: "!~", value } as const];
			expect(parseSelector(selectorText(conditions))).toEqual({ ok: true, conditions });
		}
		expect(selectorText([])).toBe("{}");
	});
});

describe("building", () => {
	test("a second value replaces the first; other conditions stay", () => {
		expect(withCondition([eq("a", "1"), eq("b", "2")], eq("a", "3"))).toEqual([
			eq("b", "2"),
			eq("a", "3"),
		]);
	});
	test("the opposite of a condition replaces it; other exclusions stay", () => {
		const not = (value: string): Condition => ({ label: "a", op: "!=", value });
		expect(withCondition([eq("a", "1")], not("1"))).toEqual([not("1")]);
		expect(withCondition([not("1")], not("2"))).toEqual([not("1"), not("2")]);
	});
	test("negated twice is the same", () => {
		for (const op of ["=", "!=", "=~", "!~"] as const)
			expect(negated(negated({ label: "a", op, value: "v" }))).toEqual({ label: "a", op, value: "v" });
		expect(negated({ label: "a", op: "=~", value: "v" }).op).toBe("!~");
	});
});

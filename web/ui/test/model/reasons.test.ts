import { describe, expect, test } from "vitest";
import { Kind, decodeFlameTable } from "../../src/model/calltree";
import {
	REASONS,
	RUNNING,
	hidesIdle,
	onlyReason,
	reasonOfFrame,
	reasonOfNode,
	reasonPlace,
	reasonText,
	reasonTitle,
	toggleReason,
	withIdleHidden,
	withoutLabel,
} from "../../src/model/reasons";
import { parseSelector } from "../../src/model/selector";
import { encodeFlameTable } from "../mock-server/data";
import { WAITS } from "../mock-server/waits";
import { readFileSync } from "node:fs";

describe("the words", () => {
	/* The server's own table is the other witness. */
	const source = readFileSync(new URL("../../../../profile/wait_reason.c", import.meta.url), "utf8");
	const known = [...source.matchAll(/\{"(\w+)", "([^"]+)"\}/g)].map(([, name, text]) => [name, text]);
	test("are those of the server", () => {
		expect(known.length).toBe(14);
		const ours = REASONS.filter(({ name }) => name !== RUNNING).map(({ name, text }) => [name, text]);
		expect([...ours].sort()).toEqual([...known].sort());
	});
	test("have a place each, and what is unknown has none", () => {
		REASONS.forEach(({ name }, place) => expect(reasonPlace(name)).toBe(place));
		for (const name of ["locks", "LOCK", "constructor", " "]) {
			expect(reasonPlace(name)).toBe(-1);
			expect(reasonText(name)).toBe("");
		}
	});
	test("are read aloud with spaces", () => {
		expect(reasonTitle("run_queue")).toBe("run queue");
		expect(reasonTitle("io_uring")).toBe("io_uring"); /* a name */
	});
	test("the made-up machine has them all", () => {
		const all = new Set(WAITS.map(({ reason }) => reason));
		expect([...all].sort()).toEqual(
			REASONS.map(({ name }) => name)
				.filter((name) => name !== RUNNING)
				.sort(),
		);
	});
});

describe("frames that are reasons", () => {
	test.each([
		["[lock]", Kind.Mark, "lock"],
		["[run_queue]", Kind.Mark, "run_queue"],
		["[lock]", Kind.Native, ""],
		["[truncated]", Kind.Mark, ""],
		["[]", Kind.Mark, ""],
		["lock", Kind.Mark, ""],
		["[lock] ", Kind.Mark, ""],
		["[running]", Kind.Mark, ""],
		["[lock", Kind.Mark, ""],
	])("%s of kind %d", (name, kind, reason) => expect(reasonOfFrame(name, kind)).toBe(reason));
	test("in a tree", () => {
		const leaf = { name: "[disk]", mapping: "", kind: 6, selfNs: 5, totalNs: 5, children: [] };
		const root = { name: "all", mapping: "", kind: 0, selfNs: 0, totalNs: 5, children: [leaf] };
		const bytes = encodeFlameTable(root, 1, 2);
		const tree = decodeFlameTable(Uint8Array.from(bytes).buffer);
		expect([0, 1].map((node) => reasonOfNode(tree, node))).toEqual(["", "disk"]);
	});
});

describe("a click on a reason", () => {
	test.each([
		["{}", "lock", false, '{reason="lock"}'],
		['{reason="lock"}', "lock", false, "{}"],
		['{reason="lock"}', "lock", true, "{}"],
		['{reason="lock"}', "disk", false, '{reason="disk"}'],
		['{reason="lock",comm="a"}', "disk", false, '{comm="a",reason="disk"}'],
		['{comm="a"}', "lock", true, '{comm="a",reason!="lock"}'],
		['{reason!="lock"}', "disk", true, '{reason!="lock",reason!="disk"}'],
		['{reason!="lock",reason!="disk"}', "lock", false, '{reason!="disk"}'],
		['{reason!="lock"}', "disk", false, '{reason="disk"}'],
		['{reason="lock"}', "disk", true, '{reason!="disk"}'],
		['{reason=~"l.*"}', "lock", false, '{reason="lock"}'],
		['{reason=~"l.*"}', "lock", true, '{reason=~"l.*",reason!="lock"}'],
		["{}", "running", false, '{reason="running"}'],
		["{broken", "lock", false, "{}"],
	])("%s, %s, but it: %s", (query, name, isNot, wanted) =>
		expect(toggleReason(parseSelector(query), name, isNot)).toBe(wanted),
	);
	test.each([
		["{}", null],
		['{reason="lock"}', "lock"],
		['{reason=""}', ""],
		['{reason!="lock"}', null],
		['{reason=~"lock"}', null],
		['{reason="lock",reason!="disk"}', null],
		['{comm="lock"}', null],
		["{broken", null],
	])("which alone is selected: %s", (query, wanted) =>
		expect(onlyReason(parseSelector(query))).toBe(wanted),
	);
});

describe("hiding what is idle", () => {
	test.each([
		["{}", true, '{idle!="true"}'],
		['{comm="a"}', true, '{comm="a",idle!="true"}'],
		['{idle!="true"}', true, '{idle!="true"}'],
		['{comm="a",idle!="true"}', false, '{comm="a"}'],
		['{idle="true"}', false, '{idle="true"}'],
		["{}", false, "{}"],
		["{broken", true, "{}"],
	])("%s, hidden: %s", (query, isHidden, wanted) => {
		expect(withIdleHidden(parseSelector(query), isHidden)).toBe(wanted);
		expect(hidesIdle(parseSelector(wanted))).toBe(wanted.includes("!="));
	});
	test.each(["{}", '{idle="true"}', '{idle!~"true"}', '{idle!=""}', '{other!="true"}', "{broken"])(
		"%s hides nothing",
		(query) => expect(hidesIdle(parseSelector(query))).toBe(false),
	);
});

test.each([
	['{comm="a",reason="lock",reason!="disk"}', "reason", '{comm="a"}'],
	['{comm="a"}', "reason", '{comm="a"}'],
	["{}", "idle", "{}"],
	["{broken", "idle", "{}"],
])("%s without %s", (query, label, wanted) => expect(withoutLabel(parseSelector(query), label)).toBe(wanted));

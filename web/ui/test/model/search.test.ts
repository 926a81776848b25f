import { describe, expect, test } from "vitest";
import { findMatches, matchedNs, parseSearch } from "../../src/model/search";
import { SMALL, tree } from "./trees";

function share(sketch: Parameters<typeof tree>[0], text: string, root = 0): number {
	const t = tree(sketch);
	const parsed = parseSearch(text);
	if (!parsed.ok || !parsed.matches) throw new Error("nothing to search");
	return matchedNs(t, findMatches(t, parsed.matches), root);
}

describe("matchedNs", () => {
	test.each([
		["a", 60],
		["c", 30],
		["d", 30],
		["b", 30],
		["x", 0],
		["/a|d/", 90],
		["/^[cd]$/", 60],
		["all", 0],
	])("%s holds %d of 100 ns", (text, ns) => expect(share(SMALL, text)).toBe(ns));
	test("recursion counts once per path", () => {
		expect(share(["all", 0, ["f", 1, ["g", 1, ["f", 1, ["f", 7]]]], ["g", 5]], "f")).toBe(10);
		expect(share(["all", 0, ["f", 1, ["g", 1, ["f", 1, ["f", 7]]]], ["g", 5]], "/f|g/")).toBe(15);
	});
	test("within a zoomed frame, itself included", () => {
		expect(share(SMALL, "a", 1)).toBe(60);
		expect(share(SMALL, "c", 1)).toBe(30);
		expect(share(SMALL, "d", 1)).toBe(0);
		expect(share(SMALL, "a", 2)).toBe(20);
	});
	test("frames are counted one by one", () => {
		const t = tree(SMALL);
		expect(findMatches(t, (name) => name === "a").frames).toBe(2);
		expect(findMatches(t, () => true).frames).toBe(5);
	});
});

describe("parseSearch", () => {
	test.each([
		["tcp", "TCP_sendmsg", true],
		["a.c", "abc", false],
		["/a.c/", "abc", true],
		["/ABC/", "abc", false],
		["/ABC/i", "abc", true],
		["/", "a/b", true],
		["//", "a//b", true],
		["/x", "a/xb", true],
	])("%s on %s: %s", (text, name, is) => {
		const parsed = parseSearch(text);
		expect(parsed.ok && parsed.matches?.(name)).toBe(is);
	});
	test("nothing asked", () => expect(parseSearch("")).toEqual({ ok: true, matches: null }));
	test.each(["/(/", "/[z-a]/", "/a{2,1}/", "/\\/"])("%s is no expression", (text) => {
		const parsed = parseSearch(text);
		expect(parsed.ok).toBe(false);
		expect(!parsed.ok && parsed.message.length > 0).toBe(true);
	});
});

import { describe, expect, test } from "vitest";
import {
	baseName,
	formatBytes,
	formatClock,
	formatCount,
	formatNs,
	formatSeconds,
	formatShare,
	formatSpan,
} from "../../src/model/format";
import { type Ledger, balances, lossesOf } from "../../src/model/ledger";
import { type TopRow, filterRows, sortRows, visibleRows } from "../../src/model/toptable";

const row = (name: string, selfUs: number, totalUs: number, mapping = ""): TopRow => ({
	name,
	mapping,
	kind: 1,
	selfUs,
	totalUs,
	selfSamples: selfUs,
	totalSamples: totalUs,
});

describe("rows", () => {
	const rows = [row("b", 2, 9, "/lib/x"), row("a", 5, 5, "/lib/y"), row("c", 2, 7, "/lib/y")];
	const names = (sorted: readonly TopRow[]): string => sorted.map((r) => r.name).join("");
	test("sorted either way; ties by name", () => {
		expect(names(sortRows(rows, "self", false))).toBe("abc");
		expect(names(sortRows(rows, "self", true))).toBe("bca");
		expect(names(sortRows(rows, "total", false))).toBe("bca");
		expect(names(sortRows(rows, "name", false))).toBe("cba");
		expect(names(sortRows(rows, "mapping", true))).toBe("bac");
		expect(names(rows)).toBe("bac");
	});
	test("filtered by function or library", () => {
		expect(names(filterRows(rows, (text) => text.includes("y")))).toBe("ac");
		expect(filterRows(rows, null)).toBe(rows);
	});
	test("only those in view, with a few to spare", () => {
		expect(visibleRows(5000, 0, 280, 28)).toEqual({ first: 0, last: 18 });
		expect(visibleRows(5000, 28000, 280, 28)).toEqual({ first: 992, last: 1018 });
		expect(visibleRows(3, 28000, 280, 28).last).toBe(3);
	});
});

describe("ledger", () => {
	const ledger = (
		taken: number,
		stored: number,
		pending: number,
		dropped: Record<string, number>,
	): Ledger => ({ taken, stored, pending, dropped });
	test("taken = stored + dropped + pending", () => {
		expect(balances(ledger(10, 7, 1, { a: 2, b: 0 }))).toBe(true);
		expect(balances(ledger(10, 7, 1, { a: 1 }))).toBe(false);
		expect(balances(ledger(0, 0, 0, {}))).toBe(true);
	});
	test("losses of both sides by reason, heaviest first, without zeros", () => {
		const losses = lossesOf([
			ledger(9, 0, 0, { ring_full: 3, no_memory: 0 }),
			ledger(9, 0, 0, { queue_full: 4, ring_full: 2, new_reason: 1 }),
		]);
		expect(losses.map((l) => [l.reason, l.count])).toEqual([
			["ring_full", 5],
			["queue_full", 4],
			["new_reason", 1],
		]);
		expect(losses[0]?.help).toContain("ring buffer");
		expect(losses[2]?.help).toBe("");
	});
});

describe("format", () => {
	test.each([
		[0, "0 s"],
		[1, "1.00 ns"],
		[1500, "1.50 µs"],
		[20e6, "20.0 ms"],
		[999e6, "999 ms"],
		[1e9, "1.00 s"],
		[59.94e9, "59.9 s"],
		[65e9, "1 min 05 s"],
		[3600e9, "1 h"],
		[90061e9, "1 d 01 h"],
	])("%d ns is %s", (ns, text) => expect(formatNs(ns)).toBe(text));
	test.each([
		[0, 1, "0 %"],
		[1, 0, "0 %"],
		[1, 3, "33.3 %"],
		[1, 100, "1.00 %"],
		[1, 1e6, "<0.01 %"],
		[1, 1, "100 %"],
		[9996, 10000, "100 %"],
	])("%d of %d is %s", (part, whole, text) => expect(formatShare(part, whole)).toBe(text));
	test("counts, bytes, seconds, names", () => {
		expect(formatCount(1234567)).toBe("1\u202f234\u202f567");
		expect(formatCount(999)).toBe("999");
		expect(formatBytes(1023)).toBe("1023 B");
		expect(formatBytes(1536)).toBe("1.50 KiB");
		expect(formatBytes(2 ** 50)).toBe("1024 TiB");
		expect(formatSeconds(0)).toBe("0 s");
		expect(formatSeconds(3660)).toBe("1 h 01 min");
		expect(baseName("/usr/lib/libc.so.6")).toBe("libc.so.6");
		expect(baseName("[vdso]")).toBe("[vdso]");
		expect(baseName("/")).toBe("/");
	});
	test("a span names the second day only when it is another", () => {
		const at = (d: number, h: number, m: number): number => new Date(2026, 10, d, h, m).getTime() * 1000;
		expect(formatClock(at(22, 14, 3))).toBe("14:03:00");
		expect(formatSpan(at(22, 14, 3), at(22, 14, 18))).toBe("2026-11-22 14:03:00 – 14:18:00");
		expect(formatSpan(at(22, 23, 3), at(23, 0, 18))).toBe("2026-11-22 23:03:00 – 2026-11-23 00:18:00");
	});
});

import { describe, expect, test } from "vitest";
import {
	absoluteTime,
	brushedRange,
	liveRange,
	narrowRange,
	normalizeTime,
	parseTime,
	resolveRange,
	shiftRange,
	widenRange,
} from "../../src/model/timerange";

/* date -u -d 2026-11-22T00:00:00Z +%s is 1795305600 */
const NOW = 1795305600e6;
const MIN = 60e6;

describe("parseTime", () => {
	test.each<[string, number]>([
		["now", NOW],
		["now-90s", NOW - 90e6],
		["now-15m", NOW - 900e6],
		["now-2h", NOW - 7200e6],
		["now-1d", NOW - 86400e6],
		["1795305600", NOW],
		["1795305600.25", NOW + 250000],
		["2026-11-22T00:00:00Z", NOW],
		["2026-11-22T01:30:00+01:30", NOW],
		["2026-11-22T00:00:00.5Z", NOW + 500000],
	])("%s", (text, us) => expect(parseTime(text, NOW)).toBe(us));
	test.each([
		"",
		"yesterday",
		"now-",
		"now-5",
		"now-5w",
		"now+5m",
		"now -5m",
		"-5",
		"2026-11-22",
		"2026-11-22T00:00:00",
		"2026-13-22T00:00:00Z",
		"1e9",
		"0x10",
		"NaN",
		"now-9999999999s",
	])("%s is no time", (text) => expect(parseTime(text, NOW)).toBeNull());
	test("local times become UTC", () => {
		const text = normalizeTime("2026-11-22 14:05")!;
		expect(Date.parse(text)).toBe(new Date(2026, 10, 22, 14, 5, 0).getTime());
		expect(Date.parse(normalizeTime(" 2026-11-22T14:05:07 ")!)).toBe(
			new Date(2026, 10, 22, 14, 5, 7).getTime(),
		);
		expect(normalizeTime("now-2h")).toBe("now-2h");
	});
	test.each(["2026-11-22 25:00", "2026-02-30 10:00", "2026-11-22 10:61", "tomorrow", "10:00"])(
		"%s is refused",
		(text) => expect(normalizeTime(text)).toBeNull(),
	);
	test("milliseconds only when there are some", () => {
		expect(absoluteTime(NOW)).toBe("2026-11-22T00:00:00Z");
		expect(absoluteTime(NOW + 20_000)).toBe("2026-11-22T00:00:00.020Z");
	});
});

describe("ranges", () => {
	const live = { from: "now-15m", until: "now" };
	const past = resolveRange({ from: "2026-11-21T22:00:00Z", until: "2026-11-21T22:10:00Z" }, NOW)!;
	test("resolve, or null when it ends before it begins", () => {
		expect(resolveRange(live, NOW)).toEqual({ fromUs: NOW - 15 * MIN, untilUs: NOW });
		for (const [from, until] of [
			["now", "now-5m"],
			["now", "now"],
			["x", "now"],
			["now-5m", "y"],
		] as const)
			expect(resolveRange({ from, until }, NOW)).toBeNull();
	});
	test.each([
		[900e6, "now-15m"],
		[3600e6, "now-1h"],
		[90e6, "now-90s"],
		[86400e6, "now-24h"],
		[0.2e6, "now-1s"],
	])("the last %d µs", (us, from) => expect(liveRange(us)).toEqual({ from, until: "now" }));
	test("half a screen back and forward again", () => {
		const back = shiftRange(resolveRange(live, NOW)!, -1, NOW);
		expect(back).toEqual({ from: "2026-11-21T23:37:30Z", until: "2026-11-21T23:52:30Z" });
		expect(shiftRange(resolveRange(back, NOW)!, 1, NOW)).toEqual(live);
	});
	test("close to now is now: time went on meanwhile", () =>
		expect(shiftRange({ fromUs: NOW - 1380e6, untilUs: NOW - 480e6 }, 1, NOW)).toEqual(live));
	test("never past now", () =>
		expect(shiftRange({ fromUs: NOW - 600e6, untilUs: NOW - 60e6 }, 1, NOW)).toEqual({
			from: "now-9m",
			until: "now",
		}));
	test("twice as long: live stays live, the past keeps its middle", () => {
		expect(widenRange(live, resolveRange(live, NOW)!, NOW)).toEqual({ from: "now-30m", until: "now" });
		expect(widenRange({ from: "a", until: "b" }, past, NOW)).toEqual({
			from: "2026-11-21T21:55:00Z",
			until: "2026-11-21T22:15:00Z",
		});
		expect(
			widenRange({ from: "a", until: "b" }, { fromUs: NOW - 600e6, untilUs: NOW - 60e6 }, NOW),
		).toEqual({ from: "now-18m", until: "now" });
	});
	test("half as long undoes it, down to a second", () => {
		expect(narrowRange({ from: "a", until: "b" }, past)).toEqual({
			from: "2026-11-21T22:02:30Z",
			until: "2026-11-21T22:07:30Z",
		});
		expect(narrowRange(live, { fromUs: NOW - 1e6, untilUs: NOW })).toEqual({
			from: "now-1s",
			until: "now",
		});
	});
	test("a brush may be drawn backwards, and is at least a second", () => {
		const wanted = { from: "2026-11-21T23:59:00Z", until: "2026-11-22T00:00:00Z" };
		expect(brushedRange(NOW - MIN, NOW)).toEqual(wanted);
		expect(brushedRange(NOW, NOW - MIN)).toEqual(wanted);
		expect(brushedRange(NOW, NOW + 1000)).toEqual({
			from: "2026-11-22T00:00:00Z",
			until: "2026-11-22T00:00:01Z",
		});
	});
});

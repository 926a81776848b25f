import { describe, expect, test } from "vitest";
import { type Series, arrivingSince, findGaps, pointAt, stackSeries } from "../../src/model/timeline";

const line = (name: string, ...weightUs: number[]): Series["lines"][number] => ({
	name,
	totalUs: weightUs.reduce((a, b) => a + b, 0),
	weightUs,
});

/* Four steps of 10 s; the third was not sampled, the last has just begun. */
const S: Series = {
	type: "cpu",
	fromUs: 0,
	untilUs: 32e6,
	startUs: 0,
	stepUs: 10e6,
	groupBy: "comm",
	lines: [line("a", 20e6, 10e6, 0, 2e6), line("b", 5e6, 5e6, 0, 1e6)],
	coveredUs: [10e6, 10e6, 0, 2e6],
	taken: [10, 10, 0, 2],
	dropped: [0, 3, 0, 0],
};

describe("stackSeries", () => {
	test("cores are weight over time, stacked from the bottom", () => {
		const stack = stackSeries(S);
		expect(stack.names).toEqual(["a", "b"]);
		expect(stack.cores).toEqual([
			[2, 1, null, 1],
			[0.5, 0.5, null, 0.5],
		]);
		expect(stack.seconds).toEqual([0, 10, 20, 30, 40]);
		expect(stack.highest).toBe(2.5);
	});
	test("a level is drawn up to where the gap begins, and up to the last edge", () => {
		expect(stackSeries(S).tops).toEqual([
			[2, 1, 1, 1, 1],
			[2.5, 1.5, 1.5, 1.5, 1.5],
		]);
		const long = { ...S, coveredUs: [10e6, 0, 0, 10e6], lines: [line("a", 10e6, 0, 0, 20e6)] };
		expect(stackSeries(long).tops).toEqual([[1, 1, null, 2, 2]]);
	});
	test("all past the first become other, also what the server already joined", () => {
		const many = {
			...S,
			lines: [
				line("a", 4e6, 4e6, 0, 1e6),
				line("other", 3e6, 3e6, 0, 1e6),
				line("b", 2e6, 2e6, 0, 0),
				line("c", 1e6, 1e6, 0, 0),
			],
		};
		const stack = stackSeries(many, 2);
		expect(stack.names).toEqual(["a", "b", "other"]);
		expect(stack.totalsUs).toEqual([9e6, 4e6, 9e6]);
		expect(stack.cores[2]).toEqual([0.4, 0.4, null, 0.5]);
	});
	test("reasons are all there, in their own order, running at the bottom", () => {
		const lines = ["other", "sleep", "lock", "running", "run_queue"].map((name) =>
			line(name, 1, 1, 0, 1),
		);
		const stack = stackSeries({ ...S, type: "wall", groupBy: "reason", lines }, 2);
		expect(stack.names).toEqual(["running", "run_queue", "lock", "sleep", "other"]);
	});
	test("nothing at all", () => {
		expect(stackSeries({ ...S, lines: [] })).toMatchObject({ names: [], tops: [], highest: 0 });
		expect(stackSeries({ ...S, lines: [], coveredUs: [], taken: [], dropped: [] }).seconds).toEqual([0]);
	});
	test("a step that has hardly begun does not shoot up", () => {
		const fresh = {
			...S,
			coveredUs: [10e6, 10e6, 10e6, 1000],
			lines: [line("a", 10e6, 10e6, 10e6, 9000)],
		};
		expect(stackSeries(fresh).cores[0]![3]).toBeLessThan(1);
	});
});

describe("findGaps", () => {
	test("joined stretches; a cut edge is none", () => {
		expect(findGaps(S)).toEqual([{ fromUs: 20e6, untilUs: 30e6 }]);
		expect(findGaps({ ...S, coveredUs: [10e6, 5e6, 0, 2e6] })).toEqual([{ fromUs: 10e6, untilUs: 30e6 }]);
		expect(findGaps({ ...S, fromUs: 4e6, coveredUs: [6e6, 10e6, 10e6, 2e6] })).toEqual([]);
		expect(findGaps({ ...S, coveredUs: [0, 0, 0, 0] })).toEqual([{ fromUs: 0, untilUs: 30e6 }]);
		expect(findGaps({ ...S, untilUs: 40e6, coveredUs: [0, 0, 0, 0] })).toEqual([
			{ fromUs: 0, untilUs: 40e6 },
		]);
		expect(findGaps({ ...S, coveredUs: [10e6, 9.9e6, 10e6, 10e6] })).toEqual([]);
	});
	test("the last three seconds are still being filled: no gap, and no dip", () => {
		const live = {
			...S,
			untilUs: 41e6,
			coveredUs: [10e6, 10e6, 10e6, 8e6],
			lines: [line("a", 10e6, 10e6, 10e6, 8e6)],
		};
		expect(findGaps(live)).toEqual([]);
		expect(stackSeries(live).cores[0]).toEqual([1, 1, 1, 1]);
		expect(findGaps({ ...live, untilUs: 60e6 })).toEqual([{ fromUs: 30e6, untilUs: 40e6 }]);
	});
});

test.each([
	[0, 0],
	[9.99e6, 0],
	[10e6, 1],
	[39e6, 3],
	[40e6, null],
	[-1, null],
])("the step at %d µs", (us, point) => expect(pointAt(S, us)).toBe(point));

describe("waits that are still arriving", () => {
	const waits: Series = { ...S, type: "offcpu" };
	test.each<[string, Series, number, number | null]>([
		["time on a CPU is there at once", S, 32e6, null],
		["the last 11 s before now", waits, 32e6, 21e6],
		["as much of the range as reaches there", waits, 35e6, 24e6],
		["a range of long ago is whole", waits, 43e6, null],
		["a range that is all young", { ...waits, fromUs: 25e6 }, 32e6, 25e6],
		["wall clock, too", { ...waits, type: "wall" }, 32e6, 21e6],
	])("%s", (_, series, nowUs, since) => expect(arrivingSince(series, nowUs)).toBe(since));
});

import { describe, expect, test } from "vitest";
import { decodeTrace } from "../../src/api";
import { parseSelector } from "../../src/model/selector";
import {
	type TraceDraft,
	draftFrom,
	faultOf,
	groupKey,
	groupOf,
	histogramBars,
	traceParams,
} from "../../src/model/trace";

const PLAIN: TraceDraft = draftFrom(parseSelector("{}"));

describe("what is traced, from the selector", () => {
	test.each([
		["{}", "machine", ""],
		['{pid="812"}', "pid", "812"],
		['{comm="a",pid="812"}', "pid", "812"],
		['{pid="812",tid="813"}', "tid", "813"],
		['{cgroup="/system.slice/a"}', "cgroup", "/system.slice/a"],
		['{pid!="812"}', "machine", ""],
		['{pid=~"81."}', "machine", ""],
		['{pid=""}', "machine", ""],
		["{broken", "machine", ""],
	])("%s", (query, target, text) =>
		expect(draftFrom(parseSelector(query))).toMatchObject({ target, targetText: text }),
	);
});

describe("what is wrong with it", () => {
	test.each<[string, Partial<TraceDraft>, RegExp]>([
		["nothing", {}, /^$/],
		["a minute", { seconds: "60" }, /^$/],
		["limits", { minText: "0", maxText: "0" }, /^$/],
		["a thread", { target: "tid", targetText: "4194304" }, /^$/],
		["a cgroup", { target: "cgroup", targetText: "/" }, /^$/],
		["too short", { seconds: "0" }, /1 to 60/],
		["too long", { seconds: "61" }, /1 to 60/],
		["a part of a second", { seconds: "1.5" }, /1 to 60/],
		["no number", { seconds: "" }, /1 to 60/],
		["no pid", { target: "pid" }, /pid is a number/],
		["a name", { target: "pid", targetText: "nginx" }, /pid is a number/],
		["pid 0", { target: "pid", targetText: "0" }, /pid is a number/],
		["no path", { target: "cgroup", targetText: "system.slice" }, /cgroup is a path/],
		["below nothing", { minText: "-1" }, /shortest/],
		["a unit", { maxText: "10ms" }, /longest/],
		["crossed", { minText: "100", maxText: "99" }, /longer than/],
	])("%s", (_, patch, fault) => expect(faultOf({ ...PLAIN, ...patch })).toMatch(fault));
});

test("parameters: what is not asked for is empty, and not sent", () => {
	expect(traceParams(PLAIN)).toEqual({ seconds: "5", min_us: "", max_us: "", state: "", stacks: "" });
	const all: TraceDraft = {
		seconds: "9",
		target: "cgroup",
		targetText: "/a",
		minText: "10",
		maxText: "20",
		state: "sleeping",
		hasAllStacks: true,
	};
	expect(traceParams(all)).toEqual({
		seconds: "9",
		cgroup: "/a",
		min_us: "10",
		max_us: "20",
		state: "sleeping",
		stacks: "all",
	});
	expect(traceParams({ ...all, minText: "0" })["min_us"]).toBe("");
});

describe("histograms", () => {
	test("from the first slot with something in it to the last", () => {
		expect(histogramBars([0, 1, 0, 4, 0])).toEqual([
			{ fromUs: 2, untilUs: 4, count: 1, share: 0.25 },
			{ fromUs: 4, untilUs: 8, count: 0, share: 0 },
			{ fromUs: 8, untilUs: 16, count: 4, share: 1 },
		]);
	});
	test("the first slot begins at nothing, the last has no end", () => {
		expect(histogramBars([3])).toEqual([{ fromUs: 0, untilUs: 2, count: 3, share: 1 }]);
		const last = Array.from({ length: 30 }, (_, i) => (i === 29 ? 1 : 0));
		expect(histogramBars(last)).toEqual([{ fromUs: 2 ** 29, untilUs: Infinity, count: 1, share: 1 }]);
	});
	test.each([[[]], [[0, 0]]])("none: %j", (slots) => expect(histogramBars(slots)).toEqual([]));
});

const GROUP = { name: "a", waits: 1, sleep_us: 2, run_queue_us: 3, preempted_us: 4, throttled_us: 5 };
const DONE = {
	state: "done",
	seconds_left: 0,
	report: {
		start_us: 1,
		duration_us: 2,
		total: { ...GROUP, name: "", running_us: 6, run_queue_delays: [1], time_slices: [] },
		processes: [{ ...GROUP, pid: 7 }],
		cgroups: [{ ...GROUP, name: "/c" }],
		threads: [],
		preemptors: [],
		slow_limit_us: 1,
		slow_total: 0,
		slow: [],
		throttled: [],
		switches: { seen: 3, filtered: { short: 2 }, dropped: { missed: 1 }, lost_stacks: 0 },
	},
};

describe("answers about traces", () => {
	test("under way", () => {
		expect(decodeTrace({ state: "running", seconds_left: 3.5 })).toEqual({
			state: "running",
			secondsLeft: 3.5,
			error: "",
			report: null,
		});
	});
	test("done", () => {
		const report = decodeTrace(DONE).report!;
		expect(report.switches).toEqual({
			seen: 3,
			"filtered: short": 2,
			"dropped: missed": 1,
			lost_stacks: 0,
		});
		expect(report.total).toMatchObject({ queuedUs: 3, runningUs: 6, queued: [1], running: [] });
		expect(groupOf(report, "pid 7").name).toBe("a");
		expect(groupOf(report, "/c").pid).toBe(0);
		expect(groupOf(report, "pid 8")).toBe(report.total);
		expect(groupKey(report.total)).toBe("");
		expect(report.processes[0]!.queued).toBeNull();
	});
	test.each<[string, unknown]>([
		["nothing", null],
		["no state", { report: {} }],
		["a state of its own", { ...DONE, state: "paused" }],
		["a report that is none", { ...DONE, report: [] }],
		["no total", { ...DONE, report: { ...DONE.report, total: undefined } }],
		["no processes", { ...DONE, report: { ...DONE.report, processes: undefined } }],
		["a histogram of words", { ...DONE, report: { ...DONE.report, total: { run_queue_delays: ["1"] } } }],
		["a time that is none", { ...DONE, report: { ...DONE.report, start_us: "now" } }],
	])("%s is refused", (_, json) => expect(() => decodeTrace(json)).toThrow());
});

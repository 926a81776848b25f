import { afterEach, describe, expect, test, vi } from "vitest";
import {
	ApiError,
	decodeLabelValues,
	decodeLabels,
	decodeSeries,
	decodeStatus,
	decodeTop,
	fetchFlame,
	fetchLabels,
	fetchTop,
} from "../src/api";
import { MalformedError } from "../src/model/calltree";
import { SMALL, encode } from "./model/trees";

/* The examples of docs/API.md. */
const SERIES = {
	type: "cpu",
	query: "{}",
	from_us: 0,
	until_us: 30000000,
	start_us: 0,
	step_us: 15000000,
	points: 2,
	group_by: "comm",
	series: [{ name: "cc1", total_us: 5, weight_us: [2, 3] }],
	covered_us: [15000000, 14000000],
	taken: [1480, 1500],
	dropped: [0, 20],
};
const TOP = {
	type: "cpu",
	query: "{}",
	from_us: 1,
	until_us: 2,
	total_us: 123,
	samples: 12,
	functions: 34,
	rows: [
		{
			name: "memcpy",
			mapping: "/lib/x86_64-linux-gnu/libc.so.6",
			kind: 1,
			self_us: 9,
			total_us: 9,
			self_samples: 1,
			total_samples: 1,
		},
	],
};
const UNNAMED = { file: "/opt/a", build_id: "00ff", samples: 80, reason: "stripped", remedy: "install it" };
const SYMBOLS = {
	executables: 12,
	with_lines: 7,
	waiting: 3,
	compiling: "",
	compiled: 5,
	from_cache: 2,
	failed: 1,
	unnamed_samples: 90,
	unnamed: [UNNAMED],
};
const STATUS = {
	version: "0.1.0",
	host: "h",
	start_us: 1,
	now_us: 2,
	sampling: true,
	rate_hz: 99,
	cpus_sampled: 2,
	cpus_online: 2,
	ledger: {
		kernel: { taken: 9, stored: 9, pending: 0, dropped: { ring_full: 0 } },
		user: { taken: 9, stored: 8, pending: 1, dropped: { queue_full: 0 } },
	},
	sideband: { records: 1, lost: 0, rescans: 0 },
	stacks: { cut: 0, cached: 5 },
	stack_ends: { complete: 9 },
	stack_quality: {
		processes: { rows: [{ pid: 42, comm: "cc1", ends: { complete: 8 } }], other: { complete: 1 } },
		libraries: { rows: [{ library: "/usr/bin/cc1", ends: { complete: 9 } }], other: {} },
	},
	symbols: SYMBOLS,
	processes: 1,
	threads: 1,
	executables: 1,
	cost: { bpf_run_us: 1, bpf_runs: 1, cpu_user_us: 1, cpu_system_us: 1, memory_bytes: 1 },
	store: { directory: "/var/lib/hearth", bytes: 1, partitions: 1, oldest_us: 1, newest_us: 2, samples: 1 },
	notices: ["x"],
};

describe("decoding", () => {
	test("the documented answers", () => {
		expect(decodeSeries(SERIES)).toMatchObject({
			stepUs: 15e6,
			groupBy: "comm",
			lines: [{ name: "cc1", totalUs: 5, weightUs: [2, 3] }],
			dropped: [0, 20],
		});
		expect(decodeTop(TOP).rows[0]).toEqual({
			name: "memcpy",
			mapping: "/lib/x86_64-linux-gnu/libc.so.6",
			kind: 1,
			selfUs: 9,
			totalUs: 9,
			selfSamples: 1,
			totalSamples: 1,
		});
		expect(decodeLabels({ labels: ["comm"] })).toEqual(["comm"]);
		expect(decodeLabelValues({ label: "comm", values: [{ value: "cc1", total_us: 123 }] })).toEqual([
			{ value: "cc1", totalUs: 123 },
		]);
		const status = decodeStatus(STATUS);
		expect(status.symbols).toMatchObject({ withLines: 7, fromCache: 2, unnamedSamples: 90 });
		expect(status.symbols?.unnamed[0]).toEqual({
			file: "/opt/a",
			buildId: "00ff",
			samples: 80,
			reason: "stripped",
			remedy: "install it",
		});
		expect(decodeStatus({ ...STATUS, symbols: undefined }).symbols).toBeNull();
		expect(status).toMatchObject({
			host: "h",
			directory: "/var/lib/hearth",
			notices: ["x"],
			user: { pending: 1 },
			store: { bytes: 1 },
			stackProcesses: {
				rows: [{ name: "cc1", pid: 42, ends: { complete: 8 } }],
				other: { complete: 1 },
			},
			stackLibraries: { rows: [{ name: "/usr/bin/cc1", pid: 0, ends: { complete: 9 } }], other: {} },
		});
		expect(status.store["directory"]).toBeUndefined();
	});
	test("a server that only shows stored data says less", () => {
		const { version, host, now_us, store } = STATUS;
		expect(decodeStatus({ version, host, now_us, store, sampling: false })).toMatchObject({
			sampling: false,
			kernel: null,
			user: null,
			notices: [],
			rateHz: 0,
		});
	});
	test.each<[string, (json: unknown) => unknown, unknown]>([
		["series: not an object", decodeSeries, null],
		["series: a list", decodeSeries, []],
		["series: text", decodeSeries, "x"],
		["series: fewer weights than points", decodeSeries, { ...SERIES, points: 3 }],
		[
			"series: weights of text",
			decodeSeries,
			{ ...SERIES, series: [{ name: "a", total_us: 1, weight_us: ["1", "2"] }] },
		],
		[
			"series: a line without a name",
			decodeSeries,
			{ ...SERIES, series: [{ total_us: 1, weight_us: [1, 2] }] },
		],
		["series: no step", decodeSeries, { ...SERIES, step_us: 0 }],
		["series: null among the losses", decodeSeries, { ...SERIES, dropped: [null, 1] }],
		["series: lines that are none", decodeSeries, { ...SERIES, series: {} }],
		["top: no rows", decodeTop, { ...TOP, rows: undefined }],
		["top: a row of null", decodeTop, { ...TOP, rows: [null] }],
		["top: NaN", decodeTop, { ...TOP, total_us: NaN }],
		["top: a name that is a number", decodeTop, { ...TOP, rows: [{ ...TOP.rows[0], name: 5 }] }],
		["labels: numbers", decodeLabels, { labels: [1] }],
		["labels: missing", decodeLabels, {}],
		["values: text", decodeLabelValues, { values: ["a"] }],
		["values: no weight", decodeLabelValues, { values: [{ value: "a" }] }],
		["status: empty", decodeStatus, {}],
		["status: a ledger of text", decodeStatus, { ...STATUS, ledger: { kernel: "x" } }],
		[
			"status: a ledger without taken",
			decodeStatus,
			{ ...STATUS, ledger: { kernel: { stored: 1, pending: 0 } } },
		],
		[
			"status: a process without a name",
			decodeStatus,
			{ ...STATUS, stack_quality: { processes: { rows: [{ pid: 1, ends: {} }] } } },
		],
		[
			"status: a pid that is text",
			decodeStatus,
			{ ...STATUS, stack_quality: { processes: { rows: [{ pid: "1", comm: "x", ends: {} }] } } },
		],
		["status: libraries without rows", decodeStatus, { ...STATUS, stack_quality: { libraries: {} } }],
		["status: notices that are text", decodeStatus, { ...STATUS, notices: "x" }],
		["status: symbols that are none", decodeStatus, { ...STATUS, symbols: [] }],
		[
			"status: symbols without a number",
			decodeStatus,
			{ ...STATUS, symbols: { ...SYMBOLS, failed: "0" } },
		],
		["status: compiling true", decodeStatus, { ...STATUS, symbols: { ...SYMBOLS, compiling: true } }],
		["status: unnamed without rows", decodeStatus, { ...STATUS, symbols: { ...SYMBOLS, unnamed: 1 } }],
		[
			"status: an unnamed file without a reason",
			decodeStatus,
			{ ...STATUS, symbols: { ...SYMBOLS, unnamed: [{ ...UNNAMED, reason: undefined }] } },
		],
	])("refuses %s", (_, decode, json) => expect(() => decode(json)).toThrow(MalformedError));
});

describe("asking", () => {
	const selection = { type: "cpu", query: '{comm="a&b"}', from: "now-15m", until: "now" } as const;
	const { signal } = new AbortController();
	const answer = (body: BodyInit, status = 200): void => {
		vi.stubGlobal("document", { baseURI: "http://host:4040/behind/proxy/" });
		vi.stubGlobal(
			"fetch",
			vi.fn(() => Promise.resolve(new Response(body, { status }))),
		);
	};
	afterEach(() => vi.unstubAllGlobals());

	test("the address is relative to the page, and escaped", async () => {
		answer(encode(SMALL));
		const tree = await fetchFlame(
			selection,
			{ focus: "std::a<b>", rootBy: "comm", frames: "function" },
			signal,
		);
		expect(tree.count).toBe(6);
		const url = new URL(vi.mocked(fetch).mock.calls[0]![0] as string);
		expect(url.pathname).toBe("/behind/proxy/api/v1/flame");
		expect(Object.fromEntries(url.searchParams)).toEqual({
			...selection,
			focus: "std::a<b>",
			group_by: "comm",
			format: "table",
		});
	});
	test.each([
		["", "function"],
		["", "line"],
		["reason", "library"],
	] as const)("what a frame is: by %s, %s", async (rootBy, frames) => {
		answer(encode(SMALL));
		await fetchFlame(selection, { focus: "", rootBy, frames }, signal);
		const params = new URL(vi.mocked(fetch).mock.calls[0]![0] as string).searchParams;
		expect(params.get("by")).toBe(frames === "function" ? null : frames);
		expect(params.get("group_by")).toBe(rootBy || null);
		answer(JSON.stringify({ total_us: 0, samples: 0, functions: 0, rows: [] }));
		await fetchTop(selection, frames, signal);
		const asked = new URL(vi.mocked(fetch).mock.calls[0]![0] as string).searchParams;
		expect(asked.get("by")).toBe(frames === "function" ? null : frames);
	});
	test("the server's own sentence is what is shown", async () => {
		answer(JSON.stringify({ error: { code: "bad_request", message: "no such label" } }), 400);
		await expect(fetchLabels(selection, signal)).rejects.toEqual(new ApiError("no such label", 400));
	});
	test.each([
		["<html>oops", 502],
		['{"error":"x"}', 500],
		["", 503],
	])("an error without one: %s", async (body, status) => {
		answer(body, status);
		await expect(fetchLabels(selection, signal)).rejects.toThrow(`The server answered ${status}.`);
	});
	test("an answer that is not JSON, or not the right one", async () => {
		answer("<html>");
		await expect(fetchLabels(selection, signal)).rejects.toThrow(/makes no sense/);
		answer('{"labels":5}');
		await expect(fetchLabels(selection, signal)).rejects.toThrow(/"labels" is not a list/);
	});
	test("a server that is gone", async () => {
		vi.stubGlobal("document", { baseURI: "http://host/" });
		vi.stubGlobal("fetch", () => Promise.reject(new TypeError("fetch failed")));
		await expect(fetchLabels(selection, signal)).rejects.toThrow("The server cannot be reached.");
	});
});

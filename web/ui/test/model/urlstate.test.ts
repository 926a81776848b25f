import { describe, expect, test } from "vitest";
import { makeRandom } from "../mock-server/data";
import { DEFAULT_STATE, type UrlState, formatUrlState, parseUrlState } from "../../src/model/urlstate";
import { WHOLE } from "../../src/model/zoom";

describe("URL state", () => {
	test("the plain screen has a plain URL", () => {
		expect(formatUrlState(DEFAULT_STATE)).toBe("");
		expect(parseUrlState("")).toEqual(DEFAULT_STATE);
	});
	test("stays readable", () => {
		const state: UrlState = {
			...DEFAULT_STATE,
			from: "2026-11-22T00:00:00Z",
			until: "2026-11-22T00:05:00Z",
			tab: "table",
		};
		expect(formatUrlState(state)).toBe("?from=2026-11-22T00:00:00Z&until=2026-11-22T00:05:00Z&tab=table");
	});
	test("format and parse is identity, whatever names hold", () => {
		const random = makeRandom(7);
		const texts = [
			"",
			"a",
			"a b",
			"a+b",
			"a&b=c",
			"#x",
			"100%",
			"größe",
			"std::vector<int>",
			"/^f\\($/",
			"?",
			"漢",
			'{comm="a,b"}',
			"%2C",
		];
		const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
		for (let i = 0; i < 500; i++) {
			const state: UrlState = {
				type: pick(["cpu", "offcpu", "wall"]),
				query: pick(texts) || "{}",
				from: pick(["now-1h", "2026-11-22T00:00:00.020Z", "1795305600"]),
				until: pick(["now", "now-5m"]),
				groupBy: pick(["", "comm", "pid", "service_name"]),
				tab: pick(["flame", "table", "status"]),
				rootBy: pick(["", "comm", "reason"]),
				frames: pick(["function", "line", "library"]),
				focus: pick(texts),
				zoom: pick(["", "AbC-", "AbC-x_9Z"]),
				span: pick([WHOLE, { a: 0.25, b: 0.5 }, { a: 0, b: 0.0000123 }]),
				search: pick(texts),
				layout: pick(["icicle", "flame"]),
				sort: pick(["self", "total", "samples", "name", "mapping"]),
				ascending: pick([true, false]),
				filter: pick(texts),
				qualitySort: pick(["cut", "whole", "samples", "name"]),
				qualityAscending: pick([true, false]),
				hasSide: pick([true, false]),
				trace: pick([0, 1, 17]),
				traceView: pick(["waits", "wakers", "offwake", "delays"]),
			};
			expect(parseUrlState(formatUrlState(state))).toEqual(state);
		}
	});
	test.each<[string, Partial<UrlState>]>([
		["?type=heap", { type: "cpu" }],
		["?from=yesterday", { from: "now-15m" }],
		["?tab=<script>", { tab: "flame" }],
		["?zoom=abc", { zoom: "" }],
		["?span=0.9-0.1", { span: WHOLE }],
		["?span=0-2", { span: WHOLE }],
		["?span=x", { span: WHOLE }],
		["?span=-1-1", { span: WHOLE }],
		["?group_by=a%20b", { groupBy: "" }],
		["?by=1st", { rootBy: "" }],
		["?by=comm,line", { rootBy: "" }],
		["?trace=-1", { trace: 0 }],
		["?trace=0", { trace: 0 }],
		["?trace=1e3", { trace: 0 }],
		["?trace=99999999999999999", { trace: 0 }],
		["?trace_view=flame", { traceView: "waits" }],
		["?waits_on=on", { hasSide: true }],
		["?query=", { query: "{}" }],
		["?sort=size", { sort: "self" }],
		["?layout=round", { layout: "icicle" }],
		["?by=pid", { rootBy: "pid" }],
		["?frames=file", { frames: "function" }],
		["?frames=", { frames: "function" }],
		["?unknown=1", {}],
		["?query=%E0%A4%A", {}],
	])("%s falls back", (search, wanted) => expect(parseUrlState(search)).toMatchObject(wanted));
});

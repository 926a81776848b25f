/*
 * api: asks the server and turns what comes back, which is `unknown`, into types.
 *
 * Every answer is checked field by field, so that a wrong server is one clear sentence and not
 * a blank screen. Shapes: docs/API.md.
 */
import { type CallTree, MalformedError, decodeFlameTable } from "./model/calltree";
import type { Ledger } from "./model/ledger";
import { REASONS } from "./model/reasons";
import type { EndsRow, EndsTable } from "./model/stacks";
import type { Series } from "./model/timeline";
import {
	type Slots,
	type Trace,
	type TraceDraft,
	type TraceGroup,
	type TraceReport,
	traceParams,
} from "./model/trace";
import type { TopTable } from "./model/toptable";
import type { Frames, ProfileType, UrlState } from "./model/urlstate";

export interface LabelValue {
	readonly value: string;
	readonly totalUs: number;
}

export interface Status {
	readonly version: string;
	readonly host: string;
	readonly startUs: number;
	readonly nowUs: number;
	readonly sampling: boolean;
	readonly rateHz: number;
	readonly cpusSampled: number;
	readonly cpusOnline: number;
	readonly kernel: Ledger | null /* null when the server only shows stored data */;
	readonly user: Ledger | null;
	readonly sideband: Readonly<Record<string, number>>;
	readonly stacks: Readonly<Record<string, number>>;
	readonly stackEnds: Readonly<Record<string, number>>;
	readonly stackProcesses: EndsTable;
	readonly stackLibraries: EndsTable;
	readonly symbols: SymbolsStatus | null /* null when the server names nothing */;
	readonly waiting: WaitingStatus;
	readonly lateTicks: number;
	readonly processes: number;
	readonly threads: number;
	readonly executables: number;
	readonly cost: Readonly<Record<string, number>>;
	readonly store: Readonly<Record<string, number>>;
	readonly directory: string;
	readonly notices: readonly string[];
}

/* The sampler of waiting threads. */
export interface WaitingStatus {
	readonly method: string /* "": waiting is not sampled */;
	readonly whyOff: string;
	readonly counts: Readonly<Record<string, number>>;
}

/* An executable that has frames without a name. */
export interface Unnamed {
	readonly file: string;
	readonly buildId: string /* "": it has none */;
	readonly samples: number;
	readonly reason: string;
	readonly remedy: string;
}

export interface SymbolsStatus {
	readonly executables: number;
	readonly withLines: number;
	readonly waiting: number;
	readonly compiling: string /* "": none */;
	readonly compiled: number;
	readonly fromCache: number;
	readonly failed: number;
	readonly unnamedSamples: number;
	readonly unnamed: readonly Unnamed[];
}

/* The server said no (its sentence), or could not be reached. */
export class ApiError extends Error {
	constructor(
		message: string,
		readonly status: number,
	) {
		super(message);
	}
}

type Fields = Readonly<Record<string, unknown>>;

function fields(value: unknown, what: string): Fields {
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw new MalformedError(`${what} is not an object`);
	return value as Fields;
}

function num(from: Fields, key: string): number {
	const value = from[key];
	if (typeof value !== "number" || !Number.isFinite(value))
		throw new MalformedError(`"${key}" is not a number`);
	return value;
}

function text(from: Fields, key: string): string {
	const value = from[key];
	if (typeof value !== "string") throw new MalformedError(`"${key}" is not text`);
	return value;
}

function list<T>(from: Fields, key: string, item: (value: unknown, i: number) => T): readonly T[] {
	const value = from[key];
	if (!Array.isArray(value)) throw new MalformedError(`"${key}" is not a list`);
	return value.map(item);
}

function numbers(from: Fields, key: string, length: number): readonly number[] {
	const values = list(from, key, (value, i) => {
		if (typeof value !== "number" || !Number.isFinite(value))
			throw new MalformedError(`"${key}"[${i}] is not a number`);
		return value;
	});
	if (values.length !== length)
		throw new MalformedError(`"${key}" has ${values.length} points, not ${length}`);
	return values;
}

/* The numbers of an object of counters; members of other types are left out. */
function counters(value: unknown, what: string): Readonly<Record<string, number>> {
	const entries = Object.entries(fields(value ?? {}, what));
	return Object.fromEntries(entries.filter((e): e is [string, number] => typeof e[1] === "number"));
}

function profileType(f: Fields): ProfileType {
	const type = f["type"] ?? "cpu";
	if (type !== "cpu" && type !== "offcpu" && type !== "wall")
		throw new MalformedError('"type" is not cpu, offcpu or wall');
	return type;
}

export function decodeSeries(json: unknown): Series {
	const f = fields(json, "series");
	const points = num(f, "points");
	const stepUs = num(f, "step_us");
	if (stepUs <= 0) throw new MalformedError('"step_us" is not positive');
	return {
		type: profileType(f),
		fromUs: num(f, "from_us"),
		untilUs: num(f, "until_us"),
		startUs: num(f, "start_us"),
		stepUs,
		groupBy: typeof f["group_by"] === "string" ? f["group_by"] : "",
		lines: list(f, "series", (value) => {
			const line = fields(value, "a line of the series");
			return {
				name: text(line, "name"),
				totalUs: num(line, "total_us"),
				weightUs: numbers(line, "weight_us", points),
			};
		}),
		coveredUs: numbers(f, "covered_us", points),
		taken: numbers(f, "taken", points),
		dropped: numbers(f, "dropped", points),
	};
}

export function decodeTop(json: unknown): TopTable {
	const f = fields(json, "top");
	return {
		totalUs: num(f, "total_us"),
		samples: num(f, "samples"),
		functions: num(f, "functions"),
		rows: list(f, "rows", (value) => {
			const row = fields(value, "a row of the table");
			return {
				name: text(row, "name"),
				mapping: text(row, "mapping"),
				kind: num(row, "kind"),
				selfUs: num(row, "self_us"),
				totalUs: num(row, "total_us"),
				selfSamples: num(row, "self_samples"),
				totalSamples: num(row, "total_samples"),
			};
		}),
	};
}

export function decodeLabels(json: unknown): readonly string[] {
	return list(fields(json, "labels"), "labels", (value) => {
		if (typeof value !== "string") throw new MalformedError("a label is not text");
		return value;
	});
}

export function decodeLabelValues(json: unknown): readonly LabelValue[] {
	return list(fields(json, "label values"), "values", (value) => {
		const f = fields(value, "a label value");
		return { value: text(f, "value"), totalUs: num(f, "total_us") };
	});
}

function decodeLedger(json: unknown): Ledger | null {
	if (json === undefined || json === null) return null;
	const f = fields(json, "a ledger");
	return {
		taken: num(f, "taken"),
		stored: num(f, "stored"),
		pending: num(f, "pending"),
		dropped: counters(f["dropped"], "dropped"),
	};
}

function decodeEnds(json: unknown, nameKey: string): EndsTable {
	if (json === undefined) return { rows: [], other: {} };
	const f = fields(json, "a table of stacks");
	return {
		rows: list(f, "rows", (value): EndsRow => {
			const row = fields(value, "a row of stacks");
			return {
				name: text(row, nameKey),
				pid: row["pid"] === undefined ? 0 : num(row, "pid"),
				ends: counters(row["ends"], "ends"),
			};
		}),
		other: counters(f["other"], "other"),
	};
}

function decodeSymbols(json: unknown): SymbolsStatus | null {
	if (json === undefined) return null;
	const f = fields(json, "symbols");
	return {
		executables: num(f, "executables"),
		withLines: num(f, "with_lines"),
		waiting: num(f, "waiting"),
		compiling: text(f, "compiling"),
		compiled: num(f, "compiled"),
		fromCache: num(f, "from_cache"),
		failed: num(f, "failed"),
		unnamedSamples: num(f, "unnamed_samples"),
		unnamed: list(f, "unnamed", (value): Unnamed => {
			const row = fields(value, "an executable without names");
			return {
				file: text(row, "file"),
				buildId: text(row, "build_id"),
				samples: num(row, "samples"),
				reason: text(row, "reason"),
				remedy: text(row, "remedy"),
			};
		}),
	};
}

function decodeWaiting(json: unknown): WaitingStatus {
	const f = fields(json ?? { method: "", why_off: "" }, "waiting");
	return { method: text(f, "method"), whyOff: text(f, "why_off"), counts: counters(f, "waiting") };
}

export function decodeStatus(json: unknown): Status {
	const f = fields(json, "status");
	const ledger = fields(f["ledger"] ?? {}, "ledger");
	const store = fields(f["store"] ?? {}, "store");
	const quality = fields(f["stack_quality"] ?? {}, "stack_quality");
	const count = (key: string): number => (f[key] === undefined ? 0 : num(f, key));
	return {
		version: text(f, "version"),
		host: text(f, "host"),
		startUs: count("start_us"),
		nowUs: num(f, "now_us"),
		sampling: f["sampling"] === true,
		rateHz: count("rate_hz"),
		cpusSampled: count("cpus_sampled"),
		cpusOnline: count("cpus_online"),
		kernel: decodeLedger(ledger["kernel"]),
		user: decodeLedger(ledger["user"]),
		sideband: counters(f["sideband"], "sideband"),
		stacks: counters(f["stacks"], "stacks"),
		stackEnds: counters(f["stack_ends"], "stack_ends"),
		stackProcesses: decodeEnds(quality["processes"], "comm"),
		stackLibraries: decodeEnds(quality["libraries"], "library"),
		symbols: decodeSymbols(f["symbols"]),
		waiting: decodeWaiting(f["waiting"]),
		lateTicks: count("late_ticks"),
		processes: count("processes"),
		threads: count("threads"),
		executables: count("executables"),
		cost: counters(f["cost"], "cost"),
		store: counters(store, "store"),
		directory: typeof store["directory"] === "string" ? store["directory"] : "",
		notices: f["notices"] === undefined ? [] : list(f, "notices", (value) => String(value)),
	};
}

/* What selects samples; the part of the URL state that the server gets. */
export type Selection = Pick<UrlState, "type" | "query" | "from" | "until">;

function address(path: string, params: Readonly<Record<string, string>>): string {
	const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== ""));
	return new URL(`${path}?${query}`, document.baseURI).href;
}

const select = (s: Selection): Record<string, string> => ({
	type: s.type,
	query: s.query,
	from: s.from,
	until: s.until,
});

async function refusal(response: Response): Promise<ApiError> {
	const fallback = `The server answered ${response.status}.`;
	try {
		const error = fields(fields(await response.json(), "answer")["error"], "error");
		return new ApiError(text(error, "message"), response.status);
	} catch {
		return new ApiError(fallback, response.status);
	}
}

const NEVER = new AbortController().signal;

async function ask(url: string, signal: AbortSignal, method = "GET"): Promise<Response> {
	let response: Response;
	try {
		response = await fetch(url, {
			method,
			signal,
			headers: { accept: "application/json, application/octet-stream" },
		});
	} catch (error) {
		if (signal.aborted) throw error;
		throw new ApiError("The server cannot be reached.", 0);
	}
	if (!response.ok) throw await refusal(response);
	return response;
}

async function askJson<T>(
	path: string,
	params: Record<string, string>,
	decode: (json: unknown) => T,
	signal: AbortSignal,
): Promise<T> {
	const response = await ask(address(`api/v1/${path}`, params), signal);
	try {
		return decode(await response.json());
	} catch (error) {
		if (signal.aborted) throw error;
		const why = error instanceof Error ? error.message : String(error);
		throw new ApiError(`The server's answer to /${path} makes no sense: ${why}.`, response.status);
	}
}

/* How stacks become frames. */
export type Shape = Pick<UrlState, "focus" | "rootBy" | "frames">;

async function askFlame(
	path: string,
	params: Record<string, string>,
	s: Shape,
	signal: AbortSignal,
): Promise<CallTree> {
	const by = s.frames === "function" ? "" : s.frames;
	const shape = { focus: s.focus, by, group_by: s.rootBy, format: "table" };
	const response = await ask(address(`api/v1/${path}`, { ...params, ...shape }), signal);
	return decodeFlameTable(await response.arrayBuffer());
}

export function fetchFlame(s: Selection, shape: Shape, signal: AbortSignal): Promise<CallTree> {
	return askFlame("flame", select(s), shape, signal);
}

export function fetchTop(s: Selection, frames: Frames, signal: AbortSignal): Promise<TopTable> {
	const by = frames === "function" ? "" : frames;
	return askJson("top", { ...select(s), by, limit: "5000" }, decodeTop, signal);
}

export function fetchSeries(s: Selection, groupBy: string, signal: AbortSignal): Promise<Series> {
	const limit = groupBy === "reason" ? REASONS.length : 8; /* of reasons all, as each has its colour */
	const params = { ...select(s), group_by: groupBy, limit: String(limit) };
	return askJson("series", params, decodeSeries, signal);
}

export function fetchLabels(s: Selection, signal: AbortSignal): Promise<readonly string[]> {
	return askJson("labels", select(s), decodeLabels, signal);
}

export function fetchLabelValues(
	s: Selection,
	label: string,
	limit: number,
	signal: AbortSignal,
): Promise<readonly LabelValue[]> {
	return askJson("label-values", { ...select(s), label, limit: String(limit) }, decodeLabelValues, signal);
}

export function fetchStatus(signal: AbortSignal): Promise<Status> {
	return askJson("status", {}, decodeStatus, signal);
}

function decodeSlots(value: unknown): Slots | null {
	if (value === undefined || value === null) return null;
	if (!Array.isArray(value) || value.some((count) => typeof count !== "number"))
		throw new MalformedError("a histogram is not a list of numbers");
	return value as number[];
}

function decodeGroup(value: unknown): TraceGroup {
	const f = fields(value, "a group of threads");
	const count = (key: string): number => (f[key] === undefined ? 0 : num(f, key));
	return {
		name: typeof f["name"] === "string" ? f["name"] : "",
		pid: count("pid"),
		tid: count("tid"),
		waits: count("waits"),
		sleepUs: count("sleep_us"),
		queuedUs: count("run_queue_us"),
		preemptedUs: count("preempted_us"),
		throttledUs: count("throttled_us"),
		runningUs: count("running_us"),
		queued: decodeSlots(f["run_queue_delays"]),
		running: decodeSlots(f["time_slices"]),
	};
}

function prefixed(prefix: string, json: unknown): Readonly<Record<string, number>> {
	const entries = Object.entries(counters(json, prefix));
	return Object.fromEntries(entries.map(([name, count]) => [prefix + name, count]));
}

function decodeReport(json: unknown): TraceReport | null {
	if (json === undefined || json === null) return null;
	const f = fields(json, "report");
	return {
		startUs: num(f, "start_us"),
		durationUs: num(f, "duration_us"),
		switches: {
			...counters(f["switches"], "switches"),
			...prefixed("filtered: ", fields(f["switches"], "switches")["filtered"]),
			...prefixed("dropped: ", fields(f["switches"], "switches")["dropped"]),
		},
		total: decodeGroup(f["total"]),
		processes: list(f, "processes", decodeGroup),
		cgroups: list(f, "cgroups", decodeGroup),
		preemptors: list(f, "preemptors", (value) => {
			const row = fields(value, "a preemptor");
			return {
				name: text(row, "name"),
				by: text(row, "by"),
				count: num(row, "count"),
				preemptedUs: num(row, "preempted_us"),
			};
		}),
		slow: list(f, "slow", (value) => {
			const row = fields(value, "a slow one");
			return {
				timeUs: num(row, "time_us"),
				delayUs: num(row, "delay_us"),
				name: text(row, "name"),
				tid: num(row, "tid"),
				previous: text(row, "previous"),
			};
		}),
		throttled: list(f, "throttled", (value) => {
			const row = fields(value, "a throttled cgroup");
			return {
				cgroup: text(row, "cgroup"),
				periods: num(row, "periods"),
				throttledUs: num(row, "throttled_us"),
			};
		}),
	};
}

export function decodeTrace(json: unknown): Trace {
	const f = fields(json, "trace");
	const state = text(f, "state");
	if (state !== "running" && state !== "done" && state !== "failed")
		throw new MalformedError('"state" is not running, done or failed');
	return {
		state,
		secondsLeft: f["seconds_left"] === undefined ? 0 : num(f, "seconds_left"),
		error: typeof f["error"] === "string" ? f["error"] : "",
		report: decodeReport(f["report"]),
	};
}

/* Its number. */
export async function startTrace(draft: TraceDraft): Promise<number> {
	const response = await ask(address("api/v1/trace", traceParams(draft)), NEVER, "POST");
	return num(fields(await response.json(), "trace"), "id");
}

export async function stopTrace(id: number): Promise<void> {
	await ask(address(`api/v1/trace/${id}`, {}), NEVER, "DELETE");
}

export function fetchTrace(id: number, signal: AbortSignal): Promise<Trace> {
	return askJson(`trace/${id}`, {}, decodeTrace, signal);
}

export function fetchTraceFlame(
	id: number,
	view: string,
	shape: Shape,
	signal: AbortSignal,
): Promise<CallTree> {
	return askFlame(`trace/${id}/flame`, { view }, shape, signal);
}

export function traceExportUrl(id: number, view: string, format: "pprof" | "folded"): string {
	return address(`api/v1/trace/${id}/export`, { view, format });
}

export function exportUrl(s: Selection, format: "pprof" | "folded"): string {
	return address("api/v1/export", { ...select(s), format });
}

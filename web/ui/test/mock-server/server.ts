/*
 * server: answers as docs/API.md says, from made-up data, with the real server's strict CSP.
 */
import { readFile } from "node:fs/promises";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { type Condition, parseSelector } from "../../src/model/selector";
import { parseTime } from "../../src/model/timerange";
import {
	type Keep,
	LABELS,
	TICK_NS,
	WAIT_LABELS,
	encodeFlameTable,
	labelOf,
	makeTree,
	seriesLines,
	sources,
	topRows,
} from "./data";
import { Traces } from "./trace";
import type { Wait } from "./waits";

const CSP =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES: Readonly<Record<string, string>> = {
	".html": "text/html; charset=utf-8",
	".js": "text/javascript",
	".css": "text/css",
	".svg": "image/svg+xml",
};

export interface MockOptions {
	readonly dist: string;
	readonly nowUs: number | null /* null: the real clock */;
	readonly stacks: number;
	readonly hasWaiting: boolean;
}

export interface Mock {
	readonly url: string;
	readonly asked: string[] /* paths with queries of the API, in order */;
	fails: boolean /* answer the API with 503 */;
	close(): Promise<void>;
}

class Refused extends Error {}

interface Question {
	readonly params: URLSearchParams;
	readonly type: string;
	readonly query: string;
	readonly fromUs: number;
	readonly untilUs: number;
	readonly nowUs: number;
	readonly keep: Keep;
}

function holds(c: Condition, comm: string, wait: Wait | null): boolean {
	const value = labelOf(c.label, comm, wait);
	const isRegex = c.op.endsWith("~");
	const isEqual = isRegex ? new RegExp(`^(?:${c.value})$`).test(value) : value === c.value;
	return c.op.startsWith("!") ? !isEqual : isEqual;
}

function readQuestion(params: URLSearchParams, nowUs: number): Question {
	const fromUs = parseTime(params.get("from") ?? "now-15m", nowUs);
	const untilUs = parseTime(params.get("until") ?? "now", nowUs);
	const query = params.get("query") ?? "{}";
	const parsed = parseSelector(query);
	if (!parsed.ok) throw new Refused(`query: at character ${parsed.at + 1}: ${parsed.message}`);
	if (fromUs === null || untilUs === null || fromUs >= untilUs)
		throw new Refused("until is not after from");
	const type = params.get("type") ?? "cpu";
	const keep: Keep = (comm, wait) =>
		(type === "wall" || type === (wait ? "offcpu" : "cpu")) &&
		parsed.conditions.every((c) => holds(c, comm, wait));
	return { params, type, query, fromUs, untilUs, nowUs, keep };
}

const words = (q: Question): string[] => (q.params.get("by") ?? "").split(",").filter(Boolean);

const head = (q: Question): object => ({
	type: q.type,
	query: q.query,
	from_us: q.fromUs,
	until_us: q.untilUs,
});

function tree(q: Question, options: MockOptions): ReturnType<typeof makeTree> {
	const oldestUs = q.nowUs - 30 * 3600e6;
	const isKnown = q.untilUs > oldestUs && (q.type === "cpu" || options.hasWaiting);
	return makeTree({
		seconds: (q.untilUs - q.fromUs) / 1e6,
		keep: (comm, wait) => isKnown && q.keep(comm, wait),
		focus: q.params.get("focus") ?? "",
		rootBy: q.params.get("group_by") ?? (words(q).includes("comm") ? "comm" : ""),
		frames: words(q).find((w) => w !== "comm") ?? "function",
		stacks: options.stacks,
	});
}

function top(q: Question, options: MockOptions): object {
	const root = tree(q, options);
	const rows = topRows(root);
	return {
		...head(q),
		total_us: root.totalNs / 1e3,
		samples: Math.round(root.totalNs / TICK_NS),
		functions: rows.length,
		rows: rows.slice(0, Number(q.params.get("limit") ?? 500)),
	};
}

function series(q: Question, options: MockOptions): object {
	const spanUs = q.untilUs - q.fromUs;
	const stepUs =
		[1, 2, 3, 5, 10, 15, 30, 60, 120, 300, 600].map((s) => s * 1e6).find((s) => spanUs / s <= 320) ??
		1800e6;
	const startUs = Math.floor(q.fromUs / stepUs) * stepUs;
	const points = Math.ceil((q.untilUs - startUs) / stepUs);
	const gapAt = Math.floor(points * 0.3);
	const isGap = (i: number): boolean => points > 50 && i >= gapAt && i < gapAt + Math.ceil(points * 0.03);
	const covered = Array.from({ length: points }, (_, i) =>
		isGap(i) ? 0 : Math.min(stepUs, q.untilUs - startUs - i * stepUs),
	);
	const groupBy = q.params.get("group_by") ?? "";
	const keep: Keep = (comm, wait) => q.keep(comm, wait) && (wait === null || options.hasWaiting);
	const lines = seriesLines(groupBy, keep, startUs, stepUs, points, (i) => !isGap(i));
	const limit = Number(q.params.get("limit") ?? 10);
	const rest = lines.slice(limit);
	const other = {
		name: "other",
		total_us: rest.reduce((sum, l) => sum + l.total_us, 0),
		weight_us: covered.map((_, i) => rest.reduce((sum, l) => sum + l.weight_us[i]!, 0)),
	};
	return {
		...head(q),
		start_us: startUs,
		step_us: stepUs,
		points,
		group_by: groupBy,
		series: rest.length > 0 ? [...lines.slice(0, limit), other] : lines,
		covered_us: covered,
		taken: covered.map((us) => Math.round(us / 5e3)),
		dropped: covered.map((_, i) => (points > 50 && i % 71 === 60 ? 20 : 0)),
	};
}

function labelValues(q: Question, options: MockOptions): object {
	const label = q.params.get("label") ?? "";
	const sums = new Map<string, number>();
	for (const { comm, wait, cores } of sources()) {
		if (!q.keep(comm, wait) || (wait !== null && !options.hasWaiting)) continue;
		const value = labelOf(label, comm, wait);
		sums.set(value, (sums.get(value) ?? 0) + Math.round(cores * (q.untilUs - q.fromUs)));
	}
	const values = [...sums]
		.map(([value, total_us]) => ({ value, total_us }))
		.sort((a, b) => b.total_us - a.total_us);
	return { label, values: values.slice(0, Number(q.params.get("limit") ?? 1000)) };
}

function status(nowUs: number, hasWaiting: boolean): object {
	const none = { no_scratch: 0, bad_record: 0, unknown_stack: 0, no_memory: 0, store_failed: 0 };
	return {
		version: "0.1.0",
		host: "db-17",
		start_us: nowUs - 93_600e6,
		now_us: nowUs,
		sampling: true,
		rate_hz: 99,
		cpus_sampled: 4,
		cpus_online: 4,
		ledger: {
			kernel: {
				taken: 19_184_220,
				stored: 19_183_912,
				pending: 0,
				dropped: { ...none, ring_full: 308, queue_full: 0 },
			},
			user: {
				taken: 19_183_912,
				stored: 19_183_850,
				pending: 20,
				dropped: { ...none, ring_full: 0, queue_full: 42 },
			},
		},
		sideband: { records: 88_121, lost: 12, rescans: 1 },
		stacks: { cut: 3, cached: 20_411, finished_in_user_space: 1_204, unwind_memory_bytes: 9_437_184 },
		stack_ends: { "no user stack": 310, complete: 81_900, "too deep": 3, "no unwind info": 122 },
		stack_quality: {
			processes: {
				rows: [
					{ pid: 812, comm: "postgres", ends: { complete: 61_000 } },
					{ pid: 9944, comm: "node", ends: { complete: 12_310, "no unwind info": 118 } },
					{ pid: 4102, comm: "envoy", ends: { complete: 7_420, "too deep": 3 } },
					{ pid: 2, comm: "kthreadd", ends: { "no user stack": 310 } },
				],
				other: { complete: 1_170, "no unwind info": 4 },
			},
			libraries: {
				rows: [
					{ library: "/usr/lib/x86_64-linux-gnu/libc.so.6", ends: { complete: 74_000 } },
					{ library: "/usr/lib/postgresql/17/bin/postgres", ends: { complete: 6_400 } },
					{ library: "[jit]", ends: { "no unwind info": 121 } },
					{
						library: "/opt/a-vendor/lib/a-directory-with-a-long-name/libprobe.so",
						ends: { complete: 1_500, "no unwind info": 1, "too deep": 3 },
					},
					{ library: "[no user stack]", ends: { "no user stack": 310 } },
				],
				other: {},
			},
		},
		symbols: {
			executables: 341,
			with_lines: 212,
			waiting: 3,
			compiling: "/usr/lib/postgresql/17/bin/postgres",
			compiled: 128,
			from_cache: 84,
			failed: 2,
			unnamed_samples: 201_344,
			unnamed: [
				{
					file: "/opt/a-vendor/lib/a-directory-with-a-long-name/libprobe.so",
					build_id: "8f3c2a19b4d05e6677a1c2d3e4f5061728394a5b",
					samples: 181_002,
					reason: "stripped: no debug file in /usr/lib/debug",
					remedy: "Ask its vendor for the debug file, and send it by PUT /api/v1/symbols/8f3c2a19b4d05e6677a1c2d3e4f5061728394a5b",
				},
				{
					file: "/usr/sbin/cron",
					build_id: "00ffee",
					samples: 20_342,
					reason: "stripped: functions are known only by their bounds",
					remedy: "apt install cron-dbgsym",
				},
			],
		},
		waiting: {
			method: hasWaiting ? "task iterator" : "",
			why_off: hasWaiting ? "" : "switched off by --waiting off",
			period_us: 50_000,
			threads: 388,
			passes: 1_871_200,
			visits: 726_025_600,
			walks: 20_119_300,
			raced: 4_102,
			busy: 311,
			deferred: 1_900,
			stuck: 3,
			unseen_us: 42_000_000,
			cpu_us: 171_000_000,
		},
		late_ticks: 7,
		processes: 212,
		threads: 803,
		executables: 341,
		cost: {
			bpf_run_us: 412_000_000,
			bpf_runs: 19_184_220,
			cpu_user_us: 610_000_000,
			cpu_system_us: 240_000_000,
			memory_bytes: 61_341_696,
		},
		store: {
			directory: "/var/lib/hearth",
			bytes: 148_897_792,
			partitions: 5,
			partitions_set_aside: 0,
			oldest_us: nowUs - 93_590e6,
			newest_us: nowUs - 400_000,
			samples: 19_183_850,
		},
		notices: [
			"The last run ended without a clean stop at 2026-11-20T22:02:17Z; at most its last second is missing.",
		],
	};
}

type Body = object | Buffer;

function answer(path: string, params: URLSearchParams, nowUs: number, options: MockOptions): Body {
	const q = readQuestion(params, nowUs);
	const routes: Readonly<Record<string, () => Body>> = {
		flame: () => encodeFlameTable(tree(q, options), q.fromUs, q.untilUs),
		top: () => top(q, options),
		series: () => series(q, options),
		labels: () => ({ labels: q.type === "cpu" ? LABELS : [...LABELS, ...WAIT_LABELS].sort() }),
		"label-values": () => labelValues(q, options),
		status: () => status(nowUs, options.hasWaiting),
		export: () => Buffer.from("main 1\n"),
	};
	const route = routes[path];
	if (!route) throw new Refused(`nothing is at "${path}"`);
	return route();
}

function send(response: ServerResponse, code: number, type: string, body: string | Buffer): void {
	response.writeHead(code, {
		"content-type": type,
		"content-security-policy": CSP,
		"x-content-type-options": "nosniff",
	});
	response.end(body);
}

async function serveFile(options: MockOptions, path: string, response: ServerResponse): Promise<void> {
	const file = join(options.dist, normalize(path === "/" ? "/index.html" : path));
	try {
		send(response, 200, TYPES[extname(file)] ?? "application/octet-stream", await readFile(file));
	} catch {
		send(response, 404, "text/plain", "not found");
	}
}

interface Served {
	readonly mock: Mock;
	readonly options: MockOptions;
	readonly traces: Traces;
}

function serveApi(served: Served, method: string, url: URL, response: ServerResponse): void {
	const { mock, options, traces } = served;
	mock.asked.push(url.pathname + url.search);
	const fail = (code: number, name: string, message: string): void =>
		send(response, code, "application/json", JSON.stringify({ error: { code: name, message } }));
	if (mock.fails) return fail(503, "unavailable", "The store is being opened.");
	try {
		const path = url.pathname.replace("/api/v1/", "");
		const nowUs = options.nowUs ?? Date.now() * 1000;
		const { code, body } = traces.answer(method, path, url.searchParams, nowUs) ?? {
			code: 200,
			body: answer(path, url.searchParams, nowUs, options),
		};
		if (Buffer.isBuffer(body)) send(response, code, "application/octet-stream", body);
		else send(response, code, "application/json", JSON.stringify(body));
	} catch (error) {
		fail(400, "bad_request", error instanceof Error ? error.message : String(error));
	}
}

export async function startMock(options: MockOptions): Promise<Mock> {
	const traces = new Traces();
	const server: Server = createServer((request: IncomingMessage, response: ServerResponse) => {
		const url = new URL(request.url ?? "/", "http://mock");
		if (url.pathname.startsWith("/api/v1/"))
			serveApi({ mock, options, traces }, request.method ?? "GET", url, response);
		else void serveFile(options, url.pathname, response);
	});
	/* By default 5 s, as often as the page asks: now and then a question would meet the end. */
	server.keepAliveTimeout = 0;
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	const { port } = server.address() as AddressInfo;
	const mock: Mock = {
		url: `http://127.0.0.1:${port}/`,
		asked: [],
		fails: false,
		close: () =>
			new Promise((done) => {
				server.closeAllConnections();
				server.close(() => done());
			}),
	};
	return mock;
}

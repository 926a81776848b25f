/* trace: exact traces of the made-up machine. */
import { encodeFlameTable, makeTree } from "./data";

const SECOND_MS = 1000;
const REPLY = { accepted: 202, conflict: 409, notFound: 404 };

export interface Reply {
	readonly code: number;
	readonly body: object | Buffer;
}

interface Run {
	readonly params: URLSearchParams;
	endMs: number;
}

export class Traces {
	private readonly runs: Run[] = [];

	/* null: not a path of traces. */
	answer(method: string, path: string, params: URLSearchParams, nowUs: number): Reply | null {
		if (path === "trace" && method === "POST") return this.start(params);
		const match = /^trace\/(\d+)(?:\/(flame|export))?$/.exec(path);
		if (!match) return null;
		const run = this.runs[Number(match[1]) - 1];
		if (!run) return refusal(REPLY.notFound, "not_found", `there is no trace ${match[1]}`);
		if (method === "DELETE") run.endMs = Math.min(run.endMs, Date.now());
		const leftMs = Math.max(0, run.endMs - Date.now());
		if (match[2] === "export") return { code: 200, body: Buffer.from("main;wait 1\n") };
		if (match[2] === "flame") return { code: 200, body: flame(params.get("view") ?? "waits") };
		if (leftMs > 0) return { code: 200, body: { state: "running", seconds_left: leftMs / SECOND_MS } };
		return { code: 200, body: { state: "done", seconds_left: 0, report: report(nowUs) } };
	}

	private start(params: URLSearchParams): Reply {
		const last = this.runs[this.runs.length - 1];
		if (last && last.endMs > Date.now())
			return refusal(REPLY.conflict, "conflict", "trace 1 runs; one at a time");
		this.runs.push({ params, endMs: Date.now() + Number(params.get("seconds")) * SECOND_MS });
		return { code: REPLY.accepted, body: { id: this.runs.length } };
	}
}

function refusal(code: number, name: string, message: string): Reply {
	return { code, body: { error: { code: name, message } } };
}

function flame(view: string): Buffer {
	const tree = makeTree({
		seconds: 5,
		keep: (comm, wait) => wait !== null && (view !== "wakers" || comm === "postgres"),
		focus: "",
		rootBy: view === "offwake" ? "comm" : "",
		frames: "function",
		stacks: 10,
	});
	return encodeFlameTable(tree, 0, 5e6);
}

function group(name: string, pid: number, waits: number): object {
	return {
		name,
		...(pid > 0 ? { pid } : {}),
		waits,
		off_us: waits * 900,
		sleep_us: waits * 700,
		run_queue_us: waits * 150,
		preempted_us: waits * 40,
		throttled_us: waits * 10,
		running_us: waits * 220,
		run_queue_delays: [waits, 3 * waits, 9 * waits, 4 * waits, waits, 30, 0, 4, 1],
		time_slices: [0, 0, 10, 60, waits, 4 * waits, 2 * waits, 700, 90, 12, 3],
		off_cpu_times: [0, 5, 9],
	};
}

function report(nowUs: number): object {
	return {
		start_us: nowUs - 5e6,
		duration_us: 5e6,
		total: group("", 0, 20_118),
		processes: [group("postgres", 812, 9_200), group("node", 9944, 4_100), group("cron", 77, 1)],
		cgroups: [group("/system.slice/postgresql.service", 0, 9_200)],
		threads: [],
		preemptors: [
			{ name: "cc1plus", by: "postgres", count: 412, preempted_us: 310_200 },
			{ name: "postgres", by: "kworker/1:2", count: 31, preempted_us: 2_150 },
		],
		slow_limit_us: 10_000,
		slow_total: 1,
		slow: [
			{
				time_us: nowUs - 2e6,
				delay_us: 31_900,
				name: "cc1plus",
				pid: 4021,
				tid: 4021,
				cpu: 1,
				previous: "postgres",
				previous_tid: 812,
			},
		],
		throttled: [{ cgroup: "/system.slice/api.service", periods: 17, throttled_us: 820_000 }],
		switches: {
			seen: 20_140,
			sent: 4_118,
			unsampled: 16_000,
			open: 22,
			ended: 0,
			filtered: { others: 0, state: 0, short: 0, long: 0 },
			dropped: { no_room: 0, missed: 0, no_scratch: 0, ring_full: 0 },
			lost_stacks: 0,
			lost_later: 0,
		},
	};
}

/* data: a made-up machine, the same at every run: a call tree, and the answers about it. */
import { WAITS, type Wait } from "./waits";

export interface Node {
	name: string;
	mapping: string;
	kind: number;
	selfNs: number;
	totalNs: number;
	children: Node[];
}

/* A linear congruential generator (Numerical Recipes): the same numbers everywhere. */
export function makeRandom(seed: number): () => number {
	let state = seed >>> 0;
	return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

type Frame = readonly [name: string, mapping: string, kind: number];

const LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6";
const kernel = (...names: string[]): Frame[] => names.map((n) => [n, "[kernel.kallsyms]", 2]);
const native = (mapping: string, ...names: string[]): Frame[] => names.map((n) => [n, mapping, 1]);
const inlined = (mapping: string, ...names: string[]): Frame[] => names.map((n) => [n, mapping, 3]);

const SYSCALL = kernel("entry_SYSCALL_64_after_hwframe", "do_syscall_64");
const READ = [
	...SYSCALL,
	...kernel(
		"ksys_read",
		"vfs_read",
		"ext4_file_read_iter",
		"filemap_read",
		"copy_page_to_iter",
		"_copy_to_iter",
	),
];
const FAULT = kernel(
	"asm_exc_page_fault",
	"exc_page_fault",
	"do_user_addr_fault",
	"handle_mm_fault",
	"do_anonymous_page",
	"clear_page_erms",
);
const SEND = [
	...SYSCALL,
	...kernel(
		"__x64_sys_sendto",
		"__sys_sendto",
		"sock_sendmsg",
		"tcp_sendmsg",
		"tcp_sendmsg_locked",
		"tcp_push",
		"__tcp_push_pending_frames",
		"tcp_write_xmit",
		"__ip_queue_xmit",
		"ip_output",
		"__dev_queue_xmit",
	),
];
const POSTGRES = "/usr/lib/postgresql/15/bin/postgres";
const CC1 = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus";

interface Process {
	readonly comm: string;
	readonly cores: number;
	readonly root: readonly Frame[];
	readonly pool: readonly Frame[];
	readonly tails: readonly (readonly Frame[])[];
}

const PROCESSES: readonly Process[] = [
	{
		comm: "postgres",
		cores: 0.92,
		tails: [READ, FAULT, native(LIBC, "__memmove_avx_unaligned_erms")],
		root: [
			...native(LIBC, "__libc_start_main", "__libc_start_call_main"),
			...native(
				POSTGRES,
				"main",
				"PostmasterMain",
				"ServerLoop",
				"PostgresMain",
				"exec_simple_query",
				"PortalRun",
				"standard_ExecutorRun",
			),
		],
		pool: [
			...native(
				POSTGRES,
				"ExecHashJoin",
				"ExecProcNode",
				"ExecScan",
				"heap_getnextslot",
				"ExecInterpExpr",
				"hash_search_with_hash_value",
				"tuplesort_performsort",
				"qsort_tuple",
				"ReadBufferExtended",
				"LWLockAcquire",
				"bttextcmp",
				"numeric_add",
				"_bt_search",
				"index_getnext_slot",
			),
			...inlined(POSTGRES, "ExecQual", "slot_getattr", "pg_atomic_read_u32"),
		],
	},
	{
		comm: "cc1plus",
		cores: 0.55,
		tails: [FAULT, native(LIBC, "_int_malloc"), native(LIBC, "__memset_avx2_erms")],
		root: [
			...native(LIBC, "__libc_start_main"),
			...native(CC1, "main", "toplev::main(int, char**)", "do_compile()"),
		],
		pool: [
			...native(
				CC1,
				"c_parse_file()",
				"cp_parser_translation_unit(cp_parser*)",
				"tsubst_copy_and_build(tree_node*, tree_node*, int, tree_node*, bool, bool)",
				"finish_template_type(tree_node*, tree_node*, int)",
				"execute_pass_list(function*, opt_pass*)",
				"df_analyze()",
				"ira(_IO_FILE*)",
				"ggc_internal_alloc(unsigned long, void (*)(void*), unsigned long, unsigned long)",
				"walk_tree_1(tree_node**, tree_node* (*)(tree_node**, int*, void*), void*, hash_set<tree_node*>*)",
				"bitmap_ior_into(bitmap_head*, bitmap_head const*)",
			),
			...inlined(
				CC1,
				"std::vector<std::pair<edge_def*, unsigned long>, std::allocator<std::pair<edge_def*, unsigned long> > >::push_back(std::pair<edge_def*, unsigned long>&&)",
				"hash_table<pointer_hash<tree_node> >::find_slot(tree_node* const&, insert_option)",
			),
		],
	},
	{
		comm: "node",
		cores: 0.33,
		tails: [SEND, [["[vdso]:clock_gettime", "[vdso]", 5]]],
		root: [
			...native(
				"/usr/bin/node",
				"_start",
				"node::Start(int, char**)",
				"node::SpinEventLoop(node::Environment*)",
				"uv_run",
				"uv__io_poll",
			),
		],
		pool: [
			["LazyCompile:~processTicksAndRejections node:internal/process/task_queues:67", "[jit]", 4],
			["LazyCompile:*handleRequest /srv/api/server.js:212", "[jit]", 4],
			["LazyCompile:*JSON.stringify", "[jit]", 4],
			["LazyCompile:~render /srv/api/views/list.js:31", "[jit]", 4],
			["RegExp:^/orders/(\\d+)$", "[jit]", 4],
			...native(
				"/usr/bin/node",
				"v8::internal::Heap::Scavenge()",
				"v8::internal::JsonStringifier::Serialize_(v8::internal::Handle<v8::internal::Object>)",
				"node::StreamBase::Writev(v8::FunctionCallbackInfo<v8::Value> const&)",
			),
		],
	},
	{
		comm: "nginx",
		cores: 0.12,
		tails: [SEND, READ],
		root: native(
			"/usr/sbin/nginx",
			"main",
			"ngx_master_process_cycle",
			"ngx_worker_process_cycle",
			"ngx_process_events_and_timers",
			"ngx_epoll_process_events",
		),
		pool: native(
			"/usr/sbin/nginx",
			"ngx_http_wait_request_handler",
			"ngx_http_process_request_line",
			"ngx_http_handler",
			"ngx_http_upstream_process_header",
			"ngx_output_chain",
			"ngx_writev",
		),
	},
	{
		comm: "kworker/1:2",
		cores: 0.05,
		root: kernel("ret_from_fork", "kthread", "worker_thread", "process_one_work"),
		pool: kernel(
			"wb_workfn",
			"wb_writeback",
			"ext4_writepages",
			"blk_mq_run_work_fn",
			"virtqueue_add_sgs",
		),
		tails: [],
	},
	{
		comm: "sshd",
		cores: 0.02,
		root: native("/usr/sbin/sshd", "main", "server_loop2"),
		pool: native(
			"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
			"EVP_Cipher",
			"chacha20_avx2",
			"poly1305_blocks_avx2",
		),
		tails: [SEND],
	},
	{
		comm: "hearth",
		cores: 0.012,
		root: native("/usr/bin/hearth", "main", "sampler_run"),
		pool: native("/usr/bin/hearth", "ring_drain", "stack_store_put", "segment_encode"),
		tails: [READ],
	},
	{
		comm: "systemd-journal",
		cores: 0.01,
		root: native("/usr/lib/systemd/systemd-journald", "main"),
		pool: native(
			"/usr/lib/systemd/systemd-journald",
			"server_process_datagram",
			"journal_file_append_entry",
		),
		tails: [READ],
	},
	{
		comm: "cron",
		cores: 0.004,
		root: native("/usr/sbin/cron", "main", "[cron+0x51c0]"),
		pool: [["[truncated]", "", 6]],
		tails: [],
	},
	{
		comm: "containerd",
		cores: 0.003,
		root: native("/usr/bin/containerd", "runtime.main", "main.main"),
		pool: native("/usr/bin/containerd", "runtime.gcDrain", "runtime.scanobject"),
		tails: [],
	},
];

export const TICK_NS = 10_000_000;

function add(node: Node, frames: readonly Frame[], ns: number): void {
	node.totalNs += ns;
	let at = node;
	for (const [name, mapping, kind] of frames) {
		let child = at.children.find((c) => c.name === name && c.mapping === mapping && c.kind === kind);
		if (!child) at.children.push((child = { name, mapping, kind, selfNs: 0, totalNs: 0, children: [] }));
		child.totalNs += ns;
		at = child;
	}
	at.selfNs += ns;
}

function frames(process: Process, random: () => number, depth: number): Frame[] {
	const stack = [...process.root];
	const levels = Math.floor(random() * depth);
	for (let i = 0; i < levels; i++)
		stack.push(process.pool[Math.floor(random() * random() * process.pool.length)]!);
	const tail = process.tails[Math.floor(random() * process.tails.length * 1.6)];
	if (tail) stack.push(...tail.slice(0, 1 + Math.floor((1 - random() * random()) * tail.length)));
	return stack;
}

/* As the server does: docs/API.md, `by`. */
const FRAMES: Readonly<Record<string, (stack: readonly Frame[]) => readonly Frame[]>> = {
	line: (stack) =>
		stack.map(([name, mapping, kind]) => [
			kind === 6 || name.startsWith("[")
				? name
				: `${name} ${kind === 2 ? "kernel" : "unit"}.c:${name.length * 7}`,
			mapping,
			kind,
		]),
	library: (stack) =>
		stack
			.filter(([, mapping], i) => i === 0 || mapping !== stack[i - 1]![1])
			.map(([name, mapping, kind]) => [
				mapping.split("/").pop() || name,
				mapping,
				kind === 3 ? 1 : kind,
			]),
};

/* Is that meant? The wait is null for what runs. */
export type Keep = (comm: string, wait: Wait | null) => boolean;

export interface Wanted {
	readonly seconds: number;
	readonly keep: Keep;
	readonly focus: string;
	readonly rootBy: string /* label; "": none */;
	readonly frames: string;
	readonly stacks: number /* distinct ones to try for; sets the size of the tree */;
}

/* Running time, and what is waited. */
export function makeTree(wanted: Wanted): Node {
	const root: Node = { name: "all", mapping: "", kind: 0, selfNs: 0, totalNs: 0, children: [] };
	addRunning(root, wanted);
	addWaiting(root, wanted);
	sortChildren(root);
	return root;
}

function addStack(
	root: Node,
	wanted: Wanted,
	comm: string,
	wait: Wait | null,
	stack: Frame[],
	ns: number,
): void {
	const shown = FRAMES[wanted.frames]?.(stack) ?? stack;
	if (wanted.focus !== "" && !shown.some(([name]) => name === wanted.focus)) return;
	const top: readonly Frame[] = wanted.rootBy ? [[labelOf(wanted.rootBy, comm, wait), "", 6]] : [];
	add(root, [...top, ...shown], ns);
}

function addRunning(root: Node, wanted: Wanted): void {
	for (const process of PROCESSES.filter((p) => wanted.keep(p.comm, null))) {
		const random = makeRandom(process.comm.length * 7919 + process.comm.charCodeAt(0));
		const count = Math.max(4, Math.round((wanted.stacks * process.cores) / 2));
		const depth = wanted.stacks > 5000 ? 26 : 9;
		const weights = Array.from({ length: count }, () => random() ** 4 + 0.002);
		const unit = (process.cores * wanted.seconds * 1e9) / weights.reduce((a, b) => a + b, 0);
		for (const weight of weights) {
			const stack = frames(process, random, depth);
			const ns = Math.max(1, Math.round((weight * unit) / TICK_NS)) * TICK_NS;
			addStack(root, wanted, process.comm, null, stack, ns);
		}
	}
}

function addWaiting(root: Node, wanted: Wanted): void {
	for (const wait of WAITS.filter((w) => wanted.keep(w.comm, w))) {
		const process = PROCESSES.find((p) => p.comm === wait.comm)!;
		const random = makeRandom(wait.comm.length + wait.reason.length * 31);
		for (let i = 0; i < 4; i++) {
			const calls = process.pool.filter(() => random() < 0.3).slice(0, wait.isIdle ? 1 : 4);
			const stack = [...process.root, ...calls, ...kernel(...wait.calls)];
			const leaf: Frame = [`[${wait.reason}]`, "", 6];
			addStack(
				root,
				wanted,
				wait.comm,
				wait,
				[...stack, leaf],
				Math.round((wait.threads * wanted.seconds * 1e9) / 4 / TICK_NS) * TICK_NS,
			);
		}
	}
}

function sortChildren(node: Node): void {
	node.children.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
	node.children.forEach(sortChildren);
}

/* Depth first, with parents. */
export function flatten(root: Node): {
	readonly nodes: readonly Node[];
	readonly parents: readonly number[];
} {
	const nodes: Node[] = [];
	const parents: number[] = [];
	const visit = (node: Node, parent: number): void => {
		const at = nodes.push(node) - 1;
		parents.push(parent);
		for (const child of node.children) visit(child, at);
	};
	visit(root, 0);
	return { nodes, parents };
}

/* docs/API.md, "Flame table"; written against that page alone. */
export function encodeFlameTable(root: Node, fromUs: number, untilUs: number): Buffer {
	const { nodes, parents } = flatten(root);
	const ids = new Map<string, number>();
	const id = (name: string): number => ids.get(name) ?? (ids.set(name, ids.size), ids.size - 1);
	const nameIds = nodes.map((n) => id(n.name));
	const mappingIds = nodes.map((n) => id(n.mapping));
	const texts = [...ids.keys()].map((name) => Buffer.from(name, "utf8"));
	const depths: number[] = [];
	nodes.forEach((_, i) => depths.push(i === 0 ? 0 : depths[parents[i]!]! + 1));
	const parts: Buffer[] = [];
	const put = (bytes: Buffer): void => void parts.push(bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8));
	const f64 = (values: readonly number[]): Buffer => {
		const b = Buffer.alloc(values.length * 8);
		values.forEach((v, i) => b.writeDoubleLE(v, i * 8));
		return b;
	};
	const u32 = (values: readonly number[]): Buffer => {
		const b = Buffer.alloc(values.length * 4);
		values.forEach((v, i) => b.writeUInt32LE(v, i * 4));
		return b;
	};
	const i64 = (value: number): Buffer => {
		const b = Buffer.alloc(8);
		b.writeBigInt64LE(BigInt(value));
		return b;
	};
	let offset = 0;
	const offsets = [0, ...texts.map((t) => (offset += t.length))];
	put(Buffer.from("HEARTHF1"));
	put(u32([nodes.length, texts.length, offset, depths.reduce((a, b) => Math.max(a, b), 0)]));
	put(f64([root.totalNs]));
	put(f64([Math.round(root.totalNs / TICK_NS)]));
	put(i64(fromUs));
	put(i64(untilUs));
	put(f64(nodes.map((n) => n.selfNs)));
	put(f64(nodes.map((n) => n.totalNs)));
	put(u32(parents));
	put(u32(nameIds));
	put(u32(mappingIds));
	put(u32(nodes.map((n) => Math.round(n.totalNs / TICK_NS))));
	put(u32(offsets));
	put(Buffer.from(nodes.map((n) => n.kind)));
	put(Buffer.concat(texts));
	return Buffer.concat(parts);
}

export function topRows(root: Node): object[] {
	const rows = new Map<
		string,
		{
			name: string;
			mapping: string;
			kind: number;
			self_us: number;
			total_us: number;
			self_samples: number;
			total_samples: number;
		}
	>();
	const visit = (node: Node, above: ReadonlySet<string>): void => {
		const key = `${node.name}\0${node.mapping}`;
		const row = rows.get(key) ?? {
			name: node.name,
			mapping: node.mapping,
			kind: node.kind,
			self_us: 0,
			total_us: 0,
			self_samples: 0,
			total_samples: 0,
		};
		rows.set(key, row);
		row.self_us += node.selfNs / 1e3;
		row.self_samples += Math.round(node.selfNs / TICK_NS);
		if (!above.has(key)) {
			row.total_us += node.totalNs / 1e3;
			row.total_samples += Math.round(node.totalNs / TICK_NS);
		}
		const below = new Set(above).add(key);
		node.children.forEach((child) => visit(child, below));
	};
	root.children.forEach((child) => visit(child, new Set()));
	return [...rows.values()].sort((a, b) => b.self_us - a.self_us);
}

export interface Line {
	readonly name: string;
	readonly total_us: number;
	readonly weight_us: readonly number[];
}

const SERVICES: Readonly<Record<string, string>> = {
	postgres: "postgresql.service",
	cc1plus: "session-4.scope",
	node: "api.service",
	nginx: "nginx.service",
	sshd: "ssh.service",
};

export const LABELS = ["comm", "host", "pid", "service_name"];
export const WAIT_LABELS = ["idle", "reason", "waits_on"];

export function labelOf(label: string, comm: string, wait: Wait | null): string {
	if (label === "reason") return wait?.reason ?? "running";
	if (label === "waits_on") return wait?.waitsOn ?? "";
	if (label === "idle") return wait?.isIdle ? "true" : "";
	if (label === "comm") return comm;
	if (label === "host") return "db-17";
	if (label === "pid") return String(400 + comm.length * 131 + comm.charCodeAt(1));
	return label === "service_name" ? (SERVICES[comm] ?? "system") : "";
}

/* What runs, and what waits, in cores or threads. */
export interface Source {
	readonly comm: string;
	readonly wait: Wait | null;
	readonly cores: number;
}

export const sources = (): readonly Source[] => [
	...PROCESSES.map((p) => ({ comm: p.comm, wait: null, cores: p.cores })),
	...WAITS.map((wait) => ({ comm: wait.comm, wait, cores: wait.threads })),
];

/* Cores at a time: a slow wave, a burst of the compiler, some noise. */
function load({ comm, wait, cores }: Source, us: number): number {
	if (wait?.isIdle) return cores;
	const minute = us / 60e6;
	const wave =
		1 + 0.35 * Math.sin(minute * 0.9 + comm.length) + 0.12 * Math.sin(minute * 7.3 + comm.charCodeAt(0));
	const noise = 0.85 + 0.3 * makeRandom((Math.floor(us / 1e6) % 1e6) + comm.length * 31)();
	const isBurst = comm === "cc1plus" && Math.floor(minute / 2.5) % 3 === 0;
	return cores * wave * noise * (isBurst ? 2.2 : comm === "cc1plus" ? 0.35 : 1);
}

export function seriesLines(
	label: string,
	keep: Keep,
	startUs: number,
	stepUs: number,
	points: number,
	isCovered: (i: number) => boolean,
): Line[] {
	const lines = new Map<string, number[]>();
	for (const source of sources().filter((s) => keep(s.comm, s.wait))) {
		const name = labelOf(label, source.comm, source.wait);
		const row = lines.get(name) ?? new Array<number>(points).fill(0);
		lines.set(name, row);
		for (let i = 0; i < points; i++)
			if (isCovered(i)) row[i]! += Math.floor(load(source, startUs + i * stepUs) * stepUs);
	}
	return [...lines]
		.map(([name, weight_us]) => ({ name, total_us: weight_us.reduce((a, b) => a + b, 0), weight_us }))
		.sort((a, b) => b.total_us - a.total_us);
}

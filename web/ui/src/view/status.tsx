/*
 * status: what Hearth itself does: the ledger of samples, its own cost, its store.
 */
import type { JSX } from "preact";
import type { Status } from "../api";
import {
	formatBytes,
	formatClock,
	formatCount,
	formatDate,
	formatNs,
	formatSeconds,
	formatShare,
} from "../model/format";
import { type Ledger, type Loss, balances, droppedOf, lossesOf } from "../model/ledger";
import { stackQuality } from "../model/stacks";
import type { UrlState } from "../model/urlstate";
import type { Go } from "./hooks";
import { Icon } from "./icons";
import { UnnamedTable, namesFacts } from "./names";
import { Popover } from "./popover";
import { QualityTable } from "./quality";

type Fact = readonly [name: string, value: string, hint?: string];

function Card({
	title,
	facts,
	children,
}: {
	readonly title: string;
	readonly facts: readonly Fact[];
	readonly children?: JSX.Element | false;
}): JSX.Element {
	return (
		<section class="card">
			<h2>{title}</h2>
			<dl class="facts">
				{facts.map(([name, value, hint]) => (
					<div key={name}>
						<dt>{name}</dt>
						<dd>
							{value}
							{hint && <span class="dim"> {hint}</span>}
						</dd>
					</div>
				))}
			</dl>
			{children}
		</section>
	);
}

const when = (us: number): string => (us > 0 ? `${formatDate(us)} ${formatClock(us)}` : "–");
const seconds = (us: number): number => Math.max(0, Math.round(us / 1e6));

/* How many user stacks reached their thread's start, and what cut the others. */
function wholeStacks(s: Status): Fact {
	const { cut, whole, walked } = stackQuality(s.stackEnds);
	const reasons = cut.map(([reason, count]) => `${formatCount(count)} ${reason}`).join(", ");
	return ["Whole user stacks", walked > 0 ? formatShare(whole, walked) : "–", reasons];
}

function samplingFacts(s: Status): Fact[] {
	const facts: Fact[] = [
		["Hearth", s.version],
		["Host", s.host],
	];
	if (!s.sampling) return [...facts, ["Sampling", "no", "this server shows stored data"]];
	return [
		...facts,
		["Rate", `${s.rateHz} Hz`, "on each CPU"],
		["CPUs", `${s.cpusSampled} of ${s.cpusOnline}`, "sampled"],
		["Since", when(s.startUs), `(${formatSeconds(seconds(s.nowUs - s.startUs))})`],
		["Processes", formatCount(s.processes)],
		["Threads", formatCount(s.threads)],
		["Executable files", formatCount(s.executables)],
		["Stacks cached", formatCount(s.stacks["cached"] ?? 0)],
		wholeStacks(s),
		["Unwind memory", formatBytes(s.stacks["unwind_memory_bytes"] ?? 0), "of the kernel's walker"],
		["Late ticks", formatCount(s.lateTicks), "their time was added to the next"],
		["Process events", formatCount(s.sideband["records"] ?? 0)],
		[
			"Events lost",
			formatCount(s.sideband["lost"] ?? 0),
			`healed by ${formatCount(s.sideband["rescans"] ?? 0)} rescans`,
		],
	];
}

/* The sampler of waiting threads: what its passes meet, and what they cost. */
function waitingFacts(s: Status): Fact[] {
	const { method, whyOff, counts } = s.waiting;
	const count = (key: string): number => counts[key] ?? 0;
	if (method === "") return [["Sampled", "no", whyOff]];
	const periodUs = count("period_us");
	if (count("passes") === 0)
		return [
			["Sampled by", method],
			["Waits met", formatCount(count("visits"))],
			[
				"Stacks taken",
				formatCount(count("walks")),
				`about one for each ${formatNs(periodUs * 1e3)} waited`,
			],
			["Not seen", formatNs(count("unseen_us") * 1e3), "waited by threads that ended before"],
		];
	const passUs = count("cpu_us") / Math.max(1, count("passes"));
	const sinceUs = s.nowUs - s.startUs;
	const hertz = periodUs > 0 ? Number((1e6 / periodUs).toPrecision(3)) : 0;
	return [
		["Sampled by", method],
		["Rate", `${hertz} Hz`, "visits to each waiting thread; falls where passes cost much"],
		["Threads waiting", formatCount(count("threads")), "in the last pass"],
		["Visits", formatCount(count("visits")), `in ${formatCount(count("passes"))} passes`],
		[
			"Stacks taken",
			formatCount(count("walks")),
			`the other ${formatShare(count("visits") - count("walks"), count("visits"))} had not moved`,
		],
		["Thrown away", formatCount(count("raced")), "the thread ran meanwhile"],
		[
			"Put off",
			formatCount(count("busy") + count("deferred")),
			`${formatCount(count("busy"))} locked, ${formatCount(count("deferred"))} for the next pass`,
		],
		["Stuck", formatCount(count("stuck")), "passes given up: memory of a process could not be read"],
		["Not seen", formatNs(count("unseen_us") * 1e3), "waited by threads that ended before any visit"],
		[
			"CPU time",
			formatNs(count("cpu_us") * 1e3),
			`${formatShare(count("cpu_us"), sinceUs)} of one CPU, ${formatNs(passUs * 1e3)} a pass`,
		],
	];
}

function costFacts(s: Status): Fact[] {
	const cpuUs = (s.cost["cpu_user_us"] ?? 0) + (s.cost["cpu_system_us"] ?? 0);
	const bpfUs = s.cost["bpf_run_us"] ?? 0;
	const runs = s.cost["bpf_runs"] ?? 0;
	const machineUs = (s.nowUs - s.startUs) * Math.max(1, s.cpusOnline);
	return [
		["Own CPU time", formatNs(cpuUs * 1e3), `${formatShare(cpuUs, machineUs)} of the machine`],
		[
			"In the kernel (BPF)",
			runs > 0 ? formatNs(bpfUs * 1e3) : "not measured",
			runs > 0 ? `${formatShare(bpfUs, machineUs)}, ${formatNs((bpfUs * 1e3) / runs)} a sample` : "",
		],
		["Memory", formatBytes(s.cost["memory_bytes"] ?? 0)],
	];
}

function storeFacts(s: Status): Fact[] {
	const bytes = s.store["bytes"] ?? 0;
	const samples = s.store["samples"] ?? 0;
	const aside = s.store["partitions_set_aside"] ?? 0;
	return [
		["Directory", s.directory || "–"],
		["Size", formatBytes(bytes), samples > 0 ? `${(bytes / samples).toFixed(1)} bytes a sample` : ""],
		["Samples", formatCount(samples)],
		[
			"Partitions",
			formatCount(s.store["partitions"] ?? 0),
			aside > 0 ? `${aside} damaged, set aside` : "",
		],
		["Oldest", when(s.store["oldest_us"] ?? 0)],
		["Newest", when(s.store["newest_us"] ?? 0)],
	];
}

function LedgerTable({ kernel, user }: { readonly kernel: Ledger; readonly user: Ledger }): JSX.Element {
	const reasons = [...new Set([...Object.keys(kernel.dropped), ...Object.keys(user.dropped)])];
	const cell = (n: number | undefined): JSX.Element => (
		<td class={n ? "" : "dim"}>{n === undefined ? "" : formatCount(n)}</td>
	);
	const isEven = balances(kernel) && balances(user);
	return (
		<section class="card">
			<h2>Ledger of samples</h2>
			<table class="ledger">
				<thead>
					<tr>
						<th />
						<th scope="col">kernel</th>
						<th scope="col">user space</th>
					</tr>
				</thead>
				<tbody>
					<tr>
						<th scope="row">taken</th>
						{cell(kernel.taken)}
						{cell(user.taken)}
					</tr>
					<tr>
						<th scope="row">stored</th>
						{cell(kernel.stored)}
						{cell(user.stored)}
					</tr>
					<tr>
						<th scope="row">under way</th>
						{cell(kernel.pending)}
						{cell(user.pending)}
					</tr>
					{reasons.map((r) => (
						<tr
							key={r}
							class={(kernel.dropped[r] ?? 0) + (user.dropped[r] ?? 0) > 0 ? "lost" : ""}
						>
							<th scope="row">dropped: {r.replace(/_/g, " ")}</th>
							{cell(kernel.dropped[r])}
							{cell(user.dropped[r])}
						</tr>
					))}
				</tbody>
			</table>
			<p class={isEven ? "hint" : "fault"}>
				{isEven
					? "Taken = stored + dropped + under way holds on both sides."
					: "Taken is not stored + dropped + under way: the counters do not add up. Please report this."}
			</p>
		</section>
	);
}

interface Props {
	readonly status: Status;
	readonly state: UrlState;
	readonly go: Go;
}

export function StatusView({ status, state, go }: Props): JSX.Element {
	const losses = lossesOf([status.kernel, status.user].filter((l): l is Ledger => l !== null));
	return (
		<section class="status" aria-label="Status">
			{status.notices.length > 0 && (
				<section class="card wide">
					<h2>Notices</h2>
					<ul>
						{status.notices.map((n) => (
							<li key={n}>{n}</li>
						))}
					</ul>
				</section>
			)}
			{losses.length > 0 && (
				<section class="card wide">
					<h2>Lost samples</h2>
					<LossList losses={losses} />
				</section>
			)}
			<Card title="Sampling" facts={samplingFacts(status)} />
			{status.sampling && status.kernel && status.user && (
				<LedgerTable kernel={status.kernel} user={status.user} />
			)}
			{status.sampling && <Card title="Sampling of waiting" facts={waitingFacts(status)} />}
			{status.sampling && <Card title="What Hearth costs" facts={costFacts(status)} />}
			{status.sampling && status.symbols && (
				<Card title="Names" facts={namesFacts(status.symbols, status.kernel?.taken ?? 0)} />
			)}
			<Card title="Store" facts={storeFacts(status)} />
			{status.sampling && status.symbols && <UnnamedTable rows={status.symbols.unnamed} />}
			{status.sampling && (
				<div class="pair">
					<QualityTable
						title="User stacks by process"
						table={status.stackProcesses}
						state={state}
						go={go}
					/>
					<QualityTable
						title="User stacks by library"
						hint="The one that a walk ended in; a whole stack ends where its thread began."
						table={status.stackLibraries}
						state={state}
						go={go}
					/>
				</div>
			)}
		</section>
	);
}

function LossList({ losses }: { readonly losses: readonly Loss[] }): JSX.Element {
	return (
		<dl class="losses">
			{losses.map((l) => (
				<div key={l.reason}>
					<dt>
						{formatCount(l.count)} <span>{l.reason.replace(/_/g, " ")}</span>
					</dt>
					<dd>{l.help}</dd>
				</div>
			))}
		</dl>
	);
}

const GRAVE_SHARE = 0.01;

/* In the header: there only when something is wrong or worth reading. */
export function Alerts({ status }: { readonly status: Status }): JSX.Element | null {
	const ledgers = [status.kernel, status.user].filter((l): l is Ledger => l !== null);
	const lost = ledgers.reduce((sum, l) => sum + droppedOf(l), 0);
	const taken = status.kernel?.taken ?? 0;
	return (
		<>
			{lost > 0 && (
				<Popover
					class={lost > taken * GRAVE_SHARE ? "button alert is-grave" : "button alert"}
					title="Lost samples"
					align="right"
					label={
						<>
							<Icon name="warn" />
							<span>{formatCount(lost)} lost</span>
							<span class="wide-only">({formatShare(lost, taken)})</span>
						</>
					}
				>
					{() => (
						<div class="alert-panel">
							<p>
								{formatCount(lost)} of {formatCount(taken)} samples taken since the start were
								lost. Times shown are low by about that share; red ticks on the timeline mark
								when.
							</p>
							<LossList losses={lossesOf(ledgers)} />
						</div>
					)}
				</Popover>
			)}
			{status.notices.length > 0 && (
				<Popover
					class="button notice"
					title="Notices"
					align="right"
					label={
						<>
							<Icon name="note" />
							<span class="wide-only">{status.notices.length}</span>
						</>
					}
				>
					{() => (
						<ul class="alert-panel plain">
							{status.notices.map((n) => (
								<li key={n}>{n}</li>
							))}
						</ul>
					)}
				</Popover>
			)}
		</>
	);
}

/*
 * trace: the result of an exact trace, in place of the sampled history.
 */
import type { JSX } from "preact";
import { fetchTrace, fetchTraceFlame, stopTrace, traceExportUrl } from "../api";
import { formatClock, formatCount, formatNs, formatSeconds, formatShare } from "../model/format";
import {
	type Slots,
	type Trace,
	type TraceGroup,
	type TraceReport,
	groupKey,
	groupOf,
	histogramBars,
} from "../model/trace";
import type { TraceView, UrlState } from "../model/urlstate";
import { WHOLE } from "../model/zoom";
import type { Theme } from "./colors";
import { FlameView } from "./flame";
import { type Go, useBeat, useLoad } from "./hooks";
import { Icon } from "./icons";

const BEAT_MS = 500;
const VIEWS: readonly { readonly view: TraceView; readonly name: string; readonly title: string }[] = [
	{ view: "waits", name: "Waits", title: "Where threads waited" },
	{ view: "wakers", name: "Wakers", title: "Who ended waits" },
	{ view: "offwake", name: "Off-wake", title: "Waits, and above them who ended them" },
	{ view: "delays", name: "Delays", title: "Run queues, time slices, preemption, throttling" },
];

interface Props {
	readonly state: UrlState;
	readonly go: Go;
	readonly theme: Theme;
}

export function TraceScreen({ state, go, theme }: Props): JSX.Element {
	const { trace: id, traceView: view } = state;
	const beat = useBeat(BEAT_MS);
	const trace = useLoad(`trace ${id}`, beat, true, (signal) => fetchTrace(id, signal));
	const isDone = trace.data?.state === "done" && !trace.isOld;
	const close = (): void => go({ trace: 0, traceView: "waits", zoom: "", span: WHOLE });
	return (
		<main class="trace" aria-label="Exact trace">
			<div class="bar trace-bar">
				<h2>Exact trace {id}</h2>
				{isDone && trace.data?.report && <Summary report={trace.data.report} />}
				<span class="spacer" />
				{isDone && <ViewPicker view={view} go={go} />}
				{isDone && <TraceDownloads id={id} view={view} />}
				<button type="button" class="button" onClick={close}>
					<Icon name="close" /> Close
				</button>
			</div>
			{trace.error && <p class="empty">{trace.error}</p>}
			{!trace.error && trace.data?.state === "running" && <Progress id={id} trace={trace.data} />}
			{trace.data?.state === "failed" && <p class="empty fault">{trace.data.error}</p>}
			{isDone && view !== "delays" && <Graph state={state} go={go} theme={theme} />}
			{isDone && view === "delays" && trace.data?.report && (
				<Delays report={trace.data.report} state={state} go={go} />
			)}
		</main>
	);
}

function Summary({ report }: { readonly report: TraceReport }): JSX.Element {
	const { total, startUs, durationUs } = report;
	return (
		<span class="dim">
			{formatClock(startUs)}, {formatSeconds(Math.round(durationUs / 1e6))} · {formatCount(total.waits)}{" "}
			waits
		</span>
	);
}

function ViewPicker({ view, go }: { readonly view: TraceView; readonly go: Go }): JSX.Element {
	return (
		<div class="segments" role="group" aria-label="View">
			{VIEWS.map(({ view: v, name, title }) => (
				<button
					key={v}
					type="button"
					aria-pressed={v === view}
					title={title}
					onClick={() => go({ traceView: v, zoom: "", span: WHOLE })}
				>
					{name}
				</button>
			))}
		</div>
	);
}

function TraceDownloads({ id, view }: { readonly id: number; readonly view: TraceView }): JSX.Element {
	const shown = view === "delays" ? "waits" : view;
	return (
		<span class="trace-downloads">
			<a class="button" href={traceExportUrl(id, shown, "pprof")} download>
				pprof
			</a>
			<a class="button" href={traceExportUrl(id, shown, "folded")} download>
				folded
			</a>
		</span>
	);
}

function Progress({ id, trace }: { readonly id: number; readonly trace: Trace }): JSX.Element {
	const left = Math.ceil(trace.secondsLeft);
	return (
		<div class="empty" role="status">
			<h2>Tracing…</h2>
			<p>{left > 0 ? `${left} s to go` : "Finding names"}</p>
			<p class="actions">
				<button
					type="button"
					class="button"
					onClick={() => void stopTrace(id).catch(() => undefined)}
				>
					Stop now
				</button>
			</p>
		</div>
	);
}

const LABELS = ["cgroup", "comm", "pid", "reason", "thread", "tid", "waits_on"];

function Graph({ state, go, theme }: Props): JSX.Element {
	const { trace: id, traceView: view } = state;
	const asked = `${id} ${view} ${state.focus} ${state.rootBy} ${state.frames}`;
	const flame = useLoad(asked, 0, false, (signal) => fetchTraceFlame(id, view, state, signal));
	if (flame.error) return <p class="empty">{flame.error}</p>;
	if (!flame.data) return <div class="loading">Loading…</div>;
	if (flame.data.totalNs === 0)
		return (
			<div class="empty" role="status">
				<h2>No waits were found{state.focus && ` with ${state.focus}`}.</h2>
				{state.focus ? (
					<button type="button" class="button" onClick={() => go({ focus: "" })}>
						Show all stacks
					</button>
				) : (
					<p>Trace for longer, or with wider limits.</p>
				)}
			</div>
		);
	return (
		<FlameView
			tree={flame.data}
			state={state}
			go={go}
			theme={theme}
			isOld={flame.isOld}
			labels={LABELS}
			isFixed={true}
			onOnlyRoot={() => undefined}
		/>
	);
}

interface DelaysProps {
	readonly report: TraceReport;
	readonly state: UrlState;
	readonly go: Go;
}

const longest = (slow: TraceReport["slow"]): TraceReport["slow"] =>
	[...slow].sort((a, b) => b.delayUs - a.delayUs);

/* What bcc's runqlat, cpudist and runqslower show. The filter of tables names the group. */
function Delays({ report, state, go }: DelaysProps): JSX.Element {
	const group = groupOf(report, state.filter);
	return (
		<section class="status" aria-label="Delays">
			<section class="card wide">
				<div class="root-by">
					<select
						aria-label="Whose times"
						value={group === report.total ? "" : groupKey(group)}
						onChange={(e) => go({ filter: e.currentTarget.value }, "slide")}
					>
						<option value="">all threads</option>
						<GroupOptions title="Processes" groups={report.processes} />
						<GroupOptions title="cgroups" groups={report.cgroups} />
					</select>
					<GroupTimes group={group} />
				</div>
			</section>
			<HistogramCard
				title="Waiting for a CPU"
				slots={group.queued}
				hint="from ready to run until it ran"
			/>
			<HistogramCard title="Time slices" slots={group.running} hint="on a CPU, from switch to switch" />
			<TableCard
				title="Who took CPUs from whom"
				heads={["Preempted", "by", "times", "time lost"]}
				rows={report.preemptors.map((p) => [
					p.name,
					p.by,
					formatCount(p.count),
					formatNs(p.preemptedUs * 1e3),
				])}
				empty="Nobody was preempted."
			/>
			<TableCard
				title="Longest waits for a CPU"
				heads={["Thread", "after", "at", "waited"]}
				rows={longest(report.slow).map((s) => [
					`${s.name} ${s.tid}`,
					s.previous,
					formatClock(s.timeUs, true),
					formatNs(s.delayUs * 1e3),
				])}
				empty="No thread waited long for a CPU."
			/>
			<TableCard
				title="CPU quotas that ran out"
				heads={["cgroup", "periods", "throttled"]}
				rows={report.throttled.map((t) => [
					t.cgroup,
					formatCount(t.periods),
					formatNs(t.throttledUs * 1e3),
				])}
				empty="No cgroup was throttled: whoever waited for a CPU waited for its neighbours."
			/>
			<TableCard
				title="Ledger of switches"
				heads={["", "switches"]}
				rows={Object.entries(report.switches)
					.filter(([name, count]) => count > 0 || name === "seen")
					.map(([name, count]) => [name.replace(/_/g, " "), formatCount(count)])}
				empty=""
			/>
		</section>
	);
}

function GroupOptions(props: {
	readonly title: string;
	readonly groups: readonly TraceGroup[];
}): JSX.Element | null {
	const groups = props.groups.filter((g) => g.queued !== null);
	if (groups.length === 0) return null;
	return (
		<optgroup label={props.title}>
			{groups.map((g) => (
				<option key={groupKey(g)} value={groupKey(g)}>
					{g.pid > 0 ? `${g.name} (${g.pid})` : g.name}
				</option>
			))}
		</optgroup>
	);
}

function GroupTimes({ group: g }: { readonly group: TraceGroup }): JSX.Element {
	const all = g.sleepUs + g.queuedUs + g.preemptedUs + g.throttledUs + g.runningUs;
	const part = (name: string, us: number): string =>
		`${name} ${formatNs(us * 1e3)} (${formatShare(us, all)})`;
	return (
		<span class="dim">
			{[
				part("running", g.runningUs),
				part("waiting", g.sleepUs),
				part("run queue", g.queuedUs),
				part("preempted", g.preemptedUs),
				part("throttled", g.throttledUs),
			].join(" · ")}
		</span>
	);
}

/* Powers of two of a µs, short: "64 µs", "1.02 ms". */
function edge(us: number): string {
	const [value, unit] = us < 1e3 ? [us, "µs"] : us < 1e6 ? [us / 1e3, "ms"] : [us / 1e6, "s"];
	return us === Infinity ? "∞" : `${Number(value.toPrecision(3))} ${unit}`;
}

function HistogramCard(props: {
	readonly title: string;
	readonly hint: string;
	readonly slots: Slots | null;
}): JSX.Element {
	const bars = histogramBars(props.slots ?? []);
	return (
		<section class="card" aria-label={props.title}>
			<h2>
				{props.title} <span class="dim">{props.hint}</span>
			</h2>
			{bars.length === 0 && <p class="hint">None.</p>}
			<table class="histogram">
				<tbody>
					{bars.map((b) => (
						<tr key={b.fromUs}>
							<th scope="row">
								{edge(b.fromUs)} – {edge(b.untilUs)}
							</th>
							<td class="histogram-bar">
								<span class="share-bar" style={{ width: `${100 * b.share}%` }} />
							</td>
							<td>{formatCount(b.count)}</td>
						</tr>
					))}
				</tbody>
			</table>
		</section>
	);
}

function TableCard(props: {
	readonly title: string;
	readonly heads: readonly string[];
	readonly rows: readonly (readonly string[])[];
	readonly empty: string;
}): JSX.Element {
	const { title, heads, rows, empty } = props;
	return (
		<section class="card" aria-label={title}>
			<h2>{title}</h2>
			{rows.length === 0 ? (
				<p class="hint">{empty}</p>
			) : (
				<div class="quality-scroll">
					<table class="trace-table">
						<thead>
							<tr>
								{heads.map((head) => (
									<th key={head} scope="col">
										{head}
									</th>
								))}
							</tr>
						</thead>
						<tbody>
							{rows.map((row, i) => (
								<tr key={i}>
									{row.map((cell, j) => (
										<td key={j}>{cell}</td>
									))}
								</tr>
							))}
						</tbody>
					</table>
				</div>
			)}
		</section>
	);
}

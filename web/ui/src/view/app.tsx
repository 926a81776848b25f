/*
 * app: the one screen: what is asked, over time, and the answer as graph, table or status.
 */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import {
	type Selection,
	type Status,
	fetchFlame,
	fetchLabelValues,
	fetchLabels,
	fetchSeries,
	fetchStatus,
	fetchTop,
} from "../api";
import { formatClock, formatSpan } from "../model/format";
import { REASONS, toggleReason, withoutLabel } from "../model/reasons";
import { parseSelector, selectorText, withCondition } from "../model/selector";
import {
	DEFAULT_RANGE,
	type Resolved,
	type TimeRange,
	absoluteRange,
	brushedRange,
	isLive,
	liveRange,
	narrowRange,
	resolveRange,
	shiftRange,
	widenRange,
} from "../model/timerange";
import { type ProfileType, type Tab, type UrlState, groupByOf } from "../model/urlstate";
import { FlameView } from "./flame";
import { Header } from "./header";
import { ReasonLegend } from "./legend";
import { type Go, type Loaded, useBeat, useLoad, useTheme, useUrlState } from "./hooks";
import { SelectorBar } from "./selectorbar";
import { StatusView } from "./status";
import { TableView } from "./table";
import { TimePicker } from "./timepicker";
import { Timeline } from "./timeline";
import { TraceScreen } from "./trace";
import { TraceDialog } from "./tracedialog";
import { HideIdle, WaitsOn, useValuesBeside } from "./waiting";

const BEAT_MS = 5000;
const TABS: readonly { readonly tab: Tab; readonly name: string }[] = [
	{ tab: "flame", name: "Flame graph" },
	{ tab: "table", name: "Table" },
	{ tab: "status", name: "Status" },
];
const TYPES: Readonly<
	Record<ProfileType, { readonly name: string; readonly use: string; readonly title: string }>
> = {
	cpu: { name: "CPU", use: "CPU use", title: "Time on a CPU" },
	offcpu: { name: "Off-CPU", use: "Waiting", title: "Time spent waiting" },
	wall: { name: "Wall", use: "Wall-clock time", title: "Running and waiting" },
};

/* Waiting can be picked where it is sampled, or where there is some from before. */
function useHasWaiting(selection: Selection, status: Status | null, slowBeat: number): boolean {
	const isSampled = status !== null && status.waiting.method !== "";
	const probe: Selection = { type: "offcpu", query: "{}", from: selection.from, until: selection.until };
	const found = useLoad(
		isSampled || status === null ? null : `${probe.from} ${probe.until}`,
		slowBeat,
		isLive(selection),
		(signal) => fetchLabelValues(probe, "comm", 1, signal),
	);
	return isSampled || selection.type !== "cpu" || (found.data?.length ?? 0) > 0;
}

/* Time on a CPU has nothing to do with waits: what the selector says about them goes. */
function queryFor(type: ProfileType, query: string): string {
	const labels = type === "cpu" ? ["reason", "waits_on", "idle"] : [];
	return labels.reduce((q, label) => {
		const parsed = parseSelector(q);
		return parsed.ok ? withoutLabel(parsed, label) : q;
	}, query);
}

function useClock(status: Loaded<Status>): number {
	return status.data ? status.data.nowUs + (Date.now() - status.atMs) * 1000 : Date.now() * 1000;
}

export function App(): JSX.Element {
	const [state, go] = useUrlState();
	const { theme, choice, choose } = useTheme();
	const beat = useBeat(BEAT_MS);
	const slowBeat = Math.floor(beat / 6); /* for what hardly changes */
	const range: TimeRange = state;
	const live = isLive(range);
	const selection: Selection = {
		type: state.type,
		query: state.query,
		from: state.from,
		until: state.until,
	};
	const asked = JSON.stringify(selection);

	const status = useLoad("status", beat, true, fetchStatus);
	const groupBy = groupByOf(state);
	const series = useLoad(`${asked} ${groupBy}`, beat, live, (signal) =>
		fetchSeries(selection, groupBy, signal),
	);
	const hasReasons = groupBy === "reason";
	const reasons = useValuesBeside(selection, hasReasons ? "reason" : null, REASONS.length, beat);
	const flame = useLoad(
		state.tab === "flame" ? `${asked} ${state.focus} ${state.rootBy} ${state.frames}` : null,
		beat,
		live,
		(signal) => fetchFlame(selection, state, signal),
	);
	const top = useLoad(state.tab === "table" ? `${asked} ${state.frames}` : null, beat, live, (signal) =>
		fetchTop(selection, state.frames, signal),
	);
	const hasWaiting = useHasWaiting(selection, status.data, slowBeat);
	const isWaiting = state.type !== "cpu";
	const labels = useLabels(selection, slowBeat);

	const nowUs = useClock(status);
	const resolved = resolveRange(range, nowUs) ?? resolveRange(DEFAULT_RANGE, nowUs)!;
	const setRange = (r: TimeRange): void => go({ from: r.from, until: r.until });
	const setLive = (wanted: boolean): void =>
		setRange(
			wanted
				? liveRange(resolved.untilUs - resolved.fromUs)
				: absoluteRange(series.data && !series.isLoading ? series.data : resolved),
		);
	const pick = (label: string, value: string, isNot: boolean): void => {
		const parsed = parseSelector(state.query);
		if (parsed.ok)
			go({
				query: selectorText(
					withCondition(parsed.conditions, { label, op: isNot ? "!=" : "=", value }),
				),
			});
	};
	useShortcuts({
		"[": () => setRange(shiftRange(resolved, -1, nowUs)),
		"]": () => setRange(shiftRange(resolved, 1, nowUs)),
		p: () => setLive(!live),
	});
	const host = status.data?.host;
	useEffect(() => {
		document.title = host ? `${host} · Hearth` : "Hearth";
	}, [host]);

	const [isAsking, setAsking] = useState(false);
	const shown = state.tab === "flame" ? flame : state.tab === "table" ? top : status;
	const failed = [shown, series, status].find((l) => l.error !== null) ?? null;
	return (
		<>
			<Header
				status={status.data}
				selection={selection}
				isLive={live}
				hasFailed={failed !== null}
				onLive={setLive}
				choice={choice}
				choose={choose}
			>
				<div class="question">
					{state.trace === 0 && (
						<>
							{hasWaiting && (
								<TypePicker
									type={state.type}
									onPick={(type) => go({ type, query: queryFor(type, state.query) })}
								/>
							)}
							<SelectorBar selection={selection} onQuery={(query) => go({ query })} />
							<TimePicker range={range} resolved={resolved} nowUs={nowUs} onRange={setRange} />
						</>
					)}
				</div>
			</Header>
			{state.trace > 0 ? (
				<TraceScreen key={state.trace} state={state} go={go} theme={theme} />
			) : (
				<main>
					<section class="over-time" aria-label="Over time">
						<GroupBy state={state} groupBy={groupBy} labels={labels} go={go} />
						{series.data ? (
							<Timeline
								series={series.data}
								theme={theme}
								nowUs={nowUs}
								legend={
									series.data.groupBy === "reason" ? (
										<ReasonLegend
											series={series.data}
											found={reasons.data}
											parsed={parseSelector(state.query)}
											theme={theme}
											onToggle={(reason, isNot) =>
												go({
													query: toggleReason(
														parseSelector(state.query),
														reason,
														isNot,
													),
												})
											}
										/>
									) : null
								}
								isOld={series.isOld}
								onBrush={(a, b) => setRange(brushedRange(a, b))}
								onWiden={() => setRange(widenRange(range, resolved, nowUs))}
								onNarrow={() => setRange(narrowRange(range, resolved))}
								onPick={(name, isNot) => pick(groupBy, name, isNot)}
							/>
						) : (
							<div class="timeline-blank" />
						)}
					</section>
					<div class="tab-row">
						<Tabs tab={state.tab} go={go} />
						{isWaiting && state.tab !== "status" && (
							<div class="tab-tools">
								<HideIdle selection={selection} beat={beat} go={go} />
								{status.data?.sampling === true && (
									<button
										type="button"
										class="button small"
										onClick={() => setAsking(true)}
									>
										Trace exactly…
									</button>
								)}
								{!state.hasSide && (
									<button
										type="button"
										class="button small"
										onClick={() => go({ hasSide: true })}
									>
										Waits on
									</button>
								)}
							</div>
						)}
					</div>
					<div class="answer-row">
						<div class="answer" id="answer" role="tabpanel" aria-labelledby={`tab-${state.tab}`}>
							{state.tab === "flame" && (
								<Answer
									loaded={flame}
									isEmpty={(tree) => tree.totalNs === 0}
									empty={
										<Empty
											state={state}
											resolved={resolved}
											status={status.data}
											go={go}
											widen={() => setRange(widenRange(range, resolved, nowUs))}
										/>
									}
								>
									{(tree) => (
										<FlameView
											tree={tree}
											state={state}
											go={go}
											theme={theme}
											isOld={flame.isOld}
											labels={labels}
											isFixed={false}
											onOnlyRoot={(value) =>
												pick(
													state.rootBy,
													value === `[no ${state.rootBy}]` ? "" : value,
													false,
												)
											}
										/>
									)}
								</Answer>
							)}
							{state.tab === "table" && (
								<Answer
									loaded={top}
									isEmpty={(table) => table.rows.length === 0}
									empty={
										<Empty
											state={state}
											resolved={resolved}
											status={status.data}
											go={go}
											widen={() => setRange(widenRange(range, resolved, nowUs))}
										/>
									}
								>
									{(table) => (
										<TableView
											table={table}
											state={state}
											go={go}
											theme={theme}
											isOld={top.isOld}
										/>
									)}
								</Answer>
							)}
							{state.tab === "status" && (
								<Answer loaded={status} isEmpty={() => false} empty={null}>
									{(s) => <StatusView status={s} state={state} go={go} />}
								</Answer>
							)}
						</div>
						{isWaiting && state.hasSide && state.tab !== "status" && (
							<WaitsOn selection={selection} beat={beat} go={go} />
						)}
					</div>
				</main>
			)}
			{isAsking && <TraceDialog query={state.query} go={go} onClose={() => setAsking(false)} />}
			{failed && <Trouble loaded={failed} />}
		</>
	);
}

function Tabs({ tab: shown, go }: { readonly tab: Tab; readonly go: Go }): JSX.Element {
	return (
		<div class="tabs" role="tablist" onKeyDown={(e) => onTabKey(e, shown, go)}>
			{TABS.map(({ tab, name }) => (
				<button
					key={tab}
					type="button"
					role="tab"
					id={`tab-${tab}`}
					aria-selected={shown === tab}
					aria-controls="answer"
					tabIndex={shown === tab ? 0 : -1}
					onClick={() => go({ tab })}
				>
					{name}
				</button>
			))}
		</div>
	);
}

function onTabKey(event: KeyboardEvent, now: Tab, go: Go): void {
	const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
	const next = TABS[TABS.findIndex(({ tab }) => tab === now) + step];
	if (step === 0 || !next) return;
	go({ tab: next.tab });
	document.getElementById(`tab-${next.tab}`)?.focus();
}

function useShortcuts(keys: Readonly<Record<string, () => void>>): void {
	useEffect(() => {
		const onKeyDown = (event: KeyboardEvent): void => {
			const target = event.target instanceof HTMLElement ? event.target : null;
			if (event.ctrlKey || event.metaKey || event.altKey || target?.matches("input, select, textarea"))
				return;
			if (event.key === "/") {
				event.preventDefault();
				const input = document.getElementById("search");
				if (input instanceof HTMLInputElement) input.select();
				return;
			}
			keys[event.key]?.();
		};
		document.addEventListener("keydown", onKeyDown);
		return () => document.removeEventListener("keydown", onKeyDown);
	});
}

interface TypeProps {
	readonly type: ProfileType;
	readonly onPick: (type: ProfileType) => void;
}

function TypePicker({ type, onPick }: TypeProps): JSX.Element {
	return (
		<div class="segments" role="group" aria-label="Profile type">
			{(Object.keys(TYPES) as ProfileType[]).map((t) => (
				<button
					key={t}
					type="button"
					aria-pressed={t === type}
					title={TYPES[t].title}
					onClick={() => onPick(t)}
				>
					{TYPES[t].name}
				</button>
			))}
		</div>
	);
}

/* What can be grouped by, of what is selected. */
function useLabels(selection: Selection, slowBeat: number): readonly string[] {
	const labels = useLoad(JSON.stringify(selection), slowBeat, isLive(selection), (signal) =>
		fetchLabels(selection, signal),
	);
	return useMemo(() => labels.data ?? [], [labels.data]);
}

interface GroupByProps {
	readonly state: UrlState;
	readonly groupBy: string;
	readonly labels: readonly string[];
	readonly go: Go;
}

function GroupBy({ state, groupBy, labels, go }: GroupByProps): JSX.Element {
	const names = [...new Set([...labels, groupBy])].sort();
	const choose = (name: string): void =>
		go({ groupBy: name === groupByOf({ type: state.type, groupBy: "" }) ? "" : name });
	return (
		<label class="group-by">
			<span>
				{TYPES[state.type].use}, in {state.type === "cpu" ? "cores" : "threads"}, by
			</span>
			<select value={groupBy} onChange={(e) => choose(e.currentTarget.value)}>
				{names.map((name) => (
					<option key={name} value={name}>
						{name}
					</option>
				))}
			</select>
		</label>
	);
}

/* One sentence, over the page so that nothing moves, when what is shown is not what was asked. */
function Trouble({ loaded }: { readonly loaded: Loaded<unknown> }): JSX.Element {
	const stale = loaded.isOld
		? " What is shown answers an earlier question."
		: ` What is shown is from ${formatClock(loaded.atMs * 1000)}.`;
	return (
		<p class="trouble" role="alert">
			{loaded.error}
			{loaded.data ? stale : ""} Trying again every 5 s.
		</p>
	);
}

interface AnswerProps<T> {
	readonly loaded: Loaded<T>;
	readonly isEmpty: (data: T) => boolean;
	readonly empty: ComponentChildren;
	readonly children: (data: T) => JSX.Element;
}

function Answer<T>({ loaded, isEmpty, empty, children }: AnswerProps<T>): JSX.Element {
	const { data } = loaded;
	return (
		<>
			{data &&
				(isEmpty(data) ? (
					loaded.isOld && !loaded.error ? (
						<div class="loading" role="status">
							Loading…
						</div>
					) : (
						empty
					)
				) : (
					children(data)
				))}
			{!data &&
				(loaded.error ? (
					<div class="empty">
						<h2>{loaded.error}</h2>
					</div>
				) : (
					<div class="loading" role="status">
						Loading…
					</div>
				))}
		</>
	);
}

interface EmptyProps {
	readonly state: UrlState;
	readonly resolved: Resolved;
	readonly status: Status | null;
	readonly go: Go;
	readonly widen: () => void;
}

function Empty({ state, resolved, status, go, widen }: EmptyProps): JSX.Element {
	const isAll = state.query === "{}" && state.focus === "";
	const what = [state.query === "{}" ? "" : state.query, state.focus && `with ${state.focus}`]
		.filter(Boolean)
		.join(" ");
	const newestUs = status?.store["newest_us"] ?? 0;
	const startUs = status?.startUs ?? 0;
	const isYoung = status?.sampling === true && status.nowUs - startUs < 60e6;
	return (
		<div class="empty" role="status">
			<h2>
				{isAll ? (
					"No samples in this range."
				) : (
					<>
						No samples match <code>{what}</code> in this range.
					</>
				)}
			</h2>
			<p class="dim">{formatSpan(resolved.fromUs, resolved.untilUs)}</p>
			{isAll && isYoung && <p>Hearth has just started; the first samples come within seconds.</p>}
			{!isAll && <p>Widen the range or remove the selector.</p>}
			<p class="actions">
				<button type="button" class="button" onClick={widen}>
					Widen the range
				</button>
				{!isAll && (
					<button type="button" class="button" onClick={() => go({ query: "{}", focus: "" })}>
						Remove the selector
					</button>
				)}
				{newestUs > 0 && newestUs < resolved.fromUs && (
					<button
						type="button"
						class="button"
						onClick={() =>
							go(absoluteRange({ fromUs: newestUs - 900e6, untilUs: newestUs + 1e6 }))
						}
					>
						Go to the newest samples
					</button>
				)}
			</p>
		</div>
	);
}

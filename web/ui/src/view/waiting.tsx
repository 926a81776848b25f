/*
 * waiting: what the screen has more of when it shows waiting: threads without work can be
 * hidden, and what is waited on is a table.
 */
import type { JSX } from "preact";
import { type LabelValue, type Selection, fetchLabelValues } from "../api";
import { formatNs, formatShare } from "../model/format";
import { REASONS, RUNNING, hidesIdle, withIdleHidden, withoutLabel } from "../model/reasons";
import { parseSelector, selectorText, withCondition } from "../model/selector";
import { isLive } from "../model/timerange";
import { type Go, type Loaded, useLoad } from "./hooks";
import { Icon } from "./icons";

interface Props {
	readonly selection: Selection;
	readonly beat: number;
	readonly go: Go;
}

/* Values of a label as if the selector said nothing about it. */
export function useValuesBeside(
	selection: Selection,
	label: string | null,
	limit: number,
	beat: number,
): Loaded<readonly LabelValue[]> {
	const query = label === null ? "" : withoutLabel(parseSelector(selection.query), label);
	const asked: Selection = { ...selection, query };
	return useLoad(
		label === null ? null : `${label} ${JSON.stringify(asked)}`,
		beat,
		isLive(selection),
		(signal) => fetchLabelValues(asked, label ?? "", limit, signal),
	);
}

export function HideIdle({ selection, beat, go }: Props): JSX.Element {
	const values = useValuesBeside(selection, "idle", 10, beat);
	const parsed = parseSelector(selection.query);
	const isHidden = hidesIdle(parsed);
	const idleUs = values.data?.find(({ value }) => value === "true")?.totalUs ?? 0;
	return (
		<label
			class="check hide-idle"
			title="Leave out threads that are parked for long, as workers without work are"
		>
			<input
				type="checkbox"
				checked={isHidden}
				onChange={(e) => go({ query: withIdleHidden(parsed, e.currentTarget.checked) })}
			/>
			<span>Hide idle</span>
			<span class="dim hide-idle-time">
				{values.data && `${formatNs(idleUs * 1e3)}${isHidden ? " hidden" : ""}`}
			</span>
		</label>
	);
}

const VALUES = 12;

/* Waited on whatever, by all that the selector means otherwise. */
function useWaitedUs(selection: Selection, beat: number): number {
	const query = withoutLabel(parseSelector(selection.query), "waits_on");
	const asked: Selection = { ...selection, query };
	const reasons = useLoad(`waited ${JSON.stringify(asked)}`, beat, isLive(selection), (signal) =>
		fetchLabelValues(asked, "reason", REASONS.length, signal),
	);
	return (reasons.data ?? []).reduce((sum, r) => sum + (r.value === RUNNING ? 0 : r.totalUs), 0);
}

/* What the selected threads wait on, most time first; a click selects. */
export function WaitsOn({ selection, beat, go }: Props): JSX.Element {
	const waitedUs = useWaitedUs(selection, beat);
	const values = useValuesBeside(selection, "waits_on", VALUES + 1, beat);
	const parsed = parseSelector(selection.query);
	const conditions = parsed.ok ? parsed.conditions : [];
	const isOnly = (value: string): boolean =>
		conditions.some((c) => c.label === "waits_on" && c.op === "=" && c.value === value);
	const toggle = (value: string): void =>
		go({
			query: isOnly(value)
				? withoutLabel(parsed, "waits_on")
				: selectorText(withCondition(conditions, { label: "waits_on", op: "=", value })),
		});
	const named = (values.data ?? []).filter(({ value }) => value !== "").slice(0, VALUES);
	const most = Math.max(1, ...named.map(({ totalUs }) => totalUs));
	return (
		<aside class="waits-on" aria-label="Waits on">
			<div class="waits-on-head">
				<h2>Waits on</h2>
				<button
					type="button"
					class="button quiet icon-only"
					title="Hide this table"
					aria-label="Hide what is waited on"
					onClick={() => go({ hasSide: false })}
				>
					<Icon name="close" />
				</button>
			</div>
			{values.error && <p class="fault">{values.error}</p>}
			{values.data && named.length === 0 && (
				<p class="hint">Nothing that has a name: neither sockets nor futexes.</p>
			)}
			<ul class={values.isOld ? "value-list is-old" : "value-list"}>
				{named.map(({ value, totalUs }) => (
					<li key={value}>
						<button
							type="button"
							class="item value"
							aria-pressed={isOnly(value)}
							title={`${value}: ${formatNs(totalUs * 1e3)}`}
							onClick={() => toggle(value)}
						>
							<span class="value-bar" style={{ width: `${(100 * totalUs) / most}%` }} />
							<span class="value-name">{value}</span>
							<span class="value-share">
								{formatShare(totalUs, Math.max(waitedUs, totalUs))}
							</span>
						</button>
					</li>
				))}
			</ul>
		</aside>
	);
}

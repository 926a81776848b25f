/*
 * timepicker: the range of time: steps, presets, and exact times.
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { formatSeconds, formatSpan } from "../model/format";
import {
	PRESETS,
	type Resolved,
	type TimeRange,
	isLive,
	normalizeTime,
	parseTime,
	shiftRange,
	widenRange,
} from "../model/timerange";
import { Icon } from "./icons";
import { Popover } from "./popover";

interface Props {
	readonly range: TimeRange;
	readonly resolved: Resolved;
	readonly nowUs: number /* the server's clock */;
	readonly onRange: (range: TimeRange) => void;
}

function rangeTitle(range: TimeRange, resolved: Resolved): string {
	const preset = PRESETS.find((p) => p.from === range.from && isLive(range));
	if (preset) return preset.label;
	if (isLive(range) && range.from.startsWith("now-"))
		return `Last ${formatSeconds(Math.round((resolved.untilUs - resolved.fromUs) / 1e6))}`;
	return formatSpan(resolved.fromUs, resolved.untilUs);
}

export function TimePicker({ range, resolved, nowUs, onRange }: Props): JSX.Element {
	const atEnd = resolved.untilUs >= nowUs - 1e6;
	return (
		<div class="time" role="group" aria-label="Time range">
			<button
				type="button"
				class="button icon-only joined"
				title="Step back ( [ )"
				aria-label="Step back"
				onClick={() => onRange(shiftRange(resolved, -1, nowUs))}
			>
				<Icon name="back" />
			</button>
			<Popover
				class="button joined"
				title="Choose the time range"
				align="right"
				label={
					<>
						<span class="time-title">{rangeTitle(range, resolved)}</span>
						<Icon name="down" />
					</>
				}
			>
				{(close) => <RangePanel range={range} nowUs={nowUs} onRange={(r) => (close(), onRange(r))} />}
			</Popover>
			<button
				type="button"
				class="button icon-only joined"
				title="Step forward ( ] )"
				aria-label="Step forward"
				disabled={atEnd}
				onClick={() => onRange(shiftRange(resolved, 1, nowUs))}
			>
				<Icon name="forward" />
			</button>
			<button
				type="button"
				class="button icon-only joined"
				title="Twice as long"
				aria-label="Zoom out in time"
				onClick={() => onRange(widenRange(range, resolved, nowUs))}
			>
				<Icon name="out" />
			</button>
		</div>
	);
}

const localText = (us: number): string => {
	const d = new Date(us / 1000);
	const two = (n: number): string => String(n).padStart(2, "0");
	return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
};

/* Relative times as they are, others on the reader's clock. */
function editable(text: string, nowUs: number): string {
	const us = parseTime(text, nowUs);
	return text.startsWith("now") || us === null ? text : localText(us);
}

function RangePanel({ range, nowUs, onRange }: Omit<Props, "resolved">): JSX.Element {
	const [from, setFrom] = useState(() => editable(range.from, nowUs));
	const [until, setUntil] = useState(() => editable(range.until, nowUs));
	const [fault, setFault] = useState("");
	const onSubmit = (event: Event): void => {
		event.preventDefault();
		const a = normalizeTime(from);
		const b = normalizeTime(until);
		if (a === null || b === null)
			return setFault(`“${a === null ? from : until}” is no time. Try 2026-11-22 14:05 or now-2h.`);
		if ((parseTime(a, nowUs) ?? 0) >= (parseTime(b, nowUs) ?? 0))
			return setFault("The range ends before it begins.");
		onRange({ from: a, until: b });
	};
	return (
		<div class="range-panel">
			<ul class="plain">
				{PRESETS.map((p) => (
					<li key={p.from}>
						<button
							type="button"
							class="item"
							aria-pressed={isLive(range) && range.from === p.from}
							onClick={() => onRange({ from: p.from, until: "now" })}
						>
							{p.label}
						</button>
					</li>
				))}
			</ul>
			<form onSubmit={onSubmit}>
				<label>
					From
					<input
						class="mono"
						value={from}
						spellcheck={false}
						onInput={(e) => setFrom(e.currentTarget.value)}
					/>
				</label>
				<label>
					Until
					<input
						class="mono"
						value={until}
						spellcheck={false}
						onInput={(e) => setUntil(e.currentTarget.value)}
					/>
				</label>
				<p class="hint">
					Your clock, RFC 3339, or relative such as now-2h. Now:{" "}
					<span class="mono">{localText(nowUs).slice(11)}</span>
				</p>
				{fault && (
					<p class="fault" role="alert">
						{fault}
					</p>
				)}
				<button type="submit" class="button primary">
					Apply
				</button>
			</form>
		</div>
	);
}

/*
 * legend: the lines of the timeline by name; a filter, too.
 */
import type { JSX } from "preact";
import type { LabelValue } from "../api";
import { formatNs, formatShare } from "../model/format";
import { RUNNING, onlyReason, reasonPlace, reasonText, reasonTitle } from "../model/reasons";
import type { ParsedSelector } from "../model/selector";
import { OTHER, type Series, type Stack } from "../model/timeline";
import { type Theme, reasonColor } from "./colors";
import { Swatch } from "./flame";

export function lineTitle(groupBy: string, name: string): string {
	return groupBy === "reason" ? reasonTitle(name) : name || "(none)";
}

interface Props {
	readonly stack: Stack;
	readonly colors: readonly string[];
	readonly onPick: (name: string, isNot: boolean) => void;
}

export function Legend({ stack, colors, onPick }: Props): JSX.Element {
	const total = stack.totalsUs.reduce((sum, us) => sum + us, 0);
	return (
		<ul class="lines plain" aria-label="Lines">
			{stack.names.map((name, i) => (
				<li key={name}>
					{name === OTHER ? (
						<span class="line">
							<Swatch color={colors[i]!} />
							other <span class="line-share">{formatShare(stack.totalsUs[i]!, total)}</span>
						</span>
					) : (
						<button
							type="button"
							class="line"
							title={`Only ${name}. With Alt: all but ${name}.`}
							onClick={(e) => onPick(name, e.altKey)}
						>
							<Swatch color={colors[i]!} />
							<span class="line-name">{name || "(none)"}</span>
							<span class="line-share">{formatShare(stack.totalsUs[i]!, total)}</span>
						</button>
					)}
				</li>
			))}
		</ul>
	);
}

interface ReasonProps {
	readonly series: Series;
	readonly found: readonly LabelValue[] | null /* whatever the selector says about reasons */;
	readonly parsed: ParsedSelector;
	readonly theme: Theme;
	readonly onToggle: (reason: string, isNot: boolean) => void;
}

/* All reasons that there are in the range, also those that are filtered out, in their order. */
function reasonsOf({ series, found }: ReasonProps): readonly LabelValue[] {
	const totals = new Map(series.lines.map((line) => [line.name, line.totalUs]));
	for (const { value, totalUs } of found ?? []) totals.set(value, totalUs);
	return [...totals]
		.map(([value, totalUs]) => ({ value, totalUs }))
		.filter(({ value, totalUs }) => totalUs > 0 && (value !== RUNNING || series.type === "wall"))
		.sort((a, b) => reasonPlace(a.value) - reasonPlace(b.value));
}

function hintOf(reason: string, totalUs: number, isFree: boolean): string {
	const what = `${reasonTitle(reason)}: ${reasonText(reason)}. ${formatNs(totalUs * 1e3)}.`;
	return `${what}\nClick: ${isFree ? "all again" : "only this"}. With Shift: all but this.`;
}

export function ReasonLegend(props: ReasonProps): JSX.Element {
	const { parsed, theme, onToggle } = props;
	const reasons = reasonsOf(props);
	const total = reasons.reduce((sum, { totalUs }) => sum + totalUs, 0);
	const only = onlyReason(parsed);
	const isOut = (name: string): boolean =>
		only !== null
			? only !== name
			: parsed.ok &&
				parsed.conditions.some((c) => c.label === "reason" && c.op === "!=" && c.value === name);
	return (
		<ul class="lines reasons plain" aria-label="Reasons">
			{reasons.map(({ value, totalUs }) => (
				<li key={value}>
					<button
						type="button"
						class={isOut(value) ? "line is-out" : "line"}
						aria-pressed={only === value}
						title={hintOf(value, totalUs, only === value || (only === null && isOut(value)))}
						onClick={(e) => onToggle(value, e.shiftKey || e.altKey)}
					>
						<Swatch color={reasonColor(theme, value)} />
						<span class="line-name">{reasonTitle(value)}</span>
						<span class="line-share">{formatShare(totalUs, total)}</span>
					</button>
				</li>
			))}
			{reasons.length === 0 && <li class="dim">no reasons in this range</li>}
		</ul>
	);
}

/*
 * selectorbar: which samples are meant, as chips to click and as text to type.
 */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type LabelValue, type Selection, fetchLabelValues, fetchLabels } from "../api";
import { formatNs, formatShare } from "../model/format";
import {
	type Condition,
	conditionText,
	negated,
	parseSelector,
	selectorText,
	withCondition,
} from "../model/selector";
import { useLoad } from "./hooks";
import { Icon } from "./icons";
import { Popover } from "./popover";

interface Props {
	readonly selection: Selection;
	readonly onQuery: (query: string) => void;
}

export function SelectorBar({ selection, onQuery }: Props): JSX.Element {
	const [isText, setText] = useState(false);
	const parsed = parseSelector(selection.query);
	const apply = (conditions: readonly Condition[]): void => onQuery(selectorText(conditions));
	if (isText || !parsed.ok)
		return (
			<TextEditor
				text={selection.query}
				onApply={(q) => (setText(false), onQuery(q))}
				onCancel={() => setText(false)}
			/>
		);
	const { conditions } = parsed;
	return (
		<div class="selector" role="group" aria-label="Which samples">
			<Popover
				class="button quiet"
				title="Add a filter"
				label={
					<>
						<Icon name="plus" />
						<span>Filter</span>
					</>
				}
			>
				{(close) => (
					<LabelPicker
						selection={selection}
						onPick={(c) => (close(), apply(withCondition(conditions, c)))}
					/>
				)}
			</Popover>
			<div class="chips">
				{conditions.length === 0 && <span class="placeholder">everything on this host</span>}
				{conditions.map((c, i) => (
					<Chip
						key={conditionText(c)}
						condition={c}
						onNegate={() => apply(conditions.map((other, j) => (j === i ? negated(c) : other)))}
						onRemove={() => apply(conditions.filter((_, j) => j !== i))}
					/>
				))}
			</div>
			<button
				type="button"
				class="button quiet icon-only"
				title="Edit as text"
				aria-label="Edit as text"
				onClick={() => setText(true)}
			>
				<Icon name="text" />
			</button>
		</div>
	);
}

interface ChipProps {
	readonly condition: Condition;
	readonly onNegate: () => void;
	readonly onRemove: () => void;
}

function Chip({ condition: c, onNegate, onRemove }: ChipProps): JSX.Element {
	const isNot = c.op.startsWith("!");
	return (
		<span class={isNot ? "chip chip-not" : "chip"}>
			<span class="chip-label">{c.label}</span>
			<button
				type="button"
				class="chip-op"
				onClick={onNegate}
				title={isNot ? "Only these instead" : "All but these instead"}
			>
				{c.op.replace("!=", "≠")}
			</button>
			<span class="chip-value" title={c.value}>
				{c.value || "(none)"}
			</span>
			<button
				type="button"
				class="chip-close"
				onClick={onRemove}
				aria-label={`Remove ${conditionText(c)}`}
			>
				<Icon name="close" />
			</button>
		</span>
	);
}

interface EditorProps {
	readonly text: string;
	readonly onApply: (query: string) => void;
	readonly onCancel: () => void;
}

function TextEditor({ text, onApply, onCancel }: EditorProps): JSX.Element {
	const [draft, setDraft] = useState(text);
	const input = useRef<HTMLInputElement>(null);
	useEffect(() => input.current?.focus(), []);
	const parsed = parseSelector(draft);
	const onSubmit = (event: Event): void => {
		event.preventDefault();
		if (parsed.ok) onApply(selectorText(parsed.conditions));
		else input.current?.setSelectionRange(parsed.at, parsed.at);
	};
	return (
		<form class="selector selector-text" onSubmit={onSubmit}>
			<input
				ref={input}
				class="mono"
				value={draft}
				spellcheck={false}
				autocomplete="off"
				aria-label="Selector"
				aria-invalid={!parsed.ok}
				aria-describedby="selector-fault"
				placeholder={'{comm="postgres"}'}
				onInput={(e) => setDraft(e.currentTarget.value)}
				onKeyDown={(e) => e.key === "Escape" && onCancel()}
			/>
			<button type="submit" class="button primary" disabled={!parsed.ok}>
				Apply
			</button>
			<button type="button" class="button quiet" onClick={onCancel}>
				Cancel
			</button>
			<div id="selector-fault" class="fault" role="status">
				{!parsed.ok && `At character ${parsed.at + 1}: ${parsed.message}.`}
			</div>
		</form>
	);
}

interface PickerProps {
	readonly selection: Selection;
	readonly onPick: (condition: Condition) => void;
}

const VALUES = 200;

function LabelPicker({ selection, onPick }: PickerProps): JSX.Element {
	const [label, setLabel] = useState<string | null>(null);
	const [needle, setNeedle] = useState("");
	const key = JSON.stringify(selection);
	const labels = useLoad(`labels ${key}`, 0, false, (signal) => fetchLabels(selection, signal));
	const shown = label ?? labels.data?.find((l) => l === "comm") ?? labels.data?.[0] ?? null;
	const values = useLoad(shown === null ? null : `${shown} ${key}`, 0, false, (signal) =>
		fetchLabelValues(selection, shown ?? "", VALUES, signal),
	);
	const found = (values.data ?? []).filter((v) => v.value.toLowerCase().includes(needle.toLowerCase()));
	const error = labels.error ?? values.error;
	return (
		<div class="label-picker">
			<div class="label-names" role="group" aria-label="Labels">
				{labels.data?.map((l) => (
					<button
						key={l}
						type="button"
						class="item"
						aria-pressed={l === shown}
						onClick={() => (setLabel(l), setNeedle(""))}
					>
						{l}
					</button>
				))}
				{labels.data?.length === 0 && <p class="hint">No labels in this range.</p>}
			</div>
			<div class="label-values">
				<input
					type="search"
					placeholder={`Find ${shown ?? "a value"}…`}
					aria-label="Find a value"
					value={needle}
					onInput={(e) => setNeedle(e.currentTarget.value)}
				/>
				{error && <p class="fault">{error}</p>}
				<ValueList values={found} isLoading={values.isLoading} label={shown ?? ""} onPick={onPick} />
			</div>
		</div>
	);
}

interface ListProps {
	readonly values: readonly LabelValue[];
	readonly isLoading: boolean;
	readonly label: string;
	readonly onPick: (condition: Condition) => void;
}

function ValueList({ values, isLoading, label, onPick }: ListProps): JSX.Element {
	const total = values.reduce((sum, v) => sum + v.totalUs, 0);
	const top = Math.max(1, ...values.map((v) => v.totalUs));
	if (values.length === 0 && !isLoading) return <p class="hint">No such value in this range.</p>;
	return (
		<ul class={isLoading ? "value-list is-old" : "value-list"}>
			{values.map((v) => (
				<li key={v.value}>
					<button
						type="button"
						class="item value"
						title={`Only ${label} ${v.value}: ${formatNs(v.totalUs * 1e3)}`}
						onClick={() => onPick({ label, op: "=", value: v.value })}
					>
						<span class="value-bar" style={{ width: `${(100 * v.totalUs) / top}%` }} />
						<span class="value-name">{v.value || "(none)"}</span>
						<span class="value-share">{formatShare(v.totalUs, total)}</span>
					</button>
					<button
						type="button"
						class="item value-not"
						title={`All but ${v.value}`}
						aria-label={`All but ${v.value}`}
						onClick={() => onPick({ label, op: "!=", value: v.value })}
					>
						≠
					</button>
				</li>
			))}
		</ul>
	);
}

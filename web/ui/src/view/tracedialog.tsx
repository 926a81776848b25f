/*
 * tracedialog: asks what to trace exactly, and starts it.
 */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { startTrace } from "../api";
import { parseSelector } from "../model/selector";
import { type Target, type TraceDraft, type WaitState, draftFrom, faultOf } from "../model/trace";
import type { Go } from "./hooks";

const TARGETS: readonly (readonly [Target, string])[] = [
	["machine", "the whole machine"],
	["pid", "a process (pid)"],
	["tid", "a thread (tid)"],
	["cgroup", "a cgroup"],
];
const STATES: readonly (readonly [WaitState, string])[] = [
	["any", "of all kinds"],
	["sleeping", "asleep"],
	["uninterruptible", "asleep without signals: disk and the like"],
	["runnable", "runnable: preempted or throttled"],
];

interface Props {
	readonly query: string;
	readonly go: Go;
	readonly onClose: () => void;
}

export function TraceDialog({ query, go, onClose }: Props): JSX.Element {
	const dialog = useRef<HTMLDialogElement>(null);
	const [draft, setDraft] = useState<TraceDraft>(() => draftFrom(parseSelector(query)));
	const [isStarting, setStarting] = useState(false);
	const [refusal, setRefusal] = useState("");
	const change = (patch: Partial<TraceDraft>): void => {
		setRefusal("");
		setDraft((d) => ({ ...d, ...patch }));
	};
	useEffect(() => dialog.current?.showModal(), []);
	const fault = faultOf(draft);
	const start = (event: Event): void => {
		event.preventDefault();
		if (fault) return;
		setStarting(true);
		startTrace(draft).then(
			(id) => (onClose(), go({ trace: id, traceView: "waits", zoom: "", focus: "", rootBy: "" })),
			(error: unknown) => {
				setStarting(false);
				setRefusal(error instanceof Error ? error.message : String(error));
			},
		);
	};
	return (
		<dialog class="dialog" ref={dialog} aria-labelledby="trace-title" onClose={onClose}>
			<form class="trace-form" onSubmit={start}>
				<h2 id="trace-title">Trace exactly</h2>
				<p class="hint">
					For a short time every switch is seen, with its duration and who ended the wait. That
					costs more than sampling does.
				</p>
				<label>
					<span>For</span>
					<input
						type="number"
						min="1"
						max="60"
						value={draft.seconds}
						onInput={(e) => change({ seconds: e.currentTarget.value })}
					/>
					<span>seconds</span>
				</label>
				<TargetFields draft={draft} change={change} />
				<label>
					<span>Waits</span>
					<select
						value={draft.state}
						onChange={(e) => change({ state: e.currentTarget.value as WaitState })}
					>
						{STATES.map(([state, name]) => (
							<option key={state} value={state}>
								{name}
							</option>
						))}
					</select>
				</label>
				<Durations draft={draft} change={change} />
				<label class="check">
					<input
						type="checkbox"
						checked={draft.hasAllStacks}
						onChange={(e) => change({ hasAllStacks: e.currentTarget.checked })}
					/>
					<span>A stack at every switch, not by time waited (dearer)</span>
				</label>
				<p class="fault" role="alert">
					{fault || refusal}
				</p>
				<div class="actions">
					<button type="button" class="button" onClick={() => dialog.current?.close()}>
						Cancel
					</button>
					<button type="submit" class="button primary" disabled={fault !== "" || isStarting}>
						{isStarting ? "Starting…" : "Trace"}
					</button>
				</div>
			</form>
		</dialog>
	);
}

interface FieldProps {
	readonly draft: TraceDraft;
	readonly change: (patch: Partial<TraceDraft>) => void;
}

function TargetFields({ draft, change }: FieldProps): JSX.Element {
	return (
		<div class="row">
			<span>Of</span>
			<select
				value={draft.target}
				aria-label="What to trace"
				onChange={(e) => change({ target: e.currentTarget.value as Target, targetText: "" })}
			>
				{TARGETS.map(([target, name]) => (
					<option key={target} value={target}>
						{name}
					</option>
				))}
			</select>
			{draft.target !== "machine" && (
				<input
					class="mono wide"
					value={draft.targetText}
					aria-label={draft.target}
					placeholder={draft.target === "cgroup" ? "/system.slice/postgresql.service" : "number"}
					spellcheck={false}
					onInput={(e) => change({ targetText: e.currentTarget.value })}
				/>
			)}
		</div>
	);
}

function Durations({ draft, change }: FieldProps): JSX.Element {
	const input = (label: string, key: "minText" | "maxText"): JSX.Element => (
		<input
			inputMode="numeric"
			value={draft[key]}
			aria-label={label}
			placeholder="any"
			onInput={(e) => change({ [key]: e.currentTarget.value.trim() })}
		/>
	);
	return (
		<div class="row" role="group" aria-label="Durations">
			<span>Lasting</span>
			{input("Shortest wait, µs", "minText")}
			<span>to</span>
			{input("Longest wait, µs", "maxText")}
			<span>µs</span>
		</div>
	);
}

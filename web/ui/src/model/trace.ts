/*
 * trace: what an exact trace is asked for, and what it found. docs/API.md, "POST /trace".
 */
import type { ParsedSelector } from "./selector";

export type Target = "machine" | "pid" | "tid" | "cgroup";
export type WaitState = "any" | "sleeping" | "uninterruptible" | "runnable";

/* As typed into the dialog. */
export interface TraceDraft {
	readonly seconds: string;
	readonly target: Target;
	readonly targetText: string;
	readonly minText: string /* µs; "": any */;
	readonly maxText: string;
	readonly state: WaitState;
	readonly hasAllStacks: boolean;
}

export const MAX_SECONDS = 60;

const TARGETS: readonly Target[] = ["tid", "pid", "cgroup"]; /* the narrowest first */

/* What to trace, when the selector names it. */
export function draftFrom(parsed: ParsedSelector): TraceDraft {
	const conditions = parsed.ok ? parsed.conditions : [];
	const valueOf = (label: string): string =>
		conditions.find((c) => c.label === label && c.op === "=")?.value ?? "";
	const target = TARGETS.find((t) => valueOf(t) !== "") ?? "machine";
	return {
		seconds: "5",
		target,
		targetText: valueOf(target),
		minText: "",
		maxText: "",
		state: "any",
		hasAllStacks: false,
	};
}

const isWhole = (text: string): boolean => /^\d{1,15}$/.test(text);

/* What is wrong with it, as a sentence; "": nothing. */
export function faultOf(d: TraceDraft): string {
	const seconds = Number(d.seconds);
	if (!isWhole(d.seconds) || seconds < 1 || seconds > MAX_SECONDS)
		return `Trace for 1 to ${MAX_SECONDS} seconds.`;
	if ((d.target === "pid" || d.target === "tid") && !/^[1-9]\d{0,9}$/.test(d.targetText))
		return `A ${d.target} is a number.`;
	if (d.target === "cgroup" && !d.targetText.startsWith("/")) return "A cgroup is a path: /system.slice/…";
	if (d.minText !== "" && !isWhole(d.minText)) return "The shortest wait is a number of µs.";
	if (d.maxText !== "" && !isWhole(d.maxText)) return "The longest wait is a number of µs.";
	if (d.minText !== "" && d.maxText !== "" && Number(d.minText) > Number(d.maxText))
		return "The shortest wait is longer than the longest.";
	return "";
}

/* The parameters of the request; what is empty is not sent. */
export function traceParams(d: TraceDraft): Readonly<Record<string, string>> {
	return {
		seconds: d.seconds,
		...(d.target === "machine" ? {} : { [d.target]: d.targetText }),
		min_us: Number(d.minText) > 0 ? d.minText : "",
		max_us: d.maxText,
		state: d.state === "any" ? "" : d.state,
		stacks: d.hasAllStacks ? "all" : "",
	};
}

/* Slot i counts times of [2^i, 2^(i+1)) µs, slot 0 those below 2 µs, the last one all above. */
export type Slots = readonly number[];

/* A thread, or all of a process, of a cgroup, of the trace. Times in µs. */
export interface TraceGroup {
	readonly name: string;
	readonly pid: number;
	readonly tid: number;
	readonly waits: number;
	readonly sleepUs: number;
	readonly queuedUs: number;
	readonly preemptedUs: number;
	readonly throttledUs: number;
	readonly runningUs: number;
	readonly queued: Slots | null /* of the first groups only */;
	readonly running: Slots | null;
}

export interface TraceReport {
	readonly startUs: number;
	readonly durationUs: number;
	readonly switches: Readonly<Record<string, number>> /* what became of them */;
	readonly total: TraceGroup;
	readonly processes: readonly TraceGroup[];
	readonly cgroups: readonly TraceGroup[];
	readonly preemptors: readonly {
		readonly name: string;
		readonly by: string;
		readonly count: number;
		readonly preemptedUs: number;
	}[];
	readonly slow: readonly {
		readonly timeUs: number;
		readonly delayUs: number;
		readonly name: string;
		readonly tid: number;
		readonly previous: string /* who had the CPU just before */;
	}[];
	readonly throttled: readonly {
		readonly cgroup: string;
		readonly periods: number;
		readonly throttledUs: number;
	}[];
}

export interface Trace {
	readonly state: "running" | "done" | "failed";
	readonly secondsLeft: number;
	readonly error: string;
	readonly report: TraceReport | null;
}

export interface Bar {
	readonly fromUs: number;
	readonly untilUs: number /* Infinity: the last one */;
	readonly count: number;
	readonly share: number /* of the greatest */;
}

const LAST_SLOT = 29;

/* From the first slot with something in it to the last. */
export function histogramBars(slots: Slots): readonly Bar[] {
	const first = slots.findIndex((count) => count > 0);
	if (first < 0) return [];
	let last = slots.length - 1;
	while (slots[last] === 0) last--;
	const most = Math.max(...slots);
	return slots.slice(first, last + 1).map((count, i) => ({
		fromUs: first + i === 0 ? 0 : 2 ** (first + i),
		untilUs: first + i === LAST_SLOT ? Infinity : 2 ** (first + i + 1),
		count,
		share: count / most,
	}));
}

/* The group that is meant by a key, "all" when there is none such. */
export function groupOf(report: TraceReport, key: string): TraceGroup {
	return [...report.processes, ...report.cgroups].find((g) => groupKey(g) === key) ?? report.total;
}

export function groupKey(group: TraceGroup): string {
	return group.pid > 0 ? `pid ${group.pid}` : group.name;
}

/*
 * reasons: why a thread was not on a CPU, in words. profile/wait_reason.h has the same.
 *
 * The order is that of the legend and of the stacked timeline, from the bottom: what a thread
 * does itself, what keeps it from a CPU, what it waits for, and last what is mostly rest.
 */
import { type CallTree, Kind, nameOf } from "./calltree";
import { type Condition, type ParsedSelector, selectorText } from "./selector";

export const RUNNING = "running"; /* what samples on a CPU have as their reason beside waits */

export interface Reason {
	readonly name: string /* value of the label `reason` */;
	readonly text: string /* a few words */;
}

export const REASONS: readonly Reason[] = [
	{ name: RUNNING, text: "on a CPU" },
	{ name: "run_queue", text: "runnable, waiting for a CPU" },
	{ name: "preempted", text: "its CPU was given to another thread" },
	{ name: "throttled", text: "the CPU quota of its cgroup is used up" },
	{ name: "lock", text: "a futex: lock, condition variable, semaphore" },
	{ name: "disk", text: "a block device or file system" },
	{ name: "network", text: "a socket" },
	{ name: "pipe", text: "a pipe, Unix socket or terminal" },
	{ name: "page_fault", text: "memory that was not there" },
	{ name: "io_uring", text: "completions of io_uring" },
	{ name: "child", text: "a child process" },
	{ name: "stopped", text: "stopped by a signal, debugger or freezer" },
	{ name: "poll", text: "poll, epoll or select: any of several files" },
	{ name: "sleep", text: "a time to come" },
	{ name: "other", text: "something else in the kernel" },
];

const PLACE_OF = new Map(REASONS.map(({ name }, place) => [name, place]));

/* The place in REASONS; -1: no such reason. */
export function reasonPlace(name: string): number {
	return PLACE_OF.get(name) ?? -1;
}

/* What is shown instead of the label's value. */
export function reasonTitle(name: string): string {
	return name === "io_uring" ? name : name.replace(/_/g, " ");
}

export function reasonText(name: string): string {
	return REASONS[reasonPlace(name)]?.text ?? "";
}

/* The reason that a frame stands for: stacks of waits end in a mark, "[lock]". "": none. */
export function reasonOfFrame(name: string, kind: number): string {
	if (kind !== Kind.Mark) return "";
	const reason = /^\[(\w+)\]$/.exec(name)?.[1] ?? "";
	return reasonPlace(reason) > 0 ? reason : "";
}

export function reasonOfNode(tree: CallTree, node: number): string {
	return reasonOfFrame(nameOf(tree, node), tree.kind[node]!);
}

const isOf = (c: Condition, label: string): boolean => c.label === label;

/* Which reason alone is selected; null: none, or more is said about reasons. */
export function onlyReason(parsed: ParsedSelector): string | null {
	const said = parsed.ok ? parsed.conditions.filter((c) => isOf(c, "reason")) : [];
	const [first] = said;
	return first && said.length === 1 && first.op === "=" ? first.value : null;
}

/* The selector without what it says about that label. */
export function withoutLabel(parsed: ParsedSelector, label: string): string {
	return parsed.ok ? selectorText(parsed.conditions.filter((c) => !isOf(c, label))) : "{}";
}

/* A click on a reason: only that; a second click, or one on what is left out: all again; with
 * `isNot` all but that. */
export function toggleReason(parsed: ParsedSelector, name: string, isNot: boolean): string {
	if (!parsed.ok) return "{}";
	const same = parsed.conditions.find((c) => isOf(c, "reason") && c.value === name);
	const others = parsed.conditions.filter((c) => !isOf(c, "reason"));
	if (same && (same.op === "=" || same.op === "!="))
		return selectorText(parsed.conditions.filter((c) => c !== same));
	if (!isNot) return selectorText([...others, { label: "reason", op: "=", value: name }]);
	const kept = parsed.conditions.filter((c) => !isOf(c, "reason") || c.op !== "=");
	return selectorText([...kept, { label: "reason", op: "!=", value: name }]);
}

const HIDE: Condition = { label: "idle", op: "!=", value: "true" };
const isHide = (c: Condition): boolean => isOf(c, "idle") && c.op === "!=" && c.value === "true";

export function hidesIdle(parsed: ParsedSelector): boolean {
	return parsed.ok && parsed.conditions.some(isHide);
}

/* With or without the condition that leaves parked threads out. */
export function withIdleHidden(parsed: ParsedSelector, isHidden: boolean): string {
	if (!parsed.ok) return "{}";
	const others = parsed.conditions.filter((c) => !isHide(c));
	return selectorText(isHidden ? [...others, HIDE] : others);
}

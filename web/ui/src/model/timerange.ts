/*
 * timerange: spans of time as the URL and the API write them.
 *
 * A time is "now", "now-15m" (s, m, h, d), RFC 3339, or unix seconds. Nothing here reads a
 * clock: who knows the time passes it in.
 */

export interface TimeRange {
	readonly from: string;
	readonly until: string;
}

export interface Resolved {
	readonly fromUs: number;
	readonly untilUs: number;
}

export const DEFAULT_RANGE: TimeRange = { from: "now-15m", until: "now" };
export const PRESETS: readonly { readonly label: string; readonly from: string }[] = [
	{ label: "Last 5 minutes", from: "now-5m" },
	{ label: "Last 15 minutes", from: "now-15m" },
	{ label: "Last hour", from: "now-1h" },
	{ label: "Last 6 hours", from: "now-6h" },
	{ label: "Last 24 hours", from: "now-24h" },
];

const UNIT_US: Readonly<Record<string, number>> = { s: 1e6, m: 60e6, h: 3600e6, d: 86400e6 };
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;
const LOCAL = /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?$/;
export const MIN_SPAN_US = 1e6;

/* Unix µs, or null when the text is no time. */
export function parseTime(text: string, nowUs: number): number | null {
	if (text === "now") return nowUs;
	const ago = /^now-(\d{1,9})([smhd])$/.exec(text);
	if (ago) return nowUs - Number(ago[1]) * UNIT_US[ago[2]!]!;
	if (/^\d{1,12}(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1e6);
	if (!RFC3339.test(text)) return null;
	const ms = Date.parse(text);
	return Number.isNaN(ms) ? null : ms * 1000;
}

/* What people type: all of the above, and "2026-11-22 14:05[:30]" on their own clock. Returns
 * the text the API takes, or null. */
export function normalizeTime(text: string): string | null {
	const trimmed = text.trim();
	const local = LOCAL.exec(trimmed);
	if (!local) return parseTime(trimmed, 0) === null ? null : trimmed;
	const [y, mo, d, h, mi, s] = local.slice(1).map((part) => Number(part ?? 0));
	const date = new Date(y!, mo! - 1, d!, h!, mi!, s!);
	const same = date.getMonth() === mo! - 1 && date.getDate() === d! && date.getHours() <= 23 && h! <= 23;
	return same && mi! <= 59 && s! <= 59 ? absoluteTime(date.getTime() * 1000) : null;
}

/* RFC 3339 in UTC; milliseconds only when there are some. */
export function absoluteTime(us: number): string {
	return new Date(Math.round(us / 1000)).toISOString().replace(".000Z", "Z");
}

export function isLive(range: TimeRange): boolean {
	return range.until === "now";
}

export function resolveRange(range: TimeRange, nowUs: number): Resolved | null {
	const fromUs = parseTime(range.from, nowUs);
	const untilUs = parseTime(range.until, nowUs);
	return fromUs === null || untilUs === null || fromUs >= untilUs ? null : { fromUs, untilUs };
}

export function absoluteRange(r: Resolved): TimeRange {
	return { from: absoluteTime(r.fromUs), until: absoluteTime(r.untilUs) };
}

/* "now-15m" and the like for the last `us`. */
export function liveRange(us: number): TimeRange {
	const seconds = Math.max(1, Math.round(us / 1e6));
	for (const [unit, size] of [
		["h", 3600],
		["m", 60],
	] as const)
		if (seconds % size === 0) return { from: `now-${seconds / size}${unit}`, until: "now" };
	return { from: `now-${seconds}s`, until: "now" };
}

const NEAR_NOW = 0.1; /* of the span: who steps this close to now means now */

/* Half a screen back (-1) or forward (+1); never past now, where it becomes live again. */
export function shiftRange(r: Resolved, direction: 1 | -1, nowUs: number): TimeRange {
	const span = r.untilUs - r.fromUs;
	const untilUs = r.untilUs + (direction * span) / 2;
	if (untilUs >= nowUs - span * NEAR_NOW) return liveRange(span);
	return absoluteRange({ fromUs: untilUs - span, untilUs });
}

/* Twice the span around the same middle; live ranges stay live. */
export function widenRange(range: TimeRange, r: Resolved, nowUs: number): TimeRange {
	const span = r.untilUs - r.fromUs;
	if (isLive(range) || r.untilUs + span / 2 >= nowUs) return liveRange(span * 2);
	return absoluteRange({ fromUs: r.fromUs - span / 2, untilUs: r.untilUs + span / 2 });
}

/* Half the span around the same middle. */
export function narrowRange(range: TimeRange, r: Resolved): TimeRange {
	const span = Math.max(MIN_SPAN_US, (r.untilUs - r.fromUs) / 2);
	if (isLive(range)) return liveRange(span);
	const middle = (r.fromUs + r.untilUs) / 2;
	return absoluteRange({ fromUs: middle - span / 2, untilUs: middle + span / 2 });
}

/* A brushed span: ordered, at least a second. */
export function brushedRange(aUs: number, bUs: number): TimeRange {
	const from = Math.min(aUs, bUs);
	return absoluteRange({ fromUs: from, untilUs: Math.max(aUs, bUs, from + MIN_SPAN_US) });
}

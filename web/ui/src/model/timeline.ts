/*
 * timeline: a series answer as stacked curves in cores, with gaps and losses.
 */
import { reasonPlace } from "./reasons";
import type { ProfileType } from "./urlstate";

export interface Line {
	readonly name: string;
	readonly totalUs: number;
	readonly weightUs: readonly number[];
}

export interface Series {
	readonly type: ProfileType;
	readonly fromUs: number;
	readonly untilUs: number;
	readonly startUs: number;
	readonly stepUs: number;
	readonly groupBy: string;
	readonly lines: readonly Line[] /* heaviest first */;
	readonly coveredUs: readonly number[];
	readonly taken: readonly number[];
	readonly dropped: readonly number[];
}

export interface Stack {
	readonly seconds: readonly number[] /* points + 1 edges of steps */;
	readonly names: readonly string[] /* from the bottom */;
	readonly totalsUs: readonly number[];
	readonly cores: readonly (readonly (number | null)[])[] /* by line, by point; null: not sampled */;
	readonly tops: readonly (readonly (number | null)[])[] /* sums up to and with the line, points + 1 */;
	readonly highest: number;
}

export interface Stretch {
	readonly fromUs: number;
	readonly untilUs: number;
}

export const OTHER = "other";
const GAP_SHARE = 0.95; /* less coverage than this is a gap */

function foldRest(lines: readonly Line[], keep: number): readonly Line[] {
	const named = lines.filter((line) => line.name !== OTHER).slice(0, keep);
	const rest = lines.filter((line) => !named.includes(line));
	if (rest.length === 0) return named;
	const weightUs = rest[0]!.weightUs.map((_, i) =>
		rest.reduce((sum, line) => sum + (line.weightUs[i] ?? 0), 0),
	);
	return [...named, { name: OTHER, totalUs: rest.reduce((sum, line) => sum + line.totalUs, 0), weightUs }];
}

/* Of reasons all, in their own order. */
function inOrder(lines: readonly Line[]): readonly Line[] {
	return [...lines].sort((a, b) => reasonPlace(a.name) - reasonPlace(b.name));
}

/* Samples reach the store a second or two after they were taken, so the last steps before now
 * are still being filled. A wait that goes on comes in parts of ten seconds. */
const SETTLE_US = 3e6;
const WAITS_SETTLE_US = 11e6;
const SETTLE_SHARE = 0.1; /* of the range, at most */

/* How much of a step lies in the range and is long enough ago to have been stored. */
function expectedUs(s: Series, point: number): number {
	const fromUs = s.startUs + point * s.stepUs;
	const settledUs = s.untilUs - Math.min(SETTLE_US, (s.untilUs - s.fromUs) * SETTLE_SHARE);
	return Math.max(0, Math.min(fromUs + s.stepUs, settledUs) - Math.max(fromUs, s.fromUs));
}

/* The time a step stands for. In a cut one, what was sampled is the measure, or the edges would
 * always look idle. */
function divisorUs(s: Series, point: number): number {
	const covered = s.coveredUs[point]!;
	const isCut = expectedUs(s, point) < s.stepUs;
	return isCut && covered < s.stepUs ? Math.max(covered, s.stepUs / 20) : s.stepUs;
}

/* Since when waits may still be missing; null: all of the range is there. */
export function arrivingSince(s: Series, nowUs: number): number | null {
	const sinceUs = nowUs - WAITS_SETTLE_US;
	return s.type !== "cpu" && s.untilUs > sinceUs ? Math.max(s.fromUs, sinceUs) : null;
}

export function stackSeries(s: Series, keep = 8): Stack {
	const points = s.coveredUs.length;
	const lines = s.groupBy === "reason" ? inOrder(s.lines) : foldRest(s.lines, keep);
	const seconds = Array.from({ length: points + 1 }, (_, i) => (s.startUs + i * s.stepUs) / 1e6);
	const running = new Array<number>(points).fill(0);
	const cores: (number | null)[][] = [];
	const tops: (number | null)[][] = [];
	for (const line of lines) {
		const row: (number | null)[] = [];
		for (let i = 0; i < points; i++) {
			row.push(s.coveredUs[i] === 0 ? null : (line.weightUs[i] ?? 0) / divisorUs(s, i));
			running[i]! += row[i] ?? 0;
		}
		cores.push(row);
		/* A step's level is drawn up to the next point, so a gap begins with the level before it. */
		const top = row.map((value, i) =>
			value !== null ? running[i]! : row[i - 1] != null ? running[i - 1]! : null,
		);
		tops.push([...top, top[points - 1] ?? null]);
	}
	return {
		seconds,
		cores,
		tops,
		names: lines.map((l) => l.name),
		totalsUs: lines.map((l) => l.totalUs),
		highest: Math.max(0, ...running),
	};
}

/* Where Hearth was not sampling the whole time, as joined stretches of steps. */
export function findGaps(s: Series): readonly Stretch[] {
	const gaps: { fromUs: number; untilUs: number }[] = [];
	s.coveredUs.forEach((covered, i) => {
		const fromUs = s.startUs + i * s.stepUs;
		const untilUs = fromUs + s.stepUs;
		if (covered >= expectedUs(s, i) * GAP_SHARE) return;
		const last = gaps[gaps.length - 1];
		if (last?.untilUs === fromUs) last.untilUs = untilUs;
		else gaps.push({ fromUs, untilUs });
	});
	return gaps;
}

export function pointAt(s: Series, us: number): number | null {
	const point = Math.floor((us - s.startUs) / s.stepUs);
	return point >= 0 && point < s.coveredUs.length ? point : null;
}

export function droppedIn(s: Series): number {
	return s.dropped.reduce((sum, n) => sum + n, 0);
}

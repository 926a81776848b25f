/*
 * zoom: arithmetic on windows of the flame graph.
 *
 * A window is kept relative to the deepest node that holds it, so that it stays on the same
 * code when the tree is loaded again with other totals.
 */
import type { CallTree } from "./calltree";
import type { Window } from "./flame";
import { encodePath, resolvePath } from "./nodepath";

export interface Span {
	readonly a: number /* shares of the node's width, 0 <= a < b <= 1 */;
	readonly b: number;
}

export const WHOLE: Span = { a: 0, b: 1 };
const MIN_SPAN_NS = 1;

export function windowOf(tree: CallTree, node: number, span: Span = WHOLE): Window {
	const start = tree.startNs[node]!;
	const width = tree.nodeNs[node]!;
	return { x0: start + width * span.a, x1: start + width * span.b };
}

/* The deepest node that holds the whole window, and the window within it. */
export function anchorOf(tree: CallTree, window: Window): { readonly node: number; readonly span: Span } {
	const slack = (window.x1 - window.x0) * 1e-6;
	let node = 0;
	for (;;) {
		let child = node + 1;
		while (child < tree.end[node]! && tree.startNs[child]! + tree.nodeNs[child]! < window.x1 - slack)
			child = tree.end[child]!;
		if (child >= tree.end[node]! || tree.startNs[child]! > window.x0 + slack) break;
		node = child;
	}
	const start = tree.startNs[node]!;
	const width = tree.nodeNs[node]! || 1;
	const a = Math.max(0, (window.x0 - start) / width);
	const b = Math.min(1, (window.x1 - start) / width);
	return { node, span: a < 1e-6 && b > 1 - 1e-6 ? WHOLE : { a, b } };
}

/* The window on the same code in another tree; where that is gone, on the whole of its callers. */
export function carryWindow(from: CallTree, to: CallTree, window: Window): Window {
	if (from === to) return window;
	const { node, span } = anchorOf(from, window);
	const found = resolvePath(to, encodePath(from, node));
	return windowOf(to, found.node, found.whole ? span : WHOLE);
}

/* Shift and clamp to [0, total] without changing the width. */
function clamp(x0: number, width: number, totalNs: number): Window {
	const span = Math.min(width, totalNs);
	const left = Math.min(Math.max(0, x0), totalNs - span);
	return { x0: left, x1: left + span };
}

/* factor < 1 goes in; the point at share `at` of the window stays where it is. */
export function zoomAt(window: Window, at: number, factor: number, totalNs: number): Window {
	const width = window.x1 - window.x0;
	const next = Math.min(totalNs, Math.max(Math.min(MIN_SPAN_NS, totalNs), width * factor));
	return clamp(window.x0 + (width - next) * at, next, totalNs);
}

/* by: share of the window, positive to the right. */
export function panBy(window: Window, by: number, totalNs: number): Window {
	const width = window.x1 - window.x0;
	return clamp(window.x0 + width * by, width, totalNs);
}

/* Between two windows for an animation, t from 0 to 1; geometric in width, so that going deep
 * looks as fast as going out. */
export function between(from: Window, to: Window, t: number): Window {
	if (t >= 1) return to;
	const fromWidth = Math.max(from.x1 - from.x0, MIN_SPAN_NS);
	const toWidth = Math.max(to.x1 - to.x0, MIN_SPAN_NS);
	const width = fromWidth * Math.pow(toWidth / fromWidth, t);
	/* How far the width has gone is how far the left edge must go, or the target drifts. */
	const gone = fromWidth === toWidth ? t : (width - fromWidth) / (toWidth - fromWidth);
	const x0 = from.x0 + (to.x0 - from.x0) * gone;
	return { x0, x1: x0 + width };
}

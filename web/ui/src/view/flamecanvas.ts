/*
 * flamecanvas: the canvas of the flame graph and its hands: wheel, drag, pinch, click.
 *
 * Holds the window on the tree between frames, so that motion does not pass through Preact;
 * tells its owner when a motion has come to rest.
 */
import type { CallTree } from "../model/calltree";
import { layoutFlame, nodeAt, type Window } from "../model/flame";
import { shortName } from "../model/names";
import { carryNode } from "../model/nodepath";
import type { Matches } from "../model/search";
import { between, panBy, zoomAt } from "../model/zoom";
import { flamePaint, nodeShades, type Theme } from "./colors";
import { ROW_PX, type Surface, drawFlame, drawOutline, prepare } from "./flamepaint";
import { type Ruler, makeRuler } from "./labels";

export interface FlameInput {
	readonly tree: CallTree;
	readonly zoomed: number;
	readonly found: Matches | null;
	readonly isFlame: boolean /* root at the bottom */;
	readonly theme: Theme;
	readonly focused: number | null /* by keyboard */;
}

export interface FlameEvents {
	readonly onRest: (window: Window) => void;
	readonly onHover: (node: number | null, x: number, y: number) => void;
	readonly onClick: (node: number) => void;
	readonly onMenu: (node: number, x: number, y: number) => void;
}

const MIN_BOX_PX = 0.5;
const GLIDE_MS = 170;
const REST_MS = 160;
const DRAG_PX = 4;
const LONG_PRESS_MS = 500;

export class FlameCanvas {
	private input: FlameInput | null = null;
	private shades: Uint8Array = new Uint8Array(0);
	private shortNames: (string | undefined)[] = []; /* as asked for */
	private ruler: Ruler | null = null;
	private window: Window = { x0: 0, x1: 1 };
	private hovered: number | null = null;
	private frame = 0;
	private glide = 0;
	private restTimer = 0; /* 0: nothing moves */
	private pressTimer = 0;
	private readonly pointers = new Map<number, { x: number; y: number }>();
	private dragged = 0;
	private readonly resizer: ResizeObserver;
	private readonly stop = new AbortController();

	constructor(
		private readonly scroller: HTMLElement,
		private readonly space: HTMLElement,
		private readonly boxes: HTMLCanvasElement,
		private readonly marks: HTMLCanvasElement,
		private readonly events: FlameEvents,
	) {
		this.resizer = new ResizeObserver(() => this.resize());
		this.resizer.observe(scroller);
		this.listen();
	}

	free(): void {
		this.resizer.disconnect();
		this.stop.abort();
		cancelAnimationFrame(this.frame);
		cancelAnimationFrame(this.glide);
		window.clearTimeout(this.restTimer);
		window.clearTimeout(this.pressTimer);
	}

	/* A new tree keeps the place on the screen: `target` says where that is now. */
	show(input: FlameInput, target: Window, isAnimated: boolean): void {
		const before = this.input;
		if (before?.tree !== input.tree) {
			this.shades = nodeShades(input.tree);
			this.shortNames = [];
			this.hovered =
				before && this.hovered !== null ? carryNode(before.tree, input.tree, this.hovered) : null;
		}
		this.input = input;
		if (isAnimated && before?.tree === input.tree) this.moveTo(target);
		else this.jumpTo(target);
		this.resize();
		if (before?.isFlame !== input.isFlame)
			this.scroller.scrollTop = input.isFlame ? this.scroller.scrollHeight : 0;
	}

	/* Ends a motion that has not come to rest. */
	moveTo(target: Window): void {
		window.clearTimeout(this.restTimer);
		this.restTimer = 0;
		this.glideTo(target);
	}

	isMoving(): boolean {
		return this.restTimer !== 0;
	}

	/* CSS px in the scroller's box. */
	boxOf(node: number): { readonly left: number; readonly width: number; readonly top: number } {
		const tree = this.input!.tree;
		const scale = this.scroller.clientWidth / (this.window.x1 - this.window.x0);
		return {
			left: (tree.startNs[node]! - this.window.x0) * scale,
			width: tree.nodeNs[node]! * scale,
			top: this.topOf(tree.depth[node]!),
		};
	}

	currentWindow(): Window {
		return this.window;
	}

	zoomBy(factor: number): void {
		this.slide(zoomAt(this.window, 0.5, factor, this.totalNs()));
	}

	reveal(node: number): void {
		const { top } = this.boxOf(node);
		const high = this.scroller.clientHeight;
		if (top < 0) this.scroller.scrollTop += top - ROW_PX;
		else if (top + ROW_PX > high) this.scroller.scrollTop += top + 2 * ROW_PX - high;
	}

	private totalNs(): number {
		return this.input?.tree.nodeNs[0] || 1;
	}

	private rows(): number {
		return (this.input?.tree.maxDepth ?? 0) + 1;
	}

	private contentPx(): number {
		return Math.max(this.rows() * ROW_PX, this.scroller.clientHeight);
	}

	private topOf(row: number): number {
		const top = this.input?.isFlame ? this.contentPx() - (row + 1) * ROW_PX : row * ROW_PX;
		return top - this.scroller.scrollTop;
	}

	private rowAt(y: number): number {
		const top = y + this.scroller.scrollTop;
		return Math.floor((this.input?.isFlame ? this.contentPx() - top : top) / ROW_PX);
	}

	private nodeUnder(x: number, y: number): number | null {
		if (!this.input) return null;
		const share = x / Math.max(1, this.scroller.clientWidth);
		return nodeAt(
			this.input.tree,
			this.window.x0 + share * (this.window.x1 - this.window.x0),
			this.rowAt(y),
		);
	}

	private resize(): void {
		const high = `${this.rows() * ROW_PX}px`;
		if (this.space.style.height !== high) this.space.style.height = high;
		this.draw();
	}

	private jumpTo(target: Window): void {
		cancelAnimationFrame(this.glide);
		this.window = target;
		this.redraw();
	}

	private glideTo(target: Window): void {
		const from = this.window;
		const isSame = from.x0 === target.x0 && from.x1 === target.x1;
		if (isSame || matchMedia("(prefers-reduced-motion: reduce)").matches) return this.jumpTo(target);
		cancelAnimationFrame(this.glide);
		const start = performance.now();
		const step = (now: number): void => {
			const t = Math.min(1, Math.max(0, (now - start) / GLIDE_MS));
			this.window = between(from, target, 1 - (1 - t) ** 3);
			this.draw();
			if (t < 1) this.glide = requestAnimationFrame(step);
		};
		this.glide = requestAnimationFrame(step);
	}

	private slide(window_: Window): void {
		cancelAnimationFrame(this.glide);
		this.window = window_;
		this.redraw();
		window.clearTimeout(this.restTimer);
		this.restTimer = window.setTimeout(() => {
			this.restTimer = 0;
			this.events.onRest(this.window);
		}, REST_MS);
	}

	private redraw(): void {
		cancelAnimationFrame(this.frame);
		this.frame = requestAnimationFrame(() => this.draw());
	}

	private draw(): void {
		const { input, scroller } = this;
		const widthPx = scroller.clientWidth;
		const heightPx = scroller.clientHeight;
		if (!input || widthPx === 0 || heightPx === 0) return;
		const surface = prepare(this.boxes, widthPx, heightPx);
		if (!surface) return;
		this.ruler ??= makeRuler(surface.context);
		const edges = [this.rowAt(0), this.rowAt(heightPx - 1)];
		const laid = layoutFlame(input.tree, {
			...this.window,
			widthPx,
			minPx: MIN_BOX_PX,
			row0: Math.max(0, Math.min(...edges)),
			row1: Math.max(0, Math.min(this.rows(), Math.max(...edges) + 1)),
		});
		drawFlame(surface, {
			tree: input.tree,
			boxes: laid,
			shades: this.shades,
			paint: flamePaint(input.theme),
			ruler: this.ruler,
			shortOf: (name) => (this.shortNames[name] ??= shortName(input.tree.names[name] ?? "")),
			found: input.found,
			zoomed: input.zoomed,
			isFlame: input.isFlame,
			topOf: (row) => this.topOf(row),
		});
		this.drawMarks(prepare(this.marks, widthPx, heightPx), input);
	}

	private drawMarks(surface: Surface | null, input: FlameInput): void {
		if (!surface) return;
		const paint = flamePaint(input.theme);
		const outline = (node: number | null, color: string, thick: number): void => {
			if (node === null || node >= input.tree.count) return;
			const box = this.boxOf(node);
			drawOutline(surface, box.left, box.width, box.top, color, thick);
		};
		outline(this.hovered, paint.outline, 1);
		outline(input.focused, paint.focus, 2);
	}

	private hover(node: number | null, x: number, y: number): void {
		if (node !== this.hovered && this.input) {
			this.hovered = node;
			this.drawMarks(
				prepare(this.marks, this.scroller.clientWidth, this.scroller.clientHeight),
				this.input,
			);
		}
		this.scroller.style.cursor = node === null ? "default" : "pointer";
		this.events.onHover(node, x, y);
	}

	private place(event: MouseEvent): { x: number; y: number } {
		const box = this.scroller.getBoundingClientRect();
		return { x: event.clientX - box.left, y: event.clientY - box.top };
	}

	private listen(): void {
		const { signal } = this.stop;
		const on = <K extends keyof HTMLElementEventMap>(
			name: K,
			run: (event: HTMLElementEventMap[K]) => void,
			passive = true,
		): void => this.scroller.addEventListener(name, run, { signal, passive });
		on("scroll", () => (this.draw(), this.hover(null, 0, 0)));
		on("wheel", (event) => this.onWheel(event), false);
		on("pointerdown", (event) => this.onDown(event));
		on("pointermove", (event) => this.onMove(event));
		on("pointerup", (event) => this.onUp(event));
		on("pointercancel", (event) => this.forget(event));
		on("pointerleave", () => this.pointers.size === 0 && this.hover(null, 0, 0));
		on(
			"contextmenu",
			(event) => {
				event.preventDefault();
				this.menuAt(this.place(event));
			},
			false,
		);
	}

	private menuAt({ x, y }: { x: number; y: number }): void {
		const node = this.nodeUnder(x, y);
		window.clearTimeout(this.pressTimer);
		if (node !== null) this.events.onMenu(node, x, y);
	}

	private onWheel(event: WheelEvent): void {
		const { x } = this.place(event);
		const line = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
		const sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
		if (event.ctrlKey || event.metaKey) {
			event.preventDefault();
			const delta = Math.max(-50, Math.min(50, event.deltaY * line));
			this.slide(
				zoomAt(this.window, x / this.scroller.clientWidth, Math.exp(delta * 0.006), this.totalNs()),
			);
		} else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
			event.preventDefault();
			this.slide(panBy(this.window, (sideways * line) / this.scroller.clientWidth, this.totalNs()));
		}
	}

	private onDown(event: PointerEvent): void {
		if (event.button !== 0 || event.offsetX > this.scroller.clientWidth) return;
		const place = this.place(event);
		this.pointers.set(event.pointerId, place);
		this.dragged = this.pointers.size > 1 ? DRAG_PX + 1 : 0;
		window.clearTimeout(this.pressTimer);
		if (event.pointerType === "touch" && this.pointers.size === 1)
			this.pressTimer = window.setTimeout(() => {
				this.dragged = DRAG_PX + 1;
				this.menuAt(place);
			}, LONG_PRESS_MS);
	}

	private onMove(event: PointerEvent): void {
		const place = this.place(event);
		const last = this.pointers.get(event.pointerId);
		if (!last) {
			if (event.pointerType !== "touch") this.hover(this.nodeUnder(place.x, place.y), place.x, place.y);
			return;
		}
		if (this.pointers.size === 2) this.pinch(event.pointerId, last, place);
		else this.drag(event, last, place);
	}

	private drag(event: PointerEvent, last: { x: number; y: number }, place: { x: number; y: number }): void {
		this.dragged = Math.max(this.dragged, Math.hypot(place.x - last.x, place.y - last.y));
		if (this.dragged <= DRAG_PX) return;
		window.clearTimeout(this.pressTimer);
		if (!this.scroller.hasPointerCapture(event.pointerId))
			this.scroller.setPointerCapture(event.pointerId);
		this.hover(null, 0, 0);
		this.scroller.style.cursor = "grabbing";
		if (event.pointerType !== "touch") this.scroller.scrollTop -= place.y - last.y;
		this.slide(panBy(this.window, (last.x - place.x) / this.scroller.clientWidth, this.totalNs()));
		this.pointers.set(event.pointerId, place);
	}

	private pinch(id: number, last: { x: number; y: number }, place: { x: number; y: number }): void {
		const other = [...this.pointers].find(([key]) => key !== id)?.[1];
		if (!other) return;
		window.clearTimeout(this.pressTimer);
		const before = Math.max(20, Math.abs(last.x - other.x));
		const after = Math.max(20, Math.abs(place.x - other.x));
		this.pointers.set(id, place);
		this.slide(zoomAt(this.window, other.x / this.scroller.clientWidth, before / after, this.totalNs()));
	}

	private onUp(event: PointerEvent): void {
		const isClick = this.pointers.has(event.pointerId) && this.dragged <= DRAG_PX;
		this.forget(event);
		if (!isClick) return;
		const { x, y } = this.place(event);
		const node = this.nodeUnder(x, y);
		if (node !== null) this.events.onClick(node);
	}

	private forget(event: PointerEvent): void {
		this.pointers.delete(event.pointerId);
		window.clearTimeout(this.pressTimer);
		this.scroller.style.cursor = "default";
	}
}

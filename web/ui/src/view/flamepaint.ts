/*
 * flamepaint: draws the boxes of a flame graph on a canvas.
 */
import { type CallTree, Kind } from "../model/calltree";
import { type Boxes, MERGED } from "../model/flame";
import type { Matches } from "../model/search";
import type { FlamePaint } from "./colors";
import type { Ruler } from "./labels";

export const ROW_PX = 20;
export const FONT_PX = 12;
const PAD_PX = 5;
const MIN_LABEL_PX = 22;
const MIN_EDGE_PX = 8;

export interface Surface {
	readonly context: CanvasRenderingContext2D;
	readonly ratio: number /* device pixels per CSS pixel */;
	readonly widthPx: number;
	readonly heightPx: number;
}

export interface Scene {
	readonly tree: CallTree;
	readonly boxes: Boxes;
	readonly shades: Uint8Array;
	readonly paint: FlamePaint;
	readonly ruler: Ruler;
	readonly shortOf: (name: number) => string /* of the tree's names */;
	readonly found: Matches | null;
	readonly zoomed: number /* node; its ancestors are drawn faint */;
	readonly isFlame: boolean /* callers are below */;
	readonly topOf: (row: number) => number /* CSS px from the top of the surface */;
}

/* Fits the canvas to its box, in device pixels so that edges are sharp. */
export function prepare(canvas: HTMLCanvasElement, widthPx: number, heightPx: number): Surface | null {
	const context = canvas.getContext("2d");
	if (!context) return null;
	const ratio = window.devicePixelRatio || 1;
	const wide = Math.round(widthPx * ratio);
	const high = Math.round(heightPx * ratio);
	if (canvas.width !== wide || canvas.height !== high) {
		canvas.width = wide;
		canvas.height = high;
		canvas.style.width = `${widthPx}px`;
		canvas.style.height = `${heightPx}px`;
	}
	context.setTransform(ratio, 0, 0, ratio, 0, 0);
	context.clearRect(0, 0, widthPx, heightPx);
	context.font = `${FONT_PX}px ${getComputedStyle(canvas).fontFamily}`;
	context.textBaseline = "middle";
	return { context, ratio, widthPx, heightPx };
}

function fillOf(scene: Scene, node: number): string {
	const { tree, paint, found } = scene;
	if (node === MERGED) return found ? paint.unmatched : paint.merged;
	const shade = scene.shades[node]!;
	if (!found) return paint.shades[shade]!;
	return found.byName[tree.name[node]!] === 1 && node > 0 ? paint.match[shade & 3]! : paint.unmatched;
}

function isAbove(tree: CallTree, node: number, zoomed: number): boolean {
	return node !== MERGED && node < zoomed && tree.end[node]! > zoomed;
}

export function drawFlame(surface: Surface, scene: Scene): void {
	const { context, ratio } = surface;
	const { tree, boxes, zoomed } = scene;
	const snap = (px: number): number => Math.round(px * ratio) / ratio;
	const hair = 1 / ratio;
	for (let i = 0; i < boxes.count; i++) {
		const node = boxes.node[i]!;
		const left = snap(boxes.leftPx[i]!);
		const right = Math.max(left + hair, snap(boxes.leftPx[i]! + boxes.widthPx[i]!));
		/* A gap only where there is room for one: thin boxes would fade away. */
		const gap = right - left > 3 ? Math.max(hair, 1 / Math.ceil(ratio)) : 0;
		context.globalAlpha = isAbove(tree, node, zoomed) ? 0.5 : 1;
		context.fillStyle = fillOf(scene, node);
		context.fillRect(left, scene.topOf(boxes.row[i]!), right - left - gap, ROW_PX - 1);
	}
	context.globalAlpha = 1;
	drawInlined(surface, scene);
	drawLabels(surface, scene);
}

/* Inlined frames have a broken edge towards their caller: they are a part of it. */
function drawInlined({ context }: Surface, { tree, boxes, paint, topOf, isFlame }: Scene): void {
	context.beginPath();
	for (let i = 0; i < boxes.count; i++) {
		const node = boxes.node[i]!;
		if (node === MERGED || tree.kind[node] !== Kind.Inlined || boxes.widthPx[i]! < MIN_EDGE_PX) continue;
		const edge = topOf(boxes.row[i]!) + (isFlame ? ROW_PX - 1.5 : 0.5);
		const left = Math.max(0, boxes.leftPx[i]!);
		context.moveTo(left + 1, edge);
		context.lineTo(boxes.leftPx[i]! + boxes.widthPx[i]! - 2, edge);
	}
	context.setLineDash([4, 3]);
	context.lineWidth = 1;
	context.strokeStyle = paint.inlined;
	context.stroke();
	context.setLineDash([]);
}

function drawLabels(
	{ context, widthPx }: Surface,
	{ tree, boxes, ruler, shortOf, paint, topOf }: Scene,
): void {
	context.fillStyle = paint.text;
	for (let i = 0; i < boxes.count; i++) {
		const node = boxes.node[i]!;
		if (node === MERGED || boxes.widthPx[i]! < MIN_LABEL_PX) continue;
		const left = boxes.leftPx[i]!;
		const room = Math.min(boxes.widthPx[i]!, widthPx - left) - 2 * PAD_PX;
		const name = tree.names[tree.name[node]!] ?? "";
		const whole = ruler.fit(name, room);
		const label = whole === name ? name : ruler.fit(shortOf(tree.name[node]!), room);
		if (label !== "") context.fillText(label, left + PAD_PX, topOf(boxes.row[i]!) + ROW_PX / 2);
	}
}

/* A frame around one box, on the layer above the boxes. */
export function drawOutline(
	{ context, widthPx }: Surface,
	leftPx: number,
	boxPx: number,
	topPx: number,
	color: string,
	thick: number,
): void {
	const left = Math.max(0, leftPx);
	const right = Math.min(widthPx, leftPx + Math.max(boxPx, 2));
	if (right <= left) return;
	context.strokeStyle = color;
	context.lineWidth = thick;
	const inset = thick / 2;
	context.strokeRect(
		left + inset,
		topPx + inset,
		Math.max(1, right - left - 1 - thick),
		ROW_PX - 1 - thick,
	);
}

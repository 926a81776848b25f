/*
 * colors: what kinds of frames and lines of the timeline look like.
 *
 * Chosen in OKLCH, whose lightness is what the eye sees, so that every box of a theme carries
 * text of one colour with the same contrast. Orange against blue and steps of lightness, so
 * that kinds can be told apart with any colour vision. https://www.w3.org/TR/css-color-4/#ok-lab
 */
import { Kind, type CallTree } from "../model/calltree";
import { hashText } from "../model/nodepath";
import { REASONS, reasonOfFrame, reasonPlace } from "../model/reasons";

export type Theme = "light" | "dark";

function gamma(linear: number): number {
	const c = Math.min(1, Math.max(0, linear));
	return Math.round(255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * Math.pow(c, 1 / 2.4) - 0.055));
}

/* Matrices: https://bottosson.github.io/posts/oklab/ */
export function oklch(lightness: number, chroma: number, hue: number): string {
	const a = chroma * Math.cos((hue * Math.PI) / 180);
	const b = chroma * Math.sin((hue * Math.PI) / 180);
	const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
	const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
	const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
	const red = gamma(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
	const green = gamma(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
	const blue = gamma(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s);
	return `rgb(${red},${green},${blue})`;
}

interface Hue {
	readonly hue: number;
	readonly spread: number /* degrees to both sides, by library */;
	readonly chroma: number;
	readonly lift: number /* lightness against the theme's */;
}

const HUES: Readonly<Record<Kind, Hue>> = {
	[Kind.Root]: { hue: 70, spread: 0, chroma: 0.012, lift: 0.02 },
	[Kind.Native]: { hue: 62, spread: 13, chroma: 0.1, lift: 0 },
	[Kind.Kernel]: { hue: 250, spread: 12, chroma: 0.075, lift: -0.02 },
	[Kind.Inlined]: { hue: 103, spread: 5, chroma: 0.085, lift: 0.05 },
	[Kind.Jit]: { hue: 165, spread: 10, chroma: 0.085, lift: 0.01 },
	[Kind.Vdso]: { hue: 305, spread: 6, chroma: 0.07, lift: 0.01 },
	[Kind.Mark]: { hue: 70, spread: 0, chroma: 0.006, lift: 0.01 },
};

export const KIND_NAMES: readonly { readonly kind: Kind; readonly name: string }[] = [
	{ kind: Kind.Native, name: "native" },
	{ kind: Kind.Kernel, name: "kernel" },
	{ kind: Kind.Inlined, name: "inlined" },
	{ kind: Kind.Jit, name: "JIT" },
	{ kind: Kind.Vdso, name: "vDSO" },
	{ kind: Kind.Mark, name: "mark" },
];

type Lch = readonly [lightness: number, chroma: number, hue: number];

/* One colour for each reason, in both themes; running is what a CPU line is. Found by a search
 * that held the hues near what the reasons mean and spread the colours as far apart as they go
 * for the eye that tells them worst: normal, or without one kind of cone (Machado, Oliveira and
 * Fernandes 2009). All of a theme carry its text. */
const REASON_COLORS: Readonly<Record<string, readonly [light: Lch, dark: Lch]>> = {
	running: [
		[0.73, 0.115, 52],
		[0.545, 0.115, 52],
	],
	run_queue: [
		[0.632, 0.138, 34],
		[0.497, 0.127, 25],
	],
	preempted: [
		[0.691, 0.07, 355],
		[0.443, 0.11, 355],
	],
	throttled: [
		[0.807, 0.103, 6],
		[0.36, 0.137, 30],
	],
	lock: [
		[0.633, 0.138, 335],
		[0.563, 0.135, 310],
	],
	disk: [
		[0.637, 0.138, 275],
		[0.36, 0.121, 272],
	],
	network: [
		[0.865, 0.085, 228],
		[0.501, 0.081, 247],
	],
	pipe: [
		[0.788, 0.095, 195],
		[0.544, 0.089, 195],
	],
	page_fault: [
		[0.797, 0.116, 112],
		[0.45, 0.091, 103],
	],
	io_uring: [
		[0.788, 0.098, 272],
		[0.431, 0.115, 293],
	],
	child: [
		[0.895, 0.11, 139],
		[0.551, 0.07, 136],
	],
	stopped: [
		[0.731, 0.043, 110],
		[0.41, 0.06, 55],
	],
	poll: [
		[0.701, 0.06, 260],
		[0.43, 0.06, 223],
	],
	sleep: [
		[0.897, 0.01, 70],
		[0.361, 0.002, 70],
	],
	other: [
		[0.613, 0.012, 81],
		[0.503, 0.012, 66],
	],
};

export function reasonColor(theme: Theme, name: string): string {
	const [light, dark] = REASON_COLORS[name] ?? REASON_COLORS["other"]!;
	return oklch(...(theme === "light" ? light : dark));
}

const SHADES = 16; /* 4 hues by library × 4 lightnesses by function */
const FIRST_REASON = (Kind.Mark + 1) * SHADES;

export interface FlamePaint {
	readonly shades: readonly string[] /* by kind * 16 + shade; then by place of a reason */;
	readonly match: readonly string[] /* by lightness, 4 */;
	readonly unmatched: string;
	readonly merged: string;
	readonly text: string;
	readonly inlined: string /* the edge of inlined frames */;
	readonly outline: string;
	readonly focus: string;
}

function shade(theme: Theme, kind: Kind, index: number): string {
	const { hue, spread, chroma, lift } = HUES[kind];
	const base = theme === "light" ? 0.84 : 0.475;
	const library = (index >> 2) / 1.5 - 1;
	const step = ((index & 3) - 1.5) * (theme === "light" ? 0.018 : 0.016);
	return oklch(
		base + lift * (theme === "light" ? 1 : 0.8) + step,
		chroma * (theme === "light" ? 1 : 1.08),
		hue + library * spread,
	);
}

function makePaint(theme: Theme): FlamePaint {
	const light = theme === "light";
	const shades: string[] = [];
	for (let kind = Kind.Root; kind <= Kind.Mark; kind++)
		for (let i = 0; i < SHADES; i++) shades.push(shade(theme, kind, i));
	for (const { name } of REASONS) shades.push(reasonColor(theme, name));
	return {
		shades,
		match: [0, 1, 2, 3].map((i) => oklch((light ? 0.76 : 0.5) + i * 0.015, 0.15, 335)),
		unmatched: light ? oklch(0.915, 0.006, 70) : oklch(0.31, 0.006, 70),
		merged: light ? oklch(0.86, 0.02, 65) : oklch(0.36, 0.02, 65),
		text: light ? "#1d1a16" : "#fffdf9",
		inlined: light ? "#8a7430" : "#e0cf86",
		outline: light ? "#1d1a16" : "#fffaf2",
		focus: light ? "#0b5cc4" : "#8cc2ff",
	};
}

const PAINTS: Readonly<Record<Theme, FlamePaint>> = { light: makePaint("light"), dark: makePaint("dark") };

export function flamePaint(theme: Theme): FlamePaint {
	return PAINTS[theme];
}

/* The shade of each node, an index of FlamePaint.shades. */
export function nodeShades(tree: CallTree): Uint8Array {
	const hashes = tree.names.map((name) => hashText(name));
	const reasons = tree.names.map((name) => reasonPlace(reasonOfFrame(name, Kind.Mark)));
	const shades = new Uint8Array(tree.count);
	for (let i = 0; i < tree.count; i++) {
		const reason = tree.kind[i] === Kind.Mark ? reasons[tree.name[i]!]! : 0;
		if (reason > 0) {
			shades[i] = FIRST_REASON + reason;
			continue;
		}
		const library = (hashes[tree.mapping[i]!]! >>> 9) & 3;
		const own = (hashes[tree.name[i]!]! >>> 7) & 3;
		shades[i] = Math.min(tree.kind[i]!, Kind.Mark) * SHADES + library * 4 + own;
	}
	return shades;
}

/* Of a row of a table. */
export function frameColor(theme: Theme, kind: Kind, name: string): string {
	const reason = reasonOfFrame(name, kind);
	return reason ? reasonColor(theme, reason) : kindColor(theme, kind);
}

export function kindColor(theme: Theme, kind: Kind): string {
	return PAINTS[theme].shades[Math.min(kind, Kind.Mark) * SHADES + 6] ?? "";
}

/* Neighbours differ in lightness as well as in hue. */
const LINE_HUES: readonly (readonly [hue: number, lift: number])[] = [
	[52, 0],
	[248, -0.06],
	[168, 0.03],
	[335, -0.03],
	[92, 0.08],
	[292, -0.08],
	[215, 0.05],
	[22, -0.06],
];

export const LINE_COLORS = LINE_HUES.length;

/* slot -1 is "other". */
export function lineColor(theme: Theme, slot: number): string {
	if (slot < 0) return theme === "light" ? oklch(0.8, 0.008, 70) : oklch(0.47, 0.008, 70);
	const [hue, lift] = LINE_HUES[slot % LINE_COLORS]!;
	return oklch((theme === "light" ? 0.73 : 0.64) + lift, 0.115, hue);
}

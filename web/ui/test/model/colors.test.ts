/*
 * The colours of reasons, for every eye: told apart with normal sight and without one kind of
 * cone, and fit to carry text.
 */
import { describe, expect, test } from "vitest";
import { REASONS } from "../../src/model/reasons";
import { type Theme, flamePaint, lineColor, reasonColor } from "../../src/view/colors";

type Three = readonly [number, number, number];

/* Linear light of "rgb(r,g,b)" or "#rrggbb". WCAG 2.2, relative luminance. */
function linear(color: string): Three {
	const parts = color.startsWith("#")
		? [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16))
		: (color.match(/\d+/g) ?? []).map(Number);
	const [r = 0, g = 0, b = 0] = parts.map((part) => {
		const c = part / 255;
		return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
	});
	return [r, g, b];
}

function contrast(a: string, b: string): number {
	const luminance = ([r, g, bl]: Three): number => 0.2126 * r + 0.7152 * g + 0.0722 * bl;
	const [dark, bright] = [luminance(linear(a)), luminance(linear(b))].sort((x, y) => x - y);
	return (bright! + 0.05) / (dark! + 0.05);
}

const times = (m: readonly Three[], v: Three): Three =>
	m.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]) as unknown as Three;

/* https://bottosson.github.io/posts/oklab/ */
function oklab(rgb: Three): Three {
	const lms = times(
		[
			[0.4122214708, 0.5363325363, 0.0514459929],
			[0.2119034982, 0.6806995451, 0.1073969566],
			[0.0883024619, 0.2817188376, 0.6299787005],
		],
		rgb.map((c) => Math.min(1, Math.max(0, c))) as unknown as Three,
	);
	return times(
		[
			[0.2104542553, 0.793617785, -0.0040720468],
			[1.9779984951, -2.428592205, 0.4505937099],
			[0.0259040371, 0.7827717662, -0.808675766],
		],
		lms.map(Math.cbrt) as unknown as Three,
	);
}

/* Machado, Oliveira, Fernandes 2009, table of severity 1. */
const EYES: Readonly<Record<string, readonly Three[]>> = {
	"all cones": [
		[1, 0, 0],
		[0, 1, 0],
		[0, 0, 1],
	],
	protanopia: [
		[0.152286, 1.052583, -0.204868],
		[0.114503, 0.786281, 0.099216],
		[-0.003882, -0.048116, 1.051998],
	],
	deuteranopia: [
		[0.367322, 0.860646, -0.227968],
		[0.280085, 0.672501, 0.047413],
		[-0.01182, 0.04294, 0.968881],
	],
	tritanopia: [
		[1.255528, -0.076749, -0.178779],
		[-0.078411, 0.930809, 0.147602],
		[0.004733, 0.691367, 0.3039],
	],
};

/* About 0.02 is what an eye just notices between two fields side by side. */
const APART = 0.045;

describe.each(["light", "dark"] as const)("reasons in the %s theme", (theme: Theme) => {
	test.each(Object.keys(EYES))("are told apart with %s", (eye) => {
		const seen = REASONS.map(({ name }) => oklab(times(EYES[eye]!, linear(reasonColor(theme, name)))));
		seen.forEach((a, i) =>
			seen.slice(i + 1).forEach((b, j) => {
				const apart = Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
				expect(apart, `${REASONS[i]!.name} and ${REASONS[i + 1 + j]!.name}`).toBeGreaterThan(APART);
			}),
		);
	});
	test("carry text", () => {
		for (const { name } of REASONS)
			expect(contrast(reasonColor(theme, name), flamePaint(theme).text), name).toBeGreaterThan(4.5);
	});
	test("stand out from the ground", () => {
		for (const { name } of REASONS)
			expect(
				contrast(reasonColor(theme, name), theme === "light" ? "#f7f5f2" : "#151412"),
				name,
			).toBeGreaterThan(1.15);
	});
	test("running is the colour of a CPU line; a reason that is not known is other", () => {
		expect(contrast(reasonColor(theme, "running"), lineColor(theme, 0))).toBeLessThan(1.5);
		expect(reasonColor(theme, "new")).toBe(reasonColor(theme, "other"));
	});
});

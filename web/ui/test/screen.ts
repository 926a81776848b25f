/* screen: what a test sees of the page, and how it points at it. */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContextOptions, type Page, chromium } from "playwright-core";
import { expect } from "vitest";

const ARGS = [
	"--no-sandbox",
	"--disable-gpu",
	"--disable-quic",
	"--no-first-run",
	"--disable-background-networking",
	"--disable-component-update",
	"--disable-sync",
];
const WIDE = { width: 1600, height: 1000 };
/* Only a page that is broken waits as long: others may have the machine for a while. */
const PATIENCE_MS = 120_000;
const STILL_FRAMES = 10; /* of animation; a glide changes the picture in each */

/* Where the built page is. */
export const DIST = process.env["HEARTH_UI_DIST"] ?? new URL("../dist", import.meta.url).pathname;

export const SHOTS = process.env["HEARTH_SHOTS"] ?? join(tmpdir(), "hearth-shots");

export function startBrowser(): Promise<Browser> {
	mkdirSync(SHOTS, { recursive: true });
	return chromium.launch({
		executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
		args: ARGS,
		timeout: PATIENCE_MS,
	});
}

/* Runs the steps on a new page; then nothing may have been said on the console. */
export async function visitPage(
	browser: Browser,
	address: string,
	options: BrowserContextOptions,
	steps: (page: Page) => Promise<void>,
	allowed = /^$/,
): Promise<void> {
	const context = await browser.newContext({ viewport: WIDE, colorScheme: "light", ...options });
	context.setDefaultTimeout(PATIENCE_MS);
	const page = await context.newPage();
	const said: string[] = [];
	page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
	page.on("pageerror", (error) => said.push(`error: ${error.message}`));
	page.on(
		"response",
		(response) => response.status() >= 400 && said.push(`${response.status()} ${response.url()}`),
	);
	try {
		await page.goto(address);
		await steps(page);
		expect(said.filter((line) => !allowed.test(line))).toEqual([]);
	} finally {
		await context.close();
	}
}

export const canvas = (page: Page) => page.locator(".flame-scroll");
export const param = (page: Page, key: string): string | null => new URL(page.url()).searchParams.get(key);
export const shot = (page: Page, name: string): Promise<Buffer> =>
	page.screenshot({ path: join(SHOTS, `${name}.png`) });
export const focusedText = (page: Page): Promise<string> =>
	page.locator('[role=treeitem][aria-selected="true"]').innerText();

/* All that is asked for at first is there, and drawn. */
export async function ready(page: Page): Promise<void> {
	await page.locator(".host").waitFor({ state: "attached" });
	await page.locator(".plot canvas").waitFor();
	await page.locator('[role=treeitem][aria-selected="true"]').waitFor({ state: "attached" });
	await until("a drawn flame graph", async () => (await colorCount(page)) > 1);
	await still(page);
}

export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
	const deadline = Date.now() + PATIENCE_MS;
	while (!(await holds())) {
		if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
		await new Promise((done) => setTimeout(done, 30));
	}
}

export async function clickFlame(page: Page, share: number, row: number): Promise<void> {
	const box = (await canvas(page).boundingBox())!;
	await canvas(page).click({ position: { x: box.width * share, y: row * 20 + 10 } });
}

const boxes = (page: Page) => page.locator(".flame-pin canvas").first();

export const pixels = (page: Page): Promise<string> =>
	boxes(page).evaluate((element) => (element as HTMLCanvasElement).toDataURL());

/* The picture of the flame graph once nothing moves any more. */
export async function still(page: Page): Promise<string> {
	await boxes(page).evaluate(async (element, wanted) => {
		const canvas = element as HTMLCanvasElement;
		const look = (): Uint32Array => {
			const copy = Object.assign(document.createElement("canvas"), {
				width: canvas.width,
				height: canvas.height,
			});
			const pen = copy.getContext("2d", { willReadFrequently: true })!;
			pen.drawImage(canvas, 0, 0);
			return new Uint32Array(pen.getImageData(0, 0, copy.width, copy.height).data.buffer);
		};
		let picture = look();
		for (let same = 0; same < wanted; ) {
			await new Promise((done) => requestAnimationFrame(done));
			const now = look();
			const isSame = now.length === picture.length && now.every((color, i) => color === picture[i]);
			same = isSame ? same + 1 : 0;
			picture = now;
		}
	}, STILL_FRAMES);
	return pixels(page);
}

/* Distinct colours on the canvas: a blank one has a single one. Read from a copy, as Chromium
 * grumbles on the console about canvases that are read often. */
export async function colorCount(page: Page): Promise<number> {
	return boxes(page).evaluate((element) => {
		const { width, height } = element as HTMLCanvasElement;
		const copy = Object.assign(document.createElement("canvas"), { width, height });
		const pen = copy.getContext("2d", { willReadFrequently: true })!;
		pen.drawImage(element as HTMLCanvasElement, 0, 0);
		return new Set(new Uint32Array(pen.getImageData(0, 0, width, height).data.buffer)).size;
	});
}

/* Canvases follow a new size of the window with a frame's delay, so ask until it holds. */
export const fits = (page: Page, widthPx: number): Promise<boolean> =>
	page.evaluate((most) => document.documentElement.scrollWidth <= most, widthPx);

/* Pairs of controls of the header and bars whose boxes cross; and controls out of the page. */
export function overlaps(): string[] {
	const controls = [
		...document.querySelectorAll(
			".header .button, .brand > *, .bar > *, .tabs button, .group-by, .crumb-facts",
		),
	]
		.map((e) => ({ name: `${e.className} ${e.textContent}`, box: e.getBoundingClientRect() }))
		.filter(({ box }) => box.width > 0 && box.height > 0);
	const found: string[] = [];
	controls.forEach((a, i) => {
		if (a.box.left < 0) found.push(`${a.name} is out of the page`);
		for (const b of controls.slice(i + 1))
			if (
				a.box.left < b.box.right - 1.5 &&
				b.box.left < a.box.right - 1.5 &&
				a.box.top < b.box.bottom - 1.5 &&
				b.box.top < a.box.bottom - 1.5
			)
				found.push(`${a.name} over ${b.name}`);
	});
	return found;
}

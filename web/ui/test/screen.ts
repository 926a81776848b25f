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

/* Where the built page is. */
export const DIST = process.env["HEARTH_UI_DIST"] ?? new URL("../dist", import.meta.url).pathname;

export const SHOTS = process.env["HEARTH_SHOTS"] ?? join(tmpdir(), "hearth-shots");

export function startBrowser(): Promise<Browser> {
	mkdirSync(SHOTS, { recursive: true });
	return chromium.launch({
		executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
		args: ARGS,
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

export async function ready(page: Page): Promise<void> {
	await page.locator(".plot canvas").waitFor();
	await page.locator('[role=treeitem][aria-selected="true"]').waitFor({ state: "attached" });
}

export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
	const deadline = Date.now() + 10_000;
	while (!(await holds())) {
		if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
		await new Promise((done) => setTimeout(done, 30));
	}
}

export async function clickFlame(page: Page, share: number, row: number): Promise<void> {
	const box = (await canvas(page).boundingBox())!;
	await canvas(page).click({ position: { x: box.width * share, y: row * 20 + 10 } });
}

export async function pixels(page: Page): Promise<string> {
	return page
		.locator(".flame-pin canvas")
		.first()
		.evaluate((element) => (element as HTMLCanvasElement).toDataURL());
}

/* Distinct colours on the canvas: a blank one has a single one. */
export async function colorCount(page: Page): Promise<number> {
	return page
		.locator(".flame-pin canvas")
		.first()
		.evaluate((element) => {
			const c = element as HTMLCanvasElement;
			const data = new Uint32Array(
				c.getContext("2d")!.getImageData(0, 0, c.width, c.height).data.buffer,
			);
			return new Set(data).size;
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

/*
 * The page in Chromium, against the mock server or, with HEARTH_URL, a real one. A word on the
 * console, a broken rule of the CSP or a failed request is a failure. Screenshots go to
 * HEARTH_SHOTS or the directory for temporary files.
 */
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Mock, startMock } from "./mock-server/server";
import {
	DIST,
	canvas,
	clickFlame,
	colorCount,
	fits,
	focusedText,
	overlaps,
	param,
	pixels,
	ready,
	shot,
	startBrowser,
	still,
	until,
	visitPage,
} from "./screen";

const REAL = process.env["HEARTH_URL"];
const NOW_US = 1795305600e6; /* 2026-11-22T00:00:00Z */
const NARROW = { width: 390, height: 800 };

let browser: Browser;
let mock: Mock | null = null;
let url = "";

beforeAll(async () => {
	if (!REAL)
		mock = await startMock({
			dist: DIST,
			nowUs: NOW_US,
			stacks: 3000,
			hasWaiting: false,
		});
	url = REAL ? new URL("/", REAL).href : mock!.url;
	browser = await startBrowser();
});
afterAll(async () => {
	await browser?.close();
	await mock?.close();
});

const visit = (
	query: string,
	options: BrowserContextOptions,
	steps: (page: Page) => Promise<void>,
	allowed?: RegExp,
): Promise<void> => visitPage(browser, url + query, options, steps, allowed);

/* A live page asks again on its own. */
async function anotherAnswer(page: Page): Promise<void> {
	await page.waitForResponse((response) => response.url().includes("/flame"));
	await still(page);
}

describe("the screen", () => {
	test("shows a timeline and a flame graph, in both themes", async () => {
		for (const colorScheme of ["light", "dark"] as const)
			await visit("", { colorScheme }, async (page) => {
				await ready(page);
				expect(await page.locator("html").getAttribute("data-theme")).toBe(colorScheme);
				await until("a drawn flame graph", async () => (await colorCount(page)) > 4);
				await shot(page, `wide-${colorScheme}`);
			});
	});
	test("theme: auto, light, dark, and the choice stays", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			const html = page.locator("html");
			await page.locator(".theme-button").click();
			await page.locator(".theme-button").click();
			expect(await html.getAttribute("data-theme")).toBe("dark");
			const dark = await still(page);
			await page.reload();
			await ready(page);
			expect(await html.getAttribute("data-theme")).toBe("dark");
			await page.locator(".theme-button").click();
			expect(await html.getAttribute("data-theme")).toBe("light");
			await until("a repaint", async () => (await pixels(page)) !== dark);
		});
	});
	test.each([
		[390, 800],
		[360, 640],
		[768, 1024],
		[2560, 1300],
	])("nothing is wider than %d px, nothing overlaps", async (width, height) => {
		for (const tab of ["flame", "table", "status"])
			await visit(
				`?tab=${tab}`,
				{ viewport: { width, height }, colorScheme: width === 390 ? "light" : "dark" },
				async (page) => {
					await page.locator(".plot canvas").waitFor();
					await page.locator(".flame, .table, .status").waitFor();
					await page.locator(".host").waitFor({ state: "attached" });
					await until("a page that fits", () => fits(page, width));
					expect(await page.evaluate(overlaps)).toEqual([]);
					await shot(page, `${width}-${tab}`);
				},
			);
	});
});

describe("pickers", () => {
	test("a label's value becomes a chip, the selector, and a question to the server", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			await page.getByRole("button", { name: "Add a filter" }).click();
			await page.locator(".label-names button", { hasText: "comm" }).click();
			const value = page.locator(".value").first();
			const name = await value.locator(".value-name").innerText();
			await shot(page, "filter");
			await value.click();
			await page.locator(".chip-value", { hasText: name }).waitFor();
			await until("the URL", () => param(page, "query") === `{comm="${name}"}`);
			await page.locator(".chip-op").click();
			await until("negation in the URL", () => param(page, "query") === `{comm!="${name}"}`);
			await page.locator(".chip-close").click();
			await until("a plain URL", () => param(page, "query") === null);
			await page.goBack();
			await page.locator(".chip-not").waitFor();
			await page.goBack();
			await until("the way back", () => param(page, "query") === `{comm="${name}"}`);
			await until("no negation", async () => (await page.locator(".chip-not").count()) === 0);
		});
	});
	test("the selector as text: faults are named, Enter applies", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			await page.getByRole("button", { name: "Edit as text" }).click();
			const input = page.getByRole("textbox", { name: "Selector" });
			await input.fill("{comm}");
			expect(await page.locator("#selector-fault").innerText()).toContain("At character 6");
			expect(await page.getByRole("button", { name: "Apply" }).isDisabled()).toBe(true);
			await input.fill('{comm!="no such thing"}');
			await input.press("Enter");
			await page.locator(".chip-not").waitFor();
			await until("the URL", () => param(page, "query") === '{comm!="no such thing"}');
		});
	});
	test("nothing matches: the page says so and offers a way out", async () => {
		await visit(`?query=${encodeURIComponent('{comm="no such thing"}')}`, {}, async (page) => {
			await page.locator(".empty").waitFor();
			expect(await page.locator(".empty").innerText()).toContain(
				'No samples match {comm="no such thing"} in this range.',
			);
			await shot(page, "empty");
			await page.getByRole("button", { name: "Remove the selector" }).click();
			await ready(page);
		});
	});
	test("time: presets, steps, exact times, and the way back", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			const choose = page.getByRole("button", { name: "Choose the time range" });
			await choose.click();
			await shot(page, "range");
			await page.getByRole("button", { name: "Last hour" }).click();
			await until("the URL", () => param(page, "from") === "now-1h");
			await page.getByRole("button", { name: "Step back" }).click();
			await until("an absolute range", () => /^\d{4}-/.test(param(page, "until") ?? ""));
			await page.getByRole("button", { name: "Paused", exact: true }).waitFor();
			await page.getByRole("button", { name: "Step forward" }).click();
			await until("live again", () => param(page, "until") === null);
			await choose.click();
			await page.getByLabel("From").fill("tomorrow");
			await page.locator(".range-panel .primary").click();
			expect(await page.locator(".range-panel .fault").innerText()).toContain("is no time");
			await page.getByLabel("From").fill("now-20m");
			await page.locator(".range-panel .primary").click();
			await until("the typed range", () => param(page, "from") === "now-20m");
			await page.goBack();
			await page.goBack();
			await page.goBack();
			await until("the preset", () => param(page, "from") === "now-1h");
		});
	});
	test("the timeline by another label", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			await page.locator(".group-by select").selectOption("host");
			await until("the URL", () => param(page, "group_by") === "host");
			await until("one line", async () => (await page.locator(".lines li").count()) === 1);
		});
	});
	test("pause holds the range, live follows again", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			await page.getByRole("button", { name: "Live", exact: true }).click();
			await until("an absolute range", () => /Z$/.test(param(page, "until") ?? ""));
			await page.keyboard.press("p");
			await until("live", () => param(page, "until") === null);
		});
	});
	test("downloads name the selection", async () => {
		await visit(`?from=now-1h`, {}, async (page) => {
			await ready(page);
			await page.getByRole("button", { name: "Download" }).click();
			const href = new URL((await page.locator(".downloads a").first().getAttribute("href"))!);
			expect(href.pathname).toBe("/api/v1/export");
			expect(Object.fromEntries(href.searchParams)).toEqual({
				type: "cpu",
				query: "{}",
				from: "now-1h",
				until: "now",
				format: "pprof",
			});
			expect(await page.locator(".command").innerText()).toContain("go tool pprof");
			expect((await page.request.get(href.href)).status()).toBe(200);
		});
	});
});

describe("the timeline", () => {
	test("a brush sets the range; double click and the back button undo it", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			const box = (await page.locator(".u-over").boundingBox())!;
			await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
			await page.locator(".time-tip").waitFor();
			await page.mouse.down();
			await page.mouse.move(box.x + box.width * 0.75, box.y + 60, { steps: 6 });
			await shot(page, "brush");
			await page.mouse.up();
			await until("a range", () => param(page, "from") !== null);
			const seconds = (Date.parse(param(page, "until")!) - Date.parse(param(page, "from")!)) / 1000;
			expect(seconds).toBeGreaterThan(205);
			expect(seconds).toBeLessThan(245);
			await page.locator(".u-over").dblclick();
			await until(
				"a wider range",
				() =>
					Date.parse(param(page, "until") ?? "") - Date.parse(param(page, "from") ?? "") >
					seconds * 1900,
			);
			await page.goBack();
			await page.goBack();
			await until("the first range", () => param(page, "from") === null);
		});
	});
	test("by keys: select, zoom in, zoom out", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			await page.locator(".plot").focus();
			await page.keyboard.press("ArrowRight");
			for (let i = 0; i < 12; i++) await page.keyboard.press("Shift+ArrowRight");
			await page.locator(".time-tip").waitFor();
			await page.keyboard.press("Enter");
			await until("a range", () => param(page, "from") !== null);
			await page.keyboard.press("-");
			await page.goBack();
			await page.goBack();
			await until("the first range", () => param(page, "from") === null);
		});
	});
});

describe("the flame graph", () => {
	test("click zooms, the breadcrumb leads back, the URL restores it", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			const whole = await still(page);
			await clickFlame(page, 0.02, 1);
			await until("a zoom in the URL", () => (param(page, "zoom") ?? "").length === 4);
			const zoomed = await still(page);
			expect(zoomed).not.toBe(whole);
			expect(await page.locator(".crumb").count()).toBe(2);
			const link = page.url();
			await page.goBack();
			await until(
				"the whole again",
				async () => param(page, "zoom") === null && (await pixels(page)) === whole,
			);
			await page.goForward();
			await until("zoomed again", () => (param(page, "zoom") ?? "").length === 4);
			if (!REAL) {
				await page.goto(link);
				await ready(page);
				expect(await still(page)).toBe(zoomed);
			}
			await page.locator(".crumb button").first().click();
			await until("out", () => param(page, "zoom") === null);
		});
	});
	test("ctrl + wheel zooms at the pointer, drag pans, Escape shows all", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			const box = (await canvas(page).boundingBox())!;
			await page.mouse.move(box.x + box.width * 0.3, box.y + 50);
			await page.keyboard.down("Control");
			for (let i = 0; i < 5; i++) await page.mouse.wheel(0, -120);
			await page.keyboard.up("Control");
			await until(
				"a place in the URL",
				() => param(page, "zoom") !== null || param(page, "span") !== null,
			);
			const before = page.url();
			await page.mouse.down();
			await page.mouse.move(box.x + box.width * 0.1, box.y + 50, { steps: 5 });
			await page.mouse.up();
			await until("another place", () => page.url() !== before);
			await page.locator('[role="tree"]').focus();
			await page.keyboard.press("Escape");
			await until("all", () => param(page, "zoom") === null && param(page, "span") === null);
		});
	});
	test("the tooltip has the name, the menu what can be done", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			const box = (await canvas(page).boundingBox())!;
			await page.mouse.move(box.x + 30, box.y + 30);
			await page.locator(".tip-name").waitFor();
			const name = await page.locator(".tip-name").innerText();
			expect(await page.locator(".tip-table").innerText()).toContain("Total");
			await anotherAnswer(page);
			expect(await page.locator(".tip-name").innerText()).toBe(name);
			await page.mouse.click(box.x + 30, box.y + 30, { button: "right" });
			await page.locator(".menu").waitFor();
			await anotherAnswer(page);
			expect(await page.locator(".tip-name").innerText()).toBe(name);
			await shot(page, "menu");
			await page.getByRole("menuitem", { name: "Highlight everywhere" }).click();
			await until("a search", () => param(page, "search") !== null);
			expect(await page.locator("#search").inputValue()).toContain(name.slice(0, 4));
			await page.mouse.click(box.x + 30, box.y + 30, { button: "right" });
			await page.getByRole("menuitem", { name: "Only stacks with this function" }).click();
			await until("a focus", () => param(page, "focus") === name);
			await page.getByRole("button", { name: "Show all stacks again" }).click();
			await until("no focus", () => param(page, "focus") === null);
		});
	});
	test("search tells its share, and a bad expression what is wrong", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			await page.locator(".tabs button").first().focus();
			await page.keyboard.press("/");
			await page.keyboard.type("/./");
			await until("everything matched", async () =>
				/^(100|9\d(\.\d+)?) % matched/.test(await page.locator(".matched").innerText()),
			);
			await until("the URL", () => param(page, "search") === "/./");
			await page.locator("#search").fill("no such function at all");
			await until(
				"nothing matched",
				async () => (await page.locator(".matched").innerText()) === "0 % matched",
			);
			await page.locator("#search").fill("/(/");
			await page.locator(".matched.fault").waitFor();
		});
	});
	test("keys walk the tree, and what is focused is announced", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			const tree = page.locator('[role="tree"]');
			await tree.focus();
			expect(await focusedText(page)).toMatch(/^all/);
			await page.keyboard.press("ArrowDown");
			const child = await focusedText(page);
			expect(child).not.toMatch(/^all/);
			expect(
				await page.locator('[role=treeitem][aria-selected="true"]').getAttribute("aria-level"),
			).toBe("2");
			expect(await tree.getAttribute("aria-activedescendant")).toBe(
				await page.locator('[role=treeitem][aria-selected="true"]').getAttribute("id"),
			);
			await page.keyboard.press("Enter");
			await until("zoomed", () => (param(page, "zoom") ?? "").length === 4);
			await shot(page, "keys");
			await page.keyboard.press("Backspace");
			await until("out", () => param(page, "zoom") === null);
			await page.keyboard.press("ArrowUp");
			expect(await focusedText(page)).toMatch(/^all/);
		});
	});
	test("root at the bottom, and by comm", async () => {
		await visit("", { colorScheme: "dark" }, async (page) => {
			await ready(page);
			const icicle = await still(page);
			await page.getByRole("button", { name: "Root at the bottom" }).click();
			await until("another picture", async () => (await pixels(page)) !== icicle);
			expect(param(page, "layout")).toBe("flame");
			await page.getByLabel("First level by").selectOption("comm");
			await until("by comm", () => param(page, "by") === "comm");
			await shot(page, "flame-by-comm");
		});
	});
});

/* Where the pointer meets push_back: the first row that has it, from the left. */
async function findLongName(scroller: Element): Promise<{ x: number; y: number } | null> {
	const box = scroller.getBoundingClientRect();
	for (let row = 5; row < 9; row++)
		for (let x = box.x + 2; x < box.right; x += 6) {
			const y = box.y + row * 20 + 10;
			scroller.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y }));
			await new Promise((done) => setTimeout(done)); /* for the page to show it */
			if (document.querySelector(".tip-whole")?.textContent?.includes("push_back")) return { x, y };
		}
	return null;
}

describe("frames by function, line or library", () => {
	const press = (page: Page, name: string): Promise<void> =>
		page.getByRole("group", { name: "Frames by" }).getByRole("button", { name }).click();
	test("the flame graph: the picker, its URL, and the way back", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			const byFunction = await still(page);
			await clickFlame(page, 0.02, 3);
			await until("zoomed", () => (param(page, "zoom") ?? "") !== "");
			await press(page, "Library");
			await until("the URL", () => param(page, "frames") === "library");
			expect(param(page, "zoom")).toBeNull();
			await until("the question", () => mock!.asked.some((path) => /flame.*by=library/.test(path)));
			await until("another picture", async () => (await pixels(page)) !== byFunction);
			await press(page, "Line");
			await until("the URL", () => param(page, "frames") === "line");
			await page.reload();
			await ready(page);
			expect(
				await page.getByRole("button", { name: "Line", exact: true }).getAttribute("aria-pressed"),
			).toBe("true");
			await page.goBack();
			await until("libraries again", () => param(page, "frames") === "library");
		});
	});
	test("by keyboard alone", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			await page.locator("#search").focus();
			await page.keyboard.press("Tab");
			await page.keyboard.press("Tab");
			await page.keyboard.press("Enter");
			await until("the URL", () => param(page, "frames") === "line");
		});
	});
	test("by line, the tooltip says where", async () => {
		await visit("?frames=line", {}, async (page) => {
			await ready(page);
			const box = (await canvas(page).boundingBox())!;
			await page.mouse.move(box.x + box.width * 0.4, box.y + 3 * 20 + 10);
			await page.locator(".tip-place").waitFor();
			expect(await page.locator(".tip-place").innerText()).toMatch(/^(unit|kernel)\.c:\d+$/);
			expect(await page.locator(".tip-name").innerText()).not.toContain(".c:");
			await shot(page, "by-line");
		});
	});
	test("the tooltip of a long name has it short, then whole", async () => {
		await visit("?query=%7Bcomm=%22cc1plus%22%7D&frames=function&search=push_back", {}, async (page) => {
			await ready(page);
			const place = await canvas(page).evaluate(findLongName);
			expect(place).not.toBeNull();
			await page.mouse.move(place!.x, place!.y);
			await page.locator(".tip-whole", { hasText: "push_back" }).waitFor();
			expect(await page.locator(".tip-name").innerText()).toContain("std::pair<…>");
			await shot(page, "tip-long");
		});
	});
	test("the table", async () => {
		await visit("?tab=table&frames=library", {}, async (page) => {
			await page.locator(".table tbody tr").first().waitFor();
			expect(await page.locator("th.name").innerText()).toBe("Library");
			expect(await page.locator(".matched").innerText()).toMatch(/ libraries$/);
			await shot(page, "table-by-library");
			await press(page, "Line");
			await until("lines", async () => (await page.locator("td.name .place").count()) > 0);
			expect(await page.locator("td.name .place").first().innerText()).toMatch(/^\w+\.c:\d+$/);
			await press(page, "Function");
			await until("the URL", () => param(page, "frames") === null);
			await until("functions", async () =>
				(await page.locator(".matched").innerText()).endsWith("functions"),
			);
		});
	});
	test("inlined frames: named so in the tooltip, the legend and for screen readers", async () => {
		await visit("?query=%7Bcomm=%22cc1plus%22%7D", {}, async (page) => {
			await ready(page);
			expect(await page.locator(".legend").innerText()).toContain("inlined");
			expect(await page.locator(".legend .swatch.inlined").count()).toBe(1);
			await page.locator("#search").fill("hash_table");
			await shot(page, "inlined-found");
			await page.locator("#search").fill("");
			await page.locator("[role=tree]").focus();
			await until("an inlined frame", async () => {
				await page.keyboard.press("ArrowDown");
				return (await page.locator("[role=treeitem]", { hasText: ", inlined," }).count()) > 0;
			});
			await shot(page, "inlined");
		});
	});
	test("a long name is short on the screen and whole in the tooltip", async () => {
		await visit("?tab=table&filter=push_back", {}, async (page) => {
			const name = page.locator("td.name button").first();
			await name.waitFor();
			expect(await name.innerText()).toBe(
				"std::vector<std::pair<…>, std::allocator<…> >::push_back(std::pair<…>&&)",
			);
			expect(await name.getAttribute("title")).toContain(
				"std::allocator<std::pair<edge_def*, unsigned long> > >::push_back(",
			);
		});
	});
});

describe("the other tabs", () => {
	test("the table sorts, filters, and leads to the flame graph", async () => {
		await visit("?tab=table", {}, async (page) => {
			const rows = page.locator("tbody tr:not([aria-hidden])");
			await rows.first().waitFor();
			await shot(page, "table");
			await page.getByRole("columnheader", { name: "Function" }).getByRole("button").click();
			await until("sorted by name", () => param(page, "sort") === "name");
			const names = await rows.locator("td.name").allInnerTexts();
			expect(names.length).toBeGreaterThan(1);
			expect(names).toEqual([...names].sort());
			await page.locator("#search").fill(names[0]!);
			await until("few rows", async () => (await rows.count()) < names.length);
			await rows.first().click();
			await until(
				"the flame graph",
				() => param(page, "tab") === null && param(page, "search") !== null,
			);
			await ready(page);
			expect(await page.locator(".matched").innerText()).toMatch(/[1-9].* % matched/);
		});
	});
	test("the status shows the ledger", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			await page.getByRole("tab", { name: "Status" }).click();
			await page.locator(".status .card").first().waitFor();
			expect(await page.locator(".status").innerText()).toContain("Store");
			await shot(page, "status");
			await page.goBack();
			await ready(page);
		});
	});
});

const WHEELS = 40;

/* CPU time in ms that the page's main thread has had: whoever else is on the machine does not count. */
async function mainThreadClock(page: Page): Promise<() => Promise<number>> {
	const devtools = await page.context().newCDPSession(page);
	await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
	return async () => {
		const { metrics } = await devtools.send("Performance.getMetrics");
		return metrics.find(({ name }) => name === "TaskDuration")!.value * 1e3;
	};
}

describe.skipIf(REAL)("with a server that can be told what to do", () => {
	test("the status tells what has no name, why, and what would help", async () => {
		await visit("?tab=status", {}, async (page) => {
			const table = page.getByRole("region", { name: "What would name more" });
			await table.waitFor();
			const cells = await table.locator("tbody tr").last().locator("th, td").allInnerTexts();
			expect(cells.map((text) => text.split("\n")[0])).toEqual([
				"/usr/sbin/cron",
				"20\u202f342",
				"stripped: functions are known only by their bounds",
				"apt install cron-dbgsym",
			]);
			const facts = await page.locator(".status .card", { hasText: "With source lines" }).innerText();
			expect(facts).toContain("212 62.2 %");
			await table.scrollIntoViewIfNeeded();
			await shot(page, "status-names");
			await page.setViewportSize(NARROW);
			await table.scrollIntoViewIfNeeded();
			await shot(page, "status-names-narrow");
			await until("a page that fits", () => fits(page, 390));
		});
	});
	test("the status tells whose stacks are whole, in any order, and the URL keeps it", async () => {
		await visit("?tab=status", {}, async (page) => {
			const table = page.getByRole("region", { name: "User stacks by process" });
			await table.waitFor();
			await table.getByRole("button", { name: "Samples" }).click();
			await until("the URL", () => page.url().includes("stacks=-samples"));
			const samples = async (): Promise<readonly number[]> => {
				const texts = await table.locator("tbody td:nth-child(2)").allInnerTexts();
				return texts.map((text) => Number(text.replace(/\D/g, "")));
			};
			/* Without kthreadd, which has none; "other" is always last. */
			expect(await samples()).toEqual([61_000, 12_428, 7_423, 1_174]);
			await table.getByRole("button", { name: "Cut" }).click();
			expect(await samples()).toEqual([12_428, 7_423, 61_000, 1_174]);
			await table.getByRole("button", { name: "Samples" }).click();
			await page.reload();
			await table.waitFor();
			expect(await table.locator('th[aria-sort="descending"]').innerText()).toContain("Samples");
			await page.setViewportSize({ width: 390, height: 800 });
			await until("a page that fits", () => fits(page, 390));
		});
	});
	test("losses are on the screen, with their reasons", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			await page.getByRole("button", { name: "Lost samples" }).click();
			const panel = await page.locator(".alert-panel").innerText();
			expect(panel).toContain("350 of");
			expect(panel).toContain("308 ring full");
			await shot(page, "losses");
			await page.keyboard.press("Escape");
			await until("closed", async () => (await page.locator(".alert-panel").count()) === 0);
		});
	});
	test("a live page asks again, keeps its zoom, and does not flicker", async () => {
		await visit("", {}, async (page) => {
			await ready(page);
			await clickFlame(page, 0.02, 3);
			await page.mouse.move(5, 5);
			const before = await still(page);
			await page.evaluate(() => {
				new MutationObserver((changes) => {
					if (
						changes.some((c) =>
							[...c.removedNodes].some(
								(n) => n instanceof Element && n.matches(".flame, .timeline, canvas"),
							),
						)
					)
						document.documentElement.dataset["flicker"] = "yes";
				}).observe(document.body, { childList: true, subtree: true });
			});
			await anotherAnswer(page);
			expect(await still(page)).toBe(before);
			expect(await page.locator("html").getAttribute("data-flicker")).toBeNull();
		});
	});
	test("a server in trouble: the last answer stays, with a sentence, and heals", async () => {
		await visit(
			"",
			{},
			async (page) => {
				onTestFinished(() => {
					mock!.fails = false;
				});
				await ready(page);
				mock!.fails = true;
				await page.locator(".trouble").first().waitFor();
				expect(await page.locator(".trouble").first().innerText()).toMatch(
					/The store is being opened\. What is shown is from \d\d:\d\d:\d\d\. Trying again/,
				);
				expect(await page.locator(".flame").count()).toBe(1);
				await shot(page, "trouble");
				mock!.fails = false;
				await until("healed", async () => (await page.locator(".trouble").count()) === 0);
			},
			/503/,
		);
	});
	test("a phone can zoom, and its menus fit", async () => {
		await visit(
			"",
			{ viewport: NARROW, hasTouch: true, isMobile: true, colorScheme: "dark" },
			async (page) => {
				await ready(page);
				await page.getByRole("button", { name: "Add a filter" }).tap();
				await page.locator(".value").first().waitFor();
				await shot(page, "phone-filter");
				const panel = (await page.locator(".panel").boundingBox())!;
				expect(panel.x >= 0 && panel.x + panel.width <= NARROW.width).toBe(true);
				await page.keyboard.press("Escape");
				await canvas(page).scrollIntoViewIfNeeded();
				const box = (await canvas(page).boundingBox())!;
				await page.touchscreen.tap(box.x + 20, box.y + 30);
				await until("zoomed", () => (param(page, "zoom") ?? "") !== "");
			},
		);
	});
	test("100,000 frames: zooming stays fluent", async () => {
		const big = await startMock({
			dist: DIST,
			nowUs: NOW_US,
			stacks: 12_000,
			hasWaiting: true,
		});
		const small = url;
		url = big.url;
		try {
			await visit("", {}, async (page) => {
				await ready(page);
				await page.getByRole("button", { name: "Off-CPU" }).waitFor();
				const box = (await canvas(page).boundingBox())!;
				await page.mouse.move(box.x + box.width * 0.3, box.y + 50);
				const clock = await mainThreadClock(page);
				const beforeMs = await clock();
				await page.keyboard.down("Control");
				for (let i = 0; i < WHEELS; i++) await page.mouse.wheel(0, i < WHEELS / 2 ? -60 : 60);
				await page.keyboard.up("Control");
				await still(page);
				const eachMs = ((await clock()) - beforeMs) / WHEELS;
				const frames = await page.evaluate(async () =>
					new DataView(await (await fetch("api/v1/flame?format=table")).arrayBuffer()).getUint32(
						8,
						true,
					),
				);
				expect(frames).toBeGreaterThan(100_000);
				process.stdout.write(
					`${frames} frames in the tree; a step of the wheel: ${eachMs.toFixed(1)} ms of the CPU\n`,
				);
				expect(eachMs).toBeGreaterThan(0);
				expect(eachMs).toBeLessThan(100);
				await shot(page, "big");
			});
		} finally {
			url = small;
			await big.close();
		}
	});
});

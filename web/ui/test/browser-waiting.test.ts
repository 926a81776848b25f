/*
 * The page in Chromium where a server samples waiting: types, reasons, what is idle, what is
 * waited on. As browser.test.ts, but only against the mock server.
 */
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test as always } from "vitest";
import { type Mock, startMock } from "./mock-server/server";
import {
	DIST,
	fits,
	focusedText,
	overlaps,
	param,
	ready,
	shot,
	startBrowser,
	until,
	visitPage,
} from "./screen";

const NOW_US = 1795305600e6; /* 2026-11-22T00:00:00Z */
const test = always.skipIf(process.env["HEARTH_URL"]);

let browser: Browser;
let mock: Mock;

beforeAll(async () => {
	mock = await startMock({ dist: DIST, nowUs: NOW_US, stacks: 600, hasWaiting: true });
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
): Promise<void> => visitPage(browser, mock.url + query, options, steps);
const reason = (page: Page, name: string) => page.locator(".reasons button", { hasText: name });

test("the picker leads to it and back, and takes along what makes sense", async () => {
	await visit(`?query=${encodeURIComponent('{comm="postgres"}')}`, {}, async (page) => {
		await ready(page);
		await page.getByRole("button", { name: "Off-CPU" }).click();
		await until("the URL", () => param(page, "type") === "offcpu");
		await reason(page, "disk").click();
		await until("a chip", () => param(page, "query") === '{comm="postgres",reason="disk"}');
		await page.getByRole("button", { name: "CPU", exact: true }).click();
		await until("CPU", () => param(page, "type") === null);
		expect(param(page, "query")).toBe('{comm="postgres"}');
		await page.goBack();
		await until("the way back", () => param(page, "query") === '{comm="postgres",reason="disk"}');
		await ready(page);
	});
});
test("a server that samples no waiting has nothing to pick", async () => {
	const cpuOnly = await startMock({ dist: DIST, nowUs: NOW_US, stacks: 100, hasWaiting: false });
	await visitPage(browser, cpuOnly.url, {}, async (page) => {
		await ready(page);
		expect(await page.getByRole("group", { name: "Profile type" }).count()).toBe(0);
		await page.getByRole("tab", { name: "Status" }).click();
		const card = page.locator(".status .card", { hasText: "Sampling of waiting" });
		await card.waitFor();
		expect(await card.innerText()).toContain("switched off by --waiting off");
	});
	await cpuOnly.close();
});
test.each(["light", "dark"] as const)("off-CPU and wall, %s", async (colorScheme) => {
	for (const type of ["offcpu", "wall"])
		for (const width of [1440, 390])
			await visit(`?type=${type}`, { colorScheme, viewport: { width, height: 900 } }, async (page) => {
				await ready(page);
				expect(await page.locator(".group-by select").inputValue()).toBe("reason");
				const all = type === "wall" ? 15 : 14;
				await until(
					"all reasons",
					async () => (await page.locator(".reasons button").count()) === all,
				);
				expect(await page.locator(".reasons button").first().innerText()).toMatch(
					type === "wall" ? /^running/ : /^run queue/,
				);
				await until("a page that fits", () => fits(page, width));
				expect(await page.evaluate(overlaps)).toEqual([]);
				await shot(page, `${type}-${width}-${colorScheme}`);
			});
});
test("a reason of the legend is a filter: only it, all again, all but it", async () => {
	await visit("?type=offcpu", {}, async (page) => {
		await ready(page);
		await reason(page, "lock").click();
		await until("only locks", () => param(page, "query") === '{reason="lock"}');
		await page.locator(".chip-value", { hasText: "lock" }).waitFor();
		await until(
			"pressed",
			async () => (await reason(page, "lock").getAttribute("aria-pressed")) === "true",
		);
		await until(
			"the others stay in reach",
			async () => (await page.locator(".reasons .is-out").count()) === 13,
		);
		await shot(page, "offcpu-lock");
		await reason(page, "disk").click();
		await until("only disk", () => param(page, "query") === '{reason="disk"}');
		await reason(page, "disk").click();
		await until("all again", () => param(page, "query") === null);
		await reason(page, "sleep").click({ modifiers: ["Shift"] });
		await until("all but sleep", () => param(page, "query") === '{reason!="sleep"}');
		await until("marked", async () => (await page.locator(".reasons .is-out").count()) === 1);
		await page.locator(".chip-close").click();
		await until("all", () => param(page, "query") === null);
	});
});
test("idle threads are hidden by one click, with how much they are, and come back", async () => {
	await visit("?type=offcpu", {}, async (page) => {
		await ready(page);
		const hide = page.getByLabel("Hide idle");
		/* 4 + 4 + 4 + 2 + 1 + 1 + 11 threads are idle for 15 minutes. */
		await until(
			"how much",
			async () => (await page.locator(".hide-idle-time").innerText()) === "6 h 45 min",
		);
		await hide.check();
		await until("the URL", () => param(page, "query") === '{idle!="true"}');
		await until(
			"still told",
			async () => (await page.locator(".hide-idle-time").innerText()) === "6 h 45 min hidden",
		);
		await page.locator(".chip-label", { hasText: "idle" }).waitFor();
		await until(
			"gone",
			async () => !(await page.locator(".waits-on").innerText()).includes("0xc0000e4948"),
		);
		await shot(page, "offcpu-hide-idle");
		await page.reload();
		await ready(page);
		expect(await hide.isChecked()).toBe(true);
		await hide.uncheck();
		await until("all", () => param(page, "query") === null);
		await until("back", async () =>
			(await page.locator(".waits-on").innerText()).includes("0xc0000e4948"),
		);
	});
});
test("what is waited on: a click selects, another one frees, and the table can go", async () => {
	await visit("?type=offcpu", {}, async (page) => {
		await ready(page);
		const row = page.locator(".waits-on .value", { hasText: "10.0.0.31:40112" });
		await row.click();
		await until(
			"the URL",
			() => param(page, "query") === '{waits_on="tcp 10.0.0.17:5432 -> 10.0.0.31:40112"}',
		);
		await until("pressed", async () => (await row.getAttribute("aria-pressed")) === "true");
		expect(await page.locator(".waits-on .value").count()).toBe(7);
		await row.click();
		await until("all", () => param(page, "query") === null);
		await page.getByRole("button", { name: "Hide what is waited on" }).click();
		await until("gone", async () => (await page.locator(".waits-on").count()) === 0);
		expect(param(page, "waits_on")).toBe("off");
		await page.getByRole("button", { name: "Waits on" }).click();
		await page.locator(".waits-on").waitFor();
	});
});
test("the end of a wait in the flame graph says why, for eyes and for screen readers", async () => {
	await visit(`?type=offcpu&query=${encodeURIComponent('{comm="cron"}')}`, {}, async (page) => {
		await ready(page);
		await page.locator("[role=tree]").focus();
		await until("the leaf", async () => {
			await page.keyboard.press("ArrowDown");
			return (await focusedText(page)).startsWith("[sleep], waiting: a time to come");
		});
		expect(await page.locator(".tip").innerText()).toContain("waiting: a time to come");
		await shot(page, "offcpu-leaf");
		await page.keyboard.press("m");
		await page.getByRole("menuitem", { name: "Only waits of reason sleep" }).click();
		await until("the URL", () => param(page, "query") === '{comm="cron",reason="sleep"}');
	});
});
test("the first level by any label; threads that always sleep are there", async () => {
	await visit("?type=wall&by=comm", {}, async (page) => {
		await ready(page);
		const items = page.locator("[role=treeitem]");
		await until("cron", async () => (await items.allInnerTexts()).some((t) => t.startsWith("cron,")));
		await page.getByLabel("First level by").selectOption("reason");
		await until("reasons", async () =>
			(await items.allInnerTexts()).some((t) => t.startsWith("page_fault,")),
		);
		expect(param(page, "by")).toBe("reason");
	});
});
test("what is still arriving is marked, and said at the cursor", async () => {
	await visit("?type=offcpu&from=now-5m", {}, async (page) => {
		await ready(page);
		const box = (await page.locator(".u-over").boundingBox())!;
		await page.mouse.move(box.x + box.width - 4, box.y + 40);
		await page.locator(".time-tip", { hasText: "Still arriving" }).waitFor();
		await shot(page, "offcpu-arriving");
		await page.mouse.move(box.x + box.width / 2, box.y + 40);
		await page.locator(".time-tip:not(:has-text('Still arriving'))").waitFor();
	});
});
test("the table, and the status of the sampler", async () => {
	await visit("?type=offcpu&tab=table", {}, async (page) => {
		await page.locator("tbody tr:not([aria-hidden])").first().waitFor();
		await shot(page, "offcpu-table");
		await page.getByRole("tab", { name: "Status" }).click();
		const card = page.locator(".status .card", { hasText: "Sampling of waiting" });
		await card.waitFor();
		const facts = await card.innerText();
		for (const fact of ["task iterator", "20 Hz", "388", "311 locked", "91.4 µs a pass"])
			expect(facts).toContain(fact);
		expect(facts).toMatch(/Stuck\s+3\s/);
		await shot(page, "status-waiting");
	});
});

test.each([1440, 390])("an exact trace: asked for, followed, shown, closed; %d px", async (width) => {
	const query = encodeURIComponent('{pid="812"}');
	await visit(`?type=wall&query=${query}`, { viewport: { width, height: 900 } }, async (page) => {
		await page.getByRole("button", { name: "Trace exactly" }).click();
		const dialog = page.getByRole("dialog", { name: "Trace exactly" });
		await dialog.waitFor();
		expect(await dialog.getByRole("textbox", { name: "pid" }).inputValue()).toBe("812");
		await dialog.getByLabel("Shortest wait, µs").fill("10ms");
		expect(await dialog.getByRole("alert").innerText()).toContain("The shortest wait is a number of µs.");
		expect(await dialog.getByRole("button", { name: "Trace" }).isDisabled()).toBe(true);
		await dialog.getByLabel("Shortest wait, µs").fill("100");
		await dialog.getByLabel("seconds").fill("60");
		await shot(page, `trace-dialog-${width}`);
		await page.keyboard.press("Enter");
		await until("the URL", () => /^\d+$/.test(param(page, "trace") ?? ""));
		expect(mock.asked).toContain("/api/v1/trace?seconds=60&pid=812&min_us=100");
		await page.getByText("Tracing…").waitFor();
		await page.getByRole("button", { name: "Stop now" }).click();
		await page.locator(".flame-scroll").waitFor();
		expect(await page.getByRole("link", { name: "folded" }).getAttribute("href")).toContain("view=waits");
		for (const [name, view] of [
			["Wakers", "wakers"],
			["Off-wake", "offwake"],
		] as const) {
			await page.getByRole("button", { name }).click();
			await until("the URL", () => param(page, "trace_view") === view);
			await until("a question", () => mock.asked.some((path) => path.includes(`flame?view=${view}`)));
		}
		await page.getByRole("button", { name: "Delays" }).click();
		const delays = page.getByRole("region", { name: "Waiting for a CPU" });
		await delays.waitFor();
		expect(await delays.innerText()).toContain("4 µs – 8 µs");
		await page.getByLabel("Whose times").selectOption("pid 812");
		await until("its own", async () => (await delays.innerText()).includes("82\u202f800"));
		await until("a page that fits", () => fits(page, width));
		await shot(page, `trace-delays-${width}`);
		await page.reload();
		await delays.waitFor();
		await page.getByRole("button", { name: "Close" }).click();
		await until("the history again", () => param(page, "trace") === null);
		await page.locator(".plot canvas").waitFor();
		expect(param(page, "query")).toBe('{pid="812"}');
	});
});
test("a trace that cannot be had says why, and is closed by Escape", async () => {
	await visitPage(
		browser,
		`${mock.url}?type=offcpu`,
		{},
		async (page) => {
			await ready(page);
			await page.getByRole("button", { name: "Trace exactly" }).click();
			await page.request.post(`${mock.url}api/v1/trace?seconds=600`);
			await page.getByRole("button", { name: "Trace", exact: true }).click();
			await page.getByRole("alert").getByText("one at a time").waitFor();
			await page.keyboard.press("Escape");
			await until("closed", async () => (await page.getByRole("dialog").count()) === 0);
			await page.goto(`${mock.url}?type=offcpu&trace=999`);
			await page.getByText("there is no trace 999").waitFor();
		},
		/409|404/,
	);
});

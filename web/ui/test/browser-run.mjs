/* Runs the browser tests, or says why not: 77 is "skipped". */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!existsSync(chromium)) {
	process.stderr.write(
		`skipped: ${chromium} is missing; install Debian's chromium, or name one in CHROMIUM\n`,
	);
	process.exit(77);
}
const dist = process.env.HEARTH_UI_DIST ?? new URL("../dist", import.meta.url).pathname;
if (!process.env.HEARTH_URL && !existsSync(`${dist}/index.html`)) {
	process.stderr.write(`${dist}/index.html is missing: run npm run build first\n`);
	process.exit(1);
}
const vitest = new URL("../node_modules/vitest/vitest.mjs", import.meta.url).pathname;
const run = spawnSync(process.execPath, [vitest, "run", "--config", "vitest.browser.config.ts"], {
	stdio: "inherit",
	cwd: new URL("..", import.meta.url).pathname,
});
process.exit(run.status ?? 1);

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
if (!process.env.HEARTH_URL && !existsSync(new URL("../dist/index.html", import.meta.url))) {
	process.stderr.write("dist/index.html is missing: run npm run build first\n");
	process.exit(1);
}
const vitest = new URL("../node_modules/vitest/vitest.mjs", import.meta.url).pathname;
const run = spawnSync(process.execPath, [vitest, "run", "--config", "vitest.browser.config.ts"], {
	stdio: "inherit",
	cwd: new URL("..", import.meta.url).pathname,
});
process.exit(run.status ?? 1);

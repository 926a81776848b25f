/* The page in a real Chromium; run by test/browser-run.mjs. */
import { defineConfig } from "vitest/config";

export default defineConfig({
	esbuild: { jsx: "automatic", jsxImportSource: "preact" },
	test: {
		include: ["test/browser*.test.ts"],
		environment: "node",
		testTimeout: 600_000 /* each wait has its own end */,
		hookTimeout: 300_000,
		fileParallelism: false,
		sequence: { concurrent: false },
		bail: 0,
	},
});

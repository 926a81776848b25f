/* The page in a real Chromium; run by test/browser-run.mjs. */
import { defineConfig } from "vitest/config";

export default defineConfig({
	esbuild: { jsx: "automatic", jsxImportSource: "preact" },
	test: {
		include: ["test/browser*.test.ts"],
		environment: "node",
		testTimeout: 60_000,
		hookTimeout: 60_000,
		fileParallelism: false,
		sequence: { concurrent: false },
		bail: 0,
	},
});

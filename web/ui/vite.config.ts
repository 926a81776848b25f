/* Build: one script and one sheet, nothing inline, so that the server's strict CSP holds. */
import { defineConfig } from "vitest/config";

export default defineConfig({
	base: "./",
	esbuild: { jsx: "automatic", jsxImportSource: "preact" },
	build: {
		target: "es2021",
		assetsInlineLimit: 0,
		modulePreload: false,
		cssCodeSplit: false,
		reportCompressedSize: true,
	},
	server: { proxy: { "/api": "http://127.0.0.1:4040", "/debug": "http://127.0.0.1:4040" } },
	test: { include: ["test/model/*.test.ts", "test/api.test.ts"], environment: "node", testTimeout: 60_000 },
});

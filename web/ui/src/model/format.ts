/*
 * format: numbers and times for people. Three significant digits: more is noise in a sample.
 */

function digits(value: number): string {
	if (value >= 100) return value.toFixed(0);
	return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/* A weight. Up to "59.9 s" in decimals, above in "1 min 05 s". */
export function formatNs(ns: number): string {
	if (ns === 0) return "0 s";
	if (ns < 1e3) return `${digits(ns)} ns`;
	if (ns < 1e6) return `${digits(ns / 1e3)} µs`;
	if (ns < 1e9) return `${digits(ns / 1e6)} ms`;
	if (ns < 60e9) return `${digits(ns / 1e9)} s`;
	return formatSeconds(Math.round(ns / 1e9));
}

/* Whole seconds as the two largest units: "1 h 04 min". */
export function formatSeconds(seconds: number): string {
	const units: readonly (readonly [number, string])[] = [
		[86400, "d"],
		[3600, "h"],
		[60, "min"],
		[1, "s"],
	];
	const at = units.findIndex(([size]) => seconds >= size);
	if (at < 0) return "0 s";
	const [size, unit] = units[at]!;
	const big = Math.floor(seconds / size);
	const next = units[at + 1];
	const small = next ? Math.floor((seconds - big * size) / next[0]) : 0;
	return small > 0 ? `${big} ${unit} ${String(small).padStart(2, "0")} ${next![1]}` : `${big} ${unit}`;
}

export function formatShare(part: number, whole: number): string {
	if (!(whole > 0)) return "0 %";
	const percent = (100 * part) / whole;
	if (percent === 0) return "0 %";
	if (percent < 0.01) return "<0.01 %";
	return percent >= 99.95 ? `${percent.toFixed(0)} %` : `${percent.toFixed(percent < 10 ? 2 : 1)} %`;
}

export function formatCount(count: number): string {
	return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export function formatBytes(bytes: number): string {
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let at = 0;
	let value = bytes;
	while (value >= 1024 && at < units.length - 1) {
		value /= 1024;
		at++;
	}
	return at === 0 ? `${bytes} B` : `${digits(value)} ${units[at]}`;
}

export function formatCores(cores: number): string {
	return cores === 0 ? "0" : cores < 0.01 ? "<0.01" : digits(cores);
}

const two = (n: number): string => String(n).padStart(2, "0");

/* On the reader's clock. */
export function formatClock(us: number, withMs = false): string {
	const d = new Date(us / 1000);
	const text = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
	return withMs ? `${text}.${String(d.getMilliseconds()).padStart(3, "0")}` : text;
}

export function formatDate(us: number): string {
	const d = new Date(us / 1000);
	return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

/* "2026-11-22 14:03:00 – 14:18:00": the second date only when it is another day. */
export function formatSpan(fromUs: number, untilUs: number): string {
	const withMs = untilUs - fromUs < 10e6;
	const day = formatDate(fromUs) === formatDate(untilUs) ? "" : `${formatDate(untilUs)} `;
	return `${formatDate(fromUs)} ${formatClock(fromUs, withMs)} – ${day}${formatClock(untilUs, withMs)}`;
}

/* The last part of a path; "[vdso]" and the like stay as they are. */
export function baseName(path: string): string {
	return path.slice(path.lastIndexOf("/") + 1) || path;
}

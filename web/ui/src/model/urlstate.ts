/*
 * urlstate: everything the screen shows, as the query part of its URL.
 *
 * What equals its default is left out, so that a plain screen has a plain URL. Values that make
 * no sense (a hand-edited or old link) fall back to the default.
 */
import { isPath } from "./nodepath";
import type { QualityKey } from "./stacks";
import { DEFAULT_RANGE, parseTime } from "./timerange";
import { WHOLE, type Span } from "./zoom";

export type ProfileType = "cpu" | "offcpu" | "wall";
export type Tab = "flame" | "table" | "status";
export type TraceView = "waits" | "wakers" | "offwake" | "delays";
export type Layout = "icicle" | "flame";
export type Frames = "function" | "line" | "library";
export type SortKey = "self" | "total" | "samples" | "name" | "mapping";

export interface UrlState {
	readonly type: ProfileType;
	readonly query: string;
	readonly from: string;
	readonly until: string;
	readonly groupBy: string /* lines of the timeline; "" is what suits the type */;
	readonly tab: Tab;
	readonly rootBy: string /* label that is a first level of the flame graph; "" is none */;
	readonly frames: Frames /* what one frame, or row of the table, is */;
	readonly focus: string /* only stacks with this function; "" is all */;
	readonly zoom: string /* nodepath */;
	readonly span: Span /* part of the zoomed node */;
	readonly search: string;
	readonly layout: Layout;
	readonly sort: SortKey;
	readonly ascending: boolean;
	readonly filter: string /* of the table */;
	readonly qualitySort: QualityKey /* of the tables of the status */;
	readonly qualityAscending: boolean;
	readonly hasSide: boolean /* the table of what is waited on */;
	readonly trace: number /* whose result covers the screen; 0: none */;
	readonly traceView: TraceView;
}

export const DEFAULT_STATE: UrlState = {
	type: "cpu",
	query: "{}",
	from: DEFAULT_RANGE.from,
	until: DEFAULT_RANGE.until,
	groupBy: "",
	tab: "flame",
	rootBy: "",
	frames: "function",
	focus: "",
	zoom: "",
	span: WHOLE,
	search: "",
	layout: "icicle",
	sort: "self",
	ascending: false,
	filter: "",
	qualitySort: "cut",
	qualityAscending: false,
	hasSide: true,
	trace: 0,
	traceView: "waits",
};

/* The label by which the timeline is stacked. */
export function groupByOf(s: Pick<UrlState, "type" | "groupBy">): string {
	return s.groupBy || (s.type === "cpu" ? "comm" : "reason");
}

const TYPES: readonly ProfileType[] = ["cpu", "offcpu", "wall"];
const TABS: readonly Tab[] = ["flame", "table", "status"];
const FRAMES: readonly Frames[] = ["function", "line", "library"];
const TRACE_VIEWS: readonly TraceView[] = ["waits", "wakers", "offwake", "delays"];
const LAYOUTS: readonly Layout[] = ["icicle", "flame"];
const QUALITY_SORTS: readonly QualityKey[] = ["cut", "whole", "samples", "name"];
const SORTS: readonly SortKey[] = ["self", "total", "samples", "name", "mapping"];

function oneOf<T extends string>(allowed: readonly T[], text: string | null, fallback: T): T {
	return allowed.find((value) => value === text) ?? fallback;
}

function timeOr(text: string | null, fallback: string): string {
	return text !== null && parseTime(text, 0) !== null ? text : fallback;
}

function label(text: string | null): string {
	return /^[A-Za-z_]\w*$/.test(text ?? "") ? text! : "";
}

function parseSpan(text: string | null): Span {
	const match = /^(\d?\.?\d+)-(\d?\.?\d+)$/.exec(text ?? "");
	const a = Number(match?.[1]);
	const b = Number(match?.[2]);
	return match && a >= 0 && b <= 1 && a < b ? { a, b } : WHOLE;
}

function share(value: number): string {
	return String(Number(value.toFixed(7)));
}

export function parseUrlState(search: string): UrlState {
	const p = new URLSearchParams(search);
	const text = (key: string, fallback: string): string => p.get(key) ?? fallback;
	const zoom = text("zoom", "");
	const sort = text("sort", "");
	const stacks = text("stacks", "");
	const d = DEFAULT_STATE;
	const from = timeOr(p.get("from"), d.from);
	return {
		type: oneOf(TYPES, p.get("type"), d.type),
		query: text("query", d.query) || d.query,
		from,
		until: timeOr(p.get("until"), d.until),
		groupBy: label(p.get("group_by")),
		tab: oneOf(TABS, p.get("tab"), d.tab),
		rootBy: label(p.get("by")),
		frames: oneOf(FRAMES, p.get("frames"), d.frames),
		focus: text("focus", d.focus),
		zoom: isPath(zoom) ? zoom : "",
		span: parseSpan(p.get("span")),
		search: text("search", d.search),
		layout: oneOf(LAYOUTS, p.get("layout"), d.layout),
		sort: oneOf(SORTS, sort.replace(/^-/, ""), d.sort),
		ascending: sort !== "" && !sort.startsWith("-"),
		filter: text("filter", d.filter),
		qualitySort: oneOf(QUALITY_SORTS, stacks.replace(/^-/, ""), d.qualitySort),
		qualityAscending: stacks !== "" && !stacks.startsWith("-"),
		hasSide: p.get("waits_on") !== "off",
		trace: /^[1-9]\d{0,14}$/.test(text("trace", "")) ? Number(text("trace", "")) : 0,
		traceView: oneOf(TRACE_VIEWS, p.get("trace_view"), d.traceView),
	};
}

/* Begins with "?" or is empty. */
export function formatUrlState(s: UrlState): string {
	const d = DEFAULT_STATE;
	const plain: readonly (readonly [string, string, string])[] = [
		["type", s.type, d.type],
		["query", s.query, d.query],
		["from", s.from, d.from],
		["until", s.until, d.until],
		["group_by", s.groupBy, d.groupBy],
		["tab", s.tab, d.tab],
		["by", s.rootBy, d.rootBy],
		["frames", s.frames, d.frames],
		["focus", s.focus, d.focus],
		["zoom", s.zoom, d.zoom],
		["span", s.span === WHOLE ? "" : `${share(s.span.a)}-${share(s.span.b)}`, ""],
		["search", s.search, d.search],
		["layout", s.layout, d.layout],
		["sort", (s.ascending ? "" : "-") + s.sort, `-${d.sort}`],
		["filter", s.filter, d.filter],
		["waits_on", s.hasSide ? "" : "off", ""],
		["trace", s.trace > 0 ? String(s.trace) : "", ""],
		["trace_view", s.traceView, d.traceView],
		["stacks", (s.qualityAscending ? "" : "-") + s.qualitySort, `-${d.qualitySort}`],
	];
	const parts = plain
		.filter(([, value, fallback]) => value !== fallback)
		.map(([key, value]) => `${key}=${readable(value)}`);
	return parts.length > 0 ? `?${parts.join("&")}` : "";
}

/* Percent-encoded, except what a query may hold as it is and people like to read. RFC 3986 3.4 */
function readable(value: string): string {
	return encodeURIComponent(value).replace(/%(3A|2C|2F|3D|40)/gi, (c) => decodeURIComponent(c));
}

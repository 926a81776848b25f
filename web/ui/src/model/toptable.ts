/*
 * toptable: rows of the function table, sorted, filtered and cut to what is seen.
 */
import type { Kind } from "./calltree";
import type { Matcher } from "./search";
import type { SortKey } from "./urlstate";

export interface TopRow {
	readonly name: string;
	readonly mapping: string;
	readonly kind: Kind;
	readonly selfUs: number;
	readonly totalUs: number;
	readonly selfSamples: number;
	readonly totalSamples: number;
}

export interface TopTable {
	readonly totalUs: number;
	readonly samples: number;
	readonly functions: number /* all there are; rows may be fewer */;
	readonly rows: readonly TopRow[];
}

const NUMBERS: Readonly<Record<"self" | "total" | "samples", (row: TopRow) => number>> = {
	self: (row) => row.selfUs,
	total: (row) => row.totalUs,
	samples: (row) => row.selfSamples,
};

function compareText(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}

function compareBy(key: SortKey): (a: TopRow, b: TopRow) => number {
	if (key === "name" || key === "mapping") return (a, b) => compareText(a[key], b[key]);
	const value = NUMBERS[key];
	return (a, b) => value(a) - value(b);
}

/* Ties keep their name's order, whichever way the key runs. */
export function sortRows(rows: readonly TopRow[], key: SortKey, ascending: boolean): readonly TopRow[] {
	const compare = compareBy(key);
	const sign = ascending ? 1 : -1;
	return [...rows].sort((a, b) => sign * compare(a, b) || compareText(a.name, b.name));
}

export function filterRows(rows: readonly TopRow[], matches: Matcher | null): readonly TopRow[] {
	return matches ? rows.filter((row) => matches(row.name) || matches(row.mapping)) : rows;
}

/* Rows [first, last) that a scrolled list shows, with a few to spare on both sides. */
export function visibleRows(
	count: number,
	scrollPx: number,
	heightPx: number,
	rowPx: number,
): { readonly first: number; readonly last: number } {
	const spare = 8;
	const first = Math.max(0, Math.floor(scrollPx / rowPx) - spare);
	return { first, last: Math.min(count, Math.ceil((scrollPx + heightPx) / rowPx) + spare) };
}

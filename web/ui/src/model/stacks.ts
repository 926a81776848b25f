/*
 * stacks: how many user stacks could be walked to their thread's start, and why not the others.
 */

export interface StackQuality {
	readonly walked: number /* threads that had a user stack */;
	readonly whole: number;
	readonly cut: readonly (readonly [reason: string, count: number])[] /* most first, no zeros */;
}

export function stackQuality(ends: Readonly<Record<string, number>>): StackQuality {
	const { "no user stack": _none, complete: whole = 0, ...others } = ends;
	const cut = Object.entries(others)
		.filter(([, count]) => count > 0)
		.sort((a, b) => b[1] - a[1]);
	return { walked: cut.reduce((sum, [, count]) => sum + count, whole), whole, cut };
}

/* What is known of one process, or of one library: the mapping where walks ended. */
export interface EndsRow {
	readonly name: string;
	readonly pid: number /* 0: a library */;
	readonly ends: Readonly<Record<string, number>>;
}

export interface EndsTable {
	readonly rows: readonly EndsRow[];
	readonly other: Readonly<Record<string, number>> /* what has no row */;
}

export type QualityKey = "cut" | "whole" | "samples" | "name";

export interface QualityRow extends StackQuality {
	readonly name: string;
	readonly pid: number;
}

const NUMBERS: Readonly<Record<Exclude<QualityKey, "name">, (row: QualityRow) => number>> = {
	cut: (row) => row.walked - row.whole,
	whole: (row) => row.whole / row.walked,
	samples: (row) => row.walked,
};

function compareNames(a: QualityRow, b: QualityRow): number {
	return a.name < b.name ? -1 : a.name > b.name ? 1 : a.pid - b.pid;
}

function compareBy(key: QualityKey): (a: QualityRow, b: QualityRow) => number {
	if (key === "name") return compareNames;
	const value = NUMBERS[key];
	return (a, b) => value(a) - value(b) || a.walked - b.walked;
}

/* Without those that had no user stack. Ties keep their name's order, whichever way the key runs. */
export function qualityRows(table: EndsTable, key: QualityKey, ascending: boolean): readonly QualityRow[] {
	const compare = compareBy(key);
	const sign = ascending ? 1 : -1;
	return table.rows
		.map((row) => ({ name: row.name, pid: row.pid, ...stackQuality(row.ends) }))
		.filter((row) => row.walked > 0)
		.sort((a, b) => sign * compare(a, b) || compareNames(a, b));
}

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

/*
 * ledger: what became of every sample, and what each kind of loss means.
 *
 *	taken = stored + sum(dropped by reason) + pending
 */

export interface Ledger {
	readonly taken: number;
	readonly stored: number;
	readonly pending: number;
	readonly dropped: Readonly<Record<string, number>>;
}

export interface Loss {
	readonly reason: string;
	readonly count: number;
	readonly help: string;
}

const HELP: Readonly<Record<string, string>> = {
	no_scratch: "No scratch memory on that CPU. Happens while CPUs come online; should stop by itself.",
	ring_full:
		"The ring buffer was full: Hearth did not get to run in time. A larger ring or a lower rate helps.",
	bad_record: "A record was not in the expected form. Please report this: it is a bug.",
	unknown_stack: "The record that held the stack itself was lost. Heals when the stack is seen again.",
	queue_full: "Naming fell behind by more than its queue holds. Usual just after start on a busy machine.",
	no_memory: "Memory ran out.",
	store_failed: "The store refused a batch: disk full or I/O error. See the server's log.",
};

export function droppedOf(ledger: Ledger): number {
	return Object.values(ledger.dropped).reduce((sum, n) => sum + n, 0);
}

export function balances(ledger: Ledger): boolean {
	return ledger.taken === ledger.stored + droppedOf(ledger) + ledger.pending;
}

/* Heaviest first, without the reasons that never happened. */
export function lossesOf(ledgers: readonly Ledger[]): readonly Loss[] {
	const sums = new Map<string, number>();
	for (const ledger of ledgers)
		for (const [reason, count] of Object.entries(ledger.dropped))
			if (count > 0) sums.set(reason, (sums.get(reason) ?? 0) + count);
	return [...sums]
		.map(([reason, count]) => ({ reason, count, help: HELP[reason] ?? "" }))
		.sort((a, b) => b.count - a.count || (a.reason < b.reason ? -1 : 1));
}

#include "profile/ledger.h"

#include <stddef.h>

#include "base/array.h"

static const struct {
	const char *name;
	const char *help;
} reasons[] = {
	[DROP_NO_SCRATCH] = {"no_scratch", "a CPU had no scratch memory for the sample: it came up "
					   "after sampling began; restart Hearth"},
	[DROP_RING_FULL] = {"ring_full", "the ring buffer was full because Hearth got too little "
					 "CPU time to drain it; a larger ring or a lower --rate "
					 "helps"},
	[DROP_BAD_RECORD] = {"bad_record", "a record from the kernel was not of the agreed form; "
					   "please report this"},
	[DROP_UNKNOWN_STACK] = {"unknown_stack", "the record that carried the stack itself was "
						 "lost before; the stack is sent again by itself"},
	[DROP_QUEUE_FULL] = {"queue_full", "looking up names fell too far behind; it catches up "
					   "once new executables are read; a lower --rate helps"},
	[DROP_NO_MEMORY] = {"no_memory", "memory for the sample could not be had; free memory or "
					 "raise Hearth's memory limit"},
	[DROP_STORE_FAILED] = {"store_failed", "the store refused the samples, as when the disk is "
					       "full; free space or lower --max-disk"},
};
_Static_assert(ARRAY_LEN(reasons) == DROP_REASONS, "each reason has a name and a sentence");

const char *drop_reason_name(enum drop_reason reason)
{
	return (size_t)reason < DROP_REASONS ? reasons[reason].name : NULL;
}

const char *drop_reason_help(enum drop_reason reason)
{
	return (size_t)reason < DROP_REASONS ? reasons[reason].help : NULL;
}

uint64_t ledger_dropped(const struct ledger *ledger)
{
	uint64_t dropped = 0;
	for (size_t i = 0; i < DROP_REASONS; i++)
		dropped += ledger->dropped[i];
	return dropped;
}

int ledger_balances(const struct ledger *ledger)
{
	return ledger->taken == ledger->stored + ledger_dropped(ledger) + ledger->pending;
}

struct ledger ledger_since(const struct ledger *after, const struct ledger *before)
{
	struct ledger delta = {
		.taken = after->taken - before->taken,
		.stored = after->stored - before->stored,
		.pending = after->pending,
	};
	for (size_t i = 0; i < DROP_REASONS; i++)
		delta.dropped[i] = after->dropped[i] - before->dropped[i];
	return delta;
}

const char *stack_end_name(unsigned int end)
{
	static const char *const names[STACK_ENDS] = {
		"no user stack",           "complete",           "too deep",
		"address in no mapping",   "no unwind rows",     "no unwind info",
		"unsupported unwind info", "stack not readable", "implausible frame",
	};
	return end < STACK_ENDS ? names[end] : "unknown";
}

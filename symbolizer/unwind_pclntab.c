#include "symbolizer/unwind_pclntab.h"

#include <string.h>

#include "base/array.h"

enum { RETURN_ADDRESS_BYTES = 8, REG_R12 = 12 };

/* What has no caller on its stack, for tables without flags; and assembly that changes stacks:
 * what it calls runs on the stack of the scheduler, and its own caller waits on another. */
static const char *const outermost_names[] = {
	"runtime.goexit", "runtime.mcall",       "runtime.morestack",
	"runtime.mstart", "runtime.systemstack", "runtime.rt0_go",
};

static bool is_outermost(const struct pclntab_table *table, const struct pclntab_function *function)
{
	if (function->is_outermost)
		return true;
	const char *name = pclntab_string(&table->names, function->name_off);
	for (size_t i = 0; name && i < ARRAY_LEN(outermost_names); i++)
		if (!strcmp(name, outermost_names[i]))
			return true;
	return false;
}

int unwind_pclntab_add(struct unwind_entries *entries, const struct pclntab_table *table)
{
	int rc = 0;
	for (uint32_t i = 0; i < table->function_count && !rc; i++) {
		struct pclntab_function function;
		if (!pclntab_function_at(table, i, &function)) {
			entries->unknown[UNWIND_BAD_ENTRY]++;
			continue;
		}
		if (!function.sp_values)
			continue; /* the runtime does not know it either */
		rc = ARRAY_RESERVE(entries->functions, entries->cap, entries->count,
				   UNWIND_MAX_FUNCTIONS);
		if (!rc)
			entries->functions[entries->count++] = (struct unwind_function){
				.start_vaddr = function.start_vaddr,
				.limit_vaddr = function.end_vaddr,
				.program_off = i,
				.source = UNWIND_PCLNTAB,
			};
	}
	return rc;
}

static struct unwind_rule rule_of(int32_t pushed_bytes)
{
	struct unwind_rule rule = {
		.cfa = UNWIND_CFA_SP,
		.ra = UNWIND_AT_CFA,
		.ra_off = -RETURN_ADDRESS_BYTES,
	};
	if (__builtin_add_overflow(pushed_bytes, RETURN_ADDRESS_BYTES, &rule.cfa_off))
		return (struct unwind_rule){.cfa = UNWIND_CFA_UNSUPPORTED};
	/* syscall.rawVforkSyscall: the child would overwrite it on the stack that both use. */
	if (pushed_bytes == -RETURN_ADDRESS_BYTES) {
		rule.ra = UNWIND_AT_REG;
		rule.ra_off = REG_R12;
	}
	if (pushed_bytes > 0) {
		rule.fp = UNWIND_AT_CFA;
		rule.fp_off = -2 * RETURN_ADDRESS_BYTES;
	}
	return rule;
}

void unwind_pclntab_run(const struct pclntab_table *table, const struct unwind_function *function,
			unwind_pclntab_fn fn, void *ctx)
{
	static const struct unwind_rule end = {.cfa = UNWIND_CFA_END};
	static const struct unwind_rule hole = {0};
	struct pclntab_function record;
	uint64_t vaddr = function->start_vaddr;
	bool is_known = pclntab_function_at(table, function->program_off, &record);
	if (is_known && is_outermost(table, &record)) {
		fn(ctx, vaddr, &end);
		return;
	}
	struct pclntab_values values = pclntab_values_of(table, &record, record.sp_values);
	while (vaddr < function->limit_vaddr && pclntab_values_next(&values)) {
		struct unwind_rule rule = rule_of(values.value);
		fn(ctx, values.start_vaddr, &rule);
		vaddr = values.end_vaddr;
	}
	if (vaddr < function->limit_vaddr)
		fn(ctx, vaddr, &hole); /* what fills up to the next function */
}

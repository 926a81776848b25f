#include "profile/stack_advice.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"

enum {
	MAX_LIBRARIES = 8,     /* that advice is given for */
	MIN_CUT = 10,          /* fewer stacks than that say nothing about a library */
	MAX_CUT_PERMILLE = 10, /* what is not worth a word */
};

static const char more_memory[] = "give Hearth more memory: hearth serve --max-memory 512M";

/* What helps against an end, by number (profile/ledger.h); for code that lies in a file, and for
 * code made at run time. */
static const struct {
	const char *in_file;
	const char *in_jit;
} remedies[STACK_ENDS] = {
	[2] = {"nothing, if such deep recursion is meant: the innermost 512 frames are kept", NULL},
	[3] = {"nothing, if the program unloads its code while it runs; else please report this",
	       NULL},
	[4] = {more_memory, more_memory},
	[5] = {"build it with -fasynchronous-unwind-tables (assembly: with .cfi directives), or with "
	       "-fno-omit-frame-pointer",
	       "have the run time keep frame pointers: java -XX:+PreserveFramePointer, node "
	       "--perf-basic-prof --interpreted-frames-native-stack, python3 -X perf"},
	[6] = {"please report this library: its unwind information has rules that Hearth lacks",
	       NULL},
	[7] = {"nothing, while a program is new: of a deep stack only the upper part is copied until "
	       "its rows are in the kernel; if it stays, a larger --max-memory keeps them there",
	       NULL},
	[8] = {"build it with -fno-omit-frame-pointer; if it has unwind information, please report "
	       "this",
	       "have the run time keep frame pointers: java -XX:+PreserveFramePointer, node "
	       "--perf-basic-prof --interpreted-frames-native-stack, python3 -X perf"},
};

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t text_bytes,
						      const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list args;
	va_start(args, fmt);
	vsnprintf(text + len, text_bytes - len, fmt, args);
	va_end(args);
}

static uint64_t cut_of(const struct stack_quality_row *row)
{
	return stack_quality_walked(row->ends) - stack_quality_whole(row->ends);
}

static bool is_worth_a_word(uint64_t cut, uint64_t walked)
{
	return cut >= MIN_CUT && cut * 1000 > walked * MAX_CUT_PERMILLE;
}

/* The row with the most cut stacks. NULL: none is cut. */
static const struct stack_quality_row *most_cut(const struct stack_quality_table *table)
{
	const struct stack_quality_row *most = NULL;
	for (size_t i = 0; i < table->row_count; i++)
		if (cut_of(&table->rows[i]) > (most ? cut_of(most) : 0))
			most = &table->rows[i];
	return most;
}

/* The end that cut the most; 0: none. */
static unsigned int main_reason(const uint64_t ends[static STACK_ENDS])
{
	unsigned int most = 0;
	for (unsigned int end = 2; end < STACK_ENDS; end++)
		if (ends[end] > (most ? ends[most] : 0))
			most = end;
	return most;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static struct stack_advice judge_machine(const struct stack_quality *quality)
{
	struct stack_advice advice = {.topic = "whole stacks", .is_fine = true};
	uint64_t walked = stack_quality_walked(quality->ends);
	uint64_t whole = stack_quality_whole(quality->ends);
	if (!walked) {
		add(advice.finding, sizeof(advice.finding), "no user stack was sampled yet");
		return advice;
	}
	add(advice.finding, sizeof(advice.finding),
	    "%.1f %% of %" PRIu64 " user stacks reach their thread's start", percent(whole, walked),
	    walked);
	advice.is_fine = !is_worth_a_word(walked - whole, walked);
	if (advice.is_fine)
		return advice;
	const struct stack_quality_row *process = most_cut(&quality->processes);
	if (process)
		add(advice.finding, sizeof(advice.finding),
		    "; most cut: %s (pid %" PRIu32 "), %.1f %% of %" PRIu64, process->name,
		    process->pid, percent(cut_of(process), stack_quality_walked(process->ends)),
		    stack_quality_walked(process->ends));
	advice.remedy = "what the lines \"cut stacks\" say; the Status tab has all of them";
	return advice;
}

static struct stack_advice judge_memory(const struct stack_quality *quality,
					const struct unwind_memory *kernel)
{
	struct stack_advice advice = {.topic = "unwind memory"};
	add(advice.finding, sizeof(advice.finding),
	    "%.1f of %.1f MiB in the kernel in use, %" PRIu64 " loads, %" PRIu64
	    " evictions, %" PRIu64 " stacks finished in user space",
	    (double)kernel->used_bytes / (1 << 20), (double)kernel->cap_bytes / (1 << 20),
	    kernel->loads, kernel->evictions, kernel->misses);
	advice.is_fine = !kernel->evictions ||
			 !is_worth_a_word(kernel->misses, stack_quality_walked(quality->ends));
	advice.remedy = advice.is_fine ? NULL : more_memory;
	return advice;
}

static struct stack_advice judge_library(const struct stack_quality_row *row)
{
	struct stack_advice advice = {.topic = "cut stacks"};
	unsigned int reason = main_reason(row->ends);
	uint64_t walked = stack_quality_walked(row->ends);
	add(advice.finding, sizeof(advice.finding),
	    "%s: %.1f %% of the %" PRIu64 " stacks that end there are cut: %s", row->name,
	    percent(cut_of(row), walked), walked, stack_end_name(reason));
	bool is_jit = !strcmp(row->name, "[jit]") && remedies[reason].in_jit;
	advice.remedy = is_jit ? remedies[reason].in_jit : remedies[reason].in_file;
	return advice;
}

void stack_advise(const struct stack_quality *quality, const struct unwind_memory *kernel,
		  void (*visit)(void *ctx, const struct stack_advice *advice), void *ctx)
{
	struct stack_advice advice = judge_machine(quality);
	visit(ctx, &advice);
	advice = judge_memory(quality, kernel);
	visit(ctx, &advice);
	const struct stack_quality_table *libraries = &quality->libraries;
	bool told[STACK_QUALITY_ROWS] = {false};
	for (int n = 0; n < MAX_LIBRARIES; n++) {
		size_t most = libraries->row_count;
		for (size_t i = 0; i < libraries->row_count; i++) {
			const struct stack_quality_row *row = &libraries->rows[i];
			if (told[i] ||
			    !is_worth_a_word(cut_of(row), stack_quality_walked(row->ends)))
				continue;
			if (most == libraries->row_count ||
			    cut_of(row) > cut_of(&libraries->rows[most]))
				most = i;
		}
		if (most == libraries->row_count)
			return;
		told[most] = true;
		advice = judge_library(&libraries->rows[most]);
		visit(ctx, &advice);
	}
}

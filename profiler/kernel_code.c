#include "profiler/kernel_code.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/auto.h"

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* A line is "ffffffff81000300 T __irqentry_text_start", of a module with "\t[name]" behind it. */
static const char *parse_line(const char *line, uint64_t *ip)
{
	char *end;
	*ip = strtoull(line, &end, 16);
	if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ' || strchr(end, '\t'))
		return NULL;
	return end + 3;
}

static void clear_unless_whole(struct code_range *range)
{
	if (!range->start_ip || range->end_ip <= range->start_ip)
		*range = (struct code_range){0};
}

int kernel_code_read(struct kernel_code *code, const char *path, struct err *err)
{
	__attribute__((cleanup(close_file))) FILE *file = fopen(path, "re");
	if (!file)
		return err_set(err, -errno, "open %s: %m", path);
	struct kernel_code found = {0};
	const struct {
		const char *name;
		uint64_t *ip;
	} wanted[] = {
		{"__sched_text_start\n", &found.sched.start_ip},
		{"__sched_text_end\n", &found.sched.end_ip},
		{"try_to_wake_up\n", &found.wake.start_ip},
		{"asm_common_interrupt\n", &found.irq.start_ip},
		{"__irqentry_text_end\n", &found.irq.end_ip},
	};
	AUTO_MEM char *line = NULL;
	size_t line_cap = 0;
	while (getline(&line, &line_cap, file) > 0) {
		uint64_t ip;
		const char *name = parse_line(line, &ip);
		if (!name)
			continue;
		/* A function ends where the next one begins; symbols come in this order. */
		if (found.wake.start_ip && !found.wake.end_ip && ip > found.wake.start_ip)
			found.wake.end_ip = ip;
		for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
			if (!strcmp(name, wanted[i].name))
				*wanted[i].ip = ip;
	}
	clear_unless_whole(&found.sched);
	clear_unless_whole(&found.wake);
	clear_unless_whole(&found.irq);
	*code = found;
	return 0;
}

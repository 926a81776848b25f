#include <errno.h>
#include <stdlib.h>

#include "profiler/umem_state.h"

static void unlink_mentions(struct umem *umem, struct process_block *process)
{
	for (uint32_t i = 0; i < process->mapping_count; i++) {
		struct file *file = process->mentions[i].file;
		if (!file)
			continue;
		LIST_REMOVE(&process->mentions[i], link);
		umem_file_drop_unused(umem, file);
	}
}

static void process_block_unref(struct umem *umem, struct process_block *process)
{
	if (!process || --process->refs)
		return;
	unlink_mentions(umem, process);
	TAILQ_REMOVE(&umem->blocks, process, link);
	umem->stats.process_bytes -= umem_block_bytes(process->block);
	umem_alloc_retire(umem->alloc, process->block);
	free(process);
}

void umem_process_forget(struct umem *umem, uint32_t pid)
{
	struct process_block *process = map_remove(&umem->processes, pid);
	if (!process)
		return;
	umem->set_process(umem->ctx, pid, 0);
	process_block_unref(umem, process);
}

/* What the ranges from *next on say together; moves *next past them. */
static struct umem_range merge_ranges(const struct umem_range *ranges, size_t count, size_t *next)
{
	struct umem_range merged = ranges[(*next)++];
	for (; *next < count; (*next)++) {
		const struct umem_range *range = &ranges[*next];
		if (range->start_ip != merged.end_ip || range->file != merged.file ||
		    range->flags != merged.flags || (merged.file && range->bias != merged.bias))
			break;
		merged.end_ip = range->end_ip;
	}
	return merged;
}

static bool is_in_order(const struct umem_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ranges[i].start_ip >= ranges[i].end_ip ||
		    (i > 0 && ranges[i].start_ip < ranges[i - 1].end_ip))
			return false;
	return true;
}

static size_t count_merged(const struct umem_range *ranges, size_t count)
{
	size_t merged = 0;
	for (size_t next = 0; next < count; merged++)
		merge_ranges(ranges, count, &next);
	return merged;
}

static int lay_range(struct umem *umem, struct process_block *process, uint32_t index,
		     const struct umem_range *range)
{
	uint32_t at = umem_block_at(process->block);
	struct file *file = NULL;
	int rc = range->file ? umem_file_make(umem, range->file, &file) : 0;
	if (rc)
		return rc;
	struct mention *mention = &process->mentions[index];
	mention->file = file;
	mention->word = umem_mapping_file_at(at, index);
	if (file)
		LIST_INSERT_HEAD(&file->mentions, mention, link);
	struct umem_mapping mapping = {
		.start_ip = range->start_ip,
		.end_ip = range->end_ip,
		.bias = range->bias,
		.file = file && file->block ? umem_block_at(file->block) : 0,
		.flags = range->flags,
	};
	umem_lay_mapping(umem->words, at, index, &mapping);
	return 0;
}

static int lay_ranges(struct umem *umem, struct process_block *process,
		      const struct umem_range *ranges, size_t count)
{
	size_t next = 0;
	umem_lay_process(umem->words, umem_block_at(process->block), process->mapping_count);
	for (uint32_t i = 0; i < process->mapping_count; i++) {
		struct umem_range range = merge_ranges(ranges, count, &next);
		int rc = lay_range(umem, process, i, &range);
		if (rc)
			return rc;
	}
	return 0;
}

/* A block that no process has yet: a reference that the caller owns. */
static int make_process_block(struct umem *umem, const struct umem_range *ranges, size_t count,
			      struct process_block **out)
{
	if (!is_in_order(ranges, count))
		return -EINVAL;
	size_t mappings = count_merged(ranges, count);
	if (mappings > UMEM_MAX_MAPPINGS) {
		umem->stats.failures++;
		return -ENOSPC;
	}
	struct umem_block *block;
	int rc = umem_take(umem, umem_process_words(mappings), &block);
	if (rc)
		return rc;
	struct process_block *process =
		calloc(1, sizeof(*process) + mappings * sizeof(process->mentions[0]));
	if (!process) {
		umem_alloc_retire(umem->alloc, block);
		return -ENOMEM;
	}
	process->block = block;
	process->refs = 1;
	process->generation = umem->generation;
	process->mapping_count = (uint32_t)mappings;
	TAILQ_INSERT_TAIL(&umem->blocks, process, link);
	umem->stats.process_bytes += umem_block_bytes(block);
	rc = lay_ranges(umem, process, ranges, count);
	if (rc)
		process_block_unref(umem, process);
	else
		*out = process;
	return rc;
}

/* Let pid have the block instead of what it has; takes the reference. */
static int publish_process(struct umem *umem, uint32_t pid, struct process_block *process)
{
	struct process_block *old = map_get(&umem->processes, pid);
	int rc = map_put(&umem->processes, pid, process);
	if (rc) {
		process_block_unref(umem, process);
		return rc;
	}
	rc = umem->set_process(umem->ctx, pid, umem_block_at(process->block));
	if (rc)
		umem_process_forget(umem, pid);
	process_block_unref(umem, old);
	return rc;
}

int umem_process_set(struct umem *umem, uint32_t pid, const struct umem_range *ranges, size_t count)
{
	struct process_block *process;
	int rc = make_process_block(umem, ranges, count, &process);
	if (!rc)
		rc = publish_process(umem, pid, process);
	if (rc)
		umem_process_forget(umem, pid);
	return rc;
}

void umem_process_share(struct umem *umem, uint32_t child_pid, uint32_t parent_pid)
{
	struct process_block *process = map_get(&umem->processes, parent_pid);
	if (!process) {
		umem_process_forget(umem, child_pid);
		return;
	}
	process->refs++;
	process->generation = umem->generation;
	TAILQ_REMOVE(&umem->blocks, process, link);
	TAILQ_INSERT_TAIL(&umem->blocks, process, link);
	if (publish_process(umem, child_pid, process))
		umem_process_forget(umem, child_pid);
}

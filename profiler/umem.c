#include "profiler/umem.h"

#include <errno.h>
#include <stdlib.h>

#include "profiler/umem_state.h"

enum {
	MIN_WORDS = 1 << 12,
	MAX_WORDS = 1 << 30,
	MAX_PROCESSES = 65536, /* as the kernel's map (bpf/unwind.bpf.h: umem_processes) */
	MAX_FILES = 65536,
};

static int lay_hole(struct umem *umem)
{
	static const struct unwind_row hole = {0};
	struct umem_block *block = umem_alloc_take(umem->alloc, (uint32_t)umem_page_words(1));
	if (!block)
		return -ENOMEM;
	umem->hole = umem_block_at(block);
	umem_lay_page(umem->words, umem->hole, &hole, 1, umem->generation);
	return 0;
}

int umem_new(struct umem **out, const struct umem_options *options, struct err *err)
{
	uint32_t word_count = options->word_count;
	if (word_count < MIN_WORDS || word_count > MAX_WORDS || (word_count & (word_count - 1)))
		return err_set(err, -EINVAL, "unwind memory of %u words", word_count);
	AUTO(umem) umem = calloc(1, sizeof(*umem));
	if (!umem)
		return err_set(err, -ENOMEM, "unwind memory: %m");
	pthread_mutex_init(&umem->lock, NULL);
	map_init(&umem->processes, MAX_PROCESSES);
	map_init(&umem->files, MAX_FILES);
	TAILQ_INIT(&umem->blocks);
	umem->words = options->words;
	umem->word_count = word_count;
	umem->set_process = options->set_process;
	umem->ctx = options->ctx;
	umem->generation = 1;
	int rc = umem_alloc_new(&umem->alloc, word_count, err);
	if (rc)
		return rc;
	rc = lay_hole(umem);
	if (rc)
		return err_set(err, rc, "unwind memory: %m");
	*out = TAKE(umem);
	return 0;
}

static void file_free(struct file *file)
{
	while (!LIST_EMPTY(&file->pages)) {
		struct page *page = LIST_FIRST(&file->pages);
		LIST_REMOVE(page, link);
		free(page);
	}
	free(file);
}

void umem_free(struct umem *umem)
{
	if (!umem)
		return;
	while (!TAILQ_EMPTY(&umem->blocks)) {
		struct process_block *process = TAILQ_FIRST(&umem->blocks);
		TAILQ_REMOVE(&umem->blocks, process, link);
		free(process);
	}
	size_t cursor = 0;
	struct file *file;
	while ((file = map_next(&umem->files, &cursor, NULL)) != NULL)
		file_free(file);
	map_fini(&umem->processes);
	map_fini(&umem->files);
	umem_alloc_free(umem->alloc);
	pthread_mutex_destroy(&umem->lock);
	free(umem);
}

int umem_set_process(struct umem *umem, uint32_t pid, const struct umem_range *ranges, size_t count)
{
	pthread_mutex_lock(&umem->lock);
	int rc = umem_process_set(umem, pid, ranges, count);
	pthread_mutex_unlock(&umem->lock);
	return rc;
}

void umem_share_process(struct umem *umem, uint32_t child_pid, uint32_t parent_pid)
{
	pthread_mutex_lock(&umem->lock);
	umem_process_share(umem, child_pid, parent_pid);
	pthread_mutex_unlock(&umem->lock);
}

void umem_remove_process(struct umem *umem, uint32_t pid)
{
	pthread_mutex_lock(&umem->lock);
	umem_process_forget(umem, pid);
	pthread_mutex_unlock(&umem->lock);
}

bool umem_has_process(struct umem *umem, uint32_t pid)
{
	pthread_mutex_lock(&umem->lock);
	bool is_there = map_get(&umem->processes, pid) != NULL;
	pthread_mutex_unlock(&umem->lock);
	return is_there;
}

int umem_add_file(struct umem *umem, const void *file, const struct unwind_rows *rows)
{
	pthread_mutex_lock(&umem->lock);
	int rc = umem_file_add(umem, file, rows);
	pthread_mutex_unlock(&umem->lock);
	return rc;
}

void umem_drop_rows(struct umem *umem, const void *file)
{
	pthread_mutex_lock(&umem->lock);
	struct file *known = umem_file_get(umem, file);
	if (known)
		known->rows = NULL;
	pthread_mutex_unlock(&umem->lock);
}

void umem_remove_file(struct umem *umem, const void *file)
{
	pthread_mutex_lock(&umem->lock);
	struct file *known = umem_file_get(umem, file);
	if (known && known->block)
		umem_file_unload(umem, known);
	pthread_mutex_unlock(&umem->lock);
}

bool umem_has_file(struct umem *umem, const void *file)
{
	pthread_mutex_lock(&umem->lock);
	const struct file *known = umem_file_get(umem, file);
	bool is_there = known && known->block;
	pthread_mutex_unlock(&umem->lock);
	return is_there;
}

bool umem_is_mapped(struct umem *umem, const void *file)
{
	pthread_mutex_lock(&umem->lock);
	const struct file *known = umem_file_get(umem, file);
	bool is_mapped = known && !LIST_EMPTY(&known->mentions);
	pthread_mutex_unlock(&umem->lock);
	return is_mapped;
}

int umem_load_page(struct umem *umem, const void *file, uint64_t vaddr)
{
	pthread_mutex_lock(&umem->lock);
	int rc = umem_page_load(umem, file, vaddr);
	pthread_mutex_unlock(&umem->lock);
	return rc;
}

void umem_tick(struct umem *umem, uint64_t now_mono_ns)
{
	pthread_mutex_lock(&umem->lock);
	__atomic_store_n(&umem->generation, umem->generation + 1, __ATOMIC_RELAXED);
	umem_keep_reserve(umem);
	umem_alloc_reclaim(umem->alloc, now_mono_ns);
	pthread_mutex_unlock(&umem->lock);
}

uint32_t umem_generation(const struct umem *umem)
{
	return __atomic_load_n(&umem->generation, __ATOMIC_RELAXED);
}

void umem_stats(struct umem *umem, struct umem_stats *stats)
{
	pthread_mutex_lock(&umem->lock);
	*stats = umem->stats;
	stats->cap_bytes = (uint64_t)umem->word_count * sizeof(uint32_t);
	stats->processes = umem->processes.count;
	stats->retired_bytes = (uint64_t)umem_alloc_retired_words(umem->alloc) * sizeof(uint32_t);
	stats->free_bytes = (uint64_t)umem_alloc_free_words(umem->alloc) * sizeof(uint32_t);
	pthread_mutex_unlock(&umem->lock);
}

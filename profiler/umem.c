#include "profiler/umem.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/array.h"
#include "base/map.h"
#include "profiler/umem_alloc.h"
#include "profiler/umem_layout.h"
#include "symbolizer/unwind_rows.h"

enum {
	MIN_WORDS = 1 << 12,
	MAX_WORDS = 1 << 30,
	MAX_BLOCK_SHARE = 4,   /* one block takes at most this part of the memory */
	RESERVE_SHARE = 20,    /* this part is kept free, and evicted at a time */
	MAX_PROCESSES = 65536, /* as the kernel's map (bpf/unwind.bpf.h: umem_processes) */
	MAX_FILES = 65536,
	MIN_IDLE_GENERATIONS = 10, /* used more recently: not evicted */
	MIN_PROCESS_GENERATIONS = 100,
};

/* A mapping of a file, whether the walker knows the file or not. */
struct mention {
	LIST_ENTRY(mention) link;
	struct file *file; /* NULL: the mapping has none */
	uint32_t word;     /* where the file's block is referred to */
};

/* The mappings of one process, or of some that share them. */
struct process_block {
	TAILQ_ENTRY(process_block) link;
	struct umem_block *block;
	uint32_t refs; /* pids */
	uint32_t generation;
	bool is_doomed;
	uint32_t mapping_count;
	struct mention mentions[]; /* one per mapping */
};

struct page {
	LIST_ENTRY(page) link;
	struct file *file;
	struct umem_block *block;
	uint32_t word; /* where it is referred to */
};

/* A file that is mapped, or known to the walker, or both. */
struct file {
	const void *key;
	LIST_HEAD(, mention) mentions;
	/* Unless the walker knows it all below is zero. */
	const struct unwind_rows *rows;
	struct umem_block *block;
	uint32_t first_page, page_count;
	uint32_t generation; /* of the last use, but for those of pages that are there */
	LIST_HEAD(, page) pages;
};

struct umem {
	uint32_t *words;
	uint32_t word_count;
	int (*set_process)(void *ctx, uint32_t pid, uint32_t block);
	void *ctx;
	pthread_mutex_t lock; /* guards all below, and writing words */
	uint32_t generation;  /* read without the lock */
	struct umem_alloc *alloc;
	uint32_t hole;        /* a page that is one hole, for all files */
	struct map processes; /* pid: struct process_block */
	TAILQ_HEAD(process_blocks, process_block) blocks; /* the one set the longest ago first */
	struct map files;                                 /* key: struct file */
	struct umem_stats stats;
};

static uint64_t block_bytes(const struct umem_block *block)
{
	return (uint64_t)umem_block_words(block) * sizeof(uint32_t);
}

/* Files. */

static struct file *file_get(const struct umem *umem, const void *key)
{
	return map_get(&umem->files, (uintptr_t)key);
}

/* The file, made when it is new. -ENOMEM; -ENOSPC: too many. */
static int file_make(struct umem *umem, const void *key, struct file **out)
{
	struct file *file = file_get(umem, key);
	if (!file) {
		file = calloc(1, sizeof(*file));
		if (!file)
			return -ENOMEM;
		file->key = key;
		int rc = map_put(&umem->files, (uintptr_t)key, file);
		if (rc) {
			free(file);
			return rc;
		}
	}
	*out = file;
	return 0;
}

static void file_drop_unused(struct umem *umem, struct file *file)
{
	if (file->block || !LIST_EMPTY(&file->mentions))
		return;
	map_remove(&umem->files, (uintptr_t)file->key);
	free(file);
}

static void link_mentions(struct umem *umem, const struct file *file, uint32_t block)
{
	struct mention *mention;
	LIST_FOREACH(mention, &file->mentions, link)
	umem_link(umem->words, mention->word, block);
}

static uint32_t page_generation(const struct umem *umem, const struct page *page)
{
	const uint32_t *used = umem->words + umem_block_at(page->block) + UMEM_PAGE_USED;
	return __atomic_load_n(used, __ATOMIC_RELAXED);
}

static void unload_page(struct umem *umem, struct page *page)
{
	struct file *file = page->file;
	uint32_t generation = page_generation(umem, page);
	if ((int32_t)(generation - file->generation) > 0)
		file->generation = generation;
	umem_link(umem->words, page->word, 0);
	umem->stats.pages--;
	umem->stats.page_bytes -= block_bytes(page->block);
	umem_alloc_retire(umem->alloc, page->block);
	LIST_REMOVE(page, link);
	free(page);
}

/* The walker does not know the file any more. */
static void unload_file(struct umem *umem, struct file *file)
{
	link_mentions(umem, file, 0);
	while (!LIST_EMPTY(&file->pages))
		unload_page(umem, LIST_FIRST(&file->pages));
	umem->stats.files--;
	umem->stats.file_bytes -= block_bytes(file->block);
	umem_alloc_retire(umem->alloc, file->block);
	file->block = NULL;
	file->rows = NULL;
	file_drop_unused(umem, file);
}

/* Process blocks. */

static void unlink_mentions(struct umem *umem, struct process_block *process)
{
	for (uint32_t i = 0; i < process->mapping_count; i++) {
		struct file *file = process->mentions[i].file;
		if (!file)
			continue;
		LIST_REMOVE(&process->mentions[i], link);
		file_drop_unused(umem, file);
	}
}

static void process_block_unref(struct umem *umem, struct process_block *process)
{
	if (!process || --process->refs)
		return;
	unlink_mentions(umem, process);
	TAILQ_REMOVE(&umem->blocks, process, link);
	umem->stats.process_bytes -= block_bytes(process->block);
	umem_alloc_retire(umem->alloc, process->block);
	free(process);
}

static void forget_process(struct umem *umem, uint32_t pid)
{
	struct process_block *process = map_remove(&umem->processes, pid);
	if (!process)
		return;
	umem->set_process(umem->ctx, pid, 0);
	process_block_unref(umem, process);
}

/* Eviction. */

struct candidate {
	uint32_t idle_generations;
	void *item; /* struct page or struct file */
};

struct candidates {
	struct candidate *items;
	size_t count, cap;
};

static void candidates_fini(struct candidates *candidates)
{
	free(candidates->items);
}

static int compare_idle(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	return (a->idle_generations < b->idle_generations) -
	       (a->idle_generations > b->idle_generations);
}

/* Without memory for more of them, those that are there will do. */
static void add_candidate(const struct umem *umem, struct candidates *candidates, void *item,
			  uint32_t generation)
{
	uint32_t idle_generations = umem->generation - generation;
	if (idle_generations < MIN_IDLE_GENERATIONS ||
	    ARRAY_RESERVE(candidates->items, candidates->cap, candidates->count,
			  umem->word_count / UMEM_ALLOC_UNIT_WORDS))
		return;
	candidates->items[candidates->count++] =
		(struct candidate){.idle_generations = idle_generations, .item = item};
}

static void add_idle_pages(const struct umem *umem, struct candidates *candidates)
{
	size_t cursor = 0;
	const struct file *file;
	while ((file = map_next(&umem->files, &cursor, NULL)) != NULL) {
		struct page *page;
		LIST_FOREACH(page, &file->pages, link)
		add_candidate(umem, candidates, page, page_generation(umem, page));
	}
}

static void add_idle_files(const struct umem *umem, struct candidates *candidates)
{
	size_t cursor = 0;
	struct file *file;
	while ((file = map_next(&umem->files, &cursor, NULL)) != NULL)
		if (file->block && LIST_EMPTY(&file->pages))
			add_candidate(umem, candidates, file, file->generation);
}

static bool has_retired(const struct umem *umem, uint32_t words)
{
	return umem_alloc_retired_words(umem->alloc) >= words;
}

/* Until so many words are retired. Likewise below. */
static void evict_pages(struct umem *umem, uint32_t words)
{
	AUTO_FINI(candidates_fini) struct candidates idle = {0};
	add_idle_pages(umem, &idle);
	if (idle.count)
		qsort(idle.items, idle.count, sizeof(*idle.items), compare_idle);
	for (size_t i = 0; i < idle.count && !has_retired(umem, words); i++) {
		unload_page(umem, idle.items[i].item);
		umem->stats.page_evictions++;
	}
}

static void evict_files(struct umem *umem, uint32_t words)
{
	AUTO_FINI(candidates_fini) struct candidates idle = {0};
	add_idle_files(umem, &idle);
	if (idle.count)
		qsort(idle.items, idle.count, sizeof(*idle.items), compare_idle);
	for (size_t i = 0; i < idle.count && !has_retired(umem, words); i++) {
		unload_file(umem, idle.items[i].item);
		umem->stats.file_evictions++;
	}
}

static void forget_doomed(struct umem *umem)
{
	size_t cursor = 0;
	uint64_t pid;
	const struct process_block *process;
	while ((process = map_next(&umem->processes, &cursor, &pid)) != NULL) {
		if (!process->is_doomed)
			continue;
		forget_process(umem, (uint32_t)pid);
		umem->stats.process_evictions++;
	}
}

static void evict_processes(struct umem *umem, uint32_t words)
{
	uint64_t doomed_words = umem_alloc_retired_words(umem->alloc);
	struct process_block *process;
	TAILQ_FOREACH(process, &umem->blocks, link)
	{
		if (doomed_words >= words ||
		    umem->generation - process->generation < MIN_PROCESS_GENERATIONS)
			break;
		process->is_doomed = true;
		doomed_words += umem_block_words(process->block);
	}
	if (process != TAILQ_FIRST(&umem->blocks))
		forget_doomed(umem);
}

/* See to it that so many words are retired, if what is idle suffices. */
static void evict(struct umem *umem, uint32_t words)
{
	if (!has_retired(umem, words))
		evict_pages(umem, words);
	if (!has_retired(umem, words))
		evict_files(umem, words);
	if (!has_retired(umem, words))
		evict_processes(umem, words);
}

/* A block for what takes so many words. When there is no room, there will be some after a grace
 * period: what is retired by then is not evicted once more for every call that fails. */
static int take(struct umem *umem, uint64_t words, struct umem_block **block)
{
	uint32_t reserve = umem->word_count / RESERVE_SHARE;
	bool is_too_large = words > umem->word_count / MAX_BLOCK_SHARE;
	struct umem_block *taken =
		is_too_large ? NULL : umem_alloc_take(umem->alloc, (uint32_t)words);
	if (!taken) {
		umem->stats.failures++;
		if (!is_too_large)
			evict(umem, words > reserve ? (uint32_t)words : reserve);
		return -ENOSPC;
	}
	*block = taken;
	return 0;
}

/* Setting processes. */

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
	int rc = range->file ? file_make(umem, range->file, &file) : 0;
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
	if (mappings > UMEM_MAX_MAPPINGS)
		return -ENOSPC;
	struct umem_block *block;
	int rc = take(umem, umem_process_words(mappings), &block);
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
	umem->stats.process_bytes += block_bytes(block);
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
		forget_process(umem, pid);
	process_block_unref(umem, old);
	return rc;
}

static int set_process(struct umem *umem, uint32_t pid, const struct umem_range *ranges,
		       size_t count)
{
	struct process_block *process;
	int rc = make_process_block(umem, ranges, count, &process);
	if (!rc)
		rc = publish_process(umem, pid, process);
	if (rc)
		forget_process(umem, pid);
	return rc;
}

static void share_process(struct umem *umem, uint32_t child_pid, uint32_t parent_pid)
{
	struct process_block *process = map_get(&umem->processes, parent_pid);
	if (!process) {
		forget_process(umem, child_pid);
		return;
	}
	process->refs++;
	process->generation = umem->generation;
	TAILQ_REMOVE(&umem->blocks, process, link);
	TAILQ_INSERT_TAIL(&umem->blocks, process, link);
	if (publish_process(umem, child_pid, process))
		forget_process(umem, child_pid);
}

/* Adding files, loading pages. */

static void lay_file(struct umem *umem, const struct file *file)
{
	const struct unwind_rows *rows = file->rows;
	uint32_t at = umem_block_at(file->block);
	umem_lay_file(umem->words, at, file->first_page, file->page_count, rows->rules,
		      (uint32_t)rows->rule_count);
	for (uint32_t i = 0; i < file->page_count; i++)
		umem->words[umem_file_page_at(at, i)] = umem->hole;
	for (size_t i = 0; i < rows->page_count; i++) {
		uint32_t page = rows->pages[i].number - file->first_page;
		umem->words[umem_file_page_at(at, page)] = 0;
	}
}

/* From the lowest page that has rows to the highest. */
static uint64_t page_span(const struct unwind_rows *rows, uint32_t *first_page)
{
	*first_page = rows->page_count ? rows->pages[0].number : 0;
	if (!rows->page_count)
		return 0;
	return (uint64_t)rows->pages[rows->page_count - 1].number - *first_page + 1;
}

static int add_file(struct umem *umem, const void *key, const struct unwind_rows *rows)
{
	struct file *file = file_get(umem, key);
	if (file && file->block)
		return -EEXIST;
	uint32_t first_page;
	uint64_t page_count = page_span(rows, &first_page);
	struct umem_block *block;
	int rc = take(umem, umem_file_words(page_count, rows->rule_count), &block);
	if (rc)
		return rc;
	rc = file_make(umem, key, &file); /* not before: it may go when processes are evicted */
	if (rc) {
		umem_alloc_retire(umem->alloc, block);
		return rc;
	}
	file->block = block;
	file->rows = rows;
	file->first_page = first_page;
	file->page_count = (uint32_t)page_count;
	file->generation = umem->generation;
	umem->stats.files++;
	umem->stats.file_bytes += block_bytes(block);
	lay_file(umem, file);
	link_mentions(umem, file, umem_block_at(block));
	return 0;
}

static int lay_page(struct umem *umem, struct file *file, uint32_t word, uint64_t vaddr)
{
	size_t count;
	const struct unwind_row *rows = unwind_rows_page(file->rows, vaddr, &count);
	assert(rows);
	struct page *page = calloc(1, sizeof(*page));
	if (!page)
		return -ENOMEM;
	file->generation = umem->generation; /* it stays when others are evicted */
	int rc = take(umem, umem_page_words(count), &page->block);
	if (rc) {
		free(page);
		return rc;
	}
	page->file = file;
	page->word = word;
	LIST_INSERT_HEAD(&file->pages, page, link);
	uint32_t at = umem_block_at(page->block);
	umem_lay_page(umem->words, at, rows, (uint32_t)count, umem->generation);
	umem_link(umem->words, word, at);
	umem->stats.pages++;
	umem->stats.loads++;
	umem->stats.page_bytes += block_bytes(page->block);
	return 0;
}

static int load_page(struct umem *umem, const void *key, uint64_t vaddr)
{
	struct file *file = file_get(umem, key);
	if (!file || !file->block)
		return -ENOENT;
	uint64_t number = vaddr >> UMEM_PAGE_SHIFT;
	if (number < file->first_page || number - file->first_page >= file->page_count)
		return 0;
	uint32_t word = umem_file_page_at(umem_block_at(file->block),
					  (uint32_t)(number - file->first_page));
	return umem->words[word] ? 0 : lay_page(umem, file, word, vaddr);
}

/* What others call. */

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
	int rc = set_process(umem, pid, ranges, count);
	pthread_mutex_unlock(&umem->lock);
	return rc;
}

void umem_share_process(struct umem *umem, uint32_t child_pid, uint32_t parent_pid)
{
	pthread_mutex_lock(&umem->lock);
	share_process(umem, child_pid, parent_pid);
	pthread_mutex_unlock(&umem->lock);
}

void umem_remove_process(struct umem *umem, uint32_t pid)
{
	pthread_mutex_lock(&umem->lock);
	forget_process(umem, pid);
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
	int rc = add_file(umem, file, rows);
	pthread_mutex_unlock(&umem->lock);
	return rc;
}

void umem_remove_file(struct umem *umem, const void *file)
{
	pthread_mutex_lock(&umem->lock);
	struct file *known = file_get(umem, file);
	if (known && known->block)
		unload_file(umem, known);
	pthread_mutex_unlock(&umem->lock);
}

bool umem_has_file(struct umem *umem, const void *file)
{
	pthread_mutex_lock(&umem->lock);
	const struct file *known = file_get(umem, file);
	bool is_there = known && known->block;
	pthread_mutex_unlock(&umem->lock);
	return is_there;
}

int umem_load_page(struct umem *umem, const void *file, uint64_t vaddr)
{
	pthread_mutex_lock(&umem->lock);
	int rc = load_page(umem, file, vaddr);
	pthread_mutex_unlock(&umem->lock);
	return rc;
}

void umem_tick(struct umem *umem, uint64_t now_mono_ns)
{
	uint32_t reserve = umem->word_count / RESERVE_SHARE;
	pthread_mutex_lock(&umem->lock);
	__atomic_store_n(&umem->generation, umem->generation + 1, __ATOMIC_RELAXED);
	uint32_t free_words = umem_alloc_free_words(umem->alloc);
	/* Room is made before somebody asks for it: it takes a grace period. */
	if (free_words < reserve)
		evict(umem, reserve - free_words);
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

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "profiler/umem_state.h"
#include "symbolizer/unwind_rows.h"

struct file *umem_file_get(const struct umem *umem, const void *key)
{
	return map_get(&umem->files, (uintptr_t)key);
}

int umem_file_make(struct umem *umem, const void *key, struct file **out)
{
	struct file *file = umem_file_get(umem, key);
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

void umem_file_drop_unused(struct umem *umem, struct file *file)
{
	if (file->block || !LIST_EMPTY(&file->mentions))
		return;
	map_remove(&umem->files, (uintptr_t)file->key);
	free(file);
}

static void link_mentions(struct umem *umem, const struct file *file, uint32_t block)
{
	const struct mention *mention = LIST_FIRST(&file->mentions);
	for (; mention; mention = LIST_NEXT(mention, link))
		umem_link(umem->words, mention->word, block);
}

uint32_t umem_page_generation(const struct umem *umem, const struct page *page)
{
	const uint32_t *used = umem->words + umem_block_at(page->block) + UMEM_PAGE_USED;
	return __atomic_load_n(used, __ATOMIC_RELAXED);
}

void umem_page_unload(struct umem *umem, struct page *page)
{
	struct file *file = page->file;
	uint32_t generation = umem_page_generation(umem, page);
	if ((int32_t)(generation - file->generation) > 0)
		file->generation = generation;
	umem_link(umem->words, page->word, 0);
	umem->stats.pages--;
	umem->stats.page_bytes -= umem_block_bytes(page->block);
	umem_alloc_retire(umem->alloc, page->block);
	LIST_REMOVE(page, link);
	free(page);
}

void umem_file_unload(struct umem *umem, struct file *file)
{
	link_mentions(umem, file, 0);
	while (!LIST_EMPTY(&file->pages))
		umem_page_unload(umem, LIST_FIRST(&file->pages));
	umem->stats.files--;
	umem->stats.file_bytes -= umem_block_bytes(file->block);
	umem_alloc_retire(umem->alloc, file->block);
	file->block = NULL;
	file->rows = NULL;
	umem_file_drop_unused(umem, file);
}

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

/* Rows that were dropped come again. False: they are not those of the block that is there. */
static bool restore_rows(struct file *file, const struct unwind_rows *rows)
{
	uint32_t first_page;
	uint64_t page_count = page_span(rows, &first_page);
	if (first_page != file->first_page || page_count != file->page_count ||
	    rows->rule_count != file->rule_count)
		return false;
	file->rows = rows;
	return true;
}

int umem_file_add(struct umem *umem, const void *key, const struct unwind_rows *rows)
{
	struct file *file = umem_file_get(umem, key);
	if (file && file->block && file->rows)
		return -EEXIST;
	if (file && file->block && restore_rows(file, rows))
		return 0;
	if (file && file->block)
		umem_file_unload(umem, file);
	uint32_t first_page;
	uint64_t page_count = page_span(rows, &first_page);
	struct umem_block *block;
	int rc = umem_take(umem, umem_file_words(page_count, rows->rule_count), &block);
	if (rc)
		return rc;
	/* Not before: it may go when processes are evicted. */
	rc = umem_file_make(umem, key, &file);
	if (rc) {
		umem_alloc_retire(umem->alloc, block);
		return rc;
	}
	file->block = block;
	file->rows = rows;
	file->first_page = first_page;
	file->page_count = (uint32_t)page_count;
	file->rule_count = (uint32_t)rows->rule_count;
	file->generation = umem->generation;
	umem->stats.files++;
	umem->stats.file_bytes += umem_block_bytes(block);
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
	int rc = umem_take(umem, umem_page_words(count), &page->block);
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
	umem->stats.page_bytes += umem_block_bytes(page->block);
	return 0;
}

int umem_page_load(struct umem *umem, const void *key, uint64_t vaddr)
{
	struct file *file = umem_file_get(umem, key);
	if (!file || !file->rows)
		return -ENOENT;
	uint64_t number = vaddr >> UMEM_PAGE_SHIFT;
	if (number < file->first_page || number - file->first_page >= file->page_count)
		return 0;
	uint32_t word = umem_file_page_at(umem_block_at(file->block),
					  (uint32_t)(number - file->first_page));
	return umem->words[word] ? 0 : lay_page(umem, file, word, vaddr);
}

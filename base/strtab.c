#include "base/strtab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/auto.h"
#include "base/hash.h"

struct span {
	const char *text;
	size_t len_bytes;
};

static bool same_text(const void *ctx, uint32_t position, const void *key)
{
	const struct strtab *tab = ctx;
	const struct span *span = key;
	const char *have = tab->texts[position];
	return !strncmp(have, span->text, span->len_bytes) && !have[span->len_bytes];
}

int strtab_init(struct strtab *tab, size_t max_count, size_t max_bytes)
{
	*tab = (struct strtab){.max_bytes = max_bytes};
	index_init(&tab->index, max_count);
	uint32_t id;
	return strtab_add(tab, "", &id);
}

void strtab_fini(struct strtab *tab)
{
	for (size_t i = 0; i < tab->count; i++)
		free(tab->texts[i]);
	free(tab->texts);
	index_fini(&tab->index);
	*tab = (struct strtab){0};
}

static int push(struct strtab *tab, char *text)
{
	int rc = ARRAY_RESERVE(tab->texts, tab->cap, tab->count, tab->index.max_count);
	if (!rc)
		tab->texts[tab->count] = text;
	return rc;
}

int strtab_add_bytes(struct strtab *tab, const char *text, size_t len_bytes, uint32_t *id)
{
	struct span span = {text, strnlen(text, len_bytes)};
	uint64_t hash = hash_bytes(span.text, span.len_bytes);
	uint32_t found = index_find(&tab->index, hash, same_text, tab, &span);
	if (found != INDEX_NONE) {
		*id = found;
		return 0;
	}
	if (span.len_bytes + 1 > tab->max_bytes - tab->total_bytes)
		return -ENOSPC;
	AUTO_MEM char *copy = strndup(span.text, span.len_bytes);
	if (!copy)
		return -ENOMEM;
	int rc = push(tab, copy);
	if (!rc)
		rc = index_add(&tab->index, hash, (uint32_t)tab->count);
	if (rc)
		return rc;
	*id = (uint32_t)tab->count++;
	tab->total_bytes += span.len_bytes + 1;
	copy = NULL; /* the table has it */
	return 0;
}

int strtab_add(struct strtab *tab, const char *text, uint32_t *id)
{
	return strtab_add_bytes(tab, text, strlen(text), id);
}

uint32_t strtab_find(const struct strtab *tab, const char *text)
{
	struct span span = {text, strlen(text)};
	return index_find(&tab->index, hash_bytes(text, span.len_bytes), same_text, tab, &span);
}

const char *strtab_get(const struct strtab *tab, uint32_t id)
{
	return id < tab->count ? tab->texts[id] : "";
}

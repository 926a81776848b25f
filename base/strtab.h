/*
 * strtab: distinct strings, each with a dense id in the order of arrival; id 0 is "".
 *
 * Bytes are kept as given (any bytes but NUL). Ceilings given at the start. One thread;
 * immutable once nobody adds, then any number may read.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/index.h"

struct strtab {
	char **texts; /* by id; owned */
	size_t count;
	size_t cap;
	size_t total_bytes;
	size_t max_bytes;
	struct index index;
};

/* max_count and max_bytes bound what is held, id 0 included. -ENOMEM; -ENOSPC when not even
 * that fits. strtab_fini() is owed in any case. */
int strtab_init(struct strtab *tab, size_t max_count, size_t max_bytes);
void strtab_fini(struct strtab *tab);

/* The id of text, added when new. -ENOMEM; -ENOSPC at a ceiling. */
int strtab_add(struct strtab *tab, const char *text, uint32_t *id);
/* Same for len_bytes that need no NUL; a NUL inside ends the text. */
int strtab_add_bytes(struct strtab *tab, const char *text, size_t len_bytes, uint32_t *id);
/* The id of text, or INDEX_NONE. */
uint32_t strtab_find(const struct strtab *tab, const char *text);
/* Borrowed until strtab_fini(); "" for an id that is not there. */
const char *strtab_get(const struct strtab *tab, uint32_t id);

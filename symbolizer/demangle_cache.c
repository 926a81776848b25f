#include "symbolizer/demangle_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/strtab.h"
#include "symbolizer/demangle.h"

/* Between two sweeps; what comes beyond them stays mangled. */
enum { MAX_NAMES = 1 << 22 };
#define MAX_MANGLED_BYTES ((size_t)1 << 30)

struct demangle_cache {
	struct strtab mangled;
	char **readable; /* by id of `mangled`; NULL: no other form; owned */
	size_t readable_cap;
	size_t readable_count;
	size_t readable_bytes;
	size_t max_bytes;
};

static int start(struct demangle_cache *cache)
{
	return strtab_init(&cache->mangled, MAX_NAMES, MAX_MANGLED_BYTES);
}

static void empty(struct demangle_cache *cache)
{
	for (size_t i = 0; i < cache->readable_count; i++)
		free(cache->readable[i]);
	cache->readable_count = 0;
	cache->readable_bytes = 0;
	strtab_fini(&cache->mangled);
}

int demangle_cache_new(struct demangle_cache **out, size_t max_bytes, struct err *err)
{
	AUTO(demangle_cache) cache = calloc(1, sizeof(*cache));
	if (!cache)
		return err_set(err, -ENOMEM, "demangle: %m");
	cache->max_bytes = max_bytes;
	int rc = start(cache);
	if (rc)
		return err_set(err, rc, "demangle: %m");
	*out = TAKE(cache);
	return 0;
}

void demangle_cache_free(struct demangle_cache *cache)
{
	if (!cache)
		return;
	empty(cache);
	free(cache->readable);
	free(cache);
}

/* The readable form of the next name that has none yet: ids are dense. */
static int add_readable(struct demangle_cache *cache)
{
	size_t id = cache->readable_count;
	int rc = ARRAY_RESERVE(cache->readable, cache->readable_cap, id, MAX_NAMES);
	if (rc)
		return rc;
	char *readable = demangle(strtab_get(&cache->mangled, (uint32_t)id));
	cache->readable[cache->readable_count++] = readable;
	if (readable)
		cache->readable_bytes += strlen(readable);
	return 0;
}

const char *demangle_cached(struct demangle_cache *cache, const char *name)
{
	uint32_t id;
	if (!demangle_may_be(name) || strtab_add(&cache->mangled, name, &id))
		return name;
	while (cache->readable_count <= id) {
		if (add_readable(cache))
			return name;
	}
	return cache->readable[id] ? cache->readable[id] : name;
}

void demangle_cache_sweep(struct demangle_cache *cache)
{
	if (cache->readable_bytes + cache->mangled.total_bytes <= cache->max_bytes)
		return;
	empty(cache);
	/* Without memory even for the empty string, names just stay as they are. */
	(void)start(cache);
}

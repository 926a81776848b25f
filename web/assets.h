/*
 * assets: the files of the page, embedded in the binary by cmake/embed_assets.sh.
 *
 * Each is kept gzipped only; the rare client without gzip gets it unpacked. Immutable.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct asset {
	const char *path;         /* "/index.html" */
	const char *content_type; /* "text/html; charset=utf-8" */
	const char *hash;         /* of the contents; what the ETag is made of */
	const uint8_t *gzip;
	const uint8_t *gzip_end;
};

struct asset_table {
	const struct asset *assets;
	size_t count;
};

/* The page of this build; empty when it was built without. */
extern const struct asset_table embedded_assets;

/* The asset of that path, or NULL. */
const struct asset *asset_find(const struct asset_table *table, const char *path);

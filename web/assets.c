#include "web/assets.h"

#include <string.h>

const struct asset *asset_find(const struct asset_table *table, const char *path)
{
	for (size_t i = 0; i < table->count; i++)
		if (!strcmp(table->assets[i].path, path))
			return &table->assets[i];
	return NULL;
}

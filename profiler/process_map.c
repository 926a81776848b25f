#include "profiler/process_map.h"

struct process_map *process_map_copy(const struct mapping *mappings, size_t mapping_count)
{
	struct process_map *map =
		calloc(1, sizeof(*map) + mapping_count * sizeof(map->mappings[0]));
	if (!map)
		return NULL;
	map->refs = 1;
	map->mapping_count = mapping_count;
	for (size_t i = 0; i < mapping_count; i++) {
		map->mappings[i] = mappings[i];
		mapped_file_ref(mappings[i].file);
	}
	return map;
}

struct process_map *process_map_ref(struct process_map *map)
{
	__atomic_add_fetch(&map->refs, 1, __ATOMIC_RELAXED);
	return map;
}

void process_map_unref(struct process_map *map)
{
	if (!map || __atomic_sub_fetch(&map->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < map->mapping_count; i++)
		mapped_file_unref(map->mappings[i].file);
	free(map);
}

size_t mappings_lower_bound(const struct mapping *mappings, size_t mapping_count, uint64_t ip)
{
	size_t low = 0, high = mapping_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (mappings[middle].end_ip <= ip)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct mapping *mappings_find(const struct mapping *mappings, size_t mapping_count,
				    uint64_t ip)
{
	size_t at = mappings_lower_bound(mappings, mapping_count, ip);
	if (at == mapping_count || mappings[at].start_ip > ip)
		return NULL;
	return &mappings[at];
}

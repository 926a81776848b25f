/*
 * unwind_maps MAP_ID...: prints what the BPF maps of a running Hearth hold. Given the ids of all
 * its maps, it finds those it knows by their names:
 *
 *   taken N, tails N, run_ns N, runs N    the counters of the sampler
 *   file PID IP BLOCK PAGES ROWS BYTES    one executable in unwind memory, with the pid and the
 *                                         address of one of its mappings; rows and bytes are those
 *                                         that are loaded
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bpf/abi.h"

enum { MAX_CPUS = 4096, MAX_FILES = 65536 };

struct memory {
	const uint32_t *words;
	uint32_t mask;
};

struct maps {
	int stats_fd, processes_fd; /* -1: not among the ids */
	struct memory memory;       /* words: NULL likewise */
};

static uint32_t word(const struct memory *memory, uint32_t at)
{
	return __atomic_load_n(&memory->words[at & memory->mask], __ATOMIC_ACQUIRE);
}

static int print_stats(int map_fd)
{
	static const struct {
		const char *name;
		uint32_t stat;
	} stats[] = {
		{"taken", STAT_TAKEN},
		{"tails", STAT_TAILS},
		{"run_ns", STAT_RUN_NS},
		{"runs", STAT_RUNS},
	};
	static uint64_t per_cpu[MAX_CPUS];
	int cpus = libbpf_num_possible_cpus();
	if (cpus < 1 || cpus > MAX_CPUS)
		return -1;
	for (size_t i = 0; i < sizeof(stats) / sizeof(*stats); i++) {
		uint64_t sum = 0;
		if (bpf_map_lookup_elem(map_fd, &stats[i].stat, per_cpu))
			return -1;
		for (int cpu = 0; cpu < cpus; cpu++)
			sum += per_cpu[cpu];
		printf("%s %lu\n", stats[i].name, sum);
	}
	return 0;
}

static void print_file(const struct memory *memory, uint32_t pid, uint64_t ip, uint32_t file)
{
	uint32_t page_count = word(memory, file + 1);
	uint64_t rule_words = word(memory, file + 3) * sizeof(struct umem_rule) / sizeof(uint32_t);
	uint64_t words = sizeof(struct umem_file) / sizeof(uint32_t) + page_count + rule_words;
	uint64_t rows = 0, pages = 0;
	for (uint32_t i = 0; i < page_count && i <= memory->mask; i++) {
		uint32_t page = word(memory, file + 4 + i);
		uint32_t page_rows = word(memory, page + UMEM_PAGE_ROWS);
		/* One row is a hole from end to end: there is one such page for all files. */
		if (!page || page_rows <= 1)
			continue;
		pages++;
		rows += page_rows;
		words += UMEM_PAGE_HEADER + page_rows;
	}
	printf("file %u %lu %u %lu %lu %lu\n", pid, ip, file, pages, rows,
	       words * sizeof(uint32_t));
}

struct seen {
	uint32_t files[MAX_FILES];
	uint32_t count;
};

static int is_new(struct seen *seen, uint32_t file)
{
	for (uint32_t i = 0; i < seen->count; i++)
		if (seen->files[i] == file)
			return 0;
	if (seen->count == MAX_FILES)
		return 0;
	seen->files[seen->count++] = file;
	return 1;
}

static void print_process(const struct memory *memory, struct seen *seen, uint32_t pid,
			  uint32_t process)
{
	uint32_t mapping_count = word(memory, process);
	for (uint32_t i = 0; i < mapping_count && i <= memory->mask; i++) {
		uint32_t at =
			process + (sizeof(struct umem_process) + i * sizeof(struct umem_mapping)) /
					  sizeof(uint32_t);
		uint64_t start_ip = word(memory, at) | (uint64_t)word(memory, at + 1) << 32;
		uint32_t file = word(memory, at + 6);
		if (file && is_new(seen, file))
			print_file(memory, pid, start_ip, file);
	}
}

static void print_files(const struct maps *maps)
{
	static struct seen seen;
	struct umem_process_ref ref;
	uint32_t pid, *previous = NULL;
	while (!bpf_map_get_next_key(maps->processes_fd, previous, &pid)) {
		if (!bpf_map_lookup_elem(maps->processes_fd, &pid, &ref) && ref.block)
			print_process(&maps->memory, &seen, pid, ref.block);
		previous = &pid;
	}
}

static int map_memory(int map_fd, uint32_t size_bytes, struct memory *memory)
{
	void *words = mmap(NULL, size_bytes, PROT_READ, MAP_SHARED, map_fd, 0);
	if (words == MAP_FAILED)
		return -1;
	*memory = (struct memory){words, size_bytes / sizeof(uint32_t) - 1};
	return 0;
}

/* Descriptors and mappings live as long as the process, which is short. */
static int open_map(uint32_t id, struct maps *maps)
{
	struct bpf_map_info info = {0};
	uint32_t info_bytes = sizeof(info);
	int fd = bpf_map_get_fd_by_id(id);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &info_bytes))
		return -1;
	if (!strcmp(info.name, "stats"))
		maps->stats_fd = fd;
	else if (!strcmp(info.name, "umem_processes"))
		maps->processes_fd = fd;
	else if (!strcmp(info.name, "umem"))
		return map_memory(fd, info.value_size, &maps->memory);
	return 0;
}

int main(int argc, char **argv)
{
	struct maps maps = {.stats_fd = -1, .processes_fd = -1};
	int rc = 0;
	for (int i = 1; !rc && i < argc; i++)
		rc = open_map((uint32_t)strtoul(argv[i], NULL, 10), &maps);
	if (!rc && (maps.stats_fd < 0 || maps.processes_fd < 0 || !maps.memory.words)) {
		fprintf(stderr, "unwind_maps: these are not all maps of a running Hearth\n");
		return 1;
	}
	rc = rc ? rc : print_stats(maps.stats_fd);
	if (rc) {
		fprintf(stderr, "unwind_maps: %m\n");
		return 1;
	}
	print_files(&maps);
	return 0;
}

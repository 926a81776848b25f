#include "profiler/unwinder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/map.h"
#include "symbolizer/cache_dir.h"
#include "symbolizer/unwind.h"
#include "symbolizer/unwind_cache.h"
#include "symbolizer/unwind_step.h"

_Static_assert((int)UNWIND_REGISTERS == (int)ABI_REGISTERS, "one set of registers");

enum {
	MAX_FILES = 16384,
	MAX_RANGES = 1 << 16,
	MAX_CACHE_BYTES = 256 << 20,
	DEFAULT_MAX_BYTES = 128 << 20,
};

/* A program that is started again and again is not read again and again. */
static const uint64_t KEEP_UNMAPPED_NS = 60 * NS_PER_S;

/* The rows of one file. */
struct file_rows {
	struct mapped_file *file; /* a reference: the key stays good */
	struct unwind_rows *rows; /* NULL: it has none, or they were evicted */
	bool has_none;
	uint64_t used_mono_ns;
};

struct unwinder {
	struct umem *umem;
	int cache_fd; /* -1: rows are not kept */
	uint64_t max_bytes;
	pthread_mutex_t walking;     /* one walk at a time: guards scratch, and changing files */
	pthread_mutex_t lock;        /* guards files; taken inside the other, never for long */
	struct map files;            /* struct file_rows by mapped_file */
	struct unwind_memory memory; /* under lock, too */
	_Atomic uint64_t files_epoch;
	struct walked_stack scratch;
};

static void file_rows_free(struct file_rows *rows)
{
	if (!rows)
		return;
	unwind_rows_free(rows->rows);
	mapped_file_unref(rows->file);
	free(rows);
}
AUTO_DEFINE(file_rows)

static int open_cache(const char *directory)
{
	if (!directory || (mkdir(directory, 0700) && errno != EEXIST))
		return -1;
	return open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int unwinder_new(struct unwinder **out, const struct unwinder_options *options, struct err *err)
{
	struct unwinder *unwinder = calloc(1, sizeof(*unwinder));
	if (!unwinder)
		return err_set(err, -ENOMEM, "unwinder: %m");
	pthread_mutex_init(&unwinder->walking, NULL);
	pthread_mutex_init(&unwinder->lock, NULL);
	map_init(&unwinder->files, MAX_FILES);
	unwinder->umem = options->umem;
	unwinder->max_bytes = options->max_bytes ? options->max_bytes : DEFAULT_MAX_BYTES;
	unwinder->cache_fd = open_cache(options->cache_directory);
	*out = unwinder;
	return 0;
}

void unwinder_free(struct unwinder *unwinder)
{
	if (!unwinder)
		return;
	size_t cursor = 0;
	struct file_rows *rows;
	while ((rows = map_next(&unwinder->files, &cursor, NULL)) != NULL) {
		if (unwinder->umem)
			umem_remove_file(unwinder->umem, rows->file);
		file_rows_free(rows);
	}
	map_fini(&unwinder->files);
	auto_close_fd(&unwinder->cache_fd);
	pthread_mutex_destroy(&unwinder->lock);
	pthread_mutex_destroy(&unwinder->walking);
	free(unwinder);
}

uint64_t unwinder_files_epoch(const struct unwinder *unwinder)
{
	return atomic_load(&unwinder->files_epoch);
}

static struct file_rows *find_rows(struct unwinder *unwinder, const struct mapped_file *file)
{
	pthread_mutex_lock(&unwinder->lock);
	struct file_rows *rows = map_get(&unwinder->files, (uintptr_t)file);
	pthread_mutex_unlock(&unwinder->lock);
	return rows;
}

/* It was read, and there was nothing. */
static bool has_no_rows(struct unwinder *unwinder, const struct mapped_file *file)
{
	pthread_mutex_lock(&unwinder->lock);
	const struct file_rows *rows = map_get(&unwinder->files, (uintptr_t)file);
	bool has_none = rows && rows->has_none;
	pthread_mutex_unlock(&unwinder->lock);
	return has_none;
}

static int add_file(struct unwinder *unwinder, struct mapped_file *file, struct file_rows **out)
{
	AUTO(file_rows) rows = calloc(1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	rows->file = mapped_file_ref(file);
	pthread_mutex_lock(&unwinder->lock);
	int rc = map_put(&unwinder->files, (uintptr_t)file, rows);
	pthread_mutex_unlock(&unwinder->lock);
	if (!rc)
		*out = TAKE(rows);
	return rc;
}

static uint64_t rows_bytes(const struct file_rows *rows)
{
	return rows->rows ? unwind_rows_stats(rows->rows)->bytes : 0;
}

/* Give the rows back; what the kernel side has of them stays. */
static void drop_rows(struct unwinder *unwinder, struct file_rows *rows)
{
	if (unwinder->umem)
		umem_drop_rows(unwinder->umem, rows->file);
	pthread_mutex_lock(&unwinder->lock);
	unwinder->memory.used_bytes -= rows_bytes(rows);
	pthread_mutex_unlock(&unwinder->lock);
	unwind_rows_free(rows->rows);
	rows->rows = NULL;
}

/* The least recently used of those that have rows, other than kept. NULL: there is none. */
static struct file_rows *least_used(const struct unwinder *unwinder, const struct file_rows *kept)
{
	struct file_rows *least = NULL, *rows;
	size_t cursor = 0;
	while ((rows = map_next(&unwinder->files, &cursor, NULL)) != NULL)
		if (rows->rows && rows != kept &&
		    (!least || rows->used_mono_ns < least->used_mono_ns))
			least = rows;
	return least;
}

static void make_room(struct unwinder *unwinder, const struct file_rows *kept)
{
	while (unwinder->memory.used_bytes > unwinder->max_bytes) {
		struct file_rows *least = least_used(unwinder, kept);
		if (!least)
			return;
		drop_rows(unwinder, least);
		pthread_mutex_lock(&unwinder->lock);
		unwinder->memory.evictions++;
		pthread_mutex_unlock(&unwinder->lock);
	}
}

/* From the cache, or from the file itself and into the cache. NULL: it has none. */
static struct unwind_rows *read_rows(struct unwinder *unwinder, const struct executable *exe)
{
	const char *build_id = executable_build_id(exe);
	bool is_cached = unwinder->cache_fd >= 0 && build_id[0];
	struct unwind_rows *rows = NULL;
	if (is_cached && !unwind_cache_load(&rows, unwinder->cache_fd, build_id, NULL))
		return rows;
	if (unwind_rows_open(&rows, executable_elf(exe), NULL))
		return NULL;
	if (!unwind_rows_stats(rows)->rows) {
		unwind_rows_free(rows);
		return NULL;
	}
	if (is_cached && !unwind_cache_store(unwinder->cache_fd, build_id, rows, NULL))
		cache_dir_trim(unwinder->cache_fd, MAX_CACHE_BYTES);
	return rows;
}

/* Read them for the first time, or once more. */
static void fill_rows(struct unwinder *unwinder, struct file_rows *rows, bool is_new)
{
	if (rows->file->exe)
		rows->rows = read_rows(unwinder, rows->file->exe);
	pthread_mutex_lock(&unwinder->lock);
	rows->has_none = !rows->rows;
	unwinder->memory.loads++;
	unwinder->memory.misses += !is_new;
	unwinder->memory.used_bytes += rows_bytes(rows);
	pthread_mutex_unlock(&unwinder->lock);
	if (rows->has_none)
		atomic_fetch_add(&unwinder->files_epoch, 1);
	/* Without room in the kernel's memory the file is walked here. */
	if (rows->rows && unwinder->umem)
		(void)umem_add_file(unwinder->umem, rows->file, rows->rows);
	make_room(unwinder, rows);
}

/* The rows of a file; NULL: it has none, or there is no memory for them. */
static const struct unwind_rows *rows_of(struct unwinder *unwinder, struct mapped_file *file)
{
	struct file_rows *rows = find_rows(unwinder, file);
	bool is_new = !rows;
	if (is_new && add_file(unwinder, file, &rows))
		return NULL;
	rows->used_mono_ns = (uint64_t)clock_mono_ns();
	if (!rows->rows && !rows->has_none)
		fill_rows(unwinder, rows, is_new);
	return rows->rows;
}

static bool read_slice(void *ctx, uint64_t ip, uint64_t *value)
{
	const struct rec_tail *tail = ctx;
	uint64_t off = ip - tail->slice_at;
	if (tail->slice_bytes < sizeof(*value) || off > tail->slice_bytes - sizeof(*value))
		return false;
	memcpy(value, tail->slice + off, sizeof(*value));
	return true;
}

/* push rbp; mov rbp, rsp: for code that brings no rows. */
static enum unwind_result step_frame_pointer(struct unwind_frame *frame, struct rec_tail *tail)
{
	static const struct unwind_rule rule = {
		.cfa = UNWIND_CFA_FP,
		.fp = UNWIND_AT_CFA,
		.ra = UNWIND_AT_CFA,
		.cfa_off = 16,
		.fp_off = -16,
		.ra_off = -8,
		.flags = UNWIND_RBX_LOST << UNWIND_RBX_SHIFT,
	};
	if (frame->fp_known && !frame->fp)
		return UNWIND_STEP_END;
	if (!frame->fp_known || frame->fp < frame->sp)
		return UNWIND_STEP_IMPLAUSIBLE;
	return unwind_step(&rule, frame, read_slice, tail);
}

static enum walk_end end_of(enum unwind_result result)
{
	static const enum walk_end ends[] = {
		[UNWIND_STEP_END] = WALK_COMPLETE,
		[UNWIND_STEP_NO_RULE] = WALK_HOLE,
		[UNWIND_STEP_FAULT] = WALK_FAULT,
		[UNWIND_STEP_UNSUPPORTED] = WALK_UNSUPPORTED,
		[UNWIND_STEP_IMPLAUSIBLE] = WALK_IMPLAUSIBLE,
	};
	return ends[result];
}

/* So that the next sample here needs no help. No room is no failure: it needs help again. */
static void load_page(struct unwinder *unwinder, const struct mapped_file *file,
		      const struct unwind_rows *rows, uint64_t vaddr)
{
	if (!unwinder->umem)
		return;
	int rc = umem_load_page(unwinder->umem, file, vaddr);
	if (rc == -ENOENT && !umem_add_file(unwinder->umem, file, rows))
		(void)umem_load_page(unwinder->umem, file, vaddr);
}

/* May a caller go on there: is it code with rows, after a call? */
static bool is_return(struct unwinder *unwinder, const struct process_map *map, uint64_t ip)
{
	const struct mapping *mapping = mappings_find(map->mappings, map->mapping_count, ip - 1);
	uint64_t vaddr, before;
	if (!mapping || !mapping->file->exe)
		return false;
	const struct executable *exe = mapping->file->exe;
	uint64_t off = ip - 1 - mapping->start_ip + mapping->file_off;
	const struct unwind_rows *rows = rows_of(unwinder, mapping->file);
	return rows && off >= sizeof(before) && executable_vaddr(exe, off, &vaddr) &&
	       unwind_rows_find(rows, vaddr)->cfa != UNWIND_CFA_NONE &&
	       !elf_file_read(executable_elf(exe), off + 1 - sizeof(before), &before,
			      sizeof(before)) &&
	       unwind_is_call(before);
}

/* Code without rows in a file that has them, at its leaf: _init and _fini, assembly by hand. Before
 * it made a frame, if it makes one at all, the return address is on top of the stack, or below one
 * register that was pushed. A value of either place that follows a call is hardly ever anything
 * else; to step by the frame pointer there would leave out the caller. */
static bool step_bare_leaf(struct unwinder *unwinder, const struct process_map *map,
			   struct unwind_frame *frame, struct rec_tail *tail)
{
	uint64_t top, ra;
	if (!frame->ip_exact || !read_slice(tail, frame->sp, &top))
		return false;
	if (is_return(unwinder, map, top)) {
		frame->ip = top;
		frame->sp += 8;
	} else if (read_slice(tail, frame->sp + 8, &ra) && is_return(unwinder, map, ra)) {
		if (frame->fp == frame->sp) /* mov rbp, rsp is done */
			frame->fp = top;
		frame->rbx_at = UNWIND_RBX_NOWHERE; /* may be what was pushed */
		frame->ip = ra;
		frame->sp += 16;
	} else {
		return false;
	}
	frame->ip_exact = false;
	frame->registers = NULL;
	return true;
}

/* One step up from a frame in mapping. */
static enum unwind_result step(struct unwinder *unwinder, const struct process_map *map,
			       const struct mapping *mapping, struct unwind_frame *frame,
			       struct rec_tail *tail)
{
	struct mapped_file *file = mapping->file;
	uint64_t off = unwind_lookup_ip(frame) - mapping->start_ip + mapping->file_off, vaddr;
	const struct unwind_rows *rows = file->exe ? rows_of(unwinder, file) : NULL;
	if (!rows || !executable_vaddr(file->exe, off, &vaddr))
		return step_frame_pointer(frame, tail);
	load_page(unwinder, file, rows, vaddr);
	enum unwind_result result =
		unwind_step(unwind_rows_find(rows, vaddr), frame, read_slice, tail);
	if (result != UNWIND_STEP_NO_RULE)
		return result;
	if (step_bare_leaf(unwinder, map, frame, tail))
		return UNWIND_STEP_OK;
	/* Code that brings no unwind information is mostly made by tools that keep frame
	 * pointers: assembly by hand, built-in snapshots of virtual machines. */
	result = step_frame_pointer(frame, tail);
	return result == UNWIND_STEP_OK || result == UNWIND_STEP_END ? result : UNWIND_STEP_NO_RULE;
}

static void walk_tail(struct unwinder *unwinder, struct raw_tail *tail, struct walked_stack *walked)
{
	uint64_t registers[UNWIND_REGISTERS];
	memcpy(registers, tail->rec.registers, sizeof(registers));
	struct unwind_frame frame = {
		.ip = tail->rec.ip,
		.sp = tail->rec.sp,
		.fp = tail->rec.fp,
		.fp_known = tail->rec.is_fp_known,
		.ip_exact = tail->rec.is_exact,
		.registers = tail->rec.has_registers ? registers : NULL,
		.rbx = tail->rec.rbx,
		.rbx_at = tail->rec.is_rbx_known ? 0 : UNWIND_RBX_NOWHERE,
	};
	const struct process_map *map = tail->map;
	for (;;) {
		const struct mapping *mapping =
			mappings_find(map->mappings, map->mapping_count, unwind_lookup_ip(&frame));
		walked->end = WALK_NO_MAPPING;
		if (!mapping)
			return;
		enum unwind_result result = step(unwinder, map, mapping, &frame, &tail->rec);
		if (result != UNWIND_STEP_OK) {
			walked->end = end_of(result);
			return;
		}
		walked->end = WALK_CUT;
		if (walked->frame_count == ARRAY_LEN(walked->frames))
			return;
		uint64_t ip = unwind_lookup_ip(&frame);
		mapping = mappings_find(map->mappings, map->mapping_count, ip);
		walked->frames[walked->frame_count++] = raw_frame_of(mapping, ip);
	}
}

static void walk(struct unwinder *unwinder, const struct raw_stack *stack,
		 struct walked_stack *walked)
{
	walked->frame_count = 0;
	walked->end = stack->walk_end;
	for (uint32_t i = 0; i < stack->user_frames && i < ARRAY_LEN(walked->frames); i++)
		walked->frames[walked->frame_count++] = stack->frames[stack->kernel_frames + i];
	if (stack->tail)
		walk_tail(unwinder, stack->tail, walked);
	/* An address that is nobody's code was never a caller. */
	if (walked->end == WALK_NO_MAPPING && walked->frame_count > 1 &&
	    !walked->frames[walked->frame_count - 1].file)
		walked->frame_count--;
}

void unwinder_prepare(struct unwinder *unwinder, const struct raw_stack *stack)
{
	if (!stack->tail)
		return;
	pthread_mutex_lock(&unwinder->walking);
	walk(unwinder, stack, &unwinder->scratch);
	pthread_mutex_unlock(&unwinder->walking);
}

void unwinder_finish(struct unwinder *unwinder, const struct raw_stack *stack,
		     struct walked_stack *walked)
{
	if (stack->tail)
		pthread_mutex_lock(&unwinder->walking);
	walk(unwinder, stack, walked);
	if (stack->tail)
		pthread_mutex_unlock(&unwinder->walking);
}

/* How the kernel side is to walk in a mapping. */
static void to_range(struct unwinder *unwinder, const struct mapping *mapping,
		     struct umem_range *range)
{
	const struct mapped_file *file = mapping->file;
	uint64_t vaddr = 0;
	*range = (struct umem_range){.start_ip = mapping->start_ip, .end_ip = mapping->end_ip};
	bool has_rows = file->exe && !has_no_rows(unwinder, file) &&
			executable_mapped_vaddr(file->exe, mapping->file_off, &vaddr);
	range->file = has_rows ? file : NULL;
	range->bias = has_rows ? mapping->start_ip - vaddr : 0;
	range->flags = has_rows ? 0 : UMEM_FRAME_POINTERS;
}

int unwinder_push(struct unwinder *unwinder, uint32_t pid, const struct process_map *map)
{
	if (!unwinder->umem)
		return 0;
	AUTO_MEM struct umem_range *ranges = calloc(map->mapping_count + 1, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	size_t count = 0;
	for (size_t i = 0; i < map->mapping_count && count < MAX_RANGES; i++)
		to_range(unwinder, &map->mappings[i], &ranges[count++]);
	return umem_set_process(unwinder->umem, pid, ranges, count);
}

static bool is_abandoned(const struct unwinder *unwinder, const struct file_rows *rows,
			 uint64_t now_mono_ns)
{
	return now_mono_ns - rows->used_mono_ns > KEEP_UNMAPPED_NS && unwinder->umem &&
	       !umem_is_mapped(unwinder->umem, rows->file);
}

void unwinder_sweep(struct unwinder *unwinder)
{
	pthread_mutex_lock(&unwinder->walking);
	uint64_t now_mono_ns = (uint64_t)clock_mono_ns();
	size_t cursor = 0;
	struct file_rows *rows;
	while ((rows = map_next(&unwinder->files, &cursor, NULL)) != NULL) {
		if (!is_abandoned(unwinder, rows, now_mono_ns))
			continue;
		umem_remove_file(unwinder->umem, rows->file);
		pthread_mutex_lock(&unwinder->lock);
		map_remove(&unwinder->files, (uintptr_t)rows->file);
		unwinder->memory.used_bytes -= rows_bytes(rows);
		pthread_mutex_unlock(&unwinder->lock);
		file_rows_free(rows);
	}
	pthread_mutex_unlock(&unwinder->walking);
}

void unwinder_stats(struct unwinder *unwinder, struct unwind_memory *memory)
{
	pthread_mutex_lock(&unwinder->lock);
	*memory = unwinder->memory;
	pthread_mutex_unlock(&unwinder->lock);
	memory->cap_bytes = unwinder->max_bytes;
}

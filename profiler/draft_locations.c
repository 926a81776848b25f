#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "profiler/draft.h"
#include "profiler/frame_lines.h"
#include "symbolizer/symbol_frames.h"

/* A location with one line, or none when name is NULL. */
static int add_location(struct profile *profile, const struct profile_location *location,
			const char *name, const char *system_name, uint32_t *id)
{
	if (!name)
		return profile_add_location(profile, location, NULL, 0, id);
	struct profile_function function = {0};
	int rc = profile_add_string(profile, name, &function.name);
	if (!rc)
		rc = profile_add_string(profile, system_name, &function.system_name);
	struct profile_line line = {0};
	if (!rc)
		rc = profile_add_function(profile, &function, &line.function);
	return rc ? rc : profile_add_location(profile, location, &line, 1, id);
}

static int kernel_location(struct draft *draft, uint64_t ip, uint32_t *id)
{
	struct profile *profile = draft->profile;
	if (!draft->kernel_mapping) {
		struct profile_mapping mapping = {.limit_vaddr = UINT64_MAX};
		const struct kallsyms *table = kernel_names_table(draft->tools->kernel);
		if (table)
			kallsyms_text(table, &mapping.start_vaddr, &mapping.limit_vaddr);
		int rc = profile_add_string(profile, "[kernel.kallsyms]", &mapping.filename);
		if (!rc)
			rc = profile_add_mapping(profile, &mapping, &draft->kernel_mapping);
		if (rc)
			return rc;
	}
	const struct kernel_symbol *symbol =
		kernel_names_find(draft->tools->kernel, ip, clock_mono_ns());
	const char *name = symbol ? symbol->name : "[unknown kernel code]";
	struct profile_location location = {.mapping = draft->kernel_mapping, .vaddr = ip};
	return add_location(profile, &location, name, name, id);
}

static int file_mapping(struct draft *draft, const struct mapped_file *file, uint64_t vaddr,
			uint32_t *id)
{
	uint64_t key = (uintptr_t)file;
	uintptr_t cached = (uintptr_t)map_get(&draft->mappings, key);
	if (cached) {
		*id = (uint32_t)(cached - 1);
		return 0;
	}
	struct profile *profile = draft->profile;
	struct profile_mapping mapping = {0};
	struct symbols *symbols = draft->tools->symbols;
	if (symbols && file->exe && file->kind == MAPPED_EXECUTABLE)
		symbols_meet(symbols, file->exe, file->root ? file->root->fd : -1);
	if (file->exe)
		executable_segment(file->exe, vaddr, &mapping.start_vaddr, &mapping.limit_vaddr,
				   &mapping.file_off);
	int rc = profile_add_string(profile, file->name, &mapping.filename);
	if (!rc && file->exe)
		rc = profile_add_string(profile, executable_build_id(file->exe), &mapping.build_id);
	if (!rc)
		rc = profile_add_mapping(profile, &mapping, id);
	return rc ? rc : map_put(&draft->mappings, key, (void *)((uintptr_t)*id + 1));
}

/* Every address means another function in another process, or later: it says nothing, and the
 * name is all there is. */
static int jit_location(struct draft *draft, const struct mapped_file *file, uint64_t ip,
			uint32_t *id)
{
	struct profile *profile = draft->profile;
	struct profile_location location = {0};
	int rc = file_mapping(draft, file, 0, &location.mapping);
	struct jit_symbol symbol;
	if (rc)
		return rc;
	if (!file->jit || !jit_process_find(file->jit, ip, draft->at_mono_ns, &symbol)) {
		rc = add_location(profile, &location, "[jit]", "", id);
		return rc ? rc : unnamed_note(&draft->unnamed, *id, file);
	}
	struct profile_function function = {0};
	struct profile_line line = {.line = symbol.line};
	rc = profile_add_string(profile, symbol.name, &function.name);
	if (!rc)
		rc = profile_add_string(profile, symbol.file, &function.filename);
	function.system_name = function.name;
	if (!rc)
		rc = profile_add_function(profile, &function, &line.function);
	return rc ? rc : profile_add_location(profile, &location, &line, 1, id);
}

/* Of a file that could not be read there is no more than this. */
static int unreadable_location(struct draft *draft, const struct mapped_file *file,
			       const struct profile_location *location, uint32_t *id)
{
	char name[NAME_MAX + 64];
	const char *slash = strrchr(file->name, '/');
	snprintf(name, sizeof(name), "[unreadable %.*s+0x%" PRIx64 "]", NAME_MAX,
		 slash ? slash + 1 : file->name, location->vaddr);
	int rc = add_location(draft->profile, location, name, name, id);
	return rc ? rc : unnamed_note(&draft->unnamed, *id, file);
}

static int file_location(struct draft *draft, const struct mapped_file *file, uint64_t off,
			 uint32_t *id)
{
	struct profile_location location = {.vaddr = off};
	bool has_vaddr = file->exe && executable_vaddr(file->exe, off, &location.vaddr);
	int rc = file_mapping(draft, file, location.vaddr, &location.mapping);
	if (rc)
		return rc;
	if (file->kind == MAPPED_UNREADABLE)
		return unreadable_location(draft, file, &location, id);
	struct symbol_frames frames = {0};
	struct profile_line lines[SYMBOL_MAX_FRAMES];
	bool is_known = has_vaddr && symbol_frames_find(&frames, file->exe, location.vaddr,
							draft->tools->demangled);
	if (is_known)
		rc = frame_lines(draft->profile, &frames, lines);
	location.is_folded = frames.is_folded;
	if (!rc)
		rc = profile_add_location(draft->profile, &location, lines, frames.count, id);
	bool is_named = is_known && !frames.is_mark;
	return rc || is_named ? rc : unnamed_note(&draft->unnamed, *id, file);
}

static int frame_location(struct draft *draft, const struct raw_frame *frame, bool is_kernel,
			  uint32_t *id)
{
	if (!frame->file && !is_kernel)
		return profile_add_named_location(draft->profile, "[unknown]", id);
	if (frame->file && frame->file->kind == MAPPED_ANONYMOUS)
		return jit_location(draft, frame->file, frame->ip_or_off, id);
	/* 64 bits of a good hash stand for the pair: with a million places in a batch a false
	 * match has a chance of 1 in 10^7. */
	uint64_t key = hash_mix(hash_u64((uintptr_t)frame->file), frame->ip_or_off);
	uintptr_t cached = (uintptr_t)map_get(&draft->locations, key);
	if (cached) {
		*id = (uint32_t)(cached - 1);
		return 0;
	}
	int rc = is_kernel ? kernel_location(draft, frame->ip_or_off, id)
			   : file_location(draft, frame->file, frame->ip_or_off, id);
	return rc ? rc : map_put(&draft->locations, key, (void *)((uintptr_t)*id + 1));
}

/* The outermost goes first. */
int draft_push_frames(struct draft *draft, const struct raw_frame *frames, uint32_t count,
		      bool is_kernel, uint32_t *stack)
{
	int rc = 0;
	for (uint32_t i = count; i-- > 0 && !rc;) {
		uint32_t location;
		rc = frame_location(draft, &frames[i], is_kernel, &location);
		if (!rc)
			rc = profile_add_stack(draft->profile, *stack, location, stack);
	}
	return rc;
}

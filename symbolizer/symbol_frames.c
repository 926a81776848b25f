#include "symbolizer/symbol_frames.h"

#include "symbolizer/gsym.h"

static bool find_in_gsym(struct symbol_frames *out, const struct executable *exe,
			 const struct gsym *gsym, uint64_t vaddr, struct demangle_cache *cache)
{
	struct gsym_frame frames[SYMBOL_MAX_FRAMES];
	struct gsym_answer answer;
	if (!gsym_lookup(gsym, vaddr, frames, SYMBOL_MAX_FRAMES, &answer))
		return false;
	for (uint32_t i = 0; i < answer.frame_count; i++) {
		out->frames[i] = (struct symbol_frame){
			.name = demangle_cached(cache, frames[i].name),
			.system_name = frames[i].name,
			.directory = frames[i].directory,
			.base = frames[i].base,
			.line = frames[i].line,
			.is_inlined = frames[i].is_inlined,
		};
	}
	out->count = answer.frame_count;
	out->is_folded = answer.is_folded;
	out->is_mark = answer.has_mark_only;
	if (out->is_mark && out->count) {
		function_mark(out->mark, executable_name(exe), answer.start_vaddr, true);
		out->frames[0].name = out->frames[0].system_name = out->mark;
	}
	return out->count > 0;
}

bool symbol_frames_find(struct symbol_frames *out, struct executable *exe, uint64_t vaddr,
			struct demangle_cache *cache)
{
	out->count = 0;
	out->is_folded = false;
	out->is_mark = false;
	const struct gsym *gsym = executable_gsym(exe);
	if (gsym && find_in_gsym(out, exe, gsym, vaddr, cache))
		return true;
	/* Not compiled yet; or a file from elsewhere that leaves something out. */
	struct symbol symbol;
	if (!executable_lookup(exe, vaddr, &symbol))
		return false;
	out->frames[0] = (struct symbol_frame){
		.name = symbol.name,
		.system_name = symbol.system_name,
		.directory = "",
		.base = "",
	};
	out->count = 1;
	out->is_mark = symbol.is_mark;
	return true;
}

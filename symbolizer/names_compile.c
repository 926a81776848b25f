#include "symbolizer/names_compile.h"

#include <errno.h>
#include <string.h>

#include "symbolizer/function_bounds.h"
#include "symbolizer/gsym_symbols.h"
#include "symbolizer/pclntab.h"
#include "symbolizer/symtab.h"

/* What can be left out costs its names only; what cannot, ends the compilation. */
static bool is_final(int rc)
{
	return rc == -ENOMEM || rc == -ECANCELED;
}

static void note(struct names_stats *stats, const struct err *problem)
{
	if (!stats->problem.code)
		stats->problem = *problem;
}

static int read_symbols(struct symtab **tab, const struct elf_file *file, struct names_stats *stats)
{
	if (!file)
		return 0;
	struct err err = {0};
	int rc = symtab_read(tab, file, &err);
	if (rc)
		note(stats, &err);
	return rc == -ENOMEM ? rc : 0;
}

/* Of two tables with a name for one address the builder keeps the first. */
static int add_symbols(struct gsym_builder *builder, const struct names_input *input,
		       struct symtab **best, struct names_stats *stats, struct err *err)
{
	AUTO(symtab) debug = NULL;
	AUTO(symtab) own = NULL;
	int rc = read_symbols(&debug, input->debug, stats);
	if (!rc)
		rc = read_symbols(&own, input->file, stats);
	if (rc)
		return err_set(err, rc, "symbol table: %m");
	struct err problem = {0};
	if (own)
		rc = gsym_symbols_add(builder, own, true, &problem);
	if (!rc && debug)
		rc = gsym_symbols_add(builder, debug, false, &problem);
	if (is_final(rc))
		return err_set(err, rc, "%s", problem.text);
	if (rc)
		note(stats, &problem);
	stats->symbols = (debug ? symtab_count(debug) : 0) + (own ? symtab_count(own) : 0);
	bool own_is_full = own && !symtab_is_stripped(own);
	stats->is_stripped = !own_is_full && (!debug || symtab_is_stripped(debug));
	*best = own_is_full || !debug ? TAKE(own) : TAKE(debug);
	return 0;
}

static int add_dwarf(struct gsym_builder *builder, const struct names_input *input,
		     const struct symtab *symbols, struct names_stats *stats, struct err *err)
{
	struct dwarf_input dwarf = {
		.file = input->debug ? input->debug : input->file,
		.alternate = input->alternate,
		.symbols = symbols,
		.scratch_fd = input->scratch_fd,
		.open_split = input->open_split,
		.is_cancelled = input->is_cancelled,
		.ctx = input->ctx,
	};
	struct err problem = {0};
	int rc = dwarf_compile(&dwarf, builder, &dwarf_default_limits, &stats->dwarf, &problem);
	/* Some debug files have symbols only, and the executable still has its DWARF. */
	if (rc == -ENOENT && input->debug && input->file) {
		dwarf.file = input->file;
		rc = dwarf_compile(&dwarf, builder, &dwarf_default_limits, &stats->dwarf, &problem);
	}
	if (rc && rc != -ENOENT)
		note(stats, &problem);
	else if (!rc && stats->dwarf.problem.code)
		note(stats, &stats->dwarf.problem);
	return is_final(rc) ? err_set(err, rc, "%s", problem.text) : 0;
}

static int add_go(struct gsym_builder *builder, const struct elf_file *file,
		  struct names_stats *stats, struct err *err)
{
	struct err problem = {0};
	struct pclntab_stats go = {0};
	int rc = pclntab_compile(file, builder, &go, &problem);
	stats->go_functions = go.functions;
	if (rc && rc != -ENOENT)
		note(stats, &problem);
	return is_final(rc) ? err_set(err, rc, "%s", problem.text) : 0;
}

static int add_bounds(struct gsym_builder *builder, const struct elf_file *file,
		      struct names_stats *stats, struct err *err)
{
	AUTO(function_bounds) bounds = NULL;
	struct err problem = {0};
	int rc = function_bounds_read(&bounds, file, &problem);
	if (!rc) {
		stats->bounds = function_bounds_count(bounds);
		rc = function_bounds_compile(bounds, builder, &problem);
	}
	if (rc)
		note(stats, &problem);
	return is_final(rc) ? err_set(err, rc, "%s", problem.text) : 0;
}

/* DWARF comes last: it may be more than the builder holds, and what is there by then stays. */
static int add_all(struct gsym_builder *builder, const struct names_input *input,
		   struct names_stats *stats, struct err *err)
{
	AUTO(symtab) symbols = NULL;
	int rc = add_symbols(builder, input, &symbols, stats, err);
	if (!rc && input->file)
		rc = add_go(builder, input->file, stats, err);
	if (!rc && input->file)
		rc = add_bounds(builder, input->file, stats, err);
	if (!rc)
		rc = add_dwarf(builder, input, symbols, stats, err);
	if (!rc && !stats->symbols && !stats->go_functions && !stats->bounds &&
	    !stats->dwarf.functions)
		rc = err_set(err, -ENOENT, "it has no names, and no unwind entries");
	return rc;
}

static int write_names(struct gsym_builder *builder, const struct names_input *input, int out_fd,
		       struct err *err)
{
	uint8_t own[ELF_BUILD_ID_MAX_BYTES];
	const uint8_t *build_id = input->build_id;
	size_t build_id_bytes = input->build_id_bytes;
	if (!build_id) {
		build_id = own;
		build_id_bytes = elf_file_build_id(input->file ? input->file : input->debug, own);
	}
	return gsym_builder_write(builder, out_fd, build_id, build_id_bytes, err);
}

int names_compile(const struct names_input *input, size_t max_bytes, int out_fd,
		  struct names_stats *stats, struct err *err)
{
	*stats = (struct names_stats){0};
	AUTO(gsym_builder) builder = NULL;
	int rc = gsym_builder_new(&builder, max_bytes, err);
	if (!rc)
		rc = add_all(builder, input, stats, err);
	return rc ? rc : write_names(builder, input, out_fd, err);
}

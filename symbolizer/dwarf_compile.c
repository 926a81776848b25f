#include <errno.h>

#include "symbolizer/dwarf.h"
#include "symbolizer/dwarf_emit.h"
#include "symbolizer/dwarf_split.h"

enum {
	MAIN_KINDS = 1 << DWARF_INFO | 1 << DWARF_ABBREV | 1 << DWARF_LINE | 1 << DWARF_LINE_STR |
		     1 << DWARF_STR | 1 << DWARF_STR_OFFSETS | 1 << DWARF_ADDR | 1 << DWARF_RANGES |
		     1 << DWARF_RNGLISTS,
	ALTERNATE_KINDS = 1 << DWARF_INFO | 1 << DWARF_ABBREV | 1 << DWARF_STR,
	FORGET_BYTES = 32 << 20, /* of .debug_info, between two times that pages are given back */
	WORK_ALWAYS = 16 << 20,
	MAIN_SERIAL = 1,
	ALTERNATE_SERIAL = 2,
};

const struct dwarf_limits dwarf_default_limits = {
	.max_section_bytes = UINT64_C(4) << 30,
	.max_total_bytes = UINT64_C(8) << 30,
	.max_unit_bytes = 512 << 20,
};

struct compiler {
	const struct dwarf_input *input;
	struct dwarf_stats *stats;
	struct dwarf_scratch scratch;
	struct dwarf_work work;
	struct dwarf_file file, alternate;
	struct dwarf_splits splits;
	struct dwarf_code code;
	struct dwarf_scan scan;
	struct dwarf_lines lines;
	struct dwarf_emitter emitter;
	uint64_t forgotten_off; /* of .debug_info */
};

static void compiler_fini(struct compiler *compiler)
{
	dwarf_emitter_fini(&compiler->emitter);
	dwarf_lines_fini(&compiler->lines);
	dwarf_scan_fini(&compiler->scan);
	dwarf_code_fini(&compiler->code);
	dwarf_splits_fini(&compiler->splits);
	dwarf_file_fini(&compiler->file);
	dwarf_file_fini(&compiler->alternate);
}

/* Errors of one unit cost its own names; these end everything. */
static bool is_fatal(const struct compiler *compiler, int rc)
{
	return rc == -ENOMEM || rc == -ECANCELED || compiler->work.is_used_up;
}

/* 0: go on with what there is. */
static int report(struct compiler *compiler, int rc, const struct err *problem, struct err *err)
{
	if (compiler->work.is_used_up)
		return err_set(err, -ENOSPC,
			       "the debug information refers to itself too often to be read");
	if (rc && is_fatal(compiler, rc))
		return err_set(err, rc, "%s", problem->text);
	if (rc && !compiler->stats->problem.code)
		compiler->stats->problem = *problem;
	return 0;
}

/* A unit whose functions and lines are as far read as they can be. */
static int emit(struct compiler *compiler, struct dwarf_unit *unit, struct err *err)
{
	struct err problem = {0};
	int scanned = dwarf_scan_unit(&compiler->scan, unit, &compiler->code, &problem);
	int rc = report(compiler, scanned, &problem, err);
	if (rc)
		return rc;
	int read = dwarf_lines_read(&compiler->lines, unit, &compiler->code, &problem);
	rc = report(compiler, read, &problem, err);
	if (rc)
		return rc;
	compiler->stats->units++;
	compiler->stats->bad_units += scanned || read;
	compiler->stats->lines += compiler->lines.row_count;
	rc = dwarf_emit_unit(&compiler->emitter, unit, &compiler->scan, &compiler->lines);
	if (rc == -ENOSPC && !compiler->work.is_used_up)
		return err_set(err, rc, "more names than the symbol file may hold");
	return rc ? report(compiler, rc, &(struct err){rc, "names"}, err) : 0;
}

static int compile_split(struct compiler *compiler, struct dwarf_unit *skeleton, struct err *err)
{
	struct err problem = {0};
	struct dwarf_unit *unit;
	int rc = dwarf_splits_find(&compiler->splits, skeleton, &unit, &problem);
	if (rc) {
		compiler->stats->split_missing++;
		rc = report(compiler, rc, &problem, err);
		if (!rc) /* the skeleton has its lines, and clang's some inlined calls */
			rc = emit(compiler, skeleton, err);
	} else {
		rc = emit(compiler, unit, err);
	}
	dwarf_splits_release(&compiler->splits);
	return rc;
}

static bool has_code(const struct dwarf_unit *unit)
{
	return unit->tag == DW_TAG_compile_unit || unit->tag == DW_TAG_skeleton_unit;
}

static int compile_unit(struct compiler *compiler, uint64_t off, struct err *err)
{
	struct err problem = {0};
	struct dwarf_unit *unit;
	int rc = dwarf_unit_read(&unit, &compiler->file, off, NULL, NULL, &problem);
	if (rc) {
		compiler->stats->units++;
		compiler->stats->bad_units++;
		return report(compiler, rc, &problem, err);
	}
	AUTO(dwarf_unit) owned = unit;
	if (!has_code(owned))
		return 0;
	return owned->split_name ? compile_split(compiler, owned, err) : emit(compiler, owned, err);
}

/* Pages of the scratch file that were read are not needed soon. */
static void forget(struct compiler *compiler, uint64_t off)
{
	if (off - compiler->forgotten_off < FORGET_BYTES)
		return;
	compiler->forgotten_off = off;
	dwarf_sections_forget(&compiler->file.sections);
	dwarf_sections_forget(&compiler->alternate.sections);
}

static int compile_units(struct compiler *compiler, struct err *err)
{
	const struct dwarf_input *input = compiler->input;
	int rc = dwarf_file_list_units(&compiler->file, &compiler->stats->problem, err);
	for (size_t i = 0; !rc && i < compiler->file.unit_count; i++) {
		if (input->is_cancelled && input->is_cancelled(input->ctx))
			return err_set(err, -ECANCELED, "reading debug information: %m");
		forget(compiler, compiler->file.unit_offs[i]);
		dwarf_file_trim(&compiler->file);
		rc = compile_unit(compiler, compiler->file.unit_offs[i], err);
	}
	return rc;
}

static uint64_t total_bytes(const struct dwarf_sections *sections)
{
	uint64_t sum_bytes = 0;
	for (size_t i = 0; i < DWARF_SECTION_KINDS; i++)
		sum_bytes += sections->of[i].len_bytes;
	return sum_bytes;
}

static int load_files(struct compiler *compiler, struct err *err)
{
	const struct dwarf_input *input = compiler->input;
	int rc = dwarf_sections_load(&compiler->file.sections, input->file, false, MAIN_KINDS,
				     &compiler->scratch, err);
	if (rc)
		return rc;
	if (!compiler->file.sections.of[DWARF_INFO].len_bytes)
		return err_set(err, -ENOENT, "no debug information");
	if (!input->alternate)
		return 0;
	struct err problem = {0};
	rc = dwarf_sections_load(&compiler->alternate.sections, input->alternate, false,
				 ALTERNATE_KINDS, &compiler->scratch, &problem);
	if (!rc)
		rc = dwarf_file_list_units(&compiler->alternate, &compiler->stats->problem,
					   &problem);
	if (rc)
		err_wrap(&problem, rc, "the alternate file");
	compiler->file.alternate = &compiler->alternate;
	return report(compiler, rc, &problem, err);
}

static void compiler_init(struct compiler *compiler, const struct dwarf_input *input,
			  const struct dwarf_limits *limits, struct dwarf_stats *stats)
{
	*compiler = (struct compiler){
		.input = input,
		.stats = stats,
		.scratch = {.fd = input->scratch_fd,
			    .max_section_bytes = limits->max_section_bytes,
			    .left_bytes = limits->max_total_bytes,
			    .is_cancelled = input->is_cancelled,
			    .ctx = input->ctx},
		.file = {.serial = MAIN_SERIAL},
		.alternate = {.serial = ALTERNATE_SERIAL},
	};
	compiler->file.work = compiler->alternate.work = &compiler->work;
	dwarf_scan_init(&compiler->scan, limits->max_unit_bytes);
	dwarf_lines_init(&compiler->lines, limits->max_unit_bytes / sizeof(struct dwarf_line_row));
	dwarf_splits_init(&compiler->splits, input, &compiler->scratch, &compiler->work,
			  ALTERNATE_SERIAL);
}

int dwarf_compile(const struct dwarf_input *input, struct gsym_builder *builder,
		  const struct dwarf_limits *limits, struct dwarf_stats *stats, struct err *err)
{
	*stats = (struct dwarf_stats){0};
	AUTO_FINI(compiler_fini) struct compiler compiler;
	compiler_init(&compiler, input, limits, stats);
	int rc = dwarf_emitter_init(&compiler.emitter, builder, input->symbols, stats);
	if (!rc)
		rc = dwarf_code_init(&compiler.code, input->file);
	if (rc)
		return err_set(err, rc, "debug information: %m");
	rc = load_files(&compiler, err);
	if (rc)
		return rc;
	compiler.work.left_bytes =
		WORK_ALWAYS + DWARF_WORK_PER_BYTE * (total_bytes(&compiler.file.sections) +
						     total_bytes(&compiler.alternate.sections));
	rc = compile_units(&compiler, err);
	if (rc)
		return rc;
	if (stats->units == stats->bad_units && stats->functions == 0 && stats->problem.code)
		return err_set(err, stats->problem.code, "%s", stats->problem.text);
	return 0;
}

/*
 * dwarf_split: the other half of a skeleton unit, in a .dwo file or in the executable's .dwp.
 *
 * DWARF 5 sections 7.3.2 to 7.3.5; version 2 of packages: https://gcc.gnu.org/wiki/DebugFission.
 * One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/dwarf_unit.h"

struct dwarf_splits {
	const struct dwarf_input *input;
	struct dwarf_scratch *scratch;
	struct dwarf_work *work;
	uint32_t last_serial; /* of a dwarf_file */
	struct dwarf_file package;
	bool was_package_asked;
	struct dwarf_file file;   /* the .dwo at hand */
	uint64_t scratch_end_off; /* before it was loaded */
	struct dwarf_unit *unit;
};

void dwarf_splits_init(struct dwarf_splits *splits, const struct dwarf_input *input,
		       struct dwarf_scratch *scratch, struct dwarf_work *work,
		       uint32_t last_serial);
void dwarf_splits_fini(struct dwarf_splits *splits);

/* Load the split unit of a skeleton; *unit is borrowed until dwarf_splits_release(), which is
 * owed in any case. -ENOENT: no such file, or it holds other units; else what reading gives. */
int dwarf_splits_find(struct dwarf_splits *splits, const struct dwarf_unit *skeleton,
		      struct dwarf_unit **unit, struct err *err);
void dwarf_splits_release(struct dwarf_splits *splits);

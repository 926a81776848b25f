#include "profile/rename.h"

#include <errno.h>
#include <string.h>

static bool same_lines(const struct profile *profile, const struct profile_location *location,
		       const struct profile_line *lines, uint32_t count)
{
	const struct profile_line *have = profile->lines + location->first_line;
	if (location->line_count != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (have[i].function != lines[i].function || have[i].line != lines[i].line ||
		    have[i].column != lines[i].column)
			return false;
	return true;
}

static int rename_location(struct profile *profile, uint32_t id,
			   const struct profile_renamer *renamer, size_t *renamed)
{
	struct profile_line lines[RENAME_MAX_LINES];
	uint32_t count = 0;
	bool is_folded = false;
	int rc = renamer->lines(renamer->ctx, profile, profile->locations[id].vaddr, lines, &count,
				&is_folded);
	const struct profile_location *location = &profile->locations[id];
	if (rc || !count ||
	    (is_folded == location->is_folded && same_lines(profile, location, lines, count)))
		return rc;
	rc = profile_set_lines(profile, id, lines, count, is_folded);
	*renamed += !rc;
	return rc;
}

int profile_rename(struct profile *profile, const char *build_id,
		   const struct profile_renamer *renamer, size_t *renamed)
{
	uint32_t wanted = strtab_find(&profile->strings, build_id);
	if (!build_id[0] || wanted == INDEX_NONE)
		return 0;
	int rc = 0;
	for (uint32_t id = 1; id < profile->location_count && !rc; id++) {
		const struct profile_location *location = &profile->locations[id];
		if (profile->mappings[location->mapping].build_id == wanted && location->vaddr)
			rc = rename_location(profile, id, renamer, renamed);
	}
	return rc;
}

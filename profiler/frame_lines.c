#include "profiler/frame_lines.h"

#include <stdio.h>

enum { MAX_PATH_BYTES = 4096 };

static int add_path(struct profile *profile, const struct symbol_frame *frame, uint32_t *id)
{
	char path[MAX_PATH_BYTES];
	if (!frame->directory[0])
		return profile_add_string(profile, frame->base, id);
	/* A path that is longer than any that can be opened is cut. */
	snprintf(path, sizeof(path), "%s/%s", frame->directory, frame->base);
	return profile_add_string(profile, path, id);
}

static int add_line(struct profile *profile, const struct symbol_frame *frame,
		    struct profile_line *line)
{
	struct profile_function function = {0};
	*line = (struct profile_line){.line = frame->line};
	int rc = profile_add_string(profile, frame->name, &function.name);
	if (!rc)
		rc = profile_add_string(profile, frame->system_name, &function.system_name);
	if (!rc && frame->base[0])
		rc = add_path(profile, frame, &function.filename);
	return rc ? rc : profile_add_function(profile, &function, &line->function);
}

int frame_lines(struct profile *profile, const struct symbol_frames *frames,
		struct profile_line lines[static SYMBOL_MAX_FRAMES])
{
	int rc = 0;
	for (uint32_t i = 0; i < frames->count && !rc; i++)
		rc = add_line(profile, &frames->frames[i], &lines[i]);
	return rc;
}

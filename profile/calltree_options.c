#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "profile/calltree.h"

static const char *const view_names[] = {
	[FRAME_VIEW_FUNCTION] = "function",
	[FRAME_VIEW_LINE] = "line",
	[FRAME_VIEW_LIBRARY] = "library",
};

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && !memcmp(text, word, len);
}

static bool apply_word(struct calltree_options *options, const char *text, size_t len)
{
	if (is_word(text, len, "none"))
		return true;
	if (is_word(text, len, "comm")) {
		options->group_by = "comm";
		return true;
	}
	if (is_word(text, len, "nowaits")) {
		options->no_waits = true;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(view_names); i++) {
		if (is_word(text, len, view_names[i])) {
			options->view = (enum frame_view)i;
			return true;
		}
	}
	return false;
}

int calltree_options_by(struct calltree_options *options, const char *text, struct err *err)
{
	for (const char *word = text;;) {
		size_t len = strcspn(word, ",");
		if (!apply_word(options, word, len))
			return err_set(err, -EINVAL,
				       "by is \"%.40s\": it must be of none, comm, function, line, "
				       "library, nowaits, with commas between",
				       text);
		if (!word[len])
			return 0;
		word += len + 1;
	}
}

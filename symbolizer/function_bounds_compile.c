#include <string.h>

#include "symbolizer/function_bounds.h"

int function_bounds_compile(const struct function_bounds *bounds, struct gsym_builder *builder,
			    struct err *err)
{
	static const char mark[] = "[stripped]";
	struct gsym_function function = {.source = GSYM_FROM_UNWIND_ROWS};
	uint32_t count = function_bounds_count(bounds);
	int rc = gsym_builder_add_string(builder, mark, strlen(mark), &function.name);
	for (uint32_t i = 0; i < count && !rc; i++) {
		function.range = function_bounds_range(bounds, i);
		rc = gsym_builder_add_function(builder, &function);
	}
	return rc ? err_set(err, rc, "function bounds: %m") : 0;
}

/*
 * Any text as a selector, matched with a few labels.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/auto.h"
#include "storage/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static const char *value_of(void *ctx, const char *key)
{
	(void)ctx;
	return key[0] % 2 ? "postgres: writer" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	AUTO_MEM char *text = strndup((const char *)data, len_bytes);
	AUTO(selector) selector = NULL;
	struct err err = {0};
	if (!text)
		return 0;
	if (selector_parse(&selector, text, &err)) {
		if (!err.code || !err.text[0] || selector)
			__builtin_trap();
		return 0;
	}
	selector_matches(selector, value_of, NULL);
	if (selector_is_all(selector) && !selector_matches(selector, value_of, NULL))
		__builtin_trap();
	return 0;
}

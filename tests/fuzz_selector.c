/*
 * Any text as a selector, matched with a few labels.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/array.h"
#include "base/auto.h"
#include "storage/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static const char *value_of(void *ctx, const char *key)
{
	(void)ctx;
	static const char *const values[] = {
		NULL,
		"postgres: writer",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
		"caf\xc3\xa9 \xff",
	};
	return values[(unsigned char)key[0] % ARRAY_LEN(values)];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	AUTO_MEM char *text = strndup((const char *)data, len_bytes);
	AUTO(selector) selector = NULL;
	struct err err = {0};
	bool matches = false;
	if (!text)
		return 0;
	if (selector_parse(&selector, text, &err)) {
		if (!err.code || !err.text[0] || selector)
			__builtin_trap();
		return 0;
	}
	int rc = selector_matches(selector, value_of, NULL, &matches, &err);
	if (rc && (rc != -EINVAL || !err.text[0] || matches))
		__builtin_trap();
	if (selector_is_all(selector) && !matches)
		__builtin_trap();
	return 0;
}

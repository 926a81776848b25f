/*
 * Any bytes as a mangled name.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/auto.h"
#include "symbolizer/demangle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	AUTO_MEM char *mangled = strndup((const char *)data, len_bytes);
	AUTO_MEM char *readable = mangled ? demangle(mangled) : NULL;
	if (readable && (!strlen(readable) || strlen(readable) > 64 << 10))
		__builtin_trap();
	return 0;
}

/* One record of the perf side-band ring. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/sideband.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct sideband_event event, before;
	memset(&event, 0xa5, sizeof(event));
	before = event;
	if (sideband_parse(&event, reader_of(data, len_bytes))) {
		assert(!memcmp(&event, &before, sizeof(event)));
		return 0;
	}
	assert(event.kind >= SIDEBAND_MMAP && event.kind <= SIDEBAND_LOST);
	assert(event.build_id_bytes <= SIDEBAND_BUILD_ID_BYTES);
	bool has_name = event.kind == SIDEBAND_MMAP || event.kind == SIDEBAND_COMM;
	assert(!has_name == !event.name);
	assert(!event.name || strlen(event.name) <= 4096);
	free(event.name);
	return 0;
}

/* Any bytes are a profile or an error; a profile survives being written and read again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "profile/calltree.h"
#include "profile/pprof.h"

enum { MAX_OUTPUT_BYTES = 1 << 28 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	AUTO(profile) profile = NULL;
	AUTO(profile) again = NULL;
	AUTO(calltree) tree = NULL;
	AUTO(top_table) table = NULL;
	AUTO_FINI(buf_fini) struct buf out;
	struct err err = {0};
	buf_init(&out, MAX_OUTPUT_BYTES);
	if (pprof_decode(&profile, data, len_bytes, &err)) {
		assert(!profile && err.code && err.text[0]);
		return 0;
	}
	assert(!pprof_encode(&out, profile, &err));
	assert(!pprof_decode(&again, out.data, out.len_bytes, &err));
	assert(again->sample_count <= profile->sample_count);
	assert(!calltree_build(&tree, profile, &(struct calltree_options){.group_by = "comm"},
			       &err));
	assert(tree->nodes[0].end == tree->node_count);
	assert(!top_table_build(&table, profile, FRAME_VIEW_FUNCTION, &err));
	return 0;
}

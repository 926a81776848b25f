/*
 * api_client: the JSON answers of a Hearth server (docs/API.md) as the structures that the store
 * gives, so that both print alike.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "profile/ledger.h"
#include "profile/series.h"
#include "profile/stack_quality.h"

/* -EBADMSG with what is wrong for an answer that is not as docs/API.md says. Caller owns *out. */
int api_decode_series(struct series_set **out, const void *data, size_t len_bytes, struct err *err);
int api_decode_labels(struct series_set **out, const void *data, size_t len_bytes, struct err *err);
int api_decode_label_values(struct series_set **out, const void *data, size_t len_bytes,
			    struct err *err);

/* How user stacks end, and the kernel's memory of rows, from an answer to /api/v1/status. *sampling
 * is false when that server does not sample. -EBADMSG as above; *quality may be half filled then. */
int api_decode_quality(struct stack_quality *quality, struct unwind_memory *kernel, bool *sampling,
		       const void *data, size_t len_bytes, struct err *err);

/*
 * api_client: the JSON answers of a Hearth server (docs/API.md) as the structures that the store
 * gives, so that both print alike.
 */
#pragma once
#include "base/err.h"
#include "profile/series.h"

/* -EBADMSG with what is wrong for an answer that is not as docs/API.md says. Caller owns *out. */
int api_decode_series(struct series_set **out, const void *data, size_t len_bytes, struct err *err);
int api_decode_labels(struct series_set **out, const void *data, size_t len_bytes, struct err *err);
int api_decode_label_values(struct series_set **out, const void *data, size_t len_bytes,
			    struct err *err);

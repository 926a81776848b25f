/*
 * answer: what `hearth query` prints, from a data directory or from a server.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "profile/calltree.h"
#include "storage/selector.h"

struct query_config {
	const char *data;
	const char *url; /* NULL: data */
	const char *from, *until, *type_text;
	const char *group_by; /* NULL: one line */
	const char *label;    /* NULL: names of labels */
	const char *by;       /* NULL: by function */
	const char *output;   /* NULL: standard output */
	int64_t step_ns;      /* 0: about 60 points */
	bool json;
	bool hide_idle;
	const char *selector_text;
	/* Checked: */
	enum profile_type type;
	int64_t from_unix_ns, until_unix_ns;
	struct selector *selector;
	struct calltree_options shape; /* of flame and top */
	char *hiding_text;             /* selector_text with what hide_idle adds; owned */
};

enum { ANSWER_MAX_BYTES = 1 << 30 };

/* Each appends its text (or JSON, or file) to out. */
int answer_flame(struct buf *out, const struct query_config *config, struct err *err);
int answer_top(struct buf *out, const struct query_config *config, struct err *err);
int answer_series(struct buf *out, const struct query_config *config, struct err *err);
int answer_labels(struct buf *out, const struct query_config *config, struct err *err);
int answer_pprof(struct buf *out, const struct query_config *config, struct err *err);
int answer_folded(struct buf *out, const struct query_config *config, struct err *err);

/* To config->output or standard output. -EPIPE and the like. */
int answer_write(const struct buf *out, const struct query_config *config, struct err *err);

/*
 * selector: which label sets are meant, as in Prometheus: {service_name="api",comm=~"post.*"}.
 *
 * Operators = != =~ !~; values in double quotes with \\ \" \n escapes; regular expressions
 * (storage/pattern.h) match whole values. A label that is missing counts as "".
 * https://prometheus.io/docs/prometheus/latest/querying/basics/#time-series-selectors
 * Immutable once parsed: any number of threads may match.
 */
#pragma once
#include <stdbool.h>

#include "base/auto.h"
#include "base/err.h"

struct selector; /* opaque */

/* "" and "{}" select everything. -EINVAL with the place and what was expected. */
int selector_parse(struct selector **out, const char *text, struct err *err);
void selector_free(struct selector *selector); /* NULL is fine */
AUTO_DEFINE(selector)

/* value_of(ctx, key) gives a label's value, NULL when it is not there, or selector_skip where
 * that is not for it to say: counts as a match. -EINVAL: a pattern is too costly for a value;
 * -ENOMEM. A NULL selector matches everything. */
extern const char selector_skip[];
typedef const char *(*selector_value_fn)(void *ctx, const char *key);
int selector_matches(const struct selector *selector, selector_value_fn value_of, void *ctx,
		     bool *matches, struct err *err);
/* True when it selects everything. NULL does, too. */
bool selector_is_all(const struct selector *selector);

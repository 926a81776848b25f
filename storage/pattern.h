/*
 * pattern: a regular expression that matches whole texts, at a bounded cost.
 *
 * The syntax is PCRE2's, and with it nearly all of RE2's, which Prometheus has; "." is any
 * character, also a line feed. Characters are UTF-8. What is not UTF-8 in a text counts as
 * U+FFFD, as where the API shows it: to libpcre2 itself such bytes match nothing, so ".*" would
 * miss the text. https://www.pcre.org/current/doc/html/pcre2syntax.html
 * A compiled pattern has at most 64 KiB, and a match at most PATTERN_MAX_STEPS and
 * PATTERN_MAX_HEAP_KIB. Back references, which make matching exponential, are refused.
 * Immutable: any number of threads may match.
 */
#pragma once
#include <stdbool.h>

#include "base/auto.h"
#include "base/err.h"

enum {
	PATTERN_MAX_BYTES = 4096,
	PATTERN_MAX_STEPS = 100000, /* places of the pattern to come back to: some ms */
	PATTERN_MAX_HEAP_KIB = 16384,
};

struct pattern; /* opaque */

/* -EINVAL with the reason; -ENOMEM. */
int pattern_new(struct pattern **out, const char *text, struct err *err);
void pattern_free(struct pattern *pattern); /* NULL is fine */
AUTO_DEFINE(pattern)

/* -EINVAL: it takes more than a match may, so whether it matches is not known; -ENOMEM. */
int pattern_matches(const struct pattern *pattern, const char *text, bool *matches,
		    struct err *err);

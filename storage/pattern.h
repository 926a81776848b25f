/*
 * pattern: a POSIX extended regular expression that matches whole texts, at a bounded cost.
 *
 * regcomp(3) copies what is repeated: "a+" is two nodes, "(a{9}){9}" 81, and a dozen bytes can
 * take all memory. So the size of the automaton is reckoned before it is made. Back references,
 * which make matching exponential, are refused.
 * Immutable: any number of threads may match.
 */
#pragma once
#include <regex.h>
#include <stdbool.h>

#include "base/err.h"

enum {
	PATTERN_MAX_BYTES = 1024,
	PATTERN_MAX_NODES = 20000,
	PATTERN_MAX_DEPTH = 32,  /* of parentheses */
	PATTERN_MAX_REPEATS = 4, /* within one another: ((a*)*)* has 3 */
};

struct pattern {
	regex_t regex;
};

/* -EINVAL with the reason; -ENOMEM. On failure nothing needs pattern_fini(). */
int pattern_init(struct pattern *pattern, const char *text, struct err *err);
void pattern_fini(struct pattern *pattern);
bool pattern_matches(const struct pattern *pattern, const char *text);

#include "storage/pattern.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sat.h"

/* Nodes of an automaton while its pattern is read. */
struct reckoning {
	uint64_t nodes[PATTERN_MAX_DEPTH + 1]; /* of each group that is open; [0]: the whole */
	unsigned int repeats[PATTERN_MAX_DEPTH + 1]; /* within one another, likewise */
	size_t depth;
	uint64_t last; /* nodes of what a repeat that follows would repeat */
	unsigned int last_repeats;
};

static int refuse(struct err *err, const char *text, const char *why)
{
	return err_set(err, -EINVAL, "pattern \"%.100s\": %s", text, why);
}

/* The end of the bracket expression that begins at `at`: its ']' or the end of the text. */
static const char *skip_bracket(const char *at)
{
	at += at[1] == '^' ? 2 : 1;
	if (*at == ']') /* first of all it means itself */
		at++;
	for (; *at && *at != ']'; at++) {
		if (*at != '[' || !at[1] || !strchr(":.=", at[1]))
			continue;
		char end[] = {at[1], ']', 0}; /* a class: [:alpha:] */
		const char *close = strstr(at + 2, end);
		if (close)
			at = close + 1;
	}
	return at;
}

/* How often "{m,n}" copies what is before it; *at moves to its last byte that was read. */
static uint64_t copies(const char **at)
{
	uint64_t most = 1;
	while ((**at == '{' || **at == ',') && isdigit((unsigned char)(*at)[1])) {
		char *end;
		unsigned long number = strtoul(*at + 1, &end, 10);
		most = number > most ? number : most;
		*at = end;
	}
	if (**at == ',') /* "{m,}": m copies and a loop */
		return most + 1;
	return most;
}

static void repeat(struct reckoning *r, uint64_t times)
{
	uint64_t nodes;
	if (__builtin_mul_overflow(r->last, times, &nodes))
		nodes = UINT64_MAX;
	r->nodes[r->depth] = sat_add_u64(r->nodes[r->depth], nodes - r->last);
	r->last = nodes;
	r->last_repeats++;
	if (r->repeats[r->depth] < r->last_repeats)
		r->repeats[r->depth] = r->last_repeats;
}

static void add_atom(struct reckoning *r)
{
	r->last = 1;
	r->last_repeats = 0;
	r->nodes[r->depth] = sat_add_u64(r->nodes[r->depth], 1);
}

static void close_group(struct reckoning *r)
{
	if (!r->depth) /* regcomp() says what is wrong with it */
		return;
	r->last_repeats = r->repeats[r->depth];
	r->last = sat_add_u64(r->nodes[r->depth--], 1);
	r->nodes[r->depth] = sat_add_u64(r->nodes[r->depth], r->last);
	if (r->repeats[r->depth] < r->last_repeats)
		r->repeats[r->depth] = r->last_repeats;
}

static int check(const char *text, struct err *err)
{
	struct reckoning r = {0};
	for (const char *at = text; *at; at++) {
		if (*at == '\\' && isdigit((unsigned char)at[1]))
			return refuse(err, text, "back references are not supported");
		if (*at == '(' && r.depth == PATTERN_MAX_DEPTH)
			return refuse(err, text, "too many nested parentheses");
		if (*at == '(') {
			r.nodes[++r.depth] = 0;
			r.repeats[r.depth] = 0;
		} else if (*at == ')') {
			close_group(&r);
		} else if (*at == '+') {
			repeat(&r, 2);
		} else if (*at == '{') {
			repeat(&r, copies(&at));
		} else if (*at == '[') {
			at = skip_bracket(at);
			add_atom(&r);
		} else if (*at == '*' || *at == '?') {
			repeat(&r, 1);
		} else {
			at += *at == '\\' && at[1];
			add_atom(&r);
		}
		/* regcomp() of glibc may take time exponential in this depth. */
		if (r.repeats[r.depth] > PATTERN_MAX_REPEATS)
			return refuse(err, text, "repeats within repeats");
		if (r.nodes[r.depth] > PATTERN_MAX_NODES)
			return refuse(err, text, "repeats too much");
		if (!*at)
			break;
	}
	return 0;
}

static int compile(regex_t *regex, const char *compiled, const char *text, struct err *err)
{
	int code = regcomp(regex, compiled, REG_EXTENDED | REG_NOSUB);
	if (!code)
		return 0;
	char why[80];
	regerror(code, regex, why, sizeof(why));
	return code == REG_ESPACE ? err_set(err, -ENOMEM, "pattern \"%.100s\": %m", text)
				  : refuse(err, text, why);
}

int pattern_init(struct pattern *pattern, const char *text, struct err *err)
{
	char anchored[PATTERN_MAX_BYTES + sizeof("^()$")];
	if (strlen(text) > PATTERN_MAX_BYTES)
		return refuse(err, text, "longer than 1024 bytes");
	int rc = check(text, err);
	/* By itself first: "a)|(b" is wrong but would be right between our parentheses. */
	if (!rc)
		rc = compile(&pattern->regex, text, text, err);
	if (rc)
		return rc;
	regfree(&pattern->regex);
	/* A plain group: POSIX has no (?:...), and nobody asks for the groups. */
	snprintf(anchored, sizeof(anchored), "^(%s)$", text);
	return compile(&pattern->regex, anchored, text, err);
}

void pattern_fini(struct pattern *pattern)
{
	regfree(&pattern->regex);
}

bool pattern_matches(const struct pattern *pattern, const char *text)
{
	return !regexec(&pattern->regex, text, 0, NULL, 0);
}

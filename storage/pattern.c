#include "storage/pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/utf8.h"

enum { WHY_BYTES = 128 }; /* PCRE2's longest message has 90 */

struct pattern {
	pcre2_code *code;
	pcre2_match_context *limits;
};

static void free_match_data(pcre2_match_data **data)
{
	pcre2_match_data_free(*data);
}

void pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	pcre2_code_free(pattern->code);
	pcre2_match_context_free(pattern->limits);
	free(pattern);
}

static int refuse(struct err *err, const char *text, const char *why)
{
	return err_set(err, -EINVAL, "pattern \"%.100s\": %s", text, why);
}

static int refuse_code(struct err *err, const char *text, int code, size_t off)
{
	PCRE2_UCHAR why[WHY_BYTES];
	if (code == PCRE2_ERROR_HEAP_FAILED)
		return err_set(err, -ENOMEM, "pattern: %m");
	pcre2_get_error_message(code, why, sizeof(why));
	return err_set(err, -EINVAL, "pattern \"%.100s\": %s, after byte %zu", text,
		       (const char *)why, off);
}

static int compile(struct pattern *pattern, const char *text, struct err *err)
{
	/* Groups only group, unless they have names: nobody asks what they matched. */
	const uint32_t options = PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOTALL |
				 PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE |
				 PCRE2_NEVER_BACKSLASH_C;
	int code;
	size_t off;
	uint32_t references = 0;
	pattern->code =
		pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &code, &off, NULL);
	if (pattern->code)
		pcre2_pattern_info(pattern->code, PCRE2_INFO_BACKREFMAX, &references);
	/* There is no group 1 to refer to. */
	if (references || (!pattern->code && code == PCRE2_ERROR_BAD_SUBPATTERN_REFERENCE))
		return refuse(err, text, "references to groups are not supported");
	return pattern->code ? 0 : refuse_code(err, text, code, off);
}

int pattern_new(struct pattern **out, const char *text, struct err *err)
{
	if (strnlen(text, PATTERN_MAX_BYTES + 1) > PATTERN_MAX_BYTES)
		return err_set(err, -EINVAL, "pattern \"%.100s...\": longer than %d bytes", text,
			       PATTERN_MAX_BYTES);
	AUTO(pattern) pattern = calloc(1, sizeof(*pattern));
	if (pattern)
		pattern->limits = pcre2_match_context_create(NULL);
	if (!pattern || !pattern->limits)
		return err_set(err, -ENOMEM, "pattern: %m");
	pcre2_set_match_limit(pattern->limits, PATTERN_MAX_STEPS);
	pcre2_set_heap_limit(pattern->limits, PATTERN_MAX_HEAP_KIB);
	int rc = compile(pattern, text, err);
	if (rc)
		return rc;
	*out = TAKE(pattern);
	return 0;
}

/* As pcre2_match(): >= 0, PCRE2_ERROR_NOMATCH or why it is not known. */
static int match(const struct pattern *pattern, const char *text)
{
	AUTO_FINI(free_match_data) pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	if (!data)
		return PCRE2_ERROR_NOMEMORY;
	return pcre2_match(pattern->code, (PCRE2_SPTR)text, strlen(text), 0, 0, data,
			   pattern->limits);
}

static bool is_not_utf8(int code)
{
	return code <= PCRE2_ERROR_UTF8_ERR1 && code >= PCRE2_ERROR_UTF8_ERR21;
}

static int match_mended(const struct pattern *pattern, const char *text)
{
	AUTO_FINI(buf_fini) struct buf mended;
	buf_init(&mended, strlen(text) * strlen(UTF8_REPLACEMENT) + 1);
	utf8_append(&mended, text);
	AUTO_MEM char *valid = buf_take_str(&mended);
	return valid ? match(pattern, valid) : PCRE2_ERROR_NOMEMORY;
}

int pattern_matches(const struct pattern *pattern, const char *text, bool *matches, struct err *err)
{
	int code = match(pattern, text);
	if (is_not_utf8(code))
		code = match_mended(pattern, text);
	if (code >= 0 || code == PCRE2_ERROR_NOMATCH) {
		*matches = code >= 0;
		return 0;
	}
	if (code == PCRE2_ERROR_NOMEMORY)
		return err_set(err, -ENOMEM, "%m");
	PCRE2_UCHAR why[WHY_BYTES];
	pcre2_get_error_message(code, why, sizeof(why));
	return err_set(err, -EINVAL, "too costly to match with \"%.60s\": %s", text,
		       (const char *)why);
}
